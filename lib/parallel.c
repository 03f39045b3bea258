// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Moves that several threads do together.
 *
 * The piece is cut where page tables begin, since that is what one step of the module
 * covers. Whoever is free takes the next part, in ascending order, until there is none,
 * or one has failed. So all parts before one that failed were taken and come to their
 * end, and the result is what the caller would have got alone: the parts up to the first
 * error. What was moved behind that is not counted.
 *
 * The threads that help take no signal and call nobody's log function; the caller is one
 * of those that move, and the one that a signal interrupts.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "range.h"

#define ALIGN_BYTES	(2ULL << 20)
#define MAX_THREADS	64
/* What is longer has longer parts: each has a result of its own, of some 300 bytes. */
#define MAX_PARTS	4096

struct part {
	struct uffdvram_moved moved;
	int ret;
};

struct job {
	struct uffdvram_ctx ctx;	/* our caller's descriptor, without his log */
	uint64_t addr;
	uint64_t end;
	uint64_t base;		/* addr, rounded down */
	uint64_t step;		/* bytes in a part, but for the first and the last */
	uint64_t parts;
	uint32_t flags;		/* of those that help */
	_Atomic uint64_t next;	/* part that nobody has taken */
	_Atomic bool failed;
	struct part *part;
};

static void job_work(struct job *job, uint32_t flags)
{
	uint64_t i, begin, end;
	struct part *part;

	while (!job->failed && (i = job->next++) < job->parts) {
		part = &job->part[i];
		begin = job->base + i * job->step;
		end = job->end - begin > job->step ? begin + job->step : job->end;
		if (begin < job->addr)
			begin = job->addr;
		part->ret = uffdvram_move_add(&job->ctx, begin, end - begin, flags,
					      &part->moved);
		if (part->ret)
			job->failed = true;
	}
}

static void *job_help(void *arg)
{
	struct job *job = arg;

	job_work(job, job->flags);
	return NULL;
}

/* As many threads as there are to be had, and the caller. */
static void job_run(struct job *job, unsigned int threads, uint32_t flags)
{
	pthread_t helper[MAX_THREADS];
	unsigned int n = 0;
	sigset_t all, old;
	int cancel;

	/* Whoever is cancelled while he waits would leave them his stack. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (n + 1 < threads && !pthread_create(&helper[n], NULL, job_help, job))
		n++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	job_work(job, flags);
	while (n--)
		pthread_join(helper[n], NULL);
	pthread_setcancelstate(cancel, NULL);
}

/* Cuts the piece. 0: not to be cut, also where the module is to say what is wrong with it. */
static uint64_t job_cut(struct job *job, uint64_t len)
{
	uint64_t page = job->ctx.page;

	if (!len || (job->addr | len) & (page - 1) || job->addr + len < job->addr)
		return 0;
	job->end = job->addr + len;
	job->base = job->addr & ~(ALIGN_BYTES - 1);
	job->step = (len / MAX_PARTS + ALIGN_BYTES) & ~(ALIGN_BYTES - 1);
	job->parts = (job->end - job->base + job->step - 1) / job->step;
	return job->parts;
}

int uffdvram_move_threads(struct uffdvram_ctx *ctx, uint64_t addr, uint64_t len,
			  uint32_t flags, struct uffdvram_moved *sum)
{
	unsigned int threads = (flags & UFFDVRAM_MOVE_THREADS(0xff)) / UFFDVRAM_MOVE_THREADS(1);
	struct job job = {
		.ctx = { .fd = ctx->fd, .page = ctx->page },
		.addr = addr,
		.flags = flags & ~UFFDVRAM_MOVE_EINTR,
	};
	uint64_t i;
	int ret = 0;

	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	if (threads > 1 && job_cut(&job, len) > 1)
		job.part = calloc(job.parts, sizeof(*job.part));
	if (!job.part)
		return uffdvram_move_add(ctx, addr, len, flags, sum);
	job_run(&job, threads < job.parts ? threads : job.parts, flags);
	for (i = 0; i < job.parts && !ret; i++) {
		uffdvram_moved_add(sum, &job.part[i].moved);
		ret = job.part[i].ret;
	}
	free(job.part);
	if (ret)
		uffdvram_ctx_refused(ctx, UFFDVRAM_MIGRATE, -ret);
	return ret;
}
