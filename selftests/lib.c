// SPDX-License-Identifier: GPL-2.0-only
/*
 * libuffdvram with the module: each function does what its manual says.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <uffdvram/uffdvram.h>
#include "kselftest_harness.h"
#include "util_mm.h"

#define LEN	MIB(4)
#define PAGES	(LEN / PAGE)
#define SEED	7

FIXTURE(lib)
{
	struct uffdvram_ctx *ctx;
	struct uffdvram_pool *pool;
	struct uffdvram_range *range;
	struct uffdvram_moved moved;
	struct uffdvram_residency res;
	char *mem;
};

FIXTURE_SETUP(lib)
{
	const struct uffdvram_pool_opts popts = {
		.size = sizeof(popts), .backend = UFFDVRAM_BACKEND_SIM, .bytes = 2 * LEN,
	};
	struct uffdvram_range_opts ropts = { .size = sizeof(ropts) };

	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->moved.size = sizeof(self->moved);
	self->res.size = sizeof(self->res);
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, SEED);
	ASSERT_EQ(0, uffdvram_open(&self->ctx, NULL));
	ASSERT_EQ(0, uffdvram_pool_attach(&self->pool, self->ctx, &popts));
	ropts.pool = self->pool;
	ASSERT_EQ(0, uffdvram_range_register(&self->range, self->ctx, ADDR(self->mem),
					     LEN, &ropts));
}

FIXTURE_TEARDOWN(lib)
{
	uffdvram_close(self->ctx);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
	EXPECT_TRUE(uv_wait_slots(0));
}

/* References of LRU batches pass: move until nothing stays. */
static int move_until_done(struct uffdvram_range *range, uint64_t off, uint64_t len,
			   uint32_t flags, struct uffdvram_moved *moved)
{
	int ret, tries = 1500;

	do {
		ret = uffdvram_range_move(range, off, len, flags, moved);
		if (ret || moved->moved + moved->already == len / PAGE)
			return ret;
		sleep_ms(20);
	} while (tries--);
	return -EBUSY;
}

TEST_F(lib, info)
{
	struct uffdvram_info info = { .size = sizeof(info) };

	ASSERT_EQ(0, uffdvram_get_info(self->ctx, &info));
	EXPECT_EQ(UFFDVRAM_ABI, info.abi);
	EXPECT_LE(1, info.n_pools);
	info.size = 4;
	EXPECT_EQ(-EINVAL, uffdvram_get_info(self->ctx, &info));
	EXPECT_EQ(FD_CLOEXEC, fcntl(uffdvram_fd(self->ctx), F_GETFD));
}

TEST_F(lib, there_and_back)
{
	ASSERT_EQ(0, move_until_done(self->range, 0, LEN, 0, &self->moved));
	EXPECT_EQ(LEN, self->moved.done);
	ASSERT_EQ(0, uffdvram_range_query(self->range, 0, LEN, &self->res, NULL));
	EXPECT_EQ(LEN, self->res.done);
	EXPECT_EQ(PAGES, self->res.count[UFFDVRAM_STATE_VRAM]);
	EXPECT_EQ(-1, check_pages(self->mem, PAGE, SEED));
	ASSERT_EQ(0, uffdvram_range_move(self->range, 0, LEN, UFFDVRAM_MOVE_TO_RAM,
					 &self->moved));
	EXPECT_EQ(PAGES - 1, self->moved.moved);
	EXPECT_EQ(1, self->moved.already);
	ASSERT_EQ(0, uffdvram_query(self->ctx, ADDR(self->mem), LEN, &self->res, NULL));
	EXPECT_EQ(PAGES, self->res.count[UFFDVRAM_STATE_PRESENT]);
	EXPECT_EQ(0, self->res.count[UFFDVRAM_STATE_VRAM]);
}

struct seen {
	uint64_t next;
	unsigned int n;
	unsigned int wrong;
};

