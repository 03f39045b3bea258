/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vm.h: what the parts of the test VM's init share.
 *
 * Three serial ports, each for one thing: the kernel's console is ttyS0; what
 * tests or the command print is ttyS1; the verdict is ttyS2. So nothing that a
 * test prints, and nothing that the kernel prints, can look like a verdict.
 */
#ifndef UFFDVRAM_VM_H
#define UFFDVRAM_VM_H

#include <stdbool.h>

#define STREAM_TTY	"/dev/ttyS1"
#define VERDICT_TTY	"/dev/ttyS2"

/* Channels, open from the start of main() on. */
extern int stream_fd;
extern int verdict_fd;

/* A line to the verdict, to the stream, to the kernel's log. */
void verdict(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void stream(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void kmsg(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Write a string to a file: true when all of it went. */
bool write_file(const char *path, const char *text);

/* run.c: run a program with its output relayed to the stream. */
struct run_result {
	bool timed_out;
	bool stuck;	/* it survived SIGKILL: the machine is of no more use */
	int status;	/* as waitpid() gives it */
	double seconds;
};

void run_program(char *const argv[], int limit_s, struct run_result *res);

/* module.c */
void module_load_all(const char *dir);
bool module_load_ours(void);
bool module_unload_ours(void);

/* pools.c: what a test left behind, and in the end its verdict line. */
void pools_before(void);
void pools_after(char *test);
void pools_verdict(void);

/* scan.c: each prints its verdict lines. */
void scan_log_open(void);
void scan_log(void);
void scan_kmemleak(const char *when, int delay_s);

#endif
