/*
 * A connection while nobody leases it: it logs in, is washed after a client has
 * left something behind, or lies idle.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pool/adapt.h"
#include "pool/failover.h"
#include "proxy/denied.h"
#include "proxy/proto/postgres/postgres.h"
#include "proxy/proto/postgres/tls.h"

/* Of what a server says unasked, in one message. */
enum {
	ASIDE_MOST = 256 * 1024,
	CANCEL_AGAIN_MS = 20,           /* and twice as long each time */
	CANCELS_MOST = 7
};

/* SQLSTATEs that are worth a number; the last: others. */
static const char *const errors[] = {
	"57P01", "57P02", "57P03", "53300", "25006", "57014", "40001",
	"40P01", "other", NULL
};
/* It ends, or has no place. */
static const char *const own_errors[] = {
	"57P01", "57P02", "57P03", "53300", NULL
};

/*
 * Is the server about to go, or no primary any more? Who is told that his
 * transaction is read-only may have asked for just that, so that counts only
 * where primaries are wanted, and where the server (since version 14) does not
 * say that it is one.
 */
static bool
is_farewell(struct upconn *u, const char *code)
{
	const struct pg_upstream_conf *conf = pg_back_conf(u->pool->conf);
	const char *hot;

	if (strcmp(code, "57P01") == 0 || strcmp(code, "57P02") == 0)
		return true;
	if (strcmp(code, "25006") != 0 || conf->target != PG_TARGET_PRIMARY)
		return false;
	hot = pg_settings_find(pg_upconn(u)->welcome, "in_hot_standby");
	return hot == NULL || strcmp(hot, "off") != 0;
}

void
pg_count_error(struct upconn *u, const struct pg_report *r)
{
	const char *code = r->code;
	unsigned i = 0;

	while (errors[i + 1] != NULL && strcmp(errors[i], code) != 0)
		i++;
	count_add(&u->pool->errors[i], 1);
	/* Whoever can raise an error can raise that one, but not with this
	   severity. */
	if (is_farewell(u, code) && (strcmp(r->severity, "FATAL") == 0 ||
	    strcmp(r->severity, "PANIC") == 0 || strcmp(code, "25006") == 0))
		pool_demoted(u->pool, u->shelf->site->endpoint);
}

static struct block_store *
store_of(struct upconn *u)
{
	return &u->conn.w->blocks;
}

/* -------------------------------------------------------------------- login */

static const struct pg_key *
key_of(const struct upconn *u)
{
	return u->shelf->key_len > 0 ? (const void *)u->shelf->key : NULL;
}

bool
pg_is_near(const struct addr *addr)
{
	struct addr_net loopback[2];
	struct addr_ip ip;

	if (addr->sa.sa_family == AF_UNIX)
		return true;
	if (addr_net_parse("127.0.0.0/8", &loopback[0]) < 0 ||
	    addr_net_parse("::1", &loopback[1]) < 0)
		return false;
	addr_to_ip(addr, &ip);
	return addr_net_holds(&loopback[0], &ip) ||
	    addr_net_holds(&loopback[1], &ip);
}

static struct pg_login_as
login_as(const struct upconn *u)
{
	const struct pg_key *key = key_of(u);
	const struct lane *lane = u->pool->worker->owner;
	struct pg_login_as as = { .user = pg_key_user(key),
	    .database = pg_key_database(key),
	    .secure = pg_is_near(&u->shelf->site->endpoint->addr) ||
	    pg_tls_is_verified(conn_ssl(&u->conn)),
	    .binding = pg_tls_binding(conn_ssl(&u->conn), false) };

	if (key->kind == PG_KEY_PASSWORD)
		as.password = pg_key_secret(key);
	else if (key->kind == PG_KEY_MD5)
		as.md5 = pg_key_secret(key);
	else if (key->kind == PG_KEY_SCRAM)
		as.keys = (const void *)pg_key_secret(key);
	as.memo = pg_known_memo(lane->own[FAMILY_POSTGRES],
	    u->pool->upstream, key);
	return as;
}

static void cancel_again(struct deadline *d);

/* 55.2.10 */
static bool
peer_ask_tls(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);

	pu->asks_tls = !pg_back_conf(u->pool->conf)->direct_tls;
	if (!pu->asks_tls)
		return true;
	if (pg_tls_ask(store_of(u), &u->conn.out) < 0)
		upconn_broken(u, FAULT_CONNECT_FAILED, ENOMEM);
	else
		conn_send(&u->conn);
	return false;
}

