// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The module's histograms, as debugfs shows them.
 */
#include <errno.h>
#include <string.h>

#include "latency.h"
#include "parse.h"

/* All buckets, what is known beside them, and as much that is not. */
#define WORDS_MAX (2 * (LATENCY_BUCKETS + 16))

static int latency_bucket(struct latency *l, const char *name, uint64_t n)
{
	uint64_t end, *bucket;

	if (parse_size(name, &end) || !end || end & (end - 1))
		return -EINVAL;
	bucket = &l->bucket[__builtin_ctzll(end)];
	if (!n || *bucket)
		return -EINVAL;
	*bucket = n;
	return 0;
}

static int latency_field(struct latency *l, const char *name, const char *value)
{
	uint64_t n;

	if (!strcmp(name, "op")) {
		if (strlen(value) >= sizeof(l->op))
			return -EINVAL;
		strcpy(l->op, value);
		return 0;
	}
	if (!strcmp(name, "count"))
		return parse_size(value, &l->count);
	if (!strcmp(name, "sum_ns"))
		return parse_size(value, &l->sum_ns);
	if (*name < '0' || *name > '9')
		return 0;
	return parse_size(value, &n) ?: latency_bucket(l, name, n);
}

int latency_parse(const char *line, struct latency *l)
{
	char copy[LATENCY_LINE_MAX], *words[WORDS_MAX];
	uint64_t count = 0;
	int i, n;

	if (strlen(line) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, line);
	n = parse_words(copy, words, WORDS_MAX);
	if (n < 0 || n % 2)
		return -EINVAL;
	memset(l, 0, sizeof(*l));
	for (i = 0; i < n; i += 2)
		if (latency_field(l, words[i], words[i + 1]))
			return -EINVAL;
	for (i = 0; i < LATENCY_BUCKETS; i++)
		if (__builtin_add_overflow(count, l->bucket[i], &count))
			return -EINVAL;
	return *l->op && count == l->count ? 0 : -EINVAL;
}

uint64_t latency_quantile(const struct latency *l, unsigned int percent)
{
	/* Rounded up; what is not among them rounded down, which cannot overflow. */
	uint64_t want = l->count - l->count / 100 * (100 - percent) -
			l->count % 100 * (100 - percent) / 100;
	uint64_t seen = 0;
	int i;

	for (i = 0; i < LATENCY_BUCKETS; i++) {
		seen += l->bucket[i];
		if (want && seen >= want)
			return 1ULL << i;
	}
	return 0;
}
