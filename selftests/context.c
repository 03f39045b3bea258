// SPDX-License-Identifier: GPL-2.0-only
/*
 * A context acts on the memory of the process that opened it, whoever holds the
 * descriptor, and on nothing once that memory is gone.
 */
#include "kselftest_harness.h"

#include "util_mm.h"

#include <errno.h>
#include <fcntl.h>

#define PAGES	16
#define LEN	(PAGES * PAGE)
#define EXPEDITED	"/sys/kernel/rcu_expedited"

FIXTURE(context)
{
	int fd;
	uint32_t pool;
	uint64_t slots;
	char *mem;
};

FIXTURE_SETUP(context)
{
	self->slots = uv_slots_in_use();
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), UFFDVRAM_POOL_SHARED, &self->pool));
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
}

FIXTURE_TEARDOWN(context)
{
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(self->slots));
}

/* Everything that needs the memory of a context says that it is gone. */
static void expect_gone(struct __test_metadata *_metadata, int fd, void *mem)
{
	struct uffdvram_slot_run vec[1];
	struct uffdvram_migrate m;
	struct uffdvram_query q;
	struct uffdvram_info info;

	EXPECT_EQ(-ESRCH, uv_register(fd, mem, LEN, 0, NULL));
	EXPECT_EQ(-ESRCH, uv_migrate(fd, mem, LEN, 0, &m));
	EXPECT_EQ(0, m.done);
	EXPECT_EQ(-ESRCH, uv_migrate(fd, mem, LEN, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(-ESRCH, uv_query(fd, mem, LEN, &q));
	EXPECT_EQ(0, q.done);
	EXPECT_EQ(-ESRCH, uv_access_begin(fd, 0, mem, LEN, vec, 1, NULL));
	EXPECT_EQ(-ESRCH, uv_convert(fd, 0, mem, LEN, 0, NULL));
	EXPECT_EQ(-ESRCH, uv_convert(fd, UFFDVRAM_CONVERT_PRIVATE, mem, LEN, 0, NULL));
	EXPECT_EQ(0, uv_info(fd, &info));
	EXPECT_EQ(UFFDVRAM_ABI, info.abi);
}

struct opener {
	uint32_t pool;
	bool exec;
};

/* Moves memory into VRAM, gives its context away, and then goes in one of two ways. */
static int open_and_go(int sock, void *arg)
{
	struct opener *o = arg;
	int fd = uv_open();
	char *mem = map_small(LEN);
	uint64_t word;

	fill_pages(mem, LEN, 2);
	if (uv_register(fd, mem, LEN, o->pool, NULL) || uv_to_vram(fd, mem, LEN) != PAGES)
		return 1;
	if (fd_send(sock, fd))
		return 2;
	child_tell(sock, (uintptr_t)mem);
	if (!child_hear(sock, &word))
		return 3;
	return o->exec ? exec_and_listen(sock) : 0;
}

TEST_F(context, ends_with_exec)
{
	struct opener o = { self->pool, true };
	struct child c = child_start(open_and_go, &o);
	uint64_t addr;
	int fd;

	fd = fd_receive(c.fd);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(child_hear(c.fd, &addr));
	/* While the opener lives, we act on its memory with its descriptor. */
	EXPECT_EQ(PAGES, uv_in_vram(fd, (void *)addr, LEN));
	EXPECT_EQ(self->slots + PAGES, uv_slots_in_use());
	EXPECT_EQ(1, child_step(&c, 1));
	/* The process lives on; its memory does not. */
	EXPECT_TRUE(uv_wait_slots(self->slots));
	expect_gone(_metadata, fd, (void *)addr);
	EXPECT_EQ(0, child_end(&c));
	close(fd);
}

TEST_F(context, ends_with_exit)
{
	struct opener o = { self->pool, false };
	struct child c = child_start(open_and_go, &o);
	uint64_t addr;
	int fd;

	fd = fd_receive(c.fd);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(child_hear(c.fd, &addr));
	EXPECT_EQ(PAGES, uv_to_ram(fd, (void *)addr, LEN));
	EXPECT_EQ(PAGES, uv_to_vram(fd, (void *)addr, LEN));
	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
	EXPECT_TRUE(uv_wait_slots(self->slots));
	expect_gone(_metadata, fd, (void *)addr);
	close(fd);
}

/* A forked child has its parent's descriptor, and acts on its parent's memory. */
static int use_parents_context(int sock, void *arg)
{
	const struct { int fd; uint32_t pool; char *mem; } *p = arg;
	struct uffdvram_region vec[4];
	struct uffdvram_query q;
	char *own = map_small(LEN);
	uint64_t word;

	fill_pages(own, LEN, 3);
	/* What only the child has is a hole for the context. */
	if (uv_register(p->fd, own, LEN, p->pool, NULL) != -ENOENT)
		return 1;
	/* The parent unmaps it only in its own memory... */
	munmap(p->mem, LEN);
	child_tell(sock, 1);
	if (!child_hear(sock, &word))
		return 2;
	/* ...and the child moves the parent's: its own has a hole there. */
	if (uv_register(p->fd, p->mem, LEN, p->pool, NULL))
		return 3;
	if (uv_to_vram(p->fd, p->mem, LEN) != PAGES)
		return 4;
	/* What the ioctl writes goes to the caller. */
	q = (struct uffdvram_query){ .addr = (uintptr_t)p->mem, .len = LEN };
	if (uv_query_vec(p->fd, &q, vec, 4) || q.used != 1 ||
	    vec[0].start != (uintptr_t)p->mem || vec[0].end != (uintptr_t)p->mem + LEN ||
	    vec[0].state != UFFDVRAM_STATE_VRAM)
		return 5;
	if (check_pages(own, LEN, 3) != -1)
		return 6;
	return 0;
}

TEST_F(context, in_a_forked_child)
{
	struct { int fd; uint32_t pool; char *mem; } p = { self->fd, self->pool, self->mem };
	struct child c = child_start(use_parents_context, &p);
	uint64_t word;

	/* The child unmaps its copy of the pages first, so that they are ours alone. */
	EXPECT_TRUE(child_hear(c.fd, &word));
	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(-EBUSY, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* The same addresses of two processes are two pieces of memory. */
static int register_same_addresses(int sock, void *arg)
{
	const struct { int fd; uint32_t pool; char *mem; } *p = arg;
	int fd = uv_open();

	(void)sock;
	if (uv_register(fd, p->mem, LEN, p->pool, NULL))
		return 1;
	return 0;
}

TEST_F(context, same_addresses_in_two_processes)
{
	struct { int fd; uint32_t pool; char *mem; } p = { self->fd, self->pool, self->mem };

	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	EXPECT_EQ(0, run_child(register_same_addresses, &p));
	/* The end of the child's range is not the end of ours. */
	EXPECT_EQ(-EBUSY, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	EXPECT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(context, two_descriptors_of_one_context)
{
	int fd = uv_open(), copy = dup(fd);

	ASSERT_EQ(0, uv_register(fd, self->mem, LEN, self->pool, NULL));
	close(fd);
	EXPECT_EQ(-EBUSY, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	EXPECT_EQ(PAGES, uv_to_vram(copy, self->mem, LEN));
	/* The last one ends it, and a worker brings the pages home. */
	close(copy);
	EXPECT_TRUE(uv_wait_slots(self->slots));
	EXPECT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, NULL));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* Opens and closes until @end, and once where that is over before it begins. */
static int come_and_go(int sock, void *end)
{
	int fd;

	(void)sock;
	do {
		fd = uv_open();
		if (fd < 0)
			return 2;
		close(fd);
	} while (now_ns() < *(uint64_t *)end);
	return 0;
}

/*
 * What watches an address space is freed after a grace period. When those are short, it
 * may go before the last context has left it, if that one is preempted: there are many.
 * Only KASAN sees who looks at it then.
 */
TEST(contexts_come_and_go)
{
	uint64_t end = now_ns() + 3000000000ULL;
	struct child c[16];

	ASSERT_EQ(0, file_write(EXPEDITED, "1"));
	for (unsigned int i = 0; i < ARRAY_SIZE(c); i++)
		c[i] = child_start(come_and_go, &end);
	for (unsigned int i = 0; i < ARRAY_SIZE(c); i++)
		EXPECT_EQ(0, child_end(&c[i]));
	EXPECT_EQ(0, file_write(EXPEDITED, "0"));
}

TEST_HARNESS_MAIN
