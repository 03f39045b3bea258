// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From an address, of a signal or a message, to a place in a range. Everything here
 * is async-signal-safe.
 */
#include <errno.h>
#include <signal.h>

#include "ctx.h"
#include "log.h"
#include "range.h"

int uffdvram_find(struct uffdvram_ctx *ctx, uint64_t addr, struct uffdvram_place *place)
{
	struct uffdvram_handle *h;
	int ret = -ENOENT;

	ctx->walkers++;
	for (h = ctx->handles; h && ret; h = h->next) {
		if (addr - h->addr >= h->len)
			continue;
		place->range = (struct uffdvram_range *)h;
		place->off = addr - h->addr;
		ret = 0;
	}
	ctx->walkers--;
	return ret;
}

static uint32_t sigbus_kind(int code)
{
	switch (code) {
	case BUS_MCEERR_AR:
		return UFFDVRAM_SIGBUS_POISON;
	case BUS_MCEERR_AO:
		return UFFDVRAM_SIGBUS_NOTICE;
	case BUS_ADRERR:
		return UFFDVRAM_SIGBUS_REFUSED;
	default:
		return 0;
	}
}

int uffdvram_sigbus_decode(struct uffdvram_ctx *ctx, int code, uint64_t addr,
			   unsigned int lsb, struct uffdvram_sigbus *out)
{
	struct uffdvram_sigbus bus = { .size = sizeof(bus), .kind = sigbus_kind(code) };
	struct uffdvram_place place;
	uint64_t block = ctx->page, start, end;
	int ret;

	ret = uffdvram_opts_in(&bus, sizeof(bus),
			       UFFDVRAM_END_OF(struct uffdvram_sigbus, number), out);
	if (ret)
		return ret;
	bus = (struct uffdvram_sigbus){ .size = sizeof(bus), .kind = sigbus_kind(code) };
	if (!bus.kind)
		return -ENOENT;
	ret = uffdvram_find(ctx, addr, &place);
	if (ret)
		return ret;
	/* The kernel fills in lsb for poison only. */
	if (bus.kind != UFFDVRAM_SIGBUS_REFUSED && lsb < 63 && 1ULL << lsb > block)
		block = 1ULL << lsb;
	start = addr & ~(block - 1);
	bus.range = place.range;
	bus.number = place.range->number;
	bus.off = start > place.range->handle.addr ? start - place.range->handle.addr : 0;
	end = (addr | (block - 1)) - place.range->handle.addr + 1;
	if (end > place.range->handle.len)
		end = place.range->handle.len;
	bus.len = end - bus.off;
	uffdvram_opts_out(out, &bus, sizeof(bus));
	return 0;
}
