// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the library has to say, in words: messages and the names of enum values.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "log.h"

void uffdvram_log(const struct uffdvram_open_opts *opts, int priority,
		  const char *fmt, ...)
{
	int saved = errno;
	char line[256];
	va_list ap;

	if (!opts->log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	opts->log(opts->log_data, priority, line);
	errno = saved;
}

static const char *name_of(const char *const *names, size_t n, unsigned int i)
{
	return i < n && names[i] ? names[i] : "unknown";
}

const char *uffdvram_stay_name(unsigned int stay)
{
	static const char *const names[UFFDVRAM_STAY_MAX_] = {
		[UFFDVRAM_STAY_MISSING] = "missing",
		[UFFDVRAM_STAY_SWAPPED] = "swapped",
		[UFFDVRAM_STAY_PINNED] = "pinned",
		[UFFDVRAM_STAY_SHARED] = "shared",
		[UFFDVRAM_STAY_POISONED] = "poisoned",
		[UFFDVRAM_STAY_NO_SLOT] = "no_slot",
		[UFFDVRAM_STAY_QUOTA] = "quota",
		[UFFDVRAM_STAY_NO_MEMORY] = "no_memory",
		[UFFDVRAM_STAY_COPY_FAILED] = "copy_failed",
		[UFFDVRAM_STAY_LARGE_FOLIO] = "large_folio",
		[UFFDVRAM_STAY_SLOT_BUSY] = "slot_busy",
		[UFFDVRAM_STAY_LEASED] = "leased",
		[UFFDVRAM_STAY_PRIVATE] = "private",
		[UFFDVRAM_STAY_BUSY] = "busy",
		[UFFDVRAM_STAY_NOT_ANON] = "not_anon",
	};

	return name_of(names, UFFDVRAM_STAY_MAX_, stay);
}

const char *uffdvram_state_name(unsigned int state)
{
	static const char *const names[UFFDVRAM_STATE_MAX_] = {
		[UFFDVRAM_STATE_OTHER] = "other",
		[UFFDVRAM_STATE_PRESENT] = "ram",
		[UFFDVRAM_STATE_VRAM] = "vram",
		[UFFDVRAM_STATE_POISON] = "poison",
		[UFFDVRAM_STATE_PRIVATE] = "private",
		[UFFDVRAM_STATE_LEASED] = "leased",
		[UFFDVRAM_STATE_HUGE] = "huge",
	};

	return name_of(names, UFFDVRAM_STATE_MAX_, state);
}

const char *uffdvram_event_name(unsigned int type)
{
	static const char *const names[] = {
		[UFFDVRAM_EVENT_FAULT_BACK] = "fault_back",
		[UFFDVRAM_EVENT_POOL_PRESSURE] = "pool_pressure",
		[UFFDVRAM_EVENT_RANGE_GONE] = "range_gone",
		[UFFDVRAM_EVENT_POOL_TROUBLE] = "pool_trouble",
		[UFFDVRAM_EVENT_PAGE_LOST] = "page_lost",
		[UFFDVRAM_EVENT_LEASE_WANTED] = "lease_wanted",
		[UFFDVRAM_EVENT_LEASE_REVOKED] = "lease_revoked",
	};

	return name_of(names, sizeof(names) / sizeof(*names), type);
}

const char *uffdvram_gone_name(unsigned int cause)
{
	static const char *const names[] = {
		[UFFDVRAM_GONE_UNMAPPED] = "unmapped",
		[UFFDVRAM_GONE_EXIT] = "exit",
		[UFFDVRAM_GONE_FORKED] = "forked",
		[UFFDVRAM_GONE_PROTECTED] = "protected",
		[UFFDVRAM_GONE_DISCARDED] = "discarded",
	};

	return name_of(names, sizeof(names) / sizeof(*names), cause);
}

const char *uffdvram_back_name(unsigned int cause)
{
	static const char *const names[] = {
		[UFFDVRAM_BACK_ACCESS] = "access",
		[UFFDVRAM_BACK_COLLAPSE] = "collapse",
	};

	return name_of(names, sizeof(names) / sizeof(*names), cause);
}

const char *uffdvram_revoked_name(unsigned int cause)
{
	static const char *const names[] = {
		[UFFDVRAM_REVOKED_CPU] = "cpu",
		[UFFDVRAM_REVOKED_FORK] = "fork",
		[UFFDVRAM_REVOKED_GONE] = "gone",
		[UFFDVRAM_REVOKED_POOL] = "pool",
	};

	return name_of(names, sizeof(names) / sizeof(*names), cause);
}

const char *uffdvram_trouble_name(unsigned int cause)
{
	static const char *const names[] = {
		[UFFDVRAM_TROUBLE_EVACUATE] = "evacuate",
		[UFFDVRAM_TROUBLE_LOST] = "lost",
		[UFFDVRAM_TROUBLE_GONE] = "gone",
	};

	return name_of(names, sizeof(names) / sizeof(*names), cause);
}

const char *uffdvram_sigbus_name(unsigned int kind)
{
	static const char *const names[] = {
		[UFFDVRAM_SIGBUS_POISON] = "poison",
		[UFFDVRAM_SIGBUS_NOTICE] = "notice",
		[UFFDVRAM_SIGBUS_REFUSED] = "refused",
	};

	return name_of(names, sizeof(names) / sizeof(*names), kind);
}

const char *uffdvram_module_state_name(unsigned int state)
{
	static const char *const names[] = {
		[UFFDVRAM_MODULE_ABSENT] = "absent",
		[UFFDVRAM_MODULE_READY] = "ready",
		[UFFDVRAM_MODULE_BLOCKED] = "blocked",
		[UFFDVRAM_MODULE_VERSION] = "wrong_version",
		[UFFDVRAM_MODULE_LIVE] = "live",
	};

	return name_of(names, sizeof(names) / sizeof(*names), state);
}
