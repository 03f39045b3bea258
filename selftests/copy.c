// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 240 */
/*
 * COPY: pages are read and written wherever they live, and stay there.
 *
 * What goes wrong is the subject of copy_errors.c, what waits of copy_wait.c,
 * what happens meanwhile of copy_race.c.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <sys/mman.h>
#include "util_mm.h"
#include "copy_fixture.h"

/* What COPY must not have done. */
struct moves {
	uint64_t in, out, faults;
};

static struct moves moves_now(void)
{
	return (struct moves){ uv_stat("pages_in") + uv_stat("pages_placed"),
			       uv_stat("pages_out"), uv_stat("fault_pages") };
}

static bool moves_same(struct moves a)
{
	struct moves b = moves_now();

	return a.in == b.in && a.out == b.out && a.faults == b.faults;
}

TEST_F(copy, reads_vram)
{
	uint64_t slot_reads, ram;
	struct moves before;

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	before = moves_now();
	slot_reads = uv_stat("copy_read");
	ram = uv_stat("copy_ram");
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(LEN, self->done);
	EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 1));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_TRUE(moves_same(before));
	EXPECT_EQ(slot_reads + PAGES, uv_stat("copy_read"));
	EXPECT_EQ(ram, uv_stat("copy_ram"));
	/* One page in the middle. */
	memset(self->buf, 0, LEN);
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem + 7 * PAGE, PAGE, self->buf, &self->done));
	EXPECT_EQ(PAGE, self->done);
	EXPECT_EQ(-1, check_pages_as(self->buf, PAGE, self->mem + 7 * PAGE, 1));
	EXPECT_EQ(-1, not_zero(self->buf + PAGE, LEN - PAGE));
	/* What the CPU finds is what was there. */
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(copy, writes_vram)
{
	uint64_t slot_writes, slots;
	struct moves before;

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	before = moves_now();
	slots = uv_slots_in_use();
	slot_writes = uv_stat("copy_written");
	fill_pages_as(self->buf, LEN, self->mem, 2);
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(LEN, self->done);
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_TRUE(moves_same(before));
	EXPECT_EQ(slot_writes + PAGES, uv_stat("copy_written"));
	EXPECT_EQ(slots, uv_slots_in_use());
	memset(self->buf, 0, LEN);
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 2));
	/* Home by MIGRATE, and by the CPU. */
	fill_pages_as(self->buf, PAGE, self->mem + PAGE, 3);
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem + PAGE, PAGE, self->buf, NULL));
	EXPECT_EQ(PAGES / 2, uv_to_ram(self->fd, self->mem, LEN / 2));
	EXPECT_EQ(-1, check_pages(self->mem, PAGE, 2));
	EXPECT_EQ(-1, check_pages(self->mem + PAGE, PAGE, 3));
	EXPECT_EQ(-1, check_pages(self->mem + 2 * PAGE, LEN - 2 * PAGE, 2));
}

TEST_F(copy, ram)
{
	struct moves before;
	uint64_t ram;

	fill_pages(self->mem, LEN, 1);
	before = moves_now();
	ram = uv_stat("copy_ram");
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(LEN, self->done);
	EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 1));
	fill_pages_as(self->buf, LEN, self->mem, 2);
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(LEN, self->done);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
	EXPECT_EQ(ram + 2 * PAGES, uv_stat("copy_ram"));
	EXPECT_TRUE(moves_same(before));
	/* Written by way of a pin: it is gone, or the pages would stay. */
	EXPECT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
}

/* Holes: a read gives zeroes, a write fills them; no slot is taken. */
TEST_F(copy, holes_and_zero_pages)
{
	unsigned char sum = 0;
	struct moves before = moves_now();
	int i;

	for (i = 0; i < PAGES / 2; i++)		/* the zero page in the lower half */
		sum |= self->mem[i * PAGE];
	EXPECT_EQ(0, sum);
	memset(self->buf, 0xff, LEN);
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(LEN, self->done);
	EXPECT_EQ(-1, not_zero(self->buf, LEN));
	for (i = 0; i < PAGES; i += 2) {
		fill_pages_as(self->buf, PAGE, self->mem + i * PAGE, 1);
		ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem + i * PAGE, PAGE, self->buf, NULL));
	}
	for (i = 0; i < PAGES; i++) {
		char *page = self->mem + i * PAGE;

		ASSERT_EQ(-1, i % 2 ? not_zero(page, PAGE) : check_pages(page, PAGE, 1));
	}
	/* And a hole that is written without being read first. */
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	fill_pages_as(self->buf, LEN, self->mem, 2);
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_TRUE(moves_same(before));
}

