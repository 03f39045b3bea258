/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_COPY_H
#define _UFFDVRAM_COPY_H

struct uffdvram_ucmd;

int uffdvram_ioctl_copy(struct uffdvram_ucmd *ucmd);

#endif /* _UFFDVRAM_COPY_H */
