/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_BAR_H
#define UFFDVRAMCTL_BAR_H

#include <stddef.h>
#include <stdint.h>

#include <linux/uffdvram.h>

#define BAR_MAX_COLS	512
#define BAR_STATES	(UFFDVRAM_STATE_POISON + 1)

/* What bytes of a column are counted as: their state, and these besides. */
enum bar_kind {
	BAR_SWAPPED = BAR_STATES,
	BAR_HUGE,
	BAR_LEASED,
	BAR_EXISTS,		/* there is a page */
	BAR_PROTECTED,		/* of these, write-protected by userfaultfd, */
	BAR_SOFT_DIRTY,		/* with a soft-dirty mark */
	BAR_KINDS
};

/* How a column looks: all, half or more, or some of it is in VRAM; and so on. */
enum bar_glyph {
	GLYPH_NONE,
	GLYPH_BASE,		/* some in RAM, none in VRAM */
	GLYPH_SOME,
	GLYPH_MOST,
	GLYPH_ALL,
	GLYPH_SWAPPED,		/* some swapped out, nothing else there */
	GLYPH_POISON,
	GLYPHS
};

/* What a column of dirt tells. */
enum bar_dirt {
	BAR_DIRT_UNKNOWN,
	BAR_DIRT_WRITTEN,	/* pages that are not protected, where others are */
	BAR_DIRT_SOFT,		/* pages with a soft-dirty mark */
};

enum bar_style { BAR_ASCII, BAR_BLOCKS };

/* A picture in one line of where the bytes of [start, end) live. */
struct bar {
	uint64_t start;
	uint64_t end;
	unsigned int cols;
	uint64_t cell[BAR_MAX_COLS][BAR_KINDS];	/* bytes */
	uint64_t sum[BAR_KINDS];
};

/*
 * Makes an empty bar of @cols columns, 1 to BAR_MAX_COLS; fewer where the piece has
 * not so many pages of @page bytes. Bounds are multiples of @page, start < end.
 */
void bar_init(struct bar *bar, uint64_t start, uint64_t end, unsigned int cols,
	      uint64_t page);

/* Adds what lies within the bar; of other states: nothing. */
void bar_add(struct bar *bar, const struct uffdvram_region *region);

/* The same of pages that look like LOOK_*. */
void bar_add_look(struct bar *bar, uint64_t start, uint64_t end, unsigned int look);

enum bar_glyph bar_glyph(const uint64_t cell[BAR_KINDS]);

/* Most bytes that bar_text() can need, with the final 0. */
#define BAR_TEXT_MAX	(3 * BAR_MAX_COLS + 1)

/* Returns @buf. */
const char *bar_text(char buf[BAR_TEXT_MAX], const struct bar *bar,
		     enum bar_style style);

/* One line that explains the columns. */
const char *bar_legend(enum bar_style style);

/* What is known of dirt: written, where a page of the bar is protected. */
enum bar_dirt bar_dirt(const struct bar *bar);

/* How many bytes of a column's cell, or of bar->sum, are dirty, of cell[BAR_EXISTS]. */
uint64_t bar_dirty(const uint64_t cell[BAR_KINDS], enum bar_dirt dirt);

/* The dirt as a line, and one that explains it. */
const char *bar_dirt_text(char buf[BAR_TEXT_MAX], const struct bar *bar,
			  enum bar_style style, enum bar_dirt dirt);
const char *bar_dirt_legend(enum bar_style style);

#endif /* UFFDVRAMCTL_BAR_H */
