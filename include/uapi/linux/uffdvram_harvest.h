/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/* uffdvram: the ioctl HARVEST; a part of <linux/uffdvram.h>, which includes it. */
#ifndef _UAPI_LINUX_UFFDVRAM_HARVEST_H
#define _UAPI_LINUX_UFFDVRAM_HARVEST_H

#include <linux/uffdvram.h>

/**
 * struct uffdvram_harvest - what was written in a range since it was last harvested
 * @size: sizeof(struct uffdvram_harvest)
 * @flags: UFFDVRAM_HARVEST_*
 * @range: number of the range
 * @__reserved: must be 0
 * @addr: first byte of a piece of the range
 * @len: bytes
 * @vec: user pointer to an array of struct uffdvram_region
 * @vec_len: elements of @vec
 * @used: out: elements written
 * @done: out: bytes handled; short of @len, without an error, when @vec is full
 * @cookie: in: 0 to begin a generation, or the one to go on with, or to commit; out:
 *	the generation's
 *
 * The regions have state 0 and one or both of two flags. WRITTEN: the device wrote these
 * pages, by COPY too. LEFT: they were not in VRAM at some time since then, or are not now;
 * whether a CPU wrote them, userfaultfd's write-protection tells: PAGEMAP_SCAN. All other
 * pages of the piece were in VRAM all the time, and nobody wrote to them. Regions are in
 * the order of their addresses; neighbouring pages with the same flags make one.
 *
 * What is reported counts as harvested once it is committed. A generation that is not is
 * reported again by the next one, along with what was written meanwhile. A piece of the
 * same generation that is read again is reported again, too.
 *
 * Books of a range are kept from its first HARVEST on, at the expense of the caller's
 * memory cgroup: five bits for each page. Nobody knows what was written before: the first
 * time, every page is WRITTEN and LEFT. The range's own pages count, at their
 * addresses: mremap(2) takes no books along.
 *
 * With BITMAP, @vec is an array of struct uffdvram_harvest_word instead, an element for
 * each 64 pages that begin at a multiple of 64 pages; the first is that of @addr. Elements
 * with nothing to tell may be left as they are: clear all of them first. @used counts
 * elements up to the last one that was written. @done is short of @len when @vec is.
 *
 * With COMMIT, all of @addr, @len, @vec and @vec_len are 0, and BITMAP is not given.
 *
 * Errors: EINVAL (alignment, overflow, not within the range, no vec, a member that is
 * to be 0), ENOENT (no such range; or at addr + done the device was mapped anew: another
 * range), EBUSY (another HARVEST of the range is under way), ESTALE (the cookie is not that
 * of the open generation), EFAULT, ENOMEM, ESRCH, EINTR, EOPNOTSUPP.
 */
struct uffdvram_harvest {
	__u32 size;
	__u32 flags;
	__u32 range;
	__u32 __reserved;
	__u64 addr;
	__u64 len;
	__u64 vec;
	__u64 vec_len;
	__u64 used;
	__u64 done;
	__u64 cookie;
};
#define UFFDVRAM_HARVEST		_IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_HARVEST)

/** UFFDVRAM_HARVEST_COMMIT - the generation @cookie has been dealt with. */
#define UFFDVRAM_HARVEST_COMMIT		(1U << 0)

/** UFFDVRAM_HARVEST_BITMAP - @vec is an array of struct uffdvram_harvest_word. */
#define UFFDVRAM_HARVEST_BITMAP		(1U << 1)

/**
 * struct uffdvram_harvest_word - what was written of 64 pages, the first of them in bit 0
 * @written: the device wrote these pages: UFFDVRAM_REGION_WRITTEN
 * @left: they were not in VRAM all the time: UFFDVRAM_REGION_LEFT
 * @in_vram: those of @left that were in VRAM again when this was written, or may have been
 */
struct uffdvram_harvest_word {
	__u64 written;
	__u64 left;
	__u64 in_vram;
};

#endif /* _UAPI_LINUX_UFFDVRAM_HARVEST_H */
