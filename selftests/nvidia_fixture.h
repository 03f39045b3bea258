/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of nvidia.c: uffdvram-nvidia.ko over a stand-in for the driver, with
 * an allocation of this process's, and memory to move there.
 */
#ifndef UFFDVRAM_SELFTESTS_NVIDIA_FIXTURE_H
#define UFFDVRAM_SELFTESTS_NVIDIA_FIXTURE_H

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util_mm.h"
#include "util_nvidia.h"

/* Of 8 pages of 64 KiB in a row, the stub has 2 runs of two and 4 of one. */
#define PAGES		128
#define LEN		(PAGES * PAGE)
#define POOL_BYTES	MIB(4)

FIXTURE(nvidia)
{
	int gpu;		/* CUDA, so to speak */
	int fd;
	uint64_t addr;		/* an allocation of POOL_BYTES */
	uint32_t pool, range;
	char *mem;
};

FIXTURE_SETUP(nvidia)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, module_load("nvidia-stub"));
	stub_knob("hold", "0");	/* a case that was killed may have left it */
	ASSERT_EQ(0, module_load("uffdvram-nvidia"));
	self->gpu = stub_open();
	ASSERT_LE(0, self->gpu);
	self->addr = stub_new(self->gpu, POOL_BYTES);
	ASSERT_NE(0, self->addr);
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
}

FIXTURE_TEARDOWN(nvidia)
{
	munmap(self->mem, LEN);
	close(self->fd);
	close(self->gpu);
	EXPECT_TRUE(uv_wait_slots(0));
	self->gpu = stub_open();
	EXPECT_TRUE(wait_until(gpu_is_free, &self->gpu, 60000));
	close(self->gpu);
}

#include "nvidia_modules.h"

/* Attaches the allocation, and has the memory in a linear range of it, moved there. */
static void fill_pool(struct __test_metadata *_metadata, FIXTURE_DATA(nvidia) *self,
		      uint32_t flags)
{
	struct uffdvram_range_register arg = {
		.size = sizeof(arg), .flags = UFFDVRAM_RANGE_LINEAR,
		.addr = ADDR(self->mem), .len = LEN, .pool_off = MIB(1),
	};

	ASSERT_EQ(0, nv_attach(self->fd, self->addr, POOL_BYTES, flags, &self->pool));
	arg.pool = self->pool;
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &arg));
	self->range = arg.range;
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
}

#endif /* UFFDVRAM_SELFTESTS_NVIDIA_FIXTURE_H */
