/*
 * The functions of keys.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/memcached/keys.h"

#include <string.h>

static bool
is_multi(const struct memcached_request *r)
{
	return r->wire == MEMCACHED_TEXT && r->shape == MEMCACHED_VALUES;
}

void
memcached_keys_init(struct memcached_keys *k,
    const struct memcached_request *r, const char *head)
{
	*k = (struct memcached_keys){
		.bytes = head, .at = r->key.at, .end = r->head,
		.left = r->keys, .only = r->key
	};
	/* One key, wherever it is: there is nothing to look for. */
	if (!is_multi(r))
		k->end = 0;
}

bool
memcached_keys_next(struct memcached_keys *k, struct memcached_span *key)
{
	const char *p, *end;

	if (k->left == 0)
		return false;
	k->left--;
	if (k->end == 0) {
		*key = k->only;
		return true;
	}
	p = k->bytes + k->at;
	end = k->bytes + k->end;
	while (p < end && *p == ' ')
		p++;
	key->at = (uint32_t)(p - k->bytes);
	while (p < end && *p != ' ' && *p != '\r' && *p != '\n')
		p++;
	k->at = (uint32_t)(p - k->bytes);
	key->len = k->at - key->at;
	return true;
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t
memcached_key_decode(const char *key, size_t len, char *out)
{
	size_t n = 0, fill = 0;

	if (len == 0 || len % 4 != 0)
		return SIZE_MAX;
	while (fill < 2 && key[len - 1 - fill] == '=')
		fill++;
	for (size_t i = 0; i < len; i += 4) {
		uint32_t bits = 0;

		for (size_t j = i; j < i + 4; j++) {
			int value = j < len - fill ? base64_value(key[j]) : 0;

			if (value < 0)
				return SIZE_MAX;
			bits = bits << 6 | (uint32_t)value;
		}
		out[n++] = (char)(bits >> 16);
		out[n++] = (char)(bits >> 8);
		out[n++] = (char)bits;
	}
	return n - fill;
}

/* protocol.txt: "VALUE <key> <flags> <bytes> [<cas unique>]" */
size_t
memcached_block_size(const char *reply, size_t len, const char *key,
    size_t key_len)
{
	const char *end = reply + len, *p = reply + 6 + key_len + 1, *line;
	size_t bytes = 0;

	if (len < 6 + key_len + 1 || memcmp(reply, "VALUE ", 6) != 0 ||
	    memcmp(reply + 6, key, key_len) != 0 || reply[6 + key_len] != ' ')
		return 0;
	line = memchr(p, '\n', (size_t)(end - p));
	if (line == NULL)
		return 0;
	while (p < line && *p != ' ')
		p++;
	for (p++; p < line && *p >= '0' && *p <= '9'; p++)
		bytes = bytes * 10 + (size_t)(*p - '0');
	return (size_t)(line + 1 - reply) + bytes + 2;
}
