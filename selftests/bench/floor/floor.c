// SPDX-License-Identifier: GPL-2.0-only
/*
 * The floor: what it costs at least to move pages to device-private memory and
 * back, for any module, since it can only call what the core exports.
 *
 * It keeps no books: a page goes to the next slot in turn, and a folio of 2 MiB to the
 * next block of them, whatever is there, so whoever uses it sees to it that fewer pages
 * are in than there are slots, and of one size. For measurements, never for use.
 */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "floor.h"

/* What an entry of 2 MiB maps is moved as one folio. */
#define FLOOR_STEP	((unsigned long)HPAGE_PMD_NR)

static unsigned long floor_mib = 64;
module_param_named(mib, floor_mib, ulong, 0400);
MODULE_PARM_DESC(mib, "size of the memory, a multiple of 2 MiB");

static struct dev_pagemap floor_pgmap;
static unsigned long floor_first, floor_pages;
static void *floor_mem;
static atomic_long_t floor_next, floor_next_block;

static void *floor_of(const struct page *page)
{
	return floor_mem + ((page_to_pfn(page) - floor_first) << PAGE_SHIFT);
}

static struct page *floor_slot(void)
{
	unsigned long n = atomic_long_inc_return(&floor_next) % floor_pages;
	struct page *page = pfn_to_page(floor_first + n);

	zone_device_page_init(page, &floor_pgmap, 0);
	return page;
}

static struct page *floor_block(void)
{
	unsigned long n = atomic_long_inc_return(&floor_next_block) * FLOOR_STEP;
	struct page *page = pfn_to_page(floor_first + n % floor_pages);

	zone_device_folio_init(page_folio(page), &floor_pgmap, HPAGE_PMD_ORDER);
	return page;
}

static void floor_copy(void *to, void *from, unsigned long pages)
{
	for (; pages--; to += PAGE_SIZE, from += PAGE_SIZE)
		copy_page(to, from);
}

static void floor_clear(void *to, unsigned long pages)
{
	for (; pages--; to += PAGE_SIZE)
		clear_page(to);
}

/* How many pages an entry of the core's list is for. */
static unsigned long floor_size(unsigned long pfn)
{
	return pfn & MIGRATE_PFN_COMPOUND ? FLOOR_STEP : 1;
}

