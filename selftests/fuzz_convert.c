// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fuzzer's knowledge of CONVERT. Whatever becomes private is made shared again at
 * once: so the model need not know of it, and what is to be read can be.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"

/*
 * Not of the stack, which we need. And the sibling's may not be private, not even for a
 * moment: we might die in that.
 */
void fz_convert_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	struct uffdvram_convert *a = arg;
	uint64_t addr, len;

	fz_some_piece(f, c, true, &addr, &len);
	a->addr = addr;
	a->len = len;
	a->flags = !c->mm && fz_chance(f, 60) ? UFFDVRAM_CONVERT_PRIVATE : 0;
	if (fz_chance(f, 30)) {
		a->flags |= UFFDVRAM_CONVERT_WAIT;
		a->timeout_ms = 1 + fz_pick(f, 3);
	}
}

/* Nor may what we need to live; and nobody waits for long. */
void fz_convert_tame(struct fz_ctx *c, void *arg)
{
	struct uffdvram_convert *a = arg;

	if (c->mm)
		a->flags &= ~UFFDVRAM_CONVERT_PRIVATE;
	if (fz_index(a->addr) == FZ_PAGES)
		a->addr = FZ_ARENA + a->addr % PAGE;
	a->timeout_ms %= 4;
}

int fz_convert_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_convert *a = arg;

	if (fz_bad_piece(a->addr, a->len) ||
	    !(a->flags & UFFDVRAM_CONVERT_WAIT) != !a->timeout_ms)
		return -EINVAL;
	if (c->gone)
		return FZ_ANY;
	if (!fz_range_at(f, c->mm, a->addr, 1) && !f->vague[c->mm])
		return -ENOENT;
	return FZ_ANY;
}

/* How many of its pages are private; none, where that cannot be told. */
static uint64_t private_pages(const struct fz_ctx *c, const struct uffdvram_convert *a)
{
	struct uffdvram_query q;

	return uv_query(c->fd, (void *)(uintptr_t)a->addr, a->len, &q) ? 0 :
	       q.count[UFFDVRAM_STATE_PRIVATE];
}

static void share(struct fz *f, const struct fz_ctx *c, const struct uffdvram_convert *a)
{
	int ret;

	/* Something else may be about to move it; and signals may come. */
	do {
		ret = uv_convert(c->fd, UFFDVRAM_CONVERT_WAIT, (void *)(uintptr_t)a->addr,
				 a->len, 60000, NULL);
	} while (ret == -EINTR);
	if (ret || private_pages(c, a))
		fz_fail(f, "CONVERT: %llx, %llx does not become shared again", a->addr, a->len);
}

void fz_convert_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	const struct uffdvram_convert *a = in, *o = out;
	bool private = a->flags & UFFDVRAM_CONVERT_PRIVATE;

	if (ret == -EOPNOTSUPP || ret == -E2BIG)
		return;
	if (o->bad_addr && (!ret || o->bad_addr - a->addr >= a->len || o->bad_addr % PAGE))
		fz_fail(f, "CONVERT: %d, bad_addr %llx", ret, o->bad_addr);
	if (o->cause && (ret != -EBUSY || o->cause > UFFDVRAM_STAY_NOT_ANON))
		fz_fail(f, "CONVERT: %d, cause %u", ret, o->cause);
	if (fz_bad_piece(a->addr, a->len) || c->gone)
		return;
	if (ret && private_pages(c, a))
		fz_fail(f, "CONVERT: %d, but pages are private", ret);
	if (!ret && private)
		share(f, c, a);
}

/* Its answer could not be written: it may have succeeded. */
void fz_convert_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	const struct uffdvram_convert *a = in;

	(void)out;
	if ((!ret || ret == -EFAULT) && !fz_bad_piece(a->addr, a->len) && private_pages(c, a))
		share(f, c, a);
}
