/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pattern: what the guest of the VMM's test writes. The test computes the sums
 * by itself, so that a guest that checks nothing cannot pass.
 */
#ifndef VMM_PATTERN_H
#define VMM_PATTERN_H

#include <stdint.h>

/* What pass @pass leaves in word @i: no two words or passes are alike. */
static inline uint64_t pattern(uint64_t i, uint64_t pass)
{
	uint64_t x = (i + 1) * 0xbf58476d1ce4e5b9ULL + pass * 0x94d049bb133111ebULL;

	return x ^ x >> 31;
}

#endif
