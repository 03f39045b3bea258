// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operations that find out what was written, and what a lease costs.
 *
 * Written pages lie at equal distances: no two of them are neighbours, up to a density of
 * one half. For whoever tells of runs that is the worst there is.
 */
#include <linux/userfaultfd.h>
#include <stdlib.h>

#include "bench.h"

/* How many pages are written, and where the i-th of them is. */
static size_t n_written(const struct round *r)
{
	return (r->len / PAGE * r->written + 5000) / 10000;
}

static char *page_written(const struct round *r, size_t i)
{
	return r->mem + i * (r->len / PAGE) / n_written(r) * PAGE;
}

static size_t harvest(const struct round *r)
{
	r->s->harvest(r->mem, r->len);
	return r->s->harvested(r->len);
}

/* All of it is there, in VRAM if that is for @r to have, and nothing is new any more. */
static void get_ready(const struct round *r)
{
	fill(r->mem, r->len);
	if (r->s->in) {
		r->s->in(r->mem, r->len);
		check_in(r);
	}
	r->s->arm(r->mem, r->len, UFFDIO_REGISTER_MODE_WP);
	if (harvest(r) != r->len / PAGE)
		give_up("the first harvest does not report all pages");
	/* Where they are is known from here on. */
	harvest(r);
	if (harvest(r))
		give_up("a harvest reports pages that nobody wrote");
}

static void write_by_cpu(const struct round *r)
{
	size_t i;

	for (i = 0; i < n_written(r); i++)
		*(volatile char *)page_written(r, i) += 1;
}

static void write_by_device(const struct round *r)
{
	uint64_t *bits = calloc(r->len / PAGE / 64, sizeof(*bits));
	size_t i, page;

	if (!bits)
		give_up("calloc");
	for (i = 0; i < n_written(r); i++) {
		page = (page_written(r, i) - r->mem) / PAGE;
		bits[page / 64] |= 1ULL << page % 64;
	}
	r->s->device_write(r->len, bits);
	free(bits);
}

static void measure_harvest(const struct round *r, double ops)
{
	measure_begin(CLOCK_THREAD_CPUTIME_ID);
	r->s->harvest(r->mem, r->len);
	measure_end(ops);
	if (r->s->harvested(r->len) != n_written(r))
		give_up("a harvest reports other pages than those that were written");
}

/* Pages in VRAM are written there. */
void row_harvest_device(const struct round *r)
{
	get_ready(r);
	if (r->s->device_write)
		write_by_device(r);
	else
		write_by_cpu(r);
	measure_harvest(r, r->len / GIB);
	if (r->s->in)
		check_in(r);
}

/* Pages in VRAM come home, because a CPU writes to them. */
void row_harvest_cpu(const struct round *r)
{
	get_ready(r);
	write_by_cpu(r);
	measure_harvest(r, r->len / GIB);
}

/* What it takes to find the next write to a page that was written in VRAM. */
void row_rearm_vram(const struct round *r)
{
	if (!r->s->device_write) {
		row_rearm(r);
		return;
	}
	get_ready(r);
	write_by_device(r);
	measure_harvest(r, r->len / PAGE);
	check_in(r);
}

/* All of it, by one lease; its end says that all was written. */
void row_lease(const struct round *r)
{
	fill(r->mem, r->len);
	r->s->in(r->mem, r->len);
	check_in(r);
	measure_begin(CLOCK_THREAD_CPUTIME_ID);
	r->s->lease(r->mem, r->len);
	measure_end(r->len / PAGE);
	check_in(r);
}
