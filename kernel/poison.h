/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_POISON_H
#define _UFFDVRAM_POISON_H

struct uffdvram_ucmd;

int uffdvram_ioctl_poison(struct uffdvram_ucmd *ucmd);

#endif /* _UFFDVRAM_POISON_H */
