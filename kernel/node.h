/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_NODE_H
#define _UFFDVRAM_NODE_H

struct file;
struct vm_area_struct;

int uffdvram_node_mmap(struct file *file, struct vm_area_struct *vma);

#endif /* _UFFDVRAM_NODE_H */
