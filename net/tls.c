/*
 * TLS connections. See tls.h.
 *
 * OpenSSL reads and writes through a BIO of our own. Reading: after a short
 * read the socket is known to be empty, so that the question that ends each
 * turn (is there another record?) costs no system call. Writing: records go
 * into the thread's room, and out together.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/buf.h"

/*
 * As much waits for the socket as it does not take of one room, and what TLS
 * says meanwhile: an alert for each renegotiation that is asked for, say. Who
 * asks on and does not read is cut off.
 */
enum { LATE_MOST = 2 * sizeof(((struct tls_room *)0)->records) };

enum {
	UPDATES_MOST = 64,              /* of keys, by the peer ... */
	UPDATES_AFTER = 1024 * 1024     /* ... until so much has come */
};

struct bytes {                          /* malloc'd: it goes from worker to
					   worker with its connection */
	char *v;
	size_t at, len;                 /* the first that is left; behind the
					   last */
};

struct tls {
	SSL *ssl;
	struct bytes early;             /* input that came before */
	struct bytes late;              /* output that the socket did not take */
	size_t taken;                   /* plain bytes that are not all out */
	/* During a call. */
	int fd;
	struct tls_room *room;          /* NULL = output goes into late */
	int error;
	bool dry;                       /* the socket has no more for now */
	bool hung_up;                   /* it has ended */
	unsigned updates;               /* of the peer's keys, lately */
	size_t lately;                  /* plain bytes read since then */
	bool bye;                       /* leave has been taken */
};

/* -------------------------------------------------------------------- bytes */

static int
bytes_add(struct bytes *b, const char *from, size_t n)
{
	size_t left = b->len - b->at;
	char *v;

	if (n == 0)
		return 0;
	v = malloc(left + n);
	if (v == NULL)
		return -1;
	if (left > 0)
		memcpy(v, b->v + b->at, left);
	memcpy(v + left, from, n);
	free(b->v);
	*b = (struct bytes){ .v = v, .len = left + n };
	return 0;
}

static void
bytes_drop(struct bytes *b, size_t n)
{
	b->at += n;
	if (b->at < b->len)
		return;
	free(b->v);
	*b = (struct bytes){ 0 };
}

/* ---------------------------------------------------------------------- BIO */

static void
write_failed(struct tls *t)
{
	if (errno != EAGAIN && errno != EINTR && t->error == 0)
		t->error = errno;
}

/* What the socket does not take is kept. */
static bool
room_out(struct tls *t)
{
	struct tls_room *room = t->room;
	size_t used = room->used;
	ssize_t n = 0;

	if (used == 0)
		return true;
	room->used = 0;
	if (t->late.len == 0) {
		n = syscall(SYS_write, t->fd, room->records, used);
		if (n < 0)
			write_failed(t);
		if (n == (ssize_t)used)
			return true;
		if (n < 0)
			n = 0;
	}
	if (bytes_add(&t->late, room->records + n, used - (size_t)n) < 0)
		t->error = ENOMEM;
	return false;
}

static int
bio_write(BIO *b, const char *from, size_t len, size_t *written)
{
	struct tls *t = BIO_get_data(b);
	struct tls_room *room = t->room;

	*written = len;
	if (room == NULL || len > sizeof(room->records)) {
		if (t->late.len - t->late.at < LATE_MOST)
			return bytes_add(&t->late, from, len) == 0;
		t->error = EPROTO;
		return 0;
	}
	if (room->used + len > sizeof(room->records))
		(void)room_out(t);
	memcpy(room->records + room->used, from, len);
	room->used += len;
	return 1;
}

