// SPDX-License-Identifier: GPL-2.0-only
/* IVSHMEM: 256 */
/* FILES: build/KERNEL/uffdvram-nvidia.ko build/KERNEL/nvidia-stub.ko */
/*
 * Pools of NVIDIA's GPUs, over a stand-in for the driver (nvidia_stub/): the bytes
 * are where CUDA has them, in whatever order things end nothing is lost or kept,
 * and what a GPU says of itself is heeded.
 */
#include "kselftest_harness.h"

#include "inject.h"
#include "nvidia_fixture.h"

/* What is in VRAM is what the GPU sees, at the same offset; and it comes home. */
static void bytes(struct __test_metadata *_metadata, FIXTURE_DATA(nvidia) *self)
{
	char *seen = map_small(LEN);

	fill_pool(_metadata, self, 0);
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, gpu_read(self->gpu, self->addr + MIB(1), seen, LEN));
	EXPECT_EQ(-1, check_pages_as(seen, LEN, self->mem, 1));
	EXPECT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	/* By faults. */
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	munmap(seen, LEN);
}

/* Page tables of two layouts. */
TEST_F(nvidia, bytes_r550)
{
	stub_knob("table_version", "0x00010002");
	bytes(_metadata, self);
	stub_knob("table_version", "0x00020000");
}

TEST_F(nvidia, bytes_r580)
{
	bytes(_metadata, self);
}

/* Holes become zeroed pages there, whatever was in the GPU's memory before. */
TEST_F(nvidia, holes)
{
	char *seen = map_small(LEN);

	memset(seen, 0x77, LEN);
	ASSERT_EQ(0, gpu_write(self->gpu, self->addr + MIB(1), seen, LEN));
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	fill_pool(_metadata, self, 0);
	ASSERT_EQ(0, gpu_read(self->gpu, self->addr + MIB(1), seen, LEN));
	EXPECT_EQ(-1, not_zero(seen, LEN));
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
	munmap(seen, LEN);
}

/* What the GPU writes comes home, where the pool was told of that. */
TEST_F(nvidia, gpu_writes)
{
	char *buf = map_small(LEN);

	fill_pool(_metadata, self, UFFDVRAM_POOL_UNCHECKED);
	fill_pages_as(buf, LEN, self->mem, 2);
	ASSERT_EQ(0, gpu_write(self->gpu, self->addr + MIB(1), buf, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
	munmap(buf, LEN);
}

/* Elsewhere it is an error: of one bit, or of a GPU that reads as ones. */
TEST_F(nvidia, memory_goes_bad)
{
	uint64_t at = self->addr + MIB(1) + 3 * PAGE + 5;
	unsigned char c;
	char ones[PAGE];

	fill_pool(_metadata, self, 0);
	ASSERT_EQ(0, gpu_read(self->gpu, at, &c, 1));
	c ^= 1;
	ASSERT_EQ(0, gpu_write(self->gpu, at, &c, 1));
	memset(ones, 0xff, sizeof(ones));
	ASSERT_EQ(0, gpu_write(self->gpu, self->addr + MIB(1) + 7 * PAGE, ones, PAGE));
	for (size_t i = 0; i < 10; i++) {
		struct sigbus s = read_byte(self->mem + i * PAGE);

		EXPECT_EQ(i == 3 || i == 7 ? SIGBUS : 0, s.signo);
	}
	EXPECT_EQ(-1, check_pages(self->mem + 10 * PAGE, LEN - 10 * PAGE, 1));
}

/* COPY reads and writes there, over the borders of runs. */
TEST_F(nvidia, copy)
{
	char *buf = map_small(LEN);
	uint64_t done;

	fill_pool(_metadata, self, 0);
	EXPECT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, buf, &done));
	EXPECT_EQ(LEN, done);
	EXPECT_EQ(-1, check_pages_as(buf, LEN, self->mem, 1));
	fill_pages_as(buf, LEN, self->mem, 2);
	EXPECT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem, LEN, buf, &done));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	memset(buf, 0, LEN);
	ASSERT_EQ(0, gpu_read(self->gpu, self->addr + MIB(1), buf, LEN));
	EXPECT_EQ(-1, check_pages_as(buf, LEN, self->mem, 2));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
	munmap(buf, LEN);
}

