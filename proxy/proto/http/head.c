/*
 * Heads, written anew from what was parsed: the request towards the upstream,
 * the answer towards the client. Nothing is passed on that was not understood
 * as a field of its own. See http.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "net/clock.h"
#include "proxy/proto/http/client_cert.h"
#include "proxy/proto/http/http.h"

/*
 * A place to write to that is known to be large enough; and a run: field lines
 * that stand behind one another in the head that came, spelled as weir would
 * spell them. They are copied in one go.
 */
struct pen {
	char *at;
	const char *run, *run_end;
};

static inline void
put(struct pen *pen, const char *bytes, size_t len)
{
	if (len > 0)
		memcpy(pen->at, bytes, len);
	pen->at += len;
}

#define PUT(pen, literal) put(pen, literal, sizeof(literal) - 1)

static void
put_text(struct pen *pen, const char *text)
{
	put(pen, text, strlen(text));
}

static void
put_number(struct pen *pen, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	do
		digits[--i] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	put(pen, digits + i, sizeof(digits) - i);
}

static inline void
put_span(struct pen *pen, const char *raw, struct http_span span)
{
	put(pen, raw + span.at, span.len);
}

static inline void
put_field(struct pen *pen, const char *raw, const struct http_field *f)
{
	put_span(pen, raw, f->name);
	PUT(pen, ": ");
	put_span(pen, raw, f->value);
	PUT(pen, "\r\n");
}

static inline void
end_run(struct pen *pen)
{
	put(pen, pen->run, (size_t)(pen->run_end - pen->run));
	pen->run = pen->run_end = NULL;
}

/* "Name: value" with nothing else before its CRLF. */
static inline bool
is_plain(const char *raw, const struct http_field *f)
{
	return f->value.len > 0 &&
	    f->value.at == f->name.at + f->name.len + 2 &&
	    raw[f->value.at - 1] == ' ' &&
	    raw[f->value.at + f->value.len] == '\r';
}

/* A field of the head that came; the run has to be ended behind the last. */
static inline void
put_line(struct pen *pen, const char *raw, const struct http_field *f)
{
	const char *line = raw + f->name.at;

	if (!is_plain(raw, f)) {
		end_run(pen);
		put_field(pen, raw, f);
		return;
	}
	if (pen->run_end != line) {
		end_run(pen);
		pen->run = line;
	}
	pen->run_end = raw + f->value.at + f->value.len + 2;
}

/* ----------------------------------------------------------------- request */

static const struct http_listener_conf *
listener_conf(const struct exchange *x)
{
	return x->policy->own;
}

static const struct http_upstream_conf *
upstream_conf(const struct exchange *x)
{
	return x->upstream->own;
}

bool
http_is_trusted(const struct exchange *x)
{
	const struct conf_nets *nets = &listener_conf(x)->trusted;
	size_t i;

	for (i = 0; i < nets->n; i++)
		if (addr_net_holds(&nets->v[i], &x->s->client))
			return true;
	return false;
}

static bool
span_is(const char *raw, struct http_span span, const char *name)
{
	return strlen(name) == span.len &&
	    strncasecmp(raw + span.at, name, span.len) == 0;
}

/* Does the configuration take this field away, or put its own instead? */
static bool
is_replaced(const struct http_upstream_conf *conf, const char *raw,
    struct http_span name)
{
	size_t i;

	for (i = 0; i < conf->remove_headers.n; i++)
		if (span_is(raw, name, conf->remove_headers.v[i]))
			return true;
	for (i = 0; i < conf->set_headers.n; i++)
		if (span_is(raw, name, conf->set_headers.v[i].name))
			return true;
	return false;
}

/* Likewise for a field that weir would write by itself. */
static bool
is_configured(const struct http_upstream_conf *conf, const char *name)
{
	return is_replaced(conf, name,
	    (struct http_span){ 0, (uint16_t)strlen(name) });
}

/* Asked by client_cert_put(). */
static bool
is_taken(const struct exchange *x, const char *name)
{
	return is_configured(upstream_conf(x), name);
}

static void
put_request_line(struct pen *pen, const struct http_exchange *hx)
{
	const struct http_head *h = hx->head;

	put_span(pen, hx->raw, h->method_name);
	PUT(pen, " ");
	if (h->path.len == 0 && h->method == HTTP_M_OPTIONS)
		PUT(pen, "*");          /* RFC 9112 3.2.4 */
	else if (h->path.len == 0 || (hx->raw[h->path.at] != '/' &&
	    hx->raw[h->path.at] != '*'))
		PUT(pen, "/");
	put_span(pen, hx->raw, h->path);
	PUT(pen, " HTTP/1.1\r\n");
}

