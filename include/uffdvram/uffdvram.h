/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libuffdvram: memory of a virtual machine monitor that lives in VRAM.
 *
 * Overview
 * --------
 * A context (struct uffdvram_ctx) acts on one address space: that of the
 * process which opened it, or the one given to uffdvram_open_pid(). In it,
 * a pool (struct uffdvram_pool) is a piece of VRAM, and a range (struct
 * uffdvram_range) a piece of private anonymous memory whose pages
 * uffdvram_range_move() takes to its pool and back. Accesses by the CPU bring
 * single pages back by themselves, at any time, with the right bytes.
 *
 * This header includes the others: <uffdvram/admin.h> (all processes, for
 * administrators), <uffdvram/arm.h> (userfaultfd, and signals), <uffdvram/cuda.h>
 * (memory of an NVIDIA GPU) and <uffdvram/module.h> (is the module there?).
 *
 * Conventions
 * -----------
 * - Functions that can fail return 0 or -errno. A constructor stores its object
 *   through its first argument, and stores nothing when it fails.
 * - Addresses are those of the context's address space, which need not be the
 *   caller's: uint64_t, never pointers. Addresses, offsets and lengths are bytes
 *   and multiples of the page size; counts are pages.
 * - Structures begin with their size, which the caller sets (designated
 *   initialisers do it well: { .size = sizeof(opts) }), and grow at their end.
 *   -EINVAL: shorter than in the first release; -E2BIG: longer than this library
 *   knows, and what it does not know is not zero.
 * - An options argument may be NULL for the defaults, unless said otherwise.
 * - The library starts no thread, but for UFFDVRAM_MOVE_THREADS, which end with the
 *   call. It installs no signal handler, reads no environment, never exits, and prints
 *   nothing: it tells the context's log callback. Only uffdvram_cuda_attach() loads a
 *   library that does some of this.
 *
 * Threads and processes
 * ---------------------
 * Any thread may use any object; the caller sees to it that no object is used
 * during or after the call that ends it. After fork(), a context keeps acting on
 * the address space of the process that opened it, not on the child's.
 */
#ifndef UFFDVRAM_UFFDVRAM_H
#define UFFDVRAM_UFFDVRAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/uffdvram.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** UFFDVRAM_LIB_VERSION - version of this library. */
#define UFFDVRAM_LIB_VERSION	"0.1"

struct uffdvram_ctx;
struct uffdvram_pool;
struct uffdvram_range;

/**
 * uffdvram_log_fn - where a context's messages go
 * @data: log_data of the options
 * @priority: one of syslog(3): LOG_ERR for what a person has to mend, LOG_DEBUG
 *            for each request that the module refused
 * @msg: one line without a newline; ends with the call
 *
 * Called in the thread, and during the call, that has something to say. It must
 * not call back into the same context, and errno is preserved around it.
 */
typedef void uffdvram_log_fn(void *data, int priority, const char *msg);

/**
 * struct uffdvram_open_opts - how to open a context
 * @size: sizeof(struct uffdvram_open_opts)
 * @device: path of the device node; NULL for UFFDVRAM_DEVICE
 * @log: receiver of messages; NULL for none
 * @log_data: first argument of @log
 */
struct uffdvram_open_opts {
	size_t size;
	const char *device;
	uffdvram_log_fn *log;
	void *log_data;
};

/**
 * uffdvram_open - open a context for the calling process
 * @ctx: out
 * @opts: options, or NULL
 *
 * Opens the device close-on-exec and checks that module and library speak the
 * same version of the interface.
 *
 * Errors: those of open(2) (-ENOENT: the module is not loaded; -EACCES: the node
 * is not for this user), -EPROTONOSUPPORT (the module speaks another version;
 * the log says which), -ENOTTY (@device is something else), -ENOMEM, -EINVAL,
 * -E2BIG.
 */
int uffdvram_open(struct uffdvram_ctx **ctx,
		  const struct uffdvram_open_opts *opts);

