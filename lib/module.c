// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Is the module there, and if not, why? Loading it on request.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <syslog.h>
#include <unistd.h>

#include "ctx.h"
#include "log.h"
#include "module_find.h"

#define SYS_MODULE "/sys/module/" MODULE_NAME

/* One probe: what was asked, what was found, and the last thing that opening said. */
struct probe {
	struct uffdvram_module_opts opts;
	struct uffdvram_module out;
	char said[200];
};

static void probe_says(struct probe *p, unsigned int state, int error, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void probe_says(struct probe *p, unsigned int state, int error, const char *fmt, ...)
{
	va_list ap;

	p->out.state = state;
	p->out.error = error;
	va_start(ap, fmt);
	vsnprintf(p->out.reason, sizeof(p->out.reason), fmt, ap);
	va_end(ap);
}

static void probe_log(void *data, int priority, const char *msg)
{
	struct probe *p = data;

	snprintf(p->said, sizeof(p->said), "%s", msg);
	if (p->opts.log)
		p->opts.log(p->opts.log_data, priority, msg);
}

/* Does the file's text have @word in it? false also where it cannot be read. */
static bool file_has(const char *path, const char *word)
{
	char text[256] = "";
	FILE *f = fopen(path, "re");
	size_t n = 0;

	if (f) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return strstr(text, word);
}

static const char *probe_device(const struct probe *p)
{
	return p->opts.device ?: UFFDVRAM_DEVICE;
}

/* Whether the module is loaded; then the result is in @p. */
static bool probe_live(struct probe *p)
{
	const struct uffdvram_open_opts oo = {
		.size = sizeof(oo), .device = p->opts.device, .log = probe_log, .log_data = p,
	};
	struct uffdvram_ctx *ctx;
	int ret = uffdvram_open(&ctx, &oo);

	if (!ret) {
		uffdvram_close(ctx);
		probe_says(p, UFFDVRAM_MODULE_LIVE, 0, "the module is loaded and fits");
		return true;
	}
	if (ret == -EPROTONOSUPPORT) {
		probe_says(p, UFFDVRAM_MODULE_VERSION, -ret,
			   "%s: install module and library of one release", p->said);
		return true;
	}
	if (access(SYS_MODULE, F_OK))
		return false;
	if (ret == -EACCES || ret == -EPERM)
		probe_says(p, UFFDVRAM_MODULE_LIVE, -ret,
			   "the module is loaded, but %s is not for this user: run as root, or change its mode",
			   probe_device(p));
	else
		probe_says(p, UFFDVRAM_MODULE_LIVE, -ret,
			   "the module is loaded, but %s cannot be used (%s): in a container, pass it in",
			   probe_device(p), strerrorname_np(-ret) ?: "unknown error");
	return true;
}

/* Whether the kernel takes no module at all; then the result is in @p. */
static bool probe_kernel_refuses(struct probe *p)
{
	if (access("/proc/modules", F_OK)) {
		probe_says(p, UFFDVRAM_MODULE_BLOCKED, EOPNOTSUPP,
			   "this kernel loads no modules, or /proc is not mounted");
		return true;
	}
	if (file_has("/proc/sys/kernel/modules_disabled", "1")) {
		probe_says(p, UFFDVRAM_MODULE_BLOCKED, EPERM,
			   "loading modules is switched off until the next boot (kernel.modules_disabled)");
		return true;
	}
	return false;
}

static bool signature_wanted(void)
{
	return file_has("/sys/module/module/parameters/sig_enforce", "Y") ||
	       file_has("/sys/kernel/security/lockdown", "[integrity]") ||
	       file_has("/sys/kernel/security/lockdown", "[confidentiality]");
}

static void probe_installed(struct probe *p)
{
	struct uffdvram_found found;
	struct utsname uts;
	int ret = uffdvram_module_find(&p->opts, &found);

	uname(&uts);
	if (ret == -ENODATA)
		probe_says(p, UFFDVRAM_MODULE_ABSENT, -ret,
			   "the module is not loaded; this program was built without libkmod and cannot look for it: insmod uffdvram.ko");
	else if (ret)
		probe_says(p, UFFDVRAM_MODULE_ABSENT, -ret,
			   "the module is not loaded, and not found in %s%s (%s): make install, depmod",
			   p->opts.path ?: "/lib/modules/", p->opts.path ? "" : uts.release,
			   strerrorname_np(-ret) ?: "unknown error");
	else if (found.blacklisted)
		probe_says(p, UFFDVRAM_MODULE_BLOCKED, EPERM,
			   "the module is blacklisted in modprobe.d: take the line out, or insmod its file");
	else if (found.replaced)
		probe_says(p, UFFDVRAM_MODULE_BLOCKED, EPERM,
			   "an install line in modprobe.d runs a command instead of loading the module");
	else if (*found.release && strcmp(found.release, uts.release))
		probe_says(p, UFFDVRAM_MODULE_VERSION, ENOEXEC,
			   "the module was built for kernel %.60s, this is %.60s: build it for this one",
			   found.release, uts.release);
	else if (*found.release && !found.is_signed && signature_wanted())
		probe_says(p, UFFDVRAM_MODULE_BLOCKED, EKEYREJECTED,
			   "this kernel takes signed modules only (Secure Boot, lockdown), and this one is not: sign it with a key that is enrolled");
	else
		probe_says(p, UFFDVRAM_MODULE_READY, 0,
			   "the module is not loaded, but can be: modprobe uffdvram, or insmod its file");
}

static void probe(struct probe *p)
{
	if (!probe_live(p) && !probe_kernel_refuses(p))
		probe_installed(p);
}

static void load_failed(struct probe *p, int err)
{
	switch (err) {
	case EPERM:
		probe_says(p, UFFDVRAM_MODULE_BLOCKED, err,
			   "loading modules takes CAP_SYS_MODULE, and a kernel that is not locked down against this one");
		break;
	case EKEYREJECTED:
	case ENOKEY:
	case EKEYEXPIRED:
	case EBADMSG:
		probe_says(p, UFFDVRAM_MODULE_BLOCKED, err,
			   "the kernel does not take the module's signature: sign it with a key that is enrolled");
		break;
	case ENOEXEC:
	case ENOENT:
		probe_says(p, UFFDVRAM_MODULE_VERSION, err,
			   "the module does not fit this kernel: build it for this one (dmesg says more)");
		break;
	default:
		probe_says(p, UFFDVRAM_MODULE_BLOCKED, err,
			   "the kernel refused the module (%s): see dmesg",
			   strerrorname_np(err) ?: "unknown error");
	}
}

static int probe_in(struct probe *p, const struct uffdvram_module *module,
		    const struct uffdvram_module_opts *opts)
{
	int ret;

	memset(p, 0, sizeof(*p));
	if (!module)
		return -EINVAL;
	ret = uffdvram_opts_in(&p->out, sizeof(p->out),
			       UFFDVRAM_END_OF(struct uffdvram_module, reason), module);
	ret = ret ?: uffdvram_opts_in(&p->opts, sizeof(p->opts),
				      UFFDVRAM_END_OF(struct uffdvram_module_opts, log_data),
				      opts);
	p->out = (struct uffdvram_module){ .size = sizeof(p->out) };
	return ret;
}

int uffdvram_module_probe(struct uffdvram_module *module,
			  const struct uffdvram_module_opts *opts)
{
	struct probe p;
	int ret = probe_in(&p, module, opts);

	if (ret)
		return ret;
	probe(&p);
	uffdvram_opts_out(module, &p.out, sizeof(p.out));
	return 0;
}

static int state_errno(unsigned int state)
{
	switch (state) {
	case UFFDVRAM_MODULE_LIVE:
		return 0;
	case UFFDVRAM_MODULE_ABSENT:
		return -ENOENT;
	case UFFDVRAM_MODULE_VERSION:
		return -EPROTONOSUPPORT;
	default:
		return -EPERM;
	}
}

int uffdvram_module_load(struct uffdvram_module *module,
			 const struct uffdvram_module_opts *opts)
{
	struct probe p;
	int ret = probe_in(&p, module, opts);

	if (ret)
		return ret;
	probe(&p);
	if (p.out.state == UFFDVRAM_MODULE_READY) {
		ret = uffdvram_module_insert(&p.opts);
		if (ret == -ENOMEM)
			return ret;
		/* Somebody else was faster: look what they loaded. */
		if (ret && ret != -EEXIST)
			load_failed(&p, ret < 0 ? -ret : EIO);
		else if (!probe_live(&p))
			probe_says(&p, UFFDVRAM_MODULE_BLOCKED, ENXIO,
				   "the module was loaded, but went away at once: see dmesg");
	}
	uffdvram_opts_out(module, &p.out, sizeof(p.out));
	return state_errno(p.out.state);
}
