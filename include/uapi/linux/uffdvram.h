/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * uffdvram: VRAM that a virtual machine monitor can arm with userfaultfd.
 *
 * A context is one open file of /dev/uffdvram. It acts on one address space:
 * that of the process which opened it, whoever holds the descriptor.
 *
 * Every structure begins with its own size and flags, and grows only at its
 * end. A caller sets @size to the size it was compiled with. A longer structure
 * than the module knows is taken if the tail is all zero (E2BIG if not); a
 * shorter one is taken down to the size of the first release (EINVAL below it).
 * Reserved fields must be zero (EINVAL). Unknown flags are EOPNOTSUPP.
 *
 * Addresses and lengths are bytes and multiples of the page size. @done is
 * written on every return, error or not: addr + done is the first address that
 * was not handled.
 */
#ifndef _UAPI_LINUX_UFFDVRAM_H
#define _UAPI_LINUX_UFFDVRAM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/** UFFDVRAM_ABI - version of this interface, as INFO reports it. */
#define UFFDVRAM_ABI		1

#define UFFDVRAM_DEVICE		"/dev/uffdvram"

#define UFFDVRAM_TYPE		0xF5

/*
 * One line per ioctl: name, lower-case name (struct uffdvram_<name>), last
 * member of the first release (which sets the minimum size). This list makes
 * the command numbers here, and the dispatch table and the length tests
 * elsewhere. New lines go at the end.
 */
#define UFFDVRAM_IOCTLS(X)					\
	X(INFO,			info,			slot_quota)	\
	X(OPEN_PID,		open_pid,		fd)		\
	X(POOL_ATTACH,		pool_attach,		pci_bar)	\
	X(POOL_DETACH,		pool_detach,		left)		\
	X(RANGE_REGISTER,	range_register,		pool_off)	\
	X(RANGE_UNREGISTER,	range_unregister,	__reserved)	\
	X(MIGRATE,		migrate,		first)		\
	X(QUERY,		query,			count)		\
	X(COPY,			copy,			done)		\
	X(POISON,		poison,			bad_addr)	\
	X(POISON_LIST,		poison_list,		done)		\
	X(HARVEST,		harvest,		cookie)		\
	X(ACCESS_BEGIN,		access_begin,		lease)		\
	X(ACCESS_END,		access_end,		revoked)	\
	X(CONVERT,		convert,		bad_addr)

enum {
	UFFDVRAM_CMD_BASE = 0x80,
#define UFFDVRAM_CMD_NR_(NAME, name, last)	UFFDVRAM_CMD_##NAME,
	UFFDVRAM_CMD_FIRST_ = UFFDVRAM_CMD_BASE - 1,
	UFFDVRAM_IOCTLS(UFFDVRAM_CMD_NR_)
#undef UFFDVRAM_CMD_NR_
	UFFDVRAM_CMD_END
};

/**
 * struct uffdvram_info - what this module and this kernel can do
 * @size: sizeof(struct uffdvram_info)
 * @flags: must be 0
 * @abi: out: UFFDVRAM_ABI of the module
 * @n_pools: out: pools that this context may use
 * @features: out: UFFDVRAM_FEATURE_*
 * @page_sizes: out: bit n: entries of 1 << n bytes can live in VRAM
 * @max_ranges: out: ranges that one address space may have
 * @slot_quota: out: slots that the caller's user may hold, ~0 for no limit
 * @pool: out: the pool that memory mapped from this context's device gets: the
 *	first, by number, that it may use and that takes pages; 0: there is none
 * @__reserved: out: 0
 */
struct uffdvram_info {
	__u32 size;
	__u32 flags;
	__u32 abi;
	__u32 n_pools;
	__u64 features;
	__u64 page_sizes;
	__u64 max_ranges;
	__u64 slot_quota;
	__u32 pool;
	__u32 __reserved;
};
#define UFFDVRAM_INFO			_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_INFO)

