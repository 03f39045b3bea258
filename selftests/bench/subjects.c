// SPDX-License-Identifier: GPL-2.0-only
/* Who is measured: we, the floor, and what the kernel has already. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/fs.h>
#include <uffdvram/arm.h>
#include <uffdvram/poison.h>

#include "bench.h"
#include "floor/floor.h"

void must(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		give_up(what);
	}
}

/*
 * What is moved is not present; a page that stayed would make a number look good. A peer
 * passes over pages that somebody holds for a moment: its round is done again then.
 */
static bool check_where(const struct round *r, uint64_t bit)
{
	size_t i;

	for (i = 0; i < r->len; i += PAGE) {
		if (pagemap_entry(0, r->mem + i) & bit)
			continue;
		fprintf(stderr, "bench: %s: page %zu did not move\n", r->s->name, i / PAGE);
		if (r->s->bit & (OURS | FLOOR))
			_exit(1);
		measure_void();
		return false;
	}
	return true;
}

/* What moved as a whole is mapped by entries of 2 MiB still, or again. */
static void check_huge(const struct round *r, uint64_t where)
{
	struct page_region found;
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .start = ADDR(r->mem), .end = ADDR(r->mem) + r->len,
		.vec = ADDR(&found), .vec_len = 1,
		.category_mask = PAGE_IS_HUGE | where, .return_mask = PAGE_IS_HUGE,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		give_up("pagemap");
	if (ioctl(fd, PAGEMAP_SCAN, &arg) != 1 || found.start != arg.start ||
	    found.end != arg.end) {
		fprintf(stderr, "bench: %s: not all of it is mapped by 2 MiB\n", r->s->name);
		_exit(1);
	}
	close(fd);
}

/* Plain memory. */

static int plain_uffd = -1;

int plain_arm(char *mem, size_t len, unsigned int modes)
{
	uint64_t features = modes & UFFDIO_REGISTER_MODE_WP ?
		UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED : 0;

	plain_uffd = uffd_open(features);
	must(plain_uffd, "userfaultfd");
	must(uffd_register(plain_uffd, mem, len, modes), "UFFDIO_REGISTER");
	return plain_uffd;
}

static void plain_install(char *mem, const char *data, size_t len)
{
	must(uffd_copy(plain_uffd, mem, data, len, 0), "UFFDIO_COPY");
}

static void plain_poison(char *mem, size_t len, bool there)
{
	if (there)
		must(madvise(mem, len, MADV_DONTNEED) ? -errno : 0, "MADV_DONTNEED");
	must(uffd_poison(plain_uffd, mem, len), "UFFDIO_POISON");
}

static void plain_rearm(char *mem, size_t len)
{
	must(uffd_wp(plain_uffd, mem, len, true), "UFFDIO_WRITEPROTECT");
}

static void plain_drop(void)
{
	if (plain_uffd >= 0)
		close(plain_uffd);
	plain_uffd = -1;
}

/* Ours, as a VMM uses it: by the library. */

struct uffdvram_ctx *ours_ctx;
struct uffdvram_range *ours_range;
static struct uffdvram_pool *pool;
static char *range_mem;

static void ours_open(size_t len)
{
	const struct uffdvram_open_opts oopts = { .size = sizeof(oopts) };
	const struct uffdvram_pool_opts popts = {
		.size = sizeof(popts), .backend = UFFDVRAM_BACKEND_SIM, .bytes = len + len / 4,
	};

	must(uffdvram_open(&ours_ctx, &oopts), "open the device");
	must(uffdvram_pool_attach(&pool, ours_ctx, &popts), "attach a pool");
}

static void ours_close(void)
{
	uffdvram_close(ours_ctx);
}

static void ours_adopt(char *mem, size_t len)
{
	const struct uffdvram_range_opts opts = { .size = sizeof(opts), .pool = pool };

	must(uffdvram_range_register(&ours_range, ours_ctx, ADDR(mem), len, &opts), "register");
	range_mem = mem;
}

static void ours_drop(void)
{
	must(uffdvram_range_unregister(ours_range), "unregister");
}

static size_t ours_folios(void)
{
	return uv_stat("folios_in") + uv_stat("folios_out") + uv_stat("folios_fault");
}

static void ours_move(const char *mem, size_t len, unsigned int flags)
{
	struct uffdvram_moved moved = { .size = sizeof(moved) };

	must(uffdvram_range_move(ours_range, mem - range_mem, len, flags, &moved), "move");
	if (moved.moved != len / PAGE)
		give_up("not all pages moved");
}

static void ours_in(char *mem, size_t len)
{
	ours_move(mem, len, 0);
}

static void ours_out(char *mem, size_t len)
{
	ours_move(mem, len, UFFDVRAM_MOVE_TO_RAM);
}

