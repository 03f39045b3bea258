// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci */
/* TIMEOUT: 240 */
/*
 * Leases whose memory, process, range or pool goes: each is settled, and nothing is left.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "util_mm.h"
#include "access_fixture.h"

/* All slots are the device's until END, which tells how many pages went. */
static void expect_parked(struct __test_metadata *_metadata, data *self, uint64_t gone)
{
	EXPECT_EQ(PAGES, uv_slots_in_use());
	EXPECT_EQ(-ESTALE, end_all(self, ALL));
	EXPECT_EQ(gone, self->revoked);
	EXPECT_TRUE(uv_wait_slots(PAGES - gone));
}

TEST_F(access, munmap)
{
	struct uffdvram_event event;

	ASSERT_EQ(0, begin_all(self, WRITE));
	ASSERT_EQ(0, munmap(self->mem, LEN / 2));
	event = lease_event(self->fd, 60000);
	EXPECT_EQ(UFFDVRAM_EVENT_LEASE_REVOKED, event.type);
	EXPECT_EQ(UFFDVRAM_REVOKED_GONE, event.cause);
	EXPECT_EQ(self->b.lease, event.range);
	EXPECT_EQ(ADDR(self->mem), event.addr);
	EXPECT_EQ(LEN / 2, event.len);
	device_writes(self, self->mem);
	expect_parked(_metadata, self, PAGES / 2);
	EXPECT_EQ(-1, check_pages(self->mem + LEN / 2, LEN / 2, 1));
}

TEST_F(access, dontneed)
{
	ASSERT_EQ(0, begin_all(self, WRITE));
	ASSERT_EQ(0, madvise(self->mem, 3 * PAGE, MADV_DONTNEED));
	device_writes(self, self->mem);
	EXPECT_EQ(-1, not_zero(self->mem, 3 * PAGE));
	expect_parked(_metadata, self, 3);
	EXPECT_EQ(-1, check_pages(self->mem + 3 * PAGE, LEN - 3 * PAGE, 1));
}

/* The page lives on elsewhere. */
TEST_F(access, mremap)
{
	char *to = map_small(LEN);

	ASSERT_EQ(0, begin_all(self, WRITE));
	ASSERT_EQ(to, mremap(self->mem, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(PAGES, uv_slots_in_use());
	EXPECT_EQ(-1, check_pages_as(to, LEN, self->mem, 1));
	expect_parked(_metadata, self, PAGES);
	munmap(to, LEN);
}

TEST_F(access, poison)
{
	ASSERT_EQ(0, begin_all(self, WRITE));
	ASSERT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_REPLACE, self->mem, PAGE, NULL));
	EXPECT_EQ(SIGBUS, read_byte(self->mem).signo);
	expect_parked(_metadata, self, 1);
}

static int child_reads(int fd, void *arg)
{
	(void)fd;
	return check_pages(arg, LEN, 1) != -1;
}

TEST_F(access, fork)
{
	struct uffdvram_event event;

	ASSERT_EQ(0, begin_elsewhere(self));
	EXPECT_EQ(0, run_child(child_reads, self->mem));
	event = lease_event(self->fd, 60000);
	EXPECT_EQ(UFFDVRAM_EVENT_LEASE_REVOKED, event.type);
	EXPECT_EQ(UFFDVRAM_REVOKED_FORK, event.cause);
	EXPECT_EQ(LEN, event.len);
	EXPECT_EQ(0, leased(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(-ESTALE, end_all(self, ALL));
	EXPECT_EQ(PAGES, self->revoked);
	EXPECT_TRUE(uv_wait_slots(0));
}

/* A page that a child shares is made our own first. */
static int child_stays(int fd, void *arg)
{
	uint64_t word;

	child_tell(fd, 1);
	child_hear(fd, &word);
	return check_pages(arg, LEN, 1) != -1;
}

TEST_F(access, shared_before)
{
	struct child child = child_start(child_stays, self->mem);
	uint64_t word;

	ASSERT_TRUE(child_hear(child.fd, &word));
	ASSERT_EQ(0, begin_all(self, WRITE));
	for (int i = 0; i < PAGES; i++)
		device_writes(self, self->mem + i * PAGE);
	EXPECT_EQ(0, end_all(self, ALL));
	EXPECT_EQ(PAGES, (long)check_each(self->mem, LEN, 1));
	child_tell(child.fd, 1);
	EXPECT_EQ(0, child_end(&child));
}

TEST_F(access, unregister)
{
	ASSERT_EQ(0, begin_elsewhere(self));
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	EXPECT_EQ(UFFDVRAM_REVOKED_GONE, lease_event(self->fd, 60000).cause);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	expect_parked(_metadata, self, PAGES);
}

/* It comes home, but the pool ends only after the lease; who asks may be who holds it. */
TEST_F(access, detach)
{
	uint64_t left;

	ASSERT_EQ(0, begin_elsewhere(self));
	EXPECT_EQ(-EBUSY, uv_detach(self->fd, self->pool, 0, &left));
	EXPECT_EQ(PAGES, left);
	EXPECT_EQ(UFFDVRAM_REVOKED_POOL, lease_event(self->fd, 60000).cause);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	/* It takes no pages any more. */
	EXPECT_EQ(-ENODEV, uv_access_begin(self->fd, 0, self->mem, PAGE, self->vec, 1, NULL));
	EXPECT_EQ(-EBUSY, uv_detach(self->fd, self->pool, 0, &left));
	EXPECT_EQ(-ESTALE, end_all(self, ALL));
	EXPECT_EQ(PAGES, self->revoked);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, &left));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* Leases of a context that was closed end by themselves: a pool waits for them. */
TEST_F(access, detach_after_close)
{
	struct uffdvram_slot_run vec[PAGES];
	int fd, i;

	for (i = 0; i < 100; i++) {
		fd = uv_open();
		ASSERT_EQ(0, uv_access_begin(fd, WRITE, self->mem, LEN, vec, PAGES, NULL));
		/* The pages are gone, the slots are kept. */
		ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
		close(fd);
		ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL)) TH_LOG("round %d", i);
		ASSERT_EQ(0, uv_unregister(self->fd, self->range));
		ASSERT_EQ(0, uv_attach(self->fd, MIB(8), 0, &self->pool));
		ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, &self->range));
		ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	}
}

