/*
 * Listeners and doors. See listener.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/log.h"
#include "net/patient.h"
#include "proxy/arrival.h"
#include "proxy/gate.h"
#include "proxy/generation.h"
#include "proxy/runtime.h"
#include "proxy/session.h"

enum {
	ACCEPT_BATCH = 16,              /* then others get their turn */
	QUEUE_MOST = 4096,              /* of a Unix socket: bind.backlog */
	FULL_PAUSE_MS = 50,
	REFUSED_MOST = 256              /* that wait to be told; others are told
					   at once */
};

const char *const outcome_names[N_OUTCOMES] = {
	[OUTCOME_1XX] = "1xx", [OUTCOME_2XX] = "2xx", [OUTCOME_3XX] = "3xx",
	[OUTCOME_4XX] = "4xx", [OUTCOME_5XX] = "5xx", [OUTCOME_DONE] = "done",
	[OUTCOME_FAILED] = "failed", [OUTCOME_CLIENT_ABORT] = "client_abort"
};

/* ------------------------------------------------------------- made by main */

static void set_accepting(struct door *d, bool on);

static void
pause_over(struct deadline *deadline)
{
	struct door *d = container_of(deadline, struct door, pause);

	set_accepting(d, true);
}

static struct door *
door_new(struct listener *l, struct lane *lane)
{
	struct door *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->listener = l;
	d->lane = lane;
	d->draining = l->proto->front->redirects ? &lane->runtime->dismissing :
	    &lane->runtime->parting;
	list_init(&d->sockets);
	list_init(&d->sessions);
	list_init(&d->arrivals);
	list_init(&d->refused);
	list_init(&d->shakers);
	list_init(&d->link);
	deadline_init(&d->pause, pause_over);
	return d;
}

/* Refused, and not told yet. */
struct refused {
	struct list link;               /* door->refused */
	struct deadline deadline;
	struct door *door;
	enum limit why;
	int64_t retry_after_ns;
	int fd;
};

static void
refused_end(struct refused *r)
{
	list_remove(&r->link);
	r->door->n_refused--;
	close(r->fd);
	free(r);
}

/* The lane has ended. */
static void
door_free(struct door *d)
{
	struct list *l, *tmp;

	if (d == NULL)
		return;
	list_each(l, tmp, &d->refused)
		refused_end(container_of(l, struct refused, link));
	free(d);
}

struct listener *
listener_new(const char *name, const struct proto *proto,
    struct lane *const *lanes, size_t n_lanes)
{
	struct listener *l;
	size_t i;

	l = calloc(1, sizeof(*l) + n_lanes * sizeof(l->doors[0]));
	if (l == NULL)
		return NULL;
	l->name = strdup(name);
	l->proto = proto;
	l->n_doors = n_lanes;
	for (i = 0; i < n_lanes; i++) {
		l->doors[i] = door_new(l, lanes[i]);
		if (l->doors[i] == NULL)
			break;
	}
	if (l->name == NULL || i < n_lanes) {
		listener_free(l);
		return NULL;
	}
	return l;
}

void
listener_free(struct listener *l)
{
	size_t i;

	if (l == NULL)
		return;
	for (i = 0; i < l->n_doors; i++)
		door_free(l->doors[i]);
	gate_fini(l);
	free(l->name);
	free(l);
}

/* --------------------------------------------------------------- accepting */

/*
 * Say why, where the protocol has words for it, and close. What the client has
 * sent already is read: to close upon unread bytes would send a RST, which can
 * overtake the words.
 */
static void
tell(const struct door *d, int fd, enum limit why, int64_t retry_after_ns)
{
	const struct front_ops *front = d->listener->proto->front;
	char words[512];
	size_t n = 0;

	if (front->refuse != NULL && why != LIMIT_DENIED &&
	    (d->conf->tls.server == NULL || front->asks_tls))
		n = front->refuse(why, retry_after_ns, words, sizeof(words));
	if (n > 0) {
		(void)send(fd, words, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)shutdown(fd, SHUT_WR);
		(void)recv(fd, words, sizeof(words), MSG_DONTWAIT);
	}
}

static void
refused_late(struct deadline *d)
{
	struct refused *r = container_of(d, struct refused, deadline);

	tell(r->door, r->fd, r->why, r->retry_after_ns);
	refused_end(r);
}

