// SPDX-License-Identifier: GPL-2.0-only
/*
 * monitor: two threads beside the virtual CPU.
 *
 * One supplies: the guest starts with no memory at all, and each page that it
 * (or KVM for it) touches first is asked for through userfaultfd. The thread
 * that touched it waits until the page is there, so this comes before anything
 * else, and neighbours come along.
 *
 * One moves: off that critical path, it sends to VRAM what was supplied, and
 * then what came home, a batch at a time. A page that the guest touches there
 * comes home by itself: nobody here is asked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vramvmm.h"

#define SUPPLY_BYTES	(16 * PAGE_BYTES)
#define BATCH_BYTES	MIB(2)
#define PAUSE_MS	100
#define REST		4	/* times as long as a batch took */

static bool all_zero(const char *buf, size_t len)
{
	return !buf[0] && !memcmp(buf, buf + 1, len - 1);
}

/* Of each 100 batches, @percent go, and not all of them in a row. */
static bool chosen(const struct monitor *mon, uint64_t off)
{
	return off / BATCH_BYTES * mon->percent % 100 < mon->percent;
}

/* A page and its neighbours; where the image ends or fails, the page alone. */
static int supply(struct monitor *mon, uint64_t off)
{
	struct uffdvram_range *range = mon->ram->range;
	struct uffdvram_installed res = { .size = sizeof(res) };
	uint32_t flags = chosen(mon, off) ? UFFDVRAM_INSTALL_QUEUE : 0;
	char buf[SUPPLY_BYTES];
	uint64_t first = off & -sizeof(buf);
	size_t len = sizeof(buf);
	int ret;

	if (!image_read(mon->img, first, buf, len)) {
		first = off & -PAGE_BYTES;
		len = PAGE_BYTES;
	}
	if (!image_read(mon->img, first, buf, len)) {
		/*
		 * It is lost. Poison is the honest answer: who touches it gets
		 * SIGBUS for this address, not zeros, nor a wait without end.
		 */
		ret = uffdvram_range_install_poison(range, first, len, &res);
		mon->poisoned += res.installed;
	} else if (all_zero(buf, len)) {
		ret = uffdvram_range_install_zero(range, first, len, flags, &res);
		mon->zero += res.installed;
	} else {
		ret = uffdvram_range_install(range, first, buf, len, flags, &res);
	}
	mon->supplied += res.installed;
	return ret;
}

/* False: there is no message. Whoever waits for a page waits for an answer. */
static bool next_fault(struct monitor *mon, uint64_t *off)
{
	struct uffdvram_place place;
	struct uffd_msg msg;
	ssize_t n = read(uffdvram_range_uffd(mon->ram->range), &msg, sizeof(msg));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n != sizeof(msg) || msg.event != UFFD_EVENT_PAGEFAULT)
		fail(EXIT_STOPPED, "userfaultfd: %s", n < 0 ? strerror(errno) : "not a page fault");
	if (uffdvram_find(mon->ram->ctx, msg.arg.pagefault.address, &place))
		fail(EXIT_STOPPED, "userfaultfd: address 0x%llx is not the guest's",
		     (unsigned long long)msg.arg.pagefault.address);
	*off = place.off;
	return true;
}

static void *supplier(void *arg)
{
	struct monitor *mon = arg;
	struct pollfd fds[] = {
		{ .fd = uffdvram_range_uffd(mon->ram->range), .events = POLLIN },
		{ .fd = mon->stop, .events = POLLIN },
	};
	uint64_t off;
	int ret;

	while (!fds[1].revents) {
		if (poll(fds, 2, -1) < 0)
			continue;
		while (next_fault(mon, &off)) {
			ret = supply(mon, off);
			if (ret)
				fail(EXIT_STOPPED, "supplying guest memory 0x%llx: %s",
				     (unsigned long long)off, strerror(-ret));
		}
	}
	return NULL;
}

static unsigned int now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint64_t next(const struct monitor *mon, uint64_t hand)
{
	return hand + BATCH_BYTES < mon->ram->bytes ? hand + BATCH_BYTES : 0;
}

/*
 * What was supplied goes first, as soon as it fills a batch. Else the hand goes on.
 * Pages that are missing or pinned stay, which is no error: their turn comes again.
 */
static int move_batch(struct monitor *mon, uint64_t *hand)
{
	struct uffdvram_range *range = mon->ram->range;
	struct uffdvram_moved moved = { .size = sizeof(moved) };
	uint64_t rest;
	int ret;

	if (uffdvram_range_queued(range) >= BATCH_BYTES) {
		ret = uffdvram_range_flush(range, BATCH_BYTES, &moved);
	} else {
		while (!chosen(mon, *hand))
			*hand = next(mon, *hand);
		rest = mon->ram->bytes - *hand;
		ret = uffdvram_range_move(range, *hand, rest < BATCH_BYTES ? rest : BATCH_BYTES,
					  0, &moved);
		*hand = next(mon, *hand);
	}
	mon->moved += moved.moved;
	return ret;
}

static void *mover(void *arg)
{
	struct monitor *mon = arg;
	struct pollfd stop = { .fd = mon->stop, .events = POLLIN };
	uint64_t hand = 0;
	unsigned int begin;
	int ret;

	while (!stop.revents) {
		begin = now_ms();
		ret = move_batch(mon, &hand);
		if (ret)
			fail(EXIT_STOPPED, "moving guest memory: %s", strerror(-ret));
		/* No haste: what is in use comes back at once, for nothing. */
		poll(&stop, 1, PAUSE_MS + REST * (now_ms() - begin));
	}
	return NULL;
}

static void start(struct monitor *mon, unsigned int n, void *(*fn)(void *arg))
{
	int ret = pthread_create(&mon->threads[n], NULL, fn, mon);

	if (ret)
		fail(EXIT_SETUP, "pthread_create: %s", strerror(ret));
}

void monitor_start(struct monitor *mon)
{
	mon->stop = eventfd(0, EFD_CLOEXEC);
	if (mon->stop < 0)
		fail(EXIT_SETUP, "eventfd: %s", strerror(errno));
	start(mon, 0, supplier);
	if (mon->percent)
		start(mon, 1, mover);
}

void monitor_stop(struct monitor *mon)
{
	eventfd_write(mon->stop, 1);
	pthread_join(mon->threads[0], NULL);
	if (mon->percent)
		pthread_join(mon->threads[1], NULL);
}
