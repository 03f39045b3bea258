// SPDX-License-Identifier: GPL-2.0-only
/*
 * What uffdvramctl does without a kernel: it reads words, draws bars, writes JSON.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "../lib/ctl/bar.h"
#include "../lib/ctl/faults.h"
#include "../lib/ctl/json.h"
#include "../lib/ctl/latency.h"
#include "../lib/ctl/looks.h"
#include "../lib/ctl/parse.h"
#include "../lib/ctl/pools.h"
#include "../lib/ctl/svg.h"
#include "../lib/ctl/vma.h"

TEST(sizes)
{
	static const struct {
		const char *text;
		int ret;
		uint64_t value;
	} cases[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "0x1000", 0, 4096 },
		{ "0Xff", 0, 255 },
		{ "010", 0, 10 },
		{ "4K", 0, 4096 },
		{ "512m", 0, 512ULL << 20 },
		{ "1G", 0, 1ULL << 30 },
		{ "16777215T", 0, 16777215ULL << 40 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "0xffffffffffffffff", 0, UINT64_MAX },
		{ "16777216T", -ERANGE, 77 },
		{ "18446744073709551616", -ERANGE, 77 },
		{ "18014398509481984K", -ERANGE, 77 },
		{ "0x10000000000000000", -ERANGE, 77 },
		{ "", -EINVAL, 77 },
		{ "K", -EINVAL, 77 },
		{ "0x", -EINVAL, 77 },
		{ "0xg", -EINVAL, 77 },
		{ "0x0x10", -EINVAL, 77 },
		{ "0x-1", -EINVAL, 77 },
		{ "-1", -EINVAL, 77 },
		{ "+1", -EINVAL, 77 },
		{ " 1", -EINVAL, 77 },
		{ "1 ", -EINVAL, 77 },
		{ "1KB", -EINVAL, 77 },
		{ "1X", -EINVAL, 77 },
		{ "1.5G", -EINVAL, 77 },
	};
	uint64_t value;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		value = 77;
		EXPECT_EQ(cases[i].ret, parse_size(cases[i].text, &value))
			TH_LOG("\"%s\"", cases[i].text);
		EXPECT_EQ(cases[i].value, value)
			TH_LOG("\"%s\"", cases[i].text);
	}
}

TEST(numbers_and_seconds)
{
	uint32_t n = 7;
	uint64_t ns = 7;

	EXPECT_EQ(0, parse_u32("4294967295", &n));
	EXPECT_EQ(UINT32_MAX, n);
	EXPECT_EQ(-ERANGE, parse_u32("4294967296", &n));
	EXPECT_EQ(-EINVAL, parse_u32("1K", &n));
	EXPECT_EQ(UINT32_MAX, n);
	EXPECT_EQ(0, parse_seconds("0.25", &ns));
	EXPECT_EQ(250000000, ns);
	EXPECT_EQ(0, parse_seconds("3", &ns));
	EXPECT_EQ(3000000000ULL, ns);
	EXPECT_EQ(0, parse_seconds("1.0000000019", &ns));
	EXPECT_EQ(1000000001ULL, ns);
	EXPECT_EQ(-EINVAL, parse_seconds(".5", &ns));
	EXPECT_EQ(-EINVAL, parse_seconds("1.", &ns));
	EXPECT_EQ(-EINVAL, parse_seconds("1e3", &ns));
	EXPECT_EQ(-EINVAL, parse_seconds("-1", &ns));
	EXPECT_EQ(-ERANGE, parse_seconds("18446744073", &ns));
}

TEST(pieces)
{
	uint64_t addr = 1, len = 2, min = 3;

	EXPECT_EQ(0, parse_piece("0x7f0000000000+64M", &addr, &len));
	EXPECT_EQ(0x7f0000000000, addr);
	EXPECT_EQ(64 << 20, len);
	EXPECT_EQ(-ERANGE, parse_piece("0xfffffffffffff000+0x1000", &addr, &len));
	EXPECT_EQ(-EINVAL, parse_piece("0x1000+0", &addr, &len));
	EXPECT_EQ(-EINVAL, parse_piece("0x1000", &addr, &len));
	EXPECT_EQ(-EINVAL, parse_piece("+0x1000", &addr, &len));
	EXPECT_EQ(-EINVAL, parse_piece("0x1000+", &addr, &len));
	EXPECT_EQ(-EINVAL, parse_piece("0x1000+1+1", &addr, &len));
	EXPECT_EQ(-EINVAL, parse_piece("00000000000000000000000000000000000+1", &addr, &len));
	EXPECT_EQ(0x7f0000000000, addr);
	EXPECT_EQ(64 << 20, len);

	EXPECT_EQ(0, parse_anon("anon:1M", &min));
	EXPECT_EQ(1 << 20, min);
	EXPECT_EQ(-EINVAL, parse_anon("anon:", &min));
	EXPECT_EQ(-EINVAL, parse_anon("anon:0", &min));
	EXPECT_EQ(-EINVAL, parse_anon("anon", &min));
	EXPECT_EQ(-EINVAL, parse_anon("1M", &min));
}

TEST(words)
{
	char *w[3];
	char line[] = "  move\tin all # comment\n", full[] = "a b c", over[] = "a b c d";
	char empty[] = " \n", comment[] = "#a b c d e", inner[] = "a#b\r\n";

	ASSERT_EQ(3, parse_words(line, w, 3));
	EXPECT_STREQ("move", w[0]);
	EXPECT_STREQ("in", w[1]);
	EXPECT_STREQ("all", w[2]);
	EXPECT_EQ(3, parse_words(full, w, 3));
	EXPECT_EQ(-E2BIG, parse_words(over, w, 3));
	EXPECT_EQ(0, parse_words(empty, w, 3));
	EXPECT_EQ(0, parse_words(comment, w, 3));
	ASSERT_EQ(1, parse_words(inner, w, 3));
	EXPECT_STREQ("a#b", w[0]);
}

TEST(formats)
{
	char buf[FORMAT_MAX];

	EXPECT_STREQ("0", format_size(buf, 0));
	EXPECT_STREQ("1023", format_size(buf, 1023));
	EXPECT_STREQ("4K", format_size(buf, 4096));
	EXPECT_STREQ("1028K", format_size(buf, (1 << 20) + 4096));
	EXPECT_STREQ("512M", format_size(buf, 512ULL << 20));
	EXPECT_STREQ("8388608T", format_size(buf, 1ULL << 63));
	EXPECT_STREQ("18446744073709551615", format_size(buf, UINT64_MAX));

	EXPECT_STREQ("0%", format_percent(buf, 0, 0));
	EXPECT_STREQ("0%", format_percent(buf, 0, 65536));
	EXPECT_STREQ("<0.1%", format_percent(buf, 1, 65536));
	EXPECT_STREQ("99.9%", format_percent(buf, 65535, 65536));
	EXPECT_STREQ("100%", format_percent(buf, 65536, 65536));
	EXPECT_STREQ("33.3%", format_percent(buf, 1, 3));
}

static void add(struct bar *bar, uint64_t start, uint64_t end, uint32_t state)
{
	const struct uffdvram_region r = { .start = start, .end = end, .state = state };

	bar_add(bar, &r);
}

#define P(n) (0x7f0000000000 + (n) * 4096ULL)

TEST(bar_shows_each_state)
{
	char text[BAR_TEXT_MAX];
	struct bar bar;

	/* Eight columns of four pages. */
	bar_init(&bar, P(0), P(32), 8, 4096);
	ASSERT_EQ(8, bar.cols);
	add(&bar, P(0), P(6), UFFDVRAM_STATE_VRAM);
	add(&bar, P(6), P(8), UFFDVRAM_STATE_PRESENT);
	add(&bar, P(8), P(9), UFFDVRAM_STATE_VRAM);
	add(&bar, P(9), P(15), UFFDVRAM_STATE_PRESENT);
	add(&bar, P(15), P(21), UFFDVRAM_STATE_OTHER);
	add(&bar, P(21), P(22), UFFDVRAM_STATE_POISON);
	add(&bar, P(22), P(28), UFFDVRAM_STATE_VRAM);
	add(&bar, P(28), P(32), UFFDVRAM_STATE_PRESENT);
	EXPECT_STREQ("#+-._!#.", bar_text(text, &bar, BAR_ASCII));
	EXPECT_STREQ("█▓▒░·!█░", bar_text(text, &bar, BAR_BLOCKS));
	EXPECT_NE(NULL, strstr(bar_legend(BAR_BLOCKS), "░ RAM"));
	EXPECT_NE(NULL, strstr(bar_legend(BAR_ASCII), ". RAM"));
}

