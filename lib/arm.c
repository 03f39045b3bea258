// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Arming: a userfaultfd that watches a range. Registration comes first and holes
 * second, so that nothing (khugepaged, a stray access) fills one unseen.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

#include "log.h"
#include "range.h"
#include "uffd.h"

#define ARM_WP_ANY	(UFFDVRAM_ARM_WP | UFFDVRAM_ARM_WP_ASYNC)
#define ARM_MODES	(UFFDVRAM_ARM_MISSING | ARM_WP_ANY)
#define ARM_KNOWN	(ARM_MODES | UFFDVRAM_ARM_ADOPT | UFFDVRAM_ARM_PUNCH | \
			 UFFDVRAM_ARM_NOHUGEPAGE | UFFDVRAM_ARM_USER_MODE_ONLY)

static const struct uffdvram_open_opts *arm_log(const struct uffdvram_range *range)
{
	return &range->handle.ctx->opts;
}

static void *arm_addr(const struct uffdvram_range *range, uint64_t off)
{
	return (void *)(uintptr_t)(range->handle.addr + off);
}

static struct uffdio_range arm_piece(const struct uffdvram_range *range,
				     uint64_t off, uint64_t len)
{
	return (struct uffdio_range){ .start = range->handle.addr + off, .len = len };
}

/* With USER_MODE_ONLY as the last resort, never where more is allowed. */
static int uffd_new(uint32_t flags)
{
	int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	int fd = -1;

	if (dev >= 0) {
		fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
		close(dev);
	}
	if (fd < 0)
		fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == EPERM && flags & UFFDVRAM_ARM_USER_MODE_ONLY)
		fd = syscall(SYS_userfaultfd,
			     O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	return fd < 0 ? -errno : fd;
}

static int arm_lacks(const struct uffdvram_range *range, const char *who,
		     uint64_t missing)
{
	static const struct {
		uint64_t bit;
		const char *name;
	} names[] = {
		{ UFFD_FEATURE_PAGEFAULT_FLAG_WP, "PAGEFAULT_FLAG_WP" },
		{ UFFD_FEATURE_EVENT_FORK, "EVENT_FORK" },
		{ UFFD_FEATURE_EVENT_REMAP, "EVENT_REMAP" },
		{ UFFD_FEATURE_EVENT_REMOVE, "EVENT_REMOVE" },
		{ UFFD_FEATURE_EVENT_UNMAP, "EVENT_UNMAP" },
		{ UFFD_FEATURE_SIGBUS, "SIGBUS" },
		{ UFFD_FEATURE_THREAD_ID, "THREAD_ID" },
		{ UFFD_FEATURE_EXACT_ADDRESS, "EXACT_ADDRESS" },
		{ UFFD_FEATURE_WP_UNPOPULATED, "WP_UNPOPULATED" },
		{ UFFD_FEATURE_POISON, "POISON" },
		{ UFFD_FEATURE_WP_ASYNC, "WP_ASYNC" },
		{ UFFD_FEATURE_MOVE, "MOVE" },
	};
	const char *name = "of those asked for";
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (missing & names[i].bit)
			name = names[i].name;
	uffdvram_log(arm_log(range), LOG_ERR,
		     "userfaultfd: %s lacks the feature %s (missing in all: 0x%" PRIx64 ")",
		     who, name, missing);
	return -EOPNOTSUPP;
}

/*
 * UFFDIO_API, once for each descriptor. @need must be there; @want is what else is
 * good to have.
 */
static int uffd_api(const struct uffdvram_range *range, int fd, uint64_t need,
		    uint64_t want)
{
	struct uffdio_api api = { .api = UFFD_API, .features = need | want };

	if (!ioctl(fd, UFFDIO_API, &api))
		return 0;
	api = (struct uffdio_api){ .api = UFFD_API, .features = need };
	if (want && !ioctl(fd, UFFDIO_API, &api))
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* What is there? This uses the descriptor up, but nobody will have it. */
	api = (struct uffdio_api){ .api = UFFD_API };
	if (ioctl(fd, UFFDIO_API, &api))
		return -errno;
	return arm_lacks(range, "the kernel", need & ~api.features);
}

/*
 * What an open descriptor was given, from a line "API:\taa:FEATURES:IOCTLS" in
 * hexadecimal; 0: UFFDIO_API is still to come. 0, -EINVAL (it is no userfaultfd),
 * -EBADF, or -ENODATA where there is no way to know.
 */
