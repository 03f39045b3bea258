// SPDX-License-Identifier: GPL-2.0-only
/*
 * uffdvram: VRAM that a virtual machine monitor can arm with userfaultfd.
 *
 * The memory stays ordinary anonymous memory; its pages live in VRAM as
 * device-private struct pages of a pagemap of ours. Where to look:
 *
 *	ioctl	 dispatch			pool	 attach and detach VRAM
 *	netlink	 events for administrators
 *	netlink_dump  what there is, for them
 *	fault	 a CPU touches a page in VRAM	context	 one open file
 *	fault_huge  likewise, 2 MiB of them
 *	range	 known pieces of memory		move	 the MIGRATE ioctl
 *	query	 where pages live		migrate	 moves pages of an mm
 *	evict	 brings pages home by slot	step	 what both ways of moving share
 *	walk	 reads page tables		vram	 a pool: pagemap and life
 *	slot	 what is used of a pool		backend	 the memory behind a pool
 *	bar	 copies to and from a BAR
 *	node	 mmap of the device		linear	 makes room for linear ranges
 *	copy	 the COPY ioctl			watch	 what becomes of an mm
 *	poison	 the POISON ioctl			access	 the ACCESS ioctls
 *	harvest	 the HARVEST ioctl		dirty	 who wrote to a range
 *	convert	 the CONVERT ioctl		slot_private  as a slot knows it
 *	lease	 slots that the device uses		slot_lease  as a slot knows it
 *	fault_lease  a CPU waits for a device	lease_dirty  as who harvests sees them
 *	owner	 whose slots			user	 who pays for them
 *	dmem	 what cgroups pay
 *	event	 what a context has to tell	lock	 the lock catalogue
 *	stat	 counters			latency	 how long it took
 *	object	 what has to be freed		inject	 failures on request (tests)
 *
 * A module of its own, uffdvram-nvidia, is in backend_nvidia.c and nvidia_*: memory
 * of GPUs, through the driver of their maker.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "backend.h"
#include "bar.h"
#include "debugfs.h"
#include "evict.h"
#include "ioctl.h"
#include "latency.h"
#include "lease.h"
#include "netlink.h"
#include "object.h"
#include "range.h"
#include "user.h"
#include "vram.h"
#include "watch.h"

module_param_named(slot_quota, uffdvram_slot_quota, ulong, 0644);
MODULE_PARM_DESC(slot_quota, "slots of 4 KiB that each user may hold (default: 0, no limit)");

module_param_named(max_ranges, uffdvram_max_ranges, uint, 0644);
MODULE_PARM_DESC(max_ranges, "ranges that one address space may have (default: 65536)");

module_param_named(open_pid, uffdvram_open_pid_allowed, bool, 0644);
MODULE_PARM_DESC(open_pid, "allow OPEN_PID to CAP_SYS_PTRACE (default: no)");

module_param_named(bar_streaming, uffdvram_bar_streaming, int, 0644);
MODULE_PARM_DESC(bar_streaming, "read BARs with streaming loads: 1 yes, 0 no, -1 unless in a virtual machine (default)");

module_param_named(checksums, uffdvram_backend_checksums, int, 0644);
MODULE_PARM_DESC(checksums, "checksums of pages in VRAM: 1 all pools, 0 none, -1 those on real devices (default)");

module_param_named(lease_wait_ms, uffdvram_lease_wait_ms, uint, 0644);
MODULE_PARM_DESC(lease_wait_ms, "how long a CPU waits for a page that a device uses, in ms (default: 1000; at most 60000)");

static struct miscdevice uffdvram_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "uffdvram",
	.fops = &uffdvram_fops,
	.mode = 0600,
};

static int __init uffdvram_init(void)
{
	int ret;

	ret = uffdvram_latency_init();
	if (ret)
		return ret;
	ret = uffdvram_vram_init(uffdvram_evict_work);
	if (ret)
		goto err_latency;
	ret = uffdvram_pci_init();
	if (ret)
		goto err_vram;
	ret = uffdvram_netlink_init();
	if (ret)
		goto err_pci;
	ret = misc_register(&uffdvram_misc);
	if (ret)
		goto err_netlink;
	uffdvram_debugfs_init();
	return 0;

err_netlink:
	uffdvram_netlink_exit();
err_pci:
	uffdvram_pci_exit();
err_vram:
	uffdvram_vram_exit();
err_latency:
	uffdvram_latency_exit();
	return ret;
}

static void __exit uffdvram_exit(void)
{
	uffdvram_debugfs_exit();
	misc_deregister(&uffdvram_misc);
	uffdvram_netlink_exit();
	/* Idle pools are left at most: their windows need nobody's warning. */
	uffdvram_pci_exit();
	uffdvram_vram_exit();
	uffdvram_watch_exit();
	/* Owners of slots are freed by RCU. */
	rcu_barrier();
	uffdvram_latency_exit();
	uffdvram_object_check();
}

module_init(uffdvram_init);
module_exit(uffdvram_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("VRAM that virtual machine monitors can arm with userfaultfd");
