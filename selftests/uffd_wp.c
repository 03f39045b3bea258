// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 240 */
/*
 * userfaultfd write protection over pages in VRAM: the bit goes to VRAM and
 * comes back, a CPU's write is seen, a read is not taken for one.
 */
#include <kselftest_harness.h>
#include <fcntl.h>
#include "util_mm.h"
#include "uffd_fixture.h"
#include "vram_fixture.h"

#define PAGES	128
#define LEN	(PAGES * PAGE)

FIXTURE(wp)
{
	int fd, uffd, pagemap;
	uint32_t pool;
	char *mem;
};

FIXTURE_VARIANT(wp)
{
	uint64_t features;
};

/* Holes are left alone by UFFDIO_WRITEPROTECT, or get markers. */
FIXTURE_VARIANT_ADD(wp, sync)
{
	.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP,
};

FIXTURE_VARIANT_ADD(wp, sync_with_markers)
{
	.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED,
};

FIXTURE_VARIANT_ADD(wp, async)
{
	.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED |
		    UFFD_FEATURE_PAGEFAULT_FLAG_WP,
};

FIXTURE_SETUP(wp)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(4), 0, &self->pool));
	self->uffd = uffd_open(variant->features);
	ASSERT_LE(0, self->uffd);
	self->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->pagemap);
	self->mem = map_small(LEN);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(0, uffd_register(self->uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_WP));
}

FIXTURE_TEARDOWN(wp)
{
	munmap(self->mem, LEN);
	close(self->pagemap);
	close(self->uffd);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

#define ASYNC	(variant->features & UFFD_FEATURE_WP_ASYNC)

struct writer {
	char *at;
	bool done;
};

static void *write_one(void *arg)
{
	struct writer *w = arg;

	*(volatile char *)w->at = 0x77;
	__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* A write here must raise a write-protect event, then go on when allowed to. */
static void expect_event(struct __test_metadata *_metadata, int uffd, char *at)
{
	char *page = (char *)(ADDR(at) & ~(PAGE - 1));
	struct writer w = { at, false };
	struct uffd_msg msg;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, write_one, &w));
	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000)) {
		TH_LOG("no event; the write %s", w.done ? "went through" : "hangs");
	}
	EXPECT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);
	EXPECT_NE(0, msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP);
	EXPECT_EQ(ADDR(page), msg.arg.pagefault.address & ~(PAGE - 1));
	EXPECT_FALSE(__atomic_load_n(&w.done, __ATOMIC_ACQUIRE));
	ASSERT_EQ(0, uffd_wp(uffd, page, PAGE, false));
	pthread_join(thread, NULL);
	EXPECT_EQ(0x77, *at);
}

/* RAM to VRAM to RAM: as protected, and as clean, as it was. */
TEST_F(wp, survives_a_round_trip)
{
	int i;

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uffd_wp(self->uffd, self->mem, LEN / 2, true));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
		EXPECT_EQ(PAGES / 2, pages_protected(self->pagemap, self->mem, LEN / 2));
		EXPECT_EQ(0, pages_protected(self->pagemap, self->mem + LEN / 2, LEN / 2));
		if (ASYNC) {
			EXPECT_EQ(0, pages_written(self->pagemap, self->mem, LEN / 2));
			EXPECT_EQ(PAGES / 2, pages_written(self->pagemap, self->mem + LEN / 2,
							   LEN / 2));
		}
		switch (i) {
		case 0:
			ASSERT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
			break;
		default:	/* home by reads of the CPU */
			EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
			EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
		}
		EXPECT_EQ(PAGES / 2, pages_protected(self->pagemap, self->mem, LEN / 2));
		EXPECT_EQ(0, pages_protected(self->pagemap, self->mem + LEN / 2, LEN / 2));
		if (ASYNC)
			EXPECT_EQ(0, pages_written(self->pagemap, self->mem, LEN / 2));
	}
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	expect_no_event(_metadata, self->uffd);
}

