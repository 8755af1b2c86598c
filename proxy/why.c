/*
 * The rules. See why.h.
 *
 * The first that fits is what is said: of a failure by its reason, of a slow
 * exchange by the part that took longest. A rule names keys as they are written
 * in a file, and commands as they are typed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/why.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pool/endpoint.h"
#include "proxy/denied.h"

/* What took less than this is nobody's trouble. */
#define QUICK_NS (5 * NS_PER_MS)
/* And nobody gives up for having waited for less than this. */
#define PATIENCE_NS (200 * NS_PER_MS)

/* ------------------------------------------------------- what took longest */

enum phase { ARRIVE, PAUSE, QUEUE, CONNECT, TLS, UPLOAD, FIRST, CLIENT, IDLE,
	TRANSFER, N_PHASES, NO_PHASE = N_PHASES };

static enum phase
longest(const struct slow_entry *e)
{
	const int64_t ns[N_PHASES] = {
		[ARRIVE] = e->arrive_ns, [PAUSE] = e->pause_ns,
		[QUEUE] = e->queue_ns, [CONNECT] = e->connect_ns,
		[TLS] = e->tls_ns, [UPLOAD] = e->upload_ns,
		[FIRST] = e->first_ns, [CLIENT] = e->client_ns,
		[IDLE] = e->idle_ns, [TRANSFER] = e->transfer_ns
	};
	/* Of a session the rest lasts as long as its client likes. */
	enum phase n = e->lasts ? UPLOAD : N_PHASES, i, most = ARRIVE;

	for (i = ARRIVE; i < n; i++)
		if (ns[i] > ns[most])
			most = i;
	/* Something else took longer: tries that were lost. */
	return ns[most] == 0 || (!e->lasts && ns[most] < e->total_ns / 4) ?
	    NO_PHASE : most;
}

#define IS_LONGEST(name, phase)                                         \
static bool                                                             \
name(const struct slow_entry *e)                                        \
{                                                                       \
	return longest(e) == phase;                                     \
}

IS_LONGEST(is_arriving, ARRIVE)
IS_LONGEST(is_pausing, PAUSE)
IS_LONGEST(is_queueing, QUEUE)
IS_LONGEST(is_connecting, CONNECT)
IS_LONGEST(is_in_tls, TLS)
IS_LONGEST(is_uploading, UPLOAD)
IS_LONGEST(is_thinking, FIRST)
IS_LONGEST(is_not_taken, CLIENT)
IS_LONGEST(is_left_open, IDLE)
IS_LONGEST(is_answering, TRANSFER)

static bool
is_retrying(const struct slow_entry *e)
{
	return is_pausing(e) && e->retries > 0;
}

static bool
is_hit(const struct slow_entry *e)
{
	return is_pausing(e) && e->hit;
}

static bool
was_tried_again(const struct slow_entry *e)
{
	return e->retries > 0;
}

/* A login that is refused, or an answer that is an error: what there is to tell
   of it. */
static bool
is_told_why(const struct slow_entry *e)
{
	return *e->said != '\0';
}

static bool
is_server_error(const struct slow_entry *e)
{
	return e->outcome == OUTCOME_5XX;
}

static bool
is_quick(const struct slow_entry *e)
{
	return e->total_ns < QUICK_NS || (e->lasts && e->pause_ns +
	    e->queue_ns + e->connect_ns + e->tls_ns < QUICK_NS);
}

/* A client who left then had reasons of its own: whoever ends a measurement
   leaves in the midst of things. */
static bool
was_served_soon(const struct slow_entry *e)
{
	return e->pause_ns + e->queue_ns + e->connect_ns + e->tls_ns +
	    e->first_ns < PATIENCE_NS;
}

/* ------------------------------------------------- what the pool was short of */

static bool
waits_for_resume(const struct slow_entry *e)
{
	return e->waited_for == SLOW_WAIT_PAUSED;
}

static bool
waits_for_primary(const struct slow_entry *e)
{
	return e->waited_for == SLOW_WAIT_FAILOVER;
}

static bool
waits_for_pin(const struct slow_entry *e)
{
	return e->waited_for == SLOW_WAIT_PIN;
}

