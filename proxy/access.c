/*
 * The access log. See access.h.
 *
 * The line is made where it lies in the lane's ring, for which the most that it
 * can become is reserved beforehand.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/access.h"

#include <string.h>

#include <openssl/ssl.h>

#include "net/escape.h"
#include "net/ring.h"
#include "proxy/access_fields.h"
#include "proxy/exchange.h"
#include "proxy/runtime.h"

/* Bytes of each word that are logged. */
enum {
	REQUEST_MOST = 2048, HOST_MOST = 256, AGENT_MOST = 512, NAME_MOST = 256,
	SAID_MOST = 256, METHOD_MOST = 64, ID_MOST = 64
};

/* A line of all fields and as many headers as there may be. */
_Static_assert((2 * REQUEST_MOST + 2 * HOST_MOST + AGENT_MOST +
    5 * NAME_MOST + SAID_MOST + METHOD_MOST + 3 * ID_MOST + CONF_LOG_HEADERS_MOST * ACCESS_HEADER_MOST) * ESCAPE_GROWTH +
    CONF_FIELD_HEADER * 96 + CONF_LOG_HEADERS_MOST * 160 <=
    (int)RING_LINE_MAX, "the longest line fits");

/* -------------------------------------------------------------- an exchange */

static void
put(struct access_word *word, const char *at, size_t len, size_t most)
{
	*word = (struct access_word){ at, len, most };
}

static void
name(struct access_word *word, const char *text)
{
	put(word, text, text != NULL ? strlen(text) : 0, NAME_MOST);
}

/* The path of a target, as long as it is before its query (RFC 9112 3.2). Of an
   absolute one not its authority, where a password may stand (RFC 3986 3.2.1);
   CONNECT's has none. */
static size_t
find_path(const char **at, size_t len)
{
	const char *target = *at, *end = target + len, *c;
	const char *scheme = memmem(target, len, "://", 3);

	for (c = target; c < end && *c != '?' && *c != '#'; c++)
		;
	if (len > 0 && (*target == '/' || *target == '*'))
		return (size_t)(c - target);
	if (scheme == NULL || scheme + 3 > c)
		return 0;
	target = memchr(scheme + 3, '/', (size_t)(c - scheme - 3));
	*at = target != NULL ? target : "/";
	return target != NULL ? (size_t)(c - target) : 1;
}

static void
split_request(struct access_line *l, const struct access_words *w)
{
	const char *at = w->request, *end = at + w->request_len, *blank;
	size_t len;

	if (!w->is_line || w->request_len == 0)
		return;
	blank = memchr(at, ' ', w->request_len);
	len = (size_t)((blank != NULL ? blank : end) - at);
	put(&l->word[ACCESS_METHOD], at, len, METHOD_MOST);
	if (blank == NULL)
		return;
	at = blank + 1;
	blank = memchr(at, ' ', (size_t)(end - at));
	len = find_path(&at, (size_t)((blank != NULL ? blank : end) - at));
	put(&l->word[ACCESS_PATH], at, len, REQUEST_MOST);
}

/* As the client and this weir have agreed. */
static void
look_at_tls(struct access_line *l, const struct conn *c)
{
	const SSL *ssl = conn_ssl(c);
	const char *asked;

	if (ssl == NULL)
		return;
	asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	put(&l->word[ACCESS_TLS_VERSION], SSL_get_version(ssl),
	    strlen(SSL_get_version(ssl)), ID_MOST);
	put(&l->word[ACCESS_SNI], asked, asked != NULL ? strlen(asked) : 0,
	    HOST_MOST);
}

/* Bytes since `at`; what a closed connection has thrown away was not sent. */
static uint64_t
since(uint64_t position, uint64_t at)
{
	return position > at ? position - at : 0;
}

static void
gather(struct access_line *l, const struct exchange *x)
{
	const struct access_plan *plan = x->gen->access;
	const struct front_ops *front = x->s->front;
	const struct conn *c = &x->s->conn;
	struct access_words w = { 0 };

	if (front->words != NULL)
		front->words(x, &w);
	name(&l->word[ACCESS_LISTENER], x->policy->name);
	name(&l->word[ACCESS_UPSTREAM],
	    x->upstream != NULL ? x->upstream->name : NULL);
	name(&l->word[ACCESS_ENDPOINT],
	    x->endpoint != NULL ? x->endpoint->name : NULL);
	put(&l->word[ACCESS_REQUEST], w.request, w.request_len, REQUEST_MOST);
	put(&l->word[ACCESS_HOST], w.host, w.host_len, HOST_MOST);
	put(&l->word[ACCESS_AGENT], w.agent, w.agent_len, AGENT_MOST);
	put(&l->word[ACCESS_ID], w.id, w.id_len, ID_MOST);
	put(&l->word[ACCESS_TRACE], w.trace, w.trace_len, ID_MOST);
	put(&l->word[ACCESS_USER], w.user, w.user_len, NAME_MOST);
	put(&l->word[ACCESS_DATABASE], w.database, w.database_len, NAME_MOST);
	put(&l->word[ACCESS_SNI], w.sni, w.sni_len, HOST_MOST);
	put(&l->word[ACCESS_SAID], x->said, x->said != NULL ?
	    strlen(x->said) : 0, SAID_MOST);
	if (plan->wants_target)
		split_request(l, &w);
	if (plan->wants_tls)
		look_at_tls(l, c);
	l->received = w.counted ? w.received :
	    since(c->received - c->in.len, x->in_at);
	l->sent = w.counted ? w.sent : since(c->sent + c->out.len, x->out_at);
}

/* Whether access_when wants it. */
static bool
is_wanted(const struct exchange *x, const struct conf *conf, int64_t total_ns)
{
	bool failed = x->outcome == OUTCOME_5XX || x->said != NULL ||
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
	struct access_line l;
	char *start, *end;

	l.total_ns = now_ns - x->begun_ns;
	if (lane->access == NULL || strcmp(conf->log.access, "off") == 0 ||
	    !is_wanted(x, conf, l.total_ns))
		return;
	memset(l.word, 0, sizeof(l.word));
	l.x = x;
	l.clock = &lane->access_clock;
	l.now_ns = now_ns;
	gather(&l, x);
	start = ring_reserve(lane->access, access_line_most(x->gen->access,
	    &l));
	if (start == NULL)
		return;
	end = access_line_write(x->gen->access, &l, start);
	ring_commit(lane->access, (size_t)(end - start));
}
