// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl stats -i: what happens in an interval. Page tables are looked at before and
 * after it, and compared; nobody's harvest, and nothing else, is disturbed by that.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"
#include "json.h"
#include "looks.h"
#include "parse.h"
#include "rates.h"
#include "target.h"

/* A byte for each page, three times. */
#define RATES_MAX_PAGES	(1ULL << 28)

/* What became of pages between two looks at them. */
enum change { WRITTEN, HOME, TO_VRAM, NEW, GONE, PROTECTED, CHANGES };

static const char *const change_names[CHANGES] = {
	"written", "home", "to_vram", "new", "gone", "protected",
};

struct piece {
	struct target t;
	uint64_t page, pages;
	uint8_t *was, *now;	/* LOOK_* of each page */
	uint8_t *touched;	/* since the beginning */
	uint64_t states[UFFDVRAM_STATE_POISON + 1];
	uint64_t changes[CHANGES], n_touched;
	bool tracked;		/* some page was protected */
};

struct sample {
	uint64_t ns;
	struct faults faults;
	uint64_t moves[MOVES];
};

struct rates {
	struct session *s;
	uint64_t interval;
	uint32_t n;
	const char *what;
	FILE *pagemap;
	struct piece *pieces;
	size_t n_pieces;
	bool moves;		/* the module's counters can be read */
	struct sample was, now;
	struct json j;
};

static bool rates_option(struct rates *r, const char *name, const char *value)
{
	if (!strcmp(name, "-i"))
		return !parse_seconds(value, &r->interval) && r->interval;
	return !strcmp(name, "-n") && !parse_u32(value, &r->n) && r->n;
}

static int rates_parse(struct session *s, int argc, char **argv, struct rates *r)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (i + 1 < argc && rates_option(r, argv[i], argv[i + 1]))
			i++;
		else if (argv[i][0] == '-' || i + 1 < argc)
			return session_usage(s, "stats: usage: stats [-i SECONDS [-n N] [WHAT]]");
		else
			r->what = argv[i];
	}
	if (!r->interval)
		return session_usage(s, "stats: an interval is wanted: -i SECONDS");
	if (r->what && !s->pid)
		return session_usage(s, "stats: say which process: -p PID");
	return CTL_OK;
}

static int piece_look(uint64_t start, uint64_t end, unsigned int look, void *data)
{
	struct piece *p = data;

	p->states[look & LOOK_STATE] += (end - start) / p->page;
	if (look)
		memset(p->now + (start - p->t.addr) / p->page, look, (end - start) / p->page);
	return 0;
}

static void piece_compare(struct piece *p)
{
	uint64_t i;

	memset(p->changes, 0, sizeof(p->changes));
	for (i = 0; i < p->pages; i++) {
		unsigned int was = p->was[i], now = p->now[i];
		bool existed = look_exists(was), exists = look_exists(now);
		bool was_vram = (was & LOOK_STATE) == UFFDVRAM_STATE_VRAM;
		bool is_vram = (now & LOOK_STATE) == UFFDVRAM_STATE_VRAM;
		bool poison = (now & LOOK_STATE) == UFFDVRAM_STATE_POISON;
		bool change[CHANGES] = {
			[WRITTEN] = was & LOOK_PROTECTED && exists && !poison &&
				    !(now & LOOK_PROTECTED),
			[HOME] = was_vram && !is_vram && exists && !poison,
			[TO_VRAM] = !was_vram && is_vram,
			[NEW] = !existed && exists && !poison,
			[GONE] = existed && !exists,
			[PROTECTED] = existed && !(was & LOOK_PROTECTED) && now & LOOK_PROTECTED,
		};
		unsigned int k;

		for (k = 0; k < CHANGES; k++)
			p->changes[k] += change[k];
		if (!p->touched[i] && (change[WRITTEN] || change[HOME] || change[NEW])) {
			p->touched[i] = 1;
			p->n_touched++;
		}
		p->tracked |= (was | now) & LOOK_PROTECTED;
	}
}

/* Looks at a piece; what was seen before is in ->was afterwards. */
static int piece_take(struct rates *r, struct piece *p)
{
	char text[TARGET_TEXT_MAX];
	int ret;

	free(p->was);
	p->was = p->now;
	p->now = calloc(p->pages, 1);
	memset(p->states, 0, sizeof(p->states));
	ret = p->now ? looks_visit(r->s, r->pagemap, p->t.addr, p->t.len, piece_look, p) :
		       -ENOMEM;
	if (ret)
		return session_fail(r->s, "stats", ret, "%s of process %d",
				    target_text(text, &p->t), (int)r->s->pid);
	return CTL_OK;
}