static bool
waits_for_quota(const struct slow_entry *e)
{
	return e->waited_for == SLOW_WAIT_QUOTA;
}

static bool
waits_for_ride(const struct slow_entry *e)
{
	return e->waited_for == SLOW_WAIT_RIDE;
}

static bool
waits_for_connect(const struct slow_entry *e)
{
	return e->waited_for == SLOW_WAIT_CONNECT;
}

/* The server has said that it has too many clients: pool.adapt. */
static bool
is_adapted(const struct slow_entry *e)
{
	return e->pool.most < e->pool.max && e->open_then >= e->pool.most;
}

static bool
is_at_max(const struct slow_entry *e)
{
	return e->open_then >= e->pool.max;
}

#define AND_QUEUES(name, other)                                         \
static bool                                                             \
name(const struct slow_entry *e)                                        \
{                                                                       \
	return is_queueing(e) && other(e);                              \
}

AND_QUEUES(queues_for_resume, waits_for_resume)
AND_QUEUES(queues_for_primary, waits_for_primary)
AND_QUEUES(queues_for_pin, waits_for_pin)
AND_QUEUES(queues_for_quota, waits_for_quota)
AND_QUEUES(queues_for_ride, waits_for_ride)
AND_QUEUES(queues_for_connect, waits_for_connect)
AND_QUEUES(queues_adapted, is_adapted)
AND_QUEUES(queues_at_max, is_at_max)

static bool
waits_for_place(const struct slow_entry *e)
{
	return queues_at_max(e) && e->waited_for == SLOW_WAIT_PLACE;
}

static bool
connects_though_warm(const struct slow_entry *e)
{
	return is_connecting(e) && e->pool.min_idle > 0;
}

/* Of logins that are refused. */
static bool
is_told_whose(const struct slow_entry *e)
{
	return is_told_why(e) && *e->user != '\0';
}

static bool
has_no_database(const struct slow_entry *e)
{
	return *e->database == '\0';
}

static bool
is_told_where(const struct slow_entry *e)
{
	return is_told_whose(e) && !has_no_database(e);
}

static bool
is_unresolved(const struct slow_entry *e)
{
	return e->pool.endpoints == 0;
}

static bool
is_by_hand(const struct slow_entry *e)
{
	return e->pool.usable == 0 && e->pool.bars != 0 &&
	    (e->pool.bars & ~(unsigned)(BAR_DRAIN | BAR_DOWN)) == 0;
}

static bool
is_ejected(const struct slow_entry *e)
{
	return e->pool.usable == 0 && (e->pool.bars & BAR_EJECTED) != 0;
}

static bool
is_checked_down(const struct slow_entry *e)
{
	return e->pool.usable == 0 && (e->pool.bars & BAR_CHECK) != 0;
}

static bool
was_reused(const struct slow_entry *e)
{
	return e->reused;
}

/* --------------------------------------------------------------- the table */

#define HOLDERS "look at what holds them: weir connections {upstream} --leased"
#define WAITED "waited {queue} of {total} "
/* Of one moment, where the advice of the statistics is of many: the two numbers
   differ, and somebody who reads both has to know why. */
#define ENOUGH "({enough} would have been enough at that moment; weir stats "   \
	"advises by the last minutes)"

