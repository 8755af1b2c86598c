/*
 * A line of the text protocol (line.h). It is read word by word; of a word that
 * comes in pieces the first bytes are kept, enough for every number and name
 * that is looked at. Keys are only measured.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/memcached/line.h"

#include <endian.h>
#include <string.h>

/* r->flags */
enum {
	IN_WORD = 1,
	GAP = 2,                /* a space since the last word */
	SAW_CR = 4,             /* just now: LF must follow */
	LAST_NOREPLY = 8,       /* the last word is "noreply" */
	LAST_HTTP = 16,         /* begins with "HTTP/" */
	Q = 32, Q_TWICE = 64,
	LAST_TWO_NOREPLY = 128
};

enum class { WORD, SPACE, LF, CR, CONTROL };

#define C4 CONTROL, CONTROL, CONTROL, CONTROL
static const uint8_t class[256] = {
	C4, C4, CONTROL, CONTROL, LF, CONTROL, CONTROL, CR, CONTROL, CONTROL,
	C4, C4, C4, C4, SPACE, [0x7f] = CONTROL
};

static const char error_unknown[] = "ERROR\r\n";
static const char error_format[] = "CLIENT_ERROR bad command line format\r\n";

enum parse
memcached_line_refuse(struct memcached_request *r, const char *text)
{
	/* memcached 1.6.18, out_string(): not even errors. */
	r->error = r->quiet == MEMCACHED_NOREPLY ? "" : text;
	return PARSE_DONE;
}

/* ------------------------------------------------------------------- words */

/*
 * A number of base 10 into *value; returns the fault it has, 0 if it is one
 * that every reader reads alike. memcached reads with strtol(), strtoul() and
 * strtoull() and keeps the low 32 bits of the first two.
 */
static uint8_t
number_read(const char *text, uint32_t len, bool negative_too, uint64_t most,
    uint64_t *value)
{
	bool minus = text[0] == '-', sign = minus || text[0] == '+';
	uint64_t n = 0;

	if (len > MEMCACHED_WORD_KEPT)
		return MEMCACHED_FAULT_ODD;
	if (len == (sign ? 1u : 0u))
		return MEMCACHED_FAULT_NUMBER;
	for (uint32_t i = sign; i < len; i++) {
		unsigned digit = (unsigned)(uint8_t)text[i] - '0';

		if (digit > 9)
			return MEMCACHED_FAULT_NUMBER;
		/* ERANGE at memcached, for all three of them; 19 digits are
		   below it. */
		if (i >= 19 && n > (UINT64_MAX - digit) / 10)
			return MEMCACHED_FAULT_NUMBER;
		n = n * 10 + digit;
	}
	if (negative_too && n > INT64_MAX)
		return MEMCACHED_FAULT_NUMBER;
	*value = minus ? -n : n;
	if (minus && !negative_too)
		return n > 0 && n <= INT64_MAX ? MEMCACHED_FAULT_NUMBER :
		    MEMCACHED_FAULT_ODD;
	if ((sign && !minus) || n > most)
		return MEMCACHED_FAULT_ODD;
	return 0;
}

/*
 * A length, which memcached reads with strtol() and cuts to 32 bits: so
 * 4294967301 is 5 to it, and "-0" and "+5" are lengths.
 */
static void
length_take(struct memcached_request *r, const char *text, uint32_t len)
{
	uint64_t n = 0;
	uint8_t fault = number_read(text, len, true, MEMCACHED_VALUE_MAX, &n);
	int32_t low = (int32_t)(uint32_t)n;

	if (fault == 0 && text[0] != '-') {
		r->value = n;
		return;
	}
	if (fault == MEMCACHED_FAULT_NUMBER || (len <= MEMCACHED_WORD_KEPT &&
	    (low < 0 || low > MEMCACHED_VALUE_MAX)))
		r->faults |= MEMCACHED_FAULT_NUMBER;
	else
		r->faults |= MEMCACHED_FAULT_LENGTH;
}

static void
key_take(struct memcached_request *r, uint32_t len)
{
	if (len > MEMCACHED_KEY_MAX)
		r->faults |= MEMCACHED_FAULT_KEY;
	if (r->keys++ == 0)
		r->key = (struct memcached_span){ r->word_at, len };
}

static void
flag_take(struct memcached_request *r, char flag)
{
	if (flag == 'b')
		r->key_base64 = true;
	else if (flag == 'q')
		r->flags |= r->flags & Q ? Q_TWICE : Q;
}

