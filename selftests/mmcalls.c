// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* What a process may do to its memory while pages of it live in VRAM. */
#include "kselftest_harness.h"

#include "util_mm.h"

#include <errno.h>
#include <sys/mman.h>

/* Of the variant: pages of 4 KiB each on its own, or of entries of 2 MiB. */
#define PAGES		(variant->pages)
#define LEN		(PAGES * PAGE)
#define HUGE_ONES	(LEN >= HUGE)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

FIXTURE(mm)
{
	int fd;
	uint32_t pool;
	uint64_t slots;
	char *mem;		/* all of it in VRAM, filled with seed 1 */
};

FIXTURE_VARIANT(mm)
{
	int pages;
};

FIXTURE_VARIANT_ADD(mm, small) { .pages = 64 };
FIXTURE_VARIANT_ADD(mm, huge) { .pages = 2 * HUGE / PAGE };

FIXTURE_SETUP(mm)
{
	bool huge = HUGE_ONES;

	self->slots = uv_slots_in_use();
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	if (huge && !huge_in_vram(self->fd))
		SKIP(return, "this kernel has no device folios of 2 MiB");
	/* Faults bring home what is mapped as one, over slow backends, too. */
	uv_fault_bytes = huge ? HUGE : 0;
	ASSERT_EQ(0, uv_attach(self->fd, MIB(16), 0, &self->pool));
	self->mem = huge ? map_filled(self->fd, LEN, 1) : map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(huge ? PAGES : 0, huge_pages(self->fd, self->mem, LEN));
}

FIXTURE_TEARDOWN(mm)
{
	close(self->fd);
	munmap(self->mem, LEN);
	EXPECT_TRUE(uv_wait_slots(self->slots));
}

static bool all_zero(const char *mem, size_t len)
{
	return not_zero(mem, len) == -1;
}

/* Slots in use come down to so many; those of folios that are cut up, only later. */
static bool slots_left(uint64_t slots, bool huge)
{
	return huge ? uv_slots_in_use() >= slots : uv_wait_slots(slots);
}

TEST_F(mm, munmap_of_a_part)
{
	/* From the middle, the front, the end. */
	ASSERT_EQ(0, munmap(self->mem + 20 * PAGE, 5 * PAGE));
	ASSERT_EQ(0, munmap(self->mem, 3 * PAGE));
	ASSERT_EQ(0, munmap(self->mem + LEN - 7 * PAGE, 7 * PAGE));
	EXPECT_TRUE(slots_left(self->slots + PAGES - 15, HUGE_ONES));
	EXPECT_EQ(PAGES - 15, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem + 3 * PAGE, 17 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + 25 * PAGE, LEN - 32 * PAGE, 1));
	EXPECT_EQ(SIGSEGV, read_byte(self->mem + 22 * PAGE).signo);
}

