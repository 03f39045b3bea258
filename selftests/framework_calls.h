/* SPDX-License-Identifier: GPL-2.0-only */
/* For each line of UFFDVRAM_IOCTLS: a good argument, and whether the answer is right. */
#ifndef UFFDVRAM_SELFTESTS_FRAMEWORK_CALLS_H
#define UFFDVRAM_SELFTESTS_FRAMEWORK_CALLS_H

#include <string.h>
#include <unistd.h>

#include "util.h"

#define POOL_BYTES	MIB(2)
#define RANGE_BYTES	(4 * PAGE)

/*
 * What the calls work on. A victim is what POOL_DETACH or RANGE_UNREGISTER may
 * destroy: it is made when it is needed and must outlive every failed call.
 */
struct bench {
	int fd;
	int pidfd;
	char *mem;		/* registered, in pool */
	char *spare;		/* not registered */
	uint32_t pool;
	uint32_t range;		/* of mem */
	uint32_t victim_pool;
	uint32_t victim_range;
	char *buf;		/* two pages, then one without access */
	uint64_t lease;		/* another victim */
};

#include "bench_access.h"

/* A good argument for each ioctl... */
static void info_prepare(struct bench *b, void *p)
{
	(void)b;
	(void)p;
}

static void open_pid_prepare(struct bench *b, void *p)
{
	((struct uffdvram_open_pid *)p)->pidfd = b->pidfd;
}

static void pool_attach_prepare(struct bench *b, void *p)
{
	struct uffdvram_pool_attach *arg = p;

	(void)b;
	arg->backend = UFFDVRAM_BACKEND_SIM;
	arg->bytes = POOL_BYTES;
}

static void pool_detach_prepare(struct bench *b, void *p)
{
	if (!b->victim_pool && uv_attach(b->fd, POOL_BYTES, 0, &b->victim_pool))
		give_up("a second pool");
	((struct uffdvram_pool_detach *)p)->pool = b->victim_pool;
}

static void range_register_prepare(struct bench *b, void *p)
{
	struct uffdvram_range_register *arg = p;

	arg->pool = b->pool;
	arg->addr = (uintptr_t)b->spare;
	arg->len = RANGE_BYTES;
}

static void range_unregister_prepare(struct bench *b, void *p)
{
	if (!b->victim_range &&
	    uv_register(b->fd, b->spare, RANGE_BYTES, b->pool, &b->victim_range))
		give_up("a second range");
	((struct uffdvram_range_unregister *)p)->range = b->victim_range;
}

static void migrate_prepare(struct bench *b, void *p)
{
	struct uffdvram_migrate *arg = p;

	arg->addr = (uintptr_t)b->mem;
	arg->len = RANGE_BYTES;
}

static void query_prepare(struct bench *b, void *p)
{
	struct uffdvram_query *arg = p;

	arg->addr = (uintptr_t)b->mem;
	arg->len = RANGE_BYTES;
}

static void copy_prepare(struct bench *b, void *p)
{
	static char buf[RANGE_BYTES];
	struct uffdvram_copy *arg = p;

	arg->addr = (uintptr_t)b->mem;
	arg->len = RANGE_BYTES;
	arg->buf = (uintptr_t)buf;
}

/* Nothing is poison: there is nothing to take back. */
static void poison_prepare(struct bench *b, void *p)
{
	struct uffdvram_poison *arg = p;

	arg->flags = UFFDVRAM_POISON_UNDO;
	arg->addr = (uintptr_t)b->mem;
	arg->len = RANGE_BYTES;
}

static void poison_list_prepare(struct bench *b, void *p)
{
	static struct uffdvram_region vec;
	struct uffdvram_poison_list *arg = p;

	arg->addr = (uintptr_t)b->mem;
	arg->len = RANGE_BYTES;
	arg->vec = (uintptr_t)&vec;
	arg->vec_len = 1;
}

