/*
 * weir: the program. Reads the command line, starts the runtime, answers
 * signals. Everything else is elsewhere.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/value.h"
#include "net/log.h"
#include "proxy/command/check.h"
#include "proxy/command/client.h"
#include "proxy/command/run.h"
#include "proxy/demo.h"
#include "proxy/proto.h"
#include "proxy/runtime.h"
#include "proxy/upgrade/upgrade.h"
#include "proxy/version.h"

#define DEFAULT_PATH "/etc/weir/weir.conf"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define LOOK_ABOVE_S 0.5

struct options {
	const char *path;
	const char *admin;
	bool test, help, version;
	bool json;                      /* --json is among the words */
	char **rest;                    /* command and its arguments */
	int n_rest;
	char **after;                   /* "--"; NULL = there is none */
};

/* Who runs weir, and what with. */
struct service {
	const char *path;               /* NULL = as the demo says */
	struct demo *demo;
	pid_t above;                    /* ends with us; 0 = nobody does */
	char **argv;                    /* for an upgrade; NULL = there is
					   none */
};

static const char usage_text[] =
"weir " WEIR_VERSION ": a connection-pooling reverse proxy\n"
"\n"
"usage: weir [-c FILE] [-t] [COMMAND ...]\n"
"\n"
"  weir                     run in the foreground (" DEFAULT_PATH ")\n"
"  weir -t                  check the file, as `weir check`\n";

enum { OWN_COLUMN = 27, CLIENT_COLUMN = 40 };

/* Those that are not of a running weir. */
static const struct client_help own[] = {
	{ "check", "[--offline] [--json]", "check the file and warn of what "
	    "may hurt" },
	{ "run", "[--timeout 60s] [--stop-timeout 20s] [--anyway] -- COMMAND",
	    "an application with weir: started when the pools are warm, "
	    "stopped first" },
	{ "demo", "", "run with a built-in configuration and origin" }
};

static const char usage_more[] =
"  weir -h [COMMAND]        this help; how a command is used\n"
"  weir -h config [WORD]    all keys of the configuration file, or those with it\n"
"  weir -V                  version\n"
"\n"
"Of a running weir:\n"
"\n";

static const char usage_end[] =
"\n"
"  -c FILE        the configuration file\n"
"  --json         what is asked for as JSON, and what goes wrong, too\n"
"  --admin ADDR   the admin port of the running weir; otherwise as in the file\n"
"\n"
"Signals: HUP reload, TERM and QUIT drain and end (a second one at once),\n"
"INT end at once, USR1 reopen logs, USR2 upgrade.\n";

/* -------------------------------------------------------------- command line */

static int
usage_error(const struct options *o, const char *fmt, const char *what)
{
	char text[512];

	snprintf(text, sizeof(text), fmt, what);
	fprintf(stderr, "weir: %s; see weir -h\n", text);
	if (o->json)
		client_error_json(text);
	return -1;
}

/* Known before anything can be wrong. */
static bool
wants_json(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
}

/* --json before the command is the command's; help and versions have it from
   o->json, and that which runs in the foreground has none. */
static int
place_json(struct options *o, char *json)
{
	int i, n = 0;

	if (o->help || o->version) {
		for (i = 0; i < o->n_rest; i++)
			if (strcmp(o->rest[i], "--json") != 0)
				o->rest[n++] = o->rest[i];
		o->n_rest = n;
		o->rest[n] = NULL;
	} else if (json != NULL && o->n_rest > 0)
		o->rest[o->n_rest++] = json;
	else if (json != NULL && !o->test)
		return usage_error(o, "unknown option %s", json);
	return 0;
}

/* Options may stand before or behind the command; the command reads its own. */
static int
parse(int argc, char **argv, struct options *o)
{
	char *json = NULL;
	int i;

	o->path = NULL;
	o->json = wants_json(argc, argv);
	o->rest = calloc((size_t)argc + 1, sizeof(*o->rest));
	if (o->rest == NULL)
		return usage_error(o, "%s", "out of memory");
	for (i = 1; i < argc; i++) {
		const char *a = argv[i];

		if (strcmp(a, "-c") == 0 || strcmp(a, "--config") == 0 ||
		    strcmp(a, "--admin") == 0) {
			if (i + 1 == argc)
				return usage_error(o, "%s needs a value", a);
			*(a[2] == 'a' ? &o->admin : &o->path) = argv[++i];
		} else if (strcmp(a, "-t") == 0)
			o->test = true;
		else if (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0)
			o->help = true;
		else if (strcmp(a, "-V") == 0 || strcmp(a, "--version") == 0)
			o->version = true;
		else if (strcmp(a, "--") == 0 && o->n_rest > 0 &&
		    strcmp(o->rest[0], "run") == 0) {
			o->after = argv + i + 1;
			break;
		} else if (strcmp(a, "--json") == 0 && o->n_rest == 0)
			json = argv[i];
		else if (a[0] == '-' && a[1] != '\0' && o->n_rest == 0)
			return usage_error(o, "unknown option %s", a);
		else
			o->rest[o->n_rest++] = argv[i];
	}
	return place_json(o, json);
}

