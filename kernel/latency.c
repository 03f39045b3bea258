// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitops.h>
#include <linux/cpumask.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/string.h>

#include "latency.h"

struct latency_cpu {
	u64 ns[UFFDVRAM_LATENCY_NR];
	u64 bucket[UFFDVRAM_LATENCY_NR][UFFDVRAM_LATENCY_BUCKETS];
};

/* Not static: all modules together have 8 KiB for per-CPU variables. */
static struct latency_cpu __percpu *latency_cpus;

/**
 * uffdvram_latency_init() - before anything is measured
 *
 * Return: 0 or -ENOMEM.
 */
int uffdvram_latency_init(void)
{
	latency_cpus = alloc_percpu(struct latency_cpu);
	return latency_cpus ? 0 : -ENOMEM;
}

/* Nothing is measured any more. */
void uffdvram_latency_exit(void)
{
	free_percpu(latency_cpus);
}

/**
 * uffdvram_latency_add() - count what is done now
 * @what: which histogram
 * @since: uffdvram_latency_now() when it began
 *
 * Any context.
 */
void uffdvram_latency_add(enum uffdvram_latency what, u64 since)
{
	/* It may have begun on a CPU whose clock is ahead. */
	u64 ns = max_t(s64, uffdvram_latency_now() - since, 0);

	this_cpu_add(latency_cpus->ns[what], ns);
	this_cpu_inc(latency_cpus->bucket[what][fls64(ns)]);
}

/**
 * uffdvram_latency_sum() - read a histogram
 * @what: which
 * @sum: out; its count is that of its buckets, whatever comes meanwhile
 */
void uffdvram_latency_sum(enum uffdvram_latency what,
			  struct uffdvram_latency_sum *sum)
{
	const struct latency_cpu *l;
	unsigned int i;
	int cpu;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		l = per_cpu_ptr(latency_cpus, cpu);
		sum->ns += READ_ONCE(l->ns[what]);
		for (i = 0; i < UFFDVRAM_LATENCY_BUCKETS; i++)
			sum->bucket[i] += READ_ONCE(l->bucket[what][i]);
	}
	for (i = 0; i < UFFDVRAM_LATENCY_BUCKETS; i++)
		sum->count += sum->bucket[i];
}
