// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 240 */
/*
 * COPY of memory that somebody watches: userfaultfd is asked for missing pages
 * and told of writes, soft-dirty tracking sees them; and waits can be ended.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include "util_mm.h"
#include "uffd_fixture.h"
#include "copy_fixture.h"

/* One COPY in a thread of its own. */
struct copier {
	int fd;
	uint32_t flags;
	char *addr, *buf;
	size_t len;
	int ret;
	uint64_t done;
	bool ended;
};

static void *copy_thread(void *arg)
{
	struct copier *c = arg;

	c->ret = uv_copy(c->fd, c->flags, c->addr, c->len, c->buf, &c->done);
	__atomic_store_n(&c->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool has_ended(void *arg)
{
	return __atomic_load_n(&((struct copier *)arg)->ended, __ATOMIC_ACQUIRE);
}

static struct copier copier_of(FIXTURE_DATA(copy) *self, uint32_t flags, char *addr, size_t len)
{
	return (struct copier){ .fd = self->fd, .flags = flags, .addr = addr, .len = len,
				.buf = self->buf + (addr - self->mem) };
}

/* A read of missing memory waits for whoever supplies it. */
TEST_F(copy, missing_pages_are_asked_for)
{
	char *data = map_small(LEN), *gap = self->mem + 40 * PAGE;
	struct copier c = copier_of(self, 0, self->mem, LEN);
	int uffd = uffd_open(0);
	pthread_t thread;

	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_MISSING));
	fill_pages_as(data, LEN, self->mem, 1);
	ASSERT_EQ(0, uffd_copy(uffd, self->mem, data, 40 * PAGE, 0));
	ASSERT_EQ(0, uffd_copy(uffd, gap + PAGE, data + 41 * PAGE, LEN - 41 * PAGE, 0));
	ASSERT_EQ(PAGES - 1, move_all(self->fd, self->mem, LEN, 0, NULL));
	/* Without faults nobody is asked, and it ends there. */
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, NOFAULT, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(40 * PAGE, self->done);
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, NOFAULT | WRITE, gap, PAGE, self->buf, NULL));
	expect_no_event(_metadata, uffd);

	ASSERT_EQ(0, pthread_create(&thread, NULL, copy_thread, &c));
	expect_fault(_metadata, uffd, gap, 0);
	/* It holds no lock meanwhile: this wants mmap_lock for writing. */
	munmap(map_small(PAGE), PAGE);
	EXPECT_FALSE(has_ended(&c));
	ASSERT_EQ(0, uffd_copy(uffd, gap, data + 40 * PAGE, PAGE, 0));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, c.ret);
	EXPECT_EQ(LEN, c.done);
	EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 1));
	EXPECT_EQ(PAGES - 1, uv_in_vram(self->fd, self->mem, LEN));
	expect_no_event(_metadata, uffd);

	/* A write asks, too. */
	ASSERT_EQ(0, madvise(gap, PAGE, MADV_DONTNEED));
	fill_pages_as(self->buf, LEN, self->mem, 2);
	c = copier_of(self, WRITE, self->mem, LEN);
	ASSERT_EQ(0, pthread_create(&thread, NULL, copy_thread, &c));
	expect_fault(_metadata, uffd, gap, UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(0, uffd_zeropage(uffd, gap, PAGE));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, c.ret);
	EXPECT_EQ(PAGES - 1, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
	close(uffd);
	munmap(data, LEN);
}

static void on_usr1(int signo)
{
	(void)signo;
}

/* No SA_RESTART: whatever is interrupted says so. */
static void catch_usr1(void)
{
	struct sigaction sa = { .sa_handler = on_usr1 };

	sigaction(SIGUSR1, &sa, NULL);
}

/* Signals until it ends: the first may come before the call. */
static void interrupt(struct __test_metadata *_metadata, pthread_t thread, struct copier *c)
{
	int i;

	for (i = 0; i < 2000 && !has_ended(c); i++) {
		pthread_kill(thread, SIGUSR1);
		sleep_ms(50);
	}
	ASSERT_TRUE(has_ended(c)) TH_LOG("it cannot be interrupted");
	pthread_join(thread, NULL);
}

