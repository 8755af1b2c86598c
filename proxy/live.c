/*
 * Upstreams and listeners as main knows them. See live.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/live.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "net/log.h"
#include "net/patient.h"
#include "pool/adapt.h"
#include "pool/handover.h"
#include "pool/upkeep.h"
#include "proxy/failover.h"
#include "proxy/lane.h"
#include "proxy/leaks.h"
#include "proxy/override.h"
#include "proxy/upgrade/upgrade.h"

enum { WHO_MAX = 400 };

/* -------------------------------------------------------------- rosters */

/* Where they share, each worker has one left for that. */
static unsigned
pins_most(const struct upstream *up, const struct conf_upstream *conf)
{
	int64_t spare = conf->pool.max - (int64_t)up->n_pools;
	int64_t most = conf->pool.max_pinned;

	if (conf->pool.span != CONF_SPAN_OWED)
		return (unsigned)most;

	return most < spare ? (unsigned)most : spare > 0 ? (unsigned)spare : 0;
}

static unsigned
most_of(const struct live_upstream *lu, const struct conf_endpoint *ce)
{
	int64_t most = ce->max < lu->conf->pool.max_per_endpoint ? ce->max :
	    lu->conf->pool.max_per_endpoint;

	return most > UINT_MAX ? UINT_MAX : (unsigned)most;
}

static struct endpoint *
endpoint_make(struct live_upstream *lu, const struct conf_endpoint *ce,
    const struct addr *addr)
{
	char authority[300];
	struct endpoint *e;

	if (ce->address.is_unix)
		snprintf(authority, sizeof(authority), "localhost");
	else
		snprintf(authority, sizeof(authority),
		    strchr(ce->address.host, ':') != NULL ? "[%s]:%u" :
		    "%s:%u", ce->address.host, ce->address.port);
	e = endpoint_new(ce->name, authority, addr, ce->weight,
	    most_of(lu, ce));
	if (e == NULL)
		return NULL;
	if (!ce->address.is_unix &&
	    (e->host = patient_copy(ce->address.host)) == NULL) {
		endpoint_drop(e);
		return NULL;
	}
	e->suspect = checker_suspect;
	e->suspect_arg = lu->checker;
	return e;
}

/* The endpoint of that name and address that there is already, or a new one.
   *at: behind the one that was found last. Mostly they stand as before. */
static struct endpoint *
endpoint_for(struct live_upstream *lu, const struct live_endpoint *le,
    const struct addr *addr, size_t *at)
{
	const struct roster *r = lu->roster;
	struct endpoint *e = NULL;
	size_t i;

	for (i = 0; r != NULL && i < r->n && e == NULL; i++, ++*at) {
		*at %= r->n;
		if (strcmp(r->v[*at]->name, le->conf->name) == 0 &&
		    addr_equal(&r->v[*at]->addr, addr))
			e = endpoint_keep(r->v[*at]);
	}
	if (e == NULL)
		e = endpoint_make(lu, le->conf, addr);
	if (e == NULL)
		return NULL;
	atomic_store(&e->most, most_of(lu, le->conf));
	atomic_store(&e->backup, le->conf->backup);
	return e;
}

/* From what is known of all its names; NULL when out of memory. */
static struct roster *
roster_make(struct live_upstream *lu)
{
	struct roster *r;
	size_t i, j, n = 0, at = 0;

	for (i = 0; i < lu->n_endpoints; i++)
		n += lu->endpoints[i].n_addrs;
	r = roster_new(n);
	if (r == NULL)
		return NULL;
	r->n = 0;
	for (i = 0; i < lu->n_endpoints; i++) {
		struct live_endpoint *le = &lu->endpoints[i];

		for (j = 0; j < le->n_addrs; j++) {
			struct endpoint *e = endpoint_for(lu, le,
			    &le->addrs[j], &at);

			if (e == NULL) {
				roster_drop(r);
				return NULL;
			}
			r->v[r->n++] = e;
		}
	}
	return r;
}

