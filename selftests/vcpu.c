// SPDX-License-Identifier: GPL-2.0-only
#include "vcpu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"

static int vcpu_make(struct vcpu *v)
{
	v->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (v->kvm < 0)
		return -errno;
	v->vm = ioctl(v->kvm, KVM_CREATE_VM, 0);
	if (v->vm < 0)
		return -errno;
	v->fd = ioctl(v->vm, KVM_CREATE_VCPU, 0);
	v->run_size = ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (v->fd < 0 || v->run_size < 0)
		return -errno;
	v->run = mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	return v->run == MAP_FAILED ? -errno : 0;
}

int vcpu_new(struct vcpu *v)
{
	int ret;

	*v = (struct vcpu){ .kvm = -1, .vm = -1, .fd = -1, .run = MAP_FAILED };
	ret = vcpu_make(v);
	if (ret)
		vcpu_free(v);
	return ret;
}

void vcpu_free(struct vcpu *v)
{
	int fds[] = { v->fd, v->vm, v->kvm };

	if (v->run != MAP_FAILED)
		munmap(v->run, v->run_size);
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int vcpu_slot(struct vcpu *v, unsigned long at, void *mem, size_t len, uint32_t flags)
{
	struct kvm_userspace_memory_region slot = {
		.slot = v->slots++,
		.flags = flags,
		.guest_phys_addr = at,
		.memory_size = len,
		.userspace_addr = (uintptr_t)mem,
	};

	return uv_ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &slot) ?: (int)slot.slot;
}

int vcpu_memory(struct vcpu *v, unsigned long at, void *mem, size_t len)
{
	int ret = vcpu_slot(v, at, mem, len, 0);

	return ret < 0 ? ret : 0;
}

int vcpu_memory_logged(struct vcpu *v, unsigned long at, void *mem, size_t len)
{
	return vcpu_slot(v, at, mem, len, KVM_MEM_LOG_DIRTY_PAGES);
}

int vcpu_dirty_log(struct vcpu *v, int slot, uint64_t *bits)
{
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bits };

	return uv_ioctl(v->vm, KVM_GET_DIRTY_LOG, &log);
}

int vcpu_start(struct vcpu *v, struct kvm_regs *regs)
{
	struct kvm_segment code = { .limit = ~0U, .type = 11, .present = 1, .s = 1, .db = 1,
				    .g = 1, .selector = 8 };
	struct kvm_segment data = code;
	struct kvm_sregs sregs;
	int ret = uv_ioctl(v->fd, KVM_GET_SREGS, &sregs);

	data.type = 3;
	data.selector = 16;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = data;
	sregs.cr0 |= 1;		/* protected mode, no paging */
	regs->rflags = 2;
	ret = ret ?: uv_ioctl(v->fd, KVM_SET_SREGS, &sregs);
	return ret ?: uv_ioctl(v->fd, KVM_SET_REGS, regs);
}

int vcpu_run(struct vcpu *v, unsigned int *word, const volatile int *stop)
{
	for (;;) {
		int ret = uv_ioctl(v->fd, KVM_RUN, NULL);

		if (ret && (ret != -EINTR || (stop && *stop)))
			return ret;
		if (ret || v->run->exit_reason == KVM_EXIT_INTR)
			continue;
		if (v->run->exit_reason != KVM_EXIT_IO)
			return -ENOEXEC;
		memcpy(word, (char *)v->run + v->run->io.data_offset, sizeof(*word));
		return v->run->io.port;
	}
}