/* As many descriptors as are permitted, before anybody looks at the number. */
static void
raise_descriptors(struct rlimit *before)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	*before = limit;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* One that is closed would be some client's socket soon, and get what is meant
   for the log. */
static void
fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* -------------------------------------------------------------------- help */

/* Of all commands. */
static bool
help_at(size_t i, struct client_help *row)
{
	if (i >= NELEMS(own))
		return client_help_at(i - NELEMS(own), row);
	*row = own[i];
	return true;
}

static void
help_all(void)
{
	struct client_help row;
	size_t i;

	fputs(usage_text, stdout);
	for (i = 0; i < NELEMS(own); i++)
		client_help_print(stdout, &own[i], OWN_COLUMN);
	fputs(usage_more, stdout);
	for (i = 0; client_help_at(i, &row); i++)
		client_help_print(stdout, &row, CLIENT_COLUMN);
	fputs(usage_end, stdout);
}

static bool
help_command(const struct options *o, const char *name)
{
	struct client_help row;
	size_t i;

	for (i = 0; help_at(i, &row); i++)
		if (strcmp(row.name, name) == 0)
			break;
	if (!help_at(i, &row))
		return false;
	if (o->json)
		client_usage_json(&row);
	else
		client_usage_print(stdout, &row, i >= NELEMS(own));
	return true;
}

/* There is no command of that name, as fmt says. */
static int
unknown_command(const struct options *o, const char *fmt, const char *name)
{
	struct nearest near = { .word = name };
	struct client_help row;
	char text[256];
	size_t i;

	for (i = 0; help_at(i, &row); i++)
		nearest_try(&near, row.name);
	snprintf(text, sizeof(text), "%.100s%s%s%s", name, near.best != NULL ?
	    " (did you mean \"" : "", near.best != NULL ? near.best : "",
	    near.best != NULL ? "\"?)" : "");
	(void)usage_error(o, fmt, text);
	return EXIT_USAGE;
}

/* Of none nothing is said but what is wrong. */
static int
help_config(const struct options *o, const char *word)
{
	bool (*print)(FILE *, const struct conf_proto *const *, const char *) =
	    o->json ? conf_help_json : conf_help;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool any = out != NULL && print(out, proto_table, word);

	if (out == NULL || fclose(out) != 0)
		(void)usage_error(o, "%s", "out of memory");
	else if (any)
		fwrite(text, 1, len, stdout);
	else
		(void)usage_error(o, "no key of the configuration has %s in "
		    "its path", word);
	free(text);
	return any ? EXIT_OK : EXIT_USAGE;
}

static int
help(const struct options *o)
{
	const char *topic = o->n_rest > 0 ? o->rest[0] : NULL;

	if (topic == NULL && o->json)
		client_help_json(help_at);
	else if (topic == NULL)
		help_all();
	if (topic == NULL)
		return EXIT_OK;
	if (strcmp(topic, "config") == 0 && o->n_rest <= 2)
		return help_config(o, o->rest[1]);
	if (strcmp(topic, "config") == 0)
		(void)usage_error(o, "-h config does not expect %s", o->rest[2]);
	else if (help_command(o, topic))
		return EXIT_OK;
	else
		return unknown_command(o, "there is no help on %s", topic);
	return EXIT_USAGE;
}

static int
version(const struct options *o)
{
	if (o->json)
		client_version_json();
	else
		version_print(stdout);
	return EXIT_OK;
}

/* -------------------------------------------------------------------- checking */

static void
print_errors(const struct conf_errors *errors)
{
	size_t i;

	for (i = 0; i < errors->n; i++)
		fprintf(stderr, "%s\n", errors->v[i]);
}

