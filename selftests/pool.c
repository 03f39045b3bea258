// SPDX-License-Identifier: GPL-2.0-only
/* Pools: who may attach and use them, what detaching does to what is in them. */
#include "kselftest_harness.h"

#include "util_mm.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sys/resource.h>

#define LEN		(64 * PAGE)

/* What debugfs tells of a pool; false: there is none of this number. */
struct pool_line {
	long long bytes, slots, used, lost, shared, draining;
};

/* The number that follows a word of a line; -1: no such word. */
static long long number_after(const char *line, const char *word)
{
	const char *at = strstr(line, word);

	return at ? strtoll(at + strlen(word), NULL, 10) : -1;
}

static bool pool_look(uint32_t pool, struct pool_line *l)
{
	static char text[65536];
	char begin[32], *line;

	if (file_read("/sys/kernel/debug/uffdvram/pools", text, sizeof(text)) < 0)
		give_up("debugfs pools");
	snprintf(begin, sizeof(begin), "pool %u ", pool);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (!strncmp(line, begin, strlen(begin)))
			break;
	if (!line)
		return false;
	*l = (struct pool_line){
		.bytes = number_after(line, " bytes "),
		.slots = number_after(line, " slots "),
		.used = number_after(line, " used "),
		.lost = number_after(line, " lost "),
		.shared = number_after(line, " shared "),
		.draining = number_after(line, " draining "),
	};
	return true;
}

static bool pool_gone(void *pool)
{
	struct pool_line l;

	return !pool_look(*(uint32_t *)pool, &l);
}

static bool pool_draining(void *pool)
{
	struct pool_line l;

	return pool_look(*(uint32_t *)pool, &l) && l.draining == 1;
}

static int n_pools(int fd)
{
	struct uffdvram_info info;
	int ret = uv_info(fd, &info);

	return ret ? ret : (int)info.n_pools;
}

static uint32_t info_pool(int fd)
{
	struct uffdvram_info info;

	return uv_info(fd, &info) ? ~0U : info.pool;
}

FIXTURE(pool)
{
	int fd;			/* two contexts of this process */
	int other;
	uint64_t slots;
	int n_pools;
	char *mem;
};

FIXTURE_SETUP(pool)
{
	self->slots = uv_slots_in_use();
	self->fd = uv_open();
	self->other = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->other);
	self->n_pools = n_pools(self->fd);
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
}

FIXTURE_TEARDOWN(pool)
{
	uv_knob_set("delay_us", "0");
	uv_knob_set("fail_to_ram", "0");
	close(self->fd);
	close(self->other);
	munmap(self->mem, LEN);
	EXPECT_TRUE(uv_wait_slots(self->slots));
}

TEST_F(pool, attach_and_detach)
{
	struct pool_line l;
	uint64_t left = 77;
	uint32_t pool;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(4), 0, &pool));
	EXPECT_NE(0, pool);
	EXPECT_EQ(self->n_pools + 1, n_pools(self->fd));
	ASSERT_TRUE(pool_look(pool, &l));
	EXPECT_EQ((long long)MIB(4), l.bytes);
	EXPECT_EQ((long long)(MIB(4) / PAGE), l.slots);
	EXPECT_EQ(0, l.used);
	EXPECT_EQ(0, l.lost);
	EXPECT_EQ(0, l.shared);
	EXPECT_EQ(0, l.draining);
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, &left));
	EXPECT_EQ(0, left);
	EXPECT_EQ(self->n_pools, n_pools(self->fd));
	EXPECT_TRUE(pool_gone(&pool));
	EXPECT_EQ(-ENODEV, uv_detach(self->fd, pool, 0, NULL));
}

