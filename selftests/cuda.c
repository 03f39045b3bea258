// SPDX-License-Identifier: GPL-2.0-only
/* IVSHMEM: 256 */
/* FILES: build/KERNEL/uffdvram-nvidia.ko build/KERNEL/nvidia-stub.ko */
/* FILES: build/cuda/stand-in/libcuda.so.1 build/cuda/fill */
/* PROGRAMS: /lib64/ld-linux-x86-64.so.2 /lib/x86_64-linux-gnu/libc.so.6 */
/*
 * Memory of a GPU as a pool, in one call: over a stand-in for CUDA's library
 * (cuda/libcuda.c), whose memory is that of the stand-in for the driver. Each of
 * CUDA's calls fails in turn.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uffdvram/uffdvram.h>
#include "kselftest_harness.h"

#include "cuda/cu.h"
#include "util_mm.h"
#include "util_nvidia.h"

#define LIBCUDA		"/files/libcuda.so.1"
#define DEFAULT		"/lib/x86_64-linux-gnu/libcuda.so.1"
#define PAGES		128
#define LEN		(PAGES * PAGE)
#define BYTES		MIB(2)

FIXTURE(cuda)
{
	struct uffdvram_ctx *ctx;
	struct uffdvram_cuda *cuda;
	struct uffdvram_pool *pool;
	struct uffdvram_cuda_opts opts;
	int gpu;
	char *mem, *buf;
	char said[256];
};

static void take_msg(void *data, int priority, const char *msg)
{
	FIXTURE_DATA(cuda) *self = data;

	if (priority <= 3)
		snprintf(self->said, sizeof(self->said), "%s", msg);
}

FIXTURE_SETUP(cuda)
{
	const struct uffdvram_open_opts oopts = {
		.size = sizeof(oopts), .log = take_msg, .log_data = self,
	};

	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, module_load("nvidia-stub"));
	ASSERT_EQ(0, module_load("uffdvram-nvidia"));
	self->gpu = stub_open();
	ASSERT_LE(0, self->gpu);
	ASSERT_EQ(0, uffdvram_open(&self->ctx, &oopts));
	self->opts = (struct uffdvram_cuda_opts){
		.size = sizeof(self->opts), .bytes = BYTES, .libcuda = LIBCUDA,
	};
	self->mem = map_small(LEN);
	self->buf = map_small(LEN);
	unsetenv("CUDA_STUB_FAIL");
	unsetenv("CUDA_STUB_SKEW");
}

FIXTURE_TEARDOWN(cuda)
{
	munmap(self->mem, LEN);
	munmap(self->buf, LEN);
	uffdvram_close(self->ctx);
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_TRUE(wait_until(gpu_is_free, &self->gpu, 60000));
	close(self->gpu);
}

#include "nvidia_modules.h"

/* What the stand-in has, in the library's copy of it. */
static struct cuda_stub_state cuda_state(void)
{
	void *lib = dlopen(LIBCUDA, RTLD_NOW);
	struct cuda_stub_state s;
	cuda_stub_look_fn *look;

	if (!lib)
		give_up(dlerror());
	*(void **)&look = dlsym(lib, "cuda_stub_look");
	look(&s);
	dlclose(lib);
	return s;
}

static bool nothing_left(int gpu)
{
	struct cuda_stub_state s = cuda_state();

	return !s.retained && !s.current && !s.allocations && gpu_is_free(&gpu);
}

static int attach(FIXTURE_DATA(cuda) *self)
{
	self->said[0] = '\0';
	return uffdvram_cuda_attach(&self->cuda, &self->pool, self->ctx, &self->opts);
}

