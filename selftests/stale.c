// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * Nothing leaks: a slot that is handed to another owner holds no byte of the
 * last one.
 *
 * One process fills every slot of a shared pool with bytes that are not zero,
 * and leaves it in one of several ways. Then another has holes of its memory
 * placed in the same slots, and reads them: all must be zero.
 */
#include <kselftest_harness.h>
#include <sys/socket.h>
#include "util_mm.h"

#define POOL	MIB(2)
#define SLOTS	((long)(POOL / PAGE))

enum leave {
	LEAVE_UNMAP, LEAVE_DISCARD, LEAVE_TO_RAM, LEAVE_READ, LEAVE_UNREGISTER, LEAVE_CLOSE,
	LEAVE_EXIT, LEAVE_KILLED, LEAVE_END
};

FIXTURE(stale)
{
	int fd;
	uint32_t pool;
};

FIXTURE_SETUP(stale)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, uv_attach(self->fd, POOL, UFFDVRAM_POOL_SHARED, &self->pool));
}

FIXTURE_TEARDOWN(stale)
{
	knobs_calm();
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

struct owner {
	uint32_t pool;
	enum leave how;
	int fail_every;		/* of the copies into VRAM; 0: none */
	long *moved;		/* out, in shared memory: pages so far */
};

/* Memory that fills the pool, with no zero byte in it. */
static char *fill_pool(int fd, uint32_t pool)
{
	char *mem = map_small(POOL);

	memset(mem, 0xa5, POOL);
	return uv_register(fd, mem, POOL, pool, NULL) ? NULL : mem;
}

/* Exit status 0: it has filled the pool, and left as it was told. */
static int owner(int sock, void *arg)
{
	const struct owner *o = arg;
	int fd = uv_open();
	char *mem = fill_pool(fd, o->pool);
	long moved;

	if (!mem)
		return 1;
	uv_knob_set("fail_to_vram_every", "%d", o->fail_every);
	moved = move_all(fd, mem, POOL, 0, NULL);
	uv_knob_set("fail_to_vram_every", "0");
	/* Where the count of failures begins is not known: one more or less. */
	if (o->fail_every ? labs(SLOTS - SLOTS / o->fail_every - moved) > 1 : moved != SLOTS)
		return 2;
	switch (o->how) {
	case LEAVE_UNMAP:
		munmap(mem, POOL);
		break;
	case LEAVE_DISCARD:
		return madvise(mem, POOL, MADV_DONTNEED) || not_zero(mem, POOL) != -1;
	case LEAVE_TO_RAM:
		return uv_to_ram(fd, mem, POOL) != SLOTS;
	case LEAVE_READ:
		for (size_t i = 0; i < POOL; i += PAGE)
			if (read_byte(mem + i).value != 0xa5)
				return 3;
		break;
	case LEAVE_UNREGISTER:
		uv_unregister(fd, 1);
		break;
	case LEAVE_CLOSE:
		close(fd);
		break;
	case LEAVE_KILLED:
		child_tell(sock, 1);
		sleep_ms(60000);
		return 4;
	default:
		break;
	}
	return 0;
}

static int run_owner(struct owner *o)
{
	struct child c = child_start(owner, o);
	uint64_t word;

	if (o->how != LEAVE_KILLED)
		return child_end(&c);
	if (!child_hear(c.fd, &word))
		return child_end(&c);
	child_kill(&c);
	return 0;
}

struct heir {
	uint32_t pool;
	long zero, dirty;	/* out: pages that came from VRAM */
};

/* Have holes placed in as many slots as there are, and look at every byte. */
static int inherit(struct heir *h)
{
	int fd = uv_open();
	char *mem = map_small(POOL);
	size_t i;

	if (fd < 0 || uv_register(fd, mem, POOL, h->pool, NULL) ||
	    uv_migrate(fd, mem, POOL, 0, NULL))
		return 1;
	for (i = 0; i < POOL; i += PAGE) {
		if (state_of(fd, mem + i) != UFFDVRAM_STATE_VRAM)
			continue;
		if (not_zero(mem + i, PAGE) == -1)
			h->zero++;
		else
			h->dirty++;
	}
	munmap(mem, POOL);
	close(fd);
	return 0;
}

static int heir(int sock, void *arg)
{
	struct heir *h = arg;

	if (inherit(h))
		return 1;
	child_tell(sock, h->zero);
	child_tell(sock, h->dirty);
	return 0;
}

/* Another process is the heir. */
static bool run_heir(uint32_t pool, uint64_t *zero, uint64_t *dirty)
{
	struct heir h = { .pool = pool };
	struct child c = child_start(heir, &h);
	bool ok = child_hear(c.fd, zero) && child_hear(c.fd, dirty);

	return !child_end(&c) && ok;
}

/* Once in each way; or, when LONG_SLOTS says so, until so many had another owner. */
TEST_F_TIMEOUT(stale, every_way_to_leave, 7 * 86400)
{
	uint64_t goal = env_number("LONG_SLOTS", LEAVE_END * SLOTS), recycled = 0;
	uint64_t zero, dirty = 0, progress = now_ms();
	struct owner o = { .pool = self->pool };

	for (; recycled < goal && !dirty; o.how = (o.how + 1) % LEAVE_END) {
		ASSERT_EQ(0, run_owner(&o)) TH_LOG("way %d", o.how);
		ASSERT_TRUE(uv_wait_slots(0)) TH_LOG("way %d", o.how);
		ASSERT_TRUE(run_heir(self->pool, &zero, &dirty));
		EXPECT_EQ(0, dirty) TH_LOG("way %d", o.how);
		EXPECT_EQ(SLOTS, zero) TH_LOG("way %d", o.how);
		ASSERT_TRUE(uv_wait_slots(0));
		recycled += zero + dirty;
		if (recycled < goal && now_ms() - progress < 10000)
			continue;
		progress = now_ms();
		printf("# recycled slots: %llu of %llu, %llu with stale bytes\n",
		       (unsigned long long)recycled, (unsigned long long)goal,
		       (unsigned long long)dirty);
		fflush(stdout);
	}
}

/* Slots that were taken for copies that failed go back, and are clean. */
TEST_F(stale, after_failed_copies)
{
	struct owner o = { .pool = self->pool, .how = LEAVE_EXIT, .fail_every = 3 };
	uint64_t zero, dirty;

	ASSERT_EQ(0, run_owner(&o));
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_TRUE(run_heir(self->pool, &zero, &dirty));
	EXPECT_EQ(0, dirty);
	EXPECT_EQ(SLOTS, zero);
}

/* A lost slot keeps its bytes to itself, also when its page is discarded. */
TEST_F(stale, after_lost_pages)
{
	char *mem = fill_pool(self->fd, self->pool);
	uint64_t zero, dirty;
	size_t i, lost = 0;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(SLOTS, move_all(self->fd, mem, POOL, 0, NULL));
	uv_knob_set("fail_to_ram_every", "%d", 16);
	for (i = 0; i < POOL; i += PAGE) {
		struct sigbus bus = read_byte(mem + i);

		lost += bus.signo == SIGBUS;
		if (!bus.signo)
			ASSERT_EQ(0xa5, bus.value);
	}
	knobs_calm();
	EXPECT_EQ(SLOTS / 16, lost);
	munmap(mem, POOL);
	ASSERT_TRUE(run_heir(self->pool, &zero, &dirty));
	EXPECT_EQ(0, dirty);
	EXPECT_LE(SLOTS - lost, zero);
}

/* A page's own next owner may be its process: holes are zero for it as well. */
TEST_F(stale, recycled_within_a_process)
{
	enum { ROUNDS = 4 };
	char *mem = fill_pool(self->fd, self->pool);
	uint64_t seed = 99;
	size_t i, from, n, checked = 0;
	int round;

	ASSERT_NE(NULL, mem);
	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(SLOTS, move_all(self->fd, mem, POOL, 0, NULL));
		for (i = 0; i < 20; i++) {
			n = 1 + rnd(&seed) % 40;
			from = rnd(&seed) % (SLOTS - n);
			ASSERT_EQ(0, madvise(mem + from * PAGE, n * PAGE, MADV_DONTNEED));
			ASSERT_EQ(n, move_all(self->fd, mem + from * PAGE, n * PAGE, 0, NULL));
			ASSERT_EQ(-1, not_zero(mem + from * PAGE, n * PAGE));
			memset(mem + from * PAGE, 0xa5, n * PAGE);
			checked += n;
		}
	}
	EXPECT_LT(ROUNDS * 20, checked);
	for (i = 0; i < POOL; i++)
		ASSERT_EQ('\xa5', mem[i]);
	munmap(mem, POOL);
}

