/*
 * How upstream connections are made: connect, the PROXY header, TLS, greeting.
 * See upconn.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/opening.h"

#include <errno.h>
#include <stdlib.h>

#include "net/log.h"
#include "net/proxy_header.h"
#include "net/tls_client.h"
#include "net/tls_problem.h"
#include "pool/handover.h"
#include "pool/site.h"

/* --------------------------------------------------------- TLS and greeting */

void
upconn_secure(struct upconn *u)
{
	struct endpoint *e = u->shelf->site->endpoint;
	struct tls_client *client = u->pool->conf->tls.client;
	SSL *ssl;

	/* A reload has taken TLS away while the server was asked for it. */
	if (client == NULL) {
		upconn_close(u, DISCARD_IDENTITY);
		return;
	}
	u->tls_ns = -u->pool->worker->now_ns;
	ssl = tls_client_begin(client, e->host);
	if (ssl == NULL || conn_secure(&u->conn, ssl) < 0)
		upconn_broken(u, FAULT_CONNECT_FAILED, ENOMEM);
}

/* Is there something to say before it is ready? */
static bool
is_greeted(const struct pool *p)
{
	return p->upstream->peer->greet != NULL || p->conf->tls.client != NULL;
}

/* True: it is ready, and upconn_ready() is due; that comes last, for then it may
   be another worker's. */
static bool
begin_greeting(struct upconn *u)
{
	const struct peer_ops *peer = u->pool->upstream->peer;

	upconn_set_state(u, UPCONN_GREETING);
	if (u->pool->conf->tls.client != NULL && conn_ssl(&u->conn) == NULL) {
		if (peer->ask_tls == NULL || peer->ask_tls(u))
			upconn_secure(u);
		return false;
	}
	return peer->greet == NULL || peer->greet(u);
}

bool
upconn_is_made(const struct upconn *u)
{
	return u->state == UPCONN_GREETING && !is_greeted(u->pool);
}

void
upconn_not_secured(struct upconn *u, const char *name, const char *said)
{
	struct endpoint *e = u->shelf->site->endpoint;
	const char *before = atomic_load(&e->last_error);

	if (u->state == UPCONN_CLOSED)
		return;
	site_rest(u->shelf->site);
	endpoint_fault_said(e, FAULT_TLS, name);
	/* Once, until something else is wrong there. */
	if (before != name)
		log_warn(u->pool->conf->name, "endpoint %s: TLS: %s",
		    e->name, said);
	upconn_give_up(u, REFUSAL_TLS, 0, said);
}

static void
not_secured(struct upconn *u, int error)
{
	enum tls_problem problem;
	char text[256];

	if (conn_is_shortage(error)) {
		upconn_broken(u, FAULT_CONNECT_FAILED, error);
		return;
	}
	problem = tls_problem(conn_ssl(&u->conn), text, sizeof(text));
	upconn_not_secured(u, tls_problem_names[problem], text);
}

static void
secured(struct conn *c, int error)
{
	struct upconn *u = upconn_of(c);

	u->tls_ns += u->pool->worker->now_ns;
	if (error != 0)
		not_secured(u, error);
	else if (begin_greeting(u))
		upconn_ready(u);
}

/* ----------------------------------------------------------------- opening */

/* Connected: before anything else, whose connection it is. Straight to the
   socket, for what is queued may be encrypted. */
static int
introduce(const struct pool *p, const struct shelf *sh, int fd)
{
	const char *preface = (const char *)sh->key + sh->key_len;

	if (p->conf->send_proxy == PROXY_HEADER_NONE)
		return 0;
	if (sh->preface_len > 0)
		return proxy_header_send(fd, preface,
		    sh->preface_len - PREFACE_LEN_BYTES);
	return proxy_header_send_own(fd, p->conf->send_proxy);
}

static void
connected(struct conn *c, int error)
{
	struct upconn *u = upconn_of(c);

	if (error == 0 && introduce(u->pool, u->shelf, conn_fd(c)) < 0)
		error = errno;
	if (error != 0) {
		upconn_broken(u, FAULT_CONNECT_FAILED, error);
		return;
	}
	if (begin_greeting(u))
		upconn_ready(u);
}

static const struct conn_ops upconn_ops = {
	.input = upconn_input,
	.drained = upconn_drained,
	.connected = connected,
	.secured = secured,
	.failed = upconn_failed,
	.what = upconn_what
};

static void
too_slow(struct deadline *d)
{
	upconn_broken(container_of(d, struct upconn, deadline),
	    FAULT_CONNECT_TIMEOUT, 0);
}

/* Connected within upconn_open(). */
static void
greeting_due(struct deadline *d)
{
	struct upconn *u = container_of(d, struct upconn, deadline);

	d->passed = too_slow;
	deadline_set(u->pool->worker, d, u->pool->conf->timeouts.connect_ms);
	if (begin_greeting(u))
		upconn_ready(u);
	/* What the server has said before it was greeted. */
	else if (u->state == UPCONN_GREETING &&
	    (u->conn.in.len > 0 || u->conn.eof))
		upconn_input(&u->conn);
}

/* lifetime +-10 %: connections opened together must not retire together. */
static int64_t
lifetime_ns(const struct conf_pool *conf, uint64_t id)
{
	uint64_t mix = (id + 1) * 0x9e3779b97f4a7c15u;
	int64_t ms = conf->max_lifetime_ms;

	if (ms >= INT64_MAX / NS_PER_MS / 2)
		return INT64_MAX / 2;
	mix ^= mix >> 32;
	return ms * NS_PER_MS / 1000 * (int64_t)(900 + mix % 201);
}

