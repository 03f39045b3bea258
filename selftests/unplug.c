// SPDX-License-Identifier: GPL-2.0-only
/* IVSHMEM: 256 */
/*
 * A function whose BAR holds pages is removed, stops answering, or gets a driver:
 * its pages come home, or are poison, and are never anything else.
 */
#include "kselftest_harness.h"

#include "util_mm.h"

#include <errno.h>
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
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	/* The pool of a context that was closed ends a moment later. */
	ASSERT_TRUE(wait_until(attaches, self, 10000));
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

static void expect_poison(struct __test_metadata *_metadata, const char *mem)
{
	for (size_t i = 0; i < PAGES; i++) {
		struct sigbus s = read_byte(mem + i * PAGE);

		EXPECT_EQ(SIGBUS, s.signo);
		EXPECT_EQ(BUS_MCEERR_AR, s.code);
		EXPECT_EQ(mem + i * PAGE, s.addr);
	}
}

/* When it is gone, so is the pool, and the pages are home. */
TEST_F(unplug, removed)
{
	unplug(_metadata);
	EXPECT_EQ(-1, pool_value(self->pool, " used "));
	EXPECT_EQ(-ENODEV, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(-ENODEV, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(-ENXIO, uv_attach_pci(self->fd, OFF, POOL, 0, &self->pool));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	/* Its successor is another function, as good as new. */
	ASSERT_EQ(0, file_write("/sys/bus/pci/rescan", "1"));
	EXPECT_TRUE(wait_until(attaches, self, 10000));
}

TEST_F(unplug, silent)
{
	go_silent();
	expect_poison(_metadata, self->mem);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	expect_poison(_metadata, self->mem);
}

TEST_F(unplug, silent_then_removed)
{
	go_silent();
	unplug(_metadata);
	expect_poison(_metadata, self->mem);
	EXPECT_EQ(-1, pool_value(self->pool, " used "));
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
	EXPECT_TRUE(wait_until(none_in_vram, self, 15000));
	EXPECT_EQ(-ENODEV, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(0, file_write(VRAM_SYSFS "driver/unbind", "0000:00:10.0"));
	EXPECT_EQ(0, file_write(VRAM_SYSFS "driver_override", "\n"));
}

/* Writes to its pages and moves them all the time, until the pool is gone. */
struct mover {
	int fd;
	char *mem;
	size_t wrong, rounds;
};

static void *move_until_gone(void *arg)
{
	struct mover *m = arg;
	uint64_t seed = 1;

	do {
		m->wrong += check_pages(m->mem, LEN, seed) != -1;
		fill_pages(m->mem, LEN, ++seed);
		m->rounds++;
	} while (uv_migrate(m->fd, m->mem, LEN, 0, NULL) != -ENODEV);
	m->wrong += check_pages(m->mem, LEN, seed) != -1;
	return NULL;
}

TEST_F(unplug, under_load)
{
	struct mover m[MOVERS] = {};
	pthread_t thread[MOVERS];

	for (int i = 0; i < MOVERS; i++) {
		m[i] = (struct mover){ .fd = self->fd, .mem = map_small(LEN) };
		fill_pages(m[i].mem, LEN, 1);
		ASSERT_EQ(0, uv_register(self->fd, m[i].mem, LEN, self->pool, NULL));
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, move_until_gone, &m[i]));
	}
	sleep_ms(50);
	unplug(_metadata);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	for (int i = 0; i < MOVERS; i++) {
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
		EXPECT_EQ(0, m[i].wrong);
		EXPECT_LT(0, m[i].rounds);
		munmap(m[i].mem, LEN);
	}
}

TEST_HARNESS_MAIN
