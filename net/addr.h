/*
 * Socket addresses: IPv4, IPv6 and Unix, their spelling in configuration
 * files, and networks (CIDR) to match them against.
 *
 * Resolves nothing: a host name stays text until net/resolve answers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "net/err.h"

/*
 * An IP address and port in 20 bytes (a client's, kept by the thousands).
 * family is AF_INET, AF_INET6, AF_UNIX (a client of a Unix socket has no
 * name) or 0. IPv4 addresses sit in the first four bytes of ip. port is in
 * host byte order.
 */
struct addr_ip {
	uint8_t  ip[16];
	uint16_t port;
	uint8_t  family;
};

/* A whole address to bind or to connect to. */
struct addr {
	union {
		struct sockaddr         sa;
		struct sockaddr_storage ss;
		struct sockaddr_un      un;
	};
	socklen_t len;          /* 0 = none */
};

/* An address as written in a file: a host may still be a name. */
struct addr_text {
	char    *host;          /* name, IP literal without brackets, or path */
	uint16_t port;          /* 0 for Unix */
	bool     is_unix;
	bool     is_literal;    /* host is an IP literal: no look-up needed */
};

struct addr_net {
	struct addr_ip base;    /* port unused */
	uint8_t        bits;
};

#define ADDR_TEXT_MAX 128       /* longest addr_print() output with its NUL */

/*
 * "host:port", "[v6]:port", "unix:/path" (a path of at most 107 bytes). Port 1
 * to 65535, or 0 too with allow_port_zero. Returns 0, or -1 and then *why
 * points to a static text. On success the caller owns out->host.
 */
int addr_text_parse(const char *text, bool allow_port_zero,
    struct addr_text *out, const char **why) MUST_CHECK;
void addr_text_fini(struct addr_text *t);

/* From a literal or Unix addr_text; -1 when host is a name. */
int addr_from_text(const struct addr_text *t, struct addr *out) MUST_CHECK;

/* "127.0.0.1:80", "[::1]:80", "unix:/path"; "unix:" for an unnamed peer. */
const char *addr_print(const struct addr *a, char out[ADDR_TEXT_MAX]);
const char *addr_ip_print(const struct addr_ip *a, bool with_port,
    char out[ADDR_TEXT_MAX]);

bool addr_equal(const struct addr *a, const struct addr *b);

/* IPv4-mapped IPv6 addresses become IPv4, so that limits and rules agree. */
void addr_to_ip(const struct addr *a, struct addr_ip *out);

/* "10.0.0.0/8", "::1", "2001:db8::/32". Host bits must be zero. */
int addr_net_parse(const char *text, struct addr_net *out) MUST_CHECK;
bool addr_net_holds(const struct addr_net *n, const struct addr_ip *a);

#endif
