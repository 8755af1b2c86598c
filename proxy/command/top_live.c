/*
 * The loop of `weir top` on a terminal. See top_live.h.
 *
 * Signals are read from a descriptor, so none of them finds the terminal in our
 * hands: each way out goes through the end of top_live().
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/top_live.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "proxy/command/clock.h"
#include "proxy/command/top_feed.h"
#include "proxy/command/top_screen.h"

enum { ASK_MS = 2000, CONNECTIONS_MS = 3000 };

enum view { VIEW_ALL, VIEW_ONE, VIEW_HELP };

struct live {
	const struct call_target *target;
	struct screen *screen;
	struct feed feed;
	struct top_frames frames;
	struct top_page page;
	struct top_row *rows;           /* of frames.now, sorted */
	size_t n_rows;
	enum view view;
	enum top_sort sort;
	bool held, over;
	char chosen[128];               /* an upstream's name */
	size_t scroll;
	json_t *connections;            /* VIEW_ONE */
	int64_t asked_ms;               /* for them */
	int64_t heard_ms;               /* the latest frame */
	int64_t retry_ms;               /* when to try again, while closed */
	char why[256];                  /* while closed */
};

/* ----------------------------------------------------------------- showing */

static void
sort_rows(struct live *l)
{
	free(l->rows);
	l->rows = top_rows(&l->frames, &l->n_rows);
	top_rows_sort(l->rows, l->n_rows, l->sort);
	if (*l->chosen == '\0' && l->n_rows > 0)
		snprintf(l->chosen, sizeof(l->chosen), "%s", l->rows[0].name);
}

/* Its place in rows; n_rows when it has left. */
static size_t
chosen_row(const struct live *l)
{
	size_t i;

	for (i = 0; i < l->n_rows; i++)
		if (strcmp(l->rows[i].name, l->chosen) == 0)
			break;
	return i;
}

/* Who holds what changes quickly, but asking all workers costs. */
static void
ask_connections(struct live *l)
{
	char *body = NULL, why[256];
	int status;

	if (l->connections != NULL &&
	    clock_now_ms() - l->asked_ms < CONNECTIONS_MS)
		return;
	status = call_whole(l->target, "GET", "/connections", ASK_MS, &body,
	    why, sizeof(why));
	l->asked_ms = clock_now_ms();
	if (status == 200) {
		json_decref(l->connections);
		l->connections = json_loads(body, 0, NULL);
	}
	free(body);
}

static void
paint(struct live *l)
{
	size_t at = chosen_row(l);
	char foot[LINE_WIDE];

	page_clear(&l->page);
	if (l->frames.now == NULL)
		page_add(&l->page, LINE_PLAIN, "weir top: %s", *l->why != '\0' ?
		    l->why : "waiting for numbers");
	else
		page_program(&l->page, &l->frames, l->rows, l->n_rows);
	if (l->view == VIEW_HELP)
		page_help(&l->page);
	else if (l->frames.now != NULL && l->view == VIEW_ONE &&
	    at < l->n_rows)
		page_upstream(&l->page, &l->rows[at], l->connections);
	else if (l->frames.now != NULL)
		page_overview(&l->page, &l->frames, l->rows, l->n_rows,
		    l->chosen);
	if (!l->feed.open)
		snprintf(foot, sizeof(foot), "NO CONNECTION, these numbers are "
		    "old: %.180s", l->why);
	else
		snprintf(foot, sizeof(foot), "%sq quit  ? help  %s  p %s  by "
		    "%s (r f l w n)", l->held ? "HELD  " : "",
		    l->view == VIEW_ALL ? "enter open" : "esc back",
		    l->held ? "go on" : "hold", top_sorts[l->sort]);
	screen_paint(l->screen, &l->page, &l->scroll, foot);
}

/* -------------------------------------------------------------------- keys */

static void
choose(struct live *l, long step)
{
	size_t at = chosen_row(l);
	long next = (long)(at < l->n_rows ? at : 0) + step;

	if (l->n_rows == 0)
		return;
	if (next < 0)
		next = 0;
	if (next >= (long)l->n_rows)
		next = (long)l->n_rows - 1;
	snprintf(l->chosen, sizeof(l->chosen), "%s", l->rows[next].name);
}

static void
step(struct live *l, long n)
{
	if (l->view == VIEW_ALL)
		choose(l, n);
	else if (n < 0 && l->scroll < (size_t)-n)
		l->scroll = 0;
	else
		l->scroll += (size_t)n;         /* screen_paint() bounds it */
}

static void
enter(struct live *l, enum view view)
{
	json_decref(l->connections);
	l->connections = NULL;
	l->view = view;
	l->scroll = 0;
	if (view == VIEW_ONE)
		ask_connections(l);
}

static void
sort_by(struct live *l, enum top_sort by)
{
	l->sort = by;
	sort_rows(l);
}

