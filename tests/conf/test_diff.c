/*
 * conf/diff: what differs between two files, and that no key is forgotten.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/diff.h"

#include "conf/schema.h"
#include "tests/conf/rows.h"

/* Two files, and all that leads from the first to the second, a line each. */
struct pair {
	enum row_kind kind;
	const char *was, *now;
	const char *texts;
};

static struct conf *
load(const char *text)
{
	struct conf_input in = { .path = "weir.conf", .text = text,
	    .protos = fake_protos, .offline = true };
	struct conf_errors errors;
	struct conf *c = conf_load(&in, &errors);

	if (c == NULL)
		fail_msg("%s\nbrings\n%s", text, errors.v[0]);
	conf_errors_fini(&errors);
	return c;
}

static char *
texts_of(const struct diff *d)
{
	char *all = NULL;
	size_t n;
	FILE *out = open_memstream(&all, &n);

	assert_non_null(out);
	for (size_t i = 0; i < d->n; i++)
		fprintf(out, "%s%s", i > 0 ? "\n" : "", d->v[i].text);
	fclose(out);
	return all;
}

static void
pair_holds(const struct pair *p)
{
	char *was = row_file(p->kind, p->was), *now = row_file(p->kind, p->now);
	struct conf *a = load(was), *b = load(now);
	struct diff d;
	char *texts;

	assert_int_equal(diff_make(&d, a, b), 0);
	texts = texts_of(&d);
	if (strcmp(texts, p->texts) != 0)
		fail_msg("%s\nto\n%s\nis\n%s\nand not\n%s", p->was, p->now,
		    texts, p->texts);
	free(texts);
	diff_fini(&d);
	conf_free(a);
	conf_free(b);
	free(was);
	free(now);
}

