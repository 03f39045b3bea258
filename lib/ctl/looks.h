/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_LOOKS_H
#define UFFDVRAMCTL_LOOKS_H

#include <stdio.h>

#include "session.h"

/*
 * What a page looks like: where it lives, as the module says (LOOK_STATE: enum
 * uffdvram_state), and what /proc/PID/pagemap knows besides.
 */
#define LOOK_STATE	3U
#define LOOK_HUGE	(1U << 2)	/* mapped by an entry of 2 MiB */
#define LOOK_LEASED	(1U << 3)	/* a device is using it */
#define LOOK_SWAPPED	(1U << 4)	/* swapped out, moving, or a protected hole */
#define LOOK_PROTECTED	(1U << 5)	/* write-protected by userfaultfd */
#define LOOK_SOFT_DIRTY	(1U << 6)

/* Takes pages [start, end), which look the same; 0 or -errno, which ends it. */
typedef int look_fn(uint64_t start, uint64_t end, unsigned int look, void *data);

/* /proc/PID/pagemap of the session's process; NULL: it cannot be read, or has ended */
FILE *looks_open(const struct session *s);

/*
 * Looks at [addr, addr + len), whole pages, and passes all of it to @fn in runs, which
 * may be broken anywhere. @pagemap: from looks_open(); NULL: only what the module says.
 * The two are not asked at the same moment. 0 or -errno.
 */
int looks_visit(struct session *s, FILE *pagemap, uint64_t addr, uint64_t len, look_fn *fn,
		void *data);

/* Whether there is a page: not where nothing was written yet, or it was discarded. */
static inline bool look_exists(unsigned int look)
{
	return (look & LOOK_STATE) != UFFDVRAM_STATE_OTHER || look & LOOK_SWAPPED;
}

#endif /* UFFDVRAMCTL_LOOKS_H */
