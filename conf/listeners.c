/*
 * Listeners of the file and their routes.
 *
 * Upstreams are only names here: they are resolved when all of them are known.
 *
 * SPDX-License-Identifier: MIT
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/read.h"
#include "conf/schema.h"
#include "net/hello.h"

/* ----------------------------------------------------------------- routes */

/* "*.x" or a host as it stands in a Host field, without port; lower case. */
static bool
route_host(struct load *w, const struct spot *s, char *host)
{
	bool suffix = strncmp(host, "*.", 2) == 0;
	char text[512];
	struct addr_text t;
	const char *why;
	bool good;

	snprintf(text, sizeof(text), "%.500s:1", host + (suffix ? 2 : 0));
	good = addr_text_parse(text, false, &t, &why) == 0;
	if (good) {
		good = !t.is_unix && !(suffix && t.is_literal);
		addr_text_fini(&t);
	}
	if (!good) {
		complain(w, s, line_of(member_of(s, "host")), "host",
		    "\"%.80s\" is no host, expected one such as "
		    "\"api.example.com\" or \"*.example.com\", without port",
		    shown(w, host));
		return false;
	}
	for (; *host != '\0'; host++)
		*host = (char)tolower((unsigned char)*host);
	return true;
}

static bool
route_path(struct load *w, const struct spot *s, const char *path)
{
	bool good = *path == '/';

	for (const char *c = path; *c != '\0'; c++)
		good = good && (unsigned char)*c > ' ' && *c != 0x7f &&
		    *c != '?' && *c != '#';
	if (!good)
		complain(w, s, line_of(member_of(s, "path")), "path",
		    "\"%.80s\" is no path, expected one such as \"/static/\"",
		    shown(w, path));
	return good;
}

/* Read as a client's would be, so that both mean the same. */
static bool
route_sni(struct load *w, const struct spot *s, char *sni)
{
	bool suffix = strncmp(sni, "*.", 2) == 0;
	char *from = sni + (suffix ? 2 : 0), name[HELLO_NAME_MAX + 1];

	if (hello_name(from, strlen(from), name) <= 0) {
		complain(w, s, line_of(member_of(s, "sni")), "sni",
		    "\"%.80s\" is no name, expected one such as "
		    "\"api.example.com\" or \"*.example.com\"",
		    shown(w, sni));
		return false;
	}
	memcpy(from, name, strlen(name) + 1);   /* it is no longer */
	return true;
}

/* RFC 7301 3.1 */
static bool
route_alpn(struct load *w, const struct spot *s, const char *alpn)
{
	size_t n = strlen(alpn);

	if (n > 0 && n <= 255)
		return true;
	complain(w, s, line_of(member_of(s, "alpn")), "alpn", "has %s bytes, "
	    "expected 1 to 255, such as \"h2\"", n == 0 ? "no" :
	    "too many");
	return false;
}

/* Which keys a route may have is its protocol's; all have `upstream`. */
static void
check_route_keys(struct load *w, const struct spot *s,
    const struct conf_proto *proto)
{
	static const struct { const char *key; unsigned by; } of[] = {
		{ "host", CONF_BY_HOST }, { "path", CONF_BY_HOST },
		{ "sni", CONF_BY_SNI }, { "alpn", CONF_BY_SNI },
		{ "retry", CONF_BY_HOST }
	};
	char known[80] = "";

	for (size_t i = 0; i < NELEMS(of) && proto != NULL; i++)
		if ((proto->routes & of[i].by) != 0)
			snprintf(known + strlen(known),
			    sizeof(known) - strlen(known), ", %s", of[i].key);
	for (size_t i = 0; i < NELEMS(of) && proto != NULL; i++)
		if ((proto->routes & of[i].by) == 0 &&
		    member_of(s, of[i].key) != NULL)
			complain(w, s, line_of(member_of(s, of[i].key)),
			    of[i].key, "is not for protocol %s, expected "
			    "upstream%s", proto->name, known);
}

static void
refer(struct load *w, const struct spot *s, const char *name,
    struct conf_upstream **into, const struct conf_listener *l)
{
	struct reference *r = arena_take(&w->source->arena, 1, sizeof(*r));

	if (r == NULL)
		return;
	*r = (struct reference){ .name = name, .into = into, .listener = l,
	    .path = spot_path(w, s, "upstream"),
	    .line = line_of(member_of(s, "upstream")) };
	*w->references_end = r;
	w->references_end = &r->next;
}

