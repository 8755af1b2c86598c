/*
 * gRPC as far as a proxy has to know of it: which requests are calls, how weir
 * itself fails one, and the bytes of grpc.health.v1.
 *
 * Sources: "gRPC over HTTP2", "HTTP to gRPC Status Code Mapping" and the "GRPC
 * Health Checking Protocol", of the gRPC project.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_HTTP_GRPC_H
#define PROXY_PROTO_HTTP_GRPC_H

#include "proxy/exchange.h"

struct h2_fields;

/* Of the status codes those that weir gives or looks at. */
enum grpc_status {
	GRPC_OK = 0,
	GRPC_UNKNOWN = 2,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_DATA_LOSS = 15
};

/* Is x, whose head has been parsed, a call? */
bool grpc_is_call(const struct exchange *x);

/* What a call is told that has failed for that reason. */
enum grpc_status grpc_status_of(enum fail why);

/*
 * text as grpc-message has it: what is not printable ASCII, and "%", as "%XX".
 * Cut where it is too long for out.
 */
void grpc_message(const char *text, char *out, size_t size);

/* An answer that is one head, with which the stream ends: the fields of it. They
   point into text, of at least 256 bytes, which stays while f is in use. */
void grpc_fields_of_failure(struct h2_fields *f, enum fail why, char *text,
    size_t size);

/* peer_ops.errors of HTTP/2. */
extern const char *const grpc_error_names[];

/*
 * x is a call, answered with a status of 200: lines, of its answer's head or of
 * its trailers, may have the status that counts. Where that is a server's error
 * it is counted at u, and x->said names it.
 */
void grpc_heed(struct upconn *u, struct exchange *x, const char *lines,
    size_t len);

/* ----------------------------------------------------------- grpc.health.v1 */

enum grpc_health { GRPC_HEALTH_UNKNOWN, GRPC_HEALTH_SERVING,
	GRPC_HEALTH_NOT_SERVING, GRPC_HEALTH_SERVICE_UNKNOWN };

enum { GRPC_SERVICE_MOST = 120 };       /* bytes of a service's name */

/* HealthCheckRequest in its frame; returns its bytes. */
size_t grpc_health_ask(const char *service,
    unsigned char out[GRPC_SERVICE_MOST + 8]);

/* HealthCheckResponse in its frame, all of it. PARSE_BAD also for what is
   compressed. */
enum parse grpc_health_read(const unsigned char *bytes, size_t len,
    enum grpc_health *out) MUST_CHECK;

#endif
