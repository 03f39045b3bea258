// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/*
 * A pool's device has trouble, as its backend tells: pages are to come home, are
 * lost, or the device goes. debugfs knobs/trouble says so.
 */
#include "kselftest_harness.h"

#include "util_mm.h"

#include <errno.h>

#define PAGES		64
#define LEN		(PAGES * PAGE)
#define POOLS		"/sys/kernel/debug/uffdvram/pools"

FIXTURE(trouble)
{
	int fd;
	uint32_t pool;
	uint64_t slots;
	uint64_t lost;
	char *mem;
};

FIXTURE_SETUP(trouble)
{
	knobs_calm();
	self->slots = uv_slots_in_use();
	self->lost = uv_stat("slots_lost");
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(4), 0, &self->pool));
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
}

FIXTURE_TEARDOWN(trouble)
{
	knobs_calm();
	close(self->fd);
	munmap(self->mem, LEN);
	EXPECT_TRUE(uv_wait_slots(self->slots));
}

static void trouble(FIXTURE_DATA(trouble) *self, const char *what)
{
	uv_knob_set("trouble", "%u %s", self->pool, what);
}

/* Is there no pool of this number? A closed one is still listed. */
static bool pool_ended(void *arg)
{
	static char text[65536];
	char line[32];

	snprintf(line, sizeof(line), "pool %u backend", *(uint32_t *)arg);
	return file_read(POOLS, text, sizeof(text)) >= 0 && !strstr(text, line);
}

struct lost_wait { uint64_t at_least; };

static bool lost_enough(void *arg)
{
	return uv_stat("slots_lost") >= ((struct lost_wait *)arg)->at_least;
}

static void expect_closed(struct __test_metadata *_metadata,
			  FIXTURE_DATA(trouble) *self)
{
	EXPECT_EQ(-ENODEV, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
}

static void expect_poison(struct __test_metadata *_metadata, const char *mem)
{
	for (size_t i = 0; i < PAGES; i++) {
		struct sigbus s = read_byte(mem + i * PAGE);

		EXPECT_EQ(SIGBUS, s.signo);
		EXPECT_EQ(BUS_MCEERR_AR, s.code);
		EXPECT_EQ(mem + i * PAGE, s.addr);
	}
}

/* The pages come home by themselves, and none goes there any more. */
TEST_F(trouble, evacuate)
{
	trouble(self, "evacuate");
	EXPECT_TRUE(uv_wait_slots(self->slots));
	expect_closed(_metadata, self);
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_FALSE(pool_ended(&self->pool));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_TRUE(pool_ended(&self->pool));
}

/* Nothing can be read: poison, at once and for ever, and never a wrong byte. */
TEST_F(trouble, lost)
{
	struct lost_wait w = { self->lost + PAGES };

	trouble(self, "lost");
	expect_poison(_metadata, self->mem);
	EXPECT_TRUE(wait_until(lost_enough, &w, 20000));
	expect_closed(_metadata, self);
	EXPECT_FALSE(pool_ended(&self->pool));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	expect_poison(_metadata, self->mem);
}

/* Nobody touches the pages: the worker finds that they are lost. */
TEST_F(trouble, lost_by_the_worker)
{
	struct lost_wait w = { self->lost + PAGES };

	trouble(self, "lost");
	EXPECT_TRUE(wait_until(lost_enough, &w, 20000));
	EXPECT_EQ(self->lost + PAGES, uv_stat("slots_lost"));
	expect_poison(_metadata, self->mem);
}

/* The device goes: its pages come home, the pool ends. */
TEST_F(trouble, gone)
{
	trouble(self, "gone");
	EXPECT_TRUE(wait_until(pool_ended, &self->pool, 20000));
	EXPECT_TRUE(uv_wait_slots(self->slots));
	EXPECT_EQ(-ENODEV, uv_detach(self->fd, self->pool, 0, NULL));
	expect_closed(_metadata, self);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/*
 * It is gone already. The pool does not wait until the lost pages are unmapped,
 * and they are poison to the end.
 */
TEST_F(trouble, lost_and_gone)
{
	struct lost_wait w = { self->lost + PAGES };

	trouble(self, "lost");
	trouble(self, "gone");
	EXPECT_TRUE(wait_until(pool_ended, &self->pool, 20000));
	EXPECT_TRUE(wait_until(lost_enough, &w, 20000));
	expect_poison(_metadata, self->mem);
	EXPECT_EQ(self->slots + PAGES, uv_slots_in_use());
	munmap(self->mem, LEN);
	EXPECT_TRUE(uv_wait_slots(self->slots));
	self->mem = map_small(LEN);
}

/* One who writes to pages and moves them all the time, until the pool is gone. */
struct mover {
	int fd;
	char *mem;
	size_t wrong;
};

static void *move_until_gone(void *arg)
{
	struct mover *m = arg;
	uint64_t seed = 1;

	do {
		m->wrong += check_pages(m->mem, LEN, seed) != -1;
		fill_pages(m->mem, LEN, ++seed);
	} while (uv_migrate(m->fd, m->mem, LEN, 0, NULL) != -ENODEV);
	m->wrong += check_pages(m->mem, LEN, seed) != -1;
	return NULL;
}

TEST_F(trouble, gone_under_load)
{
	struct mover m[2] = { { .fd = self->fd, .mem = self->mem }, { .fd = self->fd } };
	pthread_t thread[2];

	m[1].mem = map_small(LEN);
	fill_pages(m[1].mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, m[1].mem, LEN, self->pool, NULL));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, move_until_gone, &m[i]));
	sleep_ms(20);
	trouble(self, "gone");
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
		EXPECT_EQ(0, m[i].wrong);
	}
	EXPECT_TRUE(wait_until(pool_ended, &self->pool, 20000));
	EXPECT_TRUE(uv_wait_slots(self->slots));
	munmap(m[1].mem, LEN);
}

TEST_HARNESS_MAIN
