/*
 * A desk to write HTTP heads at. See desk.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct block_store *
desk_store(struct desk *d)
{
	return &d->scene.lane->worker.blocks;
}

void
desk_open(struct desk *d, const char *ip, const char *listener_keys,
    const char *upstream_keys)
{
	static char authority[] = "origin.internal:3000";

	memset(d, 0, sizeof(*d));
	lane_scene_begin(&d->scene, "http", listener_keys, upstream_keys);
	d->client = lane_scene_client(&d->scene, ip);
	d->endpoint.authority = authority;
	d->site.endpoint = &d->endpoint;
	d->shelf = calloc(1, sizeof(*d->shelf));
	assert_non_null(d->shelf);
	d->shelf->site = &d->site;
	d->u.shelf = d->shelf;
}

static void
clear(struct desk *d)
{
	if (d->x != NULL)
		exchange_drop(d->x, FAIL_CLIENT_GONE);
	d->x = NULL;
	free(d->raw);
	free(d->answer_raw);
	d->raw = d->answer_raw = NULL;
	buf_clear(desk_store(d), &d->u.conn.out);
	lane_scene_run(&d->scene);
}

void
desk_close(struct desk *d)
{
	clear(d);
	free(d->shelf);
	close(d->client);
	lane_scene_end(&d->scene);
}

static struct http_head *
head_piece(struct desk *d)
{
	struct http_head *h = pile_get(&d->scene.lane->pieces[FAMILY_HTTP]);

	assert_non_null(h);
	http_head_init(h, HTTP_FIELDS_MAX, HTTP_HEAD_MAX);
	return h;
}

/* Just the bytes, so that reading past them is seen. */
static char *
copy_of(const char *bytes, size_t len)
{
	char *copy = malloc(len);

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	return copy;
}

bool
desk_ask(struct desk *d, const char *bytes, size_t len)
{
	struct http_exchange *hx;

	clear(d);
	d->x = exchange_new(lane_scene_session(&d->scene));
	assert_non_null(d->x);
	d->x->upstream = &d->scene.rt.gen->conf->upstreams[0];
	hx = http_of(d->x);
	hx->head = head_piece(d);
	d->raw = copy_of(bytes, len);
	hx->raw = d->raw;
	if (http_request_parse(hx->head, d->raw, len) != PARSE_DONE)
		return false;
	assert_int_equal(hx->head->size, len);
	hx->keep = hx->head->keep_alive;
	hx->upgrade = hx->head->upgrade;
	return true;
}

bool
desk_answer(struct desk *d, const char *bytes, size_t len)
{
	struct http_exchange *hx = http_of(d->x);

	if (hx->answer == NULL)
		hx->answer = head_piece(d);
	http_head_init(hx->answer, HTTP_FIELDS_MAX, HTTP_HEAD_MAX);
	free(d->answer_raw);
	d->answer_raw = copy_of(bytes, len);
	hx->answer_raw = d->answer_raw;
	return http_response_parse(hx->answer,
	    (enum http_method)hx->head->method, d->answer_raw, len) ==
	    PARSE_DONE;
}

const char *
desk_text(struct desk *d, const struct buf *b)
{
	const struct slice *sl;
	size_t n = 0;

	for (sl = b->first; sl != NULL; sl = sl->next) {
		assert_true(n + sl->len < sizeof(d->text));
		memcpy(d->text + n, sl->block->bytes + sl->at, sl->len);
		n += sl->len;
	}
	d->text[n] = '\0';
	return d->text;
}
