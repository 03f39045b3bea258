// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 240 */
/*
 * Linear ranges: each page in VRAM lives in the slot at its offset in the window,
 * whatever was there before. The simulated pool's own bytes tell.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "util_mm.h"

#define PAGES	32
#define LEN	(PAGES * PAGE)
#define SLOTS	64
#define QUOTA	"/sys/module/uffdvram/parameters/slot_quota"

static int reg_linear(int fd, const void *addr, size_t len, uint32_t pool, uint64_t off,
		      uint32_t *range)
{
	struct uffdvram_range_register arg = { .size = sizeof(arg), .pool = pool,
					       .flags = UFFDVRAM_RANGE_LINEAR,
					       .addr = ADDR(addr), .len = len, .pool_off = off };
	int ret = uv_ioctl(fd, UFFDVRAM_RANGE_REGISTER, &arg);

	if (range)
		*range = arg.range;
	return ret;
}

static void flip(uint32_t pool, uint64_t off)
{
	uv_knob_set("flip", "%u %llu", pool, (unsigned long long)off);
}

/* Some byte of a page, another one for each. */
static size_t byte_of(size_t page)
{
	return page * 1237 % PAGE;
}

/*
 * Is each page of @mem, which are all in VRAM, where it belongs? Flips one bit of
 * each page's slot, looks for it by COPY, which moves nothing, and flips it back.
 */
static size_t misplaced(int fd, uint32_t pool, const char *mem, size_t len, uint64_t off)
{
	char *was = map_small(len), *is = map_small(len);
	size_t i, bad = 0;

	bad += uv_copy(fd, 0, mem, len, was, NULL) != 0;
	for (i = 0; i < len / PAGE; i++)
		flip(pool, off + i * PAGE + byte_of(i));
	bad += uv_copy(fd, 0, mem, len, is, NULL) != 0;
	for (i = 0; i < len / PAGE; i++) {
		flip(pool, off + i * PAGE + byte_of(i));
		was[i * PAGE + byte_of(i)] ^= 1;
		bad += memcmp(was + i * PAGE, is + i * PAGE, PAGE) != 0;
	}
	munmap(was, len);
	munmap(is, len);
	return bad;
}

FIXTURE(linear)
{
	int fd;
	uint32_t pool, range;
	char *mem;
};

#define OFF	(16 * PAGE)	/* of the fixture's window */

FIXTURE_SETUP(linear)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, SLOTS * PAGE, UFFDVRAM_POOL_UNCHECKED, &self->pool));
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, reg_linear(self->fd, self->mem, LEN, self->pool, OFF, &self->range));
}

FIXTURE_TEARDOWN(linear)
{
	knobs_calm();
	file_write(QUOTA, "0");
	munmap(self->mem, LEN);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

TEST_F(linear, places)
{
	struct uffdvram_info info;
	int i;

	ASSERT_EQ(0, uv_info(self->fd, &info));
	EXPECT_NE(0, info.features & UFFDVRAM_FEATURE_LINEAR);
	EXPECT_EQ(0, uv_slots_in_use());
	/* In any order, in pieces, and again after having been home. */
	for (i = 1; i < PAGES; i += 2)
		ASSERT_EQ(1, uv_to_vram(self->fd, self->mem + i * PAGE, PAGE));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, misplaced(self->fd, self->pool, self->mem, LEN, OFF));
	EXPECT_EQ(-1, check_pages(self->mem + 3 * PAGE, 7 * PAGE, 1));
	ASSERT_EQ(5, uv_to_ram(self->fd, self->mem + 20 * PAGE, 5 * PAGE));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, misplaced(self->fd, self->pool, self->mem, LEN, OFF));
	EXPECT_EQ(PAGES, uv_slots_in_use());
	/* A byte that the device changed is what the CPU reads. */
	flip(self->pool, OFF + 9 * PAGE + 5);
	self->mem[9 * PAGE + 5] ^= 1;
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* A hole, the zero page, and pages that COPY writes. */
TEST_F(linear, places_of_holes)
{
	char *buf = map_small(LEN);

	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	EXPECT_EQ(0, self->mem[4 * PAGE]);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, misplaced(self->fd, self->pool, self->mem, LEN, OFF));
	fill_pages_as(buf, LEN, self->mem, 2);
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem, LEN, buf, NULL));
	EXPECT_EQ(0, misplaced(self->fd, self->pool, self->mem, LEN, OFF));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
	munmap(buf, LEN);
}

