// SPDX-License-Identifier: GPL-2.0-only
/* vramvmm: the header of a bzImage, an initrd, and a memory image that was saved */
#include <asm/bootparam.h>
#include <setjmp.h>

#include "fuzzer.h"
#include "../vmm/vramvmm.h"

#define HDR_OFFSET 0x1f1

static jmp_buf failed;

void fail(int status, const char *fmt, ...)
{
	must(status == EXIT_SETUP && *fmt);
	longjmp(failed, 1);
}

/* The input is what begins at the header; the magic numbers, half of the time. */
static int kernel_file(const uint8_t *data, size_t size, bool magic)
{
	struct boot_params params = { 0 };
	const size_t most = sizeof(params) - HDR_OFFSET;
	size_t head = size < most ? size : most;
	int fd;

	memcpy((char *)&params + HDR_OFFSET, data, head);
	if (magic) {
		params.hdr.boot_flag = 0xaa55;
		params.hdr.header = 0x53726448;
		params.hdr.version |= 0x20c;
		params.hdr.xloadflags |= XLF_KERNEL_64;
	}
	fd = file_of((uint8_t *)&params, HDR_OFFSET + head);
	must(pwrite(fd, data + head, size - head, HDR_OFFSET + head) == (ssize_t)(size - head));
	return fd;
}

static void build(struct image *img, const uint8_t *data, size_t size, bool magic)
{
	int fd = kernel_file(data, size, magic), rd = file_of(data, size / 2);
	char kernel[40], initrd[40];

	snprintf(kernel, sizeof(kernel), "/proc/self/fd/%d", fd);
	snprintf(initrd, sizeof(initrd), "/proc/self/fd/%d", rd);
	if (!setjmp(failed)) {
		image_build(img, kernel, initrd, "console=ttyS0");
		must(image_read(img, CMDLINE_ADDR, kernel, 14) && !strcmp(kernel, "console=ttyS0"));
	}
}

/* The first bytes are boot_params from the count of pieces of memory on. */
static void saved(struct image *img, const uint8_t *data, size_t size, bool magic)
{
	struct boot_params params = { 0 };
	struct feed f = { data, size };
	int fd = file_of(data, 0);
	uint64_t mib = feed_u8(&f), bytes = MIB(mib) + (feed_u8(&f) & 1);
	char path[40];

	feed_bytes(&f, &params.e820_entries, 16);
	feed_bytes(&f, params.e820_table, 2 * sizeof(params.e820_table[0]));
	if (magic) {
		params.hdr.header = 0x53726448;
		params.e820_entries = 2;
		/* A byte decides whether the sum is right. */
		if (feed_u8(&f) & 1)
			params.e820_table[1].size = bytes - params.e820_table[1].addr;
	}
	must(!ftruncate(fd, bytes));
	if (mib)
		must(pwrite(fd, &params, sizeof(params), BOOT_PARAMS_ADDR) == sizeof(params));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!setjmp(failed)) {
		image_open(img, path);
		must(img->bytes % MIB(1) == 0 && image_read(img, 0, path, 16));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image img = { .fd = -1, .bytes = MIB(64) };
	int first = dup(0);

	if (size && data[0] & 1)
		saved(&img, data + 1, size - 1, data[0] & 2);
	else if (size)
		build(&img, data + 1, size - 1, data[0] & 2);
	/* Where it fails, the program would end: its files with it. */
	must(!close_range(first, ~0U, 0));
	return 0;
}
