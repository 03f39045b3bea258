// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 240 */
/*
 * POISON: what becomes a mark, whatever was there; what a mark does; what takes it
 * away. Others' mappings, and errors, are the subject of poison_more.c.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include "util_mm.h"
#include "poison.h"

/* Holes become poison, all of them that were asked for, and no neighbour is filled. */
TEST_F(poison, holes)
{
	char buf[PAGE];
	struct uffdvram_migrate m;

	ASSERT_EQ(0, uv_poison(self->fd, 0, self->mem + 3 * PAGE, 5 * PAGE, &self->arg));
	EXPECT_EQ(5 * PAGE, self->arg.done);
	EXPECT_EQ(0, self->arg.bad_addr);
	EXPECT_EQ(5, in_state(self->fd, self->mem, LEN, UFFDVRAM_STATE_POISON));
	EXPECT_EQ(PAGES - 5, in_state(self->fd, self->mem, LEN, UFFDVRAM_STATE_OTHER));
	EXPECT_EQ(5, poison_pages(self->mem + 3 * PAGE, 5 * PAGE));
	EXPECT_EQ(SIGBUS, write_byte(self->mem + 3 * PAGE, 1).signo);
	EXPECT_EQ(-EHWPOISON, uv_copy(self->fd, 0, self->mem + 3 * PAGE, PAGE, buf, NULL));
	/* It stays, however often it is touched, and again is no error. */
	ASSERT_EQ(0, uv_poison(self->fd, 0, self->mem, LEN / 2, &self->arg));
	EXPECT_EQ(PAGES / 2, poison_pages(self->mem, LEN));
	ASSERT_EQ(0, uv_migrate(self->fd, self->mem, LEN / 2, 0, &m));
	EXPECT_EQ(PAGES / 2, m.stayed[UFFDVRAM_STAY_POISONED]);
	ASSERT_EQ(0, uv_migrate(self->fd, self->mem, LEN / 2, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(PAGES / 2, uv_stayed(&m) + m.already);
	EXPECT_EQ(PAGES / 2, in_state(self->fd, self->mem, LEN, UFFDVRAM_STATE_POISON));
}

/* System calls get EFAULT. */
TEST_F(poison, system_calls)
{
	int fds[2];

	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(0, uv_poison(self->fd, 0, self->mem, PAGE, NULL));
	EXPECT_EQ(-1, write(fds[1], self->mem, 1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(1, write(fds[1], "x", 1));
	EXPECT_EQ(-1, read(fds[0], self->mem, 1));
	EXPECT_EQ(EFAULT, errno);
	close(fds[0]);
	close(fds[1]);
}

/* What is there, of whatever kind, stays and is named. */
TEST_F(poison, populated)
{
	static const char kinds[] = "wzv";

	for (int i = 0; kinds[i]; i++) {
		char *page = self->mem + (8 * i + 5) * PAGE;

		if (kinds[i] == 'z') {
			EXPECT_EQ(0, read_byte(page).value);
		} else {
			fill_pages(page, PAGE, 1);
		}
		if (kinds[i] == 'v') {
			ASSERT_EQ(1, uv_to_vram(self->fd, page, PAGE));
		}
		EXPECT_EQ(-EEXIST, uv_poison(self->fd, 0, page - 2 * PAGE, 5 * PAGE, &self->arg));
		EXPECT_EQ(2 * PAGE, self->arg.done);
		EXPECT_EQ(ADDR(page), self->arg.bad_addr);
		EXPECT_EQ(2, poison_pages(page - 2 * PAGE, 2 * PAGE));
		EXPECT_EQ(kinds[i] == 'v', uv_in_vram(self->fd, page, PAGE));
		EXPECT_EQ(-1, kinds[i] == 'z' ? not_zero(page, PAGE) : check_pages(page, PAGE, 1));
		EXPECT_EQ(-1, not_zero(page + PAGE, 2 * PAGE));
	}
}

/* Everything becomes poison at once; the neighbours keep their bytes. */
TEST_F(poison, replace)
{
	char *mem = self->mem;

	fill_pages(mem, LEN, 1);
	ASSERT_EQ(0, madvise(mem + 20 * PAGE, 2 * PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, read_byte(mem + 20 * PAGE).value);
	ASSERT_EQ(20, uv_to_vram(self->fd, mem + 22 * PAGE, 20 * PAGE));
	ASSERT_EQ(0, uv_poison(self->fd, REPLACE, mem + 10 * PAGE, 30 * PAGE, &self->arg));
	EXPECT_EQ(30 * PAGE, self->arg.done);
	EXPECT_EQ(30, poison_pages(mem + 10 * PAGE, 30 * PAGE));
	EXPECT_EQ(30, in_state(self->fd, mem, LEN, UFFDVRAM_STATE_POISON));
	/* Those that lived in VRAM gave their slots back. */
	EXPECT_TRUE(uv_wait_slots(2));
	EXPECT_EQ(-1, check_pages(mem, 10 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(mem + 40 * PAGE, LEN - 40 * PAGE, 1));
}

/* A page of memory that may be huge: no neighbour gets filled, huge pages split. */
TEST_F(poison, huge)
{
	char *area = map_fresh(3 * HUGE), *mem = (char *)((ADDR(area) + HUGE - 1) & ~(HUGE - 1));
	size_t at = 100 * PAGE;

	ASSERT_EQ(0, madvise(mem, 2 * HUGE, MADV_HUGEPAGE));
	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * HUGE, self->pool, NULL));
	ASSERT_EQ(0, uv_poison(self->fd, 0, mem + at, PAGE, NULL));
	EXPECT_EQ(2 * HUGE / PAGE - 1, in_state(self->fd, mem, 2 * HUGE, UFFDVRAM_STATE_OTHER));
	ASSERT_EQ(0, uv_poison(self->fd, UNDO, mem + at, PAGE, NULL));

	/* The mark has left a page table, so that a fault brings pages of 4 KiB. */
	fill_pages(mem, 2 * HUGE, 1);
	ASSERT_EQ(0, collapse_huge(mem, 2 * HUGE));
	ASSERT_EQ(2 * HUGE / PAGE, huge_pages(self->fd, mem, 2 * HUGE));
	ASSERT_EQ(0, uv_poison(self->fd, REPLACE, mem + at, PAGE, NULL));
	EXPECT_TRUE(is_poison(mem + at + 5));
	EXPECT_EQ(-1, check_pages(mem, at, 1));
	EXPECT_EQ(-1, check_pages(mem + at + PAGE, 2 * HUGE - at - PAGE, 1));
	/* All of the other one, and more. */
	ASSERT_EQ(0, uv_poison(self->fd, REPLACE, mem + HUGE - PAGE, HUGE + PAGE, NULL));
	EXPECT_EQ(HUGE / PAGE + 2, in_state(self->fd, mem, 2 * HUGE, UFFDVRAM_STATE_POISON));
	EXPECT_EQ(HUGE / PAGE + 1, poison_pages(mem + HUGE - PAGE, HUGE + PAGE));
	munmap(area, 3 * HUGE);
}

/* The zero page, small and huge. */
TEST_F(poison, huge_zero_page)
{
	char *mem = map_huge(HUGE);

	ASSERT_EQ(0, uv_register(self->fd, mem, HUGE, self->pool, NULL));
	ASSERT_EQ(0, read_byte(mem).value);
	EXPECT_EQ(-EEXIST, uv_poison(self->fd, 0, mem, PAGE, NULL));
	ASSERT_EQ(0, uv_poison(self->fd, REPLACE, mem + 7 * PAGE, PAGE, NULL));
	EXPECT_EQ(1, poison_pages(mem, HUGE));
	EXPECT_EQ(-1, not_zero(mem, 7 * PAGE));
	EXPECT_EQ(-1, not_zero(mem + 8 * PAGE, HUGE - 8 * PAGE));
	munmap(mem, HUGE);
}

/* Swapped out is populated, too; a mark frees its place in swap. */
TEST_F(poison, swapped)
{
	if (!swap_on())
		SKIP(return, "no zram");
	fill_pages(self->mem, LEN, 1);
	ASSERT_TRUE(swap_out(self->mem, PAGES));
	EXPECT_EQ(-EEXIST, uv_poison(self->fd, 0, self->mem, LEN, NULL));
	ASSERT_EQ(0, uv_poison(self->fd, REPLACE, self->mem, LEN / 2, NULL));
	EXPECT_EQ(PAGES / 2, poison_pages(self->mem, LEN / 2));
	EXPECT_EQ(-1, check_pages(self->mem + LEN / 2, LEN / 2, 1));
	swap_off();
}

/* UNDO makes holes of poison, and leaves all else alone. */
TEST_F(poison, undo)
{
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES / 2, uv_to_vram(self->fd, self->mem + LEN / 2, LEN / 2));
	ASSERT_EQ(0, uv_poison(self->fd, REPLACE, self->mem + 10 * PAGE, 2 * PAGE, NULL));
	ASSERT_EQ(0, uv_poison(self->fd, REPLACE, self->mem + 40 * PAGE, PAGE, NULL));
	ASSERT_EQ(0, uv_poison(self->fd, UNDO, self->mem, 11 * PAGE, &self->arg));
	EXPECT_EQ(11 * PAGE, self->arg.done);
	EXPECT_EQ(0, read_byte(self->mem + 10 * PAGE).signo);
	EXPECT_TRUE(is_poison(self->mem + 11 * PAGE));
	ASSERT_EQ(0, uv_poison(self->fd, UNDO, self->mem, LEN, NULL));
	EXPECT_EQ(0, in_state(self->fd, self->mem, LEN, UFFDVRAM_STATE_POISON));
	EXPECT_EQ(PAGES / 2 - 1, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, not_zero(self->mem + 10 * PAGE, 2 * PAGE));
	EXPECT_EQ(-1, not_zero(self->mem + 40 * PAGE, PAGE));
	EXPECT_EQ(3, check_each(self->mem, LEN, 1));
}

/* A lost slot is poison: UNDO and REPLACE give it back. */
TEST_F(poison, lost_slots)
{
	fill_pages(self->mem, 3 * PAGE, 1);
	ASSERT_EQ(3, uv_to_vram(self->fd, self->mem, 3 * PAGE));
	for (int i = 0; i < 3; i++) {
		uv_knob_set("fail_to_ram", "%d", 1);
		EXPECT_TRUE(is_poison(self->mem + i * PAGE));
	}
	ASSERT_EQ(3, uv_slots_in_use());
	ASSERT_EQ(0, uv_poison(self->fd, 0, self->mem, PAGE, NULL));
	ASSERT_EQ(0, uv_poison(self->fd, REPLACE, self->mem + PAGE, PAGE, NULL));
	ASSERT_EQ(0, uv_poison(self->fd, UNDO, self->mem + 2 * PAGE, PAGE, NULL));
	EXPECT_TRUE(uv_wait_slots(1));
	EXPECT_EQ(2, poison_pages(self->mem, 3 * PAGE));
	EXPECT_EQ(-1, not_zero(self->mem + 2 * PAGE, PAGE));
}

/* What discards pages discards marks; the list follows. */
TEST_F(poison, discarded)
{
	ASSERT_EQ(0, uv_poison(self->fd, 0, self->mem, LEN, NULL));
	ASSERT_EQ(0, madvise(self->mem, 8 * PAGE, MADV_DONTNEED));
	EXPECT_EQ(-1, not_zero(self->mem, 8 * PAGE));
	EXPECT_EQ(PAGES - 8, in_state(self->fd, self->mem, LEN, UFFDVRAM_STATE_POISON));
	ASSERT_EQ(self->mem + 8 * PAGE,
		  mmap(self->mem + 8 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	EXPECT_EQ(-1, not_zero(self->mem, 16 * PAGE));
	EXPECT_EQ(PAGES - 16, poison_pages(self->mem + 16 * PAGE, LEN - 16 * PAGE));
}

/* mprotect and splits leave marks, mremap takes them along. */
TEST_F(poison, protected_split_and_moved)
{
	char *to = map_small(LEN);

	ASSERT_EQ(0, uv_poison(self->fd, 0, self->mem, LEN, NULL));
	ASSERT_EQ(0, mprotect(self->mem + 5 * PAGE, 5 * PAGE, PROT_READ));
	ASSERT_EQ(0, mprotect(self->mem + 20 * PAGE, 5 * PAGE, PROT_NONE));
	ASSERT_EQ(0, madvise(self->mem + 40 * PAGE, PAGE, MADV_DONTFORK));
	EXPECT_EQ(PAGES, in_state(self->fd, self->mem, LEN, UFFDVRAM_STATE_POISON));
	/* Where nothing may be accessed, and over borders of mappings. */
	ASSERT_EQ(0, uv_poison(self->fd, UNDO, self->mem, LEN, &self->arg));
	EXPECT_EQ(LEN, self->arg.done);
	EXPECT_EQ(0, in_state(self->fd, self->mem, LEN, UFFDVRAM_STATE_POISON));
	ASSERT_EQ(0, uv_poison(self->fd, 0, self->mem, LEN, &self->arg));
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_WRITE));
	EXPECT_EQ(PAGES, poison_pages(self->mem, LEN));

	ASSERT_EQ(to, mremap(self->mem, 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(5, poison_pages(to, 5 * PAGE));
	ASSERT_EQ(self->mem, mmap(self->mem, 5 * PAGE, PROT_READ | PROT_WRITE,
				  MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	EXPECT_EQ(-1, not_zero(self->mem, 5 * PAGE));
	munmap(to, LEN);
}

/* In a linear range: the slot of a page that is poison is free for it afterwards. */
TEST_F(poison, linear)
{
	struct uffdvram_range_register arg = {
		.size = sizeof(arg), .flags = UFFDVRAM_RANGE_LINEAR, .pool = self->pool,
		.len = 8 * PAGE, .pool_off = 16 * PAGE,
	};
	char *mem = map_small(8 * PAGE);

	arg.addr = ADDR(mem);
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &arg));
	fill_pages(mem, 8 * PAGE, 1);
	ASSERT_EQ(8, uv_to_vram(self->fd, mem, 8 * PAGE));
	ASSERT_EQ(0, uv_poison(self->fd, REPLACE, mem + 2 * PAGE, 2 * PAGE, NULL));
	EXPECT_TRUE(uv_wait_slots(6));
	ASSERT_EQ(0, uv_poison(self->fd, UNDO, mem, 8 * PAGE, NULL));
	fill_pages(mem + 2 * PAGE, 2 * PAGE, 2);
	EXPECT_EQ(8, uv_to_vram(self->fd, mem, 8 * PAGE));
	EXPECT_EQ(-1, check_pages(mem + 2 * PAGE, 2 * PAGE, 2));
	EXPECT_EQ(2, check_each(mem, 8 * PAGE, 1));
	munmap(mem, 8 * PAGE);
}

/* Asks for the list of all of the memory, @room regions at a time. */
static size_t list_all(int fd, const char *mem, size_t len, struct uffdvram_region *vec,
		       size_t room)
{
	struct uffdvram_poison_list q = {};
	size_t n = 0;

	for (uint64_t done = 0; done < len; done += q.done) {
		q.addr = ADDR(mem) + done;
		q.len = len - done;
		if (uv_poison_list(fd, &q, vec + n, room) || q.used > room ||
		    (q.done < q.len && q.used < room) || (!q.done && !q.used))
			return ~0UL;
		n += q.used;
	}
	return n;
}

/* The list is exact and in order, whatever room there is for it. */
TEST_F(poison, list)
{
	static const char map[] = "pp.p...vvp.wwpppzp..............";
	struct uffdvram_region whole[PAGES], part[PAGES];
	char seen[sizeof(map)] = {};

	for (size_t i = 0; map[i]; i++) {
		char *page = self->mem + i * PAGE;

		seen[i] = '.';
		if (strchr("wv", map[i]))
			fill_pages(page, PAGE, 1);
		if (map[i] == 'z')
			read_byte(page);
		if (map[i] == 'v') {
			ASSERT_EQ(1, uv_to_vram(self->fd, page, PAGE));
		}
		if (map[i] == 'p') {
			ASSERT_EQ(0, uv_poison(self->fd, 0, page, PAGE, NULL));
		}
	}
	/* A border of mappings is none of the list. */
	ASSERT_EQ(0, mprotect(self->mem + 14 * PAGE, PAGE, PROT_READ));
	ASSERT_EQ(5, list_all(self->fd, self->mem, LEN, whole, PAGES));
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(UFFDVRAM_STATE_POISON, whole[i].state);
		EXPECT_EQ(0, whole[i].flags);
		EXPECT_TRUE(!i || whole[i].start > whole[i - 1].end);
		memset(seen + (whole[i].start - ADDR(self->mem)) / PAGE, 'p',
		       (whole[i].end - whole[i].start) / PAGE);
	}
	for (size_t i = 0; map[i]; i++)
		EXPECT_EQ(map[i] == 'p', seen[i] == 'p');
	for (size_t room = 1; room < 8; room++) {
		ASSERT_EQ(5, list_all(self->fd, self->mem, LEN, part, room));
		EXPECT_EQ(0, memcmp(whole, part, 5 * sizeof(*whole)));
	}
}

/* Over page tables, mappings and what is nobody's: one run is one region. */
TEST_F(poison, list_of_much)
{
	char *mem = map_aligned(2 * HUGE);
	struct uffdvram_region vec[4];
	struct uffdvram_poison_list q = { .len = 1UL << 47 };

	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * HUGE, 0, NULL));
	ASSERT_EQ(0, uv_poison(self->fd, 0, mem + PAGE, 2 * HUGE - 2 * PAGE, NULL));
	ASSERT_EQ(0, uv_poison_list(self->fd, &q, vec, 4));
	EXPECT_EQ(1, q.used);
	EXPECT_EQ(q.len, q.done);
	EXPECT_EQ(ADDR(mem) + PAGE, vec[0].start);
	EXPECT_EQ(ADDR(mem) + 2 * HUGE - PAGE, vec[0].end);
	munmap(mem, 2 * HUGE);
	ASSERT_EQ(0, uv_poison_list(self->fd, &q, vec, 4));
	EXPECT_EQ(0, q.used);
}

TEST_HARNESS_MAIN
