/*
 * A scripted DNS server: a thread for UDP, one for TCP (a connection at a
 * time), a list of rules under a mutex. The wire format is RFC 1035 4, SRV data
 * RFC 2782.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/support/dns_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NAME_SIZE = 256, MESSAGE_SIZE = 64 * 1024, HEADER_SIZE = 12,
	UDP_SIZE = 512, QUERY_SIZE = 2048 };

struct rule {
	struct rule *next;
	char     name[NAME_SIZE];
	int      type, code;
	unsigned ttl_s, asked;
	char    *records;
};

struct dns_server {
	pthread_t udp_thread, tcp_thread;
	pthread_mutex_t lock;           /* rules, cut */
	int       udp, tcp, stop[2];
	char      address[32];
	struct rule *rules;
	size_t    cut;
};

struct out {
	uint8_t bytes[MESSAGE_SIZE];
	size_t  len;
	unsigned records;
	const char *question;           /* the name asked for */
};

static void
need(bool fine, const char *what)
{
	if (fine)
		return;
	perror(what);
	abort();
}

/* ------------------------------------------------------------ the message */

static void
put(struct out *o, const void *bytes, size_t n)
{
	need(o->len + n <= sizeof(o->bytes), "dns_server: answer too long");
	memcpy(o->bytes + o->len, bytes, n);
	o->len += n;
}

