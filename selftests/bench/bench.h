/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * make bench: what moving pages costs, beside what others do. It runs in the test
 * VM (selftests/bench/run), and prints lines for report.awk:
 *
 *   row OP UNIT FLOOR TARGET          FLOOR: of which subject; TARGET: NUMBER, or
 *                                     FACTOR*SUBJECT
 *   insn OP SUBJECT MIN MAX ROUNDS    instructions per page, or GiB
 *   wait OP SUBJECT MIN MAX ROUNDS    how often a thread waited for a lock, per page
 *   count OP SUBJECT WHAT NUMBER      of what, per page
 *   grow OP MIB NUMBER                instructions per page, of so much memory
 */
#ifndef UFFDVRAM_BENCH_H
#define UFFDVRAM_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "../util_mm.h"

#define GIB		(1024.0 * MIB(1))

/* Who does it. A bit for each, and its name in subjects[]. */
enum {
	OURS = 1 << 0,
	FLOOR = 1 << 1,
	HMM = 1 << 2,
	LEAN = 1 << 3,
	ZRAM = 1 << 4,
	UFFD = 1 << 5,
	SCAN = 1 << 6,
	SOFT = 1 << 7,
	KVM = 1 << 8,
	SCAN_BITS = 1 << 9,
	PLAIN = 1 << 10,
};

/**
 * struct subject - one who does it; what it cannot do is NULL
 * @bit: of the enum above
 * @name: in the table
 * @module: what the module is called that it needs, or NULL
 * @file: where that is
 * @params: of the module
 * @open: get ready; the module is there
 * @close: undo
 * @adopt: memory that will be used next, until it is unmapped
 * @drop: forget it
 * @folios: how many folios of 2 MiB it has moved, in and home
 * @in: move pages out of the CPU's reach
 * @out: and back
 * @arm: have userfaultfd watch the memory, with UFFDIO_REGISTER_MODE_*; returns the
 *	descriptor
 * @install: put pages where there are none
 * @poison: make these pages poison; @there: they are populated, and that is to be replaced
 * @dirty: write to all pages, where a CPU's writes are not what is tracked
 * @rearm: track writes to these pages from now on
 * @written: how many pages were written before the last @rearm
 * @device_write: the device writes to pages (a bit for each), where they are; NULL: it
 *	takes a CPU
 * @harvest: find out which pages were written since the last time; tracks writes from now on
 * @harvested: how many @harvest found
 * @lease: the device uses these pages, all of them, for a moment; or finds out where they are
 * @convert: nobody but the device can have these pages; then everybody can again
 */
struct subject {
	unsigned int bit;
	const char *name, *module, *file, *params;
	void (*open)(size_t len);
	void (*close)(void);
	void (*adopt)(char *mem, size_t len);
	void (*drop)(void);
	size_t (*folios)(void);
	void (*in)(char *mem, size_t len);
	void (*out)(char *mem, size_t len);
	int (*arm)(char *mem, size_t len, unsigned int modes);
	void (*install)(char *mem, const char *data, size_t len);
	void (*poison)(char *mem, size_t len, bool there);
	void (*dirty)(char *mem, size_t len);
	void (*rearm)(char *mem, size_t len);
	size_t (*written)(char *mem, size_t len);
	void (*device_write)(size_t len, const uint64_t *written);
	void (*harvest)(char *mem, size_t len);
	size_t (*harvested)(size_t len);
	void (*lease)(char *mem, size_t len);
	void (*convert)(char *mem, size_t len);
};

extern const struct subject subjects[];

/* subject_harvest.c */
void ours_device_write(size_t len, const uint64_t *written);
void ours_harvest(char *mem, size_t len);
size_t ours_harvested(size_t len);
void ours_lease(char *mem, size_t len);
void scan_harvest(char *mem, size_t len);
size_t scan_harvested(size_t len);
void bits_harvest(char *mem, size_t len);
size_t bits_harvested(size_t len);
void hmm_lease(char *mem, size_t len);

