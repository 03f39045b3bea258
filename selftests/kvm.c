// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 2000 */
/*
 * A virtual machine whose memory lives in VRAM: its vCPU pulls pages home by
 * running, a page that is lost becomes a SIGBUS that a VMM can use.
 *
 * The guest is 52 bytes of 32-bit code. Over and over it checks each word of
 * its memory against the last round, and writes this round's.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include "util_mm.h"
#include "vcpu.h"


#define DATA		0x10000UL		/* guest address of the data */
#define DATA_PAGES	4096UL
#define MEM		(DATA + DATA_PAGES * PAGE)
#define CODE		0x1000UL

/* In round r, the word at guest address a is a * WORD_A + r * WORD_R. */
#define WORD_A		0x85ebca6b
#define WORD_R		0x9e3779b1
#define PORT_ROUND	0x10			/* a round is complete: its number */
#define PORT_WRONG	0x11			/* a word was wrong: its address */

#define STR_(x)		#x
#define STR(x)		STR_(x)

/* esi, edi: the data; ebp: the number of this round. */
extern const unsigned char guest_code[], guest_code_end[];
asm(".pushsection .rodata\n"
    ".code32\n"
    "guest_code:\n"
    "	mov %esi, %ebx\n"
    "	imul $" STR(WORD_R) ", %ebp, %ecx\n"
    "	sub $" STR(WORD_R) ", %ecx\n"	/* what the last round added */
    "1:	imul $" STR(WORD_A) ", %ebx, %eax\n"
    "	add %ecx, %eax\n"
    "	cmp %eax, (%ebx)\n"
    "	jne 2f\n"
    "	add $" STR(WORD_R) ", %eax\n"
    "	mov %eax, (%ebx)\n"
    "	add $4, %ebx\n"
    "	cmp %edi, %ebx\n"
    "	jb 1b\n"
    "	mov %ebp, %eax\n"
    "	out %eax, $" STR(PORT_ROUND) "\n"
    "	inc %ebp\n"
    "	jmp guest_code\n"
    "2:	mov %ebx, %eax\n"
    "	out %eax, $" STR(PORT_WRONG) "\n"
    "	hlt\n"
    "guest_code_end:\n"
    ".code64\n"
    ".popsection\n");

/* How many words of a page are not what round @round wrote. */
static size_t page_wrong(const char *mem, uint32_t at, uint32_t round)
{
	const uint32_t *word = (const uint32_t *)(mem + at);
	size_t i, wrong = 0;

	for (i = 0; i < PAGE / 4; i++)
		wrong += word[i] != (at + 4 * (uint32_t)i) * WORD_A + round * WORD_R;
	return wrong;
}

static void page_set(char *mem, uint32_t at, uint32_t round)
{
	uint32_t *word = (uint32_t *)(mem + at);
	size_t i;

	for (i = 0; i < PAGE / 4; i++)
		word[i] = (at + 4 * (uint32_t)i) * WORD_A + round * WORD_R;
}

FIXTURE(kvm)
{
	int fd;
	uint32_t pool;
	char *mem;
	struct vcpu vcpu;
};

FIXTURE_SETUP(kvm)
{
	struct kvm_regs regs = { .rip = CODE, .rsi = DATA, .rdi = MEM, .rbp = 1 };
	size_t at;

	if (vcpu_new(&self->vcpu))
		SKIP(return, "no /dev/kvm");
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MEM + HUGE - MEM % HUGE, 0, &self->pool));
	self->mem = map_aligned(MEM);
	ASSERT_EQ(0, uv_register(self->fd, self->mem, MEM, self->pool, NULL));
	memcpy(self->mem + CODE, guest_code, guest_code_end - guest_code);
	for (at = DATA; at < MEM; at += PAGE)
		page_set(self->mem, at, 0);
	ASSERT_EQ(0, vcpu_memory(&self->vcpu, 0, self->mem, MEM));
	ASSERT_EQ(0, vcpu_start(&self->vcpu, &regs));
}

FIXTURE_TEARDOWN(kvm)
{
	knobs_calm();
	vcpu_free(&self->vcpu);
	munmap(self->mem, MEM);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

/* Run until the guest speaks. Its round number; or -1: wrong, stopped, signal. */
static long run_round(struct __test_metadata *_metadata, struct vcpu *v,
		      volatile sig_atomic_t *signalled)
{
	unsigned int word = 0;
	int port = vcpu_run(v, &word, signalled);

	if (port == PORT_ROUND)
		return word;
	if (signalled && *signalled)
		return -1;
	if (port == PORT_WRONG)
		TH_LOG("the guest found a wrong word at %#x", word);
	else
		TH_LOG("the guest stopped: %d, reason %u", port, v->run->exit_reason);
	return -1;
}

struct mover {
	int fd;
	char *mem;
	bool stop;
	uint64_t calls, moved, errors;
};

static void *keep_moving_in(void *arg)
{
	struct mover *m = arg;
	struct uffdvram_migrate result;

	while (!__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE)) {
		m->errors += uv_migrate(m->fd, m->mem, MEM, 0, &result) != 0;
		m->errors += !sum_ok(m->mem, MEM, &result);
		__atomic_fetch_add(&m->moved, result.moved, __ATOMIC_RELAXED);
		m->calls++;
		sleep_ms(20);
	}
	return NULL;
}

