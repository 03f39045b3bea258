/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the stub share. */
#ifndef _NVIDIA_STUB_H
#define _NVIDIA_STUB_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/wait.h>

#define STUB_PAGE	0x10000ULL

struct pci_dev;

/**
 * struct stub_alloc_obj - an allocation
 * @link: in stub_allocs, while its owner has it
 * @ref: its owner, and page tables
 * @owner: struct file of the process that made it
 * @tgid: that process
 * @addr: its address there
 * @nr: pages
 * @page: position of each in the order of allocation
 */
struct stub_alloc_obj {
	struct list_head link;
	struct kref ref;
	const void *owner;
	pid_t tgid;
	u64 addr;
	unsigned int nr;
	u32 page[];
};

/**
 * struct stub_gpu - the one GPU
 * @pdev: the function whose BAR is its memory; NULL while there is none
 * @base: physical address of the BAR
 * @io: the BAR, mapped for the GPU's own accesses
 * @nr: pages
 * @used: a bit for each position in the order of allocation
 * @usage: page tables that are out; removal waits until it is 0
 * @idle: woken when it is
 */
struct stub_gpu {
	struct pci_dev *pdev;
	phys_addr_t base;
	void __iomem *io;
	unsigned int nr;
	unsigned long *used;
	unsigned int usage;
	wait_queue_head_t idle;
};

/* The driver's one lock, which all calls take; protects all of the above. */
extern struct mutex stub_api;
extern struct stub_gpu stub_gpu;

int stub_alloc(const void *owner, u64 bytes, u64 *addr);
int stub_free(const void *owner, u64 addr);
void stub_free_all(const void *owner);
struct stub_alloc_obj *stub_find(pid_t tgid, u64 addr, u64 len);
phys_addr_t stub_phys(const struct stub_alloc_obj *a, unsigned int i);
void stub_put(struct stub_alloc_obj *a);
int stub_access(pid_t tgid, u64 addr, u64 len, void __user *buf, bool write);

#endif /* _NVIDIA_STUB_H */
