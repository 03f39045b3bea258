// SPDX-License-Identifier: GPL-2.0-only
/*
 * A stand-in for NVIDIA's driver: the same functions and the same tracepoint, over
 * the BAR of an ivshmem device. What is in stub_p2p.c is for the module under
 * test; /dev/nvidia-stub plays CUDA, and lets a test do what a GPU does.
 */
#include <linux/bitmap.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#include "stub.h"
#include "stub_abi.h"

#define CREATE_TRACE_POINTS
#include "stub_trace.h"

#define STUB_BAR	2
#define STUB_GPU_SLOT	0x10	/* as selftests/vm/run places it */

struct stub_gpu stub_gpu = {
	.idle = __WAIT_QUEUE_HEAD_INITIALIZER(stub_gpu.idle),
};

/* nv_report_error() may be called with spinlocks held and interrupts off. */
static DEFINE_SPINLOCK(stub_xid_lock);

static int stub_xid(u32 xid)
{
	struct pci_dev *pdev;
	unsigned long flags;

	mutex_lock(&stub_api);
	pdev = pci_dev_get(stub_gpu.pdev);
	mutex_unlock(&stub_api);
	if (!pdev)
		return -ENODEV;
	spin_lock_irqsave(&stub_xid_lock, flags);
	trace_nvidia_dev_xid(pdev, xid, "said by the stub");
	spin_unlock_irqrestore(&stub_xid_lock, flags);
	pci_dev_put(pdev);
	return 0;
}

static long stub_ioctl_alloc(struct file *file, void __user *arg)
{
	struct stub_alloc a;
	long ret;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	mutex_lock(&stub_api);
	ret = stub_alloc(file, a.bytes, &a.addr);
	mutex_unlock(&stub_api);
	if (!ret && copy_to_user(arg, &a, sizeof(a)))
		ret = -EFAULT;
	return ret;
}

static long stub_ioctl_free(struct file *file, void __user *arg)
{
	u64 addr;
	long ret;

	if (copy_from_user(&addr, arg, sizeof(addr)))
		return -EFAULT;
	mutex_lock(&stub_api);
	ret = stub_free(file, addr);
	mutex_unlock(&stub_api);
	return ret;
}

static long stub_ioctl_access(void __user *arg, bool write)
{
	struct stub_access a;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	return stub_access(current->tgid, a.addr, a.len, u64_to_user_ptr(a.buf), write);
}

static long stub_ioctl_state(void __user *arg)
{
	struct stub_state s;

	mutex_lock(&stub_api);
	s.pages_used = bitmap_weight(stub_gpu.used, stub_gpu.nr);
	s.tables = stub_gpu.usage;
	mutex_unlock(&stub_api);
	return copy_to_user(arg, &s, sizeof(s)) ? -EFAULT : 0;
}

static long stub_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	void __user *arg = (void __user *)value;
	u32 xid;

	switch (cmd) {
	case STUB_ALLOC:
		return stub_ioctl_alloc(file, arg);
	case STUB_FREE:
		return stub_ioctl_free(file, arg);
	case STUB_READ:
		return stub_ioctl_access(arg, false);
	case STUB_WRITE:
		return stub_ioctl_access(arg, true);
	case STUB_XID:
		return copy_from_user(&xid, arg, sizeof(xid)) ? -EFAULT : stub_xid(xid);
	case STUB_STATE:
		return stub_ioctl_state(arg);
	}
	return -ENOTTY;
}

/* A process that ends frees its memory: nvidia_close(), down to memDestruct(). */
static int stub_release_file(struct inode *inode, struct file *file)
{
	mutex_lock(&stub_api);
	stub_free_all(file);
	mutex_unlock(&stub_api);
	return 0;
}

/* The file is what an allocation knows its owner by; misc gives it no more. */
static int stub_open(struct inode *inode, struct file *file)
{
	return 0;
}

static const struct file_operations stub_fops = {
	.owner = THIS_MODULE,
	.open = stub_open,
	.release = stub_release_file,
	.unlocked_ioctl = stub_ioctl,
};

static struct miscdevice stub_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "nvidia-stub",
	.fops = &stub_fops,
	.mode = 0600,
};

static int stub_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret;

	/*
	 * The second function shows the host's view of the memory. Which of the two is
	 * probed first depends on who was plugged in last.
	 */
	if (PCI_SLOT(pdev->devfn) != STUB_GPU_SLOT)
		return -ENODEV;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = pci_request_region(pdev, STUB_BAR, "nvidia-stub");
	if (ret)
		return ret;
	stub_gpu.base = pci_resource_start(pdev, STUB_BAR);
	stub_gpu.nr = div_u64(pci_resource_len(pdev, STUB_BAR), STUB_PAGE);
	stub_gpu.io = ioremap_wc(stub_gpu.base, pci_resource_len(pdev, STUB_BAR));
	/* Owners may still have memory of before it was removed. */
	if (!stub_gpu.used)
		stub_gpu.used = bitmap_zalloc(stub_gpu.nr, GFP_KERNEL);
	if (!stub_gpu.io || !stub_gpu.used)
		goto err;
	mutex_lock(&stub_api);
	stub_gpu.pdev = pdev;
	mutex_unlock(&stub_api);
	return 0;

err:
	if (stub_gpu.io)
		iounmap(stub_gpu.io);
	stub_gpu.io = NULL;
	pci_release_region(pdev, STUB_BAR);
	return -ENOMEM;
}

/* nv_pci_remove() waits until the GPU's usage count is zero. */
static void stub_remove(struct pci_dev *pdev)
{
	mutex_lock(&stub_api);
	stub_gpu.pdev = NULL;
	mutex_unlock(&stub_api);
	wait_event(stub_gpu.idle, !READ_ONCE(stub_gpu.usage));
	mutex_lock(&stub_api);
	iounmap(stub_gpu.io);
	stub_gpu.io = NULL;
	mutex_unlock(&stub_api);
	pci_release_region(pdev, STUB_BAR);
}

static const struct pci_device_id stub_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110) },
	{ }
};

static struct pci_driver stub_driver = {
	.name = "nvidia-stub",
	.id_table = stub_ids,
	.probe = stub_probe,
	.remove = stub_remove,
};

static int __init stub_init(void)
{
	int ret = pci_register_driver(&stub_driver);

	if (ret)
		return ret;
	ret = misc_register(&stub_misc);
	if (ret)
		pci_unregister_driver(&stub_driver);
	return ret;
}

static void __exit stub_exit(void)
{
	misc_deregister(&stub_misc);
	pci_unregister_driver(&stub_driver);
	bitmap_free(stub_gpu.used);
}

module_init(stub_init);
module_exit(stub_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("stand-in for NVIDIA's driver, for tests");
