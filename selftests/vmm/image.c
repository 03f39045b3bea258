// SPDX-License-Identifier: GPL-2.0-only
/*
 * image: what the guest's memory contains before its first instruction. It
 * stands for the other side of a postcopy migration, or for a snapshot: a place
 * from which single pages can be had.
 *
 * It is a sparse file of the size of the guest's memory. The 64-bit boot
 * protocol of Linux (Documentation/arch/x86/boot.rst) says what goes into it.
 */
#define _GNU_SOURCE
#include <asm/bootparam.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vramvmm.h"

#define HDR_MAGIC	0x53726448	/* "HdrS" */
#define HDR_OFFSET	0x1f1
#define BOOT_FLAG	0xaa55
#define SECTOR		512UL
#define LOW_RAM_END	0x9fc00UL
#define HIGH_RAM	0x100000UL
#define CMDLINE_MAX	2048

/* Page table entries: present, writable; and of 2 MiB. */
#define PTE_TABLE	0x3UL
#define PTE_HUGE	0x83UL
#define PTES		512

static void image_write(struct image *img, uint64_t gpa, const void *buf, size_t len)
{
	if (gpa > img->bytes || len > img->bytes - gpa)
		fail(EXIT_SETUP, "%llu MiB of memory are too few",
		     (unsigned long long)(img->bytes >> 20));
	if (pwrite(img->fd, buf, len, gpa) != (ssize_t)len)
		fail(EXIT_SETUP, "writing the image: %s", strerror(errno));
}

static int open_file(const char *path, uint64_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		fail(EXIT_SETUP, "%s: %s", path, strerror(errno));
	*bytes = st.st_size;
	return fd;
}

/* From @from to the end of the file. */
static void write_file(struct image *img, uint64_t gpa, int fd, uint64_t from,
		       const char *path)
{
	char buf[1 << 16];
	ssize_t n;

	while ((n = pread(fd, buf, sizeof(buf), from)) > 0) {
		image_write(img, gpa, buf, n);
		gpa += n;
		from += n;
	}
	if (n < 0)
		fail(EXIT_SETUP, "%s: %s", path, strerror(errno));
}

static void write_kernel(struct image *img, const char *path, struct boot_params *params)
{
	uint64_t bytes, setup;
	int fd = open_file(path, &bytes);
	struct setup_header *hdr = &params->hdr;

	if (pread(fd, hdr, sizeof(*hdr), HDR_OFFSET) != sizeof(*hdr) ||
	    hdr->boot_flag != BOOT_FLAG || hdr->header != HDR_MAGIC)
		fail(EXIT_SETUP, "%s: not a Linux kernel (bzImage)", path);
	if (hdr->version < 0x20c || !(hdr->xloadflags & XLF_KERNEL_64) || !hdr->relocatable_kernel)
		fail(EXIT_SETUP, "%s: no relocatable 64-bit kernel", path);
	/* The kernel unpacks itself in place, and needs more room than its file. */
	if (img->bytes < KERNEL_ADDR + hdr->init_size)
		fail(EXIT_SETUP, "%s: needs %llu MiB of memory", path,
		     (unsigned long long)((KERNEL_ADDR + hdr->init_size) >> 20) + 1);

	/* Real-mode code comes first, which a 64-bit boot does not run. */
	setup = ((hdr->setup_sects ? hdr->setup_sects : 4) + 1) * SECTOR;
	write_file(img, KERNEL_ADDR, fd, setup, path);
	close(fd);
	hdr->type_of_loader = 0xff;
	hdr->cmd_line_ptr = CMDLINE_ADDR;
}

/* As high as it can be: the kernel never unpacks itself over it there. */
static void write_initrd(struct image *img, const char *path, struct boot_params *params)
{
	struct setup_header *hdr = &params->hdr;
	uint64_t bytes, gpa;
	int fd = open_file(path, &bytes);

	if (!bytes)
		fail(EXIT_SETUP, "%s: empty", path);
	gpa = (img->bytes - bytes) & -PAGE_BYTES;
	if (bytes > img->bytes || gpa < KERNEL_ADDR + hdr->init_size)
		fail(EXIT_SETUP, "%s: %llu MiB of memory are too few for it", path,
		     (unsigned long long)(img->bytes >> 20));
	write_file(img, gpa, fd, 0, path);
	close(fd);
	hdr->ramdisk_image = gpa;
	hdr->ramdisk_size = bytes;
}

