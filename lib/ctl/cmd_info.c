// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uffdvramctl info
 */
#include <inttypes.h>
#include <stdio.h>

#include "cmd.h"
#include "json.h"
#include "parse.h"

static const struct {
	uint64_t bit;
	const char *name;
} features[] = {
	{ UFFDVRAM_FEATURE_VRAM, "vram" },
	{ UFFDVRAM_FEATURE_OPEN_PID, "open_pid" },
	{ UFFDVRAM_FEATURE_SIM, "sim" },
	{ UFFDVRAM_FEATURE_COPY, "copy" },
	{ UFFDVRAM_FEATURE_EVENTS, "events" },
	{ UFFDVRAM_FEATURE_LINEAR, "linear" },
	{ UFFDVRAM_FEATURE_MMAP, "mmap" },
	{ UFFDVRAM_FEATURE_PCI, "pci" },
	{ UFFDVRAM_FEATURE_NVIDIA, "nvidia" },
	{ UFFDVRAM_FEATURE_POISON, "poison" },
	{ UFFDVRAM_FEATURE_ACCESS, "access" },
	{ UFFDVRAM_FEATURE_HARVEST, "harvest" },
	{ UFFDVRAM_FEATURE_CONVERT, "convert" },
	{ UFFDVRAM_FEATURE_SCAN_WP, "scan_wp" },
	{ UFFDVRAM_FEATURE_EXCLUSIVE, "exclusive" },
};
#define N_FEATURES (sizeof(features) / sizeof(*features))

static void info_json(const struct uffdvram_info *info)
{
	struct json j = { .out = stdout };
	unsigned int i;

	json_open(&j, NULL, '{');
	json_u64(&j, "abi", info->abi);
	json_str(&j, "library", UFFDVRAM_LIB_VERSION);
	json_open(&j, "features", '[');
	for (i = 0; i < N_FEATURES; i++)
		if (info->features & features[i].bit)
			json_str(&j, NULL, features[i].name);
	json_close(&j, ']');
	json_open(&j, "page_sizes", '[');
	for (i = 0; i < 64; i++)
		if (info->page_sizes >> i & 1)
			json_u64(&j, NULL, 1ULL << i);
	json_close(&j, ']');
	json_u64(&j, "pools", info->n_pools);
	json_u64(&j, "max_ranges", info->max_ranges);
	if (info->slot_quota == UINT64_MAX)
		json_null(&j, "slot_quota");
	else
		json_u64(&j, "slot_quota", info->slot_quota);
	json_close(&j, '}');
}

static void info_text(const struct uffdvram_info *info)
{
	uint64_t unnamed = info->features;
	char size[FORMAT_MAX];
	unsigned int i;

	printf("interface   version %" PRIu32 ", library %s\n", info->abi,
	       UFFDVRAM_LIB_VERSION);
	printf("features   ");
	for (i = 0; i < N_FEATURES; i++) {
		if (info->features & features[i].bit)
			printf(" %s", features[i].name);
		unnamed &= ~features[i].bit;
	}
	if (unnamed)
		printf(" 0x%" PRIx64, unnamed);
	printf("%s\n", info->features ? "" : " none");
	printf("page sizes ");
	for (i = 0; i < 64; i++)
		if (info->page_sizes >> i & 1)
			printf(" %s", format_size(size, 1ULL << i));
	printf("%s\n", info->page_sizes ? "" : " none");
	printf("pools       %" PRIu32 "\n", info->n_pools);
	printf("max ranges  %llu\n", info->max_ranges);
	if (info->slot_quota == UINT64_MAX)
		printf("slot quota  none\n");
	else
		printf("slot quota  %llu\n", info->slot_quota);
}

int cmd_info(struct session *s, int argc, char **argv)
{
	struct uffdvram_info info = { .size = sizeof(info) };
	int ret;

	if (argc > 1)
		return session_usage(s, "info: unexpected \"%s\"", argv[1]);
	ret = session_ctx(s, "info");
	if (ret)
		return ret;
	ret = uffdvram_get_info(s->ctx, &info);
	if (ret)
		return session_fail(s, "info", ret, "%s", s->device);
	if (s->json)
		info_json(&info);
	else
		info_text(&info);
	return CTL_OK;
}