static void
changes_are_said_in_words(void **state)
{
	static const struct pair pairs[] = {
	{ ROW_TOP, "", "", "" },
	{ ROW_TOP, "", "workers = 2;", "workers 1 -> 2" },
	{ ROW_TOP, "log = { level = \"warn\"; };", "",
	    "log.level warn -> info" },
	{ ROW_TOP, "", "admin = { bind = \"off\"; };", "admin.bind { address = "
	    "\"127.0.0.1:9901\"; backlog = 4096; } -> off" },
	{ ROW_TOP, "", "admin = { hosts = ( \"a b\" ); };",
	    "admin.hosts ( ) -> ( \"a b\" )" },
	{ ROW_UPSTREAM, "pool = { max = 64; };", "pool = { max = 32; };",
	    "upstream x: pool.max 64 -> 32" },
	{ ROW_UPSTREAM, "pool = { max = 64; max_idle = 64; };",
	    "pool = { max = 32; max_idle = 32; };",
	    "upstream x: pool.max 64 -> 32\n"
	    "upstream x: pool.max_idle 64 -> 32" },
	{ ROW_UPSTREAM, "pool = { max = 64; };",
	    "pool = { max = 32; max_pinned = 9; };",
	    "upstream x: pool.max 64 -> 32\n"
	    "upstream x: pool.max_pinned 32 -> 9" },
	{ ROW_UPSTREAM, "", "health = { path = \"/h\"; };",
	    "upstream x: health off -> { type = \"http\"; path = \"/h\"; "
	    "expect = \"200-399\"; interval = \"2s\"; timeout = \"1s\"; "
	    "rise = 2; fall = 3; }" },
	{ ROW_UPSTREAM, "http = { password = \"old\"; };",
	    "http = { password = \"new\"; };",
	    "upstream x: http.password changed (secret)" },
	{ ROW_UPSTREAM, "http = { set_headers = { X = \"1\"; Cookie = \"a\"; "
	    "}; };", "http = { set_headers = { X = \"2\"; Cookie = \"b\"; Y = "
	    "\"3\"; }; };", "upstream x: http.set_headers.X 1 -> 2\n"
	    "upstream x: http.set_headers.Cookie changed (secret)\n"
	    "upstream x: http.set_headers.Y not set -> 3" },
	{ ROW_ENDPOINTS, "( \"127.0.0.1:3000\" )",
	    "( { address = \"127.0.0.1:3000\"; weight = 2; } )",
	    "upstream x: endpoint 127.0.0.1:3000: weight 1 -> 2" },
	{ ROW_ENDPOINTS, "( \"127.0.0.1:3000\", \"127.0.0.1:3001\" )",
	    "( { name = \"b\"; address = \"127.0.0.1:3002\"; }, "
	    "\"127.0.0.1:3000\" )",
	    "upstream x: endpoint 127.0.0.1:3001 removed\n"
	    "upstream x: endpoint b added (127.0.0.1:3002)" },
	{ ROW_ENDPOINTS, "( { name = \"b\"; address = \"127.0.0.1:1\"; } )",
	    "( { name = \"b\"; address = \"127.0.0.1:2\"; } )",
	    "upstream x: endpoint b: address 127.0.0.1:1 -> 127.0.0.1:2" },
	{ ROW_ENDPOINTS, "( \"127.0.0.1:1\", \"127.0.0.1:2\" )",
	    "( \"127.0.0.1:2\", \"127.0.0.1:1\" )",
	    "upstream x: its endpoints stand in another order" },
	{ ROW_BIND, "\"127.0.0.1:8080\"",
	    "( \"127.0.0.1:8080\", \"[::1]:8080\" )",
	    "listener a: bind [::1]:8080 added" },
	{ ROW_BIND, "\"127.0.0.1:8080\"",
	    "{ address = \"127.0.0.1:8080\"; backlog = 7; }",
	    "listener a: bind[127.0.0.1:8080].backlog 4096 -> 7" },
	{ ROW_LISTENER, "", "limits = { request_rate = { rate = \"5/s\"; "
	    "burst = 2; }; };", "listener a: limits.request_rate off -> "
	    "{ rate = \"5/s\"; burst = 2; shadow = false; }" },
	{ ROW_LISTENER, "limits = { connections = 5; };",
	    "limits = { connections = 6; };",
	    "listener a: limits.connections.max 5 -> 6" },
	{ ROW_LISTENER, "allow = ( \"10.0.0.0/8\" );",
	    "allow = ( \"10.0.0.0/8\", \"::1\" );", "listener a: allow "
	    "( \"10.0.0.0/8\" ) -> ( \"10.0.0.0/8\", \"::1/128\" )" },
	{ ROW_ROUTES, "( { path = \"/a\"; upstream = \"x\"; }, { upstream = "
	    "\"x\"; } )", "( { path = \"/b\"; upstream = \"x\"; }, { upstream "
	    "= \"x\"; } )", "listener a: routes[0].path /a -> /b" },
	{ ROW_ROUTES, "( { path = \"/a\"; upstream = \"x\"; } )",
	    "( { path = \"/a\"; upstream = \"x\"; retry = \"all\"; } )",
	    "listener a: routes[0].retry safe -> all" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(pairs); i++)
		pair_holds(&pairs[i]);
}

#define ONE(name, at, to) "{ name = \"" name "\"; bind = \"127.0.0.1:" at \
	"\"; protocol = \"http\"; upstream = \"" to "\"; }"
#define UP(name) "{ name = \"" name "\"; endpoints = ( \"127.0.0.1:1\" ); }"

static void
listeners_and_upstreams_come_and_go(void **state)
{
	static const struct pair pair = { ROW_FILE,
	    "listeners = ( " ONE("a", "1", "x") ", " ONE("b", "2", "y") " );"
	    "upstreams = ( " UP("x") ", " UP("y") " );",
	    "listeners = ( " ONE("c", "3", "z") ", " ONE("a", "1", "x") " );"
	    "\nupstreams = ( " UP("x") ",\n" UP("z") " );",
	    "listener b removed (127.0.0.1:2, http)\n"
	    "listener c added (127.0.0.1:3, http)\n"
	    "upstream y removed (http, 1 endpoint)\n"
	    "upstream z added (http, 1 endpoint)" };
	struct conf *a = load(pair.was), *b = load(pair.now);
	struct diff d;

	(void)state;
	pair_holds(&pair);
	assert_int_equal(diff_make(&d, a, b), 0);
	assert_int_equal(d.n, 4);
	assert_string_equal(d.v[0].path, "listeners.b");
	assert_int_equal(d.v[0].how, DIFF_REMOVED);
	assert_int_equal(d.v[0].line, 0);
	assert_int_equal(d.v[1].kind, DIFF_LISTENER);
	assert_int_equal(d.v[1].line, 1);
	assert_string_equal(d.v[3].owner, "z");
	assert_int_equal(d.v[3].kind, DIFF_UPSTREAM);
	assert_int_equal(d.v[3].line, 3);
	assert_true(diff_has(&d, "upstreams.z"));
	assert_true(diff_has(&d, "upstreams"));
	assert_false(diff_has(&d, "upstreams.zz"));
	assert_false(diff_has(&d, "workers"));
	diff_fini(&d);
	conf_free(a);
	conf_free(b);
}

static void
parts_of_a_change_are_there(void **state)
{
	char *was = row_file(ROW_UPSTREAM, "pool = { max = 64; max_idle = 9; "
	    "max_pinned = 1; };");
	char *now = row_file(ROW_UPSTREAM, "pool = { max = 32; max_idle = 9; "
	    "max_pinned = 1; };");
	struct conf *a = load(was), *b = load(now);
	struct diff d;

	(void)state;
	assert_int_equal(diff_make(&d, a, b), 0);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.v[0].kind, DIFF_LIMIT);
	assert_int_equal(d.v[0].how, DIFF_CHANGED);
	assert_string_equal(d.v[0].owner, "x");
	assert_string_equal(d.v[0].name, "x");
	assert_string_equal(d.v[0].path, "upstreams.x.pool.max");
	assert_string_equal(d.v[0].from, "64");
	assert_string_equal(d.v[0].to, "32");
	assert_int_equal(d.v[0].line, 2);
	assert_int_equal(diff_add_fact(&d, DIFF_UPSTREAM, "x",
	    ": a file has changed", 2), 0);
	assert_string_equal(d.v[1].text, "upstream x: a file has changed");
	diff_fini(&d);
	conf_free(a);
	conf_free(b);
	free(was);
	free(now);
}

