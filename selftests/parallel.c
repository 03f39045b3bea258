// SPDX-License-Identifier: GPL-2.0-only
/*
 * UFFDVRAM_MOVE_THREADS with the module: the same pages move as with one thread, and two
 * threads do it. ioctl() is the one below: it counts, and lets nobody go on before both
 * are there.
 */
/* TIMEOUT: 240 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <uffdvram/uffdvram.h>
#include "kselftest_harness.h"
#include "util_mm.h"
#include "pin.h"

#define SEED	23
#define LEN	MIB(16)
#define PAGES	(LEN / PAGE)
#define HALF	(LEN / 2)

/* Who moved how much: the caller, and all other threads. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t met;
	bool meet;
	bool came[2];
	uint64_t moved[2];
} who;

static void who_comes(unsigned int i)
{
	pthread_mutex_lock(&who.lock);
	who.came[i] = true;
	pthread_cond_broadcast(&who.met);
	while (who.meet && !who.came[!i])
		pthread_cond_wait(&who.met, &who.lock);
	pthread_mutex_unlock(&who.lock);
}

int ioctl(int fd, unsigned long cmd, ...)
{
	unsigned int i = gettid() != getpid();
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (cmd == UFFDVRAM_MIGRATE)
		who_comes(i);
	ret = syscall(SYS_ioctl, fd, cmd, arg);
	if (cmd == UFFDVRAM_MIGRATE) {
		pthread_mutex_lock(&who.lock);
		who.moved[i] += ((struct uffdvram_migrate *)arg)->moved;
		pthread_mutex_unlock(&who.lock);
	}
	return ret;
}

/* A move that the other process is to make, and what came of it. */
struct order {
	uint64_t addr;
	uint64_t len;
	uint32_t flags;
	bool meet;
	int ret;
	struct uffdvram_moved moved;
	uint64_t by[2];
};

static void order_run(struct uffdvram_ctx *ctx, struct order *o)
{
	who.meet = o->meet;
	who.came[0] = who.came[1] = false;
	who.moved[0] = who.moved[1] = 0;
	o->moved = (struct uffdvram_moved){ .size = sizeof(o->moved) };
	o->ret = uffdvram_move(ctx, o->addr, o->len, o->flags, &o->moved);
	o->by[0] = who.moved[0];
	o->by[1] = who.moved[1];
}

/*
 * Another process moves, and the one that owns the memory sleeps: else each page that
 * moves in would interrupt the other CPU, which under emulation takes milliseconds.
 */
static int mover(int fd, void *arg)
{
	struct uffdvram_ctx *ctx;
	char go;

	if (uffdvram_open_pid(&ctx, getppid(), NULL))
		return 1;
	while (read(fd, &go, 1) == 1) {
		order_run(ctx, arg);
		if (write(fd, &go, 1) != 1)
			return 1;
	}
	return 0;
}

FIXTURE(parallel)
{
	struct child mover;
	struct order *order;
	int fd;
	uint32_t pool;
	char *mem;
	size_t len;
};

FIXTURE_SETUP(parallel)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	pthread_mutex_init(&who.lock, NULL);
	pthread_cond_init(&who.met, NULL);
	self->order = mmap(NULL, sizeof(*self->order), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->order);
	self->mover = child_start(mover, self->order);
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(parallel)
{
	child_kill(&self->mover);
	close(self->fd);
	munmap(self->mem, self->len);
	EXPECT_TRUE(uv_wait_slots(0));
}

/* A piece of @len bytes, of which the first @known are a range, and room for @bytes. */
static void begin(struct __test_metadata *_metadata, FIXTURE_DATA(parallel) *self,
		  size_t len, size_t known, size_t bytes)
{
	self->len = len;
	self->mem = map_small(len);
	fill_pages(self->mem, len, SEED);
	ASSERT_EQ(0, uv_attach(self->fd, bytes, 0, &self->pool));
	ASSERT_EQ(0, uv_register(self->fd, self->mem, known, self->pool, NULL));
}

static int move(FIXTURE_DATA(parallel) *self, unsigned int threads, uint32_t flags)
{
	struct order *o = self->order;
	char go = 1;

	o->addr = ADDR(self->mem);
	o->len = self->len;
	o->flags = flags | UFFDVRAM_MOVE_THREADS(threads);
	o->meet = threads > 1;
	if (write(self->mover.fd, &go, 1) != 1 || read(self->mover.fd, &go, 1) != 1)
		give_up("the other process");
	return o->ret;
}

/* What passes: the references of LRU batches, and whoever looks at a page just now. */
static bool is_calm(const struct uffdvram_moved *m, uint64_t pinned)
{
	return m->stayed[UFFDVRAM_STAY_PINNED] == pinned && !m->stayed[UFFDVRAM_STAY_BUSY];
}

