// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 1200 */
/* FILES: build/vmm/vramvmm build/vmm/initrd /kernels/stock/bzImage */
/* PROGRAMS: /usr/bin/qemu-system-x86_64 /usr/share/seabios/bios-256k.bin */
/* PROGRAMS: /usr/share/qemu/kvmvapic.bin /usr/share/qemu/linuxboot_dma.bin */
/*
 * A guest that loses a page: its memory becomes poison, or a bit flips in VRAM, and the
 * virtual CPU gets SIGBUS. The VMM, ours or stock QEMU, makes a machine check of that;
 * the guest's stock kernel says which page has failed, and its handler tells the one
 * program that was about to use it (vmm/lost.c), which lives on with all its other pages.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "util_mm.h"
#include "vmm_guest.h"

#define KERNEL		"/files/bzImage"
#define INITRD		"/files/initrd"
#define APPEND		"console=ttyS0 quiet panic=-1 reboot=k rdinit=/lost"
#define DIR		"/tmp/guest_mce"
#define LOG		DIR "/log"		/* what the guest says */
#define VMM_LOG		DIR "/vmm"		/* what the VMM says; ours: LOG has both */
#define CHECKSUMS	"/sys/module/uffdvram/parameters/checksums"
#define MEM		MIB(128)
#define POOL		MIB(136)
#define LIMIT_S		2400
/*
 * AMD's guests survive only where the CPU says that it tells of such errors in time:
 * uffdvram-qemu(7).
 */
#define CPU		"qemu64,+overflow-recov,+succor"

/**
 * struct said - what the lines of a log say
 * @lose: guest address of the page that is to be lost
 * @vmm: what the VMM says to be lost
 * @mc: what the guest's handler of machine checks says
 * @failed: page number that the guest's kernel has recovered from
 * @code, @offset, @lsb: of the program's SIGBUS
 * @n_vmm, @n_mc, @n_failed, @n_sigbus: lines of each kind
 */
struct said {
	unsigned long long lose, vmm, mc, failed, pages, bad, corrupted;
	long code, offset, lsb;
	unsigned int n_vmm, n_mc, n_failed, n_sigbus;
	bool lives, panic;
};

static void take_line(struct said *s, const char *line)
{
	const char *at = strstr(line, "Memory failure: 0x");

	if (at && strstr(at, ": Recovered"))
		s->n_failed += sscanf(at, "Memory failure: 0x%llx: recovery", &s->failed) == 1;
	/* What it says in more detail is several pieces of a line, and may be cut. */
	at = strstr(line, "mce: Uncorrected hardware memory error in user-access at ");
	if (at)
		s->n_mc += sscanf(strstr(at, " at "), " at %llx", &s->mc) == 1;
	if (strstr(line, "Kernel panic"))
		s->panic = true;
	if (sscanf(line, "vramvmm: guest memory at 0x%llx+0x1000 is lost: poison (now poison)",
		   &s->vmm) == 1)
		s->n_vmm += !!strstr(line, ": machine check");
	at = strstr(line, "Guest MCE Memory Error at QEMU addr");
	at = at ? strstr(at, "and GUEST addr ") : NULL;
	if (at)
		s->n_vmm += sscanf(at, "and GUEST addr 0x%llx of type BUS_MCEERR_AR", &s->vmm) == 1;
	sscanf(line, "LOSE 0x%llx", &s->lose);
	s->n_sigbus += sscanf(line, "SIGBUS code=%ld offset=%ld lsb=%ld", &s->code, &s->offset,
			      &s->lsb) == 3;
	sscanf(line, "HardwareCorrupted: %llu kB", &s->corrupted);
	if (sscanf(line, "LIVES pages=%llu bad=%llu", &s->pages, &s->bad) == 2)
		s->lives = true;
}

/* Adds what is in a file. @show: print it, too. */
static void take_log(struct said *s, const char *path, bool show)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0) {
		/* One that is being written says something else than it will. */
		if (!strchr(line, '\n'))
			break;
		line[strcspn(line, "\r\n")] = '\0';
		if (show)
			fprintf(stderr, "# %s: %s\n", path + sizeof(DIR), line);
		take_line(s, line);
	}
	free(line);
	if (f)
		fclose(f);
}

static struct said so_far(void)
{
	struct said s = {};

