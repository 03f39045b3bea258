// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Modules as modprobe(8) sees them: by libkmod.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <libkmod.h>

#include "log.h"
#include "module_find.h"

/* libkmod would print; its format string ends with a newline. */
static void kmod_say(void *data, int priority, const char *file, int line,
		     const char *fn, const char *format, va_list args)
{
	const struct uffdvram_module_opts *opts = data;
	struct uffdvram_open_opts to = { .log = opts->log, .log_data = opts->log_data };
	char text[200];

	(void)file, (void)line, (void)fn;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	uffdvram_log(&to, priority, "libkmod: %s", text);
}

static int kmod_open(const struct uffdvram_module_opts *opts, struct kmod_ctx **kmod,
		     struct kmod_module **mod)
{
	struct kmod_list *list = NULL;
	int ret;

	*mod = NULL;
	*kmod = kmod_new(NULL, NULL);
	if (!*kmod)
		return -ENOMEM;
	kmod_set_log_fn(*kmod, kmod_say, opts);
	if (opts->path) {
		ret = access(opts->path, R_OK) ? -errno :
		      kmod_module_new_from_path(*kmod, opts->path, mod);
	} else {
		ret = kmod_module_new_from_lookup(*kmod, MODULE_NAME, &list);
		if (ret >= 0 && !list)
			ret = -ENOENT;
		if (ret >= 0)
			*mod = kmod_module_get_module(list);
		kmod_module_unref_list(list);
	}
	if (ret < 0)
		kmod_unref(*kmod);
	return ret < 0 ? ret : 0;
}

static bool is_blacklisted(struct kmod_ctx *kmod)
{
	struct kmod_list *list = NULL, *left = NULL;
	bool ret = false;

	if (kmod_module_new_from_lookup(kmod, MODULE_NAME, &list) >= 0 && list &&
	    kmod_module_apply_filter(kmod, KMOD_FILTER_BLACKLIST, list, &left) >= 0)
		ret = !left;
	kmod_module_unref_list(left);
	kmod_module_unref_list(list);
	return ret;
}

/* The release is the first word of vermagic. */
static void read_info(const struct kmod_module *mod, struct uffdvram_found *found)
{
	struct kmod_list *info = NULL, *l;
	const char *key, *value;

	if (kmod_module_get_info(mod, &info) < 0)
		return;
	kmod_list_foreach(l, info) {
		key = kmod_module_info_get_key(l);
		value = kmod_module_info_get_value(l);
		if (!strcmp(key, "sig_id"))
			found->is_signed = true;
		if (!strcmp(key, "vermagic"))
			snprintf(found->release, sizeof(found->release), "%.*s",
				 (int)strcspn(value, " "), value);
	}
	kmod_module_info_free_list(info);
}

int uffdvram_module_find(const struct uffdvram_module_opts *opts,
			 struct uffdvram_found *found)
{
	struct kmod_module *mod;
	struct kmod_ctx *kmod;
	int ret;

	*found = (struct uffdvram_found){ 0 };
	ret = kmod_open(opts, &kmod, &mod);
	if (ret)
		return ret;
	/* Who names a file goes by it, as insmod(8) does. */
	if (!opts->path) {
		found->blacklisted = is_blacklisted(kmod);
		found->replaced = !!kmod_module_get_install_commands(mod);
	}
	read_info(mod, found);
	kmod_module_unref(mod);
	kmod_unref(kmod);
	return 0;
}

int uffdvram_module_insert(const struct uffdvram_module_opts *opts)
{
	struct kmod_module *mod;
	struct kmod_ctx *kmod;
	int ret;

	ret = kmod_open(opts, &kmod, &mod);
	if (ret)
		return ret;
	if (opts->path)
		ret = kmod_module_insert_module(mod, 0, opts->params);
	else
		ret = kmod_module_probe_insert_module(mod, KMOD_PROBE_IGNORE_COMMAND,
						      opts->params, NULL, NULL, NULL);
	kmod_module_unref(mod);
	kmod_unref(kmod);
	return ret;
}
