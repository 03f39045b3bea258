/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_POOLS_H
#define UFFDVRAMCTL_POOLS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define POOLS_PATH "/sys/kernel/debug/uffdvram/pools"

/* One line of the module's list of pools. */
struct pool_line {
	uint32_t number;
	char backend[16];
	char device[16];	/* empty: it has none, nor the next three */
	uint64_t bar;
	uint64_t offset;
	bool combining;
	uint64_t bytes;
	uint64_t slots;
	uint64_t used;
	uint64_t lost;
	uint64_t quarantined;
	bool shared;
	bool draining;
	uint64_t fault;		/* bytes that a fault brings home */
};

/*
 * Reads the "name value" pairs of a line, in any order; names that are not known
 * here are passed over. Returns 0, or -EINVAL if the pool's number is missing or a
 * value is not well-formed.
 */
int pool_line_parse(const char *line, struct pool_line *p);

#endif /* UFFDVRAMCTL_POOLS_H */
