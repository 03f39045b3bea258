// SPDX-License-Identifier: GPL-2.0-only
/*
 * For builds with AddressSanitizer: looks for leaks when a process of a test ends.
 * The harness's children leave by _exit(), where LeakSanitizer does not look.
 */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXIT_LEAK 23	/* as AddressSanitizer ends a program */

__attribute__((noreturn)) void _exit(int status)
{
	if (!status && __lsan_do_recoverable_leak_check())
		status = EXIT_LEAK;
	while (1)
		syscall(SYS_exit_group, status);
}
#endif
