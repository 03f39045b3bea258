// SPDX-License-Identifier: GPL-2.0-only
/* bar_add_look(), bar_dirt_text(), svg_*(): pages of any looks, in a bar and a picture */
#include "fuzzer.h"
#include "../../lib/ctl/looks.h"
#include "../../lib/ctl/svg.h"

#define PAGE	4096ULL

/* As much of the picture as has to hold: all of it is there, and it ends. */
static void picture(struct svg_map *m, enum bar_dirt dirt)
{
	struct svg svg = {};
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	must(out && !svg_draw(&svg, "0x1000+4K", m, dirt) && !svg_write(&svg, out));
	must(!fclose(out));
	must(!strncmp(text, "<svg ", 5) && !strcmp(text + len - 7, "</svg>\n"));
	svg_free(&svg);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };
	uint64_t pages = 1 + feed_u64(&f) % (1 << 20), cols = 1 + feed_u64(&f) % BAR_MAX_COLS;
	uint64_t start = feed_u64(&f) % (1ULL << 34) * PAGE, at = start, end;
	uint64_t sum = 0;
	struct bar *bar = calloc(1, sizeof(*bar));
	char text[BAR_TEXT_MAX];
	struct svg_map m = {};
	enum bar_dirt dirt;

	must(bar && !svg_map_init(&m, start, start + pages * PAGE, cols, PAGE));
	must(m.n && m.n <= SVG_MAX_ROWS && m.rows[0].start == start &&
	     m.rows[m.n - 1].end == start + pages * PAGE);
	bar_init(bar, start, start + pages * PAGE, cols, PAGE);
	for (int i = 0; f.left && i < 64; i++, at = end) {
		uint8_t look = feed_u8(&f);

		end = at + (1 + feed_u64(&f) % 4096) * PAGE;
		bar_add_look(bar, at, end, look);
		svg_map_add(&m, at, end, look);
	}
	for (int i = 0; i < BAR_STATES; i++)
		sum += bar->sum[i];
	must(sum <= pages * PAGE);
	dirt = bar_dirt(bar);
	must(bar_dirty(bar->sum, dirt) <= bar->sum[BAR_EXISTS]);
	must(strlen(bar_text(text, bar, BAR_BLOCKS)) < sizeof(text));
	must(strlen(bar_dirt_text(text, bar, BAR_ASCII, dirt)) == bar->cols);
	picture(&m, dirt);
	svg_map_free(&m);
	free(bar);
	return 0;
}
