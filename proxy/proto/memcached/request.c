/*
 * The reader of request.h. A line is read word by word; of a word that comes
 * in pieces the first bytes are kept, enough for every number and name that
 * is looked at. Keys are only measured.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/memcached/request.h"

#include <string.h>

enum state {
	STATE_START,
	STATE_LINE,
	STATE_VALUE,            /* r->left bytes, the last two CR LF */
	STATE_SWALLOW,          /* r->left bytes of a refused request */
	STATE_HEADER,
	STATE_BODY              /* r->left bytes behind a binary header */
};

/* r->flags */
enum {
	IN_WORD = 1,
	GAP = 2,                /* a space since the last word */
	SAW_CR = 4,             /* just now: LF must follow */
	LAST_NOREPLY = 8,       /* the last word is "noreply" */
	LAST_HTTP = 16,         /* begins with "HTTP/" */
	Q = 32, Q_TWICE = 64
};

/* r->faults; where memcached takes the line to be wrong it reads on behind it,
   even if a value was to follow. */
enum {
	FAULT_BYTES = 1,        /* NUL, control characters: what memcached
				   makes of them depends on where they are */
	FAULT_KEY = 2,          /* over 250 bytes */
	FAULT_NUMBER = 4,       /* memcached refuses it */
	FAULT_ODD = 8,          /* memcached takes it: 64 bits for 32, a sign */
	FAULT_LENGTH = 16,      /* the same, of the length of what follows */
	FAULT_CHUNK = 32        /* no CR LF behind the value */
};

enum class { WORD, SPACE, LF, CR, CONTROL };

#define C4 CONTROL, CONTROL, CONTROL, CONTROL
static const uint8_t class[256] = {
	C4, C4, CONTROL, CONTROL, LF, CONTROL, CONTROL, CR, CONTROL, CONTROL,
	C4, C4, C4, C4, SPACE, [0x7f] = CONTROL
};

static const char error_unknown[] = "ERROR\r\n";
static const char error_format[] = "CLIENT_ERROR bad command line format\r\n";
static const char error_chunk[] = "CLIENT_ERROR bad data chunk\r\n";

void
memcached_request_init(struct memcached_request *r, enum memcached_wire wire)
{
	/* What words hold is not read before it is written. */
	memset(r, 0, offsetof(struct memcached_request, word));
	r->wire = (uint8_t)wire;
}

static enum parse
refuse(struct memcached_request *r, const char *text)
{
	/* memcached 1.6.18, out_string(): not even errors. */
	r->error = r->quiet == MEMCACHED_NOREPLY ? "" : text;
	return PARSE_DONE;
}

/* --------------------------------------------------------------- its words */

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
		return FAULT_ODD;
	if (len == sign)
		return FAULT_NUMBER;
	for (uint32_t i = sign; i < len; i++) {
		unsigned digit = (unsigned)(uint8_t)text[i] - '0';

		if (digit > 9)
			return FAULT_NUMBER;
		/* ERANGE at memcached, for all three of them */
		if (n > (UINT64_MAX - digit) / 10)
			return FAULT_NUMBER;
		n = n * 10 + digit;
	}
	if (negative_too && n > INT64_MAX)
		return FAULT_NUMBER;
	*value = minus ? -n : n;
	if (minus && !negative_too)
		return n > 0 && n <= INT64_MAX ? FAULT_NUMBER : FAULT_ODD;
	if ((sign && !minus) || n > most)
		return FAULT_ODD;
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
	if (fault == FAULT_NUMBER || (len <= MEMCACHED_WORD_KEPT &&
	    (low < 0 || low > MEMCACHED_VALUE_MAX)))
		r->faults |= FAULT_NUMBER;
	else
		r->faults |= FAULT_LENGTH;
}

static void
key_take(struct memcached_request *r, uint32_t len)
{
	if (len > MEMCACHED_KEY_MAX)
		r->faults |= FAULT_KEY;
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

	if (n == 0) {
		r->row = memcached_text_find(text, len);
		return;
	}
	r->flags &= (uint8_t)~(LAST_NOREPLY | LAST_HTTP);
	if (row == NULL) {
		if (len >= 5 && memcmp(text, "HTTP/", 5) == 0)
			r->flags |= LAST_HTTP;
		return;
	}
	if (len == 7 && memcmp(text, "noreply", 7) == 0)
		r->flags |= LAST_NOREPLY;
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
	r->state = STATE_VALUE;
	if (error != NULL) {
		(void)refuse(r, error);
		r->state = STATE_SWALLOW;
	}
	return PARSE_MORE;
}

