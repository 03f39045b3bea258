// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitmap.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "inject.h"
#include "slot.h"
#include "stat.h"

/* Slots of the block that holds @slot were taken or kept. */
static void block_fill(struct uffdvram_slots *s, unsigned long slot, int n)
{
	unsigned long block = slot >> UFFDVRAM_BLOCK_ORDER;

	if (atomic_add_return(n, &s->fill[block]) == n)
		set_bit(block, s->begun);
}

/* Their bits have gone: who finds the block empty finds nothing in it. */
static void block_drain(struct uffdvram_slots *s, unsigned long slot, int n)
{
	unsigned long block = slot >> UFFDVRAM_BLOCK_ORDER;

	if (n && atomic_sub_and_test(n, &s->fill[block]))
		clear_bit(block, s->begun);
}

/**
 * uffdvram_slots_init() - make @nr free slots
 * @s: zeroed
 * @nr: how many, at least one
 *
 * Return: 0 or -ENOMEM.
 */
int uffdvram_slots_init(struct uffdvram_slots *s, unsigned long nr)
{
	spin_lock_init(&s->lock);
	s->nr = nr;
	s->taken = may_fail(alloc, NULL, kvcalloc(BITS_TO_LONGS(nr), sizeof(long),
						  GFP_KERNEL_ACCOUNT));
	s->state = may_fail(alloc, NULL, kvcalloc(nr, sizeof(*s->state), GFP_KERNEL_ACCOUNT));
	s->owner = may_fail(alloc, NULL, kvcalloc(nr, sizeof(*s->owner), GFP_KERNEL_ACCOUNT));
	s->windows = may_fail(alloc, NULL, kvcalloc(BITS_TO_LONGS(nr), sizeof(long),
						    GFP_KERNEL_ACCOUNT));
	s->blocks = DIV_ROUND_UP(nr, UFFDVRAM_BLOCK_SLOTS);
	s->fill = may_fail(alloc, NULL, kvcalloc(s->blocks, sizeof(*s->fill),
						 GFP_KERNEL_ACCOUNT));
	s->begun = may_fail(alloc, NULL, kvcalloc(BITS_TO_LONGS(s->blocks), sizeof(long),
						  GFP_KERNEL_ACCOUNT));
	if (!s->taken || !s->state || !s->owner || !s->windows || !s->fill || !s->begun) {
		uffdvram_slots_destroy(s);
		return -ENOMEM;
	}
	if (nr % UFFDVRAM_BLOCK_SLOTS)
		block_fill(s, nr, 1);
	return 0;
}

void uffdvram_slots_destroy(struct uffdvram_slots *s)
{
	kvfree(s->begun);
	kvfree(s->fill);
	kvfree(s->windows);
	kvfree(s->owner);
	kvfree(s->state);
	kvfree(s->taken);
	s->begun = NULL;
	s->fill = NULL;
	s->windows = NULL;
	s->owner = NULL;
	s->state = NULL;
	s->taken = NULL;
}

/**
 * uffdvram_slots_close() - hand out no slot from now on
 * @s: the slots
 */
void uffdvram_slots_close(struct uffdvram_slots *s)
{
	unsigned long flags;

	spin_lock_irqsave(&s->lock, flags);
	s->closed = true;
	spin_unlock_irqrestore(&s->lock, flags);
}

/*
 * Takes up to @n free slots of [from, to), the lowest first; returns how many. All are of
 * one word of the bitmaps, and so of one block.
 */
static unsigned int word_take(struct uffdvram_slots *s, u32 *slots, unsigned int n,
			      unsigned long from, unsigned long to)
{
	unsigned long at = BIT_WORD(from), base = at * BITS_PER_LONG, bits;
	unsigned long free = ~(READ_ONCE(s->taken[at]) | s->windows[at]);
	unsigned int got = 0;

	lockdep_assert_held(&s->lock);
	free &= GENMASK(min(to - base, BITS_PER_LONG) - 1, from - base);
	for (bits = free; bits && got < n; bits &= bits - 1)
		slots[got++] = base + __ffs(bits);
	if (!got)
		return 0;
	/* Atomic: frees clear their bits in the same word. @bits: those that are left. */
	atomic_long_or(free & ~bits, (atomic_long_t *)&s->taken[at]);
	block_fill(s, base, got);
	s->hint = slots[got - 1] + 1;
	return got;
}

