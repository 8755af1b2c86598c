/*
 * The commands. See client.h; how a request is made is in call.c.
 *
 * What is asked for goes to standard output, everything else to standard error.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/client.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/value.h"
#include "proxy/call.h"
#include "proxy/proto.h"
#include "proxy/show.h"

#define CONF_DEFAULT "/etc/weir/weir.conf"

/* Milliseconds. */
enum {
	CALL_MS = 10 * 1000,
	RELOAD_MS = 120 * 1000,         /* resolves users, reads certificates */
	PROBE_MS = 5 * 1000,
	POLL_MS = 100,
	STOP_MS = 10 * 60 * 1000
};

enum option {
	OPTION_JSON = 1,
	OPTION_FOR = 2,
	OPTION_TIMEOUT = 4,
	OPTION_NOW = 8,
	OPTION_LEASED = 16,
	OPTION_OLDER = 32
};

/* A command line, read. */
struct order {
	const struct command *command;
	const char *word;               /* its argument, or NULL */
	const char *conf_path, *admin;
	unsigned options;               /* those given */
	const char *what;               /* --for */
	int64_t timeout_ms, older_ms;
	struct call_target target;
};

struct command {
	const char *name;
	const char *usage;              /* after the name */
	const char *help;
	const char *word;               /* what its argument is; NULL = none */
	bool needs_word;
	unsigned options;
	int64_t timeout_ms;             /* unless --timeout */
	int (*run)(struct order *o);
};

static void
complain(const char *fmt, ...) PRINTF_LIKE(1, 2);

