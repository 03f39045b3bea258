// SPDX-License-Identifier: GPL-2.0-only
/* vramvmm: a message of userfaultfd, and which page of the guest it is about */
#include <setjmp.h>

#include "fake.h"

#define RAM_ADDR	(1UL << 32)
#define RAM_BYTES	(64UL << 20)

/* The input stands for the descriptor of the range. */
static int input;
#define uffdvram_range_uffd(range)	((void)(range), input)
#undef _GNU_SOURCE
#include "../vmm/monitor.c"
#undef uffdvram_range_uffd

static jmp_buf failed;

void fail(int status, const char *fmt, ...)
{
	must(fmt[0]);
	longjmp(failed, status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = file_of(data, 0);
	struct ram ram = { .bytes = RAM_BYTES };
	struct monitor mon = { .ram = &ram };
	const struct uffd_msg *msg = (const void *)data;
	uint64_t off = ~0ULL;

	answers = (struct feed){ data, 0 };
	must(!uffdvram_open_fd(&ram.ctx, fd, NULL));
	must(!uffdvram_range_register(&ram.range, ram.ctx, RAM_ADDR, RAM_BYTES, NULL));
	input = file_of(data, size);
	if (!setjmp(failed)) {
		must(next_fault(&mon, &off));
		must(size >= sizeof(*msg) && msg->event == UFFD_EVENT_PAGEFAULT);
		must(off < RAM_BYTES && msg->arg.pagefault.address - RAM_ADDR == off);
	} else {
		must(off == ~0ULL);
	}
	close(input);
	uffdvram_close(ram.ctx);
	return 0;
}
