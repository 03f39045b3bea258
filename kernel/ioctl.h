/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_IOCTL_H
#define _UFFDVRAM_IOCTL_H

#include <linux/fs.h>

extern const struct file_operations uffdvram_fops;
extern bool uffdvram_open_pid_allowed;

#endif /* _UFFDVRAM_IOCTL_H */