static void
store_take(struct memcached_request *r, unsigned n, const char *text,
    uint32_t len)
{
	uint64_t value;

	switch (n) {
	case 1:
		key_take(r, len);
		break;
	case 2: /* protocol.txt: 32 bits, unsigned */
		r->faults |= number_read(text, len, false, UINT32_MAX, &value);
		break;
	case 3:
		r->faults |= number_read(text, len, true, INT32_MAX, &value);
		break;
	case 4:
		length_take(r, text, len);
		break;
	case 5:
		if (r->row->line == MEMCACHED_LINE_CAS)
			r->faults |= number_read(text, len, false, UINT64_MAX,
			    &value);
	}
}

/* A word is whole. Of one above MEMCACHED_WORD_KEPT only so much is there. */
static void
word_take(struct memcached_request *r, const char *text, uint32_t len)
{
	const struct memcached_text *row = r->row;
	unsigned n = r->words++;
	uint64_t value;
	bool last;

	if (n == 0) {
		r->row = memcached_text_find(text, len);
		return;
	}
	last = r->flags & LAST_NOREPLY;
	r->flags &= (uint8_t)~(LAST_NOREPLY | LAST_HTTP | LAST_TWO_NOREPLY);
	if (row == NULL) {
		if (len >= 5 && memcmp(text, "HTTP/", 5) == 0)
			r->flags |= LAST_HTTP;
		return;
	}
	if (len == 7 && memcmp(text, "noreply", 7) == 0)
		r->flags |= last ? LAST_NOREPLY | LAST_TWO_NOREPLY :
		    LAST_NOREPLY;
	switch ((enum memcached_line)row->line) {
	case MEMCACHED_LINE_FREE:
		if (n == 1)
			r->row = memcached_text_sub(row, text, len);
		break;
	case MEMCACHED_LINE_KEYS:
		key_take(r, len);
		break;
	case MEMCACHED_LINE_GAT:
		if (n == 1)
			r->faults |= number_read(text, len, true, INT32_MAX,
			    &value);
		else
			key_take(r, len);
		break;
	case MEMCACHED_LINE_KEY:
		if (n == 1)
			key_take(r, len);
		break;
	case MEMCACHED_LINE_STORE:
	case MEMCACHED_LINE_CAS:
		store_take(r, n, text, len);
		break;
	case MEMCACHED_LINE_META_STORE:
		if (n == 2) {
			length_take(r, text, len);
			break;
		}
		/* fall through */
	case MEMCACHED_LINE_META:
		if (n == 1)
			key_take(r, len);
		else
			flag_take(r, text[0]);
	}
}

/* The bytes from..to end the word; earlier ones were kept. */
static void
word_end(struct memcached_request *r, const char *from, const char *to,
    uint32_t len)
{
	if (r->kept > 0) {
		size_t n = (size_t)(to - from);

		if (n > (size_t)(MEMCACHED_WORD_KEPT - r->kept))
			n = (size_t)(MEMCACHED_WORD_KEPT - r->kept);
		memcpy(r->word + r->kept, from, n);
		from = r->word;
	}
	word_take(r, from, len);
	r->kept = 0;
	r->flags &= (uint8_t)~IN_WORD;
}

static void
word_keep(struct memcached_request *r, const char *from, const char *to)
{
	size_t n = (size_t)(to - from);

	if (n > (size_t)(MEMCACHED_WORD_KEPT - r->kept))
		n = (size_t)(MEMCACHED_WORD_KEPT - r->kept);
	memcpy(r->word + r->kept, from, n);
	r->kept = (uint8_t)(r->kept + n);
}

/* ------------------------------------------------------------ a whole line */

/* A storage command's line is fine, or wrong in what memcached would not mind:
   its value is read, or read and dropped. */
static enum parse
value_begin(struct memcached_request *r, const char *error)
{
	r->body = r->left = r->value + 2;
	r->state = MEMCACHED_STATE_VALUE;
	if (error != NULL) {
		(void)memcached_line_refuse(r, error);
		r->state = MEMCACHED_STATE_SWALLOW;
	}
	return PARSE_MORE;
}

static enum parse
store_end(struct memcached_request *r)
{
	bool noreply = r->flags & LAST_NOREPLY;

	if (r->faults & MEMCACHED_FAULT_BYTES) {
		(void)memcached_line_refuse(r, error_format);
		return PARSE_BAD;
	}
	if (r->faults & (MEMCACHED_FAULT_KEY | MEMCACHED_FAULT_NUMBER))
		return memcached_line_refuse(r, error_format);
	if (r->faults & MEMCACHED_FAULT_LENGTH) {
		(void)memcached_line_refuse(r, error_format);
		return PARSE_BAD;
	}
	/* memcached takes any last word, and answers if it is another one. */
	if (r->words == r->row->most && !noreply)
		r->faults |= MEMCACHED_FAULT_ODD;
	return value_begin(r, r->faults & MEMCACHED_FAULT_ODD ?
	    error_format : NULL);
}

