/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_MOVE_H
#define _UFFDVRAM_MOVE_H

#include <linux/types.h>

struct mm_struct;
struct uffdvram_migrate_step;
struct uffdvram_range;
struct uffdvram_ucmd;

int uffdvram_ioctl_migrate(struct uffdvram_ucmd *ucmd);

int uffdvram_move_in(struct uffdvram_migrate_step *s, struct mm_struct *mm,
		     struct uffdvram_range *r, unsigned long addr, unsigned long end,
		     bool populated);

int uffdvram_move_in_locked(struct uffdvram_migrate_step *s, struct mm_struct *mm,
			    struct uffdvram_range *r, unsigned long addr, unsigned long end);

int uffdvram_move_home(struct uffdvram_migrate_step *s, struct mm_struct *mm,
		       unsigned long addr);

#endif /* _UFFDVRAM_MOVE_H */
