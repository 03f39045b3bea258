// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tests share: the ioctls, memory whose every byte is known, debugfs,
 * and waiting. Processes and userfaultfd are in helpers.c.
 */
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define DEBUGFS		"/sys/kernel/debug/uffdvram/"

void give_up(const char *what)
{
	fprintf(stderr, "# cannot go on: %s: %s\n", what, strerror(errno));
	abort();
}

int uv_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

int uv_open(void)
{
	int fd = open(UFFDVRAM_DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int uv_info(int fd, struct uffdvram_info *info)
{
	*info = (struct uffdvram_info){ .size = sizeof(*info) };
	return uv_ioctl(fd, UFFDVRAM_INFO, info);
}

int uv_open_pid(int fd, int pidfd)
{
	struct uffdvram_open_pid arg = { .size = sizeof(arg), .pidfd = pidfd, .fd = -1 };
	int ret = uv_ioctl(fd, UFFDVRAM_OPEN_PID, &arg);

	return ret ? ret : arg.fd;
}

int uv_open_pid_of(pid_t pid)
{
	int fd = uv_open(), pidfd = pidfd_of(pid), ret;

	if (fd < 0 || pidfd < 0)
		give_up("a context or a pidfd");
	ret = uv_open_pid(fd, pidfd);
	close(pidfd);
	close(fd);
	return ret;
}

int uv_detach(int fd, uint32_t pool, uint32_t flags, uint64_t *left)
{
	struct uffdvram_pool_detach arg = { .size = sizeof(arg), .flags = flags, .pool = pool };
	int ret = uv_ioctl(fd, UFFDVRAM_POOL_DETACH, &arg);

	if (left)
		*left = arg.left;
	return ret;
}

int uv_register_flags(int fd, const void *addr, size_t len, uint32_t pool, uint32_t flags,
		      uint32_t *range)
{
	struct uffdvram_range_register arg = {
		.size = sizeof(arg),
		.flags = flags,
		.pool = pool,
		.addr = (uintptr_t)addr,
		.len = len,
	};
	int ret = uv_ioctl(fd, UFFDVRAM_RANGE_REGISTER, &arg);

	if (range)
		*range = arg.range;
	return ret;
}

int uv_register(int fd, const void *addr, size_t len, uint32_t pool, uint32_t *range)
{
	return uv_register_flags(fd, addr, len, pool, 0, range);
}

int uv_unregister(int fd, uint32_t range)
{
	struct uffdvram_range_unregister arg = { .size = sizeof(arg), .range = range };

	return uv_ioctl(fd, UFFDVRAM_RANGE_UNREGISTER, &arg);
}

int uv_migrate(int fd, const void *addr, size_t len, uint32_t flags,
	       struct uffdvram_migrate *out)
{
	struct uffdvram_migrate arg, *m = out ? out : &arg;

	*m = (struct uffdvram_migrate){
		.size = sizeof(*m),
		.flags = flags,
		.addr = (uintptr_t)addr,
		.len = len,
	};
	return uv_ioctl(fd, UFFDVRAM_MIGRATE, m);
}

int uv_query_vec(int fd, struct uffdvram_query *q, struct uffdvram_region *vec, size_t vec_len)
{
	q->size = sizeof(*q);
	q->vec = (uintptr_t)vec;
	q->vec_len = vec_len;
	return uv_ioctl(fd, UFFDVRAM_QUERY, q);
}

int uv_query(int fd, const void *addr, size_t len, struct uffdvram_query *out)
{
	struct uffdvram_query arg, *q = out ? out : &arg;

	*q = (struct uffdvram_query){ .addr = (uintptr_t)addr, .len = len };
	return uv_query_vec(fd, q, NULL, 0);
}

/* Pages in VRAM are of memory like any other: no VM_SPECIAL. Ends the process if not. */
static void check_vma(const void *addr)
{
	static const char *const special[] = { " io ", " pf ", " mm ", " de " };
	unsigned long start, end;
	char line[512];
	bool here = false;
	FILE *f = fopen("/proc/self/smaps", "r");

	if (!f)
		give_up("/proc/self/smaps");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = (uintptr_t)addr >= start && (uintptr_t)addr < end;
		if (!here || strncmp(line, "VmFlags:", 8))
			continue;
		for (size_t i = 0; i < sizeof(special) / sizeof(*special); i++) {
			errno = EPROTO;
			if (strstr(line, special[i]))
				give_up(line);
		}
	}
	fclose(f);
}

long uv_in_vram(int fd, const void *addr, size_t len)
{
	static bool checked;
	struct uffdvram_query q;
	int ret = uv_query(fd, addr, len, &q);

	if (!ret && q.count[UFFDVRAM_STATE_VRAM] && !checked)
		check_vma(addr);
	checked |= !ret && q.count[UFFDVRAM_STATE_VRAM];
	return ret ? ret : (long)q.count[UFFDVRAM_STATE_VRAM];
}

void lru_drain(void)
{
	/* 4: no log lines from here on. 1 drains first of all; there is no cache to drop. */
	static const char *const steps[] = { "4", "1" };
	int ret;

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		ret = file_write("/proc/sys/vm/drop_caches", steps[i]);
		/* Who is not root waits for somebody else to do it. */
		if (ret && ret != -EACCES) {
			errno = -ret;
			give_up("/proc/sys/vm/drop_caches");
		}
	}
}

