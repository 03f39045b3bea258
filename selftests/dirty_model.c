// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 300 */
/*
 * Harvests are exact. One thread does all sorts of things to memory that lives here and
 * there, and knows which pages it wrote, by itself, as a guest, or as a device. And many do
 * so at once, with a copy of the memory that is brought up to date with what is harvested,
 * as a migration does: once all of them have stopped, memory and copy are the same.
 *
 * DIRTY_WRITES writes each; DIRTY_SEED repeats what failed.
 */
#include "kselftest_harness.h"
#include "model_fixture.h"

#define ROUND_WRITES	300	/* of a CPU, from one harvest to the next */

static int child_writes(int sock, void *arg)
{
	data *self = arg;
	uint64_t n = 1 + self->rnd % 8;

	(void)sock;
	while (n--)
		self->mem[rnd(&self->rnd) % PAGES * PAGE] ^= 1;
	return 0;
}

/* The guest writes a word of some pages, and reads one of others. */
static void step_guest(data *self, size_t first, size_t n)
{
	if (!self->vcpu)
		return;
	for (size_t i = 0; i < (n > 8 ? 8 : n); i++) {
		bool write = rnd(&self->rnd) % 2;

		touch_word(&self->guest, (first + i) * PAGE + 8, write);
		if (write)
			set_bits(self->want, first + i, 1);
		self->guest_writes += write;
		self->writes += write;
	}
	if (touch_run(&self->guest))
		give_up("the guest");
}

/*
 * What stays in VRAM is not protected then, where nobody waits for writes: it is reported
 * once more when it leaves.
 */
static void device_wrote(data *self, size_t first, size_t n)
{
	set_bits(self->want, first, n);
	if (self->async)
		set_bits(self->device, first, n);
}

/* COPY writes what is not protected where it is, as a device does. */
static void copy_wrote(data *self, size_t first, size_t n)
{
	set_bits(self->want, first, n);
	for (size_t i = first; i < first + n; i++)
		if (self->async && bit(self->maybe, i))
			set_bits(self->device, i, 1);
}

/*
 * A lease ends. The device wrote what it says; where it says nothing, and somebody was told
 * meanwhile that it may write, perhaps all.
 */
static void step_lease_end(data *self, struct model_lease *l)
{
	uint64_t bits = 0, revoked, block = HUGE / PAGE;
	uint32_t how = rnd(&self->rnd) % 3;

	if (how == 0)
		bits = rnd(&self->rnd) & rnd(&self->rnd) & (~0ULL >> (64 - l->n));
	if (how == 1)
		bits = ~0ULL >> (64 - l->n);
	revoked = lease_end(self, l, how == 1 ? UFFDVRAM_ACCESS_WRITTEN_ALL : 0,
			    how == 0 ? &bits : NULL);
	if (how == 2 && l->harvested)
		bits = ~0ULL >> (64 - l->n);
	for (size_t i = 0; i < l->n; i++)
		if (bits >> i & 1)
			device_wrote(self, l->first + i, 1);
	self->writes += __builtin_popcountll(bits);
	/* Nobody knows which ones; and an entry of 2 MiB has one mark. */
	if (revoked)
		set_bits(self->maybe, l->first, l->n);
	for (size_t i = l->first / block; self->huge && bits && i * block < l->first + l->n; i++)
		set_bits(self->maybe, i * block, block);
}

static void step_lease(data *self, size_t first, size_t n)
{
	struct model_lease *l = &self->leases[rnd(&self->rnd) % LEASES];

	if (l->id)
		step_lease_end(self, l);
	else
		lease_begin(self, l, first, n);
}

static void step_remap(data *self, size_t first, size_t n)
{
	char *at = self->mem + first * PAGE;

	n = n > 8 ? 8 : n;
	if (rnd(&self->rnd) % 4 == 0)
		remap_onto(self, at, n * PAGE);
	else if (!remap_away(at, n * PAGE))
		return;
	set_bits(self->want, first, n);
	self->writes += n;
	self->remapped += n;
}