/* VRAM, RAM, a hole and the zero page, page by page. */
static void mix(struct __test_metadata *_metadata, FIXTURE_DATA(copy) *self)
{
	unsigned char sum = 0;
	int i;

	for (i = 0; i < PAGES; i++)
		if (i % 4 < 2)
			fill_pages(self->mem + i * PAGE, PAGE, 1);
		else if (i % 4 == 3)
			sum |= self->mem[i * PAGE];
	ASSERT_EQ(0, sum);
	for (i = 0; i < PAGES; i += 4)
		ASSERT_EQ(1, uv_to_vram(self->fd, self->mem + i * PAGE, PAGE));
}

TEST_F(copy, mixed)
{
	int i;

	mix(_metadata, self);
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(LEN, self->done);
	for (i = 0; i < PAGES; i++) {
		char *page = self->mem + i * PAGE, *copy = self->buf + i * PAGE;

		ASSERT_EQ(-1, i % 4 < 2 ? check_pages_as(copy, PAGE, page, 1) :
			      not_zero(copy, PAGE));
		ASSERT_EQ(i % 4 ? UFFDVRAM_STATE_PRESENT : UFFDVRAM_STATE_VRAM,
			  state_of(self->fd, page));
	}
	fill_pages_as(self->buf, LEN, self->mem, 2);
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(LEN, self->done);
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(i % 4 ? UFFDVRAM_STATE_PRESENT : UFFDVRAM_STATE_VRAM,
			  state_of(self->fd, self->mem + i * PAGE));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
}

/* NOFAULT goes up to the first page that is not there, and leaves it so. */
TEST_F(copy, nofault)
{
	mix(_metadata, self);
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, NOFAULT, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(2 * PAGE, self->done);
	EXPECT_EQ(-1, check_pages_as(self->buf, 2 * PAGE, self->mem, 1));
	EXPECT_EQ(0, pagemap_entry(0, self->mem + 2 * PAGE) & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED));
	/* The zero page can be read as it is; to write to it takes a fault. */
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, NOFAULT, self->mem + 3 * PAGE, LEN - 3 * PAGE,
				   self->buf, &self->done));
	EXPECT_EQ(3 * PAGE, self->done);
	EXPECT_EQ(-1, not_zero(self->buf, PAGE));
	fill_pages_as(self->buf, LEN, self->mem, 2);
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, NOFAULT | WRITE, self->mem + 3 * PAGE, PAGE,
				   self->buf, &self->done));
	EXPECT_EQ(0, self->done);
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, NOFAULT | WRITE, self->mem, LEN, self->buf,
				   &self->done));
	EXPECT_EQ(2 * PAGE, self->done);
	EXPECT_EQ(0, pagemap_entry(0, self->mem + 2 * PAGE) & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED));
	EXPECT_EQ(PAGES / 4, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, 2 * PAGE, 2));
	EXPECT_EQ(-1, not_zero(self->mem + 3 * PAGE, PAGE));
}

TEST_F(copy, swapped_pages)
{
	if (!swap_on())
		SKIP(return, "no zram to swap to");
	fill_pages(self->mem, LEN, 1);
	ASSERT_TRUE(swap_out(self->mem, PAGES));
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, NOFAULT, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(0, self->done);
	EXPECT_TRUE(pagemap_entry(0, self->mem) & PAGEMAP_SWAPPED);
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 1));
	EXPECT_EQ(0, swapped(self->mem, PAGES));
	EXPECT_TRUE(swap_out(self->mem, PAGES));
	fill_pages_as(self->buf, LEN, self->mem, 2);
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
	swap_off();
}

static bool all_merged(void *unused)
{
	(void)unused;
	return ksm_merged() == PAGES;
}

/* Merged pages are read as they are; a write takes one page out of the merger. */
TEST_F(copy, merged_pages)
{
	char *twin = self->mem + LEN / 2;
	size_t half = LEN / 2;

	if (!ksm_on())
		SKIP(return, "no KSM in this kernel");
	fill_pages(self->mem, half, 1);
	fill_pages_as(twin, half, self->mem, 1);
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_MERGEABLE));
	ASSERT_TRUE(wait_until(all_merged, NULL, 60000)) TH_LOG("%lld merged", ksm_merged());
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(-1, check_pages_as(self->buf, half, self->mem, 1));
	EXPECT_EQ(-1, check_pages_as(self->buf + half, half, self->mem, 1));
	EXPECT_EQ(PAGES, ksm_merged());
	file_write("/sys/kernel/mm/ksm/run", "0");
	fill_pages_as(self->buf, PAGE, self->mem, 2);
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem, PAGE, self->buf, NULL));
	EXPECT_EQ(1, uv_to_vram(self->fd, self->mem, 2 * PAGE));
	EXPECT_EQ(UFFDVRAM_STATE_VRAM, state_of(self->fd, self->mem));
	EXPECT_EQ(-1, check_pages(self->mem, PAGE, 2));
	EXPECT_EQ(-1, check_pages(self->mem + PAGE, half - PAGE, 1));
	EXPECT_EQ(-1, check_pages_as(twin, half, self->mem, 1));
	ksm_off();
}

