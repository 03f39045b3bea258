// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which pieces of memory are registered, sorted by address.
 *
 * The device takes a range only whole: what is cut out of one leaves its rests
 * to be registered anew.
 */
#include "shim.h"

/* As many as the module lets one address space have (untouched, they cost nothing). */
#define TABLE_MAX	131072

static struct table_entry table[TABLE_MAX];
static unsigned int table_n;

unsigned int table_size(void)
{
	return __atomic_load_n(&table_n, __ATOMIC_RELAXED);
}

const struct table_entry *table_nth(unsigned int n)
{
	return &table[n];
}

/* The first entry that ends after @addr. */
static unsigned int table_find(uint64_t addr)
{
	unsigned int lo = 0, hi = table_n;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (table[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool table_overlaps(uint64_t start, uint64_t end)
{
	unsigned int i = table_find(start);

	return i < table_n && table[i].start < end;
}

static void table_insert(unsigned int at, struct table_entry e)
{
	__builtin_memmove(&table[at + 1], &table[at], (table_n - at) * sizeof(table[0]));
	table[at] = e;
	__atomic_store_n(&table_n, table_n + 1, __ATOMIC_RELAXED);
}

static void table_remove(unsigned int at)
{
	__atomic_store_n(&table_n, table_n - 1, __ATOMIC_RELAXED);
	__builtin_memmove(&table[at], &table[at + 1], (table_n - at) * sizeof(table[0]));
}

/* Memory that the device does not take (huge pages, say) is left alone. */
void table_add(uint64_t start, uint64_t end)
{
	struct table_entry e = { .start = start, .end = end };

	if (start >= end)
		return;
	if (table_n == TABLE_MAX || device_register(start, end, &e.range)) {
		shim.n.refused++;
		return;
	}
	shim.n.ranges++;
	table_insert(table_find(start), e);
}

/* A rest of a range that was one before is no new one. */
static void table_add_rest(uint64_t start, uint64_t end)
{
	struct shim_counts before = shim.n;

	table_add(start, end);
	shim.n.ranges = before.ranges;
}

void table_cut(uint64_t start, uint64_t end)
{
	while (1) {
		unsigned int i = table_find(start);
		struct table_entry e;

		if (i == table_n || table[i].start >= end)
			return;
		e = table[i];
		device_unregister(e.range);
		table_remove(i);
		if (e.start < start)
			table_add_rest(e.start, start);
		if (e.end > end)
			table_add_rest(end, e.end);
	}
}

/* After fork: the same memory, in another address space. */
void table_register_anew(void)
{
	unsigned int i, kept = 0;

	for (i = 0; i < table_n; i++) {
		struct table_entry e = table[i];

		if (!device_register(e.start, e.end, &e.range))
			table[kept++] = e;
	}
	table_n = kept;
	shim.n.ranges = kept;
}
