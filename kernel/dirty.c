// SPDX-License-Identifier: GPL-2.0-only
/*
 * The books of who wrote. See dirty.h for what they hold.
 *
 * That a page is in VRAM is a fact which has to be seen, in the page table; every event
 * that may end it comes before the page table changes, and ends it here. So a page that
 * is in @in_vram at two looks, and not in @left at the second, was in VRAM all the time
 * between them, and no CPU wrote to it.
 *
 * Departures run in notifiers, under whatever locks, and in reclaim: they neither wait
 * nor allocate. One harvester at a time takes bits; whoever comes at the same time sets
 * them before it takes, or leaves them for the next one:
 *
 *	departure: clear in_vram; set left; set changed
 *	harvester: clear changed; take left; set left of all that is not in in_vram
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <linux/uffdvram.h>

#include "dirty.h"
#include "inject.h"
#include "object.h"

/* Bitmaps with a bit per page, and with a bit per block. */
#define DIRTY_BY_PAGE	5
#define DIRTY_BY_BLOCK	3

/* kvmalloc() warns above INT_MAX. */
static struct uffdvram_dirty *dirty_alloc(unsigned long words)
{
	struct uffdvram_dirty *d;
	size_t size = struct_size(d, bits, words);

	if (size > INT_MAX)
		return NULL;
	return may_fail(alloc, NULL, kvzalloc(size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN));
}

/**
 * uffdvram_dirty_new() - make the books of a range
 * @start: its first byte
 * @end: first byte after it
 *
 * Nobody knows what was written before: everything counts as written. Sleeps.
 *
 * Return: the books, or NULL without memory, which they need 5 bits of for each page.
 */
struct uffdvram_dirty *uffdvram_dirty_new(unsigned long start, unsigned long end)
{
	unsigned long base = ALIGN_DOWN(start, PMD_SIZE);
	unsigned long blocks = (ALIGN(end, PMD_SIZE) - base) / PMD_SIZE;
	unsigned long pages = blocks * UFFDVRAM_DIRTY_WORDS;
	unsigned long tops = BITS_TO_LONGS(blocks), *bits;
	struct uffdvram_dirty *d;

	d = uffdvram_object_made(dirty_alloc(DIRTY_BY_PAGE * pages + DIRTY_BY_BLOCK * tops));
	if (!d)
		return NULL;
	d->base = base;
	d->blocks = blocks;
	bits = d->bits;
	d->held_left = bits;
	d->held_written = bits += pages;
	d->in_vram = (atomic_long_t *)(bits += pages);
	d->left = (atomic_long_t *)(bits += pages);
	d->written = (atomic_long_t *)(bits += pages);
	d->held = bits += pages;
	d->changed = bits += tops;
	d->look = bits += tops;
	memset(d->left, 0xff, pages * sizeof(long));
	memset(d->written, 0xff, pages * sizeof(long));
	bitmap_fill(d->changed, blocks);
	bitmap_fill(d->look, blocks);
	return d;
}

/* Nobody finds it any more, but who did may still be at it. */
void uffdvram_dirty_free(struct uffdvram_dirty *d)
{
	if (!d)
		return;
	uffdvram_stat_inc(objects_freed);
	kvfree_rcu(d, rcu);
}

/**
 * struct dirty_at - a word of pages
 * @word: which one
 * @mask: its pages that are meant
 */
struct dirty_at {
	unsigned long word;
	unsigned long mask;
};

/* The word of page @page, and what of it lies before page @end. */
static struct dirty_at dirty_word(unsigned long page, unsigned long end)
{
	struct dirty_at at = {
		.word = page / BITS_PER_LONG,
		.mask = ~0UL << (page % BITS_PER_LONG),
	};
	unsigned long next = (at.word + 1) * BITS_PER_LONG;

	if (end < next)
		at.mask &= ~0UL >> (next - end);
	return at;
}

#define dirty_for_each_word(d, at, start, end)					\
	for (unsigned long _page = uffdvram_dirty_page(d, start),		\
	     _end = uffdvram_dirty_page(d, end);				\
	     _page < _end && (at = dirty_word(_page, _end), true);		\
	     _page = (at.word + 1) * BITS_PER_LONG)

/* After its pages' bits. */
static void dirty_mark_block(unsigned long *blocks, struct dirty_at at)
{
	unsigned long block = at.word / UFFDVRAM_DIRTY_WORDS;

	/* Pairs with test_and_clear_bit() of who looks at the pages next. */
	smp_mb();
	if (!test_bit(block, blocks))
		set_bit(block, blocks);
}

