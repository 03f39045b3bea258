// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The shim's side of /dev/uffdvram: raw ioctls, no libuffdvram, for nothing here
 * may allocate or touch errno.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <linux/uffdvram.h>

#include "raw.h"
#include "shim.h"

static long device_ioctl(unsigned long cmd, void *arg)
{
	return raw(SYS_ioctl, shim.fd, cmd, arg);
}

/*
 * As high as the limit allows: out of the way of programs that count on the next
 * number, close a row of them, or dup2() to one of their choice.
 */
static int move_high(int fd)
{
	struct rlimit lim = { .rlim_cur = 256 };
	long high;

	raw(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &lim);
	if (lim.rlim_cur > 65536)
		lim.rlim_cur = 65536;
	if (lim.rlim_cur < 16)
		return fd;
	high = raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lim.rlim_cur - 8);
	if (raw_failed(high))
		return fd;
	raw(SYS_close, fd);
	return high;
}

static int use_pool(uint32_t pool)
{
	shim.pool = pool;
	return pool ? 0 : -ENODEV;
}

static int attach_pool(void)
{
	struct uffdvram_pool_attach arg = {
		.size = sizeof(arg),
		.backend = UFFDVRAM_BACKEND_SIM,
		.bytes = shim.pool_bytes,
	};
	int ret = device_ioctl(UFFDVRAM_POOL_ATTACH, &arg);

	shim.pool = arg.pool;
	return ret;
}

int device_open(void)
{
	long fd = raw(SYS_open, UFFDVRAM_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct uffdvram_info info = { .size = sizeof(info) };
	int ret;

	if (raw_failed(fd))
		return fd;
	shim.fd = move_high(fd);
	ret = device_ioctl(UFFDVRAM_INFO, &info);
	shim.events = shim.mode_wanted == SHIM_CHAOS &&
		      (info.features & UFFDVRAM_FEATURE_EVENTS);
	if (!ret && shim.pool_bytes)
		ret = attach_pool();
	else if (!ret && !shim.pool)
		ret = use_pool(info.pool);
	if (ret)
		device_close();
	return ret;
}

void device_close(void)
{
	if (shim.fd >= 0)
		raw(SYS_close, shim.fd);
	shim.fd = -1;
}

int device_register(uint64_t start, uint64_t end, uint32_t *range)
{
	struct uffdvram_range_register arg = {
		.size = sizeof(arg),
		.flags = shim.events ? UFFDVRAM_RANGE_FAULT_EVENTS : 0,
		.pool = shim.pool,
		.addr = start,
		.len = end - start,
	};
	long ret = device_ioctl(UFFDVRAM_RANGE_REGISTER, &arg);

	*range = arg.range;
	return ret;
}

void device_unregister(uint32_t range)
{
	struct uffdvram_range_unregister arg = {
		.size = sizeof(arg),
		.range = range,
	};

	device_ioctl(UFFDVRAM_RANGE_UNREGISTER, &arg);
}

/* Returns the pages that moved, whatever else happened. */
uint64_t device_migrate(uint64_t start, uint64_t end)
{
	struct uffdvram_migrate arg = {
		.size = sizeof(arg),
		.flags = UFFDVRAM_MIGRATE_POPULATED,
		.addr = start,
		.len = end - start,
	};

	device_ioctl(UFFDVRAM_MIGRATE, &arg);
	return arg.moved;
}

unsigned int device_query(uint64_t start, uint64_t end, struct uffdvram_region *vec,
			  unsigned int n)
{
	struct uffdvram_query arg = {
		.size = sizeof(arg),
		.addr = start,
		.len = end - start,
		.vec = (uintptr_t)vec,
		.vec_len = n,
	};

	return device_ioctl(UFFDVRAM_QUERY, &arg) ? 0 : arg.used;
}

/*
 * Pages that faults brought home since the last call, by the context's events.
 * Events that nobody read in time are lost: then it is less than there were.
 */
uint64_t device_fault_backs(void)
{
	struct uffdvram_event events[32];
	uint64_t pages = 0;
	long n;

	do {
		n = raw(SYS_read, shim.fd, events, sizeof(events));
		for (long i = 0; i < n / (long)sizeof(events[0]); i++)
			/* NOLINTNEXTLINE(*.UndefinedBinaryOperatorResult): the kernel wrote it */
			if (events[i].type == UFFDVRAM_EVENT_FAULT_BACK)
				pages += events[i].len / PAGE;
	} while (n == sizeof(events));
	return pages;
}
