// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmm_guest: what a guest says, and whether it is right; where its memory is.
 */
#include <stdio.h>
#include <string.h>
#include "vmm/pattern.h"
#include "vmm_guest.h"

/* What a pass reads is what the one before it wrote. */
static uint64_t sum_of_pass(uint64_t pass)
{
	uint64_t sum = 0, i;

	for (i = 0; i < GUEST_WORDS; i++)
		sum += pattern(i, pass - 1);
	return sum;
}

#define GUEST_BOOTS	3

bool guest_again(unsigned int *boots)
{
	if (++*boots == GUEST_BOOTS)
		return false;
	fprintf(stderr, "# the guest reset itself: once more\n");
	return true;
}

void guest_line(struct guest_said *g, const char *line)
{
	unsigned long long pass, sum;

	if (sscanf(line, "PASS %llu sum=0x%llx", &pass, &sum) == 2) {
		g->passes++;
		g->right_sums += pass == g->passes && sum == sum_of_pass(pass);
	} else if (sscanf(line, "DONE passes=%llu bad=%llu", &g->done_passes, &g->bad) == 2) {
		g->done = true;
	} else if (strstr(line, "Kernel panic")) {
		g->panic = true;
	} else {
		sscanf(line, "DATA words=%llu", &g->words);
	}
}

bool guest_was_right(const struct guest_said *g, unsigned int passes)
{
	return g->done && !g->bad && g->words == GUEST_WORDS && g->passes == passes &&
	       g->right_sums == passes && g->done_passes == passes;
}

char *guest_memory(pid_t vmm, size_t len)
{
	unsigned long start, end;
	char path[32], line[512], *mem = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", vmm);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx rw-p", &start, &end) == 2 && end - start == len)
			mem = (char *)start;
	if (f)
		fclose(f);
	return mem;
}
