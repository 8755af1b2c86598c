/*
 * Weir and an application as one. See run.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/value.h"
#include "net/clock.h"
#include "proxy/command/clock.h"
#include "proxy/command/commands.h"
#include "proxy/service/notify.h"

enum {
	WARM_MS = 60 * 1000, STOP_MS = 20 * 1000,
	EXIT_FAILED = 1, EXIT_NOT_RUN = 126, EXIT_NOT_FOUND = 127,
	EXIT_SIGNAL = 128,
	IMPATIENT = 3,                  /* signals, then weir is killed */
	NEWS_MOST = 4096,               /* in a turn; more than the kernel
					   queues: unix(7), max_dgram_qlen */
	NEWS_MS = 2000,                 /* who waits for so long is told why */
	OWED_MS = 1000
};

enum stage {
	RUN_WARMING,                    /* weir runs, the application not yet */
	RUN_BOTH,
	RUN_STOPPING,                   /* the application is told to end */
	RUN_DRAINING                    /* weir is */
};

struct run {
	const struct run_options *o;
	enum stage stage;
	int signals, socket;            /* signalfd; where weir notifies */
	pid_t weir, app;                /* 0 = there is none */
	pid_t elder;                    /* a weir that another has taken over
					   from, while it drains; ours, as the
					   other is not yet; 0 = none */
	bool weir_failed, app_ran;
	bool terminal;                  /* the application is in front of it */
	bool behind;                    /* or was, until bg of a shell */
	int status;                     /* what to return */
	unsigned asked;                 /* how often to end */
	int64_t at_ms;                  /* when patience ends; INT64_MAX */
	int64_t news_ms;                /* when to say what is waited for;
					   INT64_MAX */
	struct notify manager;          /* our own */
	char missing[NOTIFY_STATUS_MAX];
};

/* ---------------------------------------------------------------- children */

/* As a program expects to be started, whoever has started weir. */
static void
reset_signals(void)
{
	struct sigaction act = { .sa_handler = SIG_DFL };
	sigset_t none;
	int i;

	for (i = 1; i < NSIG; i++)
		(void)sigaction(i, &act, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Weir's: sockets for its listeners, who it reports to, and with whom those end
   that take over from it, are ours to say. */
static int
be_weir(const struct run *r, pid_t above, int (*serve)(void *), void *arg)
{
	const char *pid = getenv("LISTEN_PID");
	struct sockaddr_un at;
	socklen_t len = sizeof(at);
	char text[sizeof(at.sun_path) + 1];

	if (getsockname(r->socket, (struct sockaddr *)&at, &len) < 0)
		return EXIT_FAILED;
	at.sun_path[0] = '@';
	snprintf(text, sizeof(text), "%.*s", (int)(len -
	    offsetof(struct sockaddr_un, sun_path)), at.sun_path);
	if (setenv("NOTIFY_SOCKET", text, 1) < 0)
		return EXIT_FAILED;
	if (pid != NULL && atoi(pid) == above) {
		snprintf(text, sizeof(text), "%d", (int)getpid());
		if (setenv("LISTEN_PID", text, 1) < 0)
			return EXIT_FAILED;
	}
	snprintf(text, sizeof(text), "%d", (int)above);
	if (setenv(RUN_VARIABLE, text, 1) < 0)
		return EXIT_FAILED;
	(void)unsetenv("WATCHDOG_PID");
	close(r->signals);
	close(r->socket);
	reset_signals();
	/* A terminal's signals are for the application. */
	(void)setpgid(0, 0);
	return serve(arg);
}

static void
be_app(const struct run *r, pid_t above)
{
	static const char *const ours[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC",
		"WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES" };
	size_t i;

	(void)setpgid(0, 0);
	/* From the background, which setpgid() has made it, this asks for
	   SIGTTOU; that is blocked here. */
	if (r->terminal)
		(void)tcsetpgrp(STDIN_FILENO, getpid());
	for (i = 0; i < NELEMS(ours); i++)
		(void)unsetenv(ours[i]);
	(void)setrlimit(RLIMIT_NOFILE, &r->o->descriptors);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != above)
		_exit(EXIT_FAILED);
	(void)syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
	reset_signals();
	execvp(r->o->command[0], r->o->command);
	client_complain("cannot run %s: %s", r->o->command[0],
	    strerror(errno));
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUN);
}

