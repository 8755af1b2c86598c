/*
 * Sockets. See conn.h.
 *
 * One read for each readiness: on a level-triggered loop a short read says that
 * the socket is drained, and a second one would only fetch EAGAIN. Writing is
 * tried at once and watched for only after EAGAIN.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/tls.h"
#include "net/worker.h"

enum {
	TURN_MOST = 256 * 1024,         /* of TLS input in one turn */
	IOV_MOST = 64, READ_LEAST = 1024,
	COUNTED_STEP = 16 * 1024        /* written before who counts has a say */
};

/*
 * read() and write() are points where a thread may be cancelled, and in a
 * process with threads libc pays two locked instructions a call for that. No
 * thread of weir is ever cancelled.
 */
static inline ssize_t
plain_read(int fd, void *to, size_t room)
{
	return syscall(SYS_read, fd, to, room);
}

static inline ssize_t
plain_write(int fd, const void *from, size_t len)
{
	return syscall(SYS_write, fd, from, len);
}

/* What TLS has read ahead no readiness tells of. */
static void
read_ahead(struct conn *c)
{
	if (c->tls != NULL && tls_has_pending(c->tls))
		worker_ahead(c->w, &c->ahead);
}

static void
watch(struct conn *c)
{
	int want = 0;

	if (c->connecting || (c->stuck && !c->held))
		want |= EV_WRITE;
	if (!c->connecting && !c->paused && !c->held && !c->eof && !c->broken)
		want |= EV_READ;
	if (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) == want)
		return;
	ev_io_stop(c->w->loop, &c->io);
	if (want == 0)
		return;
	ev_io_modify(&c->io, want);
	ev_io_start(c->w->loop, &c->io);
	if (want & EV_READ)
		read_ahead(c);
}

void
conn_fail(struct conn *c, int error)
{
	if (c->broken)
		return;
	c->broken = true;
	c->stuck = false;
	watch(c);
	if (c->securing) {
		c->securing = false;
		c->ops->secured(c, error);
	} else
		c->ops->failed(c, error);
}

/* So much has come in, of so much that there was room for. */
static void
took_in(struct conn *c, size_t n, size_t room)
{
	/* Anything that came close to filling a block is a stream. */
	c->streaming = n >= room || n >= BUF_MEDIUM;
	c->received += n;
	if (c->ops->moved != NULL && n > 0)
		c->ops->moved(c, n);
	c->ops->input(c);
}

static void
read_some(struct conn *c)
{
	size_t room;
	ssize_t n;
	char *to;

	to = buf_reserve(&c->w->blocks, &c->in, READ_LEAST,
	    c->streaming ? BUF_LARGE : BUF_MEDIUM, &room);
	if (to == NULL) {
		conn_fail(c, ENOMEM);
		return;
	}
	n = plain_read(c->io.fd, to, room);
	buf_commit(&c->w->blocks, &c->in, n > 0 ? (size_t)n : 0);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			conn_fail(c, errno);
		return;
	}
	if (n == 0 && c->was_reset) {
		/* The system tells of a reset once only. */
		conn_fail(c, ECONNRESET);
		return;
	}
	if (n == 0) {
		c->eof = true;
		watch(c);
	}
	took_in(c, (size_t)n, room);
}

/* ---------------------------------------------------------------------- TLS */

static void
write_lost(struct conn *c, int error)
{
	c->shut = c->shut_done = true;
	/* EPIPE would say that a FIN came before. */
	c->was_reset = error == ECONNRESET;
}

/* May what is written go nowhere, for the peer may have said why? */
static bool
hears_out(const struct conn *c, int error)
{
	return (error == EPIPE || error == ECONNRESET) && c->hear_out &&
	    !c->paused && !c->eof;
}

/* What is encrypted goes out. False: it has not all, or c has failed. */
static bool
flush_records(struct conn *c)
{
	bool gone = tls_flush(c->tls, c->io.fd, c->w->tls_room);
	size_t n = tls_taken(c->tls);
	int error = tls_error(c->tls);

	if (!gone && error == 0) {
		c->stuck = true;
		watch(c);       /* it may be what reading has left */
		return false;
	}
	if (!gone && hears_out(c, error)) {
		write_lost(c, error);
		n = c->out.len;
	} else if (!gone) {
		conn_fail(c, error);
		return false;
	}
	tls_gone(c->tls);
	c->sent += n;
	buf_drop(&c->w->blocks, &c->out, n);
	if (c->ops->moved != NULL && n > 0)
		c->ops->moved(c, n);
	return true;
}

