// SPDX-License-Identifier: GPL-2.0-only
/*
 * uffdvramctl with the module: what a person types, what comes out, how it ends.
 */
#include "kselftest_harness.h"
#include "ctl_fixture.h"

FIXTURE(ctl)
{
	struct child target;
	unsigned long addr;
	int pid;
};

FIXTURE_SETUP(ctl)
{
	self->addr = target_start(_metadata, &self->target);
	ASSERT_NE(0, self->addr);
	self->pid = self->target.pid;
}

FIXTURE_TEARDOWN(ctl)
{
	child_kill(&self->target);
	EXPECT_TRUE(uv_wait_slots(0));
}

TEST(info)
{
	/* Kernels with sanitizers have PAGE_TABLE_CHECK, too. */
	const bool scan_wp = !sanitizers();

	ASSERT_EQ(0, run("uffdvramctl info"));
	EXPECT_TRUE(says("interface   version 1, library 0.1\n"));
	EXPECT_TRUE(says("features    vram open_pid sim copy events linear mmap pci poison "
			 "access harvest convert"));
	EXPECT_TRUE(says(scan_wp ? " convert scan_wp exclusive\n" : " convert exclusive\n"));
	ASSERT_EQ(0, run("uffdvramctl -j info"));
	EXPECT_TRUE(says("{\"abi\":1,\"library\":\"0.1\","
			 "\"features\":[\"vram\",\"open_pid\",\"sim\",\"copy\","
			 "\"events\",\"linear\",\"mmap\",\"pci\",\"poison\",\"access\","
			 "\"harvest\",\"convert\""));
	EXPECT_TRUE(says(scan_wp ? ",\"scan_wp\",\"exclusive\"]," : "\"convert\",\"exclusive\"],"));
}

TEST(a_shared_pool)
{
	unsigned int n;

	ASSERT_EQ(0, run("uffdvramctl pool attach sim 2M --shared"));
	ASSERT_EQ(1, sscanf(out, "pool %u: sim 2M shared", &n));
	ASSERT_EQ(0, run("uffdvramctl pool list | grep '^pool %u: '", n));
	EXPECT_TRUE(says(": sim 2M shared, 0 of 512 slots used\n"));
	EXPECT_EQ(0, run("uffdvramctl -j pool list"));
	EXPECT_TRUE(says("\"backend\":\"sim\",\"bytes\":2097152,\"slots\":512,\"used\":0,"
			 "\"lost\":0,\"quarantined\":0,\"shared\":true,\"draining\":false,"
			 "\"fault\":"));
	ASSERT_EQ(0, run("uffdvramctl pool detach %u", n));
	ASSERT_EQ(0, run("uffdvramctl -j batch <<'end'\n"
			 "pool attach sim 2M --fault=4K\npool list\nend"));
	EXPECT_TRUE(says("\"draining\":false,\"fault\":4096}"));
	EXPECT_EQ(1, run("uffdvramctl pool attach sim 2M --shared --fault=8K"));
	EXPECT_TRUE(says("pool attach: sim 2M: EINVAL"));
	EXPECT_EQ(2, run("uffdvramctl pool attach sim 2M --shared --fault=little"));
	EXPECT_EQ(1, run("uffdvramctl pool detach %u", n));
	EXPECT_TRUE(says("ENODEV"));
	EXPECT_EQ(1, run("uffdvramctl pool attach sim 4097 --shared"));
	EXPECT_TRUE(says("pool attach: sim 4097: EINVAL"));
}

TEST_F(ctl, moves_memory_of_a_process)
{
	char want[128];

	ASSERT_EQ(0, run("uffdvramctl -j -p %d batch --ack <<end\n"
			 "pool attach sim 8M\n"
			 "range add 0x%lx 4M\n"
			 "move in all\n"
			 "sleep 0.2\n"	/* what an LRU batch of a CPU held comes later */
			 "move in 1\n"
			 "sleep 1\n"
			 "move in -t 2 0x%lx+4M\n"
			 "map\n"
			 "move out -t 64 1\n"
			 "map\n"
			 "stats -i 0.1 all\n"
			 "end\n", self->pid, self->addr, self->addr));
	EXPECT_TRUE(says("\"pieces\":[{\"range\":1,\"addr\":\"0x"));
	EXPECT_EQ(NULL, strstr(out, "error"));
	EXPECT_TRUE(says("\"stayed\":{}}]\n{\"ok\":true}\n"));
	snprintf(want, sizeof(want), "\"pages\":{\"other\":0,\"ram\":0,\"vram\":%lu,"
		 "\"poison\":0},\"bar\":\"################", PAGES);
	EXPECT_TRUE(says(want));
	snprintf(want, sizeof(want), "\"pages\":{\"other\":0,\"ram\":%lu,\"vram\":0,"
		 "\"poison\":0},\"bar\":\"................", PAGES);
	EXPECT_TRUE(says(want));
	target(CHECK, PAGES);
}

