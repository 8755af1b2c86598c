/*
 * What a Redis client of the model says in several steps: lists that one pushes
 * and the other pops, transactions, replies that do not come, subscribing, and
 * the scenes with its partner.
 *
 * SPDX-License-Identifier: MIT
 */
#include "redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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

void
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

void
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

void
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

void
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
void
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

void
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

void
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

void
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
void
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

/* ------------------------------------------------- scenes with the partner */

bool
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

void
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
void
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
void
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
void
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
