// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 240 */
/*
 * Entries of 2 MiB in VRAM: they go there and come home as one, or by pages where they
 * cannot, and no byte is lost or in the wrong place.
 */
#include "kselftest_harness.h"

#include "inject.h"
#include "util_mm.h"
#include "folio_fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define QUOTA	"/sys/module/uffdvram/parameters/slot_quota"

/* Pages in VRAM, and entries of 2 MiB, there or in RAM. */
static long in_vram(FIXTURE_DATA(folio) *self)
{
	return uv_in_vram(self->fd, self->mem, LEN);
}

static long huge(FIXTURE_DATA(folio) *self)
{
	return huge_pages(self->fd, self->mem, LEN) / (long)FOLIO;
}

TEST_F(folio, go_and_come_home)
{
	uint64_t in = uv_stat("folios_in"), out = uv_stat("folios_out");
	uint64_t split = uv_stat("folios_split");
	char *buf = map_small(LEN);

	for (int i = 2; i < 5; i++) {
		ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, buf, NULL));
		EXPECT_EQ(-1, check_pages_as(buf, LEN, self->mem, i - 1));
		EXPECT_EQ(LEN / PAGE, in_vram(self));
		ASSERT_EQ(LEN / PAGE, uv_to_ram(self->fd, self->mem, LEN));
		EXPECT_EQ(FOLIOS, huge(self));
		EXPECT_EQ(0, uv_slots_in_use());
		EXPECT_EQ(-1, check_pages(self->mem, LEN, i - 1));
		fill_pages(self->mem, LEN, i);
		ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
		EXPECT_EQ(FOLIOS, huge(self));
		EXPECT_EQ(LEN / PAGE, uv_slots_in_use());
	}
	EXPECT_EQ(in + 3 * FOLIOS, uv_stat("folios_in"));
	EXPECT_EQ(out + 3 * FOLIOS, uv_stat("folios_out"));
	EXPECT_EQ(split, uv_stat("folios_split"));
	munmap(buf, LEN);
}

TEST_F(folio, come_home_by_one_fault)
{
	uint64_t folios = uv_stat("folios_fault"), pages = uv_stat("fault_pages");

	for (int i = 0; i < FOLIOS; i++) {
		char *at = self->mem + i * HUGE + (i * 160 + 3) * PAGE;

		EXPECT_EQ(-1, check_pages(at, PAGE, 1));
		EXPECT_EQ(folios + i + 1, uv_stat("folios_fault"));
		EXPECT_EQ(LEN / PAGE - (i + 1) * FOLIO, in_vram(self));
	}
	EXPECT_EQ(pages + LEN / PAGE, uv_stat("fault_pages"));
	EXPECT_EQ(FOLIOS, huge(self));
	EXPECT_EQ(0, uv_slots_in_use());
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* In a pool that is told so, a page comes home alone, and the rest stays. */
TEST_F(folio, come_home_page_by_page)
{
	uint64_t folios, pages;
	char *at = self->mem + HUGE + 7 * PAGE;

	move_on(_metadata, self, PAGE);
	folios = uv_stat("folios_fault");
	pages = uv_stat("fault_pages");
	EXPECT_EQ(-1, check_pages(at, PAGE, 1));
	fill_pages(at + 300 * PAGE, 2 * PAGE, 2);
	EXPECT_EQ(folios, uv_stat("folios_fault"));
	EXPECT_EQ(pages + 3, uv_stat("fault_pages"));
	EXPECT_EQ(LEN / PAGE - 3, in_vram(self));
	EXPECT_EQ(FOLIOS - 1, huge(self));
	EXPECT_EQ(-1, check_pages(self->mem, HUGE + 307 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(at + 300 * PAGE, 2 * PAGE, 2));
	EXPECT_EQ(-1, check_pages(at + 302 * PAGE, LEN - HUGE - 309 * PAGE, 1));
	EXPECT_EQ(pages + LEN / PAGE, uv_stat("fault_pages"));
	EXPECT_TRUE(uv_wait_slots(0));
}

/* By default as fits the backend: 2 MiB take milliseconds to read from a BAR. */
TEST_F(folio, come_home_by_default)
{
	const char *backend = getenv("UFFDVRAM_BACKEND");
	bool slow = backend && strcmp(backend, "sim");
	uint32_t pool;

	move_on(_metadata, self, 0);
	EXPECT_EQ(-1, check_pages(self->mem, PAGE, 1));
	EXPECT_EQ(LEN / PAGE - (slow ? 1 : FOLIO), in_vram(self));
	uv_fault_bytes = PAGE + 1;
	EXPECT_EQ(-EINVAL, uv_attach(self->fd, HUGE, 0, &pool));
	uv_fault_bytes = 2 * HUGE;
	EXPECT_EQ(-EINVAL, uv_attach(self->fd, HUGE, 0, &pool));
}

/* A write, too; and each page can be written afterwards. */
TEST_F(folio, written_by_a_fault)
{
	fill_pages(self->mem + 5 * PAGE, PAGE, 2);
	EXPECT_EQ(LEN / PAGE - FOLIO, in_vram(self));
	EXPECT_EQ(-1, check_pages(self->mem, 5 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + 5 * PAGE, PAGE, 2));
	EXPECT_EQ(-1, check_pages(self->mem + 6 * PAGE, LEN - 6 * PAGE, 1));
	fill_pages(self->mem, LEN, 3);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 3));
}

