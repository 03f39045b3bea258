// SPDX-License-Identifier: GPL-2.0-only
/*
 * uffdvram-nvidia: an allocation of CUDA's as a pool.
 *
 * The caller of POOL_ATTACH names an allocation of its own. NVIDIA's open driver,
 * R550 or newer, pins its pages and tells where they appear in the GPU's BAR; they
 * stay, whatever becomes of the caller, until the pool ends. Offsets of the pool
 * are offsets into the allocation.
 *
 * The driver's functions are looked up when a pool is attached (symbol_get), and
 * keep the driver loaded until the pool ends.
 */
#include <linux/ioport.h>
#include <linux/maple_tree.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include <linux/uffdvram.h>

#include "backend.h"
#include "bar.h"
#include "inject.h"
#include "nvidia_event.h"
#include "nvidia_p2p.h"

/* What the driver answers where no errno of user space fits. */
#define NVIDIA_ENOTSUPP	524

/* Pages of 4 KiB of BARs that pools have: a page is in one pool only. */
static DEFINE_MTREE(nvidia_claimed);

/**
 * struct nvidia_run - a piece that is contiguous in the BAR
 * @off: its offset in the pool
 * @bar: where it is mapped
 */
struct nvidia_run {
	u64 off;
	struct uffdvram_bar bar;
};

/**
 * struct nvidia_pool - one attached allocation
 * @watch: what becomes of its GPU
 * @get: the driver's function; each of the two holds a reference on the driver
 * @put: likewise
 * @addr: CUDA's address
 * @table: the pages, as the driver told
 * @nr: runs that are mapped
 * @runs: by offset, without gaps
 */
struct nvidia_pool {
	struct uffdvram_nvidia_watch watch;
	typeof(nvidia_p2p_get_pages_persistent) *get;
	typeof(nvidia_p2p_put_pages_persistent) *put;
	u64 addr;
	struct nvidia_p2p_page_table *table;
	unsigned int nr;
	struct nvidia_run *runs;
};

/* The driver's functions, and with them a reference on it. */
static int nvidia_bind(struct nvidia_pool *p)
{
	p->get = may_fail(core, NULL, symbol_get(nvidia_p2p_get_pages_persistent));
	p->put = may_fail(core, NULL, symbol_get(nvidia_p2p_put_pages_persistent));
	if (p->get && p->put)
		return 0;
	pr_warn("uffdvram-nvidia: no driver exports nvidia_p2p_get_pages_persistent: load NVIDIA's open kernel modules, R550 or newer; the proprietary ones cannot be used\n");
	return -ENXIO;
}

static void nvidia_unbind(struct nvidia_pool *p)
{
	if (p->put)
		symbol_put(nvidia_p2p_put_pages_persistent);
	if (p->get)
		symbol_put(nvidia_p2p_get_pages_persistent);
}

/* What the driver's errno means, for the log and for user space. */
static int nvidia_explain(int ret, u64 addr, u64 bytes)
{
	const char *why = "the driver failed";

	switch (ret) {
	case -NVIDIA_ENOTSUPP:
		ret = -EOPNOTSUPP;
		fallthrough;
	case -EOPNOTSUPP:
		why = "the GPU does not offer this (GeForce, vGPU, MIG with R550, protected mode)";
		break;
	case -EINVAL:
		why = "no allocation of the calling process, or not all of it";
		break;
	case -ENOMEM:
		why = "no memory, or not enough address space in the GPU's BAR";
		break;
	case -ENODEV:
		ret = -ENXIO;
		why = "the GPU is gone";
		break;
	}
	pr_warn("uffdvram-nvidia: %#llx, %llu bytes: %s: %d\n", addr, bytes, why, ret);
	return ret;
}

static int nvidia_get(struct nvidia_pool *p, u64 bytes)
{
	int ret = may_fail(alloc, -ENOMEM, p->get(p->addr, bytes, &p->table, 0));

	if (!ret)
		return 0;
	/* It may be left pointing to what is gone. */
	p->table = NULL;
	return nvidia_explain(ret, p->addr, bytes);
}