/* The CPU writes to a protected page: in VRAM, and once it has come home. */
TEST_F(wp, writes_are_seen)
{
	char *in_vram = self->mem + 3 * PAGE + 50, *read_first = self->mem + 70 * PAGE + 9;

	fill_pages(self->mem, LEN, 2);
	ASSERT_EQ(0, uffd_wp(self->uffd, self->mem, LEN, true));
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(0, read_byte(read_first).signo);
	EXPECT_EQ(PAGES - 1, uv_in_vram(self->fd, self->mem, LEN));
	expect_no_event(_metadata, self->uffd);
	if (ASYNC) {
		*(volatile char *)in_vram = 1;
		*(volatile char *)read_first = 1;
		EXPECT_EQ(1, pages_written(self->pagemap, self->mem + 3 * PAGE, PAGE));
		EXPECT_EQ(1, pages_written(self->pagemap, self->mem + 70 * PAGE, PAGE));
		EXPECT_EQ(2, pages_written(self->pagemap, self->mem, LEN));
		/* Still so in VRAM, and after protecting anew it is clean there. */
		ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
		EXPECT_EQ(2, pages_written(self->pagemap, self->mem, LEN));
		ASSERT_EQ(0, uffd_wp(self->uffd, self->mem, LEN, true));
		EXPECT_EQ(0, pages_written(self->pagemap, self->mem, LEN));
		EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
		*(volatile char *)in_vram = 2;
		EXPECT_EQ(1, pages_written(self->pagemap, self->mem, LEN));
	} else {
		expect_event(_metadata, self->uffd, in_vram);
		expect_event(_metadata, self->uffd, read_first);
		EXPECT_EQ(PAGES - 2, pages_protected(self->pagemap, self->mem, LEN));
	}
	EXPECT_EQ(-1, check_pages(self->mem, 3 * PAGE, 2));
	EXPECT_EQ(-1, check_pages(self->mem + 4 * PAGE, 66 * PAGE, 2));
	EXPECT_EQ(-1, check_pages(self->mem + 71 * PAGE, LEN - 71 * PAGE, 2));
	expect_no_event(_metadata, self->uffd);
}

/* UFFDIO_WRITEPROTECT of pages that are in VRAM, on and off. */
TEST_F(wp, protect_in_vram)
{
	fill_pages(self->mem, LEN, 3);
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(0, pages_protected(self->pagemap, self->mem, LEN));
	ASSERT_EQ(0, uffd_wp(self->uffd, self->mem, 10 * PAGE, true));
	EXPECT_EQ(10, pages_protected(self->pagemap, self->mem, LEN));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uffd_wp(self->uffd, self->mem + 4 * PAGE, 3 * PAGE, false));
	EXPECT_EQ(7, pages_protected(self->pagemap, self->mem, LEN));
	/* What is not protected is written without further ado. */
	*(volatile char *)(self->mem + 5 * PAGE) = 1;
	*(volatile char *)(self->mem + 20 * PAGE) = 1;
	expect_no_event(_metadata, self->uffd);
	if (ASYNC) {
		EXPECT_EQ(0, pages_written(self->pagemap, self->mem, 4 * PAGE));
		EXPECT_EQ(PAGES - 7, pages_written(self->pagemap, self->mem, LEN));
		*(volatile char *)(self->mem + 8 * PAGE) = 1;
		EXPECT_EQ(PAGES - 6, pages_written(self->pagemap, self->mem, LEN));
	} else {
		expect_event(_metadata, self->uffd, self->mem + 8 * PAGE);
	}
	EXPECT_EQ(-1, check_pages(self->mem, 4 * PAGE, 3));
	EXPECT_EQ(-1, check_pages(self->mem + 9 * PAGE, 11 * PAGE, 3));
	EXPECT_EQ(-1, check_pages(self->mem + 21 * PAGE, LEN - 21 * PAGE, 3));
}

