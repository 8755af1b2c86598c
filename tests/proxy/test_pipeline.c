/*
 * proxy/pipeline and pipe, with a protocol of lines on a whole lane: a request
 * is a line, and so is a reply.
 *
 *	quiet ...	is not answered
 *	two ...		is answered by two lines
 *	pin, unpin	has a connection of its own from then on, until then
 *	each A B ...	is asked as A and as B, and answered as "A'+B'"
 *
 * A server's line that begins with '!' is no reply; one with '?' is nonsense.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/proto.h"
#include "tests/support/lane_scene.h"

/* --------------------------------------------------------------- of upconns */

struct line_upconn {
	struct pipe pipe;
	char first;                     /* of the reply that is being read */
	bool begun;
};

static enum parse
line_feed(struct upconn *u, struct owed *o, const char *bytes, size_t len,
    size_t *used)
{
	struct line_upconn *lu = upconn_state_of(u);
	const char *end = memchr(bytes, '\n', len);

	(void)o;
	if (!lu->begun)
		lu->first = bytes[0];
	lu->begun = end == NULL;
	*used = end != NULL ? (size_t)(end + 1 - bytes) : len;
	if (lu->first == '?')
		return PARSE_BAD;
	return end != NULL ? PARSE_DONE : PARSE_MORE;
}

static bool
is_push(struct upconn *u)
{
	return ((struct line_upconn *)upconn_state_of(u))->first == '!';
}

static enum pipeline_aim
line_aim(struct upconn *u, struct owed *o)
{
	if (o == NULL || is_push(u))
		return pipe_of(u)->pinned != NULL ? PIPELINE_ASIDE :
		    PIPELINE_DROP;
	return PIPELINE_REPLY;
}

enum { TAG_NONE, TAG_UNPIN };

static bool
line_whole(struct upconn *u, struct owed *o)
{
	if (o == NULL || is_push(u))
		return false;
	if (o->tag == TAG_UNPIN && pipe_of(u)->pinned != NULL)
		pipeline_unpin(pipe_of(u)->pinned);
	return true;
}

static bool
line_waits(const struct exchange *x)
{
	(void)x;
	return false;
}

static int
line_join(struct exchange *x)
{
	struct block_store *store = exchange_blocks(x);
	const struct list *parts = &piped_of(x)->parts, *l;

	for (l = parts->next; l != parts; l = l->next) {
		struct exchange *part =
		    container_of(l, struct exchange, link);
		const char *text = buf_flat(store, &part->down,
		    part->down.len);

		if (text == NULL || buf_append(store, &x->down, text,
		    part->down.len - 1) < 0 || buf_append(store, &x->down,
		    l->next == parts ? "\n" : "+", 1) < 0)
			return -1;
	}
	return 0;
}

static const struct pipeline_ops line_pipeline = {
	.feed = line_feed,
	.aim = line_aim,
	.whole = line_whole,
	.waits = line_waits,
	.join = line_join
};

static bool
line_greet(struct upconn *u)
{
	pipeline_open(u, &line_pipeline);
	return true;
}

static const char *const line_pins[] = { "asked", NULL };

static const struct peer_ops line_peer = {
	.state_size = sizeof(struct line_upconn),
	.pins = line_pins,
	.greet = line_greet,
	.bytes = pipeline_input,
	.room = pipeline_room,
	.fini = pipeline_fini
};

/* ------------------------------------------------------------- of exchanges */

struct line_exchange {
	struct piped piped;
	uint32_t replies;
	bool pins, unpins;
};

static bool
begins(const char *line, const char *word)
{
	return strncmp(line, word, strlen(word)) == 0;
}

