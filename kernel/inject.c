// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failures on request: the debugfs files "fail_nth" and "sites". Only in test
 * builds, where this is linked first; see inject.h.
 *
 * Writing "N [worker] [KIND...]" to fail_nth has the Nth site of these kinds
 * (default: all) that the writing task, or a kernel worker, comes by fail. Reading
 * tells what is left of N: 0 when that has happened. Closing the file disarms.
 */
#include <linux/debugfs.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "inject.h"
#include "lock.h"

/**
 * struct inject - an open fail_nth
 * @link: in inject_list
 * @task: whose sites; NULL: those of kernel workers
 * @kinds: a bit for each kind
 * @nth: counts down; the site that brings it to 0 fails
 */
struct inject {
	struct list_head link;
	struct task_struct *task;
	unsigned long kinds;
	unsigned int nth;
};

static struct uffdvram_site uffdvram_sites_begin[0] UFFDVRAM_SITE;

static const char *const inject_kinds[] = {
#define INJECT_NAME(name)	#name,
	UFFDVRAM_INJECT_KINDS(INJECT_NAME)
};

/* Rank 10, irqs off: the open files, and the counters of the sites. */
static DEFINE_SPINLOCK(inject_lock);
static LIST_HEAD(inject_list);

static bool inject_is_for_us(const struct inject *in)
{
	if (in->task)
		return in->task == current;
	return current->flags & PF_WQ_WORKER;
}

static bool inject_count_locked(struct inject *in, struct uffdvram_site *site)
{
	lockdep_assert_held(&inject_lock);
	if (!in->nth || !(in->kinds & BIT(site->kind)) || !inject_is_for_us(in))
		return false;
	site->hits++;
	if (--in->nth)
		return false;
	site->failed++;
	return true;
}

/* Whether the call at @site shall fail. Any context. */
bool uffdvram_inject(struct uffdvram_site *site)
{
	struct inject *in;
	unsigned long flags;
	bool fail = false;

	if (!in_task())
		return false;
	spin_lock_irqsave(&inject_lock, flags);
	list_for_each_entry(in, &inject_list, link)
		fail |= inject_count_locked(in, site);
	spin_unlock_irqrestore(&inject_lock, flags);
	return fail;
}
EXPORT_SYMBOL_GPL(uffdvram_inject);

static int inject_open(struct inode *inode, struct file *file)
{
	struct inject *in = kzalloc(sizeof(*in), GFP_KERNEL);

	if (!in)
		return -ENOMEM;
	file->private_data = in;
	spin_lock_irq(&inject_lock);
	list_add(&in->link, &inject_list);
	spin_unlock_irq(&inject_lock);
	return 0;
}

/* Arms @in for @task, which it takes the reference of; NULL: workers. */
static void inject_arm(struct inject *in, struct task_struct *task,
		       unsigned long kinds, unsigned int nth)
{
	spin_lock_irq(&inject_lock);
	swap(in->task, task);
	in->kinds = kinds;
	in->nth = nth;
	spin_unlock_irq(&inject_lock);
	if (task)
		put_task_struct(task);
}

static int inject_release(struct inode *inode, struct file *file)
{
	struct inject *in = file->private_data;

	inject_arm(in, NULL, 0, 0);
	spin_lock_irq(&inject_lock);
	list_del(&in->link);
	spin_unlock_irq(&inject_lock);
	kfree(in);
	return 0;
}

static int inject_parse(struct inject *in, char *text)
{
	bool worker = false;
	unsigned long kinds = 0;
	unsigned int nth;
	char *word = strsep(&text, " ");
	int ret = kstrtouint(word, 10, &nth);

	while (!ret && (word = strsep(&text, " "))) {
		if (!strcmp(word, "worker")) {
			worker = true;
			continue;
		}
		ret = match_string(inject_kinds, UFFDVRAM_INJECT_NR, word);
		if (ret < 0)
			return ret;
		kinds |= BIT(ret);
		ret = 0;
	}
	if (!ret)
		inject_arm(in, worker ? NULL : get_task_struct(current),
			   kinds ?: ~0UL, nth);
	return ret;
}

static ssize_t inject_write(struct file *file, const char __user *ubuf,
			    size_t count, loff_t *ppos)
{
	char text[128];
	int ret;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, ubuf, count))
		return -EFAULT;
	text[count] = '\0';
	ret = inject_parse(file->private_data, strim(text));
	return ret ?: count;
}

static ssize_t inject_read(struct file *file, char __user *ubuf, size_t count,
			   loff_t *ppos)
{
	struct inject *in = file->private_data;
	loff_t pos = 0;
	char text[16];
	int len = scnprintf(text, sizeof(text), "%u\n", READ_ONCE(in->nth));

	return simple_read_from_buffer(ubuf, count, &pos, text, len);
}

static const struct file_operations inject_fops = {
	.owner = THIS_MODULE,
	.open = inject_open,
	.release = inject_release,
	.write = inject_write,
	.read = inject_read,
};

static int sites_show(struct seq_file *m, void *unused)
{
	struct uffdvram_site *s;

	for (s = uffdvram_sites_begin; s != uffdvram_sites_end; s++)
		seq_printf(m, "%s:%u %s %lu %lu\n", s->file, s->line,
			   inject_kinds[s->kind], READ_ONCE(s->hits),
			   READ_ONCE(s->failed));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(sites);

void uffdvram_inject_debugfs(struct dentry *parent)
{
	debugfs_create_file("fail_nth", 0600, parent, NULL, &inject_fops);
	debugfs_create_file("sites", 0400, parent, NULL, &sites_fops);
}
