// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI backend: a window of a memory BAR.
 *
 * A window is claimed in the tree of resources, below its BAR: a driver that
 * comes later finds its BAR taken. With FORCE it may be a driver's already, and
 * there is no claim then; our own list still tells windows of ours apart.
 *
 * A function that is removed waits until its pools have let go of it: their pages
 * come home, or are lost where it does not answer any more.
 */
#include <linux/capability.h>
#include <linux/delay.h>
#include <linux/ioport.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/security.h>

#include <linux/uffdvram.h>

#include "backend.h"
#include "bar.h"
#include "inject.h"
#include "lock.h"
#include "object.h"

/* What a function that is removed waits for its pages, and then without them. */
#define PCI_GONE_LIMIT	(10 * HZ)

/* Rank 2. Protects pci_windows, and who enables a function of ours last. */
static DEFINE_MUTEX(pci_windows_lock);
static LIST_HEAD(pci_windows);

/**
 * struct pci_window - one pool's part of a BAR
 * @link: in pci_windows
 * @b: of the pool
 * @dev: the function, with a reference
 * @res: the part of the address space
 * @claimed: @res is in the tree
 * @command: PCI_COMMAND as the first window of @dev found it
 * @state: power state, likewise
 * @bar: how to reach it
 */
struct pci_window {
	struct list_head link;
	struct uffdvram_backend *b;
	struct pci_dev *dev;
	struct resource res;
	bool claimed;
	u16 command;
	pci_power_t state;
	struct uffdvram_bar bar;
};

static unsigned long pci_host_pages(u64 bytes)
{
	return 0;
}

static struct pci_dev *pci_find(u32 sbdf)
{
	return pci_get_domain_bus_and_slot(sbdf >> 16, PCI_BUS_NUM(sbdf),
					   sbdf & 0xff);
}

/* Sets @w->res, or says what is wrong with what was asked for. */
static int pci_window_place(struct pci_window *w,
			    const struct uffdvram_pool_attach *arg)
{
	const struct resource *bar;
	u64 len;

	if (arg->pci_bar >= PCI_STD_NUM_BARS || !PAGE_ALIGNED(arg->addr))
		return -EINVAL;
	bar = &w->dev->resource[arg->pci_bar];
	/* Not there, an I/O BAR, or one that was given no address. */
	if (!(bar->flags & IORESOURCE_MEM) || (bar->flags & IORESOURCE_UNSET) ||
	    !bar->parent)
		return -ENXIO;
	len = resource_size(bar);
	if (arg->addr > len || arg->bytes > len - arg->addr)
		return -EINVAL;
	w->res.name = "uffdvram";
	w->res.flags = IORESOURCE_MEM | IORESOURCE_BUSY;
	w->res.start = bar->start + arg->addr;
	w->res.end = w->res.start + arg->bytes - 1;
	return 0;
}

static bool pci_window_overlaps(const struct pci_window *w)
{
	const struct pci_window *other;

	lockdep_assert_held(&pci_windows_lock);
	list_for_each_entry(other, &pci_windows, link)
		if (resource_overlaps(&other->res, &w->res))
			return true;
	return false;
}

static int pci_window_claim(struct pci_window *w,
			    const struct uffdvram_pool_attach *arg)
{
	bool force = arg->flags & UFFDVRAM_POOL_FORCE;
	int ret;

	lockdep_assert_held(&pci_windows_lock);
	if (pci_window_overlaps(w))
		return -EBUSY;
	if (w->dev->dev.driver && !force)
		return -EBUSY;
	ret = may_fail(alloc, -EBUSY,
		       request_resource(&w->dev->resource[arg->pci_bar], &w->res));
	w->claimed = !ret;
	return force ? 0 : ret;
}

static void pci_window_unclaim(struct pci_window *w)
{
	if (w->claimed)
		release_resource(&w->res);
}

/* How the function was before the first of us came. */
static void pci_window_remember(struct pci_window *w)
{
	const struct pci_window *other;

	lockdep_assert_held(&pci_windows_lock);
	w->state = w->dev->current_state;
	pci_read_config_word(w->dev, PCI_COMMAND, &w->command);
	list_for_each_entry(other, &pci_windows, link) {
		if (other->dev != w->dev)
			continue;
		w->state = other->state;
		w->command = other->command;
	}
}