static void
put_host(struct pen *pen, const struct exchange *x, const struct upconn *u)
{
	const struct http_exchange *hx = http_of(x);
	const char *host = upstream_conf(x)->host;

	PUT(pen, "Host: ");
	if (strcmp(host, "keep") == 0 && hx->head->host.len > 0)
		put_span(pen, hx->raw, hx->head->host);
	else if (strcmp(host, "keep") == 0 || strcmp(host, "upstream") == 0)
		put_text(pen, u->shelf->site->endpoint->authority);
	else
		put_text(pen, host);
	PUT(pen, "\r\n");
}

/*
 * X-Forwarded-*: what the client sent of them is believed, and added to, only
 * when it comes from a trusted network; else they begin here.
 */
static void
put_forwarded_for(struct pen *pen, const struct exchange *x, bool believed)
{
	const struct http_exchange *hx = http_of(x);
	const struct http_head *h = hx->head;
	char client[ADDR_TEXT_MAX];
	bool any = false;
	int i;

	PUT(pen, "X-Forwarded-For: ");
	for (i = http_field_find(h, HTTP_F_X_FORWARDED_FOR, 0);
	    believed && i >= 0;
	    i = http_field_find(h, HTTP_F_X_FORWARDED_FOR, (unsigned)i + 1)) {
		if (h->field[i].value.len == 0)
			continue;
		if (any)
			PUT(pen, ", ");
		put_span(pen, hx->raw, h->field[i].value);
		any = true;
	}
	if (any)
		PUT(pen, ", ");
	if (x->s->client.family == AF_UNIX)
		PUT(pen, "unknown");    /* RFC 7239 6.2's word for it */
	else
		put_text(pen, addr_ip_print(&x->s->client, false, client));
	PUT(pen, "\r\n");
}

/* Those that the configuration sets or removes are not weir's to write. */
static void
put_forwarded(struct pen *pen, const struct exchange *x, bool believed)
{
	const struct http_upstream_conf *conf = upstream_conf(x);
	const struct http_exchange *hx = http_of(x);
	const struct http_head *h = hx->head;

	if (!is_configured(conf, "X-Forwarded-For"))
		put_forwarded_for(pen, x, believed);
	if ((!believed ||
	    http_field_find(h, HTTP_F_X_FORWARDED_PROTO, 0) < 0) &&
	    !is_configured(conf, "X-Forwarded-Proto"))
		put_text(pen, conn_ssl(&x->s->conn) != NULL ||
		    x->s->tls_before ? "X-Forwarded-Proto: https\r\n" :
		    "X-Forwarded-Proto: http\r\n");
	if (h->host.len > 0 && (!believed ||
	    http_field_find(h, HTTP_F_X_FORWARDED_HOST, 0) < 0) &&
	    !is_configured(conf, "X-Forwarded-Host")) {
		PUT(pen, "X-Forwarded-Host: ");
		put_span(pen, hx->raw, h->host);
		PUT(pen, "\r\n");
	}
	if (!is_configured(conf, "Via")) {      /* RFC 9110 7.6.3 */
		if (hx->stream != NULL)
			PUT(pen, "Via: 2.0 weir\r\n");
		else
			PUT(pen, "Via: 1.1 weir\r\n");
	}
}

/* Is it the one that carries the request's id? */
static inline bool
is_id_field(const struct exchange *x, const char *raw,
    const struct http_field *f)
{
	return http_of(x)->trace.id_len > 0 &&
	    span_is(raw, f->name, listener_conf(x)->id_field);
}

static void
put_id(struct pen *pen, const struct exchange *x)
{
	const struct trace *t = &http_of(x)->trace;

	if (t->id_len == 0)
		return;
	put_text(pen, listener_conf(x)->id_field);
	PUT(pen, ": ");
	put(pen, t->id, t->id_len);
	PUT(pen, "\r\n");
}

static void
put_ids(struct pen *pen, const struct exchange *x)
{
	const struct http_upstream_conf *conf = upstream_conf(x);
	const struct trace *t = &http_of(x)->trace;

	if (t->restarted && !is_configured(conf, "traceparent")) {
		PUT(pen, "traceparent: ");
		put(pen, t->parent, t->parent_len);
		PUT(pen, "\r\n");
	}
	if (t->id_len > 0 && !is_configured(conf, listener_conf(x)->id_field))
		put_id(pen, x);
}

