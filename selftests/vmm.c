// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 900 */
/* FILES: build/vmm/vramvmm build/vmm/initrd /kernels/stock/bzImage */
/*
 * The example VMM, selftests/vmm/vramvmm: a stock kernel boots in it from nothing,
 * supplied page by page; its guest (vmm/guest.c) checks its memory while that goes
 * to VRAM and comes back; and what goes wrong ends it with the right words.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include "util_mm.h"
#include "vmm_guest.h"

#define VMM		"/files/vramvmm"
#define KERNEL		"/files/bzImage"
#define INITRD		"/files/initrd"
#define IMAGE		"/tmp/image"
#define MEM		MIB(128)
#define SILENCE_MS	900000
#define MANY_PASSES	"1000"

/* What the VMM and its guest said. */
struct said {
	unsigned long long supplied, zero, given_up, moved, back, back_bytes, vram, poison;
	unsigned long long lost, lost_len;
	bool figures, lost_poison;
	char last[512];
};

struct vmm {
	pid_t pid;
	int out;
	size_t len;
	char line[512];
	struct said said;
	struct guest_said guest;
	uint64_t pages_in, fault_pages;		/* of the module, before it began */
};

/* Both streams in one pipe. */
static int vmm_start(struct vmm *v, char *const argv[])
{
	int fds[2];

	memset(v, 0, sizeof(*v));
	v->pages_in = uv_stat("pages_in");
	v->fault_pages = uv_stat("fault_pages");
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	v->pid = fork();
	if (v->pid < 0)
		return -errno;
	if (!v->pid) {
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		execv(argv[0], argv);
		_exit(127);
	}
	close(fds[1]);
	v->out = fds[0];
	return 0;
}

static void take_line(struct said *s, const char *line)
{
	char kind[16], state[16];

	if (sscanf(line, "vramvmm: supplied %llu pages (%llu zero, %llu poison), "
			  "moved %llu, faulted back %llu (%llu bytes), in VRAM %llu, poison %llu",
			  &s->supplied, &s->zero, &s->given_up, &s->moved, &s->back,
			  &s->back_bytes, &s->vram, &s->poison) == 8) {
		s->figures = true;
	} else if (sscanf(line, "vramvmm: guest memory at 0x%llx+0x%llx is lost: %15s (now %15[^)])",
			  &s->lost, &s->lost_len, kind, state) == 4) {
		s->lost_poison = !strcmp(kind, "poison") && !strcmp(state, "poison");
	}
	fprintf(stderr, "# %s\n", line);
	if (!strncmp(line, "vramvmm: ", 9))
		snprintf(s->last, sizeof(s->last), "%s", line);
}

/* What each thread of a silent VMM waits for: for whoever reads the log. */
static void show_threads(pid_t pid)
{
	char command[128];

	snprintf(command, sizeof(command),
		 "cd /proc/%d/task && tail -n 20 */comm */stat */syscall */stack >&2", pid);
	if (system(command))
		fprintf(stderr, "# %s: failed\n", command);
}

/* The next line; false at the end, or after a long silence. */
static bool vmm_line(struct vmm *v)
{
	struct pollfd pfd = { .fd = v->out, .events = POLLIN };
	char c;

	for (;;) {
		if (poll(&pfd, 1, SILENCE_MS) <= 0) {
			show_threads(v->pid);
			return false;
		}
		if (read(v->out, &c, 1) <= 0)
			return false;
		if (c == '\n' || v->len == sizeof(v->line) - 1) {
			v->line[v->len] = '\0';
			v->len = 0;
			take_line(&v->said, v->line);
			guest_line(&v->guest, v->line);
			return true;
		}
		if (c >= ' ')
			v->line[v->len++] = c;
	}
}

