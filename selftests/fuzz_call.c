// SPDX-License-Identifier: GPL-2.0-only
/*
 * One call: a good argument, or one that is not any more; alone, or while a
 * second thread changes a word of it, or sends signals; and what came of it.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "ioctls.h"

#define CALL_BYTES	(2 * PAGE)

const struct fz_op fz_ops[FZ_NR] = {
#define CALL_OP(NAME, name_, last)			\
	[FZ_##NAME] = {					\
		.name = #NAME,				\
		.cmd = UFFDVRAM_##NAME,			\
		.size = sizeof(struct uffdvram_##name_),\
		.min = END(name_, last),		\
		.flags = NAME##_FLAGS,			\
		OUT(name_, NAME##_OUT),			\
		.good = fz_##name_##_good,		\
		.judge = fz_##name_##_judge,		\
		.after = fz_##name_##_after,		\
		.blind = fz_##name_##_blind,		\
	},
	UFFDVRAM_IOCTLS(CALL_OP)
};

/* How often each is called, of 1000; attaching and detaching take longest. */
static const unsigned char call_weight[FZ_NR] = {
	[FZ_INFO] = 30, [FZ_OPEN_PID] = 30, [FZ_POOL_ATTACH] = 8, [FZ_POOL_DETACH] = 8,
	[FZ_RANGE_REGISTER] = 184, [FZ_RANGE_UNREGISTER] = 90, [FZ_MIGRATE] = 210,
	[FZ_QUERY] = 85, [FZ_COPY] = 205, [FZ_POISON] = 20, [FZ_POISON_LIST] = 20,
	[FZ_HARVEST] = 50, [FZ_ACCESS_BEGIN] = 20, [FZ_ACCESS_END] = 20,
	[FZ_CONVERT] = 20,
};

/**
 * struct call - a call in the making
 * @arg: where the kernel finds the argument
 * @in: the argument as it was
 * @how: g good, m a member is odd, s the size is, p the pointer is, r it cannot
 *	be written, c the number is, f flipped, i interrupted
 * @want: what is expected
 */
struct call {
	const struct fz_op *op;
	struct fz_ctx *ctx;
	unsigned long cmd;
	char *arg;
	char in[CALL_BYTES];
	char how;
	int want;
	bool read_only;
	bool blind;
};

#define FLIPS_AT_ONCE	256

static void *flip_thread(void *arg)
{
	struct fz *f = arg;
	struct fz_flip *flip = &f->flip;

	while (!sem_wait(&flip->go) && flip->what != 'e') {
		flip->running = true;
		for (flip->n = 0; !flip->stop; flip->n++) {
			if (flip->what == 'f') {
				*flip->word = flip->n & 1 ? flip->a : flip->b;
				/* With one CPU, the caller waits for it. */
				if (flip->n % FLIPS_AT_ONCE == 0)
					sched_yield();
				continue;
			}
			usleep(flip->what == 'k' ? flip->a : 30);
			if (flip->what == 'k')
				kill(getpid(), SIGKILL);
			else if (!flip->stop && flip->n < 4)
				pthread_kill(f->self, SIGUSR1);
		}
		sem_post(&flip->done);
	}
	return NULL;
}

static void on_usr1(int signo)
{
	(void)signo;
}

void fz_flip_begin(struct fz *f)
{
	struct sigaction sa = { .sa_handler = on_usr1 };

	sigaction(SIGUSR1, &sa, NULL);
	f->self = pthread_self();
	if (sem_init(&f->flip.go, 0, 0) || sem_init(&f->flip.done, 0, 0) ||
	    pthread_create(&f->flip.thread, NULL, flip_thread, f))
		give_up("a second thread");
}

void fz_flip_end(struct fz *f)
{
	f->flip.what = 'e';
	sem_post(&f->flip.go);
	pthread_join(f->flip.thread, NULL);
}

static void flip_start(struct fz *f, int what)
{
	f->flip.what = what;
	f->flip.stop = false;
	f->flip.running = false;
	sem_post(&f->flip.go);
	while (!f->flip.running)
		sched_yield();
}