static void
tls_answer(struct upconn *u)
{
	struct pg_tls_wrong wrong;

	switch (pg_tls_answer(store_of(u), &u->conn.in, &u->conn.out,
	    &wrong)) {
	case PARSE_MORE:
		return;
	case PARSE_BAD:
		upconn_not_secured(u, wrong.name, wrong.text);
		return;
	case PARSE_DONE:
		pg_upconn(u)->asks_tls = false;
		pg_upconn(u)->asked_tls = true;
		upconn_secure(u);
		return;
	}
}

void
pg_peer_begin(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);

	u->conn.gathers = true;
	pg_prepared_init(&pu->prepared);
	deadline_init(&pu->again, cancel_again);
	list_init(&pu->askers);
}

static bool
peer_greet(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);
	struct pg_login_as as;
	SSL *ssl = conn_ssl(&u->conn);

	if (ssl != NULL && !pu->asked_tls && !pg_tls_is_meant(ssl)) {
		upconn_not_secured(u, "no_shared_protocol", "the server does "
		    "not say by ALPN that it is PostgreSQL, which direct_tls "
		    "needs");
		return false;
	}
	pg_peer_begin(u);
	if (key_of(u) == NULL) {
		upconn_turned_away(u, "28000 weir: there is nobody to log in "
		    "as");
		return false;
	}
	as = login_as(u);
	if (pg_login_start(&pu->login, &as, store_of(u), &u->conn.out) < 0)
		upconn_broken(u, FAULT_CONNECT_FAILED, ENOMEM);
	else
		conn_send(&u->conn);
	return false;
}

bool
pg_error_is_servers(const char *code)
{
	return strncmp(code, "57P0", 4) == 0 || strncmp(code, "53", 2) == 0 ||
	    strncmp(code, "08", 2) == 0 || strncmp(code, "58", 2) == 0 ||
	    strncmp(code, "XX", 2) == 0;
}

/* Who would wait for a new primary waits, too, while one starts or ends. */
static bool
is_waited_out(const struct upconn *u, const char *code)
{
	return strncmp(code, "57P0", 4) == 0 &&
	    u->pool->conf->pool.failover_hold_ms < CONF_OFF;
}

static void
turned_away(struct upconn *u)
{
	struct pg_login *login = &pg_upconn(u)->login;
	char said[sizeof(login->said) + 16];
	const struct pg_key *key = key_of(u);

	pg_count_error(u, &(struct pg_report){ .severity = "FATAL",
	    .code = login->sqlstate, .message = "", .routine = "" });
	if (strcmp(login->sqlstate, "53300") == 0 && upconn_crowded(u))
		return;
	if (is_waited_out(u, login->sqlstate)) {
		upconn_broken(u, FAULT_BAD_ANSWER, 0);
		return;
	}
	if (pg_error_is_servers(login->sqlstate))
		endpoint_fault(u->shelf->site->endpoint, FAULT_BAD_ANSWER, 0);
	/* What weir cannot answer is not the server's word. */
	snprintf(said, sizeof(said), "%s%.5s %s", strncmp(login->said, "weir: ",
	    6) == 0 ? "" : "FATAL ", login->sqlstate, login->said);
	denied_upconn(u, pg_key_user(key), pg_key_database(key), said);
	snprintf(said, sizeof(said), "%.5s %s", login->sqlstate, login->said);
	upconn_turned_away(u, said);
}

static void
greeting_bytes(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);
	struct pg_login_as as = login_as(u);
	struct lane *lane = u->pool->worker->owner;

	switch (pg_login_feed(&pu->login, &as, store_of(u), &u->conn.in,
	    &u->conn.out)) {
	case PG_LOGIN_MORE:
		conn_send(&u->conn);
		return;
	case PG_LOGIN_DONE:
		pu->welcome = pg_settings_of(pu->login.params,
		    pu->login.params_len);
		if (pu->welcome == NULL) {
			upconn_broken(u, FAULT_CONNECT_FAILED, ENOMEM);
			return;
		}
		pg_greeting_heard(lane, u->pool->upstream, key_of(u),
		    pu->welcome);
		pg_login_forget(&pu->login);
		pg_state_look(u);
		upconn_ready(u);
		return;
	case PG_LOGIN_REFUSED:
		turned_away(u);
		return;
	case PG_LOGIN_BAD:
		upconn_broken(u, FAULT_BAD_ANSWER, 0);
		return;
	}
}

/* ------------------------------------------------------------------ washing */

static int
put(struct upconn *u, char type, const char *text)
{
	return pg_put(store_of(u), &u->conn.out, type, text, strlen(text) + 1);
}

