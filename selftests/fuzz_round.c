// SPDX-License-Identifier: GPL-2.0-only
/* A round of the fuzzer: its process from beginning to end, and who watches it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define QUOTA_FILE	"/sys/module/uffdvram/parameters/slot_quota"
#define POOLS_FILE	"/sys/kernel/debug/uffdvram/pools"
#define QUOTA		200
#define HANG_S		100
#define MEMLOCK		MIB(256)

struct round {
	struct fz_shared *shm;
	uint64_t seed;
	uint64_t round;
	unsigned int calls;
};

static bool round_has_quota(uint64_t round)
{
	return round % 5 == 2;
}

static void round_setup(struct fz *f, const struct round *r)
{
	const struct rlimit limit = { MEMLOCK, MEMLOCK };

	f->shm = r->shm;
	f->mm[0] = r->shm->mm[0];
	f->mm[1] = r->shm->mm[1];
	f->seed = r->seed;
	f->round = r->round;
	f->rnd = (r->seed + 1) * 0x9e3779b97f4a7c15ULL + r->round * 0xd1342543de82ef95ULL + 1;
	f->admin = r->round % 4 != 3;
	f->nodes = r->round % 3 == 1;
	f->discards = r->round % 2;
	f->quota = round_has_quota(r->round);
	f->leases = r->round % 4 != 2;
	/* Pools that were there before may be used, and detached, too. */
	f->vague_pools = r->shm->last_pool != 0;
	f->pidfd = pidfd_of(getpid());
	f->sibling_pidfd = -1;
	fz_map_all(f);
	for (int i = 0; i < FZ_CTXS; i++) {
		f->ctx[i].fd = i < 4 ? open(UFFDVRAM_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK) : -1;
		if (i < 4 && f->ctx[i].fd < 0)
			give_up(UFFDVRAM_DEVICE);
	}
	/* A pool that is far too large is ENOMEM, not all of the machine. */
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		give_up("RLIMIT_MEMLOCK");
	if (f->admin)
		drop_capability(CAP_IPC_LOCK);
	else
		become_nobody();
	fz_flip_begin(f);
}

static void round_close(struct fz *f)
{
	for (int i = 0; i < FZ_CTXS; i++)
		if (f->ctx[i].fd >= 0)
			close(f->ctx[i].fd);
}

static int round_run(int fd, void *arg)
{
	static const char endings[] = "xxxek";
	static struct fz f;
	struct round *r = arg;
	uint64_t begin;
	bool close_first;

	round_setup(&f, r);
	r->shm->ending = endings[fz_pick(&f, sizeof(endings) - 1)];
	close_first = fz_chance(&f, 50);
	for (int i = 0; i < 12; i++)
		fz_call_good(&f, i < 3 ? FZ_POOL_ATTACH : FZ_RANGE_REGISTER);
	for (begin = r->shm->progress; r->shm->progress - begin < r->calls;) {
		unsigned int kind = fz_pick(&f, 100);

		if (kind < 78)
			fz_call(&f);
		else if (kind < 95)
			fz_memory(&f);
		else
			fz_other(&f);
	}
	fz_sibling_end(&f);
	if (r->shm->ending == 'k')
		fz_kill_in_a_call(&f);
	fz_flip_end(&f);
	if (close_first)
		round_close(&f);
	fz_check_all(&f);
	return r->shm->ending == 'e' ? -exec_and_listen(fd) : 0;
}

/* Waits until it has ended, or been something else; kills it if it hangs. */
static int round_watch(struct fz_shared *shm, struct child *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	uint64_t last = 0, since = now_ms();
	int patience = HANG_S * (sanitizers() ? 4 : 1);

	while (poll(&p, 1, 500) == 0) {
		if (shm->progress != last) {
			last = shm->progress;
			since = now_ms();
		}
		if (now_ms() - since < patience * 1000ULL)
			continue;
		kill(c->pid, SIGKILL);
		return -ETIMEDOUT;
	}
	return child_end(c);
}

uint32_t fz_pool_last(void)
{
	char text[16384], *line, *rest;
	uint32_t last = 0;

	if (file_read(POOLS_FILE, text, sizeof(text)) < 0)
		give_up(POOLS_FILE);
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		sscanf(line, "pool %u", &last);
	return last;
}

