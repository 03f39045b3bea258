// SPDX-License-Identifier: GPL-2.0-only
/* KVM's dirty log: a guest writes a word to each page, and KVM tells which. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "../vcpu.h"
#include "bench.h"

#define CODE_AT		0x40000000UL	/* guest address of its code; its data is at 0 */
#define PORT_DONE	0x10

/* esi: data; edi: its end */
extern const unsigned char writer_code[], writer_code_end[];
asm(".pushsection .rodata\n"
    ".code32\n"
    "writer_code:\n"
    "	incl (%esi)\n"
    "	add $4096, %esi\n"
    "	cmp %edi, %esi\n"
    "	jb writer_code\n"
    "	out %eax, $0x10\n"
    "	hlt\n"
    "writer_code_end:\n"
    ".code64\n"
    ".popsection\n");

static struct vcpu vcpu;
static char *code;
static uint64_t *bitmap;

int kvm_arm(char *mem, size_t len, unsigned int modes)
{
	struct kvm_userspace_memory_region slot = {
		.slot = 0, .flags = KVM_MEM_LOG_DIRTY_PAGES,
		.memory_size = len, .userspace_addr = ADDR(mem),
	};

	(void)modes;
	code = map_small(PAGE);
	memcpy(code, writer_code, writer_code_end - writer_code);
	bitmap = calloc(len / PAGE / 64, sizeof(*bitmap));
	if (!bitmap || vcpu_new(&vcpu))
		give_up("/dev/kvm");
	vcpu.slots = 1;
	if (ioctl(vcpu.vm, KVM_SET_USER_MEMORY_REGION, &slot) ||
	    vcpu_memory(&vcpu, CODE_AT, code, PAGE))
		give_up("KVM_SET_USER_MEMORY_REGION");
	return -1;
}

void kvm_dirty(char *mem, size_t len)
{
	struct kvm_regs regs = { .rip = CODE_AT, .rsi = 0, .rdi = len };
	unsigned int word;

	(void)mem;
	if (vcpu_start(&vcpu, &regs) || vcpu_run(&vcpu, &word, NULL) != PORT_DONE)
		give_up("KVM_RUN");
}

/* What is reported is write-protected again. */
void kvm_rearm(char *mem, size_t len)
{
	struct kvm_dirty_log log = { .slot = 0, .dirty_bitmap = bitmap };

	(void)mem, (void)len;
	if (ioctl(vcpu.vm, KVM_GET_DIRTY_LOG, &log))
		give_up("KVM_GET_DIRTY_LOG");
}

size_t kvm_written(char *mem, size_t len)
{
	size_t i, n = 0;

	(void)mem;
	for (i = 0; i < len / PAGE / 64; i++)
		n += __builtin_popcountll(bitmap[i]);
	return n;
}

void kvm_drop(void)
{
	vcpu_free(&vcpu);
	munmap(code, PAGE);
	free(bitmap);
}