static void
secrets_of_files_are_not_shown(void **state)
{
	char *folder = temp_folder();
	char *one = put_text(folder, "one", "first\n");
	char *two = put_text(folder, "two", "second\n");
	char was[256], now[256];
	const struct pair pair = { ROW_UPSTREAM, was, now,
	    "upstream x: http.host changed (secret)" };
	const struct pair set = { ROW_UPSTREAM, was, "",
	    "upstream x: http.host changed (secret)" };

	(void)state;
	snprintf(was, sizeof(was), "http = { host = \"${file:%s}\"; };", one);
	snprintf(now, sizeof(now), "http = { host = \"${file:%s}\"; };", two);
	pair_holds(&pair);
	pair_holds(&set);
	drop_file(one);
	drop_file(two);
	remove(folder);
	free(folder);
}

static void
of_long_lists_the_part_that_differs_is_shown(void **state)
{
	char was[512] = "allow = ( ", now[512] = "allow = ( ", one[32];
	const struct pair pair = { ROW_LISTENER, was, now, "listener a: allow "
	    "( ... \"10.0.5.0/24\", ... ) -> ( ... \"10.9.9.0/24\", ... )" };

	(void)state;
	for (int i = 0; i < 10; i++) {
		snprintf(one, sizeof(one), "%s\"10.0.%d.0/24\"",
		    i > 0 ? ", " : "", i);
		strcat(was, one);
		if (i == 5)
			snprintf(one, sizeof(one), ", \"10.9.9.0/24\"");
		strcat(now, one);
	}
	strcat(was, " );");
	strcat(now, " );");
	pair_holds(&pair);
}

/* ------------------------------------------------------------- every row */

