// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dumps of pools, contexts, ranges and poison. Between two calls of one dump only
 * numbers are kept, never an object: each call begins behind the number that the last
 * one came to.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include <net/genetlink.h>
#include <net/netlink.h>

#include <linux/uffdvram.h>
#include <linux/uffdvram_netlink.h>

#include "context.h"
#include "lock.h"
#include "netlink.h"
#include "object.h"
#include "owner.h"
#include "query.h"
#include "range.h"
#include "vram.h"
#include "walk.h"

/* Steps of up to 2 MiB that one call looks for poison in. */
#define DUMP_POISON_STEPS	8192

/**
 * struct dump_cursor - where a dump has come to
 * @id: the last pool or context
 * @range: the last range of context @id
 * @end: there is nothing more
 */
struct dump_cursor {
	u32 id;
	u32 range;
	bool end;
};

/**
 * struct dump_poison - one dump of poison
 * @past: the last range that was finished with
 * @now: the one that follows it
 * @addr: of @now, what to look at next
 * @start: the run of poison that grows: first byte
 * @stop: first byte after it; @start: there is none
 * @steps: left in this call
 * @look: the step
 */
struct dump_poison {
	struct dump_cursor past;
	struct dump_cursor now;
	unsigned long addr;
	unsigned long start;
	unsigned long stop;
	unsigned int steps;
	struct uffdvram_look look[UFFDVRAM_WALK_PAGES];
};

static struct dump_cursor *dump_cursor(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct dump_cursor) > sizeof(cb->ctx));
	return (struct dump_cursor *)cb->ctx;
}

static struct dump_poison **dump_poison(struct netlink_callback *cb)
{
	return (struct dump_poison **)cb->ctx;
}

/* The context that was asked for in @attr; 0: all. */
static u32 dump_only(struct netlink_callback *cb, int attr)
{
	struct nlattr **attrs = genl_dumpit_info(cb)->info.attrs;

	return attrs && attrs[attr] ? nla_get_u32(attrs[attr]) : 0;
}

static void *dump_begin(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &uffdvram_nl_family, NLM_F_MULTI, cmd);
}

/* Ends the message that began at @head; without room for all of it (@full) drops it. */
static int dump_finish(struct sk_buff *skb, void *head, bool full)
{
	if (full) {
		genlmsg_cancel(skb, head);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, head);
	return 0;
}

/* What a dumpit returns: messages mean that there may be more. */
static int dump_result(const struct sk_buff *skb, int ret)
{
	return ret && (ret != -EMSGSIZE || !skb->len) ? ret : skb->len;
}

static int dump_put_flag(struct sk_buff *skb, int attr, bool value)
{
	return value ? nla_put_flag(skb, attr) : 0;
}

static int dump_put_pool(struct sk_buff *skb, struct netlink_callback *cb,
			 const struct uffdvram_vram *v)
{
	void *head = dump_begin(skb, cb, UFFDVRAM_CMD_POOL_GET);
	const struct uffdvram_slots *s = &v->slots;
	bool full;

	if (!head)
		return -EMSGSIZE;
	full = nla_put_u32(skb, UFFDVRAM_A_POOL_ID, v->id) ||
	       nla_put_string(skb, UFFDVRAM_A_POOL_BACKEND, v->name) ||
	       nla_put_string(skb, UFFDVRAM_A_POOL_ABOUT, skip_spaces(v->backend.about)) ||
	       nla_put_uint(skb, UFFDVRAM_A_POOL_BYTES, v->backend.bytes) ||
	       nla_put_uint(skb, UFFDVRAM_A_POOL_SLOTS, s->nr) ||
	       nla_put_uint(skb, UFFDVRAM_A_POOL_USED, atomic_long_read(&s->used)) ||
	       nla_put_uint(skb, UFFDVRAM_A_POOL_LOST, atomic_long_read(&s->lost)) ||
	       nla_put_uint(skb, UFFDVRAM_A_POOL_QUARANTINED,
			    atomic_long_read(&s->quarantined)) ||
	       dump_put_flag(skb, UFFDVRAM_A_POOL_SHARED, v->shared) ||
	       dump_put_flag(skb, UFFDVRAM_A_POOL_DRAINING, READ_ONCE(s->closed)) ||
	       dump_put_flag(skb, UFFDVRAM_A_POOL_CHECKED, v->backend.checked) ||
	       nla_put_uint(skb, UFFDVRAM_A_POOL_FAULT_BYTES, v->fault_bytes);
	return dump_finish(skb, head, full);
}

