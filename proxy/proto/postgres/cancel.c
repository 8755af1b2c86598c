/*
 * Cancelling (PostgreSQL 55.2.8): a connection of its own, with the key that
 * the server gave at login. What it does is over when the server closes it, and
 * until then the connection that it is about is nobody else's, and takes
 * nothing new of its client's. These are few at a time and do not count as the
 * pool's; more of them wait.
 *
 * A client is told that its cancel is over in the same way: whoever waits for
 * that may ask for the next thing without having it cancelled. One that is about
 * a client of the weir before, which still drains, is sent there, and is over
 * with that.
 *
 * SPDX-License-Identifier: MIT
 */
#include <assert.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "net/tls.h"
#include "net/tls_client.h"
#include "proxy/proto/postgres/console.h"
#include "proxy/proto/postgres/pack.h"
#include "proxy/proto/postgres/postgres.h"
#include "proxy/proto/postgres/tls.h"

enum {
	CONNS_MOST = 16,                /* of a lane */
	REST_MS = 5                     /* see pg_cancel_due() */
};

/* Owned by itself once it is under way, else by the connection's state. */
struct pg_cancel {
	struct conn conn;
	struct pg_lane *lane;
	struct upconn *u;               /* NULL: it has been closed */
	struct list link;               /* lane->cancels, while it waits for
					   others, and then lane->cancelling */
	struct deadline deadline;       /* until it may begin, and then be over */
	struct late late;
	SSL *ssl;                       /* for TLS, until it begins; NULL */
	bool asks_tls;                  /* before it begins */
	bool begun, sent;
	enum proxy_header_version proxy;        /* it begins with */
	uint32_t pid;                   /* as the server gave it at login */
	size_t key_len;
	unsigned char key[PG_LOGIN_KEY_MOST];
};

#define FAR UINT_MAX

/* A client's CancelRequest, on its way to the lane that has the client, and
   back when it is over. Owned by the mail, or while it waits, by the
   connection's state. */
struct letter {
	struct mail mail;
	struct list link;               /* pg_upconn.askers */
	struct runtime *runtime;
	unsigned home;                  /* lane of the session that has asked;
					   FAR = it is another weir's */
	uint32_t home_pid;              /* who that is: a number ... */
	unsigned char home_secret[PG_SECRET];   /* ... that is used again */
	unsigned next;                  /* lane to be asked, if that client has
					   come from another process */
	unsigned turns;                 /* it has waited for what the client had
					   sent before it */
	uint32_t pid;                   /* whom it is about */
	size_t len;
	char secret[256];
};

static void begin(struct pg_cancel *c);

/* ------------------------------------------------------------ who has asked */

static void
letter_free(struct letter *l)
{
	explicit_bzero(l, sizeof(*l));
	free(l);
}

/* Its client may have left, and another one have its number. */
static void
came_home(struct worker *w, struct mail *m)
{
	struct letter *l = container_of(m, struct letter, mail);
	struct lane *lane = w->owner;
	struct session *s = pg_slot_find(lane->own[FAMILY_POSTGRES],
	    l->home_pid);

	if (s != NULL && !s->closed && pg_session(s)->phase == PG_CANCEL &&
	    CRYPTO_memcmp(pg_session(s)->secret, l->home_secret,
	    PG_SECRET) == 0)
		session_close(s);
	letter_free(l);
}

static void
go_home(struct letter *l)
{
	if (l->home == FAR) {
		letter_free(l);
		return;
	}
	l->mail.deliver = came_home;
	worker_post(&l->runtime->lanes[l->home]->worker, &l->mail);
}

static void
tell_askers(struct pg_upconn *pu)
{
	struct list *link;

	while (pu->askers.next != NULL &&
	    (link = list_first(&pu->askers)) != NULL) {
		list_remove(link);
		go_home(container_of(link, struct letter, link));
	}
}

/* ---------------------------------------------------------------- under way */

static void
release(struct worker *w, struct late *l)
{
	(void)w;
	free(container_of(l, struct pg_cancel, late));
}

static void
forget_tls(struct pg_cancel *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
}

static void
next(struct pg_lane *lane)
{
	struct list *l;

	while (lane->n_cancels < CONNS_MOST &&
	    (l = list_first(&lane->cancels)) != NULL) {
		list_remove(l);
		begin(container_of(l, struct pg_cancel, link));
	}
}

/* sure: it is known that nothing of it will come to the server any more. */
static void
over(struct pg_cancel *c, bool sure)
{
	struct upconn *u = c->u;

	deadline_clear(&c->deadline);
	conn_close(&c->conn);
	forget_tls(c);
	list_remove(&c->link);
	c->lane->n_cancels--;
	worker_late(c->conn.w, &c->late, release);
	if (u != NULL) {
		c->u = NULL;
		pg_upconn(u)->cancel = NULL;
		tell_askers(pg_upconn(u));
		u->holds--;
		if (!sure)
			upconn_mark(u, MARK_BROKEN, "a cancel is under way");
		pg_cancel_over(u);
	}
	next(c->lane);
}

