/*
 * The model of a Redis client: what it says, and what must come back.
 *
 * Nearly every reply is known to the byte, because each session has keys of
 * its own whose values are random tokens and name their database. Two clients
 * (2n and 2n + 1) are partners: one pushes what the other pops, publishes what
 * the other has subscribed to, and changes keys that the other watches. Values
 * that a shared counter takes are seen once each by all clients together.
 *
 * SPDX-License-Identifier: MIT
 */
#include "kv.h"
#include "resp.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { DBS = 4, KEYS = 4, PARTS = 4, NEWS = 4, SHARED_MOST = 1 << 24 };

enum kind {
	RANGE = WANT_MODEL,     /* an integer from low to high */
	ONCE,                   /* one that nobody has got before */
	ID,                     /* an integer, the same throughout a session */
	HAS,                    /* has text in it, and other */
	POP,                    /* nothing, or the next element of a list */
	PUBLISHED,              /* 1; 0 if the subscriber has gone since */
	STATUS_DB               /* CLIENT INFO */
};

enum then {
	NOTHING, GOT_POP, GOT_WATCH, GOT_SUBSCRIBED, GOT_NEWS, GOT_ERRAND
};

/* What a client is in the middle of, with its partner's help. */
enum scene {
	NO_SCENE, WATCH_ASKED, WATCH_SET, WATCH_ENDS, SUB_ASKED, SUB_WAITS,
	SUB_ENDS
};

enum errand { NO_ERRAND, ERRAND_SET, ERRAND_PUBLISH, ERRAND_DONE };

struct value {
	unsigned parts;         /* tokens one after the other; 0 = not set */
	struct token part[PARTS];
};

struct peer {
	unsigned db, resp;
	char name[48];          /* CLIENT SETNAME */
	int64_t id;
	struct value values[DBS][KEYS];
	int64_t counters[DBS], shared;
	uint64_t with;          /* partner's session that the next two are of */
	unsigned pushed, popped, pops_owed;
	/* Commands under MULTI are answered later. */
	bool queued;
	struct bytes later;
	unsigned n_later;
	/* The scene, and what the partner is to do for it. */
	enum scene scene;
	unsigned scenes;        /* so far: a name for each */
	unsigned news_left;
	bool touched;           /* the watched key */
	enum errand errand;     /* of this client, done by the partner */
	struct token news[NEWS];
	unsigned n_news;
	bool inline_next;
};

enum op {
	OP_SET, OP_GET, OP_MGET, OP_APPEND, OP_INCR, OP_SHARED, OP_ECHO,
	OP_PING, OP_EVAL, OP_HASH, OP_LIST, OP_SCORE, OP_DEL, OP_ERROR,
	OP_UNKNOWN, OP_SELECT, OP_HELLO, OP_NAME, OP_ID, OP_INFO, OP_PUSH,
	OP_POP, OP_MULTI, OP_SLOW_MULTI, OP_DISCARD, OP_OWN_WATCH, OP_SKIP,
	OP_OFF, OP_RESET, OP_SPUBSUB, OP_BIG, OP_WATCH, OP_SUBSCRIBE, N_OPS
};

static const struct {
	const char *name;
	unsigned share;
	bool plain;             /* may stand in a transaction */
} ops[N_OPS] = {
	[OP_SET] = { "set", 150, true },
	[OP_GET] = { "get", 200, true },
	[OP_MGET] = { "mget", 60, true },
	[OP_APPEND] = { "append", 40, true },
	[OP_INCR] = { "incr", 60, true },
	[OP_SHARED] = { "incr of all", 40, false },
	[OP_ECHO] = { "echo", 100, true },
	[OP_PING] = { "ping", 30, true },
	[OP_EVAL] = { "eval", 40, true },
	[OP_HASH] = { "hash", 40, true },
	[OP_LIST] = { "list", 20, true },
	[OP_SCORE] = { "zscore", 20, true },
	[OP_DEL] = { "del", 20, true },
	[OP_ERROR] = { "error", 20, true },
	[OP_UNKNOWN] = { "unknown command", 2, false },
	[OP_SELECT] = { "select", 20, false },
	[OP_HELLO] = { "hello", 10, false },
	[OP_NAME] = { "client name", 10, false },
	[OP_ID] = { "client id", 5, false },
	[OP_INFO] = { "client info", 3, false },
	[OP_PUSH] = { "rpush", 20, false },
	[OP_POP] = { "blpop", 15, false },
	[OP_MULTI] = { "multi", 10, false },
	[OP_SLOW_MULTI] = { "slow multi", 5, false },
	[OP_DISCARD] = { "discard", 4, false },
	[OP_OWN_WATCH] = { "watch", 6, false },
	[OP_SKIP] = { "reply skip", 4, false },
	[OP_OFF] = { "reply off", 2, false },
	[OP_RESET] = { "reset", 2, false },
	[OP_SPUBSUB] = { "subscribe two", 2, false },
	[OP_BIG] = { "large", 0, true },        /* by bigrate= */
	[OP_WATCH] = { "watch with partner", 0, false },
	[OP_SUBSCRIBE] = { "subscribe with partner", 0, false },
};

