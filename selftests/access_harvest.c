// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci */
/* TIMEOUT: 240 */
/*
 * Leases and HARVEST: a device that may be writing is reported, and afterwards what it says
 * that it wrote.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "util_mm.h"
#include "access_fixture.h"

#define WRITTEN	UFFDVRAM_REGION_WRITTEN
#define LEFT	UFFDVRAM_REGION_LEFT

/* What is reported of each page; that is committed. 0 or -errno; not all of it: -ENODATA. */
static int harvest(data *self, uint8_t flags[PAGES])
{
	struct uffdvram_region vec[PAGES];
	struct uffdvram_harvest h = {
		.size = sizeof(h),
		.range = self->range,
		.addr = ADDR(self->mem),
		.len = LEN,
		.vec = ADDR(vec),
		.vec_len = PAGES,
	};
	int ret = uv_ioctl(self->fd, UFFDVRAM_HARVEST, &h);

	if (ret || h.done != LEN)
		return ret ? ret : -ENODATA;
	memset(flags, 0, PAGES);
	for (uint64_t i = 0; i < h.used; i++)
		memset(flags + (vec[i].start - ADDR(self->mem)) / PAGE, vec[i].flags,
		       (vec[i].end - vec[i].start) / PAGE);
	h = (struct uffdvram_harvest){
		.size = sizeof(h),
		.flags = UFFDVRAM_HARVEST_COMMIT,
		.range = self->range,
		.cookie = h.cookie,
	};
	return uv_ioctl(self->fd, UFFDVRAM_HARVEST, &h);
}

/* Of how many pages exactly @what is reported, or -errno. */
static int reported(data *self, uint8_t what)
{
	uint8_t flags[PAGES];
	int n = 0, ret = harvest(self, flags);

	for (int i = 0; !ret && i < PAGES; i++)
		n += flags[i] == what;
	return ret ? ret : n;
}

/* Nothing is new from here on. */
static bool calm(data *self)
{
	return reported(self, 0) >= 0 && reported(self, 0) >= 0 && reported(self, 0) == PAGES;
}

/* Each harvest, and once more after an end that tells nothing. */
TEST_F(access, open_is_written)
{
	ASSERT_TRUE(calm(self));
	ASSERT_EQ(0, begin_all(self, WRITE));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(PAGES, reported(self, WRITTEN));
	ASSERT_EQ(0, end_all(self, 0));
	EXPECT_EQ(PAGES, reported(self, WRITTEN));
	EXPECT_EQ(PAGES, reported(self, 0));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* Who may only read has not written; nor has who says so, and nobody asked meanwhile. */
TEST_F(access, nothing_is_written)
{
	ASSERT_TRUE(calm(self));
	ASSERT_EQ(0, begin_all(self, 0));
	EXPECT_EQ(PAGES, reported(self, 0));
	ASSERT_EQ(0, end_all(self, 0));
	EXPECT_EQ(PAGES, reported(self, 0));
	ASSERT_EQ(0, begin_all(self, WRITE));
	ASSERT_EQ(0, end_all(self, 0));
	EXPECT_EQ(PAGES, reported(self, 0));
}

/* What the end says, and nothing else, whether somebody harvested before it or not. */
TEST_F(access, end_says_what)
{
	const uint64_t bits = 1ULL << 0 | 1ULL << 7 | 1ULL << 8 | 1ULL << (PAGES - 1);
	uint8_t want[PAGES] = {}, flags[PAGES];

	for (int i = 0; i < PAGES; i++)
		want[i] = bits >> i & 1 ? WRITTEN : 0;
	ASSERT_TRUE(calm(self));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, begin_all(self, WRITE));
		if (i)
			EXPECT_EQ(PAGES, reported(self, WRITTEN));
		ASSERT_EQ(0, uv_access_end(self->fd, self->b.lease, 0, &bits, PAGES, NULL));
		ASSERT_EQ(0, harvest(self, flags));
		EXPECT_EQ(0, memcmp(want, flags, PAGES));
		EXPECT_EQ(PAGES, reported(self, 0));
	}
	ASSERT_EQ(0, begin_all(self, WRITE));
	ASSERT_EQ(0, end_all(self, ALL));
	EXPECT_EQ(PAGES, reported(self, WRITTEN));
	EXPECT_EQ(PAGES, reported(self, 0));
}

/* A page that its holder's CPU takes from the device has left, and was perhaps written. */
TEST_F(access, revoked_is_written)
{
	uint8_t flags[PAGES];

	ASSERT_TRUE(calm(self));
	ASSERT_EQ(0, begin_all(self, WRITE));
	ASSERT_EQ(0, read_byte(self->mem).signo);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, harvest(self, flags));
		EXPECT_EQ(WRITTEN | LEFT, flags[0]);
		EXPECT_EQ(WRITTEN, flags[1]);
		EXPECT_EQ(WRITTEN, flags[PAGES - 1]);
	}
	ASSERT_EQ(-ESTALE, end_all(self, 0));
	EXPECT_EQ(1, self->revoked);
	ASSERT_EQ(0, harvest(self, flags));
	EXPECT_EQ(WRITTEN | LEFT, flags[0]);
	ASSERT_EQ(0, harvest(self, flags));
	EXPECT_EQ(LEFT, flags[0]);
	EXPECT_EQ(0, flags[1]);
}

/* A forked child that brings a page home does so for its parent, too. */
TEST_F(access, child_takes_it)
{
	uint8_t flags[PAGES];
	int status;
	pid_t pid;

	ASSERT_TRUE(calm(self));
	ASSERT_EQ(0, begin_all(self, WRITE));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(read_byte(self->mem + 5 * PAGE).signo);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-ESTALE, end_all(self, 0));
	ASSERT_EQ(0, harvest(self, flags));
	EXPECT_EQ(WRITTEN, flags[5] & WRITTEN);
	EXPECT_EQ(0, flags[4] & WRITTEN);
	EXPECT_EQ(0, flags[6] & WRITTEN);
}

static void *move_thread(void *arg)
{
	data *self = arg;

	/* Home, but what is leased, and in between: the core unmaps that, too. */
	while (!__atomic_load_n(&self->revoked, __ATOMIC_ACQUIRE)) {
		uv_to_ram(self->fd, self->mem, LEN);
		uv_to_vram(self->fd, self->mem, LEN);
	}
	return NULL;
}

/* Pages that lie between others which move are there, and are marked when they are told. */
TEST_F(access, end_while_others_move)
{
	uint64_t until = now_ms() + 4000, ends = 0, revoked;
	struct uffdvram_access_begin b;
	pthread_t thread;
	int ret;

	self->revoked = 0;
	ASSERT_EQ(0, pthread_create(&thread, NULL, move_thread, self));
	/* Slow machines take longer for as many. */
	while ((now_ms() < until || (ends <= 10 && now_ms() < until + 60000)) &&
	       !_metadata->exit_code) {
		ret = uv_access_begin(self->fd, WRITE, self->mem + PAGE, LEN - 2 * PAGE,
				      self->vec, PAGES, &b);
		if (ret == -EBUSY)
			continue;
		ASSERT_EQ(0, ret);
		EXPECT_EQ(0, uv_access_end(self->fd, b.lease, ALL, NULL, 0, &revoked));
		ends++;
	}
	__atomic_store_n(&self->revoked, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_LT(10, ends);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_HARNESS_MAIN
