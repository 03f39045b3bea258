// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitmap.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "slot.h"
#include "stat.h"

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
	s->taken = kvcalloc(BITS_TO_LONGS(nr), sizeof(long), GFP_KERNEL_ACCOUNT);
	s->state = kvcalloc(nr, sizeof(*s->state), GFP_KERNEL_ACCOUNT);
	s->owner = kvcalloc(nr, sizeof(*s->owner), GFP_KERNEL_ACCOUNT);
	if (!s->taken || !s->state || !s->owner) {
		uffdvram_slots_destroy(s);
		return -ENOMEM;
	}
	return 0;
}

void uffdvram_slots_destroy(struct uffdvram_slots *s)
{
	kvfree(s->owner);
	kvfree(s->state);
	kvfree(s->taken);
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

/* Takes free slots of [from, to), the lowest first; returns how many. */
static unsigned int slots_take(struct uffdvram_slots *s, u32 *slots,
			       unsigned int n, unsigned long from,
			       unsigned long to)
{
	unsigned long slot = from;
	unsigned int got = 0;

	lockdep_assert_held(&s->lock);
	while (got < n) {
		slot = find_next_zero_bit(s->taken, to, slot);
		if (slot >= to)
			break;
		/* Atomic: frees clear their bits in the same words. */
		set_bit(slot, s->taken);
		slots[got++] = slot++;
		s->hint = slot;
	}
	return got;
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
	unsigned int got = 0, i;

	*first = false;
	spin_lock_irqsave(&s->lock, flags);
	if (!s->closed) {
		hint = s->hint;
		got = slots_take(s, slots, n, hint, s->nr);
		got += slots_take(s, slots + got, n - got, 0, hint);
		if (got)
			*first = atomic_long_fetch_add(got, &s->used) == 0;
	}
	spin_unlock_irqrestore(&s->lock, flags);

	for (i = 0; i < got; i++) {
		WRITE_ONCE(s->owner[slots[i]], owner);
		/* Who sees it used sees its owner. */
		atomic_set_release(&s->state[slots[i]], UFFDVRAM_SLOT_USED);
	}
	uffdvram_stat_add(slots_allocated, got);
	return got;
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
	WRITE_ONCE(s->owner[slot], NULL);
	if (atomic_xchg(&s->state[slot], 0) & UFFDVRAM_SLOT_LOST) {
		atomic_set(&s->state[slot], UFFDVRAM_SLOT_LOST);
		atomic_long_inc(&s->quarantined);
		atomic_long_dec(&s->lost);
	} else {
		clear_bit_unlock(slot, s->taken);
	}
	uffdvram_stat_inc(slots_freed);
	return atomic_long_dec_and_test(&s->used);
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

void uffdvram_slot_gate_leave(struct uffdvram_slots *s, unsigned long slot)
{
	atomic_fetch_andnot_release(UFFDVRAM_SLOT_GATE, &s->state[slot]);
}

/**
 * uffdvram_slot_lose() - note that a slot's data cannot be read any more
 * @s: the slots
 * @slot: a slot in use
 *
 * Its page stays where it is mapped; whoever touches it gets a hardware-poison
 * fault, and the slot is never handed out again.
 */
void uffdvram_slot_lose(struct uffdvram_slots *s, unsigned long slot)
{
	if (atomic_fetch_or(UFFDVRAM_SLOT_LOST, &s->state[slot]) &
	    UFFDVRAM_SLOT_LOST)
		return;
	atomic_long_inc(&s->lost);
	uffdvram_stat_inc(slots_lost);
}
