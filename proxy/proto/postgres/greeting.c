/*
 * Greetings that are told around. A server's greeting lets clients of its key
 * in without a connection; the lane that has heard one first tells the others,
 * and who waits for one is greeted, wherever that is. Else a client that logs in
 * while others hold all of the pool would wait for one of them to end, though
 * weir knows what to say.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "net/patient.h"
#include "proxy/exchange.h"
#include "proxy/lane.h"
#include "proxy/proto/postgres/postgres.h"
#include "proxy/session.h"

/* To a lane. Owned by the mail. */
struct news {
	struct mail mail;
	const struct upstream *upstream;        /* only compared */
	struct pg_settings *welcome;    /* a reference */
	struct pg_key *key;
};

static void
news_free(struct news *n)
{
	pg_settings_drop(n->welcome);
	pg_key_free(n->key);
	free(n);
}

static void
dropped(struct mail *m)
{
	news_free(container_of(m, struct news, mail));
}

/* The exchange by which s waits for such a greeting; NULL = it does not. */
static struct exchange *
waiting_for(const struct session *s, const struct news *n)
{
	const struct pg_session *ps = pg_session(s);
	struct exchange *x;

	if (s->closed || ps->phase != PG_LOGIN || ps->key == NULL ||
	    pg_key_size(ps->key) != pg_key_size(n->key) ||
	    memcmp(ps->key, n->key, pg_key_size(n->key)) != 0)
		return NULL;
	x = exchange_first(s);
	if (x == NULL || x->lease != NULL || x->ask.pool == NULL ||
	    x->ask.pool->upstream != n->upstream ||
	    pg_of(x)->purpose != PG_FOR_GREETING)
		return NULL;
	return x;
}

static void
delivered(struct worker *w, struct mail *m)
{
	struct news *n = container_of(m, struct news, mail);
	struct pg_lane *lane = ((struct lane *)w->owner)->own[FAMILY_POSTGRES];
	uint32_t i;

	pg_known_put(lane, n->upstream, n->key, n->welcome);
	for (i = 0; i < lane->n_slots; i++) {
		struct session *s = lane->slots[i];
		struct exchange *x = s != NULL ? waiting_for(s, n) : NULL;

		if (x == NULL)
			continue;
		pg_greet_client(s, n->welcome);
		exchange_end(x, OUTCOME_DONE);
	}
	news_free(n);
}

static void
tell(struct lane *lane, const struct upstream *up, const struct pg_key *key,
    struct pg_settings *welcome)
{
	struct news *n = patient_zeroed(sizeof(*n));

	if (n == NULL)
		return;
	n->mail.deliver = delivered;
	n->mail.drop = dropped;
	n->upstream = up;
	n->welcome = pg_settings_keep(welcome);
	n->key = pg_key_new(pg_key_user(key), pg_key_database(key),
	    (enum pg_key_kind)key->kind, pg_key_secret(key), key->secret_len);
	if (n->key == NULL)
		news_free(n);
	else
		worker_post(&lane->worker, &n->mail);
}

void
pg_greeting_heard(struct lane *lane, const struct upstream *up,
    const struct pg_key *key, struct pg_settings *welcome)
{
	struct runtime *rt = lane->runtime;
	struct pg_lane *own = lane->own[FAMILY_POSTGRES];
	bool first = pg_known_find(own, up, key) == NULL;
	size_t i;

	pg_known_put(own, up, key, welcome);
	/* By mail to this lane, too: who is greeted goes on at once, and u is
	   not in order yet. */
	for (i = 0; first && i < rt->n_lanes; i++)
		tell(rt->lanes[i], up, key, welcome);
}
