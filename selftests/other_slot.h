/* SPDX-License-Identifier: GPL-2.0-only */
/* A page that lives in a slot of another range than where it is mapped. */
#ifndef UFFDVRAM_SELFTESTS_OTHER_SLOT_H
#define UFFDVRAM_SELFTESTS_OTHER_SLOT_H

#include <errno.h>
#include <sys/mman.h>
#include "inject.h"
#include "util_mm.h"

/*
 * Moves the page at @from into a range of its own, with another pool, which it gives: then
 * it has to come home before anything is done with it there, and the host may have no memory
 * for that. @call meets each such failure, as -ENOMEM, and in the end none. Where the page
 * is now.
 */
static inline char *without_memory(struct __test_metadata *_metadata, int fd, char *from,
				   uint32_t *pool, int (*call)(void *arg, char *page), void *arg)
{
	char *to = map_small(PAGE);
	struct inject in;
	bool failed = true;
	unsigned int nth;
	int ret = 0;

	ASSERT_TRUE(inject_open(&in, false));
	ASSERT_EQ(0, uv_attach(fd, MIB(2), 0, pool));
	ASSERT_EQ(0, uv_register(fd, to, PAGE, *pool, NULL));
	ASSERT_EQ(to, mremap(from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	for (nth = 1; failed && nth < 64; nth++) {
		inject_arm(&in, nth, "alloc");
		ret = call(arg, to);
		failed = inject_disarm(&in);
		EXPECT_EQ(failed ? -ENOMEM : 0, ret) TH_LOG("at failure %u", nth);
	}
	inject_close(&in);
	ASSERT_EQ(0, ret);
	/* Where nothing can fail, nothing was tested. */
	EXPECT_LT(2, nth);
	return to;
}

#endif /* UFFDVRAM_SELFTESTS_OTHER_SLOT_H */
