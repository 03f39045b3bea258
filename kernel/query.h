/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_QUERY_H
#define _UFFDVRAM_QUERY_H

#include <linux/types.h>

#include "walk.h"

struct mm_struct;
struct uffdvram_ucmd;

int uffdvram_ioctl_query(struct uffdvram_ucmd *ucmd);
int uffdvram_ioctl_poison_list(struct uffdvram_ucmd *ucmd);

u32 uffdvram_query_state(struct uffdvram_look look);
unsigned long uffdvram_query_step(struct mm_struct *mm, unsigned long addr,
				  unsigned long end, struct uffdvram_look *look,
				  bool *looked);

#endif /* _UFFDVRAM_QUERY_H */
