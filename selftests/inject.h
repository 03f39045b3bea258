/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Making things fail for the calling task: by the module's own hook, in debugfs,
 * or by the kernel's fault injection, where it is built in.
 */
#ifndef UFFDVRAM_SELFTESTS_INJECT_H
#define UFFDVRAM_SELFTESTS_INJECT_H

#include <stdbool.h>

/**
 * struct inject - a way to make things fail
 * @fd: fail_nth, or fail-nth of the task
 * @kernel: it is the kernel's
 */
struct inject {
	int fd;
	bool kernel;
};

/** inject_open - false: there is no such thing here */
bool inject_open(struct inject *in, bool kernel);
void inject_close(struct inject *in);
/**
 * inject_arm - have the @nth thing that can fail do so
 * @what: "[worker] [KIND...]" for the module's hook; the kernel's fails everything
 */
void inject_arm(struct inject *in, unsigned int nth, const char *what);
/** inject_disarm - did it? */
bool inject_disarm(struct inject *in);

#endif /* UFFDVRAM_SELFTESTS_INJECT_H */