const struct why_rule why_rules[] = {
	/* Slow. */
	{ FAIL_NONE, "server_error", is_server_error,
	    "the server answered {status} itself, and weir passed that on: "
	    "look into the log of {endpoint}" },
	{ FAIL_NONE, "server_error", is_told_why,
	    "the server answered the call with {said}, and weir passed that "
	    "on: look into the log of {endpoint}" },
	{ FAIL_NONE, "quick", is_quick, "took {total}: nothing to change" },
	{ FAIL_NONE, "retries", is_retrying,
	    "spent {pause} of {total} in pauses before {retries} more: find "
	    "out why {upstream} failed first, or lower "
	    "upstreams.{upstream}.retry.backoff" },
	{ FAIL_NONE, "fault", is_hit,
	    "was made to wait {pause} of {total} by hand (weir fault)" },
	{ FAIL_NONE, "limit", is_pausing,
	    "was held back for {pause} of {total} by the limits of upstream "
	    "{upstream} or a Retry-After of its server: raise "
	    "upstreams.{upstream}.limits.request_rate or send less" },
	{ FAIL_NONE, "paused", queues_for_resume,
	    WAITED "because upstream {upstream} is paused by hand: weir resume "
	    "{upstream}" },
	{ FAIL_NONE, "failover", queues_for_primary,
	    WAITED "for a primary, which {upstream} had not: "
	    "pool.failover_hold bounds that" },
	{ FAIL_NONE, "pinned", queues_for_pin,
	    WAITED "for one of the {max_pinned} connections that clients may "
	    "have alone: raise upstreams.{upstream}.pool.max_pinned, or "
	    HOLDERS },
	{ FAIL_NONE, "quota", queues_for_quota,
	    WAITED "for a connection of its user or database: raise "
	    "upstreams.{upstream}.pool.max_per_user or max_per_database" },
	{ FAIL_NONE, "ride", queues_for_ride,
	    WAITED "for a connection that is shared: raise "
	    "upstreams.{upstream}.pool.shared" },
	{ FAIL_NONE, "connect", queues_for_connect,
	    WAITED "while a connection was being opened: keep more of them "
	    "open with upstreams.{upstream}.pool.min_idle (now {min_idle})" },
	{ FAIL_NONE, "server_full", queues_adapted,
	    WAITED "for one of {most} connections: the servers of {upstream} "
	    "take no more, of {max}. Raise their own limit, or lower "
	    "upstreams.{upstream}.pool.max" },
	{ FAIL_NONE, "pool_full", queues_at_max,
	    WAITED "for one of {max} connections, all taken, among {behind} "
	    "that waited: raise upstreams.{upstream}.pool.max " ENOUGH ", or "
	    HOLDERS },
	{ FAIL_NONE, "endpoint_full", is_queueing,
	    WAITED "with {open} of {max} connections open: its endpoint is at "
	    "its own max (endpoints.max, pool.max_per_endpoint), or rests "
	    "after it could not be connected to" },
	{ FAIL_NONE, "connect", connects_though_warm,
	    "spent {connect} of {total} connecting to {endpoint}, though "
	    "{min_idle} are kept open: more come at once. Raise "
	    "upstreams.{upstream}.pool.min_idle" },
	{ FAIL_NONE, "connect", is_connecting,
	    "spent {connect} of {total} connecting to {endpoint}: have "
	    "connections open before they are needed, with "
	    "upstreams.{upstream}.pool.min_idle" },
	{ FAIL_NONE, "tls", is_in_tls,
	    "spent {tls} of {total} in the TLS handshake with {endpoint}: keep "
	    "connections for longer, with upstreams.{upstream}.pool.min_idle, "
	    "idle_timeout, max_lifetime" },
	{ FAIL_NONE, "client_sends", is_arriving,
	    "the client took {arrive} of {total} to send its request: neither "
	    "weir nor the server; listeners.{listener}.timeouts.header "
	    "bounds it" },
	{ FAIL_NONE, "client_sends", is_uploading,
	    "the client took {upload} of {total} to send the body: neither "
	    "weir nor the server; listeners.{listener}.timeouts.body bounds "
	    "it" },
	{ FAIL_NONE, "server_slow", is_thinking,
	    "the server took {first} of {total} to begin its answer: that is "
	    "the time of {endpoint}, not weir's" },
	{ FAIL_NONE, "client_reads", is_not_taken,
	    "the client did not take its answer for {client} of {total}: it, "
	    "or its network, is slow, not {endpoint}" },
	{ FAIL_NONE, "client_idles", is_left_open,
	    "the client had a transaction open for {idle} of {total} and asked "
	    "for nothing: look for what it does in between, or bound it with "
	    "upstreams.{upstream}.timeouts.transaction_idle" },
	{ FAIL_NONE, "server_sends", is_answering,
	    "the server took {transfer} of {total} to send the rest of its "
	    "answer: that is the time of {endpoint}, not weir's" },
	{ FAIL_NONE, "retries", was_tried_again,
	    "took {total}, most of it for a try that was lost before "
	    "{retries}: find out why {upstream} failed first" },
	{ FAIL_NONE, "mixed", NULL,
	    "took {total}, of which nothing took longest" },

	/* Failed: of the client. */
	{ FAIL_BAD_REQUEST, "client", NULL,
	    "the client sent what is not valid: nothing to change at weir; the "
	    "error log says what it was, at level info" },
	{ FAIL_TOO_LARGE, "client", NULL,
	    "the body is larger than weir lets through: raise "
	    "listeners.{listener}.max_body" },
	{ FAIL_METHOD, "client", NULL,
	    "a method that weir does not forward: nothing to change at weir" },
	{ FAIL_HANDSHAKE, "client", NULL,
	    "the client's TLS handshake failed: weir get /stats counts why, in "
	    "listener {listener}" },
	{ FAIL_HANDSHAKE_TIMEOUT, "client", NULL,
	    "the client's TLS handshake was not over in time: "
	    "listeners.{listener}.timeouts.handshake" },
	{ FAIL_HEADER_TIMEOUT, "client", NULL,
	    "the client sent half a request in {arrive} and then nothing: "
	    "listeners.{listener}.timeouts.header bounds that" },
	{ FAIL_BODY_TIMEOUT, "client", NULL,
	    "the client stopped in the middle of its body: "
	    "listeners.{listener}.timeouts.body bounds that" },
	{ FAIL_IDLE_TIMEOUT, "client", NULL,
	    "the client asked for nothing: listeners.{listener}.timeouts.idle "
	    "bounds that" },
	{ FAIL_NO_ROUTE, "route", NULL,
	    "no route of listener {listener} fits: add one to "
	    "listeners.{listener}.routes, or an upstream for the rest" },
	{ FAIL_TLS_ON_PLAINTEXT, "client", NULL,
	    "the client speaks TLS to {listener}, which does not: give "
	    "listeners.{listener} a group tls, or the client another port" },
	{ FAIL_CLIENT_STALLED, "client_reads", NULL,
	    "the client stopped taking its answer: it, or its network, is "
	    "slow, not {endpoint}" },
	{ FAIL_CLIENT_GONE, "client_gone", was_served_soon,
	    "the client left by itself after {total}; neither weir nor the "
	    "server had let it wait for long: nothing to change at weir" },
	{ FAIL_CLIENT_GONE, "pool_full", waits_for_place,
	    "the client left after waiting {queue} for one of {max} "
	    "connections, {leased_of} taken: raise "
	    "upstreams.{upstream}.pool.max " ENOUGH ", or " HOLDERS },
	{ FAIL_CLIENT_GONE, "client_gone", queues_for_connect,
	    "the client left after {total}, of which it waited {queue} while a "
	    "connection was being opened: keep more of them open with "
	    "upstreams.{upstream}.pool.min_idle (now {min_idle})" },
	{ FAIL_CLIENT_GONE, "client_gone", is_queueing,
	    "the client left after {total}, of which it waited {queue} for a "
	    "connection: raise upstreams.{upstream}.pool.max, or " HOLDERS },
	{ FAIL_CLIENT_GONE, "client_gone", is_thinking,
	    "the client left after {total}, of which the server took {first} "
	    "without an answer: {endpoint} is slow, or the client impatient" },
	{ FAIL_CLIENT_GONE, "client_gone", NULL,
	    "the client left after {total}: nothing to change at weir" },
	{ FAIL_CLIENT_WASTES, "client", NULL,
	    "the client sent too much that asks for nothing (resets, pings): "
	    "look at what {client_at} is" },
	{ FAIL_CANCELLED, "client", NULL,
	    "the client cancelled it after {total}" },
	{ FAIL_TRANSACTION_IDLE, "client_idles", NULL,
	    "the client had a transaction open for {idle} and asked for "
	    "nothing: upstreams.{upstream}.timeouts.transaction_idle bounds "
	    "that; look for what the client does in between" },
	{ FAIL_LIMITED, "limit", NULL,
	    "{client_at} or listener {listener} as a whole asked more often "
	    "than listeners.{listener}.limits lets it" },
	{ FAIL_AUTH, "client", has_no_database,
	    "weir did not let {client_at} in as user {user}: {said}; weir get "
	    "/stats counts how often, in listener {listener}" },
	{ FAIL_AUTH, "client", NULL,
	    "weir did not let {client_at} in as user {user} of database "
	    "{database}: {said}; weir get /stats counts how often, in listener "
	    "{listener}" },
	{ FAIL_PROXY_HEADER, "client", NULL,
	    "no valid PROXY header: is {client_at} a proxy that sends one? "
	    "listeners.{listener}.proxy_protocol.from says who has to" },
	{ FAIL_PROXY_TIMEOUT, "client", NULL,
	    "no PROXY header came in time: is {client_at} a proxy that sends "
	    "one? listeners.{listener}.proxy_protocol.from says who has to" },

	/* Of the pool. */
	{ FAIL_NO_ENDPOINT, "dns", is_unresolved,
	    "no name of upstream {upstream} has an address: weir dns "
	    "{upstream}" },
	{ FAIL_NO_ENDPOINT, "by_hand", is_by_hand,
	    "{all_are} down or drained by hand: weir endpoint {upstream} "
	    "ENDPOINT conf ends that" },
	{ FAIL_NO_ENDPOINT, "down", is_checked_down,
	    "{all_are} down, by health checks: start what is down, or see "
	    "weir stats for what the checks met" },
	{ FAIL_NO_ENDPOINT, "ejected", is_ejected,
	    "{all_are} ejected after failures in a row: find out why, or lower "
	    "upstreams.{upstream}.outlier.max_ejected" },
	{ FAIL_NO_ENDPOINT, "down", NULL,
	    "no endpoint of {upstream} is usable: weir stats says what is "
	    "wrong with each" },
	{ FAIL_UPSTREAM_LIMITED, "limit", NULL,
	    "upstream {upstream} takes no more for now: raise "
	    "upstreams.{upstream}.limits.request_rate or its wait, send less, "
	    "or ask the server why it sent Retry-After" },
	{ FAIL_QUEUE_FULL, "pool_full", NULL,
	    "{waiting} waited already for one of {max} connections, "
	    "{leased_of} taken: raise upstreams.{upstream}.pool.max " ENOUGH
	    ", or pool.max_waiting (now {max_waiting}), or " HOLDERS },
	{ FAIL_QUEUE_TIMEOUT, "paused", waits_for_resume,
	    WAITED "because upstream {upstream} is paused by hand: weir resume "
	    "{upstream}" },
	{ FAIL_QUEUE_TIMEOUT, "failover", waits_for_primary,
	    WAITED "for a primary, which {upstream} has not" },
	{ FAIL_QUEUE_TIMEOUT, "quota", waits_for_quota,
	    WAITED "for a connection of its user or database: raise "
	    "upstreams.{upstream}.pool.max_per_user or max_per_database" },
	{ FAIL_QUEUE_TIMEOUT, "server_full", is_adapted,
	    WAITED "for one of {most} connections: the servers of {upstream} "
	    "take no more, of {max}. Raise their own limit, or lower "
	    "upstreams.{upstream}.pool.max" },
	{ FAIL_QUEUE_TIMEOUT, "pool_full", is_at_max,
	    WAITED "for one of {max} connections, {leased_of} taken: raise "
	    "upstreams.{upstream}.pool.max " ENOUGH ", or " HOLDERS },
	{ FAIL_QUEUE_TIMEOUT, "endpoint_full", NULL,
	    WAITED "with {open} of {max} connections open: its endpoint is at "
	    "its own max (endpoints.max, pool.max_per_endpoint), or rests "
	    "after it could not be connected to" },
	{ FAIL_CONNECT_FAILED, "connect", NULL,
	    "{endpoint} could not be connected to ({last_error}): is it "
	    "running, and is its address right?" },
	{ FAIL_CONNECT_TIMEOUT, "connect", NULL,
	    "{endpoint} did not accept a connection in time: is it overloaded, "
	    "or does a firewall drop what is sent to it? "
	    "upstreams.{upstream}.timeouts.connect bounds that" },
	{ FAIL_NO_DESCRIPTORS, "shortage", NULL,
	    "weir had no descriptor or port left for another connection: raise "
	    "its limit of open files (LimitNOFILE, ulimit -n), or net.ipv4."
	    "ip_local_port_range" },
	{ FAIL_PINNED, "pinned", NULL,
	    WAITED "while clients held all of the {max_pinned} connections "
	    "that they may have alone: raise "
	    "upstreams.{upstream}.pool.max_pinned, or " HOLDERS },
	{ FAIL_LOGIN, "login", is_told_where,
	    "{endpoint} refused the login that user {user} needs for database "
	    "{database}: {said}; what weir logs in with is the client's or the "
	    "group's of upstreams.{upstream}" },
	{ FAIL_LOGIN, "login", is_told_whose,
	    "{endpoint} refused the login of user {user}: {said}; what weir "
	    "logs in with is the client's, listener {listener}" },
	{ FAIL_LOGIN, "login", is_told_why,
	    "{endpoint} refused the login: {said}; what weir logs in with is "
	    "the group's of upstreams.{upstream}" },
	{ FAIL_LOGIN, "login", NULL,
	    "{endpoint} refused the login: user, password and database are "
	    "the client's or the group's of upstreams.{upstream}; the error "
	    "log has the server's words" },
	{ FAIL_TLS, "tls", NULL,
	    "no TLS with {endpoint} ({last_error}): look at "
	    "upstreams.{upstream}.tls, its ca and server_name, and at the "
	    "server's certificate" },
	{ FAIL_UNFIT, "protocol", NULL,
	    "{endpoint} does not speak HTTP/2: set "
	    "upstreams.{upstream}.http.version to \"1.1\"" },
	{ FAIL_NO_MEMORY, "shortage", NULL,
	    "weir had no memory left: raise max_memory or the limit of its "
	    "container, or take fewer clients (limits.connections)" },

	/* Of the upstream. */
	{ FAIL_REFUSED, "server_full", NULL,
	    "{endpoint} refused the request without looking at it: it is "
	    "overloaded, or shutting down" },
	{ FAIL_NO_SOCKET, "protocol", NULL,
	    "{endpoint} takes no WebSockets over HTTP/2: set "
	    "upstreams.{upstream}.http.version to \"1.1\"" },
	{ FAIL_UPSTREAM_CLOSED, "closed_idle", was_reused,
	    "{endpoint} closed a connection that had been used before, without "
	    "an answer: keep upstreams.{upstream}.pool.idle_timeout below the "
	    "server's keep-alive time; if it goes on, see the server's log" },
	{ FAIL_UPSTREAM_CLOSED, "server_died", NULL,
	    "{endpoint} closed a new connection without an answer: did it "
	    "crash, or is it shutting down? See its log" },
	{ FAIL_UPSTREAM_RESET, "closed_idle", was_reused,
	    "{endpoint} reset a connection that had been used before: keep "
	    "upstreams.{upstream}.pool.idle_timeout below the server's "
	    "keep-alive time; if it goes on, see the server's log" },
	{ FAIL_UPSTREAM_RESET, "server_died", NULL,
	    "{endpoint} reset a new connection: did it crash, or is its "
	    "backlog full? See its log" },
	{ FAIL_BAD_RESPONSE, "protocol", NULL,
	    "what {endpoint} answered is not valid: is it a server of this "
	    "protocol? The error log says what was wrong" },
	{ FAIL_RESPONSE_TIMEOUT, "server_slow", NULL,
	    "{endpoint} had not begun its answer after {first}: it is slow, "
	    "not weir; upstreams.{upstream}.timeouts.response bounds that" },
	{ FAIL_STALLED, "server_sends", NULL,
	    "{endpoint} stopped in the middle of its answer: "
	    "upstreams.{upstream}.timeouts.stall bounds that" },
	{ FAIL_REPLY_TOO_LARGE, "split", NULL,
	    "the parts of the reply are larger than weir puts together: ask "
	    "for fewer keys at once" },
	{ FAIL_TOTAL_TIMEOUT, "pool_full", is_queueing,
	    WAITED "for a connection until timeouts.total was over: raise "
	    "upstreams.{upstream}.pool.max, or " HOLDERS },
	{ FAIL_TOTAL_TIMEOUT, "server_slow", NULL,
	    "was not over after {total}, of which {endpoint} took {first} to "
	    "begin its answer and {transfer} to send it: "
	    "upstreams.{upstream}.timeouts.total bounds that" },
	{ FAIL_QUERY_TIMEOUT, "server_slow", NULL,
	    "the query was not over in time, and could not be cancelled: "
	    "upstreams.{upstream}.timeouts.query bounds that" },
	{ FAIL_TUNNEL_TIMEOUT, "tunnel", NULL,
	    "no byte passed in either direction: "
	    "upstreams.{upstream}.timeouts.tunnel bounds that" },

	/* Of weir. */
	{ FAIL_KILLED, "killed", NULL,
	    "its connection to {endpoint} was closed by hand (weir kill)" },
	{ FAIL_INJECTED, "fault", NULL,
	    "was made to fail by hand (weir fault)" },
	{ FAIL_DRAINED, "drained", NULL,
	    "weir was shutting down and drain_timeout was over: raise it, if "
	    "such exchanges are to end by themselves" },
	{ FAIL_OVERLOADED, "shortage", NULL,
	    "weir was near the end of its memory or descriptors: raise "
	    "max_memory or its limit of open files, or take fewer clients "
	    "(listeners.{listener}.limits.connections)" }
};

