// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * Entries of 2 MiB in VRAM, and what else may happen to them: cut up, shared, watched,
 * touched by many at once, left behind, evicted, lost.
 */
#include "kselftest_harness.h"

#include "trouble_fixture.h"
#include "folio_fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

static long in_vram(FIXTURE_DATA(folio) *self)
{
	return uv_in_vram(self->fd, self->mem, LEN);
}

static long huge(FIXTURE_DATA(folio) *self)
{
	return huge_pages(self->fd, self->mem, LEN) / (long)FOLIO;
}

/* A folio keeps all its slots until it is taken apart: the last page to come home does. */
TEST_F(folio, slots_of_a_part)
{
	ASSERT_EQ(0, munmap(self->mem, HUGE - PAGE));
	ASSERT_EQ(0, madvise(self->mem + HUGE, HUGE - PAGE, MADV_DONTNEED));
	EXPECT_EQ(LEN / PAGE, uv_slots_in_use());
	EXPECT_EQ(LEN / PAGE - 2 * (FOLIO - 1), in_vram(self));
	EXPECT_EQ(-1, check_pages(self->mem + HUGE - PAGE, PAGE, 1));
	EXPECT_TRUE(uv_wait_slots(LEN / PAGE - FOLIO));
	EXPECT_EQ(1, uv_to_ram(self->fd, self->mem + HUGE, HUGE));
	EXPECT_TRUE(uv_wait_slots(LEN / PAGE - 2 * FOLIO));
	EXPECT_EQ(-1, not_zero(self->mem + HUGE, HUGE - PAGE));
	EXPECT_EQ(-1, check_pages(self->mem + 2 * HUGE - PAGE, PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + 2 * HUGE, LEN - 2 * HUGE, 1));
}

static int same(int sock, void *arg)
{
	uint64_t word = 0;
	int bad;

	bad = check_pages(arg, LEN, 1) != -1;
	child_tell(sock, bad);
	if (!child_hear(sock, &word))
		return 2;
	return bad || check_pages(arg, LEN, 1) != -1;
}

static void fork_and_touch(struct __test_metadata *_metadata, FIXTURE_DATA(folio) *self)
{
	struct child c = child_start(same, self->mem);
	uint64_t bad = 1;

	EXPECT_TRUE(child_hear(c.fd, &bad));
	EXPECT_EQ(0, bad);
	fill_pages(self->mem, LEN, 2);
	child_tell(c.fd, 0);
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
}

/* After a fork, who touches it first brings it home for both; writes stay one's own. */
TEST_F(folio, fork_shares_it)
{
	fork_and_touch(_metadata, self);
}

/* Also where single pages come home: what is shared does so as a whole. */
TEST_F(folio, fork_shares_pages)
{
	uint64_t homes;

	move_on(_metadata, self, PAGE);
	homes = uv_stat("folios_fault");
	fork_and_touch(_metadata, self);
	EXPECT_EQ(homes + FOLIOS, uv_stat("folios_fault"));
}

static int waits(int sock, void *arg)
{
	uint64_t word;

	if (!child_hear(sock, &word))
		return 2;
	return check_pages(arg, LEN, 1) != -1;
}

/* MIGRATE takes apart what a child shares, and moves it for both. */
TEST_F(folio, fork_and_migrate)
{
	uint64_t split = uv_stat("folios_split");
	struct child c = child_start(waits, self->mem);

	EXPECT_EQ(LEN / PAGE, huge_pages(self->fd, self->mem, LEN));
	EXPECT_EQ(2 * FOLIO, uv_to_ram(self->fd, self->mem, 2 * HUGE));
	EXPECT_EQ(split + 2, uv_stat("folios_split"));
	EXPECT_EQ(-1, check_pages(self->mem, HUGE, 1));
	fill_pages(self->mem, 3 * HUGE, 2);
	child_tell(c.fd, 0);
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(-1, check_pages(self->mem, 3 * HUGE, 2));
	EXPECT_EQ(-1, check_pages(self->mem + 3 * HUGE, HUGE, 1));
}

