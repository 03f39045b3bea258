// SPDX-License-Identifier: GPL-2.0-only
/* qmp: see qmp.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qmp.h"

bool qmp_begin(struct qmp *q, int fd)
{
	*q = (struct qmp){ .fd = fd, .in = fdopen(fd, "r") };
	return q->in && qmp_call(q, "{\"execute\":\"qmp_capabilities\"}");
}

void qmp_end(struct qmp *q)
{
	if (q->in)
		fclose(q->in);
	free(q->line);
	*q = (struct qmp){ .fd = -1 };
}

static bool begins(const char *line, const char *with)
{
	return !strncmp(line, with, strlen(with));
}

const char *qmp_call(struct qmp *q, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	bool sent;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	sent = n > 0 && send(q->fd, text, n, MSG_NOSIGNAL) == n;
	/* Between the answers there are a greeting, and events. */
	while (sent && getline(&q->line, &q->size, q->in) > 0) {
		if (begins(q->line, "{\"return\"")) {
			free(text);
			return q->line;
		}
		if (begins(q->line, "{\"error\""))
			break;
	}
	fprintf(stderr, "# QMP: %s: %s\n", text, sent && q->line ? q->line : "not sent");
	free(text);
	return NULL;
}

long long qmp_number(const char *answer, const char *name)
{
	char text[64];
	const char *at;

	snprintf(text, sizeof(text), "\"%s\": ", name);
	at = answer ? strstr(answer, text) : NULL;
	return at ? atoll(at + strlen(text)) : -1;
}
