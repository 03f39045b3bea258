/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ways into the module that fail_nth.c sweeps: run_*() is what meets a
 * failure, after_*() looks at what became of it, has it succeed, and prepares the
 * next run.
 */
#ifndef UFFDVRAM_SELFTESTS_FAIL_PATHS_H
#define UFFDVRAM_SELFTESTS_FAIL_PATHS_H

#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "fail_fixture.h"

static int child_idle(int sock, void *arg)
{
	uint64_t word;

	(void)arg;
	child_hear(sock, &word);
	return 0;
}

static void no_child(data *self)
{
	child_kill(&self->child);
	close(self->child.fd);
}

/* Contexts: open, INFO, OPEN_PID */
static int run_open(data *self)
{
	self->got = uv_open();
	return self->got < 0 ? self->got : 0;
}

static int run_open_pid(data *self)
{
	self->got = uv_open_pid(self->fd, self->fd2);
	return self->got < 0 ? self->got : 0;
}

static void after_open(struct __test_metadata *_metadata, data *self, int ret)
{
	struct uffdvram_info info;

	if (ret)
		return;
	EXPECT_EQ(0, uv_info(self->got, &info));
	close(self->got);
}

static int run_info(data *self)
{
	struct uffdvram_info info;

	return uv_info(self->fd, &info);
}

static void after_info(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	EXPECT_EQ(0, run_info(self));
}

/* Pools: POOL_ATTACH, POOL_DETACH */
static int run_attach(data *self)
{
	return uv_attach(self->fd, LEN, 0, &self->pool2);
}

static int run_attach_pci(data *self)
{
	return uv_attach_pci(self->fd, 0, LEN, 0, &self->pool2);
}

static void after_attach(struct __test_metadata *_metadata, data *self, int ret)
{
	struct uffdvram_info info;

	if (!ret)
		EXPECT_EQ(0, uv_detach(self->fd, self->pool2, 0, NULL));
	EXPECT_EQ(0, uv_info(self->fd, &info));
	EXPECT_EQ(self->got, (int)info.n_pools);
	/* What it would have cost is paid back. */
	EXPECT_EQ(self->locked, file_value("/proc/self/status", "VmLck"));
}

/* A second pool has the pages of mem. */
static void fill_pool2(struct __test_metadata *_metadata, data *self)
{
	ASSERT_EQ(0, uv_attach(self->fd, LEN, 0, &self->pool2));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool2, &self->range2));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
}

static int run_detach(data *self)
{
	return uv_detach(self->fd, self->pool2, 0, NULL);
}

static void after_detach(struct __test_metadata *_metadata, data *self, int ret)
{
	/* It was only the answer that did not get through. */
	if (ret) {
		ret = run_detach(self);
		EXPECT_TRUE(!ret || ret == -ENODEV);
	}
	EXPECT_EQ(0, uv_slots_in_use());
	expect_intact(_metadata, self);
	EXPECT_EQ(0, uv_unregister(self->fd, self->range2));
	fill_pool2(_metadata, self);
}

/* Ranges: RANGE_REGISTER, RANGE_UNREGISTER, mmap, munmap */
static int run_register(data *self)
{
	return uv_register(self->fd, self->buf, LEN, self->pool, &self->range2);
}

static int run_register_linear(data *self)
{
	return uv_register_flags(self->fd, self->map, LEN, self->pool, UFFDVRAM_RANGE_LINEAR,
				 &self->range2);
}

static void after_register(struct __test_metadata *_metadata, data *self, int ret)
{
	if (ret)
		EXPECT_EQ(0, run_register(self));
	EXPECT_EQ(0, uv_unregister(self->fd, self->range2));
}

static void after_register_linear(struct __test_metadata *_metadata, data *self, int ret)
{
	if (ret)
		EXPECT_EQ(0, run_register_linear(self));
	EXPECT_EQ(0, uv_unregister(self->fd, self->range2));
}

static int run_unregister(data *self)
{
	return uv_unregister(self->fd, self->range2);
}

static void after_unregister(struct __test_metadata *_metadata, data *self, int ret)
{
	if (ret) {
		ret = run_unregister(self);
		EXPECT_TRUE(!ret || ret == -ENOENT);
	}
	/* Nothing is left in the books, and nothing in the way. */
	EXPECT_EQ(-ENOENT, uv_migrate(self->fd, self->buf, LEN, 0, NULL));
	EXPECT_EQ(0, run_register(self));
}

static int run_mmap(data *self)
{
	self->map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->fd, 0);
	return self->map == MAP_FAILED ? -errno : 0;
}

