// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the module knows of all processes: its generic-netlink family.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/uffdvram_netlink.h>
#include <uffdvram/admin.h>

/* The kernel fills no more than a page unless it is shown more room. */
#define ADMIN_BUF	16384

/* Attributes of a message, by number; those that are missing are NULL. */
#define ADMIN_ATTRS	32

struct uffdvram_admin {
	uint16_t family;		/* numbers of these */
	uint32_t group;
	struct mnl_socket *events;	/* NULL until somebody listens */
	uint64_t seq;			/* of the last event; 0: none yet */
	char buf[ADMIN_BUF];		/* of events */
};

static int attrs_take(const struct nlattr *attr, void *data)
{
	const struct nlattr **attrs = data;
	unsigned int type = mnl_attr_get_type(attr);

	if (type < ADMIN_ATTRS)
		attrs[type] = attr;
	return MNL_CB_OK;
}

static void attrs_of(const struct nlmsghdr *nlh, const struct nlattr **attrs)
{
	memset(attrs, 0, ADMIN_ATTRS * sizeof(*attrs));
	mnl_attr_parse(nlh, sizeof(struct genlmsghdr), attrs_take, attrs);
}

/* A number of 32 or of 64 bits, as large as it had to be; 0 if it is missing. */
static uint64_t attr_uint(const struct nlattr *attr)
{
	if (!attr)
		return 0;
	if (mnl_attr_get_payload_len(attr) >= sizeof(uint64_t))
		return mnl_attr_get_u64(attr);
	return mnl_attr_get_payload_len(attr) >= sizeof(uint32_t) ? mnl_attr_get_u32(attr) : 0;
}

/* The kernel's strings end with a 0. */
static const char *attr_str(const struct nlattr *attr)
{
	return attr ? mnl_attr_get_str(attr) : "";
}

/* NULL: errno says why. */
static struct mnl_socket *admin_socket(void)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	int err;

	if (!nl)
		return NULL;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = errno;
		mnl_socket_close(nl);
		errno = err;
		return NULL;
	}
	return nl;
}

static struct nlmsghdr *admin_request(void *buf, uint16_t type, uint16_t flags, uint8_t cmd,
				      uint8_t version)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = 1;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = version;
	return nlh;
}

/* Sends a request, and hands what comes to @fn until the answer ends. */
static int admin_ask(const struct nlmsghdr *nlh, mnl_cb_t fn, void *data)
{
	struct mnl_socket *nl = admin_socket();
	char buf[ADMIN_BUF];
	int n, ret;

	if (!nl)
		return -errno;
	ret = mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0 ? -errno : MNL_CB_OK;
	while (ret == MNL_CB_OK) {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n >= 0)
			n = mnl_cb_run(buf, n, nlh->nlmsg_seq, mnl_socket_get_portid(nl),
				       fn, data);
		ret = n < 0 ? -errno : n;
	}
	mnl_socket_close(nl);
	return ret;
}

static int family_group(const struct nlattr *group, void *data)
{
	const struct nlattr *attrs[ADMIN_ATTRS] = { NULL };
	struct uffdvram_admin *admin = data;

	mnl_attr_parse_nested(group, attrs_take, attrs);
	if (!strcmp(attr_str(attrs[CTRL_ATTR_MCAST_GRP_NAME]), UFFDVRAM_MCGRP_EVENTS))
		admin->group = attr_uint(attrs[CTRL_ATTR_MCAST_GRP_ID]);
	return MNL_CB_OK;
}

static int family_take(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attrs[ADMIN_ATTRS];
	struct uffdvram_admin *admin = data;

	attrs_of(nlh, attrs);
	if (attrs[CTRL_ATTR_FAMILY_ID])
		admin->family = mnl_attr_get_u16(attrs[CTRL_ATTR_FAMILY_ID]);
	if (attrs[CTRL_ATTR_MCAST_GROUPS])
		mnl_attr_parse_nested(attrs[CTRL_ATTR_MCAST_GROUPS], family_group, admin);
	/* One message answers this. */
	return MNL_CB_STOP;
}

int uffdvram_admin_open(struct uffdvram_admin **admin)
{
	struct uffdvram_admin *a = calloc(1, sizeof(*a));
	struct nlmsghdr *nlh;
	char buf[256];
	int ret;

	if (!a)
		return -ENOMEM;
	nlh = admin_request(buf, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, 1);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, UFFDVRAM_FAMILY_NAME);
	ret = admin_ask(nlh, family_take, a);
	if (!ret && (!a->family || !a->group))
		ret = -ENOENT;
	if (ret)
		free(a);
	else
		*admin = a;
	return ret;
}

void uffdvram_admin_close(struct uffdvram_admin *admin)
{
	if (!admin)
		return;
	if (admin->events)
		mnl_socket_close(admin->events);
	free(admin);
}

