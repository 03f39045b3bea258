/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of the tests of leases: a range with a pool, all of it in VRAM, and a
 * thread that touches a page. The device is played by the knob that flips a bit of a pool.
 */
#ifndef UFFDVRAM_SELFTESTS_ACCESS_FIXTURE_H
#define UFFDVRAM_SELFTESTS_ACCESS_FIXTURE_H

#include <poll.h>
#include <unistd.h>
#include "slots_fixture.h"

#define PAGES	64
#define LEN	(PAGES * PAGE)
#define WRITE	UFFDVRAM_ACCESS_WRITE
#define ALL	UFFDVRAM_ACCESS_WRITTEN_ALL
#define CHECKSUMS "/sys/module/uffdvram/parameters/checksums"
#define WAIT_MS	"/sys/module/uffdvram/parameters/lease_wait_ms"

FIXTURE(access)
{
	int fd;
	uint32_t pool, range;
	char *mem;
	struct uffdvram_slot_run vec[PAGES];
	struct uffdvram_access_begin b;
	uint64_t revoked;
};

typedef FIXTURE_DATA(access) data;

FIXTURE_SETUP(access)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, file_write(WAIT_MS, "60000"));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	/* With checksums: what a device writes must not be taken for damage. */
	ASSERT_EQ(0, file_write(CHECKSUMS, "1"));
	ASSERT_EQ(0, uv_attach(self->fd, MIB(8), 0, &self->pool));
	ASSERT_EQ(0, file_write(CHECKSUMS, "-1"));
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, &self->range));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
}

FIXTURE_TEARDOWN(access)
{
	EXPECT_EQ(0, file_write(WAIT_MS, "1000"));
	munmap(self->mem, LEN);
	close(self->fd);
	expect_no_slots(_metadata);
}

/* All of it: 0 or -errno; short is -ENODATA. */
static inline int begin_all(data *self, uint32_t flags)
{
	int ret = uv_access_begin(self->fd, flags, self->mem, LEN, self->vec, PAGES, &self->b);

	return ret ? ret : self->b.done == LEN && self->b.lease ? 0 : -ENODATA;
}

static inline int end_all(data *self, uint32_t flags)
{
	return uv_access_end(self->fd, self->b.lease, flags, NULL, 0, &self->revoked);
}

static inline long leased(data *self)
{
	struct uffdvram_query q;
	int ret = uv_query(self->fd, self->mem, LEN, &q);

	return ret ? ret : (long)q.count[UFFDVRAM_STATE_LEASED];
}

/* Where a page's slot is in the pool, or -1. */
static inline uint64_t off_of(data *self, const char *page)
{
	for (unsigned int i = 0; i < self->b.used; i++)
		if (ADDR(page) - self->vec[i].addr < self->vec[i].len)
			return self->vec[i].off + (ADDR(page) - self->vec[i].addr);
	return ~0ULL;
}

/* The device writes one bit, at the beginning of a page. */
static inline void device_writes(data *self, const char *page)
{
	uv_knob_set("flip", "%u %llu", self->pool, (unsigned long long)off_of(self, page));
}

/** struct toucher - a thread that reads or writes one byte */
struct toucher {
	pthread_t thread;
	char *addr;
	bool write;
	struct sigbus got;
	uint64_t ms;
	bool ended;
};

static inline void *touch_thread(void *arg)
{
	struct toucher *t = arg;
	uint64_t since = now_ms();

	t->got = t->write ? write_byte(t->addr, 77) : read_byte(t->addr);
	t->ms = now_ms() - since;
	__atomic_store_n(&t->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

static inline bool touched(void *arg)
{
	return __atomic_load_n(&((struct toucher *)arg)->ended, __ATOMIC_ACQUIRE);
}

static inline void touch_start(struct toucher *t, char *addr, bool write)
{
	*t = (struct toucher){ .addr = addr, .write = write };
	if (pthread_create(&t->thread, NULL, touch_thread, t))
		give_up("a thread");
}

/* The next event of a context, if one of leases comes within @ms; else type 0. */
static inline struct uffdvram_event lease_event(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct uffdvram_event event = {};

	while (poll(&p, 1, ms) == 1 && read(fd, &event, sizeof(event)) == sizeof(event))
		if (event.type == UFFDVRAM_EVENT_LEASE_WANTED ||
		    event.type == UFFDVRAM_EVENT_LEASE_REVOKED)
			return event;
	return (struct uffdvram_event){};
}

/* Another thread begins all of it, and that is not the one that goes on. */
static inline void *begin_thread(void *arg)
{
	return (void *)(intptr_t)begin_all(arg, WRITE);
}

static inline int begin_elsewhere(data *self)
{
	pthread_t thread;
	void *ret;

	if (pthread_create(&thread, NULL, begin_thread, self) || pthread_join(thread, &ret))
		give_up("a thread");
	return (intptr_t)ret;
}

#endif /* UFFDVRAM_SELFTESTS_ACCESS_FIXTURE_H */
