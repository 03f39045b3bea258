// SPDX-License-Identifier: GPL-2.0-only
/*
 * lost: PID 1 of a guest that loses a page, for tests. It says which page of its
 * memory that is to be, at which address of the guest's, and reads it again and again.
 * When that gives a SIGBUS, it says what it was told, looks at all its other pages,
 * takes a new page in place of the lost one, and asks for a reset.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#include "pattern.h"

#define PAGE		4096UL
#define PAGES		256UL
#define PAGE_WORDS	512UL
#define WORDS		(PAGES * PAGE_WORDS)
#define VICTIM		77UL
#define PFN_MASK	((1ULL << 55) - 1)

static volatile uint64_t *data;
static sigjmp_buf back;
static siginfo_t told;

static void __attribute__((noreturn)) end(void)
{
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void __attribute__((noreturn)) failed(const char *what)
{
	printf("FAILED %s: %s\n", what, strerror(errno));
	end();
}

static uint64_t guest_address(const volatile void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	if (fd < 0 || pread(fd, &entry, 8, (uintptr_t)p / PAGE * 8) != 8 || !(entry & PFN_MASK))
		failed("/proc/self/pagemap");
	close(fd);
	return (entry & PFN_MASK) * PAGE;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	told = *info;
	siglongjmp(back, 1);
}

static volatile uint64_t *page(unsigned long n)
{
	return data + n * PAGE_WORDS;
}

/* Words that are not as pass @pass left them; each becomes what the next one leaves. */
static unsigned long go_over(unsigned long first, unsigned long last, uint64_t pass)
{
	unsigned long i, bad = 0;

	for (i = first * PAGE_WORDS; i < last * PAGE_WORDS; i++) {
		bad += data[i] != pattern(i, pass);
		data[i] = pattern(i, pass + 1);
	}
	return bad;
}

/* Returns when it is lost. */
static void read_until_lost(void)
{
	const struct timespec a_moment = { .tv_nsec = 100000000L };
	const struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &action, NULL);
	if (sigsetjmp(back, 1))
		return;
	while (page(VICTIM)[3] == pattern(VICTIM * PAGE_WORDS + 3, 0))
		nanosleep(&a_moment, NULL);
	printf("FAILED the page has other bytes\n");
	end();
}

static void say_corrupted(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "HardwareCorrupted:", 18))
			printf("%s", line);
	if (f)
		fclose(f);
}

int main(void)
{
	unsigned long i, bad;
	void *fresh;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (mount("proc", "/proc", "proc", 0, NULL))
		failed("/proc");
	data = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		failed("mmap");
	for (i = 0; i < WORDS; i++)
		data[i] = pattern(i, 0);
	printf("LOSE 0x%llx\n", (unsigned long long)guest_address(page(VICTIM)));
	read_until_lost();
	printf("SIGBUS code=%d offset=%ld lsb=%d\n", told.si_code,
	       (long)((char *)told.si_addr - (char *)page(VICTIM)), told.si_addr_lsb);
	bad = go_over(0, VICTIM, 0) + go_over(VICTIM + 1, PAGES, 0);
	fresh = mmap((void *)page(VICTIM), PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (fresh == MAP_FAILED)
		failed("another page");
	for (i = 0; i < PAGE_WORDS; i++) {
		bad += page(VICTIM)[i] != 0;
		page(VICTIM)[i] = pattern(VICTIM * PAGE_WORDS + i, 1);
	}
	bad += go_over(0, PAGES, 1);
	say_corrupted();
	printf("LIVES pages=%lu bad=%lu\n", PAGES, bad);
	end();
}
