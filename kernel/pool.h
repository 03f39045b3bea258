/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_POOL_H
#define _UFFDVRAM_POOL_H

struct uffdvram_ucmd;

int uffdvram_ioctl_pool_attach(struct uffdvram_ucmd *ucmd);
int uffdvram_ioctl_pool_detach(struct uffdvram_ucmd *ucmd);

#endif /* _UFFDVRAM_POOL_H */
