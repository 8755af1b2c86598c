/*
 * One loaded configuration file: facts, checked, with defaults filled in.
 *
 * Immutable after conf_load(). Opens no socket and knows no protocol by name:
 * the caller hands in a table of them (struct conf_proto). Times are
 * milliseconds and sizes bytes; CONF_OFF stands for "off". A `line` counts the
 * text with its includes in place: conf_place() says file and line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "net/addr.h"
#include "net/err.h"
#include "net/proxy_header.h"

#define CONF_OFF INT64_MAX              /* a limit or time that never comes */

enum conf_families { CONF_FAMILIES_ANY, CONF_FAMILIES_IPV4, CONF_FAMILIES_IPV6 };
enum conf_balance {
	CONF_ROUND_ROBIN, CONF_LEAST_CONN, CONF_RANDOM_TWO, CONF_SOURCE_HASH,
	CONF_KEY_HASH
};
/* Of key_hash, by twemproxy's names and in its order. */
enum conf_key_function {
	CONF_KEY_ONE_AT_A_TIME, CONF_KEY_MD5, CONF_KEY_CRC16, CONF_KEY_CRC32,
	CONF_KEY_CRC32A, CONF_KEY_FNV1_64, CONF_KEY_FNV1A_64, CONF_KEY_FNV1_32,
	CONF_KEY_FNV1A_32, CONF_KEY_HSIEH, CONF_KEY_MURMUR, CONF_KEY_JENKINS,
	CONF_N_KEY_FUNCTIONS
};
enum conf_key_ring { CONF_RING_KETAMA, CONF_RING_MODULA, CONF_RING_RANDOM };
enum conf_sandbox { CONF_SANDBOX_ON, CONF_SANDBOX_LOG, CONF_SANDBOX_OFF };
enum conf_stuck { CONF_STUCK_LOG, CONF_STUCK_ABORT };
enum conf_on_down { CONF_ON_DOWN_FAIL, CONF_ON_DOWN_REHASH };
enum conf_all_down { CONF_ALL_DOWN_FAIL, CONF_ALL_DOWN_TRY };
enum conf_access_when { CONF_ACCESS_ALWAYS, CONF_ACCESS_FAILED,
	CONF_ACCESS_SLOW };
/* What a line of the access log may say; rows in conf/log_fields.c. */
enum conf_log_field_name {
	CONF_FIELD_TIME, CONF_FIELD_CLIENT, CONF_FIELD_CLIENT_IP,
	CONF_FIELD_LISTENER, CONF_FIELD_UPSTREAM, CONF_FIELD_ENDPOINT,
	CONF_FIELD_WORKER, CONF_FIELD_REQUEST, CONF_FIELD_METHOD,
	CONF_FIELD_PATH, CONF_FIELD_HOST, CONF_FIELD_AGENT,
	CONF_FIELD_REQUEST_ID, CONF_FIELD_TRACE_ID, CONF_FIELD_USER,
	CONF_FIELD_DATABASE, CONF_FIELD_TLS_VERSION, CONF_FIELD_SNI,
	CONF_FIELD_STATUS, CONF_FIELD_OUTCOME, CONF_FIELD_FAILURE,
	CONF_FIELD_SAID, CONF_FIELD_RECEIVED, CONF_FIELD_SENT,
	CONF_FIELD_ARRIVE_US, CONF_FIELD_PAUSE_US, CONF_FIELD_QUEUE_US,
	CONF_FIELD_CONNECT_US, CONF_FIELD_TLS_US, CONF_FIELD_FIRST_BYTE_US,
	CONF_FIELD_CLIENT_US, CONF_FIELD_TOTAL_US, CONF_FIELD_REUSED,
	CONF_FIELD_RETRIES,
	CONF_FIELD_HEADER,              /* the last: of a name that is given */
	CONF_N_FIELDS
};
enum { CONF_LOG_HEADERS_MOST = 4 };      /* of "header:NAME" */
struct conf_log_field {
	enum conf_log_field_name what;
	const char *name;               /* as written */
	const char *header;             /* CONF_FIELD_HEADER: the field's name */
};
enum conf_ready { CONF_READY_START, CONF_READY_ALWAYS, CONF_READY_IGNORE };
enum conf_log_format { CONF_LOG_TEXT, CONF_LOG_JSON };

