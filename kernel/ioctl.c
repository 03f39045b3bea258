// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a file descriptor to the handler of an ioctl: copy in, run, copy out,
 * finish or undo. The table is made from UFFDVRAM_IOCTLS.
 */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>

#include <linux/uffdvram.h>

#include "access.h"
#include "context.h"
#include "convert.h"
#include "copy.h"
#include "event.h"
#include "harvest.h"
#include "inject.h"
#include "ioctl.h"
#include "move.h"
#include "node.h"
#include "poison.h"
#include "pool.h"
#include "query.h"
#include "range.h"
#include "ucmd.h"
#include "user.h"
#include "vram.h"

/* Flags that this release knows, by ioctl. */
#define IOCTL_FLAGS_INFO		0
#define IOCTL_FLAGS_OPEN_PID		0
#define IOCTL_FLAGS_POOL_ATTACH		(UFFDVRAM_POOL_SHARED | UFFDVRAM_POOL_FORCE | \
					 UFFDVRAM_POOL_UNCHECKED)
#define IOCTL_FLAGS_POOL_DETACH		UFFDVRAM_DETACH_DISCARD
#define IOCTL_FLAGS_RANGE_REGISTER	(UFFDVRAM_RANGE_LINEAR |	\
					 UFFDVRAM_RANGE_EXCLUSIVE |	\
					 UFFDVRAM_RANGE_FAULT_EVENTS)
#define IOCTL_FLAGS_RANGE_UNREGISTER	0
#define IOCTL_FLAGS_MIGRATE		(UFFDVRAM_MIGRATE_TO_RAM |	\
					 UFFDVRAM_MIGRATE_POPULATED)
#define IOCTL_FLAGS_QUERY		0
#define IOCTL_FLAGS_COPY		(UFFDVRAM_COPY_WRITE | UFFDVRAM_COPY_NOFAULT)
#define IOCTL_FLAGS_POISON		(UFFDVRAM_POISON_REPLACE | UFFDVRAM_POISON_UNDO)
#define IOCTL_FLAGS_POISON_LIST		0
#define IOCTL_FLAGS_HARVEST		(UFFDVRAM_HARVEST_COMMIT | UFFDVRAM_HARVEST_BITMAP)
#define IOCTL_FLAGS_ACCESS_BEGIN	(UFFDVRAM_ACCESS_WRITE |	\
					 UFFDVRAM_ACCESS_NOWAIT |	\
					 UFFDVRAM_ACCESS_WP_ASYNC)
#define IOCTL_FLAGS_ACCESS_END		UFFDVRAM_ACCESS_WRITTEN_ALL
#define IOCTL_FLAGS_CONVERT		(UFFDVRAM_CONVERT_PRIVATE | UFFDVRAM_CONVERT_WAIT)

/* Where the members begin that only carry answers; they are zeroed first. */
#define IOCTL_TAIL(name)		sizeof(struct uffdvram_##name)
#define IOCTL_OUT_INFO			offsetof(struct uffdvram_info, abi)
#define IOCTL_OUT_OPEN_PID		offsetof(struct uffdvram_open_pid, fd)
#define IOCTL_OUT_POOL_ATTACH		IOCTL_TAIL(pool_attach)
#define IOCTL_OUT_POOL_DETACH		offsetof(struct uffdvram_pool_detach, left)
#define IOCTL_OUT_RANGE_REGISTER	IOCTL_TAIL(range_register)
#define IOCTL_OUT_RANGE_UNREGISTER	IOCTL_TAIL(range_unregister)
#define IOCTL_OUT_MIGRATE		offsetof(struct uffdvram_migrate, done)
#define IOCTL_OUT_QUERY			offsetof(struct uffdvram_query, used)
#define IOCTL_OUT_COPY			offsetof(struct uffdvram_copy, done)
#define IOCTL_OUT_POISON		offsetof(struct uffdvram_poison, done)
#define IOCTL_OUT_POISON_LIST		offsetof(struct uffdvram_poison_list, used)
/* The cookie behind them is a question, too. */
#define IOCTL_OUT_HARVEST		offsetof(struct uffdvram_harvest, used), \
					.out_end = offsetof(struct uffdvram_harvest, cookie)
