/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIBUFFDVRAM_RANGE_H
#define LIBUFFDVRAM_RANGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "ctx.h"

/* Pages that wait for uffdvram_range_flush(). */
struct uffdvram_queue {
	pthread_mutex_t lock;
	uint64_t *bits;		/* one for each page; NULL until one is needed */
	uint64_t low;		/* no bit is set below this page */
	_Atomic uint64_t pages;	/* bits that are set; read without the lock */
};

struct harvest;

struct uffdvram_range {
	struct uffdvram_handle handle;
	uint32_t number;
	/* Of arm.c. Who arms sees to it that nobody else uses these meanwhile. */
	uint32_t armed;		/* UFFDVRAM_ARM_MISSING, _WP, _WP_ASYNC */
	int uffd;		/* -1: not armed */
	bool own_uffd;
	struct uffdvram_queue queue;
	struct harvest *harvest; /* of harvest.c: kept from one call to the next */
	atomic_flag harvests;	/* it is in use */
};

/* 0, or -EINVAL where a piece is not within the range. */
int uffdvram_range_within(const struct uffdvram_range *range, uint64_t off,
			  uint64_t len);

/* The same, and whether it is made of whole pages, at least one. */
int uffdvram_range_pages(const struct uffdvram_range *range, uint64_t off,
			 uint64_t len);

/* harvest.c: what it kept; may be NULL. */
void uffdvram_harvest_free(struct harvest *h);

/*
 * Whether a call that handled @done of a piece is to be followed by another one,
 * which is so after a signal too unless the caller wants to know of it. Turns a
 * success without progress, which would go on for ever, into an error.
 */
bool uffdvram_again(int *ret, uint64_t done, bool stop_on_signal);

/* uffdvram_move(), adding to what is in @sum; sum->size is not looked at. */
int uffdvram_move_add(struct uffdvram_ctx *ctx, uint64_t addr, uint64_t len,
		      uint32_t flags, struct uffdvram_moved *sum);

/*
 * The same, by as many threads as @flags say (UFFDVRAM_MOVE_THREADS), in parallel.c.
 * After an error @sum is that of all that lies before it.
 */
int uffdvram_move_threads(struct uffdvram_ctx *ctx, uint64_t addr, uint64_t len,
			  uint32_t flags, struct uffdvram_moved *sum);

/* Adds what was done at higher addresses; size is not looked at. */
void uffdvram_moved_add(struct uffdvram_moved *sum, const struct uffdvram_moved *part);

/*
 * Has all CPUs put the pages, which they have kept back to do so for many at once, on the
 * lists where they belong: until then such a page looks pinned. Only root has a call for
 * that, but who asks for pages to be moved to another node gets it first; here, none.
 */
void uffdvram_lru_drain(const struct uffdvram_ctx *ctx);

#endif /* LIBUFFDVRAM_RANGE_H */
