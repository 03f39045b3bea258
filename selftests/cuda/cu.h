/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CUDA's driver interface as far as the programs here use it, for machines without
 * the toolkit's <cuda.h>. All return CUresult.
 */
#ifndef UFFDVRAM_SELFTESTS_CU_H
#define UFFDVRAM_SELFTESTS_CU_H

#include "../../lib/cuda_api.h"

#define CU_DECLARE_(name, fn, args) extern fn##_fn fn;
CUDA_CALLS(CU_DECLARE_)
#undef CU_DECLARE_

int cuDriverGetVersion(int *version);
int cuDeviceGetName(char *name, int len, int device);
int cuDeviceGetPCIBusId(char *id, int len, int device);
int cuModuleLoadData(void **module, const void *image);
int cuModuleUnload(void *module);
int cuModuleGetFunction(void **function, void *module, const char *name);
/**
 * cuLaunchKernel
 * @gx, @gy, @gz: blocks
 * @bx, @by, @bz: threads of each
 * @shared: bytes of shared memory
 * @stream: NULL for the default one
 * @params: a pointer to each argument of the kernel
 * @extra: NULL
 */
int cuLaunchKernel(void *function, unsigned int gx, unsigned int gy, unsigned int gz,
		   unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared,
		   void *stream, void **params, void **extra);
int cuCtxSynchronize(void);

/**
 * struct cuda_stub_state - what the stand-in has on its hands; libcuda.c
 * @retained: references on the primary context
 * @current: contexts on the calling thread's stack
 * @allocations: that were not freed
 * @synced: those with SYNC_MEMOPS
 */
struct cuda_stub_state {
	unsigned int retained;
	unsigned int current;
	unsigned int allocations;
	unsigned int synced;
};

typedef void cuda_stub_look_fn(struct cuda_stub_state *state);

#endif /* UFFDVRAM_SELFTESTS_CU_H */
