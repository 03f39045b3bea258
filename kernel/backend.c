// SPDX-License-Identifier: GPL-2.0-only
/* Which backends there are, and copies through them. */
#include <linux/array_size.h>
#include <linux/errno.h>
#include <linux/srcu.h>

#include <linux/uffdvram.h>

#include "backend.h"

/* Held by whoever copies, so that a backend can go while its pool stays. */
DEFINE_STATIC_SRCU(backend_srcu);

/* By enum uffdvram_backend_id. */
static const struct uffdvram_backend_ops *const backend_table[] = {
	[UFFDVRAM_BACKEND_SIM] = &uffdvram_backend_sim,
	[UFFDVRAM_BACKEND_PCI] = &uffdvram_backend_pci,
};

/**
 * uffdvram_backend_find() - find a backend by its number
 * @id: any number
 *
 * Return: the backend, or NULL.
 */
const struct uffdvram_backend_ops *uffdvram_backend_find(u32 id)
{
	return id < ARRAY_SIZE(backend_table) ? backend_table[id] : NULL;
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

	if (!READ_ONCE(b->lost))
		failed = in ? b->ops->to_vram(b, x, n) : b->ops->to_ram(b, x, n);
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

int uffdvram_backend_clear(struct uffdvram_backend *b, u64 off, unsigned int order)
{
	int idx = srcu_read_lock(&backend_srcu);
	int ret = READ_ONCE(b->lost) ? -EIO : b->ops->clear(b, off, order);

	srcu_read_unlock(&backend_srcu, idx);
	return ret;
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
