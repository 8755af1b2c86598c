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

#include "net/escape.h"
#include "net/ring.h"
#include "proxy/access_fields.h"
#include "proxy/exchange.h"
#include "proxy/runtime.h"

/* Bytes of each word that are logged. */
enum {
	REQUEST_MOST = 2048, HOST_MOST = 256, AGENT_MOST = 512, NAME_MOST = 256,
	ID_MOST = 64
};

/* A line of all fields and as many headers as there may be. */
_Static_assert((REQUEST_MOST + HOST_MOST + AGENT_MOST + 3 * NAME_MOST +
    2 * ID_MOST + CONF_LOG_HEADERS_MOST * ACCESS_HEADER_MOST) * ESCAPE_GROWTH +
    CONF_FIELD_HEADER * 96 + CONF_LOG_HEADERS_MOST * 160 <=
    (int)RING_LINE_MAX, "the longest line fits");

/* -------------------------------------------------------------- an exchange */

static void
name(struct access_word *word, const char *text)
{
	*word = (struct access_word){ text, text != NULL ? strlen(text) : 0,
	    NAME_MOST };
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
	l->word[ACCESS_REQUEST] = (struct access_word){ w.request,
	    w.request_len, REQUEST_MOST };
	l->word[ACCESS_HOST] = (struct access_word){ w.host, w.host_len,
	    HOST_MOST };
	l->word[ACCESS_AGENT] = (struct access_word){ w.agent, w.agent_len,
	    AGENT_MOST };
	l->word[ACCESS_ID] = (struct access_word){ w.id, w.id_len, ID_MOST };
	l->word[ACCESS_TRACE] = (struct access_word){ w.trace, w.trace_len,
	    ID_MOST };
	l->received = w.counted ? w.received :
	    since(c->received - c->in.len, x->in_at);
	l->sent = w.counted ? w.sent : since(c->sent + c->out.len, x->out_at);
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
	struct access_line l;
	char *start, *end;

	l.total_ns = now_ns - x->begun_ns;
	if (lane->access == NULL || strcmp(conf->log.access, "off") == 0 ||
	    !is_wanted(x, conf, l.total_ns))
		return;
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
