/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_TARGET_H
#define UFFDVRAMCTL_TARGET_H

#include "session.h"

/* A piece of memory that a word of the command line means. */
struct target {
	uint64_t addr;
	uint64_t len;
	uint32_t range;		/* its number, if it is a range of this run; else 0 */
};

struct targets {
	struct target *list;
	size_t n;
};

/*
 * What @word, of command @cmd, means: a range's number, "all" ranges of this run,
 * ADDR+LEN, anon:SIZE, or "largest" (piece of anonymous memory). At least one piece
 * after CTL_OK; the caller frees it with targets_free(). Otherwise a message has been
 * printed, and nothing is to be freed.
 */
int targets_find(struct session *s, const char *cmd, const char *word,
		 struct targets *out);

void targets_free(struct targets *t);

/* "range 3 0x7f0000000000+64M", or without the range. Returns @buf. */
#define TARGET_TEXT_MAX 80
const char *target_text(char buf[TARGET_TEXT_MAX], const struct target *t);

#endif /* UFFDVRAMCTL_TARGET_H */
