/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of fail_nth.c: a context with a pool and a range, and a way to make
 * things fail. It ends with as many descriptors, slots and users of the module as
 * it began with.
 */
#ifndef UFFDVRAM_SELFTESTS_FAIL_FIXTURE_H
#define UFFDVRAM_SELFTESTS_FAIL_FIXTURE_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "inject.h"
#include "util_mm.h"

#define PAGES		8
#define LEN		(PAGES * PAGE)
#define SWEEP_MAX	2000

FIXTURE(fail)
{
	struct inject inject;
	int fd;
	uint32_t pool, range;
	char *mem;		/* that range: PAGES pages, at first in RAM */
	char *buf;		/* as much, in no range */
	long long users;	/* of the module, at first */
	int fds;		/* open ones, at first */
	unsigned int failures;	/* how many there were */
	/* For whatever a case needs. */
	int got, fd2;
	uint32_t pool2, range2;
	struct uffdvram_migrate m;
	struct child child;
	char *map;
	unsigned int lost;
	long long locked;
	uint64_t lease;
};

FIXTURE_VARIANT(fail)
{
	bool kernel;
};

FIXTURE_VARIANT_ADD(fail, hook) { .kernel = false };
FIXTURE_VARIANT_ADD(fail, kernel) { .kernel = true };

typedef FIXTURE_DATA(fail) data;

/* Of what crosses 2 MiB, a call that fails there has done the first part. */
static void *map_within_block(void *(*map)(size_t len))
{
	char *p = map(LEN), *across = p;

	if (ADDR(p) / HUGE != (ADDR(p) + LEN - 1) / HUGE) {
		p = map(LEN);
		munmap(across, LEN);
	}
	return p;
}

FIXTURE_SETUP(fail)
{
	knobs_calm();
	on_one_cpu();
	ASSERT_TRUE(uv_wait_slots(0));
	if (!inject_open(&self->inject, variant->kernel)) {
		ASSERT_TRUE(variant->kernel);
		SKIP(return, "this kernel has no fault injection");
	}
	self->users = module_users();
	self->fds = count_fds();
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &self->pool));
	self->mem = map_within_block(map_small);
	self->buf = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	fill_pages(self->buf, LEN, 2);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, LEN, self->pool, &self->range));
}

static bool users_are(void *arg)
{
	return module_users() == *(long *)arg;
}

FIXTURE_TEARDOWN(fail)
{
	munmap(self->mem, LEN);
	munmap(self->buf, LEN);
	close(self->fd);
	EXPECT_EQ(self->fds, count_fds());
	EXPECT_TRUE(uv_wait_slots(0));
	/* A pool that is leaked, or a file, a slot: each keeps the module. */
	EXPECT_TRUE(wait_until(users_are, &self->users, 60000)) {
		TH_LOG("users of the module: %ld, before %ld", module_users(), self->users);
	}
	inject_close(&self->inject);
}

static bool clean_errno(int ret)
{
	switch (-ret) {
	case 0:
	case ENOMEM:
	case EFAULT:
	case EINTR:
	case EBUSY:
	case EMFILE:
	case ENFILE:
	case EIO:
		return true;
	}
	return false;
}

/*
 * Has @run meet its 1st, 2nd, ... failure, until one run meets none. @after, with
 * nothing failing, looks at what became of it, has it succeed, and undoes it.
 */
static void sweep(struct __test_metadata *_metadata, data *self, const char *what,
		  int (*run)(data *self),
		  void (*after)(struct __test_metadata *_metadata, data *self, int ret))
{
	unsigned int n, errors = 0;
	bool failed = true;
	int ret;

	for (n = 1; failed && n < SWEEP_MAX; n++) {
		inject_arm(&self->inject, n, what);
		ret = run(self);
		failed = inject_disarm(&self->inject);
		EXPECT_TRUE(failed ? clean_errno(ret) : !ret);
		errors += ret != 0;
		after(_metadata, self, ret);
		ASSERT_TRUE(__test_passed(_metadata)) {
			TH_LOG("after failure %u: %s", n, strerror(-ret));
		}
	}
	EXPECT_FALSE(failed);
	/* Where nothing can fail, nothing was tested. */
	EXPECT_LT(2, n);
	self->failures += n - 2;
	TH_LOG("%u failures, %u errors", n - 2, errors);
}

/* Everything comes home, and is what it was. */
static void expect_intact(struct __test_metadata *_metadata, data *self)
{
	EXPECT_EQ(PAGES, uv_to_ram(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_TRUE(uv_wait_slots(0));
}

#endif /* UFFDVRAM_SELFTESTS_FAIL_FIXTURE_H */
