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

#include "net/clock.h"
#include "proxy/command/commands.h"
#include "proxy/command/field.h"
#include "proxy/command/top_feed.h"
#include "proxy/command/top_screen.h"

enum { ASK_MS = 2000, ASK_AGAIN_MS = 3000 };

enum view { VIEW_ALL, VIEW_UPSTREAM, VIEW_LISTENER, VIEW_TOLD, VIEW_SLOW,
	VIEW_HELP };

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
	struct top_chosen chosen;
	size_t scroll;
	json_t *asked;                  /* what a view wants beside frames */
	int64_t asked_ms;
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
	if (*l->chosen.name == '\0' && l->n_rows > 0)
		snprintf(l->chosen.name, sizeof(l->chosen.name), "%s",
		    l->rows[0].name);
}

static size_t
n_listeners(const struct live *l)
{
	return json_array_size(json_object_get(l->frames.now, "listeners"));
}

/* Listeners come first. */
static const char *
name_at(const struct live *l, size_t at)
{
	size_t n = n_listeners(l);

	return at >= n ? l->rows[at - n].name : field_text(json_array_get(
	    json_object_get(l->frames.now, "listeners"), at), "name");
}

/* Its place among both; their number when it has left. */
static size_t
chosen_at(const struct live *l)
{
	size_t first = l->chosen.listener ? 0 : n_listeners(l);
	size_t end = l->chosen.listener ? n_listeners(l) : first + l->n_rows;
	size_t i;

	for (i = first; i < end; i++)
		if (strcmp(name_at(l, i), l->chosen.name) == 0)
			return i;
	return n_listeners(l) + l->n_rows;
}

/* Who holds what, and what was slow, change quickly, but asking all workers
   costs. */
static void
ask(struct live *l)
{
	const char *path = l->view == VIEW_UPSTREAM ? "/connections" :
	    l->view == VIEW_SLOW ? "/slow" : NULL;
	char *body = NULL, why[256];
	int status;

	if (path == NULL || (l->asked != NULL &&
	    clock_ms() - l->asked_ms < ASK_AGAIN_MS))
		return;
	status = call_whole(l->target, "GET", path, ASK_MS, &body, why,
	    sizeof(why));
	l->asked_ms = clock_ms();
	if (status == 200) {
		json_decref(l->asked);
		l->asked = json_loads(body, 0, NULL);
		if (l->view == VIEW_UPSTREAM)
			command_find_processes(l->target, l->asked);
	}
	free(body);
}

/* Below what is said of the program. */
static void
paint_view(struct live *l, const struct troubles *t)
{
	size_t at = chosen_at(l), n = n_listeners(l);

	switch (l->view) {
	case VIEW_HELP:
		page_help(&l->page);
		return;
	case VIEW_TOLD:
		page_told(&l->page, &l->frames, t);
		return;
	case VIEW_SLOW:
		page_slow(&l->page, l->asked);
		return;
	case VIEW_LISTENER:
		page_listener(&l->page, &l->frames, l->chosen.name);
		return;
	case VIEW_UPSTREAM:
		if (at < n + l->n_rows) {
			page_upstream(&l->page, &l->frames, &l->rows[at - n],
			    l->asked);
			return;
		}
		break;
	case VIEW_ALL:
		break;
	}
	page_overview(&l->page, &l->frames, l->rows, l->n_rows, &l->chosen);
}

static void
paint(struct live *l)
{
	struct troubles troubles;
	char foot[LINE_WIDE];

	page_clear(&l->page);
	if (l->frames.now == NULL) {
		page_add(&l->page, LINE_PLAIN, "weir top: %s", *l->why != '\0' ?
		    l->why : "waiting for numbers");
		if (l->view == VIEW_HELP)
			page_help(&l->page);
	} else {
		troubles_find(&troubles, &l->frames, l->rows, l->n_rows);
		page_program(&l->page, &l->frames, &troubles);
		paint_view(l, &troubles);
	}
	if (!l->feed.open)
		snprintf(foot, sizeof(foot), "NO CONNECTION, these numbers are "
		    "old: %.180s", l->why);
	else
		snprintf(foot, sizeof(foot), "%sq quit  ? help  %s  t more  "
		    "s slow  p %s  by %s (rflwn)", l->held ? "HELD  " : "",
		    l->view == VIEW_ALL ? "enter open" : "esc back",
		    l->held ? "go on" : "hold", top_sorts[l->sort]);
	screen_paint(l->screen, &l->page, &l->scroll, foot);
}

/* -------------------------------------------------------------------- keys */

static void
choose(struct live *l, long step)
{
	size_t at = chosen_at(l), n = n_listeners(l) + l->n_rows;
	long next = (long)(at < n ? at : 0) + step;

	if (n == 0)
		return;
	if (next < 0)
		next = 0;
	if (next >= (long)n)
		next = (long)n - 1;
	l->chosen.listener = (size_t)next < n_listeners(l);
	snprintf(l->chosen.name, sizeof(l->chosen.name), "%s",
	    name_at(l, (size_t)next));
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
	json_decref(l->asked);
	l->asked = NULL;
	l->view = view;
	l->scroll = 0;
	ask(l);
}

/* What is shown already goes away again. */
static void
turn_to(struct live *l, enum view view)
{
	enter(l, l->view == view ? VIEW_ALL : view);
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
		turn_to(l, VIEW_HELP);
		break;
	case 't':
		turn_to(l, VIEW_TOLD);
		break;
	case 's':
		turn_to(l, VIEW_SLOW);
		break;
	case KEYS_ENTER:
		if (l->view == VIEW_ALL &&
		    chosen_at(l) < n_listeners(l) + l->n_rows)
			enter(l, l->chosen.listener ? VIEW_LISTENER :
			    VIEW_UPSTREAM);
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
	if (l->feed.open || clock_ms() < l->retry_ms)
		return 0;
	if (feed_open(&l->feed, l->target, l->why, sizeof(l->why)) == 0) {
		l->heard_ms = clock_ms();
		return 1;
	}
	l->retry_ms = clock_ms() + TOP_RETRY_MS;
	return clock_ms() - l->heard_ms > TOP_GONE_MS ? -1 : 0;
}

static void
hear(struct live *l)
{
	json_t *frame;

	if (feed_read(&l->feed, &frame, l->why, sizeof(l->why)) < 0) {
		l->heard_ms = clock_ms();
		l->retry_ms = clock_ms() + TOP_RETRY_MS;
		return;
	}
	if (frame == NULL)
		return;
	l->heard_ms = clock_ms();
	if (l->held) {
		json_decref(frame);
		return;
	}
	top_frames_take(&l->frames, frame);
	lately_recall(&l->frames.lately, l->target);
	sort_rows(l);
	ask(l);
}

/* One that is connected and says nothing is as good as gone. */
static void
check_silence(struct live *l)
{
	if (!l->feed.open || clock_ms() - l->heard_ms < TOP_SILENT_MS)
		return;
	feed_close(&l->feed);
	snprintf(l->why, sizeof(l->why), "nothing has come for %d s",
	    TOP_SILENT_MS / 1000);
	l->heard_ms = l->retry_ms = clock_ms();
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
	struct live l = { .target = t, .heard_ms = clock_ms() };
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
	json_decref(l.asked);
	page_fini(&l.page);
	free(l.rows);
	return result;
}
