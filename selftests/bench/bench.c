// SPDX-License-Identifier: GPL-2.0-only
/* The table of operations, and the loop over it; see bench.h. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define WARM_UPS	1
#define ROUNDS		3
#define MAX_TRIES	20
#define LEN		MIB(8)
#define PAIR_LEN	MIB(32)	/* what two threads have */
#define SPARSE_LEN	MIB(256) /* so much that a call's own cost is no matter */
#define DENSE_LEN	MIB(64)

/* Instructions are the nanoseconds of a VM that runs one in each. */
#define INSN		"insn/page"
#define BY_GIB		"insn/GiB"
#define WAITS		"contended/op"
#define MOVERS		(OURS | FLOOR | HMM | LEAN)

#define ROW(op, unit, fn, page, subjects, floor, target)		\
	{ op, unit, fn, page, subjects, floor, target, 0, 0 }
#define HARVEST(op, fn, written, target)					\
	{ op, BY_GIB, fn, PAGE, OURS | SCAN | SCAN_BITS, "pagemap_scan", target,	\
	  (written) > 100 ? DENSE_LEN : SPARSE_LEN, written }

/*
 * A line for each: op, unit, function, the size of the pages, whom to measure, the floor,
 * the target. The targets in numbers are those of 7.2, in the VM of selftests/bench/run.
 */
static const struct row rows[] = {
	ROW("migrate-in-4k", INSN, row_migrate_in, PAGE, MOVERS | ZRAM, "floor", "4600"),
	ROW("migrate-in-2m", INSN, row_migrate_in, HUGE, MOVERS, "floor", "750"),
	ROW("place-4k", INSN, row_place, PAGE, MOVERS, "floor", "1700"),
	ROW("place-2m", INSN, row_place, HUGE, MOVERS, "floor", "700"),
	ROW("back-4k", INSN, row_back, PAGE, OURS | FLOOR | HMM, "floor", "5100"),
	ROW("back-2m", INSN, row_back, HUGE, OURS | FLOOR | HMM, "floor", "1250"),
	ROW("fault-4k", INSN, row_fault, PAGE, OURS | FLOOR | HMM | ZRAM, "floor", "9700"),
	ROW("fault-2m", INSN, row_fault, HUGE, OURS | FLOOR | HMM, "floor", "1250"),
	ROW("uffd-touch", INSN, row_uffd_touch, PAGE, OURS | UFFD, "userfaultfd",
	    "1.05*userfaultfd"),
	ROW("install", INSN, row_install, PAGE, OURS | FLOOR | LEAN | UFFD, "floor",
	    "2.3*userfaultfd"),
	ROW("rearm-ram", INSN, row_rearm, PAGE, OURS | UFFD | SCAN | SOFT | KVM, "userfaultfd",
	    "1.05*userfaultfd"),
	ROW("poison-replace", INSN, row_poison_replace, PAGE, OURS | UFFD, "userfaultfd", "1400"),
	ROW("poison-marker", INSN, row_poison_marker, PAGE, OURS | UFFD, "userfaultfd",
	    "1.05*userfaultfd"),
	HARVEST("harvest-device-0", row_harvest_device, 0, "100000"),
	HARVEST("harvest-device-0.01", row_harvest_device, 1, "0.1*pagemap_scan"),
	HARVEST("harvest-device-1", row_harvest_device, 100, "0.1*pagemap_scan"),
	HARVEST("harvest-device-50", row_harvest_device, 5000, "0.1*pagemap_scan"),
	HARVEST("harvest-device-100", row_harvest_device, 10000, "0.1*pagemap_scan"),
	HARVEST("harvest-vram-0.01", row_harvest_cpu, 1, "0.05*pagemap_scan"),
	HARVEST("harvest-ram-1", row_harvest_cpu, 100, "1.05*pagemap_scan"),
	HARVEST("harvest-ram-50", row_harvest_cpu, 5000, "1.05*pagemap_scan"),
	HARVEST("harvest-ram-100", row_harvest_cpu, 10000, "1.05*pagemap_scan"),
	{ "rearm-vram", INSN, row_rearm_vram, PAGE, OURS | UFFD, "userfaultfd",
	  "0.01*userfaultfd", DENSE_LEN, 10000 },
	/* No target was set: four times what it costs only to look where pages are. */
	ROW("lease", INSN, row_lease, PAGE, OURS | HMM, "test_hmm", "4*test_hmm"),
	/* What was moved here before only changes hands. */
	ROW("convert", INSN, row_convert, PAGE, OURS | PLAIN, "plain", "0.5*plain"),
	ROW("convert-from-ram", INSN, row_convert_ram, PAGE, OURS | PLAIN, "plain", "0.5*plain"),
	ROW("pool-2threads", WAITS, row_pool_2threads, PAGE, OURS | FLOOR | LEAN, "floor", "0.001"),
	ROW("fault-2threads", WAITS, row_fault_2threads, PAGE, OURS | FLOOR | HMM, "floor",
	    "0.001"),
};

