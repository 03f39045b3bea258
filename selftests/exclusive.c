// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 240 */
/*
 * Exclusive ranges: what is private there stays where it is, or is lost: to whoever maps
 * it, at once, and told. What is shared is nobody's loss.
 */
#include <kselftest_harness.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <uffdvram/convert.h>
#include <uffdvram/uffdvram.h>
#include "inject.h"
#include "util_mm.h"
#include "convert_fixture.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

/* The fixture's range once more, as an exclusive one: 0 or -errno. */
static int register_again(data *self, uint32_t flags)
{
	int ret = self->range ? uv_unregister(self->fd, self->range) : 0;

	self->range = 0;
	return ret ?: uv_register_flags(self->fd, self->mem, LEN, self->pool, flags,
					&self->range);
}

/* All of it private, in an exclusive range. */
static int exclusive(data *self)
{
	if (madvise(self->mem, LEN, MADV_DONTFORK) ||
	    fcntl(self->fd, F_SETFL, O_NONBLOCK))
		return -errno;
	return register_again(self, UFFDVRAM_RANGE_EXCLUSIVE) ?: to_private(self);
}

static bool is_poison(char *addr)
{
	struct sigbus s = read_byte(addr);

	return s.signo == SIGBUS && s.code == BUS_MCEERR_AR && s.addr == addr;
}

static bool soon_poison(char *addr)
{
	for (int i = 0; i < 6000 && !is_poison(addr); i++)
		sleep_ms(10);
	return is_poison(addr);
}

/* How many of these are poison now? */
static int poisoned(char *mem, int n)
{
	int i, all = 0;

	for (i = 0; i < n; i++)
		all += is_poison(mem + i * PAGE);
	return all;
}

/*
 * Who looks for what is discarded finds no memory at first, and comes again 20 ms later: to
 * see what is so before that.
 */
static bool looks_late(struct inject *in)
{
	if (!inject_open(in, false))
		return false;
	inject_arm(in, 1, "worker alloc");
	return true;
}

/* Whether an event tells that this is gone, and of nothing else. */
static bool told(data *self, uint32_t cause, char *addr, size_t len)
{
	struct uffdvram_event e;
	unsigned int n = 0;
	bool right = true;

	for (int i = 0; i < 6000; i++) {
		while (read(self->fd, &e, sizeof(e)) == sizeof(e)) {
			right = right && e.type == UFFDVRAM_EVENT_RANGE_GONE &&
				e.cause == cause && e.range == self->range &&
				e.addr == ADDR(addr) && e.len == len;
			n++;
		}
		if (n || !cause)
			break;
		sleep_ms(10);
	}
	return right && n == (cause ? 1 : 0);
}

/* All that was private is lost, here, at once; and its slots are free soon. */
static void expect_lost(struct __test_metadata *_metadata, data *self, char *mem, int n)
{
	EXPECT_EQ(n, poisoned(mem, n));
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_EQ(n, poisoned(mem, n));
	EXPECT_EQ(0, private_pages(self->fd, mem, n * PAGE));
}

/* The range takes nothing private any more, another one does. */
static void expect_no_more(struct __test_metadata *_metadata, data *self)
{
	ASSERT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_UNDO, self->mem, LEN, NULL));
	EXPECT_EQ(-ESTALE, to_private(self));
	EXPECT_EQ(ADDR(self->mem), self->c.bad_addr);
	EXPECT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
	fill_pages(self->mem, LEN, 3);
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTFORK));
	ASSERT_EQ(0, register_again(self, UFFDVRAM_RANGE_EXCLUSIVE));
	EXPECT_EQ(0, to_private(self));
	EXPECT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 3));
}

