/*
 * HTTP/2 towards upstreams: what a lane's connections have in common. See
 * back2.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/back2.h"
#include "proxy/proto/http/front2.h"
#include "proxy/runtime.h"

enum {
	STREAMS_KEPT = 256,
	TABLE_BYTES = 4096              /* of HPACK, each way */
};

void
back2_lane_init(struct back2_lane *lane)
{
	pile_init(&lane->streams, sizeof(struct back2_stream), STREAMS_KEPT);
	if (nghttp2_option_new(&lane->option) != 0) {
		lane->option = NULL;
		return;
	}
	nghttp2_option_set_no_auto_window_update(lane->option, 1);
	nghttp2_option_set_no_closed_streams(lane->option, 1);
	nghttp2_option_set_max_deflate_dynamic_table_size(lane->option,
	    TABLE_BYTES);
	if (nghttp2_session_callbacks_new(&lane->callbacks) != 0) {
		lane->callbacks = NULL;
		return;
	}
	back2_give_init(lane->callbacks);
	back2_take_init(lane->callbacks);
}

void
back2_lane_fini(struct back2_lane *lane)
{
	pile_fini(&lane->streams);
	nghttp2_session_callbacks_del(lane->callbacks);
	nghttp2_option_del(lane->option);
}

struct back2_lane *
back2_lane_of(const struct upconn *u)
{
	const struct lane *lane = u->conn.w->owner;
	struct http_lane *own = lane->own[FAMILY_HTTP];

	return &own->back;
}
