/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the programs here speak, and give up: to stderr, beginning with their name;
 * with exit status 1 for what fails.
 */
#ifndef UFFDVRAM_SELFTESTS_CUDA_SAY_H
#define UFFDVRAM_SELFTESTS_CUDA_SAY_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "cu.h"

/* For struct uffdvram_open_opts. */
static inline void say(void *data, int priority, const char *msg)
{
	(void)data;
	if (priority <= LOG_WARNING)
		fprintf(stderr, "%s: %s\n", program_invocation_short_name, msg);
}

static inline void die(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

static inline void die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* Functions of the library, and of CUDA, that must not fail. */
static inline void lib(const char *what, int ret)
{
	if (ret)
		die("%s: %s", what, strerrorname_np(-ret) ?: "unknown error");
}

static inline void cu(const char *what, int result)
{
	const char *name;

	if (!result)
		return;
	if (cuGetErrorName(result, &name))
		name = "unknown error";
	die("%s: %s (%d)", what, name, result);
}

#endif /* UFFDVRAM_SELFTESTS_CUDA_SAY_H */
