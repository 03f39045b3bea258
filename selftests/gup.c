// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/* IOMMU: edu */
/*
 * References: whoever asks for the pages themselves gets them home first, with their bytes,
 * and they stay there, counted and named, until he gives them back.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uffdvram/uffdvram.h>

#include "kselftest_harness.h"
#include "long_pin.h"
#include "util_mm.h"
#include "vfio.h"
#include "vram_fixture.h"

#define PAGES	64
#define LEN	(PAGES * PAGE)
/* What is asked for. */
#define AT	8
#define N	16
#define SEED	31

FIXTURE(pin)
{
	int fd;
	uint32_t pool;
	struct long_pin pin;
};

FIXTURE_VARIANT(pin)
{
	const char *(*lacks)(void);
	int (*begin)(struct long_pin *p, void *at, size_t len);
	bool (*shows)(struct long_pin *p, void *buf, size_t len);
	bool (*writes)(struct long_pin *p, void *buf, size_t len);
	void (*end)(struct long_pin *p);
};

FIXTURE_VARIANT_ADD(pin, pipe)
{
	.begin = pipe_begin, .shows = pipe_shows, .end = pipe_end,
};

FIXTURE_VARIANT_ADD(pin, fixed_buffer)
{
	.begin = ring_begin, .end = ring_end,
};

FIXTURE_VARIANT_ADD(pin, longterm)
{
	.lacks = longterm_lacks,
	.begin = longterm_begin, .shows = longterm_shows, .end = longterm_end,
};

FIXTURE_VARIANT_ADD(pin, longterm_fast)
{
	.lacks = longterm_lacks,
	.begin = longterm_fast_begin, .shows = longterm_shows, .end = longterm_end,
};

FIXTURE_VARIANT_ADD(pin, vfio_type1)
{
	.lacks = type1_lacks, .begin = type1_begin,
	.shows = dma_shows, .writes = dma_writes, .end = dma_end,
};

FIXTURE_VARIANT_ADD(pin, iommufd)
{
	.lacks = iommufd_lacks, .begin = iommufd_begin,
	.shows = dma_shows, .writes = dma_writes, .end = dma_end,
};

FIXTURE_SETUP(pin)
{
	const char *lacks = variant->lacks ? variant->lacks() : NULL;

	if (lacks)
		SKIP(return, "%s", lacks);
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, VRAM_POOL, 0, &self->pool));
}

FIXTURE_TEARDOWN(pin)
{
	close(self->fd);
	expect_no_slots(_metadata);
}

static void expect_pinned(struct __test_metadata *_metadata, const struct uffdvram_migrate *m,
			  uint64_t pages, const void *first)
{
	EXPECT_EQ(pages, m->stayed[UFFDVRAM_STAY_PINNED]);
	EXPECT_EQ(pages, uv_stayed(m));
	if (pages)
		EXPECT_EQ(ADDR(first), m->first[UFFDVRAM_STAY_PINNED]);
}

TEST_F(pin, stay_until_given_back)
{
	char *mem = map_small(LEN), *buf = map_small(N * PAGE);
	uint64_t last = SEED + 1;
	struct uffdvram_migrate m;

	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, self->pool, NULL));
	fill_pages(mem, LEN, SEED);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, mem, LEN));
	ASSERT_EQ(0, variant->begin(&self->pin, mem + AT * PAGE, N * PAGE));
	/* Home came what was asked for, and nothing else. */
	EXPECT_EQ(PAGES - N, uv_in_vram(self->fd, mem, LEN));
	EXPECT_EQ(0, uv_in_vram(self->fd, mem + AT * PAGE, N * PAGE));
	lru_drain();
	ASSERT_EQ(0, uv_migrate(self->fd, mem, LEN, 0, &m));
	EXPECT_EQ(PAGES - N, m.already);
	EXPECT_TRUE(sum_ok(mem, LEN, &m));
	expect_pinned(_metadata, &m, N, mem + AT * PAGE);
	/* It is the same page for the CPU. */
	fill_pages(mem + AT * PAGE, N * PAGE, SEED + 1);
	if (variant->shows) {
		EXPECT_TRUE(variant->shows(&self->pin, buf, N * PAGE));
		EXPECT_EQ(-1, check_pages_as(buf, N * PAGE, mem + AT * PAGE, SEED + 1));
	}
	if (variant->writes) {
		fill_pages_as(buf, N * PAGE, mem + AT * PAGE, ++last);
		EXPECT_TRUE(variant->writes(&self->pin, buf, N * PAGE));
	}
	variant->end(&self->pin);
	EXPECT_EQ(PAGES, move_all(self->fd, mem, LEN, 0, &m));
	expect_pinned(_metadata, &m, 0, NULL);
	EXPECT_EQ(-1, check_pages(mem + AT * PAGE, N * PAGE, last));
	EXPECT_EQ(-1, check_pages(mem, AT * PAGE, SEED));
	EXPECT_EQ(-1, check_pages(mem + (AT + N) * PAGE, LEN - (AT + N) * PAGE, SEED));
	munmap(mem, LEN);
	munmap(buf, N * PAGE);
}

