// SPDX-License-Identifier: GPL-2.0-only
/* uffdvram_event_read() and what names there are: records from the context */
#include "fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t room = size ? data[0] % 5 : 0;
	struct uffdvram_event *ev = malloc(room * sizeof(*ev) + !room);
	int fd = file_of(data, size), ret;
	struct uffdvram_ctx *ctx;
	size_t got = 99;

	must(ev);
	must(!uffdvram_open_fd(&ctx, fd, NULL));
	do {
		ret = uffdvram_event_read(ctx, ev, room, &got, 0);
		must(got <= room && !ret == !!got);
		for (size_t i = 0; i < got; i++) {
			must(*uffdvram_event_name(ev[i].type));
			must(*uffdvram_gone_name(ev[i].cause) && *uffdvram_stay_name(ev[i].type));
			must(*uffdvram_state_name(ev[i].type) && *uffdvram_sigbus_name(ev[i].type));
			must(*uffdvram_module_state_name(ev[i].type));
			must(*uffdvram_trouble_name(ev[i].cause));
		}
	} while (got);
	uffdvram_close(ctx);
	free(ev);
	return 0;
}
