// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 300 */
/*
 * uffdvram_find() and uffdvram_sigbus_decode(): what a signal means, asked by its
 * handler, whatever the other threads do to the context meanwhile.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "util_mm.h"
#include "lib_fixture.h"

static struct {
	struct uffdvram_ctx *ctx;
	struct uffdvram_sigbus bus;
	int ret;
	int saved_errno;
	sigjmp_buf out;
} seen;

static void on_sigbus(int signo, siginfo_t *info, void *uc)
{
	(void)signo, (void)uc;
	errno = 77;
	seen.ret = uffdvram_sigbus_decode(seen.ctx, info->si_code, ADDR(info->si_addr),
					  info->si_addr_lsb, &seen.bus);
	seen.saved_errno = errno;
	siglongjmp(seen.out, 1);
}

/* Reads a byte; whether there was a SIGBUS, which is in seen then. */
static bool read_traps(struct uffdvram_ctx *ctx, const char *at)
{
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO }, old;
	bool trapped;

	memset(&seen.bus, 0, sizeof(seen.bus));
	seen.bus.size = sizeof(seen.bus);
	seen.ctx = ctx;
	sigaction(SIGBUS, &sa, &old);
	trapped = sigsetjmp(seen.out, 1);
	if (!trapped)
		(void)*(volatile const char *)at;
	sigaction(SIGBUS, &old, NULL);
	return trapped;
}

TEST_F(armed, installed_poison)
{
	struct uffdvram_range *first;
	char *mem = map_small(LEN);

	ASSERT_EQ(0, uffdvram_range_register(&first, self->ctx, ADDR(mem), LEN, NULL));
	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_PUNCH));
	ASSERT_EQ(0, uffdvram_range_install_poison(self->range, 9 * PAGE, PAGE, NULL));
	ASSERT_TRUE(read_traps(self->ctx, self->mem + 9 * PAGE + 123));
	EXPECT_EQ(0, seen.ret);
	EXPECT_EQ(77, seen.saved_errno);
	EXPECT_EQ(self->range, seen.bus.range);
	EXPECT_EQ(uffdvram_range_number(self->range), seen.bus.number);
	EXPECT_EQ(9 * PAGE, seen.bus.off);
	EXPECT_EQ(PAGE, seen.bus.len);
	EXPECT_EQ(UFFDVRAM_SIGBUS_POISON, seen.bus.kind);
	EXPECT_STREQ("poison", uffdvram_sigbus_name(seen.bus.kind));
	munmap(mem, LEN);
}

/* The device could not give a page back. */
TEST_F(armed, a_lost_page)
{
	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	uv_knob_set("fail_to_ram", "1");
	ASSERT_TRUE(read_traps(self->ctx, self->mem + LEN - 1));
	EXPECT_EQ(0, seen.ret);
	EXPECT_EQ(UFFDVRAM_SIGBUS_POISON, seen.bus.kind);
	EXPECT_EQ(LEN - PAGE, seen.bus.off);
	EXPECT_EQ(PAGE, seen.bus.len);
}

TEST_F(armed, userfaultfd_refuses)
{
	const struct uffdvram_arm_opts opts = {
		.size = sizeof(opts), .flags = UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_PUNCH,
		.hole_len = PAGE, .features = UFFD_FEATURE_SIGBUS,
	};

	ASSERT_EQ(0, uffdvram_range_arm(self->range, &opts));
	ASSERT_TRUE(read_traps(self->ctx, self->mem + 5));
	EXPECT_EQ(0, seen.ret);
	EXPECT_EQ(UFFDVRAM_SIGBUS_REFUSED, seen.bus.kind);
	EXPECT_EQ(0, seen.bus.off);
	EXPECT_EQ(PAGE, seen.bus.len);
}

