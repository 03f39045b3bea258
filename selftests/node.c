// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 240 */
/*
 * mmap of the device: anonymous memory that registers itself, for a VMM that only
 * takes a path. Everything that is done to such memory must work with it.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "util_mm.h"

#define PAGES	64
#define LEN	(PAGES * PAGE)

FIXTURE(node)
{
	int fd;
	uint32_t pool;
	char *mem;
};

static char *map_node_at(int fd, void *at, size_t len, int flags, off_t off)
{
	char *p = mmap(at, len, PROT_READ | PROT_WRITE, flags, fd, off);

	/* Small pages, as map_small() has them. */
	if (p != MAP_FAILED)
		madvise(p, len, MADV_NOHUGEPAGE);
	return p;
}

static char *map_node(int fd, size_t len)
{
	return map_node_at(fd, NULL, len, MAP_PRIVATE, 0);
}

FIXTURE_SETUP(node)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(4), 0, &self->pool));
	self->mem = map_node(self->fd, LEN);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(node)
{
	munmap(self->mem, LEN);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

/* Is this page one of a range? It may be missing, or not even mapped. */
static bool is_range(int fd, const char *page)
{
	char buf[PAGE];

	return uv_copy(fd, 0, page, PAGE, buf, NULL) != -ENOENT;
}

TEST_F(node, moves_like_any_memory)
{
	struct uffdvram_info info;
	char *buf = map_small(LEN);
	struct uffdvram_migrate m;

	ASSERT_EQ(0, uv_info(self->fd, &info));
	EXPECT_NE(0, info.features & UFFDVRAM_FEATURE_MMAP);
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, &m));
	EXPECT_EQ(PAGES, uv_slots_in_use());
	ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, buf, NULL));
	EXPECT_EQ(-1, check_pages_as(buf, LEN, self->mem, 1));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(PAGES / 2, uv_to_ram(self->fd, self->mem, LEN / 2));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(0, uv_slots_in_use());
	/* Holes are filled in VRAM, with zeroes. */
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
	munmap(buf, LEN);
}

/* Its pages go to the first pool that there is when they first move. */
TEST_F(node, pool)
{
	int fd = uv_open();
	uint32_t pool[2];
	char *mem;

	ASSERT_LE(0, fd);
	mem = map_node(fd, LEN);
	ASSERT_NE(MAP_FAILED, mem);
	fill_pages(mem, LEN, 1);
	EXPECT_EQ(-ENODEV, uv_migrate(fd, mem, LEN, 0, NULL));
	ASSERT_EQ(0, uv_attach(fd, 16 * PAGE, 0, &pool[0]));
	ASSERT_EQ(0, uv_attach(fd, MIB(2), 0, &pool[1]));
	EXPECT_EQ(16, uv_to_vram(fd, mem, LEN));
	EXPECT_EQ(0, uv_detach(fd, pool[0], 0, NULL));
	EXPECT_EQ(-1, check_pages(mem, LEN, 1));
	munmap(mem, LEN);
	mem = map_node(fd, LEN);
	EXPECT_EQ(PAGES, uv_to_vram(fd, mem, LEN));
	munmap(mem, LEN);
	EXPECT_EQ(0, uv_detach(fd, pool[1], 0, NULL));
	close(fd);
}

/*
 * Pages are found by their slots wherever they are: whatever the offset that was
 * mapped, in pieces of the mapping, and where mremap() took them.
 */