static int piece_init(struct rates *r, struct piece *p, const struct target *t)
{
	char text[TARGET_TEXT_MAX];

	p->t = *t;
	p->page = sysconf(_SC_PAGESIZE);
	p->pages = t->len / p->page;
	if (t->addr % p->page || t->len % p->page)
		return session_usage(r->s, "stats: %s: page aligned addresses are wanted",
				     target_text(text, t));
	if (p->pages > RATES_MAX_PAGES)
		return session_error(r->s, "stats: %s: that is more than can be watched: ask for pieces of it",
				     target_text(text, t));
	p->touched = calloc(p->pages, 1);
	return p->touched ? CTL_OK :
	       session_fail(r->s, "stats", -ENOMEM, "%s", target_text(text, t));
}

/* All that is watched of the process. */
static int rates_pieces(struct rates *r)
{
	const char *what = r->what ?: r->s->n_ranges ? "all" : "anon:1M";
	struct targets t;
	size_t i;
	int ret = targets_find(r->s, "stats", what, &t);

	if (ret)
		return ret;
	r->pieces = calloc(t.n, sizeof(*r->pieces));
	if (!r->pieces) {
		targets_free(&t);
		return session_fail(r->s, "stats", -ENOMEM, "%zu pieces", t.n);
	}
	for (i = 0; !ret && i < t.n; i++)
		ret = piece_init(r, &r->pieces[r->n_pieces++], &t.list[i]);
	targets_free(&t);
	return ret;
}

static int rates_faults(struct rates *r)
{
	char path[32], text[1024];
	int ret = -EIO;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)r->s->pid);
	f = fopen(path, "re");
	if (f) {
		n = fread(text, 1, sizeof(text) - 1, f);
		text[n] = '\0';
		ret = faults_parse(text, &r->now.faults);
		fclose(f);
	} else {
		ret = errno == ENOENT ? -ESRCH : -errno;
	}
	return ret ? session_fail(r->s, "stats", ret, "%s", path) : CTL_OK;
}

/* Of a process, the module's counters are there or not; of the module, they are the answer. */
static int rates_moves(struct rates *r)
{
	FILE *f = fopen(STATS_PATH, "re");
	int ret = f ? moves_read(f, r->now.moves) : -errno;

	if (f)
		fclose(f);
	r->moves = !ret;
	if (!ret || r->s->pid)
		return CTL_OK;
	return session_fail(r->s, "stats", ret, "%s", STATS_PATH);
}

static int rates_take(struct rates *r)
{
	struct timespec ts;
	int ret = CTL_OK;
	size_t i;

	r->was = r->now;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	r->now.ns = ts.tv_sec * 1000000000ULL + ts.tv_nsec;
	for (i = 0; !ret && i < r->n_pieces; i++)
		ret = piece_take(r, &r->pieces[i]);
	if (!ret && r->s->pid)
		ret = rates_faults(r);
	return ret ?: rates_moves(r);
}

static uint64_t rates_ns(const struct rates *r)
{
	return r->now.ns > r->was.ns ? r->now.ns - r->was.ns : 1;
}

/* Per second, in tenths as long as that says something. */
static const char *rates_text(char buf[FORMAT_MAX], const struct rates *r, uint64_t n)
{
	double rate = (double)n * 1e9 / rates_ns(r);

	snprintf(buf, FORMAT_MAX, "%.*f/s", rate < 100 && n ? 1 : 0, rate);
	return buf;
}

static void piece_text(const struct rates *r, const struct piece *p)
{
	char text[TARGET_TEXT_MAX], percent[2][FORMAT_MAX], rate[FORMAT_MAX];
	unsigned int k;

	printf("%s: VRAM %s RAM %s, touched %" PRIu64 " pages at least (%s)\n ",
	       target_text(text, &p->t),
	       format_percent(percent[0], p->states[UFFDVRAM_STATE_VRAM], p->pages),
	       format_percent(percent[1], p->states[UFFDVRAM_STATE_PRESENT], p->pages),
	       p->n_touched, format_size(rate, p->n_touched * p->page));
	for (k = 0; k < CHANGES; k++)
		if (k != WRITTEN || p->tracked)
			printf(" %s %s", change_names[k], rates_text(rate, r, p->changes[k]));
		else
			printf(" written unknown");
	putchar('\n');
}

