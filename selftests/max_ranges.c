// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 150 */
/* How many ranges an address space may have: module parameter max_ranges. */
#include "kselftest_harness.h"

#include "util_mm.h"

#include <errno.h>
#include <unistd.h>

#define SWITCH		"/sys/module/uffdvram/parameters/max_ranges"
#define DEFAULT		65536
#define LEN		(4 * PAGE)

FIXTURE(max_ranges)
{
	int fd;			/* two contexts of this process */
	int other;
	char *mem;
};

FIXTURE_SETUP(max_ranges)
{
	self->fd = uv_open();
	self->other = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->other);
	self->mem = map_small(LEN);
}

FIXTURE_TEARDOWN(max_ranges)
{
	EXPECT_EQ(0, file_write(SWITCH, "65536"));
	close(self->fd);
	close(self->other);
}

/* Register and forget again. */
static int try_register(int fd, const void *addr)
{
	uint32_t range;
	int ret = uv_register(fd, addr, PAGE, 0, &range);

	return ret ? ret : uv_unregister(fd, range);
}

struct registrar {
	int fd;
	char *mem;
	uint32_t n, range;	/* how many; the number of the last */
	int ret;
};

static void *register_many(void *arg)
{
	struct registrar *r = arg;

	for (uint32_t i = 0; i < r->n && !r->ret; i++)
		r->ret = uv_register(r->fd, r->mem + 2 * i * PAGE, PAGE, 0, &r->range);
	return NULL;
}

static void *close_one(void *arg)
{
	struct registrar *r = arg;

	r->ret = close(r->fd);
	return NULL;
}

/* Two threads, one for each context. Every context's ranges count. */
TEST_F_TIMEOUT(max_ranges, as_many_as_info_says, 400)
{
	struct registrar r[2] = { { .fd = self->fd }, { .fd = self->other } };
	struct uffdvram_info info;
	char *big, *end;
	int i;

	ASSERT_EQ(0, uv_info(self->fd, &info));
	ASSERT_EQ(DEFAULT, info.max_ranges);
	/* Seconds on stock; minutes where each allocation is checked and recorded. */
	if (sanitizers()) {
		ASSERT_EQ(0, file_write(SWITCH, "512"));
		ASSERT_EQ(0, uv_info(self->fd, &info));
		ASSERT_EQ(512, info.max_ranges);
	}
	big = map_small((info.max_ranges + 2) * PAGE);
	end = big + info.max_ranges * PAGE;
	for (i = 0; i < 2; i++) {
		r[i].mem = big + i * PAGE;
		r[i].n = info.max_ranges / 2;
	}
	ASSERT_EQ(0, threads_run(2, register_many, r, sizeof(*r)));
	EXPECT_EQ(0, r[0].ret);
	EXPECT_EQ(0, r[1].ret);
	EXPECT_EQ(-ENOSPC, try_register(self->fd, end));
	EXPECT_EQ(-ENOSPC, try_register(self->other, end));
	/* A place that is given back is free. */
	EXPECT_EQ(0, uv_unregister(self->fd, r[0].range));
	EXPECT_EQ(0, uv_register(self->other, end, PAGE, 0, NULL));
	EXPECT_EQ(-ENOSPC, try_register(self->fd, end + PAGE));
	/* They end together, too. */
	ASSERT_EQ(0, threads_run(2, close_one, r, sizeof(*r)));
	self->fd = -1;
	self->other = -1;
}

/* Fewer than there are: those stay, and more come only when there is room. */
TEST_F(max_ranges, fewer_are_allowed)
{
	uint32_t range[3];
	int i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, uv_register(self->fd, self->mem + i * PAGE, PAGE, 0, &range[i]));
	ASSERT_EQ(0, file_write(SWITCH, "2"));
	EXPECT_EQ(-ENOSPC, try_register(self->fd, self->mem + 3 * PAGE));
	EXPECT_EQ(0, uv_unregister(self->fd, range[0]));
	EXPECT_EQ(-ENOSPC, try_register(self->fd, self->mem));
	EXPECT_EQ(0, uv_unregister(self->fd, range[1]));
	EXPECT_EQ(0, try_register(self->fd, self->mem));
	EXPECT_EQ(0, uv_unregister(self->fd, range[2]));
}

TEST_HARNESS_MAIN
