/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of the tests of HARVEST: a range that begins and ends amid the blocks of its
 * books, and what is reported of each of its pages.
 */
#ifndef UFFDVRAM_SELFTESTS_DIRTY_FIXTURE_H
#define UFFDVRAM_SELFTESTS_DIRTY_FIXTURE_H

#include <string.h>
#include "slots_fixture.h"

#define PAGES	1200
#define LEN	(PAGES * PAGE)
#define FIRST	5		/* pages of its first block before it */
#define WRITTEN	UFFDVRAM_REGION_WRITTEN
#define LEFT	UFFDVRAM_REGION_LEFT
#define COMMIT	UFFDVRAM_HARVEST_COMMIT

FIXTURE(dirty)
{
	int fd;
	uint32_t pool, range;
	char *base, *mem;
	uint8_t flags[PAGES];	/* of the last harvest */
	uint64_t cookie, used;
};

FIXTURE_SETUP(dirty)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(16), 0, &self->pool));
	self->base = map_aligned(3 * HUGE);
	self->mem = self->base + FIRST * PAGE;
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, &self->range));
}

FIXTURE_TEARDOWN(dirty)
{
	knobs_calm();
	munmap(self->base, 3 * HUGE);
	close(self->fd);
	expect_no_slots(_metadata);
}

typedef FIXTURE_DATA(dirty) data;

/* One call. @h says what piece, and has the answer. */
static inline int uv_harvest(data *self, struct uffdvram_harvest *h,
			     struct uffdvram_region *vec, size_t vec_len)
{
	h->size = sizeof(*h);
	h->range = self->range;
	h->vec = ADDR(vec);
	h->vec_len = vec_len;
	return uv_ioctl(self->fd, UFFDVRAM_HARVEST, h);
}

/* Notes the regions of a call; false: they are not as they ought to be. */
static inline bool take_regions(data *self, const struct uffdvram_harvest *h,
				const struct uffdvram_region *vec)
{
	uint64_t at = h->addr;
	uint32_t flags = 0;

	for (uint64_t i = 0; i < h->used; i++) {
		const struct uffdvram_region *r = &vec[i];

		if (r->start < at || r->end <= r->start || r->end > h->addr + h->done ||
		    r->start % PAGE || r->end % PAGE || r->state || !r->flags ||
		    r->flags & ~(WRITTEN | LEFT) || (r->start == at && r->flags == flags))
			return false;
		memset(self->flags + (r->start - ADDR(self->mem)) / PAGE, r->flags,
		       (r->end - r->start) / PAGE);
		at = r->end;
		flags = r->flags;
	}
	return true;
}

/* A generation over pages [@first, @first + @n), @at_once regions at a time. 0 or -errno. */
static inline int harvest_piece(data *self, size_t first, size_t n, size_t at_once)
{
	struct uffdvram_region vec[64];
	struct uffdvram_harvest h = {};
	uint64_t done = 0;
	int ret = 0;

	memset(self->flags, 0, sizeof(self->flags));
	self->used = 0;
	while (!ret && done < n * PAGE) {
		h = (struct uffdvram_harvest){
			.addr = ADDR(self->mem) + first * PAGE + done,
			.len = n * PAGE - done,
			.cookie = h.cookie,
		};
		ret = uv_harvest(self, &h, vec, at_once);
		if (!take_regions(self, &h, vec) || (!ret && !h.done))
			ret = -EPROTO;
		done += h.done;
		self->used += h.used;
	}
	self->cookie = h.cookie;
	return ret;
}

static inline int harvest_commit(data *self, uint64_t cookie)
{
	struct uffdvram_harvest h = {
		.size = sizeof(h),
		.flags = COMMIT,
		.range = self->range,
		.cookie = cookie,
	};

	return uv_ioctl(self->fd, UFFDVRAM_HARVEST, &h);
}

/* All of it, once and for all. 0 or -errno. */
static inline int harvest(data *self)
{
	return harvest_piece(self, 0, PAGES, 64) ?: harvest_commit(self, self->cookie);
}

/* How many pages the last harvest reported with exactly these flags. */
static inline size_t reported(data *self, uint8_t flags)
{
	size_t n = 0;

	for (size_t i = 0; i < PAGES; i++)
		n += self->flags[i] == flags;
	return n;
}

/* Into VRAM, all of it, and harvested until that is quiet. 0 or -errno. */
static inline int calm(data *self)
{
	long n = uv_to_vram(self->fd, self->mem, LEN);

	return n != PAGES ? (n < 0 ? n : -EBUSY) : harvest(self) ?: harvest(self);
}

static inline char *page_at(data *self, size_t i)
{
	return self->mem + i * PAGE;
}

#endif /* UFFDVRAM_SELFTESTS_DIRTY_FIXTURE_H */
