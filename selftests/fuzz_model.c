// SPDX-License-Identifier: GPL-2.0-only
/* What the fuzzer knows of its memory, and of the module's objects. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

static void model_log(struct fz_shared *shm, char *text, size_t size)
{
	size_t n = 0;

	for (unsigned int i = shm->n_log > FZ_LOG ? shm->n_log - FZ_LOG : 0;
	     i < shm->n_log && n < size; i++) {
		struct fz_record *r = &shm->log[i % FZ_LOG];

		n += snprintf(text + n, size - n, "\n#   %c ctx %d %s", r->how, r->ctx,
			      fz_ops[r->nr].name);
		for (int w = 0; w < 6 && n < size; w++)
			n += snprintf(text + n, size - n, " %llx", (unsigned long long)r->arg[w]);
		if (n < size)
			n += snprintf(text + n, size - n, " = %d", r->ret);
	}
}

void fz_explain(struct fz_shared *shm, uint64_t seed, uint64_t round, const char *what)
{
	char *text = shm->text;
	size_t size = sizeof(shm->text);
	int n;

	shm->failed = true;
	n = snprintf(text, size, "FUZZ_SEED=%llu FUZZ_ROUND=%llu, after %u calls: %s",
		     (unsigned long long)seed, (unsigned long long)round, shm->n_log, what);
	model_log(shm, text + n, size - n);
}

/* Only the first to fail is told of. */
void fz_fail(struct fz *f, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (!f->shm->failed)
		fz_explain(f->shm, f->seed, f->round, what);
	_exit(1);
}

uint64_t fz_pick(struct fz *f, uint64_t n)
{
	return (rnd(&f->rnd) >> 11) % n;
}

bool fz_chance(struct fz *f, unsigned int percent)
{
	return fz_pick(f, 100) < percent;
}

void fz_run(struct fz *f, unsigned int *first, unsigned int *n)
{
	unsigned int kind = fz_pick(f, 20), most = kind < 13 ? 8 : kind < 19 ? 48 : 600;

	*n = 1 + fz_pick(f, most);
	*first = fz_pick(f, FZ_PAGES - *n + 1);
}

uint64_t fz_sum(const void *page)
{
	const volatile uint64_t *p = page;
	uint64_t sum = 0;

	for (size_t i = 0; i < PAGE / sizeof(*p); i++)
		sum = (sum ^ p[i]) * 0x100000001b3ULL + 1;
	return sum;
}

void fz_fill(struct fz *f, void *page)
{
	uint64_t *p = page, x = rnd(&f->rnd);

	for (size_t i = 0; i < PAGE / sizeof(*p); i++)
		p[i] = x += 0x9e3779b97f4a7c15ULL;
}

void *fz_addr(unsigned int page)
{
	return (void *)(uintptr_t)(FZ_ARENA + page * PAGE);
}

unsigned int fz_index(uint64_t addr)
{
	return addr - FZ_ARENA < FZ_PAGES * PAGE ? (addr - FZ_ARENA) / PAGE : FZ_PAGES;
}

struct fz_page *fz_page(struct fz *f, int mm, unsigned int i)
{
	return &f->mm[mm][i];
}

bool fz_page_is(struct fz *f, int mm, unsigned int i, uint64_t sum)
{
	struct fz_page *p = fz_page(f, mm, i);
	bool may = p->has_alt && sum == p->alt;

	if (sum == p->sum)
		return true;	/* @alt stays: after MADV_FREE it may come later */
	for (unsigned int w = 0; !may && w < f->shm->n_wild; w++)
		may = sum == f->shm->wild[w];
	if (may) {
		p->sum = sum;
		p->has_alt = false;
	}
	return may;
}

void fz_page_set(struct fz *f, int mm, unsigned int i, uint64_t sum)
{
	struct fz_page *p = fz_page(f, mm, i);

	p->sum = sum;
	p->has_alt = false;
}

void fz_wild(struct fz *f, uint64_t sum)
{
	if (f->shm->n_wild < FZ_WILD)
		f->shm->wild[f->shm->n_wild++] = sum;
}

/* A page that is poison is replaced. */
static void model_settle(struct fz *f, unsigned int i)
{
	static const char zeroes[PAGE];
	struct fz_page *p = fz_page(f, 0, i);
	struct sigbus seen;

	if (!p->maybe_lost)
		return;
	seen = read_byte(fz_addr(i));
	if (seen.signo && (seen.signo != SIGBUS || seen.code != BUS_MCEERR_AR))
		fz_fail(f, "signal %d, code %d on page %u", seen.signo, seen.code, i);
	p->maybe_lost = false;
	if (!seen.signo)
		return;
	if (madvise(fz_addr(i), PAGE, MADV_DONTNEED))
		fz_fail(f, "MADV_DONTNEED of poison: %m");
	fz_page_set(f, 0, i, fz_sum(zeroes));
}

void fz_check(struct fz *f, unsigned int first, unsigned int n)
{
	for (unsigned int i = first; i < first + n; i++) {
		if (fz_page(f, 0, i)->prot < 2)
			continue;
		model_settle(f, i);
		if (!fz_page_is(f, 0, i, fz_sum(fz_addr(i))))
			fz_fail(f, "page %u at %p is not what it was: %016llx", i, fz_addr(i),
				*(unsigned long long *)fz_addr(i));
		f->shm->checked++;
	}
}

