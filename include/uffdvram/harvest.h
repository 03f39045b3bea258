/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libuffdvram: which pages were written.
 *
 * Overview
 * --------
 * The module knows what the device wrote, and which pages were not in VRAM all the time;
 * of these the page tables know which a CPU wrote, if the range is armed for writes.
 * uffdvram_harvest() asks both, sees to it that the next write is found, and answers with
 * a bitmap. Read the pages' contents after it has returned: what is written later is in the
 * next answer.
 */
#ifndef UFFDVRAM_HARVEST_H
#define UFFDVRAM_HARVEST_H

#include <uffdvram/uffdvram.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * struct uffdvram_harvested - what a harvest found, and what it looked at
 * @size: sizeof(struct uffdvram_harvested)
 * @written: pages that were written
 * @device: those of them that the device wrote, or may have
 * @left: pages that were not in VRAM all the time
 * @scanned: pages whose entries were looked at
 */
struct uffdvram_harvested {
	size_t size;
	uint64_t written;
	uint64_t device;
	uint64_t left;
	uint64_t scanned;
};

/**
 * uffdvram_harvest - which pages of a range were written since they were last harvested
 * @range: armed with UFFDVRAM_ARM_WP or UFFDVRAM_ARM_WP_ASYNC
 * @off: offset of the first byte in the range
 * @len: bytes; @off + @len must not pass the end of the range
 * @pagemap: /proc/PID/pagemap of the process whose memory it is, open for reading; -1: the
 *	caller's own, which is opened
 * @bitmap: a bit for each page, 64 to a word, the lowest first; those of written pages
 *	are set, the others stay as they are
 * @res: in: res->size; out: counts. May be NULL
 *
 * The first harvest of a range reports every page. What it reports is protected again; but
 * with UFFDVRAM_ARM_WP_ASYNC, not what only the device wrote and what stays in VRAM: of
 * those, one that leaves is reported once more, if only by a read.
 * After an error, what is set was written and may be protected already: keep the bitmap,
 * and call again. One thread at a time. Goes on after signals.
 *
 * Errors: -EINVAL (alignment, a length of 0, not within the range), -ENOTCONN (not armed
 * for writes), -EXDEV (another process's range, and no @pagemap), -EBUSY (another harvest
 * of it is under way), -ESTALE (somebody else harvested it meanwhile), -ENOTTY (the
 * module, or the kernel, is too old), -ENOENT (the range has ended), -ENOMEM, -ESRCH (the
 * address space is gone), and those of opening @pagemap.
 */
int uffdvram_harvest(struct uffdvram_range *range, uint64_t off, uint64_t len, int pagemap,
		     uint64_t *bitmap, struct uffdvram_harvested *res);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif /* UFFDVRAM_HARVEST_H */
