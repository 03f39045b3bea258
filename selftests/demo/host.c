// SPDX-License-Identifier: GPL-2.0-only
/*
 * host: the counters of module and KVM, and the hand that breaks a byte.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

#define DEBUGFS		"/sys/kernel/debug"
#define OURS		DEBUGFS "/uffdvram"

/* Of an entry in /proc/PID/pagemap. */
#define PAGEMAP_SWAPPED		(1ULL << 62)
#define PAGEMAP_FRAME(e)	((e) & ((1ULL << 55) - 1))
/* A device-private page looks swapped out: its pfn is the "swap offset". */
#define PAGEMAP_SWAP_TYPE_BITS	5
/* Above a pfn, a swap entry keeps two flags (accessed, dirty). */
#define SWAP_PFN_MASK		((1ULL << 40) - 1)

static FILE *open_or_fail(const char *path)
{
	FILE *f = fopen(path, "re");

	if (!f)
		demo_fail(DEMO_FAILED, "%s: %m", path);
	return f;
}

static uint64_t kvm_faults(pid_t pid)
{
	uint64_t sum = 0, n;
	glob_t found;
	char path[128];
	size_t i;
	FILE *f;

	snprintf(path, sizeof(path), DEBUGFS "/kvm/%d-*/pf_taken", pid);
	if (glob(path, 0, NULL, &found))
		demo_fail(DEMO_FAILED, "KVM has no counters for QEMU (%s)", path);
	for (i = 0; i < found.gl_pathc; i++) {
		f = open_or_fail(found.gl_pathv[i]);
		if (fscanf(f, "%" SCNu64, &n) == 1)
			sum += n;
		fclose(f);
	}
	globfree(&found);
	return sum;
}

void stats_read(struct stats *s, pid_t pid)
{
	const struct {
		const char *name;
		uint64_t *value;
	} wanted[] = {
		{ "pages_in", &s->pages_in },
		{ "pages_out", &s->pages_out },
		{ "faults", &s->faults },
		{ "fault_pages", &s->fault_pages },
		{ "fault_retries", &s->fault_retries },
		{ "fault_errors", &s->fault_errors },
	};
	const unsigned int n = sizeof(wanted) / sizeof(wanted[0]);
	FILE *f = open_or_fail(OURS "/stats");
	unsigned int i, found = 0;
	char name[64];
	uint64_t value;

	while (fscanf(f, "%63s %" SCNu64, name, &value) == 2) {
		for (i = 0; i < n; i++) {
			if (strcmp(name, wanted[i].name))
				continue;
			*wanted[i].value = value;
			found++;
		}
	}
	fclose(f);
	if (found != n)
		demo_fail(DEMO_FAILED, OURS "/stats lacks counters");
	s->kvm_faults = kvm_faults(pid);
}

void pool_find(struct pool *pool, uint64_t bytes)
{
	FILE *f = open_or_fail(OURS "/pools");
	char backend[16], line[256];

	pool->number = 0;
	while (!pool->number && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "pool %u backend %15s bytes %" SCNu64,
			   &pool->number, backend, &pool->bytes) != 3 ||
		    !strstr(line, "shared 1"))
			pool->number = 0;
	}
	fclose(f);
	if (!pool->number)
		demo_fail(DEMO_FAILED, "no shared pool is attached");
	if (pool->bytes < bytes)
		demo_fail(DEMO_FAILED, "pool %u has %" PRIu64 " MiB, the demo wants %"
			  PRIu64, pool->number, pool->bytes >> 20, bytes >> 20);
}

/* The first frame of the pool's device-private pages. */
static uint64_t pool_first_pfn(void)
{
	FILE *f = open_or_fail("/proc/iomem");
	uint64_t start, end, first = 0;
	char line[256];

	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, "uffdvram"))
			continue;
		if (sscanf(line, " %" SCNx64 "-%" SCNx64, &start, &end) != 2)
			continue;
		if (first)
			demo_fail(DEMO_FAILED, "more than one pool is attached");
		first = start / PAGE_BYTES;
	}
	fclose(f);
	if (!first)
		demo_fail(DEMO_FAILED, "/proc/iomem shows no pool");
	return first;
}

/* The device-private frame behind @addr, or 0. */
static uint64_t vram_pfn(pid_t pid, uint64_t addr, uint64_t first, uint64_t last)
{
	uint64_t entry = 0, pfn;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, &entry, sizeof(entry), addr / PAGE_BYTES *
			    sizeof(entry)) != sizeof(entry))
		demo_fail(DEMO_FAILED, "%s: %m", path);
	close(fd);
	if (!(entry & PAGEMAP_SWAPPED))
		return 0;
	pfn = PAGEMAP_FRAME(entry) >> PAGEMAP_SWAP_TYPE_BITS & SWAP_PFN_MASK;
	return pfn >= first && pfn < last ? pfn : 0;
}

bool flip_byte(pid_t pid, uint64_t addr, const struct pool *pool)
{
	uint64_t first = pool_first_pfn(), last = first + pool->bytes / PAGE_BYTES;
	uint64_t pfn = vram_pfn(pid, addr, first, last);
	FILE *f;

	if (!pfn)
		return false;
	f = fopen(OURS "/knobs/flip", "we");
	if (!f || fprintf(f, "%u %" PRIu64, pool->number, (pfn - first) * PAGE_BYTES +
			  addr % PAGE_BYTES) < 0 || fclose(f))
		demo_fail(DEMO_FAILED, OURS "/knobs/flip: %m");
	/* Still there: so it lay there when the byte was flipped. */
	return vram_pfn(pid, addr, first, last) == pfn;
}
