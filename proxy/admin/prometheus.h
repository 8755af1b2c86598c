/*
 * A view in Prometheus's text format 0.0.4.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_PROMETHEUS_H
#define PROXY_ADMIN_PROMETHEUS_H

#include <stdio.h>

#include "proxy/view.h"

/* started_s: when the process began, wall clock. */
void prometheus_print(FILE *out, const struct view *v, double started_s);

#endif
