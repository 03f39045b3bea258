// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/*
 * How contexts and processes end while pages live in VRAM: close, exit, kill,
 * exec, fork. No byte is lost, no slot stays taken.
 */
#include "kselftest_harness.h"

#include "util_mm.h"

#include <errno.h>

#define PAGES		64
#define LEN		(PAGES * PAGE)

FIXTURE(life)
{
	int keeper;		/* attached the pool, and lives to the end */
	int fd;			/* what ends */
	uint32_t pool;
	uint64_t slots;
	char *mem;
};

FIXTURE_VARIANT(life)
{
	bool shared;
};

/* A pool that outlives the context, and one that ends with it. */
FIXTURE_VARIANT_ADD(life, shared_pool) { .shared = true };
FIXTURE_VARIANT_ADD(life, own_pool) { .shared = false };

/* A context with pages in VRAM; its pool may be there already. */
static void begin_life(struct __test_metadata *_metadata, FIXTURE_DATA(life) *self, bool shared)
{
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	if (!shared) {
		ASSERT_EQ(0, uv_attach(self->fd, MIB(4), 0, &self->pool));
	}
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(self->slots + PAGES, uv_slots_in_use());
}

FIXTURE_SETUP(life)
{
	self->slots = uv_slots_in_use();
	self->keeper = uv_open();
	ASSERT_LE(0, self->keeper);
	if (variant->shared) {
		ASSERT_EQ(0, uv_attach(self->keeper, MIB(4), UFFDVRAM_POOL_SHARED, &self->pool));
	}
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	begin_life(_metadata, self, variant->shared);
}

FIXTURE_TEARDOWN(life)
{
	uv_knob_set("delay_us", "0");
	close(self->fd);
	munmap(self->mem, LEN);
	EXPECT_TRUE(uv_wait_slots(self->slots));
	if (variant->shared) {
		EXPECT_EQ(0, uv_detach(self->keeper, self->pool, 0, NULL));
	}
	close(self->keeper);
}

static void expect_home(struct __test_metadata *_metadata, int fd, const void *mem)
{
	struct uffdvram_query q;

	EXPECT_EQ(0, uv_query(fd, mem, LEN, &q));
	EXPECT_EQ(PAGES, q.count[UFFDVRAM_STATE_PRESENT]);
	EXPECT_EQ(-1, check_pages(mem, LEN, 1));
}

TEST_F(life, close)
{
	close(self->fd);
	/* Nobody touches the pages: the worker brings them. */
	EXPECT_TRUE(uv_wait_slots(self->slots));
	expect_home(_metadata, self->keeper, self->mem);
	self->fd = uv_open();
	EXPECT_EQ(0, uv_register(self->fd, self->mem, LEN, 0, NULL));
}

/* Reading orphans while the worker is about to bring them. */
TEST_F(life, read_after_close)
{
	uv_knob_set("delay_us", "20000");
	close(self->fd);
	EXPECT_EQ(-1, check_pages(self->mem + LEN / 2, LEN / 2, 1));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	uv_knob_set("delay_us", "0");
	EXPECT_TRUE(uv_wait_slots(self->slots));
	expect_home(_metadata, self->keeper, self->mem);
	self->fd = uv_open();
}

/*
 * Closing does not wait for the pages, nor for one copy. A busy host may stop the machine
 * for as long as that: then once more.
 */
TEST_F(life, close_does_not_wait)
{
	enum { COPY_MS = 1500 };
	bool early = false;
	uint64_t begin;

	for (int tries = 0; tries < 5 && !early; tries++) {
		if (tries)
			begin_life(_metadata, self, variant->shared);
		uv_knob_set("delay_us", "%d", COPY_MS * 1000);
		begin = now_ms();
		close(self->fd);
		early = now_ms() - begin < COPY_MS && self->slots < uv_slots_in_use();
		uv_knob_set("delay_us", "0");
		EXPECT_TRUE(uv_wait_slots(self->slots));
		expect_home(_metadata, self->keeper, self->mem);
	}
	EXPECT_TRUE(early);
	self->fd = uv_open();
}