static void floor_fill(struct migrate_vma *args)
{
	unsigned long i, n;
	struct page *from, *to;

	for (i = 0; i < args->npages; i += n) {
		n = floor_size(args->src[i]);
		if (!(args->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		from = migrate_pfn_to_page(args->src[i]);
		to = n > 1 ? floor_block() : floor_slot();
		if (from)
			floor_copy(floor_of(to), page_address(from), n);
		else
			floor_clear(floor_of(to), n);
		args->dst[i] = migrate_pfn(page_to_pfn(to)) |
			       (args->src[i] & MIGRATE_PFN_COMPOUND);
	}
}

static struct page *floor_alloc(struct migrate_vma *args, unsigned long i, unsigned long n)
{
	unsigned long addr = args->start + (i << PAGE_SHIFT);
	struct folio *folio;

	folio = n > 1 ? vma_alloc_folio(GFP_TRANSHUGE_LIGHT, HPAGE_PMD_ORDER, args->vma, addr) :
			vma_alloc_folio(GFP_HIGHUSER_MOVABLE, 0, args->vma, addr);
	return folio ? folio_page(folio, 0) : NULL;
}

static void floor_drain(struct migrate_vma *args)
{
	unsigned long i, n;
	struct page *from, *to;

	for (i = 0; i < args->npages; i += n) {
		n = floor_size(args->src[i]);
		from = migrate_pfn_to_page(args->src[i]);
		if (!from || !(args->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		to = floor_alloc(args, i, n);
		if (!to)
			continue;
		lock_page(to);
		floor_copy(page_address(to), floor_of(from), n);
		args->dst[i] = migrate_pfn(page_to_pfn(to)) |
			       (args->src[i] & MIGRATE_PFN_COMPOUND);
	}
}

static int floor_step(struct migrate_vma *args, unsigned int cmd)
{
	int ret = migrate_vma_setup(args);

	if (ret)
		return ret;
	if (cmd == FLOOR_IN)
		floor_fill(args);
	else
		floor_drain(args);
	migrate_vma_pages(args);
	migrate_vma_finalize(args);
	return 0;
}

static int floor_steps(struct vm_area_struct *vma, const struct floor_piece *p,
		       unsigned int cmd, unsigned long *pfns)
{
	unsigned long addr, end = p->addr + p->len;
	int ret = 0;

	for (addr = p->addr; !ret && addr < end; addr += FLOOR_STEP << PAGE_SHIFT) {
		struct migrate_vma args = {
			.vma = vma,
			.start = addr,
			.end = min(end, addr + (FLOOR_STEP << PAGE_SHIFT)),
			.src = pfns,
			.dst = pfns + FLOOR_STEP,
			.pgmap_owner = &floor_pgmap,
			.flags = MIGRATE_VMA_SELECT_COMPOUND |
				 (cmd == FLOOR_IN ? MIGRATE_VMA_SELECT_SYSTEM :
						    MIGRATE_VMA_SELECT_DEVICE_PRIVATE),
		};

		ret = floor_step(&args, cmd);
	}
	return ret;
}

static long floor_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vm_area_struct *vma;
	struct floor_piece p;
	unsigned long *pfns;
	int ret = -EINVAL;

	if (cmd != FLOOR_IN && cmd != FLOOR_OUT)
		return -ENOTTY;
	if (copy_from_user(&p, (void __user *)arg, sizeof(p)))
		return -EFAULT;
	if (!PAGE_ALIGNED(p.addr) || !PAGE_ALIGNED(p.len))
		return -EINVAL;
	pfns = kvmalloc_array(2 * FLOOR_STEP, sizeof(*pfns), GFP_KERNEL);
	if (!pfns)
		return -ENOMEM;
	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, p.addr);
	if (vma && p.len <= vma->vm_end - p.addr)
		ret = floor_steps(vma, &p, cmd, pfns);
	mmap_read_unlock(current->mm);
	kvfree(pfns);
	return ret;
}

static vm_fault_t floor_fault(struct vm_fault *vmf, unsigned long *pfns, unsigned long n)
{
	unsigned long bytes = n << PAGE_SHIFT, addr = vmf->address & ~(bytes - 1);
	struct migrate_vma args = {
		.vma = vmf->vma,
		.start = addr,
		.end = addr + bytes,
		.src = pfns,
		.dst = pfns + n,
		.pgmap_owner = &floor_pgmap,
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE |
			 (n > 1 ? MIGRATE_VMA_SELECT_COMPOUND : 0),
		.fault_page = vmf->page,
	};

	if (migrate_vma_setup(&args))
		return VM_FAULT_SIGBUS;
	floor_drain(&args);
	migrate_vma_pages(&args);
	migrate_vma_finalize(&args);
	return 0;
}

static vm_fault_t floor_migrate_to_ram(struct vm_fault *vmf)
{
	unsigned long pair[2] = {}, *pfns;
	vm_fault_t ret;

	if (vmf->pte)
		return floor_fault(vmf, pair, 1);
	pfns = kmalloc_array(2 * FLOOR_STEP, sizeof(*pfns), GFP_KERNEL);
	if (!pfns)
		return VM_FAULT_OOM;
	ret = floor_fault(vmf, pfns, FLOOR_STEP);
	kfree(pfns);
	return ret;
}

static void floor_folio_free(struct folio *folio)
{
}

static const struct dev_pagemap_ops floor_pagemap_ops = {
	.migrate_to_ram = floor_migrate_to_ram,
	.folio_free = floor_folio_free,
};

static const struct file_operations floor_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = floor_ioctl,
};

static struct miscdevice floor_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "uffdvram_floor",
	.fops = &floor_fops,
};

static int floor_map(unsigned long bytes)
{
	struct resource *res;
	void *addr;

	res = request_free_mem_region(&iomem_resource, bytes, "uffdvram_floor");
	if (IS_ERR(res))
		return PTR_ERR(res);
	floor_pgmap.type = MEMORY_DEVICE_PRIVATE;
	floor_pgmap.range.start = res->start;
	floor_pgmap.range.end = res->end;
	floor_pgmap.nr_range = 1;
	floor_pgmap.ops = &floor_pagemap_ops;
	floor_pgmap.owner = &floor_pgmap;
	addr = memremap_pages(&floor_pgmap, numa_node_id());
	if (IS_ERR(addr)) {
		release_mem_region(res->start, resource_size(res));
		return PTR_ERR(addr);
	}
	floor_first = PHYS_PFN(res->start);
	floor_pages = bytes >> PAGE_SHIFT;
	return 0;
}

static void floor_unmap(void)
{
	memunmap_pages(&floor_pgmap);
	release_mem_region(floor_pgmap.range.start, range_len(&floor_pgmap.range));
}

static int __init floor_init(void)
{
	unsigned long bytes = ALIGN(floor_mib << 20, PMD_SIZE);
	int ret;

	floor_mem = vmalloc(bytes);
	if (!floor_mem)
		return -ENOMEM;
	ret = floor_map(bytes);
	if (ret)
		goto err_free;
	ret = misc_register(&floor_misc);
	if (ret)
		goto err_unmap;
	return 0;

err_unmap:
	floor_unmap();
err_free:
	vfree(floor_mem);
	return ret;
}

static void __exit floor_exit(void)
{
	misc_deregister(&floor_misc);
	floor_unmap();
	vfree(floor_mem);
}

module_init(floor_init);
module_exit(floor_exit);
MODULE_DESCRIPTION("least cost of moving pages to device-private memory, for comparison");
MODULE_LICENSE("GPL");
