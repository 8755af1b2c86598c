/*
 * Waiting for a descriptor without a loop, up to a moment: for what happens
 * before there is one, or must not go on meanwhile.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_AWAIT_H
#define NET_AWAIT_H

#include <stdbool.h>
#include <stdint.h>

/* Until one of poll(2)'s events, or its end; until_ms of clock_ms(). False: not
   by then. */
bool await_fd(int fd, short events, int64_t until_ms);

#endif