static void piece_json(struct json *j, const struct piece *p)
{
	unsigned int k;

	json_open(j, NULL, '{');
	if (p->t.range)
		json_u64(j, "range", p->t.range);
	json_addr(j, "addr", p->t.addr);
	json_u64(j, "len", p->t.len);
	json_open(j, "pages", '{');
	for (k = 0; k <= UFFDVRAM_STATE_POISON; k++)
		json_u64(j, uffdvram_state_name(k), p->states[k]);
	json_close(j, '}');
	for (k = 0; k < CHANGES; k++)
		if (k != WRITTEN || p->tracked)
			json_u64(j, change_names[k], p->changes[k]);
		else
			json_null(j, "written");
	json_u64(j, "touched", p->n_touched);
	json_close(j, '}');
}

static void rates_print(const struct rates *r)
{
	uint64_t minor = r->now.faults.minor - r->was.faults.minor;
	uint64_t major = r->now.faults.major - r->was.faults.major;
	char rate[2][FORMAT_MAX];
	unsigned int k;
	size_t i;

	for (i = 0; i < r->n_pieces; i++)
		piece_text(r, &r->pieces[i]);
	if (r->s->pid)
		printf("process %d: faults %s, and %s that waited for a device\n", (int)r->s->pid,
		       rates_text(rate[0], r, minor), rates_text(rate[1], r, major));
	if (r->moves) {
		printf("module:");
		for (k = 0; k < MOVES; k++)
			printf(" %s %s", moves_names[k],
			       rates_text(rate[0], r, r->now.moves[k] - r->was.moves[k]));
		putchar('\n');
	}
}

static void rates_json(struct rates *r)
{
	struct json *j = &r->j;
	unsigned int k;
	size_t i;

	json_open(j, NULL, '{');
	json_u64(j, "ns", rates_ns(r));
	if (r->s->pid) {
		json_open(j, "pieces", '[');
		for (i = 0; i < r->n_pieces; i++)
			piece_json(j, &r->pieces[i]);
		json_close(j, ']');
		json_u64(j, "minor_faults", r->now.faults.minor - r->was.faults.minor);
		json_u64(j, "major_faults", r->now.faults.major - r->was.faults.major);
	}
	if (r->moves) {
		json_open(j, "module", '{');
		for (k = 0; k < MOVES; k++)
			json_u64(j, moves_names[k], r->now.moves[k] - r->was.moves[k]);
		json_close(j, '}');
	} else {
		json_null(j, "module");
	}
	json_close(j, '}');
}

static int rates_wait(const struct rates *r)
{
	struct timespec ts = {
		.tv_sec = r->interval / 1000000000, .tv_nsec = r->interval % 1000000000,
	};

	while (nanosleep(&ts, &ts))
		if (errno != EINTR)
			return session_fail(r->s, "stats", -errno, "waiting");
	return CTL_OK;
}

static int rates_run(struct rates *r)
{
	uint32_t k;
	size_t i;
	int ret = rates_take(r);

	for (k = 0; !ret && k < r->n; k++) {
		ret = rates_wait(r) ?: rates_take(r);
		for (i = 0; !ret && i < r->n_pieces; i++)
			piece_compare(&r->pieces[i]);
		if (ret)
			break;
		if (r->s->json)
			rates_json(r);
		else
			rates_print(r);
		fflush(stdout);
	}
	return ret;
}

static void rates_end(struct rates *r)
{
	size_t i;

	for (i = 0; i < r->n_pieces; i++) {
		free(r->pieces[i].was);
		free(r->pieces[i].now);
		free(r->pieces[i].touched);
	}
	free(r->pieces);
	if (r->pagemap)
		fclose(r->pagemap);
}

int rates_main(struct session *s, int argc, char **argv)
{
	struct rates r = { .s = s, .n = 1, .j.out = stdout };
	int ret = rates_parse(s, argc, argv, &r);

	if (!ret && s->pid) {
		ret = session_ctx(s, "stats") ?: rates_pieces(&r);
		r.pagemap = ret ? NULL : looks_open(s);
	}
	if (!ret) {
		if (s->json)
			json_open(&r.j, NULL, '[');
		ret = rates_run(&r);
		if (s->json)
			json_close(&r.j, ']');
	}
	rates_end(&r);
	return ret;
}
