/*
 * The rows. See schema.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/schema.h"

#include <string.h>

#include "conf/check.h"

#define MS 1
#define SECOND 1000
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define YEAR (365 * (int64_t)DAY)
#define KIB 1024
#define MIB (1024 * KIB)
#define GIB (1024 * (int64_t)MIB)
#define TIB ((int64_t)1 << 40)
#define MANY 1000000

#define TOP(field) offsetof(struct conf, field)
#define LISTENER(field) offsetof(struct conf_listener, field)
#define UPSTREAM(field) offsetof(struct conf_upstream, field)
#define BIND(field) offsetof(struct bind_words, field)
#define ROUTE(field) offsetof(struct route_words, field)
#define ENDPOINT(field) offsetof(struct endpoint_words, field)
#define CERTIFICATE(field) offsetof(struct conf_certificate, field)
#define LIMIT(field) offsetof(struct conf_limit, field)

static const char *const families[] = { "any", "ipv4", "ipv6", NULL };
static const char *const levels[] = { "error", "warn", "info", "debug", NULL };
static const char *const formats[] = { "text", "json", NULL };
static const char *const access_whens[] = {
	"always", "failed", "slow", NULL
};
static const char *const retries[] = {
	"safe", "idempotent", "all", "off", NULL
};
static const char *const balances[] = {
	"round_robin", "least_conn", "random_two", "source_hash", "key_hash",
	NULL
};
static const char *const key_functions[] = {
	"one_at_a_time", "md5", "crc16", "crc32", "crc32a", "fnv1_64",
	"fnv1a_64", "fnv1_32", "fnv1a_32", "hsieh", "murmur", "jenkins", NULL
};
static const char *const key_rings[] = { "ketama", "modula", "random", NULL };
static const char *const on_downs[] = { "fail", "rehash", NULL };
static const char *const all_downs[] = { "fail", "try", NULL };
static const char *const sandboxes[] = { "on", "log", "off", NULL };
static const char *const stuck_actions[] = { "log", "abort", NULL };
static const char *const tls_versions[] = { "1.2", "1.3", NULL };
static const char *const client_auths[] = {
	"none", "optional", "required", NULL
};
static const char *const proxy_headers[] = { "off", "v1", "v2", NULL };
static const char *const readies[] = { "start", "always", "ignore", NULL };
const char *const schema_modes[] = {
	"session", "transaction", "request", "shared", NULL
};

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
	ROW("max_memory", SIZE, TOP(max_memory_bytes), DEF("off"),
	    RANGE(16 * MIB, TIB), OR_OFF, HELP("memory weir may take; near it "
	    "idle clients are closed, then new ones refused; the cgroup's "
	    "limit when off")),
	ROW("dns", GROUP, BY_HAND, HELP("how names are looked up")),
	ROW("admin", GROUP, BY_HAND, HELP("the admin port")),
	ROW("log", GROUP, BY_HAND, HELP("what is logged and how")),
	ROW("security", GROUP, BY_HAND, HELP("what weir forbids itself")),
	ROW("watchdog", GROUP, BY_HAND, HELP("what becomes of a worker that is "
	    "stuck")),
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
	    .check = check_access,
	    HELP("where a line for each request goes: off, stdout, stderr, "
	    "syslog or a path")),
	ROW("access_when", ENUM, TOP(log.access_when), DEF("always"),
	    .words = access_whens, HELP("which requests get a line")),
	ROW("slow", DURATION, TOP(log.slow_ms), DEF("1s"), RANGE(1, DAY),
	    HELP("from here on a request is slow to access_when")),
	ROW("fields", NAMES, TOP(log.names), DEF("()"), HELP("what a line of "
	    "the access log says, in this order; () is the usual line")),
	LAST
};

const struct conf_key schema_security[] = {
	ROW("sandbox", ENUM, TOP(security.sandbox), DEF("on"),
	    .words = sandboxes, HELP("after the start only the system calls "
	    "and the places in the file system that weir needs; log: only "
	    "tell of other calls; as at the start until the next one")),
	LAST
};

const struct conf_key schema_watchdog[] = {
	ROW("after", DURATION, TOP(watchdog.after_ms), DEF("10s"),
	    RANGE(200 * MS, HOUR), OR_OFF, HELP("a worker whose loop does not "
	    "turn for so long is stuck")),
	ROW("action", ENUM, TOP(watchdog.action), DEF("log"),
	    .words = stuck_actions, HELP("log what it is doing; or abort, with "
	    "a core, besides")),
	LAST
};

const struct conf_key schema_listener[] = {
	ROW("name", STRING, BY_HAND, HELP("its name in logs and statistics; "
	    "required")),
	ROW("bind", STRING, BY_HAND, HELP("\"host:port\", \"[v6]:port\" or "
	    "\"unix:/path\", or a group, or a list of these; required")),
	ROW("protocol", STRING, BY_HAND, HELP("what clients speak; required")),
	ROW("tls", GROUP, BY_HAND, HELP("clients come by TLS; as they are when "
	    "absent")),
	ROW("upstream", STRING, BY_HAND, HELP("upstream of what no route "
	    "takes; required without routes")),
	ROW("routes", LIST, BY_HAND, HELP("upstreams by host and path, or by "
	    "the name that a TLS client asks for; the most specific wins")),
	ROW("limits", GROUP, BY_HAND, HELP("what is too much")),
	ROW("allow", NETS, LISTENER(allow), HELP("networks whose clients may "
	    "come in; all when absent")),
	ROW("deny", NETS, LISTENER(deny), HELP("networks whose clients may "
	    "not; the longest prefix wins, deny wins a tie")),
	ROW("proxy_protocol", GROUP, BY_HAND, HELP("clients that come through "
	    "a proxy which sends a PROXY header; none when absent")),
	ROW("timeouts", GROUP, BY_HAND, HELP("what is too slow, of clients")),
	ROW("max_header", SIZE, LISTENER(max_header_bytes), DEF("32KiB"),
	    RANGE(256, 60 * KIB), HELP("longest head of a request")),
	ROW("max_headers", COUNT, LISTENER(max_headers), DEF("100"),
	    RANGE(1, 256), HELP("most fields in a head")),
	ROW("max_body", SIZE, LISTENER(max_body_bytes), DEF("off"),
	    RANGE(0, TIB), OR_OFF, HELP("longest body of a request")),
	LAST
};

const struct conf_key schema_certificate[] = {
	ROW("certificate", FILE, CERTIFICATE(certificate), HELP("PEM file: a "
	    "certificate and those between it and its CA; required")),
	ROW("key", FILE, CERTIFICATE(key), HELP("PEM file with its key, not "
	    "encrypted; that of the certificate when absent")),
	ROW("ocsp", FILE, CERTIFICATE(ocsp), HELP("DER file with an OCSP "
	    "answer to staple to it")),
	LAST
};

/* What both sides of TLS have; the group is at `tls` of the struct. */
#define TLS_CHOICES(at) \
	ROW("min_version", ENUM, at(tls.common.min_version), DEF("1.2"), \
	    .words = tls_versions, HELP("oldest version of TLS")), \
	ROW("max_version", ENUM, at(tls.common.max_version), DEF("1.3"), \
	    .words = tls_versions, HELP("newest version of TLS")), \
	ROW("ciphers", STRING, at(tls.common.ciphers), HELP("ciphers of TLS " \
	    "1.2 as OpenSSL names them, with \":\" between; ECDHE with " \
	    "AES-GCM or ChaCha20 when absent")), \
	ROW("ciphersuites", STRING, at(tls.common.ciphersuites), HELP( \
	    "ciphers of TLS 1.3, likewise; all three when absent")), \
	ROW("groups", STRING, at(tls.common.groups), HELP("groups of the key " \
	    "exchange, likewise; X25519:prime256v1:secp384r1 when absent")), \
	ROW("alpn", NAMES, at(tls.common.alpn), DEF("()"), \
	    .check = check_alpn, HELP("protocols to agree on (ALPN), best " \
	    "first; none when empty"))

