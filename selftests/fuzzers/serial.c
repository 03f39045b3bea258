// SPDX-License-Identifier: GPL-2.0-only
/* vramvmm: what a guest writes to its serial port and reads from it */
#include "fuzzer.h"
#include "../vmm/vramvmm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct serial s = { 0 };

	for (size_t i = 0; i + 1 < size; i += 2) {
		if (data[i] & 8)
			serial_out(&s, data[i] & 7, data[i + 1]);
		else
			serial_in(&s, data[i] & 7);
		must(!serial_irq(&s) || s.thr_irq);
		must(s.mcr < 32 && s.ier < 16);
	}
	serial_end(&s);
	must(!s.mid_line);
	return 0;
}
