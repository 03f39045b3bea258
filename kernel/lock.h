/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lock catalogue. Locks are taken in this order, outermost first; what
 * each protects stands at its field.
 *
 *  1. uffdvram_vram.detach	mutex; one pass over a pool's slots at a time
 *  2. uffdvram_mms_lock	mutex; the table of address spaces
 *     pci_windows_lock	mutex; BARs in use, and who enabled their functions
 *  3. mmap_lock		of the address space of a context; for writing, a VMA's
 *				lock, too, where large folios are taken apart
 *  4. uffdvram_mm.lock		mutex; the ranges of an address space
 *     uffdvram_dmem.lock	rwsem; a pool's region, while somebody charges
 *  5. folio locks		taken by the core's migrate_*() with trylock only,
 *				by us on pages that nobody else knows yet
 *  6. page table locks
 *     event_lock		spinlock, irqs off; who is told of a GPU's trouble (uffdvram-nvidia)
 *  7. uffdvram_slots.lock	spinlock, irqs off; the search for free slots
 *     uffdvram_vram.owners_lock	spinlock; ranges that use a pool
 *     uffdvram_owner.leases_lock	spinlock; leases of a range's slots, which a harvest reads
 *     uffdvram_dmem_account.lock	spinlock; charges; only tried where slots become free
 *     uffdvram_mm.ctxs_lock	spinlock; contexts of an address space
 *     uffdvram_ctxs		spinlock of an xarray; contexts by number, and within it
 *     uffdvram_ctx.ranges	likewise; a context's ranges by number
 *     uffdvram_ctx.leases	likewise; its leases
 *  8. uffdvram_events.lock	spinlock; one context's events
 *  9. user_lock		spinlock, irqs off; the list of users
 *     netlink_lock		spinlock; the order of messages. The core's own, of sockets,
 *				come within it
 * 10. inject_lock		spinlock, irqs off; failures on request (test builds)
 *
 * A range is looked up under 4, referenced, and used without it.
 *
 * Rules that hold everywhere:
 *  - No user memory is touched with any of these held: it may itself live in
 *    VRAM, and its fault wants mmap_lock, folio locks and the slot's gate.
 *  - A fault (fault.c) runs with mmap_lock held for reading, and takes nothing
 *    else from 1 to 4. So does a notifier (watch.c), which may be called in reclaim.
 *  - folio_free() runs in atomic context and takes nothing at all.
 *
 * A slot's gate (UFFDVRAM_SLOT_GATE) is no lock: nobody waits for it. Who finds
 * it taken gives up its reference and comes again. Nor is uffdvram_dirty.busy, of a
 * range's harvester: the second one fails. Everybody else enters what he knows in a
 * range's books without a lock (dirty.c), notifiers among them.
 */
#ifndef _UFFDVRAM_LOCK_H
#define _UFFDVRAM_LOCK_H

#include <linux/lockdep.h>
#include <linux/mmap_lock.h>

#endif /* _UFFDVRAM_LOCK_H */
