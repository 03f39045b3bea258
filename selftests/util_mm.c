// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "util_mm.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

void *map_fresh(size_t len)
{
	char *p = mmap(NULL, len + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + PAGE, len, PROT_READ | PROT_WRITE))
		give_up("map_fresh");
	madvise(p + PAGE, len, MADV_NOHUGEPAGE);
	munmap(p, PAGE);
	munmap(p + PAGE + len, PAGE);
	return p + PAGE;
}

void *map_aligned(size_t len)
{
	char *whole = map_small(len + HUGE);
	char *start = (char *)((ADDR(whole) + HUGE - 1) & ~(HUGE - 1));

	if (start > whole)
		munmap(whole, start - whole);
	if (whole + HUGE > start)
		munmap(start + len, whole + HUGE - start);
	return start;
}

bool sum_ok(const void *addr, size_t len, const struct uffdvram_migrate *m)
{
	uint64_t begin = ADDR(addr);
	int cause;

	if (m->done > len || m->done % PAGE)
		return false;
	if (m->moved + m->already + uv_stayed(m) != m->done / PAGE)
		return false;
	for (cause = 0; cause < UFFDVRAM_STAY_MAX_; cause++)
		if (m->stayed[cause] &&
		    (m->first[cause] % PAGE || m->first[cause] < begin ||
		     m->first[cause] >= begin + m->done))
			return false;
	return true;
}

void on_one_cpu(void)
{
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		give_up("sched_setaffinity");
}

void cpus_alone(bool alone)
{
	const char *wanted = alone ? "0" : "1";
	char path[64];

	for (long cpu = 1; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%ld/online", cpu);
		errno = -file_write(path, wanted);
		if (errno)
			give_up(path);
	}
}

void knobs_calm(void)
{
	static const char * const files[] = {
		"fail_to_vram", "fail_to_ram", "fail_to_vram_every",
		"fail_to_ram_every", "delay_us",
	};
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(*files); i++)
		uv_knob_set(files[i], "0");
}

long long unused_kib(void)
{
	return file_value("/proc/meminfo", "MemFree:") + file_value("/proc/meminfo", "Slab:");
}

long not_zero(const void *addr, size_t len)
{
	const unsigned char *p = addr;
	size_t i;

	for (i = 0; i < len; i += sizeof(uint64_t))
		if (*(const uint64_t *)(p + i))
			return i;
	return -1;
}

size_t check_each(const void *addr, size_t len, uint64_t seed)
{
	const char *p = addr;
	size_t bad = 0, i;

	for (i = 0; i < len; i += PAGE)
		bad += check_pages(p + i, PAGE, seed) != -1;
	return bad;
}

uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

uint64_t rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

uint64_t now_ms(void)
{
	return now_ns() / 1000000;
}

bool kernel_is(const char *prefix)
{
	struct utsname name;
	size_t n = strlen(prefix);

	uname(&name);
	return !strncmp(name.release, prefix, n) &&
	       (name.release[n] < '0' || name.release[n] > '9');
}

bool sanitizers(void)
{
	return !access("/sys/kernel/debug/kmemleak", F_OK);
}

bool too_slow(void)
{
	return sanitizers() && access("/files/asked", F_OK);
}

long module_users(void)
{
	static const char file[] = "/sys/module/uffdvram/refcnt";
	char text[32];

	if (file_read(file, text, sizeof(text)) <= 0)
		give_up(file);
	return atol(text);
}

size_t soft_dirty(const char *mem, size_t pages)
{
	size_t n = 0, i;

	for (i = 0; i < pages; i++)
		n += !!(pagemap_entry(0, mem + i * PAGE) & PAGEMAP_SOFT_DIRTY);
	return n;
}

