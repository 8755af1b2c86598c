/*
 * What a configuration says: the file's keys, every default filled in, told
 * fact by fact (conf/facts.h), and as JSON.
 *
 * Durations and sizes are spelled as in the file; absent texts and networks
 * are left out, absent groups that switch something on are "off".
 * Written by hand and not by jansson, which refuses text that is not UTF-8.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/read.h"
#include "conf/schema.h"
#include "conf/value.h"
#include "net/memstream.h"

/* Who is told. */
struct teller {
	const struct fact_ops *ops;
	void *arg;
	const struct source *source;
};

struct writer {
	FILE *out;
	unsigned depth;
	bool first;             /* nothing yet in the innermost group */
};

/* ---------------------------------------------------------------- writing */

/* Bytes of the UTF-8 character at s (RFC 3629 4), 0 when it is none. */
static unsigned
utf8_bytes(const unsigned char *s)
{
	unsigned n = *s >= 0xc2 && *s <= 0xdf ? 2 : (*s & 0xf0) == 0xe0 ? 3 :
	    *s >= 0xf0 && *s <= 0xf4 ? 4 : 0;

	for (unsigned i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
	    (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static void
put_text(FILE *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	fputc('"', out);
	while (*s != '\0') {
		unsigned n = *s < 0x80 ? 1 : utf8_bytes(s);

		if (n == 0)
			fputs("\\ufffd", out);
		else if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else if (*s < ' ' || *s == 0x7f)
			fprintf(out, "\\u%04x", *s);
		else
			fwrite(s, 1, n, out);
		s += n == 0 ? 1 : n;
	}
	fputc('"', out);
}

static void
next(struct writer *w, const char *key)
{
	if (w->depth > 0)
		fputs(w->first ? "\n" : ",\n", w->out);
	for (unsigned i = 0; i < w->depth; i++)
		fputs("  ", w->out);
	w->first = false;
	if (key != NULL) {
		put_text(w->out, key);
		fputs(": ", w->out);
	}
}

static void
write_open(void *arg, const char *key, char bracket)
{
	struct writer *w = arg;

	next(w, key);
	fputc(bracket, w->out);
	w->depth++;
	w->first = true;
}

static void
write_close(void *arg, char bracket)
{
	struct writer *w = arg;

	w->depth--;
	if (!w->first) {
		fputc('\n', w->out);
		for (unsigned i = 0; i < w->depth; i++)
			fputs("  ", w->out);
	}
	fputc(bracket, w->out);
	w->first = false;
}

static void
write_fact(void *arg, const struct fact *f)
{
	struct writer *w = arg;

	next(w, f->key);
	if (f->hidden)
		put_text(w->out, f->shown != NULL ? f->shown : FACT_HIDDEN);
	else if (f->bare)
		fputs(f->text, w->out);
	else
		put_text(w->out, f->text);
}

static const struct fact_ops writer_ops = {
	.open = write_open,
	.close = write_close,
	.fact = write_fact
};

/* ---------------------------------------------------------------- telling */

static void
open_with(struct teller *j, const char *key, char bracket)
{
	j->ops->open(j->arg, key, bracket);
}

static void
close_with(struct teller *j, char bracket)
{
	j->ops->close(j->arg, bracket);
}

static void
fact(struct teller *j, const struct fact *f)
{
	j->ops->fact(j->arg, f);
}

/* Left out when NULL. */
static void
text_or_secret(struct teller *j, const char *key, const char *value, bool secret)
{
	if (value != NULL)
		fact(j, &(struct fact){ .key = key, .text = value,
		    .hidden = secret || source_hides(j->source, value) });
}

static void
text(struct teller *j, const char *key, const char *value)
{
	text_or_secret(j, key, value, false);
}

/* ------------------------------------------------------------------ by row */

/* "check_password" is one, too. */
static bool
is_secret_name(const char *name)
{
	static const char *const names[] = { "password", "secret", "token",
		"authorization", "proxy-authorization", "cookie" };
	const char *last = strrchr(name, '_');

	if (last != NULL && strcasecmp(last + 1, "password") == 0)
		return true;
	for (size_t i = 0; i < NELEMS(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

static void
scalar(struct teller *j, const struct conf_key *row, const void *field)
{
	char value[VALUE_TEXT_MAX];

	value_print(row, field, value);
	fact(j, &(struct fact){ .key = row->name, .row = row, .text = value,
	    .bare = row->type == CONF_BOOL || row->type == CONF_SHARE ||
	    ((row->type == CONF_COUNT || row->type == CONF_LIMIT) &&
	    *(const int64_t *)field != CONF_OFF),
	    .hidden = source_hides(j->source, field) });
}

static void
names(struct teller *j, const char *key, char *const *v, size_t n)
{
	open_with(j, key, '[');
	for (size_t i = 0; i < n; i++)
		text(j, NULL, v[i]);
	close_with(j, ']');
}

static void
nets(struct teller *j, const char *key, const struct conf_nets *v)
{
	char ip[ADDR_TEXT_MAX], net[ADDR_TEXT_MAX + 8];

	open_with(j, key, '[');
	for (size_t i = 0; i < v->n; i++) {
		snprintf(net, sizeof(net), "%s/%u",
		    addr_ip_print(&v->v[i].base, false, ip), v->v[i].bits);
		text_or_secret(j, NULL, net, source_hides(j->source,
		    &v->v[i]));
	}
	close_with(j, ']');
}

static void
headers(struct teller *j, const char *key, const struct conf_headers *v)
{
	open_with(j, key, '{');
	for (size_t i = 0; i < v->n; i++)
		text_or_secret(j, v->v[i].name, v->v[i].value,
		    is_secret_name(v->v[i].name));
	close_with(j, '}');
}

static void one_key(struct teller *j, const struct conf_key *row,
    const void *field);

/* "off", or a group. One whose value is a secret tells nothing of its burst. */
static void
limit(struct teller *j, const struct conf_key *row,
    const struct conf_limit *field)
{
	const struct conf_key *key = schema_limit_keys(row);

	if (field->most == CONF_OFF || source_hides(j->source, field)) {
		scalar(j, row, field);
		return;
	}
	open_with(j, row->name, '{');
	scalar(j, key, field);
	while ((++key)->name != NULL)
		one_key(j, key, (const char *)field + key->offset);
	close_with(j, '}');
}

static void
records(struct teller *j, const struct conf_key *row,
    const struct conf_records *field)
{
	const struct conf_key *key;

	open_with(j, row->name, '[');
	for (size_t i = 0; i < field->n; i++) {
		const char *one = (const char *)field->v + i * row->record_size;

		open_with(j, NULL, '{');
		for (key = row->record; key->name != NULL; key++)
			one_key(j, key, one + key->offset);
		close_with(j, '}');
	}
	close_with(j, ']');
}

static void
one_key(struct teller *j, const struct conf_key *row, const void *field)
{
	const struct conf_names *list = field;
	const struct conf_nets *networks = field;
	const char *value;

	switch (row->type) {
	case CONF_STRING:
		value = *(char *const *)field;
		text_or_secret(j, row->name, value, value != NULL &&
		    *value != '\0' && is_secret_name(row->name));
		break;
	case CONF_NETS:
		if (networks->n > 0 || row->def != NULL)
			nets(j, row->name, networks);
		break;
	case CONF_NAMES:
		names(j, row->name, list->v, list->n);
		break;
	case CONF_HEADERS:
		headers(j, row->name, field);
		break;
	case CONF_FILE:
		text(j, row->name, ((const struct conf_file *)field)->path);
		break;
	case CONF_RECORDS:
		records(j, row, field);
		break;
	case CONF_LIMIT:
	case CONF_RATE:
	case CONF_BANDWIDTH:
		limit(j, row, field);
		break;
	case CONF_GROUP:
	case CONF_LIST:
		break;
	default:
		scalar(j, row, field);
	}
}

static void
all_keys(struct teller *j, const struct conf_key *rows, const void *base)
{
	for (; rows != NULL && rows->name != NULL; rows++)
		if (rows->offset != BY_HAND && rows->words != schema_modes)
			one_key(j, rows, (const char *)base + rows->offset);
}

static void
group(struct teller *j, const char *key, const struct conf_key *rows,
    const void *base)
{
	open_with(j, key, '{');
	all_keys(j, rows, base);
	close_with(j, '}');
}

/* ------------------------------------------------------------- by hand */

static void
bind_out(struct teller *j, const char *key, const struct conf_bind *b)
{
	char address[ADDR_TEXT_MAX], mode[16];
	int64_t backlog = b->backlog;

	open_with(j, key, '{');
	text_or_secret(j, "address", addr_print(&b->addr, address),
	    source_hides(j->source, b->text.host));
	snprintf(mode, sizeof(mode), "%04o", (unsigned)b->mode);
	text(j, "mode", b->mode == -1 ? NULL : mode);
	text(j, "owner", b->owner);
	text(j, "group", b->group);
	scalar(j, schema_find(schema_bind, "backlog"), &backlog);
	close_with(j, '}');
}

static void
admin(struct teller *j, const struct conf *c)
{
	open_with(j, "admin", '{');
	if (c->admin.bind != NULL)
		bind_out(j, "bind", c->admin.bind);
	else
		text(j, "bind", "off");
	if (c->admin.probe_bind != NULL)
		bind_out(j, "probe_bind", c->admin.probe_bind);
	else
		text(j, "probe_bind", "off");
	all_keys(j, schema_admin, c);
	names(j, "hosts", c->admin.hosts, c->admin.n_hosts);
	close_with(j, '}');
}

static void
routes(struct teller *j, const struct conf_listener *l)
{
	open_with(j, "routes", '[');
	for (size_t i = 0; i < l->n_routes; i++) {
		open_with(j, NULL, '{');
		text(j, "host", l->routes[i].host);
		text(j, "path", l->routes[i].path);
		text(j, "sni", l->routes[i].sni);
		text(j, "alpn", l->routes[i].alpn);
		text(j, "upstream", l->routes[i].upstream->name);
		if ((l->proto->routes & CONF_BY_HOST) != 0)
			one_key(j, schema_find(schema_route, "retry"),
			    &l->routes[i].retry);
		close_with(j, '}');
	}
	close_with(j, ']');
}

static void
limits(struct teller *j, const struct conf_listener *l)
{
	char client[512];

	open_with(j, "limits", '{');
	all_keys(j, schema_limits, l);
	snprintf(client, sizeof(client), "header:%.400s", l->client_header ==
	    NULL ? "" : l->client_header);
	fact(j, &(struct fact){ .key = "client",
	    .text = l->client_header == NULL ? "address" : client,
	    .hidden = source_hides(j->source, l->client_header),
	    .shown = "header:" FACT_HIDDEN });
	close_with(j, '}');
}

static void
listener(struct teller *j, const struct conf_listener *l)
{
	open_with(j, NULL, '{');
	text(j, "name", l->name);
	open_with(j, "bind", '[');
	for (size_t i = 0; i < l->n_binds; i++)
		bind_out(j, NULL, &l->binds[i]);
	close_with(j, ']');
	text(j, "protocol", l->proto->name);
	if (l->upstream != NULL)
		text(j, "upstream", l->upstream->name);
	if (l->n_routes > 0)
		routes(j, l);
	all_keys(j, schema_listener, l);
	if (l->tls.common.on)
		group(j, "tls", schema_listener_tls, l);
	else
		text(j, "tls", "off");
	limits(j, l);
	group(j, "proxy_protocol", schema_proxy_protocol, l);
	group(j, "timeouts", schema_listener_times, l);
	if (l->own != NULL)
		group(j, l->proto->name, l->proto->listener_keys, l->own);
	close_with(j, '}');
}

static void
endpoint(struct teller *j, const struct conf_endpoint *e)
{
	struct endpoint_words words = { .weight = e->weight, .max = e->max,
	    .backup = e->backup };
	bool v6 = strchr(e->address.host, ':') != NULL;
	char address[512];

	open_with(j, NULL, '{');
	text(j, "name", e->name);
	if (e->address.is_unix)
		snprintf(address, sizeof(address), "unix:%s", e->address.host);
	else
		snprintf(address, sizeof(address), v6 ? "[%s]:%u" : "%s:%u",
		    e->address.host, e->address.port);
	text_or_secret(j, "address", e->srv != NULL ? NULL : address,
	    source_hides(j->source, e->address.host));
	text(j, "srv", e->srv);
	scalar(j, schema_find(schema_endpoint, "weight"), &words.weight);
	scalar(j, schema_find(schema_endpoint, "backup"), &words.backup);
	scalar(j, schema_find(schema_endpoint, "max"), &words.max);
	close_with(j, '}');
}

/* A mere connection has no path and expects no status. */
static void
health(struct teller *j, const struct conf_upstream *u)
{
	const struct conf_health *h = &u->health;

	if (!h->on) {
		text(j, "health", "off");
		return;
	}
	open_with(j, "health", '{');
	text(j, "type", h->type == NULL ? "tcp" : h->type->name);
	for (const struct conf_key *k = schema_health; k->name != NULL; k++) {
		bool asks = strcmp(k->name, "path") == 0 ||
		    strcmp(k->name, "host") == 0 ||
		    strcmp(k->name, "expect") == 0;

		if (k->offset != BY_HAND && (!asks || h->type != NULL) &&
		    (strcmp(k->name, "port") != 0 || h->port > 0))
			one_key(j, k, (const char *)u + k->offset);
	}
	close_with(j, '}');
}

/* Groups whose absence means off. */
static void
policies(struct teller *j, const struct conf_upstream *u)
{
	if (u->retry.max_retries > 0)
		group(j, "retry", schema_retry, u);
	else
		text(j, "retry", "off");
	health(j, u);
	if (u->outlier.failures > 0)
		group(j, "outlier", schema_outlier, u);
	else
		text(j, "outlier", "off");
	group(j, "limits", schema_upstream_limits, u);
}

static void
upstream(struct teller *j, const struct conf_upstream *u)
{
	open_with(j, NULL, '{');
	text(j, "name", u->name);
	text(j, "protocol", u->proto->name);
	open_with(j, "endpoints", '[');
	for (size_t i = 0; i < u->n_endpoints; i++)
		endpoint(j, &u->endpoints[i]);
	close_with(j, ']');
	all_keys(j, schema_upstream, u);
	if (u->tls.common.on)
		group(j, "tls", schema_upstream_tls, u);
	else
		text(j, "tls", "off");
	if (u->balance == CONF_KEY_HASH)
		group(j, "key_hash", schema_key_hash, u);
	open_with(j, "pool", '{');
	text(j, "mode", schema_modes[__builtin_ctz((unsigned)u->pool.span)]);
	all_keys(j, schema_pool, u);
	close_with(j, '}');
	group(j, "timeouts", schema_upstream_times, u);
	policies(j, u);
	if (u->own != NULL)
		group(j, u->proto->name, u->proto->upstream_keys, u->own);
	close_with(j, '}');
}

static void
whole(struct teller *j, const struct conf *c)
{
	open_with(j, NULL, '{');
	all_keys(j, schema_top, c);
	group(j, "dns", schema_dns, c);
	admin(j, c);
	group(j, "log", schema_log, c);
	group(j, "security", schema_security, c);
	group(j, "watchdog", schema_watchdog, c);
	open_with(j, "listeners", '[');
	for (size_t i = 0; i < c->n_listeners; i++)
		listener(j, &c->listeners[i]);
	close_with(j, ']');
	open_with(j, "upstreams", '[');
	for (size_t i = 0; i < c->n_upstreams; i++)
		upstream(j, &c->upstreams[i]);
	close_with(j, ']');
	close_with(j, '}');
}

void
conf_tell(const struct conf *c, const struct fact_ops *ops, void *arg)
{
	struct teller j = { .ops = ops, .arg = arg, .source = c->source };

	whole(&j, c);
}

char *
conf_json(const struct conf *c)
{
	struct memstream text;
	struct writer w = { .out = memstream_open(&text), .first = true };

	if (w.out == NULL)
		return NULL;
	conf_tell(c, &writer_ops, &w);
	fputc('\n', w.out);
	return memstream_close(&text, NULL);
}
