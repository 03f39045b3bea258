// SPDX-License-Identifier: GPL-2.0-only
#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/uaccess.h>
#ifdef CONFIG_X86
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/memtype.h>
#include <asm/pgtable_types.h>
#endif

#include "bar.h"
#include "inject.h"

/* What is written and read back when a piece is mapped, and its last page. */
#define BAR_TEST_PAGES	64

/* 1: read with streaming loads; 0: do not; -1: do on real hardware. */
int uffdvram_bar_streaming = -1;

#ifdef CONFIG_X86

/*
 * A hypervisor that emulates accesses to a BAR may not know the instruction:
 * in a virtual machine it is used on request only.
 */
static bool bar_may_stream(void)
{
	int wanted = READ_ONCE(uffdvram_bar_streaming);

	if (!boot_cpu_has(X86_FEATURE_XMM4_1) || !wanted)
		return false;
	return wanted > 0 || !boot_cpu_has(X86_FEATURE_HYPERVISOR);
}

/* Not longer than a page at a time: nobody is scheduled meanwhile. */
static void bar_stream_page(void *to, const void __iomem *from)
{
	unsigned int i;

	kernel_fpu_begin();
	for (i = 0; i < PAGE_SIZE; i += 64)
		asm volatile("movntdqa   (%0), %%xmm0\n"
			     "movntdqa 16(%0), %%xmm1\n"
			     "movntdqa 32(%0), %%xmm2\n"
			     "movntdqa 48(%0), %%xmm3\n"
			     "movaps %%xmm0,   (%1)\n"
			     "movaps %%xmm1, 16(%1)\n"
			     "movaps %%xmm2, 32(%1)\n"
			     "movaps %%xmm3, 48(%1)\n"
			     : : "r" (from + i), "r" (to + i) : "memory");
	kernel_fpu_end();
}

static bool bar_stream(void *to, const void __iomem *from, size_t n)
{
	size_t i;

	if (!irq_fpu_usable())
		return false;
	/* What earlier streaming loads have left in this CPU's buffers is old. */
	mb();
	for (i = 0; i < n; i += PAGE_SIZE)
		bar_stream_page(to + i, from + i);
	return true;
}

/* ioremap_wc() takes what it gets: another mapping may have fixed the type. */
static bool bar_is_combining(const struct uffdvram_bar *bar)
{
	unsigned long type = _PAGE_PWT | _PAGE_PCD;
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)bar->base, &level);

	return pte && pat_enabled() &&
	       (pte_flags(*pte) & type) == cachemode2protval(_PAGE_CACHE_MODE_WC);
}

#else

static bool bar_may_stream(void)
{
	return false;
}

static bool bar_stream(void *to, const void __iomem *from, size_t n)
{
	return false;
}

static bool bar_is_combining(const struct uffdvram_bar *bar)
{
	return true;
}

#endif /* CONFIG_X86 */

/* A host page with a memory error must not take us down. */
static size_t bar_copy_in(void __iomem *to, const void *from, size_t n)
{
#ifdef CONFIG_X86
	return copy_mc_to_kernel((void __force *)to, from, n);
#else
	memcpy_toio(to, from, n);
	return 0;
#endif
}

/**
 * uffdvram_bar_write() - copy a system page into a BAR
 * @bar: mapped
 * @off: byte offset in it
 * @from: system page; a folio of @order
 * @order: 0 for a page of 4 KiB
 *
 * Any context. uffdvram_bar_flush() has to follow.
 *
 * Return: 0, or -EIO if @from cannot be read.
 */
int uffdvram_bar_write(const struct uffdvram_bar *bar, u64 off,
		       struct page *from, unsigned int order)
{
	void *ram = kmap_local_page(from);
	size_t left = bar_copy_in(bar->base + off, ram, PAGE_SIZE << order);

	kunmap_local(ram);
	return left ? -EIO : 0;
}
EXPORT_SYMBOL_GPL(uffdvram_bar_write);

/**
 * uffdvram_bar_read() - copy out of a BAR into a system page
 * @bar: mapped
 * @off: byte offset in it
 * @to: system page; a folio of @order
 * @order: 0 for a page of 4 KiB
 */
void uffdvram_bar_read(const struct uffdvram_bar *bar, u64 off,
		       struct page *to, unsigned int order)
{
	const void __iomem *from = bar->base + off;
	void *ram = kmap_local_page(to);

	if (!bar->streaming || !bar_stream(ram, from, PAGE_SIZE << order))
		memcpy_fromio(ram, from, PAGE_SIZE << order);
	kunmap_local(ram);
}
EXPORT_SYMBOL_GPL(uffdvram_bar_read);

/**
 * uffdvram_bar_clear() - zero pages of a BAR
 * @bar: mapped
 * @off: byte offset in it
 * @npages: how many, of 4 KiB
 *
 * uffdvram_bar_flush() has to follow.
 */
void uffdvram_bar_clear(const struct uffdvram_bar *bar, u64 off,
			unsigned int npages)
{
	memset_io(bar->base + off, 0, npages * PAGE_SIZE);
}
EXPORT_SYMBOL_GPL(uffdvram_bar_clear);