/* A huge page is read and written whole, and stays one. */
TEST_F(copy, huge_pages)
{
	char *mem = map_huge(2 * HUGE), *buf = map_small(2 * HUGE);
	struct uffdvram_query q;
	long moved;

	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * HUGE, self->pool, NULL));
	ASSERT_TRUE(fill_huge(self->fd, mem, 2 * HUGE, 1));
	ASSERT_EQ(0, uv_copy(self->fd, 0, mem, 2 * HUGE, buf, NULL));
	EXPECT_EQ(-1, check_pages_as(buf, 2 * HUGE, mem, 1));
	fill_pages_as(buf, HUGE, mem + HUGE / 2, 2);
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, mem + HUGE / 2, HUGE, buf, &self->done));
	EXPECT_EQ(HUGE, self->done);
	ASSERT_EQ(0, uv_query(self->fd, mem, 2 * HUGE, &q));
	EXPECT_EQ(2 * HUGE / PAGE, q.count[UFFDVRAM_STATE_HUGE]);
	EXPECT_EQ(-1, check_pages(mem, HUGE / 2, 1));
	EXPECT_EQ(-1, check_pages(mem + HUGE / 2, HUGE, 2));
	EXPECT_EQ(-1, check_pages(mem + HUGE / 2 * 3, HUGE / 2, 1));
	/* And in VRAM, across the border of two page tables. */
	moved = uv_to_vram(self->fd, mem + HUGE - 32 * PAGE, LEN);
	EXPECT_LT(0, moved);
	fill_pages_as(buf, LEN, mem + HUGE - 32 * PAGE, 3);
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, mem + HUGE - 32 * PAGE, LEN, buf, NULL));
	EXPECT_EQ(moved, uv_in_vram(self->fd, mem, 2 * HUGE));
	ASSERT_EQ(0, uv_copy(self->fd, 0, mem + HUGE - 32 * PAGE, LEN, self->buf, NULL));
	EXPECT_EQ(0, memcmp(buf, self->buf, LEN));
	EXPECT_EQ(-1, check_pages(mem + HUGE - 32 * PAGE, LEN, 3));
	munmap(mem, 2 * HUGE);
	munmap(buf, 2 * HUGE);
}

/* The child of a fork: says how many of its pages are not what they were. */
static int heir(int sock, void *arg)
{
	uint64_t word;

	while (child_hear(sock, &word))
		child_tell(sock, check_each(arg, LEN, 1));
	return 0;
}

static size_t present_in(pid_t pid, const char *mem)
{
	size_t n = 0, i;

	for (i = 0; i < PAGES; i++)
		n += !!(pagemap_entry(pid, mem + i * PAGE) & PAGEMAP_PRESENT);
	return n;
}

/* Shared by fork, in RAM: the child keeps its pages, and sees no write. */
TEST_F(copy, shared_with_a_child)
{
	struct child c;

	fill_pages(self->mem, LEN, 1);
	c = child_start(heir, self->mem);
	EXPECT_EQ(0, child_step(&c, 1));
	ASSERT_EQ(PAGES, present_in(c.pid, self->mem));
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 1));
	fill_pages_as(self->buf, LEN, self->mem, 2);
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(PAGES, present_in(c.pid, self->mem));
	EXPECT_EQ(0, child_step(&c, 1));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
	EXPECT_EQ(0, child_end(&c));
}

/* In VRAM: a read leaves them there for both, a write is the parent's alone. */
TEST_F(copy, shared_in_vram)
{
	struct child c;

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	c = child_start(heir, self->mem);
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 1));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, present_in(c.pid, self->mem));
	fill_pages_as(self->buf, LEN, self->mem, 2);
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, WRITE | NOFAULT, self->mem, LEN, self->buf,
				   &self->done));
	EXPECT_EQ(0, self->done);
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN / 2, self->buf, NULL));
	EXPECT_EQ(PAGES / 2, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, child_step(&c, 1));
	EXPECT_EQ(-1, check_pages(self->mem, LEN / 2, 2));
	EXPECT_EQ(-1, check_pages(self->mem + LEN / 2, LEN / 2, 1));
	EXPECT_EQ(0, child_end(&c));
	/* Once we are alone with them, they are written in place again. */
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, NULL));
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
}

