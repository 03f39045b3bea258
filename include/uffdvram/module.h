/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libuffdvram: is the kernel's half there, and if not, why?
 */
#ifndef UFFDVRAM_MODULE_H
#define UFFDVRAM_MODULE_H

#include <uffdvram/uffdvram.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** enum uffdvram_module_state - how things stand with the module */
enum uffdvram_module_state {
	UFFDVRAM_MODULE_ABSENT = 1,	/* not loaded, and not found where modules are */
	UFFDVRAM_MODULE_READY = 2,	/* not loaded, but installed: it can be loaded */
	UFFDVRAM_MODULE_BLOCKED = 3,	/* configuration or the kernel forbids to load it */
	UFFDVRAM_MODULE_VERSION = 4,	/* loaded, or installed, but of another version */
	UFFDVRAM_MODULE_LIVE = 5,	/* loaded, and it speaks this library's version */
};

/**
 * struct uffdvram_module_opts - where to look
 * @size: sizeof(struct uffdvram_module_opts)
 * @path: file of the module; NULL: what modprobe(8) would take
 * @params: parameters to load it with, "open_pid=1"; NULL for none
 * @device: path of the device node; NULL for UFFDVRAM_DEVICE
 * @log: receiver of messages; NULL for none
 * @log_data: first argument of @log
 */
struct uffdvram_module_opts {
	size_t size;
	const char *path;
	const char *params;
	const char *device;
	uffdvram_log_fn *log;
	void *log_data;
};

/**
 * struct uffdvram_module - what was found
 * @size: sizeof(struct uffdvram_module)
 * @state: enum uffdvram_module_state
 * @error: the errno, positive, that is behind it; 0: none. EACCES with
 *         UFFDVRAM_MODULE_LIVE: the device is not for this user
 * @reason: a sentence for people: what is so, and what to do about it
 */
struct uffdvram_module {
	size_t size;
	uint32_t state;
	int32_t error;
	char reason[240];
};

/**
 * uffdvram_module_probe - see how things stand, and change nothing
 * @module: in: module->size; out: the rest
 * @opts: where to look, or NULL
 *
 * Some obstacles show only when the module is loaded.
 *
 * Errors: -EINVAL, -E2BIG, -ENOMEM. That the module cannot be used is a result, no
 * error.
 */
int uffdvram_module_probe(struct uffdvram_module *module,
			  const struct uffdvram_module_opts *opts);

/**
 * uffdvram_module_load - load the module, unless it is loaded
 * @module: in: module->size; out: the rest
 * @opts: where to look, or NULL
 *
 * What modprobe(8) does, configuration and all; with @path, what insmod(8) does.
 * Takes CAP_SYS_MODULE. The library never loads it by itself.
 *
 * Errors: -EINVAL, -E2BIG, -ENOMEM; -ENOENT, -EPERM and -EPROTONOSUPPORT for the
 * states ABSENT, BLOCKED and VERSION: @module says more.
 */
int uffdvram_module_load(struct uffdvram_module *module,
			 const struct uffdvram_module_opts *opts);

/** uffdvram_module_state_name - a word for a state ("blocked"); never NULL */
const char *uffdvram_module_state_name(unsigned int state);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif /* UFFDVRAM_MODULE_H */
