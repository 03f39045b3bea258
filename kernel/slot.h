/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Slots: which pieces of a pool are taken, by whom, and in what state. Nothing
 * here knows of pages.
 */
#ifndef _UFFDVRAM_SLOT_H
#define _UFFDVRAM_SLOT_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/pgtable.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/* Bits of a slot's state. A free slot's state is 0. */
#define UFFDVRAM_SLOT_USED	BIT(0)	/* handed out */
/*
 * Somebody copies it just now, or has brought it home: then it is about to be free. Of the
 * first slot of a large folio: any of its slots.
 */
#define UFFDVRAM_SLOT_GATE	BIT(1)
#define UFFDVRAM_SLOT_LOST	BIT(2)	/* its data cannot be read: poison */
#define UFFDVRAM_SLOT_PRIVATE	BIT(3)	/* only the device may touch it */
#define UFFDVRAM_SLOT_LEASED	BIT(4)	/* a lease has it, until it ends: see lease.h */
#define UFFDVRAM_SLOT_WRITING	BIT(5)	/* leased: the device may write */
#define UFFDVRAM_SLOT_REVOKED	BIT(6)	/* leased: its page may be had all the same */
#define UFFDVRAM_SLOT_WANTED	BIT(7)	/* leased: the holder was told that a CPU waits */
#define UFFDVRAM_SLOT_PARKED	BIT(8)	/* leased: its page is gone */

/* What the books of one slot cost: @state, @owner, bits in @taken, @windows, its block. */
#define UFFDVRAM_SLOT_BYTES	(sizeof(atomic_t) + sizeof(void *) + 1)

/* Slots of a block: aligned, and enough for an entry of 2 MiB. */
#define UFFDVRAM_BLOCK_ORDER	(PMD_SHIFT - PAGE_SHIFT)
#define UFFDVRAM_BLOCK_SLOTS	(1UL << UFFDVRAM_BLOCK_ORDER)

/* In a list of slots: none. */
#define UFFDVRAM_NO_SLOT	U32_MAX

struct uffdvram_owner;

/**
 * struct uffdvram_slots - the slots of one pool
 * @nr: how many
 * @lock: protects @hint, @closed and the search in @taken; rank 7
 * @hint: where the next search begins
 * @closed: hands out no more
 * @taken: a bit per slot; set under @lock, cleared without it. A lost slot that
 *	was freed keeps its bit: it is in quarantine.
 * @windows: a bit per slot that is kept for a linear range; under @lock
 * @blocks: how many blocks, the incomplete last one too
 * @fill: slots taken plus slots kept, per block. Falls after the bits have gone; an
 *	incomplete block has one more, and so is never empty
 * @begun: a bit per block: not empty. Only a hint for the search: it may be missing
 *	when slots are freed and taken at once
 * @state: UFFDVRAM_SLOT_* per slot
 * @owner: who took it, per slot; stable while in use, else NULL. To be read under
 *	RCU by who holds no reference on the slot's page.
 * @used: slots handed out
 * @lost: slots with UFFDVRAM_SLOT_LOST that are still handed out
 * @quarantined: lost slots that were freed
 * @leased: slots with UFFDVRAM_SLOT_LEASED
 * @parked: those whose page is gone
 * @private: slots with UFFDVRAM_SLOT_PRIVATE
 */
struct uffdvram_slots {
	unsigned long nr;
	spinlock_t lock;	/* rank 7 */
	unsigned long hint;
	bool closed;
	unsigned long *taken;
	unsigned long *windows;
	unsigned long blocks;
	atomic_t *fill;
	unsigned long *begun;
	atomic_t *state;
	struct uffdvram_owner **owner;
	atomic_long_t used;
	atomic_long_t lost;
	atomic_long_t quarantined;
	atomic_long_t leased;
	atomic_long_t parked;
	atomic_long_t private;
};

int uffdvram_slots_init(struct uffdvram_slots *s, unsigned long nr);
void uffdvram_slots_destroy(struct uffdvram_slots *s);
void uffdvram_slots_close(struct uffdvram_slots *s);

unsigned int uffdvram_slots_alloc(struct uffdvram_slots *s,
				  struct uffdvram_owner *owner,
				  u32 *slots, unsigned int n, bool *first);
unsigned int uffdvram_slots_alloc_at(struct uffdvram_slots *s,
				     struct uffdvram_owner *owner,
				     u32 *slots, unsigned int n, bool *first);
bool uffdvram_slots_alloc_block(struct uffdvram_slots *s,
				struct uffdvram_owner *owner, u32 *slot,
				bool *first);
bool uffdvram_slots_alloc_block_at(struct uffdvram_slots *s,
				   struct uffdvram_owner *owner, u32 slot,
				   bool *first);
