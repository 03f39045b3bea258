// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * Private pages whose memory, process, range or pool goes: nobody ever sees what they
 * held, and their slots are free afterwards. And those of children, of entries of 2 MiB,
 * and those that many want at once.
 */
#include <kselftest_harness.h>
#include <pthread.h>
#include "util_mm.h"
#include "convert_fixture.h"

static bool is_poison(char *addr)
{
	struct sigbus s = read_byte(addr);

	return s.signo == SIGBUS && s.code == BUS_MCEERR_AR;
}

/* All of it is poison at once, and soon without any slot. */
static void expect_poison(struct __test_metadata *_metadata, char *mem, size_t len)
{
	int fd = uv_open();
	struct uffdvram_query q;
	size_t at;

	for (at = 0; at < len; at += PAGE)
		ASSERT_TRUE(is_poison(mem + at)) {
			TH_LOG("page %zu", at / PAGE);
		}
	EXPECT_EQ(0, uv_query(fd, mem, len, &q));
	EXPECT_EQ(len / PAGE, q.count[UFFDVRAM_STATE_POISON]);
	EXPECT_EQ(0, q.count[UFFDVRAM_STATE_PRIVATE]);
	EXPECT_TRUE(uv_wait_slots(0));
	for (at = 0; at < len; at += PAGE)
		ASSERT_TRUE(is_poison(mem + at));
	close(fd);
}

static bool are_destroyed(void *arg)
{
	return uv_stat("private_destroyed") >= *(uint64_t *)arg;
}

TEST_F(convert, unregister)
{
	uint64_t lost = uv_stat("slots_lost"), destroyed = uv_stat("private_destroyed");

	ASSERT_EQ(0, to_private(self));
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	expect_poison(_metadata, self->mem, LEN);
	EXPECT_EQ(lost, uv_stat("slots_lost"));
	/* The worker counts when all of it is done. */
	destroyed += PAGES;
	EXPECT_TRUE(wait_until(are_destroyed, &destroyed, 60000));
	/* As any poison, it can be taken away: then there is nothing. */
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	EXPECT_EQ(-EHWPOISON, to_shared(self));
	ASSERT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_UNDO, self->mem, LEN, NULL));
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
	/* And the slots hold nothing of it. */
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
}

/* What is shared comes home as ever. */
TEST_F(convert, close)
{
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_convert(self->fd, PRIVATE, self->mem + 8 * PAGE, 8 * PAGE, 0, NULL));
	close(self->fd);
	expect_poison(_metadata, self->mem + 8 * PAGE, 8 * PAGE);
	EXPECT_EQ(-1, check_pages(self->mem, 8 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + 16 * PAGE, LEN - 16 * PAGE, 1));
}

TEST_F(convert, detach)
{
	uint64_t left;

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_convert(self->fd, PRIVATE, self->mem + 8 * PAGE, 8 * PAGE, 0, NULL));
	ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, &left));
	EXPECT_EQ(0, left);
	EXPECT_EQ(0, uv_slots_in_use());
	expect_poison(_metadata, self->mem + 8 * PAGE, 8 * PAGE);
	EXPECT_EQ(-1, check_pages(self->mem, 8 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + 16 * PAGE, LEN - 16 * PAGE, 1));
}

TEST_F(convert, discard)
{
	ASSERT_EQ(0, to_private(self));
	ASSERT_EQ(0, uv_detach(self->fd, self->pool, UFFDVRAM_DETACH_DISCARD, NULL));
	for (int i = 0; i < PAGES; i++)
		EXPECT_TRUE(is_poison(self->mem + i * PAGE));
}

struct holder {
	pid_t of;
	char *mem;
};

/* Another process has the context, and dies. */
static int hold(int fd, void *arg)
{
	struct holder *h = arg;
	int ctx = uv_open_pid_of(h->of);
	uint64_t word;
	uint32_t pool;

	if (!child_hear(fd, &word) || ctx < 0 || uv_attach(ctx, POOL, 0, &pool) ||
	    uv_register(ctx, h->mem, LEN, pool, NULL) ||
	    uv_convert(ctx, PRIVATE | WAIT, h->mem, LEN, 60000, NULL))
		return 1;
	child_tell(fd, 1);
	return !child_hear(fd, &word);
}

