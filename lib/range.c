// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Ranges: private anonymous memory that the module knows; where its pages live,
 * and moving them.
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool.h"
#include "range.h"

static void range_release(struct uffdvram_handle *h)
{
	struct uffdvram_range *range = (struct uffdvram_range *)h;

	if (range->own_uffd)
		close(range->uffd);
	free(range->queue.bits);
	uffdvram_harvest_free(range->harvest);
	pthread_mutex_destroy(&range->queue.lock);
}

static struct uffdvram_range *range_new(uint64_t addr, uint64_t len)
{
	struct uffdvram_range *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->handle.addr = addr;
	r->handle.len = len;
	r->handle.release = range_release;
	r->uffd = -1;
	atomic_flag_clear(&r->harvests);
	pthread_mutex_init(&r->queue.lock, NULL);
	return r;
}

#ifndef SYS_mseal
#define SYS_mseal	462
#endif

/*
 * Memory of another process is for that to prepare. Errors are the module's to tell: it
 * looks at the memory.
 */
static void range_make_exclusive(struct uffdvram_ctx *ctx, uint64_t addr, uint64_t len)
{
	if (!uffdvram_ctx_is_own(ctx))
		return;
	madvise((void *)(uintptr_t)addr, len, MADV_DONTFORK);
	madvise((void *)(uintptr_t)addr, len, MADV_UNMERGEABLE);
}

int uffdvram_range_seal(struct uffdvram_range *range)
{
	if (!uffdvram_ctx_is_own(range->handle.ctx))
		return -EXDEV;
	return syscall(SYS_mseal, range->handle.addr, range->handle.len, 0) ? -errno : 0;
}

int uffdvram_range_register(struct uffdvram_range **range,
			    struct uffdvram_ctx *ctx,
			    uint64_t addr, uint64_t len,
			    const struct uffdvram_range_opts *opts)
{
	struct uffdvram_range_register arg = { .size = sizeof(arg) };
	struct uffdvram_range_opts o;
	struct uffdvram_range *r;
	int ret;

	ret = uffdvram_opts_in(&o, sizeof(o),
			       UFFDVRAM_END_OF(struct uffdvram_range_opts, pool),
			       opts);
	if (ret)
		return ret;
	if (o.pool && o.pool->handle.ctx != ctx)
		return -EINVAL;
	r = range_new(addr, len);
	if (!r)
		return -ENOMEM;
	arg.flags = o.flags;
	arg.pool = o.pool ? o.pool->number : 0;
	arg.addr = addr;
	arg.len = len;
	arg.pool_off = o.pool_off;
	if (o.flags & UFFDVRAM_RANGE_EXCLUSIVE)
		range_make_exclusive(ctx, addr, len);
	ret = uffdvram_ctx_ioctl(ctx, UFFDVRAM_RANGE_REGISTER, &arg);
	if (ret) {
		free(r);
		return ret;
	}
	r->number = arg.range;
	uffdvram_handle_add(ctx, &r->handle);
	*range = r;
	return 0;
}

int uffdvram_range_unregister(struct uffdvram_range *range)
{
	struct uffdvram_range_unregister arg = { .size = sizeof(arg) };
	int ret;

	if (!range)
		return 0;
	arg.range = range->number;
	ret = uffdvram_ctx_ioctl(range->handle.ctx, UFFDVRAM_RANGE_UNREGISTER, &arg);
	uffdvram_handle_free(&range->handle);
	return ret;
}

uint64_t uffdvram_range_addr(const struct uffdvram_range *range)
{
	return range->handle.addr;
}

uint64_t uffdvram_range_len(const struct uffdvram_range *range)
{
	return range->handle.len;
}

uint32_t uffdvram_range_number(const struct uffdvram_range *range)
{
	return range->number;
}

int uffdvram_range_within(const struct uffdvram_range *range, uint64_t off,
			  uint64_t len)
{
	uint64_t size = range->handle.len;

	return off <= size && len <= size - off ? 0 : -EINVAL;
}

