// SPDX-License-Identifier: GPL-2.0-only
/*
 * UFFDVRAM_MOVE_THREADS against a module that answers by the address alone: whoever asks,
 * in which order, the sum must be what one thread gets. The library's ioctl() is the one
 * below; its device is /dev/null.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <uffdvram/uffdvram.h>
#include "kselftest_harness.h"
#include "util.h"

#define BASE	0x7f0000000000ULL
#define PAGES	(MIB(64) / PAGE)
#define N_MARKS	4
#define N_TIDS	256

/* What is at a page: an error there, or a cause to stay. */
struct mark {
	uint64_t page;
	int err;
	int stays;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t met;
	struct mark mark[N_MARKS];
	unsigned int marks;
	unsigned int calls;
	unsigned int meet;		/* so many threads must be in their first call at once */
	pid_t tid[N_TIDS];		/* who called */
	unsigned int tids;
	unsigned int unblocked;		/* helpers that a signal could have reached */
	unsigned int crooked;		/* calls that begin where no page table does */
	unsigned int logged_by_helpers;
	unsigned int logged;
	uint32_t flags;			/* of the last call */
	uint64_t most;			/* bytes of the longest call */
	int err;			/* of every call */
	bool interrupt;			/* the caller's first call, after one page */
	unsigned char times[PAGES];	/* how often each page was handled */
} fake;

static bool is_helper(void)
{
	return gettid() != getpid();
}

/* The first call of each thread waits for those of the others. */
static bool meet(void)
{
	unsigned int i;

	for (i = 0; i < fake.tids; i++)
		if (fake.tid[i] == gettid())
			return false;
	fake.tid[fake.tids++] = gettid();
	pthread_cond_broadcast(&fake.met);
	while (fake.tids < fake.meet)
		pthread_cond_wait(&fake.met, &fake.lock);
	return true;
}

static const struct mark *mark_of(uint64_t page)
{
	unsigned int i;

	for (i = 0; i < fake.marks; i++)
		if (fake.mark[i].page == page)
			return &fake.mark[i];
	return NULL;
}

static int fake_handle(struct uffdvram_migrate *m, uint64_t pages)
{
	const struct mark *mark;
	uint64_t addr, page;

	for (; m->done < pages * PAGE; m->done += PAGE) {
		addr = m->addr + m->done;
		page = (addr - BASE) / PAGE;
		mark = mark_of(page);
		if (mark && mark->err)
			return mark->err;
		if (page < PAGES)
			fake.times[page]++;
		if (!mark) {
			m->moved++;
		} else {
			if (!m->stayed[mark->stays]++)
				m->first[mark->stays] = addr;
		}
	}
	return 0;
}

static int fake_migrate(struct uffdvram_migrate *m)
{
	bool first = meet();
	sigset_t set;

	fake.calls++;
	fake.flags = m->flags;
	if (m->len > fake.most)
		fake.most = m->len;
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	fake.unblocked += is_helper() && !(sigismember(&set, SIGTERM) &&
					   sigismember(&set, SIGSEGV));
	/* But for the first part, and for what is left of one after a signal. */
	fake.crooked += m->addr % HUGE && m->addr != BASE + PAGE && !fake.interrupt;
	if (fake.err)
		return fake.err;
	if (fake.interrupt && first && !is_helper())
		return fake_handle(m, 1) ?: EINTR;
	return fake_handle(m, m->len / PAGE);
}

int ioctl(int fd, unsigned long cmd, ...)
{
	va_list ap;
	void *arg;
	int err = 0;

	(void)fd;
	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (cmd == UFFDVRAM_INFO) {
		((struct uffdvram_info *)arg)->abi = UFFDVRAM_ABI;
	} else if (cmd == UFFDVRAM_MIGRATE) {
		pthread_mutex_lock(&fake.lock);
		err = fake_migrate(arg);
		pthread_mutex_unlock(&fake.lock);
	}
	errno = err;
	return err ? -1 : 0;
}