static bool
read_route(struct load *w, const struct spot *s, struct conf_route *r,
    const struct conf_listener *l)
{
	struct route_words words = { 0 };

	read_keys(w, s, schema_route, "routes", NULL, &words);
	read_unknown(w, s, schema_route, "listeners[].routes[]", false, NULL);
	check_route_keys(w, s, l->proto);
	if (words.upstream == NULL && member_of(s, "upstream") == NULL)
		complain(w, s, s->line, "upstream", "is missing, expected the "
		    "name of an upstream");
	if (words.host != NULL && strcmp(words.host, "*") == 0)
		words.host = NULL;
	if (words.sni != NULL && strcmp(words.sni, "*") == 0)
		words.sni = NULL;
	if ((words.host != NULL && !route_host(w, s, words.host)) ||
	    (words.path != NULL && !route_path(w, s, words.path)) ||
	    (words.sni != NULL && !route_sni(w, s, words.sni)) ||
	    (words.alpn != NULL && !route_alpn(w, s, words.alpn)))
		return false;
	if (l->tls.common.on && (words.sni != NULL || words.alpn != NULL))
		complain(w, s, s->line, "", "has sni or alpn, which are of TLS "
		    "that is passed through, expected neither where the "
		    "listener has tls");
	*r = (struct conf_route){ .host = words.host, .path = words.path,
	    .sni = words.sni, .alpn = words.alpn,
	    .retry = (enum conf_retry_what)words.retry, .line = s->line };
	if (words.upstream != NULL)
		refer(w, s, words.upstream, &r->upstream, l);
	return true;
}

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
are_one_way(const void *one, const void *other)
{
	const struct conf_route *a = one, *b = other;

	return same(a->host, b->host) && same(a->path, b->path) &&
	    same(a->sni, b->sni) && same(a->alpn, b->alpn);
}

static const void **
place_of_route(const struct seen *seen, const struct conf_route *r)
{
	uint64_t hash = seen_hash(seen, 0, r->host);

	hash = seen_hash(seen, hash, r->path);
	hash = seen_hash(seen, hash, r->sni);
	hash = seen_hash(seen, hash, r->alpn);
	return seen_place(seen, hash, r, are_one_way);
}

static void
check_route(struct load *w, const struct spot *s,
    const struct conf_listener *l, const struct conf_route *r,
    const struct seen *seen)
{
	bool host = l->proto == NULL || (l->proto->routes & CONF_BY_HOST) != 0;
	const void **place = place_of_route(seen, r);
	const struct conf_route *other = *place;
	char where[LINE_NAME_MAX];

	if (other == NULL)
		*place = r;
	else
		complain(w, s, s->line, "", "has the %s of %s, expected each "
		    "pair once", host ? "host and path" : "sni and alpn",
		    text_line_name(&w->source->text, other->line, s->line,
		    where));
}

static void
read_routes(struct load *w, const struct spot *s, struct conf_listener *l)
{
	struct spot list = spot_list(w, s, "routes");
	unsigned n = list.group == NULL ? 0 :
	    (unsigned)config_setting_length(list.group);
	struct seen seen;

	if (list.group != NULL && l->proto != NULL && l->proto->routes == 0) {
		complain(w, s, list.line, "routes", "protocol %s has none, "
		    "expected upstream = \"NAME\"", l->proto->name);
		return;
	}
	l->routes = arena_take(&w->source->arena, n, sizeof(*l->routes));
	if (seen_init(&seen, &w->source->arena, n) < 0)
		return;
	for (unsigned i = 0; i < n && l->routes != NULL; i++) {
		struct spot at = spot_at(w, &list, i);

		if (at.group != NULL && read_route(w, &at,
		    &l->routes[l->n_routes], l))
			check_route(w, &at, l, &l->routes[l->n_routes++],
			    &seen);
	}
}

static size_t
rank_of(const char *name)
{
	return name == NULL ? 0 : *name == '*' ? strlen(name) : SIZE_MAX;
}

/* The name's rank first (exact, longer suffix, shorter, any), then the longer
   path, or a protocol before any. Routes go by host or by sni. */
static int
more_specific(const struct conf_route *a, const struct conf_route *b)
{
	size_t name_a = rank_of(a->host != NULL ? a->host : a->sni);
	size_t name_b = rank_of(b->host != NULL ? b->host : b->sni);
	size_t path_a = a->path == NULL ? 0 : strlen(a->path);
	size_t path_b = b->path == NULL ? 0 : strlen(b->path);

	if (name_a != name_b)
		return name_a > name_b;
	if (path_a != path_b)
		return path_a > path_b;
	return a->alpn != NULL && b->alpn == NULL;
}

