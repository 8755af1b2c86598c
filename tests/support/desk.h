/*
 * A desk to write HTTP heads at: one exchange on a lane, whose request a test
 * hands in, and an upstream connection that is none but for its output.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_DESK_H
#define TESTS_SUPPORT_DESK_H

#include <stdbool.h>

#include "proxy/proto/http/http.h"
#include "tests/support/lane_scene.h"

struct desk {
	struct lane_scene scene;
	int client;
	struct exchange *x;
	struct endpoint endpoint;       /* "origin.internal:3000" */
	struct site site;
	struct shelf *shelf;
	struct upconn u;
	char *raw, *answer_raw;         /* of just their size */
	char text[256 * 1024];          /* what was written last */
};

/* A client of that address, and keys as lane_scene_begin() takes them. */
void desk_open(struct desk *d, const char *ip, const char *listener_keys,
    const char *upstream_keys);
void desk_close(struct desk *d);

struct block_store *desk_store(struct desk *d);

/* A new exchange with that request, or an answer to it; false when the parser
   refuses it, and head->why says why. */
bool desk_ask(struct desk *d, const char *bytes, size_t len);
bool desk_answer(struct desk *d, const char *bytes, size_t len);

/* All that is in b, in d->text. */
const char *desk_text(struct desk *d, const struct buf *b);

#endif
