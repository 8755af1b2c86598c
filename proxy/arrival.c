/*
 * Arrivals. See arrival.h.
 *
 * The bytes are looked at first (MSG_PEEK), and then as many taken as belong to
 * the header: a reader that took more would have to hand them on to everything
 * that may come after it. Two system calls for each connection, mostly.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/arrival.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/log.h"
#include "net/proxy_header.h"
#include "proxy/gate.h"
#include "proxy/runtime.h"
#include "proxy/session.h"

enum {
	USUAL = 256,                    /* holds all but those with much to
					   say */
	WARN_EVERY_S = 10
};

_Static_assert((int)USUAL > (int)PROXY_HEADER_V1_MOST, "a line fits");

/* Owned by its door; has no session yet. */
struct arrival {
	struct list link;               /* door->arrivals */
	struct ev_io io;
	struct deadline deadline;
	struct door *door;
	struct addr_ip peer;            /* the proxy */
	size_t len;                     /* taken so far */
	size_t size;                    /* of bytes */
	char *bytes;                    /* usual, or from the heap */
	char usual[USUAL];
};

bool
arrival_is_due(const struct conf_listener *l, const struct addr_ip *peer)
{
	size_t i;

	if (peer->family == AF_UNIX)
		return l->proxy_protocol.from_unix;
	for (i = 0; i < l->proxy_protocol.from.n; i++)
		if (addr_net_holds(&l->proxy_protocol.from.v[i], peer))
			return true;
	return false;
}

/* --------------------------------------------------------------------- ends */

/* It is no arrival any more; its socket is the caller's. Memory stays for the
   caller to free. */
static int
leave(struct arrival *a)
{
	int fd = a->io.fd;

	ev_io_stop(a->door->lane->worker.loop, &a->io);
	deadline_clear(&a->deadline);
	list_remove(&a->link);
	return fd;
}

static void
arrival_free(struct arrival *a)
{
	if (a->bytes != a->usual)
		free(a->bytes);
	free(a);
}

static void
end(struct arrival *a)
{
	struct door *d = a->door;

	close(leave(a));
	gate_left(d, &a->peer, false);
	arrival_free(a);
	door_session_left(d);
}

/* A proxy that is set up wrongly does so with each connection: a line now and
   then is enough. */
static void
warn(struct arrival *a, const char *why)
{
	struct door *d = a->door;
	int64_t now_ns = d->lane->worker.now_ns;
	char peer[ADDR_TEXT_MAX];

	d->headers_bad++;
	if (d->headers_bad_ns != 0 &&
	    now_ns - d->headers_bad_ns < WARN_EVERY_S * NS_PER_S)
		return;
	log_warn(d->listener->name, "closed a connection from %s: PROXY header: "
	    "%s (%llu so far)", addr_ip_print(&a->peer, true, peer), why,
	    (unsigned long long)d->headers_bad);
	d->headers_bad_ns = now_ns;
}

static void
fail(struct arrival *a, enum fail why, const char *words)
{
	count_add(&a->door->failures[why], 1);
	count_add(&a->door->rejected, 1);
	warn(a, words);
	end(a);
}

static void
deadline_passed(struct deadline *d)
{
	fail(container_of(d, struct arrival, deadline), FAIL_PROXY_TIMEOUT,
	    "it did not come in time");
}

/* ------------------------------------------------------------------ reading */

/* The header is there: its client comes in, if it may. */
static void
come_in(struct arrival *a, const struct proxy_header *h)
{
	const struct addr_ip *client = h->own ? &a->peer : &h->from;
	struct door *d = a->door;
	int64_t retry_after_ns;
	bool counted, flood;
	enum limit why;
	int fd = leave(a);

	why = gate_arrived(d, client, &counted, &retry_after_ns, &flood);
	if (why == N_LIMITS)
		session_new_proxied(d, fd, client, counted, h);
	else {
		gate_left(d, client, false);
		door_turn_away(d, fd, why, retry_after_ns, flood);
	}
	arrival_free(a);
	door_session_left(d);
}

/* From here on there is room for any header. */
static bool
grow(struct arrival *a)
{
	char *more;

	if (a->len < a->size || a->bytes != a->usual)
		return true;
	more = malloc(PROXY_HEADER_MOST);
	if (more == NULL)
		return false;
	memcpy(more, a->bytes, a->len);
	a->bytes = more;
	a->size = PROXY_HEADER_MOST;
	return true;
}

/* Off the socket, with what has been looked at. False: it is gone. */
static bool
take(struct arrival *a, size_t n)
{
	ssize_t got = recv(a->io.fd, a->bytes + a->len, n, MSG_DONTWAIT);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	a->len += (size_t)got;
	return true;
}

/* The peer has ended. One that never said a word only looked whether somebody
   listens, as balancers do. */
static void
gone(struct arrival *a)
{
	if (a->len == 0)
		end(a);
	else
		fail(a, FAIL_PROXY_HEADER, "the connection ended inside of it");
}

static void
read_some(struct arrival *a)
{
	struct proxy_header h;
	ssize_t n;

	if (!grow(a)) {
		end(a);
		return;
	}
	n = recv(a->io.fd, a->bytes + a->len, a->size - a->len,
	    MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		gone(a);
		return;
	}
	switch (proxy_header_read(a->bytes, a->len + (size_t)n, &h)) {
	case PARSE_MORE:
		if (!take(a, (size_t)n))
			gone(a);
		return;
	case PARSE_DONE:
		if (!take(a, h.len - a->len))
			gone(a);
		else if (a->len == h.len)
			come_in(a, &h);
		return;
	case PARSE_BAD:
		fail(a, FAIL_PROXY_HEADER, h.why);
		return;
	}
}

static void
ready(struct ev_loop *loop, struct ev_io *io, int revents)
{
	struct arrival *a = io->data;
	struct worker *w = &a->door->lane->worker;

	(void)loop, (void)revents;
	read_some(a);
	worker_flush(w);
}

/* -------------------------------------------------------------------- birth */

void
arrival_new(struct door *d, int fd, const struct addr_ip *peer)
{
	enum limit why = gate_arrival(d);
	struct arrival *a;

	if (why != N_LIMITS) {
		door_turn_away(d, fd, why, 0, false);
		return;
	}
	a = malloc(sizeof(*a));
	if (a == NULL) {
		close(fd);
		count_add(&d->rejected, 1);
		gate_left(d, peer, false);
		return;
	}
	a->door = d;
	a->peer = *peer;
	a->len = 0;
	a->bytes = a->usual;
	a->size = sizeof(a->usual);
	list_init(&a->link);
	list_append(&d->arrivals, &a->link);
	deadline_init(&a->deadline, deadline_passed);
	deadline_set(&d->lane->worker, &a->deadline,
	    d->conf->timeouts.handshake_ms);
	ev_io_init(&a->io, ready, fd, EV_READ);
	ev_set_priority(&a->io, WORKER_PRI_NEAR);
	a->io.data = a;
	ev_io_start(d->lane->worker.loop, &a->io);
}

bool
arrivals_close(struct door *d, bool idle_only)
{
	struct list *l, *tmp;

	list_each(l, tmp, &d->arrivals) {
		struct arrival *a = container_of(l, struct arrival, link);

		if (!idle_only || a->len == 0)
			end(a);
	}
	return !list_empty(&d->arrivals);
}
