// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl map
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bar.h"
#include "cmd.h"
#include "json.h"
#include "looks.h"
#include "parse.h"
#include "svg.h"
#include "target.h"

struct map_opts {
	unsigned int cols;
	enum bar_style style;
	const char *what;
	const char *picture;	/* a file for it, or NULL */
};

/* A run of the command. */
struct map {
	struct session *s;
	struct map_opts o;
	FILE *pagemap;		/* or NULL */
	struct json j;
	struct svg svg;
	bool dirt;		/* something is known of it */
};

/* One piece of memory. */
struct map_piece {
	struct bar bar;
	struct svg_map cells;	/* empty where there is no picture */
};

/*
 * Whether the terminal can show block characters, as the environment says. Not
 * nl_langinfo(): a small system has no locales installed, and a terminal all the same.
 */
static enum bar_style map_style(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	const char *value;
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		value = getenv(names[i]);
		if (value && *value)
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8") ?
			       BAR_BLOCKS : BAR_ASCII;
	}
	return BAR_ASCII;
}

static int map_parse(struct session *s, int argc, char **argv, struct map_opts *o)
{
	uint32_t cols;
	int i;

	o->cols = 64;
	o->style = map_style();
	o->picture = NULL;
	o->what = s->n_ranges ? "all" : "anon:1M";
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--ascii")) {
			o->style = BAR_ASCII;
		} else if (!strcmp(argv[i], "-w") && i + 1 < argc) {
			if (parse_u32(argv[++i], &cols) || !cols || cols > BAR_MAX_COLS)
				return session_usage(s, "map: \"%s\" is no width: 1 to %d", argv[i],
						     BAR_MAX_COLS);
			o->cols = cols;
		} else if (!strcmp(argv[i], "-o") && i + 1 < argc) {
			o->picture = argv[++i];
		} else if (argv[i][0] == '-' || i + 1 < argc) {
			return session_usage(s, "map: usage: map [-w COLS] [--ascii] [-o FILE.svg] "
					     "[N|all|ADDR+LEN|anon:SIZE|largest]");
		} else {
			o->what = argv[i];
		}
	}
	return CTL_OK;
}

static int map_look(uint64_t start, uint64_t end, unsigned int look, void *data)
{
	struct map_piece *piece = data;

	bar_add_look(&piece->bar, start, end, look);
	svg_map_add(&piece->cells, start, end, look);
	return 0;
}

static const char *const dirt_names[] = {
	[BAR_DIRT_WRITTEN] = "written",
	[BAR_DIRT_SOFT] = "soft-dirty",
};

static void map_dirt(const struct bar *bar, enum bar_dirt dirt, enum bar_style style)
{
	char text[BAR_TEXT_MAX], percent[FORMAT_MAX];
	uint64_t page = sysconf(_SC_PAGESIZE);

	format_percent(percent, bar_dirty(bar->sum, dirt) / page, bar->sum[BAR_EXISTS] / page);
	printf("  %s [%s] %s of what is there\n", dirt_names[dirt],
	       bar_dirt_text(text, bar, style, dirt), percent);
}

static void map_text(struct map *m, const struct target *t, const struct bar *bar)
{
	static const struct {
		enum bar_kind kind;
		const char *name;
	} more[] = { { BAR_SWAPPED, "swapped" }, { BAR_HUGE, "huge" }, { BAR_LEASED, "leased" } };
	char where[TARGET_TEXT_MAX], text[BAR_TEXT_MAX], percent[BAR_STATES][FORMAT_MAX];
	enum bar_dirt dirt = bar_dirt(bar);
	/* In pages: bytes could be too many to be multiplied. */
	uint64_t page = sysconf(_SC_PAGESIZE), pages = (bar->end - bar->start) / page;
	unsigned int i;

	for (i = 0; i < BAR_STATES; i++)
		format_percent(percent[i], bar->sum[i] / page, pages);
	printf("%s [%s] VRAM %s RAM %s other %s poison %s", target_text(where, t),
	       bar_text(text, bar, m->o.style), percent[UFFDVRAM_STATE_VRAM],
	       percent[UFFDVRAM_STATE_PRESENT], percent[UFFDVRAM_STATE_OTHER],
	       percent[UFFDVRAM_STATE_POISON]);
	for (i = 0; i < sizeof(more) / sizeof(*more); i++)
		if (bar->sum[more[i].kind])
			printf(" %s %s", more[i].name,
			       format_percent(percent[0], bar->sum[more[i].kind] / page, pages));
	putchar('\n');
	if (dirt != BAR_DIRT_UNKNOWN) {
		map_dirt(bar, dirt, m->o.style);
		m->dirt = true;
	}
}

static void map_json_dirt(struct json *j, const struct bar *bar, uint64_t page,
			  enum bar_style style)
{
	enum bar_dirt dirt = bar_dirt(bar);
	char text[BAR_TEXT_MAX];

