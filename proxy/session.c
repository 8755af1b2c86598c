/*
 * Client connections. See session.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/session.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/hello.h"
#include "net/log.h"
#include "proxy/exchange.h"
#include "proxy/gate.h"
#include "proxy/holders.h"
#include "proxy/proxied.h"
#include "proxy/runtime.h"
#include "proxy/shake.h"
#include "proxy/throttle.h"

enum {
	FINISH_MS = 60000,              /* for the rest of the last answer */
	ROOM_LOOKS = 256,               /* sessions looked at for an idle one */
	LINGER_MS = 2000,               /* how long a client may take to notice
					   that all has been said */
	TLS_FIRST = 6,                  /* bytes that tell TLS, hello_kind() */
	TLS_NOTE_S = 60                 /* from one line in the log about such
					   clients to the next */
};

static enum family
family_of(const struct door *d)
{
	return d->listener->proto->family;
}

/* ------------------------------------------------------------------ events */

void
session_bytes(struct session *s)
{
	if (s->in_bytes) {
		s->again = true;
		return;
	}
	s->in_bytes = true;
	do {
		s->again = false;
		s->front->bytes(s);
	} while (s->again && !s->closed);
	s->in_bytes = false;
}

static void
discard_input(struct session *s)
{
	buf_clear(&s->conn.w->blocks, &s->conn.in);
	if (s->conn.eof && s->conn.out.len == 0)
		session_close(s);
}

/* Once in a while: whoever has mistaken a port does so again and again. */
static void
note_tls(const struct session *s)
{
	struct door *d = s->door;
	int64_t now = s->conn.w->now_ns;
	char who[80], ip[ADDR_TEXT_MAX];

	if (d->tls_noted_ns != 0 &&
	    now - d->tls_noted_ns < TLS_NOTE_S * NS_PER_S)
		return;
	d->tls_noted_ns = now;
	snprintf(who, sizeof(who), "listener %s", d->listener->name);
	log_info(who, "a client speaks TLS (%s), and this port does not",
	    addr_ip_print(&s->client, false, ip));
}

/*
 * An answer in the clear is gibberish to a client that speaks TLS, and its
 * bytes are that to the front: the client is told in its own words that no
 * version of TLS is spoken here. No protocol begins like that; raw bytes may.
 * False: the front is not to be called (yet).
 */
static bool
meet(struct session *s)
{
	struct buf *in = &s->conn.in;
	size_t len = in->len < TLS_FIRST ? in->len : TLS_FIRST;
	const char *bytes = len == 0 ? NULL :
	    buf_flat(&s->conn.w->blocks, in, len);
	enum hello_kind kind = bytes == NULL || *bytes != 22 ?
	    HELLO_KIND_OTHER : hello_kind(bytes, len);

	if (kind == HELLO_KIND_TLS) {
		count_add(&s->door->failures[FAIL_TLS_ON_PLAINTEXT], 1);
		note_tls(s);
		session_alert(s, HELLO_ALERT_PROTOCOL_VERSION);
		return false;
	}
	s->met = kind != HELLO_KIND_MORE || s->conn.eof;
	return s->met;
}

static const char client_of[] = "bytes of a client of listener";

static void
input(struct conn *c)
{
	struct session *s = session_of(c);

	worker_doing(c->w, client_of, s->door->listener->name);
	if (s->lingering || s->finishing)
		discard_input(s);
	else if (likely(s->met) || meet(s))
		session_bytes(s);
}

static void
drained(struct conn *c)
{
	struct session *s = session_of(c);

	if (s->lingering || s->finishing) {
		if (c->out.len == 0 && (c->eof || s->finishing))
			session_close(s);
		return;
	}
	if (s->front->drained != NULL)
		s->front->drained(s);
}

static void
failed(struct conn *c, int error)
{
	(void)error;
	session_close(session_of(c));
}

static void
secured(struct conn *c, int error)
{
	shake_ended(session_of(c), error);
}

static void
moved(struct conn *c, size_t n)
{
	throttle_moved(session_of(c), n);
}

static const struct conn_ops session_ops = {
	.input = input,
	.drained = drained,
	.secured = secured,
	.failed = failed,
	.what = client_of
};

static const struct conn_ops throttled_ops = {
	.input = input,
	.drained = drained,
	.secured = secured,
	.moved = moved,
	.failed = failed,
	.what = client_of
};

static void
deadline_passed(struct deadline *d)
{
	struct session *s = container_of(d, struct session, deadline);

	if (s->shaking || list_linked(&s->shakers))
		shake_late(s);
	else if (!s->lingering && !s->finishing)
		s->front->late(s);
	else if (!session_still_takes(s, s->lingering ? LINGER_MS : FINISH_MS))
		session_reset(s);
}

/* ------------------------------------------------------------ kept leases */