/* A child with a context and pages in VRAM, that ends as it is told. */
enum { END_RETURN, END_EXEC, END_CLOSE, END_MOVE, END_FORK };

static int hold_pages(int sock, void *arg)
{
	uint32_t pool = *(uint32_t *)arg;
	char *mem = map_small(LEN);
	int fd = uv_open();
	uint64_t how;

	fill_pages(mem, LEN, 1);
	if (!pool && uv_attach(fd, MIB(2), 0, &pool))
		return 1;
	if (uv_register(fd, mem, LEN, pool, NULL) || uv_to_vram(fd, mem, LEN) != PAGES)
		return 2;
	child_tell(sock, 1);
	if (!child_hear(sock, &how))
		return 3;
	switch (how) {
	case END_EXEC:
		return -exec_and_listen(sock);
	case END_MOVE:		/* is killed in the middle of it */
		child_tell(sock, 1);
		for (;;) {
			uv_migrate(fd, mem, LEN, UFFDVRAM_MIGRATE_TO_RAM, NULL);
			uv_migrate(fd, mem, LEN, 0, NULL);
		}
	}
	return 0;
}

static struct child holder(struct __test_metadata *_metadata, FIXTURE_DATA(life) *self,
			   bool shared)
{
	uint32_t pool = shared ? self->pool : 0;
	struct child c = child_start(hold_pages, &pool);
	uint64_t word;

	EXPECT_TRUE(child_hear(c.fd, &word));
	EXPECT_EQ(self->slots + 2 * PAGES, uv_slots_in_use());
	return c;
}

TEST_F(life, exit)
{
	struct child c = holder(_metadata, self, variant->shared);

	child_tell(c.fd, END_RETURN);
	EXPECT_EQ(0, child_end(&c));
	EXPECT_TRUE(uv_wait_slots(self->slots + PAGES));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(life, kill)
{
	struct child c = holder(_metadata, self, variant->shared);

	child_kill(&c);
	EXPECT_TRUE(uv_wait_slots(self->slots + PAGES));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(life, kill_while_it_moves)
{
	for (int i = 0; i < 10; i++) {
		struct child c = holder(_metadata, self, variant->shared);

		uv_knob_set("delay_us", "2000");
		EXPECT_EQ(1, child_step(&c, END_MOVE));
		sleep_ms(7 * i);
		child_kill(&c);
		uv_knob_set("delay_us", "0");
		EXPECT_TRUE(uv_wait_slots(self->slots + PAGES));
	}
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(life, exec)
{
	struct child c = holder(_metadata, self, variant->shared);

	EXPECT_EQ(1, child_step(&c, END_EXEC));
	EXPECT_TRUE(uv_wait_slots(self->slots + PAGES));
	EXPECT_EQ(0, child_end(&c));
}

/* The steps of a forked child that shares our pages in VRAM. */
enum { FORK_CHECK = 1, FORK_WRITE, FORK_LEAVE };

static int forked(int sock, void *arg)
{
	char *mem = *(char **)arg;
	uint64_t word, seed = 1;

	while (child_hear(sock, &word)) {
		switch (word) {
		case FORK_CHECK:
			child_tell(sock, check_pages(mem, LEN, seed) == -1);
			break;
		case FORK_WRITE:
			fill_pages(mem, LEN, ++seed);
			child_tell(sock, 1);
			break;
		case FORK_LEAVE:
			return 0;
		}
	}
	return 0;
}

TEST_F(life, fork_and_child_reads)
{
	struct child c = child_start(forked, &self->mem);

	/* The fork itself moved nothing: the pages are two processes' now. */
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(1, child_step(&c, FORK_CHECK));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(0, child_end(&c));
}

TEST_F(life, fork_and_child_writes)
{
	struct child c = child_start(forked, &self->mem);

	EXPECT_EQ(1, child_step(&c, FORK_WRITE));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(1, child_step(&c, FORK_CHECK));
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(life, fork_and_parent_writes)
{
	struct child c = child_start(forked, &self->mem);

	fill_pages(self->mem, LEN, 9);
	EXPECT_EQ(1, child_step(&c, FORK_CHECK));
	EXPECT_EQ(1, child_step(&c, FORK_WRITE));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 9));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(1, child_step(&c, FORK_CHECK));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 9));
	EXPECT_EQ(0, child_end(&c));
}

