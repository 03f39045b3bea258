/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * qemu_stream: what of a guest's memory is in a stream of QEMU's migration.
 */
#ifndef UFFDVRAM_SELFTESTS_QEMU_STREAM_H
#define UFFDVRAM_SELFTESTS_QEMU_STREAM_H

#include <stddef.h>

/**
 * qemu_stream_pages - count how often each page of a block of RAM was sent
 * @path: a file with the stream of an ordinary precopy
 * @block: the name that QEMU has for the block
 * @times: for each of its pages, added to
 * @pages: how many it has
 *
 * Returns 0 or -errno; -EPROTO: it is not such a stream, or not a whole one.
 */
int qemu_stream_pages(const char *path, const char *block, unsigned int *times, size_t pages);

#endif