static void send_it(struct pg_cancel *c);

/* The key is a secret: it does not go out in the clear where TLS is spoken. */
static void
secure(struct pg_cancel *c)
{
	SSL *ssl = c->ssl;

	c->ssl = NULL;
	if (conn_secure(&c->conn, ssl) < 0)
		over(c, true);
}

static void
secured(struct conn *conn, int error)
{
	struct pg_cancel *c = container_of(conn, struct pg_cancel, conn);

	if (error != 0)
		over(c, true);
	else
		send_it(c);
}

static void
tls_answer(struct pg_cancel *c)
{
	struct pg_tls_wrong wrong;

	switch (pg_tls_answer(&c->conn.w->blocks, &c->conn.in, &c->conn.out,
	    &wrong)) {
	case PARSE_MORE:
		if (c->conn.eof)
			over(c, true);
		return;
	case PARSE_BAD:
		over(c, true);
		return;
	case PARSE_DONE:
		secure(c);
		return;
	}
}

static void
input(struct conn *conn)
{
	struct pg_cancel *c = container_of(conn, struct pg_cancel, conn);

	if (c->ssl != NULL) {
		tls_answer(c);
		return;
	}
	/* There is no answer; what comes is read to its end. */
	buf_clear(&conn->w->blocks, &conn->in);
	if (conn->eof)
		over(c, true);
}

static void
drained(struct conn *conn)
{
	(void)conn;
}

/* An end without leave of TLS is an end: who could have made it up could do so
   of one in the clear. */
static void
failed(struct conn *conn, int error)
{
	struct pg_cancel *c = container_of(conn, struct pg_cancel, conn);

	(void)error;
	over(c, !c->sent || (conn_ssl(conn) != NULL && pg_tls_is_cut()));
}

static void
send_it(struct pg_cancel *c)
{
	char head[12];

	pg_set_u32(head, (uint32_t)(sizeof(head) + c->key_len));
	pg_set_u32(head + 4, PG_CANCEL_REQUEST);
	pg_set_u32(head + 8, c->pid);
	if (buf_append(&c->conn.w->blocks, &c->conn.out, head,
	    sizeof(head)) < 0 || buf_append(&c->conn.w->blocks, &c->conn.out,
	    c->key, c->key_len) < 0) {
		over(c, true);
		return;
	}
	c->sent = true;
	conn_send(&c->conn);
}

static void
go_on(struct pg_cancel *c)
{
	if (proxy_header_send_own(conn_fd(&c->conn), c->proxy) < 0) {
		over(c, true);
		return;
	}
	if (c->ssl == NULL)
		send_it(c);
	else if (!c->asks_tls)
		secure(c);
	else if (pg_tls_ask(&c->conn.w->blocks, &c->conn.out) < 0)
		over(c, true);
	else
		conn_send(&c->conn);
}

static void
connected(struct conn *conn, int error)
{
	struct pg_cancel *c = container_of(conn, struct pg_cancel, conn);

	if (error != 0)
		over(c, true);
	else
		go_on(c);
}

static const struct conn_ops cancel_ops = {
	.input = input,
	.drained = drained,
	.connected = connected,
	.secured = secured,
	.failed = failed,
	.what = "a cancel that goes to a server"
};

/* As the connection that it is about. -1: no memory. */
static int
prepare_tls(struct pg_cancel *c)
{
	const struct conf_upstream *conf = c->u->pool->conf;

	if (conn_ssl(&c->u->conn) == NULL || conf->tls.client == NULL)
		return conn_ssl(&c->u->conn) == NULL ? 0 : -1;
	c->asks_tls = pg_upconn(c->u)->asked_tls;
	c->ssl = tls_client_begin(conf->tls.client,
	    c->u->shelf->site->endpoint->host);
	return c->ssl != NULL ? 0 : -1;
}

static void
too_slow(struct deadline *d)
{
	struct pg_cancel *c = container_of(d, struct pg_cancel, deadline);

	over(c, !c->sent);
}

/* Without a connection for it, it is not cancelled. */
static void
begin(struct pg_cancel *c)
{
	struct upconn *u = c->u;
	int got;

	assert(u != NULL);      /* pg_cancel_is_over() frees who still waits */
	got = prepare_tls(c) < 0 ? -1 : conn_connect(&c->conn,
	    u->pool->worker, &u->shelf->site->endpoint->addr, WORKER_PRI_FAR,
	    &cancel_ops);
	if (got < 0) {
		pg_upconn(u)->cancel = NULL;
		tell_askers(pg_upconn(u));
		forget_tls(c);
		free(c);
		return;
	}
	c->lane->n_cancels++;
	c->begun = true;
	list_append(&c->lane->cancelling, &c->link);
	u->holds++;
	deadline_set(u->pool->worker, &c->deadline,
	    u->pool->conf->timeouts.connect_ms);
	if (got == CONN_MADE)
		go_on(c);
}

