// SPDX-License-Identifier: GPL-2.0-only
/*
 * qemu_stream: see qemu_stream.h. The format is that of QEMU's migration/savevm.c and
 * migration/ram.c, without any of the capabilities that change it: all numbers are
 * big-endian, and a page is its address with flags, mostly followed by its bytes.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "qemu_stream.h"

#define PAGE		4096UL

#define MAGIC		0x5145564dU	/* "QEVM" */
#define VERSION		3
/* What a section begins with. */
#define SECTION_START	0x01
#define SECTION_PART	0x02
#define SECTION_END	0x03
#define CONFIGURATION	0x07
#define COMMAND		0x08
#define FOOTER		0x7e
/* Flags of a page; ZERO, MEM_SIZE, PAGE and EOS are what there is to it. */
#define RAM_ZERO	0x02
#define RAM_MEM_SIZE	0x04
#define RAM_PAGE	0x08
#define RAM_EOS		0x10
#define RAM_CONTINUE	0x20	/* of the block that the last one was of */

/*
 * struct stream - one that is read
 * @ram: number of the section that has the RAM
 * @here: the last page was of the block that is asked for
 */
struct stream {
	FILE *f;
	const char *block;
	unsigned int *times;
	size_t pages;
	uint32_t ram;
	bool here;
};

/* A number of so many bytes. At the end of the file it is nothing that belongs there. */
static uint64_t number(struct stream *s, int bytes)
{
	uint64_t n = 0;

	while (bytes--)
		n = n << 8 | (getc(s->f) & 0xff);
	return feof(s->f) ? ~0ULL : n;
}

/* A string, the length of which is a byte before it. */
static bool is_name(struct stream *s, const char *name)
{
	char text[256] = "";

	if (fread(text, 1, number(s, 1) & 0xff, s->f) == 0)
		return false;
	return !strcmp(text, name);
}

/* The blocks, and how long each is. */
static int take_blocks(struct stream *s, uint64_t total)
{
	uint64_t len;
	bool here;

	for (; total; total -= len) {
		here = is_name(s, s->block);
		len = number(s, 8);
		if (!len || len > total || (here && len != s->pages * PAGE))
			return -EPROTO;
	}
	return 0;
}

static int take_page(struct stream *s, uint64_t page, uint64_t flags)
{
	if (!(flags & RAM_CONTINUE))
		s->here = is_name(s, s->block);
	flags &= ~RAM_CONTINUE;
	if (flags == RAM_ZERO)
		number(s, 1);
	else if (flags != RAM_PAGE || fseek(s->f, PAGE, SEEK_CUR))
		return -EPROTO;
	if (s->here && page >= s->pages)
		return -EPROTO;
	if (s->here)
		s->times[page]++;
	return 0;
}

/* One section of the RAM's. */
static int take_ram(struct stream *s)
{
	uint64_t word, flags;
	int ret = 0;

	while (!ret) {
		word = number(s, 8);
		flags = word & (PAGE - 1);
		if (feof(s->f))
			return -EPROTO;
		if (flags == RAM_EOS)
			break;
		if (flags == RAM_MEM_SIZE)
			ret = take_blocks(s, word & -PAGE);
		else
			ret = take_page(s, word / PAGE, flags);
	}
	if (!ret && (number(s, 1) != FOOTER || number(s, 4) != s->ram))
		ret = -EPROTO;
	return ret;
}

/* What the next section is; QEMU tells the other side when it is to take over. */
static uint64_t next_kind(struct stream *s)
{
	uint64_t kind;

	while ((kind = number(s, 1)) == COMMAND) {
		number(s, 2);
		fseek(s->f, number(s, 2) & 0xffff, SEEK_CUR);
	}
	return kind;
}

/* Up to the end of the RAM, before which there is nothing else. */
static int take_sections(struct stream *s)
{
	uint64_t kind, version;
	int ret;

	if (number(s, 4) != MAGIC || number(s, 4) != VERSION || number(s, 1) != CONFIGURATION)
		return -EPROTO;
	fseek(s->f, number(s, 4) & 0xff, SEEK_CUR);	/* the machine's name */
	if (number(s, 1) != SECTION_START)
		return -EPROTO;
	s->ram = number(s, 4);
	if (!is_name(s, "ram"))
		return -EPROTO;
	version = number(s, 8);		/* after the instance's number */
	if ((version & 0xffffffff) != 4)
		return -EPROTO;
	do {
		ret = take_ram(s);
		if (ret)
			return ret;
		kind = next_kind(s);
		if ((kind != SECTION_PART && kind != SECTION_END) || number(s, 4) != s->ram)
			return -EPROTO;
	} while (kind == SECTION_PART);
	return take_ram(s);
}

int qemu_stream_pages(const char *path, const char *block, unsigned int *times, size_t pages)
{
	struct stream s = {
		.f = fopen(path, "re"), .block = block, .times = times, .pages = pages,
	};
	int ret;

	if (!s.f)
		return -errno;
	ret = take_sections(&s);
	if (ret)
		fprintf(stderr, "# %s: not understood at byte %ld\n", path, ftell(s.f));
	fclose(s.f);
	return ret;
}
