// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finds the private anonymous memory of a process.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vma.h"

int vma_parse(const char *line, struct vma *vma)
{
	unsigned int major, minor;
	uint64_t start, end, inode;
	char perms[5] = "";
	int name = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %x:%x %" SCNu64 " %n",
		   &start, &end, perms, &major, &minor, &inode, &name) != 6 || !name)
		return 0;
	/* A file's private copy has an inode; kernel mappings are not writable. */
	if (strncmp(perms, "rw", 2) || perms[3] != 'p' || inode || major || minor)
		return 0;
	if (line[name] && line[name] != '\n' && line[name] != '[')
		return 0;
	vma->start = start;
	vma->end = end;
	return 1;
}

int vma_list(pid_t pid, uint64_t min, struct vma **out, size_t *n)
{
	struct vma vma, *list = NULL, *more;
	size_t used = 0, room = 0, size = 0;
	char path[32], *line = NULL;
	int ret = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (getline(&line, &size, f) > 0) {
		if (!vma_parse(line, &vma) || vma.end - vma.start < min)
			continue;
		if (used == room) {
			room = room ? 2 * room : 16;
			more = reallocarray(list, room, sizeof(*list));
			if (!more) {
				ret = -ENOMEM;
				break;
			}
			list = more;
		}
		list[used++] = vma;
	}
	if (!ret && ferror(f))
		ret = -EIO;
	free(line);
	fclose(f);
	if (ret) {
		free(list);
		return ret;
	}
	*out = list;
	*n = used;
	return 0;
}
