/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/* Part of uffdvram.h, which includes it: leases, by which a device uses pages. */
#ifndef _UAPI_LINUX_UFFDVRAM_ACCESS_H
#define _UAPI_LINUX_UFFDVRAM_ACCESS_H

#include <linux/types.h>

/**
 * struct uffdvram_slot_run - pages that are neighbours, and so are their slots
 * @addr: first byte
 * @off: offset of its slot in the range's pool
 * @len: bytes
 */
struct uffdvram_slot_run {
	__u64 addr;
	__u64 off;
	__u64 len;
};

/**
 * struct uffdvram_access_begin - have the device use pages of a range: a lease
 * @size: sizeof(struct uffdvram_access_begin)
 * @flags: UFFDVRAM_ACCESS_*, but not WRITTEN_ALL
 * @addr: first byte
 * @len: bytes
 * @vec: user pointer to an array of struct uffdvram_slot_run
 * @vec_len: elements of @vec
 * @used: out: elements written
 * @done: out: bytes leased
 * @lease: out: number of the lease in this context, never 0; 0 after an error
 *
 * A device's fault: pages that are missing are brought in, through userfaultfd where
 * that watches, as a CPU's read or write would; so are, for WRITE, those that it
 * protects against writes. Then they move to the range's pool, if they are not there,
 * and stay in their slots until ACCESS_END. @vec says which.
 *
 * A lease ends where the range does, where @vec is full, or before a page that cannot be
 * had: @done is short of @len then, without an error. If not even the first page can be
 * had there is no lease, and an error says why. A page is in one lease at a time.
 *
 * A CPU that touches a leased page waits until the lease ends, or for as long as the
 * module parameter lease_wait_ms says; then, and at once if it must not wait or is the
 * thread that began the lease, the page is revoked: it comes home, and the
 * slot stays the device's until ACCESS_END, which says ESTALE. fork(2), munmap(2),
 * mremap(2), RANGE_UNREGISTER and POOL_DETACH revoke without waiting. MADV_DONTNEED and
 * POISON drop a leased page; its slot stays the device's, too. COPY does not wait, and
 * MIGRATE leaves leased pages where they are. Until ACCESS_END, what a page holds that
 * the device and somebody else use at once is undefined.
 *
 * WRITE alone dirties nothing; but HARVEST reports all pages as written until ACCESS_END.
 *
 * Errors: EINVAL (alignment, overflow, no vec, not private anonymous memory), ENOENT
 * (@addr is in no range), ENODEV (the range has no pool, or that is being detached),
 * EACCES (the memory is not mapped for such an access), EFAULT (@vec; or the page could
 * not be faulted in), EHWPOISON (poisoned, or its data was lost), EBUSY (it is leased, or
 * shared, or somebody holds it), EAGAIN (NOWAIT: it would have to be faulted in), ENOSPC
 * (no slot left), EDQUOT (the user's quota), EIO (the device failed), ENOMEM, ESRCH,
 * EINTR, EOPNOTSUPP.
 */
struct uffdvram_access_begin {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 len;
	__u64 vec;
	__u64 vec_len;
	__u64 used;
	__u64 done;
	__u64 lease;
};
#define UFFDVRAM_ACCESS_BEGIN		_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_ACCESS_BEGIN)

/** UFFDVRAM_ACCESS_WRITE - the device may write, too. */
#define UFFDVRAM_ACCESS_WRITE		(1U << 0)
/** UFFDVRAM_ACCESS_NOWAIT - fault nothing in: end at a page that it would take. */
#define UFFDVRAM_ACCESS_NOWAIT		(1U << 1)
/** UFFDVRAM_ACCESS_WRITTEN_ALL - ACCESS_END: all pages were written. */
#define UFFDVRAM_ACCESS_WRITTEN_ALL	(1U << 2)
/**
 * UFFDVRAM_ACCESS_WP_ASYNC - the range is protected by a userfaultfd with
 * UFFD_FEATURE_WP_ASYNC: nobody waits for writes. So protected pages need no fault to be
 * leased for WRITE, and those that were not written stay protected.
 */
#define UFFDVRAM_ACCESS_WP_ASYNC	(1U << 3)

/**
 * struct uffdvram_access_end - the device is done with a lease
 * @size: sizeof(struct uffdvram_access_end)
 * @flags: UFFDVRAM_ACCESS_WRITTEN_ALL or 0
 * @lease: the lease
 * @bitmap: user pointer to __u64: bit i % 64 of element i / 64: page i of the lease,
 *	from @addr of ACCESS_BEGIN on, was written; 0 if @nbits is
 * @nbits: how many pages that tells of; those after them were not written
 * @revoked: out: pages that did not stay in their slots until now
 *
 * What was written is so marked for who tracks writes: soft-dirty, and, with userfaultfd's
 * write protection, as by a CPU's write. (One mark is for 2 MiB where one entry maps them.)
 * Pages that were revoked may hold any of what the device wrote before; those that a fault
 * brought home are marked, if the device could write them.
 *
 * When a context is closed its leases end, and all pages of those with WRITE are marked.
 *
 * Errors: ENOENT (no such lease in this context), EINVAL (more bits than pages, a bitmap
 * without bits or the reverse, or with WRITTEN_ALL; anything written without
 * ACCESS_BEGIN's WRITE), EFAULT, ENOMEM: then the lease goes on. It has ended with ESTALE
 * (@revoked is not 0) and EINTR (killed; all that could be counts as written).
 */
struct uffdvram_access_end {
	__u32 size;
	__u32 flags;
	__u64 lease;
	__u64 bitmap;
	__u64 nbits;
	__u64 revoked;
};
#define UFFDVRAM_ACCESS_END		_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_ACCESS_END)

/**
 * enum uffdvram_revoked - cause of a UFFDVRAM_EVENT_LEASE_REVOKED
 *
 * That comes when pages are revoked, to the context that began the lease; and
 * UFFDVRAM_EVENT_LEASE_WANTED once for each page that a CPU waits for.
 */
enum uffdvram_revoked {
	UFFDVRAM_REVOKED_CPU = 1,	/* a CPU did not wait, or has waited long enough */
	UFFDVRAM_REVOKED_FORK = 2,	/* a forked process shares them now */
	UFFDVRAM_REVOKED_GONE = 3,	/* unmapped, moved away, or no range any more */
	UFFDVRAM_REVOKED_POOL = 4,	/* their pool is detached, or has trouble */
};

#endif /* _UAPI_LINUX_UFFDVRAM_ACCESS_H */
