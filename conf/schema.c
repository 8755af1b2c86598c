/*
 * The rows. See schema.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/schema.h"

#include <stdio.h>
#include <string.h>

#define MS 1
#define SECOND 1000
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define YEAR (365 * (int64_t)DAY)
#define KIB 1024
#define TIB ((int64_t)1 << 40)
#define MANY 1000000

#define TOP(field) offsetof(struct conf, field)
#define LISTENER(field) offsetof(struct conf_listener, field)
#define UPSTREAM(field) offsetof(struct conf_upstream, field)
#define BIND(field) offsetof(struct bind_words, field)
#define ROUTE(field) offsetof(struct route_words, field)
#define ENDPOINT(field) offsetof(struct endpoint_words, field)

static const char *const families[] = { "any", "ipv4", "ipv6", NULL };
static const char *const levels[] = { "error", "warn", "info", "debug", NULL };
static const char *const formats[] = { "text", "json", NULL };
static const char *const balances[] = { "round_robin", "least_conn", NULL };
static const char *const readies[] = { "start", "always", "ignore", NULL };
const char *const schema_modes[] = {
	"session", "transaction", "request", "shared", NULL
};

static int
access_check(const char *value, const char **why)
{
	if (strcmp(value, "off") == 0)
		return 0;
	*why = "only \"off\" is available";
	return -1;
}

/* name, type, offset, def, min, max, may_be_off, words, help, check */
#define ROW(n, t, o, ...) { .name = (n), .type = CONF_##t, \
	.offset = (o), __VA_ARGS__ }
#define DEF(text) .def = (text)
#define RANGE(low, high) .min = (low), .max = (high)
#define OR_OFF .may_be_off = true
#define HELP(text) .help = (text)
#define LAST { .name = NULL }

const struct conf_key schema_top[] = {
	ROW("workers", COUNT, TOP(workers), DEF("1"), RANGE(0, 256),
	    HELP("event-loop threads; 0 = one per CPU")),
	ROW("drain_delay", DURATION, TOP(drain_delay_ms), DEF("0s"),
	    RANGE(0, DAY), HELP("after SIGTERM: not ready for so long before "
	    "listeners close")),
	ROW("drain_timeout", DURATION, TOP(drain_timeout_ms), DEF("20s"),
	    RANGE(0, DAY), HELP("then so long for exchanges to end")),
	ROW("user", STRING, TOP(user), HELP("user to become when started as "
	    "root")),
	ROW("group", STRING, TOP(group), HELP("group to become when started "
	    "as root; the user's own when absent")),
	ROW("dns", GROUP, BY_HAND, HELP("how names are looked up")),
	ROW("admin", GROUP, BY_HAND, HELP("the admin port")),
	ROW("log", GROUP, BY_HAND, HELP("what is logged and how")),
	ROW("listeners", LIST, BY_HAND, HELP("where clients come in")),
	ROW("upstreams", LIST, BY_HAND, HELP("where their requests go")),
	LAST
};

const struct conf_key schema_dns[] = {
	ROW("families", ENUM, TOP(dns.families), DEF("any"), .words = families,
	    HELP("addresses to ask for and use")),
	ROW("max_ttl", DURATION, TOP(dns.max_ttl_ms), DEF("30s"),
	    RANGE(100 * MS, DAY), HELP("names are looked up again at least so "
	    "often")),
	LAST
};

const struct conf_key schema_admin[] = {
	ROW("bind", STRING, BY_HAND, DEF("127.0.0.1:9901"),
	    HELP("address of the admin port, or a group as for listeners, or "
	    "\"off\"")),
	ROW("probe_bind", STRING, BY_HAND, DEF("off"),
	    HELP("a second address that serves only GET /healthz, /readyz and "
	    "/metrics, without token")),
	ROW("token_file", STRING, TOP(admin.token_file),
	    HELP("file with the token that requests must bring; needed when "
	    "bind is neither loopback nor a Unix socket")),
	ROW("hosts", NAMES, BY_HAND, DEF("()"),
	    HELP("names accepted in the Host field besides IP addresses and "
	    "localhost")),
	LAST
};

const struct conf_key schema_log[] = {
	ROW("level", ENUM, TOP(log.level), DEF("info"), .words = levels,
	    HELP("least important line that is written")),
	ROW("format", ENUM, TOP(log.format), DEF("text"), .words = formats,
	    HELP("how lines look")),
	ROW("access", STRING, TOP(log.access), DEF("off"),
	    .check = access_check,
	    HELP("where a line for each request goes; only \"off\" is "
	    "available")),
	LAST
};

