// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 240 */
/*
 * COPY: what cannot be copied is named, what was copied before it is told, and
 * nothing else has changed.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include "util_mm.h"
#include "copy_fixture.h"

/* Both directions end after @pages pages from @at on with @err. */
static void expect_end(struct __test_metadata *_metadata, FIXTURE_DATA(copy) *self,
		       int err, size_t pages)
{
	char *in = map_small(LEN);

	EXPECT_EQ(err, uv_copy(self->fd, 0, self->mem, LEN, in, &self->done));
	EXPECT_EQ(pages * PAGE, self->done);
	EXPECT_EQ(err, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(pages * PAGE, self->done);
	munmap(in, LEN);
}

TEST_F(copy, poisoned)
{
	int uffd = uffd_open(0);

	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, uffd_poison(uffd, self->mem + 3 * PAGE, PAGE));
	ASSERT_EQ(0, uffd_unregister(uffd, self->mem, LEN));
	close(uffd);
	fill_pages(self->mem, 3 * PAGE, 1);
	fill_pages(self->mem + 4 * PAGE, LEN - 4 * PAGE, 1);
	fill_pages_as(self->buf, LEN, self->mem, 2);
	expect_end(_metadata, self, -EHWPOISON, 3);
	EXPECT_EQ(-EHWPOISON, uv_copy(self->fd, NOFAULT, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(3 * PAGE, self->done);
	EXPECT_EQ(-1, check_pages(self->mem, 3 * PAGE, 2));
	EXPECT_EQ(-1, check_pages(self->mem + 4 * PAGE, LEN - 4 * PAGE, 1));
	EXPECT_EQ(SIGBUS, read_byte(self->mem + 3 * PAGE).signo);
	EXPECT_EQ(UFFDVRAM_STATE_POISON, state_of(self->fd, self->mem + 3 * PAGE));
	/* Among pages in VRAM, at the beginning, at the end. */
	ASSERT_EQ(PAGES - 1, move_all(self->fd, self->mem, LEN, 0, NULL));
	fill_pages_as(self->buf, LEN, self->mem, 2);
	expect_end(_metadata, self, -EHWPOISON, 3);
	EXPECT_EQ(-EHWPOISON, uv_copy(self->fd, 0, self->mem + 3 * PAGE, 8 * PAGE, self->buf,
				      &self->done));
	EXPECT_EQ(0, self->done);
	EXPECT_EQ(0, uv_copy(self->fd, 0, self->mem + 4 * PAGE, 8 * PAGE, self->buf, &self->done));
	EXPECT_EQ(PAGES - 1, uv_in_vram(self->fd, self->mem, LEN));
}

/* A slot whose data could not be read when the CPU wanted it. */
TEST_F(copy, lost)
{
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	uv_knob_set("fail_to_ram", "%d", 1);
	EXPECT_EQ(SIGBUS, read_byte(self->mem + 40 * PAGE).signo);
	fill_pages_as(self->buf, LEN, self->mem, 2);
	expect_end(_metadata, self, -EHWPOISON, 40);
	EXPECT_EQ(SIGBUS, read_byte(self->mem + 40 * PAGE).signo);
	EXPECT_EQ(PAGES - 1, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, 40 * PAGE, 2));
	EXPECT_EQ(-1, check_pages(self->mem + 41 * PAGE, LEN - 41 * PAGE, 1));
}

/* What was left in a pool that was given up with it. */
TEST_F(copy, discarded)
{
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES / 2, uv_to_vram(self->fd, self->mem + LEN / 2, LEN / 2));
	ASSERT_EQ(0, uv_detach(self->fd, self->pool, UFFDVRAM_DETACH_DISCARD, NULL));
	expect_end(_metadata, self, -EHWPOISON, PAGES / 2);
}

TEST_F(copy, protection)
{
	char *mid = self->mem + 20 * PAGE;
	int in_vram;

	fill_pages(self->mem, LEN, 1);
	for (in_vram = 0; in_vram < 2; in_vram++) {
		fill_pages_as(self->buf, LEN, self->mem, 1);
		ASSERT_EQ(0, mprotect(mid, 10 * PAGE, PROT_NONE));
		expect_end(_metadata, self, -EACCES, 20);
		ASSERT_EQ(0, mprotect(mid, 10 * PAGE, PROT_READ));
		EXPECT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, &self->done));
		EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 1));
		EXPECT_EQ(-EACCES, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf,
					   &self->done));
		EXPECT_EQ(20 * PAGE, self->done);
		EXPECT_EQ(-EACCES, uv_copy(self->fd, WRITE | NOFAULT, mid, PAGE, self->buf,
					   &self->done));
		EXPECT_EQ(0, self->done);
		ASSERT_EQ(0, mprotect(mid, 10 * PAGE, PROT_READ | PROT_WRITE));
		EXPECT_EQ(in_vram ? PAGES : 0, uv_in_vram(self->fd, self->mem, LEN));
		if (!in_vram)
			ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	}
	/* Writable again: in place again. */
	fill_pages_as(self->buf, LEN, self->mem, 2);
	EXPECT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
}

