// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * uffdvram_range_install() and its kin, and uffdvram_range_flush(): each page once,
 * everybody woken, and to VRAM what was queued, nothing else.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "util_mm.h"
#include "lib_fixture.h"

#define MISSING		(UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_PUNCH)

static int put(struct uffdvram_range *range, const char *data, size_t page)
{
	return uffdvram_range_install(range, page * PAGE, data + page * PAGE, PAGE, 0, NULL);
}

TEST_F(armed, pages_that_are_there_stay)
{
	struct uffdvram_installed res = { .size = sizeof(res) };

	ASSERT_EQ(0, arm(self->range, MISSING));
	ASSERT_EQ(0, put(self->range, self->data, 0));
	ASSERT_EQ(0, put(self->range, self->data, 3));
	ASSERT_EQ(0, put(self->range, self->data, 4));
	ASSERT_EQ(0, put(self->range, self->data, PAGES - 1));
	ASSERT_EQ(2, uv_to_vram(self->fd, self->mem + 3 * PAGE, 2 * PAGE));
	self->mem[0] = 'x';
	ASSERT_EQ(0, uffdvram_range_install(self->range, 0, self->data, LEN, 0, &res));
	EXPECT_EQ(LEN, res.done);
	EXPECT_EQ(PAGES - 4, res.installed);
	EXPECT_EQ(4, res.existed);
	EXPECT_EQ(2, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ('x', self->mem[0]);
	self->mem[0] = self->data[0];
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
	EXPECT_EQ(0, uffdvram_range_queued(self->range));
}

/* A page came with another cluster, and nobody told who waits for it. */
TEST_F(armed, who_waits_for_a_page_that_is_there_goes_on)
{
	struct uffdvram_installed res = { .size = sizeof(res) };
	struct uffdio_copy copy = {
		.dst = ADDR(self->mem) + 5 * PAGE,
		.src = ADDR(self->data) + 5 * PAGE,
		.len = PAGE,
		.mode = UFFDIO_COPY_MODE_DONTWAKE,
	};
	struct uffd_msg msg;
	struct toucher t;
	int uffd;

	ASSERT_EQ(0, arm(self->range, MISSING));
	uffd = uffdvram_range_uffd(self->range);
	touch_start(&t, self->mem + 5 * PAGE, false);
	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000));
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_COPY, &copy));
	sleep_ms(100);
	EXPECT_FALSE(t.done);
	ASSERT_EQ(0, uffdvram_range_install(self->range, 4 * PAGE, self->data + 4 * PAGE,
					    4 * PAGE, 0, &res));
	EXPECT_EQ(3, res.installed);
	EXPECT_EQ(1, res.existed);
	ASSERT_TRUE(touch_ends(&t));
	EXPECT_EQ(self->data[5 * PAGE], t.value);
}

TEST_F(armed, zeroes)
{
	struct uffdvram_installed res = { .size = sizeof(res) };

	ASSERT_EQ(0, arm(self->range, MISSING));
	ASSERT_EQ(0, put(self->range, self->data, 1));
	ASSERT_EQ(0, uffdvram_range_install_zero(self->range, 0, 8 * PAGE, 0, &res));
	EXPECT_EQ(7, res.installed);
	EXPECT_EQ(1, res.existed);
	EXPECT_EQ(0, not_zero(self->mem + PAGE, PAGE));
	EXPECT_EQ(-1, not_zero(self->mem + 2 * PAGE, 6 * PAGE));
	/* The page of zeroes stays; pages of zeroes move. */
	ASSERT_EQ(0, uffdvram_range_install_zero(self->range, 8 * PAGE, LEN - 8 * PAGE,
						 UFFDVRAM_INSTALL_QUEUE, &res));
	EXPECT_EQ(PAGES - 8, res.installed);
	EXPECT_EQ(LEN - 8 * PAGE, uffdvram_range_queued(self->range));
	ASSERT_EQ(0, uffdvram_range_flush(self->range, 0, NULL));
	EXPECT_EQ(PAGES - 8, uv_to_vram(self->fd, self->mem + 8 * PAGE, LEN - 8 * PAGE));
	EXPECT_EQ(-1, not_zero(self->mem + 8 * PAGE, LEN - 8 * PAGE));
}