const struct conf_key schema_listener_tls[] = {
	ROW("certificate", FILE, LISTENER(tls.common.certificate), HELP("PEM "
	    "file: the certificate and those between it and its CA; this or "
	    "certificates is required")),
	ROW("key", FILE, LISTENER(tls.common.key), HELP("PEM file with its "
	    "key, not encrypted; that of the certificate when absent")),
	ROW("ocsp", FILE, LISTENER(tls.ocsp), HELP("DER file with an OCSP "
	    "answer to staple to it")),
	ROW("certificates", RECORDS, LISTENER(tls.certificates),
	    .record = schema_certificate,
	    .record_size = sizeof(struct conf_certificate),
	    HELP("several, chosen by the name that clients ask for (SNI) and "
	    "the kinds of keys they know; the first is for all other names")),
	TLS_CHOICES(LISTENER),
	ROW("client_auth", ENUM, LISTENER(tls.client_auth), DEF("none"),
	    .words = client_auths, HELP("do clients show certificates? A bad "
	    "one is refused in any case")),
	ROW("client_ca", FILE, LISTENER(tls.common.ca), HELP("PEM file with "
	    "the certificates that have to have signed theirs")),
	ROW("crl", FILE, LISTENER(tls.common.crl), HELP("PEM file with lists "
	    "of revoked ones, one of each CA")),
	ROW("tickets", BOOL, LISTENER(tls.tickets), DEF("true"), HELP("let "
	    "clients keep their sessions in tickets")),
	ROW("session_timeout", DURATION, LISTENER(tls.session_timeout_ms),
	    DEF("1h"), RANGE(SECOND, 7 * DAY), HELP("a session can be taken up "
	    "for so long")),
	ROW("max_handshakes", COUNT, LISTENER(tls.max_handshakes), DEF("off"),
	    RANGE(1, MANY), OR_OFF, HELP("handshakes that run at once")),
	ROW("watch", BOOL, LISTENER(tls.common.watch), DEF("false"),
	    HELP("read the files again when they change")),
	LAST
};

