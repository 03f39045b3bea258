// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/*
 * userfaultfd's read-write protection, which tells of every access, over pages in
 * VRAM: it goes there and comes back, and nothing of ours is taken for an access.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include "util_mm.h"
#include "uffd_fixture.h"

/* The kernel's headers of 7.3 have them. */
#ifndef UFFD_FEATURE_RWP
#define UFFDIO_REGISTER_MODE_RWP	(1ULL << 3)
#define UFFD_PAGEFAULT_FLAG_RWP		(1U << 3)
#define UFFD_FEATURE_RWP		(1U << 17)
#define UFFD_FEATURE_RWP_ASYNC		(1U << 18)
#define UFFDIO_RWPROTECT_MODE_RWP	(1ULL << 0)
struct uffdio_rwprotect {
	struct uffdio_range range;
	uint64_t mode;
};
#define UFFDIO_RWPROTECT		_IOWR(UFFDIO, 0x09, struct uffdio_rwprotect)
#endif

#define PAGES	128
#define LEN	(PAGES * PAGE)

FIXTURE(rwp)
{
	int fd, uffd, pagemap;
	uint32_t pool;
	char *mem;
};

FIXTURE_VARIANT(rwp)
{
	uint64_t features;
};

FIXTURE_VARIANT_ADD(rwp, sync)
{
	.features = UFFD_FEATURE_RWP,
};

FIXTURE_VARIANT_ADD(rwp, async)
{
	.features = UFFD_FEATURE_RWP | UFFD_FEATURE_RWP_ASYNC,
};

#define ASYNC	(variant->features & UFFD_FEATURE_RWP_ASYNC)

FIXTURE_SETUP(rwp)
{
	self->uffd = uffd_open(variant->features);
	if (self->uffd == -EINVAL)
		SKIP(return, "no read-write protection in this kernel");
	ASSERT_LE(0, self->uffd);
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(4), 0, &self->pool));
	self->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->pagemap);
	self->mem = map_small(LEN);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(0, uffd_register(self->uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_RWP));
}

FIXTURE_TEARDOWN(rwp)
{
	munmap(self->mem, LEN);
	close(self->pagemap);
	close(self->uffd);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

static int protect(int uffd, const char *mem, size_t len, bool on)
{
	struct uffdio_rwprotect arg = {
		.range = { .start = ADDR(mem), .len = len },
		.mode = on ? UFFDIO_RWPROTECT_MODE_RWP : 0,
	};

	return ioctl(uffd, UFFDIO_RWPROTECT, &arg) ? -errno : 0;
}

struct reader {
	const char *page;
	long wrong;
	bool done;
};

static void *read_one(void *arg)
{
	struct reader *r = arg;

	r->wrong = check_pages(r->page, PAGE, 1);
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* A read here raises an event, or none; either way it finds what was written. */
static void expect_access(struct __test_metadata *_metadata, int uffd, const char *page,
			  bool event)
{
	struct reader r = { page, 0, false };
	struct uffd_msg msg;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, read_one, &r));
	if (event) {
		ASSERT_TRUE(uffd_wait(uffd, &msg, 60000)) {
			TH_LOG("no event; the read %s", r.done ? "went through" : "hangs");
		}
		EXPECT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);
		EXPECT_NE(0, msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_RWP);
		EXPECT_EQ(ADDR(page), msg.arg.pagefault.address & ~(PAGE - 1));
		EXPECT_FALSE(__atomic_load_n(&r.done, __ATOMIC_ACQUIRE));
		ASSERT_EQ(0, protect(uffd, page, PAGE, false));
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(-1, r.wrong);
	expect_no_event(_metadata, uffd);
}

/* Protected in RAM: still so in VRAM, and again at home. */
TEST_F(rwp, survives_a_round_trip)
{
	char *half = self->mem + LEN / 2;
	int i;

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, protect(self->uffd, self->mem, LEN / 2, true));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
		EXPECT_EQ(PAGES / 2, pages_protected(self->pagemap, self->mem, LEN / 2));
		EXPECT_EQ(0, pages_protected(self->pagemap, half, LEN / 2));
		ASSERT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
		EXPECT_EQ(PAGES / 2, pages_protected(self->pagemap, self->mem, LEN / 2));
		EXPECT_EQ(0, pages_protected(self->pagemap, half, LEN / 2));
	}
	expect_no_event(_metadata, self->uffd);
	EXPECT_EQ(-1, check_pages(half, LEN / 2, 1));
	expect_no_event(_metadata, self->uffd);
	expect_access(_metadata, self->uffd, self->mem + 3 * PAGE, !ASYNC);
	EXPECT_EQ(PAGES / 2 - 1, pages_protected(self->pagemap, self->mem, LEN));
	ASSERT_EQ(0, protect(self->uffd, self->mem, LEN, false));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* Protected where they are: who touches one brings it home, and is then told of. */
