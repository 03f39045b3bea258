// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 300 */
/*
 * CONVERT of more than fits into one step: all or nothing down to the last page, an end in
 * the middle, and who pays for it.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#include "memcg.h"
#include "util_mm.h"
#include "pin.h"
#include "slots_fixture.h"

#define PRIVATE		UFFDVRAM_CONVERT_PRIVATE
#define WAIT		UFFDVRAM_CONVERT_WAIT
#define LIMIT_MS	60000
/* One of many steps: with two seconds for each, the middle lasts a minute and more. */
#define STEP		MIB(2)
#define SLOWLY_US	2000000

FIXTURE(large)
{
	int fd;
	uint32_t pool;
	char *mem;		/* filled with seed 1 */
	size_t len;
	struct uffdvram_convert c;
};

typedef FIXTURE_DATA(large) data;

FIXTURE_SETUP(large)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->len = sanitizers() ? MIB(64) : MIB(256);
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, self->len + STEP, 0, &self->pool));
	self->mem = map_small(self->len);
	fill_pages(self->mem, self->len, 1);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, self->len, self->pool, NULL));
	lru_drain();
}

FIXTURE_TEARDOWN(large)
{
	knobs_calm();
	munmap(self->mem, self->len);
	close(self->fd);
	expect_no_slots(_metadata);
}

static int to_private(data *self)
{
	return uv_convert(self->fd, PRIVATE | WAIT, self->mem, self->len, LIMIT_MS, &self->c);
}

static int to_shared(data *self)
{
	return uv_convert(self->fd, 0, self->mem, self->len, 0, &self->c);
}

static size_t count_private(const data *self)
{
	struct uffdvram_query q;

	if (uv_query(self->fd, self->mem, self->len, &q))
		give_up("QUERY");
	return q.count[UFFDVRAM_STATE_PRIVATE];
}

static bool refused(const char *addr)
{
	struct sigbus s = read_byte(addr);

	return s.signo == SIGBUS && s.code == BUS_ADRERR && s.addr == addr;
}

/* What it holds is read where it is. -1: all of it is right. */
static long check_there(const data *self)
{
	char *buf = map_small(STEP);
	long wrong = -1;
	size_t at;

	for (at = 0; at < self->len && wrong < 0; at += STEP) {
		if (uv_copy(self->fd, 0, self->mem + at, STEP, buf, NULL))
			give_up("COPY");
		wrong = check_pages_as(buf, STEP, self->mem + at, 1);
	}
	munmap(buf, STEP);
	return wrong < 0 ? wrong : (long)(at - STEP) + wrong;
}

/*
 * Without waiting, somebody's glance at another page may look like a pin. What has moved so
 * far stays, so this comes to the last page.
 */
static int try_but_last(data *self, const char *last)
{
	int ret, tries = 0;

	do {
		ret = uv_convert(self->fd, PRIVATE, self->mem, self->len, 0, &self->c);
	} while (ret == -EBUSY && self->c.bad_addr != ADDR(last) && tries++ < 100);
	return ret;
}

TEST_F(large, last_page_pinned)
{
	size_t pages = self->len / PAGE;
	char *last = self->mem + self->len - PAGE;
	struct pin pin;

	pin_page(&pin, last);
	EXPECT_EQ(-EBUSY, try_but_last(self, last));
	EXPECT_EQ(ADDR(last), self->c.bad_addr);
	EXPECT_EQ(UFFDVRAM_STAY_PINNED, self->c.cause);
	EXPECT_EQ(0, count_private(self));
	/* What has moved stays there. */
	EXPECT_EQ(pages - 1, uv_in_vram(self->fd, self->mem, self->len));
	EXPECT_EQ(-1, check_there(self));
	unpin(&pin);
	ASSERT_EQ(0, to_private(self));
	EXPECT_EQ(0, self->c.bad_addr + self->c.cause);
	EXPECT_EQ(pages, count_private(self));
	EXPECT_EQ(pages, uv_slots_in_use());
	EXPECT_TRUE(refused(self->mem));
	EXPECT_TRUE(refused(last));
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(0, count_private(self));
	EXPECT_EQ(-1, check_there(self));
	EXPECT_EQ(-1, check_pages(last, PAGE, 1));
}