/* Takes free slots of [from, to), the lowest first; returns how many. */
static unsigned int slots_take(struct uffdvram_slots *s, u32 *slots,
			       unsigned int n, unsigned long from,
			       unsigned long to)
{
	unsigned long slot = from;
	unsigned int got = 0;

	while (got < n) {
		slot = find_next_zero_bit(s->taken, to, slot);
		if (slot >= to)
			break;
		if (test_bit(slot, s->windows)) {
			slot = find_next_zero_bit(s->windows, to, slot);
			continue;
		}
		got += word_take(s, slots + got, n - got, slot, to);
		slot = ALIGN(slot + 1, BITS_PER_LONG);
	}
	return got;
}

/* The slots are taken: whose they are, and that they are used. */
static void slots_hand_out(struct uffdvram_slots *s, struct uffdvram_owner *owner,
			   const u32 *slots, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		WRITE_ONCE(s->owner[slots[i]], owner);
		/* Who sees it used sees its owner. */
		atomic_set_release(&s->state[slots[i]], UFFDVRAM_SLOT_USED);
	}
	uffdvram_stat_add(slots_allocated, n);
}

/**
 * uffdvram_slots_alloc() - take up to @n free slots
 * @s: the slots
 * @owner: who takes them; has a reference for each
 * @slots: out: their numbers, in runs as long as possible
 * @n: how many are wanted
 * @first: out: no slot was in use before
 *
 * Any context. What the slots hold is whatever their last owner left: the
 * caller overwrites all of it before anyone can see it.
 *
 * Return: how many were taken, possibly none.
 */
unsigned int uffdvram_slots_alloc(struct uffdvram_slots *s,
				  struct uffdvram_owner *owner,
				  u32 *slots, unsigned int n, bool *first)
{
	unsigned long flags, hint;
	unsigned int got = 0;

	*first = false;
	spin_lock_irqsave(&s->lock, flags);
	if (!s->closed && !inject(slot)) {
		hint = s->hint;
		got = slots_take(s, slots, n, hint, s->nr);
		got += slots_take(s, slots + got, n - got, 0, hint);
		if (got)
			*first = atomic_long_fetch_add(got, &s->used) == 0;
	}
	spin_unlock_irqrestore(&s->lock, flags);

	slots_hand_out(s, owner, slots, got);
	return got;
}

/**
 * uffdvram_slots_alloc_at() - take certain slots of a window
 * @s: the slots
 * @owner: whose window it is; has a reference for each
 * @slots: in: their numbers; out: UFFDVRAM_NO_SLOT for those that are taken
 * @n: how many
 * @first: out: no slot was in use before
 *
 * Return: how many were taken; they are not in a row.
 */
unsigned int uffdvram_slots_alloc_at(struct uffdvram_slots *s,
				     struct uffdvram_owner *owner,
				     u32 *slots, unsigned int n, bool *first)
{
	unsigned int got = 0, i;
	unsigned long flags;

	*first = false;
	spin_lock_irqsave(&s->lock, flags);
	for (i = 0; i < n; i++) {
		if (s->closed || inject(slot) || test_and_set_bit(slots[i], s->taken)) {
			slots[i] = UFFDVRAM_NO_SLOT;
			continue;
		}
		block_fill(s, slots[i], 1);
		got++;
	}
	if (got)
		*first = atomic_long_fetch_add(got, &s->used) == 0;
	spin_unlock_irqrestore(&s->lock, flags);

	for (i = 0; i < n; i++)
		if (slots[i] != UFFDVRAM_NO_SLOT)
			slots_hand_out(s, owner, slots + i, 1);
	return got;
}

/* The last block that is empty, so that single slots, the lowest first, spare it. */
static bool block_find(struct uffdvram_slots *s, u32 *slot)
{
	unsigned long word, block;
	unsigned int bit, i = BITS_TO_LONGS(s->blocks);

	lockdep_assert_held(&s->lock);
	while (i--) {
		word = ~READ_ONCE(s->begun[i]);
		while (word) {
			bit = __fls(word);
			word &= ~BIT(bit);
			block = (unsigned long)i * BITS_PER_LONG + bit;
			if (block >= s->blocks || atomic_read_acquire(&s->fill[block]))
				continue;
			*slot = block << UFFDVRAM_BLOCK_ORDER;
			return true;
		}
	}
	return false;
}

/* Nothing of the block at @slot is taken, and nobody else may take any of it. */
static void block_take(struct uffdvram_slots *s, u32 slot, bool *first)
{
	lockdep_assert_held(&s->lock);
	bitmap_set(s->taken, slot, UFFDVRAM_BLOCK_SLOTS);
	block_fill(s, slot, UFFDVRAM_BLOCK_SLOTS);
	*first = atomic_long_fetch_add(UFFDVRAM_BLOCK_SLOTS, &s->used) == 0;
}

