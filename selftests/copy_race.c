// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * COPY while everything else goes on: no write is lost, no read is wrong, no
 * other process is reached. Each test tells by counters that both sides met.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "util_mm.h"
#include "copy_fixture.h"

#define SHARE	16	/* pages that one worker has for itself */

/* A thread of a race: does its work over and over, and counts what is wrong. */
struct racer {
	int fd;
	char *mem, *buf;
	uint64_t end, seed;
	long rounds, bad;
	int last;		/* the last result that was wrong */
	bool *stop;
	void (*once)(struct racer *r);
	uint64_t version[SHARE];
};

static void racer_bad(struct racer *r, int what)
{
	r->bad++;
	r->last = what;
}

static bool racer_stopped(const struct racer *r)
{
	if (r->stop)
		return __atomic_load_n(r->stop, __ATOMIC_ACQUIRE);
	return now_ms() >= r->end && r->rounds >= 20;
}

static void *racer_run(void *arg)
{
	struct racer *r = arg;

	for (; !racer_stopped(r); r->rounds++)
		r->once(r);
	return NULL;
}

/* A piece of 1 to @most pages that lies in the first @pages. */
static size_t racer_piece(struct racer *r, size_t pages, size_t most, size_t *n)
{
	*n = 1 + rnd(&r->seed) % most;
	return rnd(&r->seed) % (pages - *n + 1);
}

static void move_in(struct racer *r)
{
	size_t n, at = racer_piece(r, PAGES, PAGES, &n);
	int ret = uv_migrate(r->fd, r->mem + at * PAGE, n * PAGE, 0, NULL);

	if (ret)
		racer_bad(r, ret);
}

static void move_out(struct racer *r)
{
	size_t n, at = racer_piece(r, PAGES, PAGES, &n);
	int ret = uv_migrate(r->fd, r->mem + at * PAGE, n * PAGE, UFFDVRAM_MIGRATE_TO_RAM, NULL);

	if (ret)
		racer_bad(r, ret);
	sleep_ms(10);
}

/* Only to be in the way of others. */
static void read_all(struct racer *r)
{
	int ret = uv_copy(r->fd, 0, r->mem, LEN, r->buf, NULL);

	if (ret)
		racer_bad(r, ret);
	sleep_ms(1);
}

/* Writes its own pages, by COPY and CPU, and finds what it wrote last. */
static void own_pages(struct racer *r)
{
	size_t n, at = racer_piece(r, SHARE, 6, &n), i;
	uint64_t what = rnd(&r->seed) % 32;
	char *mem = r->mem + at * PAGE;
	int ret = 0;

	if (what < 15) {
		for (i = 0; i < n; i++)
			fill_pages_as(r->buf + i * PAGE, PAGE, mem + i * PAGE,
				      ++r->version[at + i]);
		ret = uv_copy(r->fd, WRITE, mem, n * PAGE, r->buf, NULL);
	} else if (what < 30) {
		ret = uv_copy(r->fd, 0, mem, n * PAGE, r->buf, NULL);
		for (i = 0; i < n && !ret; i++)
			if (check_pages_as(r->buf + i * PAGE, PAGE, mem + i * PAGE,
					   r->version[at + i]) != -1)
				racer_bad(r, 1000 + at + i);
	} else if (what == 30) {
		fill_pages(mem, PAGE, ++r->version[at]);
	} else if (check_pages(mem, PAGE, r->version[at]) != -1) {
		racer_bad(r, 2000 + at);
	}
	if (ret)
		racer_bad(r, ret);
}

static void report(struct __test_metadata *_metadata, const struct racer *r, int n)
{
	for (int i = 0; i < n; i++) {
		EXPECT_EQ(0, r[i].bad) TH_LOG("thread %d: %ld of %ld, the last: %d", i, r[i].bad,
					      r[i].rounds, r[i].last);
		EXPECT_LT(0, r[i].rounds) TH_LOG("thread %d", i);
	}
}

static const char * const met[] = {
	"copy_read", "copy_written", "copy_ram", "copy_raced", "fault_pages", "pages_in",
	"pages_out",
};

static bool all_met(const uint64_t *before)
{
	for (size_t i = 0; i < ARRAY_SIZE(met); i++)
		if (uv_stat(met[i]) <= before[i])
			return false;
	return true;
}

/*
 * Four workers with pages of their own, movers in both directions, a reader; for so long
 * that all has happened that can: on a busy machine more than once.
 */
