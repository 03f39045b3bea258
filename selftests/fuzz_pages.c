// SPDX-License-Identifier: GPL-2.0-only
/* The fuzzer's knowledge of MIGRATE, QUERY and COPY. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"

#define CANARY		0x7e57c0de5eed0000ULL
#define SCRATCH_BYTES	(FZ_PAGES * PAGE)
#define REGIONS		64

static void *pointer(uint64_t addr)
{
	return (void *)(uintptr_t)addr;
}

static bool in_scratch(uint64_t buf, uint64_t len)
{
	return buf >= FZ_SCRATCH && buf - FZ_SCRATCH <= SCRATCH_BYTES &&
	       len <= FZ_SCRATCH + SCRATCH_BYTES - buf;
}

/* Nearly always in a range; with @pool, in one whose pages can move to it. */
static void good_piece(struct fz *f, struct fz_ctx *c, bool pool, uint64_t *addr, uint64_t *len)
{
	unsigned int first, n, from = fz_pick(f, FZ_RANGES);
	bool stray = fz_chance(f, 8);
	struct fz_range *r;

	fz_run(f, &first, &n);
	*addr = FZ_ARENA + first * PAGE;
	*len = n * PAGE;
	for (unsigned int i = 0; i < FZ_RANGES && !stray; i++) {
		r = &f->range[(from + i) % FZ_RANGES];
		if (!r->id || r->mm != c->mm || !fz_covered(f, r->mm, r->addr, r->len, pool))
			continue;
		n = n < r->len / PAGE ? n : r->len / PAGE;
		*addr = r->addr + fz_pick(f, r->len / PAGE - n + 1) * PAGE;
		*len = n * PAGE;
		return;
	}
}

void fz_migrate_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	struct uffdvram_migrate *a = arg;
	uint64_t addr, len;

	a->flags = (fz_chance(f, 30) ? UFFDVRAM_MIGRATE_TO_RAM : 0) |
		   (fz_chance(f, 20) ? UFFDVRAM_MIGRATE_POPULATED : 0);
	good_piece(f, c, !(a->flags & UFFDVRAM_MIGRATE_TO_RAM), &addr, &len);
	a->addr = addr;
	a->len = len;
}

int fz_migrate_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_migrate *a = arg;
	bool in = !(a->flags & UFFDVRAM_MIGRATE_TO_RAM);
	struct fz_range *r;

	if (fz_bad_piece(a->addr, a->len))
		return -EINVAL;
	if (c->gone)
		return FZ_ANY;
	r = fz_range_at(f, c->mm, a->addr, 1);
	if (!r && !f->vague[c->mm])
		return -ENOENT;
	if (r && r->sure && !r->pool && in)
		return -ENODEV;
	return fz_covered(f, c->mm, a->addr, a->len, in) ? 0 : FZ_ANY;
}

/* Causes that this round cannot have given. */
static bool migrate_stayed_wrong(struct fz *f, const struct uffdvram_migrate *m, int why)
{
	if (!m->stayed[why])
		return m->first[why];
	switch (why) {
	case UFFDVRAM_STAY_LEASED:
		return !f->leases;
	case UFFDVRAM_STAY_POISONED:
		return !fz_any_lost(f, 0, 0, ~0ULL) && !fz_any_lost(f, 1, 0, ~0ULL);
	case UFFDVRAM_STAY_QUOTA:
		return !f->quota;
	case UFFDVRAM_STAY_NO_SLOT:
	case UFFDVRAM_STAY_SLOT_BUSY:
		return m->flags & UFFDVRAM_MIGRATE_TO_RAM;
	case UFFDVRAM_STAY_NO_MEMORY:
	case UFFDVRAM_STAY_COPY_FAILED:
	case UFFDVRAM_STAY_PRIVATE:
		return true;
	default:
		return why > UFFDVRAM_STAY_NOT_ANON;
	}
}

