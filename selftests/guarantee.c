// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * What nobody does behind a monitor's back: no hole of armed memory is filled, and no page
 * comes home from VRAM that nobody touched. Each beside a control, which shows that it would
 * happen otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uffdvram/uffdvram.h>

#include "kselftest_harness.h"
#include "util_mm.h"
#include "vram_fixture.h"

#define BLOCK	(HUGE / PAGE)
#define BLOCKS	4
#define SIZE	(BLOCKS * HUGE)
#define SEED	21
/* Every so many-th page of the first blocks is a hole, and all of the last one. */
#define STEP	7

#define MPOL_BIND	2
#define MPOL_MF_MOVE	2
#define KHUGEPAGED	"/sys/kernel/mm/transparent_hugepage/khugepaged/"

static bool is_hole(size_t page)
{
	return page % STEP == 3 || page >= (BLOCKS - 1) * BLOCK;
}

static size_t count_holes(const char *mem, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i += PAGE)
		n += !(pagemap_entry(0, mem + i) & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED));
	return n;
}

/* A process that does what VMMs do to their memory, and khugepaged. */
struct rivals {
	pthread_t thread;
	char *mem;
	long long scans;
	_Atomic long rounds;
	_Atomic long collapsed;
	_Atomic bool stop;
};

static long long full_scans(void)
{
	char text[32];

	return file_read(KHUGEPAGED "full_scans", text, sizeof(text)) > 0 ? atoll(text) : -1;
}

static void *collapse_all(void *arg)
{
	struct rivals *r = arg;

	while (!r->stop) {
		/* QEMU does so when it has received the last page. */
		madvise(r->mem, SIZE, MADV_HUGEPAGE);
		for (size_t i = 0; i < BLOCKS; i++)
			r->collapsed += !madvise(r->mem + i * HUGE, HUGE, MADV_COLLAPSE);
		r->rounds++;
		sleep_ms(1);
	}
	return NULL;
}

static bool have_been_round(void *arg)
{
	struct rivals *r = arg;

	return r->rounds >= 20 && full_scans() >= r->scans + 2;
}

/* Comes back when each has seen all of the memory a few times. */
static bool rivals_start(struct rivals *r, char *mem)
{
	*r = (struct rivals){ .mem = mem, .scans = full_scans() };
	return khugepaged_on() && !pthread_create(&r->thread, NULL, collapse_all, r) &&
	       wait_until(have_been_round, r, 180000);
}

static void rivals_stop(struct rivals *r)
{
	r->stop = true;
	pthread_join(r->thread, NULL);
	khugepaged_off();
}

FIXTURE(armed)
{
	struct uffdvram_ctx *ctx;
	struct uffdvram_range *range;
	char *mem, *data;
	int fd;
};

FIXTURE_SETUP(armed)
{
	struct uffdvram_range_opts opts = { .size = sizeof(opts) };
	uint32_t pool;

	if (full_scans() < 0)
		SKIP(return, "no huge pages in this kernel");
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->mem = map_huge(SIZE);
	self->data = map_huge(SIZE);
	fill_pages(self->mem, SIZE, SEED);
	fill_pages_as(self->data, SIZE, self->mem, SEED);
	ASSERT_EQ(0, uffdvram_open(&self->ctx, NULL));
	self->fd = uffdvram_fd(self->ctx);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(16), 0, &pool));
	ASSERT_EQ(0, uffdvram_pool_wrap(&opts.pool, self->ctx, pool));
	ASSERT_EQ(0, uffdvram_range_register(&self->range, self->ctx, ADDR(self->mem), SIZE,
					     &opts));
	/* Populated long ago: in RAM, in VRAM, and some of each. */
	ASSERT_EQ(BLOCK, uv_to_vram(self->fd, self->mem + HUGE, HUGE));
	ASSERT_EQ(100, uv_to_vram(self->fd, self->mem + 2 * HUGE + 50 * PAGE, 100 * PAGE));
}

FIXTURE_TEARDOWN(armed)
{
	khugepaged_off();
	uffdvram_close(self->ctx);
	munmap(self->mem, SIZE);
	munmap(self->data, SIZE);
	EXPECT_TRUE(uv_wait_slots(0));
}

/* Answers userfaultfd, and counts what it is asked, page by page. */
struct monitor {
	pthread_t thread;
	struct uffdvram_range *range;
	const char *mem, *data;
	bool protects;
	int ret;
	unsigned int *told;
	_Atomic bool stop;
};

