/*
 * dashboard.html, made part of the program when it is built.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_DASHBOARD_H
#define PROXY_ADMIN_DASHBOARD_H

#include <stddef.h>

extern const char dashboard_html[];
extern const size_t dashboard_html_len;

#endif
