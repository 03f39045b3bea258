// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl move
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "json.h"
#include "parse.h"
#include "target.h"

#define MAX_THREADS	64

static uint64_t stayed_pages(const struct uffdvram_moved *m)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < UFFDVRAM_STAY_MAX_; i++)
		n += m->stayed[i];
	return n;
}

static void move_text(const struct target *t, const struct uffdvram_moved *m,
		      bool to_ram)
{
	uint64_t pages = t->len / sysconf(_SC_PAGESIZE);
	uint64_t stayed = stayed_pages(m);
	const char *sep = ": ";
	char text[TARGET_TEXT_MAX];
	unsigned int i;

	printf("move: %s: %" PRIu64 " of %" PRIu64 " pages moved to %s, %" PRIu64 " were there\n",
	       target_text(text, t), m->moved, pages, to_ram ? "RAM" : "VRAM", m->already);
	if (!stayed)
		return;
	printf("move: %" PRIu64 " of %" PRIu64 " pages stayed", stayed, pages);
	for (i = 0; i < UFFDVRAM_STAY_MAX_; i++) {
		if (!m->stayed[i])
			continue;
		printf("%s%" PRIu64 " %s (first 0x%" PRIx64 ")", sep, m->stayed[i],
		       uffdvram_stay_name(i), m->first[i]);
		sep = ", ";
	}
	putchar('\n');
}

static void move_json(struct json *j, const struct target *t,
		      const struct uffdvram_moved *m)
{
	unsigned int i;

	json_open(j, NULL, '{');
	if (t->range)
		json_u64(j, "range", t->range);
	json_addr(j, "addr", t->addr);
	json_u64(j, "len", t->len);
	json_u64(j, "done", m->done);
	json_u64(j, "moved", m->moved);
	json_u64(j, "already", m->already);
	json_open(j, "stayed", '{');
	for (i = 0; i < UFFDVRAM_STAY_MAX_; i++) {
		if (!m->stayed[i])
			continue;
		json_open(j, uffdvram_stay_name(i), '{');
		json_u64(j, "pages", m->stayed[i]);
		json_addr(j, "first", m->first[i]);
		json_close(j, '}');
	}
	json_close(j, '}');
	json_close(j, '}');
}

static int move_all(struct session *s, const struct targets *t, uint32_t flags)
{
	struct json j = { .out = stdout };
	char text[TARGET_TEXT_MAX];
	struct uffdvram_moved m;
	int ret = 0;
	size_t i;

	if (s->json)
		json_open(&j, NULL, '[');
	for (i = 0; !ret && i < t->n; i++) {
		m = (struct uffdvram_moved){ .size = sizeof(m) };
		ret = uffdvram_move(s->ctx, t->list[i].addr, t->list[i].len, flags, &m);
		if (s->json)
			move_json(&j, &t->list[i], &m);
		else if (!ret || m.done)
			move_text(&t->list[i], &m, flags & UFFDVRAM_MOVE_TO_RAM);
	}
	if (s->json)
		json_close(&j, ']');
	if (ret)
		return session_fail(s, "move", ret, "%s, at 0x%" PRIx64,
				    target_text(text, &t->list[i - 1]),
				    t->list[i - 1].addr + m.done);
	return CTL_OK;
}

/* "in" or "out", and how many threads. */
static int move_parse(struct session *s, int argc, char **argv, uint32_t *flags)
{
	uint32_t threads = 0;

	if ((argc != 3 && (argc != 5 || strcmp(argv[2], "-t"))) ||
	    (strcmp(argv[1], "in") && strcmp(argv[1], "out")))
		return session_usage(s, "move: usage: move in|out [-t THREADS] N|all|ADDR+LEN");
	if (argc == 5 && (parse_u32(argv[3], &threads) || !threads || threads > MAX_THREADS))
		return session_usage(s, "move: \"%s\" is no number of threads: 1 to %d",
				     argv[3], MAX_THREADS);
	*flags = UFFDVRAM_MOVE_THREADS(threads) |
		 (strcmp(argv[1], "in") ? UFFDVRAM_MOVE_TO_RAM : 0);
	return CTL_OK;
}

int cmd_move(struct session *s, int argc, char **argv)
{
	struct targets t;
	uint32_t flags = 0;
	int ret;

	if (!s->pid)
		return session_usage(s, "move: say which process: -p PID");
	ret = move_parse(s, argc, argv, &flags) ?: session_ctx(s, "move");
	if (ret)
		return ret;
	ret = targets_find(s, "move", argv[argc - 1], &t);
	if (ret)
		return ret;
	ret = move_all(s, &t, flags);
	targets_free(&t);
	return ret;
}
