/*
 * The demo's origin. See demo.h. A few pages over net/conn on main's loop; it
 * reads requests with a search for the blank line, because weir, which is in
 * front of it, has checked them already.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/demo.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/worker.h"
#include "proxy/runtime.h"

enum { HEAD_MOST = 16 * 1024, BIG_BYTES = 1024 * 1024 };

struct guest {
	struct conn conn;
	struct list link;               /* origin->list */
	struct late late;
	unsigned number, requests;
};

struct origin {
	struct ev_io io;
	struct worker *worker;
	struct list list;               /* of guests */
	unsigned guests;
};

/* ------------------------------------------------------------------- ports */

/* A listening socket on loopback; port 0 = any. -1 when it is taken. */
static int
listen_loopback(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
	    .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Accepted sockets inherit it. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, 1024) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_in at = { 0 };
	socklen_t len = sizeof(at);

	if (getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return 0;
	return ntohs(at.sin_port);
}

/* The wanted port if it is free, else any. */
static uint16_t
choose_port(uint16_t wanted)
{
	int fd = listen_loopback(wanted);
	uint16_t port;

	if (fd < 0)
		fd = listen_loopback(0);
	if (fd < 0)
		return 0;
	port = port_of(fd);
	close(fd);
	return port;
}

static const char config_text[] =
"workers = 1;\n"
"admin = { bind = \"127.0.0.1:%u\"; };\n"
"listeners = (\n"
"  { name = \"web\"; bind = \"127.0.0.1:%u\"; protocol = \"http\"; "
"upstream = \"app\"; },\n"
"  { name = \"raw\"; bind = \"127.0.0.1:%u\"; protocol = \"tcp\"; "
"upstream = \"raw\"; }\n"
");\n"
"upstreams = (\n"
"  { name = \"app\"; endpoints = ( \"127.0.0.1:%u\" ); "
"pool = { max = 8; min_idle = 2; }; },\n"
"  { name = \"raw\"; endpoints = ( \"127.0.0.1:%u\" ); "
"pool = { max = 32; min_idle = 1; }; }\n"
");\n";

int
demo_prepare(struct demo *d)
{
	int fd = listen_loopback(0);

	if (fd < 0)
		return -1;
	d->origin_fd = fd;
	d->origin_port = port_of(fd);
	d->web_port = choose_port(8080);
	d->tcp_port = choose_port(9000);
	d->admin_port = choose_port(9901);
	snprintf(d->config, sizeof(d->config), config_text, d->admin_port,
	    d->web_port, d->tcp_port, d->origin_port, d->origin_port);
	return 0;
}

void
demo_print(const struct demo *d)
{
	printf("\nweir demo: a built-in origin behind weir. Open or curl\n\n"
	    "  http://127.0.0.1:%u/           the dashboard\n"
	    "  http://127.0.0.1:%u/           a page through the pool\n"
	    "  http://127.0.0.1:%u/big        1 MiB through the pool\n"
	    "  http://127.0.0.1:%u/           the same origin over raw TCP\n"
	    "  http://127.0.0.1:%u/stats?pretty   what the pool did\n\n"
	    "The configuration it runs with:\n\n%s\nCtrl-C ends it.\n",
	    d->admin_port, d->web_port, d->web_port, d->tcp_port,
	    d->admin_port, d->config);
	fflush(stdout);
}

/* ------------------------------------------------------------------ origin */

static void
guest_release(struct worker *w, struct late *l)
{
	(void)w;
	free(container_of(l, struct guest, late));
}

static void
guest_close(struct guest *g)
{
	if (!g->conn.open)
		return;
	conn_close(&g->conn);
	list_remove(&g->link);
	worker_late(g->conn.w, &g->late, guest_release);
}

static int
say(struct guest *g, const char *text, size_t len)
{
	return buf_append(&g->conn.w->blocks, &g->conn.out, text, len);
}

