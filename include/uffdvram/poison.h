/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libuffdvram: memory whose data is lost.
 *
 * Overview
 * --------
 * Poison is a mark of an address, not of a page: who touches it gets SIGBUS with
 * BUS_MCEERR_AR. uffdvram_range_poison() makes marks, uffdvram_range_unpoison() takes
 * them back. A virtual machine takes its marks along: uffdvram_range_poison_list() where
 * it leaves, uffdvram_range_poison_apply() where it arrives.
 */
#ifndef UFFDVRAM_POISON_H
#define UFFDVRAM_POISON_H

#include <uffdvram/uffdvram.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * uffdvram_range_poison - make pages of a range poison
 * @range: the range
 * @off: offset of the first byte in the range
 * @len: bytes; @off + @len must not pass the end of the range
 * @flags: UFFDVRAM_POISON_REPLACE: also pages that are there; their data is lost
 * @done: out: bytes handled; may be NULL
 *
 * With UFFDVRAM_POISON_REPLACE nobody sees anything but the old data, and then poison.
 * Other processes' mappings stay as they are. If the range is armed, who waits for one of
 * the pages is woken, and gets his SIGBUS. Goes on after signals.
 *
 * Errors: -EINVAL (alignment, a length of 0, not within the range; no longer private
 * anonymous memory), -EEXIST (a page is there, at @off + *done; with
 * UFFDVRAM_POISON_REPLACE: a guard region), -ENOENT (a part is not mapped, or in no range,
 * any more), -EPERM (it is sealed, and not writable), -EOPNOTSUPP (an unknown flag),
 * -ENOMEM, -ESRCH (the address space is gone). *done tells how far it came.
 */
int uffdvram_range_poison(struct uffdvram_range *range, uint64_t off, uint64_t len,
			  uint32_t flags, uint64_t *done);

/**
 * uffdvram_range_unpoison - make what is poison missing
 * @range: the range
 * @off: offset of the first byte in the range
 * @len: bytes; @off + @len must not pass the end of the range
 * @done: out: bytes handled; may be NULL
 *
 * Whatever poisoned it. The next access finds a page of zeroes, or gives a message if the
 * range is armed for missing pages. Pages that are no poison stay as they are.
 *
 * Errors: those of uffdvram_range_poison() but for -EEXIST.
 */
int uffdvram_range_unpoison(struct uffdvram_range *range, uint64_t off, uint64_t len,
			    uint64_t *done);

/** struct uffdvram_run - neighbouring pages of a range: @len bytes from offset @off on */
struct uffdvram_run {
	uint64_t off;
	uint64_t len;
};

/**
 * uffdvram_range_poison_list - which pages of a range are poison
 * @range: the range
 * @off: offset of the first byte in the range
 * @len: bytes; @off + @len must not pass the end of the range
 * @runs: out: the runs of poison, in ascending order
 * @max: elements of @runs, not 0
 * @n: out: how many there are
 * @done: out: bytes looked at: less than @len without an error if @runs is full; go on
 *        from @off + *done then
 *
 * What the page tables say, whatever poisoned the pages. Goes on after signals.
 *
 * Errors: -EINVAL (alignment, a length of 0, not within the range, no @max), -ENOMEM,
 * -ESRCH (the address space is gone).
 */
int uffdvram_range_poison_list(struct uffdvram_range *range, uint64_t off, uint64_t len,
			       struct uffdvram_run *runs, size_t max, size_t *n,
			       uint64_t *done);

/**
 * uffdvram_range_poison_apply - make a list of runs poison
 * @range: the range
 * @runs: offsets in it, as from uffdvram_range_poison_list() of another one
 * @n: how many
 * @flags: as of uffdvram_range_poison(), which it calls for each
 * @applied: out: how many are poison now, from the first on; may be NULL
 *
 * What is poison already is no error: after one, all can be applied again.
 *
 * Errors: those of uffdvram_range_poison().
 */
int uffdvram_range_poison_apply(struct uffdvram_range *range,
				const struct uffdvram_run *runs, size_t n,
				uint32_t flags, size_t *applied);

/**
 * uffdvram_poison - the same as the ioctl, for a piece that is no handle of this context
 * @ctx: the context
 * @addr: first byte; the piece may span several ranges, without a gap
 * @len: bytes
 * @flags: UFFDVRAM_POISON_REPLACE or UFFDVRAM_POISON_UNDO
 * @done: out: bytes handled; may be NULL
 *
 * Wakes nobody.
 *
 * Errors: those of uffdvram_range_poison(); -EINVAL (both flags).
 */
int uffdvram_poison(struct uffdvram_ctx *ctx, uint64_t addr, uint64_t len,
		    uint32_t flags, uint64_t *done);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif /* UFFDVRAM_POISON_H */
