/*
 * What a Redis client of the model says by itself, each command with its reply.
 *
 * SPDX-License-Identifier: MIT
 */
#include "redis.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ----------------------------------------------------------- how it is said */

/* A command of n words; some that can be are sent inline. */
void
say(struct client *c, unsigned n, ...)
{
	const char *word;
	va_list args;
	unsigned i;
	bool in_line = peer(c)->inline_next;

	peer(c)->inline_next = false;
	if (!in_line)
		bytes_print(&c->out, "*%u\r\n", n);
	va_start(args, n);
	for (i = 0; i < n; i++) {
		word = va_arg(args, const char *);
		if (in_line)
			bytes_print(&c->out, "%s%s", i > 0 ? " " : "", word);
		else
			bytes_print(&c->out, "$%zu\r\n%s\r\n", strlen(word),
			    word);
	}
	va_end(args);
	if (in_line)
		bytes_print(&c->out, "%s", percent(50) ? "\r\n" : "\n");
}

/* Its reply, to the byte. */
void
hear(struct client *c, const char *format, ...)
{
	struct peer *m = peer(c);
	struct bytes b = { 0 };
	va_list args;
	char text[4096];
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text))
		abort();
	if (m->queued) {
		bytes_add(&m->later, text, (size_t)n);
		m->n_later++;
		(void)want_print(&c->wants, "+QUEUED\r\n");
		return;
	}
	bytes_add(&b, text, (size_t)n);
	(void)want_add(&c->wants, WANT_EXACT, &b);
}

static const char *
null_of(const struct client *c)
{
	return peer(c)->resp == 3 ? "_\r\n" : "$-1\r\n";
}

void
key_of(const struct client *c, unsigned k, char out[64])
{
	(void)snprintf(out, 64, "d%u:k:%" PRIu64 ":%u", peer(c)->db,
	    c->session, k);
}

/* A value as it is on the wire, without length. */
char *
value_text(const struct value *v, char out[PARTS * TOKEN_LEN + 1])
{
	unsigned i;

	out[0] = '\0';
	for (i = 0; i < v->parts; i++)
		token_text(v->part[i], out + i * TOKEN_LEN);
	return out;
}

static char *
value_bulk(const struct client *c, const struct value *v,
    char out[PARTS * TOKEN_LEN + 16])
{
	char text[PARTS * TOKEN_LEN + 1];

	if (v->parts == 0)
		(void)strcpy(out, null_of(c));
	else
		(void)sprintf(out, "$%u\r\n%s\r\n", v->parts * TOKEN_LEN,
		    value_text(v, text));
	return out;
}

/* ------------------------------------------------------------- the commands */

void
say_set(struct client *c)
{
	unsigned k = (unsigned)below(KEYS), i;
	struct value *v = &peer(c)->values[peer(c)->db][k], old = *v;
	char key[64], text[PARTS * TOKEN_LEN + 1], bulk[sizeof(text) + 16];

	key_of(c, k, key);
	v->parts = 1 + (unsigned)below(2);
	for (i = 0; i < v->parts; i++)
		v->part[i] = token_make();
	if (percent(20)) {
		say(c, 4, "SET", key, value_text(v, text), "GET");
		hear(c, "%s", value_bulk(c, &old, bulk));
		return;
	}
	say(c, 3, percent(50) ? "SET" : "set", key, value_text(v, text));
	hear(c, "+OK\r\n");
}

void
say_get(struct client *c)
{
	unsigned k = (unsigned)below(KEYS);
	char key[64], bulk[PARTS * TOKEN_LEN + 16];

	key_of(c, k, key);
	peer(c)->inline_next = percent(5);
	say(c, 2, "GET", key);
	hear(c, "%s", value_bulk(c, &peer(c)->values[peer(c)->db][k], bulk));
}

void
say_mget(struct client *c)
{
	char key[KEYS][64], bulk[PARTS * TOKEN_LEN + 16];
	struct bytes all = { 0 };
	unsigned k;

	bytes_print(&all, "*%d\r\n", KEYS);
	for (k = 0; k < KEYS; k++) {
		key_of(c, k, key[k]);
		bytes_print(&all, "%s", value_bulk(c,
		    &peer(c)->values[peer(c)->db][k], bulk));
	}
	say(c, 5, "MGET", key[0], key[1], key[2], key[3]);
	hear(c, "%s", all.p);
	free(all.p);
}

void
say_append(struct client *c)
{
	unsigned k = (unsigned)below(KEYS);
	struct value *v = &peer(c)->values[peer(c)->db][k];
	char key[64], token[TOKEN_LEN + 1];

	if (v->parts == PARTS) {
		say_get(c);
		return;
	}
	v->part[v->parts] = token_make();
	token_text(v->part[v->parts++], token);
	key_of(c, k, key);
	say(c, 3, "APPEND", key, token);
	hear(c, ":%u\r\n", v->parts * TOKEN_LEN);
}