TEST(bar_counts_every_byte_once)
{
	uint64_t sum = 0;
	unsigned int i;
	struct bar bar;

	/* Columns that are no multiple of a page; regions that pass the ends. */
	bar_init(&bar, P(10), P(110), 7, 4096);
	add(&bar, P(0), P(50), UFFDVRAM_STATE_VRAM);
	add(&bar, P(50), P(51), UFFDVRAM_STATE_PRESENT);
	add(&bar, P(51), P(300), UFFDVRAM_STATE_VRAM);
	add(&bar, P(300), P(301), UFFDVRAM_STATE_POISON);
	for (i = 0; i < 7; i++) {
		EXPECT_GE(1, llabs((long long)(bar.cell[i][UFFDVRAM_STATE_VRAM] +
					       bar.cell[i][UFFDVRAM_STATE_PRESENT]) -
				   (long long)(P(100) - P(0)) / 7));
		sum += bar.cell[i][UFFDVRAM_STATE_VRAM];
		EXPECT_EQ(0, bar.cell[i][UFFDVRAM_STATE_POISON]);
	}
	EXPECT_EQ(99 * 4096, sum);
}

#define VRAM	UFFDVRAM_STATE_VRAM
#define RAM	UFFDVRAM_STATE_PRESENT

/* Eight columns of four pages: of each kind of dirt, and where there is nothing. */
static void add_looks(struct bar *bar)
{
	bar_init(bar, P(0), P(32), 8, 4096);
	bar_add_look(bar, P(0), P(4), VRAM);
	bar_add_look(bar, P(4), P(7), RAM | LOOK_SOFT_DIRTY);
	bar_add_look(bar, P(7), P(11), VRAM | LOOK_PROTECTED | LOOK_HUGE);
	bar_add_look(bar, P(11), P(12), VRAM | LOOK_LEASED);
	bar_add_look(bar, P(12), P(16), RAM | LOOK_PROTECTED);
	bar_add_look(bar, P(16), P(19), LOOK_SWAPPED | LOOK_PROTECTED);
	bar_add_look(bar, P(19), P(20), LOOK_SWAPPED);
	/* Of a hole, nothing else is known. */
	bar_add_look(bar, P(20), P(24), LOOK_PROTECTED | LOOK_SOFT_DIRTY);
}