static void
mark_current(struct roster *r, bool current)
{
	size_t i;

	for (i = 0; r != NULL && i < r->n; i++)
		atomic_store(&r->v[i]->current, current);
}

/* The checker has to know of every new snapshot, whatever else fails: the one
   that it had does not live on. */
static void
checker_renew(struct live_upstream *lu)
{
	const struct conf_proto *type = lu->conf->health.type;

	if (lu->roster != NULL && checker_configure(lu->checker, lu->conf,
	    type != NULL ? proto_of(type)->probe : NULL, lu->roster) < 0)
		log_error(lu->conf->name, "out of memory: not all of its "
		    "endpoints are checked");
	override_apply(lu);
}

static int
roster_renew(struct live_upstream *lu)
{
	struct roster *r = roster_make(lu);

	if (r == NULL) {
		checker_renew(lu);
		return -1;
	}
	mark_current(lu->roster, false);
	mark_current(r, true);
	roster_drop(lu->roster);
	lu->roster = r;
	checker_renew(lu);
	return 0;
}

void
live_upstream_tell(struct live_upstream *lu)
{
	struct runtime *rt = lu->runtime;
	size_t i;

	for (i = 0; lu->roster != NULL && i < rt->n_lanes; i++)
		lane_post_roster(rt->lanes[i], lu->upstream->pools[i],
		    roster_keep(lu->roster));
}

void
live_upstream_pause(struct live_upstream *lu, bool on)
{
	struct upstream *up = lu->upstream;

	if (atomic_exchange(&up->paused, on) == on)
		return;
	log_info(up->name, "%s by hand", on ? "paused" : "resumed");
	live_upstream_tell(lu);
	upgrade_ordered(lu);
}

unsigned
live_upstream_leased(const struct live_upstream *lu)
{
	const struct upstream *up = lu->upstream;
	unsigned leased = upstream_leased_elsewhere(up);
	size_t i;

	for (i = 0; i < up->n_pools; i++)
		leased += atomic_load(&up->pools[i]->leased);
	return leased;
}

static void
usable_changed(void *arg)
{
	live_upstream_tell(arg);
}

/* ------------------------------------------------------------------- names */

static const char *
who(const struct live_endpoint *le, char out[WHO_MAX])
{
	snprintf(out, WHO_MAX, "upstream %s endpoint %s",
	    le->owner->upstream->name, le->conf->name);
	return out;
}

static void
answered(void *arg, const struct addr *addrs, size_t n, const char *error)
{
	struct live_endpoint *le = arg;
	struct live_upstream *lu = le->owner;
	bool failed = *le->error != '\0', known = le->n_addrs > 0;
	char name[WHO_MAX];
	struct addr *copy;

	snprintf(le->error, sizeof(le->error), "%s",
	    error != NULL ? error : "");
	if (error != NULL) {
		if (!failed)
			log_warn(who(le, name), "%s%s", error, known ?
			    "; goes on with what is known" : "");
		return;
	}
	copy = patient_alloc((n + 1) * sizeof(*copy));
	if (copy == NULL)
		return;
	memcpy(copy, addrs, n * sizeof(*copy));
	free(le->addrs);
	le->addrs = copy;
	le->n_addrs = n;
	if (roster_renew(lu) < 0)
		return;
	log_info(who(le, name), "%s %zu address%s", failed && known ?
	    "resolves again," : "has", n, n == 1 ? "" : "es");
	live_upstream_tell(lu);
}

static void
endpoint_fini(struct live_endpoint *le)
{
	if (le->follow != NULL)
		follow_end(le->follow);
	le->follow = NULL;
	free(le->addrs);
	free(le->key);
	le->addrs = NULL;
	le->key = NULL;
}