static void take_msg(void *data, int priority, const char *msg)
{
	(void)data, (void)priority, (void)msg;
	fake.logged++;
	fake.logged_by_helpers += is_helper();
}

/* Nobody has called yet. */
static void fake_again(unsigned int meet)
{
	fake.calls = 0;
	fake.tids = 0;
	fake.meet = meet;
	fake.most = 0;
	fake.logged = 0;
	memset(fake.times, 0, sizeof(fake.times));
}

static void fake_mark(uint64_t page, int err, int stays)
{
	fake.mark[fake.marks++] = (struct mark){ page, err, stays };
}

static bool one_thread_is_left(void *arg)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned int n = 0;
	struct dirent *d;

	(void)arg;
	while (dir && (d = readdir(dir)))
		n += d->d_name[0] != '.';
	closedir(dir);
	return n == 1;
}

FIXTURE(parallel)
{
	struct uffdvram_ctx *ctx;
	struct uffdvram_moved moved;
};

FIXTURE_SETUP(parallel)
{
	const struct uffdvram_open_opts opts = {
		.size = sizeof(opts), .device = "/dev/null", .log = take_msg,
	};

	pthread_mutex_init(&fake.lock, NULL);
	pthread_cond_init(&fake.met, NULL);
	self->moved.size = sizeof(self->moved);
	ASSERT_EQ(0, uffdvram_open(&self->ctx, &opts));
}

FIXTURE_TEARDOWN(parallel)
{
	EXPECT_EQ(0, fake.unblocked);
	EXPECT_EQ(0, fake.crooked);
	EXPECT_EQ(0, fake.logged_by_helpers);
	EXPECT_TRUE(wait_until(one_thread_is_left, NULL, 10000));
	uffdvram_close(self->ctx);
}

/* They are in the module at the same time, all of them; else the test would hang. */
TEST_F(parallel, threads_work_at_the_same_time)
{
	static const unsigned int threads[] = { 2, 5, 32 };
	unsigned int i;
	uint64_t page;

	for (i = 0; i < 3; i++) {
		fake_again(threads[i]);
		ASSERT_EQ(0, uffdvram_move(self->ctx, BASE + PAGE, (PAGES - 2) * PAGE,
					   UFFDVRAM_MOVE_TO_RAM |
					   UFFDVRAM_MOVE_THREADS(threads[i]), &self->moved));
		EXPECT_EQ(threads[i], fake.tids);
		EXPECT_EQ(UFFDVRAM_MIGRATE_TO_RAM, fake.flags);
		EXPECT_EQ((PAGES - 2) * PAGE, self->moved.done);
		EXPECT_EQ(PAGES - 2, self->moved.moved);
		for (page = 0; page < PAGES; page++)
			ASSERT_EQ(page && page < PAGES - 1, fake.times[page]);
		EXPECT_EQ(0, fake.logged);
	}
}

/* No more than 64, and no more than pieces of 2 MiB. */
TEST_F(parallel, not_too_many_threads)
{
	fake_again(33);
	ASSERT_EQ(0, uffdvram_move(self->ctx, BASE + PAGE, 32 * HUGE,
				   UFFDVRAM_MOVE_THREADS(64), NULL));
	EXPECT_EQ(33, fake.tids);
	fake_again(64);
	ASSERT_EQ(0, uffdvram_move(self->ctx, BASE, 512 * HUGE, UFFDVRAM_MOVE_THREADS(255),
				   NULL));
	EXPECT_EQ(64, fake.tids);
	EXPECT_EQ(512, fake.calls);
}

