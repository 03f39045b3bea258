// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Installing pages where there are none, and moving them to VRAM later.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "range.h"
#include "uffd.h"

#define INSTALL_KNOWN	(UFFDVRAM_INSTALL_QUEUE | UFFDVRAM_INSTALL_WP)

/* One call of the library's, which takes as many of the kernel's as it takes. */
struct install {
	struct uffdvram_range *range;
	uint64_t off;
	uint64_t len;
	const char *src;		/* NULL: zeroes */
	uint32_t flags;
	int64_t (*fill)(const struct install *in, uint64_t addr, uint64_t len);
	struct uffdvram_installed sum;
};

static const char zeroes[16384];

/*
 * These try to install @len bytes at @addr, which is in.off + in.sum.done in the range,
 * and return how many were installed, at least a page, or -errno.
 */
static int64_t fill_copy(const struct install *in, uint64_t addr, uint64_t len)
{
	struct uffdio_copy arg = {
		.dst = addr,
		.src = (uintptr_t)in->src + in->sum.done,
		.len = len,
		.mode = in->flags & UFFDVRAM_INSTALL_WP ? UFFDIO_COPY_MODE_WP : 0,
	};

	if (!in->src) {
		arg.src = (uintptr_t)zeroes;
		if (len > sizeof(zeroes))
			arg.len = sizeof(zeroes);
	}
	if (!ioctl(in->range->uffd, UFFDIO_COPY, &arg))
		return arg.len;
	return arg.copy ?: -errno;
}

static int64_t fill_zero(const struct install *in, uint64_t addr, uint64_t len)
{
	struct uffdio_zeropage arg = { .range = { .start = addr, .len = len } };

	if (!ioctl(in->range->uffd, UFFDIO_ZEROPAGE, &arg))
		return len;
	return arg.zeropage ?: -errno;
}

static int64_t fill_poison(const struct install *in, uint64_t addr, uint64_t len)
{
	struct uffdio_poison arg = { .range = { .start = addr, .len = len } };

	if (!ioctl(in->range->uffd, UFFDIO_POISON, &arg))
		return len;
	if (errno == ENOTTY || (errno == EINVAL && !arg.updated))
		return -EOPNOTSUPP;
	return arg.updated ?: -errno;
}

/* Memory for the queue must be there before anything is installed. */
static int queue_need(struct uffdvram_range *range)
{
	struct uffdvram_queue *q = &range->queue;
	uint64_t pages = range->handle.len / range->handle.ctx->page;
	int ret = 0;

	pthread_mutex_lock(&q->lock);
	if (!q->bits) {
		q->bits = calloc((pages + 63) / 64, sizeof(*q->bits));
		q->low = pages;
		ret = q->bits ? 0 : -ENOMEM;
	}
	pthread_mutex_unlock(&q->lock);
	return ret;
}

static void queue_add(struct uffdvram_range *range, uint64_t off, uint64_t len)
{
	uint64_t page = range->handle.ctx->page, i = off / page, end = i + len / page;
	struct uffdvram_queue *q = &range->queue;

	pthread_mutex_lock(&q->lock);
	if (i < q->low)
		q->low = i;
	for (; i < end; i++) {
		if (!(q->bits[i / 64] >> (i % 64) & 1))
			q->pages++;
		q->bits[i / 64] |= 1ULL << (i % 64);
	}
	pthread_mutex_unlock(&q->lock);
}

/* The first page from @i on that is queued, or is not; @end if there is none. */
static uint64_t queue_next(const struct uffdvram_queue *q, uint64_t i, uint64_t end,
			   bool queued)
{
	uint64_t word;

	while (i < end) {
		word = q->bits[i / 64] ^ (queued ? 0 : ~0ULL);
		word >>= i % 64;
		if (word) {
			i += __builtin_ctzll(word);
			break;
		}
		i = (i / 64 + 1) * 64;
	}
	return i < end ? i : end;
}

/* Takes the first run off the queue, at most @max bytes; false: the queue is empty. */
static bool queue_take(struct uffdvram_range *range, uint64_t max, uint64_t *off,
		       uint64_t *len)
{
	uint64_t page = range->handle.ctx->page, end = range->handle.len / page, i, n;
	struct uffdvram_queue *q = &range->queue;

	pthread_mutex_lock(&q->lock);
	if (!q->pages) {
		pthread_mutex_unlock(&q->lock);
		return false;
	}
	i = queue_next(q, q->low, end, true);
	if (max / page < end - i)
		end = i + max / page;
	end = queue_next(q, i, end, false);
	for (n = i; n < end; n++)
		q->bits[n / 64] &= ~(1ULL << (n % 64));
	q->pages -= end - i;
	q->low = end;
	pthread_mutex_unlock(&q->lock);
	*off = i * page;
	*len = (end - i) * page;
	return true;
}

