// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a person writes and reads: sizes, addresses, words of a line.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

/* strtoull() takes blanks, signs and 0x, which are no part of digits here. */
static int parse_digits(const char *s, int base, uint64_t *out, const char **end)
{
	char *stop;

	if (base == 16 ? !isxdigit((unsigned char)*s) : !isdigit((unsigned char)*s))
		return -EINVAL;
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		return -EINVAL;
	errno = 0;
	*out = strtoull(s, &stop, base);
	*end = stop;
	return errno ? -ERANGE : 0;
}

static int parse_number(const char *s, uint64_t *out, const char **end)
{
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		return parse_digits(s + 2, 16, out, end);
	return parse_digits(s, 10, out, end);
}

int parse_size(const char *s, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	unsigned int shift;
	uint64_t n;
	int ret;

	ret = parse_number(s, &n, &end);
	if (ret)
		return ret;
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return -EINVAL;
		shift = 10 * (unit - units + 1);
		if (n > UINT64_MAX >> shift)
			return -ERANGE;
		n <<= shift;
	}
	*out = n;
	return 0;
}

int parse_u32(const char *s, uint32_t *out)
{
	const char *end;
	uint64_t n;
	int ret;

	ret = parse_number(s, &n, &end);
	if (ret)
		return ret;
	if (*end)
		return -EINVAL;
	if (n > UINT32_MAX)
		return -ERANGE;
	*out = n;
	return 0;
}

int parse_seconds(const char *s, uint64_t *nsec)
{
	uint64_t sec, frac = 0, scale = 1000000000;
	const char *end;
	int ret;

	ret = parse_digits(s, 10, &sec, &end);
	if (ret)
		return ret;
	if (sec >= UINT64_MAX / scale)
		return -ERANGE;
	if (*end == '.') {
		if (!isdigit((unsigned char)end[1]))
			return -EINVAL;
		while (isdigit((unsigned char)*++end)) {
			scale /= 10;
			frac += (*end - '0') * scale;
		}
	}
	if (*end)
		return -EINVAL;
	*nsec = sec * 1000000000 + frac;
	return 0;
}

int parse_piece(const char *s, uint64_t *addr, uint64_t *len)
{
	const char *plus = strchr(s, '+');
	uint64_t a, l;
	char first[32];
	int ret;

	if (!plus || plus - s >= (ptrdiff_t)sizeof(first))
		return -EINVAL;
	memcpy(first, s, plus - s);
	first[plus - s] = '\0';
	ret = parse_size(first, &a) ?: parse_size(plus + 1, &l);
	if (ret)
		return ret;
	if (!l)
		return -EINVAL;
	if (a > UINT64_MAX - l)
		return -ERANGE;
	*addr = a;
	*len = l;
	return 0;
}

/* @limit: the first number that is none. */
static int parse_hex(const char **s, uint32_t limit, char after, uint32_t *out)
{
	const char *end;
	uint64_t n;
	int ret;

	ret = parse_digits(*s, 16, &n, &end);
	if (ret)
		return ret;
	if (*end != after)
		return -EINVAL;
	if (n >= limit)
		return -ERANGE;
	*s = end + 1;
	*out = n;
	return 0;
}

int parse_sbdf(const char *s, uint32_t *out)
{
	uint32_t segment = 0, bus, device, function;
	int ret = 0;

	if (strchr(s, ':') != strrchr(s, ':'))
		ret = parse_hex(&s, 0x10000, ':', &segment);
	ret = ret ?: parse_hex(&s, 0x100, ':', &bus);
	ret = ret ?: parse_hex(&s, 0x20, '.', &device);
	ret = ret ?: parse_hex(&s, 8, '\0', &function);
	if (!ret)
		*out = segment << 16 | bus << 8 | device << 3 | function;
	return ret;
}

int parse_anon(const char *s, uint64_t *min)
{
	static const char prefix[] = "anon:";
	uint64_t n;
	int ret;

	if (strncmp(s, prefix, sizeof(prefix) - 1))
		return -EINVAL;
	ret = parse_size(s + sizeof(prefix) - 1, &n);
	if (ret)
		return ret;
	if (!n)
		return -EINVAL;
	*min = n;
	return 0;
}

int parse_words(char *line, char **words, int max)
{
	char *word, *save = NULL;
	int n = 0;

	for (word = strtok_r(line, " \t\r\n", &save); word && *word != '#';
	     word = strtok_r(NULL, " \t\r\n", &save)) {
		if (n == max)
			return -E2BIG;
		words[n++] = word;
	}
	return n;
}

const char *format_size(char buf[FORMAT_MAX], uint64_t bytes)
{
	static const char units[] = "KMGT";
	unsigned int u;

	for (u = 0; bytes && !(bytes % 1024) && u < sizeof(units) - 1; u++)
		bytes /= 1024;
	snprintf(buf, FORMAT_MAX, u ? "%llu%c" : "%llu", (unsigned long long)bytes,
		 u ? units[u - 1] : 0);
	return buf;
}

const char *format_percent(char buf[FORMAT_MAX], uint64_t part, uint64_t whole)
{
	/* In tenths; counts of pages are far from where this overflows. */
	unsigned int tenths = whole ? part * 1000 / whole : 0;

	if (!part)
		return strcpy(buf, "0%");
	if (part == whole)
		return strcpy(buf, "100%");
	if (!tenths)
		return strcpy(buf, "<0.1%");
	snprintf(buf, FORMAT_MAX, "%u.%u%%", tenths / 10, tenths % 10);
	return buf;
}

const char *format_ns(char buf[FORMAT_MAX], uint64_t ns)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	uint64_t unit = 1;
	unsigned int u;
	double n;

	for (u = 0; u < 3 && ns / unit >= 1000; u++)
		unit *= 1000;
	n = (double)ns / unit;
	snprintf(buf, FORMAT_MAX, "%.*f%s", !u || n >= 100 ? 0 : n >= 10 ? 1 : 2, n, units[u]);
	return buf;
}
