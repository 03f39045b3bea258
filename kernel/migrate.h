/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_MIGRATE_H
#define _UFFDVRAM_MIGRATE_H

#include <linux/types.h>

struct mm_struct;
struct uffdvram_migrate_step;
struct uffdvram_owner;
struct uffdvram_vram;
struct vm_area_struct;

/* What became of a page: UFFDVRAM_STAY_*, or one of these. */
#define UFFDVRAM_DID_MOVE	0xfe
#define UFFDVRAM_DID_NOTHING	0xff	/* it was there already */

/**
 * struct uffdvram_migrate_to - where pages go
 * @v: pool
 * @owner: the range's
 * @populated: holes stay holes
 * @linear: each page has its own slot
 * @base: linear: address that the slot @first is for
 * @first: linear: see @base
 */
struct uffdvram_migrate_to {
	struct uffdvram_vram *v;
	struct uffdvram_owner *owner;
	bool populated;
	bool linear;
	unsigned long base;
	unsigned long first;
};

struct uffdvram_migrate_step *uffdvram_migrate_step_alloc(void);
void uffdvram_migrate_step_free(struct uffdvram_migrate_step *s);

int uffdvram_migrate_in(struct uffdvram_migrate_step *s, struct mm_struct *mm,
			const struct uffdvram_migrate_to *to,
			unsigned long start, unsigned long end);
int uffdvram_migrate_in_locked(struct uffdvram_migrate_step *s, struct mm_struct *mm,
			       const struct uffdvram_migrate_to *to,
			       unsigned long start, unsigned long end);
int uffdvram_migrate_out(struct uffdvram_migrate_step *s, struct mm_struct *mm,
			 unsigned long start, unsigned long end);
u8 uffdvram_migrate_fate(const struct uffdvram_migrate_step *s,
			 unsigned int page);
int uffdvram_migrate_errno(u8 fate);
unsigned int uffdvram_migrate_count(const struct uffdvram_migrate_step *s, u8 fate);

#endif /* _UFFDVRAM_MIGRATE_H */
