// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules that every ioctl follows, for each line of UFFDVRAM_IOCTLS: lengths,
 * tails, flags, reserved members, output members, bad pointers; and what is no
 * ioctl of ours. A new line only needs its two functions in framework_calls.h, and ioctls.h.
 */
#include "kselftest_harness.h"

#include "framework_calls.h"
#include "ioctls.h"
#include "util.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

FIXTURE(ioctl)
{
	struct bench b;
	int fds;
	uint64_t slots;
	uint32_t n_pools;
};

FIXTURE_VARIANT(ioctl)
{
	unsigned long cmd;
	size_t size;
	size_t min;
	uint32_t flags;
	void (*prepare)(struct bench *b, void *arg);
	bool (*undo)(struct bench *b, void *arg);
	size_t out, out_end;
	size_t reserved[4];
};

#define VARIANT(NAME, name, last)			\
	FIXTURE_VARIANT_ADD(ioctl, name) {		\
		.cmd = UFFDVRAM_##NAME,			\
		.size = sizeof(struct uffdvram_##name),	\
		.min = END(name, last),			\
		.flags = NAME##_FLAGS,			\
		.prepare = name##_prepare,		\
		.undo = name##_undo,			\
		OUT(name, NAME##_OUT),			\
		.reserved = { NAME##_RESERVED },	\
	};
UFFDVRAM_IOCTLS(VARIANT)

static uint32_t pools_seen(int fd)
{
	struct uffdvram_info info;

	return uv_info(fd, &info) ? ~0U : info.n_pools;
}

FIXTURE_SETUP(ioctl)
{
	struct bench *b = &self->b;

	self->slots = uv_slots_in_use();
	b->fd = uv_open();
	ASSERT_LE(0, b->fd);
	b->pidfd = pidfd_of(getpid());
	ASSERT_LE(0, b->pidfd);
	b->mem = map_small(RANGE_BYTES);
	b->spare = map_small(RANGE_BYTES);
	b->buf = map_small(3 * PAGE);
	fill_pages(b->mem, RANGE_BYTES, 1);
	ASSERT_EQ(0, mprotect(b->buf + 2 * PAGE, PAGE, PROT_NONE));
	ASSERT_EQ(0, uv_attach(b->fd, POOL_BYTES, 0, &b->pool));
	ASSERT_EQ(0, uv_register(b->fd, b->mem, RANGE_BYTES, b->pool, &b->range));
	/* No passing reference keeps one of them at home in the tests of MIGRATE. */
	ASSERT_EQ(RANGE_BYTES / PAGE, uv_to_vram(b->fd, b->mem, RANGE_BYTES));
	self->fds = count_fds();
	self->n_pools = pools_seen(b->fd);
}

/* Whatever a test did: nothing is left over, and nothing got lost. */
FIXTURE_TEARDOWN(ioctl)
{
	struct bench *b = &self->b;

	if (b->victim_range) {
		EXPECT_EQ(0, uv_unregister(b->fd, b->victim_range));
	}
	if (b->victim_pool) {
		EXPECT_EQ(0, uv_detach(b->fd, b->victim_pool, 0, NULL));
	}
	EXPECT_EQ(self->fds, count_fds());
	EXPECT_EQ(self->n_pools, pools_seen(b->fd));
	EXPECT_EQ(-EBUSY, uv_register(b->fd, b->mem, RANGE_BYTES, 0, NULL));
	EXPECT_EQ(0, uv_register(b->fd, b->spare, RANGE_BYTES, 0, NULL));
	EXPECT_EQ(-1, check_pages(b->mem, RANGE_BYTES, 1));
	close(b->fd);
	EXPECT_TRUE(uv_wait_slots(self->slots));
}

/* A good argument at @arg, with @extra zeroes after it. */
static void *good(struct bench *b, const FIXTURE_VARIANT(ioctl) *v, void *arg, size_t extra)
{
	memset(arg, 0, v->size + extra);
	v->prepare(b, arg);
	*(uint32_t *)arg = v->size + extra;
	return arg;
}

static int issue(struct bench *b, const FIXTURE_VARIANT(ioctl) *v, void *arg)
{
	int ret = uv_ioctl(b->fd, v->cmd, arg);

	if (!ret && !v->undo(b, arg))
		return -EPROTO;		/* a success with a wrong answer */
	return ret;
}

TEST_F(ioctl, too_short)
{
	uint32_t *arg = good(&self->b, variant, self->b.buf, 0);

	ASSERT_LE(variant->min, variant->size);
	for (uint32_t size = 0; size < variant->min; size++) {
		*arg = size;
		EXPECT_EQ(-EINVAL, issue(&self->b, variant, arg))
			TH_LOG("size %u", size);
	}
}

/* The least length of the first release and every one up to today's are taken. */
TEST_F(ioctl, from_least_to_exact)
{
	for (uint32_t size = variant->min; size <= variant->size; size += 4) {
		uint32_t *arg = good(&self->b, variant, self->b.buf, 0);

		*arg = size;
		EXPECT_EQ(0, issue(&self->b, variant, arg))
			TH_LOG("size %u", size);
		EXPECT_EQ(size, *arg);
	}
}

TEST_F(ioctl, longer_with_zero_tail)
{
	static const uint32_t extra[] = { 1, 4, 8, 64, 1000 };
	char *tail;

	for (size_t i = 0; i < ARRAY_SIZE(extra); i++) {
		char *arg = good(&self->b, variant, self->b.buf, extra[i]);

		EXPECT_EQ(0, issue(&self->b, variant, arg))
			TH_LOG("%u bytes longer", extra[i]);
		EXPECT_EQ(variant->size + extra[i], *(uint32_t *)arg);
		for (tail = arg + variant->size; tail < arg + variant->size + extra[i]; tail++)
			ASSERT_EQ(0, *tail);
	}
	good(&self->b, variant, self->b.buf, PAGE - variant->size);
	EXPECT_EQ(0, issue(&self->b, variant, self->b.buf));
}

TEST_F(ioctl, longer_with_other_tail)
{
	static const uint32_t extra[] = { 1, 4, 9, 64 };

	for (size_t i = 0; i < ARRAY_SIZE(extra); i++) {
		for (uint32_t at = 0; at < extra[i]; at++) {
			char *arg = good(&self->b, variant, self->b.buf, extra[i]);

			arg[variant->size + at] = 1;
			EXPECT_EQ(-E2BIG, issue(&self->b, variant, arg))
				TH_LOG("%u bytes longer, byte %u set", extra[i], at);
		}
	}
	good(&self->b, variant, self->b.buf, PAGE - variant->size);
	self->b.buf[PAGE - 1] = 1;
	EXPECT_EQ(-E2BIG, issue(&self->b, variant, self->b.buf));
}

TEST_F(ioctl, longer_than_a_page)
{
	static const uint32_t size[] = { PAGE + 1, 2 * PAGE, 1 << 20, 1U << 31, ~0U };

	for (size_t i = 0; i < ARRAY_SIZE(size); i++) {
		uint32_t *arg = good(&self->b, variant, self->b.buf, 2 * PAGE - variant->size);

		*arg = size[i];
		EXPECT_EQ(-E2BIG, issue(&self->b, variant, arg))
			TH_LOG("size %u", size[i]);
	}
}

TEST_F(ioctl, bad_pointers)
{
	struct bench *b = &self->b;
	char *end = b->buf + 2 * PAGE;
	uint32_t head = variant->size;

	EXPECT_EQ(-EFAULT, issue(b, variant, NULL));
	EXPECT_EQ(-EFAULT, issue(b, variant, end));
	EXPECT_EQ(-EFAULT, issue(b, variant, (void *)0xffff888000000000UL));
	EXPECT_EQ(-EFAULT, issue(b, variant, (void *)~0UL));
	/* The last byte that can be read is some byte of the structure. */
	for (size_t inside = 1; inside < variant->size; inside++) {
		memset(end - inside, 0, inside);
		memcpy(end - inside, &head, inside < 4 ? inside : 4);
		EXPECT_EQ(-EFAULT, issue(b, variant, end - inside))
			TH_LOG("%zu bytes can be read", inside);
	}
	/* All of it, then nothing; and where no alignment is. */
	EXPECT_EQ(0, issue(b, variant, good(b, variant, end - variant->size, 0)));
	EXPECT_EQ(0, issue(b, variant, good(b, variant, b->buf + 1, 0)));
	/* The tail cannot be read. */
	good(b, variant, end - variant->size, 0);
	head += 8;
	memcpy(end - variant->size, &head, 4);
	EXPECT_EQ(-EFAULT, issue(b, variant, end - variant->size));
}

/* What cannot be told to the caller is not made: the teardown finds nothing. */
TEST_F(ioctl, answer_cannot_be_written)
{
	struct bench *b = &self->b;
	int ret;

	if (variant->cmd == UFFDVRAM_RANGE_UNREGISTER || variant->cmd == UFFDVRAM_POOL_DETACH ||
	    variant->cmd == UFFDVRAM_ACCESS_END)
		return;		/* these end things: there is nothing to take back */
	good(b, variant, b->buf, 0);
	ASSERT_EQ(0, mprotect(b->buf, PAGE, PROT_READ));
	ret = uv_ioctl(b->fd, variant->cmd, b->buf);
	EXPECT_EQ(-EFAULT, ret);
	ASSERT_EQ(0, mprotect(b->buf, PAGE, PROT_READ | PROT_WRITE));
}

TEST_F(ioctl, unknown_flags)
{
	for (int bit = 0; bit < 32; bit++) {
		uint32_t *arg = good(&self->b, variant, self->b.buf, 0);

		if (variant->flags & 1U << bit)
			continue;
		arg[1] = 1U << bit;
		EXPECT_EQ(-EOPNOTSUPP, issue(&self->b, variant, arg))
			TH_LOG("bit %d", bit);
	}
}

TEST_F(ioctl, reserved_members)
{
	for (int n = 0; variant->reserved[n]; n++) {
		char *arg = good(&self->b, variant, self->b.buf, 0);

		*(uint32_t *)(arg + variant->reserved[n]) = PAGE;
		EXPECT_EQ(-EINVAL, issue(&self->b, variant, arg))
			TH_LOG("member at offset %zu", variant->reserved[n]);
	}
}

TEST_F(ioctl, output_members_are_no_input)
{
	char *arg = good(&self->b, variant, self->b.buf, 0);

	if (variant->out)
		memset(arg + variant->out, 0xa5, variant->out_end - variant->out);
	/* Some are asked for, too. */
	variant->prepare(&self->b, arg);
	EXPECT_EQ(0, issue(&self->b, variant, arg));
}

/* @done is written on errors, too, and nothing else is made up. */
TEST(done_is_always_written)
{
	static const struct { uint64_t off, len; uint32_t flags; int err; } bad[] = {
		{ 1, PAGE, 0, -EINVAL }, { 0, 1, 0, -EINVAL }, { 0, 0, 0, -EINVAL },
		{ 0, PAGE, 1U << 31, -EOPNOTSUPP }, { 0, PAGE, 0, -ENOENT },
	};
	char *mem = map_small(PAGE);
	int fd = uv_open();

	ASSERT_LE(0, fd);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct uffdvram_migrate m;
		struct uffdvram_query q;

		memset(&m, 0xa5, sizeof(m));
		m.size = sizeof(m);
		m.flags = bad[i].flags;
		m.addr = (uintptr_t)mem + bad[i].off;
		m.len = bad[i].len;
		EXPECT_EQ(bad[i].err, uv_ioctl(fd, UFFDVRAM_MIGRATE, &m));
		EXPECT_EQ(0, m.done);
		EXPECT_EQ(0, m.moved);
		EXPECT_EQ(0, uv_stayed(&m));
		if (bad[i].err == -ENOENT)
			continue;	/* QUERY knows all addresses */
		memset(&q, 0xa5, sizeof(q));
		q.flags = bad[i].flags;
		q.addr = m.addr;
		q.len = m.len;
		EXPECT_EQ(bad[i].err, uv_query_vec(fd, &q, NULL, 0));
		EXPECT_EQ(0, q.done);
		EXPECT_EQ(0, q.count[UFFDVRAM_STATE_OTHER]);
	}
	close(fd);
}

static bool is_ours(unsigned long cmd)
{
#define IS_IT(NAME, name, last)		|| cmd == UFFDVRAM_##NAME
	return false UFFDVRAM_IOCTLS(IS_IT);
#undef IS_IT
}

TEST(numbers_that_are_no_ioctl)
{
	static char arg[PAGE];
	int fd = uv_open();

	ASSERT_LE(0, fd);
	for (unsigned int nr = 0; nr < 256; nr++) {
		if (!is_ours(_IO(UFFDVRAM_TYPE, nr))) {
			EXPECT_EQ(-ENOTTY, uv_ioctl(fd, _IO(UFFDVRAM_TYPE, nr), arg))
				TH_LOG("number %u", nr);
		}
		EXPECT_EQ(-ENOTTY, uv_ioctl(fd, _IOWR(UFFDVRAM_TYPE, nr, struct uffdvram_info),
					    arg));
		EXPECT_EQ(-ENOTTY, uv_ioctl(fd, _IOR(UFFDVRAM_TYPE, nr, int), arg));
	}
	for (unsigned int type = 0; type < 256; type++) {
		if (type == UFFDVRAM_TYPE)
			continue;
		for (unsigned int nr = UFFDVRAM_CMD_BASE; nr < UFFDVRAM_CMD_END; nr++) {
			EXPECT_EQ(-ENOTTY, uv_ioctl(fd, _IO(type, nr), arg))
				TH_LOG("type %u", type);
		}
	}
	/* Nothing looks at the upper half of a command. */
	EXPECT_EQ(-ENOTTY, uv_ioctl(fd, 0, arg));
	EXPECT_EQ(-ENOTTY, uv_ioctl(fd, ~0U, arg));
	close(fd);
}

TEST(numbers_are_frozen)
{
	EXPECT_EQ(0x80, UFFDVRAM_CMD_BASE);
	EXPECT_EQ(_IO(0xF5, 0x80), UFFDVRAM_INFO);
	EXPECT_EQ(_IO(0xF5, 0x81), UFFDVRAM_OPEN_PID);
	EXPECT_EQ(_IO(0xF5, 0x82), UFFDVRAM_POOL_ATTACH);
	EXPECT_EQ(_IO(0xF5, 0x83), UFFDVRAM_POOL_DETACH);
	EXPECT_EQ(_IO(0xF5, 0x84), UFFDVRAM_RANGE_REGISTER);
	EXPECT_EQ(_IO(0xF5, 0x85), UFFDVRAM_RANGE_UNREGISTER);
	EXPECT_EQ(_IO(0xF5, 0x86), UFFDVRAM_MIGRATE);
	EXPECT_EQ(_IO(0xF5, 0x87), UFFDVRAM_QUERY);
	EXPECT_EQ(_IO(0xF5, 0x88), UFFDVRAM_COPY);
	EXPECT_EQ(_IO(0xF5, 0x89), UFFDVRAM_POISON);
	EXPECT_EQ(_IO(0xF5, 0x8a), UFFDVRAM_POISON_LIST);
	EXPECT_EQ(_IO(0xF5, 0x8b), UFFDVRAM_HARVEST);
	EXPECT_EQ(_IO(0xF5, 0x8c), UFFDVRAM_ACCESS_BEGIN);
	EXPECT_EQ(_IO(0xF5, 0x8d), UFFDVRAM_ACCESS_END);
	EXPECT_EQ(_IO(0xF5, 0x8e), UFFDVRAM_CONVERT);
	EXPECT_EQ(56, sizeof(struct uffdvram_info));
	EXPECT_EQ(16, sizeof(struct uffdvram_open_pid));
	EXPECT_EQ(48, sizeof(struct uffdvram_pool_attach));
	EXPECT_EQ(24, sizeof(struct uffdvram_pool_detach));
	EXPECT_EQ(40, sizeof(struct uffdvram_range_register));
	EXPECT_EQ(16, sizeof(struct uffdvram_range_unregister));
	EXPECT_EQ(304, sizeof(struct uffdvram_migrate));
	EXPECT_EQ(120, sizeof(struct uffdvram_query));
	EXPECT_EQ(24, sizeof(struct uffdvram_region));
	EXPECT_EQ(40, sizeof(struct uffdvram_copy));
	EXPECT_EQ(40, sizeof(struct uffdvram_poison));
	EXPECT_EQ(56, sizeof(struct uffdvram_poison_list));
	EXPECT_EQ(72, sizeof(struct uffdvram_harvest));
	EXPECT_EQ(64, sizeof(struct uffdvram_access_begin));
	EXPECT_EQ(40, sizeof(struct uffdvram_access_end));
	EXPECT_EQ(40, sizeof(struct uffdvram_convert));
}

static int nobody_opens(int fd, void *arg)
{
	(void)fd;
	(void)arg;
	become_nobody();
	return -uv_open();
}

TEST(the_node)
{
	int fd = uv_open();
	struct stat st;
	char c;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(S_IFCHR | 0600, st.st_mode);
	EXPECT_EQ(EACCES, run_child(nobody_opens, NULL));
	EXPECT_EQ(-1, read(fd, &c, 1));	/* too short for an event */
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(fd, "x", 1));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(EINVAL, errno);
	close(fd);
}

TEST_HARNESS_MAIN
