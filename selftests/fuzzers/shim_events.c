// SPDX-License-Identifier: GPL-2.0-only
/* device_fault_backs(): the shim's reading of records from its context */
#include "fuzzer.h"
#include <uffdvram/uffdvram.h>
#include "../../lib/preload/shim.h"

struct shim shim = { .fd = -1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct uffdvram_event *ev = (const void *)data;
	uint64_t pages = 0;
	char *copy = text_of(data, size);

	ev = (const void *)copy;
	for (size_t i = 0; i < size / sizeof(*ev); i++)
		if (ev[i].type == UFFDVRAM_EVENT_FAULT_BACK)
			pages += ev[i].len / PAGE;
	shim.fd = file_of(data, size);
	must(device_fault_backs() == pages);
	device_close();
	free(copy);
	return 0;
}
