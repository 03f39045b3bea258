// SPDX-License-Identifier: GPL-2.0-only
/* /sys/kernel/debug/uffdvram: counters, histograms, pools, and knobs for tests. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "backend.h"
#include "debugfs.h"
#include "inject.h"
#include "latency.h"
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

/* Pairs of a name and a value; a bucket's name is where it ends. */
static void latency_show_one(struct seq_file *m, const char *name,
			     enum uffdvram_latency what)
{
	struct uffdvram_latency_sum sum;
	unsigned int i;

	uffdvram_latency_sum(what, &sum);
	seq_printf(m, "op %s count %llu sum_ns %llu", name, sum.count, sum.ns);
	for (i = 0; i < UFFDVRAM_LATENCY_BUCKETS; i++)
		if (sum.bucket[i])
			seq_printf(m, " %llu %llu", BIT_ULL(i), sum.bucket[i]);
	seq_putc(m, '\n');
}

static int latency_show(struct seq_file *m, void *unused)
{
#define LATENCY_SHOW(name)						\
	latency_show_one(m, #name, UFFDVRAM_LATENCY_##name);
	UFFDVRAM_LATENCIES(LATENCY_SHOW)
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(latency);

static int pools_show(struct seq_file *m, void *unused)
{
	struct uffdvram_vram *v;
	u32 id = 0;

	while ((v = uffdvram_vram_next(&id))) {
		seq_printf(m, "pool %u backend %s bytes %llu slots %lu used %ld lost %ld quarantined %ld shared %d draining %d checked %d fault %lu%s\n",
			   v->id, v->name, v->backend.bytes,
			   v->slots.nr, atomic_long_read(&v->slots.used),
			   atomic_long_read(&v->slots.lost),
			   atomic_long_read(&v->slots.quarantined), v->shared,
			   READ_ONCE(v->slots.closed), v->backend.checked,
			   v->fault_bytes, v->backend.about);
		uffdvram_vram_put(v);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(pools);

/* What a knob does to the backend of one pool. */
typedef int (*debugfs_knob)(struct uffdvram_backend *b, const char *arg);

static int knob_flip(struct uffdvram_backend *b, const char *arg)
{
	u64 off;
	int ret = kstrtou64(arg, 0, &off);

	return ret ?: uffdvram_knobs_flip(b, off);
}

static int knob_trouble(struct uffdvram_backend *b, const char *arg)
{
	/* As enum uffdvram_trouble, which begins with 1. */
	static const char *const words[] = { "evacuate", "lost", "gone" };
	int i = match_string(words, ARRAY_SIZE(words), arg);

	return i < 0 ? -EINVAL :
		       uffdvram_knobs_trouble(b, UFFDVRAM_TROUBLE_EVACUATE + i);
}

static int debugfs_turn(debugfs_knob knob, u32 pool, const char *arg)
{
	struct uffdvram_vram *v = uffdvram_vram_get(pool);
	int ret = -ENODEV;

	if (!v)
		return ret;
	mutex_lock(&v->detach);
	if (!v->dropped)
		ret = knob(&v->backend, arg);
	mutex_unlock(&v->detach);
	uffdvram_vram_put(v);
	return ret;
}

/* "POOL ARGUMENT" for the knob that the file was made for. */
static ssize_t knob_write(struct file *file, const char __user *ubuf,
			  size_t count, loff_t *ppos)
{
	char buf[64], arg[32];
	u32 pool;
	int ret;

	if (count >= sizeof(buf))
		return -EINVAL;
	if (copy_from_user(buf, ubuf, count))
		return -EFAULT;
	buf[count] = '\0';
	if (sscanf(buf, "%u %31s", &pool, arg) != 2)
		return -EINVAL;
	ret = debugfs_turn(file->private_data, pool, arg);
	return ret ?: count;
}

static const struct file_operations knob_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = knob_write,
};

void uffdvram_debugfs_init(void)
{
	struct dentry *knobs;

	debugfs_root = debugfs_create_dir("uffdvram", NULL);
	debugfs_create_file("stats", 0400, debugfs_root, NULL, &stats_fops);
	debugfs_create_file("latency", 0400, debugfs_root, NULL, &latency_fops);
	debugfs_create_file("pools", 0400, debugfs_root, NULL, &pools_fops);
	knobs = uffdvram_knobs_debugfs(debugfs_root);
	uffdvram_inject_debugfs(debugfs_root);
	/* "POOL OFFSET": flips a bit there. "POOL WORD": its device has trouble. */
	debugfs_create_file("flip", 0200, knobs, knob_flip, &knob_fops);
	debugfs_create_file("trouble", 0200, knobs, knob_trouble, &knob_fops);
}

void uffdvram_debugfs_exit(void)
{
	debugfs_remove(debugfs_root);
}
