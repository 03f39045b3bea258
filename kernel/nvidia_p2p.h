/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What of NVIDIA's open kernel modules (R550 and newer) the backend uses. These
 * are declarations of our own: there is no build dependency, and what is not
 * used is not declared. scripts/check-nvidia-abi compares them with the driver's.
 */
#ifndef _UFFDVRAM_NVIDIA_P2P_H
#define _UFFDVRAM_NVIDIA_P2P_H

#include <linux/types.h>

/**
 * struct nvidia_p2p_page - one page of a page table: what all versions begin with
 * @physical_address: in the BAR, or of memory that the CPU caches
 */
struct nvidia_p2p_page {
	u64 physical_address;
};

/**
 * struct nvidia_p2p_page_table - what all versions begin with
 * @version: major << 16 | minor; another major number is another layout
 * @page_size: enum nvidia_p2p_page_size
 * @pages: by address; they may lie anywhere
 * @entries: how many
 * @gpu_uuid: 16 bytes
 */
struct nvidia_p2p_page_table {
	u32 version;
	u32 page_size;
	struct nvidia_p2p_page **pages;
	u32 entries;
	u8 *gpu_uuid;
};

#define NVIDIA_P2P_MAJOR(version)	((version) >> 16)
/* The first is that of R550 to R575; R580 appended a field. */
#define NVIDIA_P2P_MAJOR_MIN		1
#define NVIDIA_P2P_MAJOR_MAX		2

enum nvidia_p2p_page_size {
	NVIDIA_P2P_PAGE_SIZE_4K,
	NVIDIA_P2P_PAGE_SIZE_64K,
	NVIDIA_P2P_PAGE_SIZE_128K,
};

/* Address and length of an allocation must be multiples of it. */
#define NVIDIA_P2P_ALIGN		0x10000

/*
 * Pages of an allocation of the calling process, which stay until they are put,
 * whatever becomes of the process. May sleep; not to be called with a lock held.
 * @flags must be 0. Errors: EINVAL, ENOTSUPP (524), ENOMEM, EIO, ENODEV, EBUSY.
 */
int nvidia_p2p_get_pages_persistent(u64 virtual_address, u64 length,
				    struct nvidia_p2p_page_table **page_table,
				    u32 flags);

/* From any process. */
int nvidia_p2p_put_pages_persistent(u64 virtual_address,
				    struct nvidia_p2p_page_table *page_table,
				    u32 flags);

#endif /* _UFFDVRAM_NVIDIA_P2P_H */
