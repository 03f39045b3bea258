// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/*
 * uffdvram_range_arm(): who waits, who is told, who may arm what, and what is left
 * when it fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "util_mm.h"
#include "lib_fixture.h"

#define HOLE	(8 * PAGE)
#define HOLES	(4 * PAGE)

TEST_F(armed, holes_come_after_the_registration)
{
	const struct uffdvram_arm_opts opts = {
		.size = sizeof(opts), .flags = UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_PUNCH,
		.hole_off = HOLE, .hole_len = HOLES,
	};
	struct uffdvram_place place;
	struct toucher t;
	struct uffd_msg msg;
	int uffd;

	EXPECT_EQ(-ENOTCONN, uffdvram_range_uffd(self->range));
	EXPECT_EQ(-ENOTCONN, uffdvram_range_disarm(self->range));
	ASSERT_EQ(LEN / PAGE, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uffdvram_range_arm(self->range, &opts));
	EXPECT_EQ(-EALREADY, uffdvram_range_arm(self->range, &opts));
	uffd = uffdvram_range_uffd(self->range);
	EXPECT_EQ(FD_CLOEXEC, fcntl(uffd, F_GETFD));
	EXPECT_EQ(O_NONBLOCK, fcntl(uffd, F_GETFL) & O_NONBLOCK);
	/* Exactly what was named is gone. */
	EXPECT_EQ(PAGES - 4, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, HOLE, SEED));
	EXPECT_EQ(-1, check_pages(self->mem + HOLE + HOLES, LEN - HOLE - HOLES, SEED));

	touch_start(&t, self->mem + HOLE + PAGE + 5, false);
	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000));
	EXPECT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);
	ASSERT_EQ(0, uffdvram_find(self->ctx, msg.arg.pagefault.address, &place));
	EXPECT_EQ(self->range, place.range);
	EXPECT_EQ(HOLE + PAGE, place.off & ~(PAGE - 1));
	EXPECT_FALSE(t.done);
	ASSERT_EQ(0, uffdvram_range_install(place.range, place.off & ~(PAGE - 1),
					    self->data + HOLE + PAGE, PAGE, 0, NULL));
	EXPECT_TRUE(touch_ends(&t));
	EXPECT_EQ(self->data[HOLE + PAGE + 5], t.value);

	/* Who waits when it ends goes on. */
	touch_start(&t, self->mem + HOLE, false);
	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000));
	ASSERT_EQ(0, uffdvram_range_disarm(self->range));
	EXPECT_TRUE(touch_ends(&t));
	EXPECT_EQ(0, t.value);
	EXPECT_EQ(-1, fcntl(uffd, F_GETFD));
	EXPECT_EQ(-ENOTCONN, uffdvram_range_uffd(self->range));
	EXPECT_EQ(-ENOTCONN, uffdvram_range_punch(self->range, 0, PAGE));
}

struct puncher {
	struct uffdvram_range *range;
	int uffd, ret;
};

static void *arm_and_punch(void *arg)
{
	struct puncher *p = arg;
	const struct uffdvram_arm_opts opts = {
		.size = sizeof(opts), .uffd = p->uffd, .features = UFFD_FEATURE_EVENT_REMOVE,
		.flags = UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_PUNCH | UFFDVRAM_ARM_ADOPT,
		.hole_off = HOLE, .hole_len = HOLES,
	};

	p->ret = uffdvram_range_arm(p->range, &opts);
	return NULL;
}

/* Whoever watches sees the holes being made; before the registration nobody would. */
TEST_F(armed, holes_are_made_under_watch)
{
	struct puncher p = { .range = self->range, .uffd = uffd_open(UFFD_FEATURE_EVENT_REMOVE) };
	struct uffd_msg msg;
	pthread_t thread;

	ASSERT_LE(0, p.uffd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, arm_and_punch, &p));
	ASSERT_TRUE(uffd_wait(p.uffd, &msg, 60000));
	EXPECT_EQ(UFFD_EVENT_REMOVE, msg.event);
	EXPECT_EQ(ADDR(self->mem) + HOLE, msg.arg.remove.start);
	EXPECT_EQ(ADDR(self->mem) + HOLE + HOLES, msg.arg.remove.end);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, p.ret);
	ASSERT_EQ(0, uffdvram_range_disarm(self->range));
	close(p.uffd);
}