TEST_F(access, discard)
{
	ASSERT_EQ(0, begin_elsewhere(self));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, UFFDVRAM_DETACH_DISCARD, NULL));
	EXPECT_EQ(SIGBUS, read_byte(self->mem).signo);
	EXPECT_EQ(-ESTALE, end_all(self, ALL));
	EXPECT_EQ(PAGES, self->revoked);
	munmap(self->mem, LEN);
	EXPECT_TRUE(uv_wait_slots(0));
}

static bool none_in_vram(void *arg)
{
	data *self = arg;

	return uv_in_vram(self->fd, self->mem, LEN) == 0;
}

TEST_F(access, pool_in_trouble)
{
	ASSERT_EQ(0, begin_elsewhere(self));
	uv_knob_set("trouble", "%u evacuate", self->pool);
	EXPECT_EQ(UFFDVRAM_REVOKED_POOL, lease_event(self->fd, 60000).cause);
	EXPECT_TRUE(wait_until(none_in_vram, self, 60000));
	expect_parked(_metadata, self, PAGES);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* Nobody ends it any more but the module. */
TEST_F(access, close)
{
	ASSERT_EQ(0, begin_elsewhere(self));
	close(self->fd);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
}

/* A process with a context of its own, whose descriptor we have, too. */
static int holder_child(int fd, void *arg)
{
	struct uffdvram_access_begin b = {};
	struct uffdvram_slot_run vec[PAGES];
	int ctx = uv_open();
	uint32_t pool;
	uint64_t word;
	char *mem = map_small(LEN);

	fill_pages(mem, LEN, 1);
	if (ctx < 0 || uv_attach(ctx, MIB(2), 0, &pool) ||
	    uv_register(ctx, mem, LEN, pool, NULL) || uv_to_vram(ctx, mem, LEN) != PAGES ||
	    uv_access_begin(ctx, WRITE, mem, LEN, vec, PAGES, &b) || b.done != LEN)
		return 1;
	if (arg && fd_send(fd, ctx))
		return 2;
	child_tell(fd, b.lease);
	child_hear(fd, &word);
	return 3;
}

static void holder_dies(struct __test_metadata *_metadata, bool keep)
{
	struct child child = child_start(holder_child, keep ? &keep : NULL);
	int fd = keep ? fd_receive(child.fd) : -1;
	uint64_t lease, revoked;

	ASSERT_TRUE(child_hear(child.fd, &lease));
	EXPECT_EQ(2 * PAGES, uv_slots_in_use());
	child_kill(&child);
	if (keep) {
		ASSERT_LE(0, fd);
		EXPECT_EQ(2 * PAGES, uv_slots_in_use());
		EXPECT_EQ(-ESTALE, uv_access_end(fd, lease, ALL, NULL, 0, &revoked));
		EXPECT_EQ(PAGES, revoked);
		EXPECT_EQ(PAGES, uv_slots_in_use());
		close(fd);
	}
	EXPECT_TRUE(uv_wait_slots(PAGES));
}

TEST_F(access, killed)
{
	holder_dies(_metadata, false);
}

TEST_F(access, killed_while_others_hold_the_descriptor)
{
	holder_dies(_metadata, true);
}

/* A thread of its own holds a lease on a page that the main thread waits for. */
static int waiter_child(int fd, void *arg)
{
	FIXTURE_DATA(access) s = {};
	uint64_t word = 1;

	(void)arg;
	s.fd = uv_open();
	s.mem = map_small(LEN);
	fill_pages(s.mem, LEN, 1);
	if (uv_attach(s.fd, MIB(2), 0, &s.pool) || uv_register(s.fd, s.mem, LEN, s.pool, NULL) ||
	    uv_to_vram(s.fd, s.mem, LEN) != PAGES || begin_elsewhere(&s))
		return 1;
	child_tell(fd, word);
	/* Killed here. */
	return read_byte(s.mem).signo;
}

static bool one_waits(void *before)
{
	return uv_stat("leases_waits") != *(uint64_t *)before;
}

TEST_F(access, killed_while_waiting)
{
	struct child child = child_start(waiter_child, NULL);
	uint64_t word, waits = uv_stat("leases_waits"), since;

	ASSERT_TRUE(child_hear(child.fd, &word));
	EXPECT_TRUE(wait_until(one_waits, &waits, 60000));
	EXPECT_EQ(waits + 1, uv_stat("leases_waits"));
	since = now_ms();
	child_kill(&child);
	EXPECT_GT(30000, now_ms() - since);
	EXPECT_TRUE(uv_wait_slots(PAGES));
}

static int child_begins(int fd, void *arg)
{
	data *self = arg;

	(void)fd;
	on_one_cpu();
	return begin_all(self, WRITE) || end_all(self, 0);
}

/* Who holds the descriptor: by his being forked, the pages have to be made our own. */
TEST_F(access, from_another_process)
{
	EXPECT_EQ(0, run_child(child_begins, self));
	EXPECT_EQ(0, leased(self));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* Another process's touch does not wait: it is none of the holder's. */
static int child_touches(int fd, void *arg)
{
	(void)fd;
	return read_byte(arg).signo;
}

TEST_F(access, page_that_a_child_shares_is_not_waited_for)
{
	uint64_t waits = uv_stat("leases_waits");
	struct child child;
	uint64_t word;

	child = child_start(child_stays, self->mem);
	ASSERT_TRUE(child_hear(child.fd, &word));
	ASSERT_EQ(0, begin_elsewhere(self));
	EXPECT_EQ(0, run_child(child_touches, self->mem));
	child_tell(child.fd, 1);
	EXPECT_EQ(0, child_end(&child));
	EXPECT_EQ(waits, uv_stat("leases_waits"));
	EXPECT_EQ(-ESTALE, end_all(self, 0));
}

FIXTURE(huge)
{
	FIXTURE_DATA(access) s;
};

#define HUGE_PAGES	(HUGE / PAGE)

FIXTURE_SETUP(huge)
{
	data *s = &self->s;

	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, file_write(WAIT_MS, "200"));
	s->fd = uv_open();
	ASSERT_LE(0, s->fd);
	if (!huge_in_vram(s->fd)) {
		close(s->fd);
		SKIP(return, "no entries of 2 MiB live in VRAM on this kernel");
	}
	ASSERT_EQ(0, uv_attach(s->fd, MIB(8), 0, &s->pool));
	s->mem = map_filled(s->fd, HUGE, 1);
	ASSERT_EQ(0, uv_register(s->fd, s->mem, HUGE, s->pool, &s->range));
	ASSERT_EQ(HUGE_PAGES, uv_to_vram(s->fd, s->mem, HUGE));
	ASSERT_EQ(HUGE_PAGES, huge_pages(s->fd, s->mem, HUGE));
	ASSERT_EQ(0, uv_access_begin(s->fd, WRITE, s->mem, HUGE, s->vec, 1, &s->b));
	ASSERT_EQ(HUGE, s->b.done);
	EXPECT_EQ(1, s->b.used);
}

FIXTURE_TEARDOWN(huge)
{
	EXPECT_EQ(0, file_write(WAIT_MS, "1000"));
	munmap(self->s.mem, HUGE);
	close(self->s.fd);
	expect_no_slots(_metadata);
}

static int child_exits(int fd, void *arg)
{
	(void)fd, (void)arg;
	return 0;
}

/* One page of 2 MiB is taken; the others stay the device's. */
TEST_F(huge, cpu_revokes_one_page)
{
	data *s = &self->s;
	struct uffdvram_query q;
	struct toucher t;

	touch_start(&t, s->mem + 7 * PAGE, true);
	pthread_join(t.thread, NULL);
	EXPECT_EQ(0, t.got.signo);
	EXPECT_EQ(77, s->mem[7 * PAGE]);
	ASSERT_EQ(0, uv_query(s->fd, s->mem, HUGE, &q));
	EXPECT_EQ(HUGE_PAGES - 1, q.count[UFFDVRAM_STATE_LEASED]);
	EXPECT_EQ(HUGE_PAGES - 1, q.count[UFFDVRAM_STATE_VRAM]);
	EXPECT_EQ(HUGE_PAGES, uv_slots_in_use());
	device_writes(s, s->mem + 9 * PAGE);
	EXPECT_EQ(-ESTALE, end_all(s, ALL));
	EXPECT_EQ(1, s->revoked);
	EXPECT_EQ(HUGE_PAGES - 1, uv_slots_in_use());
	EXPECT_EQ(-1, check_pages(s->mem, 7 * PAGE, 1));
	EXPECT_EQ(9 * PAGE, 8 * PAGE + check_pages(s->mem + 8 * PAGE, HUGE - 8 * PAGE, 1));
}

TEST_F(huge, goes_while_it_is_leased)
{
	data *s = &self->s;

	ASSERT_EQ(0, munmap(s->mem, HUGE));
	EXPECT_EQ(HUGE_PAGES, uv_slots_in_use());
	EXPECT_EQ(-ESTALE, end_all(s, ALL));
	EXPECT_EQ(HUGE_PAGES, s->revoked);
	EXPECT_EQ(0, uv_slots_in_use());
}

TEST_F(huge, fork_and_detach)
{
	data *s = &self->s;

	EXPECT_EQ(0, run_child(child_reads, s->mem));
	EXPECT_EQ(-EBUSY, uv_detach(s->fd, s->pool, 0, NULL));
	EXPECT_EQ(-1, check_pages(s->mem, HUGE, 1));
	EXPECT_EQ(-ESTALE, end_all(s, ALL));
	EXPECT_EQ(HUGE_PAGES, s->revoked);
	EXPECT_EQ(0, uv_detach(s->fd, s->pool, 0, NULL));
}

/* Revoked, with the rest of a block never leased: all of it comes home at once. */
TEST_F(huge, fork_with_a_part)
{
	data *s = &self->s;
	uint64_t faults = uv_stat("folios_fault");

	ASSERT_EQ(0, end_all(s, 0));
	ASSERT_EQ(0, uv_access_begin(s->fd, WRITE, s->mem + 5 * PAGE, 3 * PAGE, s->vec, 1, &s->b));
	EXPECT_EQ(0, run_child(child_exits, NULL));
	EXPECT_EQ(0, leased(s));
	EXPECT_EQ(0, read_byte(s->mem + 4 * PAGE).signo);
	EXPECT_EQ(faults + 1, uv_stat("folios_fault"));
	EXPECT_EQ(3, uv_slots_in_use());
	EXPECT_EQ(-ESTALE, end_all(s, ALL));
	EXPECT_EQ(3, s->revoked);
	EXPECT_EQ(-1, check_pages(s->mem, HUGE, 1));
}

/* Leases of other pages in the pool do not keep a block from moving as one. */
TEST_F(huge, home_beside_a_lease)
{
	char *mem = map_small(PAGE);
	data *s = &self->s;
	uint64_t out = uv_stat("folios_out");

	ASSERT_EQ(0, end_all(s, 0));
	ASSERT_EQ(0, uv_register(s->fd, mem, PAGE, s->pool, NULL));
	ASSERT_EQ(0, uv_access_begin(s->fd, WRITE, mem, PAGE, s->vec, 1, &s->b));
	EXPECT_EQ(HUGE_PAGES, uv_to_ram(s->fd, s->mem, HUGE));
	EXPECT_EQ(out + 1, uv_stat("folios_out"));
	EXPECT_EQ(0, end_all(s, 0));
	EXPECT_EQ(-1, check_pages(s->mem, HUGE, 1));
	munmap(mem, PAGE);
}

/* What is not leased of a block comes home, what is leased stays. */
TEST_F(huge, part_of_a_block)
{
	data *s = &self->s;
	struct uffdvram_migrate m;

	ASSERT_EQ(0, end_all(s, 0));
	ASSERT_EQ(0, uv_access_begin(s->fd, WRITE, s->mem + 5 * PAGE, 3 * PAGE, s->vec, 1, &s->b));
	/* A page beside it is not waited for. */
	EXPECT_EQ(0, read_byte(s->mem + 4 * PAGE).signo);
	EXPECT_EQ(0, lease_event(s->fd, 0).type);
	ASSERT_EQ(0, uv_migrate(s->fd, s->mem, HUGE, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(3, m.stayed[UFFDVRAM_STAY_LEASED]);
	EXPECT_EQ(3, uv_slots_in_use());
	EXPECT_EQ(0, end_all(s, 0));
	EXPECT_EQ(-1, check_pages(s->mem, HUGE, 1));
}

TEST_HARNESS_MAIN
