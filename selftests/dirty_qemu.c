// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 1200 */
/* FILES: build/selftests/liblend-uffd.so build/vmm/initrd /kernels/stock/bzImage */
/* PROGRAMS: /usr/bin/qemu-system-x86_64 /usr/share/seabios/bios-256k.bin */
/* PROGRAMS: /usr/share/qemu/kvmvapic.bin /usr/share/qemu/linuxboot_dma.bin */
/*
 * What uffdvram_harvest() says of a guest is all that stock QEMU's own dirty log says,
 * and more perhaps: each page that an ordinary precopy sends twice is in the harvest.
 *
 * QEMU has a manager, this test, that takes its userfaultfd and moves the guest's memory
 * to VRAM. The first harvest is before the precopy begins, while the guest stands still:
 * so whatever is sent a second time, since QEMU's log has it, was written after that.
 */
#include "kselftest_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <uffdvram/uffdvram.h>

#include "util_mm.h"
#include "qemu_stream.h"
#include "qmp.h"
#include "shim/lend_uffd.h"
#include "slots_fixture.h"
#include "vmm_guest.h"

#define DIR		"/tmp/dirty_qemu"
#define LOG		DIR "/guest.log"
#define STREAM		DIR "/stream"
#define QEMU		"/usr/bin/qemu-system-x86_64"
#define MEM		MIB(128)
#define PAGES		(MEM / PAGE)
#define WORDS		(PAGES / 64)
#define POOL		MIB(136)
#define LIMIT_S		2400
#define ENOUGH		12	/* pages; there are some thousands */

FIXTURE(dirty_qemu)
{
	pid_t pid;
	struct qmp qmp;
	struct uffdvram_ctx *ctx;
	struct uffdvram_range *range;
	char *mem;		/* in QEMU's address space */
	int fd, uffd, pagemap;
	/* Of a period: the harvest, what was in VRAM after the first one, the stream. */
	uint64_t got[WORDS], in_vram[WORDS];
	unsigned int times[PAGES];
	bool moves, harvests;
	uint64_t moved;
	unsigned int managed, passes;
	/* What QEMU says of its migration. */
	long long sent, rounds;
	bool completed;
};

/* What the manager does while QEMU migrates. */
FIXTURE_VARIANT(dirty_qemu)
{
	bool moves, harvests;
};

FIXTURE_VARIANT_ADD(dirty_qemu, nothing_between) { };
FIXTURE_VARIANT_ADD(dirty_qemu, moves) { .moves = true };
FIXTURE_VARIANT_ADD(dirty_qemu, moves_and_harvests) { .moves = true, .harvests = true };

typedef FIXTURE_DATA(dirty_qemu) data;

/* Passes that the guest has done. @said: and all else that it has said */
static unsigned int passes(struct guest_said *said)
{
	FILE *f = fopen(LOG, "re");
	unsigned int n = 0;
	char line[256];

	/* The last one may not be whole: the guest stands still in it. */
	while (f && fgets(line, sizeof(line), f) && strchr(line, '\n')) {
		n += !strncmp(line, "PASS ", 5);
		if (said)
			guest_line(said, line);
	}
	if (f)
		fclose(f);
	return n;
}

