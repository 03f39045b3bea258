// SPDX-License-Identifier: GPL-2.0-only
/* IVSHMEM: 256 */
/* TIMEOUT: 240 */
/*
 * A function whose BAR holds pages is removed, stops answering, or gets a driver:
 * its pages come home, or are poison, and are never anything else.
 */
#include "kselftest_harness.h"

#include "trouble_fixture.h"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES		64
#define LEN		(PAGES * PAGE)
#define OFF		MIB(6)
#define POOL		MIB(2)
#define MOVERS		2

FIXTURE(unplug)
{
	int fd;
	uint32_t pool;
	char *mem;
};

static bool attaches(void *arg)
{
	FIXTURE_DATA(unplug) *self = arg;

	return uv_attach_pci(self->fd, OFF, POOL, 0, &self->pool) == 0;
}

FIXTURE_SETUP(unplug)
{
	cpus_alone(true);
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	/* The pool of a context that was closed ends a moment later. */
	ASSERT_TRUE(wait_until(attaches, self, 60000));
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
}

FIXTURE_TEARDOWN(unplug)
{
	munmap(self->mem, LEN);
	close(self->fd);
	EXPECT_EQ(0, file_write("/sys/bus/pci/rescan", "1"));
	EXPECT_EQ(0, access(VRAM_SYSFS, F_OK));
	cpus_alone(false);
	EXPECT_TRUE(uv_wait_slots(0));
}

static void unplug(struct __test_metadata *_metadata)
{
	EXPECT_EQ(0, file_write(VRAM_SYSFS "remove", "1"));
	EXPECT_NE(0, access(VRAM_SYSFS, F_OK));
}

/* From now on the function does not answer at its BARs. */
static void go_silent(void)
{
	uint16_t word = 0;
	int fd = open(VRAM_SYSFS "config", O_WRONLY | O_CLOEXEC);

	if (pwrite(fd, &word, sizeof(word), PCI_COMMAND) != sizeof(word))
		give_up("config");
	close(fd);
}

/* When it is gone, so is the pool, and the pages are home. */
TEST_F(unplug, removed)
{
	unplug(_metadata);
	EXPECT_TRUE(pool_ended(&self->pool));
	EXPECT_EQ(-ENODEV, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(-ENODEV, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(-ENXIO, uv_attach_pci(self->fd, OFF, POOL, 0, &self->pool));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	/* Its successor is another function, as good as new. */
	ASSERT_EQ(0, file_write("/sys/bus/pci/rescan", "1"));
	EXPECT_TRUE(wait_until(attaches, self, 60000));
}

TEST_F(unplug, silent)
{
	go_silent();
	expect_poison(_metadata, self->mem, LEN);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	expect_poison(_metadata, self->mem, LEN);
}

TEST_F(unplug, silent_then_removed)
{
	go_silent();
	unplug(_metadata);
	expect_poison(_metadata, self->mem, LEN);
	EXPECT_TRUE(pool_ended(&self->pool));
}

/* What lives in another function stays there. */
TEST_F(unplug, only_the_one)
{
	struct uffdvram_pool_attach arg = {
		.size = sizeof(arg), .backend = UFFDVRAM_BACKEND_PCI, .addr = MIB(64),
		.bytes = POOL, .pci_sbdf = 0x11 << 3, .pci_bar = VRAM_BAR,
	};
	char *mem = map_small(LEN);

	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_POOL_ATTACH, &arg));
	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, arg.pool, NULL));
	fill_pages(mem, LEN, 2);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, mem, LEN));
	unplug(_metadata);
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(-1, check_pages(mem, LEN, 2));
	EXPECT_EQ(0, uv_detach(self->fd, arg.pool, 0, NULL));
	munmap(mem, LEN);
}

/* A lease holds up the removal, but not for ever; its pool ends with it. */
TEST_F(unplug, leased)
{
	struct uffdvram_slot_run vec[PAGES];
	struct uffdvram_access_begin b;
	uint64_t since = now_ms();

	ASSERT_EQ(0, uv_access_begin(self->fd, UFFDVRAM_ACCESS_WRITE, self->mem, LEN, vec, PAGES,
				     &b));
	ASSERT_EQ(LEN, b.done);
	unplug(_metadata);
	/* Ten seconds in ticks, which may be some behind. */
	EXPECT_LE(9000, now_ms() - since);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(PAGES, uv_slots_in_use());
	EXPECT_EQ(-ESTALE, uv_access_end(self->fd, b.lease, 0, NULL, 0, NULL));
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	ASSERT_EQ(0, file_write("/sys/bus/pci/rescan", "1"));
	EXPECT_TRUE(wait_until(attaches, self, 60000));
}

static bool none_in_vram(void *arg)
{
	FIXTURE_DATA(unplug) *self = arg;

	return uv_in_vram(self->fd, self->mem, LEN) == 0;
}

TEST_F(unplug, driver)
{
	if (access("/sys/bus/pci/drivers/pci-stub", F_OK))
		SKIP(return, "this kernel has no driver that takes any function");
	EXPECT_EQ(0, file_write(VRAM_SYSFS "driver_override", "pci-stub"));
	EXPECT_EQ(0, file_write("/sys/bus/pci/drivers/pci-stub/bind", "0000:00:10.0"));
	EXPECT_TRUE(wait_until(none_in_vram, self, 60000));
	EXPECT_EQ(-ENODEV, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(0, file_write(VRAM_SYSFS "driver/unbind", "0000:00:10.0"));
	EXPECT_EQ(0, file_write(VRAM_SYSFS "driver_override", "\n"));
}

TEST_F(unplug, under_load)
{
	struct mover m[MOVERS] = {};

	for (int i = 0; i < MOVERS; i++) {
		m[i] = (struct mover){ .fd = self->fd, .mem = map_small(LEN), .len = LEN };
		fill_pages(m[i].mem, LEN, 1);
		ASSERT_EQ(0, uv_register(self->fd, m[i].mem, LEN, self->pool, NULL));
	}
	movers_begin(_metadata, m, MOVERS);
	sleep_ms(50);
	unplug(_metadata);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	movers_end(_metadata, m, MOVERS);
	for (int i = 0; i < MOVERS; i++)
		munmap(m[i].mem, LEN);
}

TEST_HARNESS_MAIN
