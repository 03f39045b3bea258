// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rivals that are more than a call: a limit of memory, a virtual CPU, another
 * process with our context. See races.h.
 */
#include "races.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memcg.h"
#include "vcpu.h"

/*
 * memory.max. The group has less memory than the ballast, so that the ballast is
 * swapped all the time. It has room for a pool, which is charged to who attaches it.
 */
#define LIMIT		"12M"
#define BALLAST		MIB(14)

static char *ballast;
static size_t ballast_at;

static bool limit_begin(struct field *f)
{
	if (!swap_on() || !memcg_new(LIMIT) || !memcg_enter())
		return false;
	/* Charged is who touches it first: from now on, we in the group. */
	if (madvise(f->mem, f->len, MADV_DONTNEED))
		return false;
	fill_pages(f->mem, f->len, f->seed);
	ballast = map_small(BALLAST);
	memset(ballast, 1, BALLAST);
	return true;
}

static void limit_end(struct field *f)
{
	munmap(ballast, BALLAST);
	wrong(f, !memcg_leave() || !memcg_drop(), "leaving the group");
	swap_off();
}

/* Until the limit has been met, and a few times more; ours are the first to go. */
static void limit(struct field *f)
{
	long long met = memcg_events("max");
	size_t touched;

	wrong(f, madvise(f->mem, f->len, MADV_COLD), "MADV_COLD");
	for (touched = 0; touched < 2 * BALLAST; touched += PAGE) {
		volatile char *p = ballast + ballast_at;

		ballast_at = (ballast_at + PAGE) % BALLAST;
		*p = *p;
		if (touched % (64 * PAGE) == 63 * PAGE && memcg_events("max") > met)
			break;
	}
	wrong(f, memcg_events("max") <= met, "memory.max was never met");
}

/* What a virtual CPU does: it reads each word, and writes what it read. */
#define GUEST_DATA	0x100000UL
#define GUEST_CODE	0x1000UL
#define PORT_DONE	0x10

#define STR_(x)		#x
#define STR(x)		STR_(x)

/* esi, edi: the data */
extern const unsigned char rewrite_code[], rewrite_code_end[];
asm(".pushsection .rodata\n"
    ".code32\n"
    "rewrite_code:\n"
    "	mov %esi, %ebx\n"
    "1:	mov (%ebx), %eax\n"
    "	mov %eax, (%ebx)\n"
    "	add $64, %ebx\n"
    "	cmp %edi, %ebx\n"
    "	jb 1b\n"
    "	out %eax, $" STR(PORT_DONE) "\n"
    "	jmp rewrite_code\n"
    "rewrite_code_end:\n"
    ".code64\n"
    ".popsection\n");

static struct vcpu vcpu;
static char *vcpu_code;

static bool vcpu_begin(struct field *f)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rsi = GUEST_DATA,
				 .rdi = GUEST_DATA + f->len };

	if (vcpu_new(&vcpu))
		return false;
	vcpu_code = map_small(PAGE);
	memcpy(vcpu_code, rewrite_code, rewrite_code_end - rewrite_code);
	return !vcpu_memory(&vcpu, GUEST_CODE, vcpu_code, PAGE) &&
	       !vcpu_memory(&vcpu, GUEST_DATA, f->mem, f->len) && !vcpu_start(&vcpu, &regs);
}

static void vcpu_end(struct field *f)
{
	(void)f;
	vcpu_free(&vcpu);
	munmap(vcpu_code, PAGE);
}

static void vcpu_runs(struct field *f)
{
	unsigned int word;

	wrong(f, vcpu_run(&vcpu, &word, NULL) != PORT_DONE, "the virtual CPU stopped");
}

/*
 * Another process has got our descriptor, and moves, copies and asks about the same
 * pages. Its own view of them, from the fork, is gone: they would be shared.
 */
static struct child other;

static int other_acts(struct field *f, int fd)
{
	struct uffdvram_migrate m;
	int ret = uv_migrate(fd, f->mem, f->len, 0, &m);

	if (!ret && !sum_ok(f->mem, f->len, &m))
		return -ERANGE;
	ret = ret ?: uv_copy(fd, 0, f->mem, f->len, f->buf, NULL);
	if (!ret && check_pages_as(f->buf, f->len, f->mem, f->seed) != -1)
		return -EILSEQ;
	ret = ret ?: uv_query(fd, f->mem, f->len, NULL);
	return ret ?: uv_migrate(fd, f->mem, f->len, UFFDVRAM_MIGRATE_TO_RAM, &m);
}

static int other_process(int sock, void *arg)
{
	struct field *f = arg;
	uint64_t word;
	int fd;

	close(f->fd);
	fd = fd_receive(sock);
	if (fd < 0 || munmap(f->mem, f->len))
		return 1;
	child_tell(sock, 1);
	while (child_hear(sock, &word))
		child_tell(sock, -other_acts(f, fd));
	return 0;
}

static bool other_begin(struct field *f)
{
	uint64_t word;

	other = child_start(other_process, f);
	return !fd_send(other.fd, f->fd) && child_hear(other.fd, &word);
}

static void other_end(struct field *f)
{
	wrong(f, child_end(&other), "the other process");
}

/* Its pool may be gone, or its range. */
static void other_process_acts(struct field *f)
{
	uint64_t err = child_step(&other, 1);

	wrong(f, err == EILSEQ, "what the other process read");
	wrong(f, err == ERANGE, "the other process's sum of MIGRATE");
	wrong(f, err && err != ENODEV && err != ENOENT && err != EILSEQ && err != ERANGE,
	      "the other process's calls");
}

const struct rival more_rivals[] = {
	{ "memory.max", limit_begin, limit, limit_end, KEPT, false },
	{ "a virtual CPU", vcpu_begin, vcpu_runs, vcpu_end, KEPT, false },
	{ "a passed descriptor", other_begin, other_process_acts, other_end, KEPT, false },
};
const unsigned int n_more_rivals = sizeof(more_rivals) / sizeof(more_rivals[0]);