/**
 * uffdvram_dirty_depart() - pages may leave VRAM
 * @d: the books
 * @start: first byte, within the range
 * @end: first byte after it
 * @alone: only this one page is meant; else some may turn out to stay
 *
 * To be called before the page tables change.
 */
void uffdvram_dirty_depart(struct uffdvram_dirty *d, unsigned long start,
			   unsigned long end, bool alone)
{
	struct dirty_at at;
	long gone;

	atomic_long_inc(&d->seq);
	/* Pairs with the one in uffdvram_dirty_seen(): what it sets now, it undoes. */
	smp_mb__after_atomic();
	dirty_for_each_word(d, at, start, end) {
		if (!(atomic_long_read(&d->in_vram[at.word]) & at.mask))
			continue;
		gone = atomic_long_fetch_andnot(at.mask, &d->in_vram[at.word]) & at.mask;
		atomic_long_or(gone, &d->left[at.word]);
		dirty_mark_block(d->changed, at);
		if (!alone)
			dirty_mark_block(d->look, at);
	}
}

/**
 * uffdvram_dirty_arrive() - pages may be in VRAM by now
 * @d: the books
 * @start: first byte, within the range
 * @end: first byte after it
 *
 * The next harvest looks.
 */
void uffdvram_dirty_arrive(struct uffdvram_dirty *d, unsigned long start,
			   unsigned long end)
{
	struct dirty_at at;

	dirty_for_each_word(d, at, start, end)
		dirty_mark_block(d->look, at);
}

/**
 * uffdvram_dirty_write() - the device wrote
 * @d: the books
 * @start: first byte, within the range
 * @end: first byte after it
 *
 * To be called after the write.
 */
void uffdvram_dirty_write(struct uffdvram_dirty *d, unsigned long start,
			  unsigned long end)
{
	struct dirty_at at;

	dirty_for_each_word(d, at, start, end) {
		atomic_long_or(at.mask, &d->written[at.word]);
		dirty_mark_block(d->changed, at);
	}
}

/* Makes what the generation holds of a block's word its own again. */
static void dirty_release(struct uffdvram_dirty *d, struct dirty_at at)
{
	unsigned long left = d->held_left[at.word] & at.mask;
	unsigned long written = d->held_written[at.word] & at.mask;

	if (!left && !written)
		return;
	atomic_long_or(left, &d->left[at.word]);
	atomic_long_or(written, &d->written[at.word]);
	d->held_left[at.word] &= ~at.mask;
	d->held_written[at.word] &= ~at.mask;
	dirty_mark_block(d->changed, at);
}

/* Takes back what was reported from @start on, and the caller never saw. */
void uffdvram_dirty_put_back(struct uffdvram_dirty *d, unsigned long start,
			     unsigned long end)
{
	struct dirty_at at;

	dirty_for_each_word(d, at, start, end)
		dirty_release(d, at);
}

/* A new generation; an old one that nobody committed is reported again. */
void uffdvram_dirty_begin(struct uffdvram_dirty *d)
{
	unsigned long block, addr;

	for_each_set_bit(block, d->held, d->blocks) {
		addr = d->base + block * PMD_SIZE;
		uffdvram_dirty_put_back(d, addr, addr + PMD_SIZE);
	}
	bitmap_zero(d->held, d->blocks);
	d->cookie++;
	d->open = true;
}

/* What the generation reported is done with. */
void uffdvram_dirty_commit(struct uffdvram_dirty *d)
{
	unsigned long i, blocks, word;

	for (i = 0; i < BITS_TO_LONGS(d->blocks); i++) {
		for (blocks = d->held[i]; blocks; blocks &= blocks - 1) {
			word = (i * BITS_PER_LONG + __ffs(blocks)) * UFFDVRAM_DIRTY_WORDS;
			memset(d->held_left + word, 0, UFFDVRAM_DIRTY_WORDS * sizeof(long));
			memset(d->held_written + word, 0, UFFDVRAM_DIRTY_WORDS * sizeof(long));
		}
		d->held[i] = 0;
	}
	d->open = false;
}

/**
 * uffdvram_dirty_seen() - pages of a block were seen in VRAM
 * @d: the books
 * @block: which one
 * @seq: d->seq before the look, when no departure was under way
 * @seen: a bit for each page
 *
 * Return: false if something departed meanwhile: then nobody knows, and it is as if
 * nothing had been seen.
 */
