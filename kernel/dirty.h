/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who wrote: what the device wrote in a range, and which of its pages have not been in
 * VRAM all the time. The CPUs' writes are in the page tables; only pages that were not in
 * VRAM can have been written by a CPU.
 *
 * A range has no books until it is harvested for the first time.
 */
#ifndef _UFFDVRAM_DIRTY_H
#define _UFFDVRAM_DIRTY_H

#include <linux/atomic.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

struct uffdvram_harvest_word;

/* Pages of a block: what one table of PTEs maps. */
#define UFFDVRAM_DIRTY_BLOCK	(PMD_SIZE / PAGE_SIZE)
#define UFFDVRAM_DIRTY_WORDS	(UFFDVRAM_DIRTY_BLOCK / BITS_PER_LONG)

/**
 * struct uffdvram_dirty - the books of one range
 * @base: address of page 0: the range's first byte, or before it, so that blocks are
 *	those of page tables
 * @blocks: how many
 * @seq: counts departures
 * @busy: bit 0: a HARVEST is under way; owns what follows
 * @cookie: of the last generation; 0: there was none yet
 * @open: that one was not committed
 * @held: a bit per block: @held_left or @held_written may have some
 * @held_left: taken from @left by the generation; a bit per page, as all below
 * @held_written: taken from @written by it
 * @in_vram: was seen in VRAM, and has not left it since. May lack some, for a while
 * @left: was not in VRAM at some time since it was last taken; never lacks any
 * @written: the device wrote it since it was last taken
 * @changed: a bit per block: @left or @written may have some
 * @look: a bit per block: pages may be in VRAM that @in_vram lacks
 * @rcu: freed after a grace period: notifiers look it up without locks
 * @bits: the bitmaps
 */
struct uffdvram_dirty {
	unsigned long base;
	unsigned long blocks;
	atomic_long_t seq;
	unsigned long busy;
	u64 cookie;
	bool open;
	unsigned long *held;
	unsigned long *held_left;
	unsigned long *held_written;
	atomic_long_t *in_vram;
	atomic_long_t *left;
	atomic_long_t *written;
	unsigned long *changed;
	unsigned long *look;
	struct rcu_head rcu;
	unsigned long bits[];
};

struct uffdvram_dirty *uffdvram_dirty_new(unsigned long start, unsigned long end);
void uffdvram_dirty_free(struct uffdvram_dirty *d);

/* From notifiers and everybody else; any context. */
void uffdvram_dirty_depart(struct uffdvram_dirty *d, unsigned long start,
			   unsigned long end, bool alone);
void uffdvram_dirty_arrive(struct uffdvram_dirty *d, unsigned long start,
			   unsigned long end);
void uffdvram_dirty_write(struct uffdvram_dirty *d, unsigned long start,
			  unsigned long end);

/* The harvester's, who owns @busy. */
void uffdvram_dirty_begin(struct uffdvram_dirty *d);
void uffdvram_dirty_commit(struct uffdvram_dirty *d);
bool uffdvram_dirty_seen(struct uffdvram_dirty *d, unsigned long block, long seq,
			 const unsigned long *seen);
void uffdvram_dirty_take(struct uffdvram_dirty *d, unsigned long start,
			 unsigned long end);
unsigned int uffdvram_dirty_held(const struct uffdvram_dirty *d, unsigned long start,
				 unsigned long end, struct uffdvram_harvest_word *words);
void uffdvram_dirty_put_back(struct uffdvram_dirty *d, unsigned long start,
			     unsigned long end);

static inline unsigned long uffdvram_dirty_page(const struct uffdvram_dirty *d,
						unsigned long addr)
{
	return (addr - d->base) >> PAGE_SHIFT;
}

#endif /* _UFFDVRAM_DIRTY_H */
