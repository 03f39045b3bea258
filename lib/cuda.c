// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Memory of an NVIDIA GPU as a pool: CUDA's driver library is loaded for this, and
 * for nothing else.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "ctx.h"
#include "cuda_api.h"
#include "log.h"

/* The driver pins pages of this size; address and length have to fit. */
#define GPU_PAGE	(64ULL << 10)

/* What there is of it can be undone, at any time, by uffdvram_cuda_free(). */
struct uffdvram_cuda {
	void *lib;		/* libcuda; NULL: not loaded */
	struct cuda_calls cu;
	int device;
	void *context;		/* the primary one; NULL: not retained */
	cuda_addr mem;		/* an allocation; 0: none */
	uint64_t addr;		/* of the pool, in it */
};

static const struct uffdvram_open_opts says_nothing;

static int errno_of(int result)
{
	switch (result) {
	case CUDA_INVALID_VALUE:
		return -EINVAL;
	case CUDA_OUT_OF_MEMORY:
		return -ENOMEM;
	case CUDA_NO_DEVICE:
	case CUDA_INVALID_DEVICE:
		return -ENXIO;
	case CUDA_DEVICE_UNAVAILABLE:
		return -EBUSY;
	case CUDA_NOT_PERMITTED:
		return -EPERM;
	case CUDA_NOT_SUPPORTED:
		return -EOPNOTSUPP;
	case CUDA_SYSTEM_NOT_READY:
		return -EAGAIN;
	case CUDA_STUB_LIBRARY:
	case CUDA_SYSTEM_DRIVER_MISMATCH:
	case CUDA_COMPAT_NOT_SUPPORTED:
		return -ELIBBAD;
	}
	return -EIO;
}

/* The errno for what @fn said; and the log gets CUDA's word for it. */
static int check(const struct uffdvram_cuda *c, const struct uffdvram_open_opts *log,
		 const char *fn, int result)
{
	const char *name = NULL;

	if (result == CUDA_OK)
		return 0;
	if (c->cu.error_name(result, &name) || !name)
		name = "an error without a name";
	uffdvram_log(log, LOG_ERR, "%s: %s (%d)", fn, name, result);
	return errno_of(result);
}

static int load(struct uffdvram_cuda *c, const struct uffdvram_open_opts *log,
		const char *path)
{
#define CALL(name, fn, args) { #fn, offsetof(struct cuda_calls, name) },
	static const struct {
		const char *fn;
		size_t at;
	} calls[] = { CUDA_CALLS(CALL) };
#undef CALL
	void *symbol;
	size_t i;

	/* Threads of CUDA's may still run in it when it is closed. */
	c->lib = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!c->lib) {
		uffdvram_log(log, LOG_ERR, "%s", dlerror());
		return -ELIBACC;
	}
	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		symbol = dlsym(c->lib, calls[i].fn);
		if (!symbol) {
			uffdvram_log(log, LOG_ERR, "%s: has no %s", path, calls[i].fn);
			return -ELIBBAD;
		}
		memcpy((char *)&c->cu + calls[i].at, &symbol, sizeof(symbol));
	}
	return 0;
}

/* The memory, with the context current that shall have it. */
static int allocate(struct uffdvram_cuda *c, const struct uffdvram_open_opts *log,
		    uint64_t bytes)
{
	unsigned int on = 1;
	int ret;

	/* CUDA promises no more than 256 bytes of alignment. */
	ret = check(c, log, "cuMemAlloc", c->cu.alloc(&c->mem, bytes + GPU_PAGE));
	if (ret) {
		c->mem = 0;
		return ret;
	}
	c->addr = (c->mem + GPU_PAGE - 1) & -GPU_PAGE;
	/* Or copies of CUDA's may still be under way when the GPU is said to be done. */
	return check(c, log, "cuPointerSetAttribute",
		     c->cu.set_attribute(&on, CUDA_SYNC_MEMOPS, c->mem));
}

static int set_up(struct uffdvram_cuda *c, const struct uffdvram_open_opts *log,
		  const struct uffdvram_cuda_opts *o)
{
	void *popped;
	int ret;

	ret = load(c, log, o->libcuda ?: "libcuda.so.1");
	if (ret)
		return ret;
	ret = check(c, log, "cuInit", c->cu.init(0));
	if (ret)
		return ret;
	ret = check(c, log, "cuDeviceGet", c->cu.device_get(&c->device, (int)o->gpu));
	if (ret)
		return ret;
	ret = check(c, log, "cuDevicePrimaryCtxRetain", c->cu.retain(&c->context, c->device));
	if (ret) {
		c->context = NULL;
		return ret;
	}
	ret = check(c, log, "cuCtxPushCurrent", c->cu.push(c->context));
	if (ret)
		return ret;
	ret = allocate(c, log, o->bytes);
	return check(c, log, "cuCtxPopCurrent", c->cu.pop(&popped)) ?: ret;
}

static int tear_down(struct uffdvram_cuda *c)
{
	void *popped;
	int ret = 0;

	if (c->mem) {
		ret = check(c, &says_nothing, "", c->cu.push(c->context));
		if (!ret) {
			ret = check(c, &says_nothing, "", c->cu.free(c->mem));
			ret = check(c, &says_nothing, "", c->cu.pop(&popped)) ?: ret;
		}
	}
	if (c->context)
		ret = check(c, &says_nothing, "", c->cu.release(c->device)) ?: ret;
	if (c->lib)
		dlclose(c->lib);
	return ret;
}

int uffdvram_cuda_free(struct uffdvram_cuda *cuda)
{
	int ret;

	if (!cuda)
		return 0;
	ret = tear_down(cuda);
	free(cuda);
	return ret;
}

static int attach(struct uffdvram_cuda *c, struct uffdvram_pool **pool,
		  struct uffdvram_ctx *ctx, const struct uffdvram_cuda_opts *o)
{
	struct uffdvram_pool_opts popts = {
		.size = sizeof(popts),
		.backend = UFFDVRAM_BACKEND_NVIDIA,
		.flags = o->flags,
		.bytes = o->bytes,
		.fault_bytes = o->fault_bytes,
	};
	int ret = set_up(c, &ctx->opts, o);

	if (ret)
		return ret;
	popts.addr = c->addr;
	return uffdvram_pool_attach(pool, ctx, &popts);
}

int uffdvram_cuda_attach(struct uffdvram_cuda **cuda, struct uffdvram_pool **pool,
			 struct uffdvram_ctx *ctx, const struct uffdvram_cuda_opts *opts)
{
	struct uffdvram_cuda_opts o;
	struct uffdvram_cuda *c;
	int ret;

	if (!opts)
		return -EINVAL;
	ret = uffdvram_opts_in(&o, sizeof(o),
			       UFFDVRAM_END_OF(struct uffdvram_cuda_opts, libcuda), opts);
	if (ret)
		return ret;
	if (!o.bytes || o.bytes % GPU_PAGE || o.bytes + GPU_PAGE < o.bytes)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	ret = attach(c, pool, ctx, &o);
	if (ret) {
		uffdvram_cuda_free(c);
		return ret;
	}
	*cuda = c;
	return 0;
}

uint64_t uffdvram_cuda_addr(const struct uffdvram_cuda *cuda)
{
	return cuda->addr;
}

void *uffdvram_cuda_context(const struct uffdvram_cuda *cuda)
{
	return cuda->context;
}
