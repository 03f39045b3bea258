// SPDX-License-Identifier: GPL-2.0-only
/*
 * A CPU touches an entry of 2 MiB in VRAM: bring all of it home at once; or, where the
 * pool is not to do that, there is no such page in RAM or not all of it can be read, have
 * it mapped by pages, so that each comes home in a fault of its own.
 *
 * While we have the folio locked, and before its entry says that it is moving, the core
 * has others that fault on it turn round at once: whatever takes long comes later, or
 * not at all.
 */
#include <linux/gfp.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "fault_huge.h"
#include "inject.h"
#include "latency.h"
#include "lease.h"
#include "lock.h"
#include "owner.h"
#include "stat.h"
#include "vram.h"

/* How often we try while others drop their references. */
#define HUGE_TRIES	16

/* What the core wants for 2 MiB, although it uses the first of each only. */
struct huge_pfns {
	unsigned long src[UFFDVRAM_BLOCK_SLOTS];
	unsigned long dst[UFFDVRAM_BLOCK_SLOTS];
};

/*
 * Has the core make the entry one that says that the folio moves. False: something else
 * is here by now, which has to be restored.
 */
static bool huge_setup(struct vm_fault *vmf, struct migrate_vma *args,
		       struct huge_pfns *pfns, int *err)
{
	unsigned long addr = vmf->address & PMD_MASK;
	unsigned long want = MIGRATE_PFN_MIGRATE | MIGRATE_PFN_COMPOUND;

	*args = (struct migrate_vma) {
		.vma = vmf->vma,
		.start = addr,
		.end = addr + PMD_SIZE,
		.src = pfns->src,
		.dst = pfns->dst,
		.pgmap_owner = UFFDVRAM_PGMAP_OWNER,
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE | MIGRATE_VMA_SELECT_COMPOUND,
		.fault_page = vmf->page,
	};
	*err = may_fail(core, -EINVAL, migrate_vma_setup(args));
	return !*err && (pfns->src[0] & want) == want &&
	       migrate_pfn_to_page(pfns->src[0]) == vmf->page;
}

/**
 * huge_try() - bring the folio home, once
 * @vmf: the fault; vmf->page is its first page
 * @v: its pool
 * @pfns: working memory
 * @ram: in: a fresh folio; out: NULL if it is used
 *
 * Return: 0 when it has moved, -EAGAIN when it could not just now, -EIO when not all of
 * it could be read.
 */
static int huge_try(struct vm_fault *vmf, struct uffdvram_vram *v,
		    struct huge_pfns *pfns, struct folio **ram)
{
	struct uffdvram_xfer xfer = {
		.off = uffdvram_slot_off(uffdvram_slot_of(v, vmf->page)),
		.ram = folio_page(*ram, 0),
		.order = UFFDVRAM_BLOCK_ORDER,
	};
	struct migrate_vma args;
	int ret = -EAGAIN, err;

	if (huge_setup(vmf, &args, pfns, &err)) {
		if (uffdvram_backend_to_ram(&v->backend, &xfer, 1)) {
			ret = -EIO;
		} else {
			folio_lock(*ram);
			pfns->dst[0] = migrate_pfn(folio_pfn(*ram)) | MIGRATE_PFN_COMPOUND;
			*ram = NULL;
		}
	}
	if (err)
		return -EAGAIN;
	migrate_vma_pages(&args);
	if (pfns->dst[0] && (pfns->src[0] & MIGRATE_PFN_MIGRATE))
		ret = 0;
	migrate_vma_finalize(&args);
	return ret;
}

/*
 * Has the entry replaced by a table of entries for pages; the folio stays what it is. Its
 * faults, which come one by one, take it apart: nobody can do that here, with the
 * reference that the core has for us.
 *
 * The core splits the entry for whoever hands it a small page for a large one, and then
 * finds that reference, and puts everything back. Nothing ever moves to that page.
 *
 * An address space that shares the folio after a fork keeps its entry of 2 MiB. (There a
 * kernel with CONFIG_DEBUG_VM may warn once: it takes the soft-dirty mark of an entry in
 * VRAM for the right to write.)
 *
 * Return: 0, -EAGAIN or -ENOMEM.
 */
static int huge_split_entry(struct vm_fault *vmf, struct huge_pfns *pfns)
{
	struct migrate_vma args;
	struct page *page;
	int ret = -EAGAIN, err;

	page = may_fail(alloc, NULL, alloc_page(GFP_HIGHUSER_MOVABLE));
	if (!page)
		return -ENOMEM;
	if (huge_setup(vmf, &args, pfns, &err)) {
		lock_page(page);
		pfns->dst[0] = migrate_pfn(page_to_pfn(page));
		page = NULL;
		ret = 0;
	}
	if (!err) {
		migrate_vma_pages(&args);
		migrate_vma_finalize(&args);
	}
	if (page)
		__free_page(page);
	return ret;
}

