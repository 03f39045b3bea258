// SPDX-License-Identifier: GPL-2.0-only
/* parse_words(): a line of a batch */
#include "fuzzer.h"
#include "../../lib/ctl/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int max = size ? data[0] % 8 : 0, n;
	char *text = text_of(data, size);
	size_t len = strlen(text);
	char **words = malloc(max * sizeof(*words) + !max);

	must(words);
	n = parse_words(text, words, max);
	must(n <= max && n >= -E2BIG);
	for (int i = 0; i < n; i++) {
		must(words[i] >= text && words[i] < text + len);
		must(*words[i] && !strpbrk(words[i], " \t\r\n") && *words[i] != '#');
	}
	free(words);
	free(text);
	return 0;
}
