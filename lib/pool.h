/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIBUFFDVRAM_POOL_H
#define LIBUFFDVRAM_POOL_H

#include "ctx.h"

struct uffdvram_pool {
	struct uffdvram_handle handle;
	uint32_t number;
};

#endif /* LIBUFFDVRAM_POOL_H */
