/*
 * conf/binds: addresses, modes and owners, collisions.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/conf/rows.h"

static const struct row rows[] = {
	{ ROW_BIND, "\"0.0.0.0:9901\"",
	    "" },
	{ ROW_BIND, "\"127.0.0.1:99999\"",
	    "weir.conf:1: listeners.a.bind: port 99999 is out of range, "
	    "expected 1 to 65535" },
	{ ROW_BIND, "\"127.0.0.1:0\"",
	    "weir.conf:1: listeners.a.bind: port 0 is out of range, "
	    "expected 1 to 65535" },
	{ ROW_BIND, "\"127.0.0.1:http\"",
	    "weir.conf:1: listeners.a.bind: port http is not a number, "
	    "expected 1 to 65535" },
	{ ROW_BIND, "\"127.0.0.1\"",
	    "weir.conf:1: listeners.a.bind: \"127.0.0.1\" is no address: "
	    "the port is missing, expected \"host:port\", \"[v6]:port\" or "
	    "\"unix:/path\"" },
	{ ROW_BIND, "\"::1:80\"",
	    "weir.conf:1: listeners.a.bind: \"::1:80\" is no address: an "
	    "IPv6 address needs brackets and a port, expected for instance "
	    "\"[::1]:80\"" },
	{ ROW_BIND, "\"localhost:80\"",
	    "weir.conf:1: listeners.a.bind: \"localhost:80\" has a host "
	    "name, expected an IP address, such as \"127.0.0.1:80\" or "
	    "\"0.0.0.0:80\"" },
	{ ROW_BIND, "\"*:80\"",
	    "weir.conf:1: listeners.a.bind: \"*:80\" is no address: the "
	    "host is missing, expected for instance \"127.0.0.1:80\", or "
	    "\"0.0.0.0:80\" or \"[::]:80\" for every address of this machine" },
	{ ROW_BIND, "\"unix:run/x\"",
	    "weir.conf:1: listeners.a.bind: \"unix:run/x\" is no address: "
	    "expected an absolute path of a socket after \"unix:\"" },
	{ ROW_BIND, "8080",
	    "weir.conf:1: listeners.a.bind: is a number, expected text in "
	    "quotes" },
	{ ROW_BIND, "( )",
	    "weir.conf:1: listeners.a.bind: is an empty list, expected at "
	    "least one address such as \"127.0.0.1:8080\"" },
	{ ROW_BIND, "( \"127.0.0.1:1\", \"127.0.0.1:x\" )",
	    "weir.conf:1: listeners.a.bind[1]: port x is not a number, "
	    "expected 1 to 65535" },
	{ ROW_BIND, "( \"127.0.0.1:1\", \"127.0.0.1:1\" )",
	    "weir.conf:1: listeners.a.bind[1]: \"127.0.0.1:1\" is taken by "
	    "listeners.a.bind[0] (line 1), expected another address" },
	{ ROW_BIND, "\"127.0.0.1:9901\"",
	    "weir.conf:1: listeners.a.bind: \"127.0.0.1:9901\" is taken by "
	    "admin.bind (its default), expected another address" },
	{ ROW_BIND, "{ }",
	    "weir.conf:1: listeners.a.bind.address: is missing, expected "
	    "one such as \"127.0.0.1:8080\"" },
	{ ROW_BIND, "{ address = \"localhost:80\"; }",
	    "weir.conf:1: listeners.a.bind.address: \"localhost:80\" has a "
	    "host name, expected an IP address, such as \"127.0.0.1:80\" or "
	    "\"0.0.0.0:80\"" },
	{ ROW_BIND, "{ address = \"127.0.0.1:99999\"; }",
	    "weir.conf:1: listeners.a.bind.address: port 99999 is out of "
	    "range, expected 1 to 65535" },
	{ ROW_BIND, "{ address = 5; }",
	    "weir.conf:1: listeners.a.bind.address: is a number, expected "
	    "text in quotes" },
	{ ROW_BIND,
	    "{ address = \"127.0.0.1:1\"; mode = \"0660\"; owner = "
	    "\"root\"; group = \"root\"; }",
	    "weir.conf:1: listeners.a.bind.mode: is for Unix sockets, "
	    "expected an address such as \"unix:/run/weir/web.sock\" with "
	    "it\n"
	    "weir.conf:1: listeners.a.bind.owner: is for Unix sockets, "
	    "expected an address such as \"unix:/run/weir/web.sock\" with "
	    "it\n"
	    "weir.conf:1: listeners.a.bind.group: is for Unix sockets, "
	    "expected an address such as \"unix:/run/weir/web.sock\" with it" },
	{ ROW_BIND, "{ address = \"unix:/x\"; mode = \"0999\"; }",
	    "weir.conf:1: listeners.a.bind.mode: \"0999\" is no file mode, "
	    "expected one such as \"0660\"" },
	{ ROW_BIND, "{ address = \"unix:/x\"; mode = 0660; }",
	    "weir.conf:1: listeners.a.bind.mode: is a number, expected text "
	    "in quotes" },
	{ ROW_BIND, "{ address = \"unix:/x\"; mode = \"7777\"; }",
	    "weir.conf:1: listeners.a.bind.mode: \"7777\" is no file mode, "
	    "expected one such as \"0660\"" },
	{ ROW_BIND, "{ address = \"unix:/x\"; owner = \"no-such-user\"; }",
	    "weir.conf:1: listeners.a.bind.owner: no user \"no-such-user\" "
	    "is known here, expected one that exists" },
	{ ROW_BIND, "{ address = \"unix:/x\"; group = \"no-such-group\"; }",
	    "weir.conf:1: listeners.a.bind.group: no group "
	    "\"no-such-group\" is known here, expected one that exists" },
	{ ROW_BIND, "{ address = \"unix:/x\"; backlog = 0; }",
	    "weir.conf:1: listeners.a.bind.backlog: 0 is out of range, "
	    "expected 1 to 65535" },
	{ ROW_BIND, "{ adress = \"unix:/x\"; }",
	    "weir.conf:1: listeners.a.bind: unknown key \"adress\", did you "
	    "mean \"address\"?\n"
	    "weir.conf:1: listeners.a.bind.address: is missing, expected "
	    "one such as \"127.0.0.1:8080\"" },
};

static void
bad_binds_are_told(void **state)
{
	(void)state;
	rows_hold(rows, NELEMS(rows));
}

static const struct row admin_rows[] = {
	{ ROW_TOP, "admin = \"127.0.0.1:1\";",
	    "weir.conf:1: admin: is a text, expected a group: { key = "
	    "value; ... }" },
	{ ROW_TOP, "admin = { bind = \"9901\"; };",
	    "weir.conf:1: admin.bind: \"9901\" is no address: the port is "
	    "missing, expected \"host:port\", \"[v6]:port\" or "
	    "\"unix:/path\"" },
	{ ROW_TOP, "admin = { bind = \"localhost:9901\"; };",
	    "weir.conf:1: admin.bind: \"localhost:9901\" has a host name, "
	    "expected an IP address, such as \"127.0.0.1:9901\" or "
	    "\"0.0.0.0:9901\"" },
	{ ROW_TOP, "admin = { bind = \"0.0.0.0:9901\"; };",
	    "weir.conf:1: admin.bind: others can reach this address, "
	    "expected token_file beside it, or an address such as "
	    "\"127.0.0.1:9901\"" },
	{ ROW_TOP, "admin = { bind = \"[::]:9901\"; };",
	    "weir.conf:1: admin.bind: others can reach this address, "
	    "expected token_file beside it, or an address such as "
	    "\"127.0.0.1:9901\"" },
	{ ROW_TOP,
	    "admin = { bind = ( \"127.0.0.1:1\", \"127.0.0.1:2\" ); };",
	    "weir.conf:1: admin.bind: is a list of 2, expected one address" },
	{ ROW_TOP, "admin = { bind = ( ); };",
	    "weir.conf:1: admin.bind: is an empty list, expected at least "
	    "one address such as \"127.0.0.1:8080\"" },
	{ ROW_TOP, "admin = { bind = \"127.0.0.1:8080\"; };",
	    "weir.conf:2: listeners.a.bind: \"127.0.0.1:8080\" is taken by "
	    "admin.bind (line 1), expected another address" },
	{ ROW_TOP, "admin = { probe_bind = \"127.0.0.1:9901\"; };",
	    "weir.conf:1: admin.probe_bind: \"127.0.0.1:9901\" is taken by "
	    "admin.bind (its default), expected another address" },
	{ ROW_TOP, "admin = { token_file = \"/nonexistent/token\"; };",
	    "weir.conf:1: admin.token_file: cannot read /nonexistent/token: "
	    "No such file or directory, expected a readable file of at most "
	    "1 MiB" },
	{ ROW_TOP, "admin = { token_file = \"/dev/null\"; };",
	    "weir.conf:1: admin.token_file: the file does not hold one "
	    "token, expected a line without blanks" },
	{ ROW_TOP, "admin = { token_file = \"/\"; };",
	    "weir.conf:1: admin.token_file: cannot read /: it is a folder, "
	    "expected a readable file of at most 1 MiB" },
	{ ROW_TOP, "admin = { hosts = { }; };",
	    "weir.conf:1: admin.hosts: is a group, expected a list of texts "
	    "such as ( \"a\", \"b\" )" },
	{ ROW_TOP, "admin = { hosts = ( 5 ); };",
	    "weir.conf:1: admin.hosts: is a number, expected text in quotes" },
	{ ROW_TOP, "admin = { token = \"x\"; };",
	    "weir.conf:1: admin: unknown key \"token\", expected one of "
	    "bind, probe_bind, token_file, hosts" },
};

static void
bad_admin_groups_are_told(void **state)
{
	(void)state;
	rows_hold(admin_rows, NELEMS(admin_rows));
}

static void
bind_text_is_an_address(void **state)
{
	struct conf *c = conf_of(ROW_BIND, "\"[::1]:8080\"");
	const struct conf_bind *b = &c->listeners[0].binds[0];
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(c->listeners[0].n_binds, 1);
	assert_string_equal(addr_print(&b->addr, text), "[::1]:8080");
	assert_int_equal(b->mode, -1);
	assert_int_equal(b->backlog, 4096);
	assert_null(b->owner);
	assert_int_equal(b->line, 1);
	conf_free(c);
}

static void
bind_lists_mix_texts_and_groups(void **state)
{
	struct conf *c = conf_of(ROW_BIND, "( \"127.0.0.1:1\", { address = "
	    "\"unix:/x/y\"; mode = \"0640\"; owner = \"root\"; group = "
	    "\"root\"; backlog = 5; }, \"0.0.0.0:1\" )");
	const struct conf_listener *l = &c->listeners[0];

	(void)state;
	assert_int_equal(l->n_binds, 3);
	assert_true(l->binds[1].text.is_unix);
	assert_string_equal(l->binds[1].addr.un.sun_path, "/x/y");
	assert_int_equal(l->binds[1].mode, 0640);
	assert_string_equal(l->binds[1].owner, "root");
	assert_string_equal(l->binds[1].group, "root");
	assert_int_equal(l->binds[1].backlog, 5);
	assert_int_equal(l->binds[2].text.port, 1);
	conf_free(c);
}

/* The kernel lets both be bound: the more specific wins. */
static void
wildcard_and_specific_address_do_not_collide(void **state)
{
	conf_free(conf_of(ROW_BIND, "( \"127.0.0.1:1\", \"0.0.0.0:1\", "
	    "\"[::]:1\", \"[::1]:1\", \"127.0.0.1:2\" )"));
	(void)state;
}