TEST_F(pool, sizes)
{
	static const size_t wrong[] = { 0, 1, PAGE - 1, PAGE + 1, MIB(2) + 512, ~0UL };
	static const size_t absurd[] = { 1UL << 45, 1UL << 52, 1UL << 62, 1UL << 63, -PAGE };
	uint32_t pool;
	int ret;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(-EINVAL, uv_attach(self->fd, wrong[i], 0, &pool))
			TH_LOG("%zu bytes", wrong[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(absurd); i++) {
		ret = uv_attach(self->fd, absurd[i], 0, &pool);
		EXPECT_TRUE(ret == -EINVAL || ret == -ENOMEM || ret == -ENOSPC)
			TH_LOG("%zx bytes: %d", absurd[i], ret);
	}
	EXPECT_EQ(self->n_pools, n_pools(self->fd));
}

/* A pool holds as many pages as its size says, be it one. */
TEST_F(pool, holds_what_it_says)
{
	static const unsigned int pages[] = { 1, 3, 63 };
	struct uffdvram_migrate m;
	uint32_t pool, range;

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		ASSERT_EQ(0, uv_attach(self->fd, pages[i] * PAGE, 0, &pool));
		ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, pool, &range));
		EXPECT_EQ(pages[i], move_all(self->fd, self->mem, LEN, 0, &m));
		EXPECT_EQ(LEN, m.done);
		EXPECT_EQ(LEN / PAGE - pages[i], m.stayed[UFFDVRAM_STAY_NO_SLOT]);
		EXPECT_EQ(LEN / PAGE - pages[i], uv_stayed(&m));
		EXPECT_EQ(pages[i], uv_in_vram(self->fd, self->mem, LEN));
		EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
		EXPECT_EQ(0, uv_unregister(self->fd, range));
		EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	}
}

TEST_F(pool, unknown_backends)
{
	static const uint32_t backend[] = {
		0, UFFDVRAM_BACKEND_NVIDIA, 4, 100, ~0U
	};

	for (size_t i = 0; i < ARRAY_SIZE(backend); i++) {
		struct uffdvram_pool_attach arg = {
			.size = sizeof(arg), .backend = backend[i], .bytes = MIB(2),
		};

		EXPECT_EQ(-EOPNOTSUPP, uv_ioctl(self->fd, UFFDVRAM_POOL_ATTACH, &arg))
			TH_LOG("backend %u", backend[i]);
		EXPECT_EQ(0, arg.pool);
	}
}

TEST_F(pool, unknown_pools)
{
	static const uint32_t pool[] = { 0, 12345, 1U << 31, ~0U };
	uint64_t left = 77;

	for (size_t i = 0; i < ARRAY_SIZE(pool); i++) {
		EXPECT_EQ(-ENODEV, uv_detach(self->fd, pool[i], 0, &left))
			TH_LOG("pool %u", pool[i]);
		EXPECT_EQ(-ENODEV, uv_detach(self->fd, pool[i], UFFDVRAM_DETACH_DISCARD, NULL));
	}
}

static int nobody_shares(int sock, void *arg)
{
	uint32_t *shared = arg, pool;
	int fd = uv_open();

	(void)sock;
	become_nobody();
	if (uv_attach(fd, MIB(2), UFFDVRAM_POOL_SHARED, &pool) != -EPERM)
		return 1;
	if (uv_detach(fd, *shared, 0, NULL) != -EPERM)
		return 2;
	if (uv_detach(fd, *shared, UFFDVRAM_DETACH_DISCARD, NULL) != -EPERM)
		return 3;
	/* A small one of its own is within everybody's RLIMIT_MEMLOCK. */
	return uv_attach(fd, 4 * PAGE, 0, &pool) || uv_detach(fd, pool, 0, NULL) ? 4 : 0;
}

TEST_F(pool, sharing_needs_privilege)
{
	uint32_t shared;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), UFFDVRAM_POOL_SHARED, &shared));
	EXPECT_EQ(0, run_child(nobody_shares, &shared));
	EXPECT_EQ(0, uv_detach(self->fd, shared, 0, NULL));
}

