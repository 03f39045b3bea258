// SPDX-License-Identifier: GPL-2.0-only
/* parse_size(), parse_u32(), parse_seconds(): numbers of a command line */
#include "fuzzer.h"
#include "../../lib/ctl/parse.h"

#define BEFORE 0x5a5a5a5a5a5a5a5aULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size), back[FORMAT_MAX];
	uint64_t n = BEFORE, again, ns = BEFORE;
	uint32_t u = 77;

	if (parse_size(text, &n))
		must(n == BEFORE);
	else
		must(!parse_size(format_size(back, n), &again) && again == n);
	if (parse_u32(text, &u))
		must(u == 77);
	else
		must(!parse_size(text, &again) && again == u);
	if (parse_seconds(text, &ns))
		must(ns == BEFORE);
	else if (!parse_size(text, &again))
		must(ns == again * 1000000000);
	free(text);
	return 0;
}
