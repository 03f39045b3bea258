// SPDX-License-Identifier: GPL-2.0-only
/* uffdvram_opts_in(), uffdvram_opts_out(): a caller's struct that begins with its size */
#include "fuzzer.h"
#include "../../lib/ctx.h"

struct known {
	size_t size;
	unsigned char rest[24];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct known in, out = { .size = sizeof(out), .rest = "what the library found" };
	unsigned char *caller, *before;
	size_t given = size;
	int ret;

	if (size < sizeof(given))
		return 0;
	/* A struct has the size that it says: memory of just that size. */
	caller = malloc(2 * size);
	before = malloc(size);
	must(caller && before);
	caller = realloc(caller, size);
	must(caller);
	memcpy(caller, data, size);
	memcpy(caller, &given, sizeof(given));
	memcpy(before, caller, size);
	ret = uffdvram_opts_in(&in, sizeof(in), sizeof(size_t) + 8, caller);
	must(ret == 0 || ret == -EINVAL || ret == -E2BIG);
	if (!ret) {
		must(!memcmp(&in, caller, size < sizeof(in) ? size : sizeof(in)));
		uffdvram_opts_out(caller, &out, sizeof(out));
		must(!memcmp(caller, before, sizeof(given)));
		for (size_t i = sizeof(out); i < size; i++)
			must(!caller[i]);
	}
	free(before);
	free(caller);
	return 0;
}
