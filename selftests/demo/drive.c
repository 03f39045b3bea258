// SPDX-License-Identifier: GPL-2.0-only
/*
 * drive: the demo, as root inside the test VM.
 *
 *	drive [flip] -- UFFDVRAMCTL QEMU ARG...
 *
 * Starts QEMU, whose guest (guest.c) checks its memory over and over, attaches
 * to it from outside and moves its RAM to VRAM and back, round after round.
 * Every number it prints is measured, and every claim is checked. With "flip"
 * it breaks one byte in VRAM instead, and the guest has to notice.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "demo.h"

#define ROUNDS		3
#define RAM		MIB(256)	/* what "-m 256" gives */
#define MIN_DATA	MIB(128)
#define MIN_POOL	MIB(300)
#define MIN_PERCENT	80
#define MIN_FAULTS	10000
#define AIM_TRIES	5
#define STEP_LIMIT	300	/* seconds: a busy machine is no failure */

struct demo {
	struct vm vm;
	struct ctl ctl;
	struct pool pool;
	struct stats before;
	uint64_t moved_in;
	uint64_t moved_out;
};

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * part / whole : 0;
}

/* "QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)" */
static void say_version(const char *qemu)
{
	char command[128], line[128] = "";
	FILE *f;

	snprintf(command, sizeof(command), "%s --version", qemu);
	f = popen(command, "re");
	if (!f || !fgets(line, sizeof(line), f))
		demo_fail(DEMO_FAILED, "%s does not run", command);
	pclose(f);
	line[strcspn(line, "\n")] = '\0';
	say("%s starts a guest: KVM, plain -m 256", line);
}

static void boot(struct demo *d, char *const argv[])
{
	struct vm *vm = &d->vm;

	step(STEP_LIMIT, "the guest's boot");
	say_version(argv[0]);
	vm_start(vm, argv);
	vm_wait_data(vm);
	if (vm->data < MIN_DATA)
		demo_fail(DEMO_FAILED, "the guest has only %s bytes of data",
			  commas(vm->data));
	vm_find_ram(vm, RAM);
	say("the guest has booted: it checks and rewrites %" PRIu64 " MiB, over and over",
	    vm->data >> 20);
}

static void attach(struct demo *d, const char *uffdvramctl)
{
	step(STEP_LIMIT, "attaching to QEMU");
	ctl_start(&d->ctl, uffdvramctl, d->vm.pid);
	ctl_add(&d->ctl, "anon:64M", &d->vm, &d->pool);
	stats_read(&d->before, d->vm.pid);
	say("attached from outside, by QEMU's pid %d: its %" PRIu64 " MiB at 0x%" PRIx64,
	    d->vm.pid, d->vm.ram_bytes >> 20, d->vm.ram);
}

static void healthy(struct demo *d)
{
	if (d->vm.bad.count || d->vm.errors)
		demo_fail(DEMO_FAILED, "the guest found wrong data: %s errors",
			  commas(d->vm.errors ? d->vm.errors : d->vm.bad.count));
}

static void show_residency(struct demo *d, const struct residency *res)
{
	say_more("[%s] %5.1f %% VRAM", res->bar,
		 percent(res->vram, d->vm.ram_bytes / PAGE_BYTES));
}

static void let_guest_check(struct demo *d)
{
	struct stats before, after;
	double start = seconds();
	uint64_t bytes;

	step(STEP_LIMIT, "a pass of the guest over its data");
	stats_read(&before, d->vm.pid);
	vm_drain(&d->vm);
	bytes = d->vm.bytes;
	vm_wait_whole_pass(&d->vm, false);
	healthy(d);
	stats_read(&after, d->vm.pid);
	say("guest  checked %" PRIu64 " MiB in %.1f s: 0 errors; %s pages faulted back",
	    (d->vm.bytes - bytes) >> 20, seconds() - start,
	    commas(after.fault_pages - before.fault_pages));
}

static void move_in(struct demo *d)
{
	struct residency res;
	double start = seconds();
	struct move move;

	step(STEP_LIMIT, "moving the RAM to VRAM");
	ctl_move(&d->ctl, "in", &move);
	ctl_map(&d->ctl, &res);
	d->moved_in += move.moved;
	say("in     %s pages moved to VRAM in %.1f s%s", commas(move.moved),
	    seconds() - start, move.stayed);
	show_residency(d, &res);
	if (res.vram * 100 < d->vm.ram_bytes / PAGE_BYTES * MIN_PERCENT)
		demo_fail(DEMO_FAILED, "less than %d %% of the RAM is in VRAM", MIN_PERCENT);
	if (res.poison)
		demo_fail(DEMO_FAILED, "%s pages are poisoned", commas(res.poison));
}

static void move_out(struct demo *d)
{
	struct residency res;
	double start = seconds();
	struct move move;

	step(STEP_LIMIT, "moving the RAM home");
	ctl_move(&d->ctl, "out", &move);
	ctl_map(&d->ctl, &res);
	d->moved_out += move.moved;
	say("out    %s pages moved home in %.1f s%s", commas(move.moved),
	    seconds() - start, move.stayed);
	show_residency(d, &res);
	if (res.vram)
		demo_fail(DEMO_FAILED, "%s pages did not come home", commas(res.vram));
}

