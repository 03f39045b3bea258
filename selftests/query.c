// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* QUERY: where each page lives, exactly, piece by piece, for any address. */
#include "kselftest_harness.h"

#include "util_mm.h"

#include <errno.h>
#include <sys/mman.h>

#define PAGES		32
#define LEN		(PAGES * PAGE)
#define VEC		64

FIXTURE(query)
{
	int fd;
	uint32_t pool;
	uint64_t slots;
	char *mem;
	struct uffdvram_region vec[VEC];
};

FIXTURE_SETUP(query)
{
	self->slots = uv_slots_in_use();
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(4), 0, &self->pool));
	self->mem = map_small(LEN);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	memset(self->vec, 0xa5, sizeof(self->vec));
}

FIXTURE_TEARDOWN(query)
{
	uv_knob_set("delay_us", "0");
	close(self->fd);
	munmap(self->mem, LEN);
	EXPECT_TRUE(uv_wait_slots(self->slots));
}

/* Everything about @addr; @vec may be NULL. */
static int query(int fd, const void *addr, size_t len, struct uffdvram_region *vec,
		 struct uffdvram_query *q)
{
	memset(q, 0xa5, sizeof(*q));
	q->flags = 0;
	q->addr = (uintptr_t)addr;
	q->len = len;
	return uv_query_vec(fd, q, vec, vec ? VEC : 0);
}

/* One letter for each page of a range: what vec says about it. */
static void map_of(const struct uffdvram_query *q, const struct uffdvram_region *vec, char *map)
{
	memset(map, '?', PAGES);
	map[PAGES] = 0;
	for (uint64_t i = 0; i < q->used; i++)
		for (uint64_t a = vec[i].start; a < vec[i].end; a += PAGE)
			if (a - q->addr < LEN)
				map[(a - q->addr) / PAGE] = "orVp"[vec[i].state & 3];
}

/* Pages by letter: V in VRAM, r in RAM, o nowhere, in the order of @map. */
static void make(struct __test_metadata *_metadata, int fd, char *mem, const char *map)
{
	for (size_t i = 0; map[i]; i++) {
		if (map[i] == 'o')
			continue;
		fill_pages(mem + i * PAGE, PAGE, 1);
		if (map[i] == 'V') {
			ASSERT_EQ(1, uv_to_vram(fd, mem + i * PAGE, PAGE));
		}
	}
}

static const char mixed[] = "ooVVVrroVrVrVoorrrrrVVVVVVVVVVVo";

TEST_F(query, states_and_counts)
{
	struct uffdvram_query q;
	char map[PAGES + 1];

	make(_metadata, self->fd, self->mem, mixed);
	ASSERT_EQ(0, query(self->fd, self->mem, LEN, self->vec, &q));
	EXPECT_EQ(LEN, q.done);
	EXPECT_EQ(13, q.used);
	EXPECT_EQ(6, q.count[UFFDVRAM_STATE_OTHER]);
	EXPECT_EQ(9, q.count[UFFDVRAM_STATE_PRESENT]);
	EXPECT_EQ(17, q.count[UFFDVRAM_STATE_VRAM]);
	for (int i = UFFDVRAM_STATE_POISON; i < UFFDVRAM_STATE_MAX_; i++) {
		EXPECT_EQ(0, q.count[i]);
	}
	map_of(&q, self->vec, map);
	EXPECT_STREQ(mixed, map);
	/* It did not move anything, or bring anything in. */
	ASSERT_EQ(0, query(self->fd, self->mem, LEN, self->vec, &q));
	map_of(&q, self->vec, map);
	EXPECT_STREQ(mixed, map);
}

/* Regions follow each other, and two neighbours always differ. */
static void expect_regions(struct __test_metadata *_metadata, const struct uffdvram_query *q,
			   const struct uffdvram_region *vec)
{
	uint64_t at = q->addr;

	for (uint64_t i = 0; i < q->used; i++) {
		EXPECT_EQ(at, vec[i].start);
		EXPECT_GT(vec[i].end, vec[i].start);
		EXPECT_EQ(0, vec[i].end % PAGE);
		EXPECT_GE(UFFDVRAM_STATE_POISON, vec[i].state);
		if (i) {
			EXPECT_FALSE(vec[i].state == vec[i - 1].state &&
				     vec[i].flags == vec[i - 1].flags);
		}
		at = vec[i].end;
	}
	EXPECT_EQ(q->addr + q->done, at);
}

