// SPDX-License-Identifier: GPL-2.0-only
/*
 * scan.c: did the kernel complain, did it leak?
 *
 * /vm/splats and /vm/splats-allow hold one extended regular expression a line.
 * What matches the first and not the second is a complaint.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm.h"

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
#define MAX_PATTERNS	128
#define MAX_REPORTED	20
#define MAX_LEAK_LINES	60

static int log_fd = -1;

struct patterns {
	regex_t re[MAX_PATTERNS];
	int n;
};

static bool patterns_read(const char *path, struct patterns *p)
{
	FILE *f = fopen(path, "r");
	char line[256];

	p->n = 0;
	if (!f)
		return false;
	while (p->n < MAX_PATTERNS && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!line[0] || line[0] == '#')
			continue;
		if (regcomp(&p->re[p->n++], line, REG_EXTENDED | REG_NOSUB)) {
			fclose(f);
			return false;
		}
	}
	fclose(f);
	return true;
}

static bool patterns_match(const struct patterns *p, const char *text)
{
	for (int i = 0; i < p->n; i++)
		if (!regexec(&p->re[i], text, 0, NULL, 0))
			return true;
	return false;
}

/* Opened at boot: a reader that is late would lose the oldest records. */
void scan_log_open(void)
{
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

/*
 * A record is "prefix;text\n", then lines of the dictionary.
 * Returns the length of the text, 0 at the end of the log, or -errno.
 */
static int read_record(char *buf, size_t size, char **text)
{
	ssize_t n = read(log_fd, buf, size - 1);
	char *semi;

	*text = buf;
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	buf[n] = '\0';
	semi = strchr(buf, ';');
	if (semi)
		*text = semi + 1;
	(*text)[strcspn(*text, "\n")] = '\0';
	return 1 + strlen(*text);
}

void scan_log(void)
{
	static struct patterns bad, fine;
	char buf[8192], test[128] = "boot", *text;
	int n, count = 0;

	if (log_fd < 0 || !patterns_read("/vm/splats", &bad) || bad.n == 0 ||
	    !patterns_read("/vm/splats-allow", &fine)) {
		verdict("kernel-log bad cannot scan the kernel's log");
		return;
	}
	while ((n = read_record(buf, sizeof(buf), &text)) != 0) {
		if (n < 0) {
			/* A record was overwritten before we came to it. */
			verdict("kernel-log| lost records: %s", strerror(-n));
			count++;
			if (n != -EPIPE)
				break;
			continue;
		}
		if (sscanf(text, "uffdvram-vm: test %127s", test) == 1)
			continue;
		if (!patterns_match(&bad, text) || patterns_match(&fine, text))
			continue;
		if (count++ < MAX_REPORTED)
			verdict("kernel-log| [%s] %s", test, text);
	}
	if (count)
		verdict("kernel-log bad %d complaints", count);
	else
		verdict("kernel-log ok");
}

/*
 * kmemleak reports what two scans in a row found unreferenced, unchanged and
 * older than five seconds: hence the delay.
 */
void scan_kmemleak(const char *when, int delay_s)
{
	char line[512];
	int leaks = 0, lines = 0;
	FILE *f;

	if (access(KMEMLEAK, F_OK)) {
		verdict("%s skip this kernel has none", when);
		return;
	}
	write_file(KMEMLEAK, "scan");
	sleep(delay_s);
	if (!write_file(KMEMLEAK, "scan")) {
		verdict("%s bad cannot scan: %s", when, strerror(errno));
		return;
	}
	f = fopen(KMEMLEAK, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "unreferenced object", 19))
			leaks++;
		line[strcspn(line, "\n")] = '\0';
		if (lines++ < MAX_LEAK_LINES)
			verdict("%s| %s", when, line);
	}
	if (f)
		fclose(f);
	if (!f || leaks)
		verdict("%s bad %d unreferenced objects", when, leaks);
	else
		verdict("%s ok", when);
}
