// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl range add|del|list
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "json.h"
#include "parse.h"
#include "target.h"

static void ranges_print(const struct session *s, size_t from)
{
	struct json j = { .out = stdout };
	char text[TARGET_TEXT_MAX];
	struct target t;
	size_t i;

	if (s->json)
		json_open(&j, NULL, '[');
	for (i = from; i < s->n_ranges; i++) {
		t.addr = uffdvram_range_addr(s->ranges[i]);
		t.len = uffdvram_range_len(s->ranges[i]);
		t.range = uffdvram_range_number(s->ranges[i]);
		if (!s->json) {
			puts(target_text(text, &t));
			continue;
		}
		json_open(&j, NULL, '{');
		json_u64(&j, "range", t.range);
		json_addr(&j, "addr", t.addr);
		json_u64(&j, "len", t.len);
		json_close(&j, '}');
	}
	if (s->json)
		json_close(&j, ']');
}

/* Ranges are of use as long as their context lives: within one batch. */
static int needs_batch(struct session *s, const char *cmd)
{
	if (s->batch)
		return CTL_OK;
	return session_usage(s, "%s: a range ends with the run of uffdvramctl that added it: use batch",
			     cmd);
}

/* What is to be said of all ranges of one "range add". */
struct how {
	uint32_t pool;		/* its number; 0: none */
	uint32_t flags;		/* UFFDVRAM_RANGE_* */
};

static int add_one(struct session *s, const struct target *t, const struct how *how)
{
	struct uffdvram_range_opts opts = { .size = sizeof(opts), .flags = how->flags };
	struct uffdvram_range *range;
	char text[TARGET_TEXT_MAX];
	int ret = 0;

	if (how->pool)
		ret = uffdvram_pool_wrap(&opts.pool, s->ctx, how->pool);
	if (!ret) {
		ret = uffdvram_range_register(&range, s->ctx, t->addr, t->len, &opts);
		uffdvram_pool_free(opts.pool);
	}
	if (!ret) {
		ret = session_keep(s, range);
		if (ret)
			uffdvram_range_unregister(range);
	}
	if (ret)
		return session_fail(s, "range add", ret, "%s of process %d, pool %" PRIu32,
				    target_text(text, t), (int)s->pid, how->pool);
	return CTL_OK;
}

/* All of them or none. */
static int add_all(struct session *s, const struct targets *t, const struct how *how)
{
	size_t i, from = s->n_ranges;
	int ret = CTL_OK;

	for (i = 0; !ret && i < t->n; i++)
		ret = add_one(s, &t->list[i], how);
	if (!ret) {
		ranges_print(s, from);
		return CTL_OK;
	}
	while (s->n_ranges > from)
		session_drop(s, s->n_ranges - 1);
	return ret;
}

static int add_parse_pool(struct session *s, int argc, char **argv, uint32_t *pool)
{
	if (!argc) {
		if (!s->last_pool)
			return session_usage(s, "range add: say which pool: pool N (0: none); see: pool list");
		*pool = s->last_pool;
		return CTL_OK;
	}
	if (argc != 2 || strcmp(argv[0], "pool") || parse_u32(argv[1], pool))
		return session_usage(s, "range add: usage: range add "
				     "ADDR LEN|ADDR+LEN|anon:SIZE|largest [pool N] [--fault-events]");
	return CTL_OK;
}

static int range_add(struct session *s, int argc, char **argv)
{
	struct target one = { 0 };
	struct targets t = { &one, 1 };
	struct how how = { 0 };
	int ret, used = 2;

	ret = needs_batch(s, "range add");
	if (ret)
		return ret;
	if (argc > 1 && !strcmp(argv[argc - 1], "--fault-events")) {
		how.flags = UFFDVRAM_RANGE_FAULT_EVENTS;
		argc--;
	}
	if (argc >= 3 && strcmp(argv[2], "pool"))
		used = 3;
	ret = add_parse_pool(s, argc > used ? argc - used : 0, argv + used, &how.pool);
	if (ret)
		return ret;
	ret = session_ctx(s, "range add");
	if (ret)
		return ret;
	if (argc < 2)
		return session_usage(s, "range add: say what: ADDR LEN, ADDR+LEN, anon:SIZE or largest");
	if (used == 3) {
		if (parse_size(argv[1], &one.addr) || parse_size(argv[2], &one.len))
			return session_usage(s, "range add: \"%s %s\" is no ADDR LEN",
					     argv[1], argv[2]);
		return add_all(s, &t, &how);
	}
	ret = targets_find(s, "range add", argv[1], &t);
	if (ret)
		return ret;
	ret = add_all(s, &t, &how);
	targets_free(&t);
	return ret;
}

static int range_del(struct session *s, int argc, char **argv)
{
	struct json j = { .out = stdout };
	uint32_t number = 0;
	size_t i, n = 0;
	int ret, err = 0;

	ret = needs_batch(s, "range del");
	if (ret)
		return ret;
	if (argc != 2 || (strcmp(argv[1], "all") && (parse_u32(argv[1], &number) || !number)))
		return session_usage(s, "range del: usage: range del N|all");
	for (i = s->n_ranges; i-- > 0;) {
		if (number && uffdvram_range_number(s->ranges[i]) != number)
			continue;
		ret = session_drop(s, i);
		err = err ?: ret;
		n++;
	}
	if (number && !n)
		return session_error(s, "range del: range %" PRIu32 ": none with this number was added here",
				     number);
	if (err)
		return session_fail(s, "range del", err, "range %s", argv[1]);
	if (s->json) {
		json_open(&j, NULL, '{');
		json_u64(&j, "deleted", n);
		json_close(&j, '}');
	} else {
		printf("%zu %s deleted\n", n, n == 1 ? "range" : "ranges");
	}
	return CTL_OK;
}

static int range_list(struct session *s, int argc, char **argv)
{
	int ret = needs_batch(s, "range list");

	if (ret)
		return ret;
	if (argc > 1)
		return session_usage(s, "range list: unexpected \"%s\"", argv[1]);
	ranges_print(s, 0);
	return CTL_OK;
}

int cmd_range(struct session *s, int argc, char **argv)
{
	static const struct cmd cmds[] = {
		{ "add", range_add },
		{ "del", range_del },
		{ "list", range_list },
	};

	if (!s->pid)
		return session_usage(s, "range: say which process: -p PID");
	return cmd_run(cmds, sizeof(cmds) / sizeof(*cmds), "range", s, argc - 1, argv + 1);
}
