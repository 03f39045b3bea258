/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * races.c runs one of our calls against one of the kernel's ("rival") on the same
 * memory, round after round; races_rivals.c and races_more.c have the rivals.
 */
#ifndef UFFDVRAM_SELFTESTS_RACES_H
#define UFFDVRAM_SELFTESTS_RACES_H

#include "util_mm.h"

/**
 * struct field - the memory that is fought for
 * @mem: @len bytes, a range of @fd in @pool; each page has the pattern of @seed
 * @buf: as much, for copies
 * @elsewhere: addresses to move to
 * @fds: of the rival
 * @wrong: what a rival found to be wrong, or NULL
 */
struct field {
	int fd;
	uint32_t pool, range;
	char *mem, *buf, *elsewhere;
	size_t len;
	uint64_t seed;
	int fds[2];
	const char *wrong;
};

/* What a rival leaves of the pages. */
enum after {
	KEPT,		/* all their bytes */
	ZEROED,		/* all, or none of a page's bytes */
};

/**
 * struct rival - a call that changes or uses memory
 * @begin: once, before the first round; false: this kernel has none
 * @act: in each round, at the same time as ours
 * @end: once
 * @huge: 2 MiB of memory, instead of some pages
 */
struct rival {
	const char *name;
	bool (*begin)(struct field *f);
	void (*act)(struct field *f);
	void (*end)(struct field *f);
	enum after after;
	bool huge;
};

extern const struct rival rivals[], more_rivals[];
extern const unsigned int n_rivals, n_more_rivals;

/* If @is, @what is wrong, and the race is over. */
static inline void wrong(struct field *f, bool is, const char *what)
{
	if (is)
		f->wrong = what;
}

#endif /* UFFDVRAM_SELFTESTS_RACES_H */
