/*
 * What a text may be, beyond its type: conf_key.check of schema.c's rows.
 *
 * Each returns 0, or -1 with *why, static text that follows the value: what is
 * wrong with it and what was expected.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_CHECK_H
#define CONF_CHECK_H

/* log.access: a word, or a path */
int check_access(const char *value, const char **why);
/* the path and query of a request (RFC 9112 3.2.1) */
int check_target(const char *value, const char **why);
/* what grpc.health.v1 is asked after: "package.Service" */
int check_service(const char *value, const char **why);
/* a name or address, and perhaps a port (RFC 9110 7.2) */
int check_host(const char *value, const char **why);
/* a name of a protocol (RFC 7301 3.1) */
int check_alpn(const char *value, const char **why);
/* a name or an address, without port */
int check_server_name(const char *value, const char **why);
/* key_hash.tag: two characters, or none */
int check_tag(const char *value, const char **why);

#endif