#define IOCTL_OUT_ACCESS_BEGIN		offsetof(struct uffdvram_access_begin, used)
#define IOCTL_OUT_ACCESS_END		offsetof(struct uffdvram_access_end, revoked)
#define IOCTL_OUT_CONVERT		offsetof(struct uffdvram_convert, cause)

bool uffdvram_open_pid_allowed;

static int uffdvram_ioctl_info(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_info *arg = ucmd->cmd;
	struct uffdvram_vram *v;
	u32 id = 0;

	arg->abi = UFFDVRAM_ABI;
	while ((v = uffdvram_vram_next(&id))) {
		arg->n_pools += uffdvram_vram_allowed(v, ucmd->ctx);
		uffdvram_vram_put(v);
	}
	v = uffdvram_vram_any(ucmd->ctx);
	if (v) {
		arg->pool = v->id;
		uffdvram_vram_put(v);
	}
	if (IS_ENABLED(CONFIG_DEVICE_PRIVATE)) {
		arg->features |= UFFDVRAM_FEATURE_VRAM | UFFDVRAM_FEATURE_SIM |
				 UFFDVRAM_FEATURE_LINEAR | UFFDVRAM_FEATURE_PCI |
				 UFFDVRAM_FEATURE_ACCESS | UFFDVRAM_FEATURE_CONVERT |
				 UFFDVRAM_FEATURE_EXCLUSIVE;
		if (uffdvram_backend_is_there(UFFDVRAM_BACKEND_NVIDIA))
			arg->features |= UFFDVRAM_FEATURE_NVIDIA;
		arg->page_sizes |= PAGE_SIZE | (UFFDVRAM_HUGE_FOLIOS ? PMD_SIZE : 0);
	}
	if (READ_ONCE(uffdvram_open_pid_allowed))
		arg->features |= UFFDVRAM_FEATURE_OPEN_PID;
	arg->features |= UFFDVRAM_FEATURE_COPY | UFFDVRAM_FEATURE_EVENTS |
			 UFFDVRAM_FEATURE_MMAP | UFFDVRAM_FEATURE_POISON |
			 UFFDVRAM_FEATURE_HARVEST;
	/* PAGEMAP_SCAN gives writable entries of pages in VRAM the mark of protected ones. */
	if (!IS_ENABLED(CONFIG_PAGE_TABLE_CHECK))
		arg->features |= UFFDVRAM_FEATURE_SCAN_WP;
	arg->max_ranges = READ_ONCE(uffdvram_max_ranges);
	arg->slot_quota = READ_ONCE(uffdvram_slot_quota) ?: ~0ULL;
	return 0;
}

static void open_pid_finish(struct uffdvram_ucmd *ucmd, bool ok)
{
	struct uffdvram_open_pid *arg = ucmd->cmd;

	if (ok) {
		fd_install(arg->fd, ucmd->obj);
	} else {
		put_unused_fd(arg->fd);
		fput(ucmd->obj);
	}
}

/* A file like one of the device's, for a context on @mm. */
static struct file *open_pid_file(struct mm_struct *mm, pid_t pid)
{
	struct uffdvram_ctx *ctx = uffdvram_ctx_new(mm, pid);
	struct file *file;

	if (IS_ERR(ctx))
		return ERR_CAST(ctx);
	file = may_fail(file, ERR_PTR(-ENFILE),
			anon_inode_getfile("[uffdvram]", &uffdvram_fops, ctx, O_RDWR));
	if (IS_ERR(file))
		uffdvram_ctx_free(ctx);
	return file;
}

static int uffdvram_ioctl_open_pid(struct uffdvram_ucmd *ucmd)
{
	struct uffdvram_open_pid *arg = ucmd->cmd;
	struct mm_struct *mm;
	struct file *file;
	pid_t pid;
	int fd;

	arg->fd = -1;
	if (!READ_ONCE(uffdvram_open_pid_allowed))
		return -EOPNOTSUPP;
	if (!capable(CAP_SYS_PTRACE))
		return -EPERM;
	mm = uffdvram_ctx_mm_of_pidfd(arg->pidfd, &pid);
	if (IS_ERR(mm))
		return PTR_ERR(mm);
	file = open_pid_file(mm, pid);
	mmput(mm);
	if (IS_ERR(file))
		return PTR_ERR(file);
	fd = may_fail(file, -EMFILE, get_unused_fd_flags(O_CLOEXEC));
	if (fd < 0) {
		fput(file);
		return fd;
	}
	arg->fd = fd;
	ucmd->obj = file;
	ucmd->finish = open_pid_finish;
	return 0;
}

