// SPDX-License-Identifier: GPL-2.0-only
/* The fuzzer's knowledge of INFO, OPEN_PID, POOL_* and RANGE_*. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

#define POOL_BYTES_MOST	MIB(4)
#define PCI_BARS	6
#define IORESOURCE_MEM	0x200	/* as the kernel has it */

void fz_info_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	(void)f;
	(void)c;
	(void)arg;
}

int fz_info_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	(void)f;
	(void)c;
	(void)arg;
	return 0;
}

void fz_info_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	const struct uffdvram_info *info = out;
	unsigned int pools = 0;
	int n = c - f->ctx;

	(void)in;
	if (ret)
		return;
	for (struct fz_pool *p = f->pool; p < f->pool + FZ_POOLS; p++)
		pools += p->id && p->sure && (p->shared || p->ctx == n);
	if (info->abi != UFFDVRAM_ABI || (info->page_sizes & ~HUGE) != PAGE || !info->max_ranges)
		fz_fail(f, "INFO: abi %u, page sizes %llx, %llu ranges", info->abi,
			info->page_sizes, info->max_ranges);
	if (info->pool && !info->n_pools)
		fz_fail(f, "INFO: pool %u of none", info->pool);
	if (info->n_pools < pools || (f->quota != (info->slot_quota != ~0ULL)))
		fz_fail(f, "INFO: %u pools of %u, quota %llx", info->n_pools, pools,
			info->slot_quota);
}

void fz_info_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	(void)f;
	(void)c;
	(void)in;
	(void)out;
	(void)ret;
}

void fz_open_pid_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	struct uffdvram_open_pid *a = arg;

	(void)c;
	a->pidfd = f->sibling.pid && fz_chance(f, 60) ? f->sibling_pidfd : f->pidfd;
}

int fz_open_pid_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_open_pid *a = arg;

	(void)c;
	if (!f->admin)
		return -EPERM;
	if (a->pidfd == f->pidfd || (f->sibling.pid && a->pidfd == f->sibling_pidfd))
		return 0;
	return f->sibling_pidfd >= 0 && a->pidfd == f->sibling_pidfd ? -ESRCH : -EBADF;
}

void fz_open_pid_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	const struct uffdvram_open_pid *a = out, *asked = in;

	(void)c;
	if (ret) {
		if (a->fd != -1 && ret != -EOPNOTSUPP)
			fz_fail(f, "OPEN_PID failed, and gave descriptor %d", a->fd);
		return;
	}
	if (!(fcntl(a->fd, F_GETFD) & FD_CLOEXEC))
		fz_fail(f, "OPEN_PID: descriptor %d is no good", a->fd);
	for (unsigned int i = 1; i < FZ_CTXS; i++) {
		if (f->ctx[i].fd >= 0)
			continue;
		f->ctx[i].fd = a->fd;
		f->ctx[i].mm = asked->pidfd == f->sibling_pidfd;
		fcntl(a->fd, F_SETFL, O_RDWR | O_NONBLOCK);
		return;
	}
	close(a->fd);
}

/* Of which process it is cannot be told. */
void fz_open_pid_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out, int ret)
{
	(void)f;
	(void)c;
	(void)in;
	if (!ret)
		close(((const struct uffdvram_open_pid *)out)->fd);
}

/* Whether this kernel has 2 MiB in VRAM as one. */
static bool has_huge(const struct fz_ctx *c)
{
	static int has = -1;

	if (has < 0)
		has = huge_in_vram(c->fd);
	return has;
}

void fz_pool_attach_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	struct uffdvram_pool_attach *a = arg;

	if (fz_chance(f, 30))
		a->fault_bytes = has_huge(c) && fz_chance(f, 50) ? HUGE : PAGE;
	a->flags = fz_chance(f, 20) ? UFFDVRAM_POOL_SHARED : 0;
	a->backend = UFFDVRAM_BACKEND_SIM;
	a->bytes = (fz_chance(f, 30) ? 1 + fz_pick(f, 1024) : 16 + fz_pick(f, 100)) * PAGE;
	/* Good, but not for everybody: with the right, it might write to any device. */
	if (!f->admin && fz_chance(f, 20)) {
		a->backend = UFFDVRAM_BACKEND_PCI;
		a->pci_sbdf = fz_pick(f, 32) << 3;
		a->pci_bar = fz_pick(f, PCI_BARS);
	}
}

