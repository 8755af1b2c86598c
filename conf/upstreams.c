/*
 * Upstreams of the file, their endpoints and pools; and who uses them.
 *
 * An upstream's protocol decides its defaults, so it is settled before the
 * rest is read: by its own key or by the listeners that name it. One that
 * nobody uses is checked as far as it can be and left out.
 *
 * SPDX-License-Identifier: MIT
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "conf/read.h"
#include "conf/schema.h"
#include "conf/value.h"

/* ------------------------------------------------------------------ names */

static bool
is_namesake(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name,
	    ((const struct named *)b)->name) == 0;
}

/* The place of the first that is called so. */
static const void **
place_named(const struct source *source, const char *name)
{
	const struct named one = { .name = (char *)(uintptr_t)name };
	const struct seen *seen = &source->upstreams;

	return seen_place(seen, seen_hash(seen, 0, name), &one, is_namesake);
}

static struct named *
named_find(const struct source *source, const char *name)
{
	/* What is in the table is the load's own. */
	return source->upstreams.places == NULL ? NULL :
	    (struct named *)(uintptr_t)*place_named(source, name);
}

static void
read_upstream_protocol(struct load *w, const struct spot *s, struct named *n)
{
	char *name = read_member(w, s, "protocol");

	if (member_of(s, "protocol") == NULL)
		return;
	n->proto = name == NULL ? NULL : find_proto(w->in->protos, name);
	n->proto_from = "its own key protocol";
	n->own_proto = n->proto != NULL;
	n->bad_proto = n->proto == NULL;
	if (name != NULL && n->proto == NULL)
		complain_proto(w, s, line_of(member_of(s, "protocol")), name);
}

static void
read_upstream_name(struct load *w, struct spot *s, struct named *n)
{
	const config_setting_t *v = member_of(s, "name");
	char *name = read_member(w, s, "name"), where[LINE_NAME_MAX];
	const struct named *other = name == NULL ? NULL :
	    named_find(w->source, name);

	if (v == NULL)
		complain(w, s, s->line, "name", "is missing, expected one such "
		    "as \"app\"");
	if (name == NULL || !read_name_ok(w, s, line_of(v), name))
		return;
	if (other != NULL)
		complain(w, s, line_of(v), "name", "\"%s\" is the name of the "
		    "upstream on %s too, expected another", shown(w, name),
		    text_line_name(&w->source->text, line_of(other->group),
		    line_of(v), where));
	n->name = name;
	if (other == NULL)
		*place_named(w->source, name) = n;
	snprintf(s->path, sizeof(s->path), "upstreams.%s", shown(w, name));
}

void
read_upstream_names(struct load *w, const struct spot *top)
{
	struct spot list = spot_list(w, top, "upstreams");
	unsigned n = list.group == NULL ? 0 :
	    (unsigned)config_setting_length(list.group);

	w->upstreams = arena_take(&w->source->arena, n, sizeof(*w->upstreams));
	if (seen_init(&w->source->upstreams, &w->source->arena, n) < 0)
		return;
	for (unsigned i = 0; i < n && w->upstreams != NULL; i++) {
		struct spot at = spot_at(w, &list, i);
		struct named *named = &w->upstreams[w->n_upstreams];

		if (at.group == NULL)
			continue;
		named->group = config_setting_get_elem(list.group, i);
		read_upstream_name(w, &at, named);
		read_upstream_protocol(w, &at, named);
		w->n_upstreams++;
	}
}

/* ------------------------------------------------------------- references */

static void
complain_reference(struct load *w, const struct reference *r)
{
	struct nearest near = { .word = shown(w, r->name) };
	char known[256] = "";

	/* Nobody will see it: not worth the search for what was meant. */
	for (size_t i = 0; i < w->n_upstreams && !problems_full(w->problems);
	    i++) {
		const char *name = w->upstreams[i].name;
		size_t n = strlen(known);

		if (name == NULL)
			continue;
		nearest_try(&near, shown(w, name));
		if (n < 100)
			snprintf(known + n, sizeof(known) - n, "%s%s",
			    n == 0 ? "" : ", ", shown(w, name));
	}
	if (near.best != NULL)
		problem_add(w->problems, r->line, r->path, "unknown upstream "
		    "\"%.80s\", did you mean \"%s\"?", shown(w, r->name),
		    near.best);
	else if (*known != '\0')
		problem_add(w->problems, r->line, r->path, "unknown upstream "
		    "\"%.80s\", expected one of %s", shown(w, r->name), known);
	else
		problem_add(w->problems, r->line, r->path, "unknown upstream "
		    "\"%.80s\", expected it in upstreams = ( ... )",
		    shown(w, r->name));
}