/* New memory at old addresses has nothing of what was there. */
TEST_F(mm, munmap_and_map_again)
{
	ASSERT_EQ(self->mem, mmap(self->mem, LEN, PROT_READ | PROT_WRITE,
				  MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	EXPECT_TRUE(uv_wait_slots(self->slots));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_TRUE(all_zero(self->mem, LEN));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_TRUE(all_zero(self->mem, LEN));
}

TEST_F(mm, mremap_moves)
{
	char *to = map_small(LEN);

	ASSERT_EQ(to, mremap(self->mem, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, to, LEN));
	EXPECT_EQ(-1, check_pages_as(to, LEN, self->mem, 1));
	munmap(to, LEN);
}

TEST_F(mm, mremap_moves_a_part)
{
	char *to = map_small(8 * PAGE);

	ASSERT_EQ(to, mremap(self->mem + 10 * PAGE, 8 * PAGE, 8 * PAGE,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(8, uv_in_vram(self->fd, to, 8 * PAGE));
	EXPECT_EQ(PAGES - 8, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages_as(to, 8 * PAGE, self->mem + 10 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem, 10 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + 18 * PAGE, LEN - 18 * PAGE, 1));
	munmap(to, 8 * PAGE);
}

/* Pages that moved away are no range's; when the context ends they come home. */
TEST_F(mm, mremap_then_close)
{
	char *to = map_small(LEN);

	ASSERT_EQ(to, mremap(self->mem, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(self->slots));
	EXPECT_EQ(-1, check_pages_as(to, LEN, self->mem, 1));
	self->fd = uv_open();
	munmap(to, LEN);
}

TEST_F(mm, mremap_grows_and_shrinks)
{
	char *to;

	ASSERT_EQ(self->mem, mremap(self->mem, LEN, LEN / 2, 0));
	EXPECT_TRUE(uv_wait_slots(self->slots + PAGES / 2));
	EXPECT_EQ(-1, check_pages(self->mem, PAGE, 1));
	to = mremap(self->mem, LEN / 2, 2 * LEN, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, to);
	/* What was looked at is home. */
	EXPECT_EQ(HUGE_ONES ? 0 : PAGES / 2 - 1, uv_in_vram(self->fd, to, 2 * LEN));
	EXPECT_EQ(-1, check_pages_as(to, LEN / 2, self->mem, 1));
	EXPECT_TRUE(all_zero(to + LEN / 2, 2 * LEN - LEN / 2));
	munmap(to, 2 * LEN);
}

TEST_F(mm, mremap_leaves_a_hole)
{
	char *to = mremap(self->mem, LEN, LEN, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);

	ASSERT_NE(MAP_FAILED, to);
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, to, LEN));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	/* The old addresses are still a range, over new memory. */
	EXPECT_TRUE(all_zero(self->mem, LEN));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages_as(to, LEN, self->mem, 1));
	EXPECT_TRUE(all_zero(self->mem, LEN));
	munmap(to, LEN);
}

TEST_F(mm, mprotect_splits)
{
	for (int i = 0; i < PAGES; i += 3) {
		ASSERT_EQ(0, mprotect(self->mem + i * PAGE, PAGE, PROT_READ));
		ASSERT_EQ(0, mprotect(self->mem + (i + 1) % PAGES * PAGE, PAGE, PROT_NONE));
	}
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(SIGSEGV, write_byte(self->mem + 3 * PAGE, 1).signo);
	EXPECT_EQ(SIGSEGV, read_byte(self->mem + 4 * PAGE).signo);
	EXPECT_EQ(0, read_byte(self->mem + 3 * PAGE).signo);
	/* Home and out again, whatever the protection. */
	EXPECT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(SIGSEGV, read_byte(self->mem + 4 * PAGE).signo);
	EXPECT_EQ(SIGSEGV, write_byte(self->mem + 3 * PAGE, 1).signo);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_WRITE));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	fill_pages(self->mem, LEN, 2);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
}

/* Each advice, and what may become of pages in VRAM. */
enum fate { STAYS, MAY_MOVE, COMES_HOME, IS_ZERO, MAY_BE_ZERO };

static const struct advice {
	const char *name;
	int advice;
	enum fate fate;
} all_advice[] = {
	{ "NORMAL", MADV_NORMAL, STAYS },
	{ "RANDOM", MADV_RANDOM, STAYS },
	{ "SEQUENTIAL", MADV_SEQUENTIAL, STAYS },
	{ "WILLNEED", MADV_WILLNEED, MAY_MOVE },
	{ "DONTNEED", MADV_DONTNEED, IS_ZERO },
	{ "FREE", MADV_FREE, MAY_BE_ZERO },
	{ "COLD", MADV_COLD, STAYS },
	{ "PAGEOUT", MADV_PAGEOUT, STAYS },
	{ "POPULATE_READ", MADV_POPULATE_READ, COMES_HOME },
	{ "POPULATE_WRITE", MADV_POPULATE_WRITE, COMES_HOME },
	{ "HUGEPAGE", MADV_HUGEPAGE, MAY_MOVE },
	{ "COLLAPSE", MADV_COLLAPSE, MAY_MOVE },
	{ "NOHUGEPAGE", MADV_NOHUGEPAGE, STAYS },
	{ "DONTDUMP", MADV_DONTDUMP, STAYS },
	{ "DONTFORK", MADV_DONTFORK, STAYS },
	{ "DOFORK", MADV_DOFORK, STAYS },
	{ "UNMERGEABLE", MADV_UNMERGEABLE, STAYS },
};

