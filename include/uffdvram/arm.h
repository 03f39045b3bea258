/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libuffdvram: ranges that userfaultfd watches.
 *
 * Overview
 * --------
 * uffdvram_range_arm() registers a range's memory with userfaultfd, with the
 * monitor's descriptor or a new one, in the order that leaves no gap: first the
 * registration, then the holes. Whoever then touches a hole, or writes to a page
 * that is write-protected, waits for a message on the descriptor to be answered:
 *
 * - uffdvram_range_install() and its kin put pages where there are none;
 * - uffdvram_range_rearm() and uffdvram_range_unprotect() write-protect pages, and
 *   let writers go on;
 * - uffdvram_find() says which offset of which range a message or a signal means.
 *
 * What is installed lives in RAM. With UFFDVRAM_INSTALL_QUEUE it is also put on a
 * list, and uffdvram_range_flush() moves what is on it to VRAM, off the path on
 * which somebody waits.
 *
 * Threads
 * -------
 * Any number of threads may install, protect and flush in one range. The caller
 * sees to it that nobody does while uffdvram_range_arm() or
 * uffdvram_range_disarm() works on it.
 */
#ifndef UFFDVRAM_ARM_H
#define UFFDVRAM_ARM_H

#include <uffdvram/uffdvram.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** UFFDVRAM_ARM_MISSING - a message for who touches a page that is not there */
#define UFFDVRAM_ARM_MISSING		(1U << 0)
/** UFFDVRAM_ARM_WP - a message for who writes to a write-protected page */
#define UFFDVRAM_ARM_WP			(1U << 1)
/**
 * UFFDVRAM_ARM_WP_ASYNC - such writes go through unannounced, and leave a mark that
 * PAGEMAP_SCAN finds. Not together with UFFDVRAM_ARM_WP: it is one or the other
 * for all memory of a descriptor
 */
#define UFFDVRAM_ARM_WP_ASYNC		(1U << 2)
/** UFFDVRAM_ARM_ADOPT - use the descriptor @uffd, do not open one */
#define UFFDVRAM_ARM_ADOPT		(1U << 3)
/**
 * UFFDVRAM_ARM_PUNCH - then discard what is in [@hole_off, @hole_off + @hole_len):
 * the data is lost, and the next access gives a message. With
 * UFFDVRAM_ARM_MISSING only
 */
#define UFFDVRAM_ARM_PUNCH		(1U << 4)
/**
 * UFFDVRAM_ARM_NOHUGEPAGE - set MADV_NOHUGEPAGE on the range first, so that
 * khugepaged neither fills holes nor takes pages home from VRAM. A later
 * MADV_HUGEPAGE of the monitor's own undoes it
 */
#define UFFDVRAM_ARM_NOHUGEPAGE		(1U << 5)
/**
 * UFFDVRAM_ARM_USER_MODE_ONLY - if a descriptor that also handles the kernel's
 * accesses (system calls, KVM, the device) is not to be had, take one that handles
 * only those of user mode; the others then fail with EFAULT. Without it: -EPERM
 */
#define UFFDVRAM_ARM_USER_MODE_ONLY	(1U << 6)

/**
 * struct uffdvram_arm_opts - how to arm a range
 * @size: sizeof(struct uffdvram_arm_opts)
 * @flags: UFFDVRAM_ARM_*; at least one of MISSING, WP and WP_ASYNC
 * @uffd: with UFFDVRAM_ARM_ADOPT: the monitor's userfaultfd, of the context's
 *        address space; stays the caller's, who keeps it open until the range is
 *        disarmed or its handle freed
 * @features: UFFD_FEATURE_* that the descriptor must have, besides those that
 *            @flags ask for; 0 for no more
 * @hole_off: with UFFDVRAM_ARM_PUNCH: offset of the first byte to discard
 * @hole_len: bytes
 *
 * An adopted descriptor on which UFFDIO_API has not been done yet gets it here;
 * else the features that it was given must suffice (they are read from
 * /proc/self/fdinfo; where that cannot be read, they are taken for granted).
 */
