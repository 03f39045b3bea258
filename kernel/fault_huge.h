/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_FAULT_HUGE_H
#define _UFFDVRAM_FAULT_HUGE_H

struct uffdvram_vram;
struct vm_fault;

int uffdvram_fault_huge(struct vm_fault *vmf, struct uffdvram_vram *v);

#endif /* _UFFDVRAM_FAULT_HUGE_H */
