// SPDX-License-Identifier: GPL-2.0-only
/*
 * module.c: loading and unloading of kernel modules.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vm.h"

#define OURS		"uffdvram"
#define OURS_PATH	"/job/uffdvram.ko"

/* Workers may still bring pages home when the last process has gone. */
#define UNLOAD_TRIES	300
#define UNLOAD_PAUSE_US	200000

static int load(const char *path, const char *params)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return errno;
	if (syscall(SYS_finit_module, fd, params, 0) && errno != EEXIST)
		err = errno;
	close(fd);
	return err;
}

/*
 * The kernel's own modules. The file names begin with a number, so that their
 * order is that of their dependencies. A failure is no error here: a machine
 * without SVM has no kvm_amd, and the tests that need it say so.
 */
void module_load_all(const char *dir)
{
	struct dirent **list;
	char path[512];
	int n, err;

	n = scandir(dir, &list, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		err = load(path, "");
		if (err)
			stream("# %s: %s", path, strerror(err));
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static void read_params(char *buf, size_t size)
{
	FILE *f = fopen("/job/params", "r");

	buf[0] = '\0';
	if (!f)
		return;
	if (!fgets(buf, size, f))
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	fclose(f);
}

bool module_load_ours(void)
{
	char params[1024];
	int err;

	read_params(params, sizeof(params));
	err = load(OURS_PATH, params);
	if (err) {
		verdict("insmod bad %s: %s", OURS_PATH, strerror(err));
		return false;
	}
	verdict("insmod ok");
	return true;
}

static bool unload(const char *name)
{
	char path[128];

	/* A test may have unloaded it, and that is fine. */
	snprintf(path, sizeof(path), "/sys/module/%s", name);
	if (access(path, F_OK))
		return true;
	for (int i = 0; i < UNLOAD_TRIES; i++) {
		if (!syscall(SYS_delete_module, name, O_NONBLOCK))
			return true;
		if (errno != EBUSY && errno != EAGAIN)
			break;
		usleep(UNLOAD_PAUSE_US);
	}
	verdict("rmmod bad %s: %s", name, strerror(errno));
	return false;
}

/* Those that use it, or are used by those, come first. */
bool module_unload_ours(void)
{
	bool ok = unload("uffdvram_nvidia") && unload("nvidia_stub") && unload(OURS);

	if (ok)
		verdict("rmmod ok");
	return ok;
}