/* Its parts, as the words of it say. */
static int
split(struct exchange *x, char *line)
{
	struct exchange *parts[8];
	unsigned n = 0, i;
	char *word, *rest;

	for (word = strtok_r(line + 5, " \n", &rest); word != NULL;
	    word = strtok_r(NULL, " \n", &rest)) {
		struct exchange *part = pipeline_part(x, &line_pipeline);

		if (part == NULL || buf_append(exchange_blocks(x), &part->up,
		    word, strlen(word)) < 0 || buf_append(exchange_blocks(x),
		    &part->up, "\n", 1) < 0)
			return -1;
		((struct line_exchange *)exchange_state(part))->replies = 1;
		parts[n++] = part;
	}
	for (i = 0; i < n; i++)
		exchange_route(parts[i], x->policy->upstream);
	return 0;
}

static bool
take(struct session *s)
{
	struct line_exchange *lx;
	struct exchange *x;
	const char *bytes, *end;
	char line[256];
	size_t len;

	if (!pipeline_may_take(s))
		return false;
	bytes = buf_flat(&s->conn.w->blocks, &s->conn.in, s->conn.in.len);
	end = s->conn.in.len > 0 ? memchr(bytes, '\n', s->conn.in.len) : NULL;
	if (end == NULL)
		return false;
	len = (size_t)(end + 1 - bytes);
	assert_true(len < sizeof(line));
	memcpy(line, bytes, len);
	line[len] = '\0';
	if (begins(line, "pin") && !pipeline_may_promote(s))
		return false;
	x = pipeline_begin(s);
	assert_non_null(x);
	lx = exchange_state(x);
	lx->replies = begins(line, "quiet") ? 0 : begins(line, "two") ? 2 : 1;
	lx->pins = begins(line, "pin");
	lx->unpins = begins(line, "unpin");
	if (begins(line, "each ")) {
		buf_drop(&s->conn.w->blocks, &s->conn.in, len);
		assert_int_equal(split(x, line), 0);
		return true;
	}
	lx->piped.size = len;
	exchange_route(x, x->policy->upstream);
	return true;
}

static void
line_bytes(struct session *s)
{
	pipeline_settle(s);
	while (!s->closed && take(s))
		;
	if (s->closed)
		return;
	if (s->conn.eof || (s->leaving && list_empty(&s->exchanges)))
		session_close(s);
}

static void
line_leased(struct session *s, struct exchange *x)
{
	(void)x;
	session_bytes(s);
}

static bool
line_fail_in_turn(struct session *s, struct exchange *x, enum fail why)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "error %s\n",
	    fail_rows[why].name);

	return pipeline_fail(s, x, text, (size_t)n);
}

static void
line_fail(struct session *s, struct exchange *x, enum fail why)
{
	(void)x, (void)why;
	session_reset(s);
}

static const struct front_ops line_front = {
	.open = pipeline_watch,
	.bytes = line_bytes,
	.leased = line_leased,
	.drained = pipeline_drained,
	.fail = line_fail,
	.fail_in_turn = line_fail_in_turn,
	.late = pipeline_session_late
};

static bool
line_alone(const struct exchange *x, bool *lasts)
{
	const struct line_exchange *lx = exchange_state(x);

	return *lasts = lx->pins;
}

static void
line_start(struct upconn *u, struct exchange *x)
{
	struct line_exchange *lx = exchange_state(x);

	if (lx->replies > 0)
		assert_int_equal(pipeline_owe(u, x, lx->replies,
		    lx->unpins ? TAG_UNPIN : TAG_NONE), 0);
	assert_int_equal(pipeline_send(u, x), 0);
	if (lx->pins)
		assert_int_equal(pipeline_pin(x->s, u, 0), 0);
	if (lx->replies == 0)
		pipeline_answer(x);
}

static const struct back_ops line_back = {
	.alone = line_alone,
	.with = pipeline_with,
	.start = line_start,
	.late = pipeline_late,
	.drop = pipeline_drop
};

static const struct proto line_proto = {
	.conf = {
		.name = "line",
		.spans = CONF_SPAN_OWED,
		.default_mode = "shared"
	},
	.family = FAMILY_REDIS,
	.front = &line_front,
	.back = &line_back,
	.peer = &line_peer,
	.session_size = sizeof(struct pipeline),
	.session_fini = pipeline_unpin,
	.exchange_size = sizeof(struct line_exchange),
	.exchange_zeroed = sizeof(struct line_exchange),
	.exchange_fini = pipeline_exchange_fini
};

