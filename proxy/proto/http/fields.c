/*
 * Field lines of HTTP/1.x: their syntax, the names that weir knows, and what
 * those say of framing and of the connection. One pass over each line checks
 * every byte against a table of classes and cuts it into spans.
 *
 * Section numbers without a name are those of RFC 9112.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/fields.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

enum {
	/* Each Connection option is compared with every field: bounded, or a
	   head could be made that takes long. Nobody sends more than three. */
	OPTIONS_MAX = 32,
	OPTION_BYTES_MAX = 64,
	PORT_DIGITS_MAX = 5,
	IPV6_TEXT_MAX = 45
};

const uint8_t http_byte_class[256] = {
	['\t'] = VALUE,         [' '] = VALUE,
	['!'] = MARK,           ['"'] = PLAIN,
	['#'] = TOKEN | VALUE,  ['$' ... '\''] = MARK,
	['(' ... ')'] = PLAIN,  ['*' ... '+'] = MARK,
	[','] = PLAIN,          ['-' ... '.'] = WORD,
	['/'] = PLAIN,          ['0' ... '9'] = WORD,
	[':' ... '@'] = PLAIN,  ['A' ... 'Z'] = WORD,
	['[' ... ']'] = PLAIN,  ['^'] = MARK,
	['_'] = WORD,           ['`'] = MARK,
	['a' ... 'z'] = WORD,   ['{'] = PLAIN,
	['|'] = MARK,           ['}'] = PLAIN,
	['~'] = WORD,           [0x80 ... 0xff] = VALUE
};

/* Fields that concern one hop only, whether or not Connection names them. */
static const bool always_hop[] = {
	[HTTP_F_CONNECTION] = true,
	[HTTP_F_HTTP2_SETTINGS] = true,
	[HTTP_F_KEEP_ALIVE] = true,
	[HTTP_F_PROXY_CONNECTION] = true,
	[HTTP_F_TE] = true,
	[HTTP_F_TRANSFER_ENCODING] = true,
	[HTTP_F_UPGRADE] = true,
	[HTTP_F_X_FORWARDED_PROTO] = false      /* the last: sizes the table */
};

/* Fields that Connection cannot take away: they say what the message is, or
   who sent it, and the sender must not be able to hide that. */
static const bool never_hop[] = {
	[HTTP_F_CONTENT_LENGTH] = true,
	[HTTP_F_FORWARDED] = true,
	[HTTP_F_HOST] = true,
	[HTTP_F_VIA] = true,
	[HTTP_F_X_FORWARDED_FOR] = true,
	[HTTP_F_X_FORWARDED_HOST] = true,
	[HTTP_F_X_FORWARDED_PROTO] = true
};

/* ------------------------------------------------------------------ bytes */

static inline char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool
http_same_word(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

/*
 * Do bytes below 0x20 or equal to 0x7f occur among these eight? The borrow of
 * the subtractions may mark a byte too many, but only above one that is
 * rightly marked, so "none" and "some" are exact.
 */
static inline bool
has_control(const char *p)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t w, del;

	memcpy(&w, p, sizeof(w));
	del = w ^ (ones * 0x7f);
	return ((((w - ones * 0x20) & ~w) | ((del - ones) & ~del)) &
	    (ones * 0x80)) != 0;
}

const char *
http_skip_value(const char *p, const char *end)
{
	const char *stop;

	while (end - p >= 8) {
		if (unlikely(has_control(p))) {     /* HTAB is none of them */
			stop = skip_class(p, p + 8, VALUE);
			if (stop != p + 8)
				return stop;
		}
		p += 8;
	}
	return skip_class(p, end, VALUE);
}

/* ----------------------------------------------------------------- fields */

/*
 * Length and first letter leave at most one candidate. OR 0x20 lowers letters
 * and leaves "-" and digits; no other token byte becomes one of these.
 */
#define TRY(letter, word, id)                                              \
	do {                                                               \
		if ((name[0] | 0x20) == (letter))                          \
			return is_name(name, word, sizeof(word) - 1) ?     \
			    (id) : HTTP_F_OTHER;                           \
	} while (0)

static inline bool
is_name(const char *name, const char *word, size_t len)
{
	unsigned differ = 0;

	for (size_t i = 0; i < len; i++)
		differ |= (unsigned)((name[i] | 0x20) ^ word[i]);
	return differ == 0;
}

