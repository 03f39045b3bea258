// SPDX-License-Identifier: GPL-2.0-only
/*
 * A stand-in for CUDA's driver library: one GPU, whose memory is that of
 * nvidia-stub.ko. So allocations are real ones, as far as uffdvram-nvidia.ko sees.
 *
 * It runs no kernels: cuLaunchKernel() knows the one of fill.c by its name, and
 * does on the CPU what that does. What is shown with it is that the bytes which
 * are written at an address of CUDA's are those of the range, not that a GPU can run
 * the kernel.
 *
 *   CUDA_STUB_FAIL=FUNCTION=CODE	that function fails so, each time
 *   CUDA_STUB_SKEW=BYTES		allocations begin so far behind a page of 64 KiB
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../nvidia_stub/stub_abi.h"
#include "cu.h"

#define GPU_PAGE	(64ULL << 10)
#define MAX_ALLOCS	16
#define MAX_CURRENT	8

struct alloc {
	uint64_t base;		/* 0: none */
	cuda_addr addr;
	bool synced;
};

static struct {
	pthread_mutex_t lock;
	int fd;
	bool inited;
	unsigned int retained;
	struct alloc allocs[MAX_ALLOCS];
} gpu = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

static _Thread_local void *stack[MAX_CURRENT];
static _Thread_local unsigned int depth;

/* Handles that mean something to us alone. */
static char primary, a_module, a_function;

/* What @fn shall fail with; 0: nothing. */
static int wanted(const char *fn)
{
	const char *want = getenv("CUDA_STUB_FAIL");
	size_t n = strlen(fn);

	return want && !strncmp(want, fn, n) && want[n] == '=' ? atoi(want + n + 1) : 0;
}

/* What every function begins with. */
static int begin(const char *fn, bool need_context)
{
	return wanted(fn) ?: (need_context && !depth ? CUDA_INVALID_CONTEXT : CUDA_OK);
}

int cuInit(unsigned int flags)
{
	int fail = begin(__func__, false);

	if (fail)
		return fail;
	if (flags)
		return CUDA_INVALID_VALUE;
	pthread_mutex_lock(&gpu.lock);
	if (gpu.fd < 0)
		gpu.fd = open("/dev/nvidia-stub", O_RDWR | O_CLOEXEC);
	gpu.inited = gpu.fd >= 0;
	pthread_mutex_unlock(&gpu.lock);
	return gpu.inited ? CUDA_OK : CUDA_NO_DEVICE;
}

int cuDriverGetVersion(int *version)
{
	int fail = begin(__func__, false);

	if (fail)
		return fail;
	*version = 12040;
	return CUDA_OK;
}

int cuDeviceGet(int *device, int ordinal)
{
	int fail = begin(__func__, false);

	if (fail)
		return fail;
	if (!gpu.inited || ordinal)
		return CUDA_INVALID_DEVICE;
	*device = 0;
	return CUDA_OK;
}

int cuDeviceGetName(char *name, int len, int device)
{
	int fail = begin(__func__, false);

	if (fail)
		return fail;
	snprintf(name, len, "stand-in %d: no GPU", device);
	return CUDA_OK;
}

int cuDeviceGetPCIBusId(char *id, int len, int device)
{
	int fail = begin(__func__, false);

	if (fail)
		return fail;
	snprintf(id, len, "0000:%02x:10.0", device);
	return CUDA_OK;
}

int cuDevicePrimaryCtxRetain(void **context, int device)
{
	int fail = begin(__func__, false);

	if (fail)
		return fail;
	if (device)
		return CUDA_INVALID_DEVICE;
	__atomic_add_fetch(&gpu.retained, 1, __ATOMIC_SEQ_CST);
	*context = &primary;
	return CUDA_OK;
}

int cuDevicePrimaryCtxRelease_v2(int device)
{
	int fail = begin(__func__, false);

	if (fail)
		return fail;
	if (device || !gpu.retained)
		return CUDA_INVALID_CONTEXT;
	__atomic_sub_fetch(&gpu.retained, 1, __ATOMIC_SEQ_CST);
	return CUDA_OK;
}

int cuCtxPushCurrent_v2(void *context)
{
	int fail = begin(__func__, false);

	if (fail)
		return fail;
	if (context != &primary || !gpu.retained || depth == MAX_CURRENT)
		return CUDA_INVALID_CONTEXT;
	stack[depth++] = context;
	return CUDA_OK;
}

/* As if the context went in the very moment: it is off the stack in either case. */
int cuCtxPopCurrent_v2(void **context)
{
	int fail = begin(__func__, false);

	if (!depth)
		return CUDA_INVALID_CONTEXT;
	*context = stack[--depth];
	if (fail)
		return fail;
	return CUDA_OK;
}

int cuCtxSynchronize(void)
{
	int fail = begin(__func__, true);

	if (fail)
		return fail;
	return CUDA_OK;
}

static struct alloc *find(cuda_addr addr, bool unused)
{
	size_t i;

	for (i = 0; i < MAX_ALLOCS; i++)
		if (unused ? !gpu.allocs[i].base
			   : gpu.allocs[i].base && gpu.allocs[i].addr == addr)
			return &gpu.allocs[i];
	return NULL;
}