/* No connection came onto it after all. */
static void
forget_empty(struct shelf *sh)
{
	if (sh == NULL || sh->open > 0 || !shelf_is_keyed(sh))
		return;
	sh->open++;
	sh->site->open++;
	shelf_left(sh);
}

struct upconn *
upconn_open(struct site *site, const void *key, size_t key_len,
    struct ask *opener)
{
	struct pool *p = site->pool;
	const struct conf_upstream *conf = p->conf;
	struct shelf *sh = shelf_get(site, key, key_len,
	    opener != NULL ? opener->preface_len : 0);
	struct upconn *u;
	int error;

	u = calloc(1, sizeof(*u) + p->upstream->peer->state_size);
	if (sh == NULL || u == NULL) {
		errno = ENOMEM;
		goto fail;
	}
	if (conn_connect(&u->conn, p->worker, &site->endpoint->addr,
	    WORKER_PRI_FAR, &upconn_ops) < 0)
		goto fail;
	if (!u->conn.connecting && introduce(p, sh, conn_fd(&u->conn)) < 0) {
		error = errno;
		conn_close(&u->conn);
		errno = error;
		goto fail;
	}
	u->conn.hear_out = true;
	u->pool = p;
	u->shelf = sh;
	u->opener = opener;
	u->identity = p->identity;
	u->doom = DISCARD_BROKEN;
	u->id = atomic_fetch_add(p->upstream->last_id, 1) + 1;
	u->born_ns = u->since_ns = p->worker->now_ns;
	u->retire_ns = u->born_ns + lifetime_ns(&conf->pool, u->id);
	u->state = UPCONN_CONNECTING;
	list_init(&u->link);
	list_init(&u->riders);
	list_init(&u->shared);
	list_append(&p->upconns, &u->all);
	sh->open++;
	site->open++;
	upconn_count(u, UPCONN_CONNECTING, 1);
	upconn_need(u);
	count_add(&p->connects, 1);
	deadline_init(&u->deadline, too_slow);
	deadline_set(p->worker, &u->deadline, conf->timeouts.connect_ms);
	if (u->conn.connecting)
		return u;
	if (!is_greeted(p)) {
		(void)begin_greeting(u);
		return u;
	}
	/* A greeting may end at once, but not inside the caller's call. */
	u->deadline.passed = greeting_due;
	deadline_set(p->worker, &u->deadline, 0);
	return u;
fail:
	error = errno;
	forget_empty(sh);
	free(u);
	errno = error;
	return NULL;
}

/* ------------------------------------------------- made by another process */

/* Is it as it was left? A server that speaks first may have said more. */
static bool
is_as_left(const struct pool *p, struct upconn *u)
{
	return u->uses == 0 && p->conf->pool.span == CONF_SPAN_SESSION ?
	    !conn_is_reset(&u->conn) : conn_is_quiet(&u->conn);
}

/* As the other one left it, and with what it has said of it. */
static bool
go_on(struct upconn *u, const struct handed *h)
{
	const struct peer_ops *peer = u->pool->upstream->peer;

	return is_as_left(u->pool, u) &&
	    buf_append(&u->pool->worker->blocks, &u->conn.in,
	    handed_unread(h), h->len) == 0 && (peer->adopt == NULL ||
	    peer->adopt(u, handed_packed(h), h->packed_len));
}

struct upconn *
upconn_adopt(struct site *site, const struct handed *h)
{
	struct pool *p = site->pool;
	const struct peer_ops *peer = p->upstream->peer;
	struct shelf *sh = shelf_get(site, h->bytes, h->key_len, 0);
	struct upconn *u = calloc(1, sizeof(*u) + peer->state_size);
	int64_t now = p->worker->now_ns;

	if (sh == NULL || u == NULL)
		goto fail;
	conn_open(&u->conn, p->worker, h->fd, WORKER_PRI_FAR, &upconn_ops);
	u->uses = h->uses;
	u->conn.hear_out = true;
	u->pool = p;
	u->shelf = sh;
	u->identity = p->identity;
	u->doom = DISCARD_BROKEN;
	u->id = h->id != 0 ? h->id :
	    atomic_fetch_add(p->upstream->last_id, 1) + 1;
	u->born_ns = now - h->age_ms * NS_PER_MS;
	u->since_ns = now - h->idle_ms * NS_PER_MS;
	u->retire_ns = u->born_ns + lifetime_ns(&p->conf->pool, u->id);
	u->idle_hint_ms = h->hint_ms;
	u->state = UPCONN_IDLE;
	list_init(&u->link);
	list_init(&u->riders);
	list_init(&u->shared);
	deadline_init(&u->deadline, too_slow);
	if (!go_on(u, h)) {
		if (peer->fini != NULL)
			peer->fini(u);
		conn_detach(&u->conn);
		buf_clear(&p->worker->blocks, &u->conn.in);
		goto fail;
	}
	list_append(&p->upconns, &u->all);
	sh->open++;
	site->open++;
	upconn_count(u, UPCONN_IDLE, 1);
	upconn_need(u);
	return u;
fail:
	forget_empty(sh);
	free(u);
	return NULL;
}
