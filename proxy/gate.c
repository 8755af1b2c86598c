/*
 * The gate. See gate.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/gate.h"

#include "proxy/pressure.h"
#include "proxy/runtime.h"

/* Clients that have been active lately have a bucket each; more than these
   share (limit.h). 1 MiB a limit. */
enum { BUCKETS = 64 * 1024 };

/* Tells the bucket of a client's refusals from his own. */
#define REFUSALS (UINT64_C(1) << 63)

/* ------------------------------------------------------------ made by main */

static bool
has_buckets(enum conf_limit_name name)
{
	return name == CONF_LIMIT_CONNECTION_RATE_PER_CLIENT ||
	    name == CONF_LIMIT_REQUEST_RATE_PER_CLIENT ||
	    name == CONF_LIMIT_BANDWIDTH_PER_CLIENT;
}

static bool
is_on(const struct conf_limit *limit)
{
	return limit->most < CONF_OFF;
}

int
gate_provide(struct listener *l, const struct conf_listener *conf)
{
	unsigned i;

	for (i = 0; i < CONF_N_LIMITS; i++) {
		if (!is_on(&conf->limits[i]) || !has_buckets(i) ||
		    atomic_load(&l->buckets[i]) != NULL)
			continue;
		atomic_store(&l->buckets[i], bucket_table_new(BUCKETS));
		if (atomic_load(&l->buckets[i]) == NULL)
			return -1;
	}
	if (!is_on(&conf->limits[CONF_LIMIT_CONNECTIONS_PER_CLIENT]) ||
	    atomic_load(&l->clients) != NULL)
		return 0;
	atomic_store(&l->clients, client_table_new());
	return atomic_load(&l->clients) != NULL ? 0 : -1;
}

void
gate_fini(struct listener *l)
{
	unsigned i;

	for (i = 0; i < CONF_N_LIMITS; i++)
		if (atomic_load(&l->buckets[i]) != NULL)
			bucket_table_free(atomic_load(&l->buckets[i]));
	if (atomic_load(&l->clients) != NULL)
		client_table_free(atomic_load(&l->clients));
}

/* ------------------------------------------------------------------ limits */

/* A limit is exceeded. Does it refuse? */
static bool
refuses(struct door *d, const struct conf_limit *limit, unsigned name)
{
	count_add(limit->shadow ? &d->shadowed[name] : &d->limited[name], 1);
	return !limit->shadow;
}

/* A rate of all. False when it refuses. */
static bool
take(struct door *d, unsigned name, int64_t *retry_after_ns)
{
	const struct conf_limit *limit = &d->conf->limits[name];
	int64_t ns;

	if (!is_on(limit))
		return true;
	ns = bucket_take(&d->listener->full_ns[name], limit,
	    d->lane->worker.now_ns, 1);
	if (ns == 0 || !refuses(d, limit, name))
		return true;
	*retry_after_ns = ns;
	return false;
}

/* One client's. Refusals are counted in a bucket of their own, as if somebody
   else had come in as often as he was refused. */
static bool
take_own(struct door *d, unsigned name, const struct client_key *client,
    int64_t *retry_after_ns, bool *flood)
{
	const struct conf_limit *limit = &d->conf->limits[name];
	struct client_key refusals = { client->a, client->b ^ REFUSALS };
	int64_t now = d->lane->worker.now_ns, ns;
	struct bucket_table *t;

	if (!is_on(limit) || client_key_is_nobody(client))
		return true;
	t = atomic_load_explicit(&d->listener->buckets[name],
	    memory_order_relaxed);
	ns = bucket_table_take(t, client, limit, now, 1);
	if (ns == 0 || !refuses(d, limit, name))
		return true;
	*retry_after_ns = ns;
	*flood = bucket_table_take(t, &refusals, limit, now, 1) > 0;
	return false;
}

/* Less than a burst usually takes to be made (0.1 s), and not for all the same:
   who floods with many connections would have them come all at once, and find
   no more than a burst. */
int64_t
gate_flood_ms(struct door *d)
{
	static const int64_t ms[] = { 30, 70, 50, 90 };

	return ms[d->told_late++ % NELEMS(ms)];
}

static bool
is_full(const struct door *d)
{
	return atomic_load_explicit(&d->lane->runtime->pressure_level,
	    memory_order_relaxed) == PRESSURE_FULL;
}

/* ------------------------------------------------------------- connections */

static bool
enter_all(struct door *d)
{
	const struct conf_limit *limit =
	    &d->conf->limits[CONF_LIMIT_CONNECTIONS];
	uint64_t active = atomic_fetch_add(&d->listener->active, 1) + 1;

	if (active <= (uint64_t)limit->most ||
	    !refuses(d, limit, CONF_LIMIT_CONNECTIONS))
		return true;
	atomic_fetch_sub(&d->listener->active, 1);
	return false;
}

static bool
enter_client(struct door *d, const struct client_key *client, bool *counted)
{
	const struct conf_limit *limit =
	    &d->conf->limits[CONF_LIMIT_CONNECTIONS_PER_CLIENT];
	struct client_table *t = atomic_load(&d->listener->clients);
	uint64_t n;

	*counted = false;
	if (!is_on(limit) || client_key_is_nobody(client))
		return true;
	n = client_table_enter(t, client);
	*counted = n > 0;
	if (n <= (uint64_t)limit->most ||
	    !refuses(d, limit, CONF_LIMIT_CONNECTIONS_PER_CLIENT))
		return true;
	client_table_leave(t, client);
	*counted = false;
	return false;
}