/* A linear range of the pool, from the CPU to the GPU and back. */
static void use(struct __test_metadata *_metadata, FIXTURE_DATA(cuda) *self)
{
	struct uffdvram_range_opts ropts = {
		.size = sizeof(ropts), .pool = self->pool, .pool_off = MIB(1),
		.flags = UFFDVRAM_RANGE_LINEAR,
	};
	uint64_t at = uffdvram_cuda_addr(self->cuda) + ropts.pool_off;
	struct uffdvram_range *range;

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uffdvram_range_register(&range, self->ctx, ADDR(self->mem), LEN, &ropts));
	ASSERT_EQ(PAGES, uv_to_vram(uffdvram_fd(self->ctx), self->mem, LEN));
	ASSERT_EQ(0, gpu_read(self->gpu, at, self->buf, LEN));
	EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 1));
	if (self->opts.flags & UFFDVRAM_POOL_UNCHECKED) {
		fill_pages_as(self->buf, LEN, self->mem, 2);
		ASSERT_EQ(0, gpu_write(self->gpu, at, self->buf, LEN));
		EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
	}
	EXPECT_EQ(0, uffdvram_range_unregister(range));
}

static void end(struct __test_metadata *_metadata, FIXTURE_DATA(cuda) *self)
{
	EXPECT_EQ(0, uffdvram_pool_detach(self->pool, 0, NULL));
	EXPECT_EQ(0, uffdvram_cuda_free(self->cuda));
	EXPECT_TRUE(nothing_left(self->gpu));
}

TEST_F(cuda, attach)
{
	struct cuda_stub_state s;

	self->opts.flags = UFFDVRAM_POOL_UNCHECKED;
	ASSERT_EQ(0, attach(self)) {
		TH_LOG("%s", self->said);
	}
	s = cuda_state();
	EXPECT_EQ(1, s.retained);
	EXPECT_EQ(0, s.current);
	EXPECT_EQ(1, s.allocations);
	EXPECT_EQ(1, s.synced);
	EXPECT_NE(NULL, uffdvram_cuda_context(self->cuda));
	EXPECT_EQ(1, stub_look(self->gpu).tables);
	use(_metadata, self);
	end(_metadata, self);
}

/* As many as one likes; each has its memory. */
TEST_F(cuda, two)
{
	struct uffdvram_cuda *cuda;
	struct uffdvram_pool *pool;

	ASSERT_EQ(0, attach(self));
	ASSERT_EQ(0, uffdvram_cuda_attach(&cuda, &pool, self->ctx, &self->opts));
	EXPECT_LE(BYTES, llabs((long long)(uffdvram_cuda_addr(cuda) -
					   uffdvram_cuda_addr(self->cuda))));
	EXPECT_EQ(0, uffdvram_pool_detach(pool, 0, NULL));
	EXPECT_EQ(0, uffdvram_cuda_free(cuda));
	use(_metadata, self);
	end(_metadata, self);
}

/* CUDA's allocations may begin anywhere. */
TEST_F(cuda, alignment)
{
	static const char *const skews[] = { "256", "4096", "65280" };

	for (size_t i = 0; i < ARRAY_SIZE(skews); i++) {
		setenv("CUDA_STUB_SKEW", skews[i], 1);
		ASSERT_EQ(0, attach(self)) {
			TH_LOG("%s: %s", skews[i], self->said);
		}
		EXPECT_EQ(0, uffdvram_cuda_addr(self->cuda) % GPU_PAGE);
		use(_metadata, self);
		end(_metadata, self);
	}
}

/* The thread's own context is there again afterwards. */
TEST_F(cuda, own_context)
{
	void *lib, *context;
	struct cuda_stub_state s;
	struct cuda_calls cu;

	ASSERT_EQ(0, attach(self));
	context = uffdvram_cuda_context(self->cuda);
	lib = dlopen(LIBCUDA, RTLD_NOW);
	ASSERT_NE(NULL, lib);
	*(void **)&cu.push = dlsym(lib, "cuCtxPushCurrent_v2");
	*(void **)&cu.pop = dlsym(lib, "cuCtxPopCurrent_v2");
	ASSERT_EQ(0, cu.push(context));
	EXPECT_EQ(0, uffdvram_pool_detach(self->pool, 0, NULL));
	EXPECT_EQ(0, uffdvram_cuda_free(self->cuda));
	ASSERT_EQ(0, attach(self));
	s = cuda_state();
	EXPECT_EQ(1, s.current);
	EXPECT_EQ(0, cu.pop(&context));
	dlclose(lib);
	end(_metadata, self);
}

