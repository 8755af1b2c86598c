/*
 * What a snapshot says of the process as a whole, beside its listeners and
 * upstreams: descriptors, logs, names, memory. Main's alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_SETTINGS_H
#define PROXY_SETTINGS_H

#include <stddef.h>

#include "conf/conf.h"
#include "net/err.h"
#include "net/resolve.h"

struct runtime;
struct sink;

/* Where its access log goes: *out, NULL = nowhere ("off"). -1 with a sentence in
   why. */
int settings_open_access(const struct conf *conf, struct sink **out, char *why,
    size_t size) MUST_CHECK;

struct resolver_options settings_resolver(const struct conf *conf);

/* How many descriptors clients may have. */
void settings_descriptors(struct runtime *rt, const struct conf *conf);

/* For a reload: all of them, but the access log. Cannot fail. */
void settings_apply(struct runtime *rt, const struct conf *conf);

#endif
