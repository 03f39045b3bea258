/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * raw.h: system calls without libc. The shim stands where libc's wrappers were,
 * its thread has no thread-local storage (so no errno), and it is called before
 * libc is ready.
 */
#ifndef UFFDVRAM_PRELOAD_RAW_H
#define UFFDVRAM_PRELOAD_RAW_H

#include <sys/syscall.h>

#ifndef __x86_64__
#error "the shim knows the system calls of x86-64 only"
#endif

/* Returns what the kernel returns: -errno on failure. */
static inline long raw6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define RAW_1(n)		raw6(n, 0, 0, 0, 0, 0, 0)
#define RAW_2(n, a)		raw6(n, (long)(a), 0, 0, 0, 0, 0)
#define RAW_3(n, a, b)		raw6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define RAW_4(n, a, b, c)	raw6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define RAW_5(n, a, b, c, d)	raw6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define RAW_PICK_(x, a, b, c, d, name, ...) name
/* raw(SYS_name, up to four arguments) */
#define raw(...) RAW_PICK_(__VA_ARGS__, RAW_5, RAW_4, RAW_3, RAW_2, RAW_1)(__VA_ARGS__)

static inline int raw_failed(long ret)
{
	return ret < 0 && ret >= -4095;
}

#endif /* UFFDVRAM_PRELOAD_RAW_H */
