// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl batch: commands from standard input, with one context for all.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd.h"
#include "json.h"
#include "parse.h"

#define MAX_WORDS 64

static int batch_sleep(struct session *s, int argc, char **argv)
{
	struct timespec ts;
	uint64_t nsec;

	if (argc != 2 || parse_seconds(argv[1], &nsec))
		return session_usage(s, "sleep: usage: sleep SECONDS");
	ts.tv_sec = nsec / 1000000000;
	ts.tv_nsec = nsec % 1000000000;
	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
	return CTL_OK;
}

static int batch_wait(struct session *s, int argc, char **argv)
{
	struct pollfd p = { .events = POLLIN };
	int ret;

	if (argc != 1)
		return session_usage(s, "wait: unexpected \"%s\"", argv[1]);
	ret = session_pidfd(s, "wait");
	if (ret)
		return ret;
	p.fd = s->pidfd;
	do
		ret = poll(&p, 1, -1);
	while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return session_fail(s, "wait", -errno, "process %d", (int)s->pid);
	return CTL_OK;
}

static int batch_echo(struct session *s, int argc, char **argv)
{
	struct json j = { .out = stdout };
	int i;

	if (s->json) {
		json_open(&j, NULL, '[');
		for (i = 1; i < argc; i++)
			json_str(&j, NULL, argv[i]);
		json_close(&j, ']');
		return CTL_OK;
	}
	for (i = 1; i < argc; i++)
		printf("%s%s", i > 1 ? " " : "", argv[i]);
	putchar('\n');
	return CTL_OK;
}

static int batch_run(struct session *s, int argc, char **argv)
{
	static const struct cmd cmds[] = {
		{ "sleep", batch_sleep },
		{ "wait", batch_wait },
		{ "echo", batch_echo },
	};
	size_t i;

	for (i = 0; i < sizeof(cmds) / sizeof(*cmds); i++)
		if (!strcmp(argv[0], cmds[i].name))
			return cmds[i].run(s, argc, argv);
	return cmd_main(s, argc, argv);
}

static void batch_ack(const struct session *s, int ret)
{
	struct json j = { .out = stdout };

	if (s->json) {
		json_open(&j, NULL, '{');
		json_bool(&j, "ok", !ret);
		if (ret)
			json_str(&j, "error", s->said);
		json_close(&j, '}');
	} else if (ret) {
		printf("error: %s\n", s->said);
	} else {
		printf("ok\n");
	}
}

static int batch_line(struct session *s, char *line, bool ack)
{
	char *words[MAX_WORDS];
	int ret, n = parse_words(line, words, MAX_WORDS);

	if (!n)
		return CTL_OK;
	if (n < 0)
		ret = session_usage(s, "more than %d words", MAX_WORDS);
	else
		ret = batch_run(s, n, words);
	if (ack)
		batch_ack(s, ret);
	fflush(stdout);
	return ret;
}

int cmd_batch(struct session *s, int argc, char **argv)
{
	bool ack = argc == 2 && !strcmp(argv[1], "--ack");
	int ret, worst = CTL_OK;
	char *line = NULL;
	size_t size = 0;

	if (argc > 1 && !ack)
		return session_usage(s, "batch: usage: batch [--ack] < COMMANDS");
	if (s->batch)
		return session_usage(s, "batch: this is one");
	s->batch = true;
	/* A wrong process is to be told now, not after the first command was typed. */
	ret = s->pid ? session_ctx(s, "batch") : CTL_OK;
	while (!ret && getline(&line, &size, stdin) > 0) {
		s->line++;
		ret = batch_line(s, line, ack);
		if (ret > worst)
			worst = ret;
		if (ack)
			ret = CTL_OK;
	}
	free(line);
	return ret ?: worst;
}
