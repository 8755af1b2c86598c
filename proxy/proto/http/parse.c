/*
 * Heads of HTTP/1.x requests and responses; parse.h is the contract, fields.c
 * has the field lines and chunks.c the bodies. A head is taken a line at a
 * time: one memchr finds the LF, remembering how far it looked, then the line
 * is read once. Rules that need the whole head (Host, Connection, where the
 * body ends) come last.
 *
 * Section numbers without a name are those of RFC 9112.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/parse.h"

#include <assert.h>
#include <string.h>

#include "proxy/proto/http/fields.h"

enum {
	METHOD_MAX = 32,
	VERSION_LEN = 8         /* "HTTP/1.1" */
};

/* ----------------------------------------------------------------- target */

/* Bytes of "http://" or "https://" that a target begins with; 0 = neither. */
static size_t
scheme_len(const char *p, size_t len)
{
	if (len >= 7 && http_same_word(p, "http://", 7))
		return 7;
	return len >= 8 && http_same_word(p, "https://", 8) ? 8 : 0;
}

/* The authority of an absolute-form target that target_parse() accepted. */
static struct http_span
target_authority(const struct http_head *h, const char *bytes)
{
	size_t at = h->target.at + scheme_len(bytes + h->target.at,
	    h->target.len);

	return (struct http_span){ (uint16_t)at, (uint16_t)(h->path.at - at) };
}

/* 3.2.2. A query after an empty path has no path to stand in; see parse.h. */
static const char *
absolute_parse(struct http_head *h, const char *bytes, const char *p,
    const char *end)
{
	size_t scheme = scheme_len(p, (size_t)(end - p));
	const char *host = p + scheme;

	if (scheme == 0)
		return "bad request target";
	for (p = host; p < end && *p != '/' && *p != '?'; p++)
		;
	if (!http_host_valid(host, p, false))
		return "bad authority in target";
	if (p < end && *p == '?')
		return "query without path";
	h->path = span(bytes, p, end);
	return NULL;
}

/* The four forms of 3.2. */
static const char *
target_parse(struct http_head *h, const char *bytes)
{
	const char *p = bytes + h->target.at, *end = p + h->target.len;
	const char *why, *mark;

	if (h->method == HTTP_M_CONNECT)
		return http_host_valid(p, end, true) ? NULL :
		    "bad CONNECT target";
	if (likely(*p == '/')) {
		h->path = h->target;
	} else if (h->target.len == 1 && *p == '*') {
		if (h->method != HTTP_M_OPTIONS)
			return "asterisk without OPTIONS";
		h->path = h->target;
		return NULL;
	} else {
		why = absolute_parse(h, bytes, p, end);
		if (why != NULL)
			return why;
	}
	p = bytes + h->path.at;
	mark = memchr(p, '?', (size_t)(end - p));
	if (mark != NULL)
		h->query = span(bytes, mark + 1, end);
	return NULL;
}

/* ------------------------------------------------------------ start lines */

static uint8_t
method_id(const char *p, size_t len)
{
#define IS(word, id) if (memcmp(p, word, sizeof(word) - 1) == 0) return id
	switch (len) {
	case 3:
		IS("GET", HTTP_M_GET);
		IS("PUT", HTTP_M_PUT);
		break;
	case 4:
		IS("POST", HTTP_M_POST);
		IS("HEAD", HTTP_M_HEAD);
		break;
	case 5:
		IS("PATCH", HTTP_M_PATCH);
		IS("TRACE", HTTP_M_TRACE);
		break;
	case 6:
		IS("DELETE", HTTP_M_DELETE);
		break;
	case 7:
		IS("OPTIONS", HTTP_M_OPTIONS);
		IS("CONNECT", HTTP_M_CONNECT);
		break;
	}
#undef IS
	return HTTP_M_OTHER;
}

/*
 * HTTP-version of 2.3: case-sensitive, one digit each. Returns 0, else what to
 * refuse with. 1.0 and 1.1 exist; a higher minor would be promised features
 * that nobody has defined.
 */
static unsigned
version_parse(struct http_head *h, const char *p)
{
	if (memcmp(p, "HTTP/", 5) != 0 || p[5] < '0' || p[5] > '9' ||
	    p[6] != '.' || p[7] < '0' || p[7] > '9')
		return 400;
	if (p[5] != '1' || p[7] > '1')
		return 505;
	h->minor = (uint8_t)(p[7] - '0');
	return 0;
}