static char *
key_of(const struct conf_endpoint *ce)
{
	const char *host = ce->address.host != NULL ? ce->address.host : "";
	const char *srv = ce->srv != NULL ? ce->srv : "";
	size_t size = strlen(ce->name) + strlen(host) + strlen(srv) + 16;
	char *key = patient_alloc(size);

	if (key != NULL)
		snprintf(key, size, "%s %s %u %s", ce->name, host,
		    ce->address.port, srv);
	return key;
}

static int
begin_following(struct live_endpoint *le)
{
	const struct conf_endpoint *ce = le->conf;
	struct resolver *r = le->owner->runtime->resolver;

	if (ce->srv == NULL &&
	    (ce->address.is_unix || ce->address.is_literal)) {
		le->addrs = patient_alloc(sizeof(*le->addrs));
		if (le->addrs == NULL ||
		    addr_from_text(&ce->address, le->addrs) < 0)
			return -1;
		le->n_addrs = 1;
		return 0;
	}
	le->follow = ce->srv != NULL ?
	    resolver_follow_srv(r, ce->srv, answered, le) :
	    resolver_follow(r, ce->address.host, ce->address.port, answered,
	    le);
	return le->follow != NULL ? 0 : -1;
}

/* A follow holds the address of its live_endpoint: what is known is carried
   over, the following begins anew (its answer comes from a cache mostly). */
static void
inherit(struct live_endpoint *le, struct live_endpoint *old, size_t n_old)
{
	size_t i;

	for (i = 0; i < n_old; i++) {
		if (old[i].key == NULL || strcmp(old[i].key, le->key) != 0)
			continue;
		free(le->addrs);
		le->addrs = old[i].addrs;
		le->n_addrs = old[i].n_addrs;
		follow_set_age(le->follow, follow_age_ms(old[i].follow));
		memcpy(le->error, old[i].error, sizeof(le->error));
		old[i].addrs = NULL;
		old[i].n_addrs = 0;
		return;
	}
}

/* The weir before knew it. */
static void
know(struct live_endpoint *le)
{
	size_t n = 0;
	int64_t age_ms;
	struct addr *addrs = upgrade_find_name(le->owner->runtime,
	    le->owner->conf->name, le->key, &n, &age_ms);

	if (addrs == NULL)
		return;
	free(le->addrs);
	le->addrs = addrs;
	le->n_addrs = n;
	follow_set_age(le->follow, age_ms);
}

void
live_upstream_look_up(struct live_upstream *lu)
{
	size_t i;

	/* A new follow asks at once; what is known stays meanwhile. */
	for (i = 0; i < lu->n_endpoints; i++) {
		struct live_endpoint *le = &lu->endpoints[i];
		struct follow *old = le->follow;

		if (old == NULL)
			continue;
		if (begin_following(le) == 0) {
			follow_set_age(le->follow, follow_age_ms(old));
			follow_end(old);
		} else
			le->follow = old;
	}
}

int
live_upstream_configure(struct live_upstream *lu,
    const struct conf_upstream *conf)
{
	struct live_endpoint *old = lu->endpoints, *now;
	size_t i, n_old = lu->n_endpoints;

	lu->conf = conf;
	now = patient_zeroed((conf->n_endpoints + 1) * sizeof(*now));
	if (now == NULL) {
		checker_renew(lu);
		return -1;
	}
	upstream_set_max(lu->upstream, (unsigned)conf->pool.max,
	    conf->pool.adapt);
	atomic_store(&lu->upstream->pins_most, pins_most(lu->upstream, conf));
	for (i = 0; i < conf->n_endpoints; i++) {
		now[i].owner = lu;
		now[i].conf = &conf->endpoints[i];
		now[i].key = key_of(now[i].conf);
		if (now[i].key == NULL || begin_following(&now[i]) < 0) {
			endpoint_fini(&now[i]);
			break;
		}
		if (now[i].follow != NULL)
			inherit(&now[i], old, n_old);
		if (now[i].follow != NULL && now[i].n_addrs == 0)
			know(&now[i]);
	}
	lu->endpoints = now;
	lu->n_endpoints = i;
	for (i = 0; i < n_old; i++)
		endpoint_fini(&old[i]);
	free(old);
	if (lu->n_endpoints < conf->n_endpoints) {
		checker_renew(lu);
		return -1;
	}
	return roster_renew(lu);
}

