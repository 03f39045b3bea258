// SPDX-License-Identifier: GPL-2.0-only
/* BACKENDS: pci nvidia */
/* TIMEOUT: 240 */
/*
 * CONVERT: what is private keeps its contents, nobody but the device gets at it, and it
 * becomes so all at once or not at all. What becomes of it when its process, range or pool
 * goes is the subject of convert_ends.c.
 */
#include <kselftest_harness.h>
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include "util_mm.h"
#include "vcpu.h"
#include "convert_fixture.h"
#include "other_slot.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#endif

TEST_F(convert, keeps_contents)
{
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, to_private(self));
		EXPECT_EQ(0, self->c.bad_addr + self->c.cause);
		EXPECT_EQ(PAGES, private_pages(self->fd, self->mem, LEN));
		EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
		EXPECT_EQ(PAGES, uv_slots_in_use());
		/* Again, and half of it already shared. */
		EXPECT_EQ(0, to_private(self));
		EXPECT_EQ(0, uv_convert(self->fd, 0, self->mem, LEN / 2, 0, NULL));
		EXPECT_EQ(PAGES / 2, private_pages(self->fd, self->mem, LEN));
		EXPECT_EQ(0, to_private(self));
		EXPECT_EQ(PAGES, private_pages(self->fd, self->mem, LEN));
		ASSERT_EQ(0, to_shared(self));
		EXPECT_EQ(0, self->c.bad_addr + self->c.cause);
		EXPECT_EQ(0, private_pages(self->fd, self->mem, LEN));
		EXPECT_EQ(PAGES, uv_in_vram(self->fd, self->mem, LEN));
		/* From VRAM the first time, from RAM the next. */
		if (i)
			EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	}
	EXPECT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(0, uv_slots_in_use());
}