static struct {
	uint64_t done[N_OPS], pops, pops_empty, news, conflicts, kept;
} count;
static uint8_t seen[SHARED_MOST / 8];
static unsigned share_sum, share_plain;

static unsigned
share_of(unsigned op)
{
	const char *at = variant;
	size_t len = strlen(ops[op].name);

	for (; *variant != '\0' && at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, ops[op].name, len) == 0 && (at[len] == ',' ||
		    at[len] == '\0'))
			return ops[op].share > 0 ? ops[op].share : 1;
	}
	return *variant != '\0' ? 0 : ops[op].share;
}

static struct peer *
peer(const struct client *c)
{
	return c->model;
}

static struct client *
partner(const struct client *c)
{
	unsigned at = c->index ^ 1;

	return at < n_clients ? &clients[at] : NULL;
}

static bool
has_partner(const struct client *c)
{
	return partner(c) != NULL && alive(partner(c));
}

/* ----------------------------------------------------------- how it is said */

/* A command of n words; some that can be are sent inline. */
static void
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
static void __attribute__((format(printf, 2, 3)))
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

static void
key_of(const struct client *c, unsigned k, char out[64])
{
	(void)snprintf(out, 64, "d%u:k:%" PRIu64 ":%u", peer(c)->db,
	    c->session, k);
}

/* A value as it is on the wire, without length. */
static char *
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

static void
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

static void
say_get(struct client *c)
{
	unsigned k = (unsigned)below(KEYS);
	char key[64], bulk[PARTS * TOKEN_LEN + 16];

	key_of(c, k, key);
	peer(c)->inline_next = percent(5);
	say(c, 2, "GET", key);
	hear(c, "%s", value_bulk(c, &peer(c)->values[peer(c)->db][k], bulk));
}

static void
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

static void
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

static void
say_incr(struct client *c)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "d%u:n:%" PRIu64, peer(c)->db,
	    c->session);
	say(c, 2, "INCR", key);
	hear(c, ":%" PRId64 "\r\n", ++peer(c)->counters[peer(c)->db]);
}

static void
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

static void
say_echo(struct client *c)
{
	char token[TOKEN_LEN + 1];

	token_text(token_make(), token);
	peer(c)->inline_next = percent(5);
	say(c, 2, "ECHO", token);
	hear(c, "$32\r\n%s\r\n", token);
}

static void
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

static void
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
static void
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

static void
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
static void
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

static void
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

static void
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

static void
say_unknown(struct client *c)
{
	char a[TOKEN_LEN + 1];

	token_text(token_make(), a);
	say(c, 2, "NOSUCHTHING", a);
	hear(c, "-ERR unknown command 'NOSUCHTHING', with args beginning with: "
	    "'%s' \r\n", a);
}

static void
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

static void
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

static void
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

static void
say_id(struct client *c)
{
	say(c, 2, "CLIENT", "ID");
	(void)want_add(&c->wants, ID, NULL);
}

static void
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

/* --------------------------------------------- what one pushes, one pops */

/* Lists belong to two sessions: when one ends, so does the list. */
static void
list_of(uint64_t from, uint64_t to, unsigned db, char out[64])
{
	(void)snprintf(out, 64, "d%u:q:%" PRIu64 ":%" PRIu64, db, from, to);
}

