// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * The CPU touches pages that live in VRAM: they come home with the right
 * bytes, or say loudly that they are lost.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include "util_mm.h"
#include "vram_fixture.h"

TEST_F(vram, reads_and_writes)
{
	enum { PAGES = 600 };
	char *mem = map_small(PAGES * PAGE);
	uint64_t pages = uv_stat("fault_pages"), faults = uv_stat("faults");
	size_t i, bad = 0;

	ASSERT_EQ(0, uv_register(self->fd, mem, PAGES * PAGE, self->pool, NULL));
	fill_pages(mem, PAGES * PAGE, 1);
	ASSERT_EQ(PAGES, move_all(self->fd, mem, PAGES * PAGE, 0, NULL));
	EXPECT_EQ(-1, check_pages(mem, PAGES * PAGE, 1));
	EXPECT_EQ(0, uv_in_vram(self->fd, mem, PAGES * PAGE));
	EXPECT_EQ(PAGES, uv_stat("fault_pages") - pages);
	EXPECT_LT(0, uv_stat("faults") - faults);
	EXPECT_GE(PAGES, uv_stat("faults") - faults);

	/* A write first: the rest of the page must come along. */
	ASSERT_EQ(PAGES, move_all(self->fd, mem, PAGES * PAGE, 0, NULL));
	for (i = 0; i < PAGES; i++)
		*(volatile uint64_t *)(mem + i * PAGE + 8) = i;
	for (i = 0; i < PAGES; i++) {
		char *page = mem + i * PAGE;

		bad += *(uint64_t *)(page + 8) != i;
		bad += check_pages(page, 8, 1) != -1;
		bad += check_pages(page + 16, PAGE - 16, 1) != -1;
	}
	EXPECT_EQ(0, bad);
	munmap(mem, PAGES * PAGE);
}

/* The kernel's own accesses, each to a page of its own. */
TEST_F(vram, system_calls)
{
	enum { AREA = 4 };	/* pages for each kind of access */
	char *mem = map_small(6 * AREA * PAGE), *at = mem, *buf = map_small(AREA * PAGE);
	struct iovec mine = { buf, AREA * PAGE }, theirs = { 0 };
	int pipefd[2], self_mem = open("/proc/self/mem", O_RDWR);
	const size_t len = AREA * PAGE;

	ASSERT_LE(0, self_mem);
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(0, uv_register(self->fd, mem, 6 * len, self->pool, NULL));
	fill_pages(mem, 6 * len, 2);
	ASSERT_EQ(6 * AREA, move_all(self->fd, mem, 6 * len, 0, NULL));

	ASSERT_EQ(len, write(pipefd[1], at, len));	/* read from VRAM */
	ASSERT_EQ(len, read(pipefd[0], buf, len));
	EXPECT_EQ(-1, check_pages_as(buf, len, at, 2));
	at += len;
	theirs = (struct iovec){ at, len };
	ASSERT_EQ(len, process_vm_readv(getpid(), &mine, 1, &theirs, 1, 0));
	EXPECT_EQ(-1, check_pages_as(buf, len, at, 2));
	at += len;
	ASSERT_EQ(len, pread(self_mem, buf, len, ADDR(at)));
	EXPECT_EQ(-1, check_pages_as(buf, len, at, 2));
	at += len;

	/* Writes to the middle of them; the edges must be what they were. */
	fill_pages_as(buf, len, at, 3);
	ASSERT_EQ(len - PAGE, write(pipefd[1], buf + PAGE / 2, len - PAGE));
	ASSERT_EQ(len - PAGE, read(pipefd[0], at + PAGE / 2, len - PAGE));
	EXPECT_EQ(-1, check_pages(at + PAGE / 2, len - PAGE, 3));
	EXPECT_EQ(-1, check_pages(at, PAGE / 2, 2));
	EXPECT_EQ(-1, check_pages(at + len - PAGE / 2, PAGE / 2, 2));
	at += len;
	fill_pages_as(buf, len, at, 3);
	theirs = (struct iovec){ at, 100 };
	mine.iov_len = 100;
	ASSERT_EQ(100, process_vm_writev(getpid(), &mine, 1, &theirs, 1, 0));
	EXPECT_EQ(-1, check_pages(at, 96, 3));
	EXPECT_EQ(-1, check_pages(at + 104, len - 104, 2));
	at += len;
	fill_pages_as(buf, len, at, 3);
	ASSERT_EQ(8, pwrite(self_mem, buf + 8, 8, ADDR(at + 8)));
	EXPECT_EQ(-1, check_pages(at, 8, 2));
	EXPECT_EQ(-1, check_pages(at + 8, 8, 3));
	EXPECT_EQ(-1, check_pages(at + 16, len - 16, 2));
	EXPECT_EQ(0, uv_in_vram(self->fd, mem, 6 * len));
	munmap(mem, 6 * len);
	munmap(buf, len);
	close(self_mem);
	close(pipefd[0]);
	close(pipefd[1]);
}