TEST_F(copy, pages_move_meanwhile)
{
	enum { WORKERS = PAGES / SHARE, ALL = WORKERS + 3, GOES = 25 };
	uint64_t before[ARRAY_SIZE(met)];
	struct racer r[ALL];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(met); i++)
		before[i] = uv_stat(met[i]);
	fill_pages(self->mem, LEN, 0);
	for (i = 0; i < ALL; i++)
		r[i] = (struct racer){ .fd = self->fd, .mem = self->mem, .seed = 77 + i,
				       .buf = map_small(LEN) };
	for (i = 0; i < WORKERS; i++) {
		r[i].mem += i * SHARE * PAGE;
		r[i].once = own_pages;
	}
	r[WORKERS].once = move_in;
	r[WORKERS + 1].once = move_out;
	r[WORKERS + 2].once = read_all;
	uv_knob_set("delay_us", "%d", 100);
	for (int go = 0; go < GOES && !all_met(before); go++) {
		for (i = 0; i < ALL; i++)
			r[i].end = now_ms() + 2000;
		ASSERT_EQ(0, threads_run(ALL, racer_run, r, sizeof(*r)));
	}
	knobs_calm();
	report(_metadata, r, ALL);
	for (i = 0; i < ARRAY_SIZE(met); i++) {
		TH_LOG("%s: %llu", met[i], (unsigned long long)(uv_stat(met[i]) - before[i]));
		EXPECT_LT(before[i], uv_stat(met[i])) TH_LOG("%s", met[i]);
	}
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(-1, check_pages(self->mem + i * PAGE, PAGE,
					  r[i / SHARE].version[i % SHARE]));
}

/* Every word is what it was filled with, or zero since its page is new. */
static bool words_known(const char *copy, const char *as, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += sizeof(uint64_t))
		if (*(const uint64_t *)(copy + i) &&
		    check_pages_as(copy + i, sizeof(uint64_t), as + i, 1) != -1)
			return false;
	return true;
}

static void copy_holes(struct racer *r)
{
	static const uint32_t flags[] = { 0, WRITE, NOFAULT, WRITE | NOFAULT };
	uint32_t f = flags[rnd(&r->seed) % 4];
	size_t n, at = racer_piece(r, PAGES, PAGES, &n);
	uint64_t done;
	int ret;

	if (f & WRITE)
		fill_pages_as(r->buf, n * PAGE, r->mem + at * PAGE, 1);
	ret = uv_copy(r->fd, f, r->mem + at * PAGE, n * PAGE, r->buf, &done);
	if (ret && ret != -EFAULT && ret != -EACCES && (ret != -ENOENT || !(f & NOFAULT)))
		racer_bad(r, ret);
	if (done > n * PAGE || done % PAGE || (!ret && done != n * PAGE))
		racer_bad(r, 1);
	else if (!(f & WRITE) && !words_known(r->buf, r->mem + at * PAGE, done))
		racer_bad(r, 2);
	if (done && done < n * PAGE)
		r->version[0]++;	/* met a change in the middle */
}

/* Takes memory away under the range, and puts it back. */
static void change_memory(struct racer *r)
{
	size_t n, at = racer_piece(r, PAGES, 4, &n);
	char *mem = r->mem + at * PAGE;
	bool ok;

	switch (rnd(&r->seed) % 4) {
	case 0:
		ok = mremap(mem, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, r->buf) ==
		     r->buf;
		/* Older kernels do not move pieces of several mappings at once. */
		if (!ok && errno == EFAULT)
			return;
		ok = ok && words_known(r->buf, mem, n * PAGE);
		ok = ok && mremap(r->buf, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				  mem) == mem;
		break;
	case 1:
		ok = !munmap(mem, n * PAGE);
		sched_yield();
		ok = ok && mmap(mem, n * PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == mem;
		break;
	case 2:
		ok = !mprotect(mem, n * PAGE, PROT_NONE);
		sched_yield();
		ok = ok && !mprotect(mem, n * PAGE, PROT_READ | PROT_WRITE);
		break;
	default:
		ok = !madvise(mem, n * PAGE, MADV_DONTNEED);
	}
	if (!ok)
		racer_bad(r, -errno);
}

/* How often the first three met a change in the middle. */
static uint64_t copies_ended_early(const struct racer *r)
{
	return r[0].version[0] + r[1].version[0] + r[2].version[0];
}

TEST_F(copy, memory_changes_meanwhile)
{
	struct racer r[5];
	int i, go;

	for (i = 0; i < 5; i++)
		r[i] = (struct racer){ .fd = self->fd, .mem = self->mem, .seed = 99 + i,
				       .buf = map_small(LEN),
				       .once = i < 3 ? copy_holes : change_memory };
	r[3].once = move_in;
	uv_knob_set("delay_us", "%d", 50);
	/* On a busy machine a copy may be through before anything changes. */
	for (go = 0; go < 25 && !copies_ended_early(r); go++) {
		for (i = 0; i < 5; i++)
			r[i].end = now_ms() + 2000;
		ASSERT_EQ(0, threads_run(5, racer_run, r, sizeof(*r)));
	}
	knobs_calm();
	report(_metadata, r, 5);
	EXPECT_LT(0, copies_ended_early(r));
	EXPECT_TRUE(words_known(self->mem, self->mem, LEN));
}

static uint64_t sum_of(const char *mem)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < LEN; i += sizeof(uint64_t))
		sum = sum * 31 + *(const volatile uint64_t *)(mem + i);
	return sum;
}

