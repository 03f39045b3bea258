// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages as the module and /proc/PID/pagemap together see them; nothing is changed by it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../pagemap_scan.h"
#include "looks.h"

/* Pages that are looked at together. */
#define LOOKS_PAGES	65536

/* Bits of a word of the pagemap. */
#define ENTRY_SOFT_DIRTY (1ULL << 55)
#define ENTRY_PROTECTED	(1ULL << 57)
#define ENTRY_SWAPPED	(1ULL << 62)

struct looks {
	uint64_t start, end, page;	/* this piece */
	uint8_t look[LOOKS_PAGES];
	uint64_t entry[LOOKS_PAGES];
	look_fn *fn;
	void *data;
};

FILE *looks_open(const struct session *s)
{
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)s->pid);
	f = fopen(path, "re");
	if (f && !session_lives(s)) {
		fclose(f);
		return NULL;
	}
	/* What was read a while ago is no news. */
	if (f)
		setvbuf(f, NULL, _IONBF, 0);
	return f;
}

/* Adds @bits to the looks of the part of [start, end) that is in this piece. */
static void looks_add(struct looks *l, uint64_t start, uint64_t end, unsigned int bits)
{
	uint64_t i;

	if (start < l->start)
		start = l->start;
	if (end > l->end)
		end = l->end;
	for (i = start; i < end; i += l->page)
		l->look[(i - l->start) / l->page] |= bits;
}

static unsigned int looks_bits(const struct uffdvram_region *r)
{
	return (r->state & LOOK_STATE) |
	       (r->flags & UFFDVRAM_REGION_HUGE ? LOOK_HUGE : 0) |
	       (r->flags & UFFDVRAM_REGION_LEASED ? LOOK_LEASED : 0);
}

static int looks_region(const struct uffdvram_region *r, void *data)
{
	looks_add(data, r->start, r->end, looks_bits(r));
	return 0;
}

/* Without a pagemap, what the module says is all. */
static int looks_pass(const struct uffdvram_region *r, void *data)
{
	struct looks *l = data;

	return l->fn(r->start, r->end, looks_bits(r), l->data);
}

/*
 * The first page from @at on that is not missing, or how far there is none. A piece that
 * passes the end of the address space is refused, a smaller one is not; @at: nobody knows.
 */
static uint64_t looks_skip(FILE *pagemap, uint64_t at, uint64_t end, uint64_t least)
{
	struct page_region found;
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = at,
		.vec = (uintptr_t)&found,
		.vec_len = 1,
		.max_pages = 1,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
	};
	uint64_t len;
	int ret;

	for (len = end - at; len > least; len = len / 2 / least * least) {
		arg.end = at + len;
		do
			ret = ioctl(fileno(pagemap), PAGEMAP_SCAN, &arg);
		while (ret < 0 && errno == EINTR);
		if (!ret)
			return arg.end;
		if (ret > 0)
			return found.start > at && found.start < arg.end ? found.start : at;
	}
	return at;
}

/* How many there are to read; beyond the end of the address space: none. Or -errno. */
static ssize_t looks_entries(struct looks *l, FILE *pagemap)
{
	size_t n = (l->end - l->start) / l->page, got, i;

	if (fseeko(pagemap, l->start / l->page * sizeof(*l->entry), SEEK_SET))
		return -errno;
	got = fread(l->entry, sizeof(*l->entry), n, pagemap);
	if (ferror(pagemap))
		return -EIO;
	for (i = 0; i < got; i++) {
		if (l->entry[i] & ENTRY_SWAPPED)
			l->look[i] |= LOOK_SWAPPED;
		if (l->entry[i] & ENTRY_PROTECTED)
			l->look[i] |= LOOK_PROTECTED;
		if (l->entry[i] & ENTRY_SOFT_DIRTY)
			l->look[i] |= LOOK_SOFT_DIRTY;
	}
	return got;
}

/* What is swapped out is what the module does not know: VRAM looks like it, too. */
static unsigned int looks_at(const struct looks *l, size_t i)
{
	unsigned int look = l->look[i];

	return (look & LOOK_STATE) == UFFDVRAM_STATE_OTHER ? look : look & ~LOOK_SWAPPED;
}

static int looks_runs(const struct looks *l)
{
	size_t n = (l->end - l->start) / l->page, i, first;
	int ret = 0;

	for (first = 0; !ret && first < n; first = i) {
		for (i = first + 1; i < n && looks_at(l, i) == looks_at(l, first); i++)
			;
		ret = l->fn(l->start + first * l->page, l->start + i * l->page,
			    looks_at(l, first), l->data);
	}
	return ret;
}

/* Looks at the next piece, from l->end on. */
static int looks_piece(struct looks *l, struct session *s, FILE *pagemap, uint64_t end)
{
	const struct uffdvram_visit visit = { looks_region, l };
	uint64_t most = LOOKS_PAGES * l->page;
	ssize_t got;
	int ret;

	l->start = l->end;
	l->end = looks_skip(pagemap, l->start, end, most);
	if (l->end > l->start)
		return l->fn(l->start, l->end, UFFDVRAM_STATE_OTHER, l->data);
	l->end = end - l->start < most ? end : l->start + most;
	memset(l->look, 0, (l->end - l->start) / l->page);
	ret = uffdvram_query(s->ctx, l->start, l->end - l->start, NULL, &visit);
	if (ret)
		return ret;
	got = looks_entries(l, pagemap);
	if (got < 0)
		return got;
	ret = looks_runs(l);
	if (ret || got || l->end == end)
		return ret;
	l->start = l->end;
	l->end = end;
	return l->fn(l->start, l->end, UFFDVRAM_STATE_OTHER, l->data);
}

int looks_visit(struct session *s, FILE *pagemap, uint64_t addr, uint64_t len, look_fn *fn,
		void *data)
{
	struct looks *l = malloc(sizeof(*l));
	const struct uffdvram_visit pass = { looks_pass, l };
	int ret = 0;

	if (!l)
		return -ENOMEM;
	l->page = sysconf(_SC_PAGESIZE);
	l->fn = fn;
	l->data = data;
	l->end = addr;
	if (!pagemap)
		ret = uffdvram_query(s->ctx, addr, len, NULL, &pass);
	while (pagemap && !ret && l->end < addr + len)
		ret = looks_piece(l, s, pagemap, addr + len);
	free(l);
	return ret;
}