/* False: c has failed. */
static bool
write_secured(struct conn *c)
{
	struct tls_room *room = c->w->tls_room;

	/* What the socket did not take is the first. */
	while (flush_records(c) && c->open && !c->held && c->out.len > 0) {
		if (!tls_write(c->tls, c->io.fd, room, &c->out)) {
			(void)tls_flush(c->tls, c->io.fd, room);
			conn_fail(c, tls_error(c->tls));
			break;
		}
		if (tls_taken(c->tls) == 0)
			break;          /* until more has been read */
		if (c->shut && tls_taken(c->tls) == c->out.len)
			tls_bye(c->tls, c->io.fd, room);
	}
	return c->open && !c->broken;
}

/*
 * Where what TLS has to say while it reads is put. The thread's room is for all
 * connections, one at a time, and has to be empty behind each; what the socket
 * of this one will not take goes behind the rest that waits for it.
 */
static struct tls_room *
reading_room(const struct conn *c)
{
	return c->stuck ? NULL : c->w->tls_room;
}

static void
read_secured(struct conn *c)
{
	struct worker *w = c->w;
	struct block_store *store = &w->blocks;
	struct tls_room *records = reading_room(c);
	size_t room, n, total = 0;
	enum tls_did did;

	do {
		char *to = buf_reserve(store, &c->in, READ_LEAST,
		    c->streaming ? BUF_LARGE : BUF_MEDIUM, &room);

		if (to == NULL) {
			if (!c->stuck)
				(void)tls_flush(c->tls, c->io.fd, records);
			conn_fail(c, ENOMEM);
			return;
		}
		did = tls_read(c->tls, c->io.fd, records, to, room, &n);
		buf_commit(store, &c->in, n);
		total += n;
	} while (did == TLS_DONE && total < TURN_MOST);
	/* TLS may have had something to say to it: an alert where it has failed,
	   and that comes behind the bytes that were good. */
	if (did == TLS_FAILED && !c->stuck)
		(void)tls_flush(c->tls, c->io.fd, records);
	else if (!c->stuck && !flush_records(c) && c->broken)
		return;
	if (did == TLS_END) {
		c->eof = true;
		watch(c);
	}
	conn_send(c);                   /* what had to wait for it */
	if (total > 0 || did == TLS_END)
		took_in(c, total, BUF_LARGE);
	if (w->reading != c || !c->open)
		return;
	if (did == TLS_FAILED)
		conn_fail(c, tls_error(c->tls));
	else if (did == TLS_DONE && ev_is_active(&c->io) &&
	    (c->io.events & EV_READ))
		read_ahead(c);
}

static void
shake(struct conn *c)
{
	struct worker *w = c->w;
	enum tls_did did = tls_shake(c->tls, c->io.fd, reading_room(c));

	if (!c->stuck && !flush_records(c) && c->broken)
		return;
	if (did == TLS_WAIT)
		return;
	if (did != TLS_DONE) {
		conn_fail(c, did == TLS_END ? ECONNRESET : tls_error(c->tls));
		return;
	}
	c->securing = false;
	c->ops->secured(c, 0);
	if (w->reading != c || !c->open)
		return;
	conn_send(c);                   /* what was queued meanwhile */
	if (ev_is_active(&c->io) && (c->io.events & EV_READ))
		read_secured(c);
}

int
conn_secure(struct conn *c, struct ssl_st *ssl)
{
	c->tls = tls_new(ssl);
	if (c->tls == NULL || tls_unread(c->tls, &c->in) < 0)
		return -1;
	buf_clear(&c->w->blocks, &c->in);
	c->securing = true;
	/* Who speaks first does so from the loop, as is whatever comes of it. */
	if (!SSL_is_server(ssl) || tls_has_pending(c->tls))
		worker_ahead(c->w, &c->ahead);
	return 0;
}

struct ssl_st *
conn_ssl(const struct conn *c)
{
	return c->tls != NULL ? tls_ssl(c->tls) : NULL;
}

/* ------------------------------------------------------------------- events */

static void
readable(struct conn *c)
{
	if (c->tls == NULL) {
		read_some(c);
		return;
	}
	tls_readable(c->tls);
	if (c->securing)
		shake(c);
	else
		read_secured(c);
}

