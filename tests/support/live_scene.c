/*
 * An upstream without lanes. See live_scene.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/support/live_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char text[] = "listeners = ( { name = \"web\"; "
    "bind = \"127.0.0.1:8080\"; protocol = \"http\"; upstream = \"app\"; } );\n"
    "upstreams = ( { name = \"app\"; endpoints = ( \"127.0.0.1:9\", "
    "{ name = \"b\"; address = \"127.0.0.2:9\"; weight = 7; } ); } );\n";

void
live_scene_begin(struct live_scene *s)
{
	struct conf_errors errors = { 0 };
	struct conf_input in = { .path = "live.conf", .text = text,
	    .protos = proto_table };

	memset(s, 0, sizeof(*s));
	assert_int_equal(worker_init(&s->rt.main, 0, &s->rt), 0);
	list_init(&s->rt.generations);
	list_init(&s->rt.upstreams);
	list_init(&s->rt.listeners);
	s->conf = conf_load(&in, &errors);
	if (s->conf == NULL)
		fail_msg("%s", errors.v[0]);
	conf_errors_fini(&errors);
	s->lu = live_upstream_new(&s->rt, &s->conf->upstreams[0]);
	assert_non_null(s->lu);
	assert_int_equal(live_upstream_configure(s->lu,
	    &s->conf->upstreams[0]), 0);
}

void
live_scene_end(struct live_scene *s)
{
	live_upstream_free(s->lu);
	conf_free(s->conf);
	worker_fini(&s->rt.main);
}