static void
admin_is_there_without_being_written(void **state)
{
	struct conf *c = conf_of(ROW_TOP, "");
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_string_equal(addr_print(&c->admin.bind->addr, text),
	    "127.0.0.1:9901");
	assert_null(c->admin.probe_bind);
	assert_null(c->admin.token);
	assert_int_equal(c->admin.n_hosts, 0);
	conf_free(c);
}

static void
admin_can_be_off(void **state)
{
	struct conf *c = conf_of(ROW_TOP, "admin = { bind = \"off\"; };");

	(void)state;
	assert_null(c->admin.bind);
	conf_free(c);
}

static void
admin_may_be_a_unix_socket(void **state)
{
	struct conf *c = conf_of(ROW_TOP, "admin = { bind = { address = "
	    "\"unix:/x\"; mode = \"600\"; }; probe_bind = \"0.0.0.0:9902\"; "
	    "hosts = \"weir\"; };");

	(void)state;
	assert_int_equal(c->admin.bind->mode, 0600);
	assert_int_equal(c->admin.probe_bind->text.port, 9902);
	assert_int_equal(c->admin.n_hosts, 1);
	assert_string_equal(c->admin.hosts[0], "weir");
	conf_free(c);
}

static void
public_admin_is_fine_with_a_token(void **state)
{
	char *folder = temp_folder(), *text;
	char *path = put_text(folder, "token", "t0k3n\n");
	struct conf *c;

	(void)state;
	assert_true(asprintf(&text, "admin = { bind = \"0.0.0.0:9901\"; "
	    "token_file = \"%s\"; };", path) > 0);
	c = conf_of(ROW_TOP, text);
	assert_string_equal(c->admin.token, "t0k3n");
	assert_string_equal(c->admin.token_file, path);
	conf_free(c);
	free(text);
	drop_file(path);
	drop_file(folder);
}

static void
token_is_one_word(void **state)
{
	char *folder = temp_folder(), *text, *errors, *file;
	char *path = put_text(folder, "token", "two words\n");

	(void)state;
	assert_true(asprintf(&text, "admin = { token_file = \"%s\"; };",
	    path) > 0);
	file = row_file(ROW_TOP, text);
	errors = errors_of("weir.conf", file);
	assert_string_equal(errors, "weir.conf:1: admin.token_file: the file "
	    "does not hold one token, expected a line without blanks");
	free(errors);
	free(file);
	free(text);
	drop_file(path);
	drop_file(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_binds_are_told),
		cmocka_unit_test(bad_admin_groups_are_told),
		cmocka_unit_test(bind_text_is_an_address),
		cmocka_unit_test(bind_lists_mix_texts_and_groups),
		cmocka_unit_test(wildcard_and_specific_address_do_not_collide),
		cmocka_unit_test(admin_is_there_without_being_written),
		cmocka_unit_test(admin_can_be_off),
		cmocka_unit_test(admin_may_be_a_unix_socket),
		cmocka_unit_test(public_admin_is_fine_with_a_token),
		cmocka_unit_test(token_is_one_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
