// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 240 */
/* IVSHMEM: 256 */
/*
 * Whatever can fail, fails: for each way into the module, the 1st, 2nd, ... nth
 * allocation, user copy, backend copy, slot, until a run meets no failure. Each
 * time there is a clean errno, or nothing is seen of it; then the same succeeds;
 * no byte is lost, and nothing leaks.
 *
 * "hook" is the module's own injection, and reaches what the module calls;
 * "kernel" is the kernel's, and reaches what those calls call. Pages whose copy
 * home fails are poison: they have cases of their own.
 */
#include <kselftest_harness.h>

#include "fail_access.h"
#include "fail_convert.h"
#include "fail_exclusive.h"
#include "fail_huge.h"
#include "fail_netlink.h"
#include "fail_paths.h"

/* Everything but what makes poison: a copy home, and one over data in VRAM. */
#define NO_OUT		"alloc user file in slot kill core"
#define NO_COPY		"alloc user file slot kill core"

TEST_F(fail, open)
{
	sweep(_metadata, self, "", run_open, after_open);
}

/* The first context of a process is more work than the others. */
TEST_F(fail, open_first)
{
	munmap(self->mem, LEN);
	close(self->fd);
	sweep(_metadata, self, "", run_open, after_open);
	self->fd = uv_open();
}

TEST_F(fail, info)
{
	sweep(_metadata, self, "", run_info, after_info);
}

TEST_F(fail, open_pid)
{
	self->child = child_start(child_idle, NULL);
	self->fd2 = pidfd_of(self->child.pid);
	ASSERT_LE(0, self->fd2);
	sweep(_metadata, self, "", run_open_pid, after_open);
	close(self->fd2);
	no_child(self);
}

TEST_F(fail, attach)
{
	struct uffdvram_info info;

	ASSERT_EQ(0, uv_info(self->fd, &info));
	self->got = info.n_pools;
	self->locked = file_value("/proc/self/status", "VmLck");
	ASSERT_LE(0, self->locked);
	sweep(_metadata, self, "", run_attach, after_attach);
}

TEST_F(fail, attach_pci)
{
	struct uffdvram_info info;

	ASSERT_EQ(0, uv_info(self->fd, &info));
	self->got = info.n_pools;
	self->locked = file_value("/proc/self/status", "VmLck");
	ASSERT_LE(0, self->locked);
	sweep(_metadata, self, "", run_attach_pci, after_attach);
}

TEST_F(fail, detach)
{
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	fill_pool2(_metadata, self);
	sweep(_metadata, self, NO_OUT, run_detach, after_detach);
}

TEST_F(fail, register)
{
	sweep(_metadata, self, "", run_register, after_register);
}

TEST_F(fail, register_linear)
{
	self->map = self->buf;
	sweep(_metadata, self, "", run_register_linear, after_register_linear);
}

TEST_F(fail, register_exclusive)
{
	ASSERT_EQ(0, madvise(self->buf, LEN, MADV_DONTFORK));
	sweep(_metadata, self, "", run_register_exclusive, after_register_exclusive);
}

TEST_F(fail, unregister)
{
	ASSERT_EQ(0, run_register(self));
	sweep(_metadata, self, "", run_unregister, after_unregister);
}

TEST_F(fail, mmap)
{
	sweep(_metadata, self, "", run_mmap, after_mmap);
}

TEST_F(fail, munmap)
{
	ASSERT_EQ(0, run_mmap(self));
	sweep(_metadata, self, "", run_munmap, after_munmap);
	run_munmap(self);
}

TEST_F(fail, migrate_in)
{
	sweep(_metadata, self, "", run_in, after_in);
}

TEST_F(fail, migrate_in_holes)
{
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	sweep(_metadata, self, "", run_in, after_in_holes);
}

TEST_F(fail, migrate_in_shared)
{
	self->child = child_start(child_idle, NULL);
	sweep(_metadata, self, "", run_in, after_in_shared);
	no_child(self);
}

