// SPDX-License-Identifier: GPL-2.0-only
#include <linux/ioport.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/xarray.h>

#include <linux/uffdvram.h>

#include "inject.h"
#include "lock.h"
#include "object.h"
#include "owner.h"
#include "vram.h"

/* The core wants whole subsections of struct pages. */
#define VRAM_PAGEMAP_ALIGN	SZ_2M
/* A slot's number is 32 bits: 16 TiB of 4 KiB slots. */
#define VRAM_MAX_BYTES		((u64)U32_MAX << PAGE_SHIFT)

const char uffdvram_pgmap_owner;
const char uffdvram_arrival_owner;

/* Pools by number; the entry is NULL while one is being made. */
static DEFINE_XARRAY_ALLOC1(vram_pools);
static u32 vram_next_id;

/* Of pools; and of what waits for an address space: for one that does not let go, all wait. */
static struct workqueue_struct *vram_wq;
static struct workqueue_struct *vram_mm_wq;
static void (*vram_work_fn)(struct work_struct *work);

/**
 * uffdvram_vram_init() - prepare for pools
 * @work: what a pool's worker does (its job is in the layers above)
 *
 * Return: 0 or -ENOMEM.
 */
int uffdvram_vram_init(void (*work)(struct work_struct *work))
{
	vram_work_fn = work;
	vram_wq = alloc_workqueue("uffdvram", WQ_UNBOUND, 0);
	if (!vram_wq)
		return -ENOMEM;
	vram_mm_wq = alloc_workqueue("uffdvram-mm", WQ_UNBOUND, 0);
	if (vram_mm_wq)
		return 0;
	destroy_workqueue(vram_wq);
	return -ENOMEM;
}

/*
 * Only called when the module's reference count is zero: no file is open and no
 * slot in use, so only idle pools are left, shared ones and those whose worker
 * has not come round yet.
 */
void uffdvram_vram_exit(void)
{
	struct uffdvram_vram *v;
	u32 id = 0;

	/* It may want pools looked after. */
	destroy_workqueue(vram_mm_wq);
	while ((v = uffdvram_vram_next(&id))) {
		uffdvram_vram_retire(v);
		uffdvram_vram_quiesce(v);
		uffdvram_vram_reap(v);
		uffdvram_vram_put(v);
	}
	/* Retired pools without slots have their last work queued: runs it. */
	destroy_workqueue(vram_wq);
	xa_destroy(&vram_pools);
}

/* What the backend takes of the host, the struct pages, and the books. */
static unsigned long vram_host_pages(const struct uffdvram_vram *v)
{
	u64 slots = v->backend.bytes >> PAGE_SHIFT;
	u64 bytes = slots * (sizeof(struct page) + UFFDVRAM_SLOT_BYTES) +
		    uffdvram_backend_host_bytes(&v->backend);

	return DIV_ROUND_UP_ULL(bytes, PAGE_SIZE);
}

/* Do not find out with the help of the OOM killer. */
static bool vram_fits(const struct uffdvram_vram *v)
{
	long avail = si_mem_available();

	return avail > 0 && vram_host_pages(v) < (unsigned long)avail;
}

static int vram_charge(struct uffdvram_vram *v)
{
	int ret;

	if (!current->mm)
		return 0;
	v->charged = vram_host_pages(v);
	ret = may_fail(alloc, -ENOMEM, account_locked_vm(current->mm, v->charged, true));
	if (ret)
		return ret;
	mmgrab(current->mm);
	v->charged_mm = current->mm;
	return 0;
}

static void vram_uncharge(struct uffdvram_vram *v)
{
	if (!v->charged_mm)
		return;
	account_locked_vm(v->charged_mm, v->charged, false);
	mmdrop(v->charged_mm);
	v->charged_mm = NULL;
}

