/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_CONTEXT_H
#define _UFFDVRAM_CONTEXT_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/maple_tree.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

struct uffdvram_events;
struct uffdvram_range;
struct uffdvram_ucmd;
struct uffdvram_user;
struct uffdvram_watch;

/**
 * struct uffdvram_mm - an address space that contexts act on
 * @mm: held by mmgrab(), not by its users: exit and exec go on without us
 * @ref: contexts and ranges
 * @lock: rank 4; protects @ranges and @nr_ranges
 * @ranges: struct uffdvram_range by address, of all contexts; read under RCU, too
 * @nr_ranges: how many
 * @harvested: some range of it has been harvested, perhaps
 * @exclusive: it has had exclusive ranges, perhaps
 * @watch: tells us what becomes of it; NULL until the first context is ready
 * @departures: tells us of pages that leave VRAM; NULL until something is harvested, or
 *	exclusive
 * @watches: how many of these there are
 * @ctxs_lock: rank 7; protects @ctxs
 * @ctxs: contexts
 */
struct uffdvram_mm {
	struct mm_struct *mm;
	struct kref ref;
	struct mutex lock;	/* rank 4 */
	struct maple_tree ranges;
	unsigned int nr_ranges;
	bool harvested;
	bool exclusive;
	struct uffdvram_watch *watch;
	struct uffdvram_watch *departures;
	atomic_t watches;
	spinlock_t ctxs_lock;	/* rank 7 */
	struct list_head ctxs;
};

/**
 * struct uffdvram_ctx - one open file
 * @id: its number
 * @umm: what it acts on
 * @link: among the contexts of @umm
 * @events: what it has to tell
 * @user: who opened it, and pays for slots
 * @ranges: struct uffdvram_range by number; NULL while one is being made
 * @leases: struct uffdvram_lease by number; likewise
 */
struct uffdvram_ctx {
	u32 id;
	struct uffdvram_mm *umm;
	struct list_head link;
	struct uffdvram_events *events;
	struct uffdvram_user *user;
	struct xarray ranges;
	struct xarray leases;
};

/**
 * struct uffdvram_ctx_facts - what is told of a context
 * @id: its number
 * @pid: the process whose memory it acts on, when it was made
 * @uid: who opened it
 * @gone: that memory is gone
 * @seq: number of its last event
 * @waiting: events that wait for a reader
 */
struct uffdvram_ctx_facts {
	u32 id;
	pid_t pid;
	kuid_t uid;
	bool gone;
	u64 seq;
	unsigned int waiting;
};

void uffdvram_mm_put(struct uffdvram_mm *umm);
void uffdvram_mm_free(struct uffdvram_mm *umm);

struct uffdvram_ctx *uffdvram_ctx_new(struct mm_struct *mm, pid_t pid);
void uffdvram_ctx_free(struct uffdvram_ctx *ctx);
struct mm_struct *uffdvram_ctx_mmget(struct uffdvram_ctx *ctx);
struct mm_struct *uffdvram_ctx_mm_of_pidfd(int pidfd, pid_t *number);

bool uffdvram_ctx_next(u32 *id, struct uffdvram_ctx_facts *facts);
struct uffdvram_range *uffdvram_ctx_range(u32 id, u32 *range);

#endif /* _UFFDVRAM_CONTEXT_H */
