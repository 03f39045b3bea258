// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * userfaultfd in missing mode over pages in VRAM: MIGRATE fills no hole that
 * somebody watches, discarding a page in VRAM arms its address again, and what
 * was installed moves like any other page.
 *
 * Write protection is the subject of uffd_wp.c.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <sys/ioctl.h>
#include "util_mm.h"
#include "vram_fixture.h"

#define PAGES	64
#define LEN	(PAGES * PAGE)

/* What a handler thread answers missing faults with: pattern 9 for the address. */
struct server {
	int uffd;
	int fd;			/* context, to move what was installed; or -1 */
	bool *stop;
	uint64_t served, wrong;
};

static void *serve_missing(void *arg)
{
	struct server *s = arg;
	char *page = map_small(PAGE);
	struct uffd_msg msg;

	while (!__atomic_load_n(s->stop, __ATOMIC_ACQUIRE)) {
		char *at;

		if (!uffd_wait(s->uffd, &msg, 20))
			continue;
		if (msg.event != UFFD_EVENT_PAGEFAULT) {
			s->wrong++;
			continue;
		}
		at = (char *)(uintptr_t)(msg.arg.pagefault.address & ~(PAGE - 1));
		fill_pages_as(page, PAGE, at, 9);
		s->wrong += uffd_copy(s->uffd, at, page, PAGE, 0) != 0;
		s->served++;
		if (s->fd >= 0)
			uv_migrate(s->fd, at, PAGE, 0, NULL);
	}
	munmap(page, PAGE);
	return NULL;
}

FIXTURE(armed)
{
	int fd, uffd;
	uint32_t pool;
	char *mem, *data;
};

/* Memory that is armed while still empty, and a page of known data. */
FIXTURE_SETUP(armed)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, VRAM_POOL, 0, &self->pool));
	self->uffd = uffd_open(0);
	ASSERT_LE(0, self->uffd);
	self->mem = map_small(LEN);
	self->data = map_small(LEN);
	fill_pages_as(self->data, LEN, self->mem, 1);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(0, uffd_register(self->uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_MISSING));
}

