// SPDX-License-Identifier: GPL-2.0-only
/* latency_parse(), latency_quantile(), format_ns(): the module's histograms */
#include "fuzzer.h"
#include "../../lib/ctl/latency.h"
#include "../../lib/ctl/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t end, last = 0, most = 0;
	char *text = text_of(data, size), ns[FORMAT_MAX];
	struct latency l;
	int i;

	if (latency_parse(text, &l))
		goto out;
	must(*l.op && strlen(l.op) < sizeof(l.op));
	for (i = 0; i < LATENCY_BUCKETS; i++)
		most = l.bucket[i] ? 1ULL << i : most;
	for (i = 1; i <= 100; i++) {
		end = latency_quantile(&l, i);
		must(end >= last && !end == !l.count);
		must(!end || l.bucket[__builtin_ctzll(end)]);
		must(strlen(format_ns(ns, end)) < sizeof(ns));
		last = end;
	}
	must(last == most);
	must(strlen(format_ns(ns, l.sum_ns)) < sizeof(ns));
out:
	free(text);
	return 0;
}
