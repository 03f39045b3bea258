/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hooks.h: the interposed calls as system calls: they return -errno.
 */
#ifndef UFFDVRAM_PRELOAD_HOOKS_H
#define UFFDVRAM_PRELOAD_HOOKS_H

long hook_mmap(long addr, long len, long prot, long flags, long fd, long off);
long hook_munmap(long addr, long len);
long hook_mremap(long addr, long old, long size, long flags, long to);
long hook_close(long fd);
long hook_close_range(long first, long last, long flags);
/* @flags -1: as dup2() */
long hook_dup3(long fd, long to, long flags);

#endif /* UFFDVRAM_PRELOAD_HOOKS_H */
