// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util_mm.h"
#include "vfio.h"

#define NAME		"0000:00:13.0"
#define SYSFS		"/sys/bus/pci/devices/" NAME "/"
/* Where the device finds the test's pages, and the buffer to compare with. */
#define IOVA		MIB(1)
#define IOVA_BUF	MIB(2)

/* QEMU's docs/specs/edu.rst: registers of 8 bytes, and a page that only DMA reaches. */
#define EDU_SRC		(0x80 / 8)
#define EDU_DST		(0x88 / 8)
#define EDU_COUNT	(0x90 / 8)
#define EDU_CMD		(0x98 / 8)
#define EDU_RUN		1
#define EDU_TO_RAM	2
#define EDU_PAGE	0x40000
#define EDU_BAR		MIB(1)

static struct {
	int owner; /* a container, or iommufd's descriptor */
	int group;
	int device;
	uint32_t ioas; /* iommufd's address space; 0: VFIO's type 1 */
	volatile uint64_t *regs;
} edu;

static const char *lacks(const char *dev)
{
	static char why[64];

	snprintf(why, sizeof(why), "no %s in this kernel", dev);
	return access(dev, F_OK) ? why : NULL;
}

const char *type1_lacks(void)
{
	return lacks("/dev/vfio/vfio");
}

const char *iommufd_lacks(void)
{
	return lacks("/dev/iommu");
}

