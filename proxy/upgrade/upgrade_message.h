/*
 * What two weirs say to each other while one takes over from the other: one
 * message is one packet of a SOCK_SEQPACKET pair, with descriptors beside it.
 *
 * In it: a head of 16 bytes (magic, how many descriptors, bytes of text, bytes
 * of raw), then a JSON object with a member "is" that says what it is, then raw
 * bytes. The two may be of different versions: what is not known is passed over,
 * and what is missing has a default.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_UPGRADE_MESSAGE_H
#define PROXY_UPGRADE_UPGRADE_MESSAGE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/err.h"

enum {
	MESSAGE_HEAD = 16,
	MESSAGE_FDS_MOST = 64,
	MESSAGE_MOST = 128 * 1024       /* bytes, all of it */
};

/* No time in a message is longer. */
#define MESSAGE_LONG_MS (INT64_C(365) * 24 * 3600 * 1000)

struct message {
	json_t *j;                      /* an object */
	const char *is;                 /* inside of it */
	const unsigned char *raw;       /* inside of the packet */
	size_t raw_len;
	size_t n_fds;
};

/*
 * Read a packet with which n_fds descriptors came. PARSE_BAD: it is not a
 * message, says other lengths than it has, or promises other descriptors; then
 * there is nothing to free. m->raw points into the packet.
 */
enum parse message_parse(const void *packet, size_t len, size_t n_fds,
    struct message *m) MUST_CHECK;
void message_fini(struct message *m);

/* How many descriptors a packet says it had when it was sent; some may have been
   lost since. 0: none, or it is not a message. */
size_t message_promised(const void *packet, size_t len);

/* A packet, malloc'd, of *len bytes. NULL when out of memory or too large. j is
   the caller's. */
void *message_make(const json_t *j, const void *raw, size_t raw_len,
    size_t n_fds, size_t *len) MUST_CHECK;

/*
 * Members of the object. A text that is not there or of another kind is "", a
 * number out of range the nearer end of it.
 */
const char *message_text(const struct message *m, const char *name);
int64_t message_number(const struct message *m, const char *name, int64_t min,
    int64_t max, int64_t absent);

/* "127.0.0.1:80", as addr_print() has it. -1: it is none. */
int message_addr(const char *text, struct addr *out) MUST_CHECK;

/* The raw bytes, an address as it was bound: its text does not tell everything,
   such as a scope. -1: they are none. */
int message_bound_addr(const struct message *m, struct addr *out) MUST_CHECK;

#endif