TEST_F(query, regions_are_merged)
{
	struct uffdvram_query q;

	make(_metadata, self->fd, self->mem, mixed);
	ASSERT_EQ(0, query(self->fd, self->mem, LEN, self->vec, &q));
	expect_regions(_metadata, &q, self->vec);
	/* Elements behind the last one are not touched. */
	EXPECT_EQ(0xa5a5a5a5a5a5a5a5, self->vec[q.used].start);
	/* A split of the mapping is no border. */
	ASSERT_EQ(0, mprotect(self->mem + 25 * PAGE, PAGE, PROT_READ));
	ASSERT_EQ(0, query(self->fd, self->mem, LEN, self->vec, &q));
	EXPECT_EQ(13, q.used);
	expect_regions(_metadata, &q, self->vec);
}

/* With any room for the answer, the pieces add up to the whole. */
TEST_F(query, resumed_with_any_vec_len)
{
	struct uffdvram_region part[VEC];
	struct uffdvram_query whole, q;

	make(_metadata, self->fd, self->mem, mixed);
	ASSERT_EQ(0, query(self->fd, self->mem, LEN, self->vec, &whole));
	for (size_t room = 1; room <= whole.used + 1; room++) {
		uint64_t done = 0, used = 0, count[UFFDVRAM_STATE_MAX_] = {};

		while (done < LEN) {
			memset(&q, 0xa5, sizeof(q));
			q.flags = 0;
			q.addr = (uintptr_t)self->mem + done;
			q.len = LEN - done;
			memset(part, 0xa5, sizeof(part));
			ASSERT_EQ(0, uv_query_vec(self->fd, &q, part, room));
			ASSERT_LT(0, q.done);
			ASSERT_LE(q.used, room);
			ASSERT_LE(used + q.used, whole.used);
			EXPECT_EQ(0xa5a5a5a5a5a5a5a5, part[q.used].start);
			expect_regions(_metadata, &q, part);
			EXPECT_EQ(0, memcmp(part, self->vec + used, q.used * sizeof(*part)));
			/* Short only because it was full. */
			if (q.done < q.len) {
				EXPECT_EQ(room, q.used);
			}
			for (int i = 0; i < UFFDVRAM_STATE_MAX_; i++)
				count[i] += q.count[i];
			used += q.used;
			done += q.done;
		}
		EXPECT_EQ(LEN, done);
		EXPECT_EQ(whole.used, used);
		EXPECT_EQ(0, memcmp(count, whole.count, sizeof(count)));
	}
}

TEST_F(query, counts_without_vec)
{
	struct uffdvram_query with, without;

	make(_metadata, self->fd, self->mem, mixed);
	ASSERT_EQ(0, query(self->fd, self->mem, LEN, self->vec, &with));
	ASSERT_EQ(0, query(self->fd, self->mem, LEN, NULL, &without));
	EXPECT_EQ(0, without.used);
	EXPECT_EQ(LEN, without.done);
	EXPECT_EQ(0, memcmp(with.count, without.count, sizeof(with.count)));
}

TEST_F(query, wrong_arguments)
{
	const struct { uint64_t addr, len, vec, vec_len; int err; } bad[] = {
		{ 1, PAGE, 0, 0, -EINVAL },
		{ 0, PAGE + 1, 0, 0, -EINVAL },
		{ 0, 0, 0, 0, -EINVAL },
		{ 0, -PAGE, 0, 0, -EINVAL },
		{ 0, LEN, (uintptr_t)self->vec, 0, -EINVAL },
		{ 0, LEN, 0, 4, -EINVAL },
		{ 0, LEN, PAGE, 4, -EFAULT },
		{ 0, LEN, 0xffff888000000000, 4, -EFAULT },
		{ 0, LEN, 1ULL << 63, 1ULL << 62, -EFAULT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct uffdvram_query q;

		memset(&q, 0xa5, sizeof(q));
		q.flags = 0;
		q.addr = (uintptr_t)self->mem + bad[i].addr;
		q.len = bad[i].len;
		EXPECT_EQ(bad[i].err, uv_query_vec(self->fd, &q, (void *)bad[i].vec,
						   bad[i].vec_len))
			TH_LOG("case %zu", i);
		EXPECT_EQ(0, q.done);
		EXPECT_EQ(0, q.used);
	}
}

/* A vec that runs into memory that is not there: what was told stays told. */
TEST_F(query, vec_ends_early)
{
	char *room = map_small(PAGE);
	struct uffdvram_region *vec = (void *)(room + PAGE - 3 * sizeof(*vec));
	struct uffdvram_query q = { .addr = (uintptr_t)self->mem, .len = LEN };

	make(_metadata, self->fd, self->mem, mixed);
	EXPECT_EQ(-EFAULT, uv_query_vec(self->fd, &q, vec, VEC));
	EXPECT_GE(3, q.used);
	EXPECT_GT(LEN, q.done);
	expect_regions(_metadata, &q, vec);
	q = (struct uffdvram_query){ .addr = (uintptr_t)self->mem, .len = LEN };
	EXPECT_EQ(0, uv_query_vec(self->fd, &q, vec, 3));
	EXPECT_EQ(3, q.used);
	munmap(room, PAGE);
}

/* The answer may itself have to come out of VRAM. */
TEST_F(query, vec_in_vram)
{
	struct uffdvram_region *vec = (void *)self->mem;
	struct uffdvram_query q;

	make(_metadata, self->fd, self->mem, "VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV");
	ASSERT_EQ(0, query(self->fd, self->mem, LEN, vec, &q));
	EXPECT_EQ(1, q.used);
	EXPECT_EQ(PAGES, q.count[UFFDVRAM_STATE_VRAM]);
	EXPECT_EQ((uintptr_t)self->mem, vec[0].start);
	EXPECT_EQ((uintptr_t)self->mem + LEN, vec[0].end);
	/* That page is at home now. */
	EXPECT_EQ(PAGES - 1, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem + PAGE, LEN - PAGE, 1));
}