static void block_hand_out(struct uffdvram_slots *s, struct uffdvram_owner *owner,
			   u32 slot)
{
	unsigned int i;

	for (i = 0; i < UFFDVRAM_BLOCK_SLOTS; i++) {
		WRITE_ONCE(s->owner[slot + i], owner);
		/* Who sees it used sees its owner. */
		atomic_set_release(&s->state[slot + i], UFFDVRAM_SLOT_USED);
	}
	uffdvram_stat_add(slots_allocated, UFFDVRAM_BLOCK_SLOTS);
}

/**
 * uffdvram_slots_alloc_block() - take a whole block of free slots
 * @s: the slots
 * @owner: who takes them; has a reference for each
 * @slot: out: the first of UFFDVRAM_BLOCK_SLOTS
 * @first: out: no slot was in use before
 *
 * As uffdvram_slots_alloc().
 *
 * Return: false if no block is empty.
 */
bool uffdvram_slots_alloc_block(struct uffdvram_slots *s,
				struct uffdvram_owner *owner, u32 *slot,
				bool *first)
{
	unsigned long flags;
	bool got;

	*first = false;
	spin_lock_irqsave(&s->lock, flags);
	got = !s->closed && !inject(slot) && block_find(s, slot);
	if (got)
		block_take(s, *slot, first);
	spin_unlock_irqrestore(&s->lock, flags);

	if (got)
		block_hand_out(s, owner, *slot);
	return got;
}

/**
 * uffdvram_slots_alloc_block_at() - take a certain block of a window
 * @s: the slots
 * @owner: whose window it is; has a reference for each
 * @slot: the first, a multiple of UFFDVRAM_BLOCK_SLOTS
 * @first: out: no slot was in use before
 *
 * Return: false if any of them is taken.
 */
bool uffdvram_slots_alloc_block_at(struct uffdvram_slots *s,
				   struct uffdvram_owner *owner, u32 slot,
				   bool *first)
{
	unsigned long flags, end = slot + UFFDVRAM_BLOCK_SLOTS;
	bool got;

	*first = false;
	spin_lock_irqsave(&s->lock, flags);
	got = !s->closed && !inject(slot) && find_next_bit(s->taken, end, slot) >= end;
	if (got)
		block_take(s, slot, first);
	spin_unlock_irqrestore(&s->lock, flags);

	if (got)
		block_hand_out(s, owner, slot);
	return got;
}

/* Counts a window in its blocks, or no longer. */
static void blocks_keep(struct uffdvram_slots *s, unsigned long slot,
			unsigned long n, bool keep)
{
	unsigned long end = slot + n, next;

	for (; slot < end; slot = next) {
		next = min(end, ALIGN(slot + 1, UFFDVRAM_BLOCK_SLOTS));
		if (keep)
			block_fill(s, slot, next - slot);
		else
			block_drain(s, slot, next - slot);
	}
}

/**
 * uffdvram_slots_keep() - keep a window for a linear range
 * @s: the slots
 * @slot: the first
 * @n: how many; all exist
 *
 * From now on uffdvram_slots_alloc() hands out none of them. Those in use stay
 * so.
 *
 * Return: 0, or -EBUSY if another window overlaps.
 */
int uffdvram_slots_keep(struct uffdvram_slots *s, unsigned long slot,
			unsigned long n)
{
	unsigned long flags;
	int ret = -EBUSY;

	spin_lock_irqsave(&s->lock, flags);
	if (!s->closed && find_next_bit(s->windows, slot + n, slot) >= slot + n) {
		bitmap_set(s->windows, slot, n);
		blocks_keep(s, slot, n, true);
		ret = 0;
	}
	spin_unlock_irqrestore(&s->lock, flags);
	return ret;
}

void uffdvram_slots_unkeep(struct uffdvram_slots *s, unsigned long slot,
			   unsigned long n)
{
	unsigned long flags;

	spin_lock_irqsave(&s->lock, flags);
	/* The books of a pool that has been closed may be gone. */
	if (!s->closed) {
		bitmap_clear(s->windows, slot, n);
		blocks_keep(s, slot, n, false);
	}
	spin_unlock_irqrestore(&s->lock, flags);
}

/* How many of @n slots from @slot on are taken. */
unsigned long uffdvram_slots_taken(struct uffdvram_slots *s, unsigned long slot,
				   unsigned long n)
{
	unsigned long flags, end = slot + n, taken = 0;

	spin_lock_irqsave(&s->lock, flags);
	if (!s->closed)
		for_each_set_bit_from(slot, s->taken, end)
			taken++;
	spin_unlock_irqrestore(&s->lock, flags);
	return taken;
}

