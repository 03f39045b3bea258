// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * POISON and others: children, other mappings of a page, userfaultfd, who looks at the
 * very moment, and what is refused.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include "util_mm.h"
#include "poison.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif
#ifndef SYS_mseal
#define SYS_mseal		462
#endif

static int all_poison(int fd, void *arg)
{
	(void)fd;
	return poison_pages(arg, LEN) == PAGES ? 0 : 1;
}

/*
 * fork() copies the entries of a mapping only if it ever had a page of its own: marks
 * are to be seen in a child even if they were all that there ever was.
 */
TEST_F(poison, fork_of_holes)
{
	ASSERT_EQ(0, uv_poison(self->fd, 0, self->mem, LEN, NULL));
	EXPECT_EQ(0, run_child(all_poison, self->mem));
	EXPECT_EQ(PAGES, poison_pages(self->mem, LEN));
}

TEST_F(poison, fork_of_zero_pages)
{
	for (int i = 0; i < PAGES; i++)
		ASSERT_EQ(0, read_byte(self->mem + i * PAGE).value);
	ASSERT_EQ(0, uv_poison(self->fd, REPLACE, self->mem, LEN, NULL));
	EXPECT_EQ(0, run_child(all_poison, self->mem));
}

TEST_F(poison, fork_of_protected)
{
	ASSERT_EQ(0, mprotect(self->mem, LEN / 2, PROT_READ));
	ASSERT_EQ(0, mprotect(self->mem + LEN / 2, LEN / 2, PROT_NONE));
	ASSERT_EQ(0, uv_poison(self->fd, 0, self->mem, LEN, NULL));
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ));
	EXPECT_EQ(0, run_child(all_poison, self->mem));
}

/* Watched by userfaultfd: it is told of nothing, and fork knows the marks. */
TEST_F(poison, fork_of_armed)
{
	static const uint64_t modes[] = {
		UFFDIO_REGISTER_MODE_MISSING, UFFDIO_REGISTER_MODE_WP,
		UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};
	struct uffd_msg msg;

	for (int i = 0; i < 6; i++) {
		int uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED);
		char *mem = map_fresh(LEN);
		uint32_t range;

		ASSERT_LE(0, uffd);
		ASSERT_EQ(0, uv_register(self->fd, mem, LEN, self->pool, &range));
		ASSERT_EQ(0, uffd_register(uffd, mem, LEN, modes[i % 3]));
		if (i > 2 && modes[i % 3] & UFFDIO_REGISTER_MODE_MISSING) {
			ASSERT_EQ(0, uffd_zeropage(uffd, mem, LEN / 2));
		}
		if (modes[i % 3] & UFFDIO_REGISTER_MODE_WP) {
			ASSERT_EQ(0, uffd_wp(uffd, mem, LEN, true));
		}
		ASSERT_EQ(0, uv_poison(self->fd, REPLACE, mem, LEN, NULL)) TH_LOG("i %d", i);
		EXPECT_EQ(0, run_child(all_poison, mem)) TH_LOG("i %d", i);
		EXPECT_EQ(PAGES, poison_pages(mem, LEN));
		EXPECT_FALSE(uffd_wait(uffd, &msg, 0));
		EXPECT_EQ(0, uv_unregister(self->fd, range));
		munmap(mem, LEN);
		close(uffd);
	}
}

static int check_then_again(int fd, void *arg)
{
	uint64_t word;
	int bad = check_pages(arg, LEN, 1) != -1;

	child_tell(fd, 1);
	if (!child_hear(fd, &word))
		return 2;
	return bad | (check_pages(arg, LEN, 1) != -1) << 2;
}

/* A child's mapping of the same pages is none of ours; so are pages in VRAM. */
TEST_F(poison, shared_by_fork)
{
	for (int in_vram = 0; in_vram < 2; in_vram++) {
		struct child c;
		uint64_t word;

		ASSERT_EQ(0, uv_poison(self->fd, UNDO, self->mem, LEN, NULL));
		fill_pages(self->mem, LEN, 1);
		if (in_vram) {
			ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
		}
		c = child_start(check_then_again, self->mem);
		if (!in_vram) {
			ASSERT_TRUE(child_hear(c.fd, &word));
		}
		ASSERT_EQ(0, uv_poison(self->fd, REPLACE, self->mem, LEN, NULL));
		if (in_vram) {
			ASSERT_TRUE(child_hear(c.fd, &word));
		}
		EXPECT_EQ(PAGES, poison_pages(self->mem, LEN));
		child_tell(c.fd, 1);
		EXPECT_EQ(0, child_end(&c));
	}
}

