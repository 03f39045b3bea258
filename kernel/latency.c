// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cpumask.h>
#include <linux/errno.h>
#include <linux/percpu.h>
#include <linux/string.h>

#include "latency.h"

/* Allocated: all modules together have 8 KiB for per-CPU variables. */
struct uffdvram_latency_cpu __percpu *uffdvram_latency_cpus;

/**
 * uffdvram_latency_init() - before anything is measured
 *
 * Return: 0 or -ENOMEM.
 */
int uffdvram_latency_init(void)
{
	uffdvram_latency_cpus = alloc_percpu(struct uffdvram_latency_cpu);
	return uffdvram_latency_cpus ? 0 : -ENOMEM;
}

/* Nothing is measured any more. */
void uffdvram_latency_exit(void)
{
	free_percpu(uffdvram_latency_cpus);
}

/**
 * uffdvram_latency_sum() - read a histogram
 * @what: which
 * @sum: out; its count is that of its buckets, whatever comes meanwhile
 */
void uffdvram_latency_sum(enum uffdvram_latency what,
			  struct uffdvram_latency_sum *sum)
{
	const struct uffdvram_latency_cpu *l;
	unsigned int i;
	int cpu;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		l = per_cpu_ptr(uffdvram_latency_cpus, cpu);
		sum->ns += READ_ONCE(l->ns[what]);
		for (i = 0; i < UFFDVRAM_LATENCY_BUCKETS; i++)
			sum->bucket[i] += READ_ONCE(l->bucket[what][i]);
	}
	for (i = 0; i < UFFDVRAM_LATENCY_BUCKETS; i++)
		sum->count += sum->bucket[i];
}
