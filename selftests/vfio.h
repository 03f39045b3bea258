/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vfio.h: a device in the test's hands, that reads and writes memory by DMA, behind an IOMMU.
 *
 * It is QEMU's "edu", and the only one of its IOMMU group. A mapping of the IOMMU keeps a
 * reference on each of its pages (FOLL_LONGTERM), until it is taken away. There is one
 * device, so there is one mapping at a time.
 *
 * A test that uses it says: IOMMU: edu
 */
#ifndef UFFDVRAM_SELFTESTS_VFIO_H
#define UFFDVRAM_SELFTESTS_VFIO_H

#include <stdbool.h>
#include <stddef.h>

struct long_pin;

/* type1_lacks, iommufd_lacks - why there is no such interface; NULL: there is one */
const char *type1_lacks(void);
const char *iommufd_lacks(void);

/*
 * type1_begin, iommufd_begin - take the device, and map these pages for it; 0 or -errno
 *
 * By a container of VFIO's with an IOMMU of type 1, or by an address space of iommufd's.
 * After either answer it is for dma_end() to give the device back.
 */
int type1_begin(struct long_pin *p, void *at, size_t len);
int iommufd_begin(struct long_pin *p, void *at, size_t len);
void dma_end(struct long_pin *p);

/* dma_shows, dma_writes - the device copies from the mapped pages to @buf; from @buf to them */
bool dma_shows(struct long_pin *p, void *buf, size_t len);
bool dma_writes(struct long_pin *p, void *buf, size_t len);

#endif /* UFFDVRAM_SELFTESTS_VFIO_H */
