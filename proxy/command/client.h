/*
 * The commands that talk to a running weir over its admin port: stats, get,
 * reload, wait, ... Main hands over everything else itself.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_CLIENT_H
#define PROXY_COMMAND_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Exit statuses, as of all of weir. */
enum { CLIENT_OK, CLIENT_FAILED, CLIENT_USAGE };

/* What went wrong, where --json was among the words: {"error": text}. */
void client_error_json(const char *text);

/* Is it one of these commands? */
bool client_has(const char *command);

/* What `weir -h` says of a command. */
struct client_help {
	const char *name;
	const char *usage;              /* behind the name */
	const char *help;
};

/* That of these commands at index i, in the order people read them; false: there
   are no more. */
bool client_help_at(size_t i, struct client_help *row);

/* Its lines in a list of them, what it does from that column on; and how one of
   a running weir (-c or --admin says which) is used, or another. */
void client_help_print(FILE *out, const struct client_help *row, int column);
void client_usage_print(FILE *out, const struct client_help *row,
    bool of_running);

/* With --json: all that at() has, until it is false; one; what `weir -V` says. */
void client_help_json(bool (*at)(size_t i, struct client_help *row));
void client_usage_json(const struct client_help *row);
void client_version_json(void);

/*
 * Run a command to its end and return the exit status. argv are the words after
 * the command; among them may be options of it, -c FILE and --admin ADDR too.
 * The admin port is at admin_addr, or where the file conf_path says; NULL = the
 * default file, /etc/weir/weir.conf. A file that is named beside admin_addr
 * yields the token.
 */
int client_run(const char *command, int argc, char **argv,
    const char *conf_path, const char *admin_addr);

#endif