/* All groups are there, so that all rows are told. */
static const char full[] =
"listeners = ( { name = \"a\"; bind = { address = \"unix:/tmp/x\"; mode = "
"\"0600\"; owner = \"root\"; group = \"root\"; }; protocol = \"http\"; "
"routes = ( { path = \"/\"; upstream = \"x\"; } ); tls = { certificates = ( { certificate = \"a.pem\"; key = "
"\"b.pem\"; ocsp = \"c\"; } ); client_auth = \"required\"; client_ca = "
"\"ca.pem\"; }; limits = { connections = 5; connections_per_client = 5; "
"connection_rate = \"5/s\"; connection_rate_per_client = \"5/s\"; "
"request_rate = \"5/s\"; request_rate_per_client = \"5/s\"; "
"bandwidth_per_client = \"1MiB/s\"; }; } );\n"
"upstreams = ( { name = \"x\"; endpoints = ( { name = \"e\"; address = "
"\"127.0.0.1:1\"; } ); tls = { }; balance = \"key_hash\"; key_hash = { }; "
"retry = { }; health = { port = 5; }; outlier = { }; "
"limits = { request_rate = \"5/s\"; }; } );\n";

/* The field becomes another than it is. */
static void
alter(const struct conf_key *row, char *field)
{
	static char other[] = "other";
	static char *others[] = { other };
	static struct conf_header header = { other, other };

	switch (row->type) {
	case CONF_BOOL:
		*(bool *)field = !*(bool *)field;
		return;
	case CONF_ENUM:
		if (row->words == schema_modes)
			*(int *)field = *(int *)field == 1 ? 4 : 1;
		else
			*(int *)field = *(int *)field == 0;
		return;
	case CONF_STRING:
		*(char **)field = other;
		return;
	case CONF_FILE:
		*(struct conf_file *)field =
		    (struct conf_file){ other, other };
		return;
	case CONF_SHARE:
		*(double *)field += 0.125;
		return;
	case CONF_NAMES:
		*(struct conf_names *)field = (struct conf_names){ others, 1 };
		return;
	case CONF_HEADERS:
		*(struct conf_headers *)field =
		    (struct conf_headers){ &header, 1 };
		return;
	case CONF_NETS:
		*(struct conf_nets *)field = (struct conf_nets){
		    calloc(1, sizeof(struct addr_net)), 1 };
		return;
	case CONF_STATUSES:
		((struct conf_statuses *)field)->v[0].from++;
		return;
	case CONF_RECORDS:
		((struct conf_records *)field)->n = 0;
		return;
	case CONF_COUNT:
	case CONF_DURATION:
	case CONF_SIZE:
	case CONF_LIMIT:
	case CONF_RATE:
	case CONF_BANDWIDTH:
		*(int64_t *)field = *(int64_t *)field == 7 ? 8 : 7;
		return;
	case CONF_GROUP:
	case CONF_LIST:
		return;
	}
}

/* A key that goes, or comes, may take others with it: key_hash with balance. */
static void
is_reported(const struct conf *was, const struct conf *now,
    const struct conf_key *row, const char *section)
{
	struct diff d;
	size_t i;

	assert_int_equal(diff_make(&d, was, now), 0);
	for (i = 0; i < d.n; i++)
		if (strstr(d.v[i].path, row->name) != NULL &&
		    strstr(d.v[i].text, row->name) != NULL)
			break;
	if (i == d.n)
		fail_msg("%s.%s: not among %zu changes", section, row->name,
		    d.n);
	diff_fini(&d);
}

static size_t
size_of(enum conf_type type)
{
	switch (type) {
	case CONF_BOOL:
		return sizeof(bool);
	case CONF_ENUM:
		return sizeof(int);
	case CONF_STRING:
		return sizeof(char *);
	case CONF_STATUSES:
		return sizeof(struct conf_statuses);
	default:
		return sizeof(int64_t);
	}
}

/* All others begin with a pointer and a number. */
static bool
is_pair(enum conf_type type)
{
	return type == CONF_FILE || type == CONF_NAMES || type == CONF_HEADERS ||
	    type == CONF_NETS || type == CONF_RECORDS;
}

