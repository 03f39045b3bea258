// SPDX-License-Identifier: GPL-2.0-only
/* What the tests of NVIDIA's pools share; see util_nvidia.h. */
#include "util_nvidia.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int module_load(const char *file)
{
	char path[128], *c;
	int fd, ret;

	/* Its name has underscores there. */
	snprintf(path, sizeof(path), "/sys/module/%s", file);
	for (c = path; *c; c++)
		*c = *c == '-' ? '_' : *c;
	if (!access(path, F_OK))
		return 0;
	snprintf(path, sizeof(path), "/files/%s.ko", file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ret = fd < 0 || syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret == -EEXIST ? 0 : ret;
}

int module_unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

/* A pool that has just ended holds the modules for a moment. */
bool module_unloads(void *name)
{
	return module_unload(name) == 0;
}

int stub_open(void)
{
	return open("/dev/nvidia-stub", O_RDWR | O_CLOEXEC);
}

int stub_call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

uint64_t stub_new(int fd, uint64_t bytes)
{
	struct stub_alloc a = { .bytes = bytes };

	return stub_call(fd, STUB_ALLOC, &a) ? 0 : a.addr;
}

void stub_knob(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), STUB_PARAMS "%s", name);
	if (file_write(path, value))
		give_up(path);
}

char stub_knob_get(const char *name)
{
	char path[128], value[32];

	snprintf(path, sizeof(path), STUB_PARAMS "%s", name);
	if (file_read(path, value, sizeof(value)) < 1)
		give_up(path);
	return *value;
}

struct stub_state stub_look(int fd)
{
	struct stub_state s;

	if (stub_call(fd, STUB_STATE, &s))
		give_up("STUB_STATE");
	return s;
}

bool gpu_is_free(void *fd)
{
	struct stub_state s = stub_look(*(int *)fd);

	return !s.pages_used && !s.tables;
}

/* What the GPU has in its memory, or puts there. */
int gpu_read(int fd, uint64_t addr, void *buf, size_t len)
{
	struct stub_access a = { addr, len, (uintptr_t)buf };

	return stub_call(fd, STUB_READ, &a);
}

int gpu_write(int fd, uint64_t addr, const void *buf, size_t len)
{
	struct stub_access a = { addr, len, (uintptr_t)buf };

	return stub_call(fd, STUB_WRITE, &a);
}

int gpu_xid(int fd, uint32_t xid)
{
	return stub_call(fd, STUB_XID, &xid);
}
