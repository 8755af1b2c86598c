/*
 * Fields of the access log, each in two forms, and the plans made of them. See
 * access_fields.h; the names are conf/log_fields.c's.
 *
 * Runs for each exchange: no printf, no locks, no system call.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/access_fields.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/log_fields.h"
#include "net/escape.h"
#include "proxy/exchange.h"

enum {
	MARK_LEN = 3,                   /* "...": there was more */
	LEAD_USUAL = 24,                /* few are longer */
	PIECE_MOST = 64                 /* what is not a word: a number, a time,
					   an address, quotes */
};

/* ------------------------------------------------------------------- pieces */

/* Of text that is constant. */
#define put_text(out, text) put_bytes(out, text, sizeof(text) - 1)

static inline char *
put_bytes(char *out, const char *bytes, size_t len)
{
	memcpy(out, bytes, len);
	return out + len;
}

static inline char *
put_number(char *out, uint64_t n)
{
	static const char pairs[] =
	    "00010203040506070809101112131415161718192021222324"
	    "25262728293031323334353637383940414243444546474849"
	    "50515253545556575859606162636465666768697071727374"
	    "75767778798081828384858687888990919293949596979899";
	char digits[20], *at = digits + sizeof(digits);

	for (; n >= 100; n /= 100) {
		at -= 2;
		memcpy(at, pairs + n % 100 * 2, 2);
	}
	if (n >= 10) {
		at -= 2;
		memcpy(at, pairs + n * 2, 2);
	} else
		*--at = (char)('0' + n);
	return put_bytes(out, at, (size_t)(digits + sizeof(digits) - at));
}

static inline char *
put_us(char *out, int64_t ns)
{
	return put_number(out, ns > 0 ? (uint64_t)ns / 1000 : 0);
}

static inline char *
put_string(char *out, const char *text)
{
	return put_bytes(out, text, strlen(text));
}

