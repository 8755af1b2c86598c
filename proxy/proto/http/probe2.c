/*
 * The checks that speak HTTP/2: health.type "http" of upstreams with version
 * "2", and "grpc", which calls grpc.health.v1.Health/Check. See probe.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#include "proxy/proto/http/grpc.h"
#include "proxy/proto/http/probe.h"

enum { BODY_MOST = 256, FIELDS_MOST = 32 * 1024 };

struct state {
	nghttp2_session *ng;
	bool is_call;
	unsigned status;                /* of HTTP; 0 = has not come */
	int grpc_status;                /* -1 = has not come */
	bool has_head;                  /* the final one */
	bool ended, was_reset;
	size_t field_bytes;
	size_t sent;                    /* of `question` */
	size_t question_len, len;
	unsigned char question[GRPC_SERVICE_MOST + 8];
	unsigned char body[BODY_MOST];
};

/* ------------------------------------------------------------------- what comes */

/* At most three digits, as statuses of both kinds are; -1 = it is none. */
static int
number_of(const uint8_t *value, size_t len)
{
	int n = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9' || i == 3)
			return -1;
		n = n * 10 + (value[i] - '0');
	}
	return len > 0 ? n : -1;
}

static int
on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
    void *arg)
{
	struct state *s = arg;

	(void)ng, (void)frame, (void)flags;
	s->field_bytes += name_len + value_len;
	if (s->field_bytes > FIELDS_MOST)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (name_len == 7 && memcmp(name, ":status", 7) == 0) {
		int n = number_of(value, value_len);

		s->status = n > 0 ? (unsigned)n : 0;
	} else if (name_len == 11 && memcmp(name, "grpc-status", 11) == 0)
		s->grpc_status = number_of(value, value_len);
	return 0;
}

static int
on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes,
    size_t len, void *arg)
{
	struct state *s = arg;

	(void)ng, (void)flags, (void)id;
	if (len > BODY_MOST - s->len)
		len = BODY_MOST - s->len;
	memcpy(s->body + s->len, bytes, len);
	s->len += len;
	return 0;
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct state *s = arg;

	(void)ng;
	if (frame->hd.type == NGHTTP2_HEADERS && s->status >= 200)
		s->has_head = true;
	if ((frame->hd.type == NGHTTP2_HEADERS ||
	    frame->hd.type == NGHTTP2_DATA) &&
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
		s->ended = true;
	return 0;
}

static int
on_close(nghttp2_session *ng, int32_t id, uint32_t error, void *arg)
{
	struct state *s = arg;

	(void)ng, (void)id, (void)error;
	s->was_reset = !s->ended;
	return 0;
}

/* -------------------------------------------------------------------- what goes */

static ssize_t
read_question(nghttp2_session *ng, int32_t id, uint8_t *to, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct state *s = arg;
	size_t n = s->question_len - s->sent;

	(void)ng, (void)id, (void)source;
	if (n > room)
		n = room;
	memcpy(to, s->question + s->sent, n);
	s->sent += n;
	if (s->sent == s->question_len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static nghttp2_nv
field(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name,
	    (uint8_t *)(uintptr_t)value, strlen(name), strlen(value),
	    NGHTTP2_NV_FLAG_NONE };
}

static int
submit(const struct conf_upstream *conf, const struct endpoint *e,
    struct state *s)
{
	const char *host = conf->health.host != NULL ? conf->health.host :
	    e->authority;
	nghttp2_nv nv[] = {
		field(":method", s->is_call ? "POST" : "GET"),
		field(":scheme", conf->tls.client != NULL ? "https" : "http"),
		field(":path", s->is_call ? "/grpc.health.v1.Health/Check" :
		    conf->health.path),
		field(":authority", host),
		field("user-agent", "weir/" WEIR_VERSION),
		field("content-type", "application/grpc"),
		field("te", "trailers")
	};
	nghttp2_data_provider body = { { .ptr = NULL }, read_question };
	nghttp2_settings_entry push = { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };

	if (s->is_call)
		s->question_len = grpc_health_ask(conf->health.service,
		    s->question);
	if (nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, &push, 1) != 0)
		return -1;
	return nghttp2_submit_request(s->ng, NULL, nv, NELEMS(nv) -
	    (s->is_call ? 0 : 2), s->is_call ? &body : NULL, NULL) < 0 ? -1 : 0;
}

static int
push(struct state *s, struct block_store *store, struct buf *out)
{
	const uint8_t *bytes;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(s->ng, &bytes)) > 0)
		if (buf_append(store, out, bytes, (size_t)n) < 0)
			return -1;
	return n < 0 ? -1 : 0;
}