/**
 * uffdvram_open_pid - open a context for another, running process
 * @ctx: out
 * @pid: the process (a thread group's leader)
 * @opts: options, or NULL
 *
 * As uffdvram_open_pidfd(), for a process id. The id may have been recycled
 * before the call: who must be sure keeps a pidfd.
 *
 * Errors: those of uffdvram_open_pidfd(); -ESRCH (also: no such process);
 * -EINVAL or, from kernel 6.15 on, -ENOENT (@pid is a thread, no process).
 */
int uffdvram_open_pid(struct uffdvram_ctx **ctx, pid_t pid,
		      const struct uffdvram_open_opts *opts);

/**
 * uffdvram_open_pidfd - open a context for the process behind a pidfd
 * @ctx: out
 * @pidfd: descriptor of pidfd_open(2); stays the caller's
 * @opts: options, or NULL
 *
 * The context belongs to the caller: when it is closed (the caller's death
 * closes it too), the ranges made through it end and their pages come home. The
 * other process never notices.
 *
 * Errors: those of uffdvram_open(); -EOPNOTSUPP (the module was not loaded with
 * open_pid=1), -EPERM (CAP_SYS_PTRACE is missing in the initial user namespace
 * or over the process), -EBADF (not a pidfd), -ESRCH (the process is gone, or is
 * a kernel thread), -EMFILE.
 */
int uffdvram_open_pidfd(struct uffdvram_ctx **ctx, int pidfd,
			const struct uffdvram_open_opts *opts);

/**
 * uffdvram_open_fd - make a context of an open file of the device
 * @ctx: out
 * @fd: the open file, for example one that arrived over a socket; belongs to the
 *      context after success, stays the caller's after failure
 * @opts: options, or NULL; @device is not looked at
 *
 * The context acts on the address space of the process that opened the file.
 *
 * Errors: -EBADF, -ENOTTY (@fd is something else), -EPROTONOSUPPORT, -ENOMEM,
 * -EINVAL, -E2BIG.
 */
int uffdvram_open_fd(struct uffdvram_ctx **ctx, int fd,
		     const struct uffdvram_open_opts *opts);

/**
 * uffdvram_close - end a context
 * @ctx: the context; NULL does nothing
 *
 * Frees every pool and range handle of the context; using one afterwards is an
 * error of the caller. When the last descriptor of the open file is gone, its
 * ranges end, and so do the pools which it attached without
 * UFFDVRAM_POOL_SHARED. Never waits: pages in VRAM come home in the background,
 * or when they are accessed.
 */
void uffdvram_close(struct uffdvram_ctx *ctx);

/**
 * uffdvram_fd - the descriptor of a context
 *
 * Stays the context's: dup(2) it to keep it or to pass it on.
 */
int uffdvram_fd(const struct uffdvram_ctx *ctx);

/**
 * uffdvram_get_info - what the module and the kernel can do
 * @ctx: the context
 * @info: in: info->size, everything else zero; out: the rest, see
 *        struct uffdvram_info in <linux/uffdvram.h>
 *
 * Errors: -EINVAL, -E2BIG (the structure is longer than the module knows, and
 * its tail is not zero).
 */
int uffdvram_get_info(struct uffdvram_ctx *ctx, struct uffdvram_info *info);

/**
 * struct uffdvram_pool_opts - what to attach as a pool
 * @size: sizeof(struct uffdvram_pool_opts)
 * @backend: enum uffdvram_backend_id; this release has UFFDVRAM_BACKEND_SIM,
 *           UFFDVRAM_BACKEND_PCI and UFFDVRAM_BACKEND_NVIDIA
 * @flags: UFFDVRAM_POOL_SHARED: for every context, until it is detached. Without
 *         it, for this context, until that ends. UFFDVRAM_POOL_FORCE: take a
 *         function that a driver has. UFFDVRAM_POOL_UNCHECKED: no checksums,
 *         because the device writes to it, too
 * @bytes: size of the pool
 * @addr: where in the BAR it begins; or CUDA's address, see <uffdvram/cuda.h>
 * @pci_sbdf: the PCI function: segment << 16 | bus << 8 | device << 3 | function
 * @pci_bar: its BAR, 0 to 5
 * @fault_bytes: how much a CPU fault brings home: 0 (as fits the backend), the page
 *               size, or 2 MiB where INFO's page_sizes has that
 */
