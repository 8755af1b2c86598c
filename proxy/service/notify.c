/*
 * Telling the service manager. See notify.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/service/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/log.h"
#include "proxy/runtime.h"

enum {
	TICK_MS = 1000, WARMING_MS = 100,
	SEND_MS = 500                   /* for what cannot be said again */
};

/* ------------------------------------------------------------ the protocol */

/* sd_notify(3): a path, or after "@" the name of an abstract socket. */
static void
find_socket(struct notify *n, const char *name)
{
	size_t len = name != NULL ? strlen(name) : 0;

	if (len < 2 || (*name != '/' && *name != '@') ||
	    len >= sizeof(n->to.sun_path))
		return;
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, name, len);
	n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (*name == '@')
		n->to.sun_path[0] = '\0';
	else
		n->to_len++;
}

/* A number that the manager wrote; 0 = absent or none. */
static int64_t
number_of(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long long v;

	if (text == NULL || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	v = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' ? v : 0;
}

void
notify_init(struct notify *n)
{
	int64_t usec = number_of("WATCHDOG_USEC");
	int64_t pid = number_of("WATCHDOG_PID");

	memset(n, 0, sizeof(*n));
	find_socket(n, getenv("NOTIFY_SOCKET"));
	/* sd_watchdog_enabled(3) */
	if (usec > 0 && usec < INT64_MAX / 1000 &&
	    (pid == 0 || pid == getpid()))
		n->ping_every_ns = usec * 1000 / 2;
}

/* One warning until something is heard again. */
static void
note_heard(struct notify *n, const char *text, bool heard)
{
	if (heard && n->unheard)
		log_info("notify", "the service manager hears again");
	else if (!heard && !n->unheard)
		log_warn("notify", "%.*s is not heard: %s",
		    (int)strcspn(text, "\n"), text, strerror(errno));
	n->unheard = !heard;
}

/* What the next READY=1 makes good, and what makes it needless. */
static void
note_owed(struct notify *n, const char *text, bool heard)
{
	if (strncmp(text, "READY=1", 7) == 0)
		n->ready_owed = !heard;
	else if (strncmp(text, "RELOADING=", 10) == 0 ||
	    strncmp(text, "STOPPING=", 9) == 0)
		n->ready_owed = false;
}

/* wait_ms: so long for room in the manager's queue. */
static int
say(struct notify *n, const char *text, int wait_ms)
{
	const struct timeval wait = { .tv_usec = wait_ms * 1000 };
	bool heard;
	int fd;

	/* A new one each time: it is seldom, and a manager that was started
	   anew has another behind the same name. */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && wait_ms > 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait,
		    sizeof(wait));
	heard = fd >= 0 && sendto(fd, text, strlen(text), MSG_NOSIGNAL |
	    (wait_ms > 0 ? 0 : MSG_DONTWAIT),
	    (const struct sockaddr *)&n->to, n->to_len) >= 0;
	note_heard(n, text, heard);
	note_owed(n, text, heard);
	if (fd >= 0)
		close(fd);
	return heard ? 0 : -1;
}

int
notify_send(struct notify *n, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (n->to_len == 0)
		return 0;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return say(n, text, 0);
}

int
notify_main_pid(struct notify *n, pid_t pid)
{
	char text[32];

	if (n->to_len == 0)
		return 0;
	snprintf(text, sizeof(text), "MAINPID=%d", (int)pid);
	return say(n, text, SEND_MS);
}

/* ----------------------------------------------------------------- its life */

/* One line: what is in it comes from names in a file. */
static void
send_status(struct notify *n, const char *state, const char *status)
{
	char line[NOTIFY_STATUS_MAX];
	size_t i;

	snprintf(line, sizeof(line), "%s", status);
	for (i = 0; line[i] != '\0'; i++)
		if ((unsigned char)line[i] < ' ')
			line[i] = ' ';
	if (*state == '\0' && strcmp(line, n->status) == 0)
		return;
	if (notify_send(n, "%s%sSTATUS=%s", state, *state != '\0' ? "\n" : "",
	    line) == 0)
		snprintf(n->status, sizeof(n->status), "%s", line);
}

