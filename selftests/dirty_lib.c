// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 240 */
/* uffdvram_harvest(): both ways of write protection, other processes, what lies between. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "util_mm.h"
#include "lib_fixture.h"

typedef FIXTURE_DATA(armed) data;

/* The bitmap of a harvest, of 64 pages; ~0 - 1 for an error, which never is one. */
static uint64_t harvest(data *self, struct uffdvram_harvested *sum)
{
	uint64_t bits = 0;
	int ret;

	if (sum)
		sum->size = sizeof(*sum);
	ret = uffdvram_harvest(self->range, 0, LEN, -1, &bits, sum);
	return ret ? ~1ULL : bits;
}

#define BIT(i)	(1ULL << (i))

/* Lets writers go on, as a monitor does. */
static void *allow_writes(void *arg)
{
	data *self = arg;
	struct uffd_msg msg;

	while (uffd_wait(uffdvram_range_uffd(self->range), &msg, 60000)) {
		uint64_t off = (msg.arg.pagefault.address & ~(PAGE - 1)) - ADDR(self->mem);

		if (off == LEN - PAGE)
			break;
		if (uffdvram_range_unprotect(self->range, off, PAGE))
			give_up("unprotect");
	}
	uffdvram_range_unprotect(self->range, LEN - PAGE, PAGE);
	return NULL;
}

static void write_and_harvest(struct __test_metadata *_metadata, data *self)
{
	struct uffdvram_harvested sum;
	char buf[PAGE] = "x";

	ASSERT_EQ(32, uv_to_vram(self->fd, self->mem, LEN / 2));
	EXPECT_EQ(~0ULL, harvest(self, &sum));
	EXPECT_EQ(PAGES, sum.written);
	EXPECT_EQ(PAGES, sum.device);
	EXPECT_EQ(0, harvest(self, &sum));
	EXPECT_EQ(32, sum.left);
	EXPECT_LE(32, sum.scanned);
	EXPECT_EQ(0, sum.written);
	/* In RAM and in VRAM: written by CPUs, by COPY; read. */
	self->mem[3 * PAGE] = 1;
	self->mem[40 * PAGE] = 1;
	ASSERT_EQ(0, read_byte(self->mem + 5 * PAGE).signo);
	ASSERT_EQ(0, read_byte(self->mem + 41 * PAGE).signo);
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem + 7 * PAGE, PAGE, buf, NULL));
	ASSERT_EQ(0, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, self->mem + 50 * PAGE, PAGE, buf,
			     NULL));
	ASSERT_EQ(64, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(BIT(3) | BIT(7) | BIT(40) | BIT(50), harvest(self, &sum));
	EXPECT_EQ(4, sum.written);
	/* All is protected again, and in VRAM: nothing to look at. */
	EXPECT_EQ(0, harvest(self, &sum));
	EXPECT_EQ(0, sum.left);
	EXPECT_EQ(0, sum.scanned);
	for (int i = 0; i < 3; i++) {
		self->mem[i * 9 * PAGE]++;
		EXPECT_EQ(BIT(i * 9), harvest(self, NULL));
		EXPECT_EQ(0, harvest(self, NULL));
	}
}

TEST_F(armed, asynchronous)
{
	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	write_and_harvest(_metadata, self);
}

TEST_F(armed, synchronous)
{
	pthread_t monitor;

	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP));
	ASSERT_EQ(0, pthread_create(&monitor, NULL, allow_writes, self));
	write_and_harvest(_metadata, self);
	/* The end. */
	self->mem[LEN - PAGE] = 1;
	pthread_join(monitor, NULL);
	EXPECT_EQ(BIT(63), harvest(self, NULL));
}

/* Bits are added; and a piece is a piece. */
TEST_F(armed, pieces)
{
	uint64_t bits = BIT(20);

	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	ASSERT_EQ(~0ULL, harvest(self, NULL));
	for (int i = 0; i < 64; i += 3)
		self->mem[i * PAGE] = 1;
	ASSERT_EQ(0, uffdvram_harvest(self->range, 10 * PAGE, 5 * PAGE, -1, &bits, NULL));
	EXPECT_EQ(BIT(20) | BIT(2), bits);
	bits = harvest(self, NULL);
	for (int i = 0; i < 64; i++)
		EXPECT_EQ(i % 3 == 0 && i != 12, bits >> i & 1);
}