static uint64_t flip_stop(struct fz *f)
{
	f->flip.stop = true;
	while (sem_wait(&f->flip.done))
		;
	return f->flip.n;
}

void fz_kill_in_a_call(struct fz *f)
{
	f->flip.a = fz_pick(f, 3000);
	f->dying = true;
	flip_start(f, 'k');
	for (;;)
		fz_call(f);
}

/* A number that somebody may have forgotten. */
static uint64_t odd_word(struct fz *f, uint64_t was)
{
	const uint64_t odd[] = {
		0, ~0ULL, 1ULL << 63, was + 1, was - 1, was + PAGE, (1ULL << 47) - PAGE, -PAGE,
		0xffff888000000000ULL, fz_pick(f, 16), rnd(&f->rnd),
		FZ_ARENA + fz_pick(f, FZ_PAGES) * PAGE,
		was ^ 1ULL << fz_pick(f, 64), was ^ 1ULL << fz_pick(f, 64),
	};

	return odd[fz_pick(f, FZ_COUNT(odd))];
}

/*
 * Where the kernel writes to our memory: never to pages whose contents we know. And
 * none of what we need to live is lost.
 */
static void call_keep_off(struct fz *f, struct call *call)
{
	struct uffdvram_pool_detach *detach = (void *)call->in;
	struct uffdvram_copy *copy = (void *)call->in;
	struct uffdvram_query *query = (void *)call->in;
	struct uffdvram_poison *poison = (void *)call->in;
	struct uffdvram_poison_list *list = (void *)call->in;
	struct uffdvram_harvest *harvest = (void *)call->in;
	struct uffdvram_access_begin *begin = (void *)call->in;

	if (call->op == &fz_ops[FZ_POISON] && poison->addr - FZ_ARGS < MIB(8))
		poison->addr = FZ_ARENA;
	if (call->op == &fz_ops[FZ_POISON_LIST] && list->vec - FZ_ARENA < MIB(16))
		list->vec = FZ_SCRATCH;
	if (call->op == &fz_ops[FZ_HARVEST] && harvest->vec - FZ_ARENA < MIB(16))
		harvest->vec = FZ_SCRATCH;
	if (call->op == &fz_ops[FZ_ACCESS_BEGIN] && begin->vec - FZ_ARENA < MIB(16))
		begin->vec = FZ_SCRATCH;
	if (call->op == &fz_ops[FZ_COPY] && copy->buf - FZ_ARENA < MIB(16))
		copy->buf = FZ_SCRATCH;
	if (call->op == &fz_ops[FZ_CONVERT])
		fz_convert_tame(call->ctx, call->in);
	if (call->op == &fz_ops[FZ_POOL_DETACH] && !f->discards)
		detach->flags &= ~UFFDVRAM_DETACH_DISCARD;
	if (call->op == &fz_ops[FZ_QUERY] && query->vec - FZ_ARENA < MIB(16))
		query->vec = FZ_SCRATCH;
}

/* One whose result is not known: its buffer is in the first pages of the scratch. */
static void call_tame_copy(struct fz *f, struct call *call)
{
	struct uffdvram_copy *copy = (void *)call->in;

	if (call->op != &fz_ops[FZ_COPY])
		return;
	copy->buf = FZ_SCRATCH + fz_pick(f, 16) * PAGE;
	copy->len = (1 + fz_pick(f, 15)) * PAGE;
}

/* A number that, added to the one before it, is too much for 64 bits. */
static void odd_sum(struct fz *f, struct call *call)
{
	size_t at = 8 + 8 * fz_pick(f, call->op->size / 8 - 1);
	uint64_t word;

	memcpy(&word, call->in + at - 8, 8);
	word = fz_pick(f, 3) * PAGE - word;
	if (at + 8 <= call->op->size)
		memcpy(call->in + at, &word, 8);
}