/* subject_convert.c */
void ours_convert(char *mem, size_t len);
void plain_convert(char *mem, size_t len);

/* subjects.c, for those two */
extern struct uffdvram_ctx *ours_ctx;
extern struct uffdvram_range *ours_range;
extern int subject_fd;		/* the device, or the file in /proc, that is in use */
extern char *hmm_data;		/* as long as the memory */
void must(int ret, const char *what);

/* test_hmm's, as lib/test_hmm_uapi.h has it */
struct hmm_cmd {
	__u64 addr, ptr, npages, cpages, faults;
};

/* subject_kvm.c */
int kvm_arm(char *mem, size_t len, unsigned int modes);
void kvm_dirty(char *mem, size_t len);
void kvm_rearm(char *mem, size_t len);
size_t kvm_written(char *mem, size_t len);
void kvm_drop(void);

/**
 * struct round - one measurement
 * @s: of whom
 * @mem: its memory
 * @len: bytes
 * @huge: it has 2 MiB pages only, and is to keep them; else 4 KiB pages only
 * @written: of 10,000 pages, so many are written; at equal distances
 */
struct round {
	const struct subject *s;
	char *mem;
	size_t len;
	bool huge;
	unsigned int written;
};

/** struct row - one line of the table */
struct row {
	const char *op;
	const char *unit;
	void (*fn)(const struct round *r);
	size_t page;		/* PAGE, or HUGE: what maps the memory */
	unsigned int subjects;	/* whom to measure */
	const char *floor;	/* the subject that cannot be beaten */
	const char *target;
	size_t len;		/* 0: as the others */
	unsigned int written;	/* struct round */
};

/* rows.c: one function each; they call measure_begin() and measure_end() once. */
void row_migrate_in(const struct round *r);
void row_place(const struct round *r);
void row_back(const struct round *r);
void row_fault(const struct round *r);
void row_uffd_touch(const struct round *r);
void row_install(const struct round *r);
void row_rearm(const struct round *r);
void row_poison_replace(const struct round *r);
void row_poison_marker(const struct round *r);
void row_convert(const struct round *r);
void row_convert_ram(const struct round *r);
void row_pool_2threads(const struct round *r);
void row_fault_2threads(const struct round *r);
/* rows_harvest.c */
void row_harvest_device(const struct round *r);
void row_harvest_cpu(const struct round *r);
void row_rearm_vram(const struct round *r);
void row_lease(const struct round *r);

/** fill - have a page everywhere, with data */
void fill(char *mem, size_t len);

/**
 * check_in, check_home - all pages are where a move was to take them, or the end
 *
 * And mapped as the round has it: what costs as much as 4 KiB pages is no number of
 * 2 MiB pages. A peer that left pages where they were has its round again.
 */
void check_in(const struct round *r);
void check_home(const struct round *r);

/** plain_arm - a userfaultfd for plain memory */
int plain_arm(char *mem, size_t len, unsigned int modes);

/**
 * measure_begin, measure_end - around what is measured
 * @clock: whose CPU time counts
 * @ops: pages, GiB, or operations, that were done
 */
void measure_begin(clockid_t clock);
void measure_end(double ops);

/** measure_void - this round does not count: it is to be done again */
void measure_void(void);

/* counts.c: what the kernel does meanwhile, by its probes. */
#define MAX_COUNTS	16
void counts_open(void);
/** counts_watch - count all, or only (which disturbs less) who waits for a lock */
void counts_watch(bool all);
/** counts_read - the counters now; locks that @module took among them */
void counts_read(const char *module, double *count);
/** counts_name - of counter @i, or NULL: there are no more */
const char *counts_name(unsigned int i);
/** counts_waits - is counter @i one of those? */
bool counts_waits(unsigned int i);
/** counts_contended - of these counters, how often someone had to wait for a lock */
double counts_contended(const double *count);

#endif /* UFFDVRAM_BENCH_H */
