/*
 * memcached as a protocol of weir: its keys, its row in the table. See
 * memcached.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/memcached/memcached.h"

#include "proxy/proto/memcached/probe.h"

#define KIB 1024

static const struct conf_key listener_keys[] = {
	{ .name = "share_max", .type = CONF_SIZE,
	  .offset = offsetof(struct memcached_listener_conf, share_max),
	  .def = "64KiB", .min = KIB, .max = 128 * KIB,
	  .help = "larger values have a connection of their own and are sent "
	      "as they come" },
	{ .name = NULL }
};

static void
warn(const struct conf_listener *l, const struct conf_upstream *u,
    conf_say_fn *say, void *arg)
{
	(void)l;
	if (u != NULL && u->n_endpoints > 1 && u->balance != CONF_KEY_HASH)
		say(arg, u->line, "a key is not always at the same of its "
		    "endpoints, expected balance = \"key_hash\"");
}

static const char *const defaults[] = {
	"pool.max", "64",
	"pool.min_idle", "1",
	"pool.max_waiting", "10000",
	"pool.queue_timeout", "5s",
	"pool.idle_timeout", "off",
	"pool.max_lifetime", "off",
	"timeouts.idle", "off",
	NULL
};

const struct proto proto_memcached = {
	.conf = {
		.name = "memcached",
		.probes = true,
		.keys = true,
		.spans = CONF_SPAN_OWED,
		.default_mode = "shared",
		.defaults = defaults,
		.listener_keys = listener_keys,
		.listener_size = sizeof(struct memcached_listener_conf),
		.warn = warn
	},
	.family = FAMILY_MEMCACHED,
	.front = &memcached_front,
	.back = &memcached_back,
	.peer = &memcached_peer,
	.probe = &memcached_probe,
	.session_size = sizeof(struct memcached_session),
	.exchange_size = sizeof(struct memcached_exchange),
	.exchange_zeroed = sizeof(struct memcached_exchange),
	.exchange_fini = pipeline_exchange_fini
};