/* ------------------------------------------------------------------- the cases */

static struct lane_scene s;

#define POOL "pool = { max = 4; min_idle = 0; }; "

static void
begin(void)
{
	lane_scene_begin_as(&s, &line_proto, "",
	    POOL "timeouts = { response = \"1s\"; stall = \"2s\"; };");
}

/* Those who wait are not told of a time-out before. */
static void
begin_patient(void)
{
	lane_scene_begin_as(&s, &line_proto, "",
	    POOL "timeouts = { response = \"9s\"; stall = \"2s\"; };");
}

static int
client(void)
{
	return lane_scene_client(&s, "127.0.0.1");
}

static void
hears(int fd, const char *want)
{
	const char *got = lane_scene_hear(fd);

	if (got == NULL || strcmp(got, want) != 0)
		fail_msg("\"%s\" and not \"%s\"", got == NULL ? "(end)" : got,
		    want);
}

static void
server_says(const char *text)
{
	lane_scene_say(&s, lane_scene_far(&s, 0), text);
}

static unsigned
connects(void)
{
	return (unsigned)count_read(&s.pool->connects);
}

static void
leave(int fd)
{
	close(fd);
	lane_scene_run(&s);
}

static void
replies_go_to_whom_they_are_owed_in_order(void **state)
{
	int a, b;

	(void)state;
	begin();
	a = client();
	b = client();
	lane_scene_say(&s, a, "a1\na2\n");
	lane_scene_say(&s, b, "b1\n");
	lane_scene_say(&s, a, "two a3\nquiet\na4\n");
	hears(lane_scene_far(&s, 0), "a1\na2\nb1\ntwo a3\nquiet\na4\n");
	server_says("A1\nA2\nB");
	hears(a, "A1\nA2\n");
	server_says("1\nA3\n");
	hears(b, "B1\n");
	server_says("A3b\nA4\n");
	hears(a, "A3\nA3b\nA4\n");
	hears(b, "");
	assert_int_equal(connects(), 1);
	assert_int_equal(atomic_load(&s.pool->idle), 1);
	leave(a);
	leave(b);
	lane_scene_end(&s);
}

static void
what_a_dead_client_was_owed_is_swallowed_and_no_more(void **state)
{
	int a, b, c;

	(void)state;
	begin();
	a = client();
	b = client();
	c = client();
	lane_scene_say(&s, a, "a1\ntwo a2\n");
	lane_scene_say(&s, b, "b1\n");
	lane_scene_say(&s, a, "a3\n");
	lane_scene_say(&s, c, "c1\n");
	server_says("A1\nA");
	leave(a);
	server_says("2\nA2b\nB1\nA3\nC1\n");
	hears(b, "B1\n");
	hears(c, "C1\n");
	assert_int_equal(atomic_load(&s.pool->idle), 1);
	lane_scene_say(&s, b, "b2\n");
	server_says("B2\n");
	hears(b, "B2\n");
	assert_int_equal(connects(), 1);
	leave(b);
	leave(c);
	lane_scene_end(&s);
}

static void
late_reply_is_swallowed_and_one_that_never_comes_closes(void **state)
{
	int a;

	(void)state;
	begin();
	a = client();
	lane_scene_say(&s, a, "slow\n");
	lane_scene_pass(&s, 999);
	hears(a, "");
	lane_scene_pass(&s, 1);
	hears(a, "error response_timeout\n");
	assert_int_equal(atomic_load(&s.pool->leased), 1);
	lane_scene_say(&s, a, "next\n");
	server_says("SLOW\nNEXT\n");
	hears(a, "NEXT\n");
	assert_int_equal(connects(), 1);
	/* This one does not come: at twice its time that is the end. */
	lane_scene_say(&s, a, "lost\n");
	lane_scene_pass(&s, 1000);
	hears(a, "error response_timeout\n");
	assert_int_equal(atomic_load(&s.pool->leased), 1);
	lane_scene_pass(&s, 1500);
	assert_int_equal(atomic_load(&s.pool->leased), 0);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	lane_scene_say(&s, a, "again\n");
	assert_int_equal(connects(), 2);
	leave(a);
	lane_scene_end(&s);
}

