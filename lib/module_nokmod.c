// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Modules without libkmod, for static programs: only files that the caller names.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "module_find.h"

int uffdvram_module_find(const struct uffdvram_module_opts *opts,
			 struct uffdvram_found *found)
{
	*found = (struct uffdvram_found){ 0 };
	if (!opts->path)
		return -ENODATA;
	return access(opts->path, R_OK) ? -errno : 0;
}

int uffdvram_module_insert(const struct uffdvram_module_opts *opts)
{
	int fd, ret = 0;

	if (!opts->path)
		return -ENODATA;
	fd = open(opts->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, opts->params ?: "", 0))
		ret = -errno;
	close(fd);
	return ret;
}
