/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests need to know of each line of UFFDVRAM_IOCTLS beyond its structure.
 * A new line needs one in each list.
 */
#ifndef UFFDVRAM_SELFTESTS_IOCTLS_H
#define UFFDVRAM_SELFTESTS_IOCTLS_H

#include <linux/uffdvram.h>
#include <stddef.h>

/* The flags that this release knows... */
#define INFO_FLAGS		0
#define OPEN_PID_FLAGS		0
/* FORCE is for BARs: pci.c */
#define POOL_ATTACH_FLAGS	(UFFDVRAM_POOL_SHARED | UFFDVRAM_POOL_UNCHECKED)
#define POOL_DETACH_FLAGS	UFFDVRAM_DETACH_DISCARD
#define RANGE_REGISTER_FLAGS	(UFFDVRAM_RANGE_LINEAR | UFFDVRAM_RANGE_EXCLUSIVE | \
				 UFFDVRAM_RANGE_FAULT_EVENTS)
#define RANGE_UNREGISTER_FLAGS	0
#define MIGRATE_FLAGS		(UFFDVRAM_MIGRATE_TO_RAM | UFFDVRAM_MIGRATE_POPULATED)
#define QUERY_FLAGS		0
#define COPY_FLAGS		(UFFDVRAM_COPY_WRITE | UFFDVRAM_COPY_NOFAULT)
#define POISON_FLAGS		(UFFDVRAM_POISON_REPLACE | UFFDVRAM_POISON_UNDO)
#define POISON_LIST_FLAGS	0
#define HARVEST_FLAGS		(UFFDVRAM_HARVEST_COMMIT | UFFDVRAM_HARVEST_BITMAP)
#define ACCESS_BEGIN_FLAGS	(UFFDVRAM_ACCESS_WRITE | UFFDVRAM_ACCESS_NOWAIT | \
				 UFFDVRAM_ACCESS_WP_ASYNC)
#define ACCESS_END_FLAGS	UFFDVRAM_ACCESS_WRITTEN_ALL
#define CONVERT_FLAGS		(UFFDVRAM_CONVERT_PRIVATE | UFFDVRAM_CONVERT_WAIT)

/* ... the first and the last output member, which stand together... */
#define INFO_OUT		abi, __reserved
#define OPEN_PID_OUT		fd, fd
#define POOL_ATTACH_OUT		pool, pool
#define POOL_DETACH_OUT		left, left
#define RANGE_REGISTER_OUT	range, range
#define RANGE_UNREGISTER_OUT	size, size	/* none */
#define MIGRATE_OUT		done, first
#define QUERY_OUT		used, count
#define COPY_OUT		done, done
#define POISON_OUT		done, bad_addr
#define POISON_LIST_OUT		used, done
#define HARVEST_OUT		used, cookie	/* of a cookie that is 0 */
#define ACCESS_BEGIN_OUT	used, lease
#define ACCESS_END_OUT		revoked, revoked
#define CONVERT_OUT		cause, bad_addr

/* ... and the members that must be 0 in the good argument. */
#define MEMBER(name, member)	offsetof(struct uffdvram_##name, member)
#define INFO_RESERVED		0
#define OPEN_PID_RESERVED	0
#define POOL_ATTACH_RESERVED	MEMBER(pool_attach, addr), MEMBER(pool_attach, pci_sbdf), \
				MEMBER(pool_attach, pci_bar)
#define POOL_DETACH_RESERVED	MEMBER(pool_detach, __reserved)
#define RANGE_REGISTER_RESERVED	MEMBER(range_register, pool_off)	/* without LINEAR */
#define RANGE_UNREGISTER_RESERVED MEMBER(range_unregister, __reserved)
#define MIGRATE_RESERVED	0
#define QUERY_RESERVED		0
#define COPY_RESERVED		0
#define POISON_RESERVED		0
#define POISON_LIST_RESERVED	0
#define HARVEST_RESERVED	MEMBER(harvest, __reserved)
#define ACCESS_BEGIN_RESERVED	0
#define ACCESS_END_RESERVED	MEMBER(access_end, nbits)	/* without a bitmap */
#define CONVERT_RESERVED	MEMBER(convert, timeout_ms)	/* without WAIT */

/* For initialisers: .out and .out_end, where the output members begin and end. */
#define END(name, member)	(MEMBER(name, member) + \
				 sizeof(((struct uffdvram_##name *)0)->member))
#define OUT(name, ...)		OUT_(name, __VA_ARGS__)
#define OUT_(name, from, to)	.out = MEMBER(name, from), .out_end = END(name, to)

#endif /* UFFDVRAM_SELFTESTS_IOCTLS_H */
