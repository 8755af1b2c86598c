/*
 * What the halves of the random model test share: load.c has the connections,
 * redis*.c or memcached*.c the model, which knows for each command that it makes
 * up what the reply must be.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_P1KV_H
#define TESTS_SUPPORT_P1KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../p1/p1.h"

enum { FIRST_TOLD = 20, READ_SIZE = 65536, PAUSES = 8, TOKEN_LEN = 32 };
enum leave { STAY, LEAVE_CLOSE, LEAVE_RST };

enum want_kind {
	WANT_EXACT,             /* text, or if there is one, other */
	WANT_STREAM,            /* text, size bytes that follow from token, the
				   tail "\r\n" and other */
	WANT_MODEL              /* and above: the model's own */
};

/* A reply that is owed. */
struct want {
	unsigned kind;
	unsigned then;          /* the model's: what follows from it */
	char *text, *other;     /* on the heap */
	size_t len, other_len;
	struct token token;
	uint64_t size, low, high;
	int64_t begun_ms;
};

struct wants {
	struct want *list;
	size_t first, n, room;
};

struct bytes {
	char *p;
	size_t len, room;
};

struct client {
	int fd;                 /* -1 = between connections */
	unsigned index;
	uint64_t session;       /* number of this connection, 0 = never */
	unsigned left;          /* batches still to be begun here */
	bool connecting, ending;        /* ending: the peer is to end next */
	struct wants wants;     /* replies, in order */
	struct wants pushes;    /* what comes between them */
	struct bytes out, in;
	size_t out_at, out_step;
	struct {
		size_t at;
		unsigned ms;
	} pauses[PAUSES];       /* where to rest while sending */
	unsigned n_pauses, pause_at;
	enum leave leave;
	size_t leave_out;       /* leaves when so much has been sent... */
	uint64_t leave_replies; /* ...and so many replies have come */
	uint64_t replies;
	int64_t moved_ms, wake_ms, rest_ms;
	uint32_t watched;
	void *model;            /* model.size bytes, zeroed for each session */
};

/* What a model is. */
struct model {
	size_t size;
	/* A new connection: first commands, if any. */
	void (*join)(struct client *c);
	/* Nothing is owed: add commands and their wants. May add none while it
	   waits for another client; sets ending after QUIT. */
	void (*begin)(struct client *c);
	/* Is what begins at p not the reply that is due, but a push? */
	bool (*is_push)(const struct client *c, const char *p);
	/* Size of the reply at p for w; 0 = not whole yet, -1 = none. */
	ssize_t (*size_of)(const struct client *c, const struct want *w,
	    const char *p, size_t n);
	/* Judge a reply to a want of the model's own kinds; NULL = right. */
	const char *(*judge)(struct client *c, const struct want *w,
	    const char *p, size_t n);
	/* A right reply to a want whose then is not 0 has come. */
	void (*then)(struct client *c, const struct want *w);
	/* Is it a failure that weir or the server may tell? */
	bool (*refusal)(const char *p, size_t n);
	/* The connection has gone, for whatever reason. */
	void (*gone)(struct client *c);
	/* Members of the report, each with a comma before it. */
	void (*report)(void);
};

extern const struct model model;

/* load.c ------------------------------------------------------------------ */

extern struct client *clients;
extern unsigned n_clients;
extern uint64_t big_most;       /* bytes of the largest value, 0 = none */
extern unsigned big_rate;       /* of 10,000 commands */
extern const char *variant;     /* a word for the model */

uint64_t below(uint64_t n);
bool percent(unsigned p);
struct token token_make(void);
/* 32 digits and a NUL. */
void token_text(struct token t, char out[TOKEN_LEN + 1]);

void bytes_add(struct bytes *b, const void *p, size_t n);
void bytes_print(struct bytes *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* n bytes of the stream that follows from t. */
void bytes_stream(struct bytes *b, struct token t, uint64_t n);

/* Owe the client a reply; takes what the two pointers lead to. */
struct want *want_add(struct wants *w, unsigned kind, struct bytes *text);
struct want *want_print(struct wants *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Rest for ms when what is in c->out by now has been sent. */
void pause_add(struct client *c, unsigned ms);
/* Make an idle client look for work. */
void wake(struct client *c);
/* End this connection: the client leaves by its own decision. */
void leave_now(struct client *c);
bool alive(const struct client *c);
/* No more is to be begun. */
bool enough(void);

void violation(struct client *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
