/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The monitor of the machine that the tests run in, by which its hardware fails or goes:
 * for tests that say MONITOR (selftests/vm/run).
 */
#ifndef UFFDVRAM_SELFTESTS_MONITOR_H
#define UFFDVRAM_SELFTESTS_MONITOR_H

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "util_mm.h"

#define MONITOR		"/dev/ttyS3"
#define MONITOR_MS	60000

/* What the monitor says until @word, or until it is silent for @ms; which was it? */
static inline bool listen_to(int fd, const char *word, int ms)
{
	struct pollfd port = { .fd = fd, .events = POLLIN };
	char said[4096] = "";
	size_t n = 0;
	ssize_t got;

	while (!strstr(said, word)) {
		if (poll(&port, 1, ms) <= 0)
			return false;
		got = read(fd, said + n, sizeof(said) - 1 - n);
		if (got <= 0)
			give_up(MONITOR);
		n += got;
		said[n] = '\0';
		if (n + 1 == sizeof(said))
			n = 0;
	}
	return true;
}

static inline void monitor(const char *command, const char *word)
{
	int fd = open(MONITOR, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || write(fd, command, strlen(command)) != (ssize_t)strlen(command))
		give_up(MONITOR);
	if (!listen_to(fd, word, MONITOR_MS))
		give_up(command);
	close(fd);
}

/*
 * Until the terminal is raw, and it stays that, it has sent the monitor's greeting back
 * to it. 0xff makes the monitor forget what it was reading.
 */
static inline void monitor_begin(void)
{
	int fd = open(MONITOR, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios raw;

	if (fd < 0 || tcgetattr(fd, &raw))
		give_up(MONITOR);
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSANOW, &raw))
		give_up(MONITOR);
	listen_to(fd, "never", 300);
	if (write(fd, "\xff\n", 2) != 2)
		give_up(MONITOR);
	listen_to(fd, "never", 300);
	close(fd);
	/* The second time, this is an error that does no harm. */
	monitor("{\"execute\":\"qmp_capabilities\"}\n", "\n");
}

#endif /* UFFDVRAM_SELFTESTS_MONITOR_H */