TEST_F(convert, holder_dies)
{
	struct holder h = { .of = getpid(), .mem = map_small(LEN) };
	struct child c = child_start(hold, &h);
	uint64_t word;

	/* After the fork: these are ours alone. */
	ASSERT_TRUE(c.pid > 0);
	fill_pages(h.mem, LEN, 3);
	child_tell(c.fd, 1);
	ASSERT_TRUE(child_hear(c.fd, &word));
	EXPECT_EQ(PAGES, private_pages(self->fd, h.mem, LEN));
	EXPECT_TRUE(refused(h.mem));
	child_kill(&c);
	expect_poison(_metadata, h.mem, LEN);
	munmap(h.mem, LEN);
}

/* Its next touch is a missing page; the slot's next owner sees nothing. */
TEST_F(convert, dropped)
{
	char *mem = map_small(POOL - LEN / 2), *buf = map_small(PAGE);
	size_t at;

	ASSERT_EQ(0, to_private(self));
	ASSERT_EQ(0, madvise(self->mem, LEN / 2, MADV_DONTNEED));
	EXPECT_EQ(PAGES / 2, uv_slots_in_use());
	EXPECT_EQ(PAGES / 2, private_pages(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, not_zero(self->mem, LEN / 2));
	EXPECT_TRUE(refused(self->mem + LEN / 2));
	/* All slots that there are: placed, and read where they are. */
	ASSERT_EQ(0, uv_register(self->fd, mem, POOL - LEN / 2, self->pool, NULL));
	ASSERT_EQ((POOL - LEN / 2) / PAGE, uv_to_vram(self->fd, mem, POOL - LEN / 2));
	for (at = 0; at < POOL - LEN / 2; at += PAGE) {
		ASSERT_EQ(0, uv_copy(self->fd, 0, mem + at, PAGE, buf, NULL));
		ASSERT_EQ(-1, not_zero(buf, PAGE));
	}
	munmap(mem, POOL - LEN / 2);
	ASSERT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_REPLACE, self->mem + LEN / 2, PAGE, NULL));
	EXPECT_TRUE(is_poison(self->mem + LEN / 2));
	EXPECT_EQ(PAGES / 2 - 1, uv_slots_in_use());
	munmap(buf, PAGE);
}

/* A child has them, too, and gets as little. */
static int child_of_private(int fd, void *arg)
{
	data *self = arg;
	uint64_t word;

	child_tell(fd, refused(self->mem) && refused(self->mem + LEN - PAGE));
	return !child_hear(fd, &word);
}

