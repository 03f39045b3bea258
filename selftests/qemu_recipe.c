// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 1200 */
/* FILES: build/vmm/recipe build/vmm/initrd /kernels/stock/bzImage */
/* PROGRAMS: /usr/bin/qemu-system-x86_64 /usr/share/seabios/bios-256k.bin */
/* PROGRAMS: /usr/share/qemu/kvmvapic.bin /usr/share/qemu/linuxboot_dma.bin */
/*
 * uffdvram-qemu(7) is right: its commands, taken out of the page, run stock QEMU
 * with a stock kernel, and its memory is in VRAM for a while and intact after it.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "util_mm.h"
#include "vmm_guest.h"

#define DIR		"/tmp/recipe"
#define PASSES		4
#define GUEST_PAGES	(MIB(128) / PAGE)
#define LIMIT_S		2400	/* of a boot; sanitizers make it long */

/* What "$@" of the page stands for here. */
#define REST_OF_COMMAND_LINE \
	"-cpu", "qemu64", "-nodefaults", "-no-reboot", "-kernel", "/files/bzImage", \
	"-initrd", "/files/initrd", "-append", GUEST_APPEND GUEST_STR(PASSES)

/* Lines of @path to @line; how many there are. */
static int each_line(const char *path, void (*line)(void *arg, const char *line), void *arg)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = fopen(path, "re");
	int n = 0;

	if (!f)
		return -errno;
	for (; getline(&text, &size, f) > 0; n++) {
		text[strcspn(text, "\r\n")] = '\0';
		fprintf(stderr, "# %s: %s\n", path + sizeof(DIR), text);
		line(arg, text);
	}
	free(text);
	fclose(f);
	return n;
}

static void take_guest(void *arg, const char *line)
{
	guest_line(arg, line);
}

/* What uffdvramctl and the program of the page print. */
struct output {
	unsigned long long pool, added, moves, moved, most, program;
};

static void take_output(void *arg, const char *line)
{
	struct output *out = arg;
	unsigned long long moved, already;

	if (sscanf(line, "move: %*[^:]: %llu of %*u pages moved to VRAM, %llu were there",
		   &moved, &already) == 2) {
		out->moves++;
		out->moved += moved;
		if (moved + already > out->most)
			out->most = moved + already;
	}
	sscanf(line, "pool %llu: sim", &out->pool);
	sscanf(line, "moved %llu pages: No such process", &out->program);
}

/* Run a script of the page as the page says it. Its exit status. */
static int script(const char *name)
{
	char path[64];
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		int out = open(DIR "/output", O_WRONLY | O_CREAT | O_TRUNC, 0600);

		snprintf(path, sizeof(path), "./%s.sh", name);
		dup2(out, 1);
		dup2(out, 2);
		execlp("sh", "sh", "-e", path, REST_OF_COMMAND_LINE, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

FIXTURE(qemu)
{
	uint64_t pages_in, fault_pages;
	struct output out;
	struct guest_said guest;
};

FIXTURE_SETUP(qemu)
{
	if (too_slow())
		SKIP(return, "takes minutes with sanitizers");
	ASSERT_EQ(0, access("/dev/kvm", R_OK | W_OK));
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, system("rm -rf " DIR " && cp -r /files/recipe " DIR));
	ASSERT_EQ(0, chdir(DIR));
	EXPECT_EQ(0, script("prepare"));
	ASSERT_EQ(1, each_line(DIR "/pool", take_output, &self->out));
	ASSERT_LT(0, self->out.pool);
}

FIXTURE_TEARDOWN(qemu)
{
	int fd = uv_open();

	/* Only if the script broke off. */
	if (!self->guest.done)
		system("kill -9 $(cat " DIR "/pid)");
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, uv_detach(fd, self->out.pool, 0, NULL));
	close(fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

/* The guest has not come to its program, and has nothing to say about that. */
static bool guest_reset_itself(void)
{
	struct guest_said g = { 0 };

	return each_line(DIR "/guest.log", take_guest, &g) >= 0 && !g.words && !g.panic;
}

/* Runs a script of the page; pages are counted from its beginning. */
static int script_with_guest(FIXTURE_DATA(qemu) *self, const char *name)
{
	unsigned int boots = 0;
	int ret;

	do {
		self->pages_in = uv_stat("pages_in") + uv_stat("pages_placed");
		self->fault_pages = uv_stat("fault_pages");
		ret = script(name);
	} while (guest_reset_itself() && guest_again(&boots));
	return ret;
}

static void expect_right(struct __test_metadata *_metadata, FIXTURE_DATA(qemu) *self)
{
	EXPECT_LT(0, each_line(DIR "/output", take_output, &self->out));
	EXPECT_LT(0, each_line(DIR "/guest.log", take_guest, &self->guest));
	EXPECT_TRUE(guest_was_right(&self->guest, PASSES));
	self->pages_in = uv_stat("pages_in") + uv_stat("pages_placed") - self->pages_in;
	self->fault_pages = uv_stat("fault_pages") - self->fault_pages;
	EXPECT_LT(1000, self->fault_pages);
}

/*
 * What the module counted, and what was told. The library counts a page once that comes
 * back, and moves again, between two calls that it makes since some looked pinned.
 */
static void expect_counted(struct __test_metadata *_metadata, uint64_t pages_in, uint64_t told)
{
	EXPECT_LE(told, pages_in);
	EXPECT_GE(told / 4, pages_in - told);
}

/* uffdvramctl, outside */
TEST_F_TIMEOUT(qemu, ctl, LIMIT_S)
{
	EXPECT_EQ(0, script_with_guest(self, "ctl"));
	expect_right(_metadata, self);
	EXPECT_EQ(2, self->out.moves);
	expect_counted(_metadata, self->pages_in, self->out.moved);
	/* Nearly all: some pages are always in somebody's hands. */
	EXPECT_LT(GUEST_PAGES * 9 / 10, self->out.most);
}

/* A program with libuffdvram, outside */
TEST_F_TIMEOUT(qemu, manager, LIMIT_S)
{
	EXPECT_EQ(0, script_with_guest(self, "manager"));
	expect_right(_metadata, self);
	expect_counted(_metadata, self->pages_in, self->out.program);
	EXPECT_LT(GUEST_PAGES / 8, self->out.program);
}

/* QEMU maps the device by itself. */
TEST_F_TIMEOUT(qemu, node, LIMIT_S)
{
	EXPECT_EQ(0, script_with_guest(self, "node"));
	expect_right(_metadata, self);
	EXPECT_EQ(2, self->out.moves);
	expect_counted(_metadata, self->pages_in, self->out.moved);
	EXPECT_LT(GUEST_PAGES * 9 / 10, self->out.most);
}

TEST_HARNESS_MAIN
