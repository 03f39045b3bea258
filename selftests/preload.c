// SPDX-License-Identifier: GPL-2.0-only
/* FILES: build/user/libuffdvram-preload.so build/selftests/victim */
/* PROGRAMS: /lib64/ld-linux-x86-64.so.2 /lib/x86_64-linux-gnu/libc.so.6 */
/*
 * The shim in each of its modes, with a program that checks its own bytes
 * (shim/victim.c). Upstream's programs are the judges of chaos; here each setting
 * of libuffdvram-preload(7) is seen to do what the manual says.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "util_mm.h"

#define REPORT	"/tmp/preload-report"

/* Sums of all lines of counts, and what else the program said. */
struct said {
	unsigned long lines, migrations, fault_backs, ranges;
	char text[4096];
};

static void count_line(struct said *said, const char *line)
{
	unsigned long migrations, fault_backs, ranges;

	if (sscanf(line, "uffdvram-preload: pid %*d migrations %lu fault-backs %lu ranges %lu",
		   &migrations, &fault_backs, &ranges) != 3) {
		strncat(said->text, line, sizeof(said->text) - strlen(said->text) - 1);
		return;
	}
	said->lines++;
	said->migrations += migrations;
	said->fault_backs += fault_backs;
	said->ranges += ranges;
}

static void count_lines(struct said *said, FILE *f)
{
	char line[512];

	while (fgets(line, sizeof(line), f))
		count_line(said, line);
}

/* Its exit status. @env: NAME=VALUE... without UFFDVRAM_; @args of the program. */
static int under_shim(struct said *said, const char *env, const char *args)
{
	char line[1024];
	int status;
	FILE *f;

	memset(said, 0, sizeof(*said));
	snprintf(line, sizeof(line),
		 "exec 2>&1; export %s LD_PRELOAD=/files/libuffdvram-preload.so; exec /files/victim %s",
		 env, args);
	f = popen(line, "r");
	if (!f)
		give_up("popen");
	count_lines(said, f);
	status = pclose(f);
	if (said->text[0])
		printf("# %s: %s", env, said->text);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

FIXTURE(shim)
{
	struct said said;
	int fd;
	uint32_t pool;
};

FIXTURE_SETUP(shim)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_EQ(0, uv_attach(self->fd, MIB(32), UFFDVRAM_POOL_SHARED, &self->pool));
}

FIXTURE_TEARDOWN(shim)
{
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
	EXPECT_TRUE(uv_wait_slots(0));
	close(self->fd);
}

TEST_F_TIMEOUT(shim, plain_registers_only, 300)
{
	ASSERT_EQ(0, under_shim(&self->said, "UFFDVRAM_PRELOAD=plain", "exit"));
	EXPECT_EQ(3, self->said.lines);	/* two children, and itself */
	EXPECT_LT(1, self->said.ranges);
	EXPECT_EQ(0, self->said.migrations);
	ASSERT_EQ(0, under_shim(&self->said, "UFFDVRAM_PRELOAD=1", "_exit"));
	EXPECT_EQ(3, self->said.lines);
	ASSERT_EQ(0, under_shim(&self->said, "UFFDVRAM_PRELOAD=plain", "syscall"));
	EXPECT_EQ(3, self->said.lines);
}

TEST_F_TIMEOUT(shim, chaos_moves, 300)
{
	ASSERT_EQ(0, under_shim(&self->said,
				"UFFDVRAM_PRELOAD=chaos UFFDVRAM_PRELOAD_STIR=100", "exit"));
	EXPECT_EQ(3, self->said.lines);
	EXPECT_LT(0, self->said.migrations);
	EXPECT_LT(0, self->said.fault_backs);
}

TEST_F_TIMEOUT(shim, node, 300)
{
	ASSERT_EQ(0, under_shim(&self->said, "UFFDVRAM_PRELOAD=node", "exit node"));
	EXPECT_EQ(3, self->said.lines);
	EXPECT_EQ(0, self->said.migrations);
}

TEST_F_TIMEOUT(shim, children_are_left_alone_on_request, 300)
{
	ASSERT_EQ(0, under_shim(&self->said,
				"UFFDVRAM_PRELOAD=chaos UFFDVRAM_PRELOAD_STIR=100 "
				"UFFDVRAM_PRELOAD_FORK=0", "_exit"));
	EXPECT_EQ(1, self->said.lines);
	EXPECT_LT(0, self->said.migrations);
}

TEST_F_TIMEOUT(shim, the_heap_too, 300)
{
	ASSERT_EQ(0, under_shim(&self->said,
				"UFFDVRAM_PRELOAD=chaos UFFDVRAM_PRELOAD_STIR=100 "
				"UFFDVRAM_PRELOAD_HEAP=1 UFFDVRAM_PRELOAD_STEP=1000", "exit heap"));
	EXPECT_LT(0, self->said.migrations);
}

TEST_F_TIMEOUT(shim, report_in_a_file, 300)
{
	FILE *f = fopen(REPORT, "w");

	ASSERT_NE(NULL, f);
	fclose(f);
	ASSERT_EQ(0, under_shim(&self->said,
				"UFFDVRAM_PRELOAD=chaos UFFDVRAM_PRELOAD_STIR=100 "
				"UFFDVRAM_PRELOAD_REPORT=" REPORT, "exit"));
	EXPECT_EQ(0, self->said.lines);
	f = fopen(REPORT, "r");
	ASSERT_NE(NULL, f);
	count_lines(&self->said, f);
	fclose(f);
	EXPECT_EQ(3, self->said.lines);
	EXPECT_LT(0, self->said.migrations);
	unlink(REPORT);
	/* A file that is not there: as without. */
	ASSERT_EQ(0, under_shim(&self->said,
				"UFFDVRAM_PRELOAD=plain UFFDVRAM_PRELOAD_REPORT=" REPORT, "exit"));
	EXPECT_EQ(3, self->said.lines);
}

TEST_F_TIMEOUT(shim, off_and_unknown, 300)
{
	ASSERT_EQ(0, under_shim(&self->said, "UFFDVRAM_PRELOAD=off", "exit"));
	EXPECT_EQ(0, self->said.lines);
	EXPECT_STREQ("", self->said.text);
	ASSERT_EQ(0, under_shim(&self->said, "UFFDVRAM_PRELOAD=fast", "exit"));
	EXPECT_EQ(0, self->said.lines);
	EXPECT_NE(NULL, strstr(self->said.text, "off, plain, chaos or node"));
}

TEST(a_pool_of_its_own)
{
	struct said said;

	knobs_calm();
	ASSERT_EQ(0, under_shim(&said, "UFFDVRAM_PRELOAD=chaos UFFDVRAM_PRELOAD_STIR=100 "
				"UFFDVRAM_PRELOAD_POOL=8M", "exit"));
	EXPECT_EQ(3, said.lines);
	EXPECT_LT(0, said.migrations);
	EXPECT_TRUE(uv_wait_slots(0));
}

TEST(no_pool)
{
	struct said said;

	ASSERT_EQ(0, under_shim(&said, "UFFDVRAM_PRELOAD=plain", "exit"));
	EXPECT_EQ(0, said.lines);
	EXPECT_NE(NULL, strstr(said.text, "no pool to move pages to"));
}

TEST_HARNESS_MAIN
