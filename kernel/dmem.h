/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Slots as the cgroup controller dmem counts them: a pool is a region, and what an owner
 * has of it is charged to the cgroup of the task that took it. Where the kernel has no such
 * controller, nothing is left of this.
 *
 * The controller wants each charge back as it was made. So an owner keeps its charges in a
 * stack; what is charged and not used is spare, and taken before more is charged. Once as
 * much is spare as the topmost charge is, that is given back: the last slot leaves none.
 */
#ifndef _UFFDVRAM_DMEM_H
#define _UFFDVRAM_DMEM_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/* HAVE_DMEM_INIT: the controller's interface is that of 7.3 (Kbuild). */
#if IS_ENABLED(CONFIG_CGROUP_DMEM) && defined(HAVE_DMEM_INIT)
#define UFFDVRAM_DMEM
#endif

#ifdef UFFDVRAM_DMEM

struct dmem_cgroup_region;

/**
 * struct uffdvram_dmem - a pool as a region
 * @lock: rank 4; for reading: @region stays
 * @region: the region; NULL: there is none, or none any more
 */
struct uffdvram_dmem {
	struct rw_semaphore lock;	/* rank 4 */
	struct dmem_cgroup_region *region;
};

/**
 * struct uffdvram_dmem_account - what an owner has charged, all of one pool
 * @spare: slots that are charged and not used; never negative
 * @top: slots of the topmost charge, 0 without one; changed under @lock
 * @lock: rank 7; protects @charges. Where slots become free it is only tried, so that this
 *	may happen in any context
 * @charges: struct dmem_charge, the latest first
 */
struct uffdvram_dmem_account {
	atomic_long_t spare;
	long top;
	spinlock_t lock;	/* rank 7 */
	struct list_head charges;
};

void uffdvram_dmem_init(struct uffdvram_dmem *d);
int uffdvram_dmem_register(struct uffdvram_dmem *d, u32 pool, u64 bytes);
void uffdvram_dmem_unregister(struct uffdvram_dmem *d);

void uffdvram_dmem_account_init(struct uffdvram_dmem_account *a);
int uffdvram_dmem_charge(struct uffdvram_dmem *d, struct uffdvram_dmem_account *a,
			 unsigned long *n);
void uffdvram_dmem_trim(struct uffdvram_dmem_account *a);

/**
 * uffdvram_dmem_uncharge() - slots are not used any more
 * @a: the account; its owner lives until we return
 * @n: how many
 *
 * Any context.
 */
static inline void uffdvram_dmem_uncharge(struct uffdvram_dmem_account *a, unsigned long n)
{
	/* Fully ordered, see uffdvram_dmem_trim(). */
	if (atomic_long_add_return(n, &a->spare) >= READ_ONCE(a->top))
		uffdvram_dmem_trim(a);
}

#else

struct uffdvram_dmem {
};

struct uffdvram_dmem_account {
};

static inline void uffdvram_dmem_init(struct uffdvram_dmem *d)
{
}

static inline int uffdvram_dmem_register(struct uffdvram_dmem *d, u32 pool, u64 bytes)
{
	return 0;
}

static inline void uffdvram_dmem_unregister(struct uffdvram_dmem *d)
{
}

static inline void uffdvram_dmem_account_init(struct uffdvram_dmem_account *a)
{
}

static inline int uffdvram_dmem_charge(struct uffdvram_dmem *d,
				       struct uffdvram_dmem_account *a, unsigned long *n)
{
	return 0;
}

static inline void uffdvram_dmem_uncharge(struct uffdvram_dmem_account *a, unsigned long n)
{
}

#endif /* UFFDVRAM_DMEM */

#endif /* _UFFDVRAM_DMEM_H */
