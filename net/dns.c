/*
 * c-ares on libev: its sockets and its one timer are watched in the loop, its
 * answers are turned into facts that nobody needs c-ares to read.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/dns.h"

/* Newer c-ares deprecates calls that Debian 12's has no replacement for. */
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <arpa/nameser.h>
#include <ev.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "net/list.h"

enum {
	/* One try; c-ares doubles it each time: 1 + 2 + 4 s for one server. A
	   late answer to an earlier try still counts. */
	TRY_MS = 1000,
	TRIES = 3
};

static const char no_memory[] = "out of memory";

/* What tells whether a file has changed. */
struct stamp {
	ino_t  ino;
	off_t  size;
	struct timespec mtime;
};

struct dns {
	struct ev_loop *loop;
	ares_channel  channel;
	char         *servers;          /* NULL = the system's */
	struct stamp  system;           /* resolv.conf as channel read it */
	unsigned      owed;             /* answers */
	unsigned      calling;          /* depth of calls that ask */
	struct list   socks;
	ev_timer      timer;
};

/* A socket of c-ares. Owned by dns.socks. */
struct sock {
	struct list link;
	struct dns *dns;
	ev_io  io;
};

/* One question; freed when it is answered. */
struct question {
	struct dns   *dns;
	dns_answered *cb;
	void         *arg;
	int           loopback;         /* family to answer for "localhost" when
					   c-ares cannot; -1 = another name */
};

/* ---------------------------------------------------------------- the loop */

static void
rearm(struct dns *d)
{
	struct timeval buf, *tv = ares_timeout(d->channel, NULL, &buf);

	ev_timer_stop(d->loop, &d->timer);
	if (tv == NULL)
		return;
	/* A millisecond more, or a rounded wait would end too early and spin.
	   A loop that was busy for long would count from when it woke up. */
	ev_now_update(d->loop);
	ev_timer_set(&d->timer,
	    (double)tv->tv_sec + (double)tv->tv_usec / 1e6 + 0.001, 0.);
	ev_timer_start(d->loop, &d->timer);
}

static void
timed_out(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct dns *d = container_of(w, struct dns, timer);

	(void)loop, (void)revents;
	ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	rearm(d);
}

static void
sock_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	struct dns *d = container_of(w, struct sock, io)->dns;
	int fd = w->fd;

	(void)loop;
	/* This may free the sock. */
	ares_process_fd(d->channel,
	    revents & EV_READ ? fd : ARES_SOCKET_BAD,
	    revents & EV_WRITE ? fd : ARES_SOCKET_BAD);
	rearm(d);
}

static struct sock *
sock_find(struct dns *d, int fd)
{
	struct list *l, *tmp;

	list_each(l, tmp, &d->socks) {
		struct sock *s = container_of(l, struct sock, link);

		if (s->io.fd == fd)
			return s;
	}
	return NULL;
}

/* c-ares: watch this socket for these, or no more. */
static void
sock_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns *d = arg;
	struct sock *s = sock_find(d, fd);

	if (s != NULL)
		ev_io_stop(d->loop, &s->io);
	if (!readable && !writable) {
		if (s != NULL) {
			list_remove(&s->link);
			free(s);
		}
		return;
	}
	if (s == NULL) {
		/* Without memory the question runs into its timeout. */
		if ((s = calloc(1, sizeof(*s))) == NULL)
			return;
		s->dns = d;
		list_init(&s->link);
		list_append(&d->socks, &s->link);
		ev_init(&s->io, sock_ready);
	}
	ev_io_set(&s->io, fd, (readable ? EV_READ : 0) |
	    (writable ? EV_WRITE : 0));
	ev_io_start(d->loop, &s->io);
}

/* ------------------------------------------------------------- the channel */

static struct stamp
system_stamp(void)
{
	struct stamp out;
	struct stat st;

	memset(&out, 0, sizeof(out));
	if (stat("/etc/resolv.conf", &st) == 0) {
		out.ino = st.st_ino;
		out.size = st.st_size;
		out.mtime = st.st_mtim;
	}
	return out;
}

