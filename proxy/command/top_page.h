/*
 * What stands on the screen of `weir top`, as lines of text: all upstreams, or
 * one with its endpoints and connections, or the keys. Nothing here knows of
 * terminals.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_TOP_PAGE_H
#define PROXY_COMMAND_TOP_PAGE_H

#include "proxy/command/top_rows.h"

enum { LINE_WIDE = 256 };

/* What a line is: more than its colour, for not every terminal has any. */
enum line_kind { LINE_PLAIN, LINE_HEAD, LINE_GOOD, LINE_BAD, LINE_SOFT };

struct line {
	enum line_kind kind;
	char text[LINE_WIDE];           /* no control characters */
};

/* Embedded; zeroed, then page_fini(). */
struct top_page {
	struct line *lines;
	size_t n, room;
	size_t fixed;                   /* the first so many stay at the top */
	size_t chosen;                  /* the line that is; n = none */
};

void page_clear(struct top_page *p);
void page_fini(struct top_page *p);

/* A line; what there is no memory for is missing. */
void page_add(struct top_page *p, enum line_kind kind, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Three lines about the program, the last of them what is worst. */
void page_program(struct top_page *p, const struct top_frames *f,
    const struct top_row *rows, size_t n);

/* Listeners, then upstreams; chosen is one's name. */
void page_overview(struct top_page *p, const struct top_frames *f,
    const struct top_row *rows, size_t n, const char *chosen);

/* One upstream; connections: what /connections says, NULL = not yet. */
void page_upstream(struct top_page *p, const struct top_row *row,
    const json_t *connections);

void page_help(struct top_page *p);

#endif
