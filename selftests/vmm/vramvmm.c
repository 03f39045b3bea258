// SPDX-License-Identifier: GPL-2.0-only
/*
 * vramvmm: boot a Linux kernel whose memory is supplied page by page and lives,
 * in part, in VRAM. See vramvmm.h for the other files.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vramvmm.h"

static const char usage[] =
	"usage: vramvmm --kernel BZIMAGE --initrd FILE [options]\n"
	"       vramvmm --image FILE [options]\n"
	"  --append WORDS    the kernel's command line\n"
	"  --mem MIB         memory (default 256)\n"
	"  --pool N|own      number of a shared pool, or a simulated one (default)\n"
	"  --vram PERCENT    share of the memory that is moved to VRAM (default 50)\n"
	"  --lost mce|stop   at memory that is lost: a machine check (default), or the end\n"
	"  --save-image FILE write the memory as it is before the start, and exit\n";

enum { KERNEL, INITRD, APPEND, IMAGE, SAVE, MEM, POOL, VRAM, LOST, OPTIONS };

static const struct option words[] = {
	{ "kernel", required_argument, NULL, KERNEL },
	{ "initrd", required_argument, NULL, INITRD },
	{ "append", required_argument, NULL, APPEND },
	{ "image", required_argument, NULL, IMAGE },
	{ "save-image", required_argument, NULL, SAVE },
	{ "mem", required_argument, NULL, MEM },
	{ "pool", required_argument, NULL, POOL },
	{ "vram", required_argument, NULL, VRAM },
	{ "lost", required_argument, NULL, LOST },
	{ }
};

/* What was given, or else the default. */
static const char *options[OPTIONS] = { [POOL] = "own", [VRAM] = "50", [LOST] = "mce" };

void fail(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("vramvmm: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	/* Other threads may be at work: no destructors. */
	fflush(stdout);
	_exit(status);
}

static uint64_t number(unsigned int option, uint64_t min, uint64_t max)
{
	const char *text = options[option];
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *end || n < min || n > max)
		fail(EXIT_SETUP, "--%s %s: not a number from %llu to %llu", words[option].name,
		     text, (unsigned long long)min, (unsigned long long)max);
	return n;
}

static void parse(int argc, char **argv)
{
	const char **o = options;
	int c;

	while ((c = getopt_long(argc, argv, "", words, NULL)) >= 0 && c < OPTIONS)
		o[c] = optarg;
	/* An image brings its own kernel, command line and size. */
	if (c == -1 && optind == argc &&
	    (o[IMAGE] ? !o[KERNEL] && !o[INITRD] && !o[APPEND] && !o[MEM] && !o[SAVE]
		      : o[KERNEL] && o[INITRD]))
		return;
	fputs(usage, stderr);
	exit(EXIT_SETUP);
}

static void get_image(struct image *img)
{
	const char **o = options;

	if (o[IMAGE]) {
		image_open(img, o[IMAGE]);
		return;
	}
	img->bytes = o[MEM] ? MIB(number(MEM, 64, 1024)) : MIB(256);
	image_build(img, o[KERNEL], o[INITRD], o[APPEND] ? o[APPEND] : "console=ttyS0");
	if (o[SAVE]) {
		image_save(img, o[SAVE]);
		exit(EXIT_RESET);
	}
}

/*
 * Each page that was moved is in VRAM now, or came back because somebody
 * touched it, or was lost there.
 */
static void say_figures(const struct monitor *mon)
{
	struct uffdvram_residency res = { .size = sizeof(res) };
	struct ram *ram = mon->ram;
	uint64_t vram, poison, back;
	int ret = uffdvram_range_query(ram->range, 0, ram->bytes, &res, NULL);

	if (ret)
		fail(EXIT_STOPPED, "asking where the memory is: %s", strerror(-ret));
	vram = res.count[UFFDVRAM_STATE_VRAM];
	poison = res.count[UFFDVRAM_STATE_POISON];
	back = mon->moved - vram - (poison - mon->poisoned);
	printf("vramvmm: supplied %llu pages (%llu zero, %llu poison), moved %llu, "
	       "faulted back %llu (%llu bytes), in VRAM %llu, poison %llu\n",
	       mon->supplied, mon->zero, mon->poisoned, mon->moved, (unsigned long long)back,
	       (unsigned long long)back * PAGE_BYTES, (unsigned long long)vram,
	       (unsigned long long)poison);
}

int main(int argc, char **argv)
{
	struct image img = { 0 };
	struct ram ram = { 0 };
	struct vcpu cpu = { 0 };
	struct monitor mon = { .ram = &ram, .img = &img };
	unsigned int pool;
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(argc, argv);
	mon.percent = number(VRAM, 0, 100);
	cpu.stop_at_loss = !strcmp(options[LOST], "stop");
	if (!cpu.stop_at_loss && strcmp(options[LOST], "mce"))
		fail(EXIT_SETUP, "--lost %s: neither mce nor stop", options[LOST]);
	pool = strcmp(options[POOL], "own") ? number(POOL, 1, UINT32_MAX) : 0;
	get_image(&img);
	ram_create(&ram, img.bytes, pool);
	monitor_start(&mon);
	vcpu_create(&cpu, &ram);
	printf("vramvmm: %llu MiB, none of it there yet; pool %u, %u %% to VRAM\n",
	       (unsigned long long)(ram.bytes >> 20), uffdvram_pool_number(ram.pool), mon.percent);
	status = vcpu_run(&cpu, &ram);
	monitor_stop(&mon);
	serial_end(&cpu.serial);
	say_figures(&mon);
	return status;
}