/* First the server ends what the client had under way. */
static int
end_requests(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);

	if (pu->wash.copying_in && put(u, 'f', "the client has gone") < 0)
		return -1;
	/* What was sent without its Sync has been carried out, but is not
	   committed: nobody has asked for that. Something that fails takes it
	   along (55.2.3). */
	if (pu->wash.unsynced) {
		pu->wash.awaited++;
		if (put(u, 'D', "Sweir: none of that name") < 0 ||
		    pg_put(store_of(u), &u->conn.out, 'S', NULL, 0) < 0)
			return -1;
	}
	return 0;
}

/* Then the transaction is rolled back, and what the session has is dropped. */
static int
end_session(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);

	if (pu->wash.status != 'I') {
		pu->wash.awaited++;
		if (put(u, 'Q', "ROLLBACK") < 0)
			return -1;
	}
	if (pu->wash.discards) {
		pu->wash.awaited++;
		if (put(u, 'Q', "DISCARD ALL") < 0)
			return -1;
		pg_prepared_clear(&pu->prepared);
		pg_settings_set(&pu->settings, NULL);
		pg_state_look(u);
	}
	pu->unnamed = 0;
	pu->wash.last = true;
	return 0;
}

static void
wash_ends(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);

	if (pu->wash.status != 'I') {
		upconn_broken(u, FAULT_BAD_ANSWER, 0);
		return;
	}
	memset(&pu->wash, 0, sizeof(pu->wash));
	deadline_clear(&pu->again);
	pu->cancels = 0;
	upconn_ready(u);
}

/* A cancel that came before the server had read the query has done nothing
   (55.2.8), and the query goes on, with its locks: until it ends it is cancelled
   again and again, ever more seldom. */
static void
cancel_again(struct deadline *d)
{
	struct pg_upconn *pu = container_of(d, struct pg_upconn, again);
	struct upconn *u = (struct upconn *)(void *)pu - 1;

	if (u->state == UPCONN_WASHING && pu->wash.awaited > 0)
		pg_cancel(u);
}

static void
await_end(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);

	if (!deadline_armed(&pu->again) && pu->cancel == NULL &&
	    pu->cancels < CANCELS_MOST)
		deadline_set(u->pool->worker, &pu->again,
		    CANCEL_AGAIN_MS << pu->cancels++);
}

/* Nothing of the last part is sent while a cancel may hit it. */
static void
wash_on(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);

	if (pu->wash.awaited > 0 && !pu->wash.last)
		await_end(u);
	if (pu->wash.awaited > 0 || !pg_cancel_is_over(u))
		return;
	if (!pu->wash.last && end_session(u) < 0) {
		upconn_broken(u, FAULT_CONNECT_FAILED, ENOMEM);
		return;
	}
	conn_send(&u->conn);
	if (pu->wash.awaited == 0)
		wash_ends(u);
}

static void
count_report(struct upconn *u, const char *body, size_t len)
{
	struct pg_report r;

	if (pg_report_read(body, len, &r))
		pg_count_error(u, &r);
}

/* False: it cannot be washed. */
static bool
wash_message(struct upconn *u, const struct pg_head *h, const char *body)
{
	struct pg_upconn *pu = pg_upconn(u);
	size_t len = h->size - PG_HEAD, at = 0;
	const char *name, *value;

	switch (h->type) {
	case 'Z':
		if (len != 1 || pu->wash.awaited == 0)
			return false;
		pu->wash.awaited--;
		pu->wash.status = *body;
		return true;
	case 'G':
		return put(u, 'f', "the client has gone") == 0;
	case 'E':
		count_report(u, body, len);
		return !pu->wash.last;
	case 'S':
		name = pg_string(body, len, &at);
		value = name != NULL ? pg_string(body, len, &at) : NULL;
		return value != NULL && pg_state_noted(u, name, value) == 0;
	}
	/* PostgreSQL 55.7: all that a server may answer with. */
	return h->type != '\0' && strchr("123ACDHINTVWcdnst", h->type) != NULL;
}

/* The messages there are; false: it is of no use any more. */
static bool
read_messages(struct upconn *u,
    bool (*take)(struct upconn *, const struct pg_head *, const char *))
{
	struct pg_upconn *pu = pg_upconn(u);
	struct buf *in = &u->conn.in;
	const char *bytes;
	struct pg_head h;

	for (;;) {
		uint32_t n = pu->wash.drop_left;

		if (n > in->len)
			n = in->len;
		buf_drop(store_of(u), in, n);
		pu->wash.drop_left -= n;
		switch (pg_head_at(in, 0, &h)) {
		case PARSE_MORE:
			return true;
		case PARSE_BAD:
			return false;
		case PARSE_DONE:
			break;
		}
		/* Rows, whatever their size, are nobody's any more. */
		if (strchr("DdTtVAN", h.type) != NULL && h.type != '\0' &&
		    take == wash_message) {
			pu->wash.drop_left = h.size;
			continue;
		}
		if (h.size > ASIDE_MOST)
			return false;
		if (in->len < h.size)
			return true;
		bytes = buf_flat(store_of(u), in, h.size);
		if (bytes == NULL || !take(u, &h, bytes + PG_HEAD))
			return false;
		buf_drop(store_of(u), in, h.size);
	}
}

