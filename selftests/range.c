// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 150 */
/* Ranges: what may be registered, by whom, and whose memory a context is about. */
#include "kselftest_harness.h"

#include "util_mm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGES		16
#define LEN		(PAGES * PAGE)

FIXTURE(range)
{
	int fd;			/* two contexts of this process */
	int other;
	uint32_t pool;
	uint64_t slots;
	char *mem;
};

FIXTURE_SETUP(range)
{
	self->slots = uv_slots_in_use();
	self->fd = uv_open();
	self->other = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->other);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &self->pool));
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
}

FIXTURE_TEARDOWN(range)
{
	close(self->fd);
	close(self->other);
	munmap(self->mem, LEN);
	EXPECT_TRUE(uv_wait_slots(self->slots));
}

/* Register and forget again. */
static int try_register(int fd, const void *addr, size_t len, uint32_t pool)
{
	uint32_t range;
	int ret = uv_register(fd, addr, len, pool, &range);

	if (!ret && (!range || uv_unregister(fd, range)))
		return -EPROTO;
	return ret;
}

TEST_F(range, alignment_and_overflow)
{
	const struct { uint64_t addr, len; } bad[] = {
		{ (uintptr_t)self->mem + 1, PAGE },
		{ (uintptr_t)self->mem + PAGE / 2, PAGE },
		{ (uintptr_t)self->mem, PAGE + 1 },
		{ (uintptr_t)self->mem, PAGE - 1 },
		{ (uintptr_t)self->mem, 0 },
		{ (uintptr_t)self->mem, -PAGE },
		{ (uintptr_t)self->mem, 1ULL << 63 },
		{ -PAGE, 2 * PAGE },
		{ -PAGE, PAGE },
		{ 0, -PAGE },
		{ 1ULL << 62, PAGE },
		{ 0xffff888000000000, PAGE },
		{ 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, try_register(self->fd, (void *)bad[i].addr, bad[i].len,
						self->pool))
			TH_LOG("%llx + %llx", (long long)bad[i].addr, (long long)bad[i].len);
	}
	EXPECT_EQ(0, try_register(self->fd, self->mem, LEN, self->pool));
}

TEST_F(range, holes)
{
	EXPECT_EQ(-ENOENT, try_register(self->fd, NULL, PAGE, self->pool));
	EXPECT_EQ(-ENOENT, try_register(self->fd, self->mem - PAGE, PAGE, self->pool));
	EXPECT_EQ(-ENOENT, try_register(self->fd, self->mem - PAGE, 2 * PAGE, self->pool));
	EXPECT_EQ(-ENOENT, try_register(self->fd, self->mem, LEN + PAGE, self->pool));
	munmap(self->mem + 4 * PAGE, PAGE);
	EXPECT_EQ(-ENOENT, try_register(self->fd, self->mem, LEN, self->pool));
	EXPECT_EQ(-ENOENT, try_register(self->fd, self->mem + 4 * PAGE, PAGE, self->pool));
	EXPECT_EQ(0, try_register(self->fd, self->mem, 4 * PAGE, self->pool));
	EXPECT_EQ(0, try_register(self->fd, self->mem + 5 * PAGE, LEN - 5 * PAGE, self->pool));
}

TEST_F(range, flags_of_later_releases)
{
	struct uffdvram_range_register arg = {
		.size = sizeof(arg), .flags = 1U << 3, .pool = self->pool,
		.addr = (uintptr_t)self->mem, .len = LEN,
	};

	EXPECT_EQ(-EOPNOTSUPP, uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &arg));
	EXPECT_EQ(0, arg.range);
}