static void write_params(struct image *img, struct boot_params *params)
{
	params->e820_entries = 2;
	params->e820_table[0] = (struct boot_e820_entry){ 0, LOW_RAM_END, 1 };
	params->e820_table[1] = (struct boot_e820_entry){ HIGH_RAM, img->bytes - HIGH_RAM, 1 };
	image_write(img, BOOT_PARAMS_ADDR, params, sizeof(*params));
}

/* Segments for 64-bit code, and the first GiB mapped to itself. */
static void write_cpu_tables(struct image *img)
{
	const uint64_t gdt[] = {
		[BOOT_CS / 8] = 0x00af9b000000ffff,
		[BOOT_DS / 8] = 0x00cf93000000ffff,
	};
	uint64_t tables[3][PTES] = { 0 };
	unsigned int i;

	tables[0][0] = (PAGE_TABLE_ADDR + PAGE_BYTES) | PTE_TABLE;
	tables[1][0] = (PAGE_TABLE_ADDR + 2 * PAGE_BYTES) | PTE_TABLE;
	for (i = 0; i < PTES; i++)
		tables[2][i] = i * MIB(2) | PTE_HUGE;
	image_write(img, GDT_ADDR, gdt, sizeof(gdt));
	image_write(img, PAGE_TABLE_ADDR, tables, sizeof(tables));
}

void image_build(struct image *img, const char *kernel, const char *initrd,
		 const char *cmdline)
{
	struct boot_params params = { 0 };

	img->fd = memfd_create("image", MFD_CLOEXEC);
	if (img->fd < 0 || ftruncate(img->fd, img->bytes))
		fail(EXIT_SETUP, "image: %s", strerror(errno));
	if (strlen(cmdline) >= CMDLINE_MAX)
		fail(EXIT_SETUP, "the kernel's command line is too long");
	write_kernel(img, kernel, &params);
	write_initrd(img, initrd, &params);
	image_write(img, CMDLINE_ADDR, cmdline, strlen(cmdline) + 1);
	write_params(img, &params);
	write_cpu_tables(img);
}

bool image_read(const struct image *img, uint64_t gpa, void *buf, size_t len)
{
	return pread(img->fd, buf, len, gpa) == (ssize_t)len;
}

void image_open(struct image *img, const char *path)
{
	struct boot_params params;

	img->fd = open_file(path, &img->bytes);
	if (img->bytes % MIB(1) ||
	    !image_read(img, BOOT_PARAMS_ADDR, &params, sizeof(params)) ||
	    params.hdr.header != HDR_MAGIC || params.e820_entries != 2)
		fail(EXIT_SETUP, "%s: not a memory image of vramvmm", path);
	if (params.e820_table[1].addr + params.e820_table[1].size != img->bytes)
		fail(EXIT_SETUP, "%s: cut off: %llu of %llu bytes", path,
		     (unsigned long long)img->bytes,
		     (unsigned long long)(params.e820_table[1].addr + params.e820_table[1].size));
}

/* Holes stay holes: most of the memory is zero. */
void image_save(const struct image *img, const char *path)
{
	int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	off_t at = 0, end;
	ssize_t n;

	if (out < 0 || ftruncate(out, img->bytes))
		fail(EXIT_SETUP, "%s: %s", path, strerror(errno));
	while ((at = lseek(img->fd, at, SEEK_DATA)) >= 0) {
		end = lseek(img->fd, at, SEEK_HOLE);
		if (lseek(out, at, SEEK_SET) < 0)
			break;
		while (at < end) {
			n = sendfile(out, img->fd, &at, end - at);
			if (n <= 0)
				fail(EXIT_SETUP, "%s: %s", path, strerror(n ? errno : EIO));
		}
	}
	if (errno != ENXIO)
		fail(EXIT_SETUP, "%s: %s", path, strerror(errno));
	if (close(out))
		fail(EXIT_SETUP, "%s: %s", path, strerror(errno));
}
