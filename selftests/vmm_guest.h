/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vmm_guest: what vmm/guest.c, PID 1 of a guest, says on its serial line.
 */
#ifndef UFFDVRAM_SELFTESTS_VMM_GUEST_H
#define UFFDVRAM_SELFTESTS_VMM_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define GUEST_DATA_MIB		16
#define GUEST_WORDS		\
	(GUEST_DATA_MIB * (1UL << 20) / sizeof(unsigned long long))
#define GUEST_STR_(x)		#x
#define GUEST_STR(x)		GUEST_STR_(x)
/* The kernel's command line, less the number of passes. */
#define GUEST_APPEND		"console=ttyS0 quiet panic=-1 reboot=k DATA_MIB=" \
				GUEST_STR(GUEST_DATA_MIB) " PASSES="

/*
 * A guest in an emulated machine resets itself now and then (about one boot in a hundred,
 * on a busy host): KVM injects an interrupt, and that ends in a triple fault. So it does
 * under stock QEMU, when none of its pages has ever been in VRAM.
 */
#define VRAMVMM_CRASHED		3	/* the status that vramvmm exits with then */

/** guest_again - whether to boot a guest that reset itself once more; if so, says it */
bool guest_again(unsigned int *boots);

/**
 * struct guest_said - its lines up to now
 * @words: of its data; 0: it has not come so far
 * @passes: that it has finished
 * @right_sums: those whose sum is what it must be
 * @bad: words that were wrong, at the end
 * @done: it has come to its end
 * @panic: its kernel has given up
 */
struct guest_said {
	unsigned long long words, done_passes, bad;
	unsigned int passes, right_sums;
	bool done, panic;
};

void guest_line(struct guest_said *g, const char *line);
/** guest_was_right - it has done so many passes, and each of them was right */
bool guest_was_right(const struct guest_said *g, unsigned int passes);

/** guest_memory - where a VMM has its guest's: its one mapping of that size; NULL: none */
char *guest_memory(pid_t vmm, size_t len);

#endif