int cuMemAlloc_v2(cuda_addr *addr, size_t bytes)
{
	int fail = begin(__func__, true);
	const char *skew = getenv("CUDA_STUB_SKEW");
	struct stub_alloc arg = { 0 };
	struct alloc *a;

	if (fail)
		return fail;
	pthread_mutex_lock(&gpu.lock);
	a = find(0, true);
	arg.bytes = (bytes + (skew ? atoi(skew) : 0) + GPU_PAGE - 1) & -GPU_PAGE;
	if (a && !ioctl(gpu.fd, STUB_ALLOC, &arg)) {
		a->base = arg.addr;
		a->addr = a->base + (skew ? atoi(skew) : 0);
		a->synced = false;
		*addr = a->addr;
	} else {
		a = NULL;
	}
	pthread_mutex_unlock(&gpu.lock);
	return a ? CUDA_OK : CUDA_OUT_OF_MEMORY;
}

int cuMemFree_v2(cuda_addr addr)
{
	int fail = begin(__func__, true);
	struct alloc *a;
	int ret = CUDA_INVALID_VALUE;

	if (fail)
		return fail;
	pthread_mutex_lock(&gpu.lock);
	a = find(addr, false);
	if (a && !ioctl(gpu.fd, STUB_FREE, &a->base)) {
		a->base = 0;
		ret = CUDA_OK;
	}
	pthread_mutex_unlock(&gpu.lock);
	return ret;
}

int cuPointerSetAttribute(const void *value, int attribute, cuda_addr addr)
{
	int fail = begin(__func__, true);
	struct alloc *a;

	if (fail)
		return fail;
	pthread_mutex_lock(&gpu.lock);
	a = find(addr, false);
	if (a && attribute == CUDA_SYNC_MEMOPS)
		a->synced = *(const unsigned int *)value;
	else
		a = NULL;
	pthread_mutex_unlock(&gpu.lock);
	return a ? CUDA_OK : CUDA_INVALID_VALUE;
}

int cuGetErrorName(int error, const char **name)
{
	int fail = begin(__func__, false);

	if (fail)
		return fail;
	switch (error) {
	case CUDA_OUT_OF_MEMORY:
		*name = "CUDA_ERROR_OUT_OF_MEMORY";
		return CUDA_OK;
	case CUDA_NO_DEVICE:
		*name = "CUDA_ERROR_NO_DEVICE";
		return CUDA_OK;
	}
	*name = NULL;
	return CUDA_INVALID_VALUE;
}

int cuModuleLoadData(void **module, const void *image)
{
	int fail = begin(__func__, true);

	if (fail)
		return fail;
	if (!strstr(image, ".visible .entry fill("))
		return CUDA_INVALID_VALUE;
	*module = &a_module;
	return CUDA_OK;
}

int cuModuleUnload(void *module)
{
	int fail = begin(__func__, true);

	if (fail)
		return fail;
	return module == &a_module ? CUDA_OK : CUDA_INVALID_VALUE;
}

int cuModuleGetFunction(void **function, void *module, const char *name)
{
	int fail = begin(__func__, true);

	if (fail)
		return fail;
	if (module != &a_module || strcmp(name, "fill"))
		return CUDA_INVALID_VALUE;
	*function = &a_function;
	return CUDA_OK;
}

/* As "fill" of fill.c: each thread writes the word that has its number. */
static int fill(uint64_t addr, uint64_t words, uint64_t seed, uint64_t threads)
{
	struct stub_access arg = { .addr = addr };
	uint64_t n = words < threads ? words : threads, i;
	uint64_t *buf = malloc(n * sizeof(*buf));
	int ret = CUDA_OK;

	if (!buf)
		return CUDA_OUT_OF_MEMORY;
	for (i = 0; i < n; i++)
		buf[i] = i * 0x0123456789abcdefULL + seed;
	arg.len = n * sizeof(*buf);
	arg.buf = (uintptr_t)buf;
	if (ioctl(gpu.fd, STUB_WRITE, &arg))
		ret = CUDA_ILLEGAL_ADDRESS;
	free(buf);
	return ret;
}

int cuLaunchKernel(void *function, unsigned int gx, unsigned int gy, unsigned int gz,
		   unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared,
		   void *stream, void **params, void **extra)
{
	int fail = begin(__func__, true);

	if (fail)
		return fail;
	if (function != &a_function || gy != 1 || gz != 1 || by != 1 || bz != 1 || shared ||
	    stream || extra)
		return CUDA_INVALID_VALUE;
	return fill(*(uint64_t *)params[0], *(uint64_t *)params[1], *(uint64_t *)params[2],
		    (uint64_t)gx * bx);
}

void cuda_stub_look(struct cuda_stub_state *state);

void cuda_stub_look(struct cuda_stub_state *state)
{
	size_t i;

	*state = (struct cuda_stub_state){ .retained = gpu.retained, .current = depth };
	for (i = 0; i < MAX_ALLOCS; i++) {
		state->allocations += !!gpu.allocs[i].base;
		state->synced += gpu.allocs[i].base && gpu.allocs[i].synced;
	}
}