/* It goes back before its time. */
static void
forsake(struct session *s)
{
	if (s->front->forsaken != NULL)
		s->front->forsaken(s, s->kept->u);
	if (s->kept != NULL)
		lease_return(&s->kept);
}

/* Nothing is due on it: bytes or an end make it useless. */
static void
kept_changed(struct lease *l)
{
	struct session *s = l->holder;
	struct upconn *u = l->u;

	if (s->front->aside != NULL)
		s->front->aside(s, u);
	else
		upconn_mark(u, MARK_BROKEN, "unasked bytes or end");
	if (s->kept != NULL && s->kept->u == u && u->mark == MARK_BROKEN)
		forsake(s);
}

static void
kept_gone(struct lease *l, int error)
{
	(void)error;
	kept_changed(l);
}

static void
kept_drained(struct lease *l)
{
	(void)l;
}

static const struct lease_ops kept_ops = {
	.input = kept_changed,
	.drained = kept_drained,
	.gone = kept_gone,
	.tell = holders_tell_session
};

void
session_keep(struct session *s, struct lease **l)
{
	struct lease *old = s->kept;

	s->kept = *l;
	*l = NULL;
	if (old != NULL)
		lease_return(&old);
	s->kept->ops = &kept_ops;
	s->kept->holder = s;
	/* What choked it was for its exchange. */
	conn_resume(&s->kept->u->conn);
	if (s->kept->u->mark != MARK_CLEAN || !upconn_is_clean(s->kept->u))
		forsake(s);
}

bool
session_take_kept(struct session *s, struct ask *a)
{
	const struct upconn *u;

	if (s->kept == NULL)
		return false;
	u = s->kept->u;
	if (u->pool != a->pool || u->shelf->key_len != a->key_len || a->fresh ||
	    u->mark != MARK_CLEAN || !upconn_may_go_on(u) ||
	    (a->key_len > 0 && memcmp(u->shelf->key, a->key, a->key_len) != 0)) {
		forsake(s);
		return false;
	}
	a->lease = s->kept;
	a->lease->ops = a->ops;
	a->lease->holder = a->holder;
	a->lease->reused = true;
	a->lease->waited_ns = 0;
	s->kept = NULL;
	return true;
}

/* -------------------------------------------------------------- birth, end */

void
session_open(struct session *s)
{
	s->opened = true;
	if (s->front->open != NULL)
		s->front->open(s);
}

void
session_new(struct door *d, int fd, const struct addr_ip *client,
    bool counted)
{
	session_new_proxied(d, fd, client, counted, NULL);
}

static struct session *
make(struct door *d, int fd, const struct addr_ip *client, bool counted)
{
	struct lane *lane = d->lane;
	struct session *s = pile_get_zeroed(&lane->sessions[family_of(d)]);

	if (s == NULL) {
		close(fd);
		count_add(&d->rejected, 1);
		gate_left(d, client, counted);
		return NULL;
	}
	conn_open(&s->conn, &lane->worker, fd, WORKER_PRI_NEAR, &session_ops);
	list_init(&s->exchanges);
	list_init(&s->shakers);
	list_init(&s->ready);
	list_append(&d->sessions, &s->link);
	s->door = d;
	s->front = d->listener->proto->front;
	s->family = (uint8_t)family_of(d);
	s->met = s->family == FAMILY_BYTES || d->conf->tls.server != NULL;
	deadline_init(&s->deadline, deadline_passed);
	s->client = *client;
	s->counted = counted;
	s->idle_since_s = (uint32_t)(lane->worker.now_ns / NS_PER_S);
	throttle_begin(s);
	if (s->throttle != NULL)
		s->conn.ops = &throttled_ops;
	count_add(&d->active, 1);
	return s;
}

void
session_new_proxied(struct door *d, int fd, const struct addr_ip *client,
    bool counted, const struct proxy_header *said)
{
	struct session *s = make(d, fd, client, counted);

	if (s == NULL)
		return;
	if (said != NULL)
		proxied_begin(s, said);
	count_add(&d->accepted, 1);
	s->leaving = d->closed && !d->patient && !d->crosses;
	if (d->conf->tls.server != NULL && !s->front->asks_tls)
		shake_begin(s);
	else
		session_open(s);
}

struct session *
session_take_in(struct door *d, int fd, const struct addr_ip *client,
    bool counted)
{
	return make(d, fd, client, counted);
}

static void
session_release(struct worker *w, struct late *l)
{
	struct session *s = container_of(l, struct session, late);
	struct lane *lane = w->owner;

	pile_put(&lane->sessions[s->family], s);
}

/* All that it has but its socket. */
static void
give_up(struct session *s)
{
	struct door *d = s->door;

	shake_forget(s);
	if (s->opened && d->listener->proto->session_fini != NULL)
		d->listener->proto->session_fini(s);
	if (s->kept != NULL)
		lease_return(&s->kept);
	deadline_clear(&s->deadline);
	throttle_end(s);
	proxied_end(s);
	count_add(&d->received, s->conn.received);
	count_add(&d->sent, s->conn.sent);
}