static void
washing_bytes(struct upconn *u)
{
	if (read_messages(u, wash_message))
		wash_on(u);
	else
		upconn_broken(u, FAULT_BAD_ANSWER, 0);
}

static void
peer_wash(struct upconn *u)
{
	if (end_requests(u) < 0) {
		upconn_broken(u, FAULT_CONNECT_FAILED, ENOMEM);
		return;
	}
	conn_send(&u->conn);
	/* What has come already. */
	washing_bytes(u);
}

void
pg_cancel_over(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);

	if (u->state == UPCONN_WASHING && u->mark == MARK_BROKEN)
		upconn_broken(u, FAULT_CONNECT_TIMEOUT, 0);
	else if (u->state == UPCONN_WASHING)
		wash_on(u);
	else if (u->state == UPCONN_LEASED && pu->exchange != NULL) {
		conn_resume(&pu->exchange->s->conn);
		if (!pg_settle(pu->exchange))
			pg_up(pu->exchange);
	}
}

/* --------------------------------------------------------------------- idle */

/* A reload of the server's configuration, a notice; anything else, and above
   all its farewell, makes it of no use. */
static bool
idle_message(struct upconn *u, const struct pg_head *h, const char *body)
{
	size_t len = h->size - PG_HEAD, at = 0;
	const char *name, *value;

	if (h->type == 'N')
		return true;
	if (h->type == 'E')
		count_report(u, body, len);
	if (h->type != 'S')
		return false;
	name = pg_string(body, len, &at);
	value = name != NULL ? pg_string(body, len, &at) : NULL;
	return value != NULL && pg_state_noted(u, name, value) == 0;
}

static void
peer_bytes(struct upconn *u)
{
	switch (u->state) {
	case UPCONN_GREETING:
		if (pg_upconn(u)->asks_tls)
			tls_answer(u);
		else
			greeting_bytes(u);
		return;
	case UPCONN_WASHING:
		washing_bytes(u);
		return;
	case UPCONN_IDLE:
		if (!read_messages(u, idle_message))
			upconn_mark(u, MARK_BROKEN, "unasked message");
		return;
	case UPCONN_CONNECTING:
	case UPCONN_LEASED:
	case UPCONN_CLOSED:
		return;
	}
}

/* ----------------------------------------------------------------- groups */

static unsigned
peer_groups(const void *bytes, size_t len, struct pool_group out[POOL_GROUPS])
{
	const struct pg_key *key = bytes;

	if (len == 0)
		return 0;
	out[POOL_GROUP_USER] = (struct pool_group){ pg_key_user(key),
	    key->user_len };
	out[POOL_GROUP_DATABASE] = (struct pool_group){ pg_key_database(key),
	    key->database_len };
	return POOL_GROUPS;
}

/* ---------------------------------------------------------------- the end */

/* PostgreSQL 55.2.10: Terminate, so that its log has no complaint. */
static void
peer_bye(struct upconn *u)
{
	if (pg_put(store_of(u), &u->conn.out, 'X', NULL, 0) == 0)
		conn_flush(&u->conn);
}

static void
peer_fini(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);

	/* A query that has not ended by now: one last time. */
	if (pu->wash.awaited > 0 && !pu->wash.last && pu->cancel == NULL)
		pg_cancel(u);
	if (pu->prepared.used.next != NULL)
		deadline_clear(&pu->again);
	pg_cancel_orphan(u);
	pg_login_fini(&pu->login);
	pg_settings_drop(pu->welcome);
	pg_settings_drop(pu->settings);
	pu->welcome = pu->settings = NULL;
	pg_prepared_clear(&pu->prepared);
}

const struct peer_ops pg_peer = {
	.state_size = sizeof(struct pg_upconn),
	.pins = pg_pins,
	.errors = errors,
	.own_errors = own_errors,
	.ask_tls = peer_ask_tls,
	.greet = peer_greet,
	.bytes = peer_bytes,
	.wash = peer_wash,
	.bye = peer_bye,
	.pack = pg_over_pack,
	.adopt = pg_over_adopt,
	.is_key = pg_over_is_key,
	.groups = peer_groups,
	.warm_key = pg_warm_key,
	.fini = peer_fini
};