static int vram_map_pages(struct uffdvram_vram *v,
			  const struct dev_pagemap_ops *ops)
{
	u64 bytes = ALIGN(v->backend.bytes, VRAM_PAGEMAP_ALIGN);
	struct resource *res;
	void *ret;

	res = may_fail(alloc, ERR_PTR(-ENOMEM),
		       request_free_mem_region(&iomem_resource, bytes, "uffdvram"));
	if (IS_ERR(res))
		return PTR_ERR(res) == -ERANGE ? -ENOSPC : PTR_ERR(res);
	v->pgmap.type = MEMORY_DEVICE_PRIVATE;
	v->pgmap.range.start = res->start;
	v->pgmap.range.end = res->start + bytes - 1;
	v->pgmap.nr_range = 1;
	v->pgmap.ops = ops;
	v->pgmap.owner = UFFDVRAM_PGMAP_OWNER;
	v->first_pfn = PHYS_PFN(res->start);
	v->res = res;
	ret = may_fail(alloc, ERR_PTR(-ENOMEM), memremap_pages(&v->pgmap, numa_node_id()));
	if (IS_ERR(ret)) {
		release_mem_region(res->start, resource_size(res));
		return PTR_ERR(ret);
	}
	return 0;
}

static void vram_unmap_pages(struct uffdvram_vram *v)
{
	memunmap_pages(&v->pgmap);
	/* As large as the core made it, not as large as we asked. */
	release_mem_region(v->res->start, resource_size(v->res));
}

/* Nobody copies any more. The reference on the backend's module goes, too. */
static void vram_drop(struct uffdvram_vram *v)
{
	const struct uffdvram_backend_ops *ops = v->backend.ops;

	if (v->dropped)
		return;
	v->dropped = true;
	uffdvram_backend_detach(&v->backend);
	uffdvram_backend_put(ops);
}

/*
 * The backend's device has trouble: no page goes there any more, and the worker does
 * what else there is to do.
 */
static void vram_trouble(struct uffdvram_backend *b, enum uffdvram_trouble what)
{
	struct uffdvram_vram *v = container_of(b, struct uffdvram_vram, backend);

	if (what == UFFDVRAM_TROUBLE_LOST)
		WRITE_ONCE(b->lost, true);
	uffdvram_slots_close(&v->slots);
	set_bit(what, &v->trouble);
	/* Pairs with uffdvram_vram_publish(): one of us sees the other. */
	smp_mb__after_atomic();
	uffdvram_vram_kick(v, 0);
}

/* How much a fault brings home, or 0: there is no such size. */
static unsigned long vram_fault_bytes(const struct uffdvram_backend_ops *ops,
				      const struct uffdvram_pool_attach *arg)
{
	if (!arg->fault_bytes)
		return ops->slow_reads || !UFFDVRAM_HUGE_FOLIOS ? PAGE_SIZE : PMD_SIZE;
	if (arg->fault_bytes == PAGE_SIZE ||
	    (UFFDVRAM_HUGE_FOLIOS && arg->fault_bytes == PMD_SIZE))
		return arg->fault_bytes;
	return 0;
}

static int vram_setup(struct uffdvram_vram *v,
		      const struct uffdvram_pool_attach *arg,
		      const struct dev_pagemap_ops *pgmap_ops)
{
	int ret;

	if (!may_fail(alloc, false, vram_fits(v)))
		return -ENOMEM;
	ret = vram_charge(v);
	if (ret)
		return ret;
	ret = uffdvram_slots_init(&v->slots, v->backend.bytes >> PAGE_SHIFT);
	if (ret)
		goto err_uncharge;
	ret = uffdvram_backend_attach(&v->backend, arg);
	if (ret)
		goto err_slots;
	ret = vram_map_pages(v, pgmap_ops);
	if (ret)
		goto err_backend;
	return 0;

err_backend:
	uffdvram_backend_detach(&v->backend);
err_slots:
	uffdvram_slots_destroy(&v->slots);
err_uncharge:
	vram_uncharge(v);
	return ret;
}

/**
 * uffdvram_vram_create() - make a pool that nobody knows yet
 * @ops: the backend; the pool, if it is made, has the reference on its module
 * @arg: checked for flags, not for values
 * @owner: the context it belongs to
 * @pgmap_ops: what happens to its pages
 *
 * May sleep; takes the caller's mmap_lock to charge RLIMIT_MEMLOCK.
 *
 * Return: a pool with one reference, of the kind that uffdvram_vram_reap()
 * drops; ERR_PTR() of -EINVAL, -ENODEV, -ENOMEM, -ENOSPC, or what the backend
 * says.
 */