/* Memory that is gone while somebody has its pages: they are his. */
TEST_F(pin, outlive_their_memory)
{
	char *mem = map_small(LEN), *buf = map_small(N * PAGE);

	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, self->pool, NULL));
	fill_pages(mem, LEN, SEED);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, mem, LEN));
	ASSERT_EQ(0, variant->begin(&self->pin, mem + AT * PAGE, N * PAGE));
	ASSERT_EQ(0, madvise(mem, LEN, MADV_DONTNEED));
	EXPECT_EQ(0, uv_slots_in_use());
	EXPECT_EQ(-1, not_zero(mem, LEN));
	if (variant->shows) {
		EXPECT_TRUE(variant->shows(&self->pin, buf, N * PAGE));
		EXPECT_EQ(-1, check_pages_as(buf, N * PAGE, mem + AT * PAGE, SEED));
	}
	variant->end(&self->pin);
	munmap(mem, LEN);
	munmap(buf, N * PAGE);
}

/* Of an entry of 2 MiB as much comes home as its pool's faults bring; the rest moves on. */
TEST_F(pin, part_of_a_huge_page)
{
	char *mem = map_filled(self->fd, 2 * HUGE, SEED), *at = mem + HUGE - AT * PAGE;
	struct uffdvram_migrate m;
	uint64_t pinned;

	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * HUGE, self->pool, NULL));
	ASSERT_EQ(1024, uv_to_vram(self->fd, mem, 2 * HUGE));
	/* Across the border of two. */
	ASSERT_EQ(0, variant->begin(&self->pin, at, N * PAGE));
	EXPECT_EQ(0, uv_in_vram(self->fd, at, N * PAGE));
	lru_drain();
	ASSERT_EQ(0, uv_migrate(self->fd, mem, 2 * HUGE, 0, &m));
	EXPECT_TRUE(sum_ok(mem, 2 * HUGE, &m));
	pinned = m.stayed[UFFDVRAM_STAY_PINNED];
	EXPECT_LE(N, pinned);
	EXPECT_EQ(pinned, uv_stayed(&m));
	EXPECT_EQ(1024 - (long)pinned, uv_in_vram(self->fd, mem, 2 * HUGE));
	EXPECT_GE(ADDR(at), m.first[UFFDVRAM_STAY_PINNED]);
	variant->end(&self->pin);
	EXPECT_EQ(1024, move_all(self->fd, mem, 2 * HUGE, 0, &m));
	EXPECT_EQ(-1, check_pages(mem, 2 * HUGE, SEED));
	munmap(mem, 2 * HUGE);
}

/* struct way - references that end with the call; @writes: into the pages */
struct way {
	const char *name;
	bool (*use)(void *at, void *buf, size_t len, int disk);
	bool writes;
};

static bool use_readv(void *at, void *buf, size_t len, int disk)
{
	struct iovec to = { buf, len }, from = { at, len };

	(void)disk;
	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)len;
}

static bool use_writev(void *at, void *buf, size_t len, int disk)
{
	struct iovec from = { buf, len }, to = { at, len };

	(void)disk;
	return process_vm_writev(getpid(), &from, 1, &to, 1, 0) == (ssize_t)len;
}

static bool use_mem(void *at, void *buf, size_t len, bool write)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ssize_t n = write ? pwrite(fd, buf, len, ADDR(at)) : pread(fd, buf, len, ADDR(at));

	close(fd);
	return n == (ssize_t)len;
}

static bool use_mem_read(void *at, void *buf, size_t len, int disk)
{
	(void)disk;
	return use_mem(at, buf, len, false);
}

static bool use_mem_write(void *at, void *buf, size_t len, int disk)
{
	(void)disk;
	return use_mem(at, buf, len, true);
}

/* From the pages to a disk, which is then read elsewhere. */
static bool use_disk_write(void *at, void *buf, size_t len, int disk)
{
	return pwrite(disk, at, len, 0) == (ssize_t)len && pread(disk, buf, len, 0) == (ssize_t)len;
}

static bool use_disk_read(void *at, void *buf, size_t len, int disk)
{
	return pwrite(disk, buf, len, 0) == (ssize_t)len && pread(disk, at, len, 0) == (ssize_t)len;
}

static const struct way ways[] = {
	{ "process_vm_readv", use_readv, false },
	{ "process_vm_writev", use_writev, true },
	{ "read of /proc/PID/mem", use_mem_read, false },
	{ "write to /proc/PID/mem", use_mem_write, true },
	{ "write of O_DIRECT", use_disk_write, false },
	{ "read of O_DIRECT", use_disk_read, true },
};

