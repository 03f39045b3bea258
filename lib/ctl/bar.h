/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_BAR_H
#define UFFDVRAMCTL_BAR_H

#include <stddef.h>
#include <stdint.h>

#include <linux/uffdvram.h>

#define BAR_MAX_COLS	512
#define BAR_STATES	(UFFDVRAM_STATE_POISON + 1)

enum bar_style { BAR_ASCII, BAR_BLOCKS };

/* A picture in one line of where the bytes of [start, end) live. */
struct bar {
	uint64_t start;
	uint64_t end;
	unsigned int cols;
	uint64_t cell[BAR_MAX_COLS][BAR_STATES];	/* bytes by state */
};

/*
 * Makes an empty bar of @cols columns, 1 to BAR_MAX_COLS; fewer where the piece has
 * not so many pages of @page bytes. Bounds are multiples of @page, start < end.
 */
void bar_init(struct bar *bar, uint64_t start, uint64_t end, unsigned int cols,
	      uint64_t page);

/* Adds what lies within the bar. */
void bar_add(struct bar *bar, const struct uffdvram_region *region);

/* Most bytes that bar_text() can need, with the final 0. */
#define BAR_TEXT_MAX	(3 * BAR_MAX_COLS + 1)

/* Returns @buf. */
const char *bar_text(char buf[BAR_TEXT_MAX], const struct bar *bar,
		     enum bar_style style);

/* One line that explains the columns. */
const char *bar_legend(enum bar_style style);

#endif /* UFFDVRAMCTL_BAR_H */