TEST_F(ctl, ranges_end_with_the_batch)
{
	ASSERT_EQ(0, run("uffdvramctl -p %d batch <<end\n"
			 "# a comment, and an empty line\n"
			 "\n"
			 "pool attach sim 8M\n"
			 "range add anon:4M\n"
			 "range list\n"
			 "move in all\n"
			 "end\n", self->pid));
	EXPECT_TRUE(says("of 1024 pages moved to VRAM"));
	EXPECT_TRUE(uv_wait_slots(0));
	target(CHECK, PAGES);
	EXPECT_EQ(0, run("uffdvramctl -p %d map --ascii 0x%lx+4M", self->pid, self->addr));
	EXPECT_TRUE(says("[................"));
	EXPECT_TRUE(says("] VRAM 0% RAM 100% other 0% poison 0%\n"));
	EXPECT_EQ(0, run("unset LC_ALL; LANG=C LC_CTYPE=en_US.utf8 uffdvramctl -p %d map -w 4 0x%lx+4M",
			 self->pid, self->addr));
	EXPECT_TRUE(says("+4M [░░░░] VRAM 0% RAM 100%"));
	EXPECT_EQ(0, run("LC_ALL=C LANG=C.UTF-8 uffdvramctl -p %d map -w 4 0x%lx+4M",
			 self->pid, self->addr));
	EXPECT_TRUE(says("+4M [....] "));
}

TEST_F(ctl, poison)
{
	char want[64];

	ASSERT_EQ(1, run("uffdvramctl -p %d batch --ack <<end\n"
			 "range add 0x%lx 4M pool 0\n"
			 "poison set 0x%lx+8K\n"
			 "poison set --replace 0x%lx+8K\n"
			 "poison list all\n"
			 "map --ascii -w 4 all\n"
			 "end\n", self->pid, self->addr, self->addr + PAGE, self->addr + PAGE));
	EXPECT_TRUE(says("EEXIST"));
	EXPECT_TRUE(says(": 2 pages are poison\n"));
	snprintf(want, sizeof(want), "\n0x%lx+8K\n", self->addr + PAGE);
	EXPECT_TRUE(says(want));
	EXPECT_TRUE(says("[!...]"));
	ASSERT_EQ(0, run("uffdvramctl -j -p %d poison list 0x%lx+4M", self->pid, self->addr));
	snprintf(want, sizeof(want), "[{\"addr\":\"0x%lx\",\"len\":8192}]\n",
		 self->addr + PAGE);
	EXPECT_TRUE(says(want));
	ASSERT_EQ(0, run("printf 'range add 0x%lx 4M pool 0\npoison undo all\npoison list all\n' | "
			 "uffdvramctl -j -p %d batch", self->addr, self->pid));
	EXPECT_TRUE(says("\"done\":4194304}]\n[]\n"));
	EXPECT_EQ(2, run("uffdvramctl -p %d poison list --replace 0x1000+4K", self->pid));
	EXPECT_TRUE(says("poison: usage: "));
	EXPECT_EQ(2, run("uffdvramctl poison list 0x1000+4K"));
	EXPECT_TRUE(says("-p PID"));
	EXPECT_EQ(1, run("uffdvramctl -p %d poison set 0x%lx+4K", self->pid, self->addr));
	EXPECT_TRUE(says("ENOENT"));
}

TEST_F(ctl, a_failure_ends_the_batch)
{
	EXPECT_EQ(1, run("uffdvramctl -p %d batch <<end\n"
			 "range add 0x%lx 4M pool 0\n"
			 "range add 0x%lx 4M pool 0\n"
			 "echo never\n"
			 "end\n", self->pid, self->addr, self->addr));
	EXPECT_TRUE(says("line 2: range add: "));
	EXPECT_TRUE(says("EBUSY"));
	EXPECT_EQ(NULL, strstr(out, "never"));
	EXPECT_EQ(2, run("uffdvramctl -p %d batch --ack <<end\n"
			 "move in all\n"
			 "move sideways all\n"
			 "range add 0x%lx 4M pool 0\n"
			 "move in all\n"
			 "echo still here\n"
			 "end\n", self->pid, self->addr));
	EXPECT_TRUE(says("error: move: all: there is no range"));
	EXPECT_TRUE(says("error: move: usage: "));
	EXPECT_TRUE(says("ENODEV"));
	EXPECT_TRUE(says("still here\nok\n"));
}

