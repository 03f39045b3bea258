/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of the tests of COPY: a range with a pool, and a buffer that has
 * nothing to do with it.
 */
#ifndef UFFDVRAM_SELFTESTS_COPY_FIXTURE_H
#define UFFDVRAM_SELFTESTS_COPY_FIXTURE_H

#include "slots_fixture.h"

#define PAGES	64
#define LEN	(PAGES * PAGE)
#define WRITE	UFFDVRAM_COPY_WRITE
#define NOFAULT	UFFDVRAM_COPY_NOFAULT

FIXTURE(copy)
{
	int fd;
	uint32_t pool;
	char *mem, *buf;
	uint64_t done;
};

FIXTURE_SETUP(copy)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(4), 0, &self->pool));
	self->mem = map_small(LEN);
	self->buf = map_small(LEN);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
}

FIXTURE_TEARDOWN(copy)
{
	knobs_calm();
	munmap(self->mem, LEN);
	munmap(self->buf, LEN);
	close(self->fd);
	expect_no_slots(_metadata);
}

#endif /* UFFDVRAM_SELFTESTS_COPY_FIXTURE_H */
