/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_DEBUGFS_H
#define _UFFDVRAM_DEBUGFS_H

void uffdvram_debugfs_init(void);
void uffdvram_debugfs_exit(void);

#endif /* _UFFDVRAM_DEBUGFS_H */
