/* SPDX-License-Identifier: GPL-2.0-only */
/* Watches over an address space: what the core's notifiers tell us of it. */
#ifndef _UFFDVRAM_WATCH_H
#define _UFFDVRAM_WATCH_H

struct uffdvram_mm;
struct uffdvram_watch;

int uffdvram_watch_begin(struct uffdvram_mm *umm);
void uffdvram_watch_end(struct uffdvram_watch *w);
void uffdvram_watch_exit(void);

#endif /* _UFFDVRAM_WATCH_H */
