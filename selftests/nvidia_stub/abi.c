// SPDX-License-Identifier: GPL-2.0-only
/*
 * What scripts/check-nvidia-abi compiles against an nv-p2p.h of NVIDIA's: are the
 * module's declarations (kernel/nvidia_p2p.h) and the stub's the driver's? No part
 * of the stub. Each of the three has its names to itself here.
 */
#include <stddef.h>

/* The kernel's types, as <linux/types.h> there has them; not those of user space. */
#define _LINUX_TYPES_H
typedef unsigned char u8, uint8_t;
typedef unsigned int u32, uint32_t;
typedef unsigned long long u64, uint64_t;

#define nvidia_p2p_page			theirs_page
#define nvidia_p2p_page_table		theirs_page_table
#define nvidia_p2p_get_pages_persistent	theirs_get
#define nvidia_p2p_put_pages_persistent	theirs_put
#include "nv-p2p.h"
#undef nvidia_p2p_page
#undef nvidia_p2p_page_table
#undef nvidia_p2p_get_pages_persistent
#undef nvidia_p2p_put_pages_persistent

#define nvidia_p2p_page			ours_page
#define nvidia_p2p_page_table		ours_page_table
#define nvidia_p2p_get_pages_persistent	ours_get
#define nvidia_p2p_put_pages_persistent	ours_put
#include "../../kernel/nvidia_p2p.h"
#undef nvidia_p2p_page
#undef nvidia_p2p_page_table
#undef nvidia_p2p_get_pages_persistent
#undef nvidia_p2p_put_pages_persistent

#define nvidia_p2p_page			stubs_page
#define nvidia_p2p_page_table		stubs_page_table
#define nvidia_p2p_get_pages_persistent	stubs_get
#define nvidia_p2p_put_pages_persistent	stubs_put
#include "stub_p2p.h"

/* The script counts these. */
#define HOLDS(what)	_Static_assert(what, #what)
#define SAME_TYPE(a, b)	__builtin_types_compatible_p(typeof(a), typeof(b))
#define FIELD(type, m)	((*(struct type *)0).m)
#define SAME_PLACE(who, type, m)						\
	(offsetof(struct who##_##type, m) == offsetof(struct theirs_##type, m))
#define SAME_FIELD(who, type, m)						\
	(SAME_PLACE(who, type, m) &&						\
	 SAME_TYPE(FIELD(who##_##type, m), FIELD(theirs_##type, m)))

HOLDS(SAME_FIELD(ours, page, physical_address));
HOLDS(SAME_FIELD(ours, page_table, version));
HOLDS(SAME_FIELD(ours, page_table, page_size));
HOLDS(SAME_PLACE(ours, page_table, pages));
HOLDS(SAME_FIELD(ours, page_table, entries));
HOLDS(SAME_FIELD(ours, page_table, gpu_uuid));

HOLDS(SAME_FIELD(stubs, page, physical_address));
HOLDS(SAME_FIELD(stubs, page_table, version));
HOLDS(SAME_FIELD(stubs, page_table, page_size));
HOLDS(SAME_PLACE(stubs, page_table, pages));
HOLDS(SAME_FIELD(stubs, page_table, entries));
HOLDS(SAME_FIELD(stubs, page_table, gpu_uuid));

/* What has each side's own structures in it. */
HOLDS(SAME_TYPE(FIELD(theirs_page_table, pages), struct theirs_page **));
HOLDS(SAME_TYPE(FIELD(ours_page_table, pages), struct ours_page **));
HOLDS(SAME_TYPE(FIELD(stubs_page_table, pages), struct stubs_page **));
HOLDS(SAME_TYPE(theirs_get, int(u64, u64, struct theirs_page_table **, u32)));
HOLDS(SAME_TYPE(ours_get, int(u64, u64, struct ours_page_table **, u32)));
HOLDS(SAME_TYPE(stubs_get, int(u64, u64, struct stubs_page_table **, u32)));
HOLDS(SAME_TYPE(theirs_put, int(u64, struct theirs_page_table *, u32)));
HOLDS(SAME_TYPE(ours_put, int(u64, struct ours_page_table *, u32)));
HOLDS(SAME_TYPE(stubs_put, int(u64, struct stubs_page_table *, u32)));

/* What the version gate lets in, and how it reads a version. */
HOLDS(NVIDIA_P2P_MAJOR(NVIDIA_P2P_PAGE_TABLE_VERSION) >= NVIDIA_P2P_MAJOR_MIN);
HOLDS(NVIDIA_P2P_MAJOR(NVIDIA_P2P_PAGE_TABLE_VERSION) <= NVIDIA_P2P_MAJOR_MAX);
HOLDS(NVIDIA_P2P_MAJOR(0x12345678) == NVIDIA_P2P_MAJOR_VERSION(0x12345678));

HOLDS((int)NVIDIA_P2P_PAGE_SIZE_4K == (int)NVIDIA_P2P_PAGE_SIZE_4KB);
HOLDS((int)NVIDIA_P2P_PAGE_SIZE_64K == (int)NVIDIA_P2P_PAGE_SIZE_64KB);
HOLDS((int)NVIDIA_P2P_PAGE_SIZE_128K == (int)NVIDIA_P2P_PAGE_SIZE_128KB);
HOLDS((int)NVIDIA_P2P_PAGE_SIZE_128K + 1 == (int)NVIDIA_P2P_PAGE_SIZE_COUNT);
HOLDS(STUB_PAGE_SIZE_64K == NVIDIA_P2P_PAGE_SIZE_64KB);
HOLDS(STUB_UUID_BYTES == NVIDIA_P2P_GPU_UUID_LEN);

HOLDS(sizeof(struct stubs_page) == sizeof(struct theirs_page));
#if NVIDIA_P2P_PAGE_TABLE_VERSION >= 0x20000
HOLDS(SAME_FIELD(stubs, page_table, flags));
HOLDS(sizeof(struct stubs_page_table) == sizeof(struct theirs_page_table));
#else
HOLDS(offsetof(struct stubs_page_table, flags) == sizeof(struct theirs_page_table));
#endif
