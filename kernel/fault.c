// SPDX-License-Identifier: GPL-2.0-only
/*
 * A CPU touches a page that lives in VRAM: bring it home.
 *
 * The core calls with mmap_lock held for reading and a reference on the page.
 * Newer kernels also hold the page's lock, so that one fault at a time gets
 * here; older ones let all of them in, and each one's reference keeps the others
 * from migrating. Hence the gate: one brings the page home, the others give up
 * their references at once and come again. A page that the device uses is waited for
 * first (fault_lease.c).
 *
 * An entry of 2 MiB is the business of fault_huge.c.
 */
#include <linux/gfp.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>

#include <linux/uffdvram.h>

#include "fault.h"
#include "fault_huge.h"
#include "fault_lease.h"
#include "inject.h"
#include "latency.h"
#include "lease.h"
#include "lock.h"
#include "owner.h"
#include "stat.h"
#include "trace.h"
#include "vram.h"

/* How often the one in the gate tries while others drop their references. */
#define FAULT_TRIES	16

/*
 * Have the fault taken again. Where the caller allows it, mmap_lock is dropped,
 * so that nobody spins with it held.
 */
static vm_fault_t fault_again(struct vm_fault *vmf)
{
	uffdvram_stat_inc(fault_retries);
	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY)) {
		cond_resched();
		return 0;
	}
	if (!(vmf->flags & FAULT_FLAG_RETRY_NOWAIT))
		mmap_read_unlock(vmf->vma->vm_mm);
	return VM_FAULT_RETRY;
}

static vm_fault_t fault_poison(void)
{
	uffdvram_stat_inc(fault_errors);
	return VM_FAULT_HWPOISON | VM_FAULT_SET_HINDEX(0);
}

/**
 * fault_try() - bring one page home, once
 * @vmf: the fault; vmf->page is the device page
 * @v: its pool
 * @slot: of the page
 * @ram: in: a fresh page; out: NULL if it is used
 *
 * Return: 0 when the page has moved, -EAGAIN when it could not just now, -EIO
 * when its data is lost.
 */
static int fault_try(struct vm_fault *vmf, struct uffdvram_vram *v,
		     unsigned long slot, struct page **ram)
{
	unsigned long addr = vmf->address & PAGE_MASK;
	unsigned long src = 0, dst = 0;
	struct uffdvram_xfer xfer = {
		.off = uffdvram_slot_off(slot),
		.ram = *ram,
	};
	struct migrate_vma args = {
		.vma = vmf->vma,
		.start = addr,
		.end = addr + PAGE_SIZE,
		.src = &src,
		.dst = &dst,
		.pgmap_owner = UFFDVRAM_PGMAP_OWNER,
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
		.fault_page = vmf->page,
	};
	int ret = -EAGAIN;

	if (may_fail(core, -EINVAL, migrate_vma_setup(&args)))
		return -EAGAIN;
	/* Another page may be here by now: it is not ours to judge. */
	if ((src & MIGRATE_PFN_MIGRATE) &&
	    migrate_pfn_to_page(src) == vmf->page) {
		if (uffdvram_backend_to_ram(&v->backend, &xfer, 1)) {
			uffdvram_vram_page_lost(vmf->page, vmf->vma->vm_mm, addr);
			ret = -EIO;
		} else {
			lock_page(*ram);
			dst = migrate_pfn(page_to_pfn(*ram));
			*ram = NULL;
		}
	}
	migrate_vma_pages(&args);
	if (dst && (src & MIGRATE_PFN_MIGRATE))
		ret = 0;
	migrate_vma_finalize(&args);
	return ret;
}

/*
 * Somebody wants all pages of 2 MiB in RAM, to make one of them. Such faults say that they
 * may be taken again, and nothing else.
 */
static bool fault_is_collapse(const struct vm_fault *vmf)
{
	return vmf->flags == FAULT_FLAG_ALLOW_RETRY;
}

/*
 * khugepaged does; nobody has touched the page. MADV_COLLAPSE is no kernel thread; and
 * kernel threads that work for a process say more.
 */
static bool fault_is_khugepaged(const struct vm_fault *vmf)
{
	return fault_is_collapse(vmf) && (current->flags & PF_KTHREAD);
}

