/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of moving pages share, beyond util.h.
 */
#ifndef UFFDVRAM_SELFTESTS_UTIL_MM_H
#define UFFDVRAM_SELFTESTS_UTIL_MM_H

#include <pthread.h>
#include "util.h"

/*
 * The harness gives a test 30 s. Under emulation, on a kernel with sanitizers,
 * on a busy machine, that says nothing. What hangs is ended by the time limit
 * of its file (TIMEOUT) at the latest.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300

#define ADDR(p)		((uint64_t)(uintptr_t)(p))

/**
 * map_fresh - map_small, but a mapping that never was part of another one
 *
 * The kernel merges what is mapped with its neighbours, and what is left after a split
 * keeps what it got from them: then it is not as one that never had a page.
 */
void *map_fresh(size_t len);

/** map_aligned - map_small at a multiple of 2 MiB */
void *map_aligned(size_t len);

/**
 * sum_ok - does a result of MIGRATE hold together?
 *
 * moved + already + stayed make done; done is in [0, len]; each cause that has
 * pages names one inside the piece.
 */
bool sum_ok(const void *addr, size_t len, const struct uffdvram_migrate *m);

/** on_one_cpu - for good: no other one's LRU batch makes a page look pinned */
void on_one_cpu(void);

/**
 * cpus_alone - takes all CPUs but one offline, or all online again
 *
 * For who changes what a function's BARs show. QEMU's TCG (10.0), while one CPU's access
 * makes it build its map of memory anew, may lose what another writes to its APIC: that
 * gets no interrupts any more, and the machine stands still.
 */
void cpus_alone(bool alone);
/** knobs_calm - no injected failure, no delay */
void knobs_calm(void);

/** not_zero - offset of the first byte that is not zero, or -1 */
long not_zero(const void *addr, size_t len);

/** check_each - check_pages() page by page; number of pages that are wrong */
size_t check_each(const void *addr, size_t len, uint64_t seed);

/**
 * unused_kib - memory of the host that is free, or in slabs
 *
 * KASAN keeps objects that were freed, and kmemleak notes all of them, in slabs.
 */
long long unused_kib(void);

/** env_number - what the environment says, or otherwise */
uint64_t env_number(const char *name, uint64_t otherwise);

/** rnd - the next of a repeatable row of numbers; the state must not be 0 */
uint64_t rnd(uint64_t *state);

uint64_t now_ns(void);
uint64_t now_ms(void);

/** kernel_is - does the running kernel's release begin so? ("6.12") */
bool kernel_is(const char *prefix);

/** threads_run - @n threads run @fn(arg[i]); waits for all; -errno: none ran */
int threads_run(unsigned int n, void *(*fn)(void *arg), void *arg, size_t arg_size);

/** sanitizers - is this a kernel with kmemleak, KASAN and so on, which is slow? */
bool sanitizers(void);
/** too_slow - whether what takes minutes there is to be left out: it was not asked for */
bool too_slow(void);

/** module_users - who keeps the module from being unloaded */
long module_users(void);

/** soft_dirty - how many of these pages have the mark */
size_t soft_dirty(const char *mem, size_t pages);

/**
 * bar_view - the bytes of the BAR that plays VRAM, as the host's file has them
 *
 * From outside: through the second function that has it. bar_view_end() unmaps.
 */
char *bar_view(void);
void bar_view_end(char *view);
#define BAR_VIEW_BYTES	MIB(256)

/** pool_value - the number after " @word " in debugfs' line of a pool; -1: none */
long long pool_value(uint32_t pool, const char *word);

/** huge_in_vram - can entries of 2 MiB live in VRAM on this kernel? */
bool huge_in_vram(int fd);
/** uv_scan_wp - may PAGEMAP_SCAN protect what may be in VRAM, on this kernel? */
bool uv_scan_wp(int fd);
/**
 * fill_huge - fill what map_huge gave, all of it with huge pages; false: there are none
 *
 * A fault takes a huge page if one is free at once: if not, make room and fault again.
 */
bool fill_huge(int fd, void *mem, size_t len, uint64_t seed);
/** collapse_huge - MADV_COLLAPSE, for as long as a page is in use or no huge page free */
int collapse_huge(void *mem, size_t len);
/** map_filled - map_huge, filled; ends the process where that gives no huge pages */
char *map_filled(int fd, size_t len, uint64_t seed);
/** huge_pages - how many of these pages are mapped by entries of 2 MiB; -errno */
long huge_pages(int fd, const void *addr, size_t len);

/** uffd_move - UFFDIO_MOVE; 0 or -errno */
int uffd_move(int uffd, void *to, const void *from, size_t len, uint64_t mode);

/** state_of - enum uffdvram_state of one page, or -errno */
int state_of(int fd, const void *page);

/**
 * zram_new - a new zram device; its number, or -1: none could be made
 *
 * The first one may be in use, or not there yet. zram_drop() removes it, once
 * nobody has it open.
 */
int zram_new(const char *size);
void zram_drop(int nr);
/** zram_path - its name in /dev */
void zram_path(int nr, char *path, size_t len);

/**
 * swap_on - give the machine 64 MiB of swap on zram; false: it has no zram
 *
 * Does nothing if there is swap already. swap_off() undoes it.
 */
bool swap_on(void);
void swap_off(void);

/** swapped - how many of these pages are swapped out */
size_t swapped(const void *mem, size_t pages);

/**
 * swap_out - all these pages; tries for a minute; false: some stay
 *
 * A page in another CPU's LRU batch cannot be swapped out just then.
 */
bool swap_out(void *mem, size_t pages);

/** khugepaged_on - have it scan without a pause; false: there is none */
bool khugepaged_on(void);
/** khugepaged_off - as slow as by default */
void khugepaged_off(void);

/** ksm_on - have ksmd merge quickly; false: no KSM in this kernel */
bool ksm_on(void);
/** ksm_off - unmerge everything, and stop */
void ksm_off(void);
/** ksm_merged - pages of this process that are merged, or -1 */
long long ksm_merged(void);

/**
 * pages_written - how many of these pages PAGEMAP_SCAN takes for written
 * @pagemap: /proc/PID/pagemap; its memory is armed with UFFD_FEATURE_WP_ASYNC
 *
 * Returns -1 when the scan fails.
 */
long pages_written(int pagemap, const void *mem, size_t len);

/**
 * pages_protected - how many of these pages are protected by userfaultfd, in either way
 * @pagemap: /proc/PID/pagemap
 *
 * Needs no PAGEMAP_SCAN, which wants the asynchronous mode. Returns -1 when @pagemap
 * cannot be read.
 */
long pages_protected(int pagemap, const void *mem, size_t len);

#endif /* UFFDVRAM_SELFTESTS_UTIL_MM_H */