static void
connect_ended(struct conn *c)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	c->connecting = false;
	watch(c);
	if (error == 0)
		conn_send(c);           /* what was queued meanwhile */
	c->ops->connected(c, error);
}

static void
ready(struct ev_loop *loop, struct ev_io *io, int revents)
{
	struct conn *c = io->data;
	struct worker *w = c->w;

	(void)loop;
	worker_doing(w, c->ops->what, NULL);
	if (c->connecting)
		connect_ended(c);
	else {
		/* Reading first: a peer that has answered and gone is heard
		   before the failing write is noticed. Its holder, being told,
		   may give it to another worker: then that one has it. */
		w->reading = c;
		if (revents & EV_READ)
			readable(c);
		if ((revents & EV_WRITE) && w->reading == c && c->open &&
		    c->stuck) {
			c->stuck = false;
			conn_flush(c);
		}
		w->reading = NULL;
	}
	worker_flush(w);
}

static void
conn_begin(struct conn *c, struct worker *w, int fd, int priority,
    const struct conn_ops *ops)
{
	*c = (struct conn){ .w = w, .ops = ops, .open = true };
	list_init(&c->pending);
	list_init(&c->ahead);
	ev_io_init(&c->io, ready, fd, EV_READ);
	ev_set_priority(&c->io, priority);
	c->io.data = c;
}

void
conn_open(struct conn *c, struct worker *w, int fd, int priority,
    const struct conn_ops *ops)
{
	conn_begin(c, w, fd, priority, ops);
	ev_io_start(w->loop, &c->io);
}

bool
conn_is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS ||
	    error == ENOMEM || error == EADDRNOTAVAIL;
}

void
conn_keepalive(struct conn *c, int seconds)
{
	int one = 1, probes = 3, every = seconds, fd = c->io.fd;

	/* Failures are harmless: a less watched connection. On Unix sockets
	   there is nothing to watch. */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &every, sizeof(every));
	every = every / 3 > 0 ? every / 3 : 1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

/*
 * 0 = connected, 1 = under way, -1. On one machine the handshake is over when
 * connect() returns, although it says EINPROGRESS: the peer's answer has been
 * taken in at its very end. Asking again costs one call and spares the watching
 * for writability with its three.
 */
static int
connect_now(int fd, const struct addr *to)
{
	if (connect(fd, &to->sa, to->len) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -1;
	if (connect(fd, &to->sa, to->len) == 0 || errno == EISCONN)
		return 0;
	return errno == EALREADY || errno == EINPROGRESS ? 1 : -1;
}

int
conn_connect(struct conn *c, struct worker *w, const struct addr *to,
    int priority, const struct conn_ops *ops)
{
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);
	int one = 1, got, saved;

	if (fd < 0)
		return -1;
	if (to->sa.sa_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one));
	got = connect_now(fd, to);
	if (got < 0) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	conn_begin(c, w, fd, priority, ops);
	c->connecting = got > 0;
	watch(c);
	return c->connecting ? CONN_COMING : CONN_MADE;
}

static void
drop(struct conn *c)
{
	c->open = false;
	ev_io_stop(c->w->loop, &c->io);
	list_remove(&c->pending);
	list_remove(&c->ahead);
	buf_clear(&c->w->blocks, &c->in);
	buf_clear(&c->w->blocks, &c->out);
	tls_free(c->tls);
	c->tls = NULL;
	close(c->io.fd);
}

void
conn_close(struct conn *c)
{
	if (!c->open)
		return;
	/* Where something is unsent the peer must not take it for all. */
	if (c->tls != NULL && !c->securing && !c->broken && !c->stuck &&
	    c->out.len == 0) {
		tls_bye(c->tls, c->io.fd, c->w->tls_room);
		(void)tls_flush(c->tls, c->io.fd, c->w->tls_room);
	}
	drop(c);
}

void
conn_reset(struct conn *c)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	if (!c->open)
		return;
	(void)setsockopt(c->io.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	drop(c);
}

void
conn_send(struct conn *c)
{
	if (list_linked(&c->pending) || c->stuck || !c->open || c->broken ||
	    (c->out.len == 0 && !c->shut))
		return;
	list_append(c->gathers ? &c->w->gathered : &c->w->flush, &c->pending);
}

