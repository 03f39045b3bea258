/* SPDX-License-Identifier: GPL-2.0-only */
/* Watches over an address space: what the core's notifiers tell us of it. */
#ifndef _UFFDVRAM_WATCH_H
#define _UFFDVRAM_WATCH_H

#include <linux/types.h>

struct uffdvram_mm;

int uffdvram_watch_begin(struct uffdvram_mm *umm);
int uffdvram_watch_departures(struct uffdvram_mm *umm);
void uffdvram_watch_end(struct uffdvram_mm *umm);
void uffdvram_watch_exit(void);
bool uffdvram_watch_quiet(const struct uffdvram_mm *umm);

#endif /* _UFFDVRAM_WATCH_H */