TEST_F(convert, cpu_is_refused)
{
	uint64_t before;

	ASSERT_EQ(0, uv_convert(self->fd, PRIVATE | WAIT, self->mem + PAGE, PAGE, 60000, NULL));
	before = uv_stat("private_refused");
	EXPECT_TRUE(refused(self->mem + PAGE));
	EXPECT_TRUE(refused(self->mem + 2 * PAGE - 1));
	EXPECT_EQ(before + 4, uv_stat("private_refused"));
	EXPECT_EQ(1, private_pages(self->fd, self->mem, LEN));
	/* Its neighbours are as they were. */
	EXPECT_EQ(0, read_byte(self->mem).signo);
	EXPECT_EQ(0, read_byte(self->mem + 2 * PAGE).signo);
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

TEST_F(convert, system_calls_are_refused)
{
	char *buf = map_small(PAGE), *page = self->mem + 3 * PAGE;
	struct iovec here = { buf, PAGE }, there = { page, PAGE };
	int p[2], mem = open("/proc/self/mem", O_RDWR);
	struct uffdvram_migrate m;
	uint64_t done;

	memset(buf, 7, PAGE);
	ASSERT_EQ(0, pipe(p));
	ASSERT_LE(0, mem);
	ASSERT_EQ(0, to_private(self));
	EXPECT_EQ(-1, write(p[1], page, PAGE));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(PAGE, write(p[1], buf, PAGE));
	EXPECT_EQ(-1, read(p[0], page, PAGE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, vmsplice(p[1], &there, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, process_vm_readv(getpid(), &here, 1, &there, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, process_vm_writev(getpid(), &here, 1, &there, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pread(mem, buf, PAGE, (off_t)page));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, pwrite(mem, buf, PAGE, (off_t)page));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, madvise(page, PAGE, MADV_POPULATE_READ));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_NE(0, mlock(page, PAGE));
	munlock(page, PAGE);
	EXPECT_EQ(-EACCES, uv_copy(self->fd, 0, page, PAGE, buf, &done));
	EXPECT_EQ(0, done);
	EXPECT_EQ(-EACCES, uv_copy(self->fd, UFFDVRAM_COPY_WRITE, page, PAGE, buf, &done));
	EXPECT_EQ(-EACCES, uv_copy(self->fd, UFFDVRAM_COPY_NOFAULT, page, PAGE, buf, &done));
	/* Nothing came of any of that, nor would it leave. */
	for (int i = 0; i < (int)PAGE; i++)
		ASSERT_EQ(7, buf[i]);
	ASSERT_EQ(0, uv_migrate(self->fd, self->mem, LEN, UFFDVRAM_MIGRATE_TO_RAM, &m));
	EXPECT_EQ(PAGES, m.stayed[UFFDVRAM_STAY_PRIVATE]);
	EXPECT_EQ(ADDR(self->mem), m.first[UFFDVRAM_STAY_PRIVATE]);
	EXPECT_EQ(PAGES, private_pages(self->fd, self->mem, LEN));
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	munmap(buf, PAGE);
	close(mem);
	close(p[0]);
	close(p[1]);
}

/* Of each batch of COPY, what comes before is copied. */
TEST_F(convert, copy_ends_before)
{
	char *buf = map_small(LEN);
	uint64_t done;

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_convert(self->fd, PRIVATE, self->mem + 40 * PAGE, PAGE, 0, NULL));
	EXPECT_EQ(-EACCES, uv_copy(self->fd, 0, self->mem, LEN, buf, &done));
	EXPECT_EQ(40 * PAGE, done);
	EXPECT_EQ(-1, check_pages_as(buf, 40 * PAGE, self->mem, 1));
	EXPECT_EQ(-1, not_zero(buf + 40 * PAGE, LEN - 40 * PAGE));
	munmap(buf, LEN);
}

static int traced(int fd, void *arg)
{
	data *self = arg;
	uint64_t word;
	int own = uv_open();
	uint32_t pool;

	self->fd = own;
	if (own < 0 || uv_attach(own, POOL, 0, &pool))
		return 1;
	self->mem = map_small(LEN);
	fill_pages(self->mem, LEN, 1);
	if (uv_register(own, self->mem, LEN, pool, NULL) || to_private(self))
		return 2;
	child_tell(fd, ADDR(self->mem));
	return child_hear(fd, &word) && !to_shared(self) &&
	       check_pages(self->mem, LEN, 1) == -1 ? 0 : 3;
}

TEST_F(convert, tracer_is_refused)
{
	FIXTURE_DATA(convert) other = { .fd = -1 };
	struct child c = child_start(traced, &other);
	uint64_t addr;

	ASSERT_TRUE(child_hear(c.fd, &addr));
	ASSERT_EQ(0, ptrace(PTRACE_ATTACH, c.pid, NULL, NULL));
	ASSERT_EQ(c.pid, waitpid(c.pid, NULL, 0));
	errno = 0;
	EXPECT_EQ(-1, ptrace(PTRACE_PEEKDATA, c.pid, (void *)(uintptr_t)addr, NULL));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, ptrace(PTRACE_POKEDATA, c.pid, (void *)(uintptr_t)addr, 5L));
	EXPECT_EQ(EIO, errno);
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, c.pid, NULL, NULL));
	child_tell(c.fd, 1);
	EXPECT_EQ(0, child_end(&c));
}

/* mov 0x3000, %eax; out %eax, $0x10; hlt */
static const unsigned char guest[] = { 0xa1, 0, 0x30, 0, 0, 0xe7, 0x10, 0xf4 };

TEST_F(convert, guest_is_refused)
{
	struct kvm_regs regs = { .rip = 0x1000 };
	struct vcpu v;
	unsigned int word;

	if (vcpu_new(&v))
		SKIP(return, "no /dev/kvm");
	memcpy(self->mem + 0x1000, guest, sizeof(guest));
	memcpy(self->mem + 0x3000, "word", 4);
	ASSERT_EQ(0, vcpu_memory(&v, 0, self->mem, LEN));
	ASSERT_EQ(0, uv_convert(self->fd, PRIVATE | WAIT, self->mem + 0x3000, PAGE, 60000, NULL));
	ASSERT_EQ(0, vcpu_start(&v, &regs));
	EXPECT_EQ(-EFAULT, vcpu_run(&v, &word, NULL));
	EXPECT_EQ(-EFAULT, vcpu_run(&v, &word, NULL));
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(0x10, vcpu_run(&v, &word, NULL));
	EXPECT_EQ(0, memcmp(&word, "word", 4));
	/* What the guest has mapped goes from there, too. */
	ASSERT_EQ(0, uv_convert(self->fd, PRIVATE | WAIT, self->mem + 0x3000, PAGE, 60000, NULL));
	ASSERT_EQ(0, vcpu_start(&v, &regs));
	EXPECT_EQ(-EFAULT, vcpu_run(&v, &word, NULL));
	vcpu_free(&v);
}

