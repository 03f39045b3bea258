// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 240 */
/* HARVEST as a bitmap: the same as regions tell, in words of 64 pages. */
#include <kselftest_harness.h>
#include <errno.h>
#include <sys/mman.h>
#include "util_mm.h"
#include "dirty_fixture.h"

#define BITMAP		UFFDVRAM_HARVEST_BITMAP
#define WORD_PAGES	64
/* The range begins amid a word. */
#define WORDS		((FIRST + PAGES + WORD_PAGES - 1) / WORD_PAGES)
#define UNTOUCHED	0x5a5a5a5a5a5a5a5aULL

typedef struct uffdvram_harvest_word word;

static int uv_bitmap(data *self, struct uffdvram_harvest *h, word *vec, size_t vec_len)
{
	h->flags |= BITMAP;
	return uv_harvest(self, h, (void *)vec, vec_len);
}

/* The pages of words @first on; bits of pages that are not asked for must be 0. */
static bool take_words(data *self, const struct uffdvram_harvest *h, const word *vec,
		       uint8_t *in_vram)
{
	size_t from = (h->addr - ADDR(self->mem)) / PAGE, n = h->done / PAGE;
	size_t base = (from + FIRST) / WORD_PAGES * WORD_PAGES;

	for (size_t i = 0; i < h->used * WORD_PAGES; i++) {
		const word *w = &vec[i / WORD_PAGES];
		uint64_t bit = 1ULL << i % WORD_PAGES;
		size_t page = base + i - FIRST;

		if (!((w->written | w->left | w->in_vram) & bit))
			continue;
		if (page < from || page >= from + n || (w->in_vram & bit && !(w->left & bit)))
			return false;
		self->flags[page] = (w->written & bit ? WRITTEN : 0) |
				    (w->left & bit ? LEFT : 0);
		in_vram[page] = !!(w->in_vram & bit);
	}
	return true;
}

/* A generation over pages [@first, @first + @n), @at_once words at a time. 0 or -errno. */
static int bitmap_piece(data *self, size_t first, size_t n, size_t at_once, uint8_t *in_vram)
{
	struct uffdvram_harvest h = {};
	uint64_t done = 0;
	int ret = 0;

	memset(self->flags, 0, sizeof(self->flags));
	memset(in_vram, 0, PAGES);
	while (!ret && done < n * PAGE) {
		word vec[WORDS] = {};

		h = (struct uffdvram_harvest){
			.addr = ADDR(self->mem) + first * PAGE + done,
			.len = n * PAGE - done,
			.cookie = h.cookie,
		};
		ret = uv_bitmap(self, &h, vec, at_once);
		if (h.used > at_once || !take_words(self, &h, vec, in_vram) || (!ret && !h.done))
			ret = -EPROTO;
		done += h.done;
	}
	self->cookie = h.cookie;
	return ret;
}

/* Pages that were written, that left, that left and came back, and both. */
static void happen(struct __test_metadata *_metadata, data *self, uint64_t *state)
{
	char buf[PAGE];

	for (int i = 0; i < 30; i++) {
		size_t page = rnd(state) % PAGES;

		if (rnd(state) % 2)
			ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE,
					     page_at(self, page), PAGE, buf, NULL));
		if (rnd(state) % 2)
			ASSERT_EQ(0, read_byte(page_at(self, page)).signo);
	}
	for (int i = 0; i < 4; i++)
		ASSERT_LE(0, uv_to_vram(self->fd, page_at(self, rnd(state) % (PAGES - 100)),
					100 * PAGE));
}

/* Regions and bitmaps of the same pages tell the same. */
TEST_F(dirty, same_as_regions)
{
	uint8_t want[PAGES], in_vram[PAGES];
	uint64_t state = 5;

	for (int i = 0; i < 20; i++) {
		size_t first = i ? rnd(&state) % PAGES : 0;
		size_t n = i ? 1 + rnd(&state) % (PAGES - first) : PAGES;

		ASSERT_EQ(0, calm(self));
		happen(_metadata, self, &state);
		/* What nobody commits is told again. */
		ASSERT_EQ(0, harvest_piece(self, first, n, 64));
		memcpy(want, self->flags, PAGES);
		ASSERT_EQ(0, bitmap_piece(self, first, n, 1 + rnd(&state) % WORDS, in_vram));
		EXPECT_EQ(0, memcmp(want, self->flags, PAGES));
		for (size_t page = first; page < first + n; page++) {
			bool there = state_of(self->fd, page_at(self, page)) == UFFDVRAM_STATE_VRAM;

			ASSERT_EQ(self->flags[page] & LEFT && there, in_vram[page]) {
				TH_LOG("round %d: page %zu", i, page);
			}
		}
		ASSERT_EQ(0, harvest_commit(self, self->cookie));
		ASSERT_EQ(0, bitmap_piece(self, first, n, WORDS, in_vram));
		for (size_t page = first; page < first + n; page++)
			EXPECT_EQ(want[page] & LEFT && !in_vram[page] &&
				  state_of(self->fd, page_at(self, page)) != UFFDVRAM_STATE_VRAM ?
				  LEFT : 0, self->flags[page]);
	}
}

