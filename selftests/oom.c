// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 240 */
/*
 * The OOM killer takes a process that moves pages: the slots come back, others'
 * pages are what they were, and the process dies of nothing else. Never of SIGBUS.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <sys/mman.h>
#include "memcg.h"
#include "util_mm.h"

#define POOL		MIB(16)
#define LEN		(64 * PAGE)
#define GROWS		MIB(12)		/* more than the group's memory.max */

/* How a victim uses up its memory. */
enum way {
	BY_TOUCH,	/* while a thread moves other pages of it */
	BY_MIGRATE,	/* holes become pages in VRAM, which count like others */
	BY_COPY,	/* into holes */
	BY_CONVERT,	/* holes become private pages of zeroes */
	BY_OTHERS,	/* by touch, while a thread moves the parent's pages */
	WAYS
};

/* What the processes share. */
struct seen {
	uint32_t inside;	/* calls that have begun and not ended */
	uint32_t error;		/* of a call, which it should not say */
};

FIXTURE(oom)
{
	int fd;
	uint32_t pool;
	char *mem, *buf;
	enum way way;
	struct seen *seen;
};

FIXTURE_SETUP(oom)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, POOL, UFFDVRAM_POOL_SHARED, &self->pool));
	self->mem = map_small(LEN);
	self->buf = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	self->seen = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->seen);
	ASSERT_TRUE(memcg_new("6M"));
	ASSERT_TRUE(memcg_swap("0"));
}

FIXTURE_TEARDOWN(oom)
{
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	munmap(self->mem, LEN);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_TRUE(memcg_drop());
}

/* A call that may say that there is no memory, or be ended by a signal. */
#define CALL(seen, call) do {							\
	__atomic_fetch_add(&(seen)->inside, 1, __ATOMIC_SEQ_CST);		\
	int ret_ = (call);							\
	__atomic_fetch_sub(&(seen)->inside, 1, __ATOMIC_SEQ_CST);		\
	if (ret_ && ret_ != -ENOMEM && ret_ != -EINTR)			\
		(seen)->error = -ret_;						\
} while (0)

struct moved {
	int fd;
	char *mem;
	struct seen *seen;
};

static void *move_for_ever(void *arg)
{
	struct moved *m = arg;

	for (;;) {
		CALL(m->seen, uv_migrate(m->fd, m->mem, LEN, 0, NULL));
		CALL(m->seen, uv_migrate(m->fd, m->mem, LEN, UFFDVRAM_MIGRATE_TO_RAM, NULL));
	}
	return NULL;
}

static void grow(const FIXTURE_DATA(oom) *self, int fd, char *mem)
{
	for (size_t at = 0; at < GROWS; at += LEN) {
		if (self->way == BY_MIGRATE)
			CALL(self->seen, uv_migrate(fd, mem + at, LEN, 0, NULL));
		else if (self->way == BY_CONVERT)
			CALL(self->seen, uv_convert(fd, UFFDVRAM_CONVERT_PRIVATE, mem + at, LEN, 0,
						    NULL));
		else if (self->way == BY_COPY)
			CALL(self->seen, uv_copy(fd, UFFDVRAM_COPY_WRITE, mem + at, LEN,
						 self->buf, NULL));
		else
			memset(mem + at, 1, LEN);
	}
}

static int victim(int sock, void *arg)
{
	const FIXTURE_DATA(oom) *self = arg;
	struct moved m = { .fd = uv_open(), .mem = map_small(LEN), .seen = self->seen };
	char *mem = map_small(GROWS);
	pthread_t thread;
	int fd = m.fd;

	(void)sock;
	if (fd < 0 || uv_register(fd, mem, GROWS, self->pool, NULL) ||
	    uv_register(fd, m.mem, LEN, self->pool, NULL))
		return 1;
	if (self->way == BY_OTHERS)
		m = (struct moved){ .fd = self->fd, .mem = self->mem, .seen = self->seen };
	else
		fill_pages(m.mem, LEN, 2);
	if (!memcg_enter())
		return 2;
	if (self->way == BY_TOUCH || self->way == BY_OTHERS) {
		if (pthread_create(&thread, NULL, move_for_ever, &m))
			return 3;
		while (!__atomic_load_n(&self->seen->inside, __ATOMIC_SEQ_CST))
			sleep_ms(1);
	}
	for (;;)
		grow(self, fd, mem);
}

/* What is in VRAM is the parent's. */
static bool only_ours(void *arg)
{
	const FIXTURE_DATA(oom) *self = arg;

	return uv_slots_in_use() == (uint64_t)uv_in_vram(self->fd, self->mem, LEN);
}

static void take_one(struct __test_metadata *_metadata, FIXTURE_DATA(oom) *self)
{
	long long killed = memcg_events("oom_kill");

	*self->seen = (struct seen){ 0 };
	ASSERT_EQ(0, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
	ASSERT_EQ(-SIGKILL, run_child(victim, self)) TH_LOG("way %d", self->way);
	EXPECT_LT(killed, memcg_events("oom_kill"));
	EXPECT_EQ(0, self->seen->error) TH_LOG("way %d", self->way);
	ASSERT_TRUE(wait_until(only_ours, self, 60000)) TH_LOG("way %d: %llu slots are in use",
		self->way, (unsigned long long)uv_slots_in_use());
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 1));
}

/* A victim that grows by calls dies in one; another one as it comes. */
TEST_F(oom, while_pages_move)
{
	unsigned int inside[WAYS] = { 0 }, rounds = sanitizers() ? 1 : 3, sum = 0, n;

	for (n = 0; n < rounds * WAYS; n++) {
		self->way = n % WAYS;
		take_one(_metadata, self);
		inside[self->way] += !!self->seen->inside;
	}
	for (n = 0; n < WAYS; n++) {
		printf("# way %u: %u killed by the OOM killer, %u of them inside a call\n", n,
		       rounds, inside[n]);
		sum += inside[n];
	}
	EXPECT_EQ(rounds, inside[BY_MIGRATE]);
	EXPECT_EQ(rounds, inside[BY_COPY]);
	EXPECT_EQ(rounds, inside[BY_CONVERT]);
	EXPECT_LT(0, sum);
}

TEST_HARNESS_MAIN
