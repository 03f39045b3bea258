// SPDX-License-Identifier: GPL-2.0-only
/* What the fuzzer does to its memory between the calls. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

static const char mm_zeroes[PAGE];

static void mm_set(struct fz *f, unsigned int first, unsigned int n, int prot)
{
	uint64_t zero = fz_sum(mm_zeroes);

	for (unsigned int i = first; i < first + n; i++)
		*fz_page(f, 0, i) = (struct fz_page){ .sum = zero, .prot = prot };
}

void fz_inherit(struct fz *f, unsigned int first, unsigned int n, bool inherit)
{
	for (unsigned int i = first; i < first + n; i++) {
		struct fz_page *p = fz_page(f, 0, i);

		if (!p->prot)
			continue;
		if (madvise(fz_addr(i), PAGE, inherit ? MADV_DOFORK : MADV_DONTFORK))
			fz_fail(f, "MADV_%sFORK of page %u: %m", inherit ? "DO" : "DONT", i);
		p->own = !inherit;
	}
}

void fz_inherited(struct fz *f, struct fz_page *child)
{
	for (unsigned int i = 0; i < FZ_PAGES; i++) {
		child[i] = *fz_page(f, 0, i);
		if (child[i].own)
			child[i] = (struct fz_page){ 0 };
	}
}

static void mm_map(struct fz *f, unsigned int first, unsigned int n)
{
	if (mmap(fz_addr(first), n * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		fz_fail(f, "mmap of %u pages: %m", n);
	mm_set(f, first, n, 3);
}

static void mm_unmap(struct fz *f, unsigned int first, unsigned int n)
{
	if (munmap(fz_addr(first), n * PAGE))
		fz_fail(f, "munmap of %u pages: %m", n);
	mm_set(f, first, n, 0);
}

/* Memory from the device itself, of which the model does not follow the ranges. */
static void mm_map_node(struct fz *f, unsigned int first, unsigned int n)
{
	struct fz_ctx *c = fz_any_ctx(f);

	mm_unmap(f, first, n);
	if (!f->nodes || c->mm) {
		mm_map(f, first, n);
		return;
	}
	if (mmap(fz_addr(first), n * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED_NOREPLACE, c->fd, 0) == MAP_FAILED)
		return;
	mm_set(f, first, n, 3);
	c->node = true;
	f->vague[0]++;
	f->vague_pools++;
}

/* One at a time: each is surely of one mapping. */
static void mm_move(struct fz *f, unsigned int first, unsigned int n)
{
	unsigned int to;

	n = n < 16 ? n : 16;
	to = fz_pick(f, FZ_PAGES - n + 1);
	if (to < first + n && first < to + n)
		return;
	mm_unmap(f, to, n);
	for (unsigned int i = 0; i < n; i++) {
		if (!fz_page(f, 0, first + i)->prot)
			continue;
		if (mremap(fz_addr(first + i), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			   fz_addr(to + i)) == MAP_FAILED)
			fz_fail(f, "mremap of page %u to %u: %m", first + i, to + i);
		*fz_page(f, 0, to + i) = *fz_page(f, 0, first + i);
		mm_set(f, first + i, 1, 0);
	}
}

static void mm_protect(struct fz *f, unsigned int first, unsigned int n)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };
	int which = fz_chance(f, 60) ? 2 : fz_pick(f, 3);

	if (!fz_all_are(f, 0, FZ_ARENA + first * PAGE, n * PAGE, 1))
		return;
	if (mprotect(fz_addr(first), n * PAGE, prots[which]))
		fz_fail(f, "mprotect of %u pages: %m", n);
	for (unsigned int i = first; i < first + n; i++)
		fz_page(f, 0, i)->prot = which + 1;
}

static void mm_free(struct fz *f, unsigned int first, unsigned int n)
{
	uint64_t zero = fz_sum(mm_zeroes);

	fz_check(f, first, n);
	for (unsigned int i = first; i < first + n; i++) {
		struct fz_page *p = fz_page(f, 0, i);

		if (p->prot < 2 || p->has_alt || madvise(fz_addr(i), PAGE, MADV_FREE))
			continue;
		p->alt = zero;
		p->has_alt = true;
	}
}

