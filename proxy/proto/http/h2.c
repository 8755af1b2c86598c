/*
 * Fields of HTTP/2 that come, checked and put together as HTTP/1.1 head text.
 * See h2.h.
 *
 * Section numbers without a name are those of RFC 9113.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/h2.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "proxy/proto/http/fields.h"

enum {
	START_BYTES = 96,       /* start line and Host beside their values */
	END_BYTES = 192,        /* what h2_text_end() may add */
	CRUMBS_MOST = 512,      /* each may move the rest of the head */
	BLOCK_MOST = 2 * HTTP_HEAD_MAX + START_BYTES + END_BYTES
};

/* ------------------------------------------------------------ what is valid */

bool
h2_name_valid(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((http_byte_class[(uint8_t)name[i]] & TOKEN) == 0 ||
		    (name[i] >= 'A' && name[i] <= 'Z'))
			return false;
	return len > 0;
}

static inline bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool
h2_value_valid(const char *value, size_t len)
{
	if (len == 0)
		return true;
	return !is_blank(value[0]) && !is_blank(value[len - 1]) &&
	    http_skip_value(value, value + len) == value + len;
}

bool
h2_name_is_connection(const char *name, size_t len)
{
	switch (len) {
	case 7:
		return IS_WORD(name, len, "upgrade");
	case 10:
		return IS_WORD(name, len, "connection") ||
		    IS_WORD(name, len, "keep-alive");
	case 14:
		return IS_WORD(name, len, "http2-settings");
	case 16:
		return IS_WORD(name, len, "proxy-connection");
	case 17:
		return IS_WORD(name, len, "transfer-encoding");
	default:
		return false;
	}
}

/* ------------------------------------------------------------------ writing */

static void
refuse(struct h2_text *t, unsigned refusal, const char *why)
{
	if (t->refusal != 0)
		return;
	t->refusal = (uint16_t)(t->kind == H2_ANSWER && refusal != 503 ?
	    502 : refusal);
	t->why = why;
}

static size_t
block_size_for(size_t len)
{
	return len <= BUF_SMALL ? BUF_SMALL : len <= BUF_MEDIUM ? BUF_MEDIUM :
	    BLOCK_MOST;
}

/* Is there room for n more bytes? */
static bool
make_room(struct h2_text *t, size_t n)
{
	struct block *more;

	if (t->block != NULL && t->block->size - t->len >= n)
		return true;
	if (t->len + n > BLOCK_MOST) {
		refuse(t, 431, "head too large");
		return false;
	}
	more = block_new(t->store, block_size_for(t->len + n));
	if (more == NULL) {
		refuse(t, 503, "out of memory");
		return false;
	}
	if (t->block != NULL) {
		memcpy(more->bytes, t->block->bytes, t->len);
		block_drop(t->store, t->block);
	}
	t->block = more;
	return true;
}

/* There is room for it. */
static inline void
put(struct h2_text *t, const char *bytes, size_t len)
{
	if (len > 0)
		memcpy(t->block->bytes + t->len, bytes, len);
	t->len += (uint32_t)len;
}

#define PUT(t, literal) put(t, literal, sizeof(literal) - 1)

static void
put_part(struct h2_text *t, const struct h2_part *part)
{
	put(t, t->block->bytes + part->at, part->len);
}

static void
put_line(struct h2_text *t, const char *name, size_t name_len,
    const char *value, size_t value_len)
{
	put(t, name, name_len);
	PUT(t, ": ");
	put(t, value, value_len);
	PUT(t, "\r\n");
}

static const char *
at_part(const struct h2_text *t, const struct h2_part *part)
{
	return t->block->bytes + part->at;
}

/* ----------------------------------------------------- pseudo-header fields */

static struct h2_part *
pseudo_of(struct h2_text *t, const char *name, size_t len)
{
	if (IS_WORD(name, len, ":path"))
		return &t->path;
	if (IS_WORD(name, len, ":method"))
		return &t->method;
	if (IS_WORD(name, len, ":scheme"))
		return &t->scheme;
	if (IS_WORD(name, len, ":authority"))
		return &t->authority;
	if (IS_WORD(name, len, ":protocol"))
		return &t->protocol;
	return NULL;
}

static bool
status_take(struct h2_text *t, const char *value, size_t len)
{
	size_t i;

	if (t->status != 0)
		refuse(t, 400, "repeated :status");
	else if (len != 3 || value[0] < '1' || value[0] > '9')
		refuse(t, 400, "bad :status");
	for (i = 0; i < len && t->refusal == 0; i++) {
		if (value[i] < '0' || value[i] > '9')
			refuse(t, 400, "bad :status");
		t->status = (uint16_t)(t->status * 10 + (value[i] - '0'));
	}
	return t->refusal == 0;
}

