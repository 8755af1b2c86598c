/*
 * Who the client is by its certificate, in fields of the user's choice
 * (http.client_cert_headers): written by weir, and taken out of whatever
 * clients send, with or without a certificate, with or without TLS.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_HTTP_CLIENT_CERT_H
#define PROXY_PROTO_HTTP_CLIENT_CERT_H

#include "proxy/proto/http/http.h"

/* Is it one of these fields? "_" is "-": programs that make variables of names
   cannot tell them apart. */
bool client_cert_is_field(const struct http_listener_conf *conf,
    const char *name, size_t len);

/* Bytes that client_cert_put() writes, at most. */
size_t client_cert_bound(const struct exchange *x);

/* Field lines, but for what the upstream's set_headers or remove_headers have
   (is_taken() says so). Returns their end. */
char *client_cert_put(const struct exchange *x, char *at,
    bool (*is_taken)(const struct exchange *x, const char *name));

/* Trailers with such a field in them are dropped, all of them. */
int client_cert_trailers(struct exchange *x) MUST_CHECK;

/* conf_key.check: is it a fact that there is? */
int client_cert_check(const char *value, const char **why);

#endif
