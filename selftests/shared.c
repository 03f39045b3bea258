// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * Pages that are not ours alone stay where they are: merged ones (KSM), where a
 * move would take the host down, and those shared with a forked process, whose
 * mapping must not change under it.
 */
#include <kselftest_harness.h>
#include "util_mm.h"
#include "vram_fixture.h"

static bool are_merged(void *pages)
{
	return ksm_merged() >= *(long long *)pages;
}

/* Equal pages in both halves; between them as many that are all different. */
struct twins {
	char *mem;
	size_t n;	/* pages in each of the three parts */
};

static void twins_fill(const struct twins *t)
{
	size_t i;

	for (i = 0; i < t->n; i++) {
		char *left = t->mem + i * PAGE;

		fill_pages_as(left, PAGE, left, 1);
		fill_pages_as(left + 2 * t->n * PAGE, PAGE, left, 1);
	}
	fill_pages(t->mem + t->n * PAGE, t->n * PAGE, 2);
}

static size_t twins_wrong(const struct twins *t)
{
	char *right = t->mem + 2 * t->n * PAGE;
	size_t len = t->n * PAGE;

	return (check_pages(t->mem, len, 1) != -1) +
	       (check_pages(t->mem + len, len, 2) != -1) +
	       (check_pages_as(right, len, t->mem, 1) != -1);
}

TEST_F(vram, ksm_pages)
{
	struct twins t = { .n = 100 };
	struct uffdvram_migrate m;
	long long want = 2 * t.n;
	size_t len = 3 * t.n * PAGE;
	int round;

	t.mem = map_small(len);
	if (!ksm_on())
		SKIP(return, "no KSM in this kernel");
	ASSERT_EQ(0, uv_register(self->fd, t.mem, len, self->pool, NULL));
	twins_fill(&t);
	ASSERT_EQ(0, madvise(t.mem, len, MADV_MERGEABLE));
	ASSERT_TRUE(wait_until(are_merged, &want, 60000)) TH_LOG("%lld pages merged", ksm_merged());

	/* ksmd goes on comparing while everything is asked to move. */
	for (round = 0; round < 20; round++) {
		ASSERT_LE(0, move_all(self->fd, t.mem, len, round % 2 ?
				      UFFDVRAM_MIGRATE_TO_RAM : 0, &m));
		EXPECT_TRUE(sum_ok(t.mem, len, &m));
		if (round % 2 == 0) {
			EXPECT_EQ(2 * t.n, m.stayed[UFFDVRAM_STAY_SHARED]);
			EXPECT_EQ(ADDR(t.mem), m.first[UFFDVRAM_STAY_SHARED]);
			EXPECT_EQ(0, uv_in_vram(self->fd, t.mem, t.n * PAGE));
			EXPECT_EQ(t.n, m.moved + m.already);
		}
		sleep_ms(30);
	}
	EXPECT_EQ(2 * t.n, ksm_merged());
	EXPECT_EQ(0, twins_wrong(&t));

	/* A write makes a page ours again: it moves, ksmd or not. */
	ksm_off();
	t.mem[0] ^= 1;
	t.mem[0] ^= 1;
	EXPECT_EQ(3 * t.n, move_all(self->fd, t.mem, len, 0, &m));
	EXPECT_EQ(0, m.stayed[UFFDVRAM_STAY_SHARED]);
	EXPECT_EQ(0, twins_wrong(&t));
	munmap(t.mem, len);
}

