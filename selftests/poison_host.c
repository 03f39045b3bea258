// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 300 */
/* MONITOR: ttyS3 */
/*
 * A frame of the host's RAM goes bad, and the host's kernel makes its pages poison: so
 * are ours then, next to the marks that we set; each is its own.
 */
#include <kselftest_harness.h>
#include <linux/mman.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "monitor.h"
#include "poison.h"

#define CHECK_INTERVAL	"/sys/devices/system/machinecheck/machinecheck0/check_interval"
#define STATUS		"0xbc00180000000136"	/* valid, deferred, poison, with an address */
#define BANK		5

enum { VRAM = 8, BAD = 10, MARKED = 12, USED = 16 };

/* kB of memory that the host does not use any more. */
static long corrupted_kb(void)
{
	return file_value("/proc/meminfo", "HardwareCorrupted:");
}

/* Pages in VRAM, one to go bad in RAM, and one with our mark. */
static void fill(struct __test_metadata *_metadata, FIXTURE_DATA(poison) *self)
{
	fill_pages(self->mem, USED * PAGE, 1);
	ASSERT_EQ(VRAM, uv_to_vram(self->fd, self->mem, VRAM * PAGE));
	ASSERT_EQ(0, uv_poison(self->fd, REPLACE, self->mem + MARKED * PAGE, PAGE, NULL));
}

static void expect_bad(struct __test_metadata *_metadata, FIXTURE_DATA(poison) *self)
{
	struct uffdvram_poison_list q = { .addr = ADDR(self->mem), .len = LEN };
	char *bad = self->mem + BAD * PAGE;
	struct uffdvram_region vec[4];
	long kb = corrupted_kb();

	EXPECT_TRUE(is_poison(bad + 5));
	EXPECT_EQ(2, in_state(self->fd, self->mem, LEN, UFFDVRAM_STATE_POISON));
	ASSERT_EQ(0, uv_poison_list(self->fd, &q, vec, 4));
	ASSERT_EQ(2, q.used);
	EXPECT_EQ(ADDR(bad), vec[0].start);
	EXPECT_EQ(ADDR(bad) + PAGE, vec[0].end);
	EXPECT_EQ(ADDR(bad) + (MARKED - BAD) * PAGE, vec[1].start);
	/* It is poison already, and stays where it is. */
	EXPECT_EQ(0, uv_poison(self->fd, 0, bad, PAGE, NULL));
	EXPECT_EQ(USED - VRAM - 2, uv_to_vram(self->fd, self->mem + VRAM * PAGE,
					      (USED - VRAM) * PAGE));
	EXPECT_TRUE(is_poison(bad));
	/* Our mark goes, this poison does not. */
	ASSERT_EQ(0, uv_poison(self->fd, UNDO, self->mem + MARKED * PAGE, PAGE, NULL));
	EXPECT_EQ(0, read_byte(self->mem + MARKED * PAGE).value);
	EXPECT_TRUE(is_poison(bad));
	/* Whoever wants memory there gets other memory: the bad frame is not used again. */
	ASSERT_EQ(0, uv_poison(self->fd, UNDO, bad, PAGE, NULL));
	EXPECT_EQ(-1, not_zero(bad, PAGE));
	EXPECT_EQ(kb, corrupted_kb());
	EXPECT_EQ(-1, check_pages(self->mem, BAD * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + (BAD + 1) * PAGE, PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + (MARKED + 1) * PAGE, (USED - MARKED - 1) * PAGE, 1));
}

static void go_on(int sig)
{
	(void)sig;
}

/* What the kernel does about it, without the hardware: it also tells who asked for it. */
TEST_F(poison, host_memory_fails)
{
	long kb = corrupted_kb();

	fill(_metadata, self);
	ASSERT_LE(0, kb);
	signal(SIGBUS, go_on);
	ASSERT_EQ(0, madvise(self->mem + BAD * PAGE, PAGE, MADV_HWPOISON));
	EXPECT_EQ(kb + 4, corrupted_kb());
	expect_bad(_metadata, self);
}

/* A page in VRAM has no frame: it comes home first, and the frame that it gets goes bad. */
TEST_F(poison, host_memory_fails_for_vram)
{
	long kb = corrupted_kb();

	fill(_metadata, self);
	signal(SIGBUS, go_on);
	ASSERT_EQ(0, madvise(self->mem, PAGE, MADV_HWPOISON));
	EXPECT_EQ(kb + 4, corrupted_kb());
	EXPECT_EQ(VRAM - 1, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_TRUE(uv_wait_slots(VRAM - 1));
	EXPECT_TRUE(is_poison(self->mem + 7));
	EXPECT_EQ(2, in_state(self->fd, self->mem, LEN, UFFDVRAM_STATE_POISON));
	EXPECT_EQ(-1, check_pages(self->mem + PAGE, (BAD - 1) * PAGE, 1));
}

/* For as long as somebody holds it for a moment. */
static int soft_offline(void *page)
{
	int tries, ret;

	for (tries = 0; tries < 250; tries++) {
		ret = madvise(page, PAGE, MADV_SOFT_OFFLINE) ? -errno : 0;
		if (ret != -EBUSY && ret != -EAGAIN)
			break;
		lru_drain();
		sleep_ms(20);
	}
	return ret;
}

/* A frame that is about to fail: its page gets another one, with all that it held. */
TEST_F(poison, host_memory_is_retired)
{
	char *ram = self->mem + BAD * PAGE;
	uint64_t frame;
	long kb = corrupted_kb();

	fill(_metadata, self);
	frame = pagemap_entry(0, ram) & PAGEMAP_FRAME;
	ASSERT_EQ(0, soft_offline(ram));
	EXPECT_EQ(kb + 4, corrupted_kb());
	EXPECT_NE(frame, pagemap_entry(0, ram) & PAGEMAP_FRAME);
	EXPECT_EQ(VRAM, uv_in_vram(self->fd, self->mem, LEN));
	/* In VRAM it has none: it comes home, to a good one in the end. */
	ASSERT_EQ(0, soft_offline(self->mem));
	EXPECT_EQ(kb + 8, corrupted_kb());
	EXPECT_EQ(VRAM - 1, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(1, in_state(self->fd, self->mem, LEN, UFFDVRAM_STATE_POISON));
	EXPECT_EQ(1, uv_to_vram(self->fd, self->mem, PAGE));
	EXPECT_EQ(1, uv_to_vram(self->fd, ram, PAGE));
	EXPECT_EQ(-1, check_pages(self->mem, MARKED * PAGE, 1));
}

static bool has_grown(void *kb)
{
	return corrupted_kb() > *(long *)kb;
}

/* A machine check that the processor reports: the kernel finds it when it looks next. */
TEST_F(poison, host_machine_check)
{
	long kb = corrupted_kb();
	char line[256];

	fill(_metadata, self);
	monitor_begin();
	snprintf(line, sizeof(line), "{\"execute\":\"human-monitor-command\",\"arguments\":"
		 "{\"command-line\":\"mce 0 %d %s 0 0x%llx 0x8c\"}}\n", BANK, STATUS,
		 (unsigned long long)(pagemap_entry(0, self->mem + BAD * PAGE) &
				      PAGEMAP_FRAME) * PAGE);
	monitor(line, "return");
	ASSERT_EQ(0, file_write(CHECK_INTERVAL, "1"));
	EXPECT_TRUE(wait_until(has_grown, &kb, MONITOR_MS));
	ASSERT_EQ(0, file_write(CHECK_INTERVAL, "300"));
	EXPECT_EQ(kb + 4, corrupted_kb());
	expect_bad(_metadata, self);
}

TEST_HARNESS_MAIN
