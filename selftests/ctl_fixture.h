/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of uffdvramctl share: a shell that runs it, and what it said; and a process
 * that it looks at.
 */
#ifndef UFFDVRAM_SELFTESTS_CTL_FIXTURE_H
#define UFFDVRAM_SELFTESTS_CTL_FIXTURE_H

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util_mm.h"

static char out[16384];

/* Runs a line of shell; its exit status, and in out both of its outputs. */
static inline int run(const char *fmt, ...)
{
	char line[4096];
	size_t n = 0, got;
	va_list ap;
	int status;
	FILE *f;

	n = snprintf(line, sizeof(line), "exec 2>&1; ");
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	va_end(ap);
	f = popen(line, "r");
	if (!f)
		give_up("popen");
	n = 0;
	while ((got = fread(out + n, 1, sizeof(out) - 1 - n, f)))
		n += got;
	out[n] = '\0';
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline int says(const char *text)
{
	if (strstr(out, text))
		return 1;
	fprintf(stderr, "# \"%s\" is not in:\n%s", text, out);
	return 0;
}

#define LEN	MIB(4)
#define PAGES	(LEN / PAGE)
#define SEED	3

/*
 * The target: a process that does to the first so many pages of its memory what it is told
 * to. It says 1 if that worked; of CHECK, if all of them still have their bytes.
 */
enum { CHECK, PROTECT, WRITE, DISCARD, SWAP, WRITE_LATER };
#define DO(what, n)	((uint64_t)(what) << 32 | (n))

/* Whether this directory of /proc is that of a command between two looks, asleep. */
static inline bool is_command_asleep(const char *pid)
{
	char path[300], text[128];

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	if (file_read(path, text, sizeof(text)) <= 0 || strcmp(text, "uffdvramctl\n"))
		return false;
	snprintf(path, sizeof(path), "/proc/%s/syscall", pid);
	return file_read(path, text, sizeof(text)) > 0 &&
	       (atoi(text) == SYS_clock_nanosleep || atoi(text) == SYS_nanosleep);
}

static inline bool command_sleeps(void *unused)
{
	DIR *dir = opendir("/proc");
	bool found = false;

	(void)unused;
	if (!dir)
		give_up("/proc");
	for (struct dirent *e; !found && (e = readdir(dir));)
		found = atoi(e->d_name) > 0 && is_command_asleep(e->d_name);
	closedir(dir);
	return found;
}

static inline void target_writes(char *mem, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mem[i * PAGE]++;
}

static inline uint64_t target_does(char *mem, int *uffd, uint64_t what, size_t n)
{
	switch (what) {
	case CHECK:
		return check_pages(mem, n * PAGE, SEED) == -1;
	case PROTECT:
		if (*uffd < 0) {
			*uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);
			if (uffd_register(*uffd, mem, LEN, UFFDIO_REGISTER_MODE_WP))
				return 0;
		}
		return !uffd_wp(*uffd, mem, n * PAGE, true);
	case WRITE_LATER:
		if (!wait_until(command_sleeps, NULL, 60000))
			return 0;
		target_writes(mem, n);
		return 1;
	case WRITE:
		target_writes(mem, n);
		return 1;
	case DISCARD:
		return !madvise(mem, n * PAGE, MADV_DONTNEED);
	case SWAP:
		return swap_out(mem, n);
	}
	return 0;
}

static inline int target_main(int fd, void *arg)
{
	char *mem = map_small(LEN);
	int uffd = -1;
	uint64_t word;

	(void)arg;
	fill_pages(mem, LEN, SEED);
	child_tell(fd, ADDR(mem));
	while (child_hear(fd, &word) && word != ~0ULL)
		child_tell(fd, target_does(mem, &uffd, word >> 32, (uint32_t)word));
	return 0;
}

/* Where its memory is; for the setup of a fixture. */
static inline unsigned long target_start(struct __test_metadata *_metadata, struct child *c)
{
	uint64_t addr = 0;

	knobs_calm();
	EXPECT_TRUE(uv_wait_slots(0));
	*c = child_start(target_main, NULL);
	EXPECT_TRUE(child_hear(c->fd, &addr));
	return addr;
}

#define target(what, n)	ASSERT_EQ(1, child_step(&self->target, DO(what, n)))

#endif /* UFFDVRAM_SELFTESTS_CTL_FIXTURE_H */