TEST_F(node, slots_are_found)
{
	char *mem = map_node_at(self->fd, NULL, LEN, MAP_PRIVATE, 1L << 30);
	char *to = map_small(LEN);

	ASSERT_NE(MAP_FAILED, mem);
	fill_pages(mem, LEN, 1);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, mem, LEN));
	ASSERT_EQ(0, mprotect(mem + 8 * PAGE, 8 * PAGE, PROT_READ));
	ASSERT_EQ(0, munmap(mem + 16 * PAGE, 8 * PAGE));
	ASSERT_EQ(to, mremap(mem + 32 * PAGE, 32 * PAGE, 32 * PAGE,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	ASSERT_EQ(PAGES - 8, uv_slots_in_use());
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_EQ(0, uv_slots_in_use());
	EXPECT_EQ(-1, check_pages(mem, 16 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(mem + 24 * PAGE, 8 * PAGE, 1));
	EXPECT_EQ(-1, check_pages_as(to, 32 * PAGE, mem + 32 * PAGE, 1));
	munmap(mem, 32 * PAGE);
	munmap(to, LEN);
}

static int maps_foreign(int sock, void *arg)
{
	int fd = *(int *)arg;

	(void)sock;
	if (map_node(fd, LEN) != MAP_FAILED)
		return 1;
	return errno;
}

TEST_F(node, refusals)
{
	char *plain = map_small(LEN);
	int fd;

	EXPECT_EQ(MAP_FAILED, map_node_at(self->fd, NULL, LEN, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, map_node_at(self->fd, NULL, LEN, MAP_SHARED_VALIDATE, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	/* Another process's context. */
	EXPECT_EQ(EXDEV, run_child(maps_foreign, &self->fd));
	/* It is a range already. */
	EXPECT_EQ(-EBUSY, uv_register(self->fd, self->mem, PAGE, self->pool, NULL));
	EXPECT_EQ(-EBUSY, uv_register(self->fd, self->mem + LEN - PAGE, PAGE, 0, NULL));
	/* And where another kind of range is, the device cannot be mapped. */
	ASSERT_EQ(0, uv_register(self->fd, plain + 8 * PAGE, PAGE, 0, NULL));
	EXPECT_EQ(MAP_FAILED, map_node_at(self->fd, plain, LEN, MAP_PRIVATE | MAP_FIXED, 0));
	EXPECT_EQ(EBUSY, errno);
	/* Not even a descriptor that can only be read lets itself be written. */
	fd = open(UFFDVRAM_DEVICE, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	plain = map_node(fd, LEN);
	if (plain != MAP_FAILED) {
		fill_pages(plain, LEN, 1);
		EXPECT_EQ(-1, check_pages(plain, LEN, 1));
		munmap(plain, LEN);
	}
	close(fd);
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
}

/* Flags that would keep userfaultfd and migrate_vma away. */
TEST_F(node, vma_flags)
{
	static char smaps[1 << 20];
	static const char * const special[] = { " io", " pf", " mm", " de", " sh", " ht" };
	char key[32], *line;

	ASSERT_LT(0, file_read("/proc/self/smaps", smaps, sizeof(smaps)));
	snprintf(key, sizeof(key), "%lx-", (unsigned long)ADDR(self->mem));
	line = strstr(smaps, key);
	ASSERT_NE(NULL, line);
	line = strstr(line, "VmFlags:");
	ASSERT_NE(NULL, line);
	*strchr(line, '\n') = 0;
	for (size_t i = 0; i < ARRAY_SIZE(special); i++)
		EXPECT_EQ(NULL, strstr(line + 8, special[i])) TH_LOG("%s", line);
}

static void *read_first(void *arg)
{
	return (void *)(uintptr_t)*(volatile unsigned char *)arg;
}

/* userfaultfd asks for the file's size: every offset must be within it. */
static void arm_and_install(struct __test_metadata *_metadata, int fd, char *mem)
{
	int uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	char *data = map_small(LEN);
	struct uffd_msg msg;
	pthread_t thread;

	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, uffd_register(uffd, mem, LEN, UFFDIO_REGISTER_MODE_MISSING |
				   UFFDIO_REGISTER_MODE_WP));
	fill_pages_as(data, LEN, mem, 1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_first, mem));
	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000));
	EXPECT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);
	EXPECT_EQ(ADDR(mem), msg.arg.pagefault.address & ~(PAGE - 1));
	EXPECT_EQ(0, uffd_copy(uffd, mem, data, 10 * PAGE, 0));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, uffd_zeropage(uffd, mem + 10 * PAGE, PAGE));
	EXPECT_EQ(0, uffd_poison(uffd, mem + 11 * PAGE, PAGE));
	EXPECT_EQ(0, uffd_copy(uffd, mem + 12 * PAGE, data + 12 * PAGE, LEN - 12 * PAGE, 0));
	EXPECT_EQ(SIGBUS, read_byte(mem + 11 * PAGE).signo);

	EXPECT_EQ(PAGES - 2, uv_to_vram(fd, mem, LEN));
	EXPECT_EQ(-EEXIST, uffd_copy(uffd, mem, data, PAGE, 0));
	ASSERT_EQ(0, madvise(mem, 2 * PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, uffd_copy(uffd, mem, data, 2 * PAGE, 0));
	ASSERT_EQ(0, uffd_wp(uffd, mem + 20 * PAGE, PAGE, true));
	EXPECT_NE(0, pagemap_entry(0, mem + 20 * PAGE) & PAGEMAP_UFFD_WP);
	ASSERT_EQ(0, uffd_wp(uffd, mem + 20 * PAGE, PAGE, false));
	EXPECT_EQ(-1, check_pages(mem, 10 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(mem + 12 * PAGE, LEN - 12 * PAGE, 1));
	EXPECT_EQ(0, uffd_unregister(uffd, mem, LEN));
	close(uffd);
	munmap(data, LEN);
}

TEST_F(node, userfaultfd)
{
	static const off_t offs[] = { PAGE, 1L << 30, 1L << 40, (1UL << 63) - LEN - PAGE };

	arm_and_install(_metadata, self->fd, self->mem);
	for (size_t i = 0; i < ARRAY_SIZE(offs); i++) {
		char *mem = map_node_at(self->fd, NULL, LEN, MAP_PRIVATE, offs[i]);

		/* The core's own limit: not every offset can be mapped. */
		if (mem == MAP_FAILED && errno == EOVERFLOW)
			continue;
		ASSERT_NE(MAP_FAILED, mem) TH_LOG("offset %#lx", offs[i]);
		arm_and_install(_metadata, self->fd, mem);
		munmap(mem, LEN);
	}
}

static int inherits(int sock, void *arg)
{
	int fd = uv_open();
	uint64_t word, done;

	while (child_hear(sock, &word)) {
		if (word == 2)
			fill_pages(arg, LEN, 2);
		child_tell(sock, check_each(arg, LEN, word));
	}
	/* The child's copy of the mapping is no range of the child's. */
	return uv_copy(fd, 0, arg, PAGE, (char *)arg + PAGE, &done) != -ENOENT;
}

TEST_F(node, fork)
{
	struct child c;

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	c = child_start(inherits, self->mem);
	EXPECT_EQ(0, child_step(&c, 1));
	EXPECT_EQ(0, child_step(&c, 2));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, child_end(&c));
	/* The range did not end with the child. */
	EXPECT_TRUE(is_range(self->fd, self->mem));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	/* A child that keeps its copy is not in the way of a new mapping. */
	c = child_start(inherits, self->mem);
	ASSERT_EQ(0, munmap(self->mem, LEN));
	ASSERT_EQ(self->mem, map_node_at(self->fd, self->mem, LEN, MAP_PRIVATE | MAP_FIXED, 0));
	fill_pages(self->mem, LEN, 3);
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, child_step(&c, 1));
	EXPECT_EQ(0, child_end(&c));
	EXPECT_TRUE(is_range(self->fd, self->mem));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 3));
}