/* Whether some page of it is lost already. */
static bool huge_has_lost(struct uffdvram_vram *v, unsigned long slot)
{
	unsigned int i;

	if (!atomic_long_read(&v->slots.lost))
		return false;
	for (i = 0; i < UFFDVRAM_BLOCK_SLOTS; i++)
		if (uffdvram_slot_is_lost(&v->slots, slot + i))
			return true;
	return false;
}

static struct folio *huge_alloc(struct vm_fault *vmf)
{
	return may_fail(alloc, NULL,
			uffdvram_huge_folio_alloc(GFP_TRANSHUGE_LIGHT | __GFP_KSWAPD_RECLAIM,
						  vmf->vma, vmf->address & PMD_MASK));
}

/* What a revoked write lease may have written shows in the mark of the one entry. */
static void huge_leaves(struct vm_fault *vmf, struct uffdvram_vram *v, unsigned long slot)
{
	bool any = false;
	unsigned int i;

	if (!atomic_long_read(&v->slots.leased))
		return;
	for (i = 0; i < UFFDVRAM_BLOCK_SLOTS; i++) {
		if (!(uffdvram_slot_state(&v->slots, slot + i) & UFFDVRAM_SLOT_WRITING))
			continue;
		uffdvram_lease_wrote(v, slot + i);
		any = true;
	}
	if (any)
		uffdvram_lease_leaves(vmf->vma, vmf->address & PMD_MASK, vmf->page);
}

static int huge_bring_home(struct vm_fault *vmf, struct uffdvram_vram *v,
			   struct huge_pfns *pfns)
{
	unsigned long slot = uffdvram_slot_of(v, vmf->page);
	struct folio *ram = NULL;
	unsigned int tries;
	int ret = -EAGAIN;

	huge_leaves(vmf, v, slot);
	for (tries = 0; ret == -EAGAIN && tries < HUGE_TRIES; tries++) {
		if (huge_has_lost(v, slot)) {
			ret = -EIO;
			break;
		}
		if (!ram)
			ram = huge_alloc(vmf);
		if (!ram) {
			ret = -ENOMEM;
			break;
		}
		if (tries)
			cond_resched();
		ret = huge_try(vmf, v, pfns, &ram);
	}
	if (ram)
		folio_put(ram);
	return ret;
}

/*
 * Whether the rest is to stay in VRAM. What a child shares comes home as a whole: see
 * huge_split_entry(). (fork has revoked all leases of that; what is private stays.)
 */
static bool huge_stays(const struct vm_fault *vmf, struct uffdvram_vram *v)
{
	if (uffdvram_slots_any_stay(&v->slots, uffdvram_slot_of(v, vmf->page)))
		return true;
	return v->fault_bytes < PMD_SIZE && PageAnonExclusive(vmf->page);
}

/**
 * uffdvram_fault_huge() - bring home what an entry of 2 MiB maps
 * @vmf: the fault; vmf->page is the first page of a folio in VRAM
 * @v: its pool; the caller is in the gate of the folio's first slot
 *
 * Return: 0: it is home, or it is mapped by pages now, and the fault comes again; -EAGAIN:
 * not just now; -ENOMEM.
 */
int uffdvram_fault_huge(struct vm_fault *vmf, struct uffdvram_vram *v)
{
	unsigned long slot = uffdvram_slot_of(v, vmf->page);
	u64 since = uffdvram_latency_now();
	struct huge_pfns *pfns;
	int ret;

	pfns = may_fail(alloc, NULL, kmalloc(sizeof(*pfns), GFP_KERNEL));
	if (!pfns)
		return -ENOMEM;
	ret = huge_stays(vmf, v) ? -EIO : huge_bring_home(vmf, v, pfns);
	if (!ret) {
		uffdvram_stat_inc(folios_fault);
		uffdvram_stat_add(fault_pages, UFFDVRAM_BLOCK_SLOTS);
		/* The core's reference keeps the slots, and they their owner. */
		uffdvram_owner_fault_back(v->slots.owner[slot], vmf->vma->vm_mm,
					  vmf->address & PMD_MASK, PMD_SIZE,
					  UFFDVRAM_BACK_ACCESS);
		uffdvram_latency_add(UFFDVRAM_LATENCY_fault, since);
	} else if (ret != -EAGAIN) {
		uffdvram_stat_inc(folios_small);
		ret = huge_split_entry(vmf, pfns);
	}
	kfree(pfns);
	return ret;
}