FIXTURE_TEARDOWN(armed)
{
	munmap(self->mem, LEN);
	close(self->uffd);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

/* Postcopy: install, move, read. Holes stay armed holes. */
TEST_F(armed, installed_pages_move)
{
	struct uffdvram_migrate m;
	struct uffd_msg msg;
	int i;

	ASSERT_EQ(0, uv_migrate(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(PAGES, m.stayed[UFFDVRAM_STAY_MISSING]);
	EXPECT_EQ(ADDR(self->mem), m.first[UFFDVRAM_STAY_MISSING]);
	EXPECT_TRUE(sum_ok(self->mem, LEN, &m));
	EXPECT_EQ(0, uv_slots_in_use());

	for (i = 0; i < PAGES; i += 2)
		ASSERT_EQ(0, uffd_copy(self->uffd, self->mem + i * PAGE,
				       self->data + i * PAGE, PAGE, 0));
	ASSERT_EQ(PAGES / 2, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(PAGES / 2, m.stayed[UFFDVRAM_STAY_MISSING]);
	EXPECT_EQ(ADDR(self->mem) + PAGE, m.first[UFFDVRAM_STAY_MISSING]);

	/* A page in VRAM is not missing: it cannot be installed a second time. */
	EXPECT_EQ(-EEXIST, uffd_copy(self->uffd, self->mem, self->data, PAGE, 0));
	EXPECT_EQ(-EEXIST, uffd_zeropage(self->uffd, self->mem, PAGE));
	EXPECT_EQ(-EEXIST, uffd_poison(self->uffd, self->mem, PAGE));
	EXPECT_EQ(PAGES / 2, uv_in_vram(self->fd, self->mem, LEN));

	for (i = 0; i < PAGES; i += 2)
		ASSERT_EQ(-1, check_pages(self->mem + i * PAGE, PAGE, 1));
	EXPECT_FALSE(uffd_wait(self->uffd, &msg, 0));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
}

struct reader {
	char *page;
	uint64_t seed;
	long offset;
};

static void *read_page(void *arg)
{
	struct reader *r = arg;

	r->offset = check_pages(r->page, PAGE, r->seed);
	return NULL;
}

/* Discarding a page that is in VRAM frees its slot, and the next touch tells. */
TEST_F(armed, discard_in_vram)
{
	struct reader r = { self->mem + 5 * PAGE, 2, 0 };
	struct uffd_msg msg;
	pthread_t thread;

	ASSERT_EQ(0, uffd_copy(self->uffd, self->mem, self->data, LEN, 0));
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	ASSERT_EQ(0, madvise(r.page, PAGE, MADV_DONTNEED));
	EXPECT_TRUE(uv_wait_slots(PAGES - 1));
	EXPECT_EQ(PAGES - 1, uv_in_vram(self->fd, self->mem, LEN));

	ASSERT_EQ(0, pthread_create(&thread, NULL, read_page, &r));
	ASSERT_TRUE(uffd_wait(self->uffd, &msg, 60000));
	EXPECT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);
	EXPECT_EQ(ADDR(r.page), msg.arg.pagefault.address & ~(PAGE - 1));
	EXPECT_EQ(0, msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP);
	fill_pages_as(self->data, PAGE, r.page, 2);
	ASSERT_EQ(0, uffd_copy(self->uffd, r.page, self->data, PAGE, 0));
	pthread_join(thread, NULL);
	EXPECT_EQ(-1, r.offset);

	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(-1, check_pages(r.page, PAGE, 2));
	EXPECT_EQ(-1, check_pages(self->mem, 5 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + 6 * PAGE, LEN - 6 * PAGE, 1));
	EXPECT_FALSE(uffd_wait(self->uffd, &msg, 0));
}

/* An installed zero page in watched memory stays what it is. */
TEST_F(armed, zero_pages)
{
	struct uffdvram_migrate m;
	struct uffd_msg msg;

	ASSERT_EQ(0, uffd_zeropage(self->uffd, self->mem, 8 * PAGE));
	ASSERT_EQ(0, uffd_copy(self->uffd, self->mem + 8 * PAGE, self->data + 8 * PAGE,
			       8 * PAGE, 0));
	ASSERT_EQ(8, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(PAGES - 8, m.stayed[UFFDVRAM_STAY_MISSING]);
	EXPECT_EQ(ADDR(self->mem), m.first[UFFDVRAM_STAY_MISSING]);
	EXPECT_TRUE(sum_ok(self->mem, LEN, &m));
	EXPECT_EQ(-1, not_zero(self->mem, 8 * PAGE));
	EXPECT_EQ(-1, check_pages(self->mem + 8 * PAGE, 8 * PAGE, 1));
	EXPECT_FALSE(uffd_wait(self->uffd, &msg, 0));
	/* Written, it is a page like others. */
	fill_pages(self->mem, 8 * PAGE, 3);
	ASSERT_EQ(16, move_all(self->fd, self->mem, 16 * PAGE, 0, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, 8 * PAGE, 3));
}

TEST_F(armed, poison_between_pages_in_vram)
{
	struct uffdvram_migrate m;
	int i;

	for (i = 0; i < PAGES; i += 2) {
		ASSERT_EQ(0, uffd_copy(self->uffd, self->mem + i * PAGE,
				       self->data + i * PAGE, PAGE, 0));
		ASSERT_EQ(0, uffd_poison(self->uffd, self->mem + (i + 1) * PAGE, PAGE));
	}
	ASSERT_EQ(PAGES / 2, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(PAGES / 2, m.stayed[UFFDVRAM_STAY_POISONED]);
	EXPECT_EQ(ADDR(self->mem) + PAGE, m.first[UFFDVRAM_STAY_POISONED]);
	for (i = 0; i < PAGES; i += 2) {
		struct sigbus bus = read_byte(self->mem + (i + 1) * PAGE);

		EXPECT_EQ(SIGBUS, bus.signo);
		EXPECT_EQ(BUS_MCEERR_AR, bus.code);
		EXPECT_EQ(-1, check_pages(self->mem + i * PAGE, PAGE, 1));
	}
}

/* Threads touch everything while pages are served, moved in and discarded. */
TEST_F(armed, served_moved_discarded)
{
	enum { ROUNDS = 300 };
	bool stop = false;
	struct server s = { self->uffd, self->fd, &stop, 0, 0 };
	struct uffdvram_migrate m;
	uint64_t seed = 5, bad = 0;
	pthread_t thread;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, serve_missing, &s));
	for (i = 0; i < ROUNDS; i++) {
		char *page = self->mem + rnd(&seed) % PAGES * PAGE;

		bad += check_pages(page, PAGE, 9) != -1;
		page = self->mem + rnd(&seed) % PAGES * PAGE;
		switch (rnd(&seed) % 4) {
		case 0:
			ASSERT_EQ(0, madvise(page, PAGE, MADV_DONTNEED));
			break;
		case 1:
			ASSERT_EQ(0, uv_migrate(self->fd, self->mem, LEN, 0, &m));
			bad += !sum_ok(self->mem, LEN, &m);
			break;
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, bad);
	EXPECT_EQ(0, s.wrong);
	EXPECT_LT(PAGES / 2, s.served);
}

/* UFFDIO_MOVE of a page in VRAM is refused by the kernel, and harms nothing. */
TEST_F(armed, uffdio_move)
{
	char *from = map_small(4 * PAGE);
	struct uffd_msg msg;

	fill_pages(from, 4 * PAGE, 4);
	ASSERT_EQ(0, uv_register(self->fd, from, 4 * PAGE, self->pool, NULL));
	ASSERT_EQ(4, move_all(self->fd, from, 4 * PAGE, 0, NULL));
	EXPECT_EQ(-EFAULT, uffd_move(self->uffd, self->mem, from, 4 * PAGE, 0));
	EXPECT_EQ(4, uv_in_vram(self->fd, from, 4 * PAGE));
	/* Once it is home, it is moved. */
	EXPECT_EQ(-1, check_pages(from, 4 * PAGE, 4));
	EXPECT_EQ(0, uffd_move(self->uffd, self->mem, from, 4 * PAGE, 0));
	EXPECT_EQ(-1, check_pages_as(self->mem, 4 * PAGE, from, 4));
	EXPECT_EQ(-1, not_zero(from, 4 * PAGE));
	EXPECT_FALSE(uffd_wait(self->uffd, &msg, 0));
	munmap(from, 4 * PAGE);
}

struct listener {
	int uffd;
	bool *stop;
	struct uffd_msg last;	/* of the kind asked for */
	int kind, seen;
};

/* Non-cooperative events hold up their causer until they are read. */
static void *listen_events(void *arg)
{
	struct listener *l = arg;
	struct uffd_msg msg;

	while (!__atomic_load_n(l->stop, __ATOMIC_ACQUIRE))
		if (uffd_wait(l->uffd, &msg, 20) && msg.event == l->kind) {
			l->last = msg;
			l->seen++;
		}
	return NULL;
}

static int check_in_child(int sock, void *arg)
{
	(void)sock;
	return check_pages(arg, LEN, 1) == -1 ? 0 : 1;
}

/* Remove, unmap, remap and fork of pages in VRAM are told as of any others. */
TEST_F(vram, events)
{
	static const int kinds[] = { UFFD_EVENT_REMAP, UFFD_EVENT_FORK, UFFD_EVENT_REMOVE,
				     UFFD_EVENT_UNMAP };
	char *mem = map_small(LEN), *to = map_small(LEN);
	int uffd = uffd_open(UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_REMAP |
			     UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_FORK);
	size_t i;

	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, self->pool, NULL));
	fill_pages(mem, LEN, 1);
	ASSERT_EQ(0, uffd_register(uffd, mem, LEN, UFFDIO_REGISTER_MODE_MISSING));
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		bool stop = false;
		struct listener l = { .uffd = uffd, .stop = &stop, .kind = kinds[i] };
		pthread_t thread;

		ASSERT_LT(0, move_all(self->fd, mem, LEN, 0, NULL));
		ASSERT_EQ(0, pthread_create(&thread, NULL, listen_events, &l));
		switch (kinds[i]) {
		case UFFD_EVENT_REMAP:
			EXPECT_EQ(to, mremap(mem, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to));
			EXPECT_EQ(-1, check_pages_as(to, LEN, mem, 1));
			EXPECT_EQ(mem, mremap(to, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, mem));
			/* A range may end when its memory moves away. */
			uv_register(self->fd, mem, LEN, self->pool, NULL);
			break;
		case UFFD_EVENT_FORK:
			EXPECT_EQ(0, run_child(check_in_child, mem));
			break;
		case UFFD_EVENT_REMOVE:
			EXPECT_EQ(0, madvise(mem + PAGE, PAGE, MADV_DONTNEED));
			EXPECT_EQ(PAGES - 1, uv_in_vram(self->fd, mem, LEN));
			break;
		case UFFD_EVENT_UNMAP:
			EXPECT_EQ(-1, check_pages(mem, PAGE, 1));
			EXPECT_EQ(-1, check_pages(mem + 2 * PAGE, LEN - 2 * PAGE, 1));
			EXPECT_EQ(0, munmap(mem, LEN));
			break;
		}
		sleep_ms(50);
		__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
		pthread_join(thread, NULL);
		EXPECT_LE(1, l.seen) TH_LOG("event %#x", kinds[i]);
		if (kinds[i] == UFFD_EVENT_FORK)
			close(l.last.arg.fork.ufd);
	}
	close(uffd);
}

TEST_HARNESS_MAIN
