// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Poison: marking pages, taking marks back, and carrying them to another machine.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "range.h"
#include "uffd.h"

#define POISON_REGIONS	256

static int poison_call(struct uffdvram_ctx *ctx, uint64_t addr, uint64_t len,
		       uint32_t flags, uint64_t *done)
{
	struct uffdvram_poison p;
	int ret;

	*done = 0;
	do {
		p = (struct uffdvram_poison){
			.size = sizeof(p),
			.flags = flags,
			.addr = addr + *done,
			.len = len - *done,
		};
		ret = uffdvram_ctx_ioctl(ctx, UFFDVRAM_POISON, &p);
		*done += p.done;
	} while (*done < len && uffdvram_again(&ret, p.done, false));
	return ret;
}

int uffdvram_poison(struct uffdvram_ctx *ctx, uint64_t addr, uint64_t len,
		    uint32_t flags, uint64_t *done)
{
	uint64_t n;
	int ret = poison_call(ctx, addr, len, flags, &n);

	if (done)
		*done = n;
	return ret;
}

/* Who waits for a page that is poison now would wait for ever. */
static int poison_wake(const struct uffdvram_range *range, uint64_t off, uint64_t len)
{
	struct uffdio_range piece = { .start = range->handle.addr + off, .len = len };

	if (range->uffd < 0 || !len)
		return 0;
	return ioctl(range->uffd, UFFDIO_WAKE, &piece) ? -errno : 0;
}

int uffdvram_range_poison(struct uffdvram_range *range, uint64_t off, uint64_t len,
			  uint32_t flags, uint64_t *done)
{
	uint64_t n = 0;
	int ret, woken = 0;

	ret = uffdvram_range_within(range, off, len);
	if (!ret && flags & ~UFFDVRAM_POISON_REPLACE)
		ret = -EOPNOTSUPP;
	if (!ret) {
		ret = poison_call(range->handle.ctx, range->handle.addr + off, len, flags, &n);
		woken = poison_wake(range, off, n);
	}
	if (done)
		*done = n;
	return ret ?: woken;
}

int uffdvram_range_unpoison(struct uffdvram_range *range, uint64_t off, uint64_t len,
			    uint64_t *done)
{
	uint64_t n = 0;
	int ret = uffdvram_range_within(range, off, len);

	if (!ret)
		ret = poison_call(range->handle.ctx, range->handle.addr + off, len,
				  UFFDVRAM_POISON_UNDO, &n);
	if (done)
		*done = n;
	return ret;
}

/* Adds a region to the list, or to its last run; false: it is full. */
static bool list_add(struct uffdvram_run *runs, size_t max, size_t *n, uint64_t off,
		     uint64_t len)
{
	if (*n && runs[*n - 1].off + runs[*n - 1].len == off) {
		runs[*n - 1].len += len;
		return true;
	}
	if (*n == max)
		return false;
	runs[(*n)++] = (struct uffdvram_run){ .off = off, .len = len };
	return true;
}

int uffdvram_range_poison_list(struct uffdvram_range *range, uint64_t off, uint64_t len,
			       struct uffdvram_run *runs, size_t max, size_t *n,
			       uint64_t *done)
{
	struct uffdvram_region vec[POISON_REGIONS] = { 0 };
	struct uffdvram_poison_list q;
	uint64_t base = range->handle.addr, i;
	bool room = true;
	int ret;

	*n = 0;
	*done = 0;
	ret = max ? uffdvram_range_within(range, off, len) : -EINVAL;
	if (ret)
		return ret;
	do {
		q = (struct uffdvram_poison_list){
			.size = sizeof(q),
			.addr = base + off + *done,
			.len = len - *done,
			.vec = (uintptr_t)vec,
			.vec_len = POISON_REGIONS,
		};
		ret = uffdvram_ctx_ioctl(range->handle.ctx, UFFDVRAM_POISON_LIST, &q);
		for (i = 0; room && i < q.used; i++) {
			room = list_add(runs, max, n, vec[i].start - base,
					vec[i].end - vec[i].start);
			/* What does not fit is where the caller is to go on. */
			if (!room)
				q.done = vec[i].start - q.addr;
		}
		*done += q.done;
	} while (room && *done < len && uffdvram_again(&ret, q.done, false));
	return room ? ret : 0;
}

int uffdvram_range_poison_apply(struct uffdvram_range *range,
				const struct uffdvram_run *runs, size_t n,
				uint32_t flags, size_t *applied)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < n; i++) {
		ret = uffdvram_range_poison(range, runs[i].off, runs[i].len, flags, NULL);
		if (ret)
			break;
	}
	if (applied)
		*applied = i;
	return ret;
}
