// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 240 */
/*
 * An exclusive range ends while somebody is about to look for what was discarded there: he has
 * seen that it is alive, and waits for the address space. Whatever is there is none of his
 * business then.
 */
#include <kselftest_harness.h>
#include <ctype.h>
#include <dirent.h>
#include <string.h>
#include "util_mm.h"
#include "convert_fixture.h"

/* How often that is to have happened, and how often it is tried. */
#define TIMES	3
#define TRIES	20
/*
 * How long what keeps the address space busy takes at first, and at most: on a busy machine
 * it takes long to see that somebody waits.
 */
#define SLOW_US	100000
#define MOST_US	3200000

/* Fresh memory, all of it private, in an exclusive range: 0 or -errno. */
static int exclusive(data *self)
{
	int ret = self->range ? uv_unregister(self->fd, self->range) : 0;

	self->range = 0;
	if (ret)
		return ret;
	if (mmap(self->mem, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		 -1, 0) != self->mem || madvise(self->mem, LEN, MADV_NOHUGEPAGE) ||
	    madvise(self->mem, LEN, MADV_DONTFORK))
		return -errno;
	fill_pages(self->mem, LEN, 1);
	lru_drain();
	return uv_register_flags(self->fd, self->mem, LEN, self->pool, UFFDVRAM_RANGE_EXCLUSIVE,
				 &self->range) ?: to_private(self);
}

/* Whether a thread of the kernel waits for a lock in our code that looks. */
static bool looker_waits(void)
{
	DIR *proc = opendir("/proc");
	char path[300], where[64];
	bool found = false;
	struct dirent *d;

	while (!found && (d = readdir(proc))) {
		if (!isdigit(*d->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/wchan", d->d_name);
		found = file_read(path, where, sizeof(where)) > 0 &&
			!strncmp(where, "exclusive_", 10);
	}
	closedir(proc);
	return found;
}

/* Who keeps the address space busy: moves pages, slowly. */
struct mover {
	int fd;
	char *mem;
	uint64_t slots;
	unsigned int slow_us;
	pthread_t thread;
	_Atomic bool done;
};

static void *move_slowly(void *arg)
{
	struct mover *m = arg;

	uv_migrate(m->fd, m->mem, LEN, 0, NULL);
	m->done = true;
	return NULL;
}

static bool is_at_it(void *arg)
{
	struct mover *m = arg;

	return m->done || uv_slots_in_use() > m->slots;
}

static void mover_start(struct __test_metadata *_metadata, struct mover *m)
{
	fill_pages(m->mem, LEN, 2);
	lru_drain();
	m->done = false;
	m->slots = uv_slots_in_use();
	uv_knob_set("delay_us", "%u", m->slow_us);
	ASSERT_EQ(0, pthread_create(&m->thread, NULL, move_slowly, m));
	ASSERT_TRUE(wait_until(is_at_it, m, 60000));
}

static void mover_end(struct mover *m)
{
	knobs_calm();
	pthread_join(m->thread, NULL);
}

/* Whether somebody waited to look when the range ended. */
static bool end_meanwhile(struct __test_metadata *_metadata, data *self, struct mover *m)
{
	bool waits = false;

	mover_start(_metadata, m);
	EXPECT_EQ(0, madvise(self->mem, PAGE, MADV_DONTNEED));
	while (!waits && !m->done)
		waits = looker_waits();
	EXPECT_EQ(0, uv_unregister(self->fd, self->range));
	self->range = 0;
	waits = waits && looker_waits();
	mover_end(m);
	while (looker_waits())
		sleep_ms(1);
	/* If he did something he would be doing it now. */
	sleep_ms(100);
	return waits;
}

TEST_F(convert, ends_before_the_look)
{
	struct mover m = { .fd = self->fd, .mem = map_small(LEN), .slow_us = SLOW_US };
	struct sigbus s;
	int times = 0;

	ASSERT_EQ(0, uv_register(self->fd, m.mem, LEN, self->pool, NULL));
	for (int i = 0; i < TRIES && times < TIMES; i++) {
		ASSERT_EQ(0, exclusive(self));
		if (!end_meanwhile(_metadata, self, &m)) {
			m.slow_us = m.slow_us < MOST_US ? 2 * m.slow_us : MOST_US;
			continue;
		}
		times++;
		s = read_byte(self->mem);
		EXPECT_EQ(0, s.signo);
		EXPECT_EQ(0, s.value);
	}
	EXPECT_EQ(TIMES, times);
	EXPECT_EQ(-1, check_pages(m.mem, LEN, 2));
	munmap(m.mem, LEN);
}

TEST_HARNESS_MAIN
