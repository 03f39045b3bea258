// SPDX-License-Identifier: GPL-2.0-only
/* The two ways to make things fail. */
#include "inject.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/rseq.h>
#include <unistd.h>

#define DEBUGFS	"/sys/kernel/debug/"

/* The kernel's leaves most allocations alone unless told, and is loud about it. */
static bool prepare_kernel(void)
{
	static const char *const quiet[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	char path[128];

	if (file_write(DEBUGFS "failslab/ignore-gfp-wait", "N") ||
	    file_write(DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N") ||
	    file_write(DEBUGFS "fail_page_alloc/min-order", "0") ||
	    file_write(DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N"))
		return false;
	for (unsigned int i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++) {
		snprintf(path, sizeof(path), DEBUGFS "%s/verbose", quiet[i]);
		if (file_write(path, "0"))
			return false;
	}
	return true;
}

bool inject_open(struct inject *in, bool kernel)
{
	in->kernel = kernel;
	if (kernel && !prepare_kernel())
		return false;
	in->fd = open(kernel ? "/proc/thread-self/fail-nth" : DEBUGFS "uffdvram/fail_nth",
		      O_RDWR | O_CLOEXEC);
	return in->fd >= 0;
}

void inject_close(struct inject *in)
{
	close(in->fd);
}

/*
 * When a thread was switched out, the kernel writes to its area for restartable sequences,
 * and kills it where it gets no page for that. After a fork that is to be copied: have it
 * copied before anything fails.
 */
static void have_rseq(void)
{
	char *self = __builtin_thread_pointer();
	volatile struct rseq *area = (struct rseq *)(self + __rseq_offset);

	if (__rseq_size)
		area->flags = area->flags;
}

void inject_arm(struct inject *in, unsigned int nth, const char *what)
{
	char text[128];
	int len = snprintf(text, sizeof(text), in->kernel ? "%u" : "%u %s", nth, what);

	have_rseq();
	/* Nothing between this and what is to fail. */
	if (pwrite(in->fd, text, len, 0) != len)
		give_up("fail_nth");
}

bool inject_disarm(struct inject *in)
{
	char text[32] = "";
	ssize_t n = pread(in->fd, text, sizeof(text) - 1, 0);
	bool failed = n > 0 && !atoi(text);

	/* This may be what fails: then nothing else did. */
	if (n <= 0 && (!in->kernel || errno != EFAULT))
		give_up("fail_nth");
	if (!failed && pwrite(in->fd, "0", 1, 0) != 1 && !in->kernel)
		give_up("fail_nth");
	return failed;
}