static void fails_as(struct __test_metadata *_metadata, FIXTURE_DATA(cuda) *self,
		     const char *how, int ret)
{
	int fds = count_fds();

	self->cuda = NULL;
	self->pool = NULL;
	setenv("CUDA_STUB_FAIL", how, 1);
	EXPECT_EQ(ret, attach(self)) {
		TH_LOG("%s", how);
	}
	unsetenv("CUDA_STUB_FAIL");
	EXPECT_EQ(NULL, self->cuda);
	EXPECT_EQ(NULL, self->pool);
	EXPECT_EQ(fds, count_fds());
}

/* Each of CUDA's calls in turn: nothing stays, the log says which it was. */
TEST_F(cuda, each_call_fails)
{
	static const char *const calls[] = {
		"cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuCtxPushCurrent",
		"cuMemAlloc", "cuPointerSetAttribute", "cuCtxPopCurrent",
	};
	static const char *const names[] = {
		"cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuCtxPushCurrent_v2",
		"cuMemAlloc_v2", "cuPointerSetAttribute", "cuCtxPopCurrent_v2",
	};
	char how[64];

	/* The stand-in opens its device when it is first used, and keeps it. */
	ASSERT_EQ(0, attach(self));
	end(_metadata, self);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		snprintf(how, sizeof(how), "%s=2", names[i]);
		fails_as(_metadata, self, how, -ENOMEM);
		EXPECT_EQ(0, strncmp(self->said, calls[i], strlen(calls[i]))) {
			TH_LOG("%s", self->said);
		}
		EXPECT_NE(NULL, strstr(self->said, ": CUDA_ERROR_OUT_OF_MEMORY (2)"));
		EXPECT_TRUE(nothing_left(self->gpu)) {
			TH_LOG("%s", how);
		}
	}
	ASSERT_EQ(0, attach(self));
	use(_metadata, self);
	end(_metadata, self);
}

TEST_F(cuda, errnos)
{
	static const struct { int result, ret; } cases[] = {
		{ 1, -EINVAL }, { 2, -ENOMEM }, { 3, -EIO }, { 34, -ELIBBAD },
		{ 46, -EBUSY }, { 100, -ENXIO }, { 101, -ENXIO }, { 214, -EIO },
		{ 700, -EIO }, { 800, -EPERM }, { 801, -EOPNOTSUPP }, { 802, -EAGAIN },
		{ 803, -ELIBBAD }, { 804, -ELIBBAD }, { 999, -EIO },
	};
	char how[64];

	ASSERT_EQ(0, attach(self));
	end(_metadata, self);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(how, sizeof(how), "cuDevicePrimaryCtxRetain=%d", cases[i].result);
		fails_as(_metadata, self, how, cases[i].ret);
	}
	/* A name for it is not always to be had. */
	EXPECT_STREQ("cuDevicePrimaryCtxRetain: an error without a name (999)", self->said);
	EXPECT_TRUE(nothing_left(self->gpu));
}

/*
 * What goes wrong at the end is told, and the handle is freed. In a child: nothing
 * but the end of the process gives back what CUDA did not.
 */
