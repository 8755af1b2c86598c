/*
 * The groups named `tls`: what they say together, and the contexts that are
 * made of them, so that a file that cannot be used is found while all is as it
 * was.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/read.h"
#include "conf/schema.h"
#include "net/tls_client.h"
#include "net/tls_server.h"

/* ------------------------------------------------------------ both together */

/* "certificates[1].key: ..." of a tls_wrong, said where that stands; it shows
   names and paths, of which one may be another key's. */
static void
complain_of(struct load *w, const struct spot *s, const char *why)
{
	const char *colon = strstr(why, ": ");
	char key[80], member[32];
	struct spot at = *s;
	unsigned i;
	int line;

	if (setting_hides(w, s->group)) {
		complain(w, s, s->line, "", "(hidden) cannot be used, expected "
		    "names and readable files as weir.conf(5) says");
		return;
	}
	snprintf(key, sizeof(key), "%.*s", (int)(colon - why), why);
	if (strcmp(key, "tls") == 0) {
		complain(w, s, s->line, "", "%s", colon + 2);
		return;
	}
	snprintf(member, sizeof(member), "%.31s", key);
	if (sscanf(key, "certificates[%u].%31s", &i, member) == 2)
		at.group = config_setting_get_elem(member_of(s,
		    "certificates"), i);
	/* What was not written is said of the group. */
	line = member_of(&at, member) != NULL ?
	    line_of(member_of(&at, member)) : at.group == NULL ? s->line :
	    line_of(at.group);
	complain(w, s, line, key, "%s", colon + 2);
}

static struct tls_options
common_of(const struct conf_tls *tls)
{
	return (struct tls_options){
		.min_version = (enum tls_version)tls->min_version,
		.max_version = (enum tls_version)tls->max_version,
		.ciphers = tls->ciphers, .ciphersuites = tls->ciphersuites,
		.groups = tls->groups,
		.alpn = (const char *const *)tls->alpn.v,
		.n_alpn = tls->alpn.n
	};
}

/* False after a complaint. */
static bool
goes_with(struct load *w, const struct spot *s, const char *key,
    const char *other)
{
	const config_setting_t *v = member_of(s, key);

	if (v == NULL || member_of(s, other) != NULL)
		return true;
	complain(w, s, line_of(v), key, "goes with %s, expected that too",
	    other);
	return false;
}

/* False after a complaint: the key is of no use, because. */
static bool
is_idle(struct load *w, const struct spot *s, const char *key,
    const char *because)
{
	const config_setting_t *v = member_of(s, key);

	if (v == NULL)
		return true;
	complain(w, s, line_of(v), key, "is of no use %s", because);
	return false;
}

/* ---------------------------------------------------------------- listeners */

static bool
check_certificates(struct load *w, const struct spot *s,
    const struct conf_listener_tls *tls)
{
	const struct conf_certificate *v = tls->certificates.v;
	bool one = member_of(s, "certificate") != NULL;
	bool list = member_of(s, "certificates") != NULL;

	if (one && list) {
		complain(w, s, line_of(member_of(s, "certificates")),
		    "certificates", "stands beside certificate, expected one "
		    "of the two");
		return false;
	}
	if (list ? tls->certificates.n == 0 : tls->common.certificate.full ==
	    NULL) {
		complain(w, s, s->line, "certificate", "is missing, expected "
		    "the path of a PEM file, or certificates = ( ... )");
		return false;
	}
	for (size_t i = 0; i < tls->certificates.n; i++)
		if (v[i].certificate.full == NULL) {
			complain(w, s, v[i].line, "certificates", "one has no "
			    "certificate, expected the path of a PEM file");
			return false;
		}
	return goes_with(w, s, "key", "certificate") &&
	    goes_with(w, s, "ocsp", "certificate");
}

static bool
check_clients(struct load *w, const struct spot *s,
    const struct conf_listener_tls *tls)
{
	static const char unasked[] = "while client_auth is \"none\", "
	    "expected \"optional\" or \"required\"";

	if (tls->client_auth == TLS_CLIENT_NONE)
		return is_idle(w, s, "client_ca", unasked) &&
		    is_idle(w, s, "crl", unasked);
	if (tls->common.ca.full != NULL)
		return true;
	complain(w, s, line_of(member_of(s, "client_auth")), "client_ca",
	    "is missing, expected the path of a PEM file with the "
	    "certificates to hold clients' against");
	return false;
}

static const struct tls_pair *
pairs_of(struct load *w, const struct conf_listener_tls *tls, size_t *n)
{
	const struct conf_certificate *v = tls->certificates.v;
	struct tls_pair *pairs;

	*n = tls->certificates.n > 0 ? tls->certificates.n : 1;
	pairs = arena_take(&w->source->arena, *n, sizeof(*pairs));
	if (pairs != NULL && tls->certificates.n == 0)
		pairs[0] = (struct tls_pair){ tls->common.certificate.full,
		    tls->common.key.full, tls->ocsp.full };
	for (size_t i = 0; pairs != NULL && i < tls->certificates.n; i++)
		pairs[i] = (struct tls_pair){ v[i].certificate.full,
		    v[i].key.full, v[i].ocsp.full };
	return pairs;
}

