/*
 * A DNS server for tests, on a loopback port, in threads of its own: it says
 * what it was told to say, for as long as it is told nothing else. An answer
 * over 512 bytes is cut by UDP and whole by TCP.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_DNS_SERVER_H
#define TESTS_SUPPORT_DNS_SERVER_H

#include <stddef.h>

struct dns_server;

enum { DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28, DNS_SRV = 33 };
enum { DNS_NOERROR = 0, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_REFUSED = 5,
	DNS_SILENCE = 255 };

/* Both abort the program when the machine fails them. */
struct dns_server *dns_server_start(void);
void dns_server_stop(struct dns_server *s);

/* "127.0.0.1:12345" */
const char *dns_server_address(const struct dns_server *s);

/*
 * From now on a question for name and type gets these records: words parted by
 * spaces ("192.0.2.1 192.0.2.2", "2001:db8::1"), for DNS_SRV four words each
 * ("10 5 6379 a.test 20 5 6379 b.test"), for DNS_CNAME one name, whose own
 * records of the asked type follow it. "" is an answer without records. A name
 * that nothing was said of does not exist.
 */
void dns_server_say(struct dns_server *s, const char *name, int type,
    unsigned ttl_s, const char *records);

/* From now on a failure: an answer code, or DNS_SILENCE. */
void dns_server_fail(struct dns_server *s, const char *name, int type,
    int code);

/* Every answer is cut after that many bytes; 0 = whole again. */
void dns_server_cut(struct dns_server *s, size_t bytes);

/* Questions that came for it so far. */
unsigned dns_server_asked(struct dns_server *s, const char *name, int type);

#endif
