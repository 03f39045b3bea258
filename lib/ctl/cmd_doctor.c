// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl doctor: each condition that matters, whether this machine (and with -p
 * that process) meets it, and what to do where it does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd.h"
#include "json.h"
#include "parse.h"
#include "vma.h"

/*
 * FAIL: it does not work at all; WARN: some of it does not, or less well than it could.
 */
enum verdict { OK, WARN, FAIL };

struct doctor {
	struct session *s;
	struct json j;
	unsigned int count[FAIL + 1];
};

/* @remedy is NULL where there is none, or none is needed. */
static void doctor_say(struct doctor *d, enum verdict v, const char *check,
		       const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static void doctor_say(struct doctor *d, enum verdict v, const char *check,
		       const char *remedy, const char *fmt, ...)
{
	static const char *const words[] = { "ok", "warn", "fail" };
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->count[v]++;
	if (!d->s->json) {
		printf("%-4s  %-12s  %s%s%s\n", words[v], check, text, remedy ? ": " : "",
		       remedy ?: "");
		return;
	}
	json_open(&d->j, NULL, '{');
	json_str(&d->j, "check", check);
	json_str(&d->j, "verdict", words[v]);
	json_str(&d->j, "found", text);
	if (remedy)
		json_str(&d->j, "remedy", remedy);
	json_close(&d->j, '}');
}

/* First line of a file; "" where it cannot be read. */
static const char *first_line(char buf[128], const char *path)
{
	FILE *f = fopen(path, "re");

	if (!f || !fgets(buf, 128, f))
		buf[0] = '\0';
	if (f)
		fclose(f);
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

/* A number of a file of lines "name: 123"; 0 where there is none. */
static uint64_t number_of(const char *path, const char *name)
{
	char line[256];
	uint64_t n = 0;
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), ": %" SCNu64, &n);
	if (f)
		fclose(f);
	return n;
}

static void check_module(struct doctor *d)
{
	const struct uffdvram_module_opts opts = {
		.size = sizeof(opts), .device = d->s->device,
	};
	struct uffdvram_module m = { .size = sizeof(m) };
	int ret = uffdvram_module_probe(&m, &opts);

	if (ret)
		doctor_say(d, FAIL, "module", NULL, "cannot be looked for: %s",
			   strerrorname_np(-ret) ?: "unknown error");
	else
		doctor_say(d, m.state != UFFDVRAM_MODULE_LIVE || m.error ? FAIL : OK,
			   "module", NULL, "%s (%s)", uffdvram_module_state_name(m.state),
			   m.reason);
}

static void check_features(struct doctor *d, const struct uffdvram_info *info)
{
	if (info->features & UFFDVRAM_FEATURE_VRAM)
		doctor_say(d, OK, "kernel", NULL, "has device-private memory");
	else
		doctor_say(d, FAIL, "kernel",
			   "take a kernel with CONFIG_DEVICE_PRIVATE (Debian: trixie-backports)",
			   "was built without device-private memory: nothing can move");
	if (info->features & UFFDVRAM_FEATURE_OPEN_PID)
		doctor_say(d, OK, "open_pid", NULL, "administrators can attach to running processes");
	else
		doctor_say(d, WARN, "open_pid",
			   "echo 1 > /sys/module/uffdvram/parameters/open_pid",
			   "nobody can attach to running processes (-p)");
	if (info->n_pools)
		doctor_say(d, OK, "pools", NULL, "%" PRIu32 " to use", info->n_pools);
	else
		doctor_say(d, WARN, "pools", "uffdvramctl pool attach sim 512M --shared",
			   "there is none to move pages to");
	if (info->slot_quota != UINT64_MAX)
		doctor_say(d, WARN, "slot_quota", "see /sys/module/uffdvram/parameters/slot_quota",
			   "this user may hold %" PRIu64 " pages in VRAM, no more",
			   (uint64_t)info->slot_quota);
}

static void check_context(struct doctor *d)
{
	struct uffdvram_info info = { .size = sizeof(info) };
	const struct uffdvram_open_opts opts = {
		.size = sizeof(opts), .device = d->s->device,
	};
	struct uffdvram_ctx *ctx;

	/* What keeps it from being opened, check_module() has said. */
	if (uffdvram_open(&ctx, &opts))
		return;
	if (!uffdvram_get_info(ctx, &info))
		check_features(d, &info);
	uffdvram_close(ctx);
}

