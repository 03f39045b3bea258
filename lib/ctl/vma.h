/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_VMA_H
#define UFFDVRAMCTL_VMA_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct vma {
	uint64_t start;
	uint64_t end;
};

/*
 * Whether @line, of /proc/PID/maps, is private anonymous writable memory, such as
 * a heap or a virtual machine's RAM; if so, fills in @vma.
 */
int vma_parse(const char *line, struct vma *vma);

/*
 * Lists such memory of @pid, each piece of at least @min bytes, in an array that
 * the caller frees (NULL if there is none). Returns 0 or -errno.
 */
int vma_list(pid_t pid, uint64_t min, struct vma **out, size_t *n);

#endif /* UFFDVRAMCTL_VMA_H */