/* Equals stay in the order of the file, in which they lie. */
static int
by_rank(const void *one, const void *other)
{
	const struct conf_route *const *a = one, *const *b = other;

	if (more_specific(*a, *b))
		return -1;
	return more_specific(*b, *a) ? 1 : (*a > *b) - (*a < *b);
}

static void
sort_routes_of(struct load *w, struct conf_listener *l)
{
	struct conf_route *sorted = arena_take(&w->source->arena, l->n_routes,
	    sizeof(*sorted));
	const struct conf_route **order = calloc(l->n_routes + 1,
	    sizeof(*order));

	if (order == NULL)
		w->source->arena.failed = true;
	for (size_t i = 0; order != NULL && i < l->n_routes; i++)
		order[i] = &l->routes[i];
	if (order != NULL && sorted != NULL) {
		qsort(order, l->n_routes, sizeof(*order), by_rank);
		for (size_t i = 0; i < l->n_routes; i++)
			sorted[i] = *order[i];
		l->routes = sorted;
	}
	free(order);
}

void
sort_routes(struct load *w)
{
	for (size_t k = 0; k < w->c->n_listeners; k++)
		if (w->c->listeners[k].n_routes > 1)
			sort_routes_of(w, &w->c->listeners[k]);
}

/* -------------------------------------------------------------- listeners */

static bool
are_namesakes(const void *a, const void *b)
{
	return strcmp(((const struct conf_listener *)a)->name,
	    ((const struct conf_listener *)b)->name) == 0;
}

/* The name, and with it the path that messages show from here on. */
static void
read_listener_name(struct load *w, struct spot *s, struct conf_listener *l)
{
	const struct seen *seen = &w->source->listeners;
	const config_setting_t *v = member_of(s, "name");
	char *name = read_member(w, s, "name"), where[LINE_NAME_MAX];
	const struct conf_listener *other;
	const void **place;

	if (v == NULL)
		complain(w, s, s->line, "name", "is missing, expected one such "
		    "as \"web\"");
	if (name == NULL || !read_name_ok(w, s, line_of(v), name))
		return;
	l->name = name;
	place = seen_place(seen, seen_hash(seen, 0, name), l, are_namesakes);
	other = *place;
	if (other == NULL)
		*place = l;
	else
		complain(w, s, line_of(v), "name", "\"%s\" is the name of the "
		    "listener on %s too, expected another", shown(w, name),
		    text_line_name(&w->source->text, other->line, line_of(v),
		    where));
	snprintf(s->path, sizeof(s->path), "listeners.%s", shown(w, name));
}

static void
read_protocol(struct load *w, const struct spot *s, struct conf_listener *l)
{
	const config_setting_t *v = member_of(s, "protocol");
	char *name = read_member(w, s, "protocol");

	if (v == NULL)
		complain(w, s, s->line, "protocol", "is missing, expected one "
		    "such as \"%s\"", w->in->protos[0] == NULL ? "" :
		    w->in->protos[0]->name);
	if (name == NULL)
		return;
	l->proto = find_proto(w->in->protos, name);
	if (l->proto == NULL)
		complain_proto(w, s, line_of(v), name);
}

static void
read_own(struct load *w, const struct spot *s, struct conf_listener *l)
{
	const struct conf_proto *p = l->proto;
	struct spot in;

	if (p == NULL)
		return;
	in = spot_in(w, s, p->name);
	if (p->listener_size > 0)
		l->own = arena_take(&w->source->arena, 1, p->listener_size);
	if (l->own != NULL)
		read_keys(w, &in, p->listener_keys, p->name, p, l->own);
	read_unknown(w, &in, p->listener_keys, "", false, NULL);
}

