/*
 * What a memcached client of the model says in the binary protocol, each
 * request with its reply.
 *
 * SPDX-License-Identifier: MIT
 */
#include "memcached.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void
packet_add(struct bytes *to, unsigned magic, unsigned op, unsigned status,
    uint32_t opaque, const void *extras, size_t n_extras, const char *key,
    const char *value, size_t len)
{
	unsigned char h[HEAD] = { 0 };
	size_t n_key = strlen(key);
	uint32_t body = htonl((uint32_t)(n_extras + n_key + len));

	h[0] = (unsigned char)magic;
	h[1] = (unsigned char)op;
	h[2] = (unsigned char)(n_key >> 8);
	h[3] = (unsigned char)n_key;
	h[4] = (unsigned char)n_extras;
	h[6] = (unsigned char)(status >> 8);
	h[7] = (unsigned char)status;
	memcpy(h + 8, &body, 4);
	memcpy(h + 12, &opaque, 4);
	bytes_add(to, h, HEAD);
	bytes_add(to, extras, n_extras);
	bytes_add(to, key, n_key);
	bytes_add(to, value, len);
}

static void
b_say(struct client *c, unsigned op, const void *extras, size_t n_extras,
    const char *key, const char *value, size_t len)
{
	packet_add(&c->out, 0x80, op, 0, ++peer(c)->opaque, extras, n_extras,
	    key, value, len);
}

/* The cas number is not compared: judge() passes over it. */
static void
b_hear(struct client *c, unsigned op, unsigned status, const void *extras,
    size_t n_extras, const char *key, const char *value, size_t len)
{
	struct bytes b = { 0 };

	packet_add(&b, 0x81, op, status, peer(c)->opaque, extras, n_extras,
	    key, value, len);
	want_add(&c->wants, B_GET, &b)->high = PACKET;
}

static void
b_error(struct client *c, unsigned op, unsigned status)
{
	const char *text = status == NOT_FOUND ? "Not found" : status ==
	    EXISTS ? "Data exists for key." : status == TOO_LARGE ?
	    "Too large." : "Not stored.";

	b_hear(c, op, status, NULL, 0, "", text, strlen(text));
}

static void
b_store(struct client *c, unsigned op, const char *key, const struct value *v)
{
	uint32_t extras[2] = { htonl(v->flags), 0 };

	b_say(c, op, extras, sizeof(extras), key, v->text, v->len);
}

static void
b_get(struct client *c, unsigned op, unsigned k)
{
	const struct value *v = &peer(c)->values[k];
	uint32_t flags = htonl(v->flags);
	bool with_key = op == GETK || op == GETKQ;
	char key[64];

	key_of(c, k, key);
	b_say(c, op, NULL, 0, key, "", 0);
	if (v->set)
		b_hear(c, op, 0, &flags, 4, with_key ? key : "", v->text,
		    v->len);
	else if (op == GETK)            /* the key, and no text */
		b_hear(c, op, NOT_FOUND, NULL, 0, key, "", 0);
	else if (op == GET)
		b_error(c, op, NOT_FOUND);
}

static void
b_count(struct client *c, bool down)
{
	struct peer *m = peer(c);
	unsigned char extras[20] = { 0 }, out[8];
	uint64_t by = below(100), n;
	unsigned i;
	char key[64];

	counter_key(c, key);
	for (i = 0; i < 8; i++)
		extras[i] = (unsigned char)(by >> (56 - 8 * i));
	extras[14] = 1000 >> 8;
	extras[15] = 1000 & 255;
	b_say(c, down ? DECR : INCR, extras, 20, key, "", 0);
	if (!m->counted)
		m->counter = 1000;
	else
		m->counter = down ? (m->counter > by ? m->counter - by : 0) :
		    m->counter + by;
	m->counted = true;
	n = m->counter;
	for (i = 0; i < 8; i++)
		out[i] = (unsigned char)(n >> (56 - 8 * i));
	b_hear(c, down ? DECR : INCR, 0, NULL, 0, "", (char *)out, 8);
}

static void
b_noop(struct client *c)
{
	b_say(c, NOOP, NULL, 0, "", "", 0);
	b_hear(c, NOOP, 0, NULL, 0, "", "", 0);
}