void
door_turn_away(struct door *d, int fd, enum limit why, int64_t retry_after_ns,
    bool flood)
{
	struct refused *r = NULL;

	count_add(&d->rejected, 1);
	if (flood && d->n_refused < REFUSED_MOST)
		r = calloc(1, sizeof(*r));
	if (r == NULL) {
		tell(d, fd, why, retry_after_ns);
		close(fd);
		return;
	}
	*r = (struct refused){ .door = d, .why = why, .fd = fd,
	    .retry_after_ns = retry_after_ns };
	deadline_init(&r->deadline, refused_late);
	list_append(&d->refused, &r->link);
	d->n_refused++;
	deadline_set(&d->lane->worker, &r->deadline, gate_flood_ms(d));
}

static void
begin_session(struct door *d, int fd, const struct addr *peer)
{
	struct lane *lane = d->lane;
	int64_t retry_after_ns;
	struct addr_ip client;
	enum limit why;
	bool counted, flood;

	/* Descriptors beyond this are for upstreams: somebody who is idle makes
	   room, or there is none. */
	if (fd > lane->runtime->client_fds &&
	    sessions_make_room(lane, 2) == 0) {
		gate_refused(d, LIMIT_DESCRIPTORS);
		door_turn_away(d, fd, LIMIT_DESCRIPTORS, 0, false);
		return;
	}
	addr_to_ip(peer, &client);
	if (arrival_is_due(d->conf, &client)) {
		arrival_new(d, fd, &client);
		return;
	}
	why = gate_connection(d, &client, &counted, &retry_after_ns, &flood);
	if (why != N_LIMITS)
		door_turn_away(d, fd, why, retry_after_ns, flood);
	else
		session_new(d, fd, &client, counted);
}

/* -------------------------------------------- a client for another lane */

struct dealt {
	struct mail mail;
	struct door *door;
	struct addr peer;
	int fd;
};

static void
dealt_arrived(struct worker *w, struct mail *m)
{
	struct dealt *dealt = container_of(m, struct dealt, mail);

	(void)w;
	begin_session(dealt->door, dealt->fd, &dealt->peer);
	free(dealt);
}

static void
dealt_dropped(struct mail *m)
{
	struct dealt *dealt = container_of(m, struct dealt, mail);

	close(dealt->fd);
	free(dealt);
}

/* A Unix socket has one queue: the lane that accepts deals in turn. */
static void
deal(struct socket *sock, int fd, const struct addr *peer)
{
	struct listener *l = sock->door->listener;
	struct door *d = l->doors[sock->next_lane++ % l->n_doors];
	struct dealt *dealt;

	if (d == sock->door || (dealt = calloc(1, sizeof(*dealt))) == NULL) {
		begin_session(sock->door, fd, peer);
		return;
	}
	dealt->mail.deliver = dealt_arrived;
	dealt->mail.drop = dealt_dropped;
	dealt->door = d;
	dealt->peer = *peer;
	dealt->fd = fd;
	worker_post(&d->lane->worker, &dealt->mail);
}

/* Accept one; false when there is none left or no descriptor for it. */
static bool
accept_one(struct socket *sock)
{
	struct door *d = sock->door;
	struct addr peer = { .len = sizeof(peer.ss) };
	int fd = accept4(sock->io.fd, &peer.sa, &peer.len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (conn_is_shortage(errno) &&
		    sessions_make_room(d->lane, 2) == 0)
			set_accepting(d, false);
		/* Anything else is of that one client: it has gone again. */
		return errno == EINTR || errno == ECONNABORTED;
	}
	if (sock->shared)
		deal(sock, fd, &peer);
	else
		begin_session(d, fd, &peer);
	return !d->full;
}

static void
accept_ready(struct ev_loop *loop, struct ev_io *io, int revents)
{
	struct socket *sock = io->data;
	struct door *d = sock->door;
	int i;

	(void)loop, (void)revents;
	worker_doing(&d->lane->worker, "accepting at listener",
	    d->listener->name);
	for (i = 0; i < ACCEPT_BATCH && accept_one(sock); i++)
		;
	worker_flush(&d->lane->worker);
}