TEST_F(convert, memory_that_fits)
{
	const uint32_t flag = UFFDVRAM_RANGE_EXCLUSIVE;
	char *p = self->mem;

	EXPECT_EQ(-EINVAL, register_again(self, flag));
	ASSERT_EQ(0, madvise(p, LEN, MADV_DONTFORK));
	EXPECT_EQ(0, register_again(self, flag));
	/* All of it. */
	ASSERT_EQ(0, madvise(p + 9 * PAGE, PAGE, MADV_DOFORK));
	EXPECT_EQ(-EINVAL, register_again(self, flag));
	ASSERT_EQ(0, madvise(p, LEN, MADV_DONTFORK));
	ASSERT_EQ(0, mprotect(p + 9 * PAGE, PAGE, PROT_READ));
	EXPECT_EQ(-EINVAL, register_again(self, flag));
	ASSERT_EQ(0, mprotect(p, LEN, PROT_READ | PROT_WRITE));
	if (!madvise(p + 9 * PAGE, PAGE, MADV_MERGEABLE)) {
		EXPECT_EQ(-EINVAL, register_again(self, flag));
		ASSERT_EQ(0, madvise(p + 9 * PAGE, PAGE, MADV_UNMERGEABLE));
	}
	EXPECT_EQ(0, register_again(self, flag));
	/* And later: nothing becomes private then. */
	ASSERT_EQ(0, madvise(p + 9 * PAGE, PAGE, MADV_DOFORK));
	EXPECT_EQ(-EINVAL, to_private(self));
	EXPECT_EQ(ADDR(p + 9 * PAGE), self->c.bad_addr);
	ASSERT_EQ(0, madvise(p + 9 * PAGE, PAGE, MADV_DONTFORK));
	if (!madvise(p + 3 * PAGE, PAGE, MADV_MERGEABLE)) {
		EXPECT_EQ(-EINVAL, to_private(self));
		EXPECT_EQ(ADDR(p + 3 * PAGE), self->c.bad_addr);
		ASSERT_EQ(0, madvise(p + 3 * PAGE, PAGE, MADV_UNMERGEABLE));
	}
	EXPECT_EQ(0, private_pages(self->fd, p, LEN));
	EXPECT_EQ(0, to_private(self));
	EXPECT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages(p, LEN, 1));
}