struct uffdvram_pool_opts {
	size_t size;
	uint32_t backend;
	uint32_t flags;
	uint64_t bytes;
	uint64_t addr;
	uint32_t pci_sbdf;
	uint32_t pci_bar;
	uint64_t fault_bytes;
};

/**
 * uffdvram_pool_attach - attach VRAM as a pool
 * @pool: out
 * @ctx: the context
 * @opts: what to attach; required
 *
 * Errors: -ENODEV (the kernel has no DEVICE_PRIVATE), -EOPNOTSUPP (a backend or
 * flag that the module does not have), -EINVAL, -E2BIG, -EPERM
 * (UFFDVRAM_POOL_SHARED without CAP_SYS_ADMIN, a BAR without CAP_SYS_RAWIO),
 * -ENXIO (no such function or memory BAR), -EBUSY (a driver or another pool has
 * it), -EIO (the BAR does not hold what is written), -ENOMEM (host memory, or
 * RLIMIT_MEMLOCK), -ENOSPC (no free device address space, or too many pools).
 */
int uffdvram_pool_attach(struct uffdvram_pool **pool, struct uffdvram_ctx *ctx,
			 const struct uffdvram_pool_opts *opts);

/**
 * uffdvram_pool_wrap - make a handle for a pool that exists
 * @pool: out
 * @ctx: the context
 * @number: number of the pool, for example of a shared one that somebody else
 *          attached; not 0
 *
 * Does not ask the module: whether the pool exists is seen when it is used.
 *
 * Errors: -EINVAL, -ENOMEM.
 */
int uffdvram_pool_wrap(struct uffdvram_pool **pool, struct uffdvram_ctx *ctx,
		       uint32_t number);

/**
 * uffdvram_pool_free - free a handle
 * @pool: the handle; NULL does nothing
 *
 * Leaves the pool attached.
 */
void uffdvram_pool_free(struct uffdvram_pool *pool);

/**
 * uffdvram_pool_detach - bring a pool's pages home and release it
 * @pool: the pool; freed on success, stays valid on failure
 * @flags: UFFDVRAM_DETACH_DISCARD: do not copy; what is left becomes poison
 * @left: out: slots still in use, 0 on success; may be NULL
 *
 * Waits until every slot is free; only a fatal signal interrupts. After a
 * failure the pool takes no new page: call again.
 *
 * Errors: -ENODEV (no such pool of this context), -EPERM (a shared pool without
 * CAP_SYS_ADMIN), -EBUSY (another detach of it is under way), -ENOMEM (no host
 * memory for what is left), -EINTR, -EOPNOTSUPP (unknown flag).
 */
int uffdvram_pool_detach(struct uffdvram_pool *pool, uint32_t flags,
			 uint64_t *left);

/** uffdvram_pool_number - the number by which other contexts know the pool. */
uint32_t uffdvram_pool_number(const struct uffdvram_pool *pool);

/**
 * struct uffdvram_range_opts - how to register a range
 * @size: sizeof(struct uffdvram_range_opts)
 * @pool: where its pages go; NULL: nowhere, it can only be queried
 * @pool_off: with UFFDVRAM_RANGE_LINEAR: where in the pool the range's window begins
 * @flags: UFFDVRAM_RANGE_LINEAR: the page at offset x of the range always lives in
 *         the slot at @pool_off + x of the pool, in a window that is the range's
 *         alone. UFFDVRAM_RANGE_FAULT_EVENTS: an event for every page that a fault
 *         brings home. UFFDVRAM_RANGE_EXCLUSIVE: private pages are lost, not left to
 *         others, when the memory is unmapped, moved, protected or inherited; the
 *         library has children not inherit it (MADV_DONTFORK) and KSM leave it alone
 *         (MADV_UNMERGEABLE), for as long as it is mapped, even if the call fails
 */
struct uffdvram_range_opts {
	size_t size;
	struct uffdvram_pool *pool;
	uint64_t pool_off;
	uint32_t flags;
};

