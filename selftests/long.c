// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 300 */
/*
 * Numbers: much of the same, every byte checked. "make check" does a little of
 * each part; scripts/check-long says by LONG_* in the environment how much it is
 * to be. What has been done is counted and printed, every ten seconds as well.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "util_mm.h"

#define CHUNK		MIB(8)		/* what a worker moves at a time */
#define WORKERS		2
#define SHARED		MIB(2)		/* a pool of several processes */
#define VICTIM_LEN	(64 * PAGE)
#define PROGRESS_MS	10000
#define NO_LIMIT	(7 * 86400)	/* the time limit of this file is what ends it */

/**
 * struct job - one part's work, in memory that all its processes share
 * @goal: how much shall be done
 * @done: how much is, in the part's own unit
 * @checked: pages that were compared
 * @wrong: those that were not what they must be
 * @by_cpu: pages come home by being touched
 */
struct job {
	const char *what;
	uint64_t goal, done, checked, wrong, next_ms, begin_ms;
	uint64_t allocated, freed;
	bool by_cpu;
};

static void add(uint64_t *to, uint64_t n)
{
	__atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

static uint64_t get(const uint64_t *from)
{
	return __atomic_load_n(from, __ATOMIC_RELAXED);
}

static void report(const struct job *j)
{
	printf("# %s: %llu of %llu, %llu pages compared, %llu wrong, %llu s\n", j->what,
	       (unsigned long long)get(&j->done), (unsigned long long)j->goal,
	       (unsigned long long)get(&j->checked), (unsigned long long)get(&j->wrong),
	       (unsigned long long)(now_ms() - j->begin_ms) / 1000);
	fflush(stdout);
}

static void progress(struct job *j)
{
	if (now_ms() < j->next_ms)
		return;
	report(j);
	j->next_ms = now_ms() + PROGRESS_MS;
}

FIXTURE(long)
{
	struct job *job;
};

FIXTURE_SETUP(long)
{
	struct job *j;

	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	j = mmap(NULL, sizeof(*j), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, j);
	j->begin_ms = now_ms();
	j->next_ms = now_ms() + PROGRESS_MS;
	j->allocated = uv_stat("slots_allocated");
	j->freed = uv_stat("slots_freed");
	self->job = j;
}

FIXTURE_TEARDOWN(long)
{
	const struct job *j = self->job;

	report(j);
	EXPECT_LE(j->goal, j->done);
	EXPECT_LT(0, j->checked);
	EXPECT_EQ(0, j->wrong);
	EXPECT_TRUE(uv_wait_slots(0));
	printf("# %s: %llu slots allocated, %llu freed\n", j->what,
	       (unsigned long long)(uv_stat("slots_allocated") - j->allocated),
	       (unsigned long long)(uv_stat("slots_freed") - j->freed));
}

static void start(struct job *j, const char *what, const char *env, uint64_t few)
{
	j->what = what;
	j->goal = env_number(env, sanitizers() ? few / 5 : few);
}

/* Several processes do this until the goal is met; 0, or what one of them ended with. */
static int work(struct job *j, int (*fn)(int fd, void *arg))
{
	struct child c[WORKERS];
	siginfo_t info;
	int ret = 0, i, status;

	for (i = 0; i < WORKERS; i++)
		c[i] = child_start(fn, j);
	for (i = 0; i < WORKERS; i++) {
		do {
			progress(j);
			sleep_ms(20);
			info.si_pid = 0;
		} while (!waitid(P_PID, c[i].pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
			 !info.si_pid);
		status = child_end(&c[i]);
		ret = ret ?: status;
	}
	return ret;
}

/* The bytes where they are, in VRAM. */
static uint64_t wrong_in_vram(int fd, const char *mem, size_t len, char *buf, uint64_t seed)
{
	uint64_t wrong = 0;

	if (uv_copy(fd, 0, mem, len, buf, NULL))
		return len / PAGE;
	for (size_t i = 0; i < len; i += PAGE)
		wrong += check_pages_as(buf + i, PAGE, mem + i, seed) != -1;
	return wrong;
}

/* New bytes go in; they come home by request, or by being looked at. */
static int move_chunks(int sock, void *arg)
{
	struct job *j = arg;
	char *mem = map_small(CHUNK), *buf = map_small(CHUNK);
	struct uffdvram_migrate in, out;
	int fd = uv_open();
	uint32_t pool;
	uint64_t seed;
	long there;

	(void)sock;
	if (uv_attach(fd, CHUNK, 0, &pool) || uv_register(fd, mem, CHUNK, pool, NULL))
		return 2;
	for (seed = 1; get(&j->done) < j->goal && !get(&j->wrong); seed++) {
		fill_pages(mem, CHUNK, seed);
		if (uv_migrate(fd, mem, CHUNK, 0, &in) || !sum_ok(mem, CHUNK, &in))
			return 3;
		if (seed % 8 == 0) {
			add(&j->wrong, wrong_in_vram(fd, mem, CHUNK, buf, seed));
			add(&j->checked, CHUNK / PAGE);
		}
		there = uv_in_vram(fd, mem, CHUNK);
		if (there < 0 || (uint64_t)there != in.moved + in.already)
			return 4;
		if (!j->by_cpu && (uv_migrate(fd, mem, CHUNK, UFFDVRAM_MIGRATE_TO_RAM, &out) ||
				   !sum_ok(mem, CHUNK, &out)))
			return 5;
		add(&j->wrong, check_each(mem, CHUNK, seed));
		add(&j->checked, CHUNK / PAGE);
		add(&j->done, j->by_cpu ? (uint64_t)there : in.moved + out.moved);
	}
	return uv_in_vram(fd, mem, CHUNK) ? 6 : 0;
}

/* Two moves for each comparison of a page. */
TEST_F_TIMEOUT(long, moves, NO_LIMIT)
{
	struct job *j = self->job;
	uint64_t counted = uv_stat("pages_in") + uv_stat("pages_out");

	start(j, "page migrations", "LONG_MOVES", 100000);
	ASSERT_EQ(0, work(j, move_chunks));
	counted = uv_stat("pages_in") + uv_stat("pages_out") - counted;
	EXPECT_EQ(j->done, counted);
	EXPECT_LE(j->done, 2 * j->checked);
}

TEST_F_TIMEOUT(long, faults, NO_LIMIT)
{
	struct job *j = self->job;
	uint64_t counted = uv_stat("fault_pages");

	start(j, "CPU faults", "LONG_FAULTS", 40000);
	j->by_cpu = true;
	ASSERT_EQ(0, work(j, move_chunks));
	EXPECT_EQ(j->done, uv_stat("fault_pages") - counted);
	EXPECT_LE(j->done, j->checked);
}

/**
 * struct pool_of_many - what those that are killed share with one who is not
 * @fd: the context of the survivor, in which its victims move its memory, too
 * @mem: the survivor's memory, half of it in VRAM
 */
struct pool_of_many {
	struct job *job;
	int fd;
	uint32_t pool;
	char *mem, *buf;
	uint64_t seed;
	bool of_survivor;	/* the victim works on the survivor's memory */
	bool own_pool;		/* or on its own, in a pool that ends with it */
};

static int act_move(int fd, char *mem, size_t len, uint32_t flags)
{
	struct uffdvram_migrate m;
	int ret = uv_migrate(fd, mem, len, flags, &m);

	return sum_ok(mem, len, &m) ? ret : -ERANGE;
}

/* What a victim does in a round, with a word that is random. */
static int act(int fd, char *mem, char *buf, uint64_t word)
{
	size_t from = word % (VICTIM_LEN / 2) & ~(PAGE - 1);
	size_t len = VICTIM_LEN / 2;

	switch (word >> 32 & 3) {
	case 0:
		return act_move(fd, mem + from, len, 0);
	case 1:
		return act_move(fd, mem + from, len, UFFDVRAM_MIGRATE_TO_RAM);
	case 2:
		return uv_copy(fd, 0, mem + from, len, buf, NULL);
	default:
		return uv_query(fd, mem + from, len, NULL);
	}
}

/* Beside that its own memory is touched, forked and unmapped. */
static int change(char *mem, uint64_t word)
{
	switch (word >> 40 & 7) {
	case 0:
		if (!fork())
			_exit(check_pages(mem, VICTIM_LEN, 1) != -1);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		return 0;
	case 1:
		if (madvise(mem, VICTIM_LEN / 4, MADV_DONTNEED))
			return -errno;
		fill_pages(mem, VICTIM_LEN / 4, 1);
		return 0;
	case 2:
		return check_pages(mem, VICTIM_LEN, 1) == -1 ? 0 : -EIO;
	default:
		return 0;
	}
}

static int victim(int sock, void *arg)
{
	const struct pool_of_many *p = arg;
	int fd = p->of_survivor ? p->fd : uv_open(), ret = 0;
	char *mem = p->of_survivor ? p->mem : map_small(VICTIM_LEN), *buf = map_small(VICTIM_LEN);
	uint64_t word = p->seed;
	uint32_t pool = p->pool;

	if (p->own_pool)
		ret = uv_attach(fd, SHARED, 0, &pool);
	if (!p->of_survivor) {
		fill_pages(mem, VICTIM_LEN, 1);
		ret = ret ?: uv_register(fd, mem, VICTIM_LEN, pool, NULL);
	}
	child_tell(sock, 1);
	while (!ret || ret == -EINTR) {
		ret = act(fd, mem, buf, rnd(&word));
		if (!ret && !p->of_survivor)
			ret = change(mem, word);
	}
	printf("# a victim ended by itself: %d\n", ret);
	fflush(stdout);
	return 1;
}

/* Only what the survivor has there is in VRAM. */
static bool only_survivor(void *arg)
{
	const struct pool_of_many *p = arg;

	return uv_slots_in_use() == (uint64_t)uv_in_vram(p->fd, p->mem, VICTIM_LEN);
}

static void kill_one(struct __test_metadata *_metadata, struct pool_of_many *p)
{
	struct job *j = p->job;
	struct child c;
	uint64_t word;

	p->of_survivor = j->done % 4 == 3;
	p->own_pool = j->done % 4 == 1;
	c = child_start(victim, p);
	ASSERT_TRUE(child_hear(c.fd, &word));
	usleep(rnd(&p->seed) % 15000);
	kill(c.pid, SIGKILL);
	ASSERT_EQ(-SIGKILL, child_end(&c));
	ASSERT_TRUE(wait_until(only_survivor, p, 60000)) TH_LOG("kill %llu: %llu slots are in use",
		(unsigned long long)j->done, (unsigned long long)uv_slots_in_use());
	j->wrong += wrong_in_vram(p->fd, p->mem, VICTIM_LEN, p->buf, 1);
	j->checked += VICTIM_LEN / PAGE;
	j->done++;
}

/* Who is killed at any point leaves nothing behind, and others' pages alone. */
TEST_F_TIMEOUT(long, kills, NO_LIMIT)
{
	struct job *j = self->job;
	struct pool_of_many p = { .job = j, .seed = 1 };
	uint64_t moved = uv_stat("pages_in");

	start(j, "kills", "LONG_KILLS", 50);
	p.fd = uv_open();
	p.mem = map_small(VICTIM_LEN);
	p.buf = map_small(VICTIM_LEN);
	ASSERT_EQ(0, uv_attach(p.fd, SHARED, UFFDVRAM_POOL_SHARED, &p.pool));
	ASSERT_EQ(0, uv_register(p.fd, p.mem, VICTIM_LEN, p.pool, NULL));
	fill_pages(p.mem, VICTIM_LEN, 1);
	while (j->done < j->goal && !j->wrong) {
		ASSERT_LE(0, uv_migrate(p.fd, p.mem, VICTIM_LEN / 2, 0, NULL));
		kill_one(_metadata, &p);
		progress(j);
	}
	moved = uv_stat("pages_in") - moved;
	printf("# %llu pages moved into VRAM by those that were killed and by the survivor\n",
	       (unsigned long long)moved);
	EXPECT_LT(j->done, moved);
	EXPECT_EQ(-1, check_pages(p.mem, VICTIM_LEN, 1));
	EXPECT_EQ(0, uv_detach(p.fd, p.pool, 0, NULL));
	munmap(p.mem, VICTIM_LEN);
	close(p.fd);
}

/**
 * struct user - a thread that uses memory whose pool is taken away
 * @moves: it asks for pages to go there; else it reads and writes them
 * @rounds: it has come round so often; @wrong: with a result that may not be
 */
struct user {
	int fd;
	char *mem;
	bool moves, stop;
	uint64_t rounds, wrong;
};

static void *use(void *arg)
{
	struct user *u = arg;
	int ret;

	for (; !__atomic_load_n(&u->stop, __ATOMIC_ACQUIRE); u->rounds++) {
		for (size_t i = 0; !u->moves && i < VICTIM_LEN; i += PAGE) {
			volatile uint64_t *word = (uint64_t *)(u->mem + i);

			*word = *word;
		}
		/* A CPU that is never idle makes each step of a detach wait. */
		sleep_ms(1);
		if (!u->moves)
			continue;
		ret = uv_migrate(u->fd, u->mem, VICTIM_LEN, 0, NULL);
		u->wrong += ret && ret != -ENODEV && ret != -ENOENT;
	}
	return NULL;
}

static void detach_one(struct __test_metadata *_metadata, struct job *j, int fd, char *mem)
{
	uint32_t pool, range;

	ASSERT_EQ(0, uv_attach(fd, SHARED, 0, &pool));
	ASSERT_EQ(0, uv_register(fd, mem, VICTIM_LEN, pool, &range));
	ASSERT_EQ(0, uv_migrate(fd, mem, VICTIM_LEN, 0, NULL));
	ASSERT_EQ(0, uv_detach(fd, pool, 0, NULL));
	EXPECT_EQ(0, uv_slots_in_use());
	ASSERT_EQ(0, uv_unregister(fd, range));
	j->wrong += check_each(mem, VICTIM_LEN, 1);
	j->checked += VICTIM_LEN / PAGE;
	j->done++;
}

/* A pool goes, while its pages are used and others are on their way to it. */
TEST_F_TIMEOUT(long, detaches, NO_LIMIT)
{
	struct job *j = self->job;
	char *mem = map_small(VICTIM_LEN);
	int fd = uv_open();
	struct user users[] = { { .fd = fd, .mem = mem, .moves = true }, { .mem = mem } };
	uint64_t moved = uv_stat("pages_in"), back = uv_stat("fault_pages");
	pthread_t threads[2];

	start(j, "detaches", "LONG_DETACHES", 5);
	fill_pages(mem, VICTIM_LEN, 1);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, use, &users[i]));
	while (j->done < j->goal && !j->wrong) {
		detach_one(_metadata, j, fd, mem);
		progress(j);
	}
	for (int i = 0; i < 2; i++) {
		__atomic_store_n(&users[i].stop, true, __ATOMIC_RELEASE);
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, users[i].wrong);
		EXPECT_LT(0, users[i].rounds);
	}
	printf("# %llu pages moved in, %llu faulted back meanwhile\n",
	       (unsigned long long)(uv_stat("pages_in") - moved),
	       (unsigned long long)(uv_stat("fault_pages") - back));
	EXPECT_LT(j->done, uv_stat("pages_in") - moved);
	munmap(mem, VICTIM_LEN);
	close(fd);
}

TEST_HARNESS_MAIN