/* Memory of the range that is gone, or is something else by now. */
TEST_F(copy, unmapped)
{
	char *gap = self->mem + 33 * PAGE;

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	ASSERT_EQ(0, munmap(gap, 2 * PAGE));
	expect_end(_metadata, self, -EFAULT, 33);
	ASSERT_EQ(gap, mmap(gap, PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	expect_end(_metadata, self, -EFAULT, 33);
	EXPECT_EQ(-1, not_zero(gap, PAGE));
	ASSERT_EQ(gap, mmap(gap, 2 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	fill_pages_as(self->buf, LEN, self->mem, 2);
	EXPECT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(PAGES - 2, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
}

TEST_F(copy, outside_of_ranges)
{
	char *mem = map_small(3 * LEN);
	uint32_t range;

	fill_pages(mem, 3 * LEN, 1);
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, 0, mem, PAGE, self->buf, &self->done));
	EXPECT_EQ(0, self->done);
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, 0, (void *)PAGE, PAGE, self->buf, &self->done));
	ASSERT_EQ(0, uv_register(self->fd, mem + LEN, 7 * PAGE, self->pool, &range));
	fill_pages_as(self->buf, LEN, mem + LEN, 2);
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, WRITE, mem + LEN, LEN, self->buf, &self->done));
	EXPECT_EQ(7 * PAGE, self->done);
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, WRITE, mem + LEN - PAGE, LEN, self->buf,
				   &self->done));
	EXPECT_EQ(0, self->done);
	EXPECT_EQ(-1, check_pages(mem, LEN, 1));
	EXPECT_EQ(-1, check_pages(mem + LEN, 7 * PAGE, 2));
	EXPECT_EQ(-1, check_pages(mem + LEN + 7 * PAGE, 2 * LEN - 7 * PAGE, 1));
	/* Memory in VRAM that no range has: not ours to touch. */
	ASSERT_EQ(7, uv_to_vram(self->fd, mem + LEN, 7 * PAGE));
	ASSERT_EQ(0, uv_unregister(self->fd, range));
	EXPECT_EQ(-ENOENT, uv_copy(self->fd, 0, mem + LEN, PAGE, self->buf, &self->done));
	EXPECT_EQ(0, self->done);
	munmap(mem, 3 * LEN);
}