/** UFFDVRAM_FEATURE_VRAM - the kernel has DEVICE_PRIVATE: pages can move. */
#define UFFDVRAM_FEATURE_VRAM		(1ULL << 0)
/** UFFDVRAM_FEATURE_OPEN_PID - OPEN_PID is enabled (module parameter). */
#define UFFDVRAM_FEATURE_OPEN_PID	(1ULL << 1)
/** UFFDVRAM_FEATURE_SIM - the simulated backend is built in. */
#define UFFDVRAM_FEATURE_SIM		(1ULL << 2)
/** UFFDVRAM_FEATURE_COPY - the ioctl COPY is there. */
#define UFFDVRAM_FEATURE_COPY		(1ULL << 3)
/** UFFDVRAM_FEATURE_EVENTS - a context can be read and polled for events. */
#define UFFDVRAM_FEATURE_EVENTS		(1ULL << 4)
/** UFFDVRAM_FEATURE_LINEAR - ranges can be linear. */
#define UFFDVRAM_FEATURE_LINEAR		(1ULL << 5)
/** UFFDVRAM_FEATURE_MMAP - the device can be mapped. */
#define UFFDVRAM_FEATURE_MMAP		(1ULL << 6)
/** UFFDVRAM_FEATURE_PCI - the backend for BARs is built in. */
#define UFFDVRAM_FEATURE_PCI		(1ULL << 7)
/** UFFDVRAM_FEATURE_NVIDIA - the module with the backend for NVIDIA's GPUs is loaded. */
#define UFFDVRAM_FEATURE_NVIDIA		(1ULL << 8)
/** UFFDVRAM_FEATURE_POISON - the ioctls POISON and POISON_LIST are there. */
#define UFFDVRAM_FEATURE_POISON		(1ULL << 9)
/** UFFDVRAM_FEATURE_ACCESS - the ioctls ACCESS_BEGIN and ACCESS_END are there. */
#define UFFDVRAM_FEATURE_ACCESS		(1ULL << 10)
/** UFFDVRAM_FEATURE_HARVEST - the ioctl HARVEST is there. */
#define UFFDVRAM_FEATURE_HARVEST	(1ULL << 11)
/** UFFDVRAM_FEATURE_CONVERT - the ioctl CONVERT is there. */
#define UFFDVRAM_FEATURE_CONVERT	(1ULL << 12)
/**
 * UFFDVRAM_FEATURE_SCAN_WP - PAGEMAP_SCAN may protect pages (PM_SCAN_WP_MATCHING) that may be
 * in VRAM. It leaves these writable, so they may be reported once more than need be; nothing
 * is lost. A kernel with CONFIG_PAGE_TABLE_CHECK, which warns of it, has not this feature.
 */
#define UFFDVRAM_FEATURE_SCAN_WP	(1ULL << 13)
/** UFFDVRAM_FEATURE_EXCLUSIVE - ranges can be exclusive. */
#define UFFDVRAM_FEATURE_EXCLUSIVE	(1ULL << 14)

/**
 * struct uffdvram_open_pid - a context for another, running process
 * @size: sizeof(struct uffdvram_open_pid)
 * @flags: must be 0
 * @pidfd: the process, as a descriptor of pidfd_open(2)
 * @fd: out: the new context, close-on-exec
 *
 * For administrators: CAP_SYS_PTRACE in the initial user namespace and over the
 * target, and the module parameter open_pid=1.
 *
 * Errors: EOPNOTSUPP (disabled), EPERM, EBADF (not a pidfd), ESRCH (the
 * process is gone or has no address space), EMFILE, ENOMEM.
 */
struct uffdvram_open_pid {
	__u32 size;
	__u32 flags;
	__s32 pidfd;
	__s32 fd;
};
#define UFFDVRAM_OPEN_PID		_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_OPEN_PID)

/** enum uffdvram_backend - what stands behind a pool */
enum uffdvram_backend_id {
	UFFDVRAM_BACKEND_SIM = 1,	/* system RAM that plays VRAM */
	UFFDVRAM_BACKEND_PCI = 2,	/* a memory BAR of a PCI function */
	UFFDVRAM_BACKEND_NVIDIA = 3,	/* an NVIDIA GPU, R550 or newer */
};

