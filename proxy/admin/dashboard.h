/*
 * The dashboard: the files of dashboard/, joined and made part of the program
 * when it is built.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_DASHBOARD_H
#define PROXY_ADMIN_DASHBOARD_H

#include <stddef.h>

struct caller;

extern const char dashboard_html[];     /* ends with a NUL */
extern const size_t dashboard_html_len;

/*
 * Answer with the page. It holds nothing that is not in weir's source, so it
 * needs no token: it asks for the token itself, and shows nothing before.
 */
void dashboard_answer(struct caller *c);

#endif
