// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl poison
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "json.h"
#include "target.h"

enum poison_what { POISON_SET, POISON_REPLACE, POISON_UNDO, POISON_LIST };

static const uint32_t poison_flags[] = {
	[POISON_REPLACE] = UFFDVRAM_POISON_REPLACE,
	[POISON_UNDO] = UFFDVRAM_POISON_UNDO,
};

static int poison_change(struct session *s, const struct target *t,
			 enum poison_what what, struct json *j)
{
	uint64_t page = sysconf(_SC_PAGESIZE), done;
	char text[TARGET_TEXT_MAX];
	int ret = uffdvram_poison(s->ctx, t->addr, t->len, poison_flags[what], &done);

	if (s->json) {
		json_open(j, NULL, '{');
		json_addr(j, "addr", t->addr);
		json_u64(j, "len", t->len);
		json_u64(j, "done", done);
		json_close(j, '}');
	} else if (!ret || done) {
		printf("poison: %s: %" PRIu64 " pages %s\n", target_text(text, t), done / page,
		       what == POISON_UNDO ? "are not poison any more" : "are poison");
	}
	if (ret)
		return session_fail(s, "poison", ret, "%s, at 0x%" PRIx64,
				    target_text(text, t), t->addr + done);
	return CTL_OK;
}

static int poison_region(const struct uffdvram_region *region, void *data)
{
	struct json *j = data;

	if (region->state != UFFDVRAM_STATE_POISON)
		return 0;
	if (!j->out) {
		printf("0x%" PRIx64 "+%" PRIu64 "K\n", (uint64_t)region->start,
		       (uint64_t)(region->end - region->start) >> 10);
		return 0;
	}
	json_open(j, NULL, '{');
	json_addr(j, "addr", region->start);
	json_u64(j, "len", region->end - region->start);
	json_close(j, '}');
	return 0;
}

static int poison_list(struct session *s, const struct target *t, struct json *j)
{
	struct json none = { 0 };
	const struct uffdvram_visit visit = { poison_region, s->json ? j : &none };
	char text[TARGET_TEXT_MAX];
	int ret = uffdvram_query(s->ctx, t->addr, t->len, NULL, &visit);

	if (ret)
		return session_fail(s, "poison", ret, "%s", target_text(text, t));
	return CTL_OK;
}

static bool poison_parse(int argc, char **argv, enum poison_what *what)
{
	bool replace = argc == 4 && !strcmp(argv[2], "--replace");

	if (argc != 3 && !replace)
		return false;
	if (!strcmp(argv[1], "set"))
		*what = replace ? POISON_REPLACE : POISON_SET;
	else if (!strcmp(argv[1], "undo"))
		*what = POISON_UNDO;
	else if (!strcmp(argv[1], "list"))
		*what = POISON_LIST;
	else
		return false;
	return !replace || *what == POISON_REPLACE;
}

int cmd_poison(struct session *s, int argc, char **argv)
{
	struct json j = { .out = stdout };
	enum poison_what what;
	struct targets t;
	size_t i;
	int ret;

	if (!s->pid)
		return session_usage(s, "poison: say which process: -p PID");
	if (!poison_parse(argc, argv, &what))
		return session_usage(s, "poison: usage: poison set [--replace]|undo|list N|all|ADDR+LEN");
	ret = session_ctx(s, "poison");
	if (ret)
		return ret;
	ret = targets_find(s, "poison", argv[argc - 1], &t);
	if (ret)
		return ret;
	if (s->json)
		json_open(&j, NULL, '[');
	for (i = 0; !ret && i < t.n; i++)
		ret = what == POISON_LIST ? poison_list(s, &t.list[i], &j) :
					    poison_change(s, &t.list[i], what, &j);
	if (s->json)
		json_close(&j, ']');
	targets_free(&t);
	return ret;
}