/**
 * struct uffdvram_pool_attach - attach VRAM as a pool
 * @size: sizeof(struct uffdvram_pool_attach)
 * @flags: UFFDVRAM_POOL_*
 * @backend: enum uffdvram_backend_id
 * @pool: out: number of the new pool, never 0
 * @addr: device address, or offset into the BAR; 0 for UFFDVRAM_BACKEND_SIM
 * @bytes: size of the pool
 * @pci_sbdf: segment << 16 | bus << 8 | devfn; 0 for UFFDVRAM_BACKEND_SIM
 * @pci_bar: number of the BAR; 0 for UFFDVRAM_BACKEND_SIM
 * @fault_bytes: how much a CPU fault on a folio in the pool brings home, in bytes: the
 *	page size: the page that is touched; or a larger one of INFO's page_sizes: all
 *	of a folio of that size. 0: as fits the backend: a page where reading is slow
 *	(PCI, NVIDIA), the whole folio otherwise
 *
 * A pool belongs to the context that attached it and ends with it, unless it is
 * shared. What it costs the host (64 bytes per page, and the memory of a
 * simulated pool) counts against the caller's RLIMIT_MEMLOCK, unless the caller
 * has CAP_IPC_LOCK.
 *
 * UFFDVRAM_BACKEND_PCI: a window of a memory BAR, [@addr, @addr + @bytes). What
 * it holds is overwritten. It takes CAP_SYS_RAWIO.
 *
 * UFFDVRAM_BACKEND_NVIDIA: memory of an NVIDIA GPU, [@addr, @addr + @bytes) of an
 * allocation of CUDA's that the calling process made; multiples of 64 KiB. What it
 * holds is overwritten. It stays until the pool ends, whoever frees it. It takes
 * the module uffdvram-nvidia, and NVIDIA's open kernel modules, R550 or newer.
 *
 * Errors: ENODEV (no DEVICE_PRIVATE), EOPNOTSUPP (unknown backend or flag; the module
 * uffdvram-nvidia is not loaded; a GPU or driver that cannot do this), EINVAL (a size, an
 * offset, a window that is not in the BAR; not the caller's; fault_bytes is no page size of
 * INFO's), EPERM (SHARED without CAP_SYS_ADMIN; PCI without CAP_SYS_RAWIO, or locked down),
 * ENXIO (no such function; it has no such memory BAR, or that has no address; no driver of
 * NVIDIA's that can be used), EBUSY (another pool has part of the window; a driver has the
 * function, or something else has part of the window, and FORCE is not given), EIO (the
 * function cannot be enabled; the BAR does not hold what is written), ENOMEM (host memory,
 * or over RLIMIT_MEMLOCK), ENOSPC (no free device address space, or too many pools).
 */
struct uffdvram_pool_attach {
	__u32 size;
	__u32 flags;
	__u32 backend;
	__u32 pool;
	__u64 addr;
	__u64 bytes;
	__u32 pci_sbdf;
	__u32 pci_bar;
	__u64 fault_bytes;
};
#define UFFDVRAM_POOL_ATTACH		_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_POOL_ATTACH)

/** UFFDVRAM_POOL_SHARED - every context may use it, until it is detached. */
#define UFFDVRAM_POOL_SHARED		(1U << 0)
/** UFFDVRAM_POOL_FORCE - take a device although a driver holds it (PCI). */
#define UFFDVRAM_POOL_FORCE		(1U << 1)
/** UFFDVRAM_POOL_UNCHECKED - no checksums: the device itself writes to it, too. */
#define UFFDVRAM_POOL_UNCHECKED		(1U << 2)

