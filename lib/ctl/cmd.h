/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_CMD_H
#define UFFDVRAMCTL_CMD_H

#include "session.h"

/*
 * Commands. argv[0] is the command's own name; all return CTL_*, and have printed
 * their result or a message.
 */
int cmd_info(struct session *s, int argc, char **argv);
int cmd_pool(struct session *s, int argc, char **argv);
int cmd_range(struct session *s, int argc, char **argv);
int cmd_move(struct session *s, int argc, char **argv);
int cmd_map(struct session *s, int argc, char **argv);
int cmd_poison(struct session *s, int argc, char **argv);
int cmd_events(struct session *s, int argc, char **argv);
int cmd_show(struct session *s, int argc, char **argv);
int cmd_stats(struct session *s, int argc, char **argv);
int cmd_doctor(struct session *s, int argc, char **argv);
int cmd_batch(struct session *s, int argc, char **argv);

struct cmd {
	const char *name;
	int (*run)(struct session *s, int argc, char **argv);
};

/* Runs that one of the @n commands which argv[0] names. @of: what they belong to. */
int cmd_run(const struct cmd *cmds, size_t n, const char *of, struct session *s,
	    int argc, char **argv);

/* Runs a command of the top level. */
int cmd_main(struct session *s, int argc, char **argv);

#endif /* UFFDVRAMCTL_CMD_H */