static enum parse
store_end(struct memcached_request *r)
{
	bool noreply = r->flags & LAST_NOREPLY;

	if (r->faults & FAULT_BYTES) {
		(void)refuse(r, error_format);
		return PARSE_BAD;
	}
	if (r->faults & (FAULT_KEY | FAULT_NUMBER))
		return refuse(r, error_format);
	if (r->faults & FAULT_LENGTH) {
		(void)refuse(r, error_format);
		return PARSE_BAD;
	}
	/* memcached takes any last word, and answers if it is another one. */
	if (r->words == r->row->most && !noreply)
		r->faults |= FAULT_ODD;
	return value_begin(r, r->faults & FAULT_ODD ? error_format : NULL);
}

static const char *
meta_fault(const struct memcached_request *r)
{
	bool get = r->command == MEMCACHED_MG;

	if (r->keys == 0 || r->faults & FAULT_KEY)
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

	if (r->faults & FAULT_BYTES) {
		r->error = error_format;
		return PARSE_BAD;
	}
	if (r->words < 3 || r->faults & FAULT_KEY)
		return refuse(r, error_format);
	if (r->words > MEMCACHED_META_TOKENS_MAX)
		return refuse(r, "CLIENT_ERROR options flags too long\r\n");
	if (r->faults & FAULT_NUMBER)
		return refuse(r, error_format);
	if (r->faults & FAULT_LENGTH) {
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
	if (r->faults & FAULT_NUMBER)
		return refuse(r,
		    "CLIENT_ERROR invalid exptime argument\r\n");
	if (r->faults & FAULT_KEY)
		return refuse(r, error_format);
	/* It is answered like that, and names no key to go by. */
	return r->keys == 0 ? refuse(r, "END\r\n") : PARSE_DONE;
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
	if (row->how == MEMCACHED_REFUSED)
		return refuse(r, row->refusal);
	if (row->line == MEMCACHED_LINE_STORE ||
	    row->line == MEMCACHED_LINE_CAS)
		return store_end(r);
	if (row->line == MEMCACHED_LINE_META_STORE)
		return meta_store_end(r);
	if (r->faults & FAULT_BYTES)
		return refuse(r, error_format);
	if (row->line == MEMCACHED_LINE_GAT)
		return gat_end(r);
	fault = row->line == MEMCACHED_LINE_META ? meta_fault(r) :
	    r->faults & FAULT_KEY ? error_format : NULL;
	return fault != NULL ? refuse(r, fault) : PARSE_DONE;
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
		r->faults |= FAULT_BYTES;
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
		r->faults |= FAULT_BYTES;
	}
	r->flags &= (uint8_t)~SAW_CR;
	return false;
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
					r->faults |= FAULT_BYTES;
				r->flags &= (uint8_t)~(GAP | SAW_CR);
				r->flags |= IN_WORD;
				r->word_at = (uint32_t)(r->size +
				    (uint64_t)(p - bytes));
				from = p;
			}
			do
				p++;
			while (p < end && class[(uint8_t)*p] == WORD);
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

