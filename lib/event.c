// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Events of a context.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "ctx.h"

int uffdvram_event_read(struct uffdvram_ctx *ctx, struct uffdvram_event *events,
			size_t n, size_t *got, int timeout_ms)
{
	struct pollfd p = { .fd = ctx->fd, .events = POLLIN };
	ssize_t len;
	int ret;

	*got = 0;
	if (!n)
		return -EINVAL;
	ret = poll(&p, 1, timeout_ms);
	if (ret < 0)
		return -errno;
	if (!ret)
		return -EAGAIN;
	len = read(ctx->fd, events, n * sizeof(*events));
	/* A file that cannot be read at all says EINVAL. */
	if (len < 0)
		return errno == EINVAL ? -EOPNOTSUPP : -errno;
	*got = len / sizeof(*events);
	return *got ? 0 : -EAGAIN;
}