/* Is the partner the one that there was before? Else begin again. */
static bool
with_partner(struct client *c)
{
	if (!has_partner(c))
		return false;
	if (peer(c)->with != partner(c)->session) {
		if (peer(c)->pops_owed > 0)
			return false;
		peer(c)->with = partner(c)->session;
		peer(c)->pushed = peer(c)->popped = 0;
	}
	return true;
}

static void
say_push(struct client *c)
{
	char key[64], text[32];
	struct want *w;

	if (!with_partner(c) || peer(c)->db != 0) {
		say_echo(c);
		return;
	}
	list_of(c->session, peer(c)->with, 0, key);
	(void)snprintf(text, sizeof(text), "e%u", peer(c)->pushed++);
	say(c, 3, "RPUSH", key, text);
	w = want_add(&c->wants, RANGE, NULL);
	w->low = 1;
	w->high = peer(c)->pushed;
}

static void
say_pop(struct client *c)
{
	static const char *const limits[] = { "0.02", "0.05", "0.1", "0.2" };
	struct bytes key = { 0 };
	struct want *w;
	char text[64];

	if (!with_partner(c) || peer(c)->db != 0) {
		say_echo(c);
		return;
	}
	list_of(peer(c)->with, c->session, 0, text);
	say(c, 3, percent(50) ? "BLPOP" : "blpop", text, limits[below(4)]);
	bytes_print(&key, "%s", text);
	w = want_add(&c->wants, POP, &key);
	w->size = peer(c)->resp;
	peer(c)->pops_owed++;
}

/* ----------------------------------------------------------- transactions */

static void say_plain(struct client *c);

static void
multi_begin(struct client *c)
{
	say(c, 1, percent(50) ? "MULTI" : "multi");
	hear(c, "+OK\r\n");
	peer(c)->queued = true;
	peer(c)->n_later = 0;
	peer(c)->later.len = 0;
}

/* either: the watched key may have been changed, or must have been. */
static void
multi_end(struct client *c, bool null_may, bool null_must)
{
	struct peer *m = peer(c);
	struct bytes all = { 0 };
	struct want *w;
	const char *null = m->resp == 3 ? "_\r\n" : "*-1\r\n";

	m->queued = false;
	say(c, 1, "EXEC");
	if (null_must)
		bytes_print(&all, "%s", null);
	else {
		bytes_print(&all, "*%u\r\n", m->n_later);
		bytes_add(&all, m->later.p != NULL ? m->later.p : "",
		    m->later.len);
	}
	w = want_add(&c->wants, WANT_EXACT, &all);
	if (null_may && !null_must) {
		bytes_print(&all, "%s", null);
		w->other = all.p;
		w->other_len = all.len;
	}
}

static void
say_multi(struct client *c, bool slow)
{
	unsigned n = (unsigned)below(6);

	multi_begin(c);
	while (n-- > 0) {
		if (slow && percent(50))
			pause_add(c, 1 + (unsigned)below(10));
		say_plain(c);
	}
	if (slow)
		pause_add(c, 1 + (unsigned)below(10));
	multi_end(c, false, false);
}

static void
say_discard(struct client *c)
{
	struct peer *m = peer(c);

	multi_begin(c);
	say_echo(c);
	if (percent(50)) {
		/* What cannot be queued spoils the transaction. */
		say(c, 1, "GET");
		(void)want_print(&c->wants, "-ERR wrong number of arguments "
		    "for 'get' command\r\n");
		say(c, 1, "EXEC");
		(void)want_print(&c->wants, "-EXECABORT Transaction discarded "
		    "because of previous errors.\r\n");
	} else {
		say(c, 1, "DISCARD");
		(void)want_print(&c->wants, "+OK\r\n");
	}
	m->queued = false;
}

/* Changes what it watches itself, or does not. */
static void
say_own_watch(struct client *c)
{
	char key[64];
	bool change = percent(40);

	(void)snprintf(key, sizeof(key), "d%u:w:%" PRIu64, peer(c)->db,
	    c->session);
	say(c, 2, "WATCH", key);
	hear(c, "+OK\r\n");
	if (change) {
		say(c, 3, "SET", key, "x");
		hear(c, "+OK\r\n");
	}
	if (percent(30)) {
		say(c, 1, "UNWATCH");
		hear(c, "+OK\r\n");
		change = false;
	}
	multi_begin(c);
	say_echo(c);
	multi_end(c, false, change);
}

