/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that reads and writes words of its memory, as it is told; KVM keeps a log of
 * what it wrote.
 */
#ifndef UFFDVRAM_SELFTESTS_VCPU_TOUCH_H
#define UFFDVRAM_SELFTESTS_VCPU_TOUCH_H

#include <stdbool.h>
#include "vcpu.h"

#define TOUCH_MAX	1000	/* words at once */

struct touch {
	struct vcpu vcpu;
	int slot;
	char *mem;
	size_t len;
	uint32_t *list;		/* how many words, and which: addresses, bit 0: write */
	char *code;
};

/** touch_new - a guest with this memory, or -errno: there is no KVM */
int touch_new(struct touch *t, char *mem, size_t len);
void touch_free(struct touch *t);
/** touch_word - the guest is going to read the word at @off, or to add one to it */
void touch_word(struct touch *t, size_t off, bool write);
/** touch_run - it does all of that; 0 or -errno */
int touch_run(struct touch *t);

#endif /* UFFDVRAM_SELFTESTS_VCPU_TOUCH_H */
