/*
 * What the group `redis` of an upstream says (conf_upstream.own, if its
 * protocol is redis).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_REDIS_CONF_H
#define PROXY_REDIS_CONF_H

/* Which servers are fit for use; health checks ask. */
enum redis_role { REDIS_ROLE_ANY, REDIS_ROLE_MASTER, REDIS_ROLE_REPLICA };

struct redis_upstream_conf {
	char *user;                     /* NULL: the default user */
	char *password;                 /* both NULL: no login */
	int role;                       /* enum redis_role */
};

#endif
