// SPDX-License-Identifier: GPL-2.0-only
/* What the fuzzer does beside calls: contexts, events, and another process. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz.h"

#define EVENTS		8

static void other_open(struct fz *f)
{
	struct fz_ctx *c = &f->ctx[1 + fz_pick(f, FZ_CTXS - 1)];

	if (c->fd >= 0) {
		if (close(c->fd))
			fz_fail(f, "close: %m");
		fz_ctx_forget(f, c);
		return;
	}
	c->fd = open(UFFDVRAM_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (c->fd < 0 && f->admin)
		fz_fail(f, "the device cannot be opened: %m");
}

static void other_event(struct fz *f, struct fz_ctx *c, const struct uffdvram_event *e)
{
	bool ok = e->seq > c->seq && e->time_ns;

	c->seq = e->seq;
	switch (e->type) {
	case UFFDVRAM_EVENT_FAULT_BACK:
		ok = ok && e->range && !e->cause && e->len && !(e->len % PAGE);
		break;
	case UFFDVRAM_EVENT_POOL_PRESSURE:
		ok = ok && e->range && e->cause <= 1 && !e->addr;
		break;
	case UFFDVRAM_EVENT_LEASE_WANTED:
	case UFFDVRAM_EVENT_LEASE_REVOKED:
		ok = ok && e->range && e->len && !(e->addr % PAGE) && !(e->len % PAGE) &&
		     e->cause <= UFFDVRAM_REVOKED_POOL;
		break;
	case UFFDVRAM_EVENT_RANGE_GONE:
		ok = ok && (((e->cause == UFFDVRAM_GONE_UNMAPPED ||
			      (e->cause > UFFDVRAM_GONE_EXIT &&
			       e->cause <= UFFDVRAM_GONE_DISCARDED)) && e->range && e->len) ||
			    (e->cause == UFFDVRAM_GONE_EXIT && !e->range && c->gone));
		break;
	default:
		ok = false;
	}
	if (!ok)
		fz_fail(f, "event %llu: type %u cause %u range %llu addr %llx len %llx", e->seq,
			e->type, e->cause, e->range, e->addr, e->len);
	f->shm->events++;
}

static void other_read(struct fz *f)
{
	struct uffdvram_event e[EVENTS];
	struct fz_ctx *c = fz_any_ctx(f);
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	size_t size = fz_chance(f, 80) ? sizeof(e) : fz_pick(f, sizeof(e));
	int ready = poll(&p, 1, 0);
	ssize_t n;

	if (fz_chance(f, 5)) {
		n = read(c->fd, (void *)fz_pick(f, PAGE), sizeof(*e));
		if (n != -1 || (errno != EFAULT && errno != EAGAIN))
			fz_fail(f, "read to nowhere: %zd, %m", n);
		return;
	}
	n = read(c->fd, e, size);
	if (size < sizeof(*e) ? n != -1 || errno != EINVAL :
	    n < 0 ? errno != EAGAIN || ready > 0 : n % sizeof(*e) || !n)
		fz_fail(f, "read of %zu bytes of events: %zd, %m", size, n);
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(*e); i++)
		other_event(f, c, &e[i]);
}

static int sibling_run(int fd, void *arg)
{
	struct fz *f = arg;
	uint64_t word;

	/* It has no context of its own, which it would keep alive. */
	if (syscall(SYS_close_range, 3, fd - 1, 0) || syscall(SYS_close_range, fd + 1, ~0U, 0))
		return 2;
	child_tell(fd, 1);
	if (recv(fd, &word, sizeof(word), 0) != sizeof(word))
		return 0;	/* left alone: nobody knows what it should have */
	f->mm[0] = f->mm[1];
	fz_check_all(f);
	return 0;
}

/* Contexts for a sibling that is gone, and what the model knows of them, go. */
static void sibling_begin(struct fz *f)
{
	uint64_t word;

	for (unsigned int i = 1; i < FZ_CTXS; i++) {
		if (f->ctx[i].fd < 0 || !f->ctx[i].mm)
			continue;
		close(f->ctx[i].fd);
		fz_ctx_forget(f, &f->ctx[i]);
	}
	f->vague[1] = 0;
	if (f->sibling_pidfd >= 0)
		close(f->sibling_pidfd);
	fz_inherited(f, f->mm[1]);
	f->sibling = child_start(sibling_run, f);
	f->sibling_pidfd = pidfd_of(f->sibling.pid);
	if (f->sibling_pidfd < 0 || !child_hear(f->sibling.fd, &word))
		fz_fail(f, "there is no other process");
}

void fz_sibling_end(struct fz *f)
{
	int status;

	if (!f->sibling.pid)
		return;
	child_tell(f->sibling.fd, 1);
	status = child_end(&f->sibling);
	if (status)
		fz_fail(f, "the other process ended with %d", status);
	f->sibling.pid = 0;
	for (unsigned int i = 0; i < FZ_CTXS; i++)
		f->ctx[i].gone = f->ctx[i].mm;
}

void fz_other(struct fz *f)
{
	unsigned int kind = fz_pick(f, 100);

	if (kind < 30)
		other_open(f);
	else if (kind < 90)
		other_read(f);
	else if (!f->sibling.pid)
		sibling_begin(f);
	else
		fz_sibling_end(f);
}
