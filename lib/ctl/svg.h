/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_SVG_H
#define UFFDVRAMCTL_SVG_H

#include <stdio.h>

#include "bar.h"

#define SVG_MAX_ROWS	64

/* A picture of pieces of memory; all zero is an empty one. */
struct svg {
	FILE *body;
	char *text;		/* of the body */
	size_t len;
	unsigned int width, height;
};

/* One of the pieces, as rows of cells. */
struct svg_map {
	unsigned int n;
	struct bar *rows;
};

/*
 * Makes @m for the pages of [start, end), with up to @cols cells in a row, and as many rows
 * as there are pages for, up to SVG_MAX_ROWS. 0 or -ENOMEM; svg_map_free() frees it.
 */
int svg_map_init(struct svg_map *m, uint64_t start, uint64_t end, unsigned int cols,
		 uint64_t page);
void svg_map_add(struct svg_map *m, uint64_t start, uint64_t end, unsigned int look);
void svg_map_free(struct svg_map *m);

/* Draws it below what there is. @title: without characters that XML knows. 0 or -ENOMEM. */
int svg_draw(struct svg *svg, const char *title, const struct svg_map *m, enum bar_dirt dirt);

/* Writes all of it; 0 or -errno. */
int svg_write(struct svg *svg, FILE *out);
void svg_free(struct svg *svg);

#endif /* UFFDVRAMCTL_SVG_H */
