// SPDX-License-Identifier: GPL-2.0-only
/* bar_add(), bar_text(), format_percent(): regions as QUERY tells of them */
#include "fuzzer.h"
#include "../../lib/ctl/bar.h"
#include "../../lib/ctl/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };
	uint64_t start = feed_u64(&f) & -4096, bytes = (feed_u64(&f) >> 8) & -4096;
	char text[BAR_TEXT_MAX], percent[FORMAT_MAX];
	struct uffdvram_region r;
	struct bar bar;

	if (start + bytes < start)
		return 0;
	bar_init(&bar, start, start + bytes, feed_u8(&f) % (BAR_MAX_COLS + 1), 4096);
	while (f.left) {
		feed_bytes(&f, &r, sizeof(r));
		bar_add(&bar, &r);
		must(*format_percent(percent, r.start >> 20, r.end >> 20));
		must(strlen(percent) < sizeof(percent));
	}
	must(strlen(bar_text(text, &bar, BAR_BLOCKS)) < sizeof(text));
	must(strlen(bar_text(text, &bar, BAR_ASCII)) == bar.cols);
	return 0;
}