TEST_F(ctl, range_add_is_all_or_nothing)
{
	ASSERT_EQ(1, run("uffdvramctl -p %d batch --ack <<end\n"
			 "range add 0x%lx 8K pool 0\n"
			 "range add anon:4K pool 0\n"
			 "range list\n"
			 "end\n", self->pid, self->addr));
	EXPECT_TRUE(says("EBUSY"));
	EXPECT_TRUE(says("range 1 "));
	/* After the error, the list has that one range and no more. */
	EXPECT_NE(NULL, strstr(strstr(out, "error: "), "\nrange 1 "));
	EXPECT_EQ(NULL, strstr(strstr(strstr(out, "error: "), "\nrange 1 ") + 1, "\nrange "));
}

TEST_F(ctl, range_del_takes_one_of_several)
{
	ASSERT_EQ(0, run("uffdvramctl -p %d batch <<end\n"
			 "range add 0x%lx 8K pool 0\n"
			 "range add 0x%lx 8K pool 0\n"
			 "range del 1\n"
			 "range list\n"
			 "end\n", self->pid, self->addr, self->addr + MIB(1)));
	EXPECT_TRUE(says("1 range deleted\nrange 2 "));
}

TEST_F(ctl, wait_ends_with_the_process)
{
	/* Killed only when the batch has begun; then there is nothing to map. */
	ASSERT_EQ(0, run("printf 'echo begun\\nwait\\nmap 0+4K\\n' | uffdvramctl -p %d batch | "
			 "(read begun; sleep 0.3; kill -9 %d; cat)", self->pid, self->pid));
	EXPECT_TRUE(says("line 3: map: "));
	EXPECT_TRUE(says("ESRCH"));
}

TEST_F(ctl, events)
{
	ASSERT_EQ(0, run("uffdvramctl -p %d batch <<end\n"
			 "pool attach sim 8M\n"
			 "range add 0x%lx 4M --fault-events\n"
			 "events -t 0.1\n"
			 "echo moved\n"
			 "move in all\n"
			 "move in all\n"
			 "map\n"		/* which touches nothing */
			 "events -t 0.1\n"
			 "echo silent\n"
			 "end\n", self->pid, self->addr));
	/* Nobody touched it. */
	EXPECT_EQ(NULL, strstr(out, "fault_back"));
	/* A target that is killed meanwhile is gone, and that is the last event. */
	ASSERT_EQ(0, run("printf 'pool attach sim 8M\n"
			 "range add 0x%lx 4M\n"
			 "echo begun\nevents -t 20\necho over\n' | "
			 "uffdvramctl -p %d batch | "
			 "(while read line; do echo \"$line\"; "
			 "if [ \"$line\" = begun ]; then kill -9 %d; fi; done)",
			 self->addr, self->pid, self->pid));
	EXPECT_TRUE(says(" range_gone: all, exit\n"));
	EXPECT_TRUE(says("over\n"));
	EXPECT_EQ(2, run("uffdvramctl -p %d events", self->pid));
	EXPECT_TRUE(says("use batch"));
}

/* Its own memory, in a context that it was given, is touched by the target. */
TEST_F(ctl, faults_are_told)
{
	ASSERT_EQ(0, run("printf 'pool attach sim 8M\nrange add 0x%lx 4M --fault-events\n"
			 "move in all\necho begun\nevents -j -n 1 -t 60\n' | "
			 "uffdvramctl -p %d batch | "
			 "(while read line; do echo \"$line\"; if [ \"$line\" = begun ]; then "
			 "dd if=/proc/%d/mem bs=4096 count=1 skip=%lu of=/dev/null; fi; done)",
			 self->addr, self->pid, self->pid, self->addr / PAGE));
	EXPECT_TRUE(says("\"event\":\"fault_back\",\"range\":1,\"addr\":\"0x"));
	target(CHECK, PAGES);
}

