// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest: PID 1 of vramvmm's guest, for the test. It goes over its memory again
 * and again: each word must be what the last pass wrote. Then it asks for a
 * reset, which ends the virtual machine.
 *
 * DATA_MIB=n and PASSES=n on the kernel's command line come as environment.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#include "pattern.h"

#define WORDS_MIB	((1UL << 20) / sizeof(uint64_t))

static void __attribute__((noreturn)) end(void)
{
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static unsigned long number(const char *name)
{
	const char *text = getenv(name);
	unsigned long n = text ? strtoul(text, NULL, 0) : 0;

	if (!n) {
		printf("FAILED %s is not set\n", name);
		end();
	}
	return n;
}

/* Returns how many words were wrong; adds up what was read. */
static unsigned long check_mib(volatile uint64_t *data, unsigned long first,
			       unsigned long pass, uint64_t *sum)
{
	unsigned long i, bad = 0;

	for (i = first; i < first + WORDS_MIB; i++) {
		uint64_t got = data[i];

		bad += got != pattern(i, pass - 1);
		*sum += got;
		data[i] = pattern(i, pass);
	}
	return bad;
}

int main(void)
{
	/* Time for pages to leave while the guest idles. */
	const struct timespec a_moment = { .tv_nsec = 10000000L };
	unsigned long words = number("DATA_MIB") * WORDS_MIB;
	unsigned long passes = number("PASSES"), pass, i, bad = 0;
	volatile uint64_t *data;

	setvbuf(stdout, NULL, _IOLBF, 0);
	data = mmap(NULL, words * sizeof(*data), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED) {
		printf("FAILED mmap: %s\n", strerror(errno));
		end();
	}
	for (i = 0; i < words; i++)
		data[i] = pattern(i, 0);
	printf("DATA words=%lu\n", words);
	for (pass = 1; pass <= passes; pass++) {
		uint64_t sum = 0;

		for (i = 0; i < words; i += WORDS_MIB) {
			bad += check_mib(data, i, pass, &sum);
			nanosleep(&a_moment, NULL);
		}
		printf("PASS %lu sum=0x%016llx bad=%lu\n", pass, (unsigned long long)sum, bad);
	}
	printf("DONE passes=%lu bad=%lu\n", passes, bad);
	end();
}
