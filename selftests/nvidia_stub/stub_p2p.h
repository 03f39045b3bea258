/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the stub has of the driver's nv-p2p.h, for the module under test: abi.c
 * compares it with that.
 */
#ifndef _NVIDIA_STUB_P2P_H
#define _NVIDIA_STUB_P2P_H

#include <linux/types.h>

/* The pages of a table are objects of their own there, too. */
struct nvidia_p2p_page {
	u64 physical_address;
	u32 registers[6];
};

struct nvidia_p2p_page_table {
	u32 version;
	u32 page_size;
	struct nvidia_p2p_page **pages;
	u32 entries;
	u8 *gpu_uuid;
	u32 flags;		/* since 2.0 */
};

#define STUB_PAGE_SIZE_64K	1
#define STUB_UUID_BYTES		16

int nvidia_p2p_get_pages_persistent(u64 virtual_address, u64 length,
				    struct nvidia_p2p_page_table **page_table,
				    u32 flags);
int nvidia_p2p_put_pages_persistent(u64 virtual_address,
				    struct nvidia_p2p_page_table *page_table,
				    u32 flags);

#endif /* _NVIDIA_STUB_P2P_H */