/* How long a lease lasts, as pool.mode names it; bits for conf_proto.spans. */
enum conf_span {
	CONF_SPAN_SESSION = 1,
	CONF_SPAN_TRANSACTION = 2,
	CONF_SPAN_REQUEST = 4,
	CONF_SPAN_OWED = 8              /* pool.mode = "shared" */
};

struct conf_bind {
	struct addr_text text;          /* as written */
	struct addr      addr;          /* literal or Unix: always known */
	int              mode;          /* of a Unix socket; -1 = as umask says */
	char            *owner, *group; /* names or NULL */
	int              backlog;
	int              line;
};

/* What routes may go by; bits for conf_proto.routes. */
enum conf_route_by {
	CONF_BY_HOST = 1,               /* `host`, `path`, and `retry` */
	CONF_BY_SNI = 2                 /* `sni`, `alpn`: of who speaks TLS to
					   somebody behind weir */
};

/* What of a route may be asked for again after it was sent. */
enum conf_retry_what { CONF_RETRY_SAFE, CONF_RETRY_IDEMPOTENT, CONF_RETRY_ALL,
	CONF_RETRY_OFF };

/* A number at once, or tokens in a time. */
struct conf_limit {
	int64_t most;                   /* CONF_OFF = no limit; rates: tokens in
					   per_ms */
	int64_t per_ms;                 /* rates: 1000 = "/s", 60000, 3600000;
					   0 = a number at once */
	int64_t burst;                  /* rates: tokens that may be taken at
					   once, >= 1 */
	int64_t wait_ms;                /* upstreams: longest delay, 0 = none */
	bool    shadow;                 /* is counted, refuses nothing */
};

/* The limits of a listener, by the names of their keys. */
enum conf_limit_name {
	CONF_LIMIT_CONNECTIONS,
	CONF_LIMIT_CONNECTIONS_PER_CLIENT,
	CONF_LIMIT_CONNECTION_RATE,
	CONF_LIMIT_CONNECTION_RATE_PER_CLIENT,
	CONF_LIMIT_REQUEST_RATE,
	CONF_LIMIT_REQUEST_RATE_PER_CLIENT,
	CONF_LIMIT_BANDWIDTH_PER_CLIENT,        /* bytes, both directions */
	CONF_N_LIMITS
};

struct conf_nets    { struct addr_net *v; size_t n; };
struct conf_names   { char **v; size_t n; };

struct conf_header {                    /* set_headers: name = "value" */
	char *name, *value;
};

struct conf_route {
	char  *host;                    /* lower case; "*.x" = suffix; NULL = any */
	char  *path;                    /* prefix beginning with "/"; NULL = any */
	char  *sni;                     /* as host, without the root's dot */
	char  *alpn;                    /* a protocol that is offered; NULL =
					   any or none */
	struct conf_upstream *upstream;
	enum conf_retry_what retry;     /* `retry`; "safe" when absent */
	int    line;
};

struct tls_client;
struct tls_server;

/* As written, and from the folder of the file that names it; both NULL: there is
   none. */
struct conf_file { char *path, *full; };
/* Each record is conf_key.record_size bytes, of which the first are an int: its
   line. */
struct conf_records { void *v; size_t n; };

/* What of TLS listeners and upstreams say alike. Texts are NULL when absent. */
struct conf_tls {
	bool   on;                      /* there is a group `tls` */
	struct conf_file certificate, key, crl;
	struct conf_file ca;            /* of listeners: client_ca */
	int    min_version, max_version;        /* enum tls_version */
	char  *ciphers, *ciphersuites, *groups;
	struct conf_names alpn;         /* best first */
	bool   watch;                   /* its files are read when they change */
	int    line;
};

/* One of tls.certificates. */
struct conf_certificate {
	int    line;
	struct conf_file certificate, key, ocsp;
};

