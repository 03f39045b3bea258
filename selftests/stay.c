// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * Pages that MIGRATE leaves where they are: each for the right cause, at the
 * right address, with its bytes intact, and nothing else is kept from moving.
 *
 * Shared pages are the subject of shared.c, armed holes that of uffd.c.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include "util_mm.h"
#include "vram_fixture.h"

/* Exactly these pages stayed, for this cause and no other. */
static void expect_stayed(struct __test_metadata *_metadata, const struct uffdvram_migrate *m,
			  int cause, uint64_t pages, const void *first)
{
	EXPECT_EQ(pages, m->stayed[cause]) {
		int i;

		for (i = 0; i < UFFDVRAM_STAY_MAX_; i++)
			TH_LOG("cause %d: %llu pages", i, m->stayed[i]);
	}
	EXPECT_EQ(pages, uv_stayed(m));
	if (pages)
		EXPECT_EQ(ADDR(first), m->first[cause]);
}

/* What does not fit stays; what is freed can be used again. */
TEST_F(vram, pool_full)
{
	size_t len = 2 * HUGE;
	char *mem = map_small(len);
	struct uffdvram_migrate m;
	uint32_t pool;

	/* Which pages find no room is known only where all go in their turn. */
	on_one_cpu();
	ASSERT_EQ(0, uv_attach(self->fd, HUGE, 0, &pool));
	ASSERT_EQ(0, uv_register(self->fd, mem, len, pool, NULL));
	fill_pages(mem, len, 1);
	ASSERT_EQ(512, move_all(self->fd, mem, len, 0, &m));
	EXPECT_TRUE(sum_ok(mem, len, &m));
	expect_stayed(_metadata, &m, UFFDVRAM_STAY_NO_SLOT, 512, mem + HUGE);
	EXPECT_EQ(512, uv_in_vram(self->fd, mem, len));
	EXPECT_EQ(512, uv_in_vram(self->fd, mem, HUGE));

	EXPECT_EQ(100, uv_to_ram(self->fd, mem + 50 * PAGE, 100 * PAGE));
	ASSERT_EQ(100, move_all(self->fd, mem + HUGE, HUGE, 0, &m));
	expect_stayed(_metadata, &m, UFFDVRAM_STAY_NO_SLOT, 412, mem + HUGE + 100 * PAGE);
	EXPECT_EQ(-1, check_pages(mem, len, 1));

	/* All are home again, so the other half finds room. */
	EXPECT_EQ(512, move_all(self->fd, mem + HUGE, HUGE, 0, &m));
	EXPECT_EQ(-1, check_pages(mem, len, 1));
	munmap(mem, len);
}

/* A full pool leaves holes as they are. */
TEST_F(vram, pool_full_of_holes)
{
	char *mem = map_small(2 * HUGE);
	struct uffdvram_migrate m;
	uint32_t pool;

	ASSERT_EQ(0, uv_attach(self->fd, HUGE, 0, &pool));
	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * HUGE, pool, NULL));
	ASSERT_EQ(0, uv_migrate(self->fd, mem, 2 * HUGE, 0, &m));
	EXPECT_EQ(512, m.moved);
	expect_stayed(_metadata, &m, UFFDVRAM_STAY_NO_SLOT, 512, mem + HUGE);
	EXPECT_EQ(-1, not_zero(mem, 2 * HUGE));
	munmap(mem, 2 * HUGE);
}

