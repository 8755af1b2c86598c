/*
 * The client's command lines. See client.h; what the commands do is in
 * commands.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/client.h"

#include <stdlib.h>
#include <string.h>

#include "conf/value.h"
#include "proxy/command/commands.h"
#include "proxy/proto.h"

enum { WAIT_MS = 60 * 1000, UPGRADE_MS = 2 * WAIT_MS, STOP_MS = 10 * 60 * 1000 };
enum { HELP_WIDTH = 80 };

struct command {
	const char *name;
	const char *usage;              /* after the name */
	const char *help;
	const char *words[WORDS_MOST];  /* its arguments; NULL = none */
	unsigned needs;                 /* so many of them */
	unsigned options;
	int64_t timeout_ms;             /* unless --timeout */
	int (*run)(struct order *o);
	enum whose_care care;
};

/* --------------------------------------------------------------- the table */

static const struct command commands[] = {
	{ "stats", "[--json]", "the live numbers, once", { NULL }, 0,
	    OPTION_JSON, 0, run_stats, WHOSE_TOLD },
	{ "top", "[--json]", "the live numbers, every second; ? shows its keys",
	    { NULL }, 0, OPTION_JSON, 0, run_top, WHOSE_TOLD },
	{ "get", "PATH [--json]", "any page of the admin port", { "PATH" }, 1,
	    OPTION_JSON, 0, run_get, WHOSE_TOLD },
	{ "connections", "[UPSTREAM] [--leased] [--older 30s] [--json]",
	    "upstream connections, one by one", { "UPSTREAM" }, 0,
	    OPTION_JSON | OPTION_LEASED | OPTION_OLDER, 0,
	    run_connections, WHOSE_TOLD },
	{ "kill", "ID [--json]", "close an upstream connection, by its number",
	    { "ID" }, 1, OPTION_JSON, 0, run_kill, WHOSE_OURS },
	{ "why", "[UPSTREAM|LISTENER] [--json]",
	    "what was slow or failed, and why", { "NAME" }, 0,
	    OPTION_JSON, 0, run_why, WHOSE_TOLD },
	{ "fault", "UPSTREAM [--delay 200ms] [--reset | --error] --percent 5 "
	    "[--for 5m] | --off",
	    "faults for a share of its exchanges, for a time",
	    { "UPSTREAM" }, 1, OPTION_JSON | OPTION_DELAY | OPTION_RESET |
	    OPTION_ERROR | OPTION_PERCENT | OPTION_FOR | OPTION_OFF, 0,
	    run_fault, WHOSE_OURS },
	{ "dns", "[UPSTREAM] [--json]", "names, their addresses and age",
	    { "UPSTREAM" }, 0, OPTION_JSON, 0, run_dns, WHOSE_TOLD },
	{ "key", "UPSTREAM KEY [--json]", "which endpoint a key goes to",
	    { "UPSTREAM", "KEY" }, 2, OPTION_JSON, 0, run_key, WHOSE_TOLD },
	{ "endpoint", "UPSTREAM ENDPOINT up|drain|down|conf [--weight N] "
	    "[--for 10m]", "change an endpoint by hand; conf ends it",
	    { "UPSTREAM", "ENDPOINT", "STATE" }, 2,
	    OPTION_JSON | OPTION_WEIGHT | OPTION_FOR, 0,
	    run_endpoint, WHOSE_OURS },
	{ "pause", "UPSTREAM [--json]", "let nothing new begin there",
	    { "UPSTREAM" }, 1, OPTION_JSON, 0, run_pause, WHOSE_OURS },
	{ "resume", "UPSTREAM [--json]", "serve those who wait again",
	    { "UPSTREAM" }, 1, OPTION_JSON, 0, run_resume, WHOSE_OURS },
	{ "log", "LEVEL [--for 5m] [--json]", "log more or less for a while",
	    { "LEVEL" }, 1, OPTION_JSON | OPTION_FOR, 0, run_log, WHOSE_OURS },
	{ "plan", "[--json]", "what a reload of the file would change", { NULL },
	    0, OPTION_JSON, 0, run_plan, WHOSE_ANY },
	{ "reload", "[--confirm 60s] [--drop-overrides] [--json]",
	    "load the file again: all of it or nothing", { NULL }, 0,
	    OPTION_JSON | OPTION_DROP | OPTION_CONFIRM, 0,
	    run_reload, WHOSE_OURS },
	{ "confirm", "[--json]", "what was reloaded with --confirm stays",
	    { NULL }, 0, OPTION_JSON, 0, run_confirm, WHOSE_OURS },
	{ "drift", "[--json]", "what runs otherwise than the file says",
	    { NULL }, 0, OPTION_JSON, 0, run_drift, WHOSE_TOLD },
	{ "upgrade", "[--timeout 2m] [--json]",
	    "let the new binary take over without loss", { NULL }, 0,
	    OPTION_JSON | OPTION_TIMEOUT, UPGRADE_MS, run_upgrade, WHOSE_OURS },
	{ "wait", "[--for warm|listeners] [--timeout 60s] [--json]",
	    "return when it is ready", { NULL }, 0, OPTION_JSON |
	    OPTION_FOR | OPTION_TIMEOUT, WAIT_MS, run_wait, WHOSE_OURS },
	{ "ready", "[--json]", "is it ready? Once, for health checks",
	    { NULL }, 0, OPTION_JSON, 0, run_ready, WHOSE_OURS },
	{ "stop", "[--now] [--timeout 10m] [--json]",
	    "drain and end, or end at once", { NULL }, 0, OPTION_JSON |
	    OPTION_NOW | OPTION_TIMEOUT, STOP_MS, run_stop, WHOSE_OURS }
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

/* -------------------------------------------------------------------- help */

bool
client_help_at(size_t i, struct client_help *row)
{
	if (i >= NELEMS(commands))
		return false;
	*row = (struct client_help){ commands[i].name, commands[i].usage,
	    commands[i].help };
	return true;
}

/* Words from the column on; at is where the line stands. */
static void
put_words(FILE *out, const char *text, int at, int column)
{
	while (*text != '\0') {
		int n = (int)strcspn(text, " ");

		if (at > column && at + 1 + n > HELP_WIDTH) {
			putc('\n', out);
			at = 0;
		}
		at += at < column ? fprintf(out, "%*s", column - at, "") :
		    at > column ? fprintf(out, " ") : 0;
		at += fprintf(out, "%.*s", n, text);
		text += n;
		text += strspn(text, " ");
	}
	putc('\n', out);
}

void
client_help_print(FILE *out, const struct client_help *row, int column)
{
	int at = fprintf(out, "  weir %s%s%s", row->name,
	    *row->usage != '\0' ? " " : "", row->usage);

	if (at + 2 > column) {
		putc('\n', out);
		at = 0;
	}
	put_words(out, row->help, at, column);
}

void
client_usage_print(FILE *out, const struct client_help *row, bool of_running)
{
	fprintf(out, "usage: weir %s%s%s%s\n    %s\n", of_running ?
	    "[-c FILE | --admin ADDR] " : "[-c FILE] ", row->name,
	    *row->usage != '\0' ? " " : "", row->usage, row->help);
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
	{ "--older", OPTION_OLDER, true },
	{ "--weight", OPTION_WEIGHT, true },
	{ "--drop-overrides", OPTION_DROP, false },
	{ "--delay", OPTION_DELAY, true },
	{ "--reset", OPTION_RESET, false },
	{ "--error", OPTION_ERROR, false },
	{ "--percent", OPTION_PERCENT, true },
	{ "--off", OPTION_OFF, false },
	{ "--confirm", OPTION_CONFIRM, true }
};

static int
usage(const struct order *o, const char *what, const char *about)
{
	const struct command *c = o->command;

	command_fail(o, "%s: %s %s", c->name, what, about);
	fprintf(stderr, "usage: weir [-c FILE | --admin ADDR] %s %s\n", c->name,
	    c->usage);
	return CLIENT_USAGE;
}

static int
take_duration(const struct order *o, const char *name, const char *text,
    int64_t *ms)
{
	const struct conf_key row = {
		.name = name, .type = CONF_DURATION, .min = 0,
		.max = INT64_C(365) * 24 * 3600 * 1000, .may_be_off = true
	};
	char why[VALUE_WHY_MAX];

	if (value_parse(&row, text, text, ms, why) == 0)
		return CLIENT_OK;
	return usage(o, name, why);
}

/* Read by the other side; seen here first for a better answer. */
static int
take_confirm(struct order *o, const char *text)
{
	const struct conf_key row = {
		.name = "--confirm", .type = CONF_DURATION, .min = 1,
		.max = 24 * 3600 * 1000
	};
	char why[VALUE_WHY_MAX];
	int64_t ms;

	o->confirm = text;
	if (value_parse(&row, text, text, &ms, why) == 0)
		return CLIENT_OK;
	return usage(o, "--confirm", why);
}

static int
take_weight(const struct order *o, const char *text, int64_t *weight)
{
	const struct conf_key row = {
		.name = "--weight", .type = CONF_COUNT, .min = 1, .max = 1000
	};
	char why[VALUE_WHY_MAX];

	if (value_parse(&row, text, text, weight, why) == 0)
		return CLIENT_OK;
	return usage(o, "--weight", why);
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
			return usage(o, name, "needs a value");
		++*i;
	}
	if (strcmp(name, "-c") == 0)
		o->conf_path = value;
	else if (strcmp(name, "--admin") == 0)
		o->admin = value;
	else if (k == NELEMS(options) || !(c->options & options[k].option))
		return usage(o, "has no option", name);
	else {
		o->options |= options[k].option;
		if (options[k].option == OPTION_FOR)
			o->what = value;
		else if (options[k].option == OPTION_CONFIRM)
			return take_confirm(o, value);
		else if (options[k].option == OPTION_TIMEOUT)
			return take_duration(o, name, value, &o->timeout_ms);
		else if (options[k].option == OPTION_OLDER)
			return take_duration(o, name, value, &o->older_ms);
		else if (options[k].option == OPTION_DELAY)
			o->delay = value;
		else if (options[k].option == OPTION_PERCENT)
			o->percent = value;
		else if (options[k].option == OPTION_WEIGHT)
			return take_weight(o, value, &o->weight);
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

/* What the words of `weir endpoint` mean, beyond that they are there. */
static int
check_endpoint(const struct order *o)
{
	static const char *const states[] = { "up", "drain", "down", "conf",
		NULL };
	int64_t ms;

	if (o->words[2] != NULL && !is_one_of(o->words[2], states))
		return usage(o, "the third word is up, drain, down or conf, "
		    "not", o->words[2]);
	if (o->words[2] == NULL && !(o->options & OPTION_WEIGHT))
		return usage(o, "needs", "up, drain, down, conf or --weight N");
	if (o->what != NULL)
		return take_duration(o, "--for", o->what, &ms);
	return CLIENT_OK;
}

/* The program knows what they may be; here, what they are without which there is
   nothing to say. */
static int
check_fault(const struct order *o)
{
	const unsigned some = OPTION_DELAY | OPTION_RESET | OPTION_ERROR;
	int64_t ms;

	if (o->options & OPTION_OFF)
		return (o->options & (some | OPTION_PERCENT | OPTION_FOR)) == 0
		    ? CLIENT_OK : usage(o, "--off", "stands alone");
	if ((o->options & some) == 0)
		return usage(o, "needs", "--delay, --reset, --error or --off");
	if (o->percent == NULL)
		return usage(o, "needs", "--percent N");
	if (o->delay != NULL &&
	    take_duration(o, "--delay", o->delay, &ms) != CLIENT_OK)
		return CLIENT_USAGE;
	return o->what == NULL ? CLIENT_OK :
	    take_duration(o, "--for", o->what, &ms);
}

/* Likewise of all the others. */
static int
check_words(struct order *o)
{
	static const char *const levels[] = { "error", "warn", "info", "debug",
		NULL };
	static const char *const goals[] = { "warm", "listeners", NULL };
	const struct command *c = o->command;
	const char *word = o->words[0] != NULL ? o->words[0] : "";
	unsigned i;
	int64_t ms;

	for (i = 0; i < c->needs; i++)
		if (o->words[i] == NULL)
			return usage(o, "needs", c->words[i]);
	if (c->run == run_endpoint)
		return check_endpoint(o);
	if (c->run == run_fault)
		return check_fault(o);
	if (c->run == run_get && !is_path(word))
		return usage(o, "PATH has to begin with \"/\", not as", word);
	if (c->run == run_kill && word[strspn(word, "0123456789")] != '\0')
		return usage(o, "ID is a number, not", word);
	if (c->run == run_log && !is_one_of(word, levels))
		return usage(o, "LEVEL is error, warn, info or debug, not",
		    word);
	if (c->run == run_log && o->what != NULL)
		return take_duration(o, "--for", o->what, &ms);
	if (c->run == run_wait && o->what != NULL && !is_one_of(o->what, goals))
		return usage(o, "--for is warm or listeners, not", o->what);
	return CLIENT_OK;
}

static int
read_order(struct order *o, int argc, char **argv)
{
	const struct command *c = o->command;
	unsigned n = 0;
	int i, status;

	for (i = 0; i < argc; i++) {
		if (argv[i][0] == '-') {
			status = take_option(o, argc, argv, &i);
			if (status != CLIENT_OK)
				return status;
		} else if (n == WORDS_MOST || c->words[n] == NULL)
			return usage(o, "does not expect", argv[i]);
		else
			o->words[n++] = argv[i];
	}
	return check_words(o);
}

/* ------------------------------------------------------ where that weir is */

static struct conf *
load(const char *path, bool loud)
{
	/* A mistake elsewhere in the file of a weir that runs must not keep
	   anybody from asking it, or from being told of that mistake. */
	const struct conf_input in = { .path = path, .protos = proto_table,
	    .only_admin = true };
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

	if (conf == NULL)
		return command_fail(o, "cannot find the admin port: %s is not "
		    "usable; --admin ADDR says where it is", path);
	if (conf->admin.bind == NULL)
		command_fail(o, "%s: admin.bind is off, there is nobody to "
		    "ask; --admin ADDR reaches one that was started with "
		    "another", path);
	else if (take_token(o, conf) < 0)
		command_fail(o, "out of memory");
	else {
		call_target_set(&o->target, &conf->admin.bind->addr);
		whose_init(&o->whose, o->command->care, path);
		o->target.whose = &o->whose;
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
		command_fail(o, "--admin %s", why);
		return CLIENT_USAGE;
	}
	conf = o->conf_path != NULL ? load(o->conf_path, false) : NULL;
	if (conf != NULL && take_token(o, conf) < 0) {
		conf_free(conf);
		return command_fail(o, "out of memory");
	}
	conf_free(conf);
	return CLIENT_OK;
}

static bool
wants_json(int argc, char **argv)
{
	int i;

	for (i = 0; i < argc; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
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
		client_complain("there is no command %s", command);
		return CLIENT_USAGE;
	}
	o.timeout_ms = o.command->timeout_ms;
	/* Known before anything can be wrong. */
	if (wants_json(argc, argv))
		o.options |= OPTION_JSON;
	status = read_order(&o, argc, argv);
	if (status == CLIENT_OK)
		status = o.admin != NULL ? find_by_address(&o) :
		    find_by_file(&o);
	if (status == CLIENT_OK)
		status = o.command->run(&o);
	call_target_fini(&o.target);
	whose_fini(&o.whose);
	return status;
}