struct conf_listener_tls {
	struct conf_tls common;
	struct conf_file ocsp;
	struct conf_records certificates;       /* struct conf_certificate */
	int    client_auth;             /* enum tls_client_auth */
	bool   tickets;
	int64_t session_timeout_ms;
	int64_t max_handshakes;         /* at once; CONF_OFF = no limit */
	struct tls_server *server;      /* owned; NULL: no group `tls`, or the
					   file was read offline */
};

struct conf_upstream_tls {
	struct conf_tls common;
	bool   verify;
	char  *server_name;             /* NULL = the endpoint's host */
	struct tls_client *client;      /* as server above */
};

struct conf_listener {
	char  *name;
	const struct conf_proto *proto;
	struct conf_bind *binds;  size_t n_binds;
	struct conf_listener_tls tls;
	struct conf_upstream *upstream; /* NULL when routes name them all */
	struct conf_route *routes; size_t n_routes;  /* most specific first */
	struct conf_limit limits[CONF_N_LIMITS];
	char  *client_header;           /* limits.client = "header:NAME": NAME;
					   NULL = "address" */
	struct conf_nets allow, deny;   /* the longest prefix wins, deny wins a
					   tie; with any allow, no match is a
					   no */
	struct {
		struct conf_nets from;  /* whose connections begin with a
					   PROXY header */
		bool from_unix;         /* so do those to Unix sockets */
	} proxy_protocol;
	struct {
		int64_t handshake_ms;   /* of what comes before the protocol */
		int64_t header_ms, body_ms, idle_ms;
	} timeouts;
	int64_t max_header_bytes;       /* whole head */
	int64_t max_headers;            /* fields in it */
	int64_t max_body_bytes;         /* CONF_OFF = no limit */
	void   *own;                    /* group named after the protocol:
					   conf_proto.listener_size bytes */
	int     line;
};

struct conf_endpoint {
	char  *name;                    /* as written: label everywhere */
	bool   named;                   /* by a key of its own, not by its
					   address */
	struct addr_text address;       /* host "" when srv is used */
	char  *srv;                     /* "_redis._tcp.svc" or NULL */
	unsigned weight;                /* 1 .. 1000 */
	bool     backup;                /* only when no other is usable */
	int64_t  max;                   /* connections; CONF_OFF = no limit */
	int    line;
};

struct conf_pool {
	enum conf_span span;
	int64_t min_idle;
	int64_t max;
	int64_t max_idle;               /* idle kept; defaults to max */
	bool    max_idle_follows;       /* it is not in the file: goes by max */
	int64_t max_per_endpoint;       /* CONF_OFF = no limit */
	int64_t max_per_user, max_per_database; /* likewise */
	bool    adapt;                  /* less than max when the server has too
					   many clients */
	int64_t failover_hold_ms;       /* CONF_OFF = no hold */
	int64_t max_waiting;
	int64_t queue_timeout_ms;
	int64_t idle_timeout_ms;
	int64_t max_lifetime_ms;
	int64_t max_requests;           /* 0 = no limit */
	int64_t leak_after_ms;          /* CONF_OFF = nobody is told */
	int64_t shared;                 /* mode "shared": connections that are
					   shared, for each worker, endpoint and
					   key */
	int64_t max_pinned;             /* of max: leased alone in shared mode */
	bool    max_pinned_follows;     /* likewise */
	int64_t tcp_keepalive_ms;       /* CONF_OFF = none */
};

/* Answers' statuses: "200-399,404". */
struct conf_statuses {
	struct { uint16_t from, to; } v[8];
	unsigned n;
};

/* Active checks. */
struct conf_health {
	bool     on;                    /* there is a group `health` */
	const struct conf_proto *type;  /* whose probe; NULL = "tcp": to be
					   connected to is enough */
	char    *path;                  /* "/" */
	char    *host;                  /* NULL = the endpoint's address */
	char    *service;               /* of gRPC; NULL = the whole server */
	struct conf_statuses expect;    /* "200-399" */
	int64_t  interval_ms, timeout_ms;
	int64_t  rise, fall;            /* results in a row */
	int64_t  port;                  /* 0 = the endpoint's own */
};