/**
 * uffdvram_range_seal - have the kernel refuse to change a range's memory
 * @range: the range, of the caller's own memory
 *
 * By mseal(2), which Linux has since 6.10 on 64-bit machines: from now on munmap, mremap,
 * mprotect and mmap over it fail with EPERM. Nothing takes that back before the process ends
 * or runs another program: not uffdvram_range_unregister() either. fork is not among what it
 * refuses, nor is MADV_DONTNEED.
 *
 * Errors: -EXDEV (another process's memory), -ENOSYS (not in this kernel), -EPERM (not on
 * this machine), -ENOMEM (something is not mapped).
 */
int uffdvram_range_seal(struct uffdvram_range *range);

/**
 * uffdvram_range_register - make a piece of memory known
 * @range: out
 * @ctx: the context
 * @addr: first byte
 * @len: bytes
 * @opts: options, or NULL
 *
 * The piece must be private anonymous memory and wholly mapped; it may span
 * several mappings. Nothing moves yet.
 *
 * Errors: -EINVAL (alignment, overflow, a length of 0, memory that is not private
 * anonymous, a pool of another context's handle), -E2BIG, -ENOENT (nothing is
 * mapped in part of it), -EBUSY (overlaps a range of the same address space, in
 * whichever context; a window overlaps another range's), -ENODEV (no such pool),
 * -ENOSPC (too many ranges), -EDQUOT (a window is over the user's quota), -ESRCH
 * (the address space is gone), -EOPNOTSUPP (unknown flag), -ENOMEM, -EINTR.
 */
int uffdvram_range_register(struct uffdvram_range **range,
			    struct uffdvram_ctx *ctx,
			    uint64_t addr, uint64_t len,
			    const struct uffdvram_range_opts *opts);

/**
 * uffdvram_range_unregister - forget a range
 * @range: the range; freed whatever the result is. NULL does nothing
 *
 * Its pages stay intact: those in VRAM come home in the background, or when they
 * are accessed.
 *
 * Errors: -ENOENT (the module no longer knows it).
 */
int uffdvram_range_unregister(struct uffdvram_range *range);

/** uffdvram_range_addr - first byte, as registered (mremap(2) moves memory). */
uint64_t uffdvram_range_addr(const struct uffdvram_range *range);

/** uffdvram_range_len - bytes, as registered. */
uint64_t uffdvram_range_len(const struct uffdvram_range *range);

/** uffdvram_range_number - number of the range in its context, never 0. */
uint32_t uffdvram_range_number(const struct uffdvram_range *range);

/** UFFDVRAM_MOVE_TO_RAM - bring home; without it: to the range's pool. */
#define UFFDVRAM_MOVE_TO_RAM	(1U << 0)
/** UFFDVRAM_MOVE_EINTR - return -EINTR after a signal, instead of going on. */
#define UFFDVRAM_MOVE_EINTR	(1U << 1)
/** UFFDVRAM_MOVE_POPULATED - leave holes and the zero page: nothing is made in VRAM. */
#define UFFDVRAM_MOVE_POPULATED	(1U << 2)
/**
 * UFFDVRAM_MOVE_THREADS - share the work between @n threads, of which the caller is one
 *
 * 0 and 1: none but the caller; up to 255, of which 64 are used at most, and no more than
 * there are pieces of 2 MiB. The library starts them, with all signals blocked, and they
 * have ended when the call returns; where it can start none, it does without.
 *
 * Results are those of one thread. But after an error, pages behind it may have moved
 * that are not counted; and where there is not room for all pages, those that stay
 * need not be the last ones.
 */
#define UFFDVRAM_MOVE_THREADS(n)	((uint32_t)(n) << 8)

/**
 * struct uffdvram_moved - what a move did
 * @size: sizeof(struct uffdvram_moved)
 * @done: bytes handled, from the first one on; where an error is, if there is one
 * @moved: pages that moved
 * @already: pages that were there before
 * @stayed: pages that did not move, by enum uffdvram_stay
 * @first: for each cause with stayed != 0, the first address of such a page
 *
 * Filled in on every return that got as far as the module, error or not:
 * moved + already + all stayed = done / page size.
 */
