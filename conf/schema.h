/*
 * Every key of the file that is not a protocol's own, one row each.
 *
 * Reading, defaults, unknown keys, `weir -h config` and /config all come from
 * these rows. Protocols bring theirs (struct conf_proto).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_SCHEMA_H
#define CONF_SCHEMA_H

#include <stdint.h>

#include "conf/conf.h"

/* Offset of keys that conf/ reads with code of its own: the row is for help,
   for unknown keys and for what is expected. */
#define BY_HAND SIZE_MAX

/* What a bind, a route and an endpoint look like before they are facts. */
struct bind_words {
	char   *address, *mode, *owner, *group;
	int64_t backlog;
};

struct route_words {
	char *host, *path, *sni, *alpn, *upstream;
	int   retry;
};

struct endpoint_words {
	char   *name, *address, *srv;
	int64_t weight, max;
	bool    backup;
};

extern const struct conf_key schema_top[];              /* struct conf */
extern const struct conf_key schema_dns[];              /* struct conf */
extern const struct conf_key schema_admin[];            /* struct conf */
extern const struct conf_key schema_log[];              /* struct conf */
extern const struct conf_key schema_security[];         /* struct conf */
extern const struct conf_key schema_watchdog[];         /* struct conf */
extern const struct conf_key schema_listener[];         /* conf_listener */
extern const struct conf_key schema_listener_tls[];     /* conf_listener */
extern const struct conf_key schema_certificate[];      /* conf_certificate */
extern const struct conf_key schema_limits[];           /* conf_listener */
extern const struct conf_key schema_proxy_protocol[];   /* conf_listener */
extern const struct conf_key schema_listener_times[];   /* conf_listener */
extern const struct conf_key schema_bind[];             /* bind_words */
extern const struct conf_key schema_route[];            /* route_words */
extern const struct conf_key schema_upstream[];         /* conf_upstream */
extern const struct conf_key schema_upstream_tls[];     /* conf_upstream */
extern const struct conf_key schema_pool[];             /* conf_upstream */
extern const struct conf_key schema_upstream_times[];   /* conf_upstream */
extern const struct conf_key schema_endpoint[];         /* endpoint_words */
extern const struct conf_key schema_key_hash[];         /* conf_upstream */
extern const struct conf_key schema_retry[];            /* conf_upstream */
extern const struct conf_key schema_health[];           /* conf_upstream */
extern const struct conf_key schema_outlier[];          /* conf_upstream */
extern const struct conf_key schema_upstream_limits[];  /* conf_upstream */

/*
 * Keys of the group that may stand where a limit of this row may, of struct
 * conf_limit. The first is what the limit would be as a bare value.
 */
const struct conf_key *schema_limit_keys(const struct conf_key *row);

struct schema_section {
	const char *path;       /* "listeners[].limits"; "" = top */
	const char *prefix;     /* in names of protocol defaults: "pool" */
	const char *help;
	const struct conf_key *keys;
};

/* All of the above, in the order people read them; ends with path NULL. */
extern const struct schema_section schema_sections[];

/* Words of pool.mode; the index is the bit of enum conf_span. */
extern const char *const schema_modes[];

/* The row of a key, or NULL. */
const struct conf_key *schema_find(const struct conf_key *keys,
    const char *name);

/* The default of a key under a protocol (may be NULL) as text, or NULL. */
const char *schema_default(const struct conf_key *key, const char *prefix,
    const struct conf_proto *proto);

#endif
