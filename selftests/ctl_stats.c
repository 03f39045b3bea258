// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 240 */
/*
 * uffdvramctl stats -i: what becomes of the memory of a process in an interval. Counters
 * since the module was loaded, and latencies, are in ctl.c.
 */
#include "kselftest_harness.h"
#include "ctl_target.h"

/* Longer than it takes to write a few pages, in seconds. */
#define INTERVAL	(sanitizers() ? 25 : 6)

/* The number after "@key": in what was printed, or -1. */
static long long number(const char *key)
{
	char *at = strstr(out, key);

	return at ? atoll(at + strlen(key)) : -1;
}

/* It writes pages, some of them in VRAM, while somebody watches. */
TEST_F_TIMEOUT(told, rates, 600)
{
	uint64_t wrote;

	target(PROTECT, PAGES);
	to_vram(100, 512L);
	child_tell(self->target.fd, DO(WRITE_LATER, 160));
	ASSERT_EQ(0, run("uffdvramctl -j -p %d stats -i %d 0x%lx+4M", self->pid, INTERVAL,
			 self->addr));
	EXPECT_TRUE(says("[{\"ns\":"));
	EXPECT_LE(INTERVAL * 1000000000LL, number("\"ns\":"));
	EXPECT_TRUE(says("\"pages\":{\"other\":0,\"ram\":572,\"vram\":452,\"poison\":0},"
			 "\"written\":160,\"home\":60,\"to_vram\":0,\"new\":0,\"gone\":0,"
			 "\"protected\":0,\"touched\":160}],\"minor_faults\":"));
	/* At least one for each page that came home; of the others, one for each. */
	EXPECT_LE(160, number("\"minor_faults\":") + number("\"major_faults\":"));
	EXPECT_LE(60, number("\"fault_pages\":"));
	EXPECT_STREQ("}}]\n", out + strlen(out) - 4);
	EXPECT_TRUE(child_hear(self->target.fd, &wrote));
	EXPECT_EQ(1, wrote);
}

/* It stays still, and others move its memory. */
TEST_F_TIMEOUT(told, rates_of_others, 600)
{
	ASSERT_EQ(0, run("uffdvramctl -p %d batch <<end\n"
			 "stats -i 0.1 -n 2 0x%lx+4M\n"
			 "end\n", self->pid, self->addr));
	EXPECT_TRUE(says("+4M: VRAM 0% RAM 100%, touched 0 pages at least (0)\n"
			 "  written unknown home 0/s to_vram 0/s new 0/s gone 0/s "
			 "protected 0/s\n"));
	EXPECT_TRUE(says("\nprocess "));
	EXPECT_TRUE(says(": faults 0/s, and 0/s that waited for a device\n"));
	EXPECT_TRUE(says("\nmodule: faults "));
	ASSERT_EQ(0, run("uffdvramctl -j stats -i 0.1 -n 3"));
	EXPECT_TRUE(says("[{\"ns\":"));
	EXPECT_TRUE(says("},{\"ns\":"));
	EXPECT_TRUE(says("\"module\":{\"faults\":"));
	EXPECT_EQ(NULL, strstr(out, "pieces"));
	/* The counters are not for everybody to read; the page tables are what counts. */
	ASSERT_EQ(0, run("unshare -m sh -c 'umount /sys/kernel/debug/tracing 2>/dev/null; "
			 "umount -l /sys/kernel/debug; "
			 "uffdvramctl -j -p %d stats -i 0.1 0x%lx+4M; uffdvramctl stats -i 0.1; "
			 "[ $? = 1 ]'", self->pid, self->addr));
	EXPECT_TRUE(says("\"written\":null,"));
	EXPECT_TRUE(says("\"module\":null}]\n"));
	EXPECT_TRUE(says("mount -t debugfs none /sys/kernel/debug\n"));
}

TEST_F(told, ends_with_the_process)
{
	EXPECT_EQ(1, run("(sleep 0.5; kill -9 %d) & uffdvramctl -p %d stats -i 0.3 -n 1000 0x%lx+4M",
			 self->pid, self->pid, self->addr));
	EXPECT_TRUE(says("ESRCH"));
}

TEST_F(told, too_much)
{
	EXPECT_EQ(1, run("uffdvramctl -p %d stats -i 1 0+256T", self->pid));
	EXPECT_TRUE(says("more than can be watched"));
	EXPECT_EQ(2, run("uffdvramctl -p %d stats -i 1 0x1001+4K", self->pid));
	EXPECT_TRUE(says("page aligned"));
}

TEST(wrong_usage)
{
	static const char *const wrong[] = {
		"-i", "-i 0", "-i x", "-i 1 -n 0", "-n 2", "1", "-i 1 all more", "-i 1 --all",
		"-i 1 x",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		EXPECT_EQ(2, run("uffdvramctl -p %d stats %s", getpid(), wrong[i])) {
			TH_LOG("stats %s", wrong[i]);
		}
	}
	EXPECT_EQ(2, run("uffdvramctl stats -i 1 all"));
	EXPECT_TRUE(says("-p PID"));
}

TEST_HARNESS_MAIN