static int free_badly(int sock, void *arg)
{
	static const struct { const char *how; int ret; } cases[] = {
		{ "cuCtxPushCurrent_v2=201", -EIO },
		{ "cuMemFree_v2=700", -EIO },
		{ "cuCtxPopCurrent_v2=2", -ENOMEM },
		{ "cuDevicePrimaryCtxRelease_v2=801", -EOPNOTSUPP },
	};
	FIXTURE_DATA(cuda) *self = arg;
	struct cuda_stub_state s;

	(void)sock;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (attach(self) || uffdvram_pool_detach(self->pool, 0, NULL))
			return 1;
		setenv("CUDA_STUB_FAIL", cases[i].how, 1);
		if (uffdvram_cuda_free(self->cuda) != cases[i].ret)
			return 10 + i;
		unsetenv("CUDA_STUB_FAIL");
	}
	/* The first two left their memory, the last one the context. */
	s = cuda_state();
	return s.allocations == 2 && s.retained == 1 && !s.current ? 0 : 2;
}

TEST_F(cuda, free_fails)
{
	EXPECT_EQ(0, run_child(free_badly, self));
	EXPECT_EQ(0, uffdvram_cuda_free(NULL));
}

TEST_F(cuda, no_libcuda)
{
	self->opts.libcuda = NULL;
	EXPECT_EQ(-ELIBACC, attach(self));
	EXPECT_NE(NULL, strstr(self->said, "libcuda.so.1")) {
		TH_LOG("%s", self->said);
	}
	self->opts.libcuda = "/nonexistent/libcuda.so";
	EXPECT_EQ(-ELIBACC, attach(self));
	/* Some other library. */
	self->opts.libcuda = "libc.so.6";
	EXPECT_EQ(-ELIBBAD, attach(self));
	EXPECT_NE(NULL, strstr(self->said, "cuInit")) {
		TH_LOG("%s", self->said);
	}
}

TEST_F(cuda, default_library)
{
	self->opts.libcuda = NULL;
	ASSERT_EQ(0, symlink(LIBCUDA, DEFAULT));
	EXPECT_EQ(0, attach(self)) {
		TH_LOG("%s", self->said);
	}
	unlink(DEFAULT);
	end(_metadata, self);
}

/* No GPU, no driver, no module; and a GPU that cannot be used. */
TEST_F(cuda, no_gpu)
{
	ASSERT_EQ(0, attach(self));
	end(_metadata, self);
	self->opts.gpu = 1;
	EXPECT_EQ(-ENXIO, attach(self));
	self->opts.gpu = UINT32_MAX;
	EXPECT_EQ(-ENXIO, attach(self));
	self->opts.gpu = 0;
	stub_knob("get_error", "-524");
	EXPECT_EQ(-EOPNOTSUPP, attach(self));
	stub_knob("get_error", "0");
	EXPECT_TRUE(nothing_left(self->gpu));
	ASSERT_TRUE(wait_until(module_unloads, "uffdvram_nvidia", 60000));
	EXPECT_EQ(-EOPNOTSUPP, attach(self));
	ASSERT_EQ(0, module_load("uffdvram-nvidia"));
	EXPECT_TRUE(nothing_left(self->gpu));
}

TEST_F(cuda, no_driver)
{
	close(self->gpu);
	ASSERT_TRUE(wait_until(module_unloads, "nvidia_stub", 60000));
	EXPECT_EQ(-ENXIO, attach(self));
	EXPECT_STREQ("cuInit: CUDA_ERROR_NO_DEVICE (100)", self->said);
	ASSERT_EQ(0, module_load("nvidia-stub"));
	self->gpu = stub_open();
}

