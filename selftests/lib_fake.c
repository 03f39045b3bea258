// SPDX-License-Identifier: GPL-2.0-only
/*
 * The library against a module that answers as no module does on demand: signals in
 * the middle, vectors that are full, another version. The library's ioctl() is the
 * one below; its device is /dev/null.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <syslog.h>
#include <unistd.h>

#include <uffdvram/uffdvram.h>
#include "kselftest_harness.h"
#include "util.h"

#define BASE	0x7f0000000000ULL
#define N_STEPS	4

/* What the module does next; a step is used up by each MIGRATE or QUERY. */
static struct {
	uint32_t abi;
	int err[N_STEPS];		/* errno of step i */
	uint64_t pages[N_STEPS];	/* it handles at most so many */
	unsigned int steps;		/* taken so far */
	unsigned int calls;		/* of any kind, but for INFO */
	int fail;			/* errno of all calls but INFO, MIGRATE, QUERY */
	struct uffdvram_migrate migrate;	/* as the last one was asked */
	int cause;			/* why the first page of each MIGRATE stays */
	uint32_t pool;			/* of the last RANGE_REGISTER */
	const char *states;		/* of the pages from BASE: o r v p */
} fake;

static uint64_t step_pages(uint64_t asked)
{
	unsigned int i = fake.steps;

	return i < N_STEPS && fake.pages[i] < asked ? fake.pages[i] : asked;
}

static int step_end(void)
{
	unsigned int i = fake.steps++;

	errno = i < N_STEPS ? fake.err[i] : 0;
	return errno ? -1 : 0;
}

static int fake_migrate(struct uffdvram_migrate *m)
{
	uint64_t pages = step_pages(m->len / PAGE);

	fake.migrate = *m;
	m->done = pages * PAGE;
	if (pages) {
		m->moved = pages - 1;
		m->stayed[fake.cause] = 1;
		m->first[fake.cause] = m->addr;
	}
	return step_end();
}

static int fake_query(struct uffdvram_query *q)
{
	static const char letters[] = "orvp";
	struct uffdvram_region *vec = (void *)(uintptr_t)q->vec;
	uint64_t i, addr, pages = step_pages(q->len / PAGE);
	uint32_t state;

	for (i = 0; i < pages; i++) {
		addr = q->addr + i * PAGE;
		state = strchr(letters, fake.states[(addr - BASE) / PAGE]) - letters;
		if (vec && q->used && vec[q->used - 1].state == state) {
			vec[q->used - 1].end += PAGE;
		} else if (vec) {
			if (q->used == q->vec_len)
				break;
			vec[q->used++] = (struct uffdvram_region){
				.start = addr, .end = addr + PAGE, .state = state,
			};
		}
		q->count[state]++;
	}
	q->done = i * PAGE;
	return step_end();
}

static int fake_other(unsigned long cmd, void *arg)
{
	errno = fake.fail;
	if (cmd == UFFDVRAM_POOL_DETACH)
		((struct uffdvram_pool_detach *)arg)->left = fake.fail ? 9 : 0;
	if (fake.fail)
		return -1;
	if (cmd == UFFDVRAM_POOL_ATTACH) {
		((struct uffdvram_pool_attach *)arg)->pool = 5;
	} else if (cmd == UFFDVRAM_RANGE_REGISTER) {
		fake.pool = ((struct uffdvram_range_register *)arg)->pool;
		((struct uffdvram_range_register *)arg)->range = 6;
	} else if (cmd == UFFDVRAM_OPEN_PID) {
		((struct uffdvram_open_pid *)arg)->fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	}
	return 0;
}

int ioctl(int fd, unsigned long cmd, ...)
{
	va_list ap;
	void *arg;

	(void)fd;
	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (cmd == UFFDVRAM_INFO) {
		((struct uffdvram_info *)arg)->abi = fake.abi;
		return 0;
	}
	fake.calls++;
	if (cmd == UFFDVRAM_MIGRATE)
		return fake_migrate(arg);
	if (cmd == UFFDVRAM_QUERY)
		return fake_query(arg);
	return fake_other(cmd, arg);
}

static char last_msg[256];
static int last_priority;

static void take_msg(void *data, int priority, const char *msg)
{
	(*(int *)data)++;
	last_priority = priority;
	snprintf(last_msg, sizeof(last_msg), "%s", msg);
}