TEST_F(range, pools)
{
	struct uffdvram_migrate m;
	uint32_t range;

	EXPECT_EQ(-ENODEV, try_register(self->fd, self->mem, LEN, 12345));
	EXPECT_EQ(-ENODEV, try_register(self->fd, self->mem, LEN, ~0U));
	/* Without a pool there is nowhere to go, but everything is at home. */
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, 0, &range));
	EXPECT_EQ(-ENODEV, uv_migrate(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(0, m.done);
	EXPECT_EQ(0, uv_migrate(self->fd, self->mem, LEN, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(PAGES, m.already);
}

TEST_F(range, overlap)
{
	static const struct { int first, pages, err; } want[] = {
		{ 4, 4, -EBUSY }, { 0, PAGES, -EBUSY }, { 5, 1, -EBUSY }, { 4, 1, -EBUSY },
		{ 7, 1, -EBUSY }, { 3, 2, -EBUSY }, { 7, 2, -EBUSY }, { 0, 5, -EBUSY },
		{ 0, 4, 0 }, { 8, 8, 0 }, { 3, 1, 0 }, { 8, 1, 0 },
	};
	uint32_t range;

	ASSERT_EQ(0, uv_register(self->fd, self->mem + 4 * PAGE, 4 * PAGE, self->pool, &range));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		char *addr = self->mem + want[i].first * PAGE;
		size_t len = want[i].pages * PAGE;

		EXPECT_EQ(want[i].err, try_register(self->fd, addr, len, self->pool))
			TH_LOG("pages %d + %d", want[i].first, want[i].pages);
		/* One address space has one set of ranges, whatever the context. */
		EXPECT_EQ(want[i].err, try_register(self->other, addr, len, 0))
			TH_LOG("pages %d + %d, other context", want[i].first, want[i].pages);
	}
	EXPECT_EQ(0, uv_unregister(self->fd, range));
	EXPECT_EQ(0, try_register(self->other, self->mem, LEN, 0));
}

/* A context that is closed leaves no range behind. */
TEST_F(range, close_frees_the_addresses)
{
	ASSERT_EQ(0, uv_register(self->other, self->mem, LEN, 0, NULL));
	EXPECT_EQ(-EBUSY, try_register(self->fd, self->mem, LEN, self->pool));
	close(self->other);
	EXPECT_EQ(0, try_register(self->fd, self->mem, LEN, self->pool));
	self->other = uv_open();
}

TEST_F(range, numbers)
{
	uint32_t id[PAGES], mine;

	for (int i = 0; i < PAGES; i++) {
		ASSERT_EQ(0, uv_register(self->fd, self->mem + i * PAGE, PAGE, self->pool,
					 &id[i]));
		EXPECT_NE(0, id[i]);
		for (int k = 0; k < i; k++) {
			EXPECT_NE(id[k], id[i]);
		}
	}
	EXPECT_EQ(-ENOENT, uv_unregister(self->fd, 0));
	EXPECT_EQ(-ENOENT, uv_unregister(self->fd, ~0U));
	/* Another context does not know them, nor its own when it has none. */
	for (int i = 0; i < PAGES; i++) {
		EXPECT_EQ(-ENOENT, uv_unregister(self->other, id[i]));
	}
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	for (int i = 0; i < PAGES; i++) {
		EXPECT_EQ(0, uv_unregister(self->fd, id[i]));
		EXPECT_EQ(-ENOENT, uv_unregister(self->fd, id[i]));
	}
	ASSERT_EQ(0, uv_register(self->other, self->mem, LEN, 0, &mine));
	EXPECT_EQ(0, uv_unregister(self->other, mine));
}

/* MIGRATE goes over neighbouring ranges and stops where none is. */
TEST_F(range, migrate_over_neighbours)
{
	struct uffdvram_migrate m;

	ASSERT_EQ(0, uv_register(self->fd, self->mem, 4 * PAGE, self->pool, NULL));
	ASSERT_EQ(0, uv_register(self->fd, self->mem + 4 * PAGE, 4 * PAGE, self->pool, NULL));
	EXPECT_EQ(8, uv_to_vram(self->fd, self->mem, 8 * PAGE));
	EXPECT_EQ(-ENOENT, uv_migrate(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(8 * PAGE, m.done);
	EXPECT_EQ(8, m.already);
	EXPECT_EQ(8, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-ENOENT, uv_migrate(self->fd, self->mem + 8 * PAGE, PAGE, 0, &m));
	EXPECT_EQ(0, m.done);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(range, over_several_vmas)
{
	for (int i = 0; i < PAGES; i += 2) {
		ASSERT_EQ(0, mprotect(self->mem + i * PAGE, PAGE, PROT_READ));
	}
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	/* The protection is what it was. */
	EXPECT_EQ(SIGSEGV, write_byte(self->mem, 1).signo);
	EXPECT_EQ(0, write_byte(self->mem + PAGE, self->mem[PAGE]).signo);
}

TEST_F(range, large)
{
	const size_t len = 64UL << 30;
	char *big = map_small(len);

	EXPECT_EQ(0, try_register(self->fd, big, len, self->pool));
	ASSERT_EQ(0, uv_register(self->fd, big, len, self->pool, NULL));
	fill_pages(big + len - 4 * PAGE, 4 * PAGE, 7);
	EXPECT_EQ(4, uv_to_vram(self->fd, big + len - 4 * PAGE, 4 * PAGE));
	EXPECT_EQ(-1, check_pages(big + len - 4 * PAGE, 4 * PAGE, 7));
	munmap(big, len);
}

/* Every second page, from one's own on, as a range of a page. */
struct racer {
	int fd;
	char *mem;
	pthread_barrier_t *barrier;
	uint32_t range[100];
	int ret[100];
};

static void *race(void *arg)
{
	struct racer *r = arg;

	for (int i = 0; i < 100; i++) {
		pthread_barrier_wait(r->barrier);
		r->ret[i] = uv_register(r->fd, r->mem, LEN, 0, &r->range[i]);
		pthread_barrier_wait(r->barrier);
		if (!r->ret[i])
			uv_unregister(r->fd, r->range[i]);
	}
	return NULL;
}

TEST_F(range, one_of_two_at_once)
{
	pthread_barrier_t barrier;
	struct racer a = { .fd = self->fd, .mem = self->mem, .barrier = &barrier }, b = a;
	pthread_t thread;

	b.fd = self->other;
	pthread_barrier_init(&barrier, NULL, 2);
	ASSERT_EQ(0, pthread_create(&thread, NULL, race, &a));
	race(&b);
	pthread_join(thread, NULL);
	for (int i = 0; i < 100; i++) {
		EXPECT_TRUE((a.ret[i] == 0 && b.ret[i] == -EBUSY) ||
			    (a.ret[i] == -EBUSY && b.ret[i] == 0))
			TH_LOG("round %d: %d and %d", i, a.ret[i], b.ret[i]);
	}
}

/* The memory under a range goes, or becomes something else. */
TEST_F(range, after_munmap)
{
	struct uffdvram_migrate m;
	uint32_t range;
	int ret;

	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, &range));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, munmap(self->mem + 4 * PAGE, 4 * PAGE));
	EXPECT_TRUE(uv_wait_slots(self->slots + PAGES - 4));
	ret = uv_migrate(self->fd, self->mem, LEN, 0, &m);
	EXPECT_EQ(0, ret);
	EXPECT_EQ(LEN, m.done);
	EXPECT_EQ(PAGES - 4, m.moved + m.already);
	EXPECT_EQ(4, m.stayed[UFFDVRAM_STAY_NOT_ANON]);
	EXPECT_EQ((uintptr_t)self->mem + 4 * PAGE, m.first[UFFDVRAM_STAY_NOT_ANON]);
	EXPECT_EQ(-1, check_pages(self->mem, 4 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(self->mem + 8 * PAGE, LEN - 8 * PAGE, 1));
	EXPECT_EQ(0, uv_unregister(self->fd, range));
}

TEST_F(range, replaced_by_a_file)
{
	int memfd = memfd_create("other", MFD_CLOEXEC);
	struct uffdvram_migrate m;
	void *p;

	ASSERT_EQ(0, ftruncate(memfd, LEN));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	p = mmap(self->mem, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, memfd, 0);
	ASSERT_EQ(self->mem, p);
	p = mmap(self->mem + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE,
		 memfd, 0);
	ASSERT_EQ(self->mem + 4 * PAGE, p);
	/* The second half has private copies: anonymous pages of a file mapping. */
	fill_pages(self->mem, 8 * PAGE, 3);
	EXPECT_EQ(0, uv_migrate(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(8, m.stayed[UFFDVRAM_STAY_NOT_ANON]);
	EXPECT_EQ(PAGES - 8, m.already);
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, 8 * PAGE));
	EXPECT_EQ(-1, check_pages(self->mem, 8 * PAGE, 3));
	EXPECT_EQ(-1, check_pages(self->mem + 8 * PAGE, LEN - 8 * PAGE, 1));
	close(memfd);
}

/* Ranges stay where they are when the memory moves; its bytes go with it. */
TEST_F(range, after_mremap)
{
	struct uffdvram_migrate m;
	char *to = map_small(LEN);

	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(to, mremap(self->mem, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, to, LEN));
	EXPECT_EQ(-ENOENT, uv_migrate(self->fd, to, LEN, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(-1, check_pages_as(to, LEN, self->mem, 1));
	EXPECT_EQ(0, try_register(self->fd, to, LEN, self->pool));
	munmap(to, LEN);
}

TEST_F(range, after_dontneed)
{
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, madvise(self->mem, LEN / 2, MADV_DONTNEED));
	EXPECT_TRUE(uv_wait_slots(self->slots + PAGES / 2));
	EXPECT_EQ(PAGES / 2, uv_in_vram(self->fd, self->mem, LEN));
	/* Holes become zeroed pages in VRAM. */
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	for (size_t i = 0; i < LEN / 2; i++) {
		ASSERT_EQ(0, self->mem[i]);
	}
	EXPECT_EQ(-1, check_pages(self->mem + LEN / 2, LEN / 2, 1));
}

/* What kinds of memory there are: each function maps LEN bytes of one. */
static void *map_some(int prot, int flags, int fd)
{
	void *p = mmap(NULL, LEN, prot, flags, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void *map_of_file(int fd, int flags)
{
	void *p;

	if (fd < 0 || ftruncate(fd, LEN))
		return NULL;
	p = map_some(PROT_READ | PROT_WRITE, flags, fd);
	close(fd);
	return p;
}

static void *map_file_shared(void)
{
	return map_of_file(memfd_create("kind", 0), MAP_SHARED);
}

static void *map_file_private(void)
{
	return map_of_file(memfd_create("kind", 0), MAP_PRIVATE);
}

/* Every page of it is anonymous, yet it is a mapping of a file. */
static void *map_file_private_written(void)
{
	void *p = map_file_private();

	if (p)
		fill_pages(p, LEN, 1);
	return p;
}

static void *map_secret(void)
{
	return map_of_file(syscall(SYS_memfd_secret, 0), MAP_SHARED);
}

static void *map_shared_anonymous(void)
{
	return map_some(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
}

static void *map_program(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	void *p = map_some(PROT_READ, MAP_PRIVATE, fd);

	close(fd);
	return p;
}

static void *map_hugetlb(void)
{
	void *p;

	if (file_write("/proc/sys/vm/nr_hugepages", "2"))
		return NULL;
	p = mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	file_write("/proc/sys/vm/nr_hugepages", "0");
	return p == MAP_FAILED ? NULL : p;
}

/* A mapping of the kernel's (VM_PFNMAP, or VM_MIXEDMAP); one page will do. */
static void *map_of_kernel(void)
{
	static char maps[65536];
	char *line;

	if (file_read("/proc/self/maps", maps, sizeof(maps)) < 0)
		return NULL;
	line = strstr(maps, "[vvar");
	while (line && line > maps && line[-1] != '\n')
		line--;
	return line ? (void *)strtoul(line, NULL, 16) : NULL;
}

static void *map_no_access(void)
{
	return map_some(PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void *map_read_only(void)
{
	return map_some(PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void *map_locked(void)
{
	return map_some(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1);
}

static void *map_heap(void)
{
	char *p = (char *)(((uintptr_t)sbrk(0) + PAGE - 1) & -PAGE);

	return brk(p + LEN) ? NULL : p;
}

static void *map_stack(void)
{
	volatile char here[2 * LEN];

	/* Makes the stack grow to here. */
	for (size_t i = sizeof(here); i;)
		here[--i] = 1;
	return (void *)(((uintptr_t)here + PAGE - 1) & -PAGE);
}

FIXTURE(kind)
{
	int fd;
};

FIXTURE_VARIANT(kind)
{
	void *(*map)(void);
	int want;
};

#define KIND(name, err) \
	FIXTURE_VARIANT_ADD(kind, name) { .map = map_##name, .want = err }

KIND(file_shared, -EINVAL);
KIND(file_private, -EINVAL);
KIND(file_private_written, -EINVAL);
KIND(secret, -EINVAL);
KIND(shared_anonymous, -EINVAL);
KIND(program, -EINVAL);
KIND(hugetlb, -EINVAL);
KIND(of_kernel, -EINVAL);
KIND(no_access, 0);
KIND(read_only, 0);
KIND(locked, 0);
KIND(heap, 0);
KIND(stack, 0);

FIXTURE_SETUP(kind)
{
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(kind)
{
	close(self->fd);
}

TEST_F(kind, register)
{
	char *p = variant->map();

	ASSERT_NE(NULL, p);
	EXPECT_EQ(variant->want, try_register(self->fd, p, PAGE, 0));
}

/* One page of it after good memory spoils the whole. */
TEST_F(range, good_memory_with_a_bad_end)
{
	void *(*const kinds[])(void) = {
		map_file_shared, map_file_private, map_shared_anonymous, map_program
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char *end = self->mem + LEN - PAGE;

		ASSERT_EQ(end, mremap(kinds[i](), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, end));
		EXPECT_EQ(-EINVAL, try_register(self->fd, self->mem, LEN, self->pool))
			TH_LOG("kind %zu", i);
		EXPECT_EQ(0, try_register(self->fd, self->mem, LEN - PAGE, self->pool));
	}
}

TEST_HARNESS_MAIN
