// SPDX-License-Identifier: GPL-2.0-only
/*
 * mce: memory that is lost becomes a machine check of the guest, "action required":
 * the virtual CPU needs bytes that nobody has. What the guest can do with it depends
 * on what it is told: the address, that the instruction can be begun again once the
 * page is another one, and that this kind of CPU tells of such errors in time. Linux
 * takes the page away from whoever was about to use it, and lives.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vramvmm.h"

/* Registers: Intel's SDM, volume 3B, "Machine-check architecture"; AMD's APM, volume 2. */
#define MCG_CTL_P		(1ULL << 8)
#define MCG_SER_P		(1ULL << 24)	/* Intel: errors that software can recover from */
#define MCG_STATUS_RIPV		(1ULL << 0)	/* the instruction can be restarted, */
#define MCG_STATUS_EIPV		(1ULL << 1)	/* and it is the one that needs the data */
#define MCG_STATUS_MCIP		(1ULL << 2)
#define STATUS_VAL		(1ULL << 63)
#define STATUS_UC		(1ULL << 61)
#define STATUS_EN		(1ULL << 60)
#define STATUS_MISCV		(1ULL << 59)
#define STATUS_ADDRV		(1ULL << 58)
#define STATUS_S		(1ULL << 56)	/* Intel: signaled */
#define STATUS_AR		(1ULL << 55)	/* Intel: action required */
#define STATUS_POISON		(1ULL << 43)	/* AMD: poisoned data was about to be used */
#define CODE_DATA_LOAD		0x134
#define MISC_PHYSICAL		(2 << 6)

/* CPUID 0x80000007, EBX: AMD's CPUs that signal such errors before the data is used */
#define OVERFLOW_RECOV		(1U << 0)
#define SUCCOR			(1U << 1)

#define BANKS			10
#define BANK			9	/* the lower ones have quirks on real CPUs */

static bool is_amd(const struct kvm_cpuid_entry2 *e)
{
	char vendor[12];

	memcpy(vendor, &e->ebx, 4);
	memcpy(vendor + 4, &e->edx, 4);
	memcpy(vendor + 8, &e->ecx, 4);
	return !memcmp(vendor, "AuthenticAMD", 12) || !memcmp(vendor, "HygonGenuine", 12);
}

/* KVM leaves it to us to promise that: it is we who signal the errors. */
void mce_cpuid(struct vcpu *cpu, struct kvm_cpuid2 *cpuid)
{
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 0)
			cpu->amd = is_amd(e);
		else if (e->function == 0x80000007 && cpu->amd)
			e->ebx |= OVERFLOW_RECOV | SUCCOR;
	}
}

void mce_setup(struct vcpu *cpu)
{
	uint64_t cap;

	if (ioctl(cpu->kvm, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap) < 0)
		fail(EXIT_SETUP, "KVM_X86_GET_MCE_CAP_SUPPORTED: %s", strerror(errno));
	cap = (cap & (MCG_CTL_P | MCG_SER_P)) | BANKS;
	if (ioctl(cpu->fd, KVM_X86_SETUP_MCE, &cap) < 0)
		fail(EXIT_SETUP, "KVM_X86_SETUP_MCE: %s", strerror(errno));
}

int mce_inject(struct vcpu *cpu, uint64_t gpa, uint64_t len)
{
	struct kvm_x86_mce mce = {
		.status = STATUS_VAL | STATUS_UC | STATUS_EN | STATUS_MISCV | STATUS_ADDRV,
		.addr = gpa,
		/* How many low bits of the address say nothing. */
		.misc = MISC_PHYSICAL | __builtin_ctzll(len),
		.mcg_status = MCG_STATUS_RIPV | MCG_STATUS_EIPV | MCG_STATUS_MCIP,
		.bank = BANK,
	};

	mce.status |= cpu->amd ? STATUS_POISON : STATUS_S | STATUS_AR | CODE_DATA_LOAD;
	return ioctl(cpu->fd, KVM_X86_SET_MCE, &mce) < 0 ? -errno : 0;
}
