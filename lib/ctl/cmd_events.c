// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl events
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "cmd.h"
#include "json.h"
#include "parse.h"

/* @a: whose event it is, where those of all contexts are followed; else NULL */
static bool is_of_lease(const struct uffdvram_event *ev)
{
	return ev->type == UFFDVRAM_EVENT_LEASE_WANTED ||
	       ev->type == UFFDVRAM_EVENT_LEASE_REVOKED;
}

/* A word for its cause, where that tells something; or NULL. */
static const char *event_cause(const struct uffdvram_event *ev)
{
	switch (ev->type) {
	case UFFDVRAM_EVENT_FAULT_BACK:
		return ev->cause == UFFDVRAM_BACK_ACCESS ? NULL : uffdvram_back_name(ev->cause);
	case UFFDVRAM_EVENT_RANGE_GONE:
		return uffdvram_gone_name(ev->cause);
	case UFFDVRAM_EVENT_LEASE_REVOKED:
		return uffdvram_revoked_name(ev->cause);
	case UFFDVRAM_EVENT_POOL_TROUBLE:
		return uffdvram_trouble_name(ev->cause);
	default:
		return NULL;
	}
}

static void event_json(const struct uffdvram_event *ev, const struct uffdvram_admin_event *a)
{
	bool pressure = ev->type == UFFDVRAM_EVENT_POOL_PRESSURE;
	bool trouble = ev->type == UFFDVRAM_EVENT_POOL_TROUBLE;
	const char *cause = event_cause(ev);
	bool lease = is_of_lease(ev);
	struct json j = { .out = stdout };

	json_open(&j, NULL, '{');
	json_u64(&j, "seq", a ? a->seq : ev->seq);
	if (a) {
		json_u64(&j, "context", a->context);
		json_u64(&j, "context_seq", ev->seq);
		json_u64(&j, "pid", a->pid);
	}
	json_u64(&j, "time_ns", ev->time_ns);
	json_str(&j, "event", uffdvram_event_name(ev->type));
	/* Of others' leases there is no number. */
	if (!lease || !a)
		json_u64(&j, pressure || trouble ? "pool" : lease ? "lease" : "range", ev->range);
	if (pressure) {
		json_u64(&j, "free", ev->len);
		json_bool(&j, "full", ev->cause);
	} else if (!trouble) {
		json_addr(&j, "addr", ev->addr);
		json_u64(&j, "len", ev->len);
	}
	if (cause)
		json_str(&j, "cause", cause);
	json_close(&j, '}');
}

static void event_text(const struct uffdvram_event *ev, const struct uffdvram_admin_event *a)
{
	const char *cause = event_cause(ev);
	char size[FORMAT_MAX];

	format_size(size, ev->len);
	printf("%" PRIu64 ".%06u ", (uint64_t)ev->time_ns / 1000000000,
	       (unsigned int)(ev->time_ns % 1000000000 / 1000));
	if (a)
		printf("process %" PRIu32 " context %" PRIu32 " ", a->pid, a->context);
	printf("%s: ", uffdvram_event_name(ev->type));
	if (ev->type == UFFDVRAM_EVENT_POOL_PRESSURE)
		printf("pool %" PRIu64 ", %s", (uint64_t)ev->range, ev->cause ? "full" : size);
	else if (ev->type == UFFDVRAM_EVENT_POOL_TROUBLE)
		printf("pool %" PRIu64, (uint64_t)ev->range);
	else if (ev->type == UFFDVRAM_EVENT_RANGE_GONE && ev->cause == UFFDVRAM_GONE_EXIT)
		printf("all");
	else if (is_of_lease(ev))
		printf("0x%" PRIx64 "+%s", (uint64_t)ev->addr, size);
	else
		printf("range %" PRIu64 " 0x%" PRIx64 "+%s", (uint64_t)ev->range,
		       (uint64_t)ev->addr, size);
	printf("%s%s\n", cause ? ", " : "", cause ? cause : "");
}

static void event_print(const struct session *s, const struct uffdvram_event *ev,
			const struct uffdvram_admin_event *a)
{
	if (s->json)
		event_json(ev, a);
	else
		event_text(ev, a);
	fflush(stdout);
}

/* The numbers have a gap: the module keeps only so many. */
static void event_lost(uint64_t n)
{
	if (n)
		fprintf(stderr, "uffdvramctl: events: %" PRIu64 " were lost: nobody read them in time\n",
			n);
}

static int events_print(struct session *s, uint64_t n, int timeout_ms)
{
	struct uffdvram_event ev;
	uint64_t last = 0;
	size_t got;
	int ret;

	while (n) {
		ret = uffdvram_event_read(s->ctx, &ev, 1, &got, timeout_ms);
		if (ret == -EINTR)
			continue;
		if (ret == -EAGAIN)
			return CTL_OK;
		if (ret)
			return session_fail(s, "events", ret, "process %d", (int)s->pid);
		event_lost(last ? ev.seq - last - 1 : 0);
		last = ev.seq;
		event_print(s, &ev, NULL);
		n--;
		/* Nothing comes after this one. */
		if (ev.type == UFFDVRAM_EVENT_RANGE_GONE && ev.cause == UFFDVRAM_GONE_EXIT)
			return CTL_OK;
	}
	return CTL_OK;
}

static int all_print(const struct uffdvram_admin_event *ev, void *data)
{
	event_lost(ev->lost);
	event_print(data, &ev->event, ev);
	return 0;
}

/* Those of all contexts, as long as they come. */
static int events_all(struct session *s, uint64_t n, int timeout_ms)
{
	struct uffdvram_admin *admin;
	int ret = uffdvram_admin_open(&admin);

	if (ret)
		return session_fail(s, "events", ret, "netlink");
	ret = uffdvram_admin_listen(admin, 0);
	/* Who waits for this word can count on what happens from here on. */
	if (!ret)
		fprintf(stderr, "uffdvramctl: events: of all processes\n");
	while (!ret && n--) {
		do
			ret = uffdvram_admin_events(admin, all_print, s, timeout_ms);
		while (ret == -EINTR);
	}
	uffdvram_admin_close(admin);
	if (ret && ret != -EAGAIN)
		return session_fail(s, "events", ret, "netlink");
	return CTL_OK;
}

int cmd_events(struct session *s, int argc, char **argv)
{
	uint64_t n = UINT64_MAX, nsec = 0;
	int i, ret, timeout_ms = -1;
	bool all = false;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-j"))
			s->json = true;
		else if (!strcmp(argv[i], "--all"))
			all = true;
		else if (!strcmp(argv[i], "-n") && i + 1 < argc && !parse_size(argv[i + 1], &n))
			i++;
		else if (!strcmp(argv[i], "-t") && i + 1 < argc &&
			 !parse_seconds(argv[i + 1], &nsec) && nsec / 1000000 <= INT_MAX)
			timeout_ms = nsec / 1000000, i++;
		else
			return session_usage(s, "events: usage: events [--all] [-j] [-n N] [-t SECONDS]");
	}
	if (all)
		return events_all(s, n, timeout_ms);
	if (!s->batch)
		return session_usage(s, "events: they tell of the ranges of a batch: use batch, or --all");
	ret = session_ctx(s, "events");
	return ret ?: events_print(s, n, timeout_ms);
}