/* A piece of an allocation is a pool, too. */
TEST_F(nvidia, piece)
{
	uint64_t at = self->addr + 5 * GPU_PAGE;
	char *seen = map_small(LEN);

	ASSERT_EQ(0, nv_attach(self->fd, at, 17 * GPU_PAGE, 0, &self->pool));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	/* The first slots of a new pool are taken first. */
	ASSERT_EQ(0, gpu_read(self->gpu, at, seen, LEN));
	EXPECT_EQ(-1, check_pages_as(seen, LEN, self->mem, 1));
	munmap(seen, LEN);
}

/* Memory is in one pool only. */
TEST_F(nvidia, twice)
{
	uint64_t half = POOL_BYTES / 2;
	uint32_t other;

	ASSERT_EQ(0, nv_attach(self->fd, self->addr, half, 0, &self->pool));
	EXPECT_EQ(-EBUSY, nv_attach(self->fd, self->addr, half, 0, &other));
	EXPECT_EQ(-EBUSY, nv_attach(self->fd, self->addr, POOL_BYTES, 0, &other));
	EXPECT_EQ(-EBUSY, nv_attach(self->fd, self->addr + half - GPU_PAGE, GPU_PAGE, 0, &other));
	EXPECT_EQ(1, stub_look(self->gpu).tables);
	/* What failed half way holds nothing of the other half. */
	EXPECT_EQ(0, nv_attach(self->fd, self->addr + half, half, 0, &other));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(0, nv_attach(self->fd, self->addr, half, 0, &self->pool));
}

/* The pages stay until the pool ends, and not longer. */
TEST_F(nvidia, detach)
{
	ASSERT_EQ(0, stub_look(self->gpu).tables);
	fill_pool(_metadata, self, 0);
	EXPECT_EQ(1, stub_look(self->gpu).tables);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(0, stub_look(self->gpu).tables);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	/* Nobody listens any more. */
	EXPECT_EQ(0, gpu_xid(self->gpu, 79));
}

TEST_F(nvidia, discard)
{
	fill_pool(_metadata, self, 0);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, UFFDVRAM_DETACH_DISCARD, NULL));
	EXPECT_EQ(SIGBUS, read_byte(self->mem).signo);
	/* Poison stays mapped, and keeps the pool's memory. */
	munmap(self->mem, LEN);
	EXPECT_TRUE(uv_wait_slots(0));
	self->mem = map_small(LEN);
}

