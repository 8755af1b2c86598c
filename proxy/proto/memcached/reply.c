/*
 * The reader of reply.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/memcached/reply.h"

#include <string.h>

enum state {
	STATE_LINE,
	STATE_DATA,             /* r->left bytes, the last two CR LF */
	STATE_HEADER,
	STATE_BODY              /* r->left bytes behind a header */
};

/*
 * The words that may be a reply (protocol.txt), but for the errors, which may
 * always be, and numbers. NULL: of these commands nothing is known for sure
 * (slabs, lru, ...): any line.
 */
static const char *const words[MEMCACHED_N_COMMANDS] = {
	[MEMCACHED_SET] = " STORED NOT_STORED EXISTS NOT_FOUND ",
	[MEMCACHED_ADD] = " STORED NOT_STORED EXISTS NOT_FOUND ",
	[MEMCACHED_REPLACE] = " STORED NOT_STORED EXISTS NOT_FOUND ",
	[MEMCACHED_APPEND] = " STORED NOT_STORED EXISTS NOT_FOUND ",
	[MEMCACHED_PREPEND] = " STORED NOT_STORED EXISTS NOT_FOUND ",
	[MEMCACHED_CAS] = " STORED NOT_STORED EXISTS NOT_FOUND ",
	[MEMCACHED_DELETE] = " DELETED NOT_FOUND ",
	[MEMCACHED_INCR] = " NOT_FOUND ",
	[MEMCACHED_DECR] = " NOT_FOUND ",
	[MEMCACHED_TOUCH] = " TOUCHED NOT_FOUND ",
	[MEMCACHED_MG] = " HD EN NF ",
	[MEMCACHED_MS] = " HD NS EX NF ",
	[MEMCACHED_MD] = " HD NS EX NF ",
	[MEMCACHED_MA] = " HD NS EX NF EN ",
	[MEMCACHED_ME] = " ME EN ",
	[MEMCACHED_VERSION] = " VERSION ",
	[MEMCACHED_VERBOSITY] = " OK ",
	[MEMCACHED_FLUSH_ALL] = " OK ",
};

/*
 * A mark of a key: 0 only by chance. It proves nothing, but a reply that has
 * slipped by one is almost never believed. (memcached 1.6.18 takes back replies
 * of earlier requests when a get runs out of memory: conn_release_items.)
 */
static uint32_t
key_mark(const char *key, size_t len)
{
	uint64_t first = 0, last = 0;

	if (len >= 8) {
		memcpy(&first, key, 8);
		memcpy(&last, key + len - 8, 8);
	} else {
		memcpy(&first, key, len);
	}
	first = (first ^ len) * 0x9e3779b97f4a7c15 ^ last;
	return (uint32_t)(first * 0x9e3779b97f4a7c15 >> 32);
}

void
memcached_ask_init(struct memcached_ask *a, const struct memcached_request *r,
    const char *head)
{
	*a = (struct memcached_ask){
		.command = r->command, .shape = r->shape, .quiet = r->quiet,
		.wire = r->wire, .opcode = r->opcode, .opaque = r->opaque
	};
	if (r->wire == MEMCACHED_BINARY)
		a->loud = memcached_opcode_find(r->opcode)->loud;
	else if (r->shape == MEMCACHED_VALUES && r->keys == 1)
		a->key = key_mark(head + r->key.at, r->key.len);
}

void
memcached_reply_init(struct memcached_reply *r, const struct memcached_ask *a)
{
	memset(r, 0, offsetof(struct memcached_reply, kept));
	r->ask = *a;
	r->state = a->wire == MEMCACHED_BINARY ? STATE_HEADER : STATE_LINE;
}

/* -------------------------------------------------------------------- lines */

static bool
is_word(const struct memcached_reply *r, const char *word)
{
	return strcmp(r->word, word) == 0;
}

/* Is the word one of those in a list with a space on each side of each? */
static bool
is_among(const struct memcached_reply *r, const char *list)
{
	size_t len = strlen(r->word);
	const char *at = list;

	while (len > 0 && (at = strstr(at, r->word)) != NULL) {
		if (at[-1] == ' ' && at[len] == ' ')
			return true;
		at++;
	}
	return false;
}