/* The device of its pool has trouble, twice. */
TEST_F(ctl, trouble_is_told)
{
	ASSERT_EQ(0, run("printf 'pool attach sim 8M\nrange add 0x%lx 4M\necho begun\n"
			 "events -n 1 -t 60\nevents -j -n 1 -t 60\n' | "
			 "uffdvramctl -p %d batch | "
			 "(while read line; do echo \"$line\"; if [ \"$line\" = begun ]; then "
			 "cd /sys/kernel/debug/uffdvram; "
			 "while read word n more; do last=$n; done <pools; "
			 "echo $last evacuate >knobs/trouble; "
			 "echo $last lost >knobs/trouble; fi; done)", self->addr, self->pid));
	EXPECT_TRUE(says(" pool_trouble: pool "));
	EXPECT_TRUE(says(", evacuate\n"));
	EXPECT_TRUE(says("\"event\":\"pool_trouble\",\"pool\":"));
	EXPECT_TRUE(says(",\"cause\":\"lost\"}\n"));
}

/* A pool that is too small, so that pages stay and the pool says that it is full. */
static int small_pool(int pid, unsigned long addr, const char *options)
{
	return run("uffdvramctl %s -p %d batch --ack <<end\n"
		   "echo a b\n"
		   "pool attach sim 2M\n"
		   "range add 0x%lx 4M\n"
		   "move in 1\n"
		   "events -n 1 -t 60\n"
		   "range del 1\n"
		   "range del 1\n"
		   "range add largest\n"
		   "range del all\n"
		   "end\n", options, pid, addr);
}

TEST_F_TIMEOUT(ctl, pages_that_stay, 300)
{
	EXPECT_EQ(1, small_pool(self->pid, self->addr, ""));
	EXPECT_TRUE(says("a b\nok\n"));
	EXPECT_TRUE(says(" pages stayed: "));
	EXPECT_TRUE(says(" no_slot (first 0x"));
	EXPECT_TRUE(says(" pool_pressure: pool "));
	EXPECT_TRUE(says("1 range deleted\nok\n"));
	EXPECT_TRUE(says("error: range del: range 1: none with this number"));
	EXPECT_EQ(1, small_pool(self->pid, self->addr, "-j"));
	EXPECT_TRUE(says("[\"a\",\"b\"]\n{\"ok\":true}\n"));
	EXPECT_TRUE(says("\"no_slot\":{\"pages\":"));
	EXPECT_TRUE(says("\"event\":\"pool_pressure\",\"pool\":"));
	EXPECT_TRUE(says("{\"deleted\":1}\n{\"ok\":true}\n"));
	EXPECT_TRUE(says("{\"ok\":false,\"error\":\"range del: range 1: none with"));
	target(CHECK, PAGES);
}

TEST_F_TIMEOUT(ctl, pools_that_are_used, 300)
{
	unsigned int n;

	ASSERT_EQ(0, run("uffdvramctl pool attach sim 2M --shared"));
	ASSERT_EQ(1, sscanf(out, "pool %u", &n));
	ASSERT_EQ(0, run("uffdvramctl -p %d batch <<end\n"
			 "range add 0x%lx 64K pool %u\n"
			 "move in 1\n"
			 "pool list\n"
			 "end\n", self->pid, self->addr, n));
	EXPECT_TRUE(says(" slots used\n"));
	EXPECT_EQ(0, run("uffdvramctl -j pool detach %u", n));
	EXPECT_TRUE(says("{\"detached\":"));
}

TEST_F_TIMEOUT(ctl, without_debugfs, 300)
{
	const char *before = "unshare -m sh -c 'umount /sys/kernel/debug/tracing 2>/dev/null; "
			     "umount -l /sys/kernel/debug; ";

	EXPECT_EQ(1, run("%s uffdvramctl pool list'", before));
	EXPECT_TRUE(says("mount -t debugfs none /sys/kernel/debug"));
	EXPECT_EQ(1, run("%s uffdvramctl stats'", before));
	EXPECT_TRUE(says("uffdvramctl: stats: /sys/kernel/debug/uffdvram/stats: ENOENT "));
	EXPECT_TRUE(says("mount -t debugfs none /sys/kernel/debug\n"));
	EXPECT_EQ(1, run("%s uffdvramctl -j stats 2>/dev/null'", before));
	EXPECT_STREQ("", out);
	EXPECT_EQ(0, run("%s uffdvramctl doctor'", before));
	EXPECT_TRUE(says("warn  debugfs "));
}