static int
answer_big(struct guest *g)
{
	static const char line[] = "weir weir weir weir weir weir weir weir "
	    "weir weir weir weir123\n";
	char head[128];
	size_t n = BIG_BYTES / (sizeof(line) - 1), i;
	int len = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n"
	    "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
	    n * (sizeof(line) - 1));

	if (say(g, head, (size_t)len) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (say(g, line, sizeof(line) - 1) < 0)
			return -1;
	return 0;
}

static int
answer_page(struct guest *g)
{
	char head[160], body[512];
	int body_len = snprintf(body, sizeof(body), "<!doctype html><title>weir"
	    " demo</title>\n<p>Hello from the origin behind weir.\n<p>This is "
	    "request %u on upstream connection %u: load the page again, from "
	    "another browser too, and see that the connection stays.\n",
	    g->requests, g->number);
	int head_len = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n"
	    "Content-Type: text/html\r\nContent-Length: %d\r\n\r\n", body_len);

	if (say(g, head, (size_t)head_len) < 0)
		return -1;
	return say(g, body, (size_t)body_len);
}

/* One request, if it is whole. False when there is none. */
static bool
serve_one(struct guest *g)
{
	struct buf *in = &g->conn.in;
	size_t len = in->len < HEAD_MOST ? in->len : HEAD_MOST;
	const char *bytes = len == 0 ? NULL :
	    buf_flat(&g->conn.w->blocks, in, len);
	const char *end = bytes == NULL ? NULL :
	    memmem(bytes, len, "\r\n\r\n", 4);
	bool big;

	if (end == NULL) {
		if (len == HEAD_MOST)
			guest_close(g);
		return false;
	}
	big = len > 9 && memcmp(bytes, "GET /big ", 9) == 0;
	buf_drop(&g->conn.w->blocks, in, (size_t)(end + 4 - bytes));
	g->requests++;
	if ((big ? answer_big(g) : answer_page(g)) < 0) {
		guest_close(g);
		return false;
	}
	conn_send(&g->conn);
	return true;
}

static void
guest_input(struct conn *c)
{
	struct guest *g = container_of(c, struct guest, conn);

	while (c->open && serve_one(g))
		;
	if (c->open && c->eof && c->out.len == 0)
		guest_close(g);
	else if (c->open && c->out.held >= CONN_HIGH)
		conn_pause(c);
}

static void
guest_drained(struct conn *c)
{
	if (c->eof && c->out.len == 0)
		guest_close(container_of(c, struct guest, conn));
	else
		conn_resume(c);
}

static void
guest_failed(struct conn *c, int error)
{
	(void)error;
	guest_close(container_of(c, struct guest, conn));
}

static const struct conn_ops guest_ops = {
	.input = guest_input,
	.drained = guest_drained,
	.failed = guest_failed
};

static void
guest_came(struct ev_loop *loop, struct ev_io *io, int revents)
{
	struct origin *o = io->data;
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct guest *g;

	(void)loop, (void)revents;
	if (fd < 0)
		return;
	g = calloc(1, sizeof(*g));
	if (g == NULL) {
		close(fd);
		return;
	}
	g->number = ++o->guests;
	list_append(&o->list, &g->link);
	conn_open(&g->conn, o->worker, fd, WORKER_PRI_NEAR, &guest_ops);
}

int
demo_serve(struct demo *d, struct runtime *rt)
{
	struct origin *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return -1;
	d->origin = o;
	o->worker = &rt->main;
	list_init(&o->list);
	ev_io_init(&o->io, guest_came, d->origin_fd, EV_READ);
	o->io.data = o;
	ev_io_start(rt->main.loop, &o->io);
	return 0;
}

void
demo_end(struct demo *d)
{
	struct list *l;

	while (d->origin != NULL && (l = list_first(&d->origin->list)) != NULL)
		guest_close(container_of(l, struct guest, link));
	free(d->origin);
	if (d->origin_fd >= 0)
		close(d->origin_fd);
}
