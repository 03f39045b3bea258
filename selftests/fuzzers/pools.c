// SPDX-License-Identifier: GPL-2.0-only
/* pool_line_parse(): a line of the module's list of pools */
#include "fuzzer.h"
#include "../../lib/ctl/pools.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = text_of(data, size);
	struct pool_line p;

	if (!pool_line_parse(text, &p))
		must(p.number && strlen(p.backend) < sizeof(p.backend));
	free(text);
	return 0;
}
