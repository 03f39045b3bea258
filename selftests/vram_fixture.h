/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of most tests of moving pages: one context with a pool of its own.
 *
 * It begins and ends with no slot in use: whatever a test leaves behind in
 * VRAM must come home or be freed by itself once the test has closed its
 * descriptor and unmapped its memory.
 */
#ifndef UFFDVRAM_SELFTESTS_VRAM_FIXTURE_H
#define UFFDVRAM_SELFTESTS_VRAM_FIXTURE_H

#include "slots_fixture.h"

#define VRAM_POOL	MIB(16)

FIXTURE(vram)
{
	int fd;
	uint32_t pool;
};

FIXTURE_SETUP(vram)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, uv_attach(self->fd, VRAM_POOL, 0, &self->pool));
}

FIXTURE_TEARDOWN(vram)
{
	knobs_calm();
	close(self->fd);
	expect_no_slots(_metadata);
}

#endif /* UFFDVRAM_SELFTESTS_VRAM_FIXTURE_H */
