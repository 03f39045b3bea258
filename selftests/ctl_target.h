/* SPDX-License-Identifier: GPL-2.0-only */
/* A fixture of a process whose memory somebody has as a range with a pool. */
#ifndef UFFDVRAM_SELFTESTS_CTL_TARGET_H
#define UFFDVRAM_SELFTESTS_CTL_TARGET_H

#include "ctl_fixture.h"

FIXTURE(told)
{
	struct child target;
	unsigned long addr;
	int pid;
	/* The context that has its memory as a range. */
	int fd;
	uint32_t pool;
};

FIXTURE_SETUP(told)
{
	self->addr = target_start(_metadata, &self->target);
	ASSERT_NE(0, self->addr);
	self->pid = self->target.pid;
	self->fd = uv_open_pid_of(self->pid);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(8), 0, &self->pool));
	ASSERT_EQ(0, uv_register(self->fd, (void *)self->addr, LEN, self->pool, NULL));
}

FIXTURE_TEARDOWN(told)
{
	child_kill(&self->target);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

#define to_vram(first, n) ASSERT_EQ(n, uv_to_vram(self->fd, (void *)(self->addr + (first) * PAGE), \
						  (n) * PAGE))

#endif /* UFFDVRAM_SELFTESTS_CTL_TARGET_H */
