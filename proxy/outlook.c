/*
 * Outlooks. See outlook.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/outlook.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/sent.h"
#include "net/listen.h"
#include "proxy/admin/admin.h"
#include "proxy/errors.h"
#include "proxy/live.h"
#include "proxy/override.h"
#include "proxy/reload.h"
#include "proxy/runtime.h"
#include "proxy/view.h"

enum { LINE_MOST = 1024, UNTIL_MOST = 48 };

/* Addresses that are tried: main's loop stands meanwhile, and a text may name a
   hundred thousand. */
enum { TRIED_MOST = 4096 };

/* ----------------------------------------------------------------- clients */

/* What door_close() has in store for them (front.bye). drain_timeout is for the
   end of weir; nobody is cut here. */
static const char *const farewells[N_FAMILIES] = {
	[FAMILY_BYTES] = "stay until they or their server end it",
	[FAMILY_HTTP] = "finish what they have begun; HTTP/2 gets a GOAWAY, "
	    "HTTP/1.1 goes with its next answer or at timeouts.idle",
	[FAMILY_REDIS] = "are closed, at once or when what they have asked for "
	    "is answered",
	[FAMILY_MEMCACHED] = "are closed, at once or when what they have asked "
	    "for is answered",
	[FAMILY_POSTGRES] = "are told so (57P01) and closed, at once or at the "
	    "end of their transaction"
};

static const struct conf_listener *
listener_then(const struct conf *next, const struct live_listener *ll)
{
	const struct conf_listener *l = conf_listener_find(next,
	    ll->listener->name);

	return l != NULL && proto_of(l->proto) == ll->listener->proto ? l :
	    NULL;
}

static bool
keeps_addresses(const struct live_listener *ll, const struct conf_listener *l)
{
	size_t i, k;

	for (i = 0; i < ll->n_sockets; i++) {
		for (k = 0; k < l->n_binds; k++)
			if (addr_equal(&ll->sockets[i].addr, &l->binds[k].addr))
				break;
		if (k == l->n_binds)
			return false;
	}
	return true;
}

static size_t
list_length(const struct list *head)
{
	const struct list *l;
	size_t n = 0;

	for (l = head->next; l != head; l = l->next)
		n++;
	return n;
}

static int
look_at_listeners(struct outlook *o, struct runtime *rt,
    const struct conf *next)
{
	const struct conf *now = rt->gen->conf;
	struct list *l, *tmp;

	o->listeners = calloc(list_length(&rt->listeners) + 1,
	    sizeof(*o->listeners));
	if (o->listeners == NULL)
		return -1;
	list_each(l, tmp, &rt->listeners) {
		struct live_listener *ll =
		    container_of(l, struct live_listener, link);
		const struct conf_listener *then = listener_then(next, ll);
		struct outlook_listener *to = &o->listeners[o->n_listeners];

		if (ll->conf == NULL || (then != NULL &&
		    keeps_addresses(ll, then)))
			continue;
		*to = (struct outlook_listener){
		    .name = strdup(ll->listener->name),
		    .clients = atomic_load(&ll->listener->active),
		    .goes = then == NULL,
		    .held = listener_then(now, ll) == NULL,
		    .how = then != NULL ? "stay, whichever address they came "
		    "by" : farewells[ll->listener->proto->family] };
		if (to->name == NULL)
			return -1;
		o->n_listeners++;
	}
	return 0;
}

/* ----------------------------------------------------------------- by hand */

static const struct conf_upstream *
upstream_then(const struct conf *next, const struct live_upstream *lu)
{
	const struct conf_upstream *u = conf_upstream_find(next,
	    lu->upstream->name);

	return u != NULL && proto_of(u->proto)->peer == lu->upstream->peer ?
	    u : NULL;
}

/* By its name alone, as override_apply() has it. */
static bool
has_endpoint(const struct conf_upstream *u, const char *name)
{
	size_t i;

	for (i = 0; u != NULL && i < u->n_endpoints; i++)
		if (strcmp(u->endpoints[i].name, name) == 0)
			return true;
	return false;
}

/* endpoint NULL: of all of lu. */
static struct outlook_hand *
add_hand(struct outlook *o, const struct live_upstream *lu,
    const char *endpoint, const char *what)
{
	struct outlook_hand *more = realloc(o->hands,
	    (o->n_hands + 1) * sizeof(*more));

	if (more == NULL)
		return NULL;
	o->hands = more;
	more += o->n_hands++;
	*more = (struct outlook_hand){ .upstream = strdup(lu->upstream->name),
	    .endpoint = endpoint != NULL ? strdup(endpoint) : NULL,
	    .what = what };
	return more->upstream != NULL && (endpoint == NULL ||
	    more->endpoint != NULL) ? more : NULL;
}

static int64_t
until_s(int64_t at_ns)
{
	return at_ns == INT64_MAX ? 0 : view_wall_s(at_ns, NULL);
}