TEST(bar_shows_dirt)
{
	char text[BAR_TEXT_MAX];
	struct bar bar;

	add_looks(&bar);
	EXPECT_STREQ("#-#.s___", bar_text(text, &bar, BAR_ASCII));
	ASSERT_EQ(BAR_DIRT_WRITTEN, bar_dirt(&bar));
	EXPECT_STREQ("#+-.-___", bar_dirt_text(text, &bar, BAR_ASCII, BAR_DIRT_WRITTEN));
	bar_dirt_text(text, &bar, BAR_BLOCKS, BAR_DIRT_WRITTEN);
	EXPECT_STREQ("█▓▒░▒···", text);
	EXPECT_STREQ(".+...___", bar_dirt_text(text, &bar, BAR_ASCII, BAR_DIRT_SOFT));
	EXPECT_EQ(9 * 4096, bar_dirty(bar.sum, BAR_DIRT_WRITTEN));
	EXPECT_EQ(3 * 4096, bar_dirty(bar.sum, BAR_DIRT_SOFT));
	EXPECT_EQ(0, bar_dirty(bar.sum, BAR_DIRT_UNKNOWN));
	EXPECT_EQ(4 * 4096, bar.sum[BAR_SWAPPED]);
	EXPECT_EQ(4 * 4096, bar.sum[BAR_HUGE]);
	EXPECT_EQ(1 * 4096, bar.sum[BAR_LEASED]);
	EXPECT_EQ(20 * 4096, bar.sum[BAR_EXISTS]);
	bar_init(&bar, P(0), P(32), 8, 4096);
	bar_add_look(&bar, P(0), P(32), RAM);
	EXPECT_EQ(BAR_DIRT_UNKNOWN, bar_dirt(&bar));
	bar_add_look(&bar, P(0), P(1), LOOK_SWAPPED | LOOK_SOFT_DIRTY);
	EXPECT_EQ(BAR_DIRT_SOFT, bar_dirt(&bar));
	EXPECT_NE(NULL, strstr(bar_dirt_legend(BAR_BLOCKS), "█ all"));
	EXPECT_NE(NULL, strstr(bar_dirt_legend(BAR_ASCII), "# all"));
}