/* -------------------------------------------------------------- by its name */

static size_t
row_of(const char *name)
{
	return XXH64(name, strlen(name), 0) % NAMED_ROWS;
}

static void
enter(struct live_upstream *lu)
{
	struct live_upstream **at =
	    &lu->runtime->named[row_of(lu->upstream->name)];

	while (*at != NULL)
		at = &(*at)->next;
	*at = lu;
}

static void
strike(struct live_upstream *lu)
{
	struct live_upstream **at =
	    &lu->runtime->named[row_of(lu->upstream->name)];

	while (*at != lu)
		at = &(*at)->next;
	*at = lu->next;
}

struct live_upstream *
live_upstream_named(const struct runtime *rt, const char *name,
    const struct live_upstream *before)
{
	struct live_upstream *lu = before != NULL ? before->next :
	    rt->named[row_of(name)];

	while (lu != NULL && strcmp(lu->upstream->name, name) != 0)
		lu = lu->next;
	return lu;
}

/* Another protocol is another upstream, whatever it is called. */
struct live_upstream *
live_upstream_find(struct runtime *rt, const struct conf_upstream *conf)
{
	struct live_upstream *lu = NULL;

	while ((lu = live_upstream_named(rt, conf->name, lu)) != NULL)
		if (lu->rolls == 0 && !lu->going &&
		    lu->upstream->peer == proto_of(conf->proto)->peer)
			return lu;
	return NULL;
}

/* ------------------------------------------------------------- life, death */

struct live_upstream *
live_upstream_new(struct runtime *rt, const struct conf_upstream *conf)
{
	struct live_upstream *lu = calloc(1, sizeof(*lu));
	struct worker **workers = calloc(rt->n_lanes, sizeof(*workers));
	size_t i;

	if (lu == NULL || workers == NULL)
		goto fail;
	for (i = 0; i < rt->n_lanes; i++)
		workers[i] = &rt->lanes[i]->worker;
	lu->runtime = rt;
	lu->upstream = upstream_new(conf->name, proto_of(conf->proto)->peer,
	    workers, rt->n_lanes);
	if (lu->upstream != NULL)
		upgrade_find_cap(rt, conf, lu->upstream);
	lu->checker = checker_new(&rt->main, conf->name, usable_changed, lu);
	if (lu->upstream == NULL || lu->checker == NULL)
		goto fail;
	lu->upstream->last_id = &rt->last_id;
	lu->upstream->leaked = leaks_tell;
	lu->upstream->leaked_arg = rt;
	failover_init(lu);
	inject_init(lu);
	lu->advisor.begun_ns = rt->main.now_ns;
	free(workers);
	list_append(&rt->upstreams, &lu->link);
	enter(lu);
	return lu;
fail:
	if (lu != NULL && lu->upstream != NULL) {
		cap_give(&rt->caps, lu->upstream->cap);
		upstream_free(lu->upstream);
	}
	if (lu != NULL && lu->checker != NULL)
		checker_free(lu->checker);
	free(workers);
	free(lu);
	return NULL;
}

void
live_upstream_leave(struct live_upstream *lu)
{
	size_t i;

	for (i = 0; i < lu->n_endpoints; i++)
		endpoint_fini(&lu->endpoints[i]);
	free(lu->endpoints);
	lu->endpoints = NULL;
	lu->n_endpoints = 0;
	override_clear(lu);
	inject_end(lu);
	failover_fini(lu);
	checker_leave(lu->checker);
	/* Who waits is served by what is left; its pools are retired next. */
	atomic_store(&lu->upstream->paused, false);
	lu->conf = NULL;
	lu->was_ready = false;
	upgrade_ordered(lu);
}