/* One page in the middle is held by somebody: nothing is private, and it is named. */
TEST_F(convert, all_or_nothing)
{
	struct pin pin;

	pin_page(&pin, self->mem + 37 * PAGE);
	EXPECT_EQ(-EBUSY, uv_convert(self->fd, PRIVATE, self->mem, LEN, 0, &self->c));
	EXPECT_EQ(ADDR(self->mem + 37 * PAGE), self->c.bad_addr);
	EXPECT_EQ(UFFDVRAM_STAY_PINNED, self->c.cause);
	EXPECT_EQ(0, private_pages(self->fd, self->mem, LEN));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	unpin(&pin);
	EXPECT_EQ(0, to_private(self));
	EXPECT_EQ(PAGES, private_pages(self->fd, self->mem, LEN));
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

static void *unpin_later(void *arg)
{
	sleep_ms(500);
	unpin(arg);
	return NULL;
}

TEST_F(convert, waits)
{
	uint64_t since = now_ms();
	pthread_t thread;
	struct pin pin;

	pin_page(&pin, self->mem + 37 * PAGE);
	EXPECT_EQ(-EBUSY, uv_convert(self->fd, PRIVATE | WAIT, self->mem, LEN, 300, &self->c));
	EXPECT_LE(295, now_ms() - since);
	EXPECT_EQ(ADDR(self->mem + 37 * PAGE), self->c.bad_addr);
	EXPECT_EQ(UFFDVRAM_STAY_PINNED, self->c.cause);
	EXPECT_EQ(0, private_pages(self->fd, self->mem, LEN));
	ASSERT_EQ(0, pthread_create(&thread, NULL, unpin_later, &pin));
	EXPECT_EQ(0, uv_convert(self->fd, PRIVATE | WAIT, self->mem, LEN, 60000, &self->c));
	EXPECT_EQ(0, self->c.bad_addr + self->c.cause);
	pthread_join(thread, NULL);
	EXPECT_EQ(PAGES, private_pages(self->fd, self->mem, LEN));
}

static void nothing(int signo)
{
	(void)signo;
}

TEST_F(convert, waits_until_a_signal)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct itimerval often = { { 1, 0 }, { 1, 0 } }, never = {};
	uint64_t since = now_ms();
	struct pin pin;

	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	pin_page(&pin, self->mem);
	/* The first one may come before the call. */
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	EXPECT_EQ(-EINTR, uv_convert(self->fd, PRIVATE | WAIT, self->mem, LEN, 60000, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
	EXPECT_GT(30000, now_ms() - since);
	EXPECT_EQ(0, private_pages(self->fd, self->mem, LEN));
	unpin(&pin);
}

TEST_F(convert, arguments)
{
	int fd = self->fd;
	char *p = self->mem;

	EXPECT_EQ(-EINVAL, uv_convert(fd, PRIVATE, p, 0, 0, NULL));
	EXPECT_EQ(-EINVAL, uv_convert(fd, PRIVATE, p + 1, PAGE, 0, NULL));
	EXPECT_EQ(-EINVAL, uv_convert(fd, PRIVATE, p, PAGE + 1, 0, NULL));
	EXPECT_EQ(-EINVAL, uv_convert(fd, PRIVATE, p, -PAGE, 0, NULL));
	EXPECT_EQ(-EINVAL, uv_convert(fd, PRIVATE | WAIT, p, PAGE, 0, NULL));
	EXPECT_EQ(-EINVAL, uv_convert(fd, PRIVATE, p, PAGE, 1, &self->c));
	EXPECT_EQ(0, self->c.bad_addr + self->c.cause);
	EXPECT_EQ(-EOPNOTSUPP, uv_convert(fd, 1U << 2, p, PAGE, 0, NULL));
	EXPECT_EQ(-ENOENT, uv_convert(fd, PRIVATE | WAIT, p, LEN + PAGE, 60000, &self->c));
	EXPECT_EQ(ADDR(p + LEN), self->c.bad_addr);
	EXPECT_EQ(-ENOENT, uv_convert(fd, 0, p, LEN + PAGE, 0, &self->c));
	EXPECT_EQ(ADDR(p + LEN), self->c.bad_addr);
	ASSERT_EQ(0, munmap(p + 9 * PAGE, PAGE));
	EXPECT_EQ(-EFAULT, uv_convert(fd, PRIVATE | WAIT, p, LEN, 60000, &self->c));
	EXPECT_EQ(ADDR(p + 9 * PAGE), self->c.bad_addr);
	EXPECT_EQ(-EFAULT, uv_convert(fd, 0, p, LEN, 0, &self->c));
	ASSERT_EQ(p + 9 * PAGE, mmap(p + 9 * PAGE, PAGE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(-EINVAL, uv_convert(fd, PRIVATE | WAIT, p, LEN, 60000, &self->c));
	EXPECT_EQ(ADDR(p + 9 * PAGE), self->c.bad_addr);
	EXPECT_EQ(0, private_pages(fd, p, LEN));
	ASSERT_EQ(0, uv_poison(fd, UFFDVRAM_POISON_REPLACE, p + 5 * PAGE, PAGE, NULL));
	EXPECT_EQ(-EHWPOISON, uv_convert(fd, PRIVATE | WAIT, p, 9 * PAGE, 60000, &self->c));
	EXPECT_EQ(ADDR(p + 5 * PAGE), self->c.bad_addr);
	EXPECT_EQ(-EHWPOISON, uv_convert(fd, 0, p, 9 * PAGE, 0, &self->c));
	EXPECT_EQ(ADDR(p + 5 * PAGE), self->c.bad_addr);
	EXPECT_EQ(0, private_pages(fd, p, LEN));
	ASSERT_EQ(0, uv_detach(fd, self->pool, 0, NULL));
	EXPECT_EQ(-ENODEV, uv_convert(fd, PRIVATE | WAIT, p, PAGE, 60000, NULL));
}

TEST_F(convert, no_room)
{
	char *mem = map_small(2 * POOL);

	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * POOL, self->pool, NULL));
	EXPECT_EQ(-ENOSPC, uv_convert(self->fd, PRIVATE, mem, 2 * POOL, 0, &self->c));
	EXPECT_EQ(ADDR(mem) + POOL, self->c.bad_addr);
	EXPECT_EQ(0, private_pages(self->fd, mem, 2 * POOL));
	munmap(mem, 2 * POOL);
	ASSERT_EQ(0, file_write("/sys/module/uffdvram/parameters/slot_quota", "40"));
	EXPECT_EQ(-EDQUOT, uv_convert(self->fd, PRIVATE | WAIT, self->mem, LEN, 60000, &self->c));
	EXPECT_EQ(0, file_write("/sys/module/uffdvram/parameters/slot_quota", "0"));
	EXPECT_EQ(0, private_pages(self->fd, self->mem, LEN));
	EXPECT_EQ(0, to_private(self));
}

/* For what is wrong with one page, which is named. */
TEST_F(convert, pages_that_cannot_be_private)
{
	char *p = self->mem;
	int uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED);

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, p, LEN));
	uv_knob_set("fail_to_ram", "%d", 1);
	EXPECT_EQ(SIGBUS, read_byte(p + 3 * PAGE).signo);
	EXPECT_EQ(-EHWPOISON, to_private(self));
	EXPECT_EQ(ADDR(p + 3 * PAGE), self->c.bad_addr);
	EXPECT_EQ(-EHWPOISON, to_shared(self));
	EXPECT_EQ(ADDR(p + 3 * PAGE), self->c.bad_addr);
	ASSERT_EQ(1, uv_to_ram(self->fd, p + 5 * PAGE, PAGE));
	uv_knob_set("fail_to_vram", "%d", 1);
	EXPECT_EQ(-EIO, uv_convert(self->fd, PRIVATE | WAIT, p + 4 * PAGE, 4 * PAGE, 60000,
				   &self->c));
	EXPECT_EQ(ADDR(p + 5 * PAGE), self->c.bad_addr);
	/* Protected, and nothing is there yet; nor can anybody read it. */
	ASSERT_EQ(0, uffd_register(uffd, p + 8 * PAGE, PAGE, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, madvise(p + 8 * PAGE, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, uffd_wp(uffd, p + 8 * PAGE, PAGE, true));
	ASSERT_EQ(0, mprotect(p + 8 * PAGE, PAGE, PROT_NONE));
	EXPECT_EQ(-EFAULT, uv_convert(self->fd, PRIVATE | WAIT, p + 7 * PAGE, 4 * PAGE, 60000,
				      &self->c));
	EXPECT_EQ(ADDR(p + 8 * PAGE), self->c.bad_addr);
	EXPECT_EQ(0, private_pages(self->fd, p, LEN));
	EXPECT_EQ(-1, check_pages(p + 4 * PAGE, 4 * PAGE, 1));
	close(uffd);
}

/* Of a linear range: somebody has its slot, and cannot come home. */
TEST_F(convert, slot_of_another)
{
	char *mem = map_small(4 * PAGE), *away = map_small(PAGE);
	struct uffdvram_range_register arg = {
		.size = sizeof(arg), .flags = UFFDVRAM_RANGE_LINEAR, .pool = self->pool,
		.addr = ADDR(mem), .len = 4 * PAGE, .pool_off = MIB(4),
	};

	fill_pages(mem, 4 * PAGE, 2);
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &arg));
	ASSERT_EQ(4, uv_to_vram(self->fd, mem, 4 * PAGE));
	ASSERT_EQ(away, mremap(mem + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, away));
	ASSERT_EQ(mem + 2 * PAGE, mmap(mem + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	fill_pages(mem + 2 * PAGE, PAGE, 2);
	uv_knob_set("fail_to_ram", "%d", 1);
	EXPECT_EQ(-EBUSY, uv_convert(self->fd, PRIVATE, mem, 4 * PAGE, 0, &self->c));
	EXPECT_EQ(UFFDVRAM_STAY_SLOT_BUSY, self->c.cause);
	EXPECT_EQ(ADDR(mem + 2 * PAGE), self->c.bad_addr);
	EXPECT_EQ(0, private_pages(self->fd, mem, 4 * PAGE));
	EXPECT_EQ(-1, check_pages(mem, 4 * PAGE, 2));
	munmap(mem, 4 * PAGE);
	munmap(away, PAGE);
}

/* A hole of memory that nobody watches is a page of zeroes. */
TEST_F(convert, missing_pages)
{
	char *p = self->mem;
	int uffd = uffd_open(0);

	ASSERT_EQ(0, madvise(p + 4 * PAGE, 2 * PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, read_byte(p + 5 * PAGE).signo);	/* the zero page */
	ASSERT_EQ(0, to_private(self));
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, not_zero(p + 4 * PAGE, 2 * PAGE));
	EXPECT_EQ(-1, check_pages(p, 4 * PAGE, 1));
	EXPECT_EQ(-1, check_pages(p + 6 * PAGE, LEN - 6 * PAGE, 1));

	/* Where somebody waits for them, they are his. A zero page is there. */
	ASSERT_EQ(0, uffd_register(uffd, p, LEN, UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0, madvise(p + 4 * PAGE, 2 * PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, uffd_zeropage(uffd, p + 4 * PAGE, PAGE));
	EXPECT_EQ(-ENODATA, uv_convert(self->fd, PRIVATE | WAIT, p, LEN, 60000, &self->c));
	EXPECT_EQ(ADDR(p + 5 * PAGE), self->c.bad_addr);
	EXPECT_EQ(0, self->c.cause);
	EXPECT_EQ(0, private_pages(self->fd, p, LEN));
	ASSERT_EQ(0, uffd_zeropage(uffd, p + 5 * PAGE, PAGE));
	EXPECT_EQ(0, to_private(self));
	close(uffd);
}

static int child_converts(int fd, void *arg)
{
	(void)fd;
	return -to_private(arg);
}

/* What is swapped out is brought in for it, also if another process asks. */
TEST_F(convert, swapped)
{
	if (!swap_on())
		SKIP(return, "no zram on this machine");
	on_one_cpu();
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTFORK));
	ASSERT_TRUE(swap_out(self->mem, PAGES));
	EXPECT_EQ(0, run_child(child_converts, self));
	EXPECT_EQ(PAGES, private_pages(self->fd, self->mem, LEN));
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
	swap_off();
}

static bool are_merged(void *pages)
{
	return ksm_merged() >= *(long long *)pages;
}

/* What KSM has merged with others becomes a page of its own first. */
TEST_F(convert, merged)
{
	long long want = PAGES;

	if (!ksm_on())
		SKIP(return, "no KSM in this kernel");
	for (int i = 1; i < PAGES; i++)
		memcpy(self->mem + i * PAGE, self->mem, PAGE);
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_MERGEABLE));
	ASSERT_TRUE(wait_until(are_merged, &want, 60000)) TH_LOG("%lld merged", ksm_merged());
	ASSERT_EQ(0, to_private(self));
	EXPECT_EQ(PAGES, private_pages(self->fd, self->mem, LEN));
	ksm_off();
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages(self->mem, PAGE, 1));
	for (int i = 1; i < PAGES; i++)
		EXPECT_EQ(0, memcmp(self->mem + i * PAGE, self->mem, PAGE));
}