/* Holes of that size are filled with zeroes, in one go, but not against advice. */
TEST_F(folio, fill_holes)
{
	uint64_t folios = uv_stat("folios_in");
	size_t marked;

	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	EXPECT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, madvise(self->mem + HUGE, HUGE, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, file_write("/proc/self/clear_refs", "4"));
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(FOLIOS - 1, huge(self));
	EXPECT_EQ(0, huge_pages(self->fd, self->mem + HUGE, HUGE));
	EXPECT_EQ(folios + FOLIOS - 1, uv_stat("folios_in"));
	marked = soft_dirty(self->mem, LEN / PAGE);
	EXPECT_EQ(LEN / PAGE, marked);
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
	EXPECT_EQ(0, uv_slots_in_use());
}

/* The zero page of 2 MiB is a hole, too. */
TEST_F(folio, replace_the_zero_page)
{
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	for (int i = 0; i < FOLIOS; i++)
		read_byte(self->mem + i * HUGE + 1);
	ASSERT_EQ(FOLIOS, huge(self));
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(FOLIOS, huge(self));
	EXPECT_EQ(LEN / PAGE, in_vram(self));
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
	fill_pages(self->mem, LEN, 2);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
}

/* Where slots are free, but no block of them, pages go on their own. */
TEST_F(folio, a_fragmented_pool)
{
	size_t blocks = POOL / HUGE;
	char *small = map_aligned(POOL);
	uint64_t folios;
	long n = 0;

	ASSERT_EQ(LEN / PAGE, uv_to_ram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_register(self->fd, small, POOL, self->pool, NULL));
	ASSERT_EQ((long)(POOL / PAGE), uv_to_vram(self->fd, small, POOL));
	/* One page of each block stays; of the last block, all do. */
	for (size_t i = 0; i < blocks - 1; i++)
		ASSERT_EQ(0, madvise(small + i * HUGE + PAGE, HUGE - PAGE, MADV_DONTNEED));
	folios = uv_stat("folios_small");
	n = move_all(self->fd, self->mem, LEN, 0, NULL);
	EXPECT_EQ(LEN / PAGE, n);
	EXPECT_EQ(0, huge(self));
	EXPECT_LE(folios + FOLIOS, uv_stat("folios_small"));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	/* As soon as there is a block, it is used. */
	munmap(small, POOL);
	fill_pages(self->mem, LEN, 2);
	ASSERT_EQ(0, madvise(self->mem, HUGE, MADV_DONTNEED));
	fill_pages(self->mem, HUGE, 2);
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_LE(1, huge(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
}

/* A quota that ends in the middle of one: so many pages go. */
TEST_F(folio, a_quota)
{
	struct uffdvram_migrate m;
	uint64_t quota = FOLIO + 100;
	char text[32];

	ASSERT_EQ(LEN / PAGE, uv_to_ram(self->fd, self->mem, LEN));
	snprintf(text, sizeof(text), "%llu", (unsigned long long)quota);
	ASSERT_EQ(0, file_write(QUOTA, text));
	EXPECT_EQ((long)quota, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(0, file_write(QUOTA, "0"));
	EXPECT_EQ(LEN / PAGE - quota, m.stayed[UFFDVRAM_STAY_QUOTA]);
	EXPECT_TRUE(sum_ok(self->mem, LEN, &m));
	EXPECT_EQ((long)quota, in_vram(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* No page of 2 MiB in RAM: nothing is lost, it comes by pages of 4 KiB. */
TEST_F(folio, no_huge_page_in_ram)
{
	uint64_t split = uv_stat("folios_split"), small = uv_stat("folios_small");
	struct uffdvram_migrate m;
	struct inject in;

	ASSERT_TRUE(inject_open(&in, false));
	/* The first is for the books. */
	inject_arm(&in, 2, "alloc");
	read_byte(self->mem + 77 * PAGE);
	EXPECT_TRUE(inject_disarm(&in));
	EXPECT_EQ(LEN / PAGE - 1, in_vram(self));
	EXPECT_EQ(FOLIOS - 1, huge(self));
	EXPECT_EQ(split + 1, uv_stat("folios_split"));
	EXPECT_EQ(-1, check_pages(self->mem, HUGE, 1));
	EXPECT_EQ(LEN / PAGE - FOLIO, in_vram(self));
	/* The same by MIGRATE; its first is for the working memory. */
	inject_arm(&in, 2, "alloc");
	EXPECT_EQ(0, uv_migrate(self->fd, self->mem + HUGE, HUGE, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_TRUE(inject_disarm(&in));
	EXPECT_EQ(FOLIO, m.moved);
	EXPECT_EQ(FOLIOS - 2, huge(self));
	EXPECT_EQ(split + 2, uv_stat("folios_split"));
	EXPECT_EQ(small + 2, uv_stat("folios_small"));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	inject_close(&in);
}

/* A copy of 2 MiB that fails: in, nothing is lost; nor out, if pages can be read. */
TEST_F(folio, a_copy_that_fails)
{
	uint64_t lost = uv_stat("slots_lost");

	uv_knob_set("fail_to_ram", "1");
	EXPECT_EQ(-1, check_pages(self->mem, HUGE, 1));
	uv_knob_set("fail_to_ram", "1");
	EXPECT_EQ(FOLIO, uv_to_ram(self->fd, self->mem + HUGE, HUGE));
	EXPECT_EQ(lost, uv_stat("slots_lost"));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	fill_pages(self->mem, HUGE, 2);
	ASSERT_EQ(0, madvise(self->mem, HUGE, MADV_DONTNEED));
	fill_pages(self->mem, HUGE, 2);
	uv_knob_set("fail_to_vram", "1");
	EXPECT_EQ(FOLIO, uv_to_vram(self->fd, self->mem, HUGE));
	EXPECT_EQ(-1, check_pages(self->mem, HUGE, 2));
}

/* Makes the range a linear one, with its window at @off, and all of it go there. */
static long place_at(FIXTURE_DATA(folio) *self, uint64_t off)
{
	struct uffdvram_range_register arg = { .size = sizeof(arg), .pool = self->pool,
					       .flags = UFFDVRAM_RANGE_LINEAR, .pool_off = off,
					       .addr = ADDR(self->mem), .len = LEN };
	long ret;

	if (uv_to_ram(self->fd, self->mem, LEN) != (long)(LEN / PAGE))
		return -1;
	ret = uv_unregister(self->fd, self->range) ?:
	      uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &arg);
	self->range = arg.range;
	return ret ?: uv_to_vram(self->fd, self->mem, LEN);
}

/* Flips a bit of a page in VRAM, of which the pool has a checksum. */
static void spoil(FIXTURE_DATA(folio) *self, uint64_t off)
{
	uv_knob_set("flip", "%u %llu", self->pool, (unsigned long long)off + 1234);
}

static bool is_lost(const char *page)
{
	struct sigbus s = read_byte(page + 5);

	return s.signo == SIGBUS && s.code == BUS_MCEERR_AR && s.addr == page + 5 && s.lsb == 12;
}

/* Each page is at its offset in the window: a bit flipped there is noticed here. */
TEST_F(folio, in_a_linear_window)
{
	/* What the first loses is not in the way of the second. */
	static const uint64_t offs[] = { 4 * HUGE, PAGE };

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(LEN / PAGE, place_at(self, offs[i]));
		EXPECT_EQ(i ? 0 : FOLIOS, huge(self));
		for (int n = 0; n < FOLIOS; n++) {
			size_t at = n * HUGE + (n * 100 + 31) * PAGE;

			spoil(self, offs[i] + at);
			EXPECT_EQ(-1, check_pages(self->mem + n * HUGE, at - n * HUGE, 1));
			EXPECT_TRUE(is_lost(self->mem + at));
			EXPECT_EQ(-1, check_pages(self->mem + at + PAGE,
						  (n + 1) * HUGE - at - PAGE, 1));
			ASSERT_EQ(0, madvise(self->mem + at, PAGE, MADV_DONTNEED));
			fill_pages(self->mem + at, PAGE, 1);
		}
	}
}

/* Strangers make room, be they folios or pages. */
TEST_F(folio, in_a_window_of_others)
{
	char *other = map_filled(self->fd, POOL, 7);

	ASSERT_EQ(LEN / PAGE, uv_to_ram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_register(self->fd, other, POOL, self->pool, NULL));
	ASSERT_EQ((long)(POOL / PAGE), uv_to_vram(self->fd, other, POOL));
	EXPECT_EQ((long)(POOL / PAGE), huge_pages(self->fd, other, POOL));
	/* One of them is mapped by pages. */
	ASSERT_EQ(0, mprotect(other + POOL - 5 * HUGE, PAGE, PROT_NONE));
	EXPECT_EQ(LEN / PAGE, place_at(self, 2 * HUGE));
	EXPECT_EQ(FOLIOS, huge(self));
	EXPECT_EQ((long)((POOL - LEN) / PAGE), uv_in_vram(self->fd, other, POOL));
	ASSERT_EQ(0, mprotect(other, POOL, PROT_READ | PROT_WRITE));
	EXPECT_EQ(-1, check_pages(other, POOL, 7));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	munmap(other, POOL);
}

/* One page cannot be read: 511 come home, one slot is lost. By faults ... */
TEST_F(folio, an_unreadable_page)
{
	uint64_t lost = uv_stat("slots_lost");
	char *bad = self->mem + 100 * PAGE;

	ASSERT_EQ(LEN / PAGE, place_at(self, 0));
	spoil(self, 100 * PAGE);
	EXPECT_EQ(-1, check_pages(self->mem + HUGE - PAGE, PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem, 100 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(bad + PAGE, HUGE - 101 * PAGE, 1));
	EXPECT_EQ(lost, uv_stat("slots_lost"));
	EXPECT_TRUE(is_lost(bad));
	EXPECT_TRUE(is_lost(bad));
	EXPECT_EQ(lost + 1, uv_stat("slots_lost"));
	EXPECT_EQ(UFFDVRAM_STATE_POISON, state_of(self->fd, bad));
	EXPECT_EQ(LEN / PAGE - FOLIO, in_vram(self));
	EXPECT_EQ(-1, check_pages(self->mem + HUGE, LEN - HUGE, 1));
}

/* ... or by MIGRATE ... */
TEST_F(folio, an_unreadable_page_by_migrate)
{
	uint64_t lost = uv_stat("slots_lost");
	char *bad = self->mem + 511 * PAGE;
	struct uffdvram_migrate m;

	ASSERT_EQ(LEN / PAGE, place_at(self, 0));
	spoil(self, 511 * PAGE);
	EXPECT_EQ(LEN / PAGE - 1, move_all(self->fd, self->mem, LEN, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(1, uv_stayed(&m));
	EXPECT_EQ(lost + 1, uv_stat("slots_lost"));
	EXPECT_TRUE(is_lost(bad));
	EXPECT_EQ(-1, check_pages(self->mem, 511 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + HUGE, LEN - HUGE, 1));
}

/* ... or after COPY has found it, in an entry that is still whole. */
TEST_F(folio, an_unreadable_page_by_copy)
{
	char *bad = self->mem + 9 * PAGE, *buf = map_small(HUGE);
	uint64_t done;

	ASSERT_EQ(LEN / PAGE, place_at(self, 0));
	spoil(self, 9 * PAGE);
	EXPECT_EQ(-EHWPOISON, uv_copy(self->fd, 0, self->mem, HUGE, buf, &done));
	EXPECT_EQ(9 * PAGE, done);
	EXPECT_EQ(FOLIOS, huge(self));
	EXPECT_EQ(UFFDVRAM_STATE_POISON, state_of(self->fd, bad));
	EXPECT_EQ(UFFDVRAM_STATE_VRAM, state_of(self->fd, bad + PAGE));
	EXPECT_EQ(0, uv_copy(self->fd, 0, bad + PAGE, HUGE - 10 * PAGE, buf, NULL));
	EXPECT_EQ(-1, check_pages_as(buf, HUGE - 10 * PAGE, bad + PAGE, 1));
	EXPECT_TRUE(is_lost(bad));
	EXPECT_EQ(-1, check_pages(self->mem, 9 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(bad + PAGE, LEN - 10 * PAGE, 1));
	munmap(buf, HUGE);
}

/* COPY writes in the slots, at any place, and the entry stays whole. */
TEST_F(folio, written_by_copy)
{
	char *buf = map_small(HUGE);

	fill_pages_as(buf, HUGE, self->mem + HUGE - 50 * PAGE, 4);
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem + HUGE - 50 * PAGE, HUGE,
			     buf, NULL));
	EXPECT_EQ(FOLIOS, huge(self));
	EXPECT_EQ(LEN / PAGE, in_vram(self));
	EXPECT_EQ(-1, check_pages(self->mem, HUGE - 50 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + HUGE - 50 * PAGE, HUGE, 4));
	EXPECT_EQ(-1, check_pages(self->mem + 2 * HUGE - 50 * PAGE, LEN - 2 * HUGE + 50 * PAGE, 1));
	munmap(buf, HUGE);
}

TEST_HARNESS_MAIN
