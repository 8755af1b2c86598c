/*
 * The commands about an upstream's connections. See commands.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/client.h"

/* The answer as it is, or what it means. */
static int
order(struct order *o, const char *path, const char *done)
{
	char *body = command_fetch(o, "POST", path, COMMAND_CALL_MS);

	if (body == NULL)
		return CLIENT_FAILED;
	if (o->options & OPTION_JSON)
		fputs(body, stdout);
	else
		puts(done);
	free(body);
	return CLIENT_OK;
}

int
run_kill(struct order *o)
{
	char path[128], done[128];

	snprintf(path, sizeof(path), "/connections/%.40s/kill", o->words[0]);
	snprintf(done, sizeof(done), "closed: connection %.40s", o->words[0]);
	return order(o, path, done);
}
