// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 240 */
/*
 * HARVEST: what is reported, once, and when; generations and their cookies. What takes
 * pages out of VRAM is the subject of dirty_more.c.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "util_mm.h"
#include "dirty_fixture.h"

/* Nobody kept books before: all of it; then what is not in VRAM, again and again. */
TEST_F(dirty, the_first_time)
{
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, reported(self, WRITTEN | LEFT));
	EXPECT_EQ(1, self->used);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, harvest(self));
		EXPECT_EQ(PAGES, reported(self, LEFT));
		EXPECT_EQ(1, self->used);
	}
}

/* What stays in VRAM is not reported, and what arrives only once more. */
TEST_F(dirty, in_vram)
{
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, harvest(self));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, reported(self, LEFT));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, harvest(self));
		EXPECT_EQ(PAGES, reported(self, 0));
		EXPECT_EQ(0, self->used);
	}
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, reported(self, LEFT));
}

/* Pages that COPY writes in their slots, and no others; once. */
TEST_F(dirty, device_writes)
{
	static char buf[130 * PAGE];
	static const struct { size_t first, n; } pieces[] = {
		{ 0, 1 }, { 63, 2 }, { 500, 130 }, { 506, 3 }, { PAGES - 1, 1 },
	};
	uint8_t want[PAGES] = {};

	ASSERT_EQ(0, calm(self));
	EXPECT_EQ(PAGES, reported(self, 0));
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, page_at(self, pieces[i].first),
				     pieces[i].n * PAGE, buf, NULL));
		memset(want + pieces[i].first, WRITTEN, pieces[i].n);
	}
	/* Reading is not writing. */
	ASSERT_EQ(0, uv_copy(self->fd, 0, page_at(self, 200), 10 * PAGE, buf, NULL));
	ASSERT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(0, memcmp(want, self->flags, PAGES));
	EXPECT_EQ(4, self->used);
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, reported(self, 0));
}

/* A written page that leaves VRAM, and comes back, is both. */
TEST_F(dirty, away_and_back)
{
	char buf[PAGE];

	ASSERT_EQ(0, calm(self));
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, page_at(self, 7), PAGE, buf, NULL));
	for (size_t i = 7; i < 9; i++) {
		ASSERT_EQ(0, read_byte(page_at(self, i)).signo);
		ASSERT_EQ(1, uv_to_vram(self->fd, page_at(self, i), PAGE));
	}
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(WRITTEN | LEFT, self->flags[7]);
	EXPECT_EQ(LEFT, self->flags[8]);
	EXPECT_EQ(PAGES - 2, reported(self, 0));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, reported(self, 0));
}

/* What is not committed is reported again, with what is new. */
TEST_F(dirty, not_committed)
{
	char buf[PAGE];
	uint64_t old;

	ASSERT_EQ(0, calm(self));
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, page_at(self, 1), PAGE, buf, NULL));
	ASSERT_EQ(0, read_byte(page_at(self, 600)).signo);
	ASSERT_EQ(1, uv_to_vram(self->fd, page_at(self, 600), PAGE));
	ASSERT_EQ(0, harvest_piece(self, 0, PAGES, 64));
	EXPECT_EQ(WRITTEN, self->flags[1]);
	EXPECT_EQ(LEFT, self->flags[600]);
	old = self->cookie;
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, page_at(self, 2), PAGE, buf, NULL));
	ASSERT_EQ(0, harvest_piece(self, 0, PAGES, 64));
	EXPECT_NE(old, self->cookie);
	EXPECT_EQ(2, reported(self, WRITTEN));
	EXPECT_EQ(LEFT, self->flags[600]);
	EXPECT_EQ(-ESTALE, harvest_commit(self, old));
	EXPECT_EQ(-ESTALE, harvest_commit(self, 0));
	EXPECT_EQ(0, harvest_commit(self, self->cookie));
	EXPECT_EQ(-ESTALE, harvest_commit(self, self->cookie));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, reported(self, 0));
}