static void
set_accepting(struct door *d, bool on)
{
	struct worker *w = &d->lane->worker;
	struct list *l, *tmp;

	if (d->full == !on)
		return;
	if (!on) {
		log_debug(d->listener->name, "out of descriptors: accepting "
		    "pauses");
		deadline_set(w, &d->pause, FULL_PAUSE_MS);
	} else
		deadline_clear(&d->pause);
	d->full = !on;
	list_each(l, tmp, &d->sockets) {
		struct socket *sock = container_of(l, struct socket, link);

		if (on)
			ev_io_start(w->loop, &sock->io);
		else
			ev_io_stop(w->loop, &sock->io);
	}
}

static void
let_generation_go(struct door *d)
{
	if (!d->holds_gen)
		return;
	d->holds_gen = false;
	generation_leave(d->lane, d->gen);
}

void
door_hold(struct door *d)
{
	if (d->holds_gen || d->gen == NULL)
		return;
	(void)generation_use(d->lane, d->gen);
	d->holds_gen = true;
}

void
door_reopen(struct door *d)
{
	let_generation_go(d);
	d->closed = d->crosses = false;
}

bool
door_is_empty(const struct door *d)
{
	return list_empty(&d->sessions) && list_empty(&d->arrivals);
}

void
door_session_left(struct door *d)
{
	if (d->closed && door_is_empty(d))
		let_generation_go(d);
	if (d->full)
		set_accepting(d, true);
}

/* ----------------------------------------------------------------- sockets */

void
door_open_socket(struct door *d, int fd, const struct addr *addr, bool shared)
{
	struct socket *sock = patient_zeroed(sizeof(*sock));

	if (sock == NULL) {
		log_error(d->listener->name, "out of memory: a socket is not "
		    "listened on");
		close(fd);
		return;
	}
	sock->door = d;
	sock->addr = *addr;
	sock->shared = shared;
	ev_io_init(&sock->io, accept_ready, fd, EV_READ);
	ev_set_priority(&sock->io, WORKER_PRI_ACCEPT);
	sock->io.data = sock;
	list_append(&d->sockets, &sock->link);
	ev_io_start(d->lane->worker.loop, &sock->io);
}

/* How many are in its queue. Of a socket that listens tcp_info tells that as
   tcpi_unacked (what ss(8) shows as Recv-Q); of a Unix socket nothing does. */
static unsigned
queue_length(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ?
	    info.tcpi_unacked : QUEUE_MOST;
}

static void
close_socket(struct socket *sock)
{
	struct door *d = sock->door;
	unsigned left = queue_length(sock->io.fd);

	/* Whoever is in the queue has been told that somebody listens. Not who
	   comes meanwhile: where the queue is somebody else's from now on it may
	   fill faster than it is emptied here. */
	while (left-- > 0 && !d->full && accept_one(sock))
		;
	ev_io_stop(d->lane->worker.loop, &sock->io);
	worker_unwatch(&d->lane->worker, sock->io.fd);
	close(sock->io.fd);
	list_remove(&sock->link);
	free(sock);
}

void
door_close_socket(struct door *d, const struct addr *addr)
{
	struct list *l, *tmp;

	list_each(l, tmp, &d->sockets) {
		struct socket *sock = container_of(l, struct socket, link);

		if (addr_equal(&sock->addr, addr))
			close_socket(sock);
	}
}

/* Where another weir has taken over: those without TLS, unless the front says
   nothing of them. */
static bool
lets_cross(const struct door *d)
{
	const struct runtime *rt = d->lane->runtime;
	const struct front_ops *front = d->listener->proto->front;

	return rt->handed_over && rt->clients_cross && front->pack != NULL &&
	    d->conf != NULL && (d->conf->tls.server == NULL || front->asks_tls);
}

void
door_close(struct door *d)
{
	struct list *l, *tmp;

	while ((l = list_first(&d->sockets)) != NULL)
		close_socket(container_of(l, struct socket, link));
	deadline_clear(&d->pause);
	if (d->closed)
		return;
	d->closed = true;
	d->full = false;
	d->patient = d->lane->runtime->handed_over &&
	    !d->listener->proto->front->redirects;
	d->crosses = lets_cross(d);
	if (door_is_empty(d))
		let_generation_go(d);
	else
		door_hold(d);
	for (l = d->sessions.next; !d->patient && l != &d->sessions; l = tmp) {
		struct session *s = container_of(l, struct session, link);

		tmp = l->next;
		if (session_may_cross(s))
			continue;
		s->leaving = true;
		if (s->opened && s->front->bye != NULL)
			s->front->bye(s);
	}
}
