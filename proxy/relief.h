/*
 * When memory runs short: main looks at what there is ten times a second, and
 * has the lanes close clients that are idle. The gate refuses new ones when
 * that is not enough (proxy/gate.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_RELIEF_H
#define PROXY_RELIEF_H

#include "proxy/runtime.h"

void relief_start(struct runtime *rt);
/* A new snapshot's max_memory holds. */
void relief_configure(struct runtime *rt, const struct conf *conf);

/*
 * libev ends the process when it gets no memory for its tables, and of jansson's
 * objects what it gets none for is missing: from here on both ask for a second
 * before they give up. And what jansson frees is wiped.
 */
void relief_patience(void);

#endif