/* ---------------------------------------------- replies that do not come */

static void
say_skip(struct client *c)
{
	char key[64];
	unsigned k = (unsigned)below(KEYS);
	struct value *v = &peer(c)->values[peer(c)->db][k];
	char text[PARTS * TOKEN_LEN + 1];

	key_of(c, k, key);
	v->parts = 1;
	v->part[0] = token_make();
	say(c, 3, "CLIENT", "REPLY", "SKIP");
	say(c, 3, "SET", key, value_text(v, text));
	say_get(c);
}

static void
say_off(struct client *c)
{
	unsigned n = (unsigned)below(4);
	char key[64];

	(void)snprintf(key, sizeof(key), "d%u:off:%" PRIu64, peer(c)->db,
	    c->session);
	say(c, 3, "CLIENT", "REPLY", "OFF");
	while (n-- > 0)
		say(c, 2, "INCR", key);
	say(c, 2, "DEL", key);
	say(c, 3, "CLIENT", "REPLY", "ON");
	hear(c, "+OK\r\n");
}

static void
say_reset(struct client *c)
{
	say(c, 1, "RESET");
	peer(c)->db = 0;
	peer(c)->resp = 2;
	peer(c)->name[0] = '\0';
	hear(c, "+RESET\r\n");
}

/* -------------------------------------------------------------- subscribing */

static void
sub_reply(struct client *c, const char *what, const char *channel, unsigned n,
    unsigned then)
{
	bool push = peer(c)->resp == 3;

	want_print(push ? &c->pushes : &c->wants,
	    "%c3\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n:%u\r\n", push ? '>' : '*',
	    strlen(what), what, strlen(channel), channel, n)->then = then;
}

static void
channel_of(const struct client *c, char out[64])
{
	(void)snprintf(out, 64, "ch:%" PRIu64 ":%u", c->session,
	    peer(c)->scenes);
}

/* Two channels by itself, there and back. */
static void
say_spubsub(struct client *c)
{
	char a[64], b[64], token[TOKEN_LEN + 1];

	peer(c)->scenes++;
	channel_of(c, a);
	(void)snprintf(b, sizeof(b), "p-%.50s*", a);
	say(c, 2, "SUBSCRIBE", a);
	sub_reply(c, "subscribe", a, 1, 0);
	say(c, 2, "PSUBSCRIBE", b);
	sub_reply(c, "psubscribe", b, 2, 0);
	token_text(token_make(), token);
	say(c, 2, "PING", token);
	if (peer(c)->resp == 3)
		hear(c, "$32\r\n%s\r\n", token);
	else
		hear(c, "*2\r\n$4\r\npong\r\n$32\r\n%s\r\n", token);
	if (peer(c)->resp == 2) {
		say(c, 2, "GET", a);
		hear(c, "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / "
		    "(P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
		    "this context\r\n");
	} else
		say_get(c);
	say(c, 2, "UNSUBSCRIBE", a);
	sub_reply(c, "unsubscribe", a, 1, 0);
	say(c, 2, "PUNSUBSCRIBE", b);
	sub_reply(c, "punsubscribe", b, 0, 0);
}

/* ------------------------------------------------------------ large values */

static void
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

/* ------------------------------------------------- scenes with the partner */

static bool
scene_possible(const struct client *c)
{
	return has_partner(c) && peer(partner(c))->scene == NO_SCENE &&
	    peer(c)->errand == NO_ERRAND && c->pushes.n == 0;
}

static void
watched_key(const struct client *c, char out[64])
{
	(void)snprintf(out, 64, "w:%" PRIu64 ":%u", c->session,
	    peer(c)->scenes);
}

static void
scene_begin(struct client *c)
{
	struct peer *m = peer(c);
	char text[64];

	m->scenes++;
	if (m->db != 0) {
		m->db = 0;
		say(c, 2, "SELECT", "0");
		hear(c, "+OK\r\n");
	}
	if (percent(50)) {
		count.done[OP_WATCH]++;
		m->scene = WATCH_ASKED;
		m->touched = percent(60);
		watched_key(c, text);
		say(c, 2, "WATCH", text);
		want_print(&c->wants, "+OK\r\n")->then = GOT_WATCH;
		return;
	}
	count.done[OP_SUBSCRIBE]++;
	m->scene = SUB_ASKED;
	channel_of(c, text);
	say(c, 2, percent(50) ? "SUBSCRIBE" : "subscribe", text);
	sub_reply(c, "subscribe", text, 1, GOT_SUBSCRIBED);
}

