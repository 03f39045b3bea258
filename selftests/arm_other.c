// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/*
 * Arming as somebody else: a memory manager for another process, a forked child, an
 * unprivileged user.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "util_mm.h"
#include "lib_fixture.h"

/* A monitor: hands its userfaultfd and its context over, and touches its memory. */
static int monitor_main(int fd, void *arg)
{
	char *mem = map_small(LEN);
	int uffd = uffd_open(0), ctx = uv_open();
	uint64_t word;

	(void)arg;
	fill_pages(mem, LEN, SEED);
	child_tell(fd, ADDR(mem));
	if (fd_send(fd, uffd) || fd_send(fd, ctx))
		return 1;
	if (!child_hear(fd, &word) || madvise(mem, PAGE, MADV_DONTNEED))
		return 2;
	child_tell(fd, mem[7]);	/* waits for who took the descriptor */
	return !child_hear(fd, &word);
}

static int manage(struct __test_metadata *_metadata, struct uffdvram_range *range, int uffd)
{
	struct uffdvram_arm_opts opts = {
		.size = sizeof(opts), .uffd = uffd,
		.flags = UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_ADOPT | UFFDVRAM_ARM_NOHUGEPAGE,
	};

	EXPECT_EQ(-EXDEV, arm(range, UFFDVRAM_ARM_MISSING));
	EXPECT_NE(NULL, strstr(said, "another process"));
	EXPECT_EQ(-EXDEV, uffdvram_range_arm(range, &opts));
	opts.flags = UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_ADOPT | UFFDVRAM_ARM_PUNCH;
	opts.hole_len = PAGE;
	EXPECT_EQ(-EXDEV, uffdvram_range_arm(range, &opts));
	opts.flags = UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_ADOPT;
	opts.hole_len = 0;
	return uffdvram_range_arm(range, &opts);
}

FIXTURE(other)
{
	struct child child;
	uint64_t addr;
	int uffd, fd;
};

FIXTURE_SETUP(other)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->child = child_start(monitor_main, NULL);
	ASSERT_TRUE(child_hear(self->child.fd, &self->addr));
	self->uffd = fd_receive(self->child.fd);
	ASSERT_LE(0, self->uffd);
	self->fd = fd_receive(self->child.fd);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(other)
{
	close(self->uffd);
	child_kill(&self->child);
	EXPECT_TRUE(uv_wait_slots(0));
}

/* One context came over a socket, the other is an administrator's. */
static void serve(struct __test_metadata *_metadata, FIXTURE_DATA(other) *self,
		  struct uffdvram_ctx *ctx)
{
	char *data = map_small(PAGE);
	struct uffdvram_range *range;
	struct uffdvram_place place;
	struct uffd_msg msg;
	uint64_t byte;

	ASSERT_EQ(0, uffdvram_range_register(&range, ctx, self->addr, LEN, NULL));
	ASSERT_EQ(0, manage(_metadata, range, self->uffd));
	EXPECT_EQ(-EXDEV, uffdvram_range_punch(range, 0, PAGE));
	child_tell(self->child.fd, 1);
	ASSERT_TRUE(uffd_wait(self->uffd, &msg, 60000));
	ASSERT_EQ(0, uffdvram_find(ctx, msg.arg.pagefault.address, &place));
	EXPECT_EQ(range, place.range);
	EXPECT_GT(PAGE, place.off);
	memset(data, 'm', PAGE);
	ASSERT_EQ(0, uffdvram_range_install(range, 0, data, PAGE, 0, NULL));
	ASSERT_TRUE(child_hear(self->child.fd, &byte));
	EXPECT_EQ('m', byte);
	EXPECT_EQ(0, uffdvram_range_disarm(range));
	munmap(data, PAGE);
}

TEST_F(other, by_a_descriptor_that_was_passed_on)
{
	const struct uffdvram_open_opts opts = { .size = sizeof(opts), .log = take_msg };
	struct uffdvram_ctx *ctx;

	ASSERT_EQ(0, uffdvram_open_fd(&ctx, self->fd, &opts));
	serve(_metadata, self, ctx);
	uffdvram_close(ctx);
}

TEST_F(other, by_its_number)
{
	const struct uffdvram_open_opts opts = { .size = sizeof(opts), .log = take_msg };
	struct uffdvram_ctx *ctx;

	close(self->fd);
	ASSERT_EQ(0, uffdvram_open_pid(&ctx, self->child.pid, &opts));
	serve(_metadata, self, ctx);
	uffdvram_close(ctx);
}

/* A context for a process of one's own number is one's own, however it was made. */
TEST(own_by_number)
{
	struct uffdvram_range *range;
	struct uffdvram_ctx *ctx;
	char *mem = map_small(LEN);

	ASSERT_EQ(0, uffdvram_open_pid(&ctx, getpid(), NULL));
	ASSERT_EQ(0, uffdvram_range_register(&range, ctx, ADDR(mem), LEN, NULL));
	EXPECT_EQ(0, arm(range, UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_PUNCH));
	uffdvram_close(ctx);
	munmap(mem, LEN);
}

/* After fork() the range is in the parent, whatever is at its address here. */
static int forked_main(int fd, void *arg)
{
	(void)fd;
	return arm(arg, UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_PUNCH) != -EXDEV;
}

TEST_F(armed, by_a_forked_child)
{
	EXPECT_EQ(0, run_child(forked_main, self->range));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
	EXPECT_EQ(0, arm(self->range, UFFDVRAM_ARM_MISSING));
}

/* The device is open already; what is left to be allowed is userfaultfd. */
static int nobody_main(int fd, void *arg)
{
	const struct uffdvram_open_opts opts = { .size = sizeof(opts), .log = take_msg };
	struct uffdvram_range *range;
	struct uffdvram_ctx *ctx;
	char *mem = map_small(LEN);
	int ends[2];

	(void)fd, (void)arg;
	if (pipe(ends) || uffdvram_open(&ctx, &opts) ||
	    uffdvram_range_register(&range, ctx, ADDR(mem), LEN, NULL))
		return 1;
	become_nobody();
	if (arm(range, UFFDVRAM_ARM_MISSING) != -EPERM || !strstr(said, "/dev/userfaultfd"))
		return 2;
	if (arm(range, UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_USER_MODE_ONLY))
		return 3;
	/* One for user mode only: a system call is refused, not waited for. */
	if (write(ends[1], mem, 1) != -1 || errno != EFAULT)
		return 4;
	uffdvram_close(ctx);
	return 0;
}

TEST(by_nobody)
{
	if (!access("/proc/sys/vm/unprivileged_userfaultfd", R_OK)) {
		ASSERT_EQ(0, file_write("/proc/sys/vm/unprivileged_userfaultfd", "0"));
	}
	EXPECT_EQ(0, run_child(nobody_main, NULL));
}

TEST_HARNESS_MAIN