/* Where KSM may merge, mmap_lock is held for writing. */
TEST_F(fail, migrate_in_mergeable)
{
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_MERGEABLE));
	sweep(_metadata, self, "", run_in, after_in);
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_UNMERGEABLE));
}

TEST_F(fail, migrate_out)
{
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	sweep(_metadata, self, NO_OUT, run_out, after_out);
}

TEST_F(fail, migrate_in_linear)
{
	/* A pool that is all window. */
	self->map = self->buf;
	ASSERT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	ASSERT_EQ(0, uv_attach(self->fd, LEN, 0, &self->pool));
	fill_window(_metadata, self);
	sweep(_metadata, self, NO_OUT, run_in_linear, after_in_linear);
}

TEST_F(fail, query)
{
	half_in_vram(_metadata, self);
	sweep(_metadata, self, "", run_query, after_query);
}

TEST_F(fail, poison_holes)
{
	poison_begin(_metadata, self);
	sweep(_metadata, self, "", run_poison, after_poison_holes);
	munmap(self->map, LEN);
}

TEST_F(fail, harvest)
{
	poison_begin(_metadata, self);
	sweep(_metadata, self, "", run_harvest, after_harvest);
	munmap(self->map, LEN);
}

TEST_F(fail, harvest_bitmap)
{
	poison_begin(_metadata, self);
	sweep(_metadata, self, "", run_harvest_bitmap, after_harvest_bitmap);
	munmap(self->map, LEN);
}

TEST_F(fail, poison_replace)
{
	half_in_vram(_metadata, self);
	sweep(_metadata, self, "", run_poison_replace, after_poison_replace);
}

TEST_F(fail, poison_undo)
{
	ASSERT_EQ(0, run_poison_replace(self));
	sweep(_metadata, self, "", run_poison_undo, after_poison_undo);
	sweep(_metadata, self, "", run_poison_list, after_poison_list);
}

TEST_F(fail, access)
{
	half_in_vram(_metadata, self);
	sweep(_metadata, self, NO_OUT, run_access, after_access);
}

TEST_F(fail, access_fault)
{
	access_fault_begin(_metadata, self);
	sweep(_metadata, self, "alloc user kill core", run_access_fault, after_access_fault);
	munmap(self->map, 2 * PAGE);
	close(self->fd2);
}

TEST_F(fail, convert_private)
{
	half_in_vram(_metadata, self);
	ASSERT_EQ(0, madvise(self->mem + LEN - PAGE, PAGE, MADV_DONTNEED));
	sweep(_metadata, self, "alloc user kill core in", run_private, after_private);
}

TEST_F(fail, convert_zero)
{
	access_fault_begin(_metadata, self);
	sweep(_metadata, self, "alloc user kill core", run_private_zero, after_private_zero);
	munmap(self->map, 2 * PAGE);
	close(self->fd2);
}

TEST_F(fail, convert_shared)
{
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_convert(self->fd, UFFDVRAM_CONVERT_PRIVATE, self->mem, LEN, 0, NULL));
	sweep(_metadata, self, "alloc user kill", run_shared, after_shared);
}

TEST_F(fail, private_detach)
{
	doomed_begin(_metadata, self);
	sweep(_metadata, self, "alloc user kill core", run_doomed, after_doomed);
	munmap(self->map, LEN);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool2, 0, NULL));
}

TEST_F(fail, copy_read)
{
	half_in_vram(_metadata, self);
	sweep(_metadata, self, "", run_copy_read, after_copy_read);
}

TEST_F(fail, copy_write)
{
	half_in_vram(_metadata, self);
	sweep(_metadata, self, NO_COPY, run_copy_write, after_copy_write);
}

TEST_F(fail, events)
{
	struct uffdvram_range_register arg = {
		.size = sizeof(arg), .pool = self->pool,
		.flags = UFFDVRAM_RANGE_FAULT_EVENTS, .addr = ADDR(self->mem), .len = LEN,
	};

	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &arg));
	make_event(_metadata, self);
	sweep(_metadata, self, "", run_events, after_events);
}

