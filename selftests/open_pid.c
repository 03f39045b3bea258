// SPDX-License-Identifier: GPL-2.0-only
/* OPEN_PID: a context for another process, for administrators only. */
#include "kselftest_harness.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>

#define PAGES		16
#define LEN		(PAGES * PAGE)
#define SWITCH		"/sys/module/uffdvram/parameters/open_pid"

/* What a target does when it is told so. */
enum { CHECK = 1, WRITE, EXEC, EXIT };

/* It has memory, says where, and does as it is told. */
static int target(int sock, void *arg)
{
	char *mem = map_small(LEN);
	uint64_t word, seed = 1;

	(void)arg;
	fill_pages(mem, LEN, seed);
	child_tell(sock, (uintptr_t)mem);
	while (child_hear(sock, &word)) {
		switch (word) {
		case CHECK:
			child_tell(sock, check_pages(mem, LEN, seed) == -1);
			break;
		case WRITE:
			fill_pages(mem, LEN, ++seed);
			child_tell(sock, 1);
			break;
		case EXEC:
			return -exec_and_listen(sock);
		case EXIT:
			return 0;
		}
	}
	return 0;
}

FIXTURE(open_pid)
{
	int fd;
	uint32_t pool;
	uint64_t slots;
	struct child c;
	int pidfd;
	char *mem;		/* in the target */
};

FIXTURE_SETUP(open_pid)
{
	uint64_t addr = 0;

	self->slots = uv_slots_in_use();
	ASSERT_EQ(0, file_write(SWITCH, "1"));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), UFFDVRAM_POOL_SHARED, &self->pool));
	self->c = child_start(target, NULL);
	ASSERT_TRUE(child_hear(self->c.fd, &addr));
	self->mem = (char *)addr;
	self->pidfd = pidfd_of(self->c.pid);
	ASSERT_LE(0, self->pidfd);
}

FIXTURE_TEARDOWN(open_pid)
{
	child_kill(&self->c);
	EXPECT_EQ(0, file_write(SWITCH, "1"));
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	close(self->pidfd);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(self->slots));
}

TEST_F(open_pid, moves_the_targets_memory)
{
	int fd = uv_open_pid(self->fd, self->pidfd);
	struct uffdvram_region vec[2];
	struct uffdvram_query q = { .addr = (uintptr_t)self->mem, .len = LEN };

	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	ASSERT_EQ(0, uv_register(fd, self->mem, LEN, self->pool, NULL));
	for (int round = 0; round < 3; round++) {
		EXPECT_EQ(PAGES, uv_to_vram(fd, self->mem, LEN));
		EXPECT_EQ(PAGES, uv_in_vram(fd, self->mem, LEN));
		EXPECT_EQ(self->slots + PAGES, uv_slots_in_use());
		/* By us, by its reads, by its writes. */
		if (round == 0) {
			EXPECT_EQ(PAGES, uv_to_ram(fd, self->mem, LEN));
		} else if (round == 1) {
			EXPECT_EQ(1, child_step(&self->c, WRITE));
		}
		EXPECT_EQ(1, child_step(&self->c, CHECK));
		EXPECT_EQ(0, uv_in_vram(fd, self->mem, LEN));
	}
	/* What it writes for us goes to our memory, not to the target's. */
	ASSERT_EQ(0, uv_query_vec(fd, &q, vec, 2));
	EXPECT_EQ(1, q.used);
	EXPECT_EQ((uintptr_t)self->mem, vec[0].start);
	EXPECT_EQ(1, child_step(&self->c, CHECK));
	close(fd);
}

/* The pages of the target come home when the administrator goes. */
TEST_F(open_pid, closed_with_pages_in_vram)
{
	int fd = uv_open_pid(self->fd, self->pidfd);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, uv_register(fd, self->mem, LEN, self->pool, NULL));
	EXPECT_EQ(PAGES, uv_to_vram(fd, self->mem, LEN));
	close(fd);
	EXPECT_TRUE(uv_wait_slots(self->slots));
	EXPECT_EQ(1, child_step(&self->c, CHECK));
	/* And it can be opened again. */
	fd = uv_open_pid(self->fd, self->pidfd);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, uv_register(fd, self->mem, LEN, self->pool, NULL));
	close(fd);
}

/* Ranges are per address space: the target's own context meets ours. */
TEST_F(open_pid, ranges_are_the_targets)
{
	int fd = uv_open_pid(self->fd, self->pidfd), again = uv_open_pid(self->fd, self->pidfd);
	/* The first is where the target, a fork of us, has its own. */
	char *both = map_small(LEN), *mine = map_small(LEN);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, again);
	ASSERT_EQ(0, uv_register(fd, self->mem, LEN, self->pool, NULL));
	EXPECT_EQ(-EBUSY, uv_register(again, self->mem, LEN, self->pool, NULL));
	/* Our own memory is unknown there. */
	EXPECT_EQ(-ENOENT, uv_register(fd, mine, LEN, self->pool, NULL));
	close(fd);
	EXPECT_EQ(0, uv_register(again, self->mem, LEN, self->pool, NULL));
	close(again);
	munmap(mine, LEN);
	munmap(both, LEN);
}