/* The first user of an upstream settles its protocol; the rest must agree. */
static void
settle_protocol(struct load *w, const struct reference *r, struct named *n)
{
	const struct conf_proto *proto = r->listener->proto;

	n->used = true;
	if (proto == NULL) {
		n->bad_proto = true;
	} else if (n->proto == NULL) {
		n->proto = proto;
		n->proto_from = r->path;
	} else if (n->proto != proto) {
		problem_add(w->problems, r->line, r->path, "upstream \"%s\" "
		    "speaks %s (by %s) and this listener %s, expected one "
		    "protocol", shown(w, n->name), n->proto->name,
		    n->proto_from, proto->name);
	}
}

void
resolve_references(struct load *w)
{
	for (struct reference *r = w->references; r != NULL; r = r->next) {
		r->target = named_find(w->source, r->name);
		if (r->target == NULL)
			complain_reference(w, r);
		else
			settle_protocol(w, r, r->target);
	}
}

/* -------------------------------------------------------------- endpoints */

/* A label for statistics and URLs' paths: an address is one. */
static bool
endpoint_name_ok(struct load *w, const struct spot *s, const char *name)
{
	size_t n = strlen(name);
	bool good = n > 0 && n <= 200;

	for (const char *c = name; *c != '\0'; c++)
		good = good && *c > ' ' && *c < 0x7f && *c != '"';
	if (!good)
		complain(w, s, s->line, "name", "\"%.80s\" is no good name, "
		    "expected letters, digits and signs without spaces",
		    shown(w, name));
	return good;
}

/* RFC 2782: _service._proto.name */
static bool
is_srv(const char *text)
{
	const char *proto = strstr(text, "._");
	const char *name = proto == NULL ? NULL : strchr(proto + 2, '.');
	char host[300];
	struct addr_text t;
	const char *why;

	if (*text != '_' || proto == text + 1 || name == NULL ||
	    name == proto + 2 || snprintf(host, sizeof(host), "%s:1",
	    text) >= (int)sizeof(host) ||
	    addr_text_parse(host, false, &t, &why) == -1)
		return false;
	addr_text_fini(&t);
	return name[1] != '\0';
}

static bool
endpoint_target(struct load *w, const struct spot *s,
    const struct endpoint_words *words, struct conf_endpoint *e)
{
	bool address = member_of(s, "address") != NULL;
	bool srv = member_of(s, "srv") != NULL;

	if (address == srv) {
		complain(w, s, s->line, "", "%s, expected address = "
		    "\"host:port\" or srv = \"_service._tcp.name\"", address ?
		    "has an address and srv" : "has no address");
		return false;
	}
	if (words->address != NULL)
		return read_address(w, s, line_of(member_of(s, "address")),
		    "address", words->address, &e->address);
	if (words->srv == NULL)
		return false;
	if (!is_srv(words->srv)) {
		complain(w, s, line_of(member_of(s, "srv")), "srv", "\"%.80s\" "
		    "is no SRV name, expected one such as "
		    "\"_http._tcp.app.svc\"", shown(w, words->srv));
		return false;
	}
	e->srv = words->srv;
	e->address.host = arena_copy(&w->source->arena, "");
	return true;
}

static bool
read_endpoint_group(struct load *w, const struct spot *s,
    struct conf_endpoint *e)
{
	struct endpoint_words words = { 0 };

	read_keys(w, s, schema_endpoint, "endpoints", NULL, &words);
	read_unknown(w, s, schema_endpoint, "upstreams[].endpoints[]", false,
	    NULL);
	if (!endpoint_target(w, s, &words, e) || (words.name != NULL &&
	    !endpoint_name_ok(w, s, words.name)))
		return false;
	e->name = words.name != NULL ? words.name : words.address != NULL ?
	    words.address : words.srv;
	e->named = words.name != NULL;
	e->weight = (unsigned)words.weight;
	e->backup = words.backup;
	e->max = words.max;
	return true;
}

static bool
read_endpoint_text(struct load *w, const struct spot *s, const char *key,
    const config_setting_t *v, struct conf_endpoint *e)
{
	const struct spot none = { 0 };
	struct endpoint_words words = { 0 };
	char *text = read_text(w, s, key, v);

	if (text == NULL || !read_address(w, s, line_of(v), key, text,
	    &e->address))
		return false;
	read_keys(w, &none, schema_endpoint, "endpoints", NULL, &words);
	e->name = text;
	e->weight = (unsigned)words.weight;
	e->max = words.max;
	return true;
}