static void odd_member(struct fz *f, struct call *call)
{
	const struct fz_op *op = call->op;
	size_t words = (op->size - 4) / 4, at = 4 + 4 * fz_pick(f, words);
	uint64_t word = 0;

	call->how = 'm';
	call_keep_off(f, call);
	/* Most members are of 8 bytes. */
	if (fz_chance(f, 25)) {
		odd_sum(f, call);
	} else if (at % 8 == 0 && at + 8 <= op->size && fz_chance(f, 75)) {
		memcpy(&word, call->in + at, 8);
		word = odd_word(f, word);
		memcpy(call->in + at, &word, 8);
	} else {
		memcpy(&word, call->in + at, 4);
		word = at == 4 ? word ^ 1U << fz_pick(f, 4) : odd_word(f, word);
		memcpy(call->in + at, &word, 4);
	}
	call_keep_off(f, call);
}

static void odd_size(struct fz *f, struct call *call)
{
	const struct fz_op *op = call->op;
	const uint32_t sizes[] = {
		fz_pick(f, op->min), fz_pick(f, op->min), op->size + 1 + fz_pick(f, 64), PAGE,
		PAGE + 1 + fz_pick(f, 1 << 20), -fz_pick(f, 64), op->size + 1 + fz_pick(f, 3700),
	};
	unsigned int which = fz_pick(f, FZ_COUNT(sizes));
	uint32_t size;

	call->how = 's';
	size = sizes[which];
	/* Something that is not zero, behind what is known. */
	if (which == FZ_COUNT(sizes) - 1)
		call->in[op->size + fz_pick(f, size - op->size)] = 1;
	memcpy(call->in, &size, 4);
}

static void odd_pointer(struct fz *f, struct call *call)
{
	static const uint64_t nowhere[] = { 0, 0xffff888000000000ULL, ~0ULL, 1ULL << 47 };

	call->how = 'p';
	call->want = -EFAULT;
	switch (fz_pick(f, 3)) {
	case 0:
		call->arg = (char *)(uintptr_t)nowhere[fz_pick(f, FZ_COUNT(nowhere))];
		break;
	case 1:
		/* Its end is where nothing is. */
		call->arg = (char *)(FZ_ARGS + CALL_BYTES - 1 - fz_pick(f, call->op->size - 1));
		break;
	default:
		/* It can be read, but the answer cannot be written. */
		call_keep_off(f, call);
		call_tame_copy(f, call);
		call->how = 'r';
		call->read_only = true;
		call->blind = true;
		call->want = FZ_FAILS;
	}
}

static void odd_number(struct fz *f, struct call *call)
{
	call->how = 'c';
	call->want = -ENOTTY;
	switch (fz_pick(f, 3)) {
	case 0:
		call->cmd = _IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_END + fz_pick(f, 0x70));
		break;
	case 1:
		call->cmd = _IOWR(UFFDVRAM_TYPE, _IOC_NR(call->cmd), uint64_t[3]);
		break;
	default:
		call->cmd = _IO(UFFDVRAM_TYPE ^ 1, _IOC_NR(call->cmd));
	}
}

/*
 * Two values for one word of the argument, in any mix of bytes: so that COPY and
 * QUERY cannot write where the model, or the program, lives.
 */
static void flip_choose(struct fz *f, struct call *call)
{
	static const uint8_t copy_words[] = { 0, 4, 8, 12, 16, 24, 28 };
	const struct fz_op *op = call->op;
	bool detach = op == &fz_ops[FZ_POOL_DETACH] && !f->discards;
	size_t at;

	call->how = 'f';
	call->blind = true;
	call->want = FZ_ANY;
	call_keep_off(f, call);
	do {
		at = 4 * fz_pick(f, op->size / 4);
	} while (op->out && at >= op->out && at < op->out_end);
	call_tame_copy(f, call);
	if (op == &fz_ops[FZ_COPY])
		at = copy_words[fz_pick(f, FZ_COUNT(copy_words))];
	memcpy(&f->flip.a, call->in + at, 4);
	f->flip.b = odd_word(f, f->flip.a);
	if (fz_chance(f, 50))
		f->flip.b = f->flip.a + PAGE * fz_pick(f, 16);
	if (at == 4)
		f->flip.b = f->flip.a ^ 1U << (detach + fz_pick(f, 3));
	if (op == &fz_ops[FZ_COPY] && (at == 16 || at == 24))
		f->flip.b = fz_pick(f, 16) * PAGE;
	f->flip.word = (void *)(call->arg + at);
}