/* ksmd merges, tests move, pages are written and unmerged, all at once. */
TEST_F(vram, ksm_all_the_time)
{
	struct twins t = { .n = 64 };
	size_t len = 3 * t.n * PAGE, i;
	uint64_t end = now_ms() + 3000, rounds = 0, shared = 0;
	struct uffdvram_migrate m;

	t.mem = map_small(len);
	if (!ksm_on())
		SKIP(return, "no KSM in this kernel");
	ASSERT_EQ(0, uv_register(self->fd, t.mem, len, self->pool, NULL));
	ASSERT_EQ(0, madvise(t.mem, len, MADV_MERGEABLE));
	/* How soon ksmd comes round differs much: until it did its work. */
	for (; now_ms() < end || (shared < 500 && rounds < 400); rounds++) {
		twins_fill(&t);		/* writes unmerge, and bring pages home */
		sleep_ms(rounds % 40 * 10);
		ASSERT_EQ(0, uv_migrate(self->fd, t.mem, len, 0, &m));
		EXPECT_TRUE(sum_ok(t.mem, len, &m));
		shared += m.stayed[UFFDVRAM_STAY_SHARED];
		if (rounds % 10 == 5)
			ASSERT_EQ(0, madvise(t.mem, len, MADV_UNMERGEABLE));
		if (rounds % 10 == 6)
			ASSERT_EQ(0, madvise(t.mem, len, MADV_MERGEABLE));
		ASSERT_EQ(0, twins_wrong(&t)) TH_LOG("round %llu", (unsigned long long)rounds);
	}
	for (i = 0; i < 2; i++)
		twins_fill(&t);
	ksm_off();
	TH_LOG("%llu rounds, %llu merged pages met", (unsigned long long)rounds,
	       (unsigned long long)shared);
	EXPECT_LT(0, shared);
	munmap(t.mem, len);
}

/* A forked process that looks at, or changes, the memory it got. */
enum step { STEP_PRESENT, STEP_CHECK, STEP_WRITE, STEP_CHECK_WRITTEN, STEP_MOVE };

struct family {
	char *mem;
	size_t pages;
	uint32_t pool;	/* a shared one, for STEP_MOVE */
};

static uint64_t family_move(const struct family *f)
{
	int fd = uv_open();

	if (fd < 0 || uv_register(fd, f->mem, f->pages * PAGE, f->pool, NULL))
		return ~0ULL;
	return move_all(fd, f->mem, f->pages * PAGE, 0, NULL);
}

static int family_child(int sock, void *arg)
{
	const struct family *f = arg;
	size_t len = f->pages * PAGE, i;
	uint64_t step, n;

	while (child_hear(sock, &step)) {
		n = 0;
		switch (step) {
		case STEP_PRESENT:
			for (i = 0; i < len; i += PAGE)
				n += !!(pagemap_entry(0, f->mem + i) & PAGEMAP_PRESENT);
			break;
		case STEP_CHECK:
			n = check_each(f->mem, len, 3);
			break;
		case STEP_WRITE:
			fill_pages(f->mem, len, 4);
			break;
		case STEP_CHECK_WRITTEN:
			n = check_each(f->mem, len, 4);
			break;
		case STEP_MOVE:
			n = family_move(f);
			break;
		}
		child_tell(sock, n);
	}
	return 0;
}

/* The parent moves its memory: the child's page table must not notice. */
TEST_F(vram, parent_moves)
{
	struct family f = { map_small(64 * PAGE), 64, 0 };
	struct uffdvram_migrate m;
	size_t len = 64 * PAGE;
	struct child c;
	long moved;

	ASSERT_EQ(0, uv_register(self->fd, f.mem, len, self->pool, NULL));
	fill_pages(f.mem, len, 3);
	c = child_start(family_child, &f);
	ASSERT_EQ(64, child_step(&c, STEP_PRESENT));
	moved = move_all(self->fd, f.mem, len, 0, &m);
	ASSERT_LE(0, moved);
	EXPECT_TRUE(sum_ok(f.mem, len, &m));
	/* They stay, or a copy of our own moved. Nothing else is right. */
	EXPECT_EQ(64, moved + m.stayed[UFFDVRAM_STAY_SHARED]);
	EXPECT_EQ(moved, uv_in_vram(self->fd, f.mem, len));
	EXPECT_EQ(64, child_step(&c, STEP_PRESENT));
	EXPECT_EQ(0, child_step(&c, STEP_CHECK));
	EXPECT_EQ(0, check_each(f.mem, len, 3));
	EXPECT_EQ(0, child_step(&c, STEP_WRITE));
	EXPECT_EQ(0, check_each(f.mem, len, 3));
	fill_pages(f.mem, len, 5);
	EXPECT_EQ(0, child_step(&c, STEP_CHECK_WRITTEN));
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(64, move_all(self->fd, f.mem, len, 0, &m));
	EXPECT_EQ(0, check_each(f.mem, len, 5));
	munmap(f.mem, len);
}