/* To the end; the exit status, or -signal. */
static int vmm_end(struct vmm *v)
{
	int status;

	while (vmm_line(v))
		;
	close(v->out);
	kill(v->pid, SIGKILL);
	waitpid(v->pid, &status, 0);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int vmm_run(struct vmm *v, char *const argv[])
{
	unsigned int boots = 0;
	int ret;

	do
		ret = vmm_start(v, argv) ?: vmm_end(v);
	while (ret == VRAMVMM_CRASHED && guest_again(&boots));
	return ret;
}

/* Until the guest has gone over its data once. */
static bool vmm_run_to_pass(struct vmm *v, char *const argv[])
{
	unsigned int boots = 0;

	do {
		if (vmm_start(v, argv))
			return false;
		while (!v->guest.passes && vmm_line(v))
			;
		if (v->guest.passes)
			return true;
	} while (vmm_end(v) == VRAMVMM_CRASHED && guest_again(&boots));
	return false;
}

#define ARGV(...)	((char *[]){ VMM, __VA_ARGS__, NULL })

static int save_image(const char *passes)
{
	struct vmm v;
	char append[128];

	snprintf(append, sizeof(append), GUEST_APPEND "%s", passes);
	return vmm_run(&v, ARGV("--kernel", KERNEL, "--initrd", INITRD, "--mem", "128",
				"--append", append, "--save-image", IMAGE));
}

/* Guests that boot take minutes with sanitizers: one such kernel is enough. */
static bool left_out(void)
{
	return too_slow() && kernel_is("6.12");
}

FIXTURE(vmm)
{
};

FIXTURE_SETUP(vmm)
{
	ASSERT_EQ(0, access(VMM, X_OK));
	ASSERT_EQ(0, access(KERNEL, R_OK));
	ASSERT_EQ(0, access("/dev/kvm", R_OK | W_OK));
	ASSERT_TRUE(uv_wait_slots(0));
}

FIXTURE_TEARDOWN(vmm)
{
	uv_knob_set("fail_to_ram", "0");
	unlink(IMAGE);
	EXPECT_TRUE(uv_wait_slots(0));
}

static void expect_healthy(struct __test_metadata *_metadata, const struct vmm *v,
			   unsigned int passes)
{
	const struct said *s = &v->said;

	EXPECT_TRUE(guest_was_right(&v->guest, passes));
	EXPECT_TRUE(s->figures);
	EXPECT_EQ(0, s->given_up);
	EXPECT_EQ(0, s->poison);
	/* The kernel alone is more than its file. */
	EXPECT_LT(MIB(32) / PAGE, s->supplied);
	EXPECT_LT(0, s->zero);
	EXPECT_LT(s->zero, s->supplied);
	EXPECT_LT(1000, s->moved);
	/* How many come back depends on how fast the guest is. */
	EXPECT_LT(200, s->back);
	EXPECT_EQ(s->back * PAGE, s->back_bytes);
	EXPECT_EQ(s->moved, s->back + s->vram);
}

/*
 * The module counted the same; but a page that came back between two calls that the library
 * makes for one of ours, since some looked pinned, moved twice then, which it counts once.
 */
static void expect_same_counts(struct __test_metadata *_metadata, const struct vmm *v)
{
	uint64_t in = uv_stat("pages_in") - v->pages_in;
	uint64_t back = uv_stat("fault_pages") - v->fault_pages;

	EXPECT_LE(v->said.moved, in);
	EXPECT_EQ(in - v->said.moved, back - v->said.back);
	EXPECT_GE(v->said.moved / 4, in - v->said.moved);
}

/* Nothing is in RAM at first, and half of what comes goes to VRAM. */
TEST_F_TIMEOUT(vmm, own_pool, 2400)
{
	struct vmm v;

	if (left_out())
		SKIP(return, "takes minutes with sanitizers");
	EXPECT_EQ(0, vmm_run(&v, ARGV("--kernel", KERNEL, "--initrd", INITRD, "--mem", "128",
				      "--vram", "15", "--append", GUEST_APPEND "2")));
	expect_healthy(_metadata, &v, 2);
	expect_same_counts(_metadata, &v);
}

/* A saved image, and a pool that others may use too. */
TEST_F_TIMEOUT(vmm, saved_image_shared_pool, 2400)
{
	char number[16];
	uint32_t pool;
	struct vmm v;
	int fd = uv_open();

	if (left_out())
		SKIP(return, "takes minutes with sanitizers");
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, save_image("2"));
	ASSERT_EQ(0, uv_attach(fd, MEM, UFFDVRAM_POOL_SHARED, &pool));
	snprintf(number, sizeof(number), "%u", pool);
	EXPECT_EQ(0, vmm_run(&v, ARGV("--image", IMAGE, "--pool", number, "--vram", "30")));
	expect_healthy(_metadata, &v, 2);
	EXPECT_EQ(0, uv_detach(fd, pool, 0, NULL));
	close(fd);
}

/*
 * VRAM that cannot be read: the vCPU gets SIGBUS, and the VMM knows which page. What a
 * guest makes of it is the subject of guest_mce.c.
 */
