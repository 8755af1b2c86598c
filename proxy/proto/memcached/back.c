/*
 * memcached towards its servers: sending requests, reading replies, and keeping
 * back what the client has asked not to be told.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "proxy/proto/memcached/memcached.h"

static const char *const pin_names[] = { "large", "alone", NULL };

/* Counted by the first word of an error line, or what it would be. */
enum error { ERROR_PLAIN, ERROR_CLIENT, ERROR_SERVER, ERROR_OTHER };

static const char *const error_names[] = {
	"ERROR", "CLIENT_ERROR", "SERVER_ERROR", "other", NULL
};
static const char *const own_error_names[] = { "SERVER_ERROR", NULL };

static bool
memcached_greet(struct upconn *u)
{
	pipeline_open(u, &memcached_pipeline);
	return true;
}

static bool
memcached_adopt(struct upconn *u, const void *packed, size_t len)
{
	(void)packed, (void)len;
	pipeline_open(u, &memcached_pipeline);
	return true;
}

/* ----------------------------------------------------------------- requests */

_Static_assert(sizeof(struct memcached_ask) <=
    sizeof(((struct owed *)0)->own), "it is kept there");

static int
owe(struct upconn *u, struct exchange *x)
{
	if (pipeline_owe(u, x, 1, 0) < 0)
		return -1;
	memcpy(pipe_of(u)->last->own, &memcached_of(x)->ask,
	    sizeof(struct memcached_ask));
	return 0;
}

static void
memcached_start(struct upconn *u, struct exchange *x)
{
	const struct memcached_exchange *mx = memcached_of(x);

	if (owe(u, x) < 0 || pipeline_send(u, x) < 0) {
		upconn_mark(u, MARK_BROKEN, "out of memory");
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	if (mx->is_alone)
		upconn_pin(u, mx->breaks ? MEMCACHED_PIN_ALONE :
		    MEMCACHED_PIN_LARGE);
}

/* ------------------------------------------------------------------ replies */

/* Quiet requests were sent as loud ones. */
static void
restore(const struct memcached_ask *a, uint64_t at, const char *bytes,
    size_t len)
{
	memcached_reply_restore(a, at, (char *)(uintptr_t)bytes, len);
}

static enum parse
memcached_feed(struct upconn *u, struct owed *o, const char *bytes, size_t len,
    size_t *used)
{
	struct memcached_upconn *mu = memcached_upconn(u);
	struct memcached_reply *r = &mu->reply;
	struct memcached_ask ask;
	uint64_t at;
	enum parse got;

	if (!mu->reading) {
		memcpy(&ask, o->own, sizeof(ask));
		memcached_reply_init(r, &ask);
		mu->reading = true;
	}
	at = r->size;
	got = memcached_reply_feed(r, bytes, len, used);
	restore(&r->ask, at, bytes, *used);
	if (got == PARSE_DONE)
		mu->reading = false;
	else if (o->x != NULL && piped_of(o->x)->holds &&
	    memcached_reply_streams(r))
		piped_of(o->x)->holds = false;
	return got;
}

static enum pipeline_aim
memcached_aim(struct upconn *u, struct owed *o)
{
	(void)o;
	return memcached_upconn(u)->reply.ask.quiet == MEMCACHED_NOREPLY ?
	    PIPELINE_DROP : PIPELINE_REPLY;
}

/* The binary protocol's status as the text protocol would have put it. */
static enum error
error_of_status(uint16_t status)
{
	switch (status) {
	case 0x81:      /* unknown command */
		return ERROR_PLAIN;
	case 0x03:      /* too large */
	case 0x82:      /* out of memory */
	case 0x84:      /* internal error */
	case 0x85:      /* busy */
	case 0x86:      /* temporary failure */
		return ERROR_SERVER;
	case 0x04:      /* invalid arguments */
	case 0x06:      /* not a number */
		return ERROR_CLIENT;
	default:
		return ERROR_OTHER;
	}
}

static void
count_error(struct upconn *u, const struct memcached_reply *r)
{
	unsigned i = 0;

	if (r->ask.wire == MEMCACHED_BINARY)
		i = error_of_status(r->status);
	else
		while (i < ERROR_OTHER && strcmp(r->word, error_names[i]) != 0)
			i++;
	count_add(&u->pool->errors[i], 1);
}

static bool
memcached_whole(struct upconn *u, struct owed *o)
{
	const struct memcached_reply *r = &memcached_upconn(u)->reply;
	struct exchange *x = o->x;

	if (unlikely(r->is_error))
		count_error(u, r);
	if (x == NULL)
		return true;
	memcached_of(x)->is_error = r->is_error;
	if (!memcached_reply_wanted(r))
		buf_clear(exchange_blocks(x), &x->down);
	if (memcached_of(x)->breaks)
		upconn_mark(u, MARK_BROKEN, "of one request only");
	else if (!piped_of(x)->sent)
		upconn_mark(u, MARK_BROKEN, "answered inside a request");
	return true;
}

static bool
memcached_waits(const struct exchange *x)
{
	(void)x;
	return false;
}

static void
memcached_drop(struct upconn *u, struct exchange *x)
{
	if (memcached_of(x)->breaks)
		upconn_mark(u, MARK_BROKEN, "of one request only");
	pipeline_drop(u, x);
}

/* A connection speaks one protocol. Text has the empty key, of which some are
   kept warm. */
static const void *
memcached_key(const struct exchange *x, size_t *len)
{
	*len = memcached_of(x)->ask.wire == MEMCACHED_BINARY ? 1 : 0;
	return "b";
}

static uint64_t
memcached_hash(const struct exchange *x)
{
	return memcached_of(x)->hash;
}

static bool
memcached_alone(const struct exchange *x, bool *lasts)
{
	/* For as long as its client takes to send it. */
	*lasts = memcached_of(x)->piped.streams;
	return memcached_of(x)->is_alone;
}

static bool
memcached_replayable(const struct exchange *x, enum conf_retry_what what)
{
	(void)what;
	return pipeline_replayable(x);
}

const struct pipeline_ops memcached_pipeline = {
	.feed = memcached_feed,
	.aim = memcached_aim,
	.whole = memcached_whole,
	.waits = memcached_waits,
	.join = memcached_join
};

const struct back_ops memcached_back = {
	.key = memcached_key,
	.hash = memcached_hash,
	.alone = memcached_alone,
	.start = memcached_start,
	.with = pipeline_with,
	.drained = intake_upstream_drained,
	.late = pipeline_late,
	.replayable = memcached_replayable,
	.drop = memcached_drop
};

const struct peer_ops memcached_peer = {
	.state_size = sizeof(struct memcached_upconn),
	.pins = pin_names,
	.errors = error_names,
	.own_errors = own_error_names,
	.greet = memcached_greet,
	.bytes = pipeline_input,
	.room = pipeline_room,
	.adopt = memcached_adopt,
	.fini = pipeline_fini
};