/* No character is cut in two: it would look like bytes that were not sent. */
static size_t
cut(const struct access_word *word)
{
	size_t n = word->most;

	/* Continuation bytes (RFC 3629 3). */
	while (n > word->most - 4 && (word->at[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static inline char *
put_word(char *out, const struct access_word *word,
    char *(*escape)(char *, const char *, size_t))
{
	if (likely(word->len <= word->most))
		return escape(out, word->at, word->len);
	out = escape(out, word->at, cut(word));
	return put_text(out, "...");
}

/* In text, a word that stands without quotes: "-" when there is none. */
static char *
put_bare(char *out, const struct access_word *word)
{
	char *end = put_word(out, word, escape_ascii), *at;

	if (end == out)
		return put_text(out, "-");
	/* A space would shift what comes after it. */
	for (at = out; at < end; at++)
		if (*at == ' ')
			*at = '_';
	return end;
}

static char *
put_quoted(char *out, const struct access_word *word)
{
	if (word->len == 0)
		return put_text(out, "\"-\"");
	out = put_text(out, "\"");
	out = put_word(out, word, escape_ascii);
	return put_text(out, "\"");
}

static char *
put_json(char *out, const struct access_word *word)
{
	out = put_text(out, "\"");
	out = put_word(out, word, escape_json);
	return put_text(out, "\"");
}

static char *
put_client(char *out, const struct addr_ip *client, bool with_port)
{
	char text[ADDR_TEXT_MAX];
	int i;

	if (client->family != AF_INET)
		return put_string(out, addr_ip_print(client, with_port, text));
	for (i = 0; i < 4; i++) {
		out = put_number(out, client->ip[i]);
		*out++ = i < 3 ? '.' : ':';
	}
	return with_port ? put_number(out, client->port) : out - 1;
}

/* --------------------------------------------------------------------- time */

/*
 * Wall-clock time from that of the loop turn. How far they are apart is looked
 * at once a second: a clock that is set shows within that.
 */
static char *
put_time(char *out, struct access_clock *c, int64_t now_ns)
{
	int64_t wall_ns, second;
	unsigned ms;

	if (unlikely(c->offset_ns == 0 || now_ns - c->valid_ns >= NS_PER_S)) {
		struct timespec wall, mono;

		clock_gettime(CLOCK_REALTIME, &wall);
		clock_gettime(CLOCK_MONOTONIC, &mono);
		c->offset_ns = (wall.tv_sec - mono.tv_sec) * NS_PER_S +
		    wall.tv_nsec - mono.tv_nsec;
		c->valid_ns = now_ns;
	}
	wall_ns = now_ns + c->offset_ns;
	second = wall_ns / NS_PER_S;
	if (unlikely(second != c->second)) {
		time_t t = (time_t)second;
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(c->text, sizeof(c->text), "%Y-%m-%dT%H:%M:%S.", &tm);
		c->second = second;
	}
	out = put_bytes(out, c->text, 20);
	ms = (unsigned)(wall_ns % NS_PER_S / NS_PER_MS);
	*out++ = (char)('0' + ms / 100);
	*out++ = (char)('0' + ms / 10 % 10);
	*out++ = (char)('0' + ms % 10);
	*out++ = 'Z';
	return out;
}

/* ------------------------------------------------------------------- fields */

#define FIELD(name)                                                     \
static char *                                                           \
name(char *out, const struct access_line *l, const struct access_piece *p)

FIELD(text_time)
{
	(void)p;
	return put_time(out, l->clock, l->now_ns);
}

FIELD(json_time)
{
	(void)p;
	out = put_text(out, "\"");
	out = put_time(out, l->clock, l->now_ns);
	return put_text(out, "\"");
}

FIELD(text_client)
{
	(void)p;
	return put_client(out, &l->x->s->client, true);
}

FIELD(json_client)
{
	out = put_text(out, "\"");
	out = text_client(out, l, p);
	return put_text(out, "\"");
}

FIELD(text_client_ip)
{
	(void)p;
	return put_client(out, &l->x->s->client, false);
}

FIELD(json_client_ip)
{
	out = put_text(out, "\"");
	out = text_client_ip(out, l, p);
	return put_text(out, "\"");
}

FIELD(bare_word)
{
	return put_bare(out, &l->word[p->word]);
}

FIELD(quoted_word)
{
	return put_quoted(out, &l->word[p->word]);
}

FIELD(json_word)
{
	return put_json(out, &l->word[p->word]);
}

FIELD(any_worker)
{
	(void)p;
	return put_number(out, l->x->s->conn.w->index);
}

FIELD(text_status)
{
	(void)p;
	return l->x->status != 0 ? put_number(out, l->x->status) :
	    put_text(out, "-");
}

FIELD(json_status)
{
	(void)p;
	return put_number(out, l->x->status);
}

FIELD(text_outcome)
{
	(void)p;
	return put_string(out, outcome_names[l->x->outcome]);
}

FIELD(json_outcome)
{
	out = put_text(out, "\"");
	out = text_outcome(out, l, p);
	return put_text(out, "\"");
}

FIELD(text_failure)
{
	(void)p;
	return l->x->why == FAIL_NONE ? put_text(out, "-") :
	    put_string(out, fail_rows[l->x->why].name);
}

FIELD(json_failure)
{
	(void)p;
	out = put_text(out, "\"");
	if (l->x->why != FAIL_NONE)
		out = put_string(out, fail_rows[l->x->why].name);
	return put_text(out, "\"");
}

FIELD(any_received)
{
	(void)p;
	return put_number(out, l->received);
}

FIELD(any_sent)
{
	(void)p;
	return put_number(out, l->sent);
}

/* A span that is a field of the exchange. */
FIELD(any_span)
{
	int64_t ns;

	memcpy(&ns, (const char *)l->x + p->offset, sizeof(ns));
	return put_us(out, ns);
}

FIELD(any_arrive)
{
	(void)p;
	return put_us(out, (l->x->routed_ns != 0 ? l->x->routed_ns :
	    l->now_ns) - l->x->begun_ns);
}

FIELD(any_client_us)
{
	(void)p;
	return put_us(out, l->x->full_ns + (l->x->full_since_ns != 0 ?
	    l->now_ns - l->x->full_since_ns : 0));
}

FIELD(any_total)
{
	(void)p;
	return put_us(out, l->total_ns);
}

FIELD(text_reused)
{
	(void)p;
	return l->x->reused ? put_text(out, "reused") : put_text(out, "new");
}

FIELD(json_reused)
{
	(void)p;
	return l->x->reused ? put_text(out, "true") : put_text(out, "false");
}

FIELD(any_retries)
{
	(void)p;
	return put_number(out, l->x->retries);
}

static struct access_word
header_of(const struct access_line *l, const struct access_piece *p)
{
	const struct front_ops *front = l->x->s->front;
	struct access_word word = { .most = ACCESS_HEADER_MOST };

	if (front->header != NULL)
		word.at = front->header(l->x, p->header, &word.len);
	return word;
}

FIELD(text_header)
{
	const struct access_word word = header_of(l, p);

	return put_quoted(out, &word);
}

FIELD(json_header)
{
	const struct access_word word = header_of(l, p);

	return put_json(out, &word);
}

/* Behind the usual lines, and only where there is one: whoever has no traces
   has the lines that he had. */
FIELD(text_trace_if_any)
{
	if (l->word[p->word].len == 0)
		return out;
	out = put_text(out, " ");
	return put_bare(out, &l->word[p->word]);
}

FIELD(json_trace_if_any)
{
	if (l->word[p->word].len == 0)
		return out;
	out = put_text(out, ",\"trace_id\":");
	return put_json(out, &l->word[p->word]);
}

typedef char *put_fn(char *out, const struct access_line *l,
    const struct access_piece *p);

static const struct row {
	put_fn *text, *json;
	uint8_t word;
	uint16_t offset;
} rows[CONF_N_FIELDS] = {
#define SPAN(field) any_span, any_span, 0, offsetof(struct exchange, field)
	[CONF_FIELD_TIME] = { text_time, json_time, 0, 0 },
	[CONF_FIELD_CLIENT] = { text_client, json_client, 0, 0 },
	[CONF_FIELD_CLIENT_IP] = { text_client_ip, json_client_ip, 0, 0 },
	[CONF_FIELD_LISTENER] = { bare_word, json_word, ACCESS_LISTENER, 0 },
	[CONF_FIELD_UPSTREAM] = { bare_word, json_word, ACCESS_UPSTREAM, 0 },
	[CONF_FIELD_ENDPOINT] = { bare_word, json_word, ACCESS_ENDPOINT, 0 },
	[CONF_FIELD_WORKER] = { any_worker, any_worker, 0, 0 },
	[CONF_FIELD_REQUEST] = { quoted_word, json_word, ACCESS_REQUEST, 0 },
	[CONF_FIELD_METHOD] = { bare_word, json_word, ACCESS_METHOD, 0 },
	[CONF_FIELD_PATH] = { quoted_word, json_word, ACCESS_PATH, 0 },
	[CONF_FIELD_HOST] = { quoted_word, json_word, ACCESS_HOST, 0 },
	[CONF_FIELD_AGENT] = { quoted_word, json_word, ACCESS_AGENT, 0 },
	[CONF_FIELD_REQUEST_ID] = { bare_word, json_word, ACCESS_ID, 0 },
	[CONF_FIELD_TRACE_ID] = { bare_word, json_word, ACCESS_TRACE, 0 },
	[CONF_FIELD_USER] = { quoted_word, json_word, ACCESS_USER, 0 },
	[CONF_FIELD_DATABASE] = { quoted_word, json_word, ACCESS_DATABASE, 0 },
	[CONF_FIELD_TLS_VERSION] = { bare_word, json_word, ACCESS_TLS_VERSION,
	    0 },
	[CONF_FIELD_SNI] = { bare_word, json_word, ACCESS_SNI, 0 },
	[CONF_FIELD_STATUS] = { text_status, json_status, 0, 0 },
	[CONF_FIELD_OUTCOME] = { text_outcome, json_outcome, 0, 0 },
	[CONF_FIELD_FAILURE] = { text_failure, json_failure, 0, 0 },
	[CONF_FIELD_SAID] = { quoted_word, json_word, ACCESS_SAID, 0 },
	[CONF_FIELD_RECEIVED] = { any_received, any_received, 0, 0 },
	[CONF_FIELD_SENT] = { any_sent, any_sent, 0, 0 },
	[CONF_FIELD_ARRIVE_US] = { any_arrive, any_arrive, 0, 0 },
	[CONF_FIELD_PAUSE_US] = { SPAN(paused_ns) },
	[CONF_FIELD_QUEUE_US] = { SPAN(queue_ns) },
	[CONF_FIELD_CONNECT_US] = { SPAN(connect_ns) },
	[CONF_FIELD_TLS_US] = { SPAN(tls_ns) },
	[CONF_FIELD_FIRST_BYTE_US] = { SPAN(first_ns) },
	[CONF_FIELD_CLIENT_US] = { any_client_us, any_client_us, 0, 0 },
	[CONF_FIELD_TOTAL_US] = { any_total, any_total, 0, 0 },
	[CONF_FIELD_REUSED] = { text_reused, json_reused, 0, 0 },
	[CONF_FIELD_RETRIES] = { any_retries, any_retries, 0, 0 },
	[CONF_FIELD_HEADER] = { text_header, json_header, 0, 0 }
#undef SPAN
};

/* -------------------------------------------------------------------- plans */

/*
 * The usual lines. Text:
 *
 * TIME CLIENT LISTENER UPSTREAM/ENDPOINT "REQUEST" STATUS OUTCOME RECEIVED SENT
 * QUEUE/CONNECT/FIRST_BYTE/TOTAL new|reused RETRIES FAILURE "HOST" "AGENT"
 *
 * and the id of its trace, if it has one.
 */
static const struct usual {
	enum conf_log_field_name what;
	char lead;
} usual_text[] = {
	{ CONF_FIELD_TIME, '\0' }, { CONF_FIELD_CLIENT, ' ' },
	{ CONF_FIELD_LISTENER, ' ' }, { CONF_FIELD_UPSTREAM, ' ' },
	{ CONF_FIELD_ENDPOINT, '/' }, { CONF_FIELD_REQUEST, ' ' },
	{ CONF_FIELD_STATUS, ' ' }, { CONF_FIELD_OUTCOME, ' ' },
	{ CONF_FIELD_RECEIVED, ' ' }, { CONF_FIELD_SENT, ' ' },
	{ CONF_FIELD_QUEUE_US, ' ' }, { CONF_FIELD_CONNECT_US, '/' },
	{ CONF_FIELD_FIRST_BYTE_US, '/' }, { CONF_FIELD_TOTAL_US, '/' },
	{ CONF_FIELD_REUSED, ' ' }, { CONF_FIELD_RETRIES, ' ' },
	{ CONF_FIELD_FAILURE, ' ' }, { CONF_FIELD_HOST, ' ' },
	{ CONF_FIELD_AGENT, ' ' }
};

static const enum conf_log_field_name usual_json[] = {
	CONF_FIELD_TIME, CONF_FIELD_CLIENT, CONF_FIELD_LISTENER,
	CONF_FIELD_UPSTREAM, CONF_FIELD_ENDPOINT, CONF_FIELD_REQUEST,
	CONF_FIELD_HOST, CONF_FIELD_AGENT, CONF_FIELD_STATUS,
	CONF_FIELD_OUTCOME, CONF_FIELD_RECEIVED, CONF_FIELD_SENT,
	CONF_FIELD_QUEUE_US, CONF_FIELD_CONNECT_US, CONF_FIELD_FIRST_BYTE_US,
	CONF_FIELD_TOTAL_US, CONF_FIELD_REUSED, CONF_FIELD_RETRIES,
	CONF_FIELD_FAILURE
};

static void
add(struct access_plan *plan, bool json, enum conf_log_field_name what,
    const char *header, const char *lead, size_t lead_len)
{
	struct access_piece *p = &plan->v[plan->n++];
	const struct row *row = &rows[what];

	*p = (struct access_piece){ .put = json ? row->json : row->text,
	    .header = header, .offset = row->offset, .word = row->word,
	    .lead_len = (uint8_t)lead_len };
	memcpy(p->lead, lead, lead_len);
	plan->wants_target |= what == CONF_FIELD_METHOD ||
	    what == CONF_FIELD_PATH;
	plan->wants_tls |= what == CONF_FIELD_TLS_VERSION ||
	    what == CONF_FIELD_SNI;
	plan->most += lead_len + PIECE_MOST +
	    (header != NULL ? ACCESS_HEADER_MOST * ESCAPE_GROWTH + MARK_LEN : 0);
}

static void
add_json(struct access_plan *plan, enum conf_log_field_name what,
    const char *header, const char *name)
{
	char lead[sizeof(plan->v[0].lead)], *at = lead;

	at = plan->n == 0 ? put_text(at, "{\"") : put_text(at, ",\"");
	/* A name is a token: what JSON would escape of it is no letter of one
	   (RFC 9110 5.6.2, RFC 8259 7). */
	at = put_bytes(at, name, strlen(name));
	at = put_text(at, "\":");
	add(plan, true, what, header, lead, (size_t)(at - lead));
}

static void
add_trace_if_any(struct access_plan *plan, bool json)
{
	plan->v[plan->n++] = (struct access_piece){ .put = json ?
	    json_trace_if_any : text_trace_if_any, .word = ACCESS_TRACE };
	plan->most += PIECE_MOST;
}

struct access_plan *
access_plan_new(const struct conf *conf)
{
	bool json = conf->log.format == CONF_LOG_JSON;
	size_t n = conf->log.n_fields, i;
	struct access_plan *plan = calloc(1, sizeof(*plan) +
	    (n > 0 ? n : NELEMS(usual_text) + 1) * sizeof(plan->v[0]));

	if (plan == NULL)
		return NULL;
	plan->end = json ? "}\n" : "\n";
	plan->end_len = strlen(plan->end);
	plan->most = plan->end_len;
	for (i = 0; n == 0 && json && i < NELEMS(usual_json); i++)
		add_json(plan, usual_json[i], NULL,
		    log_field_rows[usual_json[i]].name);
	for (i = 0; n == 0 && !json && i < NELEMS(usual_text); i++)
		add(plan, false, usual_text[i].what, NULL,
		    &usual_text[i].lead, i > 0);
	if (n == 0)
		add_trace_if_any(plan, json);
	for (i = 0; i < n; i++) {
		const struct conf_log_field *f = &conf->log.fields[i];

		if (json)
			add_json(plan, f->what, f->header, f->name);
		else
			add(plan, false, f->what, f->header, " ", i > 0);
	}
	return plan;
}

void
access_plan_free(struct access_plan *plan)
{
	free(plan);
}

/* -------------------------------------------------------------------- lines */

static inline size_t
most_of(const struct access_word *word)
{
	return (word->len < word->most ? word->len : word->most) *
	    ESCAPE_GROWTH + MARK_LEN;
}

size_t
access_line_most(const struct access_plan *plan, const struct access_line *l)
{
	size_t most = plan->most, i;

	for (i = 0; i < ACCESS_N_WORDS; i++)
		most += most_of(&l->word[i]);
	return most;
}

char *
access_line_write(const struct access_plan *plan, const struct access_line *l,
    char *out)
{
	const struct access_piece *p = plan->v, *end = p + plan->n;

	/* Of fixed lengths, which costs less than exact ones: there is room for
	   a piece behind each lead (PIECE_MOST). */
	for (; p < end; p++) {
		memcpy(out, p->lead, LEAD_USUAL);
		if (unlikely(p->lead_len > LEAD_USUAL))
			memcpy(out + LEAD_USUAL, p->lead + LEAD_USUAL,
			    sizeof(p->lead) - LEAD_USUAL);
		out = p->put(out + p->lead_len, l, p);
	}
	return put_bytes(out, plan->end, plan->end_len);
}
