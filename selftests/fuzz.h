/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer of the ioctls: what its files share.
 *
 * A round is a process that makes calls with a row of random numbers of its
 * own: seed and number of the round repeat it. What it knows of its memory and of
 * the module's objects (fuzz_model.c) judges what the module answers. Where it
 * cannot know, as when a second thread changed the argument during the call, the
 * model says so, and expects less from there on.
 */
#ifndef UFFDVRAM_SELFTESTS_FUZZ_H
#define UFFDVRAM_SELFTESTS_FUZZ_H

#include <pthread.h>
#include <semaphore.h>

#include "util_mm.h"

/*
 * Where the calls work, and nothing else lives: an address of which some bytes
 * were taken from another one's, or a bit was changed, leads to one of these, or
 * to nowhere.
 */
#define FZ_ARENA	0x2a5500000000ULL
#define FZ_PAGES	1024U			/* of the arena, and of the scratch */
#define FZ_ARGS		(FZ_ARENA + MIB(8))	/* arguments: two pages, then nothing */
/*
 * Buffers, which the model ignores. Nor does one more, or one less, in half of
 * such an address lead from here to the arena.
 */
#define FZ_SCRATCH	0x2aaa00000000ULL

#define FZ_COUNT(a)	(sizeof(a) / sizeof(*(a)))

#define FZ_CTXS		6
#define FZ_RANGES	48
#define FZ_POOLS	8
#define FZ_WILD		4096
#define FZ_ERRNOS	134
#define FZ_LOG		12

/* What a judge says, beside "it fails with this -errno" and 0, "it succeeds". */
#define FZ_ANY		1
#define FZ_FAILS	2

enum fz_nr {
#define FZ_NR_(NAME, name, last)	FZ_##NAME,
	UFFDVRAM_IOCTLS(FZ_NR_)
#undef FZ_NR_
	FZ_NR
};

/**
 * struct fz_page - a page of the arena
 * @sum: of its contents
 * @alt: of what it may hold instead, if @has_alt
 * @prot: 0: not mapped, 1: PROT_NONE, 2: can be read, 3: and written
 * @has_alt: @alt counts
 * @maybe_lost: it may have become poison
 * @own: children do not inherit it
 */
struct fz_page {
	uint64_t sum;
	uint64_t alt;
	uint8_t prot;
	bool has_alt;
	bool maybe_lost;
	bool own;
};

/** struct fz_ctx - a context; @mm: 0: our memory, 1: the sibling's */
struct fz_ctx {
	int fd;
	int mm;
	bool gone;		/* the sibling that it is for may be */
	bool node;		/* has been mapped: close does not end it */
	uint64_t seq;		/* of its last event */
};

/** struct fz_range - @sure: it is there, and so */
struct fz_range {
	uint32_t id;
	int ctx;
	int mm;
	uint32_t pool;
	uint64_t addr;
	uint64_t len;
	uint64_t cookie;	/* of its last harvest */
	bool sure;
};

struct fz_pool {
	uint32_t id;
	int ctx;
	uint64_t bytes;
	bool shared;
	bool sure;
};

struct fz_record {
	int nr;
	int ctx;
	int ret;
	char how;
	uint64_t arg[8];
};

/** struct fz_books - what must be as before after each round, beside slots */
struct fz_books {
	long users;		/* of the module */
	unsigned int pools;
	unsigned int regions;	/* of physical address space */
	long anon_kib;		/* private memory of all processes */
};

/** struct fz_shared - what the processes of all rounds share */
struct fz_shared {
	uint64_t calls[FZ_NR];
	uint64_t ok[FZ_NR];
	uint64_t err[FZ_NR][FZ_ERRNOS];
	uint64_t ns[FZ_NR];
	uint64_t flipped;		/* calls with an argument that changed */
	uint64_t flips;			/* changes during those */
	uint64_t signalled;		/* calls with signals */
	uint64_t checked;		/* pages whose contents were compared */
	uint64_t events;
	uint64_t memory_calls;
	volatile uint64_t progress;
	volatile bool failed;
	char text[2048];
	uint32_t last_pool;		/* the highest number there was before */
	struct fz_books before;
	/* Of one round. */
	struct fz_page mm[2][FZ_PAGES];
	uint64_t wild[FZ_WILD];
	unsigned int n_wild;
	char ending;			/* x exit, e exec, k kill */
	struct fz_record log[FZ_LOG];
	unsigned int n_log;
};

