/*
 * The PROXY protocol: what a proxy says first on a connection, so that whoever
 * it connects to knows whose connection it is. The bytes are read and written
 * here; whom to believe is the caller's.
 *
 * Sources: "The PROXY protocol, versions 1 & 2", Willy Tarreau, HAProxy
 * Technologies, below "PROXY" with the section's number.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_PROXY_HEADER_H
#define NET_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "net/addr.h"
#include "net/err.h"

enum proxy_header_version {
	PROXY_HEADER_NONE, PROXY_HEADER_V1, PROXY_HEADER_V2
};

enum {
	PROXY_HEADER_V1_MOST = 107,     /* PROXY 2.1, CR and LF included */
	PROXY_HEADER_MOST = 4096,       /* a longer one is refused */
	PROXY_AUTHORITY_MOST = 255,     /* as long as a name can be */
	PROXY_UNIQUE_ID_MOST = 128,     /* PROXY 2.2.5 */
	/* Longest that proxy_header_write() makes. */
	PROXY_HEADER_WRITE_MOST = 16 + 36 + 3 + PROXY_AUTHORITY_MOST + 3 +
	    PROXY_UNIQUE_ID_MOST
};

/* Bytes in a header; len 0 = there are none. Not terminated. */
struct proxy_header_bytes {
	const char *at;
	size_t len;
};

struct proxy_header {
	size_t len;                     /* DONE: of the whole header */
	const char *why;                /* BAD: static text */
	/* The connection's own addresses are those of its ends: LOCAL, or the
	   sender does not know better (UNKNOWN, UNSPEC). */
	bool own;
	struct addr_ip from, to;        /* else: the client, and what it has
					   connected to */
	struct proxy_header_bytes authority, unique_id;
	bool tls;                       /* the client's connection to the sender
					   is encrypted */
};

/*
 * The header that the bytes begin with. PARSE_DONE: h->len of them are it, and
 * the pointers in h go into bytes. PARSE_MORE: all of them belong to it, and it
 * is not complete. PARSE_BAD: h->why.
 */
enum parse proxy_header_read(const char *bytes, size_t len,
    struct proxy_header *h) MUST_CHECK;

/*
 * The header that says what h says, with authority and unique_id in version 2;
 * the rest of h is not looked at. Addresses of two families become IPv6 ones;
 * of what is no IP address it says that it is not known. Returns its length.
 */
size_t proxy_header_write(enum proxy_header_version version,
    const struct proxy_header *h, char out[PROXY_HEADER_WRITE_MOST]);

/*
 * Send it on a connection on which nothing was sent yet. -1, and errno, when it
 * could not be sent as a whole: then the connection is of no use.
 */
int proxy_header_send(int fd, const char *bytes, size_t len) MUST_CHECK;

/* Likewise, of a connection that is weir's own: there is no client. Version 2
   says LOCAL, version 1 the ends of the connection (PROXY 2.1). NONE: sends
   nothing. */
int proxy_header_send_own(int fd, enum proxy_header_version version) MUST_CHECK;

#endif
