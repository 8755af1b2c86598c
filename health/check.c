/*
 * One check. See check.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "health/check.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "net/conn.h"
#include "net/tls_client.h"
#include "net/tls_problem.h"

enum {
	ANSWER_MOST = 64 * 1024,        /* unread bytes of an answer */
	STALL_MS = 500                  /* what comes so late tells of this
					   process, not of the peer */
};

struct check {
	struct conn conn;
	struct late late;
	struct deadline deadline;
	const struct conf_upstream *conf;
	const struct probe_ops *probe;
	const struct endpoint *endpoint;
	check_done_fn *done;
	void *arg;
	SSL *ssl;                       /* for TLS, until it begins; NULL */
	_Alignas(max_align_t) char state[];     /* the probe's */
};

static void
release(struct worker *main, struct late *l)
{
	(void)main;
	free(container_of(l, struct check, late));
}

/* Also from inside its conn's callbacks: hence the late end of its memory. */
void
check_abandon(struct check *k)
{
	deadline_clear(&k->deadline);
	conn_close(&k->conn);
	SSL_free(k->ssl);
	k->ssl = NULL;
	if (k->probe != NULL && k->probe->fini != NULL)
		k->probe->fini(k->state);
	worker_late(k->conn.w, &k->late, release);
}

static void
finish(struct check *k, enum check_result result, const char *why)
{
	check_done_fn *done = k->done;
	void *arg = k->arg;

	check_abandon(k);
	done(arg, result, why);
}

/*
 * What goes wrong so long after the deadline does so because this process was
 * stopped, or very late: the server may have lost patience, or a question that
 * could not be asked in time was only just sent. (What is good counts: a worker
 * that is late looks at its sockets before its deadlines.)
 */
static void
finish_bad(struct check *k, const char *why)
{
	int64_t late_ns = k->conn.w->now_ns - k->deadline.at_ns;

	finish(k, late_ns > STALL_MS * NS_PER_MS ? CHECK_NOTHING : CHECK_BAD,
	    why);
}

/* "connection refused": for the middle of a sentence. */
static void
error_words(int error, char why[PROBE_WHY_MAX])
{
	const char *text = strerrordesc_np(error);

	if (text == NULL)
		snprintf(why, PROBE_WHY_MAX, "error %d", error);
	else
		snprintf(why, PROBE_WHY_MAX, "%c%s",
		    text[0] >= 'A' && text[0] <= 'Z' ? text[0] - 'A' + 'a' :
		    text[0], text + 1);
}

static void
failed_with(struct check *k, int error)
{
	char why[PROBE_WHY_MAX];

	error_words(error, why);
	if (conn_is_shortage(error))
		finish(k, CHECK_NOTHING, why);
	else
		finish_bad(k, why);
}

/* As on the connections that the check is for; a port of its own has something
   else behind it. */
static int
introduce(const struct check *k)
{
	return k->conf->health.port > 0 ? 0 :
	    proxy_header_send_own(conn_fd(&k->conn), k->conf->send_proxy);
}

/* Nothing comes before it any more. False when it is over. */
static bool
ask(struct check *k)
{
	if (k->probe == NULL) {
		finish(k, CHECK_GOOD, NULL);
		return false;
	}
	if (k->probe->ask(k->conf, k->endpoint, k->state,
	    &k->conn.w->blocks, &k->conn.out) < 0) {
		failed_with(k, ENOMEM);
		return false;
	}
	conn_send(&k->conn);
	return true;
}

/*
 * Is TLS spoken there? As on the connections that the check is for; a port of
 * its own has something else behind it. And where the protocol may have to ask
 * for TLS first, nobody does who is content with being connected.
 */
static bool
speaks_tls(const struct check *k)
{
	return k->conf->tls.client != NULL && k->conf->health.port == 0 &&
	    (k->probe != NULL || !k->conf->proto->probes);
}

/* False when it is over. */
static bool
secure(struct check *k)
{
	SSL *ssl = k->ssl;

	k->ssl = NULL;
	if (conn_secure(&k->conn, ssl) == 0)
		return true;
	failed_with(k, ENOMEM);
	return false;
}

/* Connected. False when it is over. */
static bool
begin(struct check *k)
{
	int asked = 0;

	if (introduce(k) < 0) {
		failed_with(k, errno);
		return false;
	}
	if (!speaks_tls(k))
		return ask(k);
	/* Made now: what it is held against goes with what ask_tls() saw. */
	k->ssl = tls_client_begin(k->conf->tls.client, k->endpoint->host);
	if (k->ssl != NULL && k->probe != NULL && k->probe->ask_tls != NULL)
		asked = k->probe->ask_tls(k->conf, k->state,
		    &k->conn.w->blocks, &k->conn.out);
	if (k->ssl == NULL || asked < 0) {
		failed_with(k, ENOMEM);
		return false;
	}
	if (asked == 0)
		return secure(k);
	conn_send(&k->conn);
	return true;
}