TEST_F(copy, waiting_is_interruptible)
{
	struct copier c = copier_of(self, 0, self->mem, LEN);
	int uffd = uffd_open(0);
	pthread_t thread;

	catch_usr1();
	fill_pages(self->mem, 5 * PAGE, 1);
	ASSERT_EQ(5, uv_to_vram(self->fd, self->mem, 5 * PAGE));
	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, pthread_create(&thread, NULL, copy_thread, &c));
	expect_fault(_metadata, uffd, self->mem + 5 * PAGE, 0);
	interrupt(_metadata, thread, &c);
	EXPECT_EQ(-EINTR, c.ret);
	EXPECT_EQ(5 * PAGE, c.done);
	EXPECT_EQ(-1, check_pages_as(self->buf, 5 * PAGE, self->mem, 1));
	close(uffd);
	/* Nobody watches any more: it goes through. */
	EXPECT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(-1, not_zero(self->buf + 5 * PAGE, LEN - 5 * PAGE));
}

/* One page, discarded while it is copied; was its slot still taken then? */
static bool discard_copied(struct __test_metadata *_metadata, struct copier *c, char *other)
{
	struct uffdvram_migrate m;
	pthread_t thread;
	bool kept;

	fill_pages(c->addr, PAGE, 1);
	fill_pages(other, PAGE, 2);
	fill_pages_as(c->buf, PAGE, c->addr, 3);
	ASSERT_EQ(1, uv_to_vram(c->fd, c->addr, PAGE));
	uv_knob_set("delay_us", "%d", 2000000);
	ASSERT_EQ(0, pthread_create(&thread, NULL, copy_thread, c));
	sleep_ms(500);
	knobs_calm();
	ASSERT_EQ(0, madvise(c->addr, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, uv_migrate(c->fd, other, PAGE, 0, &m));
	kept = m.stayed[UFFDVRAM_STAY_NO_SLOT] == 1;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, c->ret);
	/* What was there, or the hole that is there now; never what is the other's. */
	if (!(c->flags & WRITE) && check_pages_as(c->buf, PAGE, c->addr, 1) != -1)
		EXPECT_EQ(-1, not_zero(c->buf, PAGE));
	EXPECT_EQ(1, uv_to_vram(c->fd, other, PAGE));
	EXPECT_EQ(-1, check_pages(other, PAGE, 2));
	return kept;
}

/* Some backends have no smaller pools: what is more than one slot is taken. */
static void leave_one_slot(struct __test_metadata *_metadata, int fd, uint32_t pool)
{
	size_t len = (pool_value(pool, " slots ") - 1) * PAGE;
	char *rest;

	if (!len)
		return;
	rest = map_small(len);
	fill_pages(rest, len, 1);
	ASSERT_EQ(0, uv_register(fd, rest, len, pool, NULL));
	ASSERT_EQ((long)(len / PAGE), uv_to_vram(fd, rest, len));
}

/* Whatever becomes of a page meanwhile, its slot is nobody else's until COPY is done. */
TEST_F(copy, discarded_while_it_is_copied)
{
	struct copier c = { .fd = self->fd, .len = PAGE, .addr = map_small(PAGE),
			    .buf = map_small(PAGE) };
	char *other = map_small(PAGE);
	uint32_t pool;
	int tries;
	bool kept;

	ASSERT_EQ(0, uv_attach(self->fd, PAGE, 0, &pool));
	leave_one_slot(_metadata, self->fd, pool);
	ASSERT_EQ(0, uv_register(self->fd, c.addr, PAGE, pool, NULL));
	ASSERT_EQ(0, uv_register(self->fd, other, PAGE, pool, NULL));
	for (c.flags = 0; c.flags <= WRITE; c.flags += WRITE) {
		/* On a slow machine COPY may come too late to meet anything. */
		for (tries = 0, kept = false; tries < 20 && !kept; tries++) {
			ASSERT_EQ(0, madvise(c.addr, PAGE, MADV_DONTNEED));
			ASSERT_EQ(0, madvise(other, PAGE, MADV_DONTNEED));
			kept = discard_copied(_metadata, &c, other);
		}
		EXPECT_TRUE(kept) TH_LOG("flags %u", c.flags);
	}
	munmap(c.addr, PAGE);
	munmap(c.buf, PAGE);
	munmap(other, PAGE);
}

/* A counter, and what it was. */
struct count {
	const char *name;
	uint64_t before;
};

static bool has_grown(void *count)
{
	struct count *c = count;

	return uv_stat(c->name) > c->before;
}

