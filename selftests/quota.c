// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 240 */
/*
 * Quota: how many slots a user may hold (module parameter slot_quota), over all
 * contexts and processes, until the last of the pages is home.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "util_mm.h"

#define QUOTA	32
#define PAGES	64
#define LEN	(PAGES * PAGE)
#define SWITCH	"/sys/module/uffdvram/parameters/slot_quota"

FIXTURE(quota)
{
	int fd;
	uint32_t pool;
	char *mem;
};

FIXTURE_SETUP(quota)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, file_write(SWITCH, "32"));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), UFFDVRAM_POOL_SHARED, &self->pool));
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
}

/* Whatever the test did, nothing is charged any more: it all fits again. */
FIXTURE_TEARDOWN(quota)
{
	struct uffdvram_migrate m;

	knobs_calm();
	fill_pages(self->mem, LEN, 1);
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_EQ(0, file_write(SWITCH, "32"));
	EXPECT_EQ(QUOTA, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(PAGES - QUOTA, m.stayed[UFFDVRAM_STAY_QUOTA]);
	EXPECT_EQ(0, file_write(SWITCH, "0"));
	EXPECT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	munmap(self->mem, LEN);
	close(self->fd);
}

TEST_F(quota, info)
{
	struct uffdvram_info info;

	ASSERT_EQ(0, uv_info(self->fd, &info));
	EXPECT_EQ(QUOTA, info.slot_quota);
	ASSERT_EQ(0, file_write(SWITCH, "0"));
	ASSERT_EQ(0, uv_info(self->fd, &info));
	EXPECT_EQ(~0ULL, info.slot_quota);
}

TEST_F(quota, as_far_as_it_goes)
{
	struct uffdvram_migrate m;

	ASSERT_EQ(QUOTA, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_TRUE(sum_ok(self->mem, LEN, &m));
	EXPECT_EQ(PAGES - QUOTA, m.stayed[UFFDVRAM_STAY_QUOTA]);
	EXPECT_EQ(0, m.stayed[UFFDVRAM_STAY_NO_SLOT]);
	EXPECT_EQ(QUOTA, uv_slots_in_use());
	/* What comes home, by whatever way, makes room. */
	ASSERT_EQ(10, uv_to_ram(self->fd, self->mem, 10 * PAGE));
	ASSERT_EQ(10, uv_to_vram(self->fd, self->mem + LEN - 10 * PAGE, 10 * PAGE));
	EXPECT_EQ(-1, check_pages(self->mem + 10 * PAGE, 6 * PAGE, 1));
	ASSERT_EQ(0, madvise(self->mem + 16 * PAGE, 4 * PAGE, MADV_DONTNEED));
	EXPECT_EQ(QUOTA - 10, uv_slots_in_use());
	EXPECT_EQ(QUOTA, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(PAGES - QUOTA, m.stayed[UFFDVRAM_STAY_QUOTA]);
	EXPECT_EQ(-1, check_pages(self->mem, 16 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + 20 * PAGE, LEN - 20 * PAGE, 1));
}

/* It is the pool that is too small: that is another cause. */
TEST_F(quota, small_pool)
{
	struct uffdvram_migrate m;
	char *mem = map_small(LEN);
	uint32_t pool;

	ASSERT_EQ(0, uv_attach(self->fd, 20 * PAGE, 0, &pool));
	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, pool, NULL));
	fill_pages(mem, LEN, 2);
	EXPECT_EQ(20, move_all(self->fd, mem, 25 * PAGE, 0, &m));
	EXPECT_EQ(5, m.stayed[UFFDVRAM_STAY_NO_SLOT]);
	EXPECT_EQ(0, m.stayed[UFFDVRAM_STAY_QUOTA]);
	/* What it could not give was not charged. */
	EXPECT_EQ(12, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(PAGES - 12, m.stayed[UFFDVRAM_STAY_QUOTA]);
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
	munmap(mem, LEN);
}

/* Tries to fill VRAM; says how far it got, then waits. */
struct other {
	uint32_t pool;
	bool nobody;
};

static int tries_to_fill(int sock, void *arg)
{
	const struct other *o = arg;
	char *mem = map_small(LEN);
	uint64_t word;
	int fd;

	if (o->nobody)
		become_nobody();
	fd = uv_open();
	fill_pages(mem, LEN, 3);
	if (fd < 0 || uv_register(fd, mem, LEN, o->pool, NULL))
		return 1;
	do
		child_tell(sock, move_all(fd, mem, LEN, 0, NULL));
	while (child_hear(sock, &word));
	return 0;
}

/* All contexts and processes of a user have one quota, other users their own. */
TEST_F(quota, users)
{
	struct other ours = { self->pool, false }, theirs = { self->pool, true };
	struct child c;
	uint64_t got;
	int fd = uv_open();
	char *mem = map_small(LEN);
	uint32_t range;

	ASSERT_EQ(20, uv_to_vram(self->fd, self->mem, 20 * PAGE));
	ASSERT_EQ(0, uv_register(fd, mem, LEN, self->pool, &range));
	fill_pages(mem, LEN, 2);
	EXPECT_EQ(QUOTA - 20, move_all(fd, mem, LEN, 0, NULL));
	c = child_start(tries_to_fill, &ours);
	ASSERT_TRUE(child_hear(c.fd, &got));
	EXPECT_EQ(0, got);
	/* What our other context gives up, the child may have. */
	ASSERT_EQ(0, uv_unregister(fd, range));
	EXPECT_TRUE(uv_wait_slots(20));
	EXPECT_EQ(QUOTA - 20, child_step(&c, 1));
	EXPECT_EQ(20, move_all(self->fd, self->mem, LEN, 0, NULL));
	close(fd);

	ASSERT_EQ(0, chmod(UFFDVRAM_DEVICE, 0666));
	fd = child_start(tries_to_fill, &theirs).fd;
	EXPECT_TRUE(child_hear(fd, &got));
	EXPECT_EQ(QUOTA, got);
	ASSERT_EQ(0, chmod(UFFDVRAM_DEVICE, 0600));
	EXPECT_EQ(2 * QUOTA, uv_slots_in_use());
	/* A process that is killed pays no more. */
	child_kill(&c);
	EXPECT_TRUE(uv_wait_slots(QUOTA + 20));
	EXPECT_EQ(QUOTA, move_all(self->fd, self->mem, LEN, 0, NULL));
	close(fd);
	munmap(mem, LEN);
	EXPECT_TRUE(uv_wait_slots(QUOTA));
}

/* Pages whose range is gone are paid for until they are home. */
TEST_F(quota, orphans)
{
	char *mem = map_small(LEN);
	uint32_t range;

	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, self->pool, &range));
	fill_pages(mem, LEN, 2);
	ASSERT_EQ(QUOTA, uv_to_vram(self->fd, mem, QUOTA * PAGE));
	uv_knob_set("delay_us", "%d", 2000000);	/* for the worker */
	ASSERT_EQ(0, uv_unregister(self->fd, range));
	/* It may have brought some home. */
	ASSERT_GE(QUOTA / 2, uv_to_vram(self->fd, self->mem, LEN));
	knobs_calm();
	ASSERT_EQ(0, uv_to_ram(self->fd, self->mem, LEN) - PAGES);
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_EQ(QUOTA, move_all(self->fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(-1, check_pages(mem, LEN, 2));
	munmap(mem, LEN);
}

/* A smaller quota takes nothing away, but gives nothing more either. */
TEST_F(quota, lowered)
{
	struct uffdvram_migrate m;

	ASSERT_EQ(QUOTA, uv_to_vram(self->fd, self->mem, QUOTA * PAGE));
	ASSERT_EQ(0, file_write(SWITCH, "8"));
	EXPECT_EQ(QUOTA, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(QUOTA, m.already);
	EXPECT_EQ(PAGES - QUOTA, m.stayed[UFFDVRAM_STAY_QUOTA]);
	ASSERT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_EQ(8, move_all(self->fd, self->mem, LEN, 0, NULL));
	ASSERT_EQ(0, file_write(SWITCH, "0"));
	EXPECT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
}

/* Pages that fail to move are not charged; a lost one is, until it goes. */
TEST_F(quota, failures)
{
	struct uffdvram_migrate m;
	int i;

	uv_knob_set("fail_to_vram_every", "%d", 3);
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, uv_migrate(self->fd, self->mem, LEN, 0, &m));
		EXPECT_LT(0, m.stayed[UFFDVRAM_STAY_COPY_FAILED]);
		ASSERT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	}
	knobs_calm();
	ASSERT_EQ(QUOTA, move_all(self->fd, self->mem, LEN, 0, NULL));
	uv_knob_set("fail_to_ram", "%d", 1);
	EXPECT_EQ(SIGBUS, read_byte(self->mem).signo);
	EXPECT_EQ(QUOTA, uv_slots_in_use());
	EXPECT_EQ(QUOTA - 1, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, uv_to_vram(self->fd, self->mem + QUOTA * PAGE, PAGE));
	ASSERT_EQ(0, madvise(self->mem, PAGE, MADV_DONTNEED));
	EXPECT_EQ(1, uv_to_vram(self->fd, self->mem + QUOTA * PAGE, PAGE));
}

/* The pool's own count: at no moment more than the quota. */
static long pool_used(uint32_t pool)
{
	char text[8192], key[64], *line;

	snprintf(key, sizeof(key), "pool %u ", pool);
	if (file_read("/sys/kernel/debug/uffdvram/pools", text, sizeof(text)) <= 0)
		return -1;
	line = strstr(text, key);
	line = line ? strstr(line, " used ") : NULL;
	return line ? strtol(line + 6, NULL, 10) : -1;
}

struct grabber {
	int fd;
	char *mem;
	uint64_t end, moved, refused;
	long bad;
};

static void *grab(void *arg)
{
	struct grabber *g = arg;
	struct uffdvram_migrate m;

	/* Nobody promises that it is fair: the others end, and then there is room. */
	while (now_ms() < g->end || !g->refused || !g->moved) {
		g->bad += uv_migrate(g->fd, g->mem, LEN, 0, &m) != 0;
		g->moved += m.moved;
		g->refused += m.stayed[UFFDVRAM_STAY_QUOTA];
		g->bad += uv_migrate(g->fd, g->mem, LEN, UFFDVRAM_MIGRATE_TO_RAM, NULL) != 0;
	}
	return NULL;
}

TEST_F(quota, races)
{
	uint64_t end = now_ms() + 3000;
	struct grabber g[4];
	pthread_t thread[4];
	long used, most = 0;
	int i;

	for (i = 0; i < 4; i++) {
		g[i] = (struct grabber){ .fd = uv_open(), .mem = map_small(LEN), .end = end };
		fill_pages(g[i].mem, LEN, 4 + i);
		ASSERT_EQ(0, uv_register(g[i].fd, g[i].mem, LEN, self->pool, NULL));
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, grab, &g[i]));
	}
	/* They may begin late: until one was met with something. */
	while (now_ms() < end || (!most && now_ms() < end + 60000)) {
		used = pool_used(self->pool);
		ASSERT_LE(0, used);
		most = used > most ? used : most;
	}
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, g[i].bad);
		EXPECT_LT(0, g[i].moved);
		EXPECT_LT(0, g[i].refused);
		EXPECT_EQ(-1, check_pages(g[i].mem, LEN, 4 + i));
		munmap(g[i].mem, LEN);
		close(g[i].fd);
	}
	EXPECT_LT(0, most);
	EXPECT_GE(QUOTA, most);
}

TEST_HARNESS_MAIN
