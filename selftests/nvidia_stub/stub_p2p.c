// SPDX-License-Identifier: GPL-2.0-only
/*
 * The functions that NVIDIA's open driver exports, over the stub's memory. What
 * each imitates is named by the driver's function (550.163.01 and 595.45.04); no
 * line of it is the driver's.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "stub.h"
#include "stub_p2p.h"

/* Knobs for tests; see nv_p2p_get_pages() for what they stand for. */
static unsigned int table_version = 0x00020000;
module_param(table_version, uint, 0644);
MODULE_PARM_DESC(table_version, "version of the page tables: 0x10002 (R550), 0x20000 (R580)");

static int get_error;
module_param(get_error, int, 0644);
MODULE_PARM_DESC(get_error, "what nvidia_p2p_get_pages_persistent() answers, e.g. -524");

static bool hold;
module_param(hold, bool, 0644);
MODULE_PARM_DESC(hold, "calls wait until it is 0, or 15 s, with the driver's lock held");

static bool held;
module_param(held, bool, 0444);
MODULE_PARM_DESC(held, "a call waits so");

static unsigned long long first_page;
module_param(first_page, ullong, 0644);
MODULE_PARM_DESC(first_page, "physical address that is told for the first page, if not 0");

static unsigned int missing_entries;
module_param(missing_entries, uint, 0644);
MODULE_PARM_DESC(missing_entries, "so many entries fewer than were asked for");

#define STUB_PATIENCE		750	/* times 20 ms */
#define STUB_ENOTSUPP		524

/**
 * struct stub_table - a table, and what it keeps
 * @table: what the caller sees
 * @a: the allocation
 * @uuid: of the GPU
 * @pages: the objects of the table
 */
struct stub_table {
	struct nvidia_p2p_page_table table;
	struct stub_alloc_obj *a;
	u8 uuid[STUB_UUID_BYTES];
	struct nvidia_p2p_page *pages[];
};

static void stub_table_free(struct stub_table *t)
{
	unsigned int i;

	for (i = 0; i < t->table.entries; i++)
		kfree(t->pages[i]);
	kvfree(t);
}

/* As nv_p2p_get_pages() fills it in; pages of 64 KiB (NVRM_P2P_PAGESIZE_BIG_64K). */
static struct stub_table *stub_table_new(struct stub_alloc_obj *a, u64 addr, u64 length)
{
	unsigned int i, nr = length / STUB_PAGE, first = (addr - a->addr) / STUB_PAGE;
	struct stub_table *t = kvzalloc(struct_size(t, pages, nr), GFP_KERNEL);

	if (!t)
		return NULL;
	t->table.version = table_version;
	t->table.page_size = STUB_PAGE_SIZE_64K;
	t->table.pages = t->pages;
	t->table.gpu_uuid = t->uuid;
	nr -= min(missing_entries, nr);
	for (i = 0; i < nr; i++) {
		t->pages[i] = kzalloc(sizeof(*t->pages[i]), GFP_KERNEL);
		if (!t->pages[i]) {
			stub_table_free(t);
			return NULL;
		}
		t->table.entries++;
		t->pages[i]->physical_address = stub_phys(a, first + i);
	}
	if (first_page)
		t->pages[0]->physical_address = first_page;
	t->a = a;
	return t;
}

/* The driver takes its time, until a test has seen enough, or has hung for long. */
static void stub_dawdle(void)
{
	unsigned int i;

	for (i = 0; i < STUB_PATIENCE && READ_ONCE(hold); i++) {
		WRITE_ONCE(held, true);
		msleep(20);
	}
	WRITE_ONCE(held, false);
}

/* With the driver's lock held, as rm_p2p_get_pages_persistent() has it. */
static int stub_get_locked(u64 addr, u64 length, struct nvidia_p2p_page_table **table)
{
	struct stub_alloc_obj *a;
	struct stub_table *t;

	stub_dawdle();
	/* NV_ERR_OBJECT_NOT_FOUND, by nvidia_p2p_map_status() */
	a = stub_find(current->tgid, addr, length);
	if (!a)
		return -EINVAL;
	/*
	 * -524, NV_ERR_NOT_SUPPORTED: RmP2PGetPagesPersistent() where there is no
	 * hThirdPartyP2P (GeForce, vGPU, MIG instances of R550), or with
	 * gpuIsApmFeatureEnabled(). -19: nvidia_dev_get_uuid() finds no GPU.
	 */
	if (get_error)
		return get_error;
	t = stub_table_new(a, addr, length);
	if (!t)
		return -ENOMEM;
	/* CliDelThirdPartyP2PVidmemInfoPersistent() is what ends this. */
	kref_get(&a->ref);
	/* nvidia_dev_get_uuid(): the GPU cannot be removed meanwhile. */
	stub_gpu.usage++;
	/* Whoever forgets to put pages back cannot have us unloaded, and hang in it. */
	__module_get(THIS_MODULE);
	*table = &t->table;
	return 0;
}

/* nvidia_p2p_get_pages_persistent() */
int nvidia_p2p_get_pages_persistent(u64 virtual_address, u64 length,
				    struct nvidia_p2p_page_table **page_table,
				    u32 flags)
{
	int ret;

	might_sleep();
	/* Others take it under the driver's lock: so must nobody have it here. */
	might_lock(&current->mm->mmap_lock);
	if (flags || virtual_address % STUB_PAGE || length % STUB_PAGE)
		return -EINVAL;
	mutex_lock(&stub_api);
	might_lock(&current->mm->mmap_lock);
	ret = stub_get_locked(virtual_address, length, page_table);
	/* As where nv_p2p_get_pages() fails late: a pointer to what is gone. */
	if (ret)
		*page_table = (void *)0x6b6b6b6b6b6b6b6bUL;
	mutex_unlock(&stub_api);
	return ret;
}
EXPORT_SYMBOL_GPL(nvidia_p2p_get_pages_persistent);

/* nvidia_p2p_put_pages_persistent(): whoever calls, be it a worker. */
int nvidia_p2p_put_pages_persistent(u64 virtual_address,
				    struct nvidia_p2p_page_table *page_table,
				    u32 flags)
{
	struct stub_table *t;

	might_sleep();
	if (flags)
		return -EINVAL;
	if (!page_table)
		return 0;
	t = container_of(page_table, struct stub_table, table);
	if (current->mm)
		might_lock(&current->mm->mmap_lock);
	mutex_lock(&stub_api);
	stub_dawdle();
	stub_put(t->a);
	stub_table_free(t);
	/* nvidia_dev_put_uuid() */
	if (!--stub_gpu.usage)
		wake_up_all(&stub_gpu.idle);
	mutex_unlock(&stub_api);
	module_put(THIS_MODULE);
	return 0;
}
EXPORT_SYMBOL_GPL(nvidia_p2p_put_pages_persistent);
