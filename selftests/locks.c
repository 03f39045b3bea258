// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * Locks: no user memory is touched while one is held, and everything that a
 * process does to its memory may happen while pages move. On a debug kernel
 * lockdep looks on.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include "util_mm.h"
#include "vram_fixture.h"

#define PAGES	64
#define LEN	(PAGES * PAGE)
/* For each page of MIB(6): 4.6 s in all, and 0.8 s for what a call does between two looks. */
#define SLOW_US	3000

/* The structs of the calls lie in the very pages that the calls move. */
TEST_F(vram, arguments_in_moving_pages)
{
	char *mem = map_small(LEN);
	struct uffdvram_migrate *m = (void *)(mem + 3 * PAGE);
	struct uffdvram_info *info = (void *)(mem + 10 * PAGE);
	/* Across a page boundary, for good measure. */
	struct uffdvram_query *q = (void *)(mem + 6 * PAGE - 64);
	struct uffdvram_region *vec = (void *)(mem + 21 * PAGE - sizeof(*vec));
	int i;

	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, self->pool, NULL));
	fill_pages(mem, LEN, 1);
	for (i = 0; i < 20; i++) {
		/* What was just written came home: all but the argument's page. */
		ASSERT_EQ(0, uv_migrate(self->fd, mem, LEN, 0, m));
		EXPECT_TRUE(sum_ok(mem, LEN, m));
		EXPECT_EQ(LEN, m->done);
		EXPECT_EQ(ADDR(mem), m->addr);
		EXPECT_EQ(sizeof(*m), m->size);
		ASSERT_LE(PAGES - 8, uv_to_vram(self->fd, mem, LEN));

		memset(q, 0, sizeof(*q));
		q->addr = ADDR(mem);
		q->len = LEN;
		ASSERT_EQ(0, uv_query_vec(self->fd, q, vec, 40));
		EXPECT_EQ(LEN, q->done);
		EXPECT_EQ(PAGES, q->count[UFFDVRAM_STATE_VRAM] + q->count[UFFDVRAM_STATE_PRESENT]);
		ASSERT_LE(1, q->used);
		EXPECT_EQ(ADDR(mem), vec[0].start);
		EXPECT_EQ(ADDR(mem) + LEN, vec[q->used - 1].end);

		ASSERT_LE(PAGES - 8, uv_to_vram(self->fd, mem, LEN));
		ASSERT_EQ(0, uv_info(self->fd, info));
		EXPECT_EQ(UFFDVRAM_ABI, info->abi);

		ASSERT_LE(PAGES - 8, uv_to_vram(self->fd, mem, LEN));
		ASSERT_EQ(0, uv_migrate(self->fd, mem, LEN, UFFDVRAM_MIGRATE_TO_RAM, m));
		EXPECT_TRUE(sum_ok(mem, LEN, m));
		EXPECT_EQ(PAGES, m->moved + m->already);
	}
	EXPECT_EQ(-1, check_pages(mem, 3 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(mem + 40 * PAGE, LEN - 40 * PAGE, 1));
	munmap(mem, LEN);
}

struct server {
	int uffd, fd;
	char *mem, *other;
	int served, failed;
};

/* Of a vector that is missing, in pages. */
#define VEC	4

/* Serves them, but only after calls that need mmap_lock for writing. */
static void *serve_after_work(void *arg)
{
	struct server *s = arg;
	char *page = map_small(PAGE);
	struct uffd_msg msg;

	while (s->served < VEC && uffd_wait(s->uffd, &msg, 60000)) {
		char *tmp = map_small(8 * PAGE);

		if (msg.event != UFFD_EVENT_PAGEFAULT)
			break;
		s->failed += uv_migrate(s->fd, s->other, LEN, 0, NULL) != 0;
		s->failed += uv_query(s->fd, s->other, LEN, NULL) != 0;
		munmap(tmp, 8 * PAGE);
		s->failed += uffd_zeropage(s->uffd, (void *)(uintptr_t)
			(msg.arg.pagefault.address & ~(PAGE - 1)), PAGE) != 0;
		s->served++;
	}
	munmap(page, PAGE);
	return NULL;
}

