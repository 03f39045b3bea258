/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIBUFFDVRAM_LOG_H
#define LIBUFFDVRAM_LOG_H

#include <uffdvram/uffdvram.h>

/* Says one line to the receiver in @opts, if there is one. Preserves errno. */
void uffdvram_log(const struct uffdvram_open_opts *opts, int priority,
		  const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif /* LIBUFFDVRAM_LOG_H */
