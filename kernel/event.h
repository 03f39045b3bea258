/* SPDX-License-Identifier: GPL-2.0-only */
/* What a context has to tell: a bounded queue that read(2) empties. */
#ifndef _UFFDVRAM_EVENT_H
#define _UFFDVRAM_EVENT_H

#include <linux/kref.h>
#include <linux/poll.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <linux/uffdvram.h>

struct file;

/**
 * struct uffdvram_events - the events of one context
 * @ref: the context, and owners of slots
 * @lock: rank 8; protects all below
 * @seq: number of the last event
 * @mark: what uffdvram_event_push_once() was last given
 * @ctx: number of the context
 * @pid: the process whose memory that acts on
 * @first: index of the oldest event that waits
 * @n: how many wait
 * @wait: readers
 * @ring: events
 */
struct uffdvram_events {
	struct kref ref;
	spinlock_t lock;	/* rank 8 */
	u64 seq;
	u64 mark;
	u32 ctx;
	pid_t pid;
	unsigned int first;
	unsigned int n;
	wait_queue_head_t wait;
	struct uffdvram_event ring[UFFDVRAM_EVENTS_MAX];
};

/*
 * Whoever takes copies of the events of all contexts; set before there is one. Called
 * in the order of a context's events, with its lock held: does not sleep.
 */
extern void (*uffdvram_event_copy)(const struct uffdvram_events *q,
				   const struct uffdvram_event *event);

struct uffdvram_events *uffdvram_events_new(u32 ctx, pid_t pid);
void uffdvram_events_put(struct uffdvram_events *q);

void uffdvram_event_push(struct uffdvram_events *q,
			 const struct uffdvram_event *event);
void uffdvram_event_push_once(struct uffdvram_events *q,
			      const struct uffdvram_event *event, u64 mark);

ssize_t uffdvram_events_read(struct uffdvram_events *q, struct file *file,
			     char __user *buf, size_t count);
__poll_t uffdvram_events_poll(struct uffdvram_events *q, struct file *file,
			      poll_table *table);

#endif /* _UFFDVRAM_EVENT_H */