/* COPY does not write into what a child shares. */
TEST_F(folio, fork_and_copy)
{
	struct child c = child_start(waits, self->mem);
	char *buf = map_small(HUGE);

	fill_pages_as(buf, HUGE, self->mem + HUGE / 2, 2);
	EXPECT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem + HUGE / 2, HUGE, buf, NULL));
	child_tell(c.fd, 0);
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(-1, check_pages(self->mem + HUGE / 2, HUGE, 2));
	EXPECT_EQ(-1, check_pages(self->mem, HUGE / 2, 1));
	EXPECT_EQ(-1, check_pages(self->mem + HUGE / 2 * 3, LEN - HUGE / 2 * 3, 1));
	munmap(buf, HUGE);
}

/* Write protection of 2 MiB goes there and comes back; reads leave it, writes do not. */
TEST_F(folio, write_protected)
{
	int uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED |
			     UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, uffd);
	ASSERT_LE(0, pagemap);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, uffd_wp(uffd, self->mem, LEN, true));
	EXPECT_EQ(FOLIOS, huge(self));
	EXPECT_EQ(0, pages_written(pagemap, self->mem, LEN));
	ASSERT_EQ(LEN / PAGE, uv_to_ram(self->fd, self->mem, LEN));
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(FOLIOS, huge(self));
	EXPECT_EQ(-1, check_pages(self->mem, HUGE, 1));
	EXPECT_EQ(0, pages_written(pagemap, self->mem, LEN));
	fill_pages(self->mem + 7 * PAGE, PAGE, 2);
	fill_pages(self->mem + 2 * HUGE + 300 * PAGE, 2 * PAGE, 2);
	EXPECT_EQ(1, pages_written(pagemap, self->mem, HUGE));
	EXPECT_EQ(2, pages_written(pagemap, self->mem + 2 * HUGE, HUGE));
	EXPECT_EQ(0, pages_written(pagemap, self->mem + 3 * HUGE, HUGE));
	/* One page of an entry in VRAM is let go: it is cut up, and stays there. */
	ASSERT_EQ(0, uffd_wp(uffd, self->mem + 3 * HUGE + 9 * PAGE, PAGE, false));
	EXPECT_EQ(FOLIO, uv_in_vram(self->fd, self->mem + 3 * HUGE, HUGE));
	EXPECT_EQ(1, pages_written(pagemap, self->mem + 3 * HUGE, HUGE));
	EXPECT_EQ(-1, check_pages(self->mem + 3 * HUGE, HUGE, 1));
	EXPECT_EQ(1, pages_written(pagemap, self->mem + 3 * HUGE, HUGE));
	/* Asynchronous tracking is not COPY's business: it goes through RAM. */
	ASSERT_EQ(0, uffd_wp(uffd, self->mem + HUGE, HUGE, true));
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem + HUGE, PAGE,
			     self->mem, NULL));
	EXPECT_EQ(1, pages_written(pagemap, self->mem + HUGE, HUGE));
	close(pagemap);
	close(uffd);
}

static void *touch(void *arg)
{
	read_byte(arg);
	return NULL;
}

/* A hole in what was 2 MiB in VRAM is missing, all else is there. */
TEST_F(folio, missing)
{
	int uffd = uffd_open(0);
	char *hole = self->mem + 33 * PAGE;
	struct uffd_msg msg;
	pthread_t thread;

	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, madvise(hole, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, madvise(self->mem + HUGE, HUGE, MADV_DONTNEED));
	EXPECT_EQ(LEN / PAGE - FOLIO - 1, in_vram(self));
	EXPECT_EQ(-1, check_pages(self->mem, 33 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(hole + PAGE, HUGE - 34 * PAGE, 1));
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch, hole));
	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000));
	EXPECT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);
	EXPECT_EQ(ADDR(hole), msg.arg.pagefault.address & ~(PAGE - 1));
	EXPECT_EQ(0, uffd_zeropage(uffd, hole, PAGE));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	/* Nobody fills the hole of 2 MiB unasked. */
	EXPECT_EQ(0, uv_migrate(self->fd, self->mem + HUGE, HUGE, 0, NULL));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem + HUGE, HUGE));
	EXPECT_EQ(-1, check_pages(self->mem + 2 * HUGE, LEN - 2 * HUGE, 1));
	close(uffd);
}