/* The lowest free descriptor: unchanged by whatever closes what it opened. */
static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

FIXTURE(lib)
{
	struct uffdvram_open_opts opts;
	struct uffdvram_ctx *ctx;
	struct uffdvram_range *range;
	struct uffdvram_moved moved;
	struct uffdvram_residency res;
	int msgs;
};

FIXTURE_SETUP(lib)
{
	unsigned int i;

	fake.abi = UFFDVRAM_ABI;
	fake.cause = UFFDVRAM_STAY_SHARED;
	for (i = 0; i < N_STEPS; i++)
		fake.pages[i] = ~0ULL;
	self->opts = (struct uffdvram_open_opts){
		.size = sizeof(self->opts),
		.device = "/dev/null",
		.log = take_msg,
		.log_data = &self->msgs,
	};
	self->moved.size = sizeof(self->moved);
	self->res.size = sizeof(self->res);
	ASSERT_EQ(0, uffdvram_open(&self->ctx, &self->opts));
	ASSERT_EQ(0, uffdvram_range_register(&self->range, self->ctx, BASE, 16 * PAGE, NULL));
	fake.calls = 0;
}

FIXTURE_TEARDOWN(lib)
{
	uffdvram_close(self->ctx);
}

TEST_F(lib, another_version_is_refused)
{
	struct uffdvram_ctx *none = NULL;
	int fd = next_fd();

	fake.abi = UFFDVRAM_ABI + 1;
	EXPECT_EQ(-EPROTONOSUPPORT, uffdvram_open(&none, &self->opts));
	EXPECT_EQ(NULL, none);
	EXPECT_EQ(fd, next_fd());
	EXPECT_EQ(1, self->msgs);
	EXPECT_EQ(LOG_ERR, last_priority);
	EXPECT_NE(NULL, strstr(last_msg, "version 2"));
	fd = open("/dev/null", O_RDWR);
	EXPECT_EQ(-EPROTONOSUPPORT, uffdvram_open_fd(&none, fd, NULL));
	EXPECT_EQ(0, close(fd));
}

TEST_F(lib, option_sizes)
{
	struct {
		struct uffdvram_open_opts opts;
		char later;
	} longer = { .opts = self->opts };
	struct uffdvram_ctx *ctx;

	longer.opts.size = sizeof(longer);
	ASSERT_EQ(0, uffdvram_open(&ctx, &longer.opts));
	uffdvram_close(ctx);
	longer.later = 1;
	EXPECT_EQ(-E2BIG, uffdvram_open(&ctx, &longer.opts));
	self->opts.size--;
	EXPECT_EQ(-EINVAL, uffdvram_open(&ctx, &self->opts));
	self->moved.size--;
	EXPECT_EQ(-EINVAL, uffdvram_range_move(self->range, 0, PAGE, 0, &self->moved));
	self->res.size = 0;
	EXPECT_EQ(-EINVAL, uffdvram_range_query(self->range, 0, PAGE, &self->res, NULL));
	EXPECT_EQ(0, fake.calls);
}

TEST_F(lib, results_longer_than_known_keep_their_tail)
{
	struct {
		struct uffdvram_moved moved;
		uint64_t later;
		uint64_t beyond;
	} longer = { .beyond = 7 };

	longer.moved.size = offsetof(typeof(longer), beyond);
	ASSERT_EQ(0, uffdvram_range_move(self->range, 0, 2 * PAGE, 0, &longer.moved));
	EXPECT_EQ(offsetof(typeof(longer), beyond), longer.moved.size);
	EXPECT_EQ(1, longer.moved.moved);
	EXPECT_EQ(0, longer.later);
	EXPECT_EQ(7, longer.beyond);
}

TEST_F(lib, pidfd_context_replaces_the_own_one)
{
	int fd = next_fd();
	struct uffdvram_ctx *ctx = NULL;
	char target[32] = "", path[32];

	ASSERT_EQ(0, uffdvram_open_pidfd(&ctx, 0, &self->opts));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", uffdvram_fd(ctx));
	ASSERT_LT(0, readlink(path, target, sizeof(target) - 1));
	EXPECT_STREQ("/dev/zero", target);
	EXPECT_EQ(fd, next_fd());	/* the own one is closed, the other came second */
	uffdvram_close(ctx);
	fake.fail = EPERM;
	EXPECT_EQ(-EPERM, uffdvram_open_pidfd(&ctx, 0, &self->opts));
	EXPECT_EQ(fd, next_fd());
	EXPECT_EQ(LOG_DEBUG, last_priority);
	EXPECT_STREQ("OPEN_PID: Operation not permitted", last_msg);
	EXPECT_EQ(-ESRCH, uffdvram_open_pid(&ctx, 0x7fffffff, &self->opts));
}