static void
put16(struct out *o, unsigned v)
{
	uint8_t b[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	put(o, b, sizeof(b));
}

static void
put_name(struct out *o, const char *name)
{
	while (*name != '\0' && strcmp(name, ".") != 0) {
		size_t n = strcspn(name, ".");
		uint8_t len = (uint8_t)n;

		put(o, &len, 1);
		put(o, name, n);
		name += n + (name[n] == '.');
	}
	put(o, "", 1);
}

/*
 * Owner, type, class IN and TTL; the caller adds length and data. The name
 * asked for is a pointer to the question: it keeps answers small.
 */
static void
put_owner(struct out *o, const char *owner, int type, unsigned ttl_s)
{
	if (strcasecmp(owner, o->question) == 0)
		put16(o, 0xc000 | HEADER_SIZE);
	else
		put_name(o, owner);
	put16(o, (unsigned)type);
	put16(o, 1);
	put16(o, ttl_s >> 16);
	put16(o, ttl_s & 0xffff);
	o->records++;
}

static void
put_named(struct out *o, const uint16_t *numbers, size_t n, const char *name)
{
	size_t at = o->len, i;

	put16(o, 0);
	for (i = 0; i < n; i++)
		put16(o, numbers[i]);
	put_name(o, name);
	i = o->len - at - 2;
	o->bytes[at] = (uint8_t)(i >> 8);
	o->bytes[at + 1] = (uint8_t)i;
}

static const char *
next_word(char **rest)
{
	const char *word = strtok_r(NULL, " ", rest);

	need(word != NULL, "dns_server: SRV records need four words");
	return word;
}

static void
put_record(struct out *o, const struct rule *r, const char *word, char **rest)
{
	uint8_t ip[16];
	uint16_t numbers[3];
	size_t i;

	put_owner(o, r->name, r->type, r->ttl_s);
	if (r->type == DNS_SRV) {
		for (i = 0; i < 3; i++, word = next_word(rest))
			numbers[i] = (uint16_t)atoi(word);
		put_named(o, numbers, 3, word);
	} else if (r->type == DNS_CNAME) {
		put_named(o, NULL, 0, word);
	} else {
		i = r->type == DNS_A ? 4 : 16;
		need(inet_pton(r->type == DNS_A ? AF_INET : AF_INET6, word,
		    ip) == 1, "dns_server: address");
		put16(o, (unsigned)i);
		put(o, ip, i);
	}
}

/* -------------------------------------------------------------- the rules */

static struct rule *
rule_find(struct dns_server *s, const char *name, int type)
{
	struct rule *r;

	for (r = s->rules; r != NULL; r = r->next)
		if (strcasecmp(r->name, name) == 0 && r->type == type)
			return r;
	return NULL;
}

static struct rule *
rule_get(struct dns_server *s, const char *name, int type)
{
	struct rule *r = rule_find(s, name, type);

	if (r != NULL)
		return r;
	r = calloc(1, sizeof(*r));
	need(r != NULL && strlen(name) < NAME_SIZE, "dns_server: rule");
	snprintf(r->name, sizeof(r->name), "%s", name);
	r->type = type;
	r->code = DNS_NXDOMAIN;
	r->next = s->rules;
	s->rules = r;
	return r;
}

/* Does any type of it exist? Then another is no data rather than NXDOMAIN. */
static bool
name_exists(struct dns_server *s, const char *name)
{
	struct rule *r;

	for (r = s->rules; r != NULL; r = r->next)
		if (strcasecmp(r->name, name) == 0 && r->records != NULL)
			return true;
	return false;
}

static int
answer(struct dns_server *s, const char *name, int type, struct out *o)
{
	struct rule *r = rule_get(s, name, type), *alias;
	char *copy, *rest, *word;

	r->asked++;
	alias = rule_find(s, name, DNS_CNAME);
	if (alias != NULL && alias->records != NULL) {
		put_record(o, alias, alias->records, NULL);
		return answer(s, alias->records, type, o);
	}
	if (r->records == NULL)
		return r->code == DNS_NXDOMAIN && name_exists(s, name) ?
		    DNS_NOERROR : r->code;
	copy = strdup(r->records);
	need(copy != NULL, "dns_server: strdup");
	for (word = strtok_r(copy, " ", &rest); word != NULL;
	    word = strtok_r(NULL, " ", &rest))
		put_record(o, r, word, &rest);
	free(copy);
	return DNS_NOERROR;
}

/* The name of the only question, and what follows it; 0 = no sense. */
static size_t
question_read(const uint8_t *msg, size_t len, char name[NAME_SIZE])
{
	size_t at = HEADER_SIZE, to = 0, n;

	while (at < len && (n = msg[at]) != 0) {
		if (n > 63 || at + 1 + n >= len || to + n + 2 > NAME_SIZE)
			return 0;
		if (to > 0)
			name[to++] = '.';
		memcpy(name + to, msg + at + 1, n);
		to += n;
		at += 1 + n;
	}
	name[to] = '\0';
	return at + 5 <= len ? at + 1 : 0;
}

/* False when nothing is to be said. */
static bool
reply(struct dns_server *s, const uint8_t *msg, size_t len, size_t most,
    struct out *o)
{
	char name[NAME_SIZE];
	size_t at = question_read(msg, len, name);
	int code;

	if (at == 0)
		return false;
	memset(o, 0, sizeof(*o));
	o->question = name;
	put(o, msg, at + 4);                    /* header and question */
	pthread_mutex_lock(&s->lock);
	code = answer(s, name, msg[at] << 8 | msg[at + 1], o);
	if (s->cut > 0 && o->len > s->cut)
		o->len = s->cut;
	pthread_mutex_unlock(&s->lock);
	o->bytes[2] = 0x84;                     /* a response, of authority */
	o->bytes[3] = (uint8_t)code;
	memset(o->bytes + 6, 0, 6);
	if (o->len > most) {
		o->bytes[2] |= 0x02;            /* TC: ask by TCP */
		o->len = at + 4;
		o->records = 0;
	}
	o->bytes[6] = (uint8_t)(o->records >> 8);
	o->bytes[7] = (uint8_t)o->records;
	o->question = NULL;
	return code != DNS_SILENCE;
}

/* False when the server is to stop. */
static bool
readable(struct dns_server *s, int fd)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN },
		{ .fd = s->stop[0], .events = POLLIN } };

	return poll(p, 2, -1) >= 0 && p[1].revents == 0;
}

static void *
serve_udp(void *arg)
{
	struct dns_server *s = arg;
	struct out *o = malloc(sizeof(*o));
	struct sockaddr_in from;
	uint8_t msg[QUERY_SIZE];
	socklen_t size;
	ssize_t n;

	need(o != NULL, "dns_server: malloc");
	while (readable(s, s->udp)) {
		size = sizeof(from);
		n = recvfrom(s->udp, msg, sizeof(msg), MSG_DONTWAIT,
		    (struct sockaddr *)&from, &size);
		if (n > HEADER_SIZE && reply(s, msg, (size_t)n, UDP_SIZE, o))
			sendto(s->udp, o->bytes, o->len, 0,
			    (const struct sockaddr *)&from, sizeof(from));
	}
	free(o);
	return NULL;
}

/* False at the end of the connection, or of the server. */
static bool
read_exactly(struct dns_server *s, int fd, uint8_t *to, size_t n)
{
	ssize_t got;

	for (; n > 0; to += got, n -= (size_t)got)
		if (!readable(s, fd) || (got = read(fd, to, n)) <= 0)
			return false;
	return true;
}

