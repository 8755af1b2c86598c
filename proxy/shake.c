/*
 * Handshakes. See shake.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/shake.h"

#include <errno.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "net/log.h"
#include "net/tls_problem.h"
#include "net/tls_server.h"

/* Of max_handshakes, for one of the lanes. */
static bool
is_crowded(const struct door *d)
{
	int64_t most = d->conf->tls.max_handshakes;
	size_t lanes = d->listener->n_doors;

	return most != CONF_OFF && count_read(&d->n_shaking) >=
	    ((uint64_t)most + lanes - 1) / lanes;
}

static void
unqueue(struct session *s)
{
	if (!list_linked(&s->shakers))
		return;
	list_remove(&s->shakers);
	count_sub(&s->door->n_shakers, 1);
}

static void
start(struct session *s)
{
	struct door *d = s->door;
	SSL *ssl;

	unqueue(s);
	/* A reload has taken TLS away while it waited. */
	if (d->conf->tls.server == NULL) {
		session_close(s);
		return;
	}
	ssl = tls_server_begin(d->conf->tls.server);
	if (ssl == NULL || conn_secure(&s->conn, ssl) < 0) {
		/* Not `shaking`: else its end would start the next one from in
		   here, and so on through the queue. */
		count_add(&d->failures[FAIL_NO_MEMORY], 1);
		session_reset(s);
		return;
	}
	s->shaking = true;
	count_add(&d->n_shaking, 1);
	conn_resume(&s->conn);
}

void
shake_begin(struct session *s)
{
	struct door *d = s->door;

	deadline_set(s->conn.w, &s->deadline, d->conf->timeouts.handshake_ms);
	if (!is_crowded(d)) {
		start(s);
		return;
	}
	conn_pause(&s->conn);
	list_append(&d->shakers, &s->shakers);
	count_add(&d->n_shakers, 1);
}

/* Somebody else's turn. */
static void
leave(struct session *s)
{
	struct door *d = s->door;
	struct list *l;

	unqueue(s);
	if (!s->shaking)
		return;
	s->shaking = false;
	count_sub(&d->n_shaking, 1);
	while (!is_crowded(d) && (l = list_first(&d->shakers)) != NULL) {
		start(container_of(l, struct session, shakers));
	}
}

void
shake_forget(struct session *s)
{
	leave(s);
}

/* In words that it can read: it speaks no TLS. What it has sent has been read,
   so that nothing overtakes them. */
static void
say_plainly(struct session *s)
{
	const struct front_ops *front = s->front;
	char words[512];
	size_t n;

	if (front->plain == NULL)
		return;
	n = front->plain(words, sizeof(words));
	if (write(conn_fd(&s->conn), words, n) < 0)
		log_debug(NULL, "%s", strerrordesc_np(errno));
}

static void
failed(struct session *s, int error)
{
	struct door *d = s->door;
	char text[256], ip[ADDR_TEXT_MAX];
	enum tls_problem problem = tls_problem(conn_ssl(&s->conn), text,
	    sizeof(text));

	(void)error;
	count_add(&d->failures[FAIL_HANDSHAKE], 1);
	count_add(&d->tls_problems[problem], 1);
	if (problem == TLS_PROBLEM_NOT_TLS)
		say_plainly(s);
	/* Who only looks whether somebody is there says nothing. */
	if (s->conn.received > 0 || problem != TLS_PROBLEM_CLOSED)
		log_info(d->listener->name, "client %s: TLS: %s",
		    addr_ip_print(&s->client, false, ip), text);
	session_close(s);
}

void
shake_ended(struct session *s, int error)
{
	struct door *d = s->door;

	if (error != 0) {
		failed(s, error);
		return;
	}
	deadline_clear(&s->deadline);
	count_add(&d->handshakes, 1);
	if (SSL_session_reused(conn_ssl(&s->conn)))
		count_add(&d->resumed, 1);
	leave(s);
	if (!s->opened)
		session_open(s);
	else
		session_bytes(s);
}

void
shake_late(struct session *s)
{
	count_add(&s->door->failures[FAIL_HANDSHAKE_TIMEOUT], 1);
	session_close(s);
}
