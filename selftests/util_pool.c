// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pools of each backend. Tests of what is above backends run over each of them:
 * BACKEND of selftests/vm/run, or scripts/gpu-check, says what uv_attach() attaches.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util_nvidia.h"

uint64_t uv_fault_bytes;

static int attach(int fd, struct uffdvram_pool_attach *arg, uint32_t *pool)
{
	int ret;

	arg->size = sizeof(*arg);
	arg->fault_bytes = uv_fault_bytes;
	ret = uv_ioctl(fd, UFFDVRAM_POOL_ATTACH, arg);
	*pool = arg->pool;
	return ret;
}

int uv_attach_pci(int fd, uint64_t addr, size_t bytes, uint32_t flags, uint32_t *pool)
{
	struct uffdvram_pool_attach arg = {
		.flags = flags, .backend = UFFDVRAM_BACKEND_PCI, .addr = addr,
		.bytes = bytes, .pci_sbdf = VRAM_SBDF, .pci_bar = VRAM_BAR,
	};

	return attach(fd, &arg, pool);
}

int nv_attach(int fd, uint64_t addr, uint64_t bytes, uint32_t flags, uint32_t *pool)
{
	struct uffdvram_pool_attach arg = {
		.flags = flags, .backend = UFFDVRAM_BACKEND_NVIDIA, .addr = addr,
		.bytes = bytes,
	};

	return attach(fd, &arg, pool);
}

/* The first window of the BAR that is free. */
static int attach_in_bar(int fd, size_t bytes, uint32_t flags, uint32_t *pool)
{
	uint64_t addr = 0;
	int ret;

	do {
		ret = uv_attach_pci(fd, addr, bytes, flags, pool);
		addr += MIB(2);
	} while (ret == -EBUSY && addr < VRAM_BYTES);
	return ret;
}

/* An allocation of this process's: its pages outlive it with the pool. */
static int attach_on_gpu(int fd, size_t bytes, uint32_t flags, uint32_t *pool)
{
	uint64_t addr;
	int gpu, ret;

	if (module_load("nvidia-stub") || module_load("uffdvram-nvidia"))
		give_up("modules of the stand-in for a GPU");
	gpu = stub_open();
	if (gpu < 0)
		give_up("the stand-in for a GPU");
	bytes = (bytes + GPU_PAGE - 1) & -GPU_PAGE;
	addr = stub_new(gpu, bytes);
	ret = addr ? nv_attach(fd, addr, bytes, flags, pool) : -ENOMEM;
	close(gpu);
	return ret;
}

/* The same on a real card, by a program that can load CUDA's library: cuda/gpu.c. */
static int attach_by_cuda(int fd, size_t bytes, uint32_t flags, uint32_t *pool)
{
	const char *gpu = getenv("UFFDVRAM_GPU") ?: "gpu";
	int ret = -EPIPE, passed_on = dup(fd);
	char cmd[512];
	FILE *f;

	bytes = (bytes + GPU_PAGE - 1) & -GPU_PAGE;
	snprintf(cmd, sizeof(cmd), "%s attach %d %zu %u %" PRIu64, gpu, passed_on, bytes,
		 flags, uv_fault_bytes);
	f = popen(cmd, "re");
	if (!f)
		give_up("popen");
	if (fscanf(f, "%d %u", &ret, pool) != 2 || pclose(f))
		ret = ret < 0 ? ret : -EPIPE;
	close(passed_on);
	return ret;
}

int uv_attach(int fd, size_t bytes, uint32_t flags, uint32_t *pool)
{
	struct uffdvram_pool_attach arg = {
		.flags = flags, .backend = UFFDVRAM_BACKEND_SIM, .bytes = bytes,
	};
	const char *backend = getenv("UFFDVRAM_BACKEND");

	if (backend && !strcmp(backend, "pci"))
		return attach_in_bar(fd, bytes, flags, pool);
	if (backend && !strcmp(backend, "nvidia"))
		return attach_on_gpu(fd, bytes, flags, pool);
	if (backend && !strcmp(backend, "cuda"))
		return attach_by_cuda(fd, bytes, flags, pool);
	return attach(fd, &arg, pool);
}