static int keeps_last(int sock, void *arg)
{
	data *self = arg;
	uint64_t word;

	munmap(self->mem, self->len - PAGE);
	child_tell(sock, 1);
	return !child_hear(sock, &word);
}

/* The way back likewise. What the child had for a while is ours alone again. */
TEST_F(large, last_page_shared)
{
	size_t pages = self->len / PAGE;
	struct child c;
	uint64_t word;

	ASSERT_EQ(0, to_private(self));
	c = child_start(keeps_last, self);
	ASSERT_TRUE(child_hear(c.fd, &word));
	EXPECT_EQ(-EBUSY, to_shared(self));
	EXPECT_EQ(ADDR(self->mem) + self->len - PAGE, self->c.bad_addr);
	EXPECT_EQ(UFFDVRAM_STAY_SHARED, self->c.cause);
	EXPECT_EQ(pages, count_private(self));
	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(0, count_private(self));
	EXPECT_EQ(-1, check_there(self));
}

static bool some_moved(void *arg)
{
	(void)arg;
	return uv_slots_in_use() >= 2 * STEP / PAGE;
}

static void nothing(int signo)
{
	(void)signo;
}

static void *signal_in_the_middle(void *arg)
{
	pthread_t *whom = arg;
	bool moved = wait_until(some_moved, NULL, LIMIT_MS);

	pthread_kill(*whom, SIGUSR1);
	return moved ? whom : NULL;
}

/* It ends the call; who calls again goes on from there. */
TEST_F(large, signal)
{
	struct sigaction sa = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	size_t pages = self->len / PAGE;
	pthread_t me = pthread_self(), thread;
	void *moved;
	long there;

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	uv_knob_set("delay_us", "%d", SLOWLY_US);
	ASSERT_EQ(0, pthread_create(&thread, NULL, signal_in_the_middle, &me));
	EXPECT_EQ(-EINTR, to_private(self));
	pthread_join(thread, &moved);
	knobs_calm();
	EXPECT_NE(NULL, moved);
	EXPECT_EQ(0, self->c.bad_addr + self->c.cause);
	EXPECT_EQ(0, count_private(self));
	there = uv_in_vram(self->fd, self->mem, self->len);
	EXPECT_LE(2 * STEP / PAGE, there);
	EXPECT_GT(pages, there);
	EXPECT_EQ(-1, check_there(self));
	ASSERT_EQ(0, to_private(self));
	EXPECT_EQ(pages, count_private(self));
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_there(self));
}

/* Who converts memory of his own, or (of) that of another process. */
struct victim {
	pid_t of;
	char *mem;
	size_t len;
};

static int convert_until_killed(int sock, void *arg)
{
	struct victim *v = arg;
	int fd = v->of ? uv_open_pid_of(v->of) : uv_open();
	uint32_t pool;
	uint64_t word;

	if (fd < 0 || uv_attach(fd, v->len + STEP, 0, &pool) ||
	    uv_register(fd, v->mem, v->len, pool, NULL))
		return 1;
	child_tell(sock, 1);
	if (!child_hear(sock, &word))
		return 2;
	if (!v->of)
		fill_pages(v->mem, v->len, 2);
	uv_convert(fd, PRIVATE | WAIT, v->mem, v->len, LIMIT_MS, NULL);
	return 3;
}

/* Nothing is left of it. */
static void kill_in_the_middle(struct __test_metadata *_metadata, struct child *c)
{
	uv_knob_set("delay_us", "%d", SLOWLY_US);
	child_tell(c->fd, 1);
	EXPECT_TRUE(wait_until(some_moved, NULL, LIMIT_MS));
	EXPECT_EQ(0, kill(c->pid, SIGKILL));
	knobs_calm();
	EXPECT_EQ(-SIGKILL, child_end(c));
	EXPECT_TRUE(uv_wait_slots(0));
}

