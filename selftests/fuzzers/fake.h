/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The module as the library sees it: ioctl() is wrapped by the linker, and answers
 * with the input's bytes where nothing has to hold.
 */
#ifndef UFFDVRAM_FUZZER_FAKE_H
#define UFFDVRAM_FUZZER_FAKE_H

#include <fcntl.h>
#include <stdarg.h>
#include <uffdvram/uffdvram.h>

#include "fuzzer.h"

/* What the answers are made of. */
static struct feed answers;

/* As much as the module promises: never more than was asked for. */
static int fake_query(struct uffdvram_query *q)
{
	struct uffdvram_region *vec = (void *)(uintptr_t)q->vec;

	q->done = q->len;
	q->used = q->vec_len ? feed_u8(&answers) % (q->vec_len + 1) : 0;
	for (uint32_t i = 0; i < q->used; i++)
		feed_bytes(&answers, &vec[i], sizeof(vec[i]));
	feed_bytes(&answers, q->count, sizeof(q->count));
	return 0;
}

static int fake_ioctl(unsigned long cmd, void *arg)
{
	switch (cmd) {
	case UFFDVRAM_INFO:
		feed_bytes(&answers, (char *)arg + sizeof(uint32_t),
			   sizeof(struct uffdvram_info) - sizeof(uint32_t));
		((struct uffdvram_info *)arg)->abi = UFFDVRAM_ABI;
		return 0;
	case UFFDVRAM_OPEN_PID:
		((struct uffdvram_open_pid *)arg)->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		return 0;
	case UFFDVRAM_QUERY:
		return fake_query(arg);
	case UFFDVRAM_MIGRATE:
		((struct uffdvram_migrate *)arg)->done = ((struct uffdvram_migrate *)arg)->len;
		feed_bytes(&answers, ((struct uffdvram_migrate *)arg)->stayed,
			   sizeof(((struct uffdvram_migrate *)arg)->stayed));
		return 0;
	case UFFDVRAM_POOL_ATTACH:
		((struct uffdvram_pool_attach *)arg)->pool = 1 + feed_u8(&answers);
		return 0;
	case UFFDVRAM_RANGE_REGISTER:
		((struct uffdvram_range_register *)arg)->range = 1 + feed_u8(&answers);
		return 0;
	}
	return 0;
}

int __wrap_ioctl(int fd, unsigned long cmd, ...);
int __wrap_ioctl(int fd, unsigned long cmd, ...)
{
	uint8_t err = feed_u8(&answers);
	va_list ap;
	void *arg;

	(void)fd;
	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	/* Signals in the middle are lib_fake's; here they could go on for ever. */
	if (err >= 0xe0 && err - 0xe0 != EINTR && err - 0xe0 != EAGAIN && err != 0xe0) {
		errno = err - 0xe0;
		return -1;
	}
	return fake_ioctl(cmd, arg);
}

#endif /* UFFDVRAM_FUZZER_FAKE_H */
