/*
 * The model of a memcached client: text and meta commands, or the binary
 * protocol (a client speaks one of them throughout), what it says and what
 * must come back. Facts: memcached's doc/protocol.txt, and for errors what
 * memcached 1.6 says.
 *
 * Nearly every reply is known to the byte: each session has keys of its own
 * whose values are random tokens.
 *
 * SPDX-License-Identifier: MIT
 */
#include "kv.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 6, VALUE_MOST = 200, HEAD = 24 };

enum kind {
	GETS = WANT_MODEL,      /* a value with its cas number, to be kept */
	SHARED,                 /* a number that nobody else gets, of the
				   counter "all", which is there before */
	B_GET,                  /* binary: text is the end of the reply */
	B_VERSION
};

/* How the size of a reply is found. */
enum shape { LINE, VALUES, META, PACKET };

struct value {
	bool set;
	unsigned flags;
	uint64_t cas;           /* 0 = not known */
	size_t len;
	char text[VALUE_MOST];
};

struct peer {
	bool binary;
	struct value values[KEYS];
	uint64_t counter;
	bool counted;
	uint32_t opaque;
};

enum op {
	OP_SET, OP_GET, OP_MULTI_GET, OP_GETS, OP_CAS, OP_ADD, OP_REPLACE,
	OP_APPEND, OP_PREPEND, OP_INCR, OP_DECR, OP_DELETE, OP_TOUCH, OP_GAT,
	OP_NOREPLY, OP_VERSION, OP_ERROR, OP_TOO_LARGE, OP_META_GET,
	OP_META_SET, OP_META_QUIET, OP_META_DELETE, OP_META_INCR, OP_META_NOOP,
	OP_SHARED, OP_BIG, OP_QUIET_GETS, OP_QUIET_SETS, N_OPS
};

static const struct {
	const char *name;
	unsigned text, binary;          /* shares */
} ops[N_OPS] = {
	[OP_SET] = { "set", 150, 150 },
	[OP_GET] = { "get", 200, 200 },
	[OP_MULTI_GET] = { "get of many", 60, 0 },
	[OP_GETS] = { "gets", 30, 0 },
	[OP_CAS] = { "cas", 30, 0 },
	[OP_ADD] = { "add", 30, 30 },
	[OP_REPLACE] = { "replace", 30, 30 },
	[OP_APPEND] = { "append", 30, 30 },
	[OP_PREPEND] = { "prepend", 20, 20 },
	[OP_INCR] = { "incr", 40, 40 },
	[OP_DECR] = { "decr", 20, 20 },
	[OP_DELETE] = { "delete", 20, 20 },
	[OP_TOUCH] = { "touch", 10, 0 },
	[OP_GAT] = { "gat", 10, 0 },
	[OP_NOREPLY] = { "noreply", 40, 0 },
	[OP_VERSION] = { "version", 10, 10 },
	[OP_ERROR] = { "error", 15, 0 },
	[OP_TOO_LARGE] = { "too large", 1, 1 },
	[OP_META_GET] = { "mg", 100, 0 },
	[OP_META_SET] = { "ms", 50, 0 },
	[OP_META_QUIET] = { "quiet mg", 40, 0 },
	[OP_META_DELETE] = { "md", 10, 0 },
	[OP_META_INCR] = { "ma", 20, 0 },
	[OP_META_NOOP] = { "mn", 10, 10 },
	[OP_SHARED] = { "incr of all", 30, 0 },
	[OP_BIG] = { "large", 0, 0 },           /* by bigrate= */
	[OP_QUIET_GETS] = { "getkq", 0, 60 },
	[OP_QUIET_SETS] = { "setq", 0, 40 },
};

/* Binary operations. */
enum { GET = 0, SET = 1, ADD = 2, REPLACE = 3, DELETE = 4, INCR = 5, DECR = 6,
	NOOP = 10, VERSION = 11, GETK = 12, GETKQ = 13, GETQ = 9, APPEND = 14,
	PREPEND = 15, SETQ = 17, DELETEQ = 20 };
enum { NOT_FOUND = 1, EXISTS = 2, TOO_LARGE = 3, NOT_STORED = 5 };