int uffdvram_nl_pool_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump_cursor *c = dump_cursor(cb);
	struct uffdvram_vram *v;
	u32 id = c->id;
	int ret = 0;

	while (!ret && (v = uffdvram_vram_next(&id))) {
		ret = dump_put_pool(skb, cb, v);
		if (!ret)
			c->id = id;
		uffdvram_vram_put(v);
	}
	return dump_result(skb, ret);
}

static int dump_put_context(struct sk_buff *skb, struct netlink_callback *cb,
			    const struct uffdvram_ctx_facts *facts)
{
	void *head = dump_begin(skb, cb, UFFDVRAM_CMD_CONTEXT_GET);
	bool full;

	if (!head)
		return -EMSGSIZE;
	full = nla_put_u32(skb, UFFDVRAM_A_CONTEXT_ID, facts->id) ||
	       nla_put_u32(skb, UFFDVRAM_A_CONTEXT_PID, facts->pid) ||
	       nla_put_u32(skb, UFFDVRAM_A_CONTEXT_UID,
			   from_kuid(&init_user_ns, facts->uid)) ||
	       dump_put_flag(skb, UFFDVRAM_A_CONTEXT_GONE, facts->gone) ||
	       nla_put_uint(skb, UFFDVRAM_A_CONTEXT_EVENT_SEQ, facts->seq) ||
	       nla_put_u32(skb, UFFDVRAM_A_CONTEXT_EVENTS_WAITING, facts->waiting);
	return dump_finish(skb, head, full);
}

int uffdvram_nl_context_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump_cursor *c = dump_cursor(cb);
	struct uffdvram_ctx_facts facts;
	u32 id = c->id;
	int ret = 0;

	while (!ret && uffdvram_ctx_next(&id, &facts)) {
		ret = dump_put_context(skb, cb, &facts);
		if (!ret)
			c->id = id;
	}
	return dump_result(skb, ret);
}

/*
 * The next range, of all contexts or of one (@only), with a reference; NULL after the
 * last.
 */
static struct uffdvram_range *dump_next_range(struct dump_cursor *c, u32 only)
{
	struct uffdvram_ctx_facts facts;
	struct uffdvram_range *r;

	if (only)
		c->id = only;
	while (!c->end) {
		r = uffdvram_ctx_range(c->id, &c->range);
		if (r)
			return r;
		c->range = 0;
		c->end = only || !uffdvram_ctx_next(&c->id, &facts);
		cond_resched();
	}
	return NULL;
}

static int dump_put_range(struct sk_buff *skb, struct netlink_callback *cb, u32 ctx,
			  const struct uffdvram_range *r)
{
	void *head = dump_begin(skb, cb, UFFDVRAM_CMD_RANGE_GET);
	const struct uffdvram_vram *v = READ_ONCE(r->v);
	bool full;

	if (!head)
		return -EMSGSIZE;
	/* One reference on the owner is the range's own. */
	full = nla_put_u32(skb, UFFDVRAM_A_RANGE_CONTEXT, ctx) ||
	       nla_put_u32(skb, UFFDVRAM_A_RANGE_ID, r->id) ||
	       nla_put_uint(skb, UFFDVRAM_A_RANGE_ADDR, r->start) ||
	       nla_put_uint(skb, UFFDVRAM_A_RANGE_LEN, r->end - r->start) ||
	       (v && nla_put_u32(skb, UFFDVRAM_A_RANGE_POOL, v->id)) ||
	       nla_put_uint(skb, UFFDVRAM_A_RANGE_SLOTS,
			    atomic_long_read(&r->owner->refs) - 1) ||
	       dump_put_flag(skb, UFFDVRAM_A_RANGE_LINEAR, r->linear) ||
	       (r->linear && nla_put_uint(skb, UFFDVRAM_A_RANGE_POOL_OFF,
					  uffdvram_slot_off(r->window))) ||
	       dump_put_flag(skb, UFFDVRAM_A_RANGE_NODE, r->node) ||
	       dump_put_flag(skb, UFFDVRAM_A_RANGE_FAULT_EVENTS, r->owner->fault_events) ||
	       dump_put_flag(skb, UFFDVRAM_A_RANGE_EXCLUSIVE, r->exclusive);
	return dump_finish(skb, head, full);
}

int uffdvram_nl_range_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	u32 only = dump_only(cb, UFFDVRAM_A_RANGE_CONTEXT);
	struct dump_cursor *c = dump_cursor(cb);
	struct dump_cursor next = *c;
	struct uffdvram_range *r;
	int ret = 0;

	while (!ret && (r = dump_next_range(&next, only))) {
		ret = dump_put_range(skb, cb, next.id, r);
		if (!ret)
			*c = next;
		uffdvram_range_put(r);
	}
	if (!ret)
		*c = next;
	return dump_result(skb, ret);
}