enum http_field_id
http_field_id(const char *name, size_t len)
{
	switch (len) {
	case 2:
		TRY('t', "te", HTTP_F_TE);
		break;
	case 3:
		TRY('v', "via", HTTP_F_VIA);
		break;
	case 4:
		TRY('h', "host", HTTP_F_HOST);
		TRY('d', "date", HTTP_F_DATE);
		break;
	case 6:
		TRY('s', "server", HTTP_F_SERVER);
		TRY('e', "expect", HTTP_F_EXPECT);
		break;
	case 7:
		TRY('u', "upgrade", HTTP_F_UPGRADE);
		TRY('t', "trailer", HTTP_F_TRAILER);
		break;
	case 9:
		TRY('f', "forwarded", HTTP_F_FORWARDED);
		break;
	case 10:
		TRY('c', "connection", HTTP_F_CONNECTION);
		TRY('k', "keep-alive", HTTP_F_KEEP_ALIVE);
		TRY('t', "tracestate", HTTP_F_TRACESTATE);
		break;
	case 11:
		TRY('r', "retry-after", HTTP_F_RETRY_AFTER);
		TRY('t', "traceparent", HTTP_F_TRACEPARENT);
		break;
	case 14:
		TRY('c', "content-length", HTTP_F_CONTENT_LENGTH);
		TRY('h', "http2-settings", HTTP_F_HTTP2_SETTINGS);
		break;
	case 15:
		TRY('x', "x-forwarded-for", HTTP_F_X_FORWARDED_FOR);
		break;
	case 16:
		TRY('x', "x-forwarded-host", HTTP_F_X_FORWARDED_HOST);
		TRY('p', "proxy-connection", HTTP_F_PROXY_CONNECTION);
		break;
	case 17:
		TRY('t', "transfer-encoding", HTTP_F_TRANSFER_ENCODING);
		TRY('x', "x-forwarded-proto", HTTP_F_X_FORWARDED_PROTO);
		break;
	case 18:
		TRY('p', "proxy-authenticate", HTTP_F_PROXY_AUTHENTICATE);
		break;
	case 19:
		TRY('p', "proxy-authorization", HTTP_F_PROXY_AUTHORIZATION);
		break;
	}
	return HTTP_F_OTHER;
}

/* Why a field line has no name that ends in a colon at stop. */
static const char *
name_fault(const char *line, const char *stop, const char *end)
{
	if (stop == line && stop < end) {
		if (*stop == ' ' || *stop == '\t')
			return "folded field line";     /* 5.2 */
		if (*stop == ':')
			return "empty field name";
	}
	if (stop == end)
		return "field line without colon";
	if (*stop == ' ' || *stop == '\t')
		return "space before colon";            /* 5.1 */
	return "bad byte in field name";
}

static const char *
value_fault(char c)
{
	if (c == '\r')
		return "bare CR";                       /* 2.2 */
	return c == '\0' ? "NUL in field value" :
	    "control byte in field value";
}

/* Spans count from bytes, of which line is a part. */
static inline const char *
field_cut(const char *bytes, const char *line, const char *end,
    struct http_field *f)
{
	const char *colon = skip_class(line, end, TOKEN);
	const char *value, *stop;

	if (unlikely(colon == end || *colon != ':' || colon == line))
		return name_fault(line, colon, end);
	value = skip_blanks(colon + 1, end);
	stop = http_skip_value(value, end);
	if (unlikely(stop != end))
		return value_fault(*stop);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	f->name = span(bytes, line, colon);
	f->value = span(bytes, value, end);
	f->id = (uint8_t)http_field_id(line, (size_t)(colon - line));
	f->hop = always_hop[f->id];
	return NULL;
}

const char *
http_field_line(const char *line, size_t len, struct http_field *f)
{
	assert(len <= HTTP_HEAD_MAX);
	return field_cut(line, line, line + len, f);
}

/* ------------------------------------------------------------------- host */

static bool
port_valid(const char *p, const char *end)
{
	unsigned port = 0;

	if (end - p > PORT_DIGITS_MAX)
		return false;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		port = port * 10 + (unsigned)(*p - '0');
	}
	return port <= UINT16_MAX;
}

/* RFC 3986 3.2.2 IP-literal, of which only IPv6 exists. */
static bool
ipv6_valid(const char *p, const char *end)
{
	char text[IPV6_TEXT_MAX + 1];
	struct in6_addr addr;
	size_t len = (size_t)(end - p);

	if (len > IPV6_TEXT_MAX)
		return false;
	memcpy(text, p, len);
	text[len] = '\0';
	return inet_pton(AF_INET6, text, &addr) == 1;
}

