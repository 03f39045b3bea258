// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the program calls instead of libc's: the calls that could close the
 * shim's descriptor, and the ways out.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "hooks.h"
#include "raw.h"
#include "shim.h"

static bool is_ours(long fd)
{
	return shim.mode != SHIM_OFF && fd == shim.fd && raw(SYS_getpid) == shim.pid;
}

long hook_close(long fd)
{
	return is_ours(fd) ? -EBADF : raw(SYS_close, fd);
}

/* Leaves out ours. With CLOSE_RANGE_UNSHARE the second part finds it done. */
long hook_close_range(long first, long last, long flags)
{
	unsigned int from = first, to = last;
	long ret = 0;

	if (shim.fd < 0 || !is_ours(shim.fd) || from > to || from > (unsigned int)shim.fd ||
	    to < (unsigned int)shim.fd)
		return raw(SYS_close_range, from, to, flags);
	if (from < (unsigned int)shim.fd)
		ret = raw(SYS_close_range, from, shim.fd - 1, flags);
	if (!ret && to > (unsigned int)shim.fd)
		ret = raw(SYS_close_range, shim.fd + 1, to, flags);
	return ret;
}

long hook_dup3(long fd, long to, long flags)
{
	if (is_ours(to) && fd != to) {
		long other = raw(SYS_fcntl, to, F_DUPFD_CLOEXEC, to / 2);

		if (raw_failed(other))
			return -EBUSY;
		shim.fd = other;
	}
	return flags == -1 ? raw(SYS_dup2, fd, to) : raw(SYS_dup3, fd, to, flags);
}

static int with_errno(long ret)
{
	if (!raw_failed(ret))
		return ret;
	errno = -ret;
	return -1;
}

/*
 * Userfaultfd speaks ioctl: pages move just before. Not so before PAGEMAP_SCAN:
 * programs compare it with what they have read from pagemap just now.
 */
EXPORT int ioctl(int fd, unsigned long cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	if (_IOC_TYPE(cmd) != 'f')
		chaos_stir(0, 0);
	return with_errno(raw(SYS_ioctl, fd, cmd, arg));
}

EXPORT int close(int fd)
{
	return with_errno(hook_close(fd));
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	return with_errno(hook_close_range(first, last, flags));
}

EXPORT void closefrom(int first)
{
	hook_close_range(first < 0 ? 0 : first, ~0U, 0);
}

EXPORT int dup2(int fd, int to)
{
	return with_errno(hook_dup3(fd, to, -1));
}

EXPORT int dup3(int fd, int to, int flags)
{
	/* -1 has bits that the kernel refuses, as it would have. */
	return with_errno(flags == -1 ? -EINVAL : hook_dup3(fd, to, flags));
}

static __attribute__((noreturn)) void leave(int status)
{
	shim_report();
	while (1)
		raw(SYS_exit_group, status);
}

EXPORT void _exit(int status)
{
	leave(status);
}

EXPORT void _Exit(int status)
{
	leave(status);
}
