// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 240 */
/*
 * Events: what a context tells by read and poll, in order, and when it lost some.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <time.h>
#include "event_fixture.h"

#define EVENT	sizeof(struct uffdvram_event)

FIXTURE(event)
{
	int fd;
	uint32_t pool, range;
	char *mem;
};

FIXTURE_SETUP(event)
{
	self->mem = told_begin(_metadata, &self->fd, &self->pool, &self->range);
}

FIXTURE_TEARDOWN(event)
{
	munmap(self->mem, LEN);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1 && p.revents == POLLIN;
}

/* The next event, waiting for it; type 0: none came. */
static struct uffdvram_event next_event(int fd)
{
	struct uffdvram_event e = { 0 };

	if (readable(fd, 60000) && read(fd, &e, EVENT) != (ssize_t)EVENT)
		e.type = ~0U;
	return e;
}

static void expect_quiet(struct __test_metadata *_metadata, int fd)
{
	struct uffdvram_event e;

	EXPECT_FALSE(readable(fd, 0));
	EXPECT_EQ(-1, read(fd, &e, EVENT)) {
		TH_LOG("event %u cause %u range %llu %#llx + %#llx", e.type, e.cause, e.range,
		       e.addr, e.len);
	}
	EXPECT_EQ(EAGAIN, errno);
}

static void expect_event(struct __test_metadata *_metadata, int fd, struct uffdvram_event want)
{
	struct uffdvram_event e = next_event(fd);

	ASSERT_EQ(want.type, e.type);
	EXPECT_EQ(want.cause, e.cause);
	EXPECT_EQ(want.range, e.range);
	EXPECT_EQ(want.addr, e.addr);
	EXPECT_EQ(want.len, e.len);
}

TEST_F(event, reading)
{
	void *nowhere = map_small(PAGE) - PAGE;
	struct uffdvram_event e[4];
	struct uffdvram_info info;

	ASSERT_EQ(0, uv_info(self->fd, &info));
	EXPECT_NE(0, info.features & UFFDVRAM_FEATURE_EVENTS);
	EXPECT_EQ(48, EVENT);
	expect_quiet(_metadata, self->fd);
	touch_down(self->mem, 6);
	EXPECT_TRUE(readable(self->fd, 0));
	EXPECT_EQ(-1, read(self->fd, e, EVENT - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, read(self->fd, e, 0));
	EXPECT_EQ(EINVAL, errno);
	/* As many as there are and fit, never a part of one. */
	EXPECT_EQ(2 * EVENT, read(self->fd, e, 3 * EVENT - 1));
	EXPECT_EQ(1, e[0].seq);
	EXPECT_EQ(2, e[1].seq);
	EXPECT_EQ(ADDR(self->mem) + 5 * PAGE, e[0].addr);
	EXPECT_EQ(ADDR(self->mem) + 4 * PAGE, e[1].addr);
	EXPECT_EQ(EVENT, read(self->fd, e, EVENT));
	EXPECT_EQ(3 * EVENT, read(self->fd, e, 4 * EVENT));
	EXPECT_EQ(6, e[2].seq);
	expect_quiet(_metadata, self->fd);
	/* A buffer that cannot be written to does no harm to what comes later. */
	touch_down(self->mem + LEN / 2, 2);
	EXPECT_EQ(-1, read(self->fd, nowhere, EVENT));
	EXPECT_EQ(EFAULT, errno);
	touch_down(self->mem + LEN / 2 + 8 * PAGE, 1);
	while (readable(self->fd, 0))
		ASSERT_EQ(EVENT, read(self->fd, e, EVENT));
	EXPECT_EQ(9, e[0].seq);
	EXPECT_EQ(-1, write(self->fd, e, EVENT));
}

TEST_F(event, faults)
{
	uint64_t before = now_ns(), pages = 0;
	struct uffdvram_event e;

	self->mem[5 * PAGE + 77] = 1;
	e = next_event(self->fd);
	EXPECT_EQ(UFFDVRAM_EVENT_FAULT_BACK, e.type);
	EXPECT_EQ(0, e.cause);
	EXPECT_EQ(1, e.seq);
	EXPECT_EQ(self->range, e.range);
	EXPECT_EQ(ADDR(self->mem) + 5 * PAGE, e.addr);
	EXPECT_EQ(PAGE, e.len);
	EXPECT_LE(before, e.time_ns);
	EXPECT_GE(now_ns(), e.time_ns);
	/* A page that is home is none any more. */
	self->mem[5 * PAGE + 78] = 1;
	expect_quiet(_metadata, self->fd);
	/* Whatever way the CPU comes: each page is told once. */
	EXPECT_EQ(-1, check_pages(self->mem + 10 * PAGE, 20 * PAGE, 1));
	EXPECT_EQ(-1, open(self->mem + 40 * PAGE, O_PATH));
	while (pages < 21 && (e = next_event(self->fd)).type == UFFDVRAM_EVENT_FAULT_BACK)
		pages += e.len / PAGE;
	EXPECT_EQ(21, pages);
	expect_quiet(_metadata, self->fd);
}

/* Nothing to tell: not by a fault, no wish to know, not our range any more. */
TEST_F(event, silence)
{
	char *other = map_small(LEN), *buf = map_small(LEN);
	uint32_t pool;

	ASSERT_EQ(16, uv_to_ram(self->fd, self->mem, 16 * PAGE));
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, buf, NULL));
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem, LEN, buf, NULL));
	ASSERT_EQ(PAGES - 16, uv_in_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, madvise(self->mem + 20 * PAGE, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, mprotect(self->mem + 21 * PAGE, PAGE, PROT_READ));
	ASSERT_EQ(0, mprotect(self->mem + 21 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	expect_quiet(_metadata, self->fd);

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &pool));
	ASSERT_EQ(0, uv_register(self->fd, other, LEN, pool, NULL));
	fill_pages(other, LEN, 2);
	ASSERT_EQ(PAGES, move_all(self->fd, other, LEN, 0, NULL));
	EXPECT_EQ(-1, check_pages(other, LEN / 2, 2));
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
	munmap(buf, LEN);
	expect_quiet(_metadata, self->fd);

	uv_knob_set("delay_us", "%d", 20000);
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	touch_down(self->mem, PAGES);
	knobs_calm();
	munmap(self->mem, LEN);
	expect_quiet(_metadata, self->fd);
}

