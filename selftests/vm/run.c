// SPDX-License-Identifier: GPL-2.0-only
/*
 * run.c: run a program under a time limit and relay what it prints.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

/* How long a killed program may take to go. */
#define KILL_LIMIT_S	120

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static pid_t start(char *const argv[], int out)
{
	pid_t pid = fork();
	int null;

	if (pid)
		return pid;
	setsid();
	null = open("/dev/null", O_RDONLY);
	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	execv(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Relay what is there; never waits. True when the stream ended in mid-line. */
static bool relay(int in, bool mid_line)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0) {
		for (ssize_t off = 0, w; off < n; off += w) {
			w = write(stream_fd, buf + off, n - off);
			if (w < 0)
				return mid_line;
		}
		mid_line = buf[n - 1] != '\n';
	}
	return mid_line;
}

/* Collect our child, and on the way whatever else PID 1 inherited. */
static bool reap(pid_t pid, int *status)
{
	bool done = false;
	pid_t got;
	int st;

	while ((got = waitpid(-1, &st, WNOHANG)) > 0) {
		if (got == pid) {
			*status = st;
			done = true;
		}
	}
	return done;
}

/* Blocked tasks and memory, for whoever reads the log of a hang. */
static void show_hang(const char *name)
{
	kmsg("uffdvram-vm: %s ran into its time limit", name);
	write_file("/proc/sysrq-trigger", "w");
	write_file("/proc/sysrq-trigger", "l");
	write_file("/proc/sysrq-trigger", "d");
}

void run_program(char *const argv[], int limit_s, struct run_result *res)
{
	double begin = now_s(), deadline = begin + limit_s;
	bool mid_line = false;
	struct pollfd pfd;
	int fds[2];
	pid_t pid;

	memset(res, 0, sizeof(*res));
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK)) {
		res->status = 127 << 8;
		return;
	}
	fcntl(fds[1], F_SETFL, 0);
	pid = start(argv, fds[1]);
	close(fds[1]);
	pfd = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	while (!reap(pid, &res->status)) {
		poll(&pfd, pfd.revents & POLLHUP ? 0 : 1, 20);
		if (pfd.revents & POLLHUP)
			usleep(1000);
		mid_line = relay(fds[0], mid_line);
		if (now_s() < deadline)
			continue;
		if (res->timed_out) {
			res->stuck = true;
			break;
		}
		show_hang(argv[0]);
		res->timed_out = true;
		deadline = now_s() + KILL_LIMIT_S;
		kill(-1, SIGKILL);
	}
	/* What the program left running must not disturb the next one. */
	kill(-1, SIGKILL);
	if (relay(fds[0], mid_line) && !res->stuck)
		stream("%s", "");
	close(fds[0]);
	res->seconds = now_s() - begin;
}