void fz_migrate_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	const struct uffdvram_migrate *a = in, *m = out;

	(void)c;
	if (!sum_ok(pointer(a->addr), a->len, m) || (!ret && m->done != a->len))
		fz_fail(f, "MIGRATE: %d, done %llx, moved %llu, already %llu, stayed %llu",
			ret, m->done, m->moved, m->already, (unsigned long long)uv_stayed(m));
	if (fz_bad_piece(a->addr, a->len) && m->done)
		fz_fail(f, "MIGRATE: refused, but done is %llx", m->done);
	for (int why = 0; why < UFFDVRAM_STAY_MAX_; why++)
		if (migrate_stayed_wrong(f, m, why))
			fz_fail(f, "MIGRATE: stayed[%d] is %llu, first %llx", why,
				m->stayed[why], m->first[why]);
}

void fz_migrate_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	(void)f;
	(void)c;
	(void)in;
	(void)out;
	(void)ret;
}

void fz_query_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	struct uffdvram_query *a = arg;
	uint64_t addr, len;

	good_piece(f, c, false, &addr, &len);
	a->addr = addr;
	a->len = len;
	if (fz_chance(f, 5)) {
		a->addr = 0;
		a->len = 1ULL << 47;
	}
	if (fz_chance(f, 50)) {
		a->vec = FZ_SCRATCH + fz_pick(f, PAGE);
		a->vec_len = 1 + fz_pick(f, REGIONS);
	}
}

int fz_query_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_query *a = arg;

	(void)f;
	if (fz_bad_piece(a->addr, a->len) || !a->vec != !a->vec_len)
		return -EINVAL;
	if (c->gone)
		return FZ_ANY;
	if (!a->vec || (a->vec_len <= SCRATCH_BYTES / sizeof(struct uffdvram_region) &&
			in_scratch(a->vec, a->vec_len * sizeof(struct uffdvram_region))))
		return 0;
	return FZ_ANY;
}

/* Whether a run says nothing that cannot be. */
static bool region_ok(struct fz *f, struct fz_ctx *c, const struct uffdvram_region *r)
{
	unsigned int i = fz_index(r->start);

	if (r->end <= r->start || r->start % PAGE || r->end % PAGE ||
	    r->state > UFFDVRAM_STATE_POISON ||
	    r->flags & ~(UFFDVRAM_REGION_HUGE | UFFDVRAM_REGION_LEASED))
		return false;
	if (r->state == UFFDVRAM_STATE_OTHER || c->gone)
		return true;
	for (; i < FZ_PAGES && FZ_ARENA + i * PAGE < r->end; i++) {
		const struct fz_page *p = fz_page(f, c->mm, i);

		if (!p->prot || (r->state == UFFDVRAM_STATE_POISON && !p->maybe_lost))
			return false;
	}
	return true;
}

static void query_regions(struct fz *f, struct fz_ctx *c, const struct uffdvram_query *q)
{
	struct uffdvram_region r, last = {};
	uint64_t at = q->addr, count[UFFDVRAM_STATE_MAX_] = {};

	for (uint64_t i = 0; i < q->used; i++, last = r) {
		memcpy(&r, pointer(q->vec + i * sizeof(r)), sizeof(r));
		if (r.start != at || !region_ok(f, c, &r) ||
		    (i && r.state == last.state && r.flags == last.flags))
			fz_fail(f, "QUERY: region %llu: %llx-%llx state %u flags %x",
				(unsigned long long)i, r.start, r.end, r.state, r.flags);
		at = r.end;
		count[r.state] += (r.end - r.start) / PAGE;
	}
	if (at != q->addr + q->done || memcmp(count, q->count, 4 * sizeof(*count)))
		fz_fail(f, "QUERY: regions and counts differ, at %llx", (unsigned long long)at);
}

