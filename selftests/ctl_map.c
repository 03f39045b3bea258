// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 240 */
/*
 * uffdvramctl map: bars and pictures of where the memory of a process lives, and what of it
 * is dirty.
 */
#include <errno.h>
#include "kselftest_harness.h"
#include "ctl_target.h"

#define PICTURE	"/tmp/ctl_map.svg"

TEST_F(told, written)
{
	target(PROTECT, PAGES);
	to_vram(512, 512L);
	ASSERT_EQ(0, run("uffdvramctl -p %d map --ascii -w 16 0x%lx+4M", self->pid, self->addr));
	EXPECT_TRUE(says("+4M [........########] VRAM 50.0% RAM 50.0% other 0% poison 0%\n"
			 "  written [................] 0% of what is there\n"));
	EXPECT_TRUE(says("\ndirt: # all of what is there  "));
	target(WRITE, 600L);
	target(DISCARD, 64L);
	ASSERT_EQ(0, run("uffdvramctl -p %d map --ascii -w 16 0x%lx+4M", self->pid, self->addr));
	EXPECT_TRUE(says("+4M [_........+######] VRAM 41.4% RAM 52.3% other 6.2% poison 0%\n"
			 "  written [_########-......] 55.8% of what is there\n"));
	ASSERT_EQ(0, run("uffdvramctl -j -p %d map --ascii -w 4 0x%lx+4M", self->pid, self->addr));
	EXPECT_TRUE(says("\"pages\":{\"other\":64,\"ram\":536,\"vram\":424,\"poison\":0},"
			 "\"bar\":\"..+#\",\"swapped\":0,\"huge\":0,\"leased\":0,"
			 "\"dirt\":{\"by\":\"written\",\"pages\":536,\"of\":960,"
			 "\"bar\":\"##-.\"}}]\n"));
	/* Looking has changed nothing of it; protecting has. */
	target(PROTECT, PAGES);
	ASSERT_EQ(0, run("uffdvramctl -p %d map --ascii -w 16 0x%lx+4M", self->pid, self->addr));
	EXPECT_TRUE(says("] 0% of what is there\n"));
}

TEST_F(told, soft_dirty)
{
	char path[64];

	ASSERT_EQ(0, run("uffdvramctl -p %d map --ascii -w 4 0x%lx+4M", self->pid, self->addr));
	EXPECT_TRUE(says("  soft-dirty [####] 100% of what is there\n"));
	snprintf(path, sizeof(path), "/proc/%d/clear_refs", self->pid);
	ASSERT_EQ(0, file_write(path, "4"));
	ASSERT_EQ(0, run("uffdvramctl -j -p %d map -w 4 0x%lx+4M", self->pid, self->addr));
	EXPECT_TRUE(says(",\"dirt\":null}]\n"));
	target(WRITE, 100L);
	ASSERT_EQ(0, run("uffdvramctl -p %d map --ascii -w 4 0x%lx+4M", self->pid, self->addr));
	EXPECT_TRUE(says("  soft-dirty [-...] 9.7% of what is there\n"));
}

TEST_F(told, swapped_and_leased)
{
	struct uffdvram_slot_run vec[64];
	struct uffdvram_access_begin b;

	to_vram(512, 512L);
	ASSERT_EQ(0, uv_access_begin(self->fd, 0, (void *)(self->addr + 512 * PAGE), 64 * PAGE,
				     vec, 64, &b));
	ASSERT_EQ(64 * PAGE, b.done);
	ASSERT_TRUE(swap_on());
	target(SWAP, 256L);
	ASSERT_EQ(0, run("uffdvramctl -p %d map --ascii -w 64 -o " PICTURE " 0x%lx+4M >/dev/null && "
			 "uffdvramctl -p %d map --ascii -w 4 0x%lx+4M", self->pid, self->addr,
			 self->pid, self->addr));
	swap_off();
	EXPECT_TRUE(says("+4M [s.##] VRAM 50.0% RAM 25.0% other 25.0% poison 0% swapped 25.0% "
			 "leased 6.2%\n"));
	ASSERT_EQ(0, run("cat " PICTURE));
	EXPECT_EQ(0, strncmp(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 40));
	EXPECT_STREQ("</svg>\n", out + strlen(out) - 7);
	EXPECT_TRUE(says("<rect class=\"swapped\" "));
	EXPECT_TRUE(says("<rect class=\"vram leased\" "));
	EXPECT_TRUE(says("<rect class=\"dirty\" "));
	unlink(PICTURE);
	EXPECT_EQ(0, uv_access_end(self->fd, b.lease, 0, NULL, 0, NULL));
}

