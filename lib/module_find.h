/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIBUFFDVRAM_MODULE_FIND_H
#define LIBUFFDVRAM_MODULE_FIND_H

#include <stdbool.h>

#include <uffdvram/uffdvram.h>

#define MODULE_NAME "uffdvram"

/* A module that is not loaded, as configuration and its file describe it. */
struct uffdvram_found {
	bool blacklisted;
	bool replaced;		/* an "install" line runs a command instead */
	bool is_signed;
	char release[100];	/* of the kernel that it was built for; "" if unknown */
};

/*
 * With libkmod (module_kmod.c), or with what there is without it (module_nokmod.c).
 *
 * find: 0, -ENOENT (no such module), -ENODATA (there is no way to know) or -errno.
 * insert: 0, or -errno as the kernel says it.
 */
int uffdvram_module_find(const struct uffdvram_module_opts *opts,
			 struct uffdvram_found *found);
int uffdvram_module_insert(const struct uffdvram_module_opts *opts);

#endif /* LIBUFFDVRAM_MODULE_FIND_H */