/* Who holds a reference on a page keeps its bytes. */
TEST_F(poison, pinned)
{
	struct iovec iov = { self->mem, 4 * PAGE };
	char *copy = map_small(4 * PAGE);
	int fds[2];

	fill_pages(self->mem, LEN, 1);
	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(4 * PAGE, vmsplice(fds[1], &iov, 1, 0));
	ASSERT_EQ(0, uv_poison(self->fd, REPLACE, self->mem, 4 * PAGE, NULL));
	EXPECT_EQ(4, poison_pages(self->mem, 4 * PAGE));
	ASSERT_EQ(4 * PAGE, read(fds[0], copy, 4 * PAGE));
	EXPECT_EQ(-1, check_pages_as(copy, 4 * PAGE, self->mem, 1));
	close(fds[0]);
	close(fds[1]);
	munmap(copy, 4 * PAGE);
}

struct waiter {
	char *page;
	int fd;
	long got;
};

static void *wait_for_page(void *arg)
{
	struct waiter *w = arg;

	w->got = write(w->fd, w->page, 1);
	if (w->got < 0)
		w->got = -errno;
	return NULL;
}

/* Who waits in userfaultfd meets the mark once he is woken. */
TEST_F(poison, somebody_waits)
{
	struct uffdio_range piece = { ADDR(self->mem), PAGE };
	struct waiter w = { .page = self->mem };
	int uffd = uffd_open(0), fds[2];
	struct uffd_msg msg;
	pthread_t thread;

	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, pipe(fds));
	w.fd = fds[1];
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_page, &w));
	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000));
	ASSERT_EQ(0, uv_poison(self->fd, 0, self->mem, PAGE, NULL));
	ASSERT_EQ(0, uv_ioctl(uffd, UFFDIO_WAKE, &piece));
	pthread_join(thread, NULL);
	EXPECT_EQ(-EFAULT, w.got);
	EXPECT_FALSE(uffd_wait(uffd, &msg, 0));

	/* UNDO makes the page missing: an event again, and data may come. */
	ASSERT_EQ(0, uv_poison(self->fd, UNDO, self->mem, PAGE, NULL));
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_page, &w));
	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000));
	EXPECT_EQ(ADDR(self->mem), msg.arg.pagefault.address);
	ASSERT_EQ(0, uffd_zeropage(uffd, self->mem, PAGE));
	pthread_join(thread, NULL);
	EXPECT_EQ(1, w.got);
	close(uffd);
	close(fds[0]);
	close(fds[1]);
}

/* An address that is mapped, but in no range; that is not mapped; of a file. */
TEST_F(poison, where_it_may_not)
{
	char *mem = self->mem, *other = map_small(2 * PAGE);
	int fd = memfd_create("other", MFD_CLOEXEC);

	EXPECT_EQ(-ENOENT, uv_poison(self->fd, 0, other, PAGE, &self->arg));
	EXPECT_EQ(0, self->arg.done);
	EXPECT_EQ(-ENOENT, uv_poison(self->fd, 0, mem + LEN - PAGE, 2 * PAGE, &self->arg));
	EXPECT_EQ(PAGE, self->arg.done);
	EXPECT_EQ(0, self->arg.bad_addr);
	ASSERT_EQ(0, munmap(mem + 4 * PAGE, PAGE));
	EXPECT_EQ(-ENOENT, uv_poison(self->fd, 0, mem, LEN, &self->arg));
	EXPECT_EQ(4 * PAGE, self->arg.done);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	ASSERT_EQ(mem + 4 * PAGE, mmap(mem + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE,
				       MAP_FIXED | MAP_PRIVATE, fd, 0));
	EXPECT_EQ(-EINVAL, uv_poison(self->fd, REPLACE, mem, LEN, &self->arg));
	EXPECT_EQ(4 * PAGE, self->arg.done);
	EXPECT_EQ(-EINVAL, uv_poison(self->fd, UNDO, mem, LEN, &self->arg));
	EXPECT_EQ(4 * PAGE, self->arg.done);
	EXPECT_EQ(0, read_byte(mem + 4 * PAGE).signo);
	close(fd);
	munmap(other, 2 * PAGE);
}

TEST_F(poison, bad_arguments)
{
	struct uffdvram_poison_list q = { .addr = ADDR(self->mem), .len = PAGE };
	struct uffdvram_region vec;

	EXPECT_EQ(-EINVAL, uv_poison(self->fd, 0, self->mem + 1, PAGE, NULL));
	EXPECT_EQ(-EINVAL, uv_poison(self->fd, 0, self->mem, 100, NULL));
	EXPECT_EQ(-EINVAL, uv_poison(self->fd, 0, self->mem, 0, NULL));
	EXPECT_EQ(-EINVAL, uv_poison(self->fd, 0, self->mem, -PAGE, NULL));
	EXPECT_EQ(-EINVAL, uv_poison(self->fd, REPLACE | UNDO, self->mem, PAGE, NULL));
	EXPECT_EQ(-EINVAL, uv_poison_list(self->fd, &q, &vec, 0));
	EXPECT_EQ(-EINVAL, uv_poison_list(self->fd, &q, NULL, 1));
	EXPECT_EQ(-EINVAL, uv_poison_list(self->fd, &q, NULL, 0));
	EXPECT_EQ(0, q.done);
	ASSERT_EQ(0, uv_poison(self->fd, 0, self->mem, PAGE, NULL));
	EXPECT_EQ(-EFAULT, uv_poison_list(self->fd, &q, (void *)8, 1));
	EXPECT_EQ(0, q.done);
	EXPECT_EQ(0, q.used);
}

