/*
 * Two protocols that exist only for the tests of conf/: conf knows none by
 * name. "http" has settings of its own, headers, probes and keys to balance by,
 * "tcp" nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_CONF_FAKE_H
#define TESTS_CONF_FAKE_H

#include <stddef.h>
#include <string.h>

#include "conf/conf.h"

struct fake_front {
	int    forwarded;
	bool   trace;
	struct conf_nets trusted;
};

struct fake_back {
	char   *host;
	char   *password;
	int64_t share_max;
	struct conf_headers set_headers;
	struct conf_names   remove_headers;
};

static inline int
fake_host_check(const char *value, const char **why)
{
	if (strchr(value, '/') == NULL)
		return 0;
	*why = "a host has no \"/\", expected \"keep\" or a name";
	return -1;
}

static inline void
fake_warn(const struct conf_listener *l, const struct conf_upstream *u,
    conf_say_fn *say, void *arg)
{
	const struct fake_front *own = l == NULL ? NULL : l->own;

	if (own != NULL && own->trace)
		say(arg, l->line, "http.trace is on");
	if (u != NULL && u->balance == CONF_LEAST_CONN)
		say(arg, u->line, "balance is %s", "least_conn");
}

static const char *const fake_forwarded[] = {
	"append", "replace", "off", NULL
};

static const struct conf_key fake_front_keys[] = {
	{ .name = "forwarded", .type = CONF_ENUM, .words = fake_forwarded,
	    .offset = offsetof(struct fake_front, forwarded),
	    .def = "append", .help = "X-Forwarded-For" },
	{ .name = "trace", .type = CONF_BOOL, .def = "false",
	    .offset = offsetof(struct fake_front, trace),
	    .help = "TRACE is passed on" },
	{ .name = "trusted", .type = CONF_NETS, .def = "(127.0.0.0/8, ::1)",
	    .offset = offsetof(struct fake_front, trusted),
	    .help = "who is believed" },
	{ .name = NULL }
};

static const struct conf_key fake_back_keys[] = {
	{ .name = "host", .type = CONF_STRING, .def = "keep",
	    .offset = offsetof(struct fake_back, host),
	    .check = fake_host_check, .help = "the Host field" },
	{ .name = "password", .type = CONF_STRING, .def = "",
	    .offset = offsetof(struct fake_back, password),
	    .help = "a secret" },
	{ .name = "share_max", .type = CONF_SIZE, .def = "64KiB",
	    .offset = offsetof(struct fake_back, share_max), .min = 1024,
	    .max = 1 << 30, .help = "held back at most" },
	{ .name = "set_headers", .type = CONF_HEADERS,
	    .offset = offsetof(struct fake_back, set_headers),
	    .help = "fields to set" },
	{ .name = "remove_headers", .type = CONF_NAMES, .def = "(X-A, X-B)",
	    .offset = offsetof(struct fake_back, remove_headers),
	    .help = "fields to remove" },
	{ .name = NULL }
};

static const char *const fake_http_defaults[] = {
	"pool.min_idle", "1", "pool.max_lifetime", "10m",
	"timeouts.idle", "60s", NULL
};

static const char *const fake_tcp_defaults[] = {
	"pool.max", "1000", "timeouts.idle", "off", NULL
};

static const struct conf_proto fake_http = {
	.name = "http", .spans = CONF_SPAN_SESSION | CONF_SPAN_REQUEST,
	.default_mode = "request", .defaults = fake_http_defaults,
	.routes = CONF_BY_HOST, .headers = true, .probes = true, .keys = true,
	.warn = fake_warn,
	.listener_keys = fake_front_keys,
	.listener_size = sizeof(struct fake_front),
	.upstream_keys = fake_back_keys,
	.upstream_size = sizeof(struct fake_back)
};

static const struct conf_proto fake_tcp = {
	.name = "tcp", .spans = CONF_SPAN_SESSION, .default_mode = "session",
	.defaults = fake_tcp_defaults
};

static const struct conf_proto *const fake_protos[] = {
	&fake_http, &fake_tcp, NULL
};

#endif