const size_t why_n_rules = NELEMS(why_rules);

const struct why_rule *
why_rule(const struct slow_entry *e)
{
	static const struct why_rule none = { FAIL_NONE, "unknown", NULL,
	    "failed after {total}" };
	size_t i;

	/* The last of each reason fits always; a test walks them all. */
	for (i = 0; i < why_n_rules; i++)
		if (why_rules[i].why == e->why && (why_rules[i].fits == NULL ||
		    why_rules[i].fits(e)))
			return &why_rules[i];
	return &none;
}

/* ------------------------------------------------------------ placeholders */

static void
say_ns(FILE *out, int64_t ns)
{
	if (ns >= NS_PER_S)
		fprintf(out, "%.1f s", (double)ns / 1e9);
	else if (ns >= NS_PER_MS)
		fprintf(out, "%lld ms", ns / NS_PER_MS);
	else
		fprintf(out, "%" PRId64 " us", ns / 1000);
}

/* So many connections would have served all who were there. */
static unsigned
enough(const struct slow_entry *e)
{
	unsigned waiting = e->behind > e->pool.waiting ? e->behind :
	    e->pool.waiting;

	return e->pool.max + (waiting > 0 ? waiting : 1);
}

static void
say_counted(FILE *out, unsigned n, const char *one, const char *many)
{
	fprintf(out, "%u %s", n, n == 1 ? one : many);
}