struct uffdvram_moved {
	size_t size;
	uint64_t done;
	uint64_t moved;
	uint64_t already;
	uint64_t stayed[UFFDVRAM_STAY_MAX_];
	uint64_t first[UFFDVRAM_STAY_MAX_];
};

/**
 * uffdvram_range_move - move a part of a range to VRAM, or home
 * @range: the range
 * @off: offset of the first byte in the range
 * @len: bytes; @off + @len must not pass the end of the range
 * @flags: UFFDVRAM_MOVE_*
 * @moved: in: moved->size; out: the rest. May be NULL
 *
 * Pages that stay where they are make no error: @moved says how many and why
 * (uffdvram_stay_name()). Goes on after signals unless told otherwise; the
 * signal's handler runs in between.
 *
 * Errors: -EINVAL (alignment, a length of 0, not within the range), -E2BIG,
 * -ENOENT (a part is in no range any more), -ENODEV (the range has no pool, or the
 * pool is being detached), -ENOMEM, -ESRCH (the address space is gone), -EINTR (only with
 * UFFDVRAM_MOVE_EINTR), -EOPNOTSUPP (unknown flag).
 */
int uffdvram_range_move(struct uffdvram_range *range, uint64_t off,
			uint64_t len, uint32_t flags,
			struct uffdvram_moved *moved);

/**
 * uffdvram_move - the same for a piece that is no handle of this context
 * @ctx: the context
 * @addr: first byte; the piece may span several ranges, without a gap
 * @len: bytes
 * @flags: UFFDVRAM_MOVE_*
 * @moved: in: moved->size; out: the rest. May be NULL
 *
 * Errors: those of uffdvram_range_move().
 */
int uffdvram_move(struct uffdvram_ctx *ctx, uint64_t addr, uint64_t len,
		  uint32_t flags, struct uffdvram_moved *moved);

/**
 * struct uffdvram_residency - how many pages live where
 * @size: sizeof(struct uffdvram_residency)
 * @done: bytes looked at
 * @count: pages by enum uffdvram_state. OTHER, PRESENT, VRAM and POISON add up to
 *         done / page size
 */
struct uffdvram_residency {
	size_t size;
	uint64_t done;
	uint64_t count[UFFDVRAM_STATE_MAX_];
};

/**
 * uffdvram_region_fn - takes one run of neighbouring pages in one state
 * @region: the run, at addresses of the context; ends with the call
 * @data: from the caller of the query
 *
 * Returns 0 to go on; anything else ends the query, which returns that value.
 */
typedef int uffdvram_region_fn(const struct uffdvram_region *region, void *data);

/**
 * struct uffdvram_visit - what to do with the runs that a query finds
 * @fn: called for each, in ascending order, without gaps
 * @data: passed on to it
 */
struct uffdvram_visit {
	uffdvram_region_fn *fn;
	void *data;
};

/**
 * uffdvram_range_query - where the pages of a part of a range live
 * @range: the range
 * @off: offset of the first byte in the range
 * @len: bytes; @off + @len must not pass the end of the range
 * @res: in: res->size; out: counts. May be NULL
 * @visit: what to do with each run; NULL: only count
 *
 * A picture of a moving target: faults and moves go on meanwhile. Goes on after
 * signals. Counts are of what was looked at, also when an error or @visit ends
 * the query early.
 *
 * Errors: -EINVAL (alignment, a length of 0, not within the range), -E2BIG,
 * -ENOMEM, -ESRCH (the address space is gone); what @visit returned.
 */
int uffdvram_range_query(struct uffdvram_range *range, uint64_t off,
			 uint64_t len, struct uffdvram_residency *res,
			 const struct uffdvram_visit *visit);

/**
 * uffdvram_query - the same for any addresses, registered or not
 * @ctx: the context
 * @addr: first byte
 * @len: bytes
 * @res: in: res->size; out: counts. May be NULL
 * @visit: what to do with each run; NULL: only count
 *
 * Errors: those of uffdvram_range_query().
 */
int uffdvram_query(struct uffdvram_ctx *ctx, uint64_t addr, uint64_t len,
		   struct uffdvram_residency *res,
		   const struct uffdvram_visit *visit);