TEST_F(convert, fork)
{
	struct child c;
	uint64_t word;

	ASSERT_EQ(0, to_private(self));
	c = child_start(child_of_private, self);
	ASSERT_TRUE(child_hear(c.fd, &word));
	EXPECT_EQ(1, word);
	EXPECT_TRUE(refused(self->mem + PAGE));
	EXPECT_EQ(-EBUSY, to_shared(self));
	EXPECT_EQ(UFFDVRAM_STAY_SHARED, self->c.cause);
	EXPECT_EQ(ADDR(self->mem), self->c.bad_addr);
	EXPECT_EQ(PAGES, private_pages(self->fd, self->mem, LEN));
	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* A child that shared pages before they became private keeps what it had. */
static int child_of_shared(int fd, void *arg)
{
	data *self = arg;
	uint64_t word;

	child_tell(fd, 1);
	return !child_hear(fd, &word) || check_pages(self->mem, LEN, 1) != -1;
}

TEST_F(convert, shared_with_a_child)
{
	struct child c;
	uint64_t word;

	ASSERT_EQ(PAGES / 2, uv_to_vram(self->fd, self->mem, LEN / 2));
	c = child_start(child_of_shared, self);
	ASSERT_TRUE(child_hear(c.fd, &word));
	ASSERT_EQ(0, to_private(self));
	EXPECT_TRUE(refused(self->mem));
	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

static int child_waits(int sock, void *arg)
{
	uint64_t word;

	(void)arg;
	return !child_hear(sock, &word);
}

/* To be made our own a page has to come home, and is lost. */
TEST_F(convert, lost_on_its_way)
{
	struct child c;

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	c = child_start(child_waits, NULL);
	uv_knob_set("fail_to_ram", "%d", 1);
	EXPECT_EQ(-EHWPOISON, to_private(self));
	EXPECT_EQ(ADDR(self->mem), self->c.bad_addr);
	EXPECT_EQ(0, private_pages(self->fd, self->mem, LEN));
	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(-1, check_pages(self->mem + PAGE, LEN - PAGE, 1));
}

static bool became_poison(void *page)
{
	return is_poison(page);
}

/* The range of the dead parent's context is the child's to end: its pages are poison. */
static int child_of_closed(int fd, void *arg)
{
	data *self = arg;
	uint64_t word;
	bool ok = refused(self->mem);

	child_tell(fd, 1);
	if (!child_hear(fd, &word))
		return 1;
	close(self->fd);
	return !ok || !wait_until(became_poison, self->mem + PAGE, 60000) ||
	       !wait_until(became_poison, self->mem + LEN - PAGE, 60000);
}

TEST_F(convert, closed_with_a_child)
{
	struct child c;
	uint64_t word;

	ASSERT_EQ(0, to_private(self));
	c = child_start(child_of_closed, self);
	ASSERT_TRUE(child_hear(c.fd, &word));
	close(self->fd);
	EXPECT_TRUE(refused(self->mem));
	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
	expect_poison(_metadata, self->mem, LEN);
}

/* One page of an entry of 2 MiB, then all of it. */
TEST_F(convert, huge)
{
	uint32_t pool;
	char *mem;

	if (!huge_in_vram(self->fd))
		SKIP(return, "this kernel has no device folios of 2 MiB");
	uv_fault_bytes = HUGE;
	ASSERT_EQ(0, uv_attach(self->fd, MIB(8), 0, &pool));
	mem = map_filled(self->fd, 2 * HUGE, 5);
	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * HUGE, pool, NULL));
	ASSERT_EQ(0, uv_convert(self->fd, PRIVATE | WAIT, mem, 2 * HUGE, 60000, NULL));
	EXPECT_EQ(2 * HUGE / PAGE, private_pages(self->fd, mem, 2 * HUGE));
	EXPECT_EQ(2 * HUGE / PAGE, huge_pages(self->fd, mem, 2 * HUGE));
	EXPECT_TRUE(refused(mem + 7 * PAGE));
	/* All but one, which a CPU can have then, alone. */
	ASSERT_EQ(0, uv_convert(self->fd, 0, mem + 7 * PAGE, PAGE, 0, NULL));
	EXPECT_EQ(2 * HUGE / PAGE - 1, private_pages(self->fd, mem, 2 * HUGE));
	EXPECT_EQ(-1, check_pages(mem + 7 * PAGE, PAGE, 5));
	EXPECT_TRUE(refused(mem + 6 * PAGE));
	EXPECT_TRUE(refused(mem + 8 * PAGE));
	EXPECT_EQ(2 * HUGE / PAGE - 1, private_pages(self->fd, mem, 2 * HUGE));
	/* The other one as a whole. */
	ASSERT_EQ(0, uv_convert(self->fd, 0, mem + HUGE, HUGE, 0, NULL));
	EXPECT_EQ(-1, check_pages(mem + HUGE, HUGE, 5));
	ASSERT_EQ(0, uv_convert(self->fd, 0, mem, HUGE, 0, NULL));
	EXPECT_EQ(-1, check_pages(mem, HUGE, 5));
	/* And its end. */
	ASSERT_EQ(0, uv_convert(self->fd, PRIVATE | WAIT, mem + HUGE, HUGE, 60000, NULL));
	ASSERT_EQ(0, uv_convert(self->fd, 0, mem + HUGE + PAGE, PAGE, 0, NULL));
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
	EXPECT_TRUE(is_poison(mem + HUGE));
	EXPECT_EQ(-1, check_pages(mem + HUGE + PAGE, PAGE, 5));
	EXPECT_TRUE(is_poison(mem + 2 * HUGE - PAGE));
	uv_fault_bytes = 0;
	munmap(mem, 2 * HUGE);
}