/* An owner that fills what there is and discards it, and heirs at the same time. */
static int restless_owner(int sock, void *arg)
{
	const struct owner *o = arg;
	int fd = uv_open();
	char *mem = fill_pool(fd, o->pool);
	uint64_t word;
	long n;

	if (!mem)
		return 1;
	/* Until the parent closes its end. */
	while (recv(sock, &word, sizeof(word), MSG_DONTWAIT) < 0) {
		memset(mem, 0xa5, POOL);
		n = uv_to_vram(fd, mem, POOL);
		if (n < 0 || madvise(mem, POOL, MADV_DONTNEED))
			return 2;
		__atomic_fetch_add(o->moved, n, __ATOMIC_RELAXED);
	}
	return 0;
}

TEST_F(stale, owners_and_heirs_in_parallel)
{
	enum { ROUNDS = 10 };
	long *moved = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct owner o = { .pool = self->pool, .moved = moved };
	struct heir h = { .pool = self->pool };
	struct child busy;
	int round;

	ASSERT_NE(MAP_FAILED, moved);
	busy = child_start(restless_owner, &o);
	/* Until both have had the pool a few times over. */
	for (round = 0; round < 100 * ROUNDS; round++) {
		ASSERT_EQ(0, inherit(&h));
		if (round > ROUNDS && h.zero > 3 * SLOTS &&
		    __atomic_load_n(moved, __ATOMIC_RELAXED) > 3 * SLOTS)
			break;
	}
	EXPECT_EQ(0, child_end(&busy));
	TH_LOG("%ld slots filled, %ld looked at", *moved, h.zero + h.dirty);
	EXPECT_EQ(0, h.dirty);
	EXPECT_LT(3 * SLOTS, h.zero);
	EXPECT_LT(3 * SLOTS, *moved);
	munmap(moved, PAGE);
}

TEST_HARNESS_MAIN
