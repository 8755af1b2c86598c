/*
 * One non-blocking stream socket on a worker's loop, with its input and output
 * queues. Embedded by value in whatever uses it (the holder).
 *
 * The holder's callbacks may close the conn, but its memory must live to the
 * end of the turn (worker_late). After conn_close() no callback comes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/buf.h"
#include "net/list.h"

struct conn;
struct ssl_st;
struct tls;
struct worker;

enum {
	CONN_HIGH = 256 * 1024,         /* block bytes in a queue: pause whoever
					   fills it ... */
	CONN_LOW = 64 * 1024            /* ... until it has fallen to this */
};

struct conn_ops {
	/* Bytes arrived in c->in, or the peer ended (c->eof), or both. */
	void (*input)(struct conn *c);
	/* c->out fell to CONN_LOW or less after a write that could not finish
	   at once, or it is empty. */
	void (*drained)(struct conn *c);
	/* conn_connect() came to an end: error 0, or an errno. */
	void (*connected)(struct conn *c, int error);
	/* conn_secure() came to an end: error 0, or an errno; EPROTO: conn_ssl()
	   knows more. Then the conn still has to be closed. Required where
	   that is used. */
	void (*secured)(struct conn *c, int error);
	/* n bytes came in or went out; 0: some are about to. Optional: for
	   those who count them, and may conn_hold() it. */
	void (*moved)(struct conn *c, size_t n);
	/* Reading or writing failed: the peer is gone; the conn still has to
	   be closed. */
	void (*failed)(struct conn *c, int error);
	/* Optional: whose conn it is, for worker_doing(). */
	const char *what;
};

struct conn {
	struct ev_io io;
	struct worker *w;
	const struct conn_ops *ops;
	struct buf in, out;
	struct tls *tls;                /* NULL = bytes are as on the wire */
	struct list pending;            /* on w->flush */
	struct list ahead;              /* on w->ahead */
	bool open : 1;
	bool connecting : 1;
	bool paused : 1;                /* holder wants no more input */
	bool held : 1;                  /* neither reads nor writes for now */
	bool eof : 1;                   /* peer sent FIN */
	bool stuck : 1;                 /* out waits for the socket */
	bool shut : 1;                  /* send FIN when out is empty */
	bool shut_done : 1;             /* FIN is on its way */
	bool was_reset : 1;             /* a write said so, in place of a read:
					   the end that follows is none */
	bool broken : 1;                /* failed: nothing more to read or write */
	bool streaming : 1;             /* last read filled its room */
	bool hear_out : 1;              /* when writing fails, go on reading:
					   the peer may have said why */
	bool securing : 1;              /* in the TLS handshake */
	bool gathers : 1;               /* many write to it in one turn: output
					   leaves at its end, in one go */
	uint64_t received, sent;        /* bytes since open */
};

/* Takes over fd, a connected non-blocking socket, and starts reading. */
void conn_open(struct conn *c, struct worker *w, int fd, int priority,
    const struct conn_ops *ops);

/*
 * Make a socket and connect it. CONN_COMING: ops->connected comes later, never
 * from inside this call. CONN_MADE: it is connected already, which is usual on
 * one machine, and that call will not come. -1: errno says why (EMFILE,
 * EADDRNOTAVAIL, ...), and there is nothing to close.
 */
enum { CONN_COMING, CONN_MADE };
int conn_connect(struct conn *c, struct worker *w, const struct addr *to,
    int priority, const struct conn_ops *ops) MUST_CHECK;

/*
 * From now on its bytes are those inside of a TLS connection, of which ssl,
 * taken over, knows the side and the rules; what is in c->in is the beginning
 * of that. ops->secured comes later, never from inside this call, and nothing
 * else does before it. What is queued meanwhile waits. -1 when out of memory:
 * the conn still has to be closed.
 */
int conn_secure(struct conn *c, struct ssl_st *ssl) MUST_CHECK;
/* Once it is: NULL = it is not. */
struct ssl_st *conn_ssl(const struct conn *c);

/* Probe the peer after so many seconds of silence, three times in a row. */
void conn_keepalive(struct conn *c, int seconds);

/* Does the errno say that this machine, not the peer, has run out of something
   (descriptors, ports, memory)? */
bool conn_is_shortage(int error);

/* Closes the socket and drops both queues. Twice is fine. */
void conn_close(struct conn *c);
/* Closes with a RST, so that the peer cannot mistake it for an end. */
void conn_reset(struct conn *c);

/* There is output in c->out: it is written when the current callback is over,
   or, where c->gathers, the turn. */
void conn_send(struct conn *c);
/* Write now what can be written. Called by the worker. */
void conn_flush(struct conn *c);

/* Send FIN after all output. */
void conn_shut(struct conn *c);

/* As if reading had failed with that error: for whoever gives the peer up and is
   to be told like everybody. */
void conn_fail(struct conn *c, int error);

void conn_pause(struct conn *c);
void conn_resume(struct conn *c);

/* Let it neither read nor write until further notice, whatever else pauses or
   resumes it: for who has moved more than he may. */
void conn_hold(struct conn *c, bool on);

/*
 * Is an idle connection still as it was left: open, no EOF, no byte waiting?
 * One system call (recv with MSG_PEEK), from any thread that has it for itself;
 * under TLS what is TLS's own is read.
 */
bool conn_is_quiet(struct conn *c);

/* Has the peer reset the connection? For one that is held, or paused, and hears
   nothing of it. One system call. */
bool conn_is_reset(const struct conn *c);

/* Take the socket off this worker's loop and onto another one's. The queues
   must be empty of shared blocks: input that only this conn holds may stay. */
void conn_detach(struct conn *c);
void conn_attach(struct conn *c, struct worker *w);

static inline int
conn_fd(const struct conn *c)
{
	return c->io.fd;
}

#endif