static int see_odd_pages_in_vram(const struct uffdvram_region *r, void *data)
{
	struct seen *seen = data;
	uint32_t want = seen->n & 1 ? UFFDVRAM_STATE_VRAM : UFFDVRAM_STATE_PRESENT;

	if (r->start != seen->next || r->end != r->start + PAGE || r->state != want)
		seen->wrong++;
	seen->next = r->end;
	seen->n++;
	return 0;
}

TEST_F(lib, regions_page_by_page)
{
	struct seen seen = { .next = ADDR(self->mem) };
	const struct uffdvram_visit visit = { see_odd_pages_in_vram, &seen };
	size_t i;

	for (i = 1; i < PAGES; i += 2)
		ASSERT_EQ(0, move_until_done(self->range, i * PAGE, PAGE, 0, &self->moved));
	ASSERT_EQ(0, uffdvram_range_query(self->range, 0, LEN, &self->res, &visit));
	EXPECT_EQ(PAGES, seen.n);
	EXPECT_EQ(0, seen.wrong);
	EXPECT_EQ(PAGES / 2, self->res.count[UFFDVRAM_STATE_VRAM]);
}

TEST_F(lib, errors_of_the_module_come_through)
{
	struct uffdvram_range_opts ropts = { .size = sizeof(ropts) };
	struct uffdvram_range *range = NULL;
	void *other = map_small(LEN);

	EXPECT_EQ(-EBUSY, uffdvram_range_register(&range, self->ctx, ADDR(self->mem),
						  PAGE, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_range_register(&range, self->ctx, ADDR(other) + 1,
						   PAGE, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_range_register(&range, self->ctx, ADDR(other), 0, NULL));
	EXPECT_EQ(-ENOENT, uffdvram_range_register(&range, self->ctx, ADDR(other),
						   2 * LEN, NULL));
	ASSERT_EQ(0, uffdvram_pool_wrap(&ropts.pool, self->ctx, 0x7fffffff));
	EXPECT_EQ(-ENODEV, uffdvram_range_register(&range, self->ctx, ADDR(other), LEN,
						   &ropts));
	EXPECT_EQ(-ENODEV, uffdvram_pool_detach(ropts.pool, 0, NULL));
	EXPECT_EQ(-ENOENT, uffdvram_move(self->ctx, ADDR(other), PAGE, 0, NULL));
	EXPECT_EQ(NULL, range);
	ASSERT_EQ(0, uffdvram_range_register(&range, self->ctx, ADDR(other), LEN, NULL));
	EXPECT_EQ(-ENODEV, uffdvram_range_move(range, 0, LEN, 0, &self->moved));
	EXPECT_EQ(0, self->moved.done);
	EXPECT_EQ(0, uffdvram_range_unregister(range));
	EXPECT_EQ(-ENOENT, uffdvram_move(self->ctx, ADDR(other), PAGE, 0, NULL));
	munmap(other, LEN);
}

TEST_F(lib, a_shared_pool_has_one_number_for_all)
{
	const struct uffdvram_pool_opts popts = {
		.size = sizeof(popts), .backend = UFFDVRAM_BACKEND_SIM,
		.flags = UFFDVRAM_POOL_SHARED, .bytes = LEN,
	};
	struct uffdvram_range_opts ropts = { .size = sizeof(ropts) };
	struct uffdvram_pool *pool;
	struct uffdvram_range *range;
	struct uffdvram_ctx *ctx;
	void *mem = map_small(LEN);
	uint64_t left = 1;
	uint32_t number;

	fill_pages(mem, LEN, SEED);
	ASSERT_EQ(0, uffdvram_open(&ctx, NULL));
	ASSERT_EQ(0, uffdvram_pool_attach(&pool, ctx, &popts));
	number = uffdvram_pool_number(pool);
	uffdvram_close(ctx);

	ASSERT_EQ(0, uffdvram_open(&ctx, NULL));
	ASSERT_EQ(0, uffdvram_pool_wrap(&pool, ctx, number));
	ropts.pool = pool;
	ASSERT_EQ(0, uffdvram_range_register(&range, ctx, ADDR(mem), LEN, &ropts));
	ASSERT_EQ(0, move_until_done(range, 0, LEN, 0, &self->moved));
	ASSERT_EQ(0, uffdvram_pool_detach(pool, 0, &left));
	EXPECT_EQ(0, left);
	EXPECT_EQ(0, uv_slots_in_use());
	EXPECT_EQ(-ENODEV, uffdvram_range_move(range, 0, LEN, 0, NULL));
	EXPECT_EQ(-1, check_pages(mem, LEN, SEED));
	uffdvram_close(ctx);
	munmap(mem, LEN);
}

/* Says its memory's address, waits, and says whether the bytes are right. */
static int child_with_memory(int fd, void *arg)
{
	char *mem = map_small(LEN);
	uint64_t word;

	(void)arg;
	fill_pages(mem, LEN, SEED + 1);
	child_tell(fd, ADDR(mem));
	while (child_hear(fd, &word))
		child_tell(fd, check_pages(mem, LEN, SEED + 1) == -1);
	return 0;
}

TEST_F(lib, another_process)
{
	struct uffdvram_range_opts ropts = { .size = sizeof(ropts) };
	const struct uffdvram_pool_opts popts = {
		.size = sizeof(popts), .backend = UFFDVRAM_BACKEND_SIM, .bytes = LEN,
	};
	struct child child = child_start(child_with_memory, NULL);
	struct uffdvram_range *range;
	struct uffdvram_ctx *ctx;
	uint64_t addr;

	ASSERT_TRUE(child_hear(child.fd, &addr));
	ASSERT_EQ(0, uffdvram_open_pid(&ctx, child.pid, NULL));
	EXPECT_EQ(FD_CLOEXEC, fcntl(uffdvram_fd(ctx), F_GETFD));
	ASSERT_EQ(0, uffdvram_pool_attach(&ropts.pool, ctx, &popts));
	ASSERT_EQ(0, uffdvram_range_register(&range, ctx, addr, LEN, &ropts));
	ASSERT_EQ(0, move_until_done(range, 0, LEN, 0, &self->moved));
	EXPECT_EQ(1, child_step(&child, 1));
	ASSERT_EQ(0, uffdvram_range_query(range, 0, LEN, &self->res, NULL));
	EXPECT_EQ(PAGES, self->res.count[UFFDVRAM_STATE_PRESENT]);
	child_kill(&child);
	EXPECT_EQ(-ESRCH, uffdvram_range_move(range, 0, LEN, 0, NULL));
	EXPECT_EQ(-ESRCH, uffdvram_range_query(range, 0, LEN, NULL, NULL));
	uffdvram_close(ctx);
	EXPECT_EQ(-ESRCH, uffdvram_open_pid(&ctx, child.pid, NULL));
	EXPECT_EQ(-ESRCH, uffdvram_open_pid(&ctx, 2, NULL));	/* a kernel thread */
	EXPECT_EQ(-EBADF, uffdvram_open_pidfd(&ctx, uffdvram_fd(self->ctx), NULL));
}

TEST_F(lib, a_context_from_a_descriptor)
{
	struct uffdvram_ctx *ctx;
	int fd = dup(uffdvram_fd(self->ctx)), null = open("/dev/null", O_RDWR);

	EXPECT_EQ(-ENOTTY, uffdvram_open_fd(&ctx, null, NULL));
	EXPECT_EQ(-EBADF, uffdvram_open_fd(&ctx, -1, NULL));
	EXPECT_EQ(0, close(null));
	ASSERT_EQ(0, uffdvram_open_fd(&ctx, fd, NULL));
	EXPECT_EQ(fd, uffdvram_fd(ctx));
	/* It is the same context: its ranges are known. */
	EXPECT_EQ(0, uffdvram_move(ctx, ADDR(self->mem), LEN, UFFDVRAM_MOVE_TO_RAM, NULL));
	uffdvram_close(ctx);
	EXPECT_EQ(-1, fcntl(fd, F_GETFD));
	/* The first one lives on. */
	EXPECT_EQ(0, uffdvram_range_query(self->range, 0, LEN, NULL, NULL));
}

TEST_HARNESS_MAIN
