// SPDX-License-Identifier: GPL-2.0-only
#include <linux/minmax.h>
#include <linux/spinlock.h>

#include "object.h"
#include "user.h"

unsigned long uffdvram_slot_quota;

/* Rank 9, irqs off: the last reference may go in RCU's softirq. */
static DEFINE_SPINLOCK(user_lock);
static LIST_HEAD(user_list);

static struct uffdvram_user *user_find_locked(kuid_t uid)
{
	struct uffdvram_user *u;

	lockdep_assert_held(&user_lock);
	list_for_each_entry(u, &user_list, link)
		if (uid_eq(u->uid, uid))
			return u;
	return NULL;
}

/**
 * uffdvram_user_get() - the account of a user
 * @uid: the user
 *
 * Return: the account, with a reference; NULL without memory.
 */
struct uffdvram_user *uffdvram_user_get(kuid_t uid)
{
	struct uffdvram_user *new = object_new(new);
	struct uffdvram_user *u;

	if (!new)
		return NULL;
	refcount_set(&new->ref, 1);
	new->uid = uid;
	spin_lock_irq(&user_lock);
	u = user_find_locked(uid);
	if (u) {
		refcount_inc(&u->ref);
	} else {
		list_add(&new->link, &user_list);
		swap(u, new);
	}
	spin_unlock_irq(&user_lock);
	object_free(new);
	return u;
}

void uffdvram_user_hold(struct uffdvram_user *user)
{
	refcount_inc(&user->ref);
}

/* Any context. */
void uffdvram_user_put(struct uffdvram_user *user)
{
	unsigned long flags;

	if (!refcount_dec_and_lock_irqsave(&user->ref, &user_lock, &flags))
		return;
	list_del(&user->link);
	spin_unlock_irqrestore(&user_lock, flags);
	object_free(user);
}

/**
 * uffdvram_user_charge() - take slots from a user's quota
 * @user: the account
 * @n: how many are wanted
 *
 * Return: how many the user may have.
 */
unsigned long uffdvram_user_charge(struct uffdvram_user *user, unsigned long n)
{
	unsigned long quota = READ_ONCE(uffdvram_slot_quota);
	long total = atomic_long_add_return(n, &user->slots);
	unsigned long over;

	if (!quota || (unsigned long)total <= quota)
		return n;
	over = min((unsigned long)total - quota, n);
	atomic_long_sub(over, &user->slots);
	return n - over;
}