TEST_F(armed, punching_later)
{
	struct toucher t;
	struct uffd_msg msg;

	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_MISSING));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
	EXPECT_EQ(-EINVAL, uffdvram_range_punch(self->range, LEN - PAGE, 2 * PAGE));
	EXPECT_EQ(-EINVAL, uffdvram_range_punch(self->range, 0, 0));
	EXPECT_EQ(-EINVAL, uffdvram_range_punch(self->range, 1, PAGE));
	EXPECT_EQ(-ENOTCONN, uffdvram_range_rearm(self->range, 0, PAGE));
	ASSERT_EQ(0, uffdvram_range_punch(self->range, LEN - PAGE, PAGE));
	touch_start(&t, self->mem + LEN - PAGE, true);
	ASSERT_TRUE(uffd_wait(uffdvram_range_uffd(self->range), &msg, 60000));
	EXPECT_EQ(UFFD_PAGEFAULT_FLAG_WRITE, msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(0, uffdvram_range_install_zero(self->range, LEN - PAGE, PAGE, 0, NULL));
	EXPECT_TRUE(touch_ends(&t));
	EXPECT_EQ('w', self->mem[LEN - PAGE]);
	EXPECT_EQ(-1, check_pages(self->mem, LEN - PAGE, SEED));
}

/* Pages in VRAM are protected like others, and a writer is told before it writes. */
TEST_F(armed, writes_wait)
{
	struct toucher t;
	struct uffd_msg msg;
	size_t i;

	ASSERT_EQ(PAGES / 2, uv_to_vram(self->fd, self->mem, LEN / 2));
	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP));
	EXPECT_EQ(-ENOTCONN, uffdvram_range_punch(self->range, 0, PAGE));
	EXPECT_EQ(-EINVAL, uffdvram_range_rearm(self->range, 0, LEN + PAGE));
	ASSERT_EQ(0, uffdvram_range_rearm(self->range, 0, LEN));
	for (i = 3; i < PAGES; i += PAGES / 2) {
		touch_start(&t, self->mem + i * PAGE, true);
		ASSERT_TRUE(uffd_wait(uffdvram_range_uffd(self->range), &msg, 60000));
		EXPECT_EQ(UFFD_PAGEFAULT_FLAG_WP, msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP);
		EXPECT_EQ(-1, check_pages(self->mem + i * PAGE, PAGE, SEED));
		EXPECT_FALSE(t.done);
		ASSERT_EQ(0, uffdvram_range_unprotect(self->range, i * PAGE, PAGE));
		EXPECT_TRUE(touch_ends(&t));
		EXPECT_EQ('w', self->mem[i * PAGE]);
	}
	/* Protected again, it waits again. */
	ASSERT_EQ(0, uffdvram_range_rearm(self->range, 3 * PAGE, PAGE));
	touch_start(&t, self->mem + 3 * PAGE + 1, true);
	ASSERT_TRUE(uffd_wait(uffdvram_range_uffd(self->range), &msg, 60000));
	ASSERT_EQ(0, uffdvram_range_disarm(self->range));
	EXPECT_TRUE(touch_ends(&t));
}

static unsigned int marked(const char *mem)
{
	unsigned int n = 0, i;

	for (i = 0; i < PAGES; i++)
		n += !(pagemap_entry(0, mem + i * PAGE) & PAGEMAP_UFFD_WP);
	return n;
}

