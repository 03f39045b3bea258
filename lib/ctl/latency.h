/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_LATENCY_H
#define UFFDVRAMCTL_LATENCY_H

#include <stdint.h>

#define LATENCY_PATH "/sys/kernel/debug/uffdvram/latency"

#define LATENCY_BUCKETS	64
/* A line that has all of them, with the largest numbers. */
#define LATENCY_LINE_MAX 4096

/* One line of the module's histograms. */
struct latency {
	char op[16];
	uint64_t count;
	uint64_t sum_ns;
	/* [i]: what took less than 2^i ns, and is in no bucket before it */
	uint64_t bucket[LATENCY_BUCKETS];
};

/*
 * Reads the pairs of a line, in any order; names that are not known here are passed
 * over. Returns 0; or -EINVAL if there is no op, a bucket's name is no power of two
 * or there twice, a value is not well-formed, or the buckets do not add up to count.
 */
int latency_parse(const char *line, struct latency *l);

/*
 * The least time of which it is known that @percent (1 to 100) of all took less:
 * the end of a bucket, in ns. 0 if there are none.
 */
uint64_t latency_quantile(const struct latency *l, unsigned int percent);

#endif /* UFFDVRAMCTL_LATENCY_H */