static int
bio_read(BIO *b, char *to, size_t size, size_t *got)
{
	struct tls *t = BIO_get_data(b);
	size_t early = t->early.len - t->early.at;
	ssize_t n;

	BIO_clear_retry_flags(b);
	if (early > 0) {
		*got = early < size ? early : size;
		memcpy(to, t->early.v + t->early.at, *got);
		bytes_drop(&t->early, *got);
		return 1;
	}
	if (t->dry) {
		BIO_set_retry_read(b);
		return 0;
	}
	/* Each costs more than it looks, and is dealt with inside of the call
	   that wants bytes (RFC 8446 4.6.3). */
	if (t->updates > UPDATES_MOST) {
		t->error = EPROTO;
		return 0;
	}
	n = syscall(SYS_read, t->fd, to, size);
	t->dry = n < (ssize_t)size;
	if (n > 0) {
		*got = (size_t)n;
		return 1;
	}
	if (n == 0)
		t->hung_up = true;
	else if (errno == EAGAIN || errno == EINTR)
		BIO_set_retry_read(b);
	else
		t->error = errno;
	return 0;
}

static long
bio_ctrl(BIO *b, int what, long number, void *arg)
{
	struct tls *t = BIO_get_data(b);

	(void)number, (void)arg;
	switch (what) {
	case BIO_CTRL_FLUSH:
		return 1;               /* by tls_flush() */
	case BIO_CTRL_EOF:
		return t->hung_up;
	default:
		return 0;
	}
}

/* For counting those that ask for work alone. */
static void
message_passed(int sent, int version, int type, const void *bytes, size_t len,
    SSL *ssl, void *arg)
{
	struct tls *t = arg;

	(void)version, (void)ssl;
	if (!sent && type == SSL3_RT_HANDSHAKE && len > 0 &&
	    *(const unsigned char *)bytes == SSL3_MT_KEY_UPDATE)
		t->updates++;
}

static BIO_METHOD *method;              /* made once, and never changed */
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void
method_make(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "weir");

	if (m == NULL)
		return;
	BIO_meth_set_write_ex(m, bio_write);
	BIO_meth_set_read_ex(m, bio_read);
	BIO_meth_set_ctrl(m, bio_ctrl);
	method = m;
}

/* -------------------------------------------------------------- birth, end */

struct tls *
tls_new(SSL *ssl)
{
	struct tls *t = calloc(1, sizeof(*t));
	BIO *b = NULL;

	if (pthread_once(&method_once, method_make) == 0 && method != NULL)
		b = BIO_new(method);
	if (t == NULL || b == NULL) {
		BIO_free(b);
		SSL_free(ssl);
		free(t);
		return NULL;
	}
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	SSL_set_bio(ssl, b, b);
	SSL_set_msg_callback(ssl, message_passed);
	SSL_set_msg_callback_arg(ssl, t);
	t->ssl = ssl;
	t->dry = true;
	return t;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	/* Since TLS 1.1 an end without leave spoils no session (RFC 5246
	   7.2.1); OpenSSL would not take it up again. */
	if (t->error != EPROTO && SSL_is_init_finished(t->ssl))
		SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN |
		    SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	free(t->early.v);
	free(t->late.v);
	free(t);
}

SSL *
tls_ssl(const struct tls *t)
{
	return t->ssl;
}

int
tls_unread(struct tls *t, const struct buf *in)
{
	const char *bytes;
	size_t at, len;

	for (at = 0; at < in->len; at += len) {
		bytes = buf_at(in, at, &len);
		if (bytes_add(&t->early, bytes, len) < 0)
			return -1;
	}
	return 0;
}

/* -------------------------------------------------------------------- input */

void
tls_readable(struct tls *t)
{
	t->dry = false;
}

bool
tls_has_pending(const struct tls *t)
{
	return t->early.len > 0 || SSL_has_pending(t->ssl);
}

static void
enter(struct tls *t, int fd, struct tls_room *room)
{
	t->fd = fd;
	t->room = room;
	ERR_clear_error();
}

/* What a call of OpenSSL's has come to that did not succeed. */
static enum tls_did
leave(struct tls *t, int result)
{
	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WAIT;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_END;
	}
	/* An end without taking leave may be anybody's on the way. */
	if (t->error == 0)
		t->error = t->hung_up ? ECONNRESET : EPROTO;
	return TLS_FAILED;
}

static void
key_wipe(EVP_PKEY *key)
{
	/* EVP_PKEY_set_type(3): what it held is freed first. */
	if (key != NULL)
		(void)EVP_PKEY_set_type(key, EVP_PKEY_get_base_id(key));
	EVP_PKEY_free(key);
}