#define SPAN(name, field)                                               \
static void                                                             \
say_ ## name(FILE *out, const struct slow_entry *e)                     \
{                                                                       \
	say_ns(out, e->field);                                          \
}
#define TEXT(name, field)                                               \
static void                                                             \
say_ ## name(FILE *out, const struct slow_entry *e)                     \
{                                                                       \
	fputs(*e->field != '\0' ? e->field : "-", out);                 \
}
#define NUMBER(name, value)                                             \
static void                                                             \
say_ ## name(FILE *out, const struct slow_entry *e)                     \
{                                                                       \
	fprintf(out, "%" PRId64, (int64_t)(value));                     \
}

SPAN(total, total_ns)
SPAN(arrive, arrive_ns)
SPAN(pause, pause_ns)
SPAN(queue, queue_ns)
SPAN(connect, connect_ns)
SPAN(tls, tls_ns)
SPAN(upload, upload_ns)
SPAN(first, first_ns)
SPAN(client, client_ns)
SPAN(idle, idle_ns)
SPAN(transfer, transfer_ns)
TEXT(listener, listener)
TEXT(upstream, upstream)
TEXT(last_error, last_error)
TEXT(said, said)
NUMBER(status, e->status)
NUMBER(max, e->pool.max)
NUMBER(most, e->pool.most)
NUMBER(open, e->open_then)
NUMBER(waiting, e->pool.waiting)
NUMBER(behind, e->behind)
NUMBER(max_pinned, e->pool.max_pinned)
NUMBER(max_waiting, e->pool.max_waiting)
NUMBER(min_idle, e->pool.min_idle)
NUMBER(enough, enough(e))