TEST_F(linear, bad_windows)
{
	char *mem = map_small(SLOTS * PAGE);
	struct uffdvram_range_register arg = { .size = sizeof(arg), .pool = self->pool,
					       .addr = ADDR(mem), .len = PAGE, .pool_off = PAGE };
	uint32_t range;

	EXPECT_EQ(-EINVAL, reg_linear(self->fd, mem, PAGE, self->pool, 1, NULL));
	EXPECT_EQ(-EINVAL, reg_linear(self->fd, mem, PAGE, 0, 0, NULL));
	EXPECT_EQ(-ENODEV, reg_linear(self->fd, mem, PAGE, self->pool + 1000, 0, NULL));
	EXPECT_EQ(-EINVAL, reg_linear(self->fd, mem, PAGE, self->pool, SLOTS * PAGE, NULL));
	EXPECT_EQ(-EINVAL, reg_linear(self->fd, mem, 2 * PAGE, self->pool, (SLOTS - 1) * PAGE,
				      NULL));
	EXPECT_EQ(-EINVAL, reg_linear(self->fd, mem, 2 * PAGE, self->pool, -PAGE, NULL));
	EXPECT_EQ(-EINVAL, uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &arg));
	/* Windows do not overlap: by a page at either end, or as a whole. */
	EXPECT_EQ(-EBUSY, reg_linear(self->fd, mem, PAGE, self->pool, OFF, NULL));
	EXPECT_EQ(-EBUSY, reg_linear(self->fd, mem, PAGE, self->pool, OFF + LEN - PAGE, NULL));
	EXPECT_EQ(-EBUSY, reg_linear(self->fd, mem, 17 * PAGE, self->pool, 0, NULL));
	EXPECT_EQ(-EBUSY, reg_linear(self->fd, mem, SLOTS * PAGE, self->pool, 0, NULL));
	EXPECT_EQ(0, reg_linear(self->fd, mem, 16 * PAGE, self->pool, 0, &range));
	EXPECT_EQ(-EBUSY, reg_linear(self->fd, mem, PAGE, self->pool, OFF + LEN, NULL));
	EXPECT_EQ(0, reg_linear(self->fd, mem + 16 * PAGE, 16 * PAGE, self->pool, OFF + LEN,
				NULL));
	/* One that is given up can be had again. */
	EXPECT_EQ(0, uv_unregister(self->fd, range));
	EXPECT_EQ(0, reg_linear(self->fd, mem, 8 * PAGE, self->pool, 8 * PAGE, NULL));
	munmap(mem, SLOTS * PAGE);
}

/* The pool is full of others' pages: those in the window make room. */
TEST_F(linear, strangers)
{
	char *other = map_small(SLOTS * PAGE);
	struct uffdvram_migrate m;
	uint32_t range;

	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	ASSERT_EQ(0, uv_register(self->fd, other, SLOTS * PAGE, self->pool, NULL));
	fill_pages(other, SLOTS * PAGE, 2);
	ASSERT_EQ(SLOTS, uv_to_vram(self->fd, other, SLOTS * PAGE));
	ASSERT_EQ(0, reg_linear(self->fd, self->mem, LEN, self->pool, OFF, &range));
	EXPECT_EQ(SLOTS, uv_in_vram(self->fd, other, SLOTS * PAGE));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, misplaced(self->fd, self->pool, self->mem, LEN, OFF));
	EXPECT_EQ(SLOTS - PAGES, uv_in_vram(self->fd, other, SLOTS * PAGE));
	/* They get none of these slots again, used or not, until the range ends. */
	EXPECT_EQ(SLOTS - PAGES, move_all(self->fd, other, SLOTS * PAGE, 0, &m));
	EXPECT_EQ(PAGES, m.stayed[UFFDVRAM_STAY_NO_SLOT]);
	ASSERT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_EQ(SLOTS - PAGES, uv_to_vram(self->fd, other, SLOTS * PAGE));
	EXPECT_EQ(-1, check_pages(other, SLOTS * PAGE, 2));
	EXPECT_EQ(SLOTS - PAGES, uv_to_vram(self->fd, other, SLOTS * PAGE));
	ASSERT_EQ(0, uv_unregister(self->fd, range));
	EXPECT_EQ(SLOTS, uv_to_vram(self->fd, other, SLOTS * PAGE));
	EXPECT_EQ(-1, check_pages(other, SLOTS * PAGE, 2));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	munmap(other, SLOTS * PAGE);
}