const struct conf_key schema_listener[] = {
	ROW("name", STRING, BY_HAND, HELP("its name in logs and statistics; "
	    "required")),
	ROW("bind", STRING, BY_HAND, HELP("\"host:port\", \"[v6]:port\" or "
	    "\"unix:/path\", or a group, or a list of these; required")),
	ROW("protocol", STRING, BY_HAND, HELP("what clients speak; required")),
	ROW("upstream", STRING, BY_HAND, HELP("upstream of what no route "
	    "takes; required without routes")),
	ROW("routes", LIST, BY_HAND, HELP("upstreams by host and path; the "
	    "most specific wins")),
	ROW("limits", GROUP, BY_HAND, HELP("what is too much")),
	ROW("timeouts", GROUP, BY_HAND, HELP("what is too slow, of clients")),
	ROW("max_header", SIZE, LISTENER(max_header_bytes), DEF("32KiB"),
	    RANGE(256, 60 * KIB), HELP("longest head of a request")),
	ROW("max_headers", COUNT, LISTENER(max_headers), DEF("100"),
	    RANGE(1, 256), HELP("most fields in a head")),
	ROW("max_body", SIZE, LISTENER(max_body_bytes), DEF("off"),
	    RANGE(0, TIB), OR_OFF, HELP("longest body of a request")),
	LAST
};

const struct conf_key schema_limits[] = {
	ROW("connections", COUNT, LISTENER(limits.connections), DEF("off"),
	    RANGE(1, 10 * MANY), OR_OFF, HELP("clients connected at once")),
	LAST
};

const struct conf_key schema_listener_times[] = {
	ROW("header", DURATION, LISTENER(timeouts.header_ms), DEF("10s"),
	    RANGE(1, YEAR), OR_OFF, HELP("for a whole head")),
	ROW("body", DURATION, LISTENER(timeouts.body_ms), DEF("30s"),
	    RANGE(1, YEAR), OR_OFF, HELP("for each 64 KiB of a body")),
	ROW("idle", DURATION, LISTENER(timeouts.idle_ms), DEF("60s"),
	    RANGE(1, YEAR), OR_OFF, HELP("client connected, no exchange open")),
	LAST
};

const struct conf_key schema_bind[] = {
	ROW("address", STRING, BIND(address), HELP("\"host:port\", "
	    "\"[v6]:port\" or \"unix:/path\"; required")),
	ROW("mode", STRING, BIND(mode), HELP("permissions of a Unix socket, "
	    "such as \"0660\"; as the umask says when absent")),
	ROW("owner", STRING, BIND(owner), HELP("user that owns a Unix "
	    "socket")),
	ROW("group", STRING, BIND(group), HELP("group that owns a Unix "
	    "socket")),
	ROW("backlog", COUNT, BIND(backlog), DEF("4096"), RANGE(1, 65535),
	    HELP("connections that may wait to be accepted")),
	LAST
};

const struct conf_key schema_route[] = {
	ROW("host", STRING, ROUTE(host), HELP("\"api.example.com\", or "
	    "\"*.example.com\" for all names below; any host when absent")),
	ROW("path", STRING, ROUTE(path), HELP("prefix of the path, such as "
	    "\"/static/\"; any path when absent")),
	ROW("upstream", STRING, ROUTE(upstream), HELP("upstream that takes it; "
	    "required")),
	LAST
};

const struct conf_key schema_upstream[] = {
	ROW("name", STRING, BY_HAND, HELP("its name in listeners, routes and "
	    "statistics; required")),
	ROW("protocol", STRING, BY_HAND, HELP("what its servers speak; that "
	    "of its listeners when absent")),
	ROW("endpoints", LIST, BY_HAND, HELP("its servers: \"host:port\", "
	    "\"[v6]:port\", \"unix:/path\" or groups; required")),
	ROW("balance", ENUM, UPSTREAM(balance), DEF("round_robin"),
	    .words = balances, HELP("which endpoint is next")),
	ROW("pool", GROUP, BY_HAND, HELP("connections kept and shared")),
	ROW("timeouts", GROUP, BY_HAND, HELP("what is too slow, of servers")),
	ROW("ready", ENUM, UPSTREAM(ready), DEF("start"), .words = readies,
	    HELP("counts for readiness: start (until once warm), always, "
	    "ignore")),
	LAST
};