int uffdvram_nl_poison_get_start(struct netlink_callback *cb)
{
	struct dump_poison *p = object_new(p);

	*dump_poison(cb) = p;
	return p ? 0 : -ENOMEM;
}

int uffdvram_nl_poison_get_done(struct netlink_callback *cb)
{
	object_free(*dump_poison(cb));
	return 0;
}

static int dump_put_poison(struct sk_buff *skb, struct netlink_callback *cb,
			   unsigned long addr, unsigned long len)
{
	const struct dump_poison *p = *dump_poison(cb);
	void *head = dump_begin(skb, cb, UFFDVRAM_CMD_POISON_GET);
	bool full;

	if (!head)
		return -EMSGSIZE;
	full = nla_put_u32(skb, UFFDVRAM_A_POISON_CONTEXT, p->now.id) ||
	       nla_put_u32(skb, UFFDVRAM_A_POISON_RANGE, p->now.range) ||
	       nla_put_uint(skb, UFFDVRAM_A_POISON_ADDR, addr) ||
	       nla_put_uint(skb, UFFDVRAM_A_POISON_LEN, len);
	return dump_finish(skb, head, full);
}

/* Tells of the run, if there is one, which has come to its end. */
static int dump_flush(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump_poison *p = *dump_poison(cb);
	int ret;

	if (p->start == p->stop)
		return 0;
	ret = dump_put_poison(skb, cb, p->start, p->stop - p->start);
	if (!ret)
		p->start = p->stop;
	return ret;
}

/* What was looked at, from p->addr to @next; with an error that goes no further. */
static int dump_step(struct sk_buff *skb, struct netlink_callback *cb,
		     unsigned long next, bool looked)
{
	struct dump_poison *p = *dump_poison(cb);
	unsigned int i;
	int ret;

	if (!looked) {
		ret = dump_flush(skb, cb);
		if (!ret)
			p->addr = next;
		return ret;
	}
	for (i = 0; p->addr < next; i++, p->addr += PAGE_SIZE) {
		bool poison = uffdvram_query_state(p->look[i]) == UFFDVRAM_STATE_POISON;

		if (!poison || p->stop != p->addr) {
			ret = dump_flush(skb, cb);
			if (ret)
				return ret;
			p->start = p->addr;
			p->stop = p->addr;
		}
		if (poison)
			p->stop += PAGE_SIZE;
	}
	return 0;
}

/* The range p->now, from p->addr on: 0, -EMSGSIZE (no room), -EAGAIN (enough), -EINTR. */
static int dump_poison_range(struct sk_buff *skb, struct netlink_callback *cb,
			     const struct uffdvram_range *r)
{
	struct dump_poison *p = *dump_poison(cb);
	struct mm_struct *mm = r->umm->mm;
	unsigned long next;
	bool looked;
	int ret = 0;

	if (!mmget_not_zero(mm))
		return 0;
	while (!ret && p->addr < r->end) {
		next = uffdvram_query_step(mm, p->addr, r->end, p->look, &looked);
		ret = next == p->addr ? -EINTR : dump_step(skb, cb, next, looked);
		if (!ret && !--p->steps)
			ret = -EAGAIN;
		cond_resched();
	}
	/* Not here, where other sockets may have to wait for it. */
	mmput_async(mm);
	return ret ?: dump_flush(skb, cb);
}

/* Goes on with the range that follows p->past; in its middle, where that is p->now. */
static void dump_poison_at(struct dump_poison *p, const struct dump_cursor *next,
			   const struct uffdvram_range *r)
{
	if (next->id == p->now.id && next->range == p->now.range &&
	    p->addr >= r->start && p->addr <= r->end)
		return;
	p->now = *next;
	p->addr = r->start;
	p->start = p->addr;
	p->stop = p->addr;
}

int uffdvram_nl_poison_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	u32 only = dump_only(cb, UFFDVRAM_A_POISON_CONTEXT);
	struct dump_poison *p = *dump_poison(cb);
	struct dump_cursor next = p->past;
	struct uffdvram_range *r;
	int ret = 0;

	p->steps = DUMP_POISON_STEPS;
	while (!ret && (r = dump_next_range(&next, only))) {
		dump_poison_at(p, &next, r);
		ret = dump_poison_range(skb, cb, r);
		uffdvram_range_put(r);
		if (!ret)
			p->past = next;
	}
	if (!ret)
		p->past = next;
	/* Without a message the dump would be over. */
	if (ret == -EAGAIN)
		ret = skb->len ? 0 : dump_put_poison(skb, cb, p->addr, 0);
	return dump_result(skb, ret);
}
