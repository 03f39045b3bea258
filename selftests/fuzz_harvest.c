// SPDX-License-Identifier: GPL-2.0-only
/* The fuzzer's knowledge of HARVEST. It changes nothing that the model knows of. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"

#define REGIONS		64
#define WORD		(64 * PAGE)

/* Regions and words are of one size: each fits where the other does. */
static bool in_scratch(const struct uffdvram_harvest *a)
{
	return a->vec >= FZ_SCRATCH && a->vec <= FZ_SCRATCH + PAGE && a->vec_len <= REGIONS;
}

/* Any range of the context, rather one that is there. */
static struct fz_range *some_range(struct fz *f, struct fz_ctx *c)
{
	unsigned int from = fz_pick(f, FZ_RANGES);
	struct fz_range *some = NULL;

	for (unsigned int i = 0; i < FZ_RANGES; i++) {
		struct fz_range *r = &f->range[(from + i) % FZ_RANGES];

		if (r->id && r->ctx == c - f->ctx && (!some || r->sure))
			some = r;
	}
	return some;
}

/* A generation, the rest of one, or its end. */
void fz_harvest_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	struct uffdvram_harvest *a = arg;
	struct fz_range *r = some_range(f, c);
	uint64_t first, pages;

	if (!r)
		return;
	a->range = r->id;
	if (r->cookie && fz_chance(f, 30)) {
		a->flags = UFFDVRAM_HARVEST_COMMIT;
		a->cookie = r->cookie;
		return;
	}
	pages = r->len / PAGE;
	first = fz_chance(f, 50) ? 0 : fz_pick(f, pages);
	a->addr = r->addr + first * PAGE;
	a->len = (fz_chance(f, 50) ? pages - first : 1 + fz_pick(f, pages - first)) * PAGE;
	a->vec = FZ_SCRATCH + fz_pick(f, PAGE);
	a->vec_len = 1 + fz_pick(f, REGIONS);
	if (fz_chance(f, 40))
		a->flags = UFFDVRAM_HARVEST_BITMAP;
	if (fz_chance(f, 30))
		a->cookie = r->cookie;
}

int fz_harvest_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_harvest *a = arg;
	struct fz_range *r = fz_range_find(f, c - f->ctx, a->range);

	if (a->__reserved)
		return -EINVAL;
	if (!r)
		return c->node || f->vague[c->mm] ? FZ_ANY : -ENOENT;
	if (!r->sure)
		return FZ_ANY;
	if (a->flags & UFFDVRAM_HARVEST_COMMIT)
		return a->addr || a->len || a->vec || a->vec_len ||
		       a->flags & UFFDVRAM_HARVEST_BITMAP ? -EINVAL : FZ_ANY;
	if (fz_bad_piece(a->addr, a->len) ||
	    a->addr < r->addr || a->addr + a->len > r->addr + r->len || !a->vec || !a->vec_len)
		return -EINVAL;
	return c->gone || c->node || a->cookie || !in_scratch(a) ? FZ_ANY : 0;
}

static void check_regions(struct fz *f, const struct uffdvram_harvest *a,
			  const struct uffdvram_harvest *o)
{
	const uint32_t known = UFFDVRAM_REGION_WRITTEN | UFFDVRAM_REGION_LEFT;
	struct uffdvram_region r, last = { .end = a->addr };

	for (uint64_t i = 0; i < o->used; i++, last = r) {
		memcpy(&r, (char *)(uintptr_t)a->vec + i * sizeof(r), sizeof(r));
		if (r.start < last.end || r.end <= r.start || r.end > a->addr + o->done ||
		    r.start % PAGE || r.end % PAGE || r.state || !r.flags || r.flags & ~known ||
		    (r.start == last.end && r.flags == last.flags))
			fz_fail(f, "HARVEST: region %llu: %llx-%llx state %u flags %x",
				(unsigned long long)i, r.start, r.end, r.state, r.flags);
	}
}

/* Bits are of pages that were asked for, and come in words that hang together. */
static void check_words(struct fz *f, const struct uffdvram_harvest *a,
			const struct uffdvram_harvest *o)
{
	uint64_t base = a->addr / WORD * WORD, most = a->len / WORD + 2;
	uint64_t end = base + (a->vec_len < most ? a->vec_len : most) * WORD;

	/* What failed at once may have asked for anything. */
	if (o->done ? a->addr + o->done > end || o->used * WORD > o->done + 2 * WORD : o->used)
		fz_fail(f, "HARVEST: bitmap: done %llx, used %llu", o->done, o->used);
}

void fz_harvest_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	const struct uffdvram_harvest *a = in, *o = out;
	struct fz_range *r = fz_range_find(f, c - f->ctx, a->range);

	if (a->flags & UFFDVRAM_HARVEST_COMMIT) {
		if (o->used || o->done || o->cookie != a->cookie)
			fz_fail(f, "HARVEST: COMMIT: done %llx, used %llu", o->done, o->used);
		return;
	}
	bool map = a->flags & UFFDVRAM_HARVEST_BITMAP;

	if (o->done > a->len || o->done % PAGE || o->used > a->vec_len ||
	    (!ret && !map && o->done != a->len && o->used != a->vec_len) || (!ret && !o->cookie))
		fz_fail(f, "HARVEST: %d, done %llx, used %llu", ret, o->done, o->used);
	if (map && in_scratch(a))
		check_words(f, a, o);
	else if (in_scratch(a))
		check_regions(f, a, o);
	if (r && o->done)
		r->cookie = o->cookie;
}

void fz_harvest_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	(void)f;
	(void)c;
	(void)in;
	(void)out;
	(void)ret;
}
