// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest: the whole user space of the demo's virtual machine.
 *
 * It is PID 1 of a stock kernel and knows nothing of uffdvram. It fills most
 * of its memory with a pattern, then goes over it again and again: each word
 * is compared with what the last pass wrote, then rewritten for the next one.
 * Every access starts with a check, so a byte that changed meanwhile is found
 * whenever it changed.
 *
 * The reports on the serial line, one a line:
 *
 *	DATA bytes=N
 *	PASS n bytes=N errors=N sum=X gpa=X
 *	BAD pass=n addr=X gpa=X expected=X got=X
 *
 * "gpa" in PASS is where one page of the data, another in each pass, lives in
 * the guest's physical memory: whoever wants to break the data from outside
 * knows where to aim.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DATA_BYTES	(128ULL << 20)
#define PAGE_BYTES	4096ULL
#define WORDS		(DATA_BYTES / sizeof(uint64_t))
#define WORDS_MIB	((1ULL << 20) / sizeof(uint64_t))
#define COMPLAINTS_MAX	8	/* per pass: the serial line is slow */
#define PAUSE_NS	10000000L

static int pagemap_fd = -1;

static void die(const char *what)
{
	printf("FAILED %s: %s\n", what, strerror(errno));
	fflush(stdout);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

/* What pass @pass leaves in word @i: no two words or passes are alike. */
static inline uint64_t pattern(uint64_t i, uint64_t pass)
{
	uint64_t x = i * 0x9e3779b97f4a7c15ULL + pass * 0xd1b54a32d192ed03ULL;

	return x ^ x >> 29;
}

static uint64_t physical(const volatile void *p)
{
	uint64_t addr = (uintptr_t)p, entry;
	off_t at = addr / PAGE_BYTES * sizeof(entry);

	if (pread(pagemap_fd, &entry, sizeof(entry), at) != sizeof(entry))
		die("/proc/self/pagemap");
	if (!(entry >> 63))
		return 0;
	return (entry & ((1ULL << 55) - 1)) * PAGE_BYTES + addr % PAGE_BYTES;
}

static void complain(const volatile uint64_t *p, uint64_t pass, uint64_t expected,
		     uint64_t got)
{
	printf("BAD pass=%llu addr=0x%llx gpa=0x%llx expected=0x%016llx got=0x%016llx\n",
	       (unsigned long long)pass, (unsigned long long)(uintptr_t)p,
	       (unsigned long long)physical(p), (unsigned long long)expected,
	       (unsigned long long)got);
}

/*
 * One pass over [first, first + WORDS_MIB): returns the words that were wrong
 * and adds up what was read and what was written.
 */
static uint64_t check_mib(volatile uint64_t *data, uint64_t first, uint64_t pass,
			  uint64_t *complaints, uint64_t sum[2])
{
	uint64_t i, bad = 0;

	for (i = first; i < first + WORDS_MIB; i++) {
		uint64_t got = data[i], expected = pattern(i, pass - 1);
		uint64_t next = pattern(i, pass);

		if (got != expected) {
			bad++;
			if ((*complaints)++ < COMPLAINTS_MAX)
				complain(&data[i], pass, expected, got);
		}
		sum[0] += got;
		sum[1] += next;
		data[i] = next;
	}
	return bad;
}

static void prepare(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	mkdir("/proc", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL))
		die("mount /proc");
	pagemap_fd = open("/proc/self/pagemap", O_RDONLY);
	if (pagemap_fd < 0)
		die("/proc/self/pagemap");
}

int main(void)
{
	const struct timespec a_moment = { .tv_nsec = PAUSE_NS };
	uint64_t i, pass, written = 0, errors = 0, bytes = 0;
	volatile uint64_t *data;

	prepare();
	data = mmap(NULL, DATA_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		die("mmap");
	for (i = 0; i < WORDS; i++) {
		data[i] = pattern(i, 0);
		written += data[i];
	}
	printf("DATA bytes=%llu\n", DATA_BYTES);

	for (pass = 1; ; pass++) {
		uint64_t sum[2] = { 0, 0 }, complaints = 0;

		for (i = 0; i < WORDS; i += WORDS_MIB) {
			errors += check_mib(data, i, pass, &complaints, sum);
			/* A guest that never idles would leave a host of few CPUs no air. */
			nanosleep(&a_moment, NULL);
		}
		if (sum[0] != written && !complaints) {
			errors++;
			printf("BAD pass=%llu: the words are right, their sum is not\n",
			       (unsigned long long)pass);
		}
		written = sum[1];
		bytes += DATA_BYTES;
		printf("PASS %llu bytes=%llu errors=%llu sum=0x%016llx gpa=0x%llx\n",
		       (unsigned long long)pass, (unsigned long long)bytes,
		       (unsigned long long)errors, (unsigned long long)sum[0],
		       (unsigned long long)physical(data + pass * 7919 %
			(DATA_BYTES / PAGE_BYTES) * (PAGE_BYTES / sizeof(*data))));
	}
}
