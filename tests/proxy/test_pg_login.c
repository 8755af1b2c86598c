/*
 * proto/postgres/login: each way to log in, with what the server says cut into
 * pieces of every size; and servers that lie, skip steps or never end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/proto/postgres/scram.h"
#include "proxy/proto/postgres/secret.h"
#include "proxy/proto/postgres/wire.h"

#define OK "R\0\0\0\x08\0\0\0\0"
#define CLEARTEXT "R\0\0\0\x08\0\0\0\3"
#define MD5 "R\0\0\0\x0c\0\0\0\5salt"
#define SASL "R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0"
#define KEY "K\0\0\0\x0c\0\0\x10\x01" "abcd"
#define READY "Z\0\0\0\5I"
#define ENCODING "S\0\0\0\x19" "client_encoding\0UTF8\0"
#define VERSION "S\0\0\0\x18" "server_version\0" "15.6"
#define NOTICE "N\0\0\0\x0eSINFO\0M?\0"
#define NEGOTIATE "v\0\0\0\x10\0\0\0\0\0\0\0\1opt"
#define WELCOME OK ENCODING KEY READY
/* With the NUL at the end, which the messages above leave to the literal. */
#define TEXT(literal) literal, sizeof(literal)
#define BYTES(literal) literal, sizeof(literal) - 1

static struct block_store store;
static struct pg_login_as as;
static struct pg_login login;
static struct pg_scram_server asking;
static struct buf in, out;
static size_t piece;                    /* what comes at a time */
static enum pg_login_got got;

static int
set_up(void **state)
{
	(void)state;
	block_store_init(&store);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	pg_login_fini(&login);
	buf_clear(&store, &in);
	buf_clear(&store, &out);
	block_store_fini(&store);
	return 0;
}

static void
begin(void)
{
	buf_clear(&store, &in);
	buf_clear(&store, &out);
	assert_int_equal(pg_login_start(&login, &as, &store, &out), 0);
	buf_clear(&store, &out);
	got = PG_LOGIN_MORE;
}

static void
says(const char *bytes, size_t len)
{
	size_t at = 0, n;

	while (got == PG_LOGIN_MORE && at < len) {
		n = piece > 0 && piece < len - at ? piece : len - at;
		assert_int_equal(buf_append(&store, &in, bytes + at, n), 0);
		at += n;
		got = pg_login_feed(&login, &as, &store, &in, &out);
	}
}

/* AuthenticationXXX with what is behind the number. */
static void
asks(uint32_t number, const char *rest, size_t len)
{
	char text[4096] = "R";

	pg_set_u32(text + 1, (uint32_t)len + 8);
	pg_set_u32(text + 5, number);
	memcpy(text + 9, rest, len);
	says(text, len + 9);
}

/* What the machine sent, which is one message 'p'; its body. */
static const char *
answered(size_t *len)
{
	static char body[4096];
	const char *bytes;

	assert_true(out.len >= 5);
	bytes = buf_flat(&store, &out, out.len);
	assert_int_equal(bytes[0], 'p');
	assert_int_equal(pg_u32(bytes + 1), out.len - 1);
	*len = out.len - 5;
	memcpy(body, bytes + 5, *len);
	buf_clear(&store, &out);
	return body;
}

static void
is_logged_in(void)
{
	assert_int_equal(got, PG_LOGIN_DONE);
	assert_int_equal(login.pid, 0x1001);
	assert_int_equal(login.key_len, 4);
	assert_memory_equal(login.key, "abcd", 4);
	assert_int_equal(login.params_len, 21);
	assert_memory_equal(login.params, "client_encoding\0UTF8", 21);
	assert_null(login.scram);
	assert_int_equal(in.len, 0);
}

static void
ends_bad(const char *why)
{
	assert_int_equal(got, PG_LOGIN_BAD);
	assert_string_equal(login.said, why);
	assert_string_equal(login.sqlstate, "");
}

/* It asks for what weir has not: nothing to blame the server for. */
static void
ends_unable(const char *why)
{
	assert_int_equal(got, PG_LOGIN_REFUSED);
	assert_string_equal(login.said, why);
	assert_string_equal(login.sqlstate, "28000");
}

