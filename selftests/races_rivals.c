// SPDX-License-Identifier: GPL-2.0-only
/* What the kernel does to memory, as rivals of our calls: see races.h. */
#include "races.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void faults(struct field *f)
{
	for (size_t i = 0; i < f->len; i += PAGE) {
		volatile char *p = f->mem + i;

		*p = *p;
	}
}

static int looks(int fd, void *arg)
{
	struct field *f = arg;

	(void)fd;
	return check_pages(f->mem, f->len, f->seed) != -1;
}

static void forks(struct field *f)
{
	wrong(f, run_child(looks, f), "the child's memory");
}

static int becomes_true(int fd, void *arg)
{
	char *argv[] = { "true", NULL };

	(void)fd;
	(void)arg;
	execv("/bin/true", argv);
	return 1;
}

static void execs(struct field *f)
{
	wrong(f, run_child(becomes_true, f), "exec");
}

static void unmaps(struct field *f)
{
	wrong(f, munmap(f->mem, f->len), "munmap");
	wrong(f, mmap(f->mem, f->len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != f->mem, "mmap");
}

static void remaps(struct field *f)
{
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	wrong(f, mremap(f->mem, f->len, f->len, flags, f->elsewhere) != f->elsewhere, "mremap");
	wrong(f, mremap(f->elsewhere, f->len, f->len, flags, f->mem) != f->mem, "mremap back");
}

static void protects(struct field *f)
{
	wrong(f, mprotect(f->mem, f->len, PROT_NONE), "mprotect");
	wrong(f, mprotect(f->mem + PAGE, f->len - 2 * PAGE, PROT_READ), "mprotect of a part");
	wrong(f, mprotect(f->mem, f->len, PROT_READ | PROT_WRITE), "mprotect back");
}

static void dontneed(struct field *f)
{
	wrong(f, madvise(f->mem, f->len, MADV_DONTNEED), "MADV_DONTNEED");
}

static void frees(struct field *f)
{
	wrong(f, madvise(f->mem, f->len, MADV_FREE), "MADV_FREE");
}

/* May fail: there must be 2 MiB of memory, and pages in VRAM are in the way. */
static void collapse(struct field *f)
{
	wrong(f, madvise(f->mem, f->len, MADV_COLLAPSE) && errno == EFAULT, "MADV_COLLAPSE");
}

static void huge_or_not(struct field *f)
{
	wrong(f, madvise(f->mem, f->len, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
	wrong(f, madvise(f->mem, f->len, MADV_HUGEPAGE), "MADV_HUGEPAGE");
}

static bool khugepaged_begin(struct field *f)
{
	return khugepaged_on() && !madvise(f->mem, f->len, MADV_HUGEPAGE);
}

static void khugepaged_end(struct field *f)
{
	khugepaged_off();
	madvise(f->mem, f->len, MADV_NOHUGEPAGE);
}

/* A hole here and there, for it to work on. */
static void khugepaged(struct field *f)
{
	wrong(f, madvise(f->mem + f->len / 2, PAGE, MADV_DONTNEED), "MADV_DONTNEED");
	sleep_ms(2);
}

static bool swap_begin(struct field *f)
{
	(void)f;
	return swap_on();
}

static void swap_end(struct field *f)
{
	(void)f;
	swap_off();
}

static void pageout(struct field *f)
{
	wrong(f, madvise(f->mem, f->len, MADV_PAGEOUT), "MADV_PAGEOUT");
}

static bool ksm_begin(struct field *f)
{
	(void)f;
	return ksm_on();
}

static void ksm_end(struct field *f)
{
	madvise(f->mem, f->len, MADV_UNMERGEABLE);
	ksm_off();
}

static void merges(struct field *f)
{
	wrong(f, madvise(f->mem, f->len, MADV_MERGEABLE), "MADV_MERGEABLE");
	sleep_ms(1);
	wrong(f, madvise(f->mem, f->len, MADV_UNMERGEABLE), "MADV_UNMERGEABLE");
}

static void binds(struct field *f)
{
	unsigned long node = 1;

	wrong(f, syscall(SYS_mbind, f->mem, f->len, MPOL_BIND, &node, 2, MPOL_MF_MOVE) &&
		 errno != EIO, "mbind");
}

static void compacts(struct field *f)
{
	wrong(f, file_write("/proc/sys/vm/compact_memory", "1"), "compact_memory");
}

/* The same bytes there and back. */
static void process_vm(struct field *f)
{
	struct iovec here = { f->buf, f->len }, there = { f->mem, f->len };
	long n = process_vm_readv(getpid(), &here, 1, &there, 1, 0);

	wrong(f, n != (long)f->len, "process_vm_readv");
	wrong(f, check_pages_as(f->buf, f->len, f->mem, f->seed) != -1, "what it read");
	n = process_vm_writev(getpid(), &here, 1, &there, 1, 0);
	wrong(f, n != (long)f->len, "process_vm_writev");
}

static bool proc_mem_begin(struct field *f)
{
	f->fds[0] = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	return f->fds[0] >= 0;
}

static void close_fds(struct field *f)
{
	for (int i = 0; i < 2; i++) {
		if (f->fds[i] >= 0)
			close(f->fds[i]);
		f->fds[i] = -1;
	}
}

static void proc_mem(struct field *f)
{
	off_t at = (uintptr_t)f->mem;

	wrong(f, pread(f->fds[0], f->buf, f->len, at) != (ssize_t)f->len, "read of /proc/PID/mem");
	wrong(f, check_pages_as(f->buf, f->len, f->mem, f->seed) != -1, "what it read");
	wrong(f, pwrite(f->fds[0], f->buf, f->len, at) != (ssize_t)f->len,
	      "write of /proc/PID/mem");
}

/* A child reads a word of each page of ours, and compares with its own. */
static int reads_parent(int fd, void *arg)
{
	struct field *f = arg;

	(void)fd;
	for (size_t i = 0; i < f->len; i += PAGE) {
		struct iovec here = { f->buf, 64 }, there = { f->mem + i, 64 };

		if (process_vm_readv(getppid(), &here, 1, &there, 1, 0) != 64 ||
		    memcmp(f->buf, f->mem + i, 64))
			return 1;
	}
	return 0;
}

static void traces(struct field *f)
{
	wrong(f, run_child(reads_parent, f), "what another process saw");
}

/* A block device that takes the pages themselves. */
static int direct_nr;

static bool direct_begin(struct field *f)
{
	char path[32];

	direct_nr = zram_new("8M");
	if (direct_nr < 0)
		return false;
	zram_path(direct_nr, path, sizeof(path));
	f->fds[0] = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	return f->fds[0] >= 0;
}

static void direct_end(struct field *f)
{
	close_fds(f);
	zram_drop(direct_nr);
}

static void direct(struct field *f)
{
	wrong(f, pwrite(f->fds[0], f->mem, f->len, 0) != (ssize_t)f->len, "O_DIRECT write");
	wrong(f, pread(f->fds[0], f->mem, f->len, 0) != (ssize_t)f->len, "O_DIRECT read");
	wrong(f, check_pages(f->mem, f->len, f->seed) != -1, "what it read");
}

static bool fixed_begin(struct field *f)
{
	struct io_uring_params params = { 0 };

	f->fds[0] = syscall(SYS_io_uring_setup, 1, &params);
	return f->fds[0] >= 0;
}

static void fixed(struct field *f)
{
	struct iovec iov = { f->mem, f->len };

	wrong(f, syscall(SYS_io_uring_register, f->fds[0], IORING_REGISTER_BUFFERS, &iov, 1),
	      "registering a fixed buffer");
	wrong(f, check_pages(f->mem, f->len, f->seed) != -1, "a fixed buffer");
	wrong(f, syscall(SYS_io_uring_register, f->fds[0], IORING_UNREGISTER_BUFFERS, NULL, 0),
	      "unregistering a fixed buffer");
}

static bool pipe_begin(struct field *f)
{
	return !pipe2(f->fds, O_CLOEXEC);
}

static void splices(struct field *f)
{
	struct iovec iov = { f->mem, 8 * PAGE };
	long n = vmsplice(f->fds[1], &iov, 1, 0);

	wrong(f, n != 8 * PAGE, "vmsplice");
	wrong(f, n > 0 && read(f->fds[0], f->buf, n) != n, "reading the pipe");
	wrong(f, n > 0 && check_pages_as(f->buf, n, f->mem, f->seed) != -1, "what it spliced");
}

const struct rival rivals[] = {
	{ "CPU faults", NULL, faults, NULL, KEPT, false },
	{ "fork", NULL, forks, NULL, KEPT, false },
	{ "exec", NULL, execs, NULL, KEPT, false },
	{ "munmap", NULL, unmaps, NULL, ZEROED, false },
	{ "mremap", NULL, remaps, NULL, KEPT, false },
	{ "mprotect", NULL, protects, NULL, KEPT, false },
	{ "MADV_DONTNEED", NULL, dontneed, NULL, ZEROED, false },
	{ "MADV_FREE", NULL, frees, NULL, ZEROED, false },
	{ "MADV_COLLAPSE", NULL, collapse, NULL, KEPT, true },
	{ "MADV_(NO)HUGEPAGE", NULL, huge_or_not, NULL, KEPT, true },
	{ "khugepaged", khugepaged_begin, khugepaged, khugepaged_end, ZEROED, true },
	{ "MADV_PAGEOUT", swap_begin, pageout, swap_end, KEPT, false },
	{ "MADV_MERGEABLE", ksm_begin, merges, ksm_end, KEPT, false },
	{ "mbind", NULL, binds, NULL, KEPT, false },
	{ "compaction", NULL, compacts, NULL, KEPT, false },
	{ "process_vm", NULL, process_vm, NULL, KEPT, false },
	{ "/proc/PID/mem", proc_mem_begin, proc_mem, close_fds, KEPT, false },
	{ "another process", NULL, traces, NULL, KEPT, false },
	{ "O_DIRECT", direct_begin, direct, direct_end, KEPT, false },
	{ "fixed buffers", fixed_begin, fixed, close_fds, KEPT, false },
	{ "vmsplice", pipe_begin, splices, close_fds, KEPT, false },
};
const unsigned int n_rivals = sizeof(rivals) / sizeof(rivals[0]);
