/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests share. Functions return 0 or a value on success and a negative
 * errno on failure; those that return nothing end the test process with a
 * message when the machine does not give what every test needs.
 */
#ifndef UFFDVRAM_SELFTESTS_UTIL_H
#define UFFDVRAM_SELFTESTS_UTIL_H

#include <linux/uffdvram.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE		4096UL
#define HUGE		(2UL << 20)
#define MIB(n)		((size_t)(n) << 20)

/** give_up - end the test process: @what failed with errno */
void give_up(const char *what) __attribute__((noreturn));

/* Contexts. The wrappers fill in size, and return what the ioctl returns. */
int uv_ioctl(int fd, unsigned long cmd, void *arg);
int uv_open(void);
int uv_info(int fd, struct uffdvram_info *info);
/** uv_open_pid - the new descriptor for the process of @pidfd, or -errno */
int uv_open_pid(int fd, int pidfd);
/** uv_open_pid_of - the same by its number, through a context made for it */
int uv_open_pid_of(pid_t pid);

/* Pools: what their faults bring home (struct uffdvram_pool_attach); 0 by default. */
extern uint64_t uv_fault_bytes;
int uv_attach(int fd, size_t bytes, uint32_t flags, uint32_t *pool);
/**
 * uv_attach_pci - a window of the BAR that plays VRAM, from byte @addr of it
 *
 * The test's source says how large that BAR is; see selftests/vm/run.
 */
int uv_attach_pci(int fd, uint64_t addr, size_t bytes, uint32_t flags, uint32_t *pool);
/* Where it is: BAR 2 of 0000:00:10.0. BAR 2 of the other one shows the same bytes. */
#define VRAM_SBDF	(0x10 << 3)
#define VRAM_BAR	2
#define VRAM_BYTES	MIB(256)
#define VRAM_SYSFS	"/sys/bus/pci/devices/0000:00:10.0/"
#define VRAM_VIEW_SYSFS	"/sys/bus/pci/devices/0000:00:11.0/"
/** uv_detach - @left may be NULL */
int uv_detach(int fd, uint32_t pool, uint32_t flags, uint64_t *left);

/* Ranges. @range may be NULL. */
int uv_register(int fd, const void *addr, size_t len, uint32_t pool, uint32_t *range);
/* The same, with UFFDVRAM_RANGE_*; linear: at the beginning of the pool. */
int uv_register_flags(int fd, const void *addr, size_t len, uint32_t pool, uint32_t flags,
		      uint32_t *range);
int uv_unregister(int fd, uint32_t range);

/* Pages. @out may be NULL; it is filled in whatever is returned. */
int uv_migrate(int fd, const void *addr, size_t len, uint32_t flags,
	       struct uffdvram_migrate *out);
int uv_query(int fd, const void *addr, size_t len, struct uffdvram_query *out);
int uv_query_vec(int fd, struct uffdvram_query *q, struct uffdvram_region *vec,
		 size_t vec_len);
/** uv_in_vram - how many of these pages live in VRAM, or -errno */
long uv_in_vram(int fd, const void *addr, size_t len);
/**
 * lru_drain - have all CPUs put the pages that they are about to put on lists there
 *
 * While they wait for it, a reference is held that looks like a pin. For root.
 */
void lru_drain(void);
/**
 * move_all - MIGRATE, repeated while pages are pinned or busy, for five seconds
 *
 * A reference of an LRU batch on another CPU looks like a pin: a few pages may
 * stay at the first try; see lru_drain(). @out, the last result, may be NULL.
 * Returns pages there afterwards (moved + already), or -errno.
 */
long move_all(int fd, const void *addr, size_t len, uint32_t flags,
	      struct uffdvram_migrate *out);
/** uv_to_vram, uv_to_ram - move_all() there */
long uv_to_vram(int fd, const void *addr, size_t len);
long uv_to_ram(int fd, const void *addr, size_t len);
/** uv_copy - COPY between pages and @buf; @done, bytes copied, may be NULL */
int uv_copy(int fd, uint32_t flags, const void *addr, size_t len, void *buf,
	    uint64_t *done);
/** uv_poison - POISON; @out, filled in whatever is returned, may be NULL */
int uv_poison(int fd, uint32_t flags, const void *addr, size_t len,
	      struct uffdvram_poison *out);
/** uv_poison_list - POISON_LIST; @q->addr and @q->len are the caller's */
int uv_poison_list(int fd, struct uffdvram_poison_list *q, struct uffdvram_region *vec,
		   size_t vec_len);
/**
 * uv_access_begin - ACCESS_BEGIN; @out, filled in whatever is returned, may be NULL
 *
 * Pages that LRU batches hold end a lease early: bring them in with move_all() first.
 */
int uv_access_begin(int fd, uint32_t flags, const void *addr, size_t len,
		    struct uffdvram_slot_run *vec, size_t vec_len,
		    struct uffdvram_access_begin *out);
/** uv_access_end - ACCESS_END; @revoked may be NULL */
int uv_access_end(int fd, uint64_t lease, uint32_t flags, const uint64_t *bitmap,
		  uint64_t nbits, uint64_t *revoked);
/** uv_convert - CONVERT; @out, filled in whatever is returned, may be NULL */
int uv_convert(int fd, uint32_t flags, const void *addr, size_t len, uint32_t timeout_ms,
	       struct uffdvram_convert *out);
/** uv_stayed - pages that stayed, for all causes together */
uint64_t uv_stayed(const struct uffdvram_migrate *m);

