/* SPDX-License-Identifier: GPL-2.0-only */
/* How a program talks to the floor: see floor.c. */
#ifndef UFFDVRAM_BENCH_FLOOR_H
#define UFFDVRAM_BENCH_FLOOR_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define FLOOR_DEVICE	"/dev/uffdvram_floor"

/* A piece of the caller's memory, in one VMA. */
struct floor_piece {
	__u64 addr;
	__u64 len;
};

#define FLOOR_IN	_IOW('F', 1, struct floor_piece)
#define FLOOR_OUT	_IOW('F', 2, struct floor_piece)

#endif /* UFFDVRAM_BENCH_FLOOR_H */