/* Any addresses may be asked for, ranges or not, memory or not. */
TEST_F(query, any_address)
{
	static const char text[] = "here";
	char *plain = map_small(4 * PAGE);
	struct uffdvram_query q;

	plain[PAGE] = 1;
	ASSERT_EQ(0, query(self->fd, plain - PAGE, 6 * PAGE, self->vec, &q));
	EXPECT_EQ(6 * PAGE, q.done);
	EXPECT_EQ(1, q.count[UFFDVRAM_STATE_PRESENT]);
	EXPECT_EQ(5, q.count[UFFDVRAM_STATE_OTHER]);
	EXPECT_EQ(3, q.used);
	expect_regions(_metadata, &q, self->vec);
	/* Memory of a file, of the kernel, of nobody: not ours, but an answer. */
	ASSERT_EQ(0, query(self->fd, (void *)((uintptr_t)text & -PAGE), PAGE, self->vec, &q));
	EXPECT_EQ(1, q.count[UFFDVRAM_STATE_PRESENT] + q.count[UFFDVRAM_STATE_OTHER]);
	EXPECT_EQ(1, q.used);
	ASSERT_EQ(0, query(self->fd, NULL, PAGE, self->vec, &q));
	EXPECT_EQ(1, q.count[UFFDVRAM_STATE_OTHER]);
	/* Empty page tables are passed in big steps: 64 TiB take no time. */
	ASSERT_EQ(0, query(self->fd, (void *)(1UL << 30), 1UL << 46, NULL, &q));
	EXPECT_EQ(1UL << 46, q.done);
	munmap(plain, 4 * PAGE);
}

TEST_F(query, unregistered_pages_in_vram)
{
	const size_t len = 256 * PAGE;
	uint32_t range;
	char *mem = map_small(len);

	fill_pages(mem, len, 2);
	ASSERT_EQ(0, uv_register(self->fd, mem, len, self->pool, &range));
	ASSERT_EQ(256, uv_to_vram(self->fd, mem, len));
	/* The worker brings home some at a time, too slowly for us to miss the rest. */
	uv_knob_set("delay_us", "300000");
	ASSERT_EQ(0, uv_unregister(self->fd, range));
	EXPECT_LT(0, uv_in_vram(self->fd, mem, len));
	uv_knob_set("delay_us", "0");
	EXPECT_TRUE(uv_wait_slots(self->slots));
	EXPECT_EQ(0, uv_in_vram(self->fd, mem, len));
	EXPECT_EQ(-1, check_pages(mem, len, 2));
	munmap(mem, len);
}

TEST_F(query, poison_markers)
{
	struct uffdvram_query q;
	char map[PAGES + 1];
	int uffd = uffd_open(0);

	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, uffd_zeropage(uffd, self->mem, PAGE));
	ASSERT_EQ(0, uffd_poison(uffd, self->mem + 3 * PAGE, 5 * PAGE));
	ASSERT_EQ(0, query(self->fd, self->mem, LEN, self->vec, &q));
	EXPECT_EQ(5, q.count[UFFDVRAM_STATE_POISON]);
	EXPECT_EQ(PAGES - 6, q.count[UFFDVRAM_STATE_OTHER]);
	EXPECT_EQ(1, q.count[UFFDVRAM_STATE_PRESENT]);
	EXPECT_EQ(4, q.used);
	map_of(&q, self->vec, map);
	EXPECT_STREQ("rooppppp""oooooooooooooooooooooooo", map);
	close(uffd);
}