static int touch_all(int sock, void *arg)
{
	uint64_t word;

	if (!child_hear(sock, &word))
		return 1;
	touch_down(arg, PAGES / 2);
	return 0;
}

/* A child that shares pages in VRAM brings them home: that is not our fault. */
TEST_F(event, faults_of_a_child)
{
	struct child c = child_start(touch_all, self->mem);

	expect_quiet(_metadata, self->fd);
	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
	expect_quiet(_metadata, self->fd);
	touch_down(self->mem + LEN / 2, 1);
	expect_event(_metadata, self->fd, (struct uffdvram_event){
		UFFDVRAM_EVENT_FAULT_BACK, 0, 0, self->range, ADDR(self->mem) + LEN / 2, PAGE, 0 });
	expect_quiet(_metadata, self->fd);
}

static void expect_lost(struct __test_metadata *_metadata, FIXTURE_DATA(event) *self, int page,
			int pages)
{
	expect_event(_metadata, self->fd, (struct uffdvram_event){
		UFFDVRAM_EVENT_PAGE_LOST, 0, 0, self->range, ADDR(self->mem) + page * PAGE,
		pages * PAGE, 0 });
}

/* Pages that are lost are told of once, whatever it is that finds out, and no others. */
TEST_F(event, pages_are_lost)
{
	char *mem = self->mem, *buf = map_small(4 * PAGE);

	uv_knob_set("fail_to_ram", "1");
	EXPECT_EQ(SIGBUS, read_byte(mem + 3 * PAGE).signo);
	expect_lost(_metadata, self, 3, 1);
	EXPECT_EQ(SIGBUS, write_byte(mem + 3 * PAGE, 1).signo);
	/* Before the next it was read: they do not join. */
	uv_knob_set("fail_to_ram", "1");
	EXPECT_EQ(SIGBUS, write_byte(mem + 4 * PAGE, 1).signo);
	uv_knob_set("fail_to_ram", "1");
	EXPECT_EQ(SIGBUS, read_byte(mem + 5 * PAGE).signo);
	expect_lost(_metadata, self, 4, 2);
	/* Of a batch, one. */
	uv_knob_set("fail_to_ram", "2");
	EXPECT_EQ(3, uv_to_ram(self->fd, mem + 10 * PAGE, 4 * PAGE));
	expect_lost(_metadata, self, 11, 1);
	uv_knob_set("fail_to_vram", "3");
	EXPECT_EQ(-EIO, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, mem + 20 * PAGE, 4 * PAGE, buf,
				NULL));
	expect_lost(_metadata, self, 22, 1);
	/* What can be read again is not lost. */
	uv_knob_set("fail_to_ram", "1");
	EXPECT_EQ(-EIO, uv_copy(self->fd, 0, mem + 30 * PAGE, PAGE, buf, NULL));
	EXPECT_EQ(3, uv_to_ram(self->fd, mem + 10 * PAGE, 4 * PAGE));
	expect_quiet(_metadata, self->fd);
	/* Who unregisters it does not want to know. */
	uv_knob_set("fail_to_ram_every", "1");
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	EXPECT_EQ(SIGBUS, read_byte(mem + 40 * PAGE).signo);
	knobs_calm();
	expect_quiet(_metadata, self->fd);
	munmap(buf, 4 * PAGE);
}