static void harvest_prepare(struct bench *b, void *p)
{
	static struct uffdvram_region vec;
	struct uffdvram_harvest *arg = p;

	arg->range = b->range;
	arg->addr = (uintptr_t)b->mem;
	arg->len = RANGE_BYTES;
	arg->vec = (uintptr_t)&vec;
	arg->vec_len = 1;
	arg->cookie = 0;
}

/* It is shared already. */
static void convert_prepare(struct bench *b, void *p)
{
	struct uffdvram_convert *arg = p;

	arg->addr = (uintptr_t)b->mem;
	arg->len = RANGE_BYTES;
}

/* ... and whether a success answered right, and the end of what it made. */
static bool info_undo(struct bench *b, void *p)
{
	struct uffdvram_info *arg = p;

	(void)b;
	return arg->abi == UFFDVRAM_ABI && arg->n_pools && arg->max_ranges &&
	       (arg->page_sizes & ~HUGE) == PAGE;
}

static bool open_pid_undo(struct bench *b, void *p)
{
	(void)b;
	return !close(((struct uffdvram_open_pid *)p)->fd);
}

static bool pool_attach_undo(struct bench *b, void *p)
{
	struct uffdvram_pool_attach *arg = p;

	return arg->pool && !uv_detach(b->fd, arg->pool, 0, NULL);
}

static bool pool_detach_undo(struct bench *b, void *p)
{
	b->victim_pool = 0;
	return ((struct uffdvram_pool_detach *)p)->left == 0;
}

static bool range_register_undo(struct bench *b, void *p)
{
	struct uffdvram_range_register *arg = p;

	return arg->range && !uv_unregister(b->fd, arg->range);
}

static bool range_unregister_undo(struct bench *b, void *p)
{
	(void)p;
	b->victim_range = 0;
	return true;
}

static bool migrate_undo(struct bench *b, void *p)
{
	struct uffdvram_migrate *arg = p;

	(void)b;
	for (int i = 0; i < UFFDVRAM_STAY_MAX_; i++)
		if (arg->first[i])
			return false;
	return arg->done == RANGE_BYTES && !uv_stayed(arg) &&
	       (arg->moved + arg->already) * PAGE == arg->done;
}

static bool query_undo(struct bench *b, void *p)
{
	struct uffdvram_query *arg = p;
	uint64_t sum = 0;

	(void)b;
	for (int i = 0; i <= UFFDVRAM_STATE_POISON; i++)
		sum += arg->count[i];
	return arg->done == RANGE_BYTES && sum * PAGE == RANGE_BYTES && !arg->used;
}

static bool copy_undo(struct bench *b, void *p)
{
	struct uffdvram_copy *arg = p;

	return arg->done == RANGE_BYTES &&
	       !memcmp((void *)(uintptr_t)arg->buf, b->mem, RANGE_BYTES);
}

static bool poison_undo(struct bench *b, void *p)
{
	struct uffdvram_poison *arg = p;

	(void)b;
	return arg->done == RANGE_BYTES && !arg->bad_addr;
}

static bool poison_list_undo(struct bench *b, void *p)
{
	struct uffdvram_poison_list *arg = p;

	(void)b;
	return arg->done == RANGE_BYTES && !arg->used;
}

static bool convert_undo(struct bench *b, void *p)
{
	struct uffdvram_convert *arg = p;

	(void)b;
	return !arg->bad_addr && !arg->cause;
}

/* Nothing is ever committed: it is the first one, again and again. */
static bool harvest_undo(struct bench *b, void *p)
{
	struct uffdvram_harvest *arg = p;
	const struct uffdvram_region *r = (void *)(uintptr_t)arg->vec;

	return arg->done == RANGE_BYTES && arg->used == 1 && arg->cookie &&
	       r->start == (uintptr_t)b->mem && r->end == r->start + RANGE_BYTES &&
	       r->flags == (UFFDVRAM_REGION_WRITTEN | UFFDVRAM_REGION_LEFT);
}

#endif /* UFFDVRAM_SELFTESTS_FRAMEWORK_CALLS_H */