/* One thing that happens to @n pages from @first on. */
static void model_step(data *self, size_t first, size_t n)
{
	static char buf[8 * PAGE];
	char *at = self->mem + first * PAGE;

	switch (rnd(&self->rnd) % 22) {
	case 0 ... 4:
		n = n > 8 ? 8 : n;
		for (size_t i = 0; i < n; i++)
			at[i * PAGE + self->writes % PAGE] ^= 1;
		set_bits(self->want, first, n);
		self->writes += n;
		break;
	case 5:
		n = n > 8 ? 8 : n;
		if (uv_copy(self->fd, UFFDVRAM_COPY_WRITE, at, n * PAGE, buf, NULL))
			give_up("COPY");
		copy_wrote(self, first, n);
		self->writes += n;
		break;
	case 6:
		if (uv_copy(self->fd, 0, at, (n > 8 ? 8 : n) * PAGE, buf, NULL))
			give_up("COPY");
		break;
	case 7 ... 10:
		if (uv_migrate(self->fd, at, n * PAGE, 0, NULL))
			give_up("MIGRATE");
		break;
	case 11:
		if (uv_migrate(self->fd, at, n * PAGE, UFFDVRAM_MIGRATE_TO_RAM, NULL))
			give_up("MIGRATE to RAM");
		break;
	case 12:
		for (size_t i = 0; i < n; i++)
			read_byte(at + i * PAGE);
		break;
	case 13:
		/* Discarded pages are reported, or not: as the kernel does without us. */
		if (n > 4 || madvise(at, n * PAGE, MADV_DONTNEED))
			break;
		set_bits(self->maybe, first, n);
		break;
	case 14:
		madvise(at, n * PAGE, MADV_PAGEOUT);
		break;
	case 15:
		if (rnd(&self->rnd) % 8 == 0 && run_child(child_writes, self))
			give_up("a child");
		break;
	case 16 ... 17:
		step_guest(self, first, n);
		break;
	case 18 ... 20:
		step_lease(self, first, n);
		break;
	case 21:
		step_remap(self, first, n);
		break;
	}
}

/* Pages that were written and not reported; others are counted. */
static size_t model_missed(data *self, size_t *over)
{
	size_t missed = 0;

	*over = 0;
	/* A device that may write is taken for one that does. */
	for (size_t i = 0; i < LEASES; i++) {
		struct model_lease *l = &self->leases[i];

		if (!l->id)
			continue;
		device_wrote(self, l->first, l->n);
		l->harvested = true;
	}
	for (size_t i = 0; i < PAGES; i++) {
		missed += bit(self->want, i) && !bit(self->got, i);
		if (!bit(self->got, i) || bit(self->want, i))
			continue;
		if (bit(self->maybe, i))
			self->excused++;
		else
			++*over;
	}
	/* What was discarded has no mark: it is reported until it is protected again. */
	memset(self->want, 0, sizeof(self->want));
	for (size_t i = 0; i < WORDS; i++)
		self->maybe[i] = (self->maybe[i] & ~self->got[i]) | self->device[i];
	memset(self->device, 0, sizeof(self->device));
	return missed;
}

/* Whether there is more to do: until all has been seen, which may take many times as long. */
static bool model_goes_on(const data *self)
{
	bool seen = self->leased && self->revoked && self->remapped &&
		    (self->guest_writes || !self->vcpu);

	return self->writes < self->limit || (!seen && self->writes < 50 * self->limit);
}