static void
put_request_fields(struct pen *pen, const struct exchange *x, bool believed)
{
	const struct http_upstream_conf *conf = upstream_conf(x);
	const struct http_exchange *hx = http_of(x);
	const struct http_head *h = hx->head;
	bool off = listener_conf(x)->forwarded == HTTP_FORWARDED_OFF;
	bool replaces = conf->set_headers.n + conf->remove_headers.n > 0;
	bool certs = listener_conf(x)->client_cert_headers.n > 0;
	unsigned i;

	for (i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->field[i];

		if (f->hop)
			continue;
		switch (f->id) {
		case HTTP_F_HOST:
		case HTTP_F_CONTENT_LENGTH:
		case HTTP_F_TRANSFER_ENCODING:
			continue;
		case HTTP_F_X_FORWARDED_FOR:
			if (!off)
				continue;
			break;
		case HTTP_F_X_FORWARDED_HOST:
		case HTTP_F_X_FORWARDED_PROTO:
		case HTTP_F_FORWARDED:
			if (!off && !believed)
				continue;
			break;
		case HTTP_F_TRACEPARENT:
		case HTTP_F_TRACESTATE:
			/* Trace Context 3.3.1: without the one the other says
			   nothing. */
			if (hx->trace.restarted)
				continue;
			break;
		default:
			break;
		}
		if (replaces && is_replaced(conf, hx->raw, f->name))
			continue;
		if (is_id_field(x, hx->raw, f))
			continue;
		if (certs && client_cert_is_field(listener_conf(x), hx->raw +
		    f->name.at, f->name.len))
			continue;
		put_line(pen, hx->raw, f);
	}
	end_run(pen);
	for (i = 0; i < conf->set_headers.n; i++) {
		put_text(pen, conf->set_headers.v[i].name);
		PUT(pen, ": ");
		put_text(pen, conf->set_headers.v[i].value);
		PUT(pen, "\r\n");
	}
	if (certs)
		pen->at = client_cert_put(x, pen->at, is_taken);
}

static void
put_framing(struct pen *pen, const struct http_head *h)
{
	if (h->body == HTTP_BODY_CHUNKED)
		PUT(pen, "Transfer-Encoding: chunked\r\n");
	else if (h->body == HTTP_BODY_LENGTH) {
		PUT(pen, "Content-Length: ");
		put_number(pen, h->length);
		PUT(pen, "\r\n");
	}
}

/* Connection and what it names, for this hop. */
static void
put_connection(struct pen *pen, const struct http_exchange *hx)
{
	const struct http_head *h = hx->head;
	bool te = h->te_trailers;
	int i;

	if (hx->upgrade) {
		i = http_field_find(h, HTTP_F_UPGRADE, 0);
		PUT(pen, "Upgrade: ");
		put_span(pen, hx->raw, h->field[i].value);
		PUT(pen, "\r\n");
		if (te)
			PUT(pen, "TE: trailers\r\nConnection: Upgrade, TE\r\n");
		else
			PUT(pen, "Connection: Upgrade\r\n");
	} else if (te)
		PUT(pen, "TE: trailers\r\nConnection: TE\r\n");
}

/* An upper bound for the head as http_write_request() writes it. */
static size_t
request_bound(const struct exchange *x, const struct upconn *u)
{
	const struct http_upstream_conf *conf = upstream_conf(x);
	const struct http_head *h = http_of(x)->head;
	size_t n = 512 + TRACE_BOUND, i;

	/* Each field by itself may grow by the space behind its colon; Host
	   comes up to three times. */
	n += h->size + h->n_fields * 2u + h->host.len * 2u;
	n += strlen(conf->host) + strlen(u->shelf->site->endpoint->authority);
	for (i = 0; i < conf->set_headers.n; i++)
		n += strlen(conf->set_headers.v[i].name) +
		    strlen(conf->set_headers.v[i].value) + 4;
	if (listener_conf(x)->client_cert_headers.n > 0)
		n += client_cert_bound(x);
	return n;
}

static char *
reserve(struct block_store *s, struct buf *out, size_t bound)
{
	size_t room;

	return buf_reserve(s, out, bound, bound <= BUF_SMALL ? BUF_SMALL :
	    bound <= BUF_MEDIUM ? BUF_MEDIUM : BUF_LARGE, &room);
}

