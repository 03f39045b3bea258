// SPDX-License-Identifier: GPL-2.0-only
/*
 * The library's view of the module, with a libkmod and files of the kernel that say
 * what a test wants them to say; and, at the end, the real module.
 */
#include <errno.h>
#include <fcntl.h>
#include <libkmod.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <uffdvram/uffdvram.h>
#include "kselftest_harness.h"
#include "util.h"

/* Where the test VM has the module. */
#define MODULE		"/job/uffdvram.ko"
#define NO_DEVICE	"/nonexistent/uffdvram"

static struct {
	bool lookup_fails, not_found;	/* nothing is installed */
	bool blacklisted;
	bool replaced;
	bool is_signed;
	const char *vermagic;
	const char *modules_disabled, *lockdown, *sig_enforce;
	int insert_error;		/* < 0; 0: load MODULE */
	bool as_if_absent;		/* /sys/module/uffdvram is not there */
	bool no_modules;		/* nor is /proc/modules */
	unsigned int inserted, live;	/* objects of libkmod that were not freed */
	char params[64];
	unsigned int flags;
} fake;

/* The library's access() and fopen(). */
int access(const char *path, int mode)
{
	if (fake.as_if_absent && !strcmp(path, "/sys/module/uffdvram")) {
		errno = ENOENT;
		return -1;
	}
	if (!strcmp(path, "/proc/modules"))
		return fake.no_modules ? -1 : 0;
	return syscall(SYS_faccessat, AT_FDCWD, path, mode);
}

static FILE *text_file(const char *text)
{
	if (!text) {
		errno = ENOENT;
		return NULL;
	}
	return fmemopen((void *)text, strlen(text), "r");
}

FILE *fopen(const char *path, const char *mode)
{
	int flags = mode[0] == 'r' ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC;
	int fd;

	if (!strcmp(path, "/proc/sys/kernel/modules_disabled"))
		return text_file(fake.modules_disabled);
	if (!strcmp(path, "/sys/kernel/security/lockdown"))
		return text_file(fake.lockdown);
	if (!strcmp(path, "/sys/module/module/parameters/sig_enforce"))
		return text_file(fake.sig_enforce);
	fd = open(path, flags | O_CLOEXEC, 0644);
	return fd < 0 ? NULL : fdopen(fd, mode[0] == 'r' ? "r" : "w");
}

/* libkmod, as far as the library uses it. Lists are one element, or NULL. */
static int object;

static void *make(void)
{
	fake.live++;
	return &object;
}

struct kmod_ctx *kmod_new(const char *dirname, const char *const *configs)
{
	return dirname || configs ? NULL : make();
}

struct kmod_ctx *kmod_unref(struct kmod_ctx *ctx)
{
	(void)ctx;
	fake.live--;
	return NULL;
}

void kmod_set_log_fn(struct kmod_ctx *ctx,
		     void (*log_fn)(void *data, int priority, const char *file, int line,
				    const char *fn, const char *format, va_list args),
		     const void *data)
{
	(void)ctx, (void)log_fn, (void)data;
}

int kmod_module_new_from_path(struct kmod_ctx *ctx, const char *path,
			      struct kmod_module **mod)
{
	(void)ctx, (void)path;
	*mod = make();
	return 0;
}

int kmod_module_new_from_lookup(struct kmod_ctx *ctx, const char *alias,
				struct kmod_list **list)
{
	(void)ctx;
	if (strcmp(alias, "uffdvram"))
		return -EINVAL;
	if (fake.lookup_fails)
		return -ENODATA;
	*list = fake.not_found ? NULL : make();
	return 0;
}

struct kmod_module *kmod_module_get_module(const struct kmod_list *entry)
{
	return entry ? make() : NULL;
}

int kmod_module_unref_list(struct kmod_list *list)
{
	fake.live -= !!list;
	return 0;
}

int kmod_module_apply_filter(const struct kmod_ctx *ctx, enum kmod_filter filter,
			     const struct kmod_list *input, struct kmod_list **output)
{
	(void)ctx, (void)input;
	*output = fake.blacklisted && filter == KMOD_FILTER_BLACKLIST ? NULL : make();
	return 0;
}

const char *kmod_module_get_install_commands(const struct kmod_module *mod)
{
	(void)mod;
	return fake.replaced ? "/bin/false" : NULL;
}

/* Two pieces of information; the list's pointer is the number of those left. */
int kmod_module_get_info(const struct kmod_module *mod, struct kmod_list **list)
{
	(void)mod;
	fake.live++;
	*list = (struct kmod_list *)(uintptr_t)2;
	return 2;
}

struct kmod_list *kmod_list_next(const struct kmod_list *list, const struct kmod_list *curr)
{
	(void)list;
	return (struct kmod_list *)((uintptr_t)curr - 1);
}

const char *kmod_module_info_get_key(const struct kmod_list *entry)
{
	if ((uintptr_t)entry == 2)
		return "vermagic";
	return fake.is_signed ? "sig_id" : "license";
}