/* QUERY's vector lies in missing memory, and who serves it needs our locks. */
TEST_F(vram, vector_behind_userfaultfd)
{
	char *vec = map_small(VEC * PAGE);
	struct server s = { .uffd = uffd_open(0), .fd = self->fd, .other = map_small(LEN) };
	size_t i, entries = VEC * PAGE / sizeof(struct uffdvram_region);
	struct uffdvram_query q;
	pthread_t thread;

	ASSERT_LE(0, s.uffd);
	ASSERT_EQ(0, uffd_register(s.uffd, vec, VEC * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	s.mem = map_small(2 * entries * PAGE);
	ASSERT_EQ(0, uv_register(self->fd, s.mem, 2 * entries * PAGE, self->pool, NULL));
	ASSERT_EQ(0, uv_register(self->fd, s.other, LEN, self->pool, NULL));
	for (i = 0; i < 2 * entries; i += 2)	/* so that each page is a region */
		s.mem[i * PAGE] = 1;
	ASSERT_EQ(0, pthread_create(&thread, NULL, serve_after_work, &s));
	memset(&q, 0, sizeof(q));
	q.addr = ADDR(s.mem);
	q.len = 2 * entries * PAGE;
	ASSERT_EQ(0, uv_query_vec(self->fd, &q, (void *)vec, entries));
	EXPECT_EQ(entries, q.used);
	EXPECT_EQ(entries * PAGE, q.done);
	pthread_join(thread, NULL);
	EXPECT_EQ(VEC, s.served);
	EXPECT_EQ(0, s.failed);
	munmap(s.mem, 2 * entries * PAGE);
	munmap(s.other, LEN);
	close(s.uffd);
}

/* A storm: one piece for each kind of trouble, and one that must stay right. */
struct storm {
	int fd;
	char *mem, *calm;
	uint64_t end, seed;
	int kind;
	long rounds, bad;
};

enum { KIND_MAP, KIND_PROTECT, KIND_DISCARD, KIND_FORK, KIND_IN, KIND_OUT, KIND_CHECK, KIND_HUGE,
       KINDS };

static void storm_fork(struct storm *s)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		/* The child reads and writes what it inherited, then goes. */
		for (size_t i = 0; i < LEN; i += 7 * PAGE)
			if (check_pages(s->calm + i, PAGE, 2) != -1)
				_exit(1);
		memset(s->calm, 0, LEN);
		_exit(0);
	}
	s->bad += pid < 0 || waitpid(pid, &status, 0) != pid || status;
}