struct uffdvram_vram *
uffdvram_vram_create(const struct uffdvram_backend_ops *ops,
		     const struct uffdvram_pool_attach *arg, const void *owner,
		     const struct dev_pagemap_ops *pgmap_ops)
{
	unsigned long fault_bytes = vram_fault_bytes(ops, arg);
	struct uffdvram_vram *v;
	int ret;

	if (!IS_ENABLED(CONFIG_DEVICE_PRIVATE))
		return ERR_PTR(-ENODEV);
	if (!arg->bytes || !PAGE_ALIGNED(arg->bytes) ||
	    arg->bytes > VRAM_MAX_BYTES || !fault_bytes)
		return ERR_PTR(-EINVAL);
	v = object_new(v);
	if (!v)
		return ERR_PTR(-ENOMEM);
	kref_init(&v->ref);
	mutex_init(&v->detach);
	spin_lock_init(&v->owners_lock);
	INIT_LIST_HEAD(&v->owners);
	init_waitqueue_head(&v->wait);
	init_waitqueue_head(&v->lease_wait);
	uffdvram_dmem_init(&v->dmem);
	INIT_DELAYED_WORK(&v->work, vram_work_fn);
	v->shared = arg->flags & UFFDVRAM_POOL_SHARED;
	v->owner = owner;
	v->fault_bytes = fault_bytes;
	uffdvram_backend_init(&v->backend, ops, arg);
	v->backend.trouble = vram_trouble;
	strscpy(v->name, ops->name);
	ret = vram_setup(v, arg, pgmap_ops);
	if (ret) {
		/* The backend may have told of trouble meanwhile. */
		uffdvram_vram_quiesce(v);
		uffdvram_vram_put(v);
		return ERR_PTR(ret);
	}
	return v;
}

/**
 * uffdvram_vram_reserve_id() - give a new pool its number
 * @v: from uffdvram_vram_create()
 *
 * Return: 0, -ENOSPC (too many pools) or -ENOMEM.
 */
int uffdvram_vram_reserve_id(struct uffdvram_vram *v)
{
	int ret = may_fail(alloc, -ENOMEM,
			   xa_alloc_cyclic(&vram_pools, &v->id, NULL,
					   XA_LIMIT(1, U32_MAX), &vram_next_id,
					   GFP_KERNEL_ACCOUNT));

	if (ret < 0)
		return ret == -EBUSY ? -ENOSPC : ret;
	return uffdvram_dmem_register(&v->dmem, v->id, v->backend.bytes);
}

/**
 * uffdvram_vram_publish() - let others find a pool
 * @v: with a number
 */
void uffdvram_vram_publish(struct uffdvram_vram *v)
{
	/* Its place is reserved: this allocates nothing and cannot fail. */
	WARN_ON_ONCE(xa_is_err(xa_store(&vram_pools, v->id, v, GFP_KERNEL)));
	WRITE_ONCE(v->published, true);
	/* Pairs with vram_trouble(). */
	smp_mb();
	if (READ_ONCE(v->trouble))
		uffdvram_vram_kick(v, 0);
}

/**
 * uffdvram_vram_retire() - stop placements, forget the pool's number
 * @v: a pool, published or not
 *
 * Needs no memory, does not wait. Its pages stay where they are.
 */
void uffdvram_vram_retire(struct uffdvram_vram *v)
{
	uffdvram_slots_close(&v->slots);
	if (!xchg(&v->retired, true) && v->id)
		xa_erase(&vram_pools, v->id);
}

/**
 * uffdvram_vram_heed() - do what a backend's trouble asks for
 * @v: published; the caller is its worker
 *
 * Tells who has ranges there. A pool whose device goes is retired.
 */
void uffdvram_vram_heed(struct uffdvram_vram *v)
{
	uffdvram_vram_tell_trouble(v);
	if (test_bit(UFFDVRAM_TROUBLE_GONE, &v->trouble))
		uffdvram_vram_retire(v);
}

/*
 * Slots are still in use: but when all of them are lost, a device that goes need
 * not wait for those who have them mapped.
 */
static void vram_drop_early(struct uffdvram_vram *v, long used)
{
	if (!test_bit(UFFDVRAM_TROUBLE_GONE, &v->trouble) ||
	    used > atomic_long_read(&v->slots.lost))
		return;
	uffdvram_backend_lose(&v->backend);
	vram_drop(v);
}