/* Each message has two bytes of length before it (RFC 1035 4.2.2). */
static void
serve_connection(struct dns_server *s, int fd, struct out *o)
{
	uint8_t msg[QUERY_SIZE], size[2];
	size_t n;

	while (read_exactly(s, fd, size, sizeof(size))) {
		n = (size_t)size[0] << 8 | size[1];
		if (n > sizeof(msg) || !read_exactly(s, fd, msg, n))
			return;
		if (!reply(s, msg, n, MESSAGE_SIZE - 1, o))
			continue;
		size[0] = (uint8_t)(o->len >> 8);
		size[1] = (uint8_t)o->len;
		if (send(fd, size, 2, MSG_NOSIGNAL | MSG_MORE) != 2 ||
		    send(fd, o->bytes, o->len, MSG_NOSIGNAL) < 0)
			return;
	}
}

static void *
serve_tcp(void *arg)
{
	struct dns_server *s = arg;
	struct out *o = malloc(sizeof(*o));
	int fd;

	need(o != NULL, "dns_server: malloc");
	while (readable(s, s->tcp)) {
		if ((fd = accept(s->tcp, NULL, NULL)) < 0)
			continue;
		serve_connection(s, fd, o);
		close(fd);
	}
	free(o);
	return NULL;
}

/* ------------------------------------------------------------ the outside */

/* The same free port for both. */
static void
bind_both(struct dns_server *s)
{
	struct sockaddr_in a;
	socklen_t size = sizeof(a);
	int tries;

	for (tries = 0; tries < 100; tries++) {
		memset(&a, 0, sizeof(a));
		a.sin_family = AF_INET;
		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		need(s->udp >= 0 && s->tcp >= 0 &&
		    bind(s->udp, (struct sockaddr *)&a, size) == 0 &&
		    getsockname(s->udp, (struct sockaddr *)&a, &size) == 0,
		    "dns_server: socket");
		snprintf(s->address, sizeof(s->address), "127.0.0.1:%u",
		    ntohs(a.sin_port));
		if (bind(s->tcp, (struct sockaddr *)&a, size) == 0 &&
		    listen(s->tcp, 16) == 0)
			return;
		close(s->udp);
		close(s->tcp);
	}
	need(false, "dns_server: no port is free for UDP and TCP");
}

struct dns_server *
dns_server_start(void)
{
	struct dns_server *s = calloc(1, sizeof(*s));

	need(s != NULL, "dns_server: calloc");
	bind_both(s);
	need(pipe(s->stop) == 0, "dns_server: pipe");
	pthread_mutex_init(&s->lock, NULL);
	need(pthread_create(&s->udp_thread, NULL, serve_udp, s) == 0 &&
	    pthread_create(&s->tcp_thread, NULL, serve_tcp, s) == 0,
	    "dns_server: thread");
	return s;
}

void
dns_server_stop(struct dns_server *s)
{
	struct rule *r;

	close(s->stop[1]);              /* hangs up on every poll */
	pthread_join(s->udp_thread, NULL);
	pthread_join(s->tcp_thread, NULL);
	close(s->stop[0]);
	close(s->udp);
	close(s->tcp);
	while ((r = s->rules) != NULL) {
		s->rules = r->next;
		free(r->records);
		free(r);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

const char *
dns_server_address(const struct dns_server *s)
{
	return s->address;
}

void
dns_server_say(struct dns_server *s, const char *name, int type,
    unsigned ttl_s, const char *records)
{
	struct rule *r;

	pthread_mutex_lock(&s->lock);
	r = rule_get(s, name, type);
	free(r->records);
	r->records = strdup(records);
	need(r->records != NULL, "dns_server: strdup");
	r->ttl_s = ttl_s;
	pthread_mutex_unlock(&s->lock);
}

void
dns_server_fail(struct dns_server *s, const char *name, int type, int code)
{
	struct rule *r;

	pthread_mutex_lock(&s->lock);
	r = rule_get(s, name, type);
	free(r->records);
	r->records = NULL;
	r->code = code;
	pthread_mutex_unlock(&s->lock);
}

void
dns_server_cut(struct dns_server *s, size_t bytes)
{
	pthread_mutex_lock(&s->lock);
	s->cut = bytes;
	pthread_mutex_unlock(&s->lock);
}

unsigned
dns_server_asked(struct dns_server *s, const char *name, int type)
{
	struct rule *r;
	unsigned n;

	pthread_mutex_lock(&s->lock);
	r = rule_find(s, name, type);
	n = r != NULL ? r->asked : 0;
	pthread_mutex_unlock(&s->lock);
	return n;
}
