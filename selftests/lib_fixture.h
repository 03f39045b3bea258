/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of the tests of arming: a context of the library with a pool, and a
 * range of known data.
 */
#ifndef UFFDVRAM_SELFTESTS_LIB_FIXTURE_H
#define UFFDVRAM_SELFTESTS_LIB_FIXTURE_H

#include <string.h>
#include <uffdvram/uffdvram.h>

#define PAGES	64
#define LEN	(PAGES * PAGE)
#define SEED	11

/* The last message of the context. */
static char said[256];

static void take_msg(void *data, int priority, const char *msg)
{
	(void)data, (void)priority;
	snprintf(said, sizeof(said), "%s", msg);
}

FIXTURE(armed)
{
	struct uffdvram_ctx *ctx;
	struct uffdvram_pool *pool;
	struct uffdvram_range *range;
	int fd;			/* of the context */
	char *mem;
	char *data;		/* as mem is filled */
};

FIXTURE_SETUP(armed)
{
	const struct uffdvram_open_opts oopts = { .size = sizeof(oopts), .log = take_msg };
	struct uffdvram_range_opts ropts = { .size = sizeof(ropts) };
	uint32_t number;

	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->mem = map_small(LEN);
	self->data = map_small(LEN);
	fill_pages(self->mem, LEN, SEED);
	fill_pages_as(self->data, LEN, self->mem, SEED);
	ASSERT_EQ(0, uffdvram_open(&self->ctx, &oopts));
	self->fd = uffdvram_fd(self->ctx);
	/* Of the backend that the tests run over. */
	ASSERT_EQ(0, uv_attach(self->fd, MIB(4), 0, &number));
	ASSERT_EQ(0, uffdvram_pool_wrap(&ropts.pool, self->ctx, number));
	self->pool = ropts.pool;
	ASSERT_EQ(0, uffdvram_range_register(&self->range, self->ctx, ADDR(self->mem),
					     LEN, &ropts));
}

FIXTURE_TEARDOWN(armed)
{
	knobs_calm();
	uffdvram_close(self->ctx);
	munmap(self->mem, LEN);
	munmap(self->data, LEN);
	EXPECT_TRUE(uv_wait_slots(0));
}

static inline int arm(struct uffdvram_range *range, uint32_t flags)
{
	const struct uffdvram_arm_opts opts = {
		.size = sizeof(opts), .flags = flags,
		.hole_len = flags & UFFDVRAM_ARM_PUNCH ? uffdvram_range_len(range) : 0,
	};

	return uffdvram_range_arm(range, &opts);
}

/* A thread that touches a byte, and waits for the page as long as it takes. */
struct toucher {
	pthread_t thread;
	volatile char *at;
	bool write;
	char value;		/* that was read */
	_Atomic bool done;
};

static void *touch(void *arg)
{
	struct toucher *t = arg;

	if (t->write)
		*t->at = 'w';
	else
		t->value = *t->at;
	t->done = true;
	return NULL;
}

static inline void touch_start(struct toucher *t, void *at, bool write)
{
	*t = (struct toucher){ .at = at, .write = write };
	if (pthread_create(&t->thread, NULL, touch, t))
		give_up("pthread_create");
}

static bool touch_is_done(void *arg)
{
	return ((struct toucher *)arg)->done;
}

/* false: it still waits after a minute */
static inline bool touch_ends(struct toucher *t)
{
	if (!wait_until(touch_is_done, t, 60000))
		return false;
	pthread_join(t->thread, NULL);
	return true;
}

#endif /* UFFDVRAM_SELFTESTS_LIB_FIXTURE_H */
