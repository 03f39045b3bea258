// SPDX-License-Identifier: GPL-2.0-only
/* IVSHMEM: 256 */
/* FILES: build/KERNEL/uffdvram-nvidia.ko build/KERNEL/nvidia-stub.ko */
/*
 * What becomes of a pool when its GPU has errors (Xid), is removed from its driver,
 * or the machine is to sleep. Over a stand-in for the driver (nvidia_stub/).
 */
#include "kselftest_harness.h"

#include "nvidia_fixture.h"
#include "trouble_fixture.h"

static void expect_closed(struct __test_metadata *_metadata, FIXTURE_DATA(nvidia) *self)
{
	EXPECT_EQ(-ENODEV, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
}

/* Errors after which the memory can still be read: all pages come home. */
static void evacuated(struct __test_metadata *_metadata, FIXTURE_DATA(nvidia) *self,
		      uint32_t xid)
{
	fill_pool(_metadata, self, 0);
	ASSERT_EQ(0, gpu_xid(self->gpu, xid));
	EXPECT_TRUE(uv_wait_slots(0));
	expect_closed(_metadata, self);
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	/* The pool is there until somebody detaches it. */
	EXPECT_EQ(1, stub_look(self->gpu).tables);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(0, stub_look(self->gpu).tables);
}

TEST_F(nvidia, xid_48)
{
	evacuated(_metadata, self, 48);
}

TEST_F(nvidia, xid_63)
{
	evacuated(_metadata, self, 63);
}

TEST_F(nvidia, xid_64)
{
	evacuated(_metadata, self, 64);
}

TEST_F(nvidia, xid_94)
{
	evacuated(_metadata, self, 94);
}

/* Errors after which nothing that is read there means anything. */
static void lost(struct __test_metadata *_metadata, FIXTURE_DATA(nvidia) *self,
		 uint32_t xid)
{
	fill_pool(_metadata, self, 0);
	ASSERT_EQ(0, gpu_xid(self->gpu, xid));
	expect_poison(_metadata, self->mem, LEN);
	expect_closed(_metadata, self);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	expect_poison(_metadata, self->mem, LEN);
	munmap(self->mem, LEN);
	EXPECT_TRUE(uv_wait_slots(0));
	self->mem = map_small(LEN);
}

TEST_F(nvidia, xid_79)
{
	lost(_metadata, self, 79);
}

TEST_F(nvidia, xid_95)
{
	lost(_metadata, self, 95);
}

/* A program's own mistake: nothing happens. */
TEST_F(nvidia, xid_13)
{
	fill_pool(_metadata, self, 0);
	ASSERT_EQ(0, gpu_xid(self->gpu, 13));
	ASSERT_EQ(0, gpu_xid(self->gpu, 31));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* The driver comes after our module, and goes before it, and comes again. */
TEST_F(nvidia, drivers_come_and_go)
{
	for (int i = 0; i < 2; i++) {
		close(self->gpu);
		ASSERT_TRUE(wait_until(module_unloads, (char *)"nvidia_stub", 60000));
		ASSERT_EQ(0, module_load("nvidia-stub"));
		self->gpu = stub_open();
		ASSERT_LE(0, self->gpu);
		self->addr = stub_new(self->gpu, POOL_BYTES);
		ASSERT_NE(0, self->addr);
		evacuated(_metadata, self, 94);
		ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	}
}

static void under_load(struct __test_metadata *_metadata, FIXTURE_DATA(nvidia) *self,
		       int (*trouble)(FIXTURE_DATA(nvidia) *self))
{
	struct mover m[2] = {
		{ .fd = self->fd, .mem = self->mem, .len = LEN },
		{ .fd = self->fd, .mem = map_small(LEN), .len = LEN },
	};

	fill_pool(_metadata, self, 0);
	fill_pages(m[1].mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, m[1].mem, LEN, self->pool, NULL));
	movers_begin(_metadata, m, 2);
	sleep_ms(20);
	ASSERT_EQ(0, trouble(self));
	movers_end(_metadata, m, 2);
	EXPECT_TRUE(uv_wait_slots(0));
	munmap(m[1].mem, LEN);
}

static int say_94(FIXTURE_DATA(nvidia) *self)
{
	return gpu_xid(self->gpu, 94);
}

TEST_F(nvidia, xid_under_load)
{
	under_load(_metadata, self, say_94);
}

static int unbind(FIXTURE_DATA(nvidia) *self)
{
	(void)self;
	return file_write(STUB_DRIVER "unbind", STUB_SLOT);
}

static void bind_again(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, file_write(STUB_DRIVER "bind", STUB_SLOT));
}

/* Removal waits for the pool to end, which it does by itself. */
TEST_F(nvidia, removal)
{
	fill_pool(_metadata, self, 0);
	ASSERT_EQ(0, unbind(self));
	EXPECT_EQ(0, stub_look(self->gpu).tables);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(-ENODEV, uv_detach(self->fd, self->pool, 0, NULL));
	expect_closed(_metadata, self);
	EXPECT_EQ(0, stub_new(self->gpu, POOL_BYTES));
	bind_again(_metadata);
	EXPECT_NE(0, stub_new(self->gpu, POOL_BYTES));
}

TEST_F(nvidia, removal_under_load)
{
	under_load(_metadata, self, unbind);
	EXPECT_EQ(0, stub_look(self->gpu).tables);
	bind_again(_metadata);
}

/*
 * The GPU is lost already, and then removed: that does not wait until the lost
 * pages are unmapped.
 */
TEST_F(nvidia, removal_when_lost)
{
	fill_pool(_metadata, self, 0);
	ASSERT_EQ(0, gpu_xid(self->gpu, 79));
	ASSERT_EQ(0, unbind(self));
	EXPECT_EQ(0, stub_look(self->gpu).tables);
	EXPECT_EQ(PAGES, uv_slots_in_use());
	expect_poison(_metadata, self->mem, LEN);
	bind_again(_metadata);
	expect_poison(_metadata, self->mem, LEN);
}

/* Sleep would lose what is in the GPU's memory. */
TEST_F(nvidia, sleep)
{
	/* Should it not be refused, the kernel gives up a little later. */
	if (file_write("/sys/power/pm_test", "freezer"))
		SKIP(return, "this kernel has no /sys/power/pm_test");
	fill_pool(_metadata, self, 0);
	EXPECT_EQ(-EBUSY, file_write("/sys/power/state", "mem"));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(0, file_write("/sys/power/pm_test", "none"));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_HARNESS_MAIN
