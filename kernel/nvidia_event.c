// SPDX-License-Identifier: GPL-2.0-only
/*
 * Errors of a GPU (Xid), its removal, and a machine that goes to sleep.
 *
 * The driver reports errors by a tracepoint, from 575.51 on, in any context. Its
 * older way, a callback, is out of reach: symbol_get() refuses symbols that are
 * exported to everyone.
 */
#include <linux/errno.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/suspend.h>
#include <linux/tracepoint.h>

#include "backend.h"
#include "lock.h"
#include "nvidia_event.h"

#define EVENT_TRACEPOINT	"nvidia_dev_xid"

/* Rank 6, irqs off: the pools that are told. */
static DEFINE_SPINLOCK(event_lock);
static LIST_HEAD(event_watches);

/* Which errors mean something for what is in the GPU's memory. */
static const struct event_xid {
	u32 xid;
	enum uffdvram_trouble what;
	const char *means;
} event_xids[] = {
	{ 48, UFFDVRAM_TROUBLE_EVACUATE, "uncorrectable memory error" },
	{ 63, UFFDVRAM_TROUBLE_EVACUATE, "memory page retired, or row remapped" },
	{ 64, UFFDVRAM_TROUBLE_EVACUATE, "memory page or row could not be replaced" },
	{ 79, UFFDVRAM_TROUBLE_LOST, "the GPU has fallen off the bus" },
	{ 94, UFFDVRAM_TROUBLE_EVACUATE, "contained memory error" },
	{ 95, UFFDVRAM_TROUBLE_LOST, "uncontained memory error" },
};

/**
 * uffdvram_nvidia_find_gpu() - the PCI function whose BAR an address is in
 * @addr: physical address
 *
 * Return: the function, with a reference, or NULL.
 */
struct pci_dev *uffdvram_nvidia_find_gpu(phys_addr_t addr)
{
	struct pci_dev *pdev = NULL;
	unsigned int i;

	for_each_pci_dev(pdev)
		for (i = 0; i < PCI_STD_NUM_BARS; i++)
			if ((pci_resource_flags(pdev, i) & IORESOURCE_MEM) &&
			    addr >= pci_resource_start(pdev, i) &&
			    addr <= pci_resource_end(pdev, i))
				return pdev;
	return NULL;
}

/**
 * uffdvram_nvidia_watch() - tell a pool from now on
 * @w: filled in; until uffdvram_nvidia_unwatch()
 */
void uffdvram_nvidia_watch(struct uffdvram_nvidia_watch *w)
{
	unsigned long flags;

	spin_lock_irqsave(&event_lock, flags);
	list_add(&w->link, &event_watches);
	spin_unlock_irqrestore(&event_lock, flags);
}

void uffdvram_nvidia_unwatch(struct uffdvram_nvidia_watch *w)
{
	unsigned long flags;

	spin_lock_irqsave(&event_lock, flags);
	list_del(&w->link);
	spin_unlock_irqrestore(&event_lock, flags);
}

/* Any context. Returns how many pools were told. */
static unsigned int event_tell(const struct pci_dev *pdev,
			       enum uffdvram_trouble what)
{
	struct uffdvram_nvidia_watch *w;
	unsigned int told = 0;
	unsigned long flags;

	spin_lock_irqsave(&event_lock, flags);
	list_for_each_entry(w, &event_watches, link) {
		if (w->pdev != pdev)
			continue;
		w->b->trouble(w->b, what);
		told++;
	}
	spin_unlock_irqrestore(&event_lock, flags);
	return told;
}

/* The tracepoint's probe: called with whatever locks the driver has. */
static void event_xid(void *data, const struct pci_dev *pdev, u32 xid,
		      const char *text)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(event_xids); i++) {
		if (event_xids[i].xid != xid || !event_tell(pdev, event_xids[i].what))
			continue;
		pr_warn("uffdvram-nvidia: %s: Xid %u, %s: %s\n", pci_name(pdev), xid,
			event_xids[i].means,
			event_xids[i].what == UFFDVRAM_TROUBLE_LOST ?
			"what is in its pools is lost" :
			"its pools are closed, their pages come home");
	}
}