/* A dump in progress: what is told of each message. */
struct dump {
	int (*tell)(struct dump *d, const struct nlattr **attrs);
	union {
		int (*pool)(const struct uffdvram_admin_pool *pool, void *data);
		int (*context)(const struct uffdvram_admin_context *context, void *data);
		int (*range)(const struct uffdvram_admin_range *range, void *data);
		int (*poison)(const struct uffdvram_admin_poison *run, void *data);
	} fn;
	void *data;
	int ret;		/* what that said; not 0: enough */
};

static int dump_take(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attrs[ADMIN_ATTRS];
	struct dump *d = data;

	attrs_of(nlh, attrs);
	d->ret = d->tell(d, attrs);
	return d->ret ? MNL_CB_STOP : MNL_CB_OK;
}

/* @attr: the one that says which @context; 0: this dump has none. */
static int dump_run(struct uffdvram_admin *admin, uint8_t cmd, uint16_t attr,
		    uint32_t context, struct dump *d)
{
	struct nlmsghdr *nlh;
	char buf[64];
	int ret;

	nlh = admin_request(buf, admin->family, NLM_F_DUMP, cmd, UFFDVRAM_FAMILY_VERSION);
	if (context)
		mnl_attr_put_u32(nlh, attr, context);
	ret = admin_ask(nlh, dump_take, d);
	return d->ret ?: ret;
}

static int tell_pool(struct dump *d, const struct nlattr **attrs)
{
	const struct uffdvram_admin_pool pool = {
		.pool = attr_uint(attrs[UFFDVRAM_A_POOL_ID]),
		.shared = !!attrs[UFFDVRAM_A_POOL_SHARED],
		.draining = !!attrs[UFFDVRAM_A_POOL_DRAINING],
		.checked = !!attrs[UFFDVRAM_A_POOL_CHECKED],
		.bytes = attr_uint(attrs[UFFDVRAM_A_POOL_BYTES]),
		.slots = attr_uint(attrs[UFFDVRAM_A_POOL_SLOTS]),
		.used = attr_uint(attrs[UFFDVRAM_A_POOL_USED]),
		.lost = attr_uint(attrs[UFFDVRAM_A_POOL_LOST]),
		.quarantined = attr_uint(attrs[UFFDVRAM_A_POOL_QUARANTINED]),
		.backend = attr_str(attrs[UFFDVRAM_A_POOL_BACKEND]),
		.about = attr_str(attrs[UFFDVRAM_A_POOL_ABOUT]),
		.fault_bytes = attr_uint(attrs[UFFDVRAM_A_POOL_FAULT_BYTES]),
	};

	return d->fn.pool(&pool, d->data);
}

int uffdvram_admin_pools(struct uffdvram_admin *admin,
			 int (*fn)(const struct uffdvram_admin_pool *pool, void *data),
			 void *data)
{
	struct dump d = { .tell = tell_pool, .fn.pool = fn, .data = data };

	return dump_run(admin, UFFDVRAM_CMD_POOL_GET, 0, 0, &d);
}

static int tell_context(struct dump *d, const struct nlattr **attrs)
{
	const struct uffdvram_admin_context context = {
		.context = attr_uint(attrs[UFFDVRAM_A_CONTEXT_ID]),
		.pid = attr_uint(attrs[UFFDVRAM_A_CONTEXT_PID]),
		.uid = attr_uint(attrs[UFFDVRAM_A_CONTEXT_UID]),
		.gone = !!attrs[UFFDVRAM_A_CONTEXT_GONE],
		.event_seq = attr_uint(attrs[UFFDVRAM_A_CONTEXT_EVENT_SEQ]),
		.waiting = attr_uint(attrs[UFFDVRAM_A_CONTEXT_EVENTS_WAITING]),
	};

	return d->fn.context(&context, d->data);
}

int uffdvram_admin_contexts(struct uffdvram_admin *admin,
			    int (*fn)(const struct uffdvram_admin_context *context,
				      void *data),
			    void *data)
{
	struct dump d = { .tell = tell_context, .fn.context = fn, .data = data };

	return dump_run(admin, UFFDVRAM_CMD_CONTEXT_GET, 0, 0, &d);
}

static int tell_range(struct dump *d, const struct nlattr **attrs)
{
	const struct uffdvram_admin_range range = {
		.context = attr_uint(attrs[UFFDVRAM_A_RANGE_CONTEXT]),
		.range = attr_uint(attrs[UFFDVRAM_A_RANGE_ID]),
		.addr = attr_uint(attrs[UFFDVRAM_A_RANGE_ADDR]),
		.len = attr_uint(attrs[UFFDVRAM_A_RANGE_LEN]),
		.slots = attr_uint(attrs[UFFDVRAM_A_RANGE_SLOTS]),
		.pool_off = attr_uint(attrs[UFFDVRAM_A_RANGE_POOL_OFF]),
		.pool = attr_uint(attrs[UFFDVRAM_A_RANGE_POOL]),
		.linear = !!attrs[UFFDVRAM_A_RANGE_LINEAR],
		.node = !!attrs[UFFDVRAM_A_RANGE_NODE],
		.fault_events = !!attrs[UFFDVRAM_A_RANGE_FAULT_EVENTS],
		.exclusive = !!attrs[UFFDVRAM_A_RANGE_EXCLUSIVE],
	};

	return d->fn.range(&range, d->data);
}

