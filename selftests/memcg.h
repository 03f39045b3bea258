/* SPDX-License-Identifier: GPL-2.0-only */
/* A memory cgroup for a test, below the root of the unified hierarchy. */
#ifndef UFFDVRAM_SELFTESTS_MEMCG_H
#define UFFDVRAM_SELFTESTS_MEMCG_H

#include <stdbool.h>

/** memcg_new - with this memory.max; false: this machine has none */
bool memcg_new(const char *max);
/** memcg_swap - its memory.swap.max */
bool memcg_swap(const char *max);
/** memcg_enter, memcg_leave - this process; what it has stays charged where it is */
bool memcg_enter(void);
bool memcg_leave(void);
/** memcg_events - how often this happened ("max", "oom_kill"), or -1 */
long long memcg_events(const char *what);
/** memcg_current - bytes charged to it, or a negative errno; some are charged ahead for each CPU */
long long memcg_current(void);
/** memcg_drop - nobody may be in it any more */
bool memcg_drop(void);

#endif /* UFFDVRAM_SELFTESTS_MEMCG_H */
