/* SPDX-License-Identifier: GPL-2.0-only */
/* A page that somebody holds a reference on, for as long as he likes: a pipe. */
#ifndef UFFDVRAM_SELFTESTS_PIN_H
#define UFFDVRAM_SELFTESTS_PIN_H

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

/** struct pin - a page that a pipe holds */
struct pin {
	int p[2];
};

static inline void pin_page(struct pin *pin, void *page)
{
	struct iovec iov = { .iov_base = page, .iov_len = PAGE };

	if (pipe(pin->p) || vmsplice(pin->p[1], &iov, 1, 0) != (ssize_t)PAGE)
		give_up("a pinned page");
}

static inline void unpin(struct pin *pin)
{
	close(pin->p[0]);
	close(pin->p[1]);
}

#endif /* UFFDVRAM_SELFTESTS_PIN_H */
