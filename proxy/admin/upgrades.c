/*
 * POST /upgrade. See upgrades.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/upgrades.h"

#include "proxy/admin/caller.h"
#include "proxy/upgrade/upgrade.h"

void
upgrades_begin(struct caller *c)
{
	char why[512];
	pid_t pid;

	if (c->query[0] != '\0')
		caller_reply_error(c, 400, "/upgrade takes no query");
	else if (upgrade_begin(c->admin->rt, &pid, why, sizeof(why)) < 0)
		caller_reply_error(c, 409, why);
	else
		caller_reply_json(c, 202, pid == 0 ?
		    json_pack("{s:s}", "result", "queued") :
		    json_pack("{s:s,s:I}", "result", "started", "pid",
		    (json_int_t)pid));
}