/**
 * struct uffdvram_pool_detach - bring a pool's pages home and release it
 * @size: sizeof(struct uffdvram_pool_detach)
 * @flags: UFFDVRAM_DETACH_*
 * @pool: the pool
 * @__reserved: must be 0
 * @left: out: slots still in use; 0 on success
 *
 * Takes no new page from the first call on, revokes leases, poisons what is private, waits
 * (killably) until every slot is free. After an error it stays half detached: call again.
 *
 * Errors: ENODEV (no such pool of this context), EPERM (a shared pool without
 * CAP_SYS_ADMIN), EBUSY (another detach of it is under way; what is left are slots of
 * open leases), ENOMEM (no host memory for what is left), EINTR, EOPNOTSUPP.
 */
struct uffdvram_pool_detach {
	__u32 size;
	__u32 flags;
	__u32 pool;
	__u32 __reserved;
	__u64 left;
};
#define UFFDVRAM_POOL_DETACH		_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_POOL_DETACH)

/** UFFDVRAM_DETACH_DISCARD - do not copy: what is left becomes poison. */
#define UFFDVRAM_DETACH_DISCARD		(1U << 0)

/**
 * struct uffdvram_range_register - make a piece of memory known
 * @size: sizeof(struct uffdvram_range_register)
 * @flags: UFFDVRAM_RANGE_*
 * @pool: where MIGRATE puts its pages; 0: nowhere (no pool yet)
 * @range: out: number of the range in this context, never 0
 * @addr: first byte
 * @len: bytes
 * @pool_off: with UFFDVRAM_RANGE_LINEAR: offset of @addr in the pool; else 0
 *
 * The piece must be private anonymous memory at the time of the call. Ranges of one address
 * space do not overlap, in whichever context they were made.
 *
 * A linear range keeps its window of the pool, [@pool_off, @pool_off + @len), to itself
 * until it is unregistered: its slots count against the user's quota from the start, and no
 * other range is given one of them.
 *
 * An exclusive range takes only memory that is for reading and writing, that children do not
 * inherit (MADV_DONTFORK), and that is not for KSM to merge. Where it is unmapped, moved,
 * protected against reading or writing, or inherited nevertheless, all that is private in the
 * range (CONVERT) is lost to everybody, and becomes poison, if the piece has a private page;
 * the range takes no private pages any more (ESTALE). Where private pages are discarded, as by
 * MADV_DONTNEED, they become poison. See UFFDVRAM_EVENT_RANGE_GONE. Memory that has become
 * unfit meanwhile cannot become private (EINVAL).
 *
 * mmap(2) of the device with MAP_PRIVATE makes such memory and registers it in one go, with
 * the first pool that the context may use when pages are first to move. munmap(2)
 * unregisters it; elsewhere, after mremap(2), it is no range. Errors of mmap(2): EINVAL
 * (MAP_SHARED), EXDEV (the context is another process's), EBUSY, ENOSPC, ENOMEM.
 *
 * Errors: EINVAL (alignment, overflow, not private anonymous memory, memory that does not
 * fit an exclusive range, a window that is not in the pool), ENOENT (nothing is mapped in
 * part of it), EBUSY (overlaps a range; the window overlaps another linear range's),
 * ENODEV (no such pool), ENOSPC (max_ranges), EDQUOT (the window is over the user's
 * quota), ESRCH, ENOMEM, EINTR, EOPNOTSUPP.
 */
struct uffdvram_range_register {
	__u32 size;
	__u32 flags;
	__u32 pool;
	__u32 range;
	__u64 addr;
	__u64 len;
	__u64 pool_off;
};
#define UFFDVRAM_RANGE_REGISTER		_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_RANGE_REGISTER)

/** UFFDVRAM_RANGE_LINEAR - page x always lives at pool_off + x. */
#define UFFDVRAM_RANGE_LINEAR		(1U << 0)
/** UFFDVRAM_RANGE_EXCLUSIVE - not to be unmapped, moved, protected or inherited. */
#define UFFDVRAM_RANGE_EXCLUSIVE	(1U << 1)
/** UFFDVRAM_RANGE_FAULT_EVENTS - an event for whatever a fault brings home. */
#define UFFDVRAM_RANGE_FAULT_EVENTS	(1U << 2)

