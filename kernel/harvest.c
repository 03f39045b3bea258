// SPDX-License-Identifier: GPL-2.0-only
/*
 * The HARVEST ioctl: what the device wrote, and what was not in VRAM all the time.
 *
 * What is reported moves from the range's books to a generation, which a later call drops
 * (COMMIT), or takes back. One caller at a time does so; no lock is held while the
 * caller's memory is touched.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <linux/uffdvram.h>

#include "context.h"
#include "dirty.h"
#include "harvest.h"
#include "inject.h"
#include "lease.h"
#include "owner.h"
#include "query.h"
#include "range.h"
#include "stat.h"
#include "ucmd.h"
#include "walk.h"
#include "watch.h"

/* Regions that are handed to the caller at once. */
#define HARVEST_REGIONS		64
/* Blocks of a bitmap that are handed to the caller at once. */
#define HARVEST_BLOCKS		8
/* How often a block is looked at while its pages come and go. */
#define HARVEST_LOOKS		3
/* What one element of a bitmap tells of. */
#define HARVEST_WORD		(PAGE_SIZE * BITS_PER_LONG)

/**
 * struct harvest - one HARVEST in progress
 * @d: the books of the range
 * @r: the range
 * @mm: its address space, with a reference on its users
 * @start: first byte
 * @end: first byte after the piece
 * @taken: first byte of which nothing was taken
 * @told: first byte of which the caller does not know
 * @vec: where regions go
 * @vec_len: how many there is room for
 * @used: regions written, or elements of @map up to the last one
 * @map: where a bitmap goes, if the caller wants that instead of regions
 * @map_start: first byte that it tells of
 * @run: the run that grows; empty at first, and where a bitmap is written
 * @full: the caller's array is
 * @n: regions in @out
 * @out: what comes before @run, and is not written yet
 * @look: one step
 * @seen: pages of a block that are in VRAM
 * @first_word: where in @map @words go
 * @n_words: how many there are, that are not written yet
 * @words: of neighbouring blocks
 */
struct harvest {
	struct uffdvram_dirty *d;
	struct uffdvram_range *r;
	struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	unsigned long taken;
	unsigned long told;
	struct uffdvram_region __user *vec;
	u64 vec_len;
	u64 used;
	struct uffdvram_harvest_word __user *map;
	unsigned long map_start;
	struct uffdvram_region run;
	bool full;
	unsigned int n;
	struct uffdvram_region out[HARVEST_REGIONS];
	struct uffdvram_look look[UFFDVRAM_WALK_PAGES];
	DECLARE_BITMAP(seen, UFFDVRAM_DIRTY_BLOCK);
	u64 first_word;
	unsigned int n_words;
	struct uffdvram_harvest_word words[HARVEST_BLOCKS * UFFDVRAM_DIRTY_WORDS];
};

/* Hands over what there is of a bitmap. No lock is held. */
static int harvest_tell_words(struct harvest *h)
{
	if (may_fail(user, true, copy_to_user(h->map + h->first_word, h->words,
					      h->n_words * sizeof(*h->words))))
		return -EFAULT;
	h->used = h->first_word + h->n_words;
	h->n_words = 0;
	h->told = h->run.end;
	return 0;
}

/* Hands over what comes before the run. No lock is held. */
static int harvest_tell(struct harvest *h)
{
	if (h->n_words)
		return harvest_tell_words(h);
	if (may_fail(user, true, copy_to_user(h->vec + h->used, h->out,
					      h->n * sizeof(*h->out))))
		return -EFAULT;
	h->used += h->n;
	h->n = 0;
	h->told = h->run.start;
	return 0;
}

/* Ends the run. The next one, empty, begins behind it. */
static int harvest_end_run(struct harvest *h)
{
	if (h->run.flags && h->used + h->n == h->vec_len) {
		h->full = true;
		return 0;
	}
	if (h->run.flags)
		h->out[h->n++] = h->run;
	h->run.start = h->run.end;
	return h->n == HARVEST_REGIONS ? harvest_tell(h) : 0;
}

