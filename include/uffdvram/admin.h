/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libuffdvram: what the module knows, of all processes, for administrators.
 *
 * Overview
 * --------
 * All of this goes over generic netlink, and takes CAP_NET_ADMIN in the initial user
 * namespace, and the initial network namespace: no descriptor of the device.
 * uffdvram_admin_pools() and its like tell what there is; uffdvram_admin_listen() and
 * uffdvram_admin_events() what happens, in all contexts.
 *
 * What is there throughout is told exactly once, pools, contexts, and ranges within a
 * context in the order of their numbers; what comes or goes meanwhile may be told.
 *
 * The structures that callbacks get may grow at their end.
 */
#ifndef UFFDVRAM_ADMIN_H
#define UFFDVRAM_ADMIN_H

#include <uffdvram/uffdvram.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct uffdvram_admin;

/**
 * uffdvram_admin_open - look for the module's family
 * @admin: out: to be closed with uffdvram_admin_close()
 *
 * Errors: -ENOENT (the module is not loaded, or without netlink; or this is not the
 * initial network namespace), -ENOMEM, those of socket(2).
 */
int uffdvram_admin_open(struct uffdvram_admin **admin);

/** uffdvram_admin_close - end it; @admin may be NULL */
void uffdvram_admin_close(struct uffdvram_admin *admin);

/** struct uffdvram_admin_pool - a pool; counts are slots of a page each */
struct uffdvram_admin_pool {
	uint32_t pool;		/* its number */
	uint32_t shared;	/* 1: every context may use it */
	uint32_t draining;	/* 1: it takes no more pages */
	uint32_t checked;	/* 1: what comes home is compared with a checksum */
	uint64_t bytes;
	uint64_t slots;
	uint64_t used;
	uint64_t lost;
	uint64_t quarantined;
	const char *backend;	/* "sim", "pci", "nvidia" */
	const char *about;	/* words and values that the backend tells; may be "" */
	uint64_t fault_bytes;	/* what a CPU fault brings home of a larger page */
};

/** struct uffdvram_admin_context - an open file of the device */
struct uffdvram_admin_context {
	uint32_t context;	/* its number */
	uint32_t pid;		/* whose memory it acts on, when it was made */
	uint32_t uid;		/* who opened it */
	uint32_t gone;		/* 1: that memory is gone */
	uint64_t event_seq;	/* number of its last event; 0: none */
	uint32_t waiting;	/* events that nobody has read yet */
	uint32_t reserved;
};

/** struct uffdvram_admin_range - a registered piece of memory */
struct uffdvram_admin_range {
	uint32_t context;
	uint32_t range;		/* its number in the context */
	uint64_t addr;
	uint64_t len;
	uint64_t slots;		/* in use for it */
	uint64_t pool_off;	/* linear: where in the pool it begins */
	uint32_t pool;		/* 0: none yet */
	uint32_t linear;	/* 1: each page has its own slot */
	uint32_t node;		/* 1: mapped from the device */
	uint32_t fault_events;	/* 1: it tells of pages that a fault brings home */
	uint32_t exclusive;	/* 1: not to be unmapped, moved, protected or inherited */
	uint32_t reserved;
};

/** struct uffdvram_admin_poison - a run of poisoned pages of a range */
struct uffdvram_admin_poison {
	uint32_t context;
	uint32_t range;
	uint64_t addr;
	uint64_t len;
};

/**
 * uffdvram_admin_pools - all pools
 * @admin: from uffdvram_admin_open()
 * @fn: called for each; what it returns, unless 0, ends the call and is returned
 * @data: for @fn
 *
 * Errors: -EPERM, -ENOENT (the module is gone), -ENOMEM, those of sockets.
 */
int uffdvram_admin_pools(struct uffdvram_admin *admin,
			 int (*fn)(const struct uffdvram_admin_pool *pool, void *data),
			 void *data);

/** uffdvram_admin_contexts - all contexts; as uffdvram_admin_pools() */
int uffdvram_admin_contexts(struct uffdvram_admin *admin,
			    int (*fn)(const struct uffdvram_admin_context *context,
				      void *data),
			    void *data);

/** uffdvram_admin_ranges - ranges of @context, 0: of all; as uffdvram_admin_pools() */
int uffdvram_admin_ranges(struct uffdvram_admin *admin, uint32_t context,
			  int (*fn)(const struct uffdvram_admin_range *range, void *data),
			  void *data);

/**
 * uffdvram_admin_poison - poison in ranges of @context, 0: of all
 *
 * As uffdvram_admin_pools(); -EINTR, too, when the task is being killed. Looks at the
 * page tables: it takes time for large ranges.
 */
int uffdvram_admin_poison(struct uffdvram_admin *admin, uint32_t context,
			  int (*fn)(const struct uffdvram_admin_poison *run, void *data),
			  void *data);

/**
 * uffdvram_admin_listen - have events queued from now on
 * @admin: from uffdvram_admin_open()
 * @bytes: room for what waits, as SO_RCVBUF has it; 0: the system's default
 *
 * Errors: -EPERM, -EBUSY (it listens already), -ENOMEM, those of sockets.
 */
int uffdvram_admin_listen(struct uffdvram_admin *admin, unsigned int bytes);

/**
 * uffdvram_admin_fd - the descriptor of uffdvram_admin_listen(), for poll(2)
 *
 * It is readable when there are events. -1: nobody listens.
 */
int uffdvram_admin_fd(const struct uffdvram_admin *admin);

/** struct uffdvram_admin_event - an event of some context */
struct uffdvram_admin_event {
	uint64_t seq;		/* counts all events that were sent */
	uint64_t lost;		/* how many are missing before this one */
	uint32_t context;
	uint32_t pid;		/* as in struct uffdvram_admin_context */
	/*
	 * As the context has it. But pages that come home one after the other are
	 * pieces with one number here, which reading the context joins.
	 */
	struct uffdvram_event event;
};

/**
 * uffdvram_admin_events - events, as they come
 * @admin: after uffdvram_admin_listen()
 * @fn: called for each that waits; what it returns, unless 0, is returned in the end
 * @data: for @fn
 * @timeout_ms: how long to wait for the first one; 0: not at all; -1: for ever
 *
 * Returns after the events of one message of the kernel's, of which none is left out. What
 * the kernel had no room for, or no memory, is told by the next event's @lost.
 *
 * Errors: -EAGAIN (none came), -EINTR, -EINVAL (without uffdvram_admin_listen()).
 */
int uffdvram_admin_events(struct uffdvram_admin *admin,
			  int (*fn)(const struct uffdvram_admin_event *event, void *data),
			  void *data, int timeout_ms);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif /* UFFDVRAM_ADMIN_H */
