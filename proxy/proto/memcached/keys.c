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

void
memcached_part_init(struct memcached_part *p,
    const struct memcached_request *r, const char *head, char *out)
{
	size_t n = 0;

	/* Spaces only between words here too (the head is as it came). */
	for (uint32_t i = 0; i < r->key.at; i++)
		if (head[i] != ' ')
			out[n++] = head[i];
		else if (n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
	*p = (struct memcached_part){ out, n - 1 };
}

void
memcached_part_add(struct memcached_part *p, const char *key, size_t len)
{
	p->out[p->len++] = ' ';
	memcpy(p->out + p->len, key, len);
	p->len += len;
}

void
memcached_part_end(struct memcached_part *p)
{
	memcpy(p->out + p->len, "\r\n", 2);
	p->len += 2;
}

void
memcached_blocks_init(struct memcached_blocks *b, const char *reply,
    size_t len)
{
	*b = (struct memcached_blocks){ reply, len, 0 };
}

/* The length of what b is at, if that is "VALUE <key> <flags> <bytes> ...": the
   reply has been read once, so that its form is not in doubt. */
static size_t
block_size(const char *at, const char *end, size_t key_len)
{
	const char *p = at + 6 + key_len + 1;
	const char *line = memchr(p, '\n', (size_t)(end - p));
	size_t bytes = 0;

	if (line == NULL)
		return 0;
	while (p < line && *p != ' ')
		p++;
	for (p++; p < line && *p >= '0' && *p <= '9'; p++)
		bytes = bytes * 10 + (size_t)(*p - '0');
	if (bytes + 2 > (size_t)(end - line - 1))
		return 0;
	return (size_t)(line + 1 - at) + bytes + 2;
}

size_t
memcached_blocks_take(struct memcached_blocks *b, const char *key, size_t len,
    const char **block)
{
	const char *at = b->bytes + b->at, *end = b->bytes + b->len;
	size_t size;

	if ((size_t)(end - at) < 6 + len + 1 || memcmp(at, "VALUE ", 6) != 0 ||
	    memcmp(at + 6, key, len) != 0 || at[6 + len] != ' ')
		return 0;
	size = block_size(at, end, len);
	*block = at;
	b->at += size;
	return size;
}

bool
memcached_blocks_empty(const struct memcached_blocks *b)
{
	return b->len - b->at == 5 && memcmp(b->bytes + b->at, "END\r\n", 5)
	    == 0;
}
