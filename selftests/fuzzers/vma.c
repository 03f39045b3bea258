// SPDX-License-Identifier: GPL-2.0-only
/* vma_parse(): a line of /proc/PID/maps */
#include "fuzzer.h"
#include "../../lib/ctl/vma.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size);
	struct vma vma = { .start = 1, .end = 2 }, again = { 0 };

	if (!vma_parse(text, &vma))
		must(vma.start == 1 && vma.end == 2);
	else
		must(vma_parse(text, &again) && again.start == vma.start && again.end == vma.end);
	free(text);
	return 0;
}
