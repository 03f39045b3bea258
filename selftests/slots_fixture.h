/* SPDX-License-Identifier: GPL-2.0-only */
/* How a fixture with a pool ends: all slots are free, by themselves, within seconds. */
#ifndef UFFDVRAM_SELFTESTS_SLOTS_FIXTURE_H
#define UFFDVRAM_SELFTESTS_SLOTS_FIXTURE_H

static inline void expect_no_slots(struct __test_metadata *_metadata)
{
	EXPECT_TRUE(uv_wait_slots(0)) {
		TH_LOG("%llu slots are still in use",
		       (unsigned long long)uv_slots_in_use());
	}
}

#endif /* UFFDVRAM_SELFTESTS_SLOTS_FIXTURE_H */