static int ours_arm(char *mem, size_t len, unsigned int modes)
{
	const struct uffdvram_arm_opts opts = {
		.size = sizeof(opts),
		.flags = modes & UFFDIO_REGISTER_MODE_WP ? UFFDVRAM_ARM_WP_ASYNC :
							   UFFDVRAM_ARM_MISSING,
	};

	(void)mem, (void)len;
	must(uffdvram_range_arm(ours_range, &opts), "arm");
	return uffdvram_range_uffd(ours_range);
}

static void ours_install(char *mem, const char *data, size_t len)
{
	must(uffdvram_range_install(ours_range, mem - range_mem, data, len,
				    UFFDVRAM_INSTALL_QUEUE, NULL), "install");
	must(uffdvram_range_flush(ours_range, 0, NULL), "flush");
}

static void ours_poison(char *mem, size_t len, bool there)
{
	must(uffdvram_range_poison(ours_range, mem - range_mem, len,
				   there ? UFFDVRAM_POISON_REPLACE : 0, NULL), "poison");
}

static void ours_rearm(char *mem, size_t len)
{
	must(uffdvram_range_rearm(ours_range, mem - range_mem, len), "re-arm");
}

/* The floor, and test_hmm. */

#define HMM_TO_DEV	_IOWR('H', 0x02, struct hmm_cmd)
#define HMM_TO_SYS	_IOWR('H', 0x03, struct hmm_cmd)

int subject_fd = -1;
char *hmm_data;
static size_t hmm_len;

static void dev_open(const char *path)
{
	subject_fd = open(path, O_RDWR | O_CLOEXEC);
	must(subject_fd < 0 ? -errno : 0, path);
}

static void dev_close(void)
{
	close(subject_fd);
}

static void floor_open(size_t len)
{
	(void)len;
	dev_open(FLOOR_DEVICE);
}

static void floor_move(unsigned long cmd, char *mem, size_t len)
{
	struct floor_piece p = { ADDR(mem), len };

	must(ioctl(subject_fd, cmd, &p) ? -errno : 0, "the floor's ioctl");
}

static void floor_in(char *mem, size_t len)
{
	floor_move(FLOOR_IN, mem, len);
}

static void floor_out(char *mem, size_t len)
{
	floor_move(FLOOR_OUT, mem, len);
}

static void floor_install(char *mem, const char *data, size_t len)
{
	plain_install(mem, data, len);
	floor_in(mem, len);
}

static void hmm_open(size_t len)
{
	dev_open("/dev/hmm_dmirror0");
	hmm_len = len;
	hmm_data = map_small(len);
	memset(hmm_data, 1, len);
}

static void hmm_close(void)
{
	munmap(hmm_data, hmm_len);
	dev_close();
}

static void hmm_move(unsigned long cmd, char *mem, size_t len)
{
	struct hmm_cmd c = { .addr = ADDR(mem), .ptr = ADDR(hmm_data), .npages = len / PAGE };
	int ret = ioctl(subject_fd, cmd, &c) ? -errno : 0;

	/*
	 * Its read-back ends early where an entry of its own table was invalidated
	 * meanwhile. The pages have moved, at less than the full price.
	 */
	if (ret == -ENOENT)
		measure_void();
	else
		must(ret, "test_hmm's ioctl");
}

static void hmm_in(char *mem, size_t len)
{
	hmm_move(HMM_TO_DEV, mem, len);
}

static void hmm_out(char *mem, size_t len)
{
	hmm_move(HMM_TO_SYS, mem, len);
}

static void hmm_install(char *mem, const char *data, size_t len)
{
	plain_install(mem, data, len);
	hmm_in(mem, len);
}

/* Swap on compressed RAM: no userfaultfd's events for it, but a tier. */

static void zram_open(size_t len)
{
	(void)len;
	if (!swap_on())
		give_up("swap on zram");
}

static void zram_in(char *mem, size_t len)
{
	must(madvise(mem, len, MADV_PAGEOUT) ? -errno : 0, "MADV_PAGEOUT");
}

/* Other ways of finding out what is written. */

static size_t scan_pages;

static void scan_rearm(char *mem, size_t len)
{
	static struct page_region vec[64];
	struct pm_scan_arg arg = {
		.size = sizeof(arg), .flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = ADDR(mem), .end = ADDR(mem) + len,
		.vec = ADDR(vec), .vec_len = 64,
		.category_mask = PAGE_IS_WRITTEN, .return_mask = PAGE_IS_WRITTEN,
	};
	int i, n = ioctl(subject_fd, PAGEMAP_SCAN, &arg);

	must(n < 0 ? -errno : 0, "PAGEMAP_SCAN");
	if (arg.walk_end != ADDR(mem) + len)
		give_up("PAGEMAP_SCAN stopped half way");
	scan_pages = 0;
	for (i = 0; i < n; i++)
		scan_pages += (vec[i].end - vec[i].start) / PAGE;
}

