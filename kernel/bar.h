/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A mapped piece of a memory BAR: copies between it and system pages.
 *
 * It is mapped write-combining. What was written is on its way until
 * uffdvram_bar_flush(); reading it is 20 to 45 times slower than writing.
 */
#ifndef _UFFDVRAM_BAR_H
#define _UFFDVRAM_BAR_H

#include <linux/mm_types.h>
#include <linux/types.h>
#include <asm/barrier.h>

/**
 * struct uffdvram_bar - a mapped piece
 * @base: where it is mapped
 * @start: its physical address
 * @bytes: its size, a multiple of the page size
 * @combining: the mapping is write-combining indeed
 * @streaming: read with streaming loads
 * @write_mbs: as measured when it was tried, in MB/s
 * @read_mbs: likewise
 */
struct uffdvram_bar {
	void __iomem *base;
	phys_addr_t start;
	u64 bytes;
	bool combining;
	bool streaming;
	u32 write_mbs;
	u32 read_mbs;
};

extern int uffdvram_bar_streaming;

int uffdvram_bar_map(struct uffdvram_bar *bar, phys_addr_t start, u64 bytes);
int uffdvram_bar_try(struct uffdvram_bar *bar, const char *name);
void uffdvram_bar_unmap(struct uffdvram_bar *bar);

int uffdvram_bar_write(const struct uffdvram_bar *bar, u64 off,
		       struct page *from, unsigned int order);
void uffdvram_bar_read(const struct uffdvram_bar *bar, u64 off,
		       struct page *to, unsigned int order);
void uffdvram_bar_clear(const struct uffdvram_bar *bar, u64 off,
			unsigned int npages);

/*
 * After the last write, before anybody else learns of it: empties this CPU's
 * buffers. A read by another CPU cannot overtake it then.
 */
static inline void uffdvram_bar_flush(void)
{
	/* Pairs with the order in which a bus does writes, then reads. */
	wmb();
}

#endif /* _UFFDVRAM_BAR_H */
