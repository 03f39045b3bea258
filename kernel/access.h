/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_ACCESS_H
#define _UFFDVRAM_ACCESS_H

struct uffdvram_ucmd;

int uffdvram_ioctl_access_begin(struct uffdvram_ucmd *ucmd);
int uffdvram_ioctl_access_end(struct uffdvram_ucmd *ucmd);

#endif /* _UFFDVRAM_ACCESS_H */
