// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/*
 * Histograms of how long faults, moves and copies took: one entry for each that did
 * something, none for others, in the bucket that its time belongs in.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "util_mm.h"
#include "vram_fixture.h"

#define LATENCY		"/sys/kernel/debug/uffdvram/latency"
#define PAGES		256
#define LEN		(PAGES * PAGE)
/* Not more: the kernel would count in jiffies, which lag on a busy machine. */
#define SLOW_US		10000
/* 2^23 ns: slow ones take longer, others do not, by and large. */
#define SLOW_BUCKET	23
/* A busy host stops the machine now and then, but not each time. */
#define TRIES		20

enum { FAULT, IN, OUT, COPY_READ, COPY_WRITE, OPS };

static const char *const names[OPS] = { "fault", "in", "out", "copy_read", "copy_write" };

/* In bucket[i]: what took less than 2^i ns, and no less than half of it. */
struct histogram {
	uint64_t count, ns, bucket[64];
};

/* What there was before, and what has come since. */
static struct histogram before[OPS], grown[OPS];

static void read_buckets(const char *at, struct histogram *h)
{
	uint64_t end, last = 0;
	char *next;

	while (*at == ' ') {
		end = strtoull(at, &next, 10);
		if (next == at || end & (end - 1) || end <= last || *next != ' ')
			give_up("a bucket's end");
		at = next;
		h->bucket[__builtin_ctzll(end)] = strtoull(at, &next, 10);
		if (next == at || !h->bucket[__builtin_ctzll(end)])
			give_up("a bucket");
		at = next;
		last = end;
	}
	if (*at != '\n')
		give_up("the end of a line");
}

static void read_latencies(struct histogram h[OPS])
{
	static char text[32768];
	char begin[32], *line;
	int n;

	memset(h, 0, OPS * sizeof(*h));
	if (file_read(LATENCY, text, sizeof(text)) < 0)
		give_up(LATENCY);
	for (int i = 0; i < OPS; i++) {
		snprintf(begin, sizeof(begin), "op %s count ", names[i]);
		line = strstr(text, begin);
		if (!line || sscanf(line, "op %*s count %lu sum_ns %lu%n", &h[i].count,
				    &h[i].ns, &n) != 2)
			give_up(names[i]);
		read_buckets(line + n, &h[i]);
	}
}

static void look(void)
{
	read_latencies(before);
}

/* Entries add up, and all of them together took what their buckets say. */
static bool holds(const struct histogram *h)
{
	uint64_t count = 0, least = 0, most = 0;

	for (int i = 0; i < 64; i++) {
		count += h->bucket[i];
		least += h->bucket[i] * (i ? 1ULL << (i - 1) : 0);
		most += h->bucket[i] * ((1ULL << i) - 1);
	}
	return count == h->count && least <= h->ns && h->ns <= most;
}

/* What has come since look(): so many of each, and nothing else. */
static void expect_counts(struct __test_metadata *_metadata, const uint64_t want[OPS])
{
	struct histogram now[OPS];

	read_latencies(now);
	for (int i = 0; i < OPS; i++) {
		grown[i].count = now[i].count - before[i].count;
		grown[i].ns = now[i].ns - before[i].ns;
		for (int b = 0; b < 64; b++)
			grown[i].bucket[b] = now[i].bucket[b] - before[i].bucket[b];
		EXPECT_TRUE(holds(&grown[i]))
			TH_LOG("%s: %lu ns", names[i], grown[i].ns);
		EXPECT_EQ(want[i], grown[i].count)
			TH_LOG("of %s", names[i]);
	}
	memcpy(before, now, sizeof(now));
}

#define expect_grown(...) \
	expect_counts(_metadata, (const uint64_t[OPS]){ __VA_ARGS__ })

static uint64_t below(const struct histogram *h, int bucket)
{
	uint64_t n = 0;

	for (int i = 0; i <= bucket; i++)
		n += h->bucket[i];
	return n;
}

/*
 * The two clocks were not calibrated alike; and who changes his CPU may see the module's
 * jump by a tick. So those who need it exactly stay on one.
 */
static uint64_t a_bit_more(uint64_t ns)
{
	return ns + ns / 50 + 20000000;
}