static int run_munmap(data *self)
{
	return munmap(self->map, LEN) ? -errno : 0;
}

static void after_munmap(struct __test_metadata *_metadata, data *self, int ret)
{
	if (ret)
		EXPECT_EQ(0, run_munmap(self));
	EXPECT_EQ(-ENOENT, uv_migrate(self->fd, self->map, LEN, 0, NULL));
	EXPECT_EQ(0, run_mmap(self));
}

static void after_mmap(struct __test_metadata *_metadata, data *self, int ret)
{
	if (ret)
		EXPECT_EQ(0, run_mmap(self));
	fill_pages(self->map, LEN, 3);
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->map, LEN));
	EXPECT_EQ(-1, check_pages(self->map, LEN, 3));
	EXPECT_EQ(0, run_munmap(self));
}

/* Pages: MIGRATE, both ways, and what each kind of page asks of it */
static int run_in(data *self)
{
	return uv_migrate(self->fd, self->mem, LEN, 0, &self->m);
}

static int run_out(data *self)
{
	return uv_migrate(self->fd, self->mem, LEN, UFFDVRAM_MIGRATE_TO_RAM, &self->m);
}

static void after_in(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	EXPECT_TRUE(sum_ok(self->mem, LEN, &self->m));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	expect_intact(_metadata, self);
}

static void after_in_holes(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	EXPECT_TRUE(sum_ok(self->mem, LEN, &self->m));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
	EXPECT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
}

/* After the pages came home, or should have: back into VRAM with them. */
static void after_out(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	expect_intact(_metadata, self);
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
}

static void after_in_shared(struct __test_metadata *_metadata, data *self, int ret)
{
	no_child(self);
	after_in(_metadata, self, ret);
	self->child = child_start(child_idle, NULL);
}

/* A linear range whose window is full of another range's pages. */
static void fill_window(struct __test_metadata *_metadata, data *self)
{
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, &self->range));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, run_register_linear(self));
}

static int run_in_linear(data *self)
{
	return uv_migrate(self->fd, self->map, LEN, 0, &self->m);
}

static void after_in_linear(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	EXPECT_TRUE(sum_ok(self->map, LEN, &self->m));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->map, LEN));
	EXPECT_EQ(PAGES, uv_slots_in_use());
	EXPECT_EQ(-1, check_pages(self->map, LEN, 2));
	expect_intact(_metadata, self);
	EXPECT_EQ(0, uv_unregister(self->fd, self->range2));
	EXPECT_EQ(0, uv_unregister(self->fd, self->range));
	fill_window(_metadata, self);
}

/* QUERY, COPY, read: half of the pages in VRAM */
static void half_in_vram(struct __test_metadata *_metadata, data *self)
{
	ASSERT_EQ(PAGES / 2, uv_to_vram(self->fd, self->mem, LEN / 2));
}

static int run_query(data *self)
{
	struct uffdvram_query q = { .addr = ADDR(self->mem), .len = LEN };

	return uv_query_vec(self->fd, &q, (struct uffdvram_region *)self->buf, 4);
}

static void after_query(struct __test_metadata *_metadata, data *self, int ret)
{
	struct uffdvram_region *vec = (struct uffdvram_region *)self->buf;

	(void)ret;
	memset(self->buf, 0, PAGE);
	EXPECT_EQ(0, run_query(self));
	EXPECT_EQ(UFFDVRAM_STATE_VRAM, vec[0].state);
	EXPECT_EQ(ADDR(self->mem + LEN / 2), vec[0].end);
	EXPECT_EQ(UFFDVRAM_STATE_PRESENT, vec[1].state);
	EXPECT_EQ(PAGES / 2, uv_slots_in_use());
}

/* POISON and HARVEST, in memory that is new each time */
static void poison_begin(struct __test_metadata *_metadata, data *self)
{
	self->map = map_within_block(map_fresh);
	ASSERT_EQ(0, uv_register(self->fd, self->map, LEN, self->pool, &self->range2));
}

static int run_poison(data *self)
{
	return uv_poison(self->fd, 0, self->map, LEN, NULL);
}

static int run_harvest(data *self)
{
	struct uffdvram_region *r = (struct uffdvram_region *)self->buf;
	struct uffdvram_harvest h = {
		.size = sizeof(h),
		.range = self->range2,
		.addr = ADDR(self->map),
		.len = LEN,
		.vec = ADDR(r),
		.vec_len = 1,
	};
	int ret = uv_ioctl(self->fd, UFFDVRAM_HARVEST, &h);

	return ret ?: h.used == 1 && r->end - r->start == LEN ? 0 : -EPROTO;
}