/* Lets the run grow to @end, or begins a new one. */
static int harvest_add(struct harvest *h, unsigned long end, u32 flags)
{
	int ret;

	if (h->run.flags != flags) {
		ret = harvest_end_run(h);
		if (ret || h->full)
			return ret;
		h->run.flags = flags;
	}
	h->run.end = end;
	return 0;
}

/* The pages of one word of the books, from run.end to @end. */
static int harvest_word(struct harvest *h, unsigned long end)
{
	unsigned long page = uffdvram_dirty_page(h->d, h->run.end);
	unsigned long left = h->d->held_left[page / BITS_PER_LONG];
	unsigned long written = h->d->held_written[page / BITS_PER_LONG];
	unsigned long bit = page % BITS_PER_LONG, unlike, n;
	u32 flags;
	int ret;

	while (h->run.end < end) {
		unlike = (left >> bit & 1 ? ~left : left) |
			 (written >> bit & 1 ? ~written : written);
		unlike >>= bit;
		n = unlike ? __ffs(unlike) : BITS_PER_LONG;
		flags = (left >> bit & 1 ? UFFDVRAM_REGION_LEFT : 0) |
			(written >> bit & 1 ? UFFDVRAM_REGION_WRITTEN : 0);
		ret = harvest_add(h, min(end, h->run.end + (n << PAGE_SHIFT)), flags);
		if (ret || h->full)
			return ret;
		bit += n;
	}
	return 0;
}

/* Marks in h->seen what is in VRAM of block @base. */
static int harvest_see(struct harvest *h, unsigned long base)
{
	unsigned long start = max(base, h->r->start), next, i;
	unsigned long end = min(base + PMD_SIZE, h->r->end);
	bool looked;

	bitmap_zero(h->seen, UFFDVRAM_DIRTY_BLOCK);
	for (; start < end; start = next) {
		next = uffdvram_query_step(h->mm, start, end, h->look, &looked);
		if (next == start)
			return -EINTR;
		for (i = 0; looked && i < (next - start) >> PAGE_SHIFT; i++)
			if (h->look[i].entry == UFFDVRAM_ENTRY_VRAM)
				__set_bit(((start - base) >> PAGE_SHIFT) + i, h->seen);
	}
	return 0;
}

/* Looks once: 0 when all is known, -EAGAIN when pages come and go. */
static int harvest_look_once(struct harvest *h, unsigned long block)
{
	long seq;
	int ret;

	/* A departure that is not counted here yet is under way until it is over. */
	seq = atomic_long_read_acquire(&h->d->seq);
	if (!uffdvram_watch_quiet(h->r->umm))
		return -EAGAIN;
	ret = harvest_see(h, h->d->base + block * PMD_SIZE);
	if (ret)
		return ret;
	return uffdvram_dirty_seen(h->d, block, seq, h->seen) ? 0 : -EAGAIN;
}

/*
 * Pages of a block came, or it is not known which have left: looks. What cannot be known
 * now, because pages come and go all the time, is looked at by the next harvest.
 */
static int harvest_look(struct harvest *h, unsigned long block)
{
	int ret = -EAGAIN, tries;

	for (tries = 0; ret == -EAGAIN && tries < HARVEST_LOOKS; tries++) {
		clear_bit(block, h->d->look);
		/* Pairs with the one in dirty_mark_block(): who came before it is seen. */
		smp_mb__after_atomic();
		ret = harvest_look_once(h, block);
		if (ret)
			set_bit(block, h->d->look);
		cond_resched();
	}
	return ret == -EAGAIN ? 0 : ret;
}

/* What the generation holds of a block from run.end to @end, as a bitmap. */
static int harvest_map(struct harvest *h, unsigned long end)
{
	if (!h->n_words)
		h->first_word = (h->run.end - h->map_start) / HARVEST_WORD;
	h->n_words += uffdvram_dirty_held(h->d, h->run.end, end, h->words + h->n_words);
	h->run.start = end;
	h->run.end = end;
	return h->n_words > ARRAY_SIZE(h->words) - UFFDVRAM_DIRTY_WORDS ? harvest_tell(h) : 0;
}

