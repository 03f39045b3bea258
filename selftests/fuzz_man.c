// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which errors an ioctl may return: what the pages of section 4 say, in the list of its
 * subsection, or in the list of those that each can return.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

static bool man_allows[FZ_NR][FZ_ERRNOS];

static const char * const man_names[FZ_NR] = {
#define MAN_NAME(NAME, name, last)	[FZ_##NAME] = "UFFDVRAM_" #NAME,
	UFFDVRAM_IOCTLS(MAN_NAME)
};

static int man_errno(const char *name)
{
	for (int err = 1; err < FZ_ERRNOS; err++) {
		const char *known = strerrorname_np(err);

		if (known && !strcmp(known, name))
			return err;
	}
	return 0;
}

/* The ioctl whose subsection begins with this line; FZ_NR: of no ioctl. */
static int man_section(const char *line)
{
	char name[64] = "";
	int nr;

	sscanf(line, ".Ss %63s", name);
	for (nr = 0; nr < FZ_NR && strcmp(name, man_names[nr]); nr++)
		;
	return nr;
}

int fz_man_read(const char *path)
{
	FILE *man = fopen(path, "r");
	bool ours = false;
	char line[256], name[32];
	int from = 0, to = FZ_NR, found = 0, err;

	if (!man)
		return -errno;
	while (fgets(line, sizeof(line), man)) {
		if (!strncmp(line, ".Sh ", 4)) {
			ours = !strncmp(line, ".Sh IOCTLS", 10);
		} else if (ours && !strncmp(line, ".Ss ", 4)) {
			from = man_section(line);
			to = from < FZ_NR ? from + 1 : from;
		} else if (ours && sscanf(line, ".It Bq Er %31s", name) == 1) {
			err = man_errno(name);
			if (!err)
				break;
			for (int nr = from; nr < to; nr++)
				man_allows[nr][err] = true;
			found++;
		}
	}
	err = !feof(man) || found < FZ_NR / 2 ? -EPROTO : 0;
	fclose(man);
	return err;
}

bool fz_man_allows(int nr, int err)
{
	return err > 0 && err < FZ_ERRNOS && man_allows[nr][err];
}
