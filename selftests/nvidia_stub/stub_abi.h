/* SPDX-License-Identifier: GPL-2.0-only */
/* What a test tells the stub: ioctls of /dev/nvidia-stub, which play CUDA. */
#ifndef UFFDVRAM_NVIDIA_STUB_ABI_H
#define UFFDVRAM_NVIDIA_STUB_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct stub_alloc - an allocation, of the calling process
 * @bytes: a multiple of 64 KiB
 * @addr: out: its address; other processes have other memory there
 *
 * It ends with STUB_FREE, or with the descriptor. Errors: EINVAL, ENOMEM.
 */
struct stub_alloc {
	__u64 bytes;
	__u64 addr;
};

/**
 * struct stub_access - the GPU reads or writes
 * @addr: in an allocation of the caller's
 * @len: bytes
 * @buf: user memory
 */
struct stub_access {
	__u64 addr;
	__u64 len;
	__u64 buf;
};

/* struct stub_state - what the driver has on its hands */
struct stub_state {
	__u64 pages_used;	/* of 64 KiB, of allocations and of tables */
	__u64 tables;		/* page tables that were not put back */
};

#define STUB_TYPE	0xdc
#define STUB_ALLOC	_IOWR(STUB_TYPE, 0, struct stub_alloc)
#define STUB_FREE	_IOW(STUB_TYPE, 1, __u64)
#define STUB_READ	_IOW(STUB_TYPE, 2, struct stub_access)
#define STUB_WRITE	_IOW(STUB_TYPE, 3, struct stub_access)
#define STUB_XID	_IOW(STUB_TYPE, 4, __u32)
#define STUB_STATE	_IOR(STUB_TYPE, 5, struct stub_state)

/* The knobs, in /sys/module/nvidia_stub/parameters: stub_p2p.c. */

#endif /* UFFDVRAM_NVIDIA_STUB_ABI_H */