bool
http_host_valid(const char *p, const char *end, bool needs_port)
{
	const char *at;

	if (p < end && *p == '[') {
		at = memchr(p, ']', (size_t)(end - p));
		if (at == NULL || !ipv6_valid(p + 1, at))
			return false;
		at++;
	} else {
		at = skip_class(p, end, HOSTNAME);
		if (at == p)
			return false;
	}
	if (at == end)
		return !needs_port;
	if (*at++ != ':' || (needs_port && at == end))
		return false;
	return port_valid(at, end);
}

/* ------------------------------------------------- fields that mean things */

/* 6.3 rule 5: one, decimal digits only, and a value that can be counted. */
static enum parse
length_note(struct http_head *h, const char *p, const char *end)
{
	uint64_t length = 0;
	unsigned digit;

	if (h->body == HTTP_BODY_CHUNKED)
		return http_refuse(h, 400, "length beside transfer coding");
	if (h->body == HTTP_BODY_LENGTH)
		return http_refuse(h, 400, "repeated Content-Length");
	if (p == end)
		return http_refuse(h, 400, "empty Content-Length");
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return http_refuse(h, 400, "bad Content-Length");
		digit = (unsigned)(*p - '0');
		if (length > ((uint64_t)INT64_MAX - digit) / 10)
			return http_refuse(h, 400, "Content-Length too large");
		length = length * 10 + digit;
	}
	h->length = length;
	h->body = HTTP_BODY_LENGTH;
	return PARSE_DONE;
}

/*
 * Anything but exactly "chunked". A well-formed list of codings that weir does
 * not know is 501 (6.1); one that has chunked twice or not last cannot be
 * framed (6.3 rule 4), nor can what is no list of tokens: 400.
 */
static enum parse
coding_refuse(struct http_head *h, const char *p, const char *end)
{
	bool chunked = false;
	const char *stop;

	for (;; p = skip_blanks(stop + 1, end)) {
		stop = skip_class(p, end, TOKEN);
		if (stop == p || chunked)
			break;
		chunked = IS_WORD(p, stop - p, "chunked");
		stop = skip_blanks(stop, end);
		if (stop == end)
			return http_refuse(h, 501, "unknown transfer coding");
		if (*stop != ',')
			break;
	}
	return http_refuse(h, 400, "bad Transfer-Encoding");
}

static enum parse
coding_note(struct http_head *h, const char *p, const char *end)
{
	if (h->minor == 0)      /* 6.1: such framing is faulty */
		return http_refuse(h, 400, "transfer coding in HTTP/1.0");
	if (h->body == HTTP_BODY_LENGTH)
		return http_refuse(h, 400, "length beside transfer coding");
	if (h->body == HTTP_BODY_CHUNKED)
		return http_refuse(h, 400, "repeated Transfer-Encoding");
	if (!IS_WORD(p, end - p, "chunked"))
		return coding_refuse(h, p, end);
	h->body = HTTP_BODY_CHUNKED;
	return PARSE_DONE;
}

/* 3.2: empty is a value of its own, allowed where nothing contradicts it. */
static enum parse
host_note(struct http_head *h, const char *bytes, struct http_span value)
{
	const char *p = bytes + value.at;

	if (h->host.at != 0)
		return http_refuse(h, 400, "repeated Host");
	if (value.len != 0 && !http_host_valid(p, p + value.len, false))
		return http_refuse(h, 400, "bad Host");
	h->host = value;        /* never at 0: the request line is before it */
	return PARSE_DONE;
}

/*
 * RFC 9110 10.1.1. A list with anything beside one 100-continue is an
 * expectation that weir cannot promise to meet.
 */
static enum parse
expect_note(struct http_head *h, const char *p, const char *end)
{
	if (h->expect_continue || !IS_WORD(p, end - p, "100-continue"))
		return http_refuse(h, 417, "unknown expectation");
	h->expect_continue = true;
	return PARSE_DONE;
}

/* Is "trailers" a member of the list (RFC 9110 10.1.4)? */
static bool
names_trailers(const char *p, const char *end)
{
	const char *stop;

	for (; p < end; p = stop) {
		p = skip_blanks(p, end);
		stop = skip_class(p, end, TOKEN);
		if (IS_WORD(p, stop - p, "trailers"))
			return true;
		while (stop < end && *stop++ != ',')
			;
	}
	return false;
}

