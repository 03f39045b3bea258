// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci */
/* TIMEOUT: 240 */
/*
 * Leases: slots are handed out and held, CPUs wait, what the device wrote is told.
 *
 * What becomes of leases whose memory, process or pool goes is the subject of
 * access_ends.c, who is asked or told of writes that of access_watched.c.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include "util_mm.h"
#include "access_fixture.h"
#include "pin.h"

#define QUOTA	"/sys/module/uffdvram/parameters/slot_quota"

TEST_F(access, hands_out_slots)
{
	uint64_t at = ADDR(self->mem);

	/* At home, and in VRAM. */
	ASSERT_EQ(PAGES / 2, uv_to_ram(self->fd, self->mem, LEN / 2));
	ASSERT_EQ(0, begin_all(self, 0));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(PAGES, leased(self));
	ASSERT_LT(0, self->b.used);
	for (unsigned int i = 0; i < self->b.used; i++) {
		EXPECT_EQ(at, self->vec[i].addr);
		EXPECT_LT(0, self->vec[i].len);
		EXPECT_LE(self->vec[i].off + self->vec[i].len, MIB(8));
		/* What could be one run is. */
		EXPECT_FALSE(i && self->vec[i].off == self->vec[i - 1].off + self->vec[i - 1].len);
		at += self->vec[i].len;
	}
	EXPECT_EQ(ADDR(self->mem) + LEN, at);
	EXPECT_EQ(0, end_all(self, 0));
	EXPECT_EQ(0, self->revoked);
	EXPECT_EQ(0, leased(self));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-ENOENT, end_all(self, 0));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* It is there, and nothing says that it is not what was stored. */
TEST_F(access, device_writes_are_found)
{
	uint64_t lost = uv_stat("slots_lost");

	ASSERT_EQ(0, begin_all(self, WRITE));
	device_writes(self, self->mem + 3 * PAGE);
	ASSERT_EQ(0, end_all(self, ALL));
	EXPECT_EQ(3 * PAGE, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(-1, check_pages(self->mem + 4 * PAGE, LEN - 4 * PAGE, 1));
	EXPECT_EQ(lost, uv_stat("slots_lost"));
	EXPECT_EQ(UFFDVRAM_STATE_PRESENT, state_of(self->fd, self->mem + 3 * PAGE));
}

/* Likewise after somebody has written there by COPY. */
TEST_F(access, device_and_copy_write)
{
	char *buf = map_small(PAGE);

	memset(buf, 9, PAGE);
	ASSERT_EQ(0, begin_all(self, WRITE));
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem, PAGE, buf, NULL));
	device_writes(self, self->mem);
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, PAGE, buf, NULL));
	EXPECT_NE(9, buf[0]);
	EXPECT_EQ(9, buf[8]);
	ASSERT_EQ(0, end_all(self, ALL));
	EXPECT_EQ(buf[0], self->mem[0]);
	EXPECT_EQ(9, self->mem[8]);
	munmap(buf, PAGE);
}