/* Forgets whose a slot is. False: it is lost, and goes into quarantine. */
static bool slot_release(struct uffdvram_slots *s, unsigned long slot)
{
	int old;

	WRITE_ONCE(s->owner[slot], NULL);
	old = atomic_xchg(&s->state[slot], 0);
	if (likely(!(old & (UFFDVRAM_SLOT_PRIVATE | UFFDVRAM_SLOT_LOST))))
		return true;
	if (old & UFFDVRAM_SLOT_PRIVATE)
		atomic_long_dec(&s->private);
	if (!(old & UFFDVRAM_SLOT_LOST))
		return true;
	atomic_set(&s->state[slot], UFFDVRAM_SLOT_LOST);
	atomic_long_inc(&s->quarantined);
	atomic_long_dec(&s->lost);
	return false;
}

/**
 * uffdvram_slots_free() - give a slot back
 * @s: the slots
 * @slot: one that uffdvram_slots_alloc() handed out
 *
 * Any context, takes no lock. A lost slot goes into quarantine.
 *
 * Return: whether it was the last one in use.
 */
bool uffdvram_slots_free(struct uffdvram_slots *s, unsigned long slot)
{
	if (slot_release(s, slot)) {
		clear_bit_unlock(slot, s->taken);
		block_drain(s, slot, 1);
	}
	uffdvram_stat_inc(slots_freed);
	return atomic_long_dec_and_test(&s->used);
}

/* Returns how many went; the others are in quarantine. */
static unsigned int block_release_each(struct uffdvram_slots *s, unsigned long slot)
{
	unsigned int i, freed = 0;

	for (i = 0; i < UFFDVRAM_BLOCK_SLOTS; i++) {
		if (!slot_release(s, slot + i))
			continue;
		clear_bit_unlock(slot + i, s->taken);
		freed++;
	}
	return freed;
}

/*
 * Likewise where none is lost or private: nobody can lose a slot that nobody uses. The words of a
 * block have no bits of others, who change none while all of them are set.
 */
static void block_release(struct uffdvram_slots *s, unsigned long slot)
{
	unsigned long *word = s->taken + BIT_WORD(slot);
	unsigned int i;

	for (i = 0; i < UFFDVRAM_BLOCK_SLOTS; i++) {
		WRITE_ONCE(s->owner[slot + i], NULL);
		atomic_set(&s->state[slot + i], 0);
	}
	for (i = 0; i < BITS_TO_LONGS(UFFDVRAM_BLOCK_SLOTS); i++)
		/* As clear_bit_unlock(): who takes the slot comes after us. */
		smp_store_release(&word[i], 0);
}

/**
 * uffdvram_slots_free_block() - give a whole block back
 * @s: the slots
 * @slot: the first; all are in use
 *
 * As uffdvram_slots_free(): those that are lost go into quarantine.
 *
 * Return: whether they were the last ones in use.
 */
bool uffdvram_slots_free_block(struct uffdvram_slots *s, unsigned long slot)
{
	unsigned int freed = UFFDVRAM_BLOCK_SLOTS;

	if (atomic_long_read(&s->lost) || atomic_long_read(&s->private))
		freed = block_release_each(s, slot);
	else
		block_release(s, slot);
	block_drain(s, slot, freed);
	uffdvram_stat_add(slots_freed, UFFDVRAM_BLOCK_SLOTS);
	return atomic_long_sub_and_test(UFFDVRAM_BLOCK_SLOTS, &s->used);
}

/**
 * uffdvram_slot_gate_enter() - become the one who copies a slot
 * @s: the slots
 * @slot: a slot whose page the caller holds a reference on
 *
 * Return: false if somebody else is at it.
 */
bool uffdvram_slot_gate_enter(struct uffdvram_slots *s, unsigned long slot)
{
	return !(atomic_fetch_or_acquire(UFFDVRAM_SLOT_GATE, &s->state[slot]) &
		 UFFDVRAM_SLOT_GATE);
}

/**
 * uffdvram_slot_lose() - note that a slot's data cannot be read any more
 * @s: the slots
 * @slot: a slot in use
 *
 * Its page stays where it is mapped; whoever touches it gets a hardware-poison
 * fault, and the slot is never handed out again.
 *
 * Return: whether that is news.
 */
bool uffdvram_slot_lose(struct uffdvram_slots *s, unsigned long slot)
{
	if (atomic_fetch_or(UFFDVRAM_SLOT_LOST, &s->state[slot]) &
	    UFFDVRAM_SLOT_LOST)
		return false;
	atomic_long_inc(&s->lost);
	uffdvram_stat_inc(slots_lost);
	return true;
}
