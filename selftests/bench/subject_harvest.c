// SPDX-License-Identifier: GPL-2.0-only
/* What was written, as we tell it, and as PAGEMAP_SCAN does; and leases. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/fs.h>
#include <uffdvram/access.h>
#include <uffdvram/harvest.h>

#include "bench.h"

struct room {
	void *mem;
	size_t bytes;
};

/* Room for an answer of @bytes: zeroes at first. Kept for the next time. */
static void *answer_room(struct room *room, size_t bytes)
{
	if (bytes > room->bytes) {
		free(room->mem);
		room->mem = calloc(1, bytes);
		if (!room->mem)
			give_up("calloc");
		room->bytes = bytes;
	}
	return room->mem;
}

static size_t bits_take(uint64_t *bits, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < (len / PAGE + 63) / 64; i++) {
		n += __builtin_popcountll(bits[i]);
		bits[i] = 0;
	}
	return n;
}

/* A bitmap: ours, or what PAGEMAP_SCAN's regions come to. */
static uint64_t *harvest_bits(size_t len)
{
	static struct room room;

	return answer_room(&room, (len / PAGE + 63) / 64 * sizeof(uint64_t));
}

void ours_harvest(char *mem, size_t len)
{
	static int pagemap = -1;

	(void)mem;
	if (pagemap < 0)
		pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	must(uffdvram_harvest(ours_range, 0, len, pagemap, harvest_bits(len), NULL), "harvest");
}

size_t ours_harvested(size_t len)
{
	return bits_take(harvest_bits(len), len);
}

static struct page_region *scan_regions(size_t len)
{
	static struct room room;

	return answer_room(&room, len / PAGE * sizeof(struct page_region));
}

static int scan_found;

/*
 * All in one call: there is room for all. (Where it ended it does not say, once it has
 * found more than 512 regions: walk_end is old then.)
 */
void scan_harvest(char *mem, size_t len)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = ADDR(mem), .end = ADDR(mem) + len,
		.vec = ADDR(scan_regions(len)), .vec_len = len / PAGE,
		.category_mask = PAGE_IS_WRITTEN, .return_mask = PAGE_IS_WRITTEN,
	};

	scan_found = ioctl(subject_fd, PAGEMAP_SCAN, &arg);
	must(scan_found < 0 ? -errno : 0, "PAGEMAP_SCAN");
}

/* The next answer is to find its room there: all of it is touched. */
size_t scan_harvested(size_t len)
{
	struct page_region *vec = scan_regions(len);
	size_t pages = 0;

	for (int i = 0; i < scan_found; i++)
		pages += (vec[i].end - vec[i].start) / PAGE;
	memset(vec, 0, len / PAGE * sizeof(*vec));
	return pages;
}

/* The same, and a bitmap of it, which is what whoever sends a guest's memory needs. */
void bits_harvest(char *mem, size_t len)
{
	const struct page_region *vec = scan_regions(len);
	uint64_t *bits = harvest_bits(len);
	size_t page, end;

	scan_harvest(mem, len);
	for (int i = 0; i < scan_found; i++) {
		end = (vec[i].end - ADDR(mem)) / PAGE;
		for (page = (vec[i].start - ADDR(mem)) / PAGE; page < end; page++)
			bits[page / 64] |= 1ULL << page % 64;
	}
}

size_t bits_harvested(size_t len)
{
	scan_harvested(len);
	return bits_take(harvest_bits(len), len);
}

void ours_device_write(size_t len, const uint64_t *written)
{
	static struct uffdvram_slot_run runs[8192];
	struct uffdvram_lease lease;

	must(uffdvram_access_begin(ours_range, 0, len, UFFDVRAM_ACCESS_WRITE, runs, 8192,
				   &lease), "begin a lease");
	if (lease.done != len)
		give_up("not all pages are leased");
	must(uffdvram_access_end(ours_ctx, lease.number, written ? 0 : UFFDVRAM_ACCESS_WRITTEN_ALL,
				 written, written ? len / PAGE : 0, NULL), "end a lease");
}

void ours_lease(char *mem, size_t len)
{
	(void)mem;
	ours_device_write(len, NULL);
}

#define HMM_SNAPSHOT	_IOWR('H', 0x04, struct hmm_cmd)

/* It keeps nothing where it is: a driver that only looks where pages are, by HMM. */
void hmm_lease(char *mem, size_t len)
{
	struct hmm_cmd c = { .addr = ADDR(mem), .ptr = ADDR(hmm_data), .npages = len / PAGE };

	must(ioctl(subject_fd, HMM_SNAPSHOT, &c) ? -errno : 0, "test_hmm's snapshot");
}
