/* SPDX-License-Identifier: GPL-2.0-only */
/* The last case of tests of NVIDIA's pools, after their fixture: both modules go. */
#ifndef UFFDVRAM_SELFTESTS_NVIDIA_MODULES_H
#define UFFDVRAM_SELFTESTS_NVIDIA_MODULES_H

#include "util_nvidia.h"

/*
 * Comes last: a fixture's cases run after those of one declared before it. Nothing
 * is left that would keep one of the modules.
 */
FIXTURE(modules) {
};

FIXTURE_SETUP(modules)
{
}

FIXTURE_TEARDOWN(modules)
{
}

TEST_F(modules, unload)
{
	EXPECT_TRUE(wait_until(module_unloads, "uffdvram_nvidia", 60000));
	EXPECT_TRUE(wait_until(module_unloads, "nvidia_stub", 60000));
}

#endif /* UFFDVRAM_SELFTESTS_NVIDIA_MODULES_H */
