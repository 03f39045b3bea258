// SPDX-License-Identifier: GPL-2.0-only
/* IVSHMEM: 256 */
/* TIMEOUT: 300 */
/* FILES: build/KERNEL/uffdvram.ko build/KERNEL/uffdvram-nvidia.ko build/KERNEL/nvidia-stub.ko */
/* FILES: scripts/gpu-check build/cuda/gpu build/cuda/fill build/cuda/stand-in/libcuda.so.1 */
/* FILES: build/selftests/shared */
/* PROGRAMS: /lib64/ld-linux-x86-64.so.2 /lib/x86_64-linux-gnu/libc.so.6 */
/*
 * scripts/gpu-check: what it says where something is missing, and its result over the
 * stand-ins for NVIDIA's driver and CUDA's library, which never looks like a GPU's.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "util_mm.h"
#include "util_nvidia.h"

#define RESULT	"/tmp/gpu-check.json"
#define CHECK	"sh /files/gpu-check -d /files -m 2 -o " RESULT " "
#define CUDA	"LD_LIBRARY_PATH=/files "

FIXTURE(gpu_check)
{
	char said[8192], result[4096];
};

FIXTURE_SETUP(gpu_check)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, module_load("nvidia-stub"));
	/* What an earlier run has found. */
	ASSERT_EQ(0, system("echo '{\"pass\": true}' >" RESULT));
}

FIXTURE_TEARDOWN(gpu_check)
{
	/* It leaves the machine as it found it. */
	EXPECT_NE(0, access("/sys/module/uffdvram_nvidia", F_OK));
	EXPECT_EQ(0, access("/sys/module/uffdvram", F_OK));
	EXPECT_TRUE(wait_until(module_unloads, "nvidia_stub", 60000));
	EXPECT_TRUE(uv_wait_slots(0));
	unlink(RESULT);
}

/* Runs it; the exit status. No result is "". */
static int check(FIXTURE_DATA(gpu_check) *self, const char *how)
{
	size_t n;
	FILE *f;

	fflush(stdout);
	f = popen(how, "re");
	if (!f)
		give_up("popen");
	n = fread(self->said, 1, sizeof(self->said) - 1, f);
	self->said[n] = '\0';
	n = WEXITSTATUS(pclose(f));
	if (file_read(RESULT, self->result, sizeof(self->result)) < 0)
		self->result[0] = '\0';
	return n;
}

/* Something is missing, which it says; and there is no result. */
#define EXPECT_MISSING(how, word) do {						\
	EXPECT_EQ(1, check(self, how));						\
	EXPECT_NE(NULL, strstr(self->said, word)) {				\
		TH_LOG("%s", self->said);					\
	}									\
	EXPECT_NE(NULL, strstr(self->said, "nothing was tested"));		\
	EXPECT_STREQ("", self->result);						\
} while (0)

TEST_F(gpu_check, no_driver)
{
	ASSERT_EQ(0, module_unload("nvidia_stub"));
	EXPECT_MISSING(CUDA CHECK "2>&1", "NVIDIA's driver is not loaded");
	EXPECT_NE(NULL, strstr(self->said, "no PCI device of NVIDIA's"));
	EXPECT_NE(NULL, strstr(self->said, "gpu: cuInit: CUDA_ERROR_NO_DEVICE"));
	ASSERT_EQ(0, module_load("nvidia-stub"));
}

TEST_F(gpu_check, no_libcuda)
{
	EXPECT_MISSING(CHECK "2>&1", "libcuda.so.1");
}

TEST_F(gpu_check, not_built)
{
	EXPECT_MISSING(CUDA CHECK "shared nosuchtest 2>&1", "/files/nosuchtest is missing");
}

TEST_F(gpu_check, pools_are_there)
{
	int fd = uv_open();
	uint32_t pool;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, uv_attach(fd, MIB(2), 0, &pool));
	EXPECT_MISSING(CUDA CHECK "shared 2>&1", "there are pools already");
	EXPECT_EQ(0, uv_detach(fd, pool, 0, NULL));
	close(fd);
}

static int run_as_nobody(int sock, void *arg)
{
	(void)sock;
	become_nobody();
	return check(arg, CUDA CHECK "-o /tmp/nobody.json shared >/tmp/nobody 2>&1");
}

TEST_F(gpu_check, not_root)
{
	EXPECT_EQ(1, run_child(run_as_nobody, self));
	ASSERT_LT(0, file_read("/tmp/nobody", self->said, sizeof(self->said)));
	EXPECT_NE(NULL, strstr(self->said, "it takes root"));
	EXPECT_NE(0, access("/tmp/nobody.json", F_OK));
}

TEST_F(gpu_check, usage)
{
	EXPECT_EQ(2, check(self, CHECK "-m none 2>&1"));
	EXPECT_EQ(2, check(self, CHECK "-x 2>&1"));
}

/* The end of the value at @s, or NULL: it is no JSON. */
static const char *json_end(const char *s);

static const char *json_skip(const char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	return s;
}

static const char *json_list(const char *s, char end, bool keys)
{
	for (s = json_skip(s + 1); *s != end; s = json_skip(s)) {
		if (keys) {
			s = *s == '"' ? json_end(s) : NULL;
			if (!s || *json_skip(s) != ':')
				return NULL;
			s = json_skip(s) + 1;
		}
		s = json_end(json_skip(s));
		if (!s)
			return NULL;
		s = json_skip(s);
		if (*s == ',' && *json_skip(s + 1) != end)
			s++;
		else if (*s != end)
			return NULL;
	}
	return s + 1;
}

