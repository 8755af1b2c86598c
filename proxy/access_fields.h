/*
 * The access log's lines: from the names in the file a plan, by which each line
 * is written without a look at the names again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ACCESS_FIELDS_H
#define PROXY_ACCESS_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "proxy/access.h"

struct exchange;

enum { ACCESS_HEADER_MOST = 256 };      /* bytes of a field that are logged */

/* What a line says, before it is spelled out. Nothing is terminated. */
struct access_word {
	const char *at;
	size_t len, most;               /* most: so much of it is logged */
};

enum access_word_name { ACCESS_LISTENER, ACCESS_UPSTREAM, ACCESS_ENDPOINT,
	ACCESS_REQUEST, ACCESS_HOST, ACCESS_AGENT, ACCESS_ID, ACCESS_TRACE,
	ACCESS_USER, ACCESS_DATABASE, ACCESS_SNI, ACCESS_SAID,
	/* Worked out where a plan wants them. */
	ACCESS_METHOD, ACCESS_PATH, ACCESS_TLS_VERSION,
	ACCESS_N_WORDS };

struct access_line {
	const struct exchange *x;
	struct access_clock *clock;
	int64_t now_ns;
	uint64_t received, sent;
	int64_t total_ns;
	struct access_word word[ACCESS_N_WORDS];
};

/* One field of a line, with what stands before it: a blank, a key. */
struct access_piece {
	char *(*put)(char *out, const struct access_line *l,
	    const struct access_piece *p);
	const char *header;             /* "header:NAME": NAME */
	uint16_t offset;                /* of a number, in struct exchange */
	uint8_t word;                   /* enum access_word_name */
	uint8_t lead_len;
	char lead[88];                  /* zero behind its length */
};

/* Immutable, one for each snapshot. */
struct access_plan {
	const char *end;                /* of a line */
	size_t end_len;
	size_t most;                    /* bytes, all but its words */
	bool wants_target, wants_tls;   /* the words that are worked out */
	size_t n;
	struct access_piece v[];
};

/* By log.format and log.fields, which outlive it. NULL when out of memory. */
struct access_plan *access_plan_new(const struct conf *conf) MUST_CHECK;
void access_plan_free(struct access_plan *plan);

/* So many bytes at most l becomes. */
size_t access_line_most(const struct access_plan *plan,
    const struct access_line *l);

/* Write l, whole, at out; returns its end. */
char *access_line_write(const struct access_plan *plan,
    const struct access_line *l, char *out);

#endif