/**
 * struct uffdvram_range_unregister - forget a range
 * @size: sizeof(struct uffdvram_range_unregister)
 * @flags: must be 0
 * @range: the range
 * @__reserved: must be 0
 *
 * Its pages stay where they are. Those in VRAM are brought home by a worker, or by the
 * first access; but private ones become poison.
 *
 * Errors: ENOENT (no such range in this context).
 */
struct uffdvram_range_unregister {
	__u32 size;
	__u32 flags;
	__u32 range;
	__u32 __reserved;
};
#define UFFDVRAM_RANGE_UNREGISTER	_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_RANGE_UNREGISTER)

/** enum uffdvram_stay - why MIGRATE left a page where it was */
enum uffdvram_stay {
	UFFDVRAM_STAY_MISSING = 0,	/* a hole; or a zero page that userfaultfd watches */
	UFFDVRAM_STAY_SWAPPED = 1,	/* swapped out */
	UFFDVRAM_STAY_PINNED = 2,	/* somebody holds a reference */
	UFFDVRAM_STAY_SHARED = 3,	/* merged by KSM, or shared with a forked process */
	UFFDVRAM_STAY_POISONED = 4,	/* poisoned: there is nothing to move */
	UFFDVRAM_STAY_NO_SLOT = 5,	/* the pool is full */
	UFFDVRAM_STAY_QUOTA = 6,	/* the user's quota, or the cgroup's limit, is used up */
	UFFDVRAM_STAY_NO_MEMORY = 7,	/* no host memory for it */
	UFFDVRAM_STAY_COPY_FAILED = 8,	/* the backend could not copy it */
	UFFDVRAM_STAY_LARGE_FOLIO = 9,	/* part of a large folio that this kernel cannot move */
	UFFDVRAM_STAY_SLOT_BUSY = 10,	/* linear: another mapping holds its slot */
	UFFDVRAM_STAY_LEASED = 11,	/* the device is using it */
	UFFDVRAM_STAY_PRIVATE = 12,	/* only the device may have it */
	UFFDVRAM_STAY_BUSY = 13,	/* it changed all the time: try again */
	UFFDVRAM_STAY_NOT_ANON = 14,	/* no longer private anonymous memory */
	UFFDVRAM_STAY_MAX_ = 16
};

/**
 * struct uffdvram_migrate - move pages of ranges into VRAM, or home
 * @size: sizeof(struct uffdvram_migrate)
 * @flags: UFFDVRAM_MIGRATE_*
 * @addr: first byte
 * @len: bytes
 * @done: out: bytes handled
 * @moved: out: pages that moved
 * @already: out: pages that were there before
 * @stayed: out: pages that did not move, by enum uffdvram_stay
 * @first: out: for each cause with stayed != 0, an address of such a page
 *
 * moved + already + all stayed = done / page size. Pages that stay are no
 * error. A hole of memory that userfaultfd does not watch becomes a zeroed page
 * in VRAM, unless POPULATED is given; so does the zero page.
 *
 * Errors: EINVAL (alignment, overflow), ENOENT (addr + done is in no range),
 * ENODEV (the range there has no pool, or its pool is being detached), ENOMEM,
 * ESRCH, EINTR, EOPNOTSUPP.
 */
struct uffdvram_migrate {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 len;
	__u64 done;
	__u64 moved;
	__u64 already;
	__u64 stayed[UFFDVRAM_STAY_MAX_];
	__u64 first[UFFDVRAM_STAY_MAX_];
};
#define UFFDVRAM_MIGRATE		_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_MIGRATE)

/** UFFDVRAM_MIGRATE_TO_RAM - bring home; without it: to the range's pool. */
#define UFFDVRAM_MIGRATE_TO_RAM		(1U << 0)
/** UFFDVRAM_MIGRATE_POPULATED - holes stay holes, counted as missing. */
#define UFFDVRAM_MIGRATE_POPULATED	(1U << 1)