static void run_from_vram(struct __test_metadata *_metadata, FIXTURE_DATA(kvm) *self)
{
	struct mover m = { .fd = self->fd, .mem = self->mem };
	uint64_t faults = uv_stat("fault_pages"), back = 0, wrong = 0;
	pthread_t thread;
	long round = 0;
	size_t at;

	/* Between rounds: the guest stands still while everything moves. */
	for (round = 1; round <= 2; round++) {
		ASSERT_EQ(MEM / PAGE, uv_to_vram(self->fd, self->mem, MEM));
		ASSERT_EQ(MEM / PAGE, uv_in_vram(self->fd, self->mem, MEM));
		ASSERT_EQ(round, run_round(_metadata, &self->vcpu, NULL));
	}
	EXPECT_LE(2 * DATA_PAGES, uv_stat("fault_pages") - faults);

	/* During a round at least: it runs, and never waits for the mover to be done. */
	ASSERT_EQ(0, pthread_create(&thread, NULL, keep_moving_in, &m));
	while (back < 12000 || round < 4 ||
	       __atomic_load_n(&m.moved, __ATOMIC_RELAXED) <= DATA_PAGES) {
		ASSERT_EQ(round, run_round(_metadata, &self->vcpu, NULL));
		back = uv_stat("fault_pages") - faults;
		round++;
	}
	__atomic_store_n(&m.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, m.errors);
	EXPECT_LT(DATA_PAGES, m.moved);

	for (at = DATA; at < MEM; at += PAGE)
		wrong += page_wrong(self->mem, at, round - 1);
	EXPECT_EQ(0, wrong);
	EXPECT_LE(10000, back);
	TH_LOG("%ld rounds, %llu pages faulted back, %llu moved in by %llu calls meanwhile",
	       round - 1, (unsigned long long)back, (unsigned long long)m.moved,
	       (unsigned long long)m.calls);
}

/* The main job, in small: 16 MiB in VRAM under a running guest. */
TEST_F_TIMEOUT(kvm, runs_from_vram, 2400)
{
	run_from_vram(_metadata, self);
}

/* The same in entries of 2 MiB. */
TEST_F_TIMEOUT(kvm, runs_from_huge_pages, 2400)
{
	uint64_t in = uv_stat("folios_in"), back = uv_stat("folios_fault");
	size_t whole = MEM / HUGE * HUGE;

	if (!huge_in_vram(self->fd))
		SKIP(return, "this kernel has no device folios of 2 MiB");
	ASSERT_EQ(0, madvise(self->mem, whole, MADV_HUGEPAGE));
	ASSERT_EQ(0, collapse_huge(self->mem, whole));
	ASSERT_EQ((long)(whole / PAGE), huge_pages(self->fd, self->mem, whole));
	run_from_vram(_metadata, self);
	EXPECT_LE(2 * whole / HUGE, uv_stat("folios_in") - in);
	EXPECT_LE(2 * whole / HUGE, uv_stat("folios_fault") - back);
}

static volatile sig_atomic_t bus_seen;
static siginfo_t bus_info;

static void on_bus(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (!bus_seen)
		bus_info = *info;
	bus_seen = 1;
}

/* A page is lost under the guest: the vCPU thread gets SIGBUS and its address. */
TEST_F(kvm, lost_page)
{
	const struct sigaction bus_action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
	size_t at, lost, wrong = 0;
	int again;

	ASSERT_EQ(0, sigaction(SIGBUS, &bus_action, NULL));
	ASSERT_EQ(1, run_round(_metadata, &self->vcpu, &bus_seen));
	ASSERT_EQ(MEM / PAGE, uv_to_vram(self->fd, self->mem, MEM));
	/* The first page that comes home is the code's. */
	uv_knob_set("fail_to_ram", "%d", 1000);
	for (again = 0; again < 3; again++) {
		bus_seen = 0;
		ASSERT_EQ(-1, run_round(_metadata, &self->vcpu, &bus_seen));
		ASSERT_EQ(1, bus_seen);
		EXPECT_EQ(BUS_MCEERR_AR, bus_info.si_code);
		EXPECT_EQ(12, bus_info.si_addr_lsb);
		lost = (ADDR(bus_info.si_addr) & ~(PAGE - 1)) - ADDR(self->mem);
		ASSERT_LE(DATA, lost);
		ASSERT_GT(MEM, lost);
		EXPECT_EQ(UFFDVRAM_STATE_POISON, state_of(self->fd, self->mem + lost));
	}
	/* All others are intact: before it of this round, behind it of the last. */
	for (at = DATA; at < MEM; at += PAGE)
		if (at != lost)
			wrong += page_wrong(self->mem, at, at < lost ? 2 : 1);
	EXPECT_EQ(0, wrong);

	/* What a VMM with a copy does: discard, install, go on. */
	ASSERT_EQ(0, madvise(self->mem + lost, PAGE, MADV_DONTNEED));
	page_set(self->mem, lost, 1);
	bus_seen = 0;
	ASSERT_EQ(2, run_round(_metadata, &self->vcpu, &bus_seen));
	ASSERT_EQ(3, run_round(_metadata, &self->vcpu, &bus_seen));
	EXPECT_EQ(0, bus_seen);
}

TEST_HARNESS_MAIN