/* The second has failed: its words wait for the first one's reply. */
static void
failure_is_told_in_its_turn(void **state)
{
	int a, b;

	(void)state;
	begin();
	a = client();
	b = client();
	lane_scene_say(&s, a, "a1\n");
	lane_scene_pass(&s, 500);
	lane_scene_say(&s, b, "b1\n");
	lane_scene_say(&s, a, "a2\n");
	server_says("A1\n?nonsense\n");
	hears(a, "A1\nerror bad_response\n");
	hears(b, "error bad_response\n");
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	leave(a);
	leave(b);
	lane_scene_end(&s);
}

static void
parts_are_joined_in_order(void **state)
{
	int a;

	(void)state;
	begin();
	a = client();
	lane_scene_say(&s, a, "first\neach x y z\nlast\n");
	hears(lane_scene_far(&s, 0), "first\nx\ny\nz\nlast\n");
	server_says("F\nX\nY\n");
	hears(a, "F\n");
	server_says("Z\nL\n");
	hears(a, "X+Y+Z\nL\n");
	/* A client that leaves takes its parts along. */
	lane_scene_say(&s, a, "each p q\n");
	server_says("P\n");
	leave(a);
	server_says("Q\n");
	assert_int_equal(atomic_load(&s.pool->idle), 1);
	lane_scene_end(&s);
}

static void
pinned_connection_is_the_sessions_until_it_is_unpinned(void **state)
{
	int a, b;

	(void)state;
	begin();
	a = client();
	b = client();
	lane_scene_say(&s, a, "pin\n");
	server_says("OK\n");
	hears(a, "OK\n");
	assert_int_equal(atomic_load(&s.pool->pinned), 1);
	assert_int_equal(atomic_load(&s.upstream->pins), 1);
	/* Another one's requests do not go there. */
	lane_scene_say(&s, b, "b1\n");
	assert_int_equal(connects(), 2);
	hears(lane_scene_far(&s, 1), "b1\n");
	lane_scene_say(&s, lane_scene_far(&s, 1), "B1\n");
	hears(b, "B1\n");
	/* What comes unasked is for it; and what it asks goes there. */
	server_says("!news\n");
	hears(a, "!news\n");
	(void)lane_scene_hear(lane_scene_far(&s, 0));
	lane_scene_say(&s, a, "a1\nunpin\n");
	hears(lane_scene_far(&s, 0), "a1\nunpin\n");
	server_says("A1\n!more\nDONE\n");
	hears(a, "A1\n!more\nDONE\n");
	assert_int_equal(atomic_load(&s.pool->pinned), 0);
	assert_int_equal(atomic_load(&s.upstream->pins), 0);
	assert_int_equal(atomic_load(&s.pool->idle), 2);
	leave(a);
	leave(b);
	lane_scene_end(&s);
}

/* Its state on the server is lost with it. */
static void
lost_pin_ends_the_session(void **state)
{
	int a;

	(void)state;
	begin();
	a = client();
	lane_scene_say(&s, a, "pin\n");
	server_says("OK\n");
	hears(a, "OK\n");
	far_end_hang_up(&s.far, lane_scene_far(&s, 0));
	lane_scene_run(&s);
	assert_null(lane_scene_hear(a));
	assert_int_equal(atomic_load(&s.upstream->pins), 0);
	leave(a);
	lane_scene_end(&s);
}