/* ------------------------------------------------------------------- beginning */

static void
it_begins_with_who_and_where(void **state)
{
	static const char wanted[] = "\0\0\0\x36\0\3\0\0user\0joe\0database\0"
	    "shop\0application_name\0weir\0";
	struct pg_login_as who = { .user = "joe", .database = "shop",
	    .application_name = "weir" };
	char name[10001];

	(void)state;
	assert_int_equal(pg_login_start(&login, &who, &store, &out), 0);
	assert_int_equal(out.len, sizeof(wanted));
	assert_memory_equal(buf_flat(&store, &out, out.len), wanted,
	    sizeof(wanted));
	buf_clear(&store, &out);
	who.database = who.application_name = NULL;
	assert_int_equal(pg_login_start(&login, &who, &store, &out), 0);
	assert_int_equal(out.len, 18);
	buf_clear(&store, &out);
	memset(name, 'x', sizeof(name));
	name[10000] = '\0';
	who.user = name;
	assert_int_equal(pg_login_start(&login, &who, &store, &out), -1);
	assert_int_equal(out.len, 0);
}

static void
who_is_trusted_is_in(void **state)
{
	(void)state;
	as = (struct pg_login_as){ .user = "joe", .password = "unused" };
	for (piece = 1; piece <= sizeof(WELCOME); piece++) {
		begin();
		says(BYTES(WELCOME));
		is_logged_in();
		assert_int_equal(out.len, 0);
	}
}

static void
a_password_goes_in_clear_text_where_that_is_safe(void **state)
{
	size_t len;

	(void)state;
	as = (struct pg_login_as){ .user = "joe", .password = "pencil",
	    .secure = true };
	for (piece = 1; piece <= sizeof(WELCOME); piece++) {
		begin();
		says(BYTES(CLEARTEXT));
		assert_memory_equal(answered(&len), "pencil", 7);
		assert_int_equal(len, 7);
		says(BYTES(WELCOME));
		is_logged_in();
	}
	as.secure = false;
	begin();
	says(BYTES(CLEARTEXT));
	ends_unable("weir: the server asks for the password in clear text, "
	    "over a connection that others can listen to");
	assert_int_equal(out.len, 0);
}

static void
a_password_or_its_hash_answers_md5(void **state)
{
	char stored[PG_MD5_TEXT + 1];
	size_t len;

	(void)state;
	assert_int_equal(pg_md5_make("pencil", "joe", stored), 0);
	for (piece = 1; piece <= sizeof(WELCOME); piece++) {
		char first[PG_MD5_TEXT + 1];

		as = (struct pg_login_as){ .user = "joe",
		    .password = "pencil" };
		begin();
		says(BYTES(MD5));
		memcpy(first, answered(&len), sizeof(first));
		assert_int_equal(len, sizeof(first));
		says(BYTES(WELCOME));
		is_logged_in();
		as = (struct pg_login_as){ .user = "joe", .md5 = stored };
		begin();
		says(BYTES(MD5));
		assert_memory_equal(answered(&len), first, sizeof(first));
	}
}

/* ----------------------------------------------------------------------- SCRAM */

static struct pg_scram_secret secret;

/* Up to where the server has our proof; its signature to be is at text. */
static size_t
prove(char text[1500])
{
	const char *body;
	size_t len, n;

	says(TEXT(SASL));
	body = answered(&len);
	assert_string_equal(body, "SCRAM-SHA-256");
	assert_int_equal(pg_u32(body + 14), len - 18);
	assert_int_equal(pg_scram_server_first(&asking, &secret, body + 18,
	    len - 18, NULL, text, 1500, &n), PG_SCRAM_OK);
	asks(11, text, n);
	body = answered(&len);
	assert_int_equal(pg_scram_server_final(&asking, body, len, text, 1500,
	    &n), PG_SCRAM_OK);
	return n;
}

static void
make_secret(void)
{
	const unsigned char salt[] = "salt";

	assert_int_equal(pg_scram_secret_make("pencil", salt, 4, 8, &secret),
	    0);
	as = (struct pg_login_as){ .user = "joe", .password = "pencil" };
}

