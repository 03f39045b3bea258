// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic-netlink family, and copies of events for its group.
 *
 * Policies and operations are what the kernel's generator makes of the specification,
 * include/uapi/linux/uffdvram_netlink.yaml: scripts/check-netlink compares them.
 */
#include <net/genetlink.h>
#include <net/netlink.h>

#include <linux/uffdvram.h>
#include <linux/uffdvram_netlink.h>

#include "event.h"
#include "inject.h"
#include "lock.h"
#include "netlink.h"

static_assert((int)UFFDVRAM_EVENT_KIND_FAULT_BACK == UFFDVRAM_EVENT_FAULT_BACK);
static_assert((int)UFFDVRAM_EVENT_KIND_POOL_PRESSURE == UFFDVRAM_EVENT_POOL_PRESSURE);
static_assert((int)UFFDVRAM_EVENT_KIND_RANGE_GONE == UFFDVRAM_EVENT_RANGE_GONE);
static_assert((int)UFFDVRAM_EVENT_KIND_POOL_TROUBLE == UFFDVRAM_EVENT_POOL_TROUBLE);
static_assert((int)UFFDVRAM_EVENT_KIND_PAGE_LOST == UFFDVRAM_EVENT_PAGE_LOST);
static_assert((int)UFFDVRAM_EVENT_KIND_LEASE_WANTED == UFFDVRAM_EVENT_LEASE_WANTED);
static_assert((int)UFFDVRAM_EVENT_KIND_LEASE_REVOKED == UFFDVRAM_EVENT_LEASE_REVOKED);

enum {
	UFFDVRAM_NLGRP_EVENTS,
};

/* UFFDVRAM_CMD_RANGE_GET - dump */
static const struct nla_policy uffdvram_range_get_nl_policy[UFFDVRAM_A_RANGE_CONTEXT + 1] = {
	[UFFDVRAM_A_RANGE_CONTEXT] = NLA_POLICY_MIN(NLA_U32, 1),
};

/* UFFDVRAM_CMD_POISON_GET - dump */
static const struct nla_policy uffdvram_poison_get_nl_policy[UFFDVRAM_A_POISON_CONTEXT + 1] = {
	[UFFDVRAM_A_POISON_CONTEXT] = NLA_POLICY_MIN(NLA_U32, 1),
};

/* GENL_ADMIN_PERM: CAP_NET_ADMIN in the initial user namespace. */
static const struct genl_split_ops uffdvram_nl_ops[] = {
	{
		.cmd	= UFFDVRAM_CMD_POOL_GET,
		.dumpit	= uffdvram_nl_pool_get_dumpit,
		.flags	= GENL_ADMIN_PERM | GENL_CMD_CAP_DUMP,
	},
	{
		.cmd	= UFFDVRAM_CMD_CONTEXT_GET,
		.dumpit	= uffdvram_nl_context_get_dumpit,
		.flags	= GENL_ADMIN_PERM | GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= UFFDVRAM_CMD_RANGE_GET,
		.dumpit		= uffdvram_nl_range_get_dumpit,
		.policy		= uffdvram_range_get_nl_policy,
		.maxattr	= UFFDVRAM_A_RANGE_CONTEXT,
		.flags		= GENL_ADMIN_PERM | GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= UFFDVRAM_CMD_POISON_GET,
		.start		= uffdvram_nl_poison_get_start,
		.dumpit		= uffdvram_nl_poison_get_dumpit,
		.done		= uffdvram_nl_poison_get_done,
		.policy		= uffdvram_poison_get_nl_policy,
		.maxattr	= UFFDVRAM_A_POISON_CONTEXT,
		.flags		= GENL_ADMIN_PERM | GENL_CMD_CAP_DUMP,
	},
};

/*
 * The specification has no word for this flag. It asks in the user namespace that has
 * the socket's network namespace; what we send stays in the initial one.
 */
static const struct genl_multicast_group uffdvram_nl_mcgrps[] = {
	[UFFDVRAM_NLGRP_EVENTS] = { UFFDVRAM_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN, },
};

/* Not what is generated: other network namespaces do not have it. */
struct genl_family uffdvram_nl_family __ro_after_init = {
	.name		= UFFDVRAM_FAMILY_NAME,
	.version	= UFFDVRAM_FAMILY_VERSION,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= uffdvram_nl_ops,
	.n_split_ops	= ARRAY_SIZE(uffdvram_nl_ops),
	.mcgrps		= uffdvram_nl_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(uffdvram_nl_mcgrps),
};

/* More than any event needs. */
#define NETLINK_EVENT_BYTES	(UFFDVRAM_A_EVENT_MAX * nla_total_size(sizeof(u64)))

