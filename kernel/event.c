// SPDX-License-Identifier: GPL-2.0-only
#include <linux/fs.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "event.h"
#include "inject.h"
#include "object.h"

void (*uffdvram_event_copy)(const struct uffdvram_events *q,
			    const struct uffdvram_event *event);

/**
 * uffdvram_events_new() - an empty queue
 * @ctx: number of its context
 * @pid: the process whose memory that acts on
 *
 * Return: the queue, with one reference; NULL without memory.
 */
struct uffdvram_events *uffdvram_events_new(u32 ctx, pid_t pid)
{
	struct uffdvram_events *q = object_new(q);

	if (!q)
		return NULL;
	kref_init(&q->ref);
	q->ctx = ctx;
	q->pid = pid;
	spin_lock_init(&q->lock);
	init_waitqueue_head(&q->wait);
	return q;
}

static void events_free(struct kref *ref)
{
	object_free(container_of(ref, struct uffdvram_events, ref));
}

/* Any context. */
void uffdvram_events_put(struct uffdvram_events *q)
{
	kref_put(&q->ref, events_free);
}

static struct uffdvram_event *events_at(struct uffdvram_events *q, unsigned int i)
{
	return &q->ring[(q->first + i) % UFFDVRAM_EVENTS_MAX];
}

/* Memory that goes is told once: mremap() notifies of it twice. */
static bool events_know(const struct uffdvram_event *last,
			const struct uffdvram_event *event)
{
	return event->type == UFFDVRAM_EVENT_RANGE_GONE &&
	       last->addr == event->addr && last->len == event->len;
}

/* Pages that come home, are lost, or no longer leased, one after the other make one event. */
static bool events_join(struct uffdvram_event *last,
			const struct uffdvram_event *event)
{
	if ((event->type != UFFDVRAM_EVENT_FAULT_BACK &&
	     event->type != UFFDVRAM_EVENT_PAGE_LOST &&
	     event->type != UFFDVRAM_EVENT_LEASE_REVOKED) ||
	    last->addr + last->len != event->addr)
		return false;
	last->len += event->len;
	return true;
}

/* The last event that waits, if it is of the same kind, about the same range. */
static struct uffdvram_event *events_like(struct uffdvram_events *q,
					  const struct uffdvram_event *event)
{
	struct uffdvram_event *last;

	if (!q->n)
		return NULL;
	last = events_at(q, q->n - 1);
	if (last->type != event->type || last->cause != event->cause ||
	    last->range != event->range)
		return NULL;
	return last;
}

static void events_add(struct uffdvram_events *q,
		       const struct uffdvram_event *event)
{
	/* Nobody reads: the oldest is lost, and the gap in seq says so. */
	if (q->n == UFFDVRAM_EVENTS_MAX) {
		q->first = (q->first + 1) % UFFDVRAM_EVENTS_MAX;
		q->n--;
	}
	*events_at(q, q->n++) = *event;
}

static void events_push_locked(struct uffdvram_events *q,
			       const struct uffdvram_event *event)
{
	struct uffdvram_event copy = *event;
	struct uffdvram_event *last = events_like(q, event);

	lockdep_assert_held(&q->lock);
	if (last && events_know(last, event))
		return;
	copy.time_ns = ktime_get_ns();
	if (last && events_join(last, event)) {
		copy.seq = q->seq;
	} else {
		copy.seq = ++q->seq;
		events_add(q, &copy);
	}
	uffdvram_event_copy(q, &copy);
}

/**
 * uffdvram_event_push() - tell what happened
 * @q: the queue
 * @event: seq and time_ns are filled in here
 *
 * Does not sleep, needs no memory. Not from interrupts.
 */
void uffdvram_event_push(struct uffdvram_events *q,
			 const struct uffdvram_event *event)
{
	spin_lock(&q->lock);
	events_push_locked(q, event);
	spin_unlock(&q->lock);
	wake_up_interruptible(&q->wait);
}

/**
 * uffdvram_event_push_once() - the same, for whom many ways lead to a queue
 * @q: the queue
 * @event: the event
 * @mark: names the occasion: it is told once
 */
void uffdvram_event_push_once(struct uffdvram_events *q,
			      const struct uffdvram_event *event, u64 mark)
{
	bool again;

	spin_lock(&q->lock);
	again = q->mark == mark;
	q->mark = mark;
	if (!again)
		events_push_locked(q, event);
	spin_unlock(&q->lock);
	if (!again)
		wake_up_interruptible(&q->wait);
}

static bool events_pop(struct uffdvram_events *q, struct uffdvram_event *event)
{
	bool got;

	spin_lock(&q->lock);
	got = q->n;
	if (got) {
		*event = *events_at(q, 0);
		q->first = (q->first + 1) % UFFDVRAM_EVENTS_MAX;
		q->n--;
	}
	spin_unlock(&q->lock);
	return got;
}

/**
 * uffdvram_events_read() - read(2): as many events as there are and fit
 * @q: the queue
 * @file: for O_NONBLOCK
 * @buf: the reader's buffer
 * @count: its size
 *
 * An event that could not be written to the buffer is lost.
 *
 * Return: bytes; -EINVAL (no event fits), -EAGAIN, -EFAULT, -ERESTARTSYS.
 */
ssize_t uffdvram_events_read(struct uffdvram_events *q, struct file *file,
			     char __user *buf, size_t count)
{
	struct uffdvram_event event;
	size_t done = 0;
	int ret;

	if (count < sizeof(event))
		return -EINVAL;
	while (count - done >= sizeof(event)) {
		if (events_pop(q, &event)) {
			if (may_fail(user, true, copy_to_user(buf + done, &event, sizeof(event))))
				return done ?: -EFAULT;
			done += sizeof(event);
			continue;
		}
		if (done)
			break;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		ret = wait_event_interruptible(q->wait, READ_ONCE(q->n));
		if (ret)
			return ret;
	}
	return done;
}

__poll_t uffdvram_events_poll(struct uffdvram_events *q, struct file *file,
			      poll_table *table)
{
	poll_wait(file, &q->wait, table);
	return READ_ONCE(q->n) ? EPOLLIN | EPOLLRDNORM : 0;
}
