/*
 * What a line of the access log may say (log.fields): the names and what they
 * mean. How each is written is in proxy/access_fields.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_LOG_FIELDS_H
#define CONF_LOG_FIELDS_H

#include "conf/read.h"

struct log_field_row {
	const char *name;
	const char *help;               /* one line */
};

/* By enum conf_log_field; the last is "header:NAME". */
extern const struct log_field_row log_field_rows[CONF_N_FIELDS];

/* conf->log.names, the words of log.fields, become conf->log.fields. */
void log_fields_read(struct load *w, const struct spot *log);

#endif