static size_t scan_written(char *mem, size_t len)
{
	(void)mem, (void)len;
	return scan_pages;
}

static void proc_open(const char *path, int flags)
{
	subject_fd = open(path, flags | O_CLOEXEC);
	must(subject_fd < 0 ? -errno : 0, path);
}

static void scan_open(size_t len)
{
	(void)len;
	proc_open("/proc/self/pagemap", O_RDONLY);
}

static void soft_open(size_t len)
{
	(void)len;
	proc_open("/proc/self/clear_refs", O_WRONLY);
}

static void proc_close(void)
{
	close(subject_fd);
}

static int soft_arm(char *mem, size_t len, unsigned int modes)
{
	(void)mem, (void)len, (void)modes;
	return -1;
}

static void soft_rearm(char *mem, size_t len)
{
	(void)mem, (void)len;
	must(write(subject_fd, "4", 1) == 1 ? 0 : -errno, "clear_refs");
}

/*
 * test_hmm keeps the data of four devices, each with books of its own; the first
 * chunk of memory is as large as anything that is measured with it.
 */
const struct subject subjects[] = {
	{
		.bit = OURS, .name = "ours", .module = "uffdvram",
		.open = ours_open, .close = ours_close, .adopt = ours_adopt, .drop = ours_drop,
		.folios = ours_folios, .in = ours_in, .out = ours_out, .arm = ours_arm,
		.install = ours_install, .rearm = ours_rearm, .poison = ours_poison,
		.device_write = ours_device_write, .harvest = ours_harvest,
		.harvested = ours_harvested, .lease = ours_lease, .convert = ours_convert,
	}, {
		.bit = FLOOR, .name = "floor", .module = "uffdvram_floor",
		.file = "/files/uffdvram-floor.ko", .params = "mib=64",
		.open = floor_open, .close = dev_close, .drop = plain_drop,
		.in = floor_in, .out = floor_out, .arm = plain_arm, .install = floor_install,
	}, {
		.bit = HMM, .name = "test_hmm", .module = "test_hmm",
		.file = "/files/test_hmm.ko", .params = "",
		.open = hmm_open, .close = hmm_close, .drop = plain_drop,
		.in = hmm_in, .out = hmm_out, .arm = plain_arm, .install = hmm_install,
		.lease = hmm_lease,
	}, {
		.bit = LEAN, .name = "lean", .module = "test_hmm_lean",
		.file = "/files/test_hmm_lean.ko", .params = "",
		.open = hmm_open, .close = hmm_close, .drop = plain_drop,
		.in = hmm_in, .out = hmm_out, .arm = plain_arm, .install = hmm_install,
	}, {
		.bit = ZRAM, .name = "zram",
		.open = zram_open, .close = swap_off, .in = zram_in,
	}, {
		.bit = UFFD, .name = "userfaultfd", .drop = plain_drop,
		.arm = plain_arm, .install = plain_install, .rearm = plain_rearm,
		.poison = plain_poison,
	}, {
		.bit = SCAN, .name = "pagemap_scan", .drop = plain_drop,
		.open = scan_open, .close = proc_close, .arm = plain_arm, .rearm = scan_rearm,
		.written = scan_written, .harvest = scan_harvest,
		.harvested = scan_harvested,
	}, {
		.bit = SCAN_BITS, .name = "scan_to_bitmap", .drop = plain_drop,
		.open = scan_open, .close = proc_close, .arm = plain_arm,
		.harvest = bits_harvest, .harvested = bits_harvested,
	}, {
		.bit = SOFT, .name = "soft_dirty",
		.open = soft_open, .close = proc_close, .arm = soft_arm, .rearm = soft_rearm,
	}, {
		.bit = KVM, .name = "kvm_dirty_log", .drop = kvm_drop, .arm = kvm_arm,
		.dirty = kvm_dirty, .rearm = kvm_rearm, .written = kvm_written,
	}, {
		.bit = PLAIN, .name = "plain", .convert = plain_convert,
	}, { 0 }
};

/* For rows.c: where pages must be after a move. */
void check_in(const struct round *r)
{
	if (check_where(r, PAGEMAP_SWAPPED) && r->huge)
		check_huge(r, PAGE_IS_SWAPPED);
}

void check_home(const struct round *r)
{
	if (check_where(r, PAGEMAP_PRESENT) && r->huge)
		check_huge(r, PAGE_IS_PRESENT);
}
