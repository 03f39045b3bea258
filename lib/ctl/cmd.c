// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From a word to the command of that name.
 */
#include <string.h>

#include "cmd.h"

int cmd_run(const struct cmd *cmds, size_t n, const char *of, struct session *s,
	    int argc, char **argv)
{
	char names[160] = "";
	size_t i;

	for (i = 0; i < n; i++) {
		if (argc && !strcmp(argv[0], cmds[i].name))
			return cmds[i].run(s, argc, argv);
		strcat(strcat(names, i ? ", " : ""), cmds[i].name);
	}
	if (!argc)
		return session_usage(s, "%s: say what: %s", of, names);
	return session_usage(s, "%s: \"%s\" is none of: %s", of, argv[0], names);
}

int cmd_main(struct session *s, int argc, char **argv)
{
	static const struct cmd cmds[] = {
		{ "info", cmd_info },
		{ "pool", cmd_pool },
		{ "range", cmd_range },
		{ "move", cmd_move },
		{ "map", cmd_map },
		{ "poison", cmd_poison },
		{ "events", cmd_events },
		{ "show", cmd_show },
		{ "stats", cmd_stats },
		{ "doctor", cmd_doctor },
		{ "batch", cmd_batch },
	};

	return cmd_run(cmds, sizeof(cmds) / sizeof(*cmds), "command", s, argc, argv);
}