struct ioctl_op {
	u32 size;
	u32 min_size;
	u32 flags;
	u32 out;
	u32 out_end;	/* 0: the end */
	int (*run)(struct uffdvram_ucmd *ucmd);
};

#define IOCTL_OP(NAME, name, last)					\
	[UFFDVRAM_CMD_##NAME - UFFDVRAM_CMD_BASE] = {			\
		.size = sizeof(struct uffdvram_##name),			\
		.min_size = offsetofend(struct uffdvram_##name, last),	\
		.flags = IOCTL_FLAGS_##NAME,				\
		.out = IOCTL_OUT_##NAME,				\
		.run = uffdvram_ioctl_##name,				\
	},
static const struct ioctl_op ioctl_ops[] = {
	UFFDVRAM_IOCTLS(IOCTL_OP)
};

#define IOCTL_MEMBER(NAME, name, last)	struct uffdvram_##name name;
union ioctl_arg {
	struct {
		u32 size;
		u32 flags;
	} head;
	UFFDVRAM_IOCTLS(IOCTL_MEMBER)
};

static const struct ioctl_op *ioctl_find(unsigned int cmd)
{
	unsigned int nr = _IOC_NR(cmd) - UFFDVRAM_CMD_BASE;

	if (nr >= ARRAY_SIZE(ioctl_ops) ||
	    cmd != _IO(UFFDVRAM_TYPE, UFFDVRAM_CMD_BASE + nr))
		return NULL;
	return &ioctl_ops[array_index_nospec(nr, ARRAY_SIZE(ioctl_ops))];
}

static long ioctl_run(struct file *file, unsigned int cmd, unsigned long uarg)
{
	struct uffdvram_ucmd ucmd = { .ctx = file->private_data };
	void __user *ubuf = (void __user *)uarg;
	const struct ioctl_op *op = ioctl_find(cmd);
	union ioctl_arg arg = {};
	u32 size;
	int ret;

	if (!op)
		return -ENOTTY;
	if (may_fail(user, -EFAULT, get_user(size, (u32 __user *)ubuf)))
		return -EFAULT;
	if (size < op->min_size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	ret = may_fail(user, -EFAULT, copy_struct_from_user(&arg, op->size, ubuf, size));
	if (ret)
		return ret;
	/* The caller may have changed it between the two reads. */
	arg.head.size = size;
	memset((void *)&arg + op->out, 0, (op->out_end ?: op->size) - op->out);

	ucmd.cmd = &arg;
	ret = (arg.head.flags & ~op->flags) ? -EOPNOTSUPP : op->run(&ucmd);
	if (may_fail(user, size, copy_to_user(ubuf, &arg, min(size, op->size))) && !ret)
		ret = -EFAULT;
	if (ucmd.finish)
		ucmd.finish(&ucmd, !ret);
	return ret;
}

static int ioctl_open(struct inode *inode, struct file *file)
{
	struct uffdvram_ctx *ctx;

	/* A context acts on its opener's memory: a kernel thread has none. */
	if (!current->mm)
		return -ESRCH;
	ctx = uffdvram_ctx_new(current->mm, task_tgid_nr(current));
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	file->private_data = ctx;
	return 0;
}

static int ioctl_release(struct inode *inode, struct file *file)
{
	uffdvram_ctx_free(file->private_data);
	return 0;
}

static ssize_t ioctl_read(struct file *file, char __user *buf, size_t count,
			  loff_t *pos)
{
	struct uffdvram_ctx *ctx = file->private_data;

	return uffdvram_events_read(ctx->events, file, buf, count);
}

static __poll_t ioctl_poll(struct file *file, poll_table *table)
{
	struct uffdvram_ctx *ctx = file->private_data;

	return uffdvram_events_poll(ctx->events, file, table);
}

const struct file_operations uffdvram_fops = {
	.owner = THIS_MODULE,
	.open = ioctl_open,
	.release = ioctl_release,
	.read = ioctl_read,
	.poll = ioctl_poll,
	.mmap = uffdvram_node_mmap,
	.unlocked_ioctl = ioctl_run,
	.compat_ioctl = compat_ptr_ioctl,
};