static int
look_at_upstream(struct outlook *o, const struct live_upstream *lu,
    const struct conf *next)
{
	const struct conf_upstream *then = upstream_then(next, lu);
	const struct override *by_hand;
	struct outlook_hand *h;

	for (by_hand = lu->overrides; by_hand != NULL;
	    by_hand = by_hand->next) {
		h = add_hand(o, lu, by_hand->endpoint,
		    override_states[by_hand->state]);
		if (h == NULL)
			return -1;
		h->weight = by_hand->weight;
		h->until_s = until_s(by_hand->until_ns);
		h->sleeps = override_sleeps(by_hand);
		h->stays = o->same || has_endpoint(then, by_hand->endpoint);
	}
	if (atomic_load(&lu->upstream->paused)) {
		h = add_hand(o, lu, NULL, "paused");
		if (h == NULL)
			return -1;
		h->stays = o->same || then != NULL;
	}
	if (lu->injection.wish.per_million != 0) {
		h = add_hand(o, lu, NULL, "faults");
		if (h == NULL)
			return -1;
		h->until_s = until_s(lu->injection.until_ns);
		h->stays = o->same || then != NULL;
	}
	return 0;
}

static int
look_at_upstreams(struct outlook *o, struct runtime *rt,
    const struct conf *next)
{
	struct list *l, *tmp;

	list_each(l, tmp, &rt->upstreams) {
		const struct live_upstream *lu =
		    container_of(l, const struct live_upstream, link);

		if (lu->conf != NULL && look_at_upstream(o, lu, next) < 0)
			return -1;
	}
	return 0;
}

int
outlook_make(struct outlook *o, struct runtime *rt, const struct conf *next,
    bool same)
{
	*o = (struct outlook){ .confirm_until_s = reload_awaits(rt),
	    .generation = rt->gen->number, .same = same };
	if (!same && look_at_listeners(o, rt, next) < 0)
		return -1;
	return look_at_upstreams(o, rt, next);
}

void
outlook_fini(struct outlook *o)
{
	size_t i;

	for (i = 0; i < o->n_listeners; i++)
		free(o->listeners[i].name);
	free(o->listeners);
	for (i = 0; i < o->n_hands; i++) {
		free(o->hands[i].upstream);
		free(o->hands[i].endpoint);
	}
	free(o->hands);
	*o = (struct outlook){ .same = false };
}

/* --------------------------------------------------------------- addresses */

/* Who is looked for among the admin port's. */
struct quest {
	const struct addr *addr;
	bool found;
};

static void
is_it(void *arg, const struct addr *addr, int fd, bool foreign)
{
	struct quest *q = arg;

	(void)fd, (void)foreign;
	q->found = q->found || addr_equal(addr, q->addr);
}

/* Is it one that a reload keeps, or takes from another listener? */
static bool
is_listeners(struct runtime *rt, const struct addr *addr)
{
	struct list *l, *tmp;
	size_t i;

	list_each(l, tmp, &rt->listeners) {
		const struct live_listener *ll =
		    container_of(l, const struct live_listener, link);

		for (i = 0; i < ll->n_sockets; i++)
			if (addr_equal(&ll->sockets[i].addr, addr))
				return true;
	}
	return false;
}

/* `what` begins what is said. Of an address that its sender is not to know it is
   not said why. */
static int
try_bind(struct runtime *rt, const struct conf *next,
    const struct conf_bind *bind, const char *what, struct conf_errors *errors)
{
	bool hidden = sent_hides_name(next, bind->text.host);
	char why[512], place[PATH_MAX + 32];

	if (inherit_count(&rt->inherited, &bind->addr) > 0 ||
	    listen_try(&bind->addr, why, sizeof(why)) == 0)
		return 0;
	conf_place(next, bind->line, place, sizeof(place));
	errors_add(errors, "%s: %s: %s", place, what, hidden ?
	    "cannot bind (hidden)" : why);
	return -1;
}

static int
try_admin(struct runtime *rt, const struct conf *next,
    const struct conf_bind *bind, const char *what, struct conf_errors *errors)
{
	struct quest q = { .found = false };

	if (bind == NULL)
		return 0;
	q.addr = &bind->addr;
	admin_each_gate(rt, is_it, &q);
	return q.found ? 0 : try_bind(rt, next, bind, what, errors);
}

int
outlook_try(struct runtime *rt, const struct conf *next,
    struct conf_errors *errors)
{
	char what[300];
	size_t i, k, tried = 0;
	bool good = true;

	for (i = 0; i < next->n_listeners; i++) {
		const struct conf_listener *l = &next->listeners[i];

		snprintf(what, sizeof(what), "listeners.%s.bind",
		    sent_hides_name(next, l->name) ? "(hidden)" : l->name);
		for (k = 0; k < l->n_binds; k++)
			if (!is_listeners(rt, &l->binds[k].addr) &&
			    tried++ < TRIED_MOST &&
			    try_bind(rt, next, &l->binds[k], what, errors) < 0)
				good = false;
	}
	if (try_admin(rt, next, next->admin.bind, "admin.bind", errors) < 0)
		good = false;
	if (try_admin(rt, next, next->admin.probe_bind, "admin.probe_bind",
	    errors) < 0)
		good = false;
	return good ? 0 : -1;
}