static int run_harvest_bitmap(data *self)
{
	struct uffdvram_harvest_word *w = (struct uffdvram_harvest_word *)self->buf;
	struct uffdvram_harvest h = {
		.size = sizeof(h),
		.flags = UFFDVRAM_HARVEST_BITMAP,
		.range = self->range2,
		.addr = ADDR(self->map),
		.len = LEN,
		.vec = ADDR(w),
		.vec_len = LEN / PAGE / 64 + 2,
	};
	size_t left = 0;
	int ret;

	/* What an earlier call told is not to be taken for what this one tells. */
	memset(w, 0, h.vec_len * sizeof(*w));
	ret = uv_ioctl(self->fd, UFFDVRAM_HARVEST, &h);
	for (uint64_t i = 0; !ret && i < h.used; i++)
		left += __builtin_popcountll(w[i].left);
	return ret ?: left == LEN / PAGE ? 0 : -EPROTO;
}

static void after_harvest_bitmap(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	EXPECT_EQ(0, run_harvest_bitmap(self));
}

/* Nothing of what could not be told is missing afterwards. */
static void after_harvest(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	EXPECT_EQ(0, run_harvest(self));
	EXPECT_EQ(0, uv_unregister(self->fd, self->range2));
	munmap(self->map, LEN);
	poison_begin(_metadata, self);
}

static uint64_t poisoned(data *self, const char *mem)
{
	struct uffdvram_query q;

	return uv_query(self->fd, mem, LEN, &q) ? ~0ULL : q.count[UFFDVRAM_STATE_POISON];
}

static void after_poison_holes(struct __test_metadata *_metadata, data *self, int ret)
{
	EXPECT_TRUE(poisoned(self, self->map) == PAGES || (ret && !poisoned(self, self->map)));
	munmap(self->map, LEN);
	EXPECT_EQ(0, uv_unregister(self->fd, self->range2));
	poison_begin(_metadata, self);
}

static int run_poison_replace(data *self)
{
	return uv_poison(self->fd, UFFDVRAM_POISON_REPLACE, self->mem, LEN, NULL);
}

/* All are poison, or nothing is lost. */
static void after_poison_replace(struct __test_metadata *_metadata, data *self, int ret)
{
	EXPECT_TRUE(poisoned(self, self->mem) == PAGES || (ret && !poisoned(self, self->mem)));
	EXPECT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_UNDO, self->mem, LEN, NULL));
	EXPECT_EQ(uv_slots_in_use() ? -1 : 0, check_pages(self->mem, LEN, 1));
	fill_pages(self->mem, LEN, 1);
	half_in_vram(_metadata, self);
}

static int run_poison_undo(data *self)
{
	return uv_poison(self->fd, UFFDVRAM_POISON_UNDO, self->mem, LEN, NULL);
}

static void after_poison_undo(struct __test_metadata *_metadata, data *self, int ret)
{
	EXPECT_TRUE(!poisoned(self, self->mem) || (ret && poisoned(self, self->mem) == PAGES));
	EXPECT_EQ(0, run_poison_replace(self));
}

static int run_poison_list(data *self)
{
	struct uffdvram_poison_list q = { .addr = ADDR(self->mem), .len = LEN };

	return uv_poison_list(self->fd, &q, (struct uffdvram_region *)self->buf, 4);
}

static void after_poison_list(struct __test_metadata *_metadata, data *self, int ret)
{
	struct uffdvram_region *vec = (struct uffdvram_region *)self->buf;

	(void)ret;
	memset(self->buf, 0, PAGE);
	EXPECT_EQ(0, run_poison_list(self));
	EXPECT_EQ(ADDR(self->mem), vec[0].start);
	EXPECT_EQ(ADDR(self->mem + LEN), vec[0].end);
}

static int run_copy_read(data *self)
{
	return uv_copy(self->fd, 0, self->mem, LEN, self->buf, NULL);
}

static void after_copy_read(struct __test_metadata *_metadata, data *self, int ret)
{
	if (ret)
		EXPECT_EQ(0, run_copy_read(self));
	EXPECT_EQ(-1, check_pages_as(self->buf, LEN, self->mem, 1));
	EXPECT_EQ(PAGES / 2, uv_slots_in_use());
}

static int run_copy_write(data *self)
{
	return uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem, LEN, self->buf, NULL);
}

