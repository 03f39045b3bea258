// SPDX-License-Identifier: GPL-2.0-only
/*
 * stir: a program that calls all that the shim stands in for, and looks after its
 * data. Dynamically linked: it runs under LD_PRELOAD.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	4096UL
#define PAGES	64
#define LEN	(PAGES * PAGE)
#define ROUNDS	200

static void die(const char *what)
{
	fprintf(stderr, "stir: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void want(bool ok, const char *what)
{
	if (!ok)
		die(what);
}

static void *map(void *at, size_t len, int flags)
{
	void *mem = mmap(at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags,
			 -1, 0);

	want(mem != MAP_FAILED, "mmap");
	return mem;
}

static void fill(char *mem, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i += 64)
		mem[i] = (char)(seed + i / 64);
}

static void check(const char *mem, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i += 64)
		want(mem[i] == (char)(seed + i / 64), "the bytes have changed");
}

/* Pieces are cut out, protected, discarded, moved, grown and shrunk. */
static void mappings(unsigned int seed)
{
	char *mem = map(NULL, LEN, 0), *moved;

	fill(mem, LEN, seed);
	want(!mprotect(mem, 8 * PAGE, PROT_READ), "mprotect");
	want(!mlock(mem + 8 * PAGE, PAGE) && !munlock(mem + 8 * PAGE, PAGE), "mlock");
	check(mem, LEN, seed);
	want(!madvise(mem + 16 * PAGE, 4 * PAGE, MADV_DONTNEED), "madvise");
	want(!mem[16 * PAGE] && !mem[20 * PAGE - 1], "discarded memory is not zero");
	map(mem + 24 * PAGE, 4 * PAGE, MAP_FIXED);
	want(!mem[24 * PAGE], "new memory is not zero");
	want(!munmap(mem + 30 * PAGE, 2 * PAGE), "munmap");
	moved = mremap(mem + 32 * PAGE, 32 * PAGE, 40 * PAGE, MREMAP_MAYMOVE);
	want(moved != MAP_FAILED, "mremap");
	check(moved, 32 * PAGE, seed + 32 * PAGE / 64);
	mem = mremap(mem, 16 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, moved + 8 * PAGE);
	want(mem == moved + 8 * PAGE, "mremap, fixed");
	check(mem, 16 * PAGE, seed);
	want(mremap(moved, 40 * PAGE, 4 * PAGE, 0) == moved, "mremap, smaller");
	want(!munmap(moved, 4 * PAGE), "munmap");
	want(munmap(moved + 1, PAGE) == -1 && errno == EINVAL, "munmap of nonsense");
}

/* Numbers that the shim's own descriptor is to survive. */
static void descriptors(void)
{
	int fd = dup(2), high = 1000;

	want(fd >= 0 && dup2(fd, high) == high && dup3(fd, high + 1, O_CLOEXEC) == high + 1,
	     "dup");
	want(dup3(fd, fd, 0) == -1 && errno == EINVAL, "dup3 of nonsense");
	for (int i = high + 2; i < high + 40; i++)
		dup2(fd, i);
	want(!close_range(high - 8, high + 60, 0), "close_range");
	closefrom(fd + 1);
	want(!close(fd) && close(fd) == -1 && errno == EBADF, "close");
	want(ioctl(-1, 0) == -1 && errno == EBADF, "ioctl");
}

static pid_t make_child(int how)
{
	return how ? syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
}

/* fork and the bare system call; the child changes its own copy only. */
static void children(char *mem, unsigned int seed)
{
	int status;
	pid_t pid;

	for (int how = 0; how < 2; how++) {
		pid = make_child(how);
		want(pid >= 0, "fork");
		if (!pid) {
			check(mem, LEN, seed);
			fill(mem, LEN, seed + 1);
			mappings(seed);
			_exit(0);
		}
		want(waitpid(pid, &status, 0) == pid && !status, "the child failed");
		check(mem, LEN, seed);
	}
}

static void *worker(void *arg)
{
	for (unsigned int i = 0; i < ROUNDS; i++)
		mappings((uintptr_t)arg + i);
	return NULL;
}

int main(void)
{
	char *mem = map(NULL, LEN, 0), *heap = NULL;
	pthread_t threads[2];

	fill(mem, LEN, 7);
	for (uintptr_t i = 0; i < 2; i++)
		want(!pthread_create(&threads[i], NULL, worker, (void *)(i * 100)), "a thread");
	for (unsigned int i = 0; i < 20; i++) {
		heap = realloc(heap, (i + 1) * 5 * PAGE);
		want(heap, "realloc");
		fill(heap, (i + 1) * 5 * PAGE, i);
		check(heap, (i + 1) * 5 * PAGE, i);
		sbrk(i % 2 ? -4 * PAGE : 4 * PAGE);
		check(mem, LEN, 7);
		usleep(2000);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	descriptors();
	children(mem, 7);
	free(heap);
	check(mem, LEN, 7);
	want(!munmap(mem, LEN), "munmap");
	return 0;
}