/*
 * Neither an entry of 2 MiB nor a page of it goes to another address, whatever it is. Where
 * that has a page table, the entry would be split first.
 */
static void expect_not_moved(struct __test_metadata *_metadata, int fd, const char *mem)
{
	char *to = map_aligned(HUGE);
	int uffd = uffd_open(0);

	ASSERT_EQ(0, uffd_register(uffd, to, HUGE, UFFDIO_REGISTER_MODE_MISSING));
	EXPECT_EQ(-ENOENT, uffd_move(uffd, to, mem, HUGE, 0));
	EXPECT_EQ(-ENOENT, uffd_move(uffd, to, mem, HUGE, UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES));
	EXPECT_EQ(HUGE / PAGE, huge_pages(fd, mem, HUGE));
	EXPECT_EQ(-EFAULT, uffd_move(uffd, to, mem + 7 * PAGE, PAGE, 0));
	EXPECT_EQ(HUGE / PAGE, uv_in_vram(fd, mem, HUGE));
	for (size_t i = 0; i < HUGE; i += PAGE)
		ASSERT_EQ(0, pagemap_entry(0, to + i) & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED));
	close(uffd);
	munmap(to, HUGE);
}

TEST_F(convert, huge_moved_elsewhere)
{
	uint32_t pool;
	char *mem;

	if (!huge_in_vram(self->fd))
		SKIP(return, "this kernel has no device folios of 2 MiB");
	ASSERT_EQ(0, uv_attach(self->fd, MIB(8), 0, &pool));
	mem = map_filled(self->fd, 2 * HUGE, 5);
	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * HUGE, pool, NULL));
	ASSERT_EQ(2 * HUGE / PAGE, move_all(self->fd, mem, 2 * HUGE, 0, NULL));
	expect_not_moved(_metadata, self->fd, mem);
	ASSERT_EQ(0, uv_convert(self->fd, PRIVATE | WAIT, mem + HUGE, HUGE, 60000, NULL));
	expect_not_moved(_metadata, self->fd, mem + HUGE);
	EXPECT_EQ(HUGE / PAGE, private_pages(self->fd, mem, 2 * HUGE));
	EXPECT_TRUE(refused(mem + HUGE + 7 * PAGE));
	ASSERT_EQ(0, uv_convert(self->fd, 0, mem + HUGE, HUGE, 0, NULL));
	EXPECT_EQ(-1, check_pages(mem, 2 * HUGE, 5));
	munmap(mem, 2 * HUGE);
}

/* Threads that touch, move, and evict, while it is private and while it is not. */
struct race {
	data *self;
	unsigned int state;	/* odd: private; the next even number: no longer */
	bool stop;
	unsigned int seen, refused, wrong;
};

static unsigned int race_state(struct race *r)
{
	return __atomic_load_n(&r->state, __ATOMIC_SEQ_CST);
}

/* read_byte() is for one thread at a time: its handler is there for the moment only. */
static __thread sigjmp_buf race_jump;
static __thread struct sigbus race_saw;

static void race_signal(int signo, siginfo_t *info, void *context)
{
	(void)context;
	race_saw = (struct sigbus){ .signo = signo, .code = info->si_code, .addr = info->si_addr };
	siglongjmp(race_jump, 1);
}

static struct sigbus race_read(const char *at)
{
	race_saw = (struct sigbus){ 0 };
	if (!sigsetjmp(race_jump, 1))
		(void)*(const volatile char *)at;
	return race_saw;
}

