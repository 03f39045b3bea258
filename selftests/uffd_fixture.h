/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests of userfaultfd share: what it tells, and that it tells nothing. */
#ifndef UFFDVRAM_SELFTESTS_UFFD_FIXTURE_H
#define UFFDVRAM_SELFTESTS_UFFD_FIXTURE_H

static inline void expect_no_event(struct __test_metadata *_metadata, int uffd)
{
	struct uffd_msg msg;

	EXPECT_FALSE(uffd_wait(uffd, &msg, 0)) {
		TH_LOG("event %#x at %#llx", msg.event, msg.arg.pagefault.address);
	}
}

/* The next event must be a fault of this kind at this page. */
static inline void expect_fault(struct __test_metadata *_metadata, int uffd, const char *page,
				uint64_t flags)
{
	struct uffd_msg msg;

	ASSERT_TRUE(uffd_wait(uffd, &msg, 60000));
	EXPECT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);
	EXPECT_EQ(ADDR(page), msg.arg.pagefault.address & ~(PAGE - 1));
	EXPECT_EQ(flags, msg.arg.pagefault.flags & (UFFD_PAGEFAULT_FLAG_WP |
						    UFFD_PAGEFAULT_FLAG_WRITE));
}

#endif /* UFFDVRAM_SELFTESTS_UFFD_FIXTURE_H */