static void check_userfaultfd(struct doctor *d)
{
	int fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd >= 0)
		doctor_say(d, OK, "userfaultfd", NULL, "ranges can be armed");
	else if (errno == EPERM)
		doctor_say(d, WARN, "userfaultfd",
			   "give this user /dev/userfaultfd, or set vm.unprivileged_userfaultfd=1",
			   "this user can arm ranges only against accesses of user mode");
	else
		doctor_say(d, FAIL, "userfaultfd", "take a kernel with CONFIG_USERFAULTFD",
			   "there is none (%s): nothing can be armed",
			   strerrorname_np(errno) ?: "unknown error");
	if (fd >= 0)
		close(fd);
}

static void check_memory(struct doctor *d)
{
	char line[128];

	first_line(line, "/sys/kernel/mm/transparent_hugepage/enabled");
	if (strstr(line, "[always]"))
		doctor_say(d, WARN, "huge pages",
			   "madvise(MADV_NOHUGEPAGE) on ranges (UFFDVRAM_ARM_NOHUGEPAGE), or echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
			   "khugepaged takes pages home to make huge ones of them");
	else
		doctor_say(d, OK, "huge pages", NULL, "%s",
			   *line ? "only where they are asked for" : "this kernel has none");
	first_line(line, "/sys/kernel/mm/ksm/run");
	if (*line == '1')
		doctor_say(d, WARN, "ksm", "echo 2 > /sys/kernel/mm/ksm/run",
			   "pages that KSM has merged stay in RAM");
	else
		doctor_say(d, OK, "ksm", NULL, "merges no pages");
	if (number_of("/proc/meminfo", "SwapTotal") != number_of("/proc/meminfo", "SwapFree"))
		doctor_say(d, WARN, "swap", "swapoff -a, or touch the memory before moving it",
			   "pages that are swapped out stay there");
	else
		doctor_say(d, OK, "swap", NULL, "nothing is swapped out");
}

static void check_debugfs(struct doctor *d)
{
	if (!access("/sys/kernel/debug/uffdvram/stats", R_OK))
		doctor_say(d, OK, "debugfs", NULL, "counters, times and pools can be read");
	else
		doctor_say(d, WARN, "debugfs",
			   "as root: mount -t debugfs none /sys/kernel/debug",
			   "counters, times and the list of pools cannot be read");
}

/* The largest piece of memory that is shared: rw-s, or of hugetlbfs. */
static uint64_t largest_shared(pid_t pid)
{
	uint64_t start, end, max = 0;
	char path[32], line[512], perms[5];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, perms) == 3 &&
		    perms[1] == 'w' && (perms[3] == 's' || strstr(line, "hugepages")) &&
		    end - start > max)
			max = end - start;
	if (f)
		fclose(f);
	return max;
}

static void check_process(struct doctor *d, pid_t pid)
{
	char path[32], a[FORMAT_MAX], b[FORMAT_MAX];
	uint64_t anon = 0, shared, pinned;
	struct vma *vmas;
	size_t n, i;
	int ret = vma_list(pid, 1, &vmas, &n);

	if (ret) {
		doctor_say(d, FAIL, "process", "its number, and the right to look at it",
			   "%d cannot be looked at: %s", (int)pid, strerrorname_np(-ret) ?: "?");
		return;
	}
	for (i = 0; i < n; i++)
		if (vmas[i].end - vmas[i].start > anon)
			anon = vmas[i].end - vmas[i].start;
	free(vmas);
	shared = largest_shared(pid);
	format_size(a, anon);
	format_size(b, shared);
	if (shared > anon)
		doctor_say(d, WARN, "process",
			   "give the guest private memory: no vhost-user, virtiofs or hugetlbfs; QEMU: share=off",
			   "its largest memory (%s) is shared and cannot move; the largest private one has %s",
			   b, a);
	else
		doctor_say(d, OK, "process", NULL, "its largest private memory has %s", a);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	pinned = number_of(path, "VmPin");
	if (pinned)
		doctor_say(d, WARN, "pinned", "detach VFIO devices, or put up with it",
			   "%s is pinned for a device and stays in RAM",
			   format_size(a, pinned << 10));
	else
		doctor_say(d, OK, "pinned", NULL, "nothing");
}

int cmd_doctor(struct session *s, int argc, char **argv)
{
	struct doctor d = { .s = s, .j = { .out = stdout } };

	if (argc > 1)
		return session_usage(s, "doctor: unexpected \"%s\"", argv[1]);
	if (s->json)
		json_open(&d.j, NULL, '[');
	check_module(&d);
	check_context(&d);
	check_userfaultfd(&d);
	check_memory(&d);
	check_debugfs(&d);
	if (s->pid)
		check_process(&d, s->pid);
	if (s->json)
		json_close(&d.j, ']');
	else
		printf("%u ok, %u warned, %u failed\n", d.count[OK], d.count[WARN], d.count[FAIL]);
	return d.count[FAIL] ? CTL_FAILED : CTL_OK;
}
