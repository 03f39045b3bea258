// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pools: VRAM that a range's pages can live in.
 */
#include <errno.h>
#include <stdlib.h>

#include "pool.h"

int uffdvram_pool_wrap(struct uffdvram_pool **pool, struct uffdvram_ctx *ctx,
		       uint32_t number)
{
	struct uffdvram_pool *p;

	if (!number)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->number = number;
	uffdvram_handle_add(ctx, &p->handle);
	*pool = p;
	return 0;
}

int uffdvram_pool_attach(struct uffdvram_pool **pool, struct uffdvram_ctx *ctx,
			 const struct uffdvram_pool_opts *opts)
{
	struct uffdvram_pool_attach arg = { .size = sizeof(arg) };
	struct uffdvram_pool_opts o;
	struct uffdvram_pool *p;
	int ret;

	if (!opts)
		return -EINVAL;
	ret = uffdvram_opts_in(&o, sizeof(o),
			       UFFDVRAM_END_OF(struct uffdvram_pool_opts, bytes),
			       opts);
	if (ret)
		return ret;
	/* The handle comes first: an attached pool cannot be given up for memory. */
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	arg.flags = o.flags;
	arg.backend = o.backend;
	arg.bytes = o.bytes;
	arg.addr = o.addr;
	arg.pci_sbdf = o.pci_sbdf;
	arg.pci_bar = o.pci_bar;
	arg.fault_bytes = o.fault_bytes;
	ret = uffdvram_ctx_ioctl(ctx, UFFDVRAM_POOL_ATTACH, &arg);
	if (ret) {
		free(p);
		return ret;
	}
	p->number = arg.pool;
	uffdvram_handle_add(ctx, &p->handle);
	*pool = p;
	return 0;
}

void uffdvram_pool_free(struct uffdvram_pool *pool)
{
	if (pool)
		uffdvram_handle_free(&pool->handle);
}

int uffdvram_pool_detach(struct uffdvram_pool *pool, uint32_t flags,
			 uint64_t *left)
{
	struct uffdvram_pool_detach arg = {
		.size = sizeof(arg),
		.flags = flags,
		.pool = pool->number,
	};
	int ret = uffdvram_ctx_ioctl(pool->handle.ctx, UFFDVRAM_POOL_DETACH, &arg);

	if (left)
		*left = arg.left;
	if (!ret)
		uffdvram_pool_free(pool);
	return ret;
}

uint32_t uffdvram_pool_number(const struct uffdvram_pool *pool)
{
	return pool->number;
}
