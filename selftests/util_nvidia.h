/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of NVIDIA's pools share: modules, and the stand-in for the driver.
 * Functions return 0 or a negative errno.
 */
#ifndef UFFDVRAM_SELFTESTS_UTIL_NVIDIA_H
#define UFFDVRAM_SELFTESTS_UTIL_NVIDIA_H

#include "nvidia_stub/stub_abi.h"
#include "util.h"

#define GPU_PAGE	(64UL << 10)
#define STUB_PARAMS	"/sys/module/nvidia_stub/parameters/"
#define STUB_DRIVER	"/sys/bus/pci/drivers/nvidia-stub/"
#define STUB_SLOT	"0000:00:10.0"

/** module_load - /files/@file.ko, if it is not there; module_unload - by its name */
int module_load(const char *file);
int module_unload(const char *name);
/** module_unloads - for wait_until(): a pool that ends keeps modules for a moment */
bool module_unloads(void *name);

/** stub_open - the stand-in's device; stub_call - one of its ioctls */
int stub_open(void);
int stub_call(int fd, unsigned long cmd, void *arg);
/** stub_new - an allocation of so many bytes; its address, or 0 */
uint64_t stub_new(int fd, uint64_t bytes);
/** stub_knob - write to a parameter of the stand-in's module */
void stub_knob(const char *name, const char *value);
/** stub_knob_get - the first character of one */
char stub_knob_get(const char *name);
struct stub_state stub_look(int fd);
/**
 * gpu_is_free - for wait_until(), of an open stand-in's descriptor: nothing of its memory
 * is in use; pages of a pool that is over may be for a moment
 */
bool gpu_is_free(void *fd);

/** gpu_read, gpu_write - what the GPU has in its memory, or puts there */
int gpu_read(int fd, uint64_t addr, void *buf, size_t len);
int gpu_write(int fd, uint64_t addr, const void *buf, size_t len);
/** gpu_xid - the driver reports an error, in atomic context */
int gpu_xid(int fd, uint32_t xid);

int nv_attach(int fd, uint64_t addr, uint64_t bytes, uint32_t flags, uint32_t *pool);

#endif /* UFFDVRAM_SELFTESTS_UTIL_NVIDIA_H */
