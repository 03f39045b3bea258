/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A pool: a piece of VRAM with a pagemap whose struct pages stand for its slots.
 *
 * Life: made by uffdvram_vram_create(), known to others from
 * uffdvram_vram_publish() until uffdvram_vram_retire(), which also stops new
 * placements. Its memory goes (uffdvram_vram_reap()) once no slot is in use; the
 * struct goes with the last reference, of which every range holds one.
 */
#ifndef _UFFDVRAM_VRAM_H
#define _UFFDVRAM_VRAM_H

#include <linux/kref.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "backend.h"
#include "dmem.h"
#include "slot.h"

struct mm_struct;
struct uffdvram_owner;
struct uffdvram_pool_attach;

/**
 * struct uffdvram_vram - a pool
 * @id: its number
 * @shared: every context may use it
 * @published: its number is known; until then its worker does nothing
 * @retired: is not found any more; its slots are closed
 * @detaching: a POOL_DETACH is under way
 * @reaped: pagemap and backend are gone; protected by @detach
 * @dropped: the backend is gone; protected by @detach
 * @trouble: a bit for each enum uffdvram_trouble that the backend told of
 * @told: those that contexts were told of; the worker's own
 * @fault_bytes: what a CPU fault brings home of a larger folio: PAGE_SIZE or PMD_SIZE
 * @name: of the backend, which may go before the pool
 * @owner: the context that attached it; only compared, never followed
 * @ref: references on the struct
 * @backend: the memory
 * @slots: what is used of it
 * @pgmap: the struct pages
 * @res: the piece of physical address space that they stand for
 * @first_pfn: of slot 0
 * @detach: rank 1; one pass over the slots, or reaping, at a time
 * @owners_lock: rank 7; protects @owners
 * @owners: ranges that place their pages here
 * @pressure: what was last told of it: 0: nothing, 1: few slots left, 2: none
 * @wait: woken when no slot is in use any more
 * @lease_wait: woken when leases of slots end, or are revoked
 * @leases_ending: leases that a worker ends
 * @work: brings orphans home, and reaps
 * @backoff: of @work, in jiffies
 * @charged_mm: whose RLIMIT_MEMLOCK pays, or NULL
 * @charged: pages charged to it
 * @dmem: what cgroups know of it
 */
struct uffdvram_vram {
	u32 id;
	bool shared;
	bool published;
	bool retired;
	bool detaching;
	bool reaped;
	bool dropped;
	unsigned long trouble;
	unsigned long told;
	unsigned long fault_bytes;
	char name[8];
	const void *owner;
	struct kref ref;
	struct uffdvram_backend backend;
	struct uffdvram_slots slots;
	struct dev_pagemap pgmap;
	struct resource *res;
	unsigned long first_pfn;
	struct mutex detach;	/* rank 1 */
	spinlock_t owners_lock;	/* rank 7 */
	struct list_head owners;
	int pressure;
	wait_queue_head_t wait;
	wait_queue_head_t lease_wait;
	atomic_t leases_ending;
	struct delayed_work work;
	unsigned long backoff;
	struct mm_struct *charged_mm;
	unsigned long charged;
	struct uffdvram_dmem dmem;
};

/* pgmap->owner of all our pagemaps; also what our notifiers are told. */
#define UFFDVRAM_PGMAP_OWNER	((void *)&uffdvram_pgmap_owner)
extern const char uffdvram_pgmap_owner;
/* What they are told of pages that move in: nothing leaves VRAM then. */
#define UFFDVRAM_ARRIVAL_OWNER	((void *)&uffdvram_arrival_owner)
extern const char uffdvram_arrival_owner;

int uffdvram_vram_init(void (*work)(struct work_struct *work));
void uffdvram_vram_exit(void);

struct uffdvram_vram *
uffdvram_vram_create(const struct uffdvram_backend_ops *ops,
		     const struct uffdvram_pool_attach *arg, const void *owner,
		     const struct dev_pagemap_ops *pgmap_ops);
int uffdvram_vram_reserve_id(struct uffdvram_vram *v);
void uffdvram_vram_publish(struct uffdvram_vram *v);
void uffdvram_vram_retire(struct uffdvram_vram *v);
void uffdvram_vram_heed(struct uffdvram_vram *v);
void uffdvram_vram_reap(struct uffdvram_vram *v);
void uffdvram_vram_quiesce(struct uffdvram_vram *v);

struct uffdvram_vram *uffdvram_vram_get(u32 id);
struct uffdvram_vram *uffdvram_vram_next(u32 *id);
struct uffdvram_vram *uffdvram_vram_any(const void *owner);
void uffdvram_vram_put(struct uffdvram_vram *v);
void uffdvram_vram_kick(struct uffdvram_vram *v, unsigned long delay);
void uffdvram_vram_queue(struct work_struct *work);

void uffdvram_vram_join(struct uffdvram_vram *v, struct uffdvram_owner *o);
void uffdvram_vram_leave(struct uffdvram_vram *v, struct uffdvram_owner *o);
void uffdvram_vram_tell_trouble(struct uffdvram_vram *v);
void uffdvram_vram_page_lost(const struct page *page, const struct mm_struct *mm,
			     unsigned long addr);
unsigned int uffdvram_vram_alloc(struct uffdvram_vram *v,
				 struct uffdvram_owner *o, u32 *slots,
				 unsigned int n, int *err);
unsigned int uffdvram_vram_alloc_at(struct uffdvram_vram *v,
				    struct uffdvram_owner *o, u32 *slots,
				    unsigned int n);
bool uffdvram_vram_alloc_block(struct uffdvram_vram *v,
			       struct uffdvram_owner *o, u32 *slot);
bool uffdvram_vram_alloc_block_at(struct uffdvram_vram *v,
				  struct uffdvram_owner *o, u32 slot);
void uffdvram_vram_free(struct uffdvram_vram *v, unsigned long slot);
void uffdvram_vram_free_block(struct uffdvram_vram *v, unsigned long slot);
int uffdvram_vram_slot_state(struct uffdvram_vram *v, unsigned long slot);
void uffdvram_vram_page_free(struct page *page);
void uffdvram_vram_folio_free(struct folio *folio);
void uffdvram_vram_folio_split(struct folio *folio, struct folio *part);

static inline bool uffdvram_vram_allowed(const struct uffdvram_vram *v,
					 const void *owner)
{
	return v->shared || v->owner == owner;
}

static inline struct uffdvram_vram *uffdvram_vram_of(const struct page *page)
{
	return container_of(page_pgmap(page), struct uffdvram_vram, pgmap);
}

static inline bool uffdvram_page_is_ours(const struct page *page)
{
	return page_pgmap(page)->owner == UFFDVRAM_PGMAP_OWNER;
}

static inline unsigned long uffdvram_slot_of(const struct uffdvram_vram *v,
					     const struct page *page)
{
	return page_to_pfn(page) - v->first_pfn;
}

static inline struct page *uffdvram_slot_page(const struct uffdvram_vram *v,
					      unsigned long slot)
{
	return pfn_to_page(v->first_pfn + slot);
}

static inline u64 uffdvram_slot_off(unsigned long slot)
{
	return (u64)slot << PAGE_SHIFT;
}

#endif /* _UFFDVRAM_VRAM_H */
