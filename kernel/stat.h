/* SPDX-License-Identifier: GPL-2.0-only */
/* Counters since module load, summed over CPUs when read. */
#ifndef _UFFDVRAM_STAT_H
#define _UFFDVRAM_STAT_H

#include <linux/percpu.h>
#include <linux/types.h>

/* Name, and what it counts. Slots in use are slots_allocated - slots_freed. */
#define UFFDVRAM_STATS(X)						\
	X(slots_allocated)	/* slots handed out */			\
	X(slots_freed)		/* slots given back, lost ones too */	\
	X(slots_lost)		/* slots whose data could not be read */\
	X(pages_in)		/* pages copied into VRAM by MIGRATE */	\
	X(pages_placed)		/* holes that MIGRATE filled in VRAM */	\
	X(pages_out)		/* pages brought home on request */	\
	X(folios_in)		/* of both, those of 2 MiB: folios */	\
	X(folios_out)		/* folios of 2 MiB brought home on request */\
	X(folios_fault)		/* those that a fault brought home */	\
	X(folios_small)		/* pieces that had to move as single pages */\
	X(folios_split)		/* folios of 2 MiB taken apart in VRAM */\
	X(faults)		/* CPU faults on pages in VRAM */	\
	X(fault_pages)		/* pages that these brought home */	\
	X(fault_retries)	/* faults that have to come again */	\
	X(fault_errors)		/* faults answered by SIGBUS */		\
	X(collapses_refused)	/* times khugepaged wanted a page home */ \
	X(collapses_served)	/* pages that MADV_COLLAPSE brought home */ \
	X(evicted)		/* those of pages_out that a slot asked for */\
	X(migrate_calls)	/* MIGRATE ioctls */			\
	X(migrate_raced)	/* pages that changed under a MIGRATE */\
	X(copy_read)		/* pages in VRAM that COPY read there */\
	X(copy_written)		/* pages in VRAM that COPY wrote there */\
	X(copy_ram)		/* pages that COPY read or wrote in RAM */\
	X(copy_raced)		/* pages that moved while COPY was at them */\
	X(poison_marked)	/* pages that POISON marked */		\
	X(poison_undone)	/* pages that UNDO took a mark from */	\
	X(leases_begun)		/* leases that ACCESS_BEGIN handed out */\
	X(leases_pages)		/* pages in them */			\
	X(leases_waits)		/* CPU faults that waited for a lease */\
	X(leases_revoked)	/* pages whose lease was revoked */	\
	X(leases_parked)	/* slots that a lease kept when their page had gone */\
	X(convert_private)	/* pages that CONVERT made private */	\
	X(convert_shared)	/* pages that it made shared again */	\
	X(convert_raced)	/* times it looked again: something had changed */\
	X(private_refused)	/* CPU faults on private pages, answered by SIGBUS */\
	X(private_destroyed)	/* private pages whose range or pool went: poison */\
	X(checksum_errors)	/* pages that were not what was stored */\
	X(objects_made)		/* contexts, pools, ranges and so on */	\
	X(objects_freed)	/* all of them, when the module goes */

enum uffdvram_stat {
#define UFFDVRAM_STAT_ENUM_(name)	UFFDVRAM_STAT_##name,
	UFFDVRAM_STATS(UFFDVRAM_STAT_ENUM_)
#undef UFFDVRAM_STAT_ENUM_
	UFFDVRAM_STAT_NR
};

struct uffdvram_stats {
	u64 count[UFFDVRAM_STAT_NR];
};

DECLARE_PER_CPU(struct uffdvram_stats, uffdvram_stats);

#define uffdvram_stat_add(name, n)					\
	this_cpu_add(uffdvram_stats.count[UFFDVRAM_STAT_##name], (n))
#define uffdvram_stat_inc(name)		uffdvram_stat_add(name, 1)

u64 uffdvram_stat_sum(enum uffdvram_stat stat);

#endif /* _UFFDVRAM_STAT_H */
