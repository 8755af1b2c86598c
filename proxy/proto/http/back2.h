/*
 * Between back2.c, back2_give.c and back2_take.c, but for the lane's part and
 * the end of an exchange: an upstream connection that speaks HTTP/2, and its
 * streams. The frames are nghttp2's.
 *
 * Nothing of weir is called from inside nghttp2: its callbacks note what has
 * come and list the stream, and that is acted upon when it has returned. So
 * whatever ends there may end a stream, an exchange or the connection.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_HTTP_BACK2_H
#define PROXY_PROTO_HTTP_BACK2_H

#include <nghttp2/nghttp2.h>

#include "net/pile.h"
#include "proxy/proto/http/h2.h"
#include "proxy/proto/http/http.h"

enum {
	BACK2_OUT_MOST = 128 * 1024,    /* of output, until frames wait */
	BACK2_WINDOW = 256 * 1024,      /* of each stream; see back2.c */
	BACK2_HEAD_MOST = HTTP_HEAD_MAX,        /* of an answer */
	BACK2_RESET_COST = 5
};

/* What all of a lane's connections have in common. */
struct back2_lane {
	struct pile streams;
	nghttp2_session_callbacks *callbacks;   /* NULL: out of memory */
	nghttp2_option *option;
};

void back2_lane_init(struct back2_lane *lane);
void back2_lane_fini(struct back2_lane *lane);

/* Of one connection: upconn_state_of(u). */
struct back2 {
	nghttp2_session *ng;            /* NULL: has not begun, or is over */
	struct list streams;
	struct list todo;               /* streams with news */
	struct h2_text text;            /* of the header block that comes */
	struct back2_stream *heading;   /* whose that is; NULL = nobody's */
	struct block *feeding;          /* what is being read, while it is */
	struct deadline clock;          /* what failed where nothing could be
					   ended is ended by it */
	unsigned n_streams;
	int64_t wasted, wasted_ns;      /* see back2_waste() */
	bool busy : 1;                  /* in a run */
	bool greeted : 1;               /* the server's SETTINGS have come, and
					   allow streams */
	bool more_streams : 1;          /* perhaps: SETTINGS have come */
	bool leaving : 1;               /* a GOAWAY has come */
	bool full : 1;                  /* refused a stream: none more until one
					   has ended */
	bool faulty : 1;                /* a GOAWAY has gone that says so */
	bool broken : 1;                /* nghttp2 could not go on */
	bool blocked : 1;               /* frames wait for room in the output */
	bool choked : 1;                /* requests may wait for that, too */
	bool takes_sockets : 1;         /* RFC 8441 */
};

/*
 * One stream. Lives from its request to its close, a little longer than its
 * exchange if that has ended early.
 */
struct back2_stream {
	struct upconn *u;
	struct list link;               /* back2.streams */
	struct list todo;               /* back2.todo */
	struct exchange *x;             /* NULL: over, or gone */
	int32_t id;
	struct buf heads;               /* that have come, as HTTP/1.1 text,
					   and were not given to x yet */
	struct buf body;                /* likewise what came behind them */
	struct buf kept;                /* of the request's body: what has gone,
					   to be sent again if need be */
	uint32_t owed;                  /* bytes of the answer that the server
					   has got no new window for */
	uint64_t sent;                  /* of the request's body */
	uint64_t sent_seen;             /* when x->deadline was set */
	unsigned interim;               /* 1xx so far */
	uint32_t error;                 /* how it was closed */
	bool final : 1;                 /* the final head has come */
	bool all_came : 1;              /* END_STREAM has */
	bool flows : 1;                 /* nghttp2 asks for its DATA */
	bool waits : 1;                 /* ... and got none the last time */
	bool took : 1;                  /* of x->up some has gone */
	bool said_all : 1;              /* END_STREAM is sent, or about to be */
	bool was_reset : 1;             /* by the server */
	bool bad : 1;                   /* what came is not valid */
	bool closed : 1;                /* nghttp2 has forgotten it */
	bool socket : 1;                /* an extended CONNECT */
};

static inline struct back2 *
back2_of(const struct upconn *u)
{
	return upconn_state_of((struct upconn *)(uintptr_t)u);
}

struct back2_lane *back2_lane_of(const struct upconn *u);

/* ----------------------------------------------------------------- back2.c */

/* st has news for the run. */
void back2_note(struct back2_stream *st);

/* Frames into u's output: as many as it takes. Calls nothing back. */
void back2_push(struct upconn *u);

/*
 * The server has sent something that is no part of an answer. It may do that so
 * often, and more the more it answers; false: no longer.
 */
bool back2_waste(struct back2 *b, int64_t cost);

/* A stream for x, whose request has got this number. NULL when out of memory. */
struct back2_stream *back2_stream_new(struct upconn *u, struct exchange *x)
    MUST_CHECK;
void back2_stream_free(struct back2_stream *st);

/* x goes on without its stream: nothing of that is of interest any more. What of
   its body has gone is back in x->up, where it could be kept. */
void back2_part(struct back2_stream *st);

/* x ends: what it had under way is reset, if it is not over. */
void back2_forget(struct exchange *x);

/* ------------------------------------------------------------ back2_give.c */

void back2_give_init(nghttp2_session_callbacks *c);

/* x's head as the fields of a new stream. 0, or a reason to fail x. */
enum fail back2_ask(struct upconn *u, struct exchange *x) MUST_CHECK;

/* x->up has grown or ended. */
int back2_flow(struct back2_stream *st) MUST_CHECK;

/* ------------------------------------------------------------ back2_take.c */

void back2_take_init(nghttp2_session_callbacks *c);

/* The H2_KEY_LEN bytes of the request's Sec-WebSocket-Key; NULL = it has none
   of that length. */
const char *back2_socket_key(const struct http_exchange *hx);

/* Give x what has come for it; may end it, and whatever else. */
void back2_deliver(struct back2_stream *st);

/* New window for what the client has taken. */
void back2_give_window(struct back2_stream *st);

/* For as long as the server, or the client, is waited for. */
void back2_arm(struct exchange *x);

#endif
