/*
 * What the two halves of the P1 load share: load.c asks and leaves, answer.c
 * reads what comes and judges it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_P1_LOAD_H
#define TESTS_SUPPORT_P1_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p1.h"

enum { DEPTH = 4, HEAD_MOST = 8192, READ_SIZE = 65536, STATUSES = 600,
	FIRST_TOLD = 20 };
enum method { GET, HEAD, POST, PUT };
enum leave { STAY, LEAVE_CLOSE, LEAVE_RST, LEAVE_FIN };

/* Where the reading of a response is. */
enum phase {
	IN_HEAD, IN_LENGTH, IN_SIZE, IN_DATA, IN_DATA_END, IN_TRAILER,
	IN_CLOSE, IN_OVER
};

struct exchange {
	struct token token;
	enum method method;
	unsigned how, frame;
	uint64_t size;          /* of the response's body */
	uint64_t up;            /* of the request's */
	uint64_t up_sum;
	size_t end;             /* where the request ends in out */
	int64_t begun_ms;
};

struct client {
	int fd;                 /* -1 = between connections */
	unsigned index;
	uint64_t session;       /* number of this connection */
	uint64_t origin_conn;   /* who has answered; 0 = nobody yet */
	unsigned left;          /* exchanges still to be begun here */
	bool connecting, minor_0, fin_sent, ending;
	bool gave_up;           /* of a request only a part was sent */
	bool was_reset;         /* a send() has said so */
	struct exchange open[DEPTH];
	unsigned first, n_open;
	/* What is to be sent. */
	unsigned char *out;
	size_t out_len, out_at, out_room, out_step;
	enum leave leave;
	size_t leave_out;       /* leaves when so much has been sent... */
	uint64_t leave_in;      /* ...and so much has come */
	uint64_t came;
	/* What comes. */
	enum phase phase;
	char head[HEAD_MOST + 1];
	size_t head_len;
	bool own, last;         /* the origin's response, the
				   connection's end */
	bool was_head;          /* it is the answer to HEAD */
	int status;
	uint64_t body, body_left;
	int64_t moved_ms, wake_ms;
	uint32_t watched;
};

struct counts {
	uint64_t begun, answered, refused, cut, left, connects, bytes;
	uint64_t no_connect, violations, lost;
	uint64_t status[STATUSES], failed[N_HOW];
	uint64_t posts, slowest_ms;
};

extern struct counts count;
extern bool tcp;                        /* raw: a session is a connection */

static inline struct exchange *
oldest(struct client *c)
{
	return &c->open[c->first];
}

/* answer.c: take bytes that came, which is to say judge them. */
void answer_bytes(struct client *c, const char *p, size_t n);

/* answer.c: the connection's orderly end is the end of the body, too. */
void answer_ended(struct client *c);

/* load.c */
void violation(struct client *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* load.c: the oldest exchange has its answer. */
void exchange_over(struct client *c);

#endif
