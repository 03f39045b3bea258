// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 300 */
/* HOTPLUG: 64 */
/* MONITOR: ttyS3 */
/*
 * A function below a root port, whose BAR holds pages, is unplugged by the machine and
 * plugged in again, or is reset: its pages come home, or are poison where the reset
 * took them, and are never anything else.
 */
#include "kselftest_harness.h"

#include "monitor.h"
#include "trouble_fixture.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES		64
#define LEN		(PAGES * PAGE)
#define POOL		MIB(2)
#define BAR_BYTES	MIB(64)
#define SLOT_SYSFS	"/sys/bus/pci/slots/0"
#define PLUG_SYSFS	"/sys/bus/pci/devices/0000:01:00.0/"
#define PLUG_SBDF	(1 << 8)
#define PLUG_BAR	2
#define PATIENCE_MS	60000

FIXTURE(hotplug)
{
	int fd;
	uint32_t pool;
	char *mem;
};

static bool attaches(void *arg)
{
	FIXTURE_DATA(hotplug) *self = arg;
	struct uffdvram_pool_attach attach = {
		.size = sizeof(attach), .backend = UFFDVRAM_BACKEND_PCI, .bytes = POOL,
		.pci_sbdf = PLUG_SBDF, .pci_bar = PLUG_BAR,
	};

	if (uv_ioctl(self->fd, UFFDVRAM_POOL_ATTACH, &attach))
		return false;
	self->pool = attach.pool;
	return true;
}

FIXTURE_SETUP(hotplug)
{
	cpus_alone(true);
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(wait_until(attaches, self, PATIENCE_MS));
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
}

FIXTURE_TEARDOWN(hotplug)
{
	munmap(self->mem, LEN);
	close(self->fd);
	cpus_alone(false);
	EXPECT_TRUE(uv_wait_slots(0));
}

static bool is_gone(void *path)
{
	return access(path, F_OK);
}

static bool is_there(void *path)
{
	return !access(path, F_OK);
}

static void unplug(struct __test_metadata *_metadata)
{
	monitor_begin();
	monitor("{\"execute\":\"device_del\",\"arguments\":{\"id\":\"plug\"}}\n",
		"DEVICE_DELETED");
	EXPECT_TRUE(wait_until(is_gone, PLUG_SYSFS, PATIENCE_MS));
}

/* With other memory: QEMU does not take the same a second time. */
static void plug_in(struct __test_metadata *_metadata)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "{\"execute\":\"object-add\",\"arguments\":{\"qom-type\":\"memory-backend-ram\","
		 "\"id\":\"memory-%d\",\"size\":%lu}}\n", getpid(), BAR_BYTES);
	monitor(command, "\"return\"");
	snprintf(command, sizeof(command),
		 "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"ivshmem-plain\","
		 "\"id\":\"plug\",\"bus\":\"socket\",\"memdev\":\"memory-%d\"}}\n", getpid());
	monitor(command, "\"return\"");
	EXPECT_TRUE(wait_until(is_there, PLUG_SYSFS, PATIENCE_MS));
}

TEST_F(hotplug, unplugged)
{
	if (access(SLOT_SYSFS, F_OK))
		SKIP(return, "this kernel knows no hotplug by ACPI");
	unplug(_metadata);
	EXPECT_TRUE(pool_ended(&self->pool));
	EXPECT_EQ(-ENODEV, uv_migrate(self->fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	/* Its successor is another function, as good as new. */
	plug_in(_metadata);
	EXPECT_TRUE(wait_until(attaches, self, PATIENCE_MS));
}

TEST_F(hotplug, unplugged_under_load)
{
	struct mover m = { .fd = self->fd, .mem = map_small(LEN), .len = LEN };

	if (access(SLOT_SYSFS, F_OK))
		SKIP(return, "this kernel knows no hotplug by ACPI");
	fill_pages(m.mem, LEN, 1);
	ASSERT_EQ(0, uv_register(self->fd, m.mem, LEN, self->pool, NULL));
	movers_begin(_metadata, &m, 1);
	sleep_ms(50);
	unplug(_metadata);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	movers_end(_metadata, &m, 1);
	munmap(m.mem, LEN);
	plug_in(_metadata);
}

struct reset {
	bool done;
	int ret;
};

static void *reset_thread(void *arg)
{
	struct reset *r = arg;

	r->ret = file_write(PLUG_SYSFS "reset", "1");
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Moves @mem's pages until @r is done; those that it lost are replaced. */
static size_t move_during(struct __test_metadata *_metadata, int fd, char *mem, struct reset *r)
{
	size_t lost = 0, i;
	struct sigbus s;

	do {
		EXPECT_EQ(0, uv_migrate(fd, mem, LEN, 0, NULL));
		for (i = 0; i < LEN; i += PAGE) {
			s = read_byte(mem + i);
			if (!s.signo) {
				EXPECT_EQ(-1, check_pages(mem + i, PAGE, 2));
				continue;
			}
			EXPECT_EQ(SIGBUS, s.signo);
			EXPECT_EQ(0, madvise(mem + i, PAGE, MADV_DONTNEED));
			fill_pages(mem + i, PAGE, 2);
			lost++;
		}
	} while (!__atomic_load_n(&r->done, __ATOMIC_ACQUIRE));
	return lost;
}

/*
 * While it is reset, reads say 0xff and writes get lost. What was in VRAM before it,
 * and is not looked at meanwhile, is there afterwards.
 */
TEST_F(hotplug, reset_under_load)
{
	char *mem = map_small(LEN);
	size_t lost = 0, resets;
	pthread_t thread;

	fill_pages(mem, LEN, 2);
	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, self->pool, NULL));
	/* Whether the moves meet it is chance. */
	for (resets = 0; !lost && resets < 100; resets++) {
		struct reset r = {};

		ASSERT_EQ(0, pthread_create(&thread, NULL, reset_thread, &r));
		lost += move_during(_metadata, self->fd, mem, &r);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(0, r.ret);
	}
	printf("# %zu resets, %zu pages lost\n", resets, lost);
	EXPECT_LT(0, lost);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	/* And it works. */
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	munmap(mem, LEN);
}

TEST_HARNESS_MAIN