#define THREADS	8

struct toucher {
	pthread_barrier_t *barrier;
	char *mem;
	unsigned int n;
	long turns;		/* its faults */
};

/* Every thread begins elsewhere, and adds to a word of its own in each page. */
static void *touch_all(void *arg)
{
	struct toucher *t = arg;
	struct rusage usage;
	size_t i, page;

	pthread_barrier_wait(t->barrier);
	for (i = 0; i < FOLIO; i++) {
		page = (i + t->n * FOLIO / THREADS) % FOLIO;
		((uint64_t *)(t->mem + page * PAGE))[t->n]++;
	}
	getrusage(RUSAGE_THREAD, &usage);
	t->turns = usage.ru_minflt + usage.ru_majflt;
	return NULL;
}

/* A herd on one entry, round after round. Returns how many faults it took in all. */
static long herd(struct __test_metadata *_metadata, FIXTURE_DATA(folio) *self,
		 unsigned int rounds)
{
	struct toucher t[THREADS];
	pthread_barrier_t barrier;
	long turns = 0;
	size_t bad = 0;

	ASSERT_EQ(FOLIO, uv_to_ram(self->fd, self->mem, HUGE));
	memset(self->mem, 0, HUGE);
	ASSERT_EQ(0, pthread_barrier_init(&barrier, NULL, THREADS));
	for (unsigned int round = 0; round < rounds; round++) {
		ASSERT_EQ(0, collapse_huge(self->mem, HUGE));
		ASSERT_EQ(FOLIO, uv_to_vram(self->fd, self->mem, HUGE));
		ASSERT_EQ(FOLIO, huge_pages(self->fd, self->mem, HUGE));
		for (int k = 0; k < THREADS; k++)
			t[k] = (struct toucher){ &barrier, self->mem, k, 0 };
		ASSERT_EQ(0, threads_run(THREADS, touch_all, t, sizeof(*t)));
		for (int k = 0; k < THREADS; k++)
			turns += t[k].turns;
	}
	/* No update was lost, by any thread, in any page. */
	for (size_t i = 0; i < FOLIO; i++)
		for (int k = 0; k < THREADS; k++)
			bad += ((uint64_t *)(self->mem + i * PAGE))[k] != rounds;
	EXPECT_EQ(0, bad);
	pthread_barrier_destroy(&barrier);
	return turns;
}

/* Who comes too early turns round, but not for ever. */
TEST_F(folio, herd)
{
	unsigned int rounds = env_number("FOLIO_HERD_ROUNDS", 20);
	uint64_t faults = uv_stat("faults"), retries = uv_stat("fault_retries");
	uint64_t homes = uv_stat("folios_fault");
	long turns = herd(_metadata, self, rounds);

	EXPECT_EQ(homes + rounds, uv_stat("folios_fault"));
	TH_LOG("%llu faults, %llu retries, %ld in all",
	       (unsigned long long)(uv_stat("faults") - faults),
	       (unsigned long long)(uv_stat("fault_retries") - retries), turns);
	EXPECT_GE(rounds * 2 * THREADS, uv_stat("faults") - faults);
	EXPECT_GE(rounds * 2 * THREADS, uv_stat("fault_retries") - retries);
	/* Those whom the core turns round, until the entry says that it moves. */
	EXPECT_GE(rounds * THREADS * 10000L, turns);
}

/* Where pages come home one by one, somebody has to take the entry apart first. */
TEST_F(folio, herd_by_pages)
{
	unsigned int rounds = env_number("FOLIO_HERD_ROUNDS", 20);
	uint64_t homes, pages;
	long turns;

	move_on(_metadata, self, PAGE);
	homes = uv_stat("folios_fault");
	pages = uv_stat("fault_pages");
	turns = herd(_metadata, self, rounds);
	EXPECT_EQ(homes, uv_stat("folios_fault"));
	EXPECT_EQ(pages + rounds * FOLIO, uv_stat("fault_pages"));
	TH_LOG("%llu pages, %ld faults",
	       (unsigned long long)(uv_stat("fault_pages") - pages), turns);
	EXPECT_GE(rounds * THREADS * (FOLIO + 10000L), turns);
}

