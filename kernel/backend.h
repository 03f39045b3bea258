/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What stands behind a pool. A backend knows offsets and system pages; it never
 * sees a device page, a VMA, an mm or a range.
 */
#ifndef _UFFDVRAM_BACKEND_H
#define _UFFDVRAM_BACKEND_H

#include <linux/mm_types.h>
#include <linux/types.h>

#include <linux/uffdvram.h>

struct dentry;
struct module;
struct uffdvram_backend;
struct uffdvram_backend_ops;

/**
 * struct uffdvram_backend - one piece of memory behind one pool
 * @ops: how to reach it; not to be followed once @ops->detach was called
 * @bytes: its size
 * @checked: it has checksums
 * @sums: of each page, as it was stored; protected by the gates of slots. 0: nobody
 *	knows what it should hold (of pages whose sum happens to be 0, too)
 * @zero_sum: of a page of zeroes
 * @about: what it found at attach, for the administrator: " name value" pairs
 * @priv: the backend's own
 * @lost: copies fail from now on
 * @trouble: set by the pool: how a backend tells that there is trouble. Any
 *	context but NMI, from within @ops->attach until @ops->detach returns.
 */
struct uffdvram_backend {
	const struct uffdvram_backend_ops *ops;
	u64 bytes;
	bool checked;
	u32 *sums;
	u32 zero_sum;
	char about[192];
	void *priv;
	bool lost;
	void (*trouble)(struct uffdvram_backend *b, enum uffdvram_trouble what);
};

/**
 * struct uffdvram_xfer - one copy
 * @off: byte offset in the pool
 * @ram: system page; a folio of @order
 * @order: 0 for a page of 4 KiB
 * @err: out: 0, or what went wrong with this one. -EHWPOISON: what is in the pool
 *	is not what was stored there, and will not become so again. Of a large one:
 *	one page of it, at least
 */
struct uffdvram_xfer {
	u64 off;
	struct page *ram;
	unsigned int order;
	int err;
};

/**
 * struct uffdvram_backend_ops - what a backend does
 * @name: as the administrator sees it
 * @id: enum uffdvram_backend_id
 * @flags: UFFDVRAM_POOL_* that it takes, beyond those that are not its business
 * @checksums: its memory may go bad without a word: pages have checksums
 * @slow_reads: reading 2 MiB takes milliseconds: a fault brings home just its page
 * @owner: the module that it is in; NULL: this one
 * @host_pages: system pages that a pool of so many bytes costs
 * @attach: make the memory reachable. May sleep, may fail.
 * @detach: undo. Nothing uses it any more. Cannot fail. Called with the pool's
 *	@detach lock only, in any process.
 * @to_vram: copy @n pages in, each for itself (@err); returns how many failed.
 *	Runs under mmap_lock and folio locks: no allocation, no user memory. The
 *	bytes are visible to every later @to_ram when it returns.
 * @to_ram: likewise, out.
 * @clear: zero @npages pages of 4 KiB from @off on; 0, or an errno: any of them may
 *	be as it was
 */
struct uffdvram_backend_ops {
	const char *name;
	u32 id;
	u32 flags;
	bool checksums;
	bool slow_reads;
	struct module *owner;
	unsigned long (*host_pages)(u64 bytes);
	int (*attach)(struct uffdvram_backend *b,
		      const struct uffdvram_pool_attach *arg);
	void (*detach)(struct uffdvram_backend *b);
	unsigned int (*to_vram)(struct uffdvram_backend *b,
				struct uffdvram_xfer *x, unsigned int n);
	unsigned int (*to_ram)(struct uffdvram_backend *b,
			       struct uffdvram_xfer *x, unsigned int n);
	int (*clear)(struct uffdvram_backend *b, u64 off, unsigned int npages);
};

extern const struct uffdvram_backend_ops uffdvram_backend_sim;
extern const struct uffdvram_backend_ops uffdvram_backend_pci;

int uffdvram_backend_register(const struct uffdvram_backend_ops *ops);
void uffdvram_backend_unregister(const struct uffdvram_backend_ops *ops);
const struct uffdvram_backend_ops *uffdvram_backend_get(u32 id);
bool uffdvram_backend_is_there(u32 id);
void uffdvram_backend_put(const struct uffdvram_backend_ops *ops);

extern int uffdvram_backend_checksums;

void uffdvram_backend_init(struct uffdvram_backend *b,
			   const struct uffdvram_backend_ops *ops,
			   const struct uffdvram_pool_attach *arg);
unsigned long uffdvram_backend_host_bytes(const struct uffdvram_backend *b);
int uffdvram_backend_attach(struct uffdvram_backend *b,
			    const struct uffdvram_pool_attach *arg);
void uffdvram_backend_detach(struct uffdvram_backend *b);

unsigned int uffdvram_backend_to_vram(struct uffdvram_backend *b,
				      struct uffdvram_xfer *x, unsigned int n);
unsigned int uffdvram_backend_to_ram(struct uffdvram_backend *b,
				     struct uffdvram_xfer *x, unsigned int n);
int uffdvram_backend_clear(struct uffdvram_backend *b, u64 off, unsigned int npages);
void uffdvram_backend_forget(struct uffdvram_backend *b, u64 off);
void uffdvram_backend_lose(struct uffdvram_backend *b);

int uffdvram_pci_init(void);
void uffdvram_pci_exit(void);

void uffdvram_knobs_delay(const struct uffdvram_backend *b);
unsigned int uffdvram_knobs_fail(const struct uffdvram_backend *b, bool in,
				 struct uffdvram_xfer *x, unsigned int n);
int uffdvram_knobs_flip(struct uffdvram_backend *b, u64 off);
int uffdvram_knobs_trouble(struct uffdvram_backend *b, enum uffdvram_trouble what);
struct dentry *uffdvram_knobs_debugfs(struct dentry *parent);

#endif /* _UFFDVRAM_BACKEND_H */