/* Nobody is asked, and pages that were protected still are. */
TEST_F(convert, protected_pages)
{
	char *p = self->mem;
	int uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED);

	ASSERT_EQ(0, madvise(p + 4 * PAGE, 2 * PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, uffd_register(uffd, p, LEN, UFFDIO_REGISTER_MODE_WP));
	ASSERT_EQ(0, uffd_wp(uffd, p, 8 * PAGE, true));
	ASSERT_EQ(0, to_private(self));
	ASSERT_EQ(0, to_shared(self));
	for (int i = 0; i < 8; i++)
		EXPECT_TRUE(pagemap_entry(0, p + i * PAGE) & PAGEMAP_UFFD_WP);
	EXPECT_EQ(-1, check_pages(p, 4 * PAGE, 1));
	EXPECT_EQ(-1, not_zero(p + 4 * PAGE, 2 * PAGE));
	close(uffd);
}

/* The device has them, and CPUs do not wait for it. */
TEST_F(convert, leases)
{
	struct uffdvram_access_begin b;
	struct uffdvram_slot_run vec[PAGES];
	uint64_t waits = uv_stat("leases_waits"), revoked;

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_access_begin(self->fd, 0, self->mem + 5 * PAGE, PAGE, vec, 1, &b));
	EXPECT_EQ(-EBUSY, uv_convert(self->fd, PRIVATE, self->mem, LEN, 0, &self->c));
	EXPECT_EQ(UFFDVRAM_STAY_LEASED, self->c.cause);
	EXPECT_EQ(ADDR(self->mem + 5 * PAGE), self->c.bad_addr);
	EXPECT_EQ(0, private_pages(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_access_end(self->fd, b.lease, 0, NULL, 0, NULL));
	ASSERT_EQ(0, to_private(self));
	ASSERT_EQ(0, uv_access_begin(self->fd, UFFDVRAM_ACCESS_WRITE, self->mem, LEN, vec, PAGES,
				     &b));
	EXPECT_EQ(LEN, b.done);
	EXPECT_EQ(0, to_private(self));
	EXPECT_TRUE(refused(self->mem + PAGE));
	EXPECT_EQ(waits, uv_stat("leases_waits"));
	uv_knob_set("flip", "%u %llu", self->pool, (unsigned long long)vec[0].off);
	EXPECT_EQ(0, uv_access_end(self->fd, b.lease, UFFDVRAM_ACCESS_WRITTEN_ALL, NULL, 0,
				   &revoked));
	EXPECT_EQ(0, revoked);
	EXPECT_TRUE(refused(self->mem));
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(0, check_pages(self->mem, LEN, 1));
	EXPECT_EQ(-1, check_pages(self->mem + PAGE, LEN - PAGE, 1));
}

