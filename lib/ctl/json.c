// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Just enough JSON to be read by programs.
 */
#include <inttypes.h>

#include "json.h"

static void json_text(struct json *j, const char *s)
{
	fputc('"', j->out);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(j->out, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			fprintf(j->out, "\\u%04x", (unsigned char)*s);
		else
			fputc(*s, j->out);
	}
	fputc('"', j->out);
}

static void json_begin(struct json *j, const char *key)
{
	if (j->comma)
		fputc(',', j->out);
	j->comma = true;
	if (key) {
		json_text(j, key);
		fputc(':', j->out);
	}
}

void json_open(struct json *j, const char *key, char bracket)
{
	json_begin(j, key);
	fputc(bracket, j->out);
	j->comma = false;
	j->depth++;
}

void json_close(struct json *j, char bracket)
{
	fputc(bracket, j->out);
	j->comma = true;
	if (!--j->depth)
		fputc('\n', j->out);
}

void json_u64(struct json *j, const char *key, uint64_t value)
{
	json_begin(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void json_addr(struct json *j, const char *key, uint64_t value)
{
	json_begin(j, key);
	fprintf(j->out, "\"0x%" PRIx64 "\"", value);
}

void json_null(struct json *j, const char *key)
{
	json_begin(j, key);
	fputs("null", j->out);
}

void json_bool(struct json *j, const char *key, bool value)
{
	json_begin(j, key);
	fputs(value ? "true" : "false", j->out);
}

void json_str(struct json *j, const char *key, const char *value)
{
	json_begin(j, key);
	json_text(j, value);
}
