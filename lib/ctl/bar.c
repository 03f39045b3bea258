// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The residency of a piece of memory as one line of characters.
 */
#include <string.h>

#include "bar.h"

enum look { LOOK_OTHER, LOOK_RAM, LOOK_SOME, LOOK_MOST, LOOK_VRAM, LOOK_POISON };

static const char *const looks[2][LOOK_POISON + 1] = {
	[BAR_ASCII] = { "_", ".", "-", "+", "#", "!" },
	[BAR_BLOCKS] = { "\u00b7", "\u2591", "\u2592", "\u2593", "\u2588", "!" },
};

static uint64_t bar_edge(const struct bar *bar, unsigned int col)
{
	return bar->start +
	       (__uint128_t)(bar->end - bar->start) * col / bar->cols;
}

void bar_init(struct bar *bar, uint64_t start, uint64_t end, unsigned int cols,
	      uint64_t page)
{
	uint64_t pages = (end - start) / page;

	memset(bar, 0, sizeof(*bar));
	bar->start = start;
	bar->end = end;
	bar->cols = pages < cols ? pages : cols;
}

void bar_add(struct bar *bar, const struct uffdvram_region *region)
{
	uint64_t start, end;
	unsigned int col;

	if (region->state >= BAR_STATES)
		return;
	for (col = 0; col < bar->cols; col++) {
		start = bar_edge(bar, col);
		end = bar_edge(bar, col + 1);
		if (start < region->start)
			start = region->start;
		if (end > region->end)
			end = region->end;
		if (start < end)
			bar->cell[col][region->state] += end - start;
	}
}

/* Poison is rare and matters: one byte of it marks the whole column. */
static enum look bar_look(const uint64_t cell[BAR_STATES])
{
	uint64_t vram = cell[UFFDVRAM_STATE_VRAM];
	uint64_t rest = cell[UFFDVRAM_STATE_PRESENT] + cell[UFFDVRAM_STATE_OTHER];

	if (cell[UFFDVRAM_STATE_POISON])
		return LOOK_POISON;
	if (vram)
		return !rest ? LOOK_VRAM : vram >= rest ? LOOK_MOST : LOOK_SOME;
	return cell[UFFDVRAM_STATE_PRESENT] ? LOOK_RAM : LOOK_OTHER;
}

const char *bar_text(char buf[BAR_TEXT_MAX], const struct bar *bar,
		     enum bar_style style)
{
	unsigned int col;
	char *p = buf;

	*p = '\0';
	for (col = 0; col < bar->cols; col++)
		p = stpcpy(p, looks[style][bar_look(bar->cell[col])]);
	return buf;
}

const char *bar_legend(enum bar_style style)
{
	return style == BAR_BLOCKS ?
	       "\u2588 VRAM  \u2593 half or more  \u2592 some  \u2591 RAM  "
	       "\u00b7 other (missing, swapped)  ! poison" :
	       "# VRAM  + half or more  - some  . RAM  "
	       "_ other (missing, swapped)  ! poison";
}