#define COUNTED RANGE(1, 10 * MANY), OR_OFF
#define PER_SECOND RANGE(16 * KIB, 10 * GIB), OR_OFF

const struct conf_key schema_limits[] = {
	ROW("connections", LIMIT,
	    LISTENER(limits[CONF_LIMIT_CONNECTIONS]), DEF("off"), COUNTED,
	    HELP("clients connected at once; or a group")),
	ROW("connections_per_client", LIMIT,
	    LISTENER(limits[CONF_LIMIT_CONNECTIONS_PER_CLIENT]), DEF("off"),
	    COUNTED, HELP("the same of one address; or a group as of "
	    "connections")),
	ROW("connection_rate", RATE,
	    LISTENER(limits[CONF_LIMIT_CONNECTION_RATE]), DEF("off"), COUNTED,
	    HELP("clients that come in a time; or a group as of "
	    "request_rate")),
	ROW("connection_rate_per_client", RATE,
	    LISTENER(limits[CONF_LIMIT_CONNECTION_RATE_PER_CLIENT]),
	    DEF("off"), COUNTED, HELP("the same of one address; or a group as "
	    "of request_rate")),
	ROW("request_rate", RATE, LISTENER(limits[CONF_LIMIT_REQUEST_RATE]),
	    DEF("off"), COUNTED, HELP("requests in a time; or a group")),
	ROW("request_rate_per_client", RATE,
	    LISTENER(limits[CONF_LIMIT_REQUEST_RATE_PER_CLIENT]), DEF("off"),
	    COUNTED, HELP("the same of one client; or a group as of "
	    "request_rate")),
	ROW("bandwidth_per_client", BANDWIDTH,
	    LISTENER(limits[CONF_LIMIT_BANDWIDTH_PER_CLIENT]), DEF("off"),
	    PER_SECOND, HELP("bytes of one client in both directions; or a "
	    "group")),
	ROW("client", STRING, BY_HAND, DEF("address"), HELP("who a client of a "
	    "request is: its \"address\", or what \"header:NAME\" says")),
	LAST
};

#define SHADOW ROW("shadow", BOOL, LIMIT(shadow), DEF("false"), \
	HELP("only count what would be too much, refuse nothing"))

static const struct conf_key limit_keys[] = {
	ROW("max", LIMIT, LIMIT(most), COUNTED, HELP("how many at once; "
	    "required")),
	SHADOW,
	LAST
};