/* The machine's IOMMU does not remap interrupts, and the device is to raise none. */
static int take_device(void)
{
	char driver[256] = "";

	memset(&edu, 0, sizeof(edu));
	edu.owner = edu.group = edu.device = -1;
	if (readlink(SYSFS "driver", driver, sizeof(driver) - 1) > 0)
		return strstr(driver, "/vfio-pci") ? 0 : -EBUSY;
	file_write("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "1");
	file_write("/sys/module/iommufd/parameters/allow_unsafe_interrupts", "1");
	return file_write(SYSFS "driver_override", "vfio-pci") ?:
	       file_write("/sys/bus/pci/drivers_probe", NAME);
}

/* Its registers, and its leave to read and write memory. */
static int use_device(void)
{
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };
	struct vfio_region_info config = { .argsz = sizeof(config),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	void *regs;

	if (ioctl(edu.device, VFIO_DEVICE_GET_REGION_INFO, &bar) ||
	    ioctl(edu.device, VFIO_DEVICE_GET_REGION_INFO, &config))
		return -errno;
	if (pwrite(edu.device, &command, 2, config.offset + PCI_COMMAND) != 2)
		return -EIO;
	regs = mmap(NULL, EDU_BAR, PROT_READ | PROT_WRITE, MAP_SHARED, edu.device, bar.offset);
	if (regs == MAP_FAILED)
		return -errno;
	edu.regs = regs;
	return 0;
}

static int type1_open(void)
{
	char link[256] = "", path[300];

	if (readlink(SYSFS "iommu_group", link, sizeof(link) - 1) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/dev/vfio%s", strrchr(link, '/'));
	edu.owner = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	edu.group = open(path, O_RDWR | O_CLOEXEC);
	if (ioctl(edu.group, VFIO_GROUP_SET_CONTAINER, &edu.owner) ||
	    ioctl(edu.owner, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -errno;
	edu.device = ioctl(edu.group, VFIO_GROUP_GET_DEVICE_FD, NAME);
	return edu.device < 0 ? -errno : 0;
}

static int open_vfio_dev(void)
{
	DIR *dir = opendir(SYSFS "vfio-dev");
	struct dirent *d;
	char path[300];
	int fd = -1;

	if (!dir)
		return -1;
	while ((d = readdir(dir)) && fd < 0) {
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", d->d_name);
		if (d->d_name[0] != '.')
			fd = open(path, O_RDWR | O_CLOEXEC);
	}
	closedir(dir);
	return fd;
}

static int iommufd_open(void)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	edu.device = open_vfio_dev();
	edu.owner = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	bind.iommufd = edu.owner;
	if (ioctl(edu.device, VFIO_DEVICE_BIND_IOMMUFD, &bind) ||
	    ioctl(edu.owner, IOMMU_IOAS_ALLOC, &alloc))
		return -errno;
	edu.ioas = attach.pt_id = alloc.out_ioas_id;
	return ioctl(edu.device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) ? -errno : 0;
}

static int map_dma(uint64_t iova, void *at, size_t len)
{
	struct iommu_ioas_map ioas = {
		.size = sizeof(ioas), .ioas_id = edu.ioas, .user_va = ADDR(at), .length = len,
		.iova = iova, .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
				       IOMMU_IOAS_MAP_WRITEABLE,
	};
	struct vfio_iommu_type1_dma_map type1 = {
		.argsz = sizeof(type1), .vaddr = ADDR(at), .size = len, .iova = iova,
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
	};

	return (edu.ioas ? ioctl(edu.owner, IOMMU_IOAS_MAP, &ioas) :
			   ioctl(edu.owner, VFIO_IOMMU_MAP_DMA, &type1)) ? -errno : 0;
}

static void unmap_dma(uint64_t iova, size_t len)
{
	struct iommu_ioas_unmap ioas = {
		.size = sizeof(ioas), .ioas_id = edu.ioas, .iova = iova, .length = len,
	};
	struct vfio_iommu_type1_dma_unmap type1 = {
		.argsz = sizeof(type1), .iova = iova, .size = len,
	};

	if (edu.ioas)
		ioctl(edu.owner, IOMMU_IOAS_UNMAP, &ioas);
	else
		ioctl(edu.owner, VFIO_IOMMU_UNMAP_DMA, &type1);
}

/* An answer of the set-up is not taken for one of the mapping. */
static int begin(int (*open_by)(void), void *at, size_t len)
{
	int ret = take_device() ?: open_by() ?: use_device();

	if (ret)
		give_up("a device behind an IOMMU");
	return map_dma(IOVA, at, len);
}

int type1_begin(struct long_pin *p, void *at, size_t len)
{
	(void)p;
	return begin(type1_open, at, len);
}

int iommufd_begin(struct long_pin *p, void *at, size_t len)
{
	(void)p;
	return begin(iommufd_open, at, len);
}

void dma_end(struct long_pin *p)
{
	(void)p;
	munmap((void *)edu.regs, EDU_BAR);
	close(edu.device);
	close(edu.group);
	close(edu.owner);
}

static bool edu_is_idle(void *arg)
{
	(void)arg;
	return !(edu.regs[EDU_CMD] & EDU_RUN);
}

/* The device's own page is at one end of each copy. It takes its time: a tenth of a second. */
static bool edu_copy(uint64_t src, uint64_t dst, uint64_t cmd)
{
	edu.regs[EDU_SRC] = src;
	edu.regs[EDU_DST] = dst;
	edu.regs[EDU_COUNT] = PAGE;
	edu.regs[EDU_CMD] = EDU_RUN | cmd;
	return wait_until(edu_is_idle, NULL, 10000);
}

static bool dma(uint64_t from, uint64_t to, void *buf, size_t len)
{
	size_t i;

	if (map_dma(IOVA_BUF, buf, len))
		return false;
	for (i = 0; i < len; i += PAGE)
		if (!edu_copy(from + i, EDU_PAGE, 0) || !edu_copy(EDU_PAGE, to + i, EDU_TO_RAM))
			break;
	unmap_dma(IOVA_BUF, len);
	return i == len;
}

bool dma_shows(struct long_pin *p, void *buf, size_t len)
{
	(void)p;
	return dma(IOVA, IOVA_BUF, buf, len);
}

bool dma_writes(struct long_pin *p, void *buf, size_t len)
{
	(void)p;
	return dma(IOVA_BUF, IOVA, buf, len);
}