static void
leave_client(struct door *d, const struct client_key *client, bool counted)
{
	if (counted)
		client_table_leave(atomic_load(&d->listener->clients), client);
}

/* What is asked of a client itself, in two parts: others come between them. */
static enum limit
admit(struct door *d, const struct addr_ip *ip)
{
	const struct conf_listener *conf = d->conf;

	if ((conf->allow.n > 0 || conf->deny.n > 0) &&
	    !limit_admits(&conf->allow, &conf->deny, ip)) {
		count_add(&d->limited[LIMIT_DENIED], 1);
		return LIMIT_DENIED;
	}
	if (is_full(d)) {
		count_add(&d->limited[LIMIT_MEMORY], 1);
		return LIMIT_MEMORY;
	}
	return N_LIMITS;
}

static enum limit
take_client(struct door *d, const struct client_key *client, bool *counted,
    int64_t *retry_after_ns, bool *flood)
{
	if (!enter_client(d, client, counted)) {
		*flood = true;          /* nothing says how often he may try */
		return (enum limit)CONF_LIMIT_CONNECTIONS_PER_CLIENT;
	}
	if (take_own(d, CONF_LIMIT_CONNECTION_RATE_PER_CLIENT, client,
	    retry_after_ns, flood))
		return N_LIMITS;
	leave_client(d, client, *counted);
	*counted = false;
	return (enum limit)CONF_LIMIT_CONNECTION_RATE_PER_CLIENT;
}

enum limit
gate_connection(struct door *d, const struct addr_ip *ip, bool *counted,
    int64_t *retry_after_ns, bool *flood)
{
	struct client_key client = client_key_of(ip);
	enum limit why = admit(d, ip);

	*counted = *flood = false;
	*retry_after_ns = 0;
	if (why == N_LIMITS)
		why = take_client(d, &client, counted, retry_after_ns, flood);
	if (why != N_LIMITS)
		return why;
	why = (enum limit)CONF_LIMIT_CONNECTIONS;
	if (!enter_all(d))
		goto refused;
	why = (enum limit)CONF_LIMIT_CONNECTION_RATE;
	if (take(d, why, retry_after_ns))
		return N_LIMITS;
	atomic_fetch_sub(&d->listener->active, 1);
refused:
	leave_client(d, &client, *counted);
	*counted = false;
	return why;
}

enum limit
gate_arrival(struct door *d)
{
	if (is_full(d)) {
		count_add(&d->limited[LIMIT_MEMORY], 1);
		return LIMIT_MEMORY;
	}
	return enter_all(d) ? N_LIMITS : (enum limit)CONF_LIMIT_CONNECTIONS;
}

enum limit
gate_arrived(struct door *d, const struct addr_ip *ip, bool *counted,
    int64_t *retry_after_ns, bool *flood)
{
	struct client_key client = client_key_of(ip);
	enum limit why = admit(d, ip);

	*counted = *flood = false;
	*retry_after_ns = 0;
	if (why == N_LIMITS)
		why = take_client(d, &client, counted, retry_after_ns, flood);
	if (why != N_LIMITS ||
	    take(d, CONF_LIMIT_CONNECTION_RATE, retry_after_ns))
		return why;
	leave_client(d, &client, *counted);
	*counted = false;
	return (enum limit)CONF_LIMIT_CONNECTION_RATE;
}

bool
gate_crossed(struct door *d, const struct addr_ip *ip)
{
	struct client_table *t = atomic_load(&d->listener->clients);
	struct client_key client = client_key_of(ip);

	atomic_fetch_add(&d->listener->active, 1);
	return is_on(&d->conf->limits[CONF_LIMIT_CONNECTIONS_PER_CLIENT]) &&
	    !client_key_is_nobody(&client) &&
	    client_table_enter(t, &client) > 0;
}

void
gate_left(struct door *d, const struct addr_ip *ip, bool counted)
{
	struct client_key client = client_key_of(ip);

	atomic_fetch_sub(&d->listener->active, 1);
	leave_client(d, &client, counted);
}

void
gate_refused(struct door *d, enum limit why)
{
	count_add(&d->limited[why], 1);
}

/* ---------------------------------------------------------------- requests */

enum fail
gate_request(struct exchange *x, bool *flood)
{
	struct door *d = x->s->door;

	*flood = false;
	if (is_full(d)) {
		count_add(&d->limited[LIMIT_MEMORY], 1);
		return FAIL_OVERLOADED;
	}
	if (is_on(&d->conf->limits[CONF_LIMIT_REQUEST_RATE_PER_CLIENT]) &&
	    client_key_is_nobody(&x->client))
		x->client = client_key_of(&x->s->client);
	return take_own(d, CONF_LIMIT_REQUEST_RATE_PER_CLIENT, &x->client,
	    &x->retry_after_ns, flood) &&
	    take(d, CONF_LIMIT_REQUEST_RATE, &x->retry_after_ns) ?
	    FAIL_NONE : FAIL_LIMITED;
}
