// SPDX-License-Identifier: GPL-2.0-only
/* Pools as regions of the cgroup controller dmem: see dmem.h. */
#include "dmem.h"

#ifdef UFFDVRAM_DMEM

#include <linux/cgroup_dmem.h>
#include <linux/minmax.h>
#include <linux/mm.h>

#include "object.h"

/* What is charged at least, if the limit allows: not each page by itself. */
#define DMEM_CHARGE_SLOTS	64UL

/**
 * struct dmem_charge - one charge of the controller
 * @link: in its account's stack
 * @state: whom it was charged to; has a reference on the cgroup
 * @slots: how much
 */
struct dmem_charge {
	struct list_head link;
	struct dmem_cgroup_pool_state *state;
	unsigned long slots;
};

void uffdvram_dmem_init(struct uffdvram_dmem *d)
{
	init_rwsem(&d->lock);
}

/**
 * uffdvram_dmem_register() - make a pool known to the controller
 * @d: the pool's, which nobody charges yet
 * @pool: its number
 * @bytes: its size
 *
 * Return: 0 or -ENOMEM.
 */
int uffdvram_dmem_register(struct uffdvram_dmem *d, u32 pool, u64 bytes)
{
	struct dmem_cgroup_init init = { .size = bytes };
	struct dmem_cgroup_region *region;

	region = may_fail(alloc, ERR_PTR(-ENOMEM),
			  dmem_cgroup_register_region(&init, "uffdvram/%u", pool));
	if (IS_ERR(region))
		return PTR_ERR(region);
	d->region = region;
	return 0;
}

/**
 * uffdvram_dmem_unregister() - a pool is no region any more
 * @d: the pool's
 *
 * Sleeps. What is still charged (windows) is given back later all the same.
 */
void uffdvram_dmem_unregister(struct uffdvram_dmem *d)
{
	struct dmem_cgroup_region *region;

	/* Waits for those who charge. */
	down_write(&d->lock);
	region = d->region;
	d->region = NULL;
	up_write(&d->lock);
	dmem_cgroup_unregister_region(region);
}

void uffdvram_dmem_account_init(struct uffdvram_dmem_account *a)
{
	spin_lock_init(&a->lock);
	INIT_LIST_HEAD(&a->charges);
}

/* Of the very charge that was made: the same cgroup, the same size. */
static void charge_undo(struct dmem_charge *c)
{
	dmem_cgroup_uncharge(c->state, (u64)c->slots << PAGE_SHIFT);
	object_free(c);
}

/* Takes up to @most spare slots, or none if there are not so many; returns how many. */
static unsigned long spare_take(struct uffdvram_dmem_account *a, unsigned long least,
				unsigned long most)
{
	long spare = atomic_long_read(&a->spare), take;

	do {
		if (spare < (long)least)
			return 0;
		take = min_t(long, spare, most);
	} while (!atomic_long_try_cmpxchg(&a->spare, &spare, spare - take));
	return take;
}

static void account_set_top(struct uffdvram_dmem_account *a)
{
	const struct dmem_charge *top =
		list_first_entry_or_null(&a->charges, struct dmem_charge, link);

	lockdep_assert_held(&a->lock);
	WRITE_ONCE(a->top, top ? top->slots : 0);
}

/* Takes the topmost charge off the stack, if all of it is spare. */
static struct dmem_charge *account_pop(struct uffdvram_dmem_account *a)
{
	struct dmem_charge *c =
		list_first_entry_or_null(&a->charges, struct dmem_charge, link);

	lockdep_assert_held(&a->lock);
	if (!c || !spare_take(a, c->slots, c->slots))
		return NULL;
	list_del(&c->link);
	account_set_top(a);
	return c;
}

static bool account_has_excess(struct uffdvram_dmem_account *a)
{
	long top = READ_ONCE(a->top);

	return top && atomic_long_read(&a->spare) >= top;
}

/**
 * uffdvram_dmem_trim() - give back what is spare
 * @a: the account
 *
 * Any context. Does not wait for the lock: who has it looks again when he has left it.
 */
void uffdvram_dmem_trim(struct uffdvram_dmem_account *a)
{
	struct dmem_charge *c;

	while (account_has_excess(a) && spin_trylock(&a->lock)) {
		c = account_pop(a);
		spin_unlock(&a->lock);
		if (c)
			charge_undo(c);
		/* Pairs with uffdvram_dmem_uncharge(): one of us sees the other. */
		smp_mb();
	}
}

/* Charges exactly so many to our cgroup; @n of them are for the caller. */
static int account_push(struct uffdvram_dmem *d, struct uffdvram_dmem_account *a,
			unsigned long slots, unsigned long n)
{
	struct dmem_charge *c = object_new(c);
	int ret;

	if (!c)
		return -ENOMEM;
	ret = may_fail(alloc, -ENOMEM,
		       dmem_cgroup_try_charge(d->region, (u64)slots << PAGE_SHIFT,
					      &c->state, NULL));
	if (ret) {
		object_free(c);
		return ret;
	}
	c->slots = slots;
	spin_lock(&a->lock);
	list_add(&c->link, &a->charges);
	account_set_top(a);
	spin_unlock(&a->lock);
	atomic_long_add(slots - n, &a->spare);
	return 0;
}

/* Charges for @n slots, as far as that goes; out: for how many. */
static int account_fill(struct uffdvram_dmem *d, struct uffdvram_dmem_account *a,
			unsigned long *n)
{
	unsigned long want = *n, have = 0, size = max(want, DMEM_CHARGE_SLOTS), use;
	int ret = 0;

	/* Up to the last page that the limit allows: in ever smaller pieces. */
	while (have < want && size) {
		use = min(size, want - have);
		ret = account_push(d, a, size, use);
		if (!ret)
			have += use;
		else if (ret == -EAGAIN)
			size /= 2;
		else
			break;
	}
	*n = have;
	return ret == -EAGAIN ? -EDQUOT : ret;
}

/**
 * uffdvram_dmem_charge() - charge slots to the cgroup of the running task
 * @d: of the pool
 * @a: of who takes them
 * @n: in: how many are wanted; out: how many are charged
 *
 * May sleep.
 *
 * Return: 0: all of them; -EDQUOT: that is as far as a limit of the cgroup, or one above
 * it, goes; -ENOMEM.
 */
int uffdvram_dmem_charge(struct uffdvram_dmem *d, struct uffdvram_dmem_account *a,
			 unsigned long *n)
{
	unsigned long spare = spare_take(a, 1, *n), more = *n - spare;
	int ret = 0;

	if (!more)
		return 0;
	down_read(&d->lock);
	/* Of a pool that is gone there are no slots to be had, and so nothing to be charged. */
	if (d->region)
		ret = account_fill(d, a, &more);
	up_read(&d->lock);
	*n = spare + more;
	/* What somebody gave back while we had the lock. */
	smp_mb();
	uffdvram_dmem_trim(a);
	return ret;
}

#endif /* UFFDVRAM_DMEM */