/** enum uffdvram_state - where a page lives */
enum uffdvram_state {
	UFFDVRAM_STATE_OTHER = 0,	/* missing, swapped out, on the move */
	UFFDVRAM_STATE_PRESENT = 1,	/* in RAM */
	UFFDVRAM_STATE_VRAM = 2,	/* in a pool of this module */
	UFFDVRAM_STATE_POISON = 3,	/* poisoned, or its data was lost */
	/* The rest are only indices of uffdvram_query.count. */
	UFFDVRAM_STATE_PRIVATE = 4,	/* pages with UFFDVRAM_REGION_PRIVATE */
	UFFDVRAM_STATE_LEASED = 5,	/* pages with UFFDVRAM_REGION_LEASED */
	UFFDVRAM_STATE_HUGE = 6,	/* pages with UFFDVRAM_REGION_HUGE */
	UFFDVRAM_STATE_MAX_ = 8
};

/**
 * struct uffdvram_region - a run of pages in one state
 * @start: first byte
 * @end: first byte after it
 * @state: enum uffdvram_state, up to UFFDVRAM_STATE_POISON
 * @flags: UFFDVRAM_REGION_*
 */
struct uffdvram_region {
	__u64 start;
	__u64 end;
	__u32 state;
	__u32 flags;
};

/** UFFDVRAM_REGION_PRIVATE - only the device may touch these. */
#define UFFDVRAM_REGION_PRIVATE		(1U << 0)
/** UFFDVRAM_REGION_LEASED - the device is using these. */
#define UFFDVRAM_REGION_LEASED		(1U << 1)
/** UFFDVRAM_REGION_HUGE - mapped by entries of 2 MiB. */
#define UFFDVRAM_REGION_HUGE		(1U << 2)
/** UFFDVRAM_REGION_WRITTEN - the device has written these, or may have. */
#define UFFDVRAM_REGION_WRITTEN		(1U << 3)
/** UFFDVRAM_REGION_LEFT - a CPU may have written these: they were not always in VRAM. */
#define UFFDVRAM_REGION_LEFT		(1U << 4)

/**
 * struct uffdvram_query - where pages live
 * @size: sizeof(struct uffdvram_query)
 * @flags: must be 0
 * @addr: first byte
 * @len: bytes
 * @vec: user pointer to an array of struct uffdvram_region; 0: only count
 * @vec_len: elements of @vec
 * @used: out: elements written
 * @done: out: bytes handled; short of @len, without an error, when @vec is full
 * @count: out: pages by enum uffdvram_state, of the bytes handled
 *
 * Any addresses of the address space may be asked for. Neighbouring pages of
 * one state and flags make one region.
 *
 * Errors: EINVAL (alignment, overflow, vec without vec_len or the reverse),
 * EFAULT, ENOMEM, ESRCH, EINTR.
 */
struct uffdvram_query {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 len;
	__u64 vec;
	__u64 vec_len;
	__u64 used;
	__u64 done;
	__u64 count[UFFDVRAM_STATE_MAX_];
};
#define UFFDVRAM_QUERY			_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_QUERY)

/**
 * struct uffdvram_copy - read or write pages of ranges where they live
 * @size: sizeof(struct uffdvram_copy)
 * @flags: UFFDVRAM_COPY_*
 * @addr: first byte
 * @len: bytes
 * @buf: user pointer, in the caller's address space, to @len bytes
 * @done: out: bytes copied
 *
 * As process_vm_readv(2) and process_vm_writev(2), but a page that lives in VRAM
 * is copied from or to its slot and stays there. Missing pages are faulted in,
 * through userfaultfd where that watches, unless NOFAULT. Writing breaks
 * copy-on-write as a CPU's write does, and counts as one. Pages that are shared
 * by fork, and all pages where userfaultfd watches writes, come home when they
 * are written to.
 *
 * Errors: EINVAL (alignment, overflow), ENOENT (addr + done is in no range; with
 * NOFAULT: nothing is there, or userfaultfd watches for accesses to it), EHWPOISON
 * (poisoned, or its data was lost), EACCES (the page is private, or the memory is
 * not mapped for such an access), EFAULT (@buf; or the page could not be faulted
 * in), EIO (the device failed; a page that it was writing is poison from then on),
 * ENOMEM, ESRCH, EINTR, EOPNOTSUPP.
 */