/* Swapped pages are named so, or moved: both are right, other bytes are not. */
TEST_F(vram, swapped_out)
{
	char *mem = map_small(64 * PAGE);
	struct uffdvram_migrate m;

	if (!swap_on())
		SKIP(return, "no zram on this machine");
	ASSERT_EQ(0, uv_register(self->fd, mem, 64 * PAGE, self->pool, NULL));
	fill_pages(mem, 64 * PAGE, 4);
	ASSERT_TRUE(swap_out(mem + 10 * PAGE, 20));
	EXPECT_EQ(0, uv_in_vram(self->fd, mem, 64 * PAGE));
	ASSERT_LE(0, move_all(self->fd, mem, 64 * PAGE, 0, &m));
	EXPECT_TRUE(sum_ok(mem, 64 * PAGE, &m));
	EXPECT_EQ(64, m.moved + m.already + m.stayed[UFFDVRAM_STAY_SWAPPED]);
	EXPECT_LE(m.stayed[UFFDVRAM_STAY_SWAPPED], 20);
	if (m.stayed[UFFDVRAM_STAY_SWAPPED])
		EXPECT_EQ(ADDR(mem) + 10 * PAGE, m.first[UFFDVRAM_STAY_SWAPPED]);
	/* Home again: a swapped page is no hole, its data is there. */
	ASSERT_EQ(0, uv_migrate(self->fd, mem, 64 * PAGE, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_TRUE(sum_ok(mem, 64 * PAGE, &m));
	EXPECT_EQ(64, m.moved + m.already + m.stayed[UFFDVRAM_STAY_SWAPPED]);
	EXPECT_EQ(-1, check_pages(mem, 64 * PAGE, 4));
	EXPECT_EQ(64, move_all(self->fd, mem, 64 * PAGE, 0, &m));
	/* And VRAM is out of reach of reclaim. */
	madvise(mem, 64 * PAGE, MADV_PAGEOUT);
	EXPECT_EQ(64, uv_in_vram(self->fd, mem, 64 * PAGE));
	EXPECT_EQ(-1, check_pages(mem, 64 * PAGE, 4));
	munmap(mem, 64 * PAGE);
	swap_off();
}

/* Poison stays poison, in both directions. */
TEST_F(vram, poisoned)
{
	char *mem = map_small(16 * PAGE);
	struct uffdvram_migrate m;
	struct sigbus bus;
	int uffd = uffd_open(UFFD_FEATURE_POISON), i;

	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, uv_register(self->fd, mem, 16 * PAGE, self->pool, NULL));
	ASSERT_EQ(0, uffd_register(uffd, mem, 16 * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, uffd_poison(uffd, mem + 3 * PAGE, 2 * PAGE));
	ASSERT_EQ(0, uffd_unregister(uffd, mem, 16 * PAGE));
	fill_pages(mem, 3 * PAGE, 5);
	fill_pages(mem + 5 * PAGE, 11 * PAGE, 5);
	for (i = 0; i < 2; i++) {
		uint32_t flags = i ? UFFDVRAM_MIGRATE_TO_RAM : 0;

		EXPECT_EQ(14, move_all(self->fd, mem, 16 * PAGE, flags, &m));
		expect_stayed(_metadata, &m, UFFDVRAM_STAY_POISONED, 2, mem + 3 * PAGE);
	}
	EXPECT_EQ(UFFDVRAM_STATE_POISON, state_of(self->fd, mem + 3 * PAGE));
	bus = read_byte(mem + 4 * PAGE + 123);
	EXPECT_EQ(SIGBUS, bus.signo);
	EXPECT_EQ(BUS_MCEERR_AR, bus.code);
	EXPECT_EQ(-1, check_pages(mem, 3 * PAGE, 5));
	EXPECT_EQ(-1, check_pages(mem + 5 * PAGE, 11 * PAGE, 5));
	munmap(mem, 16 * PAGE);
	close(uffd);
}

/* A failed copy into VRAM costs nothing: the page is still in RAM. */
TEST_F(vram, copy_to_vram_fails)
{
	char *mem = map_small(96 * PAGE);
	struct uffdvram_migrate m;

	/* What is to fail is counted: no page may stay for another reason. */
	on_one_cpu();
	ASSERT_EQ(0, uv_register(self->fd, mem, 96 * PAGE, self->pool, NULL));
	fill_pages(mem, 96 * PAGE, 6);
	uv_knob_set("fail_to_vram", "%d", 5);
	ASSERT_EQ(95, move_all(self->fd, mem, 96 * PAGE, 0, &m));
	expect_stayed(_metadata, &m, UFFDVRAM_STAY_COPY_FAILED, 1, mem + 4 * PAGE);
	EXPECT_EQ(UFFDVRAM_STATE_PRESENT, state_of(self->fd, mem + 4 * PAGE));
	EXPECT_EQ(95, uv_slots_in_use());
	EXPECT_EQ(-1, check_pages(mem, 96 * PAGE, 6));
	EXPECT_EQ(96, move_all(self->fd, mem, 96 * PAGE, 0, NULL));
	EXPECT_EQ(-1, check_pages(mem, 96 * PAGE, 6));

	uv_knob_set("fail_to_vram_every", "%d", 3);
	ASSERT_EQ(64, move_all(self->fd, mem, 96 * PAGE, 0, &m));
	EXPECT_EQ(32, m.stayed[UFFDVRAM_STAY_COPY_FAILED]);
	EXPECT_EQ(-1, check_pages(mem, 96 * PAGE, 6));
	/* Every single one fails. */
	uv_knob_set("fail_to_vram_every", "%d", 1);
	ASSERT_EQ(0, move_all(self->fd, mem, 96 * PAGE, 0, &m));
	expect_stayed(_metadata, &m, UFFDVRAM_STAY_COPY_FAILED, 96, mem);
	EXPECT_EQ(0, uv_slots_in_use());
	EXPECT_EQ(-1, check_pages(mem, 96 * PAGE, 6));
	munmap(mem, 96 * PAGE);
}

/* Likewise where not all of the pages around it are copied. */
TEST_F(vram, copy_fails_amid_others)
{
	char *mem = map_small(64 * PAGE);
	struct uffdvram_migrate m;
	int i;

	/* What is to fail is counted: no page may stay for another reason. */
	on_one_cpu();
	ASSERT_EQ(0, uv_register(self->fd, mem, 64 * PAGE, self->pool, NULL));
	for (i = 1; i < 64; i += 2)
		fill_pages(mem + i * PAGE, PAGE, 6);
	uv_knob_set("fail_to_vram", "%d", 3);
	ASSERT_EQ(63, move_all(self->fd, mem, 64 * PAGE, 0, &m));
	expect_stayed(_metadata, &m, UFFDVRAM_STAY_COPY_FAILED, 1, mem + 5 * PAGE);
	ASSERT_EQ(64, move_all(self->fd, mem, 64 * PAGE, 0, NULL));
	for (i = 0; i < 64; i += 2)
		ASSERT_EQ(1, uv_to_ram(self->fd, mem + i * PAGE, PAGE));
	uv_knob_set("fail_to_ram", "%d", 3);
	ASSERT_EQ(0, uv_migrate(self->fd, mem, 64 * PAGE, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(31, m.moved);
	for (i = 0; i < 64; i++) {
		struct sigbus bus = read_byte(mem + i * PAGE);

		EXPECT_EQ(i == 5 ? SIGBUS : 0, bus.signo);
		if (!bus.signo)
			EXPECT_EQ(-1, i % 2 ? check_pages(mem + i * PAGE, PAGE, 6) :
					      not_zero(mem + i * PAGE, PAGE));
	}
	munmap(mem, 64 * PAGE);
}

/* A failed copy out of VRAM loses that page, loudly, and no other. */
TEST_F(vram, copy_to_ram_fails)
{
	enum { LOST = 40 };
	char *mem = map_small(96 * PAGE);
	struct uffdvram_migrate m;
	struct sigbus bus;
	int i;

	ASSERT_EQ(0, uv_register(self->fd, mem, 96 * PAGE, self->pool, NULL));
	fill_pages(mem, 96 * PAGE, 7);
	ASSERT_EQ(96, move_all(self->fd, mem, 96 * PAGE, 0, NULL));
	uv_knob_set("fail_to_ram", "%d", LOST + 1);
	ASSERT_EQ(0, uv_migrate(self->fd, mem, 96 * PAGE, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(95, m.moved);
	expect_stayed(_metadata, &m, UFFDVRAM_STAY_COPY_FAILED, 1, mem + LOST * PAGE);
	EXPECT_TRUE(sum_ok(mem, 96 * PAGE, &m));
	EXPECT_EQ(UFFDVRAM_STATE_POISON, state_of(self->fd, mem + LOST * PAGE));
	for (i = 0; i < 3; i++) {
		bus = read_byte(mem + LOST * PAGE + 1000 * i);
		EXPECT_EQ(SIGBUS, bus.signo);
		EXPECT_EQ(BUS_MCEERR_AR, bus.code);
		EXPECT_EQ(ADDR(mem + LOST * PAGE), ADDR(bus.addr) & ~(PAGE - 1));
		EXPECT_EQ(12, bus.lsb);
	}
	EXPECT_EQ(-1, check_pages(mem, LOST * PAGE, 7));
	EXPECT_EQ(-1, check_pages(mem + (LOST + 1) * PAGE, (95 - LOST) * PAGE, 7));

	/* From now on it is poison to MIGRATE too. */
	for (i = 0; i < 2; i++) {
		uint32_t flags = i ? UFFDVRAM_MIGRATE_TO_RAM : 0;

		ASSERT_EQ(95, move_all(self->fd, mem, 96 * PAGE, flags, &m));
		expect_stayed(_metadata, &m, UFFDVRAM_STAY_POISONED, 1, mem + LOST * PAGE);
	}
	EXPECT_EQ(SIGBUS, write_byte(mem + LOST * PAGE, 0).signo);
	munmap(mem, 96 * PAGE);
}

/* Several at once: the counts and the poison agree, page by page. */
TEST_F(vram, many_copies_to_ram_fail)
{
	char *mem = map_small(200 * PAGE);
	struct uffdvram_migrate m;
	size_t i, lost = 0, bad = 0;

	ASSERT_EQ(0, uv_register(self->fd, mem, 200 * PAGE, self->pool, NULL));
	fill_pages(mem, 200 * PAGE, 8);
	ASSERT_EQ(200, move_all(self->fd, mem, 200 * PAGE, 0, NULL));
	uv_knob_set("fail_to_ram_every", "%d", 7);
	ASSERT_EQ(0, uv_migrate(self->fd, mem, 200 * PAGE, UFFDVRAM_MIGRATE_TO_RAM, &m));
	knobs_calm();
	for (i = 0; i < 200; i++) {
		char *page = mem + i * PAGE;

		if (read_byte(page).signo)
			lost++;
		else
			bad += check_pages(page, PAGE, 8) != -1;
	}
	EXPECT_EQ(0, bad);
	EXPECT_LE(200 / 7, lost);
	EXPECT_GE(200 / 7 + 1, lost);
	EXPECT_EQ(lost, m.stayed[UFFDVRAM_STAY_COPY_FAILED]);
	EXPECT_EQ(200 - lost, m.moved);
	munmap(mem, 200 * PAGE);
}

/* Pages that were taken for copies that failed go back: kmemleak knows nothing of pages. */
TEST_F(vram, failed_copies_leave_no_page_behind)
{
	enum { ROUNDS = 8, PAGES = VRAM_POOL / PAGE, MOST_KIB = 40 << 10 };
	long long before = unused_kib(), after;
	char *mem = map_small(VRAM_POOL);
	struct uffdvram_migrate m;
	uint32_t pool;
	int round, fd;
	size_t i;

	/* Half of the rounds, by faults or by MIGRATE, would leave 64 MiB. */
	for (round = 0; round < ROUNDS; round++) {
		fd = uv_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, uv_attach(fd, VRAM_POOL, 0, &pool));
		ASSERT_EQ(0, uv_register(fd, mem, VRAM_POOL, pool, NULL));
		memset(mem, round + 1, VRAM_POOL);
		ASSERT_EQ(PAGES, move_all(fd, mem, VRAM_POOL, 0, NULL));
		uv_knob_set("fail_to_ram_every", "%d", 1);
		if (round % 2) {
			for (i = 0; i < PAGES; i++)
				ASSERT_EQ(SIGBUS, read_byte(mem + i * PAGE).signo);
		} else {
			ASSERT_EQ(0, uv_migrate(fd, mem, VRAM_POOL, UFFDVRAM_MIGRATE_TO_RAM, &m));
			ASSERT_EQ(PAGES, m.stayed[UFFDVRAM_STAY_COPY_FAILED]);
		}
		knobs_calm();
		ASSERT_EQ(0, madvise(mem, VRAM_POOL, MADV_DONTNEED));
		ASSERT_EQ(0, uv_detach(fd, pool, 0, NULL));
		close(fd);
	}
	munmap(mem, VRAM_POOL);
	after = unused_kib();
	ASSERT_LT(0, before);
	EXPECT_GT(MOST_KIB, before - after) TH_LOG("%lld KiB are missing", before - after);
}

TEST_HARNESS_MAIN
