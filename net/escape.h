/*
 * Text of others, made fit for one line of a log: whatever a client sends can
 * neither begin a new line, nor end a quoted string, nor talk to a terminal.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_ESCAPE_H
#define NET_ESCAPE_H

#include <stddef.h>

enum { ESCAPE_GROWTH = 6 };             /* bytes out for a byte in, at most */

/*
 * Each writes at most len * ESCAPE_GROWTH bytes at out, without a NUL, and
 * returns their end. Control characters, U+0080 to U+009F and the line
 * separators U+2028 and U+2029 among them, are escaped.
 */

/* For within a string of JSON (RFC 8259 7). A byte that is no UTF-8 stands as
   the character of its number, \u00XX. */
char *escape_json(char *out, const char *text, size_t len);

/* For within double quotes: ASCII remains, others are \xXX. */
char *escape_ascii(char *out, const char *text, size_t len);

/* For a line that only people read: as JSON, but quotes and backslashes stay as
   they are. */
char *escape_plain(char *out, const char *text, size_t len);

/* For what is kept and shown as it is: in place, each control character becomes
   a blank, and each byte that is no UTF-8 a "?". */
void escape_tame(char *text);

#endif