/* Memory that cannot be touched cannot be unshared either: it stays, by name. */
TEST_F(vram, shared_without_access)
{
	struct family f = { map_small(64 * PAGE), 64, 0 };
	struct uffdvram_migrate m;
	size_t len = 64 * PAGE;
	struct child c;

	ASSERT_EQ(0, uv_register(self->fd, f.mem, len, self->pool, NULL));
	fill_pages(f.mem, len, 3);
	c = child_start(family_child, &f);
	ASSERT_EQ(64, child_step(&c, STEP_PRESENT));
	ASSERT_EQ(0, mprotect(f.mem, len, PROT_NONE));
	ASSERT_EQ(0, uv_migrate(self->fd, f.mem, len, 0, &m));
	EXPECT_EQ(64, m.stayed[UFFDVRAM_STAY_SHARED]);
	EXPECT_EQ(ADDR(f.mem), m.first[UFFDVRAM_STAY_SHARED]);
	EXPECT_EQ(0, uv_slots_in_use());
	EXPECT_EQ(64, child_step(&c, STEP_PRESENT));
	EXPECT_EQ(0, child_step(&c, STEP_CHECK));
	EXPECT_EQ(0, child_end(&c));
	ASSERT_EQ(0, mprotect(f.mem, len, PROT_READ));
	EXPECT_EQ(0, check_each(f.mem, len, 3));
	munmap(f.mem, len);
}

/* The same the other way round: the child moves, the parent does not notice. */
TEST_F(vram, child_moves)
{
	struct family f = { map_small(64 * PAGE), 64, 0 };
	size_t len = 64 * PAGE, i;
	struct child c;
	uint64_t moved;

	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), UFFDVRAM_POOL_SHARED, &f.pool));
	fill_pages(f.mem, len, 3);
	c = child_start(family_child, &f);
	moved = child_step(&c, STEP_MOVE);
	EXPECT_GE(64, moved);
	for (i = 0; i < len; i += PAGE)
		EXPECT_NE(0, pagemap_entry(0, f.mem + i) & PAGEMAP_PRESENT);
	EXPECT_EQ(0, uv_in_vram(self->fd, f.mem, len));
	EXPECT_EQ(0, check_each(f.mem, len, 3));
	EXPECT_EQ(0, child_step(&c, STEP_CHECK));
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(0, check_each(f.mem, len, 3));
	EXPECT_EQ(0, uv_detach(self->fd, f.pool, 0, NULL));
	munmap(f.mem, len);
}

/* When the other process has gone, the pages are ours alone. */
TEST_F(vram, alone_again)
{
	struct family f = { map_small(32 * PAGE), 32, 0 };
	struct uffdvram_migrate m;
	size_t len = 32 * PAGE, i;
	struct child c;

	ASSERT_EQ(0, uv_register(self->fd, f.mem, len, self->pool, NULL));
	fill_pages(f.mem, len, 3);
	c = child_start(family_child, &f);
	EXPECT_EQ(0, child_step(&c, STEP_CHECK));
	EXPECT_EQ(0, child_end(&c));
	for (i = 0; i < len; i += PAGE)
		*(volatile char *)(f.mem + i) = f.mem[i];
	EXPECT_EQ(32, move_all(self->fd, f.mem, len, 0, &m));
	EXPECT_EQ(0, check_each(f.mem, len, 3));
	munmap(f.mem, len);
}

