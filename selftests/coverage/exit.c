// SPDX-License-Identifier: GPL-2.0-only
/*
 * exit.c: counters of those that leave by _exit(), too, as the harness's children
 * do: gcov itself writes them in exit() only. Linked with --wrap=_exit.
 */
void __gcov_dump(void);
void __gcov_reset(void);
void __attribute__((noreturn)) __real__exit(int status);
void __attribute__((noreturn)) __wrap__exit(int status);

void __wrap__exit(int status)
{
	__gcov_dump();
	/* A child of vfork() shares its parent's: that one is not done yet. */
	__gcov_reset();
	__real__exit(status);
}
