/*
 * Throttles. See throttle.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/throttle.h"

#include <stdlib.h>

#include "proxy/runtime.h"

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

static void
pause_over(struct deadline *d)
{
	struct throttle *t = container_of(d, struct throttle, pause);

	if (conn_is_reset(&t->s->conn))
		session_close(t->s);
	else if (t->left_ns > 0)
		pause_for(t, t->left_ns);
	else
		conn_hold(&t->s->conn, false);
}

static const struct conf_limit *
limit_of(const struct session *s)
{
	return &s->door->conf->limits[CONF_LIMIT_BANDWIDTH_PER_CLIENT];
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

	/* A reload may have taken the limit away. */
	if (s->throttle == NULL || limit->most >= CONF_OFF)
		return;
	ns = bucket_table_owe(atomic_load_explicit(
	    &d->listener->buckets[CONF_LIMIT_BANDWIDTH_PER_CLIENT],
	    memory_order_relaxed), &s->throttle->client, limit,
	    s->conn.w->now_ns, n);
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