/* Nobody wrote, and nothing left. */
TEST_F(convert, harvest)
{
	struct uffdvram_region vec[4];
	struct uffdvram_harvest h = {
		.size = sizeof(h), .range = self->range, .addr = ADDR(self->mem), .len = LEN,
		.vec = ADDR(vec), .vec_len = 4,
	};
	struct uffdvram_harvest commit = {
		.size = sizeof(h), .flags = UFFDVRAM_HARVEST_COMMIT, .range = self->range,
	};

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_HARVEST, &h));
	commit.cookie = h.cookie;
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_HARVEST, &commit));
	ASSERT_EQ(0, to_private(self));
	h.cookie = 0;
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_HARVEST, &h));
	EXPECT_EQ(0, h.used);
	EXPECT_EQ(LEN, h.done);
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages(self->mem, LEN, 1));
}

/* Over ranges that are neighbours, and pools. */
TEST_F(convert, ranges)
{
	char *mem = map_small(4 * PAGE);
	uint32_t pool;

	fill_pages(mem, 4 * PAGE, 2);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &pool));
	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * PAGE, self->pool, NULL));
	ASSERT_EQ(0, uv_register(self->fd, mem + 2 * PAGE, 2 * PAGE, pool, NULL));
	ASSERT_EQ(0, uv_convert(self->fd, PRIVATE | WAIT, mem, 4 * PAGE, 60000, NULL));
	EXPECT_EQ(4, private_pages(self->fd, mem, 4 * PAGE));
	ASSERT_EQ(0, uv_convert(self->fd, 0, mem, 4 * PAGE, 0, NULL));
	EXPECT_EQ(-1, check_pages(mem, 4 * PAGE, 2));
	munmap(mem, 4 * PAGE);
	EXPECT_EQ(0, uv_detach(self->fd, pool, 0, NULL));
}