void fz_query_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	const struct uffdvram_query *a = in, *q = out;
	uint64_t sum = 0;

	for (int i = 0; i <= UFFDVRAM_STATE_POISON; i++)
		sum += q->count[i];
	if (q->done > a->len || sum * PAGE != q->done || q->used > a->vec_len ||
	    q->count[4] || q->count[5] > sum || q->count[7] || q->count[6] > sum)
		fz_fail(f, "QUERY: %d, done %llx, %llu pages, used %llu", ret, q->done,
			(unsigned long long)sum, q->used);
	if (!ret && q->done != a->len && (!a->vec || q->used != a->vec_len))
		fz_fail(f, "QUERY succeeded with done %llx, used %llu", q->done, q->used);
	if (a->vec && in_scratch(a->vec, q->used * sizeof(struct uffdvram_region)))
		query_regions(f, c, q);
}

void fz_query_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	(void)f;
	(void)c;
	(void)in;
	(void)out;
	(void)ret;
}

/* A buffer in the arena: pages that all can be accessed, none of the others'. */
static bool copy_in_arena(struct fz *f, struct fz_ctx *c, struct uffdvram_copy *a)
{
	unsigned int n = a->len / PAGE, first = fz_pick(f, FZ_PAGES - n + 1);
	uint64_t buf = FZ_ARENA + first * PAGE;

	if (n > 32 || (c->mm == 0 && buf < a->addr + a->len && a->addr < buf + a->len) ||
	    !fz_all_are(f, 0, buf, a->len, 3))
		return false;
	/* Neither side has pages of which not all is known. */
	fz_check(f, first, n);
	for (unsigned int i = 0; i < n; i++) {
		const struct fz_page *src = fz_page(f, c->mm, fz_index(a->addr) + i);

		if (fz_page(f, 0, first + i)->has_alt || src->has_alt || src->maybe_lost)
			return false;
	}
	a->buf = buf;
	return true;
}

void fz_copy_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	struct uffdvram_copy *a = arg;
	uint64_t addr, len;

	good_piece(f, c, false, &addr, &len);
	if (!fz_all_are(f, 0, addr, len, 0)) {
		addr = FZ_ARENA;
		len = PAGE;
	}
	a->addr = addr;
	a->len = len;
	a->flags = (fz_chance(f, 45) ? UFFDVRAM_COPY_WRITE : 0) |
		   (fz_chance(f, 15) ? UFFDVRAM_COPY_NOFAULT : 0);
	a->buf = FZ_SCRATCH + fz_pick(f, 16) * PAGE;
	if (fz_chance(f, 15) && copy_in_arena(f, c, a))
		return;
	if (fz_chance(f, 15))
		a->buf += fz_pick(f, PAGE);
	for (uint64_t i = 0; a->flags & UFFDVRAM_COPY_WRITE && i < len; i += PAGE)
		fz_fill(f, pointer((a->buf & ~7ULL) + i));
}

int fz_copy_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_copy *a = arg;
	bool write = a->flags & UFFDVRAM_COPY_WRITE;

	if (fz_bad_piece(a->addr, a->len) || a->buf + a->len < a->buf)
		return -EINVAL;
	if (c->gone)
		return FZ_ANY;
	if (!fz_range_at(f, c->mm, a->addr, 1) && !f->vague[c->mm])
		return -ENOENT;
	if (a->flags & UFFDVRAM_COPY_NOFAULT || !fz_covered(f, c->mm, a->addr, a->len, false) ||
	    !fz_all_are(f, c->mm, a->addr, a->len, write ? 3 : 2) ||
	    fz_any_lost(f, c->mm, a->addr, a->len))
		return FZ_ANY;
	return in_scratch(a->buf, a->len) || fz_all_are(f, 0, a->buf, a->len, 3) ? 0 : FZ_ANY;
}

