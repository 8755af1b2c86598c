/*
 * Scan of SQL: the same flags and the same name however the text is cut.
 * Input: two bytes that say where to cut, one of options, the text.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/postgres/scan.h"

/* Not assert(): a build without it would look for nothing. */
#define CHECK(claim) \
	do { \
		if (!(claim)) { \
			fprintf(stderr, "not so: %s\n", #claim); \
			abort(); \
		} \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned
scan_in_pieces(struct pg_scan *s, const char *sql, size_t len, size_t first,
    bool bytewise, uint8_t options)
{
	size_t at = 0, n = first;

	/* What pg_scan_begin() does not set is not looked at. */
	memset(s, 0xa5, sizeof(*s));
	pg_scan_begin(s, (options & 1) == 0);
	if ((options & 2) != 0)
		pg_scan_wide(s);
	while (at < len) {
		pg_scan_feed(s, sql + at, n);
		at += n;
		n = bytewise && at < len ? 1 : len - at;
	}
	return pg_scan_end(s);
}

static void
check_same(const struct pg_scan *a, const struct pg_scan *b)
{
	CHECK(a->flags == b->flags && a->sets_n == b->sets_n);
	CHECK(memchr(a->name, '\0', sizeof(a->name)) != NULL);
	CHECK(strcmp(a->name, b->name) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct pg_scan whole, other;
	const char *sql = (const char *)data + 3;
	size_t at;

	if (len < 4)
		return 0;
	len -= 3;
	at = (size_t)(data[0] << 8 | data[1]) % len;
	scan_in_pieces(&whole, sql, len, len, false, data[2]);
	scan_in_pieces(&other, sql, len, at, false, data[2]);
	check_same(&whole, &other);
	scan_in_pieces(&other, sql, len, 0, true, data[2]);
	check_same(&whole, &other);
	return 0;
}
