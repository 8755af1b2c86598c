/*
 * The check of health.type "http". See probe.h.
 *
 * One GET on a connection of its own, judged by the head of its answer: the
 * body is not waited for.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/probe.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/proto/http/parse.h"

enum {
	FIELDS_MOST = 100,
	HEADS_MOST_BYTES = 16 * 1024    /* of the answer and what comes before
					   it (1xx) together */
};

struct state {
	bool begun;
	size_t interim;                 /* bytes of 1xx heads so far */
	_Alignas(struct http_head) char head[HTTP_HEAD_SIZE(FIELDS_MOST)];
};

static int
ask(const struct conf_upstream *conf, const struct endpoint *e, void *state,
    struct block_store *store, struct buf *out)
{
	const char *host = conf->health.host;
	char *text;
	int len, got;

	(void)state;
	/* RFC 9112 3.2, 9.6 */
	len = asprintf(&text, "GET %s HTTP/1.1\r\nHost: %s\r\n"
	    "User-Agent: weir/" WEIR_VERSION "\r\nConnection: close\r\n\r\n",
	    conf->health.path, host != NULL ? host : e->authority);
	if (len < 0)
		return -1;
	got = buf_append(store, out, text, (size_t)len);
	free(text);
	return got;
}

enum probe_verdict
http_probe_judge(const struct conf_upstream *conf, unsigned status,
    char why[PROBE_WHY_MAX])
{
	const struct conf_statuses *expect = &conf->health.expect;
	unsigned i;

	for (i = 0; i < expect->n; i++)
		if (status >= expect->v[i].from && status <= expect->v[i].to)
			return PROBE_OK;
	snprintf(why, PROBE_WHY_MAX, "status %u", status);
	return PROBE_BAD;
}

static enum probe_verdict
refused(const struct http_head *head, char why[PROBE_WHY_MAX])
{
	if (head->status < 100)         /* not even a status line */
		return probe_bad(why, "not HTTP");
	snprintf(why, PROBE_WHY_MAX, "bad answer: %s", head->why);
	return PROBE_BAD;
}

/* The head is not whole yet. */
static enum probe_verdict
unfinished(const struct buf *in, bool eof, char why[PROBE_WHY_MAX])
{
	if (!eof)
		return PROBE_MORE;
	return probe_bad(why, in->len == 0 ? "closed without an answer" :
	    "closed inside the answer");
}

static enum probe_verdict
answer(const struct conf_upstream *conf, void *state,
    struct block_store *store, struct buf *in, struct buf *out, bool eof,
    char why[PROBE_WHY_MAX])
{
	struct state *s = state;
	struct http_head *head = (struct http_head *)(void *)s->head;
	const char *bytes;
	size_t len;

	(void)out;
	for (;;) {
		if (!s->begun)
			http_head_init(head, FIELDS_MOST, (unsigned)
			    (HEADS_MOST_BYTES - s->interim));
		s->begun = true;
		len = in->len < HEADS_MOST_BYTES ? in->len : HEADS_MOST_BYTES;
		if (len == 0)
			return unfinished(in, eof, why);
		bytes = buf_flat(store, in, len);
		if (bytes == NULL)
			return PROBE_MORE;      /* the deadline decides */
		switch (http_response_parse(head, HTTP_M_GET, bytes, len)) {
		case PARSE_MORE:
			return unfinished(in, eof, why);
		case PARSE_BAD:
			return refused(head, why);
		case PARSE_DONE:
			break;
		}
		/* RFC 9110 15.2: any number of them may come before. */
		if (head->status >= 200 || head->status == 101)
			break;
		s->interim += head->size;
		s->begun = false;
		buf_drop(store, in, head->size);
		if (s->interim >= HEADS_MOST_BYTES)
			return probe_bad(why, "too many interim answers");
	}
	return http_probe_judge(conf, head->status, why);
}

const struct probe_ops http_probe = {
	.state_size = sizeof(struct state),
	.ask = ask,
	.answer = answer
};