/* Mapped, used and unmapped: nothing of it stays. */
TEST_F(node, again_and_again)
{
	int fds = count_fds(), i;

	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, munmap(self->mem, LEN));
		EXPECT_FALSE(is_range(self->fd, self->mem));
		ASSERT_EQ(self->mem, map_node_at(self->fd, self->mem, LEN,
						 MAP_PRIVATE | MAP_FIXED_NOREPLACE, 0));
		fill_pages(self->mem, 4 * PAGE, i);
		ASSERT_EQ(0, uv_migrate(self->fd, self->mem, LEN, UFFDVRAM_MIGRATE_POPULATED,
					NULL));
		ASSERT_EQ(-1, check_pages(self->mem, 4 * PAGE, i));
	}
	EXPECT_EQ(fds, count_fds());
	/* Another kind of range can be there, then. */
	ASSERT_EQ(0, munmap(self->mem, LEN));
	ASSERT_EQ(self->mem, mmap(self->mem, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE |
				  MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
}

/* A new mapping over a part of an old one, and what is left of that. */
TEST_F(node, mapped_over)
{
	char *mid = self->mem + 20 * PAGE;

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(mid, map_node_at(self->fd, mid, 10 * PAGE, MAP_PRIVATE | MAP_FIXED, 0));
	EXPECT_EQ(PAGES - 10, uv_in_vram(self->fd, self->mem, LEN));
	fill_pages(mid, 10 * PAGE, 2);
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	/* The inner one goes: a hole, to the left and right of which it goes on. */
	ASSERT_EQ(0, munmap(mid + 2 * PAGE, 8 * PAGE));
	EXPECT_EQ(-1, check_pages(mid, 2 * PAGE, 2));
	ASSERT_EQ(0, munmap(mid, 2 * PAGE));
	EXPECT_EQ(PAGES - 10, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(20, uv_to_ram(self->fd, self->mem, 20 * PAGE));
	EXPECT_EQ(PAGES - 30, uv_to_ram(self->fd, mid + 10 * PAGE, LEN - 30 * PAGE));
	EXPECT_EQ(-1, check_pages(self->mem, 20 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(mid + 10 * PAGE, LEN - 30 * PAGE, 1));
	/* The outer one goes: the rest of its piece can be mapped by others. */
	ASSERT_EQ(0, munmap(self->mem, LEN));
	EXPECT_FALSE(is_range(self->fd, self->mem));
	EXPECT_FALSE(is_range(self->fd, mid + 10 * PAGE));
}

/* mremap takes pages along, but not the range. */
TEST_F(node, mremap)
{
	char *to = map_small(2 * LEN);

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(to, mremap(self->mem + LEN / 2, LEN / 2, LEN / 2,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(PAGES / 2, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_FALSE(is_range(self->fd, to));
	EXPECT_TRUE(is_range(self->fd, self->mem));
	EXPECT_EQ(-1, check_pages_as(to, LEN / 2, self->mem + LEN / 2, 1));
	EXPECT_EQ(-1, check_pages(self->mem, LEN / 2, 1));
	/* Moved whole and grown. */
	ASSERT_EQ(PAGES / 2, uv_to_vram(self->fd, self->mem, LEN / 2));
	ASSERT_EQ(to, mremap(self->mem, LEN / 2, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(-1, check_pages_as(to, LEN / 2, self->mem, 1));
	EXPECT_EQ(-1, not_zero(to + LEN / 2, LEN / 2));
	/* In place of what has moved the device can be mapped again. */
	ASSERT_EQ(self->mem, map_node_at(self->fd, self->mem, LEN, MAP_PRIVATE | MAP_FIXED, 0));
	fill_pages(self->mem, LEN, 2);
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	/* The end of the old mapping is not the end of the new range. */
	munmap(to, 2 * LEN);
	EXPECT_TRUE(is_range(self->fd, self->mem));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
}

/* Unregistered by hand, its number may be another range's by the time it ends. */
TEST_F(node, unregistered)
{
	char *other = map_small(LEN);
	uint32_t range;

	/* The first range of the context has the first number. */
	ASSERT_EQ(0, uv_unregister(self->fd, 1));
	EXPECT_FALSE(is_range(self->fd, self->mem));
	ASSERT_EQ(0, uv_register(self->fd, other, LEN, self->pool, &range));
	fill_pages(other, LEN, 1);
	ASSERT_EQ(0, munmap(self->mem, LEN));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, other, LEN)) TH_LOG("range %u is gone", range);
	EXPECT_EQ(0, uv_unregister(self->fd, range));
	EXPECT_EQ(-1, check_pages(other, LEN, 1));
	munmap(other, LEN);
}

/* The memory outlives its descriptor. */
TEST_F(node, closed)
{
	int fd = uv_open();
	uint32_t pool;
	char *mem;

	ASSERT_EQ(0, uv_attach(fd, MIB(2), 0, &pool));
	mem = map_node(fd, LEN);
	ASSERT_NE(MAP_FAILED, mem);
	fill_pages(mem, LEN, 1);
	ASSERT_EQ(PAGES, uv_to_vram(fd, mem, LEN));
	close(fd);
	sleep_ms(100);
	EXPECT_EQ(-1, check_pages(mem, LEN / 2, 1));
	EXPECT_EQ(-1, check_pages(mem + LEN / 2, LEN / 2, 1));
	fill_pages(mem, LEN, 2);
	EXPECT_EQ(-1, check_pages(mem, LEN, 2));
	ASSERT_EQ(0, munmap(mem, LEN));
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_EQ(-ENODEV, uv_detach(self->fd, pool, 0, NULL));
}

/* What else VMMs do to their memory. */
TEST_F(node, other_calls)
{
	char *big;

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, mprotect(self->mem + 5 * PAGE, 5 * PAGE, PROT_READ));
	EXPECT_EQ(SIGSEGV, write_byte(self->mem + 5 * PAGE, 1).signo);
	ASSERT_EQ(0, mprotect(self->mem + 5 * PAGE, 5 * PAGE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTFORK));
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTDUMP));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, mlock(self->mem, LEN));
	EXPECT_EQ(0, munlock(self->mem, LEN));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	/* As much as a guest may have. */
	big = map_node_at(self->fd, NULL, 1UL << 40, MAP_PRIVATE | MAP_NORESERVE, 0);
	ASSERT_NE(MAP_FAILED, big);
	fill_pages(big + (1UL << 40) - LEN, LEN, 2);
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, big + (1UL << 40) - LEN, LEN));
	EXPECT_EQ(-1, check_pages(big + (1UL << 40) - LEN, LEN, 2));
	munmap(big, 1UL << 40);
	big = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, big);
	EXPECT_EQ(UFFDVRAM_STATE_PRESENT, state_of(self->fd, big));
	munmap(big, LEN);
}

