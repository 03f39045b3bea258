/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shim.h: what the parts of libuffdvram-preload share.
 *
 * hooks (what the program calls) > main (start, fork, end) > chaos (the thread)
 * > table (which memory is registered), report > device (the ioctls) > raw.h
 */
#ifndef UFFDVRAM_PRELOAD_SHIM_H
#define UFFDVRAM_PRELOAD_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE	4096UL
#define EXPORT	__attribute__((visibility("default")))

enum shim_mode { SHIM_OFF, SHIM_PLAIN, SHIM_CHAOS, SHIM_NODE };

/* What is counted, and told at the end. */
struct shim_counts {
	uint64_t migrations;	/* pages that moved to VRAM */
	uint64_t fault_backs;	/* pages that faults brought home */
	uint64_t ranges;	/* mappings that were registered */
	uint64_t refused;	/* mappings that could not be */
};

struct shim {
	enum shim_mode mode;
	enum shim_mode mode_wanted;
	int pid;		/* whose address space all this is about */
	int fd;			/* context, at a high number */
	bool events;		/* the module tells of faults */
	uint32_t pool;
	uint64_t pool_bytes;	/* attach one of our own */
	bool heap;		/* the brk heap, too */
	bool follow;		/* children of fork, too */
	unsigned int pause_us;	/* between two steps of the thread */
	unsigned int stir;	/* calls of a hundred that move pages first */
	unsigned int step;	/* pages that a step moves at most */
	const char *report;	/* a file instead of stderr */
	int64_t report_at;	/* where our line is in it, or -1 */
	uint64_t reported;	/* migrations and fault-backs that the line tells of */
	struct shim_counts n;
};

extern struct shim shim;

/* device.c: 0 or -errno; shim.fd is the context. */
int device_open(void);
void device_close(void);
int device_register(uint64_t start, uint64_t end, uint32_t *range);
void device_unregister(uint32_t range);
uint64_t device_migrate(uint64_t start, uint64_t end);
struct uffdvram_region;
unsigned int device_query(uint64_t start, uint64_t end, struct uffdvram_region *vec,
			  unsigned int n);
uint64_t device_fault_backs(void);

/* report.c */
void report_begin(void);
void report_update(void);
void report_end(void);

/* table.c: the caller holds the lock. */
struct table_entry {
	uint64_t start, end;
	uint32_t range;
};

void table_add(uint64_t start, uint64_t end);
void table_cut(uint64_t start, uint64_t end);
bool table_overlaps(uint64_t start, uint64_t end);
const struct table_entry *table_nth(unsigned int n);
unsigned int table_size(void);
void table_register_anew(void);

/* chaos.c */
void chaos_start(void);
/* Maybe moves pages of [start, end) if there is a range, else any; no lock held. */
void chaos_stir(uint64_t start, uint64_t end);

/* main.c */
struct shim_guard {
	uint64_t sigmask;
};

/* False: not ours to handle (off, or another process): call the kernel only. */
bool shim_enter(struct shim_guard *g);
void shim_leave(const struct shim_guard *g);
/* The thread's way in; it has all signals blocked. */
bool shim_lock(void);
void shim_unlock(void);
void shim_report(void);
/* Around the making of a process that gets a copy of the address space. */
void shim_fork_prepare(void);
void shim_fork_parent(void);
void shim_fork_child(void);
/* Brings the heap's ranges up to date; lock held. */
void shim_follow_heap(void);

#endif /* UFFDVRAM_PRELOAD_SHIM_H */