TEST_F(large, killed)
{
	struct victim v = { .mem = map_small(self->len), .len = self->len };
	struct child c = child_start(convert_until_killed, &v);
	uint64_t word;

	ASSERT_TRUE(child_hear(c.fd, &word));
	kill_in_the_middle(_metadata, &c);
	munmap(v.mem, v.len);
}

/* Who has the memory has it as it was, and may do with it what he likes. */
TEST_F(large, holder_killed)
{
	struct victim v = { .of = getpid(), .mem = map_small(self->len), .len = self->len };
	struct child c = child_start(convert_until_killed, &v);
	uint64_t word;

	fill_pages(v.mem, v.len, 3);
	lru_drain();
	ASSERT_TRUE(child_hear(c.fd, &word));
	kill_in_the_middle(_metadata, &c);
	EXPECT_EQ(-1, check_pages(v.mem, v.len, 3));
	munmap(v.mem, v.len);
}

#define CHARGE	MIB(16)
/* What is charged ahead for CPUs, and for page tables and the call itself. */
#define SLACK	MIB(2)

enum bill {
	AT_FIRST,
	FILLED,
	MADE_PRIVATE,
	MADE_SHARED,
	DROPPED,
	PLACED,		/* holes, which became private */
	AT_LAST,
	BILLS
};

static int pays(int sock, void *arg)
{
	long long *bill = arg;
	char *mem = map_small(CHARGE);
	int fd = uv_open();
	uint32_t pool;

	(void)sock;
	if (fd < 0 || uv_attach(fd, CHARGE + STEP, 0, &pool) ||
	    uv_register(fd, mem, CHARGE, pool, NULL) || !memcg_enter())
		return 1;
	bill[AT_FIRST] = memcg_current();
	fill_pages(mem, CHARGE, 1);
	bill[FILLED] = memcg_current();
	if (uv_convert(fd, PRIVATE | WAIT, mem, CHARGE, LIMIT_MS, NULL))
		return 2;
	bill[MADE_PRIVATE] = memcg_current();
	if (uv_convert(fd, 0, mem, CHARGE, 0, NULL))
		return 3;
	bill[MADE_SHARED] = memcg_current();
	if (madvise(mem, CHARGE, MADV_DONTNEED))
		return 4;
	bill[DROPPED] = memcg_current();
	if (uv_convert(fd, PRIVATE | WAIT, mem, CHARGE, LIMIT_MS, NULL))
		return 5;
	bill[PLACED] = memcg_current();
	if (madvise(mem, CHARGE, MADV_DONTNEED))
		return 6;
	bill[AT_LAST] = memcg_current();
	return 0;
}

/* Pages in VRAM are charged as those that they replace, private or not. */
TEST(charge)
{
	static const bool full[BILLS] = {
		[FILLED] = true, [MADE_PRIVATE] = true, [MADE_SHARED] = true, [PLACED] = true,
	};
	long long *bill = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			       -1, 0);
	int i;

	ASSERT_NE(MAP_FAILED, bill);
	ASSERT_TRUE(memcg_new("max"));
	ASSERT_EQ(0, run_child(pays, bill));
	ASSERT_LE(0, bill[AT_FIRST]);
	for (i = 0; i < BILLS; i++) {
		long long more = bill[i] - bill[AT_FIRST] - (full[i] ? (long long)CHARGE : 0);

		EXPECT_TRUE(more > -(long long)SLACK && more < (long long)SLACK) {
			TH_LOG("step %d: %lld bytes more than expected", i, more);
		}
	}
	munmap(bill, PAGE);
	EXPECT_TRUE(memcg_drop());
	EXPECT_TRUE(uv_wait_slots(0));
}

TEST_HARNESS_MAIN