static void
start_app(struct run *r)
{
	pid_t above = getpid();

	r->terminal = isatty(STDIN_FILENO) &&
	    tcgetpgrp(STDIN_FILENO) == getpgrp();
	r->app = fork();
	if (r->app == 0)
		be_app(r, above);
	if (r->app < 0) {
		r->app = 0;
		client_complain("cannot run %s: %s", r->o->command[0],
		    strerror(errno));
		r->status = EXIT_NOT_RUN;
		return;
	}
	/* In both processes: whichever comes first. */
	(void)setpgid(r->app, r->app);
	r->app_ran = true;
	r->stage = RUN_BOTH;
	r->at_ms = INT64_MAX;
}

static void
tell(pid_t pid, int number)
{
	if (pid > 0)
		(void)kill(pid, number);
}

/* ------------------------------------------------------------- to the end */

static void
end_weir(struct run *r)
{
	r->stage = RUN_DRAINING;
	r->at_ms = INT64_MAX;
	tell(r->weir, SIGTERM);
}

/* The application first, as it was asked to; it may need weir until its end. */
static void
end_app(struct run *r, int number)
{
	r->stage = RUN_STOPPING;
	r->at_ms = clock_until_ms(r->o->stop_ms);
	tell(r->app, number);
	/* One that is stopped hears nothing. */
	tell(r->app, SIGCONT);
}

static void
not_warm(struct run *r)
{
	char time[VALUE_TEXT_MAX];

	client_complain("not warm within %s: %s; %s is %s",
	    value_print_number(CONF_DURATION, r->o->timeout_ms, time),
	    r->missing,
	    r->o->command[0], r->o->anyway ? "started all the same" :
	    "not started");
	if (r->o->anyway)
		start_app(r);
	if (r->app == 0)
		end_weir(r);
}

/* Once: whoever looks on does not know what it is waited for. */
static void
say_still(struct run *r)
{
	r->news_ms = INT64_MAX;
	if (r->stage == RUN_WARMING)
		client_complain("%s is not started yet: %s", r->o->command[0],
		    r->missing);
}

static void
patience_ended(struct run *r)
{
	char time[VALUE_TEXT_MAX];

	r->at_ms = INT64_MAX;
	if (r->stage == RUN_WARMING) {
		not_warm(r);
		return;
	}
	client_complain("%s has not ended within %s: it is killed",
	    r->o->command[0], value_print_number(CONF_DURATION, r->o->stop_ms,
	    time));
	if (r->app > 0)
		(void)kill(-r->app, SIGKILL);
}

/* TERM, INT or QUIT has come to us. */
static void
asked_to_end(struct run *r, int number)
{
	r->asked++;
	switch (r->stage) {
	case RUN_WARMING:
		r->status = EXIT_SIGNAL + number;
		end_weir(r);
		break;
	case RUN_BOTH:
		(void)notify_send(&r->manager, "STOPPING=1");
		end_app(r, number);
		break;
	case RUN_STOPPING:
		if (r->app > 0)
			(void)kill(-r->app, SIGKILL);
		break;
	case RUN_DRAINING:
		/* The first of these ends it at once, if it can. */
		tell(r->weir, r->asked > IMPATIENT ? SIGKILL : SIGTERM);
		break;
	}
}

/* ------------------------------------------------------------ what happens */

static void
app_ended(struct run *r, int status)
{
	r->app = 0;
	if (!r->weir_failed)
		r->status = WIFSIGNALED(status) ?
		    EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
	if (r->terminal && !r->behind)
		(void)tcsetpgrp(STDIN_FILENO, getpgrp());
	end_weir(r);
}

static void
weir_ended(struct run *r, int status)
{
	bool asked = r->stage == RUN_DRAINING;

	r->weir = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		if (r->app > 0 && r->stage == RUN_BOTH)
			end_app(r, SIGTERM);
		return;
	}
	if (!asked) {
		r->weir_failed = true;
		r->status = EXIT_FAILED;
	}
	if (WIFSIGNALED(status))
		client_complain("weir has been ended by signal %d",
		    WTERMSIG(status));
	if (r->app > 0 && !asked) {
		client_complain("without weir, %s is ended",
		    r->o->command[0]);
		end_app(r, SIGTERM);
	}
}