/* One step moves in, one out: what "stats" says of them is what the module has. */
TEST_F(ctl, stats)
{
	unsigned long long count, sum, was_count, was_sum;
	const char *line;

	ASSERT_EQ(0, run("uffdvramctl stats"));
	EXPECT_TRUE(says("slots_allocated "));
	EXPECT_TRUE(says("\n\nlatency                 count      mean 50% below 99% below all below\n"
			 "fault "));
	ASSERT_EQ(0, run("grep '^op in ' /sys/kernel/debug/uffdvram/latency"));
	ASSERT_EQ(2, sscanf(out, "op in count %llu sum_ns %llu", &was_count, &was_sum));
	ASSERT_EQ(0, run("uffdvramctl -p %d batch <<end\n"
			 "pool attach sim 2M\n"
			 "range add 0x%lx 64K\n"
			 "move in 1\n"
			 "move out 1\n"
			 "end\n", self->pid, self->addr));
	ASSERT_EQ(0, run("uffdvramctl stats | grep -A9 ^latency"));
	line = strstr(out, "\nin ");
	ASSERT_NE(NULL, line);
	ASSERT_EQ(1, sscanf(line, "\nin %llu ", &count));
	EXPECT_LT(was_count, count);
	ASSERT_EQ(0, run("uffdvramctl -j stats"));
	EXPECT_TRUE(says("{\"slots_allocated\":"));
	line = strstr(out, ",\"latency\":{\"fault\":{\"count\":");
	ASSERT_NE(NULL, line);
	line = strstr(line, "\"in\":{");
	ASSERT_NE(NULL, line);
	ASSERT_EQ(2, sscanf(line, "\"in\":{\"count\":%llu,\"sum_ns\":%llu,\"p50_ns\":",
			    &count, &sum));
	EXPECT_LT(was_count, count);
	EXPECT_TRUE(says("\"buckets\":[{\"below_ns\":"));
	EXPECT_STREQ("]}}}\n", out + strlen(out) - 5);
	/* Nothing, where it changed its CPU for one whose clock is behind. */
	EXPECT_LE(was_sum, sum);
	ASSERT_EQ(0, run("grep '^op in ' /sys/kernel/debug/uffdvram/latency"));
	ASSERT_EQ(2, sscanf(out, "op in count %llu sum_ns %llu", &was_count, &was_sum));
	EXPECT_LE(count, was_count);
	EXPECT_LE(sum, was_sum);
	EXPECT_LT(0, sum);
	EXPECT_EQ(2, run("uffdvramctl stats more"));
	EXPECT_EQ(1, run("uffdvramctl stats >/dev/full"));
}

TEST_F(ctl, doctor)
{
	unsigned int n;

	/* A test VM has all that it takes; without a pool is a warning. */
	ASSERT_EQ(0, run("uffdvramctl doctor"));
	EXPECT_TRUE(says("ok    module        live (the module is loaded and fits)\n"));
	EXPECT_TRUE(says("ok    kernel        has device-private memory\n"));
	EXPECT_TRUE(says("ok    userfaultfd   "));
	EXPECT_TRUE(says(" 0 failed\n"));
	ASSERT_EQ(0, run("uffdvramctl -p %d doctor", self->pid));
	EXPECT_TRUE(says("ok    process       its largest private memory has "));
	EXPECT_TRUE(says("ok    pinned        nothing\n"));
	ASSERT_EQ(0, run("uffdvramctl -j doctor"));
	EXPECT_TRUE(says("[{\"check\":\"module\",\"verdict\":\"ok\","));

	ASSERT_EQ(0, run("echo 0 > /sys/module/uffdvram/parameters/open_pid; "
			 "uffdvramctl doctor; r=$?; "
			 "echo 1 > /sys/module/uffdvram/parameters/open_pid; exit $r"));
	EXPECT_TRUE(says(": echo 1 > /sys/module/uffdvram/parameters/open_pid\n"));
	EXPECT_EQ(1, run("uffdvramctl -d /dev/null doctor"));
	EXPECT_TRUE(says("fail  module        live (the module is loaded, but /dev/null "));
	EXPECT_TRUE(says("(ENOTTY)"));
	EXPECT_EQ(1, run("uffdvramctl -p 99999999 doctor"));
	EXPECT_TRUE(says("fail  process       99999999 cannot be looked at: ENOENT"));
	ASSERT_EQ(0, run("uffdvramctl pool attach sim 2M --shared"));
	ASSERT_EQ(1, sscanf(out, "pool %u", &n));
	ASSERT_EQ(0, run("uffdvramctl doctor; uffdvramctl pool detach %u", n));
	EXPECT_TRUE(says("ok    pools         "));
}