/* A guard region is neither poison nor to be replaced. */
TEST_F(poison, guard_region)
{
	if (madvise(self->mem + 3 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL))
		SKIP(return, "no guard regions in this kernel");
	EXPECT_EQ(0, in_state(self->fd, self->mem, LEN, UFFDVRAM_STATE_POISON));
	for (uint32_t flags = 0; flags <= REPLACE; flags++) {
		EXPECT_EQ(-EEXIST, uv_poison(self->fd, flags, self->mem, LEN, &self->arg));
		EXPECT_EQ(3 * PAGE, self->arg.done);
		EXPECT_EQ(ADDR(self->mem) + 3 * PAGE, self->arg.bad_addr);
	}
	ASSERT_EQ(0, uv_poison(self->fd, 0, self->mem + 5 * PAGE, LEN - 5 * PAGE, NULL));
	ASSERT_EQ(0, uv_poison(self->fd, UNDO, self->mem, LEN, NULL));
	EXPECT_EQ(SIGSEGV, read_byte(self->mem + 3 * PAGE).signo);
	EXPECT_EQ(SIGSEGV, read_byte(self->mem + 4 * PAGE).signo);
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_GUARD_REMOVE));
	EXPECT_EQ(-1, not_zero(self->mem, LEN));
}

/* Sealed and not writable: its contents are not to change. It stays until exit. */
static int sealed(int fd, void *arg)
{
	int ctx = uv_open();
	uint32_t pool;
	char *mem = map_small(LEN);

	(void)fd;
	(void)arg;
	fill_pages(mem, LEN, 1);
	if (ctx < 0 || uv_attach(ctx, MIB(2), 0, &pool) || uv_register(ctx, mem, LEN, pool, NULL))
		return 1;
	if (syscall(SYS_mseal, mem, LEN, 0))
		return 2;
	if (uv_poison(ctx, REPLACE, mem, PAGE, NULL))
		return 3;
	return 0;
}

static int sealed_read_only(int fd, void *arg)
{
	char *mem = map_small(LEN);
	int ctx = uv_open();

	(void)fd;
	(void)arg;
	fill_pages(mem, LEN, 1);
	if (ctx < 0 || uv_register(ctx, mem, LEN, 0, NULL) || mprotect(mem, LEN, PROT_READ))
		return 1;
	if (syscall(SYS_mseal, mem, LEN, 0))
		return 2;
	if (uv_poison(ctx, REPLACE, mem, PAGE, NULL) != -EPERM)
		return 3;
	return check_pages(mem, LEN, 1) != -1;
}

TEST_F(poison, sealed)
{
	EXPECT_EQ(0, run_child(sealed, NULL));
	EXPECT_EQ(0, run_child(sealed_read_only, NULL));
}

/* It takes no privilege; and acts on the opener's memory, whoever calls. */
static int nobody_poisons(int fd, void *arg)
{
	struct uffdvram_region vec;
	struct uffdvram_poison_list q = { .addr = ADDR(arg), .len = LEN };
	int own = uv_open();
	char *mem = map_small(LEN);
	uint64_t ctx;

	become_nobody();
	if (uv_register(own, mem, LEN, 0, NULL) || uv_poison(own, 0, mem, LEN, NULL))
		return 1;
	child_tell(fd, 1);
	if (!child_hear(fd, &ctx))
		return 2;
	if (uv_poison(ctx, 0, arg, LEN, NULL) || uv_poison_list(ctx, &q, &vec, 1) || q.used != 1)
		return 3;
	return poison_pages(arg, LEN) ? 4 : 0;
}

TEST_F(poison, by_another_process)
{
	struct child c = child_start(nobody_poisons, self->mem);
	uint64_t word;

	ASSERT_TRUE(child_hear(c.fd, &word));
	EXPECT_EQ(0, poison_pages(self->mem, LEN));
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	child_tell(c.fd, self->fd);
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(PAGES, poison_pages(self->mem, LEN));
}

#define RACE_PAGES	4

/**
 * struct watcher - a thread that looks at pages all the time, in one way
 * @round: the pages have this word everywhere; odd: they are being poisoned
 * @wrong: what it saw that was neither their word nor poison
 */
