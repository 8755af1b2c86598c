/*
 * Time for those who wait: commands, and `weir run`, have no event loop.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_CLOCK_H
#define PROXY_COMMAND_CLOCK_H

#include <stdint.h>

/* When ms from now will be, by clock_ms(); INT64_MAX, never, for CONF_OFF. */
int64_t clock_until_ms(int64_t ms);

/* Less when a signal comes. */
void clock_pause_ms(int64_t ms);

#endif
