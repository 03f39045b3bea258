// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 240 */
/*
 * The cgroup controller dmem: a pool is a region, and slots are charged to the cgroup of
 * who takes them, until they are free.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "util_mm.h"

#define PAGES	128
#define LEN	(PAGES * PAGE)
/* What is charged at least, where the limit allows. */
#define PIECE	64
#define ROOT	"/sys/fs/cgroup/"
#define A	ROOT "uffdvram-dmem-a/"
#define B	ROOT "uffdvram-dmem-b/"

FIXTURE(dmem)
{
	int fd;
	uint32_t pool, range;
	char *mem;
};

static bool has_controller(void)
{
	char text[256];

	return file_read(ROOT "cgroup.controllers", text, sizeof(text)) > 0 &&
	       strstr(text, "dmem");
}

/* What a file of the controller says of a pool, or -1: nothing, or no number. */
static long long dmem(const char *dir, const char *file, uint32_t pool)
{
	char path[128], key[64];

	snprintf(path, sizeof(path), "%sdmem.%s", dir, file);
	snprintf(key, sizeof(key), "uffdvram/%u", pool);
	return file_value(path, key);
}

static long pages_charged(const char *dir, uint32_t pool)
{
	long long bytes = dmem(dir, "current", pool);

	return bytes < 0 ? bytes : bytes / (long long)PAGE;
}

static int set_max(const char *dir, uint32_t pool, unsigned long pages)
{
	char path[128], text[64];

	snprintf(path, sizeof(path), "%sdmem.max", dir);
	snprintf(text, sizeof(text), "uffdvram/%u %lu", pool, pages * PAGE);
	return file_write(path, text);
}

static int enter(const char *dir)
{
	char path[128];

	snprintf(path, sizeof(path), "%scgroup.procs", dir);
	return file_write(path, "0");
}

struct charged {
	const char *dir;
	uint32_t pool;
	long pages;
};

static bool charged_is(void *arg)
{
	const struct charged *c = arg;

	return pages_charged(c->dir, c->pool) == c->pages;
}

static bool wait_charged(const char *dir, uint32_t pool, long pages)
{
	struct charged c = { dir, pool, pages };

	return wait_until(charged_is, &c, 60000);
}

static bool removed(void *dir)
{
	return !rmdir(dir) || errno == ENOENT;
}

FIXTURE_SETUP(dmem)
{
	if (!has_controller())
		SKIP(return, "this kernel has no controller dmem");
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, file_write(ROOT "cgroup.subtree_control", "+dmem"));
	/* A test that was cut off has left them. */
	ASSERT_TRUE(!mkdir(A, 0755) || errno == EEXIST);
	ASSERT_TRUE(!mkdir(B, 0755) || errno == EEXIST);
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(8), UFFDVRAM_POOL_SHARED, &self->pool));
	self->mem = map_aligned(LEN);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, &self->range));
	ASSERT_EQ(0, enter(A));
}

/* Whatever the test did, nothing stays charged. */
FIXTURE_TEARDOWN(dmem)
{
	EXPECT_EQ(0, enter(ROOT));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	munmap(self->mem, LEN);
	EXPECT_TRUE(uv_wait_slots(0));
	if (dmem(ROOT, "capacity", self->pool) >= 0) {
		EXPECT_TRUE(wait_charged(ROOT, self->pool, 0));
		EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	}
	close(self->fd);
	EXPECT_TRUE(wait_until(removed, A, 15000));
	EXPECT_TRUE(wait_until(removed, B, 15000));
}