/* Holes and the zero page: moving them would lose the bit, so they stay. */
TEST_F(wp, holes_stay)
{
	bool markers = variant->features & UFFD_FEATURE_WP_UNPOPULATED;
	struct uffdvram_migrate m;
	unsigned char sum = 0;
	long before;
	int i;

	for (i = 0; i < PAGES; i += 4)		/* data, zero page, hole, hole */
		fill_pages(self->mem + i * PAGE, PAGE, 4);
	for (i = 1; i < PAGES; i += 4)
		sum |= self->mem[i * PAGE];
	EXPECT_EQ(0, sum);
	ASSERT_EQ(0, uffd_wp(self->uffd, self->mem, LEN, true));
	before = pages_protected(self->pagemap, self->mem, LEN);
	EXPECT_LE(markers ? PAGES : PAGES / 4, before);
	ASSERT_EQ(PAGES / 4, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_TRUE(sum_ok(self->mem, LEN, &m));
	EXPECT_EQ(PAGES / 4 * 3, m.stayed[UFFDVRAM_STAY_MISSING]);
	EXPECT_EQ(ADDR(self->mem) + PAGE, m.first[UFFDVRAM_STAY_MISSING]);
	EXPECT_EQ(before, pages_protected(self->pagemap, self->mem, LEN));
	/* The zero page is in RAM already. */
	ASSERT_EQ(PAGES / 2, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_EQ(before, pages_protected(self->pagemap, self->mem, LEN));
	if (ASYNC) {
		EXPECT_EQ(0, pages_written(self->pagemap, self->mem, LEN));
		self->mem[2 * PAGE] = 1;
		EXPECT_EQ(1, pages_written(self->pagemap, self->mem, LEN));
	} else if (markers) {
		expect_event(_metadata, self->uffd, self->mem + 2 * PAGE);
		expect_event(_metadata, self->uffd, self->mem + PAGE);
	}
	for (i = 0; i < PAGES; i += 4)
		ASSERT_EQ(-1, check_pages(self->mem + i * PAGE, PAGE, 4));
	EXPECT_EQ(-1, not_zero(self->mem + 3 * PAGE, PAGE));
}

/* Protected pages that fail to move, or are lost, are not unprotected by it. */
TEST_F(wp, failed_moves)
{
	struct uffdvram_migrate m;

	fill_pages(self->mem, LEN, 5);
	ASSERT_EQ(0, uffd_wp(self->uffd, self->mem, LEN, true));
	uv_knob_set("fail_to_vram_every", "%d", 4);
	ASSERT_EQ(PAGES / 4 * 3, move_all(self->fd, self->mem, LEN, 0, &m));
	knobs_calm();
	EXPECT_EQ(PAGES, pages_protected(self->pagemap, self->mem, LEN));
	if (ASYNC)
		EXPECT_EQ(0, pages_written(self->pagemap, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 5));
	EXPECT_EQ(PAGES, pages_protected(self->pagemap, self->mem, LEN));

	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, &m));
	uv_knob_set("fail_to_ram", "%d", 10);
	EXPECT_EQ(PAGES - 1, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_EQ(SIGBUS, write_byte(self->mem + 9 * PAGE, 1).signo);
	EXPECT_EQ(-1, check_pages(self->mem, 9 * PAGE, 5));
	EXPECT_EQ(-1, check_pages(self->mem + 10 * PAGE, LEN - 10 * PAGE, 5));
	EXPECT_EQ(9, pages_protected(self->pagemap, self->mem, 9 * PAGE));
	EXPECT_EQ(PAGES - 10, pages_protected(self->pagemap, self->mem + 10 * PAGE,
					      LEN - 10 * PAGE));
}

struct stream {
	char *mem;
	bool *stop;
	uint64_t writes;
	uint64_t last[PAGES];	/* what was written last to each page */
};

static void *write_stream(void *arg)
{
	struct stream *s = arg;
	uint64_t seed = 4711;

	while (!__atomic_load_n(s->stop, __ATOMIC_ACQUIRE)) {
		size_t page = rnd(&seed) % PAGES;

		s->last[page] = ++s->writes;
		__atomic_store_n((uint64_t *)(s->mem + page * PAGE), s->writes,
				 __ATOMIC_RELEASE);
	}
	return NULL;
}

/*
 * A precopy: copies of written pages, over and over, while the CPU writes and
 * pages move. Re-armed first and copied afterwards, the last copy is complete.
 */
TEST_F(vram, precopy)
{
	enum { ROUNDS = 20 };
	int uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED |
			     UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char *mem = map_small(LEN), *copy = map_small(LEN);
	bool stop = false, last = false;
	struct stream s = { .mem = mem, .stop = &stop };
	uint64_t pages = 0;
	pthread_t thread;
	int round, i;

	ASSERT_LE(0, uffd);
	ASSERT_LE(0, pagemap);
	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, self->pool, NULL));
	ASSERT_EQ(0, uffd_register(uffd, mem, LEN, UFFDIO_REGISTER_MODE_WP));
	fill_pages(mem, LEN, 6);
	memcpy(copy, mem, LEN);
	ASSERT_EQ(0, uffd_wp(uffd, mem, LEN, true));
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_stream, &s));
	/* Who writes may be slow: until pages have been copied again. */
	for (round = 0; !last; round++) {
		last = round >= ROUNDS && (pages > PAGES || round >= 100 * ROUNDS);
		if (last) {			/* the downtime: the last round */
			__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
			pthread_join(thread, NULL);
		}
		for (i = 0; i < PAGES; i++) {
			char *page = mem + i * PAGE;

			if (pages_written(pagemap, page, PAGE) != 1)
				continue;
			ASSERT_EQ(0, uffd_wp(uffd, page, PAGE, true));
			memcpy(copy + i * PAGE, page, PAGE);
			pages++;
		}
		ASSERT_LE(0, move_all(self->fd, mem, LEN,
				      round % 2 ? UFFDVRAM_MIGRATE_TO_RAM : 0, NULL));
	}
	TH_LOG("%llu writes, %llu pages copied", (unsigned long long)s.writes,
	       (unsigned long long)pages);
	EXPECT_LT(PAGES, pages);
	EXPECT_EQ(0, memcmp(copy, mem, LEN));
	for (i = 0; i < PAGES; i++)
		if (s.last[i])
			ASSERT_EQ(s.last[i], *(uint64_t *)(copy + i * PAGE));
	munmap(mem, LEN);
	munmap(copy, LEN);
	close(pagemap);
	close(uffd);
}

TEST_HARNESS_MAIN