/* The partner has done its part, or is no more. */
static void
scene_go_on(struct client *c)
{
	struct peer *m = peer(c);
	char text[64];

	if (m->errand != NO_ERRAND && m->errand != ERRAND_DONE) {
		if (!has_partner(c) || partner(c)->session != m->with)
			leave_now(c);           /* what it did, who knows */
		return;
	}
	switch (m->scene) {
	case WATCH_SET:
		m->errand = NO_ERRAND;
		m->scene = NO_SCENE;
		multi_begin(c);
		say_echo(c);
		if (percent(30))
			pause_add(c, 1 + (unsigned)below(5));
		say_echo(c);
		multi_end(c, false, m->touched);
		if (m->touched)
			count.conflicts++;
		else
			count.kept++;
		break;
	case SUB_WAITS:
		if (m->news_left > 0)
			return;
		m->errand = NO_ERRAND;
		m->scene = NO_SCENE;
		channel_of(c, text);
		if (percent(50))
			say(c, 2, "UNSUBSCRIBE", text);
		else
			say(c, 1, "UNSUBSCRIBE");
		sub_reply(c, "unsubscribe", text, 0, 0);
		say_echo(c);
		break;
	default:
		break;
	}
}

/* Ask the partner. */
static void
errand_give(struct client *c, enum errand what, unsigned n)
{
	struct peer *m = peer(c);
	unsigned i;

	if (!has_partner(c)) {
		m->errand = ERRAND_DONE;
		m->touched = false;
		m->news_left = 0;
		wake(c);
		return;
	}
	if (m->with != partner(c)->session) {
		m->with = partner(c)->session;
		m->pushed = m->popped = 0;
	}
	m->errand = what;
	m->n_news = n;
	for (i = 0; i < n; i++)
		m->news[i] = token_make();
	wake(partner(c));
}

/* Do for the partner what it asked for. */
static void
errand_do(struct client *c)
{
	struct client *p = partner(c);
	struct peer *m;
	char text[64], token[TOKEN_LEN + 1];
	unsigned i;

	if (p == NULL || p->fd < 0 || peer(p)->with != c->session)
		return;
	m = peer(p);
	if (m->errand != ERRAND_SET && m->errand != ERRAND_PUBLISH)
		return;
	if (m->errand == ERRAND_SET && peer(c)->db != 0) {
		peer(c)->db = 0;
		say(c, 2, "SELECT", "0");
		hear(c, "+OK\r\n");
	}
	for (i = 0; i < m->n_news; i++) {
		token_text(m->news[i], token);
		if (m->errand == ERRAND_SET) {
			watched_key(p, text);
			say(c, 3, "SET", text, token);
			hear(c, "+OK\r\n");
		} else {
			channel_of(p, text);
			say(c, 3, "PUBLISH", text, token);
			(void)want_add(&c->wants, PUBLISHED, NULL);
		}
	}
	c->wants.list[c->wants.first + c->wants.n - 1].then = GOT_ERRAND;
	if (m->errand == ERRAND_PUBLISH)
		for (i = 0; i < m->n_news; i++) {
			bool push = m->resp == 3;

			token_text(m->news[i], token);
			channel_of(p, text);
			want_print(push ? &p->pushes : &p->wants,
			    "%c3\r\n$7\r\nmessage\r\n$%zu\r\n%s\r\n$32\r\n"
			    "%s\r\n", push ? '>' : '*', strlen(text), text,
			    token)->then = GOT_NEWS;
		}
}

/* --------------------------------------------------------- what is said now */

