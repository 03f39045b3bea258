// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl show pools|contexts|ranges|poison: of all processes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "json.h"
#include "parse.h"

/* How things are shown. */
struct show {
	bool json;
	struct json j;
};

static int show_pool(const struct uffdvram_admin_pool *p, void *data)
{
	struct show *show = data;
	char size[FORMAT_MAX];

	if (!show->json) {
		printf("pool %" PRIu32 ": %s %s%s%s%s%s, %" PRIu64 " of %" PRIu64 " slots used",
		       p->pool, p->backend, format_size(size, p->bytes), *p->about ? " " : "",
		       p->about, p->shared ? " shared" : "", p->draining ? " draining" : "",
		       p->used, p->slots);
		printf(", %" PRIu64 " lost, %" PRIu64 " quarantined\n", p->lost, p->quarantined);
		return 0;
	}
	json_open(&show->j, NULL, '{');
	json_u64(&show->j, "pool", p->pool);
	json_str(&show->j, "backend", p->backend);
	json_str(&show->j, "about", p->about);
	json_u64(&show->j, "bytes", p->bytes);
	json_u64(&show->j, "slots", p->slots);
	json_u64(&show->j, "used", p->used);
	json_u64(&show->j, "lost", p->lost);
	json_u64(&show->j, "quarantined", p->quarantined);
	json_bool(&show->j, "shared", p->shared);
	json_bool(&show->j, "draining", p->draining);
	json_bool(&show->j, "checked", p->checked);
	json_u64(&show->j, "fault", p->fault_bytes);
	json_close(&show->j, '}');
	return 0;
}

static int show_context(const struct uffdvram_admin_context *c, void *data)
{
	struct show *show = data;

	if (!show->json) {
		printf("context %" PRIu32 ": process %" PRIu32 "%s, user %" PRIu32 ", %" PRIu64
		       " events, %" PRIu32 " unread\n", c->context, c->pid,
		       c->gone ? " (gone)" : "", c->uid, c->event_seq, c->waiting);
		return 0;
	}
	json_open(&show->j, NULL, '{');
	json_u64(&show->j, "context", c->context);
	json_u64(&show->j, "pid", c->pid);
	json_u64(&show->j, "uid", c->uid);
	json_bool(&show->j, "gone", c->gone);
	json_u64(&show->j, "event_seq", c->event_seq);
	json_u64(&show->j, "waiting", c->waiting);
	json_close(&show->j, '}');
	return 0;
}

static int show_range(const struct uffdvram_admin_range *r, void *data)
{
	struct show *show = data;
	char size[FORMAT_MAX];

	if (!show->json) {
		printf("context %" PRIu32 " range %" PRIu32 ": 0x%" PRIx64 "+%s, pool %" PRIu32
		       ", %" PRIu64 " slots%s%s%s%s\n", r->context, r->range, r->addr,
		       format_size(size, r->len), r->pool, r->slots,
		       r->linear ? ", linear" : "", r->node ? ", mapped from the device" : "",
		       r->fault_events ? ", fault events" : "",
		       r->exclusive ? ", exclusive" : "");
		return 0;
	}
	json_open(&show->j, NULL, '{');
	json_u64(&show->j, "context", r->context);
	json_u64(&show->j, "range", r->range);
	json_addr(&show->j, "addr", r->addr);
	json_u64(&show->j, "len", r->len);
	json_u64(&show->j, "pool", r->pool);
	json_u64(&show->j, "slots", r->slots);
	json_bool(&show->j, "linear", r->linear);
	if (r->linear)
		json_u64(&show->j, "pool_off", r->pool_off);
	json_bool(&show->j, "node", r->node);
	json_bool(&show->j, "fault_events", r->fault_events);
	json_bool(&show->j, "exclusive", r->exclusive);
	json_close(&show->j, '}');
	return 0;
}

static int show_poison(const struct uffdvram_admin_poison *p, void *data)
{
	struct show *show = data;
	char size[FORMAT_MAX];

	if (!show->json) {
		printf("context %" PRIu32 " range %" PRIu32 ": 0x%" PRIx64 "+%s\n", p->context,
		       p->range, p->addr, format_size(size, p->len));
		return 0;
	}
	json_open(&show->j, NULL, '{');
	json_u64(&show->j, "context", p->context);
	json_u64(&show->j, "range", p->range);
	json_addr(&show->j, "addr", p->addr);
	json_u64(&show->j, "len", p->len);
	json_close(&show->j, '}');
	return 0;
}

/* @what: one of the four words, as show_parse() has seen to */
static int show_what(struct uffdvram_admin *admin, const char *what, uint32_t context,
		     struct show *show)
{
	if (!strcmp(what, "pools"))
		return uffdvram_admin_pools(admin, show_pool, show);
	if (!strcmp(what, "contexts"))
		return uffdvram_admin_contexts(admin, show_context, show);
	if (!strcmp(what, "ranges"))
		return uffdvram_admin_ranges(admin, context, show_range, show);
	return uffdvram_admin_poison(admin, context, show_poison, show);
}

/* Which of them take the number of a context. */
static bool show_parse(int argc, char **argv, uint32_t *context)
{
	if (argc == 2)
		return !strcmp(argv[1], "pools") || !strcmp(argv[1], "contexts") ||
		       !strcmp(argv[1], "ranges") || !strcmp(argv[1], "poison");
	return argc == 3 && (!strcmp(argv[1], "ranges") || !strcmp(argv[1], "poison")) &&
	       !parse_u32(argv[2], context) && *context;
}

int cmd_show(struct session *s, int argc, char **argv)
{
	struct show show = { .json = s->json, .j.out = stdout };
	struct uffdvram_admin *admin;
	uint32_t context = 0;
	int ret;

	if (!show_parse(argc, argv, &context))
		return session_usage(s, "show: usage: show pools|contexts|ranges [CONTEXT]|poison [CONTEXT]");
	ret = uffdvram_admin_open(&admin);
	if (ret)
		return session_fail(s, "show", ret, "netlink");
	if (s->json)
		json_open(&show.j, NULL, '[');
	ret = show_what(admin, argv[1], context, &show);
	if (s->json)
		json_close(&show.j, ']');
	uffdvram_admin_close(admin);
	return ret ? session_fail(s, "show", ret, "%s", argv[1]) : CTL_OK;
}
