// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 240 */
/*
 * HARVEST: what takes pages out of VRAM, or only looks so; entries of 2 MiB; ranges that
 * end, are mapped over, or are another process's.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "util_mm.h"
#include "dirty_fixture.h"

#define AT	300		/* where something happens... */
#define N	5		/* ...to so many pages */

static int child_reads(int fd, void *arg)
{
	data *self = arg;

	(void)fd;
	for (size_t i = AT; i < AT + N; i++)
		read_byte(page_at(self, i));
	return 0;
}

static int child_only_lives(int fd, void *arg)
{
	(void)fd;
	return read_byte(page_at(arg, PAGES - 1) + PAGE).signo;
}

static void clear_soft_dirty(void)
{
	if (file_write("/proc/self/clear_refs", "4"))
		give_up("clear_refs");
}

/* What changes entries, or reads pages, and leaves them in VRAM. */
TEST_F(dirty, what_is_no_departure)
{
	static char buf[LEN];
	char *at = page_at(self, AT);
	struct uffdvram_migrate m;
	int uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP);

	fill_pages(self->mem, LEN, 3);
	ASSERT_EQ(0, calm(self));
	/* All of the mapping: to split it is another matter. */
	ASSERT_EQ(0, mprotect(self->base, 3 * HUGE, PROT_READ));
	ASSERT_EQ(0, mprotect(self->base, 3 * HUGE, PROT_READ | PROT_WRITE));
	clear_soft_dirty();
	ASSERT_EQ(0, uffd_register(uffd, self->base, 3 * HUGE, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, uffd_wp(uffd, at, N * PAGE, true));
	ASSERT_EQ(0, uffd_wp(uffd, at, N * PAGE, false));
	ASSERT_EQ(0, uffd_unregister(uffd, self->base, 3 * HUGE));
	ASSERT_EQ(0, run_child(child_only_lives, self));
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, buf, NULL));
	ASSERT_EQ(0, uv_migrate(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(PAGES, m.already);
	/* Neighbours of the range come and go. */
	memset(self->base, 1, FIRST * PAGE);
	ASSERT_EQ(0, madvise(self->base, FIRST * PAGE, MADV_DONTNEED));
	memset(page_at(self, PAGES), 1, PAGE);
	ASSERT_EQ(0, madvise(page_at(self, PAGES), PAGE, MADV_DONTNEED));
	ASSERT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, reported(self, 0));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 3));
	close(uffd);
}

static bool leave(data *self, int how)
{
	char *at = page_at(self, AT), *other = map_small(N * PAGE), *got;

	switch (how) {
	case 0:
		return child_reads(0, self) == 0;
	case 1:
		return uv_to_ram(self->fd, at, N * PAGE) == N;
	case 2:
		return !madvise(at, N * PAGE, MADV_DONTNEED);
	case 3:
		return !run_child(child_reads, self);
	case 4:
		return !uv_poison(self->fd, UFFDVRAM_POISON_REPLACE, at, N * PAGE, NULL) &&
		       !uv_poison(self->fd, UFFDVRAM_POISON_UNDO, at, N * PAGE, NULL);
	case 5:
		got = mremap(at, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other);
		return got == other &&
		       mremap(other, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at;
	case 6:
		got = mmap(at, N * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		return got == at;
	default:
		return !mlock(at, N * PAGE) && !munlock(at, N * PAGE);
	}
}

/* How many others may be reported: to split a mapping looks as if its block left. */
static size_t bystanders(int how)
{
	return how == 5 || how == 6 ? HUGE / PAGE - FIRST - N : 0;
}

/*
 * All ways out of VRAM: those pages are reported at once, and again once they are back and
 * seen to be there. (Those that mremap moved back never left, by then.)
 */
TEST_F(dirty, departures)
{
	for (int how = 0; how <= 7; how++) {
		fill_pages(self->mem, LEN, how);
		ASSERT_EQ(0, calm(self));
		EXPECT_EQ(PAGES, reported(self, 0));
		ASSERT_TRUE(leave(self, how)) {
			TH_LOG("%d: %m", how);
		}
		ASSERT_EQ(0, harvest(self));
		for (size_t page = AT; page < AT + N; page++) {
			EXPECT_EQ(LEFT, self->flags[page]) {
				TH_LOG("%d: page %zu", how, page);
			}
		}
		EXPECT_LE(PAGES - N - bystanders(how), reported(self, 0)) {
			TH_LOG("%d", how);
		}
		if (how != 5)
			write_byte(page_at(self, AT), 1);
		ASSERT_EQ(N, uv_to_vram(self->fd, page_at(self, AT), N * PAGE));
		ASSERT_EQ(0, harvest(self));
		EXPECT_EQ(how == 5 ? 0 : N, reported(self, LEFT)) {
			TH_LOG("%d", how);
		}
		ASSERT_EQ(0, harvest(self));
		EXPECT_EQ(PAGES, reported(self, 0)) {
			TH_LOG("%d", how);
		}
	}
}

/* With the pool, all pages come home. */
TEST_F(dirty, pool_goes)
{
	ASSERT_EQ(0, calm(self));
	ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, reported(self, LEFT));
}

/* As calm(), and @block has one entry of 2 MiB. */
static void calm_with_block(struct __test_metadata *_metadata, data *self, char *block)
{
	ASSERT_EQ(0, madvise(self->base, 3 * HUGE, MADV_HUGEPAGE));
	ASSERT_TRUE(fill_huge(self->fd, block, HUGE, 1));
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, calm(self));
	ASSERT_EQ(512, huge_pages(self->fd, block, HUGE));
}