/* Of what has nothing to tell, nothing is written; and where an array ends, nor is more. */
TEST_F(dirty, words_that_stay)
{
	struct uffdvram_harvest h = { .addr = ADDR(self->mem), .len = LEN };
	word vec[WORDS + 1];
	char buf[PAGE];

	ASSERT_EQ(0, calm(self));
	memset(vec, 0x5a, sizeof(vec));
	ASSERT_EQ(0, uv_bitmap(self, &h, vec, WORDS));
	EXPECT_EQ(0, h.used);
	EXPECT_EQ(LEN, h.done);
	for (size_t i = 0; i <= WORDS; i++)
		EXPECT_EQ(UNTOUCHED, vec[i].written);
	/* In the second block. */
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, page_at(self, 520), PAGE, buf, NULL));
	h = (struct uffdvram_harvest){ .addr = ADDR(self->mem), .len = LEN };
	ASSERT_EQ(0, uv_bitmap(self, &h, vec, WORDS + 1));
	EXPECT_EQ(16, h.used);
	EXPECT_EQ(LEN, h.done);
	EXPECT_EQ(UNTOUCHED, vec[7].written);
	EXPECT_EQ(1ULL << (520 + FIRST) % 64, vec[8].written);
	EXPECT_EQ(0, vec[8].left);
	EXPECT_EQ(0, vec[15].written);
	EXPECT_EQ(UNTOUCHED, vec[16].left);
	/* Its first three words. */
	memset(vec, 0x5a, sizeof(vec));
	h = (struct uffdvram_harvest){ .addr = ADDR(page_at(self, 500)), .len = LEN - 500 * PAGE };
	ASSERT_EQ(0, uv_bitmap(self, &h, vec, 3));
	EXPECT_EQ(3, h.used);
	EXPECT_EQ((7 + 3) * 64 * PAGE, h.addr + h.done - ADDR(self->base));
	EXPECT_EQ(1ULL << (520 + FIRST) % 64, vec[1].written);
	EXPECT_EQ(UNTOUCHED, vec[3].written);
}

/* What could not be written to the caller counts as not told. */
TEST_F(dirty, words_that_are_not_there)
{
	char *page = map_small(2 * PAGE), buf[PAGE];
	word *vec = (void *)(page + PAGE - 8 * sizeof(*vec));
	struct uffdvram_harvest h = { .addr = ADDR(self->mem), .len = LEN };
	uint8_t in_vram[PAGES];

	ASSERT_EQ(0, mprotect(page + PAGE, PAGE, PROT_NONE));
	ASSERT_EQ(0, calm(self));
	/* In the first block, and in the last one. */
	for (size_t i = 0; i < PAGES; i += i == 500 ? 600 : 100)
		ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, page_at(self, i), PAGE, buf,
				     NULL));
	EXPECT_EQ(-EFAULT, uv_bitmap(self, &h, (void *)(page + PAGE), WORDS));
	EXPECT_EQ(0, h.used);
	EXPECT_EQ(0, h.done);
	/* The first block can. */
	h.cookie = 0;
	EXPECT_EQ(-EFAULT, uv_bitmap(self, &h, vec, WORDS));
	EXPECT_EQ(8, h.used);
	EXPECT_EQ(HUGE - FIRST * PAGE, h.done);
	ASSERT_EQ(0, harvest_commit(self, h.cookie));
	ASSERT_EQ(0, bitmap_piece(self, 0, PAGES, WORDS, in_vram));
	EXPECT_EQ(0, self->flags[500]);
	EXPECT_EQ(WRITTEN, self->flags[1100]);
	EXPECT_EQ(1, reported(self, WRITTEN));
	munmap(page, 2 * PAGE);
}

TEST_F(dirty, bitmaps_that_fail)
{
	struct uffdvram_harvest h = { .addr = ADDR(self->mem), .len = LEN };
	word vec[WORDS] = {};

	EXPECT_EQ(-EINVAL, uv_bitmap(self, &h, vec, 0));
	EXPECT_EQ(-EINVAL, uv_bitmap(self, &h, NULL, WORDS));
	ASSERT_EQ(0, uv_bitmap(self, &h, vec, WORDS));
	h = (struct uffdvram_harvest){ .flags = COMMIT, .cookie = h.cookie };
	EXPECT_EQ(-EINVAL, uv_bitmap(self, &h, NULL, 0));
	EXPECT_EQ(0, harvest_commit(self, h.cookie));
}

TEST_HARNESS_MAIN