static enum parse
line_feed(struct memcached_request *r, const char *bytes, size_t len,
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

/* Bytes of a value and the CR LF behind it, of which either may be the first
   of a piece. */
static enum parse
value_feed(struct memcached_request *r, const char *bytes, size_t len,
    size_t *used)
{
	size_t take = r->left < len ? (size_t)r->left : len;

	if (r->left - take < 2 && r->state == STATE_VALUE) {
		if (r->left >= 2 && bytes[r->left - 2] != '\r')
			r->faults |= FAULT_CHUNK;
		if (r->left == take && take > 0 && bytes[take - 1] != '\n')
			r->faults |= FAULT_CHUNK;
	}
	r->left -= take;
	r->size += take;
	*used += take;
	if (r->left > 0)
		return PARSE_MORE;
	if (r->faults & FAULT_CHUNK)
		(void)refuse(r, error_chunk);
	return PARSE_DONE;
}

/* ------------------------------------------------------------------ binary */

static uint32_t
read_u32(const char *bytes)
{
	const uint8_t *b = (const uint8_t *)bytes;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
	    (uint32_t)b[2] << 8 | b[3];
}

static enum parse
packet_refuse(struct memcached_request *r, uint16_t status, const char *text,
    enum parse how)
{
	r->status = status;
	r->error = text;
	r->state = STATE_SWALLOW;
	return how;
}

/* What memcached 1.6.18 demands of an opcode's lengths
   (dispatch_bin_command), and no byte behind the key that it would not read. */
static bool
packet_is_sound(const struct memcached_opcode *row, uint8_t extras,
    uint32_t key, uint32_t value)
{
	if (extras != row->extras && !(row->extras_optional && extras == 0))
		return false;
	if (key == 0 ? row->has_key : !row->may_have_key)
		return false;
	return value == 0 || row->has_value;
}

/* PARSE_MORE: go on with r->left bytes. */
static enum parse
packet_begin(struct memcached_request *r, const char *h)
{
	const struct memcached_opcode *row;
	uint32_t body = read_u32(h + 8), key = read_u32(h) & 0xffff;
	uint8_t extras = (uint8_t)h[4];

	/* memcached 1.6.18 closes in silence. */
	if ((uint8_t)h[0] != 0x80) {
		r->error = "";
		return PARSE_BAD;
	}
	r->opcode = (uint8_t)h[1];
	memcpy(&r->opaque, h + 12, sizeof(r->opaque));
	row = memcached_opcode_find(r->opcode);
	r->head = MEMCACHED_HEADER;
	r->body = r->left = body;
	r->state = STATE_BODY;
	if (key + extras > body)
		return packet_refuse(r, 0x81, "Unknown command", PARSE_BAD);
	if (key > MEMCACHED_KEY_MAX)
		return packet_refuse(r, 0x04, "Invalid arguments", PARSE_BAD);
	r->command = row->command;
	r->how = row->how;
	r->shape = row->shape;
	r->quiet = row->quiet;
	if (row->command == MEMCACHED_UNKNOWN)
		return packet_refuse(r, 0x81, "Unknown command", PARSE_MORE);
	r->value = body - extras - key;
	if (!packet_is_sound(row, extras, key, body - extras - key))
		return packet_refuse(r, 0x04, "Invalid arguments", PARSE_BAD);
	if (r->value > MEMCACHED_VALUE_MAX)
		return packet_refuse(r, 0x03, "Too large.", PARSE_BAD);
	if (row->how == MEMCACHED_REFUSED)
		return packet_refuse(r, 0x81, "Unknown command", PARSE_MORE);
	r->rewrite = row->loud != r->opcode;
	if (row->has_key) {
		r->keys = 1;
		r->key = (struct memcached_span){ MEMCACHED_HEADER + extras,
		    key };
	}
	return PARSE_MORE;
}

static enum parse
header_feed(struct memcached_request *r, const char *bytes, size_t len,
    size_t *used)
{
	size_t missing = MEMCACHED_HEADER - (size_t)r->kept;
	const char *h = bytes;

	*used = len < missing ? len : missing;
	if (r->kept > 0 || len < missing) {
		memcpy(r->word + r->kept, bytes, *used);
		r->kept = (uint8_t)(r->kept + *used);
		h = r->word;
	}
	r->size += *used;
	return len < missing ? PARSE_MORE : packet_begin(r, h);
}

_Static_assert(sizeof(((struct memcached_request *)0)->word) >=
    MEMCACHED_HEADER, "a header is kept there");

enum parse
memcached_request_feed(struct memcached_request *r, const char *bytes,
    size_t len, size_t *used)
{
	enum parse got;

	*used = 0;
	if (len == 0)
		return PARSE_MORE;
	if (r->state == STATE_START) {
		if (r->wire == MEMCACHED_UNTOLD)
			r->wire = (uint8_t)bytes[0] == 0x80 ?
			    MEMCACHED_BINARY : MEMCACHED_TEXT;
		r->state = r->wire == MEMCACHED_BINARY ? STATE_HEADER :
		    STATE_LINE;
	}
	if (r->state == STATE_LINE || r->state == STATE_HEADER) {
		got = r->state == STATE_LINE ? line_feed(r, bytes, len, used) :
		    header_feed(r, bytes, len, used);
		if (got != PARSE_MORE || r->head == 0)
			return got;
	}
	return value_feed(r, bytes + *used, len - *used, used);
}
