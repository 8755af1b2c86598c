/*
 * What is legal but hurts, for `weir check`.
 *
 * Asks the machine (limits, folders, who runs this), so the same file may
 * warn on one machine and not on another. What only a protocol can judge, it
 * says itself (conf_proto.warn).
 *
 * SPDX-License-Identifier: MIT
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/read.h"
#include "conf/value.h"
#include "conf/warn_tls.h"

#define SUPERVISOR_MS 30000     /* Kubernetes' terminationGracePeriodSeconds */
#define SPARE_DESCRIPTORS 64    /* log, loops, mailboxes, admin */

struct warner {
	const struct conf *c;
	struct problems *problems;
	char path[SPOT_PATH_MAX];
};

static conf_say_fn say;

static void
say(void *arg, int line, const char *fmt, ...)
{
	struct warner *w = arg;
	char what[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	problem_add(w->problems, line, *w->path == '\0' ? NULL : w->path, "%s",
	    what);
}

static void
about(struct warner *w, const char *what, const char *name)
{
	snprintf(w->path, sizeof(w->path), "%s%.100s", what,
	    source_hides(w->c->source, name) ? "(hidden)" : name);
}

/* Sums would tell a sender what numbers he does not know. */
static bool
may_reckon(const struct warner *w)
{
	const struct source *source = w->c->source;

	return !source->sent || !source->hides_numbers;
}

static void
warn_times(struct warner *w)
{
	const struct conf *c = w->c;
	char total[VALUE_TEXT_MAX];

	about(w, "drain_timeout", "");
	if (c->drain_delay_ms + c->drain_timeout_ms > SUPERVISOR_MS)
		say(w, 0, "with drain_delay it is %s, but supervisors such as "
		    "Kubernetes kill after 30s unless told otherwise",
		    value_print_number(CONF_DURATION, c->drain_delay_ms +
		    c->drain_timeout_ms, total));
}

static void
warn_root(struct warner *w)
{
	const struct source *source = w->c->source;

	about(w, "user", "");
	if (source->live)
		return;
	if (geteuid() == 0 && w->c->user == NULL)
		say(w, 0, "weir would keep running as root, expected user = "
		    "\"NAME\"");
	if (geteuid() != 0 && w->c->user != NULL)
		say(w, 0, "only root can become another user; weir would go on "
		    "as it is");
}

/* Saturates: a sum beyond what a number holds is beyond any limit too. */
static int64_t
plus(int64_t a, int64_t b)
{
	return a > CONF_OFF - b ? CONF_OFF : a + b;
}

/* 0 where nothing says so: not even a shadow refuses any. */
static int64_t
connections_most(const struct conf_listener *l)
{
	const struct conf_limit *limit = &l->limits[CONF_LIMIT_CONNECTIONS];

	return limit->most == CONF_OFF || limit->shadow ? 0 : limit->most;
}

static void
warn_descriptors(struct warner *w)
{
	const struct conf *c = w->c;
	struct rlimit limit;
	int64_t wanted = SPARE_DESCRIPTORS;

	for (size_t i = 0; i < c->n_listeners; i++)
		wanted = plus(wanted, connections_most(&c->listeners[i]));
	for (size_t i = 0; i < c->n_upstreams; i++)
		wanted = plus(wanted, c->upstreams[i].pool.max);
	about(w, "limits", "");
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY &&
	    (uint64_t)wanted > (uint64_t)limit.rlim_cur)
		say(w, 0, "all connections allowed need %" PRId64 " file "
		    "descriptors, but only %ju may be open (ulimit -n)",
		    wanted, (uintmax_t)limit.rlim_cur);
}

/* A Unix socket is made by bind(), its folder is not. */
static void
find_folder(struct warner *w, const struct conf_bind *b)
{
	char folder[sizeof(b->addr.un.sun_path)], *slash;
	struct stat st;

	if (b == NULL || !b->text.is_unix)
		return;
	snprintf(folder, sizeof(folder), "%s", b->text.host);
	slash = strrchr(folder, '/');
	slash[slash == folder] = '\0';
	if (stat(folder, &st) == -1 || !S_ISDIR(st.st_mode))
		say(w, b->line, "the folder %s of the Unix socket is missing",
		    source_hides(w->c->source, b->text.host) ? "(hidden)" :
		    folder);
}