TEST_F(armed, write_protected_from_the_start)
{
	struct uffd_msg msg;
	struct toucher t;
	int uffd;

	ASSERT_EQ(0, arm(self->range, MISSING));
	EXPECT_EQ(-ENOTCONN, uffdvram_range_install(self->range, 0, self->data, PAGE,
						    UFFDVRAM_INSTALL_WP, NULL));
	ASSERT_EQ(0, uffdvram_range_disarm(self->range));
	ASSERT_EQ(0, arm(self->range, MISSING | UFFDVRAM_ARM_WP));
	uffd = uffdvram_range_uffd(self->range);
	ASSERT_EQ(0, uffdvram_range_install(self->range, 0, self->data, PAGE,
					    UFFDVRAM_INSTALL_WP, NULL));
	ASSERT_EQ(0, uffdvram_range_install_zero(self->range, PAGE, PAGE,
						 UFFDVRAM_INSTALL_WP, NULL));
	ASSERT_EQ(0, put(self->range, self->data, 2));
	self->mem[2 * PAGE] = 'w';
	EXPECT_EQ(0, self->mem[PAGE]);
	EXPECT_FALSE(uffd_wait(uffd, &msg, 0));
	touch_start(&t, self->mem + PAGE, true);
	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000));
	EXPECT_EQ(UFFD_PAGEFAULT_FLAG_WP, msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP);
	ASSERT_EQ(0, uffdvram_range_unprotect(self->range, 0, 2 * PAGE));
	ASSERT_TRUE(touch_ends(&t));
	EXPECT_EQ('w', self->mem[PAGE]);
}

TEST_F(armed, poison)
{
	struct uffdvram_installed res = { .size = sizeof(res) };
	struct sigbus bus;

	ASSERT_EQ(0, arm(self->range, MISSING));
	ASSERT_EQ(0, put(self->range, self->data, 1));
	ASSERT_EQ(0, uffdvram_range_install_poison(self->range, 0, 3 * PAGE, &res));
	EXPECT_EQ(2, res.installed);
	EXPECT_EQ(1, res.existed);
	EXPECT_EQ(-1, check_pages(self->mem + PAGE, PAGE, SEED));
	bus = read_byte(self->mem + 2 * PAGE);
	EXPECT_EQ(SIGBUS, bus.signo);
	EXPECT_EQ(BUS_MCEERR_AR, bus.code);
	/* Poison is no page: when the data turns up after all, it goes there. */
	ASSERT_EQ(0, uffdvram_range_install(self->range, 0, self->data, PAGE, 0, &res));
	EXPECT_EQ(1, res.installed);
	EXPECT_EQ(-1, check_pages(self->mem, 2 * PAGE, SEED));
	EXPECT_EQ(SIGBUS, read_byte(self->mem + 2 * PAGE).signo);
}