static const char *
meta_fault(const struct memcached_request *r)
{
	bool get = r->command == MEMCACHED_MG;

	if (r->keys == 0 || r->faults & MEMCACHED_FAULT_KEY)
		return error_format;
	if (r->words > MEMCACHED_META_TOKENS_MAX &&
	    r->command != MEMCACHED_ME)
		return get ? "CLIENT_ERROR options flags are too long\r\n" :
		    "CLIENT_ERROR options flags too long\r\n";
	if (r->flags & Q_TWICE && r->command != MEMCACHED_ME)
		return get ? "CLIENT_ERROR duplicate flag\r\n" :
		    "CLIENT_ERROR invalid or duplicate flag\r\n";
	return NULL;
}

static enum parse
meta_store_end(struct memcached_request *r)
{
	const char *fault;

	if (r->faults & MEMCACHED_FAULT_BYTES) {
		r->error = error_format;
		return PARSE_BAD;
	}
	if (r->words < 3 || r->faults & MEMCACHED_FAULT_KEY)
		return memcached_line_refuse(r, error_format);
	if (r->words > MEMCACHED_META_TOKENS_MAX)
		return memcached_line_refuse(r,
		    "CLIENT_ERROR options flags too long\r\n");
	if (r->faults & MEMCACHED_FAULT_NUMBER)
		return memcached_line_refuse(r, error_format);
	if (r->faults & MEMCACHED_FAULT_LENGTH) {
		r->error = error_format;
		return PARSE_BAD;
	}
	/* Any other fault of the flags the server finds, and it swallows the
	   value then (memcached 1.6.18, process_mset_command). */
	fault = r->flags & Q_TWICE ? "CLIENT_ERROR duplicate flag\r\n" : NULL;
	return value_begin(r, fault);
}

static enum parse
gat_end(struct memcached_request *r)
{
	if (r->faults & MEMCACHED_FAULT_NUMBER)
		return memcached_line_refuse(r,
		    "CLIENT_ERROR invalid exptime argument\r\n");
	if (r->faults & MEMCACHED_FAULT_KEY)
		return memcached_line_refuse(r, error_format);
	/* It is answered like that, and names no key to go by. */
	return r->keys == 0 ? memcached_line_refuse(r, "END\r\n") : PARSE_DONE;
}

static void
quiet_find(struct memcached_request *r)
{
	const struct memcached_text *row = r->row;

	if (r->flags & LAST_NOREPLY && row->noreply > 0 &&
	    r->words >= row->noreply)
		r->quiet = MEMCACHED_NOREPLY;
	else if (r->flags & Q)
		r->quiet = row->quiet;
	if (r->quiet != MEMCACHED_LOUD)
		r->rewrite = true;
}

/* PARSE_MORE: there is a value behind it. */
static enum parse
line_end(struct memcached_request *r)
{
	const struct memcached_text *row = r->row;
	const char *fault;

	if (row == NULL) {
		/* memcached 1.6.18 closes in silence: a browser was made to
		   send what else is in there. */
		r->error = r->flags & LAST_HTTP ? "" : error_unknown;
		return r->flags & LAST_HTTP ? PARSE_BAD : PARSE_DONE;
	}
	r->command = row->command;
	r->how = row->how;
	r->shape = row->shape;
	r->refusal = row->refusal;
	if (r->words < row->least || (row->most > 0 && r->words > row->most)) {
		r->error = error_unknown;
		return PARSE_DONE;
	}
	quiet_find(r);
	/* "touch a noreply": memcached takes "noreply" for the time too, finds
	   that it is none, and says nothing. The same with two of them, of
	   which the first would be a "noreply" to the upstream: no reply at
	   all, where one is waited for. */
	if (r->quiet == MEMCACHED_NOREPLY && (r->words == row->least ||
	    (r->flags & LAST_TWO_NOREPLY && r->words > row->noreply)))
		return memcached_line_refuse(r, error_format);
	if (row->how == MEMCACHED_REFUSED)
		return memcached_line_refuse(r, row->refusal);
	if (row->line == MEMCACHED_LINE_STORE ||
	    row->line == MEMCACHED_LINE_CAS)
		return store_end(r);
	if (row->line == MEMCACHED_LINE_META_STORE)
		return meta_store_end(r);
	if (r->faults & MEMCACHED_FAULT_BYTES)
		return memcached_line_refuse(r, error_format);
	if (row->line == MEMCACHED_LINE_GAT)
		return gat_end(r);
	fault = row->line == MEMCACHED_LINE_META ? meta_fault(r) :
	    r->faults & MEMCACHED_FAULT_KEY ? error_format : NULL;
	return fault != NULL ? memcached_line_refuse(r, fault) : PARSE_DONE;
}

