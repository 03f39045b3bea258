// SPDX-License-Identifier: GPL-2.0-only
/* vramvmm: the numbers of its command line */
#include <setjmp.h>
#include <unistd.h>

#include "fuzzer.h"

static jmp_buf failed;

#define _exit(status) longjmp(failed, (status) + 1)
#define main vramvmm_main
#undef _GNU_SOURCE
#include "../vmm/vramvmm.c"
#undef main
#undef _exit

int vramvmm_main(int argc, char **argv);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size);
	volatile uint64_t n = 0;

	options[MEM] = text;
	if (!setjmp(failed)) {
		n = number(MEM, 64, 1024);
		must(n >= 64 && n <= 1024);
	}
	free(text);
	return 0;
}