int
http_write_request(struct exchange *x, struct upconn *u, struct buf *out)
{
	const struct http_exchange *hx = http_of(x);
	int forwarded = listener_conf(x)->forwarded;
	bool believed = forwarded == HTTP_FORWARDED_APPEND && http_is_trusted(x);
	char *from = reserve(exchange_blocks(x), out, request_bound(x, u));
	struct pen pen = { .at = from };

	if (from == NULL)
		return -1;
	put_request_line(&pen, hx);
	put_host(&pen, x, u);
	put_request_fields(&pen, x, believed);
	if (forwarded != HTTP_FORWARDED_OFF)
		put_forwarded(&pen, x, believed);
	if (hx->trace.begun)
		put_ids(&pen, x);
	put_framing(&pen, hx->head);
	put_connection(&pen, hx);
	PUT(&pen, "\r\n");
	buf_commit(exchange_blocks(x), out, (size_t)(pen.at - from));
	return 0;
}

/* ------------------------------------------------------------------ answer */

static void
put_answer_framing(struct pen *pen, const struct http_exchange *hx)
{
	const struct http_head *a = hx->answer;
	bool interim = a->status < 200;
	int i;

	if (hx->chunk_down) {
		PUT(pen, "Transfer-Encoding: chunked\r\n");
	} else if (a->body == HTTP_BODY_LENGTH) {
		PUT(pen, "Content-Length: ");
		put_number(pen, a->length);
		PUT(pen, "\r\n");
	} else if ((hx->head->method == HTTP_M_HEAD && !interim &&
	    a->status != 204) || a->status == 304) {
		/* It tells what a GET would have given; RFC 9110 8.6. Never in
		   1xx and 204. */
		i = http_field_find(a, HTTP_F_CONTENT_LENGTH, 0);
		if (i >= 0)
			put_field(pen, hx->answer_raw, &a->field[i]);
	}
	if (a->status == 101) {
		i = http_field_find(a, HTTP_F_UPGRADE, 0);
		if (i >= 0)
			put_field(pen, hx->answer_raw, &a->field[i]);
		PUT(pen, "Connection: Upgrade\r\n");
	} else if (interim)
		return;
	else if (!hx->keep)
		PUT(pen, "Connection: close\r\n");
	else if (hx->head->minor == 0)
		PUT(pen, "Connection: keep-alive\r\n");
}

int
http_write_answer(struct exchange *x)
{
	const struct http_exchange *hx = http_of(x);
	const struct http_head *a = hx->answer;
	struct buf *out = &x->s->conn.out;
	char *from = reserve(exchange_blocks(x), out,
	    a->size + a->n_fields * 2u + 256u + TRACE_BOUND);
	struct pen pen = { .at = from };
	bool final = a->status >= 200 || a->status == 101;
	unsigned i;

	if (from == NULL)
		return -1;
	PUT(&pen, "HTTP/1.1 ");
	put_number(&pen, a->status);
	PUT(&pen, " ");
	put_span(&pen, hx->answer_raw, a->reason);
	PUT(&pen, "\r\n");
	for (i = 0; i < a->n_fields; i++) {
		const struct http_field *f = &a->field[i];

		if (!f->hop && f->id != HTTP_F_CONTENT_LENGTH &&
		    f->id != HTTP_F_TRANSFER_ENCODING &&
		    !is_id_field(x, hx->answer_raw, f))
			put_line(&pen, hx->answer_raw, f);
	}
	end_run(&pen);
	if (final)
		put_id(&pen, x);
	put_answer_framing(&pen, hx);
	PUT(&pen, "\r\n");
	buf_commit(exchange_blocks(x), out, (size_t)(pen.at - from));
	return 0;
}

/* ------------------------------------------------------------- own answers */

static const char *
reason_of(unsigned status)
{
	switch (status) {
	case 400: return "Bad Request";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 408: return "Request Timeout";
	case 413: return "Content Too Large";
	case 414: return "URI Too Long";
	case 417: return "Expectation Failed";
	case 429: return "Too Many Requests";
	case 431: return "Request Header Fields Too Large";
	case 501: return "Not Implemented";
	case 502: return "Bad Gateway";
	case 503: return "Service Unavailable";
	case 504: return "Gateway Timeout";
	case 505: return "HTTP Version Not Supported";
	default:  return "Error";
	}
}

/* " (request ID, trace ID)", of those that there are; so that whoever sees the
   answer can name it. */
