// SPDX-License-Identifier: GPL-2.0-only
/*
 * init.c: PID 1 of the test VM.
 *
 * It mounts what tests need, loads the modules, runs the job (/job/cmd, or the
 * tests of /job/tests; none may leave a pool behind), unloads our module, scans
 * the kernel's log and kmemleak, runs what the job wants afterwards (/job/after),
 * and only then says its verdict and powers off.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "vm.h"

#define POOL_ATTACH_LIMIT_S	240
#define AFTER_LIMIT_S		600

int stream_fd = -1;
int verdict_fd = -1;

static const struct {
	const char *type, *dir, *options;
	bool optional;	/* not every kernel has it */
} mounts[] = {
	{ "devtmpfs", "/dev", NULL, false },
	{ "proc", "/proc", NULL, false },
	{ "sysfs", "/sys", NULL, false },
	{ "tmpfs", "/tmp", NULL, false },
	{ "tmpfs", "/run", NULL, false },
	{ "tmpfs", "/dev/shm", NULL, false },
	{ "devpts", "/dev/pts", NULL, true },
	{ "debugfs", "/sys/kernel/debug", NULL, true },
	{ "tracefs", "/sys/kernel/tracing", NULL, true },
	{ "cgroup2", "/sys/fs/cgroup", NULL, true },
	{ "hugetlbfs", "/dev/hugepages", NULL, true },
};

static void print_line(int fd, const char *fmt, va_list ap)
{
	vdprintf(fd, fmt, ap);
	dprintf(fd, "\n");
}

void verdict(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(verdict_fd, fmt, ap);
	va_end(ap);
}

void stream(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_line(stream_fd, fmt, ap);
	va_end(ap);
}

/* The log takes one write per record. */
void kmsg(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int fd, n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, line, n) < 0)
		stream("# /dev/kmsg: %s", strerror(errno));
	close(fd);
}

bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text);
}

static int open_tty(const char *path)
{
	struct termios t;
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0 && tcgetattr(fd, &t) == 0) {
		cfmakeraw(&t);
		cfsetspeed(&t, B115200);
		tcsetattr(fd, TCSANOW, &t);
	}
	return fd;
}

static void __attribute__((noreturn)) power_off(void)
{
	tcdrain(stream_fd);
	tcdrain(verdict_fd);
	sync();
	reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void mount_all(void)
{
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].dir, 0755);
		if (mount(mounts[i].type, mounts[i].dir, mounts[i].type, 0,
			  mounts[i].options) && !mounts[i].optional)
			dprintf(2, "init: %s: %s\n", mounts[i].dir,
				strerror(errno));
	}
	chmod("/tmp", 01777);
	chmod("/dev/shm", 01777);
	if (symlink("/proc/self/fd", "/dev/fd"))
		dprintf(2, "init: /dev/fd: %s\n", strerror(errno));
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+pids");
}

/* The kernel started with one: see run. */
static void start_cpus(void)
{
	char path[64];
	long all = sysconf(_SC_NPROCESSORS_CONF);

	for (long i = 1; i < all; i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%ld/online", i);
		write_file(path, "1");
	}
	if (sysconf(_SC_NPROCESSORS_ONLN) != all)
		verdict("cpus bad %ld of %ld started", sysconf(_SC_NPROCESSORS_ONLN), all);
}

static void report(const char *name, const struct run_result *res)
{
	const char *how = "exit";
	int value = WEXITSTATUS(res->status);

	if (res->stuck) {
		how = "stuck";
	} else if (res->timed_out) {
		how = "timeout";
	} else if (WIFSIGNALED(res->status)) {
		how = "signal";
		value = WTERMSIG(res->status);
	}
	stream("@end %s %s %d %.1f", name, how, value, res->seconds);
}

/* Lines of "NAME SECONDS". False when the machine got stuck. */
static bool run_tests(FILE *list)
{
	struct run_result res;
	char name[128], path[160];
	int limit_s;

	while (fscanf(list, "%127s %d", name, &limit_s) == 2) {
		char *argv[] = { path, NULL };

		snprintf(path, sizeof(path), "/tests/%s", name);
		stream("@begin %s", name);
		kmsg("uffdvram-vm: test %s", name);
		pools_before();
		run_program(argv, limit_s, &res);
		report(name, &res);
		if (res.stuck)
			return false;
		/* What it started must not be in the way of the next ones. */
		if (res.timed_out)
			kill(-1, SIGKILL);
		pools_after(name);
	}
	pools_verdict();
	return true;
}

/* A shared pool for the command, when the job asks for one. */
static bool attach_pool(void)
{
	struct run_result res;
	char *argv[] = { "/bin/sh", "/job/pool", NULL };

	if (access("/job/pool", F_OK))
		return true;
	run_program(argv, POOL_ATTACH_LIMIT_S, &res);
	if (res.timed_out || res.status) {
		verdict("pool bad could not attach the simulated pool");
		return false;
	}
	return true;
}

/* The status as a shell gives it; 124 for a timeout, as timeout(1). */
static bool run_command(int limit_s)
{
	struct run_result res;
	char *argv[] = { "/bin/sh", "/job/cmd", NULL };

	kmsg("uffdvram-vm: command");
	run_program(argv, limit_s, &res);
	if (res.timed_out)
		verdict("exit 124");
	else if (WIFSIGNALED(res.status))
		verdict("exit %d", 128 + WTERMSIG(res.status));
	else
		verdict("exit %d", WEXITSTATUS(res.status));
	return !res.stuck;
}

static bool run_job(void)
{
	FILE *f = fopen("/job/tests", "r");
	int limit_s = 600;

	if (f)
		return run_tests(f);
	f = fopen("/job/limit", "r");
	if (f && fscanf(f, "%d", &limit_s) != 1)
		limit_s = 600;
	return !attach_pool() || run_command(limit_s);
}

static void run_after(void)
{
	struct run_result res;
	char *argv[] = { "/bin/sh", "/job/after", NULL };

	if (access("/job/after", F_OK))
		return;
	run_program(argv, AFTER_LIMIT_S, &res);
	if (res.timed_out || res.status)
		verdict("after bad status %d", res.status);
}

int main(void)
{
	bool usable;

	mount_all();
	stream_fd = open_tty(STREAM_TTY);
	verdict_fd = open_tty(VERDICT_TTY);
	setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin:/tests", 1);
	setenv("HOME", "/tmp", 1);
	scan_log_open();
	stream("@boot");
	start_cpus();
	module_load_all("/modules");
	if (!module_load_ours())
		goto scan;
	usable = run_job();
	/* Nothing of the job may live on: it would hold the module. */
	kill(-1, SIGKILL);
	if (usable) {
		scan_kmemleak("kmemleak", 6);
		if (module_unload_ours())
			scan_kmemleak("kmemleak-after-rmmod", 0);
	} else {
		verdict("stuck bad a process survived SIGKILL");
	}
scan:
	scan_log();
	run_after();
	verdict("end");
	power_off();
}