static int monitor_answer(struct monitor *m, size_t page)
{
	if (m->protects)
		return uffdvram_range_unprotect(m->range, page * PAGE, PAGE);
	return uffdvram_range_install(m->range, page * PAGE, m->data + page * PAGE, PAGE, 0, NULL);
}

static void *monitor(void *arg)
{
	struct monitor *m = arg;
	struct uffd_msg msg;
	size_t page;

	while (!m->stop && !m->ret) {
		if (!uffd_wait(uffdvram_range_uffd(m->range), &msg, 50))
			continue;
		page = (msg.arg.pagefault.address - ADDR(m->mem)) / PAGE;
		m->told[page]++;
		m->ret = monitor_answer(m, page);
	}
	return NULL;
}

static void monitor_start(struct __test_metadata *_metadata, FIXTURE_DATA(armed) *self,
			  struct monitor *m, bool protects)
{
	*m = (struct monitor){
		.range = self->range, .mem = self->mem, .data = self->data,
		.protects = protects, .told = calloc(SIZE / PAGE, sizeof(*m->told)),
	};
	ASSERT_EQ(0, pthread_create(&m->thread, NULL, monitor, m));
}

static void monitor_stop(struct __test_metadata *_metadata, struct monitor *m)
{
	m->stop = true;
	pthread_join(m->thread, NULL);
	EXPECT_EQ(0, m->ret);
}

/* Registered first, holes second. Each hole is told of, once, and nothing else is. */
TEST_F(armed, holes_stay_holes)
{
	const struct uffdvram_arm_opts opts = {
		.size = sizeof(opts), .flags = UFFDVRAM_ARM_MISSING,
	};
	size_t holes = 0, wrong = 0, i;
	struct monitor m;
	struct rivals r;

	ASSERT_EQ(0, uffdvram_range_arm(self->range, &opts));
	for (i = 0; i < SIZE / PAGE; i++) {
		if (!is_hole(i))
			continue;
		ASSERT_EQ(0, uffdvram_range_punch(self->range, i * PAGE, PAGE));
		holes++;
	}
	ASSERT_TRUE(rivals_start(&r, self->mem));
	EXPECT_EQ(holes, count_holes(self->mem, SIZE));

	monitor_start(_metadata, self, &m, false);
	for (i = 0; i < SIZE / PAGE; i++)
		wrong += !!memcmp(self->mem + i * PAGE, self->data + i * PAGE, PAGE);
	monitor_stop(_metadata, &m);
	rivals_stop(&r);
	EXPECT_EQ(0, wrong);
	wrong = 0;
	for (i = 0; i < SIZE / PAGE; i++)
		wrong += m.told[i] != is_hole(i);
	EXPECT_EQ(0, wrong) TH_LOG("%zu holes, %ld collapsed", holes, (long)r.collapsed);
	free(m.told);
}

/* The control: holes first. khugepaged fills them with zeroes, and nobody is told. */
TEST_F(armed, naive_order_loses_events)
{
	const size_t len = (BLOCKS - 1) * HUGE;
	char *mem = map_huge(len);
	int uffd = uffd_open(0);
	uint64_t end = now_ms() + 180000;
	struct uffd_msg msg;

	fill_pages(mem, len, SEED);
	for (size_t i = 0; i < len / PAGE; i++)
		if (is_hole(i))
			ASSERT_EQ(0, madvise(mem + i * PAGE, PAGE, MADV_DONTNEED));
	ASSERT_LT(0, count_holes(mem, len));
	ASSERT_TRUE(khugepaged_on());
	while (count_holes(mem, len) && now_ms() < end)
		sleep_ms(10);
	ASSERT_EQ(0, uffd_register(uffd, mem, len, UFFDIO_REGISTER_MODE_MISSING));
	EXPECT_EQ(0, count_holes(mem, len));
	EXPECT_EQ(0, read_byte(mem + 3 * PAGE).value);
	EXPECT_NE(-1, check_pages(mem, len, SEED));
	EXPECT_FALSE(uffd_wait(uffd, &msg, 0));
	close(uffd);
	munmap(mem, len);
}