static int attach_within_memlock(int sock, void *arg)
{
	struct rlimit limit = { MIB(6), MIB(6) };
	uint32_t first, second;
	int fd = uv_open(), ret = 0;

	(void)sock;
	(void)arg;
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		return 1;
	if (uv_attach(fd, MIB(8), 0, &first))		/* the privilege still counts */
		return 2;
	if (uv_detach(fd, first, 0, NULL))
		return 3;
	drop_capability(CAP_IPC_LOCK);
	/* Twice: what is given back can be used again. */
	for (int i = 0; i < 2 && !ret; i++) {
		if (uv_attach(fd, MIB(8), 0, &first) != -ENOMEM)
			ret = 4;
		else if (uv_attach(fd, MIB(6), 0, &first) != -ENOMEM)
			ret = 5;	/* there is no room for its struct pages */
		else if (uv_attach(fd, MIB(4), 0, &first))
			ret = 6;
		else if (uv_attach(fd, MIB(4), 0, &second) != -ENOMEM)
			ret = 7;
		else if (uv_detach(fd, first, 0, NULL))
			ret = 8;
	}
	return ret;
}

TEST_F(pool, counts_against_memlock)
{
	EXPECT_EQ(0, run_child(attach_within_memlock, NULL));
}

TEST_F(pool, private_to_its_context)
{
	uint32_t pool;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &pool));
	EXPECT_EQ(self->n_pools, n_pools(self->other));
	EXPECT_EQ(-ENODEV, uv_register(self->other, self->mem, LEN, pool, NULL));
	EXPECT_EQ(-ENODEV, uv_detach(self->other, pool, 0, NULL));
	EXPECT_EQ(-ENODEV, uv_detach(self->other, pool, UFFDVRAM_DETACH_DISCARD, NULL));
	EXPECT_EQ(0, uv_register(self->fd, self->mem, LEN, pool, NULL));
	EXPECT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(pool, info_names_one)
{
	uint32_t base = info_pool(self->fd), first, second;

	EXPECT_EQ(!self->n_pools, !base);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &first));
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &second));
	EXPECT_EQ(base ?: first, info_pool(self->fd));
	EXPECT_EQ(base, info_pool(self->other));
	EXPECT_EQ(0, uv_detach(self->fd, first, 0, NULL));
	EXPECT_EQ(base ?: second, info_pool(self->fd));
	EXPECT_EQ(0, uv_detach(self->fd, second, 0, NULL));
	EXPECT_EQ(base, info_pool(self->fd));
}

TEST_F(pool, shared_outlives_its_context)
{
	uint32_t pool;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), UFFDVRAM_POOL_SHARED, &pool));
	EXPECT_EQ(self->n_pools + 1, n_pools(self->fd));
	EXPECT_EQ(self->n_pools + 1, n_pools(self->other));
	ASSERT_EQ(0, uv_register(self->other, self->mem, LEN, pool, NULL));
	close(self->fd);
	self->fd = uv_open();
	EXPECT_EQ(self->n_pools + 1, n_pools(self->fd));
	EXPECT_EQ(LEN / PAGE, uv_to_vram(self->other, self->mem, LEN));
	/* Another context detaches it. */
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
	EXPECT_EQ(self->n_pools, n_pools(self->other));
	EXPECT_EQ(0, uv_in_vram(self->other, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(pool, ends_with_its_context)
{
	uint32_t pool;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &pool));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, pool, NULL));
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	close(self->fd);
	/* Nobody touches the memory: the worker does it. */
	EXPECT_TRUE(uv_wait_slots(self->slots));
	EXPECT_TRUE(pool_gone(&pool));
	EXPECT_EQ(0, uv_in_vram(self->other, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	self->fd = uv_open();
}

TEST_F(pool, detach_brings_pages_home)
{
	uint64_t left = 77, evicted = uv_stat("evicted");
	struct uffdvram_query q;
	uint32_t pool;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &pool));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, pool, NULL));
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(self->slots + LEN / PAGE, uv_slots_in_use());
	ASSERT_EQ(0, uv_detach(self->fd, pool, 0, &left));
	EXPECT_EQ(0, left);
	EXPECT_EQ(self->slots, uv_slots_in_use());
	EXPECT_LE(evicted + LEN / PAGE, uv_stat("evicted"));
	ASSERT_EQ(0, uv_query(self->fd, self->mem, LEN, &q));
	EXPECT_EQ(LEN / PAGE, q.count[UFFDVRAM_STATE_PRESENT]);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* The pages of another process come home from a shared pool. */