static void *race_touch(void *arg)
{
	struct race *r = arg;
	uint64_t state = 7 + ADDR(&state);

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		char *at = r->self->mem + rnd(&state) % PAGES * PAGE + rnd(&state) % PAGE;
		unsigned int before = race_state(r);
		struct sigbus s = race_read(at);
		unsigned int after = race_state(r);

		__atomic_fetch_add(s.signo ? &r->refused : &r->seen, 1, __ATOMIC_RELAXED);
		if (before % 2 && before == after && !s.signo)
			__atomic_fetch_add(&r->wrong, 1, __ATOMIC_RELAXED);
		/* From 4 n + 2 on all are shared. */
		if (before % 4 == 2 && before == after && s.signo)
			__atomic_fetch_add(&r->wrong, 1000, __ATOMIC_RELAXED);
		if (s.signo && (s.signo != SIGBUS || s.code != BUS_ADRERR || s.addr != at))
			__atomic_fetch_add(&r->wrong, 1000000, __ATOMIC_RELAXED);
		/* It would never get through if these never paused. */
		if (rnd(&state) % 4 == 0)
			sleep_ms(1 + rnd(&state) % 4);
	}
	return NULL;
}

static void *race_move(void *arg)
{
	struct race *r = arg;
	struct uffdvram_migrate m;
	unsigned int before, after;

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		before = race_state(r);
		if (uv_migrate(r->self->fd, r->self->mem, LEN, UFFDVRAM_MIGRATE_TO_RAM, &m))
			continue;
		after = race_state(r);
		if (before % 2 && before == after && m.moved)
			__atomic_fetch_add(&r->wrong, 1, __ATOMIC_RELAXED);
		sleep_ms(2);
	}
	return NULL;
}

static bool has_raced(const struct race *r, unsigned int flips)
{
	return flips && __atomic_load_n(&r->seen, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&r->refused, __ATOMIC_RELAXED);
}

TEST_F(convert, race)
{
	unsigned int rounds = sanitizers() ? 40 : 100, flips = 0, i;
	uint64_t end = now_ms() + 100000;
	struct sigaction sa = { .sa_sigaction = race_signal, .sa_flags = SA_SIGINFO }, old;
	struct race r = { .self = self };
	pthread_t t[3];
	int ret;

	ASSERT_EQ(0, sigaction(SIGBUS, &sa, &old));
	ASSERT_EQ(0, pthread_create(&t[0], NULL, race_touch, &r));
	ASSERT_EQ(0, pthread_create(&t[1], NULL, race_touch, &r));
	ASSERT_EQ(0, pthread_create(&t[2], NULL, race_move, &r));
	/* On a busy machine more may be needed until they have met. */
	for (i = 0; i < rounds || (!has_raced(&r, flips) && now_ms() < end); i++) {
		/* 4 n: nobody knows */
		__atomic_store_n(&r.state, 4 * i, __ATOMIC_SEQ_CST);
		ret = uv_convert(self->fd, PRIVATE | (i % 2 ? WAIT : 0), self->mem, LEN,
				 i % 2 ? 100 : 0, &self->c);
		ASSERT_TRUE(!ret || ret == -EBUSY) {
			TH_LOG("%d", ret);
		}
		if (!ret) {
			__atomic_store_n(&r.state, 4 * i + 1, __ATOMIC_SEQ_CST);
			EXPECT_EQ(PAGES, private_pages(self->fd, self->mem, LEN));
			flips++;
		} else {
			EXPECT_EQ(0, private_pages(self->fd, self->mem, LEN));
		}
		__atomic_store_n(&r.state, 4 * i + 4, __ATOMIC_SEQ_CST);
		do {
			ret = to_shared(self);
		} while (ret == -EBUSY);
		ASSERT_EQ(0, ret);
		__atomic_store_n(&r.state, 4 * i + 2, __ATOMIC_SEQ_CST);
		if (i % 4 == 0)
			EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELEASE);
	for (int k = 0; k < 3; k++)
		pthread_join(t[k], NULL);
	sigaction(SIGBUS, &old, NULL);
	TH_LOG("%u of %u became private; %u reads, %u refused", flips, i, r.seen, r.refused);
	EXPECT_EQ(0, r.wrong);
	EXPECT_LT(0, flips);
	EXPECT_LT(0, r.refused);
	EXPECT_LT(0, r.seen);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_HARNESS_MAIN