/* Protected memory is never made huge, and so each first write is told, once. */
TEST_F(armed, writes_are_told_once)
{
	const struct uffdvram_arm_opts opts = {
		.size = sizeof(opts), .flags = UFFDVRAM_ARM_WP,
	};
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	long in_vram = uv_in_vram(self->fd, self->mem, SIZE);
	struct monitor m;
	struct rivals r;
	size_t wrong = 0, i;

	ASSERT_LE(0, pagemap);
	ASSERT_EQ(0, uffdvram_range_arm(self->range, &opts));
	ASSERT_EQ(0, uffdvram_range_rearm(self->range, 0, SIZE));
	ASSERT_TRUE(rivals_start(&r, self->mem));
	EXPECT_EQ(in_vram, uv_in_vram(self->fd, self->mem, SIZE));
	EXPECT_EQ((long)(SIZE / PAGE), pages_protected(pagemap, self->mem, SIZE));
	monitor_start(_metadata, self, &m, true);
	for (i = 0; i < SIZE; i += PAGE)
		self->mem[i] = self->data[i];
	monitor_stop(_metadata, &m);
	rivals_stop(&r);
	for (i = 0; i < SIZE / PAGE; i++)
		wrong += m.told[i] != 1;
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(-1, check_pages(self->mem, SIZE, SEED));
	free(m.told);
	close(pagemap);
}

/* Pages in RAM that were touched lately, and less of them in VRAM, below one table. */
static char *mixed_block(struct __test_metadata *_metadata, FIXTURE_DATA(vram) *self)
{
	char *mem = map_huge(HUGE);

	ASSERT_EQ(0, madvise(mem, HUGE, MADV_NOHUGEPAGE));
	fill_pages(mem, HUGE, SEED);
	ASSERT_EQ(0, uv_register(self->fd, mem, HUGE, self->pool, NULL));
	ASSERT_EQ(200, uv_to_vram(self->fd, mem + 64 * PAGE, 200 * PAGE));
	return mem;
}

static void touch_ram(char *mem)
{
	for (size_t i = 0; i < BLOCK; i++)
		if (i < 64 || i >= 264)
			((volatile char *)mem)[i * PAGE];
}

/* It would take them home to make a huge page, however many it may. */
TEST_F(vram, khugepaged)
{
	uint64_t before = uv_stat("collapses_refused"), faults = uv_stat("faults");
	uint64_t end = now_ms() + 180000;
	char *mem = mixed_block(_metadata, self), most[32];

	if (file_read(KHUGEPAGED "max_ptes_swap", most, sizeof(most)) < 0)
		SKIP(return, "no huge pages in this kernel");
	ASSERT_EQ(0, file_write(KHUGEPAGED "max_ptes_swap", "511"));
	ASSERT_TRUE(khugepaged_on());
	ASSERT_EQ(0, madvise(mem, HUGE, MADV_HUGEPAGE));
	while (uv_stat("collapses_refused") < before + 3 && now_ms() < end) {
		touch_ram(mem);
		sleep_ms(5);
	}
	khugepaged_off();
	EXPECT_EQ(0, file_write(KHUGEPAGED "max_ptes_swap", most));
	EXPECT_LE(before + 3, uv_stat("collapses_refused"));
	EXPECT_EQ(200, uv_in_vram(self->fd, mem, HUGE));
	EXPECT_EQ(faults, uv_stat("faults"));
	EXPECT_EQ(-1, check_pages(mem, 64 * PAGE, SEED));
	EXPECT_EQ(-1, check_pages(mem, HUGE, SEED));
	munmap(mem, HUGE);
}

