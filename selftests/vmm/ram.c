// SPDX-License-Identifier: GPL-2.0-only
/*
 * ram: the guest's memory. It is private anonymous memory, as every VMM has it;
 * a range says which pool its pages may go to, and userfaultfd what is missing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <syslog.h>

#include "vramvmm.h"

static void open_pool(struct ram *ram, unsigned int number)
{
	const struct uffdvram_pool_opts own = {
		.size = sizeof(own),
		.backend = UFFDVRAM_BACKEND_SIM,
		.bytes = ram->bytes,
	};
	int ret = number ? uffdvram_pool_wrap(&ram->pool, ram->ctx, number)
			 : uffdvram_pool_attach(&ram->pool, ram->ctx, &own);

	if (ret)
		fail(EXIT_SETUP, "no pool: %s", strerror(-ret));
}

static void say_log(void *data, int priority, const char *msg)
{
	(void)data;
	if (priority <= LOG_WARNING)
		fprintf(stderr, "vramvmm: %s\n", msg);
}

void ram_create(struct ram *ram, uint64_t bytes, unsigned int pool)
{
	const struct uffdvram_open_opts open_opts = { .size = sizeof(open_opts), .log = say_log };
	const struct uffdvram_arm_opts arm_opts = {
		.size = sizeof(arm_opts),
		.flags = UFFDVRAM_ARM_MISSING | UFFDVRAM_ARM_NOHUGEPAGE,
		.features = UFFD_FEATURE_POISON,
	};
	struct uffdvram_range_opts range_opts = { .size = sizeof(range_opts) };
	int ret = uffdvram_open(&ram->ctx, &open_opts);

	if (ret)
		fail(EXIT_SETUP, "%s: %s", UFFDVRAM_DEVICE, strerror(-ret));
	ram->bytes = bytes;
	ram->mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram->mem == MAP_FAILED)
		fail(EXIT_SETUP, "memory: %s", strerror(errno));
	open_pool(ram, pool);
	range_opts.pool = ram->pool;
	ret = uffdvram_range_register(&ram->range, ram->ctx, (uintptr_t)ram->mem, bytes,
				      &range_opts);
	if (ret)
		fail(EXIT_SETUP, "range of %llu MiB in pool %u: %s",
		     (unsigned long long)(bytes >> 20), uffdvram_pool_number(ram->pool),
		     strerror(-ret));
	/* First armed, then touched: no page can come from elsewhere. */
	ret = uffdvram_range_arm(ram->range, &arm_opts);
	if (ret)
		fail(EXIT_SETUP, "userfaultfd: %s", strerror(-ret));
}
