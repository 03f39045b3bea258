// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A context: an open file of the device, and the handles that end with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

#include "ctx.h"
#include "log.h"

int uffdvram_opts_in(void *dst, size_t size, size_t min, const void *src)
{
	const unsigned char *bytes = src;
	size_t given, i;

	memset(dst, 0, size);
	if (!src)
		return 0;
	memcpy(&given, src, sizeof(given));
	if (given < min)
		return -EINVAL;
	for (i = size; i < given; i++)
		if (bytes[i])
			return -E2BIG;
	memcpy(dst, src, given < size ? given : size);
	return 0;
}

void uffdvram_opts_out(void *dst, const void *src, size_t size)
{
	size_t given;

	if (!dst)
		return;
	memcpy(&given, dst, sizeof(given));
	if (given < size)
		size = given;
	memcpy((char *)dst + sizeof(given), (const char *)src + sizeof(given),
	       size - sizeof(given));
}

static const char *ioctl_name(unsigned long cmd)
{
#define NAME(NAME_, name, last) [UFFDVRAM_CMD_##NAME_ - UFFDVRAM_CMD_BASE] = #NAME_,
	static const char *const names[] = { UFFDVRAM_IOCTLS(NAME) };
#undef NAME

	return names[_IOC_NR(cmd) - UFFDVRAM_CMD_BASE];
}

void uffdvram_ctx_refused(const struct uffdvram_ctx *ctx, unsigned long cmd, int err)
{
	uffdvram_log(&ctx->opts, LOG_DEBUG, "%s: %s", ioctl_name(cmd),
		     strerrordesc_np(err) ?: "unknown error");
}

int uffdvram_ctx_ioctl(const struct uffdvram_ctx *ctx, unsigned long cmd,
		       void *arg)
{
	int err;

	if (ioctl(ctx->fd, cmd, arg) >= 0)
		return 0;
	err = errno;
	uffdvram_ctx_refused(ctx, cmd, err);
	return -err;
}

void uffdvram_handle_add(struct uffdvram_ctx *ctx, struct uffdvram_handle *h)
{
	h->ctx = ctx;
	pthread_mutex_lock(&ctx->lock);
	h->next = ctx->handles;
	h->link = &ctx->handles;
	if (h->next)
		h->next->link = &h->next;
	ctx->handles = h;
	pthread_mutex_unlock(&ctx->lock);
}

/*
 * Whoever began to walk after an object left the list cannot meet it. So when
 * nobody walks, once it has left, nobody ever will.
 */
static void ctx_reap(struct uffdvram_ctx *ctx)
{
	struct uffdvram_handle *h;

	if (ctx->walkers)
		return;
	while ((h = ctx->retired)) {
		ctx->retired = h->retired;
		free(h);
	}
}

void uffdvram_handle_free(struct uffdvram_handle *h)
{
	struct uffdvram_ctx *ctx = h->ctx;

	pthread_mutex_lock(&ctx->lock);
	*h->link = h->next;
	if (h->next)
		h->next->link = h->link;
	h->retired = ctx->retired;
	ctx->retired = h;
	if (h->release)
		h->release(h);
	ctx_reap(ctx);
	pthread_mutex_unlock(&ctx->lock);
}

static int page_state(struct uffdvram_ctx *ctx, const void *page)
{
	struct uffdvram_query q = {
		.size = sizeof(q),
		.addr = (uintptr_t)page,
		.len = ctx->page,
	};

	if (uffdvram_ctx_ioctl(ctx, UFFDVRAM_QUERY, &q))
		return -1;
	return q.count[UFFDVRAM_STATE_PRESENT] ? 1 : 0;
}

/*
 * The module says nothing of whose address space it is, and a descriptor can have
 * come from anywhere. But only in our own does a page of ours appear and vanish as
 * we touch and discard it. (More than one try: it could be swapped out meanwhile.)
 */