TEST_F(fail, fault_read)
{
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	sweep(_metadata, self, NO_OUT, run_read, after_out);
}

TEST_F(fail, fault_write)
{
	self->map = self->buf;
	fill_pages_as(self->map, LEN, self->mem, 1);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	sweep(_metadata, self, NO_OUT, run_write, after_write);
}

TEST_F(fail, fault_in_system_call)
{
	self->fd2 = memfd_create("fail_nth", MFD_CLOEXEC);
	ASSERT_LE(0, self->fd2);
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	sweep(_metadata, self, NO_OUT, run_syscall, after_out);
	close(self->fd2);
}

TEST_F(fail, fault_remote)
{
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	sweep(_metadata, self, NO_OUT, run_remote, after_out);
}

TEST_F(fail, close)
{
	other_begin(_metadata, self);
	sweep(_metadata, self, "", run_close, after_close);
	other_end(_metadata, self);
}

TEST_F(fail, worker)
{
	if (variant->kernel)
		SKIP(return, "the kernel's injection is for the task that asks");
	other_begin(_metadata, self);
	sweep(_metadata, self, "worker alloc core", run_close_and_wait, after_close);
	other_end(_metadata, self);
}

TEST_F(fail, discarded)
{
	if (variant->kernel)
		SKIP(return, "the kernel's injection is for the task that asks");
	exclusive_begin(_metadata, self);
	sweep(_metadata, self, "worker alloc", run_discarded, after_discarded);
	/* The books of who looks, and a table for the marks. Who looks twice has more. */
	EXPECT_LE(2, self->failures);
	EXPECT_EQ(0, uv_unregister(self->fd, self->range2));
}

TEST_F(fail, exit)
{
	unsigned int nth = 0;
	bool failed = true;
	uint64_t word;

	if (variant->kernel)
		SKIP(return, "the kernel's injection ends with its task");
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), UFFDVRAM_POOL_SHARED, &self->pool2));
	while (failed && ++nth < SWEEP_MAX) {
		self->child = child_start(child_exits, self);
		ASSERT_TRUE(child_hear(self->child.fd, &word));
		child_tell(self->child.fd, nth);
		EXPECT_EQ(0, child_end(&self->child));
		failed = inject_disarm(&self->inject);
		EXPECT_TRUE(uv_wait_slots(0));
	}
	EXPECT_FALSE(failed);
	EXPECT_LT(1, nth);
	TH_LOG("%u failures", nth - 1);
	EXPECT_EQ(0, uv_detach(self->fd, self->pool2, 0, NULL));
}

static void poison_sweep(struct __test_metadata *_metadata, data *self, const char *what,
			 int (*run)(data *self))
{
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	sweep(_metadata, self, what, run, after_poison);
	/* One that is tried again fails again. */
	EXPECT_LE(PAGES, self->failures);
	EXPECT_LE(PAGES, self->lost);
}

TEST_F(fail, poison)
{
	if (variant->kernel)
		SKIP(return, "the kernel's injection knows no copy from or to VRAM");
	poison_sweep(_metadata, self, "out", run_read_poison);
	self->failures = 0;
	self->lost = 0;
	poison_sweep(_metadata, self, "out", run_out);
	self->failures = 0;
	self->lost = 0;
	self->map = self->buf;
	fill_pages_as(self->map, LEN, self->mem, 1);
	poison_sweep(_metadata, self, "in", run_copy_write_same);
}

/* The same copies, to and from a BAR. */
TEST_F(fail, pci)
{
	if (variant->kernel)
		SKIP(return, "the kernel's injection knows no copy from or to VRAM");
	ASSERT_EQ(0, uv_unregister(self->fd, self->range));
	ASSERT_EQ(0, uv_attach_pci(self->fd, 0, MIB(2), 0, &self->pool2));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool2, &self->range));
	sweep(_metadata, self, "in", run_in, after_in);
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	sweep(_metadata, self, "in", run_in, after_in_holes);
	fill_pages(self->mem, LEN, 1);
	self->failures = 0;
	poison_sweep(_metadata, self, "out", run_read_poison);
}