/* Poison, holes, and memory that is not there any more. */
TEST_F(armed, what_lies_between)
{
	struct uffdvram_harvested sum;
	uint64_t poison;

	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	ASSERT_EQ(~0ULL, harvest(self, NULL));
	ASSERT_EQ(0, uffdvram_range_poison(self->range, 5 * PAGE, PAGE, UFFDVRAM_POISON_REPLACE,
					   NULL));
	ASSERT_EQ(0, madvise(self->mem + 10 * PAGE, 2 * PAGE, MADV_DONTNEED));
	EXPECT_EQ(BIT(5) | BIT(10) | BIT(11), harvest(self, NULL));
	/* A hole is protected, and so is poison, after its kind, if by PAGEMAP_SCAN. */
	poison = uv_scan_wp(self->fd) ? 0 : BIT(5);
	EXPECT_EQ(poison, harvest(self, NULL));
	EXPECT_EQ(BUS_MCEERR_AR, read_byte(self->mem + 5 * PAGE).code);
	self->mem[11 * PAGE] = 1;
	ASSERT_EQ(0, munmap(self->mem + 30 * PAGE, 4 * PAGE));
	self->mem[29 * PAGE] = 1;
	self->mem[34 * PAGE] = 1;
	EXPECT_EQ(poison | BIT(11) | BIT(29) | BIT(34), harvest(self, &sum));
	ASSERT_EQ(0, uffdvram_range_unpoison(self->range, 5 * PAGE, PAGE, NULL));
	EXPECT_EQ(BIT(5), harvest(self, NULL));
	EXPECT_EQ(0, harvest(self, NULL));
}

static int device_writes(data *self, uint64_t off, uint64_t len, uint64_t written)
{
	struct uffdvram_slot_run runs[PAGES];
	struct uffdvram_lease lease;
	int ret;

	ret = uffdvram_access_begin(self->range, off, len, UFFDVRAM_ACCESS_WRITE, runs, PAGES,
				    &lease);
	if (ret || lease.done != len)
		return ret ? ret : -ENODATA;
	return uffdvram_access_end(self->ctx, lease.number, 0, &written, len / PAGE, NULL);
}

/*
 * Where nobody waits for writes, what the device wrote is not protected while it stays in
 * VRAM. It is told once; and once more when a CPU takes it home, if only to read it.
 */
TEST_F(armed, device_writes)
{
	struct uffdvram_harvested sum;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, pagemap);
	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	ASSERT_EQ(64, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(~0ULL, harvest(self, NULL));
	ASSERT_EQ(0, harvest(self, NULL));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, device_writes(self, 8 * PAGE, 8 * PAGE, 0x55));
		EXPECT_EQ(0x5500, harvest(self, &sum));
		EXPECT_EQ(4, sum.device);
		EXPECT_EQ(0, sum.scanned);
		EXPECT_EQ(4, pages_written(pagemap, self->mem, LEN));
		EXPECT_EQ(0, harvest(self, NULL));
	}
	ASSERT_EQ(0, read_byte(self->mem + 8 * PAGE).signo);
	ASSERT_EQ(0, read_byte(self->mem + 9 * PAGE).signo);
	EXPECT_EQ(BIT(8), harvest(self, NULL));
	EXPECT_EQ(0, harvest(self, NULL));
	self->mem[8 * PAGE]++;
	self->mem[9 * PAGE]++;
	self->mem[10 * PAGE]++;
	EXPECT_EQ(BIT(8) | BIT(9) | BIT(10), harvest(self, NULL));
	EXPECT_EQ(0, harvest(self, NULL));
	/* There and back again. */
	ASSERT_EQ(0, device_writes(self, 12 * PAGE, PAGE, 1));
	EXPECT_EQ(BIT(12), harvest(self, NULL));
	self->mem[12 * PAGE]++;
	self->mem[13 * PAGE]++;
	ASSERT_EQ(64, uv_to_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(BIT(12) | BIT(13), harvest(self, NULL));
	ASSERT_EQ(0, read_byte(self->mem + 12 * PAGE).signo);
	EXPECT_EQ(0, harvest(self, NULL));
	close(pagemap);
}

/* Where somebody waits for writes, it is. */
TEST_F(armed, device_writes_synchronous)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, pagemap);
	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP));
	ASSERT_EQ(64, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, device_writes(self, 0, LEN, 0xff));
	ASSERT_EQ(~0ULL, harvest(self, NULL));
	EXPECT_EQ(0, pages_written(pagemap, self->mem, LEN));
	ASSERT_EQ(0, uffdvram_range_unprotect(self->range, 0, LEN));
	ASSERT_EQ(0, device_writes(self, 0, LEN, 0x0f));
	EXPECT_EQ(0x0f, harvest(self, NULL));
	EXPECT_EQ(60, pages_written(pagemap, self->mem, LEN));
	close(pagemap);
}

