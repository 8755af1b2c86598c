/*
 * Paths and queries. See target.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/target.h"

#include <string.h>

#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

struct part {
	const char *at;
	size_t len;
};

/* -------------------------------------------------------------------- paths */

/* Where a part that begins at path ends: before the first of the pattern's
   next plain text, or at the very end when there is none. */
static const char *
end_of_part(const char *pattern, const char *path)
{
	size_t plain = strcspn(pattern, CAPITALS);

	if (plain == 0)
		return path + strlen(path);
	return memmem(path, strlen(path), pattern, plain);
}

/* Fills *part with the n-th one, if there are so many. */
static bool
fits(const char *pattern, const char *path, unsigned n, struct part *part)
{
	const char *end;

	while (*pattern != '\0') {
		if (strspn(pattern, CAPITALS) == 0) {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		pattern += strspn(pattern, CAPITALS);
		end = end_of_part(pattern, path);
		if (end == NULL || end == path)
			return false;
		if (n-- == 0)
			*part = (struct part){ path, (size_t)(end - path) };
		path = end;
	}
	return *path == '\0';
}

bool
target_fits(const char *pattern, const char *path)
{
	struct part ignored;

	return fits(pattern, path, 0, &ignored);
}

static int
hex(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, c | 0x20) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* The byte at at[0 .. left), and how many it is written with; -1: no byte. */
static int
decode_one(const char *at, size_t left, size_t *written)
{
	int high, low;

	*written = 1;
	if (*at != '%')
		return (unsigned char)*at;
	high = left > 1 ? hex(at[1]) : -1;
	low = left > 2 ? hex(at[2]) : -1;
	if (high < 0 || low < 0 || high + low == 0)
		return -1;
	*written = 3;
	return high << 4 | low;
}

int
target_part(const char *pattern, const char *path, unsigned n, char *out,
    size_t size)
{
	struct part part = { NULL, 0 };
	size_t len = 0, written;
	int byte;

	if (!fits(pattern, path, n, &part) || part.at == NULL)
		return -1;
	while (part.len > 0) {
		byte = decode_one(part.at, part.len, &written);
		if (byte < 0 || len + 1 >= size)
			return -1;
		out[len++] = (char)byte;
		part.at += written;
		part.len -= written;
	}
	out[len] = '\0';
	return 0;
}

/* ------------------------------------------------------------------ queries */

/* The next "key=value" of a query; its length, and that of its key. */
static size_t
next_pair(const char **query, size_t *key)
{
	size_t len;

	*query += strspn(*query, "&");
	len = strcspn(*query, "&");
	*key = strcspn(*query, "&=");
	return len;
}

const char *
target_query(const char *query, const char *key, char *out, size_t size)
{
	size_t wanted = strlen(key), len, key_len, n = 0, written;
	int byte;

	while ((len = next_pair(&query, &key_len)) > 0) {
		if (key_len == wanted && memcmp(query, key, wanted) == 0)
			break;
		query += len;
	}
	if (len == 0)
		return NULL;
	key_len += len > key_len;
	query += key_len;
	for (len -= key_len; len > 0 && n + 1 < size; len -= written) {
		byte = decode_one(query, len, &written);
		out[n++] = byte < 0 ? *query : (char)byte;
		query += written;
	}
	out[n] = '\0';
	return out;
}

static bool
is_known(const char *const *known, const char *key, size_t len)
{
	for (; *known != NULL; known++)
		if (strlen(*known) == len && memcmp(*known, key, len) == 0)
			return true;
	return false;
}

static bool
comes_again(const char *query, const char *key, size_t key_len)
{
	size_t len, other;

	while ((len = next_pair(&query, &other)) > 0) {
		if (other == key_len && memcmp(query, key, key_len) == 0)
			return true;
		query += len;
	}
	return false;
}

const char *
target_stray(const char *query, const char *const *known, char *out,
    size_t size)
{
	static const char *const everywhere[] = { "pretty", NULL };
	size_t len, key;

	while ((len = next_pair(&query, &key)) > 0) {
		if ((!is_known(known, query, key) &&
		    !is_known(everywhere, query, key)) ||
		    comes_again(query + len, query, key)) {
			if (key >= size)
				key = size - 1;
			memcpy(out, query, key);
			out[key] = '\0';
			return out;
		}
		query += len;
	}
	return NULL;
}
