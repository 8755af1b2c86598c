/*
 * Waiting. See await.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/await.h"

#include <errno.h>
#include <poll.h>

#include "net/clock.h"

bool
await_fd(int fd, short events, int64_t until_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left;
	int n;

	do {
		left = until_ms - clock_ms();
		n = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}