TEST_F(lib, move_goes_on_after_signals)
{
	fake.err[0] = EINTR, fake.pages[0] = 3;
	fake.err[1] = EINTR, fake.pages[1] = 0;
	EXPECT_EQ(0, uffdvram_range_move(self->range, PAGE, 10 * PAGE,
					 UFFDVRAM_MOVE_TO_RAM, &self->moved));
	EXPECT_EQ(3, fake.steps);
	EXPECT_EQ(BASE + 4 * PAGE, fake.migrate.addr);
	EXPECT_EQ(7 * PAGE, fake.migrate.len);
	EXPECT_EQ(UFFDVRAM_MIGRATE_TO_RAM, fake.migrate.flags);
	EXPECT_EQ(10 * PAGE, self->moved.done);
	EXPECT_EQ(8, self->moved.moved);
	EXPECT_EQ(2, self->moved.stayed[UFFDVRAM_STAY_SHARED]);
	EXPECT_EQ(BASE + PAGE, self->moved.first[UFFDVRAM_STAY_SHARED]);
}

/* Once. What it says then counts, and no page counts twice. */
TEST_F(lib, move_looks_again_at_pinned_pages)
{
	fake.cause = UFFDVRAM_STAY_PINNED;
	fake.err[0] = EINTR, fake.pages[0] = 3;
	EXPECT_EQ(0, uffdvram_range_move(self->range, PAGE, 10 * PAGE, 0, &self->moved));
	EXPECT_EQ(3, fake.steps);
	EXPECT_EQ(BASE + PAGE, fake.migrate.addr);
	EXPECT_EQ(10 * PAGE, fake.migrate.len);
	EXPECT_EQ(10 * PAGE, self->moved.done);
	EXPECT_EQ(9, self->moved.moved);
	EXPECT_EQ(0, self->moved.already);
	EXPECT_EQ(1, self->moved.stayed[UFFDVRAM_STAY_PINNED]);
	EXPECT_EQ(BASE + PAGE, self->moved.first[UFFDVRAM_STAY_PINNED]);
}

/* And if it comes to an end too early, what was done before still counts. */
TEST_F(lib, move_may_not_look_again)
{
	fake.cause = UFFDVRAM_STAY_PINNED;
	fake.err[1] = EINTR, fake.pages[1] = 2;
	EXPECT_EQ(-EINTR, uffdvram_range_move(self->range, 0, 10 * PAGE, UFFDVRAM_MOVE_EINTR,
					      &self->moved));
	EXPECT_EQ(2, fake.steps);
	EXPECT_EQ(10 * PAGE, self->moved.done);
	EXPECT_EQ(9, self->moved.moved);
	EXPECT_EQ(1, self->moved.stayed[UFFDVRAM_STAY_PINNED]);
}

TEST_F(lib, move_stops_at_signals_on_request)
{
	fake.err[0] = EINTR, fake.pages[0] = 3;
	EXPECT_EQ(-EINTR, uffdvram_range_move(self->range, 0, 10 * PAGE,
					      UFFDVRAM_MOVE_EINTR, &self->moved));
	EXPECT_EQ(1, fake.steps);
	EXPECT_EQ(0, fake.migrate.flags);
	EXPECT_EQ(3 * PAGE, self->moved.done);
	EXPECT_EQ(2, self->moved.moved);
}

TEST_F(lib, move_reports_what_was_done_before_an_error)
{
	fake.err[0] = EINTR, fake.pages[0] = 3;
	fake.err[1] = ENOMEM, fake.pages[1] = 2;
	self->moved.already = 99;
	EXPECT_EQ(-ENOMEM, uffdvram_range_move(self->range, 0, 10 * PAGE, 0, &self->moved));
	EXPECT_EQ(2, fake.steps);
	EXPECT_EQ(5 * PAGE, self->moved.done);
	EXPECT_EQ(0, self->moved.already);
}

