/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIBUFFDVRAM_CTX_H
#define LIBUFFDVRAM_CTX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uffdvram/uffdvram.h>

/*
 * First member of each object that ends with its context. uffdvram_find() walks the
 * list without a lock, in signal handlers too: next is changed at once or not at
 * all, and what is freed stays readable until nobody walks (retired).
 */
struct uffdvram_handle {
	struct uffdvram_ctx *ctx;
	struct uffdvram_handle *_Atomic next;
	struct uffdvram_handle *_Atomic *link;
	struct uffdvram_handle *retired;
	void (*release)(struct uffdvram_handle *h);	/* what it holds; may be NULL */
	uint64_t addr;		/* of a range; len 0: no range */
	uint64_t len;
};

struct uffdvram_ctx {
	int fd;
	uint64_t page;			/* size of one */
	struct uffdvram_open_opts opts;	/* log, log_data; no device: it is open */
	pthread_mutex_t lock;		/* who changes the two lists */
	struct uffdvram_handle *_Atomic handles;
	struct uffdvram_handle *retired;	/* freed, but somebody may stand on it */
	_Atomic unsigned int walkers;	/* in uffdvram_find() now */
};

void uffdvram_handle_add(struct uffdvram_ctx *ctx, struct uffdvram_handle *h);

/* Takes @h out of its context and frees the object that it begins. */
void uffdvram_handle_free(struct uffdvram_handle *h);

/* Does the context act on the address space of the caller? */
bool uffdvram_ctx_is_own(struct uffdvram_ctx *ctx);

/* Returns 0 or -errno, and tells the log why. */
int uffdvram_ctx_ioctl(const struct uffdvram_ctx *ctx, unsigned long cmd,
		       void *arg);

/* Tells the log that the module answered @cmd with errno @err. */
void uffdvram_ctx_refused(const struct uffdvram_ctx *ctx, unsigned long cmd, int err);

/* End of @member in @type: the least size of a structure that has it. */
#define UFFDVRAM_END_OF(type, member) \
	(offsetof(type, member) + sizeof(((type *)0)->member))

/*
 * Copies the caller's size-first structure @src into @dst, of @size bytes, which
 * it fills up with zeroes; all zeroes for NULL. @min: bytes of the first release.
 * Returns 0, -EINVAL or -E2BIG.
 */
int uffdvram_opts_in(void *dst, size_t size, size_t min, const void *src);

/*
 * Copies what the caller's size-first structure @dst has room for out of @src, of
 * @size bytes. @dst may be NULL, and its size must have been checked.
 */
void uffdvram_opts_out(void *dst, const void *src, size_t size);

#endif /* LIBUFFDVRAM_CTX_H */
