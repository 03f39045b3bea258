/* SPDX-License-Identifier: GPL-2.0-only */
/* What becomes of the GPUs that pools are on. */
#ifndef _UFFDVRAM_NVIDIA_EVENT_H
#define _UFFDVRAM_NVIDIA_EVENT_H

#include <linux/list.h>
#include <linux/types.h>

struct pci_dev;
struct uffdvram_backend;

/**
 * struct uffdvram_nvidia_watch - a pool that wants to be told
 * @link: in the list of all
 * @b: whom to tell
 * @pdev: its GPU
 */
struct uffdvram_nvidia_watch {
	struct list_head link;
	struct uffdvram_backend *b;
	struct pci_dev *pdev;
};

struct pci_dev *uffdvram_nvidia_find_gpu(phys_addr_t addr);
void uffdvram_nvidia_watch(struct uffdvram_nvidia_watch *w);
void uffdvram_nvidia_unwatch(struct uffdvram_nvidia_watch *w);

int uffdvram_nvidia_events_init(void);
void uffdvram_nvidia_events_exit(void);

#endif /* _UFFDVRAM_NVIDIA_EVENT_H */