TEST_F(copy, bad_values)
{
	const uint64_t top = -PAGE;
	struct { char *addr; size_t len; char *buf; } bad[] = {
		{ self->mem, 0, self->buf },
		{ self->mem + 1, PAGE, self->buf },
		{ self->mem, PAGE + 8, self->buf },
		{ self->mem, PAGE / 2, self->buf },
		{ self->mem + PAGE, top, self->buf },
		{ self->mem, LEN, (char *)top },
	};

	fill_pages(self->mem, LEN, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, uv_copy(self->fd, 0, bad[i].addr, bad[i].len, bad[i].buf,
					   &self->done)) TH_LOG("case %zu", i);
		EXPECT_EQ(0, self->done);
		EXPECT_EQ(-EINVAL, uv_copy(self->fd, WRITE, bad[i].addr, bad[i].len, bad[i].buf,
					   NULL)) TH_LOG("case %zu", i);
	}
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* The caller's buffer: missing in part, read-only, at an odd address. */
TEST_F(copy, buffer)
{
	char *buf = map_small(LEN + PAGE);
	uint32_t flags;

	fill_pages(self->mem, LEN, 1);
	fill_pages_as(buf, LEN, self->mem, 2);
	ASSERT_EQ(PAGES / 2, uv_to_vram(self->fd, self->mem, LEN / 2));
	for (flags = 0; flags <= WRITE; flags += WRITE) {
		EXPECT_EQ(-EFAULT, uv_copy(self->fd, flags, self->mem, LEN, NULL, &self->done));
		EXPECT_EQ(0, self->done);
	}
	EXPECT_EQ(-1, check_pages_as(buf, LEN, self->mem, 2));
	ASSERT_EQ(0, munmap(buf + 50 * PAGE, PAGE));
	EXPECT_EQ(-EFAULT, uv_copy(self->fd, WRITE, self->mem, LEN, buf, &self->done));
	EXPECT_LT(0, self->done);
	EXPECT_GE(50 * PAGE, self->done);
	EXPECT_EQ(0, self->done % PAGE);
	EXPECT_EQ(PAGES / 2, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, self->done, 2));
	EXPECT_EQ(-1, check_pages(self->mem + self->done, LEN - self->done, 1));
	fill_pages(self->mem, LEN, 3);
	EXPECT_EQ(-EFAULT, uv_copy(self->fd, 0, self->mem, LEN, buf, &self->done));
	EXPECT_LT(0, self->done);
	EXPECT_GE(50 * PAGE, self->done);
	EXPECT_EQ(-1, check_pages_as(buf, self->done, self->mem, 3));

	ASSERT_EQ(0, mprotect(self->buf, LEN, PROT_READ));
	EXPECT_EQ(-EFAULT, uv_copy(self->fd, 0, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(0, self->done);
	EXPECT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(-1, not_zero(self->mem, LEN));

	ASSERT_EQ(0, munmap(self->mem + LEN - PAGE, PAGE));
	fill_pages(self->mem, LEN - PAGE, 4);
	ASSERT_LE(1, uv_to_vram(self->fd, self->mem, LEN / 2));
	EXPECT_EQ(0, uv_copy(self->fd, 0, self->mem, 40 * PAGE, buf + 3, &self->done));
	EXPECT_EQ(0, memcmp(buf + 3, self->mem, 40 * PAGE));
	memset(buf, 0x5a, 50 * PAGE);
	EXPECT_EQ(0, uv_copy(self->fd, WRITE, self->mem, 40 * PAGE, buf + 5, &self->done));
	EXPECT_EQ(0, memcmp(self->mem, buf + 5, 40 * PAGE));
	munmap(buf, LEN + PAGE);
}

/* The device cannot be read just now: nothing is lost by it. */
TEST_F(copy, device_read_error)
{
	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	uv_knob_set("fail_to_ram_every", "%d", 1);
	EXPECT_EQ(-EIO, uv_copy(self->fd, 0, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(0, self->done);
	knobs_calm();
	uv_knob_set("fail_to_ram", "%d", 11);
	EXPECT_EQ(-EIO, uv_copy(self->fd, 0, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(10 * PAGE, self->done);
	EXPECT_EQ(-1, check_pages_as(self->buf, self->done, self->mem, 1));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 1));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* A page that the device failed to write holds nobody knows what: poison. */
TEST_F(copy, device_write_error)
{
	char *bad = self->mem + 40 * PAGE;
	uint64_t lost = uv_stat("slots_lost");

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	fill_pages_as(self->buf, LEN, self->mem, 2);
	uv_knob_set("fail_to_vram", "%d", 41);
	EXPECT_EQ(-EIO, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, &self->done));
	EXPECT_EQ(40 * PAGE, self->done);
	EXPECT_EQ(lost + 1, uv_stat("slots_lost"));
	EXPECT_EQ(UFFDVRAM_STATE_POISON, state_of(self->fd, bad));
	EXPECT_EQ(-EHWPOISON, uv_copy(self->fd, WRITE, bad, LEN - 40 * PAGE,
				      self->buf + 40 * PAGE, &self->done));
	EXPECT_EQ(0, self->done);
	EXPECT_EQ(0, uv_copy(self->fd, WRITE, bad + PAGE, LEN - 41 * PAGE,
			     self->buf + 41 * PAGE, NULL));
	EXPECT_EQ(PAGES - 1, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(SIGBUS, read_byte(bad).signo);
	EXPECT_EQ(-1, check_pages(self->mem, 40 * PAGE, 2));
	EXPECT_EQ(-1, check_pages(bad + PAGE, LEN - 41 * PAGE, 2));
	/* Discarding the page ends it. */
	ASSERT_EQ(0, madvise(bad, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, uv_copy(self->fd, WRITE, self->mem, LEN, self->buf, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 2));
}

/* Hands its context over and goes. */
static int leaves(int sock, void *arg)
{
	char *mem = map_small(LEN);
	int fd = uv_open();
	uint64_t word;

	(void)arg;
	if (fd < 0 || uv_register(fd, mem, LEN, 0, NULL) || fd_send(sock, fd))
		return 1;
	child_tell(sock, ADDR(mem));
	return !child_hear(sock, &word);
}

TEST_F(copy, address_space_gone)
{
	struct child c = child_start(leaves, NULL);
	int fd = fd_receive(c.fd);
	uint64_t addr;

	ASSERT_LE(0, fd);
	ASSERT_TRUE(child_hear(c.fd, &addr));
	EXPECT_EQ(0, uv_copy(fd, 0, (void *)addr, LEN, self->buf, &self->done));
	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(-ESRCH, uv_copy(fd, 0, (void *)addr, LEN, self->buf, &self->done));
	EXPECT_EQ(0, self->done);
	close(fd);
}

TEST_HARNESS_MAIN