static void
on_connected(struct conn *c, int error)
{
	struct check *k = container_of(c, struct check, conn);

	if (error != 0)
		failed_with(k, error);
	else
		(void)begin(k);
}

static void
on_secured(struct conn *c, int error)
{
	struct check *k = container_of(c, struct check, conn);
	char why[PROBE_WHY_MAX], text[256];
	enum tls_problem problem;

	if (error == 0) {
		(void)ask(k);
		return;
	}
	if (conn_is_shortage(error)) {
		failed_with(k, error);
		return;
	}
	problem = tls_problem(conn_ssl(c), text, sizeof(text));
	snprintf(why, sizeof(why), "TLS: %s", tls_problem_names[problem]);
	finish_bad(k, why);
}

/* In place of the answer: the one to the question for TLS. */
static void
tls_answer(struct check *k)
{
	struct conn *c = &k->conn;
	char why[PROBE_WHY_MAX] = "";

	switch (k->probe->tls_answer(k->state, &c->w->blocks, &c->in, &c->out,
	    why)) {
	case PROBE_OK:
		(void)secure(k);
		return;
	case PROBE_BAD:
	case PROBE_FULL:
		finish_bad(k, why);
		return;
	case PROBE_MORE:
		if (c->eof)
			finish_bad(k, "closed without an answer");
		return;
	}
}

static void
on_drained(struct conn *c)
{
	(void)c;
}

static void
no_matter(struct conn *c, int error)
{
	(void)c, (void)error;
}

/* Of one that has found what it looked for, and says goodbye. */
static const struct conn_ops leaving_ops = {
	.drained = on_drained,
	.failed = no_matter
};

static void
on_input(struct conn *c)
{
	struct check *k = container_of(c, struct check, conn);
	char why[PROBE_WHY_MAX] = "";

	if (k->ssl != NULL) {
		tls_answer(k);
		return;
	}
	switch (k->probe->answer(k->conf, k->state, &c->w->blocks, &c->in,
	    &c->out, c->eof, why)) {
	case PROBE_OK:
		c->ops = &leaving_ops;
		if (c->out.len > 0)
			conn_flush(c);
		finish(k, CHECK_GOOD, NULL);
		return;
	case PROBE_BAD:
		finish_bad(k, why);
		return;
	case PROBE_FULL:
		finish(k, CHECK_FULL, why);
		return;
	case PROBE_MORE:
		break;
	}
	if (c->eof)
		finish_bad(k, "closed without an answer");
	else if (c->in.len > ANSWER_MOST)
		finish_bad(k, "answer too long");
	else if (c->out.len > 0)
		conn_send(c);
}

static void
on_failed(struct conn *c, int error)
{
	failed_with(container_of(c, struct check, conn), error);
}

static const struct conn_ops check_ops = {
	.input = on_input,
	.drained = on_drained,
	.connected = on_connected,
	.secured = on_secured,
	.failed = on_failed,
	.what = "a health check"
};

static void
on_deadline(struct deadline *d)
{
	finish_bad(container_of(d, struct check, deadline), "timeout");
}

static struct addr
address_of(const struct conf_upstream *conf, const struct endpoint *e)
{
	uint16_t port = htons((uint16_t)conf->health.port);
	struct addr to = e->addr;

	if (port != 0 && to.sa.sa_family == AF_INET)
		((struct sockaddr_in *)&to.ss)->sin_port = port;
	if (port != 0 && to.sa.sa_family == AF_INET6)
		((struct sockaddr_in6 *)&to.ss)->sin6_port = port;
	return to;
}

struct check *
check_begin(struct worker *main, const struct conf_upstream *conf,
    const struct probe_ops *probe, const struct endpoint *e,
    check_done_fn *done, void *arg)
{
	size_t state = probe != NULL ? probe->state_size : 0;
	struct check *k = calloc(1, sizeof(*k) + state);
	struct addr to = address_of(conf, e);
	char why[PROBE_WHY_MAX];
	int got, error = ENOMEM;

	if (k == NULL)
		goto failed;
	k->conf = conf;
	k->probe = probe;
	k->endpoint = e;
	k->done = done;
	k->arg = arg;
	deadline_init(&k->deadline, on_deadline);
	got = conn_connect(&k->conn, main, &to, WORKER_PRI_NEAR, &check_ops);
	if (got < 0) {
		error = errno;
		goto failed;
	}
	deadline_set(main, &k->deadline, conf->health.timeout_ms);
	return got == CONN_COMING || begin(k) ? k : NULL;
failed:
	free(k);
	error_words(error, why);
	done(arg, conn_is_shortage(error) ? CHECK_NOTHING : CHECK_BAD, why);
	return NULL;
}

void
check_configure(struct check *k, const struct conf_upstream *conf)
{
	k->conf = conf;
}
