// SPDX-License-Identifier: GPL-2.0-only
/* Counts of what the kernel does, by probes on its functions. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define TRACING		"/sys/kernel/tracing/"
#define PREFIX		"bench"

/* Several functions may make one count. */
static const struct {
	const char *name, *symbol;
	bool wait;	/* someone waits for a lock */
} probes[] = {
	{ "faults", "handle_mm_fault", false },
	{ "page_allocations", "__alloc_frozen_pages_noprof", false },
	{ "tlb_flushes", "flush_tlb_mm_range", false },
	{ "ipis", "native_send_call_func_single_ipi", false },
	{ "ipis", "native_send_call_func_ipi", false },
	{ "notifier_pairs", "__mmu_notifier_invalidate_range_start", false },
	{ "contended_spinlocks", "native_queued_spin_lock_slowpath", true },
	{ "contended_mutexes", "__mutex_lock_slowpath", true },
	{ "contended_rwsems", "rwsem_down_read_slowpath", true },
	{ "contended_rwsems", "rwsem_down_write_slowpath", true },
};

#define N_PROBES	(sizeof(probes) / sizeof(probes[0]))

/* What takes a lock. Of these, only those count that the module calls. */
static const char * const lockers[] = {
	"_raw_spin_lock", "_raw_spin_lock_irq", "_raw_spin_lock_irqsave", "_raw_spin_lock_bh",
	"mutex_lock",
};

#define N_LOCKERS	(sizeof(lockers) / sizeof(lockers[0]))

static const char *names[MAX_COUNTS];
static unsigned int name_of[N_PROBES], n_names, name_locks;
static bool name_waits[MAX_COUNTS];

static unsigned int add_name(const char *name)
{
	unsigned int i;

	for (i = 0; i < n_names; i++)
		if (!strcmp(names[i], name))
			return i;
	if (n_names == MAX_COUNTS)
		give_up("too many counts");
	names[n_names] = name;
	return n_names++;
}

static __attribute__((format(printf, 2, 3)))
void append(const char *path, const char *fmt, ...)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC), n, err;
	va_list ap;

	if (fd < 0)
		give_up(path);
	va_start(ap, fmt);
	n = vdprintf(fd, fmt, ap);
	err = errno;
	va_end(ap);
	close(fd);
	if (n < 0) {
		va_start(ap, fmt);
		vfprintf(stderr, fmt, ap);
		va_end(ap);
		errno = err;
		give_up(path);
	}
}

static void event_write(char kind, unsigned int i, const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), TRACING "events/" PREFIX "/%c%u/%s", kind, i, file);
	append(path, "%s", text);
}

/* The caller is who the return address on the stack belongs to. */
void counts_open(void)
{
	unsigned int i;

	for (i = 0; i < N_PROBES; i++) {
		name_of[i] = add_name(probes[i].name);
		name_waits[name_of[i]] |= probes[i].wait;
		append(TRACING "kprobe_events", "p:" PREFIX "/n%u %s\n", i, probes[i].symbol);
		if (probes[i].wait)
			event_write('n', i, "enable", "1");
	}
	name_locks = add_name("lock_rounds");
	for (i = 0; i < N_LOCKERS; i++)
		append(TRACING "kprobe_events", "p:" PREFIX "/l%u %s caller=$stack0\n", i,
		       lockers[i]);
}

void counts_watch(bool all)
{
	static bool now;
	unsigned int i;

	if (now == all)
		return;
	now = all;
	for (i = 0; i < N_PROBES; i++)
		if (!probes[i].wait)
			event_write('n', i, "enable", all ? "1" : "0");
	for (i = 0; i < N_LOCKERS; i++)
		event_write('l', i, "trigger", all ? "hist:keys=caller.sym:size=4096" :
						     "!hist:keys=caller.sym:size=4096");
}

/* Lines of "PREFIX/nN hits misses", or "nN hits misses". */
static void read_profile(double *count)
{
	FILE *f = fopen(TRACING "kprobe_profile", "r");
	unsigned int i;
	char line[256], *n;
	double hits;

	if (!f)
		give_up("kprobe_profile");
	while (fgets(line, sizeof(line), f)) {
		n = strrchr(line, '/');
		n = n ? n + 1 : line + strspn(line, " ");
		if (sscanf(n, "n%u %lf", &i, &hits) == 2 && i < N_PROBES)
			count[name_of[i]] += hits;
	}
	fclose(f);
}

/* Lines of "{ caller: [ADDRESS] FUNCTION [MODULE] } hitcount: N". */
static double read_locker(unsigned int i, const char *module)
{
	char path[128], line[512], tag[64], *hits;
	double sum = 0;
	FILE *f;

	snprintf(path, sizeof(path), TRACING "events/" PREFIX "/l%u/hist", i);
	snprintf(tag, sizeof(tag), "[%s]", module);
	f = fopen(path, "r");
	if (!f)
		give_up(path);
	while (fgets(line, sizeof(line), f)) {
		hits = strstr(line, "hitcount:");
		if (hits && strstr(line, tag))
			sum += atof(hits + strlen("hitcount:"));
	}
	fclose(f);
	return sum;
}

void counts_read(const char *module, double *count)
{
	unsigned int i;

	memset(count, 0, MAX_COUNTS * sizeof(*count));
	read_profile(count);
	for (i = 0; module && i < N_LOCKERS; i++)
		count[name_locks] += read_locker(i, module);
}

const char *counts_name(unsigned int i)
{
	return i < n_names ? names[i] : NULL;
}

bool counts_waits(unsigned int i)
{
	return name_waits[i];
}

double counts_contended(const double *count)
{
	double sum = 0;
	unsigned int i;

	for (i = 0; i < n_names; i++)
		if (name_waits[i])
			sum += count[i];
	return sum;
}