TEST_F(dmem, capacity)
{
	EXPECT_EQ((long long)MIB(8), dmem(ROOT, "capacity", self->pool));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(PAGES, pages_charged(A, self->pool));
	EXPECT_EQ(PAGES, pages_charged(ROOT, self->pool));
	EXPECT_EQ(0, pages_charged(B, self->pool));
	/* The last one brings all of them home. */
	ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(-1, dmem(ROOT, "capacity", self->pool));
	EXPECT_EQ(-1, dmem(A, "current", self->pool));
	EXPECT_EQ(-ENODEV, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
}

/* As far as the limit goes, to the page; data is where it was. */
TEST_F(dmem, limit)
{
	struct uffdvram_access_begin begin;
	struct uffdvram_slot_run run[4];
	struct uffdvram_migrate m;

	ASSERT_EQ(0, set_max(A, self->pool, 35));
	EXPECT_EQ(35, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_TRUE(sum_ok(self->mem, LEN, &m));
	EXPECT_EQ(PAGES - 35, m.stayed[UFFDVRAM_STAY_QUOTA]);
	EXPECT_EQ(35, uv_slots_in_use());
	EXPECT_EQ(35, pages_charged(A, self->pool));
	EXPECT_EQ(-EDQUOT, uv_access_begin(self->fd, 0, self->mem + LEN / 2, LEN / 2, run, 4,
					    &begin));
	/* Less than is there: nobody who only touches it has to mind. */
	ASSERT_EQ(0, set_max(A, self->pool, 0));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_TRUE(wait_charged(A, self->pool, 0));
	EXPECT_EQ(0, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(PAGES, m.stayed[UFFDVRAM_STAY_QUOTA]);
	/* Elsewhere there is room. */
	ASSERT_EQ(0, enter(B));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, pages_charged(A, self->pool));
	EXPECT_EQ(PAGES, pages_charged(B, self->pool));
}

/* Single pages use up what was charged before. */
TEST_F(dmem, pieces)
{
	unsigned int i;

	/* There is no room for more. */
	ASSERT_EQ(0, set_max(A, self->pool, PIECE));
	for (i = 0; i < PIECE; i++) {
		ASSERT_EQ(1, uv_to_vram(self->fd, self->mem + i * PAGE, PAGE));
		ASSERT_EQ(PIECE, pages_charged(A, self->pool));
	}
	ASSERT_EQ(0, set_max(A, self->pool, 2 * PIECE));
	ASSERT_EQ(1, uv_to_vram(self->fd, self->mem + PIECE * PAGE, PAGE));
	EXPECT_EQ(2 * PIECE, pages_charged(A, self->pool));
	/* As much as one of them is spare. */
	ASSERT_EQ(1, uv_to_ram(self->fd, self->mem, PAGE));
	EXPECT_TRUE(wait_charged(A, self->pool, PIECE));
	ASSERT_EQ(PIECE, uv_to_ram(self->fd, self->mem + PAGE, PIECE * PAGE));
	EXPECT_TRUE(wait_charged(A, self->pool, 0));
}

/* Each charge goes back to where it was made, wherever the process is now. */
TEST_F(dmem, moved)
{
	char *half = self->mem + LEN / 2;

	ASSERT_EQ(PAGES / 2, uv_to_vram(self->fd, self->mem, LEN / 2));
	ASSERT_EQ(0, enter(B));
	EXPECT_EQ(PAGES / 2, pages_charged(A, self->pool));
	ASSERT_EQ(PAGES / 2, uv_to_vram(self->fd, half, LEN / 2));
	EXPECT_EQ(PAGES / 2, pages_charged(A, self->pool));
	EXPECT_EQ(PAGES / 2, pages_charged(B, self->pool));
	ASSERT_EQ(0, enter(ROOT));
	/* A cgroup may go before what was charged to it. */
	ASSERT_EQ(0, rmdir(A));
	EXPECT_EQ(PAGES, pages_charged(ROOT, self->pool));
	ASSERT_EQ(PAGES / 2, uv_to_ram(self->fd, self->mem, LEN / 2));
	EXPECT_TRUE(wait_charged(ROOT, self->pool, PAGES / 2));
	ASSERT_EQ(PAGES / 2, uv_to_ram(self->fd, half, LEN / 2));
	EXPECT_TRUE(wait_charged(ROOT, self->pool, 0));
	EXPECT_TRUE(wait_charged(B, self->pool, 0));
}

static int fills(int sock, void *arg)
{
	char *mem = map_aligned(LEN);
	int fd = uv_open();
	uint64_t word;

	fill_pages(mem, LEN, 3);
	if (fd < 0 || uv_register(fd, mem, LEN, *(uint32_t *)arg, NULL))
		return 1;
	child_tell(sock, move_all(fd, mem, LEN, 0, NULL));
	child_hear(sock, &word);
	return check_pages(mem, LEN, 3) != -1;
}

TEST_F(dmem, exits)
{
	struct child c = child_start(fills, &self->pool);
	uint64_t got;

	ASSERT_TRUE(child_hear(c.fd, &got));
	EXPECT_EQ(PAGES, got);
	EXPECT_EQ(PAGES, pages_charged(A, self->pool));
	child_kill(&c);
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_TRUE(wait_charged(A, self->pool, 0));
	/* Two of them have one limit. */
	ASSERT_EQ(0, set_max(A, self->pool, PAGES + 10));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	c = child_start(fills, &self->pool);
	ASSERT_TRUE(child_hear(c.fd, &got));
	EXPECT_EQ(10, got);
	child_tell(c.fd, 0);
	EXPECT_EQ(0, child_end(&c));
}

/* Pages whose range is gone are paid for until they are home. */
TEST_F(dmem, orphans)
{
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_TRUE(wait_charged(A, self->pool, 0));
}

/* A window is charged as a whole, for as long as it is kept. */
TEST_F(dmem, window)
{
	uint32_t flags = UFFDVRAM_RANGE_LINEAR, range;
	char *map = map_aligned(LEN);

	ASSERT_EQ(0, set_max(A, self->pool, PAGES - 1));
	EXPECT_EQ(-EDQUOT, uv_register_flags(self->fd, map, LEN, self->pool, flags, &range));
	EXPECT_TRUE(wait_charged(A, self->pool, 0));
	ASSERT_EQ(0, set_max(A, self->pool, PAGES));
	ASSERT_EQ(0, uv_register_flags(self->fd, map, LEN, self->pool, flags, &range));
	EXPECT_EQ(PAGES, pages_charged(A, self->pool));
	fill_pages(map, LEN, 2);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, map, LEN));
	EXPECT_EQ(PAGES, pages_charged(A, self->pool));
	ASSERT_EQ(PAGES, uv_to_ram(self->fd, map, LEN));
	EXPECT_EQ(PAGES, pages_charged(A, self->pool));
	ASSERT_EQ(0, uv_unregister(self->fd, range));
	EXPECT_TRUE(wait_charged(A, self->pool, 0));
	/* One that outlives its pool. */
	ASSERT_EQ(0, uv_register_flags(self->fd, map, LEN, self->pool, flags, &range));
	ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(-1, dmem(A, "current", self->pool));
	EXPECT_EQ(0, uv_unregister(self->fd, range));
	EXPECT_EQ(-1, check_pages(map, LEN, 2));
	munmap(map, LEN);
}

