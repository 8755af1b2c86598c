/*
 * Inside of the admin port: one connection to it and the request it makes.
 *
 * Requests come one after the other; the next is not read before the answer has
 * been written. So what a caller can hold is one head, one answer, however slow
 * or greedy it is.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_CALLER_H
#define PROXY_ADMIN_CALLER_H

#include <jansson.h>

#include "net/conn.h"
#include "net/deadline.h"
#include "net/worker.h"
#include "proxy/proto/http/parse.h"
#include "proxy/runtime.h"

struct history;
struct page;
struct trend;

enum {
	CALLERS_MOST = 64,
	CALLER_FIELDS = 64,             /* of a head */
	CALLER_HEAD_BYTES = 16 * 1024,
	CALLER_BODY_BYTES = 1024 * 1024,        /* that nobody reads */
	BODIES_MOST = 4                 /* kept at once, of all callers */
};

/* What a caller waits for: embedded in it. Whoever answers the caller takes it
   off (caller->awaited) first. */
struct awaited {
	/* Time is up: answer with what is there. */
	void (*late)(struct awaited *what);
	/* The caller is going: nobody wants it any more. */
	void (*forget)(struct awaited *what);
};

/* Made by admin_start(), ended by admin_stop(); main's loop only. */
struct admin {
	struct runtime *rt;
	const struct conf *conf;        /* the running snapshot's */
	struct list gates;
	struct list callers;            /* oldest first */
	unsigned n_callers;
	unsigned n_bodies;              /* of callers that have c->body */
	struct history *history;
	struct trend *trend;
	struct deadline record;         /* of history and trend */
	struct deadline beat;           /* of /stats/stream; while somebody
					   listens */
	char *frame;                    /* the latest, for who comes before the
					   next; NULL = nobody listens */
	size_t frame_len;
	struct deadline quieten;        /* the log's level goes back */
	double started_s;               /* wall clock */
	char *file;                     /* as started_with(); owned; NULL = not
					   known */
	bool rests;                     /* another weir takes over */
};

enum caller_state {
	CALLER_IDLE,                    /* between requests */
	CALLER_HEAD,
	CALLER_BODY,
	CALLER_WAITING,                 /* for the lanes: c->awaited */
	CALLER_WRITING,
	CALLER_STREAMING,
	CALLER_LINGERING,               /* answered for the last time */
	CALLER_CLOSED
};

/* Owned by admin->callers; freed at the end of the turn it closes in. */
struct caller {
	struct conn conn;
	struct admin *admin;
	struct list link;
	struct deadline deadline;
	struct late late;
	enum caller_state state;
	bool probe;                     /* came by probe_bind */
	bool guarded;                   /* needs the token in any case */
	bool trusted;                   /* has passed the guard */
	bool keep;                      /* another request may follow */
	bool pretty;
	uint64_t body_left;
	struct awaited *awaited;        /* WAITING */
	const struct page *page;        /* of the request in hand; NULL = none */
	char *body;                     /* for a page that reads it, and a NUL
					   behind it; NULL = there is none */
	size_t body_len;
	char path[1024], query[2048];   /* of the request in hand */
	struct http_head head;          /* room for CALLER_FIELDS */
};

/* Takes fd over. */
void caller_new(struct admin *a, int fd, bool probe, bool guarded);
void caller_close(struct caller *c);

/*
 * Answer the request in hand; exactly once for each. fields is text to be put
 * into the head, each line with its CRLF, or NULL. For HEAD the body stays
 * unsent.
 */
void caller_reply(struct caller *c, unsigned status, const char *type,
    const char *fields, const char *body, size_t len);
void caller_reply_text(struct caller *c, unsigned status, const char *text);
/* Takes the reference; NULL means that there was no memory for it. */
void caller_reply_json(struct caller *c, unsigned status, json_t *j);
void caller_reply_error(struct caller *c, unsigned status, const char *text);

/* Write what has been said before doing what may end the process. */
void caller_flush(struct caller *c);

/* Instead of an answer: wait for the lanes, or listen to the beat. */
void caller_wait(struct caller *c, struct awaited *what);
void caller_stream(struct caller *c);

/* A frame for c, which streams, or for everyone who does; who has not taken the
   one before misses it. */
void caller_beat(struct caller *c, const char *frame, size_t len);
void callers_beat(struct admin *a, const char *frame, size_t len);
bool callers_stream(const struct admin *a);

/* target_query() of the request in hand. */
const char *caller_query(const struct caller *c, const char *key, char *out,
    size_t size);

#endif
