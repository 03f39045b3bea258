/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests of devices in trouble share: pages that are lost, pools that are over,
 * and threads that move pages to a pool for as long as it takes any.
 */
#ifndef UFFDVRAM_SELFTESTS_TROUBLE_FIXTURE_H
#define UFFDVRAM_SELFTESTS_TROUBLE_FIXTURE_H

#include <errno.h>
#include <pthread.h>

#include "util_mm.h"

static inline void expect_poison(struct __test_metadata *_metadata, const char *mem,
				 size_t len)
{
	for (size_t i = 0; i < len; i += PAGE) {
		struct sigbus s = read_byte(mem + i);

		EXPECT_EQ(SIGBUS, s.signo);
		EXPECT_EQ(BUS_MCEERR_AR, s.code);
		EXPECT_EQ(mem + i, s.addr);
	}
}

/* Its number is nobody's any more; a pool that is only closed still has one. */
static inline bool pool_ended(void *pool)
{
	return pool_value(*(uint32_t *)pool, " used ") < 0;
}

/**
 * struct mover - one who writes to pages and moves them, until the pool is closed
 * @mem: of @len bytes, registered, filled with seed 1
 * @wrong: times that a page was not what it must be
 */
struct mover {
	int fd;
	char *mem;
	size_t len, wrong, rounds;
	pthread_t thread;
};

static inline void *mover_run(void *arg)
{
	struct mover *m = arg;
	uint64_t seed = 1;

	do {
		m->wrong += check_pages(m->mem, m->len, seed) != -1;
		fill_pages(m->mem, m->len, ++seed);
		m->rounds++;
	} while (uv_migrate(m->fd, m->mem, m->len, 0, NULL) != -ENODEV);
	m->wrong += check_pages(m->mem, m->len, seed) != -1;
	return NULL;
}

static inline void movers_begin(struct __test_metadata *_metadata, struct mover *m, int n)
{
	for (int i = 0; i < n; i++)
		ASSERT_EQ(0, pthread_create(&m[i].thread, NULL, mover_run, &m[i]));
}

static inline void movers_end(struct __test_metadata *_metadata, struct mover *m, int n)
{
	for (int i = 0; i < n; i++) {
		ASSERT_EQ(0, pthread_join(m[i].thread, NULL));
		EXPECT_EQ(0, m[i].wrong);
		EXPECT_LT(0, m[i].rounds);
	}
}

#endif /* UFFDVRAM_SELFTESTS_TROUBLE_FIXTURE_H */