/* What nobody is to mind: it keeps what it holds through all this. */
TEST_F(convert, left_alone)
{
	char *p = self->mem;
	int uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED);

	ASSERT_EQ(0, exclusive(self));
	EXPECT_EQ(PAGES, private_pages(self->fd, p, LEN));
	/* Protection of another kind, which the kernel's notifiers call the same. */
	ASSERT_EQ(0, uffd_register(uffd, p, LEN, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, uffd_wp(uffd, p, LEN, true));
	ASSERT_EQ(0, uffd_wp(uffd, p, LEN, false));
	close(uffd);
	/* VMAs are split, and merged. */
	ASSERT_EQ(0, madvise(p + 5 * PAGE, PAGE, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, mprotect(p + 7 * PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	ASSERT_EQ(0, mprotect(p + 7 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, uv_convert(self->fd, 0, p, 8 * PAGE, 0, NULL));
	/* What is shared may go. */
	ASSERT_EQ(0, madvise(p, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, mprotect(p + PAGE, PAGE, PROT_NONE));
	ASSERT_EQ(0, mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(PAGES - 8, private_pages(self->fd, p, LEN));
	EXPECT_TRUE(told(self, 0, NULL, 0));
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, not_zero(p, PAGE));
	EXPECT_EQ(-1, check_pages(p + PAGE, LEN - PAGE, 1));
	/* Shared pages that go are what they were. */
	ASSERT_EQ(0, madvise(p, LEN, MADV_DONTNEED));
	EXPECT_EQ(-1, not_zero(p, LEN));
	EXPECT_EQ(0, to_private(self));
}

/*
 * The kernel tells of a scan that protects all at once, whatever is mapped there. It begins
 * here where nothing may be written, and so does the range, in what is not private.
 */
TEST_F(convert, scanned)
{
	char *before = self->mem - PAGE;
	struct page_region vec[4];
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .flags = PM_SCAN_WP_MATCHING,
		.start = ADDR(before), .end = ADDR(self->mem) + LEN,
		.vec = ADDR(vec), .vec_len = 4,
		.category_mask = PAGE_IS_WRITTEN, .return_mask = PAGE_IS_WRITTEN,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY);

	ASSERT_LE(0, fd);
	ASSERT_EQ(before, mmap(before, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
			       MAP_FIXED_NOREPLACE, -1, 0));
	ASSERT_EQ(0, exclusive(self));
	ASSERT_EQ(0, uv_convert(self->fd, 0, self->mem, 2 * PAGE, 0, NULL));
	ASSERT_EQ(0, mprotect(self->mem, PAGE, PROT_READ));
	EXPECT_LE(0, ioctl(fd, PAGEMAP_SCAN, &arg));
	EXPECT_TRUE(told(self, 0, NULL, 0));
	EXPECT_EQ(PAGES - 2, private_pages(self->fd, self->mem, LEN));
	EXPECT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	munmap(before, PAGE);
	close(fd);
}

static int child_looks(int fd, void *arg)
{
	data *self = arg;
	uint64_t word;
	bool poison = poisoned(self->mem, PAGES) == PAGES;

	child_tell(fd, poison);
	return !child_hear(fd, &word) || !poison || poisoned(self->mem, PAGES) != PAGES;
}

static int child_has_none(int fd, void *arg)
{
	data *self = arg;
	unsigned char vec;

	(void)fd;
	return mincore(self->mem, PAGE, &vec) ? 0 : 1;
}

TEST_F(convert, not_inherited)
{
	struct child c;

	ASSERT_EQ(0, exclusive(self));
	c = child_start(child_has_none, self);
	EXPECT_EQ(0, child_end(&c));
	EXPECT_TRUE(told(self, 0, NULL, 0));
	EXPECT_EQ(PAGES, private_pages(self->fd, self->mem, LEN));
	EXPECT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* It had that undone. */
TEST_F(convert, inherited)
{
	struct child c;
	uint64_t word;

	ASSERT_EQ(0, exclusive(self));
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DOFORK));
	c = child_start(child_looks, self);
	ASSERT_TRUE(child_hear(c.fd, &word));
	EXPECT_EQ(1, word);
	EXPECT_TRUE(told(self, UFFDVRAM_GONE_FORKED, self->mem, LEN));
	EXPECT_EQ(-EHWPOISON, to_shared(self));
	expect_lost(_metadata, self, self->mem, PAGES);
	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
	expect_no_more(_metadata, self);
}

/* With a lease on it. */
TEST_F(convert, inherited_while_leased)
{
	struct uffdvram_slot_run vec[PAGES];
	struct uffdvram_access_begin b;
	uint64_t revoked;
	struct child c;
	uint64_t word;

	ASSERT_EQ(0, exclusive(self));
	ASSERT_EQ(0, uv_access_begin(self->fd, 0, self->mem, LEN, vec, PAGES, &b));
	EXPECT_EQ(LEN, b.done);
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DOFORK));
	c = child_start(child_looks, self);
	ASSERT_TRUE(child_hear(c.fd, &word));
	EXPECT_EQ(PAGES, poisoned(self->mem, PAGES));
	EXPECT_EQ(-ESTALE, uv_access_end(self->fd, b.lease, 0, NULL, 0, &revoked));
	EXPECT_EQ(PAGES, revoked);
	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
	expect_lost(_metadata, self, self->mem, PAGES);
}

TEST_F(convert, protected)
{
	ASSERT_EQ(0, exclusive(self));
	ASSERT_EQ(0, mprotect(self->mem + 8 * PAGE, 2 * PAGE, PROT_READ));
	EXPECT_TRUE(told(self, UFFDVRAM_GONE_PROTECTED, self->mem + 8 * PAGE, 2 * PAGE));
	EXPECT_EQ(-EHWPOISON, to_shared(self));
	expect_lost(_metadata, self, self->mem, PAGES);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_WRITE));
	expect_no_more(_metadata, self);
}