/* The owner may: he is told, and it is counted. */
TEST_F(vram, collapse_by_its_owner)
{
	struct uffdvram_range_register arg = {
		.size = sizeof(arg), .flags = UFFDVRAM_RANGE_FAULT_EVENTS, .len = HUGE,
		.pool = self->pool,
	};
	uint64_t served = uv_stat("collapses_served"), told = 0;
	struct uffdvram_event ev;
	char *mem = map_huge(HUGE);

	ASSERT_EQ(0, madvise(mem, HUGE, MADV_NOHUGEPAGE));
	fill_pages(mem, HUGE, SEED);
	arg.addr = ADDR(mem);
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &arg));
	ASSERT_EQ(200, uv_to_vram(self->fd, mem + 64 * PAGE, 200 * PAGE));
	ASSERT_EQ(0, madvise(mem, HUGE, MADV_HUGEPAGE));
	if (collapse_huge(mem, HUGE) == -EINVAL)
		SKIP(return, "no huge pages in this kernel");
	EXPECT_EQ(0, uv_in_vram(self->fd, mem, HUGE));
	EXPECT_EQ(1, huge_pages(self->fd, mem, HUGE) / (long)BLOCK);
	EXPECT_EQ(served + 200, uv_stat("collapses_served"));
	while (told < 200 * PAGE) {
		ASSERT_EQ(sizeof(ev), read(self->fd, &ev, sizeof(ev)));
		EXPECT_EQ(UFFDVRAM_EVENT_FAULT_BACK, ev.type);
		EXPECT_EQ(UFFDVRAM_BACK_COLLAPSE, ev.cause);
		EXPECT_EQ(ADDR(mem) + 64 * PAGE + told, ev.addr);
		told += ev.len;
	}
	/* What a CPU touches is told as such. */
	EXPECT_EQ(200 * PAGE, told);
	ASSERT_EQ(1, uv_to_vram(self->fd, mem, PAGE));
	EXPECT_EQ(-1, check_pages(mem, HUGE, SEED));
	ASSERT_EQ(sizeof(ev), read(self->fd, &ev, sizeof(ev)));
	EXPECT_EQ(UFFDVRAM_BACK_ACCESS, ev.cause);
	munmap(mem, HUGE);
}

/* KSM merges what is in RAM, as the other half shows, and leaves VRAM alone. */
TEST_F(vram, ksm)
{
	enum { HALF = 64 };
	char *mem = map_small(2 * HALF * PAGE);
	uint64_t faults = uv_stat("faults"), end = now_ms() + 180000;

	memset(mem, 'k', 2 * HALF * PAGE);
	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * HALF * PAGE, self->pool, NULL));
	ASSERT_EQ(HALF, uv_to_vram(self->fd, mem, HALF * PAGE));
	if (!ksm_on())
		SKIP(return, "no KSM in this kernel");
	ASSERT_EQ(0, madvise(mem, 2 * HALF * PAGE, MADV_MERGEABLE));
	while (ksm_merged() < HALF && now_ms() < end)
		sleep_ms(10);
	sleep_ms(200);
	EXPECT_EQ(HALF, ksm_merged());
	EXPECT_EQ(HALF, uv_in_vram(self->fd, mem, 2 * HALF * PAGE));
	EXPECT_EQ(faults, uv_stat("faults"));
	ksm_off();
	for (size_t i = 0; i < 2 * HALF * PAGE; i++)
		ASSERT_EQ('k', mem[i]);
	munmap(mem, 2 * HALF * PAGE);
}

#define NUMA	"/sys/kernel/debug/sched/numa_balancing/"

/* The scanner of NUMA balancing: on, ten times a second; and as it was. */
static struct {
	const char *path, *often;
	char was[32];
} scanner[] = {
	{ NUMA "scan_delay_ms", "100", "" },
	{ NUMA "scan_period_min_ms", "100", "" },
	{ NUMA "scan_period_max_ms", "100", "" },
	{ "/proc/sys/kernel/numa_balancing", "1", "" },
};

static bool scanner_on(void)
{
	bool ok = true;

	for (size_t i = 0; i < sizeof(scanner) / sizeof(*scanner); i++)
		ok &= file_read(scanner[i].path, scanner[i].was, sizeof(scanner[i].was)) > 0 &&
		      !file_write(scanner[i].path, scanner[i].often);
	return ok;
}

static void scanner_off(void)
{
	for (size_t i = 0; i < sizeof(scanner) / sizeof(*scanner); i++)
		file_write(scanner[i].path, scanner[i].was);
}

/* Pages of each kind, in one mapping: RAM, VRAM, and private in an exclusive range. */
#define KIND	64UL

/* A thread that touches those in RAM, and what that costs it: a fault for each scan. */
struct scanned {
	const volatile char *ram;
	_Atomic unsigned long faults;
	_Atomic bool stop;
};

static void *touch_scanned(void *arg)
{
	struct scanned *s = arg;
	struct rusage before, now;

	getrusage(RUSAGE_THREAD, &before);
	while (!s->stop) {
		for (size_t i = 0; i < KIND; i++)
			s->ram[i * PAGE];
		getrusage(RUSAGE_THREAD, &now);
		s->faults = now.ru_minflt - before.ru_minflt;
	}
	return NULL;
}