/* The module's counters and its switches for errors, in debugfs. */
uint64_t uv_stat(const char *name);
uint64_t uv_slots_in_use(void);
/** uv_knob_set - write into debugfs uffdvram/knobs/@file */
void uv_knob_set(const char *file, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** uv_wait_slots - wait until so many slots are in use; false: never */
bool uv_wait_slots(uint64_t in_use);

/* Files, for procfs and sysfs. */
int file_write(const char *path, const char *text);
/** file_read - text with a final 0; its length or -errno */
long file_read(const char *path, char *buf, size_t size);
/** file_value - the number after "@key" in a file of such lines, or -1 */
long long file_value(const char *path, const char *key);

/* Memory. map_* end the process where there is none. */
/**
 * map_small - private anonymous memory that never becomes huge by itself
 *
 * There is an unmapped page before and after it, so that the kernel never merges
 * it with what was mapped earlier. Up to 1 MiB it crosses no multiple of 2 MiB.
 */
void *map_small(size_t len);
/** map_huge - at a multiple of 2 MiB, with MADV_HUGEPAGE */
void *map_huge(size_t len);
/**
 * fill_pages - write every byte, with words that depend on address and seed
 * @as: the address that the words shall tell; check_pages_as() after mremap
 */
void fill_pages(void *addr, size_t len, uint64_t seed);
void fill_pages_as(void *addr, size_t len, const void *as, uint64_t seed);
/** check_pages - offset of the first word that is wrong, or -1: all right */
long check_pages(const void *addr, size_t len, uint64_t seed);
long check_pages_as(const void *addr, size_t len, const void *as, uint64_t seed);
/** pagemap_entry - the word of /proc/PID/pagemap; @pid 0: our own */
uint64_t pagemap_entry(pid_t pid, const void *addr);
#define PAGEMAP_PRESENT		(1ULL << 63)
#define PAGEMAP_SWAPPED		(1ULL << 62)
#define PAGEMAP_FILE		(1ULL << 61)
#define PAGEMAP_UFFD_WP		(1ULL << 57)
#define PAGEMAP_EXCLUSIVE	(1ULL << 56)
#define PAGEMAP_SOFT_DIRTY	(1ULL << 55)
#define PAGEMAP_FRAME		((1ULL << 55) - 1)

/**
 * struct sigbus - what touching an address led to
 * @signo: 0: nothing happened; else SIGBUS or SIGSEGV
 * @code: si_code
 * @addr: si_addr
 * @lsb: si_addr_lsb
 * @value: the byte that was read, where nothing happened
 */
struct sigbus {
	int signo;
	int code;
	void *addr;
	int lsb;
	unsigned char value;
};

/** read_byte, write_byte - touch it and survive a signal */
struct sigbus read_byte(const void *addr);
struct sigbus write_byte(void *addr, unsigned char value);

/* userfaultfd. */
/** uffd_open - a descriptor with these features, non-blocking */
int uffd_open(uint64_t features);
int uffd_register(int uffd, const void *addr, size_t len, uint64_t mode);
int uffd_unregister(int uffd, const void *addr, size_t len);
int uffd_copy(int uffd, void *dst, const void *src, size_t len, uint64_t mode);
int uffd_zeropage(int uffd, void *addr, size_t len);
int uffd_poison(int uffd, void *addr, size_t len);
int uffd_wp(int uffd, const void *addr, size_t len, bool protect);
/** uffd_wait - the next message; false after @timeout_ms without one */
bool uffd_wait(int uffd, struct uffd_msg *msg, int timeout_ms);

/* Processes. */
/**
 * struct child - a forked process that works in steps
 * @pid: its number
 * @fd: our end of a socket pair, for child_tell() and child_hear()
 */
struct child {
	pid_t pid;
	int fd;
};

/**
 * child_start - fork, and run @fn in the child with its end of the socket
 *
 * What @fn returns is the child's exit status. It dies with its parent.
 */
struct child child_start(int (*fn)(int fd, void *arg), void *arg);
/** child_tell, child_hear - pass one word; hearing gives up after 240 s */
void child_tell(int fd, uint64_t word);
bool child_hear(int fd, uint64_t *word);
/** child_step - tell the child a word and hear its answer; ~0: none came */
uint64_t child_step(struct child *c, uint64_t word);
/** child_end - wait for its exit; the status, or -signal that ended it */
int child_end(struct child *c);
/** child_kill - kill -9 and wait */
void child_kill(struct child *c);
/** run_child - child_start and child_end */
int run_child(int (*fn)(int fd, void *arg), void *arg);
/**
 * exec_and_listen - become a new image of this program, with nothing but @fd
 *
 * It says 1 as soon as it runs, and ends when it is told a word, or at the end
 * of the socket. Returns only on failure.
 */
int exec_and_listen(int fd);
int pidfd_of(pid_t pid);
int fd_send(int sock, int fd);
/** fd_receive - the descriptor, or -errno */
int fd_receive(int sock);
/** become_nobody - drop user, groups and all capabilities, for ever */
void become_nobody(void);
/** drop_capability - give up one of CAP_* */
void drop_capability(int cap);

/** wait_until - poll @cond every few ms; false after @timeout_ms */
bool wait_until(bool (*cond)(void *arg), void *arg, int timeout_ms);
void sleep_ms(int ms);
/** count_fds - open descriptors of this process */
int count_fds(void);

#endif /* UFFDVRAM_SELFTESTS_UTIL_H */
