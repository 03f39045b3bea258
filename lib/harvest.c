// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Harvest: the module's books, joined with what the page tables know of pages that were
 * not in VRAM all the time.
 *
 * The order is: take what the module reports; look at the entries; protect exactly what
 * was found written; then tell the module that it has been dealt with. A CPU's write
 * before the look is found by it; one after it leaves an entry that is not protected, in
 * a page that is not in VRAM, or was not, and so is looked at the next time.
 *
 * Pages that the device wrote, and that stayed in VRAM, are left unprotected where nobody
 * waits for writes: once one of them has left, it is looked at, and is told once more.
 *
 * Where PAGEMAP_SCAN itself protects, which not every kernel takes with pages that come to
 * VRAM meanwhile, all that it found is told, whether the module knew of it or not:
 * otherwise nobody would find it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pagemap_scan.h"
#include "range.h"
#include "uffd.h"

/* Elements of the module's bitmap, of 64 pages each, that are asked for at once. */
#define HARVEST_WORDS	4096
/* Pages that are scanned at once, and what there is to find at most: every other one. */
#define SCAN_PAGES	32768
#define SCAN_REGIONS(n)	((n) / 2 + 2)
#define SCAN_FEW	16	/* for a few pages, without more memory */
#define BLOCK		8UL	/* words, as the module tells of them */

/*
 * struct harvest - one in progress; kept with the range until the next one, since to get
 * this memory costs more than to find that nothing was written
 * @range: the range
 * @start: first byte
 * @end: first byte after the piece
 * @base: where the range begins, or before it, as the module's words do
 * @pagemap: descriptor
 * @async: nobody waits for writes
 * @scan_wp: PAGEMAP_SCAN itself may protect, if nobody does
 * @written: a bit for each page from @base on; all 0 between two harvests
 * @protect: likewise: those that are to be protected still
 * @touched: a bit for each BLOCK words of @written which may have some; likewise
 * @any_protect: not 0: it has some
 * @sum: for the caller
 * @words: of the module; all 0 between two calls
 * @shift: of a page's number
 * @found: of PAGEMAP_SCAN; likewise; NULL until many are looked for
 * @few: in its place until then
 */
struct harvest {
	struct uffdvram_range *range;
	uint64_t start;
	uint64_t end;
	uint64_t base;
	int pagemap;
	bool async;
	bool scan_wp;
	unsigned int shift;
	uint64_t *written;
	uint64_t *protect;
	uint64_t *touched;
	uint64_t any_protect;
	struct uffdvram_harvested sum;
	struct uffdvram_harvest_word words[HARVEST_WORDS];
	struct page_region *found;
	struct page_region few[SCAN_FEW];
};

static uint64_t harvest_page(const struct harvest *h, uint64_t addr)
{
	return (addr - h->base) >> h->shift;
}

static uint64_t harvest_addr(const struct harvest *h, uint64_t page)
{
	return h->base + (page << h->shift);
}

/* How many bits are set; most words have none, one, or all. */
static unsigned int harvest_count(uint64_t word)
{
	if (!(word & (word - 1)))
		return word != 0;
	return word == ~0ULL ? 64 : __builtin_popcountll(word);
}

/*
 * struct span - pages that are looked at by one scan
 * @first: the first of them
 * @end: the one after the last
 * @word: the module's word of the first one
 * @left: that says which pages have left
 * @protect: PAGEMAP_SCAN protects what it finds; else only what has left is told
 */
struct span {
	uint64_t first;
	uint64_t end;
	uint64_t word;
	const struct uffdvram_harvest_word *left;
	bool protect;
};

/* Some pages of a word were found. */
static inline void harvest_mark_word(struct harvest *h, const struct span *s, uint64_t word,
				     uint64_t mask)
{
	if (!s->protect) {
		mask &= s->left[word - s->word].left;
		h->protect[word] |= mask;
		h->any_protect |= mask;
	}
	h->written[word] |= mask;
}

/* Pages [@i, @end) of a span were found. */
static void harvest_mark(struct harvest *h, const struct span *s, uint64_t i, uint64_t end)
{
	uint64_t word = i / 64, last = (end - 1) / 64, mask = ~0ULL << i % 64;

	for (; word < last; word++) {
		harvest_mark_word(h, s, word, mask);
		mask = ~0ULL;
	}
	harvest_mark_word(h, s, word, mask & ~0ULL >> (64 - (end - last * 64)));
}

/*
 * One call of PAGEMAP_SCAN, from arg->start on: there is room for all that it may find. What
 * it has protected it has told, even if it failed after that.
 */