static void
make_server(struct load *w, const struct spot *s, struct conf_listener *l)
{
	struct conf_listener_tls *tls = &l->tls;
	struct tls_server_options *o = arena_take(&w->source->arena, 1,
	    sizeof(*o));
	size_t n_pairs;
	const struct tls_pair *pairs = pairs_of(w, tls, &n_pairs);
	char why[512];

	if (o == NULL || pairs == NULL)
		return;
	*o = (struct tls_server_options){
		.name = l->name == NULL ? "" : l->name,
		.common = common_of(&tls->common),
		.pairs = pairs, .n_pairs = n_pairs,
		.plural = tls->certificates.n > 0,
		.client_auth = (enum tls_client_auth)tls->client_auth,
		.client_ca = tls->common.ca.full, .crl = tls->common.crl.full,
		.tickets = tls->tickets,
		.session_timeout_ms = tls->session_timeout_ms
	};
	tls->server = tls_server_new(o, why, sizeof(why));
	if (tls->server == NULL)
		complain_of(w, s, why);
}

bool
read_listener_tls(struct load *w, const struct spot *s,
    struct conf_listener *l)
{
	struct spot in = spot_in(w, s, "tls");
	bool good;

	read_keys(w, &in, schema_listener_tls, "tls", l->proto, l);
	read_unknown(w, &in, schema_listener_tls, "listeners[].tls", false,
	    NULL);
	l->tls.common.on = in.group != NULL;
	l->tls.common.line = in.line;
	if (in.group == NULL)
		return false;
	good = check_certificates(w, &in, &l->tls);
	good = check_clients(w, &in, &l->tls) && good;
	return good && !w->in->offline;
}

void
make_listener_tls(struct load *w, const struct spot *s,
    struct conf_listener *l)
{
	struct spot in = { .group = member_of(s, "tls"),
	    .line = l->tls.common.line };

	snprintf(in.path, sizeof(in.path), "%.150s.tls", s->path);
	make_server(w, &in, l);
}

/* ---------------------------------------------------------------- upstreams */

/* A path is no name that a certificate could be for. */
static bool
check_named(struct load *w, const struct spot *s,
    const struct conf_upstream *u)
{
	if (!u->tls.verify || u->tls.server_name != NULL)
		return true;
	for (size_t i = 0; i < u->n_endpoints; i++)
		if (u->endpoints[i].address.is_unix) {
			complain(w, s, s->line, "server_name", "is missing: a "
			    "Unix socket has no name to verify, expected one "
			    "such as \"db.internal\", or verify = false");
			return false;
		}
	return true;
}

static void
make_client(struct load *w, const struct spot *s, struct conf_upstream *u)
{
	struct conf_upstream_tls *tls = &u->tls;
	struct tls_client_options *o = arena_take(&w->source->arena, 1,
	    sizeof(*o));
	char why[512];

	if (o == NULL)
		return;
	*o = (struct tls_client_options){
		.common = common_of(&tls->common), .verify = tls->verify,
		.ca = tls->common.ca.full, .crl = tls->common.crl.full,
		.server_name = tls->server_name,
		.certificate = tls->common.certificate.full,
		.key = tls->common.key.full
	};
	tls->client = tls_client_new(o, why, sizeof(why));
	if (tls->client == NULL)
		complain_of(w, s, why);
}

void
read_upstream_tls(struct load *w, const struct spot *s,
    struct conf_upstream *u)
{
	static const char unverified[] = "while verify is false";
	struct spot in = spot_in(w, s, "tls");
	bool good;

	read_keys(w, &in, schema_upstream_tls, "upstream.tls", u->proto, u);
	read_unknown(w, &in, schema_upstream_tls, "upstreams[].tls", false,
	    NULL);
	u->tls.common.on = in.group != NULL;
	u->tls.common.line = in.line;
	if (in.group == NULL)
		return;
	good = goes_with(w, &in, "key", "certificate");
	good = (u->tls.verify || (is_idle(w, &in, "ca", unverified) &&
	    is_idle(w, &in, "crl", unverified))) && good;
	good = check_named(w, &in, u) && good;
	if (good && !w->in->offline)
		make_client(w, &in, u);
}

/* ---------------------------------------------------------------------- end */

void
tls_release(struct conf *c)
{
	for (size_t i = 0; i < c->n_listeners; i++)
		tls_server_free(c->listeners[i].tls.server);
	for (size_t i = 0; i < c->n_upstreams; i++)
		tls_client_free(c->upstreams[i].tls.client);
}
