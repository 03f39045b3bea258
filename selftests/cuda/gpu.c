// SPDX-License-Identifier: GPL-2.0-only
/*
 * gpu: what scripts/gpu-check and tests on a real card need of one.
 *
 *   gpu info			CUDA's version and the GPU, as JSON
 *   gpu attach FD BYTES FLAGS	attach memory to the context that is open as FD;
 *				prints 0 or a negative errno, and the pool's number
 *   gpu bench MIB		bandwidths as JSON; every byte is checked
 *
 * Exit status: 0 done, 1 failed, 2 wrong usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <uffdvram/uffdvram.h>

#include "../../lib/ctl/json.h"
#include "cu.h"
#include "say.h"

#define POOLS	"/sys/kernel/debug/uffdvram/pools"
#define PAGE	4096UL
#define FAULTS	1024	/* pages that are touched one by one */

static int info(void)
{
	struct json j = { .out = stdout };
	char name[128], id[32];
	int device, version;

	cu("cuInit", cuInit(0));
	cu("cuDriverGetVersion", cuDriverGetVersion(&version));
	cu("cuDeviceGet", cuDeviceGet(&device, 0));
	cu("cuDeviceGetName", cuDeviceGetName(name, sizeof(name), device));
	cu("cuDeviceGetPCIBusId", cuDeviceGetPCIBusId(id, sizeof(id), device));
	json_open(&j, NULL, '{');
	json_str(&j, "name", name);
	json_str(&j, "pci", id);
	json_u64(&j, "cuda", version);
	json_close(&j, '}');
	return 0;
}

/* The pool is the context's, and its memory stays when this process ends. */
static int attach(char **argv)
{
	struct uffdvram_cuda_opts opts = {
		.size = sizeof(opts), .bytes = strtoull(argv[1], NULL, 0),
		.flags = strtoul(argv[2], NULL, 0),
		.fault_bytes = strtoull(argv[3], NULL, 0),
	};
	const struct uffdvram_open_opts oopts = { .size = sizeof(oopts), .log = say };
	struct uffdvram_cuda *cuda = NULL;
	struct uffdvram_pool *pool = NULL;
	struct uffdvram_ctx *ctx;
	int ret;

	lib("uffdvram_open_fd", uffdvram_open_fd(&ctx, atoi(argv[0]), &oopts));
	ret = uffdvram_cuda_attach(&cuda, &pool, ctx, &opts);
	printf("%d %u\n", ret, ret ? 0 : uffdvram_pool_number(pool));
	uffdvram_close(ctx);
	if (!ret)
		lib("uffdvram_cuda_free", uffdvram_cuda_free(cuda));
	return 0;
}

struct bench {
	struct json j;
	struct uffdvram_ctx *ctx;
	struct uffdvram_range *range;
	size_t len;
	uint64_t *mem, *buf;
	struct timespec begin;
};

static void begin(struct bench *b)
{
	clock_gettime(CLOCK_MONOTONIC, &b->begin);
}

static uint64_t elapsed_ns(const struct bench *b)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - b->begin.tv_sec) * 1000000000ULL + now.tv_nsec -
	       b->begin.tv_nsec;
}

/* In units of 10^6 bytes a second. */
static void report(struct bench *b, const char *what)
{
	json_u64(&b->j, what, b->len * 1000 / (elapsed_ns(b) | 1));
}

static uint64_t word(size_t i, uint64_t seed)
{
	return (i + seed) * 0x9e3779b97f4a7c15ULL;
}

static void fill(uint64_t *p, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len / sizeof(*p); i++)
		p[i] = word(i, seed);
}

static void check(const char *when, const uint64_t *p, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len / sizeof(*p); i++)
		if (p[i] != word(i, seed))
			die("%s: word %zu is %#llx, not %#llx", when, i,
			    (unsigned long long)p[i], (unsigned long long)word(i, seed));
}