/* CUDA frees the allocation, with pages in it: they are not lost. */
TEST_F(nvidia, freed_under_us)
{
	char *noise = map_small(LEN);
	uint64_t other;

	fill_pool(_metadata, self, 0);
	ASSERT_EQ(0, stub_call(self->gpu, STUB_FREE, &self->addr));
	EXPECT_EQ(POOL_BYTES / GPU_PAGE, stub_look(self->gpu).pages_used);
	other = stub_new(self->gpu, POOL_BYTES);
	ASSERT_NE(0, other);
	ASSERT_EQ(0, gpu_write(self->gpu, other + MIB(1), noise, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(POOL_BYTES / GPU_PAGE, stub_look(self->gpu).pages_used);
	munmap(noise, LEN);
}

/* A child attaches an allocation of its own for everyone, and is killed. */
static int attach_for_all(int sock, void *arg)
{
	int gpu = stub_open(), fd = uv_open(), ret;
	uint64_t addr = stub_new(gpu, POOL_BYTES);
	uint32_t pool;

	(void)arg;
	ret = nv_attach(fd, addr, POOL_BYTES, UFFDVRAM_POOL_SHARED, &pool);
	child_tell(sock, ret ? 0 : pool);
	pause();
	return 0;
}

TEST_F(nvidia, owner_is_killed)
{
	struct child c = child_start(attach_for_all, NULL);
	uint64_t pool;

	ASSERT_TRUE(child_hear(c.fd, &pool));
	ASSERT_NE(0, pool);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	child_kill(&c);
	EXPECT_EQ(2 * POOL_BYTES / GPU_PAGE, stub_look(self->gpu).pages_used);
	EXPECT_EQ(-1, check_pages(self->mem, LEN / 2, 1));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(POOL_BYTES / GPU_PAGE, stub_look(self->gpu).pages_used);
}

static bool no_tables(void *gpu)
{
	return stub_look(*(int *)gpu).tables == 0;
}

/* The context goes first, and a worker puts the pages back. */
TEST_F(nvidia, close)
{
	fill_pool(_metadata, self, 0);
	close(self->fd);
	EXPECT_TRUE(wait_until(no_tables, &self->gpu, 60000));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	self->fd = uv_open();
}

/* Neither the driver nor our module can go while a pool is there. */
TEST_F(nvidia, unload)
{
	fill_pool(_metadata, self, 0);
	close(self->gpu);
	EXPECT_EQ(-EAGAIN, module_unload("nvidia_stub"));
	EXPECT_EQ(-EAGAIN, module_unload("uffdvram_nvidia"));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(0, module_unload("nvidia_stub"));
	EXPECT_EQ(-ENXIO, nv_attach(self->fd, self->addr, POOL_BYTES, 0, &self->pool));
	EXPECT_EQ(0, module_unload("uffdvram_nvidia"));
	EXPECT_EQ(-EOPNOTSUPP, nv_attach(self->fd, self->addr, POOL_BYTES, 0, &self->pool));
	ASSERT_EQ(0, module_load("nvidia-stub"));
	ASSERT_EQ(0, module_load("uffdvram-nvidia"));
	self->gpu = stub_open();
}

/* A call of the driver's that does not come back, with its lock held. */
struct slow_call {
	int fd;
	uint64_t addr;		/* to be attached, or 0 */
	uint32_t pool;		/* out; or to be detached */
	long ret;
	pthread_t thread;
};

static void *slow_call_run(void *arg)
{
	struct slow_call *c = arg;

	c->ret = c->addr ? nv_attach(c->fd, c->addr, POOL_BYTES, 0, &c->pool) :
			   uv_detach(c->fd, c->pool, 0, NULL);
	return NULL;
}

static bool driver_is_held(void *unused)
{
	(void)unused;
	return stub_knob_get("held") == 'Y';
}

/* Pages of another pool come and go, before the driver has answered. */
static void rounds_meanwhile(struct __test_metadata *_metadata, FIXTURE_DATA(nvidia) *self,
			     struct slow_call *c)
{
	stub_knob("hold", "1");
	ASSERT_EQ(0, pthread_create(&c->thread, NULL, slow_call_run, c));
	EXPECT_TRUE(wait_until(driver_is_held, NULL, 60000));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
		EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	}
	EXPECT_TRUE(driver_is_held(NULL));
	stub_knob("hold", "0");
	ASSERT_EQ(0, pthread_join(c->thread, NULL));
	EXPECT_EQ(0, c->ret);
}

TEST_F_TIMEOUT(nvidia, slow_driver, 300)
{
	struct slow_call c = { .fd = self->fd };

	fill_pool(_metadata, self, 0);
	c.addr = stub_new(self->gpu, POOL_BYTES);
	ASSERT_NE(0, c.addr);
	rounds_meanwhile(_metadata, self, &c);
	c.addr = 0;
	rounds_meanwhile(_metadata, self, &c);
	EXPECT_EQ(1, stub_look(self->gpu).tables);
}

/* What the driver refuses, as our errno; and nothing of it stays. */
TEST_F(nvidia, driver_refuses)
{
	static const struct { const char *get_error; int ret; } cases[] = {
		{ "-524", -EOPNOTSUPP }, { "-22", -EINVAL }, { "-12", -ENOMEM },
		{ "-5", -EIO }, { "-19", -ENXIO }, { "-16", -EBUSY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		stub_knob("get_error", cases[i].get_error);
		EXPECT_EQ(cases[i].ret, nv_attach(self->fd, self->addr, POOL_BYTES, 0,
						  &self->pool)) {
			TH_LOG("the driver says %s", cases[i].get_error);
		}
	}
	stub_knob("get_error", "0");
	EXPECT_EQ(0, stub_look(self->gpu).tables);
	EXPECT_EQ(0, nv_attach(self->fd, self->addr, POOL_BYTES, 0, &self->pool));
}

/* Page tables that we cannot read, or that are about something else. */
TEST_F(nvidia, strange_tables)
{
	static const struct { const char *knob, *value, *back; int ret; } cases[] = {
		{ "table_version", "0x00020007", "0x00020000", 0 },
		{ "table_version", "0x00030000", "0x00020000", -EOPNOTSUPP },
		{ "table_version", "0x00000002", "0x00020000", -EOPNOTSUPP },
		{ "missing_entries", "1", "0", -EOPNOTSUPP },
		{ "missing_entries", "1000000", "0", -EOPNOTSUPP },
		{ "first_page", "0x2000000", "0", -EOPNOTSUPP },	/* system RAM */
		{ "first_page", "0x2001000", "0", -EOPNOTSUPP },	/* not aligned */
		{ "first_page", "0x7ffff0000000", "0", -EOPNOTSUPP },	/* nowhere */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		stub_knob(cases[i].knob, cases[i].value);
		EXPECT_EQ(cases[i].ret, nv_attach(self->fd, self->addr, POOL_BYTES, 0,
						  &self->pool)) {
			TH_LOG("%s is %s", cases[i].knob, cases[i].value);
		}
		stub_knob(cases[i].knob, cases[i].back);
		if (!cases[i].ret) {
			EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
		}
		EXPECT_EQ(0, stub_look(self->gpu).tables);
	}
}

/* Not this process's, not there any more, not all of it, not aligned. */
TEST_F(nvidia, strange_addresses)
{
	uint64_t freed = stub_new(self->gpu, GPU_PAGE);
	const struct { uint64_t addr, bytes; } cases[] = {
		{ 0, POOL_BYTES }, { self->addr, 0 }, { self->addr, POOL_BYTES + GPU_PAGE },
		{ self->addr + GPU_PAGE, POOL_BYTES }, { self->addr + PAGE, GPU_PAGE },
		{ self->addr, GPU_PAGE + PAGE }, { freed, GPU_PAGE },
		{ -GPU_PAGE, GPU_PAGE }, { -GPU_PAGE, 2 * GPU_PAGE },
	};
	struct uffdvram_pool_attach arg = {
		.size = sizeof(arg), .backend = UFFDVRAM_BACKEND_NVIDIA,
		.addr = self->addr, .bytes = POOL_BYTES, .pci_sbdf = VRAM_SBDF,
	};

	ASSERT_EQ(0, stub_call(self->gpu, STUB_FREE, &freed));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(-EINVAL, nv_attach(self->fd, cases[i].addr, cases[i].bytes, 0,
					     &self->pool))
			TH_LOG("case %zu", i);
	}
	EXPECT_EQ(-EINVAL, uv_ioctl(self->fd, UFFDVRAM_POOL_ATTACH, &arg));
	EXPECT_EQ(-EOPNOTSUPP, nv_attach(self->fd, self->addr, POOL_BYTES,
					 UFFDVRAM_POOL_FORCE, &self->pool));
	EXPECT_EQ(0, stub_look(self->gpu).tables);
}

/* Somebody else's, which he has at that address. */
static int attach_a_strangers(int sock, void *arg)
{
	uint32_t pool;

	(void)sock;
	return -nv_attach(uv_open(), *(uint64_t *)arg, POOL_BYTES, 0, &pool);
}

TEST_F(nvidia, strangers)
{
	EXPECT_EQ(EINVAL, run_child(attach_a_strangers, &self->addr));
	EXPECT_EQ(0, stub_look(self->gpu).tables);
}

/* Whatever fails while it is attached: nothing of it stays, and then it works. */
TEST_F(nvidia, attach_fails)
{
	struct inject inject;
	bool failed = true;
	unsigned int n;
	int ret;

	ASSERT_TRUE(inject_open(&inject, false));
	for (n = 1; failed; n++) {
		inject_arm(&inject, n, "");
		ret = nv_attach(self->fd, self->addr, 8 * GPU_PAGE, 0, &self->pool);
		failed = inject_disarm(&inject);
		if (failed) {
			/* ENXIO: the driver's functions are not there. */
			EXPECT_TRUE(ret == -ENOMEM || ret == -EIO || ret == -EFAULT ||
				    ret == -ENXIO)
				TH_LOG("failure %u: %d", n, ret);
			EXPECT_EQ(0, stub_look(self->gpu).tables);
		}
	}
	EXPECT_EQ(0, ret);
	/* The driver, our memory and mappings of 6 runs, beside what all pools take. */
	EXPECT_LT(16, n);
	inject_close(&inject);
}

/* A copy that fails: home it is poison, there the page stays at home. */
TEST_F(nvidia, copies_fail)
{
	struct uffdvram_migrate m;
	struct inject inject;

	ASSERT_TRUE(inject_open(&inject, false));
	fill_pool(_metadata, self, 0);
	inject_arm(&inject, 1, "out");
	EXPECT_EQ(SIGBUS, read_byte(self->mem).signo);
	EXPECT_TRUE(inject_disarm(&inject));
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	fill_pages(self->mem, LEN, 1);
	inject_arm(&inject, 1, "in");
	EXPECT_EQ(0, uv_migrate(self->fd, self->mem + PAGE, PAGE, 0, &m));
	EXPECT_TRUE(inject_disarm(&inject));
	EXPECT_EQ(1, m.stayed[UFFDVRAM_STAY_COPY_FAILED]);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	inject_close(&inject);
}

TEST_HARNESS_MAIN
