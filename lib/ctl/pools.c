// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The module's list of pools, as debugfs shows it.
 */
#include <errno.h>
#include <string.h>

#include "parse.h"
#include "pools.h"

static int pool_field(struct pool_line *p, const char *name, const char *value)
{
	uint64_t n, *num = NULL;
	bool *flag = NULL;

	if (!strcmp(name, "backend")) {
		if (strlen(value) >= sizeof(p->backend))
			return -EINVAL;
		strcpy(p->backend, value);
		return 0;
	}
	if (!strcmp(name, "pool"))
		return parse_u32(value, &p->number);
	if (!strcmp(name, "bytes"))
		num = &p->bytes;
	else if (!strcmp(name, "slots"))
		num = &p->slots;
	else if (!strcmp(name, "used"))
		num = &p->used;
	else if (!strcmp(name, "lost"))
		num = &p->lost;
	else if (!strcmp(name, "quarantined"))
		num = &p->quarantined;
	else if (!strcmp(name, "shared"))
		flag = &p->shared;
	else if (!strcmp(name, "draining"))
		flag = &p->draining;
	else
		return 0;
	if (parse_size(value, &n))
		return -EINVAL;
	if (num)
		*num = n;
	else
		*flag = n;
	return 0;
}

int pool_line_parse(const char *line, struct pool_line *p)
{
	char copy[512], *words[32];
	int i, n;

	if (strlen(line) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, line);
	n = parse_words(copy, words, 32);
	if (n < 0 || n % 2)
		return -EINVAL;
	memset(p, 0, sizeof(*p));
	for (i = 0; i < n; i += 2)
		if (pool_field(p, words[i], words[i + 1]))
			return -EINVAL;
	return p->number ? 0 : -EINVAL;
}