/* Which endpoint a key goes to; for CONF_KEY_HASH. */
struct conf_key_hash {
	enum conf_key_function function;
	enum conf_key_ring ring;
	char    *tag;                   /* two characters: only what stands
					   between them counts; "" = all */
	enum conf_on_down on_down;      /* of the endpoint that a key is at */
};

struct conf_upstream {
	char  *name;
	const struct conf_proto *proto; /* of its listeners or its own key */
	struct conf_upstream_tls tls;
	struct conf_endpoint *endpoints; size_t n_endpoints;
	enum conf_balance balance;
	struct conf_key_hash key_hash;
	enum proxy_header_version send_proxy;   /* connections to it begin with
						   a PROXY header */
	struct conf_pool pool;
	struct {
		int64_t connect_ms, response_ms, stall_ms, tunnel_ms;
		int64_t total_ms;       /* route to end; CONF_OFF */
		int64_t transaction_idle_ms, query_ms;  /* of SQL; CONF_OFF */
	} timeouts;
	struct {
		int64_t max_retries;    /* 0 = off, also without the group */
		int64_t backoff_ms, max_backoff_ms;
		double  budget;         /* share of the requests, 0 .. 1 */
	} retry;
	struct conf_health health;
	struct {
		int64_t failures;       /* in a row; 0 = off, without the
					   group */
		int64_t eject_for_ms;
		double  max_ejected;    /* share of the endpoints, 0 .. 1 */
	} outlier;
	enum conf_all_down when_all_down;
	int64_t slow_start_ms;          /* CONF_OFF = none */
	struct conf_limit request_rate; /* limits.request_rate */
	bool   retry_after;             /* limits.retry_after */
	enum conf_ready ready;
	void  *own;                     /* conf_proto.upstream_size bytes */
	int    line;
};

struct conf {
	char    *path;                  /* of the main file */
	char     hash[17];              /* of all text read, hex */
	int64_t  workers;               /* 0 in the file is resolved to CPUs */
	int64_t  drain_delay_ms, drain_timeout_ms;
	char    *user, *group;          /* NULL = stay */
	struct {
		enum conf_families families;
		int64_t max_ttl_ms;
	} dns;
	struct {
		struct conf_bind *bind, *probe_bind;    /* NULL = none */
		char  *token_file;      /* as written, or NULL */
		char  *token;           /* its text, trimmed, or NULL */
		char **hosts; size_t n_hosts;
	} admin;
	struct {
		int level;              /* enum log_level of net/log.h */
		enum conf_log_format format;
		char  *access;          /* "off", "stdout", "stderr", "syslog"
					   or a path */
		enum conf_access_when access_when;
		int64_t slow_ms;        /* access_when "slow": from here on */
		struct conf_names names;        /* `fields` as written */
		struct conf_log_field *fields; size_t n_fields; /* 0 = the
					   usual line */
	} log;
	struct {
		enum conf_sandbox sandbox;
	} security;
	struct {
		int64_t after_ms;       /* CONF_OFF = nobody looks */
		enum conf_stuck action;
	} watchdog;
	int64_t  max_memory_bytes;      /* CONF_OFF = no limit but the cgroup's
					   or none */
	struct conf_listener *listeners; size_t n_listeners;
	struct conf_upstream *upstreams; size_t n_upstreams;
	void    *source;                /* conf/load's own: what /config prints */
};

/* ------------------------------------------------------------- the schema */

