/*
 * What stands on the screen of `weir top`, as lines of text: all listeners and
 * upstreams, or one of them, or what is told in words, or the keys. Nothing here
 * knows of terminals.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_TOP_PAGE_H
#define PROXY_COMMAND_TOP_PAGE_H

#include "proxy/command/top_rows.h"
#include "proxy/command/top_trouble.h"

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

/* Each line of a text. */
void page_text(struct top_page *p, enum line_kind kind, const char *text);

/* Two lines about the program, what is worst, and how much else there is. */
void page_program(struct top_page *p, const struct top_frames *f,
    const struct troubles *t);

/* Which row of the overview is. */
struct top_chosen {
	bool listener;                  /* or an upstream */
	char name[128];
};

/* Listeners, then upstreams. */
void page_overview(struct top_page *p, const struct top_frames *f,
    const struct top_row *rows, size_t n, const struct top_chosen *chosen);

/* One upstream; connections: what /connections says, NULL = not yet. */
void page_upstream(struct top_page *p, const struct top_frames *f,
    const struct top_row *row, const json_t *connections);

/* One listener. */
void page_listener(struct top_page *p, const struct top_frames *f,
    const char *name);

/* What is wrong, what is advised, what the last reloads have changed. */
void page_told(struct top_page *p, const struct top_frames *f,
    const struct troubles *t);

/* slow: what /slow says, NULL = not yet. */
void page_slow(struct top_page *p, const json_t *slow);

/* A group of numbers of a row of rows, by name, since the start and of late. */
void page_tally(struct top_page *p, const struct top_frames *f,
    const char *rows, const json_t *row, const char *group, const char *what);

/* Of a row of /stats's upstreams, each sentence behind head. */
void page_advice(struct top_page *p, const json_t *upstream, const char *head);

void page_help(struct top_page *p);

#endif