static void storm_once(struct storm *s)
{
	/* Discarding has the lower half, protecting the upper one. */
	char *at = s->mem + rnd(&s->seed) % (PAGES / 2) * PAGE, *p;

	switch (s->kind) {
	case KIND_MAP:
		p = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		*p = 1;
		munmap(p, HUGE);
		break;
	case KIND_PROTECT:
		at += LEN / 2;
		s->bad += mprotect(at, PAGE, PROT_READ) != 0;
		s->bad += mprotect(at, PAGE, PROT_READ | PROT_WRITE) != 0;
		*(volatile char *)at = 1;
		break;
	case KIND_DISCARD:
		s->bad += madvise(at, PAGE, MADV_DONTNEED) != 0;
		*(volatile char *)at = 1;
		break;
	case KIND_FORK:
		storm_fork(s);
		break;
	case KIND_IN:
		s->bad += uv_migrate(s->fd, s->calm, LEN, 0, NULL) != 0;
		s->bad += uv_migrate(s->fd, s->mem, LEN, 0, NULL) != 0;
		break;
	case KIND_OUT:
		s->bad += uv_migrate(s->fd, s->mem, LEN, UFFDVRAM_MIGRATE_TO_RAM, NULL) != 0;
		s->bad += uv_query(s->fd, s->calm, LEN, NULL) != 0;
		break;
	case KIND_CHECK:
		s->bad += check_pages(s->calm, LEN, 2) != -1;
		break;
	case KIND_HUGE:
		madvise(s->mem, LEN, s->rounds % 2 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		break;
	}
}

static void *storm_thread(void *arg)
{
	struct storm *s = arg;

	for (s->rounds = 0; now_ms() < s->end || s->rounds < 3; s->rounds++)
		storm_once(s);
	return NULL;
}

TEST_F(vram, everything_at_once)
{
	char *mem = map_small(LEN), *calm = map_small(LEN);
	struct storm s[KINDS];
	int i;

	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, self->pool, NULL));
	ASSERT_EQ(0, uv_register(self->fd, calm, LEN, self->pool, NULL));
	fill_pages(mem, LEN, 1);
	fill_pages(calm, LEN, 2);
	for (i = 0; i < KINDS; i++)
		s[i] = (struct storm){ .fd = self->fd, .mem = mem, .calm = calm, .seed = 31 + i,
				       .end = now_ms() + 2000, .kind = i };
	ASSERT_EQ(0, threads_run(KINDS, storm_thread, s, sizeof(*s)));
	for (i = 0; i < KINDS; i++) {
		EXPECT_EQ(0, s[i].bad) TH_LOG("kind %d", i);
		EXPECT_LE(3, s[i].rounds) TH_LOG("kind %d", i);
	}
	EXPECT_EQ(-1, check_pages(calm, LEN, 2));
	munmap(mem, LEN);
	munmap(calm, LEN);
}

struct long_move {
	int fd, ret;
	char *mem;
	size_t len;
	struct uffdvram_migrate m;
};

static void *move_long(void *arg)
{
	struct long_move *l = arg;

	l->ret = uv_migrate(l->fd, l->mem, l->len, 0, &l->m);
	return NULL;
}

/* Closing a descriptor under a call in progress: the call holds the file. */
TEST_F(vram, closed_during_migrate)
{
	struct long_move l = { .fd = uv_open(), .len = MIB(6) };
	pthread_t thread;
	uint64_t start;
	uint32_t pool;

	ASSERT_LE(0, l.fd);
	l.mem = map_small(l.len);
	ASSERT_EQ(0, uv_attach(l.fd, MIB(8), 0, &pool));
	ASSERT_EQ(0, uv_register(l.fd, l.mem, l.len, pool, NULL));
	fill_pages(l.mem, l.len, 3);
	uv_knob_set("delay_us", "%d", SLOW_US);
	ASSERT_EQ(0, pthread_create(&thread, NULL, move_long, &l));
	sleep_ms(100);
	start = now_ms();
	EXPECT_EQ(0, close(l.fd));
	EXPECT_GT(10000, now_ms() - start);
	knobs_calm();
	pthread_join(thread, NULL);
	EXPECT_EQ(0, l.ret);
	EXPECT_EQ(l.len, l.m.done);
	EXPECT_TRUE(sum_ok(l.mem, l.len, &l.m));
	/* Nobody has a range now: pages come home by themselves. */
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_EQ(-1, check_pages(l.mem, l.len, 3));
	munmap(l.mem, l.len);
}

