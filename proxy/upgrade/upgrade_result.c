/*
 * What became of upgrades, for /stats. See upgrade.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade_parts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void
upgrade_note_result(struct upgrade *up, const char *error)
{
	free(up->error);
	up->error = error != NULL ? strdup(error) : NULL;
	up->failed = error != NULL;
	up->tried = true;
	up->at_s = (int64_t)time(NULL);
}

struct upgrade_result
upgrade_result(const struct runtime *rt)
{
	static const char *const states[] = {
		[UPGRADE_IDLE] = "idle",
		[UPGRADE_STARTING] = "starting",
		[UPGRADE_GIVING] = "taking_over",
		[UPGRADE_GOING] = "taking_over",
		[UPGRADE_FAILING] = "starting",
		[UPGRADE_LEAVING] = "leaving",
		[UPGRADE_BEREFT] = "leaving"
	};
	const struct upgrade *up = rt->upgrade;
	struct upgrade_result r = { 0, "none", "idle", "", 0, 0, "", 0 };

	if (up == NULL)
		return r;
	r.count = up->count;
	r.last = !up->tried ? "none" : up->failed ? "failed" : "ok";
	r.state = up->queued ? "starting" : states[up->phase];
	r.error = up->error != NULL ? up->error : "";
	r.at_s = up->at_s;
	r.replaced = up->replaced;
	r.died = up->died != NULL ? up->died : "";
	r.before_pid = up->going && !up->old_stays ? up->old_pid : 0;
	return r;
}

bool
upgrade_left_nobody(const struct runtime *rt)
{
	const struct upgrade *up = rt->upgrade;

	return up != NULL && up->heir.bereft && !up->heir.dismissed;
}