/* A few more pages of the thread's own are scanned, too. */
static bool scanned_often(void *arg)
{
	return ((struct scanned *)arg)->faults >= 6 * KIND;
}

/*
 * NUMA balancing takes access away, to learn who touches what. That is neither a touch, nor
 * does an exclusive range mind. One node is enough: a process of two threads is scanned.
 */
TEST_F(vram, numa_balancing)
{
	long long updates = file_value("/proc/vmstat", "numa_pte_updates");
	char *mem = map_small(3 * KIND * PAGE), *vram = mem + KIND * PAGE;
	char *secret = vram + KIND * PAGE;
	struct scanned s = { .ram = mem };
	uint64_t faults;
	pthread_t thread;

	fill_pages(mem, 3 * KIND * PAGE, SEED);
	ASSERT_EQ(0, madvise(mem, 3 * KIND * PAGE, MADV_DONTFORK));
	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * KIND * PAGE, self->pool, NULL));
	ASSERT_EQ(0, uv_register_flags(self->fd, secret, KIND * PAGE, self->pool,
				       UFFDVRAM_RANGE_EXCLUSIVE, NULL));
	ASSERT_EQ(2 * KIND, uv_to_vram(self->fd, vram, 2 * KIND * PAGE));
	ASSERT_EQ(0, uv_convert(self->fd, UFFDVRAM_CONVERT_PRIVATE, secret, KIND * PAGE, 0, NULL));
	faults = uv_stat("faults");
	ASSERT_TRUE(scanner_on());
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch_scanned, &s));
	EXPECT_TRUE(wait_until(scanned_often, &s, 180000));
	s.stop = true;
	pthread_join(thread, NULL);
	scanner_off();
	/* Not every kernel counts this. */
	if (updates >= 0)
		EXPECT_LE(updates + (long long)(4 * KIND),
			  file_value("/proc/vmstat", "numa_pte_updates"));
	EXPECT_EQ(2 * KIND, uv_in_vram(self->fd, mem, 3 * KIND * PAGE));
	EXPECT_EQ(faults, uv_stat("faults"));
	EXPECT_EQ(BUS_ADRERR, read_byte(secret).code);
	ASSERT_EQ(0, uv_convert(self->fd, 0, secret, KIND * PAGE, 0, NULL));
	EXPECT_EQ(-1, check_pages(mem, 3 * KIND * PAGE, SEED));
	/* And all may be written again. */
	fill_pages(mem, 3 * KIND * PAGE, SEED + 1);
	EXPECT_EQ(-1, check_pages(mem, 3 * KIND * PAGE, SEED + 1));
	munmap(mem, 3 * KIND * PAGE);
}

static void shake(struct __test_metadata *_metadata, char *mem, size_t len)
{
	unsigned long node = 1;

	EXPECT_EQ(0, madvise(mem, len, MADV_COLD));
	EXPECT_EQ(0, madvise(mem, len, MADV_PAGEOUT));
	EXPECT_EQ(0, syscall(SYS_mbind, mem, len, MPOL_BIND, &node, 2, MPOL_MF_MOVE));
	EXPECT_LE(0, syscall(SYS_migrate_pages, 0, 2, &node, &node));
	EXPECT_EQ(0, file_write("/proc/sys/vm/compact_memory", "1"));
	lru_drain();
}

/* Reclaim, compaction and policies are about RAM: the other half is swapped out. */
TEST_F(vram, reclaim_and_compaction)
{
	enum { HALF = 64 };
	char *mem = map_small(2 * HALF * PAGE);
	uint64_t faults = uv_stat("faults");

	if (!swap_on())
		SKIP(return, "no zram");
	fill_pages(mem, 2 * HALF * PAGE, SEED);
	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * HALF * PAGE, self->pool, NULL));
	ASSERT_EQ(HALF, uv_to_vram(self->fd, mem, HALF * PAGE));
	for (int i = 0; i < 5; i++)
		shake(_metadata, mem, 2 * HALF * PAGE);
	EXPECT_TRUE(swap_out(mem + HALF * PAGE, HALF));
	EXPECT_EQ(HALF, uv_in_vram(self->fd, mem, 2 * HALF * PAGE));
	EXPECT_EQ(faults, uv_stat("faults"));
	EXPECT_EQ(-1, check_pages(mem, 2 * HALF * PAGE, SEED));
	munmap(mem, 2 * HALF * PAGE);
	swap_off();
}

TEST_HARNESS_MAIN