static void mm_advise(struct fz *f, unsigned int first, unsigned int n)
{
	static const int advice[] = {
		MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
		MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_COLLAPSE, MADV_POPULATE_READ,
		MADV_POPULATE_WRITE, MADV_NORMAL, MADV_SEQUENTIAL,
	};

	/* Whether it can be followed is up to the kernel: contents stay. */
	madvise(fz_addr(first), n * PAGE, advice[fz_pick(f, FZ_COUNT(advice))]);
}

static void mm_drop(struct fz *f, unsigned int first, unsigned int n)
{
	bool own;

	for (unsigned int i = first; i < first + n; i++) {
		struct fz_page *p = fz_page(f, 0, i);

		if (!p->prot)
			continue;
		if (madvise(fz_addr(i), PAGE, MADV_DONTNEED))
			fz_fail(f, "MADV_DONTNEED of page %u: %m", i);
		own = p->own;
		mm_set(f, i, 1, p->prot);
		fz_page(f, 0, i)->own = own;
	}
}

static void mm_write(struct fz *f, unsigned int first, unsigned int n)
{
	fz_check(f, first, n);
	for (unsigned int i = first; i < first + n; i++) {
		if (fz_page(f, 0, i)->prot < 3)
			continue;
		fz_fill(f, fz_addr(i));
		fz_page_set(f, 0, i, fz_sum(fz_addr(i)));
	}
}

/* A child for a moment, which reads what we have, and writes to its own. */
static void mm_fork(struct fz *f, unsigned int first, unsigned int n)
{
	int status = -1;
	pid_t pid = fork();

	if (pid < 0)
		fz_fail(f, "fork: %m");
	if (!pid) {
		static struct fz_page own[FZ_PAGES];

		fz_inherited(f, own);
		f->mm[0] = own;
		fz_check(f, first, n);
		mm_write(f, first, n);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		fz_fail(f, "a child ended with status %x", status);
}

void fz_memory(struct fz *f)
{
	unsigned int kind = fz_pick(f, 100), first, n;

	f->shm->memory_calls++;
	fz_run(f, &first, &n);
	if (kind < 34)
		mm_write(f, first, n);
	else if (kind < 60)
		fz_check(f, first, n);
	else if (kind < 68)
		mm_protect(f, first, n);
	else if (kind < 71)
		mm_unmap(f, first, n);
	else if (kind < 78)
		mm_map(f, first, n);
	else if (kind < 80)
		mm_map_node(f, first, n);
	else if (kind < 86)
		mm_move(f, first, n);
	else if (kind < 88)
		mm_free(f, first, n);
	else if (kind < 94)
		mm_advise(f, first, n);
	else if (kind < 96)
		fz_inherit(f, first, n, fz_chance(f, 60));
	else if (kind < 99)
		mm_drop(f, first, n);
	else
		mm_fork(f, first, n);
}

void fz_map_all(struct fz *f)
{
	void *scratch = (void *)FZ_SCRATCH, *args = (void *)FZ_ARGS;

	mm_map(f, 0, FZ_PAGES);
	if (mmap(scratch, FZ_PAGES * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
		 -1, 0) != scratch ||
	    mmap(args, 2 * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != args)
		give_up("mmap");
}

/* All that there is, whatever its protection. */
void fz_check_all(struct fz *f)
{
	for (unsigned int i = 0; i < FZ_PAGES; i++) {
		struct fz_page *p = fz_page(f, 0, i);

		if (!p->prot || p->prot == 3)
			continue;
		if (mprotect(fz_addr(i), PAGE, PROT_READ | PROT_WRITE))
			fz_fail(f, "mprotect of page %u: %m", i);
		p->prot = 3;
	}
	fz_check(f, 0, FZ_PAGES);
}
