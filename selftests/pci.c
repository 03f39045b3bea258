// SPDX-License-Identifier: GPL-2.0-only
/* IVSHMEM: 256 */
/*
 * Pools in a BAR: who gets which window of which function, and that the bytes are
 * in the BAR. A second function shows, and changes, what is in it from outside.
 */
#include "kselftest_harness.h"

#include "util_mm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES		64
#define LEN		(PAGES * PAGE)
/* Where most pools here begin: not where their BAR does. */
#define OFF		MIB(6)

#define STREAMING	"/sys/module/uffdvram/parameters/bar_streaming"

static int attach_at(int fd, uint32_t sbdf, uint32_t bar, uint64_t addr, uint64_t bytes)
{
	struct uffdvram_pool_attach arg = {
		.size = sizeof(arg), .backend = UFFDVRAM_BACKEND_PCI, .addr = addr,
		.bytes = bytes, .pci_sbdf = sbdf, .pci_bar = bar,
	};
	int ret = uv_ioctl(fd, UFFDVRAM_POOL_ATTACH, &arg);

	return ret ?: uv_detach(fd, arg.pool, 0, NULL);
}

/* The pools of a context that is closed end a moment later. */
static bool bar_is_free(void *fd)
{
	return attach_at(*(int *)fd, VRAM_SBDF, VRAM_BAR, 0, MIB(32)) == 0;
}

static int fd_again(int fd)
{
	close(fd);
	fd = uv_open();
	return wait_until(bar_is_free, &fd, 60000) ? fd : -EBUSY;
}

FIXTURE(pci)
{
	int fd;
	uint32_t pool;
	char *mem;
	char *view;
};

FIXTURE_SETUP(pci)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(wait_until(bar_is_free, &self->fd, 60000));
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	self->view = bar_view();
}