void
live_upstream_free(struct live_upstream *lu)
{
	live_upstream_leave(lu);
	advisor_fini(lu);
	checker_free(lu->checker);
	roster_drop(lu->roster);
	list_remove(&lu->link);
	strike(lu);
	cap_give(&lu->runtime->caps, lu->upstream->cap);
	upstream_free(lu->upstream);
	free(lu);
}

static unsigned
warm_now(const struct upstream *up)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < up->n_pools; i++)
		n += atomic_load(&up->pools[i]->idle) +
		    atomic_load(&up->pools[i]->leased);
	return n;
}

/* An endpoint that is to be checked and has not been is not known to be. */
static bool
known_usable(const struct live_upstream *lu, const struct endpoint *e)
{
	const struct override *o = override_find(lu, e->name);

	if (atomic_load(&e->bars) != 0)
		return false;
	return !lu->conf->health.on || e->health.last[0] != '\0' ||
	    (o != NULL && o->state == OVERRIDE_UP);
}

static void
lacks_address(const struct live_upstream *lu, char *missing, size_t size)
{
	const char *error = "";
	size_t i;

	for (i = 0; i < lu->n_endpoints && error[0] == '\0'; i++)
		error = lu->endpoints[i].error;
	snprintf(missing, size, "upstream %s: no endpoint has an address yet"
	    "%s%s", lu->conf->name, error[0] != '\0' ? ": " : "", error);
}

/* What keeps all its endpoints from being usable; false when one is. */
static bool
lacks_endpoint(const struct live_upstream *lu, char *missing, size_t size)
{
	const struct endpoint *e, *barred = NULL;
	const char *state, *last;
	size_t i, n = lu->roster != NULL ? lu->roster->n : 0;

	for (i = 0; i < n; i++) {
		e = lu->roster->v[i];
		if (known_usable(lu, e))
			return false;
		if (barred == NULL && atomic_load(&e->bars) != 0)
			barred = e;
	}
	if (n == 0)
		lacks_address(lu, missing, size);
	else if (barred == NULL)
		snprintf(missing, size, "upstream %s: no endpoint has been "
		    "checked yet", lu->conf->name);
	else {
		state = endpoint_state(barred);
		last = atomic_load(&barred->bars) & BAR_CHECK ?
		    barred->health.last : "";
		if (strcmp(last, "ok") == 0)
			last = "its last check passed, more in a row have to";
		snprintf(missing, size, "upstream %s: no endpoint is usable: "
		    "%s is %s%s%s%s", lu->conf->name, barred->name, state,
		    last[0] != '\0' ? " (" : "", last,
		    last[0] != '\0' ? ")" : "");
	}
	return true;
}

/* And what may be the reason: the last that went wrong at one of its endpoints. */
static void
lacks_connections(const struct live_upstream *lu, unsigned warm,
    unsigned wanted, char *missing, size_t size)
{
	char refusal[ENDPOINT_REFUSAL] = "";
	const char *error = "", *name = "";
	size_t i;

	for (i = 0; lu->roster != NULL && i < lu->roster->n &&
	    error[0] == '\0'; i++) {
		struct endpoint *e = lu->roster->v[i];

		name = e->name;
		error = endpoint_refusal(e, refusal) ? refusal :
		    atomic_load(&e->last_error);
	}
	snprintf(missing, size, "upstream %s: %u of %u connections are open"
	    "%s%s%s%s", lu->conf->name, warm, wanted,
	    error[0] != '\0' ? " (" : "", error[0] != '\0' ? name : "",
	    error[0] == '\0' ? "" : error == refusal ? " " : ": ", error);
	if (error[0] != '\0' && strlen(missing) + 1 < size)
		strcat(missing, ")");
}