static int
channel_open(struct dns *d, ares_channel *out)
{
	char hosts_then_dns[] = "fb";
	struct ares_options o = {
		.timeout = TRY_MS, .tries = TRIES, .lookups = hosts_then_dns,
		.sock_state_cb = sock_state, .sock_state_cb_data = d
	};

	if (ares_init_options(out, &o, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
	    ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
		return -1;
	if (d->servers != NULL &&
	    ares_set_servers_ports_csv(*out, d->servers) != ARES_SUCCESS) {
		ares_destroy(*out);
		return -1;
	}
	return 0;
}

struct dns *
dns_new(struct ev_loop *loop, const char *servers)
{
	struct dns *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->loop = loop;
	list_init(&d->socks);
	ev_init(&d->timer, timed_out);
	if (servers != NULL && (d->servers = strdup(servers)) == NULL)
		goto no_servers;
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		goto no_library;
	d->system = system_stamp();
	if (channel_open(d, &d->channel) != 0)
		goto no_channel;
	return d;

no_channel:
	ares_library_cleanup();
no_library:
	free(d->servers);
no_servers:
	free(d);
	return NULL;
}

void
dns_free(struct dns *d)
{
	ares_destroy(d->channel);       /* answers what is owed */
	ares_library_cleanup();
	ev_timer_stop(d->loop, &d->timer);
	free(d->servers);
	free(d);
}

void
dns_refresh(struct dns *d)
{
	struct stamp now;
	ares_channel fresh;

	if (d->servers != NULL || d->owed > 0)
		return;
	now = system_stamp();
	if (memcmp(&now, &d->system, sizeof(now)) == 0 ||
	    channel_open(d, &fresh) != 0)
		return;
	ares_destroy(d->channel);
	d->channel = fresh;
	d->system = now;
}

/* --------------------------------------------------------------- questions */

static struct question *
question_new(struct dns *d, dns_answered *cb, void *arg)
{
	struct dns_answer none = { .error = no_memory };
	struct question *q = malloc(sizeof(*q));

	if (q == NULL) {
		cb(arg, &none);
		return NULL;
	}
	q->dns = d;
	q->cb = cb;
	q->arg = arg;
	q->loopback = -1;
	d->owed++;
	return q;
}

static void
answer(struct question *q, struct dns_answer *a)
{
	size_t i;

	q->dns->owed--;
	q->cb(q->arg, a);
	free(q);
	free(a->ips);
	for (i = 0; a->targets != NULL && i < a->n_targets; i++)
		free(a->targets[i].host);
	free(a->targets);
}

/* --------------------------------------------------------------- addresses */

static const char *
ips_take(struct dns_answer *a, const struct ares_addrinfo *ai)
{
	const struct ares_addrinfo_node *node;
	size_t n = 0;

	for (node = ai->nodes; node != NULL; node = node->ai_next)
		n++;
	if (n == 0)
		return ares_strerror(ARES_ENODATA);
	if ((a->ips = calloc(n, sizeof(*a->ips))) == NULL)
		return no_memory;
	for (node = ai->nodes; node != NULL; node = node->ai_next) {
		struct addr_ip *ip = &a->ips[a->n_ips];
		const void *sa = node->ai_addr;

		if (node->ai_family == AF_INET)
			memcpy(ip->ip,
			    &((const struct sockaddr_in *)sa)->sin_addr, 4);
		else if (node->ai_family == AF_INET6)
			memcpy(ip->ip,
			    &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
		else
			continue;
		ip->family = (uint8_t)node->ai_family;
		a->n_ips++;
	}
	return a->n_ips > 0 ? NULL : ares_strerror(ARES_ENODATA);
}

static int64_t
ips_ttl_ms(const struct ares_addrinfo *ai)
{
	const struct ares_addrinfo_node *node;
	const struct ares_addrinfo_cname *cname;
	int ttl = INT32_MAX;

	for (node = ai->nodes; node != NULL; node = node->ai_next)
		ttl = node->ai_ttl < ttl ? node->ai_ttl : ttl;
	for (cname = ai->cnames; cname != NULL; cname = cname->next)
		ttl = cname->ttl < ttl ? cname->ttl : ttl;
	return ttl > 0 ? (int64_t)ttl * 1000 : 0;
}

/*
 * RFC 6761 6.3: localhost is the loopback address, whoever is asked. c-ares
 * looks no further when there is no hosts file at all, as in small containers.
 */
static const char *
loopback_take(struct dns_answer *a, int family)
{
	static const struct addr_ip four = { { 127, 0, 0, 1 }, 0, AF_INET };
	static const struct addr_ip six = { { [15] = 1 }, 0, AF_INET6 };

	if ((a->ips = calloc(2, sizeof(*a->ips))) == NULL)
		return no_memory;
	if (family != AF_INET6)
		a->ips[a->n_ips++] = four;
	if (family != AF_INET)
		a->ips[a->n_ips++] = six;
	a->ttl_ms = -1;
	return NULL;
}

static void
addrs_answered(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	struct question *q = arg;
	struct dns_answer a = { .error = NULL };

	(void)timeouts;
	if (status == ARES_SUCCESS) {
		a.error = ips_take(&a, ai);
		a.ttl_ms = ips_ttl_ms(ai);
		/* Only the hosts file answers on the spot; c-ares gives 0. */
		if (a.ttl_ms == 0 && q->dns->calling > 0)
			a.ttl_ms = -1;
	} else if (q->loopback >= 0) {
		a.error = loopback_take(&a, q->loopback);
	} else {
		a.error = ares_strerror(status);
	}
	if (ai != NULL)
		ares_freeaddrinfo(ai);
	answer(q, &a);
}

void
dns_ask_addrs(struct dns *d, const char *host, int family, dns_answered *cb,
    void *arg)
{
	/* Sorting here would connect() sockets to each address. */
	struct ares_addrinfo_hints hints = {
		.ai_flags = ARES_AI_NOSORT,
		.ai_family = family,
		.ai_socktype = SOCK_STREAM
	};
	struct question *q = question_new(d, cb, arg);

	if (q == NULL)
		return;
	if (strcasecmp(host, "localhost") == 0)
		q->loopback = family;
	d->calling++;
	ares_getaddrinfo(d->channel, host, NULL, &hints, addrs_answered, q);
	d->calling--;
	rearm(d);
}

/* --------------------------------------------------------------------- SRV */

static unsigned
be16(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Bytes of the possibly compressed name at p; -1 = it makes no sense. */
static long
name_size(const unsigned char *p, const unsigned char *msg, int len)
{
	char *name;
	long n;

	if (p >= msg + len ||
	    ares_expand_name(p, msg, len, &name, &n) != ARES_SUCCESS)
		return -1;
	ares_free_string(name);
	return n;
}

/*
 * The shortest TTL of the answer section (RFC 1035 4.1), which
 * ares_parse_srv_reply() does not give. 0 when it cannot be read; a TTL with
 * the highest bit set counts as 0 (RFC 2181 8).
 */
static int64_t
message_ttl_ms(const unsigned char *msg, int len)
{
	const unsigned char *p = msg + NS_HFIXEDSZ, *end = msg + len;
	unsigned i, questions, answers;
	int64_t ttl, least = INT32_MAX;
	long n;

	if (len < NS_HFIXEDSZ)
		return 0;
	questions = be16(msg + 4);
	answers = be16(msg + 6);
	for (i = 0; i < questions + answers; i++) {
		if ((n = name_size(p, msg, len)) < 0 ||
		    end - p < n + NS_QFIXEDSZ)
			return 0;
		p += n;
		if (i < questions) {
			p += NS_QFIXEDSZ;
			continue;
		}
		/* type, class, TTL, length, and the data itself */
		if (end - p < NS_RRFIXEDSZ ||
		    end - p - NS_RRFIXEDSZ < (long)be16(p + 8))
			return 0;
		ttl = (int64_t)be16(p + 4) << 16 | be16(p + 6);
		if (ttl > INT32_MAX)
			ttl = 0;
		least = ttl < least ? ttl : least;
		p += NS_RRFIXEDSZ + be16(p + 8);
	}
	return least * 1000;
}

/*
 * RFC 2782: of the targets, those of the lowest number can be used now; a
 * target of "." says that there is no such service (c-ares gives it as "").
 */
static const char *
targets_take(struct dns_answer *a, const struct ares_srv_reply *all)
{
	const struct ares_srv_reply *s;
	unsigned lowest = UINT16_MAX;

	for (s = all; s != NULL; s = s->next)
		if (s->priority < lowest)
			lowest = s->priority;
	if ((a->targets = calloc(DNS_TARGETS_MAX, sizeof(*a->targets))) == NULL)
		return no_memory;
	for (s = all; s != NULL && a->n_targets < DNS_TARGETS_MAX; s = s->next) {
		struct dns_target *t = &a->targets[a->n_targets];

		if (s->priority != lowest || s->host[0] == '\0' ||
		    strcmp(s->host, ".") == 0 || s->port == 0)
			continue;
		if ((t->host = strdup(s->host)) == NULL)
			return no_memory;
		t->port = s->port;
		a->n_targets++;
	}
	return a->n_targets > 0 ? NULL : "DNS says: no such service";
}

static void
srv_answered(void *arg, int status, int timeouts, unsigned char *msg, int len)
{
	struct question *q = arg;
	struct dns_answer a = { .error = NULL };
	struct ares_srv_reply *all = NULL;

	(void)timeouts;
	if (status == ARES_SUCCESS)
		status = ares_parse_srv_reply(msg, len, &all);
	if (status == ARES_SUCCESS) {
		a.error = targets_take(&a, all);
		a.ttl_ms = message_ttl_ms(msg, len);
	} else {
		a.error = ares_strerror(status);
	}
	if (all != NULL)
		ares_free_data(all);
	answer(q, &a);
}

void
dns_ask_srv(struct dns *d, const char *service, dns_answered *cb, void *arg)
{
	struct question *q = question_new(d, cb, arg);

	if (q == NULL)
		return;
	d->calling++;
	ares_search(d->channel, service, ns_c_in, ns_t_srv, srv_answered, q);
	d->calling--;
	rearm(d);
}