TEST_F(open_pid, switched_off)
{
	struct uffdvram_info info;
	int fds = count_fds();

	ASSERT_EQ(0, uv_info(self->fd, &info));
	EXPECT_TRUE(info.features & UFFDVRAM_FEATURE_OPEN_PID);
	ASSERT_EQ(0, file_write(SWITCH, "0"));
	EXPECT_EQ(-EOPNOTSUPP, uv_open_pid(self->fd, self->pidfd));
	EXPECT_EQ(-EOPNOTSUPP, uv_open_pid(self->fd, -1));
	ASSERT_EQ(0, uv_info(self->fd, &info));
	EXPECT_FALSE(info.features & UFFDVRAM_FEATURE_OPEN_PID);
	EXPECT_EQ(fds, count_fds());
}

TEST_F(open_pid, what_is_no_pidfd)
{
	int fds, sock[2], file = open("/proc/self/maps", O_RDONLY);

	EXPECT_EQ(0, pipe(sock));
	fds = count_fds();
	EXPECT_EQ(-EBADF, uv_open_pid(self->fd, -1));
	EXPECT_EQ(-EBADF, uv_open_pid(self->fd, 12345));
	EXPECT_EQ(-EBADF, uv_open_pid(self->fd, INT32_MIN));
	EXPECT_EQ(-EBADF, uv_open_pid(self->fd, sock[0]));
	EXPECT_EQ(-EBADF, uv_open_pid(self->fd, file));
	EXPECT_EQ(-EBADF, uv_open_pid(self->fd, self->fd));
	EXPECT_EQ(fds, count_fds());
	close(sock[0]);
	close(sock[1]);
	close(file);
}

TEST_F(open_pid, dead_process)
{
	int pidfd = pidfd_of(self->c.pid);
	struct pollfd end = { .fd = pidfd, .events = POLLIN };

	/* A zombie first, with its number still taken, then nothing at all. */
	child_tell(self->c.fd, EXIT);
	ASSERT_EQ(1, poll(&end, 1, 60000));
	EXPECT_EQ(-ESRCH, uv_open_pid(self->fd, pidfd));
	child_end(&self->c);
	EXPECT_EQ(-ESRCH, uv_open_pid(self->fd, pidfd));
	close(pidfd);
	self->c = child_start(target, NULL);
}

/* The kernel's threads have no memory of their own. */
TEST_F(open_pid, kernel_thread)
{
	int pidfd = pidfd_of(2);

	ASSERT_LE(0, pidfd);
	EXPECT_EQ(-ESRCH, uv_open_pid(self->fd, pidfd));
	close(pidfd);
}

TEST_F(open_pid, target_exits)
{
	int fd = uv_open_pid(self->fd, self->pidfd);
	struct uffdvram_query q;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, uv_register(fd, self->mem, LEN, self->pool, NULL));
	EXPECT_EQ(PAGES, uv_to_vram(fd, self->mem, LEN));
	child_kill(&self->c);
	/* The context does not keep the memory of the dead. */
	EXPECT_TRUE(uv_wait_slots(self->slots));
	EXPECT_EQ(-ESRCH, uv_query(fd, self->mem, LEN, &q));
	EXPECT_EQ(-ESRCH, uv_migrate(fd, self->mem, LEN, 0, NULL));
	EXPECT_EQ(-ESRCH, uv_register(fd, self->mem, LEN, self->pool, NULL));
	close(fd);
	self->c = child_start(target, NULL);
}

TEST_F(open_pid, target_execs)
{
	int fd = uv_open_pid(self->fd, self->pidfd), again;
	struct uffdvram_query q;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, uv_register(fd, self->mem, LEN, self->pool, NULL));
	EXPECT_EQ(PAGES, uv_to_vram(fd, self->mem, LEN));
	EXPECT_EQ(1, child_step(&self->c, EXEC));
	EXPECT_TRUE(uv_wait_slots(self->slots));
	EXPECT_EQ(-ESRCH, uv_query(fd, self->mem, LEN, &q));
	/* The process is there, with other memory: that is another context. */
	again = uv_open_pid(self->fd, self->pidfd);
	EXPECT_LE(0, again);
	EXPECT_EQ(0, uv_query(again, self->mem, LEN, &q));
	close(again);
	close(fd);
}

struct attempt {
	int fd;
	int pidfd;
	int (*lose)(void);	/* give up what would be needed */
};

static int try_without(int sock, void *arg)
{
	struct attempt *a = arg;
	int fds, ret;

	(void)sock;
	if (a->lose())
		return 200;
	fds = count_fds();
	ret = uv_open_pid(a->fd, a->pidfd);
	if (ret >= 0)
		return close(ret) ? 201 : 0;
	return count_fds() == fds ? -ret : 202;
}

static int lose_user(void)
{
	become_nobody();
	return 0;
}

static int lose_ptrace(void)
{
	drop_capability(CAP_SYS_PTRACE);
	return 0;
}

static int lose_all_but_ptrace(void)
{
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (cap != CAP_SYS_PTRACE)
			drop_capability(cap);
	return 0;
}

/* All capabilities, over nothing but a user namespace of our own. */
static int lose_init_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

TEST_F(open_pid, privileges)
{
	struct attempt a = { self->fd, self->pidfd, lose_user };

	EXPECT_EQ(EPERM, run_child(try_without, &a));
	a.lose = lose_ptrace;
	EXPECT_EQ(EPERM, run_child(try_without, &a));
	a.lose = lose_init_namespace;
	EXPECT_EQ(EPERM, run_child(try_without, &a));
	/* Nothing else is asked for. */
	a.lose = lose_all_but_ptrace;
	EXPECT_EQ(0, run_child(try_without, &a));
}

TEST_HARNESS_MAIN