TEST_F(armed, what_the_numbers_mean)
{
	uint64_t addr = ADDR(self->mem), big;
	struct uffdvram_sigbus bus = { .size = sizeof(bus) };
	struct uffdvram_place place;

	EXPECT_EQ(0, uffdvram_sigbus_decode(self->ctx, BUS_MCEERR_AO, addr + 3 * PAGE, 13, &bus));
	EXPECT_EQ(UFFDVRAM_SIGBUS_NOTICE, bus.kind);
	EXPECT_EQ(2 * PAGE, bus.len + ((addr + bus.off) & PAGE));
	/* A block of 2 MiB may be more than the range, at both ends. */
	big = (addr + PAGE) & ~(HUGE - 1);
	EXPECT_EQ(0, uffdvram_sigbus_decode(self->ctx, BUS_MCEERR_AR, addr + PAGE, 21, &bus));
	EXPECT_EQ(big > addr ? big - addr : 0, bus.off);
	EXPECT_EQ(big + HUGE < addr + LEN ? big + HUGE - addr : LEN, bus.off + bus.len);
	/* A nonsensical or absent lsb is a page. */
	EXPECT_EQ(0, uffdvram_sigbus_decode(self->ctx, BUS_MCEERR_AR, addr + PAGE + 9, 0, &bus));
	EXPECT_EQ(PAGE, bus.off);
	EXPECT_EQ(PAGE, bus.len);
	EXPECT_EQ(0, uffdvram_sigbus_decode(self->ctx, BUS_MCEERR_AR, addr, 200, &bus));
	EXPECT_EQ(PAGE, bus.len);
	EXPECT_EQ(0, uffdvram_sigbus_decode(self->ctx, BUS_ADRERR, addr + LEN - 1, 21, &bus));
	EXPECT_EQ(LEN - PAGE, bus.off);
	EXPECT_EQ(PAGE, bus.len);

	EXPECT_EQ(-ENOENT, uffdvram_sigbus_decode(self->ctx, BUS_MCEERR_AR, addr + LEN, 12, &bus));
	EXPECT_EQ(-ENOENT, uffdvram_sigbus_decode(self->ctx, BUS_MCEERR_AR, addr - 1, 12, &bus));
	EXPECT_EQ(-ENOENT, uffdvram_sigbus_decode(self->ctx, SI_USER, addr, 12, &bus));
	EXPECT_EQ(-ENOENT, uffdvram_sigbus_decode(self->ctx, BUS_ADRALN, addr, 12, &bus));
	bus.size = 8;
	EXPECT_EQ(-EINVAL, uffdvram_sigbus_decode(self->ctx, BUS_MCEERR_AR, addr, 12, &bus));
	EXPECT_EQ(-ENOENT, uffdvram_find(self->ctx, 0, &place));
	EXPECT_EQ(-ENOENT, uffdvram_find(self->ctx, ~0ULL, &place));
	EXPECT_STREQ("unknown", uffdvram_sigbus_name(0));
}

/* Registers and forgets ranges; signals find the one that stays, all the while. */
#define CHURNERS 2

static struct {
	struct uffdvram_ctx *ctx;
	uint64_t addr;
	struct uffdvram_range *range;
	_Atomic uint64_t found, missed;
	_Atomic bool stop;
} churn;

static void on_signal(int signo)
{
	struct uffdvram_place place;

	(void)signo;
	if (uffdvram_find(churn.ctx, churn.addr + 5, &place) || place.range != churn.range ||
	    place.off != 5)
		churn.missed++;
	else
		churn.found++;
}

static void *churner(void *arg)
{
	struct uffdvram_range *r[8];
	char *mem = map_small(8 * PAGE);
	unsigned int i, bad = 0;

	(void)arg;
	while (!churn.stop) {
		for (i = 0; i < 8; i++)
			bad += uffdvram_range_register(&r[i], churn.ctx, ADDR(mem) + i * PAGE,
						       PAGE, NULL) != 0;
		for (i = 0; i < 8 && !bad; i++)
			bad += uffdvram_range_unregister(r[(i * 3) % 8]) != 0;
		if (bad)
			break;
	}
	munmap(mem, 8 * PAGE);
	return bad ? arg : NULL;
}

TEST_F(armed, signals_at_any_time)
{
	pthread_t threads[CHURNERS];
	uint64_t start = now_ms(), n = 0;
	struct uffdvram_place place;
	unsigned int i;
	void *failed;

	/* Who stands on a handle that is freed too early falls. */
	mallopt(M_PERTURB, 0x5a);
	churn.ctx = self->ctx;
	churn.addr = ADDR(self->mem);
	churn.range = self->range;
	signal(SIGUSR1, on_signal);
	for (i = 0; i < CHURNERS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churner, self));
	/* Slow machines take longer for as many. */
	while (now_ms() < start + 2000 || (churn.found < 300 && now_ms() < start + 100000)) {
		pthread_kill(threads[n++ % CHURNERS], SIGUSR1);
		if (uffdvram_find(self->ctx, churn.addr, &place) || place.range != self->range)
			churn.missed++;
	}
	churn.stop = true;
	for (i = 0; i < CHURNERS; i++) {
		pthread_join(threads[i], &failed);
		EXPECT_EQ(NULL, failed);
	}
	EXPECT_EQ(0, churn.missed);
	EXPECT_LE(300, churn.found);
	TH_LOG("%llu signals found it", (unsigned long long)churn.found);
}

TEST_HARNESS_MAIN