/* There is nothing to tell of what comes before @end. */
static int harvest_skip(struct harvest *h, unsigned long end)
{
	int ret;

	if (!h->map)
		return harvest_add(h, end, 0);
	ret = h->n_words ? harvest_tell(h) : 0;
	if (ret)
		return ret;
	h->run.start = end;
	h->run.end = end;
	return 0;
}

/* The part of one block from run.end to @end. */
static int harvest_block(struct harvest *h, unsigned long block, unsigned long end)
{
	unsigned long start = h->run.end, next;
	struct uffdvram_dirty *d = h->d;
	int ret = 0;

	if (test_bit(block, d->look))
		ret = harvest_look(h, block);
	if (ret)
		return ret;
	if (test_bit(block, d->changed)) {
		h->taken = end;
		uffdvram_dirty_take(d, start, end);
	}
	if (!test_bit(block, d->held))
		return harvest_skip(h, end);
	if (h->map)
		return harvest_map(h, end);
	for (; !ret && !h->full && start < end; start = next) {
		next = min(end, ALIGN(start + 1 - d->base, PAGE_SIZE * BITS_PER_LONG) + d->base);
		ret = harvest_word(h, next);
	}
	return ret;
}

/* The first block from @block on, before @last, of which there may be something to tell. */
static unsigned long harvest_next_block(const struct uffdvram_dirty *d,
					unsigned long block, unsigned long last)
{
	unsigned long word;

	for (; block < last; block = ALIGN(block + 1, BITS_PER_LONG)) {
		word = block / BITS_PER_LONG;
		word = READ_ONCE(d->look[word]) | READ_ONCE(d->changed[word]) | d->held[word];
		word >>= block % BITS_PER_LONG;
		if (word)
			return min(last, block + __ffs(word));
	}
	return last;
}

static int harvest_run(struct harvest *h, unsigned long limit)
{
	unsigned long end = min(h->end, limit), base = h->d->base, block, last, next;
	int ret = 0;

	last = DIV_ROUND_UP(end - base, PMD_SIZE);
	while (!ret && !h->full && h->run.end < end) {
		if (signal_pending(current))
			return -EINTR;
		block = (h->run.end - base) / PMD_SIZE;
		next = harvest_next_block(h->d, block, last);
		if (next > block)
			ret = harvest_skip(h, min(end, base + next * PMD_SIZE));
		else
			ret = harvest_block(h, block, min(end, base + (block + 1) * PMD_SIZE));
		cond_resched();
	}
	if (!ret && !h->full)
		ret = harvest_end_run(h);
	return ret;
}

/* Reads a piece, as far as it goes. What the caller does not hear of is not taken. */
static int harvest_read(struct harvest *h, unsigned long limit)
{
	int ret, err;

	h->taken = h->start;
	h->told = h->start;
	h->run.start = h->start;
	h->run.end = h->start;
	ret = harvest_run(h, limit);
	err = harvest_tell(h);
	if (h->taken > h->told)
		uffdvram_dirty_put_back(h->d, h->told, h->taken);
	if (!ret && !err && !h->full && limit < h->end)
		ret = -ENOENT;
	return ret ?: err;
}

/* A bitmap, which may be too short for all of the piece. */
static void harvest_want_map(struct harvest *h, const struct uffdvram_harvest *arg)
{
	h->map = u64_to_user_ptr(arg->vec);
	h->map_start = ALIGN_DOWN(h->start, HARVEST_WORD);
	if (arg->vec_len <= arg->len / HARVEST_WORD + 1)
		h->end = min(h->end, h->map_start + arg->vec_len * HARVEST_WORD);
}

static struct harvest *harvest_new(const struct uffdvram_harvest *arg,
				   struct uffdvram_range *r)
{
	struct harvest *h;