/* 8.3: before all others, known, and each once. */
static void
pseudo_add(struct h2_text *t, const char *name, size_t name_len,
    const char *value, size_t len)
{
	struct h2_part *part;

	if (t->kind == H2_TRAILERS || t->begun) {
		refuse(t, 400, "pseudo-header field out of place");
		return;
	}
	if (t->kind == H2_ANSWER) {
		if (name_len == 7 && memcmp(name, ":status", 7) == 0)
			(void)status_take(t, value, len);
		else
			refuse(t, 400, "unknown pseudo-header field");
		return;
	}
	/* IS_WORD() is deaf to case, which counts here. */
	part = h2_name_valid(name + 1, name_len - 1) ?
	    pseudo_of(t, name, name_len) : NULL;
	if (part == NULL) {
		refuse(t, 400, "unknown pseudo-header field");
		return;
	}
	if (part->there) {
		refuse(t, 400, "repeated pseudo-header field");
		return;
	}
	if (len > t->max_bytes) {
		refuse(t, part == &t->path ? 414 : 431, "head too large");
		return;
	}
	if (!make_room(t, len))
		return;
	*part = (struct h2_part){ t->len, (uint32_t)len, true };
	put(t, value, len);
}

static bool
is_all(const struct h2_text *t, const struct h2_part *part, uint8_t class)
{
	const char *p = at_part(t, part), *end = p + part->len;

	return part->len > 0 && skip_class(p, end, class) == end;
}

static bool
part_is(const struct h2_text *t, const struct h2_part *part, const char *word)
{
	size_t len = strlen(word);

	return part->there && part->len == len &&
	    memcmp(at_part(t, part), word, len) == 0;
}

/* 8.3.1: ":path" begins with "/", or is "*" for OPTIONS. Nothing else would be
   read as a path by who gets it in a request line. */
static bool
path_valid(const struct h2_text *t)
{
	if (!t->path.there || !is_all(t, &t->path, TARGET))
		return false;
	return *at_part(t, &t->path) == '/' || (part_is(t, &t->path, "*") &&
	    part_is(t, &t->method, "OPTIONS"));
}

/* The host, not empty and without user information (8.3.1); bytes that are no
   host's are refused by the parser. */
static bool
authority_valid(const struct h2_text *t)
{
	return is_all(t, &t->authority, TARGET) &&
	    memchr(at_part(t, &t->authority), '@', t->authority.len) == NULL;
}

/* NULL, or what is wrong with them together. */
static const char *
pseudo_fault(const struct h2_text *t)
{
	bool connect;

	if (!t->method.there || !is_all(t, &t->method, TOKEN))
		return "bad :method";
	if (t->authority.there && !authority_valid(t))
		return "bad :authority";
	connect = part_is(t, &t->method, "CONNECT");
	if (t->protocol.there && !connect)      /* RFC 8441 4 */
		return ":protocol without CONNECT";
	if (connect && !t->authority.there)
		return "CONNECT without :authority";
	if (connect && !t->protocol.there)      /* 8.5 */
		return t->path.there || t->scheme.there ?
		    "CONNECT with :path or :scheme" : NULL;
	if (t->protocol.there && !part_is(t, &t->protocol, "websocket"))
		return "unknown :protocol";
	if (!part_is(t, &t->scheme, "http") && !part_is(t, &t->scheme, "https"))
		return "bad :scheme";
	return path_valid(t) ? NULL : "bad :path";
}

static void
request_line(struct h2_text *t)
{
	if (t->protocol.there)
		PUT(t, "GET");
	else
		put_part(t, &t->method);
	PUT(t, " ");
	put_part(t, t->path.there ? &t->path : &t->authority);
	PUT(t, " HTTP/1.1\r\n");
	if (!t->authority.there)
		return;
	PUT(t, "Host: ");
	t->host = (struct h2_part){ t->len, t->authority.len, true };
	put_part(t, &t->authority);
	PUT(t, "\r\n");
}

/* All pseudo-header fields have come: what they are is written first. */
static bool
begin(struct h2_text *t)
{
	const char *why = NULL;
	size_t bytes = START_BYTES + t->method.len + t->path.len +
	    2 * (size_t)t->authority.len;

	t->begun = true;
	if (t->kind == H2_REQUEST)
		why = pseudo_fault(t);
	else if (t->kind == H2_ANSWER && t->status == 0)
		why = "no :status";
	else if (t->status == 101)      /* 8.6 */
		why = "101 in HTTP/2";
	if (why != NULL) {
		refuse(t, 400, why);
		return false;
	}
	if (!make_room(t, bytes))
		return false;
	t->start = t->len;
	if (t->kind == H2_REQUEST)
		request_line(t);
	else if (t->kind == H2_ANSWER) {
		char digits[3] = { (char)('0' + t->status / 100),
		    (char)('0' + t->status / 10 % 10),
		    (char)('0' + t->status % 10) };

		PUT(t, "HTTP/1.1 ");
		put(t, digits, sizeof(digits));
		PUT(t, " \r\n");
	}
	if (t->len - t->start > t->max_bytes)
		refuse(t, 414, "head too large");
	return t->refusal == 0;
}

