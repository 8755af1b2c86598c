/*
 * The access log. See access.h.
 *
 * Runs for each exchange: no printf, no locks, no system call. The line is made
 * where it lies in the lane's ring, for which the most that it can become is
 * reserved beforehand.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/access.h"

#include <string.h>
#include <time.h>

#include "net/escape.h"
#include "net/ring.h"
#include "proxy/exchange.h"
#include "proxy/runtime.h"

enum {
	REQUEST_MOST = 2048,            /* bytes of each that are logged */
	HOST_MOST = 256, AGENT_MOST = 512, NAME_MOST = 256,
	/* Keys, punctuation, the time, the client and all numbers. */
	FRAME_MOST = 1024,
	MARK_LEN = 3                    /* "...": there was more */
};

_Static_assert((REQUEST_MOST + HOST_MOST + AGENT_MOST + 3 * NAME_MOST) *
    ESCAPE_GROWTH + FRAME_MOST <= (int)RING_LINE_MAX, "the longest line fits");

/* What a line says, before it is spelled out. Nothing is terminated. */
struct word {
	const char *at;
	size_t len, most;
};

struct line {
	const struct exchange *x;
	struct word listener, upstream, endpoint, request, host, agent;
	uint64_t received, sent;
	int64_t total_ns;
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
cut(const struct word *word)
{
	size_t n = word->most;

	/* Continuation bytes (RFC 3629 3). */
	while (n > word->most - 4 && (word->at[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static inline char *
put_word(char *out, const struct word *word,
    char *(*escape)(char *, const char *, size_t))
{
	if (likely(word->len <= word->most))
		return escape(out, word->at, word->len);
	out = escape(out, word->at, cut(word));
	return put_text(out, "...");
}

/* In text, a word that stands without quotes: "-" when there is none. */
static char *
put_bare(char *out, const struct word *word)
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
put_quoted(char *out, const struct word *word)
{
	if (word->len == 0)
		return put_text(out, "\"-\"");
	out = put_text(out, "\"");
	out = put_word(out, word, escape_ascii);
	return put_text(out, "\"");
}

static char *
put_client(char *out, const struct addr_ip *client)
{
	char text[ADDR_TEXT_MAX];
	int i;

	if (client->family != AF_INET)
		return put_string(out, addr_ip_print(client, true, text));
	for (i = 0; i < 4; i++) {
		out = put_number(out, client->ip[i]);
		*out++ = i < 3 ? '.' : ':';
	}
	return put_number(out, client->port);
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

/* -------------------------------------------------------------------- lines */

/*
 * TIME CLIENT LISTENER UPSTREAM/ENDPOINT "REQUEST" STATUS OUTCOME RECEIVED SENT
 * QUEUE/CONNECT/FIRST_BYTE/TOTAL new|reused RETRIES FAILURE "HOST" "AGENT"
 */
static char *
write_text(char *out, const struct line *l, struct access_clock *clock,
    int64_t now_ns)
{
	const struct exchange *x = l->x;

	out = put_time(out, clock, now_ns);
	*out++ = ' ';
	out = put_client(out, &x->s->client);
	*out++ = ' ';
	out = put_bare(out, &l->listener);
	*out++ = ' ';
	out = put_bare(out, &l->upstream);
	*out++ = '/';
	out = put_bare(out, &l->endpoint);
	*out++ = ' ';
	out = put_quoted(out, &l->request);
	*out++ = ' ';
	out = x->status != 0 ? put_number(out, x->status) : put_text(out, "-");
	*out++ = ' ';
	out = put_string(out, outcome_names[x->outcome]);
	*out++ = ' ';
	out = put_number(out, l->received);
	*out++ = ' ';
	out = put_number(out, l->sent);
	*out++ = ' ';
	out = put_us(out, x->queue_ns);
	*out++ = '/';
	out = put_us(out, x->connect_ns);
	*out++ = '/';
	out = put_us(out, x->first_ns);
	*out++ = '/';
	out = put_us(out, l->total_ns);
	out = x->reused ? put_text(out, " reused ") : put_text(out, " new ");
	out = put_number(out, x->retries);
	*out++ = ' ';
	out = x->why == FAIL_NONE ? put_text(out, "-") :
	    put_string(out, fail_rows[x->why].name);
	*out++ = ' ';
	out = put_quoted(out, &l->host);
	*out++ = ' ';
	out = put_quoted(out, &l->agent);
	*out++ = '\n';
	return out;
}

static char *
write_json(char *out, const struct line *l, struct access_clock *clock,
    int64_t now_ns)
{
	const struct exchange *x = l->x;

	out = put_text(out, "{\"time\":\"");
	out = put_time(out, clock, now_ns);
	out = put_text(out, "\",\"client\":\"");
	out = put_client(out, &x->s->client);
	out = put_text(out, "\",\"listener\":\"");
	out = put_word(out, &l->listener, escape_json);
	out = put_text(out, "\",\"upstream\":\"");
	out = put_word(out, &l->upstream, escape_json);
	out = put_text(out, "\",\"endpoint\":\"");
	out = put_word(out, &l->endpoint, escape_json);
	out = put_text(out, "\",\"request\":\"");
	out = put_word(out, &l->request, escape_json);
	out = put_text(out, "\",\"host\":\"");
	out = put_word(out, &l->host, escape_json);
	out = put_text(out, "\",\"agent\":\"");
	out = put_word(out, &l->agent, escape_json);
	out = put_text(out, "\",\"status\":");
	out = put_number(out, x->status);
	out = put_text(out, ",\"outcome\":\"");
	out = put_string(out, outcome_names[x->outcome]);
	out = put_text(out, "\",\"received\":");
	out = put_number(out, l->received);
	out = put_text(out, ",\"sent\":");
	out = put_number(out, l->sent);
	out = put_text(out, ",\"queue_us\":");
	out = put_us(out, x->queue_ns);
	out = put_text(out, ",\"connect_us\":");
	out = put_us(out, x->connect_ns);
	out = put_text(out, ",\"first_byte_us\":");
	out = put_us(out, x->first_ns);
	out = put_text(out, ",\"total_us\":");
	out = put_us(out, l->total_ns);
	out = x->reused ? put_text(out, ",\"reused\":true,\"retries\":") :
	    put_text(out, ",\"reused\":false,\"retries\":");
	out = put_number(out, x->retries);
	out = put_text(out, ",\"failure\":\"");
	if (x->why != FAIL_NONE)
		out = put_string(out, fail_rows[x->why].name);
	return put_text(out, "\"}\n");
}

/* -------------------------------------------------------------- an exchange */

static struct word
name(const char *text)
{
	return (struct word){ text, text != NULL ? strlen(text) : 0,
	    NAME_MOST };
}

/* Bytes since `at`; what a closed connection has thrown away was not sent. */
static uint64_t
since(uint64_t position, uint64_t at)
{
	return position > at ? position - at : 0;
}

static void
gather(struct line *l, const struct exchange *x, int64_t total_ns)
{
	const struct front_ops *front = x->s->front;
	const struct conn *c = &x->s->conn;
	struct access_words words = { 0 };

	if (front->words != NULL)
		front->words(x, &words);
	l->x = x;
	l->listener = name(x->policy->name);
	l->upstream = name(x->upstream != NULL ? x->upstream->name : NULL);
	l->endpoint = name(x->endpoint != NULL ? x->endpoint->name : NULL);
	l->request = (struct word){ words.request, words.request_len,
	    REQUEST_MOST };
	l->host = (struct word){ words.host, words.host_len, HOST_MOST };
	l->agent = (struct word){ words.agent, words.agent_len, AGENT_MOST };
	l->received = words.counted ? words.received :
	    since(c->received - c->in.len, x->in_at);
	l->sent = words.counted ? words.sent :
	    since(c->sent + c->out.len, x->out_at);
	l->total_ns = total_ns;
}

static inline size_t
most_of(const struct word *word)
{
	return (word->len < word->most ? word->len : word->most) *
	    ESCAPE_GROWTH;
}

static size_t
longest(const struct line *l)
{
	return FRAME_MOST + most_of(&l->listener) + most_of(&l->upstream) +
	    most_of(&l->endpoint) + most_of(&l->request) + most_of(&l->host) +
	    most_of(&l->agent);
}

/* Whether access_when wants it. */
static bool
is_wanted(const struct exchange *x, const struct conf *conf, int64_t total_ns)
{
	bool failed = x->outcome == OUTCOME_5XX ||
	    x->outcome == OUTCOME_FAILED || x->outcome == OUTCOME_CLIENT_ABORT;

	switch (conf->log.access_when) {
	case CONF_ACCESS_ALWAYS:
		return true;
	case CONF_ACCESS_FAILED:
		return failed;
	case CONF_ACCESS_SLOW:
		return failed || total_ns / NS_PER_MS >= conf->log.slow_ms;
	}
	return true;
}

void
access_log(const struct exchange *x)
{
	struct lane *lane = x->s->door->lane;
	const struct conf *conf = x->gen->conf;
	int64_t now_ns = lane->worker.now_ns;
	int64_t total_ns = now_ns - x->begun_ns;
	struct line l;
	char *start, *end;

	if (lane->access == NULL || strcmp(conf->log.access, "off") == 0 ||
	    !is_wanted(x, conf, total_ns))
		return;
	gather(&l, x, total_ns);
	start = ring_reserve(lane->access, longest(&l));
	if (start == NULL)
		return;
	end = conf->log.format == CONF_LOG_JSON ?
	    write_json(start, &l, &lane->access_clock, now_ns) :
	    write_text(start, &l, &lane->access_clock, now_ns);
	ring_commit(lane->access, (size_t)(end - start));
}
