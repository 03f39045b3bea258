// SPDX-License-Identifier: GPL-2.0-only
/*
 * The simulated backend: system RAM that plays VRAM, and can be told to fail.
 * The knobs are for everyone with access to debugfs and act on all simulated
 * pools.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/kmemleak.h>
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include <linux/uffdvram.h>

#include "backend.h"
#include "inject.h"

/**
 * struct sim_fail - when a copy in one direction fails
 * @nth: counts down; the copy that brings it to 0 fails
 * @every: every so manieth copy fails, 0: none
 * @seen: copies since load, while @every is set
 */
struct sim_fail {
	atomic_t nth;
	u32 every;
	atomic_t seen;
};

static struct sim_fail sim_fail_to_vram;
static struct sim_fail sim_fail_to_ram;
static u32 sim_delay_us;

static bool sim_should_fail(struct sim_fail *f)
{
	u32 every = READ_ONCE(f->every);

	if (atomic_read(&f->nth) > 0 && atomic_dec_return(&f->nth) == 0)
		return true;
	return every && atomic_inc_return(&f->seen) % every == 0;
}

static void sim_delay(void)
{
	u32 us = READ_ONCE(sim_delay_us);

	if (us)
		fsleep(us);
}

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

static unsigned int sim_to_vram(struct uffdvram_backend *b,
				struct uffdvram_xfer *x, unsigned int n)
{
	unsigned int i, failed = 0;

	sim_delay();
	for (i = 0; i < n; i++) {
		void *from = kmap_local_page(x[i].ram);
		bool bad = sim_should_fail(&sim_fail_to_vram) || inject(in);

		/* A host page with a memory error must not take us down. */
		if (bad || copy_mc_to_kernel(b->priv + x[i].off, from,
					     PAGE_SIZE << x[i].order)) {
			x[i].err = -EIO;
			failed++;
		} else {
			x[i].err = 0;
		}
		kunmap_local(from);
	}
	return failed;
}

static unsigned int sim_to_ram(struct uffdvram_backend *b,
			       struct uffdvram_xfer *x, unsigned int n)
{
	unsigned int i, failed = 0;

	sim_delay();
	for (i = 0; i < n; i++) {
		void *to = kmap_local_page(x[i].ram);

		if (sim_should_fail(&sim_fail_to_ram) || inject(out)) {
			x[i].err = -EIO;
			failed++;
		} else {
			memcpy(to, b->priv + x[i].off, PAGE_SIZE << x[i].order);
			x[i].err = 0;
		}
		kunmap_local(to);
	}
	return failed;
}

static int sim_clear(struct uffdvram_backend *b, u64 off, unsigned int order)
{
	if (inject(in))
		return -EIO;
	memset(b->priv + off, 0, PAGE_SIZE << order);
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

/**
 * uffdvram_sim_flip() - flip the lowest bit of one byte
 * @b: any backend
 * @off: byte offset in it
 *
 * Return: 0, -EINVAL if @b is not simulated or @off is outside.
 */
int uffdvram_sim_flip(struct uffdvram_backend *b, u64 off)
{
	if (b->ops != &uffdvram_backend_sim || off >= b->bytes)
		return -EINVAL;
	((u8 *)b->priv)[off] ^= 1;
	return 0;
}

/**
 * uffdvram_sim_debugfs() - make the knobs
 * @parent: directory for the directory "sim"
 *
 * Return: that directory.
 */
struct dentry *uffdvram_sim_debugfs(struct dentry *parent)
{
	struct dentry *dir = debugfs_create_dir("sim", parent);

	debugfs_create_atomic_t("fail_to_vram", 0600, dir, &sim_fail_to_vram.nth);
	debugfs_create_atomic_t("fail_to_ram", 0600, dir, &sim_fail_to_ram.nth);
	debugfs_create_u32("fail_to_vram_every", 0600, dir, &sim_fail_to_vram.every);
	debugfs_create_u32("fail_to_ram_every", 0600, dir, &sim_fail_to_ram.every);
	debugfs_create_u32("delay_us", 0600, dir, &sim_delay_us);
	return dir;
}
