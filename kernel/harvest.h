/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_HARVEST_H
#define _UFFDVRAM_HARVEST_H

struct uffdvram_ucmd;

int uffdvram_ioctl_harvest(struct uffdvram_ucmd *ucmd);

#endif /* _UFFDVRAM_HARVEST_H */