bool fz_all_are(struct fz *f, int mm, uint64_t addr, uint64_t len, int prot)
{
	uint64_t i;

	if (addr < FZ_ARENA || addr - FZ_ARENA > FZ_PAGES * PAGE ||
	    len > FZ_ARENA + FZ_PAGES * PAGE - addr)
		return false;
	for (i = addr; i < addr + len; i += PAGE)
		if (fz_page(f, mm, fz_index(i))->prot < prot)
			return false;
	return true;
}

bool fz_any_lost(struct fz *f, int mm, uint64_t addr, uint64_t len)
{
	for (unsigned int i = 0; i < FZ_PAGES; i++)
		if (FZ_ARENA + i * PAGE - addr < len && fz_page(f, mm, i)->maybe_lost)
			return true;
	return false;
}

struct fz_ctx *fz_any_ctx(struct fz *f)
{
	unsigned int i = fz_pick(f, FZ_CTXS);

	/* The first one is always open. */
	return f->ctx[i].fd < 0 ? &f->ctx[0] : &f->ctx[i];
}

struct fz_range *fz_range_find(struct fz *f, int ctx, uint32_t id)
{
	for (struct fz_range *r = f->range; id && r < f->range + FZ_RANGES; r++)
		if (r->id == id && r->ctx == ctx)
			return r;
	return NULL;
}

struct fz_range *fz_range_at(struct fz *f, int mm, uint64_t addr, uint64_t len)
{
	struct fz_range *some = NULL;

	for (struct fz_range *r = f->range; r < f->range + FZ_RANGES; r++) {
		if (!r->id || r->mm != mm || addr >= r->addr + r->len || r->addr >= addr + len)
			continue;
		if (r->sure)
			return r;
		some = r;
	}
	return some;
}

bool fz_covered(struct fz *f, int mm, uint64_t addr, uint64_t len, bool pool)
{
	uint64_t end = addr + len;

	while (addr < end) {
		struct fz_range *r = fz_range_at(f, mm, addr, 1);
		struct fz_pool *p;

		if (!r || !r->sure)
			return false;
		p = fz_pool_find(f, r->pool);
		if (pool && (!p || !p->sure))
			return false;
		addr = r->addr + r->len;
	}
	return true;
}

void fz_some_piece(struct fz *f, struct fz_ctx *c, bool arena, uint64_t *addr, uint64_t *len)
{
	unsigned int first, n, from = fz_pick(f, FZ_RANGES);

	fz_run(f, &first, &n);
	*addr = FZ_ARENA + first * PAGE;
	*len = n * PAGE;
	for (unsigned int i = 0; i < FZ_RANGES && fz_chance(f, 99); i++) {
		struct fz_range *r = &f->range[(from + i) % FZ_RANGES];

		if (!r->id || r->mm != c->mm || (arena && fz_index(r->addr) == FZ_PAGES) ||
		    !fz_covered(f, r->mm, r->addr, r->len, true))
			continue;
		n = n < r->len / PAGE ? n : r->len / PAGE;
		*addr = r->addr + fz_pick(f, r->len / PAGE - n + 1) * PAGE;
		*len = n * PAGE;
		return;
	}
}

void fz_range_add(struct fz *f, const struct fz_range *r)
{
	for (unsigned int i = 0; i < FZ_RANGES; i++) {
		if (f->range[i].id)
			continue;
		f->range[i] = *r;
		return;
	}
	f->vague[r->mm]++;
}

void fz_ranges_doubt(struct fz *f, int ctx)
{
	for (struct fz_range *r = f->range; r < f->range + FZ_RANGES; r++)
		if (r->ctx == ctx)
			r->sure = false;
}

struct fz_pool *fz_pool_find(struct fz *f, uint32_t id)
{
	for (struct fz_pool *p = f->pool; id && p < f->pool + FZ_POOLS; p++)
		if (p->id == id)
			return p;
	return NULL;
}

void fz_pools_doubt(struct fz *f)
{
	for (struct fz_pool *p = f->pool; p < f->pool + FZ_POOLS; p++)
		p->sure = false;
}

/* Ranges and pools end with their context, unless a mapping keeps it. */
void fz_ctx_forget(struct fz *f, struct fz_ctx *c)
{
	int n = c - f->ctx;

	for (struct fz_range *r = f->range; r < f->range + FZ_RANGES; r++) {
		if (!r->id || r->ctx != n)
			continue;
		if (c->node)
			f->vague[r->mm]++;
		r->id = 0;
	}
	for (struct fz_pool *p = f->pool; p < f->pool + FZ_POOLS; p++) {
		if (!p->id || p->ctx != n)
			continue;
		if (p->shared) {
			p->ctx = -1;
		} else {
			if (c->node)
				f->vague_pools++;
			p->id = 0;
		}
	}
	for (unsigned int i = 0; i < FZ_COUNT(f->lease); i++)
		if (f->lease_ctx[i] == n)
			f->lease[i] = 0;
	*c = (struct fz_ctx){ .fd = -1 };
}