/* mremap takes pages out of their places, and the next MIGRATE puts things right. */
TEST_F(linear, moved_by_mremap)
{
	char *second = map_small(16 * PAGE), *away = map_small(LEN), *a = self->mem;

	ASSERT_EQ(0, reg_linear(self->fd, second, 16 * PAGE, self->pool, 0, NULL));
	fill_pages(second, 16 * PAGE, 2);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, a, LEN));
	ASSERT_EQ(16, uv_to_vram(self->fd, second, 16 * PAGE));
	/* Two pages of the range swap: each has the other's slot. */
	ASSERT_EQ(away, mremap(a, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, away));
	ASSERT_EQ(a, mremap(a + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, a));
	ASSERT_EQ(a + PAGE, mremap(away, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, a + PAGE));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, a, LEN));
	EXPECT_LT(0, misplaced(self->fd, self->pool, a, LEN, OFF));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, a, LEN));
	EXPECT_EQ(0, misplaced(self->fd, self->pool, a, LEN, OFF));
	/* Pages of one window come under the other range. */
	ASSERT_EQ(second, mremap(a + 8 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				 second));
	ASSERT_EQ(16, uv_to_vram(self->fd, second, 16 * PAGE));
	EXPECT_EQ(0, misplaced(self->fd, self->pool, second, 16 * PAGE, 0));
	/* And out of all ranges, with new memory in their place. */
	ASSERT_EQ(away, mremap(a + 16 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			       away));
	ASSERT_NE(MAP_FAILED, mmap(a + 8 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED |
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	ASSERT_NE(MAP_FAILED, mmap(a + 16 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED |
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	EXPECT_EQ(4, uv_in_vram(self->fd, away, 4 * PAGE));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, a, LEN));
	EXPECT_EQ(0, misplaced(self->fd, self->pool, a, LEN, OFF));
	EXPECT_EQ(0, uv_in_vram(self->fd, away, 4 * PAGE));

	EXPECT_EQ(-1, check_pages_as(a, PAGE, a + PAGE, 1));
	EXPECT_EQ(-1, check_pages_as(a + PAGE, PAGE, a, 1));
	EXPECT_EQ(-1, check_pages(a + 2 * PAGE, 6 * PAGE, 1));
	EXPECT_EQ(-1, not_zero(a + 8 * PAGE, 4 * PAGE));
	EXPECT_EQ(-1, check_pages_as(second, 4 * PAGE, a + 8 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(second + 4 * PAGE, 12 * PAGE, 2));
	EXPECT_EQ(-1, check_pages_as(away, 4 * PAGE, a + 16 * PAGE, 1));
	munmap(second, 16 * PAGE);
	munmap(away, LEN);
}

static int keeps_memory(int sock, void *arg)
{
	uint64_t word;

	while (child_hear(sock, &word))
		child_tell(sock, check_each(arg, LEN, 1));
	return 0;
}

/* A forked child holds the slots, too, or alone: it gives way, and loses nothing. */
TEST_F(linear, forked)
{
	struct child c;

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	c = child_start(keeps_memory, self->mem);
	/* Shared, and each in its place: nothing to do. */
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, misplaced(self->fd, self->pool, self->mem, LEN, OFF));
	/* The parent has new pages, the child still the slots. */
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	EXPECT_EQ(PAGES, uv_slots_in_use());
	fill_pages(self->mem, LEN, 2);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(PAGES, uv_slots_in_use());
	EXPECT_EQ(0, misplaced(self->fd, self->pool, self->mem, LEN, OFF));
	EXPECT_EQ(0, child_step(&c, 1));
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
}

/* A slot that is lost, or cannot be cleared, is busy: the page stays in RAM. */
TEST_F(linear, busy_slots)
{
	char *away = map_small(PAGE);
	struct uffdvram_migrate m;

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(away, mremap(self->mem + 5 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			       away));
	ASSERT_NE(MAP_FAILED, mmap(self->mem + 5 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED |
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	fill_pages(self->mem + 5 * PAGE, PAGE, 2);
	uv_knob_set("fail_to_ram", "%d", 1);
	EXPECT_EQ(PAGES - 1, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(1, m.stayed[UFFDVRAM_STAY_SLOT_BUSY]);
	EXPECT_EQ(ADDR(self->mem) + 5 * PAGE, m.first[UFFDVRAM_STAY_SLOT_BUSY]);
	EXPECT_EQ(SIGBUS, read_byte(away).signo);
	EXPECT_EQ(-1, check_pages(self->mem + 5 * PAGE, PAGE, 2));
	/* Even when nobody has it any more: it is not to be trusted. */
	munmap(away, PAGE);
	EXPECT_EQ(PAGES - 1, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(1, m.stayed[UFFDVRAM_STAY_SLOT_BUSY]);
	EXPECT_TRUE(sum_ok(self->mem, LEN, &m));
	EXPECT_EQ(-1, check_pages(self->mem, 5 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + 6 * PAGE, LEN - 6 * PAGE, 1));
}

/* No CPU, nor COPY, says where private pages are: the device's leases do. */
static size_t not_in_place(int fd, const char *mem, size_t len, uint64_t off)
{
	struct uffdvram_slot_run vec[PAGES];
	struct uffdvram_access_begin b;
	size_t bad = 0;

	if (uv_access_begin(fd, 0, mem, len, vec, PAGES, &b))
		return len;
	bad += b.done != len || b.used != 1 || vec[0].addr != ADDR(mem) || vec[0].off != off;
	return bad + !!uv_access_end(fd, b.lease, 0, NULL, 0, NULL);
}

/* They keep their places, and others' pages that belong there wait for them. */
TEST_F(linear, private_pages)
{
	char *away = map_small(PAGE), *page = self->mem + 5 * PAGE;
	struct uffdvram_migrate m;
	struct uffdvram_convert c;

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_convert(self->fd, UFFDVRAM_CONVERT_PRIVATE, self->mem, LEN, 0, NULL));
	EXPECT_EQ(0, not_in_place(self->fd, self->mem, LEN, OFF));
	ASSERT_EQ(away, mremap(page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, away));
	ASSERT_EQ(page, mmap(page, PAGE, PROT_READ | PROT_WRITE,
			     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	fill_pages(page, PAGE, 2);
	lru_drain();
	ASSERT_EQ(0, uv_migrate(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(PAGES - 1, m.already);
	EXPECT_EQ(1, m.stayed[UFFDVRAM_STAY_SLOT_BUSY]);
	lru_drain();
	EXPECT_EQ(-EBUSY, uv_convert(self->fd, UFFDVRAM_CONVERT_PRIVATE, self->mem, LEN, 0, &c));
	EXPECT_EQ(UFFDVRAM_STAY_SLOT_BUSY, c.cause);
	EXPECT_EQ(ADDR(page), c.bad_addr);
	EXPECT_EQ(BUS_ADRERR, read_byte(away).code);
	EXPECT_EQ(-1, check_pages(page, PAGE, 2));
	/* What the device changed meanwhile is what a CPU reads then. */
	flip(self->pool, OFF + 9 * PAGE + 5);
	ASSERT_EQ(0, uv_convert(self->fd, 0, self->mem, LEN, 0, NULL));
	ASSERT_EQ(0, munmap(away, PAGE));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, misplaced(self->fd, self->pool, self->mem, LEN, OFF));
	self->mem[9 * PAGE + 5] ^= 1;
	EXPECT_EQ(-1, check_pages(page, PAGE, 2));
	EXPECT_EQ(-1, check_pages(self->mem, 5 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(page + PAGE, LEN - 6 * PAGE, 1));
}

/* Nobody is left who may touch them; what is shared comes home. */
TEST_F(linear, pool_goes_with_private_pages)
{
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_convert(self->fd, UFFDVRAM_CONVERT_PRIVATE, self->mem, 8 * PAGE, 0, NULL));
	ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(BUS_MCEERR_AR, read_byte(self->mem + i * PAGE).code);
	EXPECT_EQ(-1, check_pages(self->mem + 8 * PAGE, LEN - 8 * PAGE, 1));
}

struct reader {
	int fd;
	char *page, *buf;
	int ret;
};

static void *read_page(void *arg)
{
	struct reader *r = arg;

	r->ret = uv_copy(r->fd, 0, r->page, PAGE, r->buf, NULL);
	return NULL;
}

/* A page that lives elsewhere, and is held there by COPY, has not arrived. */
TEST_F(linear, astray_and_held)
{
	char *other = map_small(PAGE), *page = self->mem + 5 * PAGE;
	struct reader r = { self->fd, page, map_small(PAGE), -1 };
	struct uffdvram_migrate m;
	pthread_t thread;
	int tries;

	ASSERT_EQ(0, uv_register(self->fd, other, PAGE, self->pool, NULL));
	/* On a slow machine COPY may come too late to hold anything. */
	for (tries = 0; tries < 20; tries++) {
		fill_pages_as(other, PAGE, page, 2);
		ASSERT_EQ(1, uv_to_vram(self->fd, other, PAGE));
		ASSERT_EQ(page, mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page));
		ASSERT_EQ(other, mmap(other, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE |
				      MAP_ANONYMOUS, -1, 0));
		uv_knob_set("delay_us", "%d", 2000000);
		ASSERT_EQ(0, pthread_create(&thread, NULL, read_page, &r));
		sleep_ms(500);
		knobs_calm();
		ASSERT_EQ(0, uv_migrate(self->fd, page, PAGE, 0, &m));
		pthread_join(thread, NULL);
		EXPECT_EQ(0, r.ret);
		EXPECT_EQ(0, m.already);
		if (!m.moved)
			break;
	}
	EXPECT_EQ(1, m.stayed[UFFDVRAM_STAY_SLOT_BUSY]);
	EXPECT_EQ(ADDR(page), m.first[UFFDVRAM_STAY_SLOT_BUSY]);
	ASSERT_EQ(1, uv_to_vram(self->fd, page, PAGE));
	EXPECT_EQ(0, misplaced(self->fd, self->pool, page, PAGE, OFF + 5 * PAGE));
	EXPECT_EQ(-1, check_pages(page, PAGE, 2));
	munmap(other, PAGE);
	munmap(r.buf, PAGE);
}

/* The window of a range that has ended still has its pages for a moment. */
TEST_F(linear, window_taken_over)
{
	char *next = map_small(LEN);

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	fill_pages(next, LEN, 2);
	uv_knob_set("delay_us", "%d", 20000);	/* the worker is slow */
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	ASSERT_EQ(0, reg_linear(self->fd, next, LEN, self->pool, OFF, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, next, LEN));
	knobs_calm();
	EXPECT_EQ(0, misplaced(self->fd, self->pool, next, LEN, OFF));
	EXPECT_EQ(PAGES, uv_slots_in_use());
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(-1, check_pages(next, LEN, 2));
	munmap(next, LEN);
}

/* A window is paid for from the start, and once. */
TEST_F(linear, quota)
{
	char *other = map_small(SLOTS * PAGE);
	struct uffdvram_migrate m;
	uint32_t range, pool;
	int i;

	ASSERT_EQ(0, file_write(QUOTA, "48"));
	ASSERT_EQ(0, uv_attach(self->fd, SLOTS * PAGE, UFFDVRAM_POOL_UNCHECKED, &pool));
	EXPECT_EQ(-EDQUOT, reg_linear(self->fd, other, 17 * PAGE, pool, 0, NULL));
	/* What is refused, or given up, is not paid for: at once. */
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, reg_linear(self->fd, other, 16 * PAGE, pool, 0, &range));
		ASSERT_EQ(0, uv_unregister(self->fd, range));
	}
	ASSERT_EQ(0, reg_linear(self->fd, other, 16 * PAGE, pool, 0, &range));
	EXPECT_EQ(-EDQUOT, reg_linear(self->fd, other + 16 * PAGE, PAGE, pool, 16 * PAGE, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(16, uv_to_vram(self->fd, other, 16 * PAGE));
	/* Other memory of the user's gets nothing meanwhile. */
	ASSERT_EQ(0, uv_register(self->fd, other + LEN, LEN, pool, NULL));
	fill_pages(other + LEN, LEN, 2);
	EXPECT_EQ(0, move_all(self->fd, other + LEN, LEN, 0, &m));
	EXPECT_EQ(PAGES, m.stayed[UFFDVRAM_STAY_QUOTA]);
	ASSERT_EQ(16, uv_to_ram(self->fd, other, 16 * PAGE));
	EXPECT_EQ(0, move_all(self->fd, other + LEN, LEN, 0, &m));
	ASSERT_EQ(0, uv_unregister(self->fd, range));
	EXPECT_EQ(16, move_all(self->fd, other + LEN, LEN, 0, &m));
	EXPECT_EQ(PAGES - 16, m.stayed[UFFDVRAM_STAY_QUOTA]);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	EXPECT_EQ(PAGES, move_all(self->fd, other + LEN, LEN, 0, &m));
	munmap(other, SLOTS * PAGE);
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
}

/* The pool goes: pages come home, and the range is left without one. */
TEST_F(linear, pool_goes)
{
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(-ENODEV, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, uv_unregister(self->fd, self->range));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* More than one page table maps, in several VMAs. */
TEST_F(linear, long_range)
{
	enum { N = 700 };
	char *mem = map_small(N * PAGE);
	uint32_t pool;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(4), UFFDVRAM_POOL_UNCHECKED, &pool));
	fill_pages(mem, N * PAGE, 3);
	ASSERT_EQ(0, mprotect(mem + 100 * PAGE, 90 * PAGE, PROT_READ));
	ASSERT_EQ(0, reg_linear(self->fd, mem, N * PAGE, pool, 300 * PAGE, NULL));
	ASSERT_EQ(N, uv_to_vram(self->fd, mem, N * PAGE));
	EXPECT_EQ(0, misplaced(self->fd, pool, mem, N * PAGE, 300 * PAGE));
	EXPECT_EQ(-1, check_pages(mem, N * PAGE, 3));
	munmap(mem, N * PAGE);
}

/* One of two linear ranges and a plain one, in one pool, all the time. */
struct mover {
	int fd;
	char *mem;
	size_t len;
	uint64_t seed, end, evicted;
	long rounds, bad;
};

static void *keep_moving(void *arg)
{
	struct mover *m = arg;
	char *a;

	/* Where others keep the CPUs, none may meet another for seconds. */
	for (; now_ms() < m->end || m->rounds < 10 ||
	       (now_ms() < m->end + 60000 && uv_stat("evicted") == m->evicted); m->rounds++) {
		m->bad += uv_migrate(m->fd, m->mem, m->len, 0, NULL) != 0;
		a = m->mem + rnd(&m->seed) % (m->len / PAGE) * PAGE;
		m->bad += check_pages(a, PAGE, 1) != -1;
		fill_pages(a, PAGE, 1);
		if (m->rounds % 3 == 0)
			m->bad += uv_migrate(m->fd, m->mem, m->len, UFFDVRAM_MIGRATE_TO_RAM,
					     NULL) != 0;
	}
	return NULL;
}

TEST_F(linear, side_by_side)
{
	char *second = map_small(16 * PAGE), *plain = map_small(SLOTS * PAGE);
	uint64_t end = now_ms() + 3000, evicted = uv_stat("evicted");
	struct mover m[4] = {
		{ .fd = self->fd, .mem = self->mem, .len = LEN },
		{ .fd = self->fd, .mem = second, .len = 16 * PAGE },
		{ .fd = self->fd, .mem = plain, .len = SLOTS * PAGE },
		{ .fd = self->fd, .mem = self->mem, .len = LEN },
	};
	uint32_t range;
	long bad = 0;
	int i;

	fill_pages(second, 16 * PAGE, 1);
	fill_pages(plain, SLOTS * PAGE, 1);
	ASSERT_EQ(0, uv_register(self->fd, plain, SLOTS * PAGE, self->pool, NULL));
	ASSERT_EQ(SLOTS - PAGES, uv_to_vram(self->fd, plain, SLOTS * PAGE));
	ASSERT_EQ(0, reg_linear(self->fd, second, 16 * PAGE, self->pool, 0, &range));
	for (i = 0; i < 4; i++) {
		m[i].end = end;
		m[i].evicted = evicted;
		m[i].seed = 5 + i;
	}
	ASSERT_EQ(0, threads_run(4, keep_moving, m, sizeof(*m)));
	for (i = 0; i < 4; i++)
		bad += m[i].bad;
	EXPECT_EQ(0, bad);
	EXPECT_LT(evicted, uv_stat("evicted"));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(16, uv_to_vram(self->fd, second, 16 * PAGE));
	EXPECT_EQ(0, misplaced(self->fd, self->pool, self->mem, LEN, OFF));
	EXPECT_EQ(0, misplaced(self->fd, self->pool, second, 16 * PAGE, 0));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(-1, check_pages(second, 16 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(plain, SLOTS * PAGE, 1));
	munmap(second, 16 * PAGE);
	munmap(plain, SLOTS * PAGE);
}

TEST_HARNESS_MAIN
