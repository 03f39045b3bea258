/* SPDX-License-Identifier: GPL-2.0-only */
/* Who pays for slots: the user who opened a context. */
#ifndef _UFFDVRAM_USER_H
#define _UFFDVRAM_USER_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/uidgid.h>

/* Slots that each user may hold, 0: as many as there are (module parameter). */
extern unsigned long uffdvram_slot_quota;

/**
 * struct uffdvram_user - one user's account
 * @link: in the list of users
 * @uid: the user, in the initial namespace
 * @ref: contexts, and owners of slots
 * @slots: slots held, and windows kept
 */
struct uffdvram_user {
	struct list_head link;
	kuid_t uid;
	refcount_t ref;
	atomic_long_t slots;
};

struct uffdvram_user *uffdvram_user_get(kuid_t uid);
void uffdvram_user_hold(struct uffdvram_user *user);
void uffdvram_user_put(struct uffdvram_user *user);
unsigned long uffdvram_user_charge(struct uffdvram_user *user, unsigned long n);

static inline void uffdvram_user_uncharge(struct uffdvram_user *user, unsigned long n)
{
	atomic_long_sub(n, &user->slots);
}

#endif /* _UFFDVRAM_USER_H */
