/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * liblend-uffd.so, by LD_PRELOAD: an unmodified program has a userfaultfd of its own
 * address space under this number, for a memory manager to take with pidfd_getfd(2).
 */
#ifndef UFFDVRAM_SELFTESTS_LEND_UFFD_H
#define UFFDVRAM_SELFTESTS_LEND_UFFD_H

#define LENT_UFFD	500

#endif