TEST_F(mm, madvise)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_advice); i++) {
		const struct advice *a = &all_advice[i];
		int ret = madvise(self->mem, LEN, a->advice), err = errno;
		long in_vram = uv_in_vram(self->fd, self->mem, LEN);

		/* These two say no to pages that they cannot collapse or merge. */
		if (a->advice != MADV_COLLAPSE && a->advice != MADV_UNMERGEABLE) {
			EXPECT_EQ(0, ret)
				TH_LOG("%s: %s", a->name, strerror(err));
		}
		if (a->fate == STAYS) {
			EXPECT_EQ(PAGES, in_vram)
				TH_LOG("%s moved pages", a->name);
		} else if (a->fate == COMES_HOME || a->fate == IS_ZERO) {
			EXPECT_EQ(0, in_vram)
				TH_LOG("%s left pages", a->name);
		}
		for (char *p = self->mem; p < self->mem + LEN; p += PAGE) {
			bool zero = all_zero(p, PAGE), kept = check_pages(p, PAGE, 1) == -1;

			EXPECT_TRUE(a->fate == IS_ZERO ? zero :
				    a->fate == MAY_BE_ZERO ? zero || kept : kept)
				TH_LOG("%s: page %ld is wrong", a->name,
				       (long)((p - self->mem) / PAGE));
		}
		fill_pages(self->mem, LEN, 1);
		ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	}
}

/* Of every second page only. */
TEST_F(mm, dontneed_of_single_pages)
{
	for (int i = 0; i < PAGES; i += 2) {
		ASSERT_EQ(0, madvise(self->mem + i * PAGE, PAGE, MADV_DONTNEED));
	}
	EXPECT_TRUE(slots_left(self->slots + PAGES / 2, HUGE_ONES));
	EXPECT_EQ(PAGES / 2, uv_in_vram(self->fd, self->mem, LEN));
	for (int i = 0; i < PAGES; i++) {
		char *p = self->mem + i * PAGE;

		EXPECT_TRUE(i % 2 ? check_pages(p, PAGE, 1) == -1 : all_zero(p, PAGE));
	}
}

struct memory {
	char *mem;
	size_t len;
};

static int reads_zero(int sock, void *arg)
{
	const struct memory *m = arg;

	(void)sock;
	return all_zero(m->mem, m->len) ? 0 : 1;
}

static int segfaults(int sock, void *arg)
{
	(void)sock;
	return read_byte(arg).signo == SIGSEGV ? 0 : 1;
}

TEST_F(mm, fork_advice)
{
	struct memory m = { self->mem, LEN };

	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_WIPEONFORK));
	EXPECT_EQ(0, run_child(reads_zero, &m));
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_KEEPONFORK));
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTFORK));
	EXPECT_EQ(0, run_child(segfaults, self->mem));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* Locked memory has to be at home, and comes; it may be moved again. */
TEST_F(mm, mlock)
{
	/* What locking batches on another CPU would keep references for long. */
	on_one_cpu();
	ASSERT_EQ(0, mlock(self->mem, LEN));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	uv_to_vram(self->fd, self->mem, LEN);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	ASSERT_EQ(0, munlock(self->mem, LEN));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* The kernel reads and writes pages in VRAM for system calls. */
TEST_F(mm, system_calls)
{
	char *copy = map_small(LEN);
	int memfd = memfd_create("copy", MFD_CLOEXEC);

	ASSERT_EQ(LEN, write(memfd, self->mem, LEN));
	ASSERT_EQ(LEN, pread(memfd, copy, LEN, 0));
	EXPECT_EQ(-1, check_pages_as(copy, LEN, self->mem, 1));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	fill_pages_as(copy, LEN, self->mem, 5);
	ASSERT_EQ(LEN, pwrite(memfd, copy, LEN, 0));
	ASSERT_EQ(LEN, pread(memfd, self->mem, LEN, 0));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 5));
	close(memfd);
	munmap(copy, LEN);
}

TEST_HARNESS_MAIN
