/*
 * The commands that talk to a running weir over its admin port: stats, get,
 * reload, wait, ... Main hands over everything else itself.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_CLIENT_H
#define PROXY_COMMAND_CLIENT_H

#include <stdbool.h>
#include <stdio.h>

/* Exit statuses, as of all of weir. */
enum { CLIENT_OK, CLIENT_FAILED, CLIENT_USAGE };

/* What went wrong, where --json was among the words: {"error": text}. */
void client_error_json(const char *text);

/* Is it one of these commands? */
bool client_has(const char *command);

/* A line for each command, for `weir -h`. */
void client_help(FILE *out);

/* How one of them is used; false = there is no such command. */
bool client_usage(FILE *out, const char *command);

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