/* As soon as there are not too many. */
static void
line_up(struct pg_cancel *c)
{
	deadline_clear(&c->deadline);
	deadline_init(&c->deadline, too_slow);
	if (c->lane->n_cancels >= CONNS_MOST)
		list_append(&c->lane->cancels, &c->link);
	else
		begin(c);
}

static void
rested(struct deadline *d)
{
	line_up(container_of(d, struct pg_cancel, deadline));
}

/* Else it is new, or rests. */
static bool
is_on_its_way(const struct pg_cancel *c)
{
	return c->begun || list_linked(&c->link);
}

/* The one that u has, from now on if it had none. NULL: none can be. */
static struct pg_cancel *
cancel_of(struct upconn *u)
{
	struct lane *lane = u->pool->worker->owner;
	struct pg_upconn *pu = pg_upconn(u);
	struct pg_cancel *c;

	if (pu->cancel != NULL)
		return pu->cancel;
	c = pu->login.key_len > 0 ? calloc(1, sizeof(*c)) : NULL;
	if (c == NULL) {
		tell_askers(pu);
		return NULL;
	}
	c->lane = lane->own[FAMILY_POSTGRES];
	c->u = u;
	c->proxy = u->pool->conf->send_proxy;
	c->pid = pu->login.pid;
	c->key_len = pu->login.key_len;
	memcpy(c->key, pu->login.key, c->key_len);
	pu->cancel = c;
	list_init(&c->link);
	deadline_init(&c->deadline, rested);
	return c;
}

void
pg_cancel(struct upconn *u)
{
	struct pg_cancel *c = cancel_of(u);

	if (c != NULL && !is_on_its_way(c))
		line_up(c);
}

bool
pg_cancel_is_over(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);
	struct pg_cancel *c = pu->cancel;

	if (c == NULL)
		return true;
	if (c->begun)
		return false;
	list_remove(&c->link);
	deadline_clear(&c->deadline);
	free(c);
	pu->cancel = NULL;
	tell_askers(pu);
	return true;
}

/* Its loop has gone. */
void
pg_cancel_fini(struct pg_lane *lane)
{
	struct list *l;

	while ((l = list_first(&lane->cancelling)) != NULL) {
		struct pg_cancel *c = container_of(l, struct pg_cancel, link);

		list_remove(l);
		if (c->conn.open)
			close(conn_fd(&c->conn));
		forget_tls(c);
		tls_free(c->conn.tls);
		free(c);
	}
}

void
pg_cancel_orphan(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);

	if (!pg_cancel_is_over(u)) {
		pu->cancel->u = NULL;
		pu->cancel = NULL;
	}
	tell_askers(pu);
}

/* -------------------------------------------------------- clients' requests */

/* Does the server do what weir has asked for itself? A client's parameter is
   not lost to its cancel. */
static bool
is_at_own_request(struct pg_exchange *px)
{
	const struct pg_owed *o = pg_owed_first(&px->owed);

	return o != NULL && o->how == PG_SKIP && o->kind == PG_OWED_QUERY;
}

/* weir may find a query and its cancel at one moment that their client has sent
   one after the other, and a server that has not yet read the query takes no
   notice of a cancel. */
static void
cancel_soon(struct upconn *u)
{
	struct pg_cancel *c = cancel_of(u);

	if (c != NULL && !is_on_its_way(c) && !deadline_armed(&c->deadline))
		deadline_set(u->pool->worker, &c->deadline, REST_MS);
}

void
pg_cancel_due(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);

	if (!px->cancels || is_at_own_request(px))
		return;
	px->cancels = false;
	if (px->owed.n > 0)
		cancel_soon(x->lease->u);
	else
		tell_askers(pg_upconn(x->lease->u));
}

/* On main. */
static void
ask_before(struct worker *w, struct mail *m)
{
	struct letter *l = container_of(m, struct letter, mail);
	json_t *said = json_pack("{s:I,s:o}", "pid", (json_int_t)l->pid,
	    "secret", pg_bytes_pack(l->secret, l->len));

	(void)w;
	if (said != NULL)
		l->runtime->ask_before(l->runtime, proto_postgres.conf.name,
		    said);
	go_home(l);
}

/* It is not about a client of this lane by its number: the client may have come
   from another process, to any lane, or not have come yet. */
