/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests of userfaultfd's two ways of protection share. */
#ifndef UFFDVRAM_SELFTESTS_UFFD_FIXTURE_H
#define UFFDVRAM_SELFTESTS_UFFD_FIXTURE_H

static inline void expect_no_event(struct __test_metadata *_metadata, int uffd)
{
	struct uffd_msg msg;

	EXPECT_FALSE(uffd_wait(uffd, &msg, 0)) {
		TH_LOG("event %#x at %#llx", msg.event, msg.arg.pagefault.address);
	}
}

#endif /* UFFDVRAM_SELFTESTS_UFFD_FIXTURE_H */