static int uffd_features(int fd, uint64_t *features)
{
	char path[64], line[128];
	int ret = -EINVAL;
	FILE *f;

	if (fcntl(fd, F_GETFD) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return -ENODATA;
	while (ret && fgets(line, sizeof(line), f))
		if (sscanf(line, "API: %*x:%" SCNx64 ":", features) == 1)
			ret = 0;
	fclose(f);
	return ret;
}

static int arm_adopt(const struct uffdvram_range *range,
		     const struct uffdvram_arm_opts *o, uint64_t need, uint64_t want)
{
	uint64_t have = 0;
	int ret = uffd_features(o->uffd, &have);

	if (ret == -ENODATA) {
		uffdvram_log(arm_log(range), LOG_DEBUG,
			     "userfaultfd: no /proc: the features of the descriptor are taken for granted");
		return o->uffd;
	}
	if (ret)
		return ret;
	if (!have) {
		ret = uffd_api(range, o->uffd, need, want);
		return ret ?: o->uffd;
	}
	/* This one only says that the kernel can, which UFFDIO_REGISTER will tell. */
	need &= ~(uint64_t)UFFD_FEATURE_PAGEFAULT_FLAG_WP;
	if (need & ~have)
		return arm_lacks(range, "the adopted descriptor", need & ~have);
	if (o->flags & UFFDVRAM_ARM_WP && have & UFFD_FEATURE_WP_ASYNC) {
		uffdvram_log(arm_log(range), LOG_ERR,
			     "userfaultfd: the adopted descriptor has WP_ASYNC: it sends no messages about writes");
		return -EOPNOTSUPP;
	}
	return o->uffd;
}

static int arm_open(const struct uffdvram_range *range,
		    const struct uffdvram_arm_opts *o, uint64_t need, uint64_t want)
{
	int fd = uffd_new(o->flags), ret;

	if (fd == -EPERM)
		uffdvram_log(arm_log(range), LOG_ERR,
			     "userfaultfd: not allowed: it takes access to /dev/userfaultfd, CAP_SYS_PTRACE or vm.unprivileged_userfaultfd=1");
	if (fd < 0)
		return fd;
	ret = uffd_api(range, fd, need, want);
	if (ret)
		close(fd);
	return ret ?: fd;
}

/* The descriptor, or -errno. */
static int arm_get_uffd(const struct uffdvram_range *range,
			const struct uffdvram_arm_opts *o)
{
	uint64_t need = o->features, want = UFFD_FEATURE_POISON;

	if (o->flags & ARM_WP_ANY) {
		need |= UFFD_FEATURE_PAGEFAULT_FLAG_WP;
		want |= UFFD_FEATURE_WP_UNPOPULATED;
	}
	if (o->flags & UFFDVRAM_ARM_WP_ASYNC)
		need |= UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED;
	return o->flags & UFFDVRAM_ARM_ADOPT ? arm_adopt(range, o, need, want) :
					       arm_open(range, o, need, want);
}

/* From 7.3 on, a descriptor that watches writes cannot be told to watch less. */
static const char *arm_busy(uint32_t flags)
{
	if (flags & UFFDVRAM_ARM_ADOPT)
		return "another userfaultfd is there, or this one watches more: unregister first";
	return "another userfaultfd watches memory of the range: adopt that one";
}

static int arm_register(const struct uffdvram_range *range, int uffd, uint32_t flags)
{
	struct uffdio_register reg = {
		.range = arm_piece(range, 0, range->handle.len),
	};
	uint64_t need = 0;
	int err;

	if (flags & UFFDVRAM_ARM_MISSING) {
		reg.mode |= UFFDIO_REGISTER_MODE_MISSING;
		need |= 1ULL << _UFFDIO_COPY;
	}
	if (flags & ARM_WP_ANY) {
		reg.mode |= UFFDIO_REGISTER_MODE_WP;
		need |= 1ULL << _UFFDIO_WRITEPROTECT;
	}
	if (ioctl(uffd, UFFDIO_REGISTER, &reg)) {
		err = errno;
		uffdvram_log(arm_log(range), LOG_ERR, "UFFDIO_REGISTER: %s",
			     err == EBUSY ? arm_busy(flags) :
					    strerrordesc_np(err) ?: "unknown error");
		return -err;
	}
	if (need & ~reg.ioctls) {
		uffdvram_log(arm_log(range), LOG_ERR,
			     "UFFDIO_REGISTER: this memory cannot be armed so");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int arm_no_huge_pages(const struct uffdvram_range *range)
{
	if (!madvise(arm_addr(range, 0), range->handle.len, MADV_NOHUGEPAGE))
		return 0;
	/* A kernel without huge pages knows no such advice, and needs none. */
	if (errno == EINVAL && access("/sys/kernel/mm/transparent_hugepage", F_OK))
		return 0;
	return -errno;
}

static int arm_discard(const struct uffdvram_range *range, uint64_t off, uint64_t len)
{
	return madvise(arm_addr(range, off), len, MADV_DONTNEED) ? -errno : 0;
}

static int arm_opts_in(const struct uffdvram_range *range,
		       struct uffdvram_arm_opts *o, const struct uffdvram_arm_opts *opts)
{
	int ret;

	if (!opts)
		return -EINVAL;
	ret = uffdvram_opts_in(o, sizeof(*o),
			       UFFDVRAM_END_OF(struct uffdvram_arm_opts, hole_len), opts);
	if (ret)
		return ret;
	if (o->flags & ~ARM_KNOWN)
		return -EOPNOTSUPP;
	if (!(o->flags & ARM_MODES) || (o->flags & ARM_WP_ANY) == ARM_WP_ANY)
		return -EINVAL;
	if (!(o->flags & UFFDVRAM_ARM_PUNCH))
		return o->hole_off || o->hole_len ? -EINVAL : 0;
	if (!(o->flags & UFFDVRAM_ARM_MISSING))
		return -EINVAL;
	return uffdvram_range_pages(range, o->hole_off, o->hole_len);
}

/* What only works in our own address space. */
static bool arm_is_local(uint32_t flags)
{
	return !(flags & UFFDVRAM_ARM_ADOPT) ||
	       flags & (UFFDVRAM_ARM_PUNCH | UFFDVRAM_ARM_NOHUGEPAGE);
}

int uffdvram_range_arm(struct uffdvram_range *range,
		       const struct uffdvram_arm_opts *opts)
{
	struct uffdvram_arm_opts o;
	int ret, uffd;

	ret = arm_opts_in(range, &o, opts);
	if (ret)
		return ret;
	if (range->uffd >= 0)
		return -EALREADY;
	if (arm_is_local(o.flags) && !uffdvram_ctx_is_own(range->handle.ctx)) {
		uffdvram_log(arm_log(range), LOG_ERR,
			     "arm: the range is in another process: adopt its userfaultfd, and punch holes there");
		return -EXDEV;
	}
	uffd = arm_get_uffd(range, &o);
	if (uffd < 0)
		return uffd;
	if (o.flags & UFFDVRAM_ARM_NOHUGEPAGE)
		ret = arm_no_huge_pages(range);
	ret = ret ?: arm_register(range, uffd, o.flags);
	if (!ret && o.flags & UFFDVRAM_ARM_PUNCH)
		ret = arm_discard(range, o.hole_off, o.hole_len);
	if (ret) {
		if (!(o.flags & UFFDVRAM_ARM_ADOPT))
			close(uffd);
		return ret;
	}
	range->uffd = uffd;
	range->own_uffd = !(o.flags & UFFDVRAM_ARM_ADOPT);
	range->armed = o.flags & ARM_MODES;
	return 0;
}

int uffdvram_range_disarm(struct uffdvram_range *range)
{
	struct uffdio_range all = arm_piece(range, 0, range->handle.len);
	int ret = 0;

	if (range->uffd < 0)
		return -ENOTCONN;
	if (ioctl(range->uffd, UFFDIO_UNREGISTER, &all))
		ret = -errno;
	if (range->own_uffd)
		close(range->uffd);
	range->uffd = -1;
	range->own_uffd = false;
	range->armed = 0;
	return ret;
}

int uffdvram_range_uffd(const struct uffdvram_range *range)
{
	return range->uffd < 0 ? -ENOTCONN : range->uffd;
}

int uffdvram_uffd_check(const struct uffdvram_range *range, uint64_t off, uint64_t len,
			uint32_t modes)
{
	return uffdvram_range_pages(range, off, len) ?:
	       range->armed & modes ? 0 : -ENOTCONN;
}

int uffdvram_range_punch(struct uffdvram_range *range, uint64_t off, uint64_t len)
{
	int ret = uffdvram_uffd_check(range, off, len, UFFDVRAM_ARM_MISSING);

	if (!ret && !uffdvram_ctx_is_own(range->handle.ctx))
		ret = -EXDEV;
	return ret ?: arm_discard(range, off, len);
}

bool uffdvram_uffd_retry(int err, unsigned int *tries)
{
	if (err != -EAGAIN || ++*tries > 64)
		return false;
	sched_yield();
	return true;
}

static int arm_protect(struct uffdvram_range *range, uint64_t off, uint64_t len,
		       uint64_t mode)
{
	struct uffdio_writeprotect wp = { .range = arm_piece(range, off, len), .mode = mode };
	int ret = uffdvram_uffd_check(range, off, len, ARM_WP_ANY);
	unsigned int tries = 0;

	if (ret)
		return ret;
	do
		ret = ioctl(range->uffd, UFFDIO_WRITEPROTECT, &wp) ? -errno : 0;
	while (uffdvram_uffd_retry(ret, &tries));
	return ret;
}

int uffdvram_range_rearm(struct uffdvram_range *range, uint64_t off, uint64_t len)
{
	return arm_protect(range, off, len, UFFDIO_WRITEPROTECT_MODE_WP);
}

int uffdvram_range_unprotect(struct uffdvram_range *range, uint64_t off, uint64_t len)
{
	return arm_protect(range, off, len, 0);
}

int uffdvram_range_wake(struct uffdvram_range *range, uint64_t off, uint64_t len)
{
	struct uffdio_range piece = arm_piece(range, off, len);
	int ret = uffdvram_uffd_check(range, off, len, ~0U);

	return ret ?: ioctl(range->uffd, UFFDIO_WAKE, &piece) ? -errno : 0;
}