bool uffdvram_slots_free(struct uffdvram_slots *s, unsigned long slot);
bool uffdvram_slots_free_block(struct uffdvram_slots *s, unsigned long slot);

int uffdvram_slots_keep(struct uffdvram_slots *s, unsigned long slot,
			unsigned long n);
void uffdvram_slots_unkeep(struct uffdvram_slots *s, unsigned long slot,
			   unsigned long n);
unsigned long uffdvram_slots_taken(struct uffdvram_slots *s, unsigned long slot,
				   unsigned long n);

bool uffdvram_slot_gate_enter(struct uffdvram_slots *s, unsigned long slot);
bool uffdvram_slot_gate_enter_out(struct uffdvram_slots *s, unsigned long slot);
bool uffdvram_slot_lose(struct uffdvram_slots *s, unsigned long slot);

int uffdvram_slot_lease(struct uffdvram_slots *s, unsigned long slot,
			unsigned long gate, bool write);
bool uffdvram_slot_revoke(struct uffdvram_slots *s, unsigned long slot);
bool uffdvram_slot_want(struct uffdvram_slots *s, unsigned long slot);
int uffdvram_slot_unlease(struct uffdvram_slots *s, unsigned long slot);
bool uffdvram_slot_park(struct uffdvram_slots *s, unsigned long slot);
bool uffdvram_slots_any_stay(struct uffdvram_slots *s, unsigned long slot);
bool uffdvram_slots_any_held(struct uffdvram_slots *s, unsigned long slot);

bool uffdvram_slot_make_private(struct uffdvram_slots *s, unsigned long slot);
bool uffdvram_slot_make_shared(struct uffdvram_slots *s, unsigned long slot);

static inline int uffdvram_slot_state(struct uffdvram_slots *s,
				      unsigned long slot)
{
	return atomic_read_acquire(&s->state[slot]);
}

static inline void uffdvram_slot_gate_leave(struct uffdvram_slots *s, unsigned long slot)
{
	/* A release. What returns the old state would be a loop on x86. */
	smp_mb__before_atomic();
	atomic_andnot(UFFDVRAM_SLOT_GATE, &s->state[slot]);
}

/*
 * As uffdvram_slot_gate_enter_out(), where nothing is the matter with the slot, as with
 * most: it is used, and that is all. Where this fails, the others find out what it is.
 */
static inline bool uffdvram_slot_gate_enter_plain(struct uffdvram_slots *s,
						  unsigned long slot)
{
	int state = UFFDVRAM_SLOT_USED;

	return likely(atomic_try_cmpxchg_acquire(&s->state[slot], &state,
						 UFFDVRAM_SLOT_USED | UFFDVRAM_SLOT_GATE));
}

static inline bool uffdvram_slot_is_lost(struct uffdvram_slots *s,
					 unsigned long slot)
{
	return uffdvram_slot_state(s, slot) & UFFDVRAM_SLOT_LOST;
}

/* Whether pages may have to stay where they are: some slot is leased, or private. */
static inline bool uffdvram_slots_hold(struct uffdvram_slots *s)
{
	return atomic_long_read(&s->leased) || atomic_long_read(&s->private);
}

/* Whether slots that are in use may be in different states: lost, leased or private. */
static inline bool uffdvram_slots_differ(struct uffdvram_slots *s)
{
	return atomic_long_read(&s->lost) || uffdvram_slots_hold(s);
}

/* Whether a lease keeps the page of a slot in that state where it is. */
static inline bool uffdvram_slot_state_leased(int state)
{
	return (state & (UFFDVRAM_SLOT_LEASED | UFFDVRAM_SLOT_REVOKED)) ==
	       UFFDVRAM_SLOT_LEASED;
}

/* Whether the page of a slot in that state must not leave it. */
static inline bool uffdvram_slot_state_stays(int state)
{
	return uffdvram_slot_state_leased(state) || (state & UFFDVRAM_SLOT_PRIVATE);
}

/*
 * As uffdvram_slot_gate_enter(), for a slot whose data is to be read, and whose page is to
 * leave then: false, too, if that is lost, or has to stay, or becomes so just now.
 */
static inline bool uffdvram_slot_gate_enter_good(struct uffdvram_slots *s,
						 unsigned long slot)
{
	int state = atomic_read(&s->state[slot]);

	return !(state & (UFFDVRAM_SLOT_GATE | UFFDVRAM_SLOT_LOST)) &&
	       !uffdvram_slot_state_stays(state) &&
	       atomic_try_cmpxchg_acquire(&s->state[slot], &state,
					  state | UFFDVRAM_SLOT_GATE);
}

static inline bool uffdvram_slot_is_leased(struct uffdvram_slots *s,
					   unsigned long slot)
{
	return uffdvram_slot_state_leased(uffdvram_slot_state(s, slot));
}

#endif /* _UFFDVRAM_SLOT_H */