/* ------------------------------------------------------------------- fields */

/* 8.2.3: crumbs are joined, wherever they stand. False: it was the first. */
static bool
cookie_join(struct h2_text *t, const char *value, size_t len)
{
	char *end;

	if (t->cookie_end == 0)
		return false;
	if (++t->n_crumbs > CRUMBS_MOST) {
		refuse(t, 431, "too many fields");
		return true;
	}
	if (!make_room(t, len + 2))
		return true;
	end = t->block->bytes + t->cookie_end;
	memmove(end + len + 2, end, t->len - t->cookie_end);
	memcpy(end, "; ", 2);
	if (len > 0)
		memcpy(end + 2, value, len);
	t->len += (uint32_t)len + 2;
	if (t->host.there && t->host.at > t->cookie_end)
		t->host.at += (uint32_t)len + 2;
	t->cookie_end += (uint32_t)len + 2;
	return true;
}

/* 8.1.1: it has to agree with DATA, so it is looked at here. */
static void
length_note(struct h2_text *t, const char *value, size_t len)
{
	size_t i;

	if (t->has_length || len == 0)
		refuse(t, 400, "bad Content-Length");
	t->has_length = true;
	for (i = 0; i < len; i++) {
		unsigned digit = (unsigned)(value[i] - '0');

		if (digit > 9 || t->length >
		    ((uint64_t)INT64_MAX - digit) / 10) {
			refuse(t, 400, "bad Content-Length");
			return;
		}
		t->length = t->length * 10 + digit;
	}
}

/* 8.3.1: :authority is what counts, and a Host beside it says the same. True:
   it is written already. */
static bool
host_known(struct h2_text *t, const char *value, size_t len)
{
	if (!t->host.there) {
		t->host = (struct h2_part){ t->len + sizeof("host: ") - 1,
		    (uint32_t)len, true };
		return false;
	}
	if (len != t->host.len ||
	    !http_same_word(value, at_part(t, &t->host), len))
		refuse(t, 400, "Host differs from :authority");
	return true;
}

/* True: nothing is to be written for it. */
static bool
request_note(struct h2_text *t, const char *name, size_t name_len,
    const char *value, size_t len)
{
	if (IS_WORD(name, name_len, "cookie"))
		return cookie_join(t, value, len);
	if (IS_WORD(name, name_len, "host"))
		return host_known(t, value, len);
	/* RFC 8441 5: they are of HTTP/1.1's handshake. */
	return t->protocol.there &&
	    (IS_WORD(name, name_len, "sec-websocket-key") ||
	    IS_WORD(name, name_len, "sec-websocket-accept"));
}

static bool
field_valid(struct h2_text *t, const char *name, size_t name_len,
    const char *value, size_t len)
{
	if (!h2_name_valid(name, name_len))
		refuse(t, 400, "bad field name");
	else if (!h2_value_valid(value, len))
		refuse(t, 400, "bad field value");
	else if (h2_name_is_connection(name, name_len))
		refuse(t, 400, "connection-specific field");
	else if (IS_WORD(name, name_len, "te") &&
	    !IS_WORD(value, len, "trailers"))           /* 8.2.2 */
		refuse(t, 400, "bad TE");
	return t->refusal == 0;
}

static void
field_add(struct h2_text *t, const char *name, size_t name_len,
    const char *value, size_t len)
{
	size_t bytes = name_len + len + 4;

	if (!field_valid(t, name, name_len, value, len))
		return;
	if (t->len - t->start + bytes + 2 > t->max_bytes) {
		refuse(t, 431, "head too large");
		return;
	}
	if (t->kind == H2_REQUEST &&
	    request_note(t, name, name_len, value, len))
		return;
	if (t->kind == H2_TRAILERS && http_trailer_forbidden(name, name_len))
		return;                 /* as in HTTP/1.1's */
	if (t->kind != H2_TRAILERS && IS_WORD(name, name_len, "content-length"))
		length_note(t, value, len);
	if (++t->n_fields > t->max_fields)
		refuse(t, 431, "too many fields");
	if (t->refusal != 0 || !make_room(t, bytes))
		return;
	put_line(t, name, name_len, value, len);
	if (t->kind == H2_REQUEST && IS_WORD(name, name_len, "cookie"))
		t->cookie_end = t->len - 2;
}

