/*
 * The admin port's JSON as tables for people.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_SHOW_H
#define PROXY_COMMAND_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

void show_stats(FILE *out, const json_t *stats);
/* What faults by hand do, as "are delayed by 200ms, then answered with an error".
   delay: NULL = they do not delay. Returns out. */
enum { SHOW_FAULT = 128 };
const char *show_fault(const char *delay, bool error, bool reset,
    char out[SHOW_FAULT]);
/* Of all upstreams of /stats. */
void show_endpoints(FILE *out, const json_t *upstreams);
/* One endpoint of an upstream, as weir answers when it was changed. */
void show_endpoint(FILE *out, const char *upstream, const json_t *endpoint);
void show_connections(FILE *out, const json_t *j);
void show_dns(FILE *out, const json_t *j);
/* What was slow or failed and why; of_one: of one name, so in more detail. */
void show_why(FILE *out, const json_t *j, bool of_one);
/* The answer of /key, in a line. */
void show_key(FILE *out, const json_t *j);

#endif