/* The child has the descriptor, too: it has to go in both. */
static int close_then_forked(int sock, void *arg)
{
	struct { char *mem; int fd; } *a = arg;

	close(a->fd);
	return forked(sock, &a->mem);
}

TEST_F(life, fork_and_parent_closes)
{
	struct { char *mem; int fd; } a = { self->mem, self->fd };
	struct child c = child_start(close_then_forked, &a);

	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	close(self->fd);
	EXPECT_EQ(1, child_step(&c, FORK_CHECK));
	EXPECT_TRUE(uv_wait_slots(self->slots));
	EXPECT_EQ(1, child_step(&c, FORK_CHECK));
	expect_home(_metadata, self->keeper, self->mem);
	EXPECT_EQ(0, child_end(&c));
	self->fd = uv_open();
}

/* Nobody is left but the child: the worker finds its pages all the same. */
TEST_F(life, fork_and_parent_unmaps)
{
	struct { char *mem; int fd; } a = { self->mem, self->fd };
	struct child c = child_start(close_then_forked, &a);

	munmap(self->mem, LEN);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(self->slots));
	EXPECT_EQ(1, child_step(&c, FORK_CHECK));
	EXPECT_EQ(0, child_end(&c));
	self->fd = uv_open();
	self->mem = map_small(LEN);
}

/*
 * The worker copies, and holds the pages' places in our page tables, when these
 * go. The kernel with KASAN sees it if what leads back to them goes as well.
 */
TEST_F(life, munmap_while_the_worker_copies)
{
	uv_knob_set("delay_us", "400000");
	close(self->fd);
	sleep_ms(100);
	EXPECT_EQ(0, munmap(self->mem, LEN));
	EXPECT_TRUE(uv_wait_slots(self->slots));
	uv_knob_set("delay_us", "0");
	self->fd = uv_open();
	self->mem = map_small(LEN);
}

static int exit_while_copied(int sock, void *arg)
{
	uint32_t pool = *(uint32_t *)arg;
	char *mem = map_small(LEN);
	int fd = uv_open();

	(void)sock;
	fill_pages(mem, LEN, 1);
	if ((!pool && uv_attach(fd, MIB(2), 0, &pool)) ||
	    uv_register(fd, mem, LEN, pool, NULL) || uv_to_vram(fd, mem, LEN) != PAGES)
		return 1;
	uv_knob_set("delay_us", "400000");
	close(fd);
	sleep_ms(100);
	return 0;
}

TEST_F(life, exit_while_the_worker_copies)
{
	uint32_t pool = variant->shared ? self->pool : 0;

	EXPECT_EQ(0, run_child(exit_while_copied, &pool));
	EXPECT_TRUE(uv_wait_slots(self->slots + PAGES));
	uv_knob_set("delay_us", "0");
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(life, unregister)
{
	char *mem = map_small(LEN);
	uint32_t range;

	fill_pages(mem, LEN, 3);
	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, self->pool, &range));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, mem, LEN));
	ASSERT_EQ(0, uv_unregister(self->fd, range));
	/* A worker brings these home, and leaves other ranges alone. */
	EXPECT_TRUE(uv_wait_slots(self->slots + PAGES));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, uv_in_vram(self->fd, mem, LEN));
	EXPECT_EQ(-1, check_pages(mem, LEN, 3));
	/* They may be registered again at once, and moved. */
	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, self->pool, &range));
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, mem, LEN));
	ASSERT_EQ(0, uv_unregister(self->fd, range));
	ASSERT_EQ(0, uv_register(self->fd, mem, LEN, self->pool, &range));
	EXPECT_EQ(-1, check_pages(mem, LEN, 3));
	munmap(mem, LEN);
}

TEST_HARNESS_MAIN
