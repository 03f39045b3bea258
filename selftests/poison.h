/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of the tests of POISON: a range of holes, with a pool, and what they look
 * at after each call.
 */
#ifndef UFFDVRAM_SELFTESTS_POISON_H
#define UFFDVRAM_SELFTESTS_POISON_H

#include "slots_fixture.h"

#define PAGES	64
#define LEN	(PAGES * PAGE)
#define REPLACE	UFFDVRAM_POISON_REPLACE
#define UNDO	UFFDVRAM_POISON_UNDO

FIXTURE(poison)
{
	int fd;
	uint32_t pool;
	char *mem;
	struct uffdvram_poison arg;
};

FIXTURE_SETUP(poison)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(8), 0, &self->pool));
	self->mem = map_fresh(LEN);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
}

FIXTURE_TEARDOWN(poison)
{
	knobs_calm();
	munmap(self->mem, LEN);
	close(self->fd);
	expect_no_slots(_metadata);
}

/* Whether touching @p is answered as poison is. */
static inline bool is_poison(const char *p)
{
	struct sigbus bus = read_byte(p);

	return bus.signo == SIGBUS && bus.code == BUS_MCEERR_AR && bus.lsb == 12 &&
	       ((ADDR(bus.addr) ^ ADDR(p)) & ~(PAGE - 1)) == 0;
}

/* How many of these pages are poison; all of them are touched. */
static inline size_t poison_pages(const char *p, size_t len)
{
	size_t n = 0;

	for (size_t at = 0; at < len; at += PAGE)
		n += is_poison(p + at + at / PAGE % PAGE);
	return n;
}

/* How many of these pages QUERY says to be in @state. */
static inline long in_state(int fd, const char *p, size_t len, int state)
{
	struct uffdvram_query q;
	int ret = uv_query(fd, p, len, &q);

	return ret ?: (long)q.count[state];
}

#endif /* UFFDVRAM_SELFTESTS_POISON_H */