/* fork() of a process whose pages are in VRAM. */
TEST_F(vram, fork_while_in_vram)
{
	struct family f = { map_small(64 * PAGE), 64, 0 };
	struct uffdvram_migrate m;
	size_t len = 64 * PAGE;
	struct child c;
	int first;

	ASSERT_EQ(0, uv_register(self->fd, f.mem, len, self->pool, NULL));
	for (first = 0; first < 4; first++) {	/* who touches first, and how */
		fill_pages(f.mem, len, 3);
		ASSERT_EQ(64, move_all(self->fd, f.mem, len, 0, NULL));
		c = child_start(family_child, &f);
		switch (first) {
		case 0:
			EXPECT_EQ(0, child_step(&c, STEP_CHECK));
			EXPECT_EQ(0, check_each(f.mem, len, 3));
			break;
		case 1:
			EXPECT_EQ(0, check_each(f.mem, len, 3));
			EXPECT_EQ(0, child_step(&c, STEP_CHECK));
			break;
		case 2:
			EXPECT_EQ(0, child_step(&c, STEP_WRITE));
			EXPECT_EQ(0, check_each(f.mem, len, 3));
			break;
		case 3:
			fill_pages(f.mem, len, 5);
			EXPECT_EQ(0, child_step(&c, STEP_CHECK));
			EXPECT_EQ(0, check_each(f.mem, len, 5));
			break;
		}
		EXPECT_EQ(0, child_step(&c, STEP_WRITE));
		EXPECT_EQ(0, check_each(f.mem, len, first == 3 ? 5 : 3));
		EXPECT_EQ(0, child_step(&c, STEP_CHECK_WRITTEN));
		EXPECT_EQ(0, child_end(&c));
	}
	/* Shared in VRAM: MIGRATE finds it there, and brings it home for us. */
	fill_pages(f.mem, len, 3);
	ASSERT_EQ(64, move_all(self->fd, f.mem, len, 0, NULL));
	c = child_start(family_child, &f);
	ASSERT_EQ(0, uv_migrate(self->fd, f.mem, len, 0, &m));
	EXPECT_EQ(64, m.already);
	ASSERT_EQ(0, uv_migrate(self->fd, f.mem, len, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_TRUE(sum_ok(f.mem, len, &m));
	EXPECT_EQ(0, check_each(f.mem, len, 3));
	EXPECT_EQ(0, child_step(&c, STEP_CHECK));
	EXPECT_EQ(0, child_end(&c));
	munmap(f.mem, len);
}

static int heir_of_vram(int sock, void *arg)
{
	uint64_t word;

	if (child_hear(sock, &word))	/* ends when the parent's end closes */
		return 1;
	return check_each(arg, 32 * PAGE, 6) ? 2 : 0;
}

/* The process that owned the context dies; its child still has the pages. */
static int short_parent(int sock, void *arg)
{
	int fd = uv_open();
	char *mem = map_small(32 * PAGE);
	uint32_t pool;
	struct child c;

	(void)sock;
	(void)arg;
	if (fd < 0 || uv_attach(fd, MIB(2), 0, &pool) ||
	    uv_register(fd, mem, 32 * PAGE, pool, NULL))
		return 1;
	fill_pages(mem, 32 * PAGE, 6);
	if (move_all(fd, mem, 32 * PAGE, 0, NULL) != 32)
		return 2;
	c = child_start(heir_of_vram, mem);
	/* Our memory goes, the context and its pool too; the child's must not. */
	munmap(mem, 32 * PAGE);
	close(fd);
	return child_end(&c);
}

TEST_F(vram, pages_outlive_the_parents_mapping)
{
	EXPECT_EQ(0, run_child(short_parent, NULL));
	EXPECT_TRUE(uv_wait_slots(0));
}

TEST_HARNESS_MAIN