static void move(struct bench *b, const char *what, uint32_t flags)
{
	struct uffdvram_moved m = { .size = sizeof(m) };

	begin(b);
	lib("uffdvram_range_move", uffdvram_range_move(b->range, 0, b->len, flags, &m));
	if (what)
		report(b, what);
	if ((m.moved + m.already) * PAGE != b->len)
		die("%s: only %llu pages moved", what ?: "move", (unsigned long long)m.moved);
}

static void faults(struct bench *b)
{
	size_t n = b->len / PAGE < FAULTS ? b->len / PAGE : FAULTS;
	volatile char *at = (volatile char *)b->mem;

	begin(b);
	for (size_t i = 0; i < n; i++)
		at[i * PAGE];
	json_u64(&b->j, "fault_ns", elapsed_ns(b) / n);
}

static void measure(struct bench *b)
{
	fill(b->mem, b->len, 1);
	move(b, "move_in_mbs", 0);
	begin(b);
	lib("uffdvram_range_read",
	    uffdvram_range_read(b->range, 0, b->buf, b->len, 0, NULL));
	report(b, "copy_read_mbs");
	check("read", b->buf, b->len, 1);
	fill(b->buf, b->len, 2);
	begin(b);
	lib("uffdvram_range_write",
	    uffdvram_range_write(b->range, 0, b->buf, b->len, 0, NULL));
	report(b, "copy_write_mbs");
	move(b, "move_out_mbs", UFFDVRAM_MOVE_TO_RAM);
	check("after write and move", b->mem, b->len, 2);
	move(b, NULL, 0);
	faults(b);
	check("after faults", b->mem, b->len, 2);
}

/* The module's own words about the pool: how it is mapped, and what it measured. */
static void about(struct bench *b, uint32_t number)
{
	char line[512];
	unsigned int n;
	FILE *f = fopen(POOLS, "re");

	if (!f)
		die("%s: %s", POOLS, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "pool %u ", &n) == 1 && n == number)
			json_str(&b->j, "pool", line);
	}
	fclose(f);
}

static void *map(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	/* Faults shall come page by page. */
	if (madvise(p, len, MADV_NOHUGEPAGE))
		die("madvise: %s", strerror(errno));
	return p;
}

static int bench(size_t len)
{
	const struct uffdvram_open_opts oopts = { .size = sizeof(oopts), .log = say };
	const struct uffdvram_cuda_opts copts = { .size = sizeof(copts), .bytes = len };
	struct uffdvram_range_opts ropts = { .size = sizeof(ropts) };
	struct bench b = {
		.j.out = stdout, .len = len, .mem = map(len), .buf = map(len),
	};
	struct uffdvram_cuda *cuda;

	lib("uffdvram_open", uffdvram_open(&b.ctx, &oopts));
	lib("uffdvram_cuda_attach", uffdvram_cuda_attach(&cuda, &ropts.pool, b.ctx, &copts));
	lib("uffdvram_range_register",
	    uffdvram_range_register(&b.range, b.ctx, (uintptr_t)b.mem, len, &ropts));
	json_open(&b.j, NULL, '{');
	json_u64(&b.j, "bytes", len);
	about(&b, uffdvram_pool_number(ropts.pool));
	measure(&b);
	json_close(&b.j, '}');
	lib("uffdvram_pool_detach", uffdvram_pool_detach(ropts.pool, 0, NULL));
	lib("uffdvram_cuda_free", uffdvram_cuda_free(cuda));
	uffdvram_close(b.ctx);
	return 0;
}

int main(int argc, char **argv)
{
	size_t mib = argc == 3 ? strtoul(argv[2], NULL, 0) : 0;

	if (argc == 2 && !strcmp(argv[1], "info"))
		return info();
	if (argc == 6 && !strcmp(argv[1], "attach"))
		return attach(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "bench") && mib)
		return bench(mib << 20);
	fputs("usage: gpu info | attach FD BYTES FLAGS FAULT_BYTES | bench MIB\n", stderr);
	return 2;
}
