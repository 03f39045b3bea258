// SPDX-License-Identifier: GPL-2.0-only
/*
 * fill [MIB]: a kernel on an NVIDIA GPU writes into memory of this process.
 *
 * Memory of the GPU becomes a pool; private anonymous memory, such as a VMM's guest
 * has, becomes a linear range of it: what the CPU has at offset x of the one, the
 * GPU has at offset x of the other. When its pages are in VRAM a kernel fills it, and
 * then the CPU reads what the kernel wrote: half of it where it is, half by touching
 * it, which brings it home.
 *
 * Exit status: 0: all bytes are right.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <uffdvram/uffdvram.h>

#include "cu.h"
#include "say.h"

#define THREADS	256
#define SEED	20261121
#define MULT	0x0123456789abcdefULL	/* as in the kernel below */

/* Word i is i * MULT + seed. Open kernel modules begin with Turing: sm_75. */
static const char kernel[] =
".version 6.3\n"
".target sm_75\n"
".address_size 64\n"
"\n"
".visible .entry fill(.param .u64 addr, .param .u64 words, .param .u64 seed)\n"
"{\n"
"	.reg .pred %p;\n"
"	.reg .b32 %block, %size, %thread;\n"
"	.reg .b64 %at, %words, %seed, %i, %t, %value;\n"
"\n"
"	ld.param.u64	%at, [addr];\n"
"	ld.param.u64	%words, [words];\n"
"	ld.param.u64	%seed, [seed];\n"
"	mov.u32		%block, %ctaid.x;\n"
"	mov.u32		%size, %ntid.x;\n"
"	mov.u32		%thread, %tid.x;\n"
"	mul.wide.u32	%i, %block, %size;\n"
"	cvt.u64.u32	%t, %thread;\n"
"	add.u64		%i, %i, %t;\n"
"	setp.ge.u64	%p, %i, %words;\n"
"	@%p bra		END;\n"
"	mul.lo.u64	%value, %i, 0x0123456789abcdef;\n"
"	add.u64		%value, %value, %seed;\n"
"	cvta.to.global.u64 %at, %at;\n"
"	shl.b64		%i, %i, 3;\n"
"	add.u64		%at, %at, %i;\n"
"	st.global.u64	[%at], %value;\n"
"END:\n"
"	ret;\n"
"}\n";

/* The kernel writes @len bytes at @addr, an address of CUDA's. */
static void run_kernel(void *context, uint64_t addr, uint64_t len)
{
	uint64_t words = len / sizeof(uint64_t), seed = SEED;
	void *params[] = { &addr, &words, &seed }, *module, *function, *popped;

	cu("cuCtxPushCurrent", cuCtxPushCurrent_v2(context));
	cu("cuModuleLoadData", cuModuleLoadData(&module, kernel));
	cu("cuModuleGetFunction", cuModuleGetFunction(&function, module, "fill"));
	cu("cuLaunchKernel", cuLaunchKernel(function, (words + THREADS - 1) / THREADS, 1, 1,
					    THREADS, 1, 1, 0, NULL, params, NULL));
	/* Until then nobody knows what the memory holds. */
	cu("cuCtxSynchronize", cuCtxSynchronize());
	cu("cuModuleUnload", cuModuleUnload(module));
	cu("cuCtxPopCurrent", cuCtxPopCurrent_v2(&popped));
}

/* Words @first to @end of what the kernel wrote are at @buf. */
static void check(const uint64_t *buf, uint64_t first, uint64_t end)
{
	uint64_t i;

	for (i = first; i < end; i++)
		if (buf[i - first] != i * MULT + SEED)
			die("word %llu is %#llx, not what the kernel writes",
			    (unsigned long long)i, (unsigned long long)buf[i - first]);
}

static void read_back(struct uffdvram_range *range, const uint64_t *mem, size_t len)
{
	uint64_t half = len / 2, words = half / sizeof(*mem), *buf = malloc(half);

	if (!buf)
		die("no memory");
	lib("uffdvram_range_read", uffdvram_range_read(range, 0, buf, half, 0, NULL));
	check(buf, 0, words);
	free(buf);
	check(mem + words, words, 2 * words);
}

int main(int argc, char **argv)
{
	size_t len = (argc > 1 ? strtoul(argv[1], NULL, 0) : 16) << 20;
	const struct uffdvram_open_opts oopts = { .size = sizeof(oopts), .log = say };
	/* Unchecked: what the GPU writes has no checksum. */
	const struct uffdvram_cuda_opts copts = {
		.size = sizeof(copts), .bytes = len, .flags = UFFDVRAM_POOL_UNCHECKED,
	};
	struct uffdvram_range_opts ropts = {
		.size = sizeof(ropts), .flags = UFFDVRAM_RANGE_LINEAR,
	};
	struct uffdvram_moved moved = { .size = sizeof(moved) };
	struct uffdvram_range *range;
	struct uffdvram_cuda *cuda;
	struct uffdvram_ctx *ctx;
	void *mem;

	mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!len || mem == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	lib("uffdvram_open", uffdvram_open(&ctx, &oopts));
	lib("uffdvram_cuda_attach", uffdvram_cuda_attach(&cuda, &ropts.pool, ctx, &copts));
	lib("uffdvram_range_register",
	    uffdvram_range_register(&range, ctx, (uintptr_t)mem, len, &ropts));
	lib("uffdvram_range_move", uffdvram_range_move(range, 0, len, 0, &moved));
	if (moved.moved * 4096 != len)
		die("only %llu pages went to VRAM", (unsigned long long)moved.moved);
	run_kernel(uffdvram_cuda_context(cuda), uffdvram_cuda_addr(cuda) + ropts.pool_off, len);
	read_back(range, mem, len);
	lib("uffdvram_pool_detach", uffdvram_pool_detach(ropts.pool, 0, NULL));
	lib("uffdvram_cuda_free", uffdvram_cuda_free(cuda));
	uffdvram_close(ctx);
	printf("fill: the kernel wrote %zu MiB, and all of it arrived\n", len >> 20);
	return 0;
}