void
say_incr(struct client *c)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "d%u:n:%" PRIu64, peer(c)->db,
	    c->session);
	say(c, 2, "INCR", key);
	hear(c, ":%" PRId64 "\r\n", ++peer(c)->counters[peer(c)->db]);
}

void
say_shared(struct client *c)
{
	static const char *const keys[DBS] = { "all:0", "all:1", "all:2",
	    "all:3" };

	/* Database 0 has the one that is looked at. */
	say(c, 2, "INCR", keys[peer(c)->db]);
	if (peer(c)->db == 0)
		(void)want_add(&c->wants, ONCE, NULL);
	else {
		struct want *w = want_add(&c->wants, RANGE, NULL);

		w->low = 1;
		w->high = INT64_MAX;
	}
}

void
say_echo(struct client *c)
{
	char token[TOKEN_LEN + 1];

	token_text(token_make(), token);
	peer(c)->inline_next = percent(5);
	say(c, 2, "ECHO", token);
	hear(c, "$32\r\n%s\r\n", token);
}

void
say_ping(struct client *c)
{
	char token[TOKEN_LEN + 1];

	token_text(token_make(), token);
	if (percent(50)) {
		peer(c)->inline_next = percent(20);
		say(c, 1, "PING");
		hear(c, "+PONG\r\n");
		return;
	}
	say(c, 2, "PING", token);
	hear(c, "$32\r\n%s\r\n", token);
}

void
say_eval(struct client *c)
{
	char a[TOKEN_LEN + 1], b[TOKEN_LEN + 1];

	token_text(token_make(), a);
	token_text(token_make(), b);
	if (percent(50)) {
		say(c, 4, "EVAL", "return ARGV[1]", "0", a);
		hear(c, "$32\r\n%s\r\n", a);
		return;
	}
	say(c, 5, "EVAL", "return {KEYS[1],{ARGV[1],7}}", "1", a, b);
	hear(c, "*2\r\n$32\r\n%s\r\n*2\r\n$32\r\n%s\r\n:7\r\n", a, b);
}

/* A map in RESP3, an array in RESP2: shows whose HELLO was believed. */
void
say_hash(struct client *c)
{
	char key[64], a[TOKEN_LEN + 1];

	(void)snprintf(key, sizeof(key), "d%u:h:%" PRIu64, peer(c)->db,
	    c->session);
	token_text(token_make(), a);
	say(c, 4, "HSET", key, "f", a);
	if (peer(c)->queued)
		hear(c, ":%d\r\n", 1);
	else {
		struct want *w = want_add(&c->wants, RANGE, NULL);

		w->high = 1;
	}
	say(c, 2, "HGETALL", key);
	hear(c, "%s\r\n$1\r\nf\r\n$32\r\n%s\r\n", peer(c)->resp == 3 ? "%1" :
	    "*2", a);
	say(c, 2, "DEL", key);
	hear(c, ":1\r\n");
}

void
say_list(struct client *c)
{
	char key[64], a[TOKEN_LEN + 1], b[TOKEN_LEN + 1];

	(void)snprintf(key, sizeof(key), "d%u:l:%" PRIu64, peer(c)->db,
	    c->session);
	token_text(token_make(), a);
	token_text(token_make(), b);
	say(c, 4, "RPUSH", key, a, b);
	hear(c, ":2\r\n");
	say(c, 4, "LRANGE", key, "0", "-1");
	hear(c, "*2\r\n$32\r\n%s\r\n$32\r\n%s\r\n", a, b);
	say(c, 3, "LPOP", key, "5");
	hear(c, "*2\r\n$32\r\n%s\r\n$32\r\n%s\r\n", a, b);
}

/* A double in RESP3. */
void
say_score(struct client *c)
{
	char key[64], a[TOKEN_LEN + 1], score[16];

	(void)snprintf(key, sizeof(key), "d%u:z:%" PRIu64, peer(c)->db,
	    c->session);
	(void)snprintf(score, sizeof(score), "%u.5", 10 + (unsigned)below(90));
	token_text(token_make(), a);
	say(c, 4, "ZADD", key, score, a);
	hear(c, ":1\r\n");
	say(c, 3, "ZSCORE", key, a);
	if (peer(c)->resp == 3)
		hear(c, ",%s\r\n", score);
	else
		hear(c, "$4\r\n%s\r\n", score);
	say(c, 2, "DEL", key);
	hear(c, ":1\r\n");
}

void
say_del(struct client *c)
{
	struct peer *m = peer(c);
	char key[2][64];
	unsigned n = 0, k;

	for (k = 0; k < 2; k++) {
		key_of(c, k, key[k]);
		n += m->values[m->db][k].parts > 0;
		m->values[m->db][k].parts = 0;
	}
	say(c, 3, percent(50) ? "DEL" : "UNLINK", key[0], key[1]);
	hear(c, ":%u\r\n", n);
}