static const struct conf_key rate_keys[] = {
	ROW("rate", RATE, LIMIT(most), COUNTED, HELP("how many in a time, such "
	    "as \"100/s\", \"6000/m\" or \"10/h\"; required")),
	ROW("burst", COUNT, LIMIT(burst), RANGE(1, 10 * MANY), HELP("how many "
	    "at once after a pause; a tenth of a second's worth when absent, "
	    "at least 1")),
	SHADOW,
	LAST
};

static const struct conf_key bandwidth_keys[] = {
	ROW("rate", BANDWIDTH, LIMIT(most), PER_SECOND, HELP("how much in a "
	    "second, such as \"1MiB/s\"; required")),
	ROW("burst", SIZE, LIMIT(burst), RANGE(16 * KIB, GIB), HELP("how much "
	    "at once after a pause; a tenth of a second's worth when absent, "
	    "at least 64KiB")),
	SHADOW,
	LAST
};

static const struct conf_key delay_keys[] = {
	ROW("rate", RATE, LIMIT(most), COUNTED, HELP("how many in a time, such "
	    "as \"100/s\", \"6000/m\" or \"10/h\"; required")),
	ROW("burst", COUNT, LIMIT(burst), RANGE(1, 10 * MANY), HELP("how many "
	    "at once after a pause; a tenth of a second's worth when absent, "
	    "at least 1")),
	ROW("wait", DURATION, LIMIT(wait_ms), DEF("2s"), RANGE(0, HOUR),
	    HELP("longest delay of a request; one that would wait longer is "
	    "refused at once")),
	SHADOW,
	LAST
};

const struct conf_key schema_proxy_protocol[] = {
	ROW("from", NETS, LISTENER(proxy_protocol.from), DEF("()"),
	    HELP("networks of the proxies that send a PROXY header first; from "
	    "all others it is not read")),
	ROW("unix", BOOL, LISTENER(proxy_protocol.from_unix), DEF("false"),
	    HELP("so does who connects to a Unix socket")),
	LAST
};

const struct conf_key schema_listener_times[] = {
	ROW("handshake", DURATION, LISTENER(timeouts.handshake_ms),
	    DEF("10s"), RANGE(1, HOUR), HELP("for what comes before the "
	    "protocol: a PROXY header, the TLS handshake, a ClientHello that "
	    "routes go by")),
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
	ROW("sni", STRING, ROUTE(sni), HELP("name that a TLS client asks for, "
	    "as host; any, or none, when absent")),
	ROW("alpn", STRING, ROUTE(alpn), HELP("protocol that a TLS client "
	    "offers, such as \"h2\"; any, or none, when absent")),
	ROW("upstream", STRING, ROUTE(upstream), HELP("upstream that takes it; "
	    "required")),
	ROW("retry", ENUM, ROUTE(retry), DEF("safe"), .words = retries,
	    HELP("which methods may be sent again after a failure")),
	LAST
};

const struct conf_key schema_upstream[] = {
	ROW("name", STRING, BY_HAND, HELP("its name in listeners, routes and "
	    "statistics; required")),
	ROW("protocol", STRING, BY_HAND, HELP("what its servers speak; that "
	    "of its listeners when absent")),
	ROW("endpoints", LIST, BY_HAND, HELP("its servers: \"host:port\", "
	    "\"[v6]:port\", \"unix:/path\" or groups; required")),
	ROW("tls", GROUP, BY_HAND, HELP("its servers are spoken to by TLS; as "
	    "they are when absent")),
	ROW("balance", ENUM, UPSTREAM(balance), DEF("round_robin"),
	    .words = balances, HELP("which endpoint is next")),
	ROW("key_hash", GROUP, BY_HAND, HELP("which endpoint has a key, with "
	    "balance = \"key_hash\"")),
	ROW("send_proxy_protocol", ENUM, UPSTREAM(send_proxy), DEF("off"),
	    .words = proxy_headers, HELP("connections begin with a PROXY "
	    "header that names the client, who then has them alone")),
	ROW("pool", GROUP, BY_HAND, HELP("connections kept and shared")),
	ROW("timeouts", GROUP, BY_HAND, HELP("what is too slow, of servers")),
	ROW("retry", GROUP, BY_HAND, HELP("second attempts; none when absent")),
	ROW("health", GROUP, BY_HAND, HELP("checks of endpoints; none when "
	    "absent")),
	ROW("outlier", GROUP, BY_HAND, HELP("endpoints left alone after "
	    "faults in a row; none when absent")),
	ROW("when_all_down", ENUM, UPSTREAM(when_all_down), DEF("fail"),
	    .words = all_downs, HELP("without a usable endpoint: fail at once, "
	    "or try those that are down")),
	ROW("slow_start", DURATION, UPSTREAM(slow_start_ms), DEF("off"),
	    RANGE(1, HOUR), OR_OFF, HELP("an endpoint that comes back takes so "
	    "long to its full weight")),
	ROW("limits", GROUP, BY_HAND, HELP("what its servers shall not bear")),
	ROW("ready", ENUM, UPSTREAM(ready), DEF("start"), .words = readies,
	    HELP("counts for readiness: start (until once warm), always, "
	    "ignore")),
	LAST
};