/* A worker that is stuck, or what is missing, or that nothing is. */
static void
say_how_it_is(struct notify *n, const char *state)
{
	const struct conf *conf = n->runtime->gen->conf;
	char missing[NOTIFY_STATUS_MAX - 40], text[NOTIFY_STATUS_MAX];

	if (!watchdog_content(n->runtime, text, sizeof(text))) {
		send_status(n, state, text);
		return;
	}
	if (runtime_ready(n->runtime, missing, sizeof(missing)))
		snprintf(text, sizeof(text), "ready: %zu listener%s, "
		    "%zu upstream%s", conf->n_listeners,
		    conf->n_listeners == 1 ? "" : "s", conf->n_upstreams,
		    conf->n_upstreams == 1 ? "" : "s");
	else
		snprintf(text, sizeof(text), "not ready: %s", missing);
	send_status(n, state, text);
}

static void
say_ready(struct notify *n)
{
	char missing[NOTIFY_STATUS_MAX];

	if (!runtime_ready(n->runtime, missing, sizeof(missing)) &&
	    n->runtime->main.now_ns < n->ready_by_ns) {
		say_how_it_is(n, "");
		return;
	}
	n->was_ready = true;
	say_how_it_is(n, "READY=1");
}

static void
ping(struct notify *n, int64_t now_ns)
{
	char why[WATCHDOG_TEXT_MAX];

	if (n->ping_every_ns == 0 || now_ns < n->ping_at_ns)
		return;
	n->ping_at_ns = now_ns + n->ping_every_ns;
	if (watchdog_content(n->runtime, why, sizeof(why)))
		(void)notify_send(n, "WATCHDOG=1");
}

void
notify_alive(struct runtime *rt)
{
	struct notify *n = &rt->notify;

	/* The loop's clock stands still meanwhile. */
	if (n->runtime != NULL && !rt->withheld)
		ping(n, clock_ns());
}

static void
tick(struct deadline *d)
{
	struct notify *n = container_of(d, struct notify, tick);
	struct worker *w = &n->runtime->main;
	int64_t in_ns = (n->was_ready ? TICK_MS : WARMING_MS) * NS_PER_MS;

	/* The weir before speaks for the service. */
	if (n->runtime->withheld) {
		deadline_set_ns(w, &n->tick, in_ns);
		return;
	}
	ping(n, w->now_ns);
	if (!n->was_ready && !n->stopping)
		say_ready(n);
	else if (!n->stopping)
		say_how_it_is(n, n->ready_owed ? "READY=1" : "");
	if (n->ping_every_ns != 0 && n->ping_at_ns - w->now_ns < in_ns)
		in_ns = n->ping_at_ns - w->now_ns;
	deadline_set_ns(w, &n->tick, in_ns);
}

void
notify_start(struct runtime *rt)
{
	struct notify *n = &rt->notify;

	if (n->to_len == 0)
		return;
	n->runtime = rt;
	n->ready_by_ns = rt->main.now_ns + NOTIFY_READY_MS * NS_PER_MS;
	n->ping_at_ns = rt->main.now_ns;
	deadline_init(&n->tick, tick);
	deadline_set_ns(&rt->main, &n->tick, NS_PER_MS);
}

void
notify_reloading(struct runtime *rt)
{
	if (!rt->notify.was_ready || rt->notify.stopping)
		return;
	/* The manager takes the READY=1 that follows for this reload's only if
	   it knows when this was said. */
	(void)notify_send(&rt->notify, "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)clock_ns() / 1000);
}

void
notify_reloaded(struct runtime *rt, const char *error)
{
	char text[NOTIFY_STATUS_MAX];

	if (!rt->notify.was_ready || rt->notify.stopping)
		return;
	if (error == NULL) {
		say_how_it_is(&rt->notify, "READY=1");
		return;
	}
	snprintf(text, sizeof(text), "reload refused: %s", error);
	send_status(&rt->notify, "READY=1", text);
}

void
notify_bereft(struct runtime *rt)
{
	struct notify *n = &rt->notify;

	if (n->to_len == 0)
		return;
	(void)notify_main_pid(n, getpid());
	(void)notify_send(n, "STATUS=the weir that took over has died: another "
	    "one is started");
	n->ping_at_ns = rt->main.now_ns;
	deadline_set_ns(&rt->main, &n->tick, NS_PER_MS);
}

void
notify_stopping(struct runtime *rt)
{
	if (rt->notify.to_len == 0 || rt->notify.stopping)
		return;
	rt->notify.stopping = true;
	/* It never was the service. */
	if (rt->withheld)
		return;
	(void)notify_send(&rt->notify, "STOPPING=1\nSTATUS=draining");
}

void
notify_end(struct runtime *rt)
{
	if (rt->notify.to_len == 0)
		return;
	deadline_clear(&rt->notify.tick);
	rt->notify.stopping = true;
}
