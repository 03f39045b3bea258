// SPDX-License-Identifier: GPL-2.0-only
#include "memcg.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define ROOT	"/sys/fs/cgroup/"
#define GROUP	ROOT "uffdvram-test/"

bool memcg_new(const char *max)
{
	/* The VM's init has mounted it; elsewhere it may be missing. */
	if (access(ROOT "cgroup.procs", F_OK) && mount("cgroup2", ROOT, "cgroup2", 0, NULL))
		return false;
	return !file_write(ROOT "cgroup.subtree_control", "+memory") &&
	       (!mkdir(GROUP, 0755) || errno == EEXIST) &&
	       !file_write(GROUP "memory.max", max);
}

bool memcg_swap(const char *max)
{
	return !file_write(GROUP "memory.swap.max", max);
}

bool memcg_enter(void)
{
	return !file_write(GROUP "cgroup.procs", "0");
}

bool memcg_leave(void)
{
	return !file_write(ROOT "cgroup.procs", "0");
}

long long memcg_events(const char *what)
{
	return file_value(GROUP "memory.events", what);
}

long long memcg_current(void)
{
	char text[32];
	long ret = file_read(GROUP "memory.current", text, sizeof(text));

	return ret < 0 ? ret : atoll(text);
}

/* Who was killed may not be quite gone. */
static bool gone(void *arg)
{
	(void)arg;
	return !rmdir(GROUP) || errno == ENOENT;
}

bool memcg_drop(void)
{
	return wait_until(gone, NULL, 60000);
}