#define N_ROWS		(sizeof(rows) / sizeof(rows[0]))

/* How what they grow with is found: these, of the first row. */
static const unsigned int growth[] = { 64, 256, 1024, 4096 };

static bool counting;		/* the lane of counts, not of instructions */
static const struct subject *measured;
static clockid_t measure_clock;
static double measure_start, measure_result, counts_start[MAX_COUNTS], counts_result[MAX_COUNTS];

static double clock_now(void)
{
	struct timespec t;

	clock_gettime(measure_clock, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

void measure_begin(clockid_t clock)
{
	measure_clock = clock;
	if (counting)
		counts_read(measured->module, counts_start);
	measure_start = clock_now();
}

void measure_end(double ops)
{
	double end = clock_now();
	unsigned int i;

	measure_result = (end - measure_start) / ops;
	if (!counting)
		return;
	counts_read(measured->module, counts_result);
	for (i = 0; counts_name(i); i++)
		counts_result[i] = (counts_result[i] - counts_start[i]) / ops;
	measure_result = counts_contended(counts_result);
}

static bool void_round;

void measure_void(void)
{
	void_round = true;
}

static void one_round(const struct row *row, const struct subject *s, size_t len)
{
	struct round r = {
		.s = s, .len = len, .huge = row->page == HUGE, .written = row->written,
	};
	size_t folios;

	r.mem = r.huge ? map_huge(len) : map_aligned(len);
	if (s->adopt)
		s->adopt(r.mem, len);
	folios = s->folios ? s->folios() : 0;
	row->fn(&r);
	/* Each went out and came home; check_in() and check_home() look at all subjects. */
	if (r.huge && s->folios && s->folios() - folios != 2 * len / HUGE)
		give_up("what 2 MiB map did not move as 2 MiB");
	if (s->drop)
		s->drop();
	munmap(r.mem, len);
}

static void once(const struct row *row, const struct subject *s, size_t len)
{
	int tries = 0;

	do {
		if (++tries > MAX_TRIES)
			give_up("no round can be used");
		void_round = false;
		one_round(row, s, len);
	} while (void_round);
}

static bool counted(const struct row *row)
{
	return !strcmp(row->unit, WAITS);
}

static size_t row_len(const struct row *row)
{
	return row->len ? row->len : counted(row) ? PAIR_LEN : LEN;
}

/* @result: of all rounds, the least first. */
static void print_result(const struct row *row, const double *result, const double *count)
{
	unsigned int i;

	if (counting == counted(row))
		printf("%s %s %s %.9g %.9g %d %.9g\n", counting ? "wait" : "insn", row->op,
		       measured->name, result[0], result[ROUNDS - 1], ROUNDS,
		       result[ROUNDS / 2]);
	for (i = 0; counting && counts_name(i); i++)
		printf("count %s %s %s %.9g\n", row->op, measured->name, counts_name(i),
		       count[i]);
	fflush(stdout);
}

/* A round that costs more to watch: what is counted but waits for locks. */
static void count_rest(const struct row *row, size_t len, double *count)
{
	unsigned int k;

	counts_watch(true);
	once(row, measured, len);
	for (k = 0; counts_name(k); k++)
		if (!counts_waits(k))
			count[k] = counts_result[k];
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The least of each: whatever else the machine did came on top. */
static void run_row(const struct row *row)
{
	double result[ROUNDS], count[MAX_COUNTS] = { 0 };
	size_t len = row_len(row);
	unsigned int i, k;

	if (counting)
		counts_watch(!counted(row));
	for (i = 0; i < WARM_UPS; i++)
		once(row, measured, len);
	for (i = 0; i < ROUNDS; i++) {
		once(row, measured, len);
		result[i] = measure_result;
		for (k = 0; k < MAX_COUNTS; k++)
			if (!i || counts_result[k] < count[k])
				count[k] = counts_result[k];
	}
	if (counting && counted(row))
		count_rest(row, len, count);
	qsort(result, ROUNDS, sizeof(result[0]), compare);
	print_result(row, result, count);
}

/* Each size once: they are large, so that little noise is in them. */
static void run_growth(const struct row *row, unsigned int max_mib)
{
	unsigned int i;

	for (i = 0; i < sizeof(growth) / sizeof(growth[0]); i++) {
		if (growth[i] > max_mib)
			break;
		measured->open(MIB(growth[i]));
		once(row, measured, MIB(growth[i]));
		printf("grow %s %u %.9g\n", row->op, growth[i], measure_result);
		fflush(stdout);
		measured->close();
	}
}

static void subject_load(const struct subject *s)
{
	int fd;

	if (!s->file)
		return;
	fd = open(s->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, s->params, 0))
		give_up(s->file);
	close(fd);
}

static void subject_unload(const struct subject *s)
{
	if (s->file && syscall(SYS_delete_module, s->module, O_NONBLOCK))
		give_up(s->module);
}

static bool row_wanted(const struct row *row, char **names, int n)
{
	int i;

	/* What takes two CPUs cannot be measured where there is one. */
	if (!counting && counted(row))
		return false;
	for (i = 0; i < n; i++)
		if (!strcmp(names[i], row->op))
			return true;
	return !n;
}

static bool row_runs(const struct row *row, const struct subject *s, char **names, int n)
{
	return row->subjects & s->bit && row_wanted(row, names, n);
}

static void run_subject(const struct subject *s, char **names, int n)
{
	size_t i, most = PAIR_LEN;

	measured = s;
	for (i = 0; i < N_ROWS; i++)
		if (row_runs(&rows[i], s, names, n) && row_len(&rows[i]) > most)
			most = row_len(&rows[i]);
	subject_load(s);
	if (s->open)
		s->open(most);
	for (i = 0; i < N_ROWS; i++)
		if (row_runs(&rows[i], s, names, n))
			run_row(&rows[i]);
	if (s->close)
		s->close();
	subject_unload(s);
}

/* The thread stays where it is: pages wait in lists of the CPU that touched them. */
static void stay_on_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		give_up("sched_setaffinity");
}

/* bench insn|count|grow MIB [OP...] */
int main(int argc, char **argv)
{
	const struct subject *s;
	struct utsname un;
	size_t i;

	if (argc < 2) {
		fprintf(stderr, "usage: bench insn|count [OP...]; bench grow MIB\n");
		return 2;
	}
	stay_on_cpu();
	if (!strcmp(argv[1], "grow")) {
		measured = &subjects[0];
		run_growth(&rows[0], argc > 2 ? atoi(argv[2]) : 1024);
		return 0;
	}
	counting = !strcmp(argv[1], "count");
	if (counting)
		counts_open();
	else
		sleep(8);	/* until the machine has nothing left to do of its boot */
	for (i = 0; i < N_ROWS; i++)
		if (counting == counted(&rows[i]) && row_wanted(&rows[i], argv + 2, argc - 2))
			printf("row %s %s %s %s\n", rows[i].op, rows[i].unit, rows[i].floor,
			       rows[i].target);
	for (s = subjects; s->name; s++)
		run_subject(s, argv + 2, argc - 2);
	if (uname(&un))
		give_up("uname");
	printf("kernel %s\n", un.release);
	printf("done\n");
	return 0;
}