TEST_F(rwp, protect_in_vram)
{
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	ASSERT_EQ(0, protect(self->uffd, self->mem, LEN, true));
	EXPECT_EQ(PAGES, pages_protected(self->pagemap, self->mem, LEN));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	expect_access(_metadata, self->uffd, self->mem, !ASYNC);
	expect_access(_metadata, self->uffd, self->mem + 9 * PAGE, !ASYNC);
	EXPECT_EQ(PAGES - 2, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(PAGES - 2, pages_protected(self->pagemap, self->mem, LEN));

	ASSERT_EQ(0, protect(self->uffd, self->mem, LEN / 2, false));
	EXPECT_EQ(PAGES - 2, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN / 2, 1));
	expect_no_event(_metadata, self->uffd);
	EXPECT_EQ(PAGES / 2, pages_protected(self->pagemap, self->mem, LEN));
	ASSERT_EQ(0, uffd_unregister(self->uffd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(rwp, holes_stay)
{
	struct uffdvram_migrate m;

	fill_pages(self->mem, LEN / 2, 1);
	ASSERT_EQ(PAGES / 2, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(PAGES / 2, m.stayed[UFFDVRAM_STAY_MISSING]);
	expect_no_event(_metadata, self->uffd);
}

static int holds_them(int sock, void *mem)
{
	uint64_t word;

	while (child_hear(sock, &word))
		child_tell(sock, check_each(mem, LEN, word));
	return 0;
}

/*
 * To make pages our own that are shared by fork takes an access. So they stay:
 * nobody is asked, who asks for the move could be the one to answer.
 */
TEST_F(rwp, shared_pages_stay)
{
	struct uffdvram_migrate m;
	struct child c;

	fill_pages(self->mem, LEN, 1);
	c = child_start(holds_them, self->mem);
	ASSERT_LT(0, c.pid);
	ASSERT_EQ(0, protect(self->uffd, self->mem, LEN, true));
	EXPECT_EQ(0, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(PAGES, m.stayed[UFFDVRAM_STAY_SHARED]);
	expect_no_event(_metadata, self->uffd);
	EXPECT_EQ(PAGES, pages_protected(self->pagemap, self->mem, LEN));
	EXPECT_EQ(0, child_step(&c, 1));

	/* Without the protection they move as ever. */
	ASSERT_EQ(0, uffd_unregister(self->uffd, self->mem, LEN));
	EXPECT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(0, child_step(&c, 1));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(0, child_end(&c));
}

/* COPY reads slots without anybody's knowing, and writes as a CPU does. */
TEST_F(rwp, copy)
{
	char *buf = map_small(LEN);
	uint64_t done;

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES / 2, move_all(self->fd, self->mem, LEN / 2, 0, NULL));
	ASSERT_EQ(0, protect(self->uffd, self->mem, LEN, true));
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, UFFDVRAM_COPY_NOFAULT, self->mem, LEN, buf, &done));
	EXPECT_EQ(LEN / 2, done);
	EXPECT_EQ(-1, check_pages_as(buf, LEN / 2, self->mem, 1));
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, UFFDVRAM_COPY_NOFAULT | UFFDVRAM_COPY_WRITE,
				   self->mem, PAGE, buf, NULL));
	expect_no_event(_metadata, self->uffd);
	EXPECT_EQ(PAGES, pages_protected(self->pagemap, self->mem, LEN));
	EXPECT_EQ(PAGES / 2, uv_in_vram(self->fd, self->mem, LEN));
	if (ASYNC) {
		ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem, PAGE,
				     buf + PAGE, NULL));
		EXPECT_EQ(PAGES / 2 - 1, uv_in_vram(self->fd, self->mem, LEN));
		EXPECT_EQ(PAGES - 1, pages_protected(self->pagemap, self->mem, LEN));
		EXPECT_EQ(-1, check_pages_as(self->mem, PAGE, self->mem + PAGE, 1));
		EXPECT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, buf, NULL));
		EXPECT_EQ(-1, check_pages_as(buf + LEN / 2, LEN / 2, self->mem + LEN / 2, 1));
		EXPECT_EQ(PAGES / 2 - 1, pages_protected(self->pagemap, self->mem, LEN));
	}
	munmap(buf, LEN);
}

static int meets_poison(int sock, void *mem)
{
	(void)sock;
	return read_byte(mem).signo != SIGBUS;
}

/* The zero page, protected, in memory that no page was ever written in. */
TEST_F(rwp, poison_for_the_zero_page)
{
	ASSERT_EQ(0, read_byte(self->mem).value);
	ASSERT_EQ(0, protect(self->uffd, self->mem, PAGE, true));
	ASSERT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_REPLACE, self->mem, PAGE, NULL));
	expect_no_event(_metadata, self->uffd);
	EXPECT_EQ(SIGBUS, read_byte(self->mem).signo);
	/* A child has the mark, too. */
	EXPECT_EQ(0, run_child(meets_poison, self->mem));
}

TEST_HARNESS_MAIN