/** struct fz_flip - the second thread's work */
struct fz_flip {
	pthread_t thread;
	sem_t go;
	sem_t done;
	volatile int what;		/* a character: f flip, s signal, k kill, e end */
	volatile bool running;
	volatile bool stop;
	volatile uint32_t *word;
	uint32_t a;
	uint32_t b;
	uint64_t n;
};

struct fz {
	struct fz_shared *shm;
	uint64_t seed;
	uint64_t round;
	uint64_t rnd;
	bool admin;			/* has CAP_SYS_ADMIN and CAP_SYS_PTRACE */
	bool nodes;			/* maps the device */
	bool discards;			/* detaches without copying; else moves our stack */
	bool big_pool;			/* may have used up RLIMIT_MEMLOCK */
	bool quota;
	bool leases;			/* there may be some */
	bool dying;			/* of SIGKILL, in one of the next calls */
	pthread_t self;
	struct fz_page *mm[2];		/* ours, the sibling's */
	int pidfd;
	struct child sibling;		/* pid 0: none */
	int sibling_pidfd;
	struct fz_ctx ctx[FZ_CTXS];
	struct fz_range range[FZ_RANGES];
	struct fz_pool pool[FZ_POOLS];
	uint64_t lease[16];		/* some that may be open; 0: none */
	int lease_ctx[16];
	unsigned int vague[2];		/* ranges that are not in the list, by mm */
	unsigned int vague_pools;
	struct fz_flip flip;
	uint64_t sums[FZ_PAGES];	/* of what a COPY is about to write */
	unsigned int n_sums;
};

/** struct fz_op - what is known of an ioctl */
struct fz_op {
	const char *name;
	unsigned long cmd;
	size_t size, min;
	uint32_t flags;
	size_t out, out_end;
	void (*good)(struct fz *f, struct fz_ctx *c, void *arg);
	int (*judge)(struct fz *f, struct fz_ctx *c, const void *arg);
	void (*after)(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret);
	/* After a call of which only the result is known; @out only if that is 0. */
	void (*blind)(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret);
};

extern const struct fz_op fz_ops[FZ_NR];

#define FZ_DECLARE(NAME, name, last)						\
	void fz_##name##_good(struct fz *f, struct fz_ctx *c, void *arg);	\
	int fz_##name##_judge(struct fz *f, struct fz_ctx *c, const void *arg);	\
	void fz_##name##_after(struct fz *f, struct fz_ctx *c, const void *in,	\
			       const void *out, int ret);			\
	void fz_##name##_blind(struct fz *f, struct fz_ctx *c, const void *in,	\
			       const void *out, int ret);
UFFDVRAM_IOCTLS(FZ_DECLARE)
#undef FZ_DECLARE

/* fuzz_convert.c */
void fz_convert_tame(struct fz_ctx *c, void *arg);