/* ----------------------------------------------------------------- a line */

/* memcached 1.6.18, try_read_command_ascii(): above 2048 bytes without a line
   end only these two are read on. */
static uint32_t
line_limit(const struct memcached_request *r)
{
	return r->row != NULL && r->row->long_line ? MEMCACHED_LONG_LINE_MAX :
	    MEMCACHED_LINE_MAX;
}

/* A byte that is not of a word; at is its position. True = the line's end. */
static bool
separator_take(struct memcached_request *r, uint8_t kind)
{
	if (r->flags & SAW_CR && kind != LF)
		r->faults |= MEMCACHED_FAULT_BYTES;
	switch ((enum class)kind) {
	case SPACE:
		/* Written anew with one between words and none elsewhere. */
		if (r->flags & GAP || r->words == 0)
			r->rewrite = true;
		r->flags |= GAP;
		break;
	case CR:
		r->flags |= SAW_CR;
		return false;
	case LF:
		if (r->flags & GAP || !(r->flags & SAW_CR))
			r->rewrite = true;
		return true;
	case CONTROL:
	case WORD:
		r->faults |= MEMCACHED_FAULT_BYTES;
	}
	r->flags &= (uint8_t)~SAW_CR;
	return false;
}

/* The first byte from p on that is not of a word, or end: most of a line are
   words, so eight bytes at a time. */
static const char *
word_skip(const char *p, const char *end)
{
	const uint64_t ones = 0x0101010101010101, tops = ones << 7;

	for (; end - p >= 8; p += 8) {
		uint64_t x, del, hit;

		memcpy(&x, p, 8);
		x = le64toh(x);
		del = x ^ ones * 0x7f;
		/* Bytes below 0x21, and 0x7f; the lowest mark is never false
		   (a borrow only goes upwards). */
		hit = (((x - ones * 0x21) & ~x) | ((del - ones) & ~del)) & tops;
		if (hit != 0)
			return p + __builtin_ctzll(hit) / 8;
	}
	while (p < end && class[(uint8_t)*p] == WORD)
		p++;
	return p;
}

/* From *at to end or behind the line's end, which is PARSE_DONE. */
static enum parse
line_scan(struct memcached_request *r, const char *bytes, const char **at,
    const char *end)
{
	const char *p = *at, *from = p;

	while (p < end) {
		uint8_t kind = class[(uint8_t)*p];

		if (kind == WORD) {
			if (!(r->flags & IN_WORD)) {
				if (r->flags & SAW_CR)
					r->faults |= MEMCACHED_FAULT_BYTES;
				r->flags &= (uint8_t)~(GAP | SAW_CR);
				r->flags |= IN_WORD;
				r->word_at = (uint32_t)(r->size +
				    (uint64_t)(p - bytes));
				from = p;
			}
			p = word_skip(p + 1, end);
			continue;
		}
		if (r->flags & IN_WORD)
			word_end(r, from, p, (uint32_t)(r->size +
			    (uint64_t)(p - bytes)) - r->word_at);
		p++;
		if (separator_take(r, kind)) {
			*at = p;
			return PARSE_DONE;
		}
	}
	if (r->flags & IN_WORD)
		word_keep(r, from, p);
	*at = p;
	return PARSE_MORE;
}

enum parse
memcached_line_feed(struct memcached_request *r, const char *bytes, size_t len,
    size_t *used)
{
	const char *p = bytes;

	for (;;) {
		uint64_t room = line_limit(r) - r->size;
		enum parse got = line_scan(r, bytes, &p,
		    bytes + (len < room ? len : room));

		*used = (size_t)(p - bytes);
		if (got == PARSE_DONE) {
			r->size += *used;
			r->head = (uint32_t)r->size;
			return line_end(r);
		}
		if (r->size + *used >= line_limit(r)) {
			r->error = "CLIENT_ERROR line too long\r\n";
			return PARSE_BAD;
		}
		if (*used == len) {
			r->size += len;
			return PARSE_MORE;
		}
	}
}
