/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/* uffdvram: what a context tells; a part of <linux/uffdvram.h>, which includes it. */
#ifndef _UAPI_LINUX_UFFDVRAM_EVENT_H
#define _UAPI_LINUX_UFFDVRAM_EVENT_H

#include <linux/uffdvram.h>

/** enum uffdvram_event_type - what happened */
enum uffdvram_event_type {
	UFFDVRAM_EVENT_FAULT_BACK = 1,	/* a fault brought pages home */
	UFFDVRAM_EVENT_POOL_PRESSURE = 2, /* a pool has few slots left */
	UFFDVRAM_EVENT_RANGE_GONE = 3,	/* memory of a range is gone */
	UFFDVRAM_EVENT_POOL_TROUBLE = 4, /* a pool's device has trouble: it is closed */
	UFFDVRAM_EVENT_PAGE_LOST = 5,	/* pages could not be read: they are poison */
	UFFDVRAM_EVENT_LEASE_WANTED = 6, /* a CPU waits for a page of a lease */
	UFFDVRAM_EVENT_LEASE_REVOKED = 7, /* pages of a lease were taken from it */
};

/** enum uffdvram_back - cause of a UFFDVRAM_EVENT_FAULT_BACK */
enum uffdvram_back {
	UFFDVRAM_BACK_ACCESS = 0,	/* a CPU, or the kernel on behalf of a program */
	UFFDVRAM_BACK_COLLAPSE = 1,	/* MADV_COLLAPSE, to make a huge page */
};

/** enum uffdvram_gone - cause of a UFFDVRAM_EVENT_RANGE_GONE */
enum uffdvram_gone {
	UFFDVRAM_GONE_UNMAPPED = 1,	/* munmap, or mremap to elsewhere */
	UFFDVRAM_GONE_EXIT = 2,		/* exit or exec: all ranges (@range is 0) */
	UFFDVRAM_GONE_FORKED = 3,	/* exclusive: inherited, what was private is lost */
	UFFDVRAM_GONE_PROTECTED = 4,	/* exclusive: likewise, by mprotect */
	UFFDVRAM_GONE_DISCARDED = 5,	/* exclusive: private pages were discarded: poison */
};

/** enum uffdvram_trouble - cause of a UFFDVRAM_EVENT_POOL_TROUBLE; no way back */
enum uffdvram_trouble {
	UFFDVRAM_TROUBLE_EVACUATE = 1,	/* all pages come home while that works */
	UFFDVRAM_TROUBLE_LOST = 2,	/* nothing can be read any more: they are poison */
	UFFDVRAM_TROUBLE_GONE = 3,	/* it goes: the pool ends when all are home or lost */
};

/**
 * struct uffdvram_event - what read(2) on a context gives, one or more at a time
 * @type: enum uffdvram_event_type
 * @cause: FAULT_BACK: enum uffdvram_back; RANGE_GONE: enum uffdvram_gone; POOL_TROUBLE:
 *	enum uffdvram_trouble; POOL_PRESSURE: 1 when it is full; LEASE_REVOKED: enum
 *	uffdvram_revoked; else 0
 * @seq: counts the context's events from 1; a gap: events were lost
 * @range: number of the range; POOL_*: number of the pool; LEASE_*: of the lease
 * @addr: first byte that it is about; POOL_*: 0; PAGE_LOST: 0 where the page is not
 *	mapped at its place in the range: in a child, or after mremap
 * @len: bytes; POOL_PRESSURE: bytes that are free; POOL_TROUBLE: 0
 * @time_ns: CLOCK_MONOTONIC
 *
 * A context keeps the last UFFDVRAM_EVENTS_MAX events until they are read. A
 * buffer shorter than one event is EINVAL. Without an event read(2) waits, or
 * fails with EAGAIN if the descriptor is non-blocking; poll(2) says POLLIN when
 * there is one.
 *
 * FAULT_BACK comes for ranges registered with UFFDVRAM_RANGE_FAULT_EVENTS.
 * POOL_PRESSURE comes to every context with a range in the pool when less than an
 * eighth of it is free, and when it is full; again only after a quarter was free.
 * POOL_TROUBLE comes to the same, once for each cause: LOST or GONE may follow.
 * PAGE_LOST comes when a copy out of VRAM fails or finds other bytes than were stored.
 * Of pages that are lost with their whole pool POOL_TROUBLE has told, or who asked for it.
 * Unmapping a range does not unregister it. RANGE_GONE of FORKED, PROTECTED and DISCARDED
 * comes for exclusive ranges, where private pages were lost by it.
 */
struct uffdvram_event {
	__u32 type;
	__u32 cause;
	__u64 seq;
	__u64 range;
	__u64 addr;
	__u64 len;
	__u64 time_ns;
};

/** UFFDVRAM_EVENTS_MAX - events that wait for a reader; older ones are lost. */
#define UFFDVRAM_EVENTS_MAX		256

#endif /* _UAPI_LINUX_UFFDVRAM_EVENT_H */