struct watcher {
	int how;
	char *mem;
	volatile uint64_t *round;
	volatile bool *stop;
	int fds[2];
	uint64_t wrong, seen, poison;
};

static __thread sigjmp_buf watcher_jump;

static void on_watcher_bus(int signo)
{
	(void)signo;
	siglongjmp(watcher_jump, 1);
}

/* The word at @p as this watcher gets it; false: it is poison. */
static bool watcher_look(struct watcher *w, uint64_t *p, uint64_t *word)
{
	struct iovec from = { p, sizeof(*p) }, to = { word, sizeof(*word) };

	switch (w->how) {
	case 0:
		if (sigsetjmp(watcher_jump, 1))
			return false;
		*word = *(volatile uint64_t *)p;
		return true;
	case 1:
		return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == sizeof(*word);
	default:
		/* get_user_pages_fast() */
		return vmsplice(w->fds[1], &from, 1, 0) == sizeof(*word) &&
		       read(w->fds[0], word, sizeof(*word)) == sizeof(*word);
	}
}

static void *watcher_run(void *arg)
{
	struct watcher *w = arg;
	unsigned int i = 0;

	while (!*w->stop) {
		uint64_t *p = (uint64_t *)(w->mem + i++ % RACE_PAGES * PAGE);
		uint64_t before = *w->round, word, after;
		bool there;

		__sync_synchronize();
		there = watcher_look(w, p, &word);
		__sync_synchronize();
		after = *w->round;
		w->seen += there;
		w->poison += !there;
		/* 4n: all bytes are there; 4n + 1: being poisoned; 4n + 2: poison. */
		if (before != after || before % 4 > 2)
			continue;
		if (before % 4 == 0)
			w->wrong += !there || word != before;
		else if (before % 4 == 1)
			w->wrong += there && word != before - 1;
		else
			w->wrong += there;
	}
	return NULL;
}

static bool all_saw_both(const struct watcher *w)
{
	for (int i = 0; i < 3; i++)
		if (!*(volatile uint64_t *)&w[i].seen || !*(volatile uint64_t *)&w[i].poison)
			return false;
	return true;
}

static void race_prepare(FIXTURE_DATA(poison) *self, int kind, uint64_t word)
{
	for (size_t i = 0; i < RACE_PAGES * PAGE / sizeof(word); i++)
		((volatile uint64_t *)self->mem)[i] = word;
	if (kind == 1)
		uv_migrate(self->fd, self->mem, RACE_PAGES * PAGE, 0, NULL);
}

/*
 * At no moment has anybody seen anything but the old bytes, and then poison: neither a
 * CPU, nor get_user_pages() in two ways; and nobody sees old bytes after the call.
 */
TEST_F(poison, watched)
{
	volatile uint64_t round = 3;
	volatile bool stop = false;
	struct sigaction sa = { .sa_handler = on_watcher_bus, .sa_flags = SA_NODEFER };
	struct watcher w[3];
	uint64_t n, until = now_ms() + (sanitizers() ? 20000 : 5000);
	pthread_t thread[3];

	ASSERT_EQ(0, sigaction(SIGBUS, &sa, NULL));
	race_prepare(self, 0, 0);
	for (int i = 0; i < 3; i++) {
		w[i] = (struct watcher){ .how = i, .mem = self->mem, .round = &round,
					 .stop = &stop };
		ASSERT_EQ(0, pipe(w[i].fds));
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, watcher_run, &w[i]));
	}
	/* Slow machines take longer until each has seen both. */
	for (n = 4; now_ms() < until || (!all_saw_both(w) && now_ms() < until + 60000); n += 4) {
		ASSERT_EQ(0, uv_poison(self->fd, UNDO, self->mem, RACE_PAGES * PAGE, NULL));
		race_prepare(self, n / 4 % 2, n);
		for (int step = 0; step < 4; step++) {
			__sync_synchronize();
			round = n + step;
			__sync_synchronize();
			if (step == 1) {
				ASSERT_EQ(0, uv_poison(self->fd, REPLACE, self->mem,
						       RACE_PAGES * PAGE, NULL));
			} else if (step < 3) {
				usleep(200);
			}
		}
	}
	stop = true;
	for (int i = 0; i < 3; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, w[i].wrong) TH_LOG("in way %d", i);
		EXPECT_LT(0, w[i].seen);
		EXPECT_LT(0, w[i].poison);
		close(w[i].fds[0]);
		close(w[i].fds[1]);
	}
	TH_LOG("%llu rounds, %llu looks", (unsigned long long)n / 4,
	       (unsigned long long)(w[0].seen + w[1].seen + w[2].seen));
}

TEST_HARNESS_MAIN