struct toucher {
	pthread_barrier_t *barrier;
	char *mem;
	size_t pages;
	unsigned int id;
	size_t bad;
};

/* Read pages in an order of one's own, and write a word of one's own. */
static void *touch_pages(void *arg)
{
	struct toucher *t = arg;
	size_t i, at;

	pthread_barrier_wait(t->barrier);
	for (i = 0; i < t->pages; i++) {
		at = (i * 7 + t->id * 13) % t->pages;
		t->bad += check_pages(t->mem + at * PAGE + 512, PAGE - 512, 4) != -1;
		__atomic_fetch_add((uint64_t *)(t->mem + at * PAGE) + t->id, 1,
				   __ATOMIC_RELAXED);
	}
	return NULL;
}

static int by_number(const void *a, const void *b)
{
	return *(const uint64_t *)a < *(const uint64_t *)b ? -1 : 1;
}

/*
 * How often threads came again. Where the core does not lock the page for them
 * (6.12), they do so for as long as the one who brings it home takes, be that a
 * moment or, when the host gives its CPU to somebody else, long: then many times.
 * So that the typical round is judged, not the unlucky one.
 */
static void judge_retries(struct __test_metadata *_metadata, uint64_t *retries, int rounds,
			  size_t faults)
{
	uint64_t sum = 0;

	for (int i = 0; i < rounds; i++)
		sum += retries[i];
	qsort(retries, rounds, sizeof(*retries), by_number);
	printf("# herds: %d rounds of %zu faults: retries: %llu, in half of the rounds up to %llu, at most %llu\n",
	       rounds, faults, (unsigned long long)sum,
	       (unsigned long long)retries[rounds / 2],
	       (unsigned long long)retries[rounds - 1]);
	EXPECT_GE(faults * 100, retries[rounds / 2]);
}

/* Eight threads want the same pages at the same moment: one brings each, all get it. */
static void herd(struct __test_metadata *_metadata, int fd, uint32_t pool, size_t pages,
		 int rounds)
{
	enum { THREADS = 8, MOST = 100 };
	uint64_t retries[MOST], brought = uv_stat("fault_pages");
	struct toucher t[THREADS];
	pthread_barrier_t barrier;
	char *mem = map_small(pages * PAGE);
	size_t i, bad = 0;
	int round, k;

	ASSERT_GE(MOST, rounds);
	ASSERT_EQ(0, uv_register(fd, mem, pages * PAGE, pool, NULL));
	fill_pages(mem, pages * PAGE, 4);
	for (i = 0; i < pages; i++)
		memset(mem + i * PAGE, 0, 512);
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (round = 0; round < rounds; round++) {
		ASSERT_EQ(pages, move_all(fd, mem, pages * PAGE, 0, NULL));
		retries[round] = uv_stat("fault_retries");
		for (k = 0; k < THREADS; k++)
			t[k] = (struct toucher){ &barrier, mem, pages, k, 0 };
		ASSERT_EQ(0, threads_run(THREADS, touch_pages, t, sizeof(*t)));
		for (k = 0; k < THREADS; k++)
			bad += t[k].bad;
		ASSERT_EQ(0, bad);
		ASSERT_EQ(0, uv_in_vram(fd, mem, pages * PAGE));
		retries[round] = uv_stat("fault_retries") - retries[round];
	}
	EXPECT_EQ(pages * rounds, uv_stat("fault_pages") - brought);
	judge_retries(_metadata, retries, rounds, pages * THREADS);
	/* No update was lost, by any thread, in any page. */
	for (i = 0; i < pages; i++)
		for (k = 0; k < THREADS; k++)
			bad += ((uint64_t *)(mem + i * PAGE))[k] != (uint64_t)rounds;
	EXPECT_EQ(0, bad);
	munmap(mem, pages * PAGE);
}

