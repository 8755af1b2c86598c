/*
 * What is said of clients in PROXY headers. See proxied.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proxied.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/transfer.h"

/* Owned by its session; made when a header comes that will be passed on, or
   when the first one goes out. */
struct proxied {
	struct addr_ip to;              /* what the client has connected to */
	unsigned char authority_len, unique_id_len;
	char bytes[];                   /* authority, then unique id */
};

_Static_assert(PROXY_AUTHORITY_MOST <= UINT8_MAX &&
    PROXY_UNIQUE_ID_MOST <= UINT8_MAX, "lengths fit");

static struct proxied *
proxied_new(const struct addr_ip *to, const struct proxy_header_bytes *name,
    const struct proxy_header_bytes *id)
{
	struct proxied *p = malloc(sizeof(*p) + name->len + id->len);

	if (p == NULL)
		return NULL;
	p->to = *to;
	p->authority_len = (unsigned char)name->len;
	p->unique_id_len = (unsigned char)id->len;
	if (name->len > 0)
		memcpy(p->bytes, name->at, name->len);
	if (id->len > 0)
		memcpy(p->bytes + name->len, id->at, id->len);
	return p;
}

static void
own_address(const struct session *s, struct addr_ip *to)
{
	struct addr a = { .len = sizeof(a.ss) };

	*to = (struct addr_ip){ 0 };
	if (getsockname(conn_fd(&s->conn), &a.sa, &a.len) == 0)
		addr_to_ip(&a, to);
}

/* May exchanges of the listener go where a header is wanted? */
static bool
is_passed_on(const struct conf_listener *l)
{
	size_t i;

	if (l->upstream != NULL && l->upstream->send_proxy != PROXY_HEADER_NONE)
		return true;
	for (i = 0; i < l->n_routes; i++)
		if (l->routes[i].upstream->send_proxy != PROXY_HEADER_NONE)
			return true;
	return false;
}

void
proxied_begin(struct session *s, const struct proxy_header *said)
{
	struct addr_ip to = said->to;

	s->tls_before = said->tls;
	if (!is_passed_on(s->door->conf))
		return;
	if (said->own)
		own_address(s, &to);
	/* Without memory for it, what goes out says less. */
	s->proxied = proxied_new(&to, &said->authority, &said->unique_id);
}

void
proxied_end(struct session *s)
{
	free(s->proxied);
	s->proxied = NULL;
}

int
proxied_pack(const struct session *s, json_t *j)
{
	const struct proxied *p = s->proxied;
	char to[ADDR_TEXT_MAX];

	if (json_object_set_new(j, "tls_before",
	    json_boolean(s->tls_before)) < 0)
		return -1;
	if (p == NULL)
		return 0;
	addr_ip_print(&p->to, true, to);
	return json_object_set_new(j, "to", json_string(to)) < 0 ||
	    json_object_set_new(j, "authority", transfer_bytes(p->bytes,
	    p->authority_len)) < 0 ||
	    json_object_set_new(j, "unique_id", transfer_bytes(p->bytes +
	    p->authority_len, p->unique_id_len)) < 0 ? -1 : 0;
}

void
proxied_adopt(struct session *s, const json_t *j)
{
	const char *to = json_string_value(json_object_get(j, "to"));
	struct proxy_header said = { 0 };
	char name[PROXY_AUTHORITY_MOST], id[PROXY_UNIQUE_ID_MOST];

	s->tls_before = json_is_true(json_object_get(j, "tls_before"));
	if (to == NULL || transfer_addr(to, &said.to) < 0)
		return;
	said.tls = s->tls_before;
	said.authority = (struct proxy_header_bytes){ name,
	    transfer_read_bytes(json_object_get(j, "authority"), name,
	    sizeof(name)) };
	said.unique_id = (struct proxy_header_bytes){ id,
	    transfer_read_bytes(json_object_get(j, "unique_id"), id,
	    sizeof(id)) };
	proxied_begin(s, &said);
}

static const struct proxied *
proxied_of(struct session *s)
{
	static const struct proxy_header_bytes none;
	struct addr_ip to;

	if (s->proxied != NULL)
		return s->proxied;
	own_address(s, &to);
	s->proxied = proxied_new(&to, &none, &none);
	return s->proxied;
}

int
proxied_key(struct exchange *x, enum proxy_header_version version)
{
	const struct proxied *p = proxied_of(x->s);
	char out[PROXY_HEADER_WRITE_MOST];
	struct proxy_header h = { 0 };
	char *key;
	size_t len;

	if (p == NULL)
		return -1;
	h.from = x->s->client;
	h.to = p->to;
	h.authority = (struct proxy_header_bytes){ p->bytes, p->authority_len };
	h.unique_id = (struct proxy_header_bytes){ p->bytes + p->authority_len,
	    p->unique_id_len };
	len = proxy_header_write(version, &h, out);
	key = malloc(x->ask.key_len + len + PREFACE_LEN_BYTES);
	if (key == NULL)
		return -1;
	if (x->ask.key_len > 0)
		memcpy(key, x->ask.key, x->ask.key_len);
	memcpy(key + x->ask.key_len, out, len);
	key[x->ask.key_len + len] = (char)(len >> 8);
	key[x->ask.key_len + len + 1] = (char)len;
	free(x->whole_key);
	x->ask.key = x->whole_key = key;
	x->ask.preface_len = len + PREFACE_LEN_BYTES;
	return 0;
}