/* A child finds its memory unchanged, whatever its parent writes meanwhile. */
static void fork_child(struct racer *r)
{
	pid_t pid = fork();
	uint64_t sum;
	int status;

	if (!pid) {
		sum = sum_of(r->mem);
		sleep_ms(30);
		_exit(sum != sum_of(r->mem));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		racer_bad(r, pid < 0 ? -errno : status);
}

static void write_all(struct racer *r)
{
	int ret;

	fill_pages_as(r->buf, LEN, r->mem, ++r->version[0]);
	ret = uv_copy(r->fd, WRITE, r->mem, LEN, r->buf, NULL);
	if (ret)
		racer_bad(r, ret);
	ret = uv_copy(r->fd, 0, r->mem, LEN, r->buf, NULL);
	if (ret || check_pages_as(r->buf, LEN, r->mem, r->version[0]) != -1)
		racer_bad(r, ret ? ret : 1);
}

TEST_F(copy, forks_meanwhile)
{
	uint64_t slots = uv_stat("copy_written"), ram = uv_stat("copy_ram");
	struct racer r[4];
	int i, run;

	fill_pages(self->mem, LEN, 0);
	for (i = 0; i < 4; i++)
		r[i] = (struct racer){ .fd = self->fd, .mem = self->mem, .seed = 55 + i,
				       .buf = map_small(LEN), .once = fork_child };
	r[0].once = write_all;
	r[1].once = move_in;
	/* A slow machine forks again before anything is written in place. */
	for (run = 0; run < 25 && (!run || slots == uv_stat("copy_written")); run++) {
		for (i = 0; i < 4; i++)
			r[i].end = now_ms() + 2000;
		ASSERT_EQ(0, threads_run(4, racer_run, r, sizeof(*r)));
	}
	report(_metadata, r, 4);
	EXPECT_LT(slots, uv_stat("copy_written"));
	EXPECT_LT(ram, uv_stat("copy_ram"));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, r[0].version[0]));
	TH_LOG("%ld writes, %ld children", r[0].rounds, r[2].rounds + r[3].rounds);
}

struct two_rounds {
	const struct racer *r;
	long since[2];
};

static bool two_rounds_each(void *arg)
{
	struct two_rounds *two = arg;

	return __atomic_load_n(&two->r[0].rounds, __ATOMIC_RELAXED) > two->since[0] + 1 &&
	       __atomic_load_n(&two->r[1].rounds, __ATOMIC_RELAXED) > two->since[1] + 1;
}

/* The pool, or the range, goes while its pages are copied. */
static void goes_meanwhile(struct __test_metadata *_metadata, bool detach)
{
	int fd = uv_open(), i;
	char *mem = map_small(LEN);
	uint32_t pool, range;
	bool stop = false;
	struct racer r[2] = {
		{ .fd = fd, .mem = mem, .buf = map_small(LEN), .stop = &stop, .once = write_all },
		{ .fd = fd, .mem = mem, .buf = map_small(LEN), .stop = &stop, .once = read_all },
	};
	struct two_rounds two = { .r = r };
	pthread_t thread[2];

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, uv_attach(fd, MIB(2), 0, &pool));
	ASSERT_EQ(0, uv_register(fd, mem, LEN, pool, &range));
	fill_pages(mem, LEN, 0);
	ASSERT_EQ(PAGES, move_all(fd, mem, LEN, 0, NULL));
	uv_knob_set("delay_us", "%d", 300);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, racer_run, &r[i]));
	sleep_ms(100);
	if (detach) {
		EXPECT_EQ(0, uv_detach(fd, pool, 0, NULL));
	} else {
		EXPECT_EQ(0, uv_unregister(fd, range));
		/* Its orphans go home under the copies that were begun before. */
		EXPECT_TRUE(uv_wait_slots(0));
	}
	/* The last one of each has to begin after that. */
	for (i = 0; i < 2; i++)
		two.since[i] = __atomic_load_n(&r[i].rounds, __ATOMIC_RELAXED);
	EXPECT_TRUE(wait_until(two_rounds_each, &two, 120000));
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(detach ? 0 : -ENOENT, r[i].last) TH_LOG("thread %d", i);
	}
	EXPECT_EQ(0, uv_in_vram(fd, mem, LEN));
	if (detach)
		EXPECT_EQ(-1, check_pages(mem, LEN, r[0].version[0]));
	munmap(mem, LEN);
	close(fd);
}