/*
 * Pages that some CPU has just put on a list, or is about to take off one, have
 * a reference too many for a moment: those are tried again, for five seconds.
 */
long move_all(int fd, const void *addr, size_t len, uint32_t flags,
	      struct uffdvram_migrate *out)
{
	struct uffdvram_migrate m;
	int tries, why, ret;

	for (tries = 0; tries < 250; tries++) {
		ret = uv_migrate(fd, addr, len, flags, &m);
		if (out)
			*out = m;
		/* io_uring interrupts who used it, to do what it put off. */
		if (ret == -EINTR)
			continue;
		if (ret)
			return ret;
		if (!m.stayed[UFFDVRAM_STAY_PINNED] && !m.stayed[UFFDVRAM_STAY_BUSY])
			return m.moved + m.already;
		lru_drain();
		sleep_ms(20);
	}
	for (why = 0; why < UFFDVRAM_STAY_MAX_; why++) {
		if (m.stayed[why])
			printf("# move_all: %llu pages stayed, reason %d, first 0x%llx\n",
			       m.stayed[why], why, m.first[why]);
	}
	return m.moved + m.already;
}

long uv_to_vram(int fd, const void *addr, size_t len)
{
	return move_all(fd, addr, len, 0, NULL);
}

long uv_to_ram(int fd, const void *addr, size_t len)
{
	return move_all(fd, addr, len, UFFDVRAM_MIGRATE_TO_RAM, NULL);
}

int uv_copy(int fd, uint32_t flags, const void *addr, size_t len, void *buf,
	    uint64_t *done)
{
	struct uffdvram_copy arg = {
		.size = sizeof(arg),
		.flags = flags,
		.addr = (uintptr_t)addr,
		.len = len,
		.buf = (uintptr_t)buf,
		.done = ~0ULL,
	};
	int ret = uv_ioctl(fd, UFFDVRAM_COPY, &arg);

	if (done)
		*done = arg.done;
	return ret;
}

int uv_poison(int fd, uint32_t flags, const void *addr, size_t len,
	      struct uffdvram_poison *out)
{
	struct uffdvram_poison arg = {
		.size = sizeof(arg),
		.flags = flags,
		.addr = (uintptr_t)addr,
		.len = len,
		.done = ~0ULL,
		.bad_addr = ~0ULL,
	};
	int ret = uv_ioctl(fd, UFFDVRAM_POISON, &arg);

	if (out)
		*out = arg;
	return ret;
}