	take_log(&s, LOG, false);
	return s;
}

/*
 * struct machine - a guest that runs
 * @pid: the VMM's process
 * @fd: a context for it
 * @mem: the guest's memory, in the VMM's address space
 */
struct machine {
	pid_t pid;
	int fd;
	char *mem;
};

static int machine_start(struct machine *m, const char *out, char *const argv[])
{
	m->pid = fork();
	if (m->pid)
		return m->pid < 0 ? -errno : 0;
	dup2(open(out, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600), 1);
	dup2(1, 2);
	execv(argv[0], argv);
	_exit(127);
}

/* Not reaped: machine_end() does that. */
static bool machine_ended(void *arg)
{
	const struct machine *m = arg;
	siginfo_t info = {};

	return waitid(P_PID, m->pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
}

/* The guest has said which page it gives, or will not say so any more. */
static bool page_is_named(void *arg)
{
	return so_far().lose || machine_ended(arg);
}

static bool page_is_lost(void *arg)
{
	return so_far().n_sigbus || machine_ended(arg);
}

/* Its exit status, or -signal. */
static int machine_end(struct machine *m, bool by_itself)
{
	int status;

	if (!by_itself || !wait_until(machine_ended, m, LIMIT_S * 500))
		kill(m->pid, SIGKILL);
	waitpid(m->pid, &status, 0);
	m->pid = 0;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/*
 * Boots a guest, and returns its address of the page that it gives; 0: it does not. A
 * VMM ends with @crashed when the guest has reset itself.
 */
static uint64_t machine_boot(struct machine *m, const char *out, char *const argv[],
			     int crashed)
{
	unsigned int boots = 0;
	struct said s = {};
	int ret;

	do {
		if (machine_start(m, out, argv) ||
		    !wait_until(page_is_named, m, LIMIT_S * 500) || so_far().panic)
			return 0;
		if (!machine_ended(m))
			return so_far().lose;
		ret = machine_end(m, true);
		take_log(&s, LOG, true);
		take_log(&s, VMM_LOG, true);
		fprintf(stderr, "# ended with status %d\n", ret);
	} while (ret == crashed && guest_again(&boots));
	return 0;
}

/* A context for the VMM, and its guest's memory. */
static int machine_attach(struct machine *m)
{
	m->mem = guest_memory(m->pid, MEM);
	m->fd = uv_open_pid_of(m->pid);
	return m->fd < 0 ? m->fd : m->mem ? 0 : -ENOENT;
}

FIXTURE(mce)
{
	struct machine m;
	uint32_t pool;
	int fd;
};

FIXTURE_SETUP(mce)
{
	if (too_slow())
		SKIP(return, "takes minutes with sanitizers");
	ASSERT_EQ(0, access("/dev/kvm", R_OK | W_OK));
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, system("rm -rf " DIR " && mkdir " DIR));
	self->m.fd = -1;
	/* A bit that flips in simulated VRAM is to be found out. */
	ASSERT_EQ(0, file_write(CHECKSUMS, "1"));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(mce)
{
	if (self->m.pid) {
		struct said s = {};

		fprintf(stderr, "# %s\n", machine_ended(&self->m) ? "ended" : "still runs");
		fprintf(stderr, "# status %d\n", machine_end(&self->m, false));
		take_log(&s, LOG, true);
		take_log(&s, VMM_LOG, true);
	}
	close(self->m.fd);
	close(self->fd);
	file_write(CHECKSUMS, "-1");
	EXPECT_TRUE(uv_wait_slots(0));
}

/* The page that was lost, and no other one, from the VMM down to the guest's program. */
static void expect_survived(struct __test_metadata *_metadata, struct machine *m,
			    uint64_t lost)
{
	struct said s = {};

	EXPECT_EQ(0, machine_end(m, true));
	take_log(&s, LOG, true);
	take_log(&s, VMM_LOG, true);
	EXPECT_EQ(1, s.n_vmm);
	EXPECT_EQ(lost, s.vmm);
	EXPECT_EQ(1, s.n_mc);
	EXPECT_EQ(lost, s.mc);
	EXPECT_EQ(1, s.n_failed);
	EXPECT_EQ(lost / PAGE, s.failed);
	EXPECT_EQ(PAGE / 1024, s.corrupted);
	EXPECT_EQ(1, s.n_sigbus);
	EXPECT_EQ(BUS_MCEERR_AR, s.code);
	EXPECT_EQ(0, s.offset & -PAGE);
	EXPECT_EQ(12, s.lsb);
	EXPECT_FALSE(s.panic);
	EXPECT_TRUE(s.lives);
	EXPECT_EQ(256, s.pages);
	EXPECT_EQ(0, s.bad);
}

/* vramvmm, and a page that an administrator makes poison. */
TEST_F_TIMEOUT(mce, vramvmm, LIMIT_S)
{
	struct machine *m = &self->m;
	uint64_t lost = machine_boot(m, LOG, (char *[]){
		"/files/vramvmm", "--kernel", KERNEL, "--initrd", INITRD, "--mem", "128",
		"--vram", "15", "--append", APPEND, NULL }, VRAMVMM_CRASHED);

	ASSERT_NE(0, lost);
	ASSERT_EQ(0, machine_attach(m));
	ASSERT_EQ(0, uv_poison(m->fd, UFFDVRAM_POISON_REPLACE, m->mem + lost, PAGE, NULL));
	expect_survived(_metadata, m, lost);
}

/* Its place in VRAM is known: it is where it is in the guest. */
static int attach_linear(struct machine *m, uint32_t pool)
{
	struct uffdvram_range_register arg = {
		.size = sizeof(arg), .flags = UFFDVRAM_RANGE_LINEAR, .pool = pool,
		.addr = ADDR(m->mem), .len = MEM,
	};

	return uv_ioctl(m->fd, UFFDVRAM_RANGE_REGISTER, &arg);
}

/*
 * A bit of the page flips while it is in VRAM. The guest may have it home before that,
 * so this is to be repeated, each time with another bit.
 */
static bool spoil_in_vram(FIXTURE_DATA(mce) *self, uint64_t lost)
{
	for (unsigned int i = 0; i < 200; i++) {
		int ret = uv_migrate(self->m.fd, self->m.mem + lost, PAGE, 0, NULL);

		if (ret) {
			fprintf(stderr, "# MIGRATE at try %u: %d\n", i, ret);
			return false;
		}
		uv_knob_set("flip", "%u %llu", self->pool, (unsigned long long)lost + 8 * i);
		if (wait_until(page_is_lost, &self->m, 1000))
			return !machine_ended(&self->m) || so_far().n_sigbus;
	}
	return false;
}

/* Stock QEMU, whose guest's memory moves to VRAM from outside, and a bit that flips there. */
TEST_F_TIMEOUT(mce, qemu, LIMIT_S)
{
	uint64_t lost, errors = uv_stat("checksum_errors");
	struct machine *m = &self->m;
	struct uffdvram_migrate moved;

	ASSERT_EQ(0, uv_attach(self->fd, POOL, UFFDVRAM_POOL_SHARED, &self->pool));
	/* None of its pages is in VRAM before it has booted. */
	lost = machine_boot(m, VMM_LOG, (char *[]){
		"/usr/bin/qemu-system-x86_64", "-accel", "kvm", "-cpu", CPU, "-m", "128M",
		"-machine", "mem-merge=off", "-display", "none", "-nodefaults", "-no-reboot",
		"-serial", "file:" LOG, "-kernel", KERNEL, "-initrd", INITRD,
		"-append", APPEND, NULL }, 0);
	ASSERT_NE(0, lost);
	ASSERT_EQ(0, machine_attach(m));
	ASSERT_EQ(0, attach_linear(m, self->pool));
	/* All of it, but for what somebody has in his hands. */
	ASSERT_EQ(0, uv_migrate(m->fd, m->mem, MEM, 0, &moved));
	EXPECT_LT(MEM / PAGE * 9 / 10, moved.moved);
	ASSERT_TRUE(spoil_in_vram(self, lost));
	expect_survived(_metadata, m, lost);
	EXPECT_EQ(errors + 1, uv_stat("checksum_errors"));
	EXPECT_EQ(1, pool_value(self->pool, " lost ") + pool_value(self->pool, " quarantined "));
	close(m->fd);
	m->fd = -1;
	EXPECT_EQ(0, uv_detach(self->fd, self->pool, 0, NULL));
}

TEST_HARNESS_MAIN
