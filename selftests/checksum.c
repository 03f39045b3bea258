// SPDX-License-Identifier: GPL-2.0-only
/* IVSHMEM: 256 */
/*
 * Checksums: a page that went bad in VRAM, without a word from the device, is lost,
 * by whichever way it is read, and no other page is.
 */
#include "kselftest_harness.h"

#include "util_mm.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES		64
#define LEN		(PAGES * PAGE)
#define POOL		MIB(2)
#define OFF		MIB(10)		/* of the pool in the BAR */
#define AT		MIB(1)		/* of the range in the pool */
#define BAD		17		/* a page */

#define PARAM		"/sys/module/uffdvram/parameters/checksums"

FIXTURE(checksum)
{
	int fd;
	uint32_t pool, range;
	char *mem;
	char *view;		/* of the BAR */
	bool pci;
	uint64_t errors;	/* counted so far */
};

FIXTURE_VARIANT(checksum)
{
	bool pci;
	const char *param;
};

FIXTURE_VARIANT_ADD(checksum, sim) { .pci = false, .param = "1" };
FIXTURE_VARIANT_ADD(checksum, pci) { .pci = true, .param = "-1" };

typedef FIXTURE_DATA(checksum) data;

static int attach(data *self, uint32_t flags)
{
	return self->pci ? uv_attach_pci(self->fd, OFF, POOL, flags, &self->pool) :
			   uv_attach(self->fd, POOL, flags, &self->pool);
}

static bool attaches(void *self)
{
	return attach(self, 0) == 0;
}

/* Page x of mem is at AT + x of the pool. */
static int place(data *self)
{
	struct uffdvram_range_register arg = {
		.size = sizeof(arg), .flags = UFFDVRAM_RANGE_LINEAR, .pool = self->pool,
		.addr = ADDR(self->mem), .len = LEN, .pool_off = AT,
	};
	int ret = uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &arg);

	self->range = arg.range;
	return ret;
}

/* Flips a bit of a page in VRAM: of its first, its last or another byte. */
static void spoil(data *self, unsigned int page)
{
	static const unsigned int bytes[] = { 0, PAGE - 1, 1234 };
	uint64_t off = AT + page * PAGE + bytes[page % 3];

	if (self->pci)
		self->view[OFF + off] ^= 1;
	else
		uv_knob_set("flip", "%u %llu", self->pool, (unsigned long long)off);
}

FIXTURE_SETUP(checksum)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, file_write(PARAM, variant->param));
	self->pci = variant->pci;
	self->view = bar_view();
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	/* The pool of a context that was closed ends a moment later. */
	ASSERT_TRUE(wait_until(attaches, self, 60000));
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, place(self));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	self->errors = uv_stat("checksum_errors");
}