/* What lives in another range's slot comes to its own first. */
TEST_F(convert, moved_here)
{
	char *mem = map_small(2 * PAGE);
	uint32_t pool;

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	ASSERT_EQ(mem, mremap(self->mem + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, mem));
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), 0, &pool));
	ASSERT_EQ(0, uv_register(self->fd, mem, 2 * PAGE, pool, NULL));
	ASSERT_EQ(0, uv_convert(self->fd, PRIVATE | WAIT, mem, 2 * PAGE, 60000, NULL));
	EXPECT_EQ(2, private_pages(self->fd, mem, 2 * PAGE));
	/* Now it cannot leave its slot, wherever it goes. */
	ASSERT_EQ(self->mem + PAGE, mremap(mem, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
					   self->mem + PAGE));
	EXPECT_TRUE(refused(self->mem + PAGE));
	EXPECT_EQ(-EBUSY, uv_convert(self->fd, PRIVATE, self->mem, LEN, 0, &self->c));
	EXPECT_EQ(UFFDVRAM_STAY_PRIVATE, self->c.cause);
	EXPECT_EQ(ADDR(self->mem + PAGE), self->c.bad_addr);
	ASSERT_EQ(0, to_shared(self));
	EXPECT_EQ(-1, check_pages_as(self->mem, LEN, self->mem, 1));
	munmap(mem + PAGE, PAGE);
}

static int convert_one(void *arg, char *page)
{
	data *self = arg;

	return uv_convert(self->fd, PRIVATE | WAIT, page, PAGE, 60000, NULL);
}

/* It has to come home for that, and the host may have no memory. */
TEST_F(convert, no_memory_for_the_way)
{
	uint32_t pool;
	char *mem;

	ASSERT_EQ(PAGES, uv_to_vram(self->fd, self->mem, LEN));
	mem = without_memory(_metadata, self->fd, self->mem, &pool, convert_one, self);
	EXPECT_EQ(1, private_pages(self->fd, mem, PAGE));
	ASSERT_EQ(0, uv_convert(self->fd, 0, mem, PAGE, 0, NULL));
	EXPECT_EQ(-1, check_pages_as(mem, PAGE, self->mem, 1));
	munmap(mem, PAGE);
}

TEST_HARNESS_MAIN