static int hold_pages(int sock, void *arg)
{
	char *mem = map_small(LEN);
	int fd = uv_open();
	uint64_t word;

	fill_pages(mem, LEN, 2);
	if (uv_register(fd, mem, LEN, *(uint32_t *)arg, NULL) ||
	    uv_to_vram(fd, mem, LEN) != LEN / PAGE)
		return 1;
	child_tell(sock, 1);
	if (!child_hear(sock, &word))
		return 2;
	if (uv_in_vram(fd, mem, LEN))
		return 3;
	return check_pages(mem, LEN, 2) != -1 ? 4 : 0;
}

TEST_F(pool, detach_reaches_other_processes)
{
	struct child c;
	uint64_t word;
	uint32_t pool;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), UFFDVRAM_POOL_SHARED, &pool));
	c = child_start(hold_pages, &pool);
	EXPECT_TRUE(child_hear(c.fd, &word));
	EXPECT_EQ(self->slots + LEN / PAGE, uv_slots_in_use());
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
	EXPECT_EQ(self->slots, uv_slots_in_use());
	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
}

static void expect_poison(struct __test_metadata *_metadata, struct sigbus s, void *addr)
{
	EXPECT_EQ(SIGBUS, s.signo);
	EXPECT_EQ(BUS_MCEERR_AR, s.code);
	EXPECT_EQ((uintptr_t)addr & -PAGE, (uintptr_t)s.addr & -PAGE);
	EXPECT_EQ(12, s.lsb);
}

TEST_F(pool, discard_makes_poison)
{
	const size_t half = LEN / 2;
	struct uffdvram_query q;
	uint64_t left = 77;
	uint32_t pool;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &pool));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, pool, NULL));
	ASSERT_EQ(half / PAGE, uv_to_vram(self->fd, self->mem, half));
	ASSERT_EQ(0, uv_detach(self->fd, pool, UFFDVRAM_DETACH_DISCARD, &left));
	EXPECT_EQ(0, left);
	EXPECT_EQ(self->n_pools, n_pools(self->fd));
	EXPECT_EQ(-ENODEV, uv_detach(self->fd, pool, 0, NULL));
	ASSERT_EQ(0, uv_query(self->fd, self->mem, LEN, &q));
	EXPECT_EQ(half / PAGE, q.count[UFFDVRAM_STATE_POISON]);
	EXPECT_EQ(half / PAGE, q.count[UFFDVRAM_STATE_PRESENT]);
	for (size_t off = 0; off < half; off += PAGE) {
		expect_poison(_metadata, read_byte(self->mem + off + 8), self->mem + off + 8);
		expect_poison(_metadata, write_byte(self->mem + off, 1), self->mem + off);
	}
	EXPECT_EQ(-1, check_pages(self->mem + half, half, 1));
}

/* One page cannot be read any more: that one is poison, the others come home. */
TEST_F(pool, detach_with_a_copy_error)
{
	unsigned int bad = 0;
	uint32_t pool;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &pool));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, pool, NULL));
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	uv_knob_set("fail_to_ram", "10");
	ASSERT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
	for (char *p = self->mem; p < self->mem + LEN; p += PAGE) {
		struct sigbus s = read_byte(p);

		if (s.signo) {
			expect_poison(_metadata, s, p);
			bad++;
		} else {
			EXPECT_EQ(-1, check_pages(p, PAGE, 1));
		}
	}
	EXPECT_EQ(1, bad);
}