/* What can be said of any argument that is not flipped. */
static void call_judge(struct fz *f, struct call *call)
{
	uint32_t size, flags;

	memcpy(&size, call->in, 4);
	memcpy(&flags, call->in + 4, 4);
	if (call->want != FZ_ANY)
		return;
	if (size < call->op->min)
		call->want = -EINVAL;
	else if (size > PAGE)
		call->want = -E2BIG;
	for (size_t i = call->op->size; call->want == FZ_ANY && i < size; i++)
		if (call->in[i])
			call->want = -E2BIG;
	if (call->want == FZ_ANY && flags & ~call->op->flags)
		call->want = -EOPNOTSUPP;
	if (call->want == FZ_ANY)
		call->want = call->op->judge(f, call->ctx, call->in);
}

static int call_choose(struct fz *f)
{
	unsigned int ranges = 0, nr = 0;
	int n = fz_pick(f, 1000);

	while (n >= call_weight[nr])
		n -= call_weight[nr++];
	/* Without a lease it would find nothing to end. */
	if (nr == FZ_ACCESS_END && !fz_lease_ctx(f) && fz_chance(f, 50))
		return FZ_ACCESS_BEGIN;
	for (unsigned int i = 0; i < FZ_RANGES; i++)
		ranges += f->range[i].id != 0;
	return nr == FZ_RANGE_REGISTER && ranges > FZ_RANGES - 4 ? FZ_RANGE_UNREGISTER : (int)nr;
}

static void call_make_good(struct fz *f, struct call *call)
{
	uint32_t size = call->op->size;

	call->cmd = call->op->cmd;
	call->want = FZ_ANY;
	call->how = 'g';
	call->arg = (char *)FZ_ARGS + (fz_chance(f, 90) ? 8 * fz_pick(f, 100) : fz_pick(f, 800));
	call->op->good(f, call->ctx, call->in);
	memcpy(call->in, &size, 4);
}

static void call_make(struct fz *f, struct call *call)
{
	bool copy = call->op == &fz_ops[FZ_COPY];
	/* Which pages it destroyed, or hid, must be known. */
	bool known = (copy && call->ctx->mm) || call->op == &fz_ops[FZ_POISON] ||
		     call->op == &fz_ops[FZ_CONVERT];
	/* The second thread cannot help while it waits to kill. */
	unsigned int kind = fz_pick(f, f->dying ? 90 : 100);

	call_make_good(f, call);
	if (kind < 70)
		return;
	if (kind < 82)
		odd_member(f, call);
	else if (kind < 85)
		odd_size(f, call);
	else if (kind < 89)
		odd_pointer(f, call);
	else if (kind < 90)
		odd_number(f, call);
	else if (kind < 97 && !known)
		flip_choose(f, call);
	else
		call->how = 'i';
	/* A COPY whose writes could not be followed. */
	if (call->blind && copy && (f->shm->n_wild > FZ_WILD - 100 || call->ctx->mm)) {
		call->read_only = false;
		call->blind = false;
		call->how = 'g';
		call->want = FZ_ANY;
	}
}

static void call_place(struct call *call)
{
	char *area = (char *)FZ_ARGS, *end = area + CALL_BYTES;
	size_t n = CALL_BYTES;

	if (call->arg < area || call->arg >= end)
		return;
	if (n > (size_t)(end - call->arg))
		n = end - call->arg;
	/* The second page may be anything's, and far away. */
	area[CALL_BYTES - 1] = 0;
	memcpy(call->arg, call->in, n < PAGE + 1024 ? n : PAGE + 1024);
	if (call->read_only && mprotect(area, CALL_BYTES, PROT_READ))
		give_up("mprotect");
}

