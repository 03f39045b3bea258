/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * References on pages that last until they are given back: a pipe's, those of io_uring's fixed
 * buffers, and those that drivers take for devices.
 */
#ifndef UFFDVRAM_SELFTESTS_LONG_PIN_H
#define UFFDVRAM_SELFTESTS_LONG_PIN_H

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util_mm.h"

/* The kernel's mm/gup_test.h */
struct pin_longterm_test {
	uint64_t addr;
	uint64_t size;
	uint32_t flags;
};
#define PIN_LONGTERM_TEST_START		_IOW('g', 7, struct pin_longterm_test)
#define PIN_LONGTERM_TEST_STOP		_IO('g', 8)
#define PIN_LONGTERM_TEST_READ		_IOW('g', 9, uint64_t)
#define PIN_LONGTERM_TEST_FLAG_USE_FAST	2

/* struct long_pin - who holds them; @to: where a pipe is read */
struct long_pin {
	int fd;
	int to;
};

/* vmsplice() puts the pages themselves into a pipe. */
static inline int pipe_begin(struct long_pin *p, void *at, size_t len)
{
	struct iovec iov = { at, len };
	ssize_t n;
	int fds[2];

	if (pipe(fds))
		return -errno;
	p->fd = fds[1];
	p->to = fds[0];
	n = vmsplice(p->fd, &iov, 1, 0);
	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EIO;
}

static inline bool pipe_shows(struct long_pin *p, void *buf, size_t len)
{
	return read(p->to, buf, len) == (ssize_t)len;
}

static inline void pipe_end(struct long_pin *p)
{
	close(p->fd);
	close(p->to);
}

static inline int ring_begin(struct long_pin *p, void *at, size_t len)
{
	struct io_uring_params params = {};
	struct iovec iov = { at, len };

	p->fd = syscall(SYS_io_uring_setup, 1, &params);
	if (p->fd < 0)
		return -errno;
	return syscall(SYS_io_uring_register, p->fd, IORING_REGISTER_BUFFERS, &iov, 1) ? -errno : 0;
}

static inline void ring_end(struct long_pin *p)
{
	syscall(SYS_io_uring_register, p->fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
	close(p->fd);
}

/* FOLL_LONGTERM, as drivers do for devices; NULL: the kernel has it, or why not */
static inline const char *longterm_lacks(void)
{
	return access("/sys/kernel/debug/gup_test", R_OK) ? "no GUP_TEST in this kernel" : NULL;
}

static inline int longterm(struct long_pin *p, void *at, size_t len, uint32_t flags)
{
	struct pin_longterm_test arg = { .addr = ADDR(at), .size = len, .flags = flags };

	p->fd = open("/sys/kernel/debug/gup_test", O_RDWR | O_CLOEXEC);
	if (p->fd < 0)
		return -errno;
	return ioctl(p->fd, PIN_LONGTERM_TEST_START, &arg) ? -errno : 0;
}

static inline int longterm_begin(struct long_pin *p, void *at, size_t len)
{
	return longterm(p, at, len, 0);
}

static inline int longterm_fast_begin(struct long_pin *p, void *at, size_t len)
{
	return longterm(p, at, len, PIN_LONGTERM_TEST_FLAG_USE_FAST);
}

static inline bool longterm_shows(struct long_pin *p, void *buf, size_t len)
{
	uint64_t addr = ADDR(buf);

	(void)len;
	return !ioctl(p->fd, PIN_LONGTERM_TEST_READ, &addr);
}

static inline void longterm_end(struct long_pin *p)
{
	ioctl(p->fd, PIN_LONGTERM_TEST_STOP);
	close(p->fd);
}

#endif /* UFFDVRAM_SELFTESTS_LONG_PIN_H */