/* How often a text is in another. */
static int count_of(const char *text, const char *part)
{
	int n = 0;

	for (text = strstr(text, part); text; text = strstr(text + 1, part))
		n++;
	return n;
}

TEST(pictures)
{
	struct svg svg = {};
	struct svg_map m;
	char text[8192];
	FILE *out = fmemopen(text, sizeof(text), "w");

	/* Rows of eight pages, a page each cell. */
	ASSERT_EQ(0, svg_map_init(&m, P(0), P(32), 8, 4096));
	ASSERT_EQ(4, m.n);
	svg_map_add(&m, P(0), P(4), VRAM);
	svg_map_add(&m, P(4), P(12), RAM | LOOK_PROTECTED | LOOK_HUGE);
	svg_map_add(&m, P(12), P(13), VRAM | LOOK_PROTECTED | LOOK_LEASED);
	svg_map_add(&m, P(13), P(14), UFFDVRAM_STATE_POISON);
	svg_map_add(&m, P(16), P(32), LOOK_SWAPPED | LOOK_PROTECTED);
	ASSERT_EQ(0, svg_draw(&svg, "0x7f0000000000+128K", &m, BAR_DIRT_WRITTEN));
	ASSERT_EQ(0, svg_write(&svg, out));
	ASSERT_EQ(0, fclose(out));
	EXPECT_EQ(0, strncmp(text, "<svg xmlns=", 11));
	EXPECT_STREQ("</svg>\n", text + strlen(text) - 7);
	EXPECT_EQ(1, count_of(text, ">0x7f0000000000+128K</text>"));
	/* Cells that are alike are one; and each once in the legend. */
	EXPECT_EQ(1, count_of(text, "\"vram\" x=\"8\" y=\"26\" width=\"40\""));
	EXPECT_EQ(2 + 1, count_of(text, "class=\"ram huge\""));
	EXPECT_EQ(1 + 1, count_of(text, "class=\"vram leased\""));
	EXPECT_EQ(1 + 1, count_of(text, "class=\"poison\""));
	EXPECT_EQ(1 + 2, count_of(text, "class=\"swapped\""));
	/* What is not protected: in VRAM, and poison. */
	EXPECT_EQ(2 + 1, count_of(text, "class=\"dirty\" opacity=\"1.0\""));
	svg_map_free(&m);
	svg_free(&svg);
	/* No more rows than pages, or than there may be. */
	ASSERT_EQ(0, svg_map_init(&m, P(0), P(3), 8, 4096));
	EXPECT_EQ(1, m.n);
	EXPECT_EQ(3, m.rows[0].cols);
	svg_map_free(&m);
	ASSERT_EQ(0, svg_map_init(&m, P(0), P(100000), 8, 4096));
	EXPECT_EQ(SVG_MAX_ROWS, m.n);
	EXPECT_EQ(P(100000), m.rows[SVG_MAX_ROWS - 1].end);
	svg_map_free(&m);
}

TEST(counters)
{
	struct faults f = { 1, 2 };
	uint64_t count[MOVES];
	static char stats[] = "slots_allocated 5\nfaults 7\nfault_pages 8\npages_in 9\n"
			      "pages_placed 10\npages_out 11\n";
	FILE *in;

	EXPECT_EQ(-EINVAL, faults_parse("", &f));
	EXPECT_EQ(-EINVAL, faults_parse("12 (sh) S 1 2 3 4 5 6 7 8", &f));
	EXPECT_EQ(-EINVAL, faults_parse("12 sh S 1 2 3 4 5 6 7 8 9 10 11", &f));
	EXPECT_EQ(1, f.minor);
	EXPECT_EQ(0, faults_parse("12 (a) R 9) S 1 2 3 4 -1 4194560 123 8 45 10 11 12\n", &f));
	EXPECT_EQ(123, f.minor);
	EXPECT_EQ(45, f.major);
	in = fmemopen(stats, strlen(stats), "r");
	EXPECT_EQ(0, moves_read(in, count));
	fclose(in);
	EXPECT_EQ(7, count[MOVES_FAULTS]);
	EXPECT_EQ(8, count[MOVES_HOME]);
	EXPECT_EQ(9, count[MOVES_IN]);
	EXPECT_EQ(10, count[MOVES_PLACED]);
	EXPECT_EQ(11, count[MOVES_OUT]);
	/* One is not there; a line is none. */
	in = fmemopen(stats, strlen(stats) - 14, "r");
	EXPECT_EQ(-EINVAL, moves_read(in, count));
	fclose(in);
	in = fmemopen("faults\n", 7, "r");
	EXPECT_EQ(-EINVAL, moves_read(in, count));
	fclose(in);
}

