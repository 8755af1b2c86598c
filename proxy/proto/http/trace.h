/*
 * Ids of a request: of the trace that it is part of (W3C Trace Context) and of
 * its own (http.request_id). Those that come are checked, those that are missing
 * are made; both go to the upstream, into logs and into weir's own answers.
 *
 * weir reports no spans to anybody. So a valid traceparent goes on as it came,
 * as Trace Context 3.4 has it for pass-through services: with an id of weir's in
 * it what the upstream reports would hang below a span that nobody ever sees.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_HTTP_TRACE_H
#define PROXY_PROTO_HTTP_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/err.h"

struct exchange;

enum {
	TRACE_PARENT_LEN = 55,          /* version 00 */
	TRACE_ID_AT = 3, TRACE_ID_LEN = 32,
	TRACE_REQUEST_ID_LEN = 32,      /* of one that weir makes */
	TRACE_REQUEST_ID_MOST = 64,     /* of one that comes */
	TRACE_NAME_MOST = 40            /* of the field that it comes in */
};

/* Random numbers without a system call each; of one thread. Not for secrets. */
struct trace_dice { uint64_t state[4]; };

/* Embedded; ids are made into `made`. */
struct trace {
	/* NULL and 0: there is none, or trace_begin() was not called yet. Into
	   the request's head, or `made`. */
	const char *parent;
	uint8_t parent_len;
	uint8_t id_len;
	const char *id;
	bool begun;
	bool restarted;                 /* parent is weir's: what came as
					   traceparent and tracestate is not
					   passed on */
};

/* Lines with both are no longer. */
enum { TRACE_BOUND = TRACE_PARENT_LEN + TRACE_NAME_MOST +
	TRACE_REQUEST_ID_MOST + 32 };

enum { TRACE_MADE = TRACE_PARENT_LEN + TRACE_REQUEST_ID_LEN };

/* From the system's random numbers. */
void trace_dice_init(struct trace_dice *d);

/*
 * Trace Context 3.2.2, as strictly as it says: small letters, no zero ids,
 * exactly so long in version 00. A later version begins alike, and may go on
 * behind a dash (4.3).
 */
bool trace_parent_is_valid(const char *text, size_t len);

/* A new trace, which says that it is sampled: weir's log has it. */
void trace_parent_make(struct trace_dice *d, char out[TRACE_PARENT_LEN]);
void trace_id_make(struct trace_dice *d, char out[TRACE_REQUEST_ID_LEN]);

/* May it stand in a log and in a field: visible ASCII, of a length that is still
   an id? */
bool trace_id_is_fit(const char *text, size_t len);

/* Decide about x's ids, as its listener's keys say; twice is fine. Its head has
   been parsed, or is being refused. */
void trace_begin(struct exchange *x);

/* conf_key.check of http.request_id: the name of a field, or "off". */
int trace_name_check(const char *name, const char **why);

#endif
