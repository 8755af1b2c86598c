/*
 * Between front2.c, front2_take.c and front2_give.c only: a client connection
 * that speaks HTTP/2, and its streams. The frames are nghttp2's.
 *
 * Nothing of weir is called from inside nghttp2: its callbacks note what has
 * come and list the stream, and that is acted upon when it has returned. So
 * whatever ends there may end a stream, an exchange or the session.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_HTTP_FRONT2_H
#define PROXY_PROTO_HTTP_FRONT2_H

#include <nghttp2/nghttp2.h>

#include "net/pile.h"
#include "proxy/proto/http/back2.h"
#include "proxy/proto/http/h2.h"
#include "proxy/proto/http/http.h"
#include "proxy/runtime.h"

enum {
	HTTP2_OUT_MOST = 128 * 1024,    /* of output, until frames wait */
	HTTP2_WINDOW = 256 * 1024,      /* of each stream; see http2_begin() */
	HTTP2_RESET_COST = 5
};

/* For all HTTP/2 sessions of a lane: lane->own[FAMILY_HTTP]. */
struct http_lane {
	struct pile streams;
	nghttp2_session_callbacks *callbacks;   /* NULL: out of memory */
	nghttp2_option *option;
	struct h2_fields fields;        /* what is being sent */
	struct back2_lane back;
	struct trace_dice dice;
};

void http_lane_init(void *own, unsigned index);
void http_lane_fini(void *own);

/* What the session's deadline is for. */
enum http2_wait {
	HTTP2_WAITS_NOT,
	HTTP2_WAITS_HEAD,               /* preface, or a header block begun */
	HTTP2_WAITS_GRACE,              /* between the two GOAWAY */
	HTTP2_WAITS_IDLE
};

enum http2_leave {
	HTTP2_STAYS,
	HTTP2_NOTICED,                  /* a GOAWAY that still takes streams */
	HTTP2_LEAVES                    /* the last one has been sent */
};

/* Owned by its session; outlives it to the end of the turn. */
struct http2 {
	struct session *s;
	nghttp2_session *ng;
	struct list streams;
	struct list todo;               /* streams with news */
	struct h2_text text;            /* of the header block that comes */
	struct block *feeding;          /* what is being read, while it is */
	struct late late;
	int64_t wasted;                 /* see http2_waste(); what is useful
					   takes some of it back */
	int64_t wasted_ns;
	int32_t last_id;                /* of the streams that the client began */
	uint8_t wait;                   /* enum http2_wait */
	uint8_t leave;                  /* enum http2_leave */
	bool busy : 1;                  /* in a run, or in nghttp2 */
	bool again : 1;                 /* there is more for the run to do */
	bool greeted : 1;               /* the client's SETTINGS have come */
	bool in_head : 1;               /* a header block has begun */
	bool blocked : 1;               /* frames wait for room in the output */
	bool choked : 1;                /* answers may wait for that, too */
	bool has_reset : 1;             /* some stream, itself */
	bool spoiled : 1;               /* ng cannot be freed any more */
	bool wasteful : 1;              /* over the limit: to be closed */
};

/*
 * One stream. Lives from its head to its close, a little longer than its
 * exchange if that has failed and the words about it are on their way.
 */
struct http2_stream {
	struct http2 *h2;
	struct list link;               /* h2->streams */
	struct list todo;               /* h2->todo */
	struct exchange *x;             /* NULL: over */
	struct deadline deadline;       /* its body, or that it is taken */
	struct buf rest;                /* weir's own answer, without x */
	int32_t id;
	uint32_t owed;                  /* bytes taken that the client has got
					   no new window for */
	uint64_t sent;                  /* of its answer's body */
	uint64_t sent_seen;             /* when its deadline was set */
	bool is_new : 1;                /* not routed yet */
	bool more_up : 1;               /* x->up has grown or ended */
	bool told_end : 1;              /* the back knows that it has ended */
	bool flows : 1;                 /* nghttp2 asks for its DATA */
	bool waits : 1;                 /* ... and got none the last time */
	bool took : 1;                  /* the client has taken some */
	bool said_all : 1;              /* END_STREAM is sent, or about to be */
	bool refused : 1;               /* malformed: about to be reset */
	bool cuts : 1;                  /* and then the rest is not wanted */
	bool closed : 1;                /* nghttp2 has forgotten it */
	char key[H2_KEY_LEN + 1];       /* x is a socket: what it asked with */
};

static inline struct http_lane *
http_lane_of(const struct session *s)
{
	return s->door->lane->own[FAMILY_HTTP];
}

static inline const struct http_listener_conf *
http_conf_of(const struct session *s)
{
	return s->door->conf->own;
}

/* Nothing of the client matters any more. */
static inline bool
http2_is_over(const struct http2 *h2)
{
	return h2->s->closed || h2->s->lingering || h2->s->finishing;
}

/* ---------------------------------------------------------------- front2.c */

/* Send what there is to be sent, and go on with what follows from that; reads
   nothing. May end streams, exchanges and the session; called from inside a run
   it only notes that there is more to do. */
void http2_run(struct http2 *h2);

/* st has news for the run. */
void http2_note(struct http2_stream *st);

/*
 * The client has sent something that asks for nothing. It may do that so often,
 * and more the more it asks for; false: no longer, the session is to end.
 */
bool http2_waste(struct http2 *h2, int64_t cost);

/* ----------------------------------------------------------- front2_take.c */

void http2_take_init(nghttp2_session_callbacks *c);

/* Route st's exchange, which is new. */
void http2_dispatch(struct http2_stream *st);
/* Hand on what has come of its body. */
void http2_take_body(struct http2_stream *st);
/* New window for what the upstream has taken; true: there is some to be sent. */
bool http2_give_window(struct http2_stream *st);

/* ----------------------------------------------------------- front2_give.c */

void http2_give_init(nghttp2_session_callbacks *c);

/* front_ops.reply, fail and words. */
void http2_reply(struct session *s, struct exchange *x);
void http2_fail(struct session *s, struct exchange *x, enum fail why);
void http2_words(const struct exchange *x, struct access_words *w);

#endif