	h = may_fail(alloc, NULL, kvzalloc(sizeof(*h), GFP_KERNEL_ACCOUNT));
	if (!h)
		return NULL;
	h->r = r;
	h->mm = r->umm->mm;
	h->start = arg->addr;
	h->end = arg->addr + arg->len;
	if (arg->flags & UFFDVRAM_HARVEST_BITMAP) {
		harvest_want_map(h, arg);
		return h;
	}
	h->vec = u64_to_user_ptr(arg->vec);
	h->vec_len = arg->vec_len;
	return h;
}

/*
 * How far the range goes on from @addr: the device may have been mapped anew over a part
 * of it, which is another range then.
 */
static unsigned long harvest_limit(const struct uffdvram_range *r, unsigned long addr)
{
	unsigned long end;
	struct uffdvram_range *found = uffdvram_range_find(r->umm, addr, &end);

	if (found)
		uffdvram_range_put(found);
	return found == r ? end : addr;
}

/* Begins a generation, or goes on with the caller's. The books are ours. */
static int harvest_generation(struct uffdvram_dirty *d, struct uffdvram_harvest *arg)
{
	if (!arg->cookie)
		uffdvram_dirty_begin(d);
	else if (!d->open || d->cookie != arg->cookie)
		return -ESTALE;
	arg->cookie = d->cookie;
	return 0;
}

static int harvest_answer(struct uffdvram_harvest *arg, struct uffdvram_range *r)
{
	struct harvest *h = harvest_new(arg, r);
	struct uffdvram_dirty *d;
	int ret = -ENOMEM;

	if (!h)
		return ret;
	d = uffdvram_range_books(r);
	ret = PTR_ERR_OR_ZERO(d);
	if (ret)
		goto out_free;
	ret = -EBUSY;
	if (test_and_set_bit_lock(0, &d->busy))
		goto out_free;
	ret = harvest_generation(d, arg);
	if (!ret) {
		h->d = d;
		/* What the device may write just now. */
		uffdvram_lease_harvest(r->owner, d, h->start, h->end);
		ret = harvest_read(h, harvest_limit(r, h->start));
		arg->used = h->used;
		arg->done = h->told - h->start;
	}
	clear_bit_unlock(0, &d->busy);
out_free:
	kvfree(h);
	return ret;
}

static int harvest_check(const struct uffdvram_harvest *arg,
			 const struct uffdvram_range *r)
{
	u64 end;

	if (!arg->len || !PAGE_ALIGNED(arg->addr) || !PAGE_ALIGNED(arg->len) ||
	    check_add_overflow(arg->addr, arg->len, &end) ||
	    arg->addr < r->start || end > r->end || !arg->vec || !arg->vec_len)
		return -EINVAL;
	return 0;
}

static int harvest_commit(const struct uffdvram_harvest *arg, struct uffdvram_range *r)
{
	struct uffdvram_dirty *d = READ_ONCE(r->owner->dirty);
	int ret = -ESTALE;

	if (arg->addr || arg->len || arg->vec || arg->vec_len ||
	    arg->flags & UFFDVRAM_HARVEST_BITMAP)
		return -EINVAL;
	if (!d)
		return -ESTALE;
	if (test_and_set_bit_lock(0, &d->busy))
		return -EBUSY;
	if (d->open && d->cookie == arg->cookie) {
		uffdvram_dirty_commit(d);
		ret = 0;
	}
	clear_bit_unlock(0, &d->busy);
	return ret;
}

int uffdvram_ioctl_harvest(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_harvest *arg = ucmd->cmd;
	struct uffdvram_range *r;
	struct mm_struct *mm;
	int ret;

	if (arg->__reserved)
		return -EINVAL;
	r = uffdvram_range_get(ucmd->ctx, arg->range);
	if (!r)
		return -ENOENT;
	if (arg->flags & UFFDVRAM_HARVEST_COMMIT) {
		ret = harvest_commit(arg, r);
		goto out_put;
	}
	ret = harvest_check(arg, r);
	if (ret)
		goto out_put;
	mm = uffdvram_ctx_mmget(ucmd->ctx);
	ret = mm ? harvest_answer(arg, r) : -ESRCH;
	if (mm)
		mmput(mm);
out_put:
	uffdvram_range_put(r);
	return ret;
}
