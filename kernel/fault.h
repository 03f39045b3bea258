/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_FAULT_H
#define _UFFDVRAM_FAULT_H

#include <linux/memremap.h>

extern const struct dev_pagemap_ops uffdvram_pagemap_ops;

#endif /* _UFFDVRAM_FAULT_H */