/* Clients of Unix sockets have no address: nothing to count or compare. */
static void
warn_nameless(struct warner *w, const struct conf_listener *l)
{
	static const struct {
		const char *key;
		enum conf_limit_name limit;
		bool of_requests;       /* may be by header */
	} keyed[] = {
		{ "connections_per_client", CONF_LIMIT_CONNECTIONS_PER_CLIENT,
		    false },
		{ "connection_rate_per_client",
		    CONF_LIMIT_CONNECTION_RATE_PER_CLIENT, false },
		{ "request_rate_per_client",
		    CONF_LIMIT_REQUEST_RATE_PER_CLIENT, true },
		{ "bandwidth_per_client", CONF_LIMIT_BANDWIDTH_PER_CLIENT,
		    false },
	};

	for (size_t i = 0; i < l->n_binds; i++)
		if (!l->binds[i].text.is_unix || l->proxy_protocol.from_unix)
			return;
	for (size_t i = 0; i < NELEMS(keyed); i++)
		if (l->limits[keyed[i].limit].most != CONF_OFF &&
		    !(keyed[i].of_requests && l->client_header != NULL))
			say(w, l->line, "limits.%s limits nobody, clients of "
			    "Unix sockets have no address", keyed[i].key);
	if (l->allow.n > 0 || l->deny.n > 0)
		say(w, l->line, "allow and deny keep nobody out, clients of "
		    "Unix sockets have no address");
}

static void
say_both(struct warner *w, const struct conf_listener *l,
    const struct addr_net *a, const struct addr_net *d)
{
	char ip[ADDR_TEXT_MAX];

	if (source_hides(w->c->source, a) || source_hides(w->c->source, d))
		say(w, l->line, "(hidden) is in allow and in deny; deny wins");
	else
		say(w, l->line, "%s/%u is in allow and in deny; deny wins",
		    addr_ip_print(&a->base, false, ip), a->bits);
}

static int
by_net(const void *one, const void *other)
{
	const struct addr_net *a = *(const struct addr_net *const *)one;
	const struct addr_net *b = *(const struct addr_net *const *)other;

	if (a->bits != b->bits)
		return (a->bits > b->bits) - (a->bits < b->bits);
	if (a->base.family != b->base.family)
		return a->base.family > b->base.family ? 1 : -1;
	return memcmp(a->base.ip, b->base.ip, sizeof(a->base.ip));
}

/* Either may have hundreds of thousands: one of them is sorted. */
static void
warn_nets(struct warner *w, const struct conf_listener *l)
{
	const struct addr_net **denied, **found;
	size_t i;

	if (l->allow.n == 0 || l->deny.n == 0)
		return;
	denied = calloc(l->deny.n, sizeof(*denied));
	if (denied == NULL)
		return;
	for (i = 0; i < l->deny.n; i++)
		denied[i] = &l->deny.v[i];
	qsort(denied, l->deny.n, sizeof(*denied), by_net);
	for (i = 0; i < l->allow.n; i++) {
		const struct addr_net *a = &l->allow.v[i];

		found = bsearch(&a, denied, l->deny.n, sizeof(*denied),
		    by_net);
		if (found != NULL)
			say_both(w, l, a, *found);
	}
	free(denied);
}

/* Who may say whose connection it is? */
static void
warn_proxies(struct warner *w, const struct conf_listener *l)
{
	bool any_unix = false, all_unix = true;

	for (size_t i = 0; i < l->n_binds; i++) {
		any_unix = any_unix || l->binds[i].text.is_unix;
		all_unix = all_unix && l->binds[i].text.is_unix;
	}
	for (size_t i = 0; i < l->proxy_protocol.from.n; i++)
		if (l->proxy_protocol.from.v[i].bits == 0)
			say(w, l->line, "proxy_protocol.from is everybody, who "
			    "can then say to be any client");
	if (l->proxy_protocol.from_unix && !any_unix)
		say(w, l->line, "proxy_protocol.unix is of no use without a "
		    "Unix socket");
	if (l->proxy_protocol.from.n > 0 && all_unix)
		say(w, l->line, "proxy_protocol.from is nobody, clients of "
		    "Unix sockets have no address, expected unix = true");
}

/* Routes are sorted: one that takes all comes last. */
static void
warn_listener(struct warner *w, const struct conf_listener *l)
{
	const struct conf_route *last = l->n_routes == 0 ? NULL :
	    &l->routes[l->n_routes - 1];

	about(w, "listeners.", l->name);
	warn_nameless(w, l);
	warn_nets(w, l);
	warn_listener_tls(w->c, l, say, w);
	warn_proxies(w, l);
	if (l->upstream != NULL && last != NULL && last->host == NULL &&
	    last->path == NULL && last->sni == NULL && last->alpn == NULL)
		say(w, l->line, "upstream is never used, a route takes all "
		    "that the others leave");
	if (l->proto->warn != NULL)
		l->proto->warn(l, NULL, say, w);
}