/* The sums of what is to be written; a guard behind what is to be read. */
static void copy_before(struct fz *f, const struct uffdvram_copy *a, bool blind)
{
	const uint64_t canary = CANARY;
	uint64_t buf = a->buf, end = a->buf + a->len;

	f->n_sums = 0;
	if (blind) {
		/* Whatever of it comes where. */
		for (uint64_t i = 0; i < 48; i++)
			fz_wild(f, fz_sum(pointer(FZ_SCRATCH + i * PAGE)));
	} else if (!(a->flags & UFFDVRAM_COPY_WRITE)) {
		if (in_scratch(end, sizeof(canary)))
			memcpy(pointer(end), &canary, sizeof(canary));
	} else {
		for (; buf < end && f->n_sums < FZ_PAGES; buf += PAGE) {
			if (!in_scratch(buf, PAGE) && !fz_all_are(f, 0, buf, PAGE, 2))
				break;
			f->sums[f->n_sums++] = fz_sum(pointer(buf));
		}
	}
}

/* Pages that a DETACH without copying may destroy. */
static void detach_before(struct fz *f)
{
	for (int mm = 0; mm < 2; mm++)
		for (unsigned int i = 0; i < FZ_PAGES; i++)
			fz_page(f, mm, i)->maybe_lost |= fz_page(f, mm, i)->prot;
}

void fz_before(struct fz *f, struct fz_ctx *c, int nr, const void *arg, bool blind)
{
	const struct uffdvram_pool_detach *d = arg;

	if (nr == FZ_COPY)
		copy_before(f, arg, blind);
	else if (nr == FZ_POOL_DETACH && f->discards &&
		 (blind || d->flags & UFFDVRAM_DETACH_DISCARD))
		detach_before(f);
	else if (nr == FZ_POISON)
		fz_poison_before(f, c, arg);
}

/* One page that was read to @buf. */
static void copy_was_read(struct fz *f, struct fz_ctx *c, unsigned int page, uint64_t buf)
{
	unsigned int to = fz_index(buf);

	if (to < FZ_PAGES)
		fz_page_set(f, 0, to, fz_page(f, c->mm, page)->sum);
	else if (in_scratch(buf, PAGE) &&
		 !fz_page_is(f, c->mm, page, fz_sum(pointer(buf))))
		fz_fail(f, "COPY: page %u reads as %016llx", page,
			*(unsigned long long *)pointer(buf));
	f->shm->checked++;
}

/* Of pages that were not handled, some may have come to the arena all the same. */
static void copy_half_read(struct fz *f, struct fz_ctx *c, const struct uffdvram_copy *a,
			   uint64_t done)
{
	for (; done < a->len; done += PAGE) {
		unsigned int from = fz_index(a->addr + done), to = fz_index(a->buf + done);

		if (from >= FZ_PAGES || to >= FZ_PAGES)
			return;
		fz_page(f, 0, to)->alt = fz_page(f, c->mm, from)->sum;
		fz_page(f, 0, to)->has_alt = true;
	}
}

void fz_copy_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	const struct uffdvram_copy *a = in, *o = out;
	uint64_t canary = CANARY, end = a->buf + a->len;
	bool write = a->flags & UFFDVRAM_COPY_WRITE;
	unsigned int page = fz_index(a->addr);

	if (o->done > a->len || o->done % PAGE || (!ret && o->done != a->len) ||
	    (o->done && fz_bad_piece(a->addr, a->len)))
		fz_fail(f, "COPY: %d, done %llx", ret, o->done);
	for (uint64_t i = 0; i < o->done / PAGE && page < FZ_PAGES; i++, page++) {
		if (!write)
			copy_was_read(f, c, page, a->buf + i * PAGE);
		else if (i >= f->n_sums)
			fz_fail(f, "COPY: done is %llx, but the buffer ends before", o->done);
		else
			fz_page_set(f, c->mm, page, f->sums[i]);
	}
	if (ret && !write)
		copy_half_read(f, c, a, o->done);
	if (!write && in_scratch(end, sizeof(canary)) &&
	    memcmp(pointer(end), &canary, sizeof(canary)))
		fz_fail(f, "COPY wrote behind its buffer");
}

void fz_copy_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	(void)f;
	(void)c;
	(void)in;
	(void)out;
	(void)ret;
}
