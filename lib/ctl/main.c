// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl: pools, ranges and residency from the command line.
 */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>

#include "cmd.h"
#include "parse.h"

static const char usage_text[] =
"usage: uffdvramctl [-jv] [-d DEVICE] [-p PID] COMMAND\n"
"  info                                   what the module can do\n"
"  pool attach sim SIZE [--shared] [--unchecked]\n"
"                                         VRAM simulated by system RAM\n"
"  pool attach pci DEVICE BAR [OFFSET+]SIZE [--shared] [--force] [--unchecked]\n"
"                                         a piece of a BAR of a PCI function\n"
"  pool detach N [--discard]              bring its pages home; or lose them\n"
"  pool list                              (needs root and debugfs)\n"
"  map [-w COLS] [--ascii] [-o FILE.svg] [WHAT]\n"
"                                         where the pages of process PID live, and\n"
"                                         what of them was written; as a picture, too\n"
"  move in|out [-t THREADS] WHAT          pages in ranges to VRAM, or to RAM\n"
"  poison set [--replace]|undo|list WHAT  mark pages as lost, also those that are\n"
"                                         there; take marks back; show them\n"
"  show pools|contexts|ranges [CONTEXT]|poison [CONTEXT]\n"
"                                         what there is, of all processes (needs\n"
"                                         CAP_NET_ADMIN, not debugfs)\n"
"  events --all [-n N] [-t SECONDS]       what befalls the ranges of all processes\n"
"  stats                                  the module's counters, and how long faults\n"
"                                         and moves took (as pool list)\n"
"  stats -i SECONDS [-n N] [WHAT]         pages of process PID that are written, come\n"
"                                         home or move, and its faults, per second\n"
"  doctor                                 what this machine, and with -p PID that\n"
"                                         process, lacks, and what to do about it\n"
"  batch [--ack]                          commands from standard input, also:\n"
"    range add WHAT|ADDR LEN [pool N] [--fault-events]\n"
"                                         register memory of process PID\n"
"    range del N|all, range list          ranges end with the batch\n"
"    events [-n N] [-t SECONDS]           what befalls the ranges, as it happens\n"
"    sleep SECONDS, wait, echo WORD...    wait: until process PID ends\n"
"WHAT   N (a range), all (ranges), ADDR+LEN, anon:SIZE (all private anonymous\n"
"       memory in pieces of SIZE or more), largest (such piece)\n"
"--ack  end the answer to each command with a line \"ok\" or \"error: WHY\", and\n"
"       go on after errors\n"
"-j     JSON   -v  say what the module refused   -V  version   -h  this help\n"
"Exit status: 0 done, 1 failed, 2 wrong usage. See uffdvramctl(8).\n";

/* Output that was not written must not look like success. */
static int finish(int ret)
{
	if (fflush(stdout) || ferror(stdout)) {
		perror("uffdvramctl: standard output");
		return ret ?: CTL_FAILED;
	}
	return ret;
}

static int parse_options(struct session *s, int argc, char **argv, bool *done)
{
	uint32_t pid;
	int opt;

	while ((opt = getopt(argc, argv, "+d:hjp:vV")) != -1) {
		switch (opt) {
		case 'd':
			s->device = optarg;
			break;
		case 'j':
			s->json = true;
			break;
		case 'p':
			if (parse_u32(optarg, &pid) || !pid || pid > INT_MAX)
				return session_usage(s, "-p: \"%s\" is no process id", optarg);
			s->pid = pid;
			break;
		case 'v':
			s->verbose = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			*done = true;
			return CTL_OK;
		case 'V':
			printf("uffdvramctl %s\n", UFFDVRAM_LIB_VERSION);
			*done = true;
			return CTL_OK;
		default:
			return CTL_USAGE;
		}
	}
	return CTL_OK;
}

int main(int argc, char **argv)
{
	struct session s = { .device = UFFDVRAM_DEVICE, .pidfd = -1 };
	bool done = false;
	int ret;

	ret = parse_options(&s, argc, argv, &done);
	if (ret || done)
		return finish(ret);
	if (optind == argc) {
		fputs(usage_text, stderr);
		return CTL_USAGE;
	}
	ret = cmd_main(&s, argc - optind, argv + optind);
	session_end(&s);
	return finish(ret);
}