static void
unasked_bytes_close(void **state)
{
	int a, b;

	(void)state;
	begin();
	a = client();
	b = client();
	lane_scene_say(&s, a, "a1\n");
	server_says("A1\nunasked\n");
	hears(a, "A1\n");
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	lane_scene_say(&s, b, "b1\n");
	lane_scene_say(&s, lane_scene_far(&s, 1), "B1\n");
	hears(b, "B1\n");
	/* And while nobody has it. */
	lane_scene_say(&s, lane_scene_far(&s, 1), "unasked\n");
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	assert_int_equal(connects(), 2);
	leave(a);
	leave(b);
	lane_scene_end(&s);
}

/* Megabytes for who does not read: more than sockets and queues take. */
static char *
long_line(size_t len)
{
	char *line = malloc(len + 1);

	assert_non_null(line);
	memset(line, 'x', len);
	line[len - 1] = '\n';
	line[len] = '\0';
	return line;
}

/* As much as is taken; what is left. */
static const char *
pour(int fd, const char *text)
{
	size_t len = strlen(text);
	ssize_t n;

	while (len > 0 && (n = send(fd, text, len, MSG_DONTWAIT)) > 0) {
		text += n;
		len -= (size_t)n;
		lane_scene_run(&s);
	}
	return text;
}

static void
slow_reader_is_cut_when_others_wait_behind_it(void **state)
{
	char *line = long_line(4 << 20);
	const char *rest;
	int slow, b;

	(void)state;
	begin_patient();
	slow = client();
	b = client();
	lane_scene_say(&s, slow, "big\n");
	lane_scene_say(&s, b, "b1\n");
	rest = pour(lane_scene_far(&s, 0), line);
	assert_true(pipe_of(container_of(list_first(&s.pool->lent),
	    struct upconn, link))->choked);
	lane_scene_pass(&s, 900);
	assert_int_equal(count_read(&s.door->failures[FAIL_CLIENT_STALLED]),
	    0);
	lane_scene_pass(&s, 200);
	assert_int_equal(count_read(&s.door->failures[FAIL_CLIENT_STALLED]),
	    1);
	assert_int_equal(atomic_load(&s.listener->active), 1);
	/* What it was owed is swallowed, and b is served. */
	rest = pour(lane_scene_far(&s, 0), rest);
	assert_int_equal(*rest, '\0');
	server_says("B1\n");
	hears(b, "B1\n");
	leave(slow);
	leave(b);
	free(line);
	lane_scene_end(&s);
}

static void
slow_reader_that_keeps_nobody_waiting_is_not_cut(void **state)
{
	char *line = long_line(4 << 20);
	int slow, b;

	(void)state;
	begin_patient();
	slow = client();
	b = client();
	lane_scene_say(&s, slow, "big\n");
	(void)pour(lane_scene_far(&s, 0), line);
	/* A newcomer goes elsewhere. */
	lane_scene_say(&s, b, "b1\n");
	assert_int_equal(connects(), 2);
	lane_scene_say(&s, lane_scene_far(&s, 1), "B1\n");
	hears(b, "B1\n");
	lane_scene_pass(&s, 1500);
	assert_int_equal(count_read(&s.door->failures[FAIL_CLIENT_STALLED]),
	    0);
	assert_int_equal(atomic_load(&s.listener->active), 2);
	leave(slow);
	leave(b);
	free(line);
	lane_scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_go_to_whom_they_are_owed_in_order),
		cmocka_unit_test(
		    what_a_dead_client_was_owed_is_swallowed_and_no_more),
		cmocka_unit_test(
		    late_reply_is_swallowed_and_one_that_never_comes_closes),
		cmocka_unit_test(failure_is_told_in_its_turn),
		cmocka_unit_test(parts_are_joined_in_order),
		cmocka_unit_test(
		    pinned_connection_is_the_sessions_until_it_is_unpinned),
		cmocka_unit_test(lost_pin_ends_the_session),
		cmocka_unit_test(unasked_bytes_close),
		cmocka_unit_test(slow_reader_is_cut_when_others_wait_behind_it),
		cmocka_unit_test(
		    slow_reader_that_keeps_nobody_waiting_is_not_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
