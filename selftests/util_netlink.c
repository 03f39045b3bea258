// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/uffdvram_netlink.h>
#include "netlink_fixture.h"
#include "util.h"

struct wanted {
	uint32_t pid, context;
};

static int context_look(const struct uffdvram_admin_context *context, void *data)
{
	struct wanted *w = data;

	if (context->pid == w->pid)
		w->context = context->context;
	return 0;
}

uint32_t context_of(struct uffdvram_admin *admin, pid_t pid)
{
	struct wanted w = { .pid = pid };

	return uffdvram_admin_contexts(admin, context_look, &w) ? 0 : w.context;
}

int request_socket(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (nl < 0 || bind(nl, (struct sockaddr *)&addr, sizeof(addr)))
		give_up("socket");
	return nl;
}

static int request_raw(int nl, uint16_t type, uint8_t cmd, uint16_t flags,
		       const void *attr, size_t len)
{
	struct {
		struct nlmsghdr nlh;
		struct genlmsghdr genl;
		char attr[64];
	} msg = {
		.nlh = {
			.nlmsg_type = type,
			.nlmsg_flags = NLM_F_REQUEST | flags,
			.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN) + len,
		},
		.genl = { .cmd = cmd, .version = 1 },
	};

	if (len)
		memcpy(msg.attr, attr, len);
	return send(nl, &msg, msg.nlh.nlmsg_len, 0) < 0 ? -errno : 0;
}

static const struct nlattr *attr_find(const void *at, size_t len, uint16_t type)
{
	const struct nlattr *a = at;

	while (len >= (size_t)NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= len) {
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		if ((size_t)NLA_ALIGN(a->nla_len) > len)
			break;
		len -= NLA_ALIGN(a->nla_len);
		a = (const void *)((const char *)a + NLA_ALIGN(a->nla_len));
	}
	return NULL;
}

static const void *attr_data(const struct nlattr *a)
{
	if (!a)
		give_up("the family's description");
	return (const char *)a + NLA_HDRLEN;
}

uint16_t request_family(uint32_t *group)
{
	struct {
		struct nlattr a;
		char name[12];
	} name = { { NLA_HDRLEN + sizeof(UFFDVRAM_FAMILY_NAME), CTRL_ATTR_FAMILY_NAME },
		   UFFDVRAM_FAMILY_NAME };
	const size_t head = NLMSG_HDRLEN + GENL_HDRLEN;
	const struct nlattr *groups, *one;
	int nl = request_socket();
	char buf[8192];
	ssize_t n;

	if (request_raw(nl, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0, &name, sizeof(name)))
		give_up("send");
	n = recv(nl, buf, sizeof(buf), 0);
	close(nl);
	if (n < (ssize_t)head || ((struct nlmsghdr *)buf)->nlmsg_type == NLMSG_ERROR)
		give_up("CTRL_CMD_GETFAMILY");
	if (group) {
		groups = attr_find(buf + head, n - head, CTRL_ATTR_MCAST_GROUPS);
		one = attr_data(groups);
		memcpy(group, attr_data(attr_find(attr_data(one), one->nla_len - NLA_HDRLEN,
						  CTRL_ATTR_MCAST_GRP_ID)), sizeof(*group));
	}
	return *(const uint16_t *)attr_data(attr_find(buf + head, n - head,
						      CTRL_ATTR_FAMILY_ID));
}

int request_send(int nl, uint8_t cmd, uint16_t flags, const struct request *req)
{
	static uint16_t family;
	struct {
		struct nlattr a;
		uint64_t value;
	} __attribute__((packed)) attr;

	if (!family)
		family = request_family(NULL);
	if (!req)
		return request_raw(nl, family, cmd, flags, NULL, 0);
	attr.a = (struct nlattr){ NLA_HDRLEN + req->len, req->attr };
	attr.value = req->value;
	return request_raw(nl, family, cmd, flags, &attr, NLA_ALIGN(attr.a.nla_len));
}

int request_answer(int nl)
{
	struct nlmsghdr *h;
	char buf[32768];
	ssize_t n;

	for (;;) {
		n = recv(nl, buf, sizeof(buf), 0);
		if (n < 0)
			return -errno;
		for (h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
			if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE)
				return *(int *)NLMSG_DATA(h);
	}
}

int request_dump(int nl, uint8_t cmd, const struct request *req)
{
	int ret = request_send(nl, cmd, NLM_F_DUMP, req);

	return ret ?: request_answer(nl);
}
