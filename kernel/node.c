// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap() of the device: private anonymous memory that registers itself, for a
 * VMM that only takes a path.
 *
 * Each mapping gets a file of its own in the place of the device's: its inode
 * can have a size, without which UFFDIO_COPY and its kin find every address
 * beyond the end; and when the last piece of the mapping is gone, in whichever
 * process, the file's release ends the range.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>

#include <linux/uffdvram.h>

#include "context.h"
#include "inject.h"
#include "lock.h"
#include "node.h"
#include "object.h"
#include "range.h"

/**
 * struct node - one mapping
 * @device: the context's file, with a reference
 * @range: its range, with a reference; NULL if it never had one
 */
struct node {
	struct file *device;
	struct uffdvram_range *range;
};

static int node_release(struct inode *inode, struct file *file)
{
	struct node *node = file->private_data;

	/* Its user may have unregistered it: then there is nothing to do. */
	if (node->range)
		uffdvram_range_drop(node->range);
	fput(node->device);
	object_free(node);
	return 0;
}

static const struct file_operations node_fops = {
	.owner = THIS_MODULE,
	.release = node_release,
};

static struct file *node_file(struct file *device)
{
	struct node *node = object_new(node);
	struct file *file;

	if (!node)
		return ERR_PTR(-ENOMEM);
	file = may_fail(file, ERR_PTR(-ENFILE),
			anon_inode_create_getfile("[uffdvram]", &node_fops, node,
						  O_RDWR, NULL));
	if (IS_ERR(file)) {
		object_free(node);
		return file;
	}
	node->device = get_file(device);
	i_size_write(file_inode(file), MAX_LFS_FILESIZE);
	return file;
}

/**
 * uffdvram_node_mmap() - the device's mmap()
 * @device: an open file of the device
 * @vma: what is being mapped; mmap_lock is held for writing
 *
 * Return: 0; -EINVAL (MAP_SHARED: pages that other processes or the page cache
 * know cannot live in VRAM), -EXDEV (the context is another process's), -EBUSY
 * (a range is registered there), -ENOSPC (max_ranges), -ENOMEM.
 */
int uffdvram_node_mmap(struct file *device, struct vm_area_struct *vma)
{
	struct uffdvram_ctx *ctx = device->private_data;
	struct uffdvram_range *r;
	struct node *node;
	struct file *file;
	int ret;

	mmap_assert_write_locked(vma->vm_mm);
	if (vma->vm_flags & (VM_SHARED | VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_mm != ctx->umm->mm)
		return -EXDEV;
	file = node_file(device);
	if (IS_ERR(file))
		return PTR_ERR(file);
	node = file->private_data;
	r = uffdvram_range_add_node(ctx, vma->vm_start, vma->vm_end);
	ret = PTR_ERR_OR_ZERO(r);
	if (!ret) {
		node->range = r;
		vma_set_file(vma, file);
		vma_set_anonymous(vma);
	}
	fput(file);
	return ret;
}
