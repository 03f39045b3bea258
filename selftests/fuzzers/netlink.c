// SPDX-License-Identifier: GPL-2.0-only
/* uffdvram_admin_*(): what a netlink socket says; the socket is the input. */
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <uffdvram/admin.h>

#include "fuzzer.h"

static struct feed answers;
static unsigned int told;

/* Attributes of any number and length; now and then no such thing. */
static void say_attrs(struct nlmsghdr *nlh, size_t size)
{
	uint8_t bytes[64], n = feed_u8(&answers) % 16;

	for (uint8_t i = 0; i < n; i++) {
		uint8_t type = feed_u8(&answers) % 24, len = feed_u8(&answers) % sizeof(bytes);

		feed_bytes(&answers, bytes, len);
		mnl_attr_put_check(nlh, size, type, len, bytes);
	}
}

/* What the kernel would say of the family, or something like it. */
static void say_family(struct nlmsghdr *nlh, size_t size)
{
	struct nlattr *all, *one;

	mnl_attr_put_u16(nlh, CTRL_ATTR_FAMILY_ID, 33);
	all = mnl_attr_nest_start(nlh, CTRL_ATTR_MCAST_GROUPS);
	one = mnl_attr_nest_start(nlh, 1);
	mnl_attr_put_strz(nlh, CTRL_ATTR_MCAST_GRP_NAME, "events");
	mnl_attr_put_u32(nlh, CTRL_ATTR_MCAST_GRP_ID, 7);
	if (feed_u8(&answers) % 4 == 0)
		say_attrs(nlh, size);
	mnl_attr_nest_end(nlh, one);
	mnl_attr_nest_end(nlh, all);
}

static ssize_t answer(void *buf, size_t size)
{
	uint8_t how = feed_u8(&answers);
	struct nlmsghdr *nlh;
	struct genlmsghdr *genl;

	if (!answers.left) {
		errno = EAGAIN;
		return -1;
	}
	if (how % 8 == 0) {
		feed_bytes(&answers, buf, how * 2);
		/* libmnl takes a length of 2 GiB or more for a negative one. */
		for (size_t i = 3; i < how * 2; i += 4)
			((uint8_t *)buf)[i] &= 0x7f;
		return how * 2;
	}
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = how % 8 == 1 ? feed_u8(&answers) : 33;
	nlh->nlmsg_flags = feed_u8(&answers);
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = feed_u8(&answers);
	if (how % 8 == 2)
		say_family(nlh, size);
	say_attrs(nlh, size);
	/* Cut off, perhaps. */
	return how % 8 == 3 ? feed_u8(&answers) % (nlh->nlmsg_len + 1) : nlh->nlmsg_len;
}

ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t size);
ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t size)
{
	(void)nl;
	return answer(buf, size);
}

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *msg, size_t len);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *msg, size_t len)
{
	(void)nl;
	must(len == ((const struct nlmsghdr *)msg)->nlmsg_len);
	return len;
}

unsigned int __wrap_mnl_socket_get_portid(const struct mnl_socket *nl);
unsigned int __wrap_mnl_socket_get_portid(const struct mnl_socket *nl)
{
	(void)nl;
	return 0;
}

int __wrap_mnl_socket_setsockopt(const struct mnl_socket *nl, int type, void *buf, socklen_t n);
int __wrap_mnl_socket_setsockopt(const struct mnl_socket *nl, int type, void *buf, socklen_t n)
{
	(void)nl;
	must(type == NETLINK_ADD_MEMBERSHIP && n == sizeof(uint32_t) && *(uint32_t *)buf);
	return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	(void)fds;
	(void)timeout_ms;
	return n;
}

ssize_t __wrap_recv(int fd, void *buf, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t size, int flags)
{
	(void)fd;
	(void)flags;
	return answer(buf, size);
}

/* Every byte of a record is looked at, strings to their ends. */
static int look(const void *record, size_t size)
{
	const uint8_t *at = record;

	for (size_t i = 0; i < size; i++)
		told += at[i];
	return told % 7 == 6 ? 1 : 0;
}

static int look_pool(const struct uffdvram_admin_pool *p, void *data)
{
	(void)data;
	/* No answer of raw bytes is longer. */
	must(strlen(p->backend) + strlen(p->about) < 2 * UINT8_MAX);
	return look(p, sizeof(*p));
}

static int look_context(const struct uffdvram_admin_context *c, void *data)
{
	(void)data;
	return look(c, sizeof(*c));
}

static int look_range(const struct uffdvram_admin_range *r, void *data)
{
	(void)data;
	return look(r, sizeof(*r));
}

static int look_poison(const struct uffdvram_admin_poison *p, void *data)
{
	(void)data;
	must(p->len);
	return look(p, sizeof(*p));
}

static int look_event(const struct uffdvram_admin_event *e, void *data)
{
	(void)data;
	return look(e, sizeof(*e));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct uffdvram_admin *admin = NULL;

	answers = (struct feed){ data, size };
	if (uffdvram_admin_open(&admin))
		return 0;
	must(admin);
	uffdvram_admin_pools(admin, look_pool, NULL);
	uffdvram_admin_contexts(admin, look_context, NULL);
	uffdvram_admin_ranges(admin, feed_u8(&answers), look_range, NULL);
	uffdvram_admin_poison(admin, 0, look_poison, NULL);
	if (!uffdvram_admin_listen(admin, 0))
		while (uffdvram_admin_events(admin, look_event, NULL, 0) >= 0)
			;
	uffdvram_admin_close(admin);
	return 0;
}