void
own_error(void *arg, int line, const char *fmt, ...)
{
	struct own_error *e = arg;
	char text[512], key[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* "KEY: ..." may say what stands there, or in the file that it names. */
	snprintf(key, sizeof(key), "%.*s", (int)strcspn(text, ":"), text);
	if (setting_hides(e->w, member_of(&e->in, key)))
		complain(e->w, &e->in, line, key, "(hidden) cannot be used, "
		    "expected what weir.conf(5) says of it");
	else
		complain(e->w, &e->in, line, "", "%s", text);
}

static void
prepare_own(struct load *w, const struct spot *s, struct conf_listener *l)
{
	const struct conf *running = w->in->running;
	const struct conf_listener *was = running == NULL || l->name == NULL ?
	    NULL : conf_listener_find(running, l->name);
	struct own_error e = { .w = w };

	/* Without memory some of what it would look at is not there. */
	if (l->proto == NULL || l->proto->prepare == NULL || l->own == NULL ||
	    w->source->arena.failed)
		return;
	e.in = spot_in(w, s, l->proto->name);
	l->proto->prepare(l, was != NULL && was->proto == l->proto ? was :
	    NULL, own_error, &e);
}

static void
read_targets(struct load *w, const struct spot *s, struct conf_listener *l)
{
	char *name = read_member(w, s, "upstream");

	if (name != NULL)
		refer(w, s, name, &l->upstream, l);
	read_routes(w, s, l);
	if (member_of(s, "upstream") == NULL &&
	    member_of(s, "routes") == NULL)
		complain(w, s, s->line, "upstream", "is missing, expected the "
		    "name of an upstream%s", l->proto != NULL &&
		    l->proto->routes != 0 ? ", or routes" : "");
	else if (member_of(s, "upstream") == NULL && l->n_routes == 0 &&
	    list_length(member_of(s, "routes")) == 0)
		complain(w, s, s->line, "routes", "is an empty list, expected "
		    "a route, or upstream = \"NAME\"");
}

/* "Nobody" to one reader and "all" to the next. */
static void
check_allow(struct load *w, const struct spot *s)
{
	const config_setting_t *v = member_of(s, "allow");

	if (v != NULL && list_length(v) == 0)
		complain(w, s, line_of(v), "allow", "is an empty list, "
		    "expected networks such as ( \"10.0.0.0/8\", \"::1\" ), or "
		    "no allow where all may come in");
}

/* A group that names nobody would be taken for one that trusts all. */
static void
read_proxy_protocol(struct load *w, const struct spot *s,
    struct conf_listener *l)
{
	struct spot in = spot_in(w, s, "proxy_protocol");
	const config_setting_t *from = member_of(&in, "from");

	read_keys(w, &in, schema_proxy_protocol, "proxy_protocol", l->proto, l);
	read_unknown(w, &in, schema_proxy_protocol,
	    "listeners[].proxy_protocol", false, NULL);
	if (in.group != NULL && !l->proxy_protocol.from_unix &&
	    (from == NULL || list_length(from) == 0))
		complain(w, &in, in.line, "from", "names nobody, expected the "
		    "networks of the proxies such as ( \"10.0.0.0/8\" ), or "
		    "unix = true");
}

static void
read_listener(struct load *w, struct spot *s, struct conf_listener *l)
{
	struct spot times;
	bool tls;

	l->line = s->line;
	read_listener_name(w, s, l);
	read_protocol(w, s, l);
	times = spot_in(w, s, "timeouts");
	if (member_of(s, "bind") == NULL)
		complain(w, s, s->line, "bind", "is missing, expected an "
		    "address such as \"127.0.0.1:8080\"");
	else
		l->binds = read_binds(w, s, "bind", &l->n_binds);
	read_keys(w, s, schema_listener, "", l->proto, l);
	tls = read_listener_tls(w, s, l);
	read_listener_limits(w, s, l);
	check_allow(w, s);
	read_proxy_protocol(w, s, l);
	read_keys(w, &times, schema_listener_times, "timeouts", l->proto, l);
	read_unknown(w, s, schema_listener, "listeners[]", true, l->proto);
	read_unknown(w, &times, schema_listener_times, "listeners[].timeouts",
	    false, NULL);
	read_own(w, s, l);
	prepare_own(w, s, l);
	if (tls)
		make_listener_tls(w, s, l);
	read_targets(w, s, l);
}

void
read_listeners(struct load *w, const struct spot *top)
{
	struct spot list = spot_list(w, top, "listeners");
	unsigned n = list.group == NULL ? 0 :
	    (unsigned)config_setting_length(list.group);

	if (member_of(top, "listeners") == NULL ||
	    (list.group != NULL && n == 0))
		complain(w, top, list.line, "listeners", "there are none, "
		    "expected at least one: ( { name = ...; bind = ...; } )");
	w->c->listeners = arena_take(&w->source->arena, n,
	    sizeof(*w->c->listeners));
	if (seen_init(&w->source->listeners, &w->source->arena, n) < 0)
		return;
	for (unsigned i = 0; i < n && w->c->listeners != NULL; i++) {
		struct spot at = spot_at(w, &list, i);

		if (at.group != NULL)
			read_listener(w, &at,
			    &w->c->listeners[w->c->n_listeners++]);
	}
}

const struct conf_listener *
conf_listener_find(const struct conf *c, const char *name)
{
	const struct source *source = c->source;
	const struct seen *seen = &source->listeners;
	const struct conf_listener one = { .name = (char *)(uintptr_t)name };

	return seen->places == NULL ? NULL : *seen_place(seen,
	    seen_hash(seen, 0, name), &one, are_namesakes);
}