/* PAGEMAP_SCAN itself protects nothing where a part is not armed any more. */
TEST_F(armed, mapped_anew)
{
	const uint64_t rest = ~(BIT(20) | BIT(21));

	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	ASSERT_EQ(~0ULL, harvest(self, NULL));
	ASSERT_EQ(self->mem + 20 * PAGE, mmap(self->mem + 20 * PAGE, 2 * PAGE,
					      PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	for (int i = 0; i < 3; i++) {
		self->mem[(i + 17) * PAGE]++;
		self->mem[20 * PAGE]++;
		self->mem[(i + 22) * PAGE]++;
		EXPECT_EQ(BIT(i + 17) | BIT(i + 22), harvest(self, NULL) & rest);
		EXPECT_EQ(0, harvest(self, NULL) & rest);
	}
}

/* The first time, what is not mapped any more does not keep the rest from being protected. */
TEST_F(armed, holes_in_the_mapping)
{
	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	ASSERT_EQ(0, munmap(self->mem + 30 * PAGE, PAGE));
	EXPECT_EQ(~0ULL, harvest(self, NULL));
	EXPECT_EQ(0, harvest(self, NULL));
}

static void *harvest_on(void *arg)
{
	bool *stop = ((void **)arg)[1];
	data *self = ((void **)arg)[0];

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED))
		harvest(self, NULL);
	return NULL;
}

/* One at a time: whoever comes second is told so, and may try again. */
TEST_F(armed, two_at_once)
{
	bool stop = false;
	void *arg[] = { self, &stop };
	uint64_t bits = 0, end = now_ms() + 60000;
	pthread_t other;
	int ret = 0;

	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	ASSERT_EQ(~0ULL, harvest(self, NULL));
	ASSERT_EQ(0, pthread_create(&other, NULL, harvest_on, arg));
	while (!ret && now_ms() < end)
		ret = uffdvram_harvest(self->range, 0, LEN, -1, &bits, NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(other, NULL);
	EXPECT_EQ(-EBUSY, ret);
	EXPECT_EQ(0, bits);
	/* Nothing is lost, and nobody is kept out for good. */
	self->mem[7 * PAGE]++;
	EXPECT_EQ(BIT(7), harvest(self, NULL));
}

/*
 * Nor does what is mapped anew there, which nobody has armed. PAGEMAP_SCAN of 6.12 takes a
 * hole there for written.
 */
TEST_F(armed, memory_that_is_not_armed)
{
	uint64_t hole = kernel_is("6.12") ? BIT(30) : 0;
	char *page = self->mem + 30 * PAGE;

	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	ASSERT_EQ(page, mmap(page, PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(~0ULL, harvest(self, NULL));
	EXPECT_EQ(hole, harvest(self, NULL));
	self->mem[29 * PAGE] = 1;
	self->mem[63 * PAGE] = 1;
	EXPECT_EQ(BIT(29) | BIT(63) | hole, harvest(self, NULL));
}

/* What the module reports is protected, but for that page. */
TEST_F(armed, memory_that_is_not_armed_synchronous)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t hole = kernel_is("6.12") ? BIT(30) : 0;
	char *page = self->mem + 30 * PAGE;

	ASSERT_LE(0, pagemap);
	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP));
	ASSERT_EQ(page, mmap(page, PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(~0ULL, harvest(self, NULL));
	EXPECT_EQ(0, pages_written(pagemap, self->mem, 30 * PAGE));
	EXPECT_EQ(0, pages_written(pagemap, page + PAGE, 33 * PAGE));
	EXPECT_EQ(hole, harvest(self, NULL));
	close(pagemap);
}

/* The library says that nobody waits for a write: no page is brought home for a lease. */
TEST_F(armed, lease)
{
	struct uffdvram_slot_run runs[PAGES];
	uint64_t written = BIT(9), revoked;
	struct uffdvram_lease lease;
	struct uffdvram_harvested sum;

	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	ASSERT_EQ(64, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(~0ULL, harvest(self, NULL));
	ASSERT_EQ(0, harvest(self, NULL));
	ASSERT_EQ(0, uffdvram_access_begin(self->range, 0, LEN, UFFDVRAM_ACCESS_WRITE, runs, PAGES,
					   &lease));
	EXPECT_EQ(LEN, lease.done);
	EXPECT_EQ(64, uv_in_vram(self->fd, self->mem, LEN));
	EXPECT_EQ(0, uffdvram_access_end(self->ctx, lease.number, 0, &written, 10, &revoked));
	EXPECT_EQ(0, revoked);
	/* What never left VRAM needs no look at the page tables. */
	EXPECT_EQ(BIT(9), harvest(self, &sum));
	EXPECT_EQ(1, sum.device);
	EXPECT_EQ(0, sum.scanned);
}

/* Without a descriptor for pagemap; nothing is lost by that. */
TEST_F(armed, no_descriptor)
{
	struct rlimit was, none;
	uint64_t bits = 0;

	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &was));
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = was.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, uffdvram_harvest(self->range, 0, LEN, -1, &bits, NULL));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &was));
	EXPECT_EQ(0, bits);
	EXPECT_EQ(~0ULL, harvest(self, NULL));
}