TEST_F(vram, herd_on_one_page)
{
	herd(_metadata, self->fd, self->pool, 1, 100);
}

TEST_F(vram, herd_on_many_pages)
{
	herd(_metadata, self->fd, self->pool, 127, 10);
}

struct two_ways {
	int fd;
	char *mem;
	size_t pages;
	unsigned int id;
	bool *stop;
	uint64_t rounds, bad;
};

/* Words 2n and 2n+1 of each page belong to thread n: a counter and its check. */
static void *count_up(void *arg)
{
	struct two_ways *t = arg;
	uint64_t *word;
	size_t i;

	for (t->rounds = 0; !__atomic_load_n(t->stop, __ATOMIC_ACQUIRE); t->rounds++) {
		for (i = 0; i < t->pages; i++) {
			word = (uint64_t *)(t->mem + i * PAGE) + 2 * t->id;
			t->bad += word[0] != t->rounds || word[1] != ~(t->rounds + i);
			word[0]++;
			word[1] = ~(word[0] + i);
		}
	}
	return NULL;
}

#define TWO_WAYS	3

static bool three_rounds(void *arg)
{
	struct two_ways *t = arg;

	for (int k = 0; k < TWO_WAYS; k++)
		if (__atomic_load_n(&t[k].rounds, __ATOMIC_RELAXED) < 3)
			return false;
	return true;
}

/* Pages are pulled home and moved in at the same time; each store must last. */
TEST_F(vram, faults_while_moving_in)
{
	enum { THREADS = TWO_WAYS, PAGES = 256 };
	const int least = sanitizers() ? 40 : 100;
	uint64_t faults = uv_stat("fault_pages"), in = uv_stat("pages_in");
	char *mem = map_small(PAGES * PAGE);
	struct two_ways t[THREADS];
	pthread_t thread[THREADS];
	bool stop = false;
	size_t i, bad = 0;
	int k, calls;

	ASSERT_EQ(0, uv_register(self->fd, mem, PAGES * PAGE, self->pool, NULL));
	fill_pages(mem, PAGES * PAGE, 5);
	for (i = 0; i < PAGES; i++) {
		uint64_t *page = (uint64_t *)(mem + i * PAGE);

		for (k = 0; k < THREADS; k++) {
			page[2 * k] = 0;
			page[2 * k + 1] = ~i;
		}
	}
	for (k = 0; k < THREADS; k++) {
		t[k] = (struct two_ways){ self->fd, mem, PAGES, k, &stop, 0, 0 };
		ASSERT_EQ(0, pthread_create(&thread[k], NULL, count_up, &t[k]));
	}
	/* How much they meet is up to the scheduler: go on until it was enough. */
	for (calls = 0; calls < least || (calls < 20 * least &&
			uv_stat("fault_pages") - faults < 12 * PAGES); calls++)
		ASSERT_EQ(0, uv_migrate(self->fd, mem, PAGES * PAGE, 0, NULL));
	EXPECT_TRUE(wait_until(three_rounds, t, 60000));
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (k = 0; k < THREADS; k++) {
		pthread_join(thread[k], NULL);
		EXPECT_EQ(0, t[k].bad);
		EXPECT_LT(2, t[k].rounds);
	}
	for (i = 0; i < PAGES; i++) {
		uint64_t *page = (uint64_t *)(mem + i * PAGE);

		for (k = 0; k < THREADS; k++)
			bad += page[2 * k] != t[k].rounds;
		bad += check_pages(page + 2 * THREADS, PAGE - 16 * THREADS, 5) != -1;
	}
	EXPECT_EQ(0, bad);
	/* It really went both ways, over and over. */
	faults = uv_stat("fault_pages") - faults;
	in = uv_stat("pages_in") - in;
	TH_LOG("%d calls: %llu pages in, %llu faulted back, %llu raced, %llu retries", calls,
	       (unsigned long long)in, (unsigned long long)faults,
	       (unsigned long long)uv_stat("migrate_raced"),
	       (unsigned long long)uv_stat("fault_retries"));
	EXPECT_LT(10 * PAGES, faults);
	EXPECT_LT(10 * PAGES, in);
	munmap(mem, PAGES * PAGE);
}

