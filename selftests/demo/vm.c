// SPDX-License-Identifier: GPL-2.0-only
/*
 * vm: stock QEMU as a child process, and what its guest says on the serial
 * line (guest.c tells how).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "demo.h"

#define BOOTS	3

static volatile pid_t running;

void vm_kill(void)
{
	if (running > 0)
		kill(running, SIGKILL);
}

void vm_start(struct vm *vm, char *const argv[])
{
	int pipefd[2];

	if (pipe2(pipefd, O_CLOEXEC))
		demo_fail(DEMO_FAILED, "pipe: %m");
	vm->argv = argv;
	vm->boots++;
	vm->len = 0;
	vm->pid = fork();
	if (vm->pid < 0)
		demo_fail(DEMO_FAILED, "fork: %m");
	if (!vm->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(open("/dev/null", O_RDONLY), 0);
		dup2(pipefd[1], 1);
		dup2(pipefd[1], 2);
		execvp(argv[0], argv);
		dprintf(1, "FAILED %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(pipefd[1]);
	vm->serial = pipefd[0];
	running = vm->pid;
}

static void take_complaint(struct vm *vm, const char *line)
{
	uint64_t pass, addr, gpa, expected, got;

	say("*** THE GUEST COMPLAINS: %s", line);
	if (sscanf(line, "BAD pass=%" SCNu64 " addr=%" SCNx64 " gpa=%" SCNx64
		   " expected=%" SCNx64 " got=%" SCNx64,
		   &pass, &addr, &gpa, &expected, &got) != 5)
		gpa = expected = got = 0;
	if (!vm->bad.count++) {
		vm->bad.gpa = gpa;
		vm->bad.expected = expected;
		vm->bad.got = got;
	}
}

static void take_line(struct vm *vm, const char *line)
{
	uint64_t pass, bytes, errors, sum, gpa;

	if (sscanf(line, "PASS %" SCNu64 " bytes=%" SCNu64 " errors=%" SCNu64
		   " sum=%" SCNx64 " gpa=%" SCNx64,
		   &pass, &bytes, &errors, &sum, &gpa) == 5) {
		vm->pass = pass;
		vm->bytes = bytes;
		vm->errors = errors;
		vm->gpa = gpa;
	} else if (!strncmp(line, "BAD ", 4)) {
		take_complaint(vm, line);
	} else if (sscanf(line, "DATA bytes=%" SCNu64, &bytes) == 1) {
		vm->data = bytes;
	} else if (strstr(line, "Kernel panic") || !strncmp(line, "FAILED ", 7)) {
		demo_fail(DEMO_FAILED, "the guest died: %s", line);
	} else if (*line && !strstr(line, "TCG doesn't support requested")) {
		say_more("guest: %s", line);
	}
}

static void take_bytes(struct vm *vm, const char *buf, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (buf[i] == '\n' || vm->len == sizeof(vm->line) - 1) {
			vm->line[vm->len] = '\0';
			vm->len = 0;
			take_line(vm, vm->line);
		} else if (buf[i] >= ' ' || buf[i] == '\t') {
			vm->line[vm->len++] = buf[i];
		}
	}
}

/* Nobody asked QEMU to end: a guest that resets itself ends it, too (-no-reboot). */
static void vm_ended(struct vm *vm)
{
	int status = 0;

	if (waitpid(vm->pid, &status, 0) == vm->pid)
		running = 0;
	if (WIFEXITED(status) && !WEXITSTATUS(status) && !vm->data && vm->boots < BOOTS) {
		say("the guest reset itself while it booted, before any page moved: once more");
		close(vm->serial);
		vm_start(vm, vm->argv);
		return;
	}
	if (WIFSIGNALED(status))
		demo_fail(DEMO_FAILED, "QEMU was killed by signal %d (%s)",
			  WTERMSIG(status), strsignal(WTERMSIG(status)));
	demo_fail(DEMO_FAILED, "QEMU ended by itself, with status %d%s",
		  WEXITSTATUS(status),
		  WEXITSTATUS(status) ? "" : ": its guest reset itself");
}

/* Returns false when nothing came within @timeout_ms. */
static bool vm_read(struct vm *vm, int timeout_ms)
{
	struct pollfd pfd = { .fd = vm->serial, .events = POLLIN };
	char buf[4096];
	ssize_t n;

	if (poll(&pfd, 1, timeout_ms) <= 0)
		return false;
	n = read(vm->serial, buf, sizeof(buf));
	if (n > 0)
		take_bytes(vm, buf, n);
	else
		vm_ended(vm);
	return true;
}

void vm_drain(struct vm *vm)
{
	while (vm_read(vm, 0))
		;
}

void vm_wait_data(struct vm *vm)
{
	while (!vm->data) {
		vm_read(vm, 1000);
		step_check(vm);
	}
}

void vm_wait_whole_pass(struct vm *vm, bool stop_at_complaint)
{
	uint64_t now;

	/*
	 * QEMU writes to the pipe while the guest waits, so after this the
	 * guest is in pass now + 1, which may have begun long ago. The one
	 * after it counts.
	 */
	vm_drain(vm);
	now = vm->pass;
	while (vm->pass < now + 2 && !(stop_at_complaint && vm->bad.count)) {
		vm_read(vm, 1000);
		step_check(vm);
	}
}

void vm_find_ram(struct vm *vm, uint64_t bytes)
{
	uint64_t start, end, offset;
	char path[64], line[512], perms[8], dev[16];
	unsigned int found = 0, inode;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", vm->pid);
	f = fopen(path, "re");
	if (!f)
		demo_fail(DEMO_FAILED, "%s: %m", path);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %15s %u",
			   &start, &end, perms, &offset, dev, &inode) != 6)
			continue;
		if (end - start != bytes || inode || strcmp(perms, "rw-p"))
			continue;
		vm->ram = start;
		found++;
	}
	fclose(f);
	if (found != 1)
		demo_fail(DEMO_FAILED, "QEMU has %u anonymous mappings of %" PRIu64
			  " MiB, not one", found, bytes >> 20);
	vm->ram_bytes = bytes;
}