static bool
are_namesakes(const void *a, const void *b)
{
	return strcmp(((const struct conf_endpoint *)a)->name,
	    ((const struct conf_endpoint *)b)->name) == 0;
}

static void
check_endpoint(struct load *w, const struct spot *s,
    const struct conf_endpoint *e, const char *key, const struct seen *seen)
{
	const void **place = seen_place(seen, seen_hash(seen, 0, e->name), e,
	    are_namesakes);
	const struct conf_endpoint *other = *place;
	char where[LINE_NAME_MAX];

	if (other == NULL)
		*place = e;
	else
		complain(w, s, e->line, key, "\"%.120s\" is the name of the "
		    "endpoint on %s too, expected another", shown(w, e->name),
		    text_line_name(&w->source->text, other->line, e->line,
		    where));
}

static void
read_endpoint(struct load *w, const struct spot *s, struct conf_upstream *u,
    const config_setting_t *v, int i, const struct seen *seen)
{
	struct conf_endpoint *e = &u->endpoints[u->n_endpoints];
	struct spot in = { .group = v, .line = line_of(v) };
	char key[32];
	bool good;

	snprintf(key, sizeof(key), "endpoints[%d]", i);
	snprintf(in.path, sizeof(in.path), "%.150s.%s", s->path, key);
	*e = (struct conf_endpoint){ .line = line_of(v) };
	good = config_setting_is_group(v) ? read_endpoint_group(w, &in, e) :
	    read_endpoint_text(w, s, key, v, e);
	if (good) {
		check_endpoint(w, s, e, key, seen);
		u->n_endpoints++;
	}
}

/* A backup of nothing. One whose other endpoints were refused may have one. */
static void
check_backups(struct load *w, const struct spot *s,
    const struct conf_upstream *u)
{
	const config_setting_t *v = member_of(s, "endpoints");

	if (u->endpoints == NULL || u->n_endpoints == 0 ||
	    u->n_endpoints < (size_t)list_length(v))
		return;
	for (size_t i = 0; i < u->n_endpoints; i++)
		if (!u->endpoints[i].backup)
			return;
	complain(w, s, line_of(v), "endpoints", "all of them are backups, "
	    "expected at least one that is not");
}

static void
read_endpoints(struct load *w, const struct spot *s, struct conf_upstream *u)
{
	const config_setting_t *v = member_of(s, "endpoints");
	int n = v == NULL ? 0 : list_length(v);
	struct seen seen;

	if (n == 0)
		complain(w, s, v == NULL ? s->line : line_of(v), "endpoints",
		    "there are none, expected at least one such as "
		    "( \"127.0.0.1:3000\" )");
	u->endpoints = arena_take(&w->source->arena, (size_t)n,
	    sizeof(*u->endpoints));
	if (seen_init(&seen, &w->source->arena, (size_t)n) < 0)
		return;
	for (int i = 0; i < n && u->endpoints != NULL; i++)
		read_endpoint(w, s, u, list_at(v, i), i, &seen);
	check_backups(w, s, u);
}

/* ------------------------------------------------------------------- pool */

static void
span_words(unsigned spans, char out[128])
{
	size_t n = 0;

	out[0] = '\0';
	for (unsigned i = 0; schema_modes[i] != NULL; i++)
		if ((spans & 1u << i) != 0)
			n += (size_t)snprintf(out + n, 128 - n, "%s\"%s\"",
			    n == 0 ? "" : " or ", schema_modes[i]);
}

/* The mode's word is read as its index; its bit is what the pool wants. */
static void
check_mode(struct load *w, const struct spot *pool, struct conf_upstream *u)
{
	const config_setting_t *v = member_of(pool, "mode");
	unsigned index = (unsigned)u->pool.span;
	char can[128];

	u->pool.span = (enum conf_span)(1u << index);
	if (u->proto == NULL || (u->proto->spans & 1u << index) != 0)
		return;
	span_words(u->proto->spans, can);
	complain(w, pool, v == NULL ? pool->line : line_of(v), "mode",
	    "protocol %s cannot honour \"%s\", expected %s", u->proto->name,
	    schema_modes[index], can);
}

/*
 * *value must not be above `most`. When it was not written it gives way:
 * nobody should have to lower a default to lower what bounds it.
 */
