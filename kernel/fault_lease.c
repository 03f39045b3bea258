// SPDX-License-Identifier: GPL-2.0-only
/*
 * A CPU touches a page that the device uses just now: wait until the lease ends, and not
 * longer than a set time; then revoke it.
 *
 * Who waits holds the core's reference on the page, and must hold nothing else: mmap_lock
 * is dropped, and the page unlocked, where the core has locked it. Else the next one who
 * faults there would sleep on the page's lock, unkillably and with mmap_lock held, and
 * whoever wants that for writing would stop all others.
 */
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "fault_lease.h"
#include "lease.h"
#include "lock.h"
#include "stat.h"
#include "vram.h"

/*
 * Whether the fault may be taken again later. Not by who exits or dumps core. And who
 * has been here once has waited: the device may take one lease after the other.
 */
static bool fault_may_wait(const struct vm_fault *vmf)
{
	return (vmf->flags & FAULT_FLAG_ALLOW_RETRY) && !(vmf->flags & FAULT_FLAG_TRIED) &&
	       !(current->flags & (PF_EXITING | PF_DUMPCORE)) &&
	       READ_ONCE(uffdvram_lease_wait_ms);
}

static void fault_wait(struct vm_fault *vmf, struct uffdvram_vram *v, unsigned long slot)
{
	unsigned int ms = min(READ_ONCE(uffdvram_lease_wait_ms), UFFDVRAM_LEASE_WAIT_MAX);
	struct folio *folio = page_folio(vmf->page);

	uffdvram_stat_inc(leases_waits);
	mmap_read_unlock(vmf->vma->vm_mm);
	if (UFFDVRAM_FAULTS_LOCK_PAGE)
		folio_unlock(folio);
	/* Killed or not: whoever called looks. */
	if (!wait_event_killable_timeout(v->lease_wait,
					 !uffdvram_slot_is_leased(&v->slots, slot),
					 msecs_to_jiffies(ms)))
		uffdvram_lease_revoke_slot(v, slot, UFFDVRAM_REVOKED_CPU);
	/* The core unlocks it. Nobody holds the lock for long. */
	if (UFFDVRAM_FAULTS_LOCK_PAGE)
		folio_lock(folio);
}

/**
 * uffdvram_fault_lease() - wait for a leased page, or take it
 * @vmf: the fault; vmf->page has a reference, which keeps its folio as it is
 * @v: its pool
 * @slot: of the page that is touched
 *
 * Return: 0: the lease is revoked, go on; VM_FAULT_RETRY, as the flags ask for it.
 */
vm_fault_t uffdvram_fault_lease(struct vm_fault *vmf, struct uffdvram_vram *v,
				unsigned long slot)
{
	if (!fault_may_wait(vmf) ||
	    !uffdvram_lease_wanted(v, slot, vmf->vma->vm_mm)) {
		uffdvram_lease_revoke_slot(v, slot, UFFDVRAM_REVOKED_CPU);
		return 0;
	}
	if (!(vmf->flags & FAULT_FLAG_RETRY_NOWAIT))
		fault_wait(vmf, v, slot);
	return VM_FAULT_RETRY;
}