static vm_fault_t fault_in_gate(struct vm_fault *vmf, struct uffdvram_vram *v,
				unsigned long slot)
{
	bool collapse = fault_is_collapse(vmf);
	u64 since = uffdvram_latency_now();
	unsigned int tries;
	struct page *ram = NULL;
	int ret = -EAGAIN;

	for (tries = 0; ret == -EAGAIN && tries < FAULT_TRIES; tries++) {
		if (!ram)
			ram = may_fail(alloc, NULL,
				       alloc_page_vma(GFP_HIGHUSER_MOVABLE, vmf->vma,
						      vmf->address & PAGE_MASK));
		if (!ram)
			return VM_FAULT_OOM;
		if (tries)
			cond_resched();
		ret = fault_try(vmf, v, slot, &ram);
	}
	if (ram)
		__free_page(ram);
	if (ret == -EIO)
		return fault_poison();
	if (ret == -EAGAIN)
		return fault_again(vmf);
	uffdvram_stat_inc(fault_pages);
	if (collapse)
		uffdvram_stat_inc(collapses_served);
	/* The core's reference on the page keeps its slot, and that its owner. */
	uffdvram_owner_fault_back(v->slots.owner[slot], vmf->vma->vm_mm,
				  vmf->address & PAGE_MASK, PAGE_SIZE,
				  collapse ? UFFDVRAM_BACK_COLLAPSE : UFFDVRAM_BACK_ACCESS);
	uffdvram_latency_add(UFFDVRAM_LATENCY_fault, since);
	return 0;
}

/* Nobody but the device may have it. That is no damage: no machine check for a guest. */
static vm_fault_t fault_private(void)
{
	uffdvram_stat_inc(private_refused);
	return VM_FAULT_SIGBUS;
}

/* The fault of an entry of 2 MiB; vmf->page is its first page, which has the gate. */
static bool fault_is_huge(const struct vm_fault *vmf)
{
	return UFFDVRAM_HUGE_FOLIOS && !vmf->pte;
}

static vm_fault_t fault_huge_in_gate(struct vm_fault *vmf, struct uffdvram_vram *v)
{
	switch (uffdvram_fault_huge(vmf, v)) {
	case 0:
		return 0;
	case -ENOMEM:
		return VM_FAULT_OOM;
	default:
		return fault_again(vmf);
	}
}

/* The gate is ours, until this is done. */
static vm_fault_t fault_go(struct vm_fault *vmf, struct uffdvram_vram *v,
			   unsigned long gate)
{
	vm_fault_t ret = fault_is_huge(vmf) ? fault_huge_in_gate(vmf, v) :
					      fault_in_gate(vmf, v, gate);

	uffdvram_slot_gate_leave(&v->slots, gate);
	return ret;
}

/*
 * The slot that is touched, or that whose gate counts, is not as most are: poison, private,
 * leased, or somebody is in its gate. Or they are two: of an entry of 2 MiB.
 */
static noinline vm_fault_t fault_look(struct vm_fault *vmf, struct uffdvram_vram *v,
				      unsigned long slot, unsigned long gate)
{
	int state = uffdvram_vram_slot_state(v, slot);
	vm_fault_t ret = 0;

	if (state & UFFDVRAM_SLOT_LOST)
		return fault_poison();
	if (state & UFFDVRAM_SLOT_PRIVATE)
		return fault_private();
	if (uffdvram_slot_state_leased(state))
		ret = uffdvram_fault_lease(vmf, v, slot);
	if (ret)
		return ret;
	/* Of a large folio, others may have to stay. */
	if (!(slot == gate ? uffdvram_slot_gate_enter_out(&v->slots, gate) :
			     uffdvram_slot_gate_enter(&v->slots, gate)))
		return fault_again(vmf);
	if (!fault_is_huge(vmf) &&
	    uffdvram_slot_state(&v->slots, gate) & UFFDVRAM_SLOT_WRITING)
		uffdvram_lease_leaves(vmf->vma, vmf->address & PAGE_MASK, vmf->page);
	return fault_go(vmf, v, gate);
}

static vm_fault_t fault_migrate_to_ram(struct vm_fault *vmf)
{
	struct uffdvram_vram *v = uffdvram_vram_of(vmf->page);
	unsigned long gate = uffdvram_slot_of(v, vmf->page), slot = gate;
	vm_fault_t ret;

	if (fault_is_khugepaged(vmf)) {
		/* It gives up these 2 MiB. No process sees this. */
		uffdvram_stat_inc(collapses_refused);
		return VM_FAULT_SIGBUS;
	}
	uffdvram_stat_inc(faults);
	if (fault_is_huge(vmf))
		slot += (vmf->address & ~PMD_MASK) >> PAGE_SHIFT;
	if (slot == gate && uffdvram_slot_gate_enter_plain(&v->slots, gate))
		ret = fault_go(vmf, v, gate);
	else
		ret = fault_look(vmf, v, slot, gate);
	trace_uffdvram_fault(v->id, slot, vmf->address, ret);
	return ret;
}

const struct dev_pagemap_ops uffdvram_pagemap_ops = {
	.migrate_to_ram = fault_migrate_to_ram,
	UFFDVRAM_PGMAP_FREE_OPS(uffdvram_vram_page_free,
				uffdvram_vram_folio_free,
				uffdvram_vram_folio_split),
};
