/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_JSON_H
#define UFFDVRAMCTL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Writes JSON in one line as the calls come; { .out = stdout } begins one. @key is
 * NULL for an element of an array and for the outermost value. Addresses can pass
 * 2^53, up to where every reader is exact, so they go as strings: json_addr().
 */
struct json {
	FILE *out;
	bool comma;		/* the next value needs one */
	unsigned int depth;
};

void json_open(struct json *j, const char *key, char bracket);
void json_close(struct json *j, char bracket);	/* ends the line at depth 0 */
void json_u64(struct json *j, const char *key, uint64_t value);
void json_addr(struct json *j, const char *key, uint64_t value);
void json_null(struct json *j, const char *key);
void json_bool(struct json *j, const char *key, bool value);
void json_str(struct json *j, const char *key, const char *value);

#endif /* UFFDVRAMCTL_JSON_H */