static int
begin(struct state *s)
{
	nghttp2_session_callbacks *c;
	int got;

	if (nghttp2_session_callbacks_new(&c) != 0)
		return -1;
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
	got = nghttp2_session_client_new(&s->ng, c, s);
	nghttp2_session_callbacks_del(c);
	if (got != 0)
		s->ng = NULL;
	return got == 0 ? 0 : -1;
}

static int
ask(const struct conf_upstream *conf, const struct endpoint *e, void *state,
    struct block_store *store, struct buf *out, bool is_call)
{
	struct state *s = state;

	s->is_call = is_call;
	s->grpc_status = -1;
	if (begin(s) < 0 || submit(conf, e, s) < 0)
		return -1;
	return push(s, store, out);
}

static int
ask_http(const struct conf_upstream *conf, const struct endpoint *e,
    void *state, struct block_store *store, struct buf *out)
{
	return ask(conf, e, state, store, out, false);
}

static int
ask_grpc(const struct conf_upstream *conf, const struct endpoint *e,
    void *state, struct block_store *store, struct buf *out)
{
	return ask(conf, e, state, store, out, true);
}

/* ------------------------------------------------------------------ the verdict */

static enum probe_verdict
judge_http(const struct conf_upstream *conf, const struct state *s,
    char why[PROBE_WHY_MAX])
{
	if (!s->has_head)
		return s->was_reset ? probe_bad(why, "stream reset") : PROBE_MORE;
	return http_probe_judge(conf, s->status, why);
}

static enum probe_verdict
judge_call(const struct state *s, char why[PROBE_WHY_MAX])
{
	enum grpc_health health;

	if (!s->ended)
		return s->was_reset ? probe_bad(why, "stream reset") : PROBE_MORE;
	if (s->status != 200) {
		snprintf(why, PROBE_WHY_MAX, "status %u", s->status);
		return PROBE_BAD;
	}
	if (s->grpc_status == GRPC_NOT_FOUND)
		return probe_bad(why, "service unknown");
	if (s->grpc_status == GRPC_UNIMPLEMENTED)
		return probe_bad(why, "has no grpc.health.v1.Health");
	if (s->grpc_status != GRPC_OK) {
		snprintf(why, PROBE_WHY_MAX, "grpc-status %d", s->grpc_status);
		return PROBE_BAD;
	}
	if (grpc_health_read(s->body, s->len, &health) != PARSE_DONE)
		return probe_bad(why, "bad answer");
	switch (health) {
	case GRPC_HEALTH_SERVING:
		return PROBE_OK;
	case GRPC_HEALTH_NOT_SERVING:
		return probe_bad(why, "not serving");
	case GRPC_HEALTH_SERVICE_UNKNOWN:
		return probe_bad(why, "service unknown");
	case GRPC_HEALTH_UNKNOWN:
		break;
	}
	return probe_bad(why, "status unknown");
}

static enum probe_verdict
answer(const struct conf_upstream *conf, void *state,
    struct block_store *store, struct buf *in, struct buf *out, bool eof,
    char why[PROBE_WHY_MAX])
{
	struct state *s = state;
	enum probe_verdict got;

	while (in->len > 0) {
		size_t len;
		const char *bytes = buf_front(in, &len);
		ssize_t n = nghttp2_session_mem_recv(s->ng,
		    (const uint8_t *)bytes, len);

		if (n < 0)
			return probe_bad(why, "not HTTP/2");
		buf_drop(store, in, (size_t)n);
	}
	if (push(s, store, out) < 0)
		return probe_bad(why, "out of memory");
	got = s->is_call ? judge_call(s, why) : judge_http(conf, s, why);
	if (got != PROBE_MORE)
		return got;
	if (!nghttp2_session_want_read(s->ng))
		return probe_bad(why, "not HTTP/2");
	return eof ? probe_bad(why, "closed without an answer") : PROBE_MORE;
}

static void
fini(void *state)
{
	struct state *s = state;

	nghttp2_session_del(s->ng);
	s->ng = NULL;
}

const struct probe_ops http2_probe = {
	.state_size = sizeof(struct state),
	.ask = ask_http,
	.answer = answer,
	.fini = fini
};

const struct probe_ops grpc_probe = {
	.state_size = sizeof(struct state),
	.ask = ask_grpc,
	.answer = answer,
	.fini = fini
};