enum conf_type {
	CONF_BOOL,                      /* bool */
	CONF_COUNT,                     /* int64_t; "off" if the row allows it */
	CONF_DURATION,                  /* int64_t ms */
	CONF_SIZE,                      /* int64_t bytes */
	CONF_STRING,                    /* char * owned */
	CONF_ENUM,                      /* int; words in the row */
	CONF_NETS,                      /* struct conf_nets: list of CIDRs */
	CONF_NAMES,                     /* struct conf_names: list of strings */
	CONF_HEADERS,                   /* struct conf_headers: group of strings */
	CONF_SHARE,                     /* double, 0 .. 1 */
	CONF_STATUSES,                  /* struct conf_statuses */
	CONF_LIMIT,                     /* struct conf_limit: a number, "off" or
					   { max; shadow; } */
	CONF_RATE,                      /* likewise "100/s" or { rate; burst;
					   shadow; }; of upstreams with wait */
	CONF_BANDWIDTH,                 /* likewise "1MiB/s" */
	CONF_FILE,                      /* struct conf_file: a path */
	CONF_RECORDS,                   /* struct conf_records: list of groups
					   of the row's own keys */
	CONF_GROUP,                     /* conf/'s own: rows of its own follow */
	CONF_LIST                       /* conf/'s own: list of groups or texts */
};

struct conf_headers { struct conf_header *v; size_t n; };
/* One key. Arrays end with a row whose name is NULL. */
struct conf_key {
	const char  *name;
	enum conf_type type;
	size_t       offset;            /* into the struct it belongs to */
	const char  *def;               /* as it would be written in a file,
					   quotes left out; NULL = unset */
	int64_t      min, max;          /* of counts, durations (ms), sizes */
	bool         may_be_off;
	const char *const *words;       /* of CONF_ENUM, NULL-terminated */
	const char  *help;              /* one line */
	/* Optional: 0, or -1 with *why (static text) for a bad string. */
	int        (*check)(const char *value, const char **why);
	/* Optional, of CONF_HEADERS: likewise for each field's name. */
	int        (*check_name)(const char *name, const char **why);
	/* Of CONF_RECORDS: what is in each. */
	const struct conf_key *record;
	size_t       record_size;
};