TEST_F(lib, success_without_progress_does_not_spin)
{
	fake.states = "rrrrrrrrrrrrrrrr";
	fake.pages[0] = 0;
	EXPECT_EQ(-EIO, uffdvram_range_move(self->range, 0, PAGE, 0, NULL));
	fake.pages[1] = 0;
	EXPECT_EQ(-EIO, uffdvram_range_query(self->range, 0, PAGE, NULL, NULL));
	EXPECT_EQ(2, fake.steps);
}

TEST_F(lib, only_what_is_in_the_range)
{
	static const struct {
		uint64_t off, len;
	} wrong[] = {
		{ 0, 17 * PAGE }, { 16 * PAGE, PAGE }, { 17 * PAGE, 0 },
		{ PAGE, -PAGE }, { -PAGE, PAGE }, { -PAGE, 2 * PAGE },
	};
	unsigned int i;

	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		EXPECT_EQ(-EINVAL, uffdvram_range_move(self->range, wrong[i].off,
						       wrong[i].len, 0, NULL));
		EXPECT_EQ(-EINVAL, uffdvram_range_query(self->range, wrong[i].off,
							wrong[i].len, NULL, NULL));
	}
	EXPECT_EQ(-EOPNOTSUPP, uffdvram_range_move(self->range, 0, PAGE, 1U << 31, NULL));
	EXPECT_EQ(0, fake.calls);
	EXPECT_EQ(0, uffdvram_range_move(self->range, 15 * PAGE, PAGE, 0, NULL));
}

static int take_region(const struct uffdvram_region *region, void *data)
{
	char **p = data;

	*p += sprintf(*p, "%c%llu ", "orvp"[region->state],
		      (region->end - region->start) / PAGE);
	return region->state == UFFDVRAM_STATE_POISON ? 42 : 0;
}

TEST_F(lib, query_joins_what_was_cut)
{
	char text[256] = "", *end = text;
	const struct uffdvram_visit visit = { take_region, &end };

	fake.states = "vvvvvrrrrrvvvvoo";
	fake.pages[0] = 3;
	fake.pages[1] = 2, fake.err[1] = EINTR;
	fake.pages[2] = 7;
	EXPECT_EQ(0, uffdvram_range_query(self->range, 0, 16 * PAGE, &self->res, &visit));
	EXPECT_STREQ("v5 r5 v4 o2 ", text);
	EXPECT_EQ(4, fake.steps);
	EXPECT_EQ(16 * PAGE, self->res.done);
	EXPECT_EQ(9, self->res.count[UFFDVRAM_STATE_VRAM]);
	EXPECT_EQ(5, self->res.count[UFFDVRAM_STATE_PRESENT]);
	EXPECT_EQ(2, self->res.count[UFFDVRAM_STATE_OTHER]);
	EXPECT_EQ(0, self->res.count[UFFDVRAM_STATE_POISON]);
}

TEST_F(lib, query_goes_over_full_vectors)
{
	enum { N = 3000 };
	char states[N + 1], text[3 * N + 1] = "", *end = text;
	const struct uffdvram_visit visit = { take_region, &end };
	unsigned int i;

	for (i = 0; i < N; i++)
		states[i] = i & 1 ? 'r' : 'v';
	fake.states = states;
	EXPECT_EQ(0, uffdvram_query(self->ctx, BASE, N * PAGE, &self->res, &visit));
	EXPECT_LT(2, fake.steps);
	EXPECT_EQ(3 * N, end - text);
	for (i = 0; i < N; i++)
		EXPECT_EQ(states[i], text[3 * i]);
	EXPECT_EQ(N / 2, self->res.count[UFFDVRAM_STATE_VRAM]);
}