TEST_F(armed, writes_leave_marks)
{
	struct uffd_msg msg;

	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	ASSERT_EQ(0, uffdvram_range_rearm(self->range, 0, LEN));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, marked(self->mem));
	self->mem[5 * PAGE] = 'w';
	self->mem[9 * PAGE] = 'w';
	EXPECT_EQ(self->data[7 * PAGE], self->mem[7 * PAGE]);
	EXPECT_EQ(2, marked(self->mem));
	EXPECT_FALSE(uffd_wait(uffdvram_range_uffd(self->range), &msg, 0));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uffdvram_range_rearm(self->range, 5 * PAGE, 5 * PAGE));
	EXPECT_EQ(0, marked(self->mem));
	self->mem[6 * PAGE] = 'w';
	EXPECT_EQ(1, marked(self->mem));
}

TEST_F(armed, missing_and_writes)
{
	struct toucher t;
	struct uffd_msg msg;
	int uffd;

	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_WP |
			 UFFDVRAM_ARM_PUNCH));
	uffd = uffdvram_range_uffd(self->range);
	touch_start(&t, self->mem + PAGE, true);
	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000));
	EXPECT_EQ(0, msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP);
	ASSERT_EQ(0, uffdvram_range_install(self->range, PAGE, self->data + PAGE, PAGE,
					    UFFDVRAM_INSTALL_WP, NULL));
	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000));
	EXPECT_EQ(UFFD_PAGEFAULT_FLAG_WP, msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP);
	ASSERT_EQ(0, uffdvram_range_unprotect(self->range, PAGE, PAGE));
	EXPECT_TRUE(touch_ends(&t));
	EXPECT_EQ('w', self->mem[PAGE]);
}