static void
scram_lets_in_with_password_memo_or_keys(void **state)
{
	struct pg_scram_memo memo = { 0 };
	struct pg_scram_keys keys;
	char text[1500];
	size_t n;

	(void)state;
	make_secret();
	for (piece = 1; piece <= 100; piece++) {
		n = piece % 3;
		as.memo = n == 1 ? &memo : NULL;
		as.keys = n == 2 ? &keys : NULL;
		begin();
		n = prove(text);
		asks(12, text, n);
		says(BYTES(WELCOME));
		is_logged_in();
		keys = asking.keys;
	}
	assert_int_equal(memo.iterations, 8);
}

static void
a_proof_is_bound_where_both_ends_can(void **state)
{
	static const char both[] = "R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0"
	    "SCRAM-SHA-256\0", plus[] = "R\0\0\0\x1c\0\0\0\x0a"
	    "SCRAM-SHA-256-PLUS\0";
	const char *body;
	size_t len;

	(void)state;
	make_secret();
	begin();
	says(both, sizeof(both));
	body = answered(&len);
	assert_string_equal(body, "SCRAM-SHA-256");
	assert_memory_equal(body + 18, "n,,n=,", 6);
	begin();
	says(plus, sizeof(plus));
	ends_unable("weir: the server asks for a method of SASL other than "
	    "SCRAM-SHA-256");
	as.binding.len = 32;
	begin();
	says(both, sizeof(both));
	body = answered(&len);
	assert_string_equal(body, "SCRAM-SHA-256-PLUS");
	assert_memory_equal(body + 23, "p=tls-server-end-point,,n=,", 27);
	begin();
	says(TEXT(SASL));
	body = answered(&len);
	assert_string_equal(body, "SCRAM-SHA-256");
	assert_memory_equal(body + 18, "y,,n=,", 6);
}

static void
a_server_without_proof_is_not_believed(void **state)
{
	static const char *const why =
	    "the server does not prove that it knows the password";
	char text[1500];
	size_t n;

	(void)state;
	make_secret();
	begin();
	says(TEXT(SASL));
	says(BYTES(WELCOME));
	ends_bad(why);
	begin();
	prove(text);
	says(BYTES(WELCOME));
	ends_bad(why);
	begin();
	n = prove(text);
	text[5] = text[5] == 'A' ? 'B' : 'A';
	asks(12, text, n);
	ends_bad("the server does not know the password");
	/* Nor may it then have the password in another way. */
	begin();
	prove(text);
	as.secure = true;
	says(BYTES(CLEARTEXT));
	ends_bad(why);
	begin();
	n = prove(text);
	asks(12, text, n);
	says(BYTES(MD5));
	ends_bad("the server asks out of order");
	begin();
	n = prove(text);
	asks(12, text, n);
	asks(12, text, n);
	ends_bad("the server asks out of order");
}

static void
messages_of_scram_come_in_order(void **state)
{
	(void)state;
	make_secret();
	begin();
	asks(11, "r=x,s=QUFB,i=1", 14);
	ends_bad("the server asks out of order");
	begin();
	asks(12, "v=", 2);
	ends_bad("the server asks out of order");
	begin();
	says(TEXT(SASL));
	asks(12, "v=", 2);
	ends_bad("the server does not prove that it knows the password");
	begin();
	says(TEXT(SASL));
	says(TEXT(SASL));
	ends_bad("the server does not prove that it knows the password");
	begin();
	says(TEXT(SASL));
	asks(11, "r=x,s=QUFB,i=1", 14);
	ends_bad("the server's nonce does not go on from ours");
}