const struct conf_key schema_upstream_tls[] = {
	ROW("verify", BOOL, UPSTREAM(tls.verify), DEF("true"), HELP("refuse a "
	    "server whose certificate is not for its name, not valid, or not "
	    "signed by a CA that is known")),
	ROW("ca", FILE, UPSTREAM(tls.common.ca), HELP("PEM file with the "
	    "certificates that have to have signed theirs; the system's when "
	    "absent")),
	ROW("crl", FILE, UPSTREAM(tls.common.crl), HELP("PEM file with lists "
	    "of revoked ones, one of each CA")),
	ROW("server_name", STRING, UPSTREAM(tls.server_name),
	    .check = check_server_name, HELP("name to ask for (SNI) and to "
	    "verify; the host of the endpoint when absent")),
	ROW("certificate", FILE, UPSTREAM(tls.common.certificate), HELP("PEM "
	    "file: a certificate to show, and those between it and its CA")),
	ROW("key", FILE, UPSTREAM(tls.common.key), HELP("PEM file with its "
	    "key, not encrypted; that of the certificate when absent")),
	TLS_CHOICES(UPSTREAM),
	ROW("watch", BOOL, UPSTREAM(tls.common.watch), DEF("false"),
	    HELP("read the files again when they change")),
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
	ROW("adapt", BOOL, UPSTREAM(pool.adapt), DEF("false"), HELP("use fewer "
	    "than max for a while when the server says that it has too many "
	    "clients")),
	ROW("failover_hold", DURATION, UPSTREAM(pool.failover_hold_ms),
	    DEF("off"), RANGE(1, HOUR), OR_OFF, HELP("how long new requests "
	    "wait for a new primary when the old one has gone")),
	ROW("max_per_user", COUNT, UPSTREAM(pool.max_per_user), DEF("off"),
	    RANGE(1, MANY), OR_OFF, HELP("connections of one user, where the "
	    "protocol has such")),
	ROW("max_per_database", COUNT, UPSTREAM(pool.max_per_database),
	    DEF("off"), RANGE(1, MANY), OR_OFF, HELP("connections of one "
	    "database, likewise")),
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
	ROW("leak_after", DURATION, UPSTREAM(pool.leak_after_ms), DEF("off"),
	    RANGE(1, YEAR), OR_OFF, HELP("a lease held longer is told of in "
	    "the log, and counted")),
	ROW("shared", COUNT, UPSTREAM(pool.shared), DEF("1"), RANGE(1, 256),
	    HELP("mode shared: connections that are shared, for each worker, "
	    "endpoint and key (database, user)")),
	ROW("max_pinned", COUNT, UPSTREAM(pool.max_pinned), RANGE(0, MANY),
	    HELP("mode shared: connections that may be one client's for a "
	    "while (transactions, blocking commands, subscriptions); half of "
	    "max when absent")),
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
	ROW("total", DURATION, UPSTREAM(timeouts.total_ms), DEF("off"),
	    RANGE(1, YEAR), OR_OFF, HELP("from the request's head to the end "
	    "of the reply, waits and retries included")),
	ROW("query", DURATION, UPSTREAM(timeouts.query_ms), DEF("off"),
	    RANGE(1, YEAR), OR_OFF, HELP("transaction mode: a request, then "
	    "it is cancelled")),
	ROW("transaction_idle", DURATION,
	    UPSTREAM(timeouts.transaction_idle_ms), DEF("off"),
	    RANGE(1, YEAR), OR_OFF, HELP("transaction mode: a client that "
	    "asks for nothing inside of a transaction")),
	LAST
};