/* What a line of weir's says that we have to know. */
static void
take_line(struct run *r, const char *line)
{
	static const char ready[] = "STATUS=ready: ";
	static const char missing[] = "STATUS=not ready: ";

	if (strncmp(line, "MAINPID=", 8) == 0 && atoi(line + 8) > 0) {
		if (r->elder == 0)
			r->elder = r->weir;
		r->weir = atoi(line + 8);
	} else if (strncmp(line, missing, strlen(missing)) == 0)
		snprintf(r->missing, sizeof(r->missing), "%s",
		    line + strlen(missing));
	else if (strncmp(line, ready, strlen(ready)) == 0 &&
	    r->stage == RUN_WARMING) {
		start_app(r);
		if (r->app == 0)
			end_weir(r);
	}
}

/* A datagram that weir has sent: anybody may send to us. False: there is none. */
static bool
take_news(struct run *r)
{
	char text[1024], control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(r->socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
	struct ucred from;
	char *line, *rest = text;

	if (n < 0)
		return false;
	if (c == NULL || c->cmsg_level != SOL_SOCKET ||
	    c->cmsg_type != SCM_CREDENTIALS)
		return true;
	memcpy(&from, CMSG_DATA(c), sizeof(from));
	text[n] = '\0';
	/* The one before is heard while it drains: should the one that took over
	   die, it says who does instead. */
	if (from.pid != r->weir && (from.pid != r->elder ||
	    strncmp(text, "MAINPID=", 8) != 0))
		return true;
	/* Which process is weir's is our business, the main one is us. */
	if (strncmp(text, "MAINPID=", 8) != 0)
		(void)notify_send(&r->manager, "%s", text);
	while ((line = strsep(&rest, "\n")) != NULL)
		take_line(r, line);
	return true;
}

/* All that has come until now. */
static void
listen_to_weir(struct run *r)
{
	int i;

	for (i = 0; i < NEWS_MOST && take_news(r); i++)
		;
}

/* The one that drained has ended, and whoever took over from it is ours by now; or
   has died before, and then nobody has told us. */
static void
elder_ended(struct run *r, int status)
{
	siginfo_t info;

	if (r->weir > 0 && waitid(P_PID, (id_t)r->weir, &info, WEXITED |
	    WNOHANG | WNOWAIT) < 0)
		weir_ended(r, status);
}

/* It wants the terminal, and fg has given that to us, not to it. */
static bool
is_for_us_to_give(int number)
{
	return (number == SIGTTIN || number == SIGTTOU) &&
	    tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/* Ctrl-Z was for the application; whoever waits for us is to know, and to bring
   both back: by fg with the terminal, by bg without, which keeps that. Weir goes
   on meanwhile. */
static void
app_stopped(struct run *r, int number)
{
	if (!r->terminal)
		return;
	if (!is_for_us_to_give(number)) {
		if (!r->behind)
			(void)tcsetpgrp(STDIN_FILENO, getpgrp());
		(void)raise(SIGSTOP);
	}
	r->behind = tcgetpgrp(STDIN_FILENO) != getpgrp() ||
	    tcsetpgrp(STDIN_FILENO, r->app) < 0;
	(void)kill(-r->app, SIGCONT);
}

/* Process 1 inherits what nobody waits for: it is all the same to us. */
static void
reap(struct run *r)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (WIFSTOPPED(status)) {
			if (pid == r->app)
				app_stopped(r, WSTOPSIG(status));
		} else if (pid == r->app)
			app_ended(r, status);
		else if (pid == r->weir || pid == r->elder) {
			/* Its last word may be who is weir from now on. */
			listen_to_weir(r);
			if (pid == r->elder)
				r->elder = 0;
			if (pid == r->weir)
				weir_ended(r, status);
			else if (r->elder == 0)
				elder_ended(r, status);
		}
	}
}

