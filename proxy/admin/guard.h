/*
 * Who may ask the admin port at all. A browser can be made to send requests
 * here by any page it shows: a name that points here (DNS rebinding) is caught
 * by Host, a form or script of another page by Origin. Others need the token.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_GUARD_H
#define PROXY_ADMIN_GUARD_H

#include <stdbool.h>

#include "conf/conf.h"
#include "net/addr.h"
#include "proxy/proto/http/parse.h"

enum verdict { VERDICT_PASS, VERDICT_HOST, VERDICT_ORIGIN, VERDICT_TOKEN };

/* Neither loopback nor a Unix socket: whoever can reach it is unknown. */
bool guard_is_exposed(const struct addr *bind);

/*
 * Judge a parsed head; bytes are the head's. A configured token is asked for
 * everywhere but on probe_bind; on an exposed bind nobody passes without one.
 */
enum verdict guard_judge(const struct conf *conf, bool probe, bool exposed,
    const struct http_head *h, const char *bytes);

/* Is it for the weir that was started with that file, or for whichever answers?
   Who has found us by a file says which (proxy/started.h). */
bool guard_is_meant(const char *file, const struct http_head *h,
    const char *bytes);

#endif
