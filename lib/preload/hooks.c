// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the program calls instead of libc's: the calls that make, unmake and change
 * memory. The call itself comes first, the books after it: so memory in VRAM is
 * unmapped and moved while it is in VRAM, and nothing is to be undone when a call
 * fails. Nobody else's mmap() comes in between, for all wait for the lock.
 */
#include <errno.h>
#include <stdarg.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "hooks.h"
#include "raw.h"
#include "shim.h"

static uint64_t page_up(uint64_t n)
{
	return (n + PAGE - 1) & -PAGE;
}

static bool wanted(int flags)
{
	return (flags & MAP_ANONYMOUS) && (flags & MAP_TYPE) == MAP_PRIVATE &&
	       !(flags & MAP_HUGETLB);
}

/* The same memory, from the device: which registers it by itself. */
static long map_node(long addr, long len, long prot, long flags)
{
	return raw6(SYS_mmap, addr, len, prot, flags & ~MAP_ANONYMOUS, shim.fd, 0);
}

long hook_mmap(long addr, long len, long prot, long flags, long fd, long off)
{
	struct shim_guard g;
	long ret;

	if (!shim_enter(&g))
		return raw6(SYS_mmap, addr, len, prot, flags, fd, off);
	if (shim.mode == SHIM_NODE && wanted(flags)) {
		ret = map_node(addr, len, prot, flags);
		shim.n.ranges += !raw_failed(ret);
	} else {
		ret = raw6(SYS_mmap, addr, len, prot, flags, fd, off);
	}
	if (!raw_failed(ret) && shim.mode != SHIM_NODE) {
		table_cut(ret, ret + page_up(len));
		if (wanted(flags))
			table_add(ret, ret + page_up(len));
	}
	shim_leave(&g);
	return ret;
}

long hook_munmap(long addr, long len)
{
	struct shim_guard g;
	long ret;

	chaos_stir(addr, addr + len);
	if (!shim_enter(&g))
		return raw(SYS_munmap, addr, len);
	ret = raw(SYS_munmap, addr, len);
	if (!ret)
		table_cut(addr, addr + page_up(len));
	shim_leave(&g);
	return ret;
}

/* What becomes of [addr, addr + old) in the books, now that it is at @to. */
static void moved(uint64_t addr, uint64_t old, uint64_t size, int flags, uint64_t to)
{
	bool known = table_overlaps(addr, addr + old);

	if (to == addr) {
		if (size < old)
			table_cut(addr + size, addr + old);
		else if (known && size > old)
			table_add(addr + old, addr + size);
		return;
	}
	if (!(flags & MREMAP_DONTUNMAP))
		table_cut(addr, addr + old);
	table_cut(to, to + size);
	if (known)
		table_add(to, to + size);
}

long hook_mremap(long addr, long old, long size, long flags, long to)
{
	struct shim_guard g;
	long ret;

	chaos_stir(addr, addr + old);
	if (!shim_enter(&g))
		return raw6(SYS_mremap, addr, old, size, flags, to, 0);
	ret = raw6(SYS_mremap, addr, old, size, flags, to, 0);
	if (!raw_failed(ret))
		moved(addr, page_up(old), page_up(size), flags, ret);
	shim_leave(&g);
	return ret;
}

static long with_errno(long ret)
{
	if (!raw_failed(ret))
		return ret;
	errno = -ret;
	return -1;
}

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	return (void *)with_errno(hook_mmap((long)addr, len, prot, flags, fd, off));
}

EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t off)
{
	return (void *)with_errno(hook_mmap((long)addr, len, prot, flags, fd, off));
}

EXPORT int munmap(void *addr, size_t len)
{
	return with_errno(hook_munmap((long)addr, len));
}

EXPORT void *mremap(void *addr, size_t old, size_t size, int flags, ...)
{
	long to = 0;
	va_list ap;

	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		va_start(ap, flags);
		to = (long)va_arg(ap, void *);
		va_end(ap);
	}
	return (void *)with_errno(hook_mremap((long)addr, old, size, flags, to));
}

EXPORT int madvise(void *addr, size_t len, int advice)
{
	chaos_stir((uint64_t)addr, (uint64_t)addr + len);
	return with_errno(raw(SYS_madvise, addr, len, advice));
}

EXPORT int mprotect(void *addr, size_t len, int prot)
{
	chaos_stir((uint64_t)addr, (uint64_t)addr + len);
	return with_errno(raw(SYS_mprotect, addr, len, prot));
}

EXPORT int mlock(const void *addr, size_t len)
{
	chaos_stir((uint64_t)addr, (uint64_t)addr + len);
	return with_errno(raw(SYS_mlock, addr, len));
}

EXPORT int munlock(const void *addr, size_t len)
{
	chaos_stir((uint64_t)addr, (uint64_t)addr + len);
	return with_errno(raw(SYS_munlock, addr, len));
}

/* Like fork(), for those who make processes by themselves. */
static long hook_clone(long n, const long *a, uint64_t flags)
{
	long ret;

	if (flags & CLONE_VM)
		return raw6(n, a[0], a[1], a[2], a[3], a[4], a[5]);
	shim_fork_prepare();
	ret = raw6(n, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (ret)
		shim_fork_parent();
	else
		shim_fork_child();
	return ret;
}

static long dispatch(long n, const long *a)
{
	switch (n) {
	case SYS_mmap:
		return hook_mmap(a[0], a[1], a[2], a[3], a[4], a[5]);
	case SYS_munmap:
		return hook_munmap(a[0], a[1]);
	case SYS_mremap:
		return hook_mremap(a[0], a[1], a[2], a[3], a[4]);
	case SYS_close:
		return hook_close(a[0]);
	case SYS_close_range:
		return hook_close_range(a[0], a[1], a[2]);
	case SYS_dup2:
		return hook_dup3(a[0], a[1], -1);
	case SYS_dup3:
		return hook_dup3(a[0], a[1], a[2]);
	case SYS_fork:
		return hook_clone(n, a, 0);
	case SYS_clone:
		return hook_clone(n, a, a[0]);
	case SYS_clone3:
		return hook_clone(n, a, a[0] ? ((struct clone_args *)a[0])->flags : 0);
	case SYS_exit_group:
		shim_report();
		break;
	default:
		chaos_stir(0, 0);
	}
	return raw6(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Reads six arguments, as libc's does, whatever the call has. */
EXPORT long syscall(long n, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, n);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return with_errno(dispatch(n, a));
}
