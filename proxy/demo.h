/*
 * `weir demo`: a configuration and an origin built in, so that weir can be seen
 * at work with no file and no other server.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_DEMO_H
#define PROXY_DEMO_H

#include <stdint.h>

#include "net/err.h"

struct runtime;

struct demo {
	int      origin_fd;
	struct origin *origin;
	uint16_t origin_port, web_port, tcp_port, admin_port;
	char     config[2048];          /* libconfig text */
};

/* Finds free ports (8080, 9000 and 9901 where they are free) and listens for
   the origin. -1 when it cannot. */
int demo_prepare(struct demo *d) MUST_CHECK;

/* Serves the origin on main's loop. */
int demo_serve(struct demo *d, struct runtime *rt) MUST_CHECK;
void demo_print(const struct demo *d);
/* While the runtime is still there. */
void demo_end(struct demo *d);

#endif
