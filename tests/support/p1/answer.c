/*
 * The reading half of the P1 load: is this the response that is awaited, to the
 * byte, and does it end where it should? See load.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const char *
field(const char *head, const char *name)
{
	const char *at = strcasestr(head, name);

	if (at == NULL || at[-1] != '\n')
		return NULL;
	at += strlen(name);
	return at + strspn(at, " ");
}

/* The response says whose it is: is it the one that is awaited? */
static void
whose(struct client *c, const struct exchange *x, const char *token)
{
	const char *got = field(c->head, "X-Got:");
	const char *conn = field(c->head, "X-Conn:");
	uint64_t a = 0, b = 0, n = 0, sum = 0, number = 0;

	if (sscanf(token, "%16" SCNx64 "%16" SCNx64, &a, &b) != 2 ||
	    a != x->token.a || b != x->token.b)
		violation(c, "misdelivered: %.40s for %016" PRIx64 "%016"
		    PRIx64, token, x->token.a, x->token.b);
	if (got == NULL || sscanf(got, "%" SCNu64 " %" SCNx64, &n, &sum) != 2 ||
	    conn == NULL || sscanf(conn, "%" SCNu64, &number) != 1)
		violation(c, "a response without its fields: %.300s", c->head);
	if (x->how != HOW_EARLY && x->how != HOW_EARLY_CLOSE &&
	    (n != x->up || (n > 0 && sum != x->up_sum)))
		violation(c, "the origin got %" PRIu64 " bytes, sum %016"
		    PRIx64, n, sum);
	if (tcp && c->origin_conn != 0 && c->origin_conn != number)
		violation(c, "two connections serve one session");
	c->origin_conn = number;
}

static void
head_over(struct client *c)
{
	const struct exchange *x = oldest(c);
	const char *length = field(c->head, "Content-Length:");
	const char *coding = field(c->head, "Transfer-Encoding:");
	const char *token = field(c->head, "X-Token:");
	const char *end = field(c->head, "Connection:");
	int minor = -1;

	c->status = 0;
	if (sscanf(c->head, "HTTP/1.%d %3d ", &minor, &c->status) != 2 ||
	    c->status < 100 || c->status >= STATUSES ||
	    (length != NULL && coding != NULL)) {
		violation(c, "not a response: %.300s", c->head);
		c->status = 599;
	}
	if (c->status < 200) {
		if (c->minor_0)         /* RFC 9110 15.2 */
			violation(c, "%d for HTTP/1.0", c->status);
		c->head_len = 0;
		return;
	}
	c->own = token != NULL;
	c->was_head = x->method == HEAD;
	c->body = 0;
	c->last = c->minor_0 || (end != NULL &&
	    strncasecmp(end, "close", 5) == 0);
	if (c->own)
		whose(c, x, token);
	c->body_left = length != NULL ? strtoull(length, NULL, 10) : 0;
	if (x->method == HEAD)
		exchange_over(c);
	else if (coding != NULL)
		c->phase = IN_SIZE;
	else if (length == NULL)
		c->phase = IN_CLOSE;
	else if (c->body_left > 0)
		c->phase = IN_LENGTH;
	else
		c->phase = IN_OVER;
	c->head_len = 0;
}

/* A response's last byte has come. */
static void
response_over(struct client *c)
{
	const struct exchange *x = oldest(c);

	if (c->own && x->method != HEAD && c->body != x->size)
		violation(c, "%" PRIu64 " of %" PRIu64 " bytes look whole",
		    c->body, x->size);
	exchange_over(c);
}

static void
body_bytes(struct client *c, const char *p, size_t n)
{
	const struct exchange *x = oldest(c);

	if (c->own && (c->body + n > x->size || !p1_same(x->token, P1_DOWN,
	    c->body, (const unsigned char *)p, n)))
		violation(c, "foreign bytes within %zu at %" PRIu64 ": %.60s",
		    n, c->body, p);
	c->body += n;
	c->body_left -= n;
}

/* A line of a chunked body, with LF, is at head. */
static void
chunk_line(struct client *c)
{
	char *end;

	c->head[c->head_len] = '\0';
	c->head_len = 0;
	if (c->phase == IN_SIZE) {
		c->body_left = strtoull(c->head, &end, 16);
		if (end == c->head || (*end != '\r' && *end != ';'))
			violation(c, "not a chunk size: %.60s", c->head);
		c->phase = c->body_left > 0 ? IN_DATA : IN_TRAILER;
	} else if (strcmp(c->head, "\r\n") != 0) {
		if (c->phase == IN_DATA_END)
			violation(c, "not a chunk's end: %.60s", c->head);
	} else if (c->phase == IN_DATA_END)
		c->phase = IN_SIZE;
	else
		response_over(c);
}

/* Take a line that ends in these bytes, or what there is of it. */
static size_t
line_bytes(struct client *c, const char *p, size_t n)
{
	const char *end = memchr(p, '\n', n);
	size_t take = end != NULL ? (size_t)(end - p) + 1 : n;

	if (c->head_len + take > HEAD_MOST) {
		violation(c, "a line or head without end");
		c->head_len = 0;
		return n;
	}
	memcpy(c->head + c->head_len, p, take);
	c->head_len += take;
	c->head[c->head_len] = '\0';
	if (end == NULL)
		return take;
	if (c->phase != IN_HEAD)
		chunk_line(c);
	else if (c->head_len >= 4 && memcmp(c->head + c->head_len - 4,
	    "\r\n\r\n", 4) == 0) {
		head_over(c);
		if (c->phase == IN_OVER)
			response_over(c);
	}
	return take;
}

void
answer_bytes(struct client *c, const char *p, size_t n)
{
	size_t take;

	while (n > 0 && c->fd >= 0) {
		/* Refused before the request was read: that it was HEAD, and
		   its answer has no body, could not be known. */
		if (c->ending && !c->own && c->was_head)
			return;
		if (c->n_open == 0 || c->ending) {
			violation(c, "bytes that nobody asked for: %.*s",
			    (int)(n < 200 ? n : 200), p);
			return;
		}
		if (c->phase == IN_LENGTH || c->phase == IN_DATA ||
		    c->phase == IN_CLOSE) {
			take = c->phase == IN_CLOSE || n < c->body_left ? n :
			    c->body_left;
			body_bytes(c, p, take);
			if (c->phase == IN_DATA && c->body_left == 0)
				c->phase = IN_DATA_END;
			else if (c->phase == IN_LENGTH && c->body_left == 0)
				response_over(c);
		} else
			take = line_bytes(c, p, n);
		p += take;
		n -= take;
	}
}

void
answer_ended(struct client *c)
{
	if (c->n_open == 0 || c->phase != IN_CLOSE)
		return;
	c->last = true;
	response_over(c);
}
