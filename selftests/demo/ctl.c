// SPDX-License-Identifier: GPL-2.0-only
/*
 * ctl: "uffdvramctl -j -p PID batch --ack" as a child process. It answers each
 * command with lines of JSON, of which the last is {"ok":true} or tells why not.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "demo.h"

void ctl_start(struct ctl *ctl, const char *program, pid_t pid)
{
	int to[2], from[2];
	char number[16];

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		demo_fail(DEMO_FAILED, "pipe: %m");
	snprintf(number, sizeof(number), "%d", pid);
	ctl->pid = fork();
	if (ctl->pid < 0)
		demo_fail(DEMO_FAILED, "fork: %m");
	if (!ctl->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(to[0], 0);
		dup2(from[1], 1);
		execlp(program, program, "-j", "-p", number, "batch", "--ack", NULL);
		fprintf(stderr, "%s: %m\n", program);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	ctl->to = fdopen(to[1], "w");
	ctl->from = fdopen(from[0], "r");
	if (!ctl->to || !ctl->from)
		demo_fail(DEMO_FAILED, "fdopen: %m");
}

/* Returns the first line of the answer, for the caller to free. */
static char *ctl_command(struct ctl *ctl, const char *command)
{
	char *answer = NULL, *line = NULL;
	size_t size = 0;

	fprintf(ctl->to, "%s\n", command);
	fflush(ctl->to);
	while (getline(&line, &size, ctl->from) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "{\"ok\"", 5)) {
			if (strcmp(line, "{\"ok\":true}") || !answer)
				demo_fail(DEMO_FAILED, "uffdvramctl: %s: %s", command, line);
			free(line);
			return answer;
		}
		if (!answer)
			answer = strdup(line);
	}
	demo_fail(DEMO_FAILED, "uffdvramctl ended at: %s", command);
}

static const char *json_find(const char *json, const char *key)
{
	char quoted[32];
	const char *p;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	p = strstr(json, quoted);
	if (!p)
		demo_fail(DEMO_FAILED, "uffdvramctl's answer lacks %s: %s", key, json);
	return p + strlen(quoted);
}

static uint64_t json_number(const char *json, const char *key)
{
	const char *p = json_find(json, key);

	/* Addresses are strings. */
	return strtoull(*p == '"' ? p + 1 : p, NULL, 0);
}

void ctl_add(struct ctl *ctl, const char *what, const struct vm *vm,
	     const struct pool *pool)
{
	char command[128], *answer;

	snprintf(command, sizeof(command), "range add %s pool %u", what, pool->number);
	answer = ctl_command(ctl, command);
	if (json_number(answer, "addr") != vm->ram ||
	    json_number(answer, "len") != vm->ram_bytes || strstr(answer, "},{"))
		demo_fail(DEMO_FAILED, "%s found something else than the guest's RAM: %s",
			  what, answer);
	free(answer);
}

/* @json: {"pinned":{"pages":2,"first":"0x7f..."},...} */
static void words_of_stayed(const char *json, struct move *move)
{
	static const char format[] = "\"%31[^\"]\":{\"pages\":%" SCNu64
				     ",\"first\":\"%*[^\"]\"}%n";
	char *p = move->stayed, *end = p + sizeof(move->stayed), cause[32];
	uint64_t pages;
	int used = 0;

	*p = '\0';
	json++;
	while (p < end && sscanf(json, format, cause, &pages, &used) == 2 && used) {
		p += snprintf(p, end - p, "; %s stayed (%s)", commas(pages), cause);
		json += used + (json[used] == ',');
		used = 0;
	}
}

void ctl_move(struct ctl *ctl, const char *where, struct move *move)
{
	char command[32], *answer;

	snprintf(command, sizeof(command), "move %s all", where);
	answer = ctl_command(ctl, command);
	move->moved = json_number(answer, "moved");
	words_of_stayed(json_find(answer, "stayed"), move);
	free(answer);
}

void ctl_map(struct ctl *ctl, struct residency *res)
{
	char command[64], *answer;

	snprintf(command, sizeof(command), "map -w %d --ascii all", BAR_COLS);
	answer = ctl_command(ctl, command);
	res->vram = json_number(answer, "vram");
	res->ram = json_number(answer, "ram");
	res->other = json_number(answer, "other");
	res->poison = json_number(answer, "poison");
	snprintf(res->bar, sizeof(res->bar), "%.*s",
		 (int)strcspn(json_find(answer, "bar") + 1, "\""),
		 json_find(answer, "bar") + 1);
	free(answer);
}

void ctl_stop(struct ctl *ctl)
{
	int status;

	fclose(ctl->to);
	if (waitpid(ctl->pid, &status, 0) < 0 || status)
		demo_fail(DEMO_FAILED, "uffdvramctl ended with status 0x%x", status);
	fclose(ctl->from);
}
