/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of tests of entries of 2 MiB: four of them, all in VRAM, in a pool of
 * eight blocks, with checksums.
 */
#ifndef UFFDVRAM_SELFTESTS_FOLIO_FIXTURE_H
#define UFFDVRAM_SELFTESTS_FOLIO_FIXTURE_H

#include "slots_fixture.h"

#define FOLIO		(HUGE / PAGE)
#define FOLIOS		4
#define LEN		(FOLIOS * HUGE)
#define POOL		MIB(16)
#define CHECKSUMS	"/sys/module/uffdvram/parameters/checksums"

FIXTURE(folio)
{
	int fd;
	uint32_t pool, range;
	char *mem;		/* filled with seed 1 */
};

FIXTURE_SETUP(folio)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	self->mem = MAP_FAILED;
	if (!huge_in_vram(self->fd))
		SKIP(return, "this kernel has no device folios of 2 MiB");
	/* Faults bring home all of it, over slow backends, too. */
	uv_fault_bytes = HUGE;
	/* With checksums, so that a bit that flips is a page that cannot be read. */
	ASSERT_EQ(0, file_write(CHECKSUMS, "1"));
	ASSERT_EQ(0, uv_attach(self->fd, POOL, 0, &self->pool));
	ASSERT_EQ(0, file_write(CHECKSUMS, "-1"));
	self->mem = map_filled(self->fd, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, &self->range));
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(LEN / PAGE, huge_pages(self->fd, self->mem, LEN));
}

FIXTURE_TEARDOWN(folio)
{
	knobs_calm();
	munmap(self->mem, LEN);
	close(self->fd);
	expect_no_slots(_metadata);
}

/* All of it goes to a new pool, whose faults bring @fault_bytes home. */
static inline void move_on(struct __test_metadata *_metadata, FIXTURE_DATA(folio) *self,
			   uint64_t fault_bytes)
{
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	uv_fault_bytes = fault_bytes;
	ASSERT_EQ(0, uv_attach(self->fd, POOL, 0, &self->pool));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, &self->range));
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(LEN / PAGE, huge_pages(self->fd, self->mem, LEN));
}

#endif /* UFFDVRAM_SELFTESTS_FOLIO_FIXTURE_H */