int uv_poison_list(int fd, struct uffdvram_poison_list *q, struct uffdvram_region *vec,
		   size_t vec_len)
{
	q->size = sizeof(*q);
	q->flags = 0;
	q->vec = (uintptr_t)vec;
	q->vec_len = vec_len;
	q->used = ~0ULL;
	q->done = ~0ULL;
	return uv_ioctl(fd, UFFDVRAM_POISON_LIST, q);
}

int uv_access_begin(int fd, uint32_t flags, const void *addr, size_t len,
		    struct uffdvram_slot_run *vec, size_t vec_len,
		    struct uffdvram_access_begin *out)
{
	struct uffdvram_access_begin arg = {
		.size = sizeof(arg),
		.flags = flags,
		.addr = (uintptr_t)addr,
		.len = len,
		.vec = (uintptr_t)vec,
		.vec_len = vec_len,
		.used = ~0ULL,
		.done = ~0ULL,
		.lease = ~0ULL,
	};
	int ret = uv_ioctl(fd, UFFDVRAM_ACCESS_BEGIN, &arg);

	if (out)
		*out = arg;
	return ret;
}

int uv_access_end(int fd, uint64_t lease, uint32_t flags, const uint64_t *bitmap,
		  uint64_t nbits, uint64_t *revoked)
{
	struct uffdvram_access_end arg = {
		.size = sizeof(arg),
		.flags = flags,
		.lease = lease,
		.bitmap = (uintptr_t)bitmap,
		.nbits = nbits,
		.revoked = ~0ULL,
	};
	int ret = uv_ioctl(fd, UFFDVRAM_ACCESS_END, &arg);

	if (revoked)
		*revoked = arg.revoked;
	return ret;
}

int uv_convert(int fd, uint32_t flags, const void *addr, size_t len, uint32_t timeout_ms,
	       struct uffdvram_convert *out)
{
	struct uffdvram_convert arg = {
		.size = sizeof(arg),
		.flags = flags,
		.addr = (uintptr_t)addr,
		.len = len,
		.bad_addr = ~0ULL,
		.timeout_ms = timeout_ms,
		.cause = ~0U,
	};
	int ret = uv_ioctl(fd, UFFDVRAM_CONVERT, &arg);

	if (out)
		*out = arg;
	return ret;
}

uint64_t uv_stayed(const struct uffdvram_migrate *m)
{
	uint64_t sum = 0;

	for (int i = 0; i < UFFDVRAM_STAY_MAX_; i++)
		sum += m->stayed[i];
	return sum;
}

uint64_t uv_stat(const char *name)
{
	long long value = file_value(DEBUGFS "stats", name);

	if (value < 0) {
		errno = ENOENT;
		give_up(name);
	}
	return value;
}

uint64_t uv_slots_in_use(void)
{
	/* Freed first: what is freed in between must not make this negative. */
	uint64_t freed = uv_stat("slots_freed");

	return uv_stat("slots_allocated") - freed;
}

void uv_knob_set(const char *file, const char *fmt, ...)
{
	char path[128], text[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), DEBUGFS "knobs/%s", file);
	errno = -file_write(path, text);
	if (errno)
		give_up(path);
}

static bool slots_are(void *arg)
{
	return uv_slots_in_use() == *(uint64_t *)arg;
}

bool uv_wait_slots(uint64_t in_use)
{
	return wait_until(slots_are, &in_use, 120000);
}

int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

long file_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	close(fd);
	buf[len] = 0;
	return len;
}

long long file_value(const char *path, const char *key)
{
	static char buf[65536];
	size_t len = strlen(key);

	if (file_read(path, buf, sizeof(buf)) < 0)
		return -1;
	for (char *line = buf; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, len) && strchr(" :\t", line[len]))
			return strtoll(line + len + strspn(line + len, " :\t"), NULL, 0);
	}
	return -1;
}

static void *map_or_die(size_t len, int prot)
{
	void *p = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		give_up("mmap");
	return p;
}