/* What outlives a round by right: pools that were shared. */
static int round_clean(struct fz_shared *shm)
{
	int fd = uv_open(), ret = fd < 0 ? fd : 0;
	uint64_t end = now_ms() + 60000;
	uint32_t last;

	while (!ret && (last = fz_pool_last()) > shm->last_pool) {
		ret = uv_detach(fd, last, 0, NULL);
		/* Those of a context that was just closed end by themselves. */
		if (ret == -ENODEV && now_ms() < end)
			ret = 0;
		sleep_ms(ret || fz_pool_last() != last ? 0 : 2);
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

struct fz_books fz_books(void)
{
	struct fz_books b = { .anon_kib = file_value("/proc/meminfo", "AnonPages") };
	static char text[65536];
	struct uffdvram_info info;
	int fd = uv_open();
	char *at = text;

	if (fd < 0 || uv_info(fd, &info))
		give_up("INFO");
	close(fd);
	b.pools = info.n_pools;
	b.users = module_users();
	if (file_read("/proc/iomem", text, sizeof(text)) < 0)
		give_up("/proc/iomem");
	while ((at = strstr(at, ": uffdvram"))) {
		b.regions++;
		at++;
	}
	return b;
}

/* An address space that is kept has most of its memory; the counter is not exact. */
static bool round_left_nothing(void *arg)
{
	const struct fz_books *was = arg, is = fz_books();

	return is.users == was->users && is.pools <= was->pools &&
	       is.regions <= was->regions && is.anon_kib < was->anon_kib + 1024;
}

static void round_quota(uint64_t round)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", round_has_quota(round) ? QUOTA : 0);
	errno = -file_write(QUOTA_FILE, text);
	if (errno)
		give_up(QUOTA_FILE);
}

int fz_round(struct fz_shared *shm, uint64_t seed, uint64_t round, unsigned int calls)
{
	struct round r = { shm, seed, round, calls };
	char what[128] = "";
	struct child c;
	int ret;

	shm->n_wild = 0;
	shm->n_log = 0;
	shm->ending = 0;
	round_quota(round);
	c = child_start(round_run, &r);
	ret = round_watch(shm, &c);
	if (ret == (shm->ending == 'k' ? -SIGKILL : 0))
		ret = 0;
	else if (!shm->failed)
		snprintf(what, sizeof(what), ret == -ETIMEDOUT ? "a call hangs" :
			 "the process ended with %d", ret);
	if (!ret)
		ret = round_clean(shm);
	if (ret && !what[0] && !shm->failed)
		snprintf(what, sizeof(what), "pools cannot be detached: %d", ret);
	if (!ret && !uv_wait_slots(0)) {
		snprintf(what, sizeof(what), "%llu slots are still in use",
			 (unsigned long long)uv_slots_in_use());
		ret = -EBUSY;
	}
	if (!ret && !wait_until(round_left_nothing, &shm->before, 60000)) {
		struct fz_books is = fz_books();

		snprintf(what, sizeof(what), "something is left: %ld references, %u pools, %u regions, %ld KiB of memory",
			 is.users - shm->before.users, is.pools, is.regions,
			 is.anon_kib - shm->before.anon_kib);
		ret = -EBUSY;
	}
	if (what[0])
		fz_explain(shm, seed, round, what);
	round_quota(0);
	return ret;
}

void fz_report(const struct fz_shared *shm)
{
	uint64_t ok = 0;

	printf("# %-17s %9s %9s %7s  errors\n", "ioctl", "calls", "ok", "us each");
	for (int nr = 0; nr < FZ_NR; nr++) {
		ok += shm->ok[nr];
		printf("# %-17s %9llu %9llu %7llu ", fz_ops[nr].name,
		       (unsigned long long)shm->calls[nr], (unsigned long long)shm->ok[nr],
		       (unsigned long long)(shm->ns[nr] / 1000 / (shm->calls[nr] ?: 1)));
		for (int err = 0; err < FZ_ERRNOS; err++)
			if (shm->err[nr][err])
				printf(" %s %llu", strerrorname_np(err),
				       (unsigned long long)shm->err[nr][err]);
		printf("\n");
	}
	printf("# %llu of %llu calls succeeded\n", (unsigned long long)ok,
	       (unsigned long long)shm->progress);
	printf("# %llu calls with a word that changed %llu times, %llu with signals\n",
	       (unsigned long long)shm->flipped, (unsigned long long)shm->flips,
	       (unsigned long long)shm->signalled);
	printf("# %llu pages compared, %llu events, %llu changes to memory\n",
	       (unsigned long long)shm->checked, (unsigned long long)shm->events,
	       (unsigned long long)shm->memory_calls);
}