static void nvidia_put(struct nvidia_pool *p)
{
	int ret;

	if (!p->table)
		return;
	ret = p->put(p->addr, p->table, 0);
	if (ret)
		pr_warn("uffdvram-nvidia: %#llx: the driver keeps the pages: %d\n",
			p->addr, ret);
}

static unsigned int nvidia_page_shift(const struct nvidia_p2p_page_table *t)
{
	switch (t->page_size) {
	case NVIDIA_P2P_PAGE_SIZE_4K:
		return 12;
	case NVIDIA_P2P_PAGE_SIZE_64K:
		return 16;
	case NVIDIA_P2P_PAGE_SIZE_128K:
		return 17;
	}
	return 0;
}

/* Can we read the table, and is it about what we asked for? */
static int nvidia_check_table(const struct nvidia_pool *p, u64 bytes)
{
	const struct nvidia_p2p_page_table *t = p->table;
	unsigned int major = NVIDIA_P2P_MAJOR(t->version);

	if (major < NVIDIA_P2P_MAJOR_MIN || major > NVIDIA_P2P_MAJOR_MAX) {
		pr_warn("uffdvram-nvidia: the driver's page tables have version %#x: only %u.x to %u.x are known\n",
			t->version, NVIDIA_P2P_MAJOR_MIN, NVIDIA_P2P_MAJOR_MAX);
		return -EOPNOTSUPP;
	}
	if (!nvidia_page_shift(t) ||
	    (u64)t->entries << nvidia_page_shift(t) != bytes) {
		pr_warn("uffdvram-nvidia: %u pages of size %u are not %llu bytes\n",
			t->entries, t->page_size, bytes);
		return -EOPNOTSUPP;
	}
	return 0;
}

/*
 * Pages that the CPU caches are system RAM with struct pages of their own, and
 * want another way of copying (and of being taken offline): not ours.
 */
static int nvidia_check_page(u64 phys, u64 size)
{
	if (!IS_ALIGNED(phys, size))
		return -EOPNOTSUPP;
	if (region_intersects(phys, size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) ==
	    REGION_DISJOINT)
		return 0;
	pr_warn("uffdvram-nvidia: %#llx is memory that the CPU caches (Grace Hopper and the like): only memory behind a BAR can be used\n",
		phys);
	return -EOPNOTSUPP;
}

/* The first entry after the run that begins with @i. */
static unsigned int nvidia_run_end(const struct nvidia_p2p_page_table *t, unsigned int i)
{
	u64 size = 1ULL << nvidia_page_shift(t);

	for (i++; i < t->entries; i++)
		if (t->pages[i]->physical_address !=
		    t->pages[i - 1]->physical_address + size)
			break;
	return i;
}

static int nvidia_alloc_runs(struct nvidia_pool *p)
{
	const struct nvidia_p2p_page_table *t = p->table;
	unsigned int i, n = 0;
	int ret;

	for (i = 0; i < t->entries; i++) {
		ret = nvidia_check_page(t->pages[i]->physical_address,
					1ULL << nvidia_page_shift(t));
		if (ret)
			return ret;
	}
	for (i = 0; i < t->entries; i = nvidia_run_end(t, i))
		n++;
	p->runs = may_fail(alloc, NULL, kvcalloc(n, sizeof(*p->runs), GFP_KERNEL_ACCOUNT));
	return p->runs ? 0 : -ENOMEM;
}

/* The same memory under another of CUDA's addresses would be two slots. */
static int nvidia_claim(phys_addr_t start, u64 bytes)
{
	int ret = may_fail(alloc, -ENOMEM,
			   mtree_insert_range(&nvidia_claimed, PHYS_PFN(start),
					      PHYS_PFN(start + bytes - 1), xa_mk_value(1),
					      GFP_KERNEL));

	if (ret != -EEXIST)
		return ret;
	pr_warn("uffdvram-nvidia: %pa is in a pool already\n", &start);
	return -EBUSY;
}