TEST_F(armed, calls_that_fail)
{
	uint64_t bits = 0;
	struct uffdvram_harvested sum = { .size = 8 };

	EXPECT_EQ(-ENOTCONN, uffdvram_harvest(self->range, 0, LEN, -1, &bits, NULL));
	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_MISSING));
	EXPECT_EQ(-ENOTCONN, uffdvram_harvest(self->range, 0, LEN, -1, &bits, NULL));
	ASSERT_EQ(0, uffdvram_range_disarm(self->range));
	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	EXPECT_EQ(-EINVAL, uffdvram_harvest(self->range, 0, LEN, -1, &bits, &sum));
	EXPECT_EQ(-EINVAL, uffdvram_harvest(self->range, PAGE, LEN, -1, &bits, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_harvest(self->range, 1, PAGE, -1, &bits, NULL));
	EXPECT_EQ(-EINVAL, uffdvram_harvest(self->range, 0, 0, -1, &bits, NULL));
	EXPECT_EQ(0, bits);
	/* What is no pagemap; and nothing is lost by that. */
	EXPECT_EQ(-ENOTTY, uffdvram_harvest(self->range, 0, LEN, 0, &bits, NULL));
	EXPECT_EQ(~0ULL, harvest(self, NULL));
	self->mem[9 * PAGE] = 1;
	bits = 0;
	EXPECT_EQ(-ENOTTY, uffdvram_harvest(self->range, 0, LEN, 0, &bits, NULL));
	EXPECT_EQ(BIT(9), harvest(self, NULL));
}

static bool manage(data *self, int pagemap)
{
	uint64_t bits = 0;

	return uffdvram_harvest(self->range, 0, LEN, -1, &bits, NULL) == -EXDEV &&
	       !uffdvram_harvest(self->range, 0, LEN, pagemap, &bits, NULL) &&
	       bits == (BIT(4) | BIT(40));
}

static int manager(int sock, void *arg)
{
	char path[64];
	int pagemap;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", getppid());
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	child_tell(sock, pagemap >= 0 && manage(arg, pagemap));
	return 0;
}

/* A memory manager, which was handed all descriptors. */
TEST_F(armed, from_another_process)
{
	struct child c;
	uint64_t ok;

	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	ASSERT_EQ(32, uv_to_vram(self->fd, self->mem, LEN / 2));
	ASSERT_EQ(~0ULL, harvest(self, NULL));
	self->mem[4 * PAGE] = 1;
	self->mem[40 * PAGE] = 1;
	c = child_start(manager, self);
	EXPECT_TRUE(child_hear(c.fd, &ok));
	EXPECT_EQ(1, ok);
	EXPECT_EQ(0, child_end(&c));
	EXPECT_EQ(0, harvest(self, NULL));
}

/*
 * Why UFFDIO_WRITEPROTECT: what PAGEMAP_SCAN itself protects in VRAM comes back, from a
 * fault that only reads, as written.
 */
TEST_F(armed, pagemap_scan_does_not_protect)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct page_region vec[4];
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = ADDR(self->mem),
		.end = ADDR(self->mem) + 2 * PAGE,
		.vec = ADDR(vec),
		.vec_len = 4,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};

	ASSERT_LE(0, pagemap);
	if (!uv_scan_wp(self->fd))
		SKIP(return, "PAGE_TABLE_CHECK warns of what the kernel does there");
	ASSERT_EQ(0, arm(self->range, UFFDVRAM_ARM_WP_ASYNC));
	ASSERT_EQ(64, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(1, uv_ioctl(pagemap, PAGEMAP_SCAN, &scan) < 0 ? -errno : 1);
	EXPECT_EQ(0, pages_written(pagemap, self->mem, 2 * PAGE));
	ASSERT_EQ(0, read_byte(self->mem).signo);
	EXPECT_EQ(1, pages_written(pagemap, self->mem, 2 * PAGE));
	/* By the library. */
	ASSERT_EQ(64, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(~0ULL, harvest(self, NULL));
	ASSERT_EQ(0, read_byte(self->mem).signo);
	EXPECT_EQ(0, pages_written(pagemap, self->mem, LEN));
	close(pagemap);
}

TEST_HARNESS_MAIN
