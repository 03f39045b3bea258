// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which memory a command is about.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "target.h"
#include "vma.h"

static int targets_room(struct session *s, const char *cmd, size_t n,
			struct targets *out)
{
	out->n = n;
	out->list = calloc(n, sizeof(*out->list));
	return out->list ? CTL_OK : session_fail(s, cmd, -ENOMEM, "%zu pieces", n);
}

static void target_set(struct target *t, const struct uffdvram_range *range)
{
	t->addr = uffdvram_range_addr(range);
	t->len = uffdvram_range_len(range);
	t->range = uffdvram_range_number(range);
}

static int targets_all(struct session *s, const char *cmd, struct targets *out)
{
	size_t i;
	int ret;

	if (!s->n_ranges)
		return session_error(s, "%s: all: there is no range: see range add", cmd);
	ret = targets_room(s, cmd, s->n_ranges, out);
	for (i = 0; !ret && i < s->n_ranges; i++)
		target_set(&out->list[i], s->ranges[i]);
	return ret;
}

static int targets_range(struct session *s, const char *cmd, uint32_t number,
			 struct targets *out)
{
	size_t i;
	int ret;

	for (i = 0; i < s->n_ranges; i++) {
		if (uffdvram_range_number(s->ranges[i]) != number)
			continue;
		ret = targets_room(s, cmd, 1, out);
		if (!ret)
			target_set(&out->list[0], s->ranges[i]);
		return ret;
	}
	return session_error(s, "%s: range %" PRIu32 ": none with this number was added here",
			     cmd, number);
}

static int targets_anon(struct session *s, const char *cmd, uint64_t min,
			int only_largest, struct targets *out)
{
	struct vma *vmas;
	size_t i, n, best = 0;
	char size[FORMAT_MAX];
	int ret;

	ret = session_pidfd(s, cmd);
	if (ret)
		return ret;
	ret = vma_list(s->pid, min, &vmas, &n);
	if (!ret && !session_lives(s)) {
		free(vmas);
		ret = -ESRCH;
	}
	if (ret)
		return session_fail(s, cmd, ret == -ENOENT ? -ESRCH : ret,
				    "memory of process %d", (int)s->pid);
	if (!n)
		return session_error(s, "%s: process %d has no private anonymous memory in one piece of %s",
				     cmd, (int)s->pid, format_size(size, min));
	for (i = 1; i < n; i++)
		if (vmas[i].end - vmas[i].start > vmas[best].end - vmas[best].start)
			best = i;
	if (only_largest) {
		vmas[0] = vmas[best];
		n = 1;
	}
	ret = targets_room(s, cmd, n, out);
	for (i = 0; !ret && i < n; i++) {
		out->list[i].addr = vmas[i].start;
		out->list[i].len = vmas[i].end - vmas[i].start;
	}
	free(vmas);
	return ret;
}

int targets_find(struct session *s, const char *cmd, const char *word,
		 struct targets *out)
{
	uint64_t addr, len, min;
	uint32_t number;
	int ret;

	if (!strcmp(word, "all"))
		return targets_all(s, cmd, out);
	if (!strcmp(word, "largest"))
		return targets_anon(s, cmd, 1, 1, out);
	if (!parse_anon(word, &min))
		return targets_anon(s, cmd, min, 0, out);
	if (!parse_u32(word, &number))
		return targets_range(s, cmd, number, out);
	ret = parse_piece(word, &addr, &len);
	if (ret == -ERANGE)
		return session_usage(s, "%s: \"%s\" passes the end of the address space",
				     cmd, word);
	if (ret)
		return session_usage(s, "%s: \"%s\" is no range: a number, all, ADDR+LEN, anon:SIZE or largest",
				     cmd, word);
	ret = targets_room(s, cmd, 1, out);
	if (!ret) {
		out->list[0].addr = addr;
		out->list[0].len = len;
	}
	return ret;
}

void targets_free(struct targets *t)
{
	free(t->list);
}

const char *target_text(char buf[TARGET_TEXT_MAX], const struct target *t)
{
	char size[FORMAT_MAX];

	format_size(size, t->len);
	if (t->range)
		snprintf(buf, TARGET_TEXT_MAX, "range %" PRIu32 " 0x%" PRIx64 "+%s",
			 t->range, t->addr, size);
	else
		snprintf(buf, TARGET_TEXT_MAX, "0x%" PRIx64 "+%s", t->addr, size);
	return buf;
}
