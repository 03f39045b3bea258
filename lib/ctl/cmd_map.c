// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl map
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bar.h"
#include "cmd.h"
#include "json.h"
#include "parse.h"
#include "target.h"

struct map_opts {
	unsigned int cols;
	enum bar_style style;
	const char *what;
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
	o->what = s->n_ranges ? "all" : "anon:1M";
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--ascii")) {
			o->style = BAR_ASCII;
		} else if (!strcmp(argv[i], "-w") && i + 1 < argc) {
			if (parse_u32(argv[++i], &cols) || !cols || cols > BAR_MAX_COLS)
				return session_usage(s, "map: \"%s\" is no width: 1 to %d", argv[i],
						     BAR_MAX_COLS);
			o->cols = cols;
		} else if (argv[i][0] == '-' || i + 1 < argc) {
			return session_usage(s, "map: usage: map [-w COLS] [--ascii] "
					     "[N|all|ADDR+LEN|anon:SIZE|largest]");
		} else {
			o->what = argv[i];
		}
	}
	return CTL_OK;
}

static int map_region(const struct uffdvram_region *region, void *data)
{
	bar_add(data, region);
	return 0;
}

static void map_text(const struct target *t, const struct bar *bar,
		     const struct uffdvram_residency *res, enum bar_style style)
{
	char where[TARGET_TEXT_MAX], text[BAR_TEXT_MAX], percent[4][FORMAT_MAX];
	uint64_t pages = res->done / sysconf(_SC_PAGESIZE);
	unsigned int i;

	for (i = 0; i < 4; i++)
		format_percent(percent[i], res->count[i], pages);
	printf("%s [%s] VRAM %s RAM %s other %s poison %s\n", target_text(where, t),
	       bar_text(text, bar, style), percent[UFFDVRAM_STATE_VRAM],
	       percent[UFFDVRAM_STATE_PRESENT], percent[UFFDVRAM_STATE_OTHER],
	       percent[UFFDVRAM_STATE_POISON]);
}

static void map_json(struct json *j, const struct target *t, const struct bar *bar,
		     const struct uffdvram_residency *res, enum bar_style style)
{
	char text[BAR_TEXT_MAX];
	unsigned int i;

	json_open(j, NULL, '{');
	if (t->range)
		json_u64(j, "range", t->range);
	json_addr(j, "addr", t->addr);
	json_u64(j, "len", t->len);
	json_open(j, "pages", '{');
	for (i = 0; i < BAR_STATES; i++)
		json_u64(j, uffdvram_state_name(i), res->count[i]);
	json_close(j, '}');
	json_str(j, "bar", bar_text(text, bar, style));
	json_close(j, '}');
}

static int map_one(struct session *s, const struct target *t,
		   const struct map_opts *o, struct json *j)
{
	struct uffdvram_residency res = { .size = sizeof(res) };
	struct bar bar;
	const struct uffdvram_visit visit = { map_region, &bar };
	uint64_t page = sysconf(_SC_PAGESIZE);
	char text[TARGET_TEXT_MAX];
	int ret;

	if (t->addr % page || t->len % page)
		return session_usage(s, "map: %s: page aligned addresses are wanted",
				     target_text(text, t));
	bar_init(&bar, t->addr, t->addr + t->len, o->cols, page);
	ret = uffdvram_query(s->ctx, t->addr, t->len, &res, &visit);
	if (ret)
		return session_fail(s, "map", ret, "%s of process %d", target_text(text, t),
				    (int)s->pid);
	if (s->json)
		map_json(j, t, &bar, &res, o->style);
	else
		map_text(t, &bar, &res, o->style);
	return CTL_OK;
}

int cmd_map(struct session *s, int argc, char **argv)
{
	struct json j = { .out = stdout };
	struct map_opts o;
	struct targets t;
	size_t i;
	int ret;

	if (!s->pid)
		return session_usage(s, "map: say which process: -p PID");
	ret = map_parse(s, argc, argv, &o) ?: session_ctx(s, "map");
	if (ret)
		return ret;
	ret = targets_find(s, "map", o.what, &t);
	if (ret)
		return ret;
	if (s->json)
		json_open(&j, NULL, '[');
	for (i = 0; !ret && i < t.n; i++)
		ret = map_one(s, &t.list[i], &o, &j);
	if (s->json)
		json_close(&j, ']');
	else if (!ret)
		puts(bar_legend(o.style));
	targets_free(&t);
	return ret;
}
