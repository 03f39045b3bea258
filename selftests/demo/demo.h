/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * demo.h: the parts of the demo's driver, which runs as root inside the test
 * VM. Whatever goes wrong ends the driver with one clear line: see demo_fail().
 */
#ifndef UFFDVRAM_DEMO_H
#define UFFDVRAM_DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define PAGE_BYTES	((uint64_t)4096)
#define MIB(n)		((uint64_t)(n) << 20)

/* Exit statuses of the driver. */
enum {
	DEMO_OK = 0,
	DEMO_FAILED = 1,	/* a condition of the demo is not met */
	DEMO_COMPLAINT = 3,	/* BREAK=flip: broken, and the guest saw it */
	DEMO_UNSEEN = 4,	/* BREAK=flip: broken, and the guest did not see it */
};

struct vm;

/* say.c: what a person reads */

/* say - one line, with the seconds since the start in front */
__attribute__((format(printf, 1, 2))) void say(const char *fmt, ...);
/* say_more - a line that belongs to the last one */
__attribute__((format(printf, 1, 2))) void say_more(const char *fmt, ...);
/* demo_fail - say why, end the guest, exit with @status */
__attribute__((noreturn, format(printf, 2, 3)))
void demo_fail(int status, const char *fmt, ...);
/* step - from now on, @limit seconds for what @what names, or the demo fails */
void step(unsigned int limit, const char *what);
/* step_check - fail, with what the guest and the module say, if they are over */
void step_check(const struct vm *vm);
/* commas - 1234567 as "1,234,567"; good for the next seven calls */
const char *commas(uint64_t n);
double seconds(void);

/* vm.c: the virtual machine under demonstration, stock QEMU and its guest */

struct complaint {
	uint64_t count;		/* lines seen */
	uint64_t gpa;		/* of the first */
	uint64_t expected;
	uint64_t got;
};

struct vm {
	char *const *argv;
	unsigned int boots;
	pid_t pid;
	int serial;
	size_t len;
	char line[512];
	uint64_t ram;		/* where QEMU's process has the guest's RAM */
	uint64_t ram_bytes;
	uint64_t data;		/* bytes that the guest goes over */
	uint64_t pass;		/* the rest: of its last report */
	uint64_t bytes;
	uint64_t errors;
	uint64_t gpa;
	struct complaint bad;
};

/*
 * vm_start - run @argv, whose standard output is the guest's serial line. A guest that
 * resets itself while it boots, when nobody has attached to it yet, is started again, and
 * that is said: emulated guests of guests do so now and then on a busy machine.
 */
void vm_start(struct vm *vm, char *const argv[]);
/* vm_kill - for demo_fail(): end it, if it runs */
void vm_kill(void);
/* vm_find_ram - look up the one anonymous mapping of @bytes in its process */
void vm_find_ram(struct vm *vm, uint64_t bytes);
/* vm_wait_data - until the guest has filled its memory */
void vm_wait_data(struct vm *vm);
/*
 * vm_wait_whole_pass - until the guest has begun and finished a pass after
 * this call; with @stop_at_complaint, or until it complains.
 */
void vm_wait_whole_pass(struct vm *vm, bool stop_at_complaint);
/* vm_drain - take in what the guest has said up to now */
void vm_drain(struct vm *vm);

/* host.c: what the host knows, and does */

struct stats {
	uint64_t pages_in;
	uint64_t pages_out;
	uint64_t faults;
	uint64_t fault_pages;
	uint64_t fault_retries;
	uint64_t fault_errors;
	uint64_t kvm_faults;	/* taken by KVM for the guest's memory */
};

/* stats_read - the module's counters, and KVM's for the process @pid */
void stats_read(struct stats *s, pid_t pid);
struct pool {
	unsigned int number;
	uint64_t bytes;
};

/* pool_find - the shared pool; fails if it has less than @bytes */
void pool_find(struct pool *pool, uint64_t bytes);
/*
 * flip_byte - flip one bit of the byte at @addr of @pid's memory where it lies
 * in the pool; returns false if that page is not in VRAM, or left it meanwhile.
 */
bool flip_byte(pid_t pid, uint64_t addr, const struct pool *pool);

/* ctl.c: uffdvramctl in batch mode, kept running: its ranges end with it */

struct ctl {
	pid_t pid;
	FILE *to;
	FILE *from;
};

/* Pages by where they live. */
#define BAR_COLS	64

struct residency {
	uint64_t vram;
	uint64_t ram;
	uint64_t other;
	uint64_t poison;
	char bar[BAR_COLS + 1];
};

void ctl_start(struct ctl *ctl, const char *program, pid_t pid);
void ctl_stop(struct ctl *ctl);
/* ctl_add - register memory of this kind, which must be the guest's RAM */
void ctl_add(struct ctl *ctl, const char *what, const struct vm *vm,
	     const struct pool *pool);
struct move {
	uint64_t moved;		/* pages */
	char stayed[128];	/* the others and why, in words: "" if there are none */
};

/* ctl_move - to VRAM ("in") or home ("out") */
void ctl_move(struct ctl *ctl, const char *where, struct move *move);
/* ctl_map - where the pages live */
void ctl_map(struct ctl *ctl, struct residency *res);

#endif