static void *read_first(void *arg)
{
	struct toucher *t = arg;

	pthread_barrier_wait(t->barrier);
	t->bad = check_pages(t->mem, PAGE, 6) != -1;
	return NULL;
}

/* While faults wait for a slow device, mmap and munmap must get their turn. */
TEST_F(vram, slow_device)
{
	enum { THREADS = 8, DELAY_MS = 600 };
	char *mem = map_small(2 * PAGE);
	struct toucher t[THREADS];
	pthread_t thread[THREADS];
	pthread_barrier_t barrier;
	uint64_t start, worst = 0;
	int k, calls;

	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * PAGE, self->pool, NULL));
	fill_pages(mem, 2 * PAGE, 6);
	ASSERT_EQ(2, move_all(self->fd, mem, 2 * PAGE, 0, NULL));
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (k = 0; k < THREADS; k++) {
		t[k] = (struct toucher){ &barrier, mem + k % 2 * PAGE, 1, k, 0 };
		ASSERT_EQ(0, pthread_create(&thread[k], NULL, read_first, &t[k]));
	}
	uv_knob_set("delay_us", "%d", DELAY_MS * 1000);
	start = now_ms();
	pthread_barrier_wait(&barrier);
	for (calls = 0; now_ms() - start < 4 * DELAY_MS; calls++) {
		uint64_t before = now_ms();
		char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		*p = 1;
		munmap(p, PAGE);
		if (now_ms() - before > worst)
			worst = now_ms() - before;
	}
	for (k = 0; k < THREADS; k++) {
		pthread_join(thread[k], NULL);
		EXPECT_EQ(0, t[k].bad);
	}
	/* Never slower than a few copies: nobody sleeps on a lock for a lock. */
	TH_LOG("%d times mmap and munmap, the slowest took %llu ms", calls,
	       (unsigned long long)worst);
	EXPECT_GT(10 * DELAY_MS, worst);
	EXPECT_LT(1, calls);
	munmap(mem, 2 * PAGE);
}

static int wait_for_data(int fd, void *arg)
{
	enum { THREADS = 6 };
	char *mem = map_small(2 * PAGE);
	struct toucher t[THREADS];
	pthread_t thread[THREADS];
	pthread_barrier_t barrier;
	int k, ctx = uv_open();
	uint32_t pool;

	(void)arg;
	if (ctx < 0 || uv_attach(ctx, HUGE, 0, &pool) ||
	    uv_register(ctx, mem, 2 * PAGE, pool, NULL))
		return 1;
	fill_pages(mem, 2 * PAGE, 6);
	if (move_all(ctx, mem, 2 * PAGE, 0, NULL) != 2)
		return 2;
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (k = 0; k < THREADS; k++) {
		t[k] = (struct toucher){ &barrier, mem + k % 2 * PAGE, 1, k, 0 };
		if (pthread_create(&thread[k], NULL, read_first, &t[k]))
			return 3;
	}
	uv_knob_set("delay_us", "%d", 1000000);
	pthread_barrier_wait(&barrier);
	child_tell(fd, 1);
	for (k = 0; k < THREADS; k++)
		pthread_join(thread[k], NULL);
	return 0;
}

