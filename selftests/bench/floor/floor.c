// SPDX-License-Identifier: GPL-2.0-only
/*
 * The floor: what it costs at least to move pages to device-private memory and
 * back, for any module, since it can only call what the core exports.
 *
 * It keeps no books: a page goes to the next slot in turn, whatever is there, so
 * whoever uses it sees to it that fewer pages are in than there are slots. For
 * measurements, never for use.
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

#define FLOOR_STEP	512UL

static unsigned long floor_mib = 64;
module_param_named(mib, floor_mib, ulong, 0400);
MODULE_PARM_DESC(mib, "size of the memory, a multiple of 2 MiB");

static struct dev_pagemap floor_pgmap;
static unsigned long floor_first, floor_pages;
static void *floor_mem;
static atomic_long_t floor_next;

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

static void floor_fill(struct migrate_vma *args)
{
	struct page *from, *to;
	unsigned long i;

	for (i = 0; i < args->npages; i++) {
		if (!(args->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		from = migrate_pfn_to_page(args->src[i]);
		to = floor_slot();
		if (from)
			copy_page(floor_of(to), page_address(from));
		else
			clear_page(floor_of(to));
		args->dst[i] = migrate_pfn(page_to_pfn(to));
	}
}

static void floor_drain(struct migrate_vma *args)
{
	struct page *from, *to;
	unsigned long i;

	for (i = 0; i < args->npages; i++) {
		from = migrate_pfn_to_page(args->src[i]);
		if (!from || !(args->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		to = alloc_page_vma(GFP_HIGHUSER_MOVABLE, args->vma,
				    args->start + (i << PAGE_SHIFT));
		if (!to)
			continue;
		lock_page(to);
		copy_page(page_address(to), floor_of(from));
		args->dst[i] = migrate_pfn(page_to_pfn(to));
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
			.flags = cmd == FLOOR_IN ? MIGRATE_VMA_SELECT_SYSTEM :
						   MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
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

static vm_fault_t floor_migrate_to_ram(struct vm_fault *vmf)
{
	unsigned long src = 0, dst = 0, addr = vmf->address & PAGE_MASK;
	struct migrate_vma args = {
		.vma = vmf->vma,
		.start = addr,
		.end = addr + PAGE_SIZE,
		.src = &src,
		.dst = &dst,
		.pgmap_owner = &floor_pgmap,
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
		.fault_page = vmf->page,
	};

	if (migrate_vma_setup(&args))
		return VM_FAULT_SIGBUS;
	floor_drain(&args);
	migrate_vma_pages(&args);
	migrate_vma_finalize(&args);
	return 0;
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