/* Several VMAs and ranges in one call; whichever context made the ranges. */
TEST_F(copy, pieces)
{
	enum { N = 700 };	/* pages: more than one page table maps */
	char *mem = map_small(N * PAGE), *buf = map_small(N * PAGE);
	int other = uv_open();

	ASSERT_LE(0, other);
	ASSERT_EQ(0, uv_register(self->fd, mem, 100 * PAGE, self->pool, NULL));
	ASSERT_EQ(0, uv_register(other, mem + 100 * PAGE, 300 * PAGE, 0, NULL));
	ASSERT_EQ(0, uv_register(self->fd, mem + 400 * PAGE, 300 * PAGE, self->pool, NULL));
	fill_pages(mem, N * PAGE, 1);
	ASSERT_EQ(0, mprotect(mem + 50 * PAGE, 400 * PAGE, PROT_READ));
	ASSERT_EQ(0, mprotect(mem + 50 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(60, uv_to_vram(self->fd, mem + 20 * PAGE, 60 * PAGE));
	ASSERT_EQ(200, uv_to_vram(self->fd, mem + 420 * PAGE, 200 * PAGE));
	ASSERT_EQ(0, uv_copy(self->fd, 0, mem, N * PAGE, buf, &self->done));
	EXPECT_EQ(N * PAGE, self->done);
	EXPECT_EQ(-1, check_pages_as(buf, N * PAGE, mem, 1));
	EXPECT_EQ(260, uv_in_vram(self->fd, mem, N * PAGE));
	ASSERT_EQ(0, mprotect(mem, N * PAGE, PROT_READ | PROT_WRITE));
	fill_pages_as(buf, N * PAGE, mem, 2);
	ASSERT_EQ(0, uv_copy(other, WRITE, mem, N * PAGE, buf, &self->done));
	EXPECT_EQ(260, uv_in_vram(self->fd, mem, N * PAGE));
	EXPECT_EQ(-1, check_pages(mem, N * PAGE, 2));
	close(other);
	munmap(mem, N * PAGE);
	munmap(buf, N * PAGE);
}

/* The caller's buffer lives in VRAM itself; it may even be the same memory. */
TEST_F(copy, buffer_in_vram)
{
	ASSERT_EQ(0, uv_register(self->fd, self->buf, LEN, self->pool, NULL));
	fill_pages(self->mem, LEN, 1);
	fill_pages(self->buf, LEN, 9);
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	ASSERT_EQ(PAGES, move_all(self->fd, self->buf, LEN, 0, NULL));
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->buf, LEN));
	EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 1));
	fill_pages_as(self->buf, LEN, self->mem, 2);
	ASSERT_EQ(PAGES, move_all(self->fd, self->buf, LEN, 0, NULL));
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->mem, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->mem, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
}

/* A memory manager: gets the context over a socket, and copies from outside. */
static int manager(int sock, void *arg)
{
	char *buf = map_small(LEN);
	uint64_t addr, done;
	int fd = fd_receive(sock);

	(void)arg;
	if (fd < 0 || !child_hear(sock, &addr))
		return 1;
	/* Memory of its own at the same address says nothing. */
	if (mmap((void *)addr, LEN, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return 2;
	fill_pages((void *)addr, LEN, 7);
	if (uv_copy(fd, 0, (void *)addr, LEN, buf, &done) || done != LEN ||
	    check_pages_as(buf, LEN, (void *)addr, 1) != -1)
		return 3;
	fill_pages_as(buf, LEN, (void *)addr, 2);
	if (uv_copy(fd, WRITE, (void *)addr, LEN / 2, buf, &done) || done != LEN / 2)
		return 4;
	return check_pages((void *)addr, LEN, 7) == -1 ? 0 : 5;
}

TEST_F(copy, from_another_process)
{
	struct child c;

	c = child_start(manager, NULL);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	ASSERT_EQ(0, fd_send(c.fd, self->fd));
	child_tell(c.fd, ADDR(self->mem));
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN / 2, 2));
	EXPECT_EQ(-1, check_pages(self->mem + LEN / 2, LEN / 2, 1));
}

/*
 * What a call takes of the host it gives back; kmemleak knows nothing of pages. One
 * for each call would be 64 MiB.
 */
TEST_F(copy, leaves_no_page_behind)
{
	enum { CALLS = 16384, MOST_KIB = 40 << 10 };
	long long before, after;
	int i;

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
	before = unused_kib();
	for (i = 0; i < CALLS; i++)
		ASSERT_EQ(0, uv_copy(self->fd, i % 2 ? WRITE : 0, self->mem, PAGE, self->buf,
				     NULL));
	after = unused_kib();
	ASSERT_LT(0, before);
	EXPECT_GT(MOST_KIB, before - after) TH_LOG("%lld KiB are missing", before - after);
}

TEST_HARNESS_MAIN