#ifdef CONFIG_TRACEPOINTS

static void event_each_tracepoint(struct module *mod,
				  int (*fn)(struct tracepoint *tp, void *probe, void *data))
{
	struct tracepoint *tp;
	unsigned int i;
	int ret;

	for (i = 0; i < mod->num_tracepoints; i++) {
		tp = tracepoint_ptr_deref(&mod->tracepoints_ptrs[i]);
		if (strcmp(tp->name, EVENT_TRACEPOINT))
			continue;
		ret = fn(tp, event_xid, NULL);
		if (ret)
			pr_warn("uffdvram-nvidia: %s: the tracepoint " EVENT_TRACEPOINT
				" cannot be used: %d\n", mod->name, ret);
	}
}

static int event_module(struct notifier_block *nb, unsigned long action, void *data)
{
	struct tp_module *tpm = data;

	if (action == MODULE_STATE_COMING)
		event_each_tracepoint(tpm->mod, tracepoint_probe_register);
	else if (action == MODULE_STATE_GOING)
		event_each_tracepoint(tpm->mod, tracepoint_probe_unregister);
	return NOTIFY_OK;
}

#else

static int event_module(struct notifier_block *nb, unsigned long action, void *data)
{
	return NOTIFY_DONE;
}

#endif /* CONFIG_TRACEPOINTS */

/*
 * The driver of a GPU is about to let it go, and will wait until nobody has pages
 * of it any more.
 */
static int event_pci(struct notifier_block *nb, unsigned long action, void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);

	if (action != BUS_NOTIFY_UNBIND_DRIVER)
		return NOTIFY_DONE;
	if (!pci_device_is_present(pdev))
		event_tell(pdev, UFFDVRAM_TROUBLE_LOST);
	if (event_tell(pdev, UFFDVRAM_TROUBLE_GONE))
		pr_warn("uffdvram-nvidia: %s: it goes: its pools end, their pages come home\n",
			pci_name(pdev));
	return NOTIFY_OK;
}

/* A GPU that loses its power loses its memory. */
static int event_sleep(struct notifier_block *nb, unsigned long action, void *data)
{
	bool any;

	if (action != PM_SUSPEND_PREPARE && action != PM_HIBERNATION_PREPARE)
		return NOTIFY_DONE;
	spin_lock_irq(&event_lock);
	any = !list_empty(&event_watches);
	spin_unlock_irq(&event_lock);
	if (!any)
		return NOTIFY_OK;
	pr_warn("uffdvram-nvidia: no sleep while pools are attached: detach them first\n");
	return notifier_from_errno(-EBUSY);
}

static struct notifier_block event_module_nb = { .notifier_call = event_module };
static struct notifier_block event_pci_nb = { .notifier_call = event_pci };
static struct notifier_block event_sleep_nb = { .notifier_call = event_sleep };

int uffdvram_nvidia_events_init(void)
{
	int ret;

	ret = register_tracepoint_module_notifier(&event_module_nb);
	if (ret)
		return ret;
	ret = bus_register_notifier(&pci_bus_type, &event_pci_nb);
	if (ret)
		goto err_tracepoint;
	ret = register_pm_notifier(&event_sleep_nb);
	if (ret)
		goto err_pci;
	return 0;

err_pci:
	bus_unregister_notifier(&pci_bus_type, &event_pci_nb);
err_tracepoint:
	unregister_tracepoint_module_notifier(&event_module_nb);
	tracepoint_synchronize_unregister();
	return ret;
}

void uffdvram_nvidia_events_exit(void)
{
	unregister_pm_notifier(&event_sleep_nb);
	bus_unregister_notifier(&pci_bus_type, &event_pci_nb);
	/* Calls event_module() for each module that is there: probes go. */
	unregister_tracepoint_module_notifier(&event_module_nb);
	tracepoint_synchronize_unregister();
}