static int call_issue(struct fz *f, struct call *call)
{
	uint64_t begin;
	int ret;

	call_place(call);
	if (call->how == 'f' || call->how == 'i')
		flip_start(f, call->how == 'f' ? 'f' : 's');
	begin = now_ns();
	ret = uv_ioctl(call->ctx->fd, call->cmd, call->arg);
	f->shm->ns[call->op - fz_ops] += now_ns() - begin;
	if (call->how == 'f') {
		f->shm->flips += flip_stop(f);
		f->shm->flipped++;
	} else if (call->how == 'i') {
		flip_stop(f);
		f->shm->signalled++;
	}
	if (call->read_only && mprotect((char *)FZ_ARGS, CALL_BYTES, PROT_READ | PROT_WRITE))
		give_up("mprotect");
	return ret;
}

/* The errno is one of the manual's, and what was no answer is as it was. */
static void call_check(struct fz *f, const struct call *call, int ret)
{
	const struct fz_op *op = call->op;
	int want = call->want;

	if (ret > 0 || (ret && !fz_man_allows(op - fz_ops, -ret)))
		fz_fail(f, "%s returned %d, which its manual does not tell of", op->name, ret);
	if (call->how == 'i' && ret == -EINTR)
		return;
	if (want == FZ_FAILS ? !ret : want <= 0 && ret != want)
		fz_fail(f, "%s (%c) returned %d, not %d", op->name, call->how, ret, want);
	if (call->how == 'p')
		return;
	for (size_t i = 0; !call->blind && i < op->size + 64; i++)
		if ((!op->out || i < op->out || i >= op->out_end) && call->arg[i] != call->in[i])
			fz_fail(f, "%s changed byte %zu of its argument", op->name, i);
}

/* Whether the module looked at more than the size. */
static bool call_was_run(const struct call *call, int ret)
{
	uint32_t size, flags;

	memcpy(&size, call->in, 4);
	memcpy(&flags, call->in + 4, 4);
	return !strchr("pc", call->how) && size >= call->op->min && ret != -E2BIG &&
	       !(flags & ~call->op->flags);
}

static void call_record(struct fz *f, const struct call *call)
{
	struct fz_record *r = &f->shm->log[f->shm->n_log++ % FZ_LOG];

	r->nr = call->op - fz_ops;
	r->ctx = call->ctx - f->ctx;
	r->how = call->how;
	r->ret = 1;		/* it is under way */
	memcpy(r->arg, call->in, sizeof(r->arg));
}

static void call_do(struct fz *f, struct call *call)
{
	struct fz_shared *shm = f->shm;
	int nr = call->op - fz_ops, ret;
	char out[512];

	if (!call->blind)
		call_judge(f, call);
	fz_before(f, call->ctx, nr, call->in, call->blind);
	call_record(f, call);
	ret = call_issue(f, call);
	shm->log[(shm->n_log - 1) % FZ_LOG].ret = ret;
	shm->progress++;
	shm->calls[nr]++;
	if (ret)
		shm->err[nr][-ret < FZ_ERRNOS ? -ret : 0]++;
	else
		shm->ok[nr]++;
	call_check(f, call, ret);
	if (call->how != 'p')
		memcpy(out, call->arg, sizeof(out));
	if (call->blind)
		call->op->blind(f, call->ctx, call->in, out, ret);
	else if (call_was_run(call, ret))
		call->op->after(f, call->ctx, call->in, out, ret);
}

static struct fz_ctx *call_ctx(struct fz *f, int nr)
{
	struct fz_ctx *c = nr == FZ_ACCESS_END ? fz_lease_ctx(f) : NULL;

	return c ? c : fz_any_ctx(f);
}

void fz_call_good(struct fz *f, int nr)
{
	static struct call call;

	call = (struct call){ .op = &fz_ops[nr], .ctx = call_ctx(f, nr) };
	call_make_good(f, &call);
	call_do(f, &call);
}

void fz_call(struct fz *f)
{
	static struct call call;
	int nr = call_choose(f);

	call = (struct call){ .op = &fz_ops[nr], .ctx = call_ctx(f, nr) };
	call_make(f, &call);
	call_do(f, &call);
}
