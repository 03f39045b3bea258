/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libuffdvram: pages that a device uses.
 *
 * Overview
 * --------
 * uffdvram_access_begin() takes a lease of pages: they are in VRAM, and stay in their slots,
 * which it names, until uffdvram_access_end(), which says what the device wrote. CPUs wait
 * meanwhile, but not for ever.
 */
#ifndef UFFDVRAM_ACCESS_H
#define UFFDVRAM_ACCESS_H

#include <uffdvram/uffdvram.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * struct uffdvram_lease - a lease that was begun
 * @number: its number in the context; 0: there is none
 * @done: bytes that it has, from the beginning of the piece on
 * @n: runs that these are in
 */
struct uffdvram_lease {
	uint64_t number;
	uint64_t done;
	uint64_t n;
};

/**
 * uffdvram_access_begin - have a device use pages of a range
 * @range: the range
 * @off: offset of the first byte in the range
 * @len: bytes; @off + @len must not pass the end of the range
 * @flags: UFFDVRAM_ACCESS_WRITE, UFFDVRAM_ACCESS_NOWAIT, UFFDVRAM_ACCESS_WP_ASYNC
 * @runs: out: addresses, and where their slots are in the range's pool
 * @max: elements of @runs, not 0
 * @lease: out: what there is of it
 *
 * The lease is shorter than @len, without an error, when @runs is full, or where something
 * stands in the way; what that is, the same call from there on tells. If the range was armed
 * with UFFDVRAM_ARM_WP_ASYNC, UFFDVRAM_ACCESS_WP_ASYNC need not be given. Goes on after
 * signals.
 *
 * Errors: -EINVAL (alignment, a length of 0, not within the range, no @max; no longer
 * private anonymous memory), -ENOENT (in no range any more), -ENODEV (the range has no
 * pool), -EACCES (the memory is not mapped for that), -EFAULT (not mapped, or it cannot be
 * faulted in), -EHWPOISON, -EBUSY (it is leased, or somebody holds it), -EAGAIN (NOWAIT: it
 * would have to be faulted in), -ENOSPC (no slot), -EDQUOT (the user's quota), -EIO (the
 * device failed), -EOPNOTSUPP (an unknown flag, or the module knows no leases), -ENOMEM,
 * -ESRCH (the address space is gone). There is no lease then.
 */
int uffdvram_access_begin(struct uffdvram_range *range, uint64_t off, uint64_t len,
			  uint32_t flags, struct uffdvram_slot_run *runs, size_t max,
			  struct uffdvram_lease *lease);

/**
 * uffdvram_access_end - the device is done with a lease
 * @ctx: the context of the range
 * @number: of the lease
 * @flags: UFFDVRAM_ACCESS_WRITTEN_ALL or 0
 * @written: bit i % 64 of element i / 64: page i of the lease was written; may be NULL
 * @nbits: how many pages that tells of; those after them were not written
 * @revoked: out: pages that did not stay in their slots; may be NULL
 *
 * Errors: -ESTALE (*revoked is not 0; the lease has ended all the same), -ENOENT (no such
 * lease), -EINVAL (too many bits, or bits with UFFDVRAM_ACCESS_WRITTEN_ALL, or without
 * @written; something written without UFFDVRAM_ACCESS_WRITE), -ENOMEM.
 */
int uffdvram_access_end(struct uffdvram_ctx *ctx, uint64_t number, uint32_t flags,
			const uint64_t *written, uint64_t nbits, uint64_t *revoked);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif /* UFFDVRAM_ACCESS_H */
