/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UFFDVRAMCTL_PARSE_H
#define UFFDVRAMCTL_PARSE_H

#include <stddef.h>
#include <stdint.h>

/*
 * All parsers take the whole string or nothing of it: they return 0, or -EINVAL
 * for what is not well-formed, or -ERANGE for a number that does not fit, and
 * write nothing unless they return 0.
 */

/* Decimal or 0x hexadecimal; decimal may end in K, M, G or T (powers of 1024). */
int parse_size(const char *s, uint64_t *out);

/* The same without a unit, within 32 bits. */
int parse_u32(const char *s, uint32_t *out);

/* Seconds, not negative, with an optional decimal fraction, in nanoseconds. */
int parse_seconds(const char *s, uint64_t *nsec);

/* ADDR+LEN, with parse_size() for both; LEN != 0, and the end does not wrap. */
int parse_piece(const char *s, uint64_t *addr, uint64_t *len);

/* [SEGMENT:]BUS:DEVICE.FUNCTION in hexadecimal, as segment << 16 | bus << 8 | devfn. */
int parse_sbdf(const char *s, uint32_t *out);

/* anon:SIZE; SIZE != 0. */
int parse_anon(const char *s, uint64_t *min);

/*
 * Splits @line, which it changes, at blanks into at most @max words; a word that
 * begins with # ends the line. Returns their number, or -E2BIG.
 */
int parse_words(char *line, char **words, int max);

/* Longest text of format_*(), with the final 0. */
#define FORMAT_MAX 24

/* The shortest text from which parse_size() reads @bytes back: 512M. Returns @buf. */
const char *format_size(char buf[FORMAT_MAX], uint64_t bytes);

/*
 * @part of @whole in percent, rounded so that 0% and 100% are said only where they
 * are exact. Returns @buf.
 */
const char *format_percent(char buf[FORMAT_MAX], uint64_t part, uint64_t whole);

/* Nanoseconds in the unit that suits, to three digits: 1.05ms. Returns @buf. */
const char *format_ns(char buf[FORMAT_MAX], uint64_t ns);

#endif /* UFFDVRAMCTL_PARSE_H */