static void
methods_are_chosen_from_a_whole_list(void **state)
{
	static const struct {
		const char *names;
		size_t len;
		const char *why;        /* NULL: taken */
	} lists[] = {
		{ TEXT("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0"), NULL },
		{ TEXT("SCRAM-SHA-256\0OAUTHBEARER\0"), NULL },
		{ TEXT("SCRAM-SHA-256-PLUS\0"), "weir: the server asks for a "
		    "method of SASL other than SCRAM-SHA-256" },
		{ TEXT("SCRAM-SHA-256"), "the server sent a malformed message "
		    "'R'" },
		{ BYTES("SCRAM-SHA-256"), "the server sent a malformed message "
		    "'R'" },
		{ TEXT("SCRAM-SHA-256\0\0"), "the server sent a malformed "
		    "message 'R'" },
		{ TEXT(""), "weir: the server asks for a method of SASL other "
		    "than SCRAM-SHA-256" },
		{ BYTES(""), "the server sent a malformed message 'R'" }
	};
	size_t i;

	(void)state;
	make_secret();
	for (i = 0; i < NELEMS(lists); i++) {
		begin();
		asks(10, lists[i].names, lists[i].len);
		if (lists[i].why == NULL)
			assert_int_equal(got, PG_LOGIN_MORE);
		else if (memcmp(lists[i].why, "weir: ", 6) == 0)
			ends_unable(lists[i].why);
		else
			ends_bad(lists[i].why);
	}
}

static void
without_a_password_nothing_is_sent(void **state)
{
	(void)state;
	as = (struct pg_login_as){ .user = "joe", .secure = true };
	begin();
	says(BYTES(CLEARTEXT));
	ends_unable("weir: the server asks for a password, and there is none");
	begin();
	says(BYTES(MD5));
	ends_unable("weir: the server asks for a password by MD5, and there is "
	    "none");
	begin();
	says(TEXT(SASL));
	ends_unable("weir: the server asks for a password by SCRAM, and there "
	    "is none");
	assert_int_equal(out.len, 0);
}

static void
other_ways_to_log_in_are_not_known(void **state)
{
	(void)state;
	begin();
	says(BYTES("R\0\0\0\x08\0\0\0\7"));
	ends_unable("weir: the server asks for a way to log in that weir does "
	    "not have (7)");
	begin();
	says(BYTES("R\0\0\0\x08\xff\xff\xff\xff"));
	ends_unable("weir: the server asks for a way to log in that weir does "
	    "not have (4294967295)");
}

/* -------------------------------------------------------- what else it may say */

static void
what_stands_behind_is_left(void **state)
{
	(void)state;
	as = (struct pg_login_as){ .user = "joe" };
	piece = 0;
	begin();
	says(BYTES(WELCOME "S\0\0"));
	assert_int_equal(got, PG_LOGIN_DONE);
	assert_int_equal(in.len, 3);
	assert_memory_equal(buf_flat(&store, &in, 3), "S\0\0", 3);
	pg_login_forget(&login);
	assert_null(login.params);
	assert_int_equal(login.params_len, 0);
	assert_int_equal(login.key_len, 4);
	got = pg_login_feed(&login, &as, &store, &in, &out);
	ends_bad("the login is over");
}

static void
notices_and_versions_are_passed_over(void **state)
{
	(void)state;
	for (piece = 1; piece < 40; piece++) {
		as = (struct pg_login_as){ .user = "joe" };
		begin();
		says(TEXT(NEGOTIATE));
		says(TEXT(NOTICE));
		says(BYTES(OK));
		says(TEXT(NOTICE));
		says(TEXT(VERSION));
		says(BYTES(READY));
		assert_int_equal(got, PG_LOGIN_DONE);
		assert_int_equal(login.key_len, 0);
	}
}

static void
cancel_keys_may_be_long(void **state)
{
	char text[5 + 4 + 257] = "K";
	static const struct {
		uint32_t len;
		enum pg_login_got got;
	} keys[] = {
		{ 4, PG_LOGIN_MORE }, { 32, PG_LOGIN_MORE },
		{ 256, PG_LOGIN_MORE }, { 257, PG_LOGIN_BAD },
		{ 3, PG_LOGIN_BAD }, { 0, PG_LOGIN_BAD }
	};
	size_t i;

	(void)state;
	as = (struct pg_login_as){ .user = "joe" };
	for (i = 0; i < NELEMS(keys); i++) {
		begin();
		says(BYTES(OK));
		pg_set_u32(text + 1, 8 + keys[i].len);
		says(text, 9 + keys[i].len);
		assert_int_equal(got, keys[i].got);
	}
	begin();
	says(BYTES(OK KEY KEY));
	ends_bad("the server sent a malformed message 'K'");
}