bool uffdvram_ctx_is_own(struct uffdvram_ctx *ctx)
{
	volatile char *page = mmap(NULL, ctx->page, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool own = false;
	int try;

	if (page == MAP_FAILED)
		return false;
	for (try = 0; try < 3 && !own; try++) {
		*page = 1;
		own = page_state(ctx, (void *)page) == 1 &&
		      !madvise((void *)page, ctx->page, MADV_DONTNEED) &&
		      page_state(ctx, (void *)page) == 0;
	}
	munmap((void *)page, ctx->page);
	return own;
}

/* Whoever speaks another version may mean anything by its structures. */
static int ctx_check_abi(struct uffdvram_ctx *ctx)
{
	struct uffdvram_info info = { .size = sizeof(info) };
	int ret = uffdvram_get_info(ctx, &info);

	if (ret)
		return ret;
	if (info.abi == UFFDVRAM_ABI)
		return 0;
	uffdvram_log(&ctx->opts, LOG_ERR,
		     "the module speaks version %u of the interface, this library (%s) version %u",
		     info.abi, UFFDVRAM_LIB_VERSION, UFFDVRAM_ABI);
	return -EPROTONOSUPPORT;
}

/* On failure @fd stays open. */
static int ctx_new(struct uffdvram_ctx **out, int fd,
		   const struct uffdvram_open_opts *opts)
{
	struct uffdvram_ctx *ctx = calloc(1, sizeof(*ctx));
	int ret;

	if (!ctx)
		return -ENOMEM;
	ctx->fd = fd;
	ctx->page = sysconf(_SC_PAGESIZE);
	ctx->opts = *opts;
	ctx->opts.device = NULL;
	ret = ctx_check_abi(ctx);
	if (ret) {
		free(ctx);
		return ret;
	}
	pthread_mutex_init(&ctx->lock, NULL);
	*out = ctx;
	return 0;
}

static int open_opts_in(struct uffdvram_open_opts *dst,
			const struct uffdvram_open_opts *src)
{
	return uffdvram_opts_in(dst, sizeof(*dst),
				UFFDVRAM_END_OF(struct uffdvram_open_opts, log_data),
				src);
}

int uffdvram_open_fd(struct uffdvram_ctx **ctx, int fd,
		     const struct uffdvram_open_opts *opts)
{
	struct uffdvram_open_opts o;
	int ret = open_opts_in(&o, opts);

	return ret ?: ctx_new(ctx, fd, &o);
}

int uffdvram_open(struct uffdvram_ctx **ctx,
		  const struct uffdvram_open_opts *opts)
{
	struct uffdvram_open_opts o;
	int fd, ret;

	ret = open_opts_in(&o, opts);
	if (ret)
		return ret;
	if (!o.device)
		o.device = UFFDVRAM_DEVICE;
	fd = open(o.device, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		ret = -errno;
		uffdvram_log(&o, LOG_DEBUG, "%s: %s", o.device,
			     strerrordesc_np(-ret) ?: "unknown error");
		return ret;
	}
	ret = ctx_new(ctx, fd, &o);
	if (ret)
		close(fd);
	return ret;
}

int uffdvram_open_pidfd(struct uffdvram_ctx **ctx, int pidfd,
			const struct uffdvram_open_opts *opts)
{
	struct uffdvram_open_pid arg = { .size = sizeof(arg), .pidfd = pidfd };
	struct uffdvram_ctx *own;
	int ret;

	/* The device node answers to the opener, so it takes a context to ask. */
	ret = uffdvram_open(&own, opts);
	if (ret)
		return ret;
	ret = uffdvram_ctx_ioctl(own, UFFDVRAM_OPEN_PID, &arg);
	if (!ret) {
		ret = ctx_new(ctx, arg.fd, &own->opts);
		if (ret)
			close(arg.fd);
	}
	uffdvram_close(own);
	return ret;
}

int uffdvram_open_pid(struct uffdvram_ctx **ctx, pid_t pid,
		      const struct uffdvram_open_opts *opts)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int ret;

	if (pidfd < 0)
		return -errno;
	ret = uffdvram_open_pidfd(ctx, pidfd, opts);
	close(pidfd);
	return ret;
}

void uffdvram_close(struct uffdvram_ctx *ctx)
{
	if (!ctx)
		return;
	while (ctx->handles)
		uffdvram_handle_free(ctx->handles);
	ctx->walkers = 0;	/* of a fork's parent: here is nobody */
	ctx_reap(ctx);
	pthread_mutex_destroy(&ctx->lock);
	close(ctx->fd);
	free(ctx);
}

int uffdvram_fd(const struct uffdvram_ctx *ctx)
{
	return ctx->fd;
}

int uffdvram_get_info(struct uffdvram_ctx *ctx, struct uffdvram_info *info)
{
	return uffdvram_ctx_ioctl(ctx, UFFDVRAM_INFO, info);
}
