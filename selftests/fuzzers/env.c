// SPDX-License-Identifier: GPL-2.0-only
/* The shim's settings(), of its environment, and heap_find(), of /proc/self/maps */
#include "fuzzer.h"

static const uint8_t *maps;
static size_t maps_size;

static FILE *open_maps(void)
{
	return maps_size ? fmemopen((void *)maps, maps_size, "r") : NULL;
}

#define fopen(path, mode) open_maps()
#include "../../lib/preload/main.c"
#undef fopen

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "", "_POOL", "_HEAP", "_FORK", "_PAUSE", "_STIR",
					     "_STEP", "_REPORT" };
	char *text = text_of(data, size), *end = text + size, *at = text, name[40];

	/* One value after the other; the maps are the rest. */
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(name, sizeof(name), "UFFDVRAM_PRELOAD%s", names[i]);
		if (at < end && *at)
			setenv(name, at, 1);
		else
			unsetenv(name);
		at = at < end ? at + strlen(at) + 1 : end;
	}
	free((char *)shim.report);
	settings();
	must(shim.step >= 1 && shim.step <= 64);
	must(!shim.report || *shim.report);
	maps = (const uint8_t *)at;
	maps_size = at < end ? end - at : 0;
	heap_start = 0;
	heap_find();
	must(heap_start && heap_end == heap_start);
	free(text);
	return 0;
}
