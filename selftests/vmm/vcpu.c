// SPDX-License-Identifier: GPL-2.0-only
/*
 * vcpu: KVM with one virtual CPU, its interrupt controllers and its timer from
 * the kernel, and the few ports that Linux asks for. The thread that calls
 * vcpu_run() is the virtual CPU.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vramvmm.h"

#define TSS_ADDR	0xfffbd000UL	/* Intel's KVM wants three pages for itself */
#define PORT_KBD_DATA	0x60
#define PORT_KBD	0x64
#define KBD_RESET	0xfe
#define KBD_BUFFER_FULL	0x01
#define PORT_CMOS_DATA	0x71
#define CPUID_MAX	128

static void cpu_ioctl(int fd, unsigned long cmd, void *arg, const char *what)
{
	if (ioctl(fd, cmd, arg) < 0)
		fail(EXIT_SETUP, "%s: %s", what, strerror(errno));
}

/*
 * What the host's CPU has, but no XSAVE, and so no AVX: a small guest needs
 * neither, and emulated virtualization gets them wrong. KVM also tells the APIC
 * id of the CPU that it was asked on; ours is 0. Before 6.16 it leaves it to us
 * to say that there is a hypervisor: a guest that is not told looks for no
 * kvm-clock, and measures its TSC by the PIT, which a busy host makes fail.
 */
static void set_cpuid(struct vcpu *cpu)
{
	struct kvm_cpuid2 *cpuid;
	unsigned int i;

	cpuid = calloc(1, sizeof(*cpuid) + CPUID_MAX * sizeof(cpuid->entries[0]));
	if (!cpuid)
		fail(EXIT_SETUP, "out of memory");
	cpuid->nent = CPUID_MAX;
	cpu_ioctl(cpu->kvm, KVM_GET_SUPPORTED_CPUID, cpuid, "KVM_GET_SUPPORTED_CPUID");
	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		switch (e->function) {
		case 1:		/* FMA, XSAVE, OSXSAVE, AVX, F16C; a hypervisor */
			e->ecx &= ~(1U << 12 | 1U << 26 | 1U << 27 | 1U << 28 | 1U << 29);
			e->ecx |= 1U << 31;
			e->ebx &= 0xffffff;
			break;
		case 7:		/* AVX2, AVX-512 and their kin */
		case 0xd:
			e->eax = e->ebx = e->ecx = e->edx = 0;
			break;
		case 0xb:
		case 0x1f:
			e->edx = 0;
			break;
		}
	}
	mce_cpuid(cpu, cpuid);
	cpu_ioctl(cpu->fd, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2");
	free(cpuid);
}