typedef void conf_say_fn(void *arg, int line, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* What a protocol brings to the file; from the registry in proxy/. */
struct conf_proto {
	const char *name;
	unsigned    spans;              /* pool modes it can honour */
	const char *default_mode;
	/* Defaults that differ from the schema's: pairs of "pool.max", "64";
	   "timeouts.idle" and "tls.alpn" are the listener's, "upstream.tls.alpn"
	   is the upstream's; ends with NULL. */
	const char *const *defaults;
	unsigned    routes;             /* what those of its listeners may go
					   by; 0 = they have none */
	bool        headers;            /* has it headers, for limits.client? */
	bool        probes;             /* is it a health.type? */
	/* Optional: further ones that it brings, which are nothing else; ends
	   with NULL. */
	const struct conf_proto *const *checks;
	bool        groups;             /* has it users and databases, for
					   pool.max_per_user? */
	bool        keys;               /* has it keys, for balance = "key_hash"? */
	const char *server_cap;         /* what bounds a server's connections,
					   where few are usual; NULL */
	/*
	 * Optional: how an upstream is that has this conf_upstream.own. It is
	 * of the protocol returned, which has name, keys and sizes in common
	 * with this one, but modes, defaults and ways of its own.
	 */
	const struct conf_proto *(*variant)(const void *own);
	bool        streams;            /* in mode "shared" none ever needs a
					   connection for itself */
	const struct conf_key *listener_keys;   size_t listener_size;
	const struct conf_key *upstream_keys;   size_t upstream_size;
	/*
	 * Optional: says what is legal but hurts, for conf_warn(). Called once
	 * for each listener (upstream NULL) and each upstream (listener NULL)
	 * of the protocol. say() takes a line of the struct and a text without
	 * the name, which it puts in front.
	 */
	void      (*warn)(const struct conf_listener *l,
	    const struct conf_upstream *u, conf_say_fn *say, void *arg);
	/*
	 * Optional: checks what belongs together in a listener, and completes
	 * l->own with what is its own, which release() frees. say() is an
	 * error, of a key named in the text. `was` is the listener of that name
	 * that runs, if this is read for a weir that does (conf_input.running),
	 * and it has the same protocol; else NULL. What was made of something
	 * that has not changed need not be made anew.
	 */
	void      (*prepare)(struct conf_listener *l,
	    const struct conf_listener *was, conf_say_fn *say, void *arg);
	void      (*release)(struct conf_listener *l);
	/* Optional: likewise of an upstream, when all listeners are known. */
	void      (*prepare_upstream)(struct conf_upstream *u,
	    const struct conf *c, conf_say_fn *say, void *arg);
	void      (*release_upstream)(struct conf_upstream *u);
	/* Optional: of two conf_upstream.own, are connections that were made
	   under one as good under the other? NULL = always. */
	bool      (*alike)(const void *a, const void *b);
	/* Optional: of two conf_listener.own, the key of a file that both name
	   and that holds something else in `now`; NULL = there is none. */
	const char *(*file_changed)(const void *was, const void *now);
};

/* ------------------------------------------------------------------ errors */

/*
 * All errors of a file, in file order (or, from conf_warn, warnings). Starts
 * zeroed, ends with conf_errors_fini.
 */
struct conf_errors {
	char **v;                       /* "FILE:LINE: path: what, expected" */
	size_t n;
};

void conf_errors_fini(struct conf_errors *e);

/* --------------------------------------------------------------- functions */

struct conf_input {
	const char *path;               /* names the file; relative paths and
					   includes start at its folder */
	const char *text;               /* NULL = read path */
	const char *name;               /* the text was sent (conf/sent.h): what
					   errors call its file; NULL = it was
					   not */
	const struct conf_proto *const *protos; /* NULL-terminated */
	const struct conf *running;     /* what this may come after; NULL =
					   nothing */
	bool live;                      /* by a weir that runs: conf_warn() asks
					   nothing that needs one thread, or
					   the user it was started as */
	bool offline;                   /* certificates and keys are not read:
					   for those who only want to know
					   what the file says */
	bool only_admin;                /* nothing but the group `admin` is
					   read, mistakes elsewhere are not
					   looked for: for those who ask a weir
					   that runs */
};

/*
 * Reads, checks and completes a configuration. Returns it (the caller owns it,
 * ends with conf_free), or NULL with at least one error in *errors. libconfig
 * stops at its first error of syntax; errors of meaning come all at once.
 */
struct conf *conf_load(const struct conf_input *in, struct conf_errors *errors)
    MUST_CHECK;
/* Ends one reference, of which conf_load() gives one and conf_keep() one more.
   Of one thread. */
void conf_free(struct conf *c);
struct conf *conf_keep(struct conf *c);

/* "FILE:LINE" of a line kept in the structs above. */
void conf_place(const struct conf *c, int line, char *out, size_t size);

/* The LINE of it. */
int conf_line(const struct conf *c, int line);

/*
 * What is legal but hurts: appended to *warnings. For a process of one thread:
 * as root it becomes the file's user for a moment, to see what that one can read.
 */
void conf_warn(const struct conf *c, struct conf_errors *warnings);

/* What is certain to keep weir from binding here and now: folders of Unix sockets
   that are missing. */
void conf_missing(const struct conf *c, struct conf_errors *missing);

/* Every key with type, default and help, for `weir -h config`; word not NULL:
   those in whose path it is, false when there is none. */
bool conf_help(FILE *out, const struct conf_proto *const *protos,
    const char *word);
/* Likewise: {"keys": [{"key": path, "kind", "default", where there is one,
   "help"}, ...], "fields": [{"name", "help"}, ...]}, those of the access log;
   empty for false. */
bool conf_help_json(FILE *out, const struct conf_proto *const *protos,
    const char *word);

/*
 * The running configuration as libconfig-like JSON text: defaults filled in,
 * values that came from ${file:} or keys named password/secret/token hidden as
 * "(hidden)". Malloc'd, the caller frees. NULL only when out of memory.
 */
char *conf_json(const struct conf *c);

/* Finders; NULL when there is none of that name. */
const struct conf_listener *conf_listener_find(const struct conf *c,
    const char *name);
const struct conf_upstream *conf_upstream_find(const struct conf *c,
    const char *name);

/* Can others than this machine's processes reach it? */
bool conf_bind_is_public(const struct conf_bind *b);

#endif
