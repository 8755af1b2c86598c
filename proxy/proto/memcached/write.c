/*
 * The writers of write.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/memcached/write.h"

#include <string.h>

/* The next word of a line that has been read: spaces and its end part them. */
static bool
word_next(const char **at, const char *end, const char **word, size_t *len)
{
	const char *p = *at;

	while (p < end && *p == ' ')
		p++;
	*word = p;
	while (p < end && *p != ' ' && *p != '\r' && *p != '\n')
		p++;
	*len = (size_t)(p - *word);
	*at = p;
	return *len > 0;
}

/* Is the n-th word what makes the request quiet? */
static bool
word_is_quiet(const struct memcached_request *r, unsigned n, const char *word)
{
	if (r->quiet == MEMCACHED_LOUD)
		return false;
	if (r->quiet == MEMCACHED_NOREPLY)
		return n + 1 == r->words;
	return word[0] == 'q' && n >= (r->command == MEMCACHED_MS ? 3 : 2);
}

size_t
memcached_head_write(const struct memcached_request *r, const char *head,
    char *out)
{
	const char *at = head, *end = head + r->head, *word;
	size_t len, n = 0;

	if (r->wire == MEMCACHED_BINARY) {
		memcpy(out, head, MEMCACHED_HEADER);
		out[1] = (char)memcached_opcode_find(r->opcode)->loud;
		return MEMCACHED_HEADER;
	}
	for (unsigned i = 0; word_next(&at, end, &word, &len); i++) {
		if (word_is_quiet(r, i, word))
			continue;
		if (n > 0)
			out[n++] = ' ';
		memcpy(out + n, word, len);
		n += len;
	}
	memcpy(out + n, "\r\n", 2);
	return n + 2;
}

/* A reply to r with text for its body. */
static size_t
packet_write(const struct memcached_request *r, uint16_t status,
    const char *text, size_t len, char *out)
{
	memset(out, 0, MEMCACHED_HEADER);
	out[0] = (char)0x81;
	out[1] = (char)r->opcode;
	out[6] = (char)(status >> 8);
	out[7] = (char)status;
	out[11] = (char)len;
	memcpy(out + 12, &r->opaque, sizeof(r->opaque));
	memcpy(out + MEMCACHED_HEADER, text, len);
	return MEMCACHED_HEADER + len;
}

size_t
memcached_error_write(const struct memcached_request *r, char *out)
{
	size_t len = strlen(r->error);

	if (len == 0)
		return 0;
	if (r->wire == MEMCACHED_BINARY)
		return packet_write(r, r->status, r->error, len, out);
	memcpy(out, r->error, len);
	return len;
}

size_t
memcached_failure_write(const struct memcached_request *r, uint16_t status,
    const char *line, char *out)
{
	size_t len = strnlen(line, 100);

	if (r->wire == MEMCACHED_BINARY)
		return packet_write(r, status, line, len, out);
	if (r->quiet == MEMCACHED_NOREPLY)
		return 0;
	memcpy(out, line, len);
	memcpy(out + len, "\r\n", 2);
	return len + 2;
}

size_t
memcached_answer_write(const struct memcached_request *r, char *out)
{
	if (r->wire == MEMCACHED_BINARY)
		return r->quiet == MEMCACHED_LOUD ?
		    packet_write(r, 0, "", 0, out) : 0;
	if (r->command != MEMCACHED_MN)
		return 0;
	memcpy(out, "MN\r\n", 4);
	return 4;
}
