// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which backends there are, and copies through them.
 *
 * Memory behind a bus can go bad without a word: a bit flips, a device that is gone
 * reads as ones. So a checksum of each page is taken when it is stored, and looked
 * at whenever it is read. Whoever copies is alone at the page: it is in the gate of
 * its slot, or nobody else knows the slot yet.
 */
#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/xxhash.h>

#include <linux/uffdvram.h>

#include "backend.h"
#include "inject.h"
#include "stat.h"

/* 1: all pools have checksums; 0: none has; -1: those that may go bad. */
int uffdvram_backend_checksums = -1;

/* Held by whoever copies, so that a backend can go while its pool stays. */
DEFINE_STATIC_SRCU(backend_srcu);

/* Protects backend_table; nothing is taken under it. */
static DEFINE_MUTEX(backend_lock);

/* By enum uffdvram_backend_id; those in modules of their own come and go. */
static const struct uffdvram_backend_ops *backend_table[] = {
	[UFFDVRAM_BACKEND_SIM] = &uffdvram_backend_sim,
	[UFFDVRAM_BACKEND_PCI] = &uffdvram_backend_pci,
	[UFFDVRAM_BACKEND_NVIDIA] = NULL,
};

/**
 * uffdvram_backend_register() - a module brings a backend
 * @ops: with its owner
 *
 * Return: 0, -EINVAL (no such number) or -EBUSY (there is one of this number).
 */
