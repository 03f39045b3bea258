// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Counters that grow: of the kernel for a process, of the module for all.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "faults.h"

/* The name of a process may have blanks and brackets: what follows is behind the last one. */
int faults_parse(const char *stat, struct faults *f)
{
	const char *rest = strrchr(stat, ')');
	uint64_t minor, major;

	if (!rest || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %" SCNu64 " %*u %" SCNu64 " ",
			    &minor, &major) != 2)
		return -EINVAL;
	f->minor = minor;
	f->major = major;
	return 0;
}

const char *const moves_names[MOVES] = {
	[MOVES_FAULTS] = "faults",
	[MOVES_HOME] = "fault_pages",
	[MOVES_IN] = "pages_in",
	[MOVES_PLACED] = "pages_placed",
	[MOVES_OUT] = "pages_out",
};

int moves_read(FILE *f, uint64_t count[MOVES])
{
	unsigned int seen = 0, i;
	char line[128], name[64];
	uint64_t value;

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %" SCNu64, name, &value) != 2)
			return -EINVAL;
		for (i = 0; i < MOVES; i++) {
			if (strcmp(name, moves_names[i]))
				continue;
			count[i] = value;
			seen |= 1U << i;
		}
	}
	if (ferror(f))
		return -EIO;
	return seen == (1U << MOVES) - 1 ? 0 : -EINVAL;
}
