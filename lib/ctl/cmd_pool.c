// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl pool attach|detach|list
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "json.h"
#include "parse.h"
#include "pools.h"

/* What to attach, in the words it was asked for with. */
struct attach {
	struct uffdvram_pool_opts opts;
	const char *backend, *device;	/* no @device: a backend that has none */
};

static bool attach_is_shared(const struct attach *a)
{
	return a->opts.flags & UFFDVRAM_POOL_SHARED;
}

static void attach_print(const struct session *s, uint32_t number, const struct attach *a)
{
	struct json j = { .out = stdout };
	char size[FORMAT_MAX];

	if (!s->json) {
		printf("pool %" PRIu32 ": %s ", number, a->backend);
		if (a->device)
			printf("%s bar %" PRIu32 " ", a->device, a->opts.pci_bar);
		printf("%s%s\n", format_size(size, a->opts.bytes),
		       attach_is_shared(a) ? " shared" : "");
		return;
	}
	json_open(&j, NULL, '{');
	json_u64(&j, "pool", number);
	json_str(&j, "backend", a->backend);
	if (a->device) {
		json_str(&j, "device", a->device);
		json_u64(&j, "bar", a->opts.pci_bar);
		json_u64(&j, "offset", a->opts.addr);
	}
	json_u64(&j, "bytes", a->opts.bytes);
	json_bool(&j, "shared", attach_is_shared(a));
	json_close(&j, '}');
}

static int attach_parse_sim(struct session *s, int argc, char **argv, struct attach *a)
{
	if (argc != 1)
		return session_usage(s, "pool attach: usage: pool attach sim SIZE [--shared] [--unchecked] "
				     "[--fault=SIZE]");
	if (parse_size(argv[0], &a->opts.bytes))
		return session_usage(s, "pool attach: \"%s\" is no size, such as 512M", argv[0]);
	return CTL_OK;
}

static int attach_parse_pci(struct session *s, int argc, char **argv, struct attach *a)
{
	struct uffdvram_pool_opts *o = &a->opts;

	if (argc != 3)
		return session_usage(s, "pool attach: usage: pool attach pci DEVICE BAR [OFFSET+]SIZE "
				     "[--shared] [--force] [--unchecked] [--fault=SIZE]");
	if (parse_sbdf(argv[0], &o->pci_sbdf))
		return session_usage(s, "pool attach: \"%s\" is no PCI function, such as 0000:65:00.0",
				     argv[0]);
	if (parse_u32(argv[1], &o->pci_bar))
		return session_usage(s, "pool attach: \"%s\" is no number of a BAR", argv[1]);
	if (parse_size(argv[2], &o->bytes) && parse_piece(argv[2], &o->addr, &o->bytes))
		return session_usage(s, "pool attach: \"%s\" is no size, such as 512M or 1G+512M",
				     argv[2]);
	a->device = argv[0];
	return CTL_OK;
}

/* --shared and so on, at the end; returns how many words are left. */
static int attach_parse_flags(struct attach *a, int argc, char **argv)
{
	static const char fault[] = "--fault=";

	for (; argc; argc--) {
		if (!strncmp(argv[argc - 1], fault, strlen(fault)) &&
		    !parse_size(argv[argc - 1] + strlen(fault), &a->opts.fault_bytes))
			continue;
		if (!strcmp(argv[argc - 1], "--shared"))
			a->opts.flags |= UFFDVRAM_POOL_SHARED;
		else if (!strcmp(argv[argc - 1], "--force"))
			a->opts.flags |= UFFDVRAM_POOL_FORCE;
		else if (!strcmp(argv[argc - 1], "--unchecked"))
			a->opts.flags |= UFFDVRAM_POOL_UNCHECKED;
		else
			break;
	}
	return argc;
}

static int attach_parse(struct session *s, int argc, char **argv, struct attach *a)
{
	int ret;

	argc = attach_parse_flags(a, argc, argv);
	if (!argc)
		return session_usage(s, "pool attach: usage: pool attach sim|pci ...");
	a->backend = argv[0];
	if (!strcmp(a->backend, "sim")) {
		a->opts.backend = UFFDVRAM_BACKEND_SIM;
		ret = attach_parse_sim(s, argc - 1, argv + 1, a);
	} else if (!strcmp(a->backend, "pci")) {
		a->opts.backend = UFFDVRAM_BACKEND_PCI;
		ret = attach_parse_pci(s, argc - 1, argv + 1, a);
	} else if (!strcmp(a->backend, "nvidia")) {
		ret = session_usage(s, "pool attach: nvidia: only the program that allocated the GPU's memory can attach it");
	} else {
		ret = session_usage(s, "pool attach: no backend \"%s\": there are sim and pci",
				    a->backend);
	}
	if (!ret && !attach_is_shared(a) && !s->batch)
		ret = session_usage(s, "pool attach: without --shared the pool would end with this command: "
				    "add --shared, or use batch");
	return ret;
}