static struct {
	uint64_t done[N_OPS];
} count;
static uint8_t seen[1 << 21];

static struct peer *
peer(const struct client *c)
{
	return c->model;
}

static void
key_of(const struct client *c, unsigned k, char out[64])
{
	(void)snprintf(out, 64, "k:%" PRIu64 ":%u", c->session, k);
}

static void __attribute__((format(printf, 3, 4)))
hear(struct client *c, enum shape shape, const char *format, ...)
{
	struct bytes b = { 0 };
	va_list args;
	char text[8192];
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text))
		abort();
	bytes_add(&b, text, (size_t)n);
	want_add(&c->wants, WANT_EXACT, &b)->high = shape;
}

/* A value: a token, or what looks like the end of a reply with a token. */
static void
value_make(struct value *v)
{
	static const char *const forms[] = { "%s", "%s", "%s", "END\r\n%s",
	    "%s\r\nEND\r\n", "VALUE x 0 2\r\nab\r\nEND\r\n%s", "HD\r\n%s\r\n" };
	char token[TOKEN_LEN + 1];

	token_text(token_make(), token);
	v->len = (size_t)sprintf(v->text, forms[below(7)], token);
	v->set = true;
	v->flags = percent(30) ? (unsigned)below(100000) : 0;
	v->cas = 0;
}

/* What get says of it. */
static void
value_reply(const struct client *c, unsigned k, struct bytes *to)
{
	const struct value *v = &peer(c)->values[k];
	char key[64];

	if (!v->set)
		return;
	key_of(c, k, key);
	bytes_print(to, "VALUE %s %u %zu\r\n%s\r\n", key, v->flags, v->len,
	    v->text);
}

static void
say_store(struct client *c, const char *verb, unsigned k,
    const struct value *v, const char *more)
{
	char key[64];

	key_of(c, k, key);
	bytes_print(&c->out, "%s %s %u 0 %zu%s\r\n", verb, key, v->flags,
	    v->len, more);
	if (percent(1))
		pause_add(c, 1 + (unsigned)below(5));
	bytes_print(&c->out, "%s\r\n", v->text);
}

static void
say_get(struct client *c, unsigned k, const char *verb)
{
	struct bytes all = { 0 };
	char key[64];

	key_of(c, k, key);
	bytes_print(&c->out, "%s %s\r\n", verb, key);
	value_reply(c, k, &all);
	bytes_print(&all, "END\r\n");
	want_add(&c->wants, WANT_EXACT, &all)->high = VALUES;
}

static void
say_multi_get(struct client *c)
{
	struct bytes all = { 0 };
	unsigned n = 1 + (unsigned)below(20), k;
	char key[64];

	bytes_print(&c->out, "get");
	while (n-- > 0) {
		k = (unsigned)below(KEYS);
		key_of(c, k, key);
		bytes_print(&c->out, " %s", key);
		value_reply(c, k, &all);
	}
	bytes_print(&c->out, "\r\n");
	bytes_print(&all, "END\r\n");
	want_add(&c->wants, WANT_EXACT, &all)->high = VALUES;
}

/* append, prepend: only what fits. */
static void
say_join(struct client *c, bool before)
{
	unsigned k = (unsigned)below(KEYS);
	struct value *v = &peer(c)->values[k], more = *v;
	char both[2 * VALUE_MOST];

	if (v->len + 100 > VALUE_MOST) {
		say_get(c, k, "get");
		return;
	}
	value_make(&more);
	say_store(c, before ? "prepend" : "append", k, &more, "");
	hear(c, LINE, v->set ? "STORED\r\n" : "NOT_STORED\r\n");
	if (!v->set)
		return;
	(void)snprintf(both, sizeof(both), "%s%s", before ? more.text : v->text,
	    before ? v->text : more.text);
	v->len = strlen(both);
	memcpy(v->text, both, v->len + 1);
	v->cas = 0;
}

static void
counter_key(const struct client *c, char out[64])
{
	(void)snprintf(out, 64, "n:%" PRIu64, c->session);
}