FIXTURE_TEARDOWN(pci)
{
	bar_view_end(self->view);
	munmap(self->mem, LEN);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

TEST_F(pci, what_is_no_window)
{
	static const struct {
		uint32_t sbdf, bar;
		uint64_t addr, bytes;
		int ret;
	} wrong[] = {
		{ VRAM_SBDF, 2, 0, PAGE, 0 },
		{ VRAM_SBDF, 2, BAR_VIEW_BYTES - PAGE, PAGE, 0 },
		{ 0x0e << 3, 2, 0, PAGE, -ENXIO },		/* no such function */
		{ 1 << 16 | VRAM_SBDF, 2, 0, PAGE, -ENXIO },
		{ 1 << 8 | VRAM_SBDF, 2, 0, PAGE, -ENXIO },
		{ VRAM_SBDF | 1, 2, 0, PAGE, -ENXIO },
		{ VRAM_SBDF, 1, 0, PAGE, -ENXIO },		/* no such BAR */
		{ VRAM_SBDF, 3, 0, PAGE, -ENXIO },		/* the other half of 2 */
		{ 0x1f << 3 | 3, 4, 0, PAGE, -ENXIO },		/* I/O ports */
		{ VRAM_SBDF, 6, 0, PAGE, -EINVAL },
		{ VRAM_SBDF, ~0U, 0, PAGE, -EINVAL },
		{ VRAM_SBDF, 0, 0, PAGE, -EINVAL },		/* of 256 bytes */
		{ VRAM_SBDF, 2, BAR_VIEW_BYTES, PAGE, -EINVAL },
		{ VRAM_SBDF, 2, BAR_VIEW_BYTES - PAGE, 2 * PAGE, -EINVAL },
		{ VRAM_SBDF, 2, PAGE, BAR_VIEW_BYTES, -EINVAL },
		{ VRAM_SBDF, 2, -PAGE, PAGE, -EINVAL },
		{ VRAM_SBDF, 2, -PAGE, 2 * PAGE, -EINVAL },
		{ VRAM_SBDF, 2, 512, PAGE, -EINVAL },
		{ VRAM_SBDF, 2, 0, 512, -EINVAL },
		{ VRAM_SBDF, 2, 0, 0, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(wrong[i].ret, attach_at(self->fd, wrong[i].sbdf, wrong[i].bar,
						  wrong[i].addr, wrong[i].bytes))
			TH_LOG("line %zu", i);
	}
}

/* Registers of the AHCI controller: not what was written comes back. */
TEST_F(pci, what_is_no_memory)
{
	EXPECT_EQ(-EIO, attach_at(self->fd, 0x1f << 3 | 2, 5, 0, PAGE));
	EXPECT_EQ(0, attach_at(self->fd, VRAM_SBDF, VRAM_BAR, OFF, PAGE));
}

static int without_rawio(int sock, void *arg)
{
	uint32_t pool;
	int fd = uv_open();

	(void)sock;
	(void)arg;
	drop_capability(CAP_SYS_RAWIO);
	if (uv_attach_pci(fd, OFF, MIB(2), 0, &pool) != -EPERM)
		return 1;
	if (uv_attach_pci(fd, OFF, MIB(2), UFFDVRAM_POOL_FORCE, &pool) != -EPERM)
		return 2;
	return uv_attach(fd, MIB(2), 0, &pool) ? 3 : 0;
}

TEST_F(pci, takes_privilege)
{
	struct uffdvram_pool_attach arg = {
		.size = sizeof(arg), .backend = UFFDVRAM_BACKEND_SIM,
		.flags = UFFDVRAM_POOL_FORCE, .bytes = MIB(2),
	};
	struct uffdvram_info info;

	ASSERT_EQ(0, uv_info(self->fd, &info));
	EXPECT_TRUE(info.features & UFFDVRAM_FEATURE_PCI);
	EXPECT_EQ(0, run_child(without_rawio, NULL));
	/* Nobody holds what is simulated. */
	EXPECT_EQ(-EOPNOTSUPP, uv_ioctl(self->fd, UFFDVRAM_POOL_ATTACH, &arg));
}

/* Windows of one BAR: they may touch, and not overlap. */
TEST_F(pci, windows)
{
	static const struct {
		uint64_t addr, bytes;
	} in_the_way[] = {
		{ MIB(6), MIB(2) }, { MIB(6), PAGE }, { MIB(8) - PAGE, PAGE }, { MIB(4), MIB(6) },
		{ MIB(6) - PAGE, 2 * PAGE }, { MIB(8) - PAGE, 2 * PAGE }, { 0, BAR_VIEW_BYTES },
	};
	uint32_t before, after, pool;

	ASSERT_EQ(0, uv_attach_pci(self->fd, MIB(6), MIB(2), 0, &self->pool));
	for (size_t i = 0; i < ARRAY_SIZE(in_the_way); i++) {
		for (int force = 0; force < 2; force++) {
			EXPECT_EQ(-EBUSY, uv_attach_pci(self->fd, in_the_way[i].addr,
							in_the_way[i].bytes,
							force ? UFFDVRAM_POOL_FORCE : 0, &pool))
				TH_LOG("window %zu, force %d", i, force);
		}
	}
	ASSERT_EQ(0, uv_attach_pci(self->fd, MIB(4), MIB(2), 0, &before));
	ASSERT_EQ(0, uv_attach_pci(self->fd, MIB(8), PAGE, 0, &after));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(-EBUSY, uv_attach_pci(self->fd, MIB(4), MIB(6), 0, &pool));
	EXPECT_EQ(0, uv_attach_pci(self->fd, MIB(6), MIB(2), 0, &pool));
	EXPECT_EQ(0, uv_detach(self->fd, before, 0, NULL));
	EXPECT_EQ(0, uv_detach(self->fd, after, 0, NULL));
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
	/* What ends with its context is free again, too. */
	ASSERT_EQ(0, uv_attach_pci(self->fd, 0, BAR_VIEW_BYTES, 0, &pool));
	self->fd = fd_again(self->fd);
	EXPECT_LE(0, self->fd);
}

static int linear(int fd, const void *addr, uint64_t off, uint32_t pool)
{
	struct uffdvram_range_register arg = {
		.size = sizeof(arg), .flags = UFFDVRAM_RANGE_LINEAR, .pool = pool,
		.addr = ADDR(addr), .len = LEN, .pool_off = off,
	};

	return uv_ioctl(fd, UFFDVRAM_RANGE_REGISTER, &arg);
}

/* In, as the BAR's file shows; and home, by each way there is. */
TEST_F(pci, bytes_are_in_the_bar)
{
	char *bar = self->view + OFF + MIB(1), *buf = map_small(LEN);

	ASSERT_EQ(0, uv_attach_pci(self->fd, OFF, MIB(2), 0, &self->pool));
	ASSERT_EQ(0, linear(self->fd, self->mem, MIB(1), self->pool));
	memset(bar - PAGE, 0x55, LEN + 2 * PAGE);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages_as(bar, LEN, self->mem, 1));
	/* Nothing beside it was touched. */
	EXPECT_EQ(0x55, bar[-1]);
	EXPECT_EQ(0x55, bar[LEN]);

	EXPECT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, buf, NULL));
	EXPECT_EQ(-1, check_pages_as(buf, LEN, self->mem, 1));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	fill_pages_as(buf, LEN, self->mem, 2);
	EXPECT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem, LEN, buf, NULL));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages_as(bar, LEN, self->mem, 2));

	/* One by a fault, one by MIGRATE, the rest by detaching. */
	EXPECT_EQ(-1, check_pages(self->mem, PAGE, 2));
	EXPECT_EQ(PAGES - 1, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(1, uv_to_ram(self->fd, self->mem + PAGE, PAGE));
	EXPECT_EQ(PAGES - 2, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
	munmap(buf, LEN);
}

/* A hole gets a zeroed page of the BAR, whatever was there. */
TEST_F(pci, holes_are_zero)
{
	char *bar = self->view + OFF;

	ASSERT_EQ(0, uv_attach_pci(self->fd, OFF, LEN, 0, &self->pool));
	ASSERT_EQ(0, linear(self->fd, self->mem, 0, self->pool));
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	memset(bar, 0x55, LEN);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, not_zero(bar, LEN));
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
}

