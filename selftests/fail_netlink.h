/* SPDX-License-Identifier: GPL-2.0-only */
/* What the netlink family does that can fail: fail_paths.h tells how it is swept. */
#ifndef UFFDVRAM_SELFTESTS_FAIL_NETLINK_H
#define UFFDVRAM_SELFTESTS_FAIL_NETLINK_H

#include <linux/netlink.h>
#include <linux/uffdvram_netlink.h>
#include <sys/socket.h>

#include "fail_fixture.h"
#include "netlink_fixture.h"

/* fd2 hears of every event. */
static void listen_begin(struct __test_metadata *_metadata, data *self)
{
	uint32_t group;

	request_family(&group);
	self->fd2 = request_socket();
	ASSERT_EQ(0, setsockopt(self->fd2, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
				sizeof(group)));
}

/* fd2 asks, and does not wait for an answer for ever. */
static void dump_begin(data *self)
{
	const struct timeval limit = { .tv_sec = 60 };

	self->fd2 = request_socket();
	setsockopt(self->fd2, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* Where the core has no memory for a message, netlink's word for that is ENOBUFS. */
static int run_dump(data *self)
{
	int ret = request_dump(self->fd2, UFFDVRAM_CMD_POISON_GET, NULL);

	return ret == -ENOBUFS ? -ENOMEM : ret;
}

/* What is left of that dump is not read. */
static void after_dump(struct __test_metadata *_metadata, data *self, int ret)
{
	if (ret) {
		close(self->fd2);
		dump_begin(self);
	}
	EXPECT_EQ(0, run_dump(self));
}

#endif /* UFFDVRAM_SELFTESTS_FAIL_NETLINK_H */