static void
say_count(struct client *c, bool down, bool meta)
{
	struct peer *m = peer(c);
	unsigned by = (unsigned)below(100);
	char key[64];

	counter_key(c, key);
	if (!m->counted) {
		m->counted = true;
		m->counter = 1000;
		bytes_print(&c->out, "set %s 0 0 4\r\n1000\r\n", key);
		hear(c, LINE, "STORED\r\n");
	}
	m->counter = down ? (m->counter > by ? m->counter - by : 0) :
	    m->counter + by;
	if (meta) {
		bytes_print(&c->out, "ma %s v D%u M%c\r\n", key, by, down ?
		    'D' : 'I');
		hear(c, META, "VA %d\r\n%" PRIu64 "\r\n", snprintf(NULL, 0,
		    "%" PRIu64, m->counter), m->counter);
		return;
	}
	bytes_print(&c->out, "%s %s %u\r\n", down ? "decr" : "incr", key, by);
	hear(c, LINE, "%" PRIu64 "\r\n", m->counter);
}

static void
say_noreply(struct client *c)
{
	unsigned k = (unsigned)below(KEYS), which = (unsigned)below(4);
	struct value *v = &peer(c)->values[k];
	char key[64];

	key_of(c, k, key);
	if (which == 0) {
		bytes_print(&c->out, "delete %s noreply\r\n", key);
		v->set = false;
	} else if (which == 1) {
		struct value other = *v;

		/* Of what is there already, add changes nothing. */
		value_make(&other);
		say_store(c, "add", k, &other, " noreply");
		if (!v->set)
			*v = other;
	} else {
		value_make(v);
		say_store(c, "set", k, v, " noreply");
	}
	if (percent(50))
		say_get(c, k, "get");
}

static void
say_error(struct client *c)
{
	char token[TOKEN_LEN + 1];

	token_text(token_make(), token);
	switch (below(4)) {
	case 0:
		bytes_print(&c->out, "nosuch %s\r\n", token);
		hear(c, LINE, "ERROR\r\n");
		break;
	case 1:
		/* memcached forgets replies that it has not sent yet when it
		   refuses this (proto_text.c: conn_release_items()). */
		if (c->wants.n == 0)
			bytes_print(&c->out, "get %0300d\r\n", 7);
		else
			bytes_print(&c->out, "delete %0300d\r\n", 7);
		hear(c, LINE, "CLIENT_ERROR bad command line format\r\n");
		break;
	case 2:
		bytes_print(&c->out, "incr %s x\r\n", token);
		hear(c, LINE, "CLIENT_ERROR invalid numeric delta argument"
		    "\r\n");
		break;
	default:
		bytes_print(&c->out, "get\r\n");
		hear(c, LINE, "ERROR\r\n");
	}
}

/* memcached's item size limit is 1 MiB; what follows is read as its body. */
static void
say_too_large(struct client *c)
{
	unsigned k = (unsigned)below(KEYS);
	struct token t = token_make();
	size_t size = (1 << 20) + 10000;
	char key[64];

	key_of(c, k, key);
	bytes_print(&c->out, "set %s 0 0 %zu\r\n", key, size);
	bytes_stream(&c->out, t, size);
	bytes_print(&c->out, "\r\n");
	hear(c, LINE, "SERVER_ERROR object too large for cache\r\n");
	peer(c)->values[k].set = false;         /* memcached unlinks it */
}

static void
say_meta_get(struct client *c, bool quiet)
{
	unsigned k = (unsigned)below(KEYS), o = (unsigned)below(1000000);
	const struct value *v = &peer(c)->values[k];
	char key[64];

	key_of(c, k, key);
	bytes_print(&c->out, "mg %s s v f k O%u%s\r\n", key, o, quiet ? " q" :
	    "");
	if (v->set)
		hear(c, META, "VA %zu s%zu f%u k%s O%u\r\n%s\r\n", v->len,
		    v->len, v->flags, key, o, v->text);
	else if (!quiet)
		hear(c, META, "EN k%s O%u\r\n", key, o);
}

static void
say_meta_quiet(struct client *c)
{
	unsigned n = 1 + (unsigned)below(8);

	while (n-- > 0)
		say_meta_get(c, true);
	bytes_print(&c->out, "mn\r\n");
	hear(c, META, "MN\r\n");
}

