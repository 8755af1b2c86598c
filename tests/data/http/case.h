/*
 * Bytes in, verdict out: the rows of requests.inc, responses.inc and
 * chunks.inc. The unit tests run them whole and split at every byte;
 * tests/real/parse_dump.c hands them to another implementation.
 *
 * A name begins with the section of RFC 9112 (or of the RFC it names) that
 * decides the case.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_DATA_HTTP_CASE_H
#define TESTS_DATA_HTTP_CASE_H

#include "proxy/proto/http/parse.h"

/* What is unusual about an accepted head. */
enum {
	CLOSES = 1,             /* keep_alive is false */
	EXPECTS = 2,
	UPGRADES = 4,
	TE_TRAILERS = 8
};

/* Unset: accepted, no body, size == len, what is NULL is not compared. */
struct http_case {
	const char *name;
	const char *bytes;
	size_t      len;
	enum parse  verdict;
	unsigned    refusal;
	const char *why;
	enum http_body body;
	uint64_t    length;
	size_t      size;
	unsigned    n_fields;
	unsigned    flags;
	unsigned    status;
	enum http_method to;    /* responses: the request's method */
	const char *path, *query, *host, *value;    /* value: of field[0] */
	const char *hop;        /* names of hop fields, each with a space */
	unsigned    max_fields, max_bytes;          /* 0 = 100, 32 KiB */
};

struct chunk_case {
	const char *name;
	const char *bytes;
	size_t      len;
	enum parse  verdict;
	const char *why;
	const char *payload;    /* NULL = none */
	const char *trailers;   /* lines handed on, NULL = none */
	size_t      size;       /* PARSE_DONE: 0 = len */
};

#define BYTES(text) .bytes = (text), .len = sizeof(text) - 1
#define MORE .verdict = PARSE_MORE
#define BAD(code, text) .verdict = PARSE_BAD, .refusal = (code), .why = (text)
#define BAD_CHUNK(text) .verdict = PARSE_BAD, .why = (text)
#define LENGTH(n) .body = HTTP_BODY_LENGTH, .length = (n)
#define CHUNKED .body = HTTP_BODY_CHUNKED
#define TO_CLOSE .body = HTTP_BODY_CLOSE

/* Ten, a hundred and a thousand times the same text. */
#define X10(s) s s s s s s s s s s
#define X100(s) X10(X10(s))
#define X1000(s) X10(X100(s))

#endif