static void
take_signal(struct run *r)
{
	struct signalfd_siginfo info;

	if (read(r->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGCHLD:
		reap(r);
		break;
	case SIGTERM:
	case SIGINT:
	case SIGQUIT:
		asked_to_end(r, (int)info.ssi_signo);
		break;
	case SIGHUP:
	case SIGUSR1:
	case SIGUSR2:
		tell(r->weir, (int)info.ssi_signo);
		break;
	default:                        /* SIGWINCH */
		tell(r->app, (int)info.ssi_signo);
		break;
	}
}

/* ------------------------------------------------------------------ running */

static int
take_signals(void)
{
	static const int heeded[] = { SIGCHLD, SIGTERM, SIGINT, SIGQUIT,
		SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH };
	const struct sigaction usual = { .sa_handler = SIG_DFL };
	sigset_t ours;
	size_t i;

	sigemptyset(&ours);
	/* What whoever has started us ignores would never be told of. */
	for (i = 0; i < NELEMS(heeded); i++) {
		sigaddset(&ours, heeded[i]);
		(void)sigaction(heeded[i], &usual, NULL);
	}
	/* Taking the terminal back from the background asks for it. */
	sigaddset(&ours, SIGTTOU);
	if (sigprocmask(SIG_BLOCK, &ours, NULL) < 0)
		return -1;
	sigdelset(&ours, SIGTTOU);
	return signalfd(-1, &ours, SFD_CLOEXEC);
}

/* Under a name that the kernel chooses: unix(7), autobind. */
static int
open_socket(void)
{
	const struct sockaddr_un any = { .sun_family = AF_UNIX };
	int one = 1, fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&any,
	    sizeof(any.sun_family)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

static void
wait_and_see(struct run *r)
{
	struct pollfd p[] = { { .fd = r->socket, .events = POLLIN },
	    { .fd = r->signals, .events = POLLIN } };
	int64_t now_ms = clock_ms(), in_ms = r->at_ms - now_ms;

	if (in_ms <= 0) {
		patience_ended(r);
		return;
	}
	if (r->news_ms <= now_ms)
		say_still(r);
	if (r->news_ms - now_ms < in_ms)
		in_ms = r->news_ms - now_ms;
	if (r->manager.ready_owed && in_ms > OWED_MS)
		in_ms = OWED_MS;
	if (poll(p, 2, in_ms < INT32_MAX ? (int)in_ms : -1) < 0)
		return;
	if (r->manager.ready_owed)
		(void)notify_send(&r->manager, "READY=1");
	if (p[0].revents != 0)
		listen_to_weir(r);
	if (p[1].revents != 0)
		take_signal(r);
}

int
run_command(const struct run_options *o, int (*serve)(void *arg), void *arg)
{
	struct run r = { .o = o, .status = EXIT_FAILED, .socket = -1,
	    .signals = -1, .missing = "weir has not said anything yet" };
	pid_t above = getpid();

	notify_init(&r.manager);
	r.at_ms = clock_until_ms(o->timeout_ms);
	r.news_ms = clock_until_ms(NEWS_MS);
	r.socket = open_socket();
	r.signals = take_signals();
	/* A weir that has taken over from ours is to be ours too. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	r.weir = r.socket < 0 || r.signals < 0 ? -1 : fork();
	if (r.weir == 0)
		exit(be_weir(&r, above, serve, arg));
	if (r.weir < 0) {
		client_complain("cannot begin: %s", strerror(errno));
		return EXIT_FAILED;
	}
	while (r.weir > 0 || r.app > 0)
		wait_and_see(&r);
	close(r.socket);
	close(r.signals);
	return r.status;
}

/* ------------------------------------------------------------- command line */

static int
usage(const char *what, const char *about)
{
	client_complain("run: %s %s", what, about);
	fprintf(stderr, "usage: weir [-c FILE] run [--timeout 60s] "
	    "[--stop-timeout 20s] [--anyway] -- COMMAND [ARGUMENT ...]\n");
	return -1;
}

static int
take_duration(const char *name, const char *text, int64_t *ms)
{
	const struct conf_key row = {
		.name = name, .type = CONF_DURATION, .min = 0,
		.max = INT64_C(24) * 3600 * 1000, .may_be_off = true
	};
	char why[VALUE_WHY_MAX];

	if (text == NULL)
		return usage(name, "needs a value");
	return value_parse(&row, text, text, ms, why) == 0 ? 0 :
	    usage(name, why);
}

int
run_parse(struct run_options *o, int argc, char **argv)
{
	int i;

	o->timeout_ms = WARM_MS;
	o->stop_ms = STOP_MS;
	for (i = 0; i < argc; i++) {
		const char *a = argv[i];

		if (strcmp(a, "--anyway") == 0)
			o->anyway = true;
		else if (strcmp(a, "--timeout") == 0 ||
		    strcmp(a, "--stop-timeout") == 0) {
			if (take_duration(a, argv[++i], a[2] == 't' ?
			    &o->timeout_ms : &o->stop_ms) < 0)
				return -1;
		} else
			return usage("does not expect", a);
	}
	if (o->command == NULL || o->command[0] == NULL)
		return usage("needs", "-- and the application's command");
	return 0;
}