/* Without a message, without a mark: nothing is as it was asked for. */
TEST_F(armed, wrong_options)
{
	static const uint32_t wrong[] = {
		0, UFFDVRAM_ARM_NOHUGEPAGE, UFFDVRAM_ARM_WP | UFFDVRAM_ARM_WP_ASYNC,
		UFFDVRAM_ARM_WP | UFFDVRAM_ARM_PUNCH,
	};
	struct uffdvram_arm_opts opts = {
		.size = sizeof(opts), .flags = UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_PUNCH,
	};
	int fds = count_fds();
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		EXPECT_EQ(-EINVAL, arm(self->range, wrong[i]));
	EXPECT_EQ(-EOPNOTSUPP, arm(self->range, UFFDVRAM_ARM_MISSING | 1U << 31));
	EXPECT_EQ(-EINVAL, uffdvram_range_arm(self->range, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_range_arm(self->range, &opts));	/* no hole */
	opts.hole_off = LEN - PAGE;
	opts.hole_len = 2 * PAGE;
	EXPECT_EQ(-EINVAL, uffdvram_range_arm(self->range, &opts));
	opts.hole_len = PAGE - 1;
	EXPECT_EQ(-EINVAL, uffdvram_range_arm(self->range, &opts));
	opts.flags = UFFDVRAM_ARM_MISSING;	/* a hole that nobody would punch */
	EXPECT_EQ(-EINVAL, uffdvram_range_arm(self->range, &opts));
	opts = (struct uffdvram_arm_opts){
		.size = sizeof(opts), .flags = UFFDVRAM_ARM_MISSING, .features = 1ULL << 62,
	};
	EXPECT_EQ(-EOPNOTSUPP, uffdvram_range_arm(self->range, &opts));
	EXPECT_NE(NULL, strstr(said, "the kernel lacks the feature"));
	opts.size--;
	EXPECT_EQ(-EINVAL, uffdvram_range_arm(self->range, &opts));
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(-ENOTCONN, uffdvram_range_uffd(self->range));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
}

static int adopt(struct uffdvram_range *range, int uffd, uint32_t flags, uint64_t features)
{
	const struct uffdvram_arm_opts opts = {
		.size = sizeof(opts), .flags = flags | UFFDVRAM_ARM_ADOPT,
		.uffd = uffd, .features = features,
	};

	return uffdvram_range_arm(range, &opts);
}

TEST_F(armed, adopted_descriptors)
{
	int fresh = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	int plain = uffd_open(0), async = uffd_open(UFFD_FEATURE_WP_ASYNC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct toucher t;
	struct uffd_msg msg;

	EXPECT_EQ(-EINVAL, adopt(self->range, null, UFFDVRAM_ARM_MISSING, 0));
	close(null);
	EXPECT_EQ(-EBADF, adopt(self->range, null, UFFDVRAM_ARM_MISSING, 0));
	EXPECT_EQ(-EOPNOTSUPP, adopt(self->range, plain, UFFDVRAM_ARM_MISSING,
				     UFFD_FEATURE_EVENT_REMOVE));
	EXPECT_NE(NULL, strstr(said, "the adopted descriptor lacks the feature EVENT_REMOVE"));
	EXPECT_EQ(-EOPNOTSUPP, adopt(self->range, plain, UFFDVRAM_ARM_WP_ASYNC, 0));
	EXPECT_NE(NULL, strstr(said, "WP_"));
	EXPECT_EQ(-EOPNOTSUPP, adopt(self->range, async, UFFDVRAM_ARM_WP, 0));
	EXPECT_NE(NULL, strstr(said, "has WP_ASYNC"));
	close(async);

	/* UFFDIO_API has been done, or is still to be done. */
	ASSERT_EQ(0, adopt(self->range, fresh, UFFDVRAM_ARM_WP_ASYNC, 0));
	EXPECT_EQ(fresh, uffdvram_range_uffd(self->range));
	EXPECT_EQ(0, uffdvram_range_rearm(self->range, 0, PAGE));
	EXPECT_EQ(0, uffdvram_range_disarm(self->range));
	EXPECT_EQ(FD_CLOEXEC, fcntl(fresh, F_GETFD));

	ASSERT_EQ(0, adopt(self->range, plain, UFFDVRAM_ARM_MISSING, 0));
	ASSERT_EQ(0, uffdvram_range_punch(self->range, 0, PAGE));
	touch_start(&t, self->mem, false);
	ASSERT_TRUE(uffd_wait(plain, &msg, 60000));
	ASSERT_EQ(0, uffdvram_range_disarm(self->range));
	EXPECT_TRUE(touch_ends(&t));
	EXPECT_EQ(FD_CLOEXEC, fcntl(plain, F_GETFD));
	close(plain);
	close(fresh);
}

TEST_F(armed, memory_takes_one_userfaultfd)
{
	int other = uffd_open(0), fds = count_fds();

	ASSERT_EQ(0, uffd_register(other, self->mem + 9 * PAGE, PAGE, UFFDIO_REGISTER_MODE_WP));
	EXPECT_EQ(-EBUSY, arm(self->range, UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_PUNCH));
	EXPECT_NE(NULL, strstr(said, "adopt that one"));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));	/* nothing was punched */
	EXPECT_EQ(fds, count_fds());
	ASSERT_EQ(0, adopt(self->range, other, UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_WP, 0));
	close(other);
}

/* 7.3 refuses it, as what was protected would stay so. */
TEST_F(armed, descriptor_that_watches_more)
{
	int fd = uffd_open(0), ret;

	ASSERT_EQ(0, uffd_register(fd, self->mem + PAGE, PAGE, UFFDIO_REGISTER_MODE_WP));
	ret = uffd_register(fd, self->mem + PAGE, PAGE, UFFDIO_REGISTER_MODE_MISSING);
	ASSERT_TRUE(!ret || ret == -EBUSY);
	EXPECT_EQ(ret, adopt(self->range, fd, UFFDVRAM_ARM_MISSING, 0));
	if (ret) {
		EXPECT_NE(NULL, strstr(said, "unregister first"));
	} else {
		ASSERT_EQ(0, uffdvram_range_disarm(self->range));
	}
	ASSERT_EQ(0, uffd_unregister(fd, self->mem, LEN));
	EXPECT_EQ(0, adopt(self->range, fd, UFFDVRAM_ARM_MISSING, 0));
	close(fd);
}