/* No written page is missing, and none is reported that was not written or discarded. */
TEST_F_TIMEOUT(model, exact, 86400)
{
	size_t over, n;

	ASSERT_EQ(0, harvest(self));
	EXPECT_EQ(PAGES, self->reported);
	while (model_goes_on(self)) {
		for (int i = rnd(&self->rnd) % 40; i >= 0; i--) {
			n = 1 + rnd(&self->rnd) % (rnd(&self->rnd) % 8 ? 8 : 256);
			model_step(self, rnd(&self->rnd) % (PAGES - n + 1), n);
		}
		ASSERT_EQ(0, harvest(self));
		ASSERT_EQ(0, model_missed(self, &over)) {
			TH_LOG("harvest %llu", (unsigned long long)self->harvests);
		}
		ASSERT_EQ(0, over) {
			TH_LOG("harvest %llu", (unsigned long long)self->harvests);
		}
	}
	printf("# %llu writes, %llu harvests: %llu pages reported, %llu of them not written, %llu had left, %llu looked at, swap %d\n",
	       (unsigned long long)self->writes, (unsigned long long)self->harvests,
	       (unsigned long long)self->reported, (unsigned long long)self->excused,
	       (unsigned long long)self->left, (unsigned long long)self->scanned, self->swap);
	printf("# the guest wrote %llu; leases of %llu pages, %llu revoked; %llu moved away or replaced\n",
	       (unsigned long long)self->guest_writes, (unsigned long long)self->leased,
	       (unsigned long long)self->revoked, (unsigned long long)self->remapped);
	EXPECT_LT(self->left, self->harvests * PAGES);
	EXPECT_LT(self->vcpu ? 0 : -1, (long)self->guest_writes);
	EXPECT_LT(0, self->leased);
	EXPECT_LT(0, self->revoked);
	EXPECT_LT(0, self->remapped);
}

enum { CPU, MOVER, COPIER, KERNEL, GUEST, DEVICE, ACTORS };

/*
 * What each does from one harvest to the next. However busy the machine is, this is all that
 * there is to do: who is done waits for the others, and for the harvest.
 */
static const unsigned int quota[ACTORS] = {
	[CPU] = ROUND_WRITES, [MOVER] = 50, [COPIER] = 100, [KERNEL] = 15, [GUEST] = 15,
	[DEVICE] = 15,
};

struct actor {
	data *self;
	int what;
	uint64_t rnd;
	uint64_t done;
};

/* What the kernel does to memory; pages that are new are written. */
static void act_kernel(struct actor *a, char *at, size_t n)
{
	switch (a->rnd % 4) {
	case 0:
		remap_away(at, 2 * PAGE);
		break;
	case 1:
		remap_onto(a->self, at, PAGE);
		break;
	default:
		madvise(at, PAGE, MADV_DONTNEED);
		*at = a->done;
	}
	madvise(at, n * PAGE, MADV_PAGEOUT);
}

static void act_guest(struct actor *a, size_t first)
{
	data *self = a->self;

	for (size_t i = 0; self->vcpu && i < 16; i++)
		touch_word(&self->guest, (first + rnd(&a->rnd) % 64) * PAGE + 64 * i,
			   a->rnd & 1024);
	if (self->vcpu && touch_run(&self->guest))
		give_up("the guest");
}

/* The device flips a bit of some pages, and tells which. */
static void act_device(struct actor *a, size_t first, size_t n)
{
	data *self = a->self;
	struct model_lease *l = &self->leases[0];
	uint64_t bits = 0;
	size_t run, i;

	lease_begin(self, l, first, n);
	if (!l->id)
		return;
	for (run = 0; run < l->runs; run++) {
		i = rnd(&a->rnd) % (l->vec[run].len / PAGE);
		uv_knob_set("flip", "%u %llu", self->pool,
			    (unsigned long long)l->vec[run].off + i * PAGE);
		i += (l->vec[run].addr - ADDR(self->mem)) / PAGE - l->first;
		bits |= 1ULL << i;
	}
	lease_end(self, l, 0, &bits);
}

