/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_FAULT_LEASE_H
#define _UFFDVRAM_FAULT_LEASE_H

#include <linux/mm.h>

struct uffdvram_vram;

vm_fault_t uffdvram_fault_lease(struct vm_fault *vmf, struct uffdvram_vram *v,
				unsigned long slot);

#endif /* _UFFDVRAM_FAULT_LEASE_H */
