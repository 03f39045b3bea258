// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/*
 * A pool's device has trouble, as its backend tells: pages are to come home, are
 * lost, or the device goes. debugfs knobs/trouble says so.
 */
#include "kselftest_harness.h"

#include "trouble_fixture.h"

#include <poll.h>
#include <unistd.h>

#define PAGES		64
#define LEN		(PAGES * PAGE)

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

static bool lost_enough(void *at_least)
{
	return uv_stat("slots_lost") >= *(uint64_t *)at_least;
}

static void expect_closed(struct __test_metadata *_metadata,
			  FIXTURE_DATA(trouble) *self)
{
	EXPECT_EQ(-ENODEV, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
}

static bool has_news(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

/* The next event of a context, waiting for it: a pool's trouble. */
static void expect_told(struct __test_metadata *_metadata, int fd, uint32_t pool,
			uint32_t cause)
{
	struct uffdvram_event e;

	ASSERT_TRUE(has_news(fd, 60000));
	ASSERT_EQ(sizeof(e), read(fd, &e, sizeof(e)));
	EXPECT_EQ(UFFDVRAM_EVENT_POOL_TROUBLE, e.type);
	EXPECT_EQ(cause, e.cause);
	EXPECT_EQ(pool, e.range);
	EXPECT_EQ(0, e.addr);
	EXPECT_EQ(0, e.len);
}

/* The pages come home by themselves, and none goes there any more. */
TEST_F(trouble, evacuate)
{
	trouble(self, "evacuate");
	expect_told(_metadata, self->fd, self->pool, UFFDVRAM_TROUBLE_EVACUATE);
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
	uint64_t lost = self->lost + PAGES;

	trouble(self, "lost");
	expect_poison(_metadata, self->mem, LEN);
	expect_told(_metadata, self->fd, self->pool, UFFDVRAM_TROUBLE_LOST);
	EXPECT_TRUE(wait_until(lost_enough, &lost, 60000));
	expect_closed(_metadata, self);
	EXPECT_FALSE(pool_ended(&self->pool));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	expect_poison(_metadata, self->mem, LEN);
}

/* Nobody touches the pages: the worker finds that they are lost. */
TEST_F(trouble, lost_by_the_worker)
{
	uint64_t lost = self->lost + PAGES;

	trouble(self, "lost");
	EXPECT_TRUE(wait_until(lost_enough, &lost, 60000));
	EXPECT_EQ(self->lost + PAGES, uv_stat("slots_lost"));
	expect_poison(_metadata, self->mem, LEN);
}

/* The device goes: its pages come home, the pool ends. */
TEST_F(trouble, gone)
{
	trouble(self, "gone");
	EXPECT_TRUE(wait_until(pool_ended, &self->pool, 60000));
	expect_told(_metadata, self->fd, self->pool, UFFDVRAM_TROUBLE_GONE);
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
	uint64_t lost = self->lost + PAGES;

	trouble(self, "lost");
	trouble(self, "gone");
	EXPECT_TRUE(wait_until(pool_ended, &self->pool, 60000));
	expect_told(_metadata, self->fd, self->pool, UFFDVRAM_TROUBLE_LOST);
	expect_told(_metadata, self->fd, self->pool, UFFDVRAM_TROUBLE_GONE);
	EXPECT_TRUE(wait_until(lost_enough, &lost, 60000));
	expect_poison(_metadata, self->mem, LEN);
	EXPECT_EQ(self->slots + PAGES, uv_slots_in_use());
	munmap(self->mem, LEN);
	EXPECT_TRUE(uv_wait_slots(self->slots));
	self->mem = map_small(LEN);
}

/*
 * Each context with ranges in the pool is told, once of each cause, however many it
 * has there; others are not.
 */
TEST_F(trouble, who_is_told)
{
	int other = uv_open(), idle = uv_open();
	char *mem = map_small(4 * PAGE);
	uint32_t shared;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(4), UFFDVRAM_POOL_SHARED, &shared));
	ASSERT_EQ(0, uv_register(self->fd, mem, PAGE, shared, NULL));
	ASSERT_EQ(0, uv_register(self->fd, mem + PAGE, PAGE, shared, NULL));
	ASSERT_EQ(0, uv_register(other, mem + 2 * PAGE, PAGE, shared, NULL));
	ASSERT_EQ(0, uv_register(idle, mem + 3 * PAGE, PAGE, 0, NULL));
	uv_knob_set("trouble", "%u evacuate", shared);
	expect_told(_metadata, self->fd, shared, UFFDVRAM_TROUBLE_EVACUATE);
	expect_told(_metadata, other, shared, UFFDVRAM_TROUBLE_EVACUATE);
	uv_knob_set("trouble", "%u evacuate", shared);
	uv_knob_set("trouble", "%u lost", shared);
	expect_told(_metadata, self->fd, shared, UFFDVRAM_TROUBLE_LOST);
	expect_told(_metadata, other, shared, UFFDVRAM_TROUBLE_LOST);
	EXPECT_FALSE(has_news(self->fd, 0));
	EXPECT_FALSE(has_news(other, 0));
	EXPECT_FALSE(has_news(idle, 0));
	close(other);
	close(idle);
	EXPECT_EQ(0, uv_detach(self->fd, shared, 0, NULL));
	munmap(mem, 4 * PAGE);
}

