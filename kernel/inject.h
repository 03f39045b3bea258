/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Failures on request, for tests.
 *
 * A call of ours that can fail stands in may_fail(), with what its failure looks
 * like; a decision of our own asks inject(). In test builds (UFFDVRAM_INJECT)
 * each such place is a site, which fails when the running task asked for it
 * through debugfs. In other builds nothing is left of this.
 */
#ifndef _UFFDVRAM_INJECT_H
#define _UFFDVRAM_INJECT_H

#include <linux/types.h>

struct dentry;

#ifdef UFFDVRAM_INJECT

/* Name, and what fails. */
#define UFFDVRAM_INJECT_KINDS(X)					\
	X(alloc)	/* memory, and what needs some */		\
	X(user)		/* a copy from or to user memory */		\
	X(file)		/* a file, or its descriptor */			\
	X(in)		/* a copy into VRAM */				\
	X(out)		/* a copy out of VRAM */			\
	X(slot)		/* a slot of a pool */				\
	X(kill)		/* waiting: the task was killed */		\
	X(core)		/* the core would not move or fault a page */

enum uffdvram_inject_kind {
#define UFFDVRAM_INJECT_ENUM_(name)	UFFDVRAM_INJECT_##name,
	UFFDVRAM_INJECT_KINDS(UFFDVRAM_INJECT_ENUM_)
#undef UFFDVRAM_INJECT_ENUM_
	UFFDVRAM_INJECT_NR
};

/**
 * struct uffdvram_site - a place that can fail
 * @file: where it is
 * @line: in @file
 * @kind: enum uffdvram_inject_kind
 * @hits: how often an armed task came by
 * @failed: how often it was told to fail
 */
struct uffdvram_site {
	const char *file;
	unsigned int line;
	unsigned int kind;
	unsigned long hits;
	unsigned long failed;
};

/* All sites lie between those of inject.o and inject_end.o, in link order. */
#define UFFDVRAM_SITE	__used __section("uffdvram_sites") __aligned(8)

extern struct uffdvram_site uffdvram_sites_end[];

#define inject(kind_) ({						\
	static struct uffdvram_site site_ UFFDVRAM_SITE = {		\
		.file = __FILE_NAME__,					\
		.line = __LINE__,					\
		.kind = UFFDVRAM_INJECT_##kind_,			\
	};								\
	uffdvram_inject(&site_);					\
})
#define may_fail(kind, failure, call)	(inject(kind) ? (failure) : (call))

bool uffdvram_inject(struct uffdvram_site *site);
void uffdvram_inject_debugfs(struct dentry *parent);

#else

#define inject(kind)			false
#define may_fail(kind, failure, call)	(call)

static inline void uffdvram_inject_debugfs(struct dentry *parent)
{
}

#endif /* UFFDVRAM_INJECT */

#endif /* _UFFDVRAM_INJECT_H */