/* A commit is of what was reported, nothing else: of the piece, and not of later writes. */
TEST_F(dirty, committed_is_what_was_reported)
{
	char buf[PAGE];

	ASSERT_EQ(0, calm(self));
	for (size_t i = 0; i < PAGES; i += 100)
		ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, page_at(self, i), PAGE, buf,
				     NULL));
	ASSERT_EQ(0, harvest_piece(self, 450, 300, 64));
	EXPECT_EQ(3, reported(self, WRITTEN));
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, page_at(self, 500), PAGE, buf, NULL));
	ASSERT_EQ(0, harvest_commit(self, self->cookie));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES / 100 - 2, reported(self, WRITTEN));
	EXPECT_EQ(0, self->flags[600]);
	EXPECT_EQ(WRITTEN, self->flags[500]);
}

/* An array too short: the rest comes with the next call, and is not lost without one. */
TEST_F(dirty, array_is_full)
{
	struct uffdvram_harvest h = { .addr = ADDR(self->mem), .len = LEN };
	struct uffdvram_region vec[64];
	uint8_t want[PAGES] = {};
	char buf[PAGE];

	ASSERT_EQ(0, calm(self));
	for (size_t at_once = 1; at_once < 64; at_once = at_once * 5 + 1) {
		for (size_t i = 3; i < PAGES; i += 9) {
			ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, page_at(self, i), PAGE,
					     buf, NULL));
			want[i] = WRITTEN;
		}
		ASSERT_EQ(0, harvest_piece(self, 0, PAGES, at_once));
		EXPECT_EQ(0, memcmp(want, self->flags, PAGES));
		/* Again, and stop after ten. */
		ASSERT_EQ(0, uv_harvest(self, &h, vec, 10));
		EXPECT_EQ(10, h.used);
		EXPECT_EQ(h.addr + h.done, vec[9].end + 8 * PAGE);
		ASSERT_EQ(0, harvest_commit(self, h.cookie));
		h.cookie = 0;
		ASSERT_EQ(0, harvest(self));
		EXPECT_EQ(0, memcmp(want + 90, self->flags + 90, PAGES - 90));
		EXPECT_EQ(0, self->flags[3]);
	}
}

/* What could not be written to the caller counts as not reported. */
TEST_F(dirty, array_is_not_there)
{
	struct uffdvram_harvest h = { .addr = ADDR(self->mem), .len = LEN };
	char *page = map_small(2 * PAGE), buf[PAGE];
	struct uffdvram_region *vec = (void *)(page + PAGE - 80 * sizeof(*vec));
	uint64_t cookie;

	ASSERT_EQ(0, mprotect(page + PAGE, PAGE, PROT_NONE));
	ASSERT_EQ(0, calm(self));
	for (size_t i = 0; i < PAGES; i += 4)
		ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, page_at(self, i), PAGE, buf,
				     NULL));
	EXPECT_EQ(-EFAULT, uv_harvest(self, &h, (void *)(page + PAGE), 1000));
	EXPECT_EQ(0, h.used);
	EXPECT_EQ(0, h.done);
	/* The first so many can. */
	h.cookie = 0;
	EXPECT_EQ(-EFAULT, uv_harvest(self, &h, vec, 1000));
	EXPECT_EQ(64, h.used);
	EXPECT_EQ((63 * 4 + 1) * PAGE, h.done);
	cookie = h.cookie;
	EXPECT_EQ(0, harvest_commit(self, cookie));
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES / 4 - 64, reported(self, WRITTEN));
	EXPECT_EQ(0, self->flags[63 * 4]);
	EXPECT_EQ(WRITTEN, self->flags[64 * 4]);
	munmap(page, 2 * PAGE);
}

static int bad_call(data *self, uint64_t addr, uint64_t len, uint64_t vec_len)
{
	struct uffdvram_region vec;
	struct uffdvram_harvest h = { .addr = addr, .len = len, .used = 7, .done = 7 };
	int ret = uv_harvest(self, &h, vec_len ? &vec : NULL, vec_len);

	return h.used || h.done ? -EPROTO : ret;
}

