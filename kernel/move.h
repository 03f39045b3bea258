/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_MOVE_H
#define _UFFDVRAM_MOVE_H

struct uffdvram_ucmd;

int uffdvram_ioctl_migrate(struct uffdvram_ucmd *ucmd);

#endif /* _UFFDVRAM_MOVE_H */