TEST_F(convert, unmapped)
{
	char *p = self->mem;

	ASSERT_EQ(0, exclusive(self));
	ASSERT_EQ(0, munmap(p + 8 * PAGE, 2 * PAGE));
	EXPECT_TRUE(told(self, UFFDVRAM_GONE_UNMAPPED, p + 8 * PAGE, 2 * PAGE));
	expect_lost(_metadata, self, p, 8);
	expect_lost(_metadata, self, p + 10 * PAGE, PAGES - 10);
	/* What is mapped there now is none of ours. */
	ASSERT_EQ(p + 8 * PAGE, mmap(p + 8 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	sleep_ms(100);
	EXPECT_EQ(-1, not_zero(p + 8 * PAGE, 2 * PAGE));
	expect_no_more(_metadata, self);
}

TEST_F(convert, moved)
{
	char *p = self->mem, *to = map_small(2 * PAGE);

	ASSERT_EQ(0, exclusive(self));
	ASSERT_EQ(to, mremap(p + 8 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     to));
	EXPECT_EQ(2, poisoned(to, 2));
	EXPECT_TRUE(told(self, UFFDVRAM_GONE_UNMAPPED, p + 8 * PAGE, 2 * PAGE));
	expect_lost(_metadata, self, p, 8);
	expect_lost(_metadata, self, p + 10 * PAGE, PAGES - 10);
	EXPECT_EQ(2, poisoned(to, 2));
	munmap(to, 2 * PAGE);
}

/* A CPU may come first, and find zeroes; but the module is not deceived by that. */
TEST_F(convert, discarded)
{
	char *p = self->mem + 8 * PAGE;
	uint64_t destroyed = uv_stat("private_destroyed");
	struct inject in;

	ASSERT_EQ(0, exclusive(self));
	ASSERT_TRUE(looks_late(&in));
	ASSERT_EQ(0, madvise(p, 4 * PAGE, MADV_DONTNEED));
	EXPECT_EQ(-EHWPOISON, to_shared(self));
	EXPECT_EQ(ADDR(p), self->c.bad_addr);
	EXPECT_EQ(-EHWPOISON, to_private(self));
	EXPECT_TRUE(told(self, UFFDVRAM_GONE_DISCARDED, p, 4 * PAGE));
	EXPECT_TRUE(inject_disarm(&in));
	inject_close(&in);
	EXPECT_EQ(4, poisoned(p, 4));
	EXPECT_LE(destroyed + 4, uv_stat("private_destroyed"));
	EXPECT_EQ(PAGES - 4, private_pages(self->fd, self->mem, LEN));
	/* The rest is as it was; and these can be had again, with nothing in them. */
	EXPECT_TRUE(refused(self->mem));
	ASSERT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_UNDO, p, 4 * PAGE, NULL));
	ASSERT_EQ(0, to_private(self));
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, not_zero(p, 4 * PAGE));
	EXPECT_EQ(-1, check_pages(self->mem, 8 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(p + 4 * PAGE, LEN - 12 * PAGE, 1));
	EXPECT_TRUE(told(self, 0, NULL, 0));
}

/* What a CPU put there meanwhile goes, too: it believed that this was the device's. */
TEST_F(convert, discarded_and_touched)
{
	char *p = self->mem + 8 * PAGE;
	int touched = 0;

	for (int i = 0; i < 20 && !touched; i++) {
		ASSERT_EQ(0, exclusive(self));
		ASSERT_EQ(0, madvise(p, PAGE, MADV_DONTNEED));
		touched = !read_byte(p).signo;
		ASSERT_TRUE(soon_poison(p));
		ASSERT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_UNDO, p, PAGE, NULL));
		ASSERT_EQ(0, to_shared(self));
	}
	EXPECT_EQ(-1, check_pages(self->mem, 8 * PAGE, 1));
	TH_LOG("%s", touched ? "touched" : "the worker was always first");
}

/* That was asked for. */
TEST_F(convert, replaced)
{
	char *p = self->mem + 8 * PAGE;
	struct inject in;

	ASSERT_EQ(0, exclusive(self));
	ASSERT_TRUE(looks_late(&in));
	ASSERT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_REPLACE, p, 2 * PAGE, NULL));
	EXPECT_TRUE(is_poison(p));
	ASSERT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_UNDO, p, PAGE, NULL));
	/* Another way for marks to go, of which the module is not asked. */
	ASSERT_EQ(0, madvise(p + PAGE, PAGE, MADV_DONTNEED));
	sleep_ms(100);
	inject_close(&in);
	EXPECT_EQ(-1, not_zero(p, 2 * PAGE));
	EXPECT_TRUE(told(self, 0, NULL, 0));
	EXPECT_EQ(PAGES - 2, private_pages(self->fd, self->mem, LEN));
	EXPECT_EQ(0, to_private(self));
	EXPECT_EQ(PAGES, private_pages(self->fd, self->mem, LEN));
}