static void
press(struct live *l, int key)
{
	long page = (long)screen_room(l->screen, &l->page);

	switch (key) {
	case 'q':
		l->over = true;
		break;
	case 'p':
		l->held = !l->held;
		break;
	case '?':
	case 'h':
		enter(l, l->view == VIEW_HELP ? VIEW_ALL : VIEW_HELP);
		break;
	case KEYS_ENTER:
		if (l->view == VIEW_ALL && chosen_row(l) < l->n_rows)
			enter(l, VIEW_ONE);
		break;
	case KEYS_BACK:
		enter(l, VIEW_ALL);
		break;
	case KEYS_UP:
	case 'k':
		step(l, -1);
		break;
	case KEYS_DOWN:
	case 'j':
		step(l, 1);
		break;
	case KEYS_PAGE_UP:
		step(l, -page);
		break;
	case KEYS_PAGE_DOWN:
		step(l, page);
		break;
	case KEYS_FIRST:
		step(l, -100000);
		break;
	case KEYS_LAST:
		step(l, 100000);
		break;
	case 'r':
		sort_by(l, SORT_REQUESTS);
		break;
	case 'f':
		sort_by(l, SORT_FAILURES);
		break;
	case 'l':
		sort_by(l, SORT_LATENCY);
		break;
	case 'w':
		sort_by(l, SORT_WAITING);
		break;
	case 'n':
		sort_by(l, SORT_NAME);
		break;
	default:
		break;
	}
}

/* ------------------------------------------------------------------ frames */

/* -1: it has been gone for too long. */
static int
try_again(struct live *l)
{
	if (l->feed.open || clock_now_ms() < l->retry_ms)
		return 0;
	if (feed_open(&l->feed, l->target, l->why, sizeof(l->why)) == 0) {
		l->heard_ms = clock_now_ms();
		return 1;
	}
	l->retry_ms = clock_now_ms() + TOP_RETRY_MS;
	return clock_now_ms() - l->heard_ms > TOP_GONE_MS ? -1 : 0;
}

static void
hear(struct live *l)
{
	json_t *frame;

	if (feed_read(&l->feed, &frame, l->why, sizeof(l->why)) < 0) {
		l->heard_ms = clock_now_ms();
		l->retry_ms = clock_now_ms() + TOP_RETRY_MS;
		return;
	}
	if (frame == NULL)
		return;
	l->heard_ms = clock_now_ms();
	if (l->held) {
		json_decref(frame);
		return;
	}
	top_frames_take(&l->frames, frame);
	sort_rows(l);
	if (l->view == VIEW_ONE)
		ask_connections(l);
}

/* One that is connected and says nothing is as good as gone. */
static void
check_silence(struct live *l)
{
	if (!l->feed.open || clock_now_ms() - l->heard_ms < TOP_SILENT_MS)
		return;
	feed_close(&l->feed);
	snprintf(l->why, sizeof(l->why), "nothing has come for %d s",
	    TOP_SILENT_MS / 1000);
	l->heard_ms = l->retry_ms = clock_now_ms();
}

/* ----------------------------------------------------------------- signals */

static int
signals_open(sigset_t *before)
{
	static const int wanted[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT,
		SIGWINCH, SIGTSTP, SIGCONT };
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < NELEMS(wanted); i++)
		sigaddset(&set, wanted[i]);
	if (sigprocmask(SIG_BLOCK, &set, before) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
take_signals(struct live *l, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		switch (info.ssi_signo) {
		case SIGWINCH:
			screen_resize(l->screen);
			break;
		case SIGTSTP:
			screen_leave(l->screen);
			/* The one that is not blocked and cannot be. */
			(void)kill(getpid(), SIGSTOP);
			screen_return(l->screen);
			break;
		case SIGCONT:
			screen_return(l->screen);
			break;
		default:
			l->over = true;
			break;
		}
}

/* --------------------------------------------------------------------- all */

/* -1: weir has gone for good. */
static int
run(struct live *l, int signals)
{
	struct pollfd fds[3] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = signals, .events = POLLIN }
	};
	int key, opened;

	while (!l->over) {
		opened = try_again(l);
		if (opened < 0)
			return -1;
		/* A frame may have come with the head. */
		if (opened > 0)
			hear(l);
		paint(l);
		fds[2] = (struct pollfd){ .fd = l->feed.open ?
		    l->feed.call.fd : -1, .events = POLLIN };
		if (poll(fds, NELEMS(fds), TOP_RETRY_MS) < 0)
			continue;
		take_signals(l, signals);
		if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			l->over = true;         /* the terminal has gone */
		while (!l->over && (key = screen_key(l->screen)) != KEYS_NONE)
			press(l, key);
		if (l->feed.open && fds[2].revents != 0)
			hear(l);
		check_silence(l);
	}
	return 0;
}

int
top_live(const struct call_target *t, char *why, size_t size)
{
	struct live l = { .target = t, .heard_ms = clock_now_ms() };
	sigset_t before;
	int signals, result = 1;

	/* One that is not there at all is told of at once, and on the terminal
	   as it is. */
	if (feed_open(&l.feed, t, why, size) < 0)
		return -1;
	signals = signals_open(&before);
	if (signals >= 0)
		l.screen = screen_open();
	if (l.screen != NULL) {
		/* What came with the head lies in the feed already. */
		hear(&l);
		result = run(&l, signals);
		screen_close(l.screen);
		snprintf(why, size, "%s", l.why);
	}
	if (signals >= 0)
		close(signals);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	feed_close(&l.feed);
	top_frames_take(&l.frames, NULL);
	json_decref(l.connections);
	page_fini(&l.page);
	free(l.rows);
	return result;
}
