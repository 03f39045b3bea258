/* SPDX-License-Identifier: GPL-2.0-only */
/* The generic-netlink family, for administrators. */
#ifndef _UFFDVRAM_NETLINK_H
#define _UFFDVRAM_NETLINK_H

#include <net/genetlink.h>

extern struct genl_family uffdvram_nl_family;

int uffdvram_nl_pool_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int uffdvram_nl_context_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int uffdvram_nl_range_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int uffdvram_nl_poison_get_start(struct netlink_callback *cb);
int uffdvram_nl_poison_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int uffdvram_nl_poison_get_done(struct netlink_callback *cb);

int uffdvram_netlink_init(void);
void uffdvram_netlink_exit(void);

#endif /* _UFFDVRAM_NETLINK_H */