TEST_F(told, picture_of_all)
{
	EXPECT_EQ(0, run("uffdvramctl -j -p %d map -o " PICTURE " anon:4K", self->pid));
	EXPECT_EQ(0, run("grep -c '+4M</text>' " PICTURE));
	EXPECT_STREQ("1\n", out);
	EXPECT_EQ(1, run("uffdvramctl -p %d map -o /nowhere/x.svg 0x%lx+4M", self->pid,
			 self->addr));
	EXPECT_TRUE(says("uffdvramctl: map: /nowhere/x.svg: ENOENT"));
	EXPECT_EQ(1, run("uffdvramctl -p %d map -o /dev/full 0x%lx+4M", self->pid, self->addr));
	EXPECT_TRUE(says("/dev/full"));
	EXPECT_EQ(2, run("uffdvramctl -p %d map -o", self->pid));
	unlink(PICTURE);
}

/* What is not there takes no time. */
TEST_F(told, emptiness)
{
	uint64_t since = now_ms();

	ASSERT_EQ(0, run("uffdvramctl -p %d map --ascii -w 8 0+256T", self->pid));
	EXPECT_TRUE(says(" other 99.9% "));
	ASSERT_EQ(0, run("uffdvramctl -p %d map --ascii -w 8 0+0xfffffffffffff000", self->pid));
	EXPECT_TRUE(says(" other 99.9% "));
	EXPECT_GT(60000, now_ms() - since);
}

/*
 * Without its directory in /proc there is what the module says, which knows of no dirt. The
 * command has its own: a sanitizer needs that.
 */
TEST_F(told, no_proc)
{
	target(PROTECT, PAGES);
	to_vram(512, 512L);
	ASSERT_EQ(0, run("unshare -m sh -c 'mount -t tmpfs none /proc/%d && "
			 "uffdvramctl -p %d map --ascii -w 4 0x%lx+4M'",
			 self->pid, self->pid, self->addr));
	EXPECT_TRUE(says("+4M [..##] VRAM 50.0% RAM 50.0% other 0% poison 0%\n"));
	EXPECT_EQ(NULL, strstr(out, "dirt"));
	EXPECT_EQ(1, run("unshare -m sh -c 'mount -t tmpfs none /proc/%d && "
			 "uffdvramctl -p %d stats -i 0.1 0x%lx+4M'",
			 self->pid, self->pid, self->addr));
	EXPECT_TRUE(says("/stat: ESRCH"));
}

/* What "events" says of a lease of somebody else's. */
TEST_F(told, lease_is_revoked)
{
	struct uffdvram_slot_run run_of;
	struct uffdvram_access_begin b;

	/* How long it takes until it listens, only the machine knows. */
	for (int wait = 2; wait <= 32; wait *= 2) {
		to_vram(0, 16L);
		ASSERT_EQ(0, uv_access_begin(self->fd, 0, (void *)self->addr, PAGE, &run_of, 1,
					     &b));
		ASSERT_EQ(0, run("uffdvramctl events --all -j -t %d & sleep %d; "
				 "dd if=/proc/%d/mem bs=4096 count=1 skip=%lu of=/dev/null "
				 "2>/dev/null; wait", 2 * wait + 1, wait, self->pid,
				 self->addr / PAGE));
		EXPECT_EQ(-ESTALE, uv_access_end(self->fd, b.lease, 0, NULL, 0, NULL));
		if (says("lease_revoked"))
			break;
	}
	EXPECT_TRUE(says("\"event\":\"lease_revoked\",\"addr\":\"0x"));
	EXPECT_TRUE(says("\"cause\":\"cpu\"}\n"));
}

TEST_HARNESS_MAIN
