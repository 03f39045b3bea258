// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leases, as a slot knows them: bits of its state. What a lease is, and who may do
 * what when, is told in lease.h.
 */
#include "slot.h"
#include "stat.h"

/**
 * uffdvram_slot_gate_enter_out() - become the one who copies a slot for its page to leave
 * @s: the slots
 * @slot: a slot whose page the caller holds a reference on
 *
 * Return: false if somebody else is at it, or the page has to stay: it is leased, or private.
 */
bool uffdvram_slot_gate_enter_out(struct uffdvram_slots *s, unsigned long slot)
{
	if (!uffdvram_slot_gate_enter(s, slot))
		return false;
	/* No lease begins from here on, nor does it become private. */
	if (!uffdvram_slot_state_stays(uffdvram_slot_state(s, slot)))
		return true;
	uffdvram_slot_gate_leave(s, slot);
	return false;
}

/**
 * uffdvram_slot_lease() - have a lease begin
 * @s: the slots
 * @slot: a slot whose page the caller holds a reference on
 * @gate: the slot whose gate the caller is in: the first one of @slot's folio
 * @write: the device may write
 *
 * Return: 0, -EBUSY (it is leased), -EAGAIN (somebody copies it), -EHWPOISON.
 */
int uffdvram_slot_lease(struct uffdvram_slots *s, unsigned long slot,
			unsigned long gate, bool write)
{
	int bits = UFFDVRAM_SLOT_LEASED | (write ? UFFDVRAM_SLOT_WRITING : 0);
	int old = atomic_read(&s->state[slot]);

	/* Before the bit: who frees the page has our reference behind him. */
	atomic_long_inc(&s->leased);
	do {
		int ret = 0;

		if (old & UFFDVRAM_SLOT_LEASED)
			ret = -EBUSY;
		else if (old & UFFDVRAM_SLOT_LOST)
			ret = -EHWPOISON;
		else if (slot != gate && (old & UFFDVRAM_SLOT_GATE))
			ret = -EAGAIN;
		if (ret) {
			atomic_long_dec(&s->leased);
			return ret;
		}
	} while (!atomic_try_cmpxchg(&s->state[slot], &old, old | bits));
	return 0;
}

/**
 * uffdvram_slot_revoke() - let the page of a leased slot go
 * @s: the slots
 * @slot: any slot
 *
 * The slot itself stays leased.
 *
 * Return: whether that is news.
 */
bool uffdvram_slot_revoke(struct uffdvram_slots *s, unsigned long slot)
{
	int old = atomic_read(&s->state[slot]);

	do {
		if (!uffdvram_slot_state_leased(old))
			return false;
	} while (!atomic_try_cmpxchg(&s->state[slot], &old, old | UFFDVRAM_SLOT_REVOKED));
	return true;
}

/* A CPU waits for a slot: whether the holder has to be told. */
bool uffdvram_slot_want(struct uffdvram_slots *s, unsigned long slot)
{
	int old = atomic_read(&s->state[slot]);

	do {
		if (!uffdvram_slot_state_leased(old) || (old & UFFDVRAM_SLOT_WANTED))
			return false;
	} while (!atomic_try_cmpxchg(&s->state[slot], &old, old | UFFDVRAM_SLOT_WANTED));
	return true;
}

/**
 * uffdvram_slot_unlease() - the lease of a slot has ended
 * @s: the slots
 * @slot: a leased slot; the caller's lease has it
 *
 * Return: the state that it was in. With UFFDVRAM_SLOT_PARKED the caller gives it back.
 */
int uffdvram_slot_unlease(struct uffdvram_slots *s, unsigned long slot)
{
	int old = atomic_fetch_andnot(UFFDVRAM_SLOT_LEASED | UFFDVRAM_SLOT_WRITING |
				      UFFDVRAM_SLOT_REVOKED | UFFDVRAM_SLOT_WANTED,
				      &s->state[slot]);

	if (old & UFFDVRAM_SLOT_PARKED)
		atomic_long_dec(&s->parked);
	atomic_long_dec(&s->leased);
	return old;
}

/**
 * uffdvram_slot_park() - the page of a slot is gone
 * @s: the slots
 * @slot: the slot
 *
 * Any context. Either this finds the lease, which then finds the slot parked when it
 * ends, or the lease has ended. Who has brought the page home has left the gate shut: it
 * opens now, since for others the slot is as good as free.
 *
 * Return: whether a lease has the slot: it is not free yet.
 */
bool uffdvram_slot_park(struct uffdvram_slots *s, unsigned long slot)
{
	int old;

	if (likely(!atomic_long_read(&s->leased)))
		return false;
	/* Before the bit, which lets the lease take it away. */
	atomic_long_inc(&s->parked);
	old = atomic_read(&s->state[slot]);
	do {
		if (!(old & UFFDVRAM_SLOT_LEASED)) {
			atomic_long_dec(&s->parked);
			return false;
		}
	} while (!atomic_try_cmpxchg(&s->state[slot], &old,
				     (old & ~UFFDVRAM_SLOT_GATE) | UFFDVRAM_SLOT_PARKED));
	uffdvram_stat_inc(leases_parked);
	return true;
}

/**
 * uffdvram_slots_any_stay() - whether some page of a block has to stay
 * @s: the slots
 * @slot: the first; the caller is in its gate, and they are one folio
 *
 * Return: true if one is leased, or private. While he is in the gate, none becomes so.
 */
bool uffdvram_slots_any_stay(struct uffdvram_slots *s, unsigned long slot)
{
	unsigned int i;

	if (likely(!uffdvram_slots_hold(s)))
		return false;
	for (i = 0; i < UFFDVRAM_BLOCK_SLOTS; i++)
		if (uffdvram_slot_state_stays(uffdvram_slot_state(s, slot + i)))
			return true;
	return false;
}

/* Likewise whether leases have some slot of it, revoked or not, or it is private. */
bool uffdvram_slots_any_held(struct uffdvram_slots *s, unsigned long slot)
{
	unsigned int i;

	if (likely(!uffdvram_slots_hold(s)))
		return false;
	for (i = 0; i < UFFDVRAM_BLOCK_SLOTS; i++)
		if (uffdvram_slot_state(s, slot + i) &
		    (UFFDVRAM_SLOT_LEASED | UFFDVRAM_SLOT_PRIVATE))
			return true;
	return false;
}