TEST_F(access, short_where_the_vector_is_full)
{
	struct uffdvram_access_begin b;
	struct uffdvram_slot_run run;

	/* Every other page at home: the slots that they get are others. */
	for (int i = 0; i < PAGES; i += 2)
		ASSERT_EQ(1, uv_to_ram(self->fd, self->mem + i * PAGE, PAGE));
	for (int i = PAGES - 2; i >= 0; i -= 4)
		ASSERT_EQ(1, uv_to_vram(self->fd, self->mem + i * PAGE, PAGE));
	ASSERT_EQ(0, uv_access_begin(self->fd, 0, self->mem, LEN, &run, 1, &b));
	EXPECT_LE(PAGE, b.done);
	EXPECT_GT(LEN, b.done);
	EXPECT_EQ(1, b.used);
	EXPECT_EQ(ADDR(self->mem), run.addr);
	EXPECT_EQ(b.done, run.len);
	EXPECT_EQ(b.done / PAGE, leased(self));
	EXPECT_EQ(0, uv_access_end(self->fd, b.lease, 0, NULL, 0, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(access, one_lease_at_a_time)
{
	struct uffdvram_access_begin b;
	struct uffdvram_slot_run run;

	ASSERT_EQ(0, uv_access_begin(self->fd, 0, self->mem + PAGE, PAGE, &run, 1, &b));
	EXPECT_EQ(-ENODATA, begin_all(self, 0));	/* up to there */
	EXPECT_EQ(PAGE, self->b.done);
	EXPECT_EQ(0, end_all(self, 0));
	EXPECT_EQ(-EBUSY, uv_access_begin(self->fd, 0, self->mem + PAGE, PAGE, &run, 1, &self->b));
	EXPECT_EQ(0, self->b.done);
	EXPECT_EQ(0, self->b.lease);
	EXPECT_EQ(0, uv_access_end(self->fd, b.lease, 0, NULL, 0, NULL));
	EXPECT_EQ(0, begin_all(self, 0));
	EXPECT_EQ(0, end_all(self, 0));
}

TEST_F(access, migrate_leaves_them)
{
	struct uffdvram_access_begin b;
	struct uffdvram_migrate m;
	struct uffdvram_slot_run run;

	ASSERT_EQ(0, uv_access_begin(self->fd, WRITE, self->mem + 2 * PAGE, 3 * PAGE, &run, 1, &b));
	ASSERT_EQ(3 * PAGE, b.done);
	ASSERT_EQ(0, uv_migrate(self->fd, self->mem, LEN, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(PAGES - 3, m.moved);
	EXPECT_EQ(3, m.stayed[UFFDVRAM_STAY_LEASED]);
	EXPECT_EQ(ADDR(self->mem + 2 * PAGE), m.first[UFFDVRAM_STAY_LEASED]);
	EXPECT_EQ(3, uv_slots_in_use());
	EXPECT_EQ(0, uv_access_end(self->fd, b.lease, 0, NULL, 0, NULL));
	EXPECT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(access, arguments)
{
	uint64_t bits[2] = {};
	struct uffdvram_slot_run run;
	struct uffdvram_access_begin *b = &self->b;
	int fd = self->fd;

	EXPECT_EQ(-EINVAL, uv_access_begin(fd, 0, self->mem, 0, &run, 1, b));
	EXPECT_EQ(-EINVAL, uv_access_begin(fd, 0, self->mem + 1, PAGE, &run, 1, b));
	EXPECT_EQ(-EINVAL, uv_access_begin(fd, 0, self->mem, PAGE + 1, &run, 1, b));
	EXPECT_EQ(-EINVAL, uv_access_begin(fd, 0, self->mem, -PAGE, &run, 1, b));
	EXPECT_EQ(-EINVAL, uv_access_begin(fd, 0, self->mem, PAGE, NULL, 1, b));
	EXPECT_EQ(-EINVAL, uv_access_begin(fd, 0, self->mem, PAGE, &run, 0, b));
	EXPECT_EQ(-ENOENT, uv_access_begin(fd, 0, self->mem + LEN, PAGE, &run, 1, b));
	EXPECT_EQ(-EFAULT, uv_access_begin(fd, 0, self->mem, PAGE, (void *)8, 1, b));
	EXPECT_EQ(0, b->done + b->lease + b->used);
	EXPECT_EQ(0, leased(self));
	EXPECT_EQ(-ENOENT, uv_access_end(fd, 1, 0, NULL, 0, NULL));
	EXPECT_EQ(-ENOENT, uv_access_end(fd, 1ULL << 32 | 1, 0, NULL, 0, NULL));

	ASSERT_EQ(0, begin_all(self, 0));
	EXPECT_EQ(-EINVAL, uv_access_end(fd, b->lease, ALL, NULL, 0, NULL));
	EXPECT_EQ(-EINVAL, uv_access_end(fd, b->lease, 0, bits, 1, NULL));
	EXPECT_EQ(0, end_all(self, 0));
	ASSERT_EQ(0, begin_all(self, WRITE));
	EXPECT_EQ(-EINVAL, uv_access_end(fd, b->lease, 0, bits, 0, NULL));
	EXPECT_EQ(-EINVAL, uv_access_end(fd, b->lease, 0, NULL, 1, NULL));
	EXPECT_EQ(-EINVAL, uv_access_end(fd, b->lease, ALL, bits, 1, NULL));
	EXPECT_EQ(-EINVAL, uv_access_end(fd, b->lease, 0, bits, PAGES + 1, NULL));
	EXPECT_EQ(-EFAULT, uv_access_end(fd, b->lease, 0, (void *)8, 1, NULL));
	EXPECT_EQ(PAGES, leased(self));
	EXPECT_EQ(0, uv_access_end(fd, b->lease, 0, bits, PAGES, NULL));

	ASSERT_EQ(0, mprotect(self->mem, PAGE, PROT_READ));
	EXPECT_EQ(-EACCES, uv_access_begin(fd, WRITE, self->mem, PAGE, &run, 1, b));
	EXPECT_EQ(0, uv_access_begin(fd, 0, self->mem, PAGE, &run, 1, b));
	EXPECT_EQ(0, end_all(self, 0));
	ASSERT_EQ(0, uv_poison(fd, UFFDVRAM_POISON_REPLACE, self->mem + PAGE, PAGE, NULL));
	EXPECT_EQ(-EHWPOISON, uv_access_begin(fd, 0, self->mem + PAGE, PAGE, &run, 1, b));
	ASSERT_EQ(0, munmap(self->mem + 2 * PAGE, PAGE));
	EXPECT_EQ(-EFAULT, uv_access_begin(fd, 0, self->mem + 2 * PAGE, PAGE, &run, 1, b));
	ASSERT_EQ(0, uv_detach(fd, self->pool, 0, NULL));
	EXPECT_EQ(-ENODEV, uv_access_begin(fd, 0, self->mem, PAGE, &run, 1, b));
}

/* The first page of a lease, alone, to read. */
static int begin_page(data *self, char *page)
{
	return uv_access_begin(self->fd, 0, page, PAGE, self->vec, 1, &self->b);
}

/* For what is wrong with the page itself. */
TEST_F(access, pages_that_cannot_be_leased)
{
	char *p = self->mem;
	struct pin pin;

	uv_knob_set("fail_to_ram", "%d", 1);
	EXPECT_EQ(SIGBUS, read_byte(p).signo);
	EXPECT_EQ(-EHWPOISON, begin_page(self, p));
	ASSERT_EQ(1, uv_to_ram(self->fd, p + PAGE, PAGE));
	uv_knob_set("fail_to_vram", "%d", 1);
	EXPECT_EQ(-EIO, begin_page(self, p + PAGE));
	EXPECT_EQ(0, self->b.done + self->b.lease + self->b.used);
	ASSERT_EQ(0, begin_page(self, p + PAGE));
	EXPECT_EQ(0, end_all(self, 0));
	pin_page(&pin, p + 2 * PAGE);
	EXPECT_EQ(-EBUSY, begin_page(self, p + 2 * PAGE));
	unpin(&pin);
	ASSERT_EQ(0, begin_page(self, p + 2 * PAGE));
	EXPECT_EQ(0, end_all(self, 0));
	ASSERT_EQ(0, mprotect(p + 3 * PAGE, PAGE, PROT_NONE));
	EXPECT_EQ(-EACCES, begin_page(self, p + 3 * PAGE));
	ASSERT_EQ(p + 4 * PAGE, mmap(p + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(-EINVAL, begin_page(self, p + 4 * PAGE));
	EXPECT_EQ(0, leased(self));
	EXPECT_EQ(-1, check_pages(p + PAGE, 2 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(p + 5 * PAGE, LEN - 5 * PAGE, 1));
}

static int child_waits(int sock, void *arg)
{
	uint64_t word;

	(void)arg;
	return !child_hear(sock, &word);
}

/* A child shares it: to be made our own it has to come home, and is lost. */
TEST_F(access, lost_on_its_way)
{
	struct child child = child_start(child_waits, NULL);

	uv_knob_set("fail_to_ram", "%d", 1);
	EXPECT_EQ(-EHWPOISON, begin_page(self, self->mem));
	EXPECT_EQ(0, self->b.done + self->b.lease + self->b.used);
	EXPECT_EQ(SIGBUS, read_byte(self->mem).signo);
	EXPECT_EQ(0, leased(self));
	child_tell(child.fd, 1);
	EXPECT_EQ(0, child_end(&child));
}

static void nothing(int signo)
{
	(void)signo;
}

/* One that arrives while it tries to get a page that somebody holds. */
TEST_F(access, signals)
{
	struct itimerval often = { { 0, 3000 }, { 0, 3000 } }, never = {};
	struct sigaction sa = { .sa_handler = nothing };
	uint64_t until = now_ms() + 100000;
	struct pin pin;
	int ret;

	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	pin_page(&pin, self->mem);
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	do {
		ret = begin_page(self, self->mem);
	} while (ret == -EBUSY && now_ms() < until);
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
	EXPECT_EQ(-EINTR, ret);
	EXPECT_EQ(0, self->b.done + self->b.lease + self->b.used);
	unpin(&pin);
	EXPECT_EQ(0, leased(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(access, holes_and_no_room)
{
	size_t len = MIB(16);
	struct uffdvram_slot_run *vec = calloc(4096, sizeof(*vec));
	char *mem = map_small(len);

	ASSERT_EQ(0, uv_register(self->fd, mem, len, self->pool, NULL));
	ASSERT_EQ(0, uv_access_begin(self->fd, WRITE, mem, len, vec, 4096, &self->b));
	EXPECT_LE(MIB(4), self->b.done);
	EXPECT_GT(len, self->b.done);
	EXPECT_EQ(self->b.done / PAGE + PAGES, uv_slots_in_use());
	EXPECT_EQ(-ENOSPC, uv_access_begin(self->fd, WRITE, mem + self->b.done, PAGE, vec, 4096,
					   &(struct uffdvram_access_begin){}));
	EXPECT_EQ(0, end_all(self, 0));
	EXPECT_EQ(-1, not_zero(mem, len));
	munmap(mem, len);
	free(vec);
}

/* As many as the user may have. */
TEST_F(access, quota)
{
	struct uffdvram_access_begin b;
	struct uffdvram_slot_run run;

	ASSERT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, file_write(QUOTA, "8"));
	EXPECT_EQ(-ENODATA, begin_all(self, 0));	/* up to there */
	EXPECT_EQ(8 * PAGE, self->b.done);
	EXPECT_EQ(-EDQUOT, uv_access_begin(self->fd, 0, self->mem + 8 * PAGE, PAGE, &run, 1, &b));
	EXPECT_EQ(0, file_write(QUOTA, "0"));
	EXPECT_EQ(0, end_all(self, 0));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* What is swapped out is brought in, and then to VRAM. */
TEST_F(access, swapped)
{
	size_t off;

	if (!swap_on())
		SKIP(return, "no zram on this machine");
	on_one_cpu();
	ASSERT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	ASSERT_TRUE(swap_out(self->mem, PAGES));
	for (off = 0; off < LEN; off += self->b.done) {
		ASSERT_EQ(0, uv_access_begin(self->fd, 0, self->mem + off, LEN - off, self->vec,
					     PAGES, &self->b));
		ASSERT_LE(PAGE, self->b.done);
		EXPECT_EQ(0, end_all(self, 0));
	}
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	swap_off();
}

/* A CPU waits, the holder is told, and END lets it go on. */
TEST_F(access, cpu_waits)
{
	struct uffdvram_event event;
	struct toucher t;

	ASSERT_EQ(0, begin_all(self, WRITE));
	touch_start(&t, self->mem + 5 * PAGE, false);
	event = lease_event(self->fd, 60000);
	EXPECT_EQ(UFFDVRAM_EVENT_LEASE_WANTED, event.type);
	EXPECT_EQ(ADDR(self->mem + 5 * PAGE), event.addr);
	EXPECT_EQ(PAGE, event.len);
	EXPECT_EQ(self->b.lease, event.range);
	sleep_ms(200);
	EXPECT_FALSE(touched(&t));
	/* It holds no lock: this wants mmap_lock for writing. */
	munmap(map_small(PAGE), PAGE);
	device_writes(self, self->mem + 5 * PAGE);
	ASSERT_EQ(0, end_all(self, ALL));
	EXPECT_EQ(0, self->revoked);
	pthread_join(t.thread, NULL);
	EXPECT_EQ(0, t.got.signo);
	EXPECT_EQ(self->mem[5 * PAGE], (char)t.got.value);
	EXPECT_EQ(5 * PAGE, check_pages(self->mem, LEN, 1));
}

/* After a while it takes the page; the slot stays the device's until END. */
TEST_F(access, cpu_revokes)
{
	struct uffdvram_event event;
	struct toucher t;
	uint64_t off;

	ASSERT_EQ(0, file_write(WAIT_MS, "300"));
	ASSERT_EQ(0, begin_all(self, WRITE));
	off = off_of(self, self->mem);
	touch_start(&t, self->mem, true);
	pthread_join(t.thread, NULL);
	EXPECT_EQ(0, t.got.signo);
	/* The kernel counts in ticks, and may be some behind. */
	EXPECT_LE(150, t.ms);
	EXPECT_EQ(77, self->mem[0]);
	EXPECT_EQ(UFFDVRAM_EVENT_LEASE_WANTED, lease_event(self->fd, 60000).type);
	event = lease_event(self->fd, 60000);
	EXPECT_EQ(UFFDVRAM_EVENT_LEASE_REVOKED, event.type);
	EXPECT_EQ(UFFDVRAM_REVOKED_CPU, event.cause);
	EXPECT_EQ(ADDR(self->mem), event.addr);
	EXPECT_EQ(PAGES - 1, leased(self));
	EXPECT_EQ(PAGES - 1, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(PAGES, uv_slots_in_use());
	/* Whatever is written there reaches nobody, and nobody gets the slot. */
	uv_knob_set("flip", "%u %llu", self->pool, (unsigned long long)off);
	EXPECT_EQ(77, self->mem[0]);
	EXPECT_EQ(-ESTALE, end_all(self, ALL));
	EXPECT_EQ(1, self->revoked);
	EXPECT_EQ(PAGES - 1, uv_slots_in_use());
	EXPECT_EQ(-1, check_pages(self->mem + PAGE, LEN - PAGE, 1));
}

/* He would wait for himself. */
TEST_F(access, holder_is_told_at_once)
{
	uint64_t since;

	ASSERT_EQ(0, begin_all(self, WRITE));
	since = now_ms();
	EXPECT_EQ(0, write_byte(self->mem + PAGE, 3).signo);
	EXPECT_GT(30000, now_ms() - since);
	EXPECT_EQ(UFFDVRAM_EVENT_LEASE_REVOKED, lease_event(self->fd, 60000).type);
	EXPECT_EQ(-ESTALE, end_all(self, ALL));
	EXPECT_EQ(1, self->revoked);
	EXPECT_EQ(3, self->mem[PAGE]);
}

/* Also where the answer is to be written into what is leased. */
TEST_F(access, vector_in_the_lease)
{
	struct uffdvram_slot_run *vec = (void *)self->mem;
	struct uffdvram_access_begin b;

	ASSERT_EQ(0, uv_access_begin(self->fd, WRITE, self->mem, LEN, vec, PAGES, &b));
	EXPECT_EQ(LEN, b.done);
	EXPECT_EQ(ADDR(self->mem), vec[0].addr);
	EXPECT_EQ(-ESTALE, uv_access_end(self->fd, b.lease, ALL, NULL, 0, &self->revoked));
	EXPECT_LE(1, self->revoked);
	EXPECT_EQ(-1, check_pages(self->mem + PAGE, LEN - PAGE, 1));
}

#define CROWD	8

/* Many on two pages; one END, one revocation, let all of them go. */
TEST_F(access, crowd_waits)
{
	struct toucher t[CROWD];

	ASSERT_EQ(0, begin_all(self, 0));
	for (int i = 0; i < CROWD; i++)
		touch_start(&t[i], self->mem + i % 2 * PAGE, false);
	for (int i = 0; i < 50; i++)
		munmap(map_small(PAGE), PAGE);
	sleep_ms(100);
	for (int i = 0; i < CROWD; i++)
		EXPECT_FALSE(touched(&t[i]));
	EXPECT_EQ(0, end_all(self, 0));
	for (int i = 0; i < CROWD; i++) {
		pthread_join(t[i].thread, NULL);
		EXPECT_EQ(0, t[i].got.signo);
	}
	ASSERT_EQ(0, file_write(WAIT_MS, "100"));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, begin_all(self, 0));
	for (int i = 0; i < CROWD; i++)
		touch_start(&t[i], self->mem + i % 2 * PAGE, i & 4);
	for (int i = 0; i < CROWD; i++)
		pthread_join(t[i].thread, NULL);
	EXPECT_EQ(-ESTALE, end_all(self, 0));
	EXPECT_EQ(2, self->revoked);
	EXPECT_EQ(-1, check_pages(self->mem + 2 * PAGE, LEN - 2 * PAGE, 1));
}

/* Who copies, and who pins, by a system call. */
TEST_F(access, system_calls)
{
	int p[2];

	ASSERT_EQ(0, file_write(WAIT_MS, "100"));
	ASSERT_EQ(0, begin_elsewhere(self));
	ASSERT_EQ(0, pipe(p));
	EXPECT_EQ(2 * PAGE, write(p[1], self->mem, 2 * PAGE));
	EXPECT_EQ(0, mlock(self->mem + 2 * PAGE, PAGE));
	EXPECT_EQ(-ESTALE, end_all(self, ALL));
	EXPECT_EQ(3, self->revoked);
	EXPECT_EQ(0, munlock(self->mem + 2 * PAGE, PAGE));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	close(p[0]);
	close(p[1]);
}

TEST_HARNESS_MAIN