static void
check_at_most(struct load *w, const struct spot *pool, const char *key,
    int64_t *value, const char *bound, int64_t most)
{
	const config_setting_t *v = member_of(pool, key);

	if (*value <= most)
		return;
	if (v != NULL && w->source->hides_numbers)
		complain(w, pool, line_of(v), key, "is more than %s, expected "
		    "at most that", bound);
	else if (v != NULL)
		complain(w, pool, line_of(v), key, "%" PRId64 " is more than "
		    "%s, expected at most %" PRId64, *value, bound, most);
	*value = most;
}

/* A cap on groups that the protocol does not have would never be met. */
static void
check_groups(struct load *w, const struct spot *pool,
    const struct conf_upstream *u, const char *key, int64_t most)
{
	const config_setting_t *v = member_of(pool, key);

	if (v == NULL || most >= CONF_OFF || u->proto == NULL ||
	    u->proto->groups)
		return;
	complain(w, pool, line_of(v), key, "protocol %s does not tell users "
	    "and databases apart, expected \"off\" or no such key",
	    u->proto->name);
}

static void
read_pool(struct load *w, const struct spot *s, struct conf_upstream *u)
{
	struct spot pool = spot_in(w, s, "pool");
	bool max_idle_given = member_of(&pool, "max_idle") != NULL;

	read_keys(w, &pool, schema_pool, "pool", u->proto, u);
	/* What is warm has no client, and so will never be a client's. */
	if (u->send_proxy != PROXY_HEADER_NONE &&
	    member_of(&pool, "min_idle") == NULL)
		u->pool.min_idle = 0;
	read_unknown(w, &pool, schema_pool, "upstreams[].pool", false, NULL);
	check_mode(w, &pool, u);
	check_groups(w, &pool, u, "max_per_user", u->pool.max_per_user);
	check_groups(w, &pool, u, "max_per_database",
	    u->pool.max_per_database);
	u->pool.max_idle_follows = u->pool.max_idle < 0;
	if (u->pool.max_idle_follows)
		u->pool.max_idle = u->pool.max;
	u->pool.max_pinned_follows = u->pool.max_pinned < 0;
	if (u->pool.max_pinned_follows)
		u->pool.max_pinned = u->pool.max / 2;
	check_at_most(w, &pool, "max_idle", &u->pool.max_idle, "max",
	    u->pool.max);
	check_at_most(w, &pool, "max_pinned", &u->pool.max_pinned, "max",
	    u->pool.max);
	check_at_most(w, &pool, "min_idle", &u->pool.min_idle,
	    max_idle_given ? "max_idle" : "max", u->pool.max_idle);
}

/* --------------------------------------------------------------- key_hash */

/* A backup has a part of the keys only while the ring is without the others. */
static void
check_key_backups(struct load *w, const struct spot *s,
    const struct conf_upstream *u)
{
	for (size_t i = 0; i < u->n_endpoints; i++)
		if (u->endpoints[i].backup) {
			complain(w, s, u->endpoints[i].line, "endpoints",
			    "%.120s is a backup, which never has a key while "
			    "those of an endpoint that is down fail, expected "
			    "none or key_hash.on_down = \"rehash\"",
			    shown(w, u->endpoints[i].name));
			return;
		}
}

static void
read_key_hash(struct load *w, const struct spot *s, struct conf_upstream *u)
{
	const config_setting_t *group = member_of(s, "key_hash");
	struct spot in = spot_in(w, s, "key_hash");

	read_keys(w, &in, schema_key_hash, "key_hash", u->proto, u);
	read_unknown(w, &in, schema_key_hash, "upstreams[].key_hash", false,
	    NULL);
	if (u->balance != CONF_KEY_HASH) {
		if (group != NULL)
			complain(w, s, line_of(group), "key_hash", "only "
			    "balance = \"key_hash\" looks at keys, expected "
			    "that too or no such group");
		return;
	}
	if (u->proto != NULL && !u->proto->keys)
		complain(w, s, line_of(member_of(s, "balance")), "balance",
		    "protocol %s has no keys, expected another than "
		    "\"key_hash\"", u->proto->name);
	if (u->key_hash.on_down == CONF_ON_DOWN_FAIL)
		check_key_backups(w, s, u);
}

/* --------------------------------------------------------------- upstreams */

static void
read_upstream_own(struct load *w, const struct spot *s,
    struct conf_upstream *u)
{
	const struct conf_proto *p = u->proto;
	struct spot in;

	if (p == NULL)
		return;
	in = spot_in(w, s, p->name);
	if (p->upstream_size > 0)
		u->own = arena_take(&w->source->arena, 1, p->upstream_size);
	if (u->own != NULL)
		read_keys(w, &in, p->upstream_keys, p->name, p, u->own);
	read_unknown(w, &in, p->upstream_keys, "", false, NULL);
	/* Modes and defaults go by it from here on. */
	if (u->own != NULL && p->variant != NULL)
		u->proto = p->variant(u->own);
}