/* A service manager's sockets, looked at one after the other. */
struct giving_up {
	const struct conf *next;
	struct conf_errors *warnings;
};

static bool
is_bound(const struct conf_bind *bind, const struct addr *addr)
{
	return bind != NULL && addr_equal(&bind->addr, addr);
}

static bool
is_in(const struct conf *next, const struct addr *addr)
{
	size_t i, k;

	for (i = 0; i < next->n_listeners; i++)
		for (k = 0; k < next->listeners[i].n_binds; k++)
			if (is_bound(&next->listeners[i].binds[k], addr))
				return true;
	return is_bound(next->admin.bind, addr) ||
	    is_bound(next->admin.probe_bind, addr);
}

static void
give_up(void *arg, const struct addr *addr, int fd, bool foreign)
{
	struct giving_up *g = arg;
	char text[ADDR_TEXT_MAX];

	(void)fd;
	if (foreign && !is_in(g->next, addr))
		errors_add(g->warnings, "%s: %s, which a service manager "
		    "handed in, is bound no more: only a restart through that "
		    "would bring it back", g->next->path,
		    addr_print(addr, text));
}

void
outlook_given_up(struct runtime *rt, const struct conf *next,
    struct conf_errors *warnings)
{
	struct giving_up g = { next, warnings };
	struct list *l, *tmp;
	size_t i;

	list_each(l, tmp, &rt->listeners) {
		const struct live_listener *ll =
		    container_of(l, const struct live_listener, link);

		for (i = 0; i < ll->n_sockets; i++)
			give_up(&g, &ll->sockets[i].addr, -1,
			    ll->sockets[i].foreign);
	}
	admin_each_gate(rt, give_up, &g);
}

/* ----------------------------------------------------------------- telling */

/* "until 2026-01-02T03:04:05Z"; "" = for good. */
static const char *
until(int64_t at, char out[UNTIL_MOST])
{
	time_t at_s = (time_t)at;
	struct tm tm;

	if (at == 0 || gmtime_r(&at_s, &tm) == NULL ||
	    strftime(out, UNTIL_MOST, "until %Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		*out = '\0';
	return out;
}

bool
outlook_confirm_text(const struct outlook *o, char *out, size_t size)
{
	char end[UNTIL_MOST];

	if (o->confirm_until_s == 0)
		return false;
	snprintf(out, size, "generation %llu awaits its confirmation %s: a "
	    "reload of this %s", (unsigned long long)o->generation,
	    until(o->confirm_until_s, end), o->same ? "does not confirm it" :
	    "without --confirm is for good and ends the wait");
	return true;
}

bool
outlook_listener_text(const struct outlook_listener *l, char *out, size_t size)
{
	size_t at = 0;

	if (l->clients == 0 && !l->held)
		return false;
	if (l->held)
		at = (size_t)snprintf(out, size, "listener %.100s goes, which "
		    "was held for the confirmation%s", l->name,
		    l->clients > 0 ? "; it" : "");
	else
		at = (size_t)snprintf(out, size, "listener %.100s", l->name);
	if (l->clients > 0 && at < size)
		snprintf(out + at, size - at, " has %llu client%s: they %s",
		    (unsigned long long)l->clients, l->clients == 1 ? "" : "s",
		    l->how);
	return true;
}

void
outlook_hand_text(const struct outlook_hand *h, char *out, size_t size)
{
	char end[UNTIL_MOST], weight[32] = "";
	bool stated = strcmp(h->what, override_states[OVERRIDE_CONF]) != 0;

	if (h->weight != 0)
		snprintf(weight, sizeof(weight), "%sweight %u",
		    stated ? ", " : "", h->weight);
	until(h->until_s, end);
	snprintf(out, size, "upstream %.300s: %s%.300s%s%s%s by hand%s%s, %s",
	    h->upstream, h->endpoint != NULL ? "endpoint " : "",
	    h->endpoint != NULL ? h->endpoint : "",
	    h->endpoint != NULL ? ": " : "", stated ? h->what : "", weight,
	    *end != '\0' ? " " : "", end, !h->stays ? h->endpoint != NULL ?
	    "which goes with the endpoint" : "which goes with it" :
	    h->sleeps ? "which comes back with the endpoint" :
	    "which stays");
}

void
outlook_tell(const struct outlook *o, void (*say)(void *arg, const char *line),
    void *arg)
{
	char line[LINE_MOST];
	size_t i;

	if (outlook_confirm_text(o, line, sizeof(line)))
		say(arg, line);
	for (i = 0; i < o->n_hands; i++) {
		outlook_hand_text(&o->hands[i], line, sizeof(line));
		say(arg, line);
	}
	for (i = 0; i < o->n_listeners; i++)
		if (outlook_listener_text(&o->listeners[i], line,
		    sizeof(line)))
			say(arg, line);
}