/**
 * uffdvram_vram_reap() - release the memory of a pool that no slot is in use of
 * @v: retired
 *
 * May sleep. Does nothing the second time, or while slots are in use.
 */
void uffdvram_vram_reap(struct uffdvram_vram *v)
{
	long used;

	mutex_lock(&v->detach);
	used = atomic_long_read(&v->slots.used);
	if (v->reaped || used) {
		if (!v->reaped)
			vram_drop_early(v, used);
		mutex_unlock(&v->detach);
		return;
	}
	v->reaped = true;
	/* Waits for a folio_free() that has just brought the count to zero. */
	vram_unmap_pages(v);
	vram_drop(v);
	uffdvram_slots_destroy(&v->slots);
	uffdvram_dmem_unregister(&v->dmem);
	vram_uncharge(v);
	mutex_unlock(&v->detach);
	uffdvram_vram_put(v);
}

/**
 * uffdvram_vram_quiesce() - have the worker do nothing more for a pool
 * @v: a pool with no slot in use
 *
 * Waits for the worker; not to be called by it.
 */
void uffdvram_vram_quiesce(struct uffdvram_vram *v)
{
	/*
	 * Not cancel_delayed_work_sync(): it disables the work while it waits,
	 * and a kick would then lose its reference.
	 */
	do {
		if (cancel_delayed_work(&v->work))
			uffdvram_vram_put(v);
		flush_work(&v->work.work);
	} while (delayed_work_pending(&v->work));
}

/**
 * uffdvram_vram_get() - find a pool by its number
 * @id: any number
 *
 * Return: the pool with a reference, or NULL.
 */
struct uffdvram_vram *uffdvram_vram_get(u32 id)
{
	struct uffdvram_vram *v;

	xa_lock(&vram_pools);
	v = xa_load(&vram_pools, id);
	if (v)
		kref_get(&v->ref);
	xa_unlock(&vram_pools);
	return v;
}

/**
 * uffdvram_vram_next() - the next pool, by number
 * @id: in: number of the last one, 0 to begin; out: number of this one
 *
 * Return: the pool with a reference, or NULL after the last.
 */
struct uffdvram_vram *uffdvram_vram_next(u32 *id)
{
	struct uffdvram_vram *v;
	unsigned long index = *id;

	xa_lock(&vram_pools);
	v = xa_find_after(&vram_pools, &index, U32_MAX, XA_PRESENT);
	if (v)
		kref_get(&v->ref);
	xa_unlock(&vram_pools);
	*id = index;
	return v;
}

/**
 * uffdvram_vram_any() - a pool for who names none
 * @owner: the context that asks
 *
 * Return: the first, by number, that @owner may use and that takes pages, with
 * a reference; NULL if there is none.
 */
struct uffdvram_vram *uffdvram_vram_any(const void *owner)
{
	struct uffdvram_vram *v;
	u32 id = 0;

	while ((v = uffdvram_vram_next(&id))) {
		if (uffdvram_vram_allowed(v, owner) &&
		    !READ_ONCE(v->slots.closed))
			break;
		uffdvram_vram_put(v);
	}
	return v;
}

static void vram_free_struct(struct kref *ref)
{
	object_free(container_of(ref, struct uffdvram_vram, ref));
}

void uffdvram_vram_put(struct uffdvram_vram *v)
{
	kref_put(&v->ref, vram_free_struct);
}

/**
 * uffdvram_vram_kick() - have the worker look after a pool
 * @v: the caller has a reference, or a slot of it
 * @delay: in how many jiffies
 *
 * Any context. The pending work holds a reference.
 */
void uffdvram_vram_kick(struct uffdvram_vram *v, unsigned long delay)
{
	kref_get(&v->ref);
	if (mod_delayed_work(vram_wq, &v->work, delay))
		uffdvram_vram_put(v);
}

/**
 * uffdvram_vram_queue() - have a worker do what waits for mmap_lock
 * @work: done before the module goes
 */
void uffdvram_vram_queue(struct work_struct *work)
{
	queue_work(vram_mm_wq, work);
}