static bool stop_movers;

struct stirrer {
	int fd;
	char *mem;
	unsigned int n;
	uint64_t rounds, bad;
};

/* One of several that are at the same folios: moves, cuts, copies, forks, reads. */
static void *stir(void *arg)
{
	struct stirrer *s = arg;
	uint64_t seed = 88172645463325252ULL + s->n;
	char *buf = map_small(64 * PAGE);

	while (!__atomic_load_n(&stop_movers, __ATOMIC_RELAXED)) {
		char *at = s->mem + rnd(&seed) % (LEN / PAGE - 64) * PAGE;
		char *folio = s->mem + rnd(&seed) % FOLIOS * HUGE;

		switch (s->n) {
		case 0:
			uv_migrate(s->fd, folio, HUGE, 0, NULL);
			break;
		case 1:
			uv_migrate(s->fd, rnd(&seed) % 4 ? folio : at,
				   rnd(&seed) % 4 ? HUGE : PAGE, UFFDVRAM_MIGRATE_TO_RAM, NULL);
			break;
		case 2:
			if (!uv_copy(s->fd, 0, at, 64 * PAGE, buf, NULL))
				s->bad += check_pages_as(buf, 64 * PAGE, at, 1) != -1;
			break;
		case 3:
			s->bad += check_pages(at, 3 * PAGE, 1) != -1;
			break;
		default:
			/* Writes what is there already, without a CPU, and cuts entries up. */
			fill_pages_as(buf, 64 * PAGE, at, 1);
			uv_copy(s->fd, UFFDVRAM_COPY_WRITE, at, 64 * PAGE, buf, NULL);
			if (rnd(&seed) % 16 == 0) {
				mprotect(at, PAGE, PROT_READ);
				mprotect(at, PAGE, PROT_READ | PROT_WRITE);
				madvise(folio, HUGE, MADV_COLLAPSE);
			}
		}
		s->rounds++;
	}
	munmap(buf, 64 * PAGE);
	return NULL;
}

#define STIRRERS	5

static bool all_have_stirred(void *arg)
{
	struct stirrer *s = arg;

	for (int i = 0; i < STIRRERS; i++)
		if (!__atomic_load_n(&s[i].rounds, __ATOMIC_RELAXED))
			return false;
	return true;
}

/* All at once, from both sides: every byte is always what it was. */
TEST_F(folio, stirred)
{
	struct stirrer s[STIRRERS];
	pthread_t thread[STIRRERS];

	stop_movers = false;
	for (int i = 0; i < STIRRERS; i++) {
		s[i] = (struct stirrer){ .fd = self->fd, .mem = self->mem, .n = i };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, stir, &s[i]));
	}
	/*
	 * A kernel with CONFIG_DEBUG_VM warns where a soft-dirty entry that a child shares
	 * is put back in VRAM: it takes that mark for the right to write.
	 */
	for (int i = 0; sanitizers() && i < 50; i++)
		sleep_ms(100);
	for (int i = 0; !sanitizers() && i < 10; i++) {
		struct child c = child_start(same, self->mem);
		uint64_t bad = 1;

		EXPECT_TRUE(child_hear(c.fd, &bad));
		EXPECT_EQ(0, bad);
		child_tell(c.fd, 0);
		EXPECT_EQ(0, child_end(&c));
	}
	EXPECT_TRUE(wait_until(all_have_stirred, s, 60000));
	__atomic_store_n(&stop_movers, true, __ATOMIC_RELAXED);
	for (int i = 0; i < STIRRERS; i++) {
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
		EXPECT_EQ(0, s[i].bad);
		EXPECT_LT(0, s[i].rounds);
	}
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* A process that dies with its memory there, or on its way. */
static int dies(int sock, void *arg)
{
	uint32_t *shared = arg;
	int fd = uv_open();
	char *mem;

	if (fd < 0)
		return 1;
	mem = map_filled(fd, LEN, 3);
	if (uv_register(fd, mem, LEN, *shared, NULL))
		return 2;
	for (unsigned int i = 0;; i++) {
		uv_migrate(fd, mem, LEN, i % 2 ? UFFDVRAM_MIGRATE_TO_RAM : 0, NULL);
		if (i % 3 == 2)
			mprotect(mem + i % FOLIO * PAGE, PAGE, PROT_READ);
		if (i < 2)
			child_tell(sock, i);
	}
}

