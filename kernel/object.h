/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Objects with a life of their own, which somebody has to end: they are counted,
 * so that the module can tell, when it goes, whether one was forgotten.
 */
#ifndef _UFFDVRAM_OBJECT_H
#define _UFFDVRAM_OBJECT_H

#include <linux/bug.h>
#include <linux/slab.h>

#include "inject.h"
#include "stat.h"

static inline void *uffdvram_object_made(void *object)
{
	if (object)
		uffdvram_stat_inc(objects_made);
	return object;
}

/**
 * object_new() - make one, all zero; NULL without memory
 * @ptr: a pointer of its type; only that counts
 */
#define object_new(ptr)							\
	uffdvram_object_made(may_fail(alloc, NULL,			\
				      kzalloc(sizeof(*(ptr)), GFP_KERNEL_ACCOUNT)))

/* Frees one that was made so; NULL is none. Any context. */
static inline void object_free(void *object)
{
	if (!object)
		return;
	uffdvram_stat_inc(objects_freed);
	kfree(object);
}

/* The same for one with a struct rcu_head: after a grace period. */
#define object_free_rcu(ptr, field) do {				\
	uffdvram_stat_inc(objects_freed);				\
	kfree_rcu(ptr, field);						\
} while (0)

/* Nothing makes or frees any, any more. */
static inline void uffdvram_object_check(void)
{
	u64 made = uffdvram_stat_sum(UFFDVRAM_STAT_objects_made);
	u64 freed = uffdvram_stat_sum(UFFDVRAM_STAT_objects_freed);

	WARN(made != freed, "uffdvram: %llu objects made, %llu freed\n", made, freed);
}

#endif /* _UFFDVRAM_OBJECT_H */