/* Has the machine a memory BAR of this number? -1: nor has it the function. */
static int pci_has_bar(uint32_t sbdf, uint32_t bar)
{
	unsigned long long start, end, flags = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%04x:%02x:%02x.%u/resource",
		 sbdf >> 16, sbdf >> 8 & 0xff, sbdf >> 3 & 0x1f, sbdf & 7);
	file = fopen(path, "re");
	if (!file)
		return -1;
	for (uint32_t i = 0; i <= bar; i++)
		if (fscanf(file, "%llx %llx %llx", &start, &end, &flags) != 3)
			give_up(path);
	fclose(file);
	return !!(flags & IORESOURCE_MEM);
}

/* Bytes that no pool has, and no fault brings home. */
static bool pool_attach_sizes_bad(const struct fz_ctx *c, const struct uffdvram_pool_attach *a)
{
	return !a->bytes || a->bytes % PAGE ||
	       (a->fault_bytes && a->fault_bytes != PAGE &&
		!(a->fault_bytes == HUGE && has_huge(c)));
}

/* The machine's own functions have memory BARs: what they hold nobody knows. */
static int pool_attach_pci_judge(struct fz *f, const struct fz_ctx *c,
				 const struct uffdvram_pool_attach *a)
{
	int ret;

	if (pool_attach_sizes_bad(c, a))
		return -EINVAL;
	if (!f->admin)
		ret = -EPERM;
	else if (pci_has_bar(a->pci_sbdf, 0) < 0)
		ret = -ENXIO;
	else if (a->pci_bar >= PCI_BARS || a->addr % PAGE)
		ret = -EINVAL;
	else
		ret = pci_has_bar(a->pci_sbdf, a->pci_bar) ? FZ_ANY : -ENXIO;
	/* It costs too much, perhaps. */
	if (ret != FZ_ANY && (a->bytes > POOL_BYTES_MOST || f->vague_pools || f->big_pool))
		ret = FZ_FAILS;
	return ret;
}

int fz_pool_attach_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_pool_attach *a = arg;
	bool shared = a->flags & UFFDVRAM_POOL_SHARED;

	if (a->backend != UFFDVRAM_BACKEND_SIM && a->backend != UFFDVRAM_BACKEND_PCI)
		return -EOPNOTSUPP;
	if (shared && !f->admin)
		return -EPERM;
	if (a->backend == UFFDVRAM_BACKEND_PCI)
		return pool_attach_pci_judge(f, c, a);
	if (a->addr || a->pci_sbdf || a->pci_bar)
		return a->bytes <= POOL_BYTES_MOST ? -EINVAL : FZ_FAILS;
	if (pool_attach_sizes_bad(c, a))
		return -EINVAL;
	return a->bytes <= POOL_BYTES_MOST && !f->vague_pools && !f->big_pool ? 0 : FZ_ANY;
}

static void pool_add(struct fz *f, struct fz_ctx *c, const struct uffdvram_pool_attach *a,
		     uint32_t id, bool sure)
{
	struct uffdvram_pool_detach d = { .size = sizeof(d), .pool = id };
	bool shared = a->flags & UFFDVRAM_POOL_SHARED;

	if (!id || fz_pool_find(f, id))
		fz_fail(f, "POOL_ATTACH gave pool %u%s", id, id ? ", once more" : "");
	f->big_pool |= !sure || a->bytes > POOL_BYTES_MOST;
	for (struct fz_pool *p = f->pool; p < f->pool + FZ_POOLS; p++) {
		if (p->id)
			continue;
		*p = (struct fz_pool){ id, c - f->ctx, a->bytes, shared, sure };
		return;
	}
	if (uv_ioctl(c->fd, UFFDVRAM_POOL_DETACH, &d) || d.left)
		fz_fail(f, "a new pool, %u, cannot be detached", id);
}

void fz_pool_attach_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out,
			  int ret)
{
	if (!ret)
		pool_add(f, c, in, ((const struct uffdvram_pool_attach *)out)->pool, true);
}

/* It may be shared, and of any size. */
void fz_pool_attach_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out,
			  int ret)
{
	if (!ret)
		pool_add(f, c, in, ((const struct uffdvram_pool_attach *)out)->pool, false);
}