TEST_F(folio, killed)
{
	uint32_t pool;
	int fd = uv_open();

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, uv_attach(fd, POOL, UFFDVRAM_POOL_SHARED, &pool));
	for (int i = 0; i < 10; i++) {
		struct child c = child_start(dies, &pool);
		uint64_t word;

		ASSERT_TRUE(child_hear(c.fd, &word));
		ASSERT_TRUE(child_hear(c.fd, &word));
		sleep_ms(5 * i);
		child_kill(&c);
		EXPECT_TRUE(uv_wait_slots(LEN / PAGE));
	}
	EXPECT_EQ(0, uv_detach(fd, pool, 0, NULL));
	close(fd);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* One whole, one mapped by pages, one of which half is gone, one moved elsewhere. */
static char *variety(FIXTURE_DATA(folio) *self)
{
	char *to = map_small(3 * HUGE);
	char *at = (char *)((ADDR(to) + HUGE) & ~(HUGE - 1)) + 5 * PAGE;

	if (mprotect(self->mem + HUGE + 3 * PAGE, PAGE, PROT_READ) ||
	    munmap(self->mem + 2 * HUGE, 100 * PAGE) ||
	    madvise(self->mem + 2 * HUGE + 100 * PAGE, 256 * PAGE, MADV_DONTNEED) ||
	    mremap(self->mem + 3 * HUGE, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) != at)
		give_up("variety");
	return at;
}

static void check_variety(struct __test_metadata *_metadata, FIXTURE_DATA(folio) *self,
			  char *at)
{
	EXPECT_EQ(-1, check_pages(self->mem, 2 * HUGE, 1));
	EXPECT_EQ(-1, not_zero(self->mem + 2 * HUGE + 100 * PAGE, 256 * PAGE));
	EXPECT_EQ(-1, check_pages(self->mem + 2 * HUGE + 356 * PAGE, 156 * PAGE, 1));
	EXPECT_EQ(-1, check_pages_as(at, HUGE, self->mem + 3 * HUGE, 1));
	munmap(at, HUGE);
}

TEST_F(folio, detached)
{
	char *at = variety(self);

	ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(0, uv_slots_in_use());
	EXPECT_EQ(0, in_vram(self));
	/* What was whole is. */
	EXPECT_EQ(FOLIO, huge_pages(self->fd, self->mem, HUGE));
	check_variety(_metadata, self, at);
}

TEST_F(folio, orphans)
{
	char *at = variety(self);

	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_EQ(FOLIO, huge_pages(self->fd, self->mem, HUGE));
	check_variety(_metadata, self, at);
}

TEST_F(folio, closed)
{
	char *at = variety(self);

	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	check_variety(_metadata, self, at);
}

/* The device is gone: all pages are poison, those of entries that are whole, too. */
TEST_F(folio, lost)
{
	ASSERT_EQ(0, mprotect(self->mem + HUGE, PAGE, PROT_READ));
	uv_knob_set("trouble", "%u lost", self->pool);
	expect_poison(_metadata, self->mem + HUGE, 3 * PAGE);
	expect_poison(_metadata, self->mem + HUGE + 200 * PAGE, 3 * PAGE);
	expect_poison(_metadata, self->mem + 17 * PAGE, 3 * PAGE);
	expect_poison(_metadata, self->mem + LEN - 3 * PAGE, 3 * PAGE);
	EXPECT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
}

TEST_F(folio, discarded)
{
	uint64_t split = uv_stat("folios_split");

	ASSERT_EQ(0, uv_detach(self->fd, self->pool, UFFDVRAM_DETACH_DISCARD, NULL));
	for (int i = 0; i < FOLIOS; i++)
		expect_poison(_metadata, self->mem + i * HUGE + 111 * PAGE, 2 * PAGE);
	EXPECT_EQ(split, uv_stat("folios_split"));
	EXPECT_EQ(0, munmap(self->mem, LEN));
	EXPECT_TRUE(uv_wait_slots(0));
}