struct uffdvram_copy {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 len;
	__u64 buf;
	__u64 done;
};
#define UFFDVRAM_COPY			_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_COPY)

/** UFFDVRAM_COPY_WRITE - from @buf to the pages; without it: to @buf. */
#define UFFDVRAM_COPY_WRITE		(1U << 0)
/** UFFDVRAM_COPY_NOFAULT - end at a page that would have to be faulted in. */
#define UFFDVRAM_COPY_NOFAULT		(1U << 1)

/**
 * struct uffdvram_poison - mark pages of ranges as lost, or take marks back
 * @size: sizeof(struct uffdvram_poison)
 * @flags: UFFDVRAM_POISON_*
 * @addr: first byte
 * @len: bytes
 * @done: out: bytes handled
 * @bad_addr: out: with EEXIST the page that is populated, addr + done; else 0
 *
 * Whoever touches a poisoned page gets SIGBUS (BUS_MCEERR_AR), system calls EFAULT.
 * Missing pages become poison; what is poison stays so. A page that is there ends the
 * call with EEXIST, unless REPLACE is given: then it is dropped and marked, wherever it
 * lives, with no moment in between that anybody could see. A mark is of the address: a
 * page that another process or KSM shares stays theirs, and who took a reference on it
 * before keeps that. fork(2) and mremap(2) take marks along; whatever discards pages,
 * MADV_DONTNEED too, discards them. A guard region (MADV_GUARD_INSTALL) is EEXIST even
 * with REPLACE.
 *
 * UNDO makes what is poison in the piece, whoever marked it, missing: the next access
 * finds a page of zeroes, or is a matter for userfaultfd where that watches. All other
 * pages stay as they are.
 *
 * Who waits in userfaultfd for a page goes on waiting when it becomes poison: wake him
 * with UFFDIO_WAKE.
 *
 * Errors: EINVAL (alignment, overflow, REPLACE with UNDO, no longer private anonymous
 * memory), ENOENT (addr + done is in no range, or nothing is mapped there), EEXIST,
 * EPERM (sealed by mseal(2), and not writable), ENOMEM, ESRCH, EINTR, EOPNOTSUPP.
 */
struct uffdvram_poison {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 len;
	__u64 done;
	__u64 bad_addr;
};
#define UFFDVRAM_POISON			_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_POISON)

/** UFFDVRAM_POISON_REPLACE - pages that are there become poison, too. */
#define UFFDVRAM_POISON_REPLACE		(1U << 0)
/** UFFDVRAM_POISON_UNDO - make what is poison missing. */
#define UFFDVRAM_POISON_UNDO		(1U << 1)

/**
 * struct uffdvram_poison_list - which pages are poison
 * @size: sizeof(struct uffdvram_poison_list)
 * @flags: must be 0
 * @addr: first byte
 * @len: bytes
 * @vec: user pointer to an array of struct uffdvram_region
 * @vec_len: elements of @vec
 * @used: out: elements written
 * @done: out: bytes handled; short of @len, without an error, when @vec is full
 *
 * The regions, all of UFFDVRAM_STATE_POISON, are in the order of their addresses, and
 * neighbouring pages make one. They are what the page tables say, whoever poisoned the
 * pages: POISON, UFFDIO_POISON, a failed copy out of VRAM, the machine. Any addresses of
 * the address space may be asked for.
 *
 * Errors: EINVAL (alignment, overflow, no vec), EFAULT, ENOMEM, ESRCH, EINTR.
 */
struct uffdvram_poison_list {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u64 len;
	__u64 vec;
	__u64 vec_len;
	__u64 used;
	__u64 done;
};
#define UFFDVRAM_POISON_LIST		_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_POISON_LIST)

#include <linux/uffdvram_access.h>
#include <linux/uffdvram_convert.h>
#include <linux/uffdvram_event.h>
#include <linux/uffdvram_harvest.h>

#endif /* _UAPI_LINUX_UFFDVRAM_H */