/* Apart, so that the usual single slice does not pay for clearing iov. */
static ssize_t __attribute__((noinline))
write_many(struct conn *c, size_t *total)
{
	struct iovec iov[IOV_MOST];
	int many = buf_iov(&c->out, iov, IOV_MOST, total);

	return syscall(SYS_writev, c->io.fd, iov, many);
}

/* How much of out was written; -1 = failed (and said so). */
static ssize_t
write_some(struct conn *c)
{
	const char *bytes;
	size_t total;
	ssize_t n;

	if (c->out.first->next == NULL || c->ops->moved != NULL) {
		bytes = buf_front(&c->out, &total);
		if (c->ops->moved != NULL && total > COUNTED_STEP)
			total = COUNTED_STEP;
		n = plain_write(c->io.fd, bytes, total);
	} else
		n = write_many(c, &total);
	if (n < 0) {
		if (hears_out(c, errno)) {
			write_lost(c, errno);
			return (ssize_t)total;  /* nowhere to go: forget it */
		}
		if (errno != EAGAIN && errno != EINTR) {
			conn_fail(c, errno);
			return -1;
		}
		n = 0;
	}
	if ((size_t)n < total)
		c->stuck = true;
	return n;
}

/* False: c has failed. */
static bool
write_plain(struct conn *c)
{
	while (c->out.len > 0 && !c->stuck && !c->held) {
		ssize_t n = write_some(c);

		if (n < 0)
			return false;
		c->sent += (uint64_t)n;
		buf_drop(&c->w->blocks, &c->out, (size_t)n);
		if (c->ops->moved != NULL && n > 0)
			c->ops->moved(c, (size_t)n);
	}
	return true;
}

static void
send_end(struct conn *c)
{
	if (c->tls != NULL) {
		tls_bye(c->tls, c->io.fd, c->w->tls_room);
		if (!flush_records(c))
			return;
	}
	c->shut_done = true;
	(void)shutdown(c->io.fd, SHUT_WR);
}

void
conn_flush(struct conn *c)
{
	bool was_full = ev_is_active(&c->io) && (c->io.events & EV_WRITE);
	bool had_output = c->out.len > 0;

	if (!c->open || c->broken || c->connecting || c->held)
		return;
	if (c->ops->moved != NULL && c->out.len > 0)
		c->ops->moved(c, 0);
	if (c->securing)
		(void)flush_records(c);
	else if (c->tls != NULL ? !write_secured(c) : !write_plain(c))
		return;
	if (c->broken)
		return;
	if (c->out.len == 0 && c->shut && !c->shut_done && !c->stuck)
		send_end(c);
	if (c->stuck != was_full)
		watch(c);
	if (had_output && c->out.held <= CONN_LOW &&
	    (was_full || c->out.len == 0))
		c->ops->drained(c);
}

void
conn_shut(struct conn *c)
{
	if (c->shut)
		return;
	c->shut = true;
	conn_send(c);
}

void
conn_pause(struct conn *c)
{
	if (c->paused)
		return;
	c->paused = true;
	if (c->open)
		watch(c);
}

void
conn_resume(struct conn *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	if (c->open)
		watch(c);
}

void
conn_hold(struct conn *c, bool on)
{
	if (c->held == on)
		return;
	c->held = on;
	if (!c->open)
		return;
	watch(c);
	if (!on)
		conn_send(c);
}

bool
conn_is_quiet(struct conn *c)
{
	char byte;

	if (!c->open || c->broken || c->eof)
		return false;
	if (c->tls != NULL)
		return tls_is_quiet(c->tls, c->io.fd);
	return recv(c->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	    errno == EAGAIN;
}

bool
conn_is_reset(const struct conn *c)
{
	struct pollfd p = { .fd = c->io.fd };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

void
conn_detach(struct conn *c)
{
	ev_io_stop(c->w->loop, &c->io);
	if (c->w->reading == c)
		c->w->reading = NULL;
	/* Before the socket can be anybody else's. */
	worker_unwatch(c->w, c->io.fd);
	list_remove(&c->pending);
	list_remove(&c->ahead);
}

void
conn_attach(struct conn *c, struct worker *w)
{
	c->w = w;
	/* Said anew: another socket of that number may have been closed here in
	   this very turn, and libev would take this one for it, which the
	   kernel watches already. */
	ev_io_set(&c->io, c->io.fd, EV_READ);
	watch(c);
}
