/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_EVICT_H
#define _UFFDVRAM_EVICT_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct uffdvram_vram;

/**
 * struct uffdvram_evict_result - what one pass over a pool found
 * @moved: pages brought home
 * @left: slots that should have been emptied and are not; not the lost ones
 * @no_memory: some of them for want of host memory
 */
struct uffdvram_evict_result {
	unsigned long moved;
	unsigned long left;
	bool no_memory;
};

int uffdvram_evict(struct uffdvram_vram *v, bool orphans_only,
		   struct uffdvram_evict_result *res);
int uffdvram_evict_window(struct uffdvram_vram *v, unsigned long slot,
			  unsigned long n, const unsigned long *keep);
void uffdvram_evict_discard(struct uffdvram_vram *v);
void uffdvram_evict_work(struct work_struct *work);

#endif /* _UFFDVRAM_EVICT_H */
