// SPDX-License-Identifier: GPL-2.0-only
/*
 * say: output for a person, and the one way in which the demo fails.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"

#define GRACE_S	5	/* step_check() comes first, for it can tell more */

static const char *step_name = "start";
static double step_end;

double seconds(void)
{
	static struct timespec start;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!start.tv_sec)
		start = now;
	return now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9;
}

static void vsay(const char *prefix, const char *fmt, va_list ap)
{
	fputs(prefix, stdout);
	vprintf(fmt, ap);
	putchar('\n');
	fflush(stdout);
}

void say(const char *fmt, ...)
{
	char prefix[32];
	va_list ap;

	snprintf(prefix, sizeof(prefix), "%5.1f s  ", seconds());
	va_start(ap, fmt);
	vsay(prefix, fmt, ap);
	va_end(ap);
}

void say_more(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay("         ", fmt, ap);
	va_end(ap);
}

void demo_fail(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay("\nDEMO FAILED: ", fmt, ap);
	va_end(ap);
	vm_kill();
	exit(status);
}

/* Only what a signal handler may do; vm_kill() is one kill(2). */
static void too_late(int sig)
{
	static const char text[] = "\nDEMO FAILED: this took too long: ";

	(void)sig;
	if (write(1, text, sizeof(text) - 1) < 0 ||
	    write(1, step_name, strlen(step_name)) < 0 || write(1, "\n", 1) < 0)
		_exit(DEMO_FAILED);
	vm_kill();
	_exit(DEMO_FAILED);
}

void step(unsigned int limit, const char *what)
{
	step_name = what;
	step_end = seconds() + limit;
	signal(SIGALRM, too_late);
	alarm(limit + GRACE_S);
}

void step_check(const struct vm *vm)
{
	struct stats s;

	if (seconds() < step_end)
		return;
	stats_read(&s, vm->pid);
	say_more("guest: %s passes; module: %s pages in, %s out, %s faults, %s pages faulted back, "
		 "%s retries, %s errors; KVM: %s faults",
		 commas(vm->pass), commas(s.pages_in), commas(s.pages_out), commas(s.faults),
		 commas(s.fault_pages), commas(s.fault_retries), commas(s.fault_errors),
		 commas(s.kvm_faults));
	demo_fail(DEMO_FAILED, "this took too long: %s", step_name);
}

const char *commas(uint64_t n)
{
	static char buf[8][32];
	static unsigned int next;
	char *s = buf[next++ % 8], *p = s + sizeof(buf[0]) - 1;
	int digits = 0;

	*p = '\0';
	do {
		if (digits && digits % 3 == 0)
			*--p = ',';
		*--p = '0' + n % 10;
		digits++;
	} while (n /= 10);
	return p;
}