/*
 * In mode "shared" each worker has connections of its own, with key_hash to each
 * endpoint: where there is no room for all of them they are closed for one
 * another all the time. And each worker keeps one to share whatever is asked
 * for, so what has to be one client's needs a further one.
 */
static void
warn_shared(struct warner *w, const struct conf_upstream *u)
{
	int64_t workers = w->c->workers, endpoints = (int64_t)u->n_endpoints;
	int64_t wanted = workers * u->pool.shared * endpoints;

	if (u->pool.span != CONF_SPAN_OWED)
		return;
	if (u->balance == CONF_KEY_HASH && u->pool.max < wanted)
		say(w, u->line, "pool.max is %" PRId64 ", but %" PRId64
		    " workers share %" PRId64 " connections to each of %" PRId64
		    " endpoints: they would be closed for one another, "
		    "expected at least %" PRId64 " and some to pin",
		    u->pool.max, workers, u->pool.shared, endpoints, wanted);
	else if (u->pool.max <= workers && !u->proto->streams)
		say(w, u->line, "pool.max is %" PRId64 " with %" PRId64
		    " workers: no client can have a connection of its own, "
		    "for what cannot be shared, expected at least %" PRId64,
		    u->pool.max, workers, workers + 1);
}

/* Connections that say whose they are are of no use to others. */
static void
warn_send_proxy(struct warner *w, const struct conf_upstream *u)
{
	if (u->send_proxy != PROXY_HEADER_NONE && u->pool.min_idle > 0)
		say(w, u->line, "pool.min_idle keeps connections that no "
		    "client can use: with send_proxy_protocol each is the "
		    "client's that it names");
}

static void
warn_upstream(struct warner *w, const struct conf_upstream *u)
{
	about(w, "upstreams.", u->name);
	if (may_reckon(w))
		warn_shared(w, u);
	warn_upstream_tls(w->c, u, say, w);
	warn_send_proxy(w, u);
	if (u->proto->warn != NULL)
		u->proto->warn(NULL, u, say, w);
}

static void
warn_unused(struct warner *w)
{
	const struct source *source = w->c->source;

	for (const struct unused *u = source->unused; u != NULL; u = u->next) {
		about(w, "upstreams.", u->name);
		say(w, u->line, "no listener uses it%s", u->kept ? "" :
		    "; it is left out");
	}
}

static void
append(const struct conf *c, const struct problem *p, struct conf_errors *e)
{
	char place[LINE_NAME_MAX], *line;
	char **more = realloc(e->v, (e->n + 1) * sizeof(*more));

	if (more == NULL)
		return;
	e->v = more;
	conf_place(c, p->line, place, sizeof(place));
	if (asprintf(&line, "%s: %s", place, p->text) != -1)
		e->v[e->n++] = line;
}

/* Sorted and written, and gone. */
static void
hand_out(const struct conf *c, struct problems *problems, struct conf_errors *to)
{
	problems_sort(problems);
	for (size_t i = 0; i < problems->n; i++)
		append(c, &problems->v[i], to);
	problems_fini(problems);
	free(problems);
}

void
conf_missing(const struct conf *c, struct conf_errors *missing)
{
	struct problems *problems = calloc(1, sizeof(*problems));
	struct warner w = { .c = c, .problems = problems };

	if (problems == NULL)
		return;
	for (size_t i = 0; i < c->n_listeners; i++) {
		about(&w, "listeners.", c->listeners[i].name);
		for (size_t k = 0; k < c->listeners[i].n_binds; k++)
			find_folder(&w, &c->listeners[i].binds[k]);
	}
	about(&w, "admin", "");
	find_folder(&w, c->admin.bind);
	find_folder(&w, c->admin.probe_bind);
	hand_out(c, problems, missing);
}

void
conf_warn(const struct conf *c, struct conf_errors *warnings)
{
	struct problems *problems = calloc(1, sizeof(*problems));
	struct warner w = { .c = c, .problems = problems };

	if (problems == NULL)
		return;
	warn_root(&w);
	if (may_reckon(&w)) {
		warn_times(&w);
		warn_descriptors(&w);
	}
	for (size_t i = 0; i < c->n_listeners; i++)
		warn_listener(&w, &c->listeners[i]);
	for (size_t i = 0; i < c->n_upstreams; i++)
		warn_upstream(&w, &c->upstreams[i]);
	warn_unused(&w);
	hand_out(c, problems, warnings);
}
