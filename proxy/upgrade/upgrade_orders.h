/*
 * What is changed by hand in the weir that has taken over, for the one before it
 * while that drains: it is no longer asked itself, and those who are left there
 * are clients as well.
 *
 * A message says all that there is of one upstream: is it paused, its endpoints
 * that were changed, its fault. What is not in it is over, so it may come twice,
 * and the next one puts right what one that was lost did not. It has a number,
 * which comes back when the lanes there have done it. Main's alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_UPGRADE_ORDERS_H
#define PROXY_UPGRADE_UPGRADE_ORDERS_H

#include <sys/types.h>

#include "proxy/runtime.h"
#include "proxy/upgrade/upgrade_message.h"

/* Embedded in struct upgrade, zeroed, then orders_init(). */
struct orders {
	/* Of the one that comes. */
	bool go;                        /* the other one has said that it obeys
					   them */
	bool missed;                    /* it does not, and that was logged */
	bool untold;                    /* there are upstreams of which it has
					   to be told; live_upstream.untold */
	uint64_t told, heard;           /* the numbers of the last ones */
	struct list waits;              /* struct upgrade_wait */

	/* Of the one that goes. */
	uint64_t taken, rolling;        /* the numbers of the last one, and of
					   the one that a roll call is for */
	pid_t taken_of, rolling_of;     /* who gave them */
	bool rolls;                     /* one is under way */
};

void orders_init(struct orders *o);

/* -------------------------------------------------------- the one that comes */

/* It serves: the other one is told of every upstream in the file. */
void orders_begin(struct upgrade *up);
/* An upstream of that name, which the other one has, is not in the file. */
void orders_say_left(struct upgrade *up, const char *name);
/* Say what could not be said so far; nothing, mostly. */
void orders_send(struct upgrade *up);
/* The other one has obeyed. */
void orders_were_heard(struct upgrade *up, const struct message *m);
/* It hears nothing any more: whoever waits goes on. */
void orders_end(struct upgrade *up);

/* ---------------------------------------------------------- the one that goes */

/* One has come: obey, and say so when the lanes have. */
void orders_take(struct upgrade *up, const struct message *m);

/* Only the former, with upstreams of that name that are in the file; others, and
   endpoints that there are not, are passed over. */
void orders_obey(struct runtime *rt, const struct message *m);

#endif
