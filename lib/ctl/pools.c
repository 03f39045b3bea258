// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The module's list of pools, as debugfs shows it.
 */
#include <errno.h>
#include <string.h>

#include "parse.h"
#include "pools.h"

static int pool_text(char *dst, size_t size, const char *value)
{
	if (strlen(value) >= size)
		return -EINVAL;
	strcpy(dst, value);
	return 0;
}

static int pool_field(struct pool_line *p, const char *name, const char *value)
{
	uint64_t n, *num = NULL;
	bool *flag = NULL;

	if (!strcmp(name, "backend"))
		return pool_text(p->backend, sizeof(p->backend), value);
	if (!strcmp(name, "device"))
		return pool_text(p->device, sizeof(p->device), value);
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
	else if (!strcmp(name, "fault"))
		num = &p->fault;
	else if (!strcmp(name, "bar"))
		num = &p->bar;
	else if (!strcmp(name, "offset"))
		num = &p->offset;
	else if (!strcmp(name, "combining"))
		flag = &p->combining;
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
	char copy[512], *words[64];
	int i, n;

	if (strlen(line) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, line);
	n = parse_words(copy, words, 64);
	if (n < 0 || n % 2)
		return -EINVAL;
	memset(p, 0, sizeof(*p));
	for (i = 0; i < n; i += 2)
		if (pool_field(p, words[i], words[i + 1]))
			return -EINVAL;
	return p->number ? 0 : -EINVAL;
}