/* request-line of 3: method SP request-target SP HTTP-version. */
static enum parse
request_line(struct http_head *h, const char *bytes, const char *p,
    const char *end)
{
	const char *stop = skip_class(p, end, TOKEN);
	const char *why;
	unsigned refusal;

	if (stop == p || stop == end || *stop != ' ')
		return http_refuse(h, 400, "bad method");
	if (stop - p > METHOD_MAX)
		return http_refuse(h, 501, "method too long");
	h->method = method_id(p, (size_t)(stop - p));
	h->method_name = span(bytes, p, stop);

	p = stop + 1;
	stop = skip_class(p, end, TARGET);
	if (stop == end)
		return http_refuse(h, 400, "no HTTP version");
	if (stop == p || *stop != ' ')
		return http_refuse(h, 400, stop == p ? "no request target" :
		    "bad byte in target");
	h->target = span(bytes, p, stop);

	p = stop + 1;
	refusal = end - p == VERSION_LEN ? version_parse(h, p) : 400;
	if (refusal != 0)
		return http_refuse(h, refusal, refusal == 505 ?
		    "HTTP version not supported" : "bad HTTP version");
	why = target_parse(h, bytes);
	if (why != NULL)
		return http_refuse(h, 400, why);
	return PARSE_DONE;
}

/*
 * status-line of 4: HTTP-version SP 3DIGIT SP [ reason ]. The space before an
 * absent reason may be absent too: servers leave it out, and nothing can be
 * read in two ways.
 */
static enum parse
status_line(struct http_head *h, const char *bytes, const char *p,
    const char *end)
{
	const char *code = p + VERSION_LEN + 1;

	if (end - p < VERSION_LEN + 4 || version_parse(h, p) != 0 ||
	    code[-1] != ' ')
		return http_refuse(h, 502, "bad HTTP version");
	for (p = code; p < code + 3; p++) {
		if (*p < '0' || *p > '9')
			return http_refuse(h, 502, "bad status code");
		h->status = (uint16_t)(h->status * 10 + (*p - '0'));
	}
	if (h->status < 100)
		return http_refuse(h, 502, "bad status code");
	if (p < end && *p++ != ' ')
		return http_refuse(h, 502, "bad status code");
	if (http_skip_value(p, end) != end)
		return http_refuse(h, 502, "control byte in reason");
	h->reason = span(bytes, p, end);
	return PARSE_DONE;
}

/* -------------------------------------------------------------------- heads */

void
http_head_init(struct http_head *h, unsigned max_fields, unsigned max_bytes)
{
	assert(max_fields <= HTTP_FIELDS_MAX && max_bytes <= HTTP_HEAD_MAX);
	memset(h, 0, offsetof(struct http_head, field));
	h->max_fields = (uint16_t)max_fields;
	h->max_bytes = (uint16_t)max_bytes;
}

/*
 * Find the end of the line at h->line: *end is its CR. What lies beyond
 * max_bytes is not looked at, so the verdict is the same however the bytes
 * arrive.
 */
static inline enum parse
line_find(struct http_head *h, const char *bytes, size_t len, size_t *end)
{
	size_t limit = len < h->max_bytes ? len : h->max_bytes;
	size_t from = (size_t)h->line + h->seen;
	const char *lf = NULL;

	if (from < limit)
		lf = memchr(bytes + from, '\n', limit - from);
	if (lf == NULL) {
		h->seen = (uint16_t)(limit - h->line);
		if (len < h->max_bytes)
			return PARSE_MORE;
		if (h->step == STEP_FIELDS)
			return http_refuse(h, 431, "head too large");
		return http_refuse(h, 414, "start line too long");
	}
	*end = (size_t)(lf - bytes);
	if (*end == h->line || bytes[*end - 1] != '\r')
		return http_refuse(h, 400, "bare LF");       /* 2.2 */
	--*end;
	return PARSE_DONE;
}

static inline void
line_next(struct http_head *h, size_t end)
{
	h->line = (uint16_t)(end + 2);
	h->seen = 0;
}

static inline bool
may_begin(char c, bool is_request)
{
	if (c == '\r')                  /* perhaps an empty line */
		return true;
	return is_request ? (http_byte_class[(uint8_t)c] & TOKEN) != 0 :
	    c == 'H';
}

/*
 * The start line. Its first byte is looked at before its LF has come, so that
 * a TLS hello or noise on this port is refused at once.
 */
static enum parse
start_parse(struct http_head *h, const char *bytes, size_t len,
    bool is_request)
{
	enum parse got;
	size_t end;

	if (h->line < len && h->line < h->max_bytes &&
	    !may_begin(bytes[h->line], is_request))
		return http_refuse(h, 400, bytes[h->line] == '\n' ?
		    "bare LF" : "not HTTP");
	got = line_find(h, bytes, len, &end);
	if (got != PARSE_DONE)
		return got;
	if (end == h->line) {
		/* 2.2: one empty line may precede a request line. */
		if (!is_request || h->step == STEP_START_AGAIN)
			return http_refuse(h, 400, "empty line");
		line_next(h, end);
		h->step = STEP_START_AGAIN;
		return start_parse(h, bytes, len, is_request);
	}
	got = is_request ?
	    request_line(h, bytes, bytes + h->line, bytes + end) :
	    status_line(h, bytes, bytes + h->line, bytes + end);
	if (got == PARSE_DONE) {
		line_next(h, end);
		h->step = STEP_FIELDS;
	}
	return got;
}