static int pool_attach(struct session *s, int argc, char **argv)
{
	struct attach a = { .opts.size = sizeof(a.opts) };
	struct uffdvram_pool *pool;
	int ret;

	ret = attach_parse(s, argc - 1, argv + 1, &a);
	if (ret)
		return ret;
	ret = session_ctx(s, "pool attach");
	if (ret)
		return ret;
	ret = uffdvram_pool_attach(&pool, s->ctx, &a.opts);
	if (ret)
		return session_fail(s, "pool attach", ret, "%s%s%s %s", a.backend,
				    a.device ? " " : "", a.device ?: "",
				    argv[a.device ? 4 : 2]);
	s->last_pool = uffdvram_pool_number(pool);
	uffdvram_pool_free(pool);
	attach_print(s, s->last_pool, &a);
	return CTL_OK;
}

static int pool_detach(struct session *s, int argc, char **argv)
{
	struct json j = { .out = stdout };
	struct uffdvram_pool *pool;
	uint64_t left = 0;
	uint32_t number;
	int ret;

	if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "--discard")))
		return session_usage(s, "pool detach: usage: pool detach N [--discard]");
	if (parse_u32(argv[1], &number) || !number)
		return session_usage(s, "pool detach: \"%s\" is no number of a pool", argv[1]);
	ret = session_ctx(s, "pool detach");
	if (ret)
		return ret;
	ret = uffdvram_pool_wrap(&pool, s->ctx, number);
	if (!ret) {
		ret = uffdvram_pool_detach(pool, argc == 3 ? UFFDVRAM_DETACH_DISCARD : 0,
					   &left);
		if (ret)
			uffdvram_pool_free(pool);
	}
	if (ret && left)
		return session_fail(s, "pool detach", ret, "pool %" PRIu32 ", %" PRIu64 " slots still in use",
				    number, left);
	if (ret)
		return session_fail(s, "pool detach", ret, "pool %" PRIu32, number);
	if (s->last_pool == number)
		s->last_pool = 0;
	if (s->json) {
		json_open(&j, NULL, '{');
		json_u64(&j, "detached", number);
		json_close(&j, '}');
	} else {
		printf("pool %" PRIu32 " detached\n", number);
	}
	return CTL_OK;
}

static void list_json(struct json *j, const struct pool_line *p)
{
	json_open(j, NULL, '{');
	json_u64(j, "pool", p->number);
	json_str(j, "backend", p->backend);
	if (p->device[0]) {
		json_str(j, "device", p->device);
		json_u64(j, "bar", p->bar);
		json_u64(j, "offset", p->offset);
		json_bool(j, "combining", p->combining);
	}
	json_u64(j, "bytes", p->bytes);
	json_u64(j, "slots", p->slots);
	json_u64(j, "used", p->used);
	json_u64(j, "lost", p->lost);
	json_u64(j, "quarantined", p->quarantined);
	json_bool(j, "shared", p->shared);
	json_bool(j, "draining", p->draining);
	json_u64(j, "fault", p->fault);
	json_close(j, '}');
}

static void list_text(const struct pool_line *p)
{
	char size[FORMAT_MAX];

	printf("pool %" PRIu32 ": %s ", p->number, p->backend);
	if (p->device[0])
		printf("%s bar %" PRIu64 " ", p->device, p->bar);
	printf("%s%s%s, %" PRIu64 " of %" PRIu64 " slots used", format_size(size, p->bytes),
	       p->shared ? " shared" : "", p->draining ? " draining" : "", p->used, p->slots);
	if (p->device[0] && !p->combining)
		printf(", not write-combining");
	if (p->lost)
		printf(", %" PRIu64 " lost", p->lost);
	if (p->quarantined)
		printf(", %" PRIu64 " quarantined", p->quarantined);
	putchar('\n');
}

static int list_fail(struct session *s, int err)
{
	if (err == -ENOENT && access("/sys/kernel/debug/uffdvram", F_OK))
		return session_error(s, "pool list: %s is not there: is the module loaded, and debugfs mounted? "
				     "mount -t debugfs none /sys/kernel/debug", POOLS_PATH);
	return session_fail(s, "pool list", err, "%s", POOLS_PATH);
}

static int pool_list(struct session *s, int argc, char **argv)
{
	struct json j = { .out = stdout };
	struct pool_line p;
	char line[512];
	int ret = CTL_OK;
	FILE *f;

	if (argc > 1)
		return session_usage(s, "pool list: unexpected \"%s\"", argv[1]);
	f = fopen(POOLS_PATH, "re");
	if (!f)
		return list_fail(s, -errno);
	if (s->json)
		json_open(&j, NULL, '[');
	while (!ret && fgets(line, sizeof(line), f)) {
		if (pool_line_parse(line, &p))
			ret = session_error(s, "pool list: %s: not understood: %s",
					    POOLS_PATH, line);
		else if (s->json)
			list_json(&j, &p);
		else
			list_text(&p);
	}
	if (s->json)
		json_close(&j, ']');
	if (!ret && ferror(f))
		ret = list_fail(s, -EIO);
	fclose(f);
	return ret;
}

int cmd_pool(struct session *s, int argc, char **argv)
{
	static const struct cmd cmds[] = {
		{ "attach", pool_attach },
		{ "detach", pool_detach },
		{ "list", pool_list },
	};

	return cmd_run(cmds, sizeof(cmds) / sizeof(*cmds), "pool", s, argc - 1, argv + 1);
}
