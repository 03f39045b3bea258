// SPDX-License-Identifier: GPL-2.0-only
/* The stub's allocations: what CUDA and the driver's resource manager do. */
#include <linux/bitmap.h>
#include <linux/io.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "stub.h"

/* rmapiLockAcquire(): one lock for all that the driver does. */
DEFINE_MUTEX(stub_api);

static LIST_HEAD(stub_allocs);

/* Where allocations of each process begin. */
#define STUB_FIRST_ADDR	0x7f0000000000ULL

/* What freed memory is filled with: who reads it too late finds out. */
#define STUB_FREED	0xa5

/*
 * Physical page of a position in the order of allocation: permuted, and seldom
 * next to its neighbour. As memdescGetPhysAddrs() gives them for an allocation of
 * pages from all over the framebuffer. Pages of 4 each are moved as a whole, and
 * change places in them: a run of two, and two of one.
 */
static u32 stub_page(u32 position)
{
	static const u8 inner[] = { 0, 1, 3, 2 };
	u32 blocks = stub_gpu.nr / 4, block = position / 4;

	return (block * 5 + 3) % blocks * 4 + inner[position % 4];
}

/* Physical address of an allocation's page. */
phys_addr_t stub_phys(const struct stub_alloc_obj *a, unsigned int i)
{
	return stub_gpu.base + stub_page(a->page[i]) * STUB_PAGE;
}

static void stub_release(struct kref *ref)
{
	struct stub_alloc_obj *a = container_of(ref, struct stub_alloc_obj, ref);
	unsigned int i, position;

	for (i = 0; i < a->nr; i++) {
		position = a->page[i];
		if (stub_gpu.io)
			memset_io(stub_gpu.io + stub_page(position) * STUB_PAGE,
				  STUB_FREED, STUB_PAGE);
		clear_bit(position, stub_gpu.used);
	}
	kvfree(a);
}

/* The owner is gone, or a table: memory lives until both are, as after memUnmap(). */
void stub_put(struct stub_alloc_obj *a)
{
	lockdep_assert_held(&stub_api);
	kref_put(&a->ref, stub_release);
}

/* The first address behind all allocations of a process. */
static u64 stub_next_addr(pid_t tgid)
{
	struct stub_alloc_obj *a;
	u64 addr = STUB_FIRST_ADDR;

	list_for_each_entry(a, &stub_allocs, link)
		if (a->tgid == tgid)
			addr = max(addr, a->addr + a->nr * STUB_PAGE + STUB_PAGE);
	return addr;
}

int stub_alloc(const void *owner, u64 bytes, u64 *addr)
{
	unsigned int i, nr = div_u64(bytes, STUB_PAGE), position = 0;
	struct stub_alloc_obj *a;

	lockdep_assert_held(&stub_api);
	if (!nr || bytes % STUB_PAGE)
		return -EINVAL;
	if (!stub_gpu.pdev ||
	    nr > stub_gpu.nr - bitmap_weight(stub_gpu.used, stub_gpu.nr))
		return -ENOMEM;
	a = kvzalloc(struct_size(a, page, nr), GFP_KERNEL);
	if (!a)
		return -ENOMEM;
	kref_init(&a->ref);
	a->owner = owner;
	a->tgid = current->tgid;
	a->addr = stub_next_addr(a->tgid);
	a->nr = nr;
	for (i = 0; i < nr; i++) {
		position = find_next_zero_bit(stub_gpu.used, stub_gpu.nr, position);
		set_bit(position, stub_gpu.used);
		a->page[i] = position;
	}
	list_add_tail(&a->link, &stub_allocs);
	*addr = a->addr;
	return 0;
}

static void stub_disown(struct stub_alloc_obj *a)
{
	list_del(&a->link);
	stub_put(a);
}

int stub_free(const void *owner, u64 addr)
{
	struct stub_alloc_obj *a;

	lockdep_assert_held(&stub_api);
	list_for_each_entry(a, &stub_allocs, link) {
		if (a->owner == owner && a->addr == addr) {
			stub_disown(a);
			return 0;
		}
	}
	return -EINVAL;
}

void stub_free_all(const void *owner)
{
	struct stub_alloc_obj *a, *next;

	lockdep_assert_held(&stub_api);
	list_for_each_entry_safe(a, next, &stub_allocs, link)
		if (a->owner == owner)
			stub_disown(a);
}

/*
 * The allocation of a process that has all of these addresses. As
 * RmP2PGetInfoWithoutToken(): only the calling process's are looked at.
 */
struct stub_alloc_obj *stub_find(pid_t tgid, u64 addr, u64 len)
{
	struct stub_alloc_obj *a;

	lockdep_assert_held(&stub_api);
	list_for_each_entry(a, &stub_allocs, link)
		if (a->tgid == tgid && addr >= a->addr && len &&
		    addr - a->addr < a->nr * STUB_PAGE &&
		    len <= a->nr * STUB_PAGE - (addr - a->addr))
			return a;
	return NULL;
}

/* Up to the end of one page; user memory may itself live in a pool. */
static int stub_access_piece(pid_t tgid, u64 addr, size_t len, void *bounce, bool write)
{
	struct stub_alloc_obj *a;
	void __iomem *io;
	int ret = -EFAULT;

	mutex_lock(&stub_api);
	a = stub_find(tgid, addr, len);
	if (a && stub_gpu.io) {
		io = stub_gpu.io + (addr & (STUB_PAGE - 1)) +
		     stub_page(a->page[div_u64(addr - a->addr, STUB_PAGE)]) * STUB_PAGE;
		if (write)
			memcpy_toio(io, bounce, len);
		else
			memcpy_fromio(bounce, io, len);
		/* As far as others look: our mapping is write-combining, too. */
		wmb();
		ret = 0;
	}
	mutex_unlock(&stub_api);
	return ret;
}

int stub_access(pid_t tgid, u64 addr, u64 len, void __user *buf, bool write)
{
	void *bounce = kvmalloc(STUB_PAGE, GFP_KERNEL);
	size_t n;
	int ret = 0;

	if (!bounce)
		return -ENOMEM;
	for (; len && !ret; addr += n, buf += n, len -= n) {
		n = min(len, STUB_PAGE - (addr & (STUB_PAGE - 1)));
		if (write && copy_from_user(bounce, buf, n))
			ret = -EFAULT;
		if (!ret)
			ret = stub_access_piece(tgid, addr, n, bounce, write);
		if (!ret && !write && copy_to_user(buf, bounce, n))
			ret = -EFAULT;
	}
	kvfree(bounce);
	return ret;
}
