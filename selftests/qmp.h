/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * qmp: QEMU's monitor, by a socket: commands in, one line of JSON back for each.
 */
#ifndef UFFDVRAM_SELFTESTS_QMP_H
#define UFFDVRAM_SELFTESTS_QMP_H

#include <stdbool.h>
#include <stdio.h>

/**
 * struct qmp - a connection
 * @fd: the socket
 * @in: the same, to be read
 * @line: the last line that was read
 * @size: of its memory
 */
struct qmp {
	int fd;
	FILE *in;
	char *line;
	size_t size;
};

/** qmp_begin - takes @fd; false: nobody there speaks QMP */
bool qmp_begin(struct qmp *q, int fd);
void qmp_end(struct qmp *q);
/**
 * qmp_call - a command, in JSON with the format's arguments
 *
 * Returns the line that answers it, until the next call; NULL, and says so, if that is an
 * error, or QEMU has ended.
 */
const char *qmp_call(struct qmp *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** qmp_number - the number behind a name in an answer; -1: it is not there */
long long qmp_number(const char *answer, const char *name);

#endif
