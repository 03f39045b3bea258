// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the commands of one run share: the context, its ranges, and messages.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

#include "session.h"

#define NETLINK_GONE	"is the module loaded? And not from another network namespace"
#define NETLINK_RIGHT	"it takes CAP_NET_ADMIN in the initial user namespace"

/* What to do about an error, by the command it came from; the first match counts. */
static const struct hint {
	const char *cmd;
	int err;
	const char *text;
} hints[] = {
	{ "open", ENOENT, "is the module loaded? insmod uffdvram.ko; see: doctor" },
	{ "open", ENXIO, "is the module loaded? insmod uffdvram.ko; see: doctor" },
	{ "open", ENODEV, "is the module loaded? insmod uffdvram.ko; see: doctor" },
	{ "open", EACCES, "run as root, or as a user whom the node's mode lets in" },
	{ "open", ENOTTY, "not the uffdvram device; see -d" },
	{ "open", EPROTONOSUPPORT, "install the module and uffdvramctl of one release" },
	{ "open", EPERM, "run as root: it takes CAP_SYS_PTRACE, over that process too" },
	{ "open", EOPNOTSUPP, "echo 1 > /sys/module/uffdvram/parameters/open_pid" },
	{ "open", ESRCH, "no such process, or one without memory: a kernel thread, a zombie" },
	{ "open", EINVAL, "a thread's id? the id of its process is wanted" },
	{ "pool attach", ENODEV, "this kernel has no DEVICE_PRIVATE" },
	{ "pool attach", EINVAL, "a size is a multiple of the page size, not 0, less than 16T; "
				 "a piece of a BAR is inside that; --fault is one of info's" },
	{ "pool attach", EPERM, "--shared takes CAP_SYS_ADMIN, a BAR CAP_SYS_RAWIO" },
	{ "pool attach", ENXIO, "no such function, or no such memory BAR: see lspci -v" },
	{ "pool attach", EBUSY, "another pool has it; or a driver has: unbind that, or --force" },
	{ "pool attach", EIO, "it does not hold what is written: no memory; see dmesg" },
	{ "pool attach", ENOMEM, "not so much free memory, or over RLIMIT_MEMLOCK (ulimit -l)" },
	{ "pool detach", ENODEV, "no such pool; see: pool list" },
	{ "pool detach", EPERM, "a shared pool takes CAP_SYS_ADMIN" },
	{ "pool detach", ENOMEM, "free some memory and repeat, or lose the rest with --discard" },
	{ "pool detach", EBUSY, "another detach of it is under way" },
	{ "range add", EINVAL, "not page aligned, or not private anonymous: see /proc/PID/maps" },
	{ "range add", ENOENT, "nothing is mapped in part of it: see /proc/PID/maps" },
	{ "range add", EBUSY, "overlaps a range that this or another program registered" },
	{ "range add", ENOSPC, "too many ranges in that process; see: info" },
	{ "range add", EDQUOT, "over the quota of slots of this user; see: info" },
	{ "range add", ENODEV, "no such pool; see: pool list" },
	{ "range del", ENOENT, "the range is gone" },
	{ "move", ENOENT, "in no range; see: range add" },
	{ "move", ENODEV, "its range has no pool, or the pool is being detached" },
	{ "move", EINVAL, "page aligned addresses are wanted" },
	{ "events", EOPNOTSUPP, "this module has no events; see: info" },
	{ "events", ENOENT, NETLINK_GONE },
	{ "events", EPERM, NETLINK_RIGHT },
	{ "show", ENOENT, NETLINK_GONE },
	{ "show", EPERM, NETLINK_RIGHT },
	{ "stats", ENOENT, "is the module loaded, of this release, and debugfs mounted? "
			   "mount -t debugfs none /sys/kernel/debug" },
	{ "map", EINVAL, "page aligned addresses are wanted" },
	{ "", ESRCH, "the process has ended, or runs another program now" },
	{ "", EPERM, "run as root" },
	{ "", EACCES, "run as root" },
	{ "", ENOMEM, "free some memory of this host" },
};

static const char *find_hint(const char *cmd, int err)
{
	const struct hint *h;

	for (h = hints; h < hints + sizeof(hints) / sizeof(*hints); h++)
		if (h->err == err && (!*h->cmd || !strcmp(h->cmd, cmd)))
			return h->text;
	return NULL;
}

/* Says s->said. */
static void session_say(const struct session *s)
{
	fflush(stdout);
	if (s->batch)
		fprintf(stderr, "uffdvramctl: line %u: %s\n", s->line, s->said);
	else
		fprintf(stderr, "uffdvramctl: %s\n", s->said);
}

int session_fail(struct session *s, const char *cmd, int err, const char *fmt, ...)
{
	const char *hint = find_hint(cmd, -err);
	const char *name = strerrorname_np(-err);
	const char *desc = strerrordesc_np(-err);
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(s->said, sizeof(s->said), "%s: %s: %s (%s)%s%s", cmd, what,
		 name ?: "error", desc ?: "unknown", hint ? ": " : "", hint ?: "");
	session_say(s);
	return CTL_FAILED;
}

static void session_vsay(struct session *s, const char *fmt, va_list ap)
{
	vsnprintf(s->said, sizeof(s->said), fmt, ap);
	session_say(s);
}

int session_error(struct session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	session_vsay(s, fmt, ap);
	va_end(ap);
	return CTL_FAILED;
}

int session_usage(struct session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	session_vsay(s, fmt, ap);
	va_end(ap);
	return CTL_USAGE;
}

static void session_log(void *data, int priority, const char *msg)
{
	const struct session *s = data;

	if (s->verbose || priority < LOG_INFO)
		fprintf(stderr, "uffdvramctl: %s\n", msg);
}

int session_pidfd(struct session *s, const char *cmd)
{
	if (!s->pid)
		return session_usage(s, "%s: say which process: -p PID", cmd);
	if (s->pidfd >= 0)
		return CTL_OK;
	s->pidfd = syscall(SYS_pidfd_open, s->pid, 0);
	if (s->pidfd < 0)
		return session_fail(s, "open", -errno, "process %d", (int)s->pid);
	return CTL_OK;
}

bool session_lives(const struct session *s)
{
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

int session_ctx(struct session *s, const char *cmd)
{
	const struct uffdvram_open_opts opts = {
		.size = sizeof(opts),
		.device = s->device,
		.log = session_log,
		.log_data = s,
	};
	int ret;

	if (s->ctx)
		return CTL_OK;
	if (!s->pid) {
		ret = uffdvram_open(&s->ctx, &opts);
		return ret ? session_fail(s, "open", ret, "%s", s->device) : CTL_OK;
	}
	ret = session_pidfd(s, cmd);
	if (ret)
		return ret;
	ret = uffdvram_open_pidfd(&s->ctx, s->pidfd, &opts);
	if (ret)
		return session_fail(s, "open", ret, "%s for process %d", s->device,
				    (int)s->pid);
	return CTL_OK;
}

int session_keep(struct session *s, struct uffdvram_range *range)
{
	struct uffdvram_range **more;

	more = reallocarray(s->ranges, s->n_ranges + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	s->ranges = more;
	s->ranges[s->n_ranges++] = range;
	return 0;
}

int session_drop(struct session *s, size_t i)
{
	struct uffdvram_range *range = s->ranges[i];

	s->ranges[i] = s->ranges[--s->n_ranges];
	return uffdvram_range_unregister(range);
}

void session_end(struct session *s)
{
	uffdvram_close(s->ctx);
	free(s->ranges);
	if (s->pidfd >= 0)
		close(s->pidfd);
}
