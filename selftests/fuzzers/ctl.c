// SPDX-License-Identifier: GPL-2.0-only
/*
 * uffdvramctl: commands as a batch reads them, their words and ranges, and the files
 * of /proc and /sys that they read, all of which are the second part of the input.
 */
#include <poll.h>
#include <time.h>

#include "fake.h"
#include "../../lib/ctl/cmd.h"

static struct feed files;
/* How often nobody waits. */
#define SLEEPS	8
static unsigned int sleeps;

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_nanosleep(const struct timespec *how_long, struct timespec *left);

FILE *__wrap_fopen(const char *path, const char *mode)
{
	if (!files.at)
		return __real_fopen(path, mode);
	if (!files.left || *mode != 'r') {
		errno = ENOENT;
		return NULL;
	}
	return fmemopen((void *)files.at, files.left, "r");
}

/* Nothing comes, and nobody waits for it. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	(void)timeout;
	for (nfds_t i = 0; i < n; i++)
		fds[i].revents = 0;
	return 0;
}

int __wrap_nanosleep(const struct timespec *how_long, struct timespec *left)
{
	(void)left;
	must(how_long->tv_sec >= 0 && how_long->tv_nsec < 1000000000);
	if (sleeps++ < SLEEPS)
		return 0;
	errno = EINVAL;
	return -1;
}

/* "OPTIONS COMMANDS \0 FILES"; what the module answers, the files' bytes say, too. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session s = { .device = "/dev/null", .pidfd = -1 };
	size_t commands = strnlen((const char *)data, size);
	char *batch[] = { "batch", "--ack", NULL };
	FILE *in, *keep = stdin;
	int ret;

	if (commands < 2)
		return 0;
	s.json = data[0] & 1;
	s.pid = data[0] & 2 ? getpid() : 0;
	in = fmemopen((void *)(data + 1), commands - 1, "r");
	must(in);
	files = (struct feed){ data + commands, size - commands };
	if (files.left)
		files.at++, files.left--;
	answers = files;
	stdin = in;
	sleeps = 0;
	ret = cmd_batch(&s, 2, batch);
	must(ret == CTL_OK || ret == CTL_FAILED || ret == CTL_USAGE);
	session_end(&s);
	stdin = keep;
	files.at = NULL;
	fclose(in);
	return 0;
}
