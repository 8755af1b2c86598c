/*
 * The pages about what changes: /plan, /reload, /confirm, /drift. Each answers
 * c once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_PLANS_H
#define PROXY_ADMIN_PLANS_H

#include "conf/sent.h"

struct caller;

/* What of a body /plan takes. */
enum { PLAN_BODY_BYTES = SENT_MAX_BYTES };

void plans_plan(struct caller *c);
void plans_reload(struct caller *c);
void plans_confirm(struct caller *c);
void plans_drift(struct caller *c);

#endif