static void act_once(struct actor *a)
{
	data *self = a->self;
	size_t first = rnd(&a->rnd) % (PAGES - 64), n = 1 + rnd(&a->rnd) % 64;
	char *at = self->mem + first * PAGE, buf[2 * PAGE];

	a->done++;
	switch (a->what) {
	case CPU:
		__atomic_fetch_add((uint32_t *)at + a->rnd % 1024, 1, __ATOMIC_RELAXED);
		self->writes++;
		break;
	case MOVER:
		uv_migrate(self->fd, at, n * PAGE, a->rnd % 4 ? 0 : UFFDVRAM_MIGRATE_TO_RAM,
			   NULL);
		break;
	case COPIER:
		memset(buf, a->done, sizeof(buf));
		uv_copy(self->fd, UFFDVRAM_COPY_WRITE, at, 2 * PAGE, buf, NULL);
		break;
	case KERNEL:
		act_kernel(a, at, n);
		break;
	case GUEST:
		act_guest(a, first);
		break;
	case DEVICE:
		act_device(a, first, n);
		break;
	}
}

static void *act(void *arg)
{
	struct actor *a = arg;

	for (;;) {
		/* Together with the harvest... */
		pthread_barrier_wait(&a->self->round);
		if (a->self->stop)
			return NULL;
		for (unsigned int i = 0; i < quota[a->what]; i++)
			act_once(a);
		/* ... until all of it is done. */
		pthread_barrier_wait(&a->self->round);
	}
}

/* Brings the copy up to date with what was harvested, wherever it lives. */
static bool shadow_update(data *self)
{
	size_t i, n;

	for (i = 0; i < PAGES; i += n) {
		for (n = 0; i + n < PAGES && bit(self->got, i + n); n++)
			;
		if (n && uv_copy(self->fd, 0, self->mem + i * PAGE, n * PAGE,
				 self->shadow + i * PAGE, NULL))
			return false;
		n += !n;
	}
	return true;
}

TEST_F_TIMEOUT(model, concurrent, 86400)
{
	struct actor actors[ACTORS] = {};
	pthread_t threads[ACTORS];
	char buf[PAGE];
	size_t differ = 0;

	self->shadow = map_small(LEN);
	ASSERT_EQ(0, pthread_barrier_init(&self->round, NULL, ACTORS + 1));
	for (int i = 0; i < ACTORS; i++) {
		actors[i] = (struct actor){ .self = self, .what = i, .rnd = self->rnd + i };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, act, &actors[i]));
	}
	while (self->writes < self->limit || !self->leased) {
		pthread_barrier_wait(&self->round);
		ASSERT_EQ(0, harvest(self));
		ASSERT_TRUE(shadow_update(self));
		pthread_barrier_wait(&self->round);
	}
	self->stop = true;
	pthread_barrier_wait(&self->round);
	for (int i = 0; i < ACTORS; i++)
		pthread_join(threads[i], NULL);
	ASSERT_EQ(0, harvest(self));
	ASSERT_TRUE(shadow_update(self));
	for (size_t i = 0; i < PAGES; i++) {
		ASSERT_EQ(0, uv_copy(self->fd, 0, self->mem + i * PAGE, PAGE, buf, NULL));
		differ += !!memcmp(buf, self->shadow + i * PAGE, PAGE);
	}
	EXPECT_EQ(0, differ);
	printf("# %llu writes, %llu harvests, %llu pages copied, %llu had left; %llu pages leased, %llu of them revoked; calls:",
	       (unsigned long long)self->writes, (unsigned long long)self->harvests,
	       (unsigned long long)self->reported, (unsigned long long)self->left,
	       (unsigned long long)self->leased, (unsigned long long)self->revoked);
	for (int i = MOVER; i < ACTORS; i++)
		printf(" %llu", (unsigned long long)actors[i].done);
	printf("\n");
	EXPECT_LT(0, self->leased);
	munmap(self->shadow, LEN);
}

TEST_HARNESS_MAIN
