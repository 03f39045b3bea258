// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cpumask.h>

#include "stat.h"

DEFINE_PER_CPU(struct uffdvram_stats, uffdvram_stats);

u64 uffdvram_stat_sum(enum uffdvram_stat stat)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(uffdvram_stats, cpu).count[stat]);
	return sum;
}
