/*
 * HTTP as a protocol of weir: its keys, its row in the table. See http.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/http.h"

#include <string.h>
#include <strings.h>

#include "net/tls_server.h"
#include "proxy/proto/http/back2.h"
#include "proxy/proto/http/client_cert.h"
#include "proxy/proto/http/front2.h"
#include "proxy/proto/http/probe.h"
#include "proxy/runtime.h"

static const char *const forwarded_words[] = {
	"append", "replace", "off", NULL
};

/* A header field's value or a host: nothing that could end its line. */
static int
check_line(const char *value, const char **why)
{
	for (; *value != '\0'; value++)
		if ((unsigned char)*value < 0x20 || *value == 0x7f) {
			*why = "control characters cannot be sent in a header";
			return -1;
		}
	return 0;
}

/* An empty Host would be a lie, and a strict server refuses it. */
static int
check_host(const char *value, const char **why)
{
	if (*value == '\0') {
		*why = "is empty, expected keep, upstream or a name";
		return -1;
	}
	return check_line(value, why);
}

/* What says where a message ends or whom it is for is weir's to write: a second
   one beside it could be read in two ways. */
static int
check_name(const char *name, const char **why)
{
	static const char *const ours[] = {
		"Connection", "Content-Length", "Host", "HTTP2-Settings",
		"Keep-Alive", "Proxy-Connection", "TE", "Trailer",
		"Transfer-Encoding", "Upgrade"
	};
	size_t i;

	for (i = 0; i < NELEMS(ours); i++)
		if (strcasecmp(name, ours[i]) == 0) {
			*why = strcasecmp(name, "Host") == 0 ?
			    "cannot be set here, expected http.host" :
			    "is written by weir alone, expected another field";
			return -1;
		}
	return 0;
}

static int
check_request_id(const char *name, const char **why)
{
	return trace_name_check(name, why) < 0 ? -1 : check_name(name, why);
}

static const struct conf_key listener_keys[] = {
	{ .name = "forwarded", .type = CONF_ENUM,
	  .offset = offsetof(struct http_listener_conf, forwarded),
	  .def = "append", .words = forwarded_words,
	  .help = "X-Forwarded-For, -Proto, -Host and Via towards upstreams: "
	      "added to those of trusted senders, written anew, or left alone" },
	{ .name = "trusted", .type = CONF_NETS,
	  .offset = offsetof(struct http_listener_conf, trusted),
	  .help = "networks whose X-Forwarded-* fields are believed" },
	{ .name = "client_cert_headers", .type = CONF_HEADERS,
	  .offset = offsetof(struct http_listener_conf, client_cert_headers),
	  .check = client_cert_check, .check_name = check_name,
	  .help = "fields towards upstreams that say who the client is by its "
	      "certificate: verify, subject, issuer, serial, san, fingerprint "
	      "or certificate; taken out of what clients send" },
	{ .name = "trace", .type = CONF_BOOL,
	  .offset = offsetof(struct http_listener_conf, trace),
	  .def = "false",
	  .help = "whether each request has a traceparent (W3C Trace Context): "
	      "the client's if it is valid, else a new one" },
	{ .name = "request_id", .type = CONF_STRING,
	  .offset = offsetof(struct http_listener_conf, request_id),
	  .def = "off", .check = check_request_id,
	  .help = "field for an id of each request, such as \"X-Request-Id\", "
	      "or off: a trusted sender's is kept, else one is made; upstream "
	      "and client are told it" },
	{ .name = "http2", .type = CONF_BOOL,
	  .offset = offsetof(struct http_listener_conf, http2),
	  .def = "true",
	  .help = "whether clients may speak HTTP/2, beginning with its preface" },
	{ .name = "max_streams", .type = CONF_COUNT,
	  .offset = offsetof(struct http_listener_conf, max_streams),
	  .def = "100", .min = 1, .max = 1000,
	  .help = "requests that a client may have under way at a time on one "
	      "HTTP/2 connection" },
	{ .name = "max_wasted", .type = CONF_COUNT,
	  .offset = offsetof(struct http_listener_conf, max_wasted),
	  .def = "1000", .min = 100, .max = 4000,
	  .help = "what an HTTP/2 client may send, beyond 100 each second, of "
	      "frames that ask for nothing: 5 for a reset stream, 1 for a "
	      "ping, a settings frame, an empty one" },
	{ .name = NULL }
};

static const char *const version_words[] = { "1.1", "2", NULL };

const struct conf_key http_upstream_keys[] = {
	{ .name = "version", .type = CONF_ENUM,
	  .offset = offsetof(struct http_upstream_conf, version),
	  .def = "1.1", .words = version_words,
	  .help = "of HTTP that is spoken: with \"2\" many requests share a "
	      "connection, and pool.mode is \"shared\"" },
	{ .name = "max_streams", .type = CONF_COUNT,
	  .offset = offsetof(struct http_upstream_conf, max_streams),
	  .def = "100", .min = 1, .max = 1000,
	  .help = "version 2: requests under way at a time on a connection, if "
	      "the server takes so many" },
	{ .name = "host", .type = CONF_STRING,
	  .offset = offsetof(struct http_upstream_conf, host),
	  .def = "keep", .check = check_host,
	  .help = "Host towards the upstream: keep, upstream (the endpoint's "
	      "address as configured) or a name" },
	{ .name = "set_headers", .type = CONF_HEADERS,
	  .offset = offsetof(struct http_upstream_conf, set_headers),
	  .check = check_line, .check_name = check_name,
	  .help = "fields to set in requests, in place of the client's" },
	{ .name = "remove_headers", .type = CONF_NAMES,
	  .offset = offsetof(struct http_upstream_conf, remove_headers),
	  .help = "fields to take out of requests" },
	{ .name = NULL }
};