/*
 * As in->fill(), for a piece that may span several mappings: the kernel takes only
 * pieces of one, and says ENOENT otherwise. Where the mappings end it does not say.
 */
static int64_t install_some(const struct install *in, uint64_t addr, uint64_t len)
{
	uint64_t page = in->range->handle.ctx->page;
	int64_t n;

	for (;;) {
		n = in->fill(in, addr, len);
		if (n != -ENOENT || len == page)
			return n;
		len = (len / 2 + page - 1) & ~(page - 1);
	}
}

/*
 * Goes through the piece. What is there already stays; its waiters are woken at the
 * end, for whoever put it there need not have known of them.
 */
static int install_all(struct install *in)
{
	uint64_t page = in->range->handle.ctx->page, at;
	unsigned int tries = 0;
	int64_t n;

	while (in->sum.done < in->len) {
		at = in->off + in->sum.done;
		n = install_some(in, in->range->handle.addr + at, in->len - in->sum.done);
		if (n > 0) {
			if (in->flags & UFFDVRAM_INSTALL_QUEUE)
				queue_add(in->range, at, n);
			in->sum.installed += n / page;
			in->sum.done += n;
			tries = 0;
		} else if (n == -EEXIST) {
			in->sum.existed++;
			in->sum.done += page;
			tries = 0;
		} else if (!uffdvram_uffd_retry(n, &tries)) {
			return n;
		}
	}
	return 0;
}

static int install(struct install *in, struct uffdvram_installed *res)
{
	struct uffdvram_range *range = in->range;
	int ret, woken = 0;

	ret = uffdvram_opts_in(&in->sum, sizeof(in->sum),
			       UFFDVRAM_END_OF(struct uffdvram_installed, existed), res);
	if (ret)
		return ret;
	in->sum = (struct uffdvram_installed){ .size = sizeof(in->sum) };
	if (in->flags & ~INSTALL_KNOWN)
		return -EOPNOTSUPP;
	ret = uffdvram_uffd_check(range, in->off, in->len, UFFDVRAM_ARM_MISSING);
	if (ret)
		return ret;
	if (in->flags & UFFDVRAM_INSTALL_WP &&
	    !(range->armed & (UFFDVRAM_ARM_WP | UFFDVRAM_ARM_WP_ASYNC)))
		return -ENOTCONN;
	if (in->flags & UFFDVRAM_INSTALL_QUEUE)
		ret = queue_need(range);
	if (ret)
		return ret;
	ret = install_all(in);
	if (in->sum.existed)
		woken = uffdvram_range_wake(range, in->off, in->sum.done);
	uffdvram_opts_out(res, &in->sum, sizeof(in->sum));
	return ret ?: woken;
}

int uffdvram_range_install(struct uffdvram_range *range, uint64_t off,
			   const void *src, uint64_t len, uint32_t flags,
			   struct uffdvram_installed *res)
{
	struct install in = {
		.range = range, .off = off, .len = len, .src = src, .flags = flags,
		.fill = fill_copy,
	};

	return src ? install(&in, res) : -EFAULT;
}

int uffdvram_range_install_zero(struct uffdvram_range *range, uint64_t off,
				uint64_t len, uint32_t flags,
				struct uffdvram_installed *res)
{
	/* The shared page of zeroes can neither move nor be write-protected at birth. */
	struct install in = {
		.range = range, .off = off, .len = len, .flags = flags,
		.fill = flags ? fill_copy : fill_zero,
	};

	return install(&in, res);
}

int uffdvram_range_install_poison(struct uffdvram_range *range, uint64_t off,
				  uint64_t len, struct uffdvram_installed *res)
{
	struct install in = { .range = range, .off = off, .len = len, .fill = fill_poison };

	return install(&in, res);
}

int uffdvram_range_flush(struct uffdvram_range *range, uint64_t max,
			 struct uffdvram_moved *moved)
{
	struct uffdvram_moved sum;
	uint64_t off, len, before;
	int ret;

	ret = uffdvram_opts_in(&sum, sizeof(sum),
			       UFFDVRAM_END_OF(struct uffdvram_moved, first), moved);
	if (ret)
		return ret;
	sum = (struct uffdvram_moved){ .size = sizeof(sum) };
	if (max & (range->handle.ctx->page - 1))
		return -EINVAL;
	if (!max)
		max = ~(range->handle.ctx->page - 1);
	while (!ret && sum.done < max && queue_take(range, max - sum.done, &off, &len)) {
		before = sum.done;
		ret = uffdvram_move_add(range->handle.ctx, range->handle.addr + off, len,
					UFFDVRAM_MOVE_POPULATED, &sum);
		before = sum.done - before;
		if (before < len)
			queue_add(range, off + before, len - before);
	}
	uffdvram_opts_out(moved, &sum, sizeof(sum));
	return ret;
}

uint64_t uffdvram_range_queued(const struct uffdvram_range *range)
{
	return range->queue.pages * range->handle.ctx->page;
}
