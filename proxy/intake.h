/*
 * Intake: how the requests of a pipelining client (pipeline.h) are taken from
 * its input, one after the other, whole, or as they come when they are large;
 * and how such a client is left.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_INTAKE_H
#define PROXY_INTAKE_H

#include "proxy/pipeline.h"

/* What a protocol brings. */
struct intake_ops {
	/* One request, at the beginning of the input. False: there is none, or
	   it has to wait and stays (intake_hold()). */
	bool (*take)(struct session *s);
	/* Read on in one that is sent, or thrown away, as it comes. PARSE_BAD:
	   it turns out to be none; used bytes of it are there. */
	enum parse (*feed)(struct session *s, const char *bytes, size_t len,
	    size_t *used);
	/* PARSE_DONE: the next is to be read. */
	void (*taken)(struct session *s);
	/* PARSE_BAD; x was being sent, or NULL: nobody was. The bytes are gone. */
	void (*spoilt)(struct session *s, struct exchange *x);
	/* The client has ended. Is it to be left at once, whatever is under
	   way? NULL = what it has asked for is answered. */
	bool (*leaves)(const struct session *s);
};

/* front.bytes, front.bye */
void intake_bytes(struct session *s, const struct intake_ops *ops);

/* x, the newest, is sent as it comes, and what of it is to come yet with it. */
void intake_stream(struct exchange *x);

/* What is there cannot be taken yet, and is enough: false, for take(). */
bool intake_hold(struct session *s);

/* The last words, in their turn; what else comes is not read. */
void intake_refuse(struct session *s, const char *text, size_t len);

/* front.leased */
void intake_leased(struct session *s, struct exchange *x);
/* front.fail: in the middle of a reply there are no words. */
void intake_cut(struct session *s, struct exchange *x, enum fail why);
/* back.drained: a request that is sent as it comes goes on. */
void intake_upstream_drained(struct upconn *u, struct exchange *x);

#endif