void fz_pool_detach_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	struct uffdvram_pool_detach *a = arg;
	struct fz_pool *p = &f->pool[fz_pick(f, FZ_POOLS)];

	for (struct fz_pool *q = f->pool; q < f->pool + FZ_POOLS; q++)
		if (!p->id || (p->ctx != c - f->ctx && q->id && q->ctx == c - f->ctx))
			p = q;
	a->pool = p->id;
	a->flags = f->discards && fz_chance(f, 15) ? UFFDVRAM_DETACH_DISCARD : 0;
}

int fz_pool_detach_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_pool_detach *a = arg;
	struct fz_pool *p = fz_pool_find(f, a->pool);

	if (a->__reserved)
		return -EINVAL;
	if (!p)
		return f->vague_pools ? FZ_ANY : -ENODEV;
	if (!p->sure)
		return FZ_ANY;
	if (!p->shared && p->ctx != c - f->ctx)
		return -ENODEV;
	if (p->shared && !f->admin)
		return -EPERM;
	/* Slots of leases stay until those end. */
	return f->leases ? FZ_ANY : 0;
}

void fz_pool_detach_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out,
			  int ret)
{
	const struct uffdvram_pool_detach *a = in, *d = out;
	struct fz_pool *p = fz_pool_find(f, a->pool);

	if (!ret && d->left)
		fz_fail(f, "POOL_DETACH succeeded, and left %llu slots", d->left);
	if (!p)
		return;
	/* To whom it is no secret, a pool that is not known is none. */
	if (!ret || (ret == -ENODEV && (p->shared || p->ctx == c - f->ctx)))
		p->id = 0;
	else if (ret == -EINTR || ret == -ENOMEM || ret == -EBUSY)
		p->sure = false;
}

void fz_pool_detach_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out,
			  int ret)
{
	(void)c;
	(void)in;
	(void)out;
	(void)ret;
	fz_pools_doubt(f);
}

void fz_range_register_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	struct uffdvram_range_register *a = arg;
	struct fz_pool *p = &f->pool[fz_pick(f, FZ_POOLS)];
	unsigned int first, n, tries = 0;

	do {
		fz_run(f, &first, &n);
	} while (fz_range_at(f, c->mm, FZ_ARENA + first * PAGE, n * PAGE) && tries++ < 8);
	a->addr = FZ_ARENA + first * PAGE;
	a->len = n * PAGE;
	for (tries = 0; !(p->id && (p->shared || p->ctx == c - f->ctx)) && tries < FZ_POOLS;)
		p = &f->pool[tries++];
	a->pool = fz_chance(f, 95) ? p->id : 0;
	if (a->pool && fz_chance(f, 15)) {
		a->flags |= UFFDVRAM_RANGE_LINEAR;
		a->pool_off = fz_pick(f, p->bytes / PAGE + 1) * PAGE;
	}
	if (fz_chance(f, 20))
		a->flags |= UFFDVRAM_RANGE_FAULT_EVENTS;
	if (fz_chance(f, 15)) {
		a->flags |= UFFDVRAM_RANGE_EXCLUSIVE;
		/* The sibling's memory does not fit: it was inherited. */
		if (!c->mm && fz_chance(f, 80))
			fz_inherit(f, first, n, false);
	}
	if (!f->discards && fz_chance(f, 3)) {
		/* Our own stack, or the arguments of the calls. */
		a->addr = fz_chance(f, 50) ? FZ_ARGS : ADDR(&first) & ~(PAGE - 1);
		a->len = PAGE;
	}
}

/* Whether an exclusive range may be there. Of KSM the model knows nothing. */
static bool range_may_be_own(struct fz *f, int mm, uint64_t addr, uint64_t len)
{
	for (uint64_t i = addr; i < addr + len; i += PAGE)
		if (!fz_page(f, mm, fz_index(i))->own ||
		    fz_page(f, mm, fz_index(i))->prot != 3)
			return false;
	return true;
}