TEST(processes_that_cannot_be)
{
	EXPECT_EQ(1, run("uffdvramctl -p 2 map"));	/* a kernel thread */
	EXPECT_TRUE(says("ESRCH"));
	EXPECT_EQ(1, run("uffdvramctl -p 99999999 map"));
	EXPECT_TRUE(says("process 99999999: E"));
	EXPECT_EQ(2, run("uffdvramctl -p 0 map"));
	EXPECT_EQ(2, run("uffdvramctl -p x map"));
}

TEST(wrong_commands)
{
	static const char *const wrong[] = {
		"nonsense", "info more", "pool", "pool attach sim", "pool attach gpu 1G --shared",
		"pool attach sim 1Q --shared", "pool attach sim 1G --share", "pool detach",
		"pool attach pci 00:10.0 2", "pool attach pci 00:10.8 2 1M",
		"pool attach pci 00:10.0 x 1M", "pool attach pci 00:10.0 2 1M+", "pool attach",
		"pool detach 0", "pool detach x", "pool list all", "range", "range add",
		"range add all", "range add 0x1000 pool 0", "range add 0x1000 4K 0",
		"range add anon:1M pool x", "range add anon:1M", "range add anon:0 pool 0",
		"range del", "range del x", "range del 0", "range list all", "map -w 0",
		"map -w 513", "map -w", "map 1 2", "map --wide", "map 0x1001+4K",
		"map 0xffffffffffffffff+1", "move in", "move up all", "move in x", "batch",
		"move in -t 0 all", "move out -t 65 all", "move in -t two all", "move in -t 2",
		"move in -x 2 all", "move up -t 2 all",
		"sleep", "sleep -1", "wait 1", "events -n", "events -t -1", "events 1",
		"range add anon:1M --fault-events", "stats 1", "doctor 1",
		"poison", "poison more all", "pool attach nvidia 1G --shared",
	};
	const size_t n = sizeof(wrong) / sizeof(*wrong);
	char lines[2048] = "", *end = lines, *p = out;
	size_t i;

	for (i = 0; i < n; i++)
		end += sprintf(end, "%s\n", wrong[i]);
	EXPECT_EQ(2, run("uffdvramctl -p %d batch --ack <<end\n%send\n", getpid(), lines));
	for (i = 0; i < n; i++) {
		p = strstr(p, "\nerror: ");
		ASSERT_NE(NULL, p)
			TH_LOG("\"%s\" or one before it is no error:\n%s", wrong[i], out);
		p++;
	}
	EXPECT_EQ(NULL, strstr(out, "\nok\n"));
}

TEST(wrong_usage)
{
	EXPECT_EQ(2, run("uffdvramctl"));
	EXPECT_TRUE(says("usage: "));
	EXPECT_EQ(2, run("uffdvramctl -x"));
	EXPECT_EQ(2, run("uffdvramctl map"));
	EXPECT_EQ(2, run("uffdvramctl -p %d range list", getpid()));
	EXPECT_EQ(2, run("uffdvramctl pool attach sim 1G"));
	EXPECT_TRUE(says("--shared"));
	EXPECT_EQ(1, run("uffdvramctl -d /dev/null info"));
	EXPECT_TRUE(says("ENOTTY"));
	EXPECT_EQ(1, run("uffdvramctl -d /nowhere info"));
	EXPECT_TRUE(says("ENOENT"));
	EXPECT_EQ(1, run("uffdvramctl -v -d /nowhere info"));
	EXPECT_TRUE(says("uffdvramctl: /nowhere: No such file or directory\n"));
	EXPECT_EQ(1, run("uffdvramctl -h >/dev/full"));
}

TEST(more_wrong_usage)
{
	EXPECT_EQ(0, run("uffdvramctl -V"));
	EXPECT_TRUE(says("uffdvramctl 0."));
	EXPECT_EQ(2, run("uffdvramctl move in all"));
	EXPECT_EQ(2, run("uffdvramctl range list"));
	EXPECT_EQ(2, run("uffdvramctl batch more"));
	EXPECT_EQ(2, run("echo wait | uffdvramctl batch"));
	EXPECT_EQ(2, run("seq -s ' ' 1000 | uffdvramctl batch"));
	EXPECT_TRUE(says("more than "));
	EXPECT_EQ(2, run("printf 'range add\\nrange add 1 x 2\\n' | uffdvramctl -p %d batch --ack",
			 getpid()));
	EXPECT_EQ(1, run("echo map anon:1T | uffdvramctl -p %d batch", getpid()));
	EXPECT_TRUE(says("has no private anonymous memory in one piece of 1T"));
}

TEST_HARNESS_MAIN