/* fuzz_model.c */
void fz_explain(struct fz_shared *shm, uint64_t seed, uint64_t round, const char *what);
/** fz_fail - write down what is wrong, the last calls too, and end the process */
void fz_fail(struct fz *f, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));
uint64_t fz_pick(struct fz *f, uint64_t n);
bool fz_chance(struct fz *f, unsigned int percent);
/** fz_bad_piece - what no call takes for a piece of memory */
static inline bool fz_bad_piece(uint64_t addr, uint64_t len)
{
	return !len || addr % PAGE || len % PAGE || addr + len < addr;
}
/** fz_run - some neighbouring pages of the arena: mostly few */
void fz_run(struct fz *f, unsigned int *first, unsigned int *n);
uint64_t fz_sum(const void *page);
void fz_fill(struct fz *f, void *page);
/** fz_addr, fz_index - of a page of the arena; FZ_PAGES: not in the arena */
void *fz_addr(unsigned int page);
unsigned int fz_index(uint64_t addr);
struct fz_page *fz_page(struct fz *f, int mm, unsigned int i);
/** fz_page_is - whether a page may have contents of @sum */
bool fz_page_is(struct fz *f, int mm, unsigned int i, uint64_t sum);
void fz_page_set(struct fz *f, int mm, unsigned int i, uint64_t sum);
void fz_wild(struct fz *f, uint64_t sum);
/** fz_check - read pages of ours, those that can be read, and compare them */
void fz_check(struct fz *f, unsigned int first, unsigned int n);
/** fz_all_are - whether all of [addr, addr + len) is in the arena, mapped so */
bool fz_all_are(struct fz *f, int mm, uint64_t addr, uint64_t len, int prot);
bool fz_any_lost(struct fz *f, int mm, uint64_t addr, uint64_t len);
struct fz_ctx *fz_any_ctx(struct fz *f);
struct fz_ctx *fz_lease_ctx(struct fz *f);
struct fz_range *fz_range_find(struct fz *f, int ctx, uint32_t id);
/** fz_range_at - a range over this piece; a sure one if there is one */
struct fz_range *fz_range_at(struct fz *f, int mm, uint64_t addr, uint64_t len);
/** fz_covered - by ranges that are there for sure; with @pool: that can move */
bool fz_covered(struct fz *f, int mm, uint64_t addr, uint64_t len, bool pool);
/**
 * fz_some_piece - mostly of a range whose pages can move to a pool
 * @arena: that is in the arena
 */
void fz_some_piece(struct fz *f, struct fz_ctx *c, bool arena, uint64_t *addr, uint64_t *len);
void fz_range_add(struct fz *f, const struct fz_range *r);
/** fz_ranges_doubt - of a context, any range may be gone */
void fz_ranges_doubt(struct fz *f, int ctx);
struct fz_pool *fz_pool_find(struct fz *f, uint32_t id);
void fz_pools_doubt(struct fz *f);
void fz_ctx_forget(struct fz *f, struct fz_ctx *c);

/* fuzz_pages.c: what is to be noted before a call. */
void fz_before(struct fz *f, struct fz_ctx *c, int nr, const void *arg, bool blind);

/* fuzz_poison.c */
void fz_poison_before(struct fz *f, struct fz_ctx *c, const struct uffdvram_poison *a);

/* fuzz_call.c */
void fz_call(struct fz *f);
/** fz_call_good - one of @nr, with a good argument */
void fz_call_good(struct fz *f, int nr);
void fz_kill_in_a_call(struct fz *f) __attribute__((noreturn));
void fz_flip_begin(struct fz *f);
void fz_flip_end(struct fz *f);

/* fuzz_mm.c */
void fz_memory(struct fz *f);
void fz_map_all(struct fz *f);
void fz_check_all(struct fz *f);
/* fuzz_other.c: contexts, events, processes. */
void fz_other(struct fz *f);
/** fz_inherit - have children not inherit our memory, or have them do so: MADV_DO(NT)FORK */
void fz_inherit(struct fz *f, unsigned int first, unsigned int n, bool inherit);
/** fz_inherited - what a child has of our memory */
void fz_inherited(struct fz *f, struct fz_page *child);
/** fz_sibling_end - have it check its memory, and end */
void fz_sibling_end(struct fz *f);

/* fuzz_man.c */
/** fz_man_read - the errors that the manual allows; 0 or -errno */
int fz_man_read(const char *path);
bool fz_man_allows(int nr, int err);

/* fuzz_round.c */
/** fz_pool_last - the highest number of a pool that there is, or 0 */
uint32_t fz_pool_last(void);
struct fz_books fz_books(void);
/**
 * fz_round - make @calls calls in a process of its own
 *
 * Returns 0 if all was well; else shm->text says what was not.
 */
int fz_round(struct fz_shared *shm, uint64_t seed, uint64_t round, unsigned int calls);
void fz_report(const struct fz_shared *shm);

#endif /* UFFDVRAM_SELFTESTS_FUZZ_H */
