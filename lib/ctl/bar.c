// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The residency of a piece of memory as one line of characters.
 */
#include <stdbool.h>
#include <string.h>

#include "bar.h"
#include "looks.h"

static const char *const glyphs[2][GLYPHS] = {
	[BAR_ASCII] = { "_", ".", "-", "+", "#", "s", "!" },
	[BAR_BLOCKS] = { "\u00b7", "\u2591", "\u2592", "\u2593", "\u2588", "s", "!" },
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

/* Adds the part of [start, end) that lies within the bar to each of @kinds. */
static void bar_add_kinds(struct bar *bar, uint64_t start, uint64_t end, unsigned int kinds)
{
	unsigned int col, kind;
	uint64_t from, to;

	for (col = 0; col < bar->cols; col++) {
		from = bar_edge(bar, col);
		to = bar_edge(bar, col + 1);
		if (from < start)
			from = start;
		if (to > end)
			to = end;
		for (kind = 0; from < to && kind < BAR_KINDS; kind++) {
			if (!(kinds >> kind & 1))
				continue;
			bar->cell[col][kind] += to - from;
			bar->sum[kind] += to - from;
		}
	}
}

void bar_add(struct bar *bar, const struct uffdvram_region *region)
{
	if (region->state < BAR_STATES)
		bar_add_kinds(bar, region->start, region->end, 1U << region->state);
}

void bar_add_look(struct bar *bar, uint64_t start, uint64_t end, unsigned int look)
{
	unsigned int kinds = 1U << (look & LOOK_STATE);

	if (look & LOOK_HUGE)
		kinds |= 1U << BAR_HUGE;
	if (look & LOOK_LEASED)
		kinds |= 1U << BAR_LEASED;
	if (look & LOOK_SWAPPED)
		kinds |= 1U << BAR_SWAPPED;
	if (look_exists(look)) {
		kinds |= 1U << BAR_EXISTS;
		if (look & LOOK_PROTECTED)
			kinds |= 1U << BAR_PROTECTED;
		if (look & LOOK_SOFT_DIRTY)
			kinds |= 1U << BAR_SOFT_DIRTY;
	}
	bar_add_kinds(bar, start, end, kinds);
}

/* @part and @rest of something: all, most, some or none; nothing at all */
static enum bar_glyph bar_share(uint64_t part, uint64_t rest, bool base)
{
	if (part)
		return !rest ? GLYPH_ALL : part >= rest ? GLYPH_MOST : GLYPH_SOME;
	return base ? GLYPH_BASE : GLYPH_NONE;
}

/* Poison is rare and matters: one byte of it marks the whole column. */
enum bar_glyph bar_glyph(const uint64_t cell[BAR_KINDS])
{
	uint64_t vram = cell[UFFDVRAM_STATE_VRAM], ram = cell[UFFDVRAM_STATE_PRESENT];

	if (cell[UFFDVRAM_STATE_POISON])
		return GLYPH_POISON;
	if (cell[BAR_SWAPPED] && !vram && !ram)
		return GLYPH_SWAPPED;
	return bar_share(vram, ram + cell[UFFDVRAM_STATE_OTHER], ram);
}

const char *bar_text(char buf[BAR_TEXT_MAX], const struct bar *bar,
		     enum bar_style style)
{
	unsigned int col;
	char *p = buf;

	*p = '\0';
	for (col = 0; col < bar->cols; col++)
		p = stpcpy(p, glyphs[style][bar_glyph(bar->cell[col])]);
	return buf;
}

const char *bar_legend(enum bar_style style)
{
	return style == BAR_BLOCKS ?
	       "\u2588 VRAM  \u2593 half or more  \u2592 some  \u2591 RAM  "
	       "\u00b7 other (missing)  s swapped  ! poison" :
	       "# VRAM  + half or more  - some  . RAM  "
	       "_ other (missing)  s swapped  ! poison";
}

enum bar_dirt bar_dirt(const struct bar *bar)
{
	if (bar->sum[BAR_PROTECTED])
		return BAR_DIRT_WRITTEN;
	return bar->sum[BAR_SOFT_DIRTY] ? BAR_DIRT_SOFT : BAR_DIRT_UNKNOWN;
}

uint64_t bar_dirty(const uint64_t cell[BAR_KINDS], enum bar_dirt dirt)
{
	switch (dirt) {
	case BAR_DIRT_WRITTEN:
		return cell[BAR_EXISTS] - cell[BAR_PROTECTED];
	case BAR_DIRT_SOFT:
		return cell[BAR_SOFT_DIRTY];
	default:
		return 0;
	}
}

const char *bar_dirt_text(char buf[BAR_TEXT_MAX], const struct bar *bar,
			  enum bar_style style, enum bar_dirt dirt)
{
	unsigned int col;
	uint64_t dirty;
	char *p = buf;

	*p = '\0';
	for (col = 0; col < bar->cols; col++) {
		dirty = bar_dirty(bar->cell[col], dirt);
		p = stpcpy(p, glyphs[style][bar_share(dirty, bar->cell[col][BAR_EXISTS] - dirty,
						      bar->cell[col][BAR_EXISTS])]);
	}
	return buf;
}

const char *bar_dirt_legend(enum bar_style style)
{
	return style == BAR_BLOCKS ?
	       "dirt: \u2588 all of what is there  \u2593 half or more  \u2592 some  "
	       "\u2591 none  \u00b7 nothing is there" :
	       "dirt: # all of what is there  + half or more  - some  . none  "
	       "_ nothing is there";
}