int threads_run(unsigned int n, void *(*fn)(void *arg), void *arg, size_t arg_size)
{
	pthread_t *thread = calloc(n, sizeof(*thread));
	unsigned int i, started;
	int err = 0;

	if (!thread)
		return -ENOMEM;
	for (started = 0; started < n && !err; started++)
		err = pthread_create(&thread[started], NULL, fn,
				     (char *)arg + started * arg_size);
	if (err)
		started--;
	for (i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
	free(thread);
	return -err;
}

int uffd_move(int uffd, void *to, const void *from, size_t len, uint64_t mode)
{
	struct uffdio_move arg = {
		.dst = ADDR(to), .src = ADDR(from), .len = len, .mode = mode,
	};

	return uv_ioctl(uffd, UFFDIO_MOVE, &arg);
}

int state_of(int fd, const void *page)
{
	struct uffdvram_query q;
	int state, ret = uv_query(fd, page, PAGE, &q);

	if (ret)
		return ret;
	for (state = 0; state <= UFFDVRAM_STATE_POISON; state++)
		if (q.count[state])
			return state;
	return -EIO;
}

int zram_new(const char *size)
{
	char text[16], path[64];
	int nr;

	if (file_read("/sys/class/zram-control/hot_add", text, sizeof(text)) <= 0)
		return -1;
	nr = atoi(text);
	snprintf(path, sizeof(path), "/sys/block/zram%d/disksize", nr);
	if (!file_write(path, size))
		return nr;
	zram_drop(nr);
	return -1;
}

void zram_drop(int nr)
{
	char text[16], path[64];

	snprintf(path, sizeof(path), "/sys/block/zram%d/reset", nr);
	file_write(path, "1");
	snprintf(text, sizeof(text), "%d", nr);
	file_write("/sys/class/zram-control/hot_remove", text);
}

void zram_path(int nr, char *path, size_t len)
{
	snprintf(path, len, "/dev/zram%d", nr);
}

/* Swap space as mkswap(8) makes it: version 1, one header page. */
static bool swap_format(const char *path, uint32_t pages)
{
	struct {
		char boot[1024];
		uint32_t version, last_page, bad_pages;
	} head = { .version = 1, .last_page = pages - 1 };
	char page[PAGE] = { 0 };
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	memcpy(page, &head, sizeof(head));
	memcpy(page + PAGE - 10, "SWAPSPACE2", 10);
	ok = write(fd, page, PAGE) == PAGE && !fsync(fd);
	close(fd);
	return ok;
}

static int swap_nr = -1;

bool swap_on(void)
{
	char path[32];

	if (file_value("/proc/meminfo", "SwapTotal:") > 0)
		return true;
	swap_nr = zram_new("64M");
	zram_path(swap_nr, path, sizeof(path));
	return swap_nr >= 0 && swap_format(path, MIB(64) / PAGE) && !swapon(path, 0);
}

void swap_off(void)
{
	char path[32];

	if (swap_nr < 0)
		return;
	zram_path(swap_nr, path, sizeof(path));
	swapoff(path);
	zram_drop(swap_nr);
	swap_nr = -1;
}

size_t swapped(const void *mem, size_t pages)
{
	size_t n = 0;

	for (size_t i = 0; i < pages; i++)
		n += !!(pagemap_entry(0, (const char *)mem + i * PAGE) & PAGEMAP_SWAPPED);
	return n;
}

bool swap_out(void *mem, size_t pages)
{
	uint64_t end = now_ms() + 120000;

	do {
		lru_drain();
		if (madvise(mem, pages * PAGE, MADV_PAGEOUT))
			return false;
		if (swapped(mem, pages) == pages)
			return true;
		sleep_ms(10);
	} while (now_ms() < end);
	return false;
}

#define KSM	"/sys/kernel/mm/ksm/"

bool ksm_on(void)
{
	return !file_write(KSM "pages_to_scan", "2000") &&
	       !file_write(KSM "sleep_millisecs", "5") && !file_write(KSM "run", "1");
}

void ksm_off(void)
{
	file_write(KSM "run", "2");	/* unmerge everything */
	file_write(KSM "run", "0");
}

long long ksm_merged(void)
{
	char text[32];

	return file_read("/proc/self/ksm_merging_pages", text, sizeof(text)) > 0 ?
	       atoll(text) : -1;
}

#define KHUGEPAGED	"/sys/kernel/mm/transparent_hugepage/khugepaged/"

bool khugepaged_on(void)
{
	return !file_write(KHUGEPAGED "scan_sleep_millisecs", "0") &&
	       !file_write(KHUGEPAGED "alloc_sleep_millisecs", "0") &&
	       !file_write(KHUGEPAGED "pages_to_scan", "100000");
}

void khugepaged_off(void)
{
	file_write(KHUGEPAGED "scan_sleep_millisecs", "10000");
	file_write(KHUGEPAGED "alloc_sleep_millisecs", "60000");
	file_write(KHUGEPAGED "pages_to_scan", "4096");
}

long pages_written(int pagemap, const void *mem, size_t len)
{
	struct page_region vec[64];
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = ADDR(mem),
		.end = ADDR(mem) + len,
		.vec = ADDR(vec),
		.vec_len = sizeof(vec) / sizeof(*vec),
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	long n, pages = 0;

	while (arg.start < arg.end) {
		n = uv_ioctl(pagemap, PAGEMAP_SCAN, &arg);
		if (n < 0)
			return -1;
		while (n--)
			pages += (vec[n].end - vec[n].start) / PAGE;
		arg.start = arg.walk_end;
	}
	return pages;
}

char *bar_view(void)
{
	void *view;
	int fd;

	if (file_write(VRAM_VIEW_SYSFS "enable", "1"))
		give_up("enable the second function");
	fd = open(VRAM_VIEW_SYSFS "resource2", O_RDWR | O_CLOEXEC);
	view = mmap(NULL, BAR_VIEW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (view == MAP_FAILED)
		give_up("map the BAR of the second function");
	close(fd);
	return view;
}

void bar_view_end(char *view)
{
	munmap(view, BAR_VIEW_BYTES);
	file_write(VRAM_VIEW_SYSFS "enable", "0");
}

long long pool_value(uint32_t pool, const char *word)
{
	static char text[65536];
	char begin[32], *line, *at = NULL;

	if (file_read("/sys/kernel/debug/uffdvram/pools", text, sizeof(text)) < 0)
		give_up("debugfs pools");
	snprintf(begin, sizeof(begin), "pool %u ", pool);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (!strncmp(line, begin, strlen(begin)))
			at = strstr(line, word);
	return at ? strtoll(at + strlen(word), NULL, 10) : -1;
}

bool huge_in_vram(int fd)
{
	struct uffdvram_info info;

	if (uv_info(fd, &info))
		give_up("INFO");
	return info.page_sizes & HUGE;
}

bool uv_scan_wp(int fd)
{
	struct uffdvram_info info;

	if (uv_info(fd, &info))
		give_up("INFO");
	return info.features & UFFDVRAM_FEATURE_SCAN_WP;
}

long huge_pages(int fd, const void *addr, size_t len)
{
	struct uffdvram_query q;
	int ret = uv_query(fd, addr, len, &q);

	return ret ? ret : (long)q.count[UFFDVRAM_STATE_HUGE];
}

bool fill_huge(int fd, void *mem, size_t len, uint64_t seed)
{
	for (int tries = 0; tries < 20; tries++) {
		fill_pages(mem, len, seed);
		if (huge_pages(fd, mem, len) == (long)(len / PAGE))
			return true;
		madvise(mem, len, MADV_DONTNEED);
		lru_drain();
		file_write("/proc/sys/vm/compact_memory", "1");
	}
	return false;
}

int collapse_huge(void *mem, size_t len)
{
	int tries, ret;

	for (tries = 0; tries < 50; tries++) {
		ret = madvise(mem, len, MADV_COLLAPSE) ? -errno : 0;
		if (!ret || ret == -EINVAL)
			break;
		lru_drain();
		file_write("/proc/sys/vm/compact_memory", "1");
	}
	return ret;
}

char *map_filled(int fd, size_t len, uint64_t seed)
{
	char *mem = map_huge(len);

	fill_pages(mem, len, seed);
	if (!fill_huge(fd, mem, len, seed))
		give_up("huge pages");
	return mem;
}

long pages_protected(int pagemap, const void *mem, size_t len)
{
	long pages = 0;
	uint64_t entry;

	for (size_t at = 0; at < len; at += PAGE) {
		if (pread(pagemap, &entry, 8, (ADDR(mem) + at) / PAGE * 8) != 8)
			return -1;
		pages += !!(entry & PAGEMAP_UFFD_WP);
	}
	return pages;
}