TEST_F(pool, range_of_a_pool_that_is_gone)
{
	struct uffdvram_migrate m;
	uint32_t pool, range;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &pool));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, pool, &range));
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
	EXPECT_EQ(-ENODEV, uv_migrate(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(0, m.done);
	EXPECT_EQ(LEN / PAGE, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_EQ(-ENODEV, uv_register(self->other, self->mem + LEN - PAGE, PAGE, pool, NULL));
	EXPECT_EQ(0, uv_unregister(self->fd, range));
}

struct detacher {
	int fd;
	uint32_t pool;
	int ret;
};

static void *detach_thread(void *arg)
{
	struct detacher *d = arg;

	d->ret = uv_detach(d->fd, d->pool, 0, NULL);
	return NULL;
}

TEST_F(pool, two_detach_at_once)
{
	struct detacher d = { .fd = self->fd };
	pthread_t thread;
	int ret;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &d.pool));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, d.pool, NULL));
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	uv_knob_set("delay_us", "200000");
	ASSERT_EQ(0, pthread_create(&thread, NULL, detach_thread, &d));
	EXPECT_TRUE(wait_until(pool_draining, &d.pool, 60000));
	ret = uv_detach(self->fd, d.pool, 0, NULL);
	EXPECT_TRUE(ret == -EBUSY || ret == -ENODEV)
		TH_LOG("the second one: %d", ret);
	/* Nothing new goes in while it drains. */
	EXPECT_EQ(-ENODEV, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, d.ret);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

static int detach_for_ever(int sock, void *arg)
{
	struct detacher *d = arg;

	(void)sock;
	d->ret = uv_detach(d->fd, d->pool, 0, NULL);
	return 0;
}

TEST_F(pool, detach_can_be_killed)
{
	struct detacher d = { .fd = self->fd };
	struct child c;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &d.pool));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, d.pool, NULL));
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	/* The child calls with our descriptor. */
	uv_knob_set("delay_us", "100000");
	c = child_start(detach_for_ever, &d);
	EXPECT_TRUE(wait_until(pool_draining, &d.pool, 60000));
	child_kill(&c);
	uv_knob_set("delay_us", "0");
	/* What it began can be ended, by whoever still has the descriptor. */
	EXPECT_EQ(0, uv_detach(self->fd, d.pool, 0, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* Pieces of the physical address space that pools' struct pages stand for. */
static int count_regions(void)
{
	static char text[65536];
	int n = 0;

	if (file_read("/proc/iomem", text, sizeof(text)) < 0)
		give_up("/proc/iomem");
	for (char *p = text; (p = strstr(p, ": uffdvram")); p++)
		n++;
	return n;
}

/*
 * Leaked memory of ninety pools would be 360 MiB; struct pages that are kept
 * would keep their addresses, too. A sanitizer's quarantine of what was freed
 * takes some MiB.
 */
TEST_F_TIMEOUT(pool, a_hundred_rounds, 240)
{
	long long before = 0, after;
	uint32_t pool, range, last = 0;
	int regions = count_regions();

	for (int i = 0; i < 100; i++) {
		if (i == 10)
			before = file_value("/proc/meminfo", "MemAvailable");
		ASSERT_EQ(0, uv_attach(self->fd, MIB(4), i & 1 ? UFFDVRAM_POOL_SHARED : 0, &pool));
		EXPECT_NE(last, pool);		/* an old number never means a new pool */
		last = pool;
		ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, pool, &range));
		ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
		EXPECT_EQ(regions + 1, count_regions());
		ASSERT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
		ASSERT_EQ(0, uv_unregister(self->fd, range));
	}
	after = file_value("/proc/meminfo", "MemAvailable");
	EXPECT_EQ(self->slots, uv_slots_in_use());
	EXPECT_EQ(regions, count_regions());
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_LT(before - after, 131072)
		TH_LOG("%lld KiB available, then %lld", before, after);
}

TEST_HARNESS_MAIN