struct uffdvram_arm_opts {
	size_t size;
	uint32_t flags;
	int32_t uffd;
	uint64_t features;
	uint64_t hole_off;
	uint64_t hole_len;
};

/**
 * uffdvram_range_arm - have userfaultfd watch a range
 * @range: the range, not armed
 * @opts: how; required
 *
 * A descriptor that is opened here (/dev/userfaultfd first, then userfaultfd(2)) is
 * close-on-exec and non-blocking, and ends with uffdvram_range_disarm() or the
 * handle of the range. It can be adopted for further ranges. Write-protection
 * begins with the first uffdvram_range_rearm().
 *
 * The context must act on the caller's own address space wherever something
 * besides the registration is asked for: to open a descriptor, to punch holes, to
 * set MADV_NOHUGEPAGE. A memory manager that works on another process adopts that
 * process's descriptor; holes are then punched over there.
 *
 * Errors: -EINVAL (flags that make no sense, a hole beyond the range or not
 * aligned, @uffd is no userfaultfd), -E2BIG, -EALREADY (the range is armed),
 * -EBUSY (another userfaultfd has memory of the range: a piece of memory takes only
 * one; adopt that. Since 7.3 also: the adopted one has it with write protection, and
 * @flags ask for none), -EOPNOTSUPP (the kernel, or the adopted descriptor, lacks a
 * feature; the log says which; an unknown flag), -EXDEV (the context acts on
 * another process, see above), -EPERM (not allowed to open one: see
 * vm.unprivileged_userfaultfd), -EBADF, -EMFILE, -ENOMEM; what UFFDIO_REGISTER and
 * madvise(2) return. After an error the range is not armed, but memory that was
 * registered with an adopted descriptor stays registered with it.
 */
int uffdvram_range_arm(struct uffdvram_range *range,
		       const struct uffdvram_arm_opts *opts);

/**
 * uffdvram_range_disarm - no longer have userfaultfd watch a range
 * @range: the range
 *
 * Wakes who waits, ends all write-protection, and closes the descriptor unless it
 * was adopted. What is queued for uffdvram_range_flush() stays queued.
 *
 * Errors: -ENOTCONN (it is not armed); what UFFDIO_UNREGISTER returns. The range is
 * not armed any more in any case.
 */
int uffdvram_range_disarm(struct uffdvram_range *range);

/**
 * uffdvram_range_uffd - the userfaultfd of an armed range, to poll and read
 *
 * Returns -ENOTCONN if it is not armed. The descriptor stays whose it is.
 */
int uffdvram_range_uffd(const struct uffdvram_range *range);

/**
 * uffdvram_range_punch - discard pages of a range that is armed for missing pages
 * @range: the range
 * @off: offset of the first byte in the range
 * @len: bytes
 *
 * Their data is lost, poison too, in RAM and in VRAM. The next access gives a
 * message.
 *
 * Errors: -EINVAL, -ENOTCONN (not armed for missing pages), -EXDEV (the context
 * acts on another process); what madvise(2) returns.
 */
int uffdvram_range_punch(struct uffdvram_range *range, uint64_t off, uint64_t len);

/**
 * uffdvram_range_rearm - write-protect pages
 * @range: the range, armed with UFFDVRAM_ARM_WP or UFFDVRAM_ARM_WP_ASYNC
 * @off: offset of the first byte in the range
 * @len: bytes
 *
 * Of pages in VRAM too. (PAGEMAP_SCAN can write-protect as well, but does it wrong
 * for pages in VRAM: they come back as written.)
 *
 * Errors: -EINVAL, -ENOTCONN (not armed so), -EAGAIN (a message about fork, mremap,
 * munmap or madvise waits to be read from the descriptor first), -ENOENT (part of
 * it is not mapped any more), -ESRCH (the address space is gone).
 */
int uffdvram_range_rearm(struct uffdvram_range *range, uint64_t off, uint64_t len);