TEST_F(cuda, options)
{
	static const uint64_t sizes[] = { 0, 4096, BYTES + 4096, -GPU_PAGE };
	struct { struct uffdvram_cuda_opts opts; uint64_t more; } longer = {
		{ .size = sizeof(longer), .bytes = BYTES }, 1,
	};

	EXPECT_EQ(-EINVAL, uffdvram_cuda_attach(&self->cuda, &self->pool, self->ctx, NULL));
	EXPECT_EQ(-E2BIG, uffdvram_cuda_attach(&self->cuda, &self->pool, self->ctx,
					       &longer.opts));
	/* The first release's end is the least. */
	self->opts.size = offsetof(struct uffdvram_cuda_opts, fault_bytes) - 1;
	EXPECT_EQ(-EINVAL, attach(self));
	self->opts.size = sizeof(self->opts);
	self->opts.fault_bytes = PAGE + 1;
	EXPECT_EQ(-EINVAL, attach(self));
	self->opts.fault_bytes = 0;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		self->opts.bytes = sizes[i];
		EXPECT_EQ(-EINVAL, attach(self)) {
			TH_LOG("%#llx", (unsigned long long)sizes[i]);
		}
	}
	/* More than the GPU has. */
	self->opts.bytes = 1ULL << 40;
	EXPECT_EQ(-ENOMEM, attach(self));
	self->opts.bytes = BYTES;
	self->opts.flags = 1U << 31;
	EXPECT_EQ(-EOPNOTSUPP, attach(self));
	EXPECT_TRUE(nothing_left(self->gpu));
}

/* The context ends its pools; the memory is freed after it. */
TEST_F(cuda, close_first)
{
	ASSERT_EQ(0, attach(self));
	uffdvram_close(self->ctx);
	EXPECT_EQ(0, uffdvram_cuda_free(self->cuda));
	EXPECT_TRUE(wait_until(gpu_is_free, &self->gpu, 60000));
	ASSERT_EQ(0, uffdvram_open(&self->ctx, NULL));
}

/* A shared pool stays, and its memory with it. */
TEST_F(cuda, shared)
{
	struct uffdvram_range_opts ropts = { .size = sizeof(ropts) };
	struct uffdvram_range *range;

	self->opts.flags = UFFDVRAM_POOL_SHARED;
	ASSERT_EQ(0, attach(self));
	EXPECT_EQ(0, uffdvram_cuda_free(self->cuda));
	EXPECT_EQ(1, stub_look(self->gpu).tables);
	ropts.pool = self->pool;
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uffdvram_range_register(&range, self->ctx, ADDR(self->mem), LEN, &ropts));
	ASSERT_EQ(PAGES, uv_to_vram(uffdvram_fd(self->ctx), self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(0, uffdvram_pool_detach(self->pool, 0, NULL));
	EXPECT_TRUE(nothing_left(self->gpu));
}

/* The example, with what plays CUDA's library; and what it says when that fails. */
static int run_fill(const char *fail, char *said, size_t size)
{
	char cmd[256];
	size_t n;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "%s%s LD_LIBRARY_PATH=/files /files/fill 4 2>&1",
		 fail ? "CUDA_STUB_FAIL=" : "", fail ?: "");
	f = popen(cmd, "re");
	if (!f)
		give_up("popen");
	n = fread(said, 1, size - 1, f);
	said[n] = '\0';
	return WEXITSTATUS(pclose(f));
}

TEST_F(cuda, example)
{
	static const char *const calls[] = {
		"cuModuleLoadData", "cuModuleGetFunction", "cuLaunchKernel", "cuCtxSynchronize",
	};
	char said[512], how[64];

	EXPECT_EQ(0, run_fill(NULL, said, sizeof(said))) {
		TH_LOG("%s", said);
	}
	EXPECT_STREQ("fill: the kernel wrote 4 MiB, and all of it arrived\n", said);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		snprintf(how, sizeof(how), "%s=700", calls[i]);
		EXPECT_EQ(1, run_fill(how, said, sizeof(said)));
		EXPECT_NE(NULL, strstr(said, calls[i])) {
			TH_LOG("%s", said);
		}
		/* It has ended with the pool in use. */
		EXPECT_TRUE(wait_until(gpu_is_free, &self->gpu, 60000));
	}
	EXPECT_EQ(1, run_fill("cuMemAlloc_v2=2", said, sizeof(said)));
	EXPECT_NE(NULL, strstr(said, "uffdvram_cuda_attach: ENOMEM")) {
		TH_LOG("%s", said);
	}
}

TEST_HARNESS_MAIN