static void
say_meta_set(struct client *c)
{
	unsigned k = (unsigned)below(KEYS), o = (unsigned)below(1000000);
	struct value *v = &peer(c)->values[k];
	bool quiet = percent(20);
	char key[64];

	key_of(c, k, key);
	value_make(v);
	bytes_print(&c->out, "ms %s %zu O%u F%u%s\r\n%s\r\n", key, v->len, o,
	    v->flags, quiet ? " q" : "", v->text);
	if (!quiet)
		hear(c, META, "HD O%u\r\n", o);
	else {
		bytes_print(&c->out, "mn\r\n");
		hear(c, META, "MN\r\n");
	}
}

static void
say_big(struct client *c)
{
	struct token t = token_make();
	uint64_t most = big_most < 900000 ? big_most : 900000, size = most;
	struct bytes text = { 0 };
	struct want *w;
	char key[64];

	if (big_most == 0) {
		say_get(c, 0, "get");
		return;
	}
	if (most > 100000)
		size = 100000 + below(most - 100000);
	(void)snprintf(key, sizeof(key), "big:%" PRIu64, c->session);
	bytes_print(&c->out, "set %s 0 120 %" PRIu64 "\r\n", key, size);
	if (percent(20))
		pause_add(c, 5);
	bytes_stream(&c->out, t, size);
	if (percent(20))
		pause_add(c, 5);
	bytes_print(&c->out, "\r\n");
	hear(c, LINE, "STORED\r\n");
	bytes_print(&c->out, "get %s\r\n", key);
	bytes_print(&text, "VALUE %s 0 %" PRIu64 "\r\n", key, size);
	w = want_add(&c->wants, WANT_STREAM, &text);
	w->token = t;
	w->size = size;
	w->high = VALUES;
	bytes_print(&text, "END\r\n");
	w->other = text.p;
	w->other_len = text.len;
	bytes_print(&c->out, "delete %s\r\n", key);
	hear(c, LINE, "DELETED\r\n");
}

static void
say_text(struct client *c, enum op op)
{
	unsigned k = (unsigned)below(KEYS);
	struct value *v = &peer(c)->values[k];
	struct value made = *v;
	struct bytes all = { 0 };
	char key[64], cas[32];

	key_of(c, k, key);
	switch (op) {
	case OP_SET:
		value_make(v);
		say_store(c, "set", k, v, "");
		hear(c, LINE, "STORED\r\n");
		break;
	case OP_ADD:
	case OP_REPLACE:
		value_make(&made);
		say_store(c, op == OP_ADD ? "add" : "replace", k, &made, "");
		hear(c, LINE, v->set == (op == OP_REPLACE) ? "STORED\r\n" :
		    "NOT_STORED\r\n");
		if (v->set == (op == OP_REPLACE))
			*v = made;
		break;
	case OP_MULTI_GET:
		say_multi_get(c);
		break;
	case OP_GETS:
		/* The number is known when it has come: for the next batch. */
		bytes_print(&c->out, "gets %s\r\n", key);
		if (v->set) {
			struct want *w;

			bytes_print(&all, "%s", v->text);
			w = want_add(&c->wants, GETS, &all);
			w->high = VALUES;
			w->low = k;
			w->size = v->flags;
		} else
			hear(c, VALUES, "END\r\n");
		break;
	case OP_CAS:
		if (!v->set || v->cas == 0) {
			say_get(c, k, "get");
			break;
		}
		value_make(&made);
		if (percent(70)) {
			(void)snprintf(cas, sizeof(cas), " %" PRIu64, v->cas);
			*v = made;
			say_store(c, "cas", k, &made, cas);
			hear(c, LINE, "STORED\r\n");
		} else {
			(void)snprintf(cas, sizeof(cas), " %" PRIu64,
			    v->cas + 1000000000);
			say_store(c, "cas", k, &made, cas);
			hear(c, LINE, "EXISTS\r\n");
		}
		break;
	case OP_APPEND:
	case OP_PREPEND:
		say_join(c, op == OP_PREPEND);
		break;
	case OP_INCR:
	case OP_DECR:
		say_count(c, op == OP_DECR, false);
		break;
	case OP_META_INCR:
		say_count(c, percent(50), true);
		break;
	case OP_DELETE:
		bytes_print(&c->out, "delete %s\r\n", key);
		hear(c, LINE, v->set ? "DELETED\r\n" : "NOT_FOUND\r\n");
		v->set = false;
		break;
	case OP_META_DELETE:
		bytes_print(&c->out, "md %s k\r\n", key);
		if (v->set)
			hear(c, META, "HD k%s\r\n", key);
		else
			hear(c, META, "NF k%s\r\n", key);
		v->set = false;
		break;
	case OP_TOUCH:
		bytes_print(&c->out, "touch %s 0\r\n", key);
		hear(c, LINE, v->set ? "TOUCHED\r\n" : "NOT_FOUND\r\n");
		break;
	case OP_GAT:
		say_get(c, k, "gat 0");
		break;
	case OP_NOREPLY:
		say_noreply(c);
		break;
	case OP_VERSION:
		bytes_print(&c->out, "version\r\n");
		bytes_print(&all, "VERSION ");
		want_add(&c->wants, B_VERSION, &all)->high = LINE;
		break;
	case OP_ERROR:
		say_error(c);
		break;
	case OP_TOO_LARGE:
		say_too_large(c);
		break;
	case OP_META_GET:
		say_meta_get(c, false);
		break;
	case OP_META_SET:
		say_meta_set(c);
		break;
	case OP_META_QUIET:
		say_meta_quiet(c);
		break;
	case OP_META_NOOP:
		bytes_print(&c->out, "mn\r\n");
		hear(c, META, "MN\r\n");
		break;
	case OP_SHARED:
		bytes_print(&c->out, "incr all 1\r\n");
		want_add(&c->wants, SHARED, NULL)->high = LINE;
		break;
	case OP_BIG:
		say_big(c);
		break;
	default:
		say_get(c, k, "get");
	}
}