TEST_F(lib, query_ends_when_the_visitor_says_so)
{
	char text[256] = "", *end = text;
	const struct uffdvram_visit visit = { take_region, &end };

	fake.states = "vvpprrvvvvvvvvvv";
	fake.pages[0] = 5;
	EXPECT_EQ(42, uffdvram_range_query(self->range, 0, 16 * PAGE, &self->res, &visit));
	EXPECT_STREQ("v2 p2 ", text);
	EXPECT_EQ(1, fake.steps);
	EXPECT_EQ(5 * PAGE, self->res.done);
	/* An error comes back too, after the runs before it. */
	end = text;
	fake.steps = 0;
	fake.states = "vvvvvvvvvvvvvvvv";
	fake.err[0] = ENOMEM;
	EXPECT_EQ(-ENOMEM, uffdvram_range_query(self->range, 0, 16 * PAGE, &self->res, &visit));
	EXPECT_STREQ("v5 ", text);
}

TEST_F(lib, pools)
{
	const struct uffdvram_pool_opts opts = {
		.size = sizeof(opts), .backend = UFFDVRAM_BACKEND_SIM, .bytes = 1 << 21,
	};
	struct uffdvram_range_opts ropts = { .size = sizeof(ropts) };
	struct uffdvram_pool *pool = NULL, *wrapped;
	struct uffdvram_range *range;
	struct uffdvram_ctx *ctx;
	uint64_t left = 7;

	EXPECT_EQ(-EINVAL, uffdvram_pool_attach(&pool, self->ctx, NULL));
	fake.fail = ENOSPC;
	EXPECT_EQ(-ENOSPC, uffdvram_pool_attach(&pool, self->ctx, &opts));
	EXPECT_EQ(NULL, pool);
	fake.fail = 0;
	ASSERT_EQ(0, uffdvram_pool_attach(&pool, self->ctx, &opts));
	EXPECT_EQ(5, uffdvram_pool_number(pool));

	ASSERT_EQ(0, uffdvram_pool_wrap(&wrapped, self->ctx, 11));
	EXPECT_EQ(-EINVAL, uffdvram_pool_wrap(&wrapped, self->ctx, 0));
	ropts.pool = wrapped;
	EXPECT_EQ(0, uffdvram_range_register(&range, self->ctx, BASE, PAGE, &ropts));
	EXPECT_EQ(11, fake.pool);
	uffdvram_pool_free(wrapped);
	uffdvram_pool_free(NULL);

	/* A handle of one context means another pool, or none, in another one. */
	ASSERT_EQ(0, uffdvram_open(&ctx, &self->opts));
	ropts.pool = pool;
	EXPECT_EQ(-EINVAL, uffdvram_range_register(&range, ctx, BASE, PAGE, &ropts));
	uffdvram_close(ctx);

	fake.fail = ENOMEM;
	EXPECT_EQ(-ENOMEM, uffdvram_pool_detach(pool, 0, &left));
	EXPECT_EQ(9, left);
	fake.fail = 0;
	EXPECT_EQ(5, uffdvram_pool_number(pool));
	EXPECT_EQ(0, uffdvram_pool_detach(pool, 0, &left));
	EXPECT_EQ(0, left);
}

TEST_F(lib, ranges)
{
	struct uffdvram_range *range = NULL;

	EXPECT_EQ(6, uffdvram_range_number(self->range));
	EXPECT_EQ(BASE, uffdvram_range_addr(self->range));
	EXPECT_EQ(16 * PAGE, uffdvram_range_len(self->range));
	EXPECT_EQ(0, fake.pool);
	fake.fail = EBUSY;
	EXPECT_EQ(-EBUSY, uffdvram_range_register(&range, self->ctx, BASE, PAGE, NULL));
	EXPECT_EQ(NULL, range);
	EXPECT_STREQ("RANGE_REGISTER: Device or resource busy", last_msg);
	fake.fail = ENOENT;
	EXPECT_EQ(-ENOENT, uffdvram_range_unregister(self->range));
	EXPECT_EQ(0, uffdvram_range_unregister(NULL));
}

static void open_use_close(struct uffdvram_open_opts *opts)
{
	struct uffdvram_pool *pool;
	struct uffdvram_range *range;
	struct uffdvram_ctx *ctx;
	int i;

	if (uffdvram_open(&ctx, opts))
		give_up("open");
	for (i = 0; i < 3; i++)
		if (uffdvram_pool_wrap(&pool, ctx, 1 + i) ||
		    uffdvram_range_register(&range, ctx, BASE, PAGE, NULL))
			give_up("a handle");
	uffdvram_close(ctx);
}