/* Start line and fields, up to and with the empty line. */
static inline enum parse
head_parse(struct http_head *h, const char *bytes, size_t len, bool is_request)
{
	enum parse got;
	size_t end;

	if (h->step < STEP_FIELDS) {
		got = start_parse(h, bytes, len, is_request);
		if (got != PARSE_DONE)
			return got;
	}
	for (;;) {
		got = line_find(h, bytes, len, &end);
		if (got != PARSE_DONE)
			return got;
		if (end == h->line)
			break;
		if (h->n_fields == h->max_fields)
			return http_refuse(h, 431, "too many fields");
		got = http_field_take(h, bytes, bytes + h->line, bytes + end,
		    is_request);
		if (got != PARSE_DONE)
			return got;
		line_next(h, end);
	}
	line_next(h, end);
	h->size = h->line;
	return http_connection_finish(h, bytes);
}

/* 3.2: exactly one Host, and equal to the authority that the target names. */
static enum parse
host_finish(struct http_head *h, const char *bytes)
{
	struct http_span authority;

	if (h->host.at == 0 && h->minor == 1)
		return http_refuse(h, 400, "no Host");
	if (h->method == HTTP_M_CONNECT || bytes[h->target.at] == '/' ||
	    bytes[h->target.at] == '*')
		return PARSE_DONE;
	authority = target_authority(h, bytes);
	if (h->host.at == 0)
		h->host = authority;
	else if (h->host.len != authority.len ||
	    !http_same_word(bytes + h->host.at, bytes + authority.at,
	    authority.len))
		return http_refuse(h, 400, "Host differs from target");
	return PARSE_DONE;
}

static enum parse
request_finish(struct http_head *h, const char *bytes)
{
	/* RFC 9110 9.3.6: what would follow is the tunnel. */
	if (h->method == HTTP_M_CONNECT && (h->body == HTTP_BODY_CHUNKED ||
	    h->length > 0))
		return http_refuse(h, 400, "CONNECT with a body");
	if (h->minor == 0)      /* RFC 9110 10.1.1: ignored in HTTP/1.0 */
		h->expect_continue = false;
	return host_finish(h, bytes);
}

/* 6.3, in its order. */
static enum parse
response_finish(struct http_head *h, enum http_method method)
{
	bool framed = h->body == HTTP_BODY_CHUNKED || h->length > 0;

	/* 6.1, RFC 9110 8.6: not allowed, and whoever believed them would
	   take the final response for a body. */
	if (h->status < 200 && framed)
		return http_refuse(h, 502, "interim response with a body");
	/* RFC 9110 15.2.2, 7.8: without, nobody can tell what follows. */
	if (h->status == 101 && !h->upgrade)
		return http_refuse(h, 502, "101 without Upgrade");
	/* Not allowed either, but a reply: used, what follows never trusted. */
	if (h->status == 204 && framed)
		h->keep_alive = false;
	if (method == HTTP_M_HEAD || h->status < 200 || h->status == 204 ||
	    h->status == 304 || (method == HTTP_M_CONNECT && h->status < 300)) {
		h->body = HTTP_BODY_NONE;
		h->length = 0;
	} else if (h->body == HTTP_BODY_NONE) {
		h->body = HTTP_BODY_CLOSE;
		h->keep_alive = false;
	}
	return PARSE_DONE;
}

enum parse
http_request_parse(struct http_head *h, const char *bytes, size_t len)
{
	enum parse got;

	if (unlikely(h->step >= STEP_DONE))
		return h->step == STEP_DONE ? PARSE_DONE : PARSE_BAD;
	got = head_parse(h, bytes, len, true);
	if (got == PARSE_DONE)
		got = request_finish(h, bytes);
	if (got == PARSE_DONE)
		h->step = STEP_DONE;
	return got;
}

enum parse
http_response_parse(struct http_head *h, enum http_method method,
    const char *bytes, size_t len)
{
	enum parse got;

	if (unlikely(h->step >= STEP_DONE))
		return h->step == STEP_DONE ? PARSE_DONE : PARSE_BAD;
	got = head_parse(h, bytes, len, false);
	if (got == PARSE_DONE)
		got = response_finish(h, method);
	if (got == PARSE_DONE)
		h->step = STEP_DONE;
	if (got == PARSE_BAD)
		h->refusal = 502;       /* RFC 9110 15.6.3 */
	return got;
}

int
http_field_find(const struct http_head *h, enum http_field_id id,
    unsigned from)
{
	for (unsigned i = from; i < h->n_fields; i++)
		if (h->field[i].id == id)
			return (int)i;
	return -1;
}