/* The pool is taken away while pages go into it. */
TEST_F(vram, detached_during_migrate)
{
	struct long_move l = { .fd = self->fd, .len = MIB(6) };
	pthread_t thread;
	uint64_t left;

	l.mem = map_small(l.len);
	ASSERT_EQ(0, uv_register(self->fd, l.mem, l.len, self->pool, NULL));
	fill_pages(l.mem, l.len, 4);
	uv_knob_set("delay_us", "%d", SLOW_US);
	ASSERT_EQ(0, pthread_create(&thread, NULL, move_long, &l));
	sleep_ms(100);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, &left));
	EXPECT_EQ(0, left);
	knobs_calm();
	pthread_join(thread, NULL);
	EXPECT_TRUE(l.ret == -ENODEV || !l.ret) TH_LOG("MIGRATE said %d", l.ret);
	EXPECT_TRUE(sum_ok(l.mem, l.len, &l.m));
	EXPECT_EQ(0, uv_in_vram(self->fd, l.mem, l.len));
	EXPECT_EQ(0, uv_slots_in_use());
	EXPECT_EQ(-1, check_pages(l.mem, l.len, 4));
	munmap(l.mem, l.len);
}

static int move_and_leave(int sock, void *arg)
{
	/* Not on the stack, which is no longer ours while the threads go on. */
	static struct long_move l = { .len = MIB(24) };
	pthread_t thread[3];
	uint32_t pool;
	int i;

	l.fd = uv_open();
	l.mem = map_small(l.len);
	if (l.fd < 0 || uv_attach(l.fd, MIB(26), 0, &pool) ||
	    uv_register(l.fd, l.mem, l.len, pool, NULL))
		return 1;
	fill_pages(l.mem, l.len, 5);
	uv_knob_set("delay_us", "%d", SLOW_US);
	for (i = 0; i < 3; i++)
		if (pthread_create(&thread[i], NULL, move_long, &l))
			return 2;
	sleep_ms(100);
	child_tell(sock, 1);
	if (*(bool *)arg)	/* leave, threads and all; else wait for the kill */
		return 0;
	sleep_ms(60000);
	return 3;
}

/* A process goes while three of its threads move pages. */
TEST_F(vram, exit_and_kill_during_migrate)
{
	uint64_t word, start;
	struct child c;
	bool by_itself;
	int round;

	for (round = 0; round < 6; round++) {
		by_itself = round % 2;
		c = child_start(move_and_leave, &by_itself);
		ASSERT_TRUE(child_hear(c.fd, &word));
		start = now_ms();
		if (by_itself) {
			EXPECT_EQ(0, child_end(&c));
		} else {
			child_kill(&c);
		}
		EXPECT_GT(40000, now_ms() - start);
		knobs_calm();
		EXPECT_TRUE(uv_wait_slots(0)) TH_LOG("round %d", round);
	}
}

struct brief {
	int fd;
	char *mem;
	uint32_t pool;
	uint64_t end;
	long bad, rounds;
};

/* Ranges come and go, contexts too, while others move the same pages. */
static void *contexts_come_and_go(void *arg)
{
	struct brief *b = arg;
	uint32_t range;
	int fd, ret;

	for (; now_ms() < b->end || b->rounds < 3; b->rounds++) {
		fd = uv_open();
		ret = uv_register(fd, b->mem, LEN, b->pool, &range);
		if (!ret) {
			b->bad += uv_migrate(fd, b->mem, LEN, 0, NULL) != 0;
			if (b->rounds % 2)
				b->bad += uv_unregister(fd, range) != 0;
		} else {
			b->bad += ret != -EBUSY;
		}
		close(fd);
	}
	return NULL;
}

TEST_F(vram, contexts_in_parallel)
{
	struct brief b[4];
	char *mem = map_small(LEN);
	uint32_t pool;
	int i;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), UFFDVRAM_POOL_SHARED, &pool));
	fill_pages(mem, LEN, 6);
	for (i = 0; i < 4; i++)
		b[i] = (struct brief){ .mem = mem, .pool = pool, .end = now_ms() + 1500 };
	ASSERT_EQ(0, threads_run(4, contexts_come_and_go, b, sizeof(*b)));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, b[i].bad);
	EXPECT_EQ(-1, check_pages(mem, LEN, 6));
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
	munmap(mem, LEN);
}

TEST_HARNESS_MAIN