FIXTURE_TEARDOWN(checksum)
{
	file_write(PARAM, "-1");
	bar_view_end(self->view);
	munmap(self->mem, LEN);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

static bool lost(data *self, unsigned int page)
{
	char *at = self->mem + page * PAGE + 100;
	struct sigbus s = read_byte(at);

	return s.signo == SIGBUS && s.code == BUS_MCEERR_AR && s.addr == at && s.lsb == 12;
}

/* One page is lost, and its neighbours are all right. */
static void expect_lost(struct __test_metadata *_metadata, data *self)
{
	EXPECT_TRUE(lost(self, BAD));
	EXPECT_EQ(UFFDVRAM_STATE_POISON, state_of(self->fd, self->mem + BAD * PAGE));
	EXPECT_EQ(-1, check_pages(self->mem, BAD * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + (BAD + 1) * PAGE, LEN - (BAD + 1) * PAGE, 1));
	EXPECT_EQ(self->errors + 1, uv_stat("checksum_errors"));
}

TEST_F(checksum, read)
{
	spoil(self, BAD);
	EXPECT_TRUE(lost(self, BAD));
	expect_lost(_metadata, self);
	/* Its slot is nobody's any more. */
	EXPECT_EQ(1, pool_value(self->pool, " lost "));
	munmap(self->mem, LEN);
	self->mem = map_small(LEN);
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_EQ(1, pool_value(self->pool, " quarantined "));
}

TEST_F(checksum, write)
{
	struct sigbus s;

	spoil(self, BAD);
	s = write_byte(self->mem + BAD * PAGE, 7);
	EXPECT_EQ(SIGBUS, s.signo);
	EXPECT_EQ(BUS_MCEERR_AR, s.code);
	EXPECT_EQ(self->mem + BAD * PAGE, s.addr);
	expect_lost(_metadata, self);
}

TEST_F(checksum, migrate)
{
	struct uffdvram_migrate m;

	spoil(self, BAD);
	EXPECT_EQ(0, uv_migrate(self->fd, self->mem + BAD * PAGE, PAGE,
				UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(1, m.stayed[UFFDVRAM_STAY_COPY_FAILED]);
	EXPECT_EQ(ADDR(self->mem + BAD * PAGE), m.first[UFFDVRAM_STAY_COPY_FAILED]);
	EXPECT_EQ(PAGES - 1, uv_to_ram(self->fd, self->mem, LEN));
	expect_lost(_metadata, self);
}

TEST_F(checksum, copy_read)
{
	char *buf = map_small(LEN);
	uint64_t done = 0;

	spoil(self, BAD);
	EXPECT_EQ(-EHWPOISON, uv_copy(self->fd, 0, self->mem, LEN, buf, &done));
	EXPECT_EQ(BAD * PAGE, done);
	EXPECT_EQ(-1, check_pages_as(buf, done, self->mem, 1));
	EXPECT_EQ(-1, not_zero(buf + done, PAGE));
	EXPECT_EQ(-EHWPOISON, uv_copy(self->fd, 0, self->mem + BAD * PAGE, PAGE, buf, NULL));
	munmap(buf, LEN);
	expect_lost(_metadata, self);
}

/* What is written over is not looked at; what was written is. */
TEST_F(checksum, copy_write)
{
	char *buf = map_small(LEN);

	fill_pages_as(buf, LEN, self->mem, 1);
	spoil(self, BAD - 1);
	EXPECT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem, LEN, buf, NULL));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(self->errors, uv_stat("checksum_errors"));
	munmap(buf, LEN);
	spoil(self, BAD);
	expect_lost(_metadata, self);
}

TEST_F(checksum, detach)
{
	spoil(self, BAD);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	expect_lost(_metadata, self);
}

static bool one_is_used(void *unused)
{
	(void)unused;
	return uv_slots_in_use() == 1;
}

TEST_F(checksum, close)
{
	spoil(self, BAD);
	close(self->fd);
	EXPECT_TRUE(wait_until(one_is_used, NULL, 60000));
	self->fd = uv_open();
	expect_lost(_metadata, self);
}

/* Exactly those, be they many, neighbours, the first or the last. */
TEST_F(checksum, exactly_those)
{
	static const unsigned int bad[] = { 0, 3, 4, 5, 11, 30, 31, 32, 62, PAGES - 1 };
	unsigned int page, i = 0;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		spoil(self, bad[i]);
	for (page = 0, i = 0; page < PAGES; page++) {
		if (i < ARRAY_SIZE(bad) && bad[i] == page) {
			EXPECT_TRUE(lost(self, page))
				TH_LOG("page %u", page);
			i++;
		} else {
			EXPECT_EQ(-1, check_pages(self->mem + page * PAGE, PAGE, 1))
				TH_LOG("page %u", page);
		}
	}
	EXPECT_EQ(self->errors + ARRAY_SIZE(bad), uv_stat("checksum_errors"));
}

/* Holes that became zeroed pages of VRAM are checked, too. */
TEST_F(checksum, holes)
{
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	spoil(self, BAD);
	EXPECT_TRUE(lost(self, BAD));
	EXPECT_EQ(-1, not_zero(self->mem, BAD * PAGE));
	EXPECT_EQ(-1, not_zero(self->mem + (BAD + 1) * PAGE, LEN - (BAD + 1) * PAGE));
	EXPECT_EQ(self->errors + 1, uv_stat("checksum_errors"));
}

/* A slot that has had other bytes before. */
TEST_F(checksum, again_and_again)
{
	for (unsigned int i = 1; i < 5; i++) {
		fill_pages(self->mem, LEN, i);
		EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
		EXPECT_EQ(-1, check_pages(self->mem, LEN, i));
	}
	EXPECT_EQ(self->errors, uv_stat("checksum_errors"));
}

/* The device may write where it was said that it does. */
TEST_F(checksum, unchecked)
{
	ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	ASSERT_EQ(0, attach(self, UFFDVRAM_POOL_UNCHECKED));
	EXPECT_EQ(0, pool_value(self->pool, " checked "));
	ASSERT_EQ(0, place(self));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	spoil(self, BAD);
	EXPECT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_EQ(1, check_each(self->mem, LEN, 1));
	EXPECT_EQ(self->errors, uv_stat("checksum_errors"));
}

/* Which pools have checksums. */
TEST_F(checksum, parameter)
{
	static const struct {
		const char *param;
		int sim, pci;
	} cases[] = { { "-1", 0, 1 }, { "0", 0, 0 }, { "1", 1, 1 } };

	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
		ASSERT_EQ(0, file_write(PARAM, cases[i].param));
		ASSERT_EQ(0, attach(self, 0));
		EXPECT_EQ(variant->pci ? cases[i].pci : cases[i].sim,
			  pool_value(self->pool, " checked "));
	}
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_HARNESS_MAIN
