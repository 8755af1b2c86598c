/*
 * The terminal of `weir top`, by way of ncurses: nobody else includes that.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_TOP_SCREEN_H
#define PROXY_COMMAND_TOP_SCREEN_H

#include "proxy/command/top_page.h"

/* What was pressed, beside characters. */
enum screen_key {
	KEYS_NONE = 0,                  /* nothing is left */
	KEYS_UP = 256, KEYS_DOWN, KEYS_PAGE_UP, KEYS_PAGE_DOWN, KEYS_FIRST,
	KEYS_LAST, KEYS_ENTER, KEYS_BACK
};

/*
 * Take the terminal of standard input and output. NULL: it is none that can be
 * drawn on ($TERM), and is as it was. Whoever opens it blocks the signals that
 * would end or stop the process, reads them from a descriptor, and calls
 * screen_close() on every way out: that is what gives the terminal back.
 */
struct screen *screen_open(void) MUST_CHECK;
void screen_close(struct screen *s);

/* The page from line *scroll on below its fixed ones, moved so that the chosen
   line is seen, and foot in the last line. */
void screen_paint(struct screen *s, const struct top_page *p, size_t *scroll,
    const char *foot);

/* Without waiting: a character, or one of enum screen_key. */
int screen_key(struct screen *s);

/* Lines below the fixed ones of a page. */
size_t screen_room(const struct screen *s, const struct top_page *p);

/* The terminal has another size. */
void screen_resize(struct screen *s);

/* Give the terminal back for as long as the process is stopped. */
void screen_leave(struct screen *s);
void screen_return(struct screen *s);

#endif
