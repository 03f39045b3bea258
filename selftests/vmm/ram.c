// SPDX-License-Identifier: GPL-2.0-only
/*
 * ram: the guest's memory. It is private anonymous memory, as every VMM has it;
 * a range says which pool its pages may go to, and userfaultfd what is missing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <syslog.h>
#include <unistd.h>

#include "vramvmm.h"

static void open_pool(struct ram *ram, unsigned int number)
{
	const struct uffdvram_pool_opts own = {
		.size = sizeof(own),
		.backend = UFFDVRAM_BACKEND_SIM,
		.bytes = ram->bytes,
	};
	int ret = number ? uffdvram_pool_wrap(&ram->pool, ram->ctx, number)
			 : uffdvram_pool_attach(&ram->pool, ram->ctx, &own);

	if (ret)
		fail(EXIT_SETUP, "no pool: %s", strerror(-ret));
}

/* First armed, then touched: no page can come from elsewhere. */
static void arm(struct ram *ram)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_POISON };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)ram->mem, .len = ram->bytes },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

	ram->uffd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	if (dev < 0 || ram->uffd < 0 || ioctl(ram->uffd, UFFDIO_API, &api) ||
	    ioctl(ram->uffd, UFFDIO_REGISTER, &reg))
		fail(EXIT_SETUP, "userfaultfd: %s", strerror(errno));
	close(dev);
}

static void say_log(void *data, int priority, const char *msg)
{
	(void)data;
	if (priority <= LOG_WARNING)
		fprintf(stderr, "vramvmm: %s\n", msg);
}

void ram_create(struct ram *ram, uint64_t bytes, unsigned int pool)
{
	const struct uffdvram_open_opts open_opts = { .size = sizeof(open_opts), .log = say_log };
	struct uffdvram_range_opts range_opts = { .size = sizeof(range_opts) };
	int ret = uffdvram_open(&ram->ctx, &open_opts);

	if (ret)
		fail(EXIT_SETUP, "%s: %s", UFFDVRAM_DEVICE, strerror(-ret));
	ram->bytes = bytes;
	ram->mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram->mem == MAP_FAILED)
		fail(EXIT_SETUP, "memory: %s", strerror(errno));
	/* VRAM is handed out by the page; huge pages would only be split. */
	madvise(ram->mem, bytes, MADV_NOHUGEPAGE);
	open_pool(ram, pool);
	range_opts.pool = ram->pool;
	ret = uffdvram_range_register(&ram->range, ram->ctx, (uintptr_t)ram->mem, bytes,
				      &range_opts);
	if (ret)
		fail(EXIT_SETUP, "range of %llu MiB in pool %u: %s",
		     (unsigned long long)(bytes >> 20), uffdvram_pool_number(ram->pool),
		     strerror(-ret));
	arm(ram);
}

static int wake(struct ram *ram, uint64_t off, size_t len)
{
	struct uffdio_range range = { (uintptr_t)ram->mem + off, len };

	return ioctl(ram->uffd, UFFDIO_WAKE, &range) ? -errno : 0;
}

enum what { COPY, ZEROS, POISON };

/* Bytes done, or -errno. */
static int64_t install_some(struct ram *ram, enum what what, uint64_t off, const char *buf,
			    size_t len)
{
	uint64_t dst = (uintptr_t)ram->mem + off;
	struct uffdio_copy copy = { .dst = dst, .src = (uintptr_t)buf, .len = len };
	struct uffdio_zeropage zero = { .range = { dst, len } };
	struct uffdio_poison poison = { .range = { dst, len } };
	int64_t done;
	int ret;

	switch (what) {
	case COPY:
		ret = ioctl(ram->uffd, UFFDIO_COPY, &copy);
		done = copy.copy;
		break;
	case ZEROS:
		ret = ioctl(ram->uffd, UFFDIO_ZEROPAGE, &zero);
		done = zero.zeropage;
		break;
	default:
		ret = ioctl(ram->uffd, UFFDIO_POISON, &poison);
		done = poison.updated;
	}
	return ret && done <= 0 ? -errno : done;
}

/*
 * Another thread may have asked for the same page, and a neighbour may have come
 * along with another: what is there already is no error. Whoever waits is woken.
 */
static int64_t install(struct ram *ram, enum what what, uint64_t off, const char *buf,
		       size_t len)
{
	int64_t done, installed = 0;
	uint64_t at = 0;
	int ret;

	while (at < len) {
		done = install_some(ram, what, off + at, buf + at, len - at);
		if (done == -EEXIST) {
			at += PAGE_BYTES;
		} else if (done >= 0) {
			at += done;
			installed += done / PAGE_BYTES;
		} else if (done != -EAGAIN) {
			return done;
		}
	}
	ret = wake(ram, off, len);
	return ret ? ret : installed;
}

int64_t ram_supply(struct ram *ram, uint64_t off, const void *buf, size_t len)
{
	return install(ram, COPY, off, buf, len);
}

int64_t ram_supply_zeros(struct ram *ram, uint64_t off, size_t len)
{
	return install(ram, ZEROS, off, NULL, len);
}

int64_t ram_supply_poison(struct ram *ram, uint64_t off, size_t len)
{
	return install(ram, POISON, off, NULL, len);
}
