/*
 * One TLS connection (TLS 1.2: RFC 5246, 1.3: RFC 8446), between a conn and its
 * socket. What OpenSSL makes of a turn's output is gathered and leaves in one
 * write; of a turn's input it is never asked for more than the socket has.
 *
 * For conn.c; whoever makes SSL objects hands them to tls_new().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "net/err.h"

struct buf;

enum {
	TLS_RECORD = 16 * 1024,         /* plain bytes in one, at most */
	TLS_GATHER = 64 * 1024          /* of records, before a write */
};

/* Where a thread's connections have their output encrypted, one at a time. */
struct tls_room {
	size_t used;                    /* of records */
	char plain[TLS_RECORD];         /* small pieces, put together */
	char records[TLS_GATHER + TLS_RECORD + 1024];
};

enum tls_did {
	TLS_DONE,                       /* there may be more */
	TLS_WAIT,                       /* for the peer */
	TLS_END,                        /* the peer has said that it ends */
	TLS_FAILED                      /* tls_error() */
};

struct tls;

/* Takes ssl, which knows which side it is, over; also when it returns NULL (out
   of memory). The socket comes with each call: it is the conn's. */
struct tls *tls_new(SSL *ssl) MUST_CHECK;
void tls_free(struct tls *t);
SSL *tls_ssl(const struct tls *t);

/* Bytes that came before it began are the first of what it reads. -1 when out
   of memory. */
int tls_unread(struct tls *t, const struct buf *in) MUST_CHECK;

/* The socket has something to read. */
void tls_readable(struct tls *t);
/* Is there something to read although the socket is silent? */
bool tls_has_pending(const struct tls *t);

/* These leave output in room, which goes out by tls_flush(). */
enum tls_did tls_shake(struct tls *t, int fd, struct tls_room *room);
/* *n > 0 where it says TLS_DONE, else 0. */
enum tls_did tls_read(struct tls *t, int fd, struct tls_room *room, char *to,
    size_t size, size_t *n);
/*
 * Encrypt what is in out behind what tls_taken() tells of, as much as is well
 * done in one go. False: it has failed.
 */
bool tls_write(struct tls *t, int fd, struct tls_room *room,
    const struct buf *out) MUST_CHECK;
/* Plain bytes that are encrypted and not all in the socket yet: whoever has them
   keeps them until tls_flush() says that all is. */
size_t tls_taken(const struct tls *t);
void tls_gone(struct tls *t);
/* Take leave, as the last output. */
void tls_bye(struct tls *t, int fd, struct tls_room *room);

/* All output is in the socket: true; false: it takes no more for now, or, where
   tls_error() is not 0, has failed. */
bool tls_flush(struct tls *t, int fd, struct tls_room *room);

/* Why it has failed: an errno; EPROTO: the peer, or this side of itself, found
   fault with what was said, see tls_ssl(). 0 = it has not. */
int tls_error(const struct tls *t);

/* Is an idle one as it was left: nothing said by the peer that is for others
   than TLS itself? What TLS has to say to that waits for the next output. */
bool tls_is_quiet(struct tls *t, int fd);

#endif