static int harvest_scan_once(struct harvest *h, struct span *s, struct pm_scan_arg *arg)
{
	int ret = ioctl(h->pagemap, PAGEMAP_SCAN, arg) < 0 ? -errno : 0;
	struct page_region *r = (void *)(uintptr_t)arg->vec, *end = r + arg->vec_len;
	uint64_t page, n;

	for (; r < end && r->end; r++) {
		page = harvest_page(h, r->start);
		n = (r->end - r->start) >> h->shift;
		if (n == 1 && s->protect)	/* the most, mostly */
			h->written[page / 64] |= 1ULL << page % 64;
		else
			harvest_mark(h, s, page, page + n);
		r->end = 0;
	}
	/* Memory that nobody can protect so: mapped anew, or by an older userfaultfd. */
	if (ret == -EPERM && s->protect) {
		s->protect = false;
		arg->flags = 0;
		return -EINTR;	/* once more */
	}
	return ret;
}

static int harvest_scan(struct harvest *h, struct span *s)
{
	uint64_t pages = s->end - s->first, at = s->first, most, n;
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = s->protect ? PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC : 0,
		.vec = (uintptr_t)h->few,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	int ret = 0;

	if (SCAN_REGIONS(pages) > SCAN_FEW && !h->found)
		h->found = calloc(SCAN_REGIONS(SCAN_PAGES), sizeof(h->found[0]));
	most = 2UL * (SCAN_FEW - 2);
	if (SCAN_REGIONS(pages) > SCAN_FEW && h->found) {
		arg.vec = (uintptr_t)h->found;
		most = SCAN_PAGES;
	}
	h->sum.scanned += pages;
	while (!ret && at < s->end) {
		n = s->end - at < most ? s->end - at : most;
		arg.start = harvest_addr(h, at);
		arg.end = harvest_addr(h, at + n);
		arg.vec_len = SCAN_REGIONS(n);
		ret = harvest_scan_once(h, s, &arg);
		if (!ret)
			at += n;
		else if (ret == -EINTR)
			ret = 0;
	}
	return ret;
}

/*
 * Where PAGEMAP_SCAN may protect what it finds, of a word: not in VRAM, where it does that
 * wrong to pages that came since. What never left is protected, or was written by the
 * device; that it does right.
 */
static bool harvest_may_protect(const struct harvest *h, const struct uffdvram_harvest_word *w)
{
	return h->async && h->scan_wp && !w->in_vram;
}

/*
 * The span that begins in words[@i] of @n: up to where two words in a row have nothing to
 * look for, since a call costs as much as some two hundred more pages in one. Returns the
 * first word after it.
 */
static size_t harvest_span(const struct harvest *h, size_t i, size_t n, uint64_t word,
			   struct span *s)
{
	bool protect = harvest_may_protect(h, &h->words[i]);
	size_t last = i, k;

	for (k = i + 1; k < n && k - last <= 2; k++) {
		if (!h->words[k].left)
			continue;
		if (harvest_may_protect(h, &h->words[k]) != protect)
			break;
		last = k;
	}
	s->word = word + i;
	s->first = s->word * 64 + __builtin_ctzll(h->words[i].left);
	s->end = (word + last + 1) * 64 - __builtin_clzll(h->words[last].left);
	s->left = &h->words[i];
	s->protect = protect;
	return last + 1;
}

static inline void harvest_touch(struct harvest *h, uint64_t word)
{
	h->touched[word / BLOCK / 64] |= 1ULL << word / BLOCK % 64;
}

/* What the device wrote of a word. */
static inline void harvest_device(struct harvest *h, struct uffdvram_harvest_word *w,
				  uint64_t word)
{
	h->sum.device += harvest_count(w->written);
	h->written[word] |= w->written;
	/* Where nobody waits for writes, what stays in VRAM needs no protection. */
	if (!h->async) {
		h->protect[word] |= w->written;
		h->any_protect |= w->written;
	}
	w->written = 0;
}

/* Words [@i, @end), of which some have pages that have left. */
static int harvest_look(struct harvest *h, size_t i, size_t end, uint64_t word, struct span *s)
{
	struct uffdvram_harvest_word *w;
	size_t k;
	int ret;

	for (k = i; k < end; k++) {
		w = &h->words[k];
		harvest_touch(h, word + k);
		if (w->left)
			h->sum.left += harvest_count(w->left);
		if (w->written)
			harvest_device(h, w, word + k);
	}
	ret = harvest_scan(h, s);
	memset(h->words + i, 0, (end - i) * sizeof(h->words[0]));
	return ret;
}

/*
 * What the module reports of @n words, the first of which is @word, and what the page
 * tables know of pages that have left.
 */
