/*
 * proxy/upgrade: an exchange and a reload are on the other side what they were
 * on this one, and what makes no sense is none.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/slow.h"
#include "proxy/upgrade/upgrade_past.h"
#include "proxy/upgrade/upgrade_slow.h"

#define NOW_NS (INT64_C(1000) * NS_PER_S)

/* A message as it arrives; its packet is to be freed. */
static void *
send_over(json_t *j, const char *raw, size_t raw_len, struct message *m)
{
	size_t len;
	void *packet = message_make(j, raw, raw_len, 0, &len);

	assert_non_null(packet);
	assert_int_equal(message_parse(packet, len, 0, m), PARSE_DONE);
	json_decref(j);
	return packet;
}

/* Static: so that between its members there is nothing. */
static const struct slow_entry an_entry = {
	.at_ns = NOW_NS - 7 * NS_PER_S, .total_ns = 11, .arrive_ns = 1,
	.pause_ns = 2, .queue_ns = 3, .connect_ns = 4, .tls_ns = 5,
	.upload_ns = 6, .first_ns = 7, .client_ns = 8, .idle_ns = 9,
	.transfer_ns = 10, .why = FAIL_QUEUE_TIMEOUT,
	.outcome = OUTCOME_FAILED, .waited_for = SLOW_WAIT_QUOTA,
	.status = 503, .hit = true, .reused = true, .came = true,
	.lasts = true, .retries = 2, .behind = 3, .open_then = 4,
	.client = { .family = AF_INET, .port = 80, .ip = { 10, 0, 0, 9 } },
	.pool = { 1, 2, 3, 4, 5, 6, 7, 8, 9, INT64_MAX, 11, 12, 13 },
	.last_error = "refused", .listener = "web", .upstream = "app",
	.endpoint = "a:1", .request = "GET /\xff", .id = "i", .trace = "t",
	.user = "u", .database = "d\xff", .said = "no"
};

static void
an_exchange_is_what_it_was(void **state)
{
	struct slow_entry got;
	struct message m;
	size_t raw_len;
	void *packet;
	char *raw;
	json_t *j;

	(void)state;
	j = slow_pack(&an_entry, NOW_NS, &raw, &raw_len);
	assert_non_null(j);
	packet = send_over(j, raw, raw_len, &m);
	assert_int_equal(slow_unpack(&m, NOW_NS + 5, &got), 0);
	got.at_ns -= 5;
	assert_memory_equal(&got, &an_entry, sizeof(got));
	message_fini(&m);
	free(packet);
	free(raw);
}

/* With one member other than it should be. */
static int
with(const char *name, json_t *value, size_t cut, struct slow_entry *got)
{
	struct message m;
	size_t raw_len;
	void *packet;
	char *raw;
	json_t *j;
	int is;

	j = slow_pack(&an_entry, NOW_NS, &raw, &raw_len);
	if (value != NULL)
		(void)json_object_set_new(j, name, value);
	else
		(void)json_object_del(j, name);
	packet = send_over(j, raw, raw_len - cut, &m);
	is = slow_unpack(&m, NOW_NS, got);
	message_fini(&m);
	free(packet);
	free(raw);
	return is;
}

static void
what_makes_no_sense_is_no_exchange(void **state)
{
	struct slow_entry got;

	(void)state;
	assert_int_equal(with("why", json_string("moon"), 0, &got), -1);
	assert_int_equal(with("why", NULL, 0, &got), -1);
	assert_int_equal(with("outcome", json_integer(1), 0, &got), -1);
	assert_int_equal(with("texts", NULL, 0, &got), -1);
	assert_int_equal(with("ago_ns", NULL, 1, &got), -1);
	/* Of another version. */
	assert_int_equal(with("waited_for", NULL, 0, &got), 0);
	assert_int_equal(got.waited_for, SLOW_WAIT_NONE);
	assert_int_equal(with("total_ns", json_integer(-1), 0, &got), 0);
	assert_int_equal(got.total_ns, 0);
	assert_int_equal(with("ago_ns", json_integer(-1), 0, &got), 0);
	assert_int_equal(got.at_ns, NOW_NS);
	assert_int_equal(with("client", json_string("moon"), 0, &got), 0);
	assert_int_equal(got.client.family, 0);
}

/* ---------------------------------------------------------------- the rings */

static unsigned
kept(const struct slow *slow, int64_t now_ns, const char *request)
{
	static struct slow_entry all[SLOW_MOST];
	unsigned n = slow_copy(slow, now_ns, all), i, found = 0;

	for (i = 0; i < n; i++)
		found += strcmp(all[i].request, request) == 0;
	return found;
}

