// SPDX-License-Identifier: GPL-2.0-only
/* parse_piece(), parse_anon(): ADDR+LEN, anon:SIZE */
#include "fuzzer.h"
#include "../../lib/ctl/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t addr = 1, len = 2, min = 3;
	char *text = text_of(data, size);

	if (parse_piece(text, &addr, &len))
		must(addr == 1 && len == 2);
	else
		must(len && addr + len >= addr);
	if (parse_anon(text, &min))
		must(min == 3);
	else
		must(min);
	free(text);
	return 0;
}