/* Entries of 2 MiB: as one, taken apart, and brought home. */
TEST_F(dirty, huge)
{
	size_t first = HUGE / PAGE - FIRST;
	char *block = page_at(self, first), buf[PAGE];

	if (!huge_in_vram(self->fd))
		SKIP(return, "no entries of 2 MiB in VRAM on this kernel");
	calm_with_block(_metadata, self, block);
	EXPECT_EQ(PAGES, reported(self, 0));
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, block + 9 * PAGE, PAGE, buf, NULL));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(WRITTEN, self->flags[first + 9]);
	EXPECT_EQ(PAGES - 1, reported(self, 0));
	/* To take it apart looks as if all of it left, once. */
	ASSERT_EQ(0, mprotect(block + 100 * PAGE, PAGE, PROT_READ));
	ASSERT_EQ(0, huge_pages(self->fd, block, HUGE));
	ASSERT_EQ(512, uv_in_vram(self->fd, block, HUGE));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(512, reported(self, LEFT));
	EXPECT_EQ(PAGES - 512, reported(self, 0));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, reported(self, 0));
	ASSERT_EQ(0, read_byte(block + 7 * PAGE).signo);
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(LEFT, self->flags[first + 7]);
	EXPECT_LE(PAGES - 512, reported(self, 0));
}

/* A fault that brings 2 MiB home is 512 departures. */
TEST_F(dirty, huge_fault)
{
	size_t first = HUGE / PAGE - FIRST;
	char *block = page_at(self, first);
	size_t home;

	if (!huge_in_vram(self->fd))
		SKIP(return, "no entries of 2 MiB in VRAM on this kernel");
	calm_with_block(_metadata, self, block);
	ASSERT_EQ(0, write_byte(block + 7 * PAGE, 1).signo);
	home = 512 - uv_in_vram(self->fd, block, HUGE);
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(home == 1 ? 512 : home, reported(self, LEFT));
	for (size_t i = 0; i < 2; i++)
		ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(home, reported(self, LEFT));
}

/* Whether these pages of the block that begins with @first, and no others, are reported so. */
static bool only(data *self, size_t first, const uint16_t *pages, size_t n, uint8_t flags)
{
	for (size_t i = 0; i < n; i++)
		if (self->flags[first + pages[i]] != flags)
			return false;
	return reported(self, flags) == n && reported(self, 0) == PAGES - n;
}

/* A device that writes to an entry of 2 MiB: what it says it wrote, and no page beside it. */
TEST_F(dirty, huge_lease)
{
	static const uint16_t wrote[] = { 0, 3, 64, 511 }, part[] = { 5, 6, 7 };
	size_t first = HUGE / PAGE - FIRST;
	struct uffdvram_access_begin b;
	char *block = page_at(self, first);
	struct uffdvram_slot_run run;
	uint64_t bits[8] = {};

	if (!huge_in_vram(self->fd))
		SKIP(return, "no entries of 2 MiB in VRAM on this kernel");
	calm_with_block(_metadata, self, block);
	ASSERT_EQ(0, uv_access_begin(self->fd, UFFDVRAM_ACCESS_WRITE, block, HUGE, &run, 1, &b));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, harvest(self));
		EXPECT_EQ(512, reported(self, WRITTEN));
		EXPECT_EQ(WRITTEN, self->flags[first + 511]);
	}
	for (int i = 0; i < 4; i++)
		bits[wrote[i] / 64] |= 1ULL << wrote[i] % 64;
	ASSERT_EQ(0, uv_access_end(self->fd, b.lease, 0, bits, 512, NULL));
	ASSERT_EQ(0, harvest(self));
	EXPECT_TRUE(only(self, first, wrote, 4, WRITTEN));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, reported(self, 0));
	EXPECT_EQ(512, huge_pages(self->fd, block, HUGE));
	/* Of a part; and nobody says what he wrote. */
	ASSERT_EQ(0, uv_access_begin(self->fd, UFFDVRAM_ACCESS_WRITE, block + 5 * PAGE, 3 * PAGE,
				     &run, 1, &b));
	ASSERT_EQ(0, harvest(self));
	EXPECT_TRUE(only(self, first, part, 3, WRITTEN));
	ASSERT_EQ(0, uv_access_end(self->fd, b.lease, 0, NULL, 0, NULL));
	ASSERT_EQ(0, harvest(self));
	EXPECT_TRUE(only(self, first, part, 3, WRITTEN));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, reported(self, 0));
	EXPECT_EQ(-1, check_pages(block, HUGE, 1));
}