int uffdvram_range_pages(const struct uffdvram_range *range, uint64_t off,
			 uint64_t len)
{
	if (!len || (off | len) & (range->handle.ctx->page - 1))
		return -EINVAL;
	return uffdvram_range_within(range, off, len);
}

void uffdvram_moved_add(struct uffdvram_moved *sum, const struct uffdvram_moved *part)
{
	unsigned int i;

	sum->done += part->done;
	sum->moved += part->moved;
	sum->already += part->already;
	for (i = 0; i < UFFDVRAM_STAY_MAX_; i++) {
		if (part->stayed[i] && !sum->stayed[i])
			sum->first[i] = part->first[i];
		sum->stayed[i] += part->stayed[i];
	}
}

bool uffdvram_again(int *ret, uint64_t done, bool stop_on_signal)
{
	if (*ret == -EINTR)
		return !stop_on_signal;
	if (!*ret && !done)
		*ret = -EIO;
	return !*ret;
}

int uffdvram_move_add(struct uffdvram_ctx *ctx, uint64_t addr, uint64_t len,
		      uint32_t flags, struct uffdvram_moved *sum)
{
	uint32_t how = (flags & UFFDVRAM_MOVE_TO_RAM ? UFFDVRAM_MIGRATE_TO_RAM : 0) |
		       (flags & UFFDVRAM_MOVE_POPULATED ? UFFDVRAM_MIGRATE_POPULATED : 0);
	struct uffdvram_moved part;
	struct uffdvram_migrate m;
	uint64_t done = 0;
	int ret;

	do {
		m = (struct uffdvram_migrate){
			.size = sizeof(m),
			.flags = how,
			.addr = addr + done,
			.len = len - done,
		};
		ret = uffdvram_ctx_ioctl(ctx, UFFDVRAM_MIGRATE, &m);
		part.done = m.done;
		part.moved = m.moved;
		part.already = m.already;
		memcpy(part.stayed, m.stayed, sizeof(part.stayed));
		memcpy(part.first, m.first, sizeof(part.first));
		uffdvram_moved_add(sum, &part);
		done += m.done;
	} while (done < len && uffdvram_again(&ret, m.done, flags & UFFDVRAM_MOVE_EINTR));
	return ret;
}

void uffdvram_lru_drain(const struct uffdvram_ctx *ctx)
{
	void *own = mmap(NULL, ctx->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);

	if (own == MAP_FAILED)
		return;
	/* Without NUMA, or where a sandbox forbids it, they stay pinned for a while. */
	syscall(SYS_mbind, own, ctx->page, MPOL_DEFAULT, NULL, 0, MPOL_MF_MOVE);
	munmap(own, ctx->page);
}

/* Once more, for the pages of @sum that look pinned, and may not be. */
static int move_pinned(struct uffdvram_ctx *ctx, uint64_t addr, uint64_t len,
		       uint32_t flags, struct uffdvram_moved *sum)
{
	struct uffdvram_moved again = { .size = sizeof(again) };
	uint64_t stayed = 0;
	int ret;

	uffdvram_lru_drain(ctx);
	ret = uffdvram_move_threads(ctx, addr, len, flags, &again);
	/* What it did not come to is as before. */
	if (again.done < sum->done)
		return ret;
	for (unsigned int i = 0; i < UFFDVRAM_STAY_MAX_; i++)
		stayed += again.stayed[i];
	again.already = sum->already;
	/* Some may have been moved twice, and some of those that were there, once. */
	if (again.already > again.done / ctx->page - stayed)
		again.already = again.done / ctx->page - stayed;
	again.moved = again.done / ctx->page - stayed - again.already;
	*sum = again;
	return ret;
}

