/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of CUDA's driver interface the library uses. These are declarations of our
 * own: there is no build dependency, and what is not used is not declared.
 */
#ifndef LIBUFFDVRAM_CUDA_API_H
#define LIBUFFDVRAM_CUDA_API_H

#include <stddef.h>

/* CUdeviceptr; CUdevice and CUresult are int, CUcontext is a pointer. */
typedef unsigned long long cuda_addr;

/* Our name, the function, its arguments; all return CUresult. */
#define CUDA_CALLS(X)								\
	X(init, cuInit, (unsigned int flags))					\
	X(device_get, cuDeviceGet, (int *device, int ordinal))			\
	X(retain, cuDevicePrimaryCtxRetain, (void **context, int device))	\
	X(release, cuDevicePrimaryCtxRelease_v2, (int device))			\
	X(push, cuCtxPushCurrent_v2, (void *context))				\
	X(pop, cuCtxPopCurrent_v2, (void **context))				\
	X(alloc, cuMemAlloc_v2, (cuda_addr *addr, size_t bytes))		\
	X(free, cuMemFree_v2, (cuda_addr addr))					\
	X(set_attribute, cuPointerSetAttribute,					\
	  (const void *value, int attribute, cuda_addr addr))			\
	X(error_name, cuGetErrorName, (int error, const char **name))

/* A type for each of them: cuInit_fn. */
#define CUDA_CALL_TYPE_(name, fn, args) typedef int fn##_fn args;
CUDA_CALLS(CUDA_CALL_TYPE_)
#undef CUDA_CALL_TYPE_

#define CUDA_CALL_MEMBER_(name, fn, args) fn##_fn *(name);
struct cuda_calls {
	CUDA_CALLS(CUDA_CALL_MEMBER_)
};
#undef CUDA_CALL_MEMBER_

/* CU_POINTER_ATTRIBUTE_SYNC_MEMOPS: an unsigned int, 0 or 1 */
#define CUDA_SYNC_MEMOPS	6

/* CUresult: those that mean something to us */
enum cuda_result {
	CUDA_OK = 0,
	CUDA_INVALID_VALUE = 1,
	CUDA_OUT_OF_MEMORY = 2,
	CUDA_STUB_LIBRARY = 34,			/* one to link with, from the toolkit */
	CUDA_DEVICE_UNAVAILABLE = 46,
	CUDA_NO_DEVICE = 100,
	CUDA_INVALID_DEVICE = 101,
	CUDA_INVALID_CONTEXT = 201,
	CUDA_ILLEGAL_ADDRESS = 700,
	CUDA_NOT_PERMITTED = 800,
	CUDA_NOT_SUPPORTED = 801,
	CUDA_SYSTEM_NOT_READY = 802,
	CUDA_SYSTEM_DRIVER_MISMATCH = 803,
	CUDA_COMPAT_NOT_SUPPORTED = 804,	/* compatibility package and GPU */
};

#endif /* LIBUFFDVRAM_CUDA_API_H */