static void
go_on_to_next(struct letter *l)
{
	struct runtime *rt = l->runtime;

	while (l->next < rt->n_lanes) {
		struct lane *lane = rt->lanes[l->next++];
		struct pg_lane *own = lane->own[FAMILY_POSTGRES];

		if (atomic_load_explicit(&own->n_told,
		    memory_order_relaxed) > 0) {
			worker_post(&lane->worker, &l->mail);
			return;
		}
	}
	if (l->home == FAR || rt->ask_before == NULL) {
		go_home(l);
		return;
	}
	l->mail.deliver = ask_before;
	worker_post(&rt->main, &l->mail);
}

/*
 * It finds nothing to cancel: what it is about may still be in the client's
 * socket, for the two came on connections of their own, and this one to a lane
 * that has had less to do. The client is read from in the next turn, before this
 * letter or behind it; so it is two turns until that is known.
 */
static void
wait_for_what_was_sent(struct session *s, struct letter *l)
{
	struct worker *w = &s->door->lane->worker;

	if (l->turns++ == 0)
		worker_ahead(w, &s->conn.ahead);
	worker_post(w, &l->mail);
}

/* One that waits for a connection has its answer at once. */
static void
carry_out(struct pg_lane *lane, struct letter *l)
{
	struct session *s = pg_told_find(lane, l->pid, l->secret, l->len);
	struct exchange *x;

	if (s == NULL || s->closed) {
		go_on_to_next(l);
		return;
	}
	if (pg_session(s)->phase == PG_CONSOLE)
		pg_console_cancel(s);
	x = exchange_first(s);
	if (x != NULL && pg_of(x)->purpose == PG_FOR_REQUESTS &&
	    x->lease != NULL && pg_of(x)->owed.n > 0) {
		list_append(&pg_upconn(x->lease->u)->askers, &l->link);
		pg_of(x)->cancels = true;
		pg_cancel_due(x);
	} else if (x != NULL && pg_of(x)->purpose == PG_FOR_REQUESTS &&
	    x->lease == NULL) {
		exchange_fail(x, FAIL_CANCELLED);
		go_home(l);
	} else if (l->turns < 2)
		wait_for_what_was_sent(s, l);
	else
		go_home(l);
}

static void
delivered(struct worker *w, struct mail *m)
{
	struct lane *lane = w->owner;

	carry_out(lane->own[FAMILY_POSTGRES],
	    container_of(m, struct letter, mail));
}

static void
dropped(struct mail *m)
{
	letter_free(container_of(m, struct letter, mail));
}

void
pg_cancel_asked(struct session *s, uint32_t pid, const char *secret,
    size_t secret_len)
{
	struct pg_session *ps = pg_session(s);
	struct runtime *rt = s->door->lane->runtime;
	unsigned index = pg_slot_lane(pid);
	struct letter *l;

	if (secret_len > sizeof(l->secret) || pg_slot_take(s) < 0 ||
	    RAND_bytes(ps->secret, sizeof(ps->secret)) != 1 ||
	    (l = calloc(1, sizeof(*l))) == NULL) {
		session_close(s);
		return;
	}
	ps->phase = PG_CANCEL;
	l->mail.deliver = delivered;
	l->mail.drop = dropped;
	list_init(&l->link);
	l->runtime = rt;
	l->home = s->door->lane->worker.index;
	l->home_pid = pg_slot_pid(s);
	memcpy(l->home_secret, ps->secret, PG_SECRET);
	l->pid = pid;
	l->len = secret_len;
	memcpy(l->secret, secret, secret_len);
	if (index >= rt->n_lanes)
		go_on_to_next(l);
	else if (index == l->home)
		carry_out(pg_lane(s), l);
	else
		worker_post(&rt->lanes[index]->worker, &l->mail);
}

void
pg_cancel_from_afar(struct runtime *rt, const json_t *said)
{
	json_int_t pid = json_integer_value(json_object_get(said, "pid"));
	struct letter *l = calloc(1, sizeof(*l));
	char *secret = l == NULL ? NULL : pg_bytes_unpack(json_object_get(said,
	    "secret"), sizeof(l->secret), &l->len);

	if (secret == NULL || pid <= 0 || pid > INT32_MAX) {
		if (secret != NULL)
			explicit_bzero(secret, l->len);
		free(secret);
		free(l);
		return;
	}
	*l = (struct letter){ .mail = { .deliver = delivered,
	    .drop = dropped }, .runtime = rt, .home = FAR,
	    .pid = (uint32_t)pid, .len = l->len };
	list_init(&l->link);
	memcpy(l->secret, secret, l->len);
	explicit_bzero(secret, l->len);
	free(secret);
	if (pg_slot_lane(l->pid) < rt->n_lanes)
		worker_post(&rt->lanes[pg_slot_lane(l->pid)]->worker, &l->mail);
	else
		go_on_to_next(l);
}