	if (dirt == BAR_DIRT_UNKNOWN) {
		json_null(j, "dirt");
		return;
	}
	json_open(j, "dirt", '{');
	json_str(j, "by", dirt_names[dirt]);
	json_u64(j, "pages", bar_dirty(bar->sum, dirt) / page);
	json_u64(j, "of", bar->sum[BAR_EXISTS] / page);
	json_str(j, "bar", bar_dirt_text(text, bar, style, dirt));
	json_close(j, '}');
}

static void map_json(struct map *m, const struct target *t, const struct bar *bar,
		     uint64_t page)
{
	struct json *j = &m->j;
	char text[BAR_TEXT_MAX];
	unsigned int i;

	json_open(j, NULL, '{');
	if (t->range)
		json_u64(j, "range", t->range);
	json_addr(j, "addr", t->addr);
	json_u64(j, "len", t->len);
	json_open(j, "pages", '{');
	for (i = 0; i < BAR_STATES; i++)
		json_u64(j, uffdvram_state_name(i), bar->sum[i] / page);
	json_close(j, '}');
	json_str(j, "bar", bar_text(text, bar, m->o.style));
	json_u64(j, "swapped", bar->sum[BAR_SWAPPED] / page);
	json_u64(j, "huge", bar->sum[BAR_HUGE] / page);
	json_u64(j, "leased", bar->sum[BAR_LEASED] / page);
	map_json_dirt(j, bar, page, m->o.style);
	json_close(j, '}');
}

/* Looks, and shows what was seen. @piece is empty, and its cells are freed by the caller. */
static int map_piece(struct map *m, const struct target *t, struct map_piece *piece)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	char text[TARGET_TEXT_MAX];
	int ret = 0;

	bar_init(&piece->bar, t->addr, t->addr + t->len, m->o.cols, page);
	target_text(text, t);
	if (m->o.picture)
		ret = svg_map_init(&piece->cells, t->addr, t->addr + t->len, m->o.cols, page);
	ret = ret ?: looks_visit(m->s, m->pagemap, t->addr, t->len, map_look, piece);
	if (!ret && m->o.picture)
		ret = svg_draw(&m->svg, text, &piece->cells, bar_dirt(&piece->bar));
	if (ret)
		return session_fail(m->s, "map", ret, "%s of process %d", text,
				    (int)m->s->pid);
	if (m->s->json)
		map_json(m, t, &piece->bar, page);
	else
		map_text(m, t, &piece->bar);
	return CTL_OK;
}

static int map_one(struct map *m, const struct target *t)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	struct map_piece *piece;
	char text[TARGET_TEXT_MAX];
	int ret;

	if (t->addr % page || t->len % page)
		return session_usage(m->s, "map: %s: page aligned addresses are wanted",
				     target_text(text, t));
	piece = calloc(1, sizeof(*piece));
	if (!piece)
		return session_fail(m->s, "map", -ENOMEM, "%s", target_text(text, t));
	ret = map_piece(m, t, piece);
	svg_map_free(&piece->cells);
	free(piece);
	return ret;
}

static int map_picture(struct map *m)
{
	FILE *out = fopen(m->o.picture, "we");
	int ret;

	if (!out)
		return session_fail(m->s, "map", -errno, "%s", m->o.picture);
	ret = svg_write(&m->svg, out);
	if (fclose(out) && !ret)
		ret = -errno;
	return ret ? session_fail(m->s, "map", ret, "%s", m->o.picture) : CTL_OK;
}

static int map_all(struct map *m, const struct targets *t)
{
	size_t i;
	int ret = CTL_OK;

	if (m->s->json)
		json_open(&m->j, NULL, '[');
	for (i = 0; !ret && i < t->n; i++)
		ret = map_one(m, &t->list[i]);
	if (m->s->json)
		json_close(&m->j, ']');
	else if (!ret)
		puts(bar_legend(m->o.style));
	if (!m->s->json && !ret && m->dirt)
		puts(bar_dirt_legend(m->o.style));
	if (!ret && m->o.picture)
		ret = map_picture(m);
	return ret;
}

int cmd_map(struct session *s, int argc, char **argv)
{
	struct map m = { .s = s, .j.out = stdout };
	struct targets t;
	int ret;

	if (!s->pid)
		return session_usage(s, "map: say which process: -p PID");
	ret = map_parse(s, argc, argv, &m.o) ?: session_ctx(s, "map");
	if (ret)
		return ret;
	ret = targets_find(s, "map", m.o.what, &t);
	if (ret)
		return ret;
	m.pagemap = looks_open(s);
	ret = map_all(&m, &t);
	if (m.pagemap)
		fclose(m.pagemap);
	svg_free(&m.svg);
	targets_free(&t);
	return ret;
}