TEST_F(dirty, calls_that_fail)
{
	struct uffdvram_harvest h = { .size = sizeof(h), .flags = COMMIT };
	uint64_t at = ADDR(self->mem);
	struct uffdvram_region vec;

	EXPECT_EQ(-EINVAL, bad_call(self, at, 0, 1));
	EXPECT_EQ(-EINVAL, bad_call(self, at + 1, PAGE, 1));
	EXPECT_EQ(-EINVAL, bad_call(self, at, PAGE + 1, 1));
	EXPECT_EQ(-EINVAL, bad_call(self, at - PAGE, LEN, 1));
	EXPECT_EQ(-EINVAL, bad_call(self, at, LEN + PAGE, 1));
	EXPECT_EQ(-EINVAL, bad_call(self, at + LEN, PAGE, 1));
	EXPECT_EQ(-EINVAL, bad_call(self, -PAGE, 2 * PAGE, 1));
	EXPECT_EQ(-EINVAL, bad_call(self, at, LEN, 0));
	EXPECT_EQ(-ESTALE, harvest_commit(self, 0));
	EXPECT_EQ(-ESTALE, harvest_commit(self, 1));
	h.range = self->range;
	h.len = PAGE;
	EXPECT_EQ(-EINVAL, uv_ioctl(self->fd, UFFDVRAM_HARVEST, &h));
	/* Somebody else's generation. */
	h = (struct uffdvram_harvest){ .addr = at, .len = LEN, .cookie = 5 };
	EXPECT_EQ(-ESTALE, uv_harvest(self, &h, &vec, 1));
	self->range += 1000;
	EXPECT_EQ(-ENOENT, bad_call(self, at, LEN, 1));
	EXPECT_EQ(-ENOENT, harvest_commit(self, 1));
	self->range -= 1000;
	/* None of these was a harvest. */
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, reported(self, WRITTEN | LEFT));
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	EXPECT_EQ(-ENOENT, bad_call(self, at, LEN, 1));
}

static void *harvest_into(void *arg)
{
	data **self = arg;
	struct uffdvram_harvest h = { .addr = ADDR((*self)->mem), .len = LEN };

	return (void *)(intptr_t)uv_harvest(*self, &h, (void *)self[1], 1);
}

/* Who harvests waits for his memory: others are told so at once, not later. */
TEST_F(dirty, one_at_a_time)
{
	int uffd = uffd_open(0);
	char *page = map_small(PAGE), zero[PAGE] = {};
	void *args[2] = { self, page }, *ret;
	struct uffd_msg msg;
	pthread_t thread;

	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, calm(self));
	ASSERT_EQ(0, uffd_register(uffd, page, PAGE, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, read_byte(page_at(self, 9)).signo);
	ASSERT_EQ(0, pthread_create(&thread, NULL, harvest_into, args));
	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000));
	EXPECT_EQ(-EBUSY, harvest_piece(self, 0, PAGES, 64));
	EXPECT_EQ(-EBUSY, harvest_commit(self, 1));
	/* And nobody else waits for it. */
	EXPECT_EQ(0, read_byte(page_at(self, 10)).signo);
	ASSERT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	ASSERT_EQ((long)PAGE, uffd_copy(uffd, page, zero, PAGE, 0) ?: (long)PAGE);
	pthread_join(thread, &ret);
	EXPECT_EQ(0, (intptr_t)ret);
	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, reported(self, LEFT));
	munmap(page, PAGE);
	close(uffd);
}

/* The piece that is harvested may begin and end anywhere. */
TEST_F(dirty, any_piece)
{
	uint64_t state = 77;
	char buf[PAGE];

	ASSERT_EQ(0, calm(self));
	for (int i = 0; i < 40; i++) {
		uint8_t want[PAGES] = {};
		size_t first = rnd(&state) % PAGES, n = 1 + rnd(&state) % (PAGES - first);

		for (int k = 0; k < 5; k++) {
			size_t page = rnd(&state) % PAGES;

			want[page] = WRITTEN;
			ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, page_at(self, page),
					     PAGE, buf, NULL));
		}
		ASSERT_EQ(0, harvest_piece(self, first, n, 64));
		EXPECT_EQ(0, memcmp(want + first, self->flags + first, n));
		ASSERT_EQ(0, harvest_commit(self, self->cookie));
		memset(want + first, 0, n);
		ASSERT_EQ(0, harvest(self));
		EXPECT_EQ(0, memcmp(want, self->flags, PAGES));
	}
}

TEST_HARNESS_MAIN