static char *registered(struct __test_metadata *_metadata, int fd, uint32_t pool, size_t len)
{
	char *mem = map_aligned(len);

	EXPECT_EQ(0, uv_register(fd, mem, len, pool, NULL));
	fill_pages(mem, len, 1);
	lru_drain();
	return mem;
}

struct toucher {
	char *mem;
	size_t len;
	uint64_t wall;
};

static void *touch(void *arg)
{
	struct toucher *t = arg;
	uint64_t began = now_ns();

	for (size_t at = 0; at < t->len; at += PAGE)
		*(volatile char *)(t->mem + at);
	t->wall = now_ns() - began;
	return NULL;
}

/* Each page comes home in a fault of its own, and nothing else happens meanwhile. */
TEST_F(vram, faults)
{
	char *mem = registered(_metadata, self->fd, self->pool, LEN);
	struct toucher t = { mem, LEN, 0 };
	uint64_t pages;

	on_one_cpu();
	/* There is little else to a fault, and nothing to the loop; but a host may stop us. */
	for (int i = 0; i < TRIES; i++) {
		ASSERT_EQ(PAGES, uv_to_vram(self->fd, mem, LEN));
		pages = uv_stat("fault_pages");
		look();
		touch(&t);
		expect_grown([FAULT] = PAGES);
		EXPECT_EQ(PAGES, uv_stat("fault_pages") - pages);
		EXPECT_LE(grown[FAULT].ns, a_bit_more(t.wall));
		if (grown[FAULT].ns >= t.wall / 20)
			break;
	}
	EXPECT_GE(grown[FAULT].ns, t.wall / 20);

	touch(&t);
	expect_grown([FAULT] = 0);
	munmap(mem, LEN);
}

/* Each CPU counts for itself, and all count. */
TEST_F(vram, faults_on_all_cpus)
{
	char *mem = registered(_metadata, self->fd, self->pool, LEN);
	struct toucher t[2] = { { mem, LEN / 2, 0 }, { mem + LEN / 2, LEN / 2, 0 } };

	for (int round = 0; round < 4; round++) {
		ASSERT_EQ(PAGES, uv_to_vram(self->fd, mem, LEN));
		look();
		ASSERT_EQ(0, threads_run(2, touch, t, sizeof(t[0])));
		expect_grown([FAULT] = PAGES);
		EXPECT_LE(grown[FAULT].ns, a_bit_more(t[0].wall + t[1].wall));
	}
	munmap(mem, LEN);
}

/* A fault that brings nothing home is none. */
TEST_F(vram, faults_that_fail)
{
	char *mem = registered(_metadata, self->fd, self->pool, LEN);
	uint64_t errors = uv_stat("fault_errors");

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, mem, LEN));
	look();
	uv_knob_set("fail_to_ram", "1");
	EXPECT_EQ(SIGBUS, read_byte(mem).signo);
	EXPECT_EQ(SIGBUS, read_byte(mem).signo);
	EXPECT_EQ(2, uv_stat("fault_errors") - errors);
	expect_grown([FAULT] = 0);
	munmap(mem, LEN);
}

struct slow_read {
	int fd, ret;
	char *mem, buf[PAGE];
};

static void *slow_read(void *arg)
{
	struct slow_read *r = arg;

	r->ret = uv_copy(r->fd, 0, r->mem, PAGE, r->buf, NULL);
	return NULL;
}

/* A fault that meets somebody in the gate comes again, and counts when it is done. */
TEST_F(vram, faults_that_come_again)
{
	char *mem = registered(_metadata, self->fd, self->pool, LEN);
	struct slow_read r = { .fd = self->fd, .mem = mem };
	uint64_t retries = uv_stat("fault_retries");
	pthread_t thread;
	int tries;

	/* A slow machine has nobody in the gate yet. */
	for (tries = 0; tries < 20 && uv_stat("fault_retries") == retries; tries++) {
		ASSERT_EQ(PAGES, uv_to_vram(self->fd, mem, LEN));
		look();
		uv_knob_set("delay_us", "%d", 100 * SLOW_US);
		ASSERT_EQ(0, pthread_create(&thread, NULL, slow_read, &r));
		sleep_ms(10 * SLOW_US / 1000);
		uv_knob_set("delay_us", "0");
		*(volatile char *)mem;
		pthread_join(thread, NULL);
		EXPECT_EQ(0, r.ret);
	}
	EXPECT_GT(uv_stat("fault_retries"), retries);
	expect_grown([FAULT] = 1, [COPY_READ] = 1);
	munmap(mem, LEN);
}