static int lose_one(int sock, void *arg)
{
	uint64_t word;

	if (!child_hear(sock, &word))
		return 1;
	uv_knob_set("fail_to_ram", "1");
	return read_byte(arg).signo != SIGBUS;
}

/* What a child finds out is told, too: it is the same page. Its address means nothing here. */
TEST_F(event, pages_are_lost_elsewhere)
{
	struct child c = child_start(lose_one, self->mem + 7 * PAGE);
	char *moved = map_small(PAGE);

	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
	expect_event(_metadata, self->fd, (struct uffdvram_event){
		UFFDVRAM_EVENT_PAGE_LOST, 0, 0, self->range, 0, PAGE, 0 });
	EXPECT_EQ(SIGBUS, read_byte(self->mem + 7 * PAGE).signo);
	ASSERT_EQ(moved, mremap(self->mem + 9 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				moved));
	EXPECT_EQ(UFFDVRAM_EVENT_RANGE_GONE, next_event(self->fd).type);
	uv_knob_set("fail_to_ram", "1");
	EXPECT_EQ(SIGBUS, read_byte(moved).signo);
	expect_event(_metadata, self->fd, (struct uffdvram_event){
		UFFDVRAM_EVENT_PAGE_LOST, 0, 0, self->range, 0, PAGE, 0 });
	expect_quiet(_metadata, self->fd);
	munmap(moved, PAGE);
}

/* Nobody reads: the last ones are kept, and seq tells how many were lost. */
TEST_F(event, overflow)
{
	enum { ROUNDS = 6, ALL = ROUNDS * PAGES };
	struct uffdvram_event e[UFFDVRAM_EVENTS_MAX + 1];
	ssize_t n;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
		touch_down(self->mem, PAGES);
	}
	n = read(self->fd, e, sizeof(e));
	ASSERT_EQ(UFFDVRAM_EVENTS_MAX * EVENT, n);
	for (i = 0; i < UFFDVRAM_EVENTS_MAX; i++) {
		ASSERT_EQ(ALL - UFFDVRAM_EVENTS_MAX + 1 + i, e[i].seq);
		ASSERT_EQ(ADDR(self->mem) + (ALL - e[i].seq) % PAGES * PAGE, e[i].addr);
		ASSERT_LE(i ? e[i - 1].time_ns : 0, e[i].time_ns);
	}
	expect_quiet(_metadata, self->fd);
}

static struct uffdvram_event unmapped(uint32_t range, const char *addr, size_t len)
{
	return (struct uffdvram_event){ UFFDVRAM_EVENT_RANGE_GONE, UFFDVRAM_GONE_UNMAPPED, 0,
					range, ADDR(addr), len, 0 };
}

