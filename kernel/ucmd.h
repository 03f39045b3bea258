/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _UFFDVRAM_UCMD_H
#define _UFFDVRAM_UCMD_H

#include <linux/types.h>

struct uffdvram_ctx;

/**
 * struct uffdvram_ucmd - one ioctl in progress
 * @ctx: the context it was called on
 * @cmd: kernel copy of the argument; whatever the handler leaves here is copied
 *	back to the caller, after errors too
 * @finish: set by a handler that made something: called once the answer has
 *	reached the caller (@ok) or could not be written (undo it)
 * @obj: for @finish
 */
struct uffdvram_ucmd {
	struct uffdvram_ctx *ctx;
	void *cmd;
	void (*finish)(struct uffdvram_ucmd *ucmd, bool ok);
	void *obj;
};

#endif /* _UFFDVRAM_UCMD_H */