/* Poison on request: a page that is lost in an entry that is whole is poison already. */
TEST_F(folio, poisoned)
{
	char *lost = self->mem + 9 * PAGE, *page = self->mem + HUGE + 50 * PAGE;
	char *buf = map_small(HUGE);

	uv_knob_set("fail_to_vram", "1");
	EXPECT_GT(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, lost, PAGE, buf, NULL));
	EXPECT_EQ(FOLIOS, huge(self));
	ASSERT_EQ(0, uv_poison(self->fd, 0, lost, PAGE, NULL));
	EXPECT_EQ(FOLIOS, huge(self));
	EXPECT_EQ(UFFDVRAM_STATE_POISON, state_of(self->fd, lost));
	ASSERT_EQ(0, uv_copy(self->fd, 0, lost + PAGE, HUGE - 10 * PAGE, buf, NULL));
	EXPECT_EQ(-1, check_pages_as(buf, HUGE - 10 * PAGE, lost + PAGE, 1));
	expect_poison(_metadata, lost, PAGE);
	ASSERT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_UNDO, lost, PAGE, NULL));
	EXPECT_EQ(-1, not_zero(lost, PAGE));
	EXPECT_EQ(-1, check_pages(self->mem, 9 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(lost + PAGE, HUGE - 10 * PAGE, 1));
	/* A page of another is replaced: the rest stays in VRAM. */
	EXPECT_GT(0, uv_poison(self->fd, 0, page, PAGE, NULL));
	ASSERT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_REPLACE, page, PAGE, NULL));
	EXPECT_EQ(FOLIO - 1, uv_in_vram(self->fd, self->mem + HUGE, HUGE));
	expect_poison(_metadata, page, PAGE);
	EXPECT_EQ(-1, check_pages(self->mem + HUGE, 50 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(page + PAGE, LEN - HUGE - 51 * PAGE, 1));
	munmap(buf, HUGE);
}

/* One event tells of all of it, or of what lies in the range. */
TEST_F(folio, events)
{
	struct uffdvram_range_register arg = { .size = sizeof(arg), .pool = self->pool,
					       .flags = UFFDVRAM_RANGE_FAULT_EVENTS,
					       .addr = ADDR(self->mem), .len = LEN };
	struct uffdvram_event event;

	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(LEN / PAGE, uv_to_ram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &arg));
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	while (read(self->fd, &event, sizeof(event)) == sizeof(event))
		;
	read_byte(self->mem + HUGE + 7 * PAGE);
	ASSERT_EQ(sizeof(event), read(self->fd, &event, sizeof(event)));
	EXPECT_EQ(UFFDVRAM_EVENT_FAULT_BACK, event.type);
	EXPECT_EQ(ADDR(self->mem + HUGE), event.addr);
	EXPECT_EQ(HUGE, event.len);
	EXPECT_GT(0, read(self->fd, &event, sizeof(event)));
}

/* System calls read and write it, and no CPU of ours touches anything. */
TEST_F(folio, system_calls)
{
	int memfd = memfd_create("copy", MFD_CLOEXEC);
	struct iovec from = { self->mem + HUGE, HUGE }, to = { map_small(HUGE), HUGE };

	ASSERT_EQ(HUGE, write(memfd, self->mem, HUGE));
	ASSERT_EQ(HUGE, process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	EXPECT_EQ(-1, check_pages_as(to.iov_base, HUGE, self->mem + HUGE, 1));
	EXPECT_EQ(LEN / PAGE - 2 * FOLIO, in_vram(self));
	ASSERT_EQ(HUGE, pread(memfd, self->mem + 2 * HUGE, HUGE, 0));
	EXPECT_EQ(-1, check_pages_as(self->mem + 2 * HUGE, HUGE, self->mem, 1));
	EXPECT_EQ(-1, check_pages(self->mem, 2 * HUGE, 1));
	close(memfd);
	munmap(to.iov_base, HUGE);
}

TEST_HARNESS_MAIN
