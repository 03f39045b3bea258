// SPDX-License-Identifier: GPL-2.0-only
/* /sys/kernel/debug/uffdvram: counters, pools, and the knobs of the simulator. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "backend.h"
#include "debugfs.h"
#include "inject.h"
#include "stat.h"
#include "vram.h"

static struct dentry *debugfs_root;

static int stats_show(struct seq_file *m, void *unused)
{
#define STAT_SHOW(name)							\
	seq_printf(m, #name " %llu\n",					\
		   uffdvram_stat_sum(UFFDVRAM_STAT_##name));
	UFFDVRAM_STATS(STAT_SHOW)
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

static int pools_show(struct seq_file *m, void *unused)
{
	struct uffdvram_vram *v;
	u32 id = 0;

	while ((v = uffdvram_vram_next(&id))) {
		seq_printf(m, "pool %u backend %s bytes %llu slots %lu used %ld lost %ld quarantined %ld shared %d draining %d\n",
			   v->id, v->backend.ops->name, v->backend.bytes,
			   v->slots.nr, atomic_long_read(&v->slots.used),
			   atomic_long_read(&v->slots.lost),
			   atomic_long_read(&v->slots.quarantined), v->shared,
			   READ_ONCE(v->slots.closed));
		uffdvram_vram_put(v);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(pools);

static int debugfs_flip(u32 pool, u64 off)
{
	struct uffdvram_vram *v = uffdvram_vram_get(pool);
	int ret = -ENODEV;

	if (!v)
		return ret;
	mutex_lock(&v->detach);
	if (!v->reaped)
		ret = uffdvram_sim_flip(&v->backend, off);
	mutex_unlock(&v->detach);
	uffdvram_vram_put(v);
	return ret;
}

/* "POOL OFFSET": flips a bit there. */
static ssize_t flip_write(struct file *file, const char __user *ubuf,
			  size_t count, loff_t *ppos)
{
	char buf[64];
	u32 pool;
	u64 off;
	int ret;

	if (count >= sizeof(buf))
		return -EINVAL;
	if (copy_from_user(buf, ubuf, count))
		return -EFAULT;
	buf[count] = '\0';
	if (sscanf(buf, "%u %lli", &pool, (long long *)&off) != 2)
		return -EINVAL;
	ret = debugfs_flip(pool, off);
	return ret ?: count;
}

static const struct file_operations flip_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = flip_write,
};

void uffdvram_debugfs_init(void)
{
	debugfs_root = debugfs_create_dir("uffdvram", NULL);
	debugfs_create_file("stats", 0400, debugfs_root, NULL, &stats_fops);
	debugfs_create_file("pools", 0400, debugfs_root, NULL, &pools_fops);
	uffdvram_sim_debugfs(debugfs_root);
	uffdvram_inject_debugfs(debugfs_root);
	debugfs_create_file("flip", 0200,
			    debugfs_lookup("sim", debugfs_root), NULL,
			    &flip_fops);
}

void uffdvram_debugfs_exit(void)
{
	debugfs_remove(debugfs_root);
}