/* Moves in what is at home, until nothing stays by chance. */
static int move_in(FIXTURE_DATA(parallel) *self, unsigned int threads, uint64_t pinned)
{
	size_t half = self->len / 2;
	int ret, tries = 100;

	do {
		/* In two, since there may be a gap. */
		uv_migrate(self->fd, self->mem, half, UFFDVRAM_MIGRATE_TO_RAM, NULL);
		uv_migrate(self->fd, self->mem + half + PAGE, half - PAGE,
			   UFFDVRAM_MIGRATE_TO_RAM, NULL);
		uv_migrate(self->fd, self->mem + half, PAGE, UFFDVRAM_MIGRATE_TO_RAM, NULL);
		lru_drain();
		ret = move(self, threads, 0);
	} while (!is_calm(&self->order->moved, pinned) && tries--);
	return tries < 0 ? -EBUSY : ret;
}

/* Is two threads' result that of one, and did both move something? */
static void same_as_one(struct __test_metadata *_metadata, FIXTURE_DATA(parallel) *self,
			uint64_t pinned, int want, struct uffdvram_moved *one)
{
	struct uffdvram_moved *two = &self->order->moved;

	ASSERT_EQ(want, move_in(self, 1, pinned));
	EXPECT_EQ(0, self->order->by[1]);
	*one = self->order->moved;
	ASSERT_EQ(want, move_in(self, 2, pinned));
	EXPECT_LT(0, self->order->by[0]);
	EXPECT_LT(0, self->order->by[1]);
	EXPECT_EQ(one->done, two->done);
	EXPECT_EQ(one->moved, two->moved);
	EXPECT_EQ(one->already, two->already);
	EXPECT_EQ(0, memcmp(one->stayed, two->stayed, sizeof(two->stayed)));
	/* With too little room it is anybody's guess which ones stay. */
	one->first[UFFDVRAM_STAY_NO_SLOT] = two->first[UFFDVRAM_STAY_NO_SLOT] = 0;
	EXPECT_EQ(0, memcmp(one->first, two->first, sizeof(two->first)));
}

TEST_F(parallel, there_and_back)
{
	const size_t len = MIB(64), pages = len / PAGE;
	struct uffdvram_moved m;

	begin(_metadata, self, len, len, len);
	same_as_one(_metadata, self, 0, 0, &m);
	EXPECT_EQ(len, m.done);
	EXPECT_EQ(pages, m.moved);
	EXPECT_EQ(pages, uv_in_vram(self->fd, self->mem, len));
	ASSERT_EQ(0, move(self, 2, UFFDVRAM_MOVE_TO_RAM));
	EXPECT_LT(0, self->order->by[0]);
	EXPECT_LT(0, self->order->by[1]);
	EXPECT_EQ(pages, self->order->moved.moved);
	EXPECT_EQ(0, uv_in_vram(self->fd, self->mem, len));
	EXPECT_EQ(-1, check_pages(self->mem, len, SEED));
}

TEST_F(parallel, a_gap_between_ranges)
{
	struct uffdvram_moved m;

	begin(_metadata, self, LEN, HALF, LEN);
	ASSERT_EQ(0, uv_register(self->fd, self->mem + HALF + PAGE, HALF - PAGE, self->pool,
				 NULL));
	same_as_one(_metadata, self, 0, -ENOENT, &m);
	EXPECT_EQ(HALF, m.done);
	EXPECT_EQ(PAGES / 2, m.moved);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
}

TEST_F(parallel, a_pinned_page)
{
	struct uffdvram_moved m;
	struct pin pin;
	char *page;

	begin(_metadata, self, LEN, LEN, LEN);
	page = self->mem + HALF + 7 * PAGE;
	pin_page(&pin, page);
	same_as_one(_metadata, self, 1, 0, &m);
	EXPECT_EQ(PAGES - 1, m.moved);
	EXPECT_EQ(ADDR(page), m.first[UFFDVRAM_STAY_PINNED]);
	unpin(&pin);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
}

TEST_F(parallel, memory_that_is_gone)
{
	struct uffdvram_moved m;
	char *gone;

	begin(_metadata, self, LEN, LEN, LEN);
	gone = self->mem + HALF - 3 * PAGE;
	ASSERT_EQ(0, munmap(gone, 5 * PAGE));
	same_as_one(_metadata, self, 0, 0, &m);
	EXPECT_EQ(LEN, m.done);
	EXPECT_EQ(5, m.stayed[UFFDVRAM_STAY_NOT_ANON]);
	EXPECT_EQ(ADDR(gone), m.first[UFFDVRAM_STAY_NOT_ANON]);
	EXPECT_EQ(PAGES - 5, m.moved);
	EXPECT_EQ(-1, check_pages(self->mem, HALF - 3 * PAGE, SEED));
	EXPECT_EQ(-1, check_pages(gone + 5 * PAGE, HALF - 2 * PAGE, SEED));
}

TEST_F(parallel, too_small_a_pool)
{
	struct uffdvram_moved m;

	begin(_metadata, self, LEN, LEN, HALF);
	same_as_one(_metadata, self, 0, 0, &m);
	EXPECT_EQ(PAGES / 2, m.moved);
	EXPECT_EQ(PAGES / 2, m.stayed[UFFDVRAM_STAY_NO_SLOT]);
	EXPECT_EQ(-1, check_pages(self->mem, LEN, SEED));
}

TEST_HARNESS_MAIN
