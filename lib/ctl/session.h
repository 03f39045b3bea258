/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_SESSION_H
#define UFFDVRAMCTL_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <uffdvram/uffdvram.h>

/* What commands return, and what uffdvramctl exits with. */
enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

/* One run of uffdvramctl: its options, and what its commands share. */
struct session {
	const char *device;
	pid_t pid;			/* 0: none was given */
	int pidfd;			/* -1 until it is needed */
	bool json;
	bool verbose;
	bool batch;			/* commands come from standard input, */
	unsigned int line;		/* this line of it */
	char said[512];			/* the last message */

	struct uffdvram_ctx *ctx;	/* NULL until it is needed */
	struct uffdvram_range **ranges;
	size_t n_ranges;
	uint32_t last_pool;		/* attached by this run; 0: none */
};

/* Prints a message about @err, -errno, with what to do about it; CTL_FAILED. */
int session_fail(struct session *s, const char *cmd, int err,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Prints a message about a failure that has no errno; CTL_FAILED. */
int session_error(struct session *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Prints a message about a wrong command line; CTL_USAGE. */
int session_usage(struct session *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * These make sure that s->pidfd or s->ctx is there, and return CTL_OK, or what the
 * command has to return: the message has been printed.
 */
int session_pidfd(struct session *s, const char *cmd);
int session_ctx(struct session *s, const char *cmd);

/*
 * Whether the process of s->pidfd lives on. What was opened by its number before is its own
 * only then, since that cannot have been given to another one meanwhile.
 */
bool session_lives(const struct session *s);

/* Keeps @range for later commands; 0 or -ENOMEM. */
int session_keep(struct session *s, struct uffdvram_range *range);

/* Unregisters range @i of s->ranges; the last one takes its place. 0 or -errno. */
int session_drop(struct session *s, size_t i);

void session_end(struct session *s);

#endif /* UFFDVRAMCTL_SESSION_H */
