/*
 * Throttles. See throttle.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/throttle.h"

#include <stdlib.h>

struct throttle {
	struct session *s;
	struct client_key client;
	struct deadline pause;
	int64_t left_ns;                /* of it, when the deadline passes */
};

/* Whoever is held hears nothing of its client: it looks now and then. */
#define LOOK_NS (500 * NS_PER_MS)

static void
pause_for(struct throttle *t, int64_t ns)
{
	t->left_ns = ns > LOOK_NS ? ns - LOOK_NS : 0;
	deadline_set_ns(t->s->conn.w, &t->pause, ns - t->left_ns);
}

static const struct conf_limit *
limit_of(const struct session *s)
{
	return &s->door->conf->limits[CONF_LIMIT_BANDWIDTH_PER_CLIENT];
}

/* In how many ns it may go on. A reload may have taken the limit away. */
static int64_t
charge(const struct session *s, size_t n)
{
	const struct listener *l = s->door->listener;

	if (limit_of(s)->most >= CONF_OFF)
		return 0;
	return bucket_table_owe(atomic_load_explicit(
	    &l->buckets[CONF_LIMIT_BANDWIDTH_PER_CLIENT],
	    memory_order_relaxed), &s->throttle->client, limit_of(s),
	    s->conn.w->now_ns, n);
}

static void
pause_over(struct deadline *d)
{
	struct throttle *t = container_of(d, struct throttle, pause);
	int64_t ns;

	if (conn_is_reset(&t->s->conn)) {
		session_close(t->s);
		return;
	}
	/* Others of the same client may have gone on meanwhile. */
	ns = t->left_ns > 0 ? t->left_ns : charge(t->s, 0);
	if (ns > 0)
		pause_for(t, ns);
	else
		conn_hold(&t->s->conn, false);
}

void
throttle_begin(struct session *s)
{
	struct client_key client = client_key_of(&s->client);

	if (limit_of(s)->most >= CONF_OFF || client_key_is_nobody(&client))
		return;
	s->throttle = malloc(sizeof(*s->throttle));
	if (s->throttle == NULL)
		return;
	s->throttle->s = s;
	s->throttle->client = client;
	deadline_init(&s->throttle->pause, pause_over);
}

void
throttle_moved(struct session *s, size_t n)
{
	const struct conf_limit *limit = limit_of(s);
	struct door *d = s->door;
	int64_t ns;

	if (s->throttle == NULL)
		return;
	ns = charge(s, n);
	if (ns == 0 || s->conn.held)
		return;
	count_add(limit->shadow ?
	    &d->shadowed[CONF_LIMIT_BANDWIDTH_PER_CLIENT] :
	    &d->limited[CONF_LIMIT_BANDWIDTH_PER_CLIENT], 1);
	if (limit->shadow)
		return;
	conn_hold(&s->conn, true);
	pause_for(s->throttle, ns);
}

void
throttle_end(struct session *s)
{
	if (s->throttle == NULL)
		return;
	deadline_clear(&s->throttle->pause);
	free(s->throttle);
	s->throttle = NULL;
}