int uffdvram_backend_register(const struct uffdvram_backend_ops *ops)
{
	int ret = -EBUSY;

	if (ops->id >= ARRAY_SIZE(backend_table))
		return -EINVAL;
	mutex_lock(&backend_lock);
	if (!backend_table[ops->id]) {
		WRITE_ONCE(backend_table[ops->id], ops);
		ret = 0;
	}
	mutex_unlock(&backend_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(uffdvram_backend_register);

/**
 * uffdvram_backend_unregister() - its module goes
 * @ops: registered, and no pool's: each holds a reference on the module
 */
void uffdvram_backend_unregister(const struct uffdvram_backend_ops *ops)
{
	mutex_lock(&backend_lock);
	WRITE_ONCE(backend_table[ops->id], NULL);
	mutex_unlock(&backend_lock);
}
EXPORT_SYMBOL_GPL(uffdvram_backend_unregister);

/**
 * uffdvram_backend_get() - find a backend by its number, and keep its module
 * @id: any number
 *
 * Return: the backend, or NULL.
 */
const struct uffdvram_backend_ops *uffdvram_backend_get(u32 id)
{
	const struct uffdvram_backend_ops *ops = NULL;

	mutex_lock(&backend_lock);
	if (id < ARRAY_SIZE(backend_table))
		ops = backend_table[id];
	if (ops && !try_module_get(ops->owner))
		ops = NULL;
	mutex_unlock(&backend_lock);
	return ops;
}

/* Is there such a backend just now? */
bool uffdvram_backend_is_there(u32 id)
{
	return id < ARRAY_SIZE(backend_table) && READ_ONCE(backend_table[id]);
}

/* Gives the reference back: @ops may be gone at once. */
void uffdvram_backend_put(const struct uffdvram_backend_ops *ops)
{
	module_put(ops->owner);
}

/**
 * uffdvram_backend_init() - before anything else
 * @b: the backend of a pool
 * @ops: how to reach it
 * @arg: what was asked for
 */
void uffdvram_backend_init(struct uffdvram_backend *b,
			   const struct uffdvram_backend_ops *ops,
			   const struct uffdvram_pool_attach *arg)
{
	int wanted = READ_ONCE(uffdvram_backend_checksums);

	b->ops = ops;
	b->bytes = arg->bytes;
	b->checked = (wanted < 0 ? ops->checksums : wanted) &&
		     !(arg->flags & UFFDVRAM_POOL_UNCHECKED);
}

/**
 * uffdvram_backend_host_bytes() - what it takes of the host
 * @b: the backend
 *
 * Return: bytes.
 */
unsigned long uffdvram_backend_host_bytes(const struct uffdvram_backend *b)
{
	unsigned long sums = b->checked ? (b->bytes >> PAGE_SHIFT) * sizeof(*b->sums) : 0;

	return (b->ops->host_pages(b->bytes) << PAGE_SHIFT) + sums;
}

static u32 backend_sum(struct page *page)
{
	void *p = kmap_local_page(page);
	u32 sum = xxh64(p, PAGE_SIZE, 0);

	kunmap_local(p);
	return sum;
}

/**
 * uffdvram_backend_attach() - make the memory reachable
 * @b: the backend
 * @arg: what was asked for
 *
 * May sleep.
 *
 * Return: 0, -ENOMEM, or what the backend says.
 */
int uffdvram_backend_attach(struct uffdvram_backend *b,
			    const struct uffdvram_pool_attach *arg)
{
	int ret;

	if (b->checked) {
		b->sums = may_fail(alloc, NULL, kvcalloc(b->bytes >> PAGE_SHIFT,
							 sizeof(*b->sums),
							 GFP_KERNEL_ACCOUNT));
		if (!b->sums)
			return -ENOMEM;
		b->zero_sum = backend_sum(ZERO_PAGE(0));
	}
	ret = b->ops->attach(b, arg);
	if (ret)
		kvfree(b->sums);
	return ret;
}

/**
 * uffdvram_backend_detach() - undo
 * @b: the backend; nothing uses it any more
 */
void uffdvram_backend_detach(struct uffdvram_backend *b)
{
	b->ops->detach(b);
	kvfree(b->sums);
	b->sums = NULL;
}

static void backend_store_sums(struct uffdvram_backend *b,
			       const struct uffdvram_xfer *x)
{
	u32 *sum = b->sums + (x->off >> PAGE_SHIFT);
	unsigned int i;

	for (i = 0; i < 1U << x->order; i++)
		sum[i] = backend_sum(x->ram + i);
}

static bool backend_sums_match(const struct uffdvram_backend *b,
			       const struct uffdvram_xfer *x)
{
	const u32 *sum = b->sums + (x->off >> PAGE_SHIFT);
	unsigned int i;

	for (i = 0; i < 1U << x->order; i++)
		if (READ_ONCE(sum[i]) && sum[i] != backend_sum(x->ram + i))
			return false;
	return true;
}

/* Takes the checksums of what went in, looks at those of what came out. */
static unsigned int backend_check(struct uffdvram_backend *b, bool in,
				  struct uffdvram_xfer *x, unsigned int n)
{
	unsigned int i, failed = 0, bad = 0;

	for (i = 0; i < n; i++) {
		if (x[i].err)
			continue;
		if (in) {
			backend_store_sums(b, &x[i]);
		} else if (!backend_sums_match(b, &x[i])) {
			x[i].err = -EHWPOISON;
			failed++;
			/* The pages of a large one are read again, each on its own. */
			if (x[i].order)
				continue;
			bad++;
			pr_warn_ratelimited("uffdvram: %s%s: at byte %llu is not what was stored there\n",
					    b->ops->name, b->about, x[i].off);
		}
	}
	uffdvram_stat_add(checksum_errors, bad);
	return failed;
}

static unsigned int backend_fail(struct uffdvram_xfer *x, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		x[i].err = -EIO;
	return n;
}

/*
 * What is lost in the middle of a copy is lost as a whole: nobody knows what was
 * read.
 */
static unsigned int backend_copy(struct uffdvram_backend *b, bool in,
				 struct uffdvram_xfer *x, unsigned int n)
{
	unsigned int failed = 0;
	int idx = srcu_read_lock(&backend_srcu);

	uffdvram_knobs_delay(b);
	if (!READ_ONCE(b->lost))
		failed = in ? b->ops->to_vram(b, x, n) : b->ops->to_ram(b, x, n);
	if (!READ_ONCE(b->lost))
		failed += uffdvram_knobs_fail(b, in, x, n);
	if (b->sums && !READ_ONCE(b->lost))
		failed += backend_check(b, in, x, n);
	if (READ_ONCE(b->lost))
		failed = backend_fail(x, n);
	srcu_read_unlock(&backend_srcu, idx);
	return failed;
}

/* As the backend's own operations, which nobody else calls; see backend.h. */
unsigned int uffdvram_backend_to_vram(struct uffdvram_backend *b,
				      struct uffdvram_xfer *x, unsigned int n)
{
	return backend_copy(b, true, x, n);
}

unsigned int uffdvram_backend_to_ram(struct uffdvram_backend *b,
				     struct uffdvram_xfer *x, unsigned int n)
{
	return backend_copy(b, false, x, n);
}

int uffdvram_backend_clear(struct uffdvram_backend *b, u64 off, unsigned int npages)
{
	int idx = srcu_read_lock(&backend_srcu);
	int ret = READ_ONCE(b->lost) ? -EIO : b->ops->clear(b, off, npages);

	if (b->sums && !ret)
		memset32(b->sums + (off >> PAGE_SHIFT), b->zero_sum, npages);
	srcu_read_unlock(&backend_srcu, idx);
	return ret;
}

/**
 * uffdvram_backend_forget() - the device is about to write a page by itself
 * @b: the backend
 * @off: of the page
 *
 * Its checksum counts no more, until it is stored anew. Any context; the pool has a slot
 * in use.
 */
void uffdvram_backend_forget(struct uffdvram_backend *b, u64 off)
{
	int idx = srcu_read_lock(&backend_srcu);

	if (b->sums && !READ_ONCE(b->lost))
		WRITE_ONCE(b->sums[off >> PAGE_SHIFT], 0);
	srcu_read_unlock(&backend_srcu, idx);
}

/**
 * uffdvram_backend_lose() - have every copy fail from now on
 * @b: the backend
 *
 * May sleep: when it returns, nobody copies any more.
 */
void uffdvram_backend_lose(struct uffdvram_backend *b)
{
	WRITE_ONCE(b->lost, true);
	synchronize_srcu(&backend_srcu);
}
