// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private slots: only the device may touch them. No page leaves such a slot, whoever
 * wants it and wherever it is mapped; whoever copies out looks for the bit after he has
 * entered the gate. It changes only under mmap_lock held for writing, of the one address
 * space that maps the page (convert.c), and ends with the slot.
 */
#include "slot.h"

/**
 * uffdvram_slot_make_private() - have only the device touch a slot
 * @s: the slots
 * @slot: a slot whose page the caller holds a reference on, and nobody is at
 *
 * Return: whether that is news.
 */
bool uffdvram_slot_make_private(struct uffdvram_slots *s, unsigned long slot)
{
	/* Before the bit, as with leases: who sees no private slots need not look for one. */
	atomic_long_inc(&s->private);
	if (!(atomic_fetch_or(UFFDVRAM_SLOT_PRIVATE, &s->state[slot]) & UFFDVRAM_SLOT_PRIVATE))
		return true;
	atomic_long_dec(&s->private);
	return false;
}

/* The reverse: everybody may have its page. Returns whether that is news. */
bool uffdvram_slot_make_shared(struct uffdvram_slots *s, unsigned long slot)
{
	if (!(atomic_fetch_andnot(UFFDVRAM_SLOT_PRIVATE, &s->state[slot]) &
	      UFFDVRAM_SLOT_PRIVATE))
		return false;
	atomic_long_dec(&s->private);
	return true;
}
