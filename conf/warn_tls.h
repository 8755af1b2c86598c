/*
 * What is legal but hurts about TLS, for warn.c. Nothing is said of what was
 * read offline.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_WARN_TLS_H
#define CONF_WARN_TLS_H

#include "conf/conf.h"

void warn_listener_tls(const struct conf *c, const struct conf_listener *l,
    conf_say_fn *say, void *arg);
void warn_upstream_tls(const struct conf *c, const struct conf_upstream *u,
    conf_say_fn *say, void *arg);

#endif