static void
say_endpoint(FILE *out, const struct slow_entry *e)
{
	fputs(*e->endpoint != '\0' ? e->endpoint : "the server", out);
}

/* Names as others gave them: in a form that none can misuse. */
static void
say_user(FILE *out, const struct slow_entry *e)
{
	char name[DENIED_NAME];

	fputs(denied_name(e->user, name), out);
}

static void
say_database(FILE *out, const struct slow_entry *e)
{
	char name[DENIED_NAME];

	fputs(denied_name(e->database, name), out);
}

static void
say_all_are(FILE *out, const struct slow_entry *e)
{
	if (e->pool.endpoints == 1)
		fprintf(out, "the only endpoint of %s is", e->upstream);
	else
		fprintf(out, "all %u endpoints of %s are", e->pool.endpoints,
		    e->upstream);
}

static void
say_retries(FILE *out, const struct slow_entry *e)
{
	say_counted(out, e->retries, "try", "tries");
}

static void
say_leased_of(FILE *out, const struct slow_entry *e)
{
	if (e->pool.leased >= e->pool.max)
		fputs("all", out);
	else
		fprintf(out, "%u", e->pool.leased);
}

static void
say_client_at(FILE *out, const struct slow_entry *e)
{
	char text[ADDR_TEXT_MAX];

	fputs(addr_ip_print(&e->client, false, text), out);
}