bool uffdvram_dirty_seen(struct uffdvram_dirty *d, unsigned long block, long seq,
			 const unsigned long *seen)
{
	atomic_long_t *in_vram = d->in_vram + block * UFFDVRAM_DIRTY_WORDS;
	atomic_long_t *left = d->left + block * UFFDVRAM_DIRTY_WORDS;
	unsigned long new[UFFDVRAM_DIRTY_WORDS];
	unsigned int i;

	for (i = 0; i < UFFDVRAM_DIRTY_WORDS; i++) {
		new[i] = seen[i] & ~atomic_long_read(&in_vram[i]);
		if (new[i])
			atomic_long_or(new[i], &in_vram[i]);
	}
	/* Pairs with the one in uffdvram_dirty_depart(). */
	smp_mb();
	if (atomic_long_read(&d->seq) == seq)
		return true;
	for (i = 0; i < UFFDVRAM_DIRTY_WORDS; i++) {
		if (!new[i])
			continue;
		atomic_long_andnot(new[i], &in_vram[i]);
		atomic_long_or(new[i], &left[i]);
	}
	return false;
}

/* Takes bits out of a word: with a full barrier, if there are any. */
static unsigned long dirty_take_word(atomic_long_t *word, unsigned long mask)
{
	if (!(atomic_long_read(word) & mask))
		return 0;
	return mask == ~0UL ? atomic_long_xchg(word, 0) :
			      atomic_long_fetch_andnot(mask, word) & mask;
}

/*
 * What is new in a word. A page that is not in VRAM has its bit in @left, or is about to
 * get it from a departure, which will mark the block after that.
 */
static __always_inline unsigned long dirty_take_at(struct uffdvram_dirty *d,
						   struct dirty_at at, bool *more)
{
	unsigned long left = dirty_take_word(&d->left[at.word], at.mask), written, kept;

	if (left) {
		/* What is not in VRAM may be written from here on, too. */
		kept = ~atomic_long_read(&d->in_vram[at.word]) & at.mask;
		if (kept) {
			atomic_long_or(kept, &d->left[at.word]);
			*more = true;
		}
		d->held_left[at.word] |= left;
	}
	written = dirty_take_word(&d->written[at.word], at.mask);
	if (written)
		d->held_written[at.word] |= written;
	return left | written;
}

/**
 * uffdvram_dirty_take() - add what is new to the generation
 * @d: the books
 * @start: first byte
 * @end: first byte after it; both in one block
 *
 * Afterwards @held_left and @held_written say what is to be reported.
 */
void uffdvram_dirty_take(struct uffdvram_dirty *d, unsigned long start,
			 unsigned long end)
{
	unsigned long block = uffdvram_dirty_page(d, start) / UFFDVRAM_DIRTY_BLOCK;
	unsigned long first = block * UFFDVRAM_DIRTY_WORDS, any = 0;
	bool more = false;
	struct dirty_at at;

	if (!test_and_clear_bit(block, d->changed))
		return;
	if (end - start == PMD_SIZE) {
		at.mask = ~0UL;
		for (at.word = first; at.word < first + UFFDVRAM_DIRTY_WORDS; at.word++)
			any |= dirty_take_at(d, at, &more);
	} else {
		more = true;
		dirty_for_each_word(d, at, start, end)
			any |= dirty_take_at(d, at, &more);
	}
	if (more)
		set_bit(block, d->changed);
	if (any)
		__set_bit(block, d->held);
}

static __always_inline void dirty_held_at(const struct uffdvram_dirty *d, struct dirty_at at,
					  bool unknown, struct uffdvram_harvest_word *word)
{
	unsigned long left = d->held_left[at.word] & at.mask;

	word->written = d->held_written[at.word] & at.mask;
	word->left = left;
	word->in_vram = unknown ? left : left & atomic_long_read(&d->in_vram[at.word]);
}

/**
 * uffdvram_dirty_held() - what the generation holds, by words
 * @d: the books
 * @start: first byte
 * @end: first byte after it; both in one block
 * @words: out: at most UFFDVRAM_DIRTY_WORDS; pages outside of the piece are 0
 *
 * Return: how many words.
 */
unsigned int uffdvram_dirty_held(const struct uffdvram_dirty *d, unsigned long start,
				 unsigned long end, struct uffdvram_harvest_word *words)
{
	unsigned long block = uffdvram_dirty_page(d, start) / UFFDVRAM_DIRTY_BLOCK;
	/* Where nobody could look, any may be in VRAM. */
	bool unknown = test_bit(block, d->look);
	struct dirty_at at;
	unsigned int n = 0;

	if (end - start == PMD_SIZE) {
		at = (struct dirty_at){ block * UFFDVRAM_DIRTY_WORDS, ~0UL };
		for (; n < UFFDVRAM_DIRTY_WORDS; n++, at.word++)
			dirty_held_at(d, at, unknown, words + n);
		return n;
	}
	dirty_for_each_word(d, at, start, end)
		dirty_held_at(d, at, unknown, words + n++);
	return n;
}
