/*
 * All protocols there are: the only core file that names them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/http.h"
#include "proxy/proto/memcached/memcached.h"
#include "proxy/proto/postgres/postgres.h"
#include "proxy/proto/redis/redis.h"
#include "proxy/proto/tcp/tcp.h"

const struct conf_proto *const proto_table[] = {
	&proto_http.conf,
	&proto_tcp.conf,
	&proto_redis.conf,
	&proto_memcached.conf,
	&proto_postgres.conf,
	NULL
};
