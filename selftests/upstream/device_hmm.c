// SPDX-License-Identifier: GPL-2.0-only
/*
 * The shim on the kernel's own test_hmm instead of our module (see
 * lib/preload/device.c): what a program does differently under this one is not
 * our module's doing. For selftests/upstream/differences.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <sys/types.h>

#include <linux/uffdvram.h>

#include "../../lib/preload/raw.h"
#include "../../lib/preload/shim.h"

/* As lib/test_hmm_uapi.h has it. */
struct hmm_dmirror_cmd {
	__u64 addr, ptr, npages, cpages, faults;
};

#define HMM_DMIRROR_MIGRATE_TO_DEV	_IOWR('H', 0x02, struct hmm_dmirror_cmd)
#define PAGEMAP_PRESENT			(1ULL << 63)
#define LOOK_PAGES			512

/* MIGRATE_TO_DEV returns the bytes, too. */
static char bytes[64 * PAGE];
static int pagemap = -1;
static uint32_t next_range;

int device_open(void)
{
	long fd = raw(SYS_open, "/dev/hmm_dmirror0", O_RDWR | O_CLOEXEC);

	if (raw_failed(fd))
		return fd;
	shim.fd = raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 1000);
	raw(SYS_close, fd);
	fd = raw(SYS_open, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (raw_failed(fd))
		return fd;
	pagemap = raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 1001);
	raw(SYS_close, fd);
	return shim.fd < 0 ? shim.fd : pagemap < 0 ? pagemap : 0;
}

void device_close(void)
{
	raw(SYS_close, shim.fd);
	raw(SYS_close, pagemap);
	shim.fd = -1;
	pagemap = -1;
}

int device_register(uint64_t start, uint64_t end, uint32_t *range)
{
	(void)start;
	(void)end;
	*range = ++next_range;
	return 0;
}

void device_unregister(uint32_t range)
{
	(void)range;
}

uint64_t device_migrate(uint64_t start, uint64_t end)
{
	struct hmm_dmirror_cmd cmd = {
		.addr = start,
		.ptr = (uintptr_t)bytes,
		.npages = (end - start) / PAGE,
	};

	return raw(SYS_ioctl, shim.fd, HMM_DMIRROR_MIGRATE_TO_DEV, &cmd) ? 0 : cmd.cpages;
}

unsigned int device_query(uint64_t start, uint64_t end, struct uffdvram_region *vec,
			  unsigned int n)
{
	uint64_t entries[LOOK_PAGES];
	uint64_t pages = (end - start) / PAGE;
	unsigned int used = 0;
	long got;

	if (pages > LOOK_PAGES)
		pages = LOOK_PAGES;
	got = raw(SYS_pread64, pagemap, entries, pages * 8, start / PAGE * 8);
	for (long i = 0; i < got / 8; i++) {
		uint32_t state = entries[i] & PAGEMAP_PRESENT ? UFFDVRAM_STATE_PRESENT :
								UFFDVRAM_STATE_OTHER;

		if (!used || vec[used - 1].state != state) {
			if (used == n)
				break;
			vec[used++] = (struct uffdvram_region){
				.start = start + i * PAGE,
				.state = state,
			};
		}
		vec[used - 1].end = start + (i + 1) * PAGE;
	}
	return used;
}

/* It does not tell. */
uint64_t device_fault_backs(void)
{
	return 0;
}
