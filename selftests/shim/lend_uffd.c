// SPDX-License-Identifier: GPL-2.0-only
/*
 * lend_uffd.c: see lend_uffd.h. UFFDIO_API is left to who takes the descriptor.
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lend_uffd.h"

static void __attribute__((constructor)) lend(void)
{
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	dup3(fd, LENT_UFFD, O_CLOEXEC);
	close(fd);
}
