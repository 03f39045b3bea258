// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * MIGRATE: pages go to VRAM and come back, and each is accounted for.
 *
 * Why pages stay where they are is the subject of stay.c.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include "util_mm.h"
#include "vram_fixture.h"

/* In, in again, out; exact numbers, bytes and neighbours. */
static void round_trip(struct __test_metadata *_metadata, int fd, char *mem, size_t pages)
{
	struct uffdvram_migrate m;
	size_t len = pages * PAGE;

	ASSERT_EQ(pages, move_all(fd, mem, len, 0, &m));
	EXPECT_TRUE(sum_ok(mem, len, &m));
	EXPECT_EQ(len, m.done);
	EXPECT_EQ(pages, uv_in_vram(fd, mem, len));
	EXPECT_EQ(0, uv_in_vram(fd, mem - PAGE, PAGE));
	EXPECT_EQ(0, uv_in_vram(fd, mem + len, PAGE));

	ASSERT_EQ(0, uv_migrate(fd, mem, len, 0, &m));
	EXPECT_EQ(pages, m.already);
	EXPECT_EQ(0, m.moved);
	EXPECT_TRUE(sum_ok(mem, len, &m));

	ASSERT_EQ(0, uv_migrate(fd, mem, len, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(pages, m.moved);
	EXPECT_EQ(0, m.already);
	EXPECT_TRUE(sum_ok(mem, len, &m));
	EXPECT_EQ(0, uv_in_vram(fd, mem, len));

	ASSERT_EQ(0, uv_migrate(fd, mem, len, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(pages, m.already);
	EXPECT_TRUE(sum_ok(mem, len, &m));
}

TEST_F(vram, sizes_and_offsets)
{
	static const size_t sizes[] = { 1, 2, 3, 511, 512, 513, 1025 };
	static const size_t starts[] = { 1, 511, 512 };
	size_t i, j, whole = 8 * HUGE;
	char *mem = map_aligned(whole);

	ASSERT_EQ(0, uv_register(self->fd, mem, whole, self->pool, NULL));
	fill_pages(mem, whole, 1);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (j = 0; j < ARRAY_SIZE(starts); j++) {
			char *at = mem + starts[j] * PAGE;

			round_trip(_metadata, self->fd, at, sizes[i]);
			ASSERT_EQ(-1, check_pages(mem, whole, 1)) {
				TH_LOG("%zu pages at page %zu", sizes[i], starts[j]);
			}
			/* And home by the CPU's own accesses. */
			ASSERT_EQ(sizes[i], uv_to_vram(self->fd, at, sizes[i] * PAGE));
			ASSERT_EQ(-1, check_pages(mem, whole, 1));
			EXPECT_EQ(0, uv_in_vram(self->fd, mem, whole));
		}
	}
	munmap(mem, whole);
}

TEST_F(vram, big)
{
	size_t pages = MIB(64) / PAGE + 3, len = pages * PAGE;
	struct uffdvram_migrate m;
	uint32_t pool;
	char *mem;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(66), 0, &pool));
	mem = map_small(len);
	ASSERT_EQ(0, uv_register(self->fd, mem, len, pool, NULL));
	fill_pages(mem, len, 2);
	ASSERT_EQ(pages, move_all(self->fd, mem, len, 0, &m));
	EXPECT_TRUE(sum_ok(mem, len, &m));
	EXPECT_EQ(pages, uv_in_vram(self->fd, mem, len));
	ASSERT_EQ(0, uv_migrate(self->fd, mem, len, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(pages, m.moved);
	EXPECT_EQ(-1, check_pages(mem, len, 2));
	munmap(mem, len);
}

/* What QUERY says of each page, against what it must be. */
static size_t states_wrong(int fd, char *mem, const unsigned char *in_vram, size_t pages)
{
	struct uffdvram_region vec[64];
	struct uffdvram_query q;
	size_t at = 0, wrong = 0, i;

	while (at < pages) {
		memset(&q, 0, sizeof(q));
		q.addr = ADDR(mem) + at * PAGE;
		q.len = (pages - at) * PAGE;
		if (uv_query_vec(fd, &q, vec, ARRAY_SIZE(vec)) || !q.done)
			return pages;
		for (i = 0; i < q.used; i++)
			for (; at < (vec[i].end - ADDR(mem)) / PAGE; at++)
				wrong += (vec[i].state == UFFDVRAM_STATE_VRAM) != in_vram[at];
	}
	return wrong;
}

TEST_F(vram, random_pieces)
{
	enum { PAGES = 2048, ROUNDS = 200 };
	static unsigned char in_vram[PAGES];
	uint64_t seed = 0x123456789abcdefULL;
	struct uffdvram_migrate m;
	char *mem = map_small(PAGES * PAGE);
	size_t i, from, n, change;
	int round, to_ram;

	ASSERT_EQ(0, uv_register(self->fd, mem, PAGES * PAGE, self->pool, NULL));
	fill_pages(mem, PAGES * PAGE, 3);
	/* All in and out once, so that no LRU batch holds a page any more. */
	ASSERT_EQ(PAGES, move_all(self->fd, mem, PAGES * PAGE, 0, NULL));
	ASSERT_EQ(PAGES, uv_to_ram(self->fd, mem, PAGES * PAGE));
	for (round = 0; round < ROUNDS; round++) {
		n = 1 + rnd(&seed) % (round % 8 ? 40 : 900);
		from = rnd(&seed) % (PAGES - n);
		to_ram = rnd(&seed) % 2;
		change = 0;
		for (i = from; i < from + n; i++) {
			change += in_vram[i] == to_ram;
			in_vram[i] = !to_ram;
		}
		ASSERT_EQ(0, uv_migrate(self->fd, mem + from * PAGE, n * PAGE,
					to_ram ? UFFDVRAM_MIGRATE_TO_RAM : 0, &m));
		ASSERT_EQ(change, m.moved) TH_LOG("round %d", round);
		ASSERT_EQ(n - change, m.already) TH_LOG("round %d", round);
		if (round % 8 == 0)
			ASSERT_EQ(0, states_wrong(self->fd, mem, in_vram, PAGES));
	}
	EXPECT_EQ(-1, check_pages(mem, PAGES * PAGE, 3));
	munmap(mem, PAGES * PAGE);
}

/* Data, zero page, hole, data, ... */
static void fill_a_third(char *mem, size_t pages)
{
	for (size_t i = 0; i < pages; i += 3)
		fill_pages(mem + i * PAGE, PAGE, 4);
	for (size_t i = 1; i < pages; i += 3)
		read_byte(mem + i * PAGE);
}

/* A hole becomes a zeroed page in VRAM, and so does the shared zero page. */
TEST_F(vram, holes_become_zeroed_vram)
{
	enum { PAGES = 300 };
	size_t len = PAGES * PAGE, i;
	uint64_t placed = uv_stat("pages_placed");
	char *mem = map_small(len);
	struct uffdvram_migrate m;

	ASSERT_EQ(0, uv_register(self->fd, mem, len, self->pool, NULL));
	fill_a_third(mem, PAGES);
	ASSERT_EQ(0, uv_migrate(self->fd, mem, len, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(PAGES / 3, m.stayed[UFFDVRAM_STAY_MISSING]);
	EXPECT_EQ(ADDR(mem) + 2 * PAGE, m.first[UFFDVRAM_STAY_MISSING]);
	EXPECT_TRUE(sum_ok(mem, len, &m));

	ASSERT_EQ(PAGES, move_all(self->fd, mem, len, 0, &m));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, mem, len));
	EXPECT_EQ(PAGES / 3 * 2, uv_stat("pages_placed") - placed);
	for (i = 0; i < PAGES; i++) {
		char *page = mem + i * PAGE;

		ASSERT_EQ(-1, i % 3 ? not_zero(page, PAGE) : check_pages(page, PAGE, 4)) {
			TH_LOG("page %zu", i);
		}
	}
	/* They are ordinary pages afterwards. */
	fill_pages(mem, len, 5);
	ASSERT_EQ(PAGES, move_all(self->fd, mem, len, 0, &m));
	EXPECT_EQ(-1, check_pages(mem, len, 5));
	munmap(mem, len);
}

/* Only where it is asked for: holes and zero pages stay what they are. */
TEST_F(vram, populated_leaves_holes)
{
	enum { PAGES = 300 };
	size_t len = PAGES * PAGE, i;
	uint64_t placed = uv_stat("pages_placed");
	char *mem = map_small(len);
	struct uffdvram_migrate m;

	ASSERT_EQ(0, uv_register(self->fd, mem, len, self->pool, NULL));
	fill_a_third(mem, PAGES);
	ASSERT_EQ(PAGES / 3, move_all(self->fd, mem, len, UFFDVRAM_MIGRATE_POPULATED, &m));
	EXPECT_TRUE(sum_ok(mem, len, &m));
	EXPECT_EQ(PAGES / 3 * 2, m.stayed[UFFDVRAM_STAY_MISSING]);
	EXPECT_EQ(ADDR(mem) + PAGE, m.first[UFFDVRAM_STAY_MISSING]);
	EXPECT_EQ(placed, uv_stat("pages_placed"));
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(i % 3 == 0 ? UFFDVRAM_STATE_VRAM :
			  i % 3 == 1 ? UFFDVRAM_STATE_PRESENT : UFFDVRAM_STATE_OTHER,
			  state_of(self->fd, mem + i * PAGE)) TH_LOG("page %zu", i);
	munmap(mem, len);
}

/*
 * Soft-dirty marks go both ways. A hole that is filled counts as written, as one
 * that a fault fills: what is written there later takes no fault.
 */
TEST_F(vram, soft_dirty_marks)
{
	enum { PAGES = 64 };
	size_t len = PAGES * PAGE, half = len / 2;
	char *mem = map_small(len);

	ASSERT_EQ(0, uv_register(self->fd, mem, len, self->pool, NULL));
	fill_pages(mem, half, 1);
	/* A write that the kernel has seen, so that the memory is not all dirty. */
	ASSERT_EQ(0, file_write("/proc/self/clear_refs", "4"));
	ASSERT_EQ(0, soft_dirty(mem, PAGES));
	fill_pages(mem, half / 2, 2);
	ASSERT_EQ(PAGES, move_all(self->fd, mem, len, 0, NULL));
	EXPECT_EQ(PAGES / 4, soft_dirty(mem, PAGES / 4));
	EXPECT_EQ(0, soft_dirty(mem + half / 2, PAGES / 4));
	EXPECT_EQ(PAGES / 2, soft_dirty(mem + half, PAGES / 2));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, mem, len));
	ASSERT_EQ(PAGES, uv_to_ram(self->fd, mem, len));
	EXPECT_EQ(PAGES / 4, soft_dirty(mem, PAGES / 4));
	EXPECT_EQ(0, soft_dirty(mem + half / 2, PAGES / 4));
	EXPECT_EQ(PAGES / 2, soft_dirty(mem + half, PAGES / 2));
	munmap(mem, len);
}

TEST_F(vram, read_only_memory)
{
	size_t len = 64 * PAGE;
	char *mem = map_small(len);

	ASSERT_EQ(0, uv_register(self->fd, mem, len, self->pool, NULL));
	fill_pages(mem, len, 6);
	ASSERT_EQ(0, mprotect(mem, len, PROT_READ));
	ASSERT_EQ(64, move_all(self->fd, mem, len, 0, NULL));
	EXPECT_EQ(SIGSEGV, write_byte(mem, 1).signo);
	EXPECT_EQ(-1, check_pages(mem, len, 6));
	EXPECT_EQ(SIGSEGV, write_byte(mem, 1).signo);
	ASSERT_EQ(64, move_all(self->fd, mem, len, 0, NULL));
	/* Writable again while it is in VRAM. */
	ASSERT_EQ(0, mprotect(mem, len, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, write_byte(mem + 1, mem[1]).signo);
	EXPECT_EQ(-1, check_pages(mem, len, 6));
	fill_pages(mem, len, 7);
	EXPECT_EQ(-1, check_pages(mem, len, 7));
	munmap(mem, len);
}

TEST_F(vram, no_access_memory)
{
	size_t len = 64 * PAGE;
	char *mem = map_small(len);

	ASSERT_EQ(0, uv_register(self->fd, mem, len, self->pool, NULL));
	fill_pages(mem, len, 8);
	ASSERT_EQ(0, mprotect(mem, len, PROT_NONE));
	ASSERT_EQ(64, move_all(self->fd, mem, len, 0, NULL));
	EXPECT_EQ(SIGSEGV, read_byte(mem).signo);
	ASSERT_EQ(0, mprotect(mem, len, PROT_READ | PROT_WRITE));
	EXPECT_EQ(64, uv_in_vram(self->fd, mem, len));
	EXPECT_EQ(-1, check_pages(mem, len, 8));

	ASSERT_EQ(64, move_all(self->fd, mem, len, 0, NULL));
	ASSERT_EQ(0, mprotect(mem, len, PROT_NONE));
	ASSERT_EQ(64, uv_to_ram(self->fd, mem, len));
	ASSERT_EQ(0, mprotect(mem, len, PROT_READ));
	EXPECT_EQ(-1, check_pages(mem, len, 8));
	munmap(mem, len);
}

static bool is_huge(void)
{
	return file_value("/proc/self/smaps_rollup", "AnonHugePages:") > 0;
}

/* PMD-mapped huge pages move on every kernel, in whole and in part. */
TEST_F(vram, huge_pages)
{
	size_t len = 2 * HUGE;
	char *mem = map_huge(len);

	ASSERT_EQ(0, uv_register(self->fd, mem, len, self->pool, NULL));
	ASSERT_TRUE(fill_huge(self->fd, mem, len, 9));
	EXPECT_EQ(16, move_all(self->fd, mem + 100 * PAGE, 16 * PAGE, 0, NULL));
	EXPECT_EQ(16, uv_in_vram(self->fd, mem, len));
	EXPECT_EQ(512, move_all(self->fd, mem + HUGE, HUGE, 0, NULL));
	EXPECT_EQ(528, uv_in_vram(self->fd, mem, len));
	EXPECT_EQ(-1, check_pages(mem, len, 9));
	munmap(mem, len);
}

/* A huge page whose PMD was split: newer kernels move it, 6.12 cannot and says so. */
TEST_F(vram, huge_page_mapped_by_ptes)
{
	char *mem = map_huge(HUGE);
	struct uffdvram_migrate m;

	ASSERT_TRUE(fill_huge(self->fd, mem, HUGE, 10));
	ASSERT_EQ(0, mprotect(mem + 7 * PAGE, PAGE, PROT_READ));
	ASSERT_EQ(0, mprotect(mem + 7 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_FALSE(is_huge());
	ASSERT_EQ(0, uv_register(self->fd, mem, HUGE, self->pool, NULL));
	ASSERT_LE(0, move_all(self->fd, mem, HUGE, 0, &m));
	EXPECT_TRUE(sum_ok(mem, HUGE, &m));
	if (kernel_is("6.12")) {
		EXPECT_EQ(512, m.stayed[UFFDVRAM_STAY_LARGE_FOLIO]);
		EXPECT_EQ(ADDR(mem), m.first[UFFDVRAM_STAY_LARGE_FOLIO]);
	} else {
		EXPECT_EQ(512, m.moved + m.already);
	}
	EXPECT_EQ(-1, check_pages(mem, HUGE, 10));
	munmap(mem, HUGE);
}

/* One piece may cross ranges that touch; it ends where no range is. */
TEST_F(vram, across_ranges_and_beyond)
{
	char *mem = map_small(48 * PAGE);
	struct uffdvram_migrate m;
	uint32_t other;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &other));
	fill_pages(mem, 48 * PAGE, 11);
	ASSERT_EQ(0, uv_register(self->fd, mem, 8 * PAGE, self->pool, NULL));
	ASSERT_EQ(0, uv_register(self->fd, mem + 8 * PAGE, PAGE, other, NULL));
	ASSERT_EQ(0, uv_register(self->fd, mem + 9 * PAGE, 7 * PAGE, self->pool, NULL));
	ASSERT_EQ(0, uv_register(self->fd, mem + 32 * PAGE, 16 * PAGE, self->pool, NULL));

	ASSERT_EQ(15, move_all(self->fd, mem + PAGE, 15 * PAGE, 0, &m));
	EXPECT_EQ(15 * PAGE, m.done);
	EXPECT_EQ(15, uv_in_vram(self->fd, mem, 48 * PAGE));

	EXPECT_EQ(-ENOENT, uv_migrate(self->fd, mem, 48 * PAGE, 0, &m));
	EXPECT_EQ(16 * PAGE, m.done);
	EXPECT_TRUE(sum_ok(mem, 48 * PAGE, &m));
	EXPECT_EQ(16, m.moved + m.already);
	EXPECT_EQ(0, uv_in_vram(self->fd, mem + 16 * PAGE, 32 * PAGE));

	EXPECT_EQ(-ENOENT, uv_migrate(self->fd, mem + 20 * PAGE, 28 * PAGE, 0, &m));
	EXPECT_EQ(0, m.done);
	EXPECT_EQ(-ENOENT, uv_migrate(self->fd, mem + 15 * PAGE, 2 * PAGE,
				      UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(PAGE, m.done);
	EXPECT_EQ(1, m.moved);
	EXPECT_EQ(-1, check_pages(mem, 48 * PAGE, 11));
	munmap(mem, 48 * PAGE);
}

/* Part of a range is not what it was: the rest moves, nothing breaks. */
TEST_F(vram, mapping_changed_under_a_range)
{
	char *mem = map_small(32 * PAGE);
	struct uffdvram_migrate m;
	int ret;

	fill_pages(mem, 32 * PAGE, 12);
	ASSERT_EQ(0, uv_register(self->fd, mem, 32 * PAGE, self->pool, NULL));
	ASSERT_NE(MAP_FAILED, mmap(mem + 8 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	memset(mem + 8 * PAGE, 0x5a, 4 * PAGE);
	ret = uv_migrate(self->fd, mem, 32 * PAGE, 0, &m);
	EXPECT_TRUE(sum_ok(mem, 32 * PAGE, &m));
	if (ret) {	/* the range ended there */
		EXPECT_EQ(-ENOENT, ret);
		EXPECT_EQ(8 * PAGE, m.done);
	} else {
		EXPECT_EQ(28, m.moved);
		EXPECT_EQ(4, m.stayed[UFFDVRAM_STAY_NOT_ANON]);
	}
	EXPECT_EQ(-1, check_pages(mem, 8 * PAGE, 12));
	EXPECT_EQ(-1, check_pages(mem + 12 * PAGE, 20 * PAGE, 12));
	EXPECT_EQ(0x5a, mem[8 * PAGE]);
	EXPECT_EQ(0x5a, mem[12 * PAGE - 1]);
	munmap(mem, 32 * PAGE);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* A signal ends the call early; what was done is done, and done tells. */
TEST_F(vram, interrupted)
{
	const struct sigaction alarm_action = { .sa_handler = on_alarm };
	const struct itimerval timer = { .it_value.tv_usec = 100000 }, never = { 0 };
	size_t len = MIB(12);
	char *mem = map_small(len);
	struct uffdvram_migrate m;
	int ret, tries;

	ASSERT_EQ(0, sigaction(SIGALRM, &alarm_action, NULL));
	ASSERT_EQ(0, uv_register(self->fd, mem, len, self->pool, NULL));
	fill_pages(mem, len, 13);
	uv_knob_set("delay_us", "%d", 50000);
	/* On a busy machine it may come before the call, or before its first step. */
	for (tries = 0; tries < 20; tries++) {
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
		ret = uv_migrate(self->fd, mem, len, 0, &m);
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
		if (ret == -EINTR && m.done)
			break;
		ASSERT_TRUE(!ret || ret == -EINTR);
		ASSERT_EQ(len / PAGE, uv_to_ram(self->fd, mem, len));
	}
	ASSERT_EQ(-EINTR, ret);
	EXPECT_LT(0, m.done);
	EXPECT_GT(len, m.done);
	EXPECT_TRUE(sum_ok(mem, len, &m));
	EXPECT_EQ(m.moved, uv_in_vram(self->fd, mem, len));
	knobs_calm();
	ASSERT_EQ((len - m.done) / PAGE,
		  move_all(self->fd, mem + m.done, len - m.done, 0, NULL));
	EXPECT_EQ(-1, check_pages(mem, len, 13));
	munmap(mem, len);
}

struct mover {
	int fd, rounds;
	char *mem;
	size_t pages;
	uint64_t seed;
	long calls, bad, moved;
};

static void *move_randomly(void *arg)
{
	struct mover *mv = arg;
	struct uffdvram_migrate m;
	size_t n, from;
	int ret;

	for (mv->calls = 0; mv->calls < mv->rounds; mv->calls++) {
		n = 1 + rnd(&mv->seed) % 256;
		from = rnd(&mv->seed) % (mv->pages - n);
		ret = uv_migrate(mv->fd, mv->mem + from * PAGE, n * PAGE,
				 rnd(&mv->seed) % 2 ? UFFDVRAM_MIGRATE_TO_RAM : 0, &m);
		mv->bad += ret || m.done != n * PAGE ||
			   !sum_ok(mv->mem + from * PAGE, n * PAGE, &m);
		mv->moved += m.moved;
	}
	return NULL;
}

TEST_F(vram, many_threads)
{
	enum { THREADS = 6, PAGES = 2048 };
	struct mover mv[THREADS];
	char *mem = map_small(PAGES * PAGE);
	long moved = 0;
	int i;

	ASSERT_EQ(0, uv_register(self->fd, mem, PAGES * PAGE, self->pool, NULL));
	fill_pages(mem, PAGES * PAGE, 14);
	for (i = 0; i < THREADS; i++)
		mv[i] = (struct mover){ .fd = self->fd, .rounds = 40, .mem = mem,
					.pages = PAGES, .seed = 77 + i };
	ASSERT_EQ(0, threads_run(THREADS, move_randomly, mv, sizeof(*mv)));
	for (i = 0; i < THREADS; i++) {
		EXPECT_EQ(0, mv[i].bad);
		moved += mv[i].moved;
	}
	EXPECT_LT(PAGES, moved);
	EXPECT_EQ(uv_in_vram(self->fd, mem, PAGES * PAGE), uv_slots_in_use());
	EXPECT_EQ(-1, check_pages(mem, PAGES * PAGE, 14));
	EXPECT_EQ(0, uv_in_vram(self->fd, mem, PAGES * PAGE));
	munmap(mem, PAGES * PAGE);
}

#define COUNTED		100

static const struct {
	char name[20];
	unsigned int expected;
} counter[] = {
	{ "slots_allocated", 100 }, { "slots_freed", 100 }, { "slots_lost", 0 },
	{ "pages_in", 60 }, { "pages_placed", 40 }, { "pages_out", 90 },
	{ "faults", 10 }, { "fault_pages", 10 }, { "migrate_calls", 2 },
};

/* In, ten faults of one page each, far apart, and home: how much all of them grew. */
static void count_all(struct __test_metadata *_metadata, int fd, char *mem, uint64_t *grown)
{
	size_t i;

	ASSERT_EQ(0, madvise(mem, COUNTED * PAGE, MADV_DONTNEED));
	ASSERT_TRUE(uv_wait_slots(0));
	fill_pages(mem, 60 * PAGE, 15);
	for (i = 0; i < ARRAY_SIZE(counter); i++)
		grown[i] = -uv_stat(counter[i].name);
	ASSERT_EQ(COUNTED, uv_to_vram(fd, mem, COUNTED * PAGE));
	EXPECT_EQ(COUNTED, uv_slots_in_use());
	for (i = 0; i < 10; i++)
		EXPECT_EQ(0, write_byte(mem + i * 10 * PAGE, 1).signo);
	ASSERT_EQ(COUNTED, uv_to_ram(fd, mem, COUNTED * PAGE));
	EXPECT_TRUE(uv_wait_slots(0));
	for (i = 0; i < ARRAY_SIZE(counter); i++)
		grown[i] += uv_stat(counter[i].name);
}

static bool all_as_expected(const uint64_t *grown)
{
	for (size_t i = 0; i < ARRAY_SIZE(counter); i++)
		if (grown[i] != counter[i].expected)
			return false;
	return true;
}

/*
 * The module's counters tell what happened, to the page. What is tried again, since
 * somebody held a page for a moment, counts again: then all of it is done once more.
 */
TEST_F(vram, counters)
{
	char *mem = map_small(COUNTED * PAGE);
	uint64_t grown[ARRAY_SIZE(counter)];
	int tries = 0;
	size_t i;

	ASSERT_EQ(0, uv_register(self->fd, mem, COUNTED * PAGE, self->pool, NULL));
	do {
		count_all(_metadata, self->fd, mem, grown);
	} while (!all_as_expected(grown) && ++tries < 20);
	for (i = 0; i < ARRAY_SIZE(counter); i++)
		EXPECT_EQ(counter[i].expected, grown[i]) {
			TH_LOG("%s", counter[i].name);
		}
	munmap(mem, COUNTED * PAGE);
}

TEST_HARNESS_MAIN