TEST_F(convert, ends)
{
	ASSERT_EQ(0, exclusive(self));
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	expect_lost(_metadata, self, self->mem, PAGES);
	EXPECT_TRUE(told(self, 0, NULL, 0));
}

/* Who looks for what was discarded comes when the range is no more, and others' pages there. */
TEST_F(convert, ends_while_looked_at)
{
	struct inject in;

	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, exclusive(self));
		ASSERT_TRUE(looks_late(&in));
		ASSERT_EQ(0, madvise(self->mem, PAGE, MADV_DONTNEED));
		ASSERT_EQ(0, uv_unregister(self->fd, self->range));
		self->range = 0;
		ASSERT_EQ(self->mem, mmap(self->mem, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE |
					  MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		fill_pages(self->mem, LEN, i);
		sleep_ms(100);
		inject_close(&in);
		ASSERT_EQ(-1, check_pages(self->mem, LEN, i)) TH_LOG("round %d", i);
	}
}

/* One page of an entry of 2 MiB. */
TEST_F(convert, huge)
{
	char *mem;

	if (!huge_in_vram(self->fd))
		SKIP(return, "this kernel has no device folios of 2 MiB");
	mem = map_filled(self->fd, HUGE, 5);
	ASSERT_EQ(0, madvise(mem, HUGE, MADV_DONTFORK));
	ASSERT_EQ(0, uv_register_flags(self->fd, mem, HUGE, self->pool, UFFDVRAM_RANGE_EXCLUSIVE,
				       NULL));
	ASSERT_EQ(0, uv_convert(self->fd, PRIVATE | WAIT, mem, HUGE, 60000, NULL));
	EXPECT_EQ(HUGE / PAGE, huge_pages(self->fd, mem, HUGE));
	ASSERT_EQ(0, madvise(mem + 7 * PAGE, PAGE, MADV_DONTNEED));
	EXPECT_EQ(-EHWPOISON, uv_convert(self->fd, 0, mem, HUGE, 0, &self->c));
	EXPECT_EQ(ADDR(mem + 7 * PAGE), self->c.bad_addr);
	EXPECT_EQ(HUGE / PAGE - 1, private_pages(self->fd, mem, HUGE));
	EXPECT_TRUE(soon_poison(mem + 7 * PAGE));
	ASSERT_EQ(0, uv_convert(self->fd, 0, mem, 7 * PAGE, 0, NULL));
	EXPECT_EQ(-1, check_pages(mem, 7 * PAGE, 5));
	/* All of the rest, of which nothing is left to take a table from. */
	ASSERT_EQ(0, madvise(mem, HUGE, MADV_DONTNEED));
	EXPECT_TRUE(soon_poison(mem + HUGE - PAGE));
	EXPECT_EQ(HUGE / PAGE - 8, poisoned(mem + 8 * PAGE, HUGE / PAGE - 8));
	EXPECT_EQ(-1, not_zero(mem, 8 * PAGE));
	munmap(mem, HUGE);
}

/* Sealed by who wants it: then none of that happens, but discards do. */
TEST_F(convert, sealed)
{
	char *p = map_small(LEN);
	uint32_t range;

	fill_pages(p, LEN, 2);
	lru_drain();
	ASSERT_EQ(0, madvise(p, LEN, MADV_DONTFORK));
	ASSERT_EQ(0, syscall(SYS_mseal, p, LEN, 0));
	ASSERT_EQ(0, uv_register_flags(self->fd, p, LEN, self->pool, UFFDVRAM_RANGE_EXCLUSIVE,
				       &range));
	ASSERT_EQ(0, uv_convert(self->fd, PRIVATE | WAIT, p, LEN, 60000, NULL));
	EXPECT_EQ(-1, munmap(p, PAGE));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, mprotect(p, PAGE, PROT_READ));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(MAP_FAILED, mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, self->mem));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(PAGES, private_pages(self->fd, p, LEN));
	ASSERT_EQ(0, madvise(p, PAGE, MADV_DONTNEED));
	EXPECT_TRUE(soon_poison(p));
	ASSERT_EQ(0, uv_convert(self->fd, 0, p + PAGE, LEN - PAGE, 0, NULL));
	EXPECT_EQ(-1, check_pages(p + PAGE, LEN - PAGE, 2));
	/* It goes with the process only. */
	ASSERT_EQ(0, uv_unregister(self->fd, range));
}

