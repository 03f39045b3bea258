/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_QUERY_H
#define _UFFDVRAM_QUERY_H

struct uffdvram_ucmd;

int uffdvram_ioctl_query(struct uffdvram_ucmd *ucmd);
int uffdvram_ioctl_poison_list(struct uffdvram_ucmd *ucmd);

#endif /* _UFFDVRAM_QUERY_H */
