/*
 * Time for those who wait. See clock.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/clock.h"

#include <time.h>

#include "conf/conf.h"
#include "net/clock.h"

int64_t
clock_until_ms(int64_t ms)
{
	return ms == CONF_OFF ? INT64_MAX : clock_ms() + ms;
}

void
clock_pause_ms(int64_t ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&ts, NULL);
}