static bool
is_private(const struct conf_bind *bind)
{
	struct addr_net loopback[2];
	struct addr_ip ip;

	if (bind->addr.sa.sa_family == AF_UNIX ||
	    addr_net_parse("127.0.0.0/8", &loopback[0]) < 0 ||
	    addr_net_parse("::1", &loopback[1]) < 0)
		return true;
	addr_to_ip(&bind->addr, &ip);
	return addr_net_holds(&loopback[0], &ip) ||
	    addr_net_holds(&loopback[1], &ip);
}

/* Behind another proxy every client would look like that proxy. */
static void
warn(const struct conf_listener *l, const struct conf_upstream *u,
    conf_say_fn *say, void *arg)
{
	const struct http_listener_conf *http;
	size_t i;

	(void)u;
	if (l == NULL)
		return;
	http = l->own;
	if (l->client_header != NULL && http->trusted.n == 0)
		say(arg, l->line, "limits.client is a header and http.trusted "
		    "is empty: nobody's header is believed, expected the "
		    "networks of the proxies in front in http.trusted");
	if (http->client_cert_headers.n > 0 &&
	    l->tls.client_auth == TLS_CLIENT_NONE)
		say(arg, l->line, "http.client_cert_headers say nothing of "
		    "clients that are not asked for certificates, expected "
		    "tls.client_auth");
	if (http->forwarded != HTTP_FORWARDED_APPEND || http->trusted.n > 0)
		return;
	for (i = 0; i < l->n_binds; i++)
		if (!is_private(&l->binds[i])) {
			say(arg, l->binds[i].line, "http.forwarded is append "
			    "and http.trusted is empty on a public bind: "
			    "X-Forwarded-* of a proxy in front are dropped, "
			    "expected its networks in http.trusted");
			return;
		}
}

/* Who does not speak HTTP/2 shall not agree to. */
static void
prepare(struct conf_listener *l, const struct conf_listener *was,
    conf_say_fn *say, void *arg)
{
	struct http_listener_conf *http = l->own;
	struct conf_names *alpn = &l->tls.common.alpn;
	size_t n = 0, i;

	(void)was, (void)say, (void)arg;
	http->id_field = strcmp(http->request_id, "off") != 0 ?
	    http->request_id : NULL;
	for (i = 0; i < alpn->n; i++)
		if (http->http2 || strcmp(alpn->v[i], "h2") != 0)
			alpn->v[n++] = alpn->v[i];
	alpn->n = n;
}

static const char *const defaults[] = {
	"pool.max", "64",
	"pool.idle_timeout", "60s",
	"pool.max_lifetime", "10m",
	"timeouts.idle", "60s",
	"tls.alpn", "(h2, http/1.1)",
	"upstream.tls.alpn", "(http/1.1)",
	NULL
};

static void
exchange_fini(struct exchange *x)
{
	struct lane *lane = x->s->door->lane;
	struct http_exchange *hx = http_of(x);
	struct block_store *store = exchange_blocks(x);

	back2_forget(x);
	if (hx->raw_block != NULL)
		block_drop(store, hx->raw_block);
	hx->raw_block = NULL;
	if (hx->answer != NULL)
		pile_put(&lane->pieces[FAMILY_HTTP], hx->answer);
	hx->answer = NULL;
	if (hx->head != NULL && (char *)hx->head != hx->inline_head)
		pile_put(&lane->pieces[FAMILY_HTTP], hx->head);
	hx->head = NULL;
	buf_clear(store, &hx->up_trailers);
	buf_clear(store, &hx->down_trailers);
}

static const char *const pins[] = {
	[HTTP_PIN_UPGRADE] = "upgrade",
	NULL
};

static const struct peer_ops http_peer = {
	.pins = pins,
	.errors = http_error_names
};

static const struct conf_proto *
variant(const void *own)
{
	const struct http_upstream_conf *conf = own;

	return conf->version == HTTP_VERSION_2 ? &proto_http2_back.conf :
	    &proto_http.conf;
}

/* The check of health.type "grpc". */
static const struct proto proto_grpc = {
	.conf = { .name = "grpc", .probes = true },
	.family = FAMILY_HTTP,
	.probe = &grpc_probe
};

static const struct conf_proto *const checks[] = { &proto_grpc.conf, NULL };

const struct proto proto_http = {
	.conf = {
		.name = "http",
		.headers = true,
		.probes = true,
		.checks = checks,
		.spans = CONF_SPAN_SESSION | CONF_SPAN_REQUEST,
		.default_mode = "request",
		.defaults = defaults,
		.routes = CONF_BY_HOST,
		.listener_keys = listener_keys,
		.listener_size = sizeof(struct http_listener_conf),
		.upstream_keys = http_upstream_keys,
		.upstream_size = sizeof(struct http_upstream_conf),
		.warn = warn,
		.prepare = prepare,
		.variant = variant
	},
	.family = FAMILY_HTTP,
	.front = &http1_front,
	.back = &http1_back,
	.peer = &http_peer,
	.probe = &http_probe,
	.session_size = sizeof(struct http_session),
	.session_fini = http2_end,
	.lane_size = sizeof(struct http_lane),
	.lane_init = http_lane_init,
	.lane_fini = http_lane_fini,
	.exchange_size = sizeof(struct http_exchange),
	.exchange_zeroed = offsetof(struct http_exchange, inline_head),
	.piece_size = HTTP_HEAD_SIZE(HTTP_FIELDS_MAX),
	.exchange_fini = exchange_fini
};