TEST_F(lib, close_frees_what_is_left)
{
	size_t before;

	uffdvram_close(NULL);
	open_use_close(&self->opts);	/* fills malloc's caches, which count as used */
	before = mallinfo2().uordblks;
	open_use_close(&self->opts);
	EXPECT_EQ(before, mallinfo2().uordblks);
}

#ifndef __SANITIZE_ADDRESS__	/* its malloc() needs address space, and does not fail */
/* All that malloc() has to give, as a list; 0 bytes are left for anybody. */
static void *eat_memory(void)
{
	const struct rlimit none = { 0, RLIM_INFINITY };
	void **chunk, *all = NULL;
	size_t size;

	if (setrlimit(RLIMIT_AS, &none))
		give_up("RLIMIT_AS");
	for (size = 1 << 20; size >= 16; size -= size > 4096 ? size / 2 : 16) {
		while ((chunk = malloc(size))) {
			*chunk = all;
			all = chunk;
		}
	}
	return all;
}

static void give_back(void *all)
{
	const struct rlimit plenty = { RLIM_INFINITY, RLIM_INFINITY };
	void *next;

	setrlimit(RLIMIT_AS, &plenty);
	for (; all; all = next) {
		next = *(void **)all;
		free(all);
	}
}

/* Memory comes first: what cannot be kept is not asked for. */
TEST_F(lib, no_memory)
{
	const struct uffdvram_pool_opts opts = {
		.size = sizeof(opts), .backend = UFFDVRAM_BACKEND_SIM, .bytes = 1 << 21,
	};
	struct uffdvram_range *range = NULL;
	struct uffdvram_pool *pool = NULL;
	struct uffdvram_ctx *ctx = NULL;
	int ret[5], i, fd = next_fd();
	void *all = eat_memory();

	ret[0] = uffdvram_pool_attach(&pool, self->ctx, &opts);
	ret[1] = uffdvram_pool_wrap(&pool, self->ctx, 3);
	ret[2] = uffdvram_range_register(&range, self->ctx, BASE, PAGE, NULL);
	ret[3] = uffdvram_open(&ctx, &self->opts);
	ret[4] = uffdvram_open_pidfd(&ctx, 0, &self->opts);
	give_back(all);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(-ENOMEM, ret[i]) TH_LOG("call %d", i);
	EXPECT_EQ(0, fake.calls);
	EXPECT_EQ(fd, next_fd());
	EXPECT_TRUE(!pool && !range && !ctx);
	EXPECT_EQ(0, uffdvram_range_register(&range, self->ctx, BASE, PAGE, NULL));
}

#endif

/* Sizes that mean nothing, in every function that takes options. */
TEST_F(lib, no_options_of_older_libraries)
{
	struct uffdvram_pool_opts popts = { .size = 1 };
	struct uffdvram_range_opts ropts = { .size = 1 };
	struct uffdvram_range *range = NULL;
	struct uffdvram_pool *pool = NULL;
	struct uffdvram_ctx *ctx = NULL;

	self->opts.size = 1;
	EXPECT_EQ(-EINVAL, uffdvram_open_pidfd(&ctx, 0, &self->opts));
	EXPECT_EQ(-EINVAL, uffdvram_pool_attach(&pool, self->ctx, &popts));
	EXPECT_EQ(-EINVAL, uffdvram_range_register(&range, self->ctx, BASE, PAGE, &ropts));
	EXPECT_EQ(0, fake.calls);
}

TEST(names)
{
	EXPECT_STREQ("missing", uffdvram_stay_name(UFFDVRAM_STAY_MISSING));
	EXPECT_STREQ("not_anon", uffdvram_stay_name(UFFDVRAM_STAY_NOT_ANON));
	EXPECT_STREQ("unknown", uffdvram_stay_name(UFFDVRAM_STAY_MAX_ - 1));
	EXPECT_STREQ("unknown", uffdvram_stay_name(UFFDVRAM_STAY_MAX_));
	EXPECT_STREQ("unknown", uffdvram_stay_name(~0U));
	EXPECT_STREQ("vram", uffdvram_state_name(UFFDVRAM_STATE_VRAM));
	EXPECT_STREQ("huge", uffdvram_state_name(UFFDVRAM_STATE_HUGE));
	EXPECT_STREQ("unknown", uffdvram_state_name(UFFDVRAM_STATE_MAX_));
}

TEST_HARNESS_MAIN