/* 64-bit mode, as the boot protocol has it; image.c made the tables. */
static void set_registers(struct vcpu *cpu)
{
	struct kvm_segment code = { .limit = ~0U, .selector = BOOT_CS, .type = 11, .present = 1,
				    .s = 1, .l = 1, .g = 1 };
	struct kvm_segment data = { .limit = ~0U, .selector = BOOT_DS, .type = 3, .present = 1,
				    .s = 1, .db = 1, .g = 1 };
	struct kvm_regs regs = { .rip = KERNEL_ENTRY, .rsi = BOOT_PARAMS_ADDR, .rflags = 2 };
	struct kvm_sregs sregs;

	cpu_ioctl(cpu->fd, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = data;
	sregs.gdt.base = GDT_ADDR;
	sregs.gdt.limit = BOOT_DS + 8 - 1;
	sregs.cr3 = PAGE_TABLE_ADDR;
	sregs.cr4 = 0x20;		/* PAE */
	sregs.cr0 = 0x80000011;		/* paging, protected mode */
	sregs.efer = 0x500;		/* long mode enabled, active */
	cpu_ioctl(cpu->fd, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	cpu_ioctl(cpu->fd, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

void vcpu_create(struct vcpu *cpu, struct ram *ram)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = ram->bytes,
		.userspace_addr = (uintptr_t)ram->mem,
	};
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	/* A tick that the guest never acknowledged must not stop the clock. */
	struct kvm_reinject_control ticks = { .pit_reinject = 0 };
	int size;

	cpu->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (cpu->kvm < 0)
		fail(EXIT_SETUP, "/dev/kvm: %s", strerror(errno));
	cpu->vm = ioctl(cpu->kvm, KVM_CREATE_VM, 0);
	if (cpu->vm < 0)
		fail(EXIT_SETUP, "KVM_CREATE_VM: %s", strerror(errno));
	cpu_ioctl(cpu->vm, KVM_SET_TSS_ADDR, (void *)TSS_ADDR, "KVM_SET_TSS_ADDR");
	cpu_ioctl(cpu->vm, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
	cpu_ioctl(cpu->vm, KVM_CREATE_PIT2, &pit, "KVM_CREATE_PIT2");
	cpu_ioctl(cpu->vm, KVM_REINJECT_CONTROL, &ticks, "KVM_REINJECT_CONTROL");
	cpu_ioctl(cpu->vm, KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION");
	cpu->fd = ioctl(cpu->vm, KVM_CREATE_VCPU, 0);
	size = ioctl(cpu->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (cpu->fd < 0 || size < (int)sizeof(*cpu->run))
		fail(EXIT_SETUP, "KVM_CREATE_VCPU: %s", strerror(errno));
	cpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	if (cpu->run == MAP_FAILED)
		fail(EXIT_SETUP, "mmap of the vCPU: %s", strerror(errno));
	set_cpuid(cpu);
	mce_setup(cpu);
	set_registers(cpu);
}

static uint8_t port_in(struct vcpu *cpu, unsigned int port)
{
	if (port >= SERIAL_PORT && port < SERIAL_PORT + 8)
		return serial_in(&cpu->serial, port - SERIAL_PORT);
	/*
	 * A keyboard controller whose output never runs dry: Linux finds it
	 * useless at once, and still asks it for the reset.
	 */
	if (port == PORT_KBD)
		return KBD_BUFFER_FULL;
	return port == PORT_CMOS_DATA ? 0 : 0xff;
}

/* False: the guest asked for a reset. */
static bool port_out(struct vcpu *cpu, unsigned int port, uint8_t value)
{
	if (port >= SERIAL_PORT && port < SERIAL_PORT + 8)
		serial_out(&cpu->serial, port - SERIAL_PORT, value);
	return port != PORT_KBD || value != KBD_RESET;
}

static bool exit_io(struct vcpu *cpu)
{
	uint8_t *data = (uint8_t *)cpu->run + cpu->run->io.data_offset;
	unsigned int i, size = cpu->run->io.size, port = cpu->run->io.port;
	struct kvm_irq_level irq = { .irq = SERIAL_IRQ };
	bool before = serial_irq(&cpu->serial);

	for (i = 0; i < cpu->run->io.count * size; i++) {
		if (cpu->run->io.direction == KVM_EXIT_IO_IN)
			data[i] = port_in(cpu, port + i % size);
		else if (!port_out(cpu, port + i % size, data[i]))
			return false;
	}
	irq.level = serial_irq(&cpu->serial);
	if (irq.level != before)
		ioctl(cpu->vm, KVM_IRQ_LINE, &irq);
	return true;
}

static void say_crash(struct vcpu *cpu)
{
	struct kvm_regs regs = { 0 };

	ioctl(cpu->fd, KVM_GET_REGS, &regs);
	fprintf(stderr, "vramvmm: the guest crashed: exit reason %u at rip 0x%llx\n",
		cpu->run->exit_reason, (unsigned long long)regs.rip);
}

/* What the signal handler has to know, and what it found. */
static struct uffdvram_ctx *bus_ctx;
static struct uffdvram_sigbus bus = { .size = sizeof(bus) };
static volatile sig_atomic_t bus_lost;

/*
 * A page of the guest is gone: KVM sends this to the virtual CPU's thread, and
 * KVM_RUN ends. A SIGBUS about other memory is our own bug: it comes again, and
 * kills.
 */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (uffdvram_sigbus_decode(bus_ctx, info->si_code, (uintptr_t)info->si_addr,
				   info->si_addr_lsb, &bus))
		signal(sig, SIG_DFL);
	else if (bus.kind != UFFDVRAM_SIGBUS_NOTICE)
		bus_lost = 1;
}

static void say_lost(struct ram *ram, const char *then)
{
	struct uffdvram_residency res = { .size = sizeof(res) };
	int ret = uffdvram_range_query(ram->range, bus.off, bus.len, &res, NULL);
	bool poison = !ret && res.count[UFFDVRAM_STATE_POISON] == bus.len / PAGE_BYTES;

	fprintf(stderr, "vramvmm: guest memory at 0x%llx+0x%llx is lost: %s (now %s): %s\n",
		(unsigned long long)bus.off, (unsigned long long)bus.len,
		uffdvram_sigbus_name(bus.kind), poison ? "poison" : "not poison", then);
}

/*
 * KVM_RUN ended at a page that is gone. False: the guest cannot go on. Only poison is
 * gone for good; what was refused for another reason is no fault of the memory's.
 */
static bool take_loss(struct vcpu *cpu, struct ram *ram)
{
	int ret;

	bus_lost = 0;
	if (cpu->stop_at_loss || bus.kind != UFFDVRAM_SIGBUS_POISON) {
		say_lost(ram, "stopped");
		return false;
	}
	say_lost(ram, "machine check");
	/* The range begins where the guest's memory does. */
	ret = mce_inject(cpu, bus.off, bus.len);
	if (ret)
		fprintf(stderr, "vramvmm: KVM_X86_SET_MCE: %s\n", strerror(-ret));
	return !ret;
}

int vcpu_run(struct vcpu *cpu, struct ram *ram)
{
	const struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	bus_ctx = ram->ctx;
	sigaction(SIGBUS, &action, NULL);
	for (;;) {
		int err = ioctl(cpu->fd, KVM_RUN, 0) ? errno : 0;

		if (bus_lost && !take_loss(cpu, ram))
			return EXIT_STOPPED;
		if (err) {
			if (err == EINTR)
				continue;
			fprintf(stderr, "vramvmm: KVM_RUN: %s\n", strerror(err));
			return EXIT_STOPPED;
		}
		switch (cpu->run->exit_reason) {
		case KVM_EXIT_INTR:
			break;
		case KVM_EXIT_IO:
			if (!exit_io(cpu))
				return EXIT_RESET;
			break;
		case KVM_EXIT_MMIO:
			/* Nobody lives there. */
			memset(cpu->run->mmio.data, 0xff, sizeof(cpu->run->mmio.data));
			break;
		default:
			say_crash(cpu);
			return cpu->run->exit_reason == KVM_EXIT_SHUTDOWN ? EXIT_CRASHED :
									    EXIT_STOPPED;
		}
	}
}