static void
say_op(struct client *c, enum op op)
{
	static void (*const simple[N_OPS])(struct client *c) = {
		[OP_SET] = say_set, [OP_GET] = say_get, [OP_MGET] = say_mget,
		[OP_APPEND] = say_append, [OP_INCR] = say_incr,
		[OP_SHARED] = say_shared, [OP_ECHO] = say_echo,
		[OP_PING] = say_ping, [OP_EVAL] = say_eval,
		[OP_HASH] = say_hash, [OP_LIST] = say_list,
		[OP_SCORE] = say_score, [OP_DEL] = say_del,
		[OP_ERROR] = say_error, [OP_UNKNOWN] = say_unknown,
		[OP_SELECT] = say_select, [OP_HELLO] = say_hello,
		[OP_NAME] = say_name, [OP_ID] = say_id, [OP_INFO] = say_info,
		[OP_PUSH] = say_push, [OP_POP] = say_pop,
		[OP_DISCARD] = say_discard, [OP_OWN_WATCH] = say_own_watch,
		[OP_SKIP] = say_skip, [OP_OFF] = say_off,
		[OP_RESET] = say_reset, [OP_SPUBSUB] = say_spubsub,
		[OP_BIG] = say_big,
	};

	count.done[op]++;
	if (simple[op] != NULL)
		simple[op](c);
	else
		say_multi(c, op == OP_SLOW_MULTI);
}

static enum op
choose(uint64_t sum, bool plain)
{
	uint64_t at = below(sum);
	unsigned op;

	for (op = 0; op < N_OPS; op++) {
		if (plain && !ops[op].plain)
			continue;
		if (at < share_of(op))
			return op;
		at -= share_of(op);
	}
	return OP_ECHO;
}

/* One that may stand in a transaction. */
static void
say_plain(struct client *c)
{
	enum op op = choose(share_plain, true);

	if (op == OP_HASH || (op == OP_ERROR &&
	    peer(c)->values[peer(c)->db][0].parts == 0))
		op = OP_GET;
	count.done[op]++;
	say_op(c, op);
	count.done[op]--;
}

static void
say_some(struct client *c)
{
	unsigned n = percent(40) ? 1 : 1 + (unsigned)below(20);

	while (n-- > 0) {
		if (below(10000) < big_rate)
			say_op(c, OP_BIG);
		else
			say_op(c, choose(share_sum, false));
	}
}

static void
redis_join(struct client *c)
{
	unsigned op;

	peer(c)->resp = 2;
	if (share_sum > 0)
		return;
	for (op = 0; op < N_OPS; op++) {
		share_sum += share_of(op);
		share_plain += ops[op].plain ? share_of(op) : 0;
	}
}

static void
redis_begin(struct client *c)
{
	struct peer *m = peer(c);

	if (m->scene != NO_SCENE) {
		scene_go_on(c);
		return;
	}
	errand_do(c);
	if (c->left == 0 || enough()) {
		if (c->wants.n > 0 || c->pushes.n > 0)
			return;
		if (percent(50)) {
			leave_now(c);
			return;
		}
		say(c, 1, "QUIT");
		hear(c, "+OK\r\n");
		c->ending = true;
		return;
	}
	c->left--;
	if (percent(4) && (*variant == '\0' || share_of(OP_WATCH) > 0) &&
	    scene_possible(c) && c->wants.n == 0)
		scene_begin(c);
	else
		say_some(c);
}

/* ------------------------------------------------------------- what is heard */

static bool
redis_is_push(const struct client *c, const char *p)
{
	(void)c;
	return *p == '>';
}

static ssize_t
redis_size_of(const struct client *c, const struct want *w, const char *p,
    size_t n)
{
	(void)c;
	(void)w;
	return resp_size(p, n);
}

static const char *
judge_number(struct client *c, const struct want *w, const char *p)
{
	long long n = strtoll(p + 1, NULL, 10);

	if (*p != ':')
		return "an integer";
	if (w->kind == PUBLISHED)
		return n == 1 || (n == 0 && (!has_partner(c) ||
		    peer(partner(c))->with != c->session)) ? NULL :
		    "one subscriber";
	if (w->kind == RANGE)
		return n >= (long long)w->low && n <= (long long)w->high ?
		    NULL : "an integer of that list or hash";
	if (w->kind == ID) {
		if (peer(c)->id != 0 && peer(c)->id != n)
			return "the same id as before";
		peer(c)->id = n;
		return NULL;
	}
	if (n <= peer(c)->shared || n >= SHARED_MOST)
		return "more than was read before";
	peer(c)->shared = n;
	if (seen[n / 8] >> n % 8 & 1)
		return "a number that nobody has got before";
	seen[n / 8] |= (uint8_t)(1 << n % 8);
	return NULL;
}