/* -t, or the words behind `check`. */
static int
check(const struct options *o, const char *path)
{
	struct check_options wish = { .path = path, .json = o->json };
	int i;

	for (i = 1; i < o->n_rest; i++)
		if (strcmp(o->rest[i], "--offline") == 0)
			wish.offline = true;
		else if (strcmp(o->rest[i], "--json") != 0) {
			(void)usage_error(o, "check has no option %s",
			    o->rest[i]);
			return EXIT_USAGE;
		}
	return check_run(&wish);
}

/* --------------------------------------------------------------------- running */

static void
on_hup(struct ev_loop *loop, struct ev_signal *sig, int revents)
{
	struct conf_errors errors = { 0 };

	(void)loop, (void)revents;
	if (runtime_reload(sig->data, &errors) < 0)
		log_warn("reload", "the running configuration stays");
	conf_errors_fini(&errors);
}

static void
on_term(struct ev_loop *loop, struct ev_signal *sig, int revents)
{
	struct runtime *rt = sig->data;

	(void)loop, (void)revents;
	/* One that has been taken over from drains already, but patiently. */
	if (rt->handed_over && !rt->parting) {
		runtime_part(rt);
		upgrade_cancel(rt);
	} else if (rt->draining)
		runtime_stop(rt);
	else
		runtime_drain(rt);
}

static void
on_int(struct ev_loop *loop, struct ev_signal *sig, int revents)
{
	(void)loop, (void)revents;
	runtime_stop(sig->data);
}

static void
on_usr1(struct ev_loop *loop, struct ev_signal *sig, int revents)
{
	struct runtime *rt = sig->data;

	(void)loop, (void)revents;
	writer_reopen(rt->writer);
}

static void
on_usr2(struct ev_loop *loop, struct ev_signal *sig, int revents)
{
	char why[512];
	pid_t pid;

	(void)loop, (void)revents;
	if (upgrade_begin(sig->data, &pid, why, sizeof(why)) < 0)
		log_warn("upgrade", "%s", why);
}

static void
watch_signal(struct ev_signal *sig, struct runtime *rt, int number,
    void (*f)(struct ev_loop *, struct ev_signal *, int))
{
	ev_signal_init(sig, f, number);
	sig->data = rt;
	ev_signal_start(rt->main.loop, sig);
}

/* Process 1 inherits the children of others, and has to bury them. */
static void
on_child(struct ev_loop *loop, struct ev_signal *sig, int revents)
{
	(void)loop, (void)sig, (void)revents;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* Whoever has started us takes us along. Not sooner: a change of user makes the
   kernel forget it. */
static void
end_with(pid_t above, struct runtime *rt)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != above)
		runtime_stop(rt);
}

/* A weir that has taken over, below weir run. */
struct orphan {
	struct ev_timer look;
	struct runtime *rt;
	pid_t before;                   /* has started it */
	pid_t run;                      /* adopts it when that has ended */
};

static void
look_above(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
	struct orphan *o = container_of(timer, struct orphan, look);

	(void)revents;
	if (getppid() == o->before)
		return;
	ev_timer_stop(loop, timer);
	end_with(o->run, o->rt);
}

/* Until it is adopted the end of its parent must not be its own, and the kernel
   tells nobody that he has another: it is looked for. */
static void
await_adoption(struct orphan *o, struct runtime *rt)
{
	const char *run = getenv(RUN_VARIABLE);

	ev_timer_init(&o->look, look_above, LOOK_ABOVE_S, LOOK_ABOVE_S);
	o->rt = rt;
	o->before = getppid();
	o->run = run != NULL ? atoi(run) : 0;
	if (o->run == o->before)
		end_with(o->run, rt);
	else if (o->run > 0)
		ev_timer_start(rt->main.loop, &o->look);
}

static void
log_started(const struct runtime *rt)
{
	const struct conf *conf = rt->gen->conf;

	log_info(NULL, "weir %s runs: %zu listener%s, %zu upstream%s, %zu "
	    "worker%s", WEIR_VERSION, conf->n_listeners,
	    conf->n_listeners == 1 ? "" : "s", conf->n_upstreams,
	    conf->n_upstreams == 1 ? "" : "s", rt->n_lanes,
	    rt->n_lanes == 1 ? "" : "s");
}

