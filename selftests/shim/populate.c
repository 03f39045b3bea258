// SPDX-License-Identifier: GPL-2.0-only
/*
 * libpopulate.so, by LD_PRELOAD before the shim: all private anonymous memory that a program
 * maps is filled at once, so that one that never touches its memory has pages to move.
 */
#include <dlfcn.h>
#include <string.h>
#include <sys/mman.h>

static void *map(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	__typeof__(&mmap) next = dlsym(RTLD_NEXT, "mmap");

	return next(addr, len, prot, flags, fd, off);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	void *mem;

	if (!(flags & MAP_ANONYMOUS) || (flags & MAP_TYPE) != MAP_PRIVATE)
		return map(addr, len, prot, flags, fd, off);
	mem = map(addr, len, PROT_READ | PROT_WRITE, flags, fd, off);
	if (mem == MAP_FAILED)
		return mem;
	memset(mem, 1, len);
	mprotect(mem, len, prot);
	return mem;
}