/* A slow device: a signal ends the call between two batches. */
TEST_F(copy, slow_copies_are_interruptible)
{
	struct count count;
	uint32_t flags;

	catch_usr1();
	for (flags = 0; flags <= WRITE; flags += WRITE) {
		struct copier c = { .fd = self->fd, .flags = flags, .len = MIB(2) };
		pthread_t thread;
		uint32_t range;

		c.addr = map_small(c.len);
		c.buf = map_small(c.len);
		fill_pages(c.addr, c.len, 1);
		fill_pages_as(c.buf, c.len, c.addr, 2);
		ASSERT_EQ(0, uv_register(self->fd, c.addr, c.len, self->pool, &range));
		ASSERT_EQ(c.len / PAGE, move_all(self->fd, c.addr, c.len, 0, NULL));
		count.name = flags ? "copy_written" : "copy_read";
		count.before = uv_stat(count.name);
		uv_knob_set("delay_us", "%d", 2000000);	/* 16 batches: 32 s */
		ASSERT_EQ(0, pthread_create(&thread, NULL, copy_thread, &c));
		ASSERT_TRUE(wait_until(has_grown, &count, 60000));
		interrupt(_metadata, thread, &c);
		knobs_calm();
		EXPECT_EQ(-EINTR, c.ret);
		EXPECT_LT(0, c.done);
		EXPECT_GT(c.len, c.done);
		EXPECT_EQ(c.len / PAGE, uv_in_vram(self->fd, c.addr, c.len));
		EXPECT_EQ(-1, check_pages_as(c.buf, c.done, c.addr, flags ? 2 : 1));
		EXPECT_EQ(-1, check_pages(c.addr, c.done, flags ? 2 : 1));
		EXPECT_EQ(0, uv_unregister(self->fd, range));
		munmap(c.addr, c.len);
		munmap(c.buf, c.len);
	}
}

/* A write to protected memory: the event comes, and nothing is written before. */
static void write_protected(struct __test_metadata *_metadata, FIXTURE_DATA(copy) *self, bool vram)
{
	char *page = self->mem + 3 * PAGE;
	struct copier c = copier_of(self, WRITE, self->mem, 8 * PAGE);
	int uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	pthread_t thread;

	ASSERT_LE(0, uffd);
	fill_pages(self->mem, LEN, 1);
	if (vram)
		ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, uffd_wp(uffd, page, PAGE, true));
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 1));
	expect_no_event(_metadata, uffd);
	EXPECT_NE(0, pagemap_entry(0, page) & PAGEMAP_UFFD_WP);

	fill_pages_as(self->buf, LEN, self->mem, 2);
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, WRITE | NOFAULT, page, PAGE, c.buf, NULL));
	EXPECT_EQ(-1, check_pages(page, PAGE, 1));
	if (vram)
		ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, pthread_create(&thread, NULL, copy_thread, &c));
	expect_fault(_metadata, uffd, page, UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE);
	EXPECT_FALSE(has_ended(&c));
	EXPECT_EQ(-1, check_pages(page, PAGE, 1));
	ASSERT_EQ(0, uffd_wp(uffd, page, PAGE, false));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, c.ret);
	EXPECT_EQ(8 * PAGE, c.done);
	expect_no_event(_metadata, uffd);
	/* Where somebody waits for writes, all that is written comes home. */
	if (vram)
		EXPECT_EQ(PAGES - 8, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, 8 * PAGE, 2));
	EXPECT_EQ(-1, check_pages(self->mem + 8 * PAGE, LEN - 8 * PAGE, 1));
	close(uffd);
}

TEST_F(copy, write_protected_in_ram)
{
	write_protected(_metadata, self, false);
}

TEST_F(copy, write_protected_in_vram)
{
	write_protected(_metadata, self, true);
}