static int
run(const struct service *service)
{
	struct demo *demo = service->demo;
	struct ev_signal hup, term, quit, intr, usr1, usr2, child;
	struct conf_errors errors = { 0 };
	struct orphan orphan;
	struct runtime rt;
	int status = EXIT_FAILED;
	sigset_t ours;

	/* A reload or an end that is asked for while weir starts is heard when
	   it has started; it must not kill. */
	sigemptyset(&ours);
	sigaddset(&ours, SIGHUP);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGQUIT);
	sigaddset(&ours, SIGUSR1);
	sigaddset(&ours, SIGUSR2);
	sigprocmask(SIG_BLOCK, &ours, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (runtime_start(&rt, service->path, demo != NULL ? demo->config : NULL,
	    &errors) < 0 || (demo != NULL && demo_serve(demo, &rt) < 0)) {
		print_errors(&errors);
		upgrade_not_started(&rt, &errors);
		goto out;
	}
	upgrade_set_program(&rt, service->argv);
	watch_signal(&hup, &rt, SIGHUP, on_hup);
	watch_signal(&term, &rt, SIGTERM, on_term);
	watch_signal(&quit, &rt, SIGQUIT, on_term);
	watch_signal(&intr, &rt, SIGINT, on_int);
	watch_signal(&usr1, &rt, SIGUSR1, on_usr1);
	watch_signal(&usr2, &rt, SIGUSR2, on_usr2);
	if (getpid() == 1)
		watch_signal(&child, &rt, SIGCHLD, on_child);
	sigprocmask(SIG_UNBLOCK, &ours, NULL);
	log_started(&rt);
	if (demo != NULL)
		demo_print(demo);
	if (service->above != 0)
		end_with(service->above, &rt);
	else
		await_adoption(&orphan, &rt);
	runtime_run(&rt);
	log_info(NULL, "ended");
	status = upgrade_was_deserted(&rt) || upgrade_left_nobody(&rt) ?
	    EXIT_FAILED : EXIT_OK;
out:
	conf_errors_fini(&errors);
	if (demo != NULL)
		demo_end(demo);
	runtime_fini(&rt);
	return status;
}

static int
run_demo(void)
{
	struct demo demo = { .origin_fd = -1 };
	const struct service service = { .demo = &demo };

	if (demo_prepare(&demo) < 0) {
		fprintf(stderr, "weir: the demo cannot listen: %s\n",
		    strerror(errno));
		return EXIT_FAILED;
	}
	return run(&service);
}

static int
serve(void *service)
{
	return run(service);
}

static int
run_with(const struct options *o, char *program, const char *path,
    const struct rlimit *descriptors)
{
	/* One that takes over is a weir alone: we are above it already. */
	char option[] = "-c", *argv[] = { program, option, (char *)path, NULL };
	struct run_options options = { .command = o->after,
	    .descriptors = *descriptors };
	struct service service = { .path = path, .argv = argv,
	    .above = getpid() };

	if (run_parse(&options, o->n_rest - 1, o->rest + 1) < 0)
		return EXIT_USAGE;
	return run_command(&options, serve, &service);
}

/* An answer that has not arrived is none, whatever it was. */
static int
written(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "weir: standard output could not be written\n");
	return status == EXIT_OK ? EXIT_FAILED : status;
}

int
main(int argc, char **argv)
{
	struct options o = { 0 };
	struct rlimit descriptors = { RLIM_INFINITY, RLIM_INFINITY };
	struct service service = { 0 };
	const char *path, *command;
	int status;

	if (parse(argc, argv, &o) < 0) {
		free(o.rest);
		return EXIT_USAGE;
	}
	fill_standard_descriptors();
	raise_descriptors(&descriptors);
	service.argv = argv;
	service.path = path = o.path != NULL ? o.path : DEFAULT_PATH;
	command = o.n_rest > 0 ? o.rest[0] : NULL;
	if (o.help)
		status = help(&o);
	else if (o.version)
		status = version(&o);
	else if (o.test || (command != NULL && strcmp(command, "check") == 0))
		status = check(&o, path);
	else if (command == NULL)
		status = run(&service);
	else if (strcmp(command, "run") == 0)
		status = run_with(&o, argv[0], path, &descriptors);
	else if (strcmp(command, "demo") == 0 && o.n_rest == 1)
		status = run_demo();
	else if (client_has(command))
		status = client_run(command, o.n_rest - 1, o.rest + 1, o.path,
		    o.admin);
	else
		status = unknown_command(&o, "unknown command %s", command);
	free(o.rest);
	return written(status);
}