static const struct {
	const char *name;
	void (*say)(FILE *out, const struct slow_entry *e);
} names[] = {
	{ "total", say_total }, { "arrive", say_arrive },
	{ "pause", say_pause }, { "queue", say_queue },
	{ "connect", say_connect }, { "tls", say_tls },
	{ "upload", say_upload }, { "first", say_first },
	{ "client", say_client }, { "idle", say_idle },
	{ "transfer", say_transfer }, { "listener", say_listener },
	{ "upstream", say_upstream }, { "last_error", say_last_error },
	{ "status", say_status }, { "max", say_max }, { "most", say_most },
	{ "open", say_open }, { "waiting", say_waiting },
	{ "behind", say_behind }, { "max_pinned", say_max_pinned },
	{ "max_waiting", say_max_waiting }, { "min_idle", say_min_idle },
	{ "enough", say_enough }, { "endpoint", say_endpoint },
	{ "all_are", say_all_are }, { "retries", say_retries },
	{ "leased_of", say_leased_of }, { "client_at", say_client_at },
	{ "user", say_user }, { "database", say_database }, { "said", say_said }
};

/* at is behind a "{"; its end. What is no name stays as it is, and a test finds
   it. */
static const char *
say_name(FILE *out, const char *at, const struct slow_entry *e)
{
	size_t len = strcspn(at, "}"), i;

	for (i = 0; i < NELEMS(names); i++)
		if (strncmp(names[i].name, at, len) == 0 &&
		    names[i].name[len] == '\0')
			break;
	if (i < NELEMS(names))
		names[i].say(out, e);
	else
		fprintf(out, "{%.*s}", (int)len, at);
	return at[len] == '}' ? at + len + 1 : at + len;
}

void
why_say(const struct why_rule *r, const struct slow_entry *e,
    char out[WHY_TEXT])
{
	FILE *f = fmemopen(out, WHY_TEXT, "w");
	const char *at = r->text;

	out[0] = '\0';
	if (f == NULL)
		return;
	while (*at != '\0')
		if (*at == '{')
			at = say_name(f, at + 1, e);
		else
			putc(*at++, f);
	fclose(f);
	out[WHY_TEXT - 1] = '\0';
}
