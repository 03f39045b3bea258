/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long faults, moves and copies took since module load: histograms, a bucket for
 * each power of two of nanoseconds. Per CPU, summed when read: what is measured costs
 * two looks at the clock and two additions.
 */
#ifndef _UFFDVRAM_LATENCY_H
#define _UFFDVRAM_LATENCY_H

#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/sched/clock.h>
#include <linux/types.h>

/* Name, and what one entry is. */
#define UFFDVRAM_LATENCIES(X)							\
	X(fault)	/* a CPU fault that brought memory home */		\
	X(in)		/* a step, 2 MiB or less, that moved pages into VRAM */	\
	X(out)		/* a step that brought pages home, on request */	\
	X(copy_read)	/* a run of pages that COPY read in VRAM */		\
	X(copy_write)	/* a run of pages that COPY wrote there */

enum uffdvram_latency {
#define UFFDVRAM_LATENCY_ENUM_(name)	UFFDVRAM_LATENCY_##name,
	UFFDVRAM_LATENCIES(UFFDVRAM_LATENCY_ENUM_)
#undef UFFDVRAM_LATENCY_ENUM_
	UFFDVRAM_LATENCY_NR
};

/* One for each length that a number of nanoseconds can have in bits, but not 64. */
#define UFFDVRAM_LATENCY_BUCKETS	64

/**
 * struct uffdvram_latency_sum - one histogram, as it is read
 * @count: entries
 * @ns: all of them together
 * @bucket: entries by length: in [i] those below 2^i ns that are in no earlier one
 */
struct uffdvram_latency_sum {
	u64 count;
	u64 ns;
	u64 bucket[UFFDVRAM_LATENCY_BUCKETS];
};

struct uffdvram_latency_cpu {
	u64 ns[UFFDVRAM_LATENCY_NR];
	u64 bucket[UFFDVRAM_LATENCY_NR][UFFDVRAM_LATENCY_BUCKETS];
};

extern struct uffdvram_latency_cpu __percpu *uffdvram_latency_cpus;

int uffdvram_latency_init(void);
void uffdvram_latency_exit(void);
void uffdvram_latency_sum(enum uffdvram_latency what,
			  struct uffdvram_latency_sum *sum);

/*
 * The scheduler's clock: cheap on every machine. Where the kernel does not trust
 * the TSC, a task that changes its CPU may see it jump by a tick.
 */
static inline u64 uffdvram_latency_now(void)
{
	return local_clock();
}

/**
 * uffdvram_latency_add() - count what is done now
 * @what: which histogram
 * @since: uffdvram_latency_now() when it began
 *
 * Any context. Inline: where @what is a constant, little is left of it.
 */
static inline void uffdvram_latency_add(enum uffdvram_latency what, u64 since)
{
	/* It may have begun on a CPU whose clock is ahead. */
	u64 ns = max_t(s64, uffdvram_latency_now() - since, 0);

	this_cpu_add(uffdvram_latency_cpus->ns[what], ns);
	this_cpu_inc(uffdvram_latency_cpus->bucket[what][fls64(ns)]);
}

#endif /* _UFFDVRAM_LATENCY_H */