const struct conf_key schema_pool[] = {
	ROW("mode", ENUM, UPSTREAM(pool.span), DEF("session"),
	    .words = schema_modes, HELP("how long a client keeps a connection; "
	    "shared: replies in order on common ones")),
	ROW("min_idle", COUNT, UPSTREAM(pool.min_idle), DEF("0"),
	    RANGE(0, MANY), HELP("opened at start and kept warm")),
	ROW("max", COUNT, UPSTREAM(pool.max), DEF("64"), RANGE(1, MANY),
	    HELP("connections of this upstream, over all workers and "
	    "endpoints: a hard cap")),
	ROW("max_idle", COUNT, UPSTREAM(pool.max_idle), RANGE(0, MANY),
	    HELP("idle ones kept; as max when absent")),
	ROW("max_per_endpoint", COUNT, UPSTREAM(pool.max_per_endpoint),
	    DEF("off"), RANGE(1, MANY), OR_OFF, HELP("connections of one "
	    "endpoint")),
	ROW("max_waiting", COUNT, UPSTREAM(pool.max_waiting), DEF("1024"),
	    RANGE(0, 10 * MANY), HELP("more waiters are refused at once")),
	ROW("queue_timeout", DURATION, UPSTREAM(pool.queue_timeout_ms),
	    DEF("2s"), RANGE(0, YEAR), OR_OFF, HELP("longest wait for a "
	    "connection")),
	ROW("idle_timeout", DURATION, UPSTREAM(pool.idle_timeout_ms),
	    DEF("60s"), RANGE(1, YEAR), OR_OFF, HELP("closed after this long "
	    "unused")),
	ROW("max_lifetime", DURATION, UPSTREAM(pool.max_lifetime_ms),
	    DEF("off"), RANGE(1, YEAR), OR_OFF, HELP("retired when older, "
	    "spread by 10 % either way")),
	ROW("max_requests", COUNT, UPSTREAM(pool.max_requests), DEF("0"),
	    RANGE(0, (int64_t)MANY * MANY), HELP("uses before retirement; 0 = "
	    "no limit")),
	ROW("tcp_keepalive", DURATION, UPSTREAM(pool.tcp_keepalive_ms),
	    DEF("30s"), RANGE(SECOND, 32767 * SECOND), OR_OFF,
	    HELP("silence before the kernel asks whether the peer is there")),
	LAST
};

const struct conf_key schema_upstream_times[] = {
	ROW("connect", DURATION, UPSTREAM(timeouts.connect_ms), DEF("2s"),
	    RANGE(1, HOUR), HELP("for a connection to be made")),
	ROW("response", DURATION, UPSTREAM(timeouts.response_ms), DEF("30s"),
	    RANGE(1, YEAR), OR_OFF, HELP("from the request sent to a whole "
	    "head of the reply")),
	ROW("stall", DURATION, UPSTREAM(timeouts.stall_ms), DEF("60s"),
	    RANGE(1, YEAR), OR_OFF, HELP("no byte inside a reply")),
	ROW("tunnel", DURATION, UPSTREAM(timeouts.tunnel_ms), DEF("1h"),
	    RANGE(1, YEAR), OR_OFF, HELP("both directions silent, on TCP or "
	    "after an upgrade")),
	LAST
};

const struct conf_key schema_endpoint[] = {
	ROW("name", STRING, ENDPOINT(name), HELP("its name in statistics; the "
	    "address when absent")),
	ROW("address", STRING, ENDPOINT(address), HELP("\"host:port\", "
	    "\"[v6]:port\" or \"unix:/path\"; this or srv is required")),
	ROW("srv", STRING, ENDPOINT(srv), HELP("SRV name to look up, such as "
	    "\"_http._tcp.app.svc\"")),
	ROW("weight", COUNT, ENDPOINT(weight), DEF("1"), RANGE(1, 1000),
	    HELP("its share of the work")),
	ROW("max", COUNT, ENDPOINT(max), DEF("off"), RANGE(1, MANY), OR_OFF,
	    HELP("its connections at most")),
	LAST
};

const struct schema_section schema_sections[] = {
	{ "", "", "the file itself", schema_top },
	{ "dns", "dns", "how names are looked up", schema_dns },
	{ "admin", "admin", "the admin port", schema_admin },
	{ "log", "log", "what is logged", schema_log },
	{ "listeners[]", "", "where clients come in", schema_listener },
	{ "listeners[].bind", "bind", "an address in full (bind may be a text)",
	    schema_bind },
	{ "listeners[].routes[]", "routes", "which upstream takes what",
	    schema_route },
	{ "listeners[].limits", "limits", "what is too much", schema_limits },
	{ "listeners[].timeouts", "timeouts", "what is too slow, of clients",
	    schema_listener_times },
	{ "upstreams[]", "", "where requests go", schema_upstream },
	{ "upstreams[].endpoints[]", "endpoints", "a server in full (it may be "
	    "a text)", schema_endpoint },
	{ "upstreams[].pool", "pool", "connections kept and shared",
	    schema_pool },
	{ "upstreams[].timeouts", "timeouts", "what is too slow, of servers",
	    schema_upstream_times },
	{ NULL, NULL, NULL, NULL }
};

const struct conf_key *
schema_find(const struct conf_key *keys, const char *name)
{
	for (; keys != NULL && keys->name != NULL; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

const char *
schema_default(const struct conf_key *key, const char *prefix,
    const struct conf_proto *proto)
{
	char path[128];

	if (proto == NULL)
		return key->def;
	if (strcmp(prefix, "pool") == 0 && strcmp(key->name, "mode") == 0 &&
	    proto->default_mode != NULL)
		return proto->default_mode;
	snprintf(path, sizeof(path), "%s%s%s", prefix,
	    *prefix != '\0' ? "." : "", key->name);
	for (size_t i = 0; proto->defaults != NULL &&
	    proto->defaults[i] != NULL; i += 2)
		if (strcmp(proto->defaults[i], path) == 0)
			return proto->defaults[i + 1];
	return key->def;
}
