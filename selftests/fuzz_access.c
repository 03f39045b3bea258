// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer's knowledge of leases. There is no device: contents stay as they are, whoever
 * brings pages home. In a quarter of the rounds there are none, so that nothing else has to
 * expect less for their sake.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"

#define RUNS	64

static bool vec_is_ours(const struct uffdvram_access_begin *a)
{
	return a->vec >= FZ_SCRATCH && a->vec <= FZ_SCRATCH + PAGE && a->vec_len <= RUNS;
}

void fz_access_begin_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	struct uffdvram_access_begin *a = arg;
	uint64_t addr, len;

	fz_some_piece(f, c, false, &addr, &len);
	a->addr = addr;
	a->len = f->leases ? len : 0;
	a->vec = FZ_SCRATCH + fz_pick(f, PAGE);
	a->vec_len = 1 + fz_pick(f, RUNS);
	a->flags = fz_pick(f, 16) & (UFFDVRAM_ACCESS_WRITE | UFFDVRAM_ACCESS_NOWAIT |
				     UFFDVRAM_ACCESS_WP_ASYNC);
}

int fz_access_begin_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_access_begin *a = arg;

	if (fz_bad_piece(a->addr, a->len) || !a->vec || !a->vec_len)
		return -EINVAL;
	if (c->gone)
		return FZ_ANY;
	if (!fz_range_at(f, c->mm, a->addr, 1) && !f->vague[c->mm])
		return -ENOENT;
	return FZ_ANY;
}

/* Runs are those of the piece, in order, and say where in a pool they are. */
static void check_runs(struct fz *f, const struct uffdvram_access_begin *a,
		       const struct uffdvram_access_begin *o)
{
	struct uffdvram_slot_run r;
	uint64_t at = a->addr;

	for (uint64_t i = 0; i < o->used; i++) {
		memcpy(&r, (char *)(uintptr_t)a->vec + i * sizeof(r), sizeof(r));
		if (r.addr != at || !r.len || r.len % PAGE || r.off % PAGE)
			fz_fail(f, "ACCESS_BEGIN: run %llu: %llx, off %llx, len %llx",
				(unsigned long long)i, r.addr, r.off, r.len);
		at += r.len;
	}
	if (at != a->addr + o->done)
		fz_fail(f, "ACCESS_BEGIN: runs to %llx, done %llx", (unsigned long long)at,
			o->done);
}

static void note_lease(struct fz *f, struct fz_ctx *c, uint64_t id)
{
	unsigned int i = fz_pick(f, FZ_COUNT(f->lease));

	f->lease[i] = id;
	f->lease_ctx[i] = c - f->ctx;
	/* Even where none was meant to be: a flipped bit makes a piece of no length one. */
	f->leases = true;
}

void fz_access_begin_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out,
			   int ret)
{
	const struct uffdvram_access_begin *a = in, *o = out;

	if (ret ? o->done || o->lease || o->used :
		  !o->done || o->done > a->len || o->done % PAGE || !o->lease || !o->used ||
		  o->used > a->vec_len)
		fz_fail(f, "ACCESS_BEGIN: %d, done %llx, used %llu, lease %llu", ret, o->done,
			o->used, o->lease);
	if (ret)
		return;
	if (vec_is_ours(a))
		check_runs(f, a, o);
	note_lease(f, c, o->lease);
}

void fz_access_begin_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out,
			   int ret)
{
	(void)in;
	if (!ret)
		note_lease(f, c, ((const struct uffdvram_access_begin *)out)->lease);
}

/* One that has a lease: in others, ACCESS_END finds nothing to end. */
struct fz_ctx *fz_lease_ctx(struct fz *f)
{
	unsigned int from = fz_pick(f, FZ_COUNT(f->lease));

	for (unsigned int i = 0; i < FZ_COUNT(f->lease); i++) {
		unsigned int at = (from + i) % FZ_COUNT(f->lease);
		struct fz_ctx *c = &f->ctx[f->lease_ctx[at]];

		if (f->lease[at] && c->fd >= 0)
			return c;
	}
	return NULL;
}

void fz_access_end_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	unsigned int from = fz_pick(f, FZ_COUNT(f->lease));
	struct uffdvram_access_end *a = arg;

	a->lease = 1 + fz_pick(f, 3);
	for (unsigned int i = 0; i < FZ_COUNT(f->lease); i++) {
		unsigned int at = (from + i) % FZ_COUNT(f->lease);

		if (f->lease[at] && f->lease_ctx[at] == c - f->ctx)
			a->lease = f->lease[at];
	}
	if (fz_chance(f, 15)) {
		a->bitmap = FZ_SCRATCH + fz_pick(f, PAGE);
		a->nbits = 1 + fz_pick(f, 8);
	} else if (fz_chance(f, 15)) {
		a->flags = UFFDVRAM_ACCESS_WRITTEN_ALL;
	}
}

int fz_access_end_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_access_end *a = arg;

	(void)f;
	(void)c;
	if (!a->bitmap != !a->nbits || (a->flags & UFFDVRAM_ACCESS_WRITTEN_ALL && a->nbits))
		return -EINVAL;
	return FZ_ANY;
}

/* It has ended, or never was: another one is tried next time. */
static void forget_lease(struct fz *f, struct fz_ctx *c, uint64_t id, int ret)
{
	if (ret && ret != -ESTALE && ret != -ENOENT)
		return;
	for (unsigned int i = 0; i < FZ_COUNT(f->lease); i++)
		if (f->lease[i] == id && f->lease_ctx[i] == c - f->ctx)
			f->lease[i] = 0;
}

void fz_access_end_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out,
			 int ret)
{
	const struct uffdvram_access_end *a = in, *o = out;

	if ((ret == -ESTALE) != !!o->revoked)
		fz_fail(f, "ACCESS_END: %d, revoked %llu", ret, o->revoked);
	forget_lease(f, c, a->lease, ret);
}

void fz_access_end_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out,
			 int ret)
{
	(void)out;
	forget_lease(f, c, ((const struct uffdvram_access_end *)in)->lease, ret);
}