const char *kmod_module_info_get_value(const struct kmod_list *entry)
{
	return (uintptr_t)entry == 2 ? fake.vermagic : "PKCS#7";
}

void kmod_module_info_free_list(struct kmod_list *list)
{
	(void)list;
	fake.live--;
}

struct kmod_module *kmod_module_unref(struct kmod_module *mod)
{
	fake.live -= !!mod;
	return NULL;
}

static int insert(const char *params)
{
	int fd, ret = fake.insert_error;

	snprintf(fake.params, sizeof(fake.params), "%s", params ?: "");
	fake.inserted++;
	if (ret)
		return ret;
	fd = open(MODULE, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, params ?: "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

int kmod_module_insert_module(struct kmod_module *mod, unsigned int flags,
			      const char *options)
{
	(void)mod;
	fake.flags = flags;
	return insert(options);
}

int kmod_module_probe_insert_module(struct kmod_module *mod, unsigned int flags,
	const char *extra_options,
	int (*run_install)(struct kmod_module *m, const char *cmdline, void *data),
	const void *data,
	void (*print_action)(struct kmod_module *m, bool install, const char *options))
{
	(void)mod, (void)run_install, (void)data, (void)print_action;
	fake.flags = flags;
	return insert(extra_options);
}

FIXTURE(module)
{
	struct uffdvram_module_opts opts;
	struct uffdvram_module m;
	char vermagic[128];
};

FIXTURE_SETUP(module)
{
	struct utsname uts;

	uname(&uts);
	snprintf(self->vermagic, sizeof(self->vermagic), "%s SMP preempt mod_unload ",
		 uts.release);
	memset(&fake, 0, sizeof(fake));
	fake.vermagic = self->vermagic;
	fake.as_if_absent = true;
	self->opts = (struct uffdvram_module_opts){
		.size = sizeof(self->opts), .device = NO_DEVICE,
	};
	self->m.size = sizeof(self->m);
}

FIXTURE_TEARDOWN(module)
{
	EXPECT_EQ(0, fake.live);	/* nothing of libkmod's leaks */
}

/* What probing says, and loading too where it must not get as far as the kernel. */
#define EXPECT_STATE(state_, error_, word) do {					\
	ASSERT_EQ(0, uffdvram_module_probe(&self->m, &self->opts));		\
	EXPECT_STREQ(state_, uffdvram_module_state_name(self->m.state));	\
	EXPECT_EQ(error_, self->m.error);					\
	EXPECT_NE(NULL, strstr(self->m.reason, word)) {				\
		TH_LOG("%s", self->m.reason);					\
	}									\
} while (0)

TEST_F(module, not_installed)
{
	fake.not_found = true;
	EXPECT_STATE("absent", ENOENT, "not found in /lib/modules/");
	EXPECT_EQ(-ENOENT, uffdvram_module_load(&self->m, &self->opts));
	fake.not_found = false;
	fake.lookup_fails = true;
	EXPECT_STATE("absent", ENODATA, "not loaded");
	fake.lookup_fails = false;
	self->opts.path = "/nonexistent/uffdvram.ko";
	EXPECT_STATE("absent", ENOENT, "/nonexistent/uffdvram.ko");
	EXPECT_EQ(-ENOENT, uffdvram_module_load(&self->m, &self->opts));
	EXPECT_EQ(0, fake.inserted);
}

TEST_F(module, installed)
{
	EXPECT_STATE("ready", 0, "modprobe uffdvram");
	self->opts.path = "/proc/self/exe";
	EXPECT_STATE("ready", 0, "insmod");
	EXPECT_EQ(0, fake.inserted);	/* probing loads nothing */
}

TEST_F(module, blocked_by_configuration)
{
	fake.blacklisted = true;
	EXPECT_STATE("blocked", EPERM, "blacklisted");
	EXPECT_EQ(-EPERM, uffdvram_module_load(&self->m, &self->opts));
	EXPECT_STREQ("blocked", uffdvram_module_state_name(self->m.state));
	/* Who names a file goes past modprobe.d, as insmod does. */
	self->opts.path = "/proc/self/exe";
	EXPECT_STATE("ready", 0, "");
	self->opts.path = NULL;
	fake.blacklisted = false;
	fake.replaced = true;
	EXPECT_STATE("blocked", EPERM, "install line");
	EXPECT_EQ(-EPERM, uffdvram_module_load(&self->m, &self->opts));
	EXPECT_EQ(0, fake.inserted);
}

TEST_F(module, blocked_by_the_kernel)
{
	fake.no_modules = true;
	EXPECT_STATE("blocked", EOPNOTSUPP, "loads no modules");
	fake.no_modules = false;
	fake.modules_disabled = "1\n";
	EXPECT_STATE("blocked", EPERM, "modules_disabled");
	fake.modules_disabled = "0\n";
	fake.lockdown = "[none] integrity confidentiality\n";
	fake.sig_enforce = "N\n";
	EXPECT_STATE("ready", 0, "");
	fake.lockdown = "none [integrity] confidentiality\n";
	EXPECT_STATE("blocked", EKEYREJECTED, "signed modules only");
	EXPECT_EQ(-EPERM, uffdvram_module_load(&self->m, &self->opts));
	fake.is_signed = true;
	EXPECT_STATE("ready", 0, "");
	fake.is_signed = false;
	fake.lockdown = NULL;
	fake.sig_enforce = "Y\n";
	EXPECT_STATE("blocked", EKEYREJECTED, "sign it");
	EXPECT_EQ(0, fake.inserted);
}

TEST_F(module, for_another_kernel)
{
	fake.vermagic = "5.10.0-31-amd64 SMP mod_unload ";
	EXPECT_STATE("wrong_version", ENOEXEC, "for kernel 5.10.0-31-amd64");
	EXPECT_EQ(-EPROTONOSUPPORT, uffdvram_module_load(&self->m, &self->opts));
	EXPECT_EQ(0, fake.inserted);
}

TEST_F(module, refused_when_it_is_loaded)
{
	static const struct {
		int err, ret;
		const char *state, *word;
	} cases[] = {
		{ -EPERM, -EPERM, "blocked", "CAP_SYS_MODULE" },
		{ -EKEYREJECTED, -EPERM, "blocked", "signature" },
		{ -ENOKEY, -EPERM, "blocked", "signature" },
		{ -ENOEXEC, -EPROTONOSUPPORT, "wrong_version", "does not fit" },
		{ -ENOENT, -EPROTONOSUPPORT, "wrong_version", "does not fit" },
		{ -EINVAL, -EPERM, "blocked", "EINVAL" },
	};
	size_t i;

	self->opts.params = "open_pid=1";
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		fake.insert_error = cases[i].err;
		EXPECT_EQ(cases[i].ret, uffdvram_module_load(&self->m, &self->opts));
		EXPECT_STREQ(cases[i].state, uffdvram_module_state_name(self->m.state));
		EXPECT_EQ(-cases[i].err, self->m.error);
		EXPECT_NE(NULL, strstr(self->m.reason, cases[i].word));
	}
	EXPECT_EQ(i, fake.inserted);
	EXPECT_EQ(KMOD_PROBE_IGNORE_COMMAND, fake.flags);	/* runs no command */
	EXPECT_STREQ("open_pid=1", fake.params);
	fake.insert_error = -ENOMEM;
	EXPECT_EQ(-ENOMEM, uffdvram_module_load(&self->m, &self->opts));
}

