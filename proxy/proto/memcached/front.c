/*
 * memcached towards clients: reading their requests one after the other, handing
 * each on when it is whole, and saying what has failed.
 *
 * SPDX-License-Identifier: MIT
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "proxy/proto/memcached/memcached.h"

/* ------------------------------------------------------------------ reading */

/* Will it not be waited for until it is whole? */
static bool
is_large(const struct session *s)
{
	const struct memcached_request *r = &memcached_session(s)->request;

	return r->head > 0 && r->size >=
	    (uint64_t)memcached_conf(s)->share_max;
}

/* Feed on, where the request stands at the beginning of the input. */
static enum parse
read_request(struct session *s)
{
	struct memcached_request *r = &memcached_session(s)->request;
	enum parse got = PARSE_MORE;
	const char *bytes;
	size_t len, used;

	while (got == PARSE_MORE && !is_large(s)) {
		bytes = buf_at(&s->conn.in, (size_t)r->size, &len);
		if (len == 0)
			break;
		got = memcached_request_feed(r, bytes, len, &used);
	}
	return got;
}

/* The answer comes when those before it have; then the client is left. */
static void
protocol_error(struct session *s)
{
	char text[MEMCACHED_ANSWER_MAX];

	intake_refuse(s, text, memcached_error_write(
	    &memcached_session(s)->request, text));
}

/* One request. False: there is none, or it has to wait. */
static bool
take(struct session *s)
{
	struct memcached_session *ms = memcached_session(s);

	if (!ms->is_whole) {
		switch (read_request(s)) {
		case PARSE_BAD:
			protocol_error(s);
			return false;
		case PARSE_MORE:
			if (!is_large(s))
				return false;
			return memcached_dispatch_large(s) || intake_hold(s);
		case PARSE_DONE:
			break;
		}
		ms->is_whole = true;
	}
	return memcached_dispatch(s) || intake_hold(s);
}

/* A wrong end of a value shows only there. */
static enum parse
feed(struct session *s, const char *bytes, size_t len, size_t *used)
{
	struct memcached_request *r = &memcached_session(s)->request;
	enum parse got = memcached_request_feed(r, bytes, len, used);

	return got != PARSE_MORE && r->error != NULL ? PARSE_BAD : got;
}

/* Its end shows that the server would find it wrong. It does not get that far:
   what it has is thrown away when its connection closes. */
static void
spoilt(struct session *s, struct exchange *x)
{
	struct memcached_session *ms = memcached_session(s);

	if (x != NULL) {
		memcached_of(x)->error = ms->request.error;
		exchange_fail(x, FAIL_BAD_REQUEST);
	}
	pipeline_of(s)->discards = false;
	if (!s->closed)
		memcached_request_taken(s);
}

static const struct intake_ops intake_ops = {
	.take = take,
	.feed = feed,
	.taken = memcached_request_taken,
	.spoilt = spoilt
};

static void
memcached_bytes(struct session *s)
{
	intake_bytes(s, &intake_ops);
}

static void
memcached_open(struct session *s)
{
	memcached_request_init(&memcached_session(s)->request,
	    MEMCACHED_UNTOLD);
	pipeline_watch(s);
}

/* All that a client has said for good is which protocol it speaks. */
static json_t *
memcached_pack(const struct session *s)
{
	return pipeline_is_between(s) ? json_pack("{s:i}", "wire",
	    (int)memcached_session(s)->request.wire) : NULL;
}

static bool
memcached_adopt(struct session *s, const json_t *said)
{
	json_int_t wire = json_integer_value(json_object_get(said, "wire"));

	memcached_open(s);
	if (wire < MEMCACHED_UNTOLD || wire > MEMCACHED_BINARY)
		return false;
	memcached_request_init(&memcached_session(s)->request,
	    (enum memcached_wire)wire);
	return true;
}

/* ------------------------------------------------------------------ failing */

/* As much of the request as its answer has to know. */
static struct memcached_request
request_of(const struct memcached_ask *a)
{
	return (struct memcached_request){ .wire = a->wire,
	    .quiet = a->quiet, .opcode = a->opcode, .opaque = a->opaque };
}

/* Status of binary replies, of the wiki page: not stored for the client's own
   mistakes is "invalid arguments"; else "temporary failure". */
enum { STATUS_INVALID = 0x04, STATUS_TEMPORARY = 0x86 };

static size_t
write_failure(const struct exchange *x, enum fail why, char *out)
{
	const struct memcached_exchange *mx = memcached_of(x);
	struct memcached_request r = request_of(&mx->ask);
	char line[128];

	if (mx->error != NULL) {
		r.error = mx->error;
		r.status = STATUS_INVALID;
		return memcached_error_write(&r, out);
	}
	snprintf(line, sizeof(line), "SERVER_ERROR weir: %s: %s",
	    fail_rows[why].name, fail_rows[why].text);
	return memcached_failure_write(&r, STATUS_TEMPORARY, line, out);
}

static bool
memcached_fail_in_turn(struct session *s, struct exchange *x, enum fail why)
{
	char text[MEMCACHED_ANSWER_MAX];

	return pipeline_fail(s, x, text, write_failure(x, why, text));
}

/* As memcached itself says it, in text to everybody. */
static size_t
memcached_refuse(enum limit why, int64_t retry_after_ns, char *out,
    size_t size)
{
	int n = snprintf(out, size, "%s\r\n", why == LIMIT_DENIED ?
	    "SERVER_ERROR weir: not from here" :
	    "ERROR Too many open connections");

	(void)retry_after_ns;
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

static const char *
memcached_asks(const struct exchange *x, size_t *len, bool *is_line)
{
	const char *name =
	    memcached_command_names[memcached_of(x)->ask.command];

	(void)is_line;
	*len = strlen(name);
	return name;
}

static void
memcached_words(const struct exchange *x, struct access_words *w)
{
	w->request = memcached_command_names[memcached_of(x)->ask.command];
	w->request_len = strlen(w->request);
}

const struct front_ops memcached_front = {
	.open = memcached_open,
	.pack = memcached_pack,
	.adopt = memcached_adopt,
	.bytes = memcached_bytes,
	.leased = intake_leased,
	.drained = pipeline_drained,
	.fail = intake_cut,
	.fail_in_turn = memcached_fail_in_turn,
	.late = pipeline_session_late,
	.bye = memcached_bytes,
	.refuse = memcached_refuse,
	.asks = memcached_asks,
	.words = memcached_words
};