/* Under asynchronous protection PAGEMAP_SCAN reports what was written. */
TEST_F(copy, writes_are_scanned)
{
	int uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED |
			     UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int vram;

	ASSERT_LE(0, uffd);
	ASSERT_LE(0, pagemap);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_WP));
	fill_pages(self->mem, LEN, 1);
	for (vram = 0; vram < 2; vram++) {
		if (vram)
			ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
		ASSERT_EQ(0, uffd_wp(uffd, self->mem, LEN, true));
		ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
		EXPECT_EQ(0, pages_written(pagemap, self->mem, LEN));
		ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem + 9 * PAGE, 3 * PAGE,
				     self->buf + 9 * PAGE, NULL));
		EXPECT_EQ(3, pages_written(pagemap, self->mem, LEN));
		EXPECT_EQ(3, pages_written(pagemap, self->mem + 9 * PAGE, 3 * PAGE));
		/* Again, now that they are not protected: still three, wherever. */
		ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, vram ? 0 :
					  UFFDVRAM_MIGRATE_TO_RAM, NULL));
		EXPECT_EQ(3, pages_written(pagemap, self->mem, LEN));
		ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem + 9 * PAGE, 3 * PAGE,
				     self->buf + 9 * PAGE, NULL));
		EXPECT_EQ(3, pages_written(pagemap, self->mem, LEN));
		EXPECT_EQ(vram ? PAGES - 3 : 0, uv_in_vram(self->fd, self->mem, LEN));
		/* Armed anew it is clean, and the next write is seen. */
		ASSERT_EQ(0, uffd_wp(uffd, self->mem, LEN, true));
		EXPECT_EQ(0, pages_written(pagemap, self->mem, LEN));
		ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem + 10 * PAGE, PAGE,
				     self->buf + 10 * PAGE, NULL));
		EXPECT_EQ(1, pages_written(pagemap, self->mem, LEN));
	}
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	close(pagemap);
	close(uffd);
}

TEST_F(copy, writes_are_soft_dirty)
{
	int vram;

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
	for (vram = 0; vram < 2; vram++) {
		if (vram)
			ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
		ASSERT_EQ(0, file_write("/proc/self/clear_refs", "4"));
		ASSERT_EQ(0, soft_dirty(self->mem, PAGES));
		ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
		EXPECT_EQ(0, soft_dirty(self->mem, PAGES));
		ASSERT_EQ(0, uv_copy(self->fd, WRITE, self->mem + 5 * PAGE, 2 * PAGE,
				     self->buf + 5 * PAGE, NULL));
		EXPECT_EQ(2, soft_dirty(self->mem, PAGES));
		EXPECT_NE(0, pagemap_entry(0, self->mem + 5 * PAGE) & PAGEMAP_SOFT_DIRTY);
		EXPECT_NE(0, pagemap_entry(0, self->mem + 6 * PAGE) & PAGEMAP_SOFT_DIRTY);
	}
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	/* The mark comes home with the page. */
	EXPECT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_NE(0, pagemap_entry(0, self->mem + 5 * PAGE) & PAGEMAP_SOFT_DIRTY);
}

/* Waits for nobody, or copies for long, until it is killed. */
struct victim {
	bool armed;
	uint32_t flags;
};

static int copy_until_killed(int sock, void *arg)
{
	const struct victim *v = arg;
	struct copier c = { .fd = uv_open(), .flags = v->flags, .len = MIB(4) };
	int uffd = v->armed ? uffd_open(0) : -1;
	uint32_t pool;
	int i;

	c.addr = map_small(c.len);
	c.buf = map_small(c.len);
	fill_pages(c.buf, c.len, 1);
	if (c.fd < 0 || uv_attach(c.fd, MIB(8), 0, &pool) ||
	    uv_register(c.fd, c.addr, c.len, pool, NULL))
		return 1;
	fill_pages(c.addr, c.len / 2, 1);
	if (move_all(c.fd, c.addr, c.len / 2, 0, NULL) != (long)(c.len / 2 / PAGE))
		return 2;
	if (v->armed && (uffd < 0 ||
			 uffd_register(uffd, c.addr, c.len, UFFDIO_REGISTER_MODE_MISSING)))
		return 3;
	if (!v->armed)
		uv_knob_set("delay_us", "%d", 50000);
	for (i = 0; i < 3; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, copy_thread, &c))
			return 4;
	}
	if (v->armed) {
		struct uffd_msg msg;

		if (!uffd_wait(uffd, &msg, 60000))
			return 5;
	}
	child_tell(sock, 1);
	sleep_ms(60000);
	return 6;
}

TEST_F(copy, killed)
{
	struct victim v[] = { { true, 0 }, { true, WRITE }, { false, 0 }, { false, WRITE } };
	uint64_t word, start;
	struct child c;

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		c = child_start(copy_until_killed, &v[i]);
		ASSERT_TRUE(child_hear(c.fd, &word)) TH_LOG("case %zu", i);
		sleep_ms(150);
		start = now_ms();
		child_kill(&c);
		EXPECT_GT(30000, now_ms() - start);
		knobs_calm();
		EXPECT_TRUE(uv_wait_slots(0)) TH_LOG("case %zu", i);
	}
}

TEST_HARNESS_MAIN
