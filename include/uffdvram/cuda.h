/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libuffdvram: memory of an NVIDIA GPU as a pool, in one call. Optional: without it
 * whoever has memory from CUDA attaches that with uffdvram_pool_attach().
 */
#ifndef UFFDVRAM_CUDA_H
#define UFFDVRAM_CUDA_H

#include <uffdvram/uffdvram.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct uffdvram_cuda;

/**
 * struct uffdvram_cuda_opts - what to allocate and attach
 * @size: sizeof(struct uffdvram_cuda_opts)
 * @bytes: a multiple of 64 KiB
 * @gpu: CUDA's number of the GPU, 0 for the first
 * @flags: UFFDVRAM_POOL_UNCHECKED: the GPU writes to it, too. UFFDVRAM_POOL_SHARED:
 *         for every context, until it is detached
 * @libcuda: CUDA's driver library; NULL for "libcuda.so.1"
 * @fault_bytes: how much a CPU fault brings home, see struct uffdvram_pool_opts
 */
struct uffdvram_cuda_opts {
	size_t size;
	uint64_t bytes;
	uint32_t gpu;
	uint32_t flags;
	const char *libcuda;
	uint64_t fault_bytes;
};

/**
 * uffdvram_cuda_attach - allocate memory of a GPU and attach it as a pool
 * @cuda: out: the memory; frees with uffdvram_cuda_free()
 * @pool: out: a pool like any other of @ctx
 * @ctx: the context
 * @opts: what to attach; required
 *
 * Loads CUDA's driver library, takes the GPU's primary context (which the runtime
 * library uses, too), allocates in it, sets SYNC_MEMOPS and attaches. The calling
 * thread's current context of CUDA's stays what it was. Neither pool nor memory is
 * made when it fails.
 *
 * The one function of this library after which there may be threads, and for which
 * the environment counts: they are CUDA's.
 *
 * Errors: -ELIBACC (libcuda is not there), -ELIBBAD (it is no libcuda, is older than
 * CUDA 11 or does not fit the driver), -ENXIO (no such GPU; or see
 * uffdvram-nvidia(4)), -EBUSY (another process has it for itself), -EAGAIN (it is not
 * ready yet), -ENOMEM (no memory of the GPU, or as below), -EPERM (CUDA does not let
 * us), -EIO (CUDA failed otherwise), -EINVAL, -E2BIG; those of uffdvram_pool_attach().
 * The context's log tells which of CUDA's functions failed, and how.
 */
int uffdvram_cuda_attach(struct uffdvram_cuda **cuda, struct uffdvram_pool **pool,
			 struct uffdvram_ctx *ctx, const struct uffdvram_cuda_opts *opts);

/**
 * uffdvram_cuda_free - free the memory
 * @cuda: the memory; freed whatever the result is. NULL does nothing
 *
 * Comes after uffdvram_pool_detach(), or after uffdvram_close(). NVIDIA's driver keeps
 * the memory for a pool that is still there, also for a shared one that stays: but
 * nobody's kernel can reach it any more.
 *
 * Errors: those of CUDA's as above; what the memory held may then be lost to the GPU
 * until the process ends.
 */
int uffdvram_cuda_free(struct uffdvram_cuda *cuda);

/** uffdvram_cuda_addr - where the GPU has offset 0 of the pool: a CUdeviceptr. */
uint64_t uffdvram_cuda_addr(const struct uffdvram_cuda *cuda);

/**
 * uffdvram_cuda_context - the context of CUDA's that has the memory: a CUcontext
 *
 * Make it current (cuCtxPushCurrent()) to launch a kernel that uses the memory, unless
 * the runtime library has. Valid until uffdvram_cuda_free().
 */
void *uffdvram_cuda_context(const struct uffdvram_cuda *cuda);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif /* UFFDVRAM_CUDA_H */
