/* SPDX-License-Identifier: GPL-2.0-only */
/* Part of framework_calls.h: good arguments for leases. */
#ifndef UFFDVRAM_SELFTESTS_BENCH_ACCESS_H
#define UFFDVRAM_SELFTESTS_BENCH_ACCESS_H

static void access_begin_prepare(struct bench *b, void *p)
{
	static struct uffdvram_slot_run vec[RANGE_BYTES / PAGE];
	struct uffdvram_access_begin *arg = p;

	arg->addr = (uintptr_t)b->mem;
	arg->len = RANGE_BYTES;
	arg->vec = (uintptr_t)vec;
	arg->vec_len = RANGE_BYTES / PAGE;
}

/* Of one page, and nothing was written. It must outlive every failed call. */
static void access_end_prepare(struct bench *b, void *p)
{
	struct uffdvram_access_begin begun;
	struct uffdvram_slot_run run;

	if (!b->lease) {
		if (uv_access_begin(b->fd, UFFDVRAM_ACCESS_WRITE, b->mem, PAGE, &run, 1, &begun))
			give_up("a lease");
		b->lease = begun.lease;
	}
	((struct uffdvram_access_end *)p)->lease = b->lease;
}

static bool access_begin_undo(struct bench *b, void *p)
{
	struct uffdvram_access_begin *arg = p;
	uint64_t revoked;

	return arg->done == RANGE_BYTES && arg->used && arg->lease &&
	       !uv_access_end(b->fd, arg->lease, 0, NULL, 0, &revoked) && !revoked;
}

static bool access_end_undo(struct bench *b, void *p)
{
	b->lease = 0;
	return !((struct uffdvram_access_end *)p)->revoked;
}

#endif /* UFFDVRAM_SELFTESTS_BENCH_ACCESS_H */