/* A step is what one page table maps, whatever part of it moves. */
TEST_F(vram, steps)
{
	const size_t len = 3 * HUGE;
	char *mem = registered(_metadata, self->fd, self->pool, len);
	struct uffdvram_migrate m;
	uint64_t began;

	on_one_cpu();
	look();
	began = now_ns();
	ASSERT_EQ(0, uv_migrate(self->fd, mem, len, 0, &m));
	EXPECT_GT(m.moved, 2 * HUGE / PAGE);
	began = now_ns() - began;
	expect_grown([IN] = 3);
	EXPECT_LE(grown[IN].ns, a_bit_more(began));
	EXPECT_GE(grown[IN].ns, began / 100);

	ASSERT_EQ(len / PAGE, uv_to_vram(self->fd, mem, len));
	look();
	ASSERT_EQ(0, uv_migrate(self->fd, mem, len, 0, &m));
	EXPECT_EQ(0, m.moved);
	expect_grown([IN] = 0);

	/* The end of one table, and the beginning of the next. */
	ASSERT_EQ(0, uv_migrate(self->fd, mem + HUGE - PAGE, 2 * PAGE,
				UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(2, m.moved);
	expect_grown([OUT] = 2);
	began = now_ns();
	ASSERT_EQ(0, uv_migrate(self->fd, mem, len, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(len / PAGE - 2, m.moved);
	began = now_ns() - began;
	expect_grown([OUT] = 3);
	EXPECT_LE(grown[OUT].ns, a_bit_more(began));
	EXPECT_GE(grown[OUT].ns, began / 100);
	munmap(mem, len);
}

/* Holes that are filled have been moved in, too; and what fails has not. */
TEST_F(vram, steps_without_copies)
{
	char *mem = map_aligned(HUGE);
	struct uffdvram_migrate m;

	ASSERT_EQ(0, uv_register(self->fd, mem, HUGE, self->pool, NULL));
	look();
	ASSERT_EQ(0, uv_migrate(self->fd, mem, HUGE, 0, &m));
	EXPECT_EQ(HUGE / PAGE, m.moved);
	expect_grown([IN] = 1);

	ASSERT_EQ(HUGE / PAGE, uv_to_ram(self->fd, mem, HUGE));
	lru_drain();
	look();
	uv_knob_set("fail_to_vram_every", "1");
	ASSERT_EQ(0, uv_migrate(self->fd, mem, HUGE, 0, &m));
	EXPECT_EQ(0, m.moved);
	expect_grown([IN] = 0);
	munmap(mem, HUGE);
}

static bool evicted(void *arg)
{
	return uv_stat("evicted") >= *(uint64_t *)arg;
}

/* Orphans come home one by one. */
TEST_F(vram, evictions)
{
	char *mem = map_aligned(HUGE);
	uint32_t range;
	uint64_t all;

	ASSERT_EQ(0, uv_register(self->fd, mem, HUGE, self->pool, &range));
	fill_pages(mem, HUGE, 1);
	ASSERT_EQ(HUGE / PAGE, uv_to_vram(self->fd, mem, HUGE));
	all = uv_stat("evicted") + HUGE / PAGE;
	look();
	ASSERT_EQ(0, uv_unregister(self->fd, range));
	/* Slots are free before the books are kept. */
	EXPECT_TRUE(wait_until(evicted, &all, 60000));
	expect_grown([OUT] = HUGE / PAGE);
	munmap(mem, HUGE);
}

/* COPY goes by runs of up to 32 pages; what it copies in RAM is no matter here. */
TEST_F(vram, copies)
{
	static char buf[LEN];
	char *mem = registered(_metadata, self->fd, self->pool, LEN);
	uint64_t began;

	on_one_cpu();
	look();
	ASSERT_EQ(0, uv_copy(self->fd, 0, mem, LEN, buf, NULL));
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, mem, LEN, buf, NULL));
	expect_grown([COPY_READ] = 0);

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, mem, LEN));
	for (int i = 0; i < TRIES; i++) {
		look();
		began = now_ns();
		ASSERT_EQ(0, uv_copy(self->fd, 0, mem, LEN, buf, NULL));
		began = now_ns() - began;
		expect_grown([COPY_READ] = PAGES / 32);
		EXPECT_LE(grown[COPY_READ].ns, a_bit_more(began));
		if (grown[COPY_READ].ns >= began / 50)
			break;
	}
	EXPECT_GE(grown[COPY_READ].ns, began / 50);
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, mem, 40 * PAGE, buf, NULL));
	expect_grown([COPY_WRITE] = 2);
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, mem, LEN));

	uv_knob_set("fail_to_ram_every", "1");
	EXPECT_EQ(-EIO, uv_copy(self->fd, 0, mem, LEN, buf, NULL));
	expect_grown([COPY_READ] = 0);
	munmap(mem, LEN);
}