static int harvest_join(struct harvest *h, size_t n, uint64_t word)
{
	struct uffdvram_harvest_word *w;
	struct span s;
	size_t i, end;
	int ret = 0;

	for (i = 0; i < n && !ret; i = end) {
		w = &h->words[i];
		end = i + 1;
		if (w->left) {
			end = harvest_span(h, i, n, word, &s);
			ret = harvest_look(h, i, end, word, &s);
		} else if (w->written) {
			harvest_touch(h, word + i);
			harvest_device(h, w, word + i);
		}
	}
	/* What is left out after an error was not committed: it is told again. */
	memset(h->words + i, 0, (n - i) * sizeof(h->words[0]));
	return ret;
}

static int harvest_read(struct harvest *h, uint64_t *cookie)
{
	uint64_t at = h->start;
	struct uffdvram_harvest arg;
	int ret, looked = 0;

	do {
		arg = (struct uffdvram_harvest){
			.size = sizeof(arg),
			.flags = UFFDVRAM_HARVEST_BITMAP,
			.range = h->range->number,
			.addr = at,
			.len = h->end - at,
			.vec = (uintptr_t)h->words,
			.vec_len = HARVEST_WORDS,
			.cookie = *cookie,
		};
		ret = uffdvram_ctx_ioctl(h->range->handle.ctx, UFFDVRAM_HARVEST, &arg);
		if (arg.done)
			*cookie = arg.cookie;
		looked = harvest_join(h, arg.used, harvest_page(h, at) / 64);
		at += arg.done;
	} while (!looked && at < h->end && uffdvram_again(&ret, arg.done, false));
	return looked ?: ret;
}

/* Protects pages; where some are not mapped any more, the others. */
static int harvest_protect(struct harvest *h, uint64_t first, uint64_t n)
{
	uint64_t off = harvest_addr(h, first) - h->range->handle.addr;
	int ret = uffdvram_range_rearm(h->range, off, n * h->range->handle.ctx->page);

	if (ret != -ENOENT)
		return ret;
	if (n == 1)
		return 0;
	return harvest_protect(h, first, n / 2) ?:
	       harvest_protect(h, first + n / 2, n - n / 2);
}

/* The first page from @i on, before @n, whose bit is @set; or @n. */
static uint64_t harvest_next(const uint64_t *bits, uint64_t i, uint64_t n, bool set)
{
	uint64_t word;

	while (i < n) {
		word = (set ? bits[i / 64] : ~bits[i / 64]) >> i % 64;
		if (word) {
			i += __builtin_ctzll(word);
			break;
		}
		i = (i / 64 + 1) * 64;
	}
	return i < n ? i : n;
}

/* Adds words of what was written, a block of them, to a bitmap from page @from to @end. */
static void harvest_tell_block(struct harvest *h, uint64_t block, uint64_t *bitmap,
			       uint64_t from, uint64_t end)
{
	uint64_t shift = from % 64, words = (end - from + 63) / 64, i, to, word;

	for (i = block * BLOCK; i < (block + 1) * BLOCK; i++) {
		word = h->written[i];
		if (!word)
			continue;
		h->written[i] = 0;
		h->sum.written += harvest_count(word);
		to = i - from / 64;
		if (to < words)
			bitmap[to] |= word >> shift;
		if (shift && to)
			bitmap[to - 1] |= word << (64 - shift);
	}
}

/* Adds what was written to the caller's bitmap, whose first bit is that of the piece. */
static void harvest_tell(struct harvest *h, uint64_t *bitmap)
{
	uint64_t from = harvest_page(h, h->start), end = harvest_page(h, h->end), blocks, i;

	for (i = from / 64 / BLOCK / 64; i <= (end - 1) / 64 / BLOCK / 64; i++) {
		for (blocks = h->touched[i]; blocks; blocks &= blocks - 1)
			harvest_tell_block(h, i * 64 + __builtin_ctzll(blocks), bitmap, from,
					   end);
		h->touched[i] = 0;
	}
}

/* Hands over what was written, and protects what is not protected yet. */
static int harvest_give(struct harvest *h, uint64_t *bitmap)
{
	uint64_t first = harvest_page(h, h->start) / 64 * 64, n = harvest_page(h, h->end);
	uint64_t i, end;
	int ret = 0;

	harvest_tell(h, bitmap);
	if (!h->any_protect)
		return 0;
	for (i = first; !ret; i = end) {
		i = harvest_next(h->protect, i, n, true);
		if (i == n)
			break;
		end = harvest_next(h->protect, i, n, false);
		ret = harvest_protect(h, i, end - i);
	}
	memset(h->protect + first / 64, 0, (n - first + 63) / 64 * sizeof(uint64_t));
	return ret;
}