/* Somebody listens: an event that he misses does not hold up what it tells of. */
TEST_F(fail, munmap_told)
{
	listen_begin(_metadata, self);
	ASSERT_EQ(0, run_mmap(self));
	sweep(_metadata, self, "", run_munmap, after_munmap);
	run_munmap(self);
	close(self->fd2);
}

TEST_F(fail, dump)
{
	dump_begin(self);
	sweep(_metadata, self, "", run_dump, after_dump);
	close(self->fd2);
}

/* 2 MiB at once: whatever fails, they go or come by pages, or later. */
TEST_F(fail, huge)
{
	struct uffdvram_range_register arg = { .size = sizeof(arg), .pool = self->pool,
					       .flags = UFFDVRAM_RANGE_LINEAR, .len = HUGE };

	if (!huge_in_vram(self->fd))
		SKIP(return, "this kernel has no device folios of 2 MiB");
	huge_begin(_metadata, self, self->pool);
	sweep(_metadata, self, "", run_huge_in, after_huge_in);
	huge_in(_metadata, self);
	sweep(_metadata, self, NO_OUT, run_huge_out, after_huge_home);
	sweep(_metadata, self, NO_OUT, run_huge_fault, after_huge_home);
	huge_fresh(_metadata, self);
	ASSERT_EQ(0, madvise(self->map, HUGE, MADV_DONTNEED));
	sweep(_metadata, self, "", run_huge_in, after_huge_hole);
	/* To its own place in the pool. */
	huge_fresh(_metadata, self);
	ASSERT_EQ(0, uv_unregister(self->fd, self->range2));
	arg.addr = ADDR(self->map);
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &arg));
	sweep(_metadata, self, "", run_huge_in, after_huge_in);
	munmap(self->map, HUGE);
}

/* Not all of it can be read: its entry is split. */
TEST_F(fail, huge_lost)
{
	if (!huge_in_vram(self->fd))
		SKIP(return, "this kernel has no device folios of 2 MiB");
	ASSERT_EQ(0, uv_attach(self->fd, HUGE, 0, &self->pool2));
	huge_begin(_metadata, self, self->pool2);
	huge_in(_metadata, self);
	huge_lose(_metadata, self);
	sweep(_metadata, self, NO_OUT, run_huge_fault, after_huge_lost);
	munmap(self->map, HUGE);
}

/* Comes last: a fixture's cases run after those of one declared before it. */
FIXTURE(sites) {
};
FIXTURE_SETUP(sites) {}
FIXTURE_TEARDOWN(sites) {}

/* Every place in the module that can fail was reached, and has failed. */
TEST_F(sites, all_have_failed)
{
	char text[16384] = "", *line, *save = NULL, kind[16], place[64];
	unsigned long hits, failed, n = 0, never = 0;
	int fd = uv_open();
	bool huge = huge_in_vram(fd);

	close(fd);

	ASSERT_LT(0, file_read("/sys/kernel/debug/uffdvram/sites", text, sizeof(text)));
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		ASSERT_EQ(4, sscanf(line, "%63s %15s %lu %lu", place, kind, &hits, &failed));
		/* Nobody comes to what is for 2 MiB, where there is no such thing. */
		if (!huge && !hits)
			continue;
		n++;
		never += !failed;
		if (!failed)
			TH_LOG("%s (%s) has never failed; it was passed %lu times", place,
			       kind, hits);
	}
	TH_LOG("%lu of %lu places that can fail have failed", n - never, n);
	EXPECT_LT(0, n);
	EXPECT_EQ(0, never);
}

TEST_HARNESS_MAIN
