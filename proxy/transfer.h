/*
 * Transfer: clients that go on in another process, when one weir takes over from
 * the other. An idle session is taken off its lane with what has to be known of
 * it, and main sends that with its socket; there it begins anew where it left off.
 * What it sends meanwhile waits in the kernel. What carries it is somebody else's.
 *
 * Those go who have no TLS, no connection of their own and a front that can say
 * what they are (front_ops.pack).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_TRANSFER_H
#define PROXY_TRANSFER_H

#include <stdatomic.h>

#include "net/addr.h"
#include "net/worker.h"

struct door;
struct json_t;                          /* of jansson */
struct lane;
struct session;

/* One that is under way, with its socket. Owned by whoever has it. */
struct crosser {
	struct list link;
	struct crossing *to;
	struct json_t *said;            /* "listener", "protocol", and what
					   transfer_take_in() reads; NULL = given
					   away */
	int fd;
};

/* Where they go to: main's, for all lanes. */
struct crossing {
	struct worker *main;
	/* On main's loop, each of them once; takes it over. */
	void (*came)(struct crossing *to, struct crosser *c);
	_Atomic unsigned under_way;     /* taken off their lanes and not ended */
	_Atomic bool over;              /* nobody is to come any more */
};

/* A lane's part. Embedded. */
struct transfer {
	struct crossing *to;            /* NULL = nobody goes */
	struct deadline soon;           /* looks at those that are ready */
	struct deadline sweep;          /* at all */
	struct list ready;              /* sessions that have just done with an
					   exchange */
};

void transfer_init(struct transfer *t);

/* On its lane, whose doors are closed: from now on whoever may go goes, as soon as
   there is nothing under way. Again, where it was over meanwhile. */
void transfer_begin(struct lane *lane, struct crossing *to);
/* Nobody goes any more. */
void transfer_end(struct transfer *t);

/* An exchange of s is over: it may be the moment. */
void transfer_offer(struct session *s);

/* It is sent, or goes nowhere: its socket is closed here. */
void crosser_end(struct crosser *c);

/* On d's lane: one has come, with what was said of it. fd is taken over, and closed
   where it cannot go on. */
void transfer_take_in(struct door *d, int fd, const struct json_t *said);

/*
 * For front_ops.pack and adopt: bytes that are no text, or may not be UTF-8. A new
 * string, NULL when out of memory; and back: how many there are, 0 also where it
 * is none or there are more than `most`.
 */
struct json_t *transfer_bytes(const void *bytes, size_t len) MUST_CHECK;
size_t transfer_read_bytes(const struct json_t *j, void *out, size_t most);
/* Likewise for text that ends in NUL, and may be absent: NULL is null. Reading
   returns -1 for what is neither, longer, or when out of memory; *out is malloc'd. */
struct json_t *transfer_text(const char *text) MUST_CHECK;
int transfer_read_text(const struct json_t *j, char **out, size_t most)
    MUST_CHECK;
/* As addr_ip_print() has it, with a port; "-" is none, of family 0. */
int transfer_addr(const char *text, struct addr_ip *out) MUST_CHECK;

#endif