/**
 * uffdvram_range_unprotect - end write-protection of pages, and wake writers
 * @range: the range, armed with UFFDVRAM_ARM_WP or UFFDVRAM_ARM_WP_ASYNC
 * @off: offset of the first byte in the range
 * @len: bytes
 *
 * Errors: those of uffdvram_range_rearm().
 */
int uffdvram_range_unprotect(struct uffdvram_range *range, uint64_t off,
			     uint64_t len);

/**
 * uffdvram_range_wake - have who waits for these pages try again
 * @range: the range, armed
 * @off: offset of the first byte in the range
 * @len: bytes
 *
 * Errors: -EINVAL, -ENOTCONN (it is not armed).
 */
int uffdvram_range_wake(struct uffdvram_range *range, uint64_t off, uint64_t len);

/** UFFDVRAM_INSTALL_QUEUE - let uffdvram_range_flush() move the pages to VRAM */
#define UFFDVRAM_INSTALL_QUEUE		(1U << 0)
/** UFFDVRAM_INSTALL_WP - write-protected from the start; takes an arming for it */
#define UFFDVRAM_INSTALL_WP		(1U << 1)

/**
 * struct uffdvram_installed - what an installation did
 * @size: sizeof(struct uffdvram_installed)
 * @done: bytes handled
 * @installed: pages that were installed
 * @existed: pages that were there before; they stay what they are
 *
 * Filled in on every return that got as far as userfaultfd, error or not:
 * installed + existed = done / page size.
 */
struct uffdvram_installed {
	size_t size;
	uint64_t done;
	uint64_t installed;
	uint64_t existed;
};

/**
 * uffdvram_range_install - put pages with data where there are none
 * @range: the range, armed for missing pages
 * @off: offset of the first byte in the range
 * @src: the data, in the caller's memory; aligned or not
 * @len: bytes
 * @flags: UFFDVRAM_INSTALL_*
 * @res: in: res->size; out: the rest. May be NULL
 *
 * Each page appears whole, at once. A page that is there already is no error, and is
 * left alone; poison is no page, and is replaced. Who waits for any of the pages
 * handled is woken, also for those that were there already.
 *
 * @src must not be memory that the same thread would have to install.
 *
 * Errors: -EINVAL, -E2BIG, -ENOTCONN (not armed so), -ENOENT (part of it is not
 * mapped, or not registered, any more), -EAGAIN (a message about fork, mremap,
 * munmap or madvise waits to be read from the descriptor first; go on with
 * @off + done then), -EFAULT (@src), -ENOMEM, -ESRCH (the address space is gone),
 * -EOPNOTSUPP (unknown flag).
 */
int uffdvram_range_install(struct uffdvram_range *range, uint64_t off,
			   const void *src, uint64_t len, uint32_t flags,
			   struct uffdvram_installed *res);

/**
 * uffdvram_range_install_zero - put zeroed pages where there are none
 * @range: the range, armed for missing pages
 * @off: offset of the first byte in the range
 * @len: bytes
 * @flags: UFFDVRAM_INSTALL_*
 * @res: in: res->size; out: the rest. May be NULL
 *
 * Without flags these cost no memory until they are written to, and stay in RAM:
 * the kernel's shared page of zeroes cannot move. With a flag they are pages of
 * their own.
 *
 * Errors: those of uffdvram_range_install().
 */
int uffdvram_range_install_zero(struct uffdvram_range *range, uint64_t off,
				uint64_t len, uint32_t flags,
				struct uffdvram_installed *res);

/**
 * uffdvram_range_install_poison - make pages poison where there are none
 * @range: the range, armed for missing pages
 * @off: offset of the first byte in the range
 * @len: bytes
 * @res: in: res->size; out: the rest. May be NULL
 *
 * For pages whose data was lost before it got here. Who touches them gets SIGBUS
 * with BUS_MCEERR_AR. A page that is there stays what it is.
 *
 * Errors: those of uffdvram_range_install(); -EOPNOTSUPP (the kernel has no
 * UFFDIO_POISON).
 */
