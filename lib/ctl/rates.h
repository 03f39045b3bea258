/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_RATES_H
#define UFFDVRAMCTL_RATES_H

#include "session.h"

#define STATS_PATH "/sys/kernel/debug/uffdvram/stats"

/* stats -i SECONDS [-n N] [WHAT]: returns CTL_*. */
int rates_main(struct session *s, int argc, char **argv);

#endif /* UFFDVRAMCTL_RATES_H */