/* kill -9 ends a process whose threads wait for the device. */
TEST_F(vram, killed_while_waiting)
{
	struct child c = child_start(wait_for_data, NULL);
	uint64_t word, start;

	ASSERT_TRUE(child_hear(c.fd, &word));
	sleep_ms(200);
	start = now_ms();
	child_kill(&c);
	EXPECT_GT(30000, now_ms() - start);
	knobs_calm();
	EXPECT_TRUE(uv_wait_slots(0));
}

static void expect_lost(struct __test_metadata *_metadata, const char *page, size_t offset)
{
	struct sigbus bus = read_byte(page + offset);

	EXPECT_EQ(SIGBUS, bus.signo);
	EXPECT_EQ(BUS_MCEERR_AR, bus.code);
	EXPECT_EQ(12, bus.lsb);
	EXPECT_EQ(ADDR(page), ADDR(bus.addr) & ~(PAGE - 1));
}

static int read_in_child(int fd, void *arg)
{
	struct sigbus bus = read_byte(arg);

	(void)fd;
	return bus.signo == SIGBUS && bus.code == BUS_MCEERR_AR ? 0 : 1;
}

/* Data that cannot be read is lost for good: never zero, never old bytes. */
TEST_F(vram, copy_fails_in_a_fault)
{
	enum { LOST = 5 };
	char *mem = map_small(16 * PAGE), *lost = mem + LOST * PAGE, buf[64];
	struct iovec mine = { buf, sizeof(buf) }, theirs = { lost, sizeof(buf) };
	uint64_t count = uv_stat("slots_lost");
	int pipefd[2], i;

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(0, uv_register(self->fd, mem, 16 * PAGE, self->pool, NULL));
	fill_pages(mem, 16 * PAGE, 7);
	ASSERT_EQ(16, move_all(self->fd, mem, 16 * PAGE, 0, NULL));
	uv_knob_set("fail_to_ram", "%d", 1);
	expect_lost(_metadata, lost, 100);
	EXPECT_EQ(1, uv_stat("slots_lost") - count);
	for (i = 0; i < 5; i++)
		expect_lost(_metadata, lost, i * 1000);
	EXPECT_EQ(SIGBUS, write_byte(lost + 1, 1).signo);
	expect_lost(_metadata, lost, 1);
	EXPECT_EQ(UFFDVRAM_STATE_POISON, state_of(self->fd, lost));
	errno = 0;
	EXPECT_EQ(-1, write(pipefd[1], lost, 10));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, process_vm_readv(getpid(), &mine, 1, &theirs, 1, 0));

	EXPECT_EQ(-1, check_pages(mem, LOST * PAGE, 7));
	EXPECT_EQ(-1, check_pages(lost + PAGE, (15 - LOST) * PAGE, 7));
	EXPECT_EQ(0, run_child(read_in_child, lost));
	expect_lost(_metadata, lost, 7);
	EXPECT_EQ(1, uv_stat("slots_lost") - count);

	/* Who discards it gets a fresh page of zeroes, as with any poison. */
	ASSERT_EQ(0, madvise(lost, PAGE, MADV_DONTNEED));
	EXPECT_EQ(-1, not_zero(lost, PAGE));
	munmap(mem, 16 * PAGE);
	close(pipefd[0]);
	close(pipefd[1]);
}

/* The range is gone: its page still comes home, or is still known as lost. */
TEST_F(vram, faults_without_a_range)
{
	char *mem = map_small(32 * PAGE);
	uint32_t range;

	ASSERT_EQ(0, uv_register(self->fd, mem, 32 * PAGE, self->pool, &range));
	fill_pages(mem, 32 * PAGE, 8);
	ASSERT_EQ(32, move_all(self->fd, mem, 32 * PAGE, 0, NULL));
	uv_knob_set("fail_to_ram", "%d", 1);
	expect_lost(_metadata, mem + PAGE, 0);
	ASSERT_EQ(0, uv_unregister(self->fd, range));
	EXPECT_EQ(-1, check_pages(mem, PAGE, 8));
	EXPECT_EQ(-1, check_pages(mem + 2 * PAGE, 30 * PAGE, 8));
	expect_lost(_metadata, mem + PAGE, 9);
	munmap(mem, 32 * PAGE);
}

TEST_HARNESS_MAIN