TEST(bar_is_no_wider_than_its_pages)
{
	char text[BAR_TEXT_MAX];
	struct bar bar;

	bar_init(&bar, P(0), P(3), 64, 4096);
	EXPECT_EQ(3, bar.cols);
	add(&bar, P(1), P(2), UFFDVRAM_STATE_VRAM);
	EXPECT_STREQ("_#_", bar_text(text, &bar, BAR_ASCII));
	bar_init(&bar, P(0), P(100000), BAR_MAX_COLS, 4096);
	EXPECT_EQ(3 * BAR_MAX_COLS, 3 * bar.cols);
	add(&bar, P(0), P(100000), UFFDVRAM_STATE_VRAM);
	EXPECT_EQ(BAR_TEXT_MAX - 1, strlen(bar_text(text, &bar, BAR_BLOCKS)));
	/* A state that this version does not know is left out. */
	add(&bar, P(0), P(1), BAR_STATES);
	EXPECT_EQ(0, bar.cell[1][0]);
}

TEST(json_text)
{
	char *text = NULL;
	size_t size = 0;
	struct json j = { .out = open_memstream(&text, &size) };

	ASSERT_NE(NULL, j.out);
	json_open(&j, NULL, '{');
	json_u64(&j, "n", UINT64_MAX);
	json_addr(&j, "a", 0x7f0000001000);
	json_str(&j, "s", "q\" b\\ n\n");
	json_open(&j, "list", '[');
	json_bool(&j, NULL, true);
	json_bool(&j, NULL, false);
	json_null(&j, NULL);
	json_open(&j, NULL, '{');
	json_close(&j, '}');
	json_close(&j, ']');
	json_open(&j, "empty", '[');
	json_close(&j, ']');
	json_close(&j, '}');
	fclose(j.out);
	EXPECT_STREQ("{\"n\":18446744073709551615,\"a\":\"0x7f0000001000\","
		     "\"s\":\"q\\\" b\\\\ n\\u000a\","
		     "\"list\":[true,false,null,{}],\"empty\":[]}\n", text);
	free(text);
}

TEST(vma_lines)
{
	static const struct {
		int ret;
		const char *line;
	} cases[] = {
		{ 1, "7f0000000000-7f0010000000 rw-p 00000000 00:00 0 \n" },
		{ 1, "7f0000000000-7f0010000000 rw-p 00000000 00:00 0" },
		{ 1, "7f0000000000-7f0010000000 rwxp 00000000 00:00 0 \n" },
		{ 1, "7f0000000000-7f0010000000 rw-p 00000000 00:00 0    [heap]\n" },
		{ 1, "7f0000000000-7f0010000000 rw-p 00000000 00:00 0    [anon:ram]\n" },
		{ 0, "7f0000000000-7f0010000000 rw-s 00000000 00:00 0 \n" },
		{ 0, "7f0000000000-7f0010000000 r--p 00000000 00:00 0 \n" },
		{ 0, "7f0000000000-7f0010000000 ---p 00000000 00:00 0 \n" },
		{ 0, "7f0000000000-7f0010000000 rw-p 00000000 08:01 42   /usr/bin/vmm\n" },
		{ 0, "7f0000000000-7f0010000000 rw-p 00000000 00:05 3    /dev/zero\n" },
		{ 0, "7f0000000000-7f0010000000 rw-p 00000000 00:05 0 \n" },
		{ 0, "7f0000000000-7f0010000000 rw-p 00000000 00:00 0    /odd\n" },
		{ 0, "7f0000000000-7f0010000000 rw-p\n" },
		{ 0, "\n" },
	};
	struct vma vma;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		memset(&vma, 0, sizeof(vma));
		EXPECT_EQ(cases[i].ret, vma_parse(cases[i].line, &vma))
			TH_LOG("%s", cases[i].line);
		EXPECT_EQ(cases[i].ret ? 0x7f0000000000 : 0, vma.start);
		EXPECT_EQ(cases[i].ret ? 0x7f0010000000 : 0, vma.end);
	}
}