static void
refusals_are_in_the_servers_words(void **state)
{
	static const char no[] = "E\0\0\0\x2eSFATAL\0VFATAL\0C28P01\0"
	    "Mwrong\x1b password\0R?\0";
	char text[5 + 2 + 1 + 600] = "E", wanted[256];

	(void)state;
	as = (struct pg_login_as){ .user = "joe", .password = "pencil" };
	for (piece = 1; piece <= sizeof(no); piece++) {
		begin();
		says(no, sizeof(no));
		assert_int_equal(got, PG_LOGIN_REFUSED);
		assert_string_equal(login.sqlstate, "28P01");
		assert_string_equal(login.said, "wrong  password");
		begin();
		says(TEXT(SASL));
		says(no, sizeof(no));
		assert_int_equal(got, PG_LOGIN_REFUSED);
		assert_null(login.scram);
		begin();
		says(BYTES(OK));
		says(no, sizeof(no));
		assert_int_equal(got, PG_LOGIN_REFUSED);
	}
	/* Cut where a character begins, and without a code. */
	pg_set_u32(text + 1, sizeof(text) - 1);
	text[5] = 'M';
	memset(text + 6, 'x', 254);
	for (size_t i = 260; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	begin();
	says(text, sizeof(text));
	memset(wanted, 'x', 254);
	wanted[254] = '\0';
	assert_int_equal(got, PG_LOGIN_REFUSED);
	assert_string_equal(login.said, wanted);
	assert_string_equal(login.sqlstate, "XX000");
}

/* ---------------------------------------------------------- servers that are not */

static void
lies_are_found_out(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *why;
	} lies[] = {
		{ BYTES("HTTP/1.1 400 Bad Request\r\n"),
		  "the answer is not PostgreSQL's" },
		{ BYTES("+OK\r\n"), "the answer is not PostgreSQL's" },
		{ BYTES("\x15\0\0\0\4"), "the answer is not PostgreSQL's" },
		{ BYTES("R\0\0\0\0"), "the answer is not PostgreSQL's" },
		{ BYTES("R\0\0\0\3"), "the answer is not PostgreSQL's" },
		{ BYTES("R\x80\0\0\0"), "the answer is not PostgreSQL's" },
		{ BYTES("R\xff\xff\xff\xff"), "the answer is not PostgreSQL's" },
		{ BYTES("R\0\1\0\1"), "the answer is too long for "
		    "PostgreSQL's" },
		{ BYTES("R\0\0\0\4"), "the server sent a malformed message "
		    "'R'" },
		{ BYTES("R\0\0\0\7\0\0\0"), "the server sent a malformed "
		    "message 'R'" },
		{ BYTES("R\0\0\0\x09\0\0\0\0x"), "the server sent a malformed "
		    "message 'R'" },
		{ BYTES("R\0\0\0\x09\0\0\0\3x"), "the server sent a malformed "
		    "message 'R'" },
		{ BYTES("R\0\0\0\x0b\0\0\0\5sal"), "the server sent a "
		    "malformed message 'R'" },
		{ BYTES(READY), "the server sent a message 'Z' while it was "
		    "logged in to" },
		{ BYTES(KEY), "the server sent a message 'K' while it was "
		    "logged in to" },
		{ BYTES(ENCODING), "the server sent a message 'S' while it was "
		    "logged in to" },
		{ BYTES(OK OK), "the server sent a message 'R' while it was "
		    "logged in to" },
		{ BYTES(OK CLEARTEXT), "the server sent a message 'R' while it "
		    "was logged in to" },
		{ BYTES(CLEARTEXT CLEARTEXT), "the server asks out of order" },
		{ BYTES(MD5 CLEARTEXT), "the server asks out of order" },
		{ BYTES(OK "D\0\0\0\4"), "the server sent a message 'D' while "
		    "it was logged in to" },
		{ BYTES(OK "Z\0\0\0\5T"), "the server sent a malformed message "
		    "'Z'" },
		{ BYTES(OK "Z\0\0\0\4"), "the server sent a malformed message "
		    "'Z'" },
		{ BYTES(OK "Z\0\0\0\6II"), "the server sent a malformed "
		    "message 'Z'" },
		{ BYTES(OK "S\0\0\0\4"), "the server sent a malformed message "
		    "'S'" },
		{ BYTES(OK "S\0\0\0\6ab"), "the server sent a malformed "
		    "message 'S'" },
		{ BYTES(OK "S\0\0\0\7a\0b"), "the server sent a malformed "
		    "message 'S'" },
		{ BYTES(OK "S\0\0\0\7\0b\0"), "the server sent a malformed "
		    "message 'S'" },
		{ BYTES(OK "S\0\0\0\x0a" "a\0b\0c\0"), "the server sent a "
		    "malformed message 'S'" },
		{ BYTES("N\0\0\0\5S"), "the server sent a malformed message "
		    "'N'" },
		{ BYTES("E\0\0\0\4"), "the server sent a malformed message "
		    "'E'" },
		{ BYTES("E\0\0\0\6Mx"), "the server sent a malformed message "
		    "'E'" },
		{ BYTES("v\0\0\0\x0b\0\0\0\0\0\0\0"), "the server sent a "
		    "malformed message 'v'" },
		{ BYTES("v\0\0\0\x0c\0\0\0\0\xff\xff\xff\xff"), "the server "
		    "sent a malformed message 'v'" },
		{ BYTES("v\0\0\0\x0d\0\0\0\0\0\0\0\0x"), "the server sent a "
		    "malformed message 'v'" },
		{ BYTES(CLEARTEXT NEGOTIATE "\0"), "the server sent a message "
		    "'v' while it was logged in to" }
	};
	size_t i;

	(void)state;
	as = (struct pg_login_as){ .user = "joe", .password = "pencil",
	    .secure = true };
	for (i = 0; i < NELEMS(lies); i++)
		for (piece = 0; piece <= lies[i].len; piece++) {
			begin();
			says(lies[i].text, lies[i].len);
			if (got != PG_LOGIN_BAD)
				fail_msg("lie %zu is taken", i);
			ends_bad(lies[i].why);
		}
}

