// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The line of counts: at the end to stderr; in a report file it stands from the
 * beginning and is kept up to date, for those that a signal kills.
 *
 * The thread comes here, too: nothing of libc's.
 */
#include <fcntl.h>
#include <unistd.h>

#include "raw.h"
#include "shim.h"

#define LINE_SIZE	160

static char *put_text(char *at, const char *text)
{
	while (*text)
		*at++ = *text++;
	return at;
}

static char *put_number(char *at, uint64_t n)
{
	char digits[20];
	int i = 0;

	do {
		digits[i++] = '0' + n % 10;
		n /= 10;
	} while (n);
	while (i)
		*at++ = digits[--i];
	return at;
}

static int report_line(char *line, bool fixed)
{
	char *at = put_number(put_text(line, "uffdvram-preload: pid "), shim.pid);

	at = put_number(put_text(at, " migrations "), shim.n.migrations);
	at = put_number(put_text(at, " fault-backs "), shim.n.fault_backs);
	at = put_number(put_text(at, " ranges "), shim.n.ranges);
	at = put_number(put_text(at, " refused "), shim.n.refused);
	while (fixed && at < line + LINE_SIZE - 1)
		*at++ = ' ';
	*at++ = '\n';
	return at - line;
}

/* A line of its own in the file. */
void report_begin(void)
{
	char line[LINE_SIZE];
	long fd;

	shim.report_at = -1;
	shim.reported = 0;
	if (!shim.report)
		return;
	fd = raw(SYS_open, shim.report, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (raw_failed(fd))
		return;
	if (raw(SYS_write, fd, line, report_line(line, true)) == LINE_SIZE)
		shim.report_at = raw(SYS_lseek, fd, 0, SEEK_CUR) - LINE_SIZE;
	raw(SYS_close, fd);
}

void report_update(void)
{
	uint64_t now = shim.n.migrations + shim.n.fault_backs;
	char line[LINE_SIZE];
	long fd;

	if (shim.report_at < 0 || now == shim.reported)
		return;
	fd = raw(SYS_open, shim.report, O_WRONLY | O_CLOEXEC);
	if (raw_failed(fd))
		return;
	if (raw(SYS_pwrite64, fd, line, report_line(line, true), shim.report_at) == LINE_SIZE)
		shim.reported = now;
	raw(SYS_close, fd);
}

void report_end(void)
{
	char line[LINE_SIZE];

	/* Ranges and refusals, too, which the thread does not look at. */
	shim.reported = ~0ULL;
	report_update();
	if (shim.report_at < 0)
		raw(SYS_write, STDERR_FILENO, line, report_line(line, false));
}