static bool advised_no_huge_pages(const void *mem)
{
	char line[512], want[32], flags[512] = "";
	FILE *f = fopen("/proc/self/smaps", "re");
	bool in = false;

	snprintf(want, sizeof(want), "%lx-", (unsigned long)ADDR(mem));
	while (f && fgets(line, sizeof(line), f)) {
		if (strchr(line, '-') && !strncmp(line, want, strlen(want)))
			in = true;
		if (in && !strncmp(line, "VmFlags:", 8)) {
			strcpy(flags, line);
			break;
		}
	}
	if (f)
		fclose(f);
	return strstr(flags, " nh");
}

TEST_F(armed, no_huge_pages_where_asked)
{
	struct uffdvram_range *range;
	char *mem = map_small(LEN);

	ASSERT_EQ(0, uffdvram_range_register(&range, self->ctx, ADDR(mem), LEN, NULL));
	/* map_small() says so too; here is what this call does. */
	ASSERT_EQ(0, madvise(mem, LEN, MADV_HUGEPAGE));
	ASSERT_EQ(0, arm(range, UFFDVRAM_ARM_MISSING));
	EXPECT_FALSE(advised_no_huge_pages(mem));
	ASSERT_EQ(0, uffdvram_range_disarm(range));
	ASSERT_EQ(0, arm(range, UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_NOHUGEPAGE));
	EXPECT_TRUE(advised_no_huge_pages(mem));
	munmap(mem, LEN);
}

TEST_F(armed, handles_end_their_descriptors)
{
	int fds = count_fds(), uffd = uffd_open(0);
	struct uffdvram_range *range;
	char *mem = map_small(LEN);

	ASSERT_EQ(0, uffdvram_range_register(&range, self->ctx, ADDR(mem), LEN, NULL));
	ASSERT_EQ(0, arm(range, UFFDVRAM_ARM_MISSING));
	EXPECT_EQ(fds + 2, count_fds());
	ASSERT_EQ(0, uffdvram_range_unregister(range));
	EXPECT_EQ(fds + 1, count_fds());
	EXPECT_EQ(0, mem[0]);		/* nobody watches any more */
	ASSERT_EQ(0, uffdvram_range_register(&range, self->ctx, ADDR(mem), LEN, NULL));
	ASSERT_EQ(0, adopt(range, uffd, UFFDVRAM_ARM_MISSING, 0));
	ASSERT_EQ(0, uffdvram_range_unregister(range));
	EXPECT_EQ(fds + 1, count_fds());
	close(uffd);
	munmap(mem, LEN);
}

/* A message that nobody has read holds back what would change the memory. */
static void *discard(void *arg)
{
	madvise(arg, PAGE, MADV_DONTNEED);
	return NULL;
}

TEST_F(armed, messages_first)
{
	int uffd = uffd_open(UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	struct uffdvram_installed res = { .size = sizeof(res) };
	struct uffd_msg msg;
	pthread_t thread;
	int ret, tries;

	ASSERT_EQ(0, adopt(self->range, uffd, UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_WP, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, discard, self->mem));
	for (tries = 0; tries < 12000; tries++) {
		ret = uffdvram_range_rearm(self->range, PAGE, PAGE);
		if (ret)
			break;
		sleep_ms(5);
	}
	EXPECT_EQ(-EAGAIN, ret);
	EXPECT_EQ(-EAGAIN, uffdvram_range_install(self->range, 0, self->data, PAGE, 0, &res));
	EXPECT_EQ(0, res.done);
	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000));
	EXPECT_EQ(UFFD_EVENT_REMOVE, msg.event);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, uffdvram_range_rearm(self->range, PAGE, PAGE));
	EXPECT_EQ(0, uffdvram_range_install(self->range, 0, self->data, PAGE, 0, &res));
	EXPECT_EQ(1, res.installed);
	EXPECT_EQ(0, uffdvram_range_disarm(self->range));
	close(uffd);
}

TEST_HARNESS_MAIN