/* Rank 9: messages leave in the order of their numbers. */
static DEFINE_SPINLOCK(netlink_lock);
static u64 netlink_seq;

/* What an event is about; nothing, when it is about all ranges. */
static int netlink_put_subject(struct sk_buff *skb, const struct uffdvram_event *event)
{
	switch ((enum uffdvram_event_type)event->type) {
	case UFFDVRAM_EVENT_POOL_PRESSURE:
		return nla_put_u32(skb, UFFDVRAM_A_EVENT_POOL, event->range) ?:
		       nla_put_uint(skb, UFFDVRAM_A_EVENT_LEN, event->len);
	case UFFDVRAM_EVENT_POOL_TROUBLE:
		return nla_put_u32(skb, UFFDVRAM_A_EVENT_POOL, event->range);
	case UFFDVRAM_EVENT_LEASE_WANTED:
	case UFFDVRAM_EVENT_LEASE_REVOKED:
		/* The number is a lease's, which is nobody else's business. */
		return nla_put_uint(skb, UFFDVRAM_A_EVENT_ADDR, event->addr) ?:
		       nla_put_uint(skb, UFFDVRAM_A_EVENT_LEN, event->len);
	case UFFDVRAM_EVENT_FAULT_BACK:
	case UFFDVRAM_EVENT_RANGE_GONE:
	case UFFDVRAM_EVENT_PAGE_LOST:
		break;
	}
	if (!event->range)
		return 0;
	return nla_put_u32(skb, UFFDVRAM_A_EVENT_RANGE, event->range) ?:
	       nla_put_uint(skb, UFFDVRAM_A_EVENT_ADDR, event->addr) ?:
	       nla_put_uint(skb, UFFDVRAM_A_EVENT_LEN, event->len);
}

static int netlink_put_event(struct sk_buff *skb, u64 seq,
			     const struct uffdvram_events *q,
			     const struct uffdvram_event *event)
{
	void *head = genlmsg_put(skb, 0, 0, &uffdvram_nl_family, 0, UFFDVRAM_CMD_EVENT);

	if (!head ||
	    nla_put_uint(skb, UFFDVRAM_A_EVENT_SEQ, seq) ||
	    nla_put_u32(skb, UFFDVRAM_A_EVENT_CONTEXT, q->ctx) ||
	    nla_put_u32(skb, UFFDVRAM_A_EVENT_PID, q->pid) ||
	    nla_put_uint(skb, UFFDVRAM_A_EVENT_CONTEXT_SEQ, event->seq) ||
	    nla_put_u32(skb, UFFDVRAM_A_EVENT_KIND, event->type) ||
	    (event->cause && nla_put_u32(skb, UFFDVRAM_A_EVENT_CAUSE, event->cause)) ||
	    netlink_put_subject(skb, event) ||
	    nla_put_uint(skb, UFFDVRAM_A_EVENT_TIME_NS, event->time_ns))
		return -EMSGSIZE;
	genlmsg_end(skb, head);
	return 0;
}

/*
 * Sends a copy to who listens. That may fail, for want of memory or of room in a socket's
 * buffer: then the number is missing there. Does not sleep.
 */
static void netlink_event_copy(const struct uffdvram_events *q,
			       const struct uffdvram_event *event)
{
	struct sk_buff *skb;
	u64 seq;

	if (!genl_has_listeners(&uffdvram_nl_family, &init_net, UFFDVRAM_NLGRP_EVENTS))
		return;
	spin_lock(&netlink_lock);
	seq = ++netlink_seq;
	skb = may_fail(alloc, NULL, genlmsg_new(NETLINK_EVENT_BYTES,
						GFP_ATOMIC | __GFP_NOWARN));
	if (!skb)
		goto out_unlock;
	if (WARN_ON_ONCE(netlink_put_event(skb, seq, q, event)))
		nlmsg_free(skb);
	else
		genlmsg_multicast(&uffdvram_nl_family, skb, 0, UFFDVRAM_NLGRP_EVENTS,
				  GFP_ATOMIC);
out_unlock:
	spin_unlock(&netlink_lock);
}

/**
 * uffdvram_netlink_init() - make the family known
 *
 * Before there is a context.
 *
 * Return: 0 or an errno of genl_register_family()'s.
 */
int __init uffdvram_netlink_init(void)
{
	uffdvram_event_copy = netlink_event_copy;
	return genl_register_family(&uffdvram_nl_family);
}

/* A dump in progress holds the module: there is none. */
void uffdvram_netlink_exit(void)
{
	genl_unregister_family(&uffdvram_nl_family);
}
