// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/* IOMMU: edu */
/*
 * Private pages, and who takes references to pages, or has the kernel carry their bytes: disks,
 * pipes, rings, drivers, an IOMMU, userfaultfd, core dumps. All of them are told so, and get
 * nothing.
 */
#include <kselftest_harness.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "util_mm.h"
#include "convert_fixture.h"
#include "long_pin.h"
#include "vfio.h"

/* What becomes private: the second half. */
#define HALF	(LEN / 2)

/* A ring that goes leaves work for its owner, and CONVERT gives way to that as to a signal. */
static int convert(data *self, uint32_t flags, char *addr, size_t len)
{
	int ret;

	do {
		ret = uv_convert(self->fd, flags, addr, len, flags & WAIT ? 60000 : 0, &self->c);
	} while (ret == -EINTR);
	return ret;
}

static int half_private(data *self)
{
	return convert(self, PRIVATE | WAIT, self->mem + HALF, HALF);
}

/* It is still private, and holds what it held. */
static void expect_unharmed(struct __test_metadata *_metadata, data *self)
{
	EXPECT_EQ(PAGES / 2, private_pages(self->fd, self->mem, LEN));
	EXPECT_TRUE(refused(self->mem + HALF));
	ASSERT_EQ(0, convert(self, 0, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem + HALF, HALF, 1));
}

/*
 * Who takes references that last: first he has one, and that stands against it; afterwards he
 * gets none, also where pages that he could have come before. Nor is one of them left.
 */
static void expect_none_taken(struct __test_metadata *_metadata, data *self,
			      int (*begin)(struct long_pin *p, void *at, size_t len),
			      void (*end)(struct long_pin *p))
{
	uint64_t refused_before = uv_stat("private_refused");
	char *at = self->mem + HALF;
	struct long_pin p;

	/* What has just come home looks pinned, too. */
	lru_drain();
	ASSERT_EQ(0, begin(&p, at + 2 * PAGE, PAGE));
	EXPECT_EQ(-EBUSY, convert(self, PRIVATE, at, HALF));
	EXPECT_EQ(UFFDVRAM_STAY_PINNED, self->c.cause);
	EXPECT_EQ(ADDR(at + 2 * PAGE), self->c.bad_addr);
	end(&p);
	ASSERT_EQ(0, half_private(self));
	EXPECT_EQ(-EFAULT, begin(&p, at, 3 * PAGE));
	end(&p);
	EXPECT_NE(0, begin(&p, at - 2 * PAGE, 4 * PAGE));
	end(&p);
	EXPECT_LT(refused_before, uv_stat("private_refused"));
	EXPECT_EQ(0, convert(self, PRIVATE | WAIT, self->mem, LEN));
	EXPECT_EQ(0, convert(self, 0, self->mem, HALF));
	expect_unharmed(_metadata, self);
	EXPECT_EQ(-1, check_pages(self->mem, HALF, 1));
}

TEST_F(convert, pipe)
{
	expect_none_taken(_metadata, self, pipe_begin, pipe_end);
}

TEST_F(convert, fixed_buffers)
{
	expect_none_taken(_metadata, self, ring_begin, ring_end);
}

TEST_F(convert, longterm)
{
	const char *lacks = longterm_lacks();

	if (lacks)
		SKIP(return, "%s", lacks);
	expect_none_taken(_metadata, self, longterm_begin, longterm_end);
	expect_none_taken(_metadata, self, longterm_fast_begin, longterm_end);
}

TEST_F(convert, vfio_type1)
{
	ASSERT_EQ(NULL, type1_lacks());
	expect_none_taken(_metadata, self, type1_begin, dma_end);
}

TEST_F(convert, iommufd)
{
	const char *lacks = iommufd_lacks();

	if (lacks)
		SKIP(return, "%s", lacks);
	expect_none_taken(_metadata, self, iommufd_begin, dma_end);
}