static int harvest_commit(struct harvest *h, uint64_t cookie)
{
	struct uffdvram_harvest arg = {
		.size = sizeof(arg),
		.flags = UFFDVRAM_HARVEST_COMMIT,
		.range = h->range->number,
		.cookie = cookie,
	};

	return uffdvram_ctx_ioctl(h->range->handle.ctx, UFFDVRAM_HARVEST, &arg);
}

/* With @h's pagemap, and nothing else of it but the sum to be kept. */
static int harvest_run(struct harvest *h, uint64_t *bitmap)
{
	uint64_t cookie = 0;
	int ret, given;

	ret = harvest_read(h, &cookie);
	/* What was found is the caller's in any case. */
	given = harvest_give(h, bitmap);
	return ret ?: given ?: harvest_commit(h, cookie);
}

/* Whether the kernel does not mind that pages come to VRAM while PAGEMAP_SCAN protects. */
static bool harvest_scan_wp(const struct uffdvram_ctx *ctx)
{
	struct uffdvram_info info = { .size = sizeof(info) };

	return !uffdvram_ctx_ioctl(ctx, UFFDVRAM_INFO, &info) &&
	       info.features & UFFDVRAM_FEATURE_SCAN_WP;
}

static struct harvest *harvest_new(struct uffdvram_range *range)
{
	uint64_t word = 64 * (uint64_t)range->handle.ctx->page, words;
	struct harvest *new = calloc(1, sizeof(*new));

	if (!new)
		return NULL;
	new->range = range;
	new->shift = __builtin_ctzll(range->handle.ctx->page);
	new->base = range->handle.addr / word * word;
	words = (range->handle.addr + range->handle.len - new->base + word - 1) / word;
	words = (words + 64 * BLOCK - 1) / (64 * BLOCK) * 64 * BLOCK;
	new->written = calloc(2 * words + words / (64 * BLOCK), sizeof(uint64_t));
	if (!new->written) {
		free(new);
		return NULL;
	}
	new->protect = new->written + words;
	new->touched = new->protect + words;
	new->scan_wp = harvest_scan_wp(range->handle.ctx);
	return new;
}

void uffdvram_harvest_free(struct harvest *h)
{
	if (!h)
		return;
	free(h->written);
	free(h->found);
	free(h);
}

/* The range's, for one caller at a time. */
static int harvest_get(struct harvest **found, struct uffdvram_range *range, uint64_t off,
		       uint64_t len)
{
	struct harvest *h;

	if (atomic_flag_test_and_set(&range->harvests))
		return -EBUSY;
	if (!range->harvest)
		range->harvest = harvest_new(range);
	h = range->harvest;
	if (!h) {
		atomic_flag_clear(&range->harvests);
		return -ENOMEM;
	}
	h->start = range->handle.addr + off;
	h->end = h->start + len;
	h->async = range->armed & UFFDVRAM_ARM_WP_ASYNC;
	h->any_protect = 0;
	h->sum = (struct uffdvram_harvested){ .size = sizeof(h->sum) };
	*found = h;
	return 0;
}

/* The descriptor to use, or -errno. */
static int harvest_pagemap(struct uffdvram_range *range, int pagemap)
{
	int fd;

	if (pagemap >= 0)
		return pagemap;
	if (!uffdvram_ctx_is_own(range->handle.ctx))
		return -EXDEV;
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd;
}

int uffdvram_harvest(struct uffdvram_range *range, uint64_t off, uint64_t len, int pagemap,
		     uint64_t *bitmap, struct uffdvram_harvested *res)
{
	struct uffdvram_harvested in;
	struct harvest *h;
	int ret, fd;

	ret = uffdvram_opts_in(&in, sizeof(in),
			       UFFDVRAM_END_OF(struct uffdvram_harvested, scanned), res);
	if (ret)
		return ret;
	ret = uffdvram_uffd_check(range, off, len, UFFDVRAM_ARM_WP | UFFDVRAM_ARM_WP_ASYNC);
	if (ret)
		return ret;
	fd = harvest_pagemap(range, pagemap);
	if (fd < 0)
		return fd;
	ret = harvest_get(&h, range, off, len);
	if (!ret) {
		h->pagemap = fd;
		ret = harvest_run(h, bitmap);
		uffdvram_opts_out(res, &h->sum, sizeof(h->sum));
		atomic_flag_clear(&range->harvests);
	}
	if (fd != pagemap)
		close(fd);
	return ret;
}
