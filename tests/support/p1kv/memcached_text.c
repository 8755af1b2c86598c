/*
 * What a memcached client of the model says in text and meta commands, each
 * with its reply.
 *
 * SPDX-License-Identifier: MIT
 */
#include "memcached.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

void
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

/* Only where there is nothing, or only where there is something. */
static void
say_if(struct client *c, unsigned k, bool replace)
{
	struct value *v = &peer(c)->values[k], made = *v;
	bool stored = v->set == replace;

	value_make(&made);
	say_store(c, replace ? "replace" : "add", k, &made, "");
	hear(c, LINE, stored ? "STORED\r\n" : "NOT_STORED\r\n");
	if (stored)
		*v = made;
}

/* The number is known when it has come: for the next batch. */
static void
say_gets(struct client *c, unsigned k, const char *key)
{
	const struct value *v = &peer(c)->values[k];
	struct bytes all = { 0 };
	struct want *w;

	bytes_print(&c->out, "gets %s\r\n", key);
	if (!v->set) {
		hear(c, VALUES, "END\r\n");
		return;
	}
	bytes_print(&all, "%s", v->text);
	w = want_add(&c->wants, GETS, &all);
	w->high = VALUES;
	w->low = k;
	w->size = v->flags;
}

static void
say_cas(struct client *c, unsigned k)
{
	struct value *v = &peer(c)->values[k], made = *v;
	bool right = percent(70);
	char cas[32];

	if (!v->set || v->cas == 0) {
		say_get(c, k, "get");
		return;
	}
	value_make(&made);
	(void)snprintf(cas, sizeof(cas), " %" PRIu64,
	    right ? v->cas : v->cas + 1000000000);
	if (right)
		*v = made;
	say_store(c, "cas", k, &made, cas);
	hear(c, LINE, right ? "STORED\r\n" : "EXISTS\r\n");
}

static void
say_delete(struct client *c, unsigned k, const char *key, bool meta)
{
	struct value *v = &peer(c)->values[k];

	bytes_print(&c->out, meta ? "md %s k\r\n" : "delete %s\r\n", key);
	if (meta)
		hear(c, META, "%s k%s\r\n", v->set ? "HD" : "NF", key);
	else
		hear(c, LINE, v->set ? "DELETED\r\n" : "NOT_FOUND\r\n");
	v->set = false;
}

static void
say_version(struct client *c)
{
	struct bytes all = { 0 };

	bytes_print(&c->out, "version\r\n");
	bytes_print(&all, "VERSION ");
	want_add(&c->wants, B_VERSION, &all)->high = LINE;
}

void
say_text(struct client *c, enum op op)
{
	unsigned k = (unsigned)below(KEYS);
	struct value *v = &peer(c)->values[k];
	char key[64];

	key_of(c, k, key);
	switch (op) {
	case OP_SET:
		value_make(v);
		say_store(c, "set", k, v, "");
		hear(c, LINE, "STORED\r\n");
		break;
	case OP_ADD:
	case OP_REPLACE:
		say_if(c, k, op == OP_REPLACE);
		break;
	case OP_MULTI_GET:
		say_multi_get(c);
		break;
	case OP_GETS:
		say_gets(c, k, key);
		break;
	case OP_CAS:
		say_cas(c, k);
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
	case OP_META_DELETE:
		say_delete(c, k, key, op == OP_META_DELETE);
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
		say_version(c);
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
