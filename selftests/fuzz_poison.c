// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer's knowledge of POISON and POISON_LIST. A page that may be poison is one
 * that may be lost: whoever reads it next finds out, and discards it.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"

#define REGIONS		64

/* Mostly in a range, but not in one of the stack, which we need. */
static void some_piece(struct fz *f, struct fz_ctx *c, uint64_t *addr, uint64_t *len)
{
	unsigned int first, n, from = fz_pick(f, FZ_RANGES);
	bool stray = fz_chance(f, 8);

	fz_run(f, &first, &n);
	*addr = FZ_ARENA + first * PAGE;
	*len = n * PAGE;
	for (unsigned int i = 0; i < FZ_RANGES && !stray; i++) {
		struct fz_range *r = &f->range[(from + i) % FZ_RANGES];

		if (!r->id || r->mm != c->mm || !r->sure || fz_index(r->addr) == FZ_PAGES)
			continue;
		n = n < r->len / PAGE ? n : r->len / PAGE;
		*addr = r->addr + fz_pick(f, r->len / PAGE - n + 1) * PAGE;
		*len = n * PAGE;
		return;
	}
}

void fz_poison_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	static const uint32_t flags[] = { 0, UFFDVRAM_POISON_REPLACE, UFFDVRAM_POISON_UNDO };
	struct uffdvram_poison *a = arg;
	uint64_t addr, len;

	some_piece(f, c, &addr, &len);
	a->addr = addr;
	a->len = len;
	a->flags = flags[fz_pick(f, FZ_COUNT(flags))];
}

int fz_poison_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_poison *a = arg;
	bool both = a->flags == (UFFDVRAM_POISON_REPLACE | UFFDVRAM_POISON_UNDO);

	if (fz_bad_piece(a->addr, a->len) || both)
		return -EINVAL;
	if (c->gone)
		return FZ_ANY;
	if (!fz_range_at(f, c->mm, a->addr, 1) && !f->vague[c->mm])
		return -ENOENT;
	if (!a->flags || !fz_covered(f, c->mm, a->addr, a->len, false) ||
	    !fz_all_are(f, c->mm, a->addr, a->len, 1))
		return FZ_ANY;
	return 0;
}

/* Pages that it may destroy, or make empty. */
void fz_poison_before(struct fz *f, struct fz_ctx *c, const struct uffdvram_poison *a)
{
	static const char zeroes[PAGE];
	uint64_t zero = fz_sum(zeroes);

	for (unsigned int i = 0; i < FZ_PAGES; i++) {
		struct fz_page *p = fz_page(f, c->mm, i);

		if (FZ_ARENA + i * PAGE - a->addr >= a->len || !p->prot)
			continue;
		if (!(a->flags & UFFDVRAM_POISON_UNDO)) {
			p->maybe_lost = true;
		} else if (p->maybe_lost) {
			if (p->has_alt && p->alt != zero)
				fz_wild(f, zero);
			p->alt = p->has_alt ? p->alt : zero;
			p->has_alt = true;
		}
	}
}

void fz_poison_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	const struct uffdvram_poison *a = in, *o = out;

	(void)c;
	if (o->done > a->len || o->done % PAGE || (!ret && o->done != a->len) ||
	    (o->done && fz_bad_piece(a->addr, a->len)) ||
	    o->bad_addr != (ret == -EEXIST ? a->addr + o->done : 0))
		fz_fail(f, "POISON: %d, done %llx, bad_addr %llx", ret, o->done, o->bad_addr);
}

void fz_poison_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	(void)f;
	(void)c;
	(void)in;
	(void)out;
	(void)ret;
}

void fz_poison_list_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	struct uffdvram_poison_list *a = arg;
	uint64_t addr, len;

	some_piece(f, c, &addr, &len);
	a->addr = addr;
	a->len = len;
	if (fz_chance(f, 5)) {
		a->addr = 0;
		a->len = 1ULL << 47;
	}
	a->vec = FZ_SCRATCH + fz_pick(f, PAGE);
	a->vec_len = 1 + fz_pick(f, REGIONS);
}

int fz_poison_list_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_poison_list *a = arg;

	(void)f;
	if (fz_bad_piece(a->addr, a->len) || !a->vec || !a->vec_len)
		return -EINVAL;
	if (c->gone || a->vec < FZ_SCRATCH || a->vec > FZ_SCRATCH + PAGE || a->vec_len > REGIONS)
		return FZ_ANY;
	return 0;
}

/* Only pages that may be poison, in order, and never two runs that are one. */
static bool region_ok(struct fz *f, struct fz_ctx *c, const struct uffdvram_region *r,
		      uint64_t at)
{
	if (r->end <= r->start || r->start % PAGE || r->end % PAGE || r->start < at ||
	    r->state != UFFDVRAM_STATE_POISON || r->flags)
		return false;
	for (unsigned int i = fz_index(r->start);
	     !c->gone && i < FZ_PAGES && FZ_ARENA + i * PAGE < r->end; i++)
		if (!fz_page(f, c->mm, i)->maybe_lost)
			return false;
	return true;
}

void fz_poison_list_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out,
			  int ret)
{
	const struct uffdvram_poison_list *a = in, *o = out;
	uint64_t at = a->addr;
	struct uffdvram_region r;

	if (o->done > a->len || o->used > a->vec_len ||
	    (!ret && o->done != a->len && o->used != a->vec_len))
		fz_fail(f, "POISON_LIST: %d, done %llx, used %llu", ret, o->done, o->used);
	if (a->vec < FZ_SCRATCH || a->vec > FZ_SCRATCH + PAGE || a->vec_len > REGIONS)
		return;
	for (uint64_t i = 0; i < o->used; i++) {
		memcpy(&r, (char *)(uintptr_t)a->vec + i * sizeof(r), sizeof(r));
		if (!region_ok(f, c, &r, at) || r.end > a->addr + o->done)
			fz_fail(f, "POISON_LIST: region %llu: %llx-%llx state %u flags %x",
				(unsigned long long)i, r.start, r.end, r.state, r.flags);
		at = r.end + PAGE;
	}
}

void fz_poison_list_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out,
			  int ret)
{
	fz_poison_blind(f, c, in, out, ret);
}