/* Digits at *at, before end; a number up to most. */
static bool
number_take(const char **at, const char *end, uint64_t most, uint64_t *value)
{
	const char *p = *at;
	uint64_t n = 0;

	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		if (n > (most - (uint64_t)(*p - '0')) / 10)
			return false;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	if (p == *at)
		return false;
	*at = p;
	*value = n;
	return true;
}

static bool
space_take(const char **at, const char *end)
{
	return *at < end && *(*at)++ == ' ';
}

static enum parse
data_begin(struct memcached_reply *r, uint64_t bytes)
{
	r->value = bytes;
	r->left = bytes + 2;
	r->bad_end = false;
	r->state = STATE_DATA;
	return PARSE_MORE;
}

/* protocol.txt: "VALUE <key> <flags> <bytes> [<cas unique>]" */
static enum parse
value_take(struct memcached_reply *r, const char *p, const char *end)
{
	const char *key = p;
	uint64_t bytes, other;
	size_t key_len;

	while (p < end && *p != ' ')
		p++;
	key_len = (size_t)(p - key);
	if (key_len == 0 || key_len > MEMCACHED_KEY_MAX ||
	    !space_take(&p, end) ||
	    !number_take(&p, end, UINT64_MAX, &other) ||
	    !space_take(&p, end) ||
	    !number_take(&p, end, MEMCACHED_VALUE_MAX, &bytes))
		return PARSE_BAD;
	if (p < end && (!space_take(&p, end) ||
	    !number_take(&p, end, UINT64_MAX, &other) || p < end))
		return PARSE_BAD;
	if (r->ask.key != 0 && r->ask.key != key_mark(key, key_len))
		return PARSE_BAD;
	r->values++;
	return data_begin(r, bytes);
}

/* protocol.txt: "VA <size> <flags>*" */
static enum parse
meta_value_take(struct memcached_reply *r, const char *p, const char *end)
{
	uint64_t bytes;

	if (!number_take(&p, end, MEMCACHED_VALUE_MAX, &bytes) ||
	    (p < end && *p != ' '))
		return PARSE_BAD;
	r->values++;
	return data_begin(r, bytes);
}

static enum parse
one_line_take(const struct memcached_reply *r, const char *line,
    const char *end)
{
	const char *list = words[r->ask.command];
	uint64_t number;

	if (list == NULL || is_among(r, list))
		return PARSE_DONE;
	if (r->ask.command != MEMCACHED_INCR &&
	    r->ask.command != MEMCACHED_DECR)
		return PARSE_BAD;
	/* decr leaves spaces behind a number that got shorter (protocol.txt);
	   memcached strips them since long, others may not. */
	if (!number_take(&line, end, UINT64_MAX, &number))
		return PARSE_BAD;
	while (line < end && *line == ' ')
		line++;
	return line == end ? PARSE_DONE : PARSE_BAD;
}

static enum parse
stat_take(struct memcached_reply *r, bool first)
{
	if (is_word(r, "END"))
		return PARSE_DONE;
	if (r->ask.shape == MEMCACHED_DUMP) {
		if (is_word(r, "EN") || (first &&
		    is_among(r, " OK BUSY BADCLASS NOTSTARTED ")))
			return PARSE_DONE;
	} else if (!is_among(r, " STAT ITEM PREFIX ")) {
		return first && is_among(r, " RESET OK ") ? PARSE_DONE :
		    PARSE_BAD;
	}
	r->values++;
	return PARSE_MORE;
}

