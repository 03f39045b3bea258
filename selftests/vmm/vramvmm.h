/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vramvmm: a small virtual machine monitor whose guest memory lives in VRAM.
 *
 *	image.c		what the guest's memory contains at first, page by page
 *	ram.c		the guest's memory: a range, armed with userfaultfd
 *	monitor.c	two threads: one supplies pages, one moves them to VRAM
 *	vcpu.c		KVM: the virtual CPU, and SIGBUS when a page is lost
 *	mce.c		what the guest is told then: a machine check
 *	serial.c	the guest's serial port
 *	vramvmm.c	options, start, figures at the end
 */
#ifndef VRAMVMM_H
#define VRAMVMM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uffdvram/uffdvram.h>

#define PAGE_BYTES	4096UL
#define MIB(n)		((uint64_t)(n) << 20)

/* Exit statuses. */
enum {
	EXIT_RESET = 0,		/* the guest asked for a reset: its work is done */
	EXIT_STOPPED = 1,	/* the guest lost memory, or did what nobody expects */
	EXIT_SETUP = 2,		/* it could not be started */
	EXIT_CRASHED = 3,	/* the guest's processor shut down: a triple fault */
};

/* fail - say what is wrong and exit; for the time before the guest runs */
__attribute__((noreturn, format(printf, 2, 3)))
void fail(int status, const char *fmt, ...);

/* image.c */

/**
 * struct image - the contents of the guest's memory at its start
 * @fd: a file of @bytes bytes; what it has no data for is zero
 * @bytes: size of the guest's memory
 */
struct image {
	int fd;
	uint64_t bytes;
};

/* Guest addresses that image and vCPU agree on. */
#define GDT_ADDR		0x1000UL
#define BOOT_PARAMS_ADDR	0x7000UL
#define CMDLINE_ADDR		0x8000UL
#define PAGE_TABLE_ADDR		0x9000UL	/* three pages */
#define KERNEL_ADDR		0x1000000UL
#define KERNEL_ENTRY		(KERNEL_ADDR + 0x200)	/* of a 64-bit boot */
#define BOOT_CS			0x10
#define BOOT_DS			0x18

/* image_build - of a Linux kernel (bzImage), an initramfs and a command line */
void image_build(struct image *img, const char *kernel, const char *initrd,
		 const char *cmdline);
/* image_open - one that was saved */
void image_open(struct image *img, const char *path);
void image_save(const struct image *img, const char *path);
/* image_read - false: the image cannot give these bytes */
bool image_read(const struct image *img, uint64_t gpa, void *buf, size_t len);

/* serial.c */

#define SERIAL_PORT	0x3f8
#define SERIAL_IRQ	4

/* struct serial - a 16550 without a receiver */
struct serial {
	uint8_t ier, lcr, mcr, scr, fcr;
	uint16_t divisor;
	bool thr_irq;		/* the transmitter is empty, and has not said so */
	bool mid_line;		/* of the output */
};

void serial_out(struct serial *s, unsigned int reg, uint8_t value);
uint8_t serial_in(struct serial *s, unsigned int reg);
/* serial_irq - level of its interrupt line */
bool serial_irq(const struct serial *s);
/* serial_end - nothing more will come: end the line that was begun */
void serial_end(struct serial *s);

/* ram.c */

/**
 * struct ram - the guest's memory
 * @mem: private anonymous memory, armed: nothing is there until it is supplied
 */
struct ram {
	struct uffdvram_ctx *ctx;
	struct uffdvram_pool *pool;
	struct uffdvram_range *range;
	char *mem;
	uint64_t bytes;
};

/* ram_create - @pool: number of a shared pool; 0: a simulated one of our own */
void ram_create(struct ram *ram, uint64_t bytes, unsigned int pool);
/* monitor.c */

/**
 * struct monitor - the threads beside the virtual CPU, and what they did
 * @percent: share of the memory that is sent to VRAM, over and over
 * @supplied, @zero, @poisoned: pages; @supplied counts all three
 */
struct monitor {
	struct ram *ram;
	const struct image *img;
	unsigned int percent;
	atomic_ullong supplied, zero, poisoned, moved;
	int stop;
	pthread_t threads[2];
};

void monitor_start(struct monitor *mon);
/* monitor_stop - end the threads; what they counted holds still then */
void monitor_stop(struct monitor *mon);

/* vcpu.c */

/**
 * struct vcpu - the virtual CPU and its machine
 * @stop_at_loss: end where memory is lost; else the guest gets a machine check
 * @amd: its machine checks are of AMD's kind
 */
struct vcpu {
	int kvm, vm, fd;
	struct kvm_run *run;
	struct serial serial;
	bool stop_at_loss, amd;
};

/* vcpu_create - a virtual machine with this memory */
void vcpu_create(struct vcpu *cpu, struct ram *ram);
/* vcpu_run - until the guest ends; returns the exit status */
int vcpu_run(struct vcpu *cpu, struct ram *ram);

/* mce.c */

struct kvm_cpuid2;

/* mce_cpuid - have the guest know what it can survive; says which kind of CPU it is */
void mce_cpuid(struct vcpu *cpu, struct kvm_cpuid2 *cpuid);
/* mce_setup - of a virtual CPU that knows what it is */
void mce_setup(struct vcpu *cpu);
/**
 * mce_inject - these bytes are lost, and the instruction to come needs them
 *
 * Return: 0 or -errno. A guest that takes no machine checks yet, or is in the middle
 * of one, crashes, as a real one does.
 */
int mce_inject(struct vcpu *cpu, uint64_t gpa, uint64_t len);

#endif
