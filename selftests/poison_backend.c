// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * Data that is lost in VRAM, because a copy out of it fails or a bit flips there, at
 * exactly chosen addresses: these become poison, no other one does, and every byte of
 * the others is compared. scripts/check-long says by POISON_INJECT how many it is to be.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "util_mm.h"
#include "slots_fixture.h"

#define PAGES		2048
#define LEN		(PAGES * PAGE)
#define CHECKSUMS	"/sys/module/uffdvram/parameters/checksums"
#define REGIONS		64	/* room for the list: it is asked for in pieces */
#define PROGRESS_MS	10000

/* How the pages leave VRAM. */
enum way { READ, WRITE, MIGRATE, COPY, DETACH, WAYS };

static const char *const ways[] = { "read", "write", "migrate", "copy", "detach" };

/* What happens to a page's data. */
enum { FINE, FLIPPED, FAILS };

/**
 * struct count - what came of all rounds
 * @injected: pages whose data was lost
 * @observed: SIGBUS at such a page, of the right kind, that said the right address
 * @listed: such pages in POISON_LIST
 * @compared: other pages, all of whose bytes were looked at
 * @wrong: whatever should not have been
 */
struct count {
	uint64_t injected, observed, listed, compared, wrong;
};

FIXTURE(lost)
{
	int fd;
	uint32_t pool, range;
	char *mem, *buf;
	uint64_t seed, rnd, goal, next_ms;
	unsigned int flipped, failed;	/* of this round */
	uint8_t fate[PAGES], told[PAGES];
	struct count sum;
};

typedef FIXTURE_DATA(lost) data;

FIXTURE_SETUP(lost)
{
	knobs_calm();
	/* A neighbour's LRU batch that holds a page would shift what the knob counts. */
	on_one_cpu();
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, file_write(CHECKSUMS, "1"));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	self->buf = map_small(LEN);
	self->goal = env_number("POISON_INJECT", sanitizers() ? 1000 : 4000);
	self->rnd = env_number("POISON_SEED", 1);
	self->next_ms = now_ms() + PROGRESS_MS;
}

static void report(const data *self)
{
	printf("# lost: %llu injected, %llu observed, %llu listed, "
	       "%llu other pages compared, %llu wrong\n",
	       (unsigned long long)self->sum.injected, (unsigned long long)self->sum.observed,
	       (unsigned long long)self->sum.listed, (unsigned long long)self->sum.compared,
	       (unsigned long long)self->sum.wrong);
	fflush(stdout);
}

FIXTURE_TEARDOWN(lost)
{
	report(self);
	knobs_calm();
	file_write(CHECKSUMS, "-1");
	close(self->fd);
	expect_no_slots(_metadata);
}

static char *page(data *self, unsigned int i)
{
	return self->mem + i * PAGE;
}

/* One more thing that should not have been; the first few are told. */
static void wrong(data *self, const char *what, unsigned int i)
{
	if (self->sum.wrong++ < 20)
		printf("# lost: page %u, fate %u: %s\n", i, self->fate[i], what);
}

/* Page i of the memory is page i of a new pool. */
static void place(struct __test_metadata *_metadata, data *self)
{
	struct uffdvram_range_register arg = {
		.size = sizeof(arg), .flags = UFFDVRAM_RANGE_LINEAR, .len = LEN,
	};

	ASSERT_EQ(0, uv_attach(self->fd, LEN, 0, &self->pool));
	ASSERT_EQ(1, pool_value(self->pool, " checked "));
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, ++self->seed);
	arg.pool = self->pool;
	arg.addr = ADDR(self->mem);
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &arg));
	self->range = arg.range;
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
}

/* About every second page: alone, or with its neighbours. */
static void choose(data *self, enum way way)
{
	bool may_fail = way != COPY && way != DETACH;

	self->flipped = self->failed = 0;
	for (unsigned int i = 0; i < PAGES; i++) {
		uint64_t r = rnd(&self->rnd);

		self->told[i] = 0;
		self->fate[i] = r & 1 ? FINE : may_fail && r & 2 ? FAILS : FLIPPED;
		self->failed += self->fate[i] == FAILS;
		if (self->fate[i] != FLIPPED)
			continue;
		self->flipped++;
		uv_knob_set("flip", "%u %llu", self->pool,
			    (unsigned long long)(i * PAGE + (r >> 8) % PAGE));
	}
	self->sum.injected += self->flipped + self->failed;
}

/* Touches a page that is lost: the signal is right, once. */
static void expect_signal(data *self, unsigned int i, bool write)
{
	char *at = page(self, i) + rnd(&self->rnd) % PAGE;
	struct sigbus s = write ? write_byte(at, 0) : read_byte(at);

	if (s.signo == SIGBUS && s.code == BUS_MCEERR_AR && s.addr == at && s.lsb == 12)
		self->sum.observed++;
	else
		wrong(self, s.signo ? "the wrong signal" : "no signal", i);
	self->told[i] = 1;
}

/* Every byte: those that nothing happened to. */
static void compare(data *self, const char *bytes, unsigned int i)
{
	if (check_pages_as(bytes, PAGE, page(self, i), self->seed) != -1)
		wrong(self, "other bytes", i);
	self->sum.compared++;
}

static void touch_all(data *self, bool write)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		if (self->fate[i] == FINE) {
			if (write)
				*(volatile char *)page(self, i) = *page(self, i);
			continue;
		}
		/* Nobody else copies anything: the next one is of this page. */
		if (self->fate[i] == FAILS)
			uv_knob_set("fail_to_ram", "%d", 1);
		expect_signal(self, i, write);
	}
}

