/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtual CPU for a guest of a few bytes: 32-bit protected mode, no paging, its
 * memory from address 0 on.
 */
#ifndef UFFDVRAM_SELFTESTS_VCPU_H
#define UFFDVRAM_SELFTESTS_VCPU_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

struct vcpu {
	int kvm, vm, fd;
	struct kvm_run *run;
	int run_size;
	unsigned int slots;
};

/** vcpu_new - a machine without memory, or -errno: there is no KVM */
int vcpu_new(struct vcpu *v);
/** vcpu_memory - memory of the caller's, at this guest address */
int vcpu_memory(struct vcpu *v, unsigned long at, void *mem, size_t len);
/** vcpu_memory_logged - the same, and KVM keeps a log of what is written; its slot, or -errno */
int vcpu_memory_logged(struct vcpu *v, unsigned long at, void *mem, size_t len);
/** vcpu_dirty_log - what was written since it was last asked, a bit for each page; or -errno */
int vcpu_dirty_log(struct vcpu *v, int slot, uint64_t *bits);
/** vcpu_start - it will begin at regs->rip */
int vcpu_start(struct vcpu *v, struct kvm_regs *regs);
void vcpu_free(struct vcpu *v);
/**
 * vcpu_run - until the guest writes 4 bytes to a port, or something is wrong
 * @word: what it wrote
 *
 * Return: the port; -errno of KVM_RUN, but for EINTR, which is tried again as long
 * as *@stop, which may be NULL, is 0; or -ENOEXEC: stopped, see run->exit_reason.
 */
int vcpu_run(struct vcpu *v, unsigned int *word, const volatile int *stop);

#endif /* UFFDVRAM_SELFTESTS_VCPU_H */