/* What is not worth it, or not right, is one call of the caller's. */
TEST_F(parallel, alone)
{
	static const struct {
		uint64_t addr, len;
		uint32_t flags;
	} piece[] = {
		{ BASE, HUGE, UFFDVRAM_MOVE_THREADS(8) },
		{ BASE + HUGE - PAGE, PAGE, UFFDVRAM_MOVE_THREADS(8) },
		{ BASE, 8 * HUGE, 0 },
		{ BASE, 8 * HUGE, UFFDVRAM_MOVE_THREADS(1) },
	}, wrong[] = {
		{ BASE, 8 * HUGE + 1, UFFDVRAM_MOVE_THREADS(8) },
		{ BASE + 8, 8 * HUGE, UFFDVRAM_MOVE_THREADS(8) },
		{ BASE, 0, UFFDVRAM_MOVE_THREADS(8) },
		{ BASE, -BASE + HUGE, UFFDVRAM_MOVE_THREADS(8) },
	};
	unsigned int i;

	for (i = 0; i < sizeof(piece) / sizeof(*piece); i++) {
		fake_again(1);
		EXPECT_EQ(0, uffdvram_move(self->ctx, piece[i].addr, piece[i].len,
					   piece[i].flags, NULL));
		EXPECT_EQ(1, fake.calls);
		EXPECT_EQ(piece[i].len, fake.most);
		fake.crooked = 0;
	}
	/* What is wrong with it, the module says, before anything has moved. */
	fake.err = EINVAL;
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		fake_again(1);
		EXPECT_EQ(-EINVAL, uffdvram_move(self->ctx, wrong[i].addr, wrong[i].len,
						 wrong[i].flags, NULL));
		EXPECT_EQ(1, fake.calls);
		EXPECT_EQ(wrong[i].len, fake.most);
		fake.crooked = 0;
	}
	fake_again(1);
	EXPECT_EQ(-EOPNOTSUPP, uffdvram_move(self->ctx, BASE, 8 * HUGE,
					     UFFDVRAM_MOVE_THREADS(256), NULL));
	EXPECT_EQ(0, fake.calls);
}

/* Does it come out as it does with one thread, whatever happens on the way? */
static void same_as_one(struct __test_metadata *_metadata, struct uffdvram_ctx *ctx, int want)
{
	static const unsigned int threads[] = { 2, 3, 7, 64 };
	struct uffdvram_moved one = { .size = sizeof(one) }, many = one;
	unsigned int i;

	fake_again(1);
	EXPECT_EQ(want, uffdvram_move(ctx, BASE + PAGE, (PAGES - 1) * PAGE, 0, &one));
	for (i = 0; i < sizeof(threads) / sizeof(*threads); i++) {
		fake_again(2);
		EXPECT_EQ(want, uffdvram_move(ctx, BASE + PAGE, (PAGES - 1) * PAGE,
					      UFFDVRAM_MOVE_THREADS(threads[i]), &many));
		EXPECT_EQ(0, memcmp(&one, &many, sizeof(one)))
			TH_LOG("%u threads: done %lx, not %lx", threads[i], many.done, one.done);
		EXPECT_EQ(!!want, fake.logged);
	}
}

TEST_F(parallel, sums_are_exact)
{
	same_as_one(_metadata, self->ctx, 0);
	fake_mark(3000, 0, UFFDVRAM_STAY_SHARED);
	fake_mark(9001, 0, UFFDVRAM_STAY_SWAPPED);
	fake_mark(600, 0, UFFDVRAM_STAY_SWAPPED);
	same_as_one(_metadata, self->ctx, 0);
	/* And with a second look. */
	fake_mark(16000, 0, UFFDVRAM_STAY_PINNED);
	same_as_one(_metadata, self->ctx, 0);
}

/* In the first part, at the first page of one, within one, and at the last page. */
TEST_F(parallel, the_first_error_counts)
{
	static const uint64_t at[] = { 1, 2, 511, 512, 4096, 5000, PAGES - 1 };
	unsigned int i;

	for (i = 0; i < sizeof(at) / sizeof(*at); i++) {
		fake.marks = 0;
		fake_mark(12000, ENOMEM, 0);
		fake_mark(300, 0, UFFDVRAM_STAY_SHARED);
		fake_mark(14000, 0, UFFDVRAM_STAY_SHARED);
		fake_mark(at[i], ENOENT, 0);
		same_as_one(_metadata, self->ctx, at[i] < 12000 ? -ENOENT : -ENOMEM);
	}
}