bool
live_upstream_ready(struct live_upstream *lu, char *missing, size_t size)
{
	const struct conf_upstream *conf = lu->conf;
	unsigned warm = warm_now(lu->upstream);
	unsigned wanted = upkeep_warm_total(lu->upstream, conf);

	if (conf->ready == CONF_READY_IGNORE ||
	    (conf->ready == CONF_READY_START && lu->was_ready))
		return true;
	if (lacks_endpoint(lu, missing, size))
		return false;
	/* Another weir has some for us, or every place that there is. */
	if (upstream_elsewhere(lu->upstream) > 0) {
		warm += handover_coming(lu->upstream, conf);
		if (upstream_is_full(lu->upstream))
			warm = wanted;
	}
	if (warm < wanted) {
		lacks_connections(lu, warm, wanted, missing, size);
		return false;
	}
	lu->was_ready = true;
	return true;
}

struct live_listener *
live_listener_new(struct runtime *rt, const struct conf_listener *conf)
{
	struct live_listener *ll = calloc(1, sizeof(*ll));

	if (ll == NULL)
		return NULL;
	ll->runtime = rt;
	ll->listener = listener_new(conf->name, proto_of(conf->proto),
	    rt->lanes, rt->n_lanes);
	if (ll->listener == NULL) {
		free(ll);
		return NULL;
	}
	list_append(&rt->listeners, &ll->link);
	return ll;
}

void
live_listener_free(struct live_listener *ll)
{
	size_t i;

	for (i = 0; i < ll->n_sockets; i++) {
		free(ll->sockets[i].fds);
		free(ll->sockets[i].live);
	}
	free(ll->sockets);
	list_remove(&ll->link);
	listener_free(ll->listener);
	free(ll);
}

struct live_listener *
live_listener_find(struct runtime *rt, const struct conf_listener *conf)
{
	struct list *l, *tmp;

	list_each(l, tmp, &rt->listeners) {
		struct live_listener *ll =
		    container_of(l, struct live_listener, link);

		if (ll->rolls == 0 && !ll->going &&
		    ll->listener->proto == proto_of(conf->proto) &&
		    strcmp(ll->listener->name, conf->name) == 0)
			return ll;
	}
	return NULL;
}

/* ------------------------------------------------------------------- sweep */

/*
 * What has left the file is freed when no snapshot that had it lives, it has no
 * connections, and two roll calls have come back: after the first no lane sends
 * mail about it, after the second all such mail has been read.
 */

static bool
snapshot_lives(const struct runtime *rt, uint64_t number)
{
	struct list *l, *tmp;

	list_each(l, tmp, &rt->generations)
		if (container_of(l, struct generation, link)->number <= number)
			return true;
	return false;
}

static void
upstream_rolled(void *arg)
{
	struct live_upstream *lu = arg;

	lu->going = false;
	lu->rolls++;
}

static void
listener_rolled(void *arg)
{
	struct live_listener *ll = arg;

	ll->going = false;
	ll->rolls++;
}

static void
sweep_upstream(struct runtime *rt, struct live_upstream *lu)
{
	if (lu->conf != NULL || lu->going ||
	    snapshot_lives(rt, lu->last_number) ||
	    atomic_load(&lu->upstream->open) > 0)
		return;
	if (lu->rolls >= 2) {
		live_upstream_free(lu);
		return;
	}
	lu->going = lane_roll_call(rt, upstream_rolled, lu) == 0;
}

static void
sweep_listener(struct runtime *rt, struct live_listener *ll)
{
	if (ll->conf != NULL || ll->going ||
	    snapshot_lives(rt, ll->last_number) ||
	    atomic_load(&ll->listener->active) > 0)
		return;
	if (ll->rolls == 0)
		lane_post_forget(rt, ll->listener);
	if (ll->rolls >= 2) {
		live_listener_free(ll);
		return;
	}
	ll->going = lane_roll_call(rt, listener_rolled, ll) == 0;
}

void
live_sweep(struct runtime *rt)
{
	struct list *l, *tmp;

	list_each(l, tmp, &rt->upstreams) {
		struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);

		advisor_look(lu);
		sweep_upstream(rt, lu);
	}
	list_each(l, tmp, &rt->listeners)
		sweep_listener(rt,
		    container_of(l, struct live_listener, link));
}