/* A whole line without its end; what is kept of it if it is very long. */
static enum parse
line_take(struct memcached_reply *r, const char *line, const char *end)
{
	const char *p = line;
	bool first = !r->told;
	size_t n = 0;

	for (; p < end && *p != ' '; p++) {
		/* Also NUL, behind which another word would not be seen. */
		if ((uint8_t)*p < ' ')
			return PARSE_BAD;
		if (n < sizeof(r->word) - 1)
			r->word[n++] = *p;
	}
	r->word[n] = '\0';
	r->told = true;
	if (p < end)
		p++;
	if (is_word(r, "ERROR") || is_word(r, "CLIENT_ERROR") ||
	    is_word(r, "SERVER_ERROR")) {
		r->is_error = true;
		return PARSE_DONE;
	}
	switch ((enum memcached_shape)r->ask.shape) {
	case MEMCACHED_VALUES:
		if (is_word(r, "VALUE"))
			return end - line < MEMCACHED_REPLY_KEPT ?
			    value_take(r, p, end) : PARSE_BAD;
		return is_word(r, "END") && end - line == 3 ? PARSE_DONE :
		    PARSE_BAD;
	case MEMCACHED_META:
		if (is_word(r, "VA") && (r->ask.command == MEMCACHED_MG ||
		    r->ask.command == MEMCACHED_MA))
			return meta_value_take(r, p, end);
		/* fall through */
	case MEMCACHED_ONE_LINE:
		return one_line_take(r, line, end);
	case MEMCACHED_STAT:
	case MEMCACHED_DUMP:
		return stat_take(r, first);
	case MEMCACHED_PACKET:
	case MEMCACHED_PACKETS:
		break;
	}
	return PARSE_BAD;
}

static void
line_keep(struct memcached_reply *r, const char *bytes, size_t len)
{
	size_t room = r->line < sizeof(r->kept) ?
	    sizeof(r->kept) - r->line : 0;

	memcpy(r->kept + (sizeof(r->kept) - room), bytes,
	    len < room ? len : room);
	r->line += (uint32_t)len;
	if (len > 0)
		r->last = bytes[len - 1];
}

static enum parse
line_feed(struct memcached_reply *r, const char *bytes, size_t len,
    size_t *used)
{
	size_t room = MEMCACHED_REPLY_LINE_MAX - r->line, n;
	const char *lf = memchr(bytes, '\n', len < room ? len : room);
	const char *line = bytes;
	bool cr;

	if (lf == NULL) {
		if (len >= room)
			return PARSE_BAD;
		line_keep(r, bytes, len);
		r->size += len;
		*used += len;
		return PARSE_MORE;
	}
	n = (size_t)(lf - bytes);
	r->size += n + 1;
	*used += n + 1;
	cr = (n > 0 ? lf[-1] : r->last) == '\r';
	/* Lines of metadump end in LF alone (memcached 1.6.18). */
	if (!cr && r->ask.shape != MEMCACHED_DUMP)
		return PARSE_BAD;
	if (r->line > 0) {
		line_keep(r, bytes, n);
		line = r->kept;
		n = r->line;
	}
	r->line = 0;
	r->last = '\0';
	/* However it came, no more is looked at than might have been kept. */
	n -= cr;
	return line_take(r, line, line +
	    (n > sizeof(r->kept) ? sizeof(r->kept) : n));
}

static enum parse
data_feed(struct memcached_reply *r, const char *bytes, size_t len,
    size_t *used)
{
	size_t take = r->left < len ? (size_t)r->left : len;

	if (r->left - take < 2) {
		if (r->left >= 2 && bytes[r->left - 2] != '\r')
			r->bad_end = true;
		if (r->left == take && bytes[take - 1] != '\n')
			r->bad_end = true;
	}
	r->left -= take;
	r->size += take;
	*used += take;
	if (r->bad_end)
		return PARSE_BAD;
	if (r->left > 0)
		return PARSE_MORE;
	r->state = STATE_LINE;
	return r->ask.shape == MEMCACHED_META ? PARSE_DONE : PARSE_MORE;
}

/* ------------------------------------------------------------------- binary */

