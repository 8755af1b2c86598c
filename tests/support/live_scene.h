/*
 * A scene for tests of what main does to an upstream: "app", with the endpoints
 * 127.0.0.1:9 and "b" of weight 7, and no lane that would do anything about it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_LIVE_SCENE_H
#define TESTS_SUPPORT_LIVE_SCENE_H

#include "proxy/live.h"

struct live_scene {
	struct runtime rt;
	struct conf *conf;
	struct live_upstream *lu;
};

void live_scene_begin(struct live_scene *s);
void live_scene_end(struct live_scene *s);

#endif