/* A row of a struct, altered in a second conf; what it was comes back, since
   the conf owns it. */
static void
row_counts(const struct conf *was, struct conf *now, const char *section,
    const struct conf_key *row, void *base)
{
	char before[sizeof(struct conf_statuses)];
	char *field = (char *)base + row->offset;
	size_t size = is_pair(row->type) ? sizeof(struct conf_nets) :
	    size_of(row->type);
	void *made;

	memcpy(before, field, size);
	alter(row, field);
	is_reported(was, now, row, section);
	made = row->type == CONF_NETS ? ((struct conf_nets *)field)->v : NULL;
	memcpy(field, before, size);
	free(made);
}

static void
rows_count(const struct conf *was, struct conf *now, const char *section,
    const struct conf_key *rows, void *base)
{
	for (; rows->name != NULL; rows++)
		if (rows->offset != BY_HAND)
			row_counts(was, now, section, rows, base);
}

/* What stands inside of the values of rows. */
static void
inner_rows_count(const struct conf *was, struct conf *now,
    const struct conf_key *rows, void *base)
{
	for (; rows->name != NULL; rows++) {
		char *field = (char *)base + rows->offset;

		if (rows->type == CONF_LIMIT || rows->type == CONF_RATE ||
		    rows->type == CONF_BANDWIDTH)
			rows_count(was, now, rows->name,
			    schema_limit_keys(rows), field);
		if (rows->type == CONF_RECORDS)
			rows_count(was, now, rows->name, rows->record,
			    ((struct conf_records *)field)->v);
	}
}

static void
no_row_of_the_schema_is_forgotten(void **state)
{
	struct conf *was = load(full), *now = load(full);
	const struct schema_section *s;
	void *base;

	(void)state;
	for (s = schema_sections; s->path != NULL; s++) {
		/* Of structs that are no more than words: below; of what stands
		   inside of a value: with that. */
		if (s->keys == schema_bind || s->keys == schema_route ||
		    s->keys == schema_endpoint || strstr(s->help, "in full") !=
		    NULL || s->keys == schema_certificate)
			continue;
		base = strncmp(s->path, "listeners", 9) == 0 ?
		    (void *)&now->listeners[0] :
		    strncmp(s->path, "upstreams", 9) == 0 ?
		    (void *)&now->upstreams[0] : (void *)now;
		rows_count(was, now, s->path, s->keys, base);
		inner_rows_count(was, now, s->keys, base);
	}
	rows_count(was, now, "http", fake_front_keys, now->listeners[0].own);
	rows_count(was, now, "http", fake_back_keys, now->upstreams[0].own);
	conf_free(was);
	conf_free(now);
}

/* Rows of what is only words in the file: where that is in the structs. */
static const struct {
	const struct conf_key *rows;
	const char *name;
	enum conf_type type;            /* CONF_ENUM: any int */
	size_t offset;
} words[] = {
	{ schema_bind, "mode", CONF_ENUM, offsetof(struct conf_bind, mode) },
	{ schema_bind, "owner", CONF_STRING,
	    offsetof(struct conf_bind, owner) },
	{ schema_bind, "group", CONF_STRING,
	    offsetof(struct conf_bind, group) },
	{ schema_bind, "backlog", CONF_ENUM,
	    offsetof(struct conf_bind, backlog) },
	{ schema_route, "host", CONF_STRING,
	    offsetof(struct conf_route, host) },
	{ schema_route, "path", CONF_STRING,
	    offsetof(struct conf_route, path) },
	{ schema_route, "sni", CONF_STRING, offsetof(struct conf_route, sni) },
	{ schema_route, "alpn", CONF_STRING,
	    offsetof(struct conf_route, alpn) },
	{ schema_route, "retry", CONF_ENUM,
	    offsetof(struct conf_route, retry) },
	{ schema_endpoint, "name", CONF_STRING,
	    offsetof(struct conf_endpoint, name) },
	{ schema_endpoint, "srv", CONF_STRING,
	    offsetof(struct conf_endpoint, srv) },
	{ schema_endpoint, "weight", CONF_ENUM,
	    offsetof(struct conf_endpoint, weight) },
	{ schema_endpoint, "max", CONF_COUNT,
	    offsetof(struct conf_endpoint, max) },
	{ schema_endpoint, "backup", CONF_BOOL,
	    offsetof(struct conf_endpoint, backup) },
};

