/*
 * `weir top`: the live numbers, again and again. On a terminal it is what
 * top_live.c does; otherwise a line for each upstream a second, or with --json
 * a line for each frame as it comes.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/command/client.h"
#include "proxy/command/commands.h"
#include "proxy/command/top_feed.h"
#include "proxy/command/top_live.h"
#include "proxy/command/top_rows.h"

/* Names and numbers that a script can cut out, the same in each line. */
static void
print_row(const char *at, const struct top_row *r)
{
	printf("%s upstream=%s state=%s requests_per_s=%.1f "
	    "failures_per_s=%.1f first_byte_p99_us=%lld queue_p99_us=%lld "
	    "waiting=%lld leased=%lld pinned=%lld connecting=%lld idle=%lld "
	    "open=%lld max=%lld endpoints_up=%lld/%lld "
	    "server_errors_per_s=%.1f\n", at, r->name, r->state,
	    r->requests_per_s, r->failures_per_s, r->first_us, r->queue_us,
	    r->waiting, r->leased, r->pinned, r->connecting, r->idle, r->open,
	    r->max, r->usable, r->endpoints, r->errors_per_s);
}

/* Nothing of the first frame, which has no rates. */
static void
print_lines(const struct top_frames *f)
{
	time_t now = time(NULL);
	struct top_row *rows;
	struct tm tm;
	char at[32];
	size_t n, i;

	if (f->before == NULL)
		return;
	rows = top_rows(f, &n);
	localtime_r(&now, &tm);
	strftime(at, sizeof(at), "%H:%M:%S", &tm);
	for (i = 0; i < n; i++)
		print_row(at, &rows[i]);
	free(rows);
}

static void
print_frame(struct order *o, struct top_frames *f)
{
	if (o->options & OPTION_JSON) {
		(void)json_dumpf(f->now, stdout, JSON_COMPACT |
		    JSON_REAL_PRECISION(15));
		putchar('\n');
	} else
		print_lines(f);
}

/* Until the stream ends: -1 with why; 0: nobody reads what is printed. */
static int
print_stream(struct order *o, struct feed *feed, struct top_frames *f,
    char *why, size_t size)
{
	json_t *frame;

	while (feed_read(feed, &frame, why, size) == 0) {
		if (frame == NULL)
			continue;
		top_frames_take(f, frame);
		lately_recall(&f->lately, &o->target);
		print_frame(o, f);
		fflush(stdout);
		if (ferror(stdout))
			return 0;
	}
	return -1;
}

static int
print_all(struct order *o, char *why, size_t size)
{
	const struct timespec pause = { TOP_RETRY_MS / 1000,
	    TOP_RETRY_MS % 1000 * 1000000L };
	int tries = 0, most = TOP_GONE_MS / TOP_RETRY_MS, result = -1;
	struct top_frames frames = { .now = NULL };
	struct feed feed = { .open = false };

	while (tries < most) {
		if (feed_open(&feed, &o->target, why, size) == 0) {
			tries = 0;
			result = print_stream(o, &feed, &frames, why, size);
			if (result == 0)
				break;
		} else if (frames.now == NULL)
			break;
		/* It was there: it may be back in a moment. */
		tries++;
		(void)nanosleep(&pause, NULL);
	}
	feed_close(&feed);
	top_frames_take(&frames, NULL);
	return result;
}

int
run_top(struct order *o)
{
	char why[512] = "";
	int result = 1;

	if (!(o->options & OPTION_JSON) && isatty(STDIN_FILENO) &&
	    isatty(STDOUT_FILENO))
		result = top_live(&o->target, why, sizeof(why));
	if (result > 0)
		result = print_all(o, why, sizeof(why));
	return result == 0 ? CLIENT_OK : command_fail(o, "%s", why);
}
