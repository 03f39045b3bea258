// SPDX-License-Identifier: GPL-2.0-only
/* faults_parse(), moves_read(): /proc/PID/stat, and the module's counters */
#include "fuzzer.h"
#include "../../lib/ctl/faults.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct faults f = { .minor = 11, .major = 12 };
	uint64_t count[MOVES] = {};
	char *text = text_of(data, size);
	FILE *in;
	int ret = faults_parse(text, &f);

	must(!ret || ret == -EINVAL);
	must(!ret || (f.minor == 11 && f.major == 12));
	must(ret || strchr(text, ')'));
	free(text);
	in = size ? fmemopen((void *)data, size, "r") : NULL;
	if (!in)
		return 0;
	ret = moves_read(in, count);
	must(!ret || ret == -EINVAL);
	fclose(in);
	return 0;
}
