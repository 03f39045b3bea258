// SPDX-License-Identifier: GPL-2.0-only
/* uffdvram_sigbus_decode(): what a signal says of an address */
#include "fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };
	struct uffdvram_sigbus bus = { .size = sizeof(bus) };
	struct uffdvram_range *r[2] = { NULL, NULL };
	struct uffdvram_ctx *ctx;
	uint64_t addr, len;
	int fd = file_of(data, 0), code;
	unsigned int lsb;

	answers = (struct feed){ data, 0 };
	must(!uffdvram_open_fd(&ctx, fd, NULL));
	for (int i = 0; i < 2; i++) {
		addr = feed_u64(&f) & -4096;
		len = feed_u64(&f) >> 16 & -4096;
		/* Memory ends before the kernel begins. */
		if (len && addr < 1ULL << 47 && len <= (1ULL << 47) - addr)
			must(!uffdvram_range_register(&r[i], ctx, addr, len, NULL));
	}
	code = feed_u8(&f) % 8;
	lsb = feed_u8(&f);
	addr = f.left ? feed_u64(&f) : (r[0] ? uffdvram_range_addr(r[0]) + lsb : 0);
	if (!uffdvram_sigbus_decode(ctx, code, addr, lsb, &bus)) {
		must(bus.range == r[0] || bus.range == r[1]);
		must(bus.len && bus.off < uffdvram_range_len(bus.range));
		must(bus.len <= uffdvram_range_len(bus.range) - bus.off);
		addr -= uffdvram_range_addr(bus.range);
		must(addr >= bus.off && addr - bus.off < bus.len);
	}
	uffdvram_close(ctx);
	return 0;
}