/* Altered in the first of its kind, and put back. */
static void
word_counts(const struct conf *was, struct conf *now, size_t i)
{
	struct conf_key row = { .name = words[i].name, .type = words[i].type };
	void *base = words[i].rows == schema_bind ?
	    (void *)now->listeners[0].binds : words[i].rows == schema_route ?
	    (void *)now->listeners[0].routes :
	    (void *)now->upstreams[0].endpoints;
	struct diff d;

	row.offset = words[i].offset;
	if (strcmp(row.name, "name") != 0) {
		row_counts(was, now, "words", &row, base);
		return;
	}
	/* One with another name is another one. */
	((struct conf_endpoint *)base)->name += 1;
	assert_int_equal(diff_make(&d, was, now), 0);
	assert_int_equal(d.n, 2);
	diff_fini(&d);
	((struct conf_endpoint *)base)->name -= 1;
}

static void
no_word_of_the_schema_is_forgotten(void **state)
{
	static const struct conf_key *const sections[] = { schema_bind,
	    schema_route, schema_endpoint };
	struct conf *was = load(full), *now = load(full);
	const struct conf_key *row;
	size_t s, i;

	(void)state;
	for (s = 0; s < NELEMS(sections); s++)
		for (row = sections[s]; row->name != NULL; row++) {
			for (i = 0; i < NELEMS(words); i++)
				if (words[i].rows == sections[s] &&
				    strcmp(words[i].name, row->name) == 0)
					break;
			/* Two that are no values here have their case above. */
			if (i == NELEMS(words) &&
			    strcmp(row->name, "address") != 0 &&
			    strcmp(row->name, "upstream") != 0)
				fail_msg("%s has no row here", row->name);
			if (i < NELEMS(words))
				word_counts(was, now, i);
		}
	conf_free(was);
	conf_free(now);
}

/* What conf/ reads with code of its own: a file without and one with it. */
static const struct {
	const char *path, *was, *now;
} by_hand[] = {
	{ "admin.bind", "", "admin = { bind = \"127.0.0.1:1\"; };" },
	{ "admin.probe_bind", "", "admin = { probe_bind = \"127.0.0.1:1\"; };" },
	{ "admin.hosts", "", "admin = { hosts = ( \"h\" ); };" },
	{ "listeners[].name", "name = \"a\";", "name = \"b\";" },
	{ "listeners[].bind", "bind = \"127.0.0.1:1\";",
	    "bind = \"127.0.0.1:2\";" },
	{ "listeners[].protocol", "protocol = \"http\"; upstream = \"x\";",
	    "protocol = \"tcp\"; upstream = \"t\";" },
	{ "listeners[].upstream", "upstream = \"x\";", "upstream = \"y\";" },
	{ "listeners[].limits.client", "",
	    "limits = { client = \"header:X\"; };" },
	{ "upstreams[].name", "name = \"u\";", "name = \"v\";" },
	{ "upstreams[].protocol", "", "protocol = \"tcp\";" },
	{ "upstreams[].health.type", "health = { };",
	    "health = { type = \"tcp\"; };" },
};