/* Afterwards nothing keeps the pages: not one is said to be pinned. */
static void use_once(struct __test_metadata *_metadata, int fd, struct uffdvram_ctx *ctx,
		     const struct way *way, char *mem, char *buf, int disk)
{
	struct uffdvram_moved moved = { .size = sizeof(moved) };
	char *at = mem + AT * PAGE;

	fill_pages(mem, LEN, SEED);
	ASSERT_EQ(PAGES, uv_to_vram(fd, mem, LEN));
	fill_pages_as(buf, N * PAGE, at, SEED + 1);
	ASSERT_TRUE(way->use(at, buf, N * PAGE, disk)) TH_LOG("%s: %s", way->name, strerror(errno));
	EXPECT_EQ(PAGES - N, uv_in_vram(fd, mem, LEN)) TH_LOG("%s", way->name);
	EXPECT_EQ(0, uv_in_vram(fd, at, N * PAGE)) TH_LOG("%s", way->name);
	EXPECT_EQ(-1, check_pages_as(way->writes ? at : buf, N * PAGE, at,
				     way->writes ? SEED + 1 : SEED)) TH_LOG("%s", way->name);
	ASSERT_EQ(0, uffdvram_move(ctx, ADDR(mem), LEN, 0, &moved));
	EXPECT_EQ(N, moved.moved) TH_LOG("%s", way->name);
	EXPECT_EQ(PAGES - N, moved.already);
	EXPECT_EQ(0, moved.stayed[UFFDVRAM_STAY_PINNED]) TH_LOG("%s", way->name);
	EXPECT_EQ(-1, check_pages(at, N * PAGE, way->writes ? SEED + 1 : SEED));
	EXPECT_EQ(-1, check_pages(mem, AT * PAGE, SEED));
	EXPECT_EQ(-1, check_pages(mem + (AT + N) * PAGE, LEN - (AT + N) * PAGE, SEED));
}

TEST_F(vram, references_for_a_moment)
{
	char *mem = map_small(LEN), *buf = map_small(N * PAGE), path[32];
	struct uffdvram_ctx *ctx;
	int nr = zram_new("4M"), disk;

	ASSERT_LE(0, nr);
	zram_path(nr, path, sizeof(path));
	disk = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, disk);
	ASSERT_EQ(0, uffdvram_open(&ctx, NULL));
	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, self->pool, NULL));
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		use_once(_metadata, self->fd, ctx, &ways[i], mem, buf, disk);
	uffdvram_close(ctx);
	close(disk);
	zram_drop(nr);
	munmap(mem, LEN);
	munmap(buf, N * PAGE);
}

/* Fewer pages than a CPU collects before it puts them on another list. */
#define FRESH	8

static void *touch_elsewhere(void *mem)
{
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(1, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		return NULL;
	memset(mem, 'x', FRESH * PAGE);
	lru_drain();
	/* Now it has a reference on each of them, and keeps it when the thread is gone. */
	return madvise(mem, FRESH * PAGE, MADV_FREE) ? NULL : mem;
}

/*
 * The module cannot tell such a page from a pinned one; the library has it settled. 6.12 takes
 * them off their lists first, and therefore sees to it itself.
 */
TEST_F(vram, pages_on_their_way_are_not_pinned)
{
	char *mem = map_small(FRESH * PAGE);
	struct uffdvram_moved moved = { .size = sizeof(moved) };
	struct uffdvram_ctx *ctx;
	uint64_t kept = kernel_is("6.12") ? 0 : FRESH;
	struct uffdvram_migrate m;
	pthread_t thread;
	void *touched;

	ASSERT_LE(2, sysconf(_SC_NPROCESSORS_ONLN));
	on_one_cpu();
	lru_drain();
	ASSERT_EQ(0, uffdvram_open(&ctx, NULL));
	ASSERT_EQ(0, uv_register(self->fd, mem, FRESH * PAGE, self->pool, NULL));
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch_elsewhere, mem));
	pthread_join(thread, &touched);
	ASSERT_EQ(mem, touched);
	ASSERT_EQ(0, uv_migrate(self->fd, mem, FRESH * PAGE, 0, &m));
	EXPECT_EQ(kept, m.stayed[UFFDVRAM_STAY_PINNED]);
	ASSERT_EQ(0, uffdvram_move(ctx, ADDR(mem), FRESH * PAGE, 0, &moved));
	EXPECT_EQ(kept, moved.moved);
	EXPECT_EQ(FRESH, uv_in_vram(self->fd, mem, FRESH * PAGE));
	uffdvram_close(ctx);
	munmap(mem, FRESH * PAGE);
}

TEST_HARNESS_MAIN
