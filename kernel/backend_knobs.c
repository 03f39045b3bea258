// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies that fail or take long, and bits that flip, on request: for tests of
 * what is above. The knobs are for who has access to debugfs. In builds for tests
 * they act on all pools, in others on simulated ones only.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/highmem.h>

#include "backend.h"
#include "inject.h"

/**
 * struct knob_fail - when a copy in one direction fails
 * @nth: counts down; the copy that brings it to 0 fails
 * @every: every so manieth copy fails, 0: none
 * @seen: copies since load, while @every is set
 */
struct knob_fail {
	atomic_t nth;
	u32 every;
	atomic_t seen;
};

static struct knob_fail knob_fail_to_vram;
static struct knob_fail knob_fail_to_ram;
static u32 knob_delay_us;

static bool knobs_act_on(const struct uffdvram_backend *b)
{
#ifdef UFFDVRAM_INJECT
	return true;
#else
	return b->ops == &uffdvram_backend_sim;
#endif
}

static bool knob_is_set(const struct knob_fail *f)
{
	return atomic_read(&f->nth) > 0 || READ_ONCE(f->every);
}

static bool knob_says_fail(struct knob_fail *f)
{
	u32 every = READ_ONCE(f->every);

	if (atomic_read(&f->nth) > 0 && atomic_dec_return(&f->nth) == 0)
		return true;
	return every && atomic_inc_return(&f->seen) % every == 0;
}

/**
 * uffdvram_knobs_delay() - before copies
 * @b: the backend
 */
void uffdvram_knobs_delay(const struct uffdvram_backend *b)
{
	u32 us = READ_ONCE(knob_delay_us);

	if (us && knobs_act_on(b))
		fsleep(us);
}

/**
 * uffdvram_knobs_fail() - after copies
 * @b: the backend
 * @in: they went into VRAM
 * @x: the copies
 * @n: how many
 *
 * Return: how many that had succeeded have failed now.
 */
unsigned int uffdvram_knobs_fail(const struct uffdvram_backend *b, bool in,
				 struct uffdvram_xfer *x, unsigned int n)
{
	struct knob_fail *f = in ? &knob_fail_to_vram : &knob_fail_to_ram;
	unsigned int i, failed = 0;

	if (!knob_is_set(f) || !knobs_act_on(b))
		return 0;
	for (i = 0; i < n; i++) {
		if (x[i].err || !knob_says_fail(f))
			continue;
		x[i].err = -EIO;
		failed++;
	}
	return failed;
}

static int knobs_flip_in(struct uffdvram_backend *b, u64 off, struct page *page)
{
	struct uffdvram_xfer x = { .off = off & PAGE_MASK, .ram = page };
	u8 *p;

	if (b->ops->to_ram(b, &x, 1))
		return x.err;
	p = kmap_local_page(page);
	p[offset_in_page(off)] ^= 1;
	kunmap_local(p);
	return b->ops->to_vram(b, &x, 1) ? x.err : 0;
}

/**
 * uffdvram_knobs_flip() - flip the lowest bit of one byte
 * @b: a backend that cannot go meanwhile
 * @off: byte offset in it
 *
 * Nothing else is told, no checksum made new. May sleep.
 *
 * Return: 0, -EINVAL (@off is outside, or the pool is not ours to break),
 * -ENOMEM, or what the backend says.
 */
int uffdvram_knobs_flip(struct uffdvram_backend *b, u64 off)
{
	struct page *page;
	int ret;

	if (!knobs_act_on(b) || off >= b->bytes)
		return -EINVAL;
	page = alloc_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	ret = knobs_flip_in(b, off, page);
	__free_page(page);
	return ret;
}

/**
 * uffdvram_knobs_trouble() - as if the device had told of it
 * @b: a backend that cannot go meanwhile
 * @what: which trouble
 *
 * Return: 0 or -EINVAL, as above.
 */
int uffdvram_knobs_trouble(struct uffdvram_backend *b, enum uffdvram_trouble what)
{
	if (!knobs_act_on(b))
		return -EINVAL;
	b->trouble(b, what);
	return 0;
}

/**
 * uffdvram_knobs_debugfs() - make the knobs
 * @parent: directory for the directory "knobs"
 *
 * Return: that directory.
 */
struct dentry *uffdvram_knobs_debugfs(struct dentry *parent)
{
	struct dentry *dir = debugfs_create_dir("knobs", parent);

	debugfs_create_atomic_t("fail_to_vram", 0600, dir, &knob_fail_to_vram.nth);
	debugfs_create_atomic_t("fail_to_ram", 0600, dir, &knob_fail_to_ram.nth);
	debugfs_create_u32("fail_to_vram_every", 0600, dir, &knob_fail_to_vram.every);
	debugfs_create_u32("fail_to_ram_every", 0600, dir, &knob_fail_to_ram.every);
	debugfs_create_u32("delay_us", 0600, dir, &knob_delay_us);
	return dir;
}