void *map_small(size_t len)
{
	size_t room = len <= HUGE / 2 ? len : 0, all = len + room + 2 * PAGE;
	char *p = map_or_die(all, PROT_READ | PROT_WRITE), *start = p + PAGE;

	/* Fails only on a kernel without huge pages, which is what we want. */
	madvise(p, all, MADV_NOHUGEPAGE);
	/* What goes through the memory by huge pages' borders meets none in here. */
	if (room && (uintptr_t)start / HUGE != (uintptr_t)(start + len - 1) / HUGE)
		start = (char *)(((uintptr_t)start + HUGE - 1) & ~(HUGE - 1));
	munmap(p, start - p);
	munmap(start + len, p + all - (start + len));
	return start;
}

void *map_huge(size_t len)
{
	char *p = map_or_die(len + 2 * HUGE, PROT_READ | PROT_WRITE);
	char *start = (char *)(((uintptr_t)p + HUGE) & ~(HUGE - 1));

	munmap(p, start - p);
	munmap(start + len, p + 2 * HUGE - start);
	if (madvise(start, len, MADV_HUGEPAGE))
		give_up("MADV_HUGEPAGE");
	return start;
}

static uint64_t pattern(uint64_t addr, uint64_t seed)
{
	uint64_t x = addr + seed * 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

void fill_pages_as(void *addr, size_t len, const void *as, uint64_t seed)
{
	uint64_t *p = addr;

	for (size_t i = 0; i < len / sizeof(*p); i++)
		p[i] = pattern((uintptr_t)as + i * sizeof(*p), seed);
}

void fill_pages(void *addr, size_t len, uint64_t seed)
{
	fill_pages_as(addr, len, addr, seed);
}

long check_pages_as(const void *addr, size_t len, const void *as, uint64_t seed)
{
	const volatile uint64_t *p = addr;

	for (size_t i = 0; i < len / sizeof(*p); i++)
		if (p[i] != pattern((uintptr_t)as + i * sizeof(*p), seed))
			return i * sizeof(*p);
	return -1;
}

long check_pages(const void *addr, size_t len, uint64_t seed)
{
	return check_pages_as(addr, len, addr, seed);
}

uint64_t pagemap_entry(pid_t pid, const void *addr)
{
	char path[64] = "/proc/self/pagemap";
	uint64_t entry;
	int fd;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, &entry, 8, (uintptr_t)addr / PAGE * 8) != 8)
		give_up(path);
	close(fd);
	return entry;
}

static __thread sigjmp_buf sigbus_jump;
static __thread struct sigbus sigbus_seen;

static void on_signal(int signo, siginfo_t *info, void *context)
{
	(void)context;
	sigbus_seen.signo = signo;
	sigbus_seen.code = info->si_code;
	sigbus_seen.addr = info->si_addr;
	sigbus_seen.lsb = signo == SIGBUS ? info->si_addr_lsb : 0;
	siglongjmp(sigbus_jump, 1);
}

static struct sigbus touch(volatile unsigned char *p, int value)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	struct sigaction old_bus, old_segv;

	sigaction(SIGBUS, &sa, &old_bus);
	sigaction(SIGSEGV, &sa, &old_segv);
	sigbus_seen = (struct sigbus){};
	if (!sigsetjmp(sigbus_jump, 1)) {
		if (value >= 0)
			*p = value;
		else
			sigbus_seen.value = *p;
	}
	sigaction(SIGBUS, &old_bus, NULL);
	sigaction(SIGSEGV, &old_segv, NULL);
	return sigbus_seen;
}

struct sigbus read_byte(const void *addr)
{
	return touch((volatile unsigned char *)(uintptr_t)addr, -1);
}

struct sigbus write_byte(void *addr, unsigned char value)
{
	return touch(addr, value);
}

void sleep_ms(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

bool wait_until(bool (*cond)(void *arg), void *arg, int timeout_ms)
{
	for (int ms = 0; !cond(arg); ms += 5) {
		if (ms >= timeout_ms)
			return false;
		sleep_ms(5);
	}
	return true;
}

int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = -1;		/* the directory's own */

	if (!dir)
		give_up("/proc/self/fd");
	for (struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}