const struct conf_key schema_key_hash[] = {
	ROW("function", ENUM, UPSTREAM(key_hash.function), DEF("fnv1a_64"),
	    .words = key_functions, HELP("what makes a number of a key; "
	    "twemproxy's hash")),
	ROW("ring", ENUM, UPSTREAM(key_hash.ring), DEF("ketama"),
	    .words = key_rings, HELP("what makes an endpoint of the number; "
	    "twemproxy's distribution")),
	ROW("tag", STRING, UPSTREAM(key_hash.tag), DEF(""),
	    .check = check_tag, HELP("two characters: only what stands between "
	    "them counts; twemproxy's hash_tag")),
	ROW("on_down", ENUM, UPSTREAM(key_hash.on_down), DEF("fail"),
	    .words = on_downs, HELP("keys of an endpoint that is not usable: "
	    "fail, or go to the others")),
	LAST
};

const struct conf_key schema_retry[] = {
	ROW("max_retries", COUNT, UPSTREAM(retry.max_retries), DEF("1"),
	    RANGE(0, 10), HELP("attempts after the first")),
	ROW("backoff", DURATION, UPSTREAM(retry.backoff_ms), DEF("25ms"),
	    RANGE(0, HOUR), HELP("longest pause before the first retry; twice "
	    "that before each further one")),
	ROW("max_backoff", DURATION, UPSTREAM(retry.max_backoff_ms),
	    DEF("1s"), RANGE(0, HOUR), HELP("and no pause is longer")),
	ROW("budget", SHARE, UPSTREAM(retry.budget), DEF("0.2"),
	    HELP("most retries, as a share of the requests")),
	LAST
};

const struct conf_key schema_health[] = {
	ROW("type", STRING, BY_HAND, HELP("what is asked: \"tcp\" (to be "
	    "connected to is enough) or a protocol; the upstream's own where "
	    "it can be asked, else \"tcp\"")),
	ROW("path", STRING, UPSTREAM(health.path), DEF("/"),
	    .check = check_target, HELP("target of the request")),
	ROW("host", STRING, UPSTREAM(health.host), .check = check_host,
	    HELP("Host of the request; the endpoint's address when absent")),
	ROW("service", STRING, UPSTREAM(health.service),
	    .check = check_service, HELP("type \"grpc\": the service that is "
	    "asked after; the whole server when absent")),
	ROW("expect", STATUSES, UPSTREAM(health.expect), DEF("200-399"),
	    HELP("statuses of a good answer")),
	ROW("interval", DURATION, UPSTREAM(health.interval_ms), DEF("2s"),
	    RANGE(10 * MS, HOUR), HELP("from one check to the next")),
	ROW("timeout", DURATION, UPSTREAM(health.timeout_ms), DEF("1s"),
	    RANGE(1, HOUR), HELP("for the whole check")),
	ROW("rise", COUNT, UPSTREAM(health.rise), DEF("2"), RANGE(1, 100),
	    HELP("good ones in a row until it is up again")),
	ROW("fall", COUNT, UPSTREAM(health.fall), DEF("3"), RANGE(1, 100),
	    HELP("bad ones in a row until it is down")),
	ROW("port", COUNT, UPSTREAM(health.port), RANGE(1, 65535),
	    HELP("port to ask; the endpoint's own when absent")),
	LAST
};

const struct conf_key schema_outlier[] = {
	ROW("failures", COUNT, UPSTREAM(outlier.failures), DEF("5"),
	    RANGE(1, 1000), HELP("faults in a row until an endpoint is "
	    "ejected")),
	ROW("eject_for", DURATION, UPSTREAM(outlier.eject_for_ms), DEF("10s"),
	    RANGE(10 * MS, DAY), HELP("for how long, the first time")),
	ROW("max_ejected", SHARE, UPSTREAM(outlier.max_ejected), DEF("0.5"),
	    HELP("most endpoints ejected at once, as a share of all")),
	LAST
};