/*
 * With TLS 1.3 OpenSSL keeps the keys that were exchanged as long as the
 * connection: half a KiB of an idle one, and a secret that is of use to nobody
 * any more (RFC 8446 C.1, forward secrecy).
 */
static void
keys_wipe(SSL *ssl)
{
	EVP_PKEY *key = NULL;

	if (SSL_version(ssl) != TLS1_3_VERSION)
		return;
	if (SSL_get_tmp_key(ssl, &key) == 1)
		key_wipe(key);
	key = NULL;
	if (SSL_get_peer_tmp_key(ssl, &key) == 1)
		key_wipe(key);
	ERR_clear_error();
}

enum tls_did
tls_shake(struct tls *t, int fd, struct tls_room *room)
{
	int result;

	enter(t, fd, room);
	result = SSL_do_handshake(t->ssl);
	if (result != 1)
		return leave(t, result);
	keys_wipe(t->ssl);
	return TLS_DONE;
}

enum tls_did
tls_read(struct tls *t, int fd, struct tls_room *room, char *to, size_t size,
    size_t *n)
{
	int result;

	enter(t, fd, room);
	result = SSL_read_ex(t->ssl, to, size, n);
	if (result != 1) {
		*n = 0;
		return leave(t, result);
	}
	t->lately += *n;
	if (t->lately >= UPDATES_AFTER)
		t->updates = t->lately = 0;
	return TLS_DONE;
}

bool
tls_is_quiet(struct tls *t, int fd)
{
	char byte;
	size_t n;

	if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	    errno == EAGAIN && !tls_has_pending(t))
		return true;
	tls_readable(t);
	return tls_read(t, fd, NULL, &byte, 1, &n) == TLS_WAIT;
}

/* ------------------------------------------------------------------- output */

/* The next piece for a record: as it lies there, or put together. */
static const char *
next_piece(struct tls_room *room, const struct buf *out, size_t at,
    size_t *len)
{
	const char *bytes = buf_at(out, at, len);
	size_t n = 0;

	if (*len >= TLS_RECORD) {
		*len = TLS_RECORD;
		return bytes;
	}
	if (at + *len == out->len)
		return bytes;
	while (n < TLS_RECORD && at + n < out->len) {
		bytes = buf_at(out, at + n, len);
		if (*len > TLS_RECORD - n)
			*len = TLS_RECORD - n;
		memcpy(room->plain + n, bytes, *len);
		n += *len;
	}
	*len = n;
	return room->plain;
}

bool
tls_write(struct tls *t, int fd, struct tls_room *room, const struct buf *out)
{
	enter(t, fd, room);
	while (t->taken < out->len && room->used < TLS_GATHER) {
		size_t len, n;
		const char *piece = next_piece(room, out, t->taken, &len);

		/* A message of TLS's own that is half there comes first. */
		if (SSL_write_ex(t->ssl, piece, len, &n) != 1)
			return leave(t, 0) == TLS_WAIT;
		t->taken += n;
	}
	return true;
}

size_t
tls_taken(const struct tls *t)
{
	return t->taken;
}

void
tls_gone(struct tls *t)
{
	t->taken = 0;
}

void
tls_bye(struct tls *t, int fd, struct tls_room *room)
{
	/* Not in a handshake, nor where it has failed. */
	if (t->bye || !SSL_is_init_finished(t->ssl) || t->error != 0)
		return;
	t->bye = true;
	enter(t, fd, room);
	(void)SSL_shutdown(t->ssl);
}

bool
tls_flush(struct tls *t, int fd, struct tls_room *room)
{
	t->fd = fd;
	t->room = room;
	if (t->late.len > 0) {
		ssize_t n = syscall(SYS_write, fd, t->late.v + t->late.at,
		    t->late.len - t->late.at);

		if (n < 0)
			write_failed(t);
		else
			bytes_drop(&t->late, (size_t)n);
	}
	return room_out(t) && t->late.len == 0 && t->error == 0;
}

int
tls_error(const struct tls *t)
{
	return t->error;
}