/* The marker of write protection is a hole, not poison. */
TEST_F(query, write_protect_markers)
{
	struct uffdvram_query q;
	int uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED);

	ASSERT_LE(0, uffd);
	ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_WP));
	self->mem[PAGE] = 1;
	ASSERT_EQ(0, uffd_wp(uffd, self->mem, LEN, true));
	ASSERT_EQ(0, query(self->fd, self->mem, LEN, self->vec, &q));
	EXPECT_EQ(0, q.count[UFFDVRAM_STATE_POISON]);
	EXPECT_EQ(1, q.count[UFFDVRAM_STATE_PRESENT]);
	EXPECT_EQ(PAGES - 1, q.count[UFFDVRAM_STATE_OTHER]);
	close(uffd);
}

TEST_F(query, lost_pages_are_poison)
{
	struct uffdvram_query q;
	char map[PAGES + 1];

	make(_metadata, self->fd, self->mem, "VVVV");
	uv_knob_set("fail_to_ram", "1");
	EXPECT_EQ(SIGBUS, read_byte(self->mem + 2 * PAGE).signo);
	ASSERT_EQ(0, query(self->fd, self->mem, LEN, self->vec, &q));
	map_of(&q, self->vec, map);
	EXPECT_EQ(0, strncmp("VVpVoooo", map, 8))
		TH_LOG("%s", map);
	EXPECT_EQ(1, q.count[UFFDVRAM_STATE_POISON]);
	EXPECT_EQ(3, q.count[UFFDVRAM_STATE_VRAM]);
}

TEST_F(query, swapped_pages)
{
	struct uffdvram_query q;

	if (!swap_on())
		SKIP(return, "no zram on this machine");
	make(_metadata, self->fd, self->mem, "VVVVrrrrrrrrrrrr");
	ASSERT_TRUE(swap_out(self->mem + 4 * PAGE, 12));
	ASSERT_EQ(0, query(self->fd, self->mem, LEN, self->vec, &q));
	EXPECT_EQ(4, q.count[UFFDVRAM_STATE_VRAM]);
	EXPECT_EQ(0, q.count[UFFDVRAM_STATE_PRESENT]);
	EXPECT_EQ(PAGES - 4, q.count[UFFDVRAM_STATE_OTHER]);
	EXPECT_EQ(-1, check_pages(self->mem, 16 * PAGE, 1));
	swap_off();
}

TEST_F(query, huge_pages)
{
	struct uffdvram_query q;
	char *huge = map_huge(2 * HUGE);

	ASSERT_TRUE(fill_huge(self->fd, huge, HUGE, 1));
	ASSERT_EQ(0, query(self->fd, huge, 2 * HUGE, self->vec, &q));
	EXPECT_EQ(2 * HUGE, q.done);
	EXPECT_EQ(HUGE / PAGE, q.count[UFFDVRAM_STATE_HUGE]);
	EXPECT_EQ(HUGE / PAGE, q.count[UFFDVRAM_STATE_PRESENT]);
	EXPECT_EQ(HUGE / PAGE, q.count[UFFDVRAM_STATE_OTHER]);
	ASSERT_EQ(2, q.used);
	EXPECT_EQ(UFFDVRAM_REGION_HUGE, self->vec[0].flags);
	EXPECT_EQ(UFFDVRAM_STATE_PRESENT, self->vec[0].state);
	EXPECT_EQ(0, self->vec[1].flags);
	/* A piece of a huge page, from its middle. */
	ASSERT_EQ(0, query(self->fd, huge + 5 * PAGE, 7 * PAGE, self->vec, &q));
	EXPECT_EQ(7, q.count[UFFDVRAM_STATE_HUGE]);
	EXPECT_EQ(7 * PAGE, q.done);
	/* Split: the same pages, mapped one by one. */
	ASSERT_EQ(0, mprotect(huge, PAGE, PROT_READ));
	ASSERT_EQ(0, query(self->fd, huge, HUGE, self->vec, &q));
	EXPECT_EQ(0, q.count[UFFDVRAM_STATE_HUGE]);
	EXPECT_EQ(HUGE / PAGE, q.count[UFFDVRAM_STATE_PRESENT]);
	EXPECT_EQ(1, q.used);
	munmap(huge, 2 * HUGE);
}

TEST_HARNESS_MAIN