static void go_round(struct demo *d, unsigned int n)
{
	struct residency res;

	printf("\nRound %u of %u\n", n, ROUNDS);
	move_in(d);
	let_guest_check(d);
	ctl_map(&d->ctl, &res);
	show_residency(d, &res);
	move_out(d);
	let_guest_check(d);
}

static void stop(struct demo *d)
{
	step(STEP_LIMIT, "QEMU's end");
	ctl_stop(&d->ctl);
	kill(d->vm.pid, SIGTERM);
	waitpid(d->vm.pid, NULL, 0);
}

static void table(const struct demo *d, const struct stats *after)
{
	const struct stats *before = &d->before;

	printf("\n");
	printf("  pages moved to VRAM          %15s\n", commas(d->moved_in));
	printf("  pages moved home             %15s\n", commas(d->moved_out));
	printf("  pages faulted back           %15s\n",
	       commas(after->fault_pages - before->fault_pages));
	printf("  faults taken by KVM          %15s\n",
	       commas(after->kvm_faults - before->kvm_faults));
	printf("  bytes checked by the guest   %15s\n", commas(d->vm.bytes));
	printf("  errors: %s\n", commas(d->vm.errors));
	fflush(stdout);
}

static int prove(struct demo *d)
{
	struct stats after;
	uint64_t faulted;
	unsigned int i;

	for (i = 1; i <= ROUNDS; i++)
		go_round(d, i);
	stats_read(&after, d->vm.pid);
	stop(d);
	table(d, &after);
	healthy(d);
	faulted = after.fault_pages - d->before.fault_pages;
	if (after.kvm_faults - d->before.kvm_faults < faulted)
		faulted = after.kvm_faults - d->before.kvm_faults;
	if (faulted < MIN_FAULTS)
		demo_fail(DEMO_FAILED, "KVM faulted only %s pages back", commas(faulted));
	if (after.fault_errors != d->before.fault_errors)
		demo_fail(DEMO_FAILED, "faults failed: %s",
			  commas(after.fault_errors - d->before.fault_errors));
	printf("\nDEMO OK in %.0f s\n", seconds());
	return DEMO_OK;
}

/*
 * Flips a bit of the guest's data in VRAM. The guest may touch the page just
 * then, which brings it home unharmed: then its next report names another.
 */
static uint64_t aim_and_flip(struct demo *d)
{
	unsigned int i;
	uint64_t gpa;

	for (i = 0; i < AIM_TRIES; i++) {
		vm_drain(&d->vm);
		gpa = d->vm.gpa + 1000;
		if (flip_byte(d->vm.pid, d->vm.ram + gpa, &d->pool))
			return gpa;
		vm_wait_whole_pass(&d->vm, true);
		healthy(d);
		move_in(d);
	}
	demo_fail(DEMO_FAILED, "no page of the guest's data stayed in VRAM long enough");
}

static int break_it(struct demo *d)
{
	const struct complaint *bad = &d->vm.bad;
	uint64_t gpa, wrong;

	printf("\nBREAK=flip\n");
	step(STEP_LIMIT, "the guest's first pass");
	vm_wait_whole_pass(&d->vm, true);
	healthy(d);
	move_in(d);
	step(STEP_LIMIT, "flipping a byte");
	gpa = aim_and_flip(d);
	say("flip   one bit of guest data in VRAM is wrong now, at 0x%" PRIx64
	    " of the guest's memory", gpa);
	step(STEP_LIMIT, "the guest's complaint");
	vm_wait_whole_pass(&d->vm, true);
	wrong = bad->expected ^ bad->got;
	stop(d);
	if (!bad->count)
		demo_fail(DEMO_UNSEEN, "a byte in VRAM was flipped and the guest did not complain");
	if (bad->gpa / 8 != gpa / 8 || wrong != 1ULL << gpa % 8 * 8)
		demo_fail(DEMO_FAILED, "the guest complains of another byte than the flipped one");
	printf("\nDEMO FAILED AS ASKED (BREAK=flip): the guest saw the flipped byte\n");
	return DEMO_COMPLAINT;
}

int main(int argc, char *argv[])
{
	bool flip = argc > 1 && !strcmp(argv[1], "flip");
	char **args = argv + 1 + flip;
	struct demo d = { 0 };

	if (argc < 4 + flip || strcmp(args[0], "--")) {
		fprintf(stderr, "usage: drive [flip] -- UFFDVRAMCTL QEMU ARG...\n");
		return DEMO_FAILED;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	pool_find(&d.pool, MIN_POOL);
	say("pool %u is %" PRIu64 " MiB of simulated VRAM", d.pool.number,
	    d.pool.bytes >> 20);
	boot(&d, args + 2);
	attach(&d, args[1]);
	return flip ? break_it(&d) : prove(&d);
}
