// SPDX-License-Identifier: GPL-2.0-only
#include "vcpu_touch.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "util.h"

/* Guest addresses: of the code, of the list behind it, of the memory. */
#define CODE		0x1000UL
#define LIST		0x2000
#define MEM		0x100000UL

#define PORT_DONE	0x10

#define STR_(x)		#x
#define STR(x)		STR_(x)

extern const unsigned char touch_code[], touch_code_end[];
asm(".pushsection .rodata\n"
    ".code32\n"
    "touch_code:\n"
    "	mov " STR(LIST) ", %ecx\n"
    "	mov $" STR(LIST) " + 4, %esi\n"
    "1:	jecxz 4f\n"
    "	mov (%esi), %ebx\n"
    "	btr $0, %ebx\n"
    "	jc 2f\n"
    "	mov (%ebx), %eax\n"
    "	jmp 3f\n"
    "2:	lock incl (%ebx)\n"
    "3:	add $4, %esi\n"
    "	dec %ecx\n"
    "	jmp 1b\n"
    "4:	out %eax, $" STR(PORT_DONE) "\n"
    "	jmp touch_code\n"
    "touch_code_end:\n"
    ".code64\n"
    ".popsection\n");

int touch_new(struct touch *t, char *mem, size_t len)
{
	struct kvm_regs regs = { .rip = CODE };
	int ret = vcpu_new(&t->vcpu);

	if (ret)
		return ret;
	t->mem = mem;
	t->len = len;
	t->code = map_small(2 * PAGE);
	t->list = (void *)(t->code + PAGE);
	memcpy(t->code, touch_code, touch_code_end - touch_code);
	ret = vcpu_memory(&t->vcpu, CODE, t->code, 2 * PAGE);
	t->slot = vcpu_memory_logged(&t->vcpu, MEM, mem, len);
	ret = ret ?: t->slot < 0 ? t->slot : vcpu_start(&t->vcpu, &regs);
	if (ret)
		touch_free(t);
	return ret;
}

void touch_free(struct touch *t)
{
	vcpu_free(&t->vcpu);
	munmap(t->code, 2 * PAGE);
}

void touch_word(struct touch *t, size_t off, bool write)
{
	if (*t->list == TOUCH_MAX || off >= t->len)
		give_up("too many words for the guest, or one beyond its memory");
	t->list[++*t->list] = (MEM + off / 4 * 4) | write;
}

int touch_run(struct touch *t)
{
	unsigned int word;
	int port = vcpu_run(&t->vcpu, &word, NULL);

	*t->list = 0;
	return port == PORT_DONE ? 0 : port < 0 ? port : -EPROTO;
}