int uffdvram_admin_ranges(struct uffdvram_admin *admin, uint32_t context,
			  int (*fn)(const struct uffdvram_admin_range *range, void *data),
			  void *data)
{
	struct dump d = { .tell = tell_range, .fn.range = fn, .data = data };

	return dump_run(admin, UFFDVRAM_CMD_RANGE_GET, UFFDVRAM_A_RANGE_CONTEXT, context, &d);
}

static int tell_poison(struct dump *d, const struct nlattr **attrs)
{
	const struct uffdvram_admin_poison run = {
		.context = attr_uint(attrs[UFFDVRAM_A_POISON_CONTEXT]),
		.range = attr_uint(attrs[UFFDVRAM_A_POISON_RANGE]),
		.addr = attr_uint(attrs[UFFDVRAM_A_POISON_ADDR]),
		.len = attr_uint(attrs[UFFDVRAM_A_POISON_LEN]),
	};

	/* Without a length it only says that the dump goes on. */
	return run.len ? d->fn.poison(&run, d->data) : 0;
}

int uffdvram_admin_poison(struct uffdvram_admin *admin, uint32_t context,
			  int (*fn)(const struct uffdvram_admin_poison *run, void *data),
			  void *data)
{
	struct dump d = { .tell = tell_poison, .fn.poison = fn, .data = data };

	return dump_run(admin, UFFDVRAM_CMD_POISON_GET, UFFDVRAM_A_POISON_CONTEXT, context,
			&d);
}

int uffdvram_admin_listen(struct uffdvram_admin *admin, unsigned int bytes)
{
	struct mnl_socket *nl;
	int err;

	if (admin->events)
		return -EBUSY;
	nl = admin_socket();
	if (!nl)
		return -errno;
	if ((bytes && setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVBUF, &bytes,
				 sizeof(bytes))) ||
	    mnl_socket_setsockopt(nl, NETLINK_ADD_MEMBERSHIP, &admin->group,
				  sizeof(admin->group)) < 0) {
		err = errno;
		mnl_socket_close(nl);
		return -err;
	}
	admin->events = nl;
	return 0;
}

int uffdvram_admin_fd(const struct uffdvram_admin *admin)
{
	return admin->events ? mnl_socket_get_fd(admin->events) : -1;
}

/* Taking events: whom to tell. */
struct events {
	struct uffdvram_admin *admin;
	int (*fn)(const struct uffdvram_admin_event *event, void *data);
	void *data;
	int ret;		/* the first that was not 0 */
};

static int events_take(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *a[ADMIN_ATTRS];
	struct events *e = data;
	uint64_t last = e->admin->seq;
	int ret;

	attrs_of(nlh, a);
	const struct uffdvram_admin_event event = {
		.seq = attr_uint(a[UFFDVRAM_A_EVENT_SEQ]),
		.lost = last ? attr_uint(a[UFFDVRAM_A_EVENT_SEQ]) - last - 1 : 0,
		.context = attr_uint(a[UFFDVRAM_A_EVENT_CONTEXT]),
		.pid = attr_uint(a[UFFDVRAM_A_EVENT_PID]),
		.event = {
			.type = attr_uint(a[UFFDVRAM_A_EVENT_KIND]),
			.cause = attr_uint(a[UFFDVRAM_A_EVENT_CAUSE]),
			.seq = attr_uint(a[UFFDVRAM_A_EVENT_CONTEXT_SEQ]),
			.range = attr_uint(a[UFFDVRAM_A_EVENT_RANGE] ?:
					   a[UFFDVRAM_A_EVENT_POOL]),
			.addr = attr_uint(a[UFFDVRAM_A_EVENT_ADDR]),
			.len = attr_uint(a[UFFDVRAM_A_EVENT_LEN]),
			.time_ns = attr_uint(a[UFFDVRAM_A_EVENT_TIME_NS]),
		},
	};

	e->admin->seq = event.seq;
	ret = e->fn(&event, e->data);
	e->ret = e->ret ?: ret;
	return MNL_CB_OK;
}

int uffdvram_admin_events(struct uffdvram_admin *admin,
			  int (*fn)(const struct uffdvram_admin_event *event, void *data),
			  void *data, int timeout_ms)
{
	struct events e = { .admin = admin, .fn = fn, .data = data };
	struct pollfd p = { .fd = uffdvram_admin_fd(admin), .events = POLLIN };
	ssize_t n;
	int ret;

	if (p.fd < 0)
		return -EINVAL;
	/* An overrun is told once, as an error; the gap says how much it was. */
	do {
		ret = poll(&p, 1, timeout_ms);
		if (ret <= 0)
			return ret ? -errno : -EAGAIN;
		n = recv(p.fd, admin->buf, sizeof(admin->buf), MSG_DONTWAIT);
	} while (n < 0 && errno == ENOBUFS);
	if (n < 0)
		return -errno;
	if (mnl_cb_run(admin->buf, n, 0, 0, events_take, &e) < 0)
		return -errno;
	return e.ret;
}