static void after_copy_write(struct __test_metadata *_metadata, data *self, int ret)
{
	if (ret)
		EXPECT_EQ(0, run_copy_write(self));
	EXPECT_EQ(PAGES / 2, uv_slots_in_use());
	EXPECT_EQ(-1, check_pages_as(self->mem, LEN, self->buf, 2));
	fill_pages(self->mem, LEN, 1);
	half_in_vram(_metadata, self);
}

static void make_event(struct __test_metadata *_metadata, data *self)
{
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

static int run_events(data *self)
{
	struct uffdvram_event event[4];
	ssize_t n = read(self->fd, event, sizeof(event));

	return n < 0 ? -errno : 0;
}

static void after_events(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	make_event(_metadata, self);
}

/* Faults: a CPU, the kernel for a system call, another process */
static int run_read(data *self)
{
	for (int i = 0; i < PAGES; i++)
		if (read_byte(self->mem + i * PAGE).signo)
			return -EBADMSG;
	return 0;
}

static int run_write(data *self)
{
	for (int i = 0; i < PAGES; i++)
		if (write_byte(self->mem + i * PAGE, i).signo)
			return -EBADMSG;
	return 0;
}

static int run_syscall(data *self)
{
	ssize_t n = pwrite(self->fd2, self->mem, LEN, 0);

	return n < 0 ? -errno : 0;
}

static int run_remote(data *self)
{
	struct iovec to = { self->buf, LEN }, from = { self->mem, LEN };
	ssize_t n = process_vm_readv(getpid(), &to, 1, &from, 1, 0);

	return n < 0 ? -errno : 0;
}

static void after_write(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	for (int i = 0; i < PAGES; i++)
		EXPECT_EQ(i, self->mem[i * PAGE]);
	for (int i = 0; i < PAGES; i++)
		self->mem[i * PAGE] = self->map[i * PAGE];
	after_out(_metadata, self, 0);
}

/* Leaving: close, exit, and the worker that comes afterwards */
static void open_other(struct __test_metadata *_metadata, data *self)
{
	self->fd2 = uv_open();
	ASSERT_LE(0, self->fd2);
	ASSERT_EQ(0, uv_register(self->fd2, self->mem, LEN, self->pool2, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd2, self->mem, LEN));
}

static int run_close(data *self)
{
	return close(self->fd2) ? -errno : 0;
}

static int run_close_and_wait(data *self)
{
	close(self->fd2);
	return uv_wait_slots(0) ? 0 : -ETIMEDOUT;
}

static void after_close(struct __test_metadata *_metadata, data *self, int ret)
{
	(void)ret;
	/* Nobody touches them: the worker brings them. */
	EXPECT_TRUE(uv_wait_slots(0));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	open_other(_metadata, self);
}

static void other_begin(struct __test_metadata *_metadata, data *self)
{
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), UFFDVRAM_POOL_SHARED, &self->pool2));
	open_other(_metadata, self);
}

static void other_end(struct __test_metadata *_metadata, data *self)
{
	close(self->fd2);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool2, 0, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

static int child_exits(int sock, void *arg)
{
	data *self = arg;
	uint64_t nth;
	int fd = uv_open();

	if (uv_register(fd, self->buf, LEN, self->pool2, NULL) ||
	    uv_to_vram(fd, self->buf, LEN) != PAGES)
		return 1;
	child_tell(sock, 1);
	child_hear(sock, &nth);
	/* The descriptor is the parent's, too, and counts on after our end. */
	inject_arm(&self->inject, nth, "");
	_exit(0);
}

/* Poison: a page whose copy home failed is the only one that suffers. */
static void after_poison(struct __test_metadata *_metadata, data *self, int ret)
{
	struct sigbus bus;

	(void)ret;
	for (int i = 0; i < PAGES; i++) {
		bus = read_byte(self->mem + i * PAGE);
		if (!bus.signo)
			continue;
		self->lost++;
		EXPECT_EQ(SIGBUS, bus.signo);
		EXPECT_EQ(BUS_MCEERR_AR, bus.code);
		EXPECT_EQ(0, madvise(self->mem + i * PAGE, PAGE, MADV_DONTNEED));
		fill_pages(self->mem + i * PAGE, PAGE, 1);
	}
	after_out(_metadata, self, 0);
}

static int run_read_poison(data *self)
{
	for (int i = 0; i < PAGES; i++)
		read_byte(self->mem + i * PAGE);
	return 0;
}

static int run_copy_write_same(data *self)
{
	return uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem, LEN, self->map, NULL);
}

#endif /* UFFDVRAM_SELFTESTS_FAIL_PATHS_H */