static bool other_process(data *self, int sock)
{
	uint64_t word;

	if (!child_hear(sock, &word))
		return false;
	self->fd = fd_receive(sock);
	return self->fd >= 0 && !harvest(self) && reported(self, 0) == PAGES - 1 &&
	       self->flags[4] == LEFT;
}

static int manager(int sock, void *arg)
{
	child_tell(sock, other_process(arg, sock));
	return 0;
}

/* Whoever has the descriptor can go on, and one who died in the middle took nothing along. */
TEST_F(dirty, another_process_harvests)
{
	struct child c;

	ASSERT_EQ(0, calm(self));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, read_byte(page_at(self, 4)).signo);
		/* A generation that nobody ends. */
		ASSERT_EQ(0, harvest_piece(self, 0, PAGES, 64));
		EXPECT_EQ(LEFT, self->flags[4]);
		c = child_start(manager, self);
		child_tell(c.fd, 1);
		ASSERT_EQ(0, fd_send(c.fd, self->fd));
		EXPECT_EQ(1, child_step(&c, 1));
		EXPECT_EQ(0, child_end(&c));
		ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
		ASSERT_EQ(0, harvest(self) ?: harvest(self));
	}
}

/* Where the device is mapped over a range of it, that has ended. */
TEST_F(dirty, mapped_over)
{
	struct uffdvram_range_register reg = { .size = sizeof(reg) };
	struct uffdvram_harvest h = {};
	struct uffdvram_region vec[8];
	char *node, *over;
	uint32_t mine;

	ASSERT_EQ(0, uv_register(self->fd, map_small(PAGE), PAGE, 0, &mine));
	node = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, node);
	over = mmap(node + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
		    self->fd, 0);
	ASSERT_EQ(node + 4 * PAGE, over);
	h = (struct uffdvram_harvest){
		.size = sizeof(h), .range = mine + 1, .addr = ADDR(node), .len = 8 * PAGE,
		.vec = ADDR(vec), .vec_len = 8,
	};
	EXPECT_EQ(-ENOENT, uv_ioctl(self->fd, UFFDVRAM_HARVEST, &h));
	EXPECT_EQ(4 * PAGE, h.done);
	EXPECT_EQ(1, h.used);
	h.cookie = 0;
	h.range = mine + 2;
	EXPECT_EQ(-EINVAL, uv_ioctl(self->fd, UFFDVRAM_HARVEST, &h));
	h.addr += 4 * PAGE;
	h.len = 4 * PAGE;
	EXPECT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_HARVEST, &h));
	EXPECT_EQ(4 * PAGE, h.done);
	munmap(node, 8 * PAGE);
}

/* Has page tables change all the time. */
struct discarder {
	char *page;
	bool stop;
};

static void *discarder_thread(void *arg)
{
	struct discarder *d = arg;

	while (!__atomic_load_n(&d->stop, __ATOMIC_RELAXED)) {
		*(volatile char *)d->page = 1;
		madvise(d->page, PAGE, MADV_DONTNEED);
	}
	return NULL;
}

/* Harvests a range that is large, so that its books take a while to make. 0 or -errno. */
static int harvest_large(data *mine)
{
	struct uffdvram_harvest h = { .len = PAGE };
	struct uffdvram_region vec;
	data large = *mine;
	int ret;

	large.mem = mmap(NULL, MIB(16384), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (large.mem == MAP_FAILED)
		return -errno;
	h.addr = ADDR(large.mem);
	ret = uv_register(large.fd, large.mem, MIB(16384), 0, &large.range);
	return ret ?: uv_harvest(&large, &h, &vec, 1);
}

/* An address space that nobody harvested before. 0: what stays in VRAM is not reported. */
static int child_harvests_first(int fd, void *arg)
{
	data mine = *(data *)arg;
	struct discarder d = { .page = map_small(PAGE) };
	pthread_t thread;
	int ret;

	(void)fd;
	mine.fd = uv_open();
	if (mine.fd < 0 || uv_register(mine.fd, mine.mem, LEN, mine.pool, &mine.range))
		return 1;
	if (pthread_create(&thread, NULL, discarder_thread, &d))
		return 2;
	ret = harvest_large(&mine);
	__atomic_store_n(&d.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	if (ret || harvest(&mine) || calm(&mine) || harvest(&mine))
		return 3;
	return reported(&mine, 0) == PAGES ? 0 : 4;
}

/*
 * Departures are counted from the first harvest on: also then their ends are as many as
 * their beginnings, or no page would ever count as having stayed.
 */
TEST_F(dirty, first_harvest_amid_departures)
{
	ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	ASSERT_EQ(0, uv_attach(self->fd, MIB(16), UFFDVRAM_POOL_SHARED, &self->pool));
	for (int i = 0; i < 5; i++)
		ASSERT_EQ(0, run_child(child_harvests_first, self));
	/* One that is shared stays otherwise. */
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
}

TEST_HARNESS_MAIN