/* Not reaped: qemu_stop() does that. */
static bool qemu_ended(void *arg)
{
	const data *self = arg;
	siginfo_t info = {};

	return waitid(P_PID, self->pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
}

/* The guest is at its program, and writes. */
static bool guest_works(void *arg)
{
	return passes(NULL) || qemu_ended(arg);
}

/* Its monitor is its standard input and output. */
static bool qemu_start(data *self)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return false;
	self->pid = fork();
	if (self->pid) {
		close(ends[1]);
		return self->pid > 0 && qmp_begin(&self->qmp, ends[0]);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(ends[1], 0);
	dup2(ends[1], 1);
	setenv("LD_PRELOAD", "/files/liblend-uffd.so", 1);
	execl(QEMU, QEMU, "-accel", "kvm", "-cpu", "qemu64", "-m", "128M",
	      "-machine", "mem-merge=off", "-nodefaults", "-no-reboot", "-display", "none",
	      "-serial", "file:" LOG, "-qmp", "stdio", "-kernel", "/files/bzImage",
	      "-initrd", "/files/initrd", "-append", GUEST_APPEND "1000000", NULL);
	_exit(127);
}

/* Ends it, and what the manager has of it. */
static void qemu_stop(data *self)
{
	if (self->pid > 0) {
		kill(self->pid, SIGKILL);
		waitpid(self->pid, NULL, 0);
	}
	self->pid = 0;
	qmp_end(&self->qmp);
	uffdvram_close(self->ctx);
	self->ctx = NULL;
	close(self->pagemap);
	close(self->uffd);
	self->pagemap = self->uffd = -1;
}

/* As a manager, which QEMU knows nothing of. */
static int attach(data *self)
{
	struct uffdvram_range_opts opts = { .size = sizeof(opts) };
	struct uffdvram_arm_opts arm = {
		.size = sizeof(arm), .flags = UFFDVRAM_ARM_WP_ASYNC | UFFDVRAM_ARM_ADOPT,
	};
	int pidfd = pidfd_of(self->pid);
	char path[32];
	uint32_t pool;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", self->pid);
	self->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	self->uffd = syscall(SYS_pidfd_getfd, pidfd, LENT_UFFD, 0);
	close(pidfd);
	self->mem = guest_memory(self->pid, MEM);
	if (self->pagemap < 0 || self->uffd < 0 || !self->mem)
		return -ENOENT;
	arm.uffd = self->uffd;
	return uffdvram_open_pid(&self->ctx, self->pid, NULL) ?:
	       uv_attach(self->fd = uffdvram_fd(self->ctx), POOL, 0, &pool) ?:
	       uffdvram_pool_wrap(&opts.pool, self->ctx, pool) ?:
	       uffdvram_range_register(&self->range, self->ctx, ADDR(self->mem), MEM, &opts) ?:
	       uffdvram_range_arm(self->range, &arm);
}

FIXTURE_SETUP(dirty_qemu)
{
	if (too_slow())
		SKIP(return, "takes minutes with sanitizers");
	ASSERT_EQ(0, access("/dev/kvm", R_OK | W_OK));
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, system("rm -rf " DIR " && mkdir " DIR));
	self->moves = variant->moves;
	self->harvests = variant->harvests;
	self->qmp.fd = self->pagemap = self->uffd = -1;
}

FIXTURE_TEARDOWN(dirty_qemu)
{
	qemu_stop(self);
	EXPECT_EQ(0, system("rm -rf " DIR));
	expect_no_slots(_metadata);
}