/* What the test writes: no two words of a BAR are the same. */
static u64 bar_test_word(u64 off, u64 seed)
{
	return (off + seed) * 0x9e3779b97f4a7c15ULL;
}

static void bar_test_fill(struct page *page, u64 off, u64 seed)
{
	u64 *word = kmap_local_page(page);
	unsigned int i;

	for (i = 0; i < PAGE_SIZE / sizeof(*word); i++)
		word[i] = bar_test_word(off + i, seed);
	kunmap_local(word);
}

static bool bar_test_check(struct page *page, u64 off, u64 seed)
{
	u64 *word = kmap_local_page(page);
	bool right = true;
	unsigned int i;

	for (i = 0; i < PAGE_SIZE / sizeof(*word); i++)
		right = right && word[i] == bar_test_word(off + i, seed);
	kunmap_local(word);
	return right;
}

/* The first pages, then the last one: offset of the n-th. */
static u64 bar_test_off(const struct uffdvram_bar *bar, unsigned int n)
{
	return n < BAR_TEST_PAGES && n < bar->bytes >> PAGE_SHIFT ?
	       (u64)n << PAGE_SHIFT : bar->bytes - PAGE_SIZE;
}

static u32 bar_mbs(u64 ns)
{
	u64 bytes = (BAR_TEST_PAGES + 1) * PAGE_SIZE;

	return div64_u64(bytes * 1000, max(ns, 1ULL));
}

/*
 * Does it hold what was written, and how fast is that? What is read back was all
 * written before: a BAR that shows the same memory twice does not pass.
 */
static int bar_test(struct uffdvram_bar *bar, struct page *page)
{
	u64 seed = ktime_get_ns(), begin, written = 0, read = 0;
	unsigned int i;

	for (i = 0; i <= BAR_TEST_PAGES; i++) {
		bar_test_fill(page, bar_test_off(bar, i), seed);
		begin = ktime_get_ns();
		if (uffdvram_bar_write(bar, bar_test_off(bar, i), page, 0))
			return -EIO;
		uffdvram_bar_flush();
		written += ktime_get_ns() - begin;
	}
	for (i = 0; i <= BAR_TEST_PAGES; i++) {
		begin = ktime_get_ns();
		uffdvram_bar_read(bar, bar_test_off(bar, i), page, 0);
		read += ktime_get_ns() - begin;
		if (!bar_test_check(page, bar_test_off(bar, i), seed))
			return -EIO;
	}
	bar->write_mbs = bar_mbs(written);
	bar->read_mbs = bar_mbs(read);
	return 0;
}

static int bar_examine(struct uffdvram_bar *bar)
{
	struct page *page;
	int ret;

	page = may_fail(alloc, NULL, alloc_page(GFP_KERNEL));
	if (!page)
		return -ENOMEM;
	ret = inject(out) ? -EIO : bar_test(bar, page);
	__free_page(page);
	return ret;
}

/**
 * uffdvram_bar_map() - map a piece of a BAR
 * @bar: out
 * @start: physical address, page aligned
 * @bytes: size, a multiple of the page size
 *
 * May sleep.
 *
 * Return: 0 or -ENOMEM.
 */
int uffdvram_bar_map(struct uffdvram_bar *bar, phys_addr_t start, u64 bytes)
{
	bar->start = start;
	bar->bytes = bytes;
	bar->base = may_fail(alloc, NULL, ioremap_wc(start, bytes));
	if (!bar->base)
		return -ENOMEM;
	bar->combining = bar_is_combining(bar);
	bar->streaming = bar_may_stream();
	return 0;
}
EXPORT_SYMBOL_GPL(uffdvram_bar_map);

/**
 * uffdvram_bar_try() - try a mapped piece out, and tell the log how fast it is
 * @bar: mapped; some of it is overwritten
 * @name: of the device, for the log
 *
 * May sleep.
 *
 * Return: 0; -ENOMEM; -EIO if it is no memory: what was written did not come
 * back.
 */
int uffdvram_bar_try(struct uffdvram_bar *bar, const char *name)
{
	int ret = bar_examine(bar);

	if (ret) {
		pr_warn("uffdvram: %s: what is written to %pa does not come back: %d\n",
			name, &bar->start, ret);
		return ret;
	}
	pr_info("uffdvram: %s: %llu bytes at %pa: writes %u MB/s, reads %u MB/s\n",
		name, bar->bytes, &bar->start, bar->write_mbs, bar->read_mbs);
	if (!bar->combining)
		pr_warn("uffdvram: %s: %pa is not mapped write-combining and will be slow: no PAT, or somebody else maps it uncached\n",
			name, &bar->start);
	return 0;
}
EXPORT_SYMBOL_GPL(uffdvram_bar_try);

/**
 * uffdvram_bar_unmap() - undo uffdvram_bar_map()
 * @bar: mapped; nobody uses it any more
 */
void uffdvram_bar_unmap(struct uffdvram_bar *bar)
{
	iounmap(bar->base);
}
EXPORT_SYMBOL_GPL(uffdvram_bar_unmap);