static int nvidia_map_run(struct nvidia_run *run, phys_addr_t start, u64 bytes)
{
	int ret = nvidia_claim(start, bytes);

	if (ret)
		return ret;
	ret = uffdvram_bar_map(&run->bar, start, bytes);
	if (ret)
		mtree_erase(&nvidia_claimed, PHYS_PFN(start));
	return ret;
}

static void nvidia_unmap_run(struct nvidia_run *run)
{
	uffdvram_bar_unmap(&run->bar);
	mtree_erase(&nvidia_claimed, PHYS_PFN(run->bar.start));
}

static int nvidia_map(struct nvidia_pool *p)
{
	const struct nvidia_p2p_page_table *t = p->table;
	unsigned int i, end, shift = nvidia_page_shift(t);
	struct nvidia_run *run;
	int ret;

	for (i = 0; i < t->entries; i = end) {
		end = nvidia_run_end(t, i);
		run = &p->runs[p->nr];
		run->off = (u64)i << shift;
		ret = nvidia_map_run(run, t->pages[i]->physical_address,
				     (u64)(end - i) << shift);
		if (ret)
			return ret;
		p->nr++;
	}
	return uffdvram_bar_try(&p->runs[0].bar, pci_name(p->watch.pdev));
}

static int nvidia_setup(struct nvidia_pool *p, u64 bytes)
{
	int ret;

	ret = nvidia_bind(p);
	if (ret)
		return ret;
	ret = nvidia_get(p, bytes);
	if (ret)
		return ret;
	ret = nvidia_check_table(p, bytes);
	if (ret)
		return ret;
	ret = nvidia_alloc_runs(p);
	if (ret)
		return ret;
	p->watch.pdev = uffdvram_nvidia_find_gpu(p->table->pages[0]->physical_address);
	if (!p->watch.pdev) {
		pr_warn("uffdvram-nvidia: %#llx is in no BAR\n",
			p->table->pages[0]->physical_address);
		return -EOPNOTSUPP;
	}
	return nvidia_map(p);
}

/* Whatever there is of it; the mappings go before the pages. */
static void nvidia_free(struct nvidia_pool *p)
{
	while (p->nr)
		nvidia_unmap_run(&p->runs[--p->nr]);
	nvidia_put(p);
	pci_dev_put(p->watch.pdev);
	kvfree(p->runs);
	nvidia_unbind(p);
	kfree(p);
}

static int nvidia_attach(struct uffdvram_backend *b,
			 const struct uffdvram_pool_attach *arg)
{
	struct nvidia_pool *p;
	int ret;

	if (arg->pci_sbdf || arg->pci_bar || !arg->addr ||
	    !IS_ALIGNED(arg->addr, NVIDIA_P2P_ALIGN) ||
	    !IS_ALIGNED(arg->bytes, NVIDIA_P2P_ALIGN) ||
	    arg->addr + arg->bytes < arg->addr)
		return -EINVAL;
	p = may_fail(alloc, NULL, kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT));
	if (!p)
		return -ENOMEM;
	p->addr = arg->addr;
	ret = nvidia_setup(p, arg->bytes);
	if (ret) {
		nvidia_free(p);
		return ret;
	}
	snprintf(b->about, sizeof(b->about),
		 " device %s addr %llu runs %u combining %d streaming %d write_mbs %u read_mbs %u",
		 pci_name(p->watch.pdev), p->addr, p->nr, p->runs[0].bar.combining,
		 p->runs[0].bar.streaming, p->runs[0].bar.write_mbs,
		 p->runs[0].bar.read_mbs);
	b->priv = p;
	p->watch.b = b;
	uffdvram_nvidia_watch(&p->watch);
	return 0;
}

static void nvidia_detach(struct uffdvram_backend *b)
{
	struct nvidia_pool *p = b->priv;

	uffdvram_nvidia_unwatch(&p->watch);
	nvidia_free(p);
}