/**
 * uffdvram_range_read - read pages of a range where they live
 * @range: the range
 * @off: offset of the first byte in the range
 * @buf: out: @len bytes
 * @len: bytes; @off + @len must not pass the end of the range
 * @flags: UFFDVRAM_COPY_NOFAULT: end at a page that is not there, instead of
 *         having it made, or supplied through userfaultfd
 * @done: out: bytes read; may be NULL
 *
 * Pages in VRAM stay there: a live migration can send a guest's memory without
 * pulling it home. Goes on after signals.
 *
 * Errors: -EINVAL (alignment, a length of 0, not within the range), -ENOENT (a part
 * is in no range any more; with UFFDVRAM_COPY_NOFAULT: no page is there), -EHWPOISON
 * (it is poison), -EACCES (it is private, or mapped without that right), -EFAULT
 * (@buf; or the page could not be faulted in), -EIO (the device failed),
 * -EOPNOTSUPP (an unknown flag), -ENOMEM, -ESRCH. *done tells how far it came.
 */
int uffdvram_range_read(struct uffdvram_range *range, uint64_t off, void *buf,
			uint64_t len, uint32_t flags, uint64_t *done);

/**
 * uffdvram_range_write - write pages of a range where they live
 * @range: the range
 * @off: offset of the first byte in the range
 * @buf: @len bytes
 * @len: bytes; @off + @len must not pass the end of the range
 * @flags: UFFDVRAM_COPY_NOFAULT, as above
 * @done: out: bytes written; may be NULL
 *
 * Counts as a write by the CPU: respects write-protection of userfaultfd and makes
 * the pages dirty.
 *
 * Errors: those of uffdvram_range_read(). After -EIO the page at @off + *done is
 * poison.
 */
int uffdvram_range_write(struct uffdvram_range *range, uint64_t off,
			 const void *buf, uint64_t len, uint32_t flags,
			 uint64_t *done);

/**
 * uffdvram_event_read - take events of a context
 * @ctx: the context
 * @events: out: at most @n of them, see struct uffdvram_event in <linux/uffdvram.h>
 * @n: elements of @events, not 0
 * @got: out: how many
 * @timeout_ms: how long to wait for the first one; 0: not at all; -1: for ever
 *
 * uffdvram_fd() polls readable (POLLIN) when there are events. If several threads
 * read events of one context, one may wait longer than @timeout_ms.
 *
 * Errors: -EAGAIN (there was none in that time), -EINTR (a signal came first),
 * -EINVAL, -EOPNOTSUPP (the module has no events), -EFAULT.
 */
int uffdvram_event_read(struct uffdvram_ctx *ctx, struct uffdvram_event *events,
			size_t n, size_t *got, int timeout_ms);

/** uffdvram_event_name - a word for an enum uffdvram_event_type ("fault_back") */
const char *uffdvram_event_name(unsigned int type);

/** uffdvram_back_name - a word for an enum uffdvram_back ("collapse") */
const char *uffdvram_back_name(unsigned int cause);

/** uffdvram_gone_name - a word for an enum uffdvram_gone ("unmapped") */
const char *uffdvram_gone_name(unsigned int cause);

/** uffdvram_revoked_name - a word for an enum uffdvram_revoked ("fork") */
const char *uffdvram_revoked_name(unsigned int cause);

/** uffdvram_trouble_name - a word for an enum uffdvram_trouble ("evacuate") */
const char *uffdvram_trouble_name(unsigned int cause);

/**
 * uffdvram_stay_name - a word for an enum uffdvram_stay ("pinned")
 *
 * Never NULL: "unknown" for what this library does not know.
 */
const char *uffdvram_stay_name(unsigned int stay);

/** uffdvram_state_name - a word for an enum uffdvram_state ("vram"); as above. */
const char *uffdvram_state_name(unsigned int state);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#include <uffdvram/access.h>
#include <uffdvram/convert.h>
#include <uffdvram/admin.h>
#include <uffdvram/arm.h>
#include <uffdvram/cuda.h>
#include <uffdvram/harvest.h>
#include <uffdvram/module.h>
#include <uffdvram/poison.h>

#endif /* UFFDVRAM_UFFDVRAM_H */
