/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_FAULTS_H
#define UFFDVRAMCTL_FAULTS_H

#include <stdint.h>
#include <stdio.h>

/* Page faults of a process since it began. */
struct faults {
	uint64_t minor;
	uint64_t major;		/* those that waited for a device */
};

/* Takes them from the text of /proc/PID/stat. 0 or -EINVAL, and @f as it was. */
int faults_parse(const char *stat, struct faults *f);

/* Counters of the module that tell what moves. */
enum moves { MOVES_FAULTS, MOVES_HOME, MOVES_IN, MOVES_PLACED, MOVES_OUT, MOVES };

extern const char *const moves_names[MOVES];

/* Takes them from debugfs' "stats". 0; -EINVAL: a line is none, or one is not there; -EIO. */
int moves_read(FILE *f, uint64_t count[MOVES]);

#endif /* UFFDVRAMCTL_FAULTS_H */