/* A block is charged as a whole, or single pages as far as they go. */
TEST_F(dmem, block)
{
	char *mem = map_filled(self->fd, HUGE, 2);

	ASSERT_EQ(0, uv_register(self->fd, mem, HUGE, self->pool, NULL));
	ASSERT_EQ(HUGE / PAGE, uv_to_vram(self->fd, mem, HUGE));
	EXPECT_EQ(HUGE / PAGE, pages_charged(A, self->pool));
	ASSERT_EQ(HUGE / PAGE, uv_to_ram(self->fd, mem, HUGE));
	EXPECT_TRUE(wait_charged(A, self->pool, 0));
	ASSERT_EQ(0, set_max(A, self->pool, 100));
	EXPECT_GE(100, move_all(self->fd, mem, HUGE, 0, NULL));
	EXPECT_GE(100, pages_charged(A, self->pool));
	EXPECT_EQ(-1, check_pages(mem, HUGE, 2));
	munmap(mem, HUGE);
	EXPECT_TRUE(wait_charged(A, self->pool, 0));
}

#define ROUNDS	50
#define THREADS	4

struct mover {
	int fd;
	char *mem;
	long bad;
};

static void *moves(void *arg)
{
	struct mover *m = arg;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		m->bad += uv_migrate(m->fd, m->mem, LEN / THREADS, 0, NULL) != 0;
		if (i % 2)
			(void)*(volatile char *)(m->mem + i % 8 * PAGE);
		m->bad += uv_migrate(m->fd, m->mem, LEN / THREADS, UFFDVRAM_MIGRATE_TO_RAM,
				     NULL) != 0;
	}
	return NULL;
}

/* Threads share one account, at a limit, while their process changes places. */
TEST_F(dmem, races)
{
	struct mover m[THREADS];
	pthread_t thread[THREADS];
	unsigned int i;

	ASSERT_EQ(0, set_max(B, self->pool, 50));
	for (i = 0; i < THREADS; i++) {
		m[i] = (struct mover){ self->fd, self->mem + i * (LEN / THREADS), 0 };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, moves, &m[i]));
	}
	for (i = 0; i < ROUNDS; i++) {
		EXPECT_EQ(0, enter(i % 2 ? A : B));
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, m[i].bad);
	}
	ASSERT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_TRUE(wait_charged(A, self->pool, 0));
	EXPECT_TRUE(wait_charged(B, self->pool, 0));
}

TEST_HARNESS_MAIN