static void
say_ids(struct exchange *x, char *out, size_t size)
{
	const struct trace *t;

	out[0] = '\0';
	if (x == NULL)
		return;
	trace_begin(x);
	t = &http_of(x)->trace;
	if (t->begun)
		snprintf(out, size, " (%s%.*s%s%s%.*s)",
		    t->id_len > 0 ? "request " : "", t->id_len, t->id,
		    t->id_len > 0 && t->parent_len > 0 ? ", " : "",
		    t->parent_len > 0 ? "trace " : "",
		    t->parent_len > 0 ? TRACE_ID_LEN : 0,
		    t->parent_len > 0 ? t->parent + TRACE_ID_AT : "");
}

void
http_failure_words(struct http_failure *f, struct exchange *x, unsigned status,
    const char *name, const char *text, int64_t retry_after_ns)
{
	char ids[TRACE_BOUND];
	int n;

	say_ids(x, ids, sizeof(ids));
	n = snprintf(f->body, sizeof(f->body), "%u %s: %.180s%s\n", status,
	    name, text, ids);
	snprintf(f->status, sizeof(f->status), "%u", status);
	snprintf(f->length, sizeof(f->length), "%d", n);
	f->retry_after[0] = '\0';
	/* RFC 9110 10.2.3: whole seconds, and never too few. */
	if (retry_after_ns > 0)
		snprintf(f->retry_after, sizeof(f->retry_after), "%lld",
		    (long long)((retry_after_ns + NS_PER_S - 1) / NS_PER_S));
}

/* A field of its own, or nothing. */
static const char *
again(const struct http_failure *f, char line[64])
{
	line[0] = '\0';
	if (f->retry_after[0] != '\0')
		snprintf(line, 64, "Retry-After: %s\r\n", f->retry_after);
	return line;
}

size_t
http_write_refusal(enum limit why, int64_t retry_after_ns, char *out,
    size_t size)
{
	const struct fail_row *row = &fail_rows[why < LIMIT_DENIED ?
	    FAIL_LIMITED : FAIL_OVERLOADED];
	struct http_failure f;
	char line[64];
	int n;

	http_failure_words(&f, NULL, row->status, row->name, row->text,
	    retry_after_ns > 0 ? retry_after_ns : NS_PER_S);
	n = snprintf(out, size, "HTTP/1.1 %s %s\r\nContent-Type: text/plain\r\n"
	    "Content-Length: %s\r\nCache-Control: no-store\r\n%s"
	    "Connection: close\r\n\r\n%s", f.status,
	    reason_of(row->status), f.length, again(&f, line), f.body);
	return (size_t)n < size ? (size_t)n : 0;
}

size_t
http_write_plain(char *out, size_t size)
{
	const struct fail_row *row = &fail_rows[FAIL_HANDSHAKE];
	struct http_failure f;
	int n;

	http_failure_words(&f, NULL, 400, row->name, "this port speaks TLS (https), "
	    "and plain HTTP came", 0);
	n = snprintf(out, size, "HTTP/1.1 %s %s\r\nContent-Type: text/plain\r\n"
	    "Content-Length: %s\r\nConnection: close\r\n\r\n%s", f.status,
	    reason_of(400), f.length, f.body);
	return (size_t)n < size ? (size_t)n : 0;
}

int
http_write_failure(struct exchange *x, unsigned status, const char *name,
    const char *text)
{
	const struct http_exchange *hx = http_of(x);
	struct http_failure f;
	char head[512 + TRACE_BOUND], line[64], id[TRACE_BOUND];
	struct pen pen = { .at = id };
	int head_len;

	http_failure_words(&f, x, status, name, text, x->retry_after_ns);
	put_id(&pen, x);
	head_len = snprintf(head, sizeof(head), "HTTP/1.1 %s %s\r\n"
	    "Content-Type: text/plain\r\nContent-Length: %s\r\n"
	    "Cache-Control: no-store\r\n%s%s%.*s%s\r\n", f.status,
	    reason_of(status), f.length, again(&f, line), status == 405 ?
	    "Allow: " HTTP_ALLOW "\r\n" : "", (int)(pen.at - id), id,
	    !hx->keep ? "Connection: close\r\n" : hx->head->minor == 0 ?
	    "Connection: keep-alive\r\n" : "");
	if (buf_append(exchange_blocks(x), &x->s->conn.out, head,
	    (size_t)head_len) < 0)
		return -1;
	if (hx->head->method == HTTP_M_HEAD && hx->taking != TAKING_HEAD)
		return 0;
	return buf_append(exchange_blocks(x), &x->s->conn.out, f.body,
	    strlen(f.body));
}