TEST_F(module, sizes)
{
	self->m.size--;
	EXPECT_EQ(-EINVAL, uffdvram_module_probe(&self->m, &self->opts));
	EXPECT_EQ(-EINVAL, uffdvram_module_probe(NULL, &self->opts));
	self->m.size++;
	self->opts.size = 3;
	EXPECT_EQ(-EINVAL, uffdvram_module_load(&self->m, &self->opts));
	EXPECT_STREQ("unknown", uffdvram_module_state_name(0));
}

TEST_F(module, live)
{
	fake.as_if_absent = false;
	EXPECT_STATE("live", ENOENT, NO_DEVICE);	/* loaded, without that node */
	self->opts.device = NULL;
	EXPECT_STATE("live", 0, "fits");
	ASSERT_EQ(0, uffdvram_module_load(&self->m, &self->opts));
	EXPECT_EQ(0, fake.inserted);
}

static int probe_as_nobody(int fd, void *arg)
{
	struct uffdvram_module m = { .size = sizeof(m) };

	(void)fd, (void)arg;
	become_nobody();
	return uffdvram_module_probe(&m, NULL) || m.state != UFFDVRAM_MODULE_LIVE ||
	       m.error != EACCES;
}

TEST_F(module, live_but_not_for_everybody)
{
	fake.as_if_absent = false;
	EXPECT_EQ(0, run_child(probe_as_nobody, NULL));
}

static bool unloads(void *arg)
{
	(void)arg;
	return !syscall(SYS_delete_module, "uffdvram", O_NONBLOCK);
}

/* The real one goes and comes, in both ways. */
TEST_F(module, loads)
{
	int way;

	fake.as_if_absent = false;
	self->opts.device = NULL;
	self->opts.params = "open_pid=1";
	for (way = 0; way < 2; way++) {
		self->opts.path = way ? MODULE : NULL;
		ASSERT_TRUE(wait_until(unloads, NULL, 60000));
		EXPECT_STATE("ready", 0, "");
		ASSERT_EQ(0, uffdvram_module_load(&self->m, &self->opts));
		EXPECT_EQ(UFFDVRAM_MODULE_LIVE, self->m.state);
	}
	EXPECT_EQ(2, fake.inserted);
}

TEST_HARNESS_MAIN