/* Nobody but SQL has transactions. */
static void
check_times(struct load *w, const struct spot *times,
    const struct conf_upstream *u)
{
	static const char *const keys[] = { "query", "transaction_idle" };

	if (u->proto == NULL || (u->proto->spans & CONF_SPAN_TRANSACTION) != 0)
		return;
	for (size_t i = 0; i < NELEMS(keys); i++) {
		const config_setting_t *v = member_of(times, keys[i]);

		if (v != NULL)
			complain(w, times, line_of(v), keys[i], "protocol %s "
			    "has no transactions, expected none",
			    u->proto->name);
	}
}

static void
read_upstream(struct load *w, const struct spot *s, const struct named *n,
    struct conf_upstream *u)
{
	struct spot times = spot_in(w, s, "timeouts");

	u->line = s->line;
	u->name = n->name;
	u->proto = n->proto;
	read_upstream_own(w, s, u);
	read_endpoints(w, s, u);
	read_keys(w, s, schema_upstream, "", u->proto, u);
	read_upstream_tls(w, s, u);
	read_key_hash(w, s, u);
	read_pool(w, s, u);
	read_policies(w, s, u);
	read_keys(w, &times, schema_upstream_times, "timeouts", u->proto, u);
	read_unknown(w, s, schema_upstream, "upstreams[]", true, u->proto);
	read_unknown(w, &times, schema_upstream_times, "upstreams[].timeouts",
	    false, NULL);
	check_times(w, &times, u);
}

static void
note_unused(struct load *w, const struct named *n)
{
	struct unused *u = arena_take(&w->source->arena, 1, sizeof(*u));

	if (u == NULL)
		return;
	*u = (struct unused){ .name = n->name == NULL ? "" : n->name,
	    .line = line_of(n->group), .kept = n->own_proto };
	*w->source->unused_end = u;
	w->source->unused_end = &u->next;
}

/* Those left out go behind the others, where nobody counts them. */
static void
give_places(struct load *w)
{
	size_t place = 0;

	w->c->upstreams = arena_take(&w->source->arena, w->n_upstreams,
	    sizeof(*w->c->upstreams));
	for (int left_out = 0; left_out < 2; left_out++)
		for (size_t i = 0; i < w->n_upstreams &&
		    w->c->upstreams != NULL; i++) {
			struct named *n = &w->upstreams[i];

			if ((!n->used && !n->own_proto) == left_out)
				n->upstream = &w->c->upstreams[place++];
			if (left_out == 0)
				w->c->n_upstreams = place;
		}
}

static struct spot
spot_of(const struct load *w, const struct named *n, size_t i)
{
	struct spot s = { .group = n->group, .line = line_of(n->group) };

	if (n->name == NULL)
		snprintf(s.path, sizeof(s.path), "upstreams[%zu]", i);
	else
		snprintf(s.path, sizeof(s.path), "upstreams.%s",
		    shown(w, n->name));
	return s;
}

static void
prepare_own(struct load *w, const struct named *n, size_t i)
{
	struct own_error e = { .w = w };
	struct conf_upstream *u = n->upstream;
	struct spot s = spot_of(w, n, i);

	if (u == NULL || u->proto == NULL || u->own == NULL ||
	    u->proto->prepare_upstream == NULL || w->source->arena.failed)
		return;
	e.in = spot_in(w, &s, u->proto->name);
	u->proto->prepare_upstream(u, w->c, own_error, &e);
}

void
read_upstreams(struct load *w)
{
	give_places(w);
	for (size_t i = 0; i < w->n_upstreams; i++) {
		struct named *n = &w->upstreams[i];
		struct spot s = spot_of(w, n, i);

		if (n->upstream != NULL)
			read_upstream(w, &s, n, n->upstream);
		if (!n->used)
			note_unused(w, n);
	}
	for (struct reference *r = w->references; r != NULL; r = r->next)
		if (r->target != NULL)
			*r->into = r->target->upstream;
	for (size_t i = 0; i < w->n_upstreams; i++)
		prepare_own(w, &w->upstreams[i], i);
}

const struct conf_upstream *
conf_upstream_find(const struct conf *c, const char *name)
{
	const struct source *source = c->source;
	const struct named *n = named_find(source, name);

	return n == NULL || n->upstream == NULL ||
	    n->upstream >= c->upstreams + c->n_upstreams ? NULL : n->upstream;
}