static void
complain(const char *fmt, ...)
{
	va_list ap;

	fputs("weir: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	putc('\n', stderr);
}

/* ------------------------------------------------------------------- calls */

/* The body of a 200; else what went wrong has been said, and NULL. */
static char *
fetch(struct order *o, const char *method, const char *path, int64_t ms)
{
	char *body = NULL, why[512];
	int status = call_whole(&o->target, method, path, ms, &body, why,
	    sizeof(why));
	json_t *j;

	if (status == 200)
		return body;
	if (status < 0) {
		complain("%s", why);
		return NULL;
	}
	j = json_loads(body, 0, NULL);
	if (j != NULL && json_string_value(json_object_get(j, "error")) != NULL)
		complain("%s: %d: %s", path, status,
		    json_string_value(json_object_get(j, "error")));
	else
		complain("%s: %d: %s", path, status, body);
	json_decref(j);
	free(body);
	return NULL;
}

/* Likewise, as JSON; with --json it is printed as it is. */
static json_t *
fetch_json(struct order *o, const char *path)
{
	char *body = fetch(o, "GET", path, CALL_MS);
	json_error_t error;
	json_t *j;

	if (body == NULL)
		return NULL;
	j = json_loads(body, 0, &error);
	if (j == NULL)
		complain("%s of %s is not JSON: %s", path, o->target.shown,
		    error.text);
	else if (o->options & OPTION_JSON)
		fputs(body, stdout);
	free(body);
	return j;
}

/* A page that is asked for and shown. */
static int
show_page(struct order *o, const char *path,
    void (*show)(FILE *out, const json_t *j, const struct show_filter *f))
{
	const struct show_filter filter = {
		.upstream = o->word,
		.leased = (o->options & OPTION_LEASED) != 0,
		.older_ms = o->older_ms
	};
	json_t *j = fetch_json(o, path);

	if (j == NULL)
		return CLIENT_FAILED;
	if (!(o->options & OPTION_JSON))
		show(stdout, j, &filter);
	json_decref(j);
	return CLIENT_OK;
}

/* ---------------------------------------------------------------- commands */

static int
run_stats(struct order *o)
{
	return show_page(o, "/stats", show_stats);
}

static int
run_connections(struct order *o)
{
	return show_page(o, "/connections", show_connections);
}

static int
run_dns(struct order *o)
{
	return show_page(o, "/dns", show_dns);
}

/* Any page, as it comes: /stats/stream has no end. */
static int
run_get(struct order *o)
{
	char out[8192], why[512];
	struct call c;
	int64_t n;

	if (call_begin(&c, &o->target, "GET", o->word, CALL_MS, why,
	    sizeof(why)) < 0) {
		complain("%s", why);
		return CLIENT_FAILED;
	}
	while ((n = call_read(&c, out, sizeof(out), why, sizeof(why))) > 0) {
		fwrite(out, 1, (size_t)n, stdout);
		fflush(stdout);
	}
	call_end(&c);
	if (n < 0)
		complain("%s", why);
	else if (c.status != 200)
		complain("GET %s: %u", o->word, c.status);
	return n == 0 && c.status == 200 && !ferror(stdout) ? CLIENT_OK :
	    CLIENT_FAILED;
}

static void
print_errors(const json_t *errors)
{
	size_t i;

	for (i = 0; i < json_array_size(errors); i++) {
		const char *text = json_string_value(json_array_get(errors, i));

		fprintf(stderr, "%s\n", text != NULL ? text : "?");
	}
}

static int
run_reload(struct order *o)
{
	char *body = NULL, why[512];
	int status = call_whole(&o->target, "POST", "/reload", RELOAD_MS, &body,
	    why, sizeof(why));
	json_t *j = status > 0 ? json_loads(body, 0, NULL) : NULL;
	const char *error = json_string_value(json_object_get(j, "error"));

	if (status < 0)
		complain("%s", why);
	else if (o->options & OPTION_JSON)
		fputs(body, stdout);
	else if (status == 200)
		printf("reloaded: configuration #%lld\n", (long long)
		    json_integer_value(json_object_get(j, "generation")));
	else if (json_array_size(json_object_get(j, "errors")) > 0) {
		print_errors(json_object_get(j, "errors"));
		complain("the reload was refused, nothing has changed");
	} else
		complain("/reload: %d: %s", status,
		    error != NULL ? error : body);
	json_decref(j);
	free(body);
	return status == 200 ? CLIENT_OK : CLIENT_FAILED;
}

static int
run_log(struct order *o)
{
	char path[128], *body;

	snprintf(path, sizeof(path), "/log?level=%s%s%s", o->word,
	    o->what != NULL ? "&for=" : "", o->what != NULL ? o->what : "");
	body = fetch(o, "POST", path, CALL_MS);
	free(body);
	return body != NULL ? CLIENT_OK : CLIENT_FAILED;
}

/* ----------------------------------------------------------------- waiting */

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
pause_ms(int64_t ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&ts, NULL);
}

/* A page's text without its last newline. */
static void
keep_line(char *to, size_t size, const char *body)
{
	snprintf(to, size, "%.*s", (int)strcspn(body, "\n"), body);
}

/* 200 at /readyz? If not, why says it. */
static bool
is_ready(struct order *o, int64_t ms, char *why, size_t size)
{
	char *body = NULL;
	int status = call_whole(&o->target, "GET", "/readyz", ms, &body, why,
	    size);

	if (status >= 0 && status != 200)
		keep_line(why, size, body);
	free(body);
	return status == 200;
}

/* Has every listener an address bound? */
static bool
is_bound(struct order *o, int64_t ms, char *why, size_t size)
{
	char *body = NULL;
	int status = call_whole(&o->target, "GET", "/stats", ms, &body, why,
	    size);
	json_t *j = status == 200 ? json_loads(body, 0, NULL) : NULL;
	const json_t *rows = json_object_get(j, "listeners");
	size_t bound = 0, i;

	for (i = 0; i < json_array_size(rows); i++)
		bound += json_array_size(json_object_get(
		    json_array_get(rows, i), "bind")) > 0;
	if (status >= 0 && j == NULL)
		snprintf(why, size, "/stats: %d", status);
	else if (j != NULL)
		snprintf(why, size, "%zu of %zu listeners are bound", bound,
		    json_array_size(rows));
	i = json_array_size(rows);
	json_decref(j);
	free(body);
	return i > 0 && bound == i;
}