TEST_F(event, memory_goes)
{
	char *mem = map_small(3 * LEN), *to = map_small(LEN);
	uint32_t range[2];

	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, 0, &range[0]));
	ASSERT_EQ(0, uv_register(self->fd, mem + 2 * LEN, LEN, self->pool, &range[1]));
	/* Not in a range; and memory that is only emptied, or protected. */
	ASSERT_EQ(0, munmap(mem + LEN, PAGE));
	ASSERT_EQ(0, madvise(mem, LEN, MADV_DONTNEED));
	ASSERT_EQ(0, mprotect(mem, PAGE, PROT_NONE));
	expect_quiet(_metadata, self->fd);
	ASSERT_EQ(0, munmap(mem + 4 * PAGE, 2 * PAGE));
	expect_event(_metadata, self->fd, unmapped(range[0], mem + 4 * PAGE, 2 * PAGE));
	/* Something else is mapped over it. */
	ASSERT_EQ(mem + 8 * PAGE, mmap(mem + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
				       MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	expect_event(_metadata, self->fd, unmapped(range[0], mem + 8 * PAGE, PAGE));
	/* Two ranges and what lies between them, in one call. */
	ASSERT_EQ(0, munmap(mem + LEN - PAGE, LEN + 3 * PAGE));
	expect_event(_metadata, self->fd, unmapped(range[0], mem + LEN - PAGE, PAGE));
	expect_event(_metadata, self->fd, unmapped(range[1], mem + 2 * LEN, 2 * PAGE));
	/* It is mapped again: the range is still there, and still at it. */
	ASSERT_EQ(mem + 2 * LEN, mmap(mem + 2 * LEN, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
				      MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	fill_pages(mem + 2 * LEN, PAGE, 1);
	EXPECT_EQ(1, uv_to_vram(self->fd, mem + 2 * LEN, PAGE));
	expect_quiet(_metadata, self->fd);
	/* Moved elsewhere. */
	ASSERT_EQ(to, mremap(self->mem + 10 * PAGE, 3 * PAGE, 3 * PAGE,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	expect_event(_metadata, self->fd, unmapped(self->range, self->mem + 10 * PAGE, 3 * PAGE));
	expect_quiet(_metadata, self->fd);
	/* They come home elsewhere, which is not in the range. */
	EXPECT_EQ(-1, check_pages_as(to, 3 * PAGE, self->mem + 10 * PAGE, 1));
	expect_quiet(_metadata, self->fd);
	/* Without a range there is nothing to tell. */
	ASSERT_EQ(0, uv_unregister(self->fd, range[1]));
	ASSERT_EQ(0, munmap(mem + 2 * LEN, LEN));
	expect_quiet(_metadata, self->fd);
	munmap(to, LEN);
	munmap(mem, LEN);
}

/* Gives its context away; then exits, becomes another program, or is killed. */
enum { EXIT = 1, EXEC, KILL };

static int departs(int sock, void *arg)
{
	char *mem = map_small(LEN);
	int fd = uv_open();
	uint64_t word;

	(void)arg;
	if (fd < 0 || uv_register(fd, mem, LEN, 0, NULL) || fd_send(sock, fd) ||
	    !child_hear(sock, &word))
		return 1;
	return word == EXEC ? -exec_and_listen(sock) : 0;
}

TEST_F(event, address_space_goes)
{
	struct uffdvram_event gone = { .type = UFFDVRAM_EVENT_RANGE_GONE,
				       .cause = UFFDVRAM_GONE_EXIT };
	struct child c;
	uint64_t how, word;
	int fd;

	for (how = EXIT; how <= KILL; how++) {
		c = child_start(departs, NULL);
		fd = fd_receive(c.fd);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
		expect_quiet(_metadata, fd);
		if (how == KILL)
			child_kill(&c);
		else
			child_tell(c.fd, how);
		expect_event(_metadata, fd, gone);
		if (how == EXEC) {
			ASSERT_TRUE(child_hear(c.fd, &word));
			child_tell(c.fd, 1);
		}
		if (how != KILL)
			EXPECT_EQ(0, child_end(&c));
		expect_quiet(_metadata, fd);
		close(fd);
	}
	expect_quiet(_metadata, self->fd);
}

/* A reader in a thread of its own. */
struct reader {
	int fd;
	ssize_t n;
	int err;
	uint64_t events, pages, last, disorder;
	bool ended;
};

static void *read_one(void *arg)
{
	struct reader *r = arg;
	struct uffdvram_event e;

	r->n = read(r->fd, &e, EVENT);
	r->err = errno;
	r->last = e.addr;
	__atomic_store_n(&r->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

static void on_usr1(int signo)
{
	(void)signo;
}

static bool has_ended(const struct reader *r)
{
	return __atomic_load_n(&r->ended, __ATOMIC_ACQUIRE);
}

/* Without O_NONBLOCK a read waits: for an event, or a signal. */
TEST_F(event, waiting)
{
	struct sigaction sa = { .sa_handler = on_usr1 };
	struct reader r = { .fd = self->fd };
	pthread_t thread;
	int i;

	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_one, &r));
	sleep_ms(100);
	EXPECT_FALSE(has_ended(&r));
	touch_down(self->mem, 1);
	pthread_join(thread, NULL);
	EXPECT_EQ(EVENT, r.n);
	EXPECT_EQ(ADDR(self->mem), r.last);

	r = (struct reader){ .fd = self->fd };
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_one, &r));
	for (i = 0; i < 2000 && !has_ended(&r); i++) {
		sleep_ms(50);
		pthread_kill(thread, SIGUSR1);
	}
	ASSERT_TRUE(has_ended(&r));
	pthread_join(thread, NULL);
	EXPECT_EQ(-1, r.n);
	EXPECT_EQ(EINTR, r.err);
	/* poll sleeps until there is one. */
	EXPECT_FALSE(readable(self->fd, 50));
	touch_down(self->mem + PAGE, 1);
	EXPECT_TRUE(readable(self->fd, 0));
}

static int read_until_killed(int sock, void *arg)
{
	struct reader r = { .fd = uv_open() };

	(void)arg;
	child_tell(sock, 1);
	read_one(&r);
	return 1;
}

TEST_F(event, killed_while_waiting)
{
	struct child c = child_start(read_until_killed, NULL);
	uint64_t word;

	ASSERT_TRUE(child_hear(c.fd, &word));
	sleep_ms(100);
	child_kill(&c);
	expect_quiet(_metadata, self->fd);
}

static void *read_many(void *arg)
{
	struct reader *r = arg;
	struct uffdvram_event e[7];
	ssize_t n;

	while (!__atomic_load_n(&r->ended, __ATOMIC_ACQUIRE) || readable(r->fd, 0)) {
		if (!readable(r->fd, 20))
			continue;
		n = read(r->fd, e, sizeof(e));
		for (ssize_t i = 0; i < n / (ssize_t)EVENT; i++) {
			r->disorder += e[i].seq <= r->last;
			r->last = e[i].seq;
			r->events++;
			r->pages += e[i].len / PAGE;
		}
	}
	return NULL;
}

/* Two readers, faults in three threads, a mover: each page is told exactly once. */
struct toucher {
	char *mem;
	uint64_t seed;
	bool *stop;
};

static void *touch_at_random(void *arg)
{
	struct toucher *t = arg;

	while (!__atomic_load_n(t->stop, __ATOMIC_ACQUIRE))
		*(volatile char *)(t->mem + rnd(&t->seed) % PAGES * PAGE);
	return NULL;
}

TEST_F(event, storm)
{
	struct reader r[2] = { { .fd = self->fd }, { .fd = self->fd } };
	uint64_t pages = uv_stat("fault_pages"), end = now_ms() + 3000, seqs;
	struct toucher t[3];
	pthread_t thread[5];
	bool stop = false;
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, read_many, &r[i]));
	for (i = 0; i < 3; i++) {
		t[i] = (struct toucher){ self->mem, 3 + i, &stop };
		ASSERT_EQ(0, pthread_create(&thread[2 + i], NULL, touch_at_random, &t[i]));
	}
	/* Slow machines take longer for as many. */
	while (now_ms() < end ||
	       (uv_stat("fault_pages") - pages <= PAGES && now_ms() < end + 60000)) {
		ASSERT_EQ(0, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
		sleep_ms(2);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (i = 2; i < 5; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < 2; i++) {
		__atomic_store_n(&r[i].ended, true, __ATOMIC_RELEASE);
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, r[i].disorder);
	}
	pages = uv_stat("fault_pages") - pages;
	seqs = r[0].last > r[1].last ? r[0].last : r[1].last;
	TH_LOG("%llu pages came home, %llu told by %llu of %llu events",
	       (unsigned long long)pages, (unsigned long long)(r[0].pages + r[1].pages),
	       (unsigned long long)(r[0].events + r[1].events), (unsigned long long)seqs);
	EXPECT_LT(PAGES, pages);
	/* Nothing twice; and if none was lost, all of them. */
	EXPECT_GE(pages, r[0].pages + r[1].pages);
	EXPECT_GE(seqs, r[0].events + r[1].events);
	if (seqs == r[0].events + r[1].events)
		EXPECT_EQ(pages, r[0].pages + r[1].pages);
}

TEST_HARNESS_MAIN