TEST_F(copy, pool_goes_meanwhile)
{
	for (int i = 0; i < 5; i++)
		goes_meanwhile(_metadata, true);
}

TEST_F(copy, range_goes_meanwhile)
{
	for (int i = 0; i < 5; i++)
		goes_meanwhile(_metadata, false);
}

/* Writes single pages: a page is never half of one write, half of another. */
static void write_some(struct racer *r)
{
	size_t at = rnd(&r->seed) % PAGES;
	int ret;

	fill_pages_as(r->buf, PAGE, r->mem + at * PAGE, ++r->version[0]);
	ret = uv_copy(r->fd, WRITE, r->mem + at * PAGE, PAGE, r->buf, NULL);
	if (ret)
		racer_bad(r, ret);
}

/* One round of a precopy: what was written is armed anew, then read by COPY. */
static long precopy_round(int uffd, int pagemap, struct racer *r, char *image)
{
	long pages = 0;

	for (size_t i = 0; i < LEN; i += PAGE) {
		if (pages_written(pagemap, r->mem + i, PAGE) != 1)
			continue;
		if (uffd_wp(uffd, r->mem + i, PAGE, true) ||
		    uv_copy(r->fd, 0, r->mem + i, PAGE, image + i, NULL))
			return -1;
		pages++;
	}
	return pages;
}

/* A precopy by COPY of pages that another COPY writes: its image is complete. */
TEST_F(copy, precopy)
{
	int uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED |
			     UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), i;
	uint64_t reads = uv_stat("copy_read"), faults = uv_stat("fault_pages");
	bool stop = false;
	struct racer r[3];
	pthread_t thread[3];
	long n, pages = 0;

	ASSERT_LE(0, uffd);
	ASSERT_LE(0, pagemap);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_WP));
	fill_pages(self->mem, LEN, 0);
	for (i = 0; i < 3; i++) {
		r[i] = (struct racer){ .fd = self->fd, .mem = self->mem, .seed = 21 + i,
				       .stop = &stop, .buf = map_small(LEN) };
		r[i].once = i == 0 ? write_some : i == 1 ? move_in : move_out;
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, racer_run, &r[i]));
	}
	/* Until all has happened that is to happen. */
	for (i = 0; i < 20 || (i < 4000 && (pages <= PAGES || reads == uv_stat("copy_read") ||
					    faults == uv_stat("fault_pages"))); i++) {
		n = precopy_round(uffd, pagemap, r, self->buf);
		ASSERT_LE(0, n);
		pages += n;
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	ASSERT_LE(0, precopy_round(uffd, pagemap, r, self->buf));
	report(_metadata, r, 3);
	EXPECT_EQ(0, memcmp(self->mem, self->buf, LEN));
	EXPECT_LT(PAGES, pages);
	EXPECT_LT(reads, uv_stat("copy_read"));
	EXPECT_LT(faults, uv_stat("fault_pages"));
	TH_LOG("%ld writes, %ld pages copied", r[0].rounds, pages);
	close(pagemap);
	close(uffd);
}

/* Writes a batch; its last page comes long after it was looked up. */
static void write_batch(struct racer *r)
{
	int ret;

	*(uint64_t *)(r->buf + 31 * PAGE) = ++r->version[0];
	ret = uv_copy(r->fd, WRITE, r->mem, 32 * PAGE, r->buf, NULL);
	if (ret)
		racer_bad(r, ret);
}

/* From when a page in RAM is protected until it is noted as written it stays as it is. */
TEST_F(copy, protected_meanwhile)
{
	int uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED |
			     UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	char *page = self->mem + 31 * PAGE;
	volatile uint64_t *word = (uint64_t *)page;
	uint64_t end = now_ms() + 3000, was;
	bool stop = false;
	struct racer r = { .fd = self->fd, .mem = self->mem, .buf = self->buf, .stop = &stop,
			   .once = write_batch };
	long changes = 0, bad = 0;
	pthread_t thread;
	int i;

	ASSERT_LE(0, uffd);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, pthread_create(&thread, NULL, racer_run, &r));
	while (now_ms() < end || changes < 20) {
		ASSERT_EQ(0, uffd_wp(uffd, page, PAGE, true));
		was = *word;
		for (i = 0; i < 100000 && *word == was; i++)
			;
		if (*word == was)
			continue;
		changes++;
		bad += !!(pagemap_entry(0, page) & PAGEMAP_UFFD_WP);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	report(_metadata, &r, 1);
	EXPECT_EQ(0, bad) TH_LOG("of %ld changes", changes);
	close(uffd);
}

TEST_HARNESS_MAIN