/* Each thread meets it once, at most, and then all of them let it be. */
TEST_F(parallel, nothing_is_begun_after_an_error)
{
	fake.err = ENODEV;
	fake_again(4);
	EXPECT_EQ(-ENODEV, uffdvram_move(self->ctx, BASE, PAGES * PAGE,
					 UFFDVRAM_MOVE_THREADS(4), &self->moved));
	EXPECT_EQ(4, fake.calls);
	EXPECT_EQ(0, self->moved.done);
}

/* The caller is the one that a signal interrupts, somewhere in the middle. */
TEST_F(parallel, signals)
{
	uint64_t page, done;

	fake.interrupt = true;
	fake_again(2);
	ASSERT_EQ(0, uffdvram_move(self->ctx, BASE, PAGES * PAGE, UFFDVRAM_MOVE_THREADS(2),
				   &self->moved));
	EXPECT_EQ(PAGES, self->moved.moved);
	for (page = 0; page < PAGES; page++)
		ASSERT_EQ(1, fake.times[page]);

	fake_again(2);
	ASSERT_EQ(-EINTR, uffdvram_move(self->ctx, BASE, PAGES * PAGE,
					UFFDVRAM_MOVE_THREADS(2) | UFFDVRAM_MOVE_EINTR,
					&self->moved));
	EXPECT_EQ(1, fake.logged);
	done = self->moved.done / PAGE;
	EXPECT_EQ(done, self->moved.moved);
	/* All up to there, and not what comes next: a page of the caller's part. */
	EXPECT_EQ(1, done % (HUGE / PAGE));
	ASSERT_LT(done, PAGES);
	for (page = 0; page < done; page++)
		ASSERT_EQ(1, fake.times[page]);
	EXPECT_EQ(0, fake.times[done]);
}

/* There is no room for a stack of this size: the caller does it all. */
TEST_F(parallel, no_thread_to_be_had)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	ASSERT_EQ(0, pthread_attr_setstacksize(&attr, 1UL << 47));
	ASSERT_EQ(0, pthread_setattr_default_np(&attr));
	fake_again(1);
	EXPECT_EQ(0, uffdvram_move(self->ctx, BASE, PAGES * PAGE, UFFDVRAM_MOVE_THREADS(8),
				   &self->moved));
	EXPECT_EQ(1, fake.tids);
	EXPECT_EQ(32, fake.calls);
	EXPECT_EQ(PAGES, self->moved.moved);
}

#ifndef __SANITIZE_ADDRESS__	/* its malloc() needs address space, and does not fail */
/* No memory for the results of so many parts: it is one call. */
TEST_F(parallel, no_memory)
{
	const struct rlimit none = { 0, RLIM_INFINITY };
	int ret;

	fake_again(1);
	fake.err = ENODEV;
	ASSERT_EQ(0, setrlimit(RLIMIT_AS, &none));
	ret = uffdvram_move(self->ctx, BASE, 4096 * HUGE, UFFDVRAM_MOVE_THREADS(8), NULL);
	EXPECT_EQ(-ENODEV, ret);
	EXPECT_EQ(1, fake.calls);
	EXPECT_EQ(4096 * HUGE, fake.most);
}
#endif

/* However much it is, a thread that stops does so soon: parts are few, and not large. */
TEST_F(parallel, parts_of_a_large_piece)
{
	fake.err = ENODEV;
	fake_again(1);
	EXPECT_EQ(-ENODEV, uffdvram_move(self->ctx, BASE, 4096ULL << 30,
					 UFFDVRAM_MOVE_THREADS(2), NULL));
	EXPECT_EQ((1ULL << 30) + HUGE, fake.most);
}

TEST_HARNESS_MAIN
