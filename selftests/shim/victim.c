// SPDX-License-Identifier: GPL-2.0-only
/*
 * victim.c: a program for selftests/preload.c to run under the shim. It does to its
 * memory what the shim looks at, and finds its bytes right, or exits 1.
 *
 *	victim {exit | _exit | syscall} [heap | node]
 *
 * How it ends; and whether its heap must get into VRAM, or its mappings be the
 * device's.
 */
#include <fcntl.h>
#include <linux/uffdvram.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	4096UL
#define LEN	(64 * PAGE)
#define TRIES	20000

static void must(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "victim: %s\n", what);
	exit(1);
}

static void fill(unsigned long *p, size_t len)
{
	for (size_t i = 0; i < len / sizeof(*p); i++)
		p[i] = i * 0x9e3779b97f4a7c15;
}

static int is_filled(const unsigned long *p, size_t len)
{
	for (size_t i = 0; i < len / sizeof(*p); i++)
		if (p[i] != i * 0x9e3779b97f4a7c15)
			return 0;
	return 1;
}

static void *map(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED, "mmap");
	return p;
}

/* Every call moves pages first, where the shim is told so. */
static void calls_on(void *p)
{
	must(!madvise(p, LEN, MADV_NOHUGEPAGE), "madvise");
	must(is_filled(p, LEN), "bytes after madvise");
	must(!mprotect(p, LEN, PROT_READ), "mprotect");
	must(is_filled(p, LEN), "bytes after mprotect");
	must(!mprotect(p, LEN, PROT_READ | PROT_WRITE), "mprotect back");
	must(!mlock(p, PAGE) && !munlock(p, PAGE), "mlock");
	must(is_filled(p, LEN), "bytes after mlock");
}

/* In place, elsewhere, to a place of the caller's choice; and pieces go. */
static void *move_about(void *p)
{
	char *to = map(3 * LEN);

	must(mremap(p, LEN, 2 * LEN, 0) == MAP_FAILED || is_filled(p, LEN), "growing");
	p = mremap(p, LEN, 2 * LEN, MREMAP_MAYMOVE);
	must(p != MAP_FAILED && is_filled(p, LEN), "mremap");
	must(mremap(p, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to + LEN) == to + LEN, "fixed");
	must(is_filled((void *)(to + LEN), LEN), "bytes after mremap");
	must(!munmap((char *)p + LEN, LEN) && !munmap(to, LEN), "munmap");
	must(!munmap(to + 2 * LEN, PAGE) && !munmap(to + 2 * LEN + 2 * PAGE, PAGE), "holes");
	must(is_filled((void *)(to + LEN), LEN), "bytes after munmap");
	return to + LEN;
}

static void descriptors(void)
{
	int fd = open("/dev/null", O_RDWR);

	must(fd >= 0 && dup2(fd, 50) == 50 && dup3(fd, 51, O_CLOEXEC) == 51, "dup");
	must(dup3(fd, 52, -1) == -1, "dup3 with bits that do not exist");
	must(!close(50) && close(50) == -1, "close");
	must(!close_range(51, 60, 0), "close_range");
	closefrom(40);
	must(!syscall(SYS_close_range, 40, ~0U, 0), "close_range by number");
	must(fcntl(40, F_GETFD) == -1, "closefrom");
}

static void by_number(void)
{
	long p = syscall(SYS_mmap, 0, LEN, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != -1, "mmap by number");
	fill((void *)p, LEN);
	must(!syscall(SYS_madvise, p, LEN, MADV_NOHUGEPAGE), "madvise by number");
	must(!syscall(SYS_mprotect, p, LEN, PROT_READ), "mprotect by number");
	p = syscall(SYS_mremap, p, LEN, 2 * LEN, MREMAP_MAYMOVE, 0);
	must(p != -1 && is_filled((void *)p, LEN), "mremap by number");
	must(!syscall(SYS_munmap, p, 2 * LEN), "munmap by number");
	must(syscall(SYS_dup3, 1, 50, 0) == 50 && syscall(SYS_dup2, 50, 51) == 51, "dup by number");
	must(!syscall(SYS_close, 50) && !syscall(SYS_close, 51), "close by number");
}

static void must_end(pid_t pid, const char *what)
{
	int status;

	must(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, what);
}

/* The child has the bytes, and memory of its own. */
static void child(void *p)
{
	must(is_filled(p, LEN), "bytes in a child");
	calls_on(p);
	memset(p, 0, LEN);
	must(!munmap(p, LEN), "munmap in a child");
	_exit(0);
}

static void processes(void *p)
{
	pid_t pid = fork();

	if (!pid)
		child(p);
	must_end(pid, "fork");
	must(is_filled(p, LEN), "bytes after fork");
	pid = syscall(SYS_fork);
	if (!pid)
		child(p);
	must_end(pid, "fork by number");
	pid = vfork();
	if (!pid)
		_Exit(0);
	must_end(pid, "vfork");
	must(is_filled(p, LEN), "bytes after the children");
}

/* As anybody's context of this address space says. */
static unsigned long in_vram(void *p)
{
	struct uffdvram_query q = { .size = sizeof(q), .addr = (unsigned long)p, .len = LEN };
	int fd = open(UFFDVRAM_DEVICE, O_RDWR | O_CLOEXEC);

	must(fd >= 0 && !ioctl(fd, UFFDVRAM_QUERY, &q) && !close(fd), "QUERY");
	return q.count[UFFDVRAM_STATE_VRAM];
}

static void heap(void)
{
	int tries = 0;
	char *end = sbrk(LEN + PAGE);
	char *p = (char *)(((unsigned long)end + PAGE - 1) & -PAGE);

	must(end != (void *)-1, "sbrk");
	fill((void *)p, LEN);
	while (!in_vram(p) && tries++ < TRIES)
		must(!madvise(p, LEN, MADV_NOHUGEPAGE), "madvise of the heap");
	must(tries < TRIES, "nothing of the heap is ever in VRAM");
	calls_on(p);
	must(is_filled((void *)p, LEN) && sbrk(-(long)(LEN + PAGE)) != (void *)-1, "the heap");
}

static void must_be_node(void *p)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512];
	int found = 0;

	must(!!f, "/proc/self/maps");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start <= (unsigned long)p &&
		    (unsigned long)p < end)
			found = !!strstr(line, "anon_inode:[uffdvram]");
	fclose(f);
	must(found, "a mapping that is not the device's");
}

int main(int argc, char **argv)
{
	void *p = map(LEN);

	fill(p, LEN);
	calls_on(p);
	p = move_about(p);
	by_number();
	processes(p);
	descriptors();
	if (argc > 2 && !strcmp(argv[2], "heap"))
		heap();
	if (argc > 2 && !strcmp(argv[2], "node"))
		must_be_node(p);
	must(is_filled(p, LEN), "bytes at the end");
	if (argc > 1 && !strcmp(argv[1], "_exit"))
		_exit(0);
	if (argc > 1 && !strcmp(argv[1], "syscall"))
		syscall(SYS_exit_group, 0);
	return 0;
}