void
say_error(struct client *c)
{
	struct value *v = &peer(c)->values[peer(c)->db][0];
	char key[64];

	key_of(c, 0, key);
	if (v->parts == 0) {
		say(c, 2, "INCRBY", key);
		/* In a transaction it would spoil the whole. */
		if (peer(c)->queued)
			abort();
		hear(c, "-ERR wrong number of arguments for 'incrby' "
		    "command\r\n");
		return;
	}
	say(c, 3, "LPUSH", key, "x");
	hear(c, "-WRONGTYPE Operation against a key holding the wrong kind of "
	    "value\r\n");
}

void
say_unknown(struct client *c)
{
	char a[TOKEN_LEN + 1];

	token_text(token_make(), a);
	say(c, 2, "NOSUCHTHING", a);
	hear(c, "-ERR unknown command 'NOSUCHTHING', with args beginning with: "
	    "'%s' \r\n", a);
}

void
say_select(struct client *c)
{
	char n[8];

	if (percent(10)) {
		say(c, 2, "SELECT", "99");
		hear(c, "-ERR DB index is out of range\r\n");
		return;
	}
	peer(c)->db = (unsigned)below(DBS);
	(void)snprintf(n, sizeof(n), "%u", peer(c)->db);
	say(c, 2, "SELECT", n);
	hear(c, "+OK\r\n");
}

void
say_hello(struct client *c)
{
	struct bytes text = { 0 };
	struct want *w;
	char n[2] = { 0 };

	peer(c)->resp = percent(60) ? 3 : 2;
	n[0] = (char)('0' + peer(c)->resp);
	bytes_print(&text, "%s\r\n$6\r\nserver\r\n", peer(c)->resp == 3 ?
	    "%7" : "*14");
	if (percent(30)) {
		(void)snprintf(peer(c)->name, sizeof(peer(c)->name),
		    "h-%" PRIu64 "-%u", c->session, (unsigned)below(1000));
		say(c, 4, "HELLO", n, "SETNAME", peer(c)->name);
	} else
		say(c, 2, "HELLO", n);
	w = want_add(&c->wants, HAS, &text);
	text = (struct bytes){ 0 };
	bytes_print(&text, "$5\r\nproto\r\n:%s\r\n", n);
	w->other = text.p;
	w->other_len = text.len;
}

void
say_name(struct client *c)
{
	char *name = peer(c)->name;

	if (percent(50)) {
		(void)snprintf(name, sizeof(peer(c)->name), "c-%" PRIu64 "-%u",
		    c->session, (unsigned)below(1000));
		say(c, 3, "CLIENT", "SETNAME", name);
		hear(c, "+OK\r\n");
	}
	say(c, 2, "CLIENT", "GETNAME");
	if (name[0] != '\0')
		hear(c, "$%zu\r\n%s\r\n", strlen(name), name);
	else
		hear(c, "%s", null_of(c));
}

void
say_id(struct client *c)
{
	say(c, 2, "CLIENT", "ID");
	(void)want_add(&c->wants, ID, NULL);
}

void
say_info(struct client *c)
{
	struct bytes text = { 0 };
	struct want *w;

	say(c, 2, "CLIENT", "INFO");
	bytes_print(&text, " name=%s ", peer(c)->name);
	w = want_add(&c->wants, STATUS_DB, &text);
	text = (struct bytes){ 0 };
	bytes_print(&text, " db=%u ", peer(c)->db);
	w->other = text.p;
	w->other_len = text.len;
}

/* ------------------------------------------------------------ large values */

void
say_big(struct client *c)
{
	struct token t = token_make();
	uint64_t size = 100 << 10;
	struct bytes text = { 0 };
	struct want *w;
	char key[64];

	if (big_most == 0) {
		say_echo(c);
		return;
	}
	/* Most are nearer to the small end. */
	if (size > big_most)
		size = big_most;
	size += below(percent(80) ? (big_most - size) / 8 + 1 :
	    big_most - size + 1);
	(void)snprintf(key, sizeof(key), "d%u:big:%" PRIu64, peer(c)->db,
	    c->session);
	bytes_print(&c->out, "*5\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%" PRIu64
	    "\r\n", strlen(key), key, size);
	if (percent(20))
		pause_add(c, 5);
	bytes_stream(&c->out, t, size);
	if (percent(20))
		pause_add(c, 5);
	bytes_print(&c->out, "\r\n$2\r\nEX\r\n$3\r\n120\r\n");
	hear(c, "+OK\r\n");
	if (percent(50))
		say_echo(c);
	say(c, 2, "GET", key);
	bytes_print(&text, "$%" PRIu64 "\r\n", size);
	w = want_add(&c->wants, WANT_STREAM, &text);
	w->token = t;
	w->size = size;
	if (percent(50))
		say_get(c);
	say(c, 2, "UNLINK", key);
	hear(c, ":1\r\n");
}