/* What the driver, the table of pages and our mappings take is small. */
static unsigned long nvidia_host_pages(u64 bytes)
{
	return 0;
}

/* The run that has the page at @off; *@off: offset in the run. */
static const struct uffdvram_bar *nvidia_find(const struct nvidia_pool *p, u64 *off)
{
	unsigned int low = 0, high = p->nr, mid;

	while (high - low > 1) {
		mid = low + (high - low) / 2;
		if (p->runs[mid].off <= *off)
			low = mid;
		else
			high = mid;
	}
	*off -= p->runs[low].off;
	return &p->runs[low].bar;
}

/* One transfer, by pages of 4 KiB: it may reach over several runs. */
static int nvidia_copy(const struct nvidia_pool *p, const struct uffdvram_xfer *x,
		       bool in)
{
	const struct uffdvram_bar *bar;
	unsigned int i;
	int ret = 0;
	u64 off;

	if (in ? inject(in) : inject(out))
		return -EIO;
	for (i = 0; !ret && i < 1U << x->order; i++) {
		off = x->off + ((u64)i << PAGE_SHIFT);
		bar = nvidia_find(p, &off);
		if (in)
			ret = uffdvram_bar_write(bar, off, x->ram + i, 0);
		else
			uffdvram_bar_read(bar, off, x->ram + i, 0);
	}
	return ret;
}

static unsigned int nvidia_copy_all(struct uffdvram_backend *b, struct uffdvram_xfer *x,
				    unsigned int n, bool in)
{
	unsigned int i, failed = 0;

	for (i = 0; i < n; i++) {
		x[i].err = nvidia_copy(b->priv, &x[i], in);
		failed += !!x[i].err;
	}
	return failed;
}

static unsigned int nvidia_to_vram(struct uffdvram_backend *b, struct uffdvram_xfer *x,
				   unsigned int n)
{
	unsigned int failed = nvidia_copy_all(b, x, n, true);

	uffdvram_bar_flush();
	return failed;
}

static unsigned int nvidia_to_ram(struct uffdvram_backend *b, struct uffdvram_xfer *x,
				  unsigned int n)
{
	return nvidia_copy_all(b, x, n, false);
}

static int nvidia_clear(struct uffdvram_backend *b, u64 off, unsigned int npages)
{
	const struct uffdvram_bar *bar;
	unsigned int i;
	u64 in_run;

	if (inject(in))
		return -EIO;
	for (i = 0; i < npages; i++) {
		in_run = off + ((u64)i << PAGE_SHIFT);
		bar = nvidia_find(b->priv, &in_run);
		uffdvram_bar_clear(bar, in_run, 1);
	}
	uffdvram_bar_flush();
	return 0;
}

static const struct uffdvram_backend_ops nvidia_ops = {
	.name = "nvidia",
	.id = UFFDVRAM_BACKEND_NVIDIA,
	.owner = THIS_MODULE,
	.checksums = true,
	.slow_reads = true,
	.host_pages = nvidia_host_pages,
	.attach = nvidia_attach,
	.detach = nvidia_detach,
	.to_vram = nvidia_to_vram,
	.to_ram = nvidia_to_ram,
	.clear = nvidia_clear,
};

static int __init nvidia_init(void)
{
	int ret;

	ret = uffdvram_nvidia_events_init();
	if (ret)
		return ret;
	ret = uffdvram_backend_register(&nvidia_ops);
	if (ret)
		uffdvram_nvidia_events_exit();
	return ret;
}

/* No pool is left: each has a reference on this module. */
static void __exit nvidia_exit(void)
{
	uffdvram_backend_unregister(&nvidia_ops);
	uffdvram_nvidia_events_exit();
	mtree_destroy(&nvidia_claimed);
}

module_init(nvidia_init);
module_exit(nvidia_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("uffdvram: memory of NVIDIA GPUs");
