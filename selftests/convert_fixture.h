/* SPDX-License-Identifier: GPL-2.0-only */
/* The fixture of the tests of CONVERT: a range with a pool, all of it in RAM at first. */
#ifndef UFFDVRAM_SELFTESTS_CONVERT_FIXTURE_H
#define UFFDVRAM_SELFTESTS_CONVERT_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "pin.h"
#include "slots_fixture.h"

#define PAGES	64
#define LEN	(PAGES * PAGE)
#define POOL	MIB(8)
#define PRIVATE	UFFDVRAM_CONVERT_PRIVATE
#define WAIT	UFFDVRAM_CONVERT_WAIT

FIXTURE(convert)
{
	int fd;
	uint32_t pool, range;
	char *mem;		/* filled with seed 1 */
	struct uffdvram_convert c;
};

typedef FIXTURE_DATA(convert) data;

FIXTURE_SETUP(convert)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, POOL, 0, &self->pool));
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, &self->range));
	lru_drain();
}

FIXTURE_TEARDOWN(convert)
{
	munmap(self->mem, LEN);
	close(self->fd);
	expect_no_slots(_metadata);
}

/* All of it; what an LRU batch holds is waited for, as the library does. */
static inline int to_private(data *self)
{
	return uv_convert(self->fd, PRIVATE | WAIT, self->mem, LEN, 60000, &self->c);
}

static inline int to_shared(data *self)
{
	return uv_convert(self->fd, 0, self->mem, LEN, 0, &self->c);
}

/* How many of its pages are private, or -errno. */
static inline long private_pages(int fd, const void *addr, size_t len)
{
	struct uffdvram_query q;
	int ret = uv_query(fd, addr, len, &q);

	return ret ? ret : (long)q.count[UFFDVRAM_STATE_PRIVATE];
}

/* Whether a CPU that touches it is refused, as it should be. */
static inline bool refused(char *addr)
{
	struct sigbus r = read_byte(addr), w = write_byte(addr, 99);

	return r.signo == SIGBUS && r.code == BUS_ADRERR && r.addr == addr &&
	       w.signo == SIGBUS && w.code == BUS_ADRERR && w.addr == addr;
}

#endif /* UFFDVRAM_SELFTESTS_CONVERT_FIXTURE_H */