TEST_F(armed, errors)
{
	struct uffdvram_installed res = { .size = sizeof(res) };
	struct uffdvram_moved moved = { .size = 8 };
	char *data = map_small(2 * PAGE);

	EXPECT_EQ(-ENOTCONN, put(self->range, self->data, 0));
	EXPECT_EQ(-ENOTCONN, uffdvram_range_install_zero(self->range, 0, PAGE, 0, NULL));
	EXPECT_EQ(-ENOTCONN, uffdvram_range_install_poison(self->range, 0, PAGE, NULL));
	EXPECT_EQ(-ENOTCONN, uffdvram_range_wake(self->range, 0, PAGE));
	ASSERT_EQ(0, arm(self->range, MISSING));
	EXPECT_EQ(-EINVAL, uffdvram_range_install(self->range, 0, data, 0, 0, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_range_install(self->range, 1, data, PAGE, 0, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_range_install(self->range, LEN, data, PAGE, 0, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_range_install(self->range, -PAGE, data, 2 * PAGE, 0, NULL));
	EXPECT_EQ(-EOPNOTSUPP, uffdvram_range_install(self->range, 0, data, PAGE, 1U << 9, NULL));
	EXPECT_EQ(-EFAULT, uffdvram_range_install(self->range, 0, NULL, PAGE, 0, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_range_flush(self->range, 1, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_range_flush(self->range, 0, &moved));
	res.size--;
	EXPECT_EQ(-EINVAL, uffdvram_range_install(self->range, 0, data, PAGE, 0, &res));
	res.size++;
	/* The source ends in the middle: what was there is installed and counted. */
	munmap(data + PAGE, PAGE);
	EXPECT_EQ(-EFAULT, uffdvram_range_install(self->range, 0, data, 2 * PAGE, 0, &res));
	EXPECT_EQ(PAGE, res.done);
	EXPECT_EQ(1, res.installed);
	/* So does the destination. */
	munmap(self->mem + 4 * PAGE, PAGE);
	EXPECT_EQ(-ENOENT, uffdvram_range_install(self->range, 2 * PAGE, self->data,
						  4 * PAGE, 0, &res));
	EXPECT_EQ(2 * PAGE, res.done);
	munmap(data, PAGE);
}

/* Monitors split their mappings at will. */
TEST_F(armed, several_mappings)
{
	struct uffdvram_installed res = { .size = sizeof(res) };

	ASSERT_EQ(0, madvise(self->mem + 3 * PAGE, PAGE, MADV_DONTFORK));
	ASSERT_EQ(0, madvise(self->mem + 20 * PAGE, 30 * PAGE, MADV_DONTFORK));
	ASSERT_EQ(0, arm(self->range, MISSING));
	ASSERT_EQ(0, put(self->range, self->data, 21));
	ASSERT_EQ(0, uffdvram_range_install(self->range, PAGE, self->data + PAGE, LEN - PAGE,
					    UFFDVRAM_INSTALL_QUEUE, &res));
	EXPECT_EQ(PAGES - 2, res.installed);
	EXPECT_EQ(1, res.existed);
	EXPECT_EQ((PAGES - 2) * PAGE, uffdvram_range_queued(self->range));
	ASSERT_EQ(0, put(self->range, self->data, 0));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
	ASSERT_EQ(0, uffdvram_range_punch(self->range, 0, LEN));
	ASSERT_EQ(0, uffdvram_range_install_zero(self->range, 0, LEN, 0, &res));
	EXPECT_EQ(PAGES, res.installed);
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
}

TEST_F(armed, only_what_was_queued_moves)
{
	struct uffdvram_moved moved = { .size = sizeof(moved) };
	uint64_t state = 5;
	size_t i, n = 0;

	ASSERT_EQ(0, arm(self->range, MISSING));
	for (i = 0; i < PAGES; i++) {
		uint32_t queue = rnd(&state) & 1 ? UFFDVRAM_INSTALL_QUEUE : 0;

		ASSERT_EQ(0, uffdvram_range_install(self->range, i * PAGE,
						    self->data + i * PAGE, PAGE, queue, NULL));
		n += queue != 0;
	}
	/* Twice makes no difference: it is there, so it is not queued either. */
	ASSERT_EQ(0, uffdvram_range_install(self->range, 0, self->data, LEN,
					    UFFDVRAM_INSTALL_QUEUE, NULL));
	EXPECT_EQ(n * PAGE, uffdvram_range_queued(self->range));

	ASSERT_EQ(0, uffdvram_range_flush(self->range, 3 * PAGE, &moved));
	EXPECT_EQ(3 * PAGE, moved.done);
	EXPECT_EQ((n - 3) * PAGE, uffdvram_range_queued(self->range));
	EXPECT_GE(3, uv_in_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uffdvram_range_flush(self->range, 0, &moved));
	EXPECT_EQ((n - 3) * PAGE, moved.done);
	EXPECT_EQ(0, uffdvram_range_queued(self->range));
	EXPECT_LT(0, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_GE((long)n, uv_in_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uffdvram_range_flush(self->range, 0, &moved));
	EXPECT_EQ(0, moved.done);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
}

/* What was discarded since is not made anew; what cannot be tried stays queued. */
TEST_F(armed, a_flush_that_meets_trouble)
{
	struct uffdvram_moved moved = { .size = sizeof(moved) };
	struct uffdvram_range *none;
	char *mem = map_small(LEN);

	ASSERT_EQ(0, arm(self->range, MISSING));
	ASSERT_EQ(0, uffdvram_range_install(self->range, 0, self->data, LEN,
					    UFFDVRAM_INSTALL_QUEUE, NULL));
	ASSERT_EQ(0, uffdvram_range_disarm(self->range));
	ASSERT_EQ(0, madvise(self->mem, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, uffdvram_range_flush(self->range, 0, &moved));
	EXPECT_EQ(1, moved.stayed[UFFDVRAM_STAY_MISSING]);
	EXPECT_EQ(LEN, moved.done);

	ASSERT_EQ(0, uffdvram_range_register(&none, self->ctx, ADDR(mem), LEN, NULL));
	ASSERT_EQ(0, arm(none, MISSING));
	ASSERT_EQ(0, uffdvram_range_install(none, PAGE, self->data, 9 * PAGE,
					    UFFDVRAM_INSTALL_QUEUE, NULL));
	EXPECT_EQ(-ENODEV, uffdvram_range_flush(none, 0, &moved));
	EXPECT_EQ(0, moved.done);
	EXPECT_EQ(9 * PAGE, uffdvram_range_queued(none));
	ASSERT_EQ(0, uffdvram_range_unregister(none));
	munmap(mem, LEN);
}

/* Postcopy as it is: several sources, a thread that flushes, a guest that touches. */
#define SOURCES	3

struct postcopy {
	struct uffdvram_range *range;
	const char *data;
	_Atomic uint64_t installed;
	_Atomic unsigned int running, errors;
};

static void *source(void *arg)
{
	struct postcopy *p = arg;
	struct uffdvram_installed res = { .size = sizeof(res) };
	uint64_t state = (uintptr_t)&res | 1, page, n;
	int i;

	for (i = 0; i < 400; i++) {
		page = rnd(&state) % PAGES;
		n = 1 + rnd(&state) % 4;
		if (n > PAGES - page)
			n = PAGES - page;
		p->errors += uffdvram_range_install(p->range, page * PAGE,
						    p->data + page * PAGE, n * PAGE,
						    UFFDVRAM_INSTALL_QUEUE, &res) != 0;
		p->installed += res.installed;
	}
	for (page = 0; page < PAGES; page++) {
		p->errors += uffdvram_range_install(p->range, page * PAGE,
						    p->data + page * PAGE, PAGE,
						    UFFDVRAM_INSTALL_QUEUE, &res) != 0;
		p->installed += res.installed;
	}
	p->running--;
	return NULL;
}

static void *flusher(void *arg)
{
	struct postcopy *p = arg;

	while (p->running || uffdvram_range_queued(p->range))
		p->errors += uffdvram_range_flush(p->range, 4 * PAGE, NULL) != 0;
	return NULL;
}

TEST_F(armed, everything_at_once)
{
	pthread_t threads[SOURCES + 2];
	struct postcopy p = { .range = self->range, .data = self->data };
	unsigned int round, i;
	uint64_t state = 9;

	for (round = 0; round < 10; round++) {
		ASSERT_EQ(0, arm(self->range, MISSING));
		p.running = SOURCES;
		p.installed = 0;
		for (i = 0; i < SOURCES; i++)
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, source, &p));
		for (; i < SOURCES + 2; i++)
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, flusher, &p));
		for (i = 0; i < 200; i++) {
			size_t at = rnd(&state) % LEN;

			ASSERT_EQ(self->data[at], ((volatile char *)self->mem)[at]);
		}
		for (i = 0; i < SOURCES + 2; i++)
			pthread_join(threads[i], NULL);
		EXPECT_EQ(0, p.errors);
		EXPECT_EQ(PAGES, p.installed);
		EXPECT_EQ(0, uffdvram_range_queued(self->range));
		EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
		ASSERT_EQ(0, uffdvram_range_disarm(self->range));
	}
}

TEST_HARNESS_MAIN