int uffdvram_move(struct uffdvram_ctx *ctx, uint64_t addr, uint64_t len,
		  uint32_t flags, struct uffdvram_moved *moved)
{
	const uint32_t known = UFFDVRAM_MOVE_TO_RAM | UFFDVRAM_MOVE_EINTR |
			       UFFDVRAM_MOVE_POPULATED | UFFDVRAM_MOVE_THREADS(0xff);
	struct uffdvram_moved sum;
	int ret;

	ret = uffdvram_opts_in(&sum, sizeof(sum),
			       UFFDVRAM_END_OF(struct uffdvram_moved, first), moved);
	if (ret)
		return ret;
	sum = (struct uffdvram_moved){ .size = sizeof(sum) };
	if (flags & ~known)
		return -EOPNOTSUPP;
	ret = uffdvram_move_threads(ctx, addr, len, flags, &sum);
	if (!ret && sum.stayed[UFFDVRAM_STAY_PINNED])
		ret = move_pinned(ctx, addr, len, flags, &sum);
	uffdvram_opts_out(moved, &sum, sizeof(sum));
	return ret;
}

int uffdvram_range_move(struct uffdvram_range *range, uint64_t off,
			uint64_t len, uint32_t flags,
			struct uffdvram_moved *moved)
{
	return uffdvram_range_within(range, off, len) ?:
	       uffdvram_move(range->handle.ctx, range->handle.addr + off, len, flags, moved);
}

/*
 * Hands on the runs of one full vector. The last run may go on in the next
 * vector, so it waits in @held (empty: start == end).
 */
static int visit_runs(const struct uffdvram_visit *visit,
		      const struct uffdvram_region *vec, uint64_t n,
		      struct uffdvram_region *held)
{
	uint64_t i;
	int ret;

	for (i = 0; i < n; i++) {
		if (held->end == vec[i].start && held->state == vec[i].state &&
		    held->flags == vec[i].flags && held->start != held->end) {
			held->end = vec[i].end;
			continue;
		}
		if (held->start != held->end) {
			ret = visit->fn(held, visit->data);
			if (ret)
				return ret;
		}
		*held = vec[i];
	}
	return 0;
}

int uffdvram_query(struct uffdvram_ctx *ctx, uint64_t addr, uint64_t len,
		   struct uffdvram_residency *res,
		   const struct uffdvram_visit *visit)
{
	struct uffdvram_region vec[256], held = { 0 };
	struct uffdvram_residency sum;
	struct uffdvram_query q;
	int i, ret, stopped = 0;

	ret = uffdvram_opts_in(&sum, sizeof(sum),
			       UFFDVRAM_END_OF(struct uffdvram_residency, count), res);
	if (ret)
		return ret;
	sum = (struct uffdvram_residency){ .size = sizeof(sum) };
	do {
		q = (struct uffdvram_query){
			.size = sizeof(q),
			.addr = addr + sum.done,
			.len = len - sum.done,
			.vec = visit ? (uintptr_t)vec : 0,
			.vec_len = visit ? sizeof(vec) / sizeof(vec[0]) : 0,
		};
		ret = uffdvram_ctx_ioctl(ctx, UFFDVRAM_QUERY, &q);
		sum.done += q.done;
		for (i = 0; i < UFFDVRAM_STATE_MAX_; i++)
			sum.count[i] += q.count[i];
		if (visit)
			stopped = visit_runs(visit, vec, q.used, &held);
	} while (!stopped && sum.done < len && uffdvram_again(&ret, q.done, false));
	if (!stopped && held.start != held.end)
		stopped = visit->fn(&held, visit->data);
	uffdvram_opts_out(res, &sum, sizeof(sum));
	return stopped ?: ret;
}

int uffdvram_range_query(struct uffdvram_range *range, uint64_t off,
			 uint64_t len, struct uffdvram_residency *res,
			 const struct uffdvram_visit *visit)
{
	return uffdvram_range_within(range, off, len) ?:
	       uffdvram_query(range->handle.ctx, range->handle.addr + off, len, res, visit);
}