TEST(vma_list_finds_ours)
{
	const size_t size = 48 << 20;
	struct vma *list;
	size_t i, n, hits = 0;
	char *mem;

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, vma_list(getpid(), size, &list, &n));
	for (i = 0; i < n; i++)
		hits += list[i].start <= (uintptr_t)mem &&
			list[i].end >= (uintptr_t)mem + size;
	EXPECT_EQ(1, hits);
	free(list);
	ASSERT_EQ(0, vma_list(getpid(), 1ULL << 60, &list, &n));
	EXPECT_EQ(0, n);
	EXPECT_EQ(NULL, list);
	munmap(mem, size);
	EXPECT_EQ(-ENOENT, vma_list(0x7fffffff, 1, &list, &n));
}

TEST(functions)
{
	static const struct {
		const char *text;
		uint32_t sbdf;
	} right[] = {
		{ "0:0.0", 0 }, { "00:10.0", 0x80 }, { "ff:1f.7", 0xffff },
		{ "0000:65:00.1", 0x6501 }, { "ffff:ff:1F.7", 0xffffffff }, { "1:2:3.4", 0x1021c },
	};
	static const char *const wrong[] = {
		"", ":", "0", "0:0", "0:0.", ".0", "0:.0", ":0.0", "0:0.0 ", " 0:0.0", "0:0.-1",
		"0:0.0.0", "0:0:0:0.0", "0x1:0.0", "g:0.0", "0.0:0",
	};
	static const char *const large[] = {
		"0:0.8", "0:20.0", "100:0.0", "10000:0:0.0", "11111111111111111:0.0",
	};
	uint32_t n;

	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++) {
		EXPECT_EQ(0, parse_sbdf(right[i].text, &n));
		EXPECT_EQ(right[i].sbdf, n);
	}
	n = 7;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		EXPECT_EQ(-EINVAL, parse_sbdf(wrong[i], &n))
			TH_LOG("\"%s\"", wrong[i]);
	}
	for (size_t i = 0; i < sizeof(large) / sizeof(*large); i++) {
		EXPECT_EQ(-ERANGE, parse_sbdf(large[i], &n))
			TH_LOG("\"%s\"", large[i]);
	}
	EXPECT_EQ(7, n);
}

TEST(pool_lines)
{
	struct pool_line p;

	ASSERT_EQ(0, pool_line_parse("pool 3 backend sim bytes 67108864 slots 16384 used 5 "
				     "lost 1 quarantined 2 shared 1 draining 0 "
				     "fault 4096 later 9\n", &p));
	EXPECT_EQ(3, p.number);
	EXPECT_STREQ("sim", p.backend);
	EXPECT_EQ(64 << 20, p.bytes);
	EXPECT_EQ(16384, p.slots);
	EXPECT_EQ(5, p.used);
	EXPECT_EQ(1, p.lost);
	EXPECT_EQ(2, p.quarantined);
	EXPECT_TRUE(p.shared);
	EXPECT_FALSE(p.draining);
	EXPECT_EQ(4096, p.fault);
	EXPECT_STREQ("", p.device);
	ASSERT_EQ(0, pool_line_parse("pool 4 backend pci bytes 4096 slots 1 used 0 lost 0 "
				     "quarantined 0 shared 0 draining 1 device 0000:65:00.0 bar 1 "
				     "offset 8192 combining 1 streaming 1 write_mbs 9 read_mbs 8 "
				     "a 1 b 2 c 3\n", &p));
	EXPECT_STREQ("0000:65:00.0", p.device);
	EXPECT_EQ(1, p.bar);
	EXPECT_EQ(8192, p.offset);
	EXPECT_TRUE(p.combining);
	EXPECT_TRUE(p.draining);
	EXPECT_EQ(-EINVAL, pool_line_parse("pool 1 device 0000:0000:0000:00\n", &p));
	EXPECT_EQ(-EINVAL, pool_line_parse("backend sim\n", &p));
	EXPECT_EQ(-EINVAL, pool_line_parse("pool\n", &p));
	EXPECT_EQ(-EINVAL, pool_line_parse("pool x\n", &p));
	EXPECT_EQ(-EINVAL, pool_line_parse("pool 1 later\n", &p));
	EXPECT_EQ(-EINVAL, pool_line_parse("pool 1 used many\n", &p));
	EXPECT_EQ(-EINVAL, pool_line_parse("pool 1 backend abcdefghijklmnopq\n", &p));
}