/* What is private while its pool has trouble. */
#define SECRET		8
#define SECRETS		16

static void expect_all_private(struct __test_metadata *_metadata, FIXTURE_DATA(trouble) *self)
{
	ASSERT_EQ(0, uv_convert(self->fd, UFFDVRAM_CONVERT_PRIVATE, self->mem + SECRET * PAGE,
				SECRETS * PAGE, 0, NULL));
	EXPECT_EQ(BUS_ADRERR, read_byte(self->mem + SECRET * PAGE).code);
}

/* Poison from the first moment on, for whoever asks, and to the end; nothing of it is left. */
static void expect_none_private(struct __test_metadata *_metadata, FIXTURE_DATA(trouble) *self)
{
	char *mem = self->mem + SECRET * PAGE;
	struct uffdvram_convert c;
	struct uffdvram_query q;

	expect_poison(_metadata, mem, SECRETS * PAGE);
	EXPECT_EQ(-EHWPOISON, uv_convert(self->fd, 0, mem, SECRETS * PAGE, 0, &c));
	EXPECT_EQ(ADDR(mem), c.bad_addr);
	EXPECT_TRUE(uv_wait_slots(self->slots));
	ASSERT_EQ(0, uv_query(self->fd, mem, SECRETS * PAGE, &q));
	EXPECT_EQ(SECRETS, q.count[UFFDVRAM_STATE_POISON]);
	expect_poison(_metadata, mem, SECRETS * PAGE);
	EXPECT_EQ(-EHWPOISON, uv_convert(self->fd, 0, mem, SECRETS * PAGE, 0, NULL));
}

static void expect_others_home(struct __test_metadata *_metadata, FIXTURE_DATA(trouble) *self)
{
	const size_t after = SECRET + SECRETS;

	EXPECT_EQ(-1, check_pages(self->mem, SECRET * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + after * PAGE, (PAGES - after) * PAGE, 1));
	EXPECT_EQ(self->lost, uv_stat("slots_lost"));
}

TEST_F(trouble, private_pages_evacuated)
{
	expect_all_private(_metadata, self);
	trouble(self, "evacuate");
	expect_none_private(_metadata, self);
	expect_told(_metadata, self->fd, self->pool, UFFDVRAM_TROUBLE_EVACUATE);
	expect_others_home(_metadata, self);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	expect_none_private(_metadata, self);
}

TEST_F(trouble, private_pages_gone)
{
	expect_all_private(_metadata, self);
	trouble(self, "gone");
	expect_none_private(_metadata, self);
	EXPECT_TRUE(wait_until(pool_ended, &self->pool, 60000));
	expect_others_home(_metadata, self);
	expect_none_private(_metadata, self);
}

/* Neither are there any zeroes for them: all is poison, private or not. */
TEST_F(trouble, private_pages_lost)
{
	uint64_t lost = self->lost + PAGES - SECRETS;

	expect_all_private(_metadata, self);
	trouble(self, "lost");
	expect_poison(_metadata, self->mem, LEN);
	EXPECT_TRUE(wait_until(lost_enough, &lost, 60000));
	EXPECT_EQ(-EHWPOISON, uv_convert(self->fd, 0, self->mem, LEN, 0, NULL));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	expect_poison(_metadata, self->mem, LEN);
}

/* A page that cannot be read is refused as any private one, and poison once it is shared. */
TEST_F(trouble, private_pages_unreadable)
{
	char *mem = self->mem + SECRET * PAGE;

	expect_all_private(_metadata, self);
	uv_knob_set("fail_to_ram", "%d", 1);
	EXPECT_EQ(BUS_ADRERR, read_byte(mem).code);
	EXPECT_EQ(BUS_ADRERR, read_byte(mem + PAGE).code);
	ASSERT_EQ(0, uv_convert(self->fd, 0, mem, SECRETS * PAGE, 0, NULL));
	expect_poison(_metadata, mem, PAGE);
	EXPECT_EQ(self->lost + 1, uv_stat("slots_lost"));
	EXPECT_EQ(-1, check_pages(mem + PAGE, (SECRETS - 1) * PAGE, 1));
	EXPECT_EQ(-EHWPOISON, uv_convert(self->fd, UFFDVRAM_CONVERT_PRIVATE, mem, PAGE, 0, NULL));
	expect_poison(_metadata, mem, PAGE);
}

TEST_F(trouble, gone_under_load)
{
	struct mover m[2] = {
		{ .fd = self->fd, .mem = self->mem, .len = LEN },
		{ .fd = self->fd, .mem = map_small(LEN), .len = LEN },
	};

	fill_pages(m[1].mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, m[1].mem, LEN, self->pool, NULL));
	movers_begin(_metadata, m, 2);
	sleep_ms(20);
	trouble(self, "gone");
	movers_end(_metadata, m, 2);
	EXPECT_TRUE(wait_until(pool_ended, &self->pool, 60000));
	EXPECT_TRUE(uv_wait_slots(self->slots));
	munmap(m[1].mem, LEN);
}

TEST_HARNESS_MAIN