static const char *json_end(const char *s)
{
	static const char *const words[] = { "true", "false", "null" };

	if (*s == '{')
		return json_list(s, '}', true);
	if (*s == '[')
		return json_list(s, ']', false);
	if (*s == '"') {
		for (s++; *s != '"'; s++)
			if ((unsigned char)*s < 0x20 || (*s == '\\' && !*++s))
				return NULL;
		return s + 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strncmp(s, words[i], strlen(words[i])))
			return s + strlen(words[i]);
	return isdigit((unsigned char)*s) ? s + strspn(s, "0123456789") : NULL;
}

static bool is_json(const char *s)
{
	s = json_end(json_skip(s));
	return s && !*json_skip(s);
}

#define EXPECT_RESULT(text)							\
	EXPECT_NE(NULL, strstr(self->result, text)) {				\
		TH_LOG("no %s in: %s\n%s", text, self->result, self->said);	\
	}

/* Have cases of a test passed, and how many failed? -1: it is not in the result. */
static long failed(const char *result, const char *name, long *passed)
{
	char key[64];
	const char *at;
	long n = -1;

	snprintf(key, sizeof(key), "{\"name\": \"%s\", ", name);
	at = strstr(result, key);
	*passed = 0;
	if (at)
		sscanf(at + strlen(key), "\"passed\": %ld, \"failed\": %ld,", passed, &n);
	return n;
}

#define EXPECT_CASES(name, good, bad) do {					\
	long passed_, failed_ = failed(self->result, name, &passed_);		\
										\
	EXPECT_TRUE(failed_ >= 0 && !!failed_ == (bad) && !!passed_ == (good)) {	\
		TH_LOG("%s in: %s\n%s", name, self->result, self->said);	\
	}									\
} while (0)

TEST_F(gpu_check, passes)
{
	static const char *const numbers[] = {
		"\"move_in_mbs\":", "\"move_out_mbs\":", "\"copy_read_mbs\":",
		"\"copy_write_mbs\":", "\"fault_ns\":",
	};
	const char *at;

	if (too_slow())
		SKIP(return, "takes minutes with sanitizers");
	EXPECT_EQ(0, check(self, CUDA CHECK "shared 2>&1"));
	EXPECT_TRUE(is_json(self->result)) {
		TH_LOG("%s", self->result);
	}
	EXPECT_RESULT("\"hardware\": false");
	EXPECT_RESULT("\"flavour\": \"stand-in\"");
	EXPECT_RESULT("\"name\":\"stand-in 0: no GPU\"");
	EXPECT_CASES("fill", true, false);
	EXPECT_CASES("shared", true, false);
	EXPECT_CASES("bench", true, false);
	EXPECT_CASES("unload", true, false);
	EXPECT_RESULT("backend nvidia");
	EXPECT_RESULT("\"splats\": 0");
	EXPECT_RESULT("\"pass\": true");
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		at = strstr(self->result, numbers[i]);
		ASSERT_NE(NULL, at);
		EXPECT_LT(0, atol(at + strlen(numbers[i])));
	}
}

/* Something that says to be a test. */
static void play(const char *name, const char *says)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/files/%s", name);
	f = fopen(path, "we");
	if (!f || fprintf(f, "#!/bin/sh\n%s\n", says) < 0 || fclose(f) || chmod(path, 0755))
		give_up(path);
}

/* A kernel that does not run; memory that cannot be had; tests that only look right. */
TEST_F(gpu_check, fails)
{
	if (too_slow())
		SKIP(return, "takes minutes with sanitizers");
	play("good", "echo 1..2; echo ok 1 a; echo 'ok 2 b # SKIP'");
	play("short", "echo 1..2; echo ok 1 a");
	play("bad", "echo 1..1; echo ok 1 a; exit 1");
	play("empty", "echo 1..0");
	EXPECT_EQ(3, check(self, "CUDA_STUB_FAIL=cuLaunchKernel=700 " CUDA CHECK
			   "good short bad empty 2>&1"));
	EXPECT_TRUE(is_json(self->result));
	EXPECT_CASES("fill", false, true);
	EXPECT_CASES("good", true, false);
	EXPECT_CASES("short", true, true);
	EXPECT_CASES("bad", true, true);
	EXPECT_CASES("empty", false, true);
	EXPECT_CASES("bench", true, false);
	EXPECT_RESULT("\"pass\": false");
	/* One failure is enough. */
	EXPECT_EQ(3, check(self, "CUDA_STUB_FAIL=cuModuleLoadData=2 " CUDA CHECK "good 2>&1"));
	EXPECT_CASES("fill", false, true);
	EXPECT_CASES("good", true, false);
	EXPECT_RESULT("\"pass\": false");
	EXPECT_EQ(3, check(self, "CUDA_STUB_FAIL=cuMemAlloc_v2=2 " CUDA CHECK "shared 2>&1"));
	EXPECT_TRUE(is_json(self->result));
	EXPECT_CASES("shared", false, true);
	EXPECT_CASES("bench", false, true);
	EXPECT_RESULT("\"bench\": null");
	EXPECT_RESULT("\"pass\": false");
}

TEST_HARNESS_MAIN