static bool bit(const uint64_t *bits, size_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

static size_t count_bits(const uint64_t *bits)
{
	size_t n = 0;

	for (size_t i = 0; i < WORDS; i++)
		n += __builtin_popcountll(bits[i]);
	return n;
}

static int harvest(data *self)
{
	return uffdvram_harvest(self->range, 0, MEM, self->pagemap, self->got, NULL);
}

static int note_what_is_in_vram(data *self)
{
	struct uffdvram_query q = { .addr = ADDR(self->mem), .len = MEM };
	struct uffdvram_region *vec = calloc(PAGES, sizeof(*vec));
	int ret = uv_query_vec(self->fd, &q, vec, PAGES);

	memset(self->in_vram, 0, sizeof(self->in_vram));
	for (size_t k = 0; k < q.used; k++)
		for (uint64_t at = vec[k].start; at < vec[k].end; at += PAGE) {
			size_t i = (at - ADDR(self->mem)) / PAGE;

			if (vec[k].state == UFFDVRAM_STATE_VRAM)
				self->in_vram[i / 64] |= 1ULL << i % 64;
		}
	free(vec);
	return ret;
}

/*
 * What the manager does in between, once in each pass of the guest, which would not get
 * anywhere otherwise.
 */
static int manage(data *self)
{
	struct uffdvram_moved moved = { .size = sizeof(moved) };
	unsigned int done = passes(NULL);
	int ret = 0;

	if (done == self->managed)
		return 0;
	self->managed = done;
	if (self->moves)
		ret = uffdvram_range_move(self->range, 0, MEM, 0, &moved);
	self->moved += moved.moved;
	if (!ret && self->harvests)
		ret = harvest(self);
	return ret;
}

/* Looks how far the migration is; false: it has ended, or something is wrong. */
static bool migrates(data *self)
{
	const char *said;

	if (manage(self))
		return false;
	said = qmp_call(&self->qmp, "{\"execute\":\"query-migrate\"}");
	self->sent = qmp_number(said, "normal");
	self->rounds = qmp_number(said, "dirty-sync-count");
	self->completed = said && strstr(said, "\"status\": \"completed\"");
	return said && !self->completed && !strstr(said, "\"status\": \"failed\"");
}

static bool pages_are_sent(void *arg)
{
	return !migrates(arg) || ((data *)arg)->sent > 0;
}

static bool passes_are_done(void *arg)
{
	return !migrates(arg) || passes(NULL) >= ((data *)arg)->passes;
}

static bool rounds_are_done(void *arg)
{
	return !migrates(arg) || ((data *)arg)->rounds >= 3;
}

static bool migration_ended(void *arg)
{
	return !migrates(arg);
}

static bool set_parameters(data *self, const char *what)
{
	return qmp_call(&self->qmp, "{\"execute\":\"migrate-set-parameters\","
			"\"arguments\":{%s}}", what);
}

/*
 * A precopy that is slow while the guest goes over its data, twice since QEMU has begun
 * with its log; then has rounds that leave the guest running, however few pages are left;
 * and then ends, with a guest that stands still.
 */
static bool migrate(data *self)
{
	const int ms = LIMIT_S * 1000;

	if (!set_parameters(self, "\"max-bandwidth\":1048576,\"downtime-limit\":1,"
			    "\"avail-switchover-bandwidth\":1048576") ||
	    !qmp_call(&self->qmp, "{\"execute\":\"migrate\",\"arguments\":"
		      "{\"uri\":\"file:" STREAM "\"}}") ||
	    !wait_until(pages_are_sent, self, ms))
		return false;
	self->passes = passes(NULL) + 2;
	return wait_until(passes_are_done, self, ms) &&
	       set_parameters(self, "\"max-bandwidth\":1073741824") &&
	       wait_until(rounds_are_done, self, ms) &&
	       set_parameters(self, "\"downtime-limit\":2000000") &&
	       wait_until(migration_ended, self, ms) && self->completed;
}

/* The two harvests, the second of which may be several, and between them the precopy. */
static bool run(data *self)
{
	self->moved = 0;
	if (!qmp_call(&self->qmp, "{\"execute\":\"stop\"}") ||
	    uv_to_vram(self->fd, self->mem, MEM) < 0 || harvest(self))
		return false;
	memset(self->got, 0, sizeof(self->got));
	return !note_what_is_in_vram(self) &&
	       qmp_call(&self->qmp, "{\"execute\":\"cont\"}") &&
	       migrate(self) && !harvest(self);
}

/* Each page that was sent again, where it lived before, and whether the harvest has it. */
static void compare(struct __test_metadata *_metadata, data *self)
{
	size_t again = 0, from_vram = 0, missed = 0;

	for (size_t i = 0; i < PAGES; i++) {
		EXPECT_LT(0, self->times[i]);
		if (self->times[i] < 2)
			continue;
		again++;
		from_vram += bit(self->in_vram, i);
		if (bit(self->got, i))
			continue;
		if (!missed++)
			printf("# page %zu, sent %u times, is not in the harvest\n", i,
			       self->times[i]);
	}
	printf("# %lld rounds: %zu pages sent again, %zu of them were in VRAM; ", self->rounds,
	       again, from_vram);
	printf("%zu in the harvest; %llu moved\n", count_bits(self->got),
	       (unsigned long long)self->moved);
	EXPECT_EQ(0, missed);
	/* That says something. */
	EXPECT_LE(ENOUGH, again);
	EXPECT_LE(ENOUGH, from_vram);
	EXPECT_GT(PAGES / 4 * 3, count_bits(self->got));
}

/* Nothing of it was wrong: neither its data nor, as far as that can be seen, its kernel. */
static void expect_right(struct __test_metadata *_metadata)
{
	struct guest_said said = {};

	EXPECT_LT(0, passes(&said));
	EXPECT_EQ(GUEST_WORDS, said.words);
	EXPECT_EQ(said.passes, said.right_sums) {
		system("tail -n 20 " LOG);
	}
	EXPECT_FALSE(said.panic);
}

TEST_F_TIMEOUT(dirty_qemu, superset, LIMIT_S)
{
	unsigned int boots = 0;
	bool done;

	do {
		qemu_stop(self);
		unlink(LOG);
		ASSERT_TRUE(qemu_start(self));
		ASSERT_TRUE(wait_until(guest_works, self, LIMIT_S * 1000));
		done = !qemu_ended(self);
		if (!done)
			continue;
		ASSERT_EQ(0, attach(self));
		done = run(self);
		expect_right(_metadata);
		/* Its monitor is closed a moment before. */
	} while (!done && wait_until(qemu_ended, self, 10000) && guest_again(&boots));
	ASSERT_TRUE(done);
	EXPECT_LE(3, self->rounds);
	EXPECT_EQ(self->moves, self->moved > ENOUGH);
	memset(self->times, 0, sizeof(self->times));
	ASSERT_EQ(0, qemu_stream_pages(STREAM, "pc.ram", self->times, PAGES));
	compare(_metadata, self);
}

TEST_HARNESS_MAIN