void
h2_text_begin(struct h2_text *t, struct block_store *s, enum h2_kind kind,
    unsigned max_fields, unsigned max_bytes)
{
	*t = (struct h2_text){ .store = s, .kind = (uint8_t)kind,
	    .max_fields = max_fields, .max_bytes = max_bytes };
	if (kind == H2_TRAILERS) {
		t->max_fields = HTTP_TRAILERS_MAX;
		t->max_bytes = HTTP_TRAILER_MAX;
	}
}

void
h2_text_add(struct h2_text *t, const char *name, size_t name_len,
    const char *value, size_t value_len)
{
	t->offered += name_len + value_len;
	if (t->refusal != 0)
		return;
	if (name_len > HTTP_HEAD_MAX || value_len > HTTP_HEAD_MAX)
		refuse(t, 431, "head too large");
	else if (name_len > 0 && name[0] == ':')
		pseudo_add(t, name, name_len, value, value_len);
	else if (t->begun || begin(t))
		field_add(t, name, name_len, value, value_len);
}

/* ------------------------------------------------------------------ the end */

/* RFC 9110 8.6: who has no body where one is usual says so, or a server may want
   to be told its length. */
static bool
expects_body(const struct h2_text *t)
{
	return part_is(t, &t->method, "POST") ||
	    part_is(t, &t->method, "PUT") || part_is(t, &t->method, "PATCH");
}

static void
frame_request(struct h2_text *t, bool ends)
{
	if (part_is(t, &t->method, "CONNECT")) {
		if (t->has_length)      /* RFC 9110 9.3.6 */
			refuse(t, 400, "CONNECT with a length");
		return;
	}
	if (ends && t->length > 0)
		refuse(t, 400, "Content-Length without a body");
	else if (ends && !t->has_length && expects_body(t))
		PUT(t, "content-length: 0\r\n");
	else if (!ends && !t->has_length)
		PUT(t, "transfer-encoding: chunked\r\n");
}

static void
frame_answer(struct h2_text *t, bool ends)
{
	bool bodiless = t->to_head || t->status == 204 || t->status == 304;

	if (t->status < 200) {
		if (ends)               /* 8.1: a final one has to follow */
			refuse(t, 400, "interim answer that ends");
		return;
	}
	if (bodiless)
		return;
	if (ends && t->length > 0)
		refuse(t, 400, "Content-Length without a body");
	else if (ends && !t->has_length)
		PUT(t, "content-length: 0\r\n");
	else if (!ends && !t->has_length)
		PUT(t, "transfer-encoding: chunked\r\n");
}

/* RFC 6455 4.1: sixteen random bytes in base64. */
static void
ask_for_socket(struct h2_text *t)
{
	unsigned char nonce[16];

	if (RAND_bytes(nonce, sizeof(nonce)) != 1) {
		refuse(t, 503, "no random numbers");
		return;
	}
	EVP_EncodeBlock((unsigned char *)t->key, nonce, sizeof(nonce));
	PUT(t, "upgrade: websocket\r\nconnection: Upgrade\r\n");
	put_line(t, "sec-websocket-key", sizeof("sec-websocket-key") - 1,
	    t->key, H2_KEY_LEN);
}

int
h2_text_end(struct h2_text *t, bool ends)
{
	if (t->refusal == 0 && !t->begun)
		(void)begin(t);
	if (t->refusal == 0 && make_room(t, END_BYTES)) {
		switch ((enum h2_kind)t->kind) {
		case H2_REQUEST:
			frame_request(t, ends);
			if (t->protocol.there)
				ask_for_socket(t);
			PUT(t, "\r\n");
			break;
		case H2_ANSWER:
			frame_answer(t, ends);
			PUT(t, "\r\n");
			break;
		case H2_TRAILERS:
			break;
		}
	}
	if (t->refusal == 0)
		return 0;
	h2_text_drop(t);
	return -1;
}

struct block *
h2_text_take(struct h2_text *t, uint32_t *at, uint32_t *len)
{
	struct block *b = t->block;

	*at = t->start;
	*len = t->len - t->start;
	t->block = NULL;
	return b;
}

void
h2_text_drop(struct h2_text *t)
{
	if (t->block != NULL)
		block_drop(t->store, t->block);
	t->block = NULL;
}

bool
h2_socket_accepts(const char key[H2_KEY_LEN + 1], const char *accept,
    size_t len)
{
	static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char hash[EVP_MAX_MD_SIZE];
	char text[H2_KEY_LEN + sizeof(salt)], expected[32];
	unsigned hash_len;
	int n;

	memcpy(text, key, H2_KEY_LEN);
	memcpy(text + H2_KEY_LEN, salt, sizeof(salt) - 1);
	if (EVP_Digest(text, sizeof(text) - 1, hash, &hash_len, EVP_sha1(),
	    NULL) != 1 || hash_len != 20)
		return false;
	n = EVP_EncodeBlock((unsigned char *)expected, hash, (int)hash_len);
	return len == (size_t)n && memcmp(accept, expected, len) == 0;
}