/* ----------------------------------------------------------------- binary */

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

static void
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

/* ------------------------------------------------------------------- rounds */

static void
mc_join(struct client *c)
{
	peer(c)->binary = strcmp(variant, "binary") == 0 ||
	    (strcmp(variant, "text") != 0 && percent(30));
}

static enum op
choose(bool binary)
{
	unsigned op, sum = 0;
	uint64_t at;

	for (op = 0; op < N_OPS; op++)
		sum += binary ? ops[op].binary : ops[op].text;
	at = below(sum);
	for (op = 0; op < N_OPS; op++) {
		unsigned share = binary ? ops[op].binary : ops[op].text;

		if (at < share)
			return op;
		at -= share;
	}
	return OP_GET;
}

static void
mc_begin(struct client *c)
{
	unsigned n = percent(40) ? 1 : 1 + (unsigned)below(20);
	bool binary = peer(c)->binary;
	enum op op;

	if (c->left == 0 || enough()) {
		if (percent(50)) {
			leave_now(c);
			return;
		}
		if (binary) {
			b_say(c, 7, NULL, 0, "", "", 0);
			b_hear(c, 7, 0, NULL, 0, "", "", 0);
		} else
			bytes_print(&c->out, "quit\r\n");
		c->ending = true;
		return;
	}
	c->left--;
	while (n-- > 0) {
		op = below(10000) < big_rate ? OP_BIG : choose(binary);
		count.done[op]++;
		(binary ? say_binary : say_text)(c, op);
	}
	/* Whose commands were all quiet has nothing to wait for. */
	if (c->wants.n == 0 && !binary)
		say_get(c, 0, "get");
}

static bool
mc_is_push(const struct client *c, const char *p)
{
	(void)c;
	(void)p;
	return false;
}

/* Size of a line with its end, 0 = not whole. */
static size_t
line_size(const char *p, size_t n)
{
	const char *end = memchr(p, '\n', n);

	return end != NULL ? (size_t)(end + 1 - p) : 0;
}

static ssize_t
values_size(const char *p, size_t n)
{
	size_t at = 0, line;
	unsigned long size;

	while ((line = line_size(p + at, n - at)) > 0) {
		if (line < 6 || memcmp(p + at, "VALUE ", 6) != 0)
			return (ssize_t)(at + line);
		if (sscanf(p + at, "VALUE %*s %*u %lu", &size) != 1)
			return -1;
		at += line + size + 2;
		if (at > n)
			return 0;
	}
	return 0;
}