/* A disk that is read and written past the page cache: 4 pages of it hold 'd'. */
static int disk_open(int nr, char *buf)
{
	char path[32];
	int disk;

	zram_path(nr, path, sizeof(path));
	disk = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	memset(buf, 'd', 4 * PAGE);
	if (disk < 0 || pwrite(disk, buf, 4 * PAGE, 0) != 4 * (ssize_t)PAGE)
		give_up("a disk");
	return disk;
}

/* From where on @len bytes are not all 'd', or -1. */
static long not_d(const char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != 'd')
			return i;
	return -1;
}

TEST_F(convert, direct_io)
{
	char *buf = map_small(4 * PAGE), *at = self->mem + HALF;
	int nr = zram_new("4M"), disk;

	ASSERT_LE(0, nr);
	disk = disk_open(nr, buf);
	ASSERT_EQ(0, half_private(self));
	EXPECT_EQ(-1, pwrite(disk, at, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pread(disk, at, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(4 * PAGE, pread(disk, buf, 4 * PAGE, 0));
	EXPECT_EQ(-1, not_d(buf, 4 * PAGE));
	/* Two shared pages come first: as much as these may be done. */
	EXPECT_GE(2 * (ssize_t)PAGE, pread(disk, at - 2 * PAGE, 4 * PAGE, 0));
	fill_pages(at - 2 * PAGE, 2 * PAGE, 1);
	EXPECT_GE(2 * (ssize_t)PAGE, pwrite(disk, at - 2 * PAGE, 4 * PAGE, 0));
	ASSERT_EQ(4 * PAGE, pread(disk, buf, 4 * PAGE, 0));
	EXPECT_EQ(-1, not_d(buf + 2 * PAGE, 2 * PAGE));
	expect_unharmed(_metadata, self);
	/* The same calls on what is shared: it was not they. */
	ASSERT_EQ(PAGE, pwrite(disk, at, PAGE, 0));
	ASSERT_EQ(PAGE, pread(disk, buf, PAGE, 0));
	EXPECT_EQ(-1, check_pages_as(buf, PAGE, at, 1));
	close(disk);
	zram_drop(nr);
	munmap(buf, 4 * PAGE);
}

TEST_F(convert, userfaultfd)
{
	char *to = map_small(4 * PAGE), *from = map_small(PAGE), *at = self->mem + HALF;
	int uffd = uffd_open(0);

	fill_pages(from, PAGE, 3);
	ASSERT_EQ(0, half_private(self));
	ASSERT_EQ(0, uffd_register(uffd, to, 4 * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	EXPECT_EQ(-EFAULT, uffd_copy(uffd, to, at, PAGE, 0));
	EXPECT_EQ(-EFAULT, uffd_move(uffd, to, at, PAGE, 0));
	/* Nothing came of that: not even a page of zeroes. */
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pagemap_entry(0, to + i * PAGE) & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED));
	/* Nor is it overwritten. */
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_MISSING));
	EXPECT_EQ(-EEXIST, uffd_copy(uffd, at, from, PAGE, 0));
	EXPECT_EQ(-EEXIST, uffd_zeropage(uffd, at, PAGE));
	EXPECT_EQ(-EEXIST, uffd_poison(uffd, at, PAGE));
	EXPECT_EQ(-EEXIST, uffd_move(uffd, at, from, PAGE, 0));
	expect_unharmed(_metadata, self);
	/* What is at home is moved. */
	EXPECT_EQ(0, uffd_copy(uffd, to, at, PAGE, 0));
	EXPECT_EQ(-1, check_pages_as(to, PAGE, at, 1));
	EXPECT_EQ(0, uffd_move(uffd, to + PAGE, from, PAGE, 0));
	EXPECT_EQ(-1, check_pages_as(to + PAGE, PAGE, from, 3));
	close(uffd);
	munmap(to, 4 * PAGE);
	munmap(from, PAGE);
}

#define CORE_PATTERN	"/proc/sys/kernel/core_pattern"

/* Half of its memory is private, all of it in VRAM, when it dies with a core dump. */
static int dies(int fd, void *arg)
{
	struct rlimit any = { RLIM_INFINITY, RLIM_INFINITY };
	data *self = arg;
	int own = uv_open();
	uint64_t word;
	uint32_t pool;

	self->fd = own;
	if (own < 0 || uv_attach(own, POOL, 0, &pool))
		return 1;
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	if (uv_register(own, self->mem, LEN, pool, NULL) ||
	    uv_to_vram(own, self->mem, LEN) != PAGES || half_private(self))
		return 2;
	child_tell(fd, ADDR(self->mem));
	if (!child_hear(fd, &word) || setrlimit(RLIMIT_CORE, &any) ||
	    signal(SIGABRT, SIG_DFL) == SIG_ERR)
		return 3;
	abort();
}

/* All of a file, whose size that is; NULL: it is not there, or empty. */
static char *whole_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *p;

	if (fd < 0 || fstat(fd, &st) || !st.st_size)
		return NULL;
	*size = st.st_size;
	p = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

/* Where a core dump has @len bytes of memory, or NULL. */
static const char *core_at(const char *core, size_t size, uint64_t addr, size_t len)
{
	const Elf64_Ehdr *e = (const void *)core;
	const Elf64_Phdr *p = (const void *)(core + e->e_phoff);

	for (int i = 0; i < e->e_phnum; i++)
		if (p[i].p_type == PT_LOAD && addr >= p[i].p_vaddr &&
		    addr + len <= p[i].p_vaddr + p[i].p_filesz &&
		    p[i].p_offset + p[i].p_filesz <= size)
			return core + p[i].p_offset + (addr - p[i].p_vaddr);
	return NULL;
}

/* How many of these pages begin somewhere in a file as they do in memory. */
static int found_in(const char *core, size_t size, const char *pages, int n)
{
	int found = 0;

	for (int i = 0; i < n; i++)
		found += !!memmem(core, size, pages + i * PAGE, 64);
	return found;
}

/* What is shared is there, as it was in VRAM; instead of what is private there is nothing. */
static void expect_dumped(struct __test_metadata *_metadata, const char *path, uint64_t addr)
{
	char *was = map_small(LEN), *core;
	const char *mem;
	size_t size = 0;

	core = whole_file(path, &size);
	ASSERT_NE(NULL, core);
	ASSERT_EQ(0, memcmp(core, ELFMAG, SELFMAG));
	mem = core_at(core, size, addr, LEN);
	ASSERT_NE(NULL, mem);
	fill_pages_as(was, LEN, (void *)(uintptr_t)addr, 1);
	EXPECT_EQ(0, memcmp(mem, was, HALF));
	EXPECT_EQ(-1, not_zero(mem + HALF, HALF));
	EXPECT_EQ(PAGES / 2, found_in(core, size, was, PAGES / 2));
	EXPECT_EQ(0, found_in(core, size, was + HALF, PAGES / 2));
	munmap(core, size);
	munmap(was, LEN);
}

TEST_F(convert, core_dump)
{
	FIXTURE_DATA(convert) other = { .fd = -1 };
	uint64_t before = uv_stat("private_refused"), addr;
	char pattern[160], path[64];
	struct child c;
	int status;

	ASSERT_LT(0, file_read(CORE_PATTERN, pattern, sizeof(pattern)));
	c = child_start(dies, &other);
	ASSERT_TRUE(child_hear(c.fd, &addr));
	snprintf(path, sizeof(path), "/tmp/uffdvram-core.%d", c.pid);
	ASSERT_EQ(0, file_write(CORE_PATTERN, "/tmp/uffdvram-core.%p"));
	child_tell(c.fd, 1);
	EXPECT_EQ(c.pid, waitpid(c.pid, &status, 0));
	EXPECT_EQ(0, file_write(CORE_PATTERN, pattern));
	close(c.fd);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && WCOREDUMP(status));
	EXPECT_LT(before, uv_stat("private_refused"));
	expect_dumped(_metadata, path, addr);
	unlink(path);
}

TEST_HARNESS_MAIN