static void
a_server_that_never_ends_is_ended(void **state)
{
	char text[20000] = "S";
	unsigned i;

	(void)state;
	as = (struct pg_login_as){ .user = "joe" };
	piece = 0;
	pg_set_u32(text + 1, sizeof(text) - 1);
	memset(text + 5, 'x', sizeof(text) - 5);
	text[10] = text[sizeof(text) - 1] = '\0';
	begin();
	says(BYTES(OK));
	for (i = 0; i < 4 && got == PG_LOGIN_MORE; i++)
		says(text, sizeof(text));
	ends_bad("the server has too many parameters");
	assert_true(login.params_len <= PG_LOGIN_PARAMS_MOST);
	text[0] = 'N';
	text[sizeof(text) - 2] = '\0';
	text[10] = 'x';
	begin();
	for (i = 0; i < 30 && got == PG_LOGIN_MORE; i++)
		says(text, sizeof(text));
	ends_bad("the answer is too long for PostgreSQL's");
	assert_int_equal(i, PG_LOGIN_MOST / sizeof(text) + 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_begins_with_who_and_where),
		TEST(who_is_trusted_is_in),
		TEST(a_password_goes_in_clear_text_where_that_is_safe),
		TEST(a_password_or_its_hash_answers_md5),
		TEST(scram_lets_in_with_password_memo_or_keys),
		TEST(a_proof_is_bound_where_both_ends_can),
		TEST(a_server_without_proof_is_not_believed),
		TEST(messages_of_scram_come_in_order),
		TEST(methods_are_chosen_from_a_whole_list),
		TEST(without_a_password_nothing_is_sent),
		TEST(other_ways_to_log_in_are_not_known),
		TEST(what_stands_behind_is_left),
		TEST(notices_and_versions_are_passed_over),
		TEST(cancel_keys_may_be_long),
		TEST(refusals_are_in_the_servers_words),
		TEST(lies_are_found_out),
		TEST(a_server_that_never_ends_is_ended)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