const struct conf_key schema_upstream_limits[] = {
	ROW("request_rate", RATE, UPSTREAM(request_rate), DEF("off"), COUNTED,
	    HELP("requests in a time; those beyond it wait; or a group")),
	ROW("retry_after", BOOL, UPSTREAM(retry_after), DEF("false"),
	    HELP("obey a server's Retry-After")),
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
	ROW("backup", BOOL, ENDPOINT(backup), DEF("false"), HELP("used only "
	    "while no other endpoint is usable")),
	ROW("max", COUNT, ENDPOINT(max), DEF("off"), RANGE(1, MANY), OR_OFF,
	    HELP("its connections at most")),
	LAST
};

const struct schema_section schema_sections[] = {
	{ "", "", "the file itself", schema_top },
	{ "dns", "dns", "how names are looked up", schema_dns },
	{ "admin", "admin", "the admin port", schema_admin },
	{ "log", "log", "what is logged", schema_log },
	{ "security", "security", "what weir forbids itself", schema_security },
	{ "watchdog", "watchdog", "workers that are stuck", schema_watchdog },
	{ "listeners[]", "", "where clients come in", schema_listener },
	{ "listeners[].bind", "bind", "an address in full (bind may be a text)",
	    schema_bind },
	{ "listeners[].tls", "tls", "clients come by TLS",
	    schema_listener_tls },
	{ "listeners[].tls.certificates[]", "", "one of several",
	    schema_certificate },
	{ "listeners[].routes[]", "routes", "which upstream takes what",
	    schema_route },
	{ "listeners[].limits", "limits", "what is too much", schema_limits },
	{ "listeners[].limits.connections", "", "a limit in full", limit_keys },
	{ "listeners[].limits.request_rate", "", "a rate in full", rate_keys },
	{ "listeners[].limits.bandwidth_per_client", "", "it in full",
	    bandwidth_keys },
	{ "listeners[].proxy_protocol", "proxy_protocol", "clients that come "
	    "through a proxy", schema_proxy_protocol },
	{ "listeners[].timeouts", "timeouts", "what is too slow, of clients",
	    schema_listener_times },
	{ "upstreams[]", "", "where requests go", schema_upstream },
	{ "upstreams[].endpoints[]", "endpoints", "a server in full (it may be "
	    "a text)", schema_endpoint },
	{ "upstreams[].tls", "upstream.tls", "servers are spoken to by TLS",
	    schema_upstream_tls },
	{ "upstreams[].key_hash", "key_hash", "which endpoint has a key",
	    schema_key_hash },
	{ "upstreams[].pool", "pool", "connections kept and shared",
	    schema_pool },
	{ "upstreams[].timeouts", "timeouts", "what is too slow, of servers",
	    schema_upstream_times },
	{ "upstreams[].retry", "retry", "second attempts", schema_retry },
	{ "upstreams[].health", "health", "checks of endpoints",
	    schema_health },
	{ "upstreams[].outlier", "outlier", "endpoints left alone after "
	    "faults in a row", schema_outlier },
	{ "upstreams[].limits", "limits", "what its servers shall not bear",
	    schema_upstream_limits },
	{ "upstreams[].limits.request_rate", "", "a rate in full", delay_keys },
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

const struct conf_key *
schema_limit_keys(const struct conf_key *row)
{
	if (row->type == CONF_LIMIT)
		return limit_keys;
	if (row->type == CONF_BANDWIDTH)
		return bandwidth_keys;
	return row == &schema_upstream_limits[0] ? delay_keys : rate_keys;
}

const char *
schema_default(const struct conf_key *key, const char *prefix,
    const struct conf_proto *proto)
{
	size_t n = strlen(prefix);

	if (proto == NULL)
		return key->def;
	if (strcmp(prefix, "pool") == 0 && strcmp(key->name, "mode") == 0 &&
	    proto->default_mode != NULL)
		return proto->default_mode;
	for (size_t i = 0; proto->defaults != NULL &&
	    proto->defaults[i] != NULL; i += 2) {
		const char *path = proto->defaults[i];

		if (strncmp(path, prefix, n) == 0 &&
		    (n == 0 || path[n] == '.') &&
		    strcmp(path + n + (n > 0), key->name) == 0)
			return proto->defaults[i + 1];
	}
	return key->def;
}
