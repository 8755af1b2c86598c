/*
 * The first bytes of a client that may speak TLS: what they are, and what a
 * ClientHello asks for, as far as it decides where its bytes go (server name,
 * ALPN). For who passes TLS on, or refuses it: nothing here is negotiated,
 * decrypted or changed.
 *
 * With Encrypted ClientHello the name is the outer one: all that may be seen.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_HELLO_H
#define NET_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/buf.h"

enum {
	HELLO_MAX = 16 * 1024,          /* longest handshake message that is
					   read, its head included */
	HELLO_WIRE_MAX = 32 * 1024,     /* and of the records it comes in */
	HELLO_NAME_MAX = 253,           /* a name of DNS without the root's
					   dot, RFC 1035 2.3.4 */
	HELLO_ALERT_LEN = 7
};

/* ------------------------------------------------------- the first bytes */

enum hello_kind {
	HELLO_KIND_MORE,                /* may yet be TLS or HTTP */
	HELLO_KIND_TLS,                 /* a record that begins a ClientHello */
	HELLO_KIND_HTTP,                /* the beginning of a request */
	HELLO_KIND_OTHER
};

/*
 * What a connection begins with: at most 10 bytes decide, and each is looked at
 * as soon as it is there. HTTP is a method of RFC 9110, or PATCH, in front of a
 * path or "*" (but CONNECT), or the preface of HTTP/2. An SSLv2 hello is OTHER.
 */
enum hello_kind hello_kind(const char *bytes, size_t len);

/* ------------------------------------------------------ a whole ClientHello */

enum hello_found {
	HELLO_MORE,                     /* fine so far */
	HELLO_WHOLE,                    /* all of it is in the buffer */
	HELLO_NOT_TLS,                  /* said by the first byte that says so */
	HELLO_BAD                       /* TLS, but not as RFC 8446 4 and 5 have
					   it, or longer than read here */
};

/* How far the records have been walked. Zeroed = at the beginning. */
struct hello_reader {
	uint32_t at;                    /* bytes of the buffer that are done */
	uint32_t left;                  /* of the present record */
	uint32_t got;                   /* bytes of the handshake message */
	uint32_t len;                   /* of it, head included; 0 = not known */
};

/*
 * Look at what has come. The buffer is not changed, and on each call has what
 * it had before and perhaps more behind it; each byte is walked once. Says
 * HELLO_WHOLE again when asked again.
 */
enum hello_found hello_walk(struct hello_reader *r, const struct buf *in);

struct hello {
	char   name[HELLO_NAME_MAX + 1];        /* of SNI, lower case, ends with
						   NUL; "" = none */
	size_t alpn_len;
	const unsigned char *alpn;      /* names, a byte of length before each;
					   in bytes[]; NULL = none */
	unsigned char bytes[HELLO_MAX];
};

/*
 * Read the message that hello_walk() has found whole. -1: it is malformed, by
 * its lengths, by an extension that comes twice, or by one of those two that
 * is not as RFC 6066 3 and RFC 7301 3.1 have it.
 */
int hello_read(const struct hello_reader *r, const struct buf *in,
    struct hello *h) MUST_CHECK;

/* Does it offer this protocol? */
bool hello_offers(const struct hello *h, const char *protocol);

/*
 * A host name as SNI has it (RFC 6066 3): labels of letters, digits, "-" and
 * "_". Into out, in lower case and without the root's dot, which does not
 * belong there and makes it no other name. Returns its length; 0 when it is an
 * address, which is no name (clients that send it mean to send none); -1 when
 * it is neither.
 */
int hello_name(const void *name, size_t len, char out[HELLO_NAME_MAX + 1]);

/* ------------------------------------------------------------------ alerts */

/* RFC 8446 6.2 */
enum hello_alert {
	HELLO_ALERT_DECODE_ERROR = 50,
	HELLO_ALERT_PROTOCOL_VERSION = 70,
	HELLO_ALERT_UNRECOGNIZED_NAME = 112
};

/* A record with a fatal alert, for a client that awaits a ServerHello. */
void hello_alert(enum hello_alert alert, char out[HELLO_ALERT_LEN]);

#endif