static int pci_window_enable(struct pci_window *w)
{
	int ret;

	pci_window_remember(w);
	pm_runtime_get_sync(&w->dev->dev);
	ret = may_fail(alloc, -EIO, pci_enable_device_mem(w->dev));
	if (ret)
		pm_runtime_put(&w->dev->dev);
	return ret;
}

/* Who is the last to need it leaves the function as it was found. */
static void pci_window_disable(struct pci_window *w)
{
	lockdep_assert_held(&pci_windows_lock);
	pci_disable_device(w->dev);
	if (!pci_is_enabled(w->dev)) {
		pci_write_config_word(w->dev, PCI_COMMAND, w->command);
		if (w->state > PCI_D0 && w->state <= PCI_D3hot)
			pci_set_power_state(w->dev, w->state);
	}
	pm_runtime_put(&w->dev->dev);
}

/* Has it been removed since it was found? */
static bool pci_is_gone(const struct pci_dev *dev, u32 sbdf)
{
	struct pci_dev *now = pci_find(sbdf);

	pci_dev_put(now);
	return now != dev;
}

static int pci_window_open(struct pci_window *w,
			   const struct uffdvram_pool_attach *arg)
{
	int ret;

	/* Either this sees that it is gone, or pci_notify() sees the window. */
	mutex_lock(&pci_windows_lock);
	ret = pci_is_gone(w->dev, arg->pci_sbdf) ? -ENXIO : pci_window_claim(w, arg);
	if (ret)
		goto out;
	ret = pci_window_enable(w);
	if (ret)
		pci_window_unclaim(w);
	else
		list_add(&w->link, &pci_windows);
out:
	mutex_unlock(&pci_windows_lock);
	return ret;
}

static void pci_window_close(struct pci_window *w)
{
	mutex_lock(&pci_windows_lock);
	list_del(&w->link);
	pci_window_disable(w);
	pci_window_unclaim(w);
	mutex_unlock(&pci_windows_lock);
}

static void pci_window_free(struct pci_window *w)
{
	pci_dev_put(w->dev);
	object_free(w);
}

static int pci_window_setup(struct pci_window *w,
			    const struct uffdvram_pool_attach *arg)
{
	int ret;

	ret = pci_window_place(w, arg);
	if (ret)
		return ret;
	ret = pci_window_open(w, arg);
	if (ret)
		return ret;
	ret = uffdvram_bar_map(&w->bar, w->res.start, arg->bytes);
	if (ret)
		goto err_window;
	ret = uffdvram_bar_try(&w->bar, pci_name(w->dev));
	if (ret)
		goto err_bar;
	return 0;

err_bar:
	uffdvram_bar_unmap(&w->bar);
err_window:
	pci_window_close(w);
	return ret;
}

static int pci_attach(struct uffdvram_backend *b,
		      const struct uffdvram_pool_attach *arg)
{
	struct pci_window *w;
	int ret;

	if (!capable(CAP_SYS_RAWIO) || security_locked_down(LOCKDOWN_PCI_ACCESS))
		return -EPERM;
	w = object_new(w);
	if (!w)
		return -ENOMEM;
	w->b = b;
	w->dev = pci_find(arg->pci_sbdf);
	ret = w->dev ? pci_window_setup(w, arg) : -ENXIO;
	if (ret) {
		pci_window_free(w);
		return ret;
	}
	snprintf(b->about, sizeof(b->about),
		 " device %s bar %u offset %llu combining %d streaming %d write_mbs %u read_mbs %u",
		 pci_name(w->dev), arg->pci_bar, arg->addr, w->bar.combining,
		 w->bar.streaming, w->bar.write_mbs, w->bar.read_mbs);
	b->priv = w;
	return 0;
}

static void pci_detach(struct uffdvram_backend *b)
{
	struct pci_window *w = b->priv;

	uffdvram_bar_unmap(&w->bar);
	pci_window_close(w);
	pci_window_free(w);
}

