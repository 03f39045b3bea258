/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_RANGE_H
#define _UFFDVRAM_RANGE_H

#include <linux/kref.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

struct uffdvram_ctx;
struct uffdvram_dirty;
struct uffdvram_exclusive;
struct uffdvram_mm;
struct uffdvram_owner;
struct uffdvram_ucmd;
struct uffdvram_vram;

/* Module parameter: ranges of one address space. */
extern unsigned int uffdvram_max_ranges;

/**
 * struct uffdvram_range - a piece of memory that is known
 * @ref: the address space, and calls in progress
 * @id: its number in its context
 * @owner: who its slots belong to
 * @umm: its address space
 * @ctx: its context; not followed but by who keeps that alive
 * @start: first byte
 * @end: first byte after it
 * @v: where its pages go, or NULL; see uffdvram_range_pool()
 * @node: mapped from the device
 * @linear: each page has its own slot
 * @window: linear: number of the first
 * @exclusive: for an exclusive range; else NULL
 * @rcu: freed after a grace period: notifiers look it up without locks
 */
struct uffdvram_range {
	struct kref ref;
	u32 id;
	struct uffdvram_owner *owner;
	struct uffdvram_mm *umm;
	struct uffdvram_ctx *ctx;
	unsigned long start;
	unsigned long end;
	struct uffdvram_vram *v;
	bool node;
	bool linear;
	unsigned long window;
	struct uffdvram_exclusive *exclusive;
	struct rcu_head rcu;
};

int uffdvram_ioctl_range_register(struct uffdvram_ucmd *ucmd);
int uffdvram_ioctl_range_unregister(struct uffdvram_ucmd *ucmd);

struct uffdvram_range *uffdvram_range_find(struct uffdvram_mm *umm,
					   unsigned long addr,
					   unsigned long *end);
struct uffdvram_range *uffdvram_range_get(struct uffdvram_ctx *ctx, u32 id);
struct uffdvram_dirty *uffdvram_range_books(struct uffdvram_range *r);
struct uffdvram_vram *uffdvram_range_pool(struct uffdvram_range *r);
struct uffdvram_range *uffdvram_range_add_node(struct uffdvram_ctx *ctx,
					       unsigned long start,
					       unsigned long end);
void uffdvram_range_drop(struct uffdvram_range *r);
void uffdvram_range_put(struct uffdvram_range *r);
void uffdvram_range_settle(struct uffdvram_range *r);
void uffdvram_range_drop_all(struct uffdvram_ctx *ctx);
void uffdvram_range_unmapped(struct uffdvram_mm *umm, unsigned long start,
			     unsigned long end);
void uffdvram_range_revoke(struct uffdvram_mm *umm, unsigned long start,
			   unsigned long end, u32 cause);
void uffdvram_range_changed(struct uffdvram_mm *umm, unsigned long start,
			    unsigned long end, u32 cause);
void uffdvram_range_cleared(struct uffdvram_mm *umm, unsigned long start,
			    unsigned long end);
void uffdvram_range_departed(struct uffdvram_mm *umm, unsigned long start,
			     unsigned long end, bool alone);
void uffdvram_range_arrived(struct uffdvram_mm *umm, unsigned long start,
			    unsigned long end);
void uffdvram_range_written(struct uffdvram_mm *umm, unsigned long start,
			    unsigned long end);

#endif /* _UFFDVRAM_RANGE_H */