TEST_F_TIMEOUT(vmm, lost_page, 2400)
{
	struct vmm v;

	if (left_out())
		SKIP(return, "takes minutes with sanitizers");
	ASSERT_TRUE(vmm_run_to_pass(&v, ARGV("--kernel", KERNEL, "--initrd", INITRD,
					     "--mem", "128", "--lost", "stop",
					     "--append", GUEST_APPEND MANY_PASSES)));
	uv_knob_set("fail_to_ram", "1");
	EXPECT_EQ(1, vmm_end(&v));
	EXPECT_FALSE(v.guest.done);
	/* There is one poisoned page, and it is the one that was named. */
	EXPECT_TRUE(v.said.figures);
	EXPECT_EQ(1, v.said.poison);
	EXPECT_EQ(0, v.said.given_up);
	EXPECT_TRUE(v.said.lost_poison);
	EXPECT_EQ(PAGE, v.said.lost_len);
	EXPECT_LT(0, v.said.lost);
	EXPECT_GT(MEM, v.said.lost);
	EXPECT_EQ(v.guest.passes, v.guest.right_sums);
}

/* The image breaks off while the guest boots: where the initramfs begins. */
TEST_F_TIMEOUT(vmm, image_ends, 2400)
{
	struct stat initrd;
	struct vmm v;
	uint64_t cut;

	if (left_out())
		SKIP(return, "takes minutes with sanitizers");
	ASSERT_EQ(0, stat(INITRD, &initrd));
	cut = (MEM - initrd.st_size) / PAGE * PAGE;
	ASSERT_EQ(0, save_image("2"));
	ASSERT_EQ(0, vmm_start(&v, ARGV("--image", IMAGE, "--vram", "0", "--lost", "stop")));
	ASSERT_TRUE(vmm_line(&v));
	ASSERT_EQ(0, truncate(IMAGE, cut));
	EXPECT_EQ(1, vmm_end(&v));
	EXPECT_EQ(cut, v.said.lost);
	EXPECT_EQ(PAGE, v.said.lost_len);
	EXPECT_TRUE(v.said.lost_poison);
	EXPECT_EQ(1, v.said.given_up);
	EXPECT_EQ(1, v.said.poison);
	EXPECT_EQ(0, v.said.moved);
	EXPECT_EQ(0, v.guest.words);
}

/* What cannot be started says why. */
TEST_F(vmm, wrong_files)
{
	const struct {
		char **argv;
		const char *words;
	} cases[] = {
		{ ARGV("--kernel", INITRD, "--initrd", INITRD), "initrd: not a Linux kernel" },
		{ ARGV("--kernel", "/none", "--initrd", INITRD), "/none: No such file" },
		{ ARGV("--kernel", KERNEL, "--initrd", "/dev/null"), "/dev/null: empty" },
		{ ARGV("--kernel", KERNEL, "--initrd", INITRD, "--mem", "64"), "MiB of memory" },
		{ ARGV("--kernel", KERNEL, "--initrd", INITRD, "--vram", "101"), "--vram 101: " },
		{ ARGV("--image", INITRD), "initrd: not a memory image" },
		{ ARGV("--image", IMAGE), "image: cut off: 104857600 of" },
		{ ARGV("--kernel", KERNEL, "--initrd", INITRD, "--pool", "4000000"),
		  "pool 4000000" },
		{ ARGV("--kernel", KERNEL, "--initrd", INITRD, "--lost", "no"), "--lost no: " },
		{ ARGV("--kernel", KERNEL, "--initrd", INITRD, "--pool", "1x"), "--pool 1x: " },
	};
	struct vmm v;
	size_t i;

	ASSERT_EQ(0, save_image("1"));
	ASSERT_EQ(0, truncate(IMAGE, MIB(100)));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		EXPECT_EQ(2, vmm_run(&v, cases[i].argv));
		EXPECT_NE(NULL, strstr(v.said.last, cases[i].words)) {
			TH_LOG("wanted: %s", cases[i].words);
		}
		EXPECT_FALSE(v.said.figures);
	}
	EXPECT_EQ(2, vmm_run(&v, ARGV("--kernel", KERNEL)));
	EXPECT_EQ(2, vmm_run(&v, ARGV("--kernel", KERNEL, "--initrd", INITRD, "--image", IMAGE)));
}

TEST_HARNESS_MAIN