int fz_range_register_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_range_register *a = arg;
	bool linear = a->flags & UFFDVRAM_RANGE_LINEAR;
	struct fz_pool *p = fz_pool_find(f, a->pool);
	struct fz_range *r;
	bool exclusive;

	if (c->gone)
		return FZ_ANY;
	if (fz_bad_piece(a->addr, a->len) ||
	    a->addr + a->len > 1ULL << 56)
		return -EINVAL;
	if (linear ? !a->pool || a->pool_off % PAGE : a->pool_off)
		return -EINVAL;
	r = fz_range_at(f, c->mm, a->addr, a->len);
	if (r && r->sure)
		return FZ_FAILS;
	if (!fz_all_are(f, c->mm, a->addr, a->len, 0))
		return FZ_ANY;
	exclusive = a->flags & UFFDVRAM_RANGE_EXCLUSIVE;
	/* Of two things that are wrong, the first one in memory is told. */
	if (!fz_all_are(f, c->mm, a->addr, a->len, 1))
		return exclusive ? FZ_FAILS : -ENOENT;
	if (exclusive)
		return range_may_be_own(f, c->mm, a->addr, a->len) ? FZ_ANY : FZ_FAILS;
	if (a->pool && !p)
		return f->vague_pools ? FZ_ANY : -ENODEV;
	if (p && p->sure && !p->shared && p->ctx != c - f->ctx)
		return -ENODEV;
	return r || f->vague[c->mm] || linear || (p && !p->sure) ? FZ_ANY : 0;
}

static void range_add(struct fz *f, struct fz_ctx *c, const struct uffdvram_range_register *a,
		      uint32_t id, bool sure)
{
	struct fz_range r = {
		.id = id,
		.ctx = c - f->ctx,
		.mm = c->mm,
		.pool = a->pool,
		.addr = a->addr,
		.len = a->len,
		.sure = sure,
	};
	struct fz_range *old = fz_range_find(f, c - f->ctx, id);

	if (!id || (old && old->sure))
		fz_fail(f, "RANGE_REGISTER gave range %u%s", id, id ? ", once more" : "");
	/* Its number was free: it is gone. */
	if (old)
		old->id = 0;
	fz_range_add(f, &r);
}

void fz_range_register_after(struct fz *f, struct fz_ctx *c, const void *in, const void *out,
			     int ret)
{
	if (!ret)
		range_add(f, c, in, ((const struct uffdvram_range_register *)out)->range, true);
}

void fz_range_register_blind(struct fz *f, struct fz_ctx *c, const void *in, const void *out,
			     int ret)
{
	struct uffdvram_range_register a;

	if (ret)
		return;
	/* It may be anywhere. */
	a = *(const struct uffdvram_range_register *)in;
	a.addr = 0;
	a.len = 1ULL << 47;
	range_add(f, c, &a, ((const struct uffdvram_range_register *)out)->range, false);
}

void fz_range_unregister_good(struct fz *f, struct fz_ctx *c, void *arg)
{
	struct uffdvram_range_unregister *a = arg;
	unsigned int from = fz_pick(f, FZ_RANGES);

	for (unsigned int i = 0; i < FZ_RANGES; i++) {
		struct fz_range *r = &f->range[(from + i) % FZ_RANGES];

		/* First those of which it is not known whether they are there. */
		if (r->id && r->ctx == c - f->ctx && (!a->range || !r->sure))
			a->range = r->id;
	}
}

int fz_range_unregister_judge(struct fz *f, struct fz_ctx *c, const void *arg)
{
	const struct uffdvram_range_unregister *a = arg;
	struct fz_range *r = fz_range_find(f, c - f->ctx, a->range);

	if (a->__reserved)
		return -EINVAL;
	if (r)
		return r->sure ? 0 : FZ_ANY;
	return c->node || f->vague[c->mm] ? FZ_ANY : -ENOENT;
}

void fz_range_unregister_after(struct fz *f, struct fz_ctx *c, const void *in,
			       const void *out, int ret)
{
	const struct uffdvram_range_unregister *a = in;
	struct fz_range *r = fz_range_find(f, c - f->ctx, a->range);

	(void)out;
	if (r && (!ret || ret == -ENOENT))
		r->id = 0;
}

void fz_range_unregister_blind(struct fz *f, struct fz_ctx *c, const void *in,
			       const void *out, int ret)
{
	(void)in;
	(void)out;
	(void)ret;
	fz_ranges_doubt(f, c - f->ctx);
}