static void
add(struct slow *slow, int64_t at_ns, int64_t total_ns, enum fail why,
    const char *request)
{
	struct slow_entry e = { .at_ns = at_ns, .total_ns = total_ns,
	    .why = why };

	strcpy(e.request, request);
	slow_add(slow, &e, NOW_NS);
}

static void
what_was_kept_is_kept_here_as_long(void **state)
{
	struct slow *slow = slow_new();
	int64_t span_ns = SLOW_SPAN_S * NS_PER_S;
	unsigned i;

	(void)state;
	assert_non_null(slow);
	for (i = 0; i < SLOW_SLOWEST + 3; i++)
		add(slow, NOW_NS - 1, 10 + i, FAIL_NONE, i < 3 ? "quick" :
		    "slow");
	add(slow, NOW_NS - 1, 9, FAIL_NONE, "quick");
	add(slow, NOW_NS - 3 * span_ns, 1000, FAIL_NONE, "long ago");
	add(slow, NOW_NS - 9 * span_ns, 1, FAIL_QUEUE_FULL, "failed");
	add(slow, NOW_NS - 1, 1, FAIL_CLIENT_GONE, "client's");
	/* It ended there when this one served already. */
	add(slow, NOW_NS, 1, FAIL_NONE, "since");
	assert_int_equal(kept(slow, NOW_NS, "slow"), SLOW_SLOWEST);
	assert_int_equal(kept(slow, NOW_NS, "quick"), 0);
	assert_int_equal(kept(slow, NOW_NS, "long ago"), 0);
	assert_int_equal(kept(slow, NOW_NS, "failed"), 1);
	assert_int_equal(kept(slow, NOW_NS, "client's"), 1);
	assert_int_equal(kept(slow, NOW_NS, "since"), 1);
	assert_int_equal(kept(slow, NOW_NS + span_ns, "slow"), 0);
	assert_int_equal(kept(slow, NOW_NS + span_ns, "since"), 1);
	free(slow);
}

/* -------------------------------------------------------------------- reloads */

static void
a_reload_is_what_it_was(void **state)
{
	char one[] = "one", odd[] = "t\xffo", error[] = "line 1\nline 2";
	char *texts[] = { one, odd };
	struct reload_entry e = { .end = RELOAD_REVERTED, .at_s = 1234,
	    .generation = 7, .texts = texts, .n_texts = 2, .left_out = 3,
	    .error = error }, got;
	struct message m;
	size_t raw_len;
	void *packet;
	char *raw;
	json_t *j;

	(void)state;
	j = past_pack_reload(&e, &raw, &raw_len);
	assert_non_null(j);
	packet = send_over(j, raw, raw_len, &m);
	assert_int_equal(past_unpack_reload(&m, &got), 0);
	assert_int_equal(got.end, RELOAD_REVERTED);
	assert_int_equal(got.at_s, 1234);
	assert_int_equal(got.generation, 7);
	assert_int_equal(got.n_texts, 2);
	assert_string_equal(got.texts[1], odd);
	assert_int_equal(got.left_out, 3);
	assert_string_equal(got.error, error);
	reload_entry_fini(&got);
	m.raw_len--;
	assert_int_equal(past_unpack_reload(&m, &got), -1);
	message_fini(&m);
	free(packet);
	free(raw);
}

/* Of what is too much for a message the rest is counted. */
static void
a_reload_that_is_too_large_is_cut(void **state)
{
	enum { TEXTS = 3, LONG = 30 * 1024 };
	char *texts[TEXTS], *error = calloc(1, 64 * 1024), *raw;
	struct reload_entry e = { .texts = texts, .n_texts = TEXTS,
	    .error = error }, got;
	struct message m;
	size_t raw_len, i;
	void *packet;
	json_t *j;

	(void)state;
	memset(error, 'e', 64 * 1024 - 1);
	for (i = 0; i < TEXTS; i++) {
		texts[i] = calloc(1, LONG + 1);
		memset(texts[i], 'x', LONG);
	}
	j = past_pack_reload(&e, &raw, &raw_len);
	assert_non_null(j);
	packet = send_over(j, raw, raw_len, &m);
	assert_int_equal(past_unpack_reload(&m, &got), 0);
	assert_int_equal(got.n_texts, 2);
	assert_int_equal(got.left_out, 1);
	assert_true(strlen(got.error) > 1000);
	reload_entry_fini(&got);
	message_fini(&m);
	free(packet);
	free(raw);
	for (i = 0; i < TEXTS; i++)
		free(texts[i]);
	free(error);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exchange_is_what_it_was),
		cmocka_unit_test(what_makes_no_sense_is_no_exchange),
		cmocka_unit_test(what_was_kept_is_kept_here_as_long),
		cmocka_unit_test(a_reload_is_what_it_was),
		cmocka_unit_test(a_reload_that_is_too_large_is_cut)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
