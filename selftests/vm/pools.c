// SPDX-License-Identifier: GPL-2.0-only
/*
 * pools.c: did a test leave a pool behind?
 *
 * Such a pool is in the way of no test that runs alone, and of any that comes after it:
 * it counts, it holds a window of the device, the module cannot go. Pools that were there
 * before the test are not its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vm.h"

#define POOLS		"/sys/kernel/debug/uffdvram/pools"
#define OURS		"/sys/module/uffdvram"
#define MAX_POOLS	256

/* A killed process may take its time to go, and its contexts' pools with it. */
#define LEAVE_TRIES	1200
#define LEAVE_PAUSE_US	100000

static unsigned int before[MAX_POOLS];
static int n_before, n_left;
static char tests_left[256];

static bool was_before(unsigned int id)
{
	for (int i = 0; i < n_before; i++)
		if (before[i] == id)
			return true;
	return false;
}

/* Calls @each for every pool. False when there is no list although there is the module. */
static bool pools_read(void (*each)(unsigned int id, char *line, void *arg), void *arg)
{
	FILE *f = fopen(POOLS, "r");
	char line[512];
	unsigned int id;

	/* A test may have unloaded it, and that is fine. */
	if (!f)
		return access(OURS, F_OK) && errno == ENOENT;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "pool %u ", &id) == 1)
			each(id, line, arg);
	}
	fclose(f);
	return true;
}

static void note(unsigned int id, char *line, void *arg)
{
	(void)line;
	(void)arg;
	if (n_before < MAX_POOLS)
		before[n_before++] = id;
}

static void count_new(unsigned int id, char *line, void *arg)
{
	int *n = arg;

	(void)line;
	*n += !was_before(id);
}

static void tell_new(unsigned int id, char *line, void *arg)
{
	if (!was_before(id))
		verdict("pools| [%s] %s", (char *)arg, line);
}

void pools_before(void)
{
	n_before = 0;
	pools_read(note, NULL);
}

void pools_after(char *test)
{
	size_t len = strlen(tests_left);
	bool listed = false;
	int n = 0;

	for (int i = 0; i < LEAVE_TRIES; i++) {
		n = 0;
		listed = pools_read(count_new, &n);
		if (listed && !n)
			return;
		usleep(LEAVE_PAUSE_US);
	}
	if (!listed)
		verdict("pools| [%s] cannot read %s", test, POOLS);
	else
		pools_read(tell_new, test);
	n_left += n ?: 1;
	snprintf(tests_left + len, sizeof(tests_left) - len, " %s", test);
}

void pools_verdict(void)
{
	if (n_left)
		verdict("pools bad %d left behind, by:%s", n_left, tests_left);
	else
		verdict("pools ok");
}