static unsigned int pci_to_vram(struct uffdvram_backend *b,
				struct uffdvram_xfer *x, unsigned int n)
{
	const struct pci_window *w = b->priv;
	unsigned int i, failed = 0;

	for (i = 0; i < n; i++) {
		x[i].err = inject(in) ? -EIO :
			   uffdvram_bar_write(&w->bar, x[i].off, x[i].ram, x[i].order);
		failed += !!x[i].err;
	}
	uffdvram_bar_flush();
	return failed;
}

static unsigned int pci_to_ram(struct uffdvram_backend *b,
			       struct uffdvram_xfer *x, unsigned int n)
{
	const struct pci_window *w = b->priv;
	unsigned int i, failed = 0;

	for (i = 0; i < n; i++) {
		x[i].err = inject(out) ? -EIO : 0;
		if (x[i].err)
			failed++;
		else
			uffdvram_bar_read(&w->bar, x[i].off, x[i].ram, x[i].order);
	}
	return failed;
}

static int pci_clear(struct uffdvram_backend *b, u64 off, unsigned int npages)
{
	const struct pci_window *w = b->priv;

	if (inject(in))
		return -EIO;
	uffdvram_bar_clear(&w->bar, off, npages);
	uffdvram_bar_flush();
	return 0;
}

const struct uffdvram_backend_ops uffdvram_backend_pci = {
	.name = "pci",
	.id = UFFDVRAM_BACKEND_PCI,
	.flags = UFFDVRAM_POOL_FORCE,
	.checksums = true,
	.slow_reads = true,
	.host_pages = pci_host_pages,
	.attach = pci_attach,
	.detach = pci_detach,
	.to_vram = pci_to_vram,
	.to_ram = pci_to_ram,
	.clear = pci_clear,
};

/* Tells the pools of a function; how many there are. */
static unsigned int pci_tell(const struct pci_dev *dev, enum uffdvram_trouble what)
{
	struct pci_window *w;
	unsigned int n = 0;

	mutex_lock(&pci_windows_lock);
	list_for_each_entry(w, &pci_windows, link) {
		if (w->dev != dev)
			continue;
		w->b->trouble(w->b, what);
		n++;
	}
	mutex_unlock(&pci_windows_lock);
	return n;
}

/* Until no pool has anything of it any more. */
static bool pci_wait(const struct pci_dev *dev, enum uffdvram_trouble what)
{
	unsigned long end = jiffies + PCI_GONE_LIMIT;

	while (pci_tell(dev, what)) {
		if (time_after(jiffies, end))
			return false;
		msleep(20);
	}
	return true;
}

static void pci_gone(struct pci_dev *dev)
{
	if (!pci_device_is_present(dev))
		pci_tell(dev, UFFDVRAM_TROUBLE_LOST);
	/* Whoever holds pages for so long loses them: the address may be another's next. */
	if (pci_wait(dev, UFFDVRAM_TROUBLE_GONE))
		return;
	pci_tell(dev, UFFDVRAM_TROUBLE_LOST);
	if (!pci_wait(dev, UFFDVRAM_TROUBLE_GONE))
		pci_warn(dev, "uffdvram: removed, and pages that were in it are still in use\n");
}

static int pci_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	struct pci_dev *dev = to_pci_dev(data);

	switch (event) {
	case BUS_NOTIFY_DEL_DEVICE:
	case BUS_NOTIFY_REMOVED_DEVICE:
		pci_gone(dev);
		break;
	case BUS_NOTIFY_BIND_DRIVER:
		/* It does not ask us: whatever it does, pages had better be home. */
		pci_tell(dev, UFFDVRAM_TROUBLE_EVACUATE);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block pci_notifier = { .notifier_call = pci_notify };

/**
 * uffdvram_pci_init() - watch functions come and go
 *
 * Return: 0 or an errno.
 */
int uffdvram_pci_init(void)
{
	return bus_register_notifier(&pci_bus_type, &pci_notifier);
}

void uffdvram_pci_exit(void)
{
	bus_unregister_notifier(&pci_bus_type, &pci_notifier);
}