/* What is slow is found where slow things are. */
TEST_F(vram, slow_copies)
{
	const size_t len = 8 * PAGE;
	char *mem = registered(_metadata, self->fd, self->pool, len);
	struct toucher t = { mem, len, 0 };
	static char buf[8 * PAGE];
	struct uffdvram_migrate m;

	on_one_cpu();
	for (int i = 0; i < TRIES; i++) {
		ASSERT_EQ(8, uv_to_vram(self->fd, mem, len));
		look();
		touch(&t);
		expect_grown([FAULT] = 8);
		if (below(&grown[FAULT], SLOW_BUCKET) >= 4)
			break;
	}
	EXPECT_GE(below(&grown[FAULT], SLOW_BUCKET), 4);
	lru_drain();

	uv_knob_set("delay_us", "%d", SLOW_US);
	look();
	ASSERT_EQ(0, uv_migrate(self->fd, mem, len, 0, &m));
	EXPECT_LT(0, m.moved);
	expect_grown([IN] = 1);
	EXPECT_EQ(0, below(&grown[IN], SLOW_BUCKET));
	/* All of them, however long it takes. */
	ASSERT_EQ(8, uv_to_vram(self->fd, mem, len));
	look();
	ASSERT_EQ(0, uv_copy(self->fd, 0, mem, len, buf, NULL));
	expect_grown([COPY_READ] = 1);
	EXPECT_EQ(0, below(&grown[COPY_READ], SLOW_BUCKET));
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, mem, len, buf, NULL));
	expect_grown([COPY_WRITE] = 1);
	EXPECT_EQ(0, below(&grown[COPY_WRITE], SLOW_BUCKET));
	touch(&t);
	expect_grown([FAULT] = 8);
	EXPECT_EQ(0, below(&grown[FAULT], SLOW_BUCKET));
	EXPECT_GE(grown[FAULT].ns, 8 * SLOW_US * 1000ULL);
	EXPECT_LE(grown[FAULT].ns, a_bit_more(t.wall));
	ASSERT_EQ(8, uv_to_vram(self->fd, mem, len));
	look();
	ASSERT_EQ(0, uv_migrate(self->fd, mem, len, UFFDVRAM_MIGRATE_TO_RAM, NULL));
	expect_grown([OUT] = 1);
	EXPECT_EQ(0, below(&grown[OUT], SLOW_BUCKET));
	munmap(mem, len);
}

static int nobody_reads(int fd, void *arg)
{
	(void)fd;
	(void)arg;
	become_nobody();
	return open(LATENCY, O_RDONLY) < 0 && errno == EACCES ? 0 : 1;
}

/* How long others' faults take tells of what others do. */
TEST(for_root_only)
{
	struct stat st;

	ASSERT_EQ(0, stat(LATENCY, &st));
	EXPECT_EQ(S_IFREG | 0400, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	EXPECT_EQ(0, run_child(nobody_reads, NULL));
}

TEST_HARNESS_MAIN
