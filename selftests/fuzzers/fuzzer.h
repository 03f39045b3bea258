/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the fuzzers of parsers share. Each file here is one, of the function that its
 * comment names; AddressSanitizer and UBSan watch, and must() says what has to hold.
 */
#ifndef UFFDVRAM_FUZZER_H
#define UFFDVRAM_FUZZER_H

#include <errno.h>
#include <sanitizer/common_interface_defs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(cond) must_(cond, #cond, __FILE__, __LINE__)

static inline void must_(bool ok, const char *cond, const char *file, int line)
{
	char text[256];

	if (ok)
		return;
	/* Standard error is closed, so that parsers' messages do not slow us down. */
	snprintf(text, sizeof(text), "%s:%d: broken: %s", file, line, cond);
	__sanitizer_report_error_summary(text);
	abort();
}

/* A string in memory of just its size: who reads on is seen. */
static inline char *text_of(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	must(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/* The next bytes of the input, zero from its end on. */
struct feed {
	const uint8_t *at;
	size_t left;
};

static inline void feed_bytes(struct feed *f, void *out, size_t n)
{
	size_t have = n < f->left ? n : f->left;

	memset(out, 0, n);
	if (!have)
		return;
	memcpy(out, f->at, have);
	f->at += have;
	f->left -= have;
}

static inline uint64_t feed_u64(struct feed *f)
{
	uint64_t n;

	feed_bytes(f, &n, sizeof(n));
	return n;
}

static inline uint8_t feed_u8(struct feed *f)
{
	uint8_t n;

	feed_bytes(f, &n, sizeof(n));
	return n;
}

/* The input as a file that was not read yet. */
static inline int file_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size && !lseek(fd, 0, SEEK_SET));
	return fd;
}

#endif /* UFFDVRAM_FUZZER_H */