int uffdvram_range_install_poison(struct uffdvram_range *range, uint64_t off,
				  uint64_t len, struct uffdvram_installed *res);

/**
 * uffdvram_range_flush - move queued pages to VRAM
 * @range: the range; it needs not be armed
 * @max: at most so many bytes, to bound the time that it takes; 0: all
 * @moved: in: moved->size; out: the rest, done: bytes taken off the queue. May be
 *         NULL
 *
 * As uffdvram_range_move() for each run of queued pages, in ascending order. Pages
 * leave the queue whether they moved or not; those that an error kept from being
 * tried stay on it.
 *
 * Errors: those of uffdvram_range_move().
 */
int uffdvram_range_flush(struct uffdvram_range *range, uint64_t max,
			 struct uffdvram_moved *moved);

/** uffdvram_range_queued - bytes that are queued for uffdvram_range_flush() */
uint64_t uffdvram_range_queued(const struct uffdvram_range *range);

/**
 * struct uffdvram_place - a place in a range
 * @range: the range
 * @off: offset of the byte in it
 */
struct uffdvram_place {
	struct uffdvram_range *range;
	uint64_t off;
};

/**
 * uffdvram_find - which range, and where in it, an address is
 * @ctx: the context
 * @addr: the address, for example of a message of userfaultfd
 * @place: out
 *
 * Async-signal-safe: takes no lock, changes no errno. Looks through the context's
 * handles: the time is proportional to their number.
 *
 * Errors: -ENOENT (in no range of this context's handles).
 */
int uffdvram_find(struct uffdvram_ctx *ctx, uint64_t addr,
		  struct uffdvram_place *place);

/** enum uffdvram_sigbus_kind - what a SIGBUS tells */
enum uffdvram_sigbus_kind {
	UFFDVRAM_SIGBUS_POISON = 1,	/* BUS_MCEERR_AR: the thread needs data that is lost */
	UFFDVRAM_SIGBUS_NOTICE = 2,	/* BUS_MCEERR_AO: data is lost that nobody asked for yet */
	UFFDVRAM_SIGBUS_REFUSED = 3,	/* BUS_ADRERR: private; or userfaultfd answers so */
};

/**
 * struct uffdvram_sigbus - a SIGBUS, decoded
 * @size: sizeof(struct uffdvram_sigbus)
 * @range: the range; its handle can be freed by another thread meanwhile, unless the
 *         caller sees to it
 * @off: offset of the page, or of the larger block, that is concerned, in the range
 * @len: bytes of it; neither begins before the range nor ends after it
 * @kind: enum uffdvram_sigbus_kind
 * @number: uffdvram_range_number() of the range
 */
struct uffdvram_sigbus {
	size_t size;
	struct uffdvram_range *range;
	uint64_t off;
	uint64_t len;
	uint32_t kind;
	uint32_t number;
};

/**
 * uffdvram_sigbus_decode - what a SIGBUS means for a context's ranges
 * @ctx: the context; it must act on the address space of the signal's receiver
 * @code: si_code of siginfo_t, or ssi_code of struct signalfd_siginfo
 * @addr: si_addr, or ssi_addr
 * @lsb: si_addr_lsb, or ssi_addr_lsb: 1 << lsb bytes are concerned. Only looked at
 *       where the kernel fills it in
 * @out: in: out->size; out: the rest
 *
 * To be called by a SIGBUS handler, or by the thread that reads a signalfd.
 * Async-signal-safe: takes no lock, allocates nothing, changes no errno.
 *
 * Errors: -ENOENT (the signal is not about memory of a range of this context: sent by
 * kill(2), for example, or about another mapping), -EINVAL, -E2BIG.
 */
int uffdvram_sigbus_decode(struct uffdvram_ctx *ctx, int code, uint64_t addr,
			   unsigned int lsb, struct uffdvram_sigbus *out);

/** uffdvram_sigbus_name - a word for a kind ("poison"); never NULL */
const char *uffdvram_sigbus_name(unsigned int kind);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif /* UFFDVRAM_ARM_H */
