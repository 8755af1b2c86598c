/*
 * Files of TLS that are to be read again when they change (tls.watch).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_CERTIFICATES_H
#define PROXY_CERTIFICATES_H

#include "proxy/runtime.h"

/*
 * Once a second, on main's loop. New connections have what is new; what cannot
 * be used is logged and counted, and all stays as it was.
 */
void certificates_look(struct runtime *rt);

#endif