/* Pieces with one copy at most that the knob has fail, which counts them all. */
static void migrate_all(data *self)
{
	unsigned int first, end, fail, lost;
	struct uffdvram_migrate m;

	for (first = 0; first < PAGES; first = end) {
		for (end = first, fail = 0, lost = 0; end < PAGES; end++) {
			if (fail && self->fate[end] == FAILS)
				break;
			if (self->fate[end] == FAILS)
				fail = end - first + 1;
			lost += self->fate[end] != FINE;
		}
		uv_knob_set("fail_to_ram", "%u", fail);
		if (uv_migrate(self->fd, page(self, first), (end - first) * PAGE,
			       UFFDVRAM_MIGRATE_TO_RAM, &m) ||
		    m.stayed[UFFDVRAM_STAY_COPY_FAILED] != lost || m.moved != end - first - lost)
			wrong(self, "MIGRATE of a piece that begins here", first);
	}
}

/* COPY ends at each page that is lost; all others it gives as they are. */
static void copy_all(data *self)
{
	unsigned int i, end;
	uint64_t done;
	int ret;

	for (i = 0; i < PAGES; i = end + 1) {
		ret = uv_copy(self->fd, 0, page(self, i), LEN - i * PAGE, self->buf, &done);
		end = i + done / PAGE;
		for (unsigned int k = i; k < end; k++) {
			if (self->fate[k] != FINE)
				wrong(self, "COPY gave it", k);
			else
				compare(self, self->buf + (k - i) * PAGE, k);
		}
		if (ret != (end == PAGES ? 0 : -EHWPOISON) ||
		    (end < PAGES && self->fate[end] == FINE))
			wrong(self, "COPY ended here", end % PAGES);
	}
}

static int leave(data *self, enum way way)
{
	switch (way) {
	case READ:
	case WRITE:
		touch_all(self, way == WRITE);
		return 0;
	case MIGRATE:
		migrate_all(self);
		return 0;
	case COPY:
		copy_all(self);
		return 0;
	default:
		return uv_detach(self->fd, self->pool, 0, NULL);
	}
}

/* What the list has is what was injected. */
static void check_list(struct __test_metadata *_metadata, data *self)
{
	struct uffdvram_region vec[REGIONS];
	struct uffdvram_poison_list q = {};
	uint8_t listed[PAGES] = {};

	for (uint64_t at = 0; at < LEN; at += q.done) {
		q.addr = ADDR(self->mem) + at;
		q.len = LEN - at;
		ASSERT_EQ(0, uv_poison_list(self->fd, &q, vec, REGIONS));
		ASSERT_LT(0, q.done);
		for (unsigned int r = 0; r < q.used; r++)
			for (uint64_t a = vec[r].start; a < vec[r].end; a += PAGE)
				listed[(a - ADDR(self->mem)) / PAGE]++;
	}
	for (unsigned int i = 0; i < PAGES; i++) {
		bool lost = self->fate[i] != FINE;

		if (listed[i] != lost)
			wrong(self, lost ? "not listed" : "listed", i);
		else
			self->sum.listed += listed[i];
	}
}

static void check_pages_of_round(data *self)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		if (self->fate[i] == FINE)
			compare(self, page(self, i), i);
		else if (!self->told[i])
			expect_signal(self, i, false);
	}
}

/* What is lost is so before anybody has looked at all of it: then it is counted. */
static void check_counters(struct __test_metadata *_metadata, data *self, enum way way,
			   uint64_t errors, uint64_t slots)
{
	unsigned int lost = self->flipped + self->failed;

	EXPECT_EQ(self->flipped, uv_stat("checksum_errors") - errors);
	EXPECT_EQ(lost, uv_stat("slots_lost") - slots);
	EXPECT_EQ(lost, uv_slots_in_use());
	if (way != DETACH)
		EXPECT_EQ(lost, pool_value(self->pool, " lost "));
	munmap(self->mem, LEN);
	EXPECT_EQ(0, uv_unregister(self->fd, self->range));
	EXPECT_TRUE(uv_wait_slots(0));
	if (way != DETACH) {
		EXPECT_EQ(lost, pool_value(self->pool, " quarantined "));
		EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	}
	/* The memory that had gone bad is its owner's again. */
	EXPECT_EQ(-1, pool_value(self->pool, " used "));
}

/* Injected = observed, at exactly those addresses, in whatever way the pages leave. */
TEST_F_TIMEOUT(lost, exactly_those, 7 * 86400)
{
	for (enum way way = READ; way != READ || self->sum.injected < self->goal;
	     way = (way + 1) % WAYS) {
		uint64_t errors = uv_stat("checksum_errors"), slots = uv_stat("slots_lost");

		place(_metadata, self);
		choose(self, way);
		EXPECT_EQ(0, leave(self, way)) TH_LOG("%s", ways[way]);
		check_list(_metadata, self);
		check_pages_of_round(self);
		check_counters(_metadata, self, way, errors, slots);
		ASSERT_EQ(0, self->sum.wrong) TH_LOG("%s", ways[way]);
		if (now_ms() > self->next_ms) {
			report(self);
			self->next_ms = now_ms() + PROGRESS_MS;
		}
	}
	EXPECT_LE(self->goal, self->sum.injected);
	EXPECT_EQ(self->sum.injected, self->sum.observed);
	EXPECT_EQ(self->sum.injected, self->sum.listed);
}

TEST_HARNESS_MAIN
