/*
 * Fields about the client's certificate. See client_cert.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/client_cert.h"

#include <string.h>
#include <ctype.h>

#include "net/tls_peer.h"

static const struct http_listener_conf *
conf_of(const struct exchange *x)
{
	return x->policy->own;
}

static int
plain(char c)
{
	return c == '_' ? '-' : tolower((unsigned char)c);
}

bool
client_cert_is_field(const struct http_listener_conf *conf, const char *name,
    size_t len)
{
	for (size_t i = 0; i < conf->client_cert_headers.n; i++) {
		const char *own = conf->client_cert_headers.v[i].name;
		size_t at = 0;

		if (strlen(own) != len)
			continue;
		while (at < len && plain(own[at]) == plain(name[at]))
			at++;
		if (at == len)
			return true;
	}
	return false;
}

/* NULL: there is nothing to be said. */
static const char *
value_of(const struct exchange *x, const struct conf_header *h)
{
	SSL *ssl = conn_ssl(&x->s->conn);
	int fact = tls_peer_fact_find(h->value);

	return ssl == NULL || fact < 0 ? NULL :
	    tls_peer_fact(ssl, (enum tls_peer_fact)fact);
}

size_t
client_cert_bound(const struct exchange *x)
{
	const struct conf_headers *all = &conf_of(x)->client_cert_headers;
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		const char *value = value_of(x, &all->v[i]);

		if (value != NULL)
			n += strlen(all->v[i].name) + strlen(value) + 4;
	}
	return n;
}

char *
client_cert_put(const struct exchange *x, char *at,
    bool (*is_taken)(const struct exchange *x, const char *name))
{
	const struct conf_headers *all = &conf_of(x)->client_cert_headers;

	for (size_t i = 0; i < all->n; i++) {
		const char *value = value_of(x, &all->v[i]);

		if (value == NULL || is_taken(x, all->v[i].name))
			continue;
		at = stpcpy(at, all->v[i].name);
		at = stpcpy(at, ": ");
		at = stpcpy(at, value);
		at = stpcpy(at, "\r\n");
	}
	return at;
}

/* Lines as the decoder has passed them: each a name, ":" and more. */
static bool
holds_field(const struct http_listener_conf *conf, const char *lines,
    size_t len)
{
	const char *end = lines + len, *colon, *lf;

	for (; lines < end; lines = lf + 1) {
		lf = memchr(lines, '\n', (size_t)(end - lines));
		if (lf == NULL)
			lf = end - 1;
		colon = memchr(lines, ':', (size_t)(lf - lines));
		if (colon != NULL && client_cert_is_field(conf, lines,
		    (size_t)(colon - lines)))
			return true;
	}
	return false;
}

int
client_cert_trailers(struct exchange *x)
{
	struct buf *trailers = &http_of(x)->up_trailers;
	struct block_store *store = exchange_blocks(x);
	const char *lines;

	if (conf_of(x)->client_cert_headers.n == 0 || trailers->len == 0)
		return 0;
	lines = buf_flat(store, trailers, trailers->len);
	if (lines == NULL)
		return -1;
	if (holds_field(conf_of(x), lines, trailers->len))
		buf_clear(store, trailers);
	return 0;
}

int
client_cert_check(const char *value, const char **why)
{
	if (tls_peer_fact_find(value) >= 0)
		return 0;
	*why = "no such fact, expected verify, subject, issuer, serial, san, "
	    "fingerprint or certificate";
	return -1;
}