static void
b_join(struct client *c, bool before)
{
	unsigned k = (unsigned)below(KEYS), op = before ? PREPEND : APPEND;
	struct value *v = &peer(c)->values[k], more = *v;
	char both[2 * VALUE_MOST], key[64];

	key_of(c, k, key);
	if (v->len + 100 > VALUE_MOST) {
		b_get(c, GET, k);
		return;
	}
	value_make(&more);
	b_say(c, op, NULL, 0, key, more.text, more.len);
	if (!v->set) {
		b_error(c, op, NOT_STORED);
		return;
	}
	b_hear(c, op, 0, NULL, 0, "", "", 0);
	(void)snprintf(both, sizeof(both), "%s%s", before ? more.text : v->text,
	    before ? v->text : more.text);
	v->len = strlen(both);
	memcpy(v->text, both, v->len + 1);
}

static void
b_big(struct client *c, bool too_large)
{
	struct token t = token_make();
	size_t size = too_large ? (1 << 20) + 10000 : 100000 + below(700000);
	uint32_t extras[2] = { 0, htonl(120) }, flags = 0;
	struct bytes all = { 0 };
	char key[64];

	if (big_most < 900000 && !too_large)
		size = big_most;
	bytes_stream(&all, t, size);
	(void)snprintf(key, sizeof(key), "big:%" PRIu64, c->session);
	b_say(c, SET, extras, sizeof(extras), key, all.p, size);
	if (too_large)
		b_error(c, SET, TOO_LARGE);
	else {
		b_hear(c, SET, 0, NULL, 0, "", "", 0);
		b_say(c, GET, NULL, 0, key, "", 0);
		b_hear(c, GET, 0, &flags, 4, "", all.p, size);
		b_say(c, DELETE, NULL, 0, key, "", 0);
		b_hear(c, DELETE, 0, NULL, 0, "", "", 0);
	}
	free(all.p);
}

void
say_binary(struct client *c, enum op op)
{
	unsigned k = (unsigned)below(KEYS), n = 1 + (unsigned)below(8);
	struct value *v = &peer(c)->values[k], made = *v;
	char key[64];

	key_of(c, k, key);
	switch (op) {
	case OP_SET:
		value_make(v);
		b_store(c, SET, key, v);
		b_hear(c, SET, 0, NULL, 0, "", "", 0);
		break;
	case OP_ADD:
		value_make(&made);
		b_store(c, ADD, key, &made);
		if (v->set)
			b_error(c, ADD, EXISTS);
		else {
			b_hear(c, ADD, 0, NULL, 0, "", "", 0);
			*v = made;
		}
		break;
	case OP_REPLACE:
		value_make(&made);
		b_store(c, REPLACE, key, &made);
		if (!v->set)
			b_error(c, REPLACE, NOT_FOUND);
		else {
			b_hear(c, REPLACE, 0, NULL, 0, "", "", 0);
			*v = made;
		}
		break;
	case OP_APPEND:
	case OP_PREPEND:
		b_join(c, op == OP_PREPEND);
		break;
	case OP_INCR:
	case OP_DECR:
		b_count(c, op == OP_DECR);
		break;
	case OP_DELETE:
		b_say(c, DELETE, NULL, 0, key, "", 0);
		if (v->set)
			b_hear(c, DELETE, 0, NULL, 0, "", "", 0);
		else
			b_error(c, DELETE, NOT_FOUND);
		v->set = false;
		break;
	case OP_VERSION:
		b_say(c, VERSION, NULL, 0, "", "", 0);
		b_hear(c, VERSION, 0, NULL, 0, "", "", 0);
		c->wants.list[c->wants.first + c->wants.n - 1].kind =
		    B_VERSION;
		break;
	case OP_META_NOOP:
		b_noop(c);
		break;
	case OP_QUIET_GETS:
		while (n-- > 0)
			b_get(c, percent(50) ? GETKQ : GETQ,
			    (unsigned)below(KEYS));
		b_noop(c);
		break;
	case OP_QUIET_SETS:
		while (n-- > 0) {
			k = (unsigned)below(KEYS);
			v = &peer(c)->values[k];
			key_of(c, k, key);
			value_make(v);
			b_store(c, SETQ, key, v);
		}
		if (percent(50)) {
			/* Only a failure of a quiet one is heard. */
			v = &peer(c)->values[0];
			key_of(c, 0, key);
			b_say(c, DELETEQ, NULL, 0, key, "", 0);
			if (!v->set)
				b_error(c, DELETEQ, NOT_FOUND);
			v->set = false;
		}
		b_noop(c);
		break;
	case OP_TOO_LARGE:
	case OP_BIG:
		b_big(c, op == OP_TOO_LARGE);
		break;
	default:
		b_get(c, percent(50) ? GETK : GET, k);
	}
}

void
say_binary_quit(struct client *c)
{
	b_say(c, QUIT, NULL, 0, "", "", 0);
	b_hear(c, QUIT, 0, NULL, 0, "", "", 0);
}