/* Act on a field as soon as its line is complete. */
static enum parse
field_note(struct http_head *h, const char *bytes, const struct http_field *f,
    bool is_request)
{
	const char *p = bytes + f->value.at, *end = p + f->value.len;

	switch (f->id) {
	case HTTP_F_CONTENT_LENGTH:
		return length_note(h, p, end);
	case HTTP_F_TRANSFER_ENCODING:
		return coding_note(h, p, end);
	case HTTP_F_HOST:
		return is_request ? host_note(h, bytes, f->value) : PARSE_DONE;
	case HTTP_F_EXPECT:
		return is_request ? expect_note(h, p, end) : PARSE_DONE;
	case HTTP_F_TE:
		if (names_trailers(p, end))
			h->te_trailers = true;
		return PARSE_DONE;
	default:
		return PARSE_DONE;
	}
}

enum parse
http_field_take(struct http_head *h, const char *bytes, const char *line,
    const char *end, bool is_request)
{
	struct http_field *f = &h->field[h->n_fields];
	const char *why = field_cut(bytes, line, end, f);

	if (unlikely(why != NULL))
		return http_refuse(h, 400, why);
	h->n_fields++;
	if (f->id == HTTP_F_OTHER)
		return PARSE_DONE;
	/* OWS by RFC 9110 5.6.3, but some take "chunked<HTAB>" for another
	   coding: two lengths for one message. */
	if ((f->id == HTTP_F_TRANSFER_ENCODING ||
	    f->id == HTTP_F_CONTENT_LENGTH) &&
	    memchr(line, '\t', (size_t)(end - line)) != NULL)
		return http_refuse(h, 400, "tab in framing field");
	return field_note(h, bytes, f, is_request);
}

/* -------------------------------------------------------------- Connection */

struct options {
	unsigned n;
	bool close, keep_alive, upgrade;
};

static void
option_note(struct http_head *h, const char *bytes, const char *option,
    size_t len, struct options *o)
{
	if (IS_WORD(option, len, "close")) {
		o->close = true;
		return;         /* RFC 9112 9.6: no field has that name */
	}
	if (IS_WORD(option, len, "keep-alive")) {
		o->keep_alive = true;
		return;         /* always hop, like the next */
	}
	if (IS_WORD(option, len, "upgrade")) {
		o->upgrade = true;
		return;
	}
	for (unsigned i = 0; i < h->n_fields; i++) {
		struct http_field *f = &h->field[i];

		if (f->name.len == len && !f->hop && !never_hop[f->id] &&
		    http_same_word(bytes + f->name.at, option, len))
			f->hop = true;
	}
}

/* One Connection field: tokens, commas, blanks (RFC 9110 7.6.1, 5.6.1.2). */
static const char *
options_note(struct http_head *h, const char *bytes, struct http_span value,
    struct options *o)
{
	const char *p = bytes + value.at, *end = p + value.len;
	const char *stop;

	while (p < end) {
		p = skip_blanks(p, end);
		stop = skip_class(p, end, TOKEN);
		if (stop != p) {
			if (++o->n > OPTIONS_MAX)
				return "too many Connection options";
			if (stop - p > OPTION_BYTES_MAX)
				return "Connection option too long";
			option_note(h, bytes, p, (size_t)(stop - p), o);
		}
		p = skip_blanks(stop, end);
		if (p < end && *p++ != ',')
			return "bad Connection";
	}
	return NULL;
}

/* Several Connection lines combine. */
enum parse
http_connection_finish(struct http_head *h, const char *bytes)
{
	struct options o = { 0 };
	bool has_upgrade = false;
	const char *why;

	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->field[i];

		if (f->id == HTTP_F_UPGRADE && f->value.len > 0)
			has_upgrade = true;
		if (f->id != HTTP_F_CONNECTION)
			continue;
		why = options_note(h, bytes, f->value, &o);
		if (why != NULL)
			return http_refuse(h, 400, why);
	}
	h->keep_alive = !o.close && (h->minor == 1 || o.keep_alive);
	/* RFC 9110 7.8: ignored in HTTP/1.0. */
	h->upgrade = o.upgrade && has_upgrade && h->minor == 1;
	return PARSE_DONE;
}
