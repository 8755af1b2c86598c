/*
 * Becoming the user of the file.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_SERVICE_PRIVILEGES_H
#define PROXY_SERVICE_PRIVILEGES_H

#include <stddef.h>

#include "conf/conf.h"
#include "net/err.h"
#include "net/sink.h"

/*
 * With one thread. As root, become conf's user and group; of root's
 * capabilities only that to bind low ports stays, for a reload may need it.
 * access: the log's file, which is to be opened again later; or NULL. -1 with
 * why, also when one of them is not known any more: never root instead.
 */
int privileges_drop(const struct conf *conf, struct sink *access, char *why,
    size_t size) MUST_CHECK;

#endif
