// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where memory lives, and what of it is dirty, as a picture: each cell is a column of a
 * bar, with a strip below it for the dirt.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "svg.h"

#define CELL	10	/* of width */
#define HOME	9	/* height of a cell, */
#define DIRT	3	/* and of its dirt */
#define ROW	(HOME + DIRT + 2)
#define LINE	18	/* of text */
#define MARGIN	8

static const char *const home_names[GLYPHS] = {
	"none", "ram", "some", "most", "vram", "swapped", "poison",
};

static const char style[] =
"<style>text{font:12px monospace;fill:#222}rect{shape-rendering:crispEdges}\n"
".none{fill:#f4f4f4}.ram{fill:#c8c8c8}.some{fill:#b3cdf0}.most{fill:#6f9fdf}"
".vram{fill:#1f5fbf}.swapped{fill:#ead9a0}.poison{fill:#d02020}\n"
".huge{stroke:#000;stroke-opacity:.35}.leased{stroke:#e07000;stroke-opacity:1}"
".dirty{fill:#d05000}</style>\n";

int svg_map_init(struct svg_map *m, uint64_t start, uint64_t end, unsigned int cols,
		 uint64_t page)
{
	uint64_t pages = (end - start) / page, from, to;
	unsigned int i;

	m->n = pages / cols < 1 ? 1 : pages / cols > SVG_MAX_ROWS ? SVG_MAX_ROWS : pages / cols;
	m->rows = calloc(m->n, sizeof(*m->rows));
	if (!m->rows)
		return -ENOMEM;
	for (i = 0, from = start; i < m->n; i++, from = to) {
		to = start + (uint64_t)((__uint128_t)pages * (i + 1) / m->n) * page;
		bar_init(&m->rows[i], from, to, cols, page);
	}
	return 0;
}

void svg_map_add(struct svg_map *m, uint64_t start, uint64_t end, unsigned int look)
{
	unsigned int i;

	for (i = 0; i < m->n; i++)
		if (start < m->rows[i].end && end > m->rows[i].start)
			bar_add_look(&m->rows[i], start, end, look);
}

void svg_map_free(struct svg_map *m)
{
	free(m->rows);
	m->rows = NULL;
}

/* What two cells have to have in common to be drawn as one. */
struct svg_cell {
	enum bar_glyph home;
	bool huge, leased;
	unsigned int dirty;	/* in tenths of what is there, more than 0 if any is */
};

static struct svg_cell svg_cell(const uint64_t cell[BAR_KINDS], enum bar_dirt dirt)
{
	uint64_t dirty = bar_dirty(cell, dirt), whole = cell[BAR_EXISTS];

	return (struct svg_cell){
		.home = bar_glyph(cell),
		.huge = cell[BAR_HUGE],
		.leased = cell[BAR_LEASED],
		.dirty = dirty ? (unsigned int)((__uint128_t)dirty * 9 / whole) + 1 : 0,
	};
}

static bool svg_same(struct svg_cell a, struct svg_cell b)
{
	return a.home == b.home && a.huge == b.huge && a.leased == b.leased &&
	       a.dirty == b.dirty;
}

static void svg_cells(struct svg *svg, unsigned int col, unsigned int n, struct svg_cell cell)
{
	unsigned int x = MARGIN + col * CELL;

	fprintf(svg->body, "<rect class=\"%s%s%s\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%d\"/>\n",
		home_names[cell.home], cell.huge ? " huge" : "", cell.leased ? " leased" : "",
		x, svg->height, n * CELL, HOME);
	if (cell.dirty)
		fprintf(svg->body, "<rect class=\"dirty\" opacity=\"%u.%u\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%d\"/>\n",
			cell.dirty / 10, cell.dirty % 10, x, svg->height + HOME, n * CELL, DIRT);
}

static void svg_row(struct svg *svg, const struct bar *bar, enum bar_dirt dirt)
{
	unsigned int first, col;
	struct svg_cell cell;

	for (first = 0; first < bar->cols; first = col) {
		cell = svg_cell(bar->cell[first], dirt);
		for (col = first + 1; col < bar->cols; col++)
			if (!svg_same(svg_cell(bar->cell[col], dirt), cell))
				break;
		svg_cells(svg, first, col - first, cell);
	}
	svg->height += ROW;
	if (svg->width < 2 * MARGIN + bar->cols * CELL)
		svg->width = 2 * MARGIN + bar->cols * CELL;
}

static int svg_body(struct svg *svg)
{
	if (svg->body)
		return 0;
	svg->body = open_memstream(&svg->text, &svg->len);
	svg->height = MARGIN;
	svg->width = 640;
	return svg->body ? 0 : -ENOMEM;
}

static void svg_line(struct svg *svg, const char *text)
{
	svg->height += LINE;
	fprintf(svg->body, "<text x=\"%d\" y=\"%u\">%s</text>\n", MARGIN, svg->height - 5, text);
}

int svg_draw(struct svg *svg, const char *title, const struct svg_map *m, enum bar_dirt dirt)
{
	unsigned int i;

	if (svg_body(svg))
		return -ENOMEM;
	svg_line(svg, title);
	for (i = 0; i < m->n; i++)
		svg_row(svg, &m->rows[i], dirt);
	return ferror(svg->body) ? -ENOMEM : 0;
}

static void svg_legend(struct svg *svg)
{
	static const struct {
		struct svg_cell cell;
		const char *text;
	} keys[] = {
		{ { .home = GLYPH_ALL }, "VRAM" },
		{ { .home = GLYPH_MOST }, "half or more" },
		{ { .home = GLYPH_SOME }, "some" },
		{ { .home = GLYPH_BASE }, "RAM" },
		{ { .home = GLYPH_NONE }, "missing" },
		{ { .home = GLYPH_SWAPPED }, "swapped" },
		{ { .home = GLYPH_POISON }, "poison" },
		{ { .home = GLYPH_BASE, .huge = true }, "2 MiB" },
		{ { .home = GLYPH_ALL, .leased = true }, "leased" },
		{ { .home = GLYPH_NONE, .dirty = 10 }, "dirt" },
	};
	const unsigned int n = sizeof(keys) / sizeof(*keys), most = 5;
	unsigned int i;

	for (i = 0; i < n; i++) {
		svg->height += i % most ? 0 : LINE;
		svg_cells(svg, i % most * 12, 2, keys[i].cell);
		fprintf(svg->body, "<text x=\"%u\" y=\"%u\">%s</text>\n",
			MARGIN + (i % most * 12 + 3) * CELL, svg->height + HOME, keys[i].text);
	}
	svg->height += LINE;
}

int svg_write(struct svg *svg, FILE *out)
{
	if (svg_body(svg))
		return -ENOMEM;
	svg_legend(svg);
	if (fflush(svg->body) || ferror(svg->body))
		return -ENOMEM;
	fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\">\n%s"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		svg->width, svg->height + MARGIN, style);
	fwrite(svg->text, 1, svg->len, out);
	fputs("</svg>\n", out);
	return fflush(out) || ferror(out) ? -EIO : 0;
}

void svg_free(struct svg *svg)
{
	if (svg->body)
		fclose(svg->body);
	free(svg->text);
}