static const char *
judge_pop(struct client *c, const struct want *w, const char *p, size_t n)
{
	char text[200];
	int len;

	peer(c)->pops_owed--;
	if ((n == 5 && memcmp(p, "*-1\r\n", 5) == 0 && w->size == 2) ||
	    (n == 3 && memcmp(p, "_\r\n", 3) == 0 && w->size == 3)) {
		count.pops_empty++;
		return NULL;
	}
	len = snprintf(text, sizeof(text), "*2\r\n$%zu\r\n%s\r\n$%d\r\ne%u\r\n",
	    w->len, w->text, snprintf(NULL, 0, "e%u", peer(c)->popped),
	    peer(c)->popped);
	if (n != (size_t)len || memcmp(p, text, n) != 0)
		return "the next element of that list";
	peer(c)->popped++;
	count.pops++;
	return NULL;
}

static bool
has(const char *p, size_t n, const char *text, size_t len)
{
	return memmem(p, n, text, len) != NULL;
}

static const char *
redis_judge(struct client *c, const struct want *w, const char *p, size_t n)
{
	switch ((enum kind)w->kind) {
	case RANGE:
	case ONCE:
	case ID:
	case PUBLISHED:
		return judge_number(c, w, p);
	case POP:
		return judge_pop(c, w, p, n);
	case HAS:
	case STATUS_DB:
		/* A map begins with what is wanted; a text has it somewhere. */
		if (!has(p, n, w->text, w->len))
			return w->text;
		if (w->kind == STATUS_DB && *p != '$' && *p != '=')
			return "a text";
		return has(p, n, w->other, w->other_len) ? NULL : w->other;
	}
	return "nothing";
}

static void
redis_then(struct client *c, const struct want *w)
{
	struct peer *m = peer(c);
	struct client *p = partner(c);

	switch ((enum then)w->then) {
	case GOT_WATCH:
		m->scene = WATCH_SET;
		if (m->touched)
			errand_give(c, ERRAND_SET, 1);
		else
			m->errand = ERRAND_DONE;
		wake(c);
		break;
	case GOT_SUBSCRIBED:
		m->scene = SUB_WAITS;
		m->news_left = 1 + (unsigned)below(NEWS);
		errand_give(c, ERRAND_PUBLISH, m->news_left);
		break;
	case GOT_NEWS:
		count.news++;
		m->news_left--;
		wake(c);
		break;
	case GOT_ERRAND:
		if (p != NULL && p->fd >= 0 && peer(p)->with == c->session) {
			peer(p)->errand = ERRAND_DONE;
			wake(p);
		}
		break;
	case NOTHING:
	case GOT_POP:
		break;
	}
}

static bool
redis_refusal(const char *p, size_t n)
{
	return n > 11 && memcmp(p, "-ERR weir: ", 11) == 0;
}

static void
redis_gone(struct client *c)
{
	struct peer *m = peer(c);
	struct client *p = partner(c);

	free(m->later.p);
	m->later = (struct bytes){ 0 };
	/* Whether it has done what it was asked for, nobody knows. */
	if (p != NULL && p->fd >= 0 && peer(p)->with == c->session &&
	    (peer(p)->errand == ERRAND_SET ||
	    peer(p)->errand == ERRAND_PUBLISH))
		leave_now(p);
}

static void
redis_report(void)
{
	const char *comma = "";
	unsigned op;

	printf(", \"pops\": %" PRIu64 ", \"pops_empty\": %" PRIu64
	    ", \"news\": %" PRIu64 ", \"conflicts\": %" PRIu64
	    ", \"kept\": %" PRIu64 ", \"done\": {", count.pops,
	    count.pops_empty, count.news, count.conflicts, count.kept);
	for (op = 0; op < N_OPS; op++) {
		printf("%s\"%s\": %" PRIu64, comma, ops[op].name,
		    count.done[op]);
		comma = ", ";
	}
	printf("}");
}

const struct model model = {
	.size = sizeof(struct peer),
	.join = redis_join,
	.begin = redis_begin,
	.is_push = redis_is_push,
	.size_of = redis_size_of,
	.judge = redis_judge,
	.then = redis_then,
	.refusal = redis_refusal,
	.gone = redis_gone,
	.report = redis_report,
};