TEST(latency_lines)
{
	static const char *const wrong[] = {
		"", "count 0 sum_ns 0", "op fault count", "op fault count x sum_ns 0",
		"op fault count 1 sum_ns 9", "op fault count 1 sum_ns 9 16 2",
		"op fault count 1 sum_ns 9 17 1", "op fault count 1 sum_ns 9 0 1",
		"op fault count 2 sum_ns 9 16 1 16 1", "op fault count 0 sum_ns 9 16 0",
		"op fault count 1 sum_ns 9 16x 1", "op abcdefghijklmnopq count 0 sum_ns 0",
		"op fault count 4 sum_ns 9 16 18446744073709551615 32 5",
	};
	char line[LATENCY_LINE_MAX + 16];
	struct latency l;
	size_t i, n;

	ASSERT_EQ(0, latency_parse("op fault count 0 sum_ns 0\n", &l));
	EXPECT_STREQ("fault", l.op);
	EXPECT_EQ(0, latency_quantile(&l, 100));
	ASSERT_EQ(0, latency_parse("op in count 100 sum_ns 12345 1 1 16384 49 later 7 "
				   "32768 49 9223372036854775808 1\n", &l));
	EXPECT_EQ(12345, l.sum_ns);
	EXPECT_EQ(49, l.bucket[15]);
	EXPECT_EQ(1, latency_quantile(&l, 1));
	EXPECT_EQ(16384, latency_quantile(&l, 2));
	EXPECT_EQ(16384, latency_quantile(&l, 50));
	EXPECT_EQ(32768, latency_quantile(&l, 51));
	EXPECT_EQ(32768, latency_quantile(&l, 99));
	EXPECT_EQ(1ULL << 63, latency_quantile(&l, 100));
	ASSERT_EQ(0, latency_parse("op in count 3 sum_ns 5 1 1 2 1 4 1", &l));
	EXPECT_EQ(2, latency_quantile(&l, 50));
	EXPECT_EQ(4, latency_quantile(&l, 99));
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		EXPECT_EQ(-EINVAL, latency_parse(wrong[i], &l))
			TH_LOG("\"%s\"", wrong[i]);

	/* The longest that the module writes; and what is longer than any. */
	n = sprintf(line, "op copy_write count %llu sum_ns %llu", 64ULL << 57, ~0ULL);
	for (i = 0; i < 64; i++)
		n += sprintf(line + n, " %llu %llu", 1ULL << i, 1ULL << 57);
	ASSERT_EQ(0, latency_parse(line, &l));
	EXPECT_EQ(1ULL << 31, latency_quantile(&l, 50));
	memset(line + n, ' ', sizeof(line) - n);
	line[LATENCY_LINE_MAX] = '\0';
	EXPECT_EQ(-EINVAL, latency_parse(line, &l));
}

TEST(times)
{
	char text[FORMAT_MAX];

	EXPECT_STREQ("0ns", format_ns(text, 0));
	EXPECT_STREQ("999ns", format_ns(text, 999));
	EXPECT_STREQ("1.00us", format_ns(text, 1000));
	EXPECT_STREQ("16.4us", format_ns(text, 16384));
	EXPECT_STREQ("131us", format_ns(text, 131072));
	EXPECT_STREQ("1.05ms", format_ns(text, 1 << 20));
	EXPECT_STREQ("68.7s", format_ns(text, 1ULL << 36));
	EXPECT_STREQ("18446744074s", format_ns(text, UINT64_MAX));
}

TEST_HARNESS_MAIN
