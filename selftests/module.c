// SPDX-License-Identifier: GPL-2.0-only
/* Unloading: refused while the module is used in any way, possible afterwards. */
#include "kselftest_harness.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#define PAGES		64
#define LEN		(PAGES * PAGE)
/* Where the test VM has the module. */
#define MODULE		"/job/uffdvram.ko"

static int unload(void)
{
	return syscall(SYS_delete_module, "uffdvram", O_NONBLOCK) ? -errno : 0;
}

static int load(void)
{
	int fd = open(MODULE, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "open_pid=1", 0) ? -errno : 0;
	close(fd);
	return ret;
}

static bool unloads(void *arg)
{
	(void)arg;
	return !unload();
}

FIXTURE(module)
{
	char *mem;
	int fd;
	uint32_t pool;
};

FIXTURE_SETUP(module)
{
	ASSERT_TRUE(uv_wait_slots(0));
	self->mem = map_small(LEN);
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	fill_pages(self->mem, LEN, 1);
}

/* Whatever went wrong, the next test finds the module. */
FIXTURE_TEARDOWN(module)
{
	if (access(UFFDVRAM_DEVICE, F_OK)) {
		EXPECT_EQ(0, load());
	}
	uv_knob_set("delay_us", "0");
	EXPECT_TRUE(uv_wait_slots(0));
}

/*
 * A descriptor, a slot in use: each keeps the module. The kernel's answer is
 * EWOULDBLOCK where the manual of rmmod says "in use".
 */
TEST_F(module, stays_while_it_is_used)
{
	EXPECT_EQ(-EWOULDBLOCK, unload());
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &self->pool));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-EWOULDBLOCK, unload());
	/* Without a descriptor there are the slots, until the worker is done. */
	uv_knob_set("delay_us", "300000");
	close(self->fd);
	ASSERT_LT(0, uv_slots_in_use());
	ASSERT_EQ(-EWOULDBLOCK, unload());
	uv_knob_set("delay_us", "0");
	EXPECT_TRUE(wait_until(unloads, NULL, 60000));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(-ENOENT, uv_open());
	ASSERT_EQ(0, load());
	self->fd = uv_open();
	EXPECT_LE(0, self->fd);
	close(self->fd);
}

/* A shared pool outlives its context, but it does not hold the module for ever. */
TEST_F(module, goes_with_a_shared_pool)
{
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), UFFDVRAM_POOL_SHARED, &self->pool));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	close(self->fd);
	EXPECT_TRUE(wait_until(unloads, NULL, 60000));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_HARNESS_MAIN
