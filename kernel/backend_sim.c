// SPDX-License-Identifier: GPL-2.0-only
/* The simulated backend: system RAM that plays VRAM. */
#include <linux/highmem.h>
#include <linux/instrumented.h>
#include <linux/kmemleak.h>
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <asm/cpufeature.h>
#include <asm/page.h>

#include <linux/uffdvram.h>

#include "backend.h"
#include "inject.h"

static unsigned long sim_host_pages(u64 bytes)
{
	return bytes >> PAGE_SHIFT;
}

static int sim_attach(struct uffdvram_backend *b,
		      const struct uffdvram_pool_attach *arg)
{
	if (arg->addr || arg->pci_sbdf || arg->pci_bar)
		return -EINVAL;
	b->priv = may_fail(alloc, NULL,
			   __vmalloc(b->bytes, GFP_KERNEL_ACCOUNT | __GFP_NOWARN |
				     __GFP_RETRY_MAYFAIL));
	if (!b->priv)
		return -ENOMEM;
	/* Guests' memory: full of things that look like pointers. */
	kmemleak_no_scan(b->priv);
	return 0;
}

static void sim_detach(struct uffdvram_backend *b)
{
	vfree(b->priv);
}

/* By pages: faster than memcpy(), but KASAN would not see it. */
static __always_inline void sim_copy(void *to, void *from, unsigned int order)
{
	unsigned int n = 1U << order;

	instrument_read(from, PAGE_SIZE << order);
	instrument_write(to, PAGE_SIZE << order);
	for (;;) {
		copy_page(to, from);
		if (!--n)
			break;
		to += PAGE_SIZE;
		from += PAGE_SIZE;
	}
}

/* A host page with a memory error must not take us down. */
static __always_inline bool sim_copy_mc(void *to, void *from, unsigned int order)
{
	/* Without ERMS, copy_mc_to_kernel() is memcpy(), and recovers from nothing. */
	if (cpu_feature_enabled(X86_FEATURE_ERMS))
		return !copy_mc_to_kernel(to, from, PAGE_SIZE << order);
	sim_copy(to, from, order);
	return true;
}

static unsigned int sim_to_vram(struct uffdvram_backend *b,
				struct uffdvram_xfer *x, unsigned int n)
{
	struct uffdvram_xfer *end = x + n;
	unsigned int failed = 0;
	void *from;

	for (; x < end; x++) {
		from = kmap_local_page(x->ram);
		x->err = 0;
		if (inject(in) || !sim_copy_mc(b->priv + x->off, from, x->order)) {
			x->err = -EIO;
			failed++;
		}
		kunmap_local(from);
	}
	return failed;
}

static unsigned int sim_to_ram(struct uffdvram_backend *b,
			       struct uffdvram_xfer *x, unsigned int n)
{
	struct uffdvram_xfer *end = x + n;
	unsigned int failed = 0;
	void *to;

	for (; x < end; x++) {
		to = kmap_local_page(x->ram);
		x->err = inject(out) ? -EIO : 0;
		if (x->err)
			failed++;
		else
			sim_copy(to, b->priv + x->off, x->order);
		kunmap_local(to);
	}
	return failed;
}

static int sim_clear(struct uffdvram_backend *b, u64 off, unsigned int npages)
{
	void *at = b->priv + off, *end = at + npages * PAGE_SIZE;

	if (inject(in))
		return -EIO;
	instrument_write(at, end - at);
	for (; at < end; at += PAGE_SIZE)
		clear_page(at);
	return 0;
}

const struct uffdvram_backend_ops uffdvram_backend_sim = {
	.name = "sim",
	.id = UFFDVRAM_BACKEND_SIM,
	.host_pages = sim_host_pages,
	.attach = sim_attach,
	.detach = sim_detach,
	.to_vram = sim_to_vram,
	.to_ram = sim_to_ram,
	.clear = sim_clear,
};
