// SPDX-License-Identifier: GPL-2.0-only
/*
 * monitor: two threads beside the virtual CPU.
 *
 * One supplies: the guest starts with no memory at all, and each page that it
 * (or KVM for it) touches first is asked for through userfaultfd. The thread
 * that touched it waits until the page is there, so this comes before anything
 * else, and neighbours come along.
 *
 * One moves: off that critical path, a hand goes round the memory and sends
 * pages to VRAM, a batch at a time. A page that the guest touches there comes
 * home by itself: nobody here is asked.
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

/* A page and its neighbours; where the image ends or fails, the page alone. */
static int supply(struct monitor *mon, uint64_t off)
{
	char buf[SUPPLY_BYTES];
	uint64_t first = off & -sizeof(buf);
	size_t len = sizeof(buf);
	int64_t pages;

	if (!image_read(mon->img, first, buf, len)) {
		first = off & -PAGE_BYTES;
		len = PAGE_BYTES;
	}
	if (!image_read(mon->img, first, buf, len)) {
		/*
		 * It is lost. Poison is the honest answer: who touches it gets
		 * SIGBUS for this address, not zeros, nor a wait without end.
		 */
		pages = ram_supply_poison(mon->ram, first, len);
		mon->poisoned += pages > 0 ? pages : 0;
	} else if (all_zero(buf, len)) {
		pages = ram_supply_zeros(mon->ram, first, len);
		mon->zero += pages > 0 ? pages : 0;
	} else {
		pages = ram_supply(mon->ram, first, buf, len);
	}
	mon->supplied += pages > 0 ? pages : 0;
	return pages < 0 ? pages : 0;
}

/* False: there is no message. */
static bool next_fault(struct monitor *mon, uint64_t *off)
{
	struct uffd_msg msg;
	ssize_t n = read(mon->ram->uffd, &msg, sizeof(msg));

	if (n != sizeof(msg) || msg.event != UFFD_EVENT_PAGEFAULT)
		return false;
	*off = msg.arg.pagefault.address - (uintptr_t)mon->ram->mem;
	return true;
}

static void *supplier(void *arg)
{
	struct monitor *mon = arg;
	struct pollfd fds[] = {
		{ .fd = mon->ram->uffd, .events = POLLIN },
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

/* Of each 100 batches, @percent go, and not all of them in a row. */
static bool chosen(const struct monitor *mon, uint64_t off)
{
	return off / BATCH_BYTES * mon->percent % 100 < mon->percent;
}

static void *mover(void *arg)
{
	struct monitor *mon = arg;
	struct uffdvram_moved moved = { .size = sizeof(moved) };
	struct pollfd stop = { .fd = mon->stop, .events = POLLIN };
	uint64_t off = 0, len;
	unsigned int begin;
	int ret;

	while (!stop.revents) {
		len = mon->ram->bytes - off < BATCH_BYTES ? mon->ram->bytes - off : BATCH_BYTES;
		if (chosen(mon, off)) {
			begin = now_ms();
			/* What is missing or pinned stays: its turn comes again. */
			ret = uffdvram_range_move(mon->ram->range, off, len, 0, &moved);
			if (ret)
				fail(EXIT_STOPPED, "moving guest memory 0x%llx: %s",
				     (unsigned long long)off, strerror(-ret));
			mon->moved += moved.moved;
			/* No haste: what is in use comes back at once, for nothing. */
			poll(&stop, 1, PAUSE_MS + REST * (now_ms() - begin));
		}
		off = (off + len) % mon->ram->bytes;
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