/* Orphans come home from a BAR; what is discarded does not. */
TEST_F(pci, ends)
{
	uint32_t pool;
	int fd = uv_open();

	ASSERT_EQ(0, uv_attach_pci(fd, OFF, MIB(2), 0, &pool));
	ASSERT_EQ(0, uv_register(fd, self->mem, LEN, pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(fd, self->mem, LEN));
	close(fd);
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));

	ASSERT_TRUE(wait_until(bar_is_free, &self->fd, 60000));
	ASSERT_EQ(0, uv_attach_pci(self->fd, OFF, MIB(2), 0, &pool));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, uv_detach(self->fd, pool, UFFDVRAM_DETACH_DISCARD, NULL));
	EXPECT_EQ(SIGBUS, read_byte(self->mem).signo);
	EXPECT_EQ(BUS_MCEERR_AR, read_byte(self->mem + LEN - 1).code);
}

static int command_word(void)
{
	uint16_t word;
	int fd = open(VRAM_SYSFS "config", O_RDONLY | O_CLOEXEC);

	if (pread(fd, &word, sizeof(word), PCI_COMMAND) != sizeof(word))
		give_up("config");
	close(fd);
	return word;
}

static void command_word_set(uint16_t word)
{
	int fd = open(VRAM_SYSFS "config", O_WRONLY | O_CLOEXEC);

	if (pwrite(fd, &word, sizeof(word), PCI_COMMAND) != sizeof(word))
		give_up("config");
	close(fd);
}

/* The function is switched on for as long as one pool needs it. */
TEST_F(pci, function_is_left_as_found)
{
	int found = command_word();
	uint32_t a, b;

	for (int on = 0; on < 2; on++) {
		int word = on ? found | PCI_COMMAND_MEMORY : found & ~PCI_COMMAND_MEMORY;

		command_word_set(word);
		EXPECT_EQ(0, file_value(VRAM_SYSFS "enable", ""));
		ASSERT_EQ(0, uv_attach_pci(self->fd, OFF, MIB(2), 0, &a));
		EXPECT_EQ(word | PCI_COMMAND_MEMORY, command_word());
		ASSERT_EQ(0, uv_attach_pci(self->fd, 0, MIB(2), 0, &b));
		EXPECT_EQ(0, uv_detach(self->fd, a, 0, NULL));
		EXPECT_EQ(word | PCI_COMMAND_MEMORY, command_word());
		EXPECT_EQ(0, uv_detach(self->fd, b, 0, NULL));
		EXPECT_EQ(word, command_word());
		EXPECT_EQ(0, file_value(VRAM_SYSFS "enable", ""));
	}
	command_word_set(found);
}

#define STUB	"/sys/bus/pci/drivers/pci-stub/"

static bool driver_bind(void)
{
	return !file_write(VRAM_SYSFS "driver_override", "pci-stub") &&
	       !file_write(STUB "bind", "0000:00:10.0");
}

static void driver_unbind(void)
{
	file_write(VRAM_SYSFS "driver/unbind", "0000:00:10.0");
	file_write(VRAM_SYSFS "driver_override", "\n");
}

TEST_F(pci, driver)
{
	uint32_t pool;
	int forced;

	/* pci-stub does nothing with what it takes. */
	if (access(STUB, F_OK))
		SKIP(return, "this kernel has no driver that takes any function");
	ASSERT_TRUE(driver_bind());
	EXPECT_EQ(-EBUSY, uv_attach_pci(self->fd, OFF, LEN, 0, &pool));
	forced = uv_attach_pci(self->fd, OFF, LEN, UFFDVRAM_POOL_FORCE, &pool);
	EXPECT_EQ(0, forced);
	/* It may go; its pool does not need it. */
	driver_unbind();
	ASSERT_EQ(0, forced);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, pool, NULL));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
	EXPECT_EQ(0, uv_attach_pci(self->fd, OFF, LEN, 0, &pool));
}

/* Lines of the kernel's log, from now on, that have the text. */
static int log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		give_up("/dev/kmsg");
	return fd;
}

