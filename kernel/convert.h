/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_CONVERT_H
#define _UFFDVRAM_CONVERT_H

struct uffdvram_ucmd;

int uffdvram_ioctl_convert(struct uffdvram_ucmd *ucmd);

#endif /* _UFFDVRAM_CONVERT_H */