/* The listener or upstream that a text is of, with what else it needs. */
static char *
file_with(const char *path, const char *text)
{
	bool l = strncmp(path, "listeners", 9) == 0;
	bool u = strncmp(path, "upstreams", 9) == 0;
	char *file;

	assert_true(asprintf(&file, "%s listeners = ( { %s %s %s %s %s }, "
	    ONE("x", "8081", "x") ", " ONE("y", "8082", "y") ", { name = "
	    "\"t\"; bind = \"127.0.0.1:8083\"; protocol = \"tcp\"; upstream = "
	    "\"t\"; } ); upstreams = ( " UP("x") ", " UP("y") ", "
	    UP("t") ", { %s %s %s endpoints = ( \"127.0.0.1:1\" ); } );",
	    l || u ? "" : text, l ? text : "",
	    l && strstr(text, "name") != NULL ? "" : "name = \"a\";",
	    l && strstr(text, "bind") != NULL ? "" :
	    "bind = \"127.0.0.1:8080\";",
	    l && strstr(text, "protocol") != NULL ? "" :
	    "protocol = \"http\";",
	    l && strstr(text, "upstream") != NULL ? "" :
	    "upstream = \"x\";", u ? text : "",
	    u && strstr(text, "name") != NULL ? "" : "name = \"u\";",
	    u && strstr(text, "protocol") != NULL ? "" :
	    "protocol = \"http\";") > 0);
	return file;
}

static void
what_is_read_by_hand_is_told_too(void **state)
{
	const struct schema_section *s;
	const struct conf_key *row;
	char path[128];
	size_t i;

	(void)state;
	for (s = schema_sections; s->path != NULL; s++)
		for (row = s->keys; row->name != NULL; row++) {
			if (row->offset != BY_HAND || row->type == CONF_GROUP ||
			    row->type == CONF_LIST)
				continue;
			snprintf(path, sizeof(path), "%s%s%s", s->path,
			    *s->path != '\0' ? "." : "", row->name);
			for (i = 0; i < NELEMS(by_hand); i++)
				if (strcmp(by_hand[i].path, path) == 0)
					break;
			if (i == NELEMS(by_hand))
				fail_msg("%s has no row here", path);
		}
	for (i = 0; i < NELEMS(by_hand); i++) {
		char *was = file_with(by_hand[i].path, by_hand[i].was);
		char *now = file_with(by_hand[i].path, by_hand[i].now);
		struct conf *a = load(was), *b = load(now);
		const char *key = strrchr(by_hand[i].path, '.') + 1;
		struct diff d;

		assert_int_equal(diff_make(&d, a, b), 0);
		if (d.n == 0)
			fail_msg("%s: nothing differs", by_hand[i].path);
		if (strcmp(key, "name") != 0 &&
		    strstr(d.v[0].text, key) == NULL)
			fail_msg("%s is told as %s", by_hand[i].path,
			    d.v[0].text);
		diff_fini(&d);
		conf_free(a);
		conf_free(b);
		free(was);
		free(now);
	}
}

/* A list may have megabytes, and what a reload changed is kept. */
static void
what_is_very_long_is_cut_between_characters(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < 2; shift++) {
		char *now = malloc(65536), *file, *none = row_file(ROW_TOP, "");
		size_t n = (size_t)sprintf(now, "admin = { hosts = ( \"%s",
		    shift == 0 ? "" : "x");
		struct conf *a = load(none), *b;
		struct diff d;

		while (n < 60000)
			n += (size_t)sprintf(now + n, "\u00e9");
		strcpy(now + n, "\" ); };");
		file = row_file(ROW_TOP, now);
		b = load(file);
		assert_int_equal(diff_make(&d, a, b), 0);
		assert_int_equal(d.n, 1);
		assert_true(strlen(d.v[0].to) <= 800);
		assert_true(strlen(d.v[0].text) <= DIFF_TEXT_MOST);
		assert_string_equal(d.v[0].to + strlen(d.v[0].to) - 6,
		    "\u00e9 ...");
		diff_fini(&d);
		conf_free(a);
		conf_free(b);
		free(now);
		free(file);
		free(none);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_said_in_words),
		cmocka_unit_test(listeners_and_upstreams_come_and_go),
		cmocka_unit_test(parts_of_a_change_are_there),
		cmocka_unit_test(secrets_of_files_are_not_shown),
		cmocka_unit_test(of_long_lists_the_part_that_differs_is_shown),
		cmocka_unit_test(what_is_very_long_is_cut_between_characters),
		cmocka_unit_test(no_row_of_the_schema_is_forgotten),
		cmocka_unit_test(no_word_of_the_schema_is_forgotten),
		cmocka_unit_test(what_is_read_by_hand_is_told_too)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
