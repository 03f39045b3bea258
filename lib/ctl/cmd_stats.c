// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl stats
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "cmd.h"
#include "json.h"
#include "latency.h"
#include "parse.h"
#include "rates.h"

/* Takes a line of one of the files; 0 or -EINVAL. */
typedef int (*take_line)(const char *line, struct json *j);

static int counter_line(const char *line, struct json *j)
{
	uint64_t value;
	char name[64];

	if (sscanf(line, "%63s %" SCNu64, name, &value) != 2)
		return -EINVAL;
	if (j)
		json_u64(j, name, value);
	else
		printf("%-16s %" PRIu64 "\n", name, value);
	return 0;
}

static void latency_json(struct json *j, const struct latency *l)
{
	int i;

	json_open(j, l->op, '{');
	json_u64(j, "count", l->count);
	json_u64(j, "sum_ns", l->sum_ns);
	json_u64(j, "p50_ns", latency_quantile(l, 50));
	json_u64(j, "p99_ns", latency_quantile(l, 99));
	json_u64(j, "max_ns", latency_quantile(l, 100));
	json_open(j, "buckets", '[');
	for (i = 0; i < LATENCY_BUCKETS; i++) {
		if (!l->bucket[i])
			continue;
		json_open(j, NULL, '{');
		json_u64(j, "below_ns", 1ULL << i);
		json_u64(j, "count", l->bucket[i]);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_close(j, '}');
}

static void latency_text(const struct latency *l)
{
	static const unsigned int percent[] = { 50, 99, 100 };
	char text[FORMAT_MAX];
	size_t i;

	printf("%-16s %12" PRIu64, l->op, l->count);
	if (l->count) {
		printf(" %9s", format_ns(text, l->sum_ns / l->count));
		for (i = 0; i < sizeof(percent) / sizeof(*percent); i++)
			printf(" %9s", format_ns(text, latency_quantile(l, percent[i])));
	}
	putchar('\n');
}

static int latency_line(const char *line, struct json *j)
{
	struct latency l;

	if (latency_parse(line, &l))
		return -EINVAL;
	if (j)
		latency_json(j, &l);
	else
		latency_text(&l);
	return 0;
}

static void latency_head(void)
{
	printf("\n%-16s %12s %9s %9s %9s %9s\n", "latency", "count", "mean", "50% below",
	       "99% below", "all below");
}

static int stats_lines(struct session *s, const char *path, FILE *f, take_line take,
		       struct json *j)
{
	char line[LATENCY_LINE_MAX];

	while (fgets(line, sizeof(line), f))
		if (take(line, j))
			return session_error(s, "stats: %s: not understood: %s", path, line);
	return ferror(f) ? session_fail(s, "stats", -EIO, "%s", path) : CTL_OK;
}

static int stats_print(struct session *s, FILE *counters, FILE *latency)
{
	struct json out = { .out = stdout }, *j = s->json ? &out : NULL;
	int ret;

	if (j)
		json_open(j, NULL, '{');
	ret = stats_lines(s, STATS_PATH, counters, counter_line, j);
	if (j)
		json_open(j, "latency", '{');
	else if (!ret)
		latency_head();
	ret = ret ?: stats_lines(s, LATENCY_PATH, latency, latency_line, j);
	if (j) {
		json_close(j, '}');
		json_close(j, '}');
	}
	return ret;
}

int cmd_stats(struct session *s, int argc, char **argv)
{
	FILE *counters, *latency;
	int ret;

	if (argc > 1)
		return rates_main(s, argc, argv);
	counters = fopen(STATS_PATH, "re");
	if (!counters)
		return session_fail(s, "stats", -errno, "%s", STATS_PATH);
	latency = fopen(LATENCY_PATH, "re");
	if (latency) {
		ret = stats_print(s, counters, latency);
		fclose(latency);
	} else {
		ret = session_fail(s, "stats", -errno, "%s", LATENCY_PATH);
	}
	fclose(counters);
	return ret;
}