static int maps_and_waits(int sock, void *arg)
{
	int fd = uv_open();
	uint32_t pool;
	char *mem = map_node(fd, LEN);
	uint64_t word;

	(void)arg;
	if (mem == MAP_FAILED || uv_attach(fd, MIB(2), 0, &pool))
		return 1;
	fill_pages(mem, LEN, 1);
	if (uv_to_vram(fd, mem, LEN) != PAGES)
		return 2;
	child_tell(sock, 1);
	return !child_hear(sock, &word);
}

/* A process ends with its memory mapped, in order or not. */
TEST_F(node, process_ends)
{
	uint64_t word;
	struct child c;

	for (int i = 0; i < 4; i++) {
		c = child_start(maps_and_waits, NULL);
		ASSERT_TRUE(child_hear(c.fd, &word));
		EXPECT_EQ(PAGES, uv_slots_in_use());
		if (i % 2) {
			child_kill(&c);
		} else {
			child_tell(c.fd, 1);
			EXPECT_EQ(0, child_end(&c));
		}
		EXPECT_TRUE(uv_wait_slots(0));
	}
}

struct racer {
	int fd;
	uint64_t end;
	long rounds, bad;
};

/* Threads map, use and unmap the device, all in one context. */
static void *map_and_unmap(void *arg)
{
	struct racer *r = arg;
	uint64_t done;
	char *mem, buf[PAGE];
	int ret;

	for (; now_ms() < r->end || r->rounds < 10; r->rounds++) {
		mem = map_node(r->fd, LEN);
		if (mem == MAP_FAILED) {
			r->bad++;
			continue;
		}
		fill_pages(mem, 4 * PAGE, r->rounds);
		r->bad += uv_migrate(r->fd, mem, 4 * PAGE, 0, NULL) != 0;
		ret = uv_copy(r->fd, 0, mem + PAGE, PAGE, buf, &done);
		r->bad += ret || check_pages_as(buf, PAGE, mem + PAGE, r->rounds) != -1;
		if (r->rounds % 3 == 0)
			r->bad += munmap(mem + PAGE, PAGE) != 0;
		r->bad += munmap(mem, LEN) != 0;
	}
	return NULL;
}

TEST_F(node, threads)
{
	struct racer r[4];
	long bad = 0;
	int i;

	for (i = 0; i < 4; i++)
		r[i] = (struct racer){ .fd = self->fd, .end = now_ms() + 2000 };
	ASSERT_EQ(0, threads_run(4, map_and_unmap, r, sizeof(*r)));
	for (i = 0; i < 4; i++)
		bad += r[i].bad;
	EXPECT_EQ(0, bad);
	EXPECT_TRUE(uv_wait_slots(0));
}

TEST_HARNESS_MAIN