/* PARSE_MORE: r->left bytes follow. */
static enum parse
header_take(struct memcached_reply *r, const char *header)
{
	const uint8_t *h = (const uint8_t *)header;
	uint32_t key = (uint32_t)h[2] << 8 | h[3];
	uint32_t body = (uint32_t)h[8] << 24 | (uint32_t)h[9] << 16 |
	    (uint32_t)h[10] << 8 | h[11];

	if (h[0] != 0x81 || h[1] != r->ask.loud ||
	    memcmp(h + 12, &r->ask.opaque, sizeof(r->ask.opaque)) != 0 ||
	    key + h[4] > body || body - key - h[4] > MEMCACHED_VALUE_MAX)
		return PARSE_BAD;
	r->status = (uint16_t)(h[6] << 8 | h[7]);
	r->told = true;
	/* 1, 2, 5: not found, exists, not stored */
	r->is_error = r->status > 2 && r->status != 5;
	r->value = body - key - h[4];
	r->left = body;
	r->line = 0;
	r->state = STATE_BODY;
	/* "stats" ends with a packet without key and value. */
	if (r->ask.shape == MEMCACHED_PACKETS && r->status == 0 && body > 0)
		r->values++;
	else
		r->ask.shape = MEMCACHED_PACKET;
	return PARSE_MORE;
}

static enum parse
header_feed(struct memcached_reply *r, const char *bytes, size_t len,
    size_t *used)
{
	size_t missing = MEMCACHED_HEADER - r->line;
	size_t take = len < missing ? len : missing;
	const char *header = bytes;

	if (take < MEMCACHED_HEADER) {
		memcpy(r->kept + r->line, bytes, take);
		r->line += (uint32_t)take;
		header = r->kept;
	}
	r->size += take;
	*used += take;
	return take < missing ? PARSE_MORE : header_take(r, header);
}

static enum parse
body_feed(struct memcached_reply *r, size_t len, size_t *used)
{
	size_t take = r->left < len ? (size_t)r->left : len;

	r->left -= take;
	r->size += take;
	*used += take;
	if (r->left > 0)
		return PARSE_MORE;
	r->state = STATE_HEADER;
	return r->ask.shape == MEMCACHED_PACKET ? PARSE_DONE : PARSE_MORE;
}

enum parse
memcached_reply_feed(struct memcached_reply *r, const char *bytes, size_t len,
    size_t *used)
{
	enum parse got = PARSE_MORE;

	*used = 0;
	while (got == PARSE_MORE && (*used < len ||
	    (r->state == STATE_BODY && r->left == 0))) {
		const char *p = bytes + *used;
		size_t n = len - *used;

		switch ((enum state)r->state) {
		case STATE_LINE:
			got = line_feed(r, p, n, used);
			break;
		case STATE_DATA:
			got = data_feed(r, p, n, used);
			break;
		case STATE_HEADER:
			got = header_feed(r, p, n, used);
			break;
		case STATE_BODY:
			got = body_feed(r, n, used);
			break;
		}
	}
	return got;
}

/* ---------------------------------------------------------------- filtering */

bool
memcached_reply_wanted(const struct memcached_reply *r)
{
	switch ((enum memcached_quiet)r->ask.quiet) {
	case MEMCACHED_LOUD:
		return true;
	case MEMCACHED_NOREPLY:
		return false;
	case MEMCACHED_NO_EN:
		return !is_word(r, "EN");
	case MEMCACHED_NO_HD:
		return !is_word(r, "HD");
	case MEMCACHED_NO_HD_VA:
		return !is_word(r, "HD") && !is_word(r, "VA");
	case MEMCACHED_NO_MISS:
		return r->status != 1;
	case MEMCACHED_NO_SUCCESS:
		return r->status != 0;
	}
	return true;
}

bool
memcached_reply_streams(const struct memcached_reply *r)
{
	return r->ask.quiet == MEMCACHED_LOUD ||
	    (r->told && memcached_reply_wanted(r));
}

void
memcached_reply_restore(const struct memcached_ask *a, uint64_t at,
    char *bytes, size_t len)
{
	if (a->wire == MEMCACHED_BINARY && a->opcode != a->loud && at <= 1 &&
	    at + len > 1)
		bytes[1 - at] = (char)a->opcode;
}
