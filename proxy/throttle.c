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
};

static void
pause_over(struct deadline *d)
{
	conn_hold(&container_of(d, struct throttle, pause)->s->conn, false);
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
	deadline_set_ns(s->conn.w, &s->throttle->pause, ns);
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