/* The library prepares the memory, and seals it on request. */
TEST_F(convert, library)
{
	struct uffdvram_pool_opts popts = { .size = sizeof(popts), .bytes = POOL,
					    .backend = UFFDVRAM_BACKEND_SIM };
	struct uffdvram_range_opts opts = { .size = sizeof(opts),
					    .flags = UFFDVRAM_RANGE_EXCLUSIVE };
	struct uffdvram_range *range;
	struct uffdvram_ctx *ctx;
	char *p = map_small(LEN);
	struct child c;
	bool merged;

	fill_pages(p, LEN, 2);
	merged = !madvise(p, LEN, MADV_MERGEABLE);
	ASSERT_EQ(0, uffdvram_open(&ctx, NULL));
	ASSERT_EQ(0, uffdvram_pool_attach(&opts.pool, ctx, &popts));
	ASSERT_EQ(0, uffdvram_range_register(&range, ctx, ADDR(p), LEN, &opts)) {
		TH_LOG("merged: %d", merged);
	}
	ASSERT_EQ(0, uffdvram_range_convert(range, 0, LEN, UFFDVRAM_CONVERT_PRIVATE |
					    UFFDVRAM_CONVERT_WAIT, 10000, NULL));
	munmap(self->mem, LEN);
	self->mem = p;
	c = child_start(child_has_none, self);
	EXPECT_EQ(0, child_end(&c));
	ASSERT_EQ(0, uffdvram_range_convert(range, 0, LEN, 0, 0, NULL));
	EXPECT_EQ(-1, check_pages(p, LEN, 2));
	ASSERT_EQ(0, uffdvram_range_seal(range));
	EXPECT_EQ(-1, mprotect(p, PAGE, PROT_READ));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(0, uffdvram_range_unregister(range));
	uffdvram_close(ctx);
}

struct two_pieces {
	char *as_it_was;
	char *prepared;
};

/* 0, or which of the calls for the other process was not as it ought to be. */
static int manager(int fd, void *arg)
{
	struct uffdvram_pool_opts popts = { .size = sizeof(popts), .bytes = POOL,
					    .backend = UFFDVRAM_BACKEND_SIM };
	struct uffdvram_range_opts opts = { .size = sizeof(opts),
					    .flags = UFFDVRAM_RANGE_EXCLUSIVE };
	const struct two_pieces *mem = arg;
	struct uffdvram_range *range;
	struct uffdvram_ctx *ctx;

	(void)fd;
	if (uffdvram_open_pid(&ctx, getppid(), NULL) ||
	    uffdvram_pool_attach(&opts.pool, ctx, &popts))
		return 1;
	if (uffdvram_range_register(&range, ctx, ADDR(mem->as_it_was), LEN, &opts) != -EINVAL)
		return 2;
	if (uffdvram_range_register(&range, ctx, ADDR(mem->prepared), LEN, &opts))
		return 3;
	if (uffdvram_range_seal(range) != -EXDEV)
		return 4;
	uffdvram_close(ctx);
	return 0;
}

/* What others inherit, and what is sealed, is for the process itself to say. */
TEST_F(convert, library_of_another_process)
{
	struct two_pieces mem = { map_small(LEN), map_small(LEN) };
	struct child c;

	ASSERT_EQ(0, madvise(mem.prepared, LEN, MADV_DONTFORK));
	c = child_start(manager, &mem);
	EXPECT_EQ(0, child_end(&c));
}

TEST_HARNESS_MAIN