static int log_count(int fd, const char *text)
{
	char line[8192];
	ssize_t n;
	int count = 0;

	while ((n = read(fd, line, sizeof(line) - 1)) > 0) {
		line[n] = '\0';
		count += !!strstr(line, text);
	}
	close(fd);
	return count;
}

/* A kernel without PAT has no write-combining at all. */
TEST_F(pci, memory_type)
{
	bool pat = !access(VRAM_SYSFS "resource2_wc", F_OK);
	int bar, log = log_open();
	void *uncached;

	ASSERT_EQ(0, uv_attach_pci(self->fd, OFF, LEN, 0, &self->pool));
	EXPECT_EQ(pat, pool_value(self->pool, " combining "));
	EXPECT_EQ(!pat, log_count(log, "is not mapped write-combining"));
	EXPECT_LT(0, pool_value(self->pool, " write_mbs "));
	EXPECT_LT(0, pool_value(self->pool, " read_mbs "));
	EXPECT_EQ(OFF, pool_value(self->pool, " offset "));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));

	/* Somebody else has it uncached: then so have we. */
	bar = open(VRAM_SYSFS "resource2", O_RDWR | O_CLOEXEC);
	uncached = mmap(NULL, BAR_VIEW_BYTES, PROT_READ, MAP_SHARED, bar, 0);
	ASSERT_NE(MAP_FAILED, uncached);
	close(bar);
	log = log_open();
	ASSERT_EQ(0, uv_attach_pci(self->fd, OFF, LEN, 0, &self->pool));
	EXPECT_EQ(0, pool_value(self->pool, " combining "));
	EXPECT_EQ(1, log_count(log, "is not mapped write-combining"));
	munmap(uncached, BAR_VIEW_BYTES);
}

/* Both ways to read; the fast one is not the default in a virtual machine. */
TEST_F(pci, streaming_loads)
{
	static const struct {
		const char *text;
		int streams;
	} param[] = { { "1", 1 }, { "0", 0 }, { "-1", 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(param); i++) {
		ASSERT_EQ(0, file_write(STREAMING, param[i].text));
		ASSERT_EQ(0, uv_attach_pci(self->fd, OFF, LEN, 0, &self->pool));
		EXPECT_EQ(param[i].streams, pool_value(self->pool, " streaming "));
		ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
		EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
		EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
		EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
		self->fd = fd_again(self->fd);
		ASSERT_LE(0, self->fd);
	}
}

/* What the command says of all this. */
TEST_F(pci, command)
{
	static char out[4096];
	unsigned int pool;
	FILE *f = popen("exec 2>&1; uffdvramctl pool attach pci 00:10.0 2 4M+16M --shared && "
			"uffdvramctl pool list && uffdvramctl -j pool list; "
			"uffdvramctl pool attach pci 00:10.0 2 16M --shared", "r");
	size_t n;

	ASSERT_NE(NULL, f);
	n = fread(out, 1, sizeof(out) - 1, f);
	out[n] = '\0';
	pclose(f);
	ASSERT_EQ(1, sscanf(out, "pool %u: pci 00:10.0 bar 2 16M shared", &pool))
		TH_LOG("%s", out);
	EXPECT_NE(NULL, strstr(out, ": pci 0000:00:10.0 bar 2 16M shared, 0 of 4096 slots used"));
	EXPECT_NE(NULL, strstr(out, "\"backend\":\"pci\",\"device\":\"0000:00:10.0\",\"bar\":2,"
			       "\"offset\":4194304,\"combining\":"));
	EXPECT_NE(NULL, strstr(out, "pool attach: pci 00:10.0 16M: EBUSY"));
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
	if (!__test_passed(_metadata))
		TH_LOG("%s", out);
}

TEST_F(pci, command_in_json)
{
	FILE *f = popen("exec 2>&1; uffdvramctl -j pool attach pci 00:10.0 2 32M+4M --shared "
			"--force --unchecked", "r");
	char out[512], want[128];
	unsigned int pool;
	size_t n;

	ASSERT_NE(NULL, f);
	n = fread(out, 1, sizeof(out) - 1, f);
	out[n] = '\0';
	EXPECT_EQ(0, pclose(f));
	ASSERT_EQ(1, sscanf(out, "{\"pool\":%u,", &pool)) TH_LOG("%s", out);
	snprintf(want, sizeof(want), "{\"pool\":%u,\"backend\":\"pci\",\"device\":\"00:10.0\",\"bar\":2,"
		 "\"offset\":33554432,\"bytes\":4194304,\"shared\":true}\n", pool);
	EXPECT_STREQ(want, out);
	EXPECT_EQ(0, pool_value(pool, "checked"));
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
}

TEST_HARNESS_MAIN