static int64_t
at_most(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int
run_wait(struct order *o)
{
	int64_t until = o->timeout_ms == CONF_OFF ? INT64_MAX :
	    now_ms() + o->timeout_ms;
	bool (*done)(struct order *, int64_t, char *, size_t) =
	    o->what != NULL && strcmp(o->what, "listeners") == 0 ? is_bound :
	    is_ready;
	char why[512];

	for (;;) {
		int64_t left = until - now_ms();

		if (done(o, at_most(left > 1 ? left : 1, PROBE_MS), why,
		    sizeof(why)))
			return CLIENT_OK;
		left = until - now_ms();
		if (left <= 0)
			break;
		pause_ms(at_most(left, POLL_MS));
	}
	complain("still not so at %s: %s", o->target.shown, why);
	return CLIENT_FAILED;
}

static int
run_ready(struct order *o)
{
	char why[512];

	if (!is_ready(o, PROBE_MS, why, sizeof(why))) {
		complain("%s", why);
		return CLIENT_FAILED;
	}
	puts("ready");
	return CLIENT_OK;
}

/*
 * How long the weir there has been up; -1 = none answers. A port that is in
 * use again by a weir that is younger was given up in between.
 */
static double
uptime_s(struct order *o)
{
	char *body = NULL, why[512];
	int status = call_whole(&o->target, "GET", "/stats", PROBE_MS, &body,
	    why, sizeof(why));
	json_t *j = status == 200 ? json_loads(body, 0, NULL) : NULL;
	double up = -1;

	if (j != NULL)
		up = json_number_value(json_object_get(j, "uptime_s"));
	json_decref(j);
	free(body);
	return up;
}

static int
run_stop(struct order *o)
{
	int64_t until = o->timeout_ms == CONF_OFF ? INT64_MAX :
	    now_ms() + o->timeout_ms;
	double before = uptime_s(o), now;
	char *body = fetch(o, "POST", o->options & OPTION_NOW ? "/stop" :
	    "/drain", CALL_MS);

	if (body == NULL)
		return CLIENT_FAILED;
	free(body);
	while ((now = uptime_s(o)) >= before && now >= 0) {
		before = now;
		if (now_ms() >= until) {
			complain("%s still runs", o->target.shown);
			return CLIENT_FAILED;
		}
		pause_ms(POLL_MS);
	}
	return CLIENT_OK;
}

/* --------------------------------------------------------------- the table */

static const struct command commands[] = {
	{ "stats", "[--json]", "the live numbers, once", NULL, false,
	    OPTION_JSON, 0, run_stats },
	{ "get", "PATH", "any page of the admin port", "PATH", true,
	    OPTION_JSON, 0, run_get },
	{ "connections", "[UPSTREAM] [--leased] [--older 30s] [--json]",
	    "upstream connections, one by one", "UPSTREAM", false,
	    OPTION_JSON | OPTION_LEASED | OPTION_OLDER, 0, run_connections },
	{ "dns", "[UPSTREAM] [--json]", "names, their addresses and age",
	    "UPSTREAM", false, OPTION_JSON, 0, run_dns },
	{ "log", "LEVEL [--for 5m]", "log more or less for a while", "LEVEL",
	    true, OPTION_FOR, 0, run_log },
	{ "reload", "[--json]", "load the file again: all of it or nothing",
	    NULL, false, OPTION_JSON, 0, run_reload },
	{ "wait", "[--for warm|listeners] [--timeout 60s]",
	    "return when it is ready", NULL, false,
	    OPTION_FOR | OPTION_TIMEOUT, 60 * 1000, run_wait },
	{ "ready", "", "is it ready? Once, for health checks", NULL, false, 0,
	    0, run_ready },
	{ "stop", "[--now] [--timeout 10m]", "drain and end, or end at once",
	    NULL, false, OPTION_NOW | OPTION_TIMEOUT, STOP_MS, run_stop }
};

static const struct command *
find(const char *name)
{
	size_t i;

	for (i = 0; i < NELEMS(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

bool
client_has(const char *command)
{
	return find(command) != NULL;
}

void
client_help(FILE *out)
{
	size_t i;

	for (i = 0; i < NELEMS(commands); i++) {
		const struct command *c = &commands[i];
		int wide = fprintf(out, "  weir %s %s", c->name, c->usage);

		if (wide > 38)
			fprintf(out, "\n%*s", 40, "");
		else
			fprintf(out, "%*s", 40 - wide, "");
		fprintf(out, "%s\n", c->help);
	}
}

/* ------------------------------------------------------------ command line */

static const struct {
	const char *name;
	enum option option;
	bool has_value;
} options[] = {
	{ "--json", OPTION_JSON, false },
	{ "--now", OPTION_NOW, false },
	{ "--leased", OPTION_LEASED, false },
	{ "--for", OPTION_FOR, true },
	{ "--timeout", OPTION_TIMEOUT, true },
	{ "--older", OPTION_OLDER, true }
};

static int
usage(const struct command *c, const char *what, const char *about)
{
	complain("%s: %s %s", c->name, what, about);
	fprintf(stderr, "usage: weir [-c FILE | --admin ADDR] %s %s\n", c->name,
	    c->usage);
	return CLIENT_USAGE;
}

static int
take_duration(const struct command *c, const char *name, const char *text,
    int64_t *ms)
{
	const struct conf_key row = {
		.name = name, .type = CONF_DURATION, .min = 0,
		.max = INT64_C(365) * 24 * 3600 * 1000, .may_be_off = true
	};
	char why[VALUE_WHY_MAX];

	if (value_parse(&row, text, text, ms, why) == 0)
		return CLIENT_OK;
	return usage(c, name, why);
}

/* argv[*i] is an option; its value, if it has one, comes next. */
static int
take_option(struct order *o, int argc, char **argv, int *i)
{
	const struct command *c = o->command;
	const char *value = *i + 1 < argc ? argv[*i + 1] : NULL;
	const char *name = argv[*i];
	size_t k;

	for (k = 0; k < NELEMS(options); k++)
		if (strcmp(options[k].name, name) == 0)
			break;
	if (strcmp(name, "-c") == 0 || strcmp(name, "--admin") == 0 ||
	    (k < NELEMS(options) && options[k].has_value)) {
		if (value == NULL)
			return usage(c, name, "needs a value");
		++*i;
	}
	if (strcmp(name, "-c") == 0)
		o->conf_path = value;
	else if (strcmp(name, "--admin") == 0)
		o->admin = value;
	else if (k == NELEMS(options) || !(c->options & options[k].option))
		return usage(c, "has no option", name);
	else {
		o->options |= options[k].option;
		if (options[k].option == OPTION_FOR)
			o->what = value;
		else if (options[k].option == OPTION_TIMEOUT)
			return take_duration(c, name, value, &o->timeout_ms);
		else if (options[k].option == OPTION_OLDER)
			return take_duration(c, name, value, &o->older_ms);
	}
	return CLIENT_OK;
}

static bool
is_path(const char *text)
{
	if (text == NULL || *text != '/')
		return false;
	for (; *text != '\0'; text++)
		if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f)
			return false;
	return true;
}

static bool
is_one_of(const char *word, const char *const *words)
{
	for (; word != NULL && *words != NULL; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

/* What the words mean, beyond that they are there. */
static int
check_words(struct order *o)
{
	static const char *const levels[] = { "error", "warn", "info", "debug",
		NULL };
	static const char *const goals[] = { "warm", "listeners", NULL };
	const struct command *c = o->command;
	int64_t ms;

	if (c->needs_word && o->word == NULL)
		return usage(c, "needs", c->word);
	if (c->run == run_get && !is_path(o->word))
		return usage(c, "PATH has to begin with \"/\", not as",
		    o->word);
	if (c->run == run_log && !is_one_of(o->word, levels))
		return usage(c, "LEVEL is error, warn, info or debug, not",
		    o->word);
	if (c->run == run_log && o->what != NULL)
		return take_duration(c, "--for", o->what, &ms);
	if (c->run == run_wait && o->what != NULL && !is_one_of(o->what, goals))
		return usage(c, "--for is warm or listeners, not", o->what);
	return CLIENT_OK;
}

static int
read_order(struct order *o, int argc, char **argv)
{
	const struct command *c = o->command;
	int i, status;

	for (i = 0; i < argc; i++) {
		if (argv[i][0] == '-') {
			status = take_option(o, argc, argv, &i);
			if (status != CLIENT_OK)
				return status;
		} else if (c->word == NULL || o->word != NULL)
			return usage(c, "does not expect", argv[i]);
		else
			o->word = argv[i];
	}
	return check_words(o);
}

/* ------------------------------------------------------ where that weir is */

static struct conf *
load(const char *path, bool loud)
{
	const struct conf_input in = { .path = path, .protos = proto_table };
	struct conf_errors errors = { 0 };
	struct conf *conf = conf_load(&in, &errors);
	size_t i;

	for (i = 0; conf == NULL && loud && i < errors.n; i++)
		fprintf(stderr, "%s\n", errors.v[i]);
	conf_errors_fini(&errors);
	return conf;
}

static int
take_token(struct order *o, const struct conf *conf)
{
	if (conf->admin.token == NULL)
		return 0;
	o->target.token = strdup(conf->admin.token);
	return o->target.token != NULL ? 0 : -1;
}

static int
find_by_file(struct order *o)
{
	const char *path = o->conf_path != NULL ? o->conf_path : CONF_DEFAULT;
	struct conf *conf = load(path, true);
	int status = CLIENT_FAILED;

	if (conf == NULL) {
		complain("cannot find the admin port: %s is not usable; "
		    "--admin ADDR says where it is", path);
		return CLIENT_FAILED;
	}
	if (conf->admin.bind == NULL)
		complain("%s: admin.bind is off, there is nobody to ask", path);
	else if (take_token(o, conf) < 0)
		complain("out of memory");
	else {
		call_target_set(&o->target, &conf->admin.bind->addr);
		status = CLIENT_OK;
	}
	conf_free(conf);
	return status;
}

/* The token of a file that was named for this goes to the address that was
   named too; never that of a file nobody spoke of. */
static int
find_by_address(struct order *o)
{
	struct conf *conf;
	char why[512];

	if (call_target_parse(&o->target, o->admin, why, sizeof(why)) < 0) {
		complain("--admin %s", why);
		return CLIENT_USAGE;
	}
	conf = o->conf_path != NULL ? load(o->conf_path, false) : NULL;
	if (conf != NULL && take_token(o, conf) < 0) {
		conf_free(conf);
		complain("out of memory");
		return CLIENT_FAILED;
	}
	conf_free(conf);
	return CLIENT_OK;
}

int
client_run(const char *command, int argc, char **argv, const char *conf_path,
    const char *admin_addr)
{
	struct order o = {
		.command = find(command),
		.conf_path = conf_path,
		.admin = admin_addr
	};
	int status;

	if (o.command == NULL) {
		complain("there is no command %s", command);
		return CLIENT_USAGE;
	}
	o.timeout_ms = o.command->timeout_ms;
	status = read_order(&o, argc, argv);
	if (status == CLIENT_OK)
		status = o.admin != NULL ? find_by_address(&o) :
		    find_by_file(&o);
	if (status == CLIENT_OK)
		status = o.command->run(&o);
	call_target_fini(&o.target);
	if (fflush(stdout) != 0 && status == CLIENT_OK)
		status = CLIENT_FAILED;
	return status;
}