static ssize_t
mc_size_of(const struct client *c, const struct want *w, const char *p,
    size_t n)
{
	size_t line;
	uint32_t body;

	(void)c;
	if (w->high == PACKET) {
		if (n < HEAD)
			return 0;
		if ((unsigned char)*p != 0x81)
			return -1;
		memcpy(&body, p + 8, 4);
		return n < HEAD + ntohl(body) ? 0 :
		    (ssize_t)(HEAD + ntohl(body));
	}
	if (w->high == VALUES)
		return values_size(p, n);
	line = line_size(p, n);
	if (line == 0 || w->high == LINE || memcmp(p, "VA ", 3) != 0)
		return (ssize_t)line;
	line += strtoul(p + 3, NULL, 10) + 2;
	return n < line ? 0 : (ssize_t)line;
}

static const char *
judge_gets(struct client *c, const struct want *w, const char *p, size_t n)
{
	char text[VALUE_MOST + 200], key[64];
	const char *end = memchr(p, '\r', n), *at = end;
	uint64_t cas;
	int len;

	while (at != NULL && at > p && at[-1] != ' ')
		at--;
	if (at == NULL || (cas = strtoull(at, NULL, 10)) == 0)
		return "a value with cas";
	key_of(c, (unsigned)w->low, key);
	len = snprintf(text, sizeof(text), "VALUE %s %u %zu %" PRIu64
	    "\r\n%s\r\nEND\r\n", key, (unsigned)w->size, w->len, cas, w->text);
	if (n != (size_t)len || memcmp(p, text, n) != 0)
		return w->text;
	/* It may have been changed since by what is behind it. */
	if (peer(c)->values[w->low].set && w->len ==
	    peer(c)->values[w->low].len && memcmp(w->text,
	    peer(c)->values[w->low].text, w->len) == 0)
		peer(c)->values[w->low].cas = cas;
	return NULL;
}

static const char *
mc_judge(struct client *c, const struct want *w, const char *p, size_t n)
{
	unsigned long number;

	switch ((enum kind)w->kind) {
	case GETS:
		return judge_gets(c, w, p, n);
	case SHARED:
		number = strtoul(p, NULL, 10);
		if (*p < '1' || *p > '9' || number >= sizeof(seen) * 8)
			return "a number";
		if (seen[number / 8] >> number % 8 & 1)
			return "a number that nobody has got before";
		seen[number / 8] |= (uint8_t)(1 << number % 8);
		return NULL;
	case B_GET:
		if (n == w->len && memcmp(p, w->text, 16) == 0 &&
		    memcmp(p + HEAD, w->text + HEAD, n - HEAD) == 0)
			return NULL;
		return "another packet";
	case B_VERSION:
		if (w->high == LINE)
			return memcmp(p, w->text, w->len) == 0 ? NULL :
			    w->text;
		return p[1] == VERSION && memcmp(p + 12, w->text + 12, 4) == 0 ?
		    NULL : "a version";
	}
	return "nothing";
}

static void
mc_then(struct client *c, const struct want *w)
{
	(void)c;
	(void)w;
}

static bool
mc_refusal(const char *p, size_t n)
{
	return n > 20 && memcmp(p, "SERVER_ERROR weir: ", 19) == 0;
}

static void
mc_gone(struct client *c)
{
	(void)c;
}

static void
mc_report(void)
{
	const char *comma = "";
	unsigned op;

	printf(", \"done\": {");
	for (op = 0; op < N_OPS; op++) {
		printf("%s\"%s\": %" PRIu64, comma, ops[op].name,
		    count.done[op]);
		comma = ", ";
	}
	printf("}");
}

const struct model model = {
	.size = sizeof(struct peer),
	.join = mc_join,
	.begin = mc_begin,
	.is_push = mc_is_push,
	.size_of = mc_size_of,
	.judge = mc_judge,
	.then = mc_then,
	.refusal = mc_refusal,
	.gone = mc_gone,
	.report = mc_report,
};