static void
leave_door(struct session *s)
{
	struct door *d = s->door;

	list_remove(&s->link);
	list_remove(&s->ready);
	count_sub(&d->active, 1);
	gate_left(d, &s->client, s->counted);
	worker_late(&d->lane->worker, &s->late, session_release);
	door_session_left(d);
}

static void
end(struct session *s, enum fail why, bool hard)
{
	struct exchange *x;

	if (s->closed)
		return;
	s->closed = true;
	while ((x = exchange_first(s)) != NULL)
		exchange_drop(x, why);
	give_up(s);
	if (hard)
		conn_reset(&s->conn);
	else
		conn_close(&s->conn);
	leave_door(s);
}

int
session_take_out(struct session *s)
{
	struct conn *c = &s->conn;

	assert(session_is_idle(s) && s->kept == NULL && c->tls == NULL);
	s->closed = true;
	give_up(s);
	conn_detach(c);
	c->open = false;
	buf_clear(&c->w->blocks, &c->in);
	buf_clear(&c->w->blocks, &c->out);
	leave_door(s);
	return conn_fd(c);
}

void
session_close(struct session *s)
{
	end(s, FAIL_CLIENT_GONE, false);
}

/* There is no later turn to send it in. True: all of it is on its way, and a
   close does not take it back. */
static bool
says_last_word(struct session *s)
{
	if (!s->opened || s->closed || s->lingering || s->finishing ||
	    s->front->cut == NULL)
		return false;
	s->front->cut(s);
	if (!s->lingering)
		return false;
	conn_flush(&s->conn);
	return !s->closed && s->conn.out.len == 0 && !s->conn.stuck;
}

void
session_cut(struct session *s)
{
	bool hard = !session_is_idle(s);

	if (says_last_word(s))
		hard = false;
	end(s, FAIL_DRAINED, hard);
}

void
session_reset(struct session *s)
{
	end(s, FAIL_CLIENT_GONE, true);
}

void
session_reset_for(struct session *s, enum fail why)
{
	end(s, why, true);
}

bool
session_still_takes(struct session *s, int64_t ms)
{
	uint32_t sent = (uint32_t)s->conn.sent;

	if (s->conn.out.len == 0 ||
	    (!s->conn.held && sent == s->sent_seen))
		return false;
	s->sent_seen = sent;
	deadline_set(s->conn.w, &s->deadline, ms);
	return true;
}

bool
session_is_idle(const struct session *s)
{
	return list_empty(&s->exchanges) && !s->finishing && !s->lingering &&
	    s->conn.in.len == 0 && s->conn.out.len == 0 &&
	    (s->kept == NULL || !s->kept->u->alone);
}

/* The next one that has been idle for a while; those looked at go to the end of
   the list, so that the next call looks at others. */
static struct session *
idle_session(struct door *d, uint32_t now_s, unsigned *looks)
{
	for (; *looks > 0; --*looks) {
		struct list *l = list_first(&d->sessions);
		struct session *s = l == NULL ? NULL :
		    container_of(l, struct session, link);

		if (s == NULL)
			return NULL;
		list_remove(l);
		list_append(&d->sessions, l);
		if (session_is_idle(s) && now_s - s->idle_since_s >= 2)
			return s;
	}
	return NULL;
}

unsigned
sessions_make_room(struct lane *lane, unsigned most)
{
	uint32_t now_s = (uint32_t)(lane->worker.now_ns / NS_PER_S);
	struct list *l, *tmp;
	unsigned n = 0;

	list_each(l, tmp, &lane->doors) {
		struct door *d = container_of(l, struct door, link);
		unsigned looks = ROOM_LOOKS;
		struct session *s;

		while (n < most &&
		    (s = idle_session(d, now_s, &looks)) != NULL) {
			session_close(s);
			n++;
		}
	}
	return n;
}

void
session_finish(struct session *s)
{
	if (s->closed || s->lingering || s->finishing)
		return;
	if (s->front->parting != NULL)
		s->front->parting(s);
	if (s->closed)
		return;
	if (s->conn.out.len == 0) {
		session_close(s);
		return;
	}
	s->finishing = true;
	deadline_set(s->conn.w, &s->deadline, FINISH_MS);
}

void
session_linger(struct session *s)
{
	if (s->closed || s->lingering)
		return;
	s->lingering = true;
	conn_shut(&s->conn);
	conn_resume(&s->conn);
	deadline_set(s->conn.w, &s->deadline, LINGER_MS);
	discard_input(s);
}

void
session_alert(struct session *s, int alert)
{
	char record[HELLO_ALERT_LEN];

	hello_alert((enum hello_alert)alert, record);
	if (buf_append(&s->conn.w->blocks, &s->conn.out, record,
	    sizeof(record)) < 0) {
		session_close(s);
		return;
	}
	conn_send(&s->conn);
	session_linger(s);
}
